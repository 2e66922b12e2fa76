//! What differs between operating systems: the only place for `unsafe`.
//!
//! * `local_time`: this machine's time zone
//! * `names`: the addresses of a host, by the system's own resolver

pub mod local_time;
pub mod names;
