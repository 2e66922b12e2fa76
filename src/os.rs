//! What differs between operating systems: the only place for `unsafe`.
//!
//! * `names`: the addresses of a host, by the system's own resolver

pub mod names;
