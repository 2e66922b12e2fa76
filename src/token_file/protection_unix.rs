//! What keeps others out, on Unix: owner, group and mode. The draft has those of the token file
//! before it holds a token; ACLs and extended attributes are not carried over.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "std knows no attributes of ext4 and others"))]

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// The directory of the token file, opened before the commit that syncs it.
pub struct Directory {
    handle: File,
    pub device: u64,
}

impl Directory {
    pub fn open(path: &Path) -> io::Result<Self> {
        let handle = File::open(path)?;
        let device = super::retried(|| handle.metadata())?.dev();
        Ok(Self { handle, device })
    }

    /// Makes the names in it durable, where the file system can.
    pub fn sync(&self, _named: &File) -> io::Result<()> {
        match super::retried(|| self.handle.sync_all()) {
            Err(why) if matches!(why.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }
}

/// Whether the name is one of the system's own: /dev/stdin and /proc/self/fd/0 lead to a file only
/// by chance, and never to its name. /dev/shm holds files.
pub fn is_device(given: &Path) -> bool {
    given.starts_with("/dev") && !given.starts_with("/dev/shm") || given.starts_with("/proc")
}

/// The file's own path, without links.
pub fn resolve(given: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(given)
}

/// Creates the draft, and nothing else: an existing file or link is an error. Only its owner may
/// open it until `copy`.
pub fn create_draft(path: &Path, _tokens: &Path, _metadata: &Metadata) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a file's content durable.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes over the beginning of a file, wherever it was read or written before.
pub fn write_at_start(file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)
}

/// Opens the lock file; NFS needs write access for an exclusive lock (flock(2)).
pub fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options
}

/// Lets those lock who may write the token file. Best effort: who can't open the lock is told.
pub fn share_lock(tokens: &Metadata, lock: &File) {
    let _ = copy_owner(tokens, lock);
    let _ = lock.set_permissions(Permissions::from_mode(tokens.mode() & 0o666 | 0o600));
}

/// Gives `file` the owner, group and mode of the token file, in this order: a change of owner
/// clears mode bits.
pub fn copy(_tokens: &Path, metadata: &Metadata, file: &File) -> io::Result<()> {
    copy_owner(metadata, file)?;
    if metadata.mode() & 0o7777 != 0o600 {
        super::retried(|| file.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777)))?;
    }
    Ok(())
}

fn copy_owner(tokens: &Metadata, file: &File) -> io::Result<()> {
    let own = super::retried(|| file.metadata())?;
    let changed = |wanted: u32, own: u32| (wanted != own).then_some(wanted);
    match (changed(tokens.uid(), own.uid()), changed(tokens.gid(), own.gid())) {
        (None, None) => Ok(()),
        (user, group) => super::retried(|| fchown(file, user, group)),
    }
}

/// Whether a rename over this name would cut the file's other names off.
pub fn has_other_names(_tokens: &Path, metadata: &Metadata) -> bool {
    metadata.nlink() > 1
}

/// What takes the attribute away with which a file can't be replaced.
pub const MAKE_REPLACEABLE: &str = "chattr -i -a";

/// Whether that attribute is set: immutable, or append-only. Modes say who may write into a file, not
/// whether a rename may replace it.
#[cfg(target_os = "linux")]
pub fn is_fixed(tokens: &Path, _metadata: &Metadata) -> io::Result<bool> {
    use std::os::fd::AsRawFd as _;
    const IMMUTABLE: libc::c_int = 0x10;
    const APPEND_ONLY: libc::c_int = 0x20;
    let file = File::open(tokens)?;
    let mut flags = 0 as libc::c_int;
    // SAFETY: the descriptor is open as long as `file`, and the request writes one int, whatever its
    // definition says (ioctl_iflags(2)). Where a file system knows no flags they stay zero.
    unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    Ok(flags & (IMMUTABLE | APPEND_ONLY) != 0)
}

#[cfg(not(target_os = "linux"))]
pub fn is_fixed(_tokens: &Path, _metadata: &Metadata) -> io::Result<bool> {
    Ok(false)
}

/// No failure passes by itself here.
pub fn is_passing(_why: &io::Error) -> bool {
    false
}

/// The device that a file is on.
pub fn device(metadata: &fs::Metadata) -> u64 {
    metadata.dev()
}
