//! Stands in for `linux` on other systems: nothing is reserved, and on Unix nothing is immutable.

use std::fs::File;
use std::io;

/// Writing is all that proves room here.
pub fn reserve(_: &File, _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
pub fn attributes(_: &std::path::Path, _: &std::fs::Metadata) -> io::Result<super::attributes::Attributes> {
    Ok(super::attributes::Attributes { is_immutable: false, is_mount: None })
}
