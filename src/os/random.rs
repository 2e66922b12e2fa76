//! Whether the system has random numbers to give.
//!
//! TLS needs them, and so does the standard library, which panics without. Linux has a system call for
//! them since 3.17. On an older kernel, or where a filter forbids the call, they come from `/dev/urandom`,
//! and the TLS library first waits until `/dev/random` says that the kernel has gathered enough. A bare
//! root directory may have neither.

use crate::failure::Failure;

/// Fails, and names the device, if one is needed and cannot be read. Otherwise the run, and every later one, would
/// panic halfway.
#[cfg(target_os = "linux")]
pub fn require() -> Result<(), Failure> {
    use std::fs::File;
    use std::io::Read as _;

    if has_system_call() {
        return Ok(());
    }
    let urandom = File::open("/dev/urandom").and_then(|mut device| device.read_exact(&mut [0]));
    urandom.map_err(|why| missing("/dev/urandom", "this device", 9, &why))?;
    // Nobody reads from this one.
    let random = File::open("/dev/random");
    random.map_err(|why| missing("/dev/random", "this device", 8, &why))?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn missing(path: &str, device: &str, minor: u8, why: &std::io::Error) -> Failure {
    let what = format!(
        "no random numbers: the kernel offers no getrandom, and {device} cannot be read: {}",
        crate::terminal::reason(why)
    );
    let hint = format!("nothing was sent; create it in this root directory, as root: mknod -m 444 {path} c 1 {minor}");
    Failure::configuration(path, &what, &hint)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std does not tell whether the call is there")]
fn has_system_call() -> bool {
    // SAFETY: it writes nothing to a buffer of no length.
    let result = unsafe { libc::getrandom(std::ptr::null_mut(), 0, libc::GRND_NONBLOCK) };
    // EPERM is how some filters forbid what they don't know.
    result >= 0 || !matches!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

#[cfg(not(target_os = "linux"))]
pub fn require() -> Result<(), Failure> {
    Ok(())
}
