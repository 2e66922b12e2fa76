//! Files that settings name, read up to a limit.

use std::io::{self, Read};

use crate::text;

/// Reads to the end, and fails where there is more than `limit` bytes.
pub fn read_at_most(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    match text::read_up_to(from, limit + 1)? {
        bytes if bytes.len() > limit => Err(io::Error::other("larger than any such file")),
        bytes => Ok(bytes),
    }
}
