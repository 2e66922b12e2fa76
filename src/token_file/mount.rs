//! Whether the token file is a mount of its own: a single file mounted into a container. A rename cannot replace
//! such a file, and it may be read-only in a directory that is not, or on another volume that is full; this must
//! be known before the refresh token is spent.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::path::Path;

use crate::os::{self, Directory};
use crate::token_file::disk;

/// For a system that does not tell: true if the file lies on another device than its directory, or the kernel
/// lists its path among this process's mounts (the same file system, bound to itself). Without /proc only the
/// first is seen; the commit copes with either.
pub fn looks_like_mount(path: &Path, tokens: &Metadata, directory: &Directory) -> io::Result<bool> {
    Ok(!directory.is_on_device_of(tokens)? || is_listed(path))
}

/// Fails where the mounted file could not be overwritten by a content of `size` bytes. The room
/// for that is reserved behind the end of the file, where no reader sees it; the overwriting frees what it does not
/// need.
pub fn prove_writable(path: &Path, size: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    match os::reserve(&file, size) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        reserved => reserved,
    }
}

fn is_listed(path: &Path) -> bool {
    let Ok(table) = disk::read_prefix(Path::new("/proc/self/mountinfo"), 16 << 20) else {
        return false;
    };
    let wanted = escaped(path.as_os_str().as_encoded_bytes());
    table.split(|&byte| byte == b'\n').any(|line| line.split(|&byte| byte == b' ').nth(4) == Some(&wanted))
}

/// A path as proc(5) writes it: space, tab, newline and backslash in octal.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => escaped.extend(format!("\\{byte:03o}").bytes()),
            _ => escaped.push(byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_the_kernel_does() {
        assert_eq!(escaped(b"/a b\\\xFF"), b"/a\\040b\\134\xFF");
    }

    #[test]
    fn finds_a_mount_that_is_there() {
        assert_eq!(is_listed(Path::new("/proc")), cfg!(target_os = "linux"));
        assert!(!is_listed(Path::new("/proc/nothing")));
    }
}
