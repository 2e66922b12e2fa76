//! What Linux knows beyond Unix: attributes of files, and room that is kept for one.
#![expect(unsafe_code, reason = "std has neither FS_IOC_GETFLAGS nor fallocate")]

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use super::retry::retrying;

/// Whether the file is immutable or append-only. Modes say who may write into a file, not whether a rename
/// may replace it.
pub fn is_immutable(tokens: &Path, _metadata: &Metadata) -> io::Result<bool> {
    const IMMUTABLE: libc::c_int = 0x10;
    const APPEND_ONLY: libc::c_int = 0x20;
    let file = retrying(|| File::open(tokens))?;
    let mut flags = 0 as libc::c_int;
    // SAFETY: the descriptor is open as long as `file`, and the request writes one int, whatever its
    // definition says (ioctl_iflags(2)). Where a file system knows no flags they stay zero.
    unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    Ok(flags & (IMMUTABLE | APPEND_ONLY) != 0)
}

/// Makes the volume keep room for `size` bytes of a file, also behind its end, where nobody sees it.
pub fn reserve(file: &File, size: usize) -> io::Result<()> {
    let size = size.try_into().unwrap_or(libc::off_t::MAX);
    retrying(|| {
        // SAFETY: no pointer is passed, and the descriptor is open as long as `file` is borrowed.
        match unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, size) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}
