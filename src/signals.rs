//! Signals that would end or stop the process between the sending of a request and the safe storage
//! of its answer wait until that is over. The kernel keeps them: the mask is lifted, and they act.
//!
//! The time that they wait is bounded by `--timeout` and what the disk then takes. SIGKILL and SIGQUIT
//! are not held back.
//!
//! Windows tells of Ctrl-C, Ctrl-Break and a closed console on a thread of its own: that thread
//! waits. A closed console is granted five seconds by Windows; the end of a scheduled task by force
//! can't be held back.
#![expect(unsafe_code, reason = "std has neither signal masks nor console handlers")]

/// Lets signals end this process also where it is a container's first: the kernel spares that one
/// from those that it does not handle (pid_namespaces(7)).
#[cfg(unix)]
pub fn let_end_first_process() {
    if std::process::id() != 1 {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler has the signature that is asked for, and calls only what is safe there.
        // What nohup had ignored stays so.
        unsafe {
            if libc::signal(signal, end_by as *const () as libc::sighandler_t) == libc::SIG_IGN {
                libc::signal(signal, libc::SIG_IGN);
            }
        }
    }
}

/// As a shell tells of it.
#[cfg(unix)]
extern "C" fn end_by(signal: libc::c_int) {
    // SAFETY: _exit returns nowhere and touches nothing of ours (signal-safety(7)).
    unsafe { libc::_exit(128 + signal) }
}

#[cfg(windows)]
pub fn let_end_first_process() {}

/// A write that would pass the user's limit for a file's size (ulimit -f) fails, as it does on a full
/// disk, instead of ending this process.
#[cfg(unix)]
pub fn let_large_writes_fail() {
    // SAFETY: no handler is called for a signal that is ignored.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

#[cfg(windows)]
pub fn let_large_writes_fail() {}

/// Holds back SIGINT, SIGTERM, SIGHUP and SIGTSTP from now on. Doing it twice is doing it once.
#[cfg(unix)]
pub fn hold_back() {
    change_mask(libc::SIG_BLOCK);
}

/// Lets them through again, also those that came meanwhile: this may not return.
#[cfg(unix)]
pub fn let_through() {
    change_mask(libc::SIG_UNBLOCK);
}

#[cfg(unix)]
fn change_mask(how: libc::c_int) {
    let mut signals = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set that the other calls then use; all three are given
    // valid pointers, and a null pointer where POSIX allows one.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGTSTP] {
            libc::sigaddset(signals.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, signals.as_ptr(), std::ptr::null_mut());
    }
}

#[cfg(windows)]
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};

#[cfg(windows)]
struct End {
    is_held_back: bool,
    is_asked_for: bool,
}

#[cfg(windows)]
static END: Mutex<End> = Mutex::new(End { is_held_back: false, is_asked_for: false });
#[cfg(windows)]
static LET_THROUGH: Condvar = Condvar::new();
#[cfg(windows)]
static INSTALLED: Once = Once::new();

#[cfg(windows)]
pub fn hold_back() {
    end().is_held_back = true;
    // Not again for another attempt: while a handler waits, the list of handlers is locked.
    // SAFETY: the handler has the signature that is asked for, and is there as long as the process.
    INSTALLED.call_once(|| unsafe {
        windows_sys::Win32::System::Console::SetConsoleCtrlHandler(Some(wait), 1);
    });
}

#[cfg(windows)]
pub fn let_through() {
    let mut end = end();
    end.is_held_back = false;
    LET_THROUGH.notify_all();
    // If it was asked for, the handler's thread now ends the process.
    while end.is_asked_for {
        end = LET_THROUGH.wait(end).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Zero leaves the event to the next handler: Windows' own, which ends the process.
#[cfg(windows)]
extern "system" fn wait(_event: u32) -> i32 {
    let mut end = end();
    while end.is_held_back {
        end.is_asked_for = true;
        end = LET_THROUGH.wait(end).unwrap_or_else(PoisonError::into_inner);
    }
    0
}

#[cfg(windows)]
fn end() -> MutexGuard<'static, End> {
    END.lock().unwrap_or_else(PoisonError::into_inner)
}
