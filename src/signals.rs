//! Signals that would end the process between the sending of a request and the safe storage of its
//! answer wait until that is over. The kernel keeps them: the mask is lifted, and they act.
//!
//! The time that they wait is bounded by `--timeout`. SIGKILL and SIGQUIT are not held back.
#![cfg_attr(unix, expect(unsafe_code, reason = "std has no signal masks"))]

/// Holds back SIGINT, SIGTERM and SIGHUP from now on. Doing it twice is doing it once.
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
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(signals.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, signals.as_ptr(), std::ptr::null_mut());
    }
}

#[cfg(not(unix))]
pub fn hold_back() {}

#[cfg(not(unix))]
pub fn let_through() {}
