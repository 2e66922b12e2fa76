//! Windows reports Ctrl-C, Ctrl-Break and a closed console on a thread of its own. From the first byte of a request
//! until its response is stored, that thread waits.
//!
//! After the console is closed, Windows allows five seconds. The forced end of a scheduled task cannot be blocked.
#![expect(unsafe_code, reason = "std has no console handlers")]

use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};

use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;

struct State {
    is_blocked: bool,
    has_come: bool,
}

static STATE: Mutex<State> = Mutex::new(State { is_blocked: false, has_come: false });
static UNBLOCKED: Condvar = Condvar::new();
static INSTALLED: Once = Once::new();

/// Windows has no process that it spares.
pub fn handle_as_pid_1() {}

/// Windows has no such signal.
pub fn ignore_sigxfsz() {}

/// Blocks them from now on. A second call changes nothing.
pub fn block() {
    state().is_blocked = true;
    // Not again for another attempt: while a handler waits, the list of handlers is locked.
    // SAFETY: the handler has the signature that Windows wants, and is there as long as the process.
    INSTALLED.call_once(|| unsafe {
        SetConsoleCtrlHandler(Some(wait), 1);
    });
}

/// Windows hands them to a thread of its own.
pub fn block_in_this_thread() {}

/// Unblocks them, also those that came meanwhile: this may not return.
pub fn unblock() {
    let mut state = state();
    state.is_blocked = false;
    UNBLOCKED.notify_all();
    // If an event has come, the handler's thread now ends the process.
    while state.has_come {
        state = UNBLOCKED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Zero leaves the event to the next handler: Windows' own, which ends the process.
extern "system" fn wait(_event: u32) -> i32 {
    let mut state = state();
    while state.is_blocked {
        state.has_come = true;
        state = UNBLOCKED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    0
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
