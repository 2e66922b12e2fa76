//! Reads and writes of files that must survive a power cut.

use std::fs::{self, File};
use std::io::{self, IoSlice, Write as _};
use std::path::Path;

use crate::bounded;
use crate::os::{self, retrying};

/// What a draft holds before its content: it counts as blank, and JSON takes it nowhere, neither within a
/// string nor between two members. So a draft that is half written, or half on the disk, never parses.
pub const FILL: u8 = b'\x0C';

/// Reads a file, but not more than `limit` bytes of it.
pub fn read_prefix(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    retrying(|| bounded::read_prefix(File::open(path)?, limit))
}

/// As [`read_prefix`], for a file that had this length shortly before: see [`bounded::read_expecting`].
pub fn read_expecting(path: &Path, limit: usize, length: usize) -> io::Result<Vec<u8>> {
    retrying(|| bounded::read_expecting(File::open(path)?, limit, length))
}

/// The content of a file that may be missing. No link is followed.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match retrying(|| fs::symlink_metadata(path)) {
        Ok(metadata) if metadata.is_file() => read_prefix(path, usize::MAX).map(Some),
        Ok(_) => Err(not_a_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name is a directory's, a link's, a pipe's or a device's.
pub fn not_a_file() -> io::Error {
    io::Error::other("it is not a regular file")
}

pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Makes this the whole content of a file, and durable.
pub fn write_durably(file: &File, content: &[u8]) -> io::Result<()> {
    os::write_at_start(file, content)?;
    truncate_durably(file, content.len())
}

pub fn truncate_durably(file: &File, length: usize) -> io::Result<()> {
    retrying(|| file.set_len(length as u64))?;
    retrying(|| file.sync_all())
}

/// Proves room for `size` bytes in an empty file. The first `proven` ones are written, because on a
/// thin volume or a server's only that is a proof. The others are reserved, or written, too, where that fails.
pub fn make_room_durably(file: &File, proven: usize, size: usize) -> io::Result<()> {
    let written = match os::reserve(file, size) {
        Ok(()) => proven.min(size),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => size,
        Err(error) => return Err(error),
    };
    fill(file, written)?;
    retrying(|| file.sync_all())
}

fn fill(mut file: &File, size: usize) -> io::Result<()> {
    // One buffer many times in one system call, not a megabyte of memory.
    let fill = [FILL; 8 << 10];
    let mut slices = vec![IoSlice::new(&fill); size.div_ceil(fill.len())];
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    retrying(|| fs::rename(from, to))
}

pub fn remove(path: &Path) -> io::Result<()> {
    retrying(|| fs::remove_file(path))
}
