//! Everything that differs between operating systems, one file for each: who may open a file, what
//! makes a name durable, what can't be replaced, which signals wait. All `unsafe` code is here.
//!
//! `unix` and `windows` offer the same functions; what only Linux knows is in `linux`, and `elsewhere`
//! stands in for it. `local_time` tells this machine's time zone, `names` the addresses of a host, `random`
//! whether there are random numbers.

mod attributes;
pub mod local_time;
pub mod names;
pub mod random;
mod retry;
#[cfg_attr(unix, path = "os/signals_unix.rs")]
#[cfg_attr(windows, path = "os/signals_windows.rs")]
pub mod signals;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
mod glibc;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;
#[cfg(target_os = "linux")]
pub use linux::*;
pub use retry::retrying;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// What the process needs of its system before anything else.
pub fn prepare_process() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
    glibc::use_files_and_dns();
    signals::handle_as_pid_1();
    signals::ignore_sigxfsz();
}
