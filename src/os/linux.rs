//! What Linux knows beyond Unix: attributes of files, and room that is kept for one.
#![expect(unsafe_code, reason = "std has neither statx's attributes, nor FS_IOC_GETFLAGS, nor fallocate")]

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::attributes::Attributes;
use super::retry::retrying;

/// Whether the file is immutable or append-only: modes say who may write into a file, not whether a rename
/// may replace it. And whether it is mounted by itself. From Linux 5.8 on, one call tells both (statx(2)).
pub fn attributes(tokens: &Path, _metadata: &Metadata) -> io::Result<Attributes> {
    const UNREPLACEABLE: u64 = 0x10 | 0x20;
    const MOUNT_ROOT: u64 = 0x2000;
    let (set, known) = match retrying(|| statx_attributes(tokens)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => (0, 0),
        told => told?,
    };
    Ok(Attributes {
        is_immutable: if known & UNREPLACEABLE == UNREPLACEABLE {
            set & UNREPLACEABLE != 0
        } else {
            has_immutable_flag(tokens)?
        },
        is_mount: (known & MOUNT_ROOT != 0).then_some(set & MOUNT_ROOT != 0),
    })
}

/// The attributes that are set, and those that the file system reports.
fn statx_attributes(path: &Path) -> io::Result<(u64, u64)> {
    // struct statx has 256 bytes, and these two at 8 and 56, on every processor.
    let mut buffer = [0_u64; 32];
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a NUL and, like the buffer, lives longer than the call.
    let result = unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), 0, 0, buffer.as_mut_ptr()) };
    match result {
        0 => Ok((buffer[1], buffer[7])),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the file is immutable or append-only, on older kernels and on file systems without statx attributes.
fn has_immutable_flag(tokens: &Path) -> io::Result<bool> {
    const IMMUTABLE: libc::c_int = 0x10;
    const APPEND_ONLY: libc::c_int = 0x20;
    let file = retrying(|| File::open(tokens))?;
    let mut flags = 0 as libc::c_int;
    // SAFETY: the descriptor is open as long as `file`, and the request writes one int, whatever its
    // definition says (ioctl_iflags(2)). Where a file system knows no flags they stay zero.
    unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    Ok(flags & (IMMUTABLE | APPEND_ONLY) != 0)
}

/// Makes the volume keep room for `size` bytes of a file, also behind its end, where nobody sees it. `Unsupported`
/// where the file system can't, or a filter forbids the call.
pub fn reserve(file: &File, size: usize) -> io::Result<()> {
    if is_beyond_limit(size) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let size = size.try_into().unwrap_or(libc::off_t::MAX);
    let reserved = retrying(|| {
        // SAFETY: no pointer is passed, and the descriptor is open as long as `file` is borrowed.
        match unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, size) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    });
    match reserved {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::EPERM)) =>
        {
            Err(io::ErrorKind::Unsupported.into())
        }
        reserved => reserved,
    }
}

/// Whether a file may not grow to this size (`ulimit -f`). fallocate does not look at that while the end stays
/// where it is.
fn is_beyond_limit(size: usize) -> bool {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it writes to `limit` alone. It can't fail, and if it did, there would be no limit.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    libc::rlim_t::try_from(size).is_ok_and(|size| size > limit.rlim_cur)
}
