//! What only Linux knows, on other systems: nothing is reserved, and on Unix nothing is immutable.

use std::fs::File;
use std::io;

/// Writing is all that proves room here.
pub fn reserve(_: &File, _: usize) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub fn is_immutable(_: &std::path::Path, _: &std::fs::Metadata) -> io::Result<bool> {
    Ok(false)
}
