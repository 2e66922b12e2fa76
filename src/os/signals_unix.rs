//! Blocks terminating and stopping signals from the first byte of a request until its response is stored.
//! The kernel keeps them: once unblocked, they act.
//!
//! How long they wait is bounded by `--timeout` and what the disk then takes. SIGKILL and SIGQUIT are not
//! blocked.
#![expect(unsafe_code, reason = "std has no signal masks")]

use std::mem::MaybeUninit;
use std::ptr;

/// Lets signals end this process even if it is the first one of a container, which the kernel protects from signals
/// without a handler (pid_namespaces(7)).
pub fn handle_as_pid_1() {
    if std::process::id() != 1 {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler has the signature that `signal` wants, and calls only what is safe there.
        // What nohup had ignored stays so.
        unsafe {
            if libc::signal(signal, exit_by as *const () as libc::sighandler_t) == libc::SIG_IGN {
                libc::signal(signal, libc::SIG_IGN);
            }
        }
    }
}

/// With the exit code that a shell reports for the signal.
extern "C" fn exit_by(signal: libc::c_int) {
    // SAFETY: _exit returns nowhere and touches nothing of ours (signal-safety(7)).
    unsafe { libc::_exit(128 + signal) }
}

/// A write that would pass the user's limit for a file's size (ulimit -f) fails, as it does on a full
/// disk, instead of ending this process.
pub fn ignore_sigxfsz() {
    // SAFETY: no handler is called for a signal that is ignored.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Blocks them from now on. A second call changes nothing.
pub fn block() {
    change_mask(libc::SIG_BLOCK);
}

/// Unblocks them, also those that came meanwhile: this may not return.
pub fn unblock() {
    change_mask(libc::SIG_UNBLOCK);
}

/// Blocks them in the calling thread for good, because the kernel would otherwise give it a signal that the main
/// thread blocks. For a helper thread that may still run when the request is sent.
pub fn block_in_this_thread() {
    block();
}

fn change_mask(how: libc::c_int) {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set that the other calls then use; all three are given
    // valid pointers, and a null pointer where POSIX allows one.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGTSTP] {
            libc::sigaddset(signals.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, signals.as_ptr(), ptr::null_mut());
    }
}
