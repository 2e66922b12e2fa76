//! Unix: owner, group and mode keep others out. The draft has those of the token file before it
//! holds a token; ACLs and extended attributes are not carried over.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::retry::retrying;

/// The directory of the token file, opened before the commit that syncs it.
pub struct Directory {
    handle: File,
}

impl Directory {
    pub fn open(path: &Path) -> io::Result<Self> {
        retrying(|| File::open(path)).map(|handle| Self { handle })
    }

    /// Makes the names in it durable, where the file system can.
    pub fn sync(&self) -> io::Result<()> {
        match retrying(|| self.handle.sync_all()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    /// Makes the name of a file durable that was created or renamed here.
    pub fn sync_name(&self, _named: &File) -> io::Result<()> {
        self.sync()
    }

    /// Whether the file is on the same device.
    pub fn is_on_device_of(&self, metadata: &Metadata) -> io::Result<bool> {
        Ok(retrying(|| self.handle.metadata())?.dev() == metadata.dev())
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
/// open it until [`copy_protection`].
pub fn create_draft(path: &Path, _tokens: &Path, _metadata: &Metadata) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens the draft of an interrupted run to finish it.
pub fn open_draft(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Creates a file for its owner and its group, as far as the umask lets them, and nothing else: an existing
/// file or link is an error.
pub fn create_for_readers(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)
}

/// Creates a file that only this user may open. An existing file or link is an error.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a file's content durable.
pub fn sync(path: &Path) -> io::Result<()> {
    retrying(|| File::open(path))?.sync_all()
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

/// Lets those who may write the token file take the lock. Best effort: a user who cannot open the lock gets a message.
pub fn share_lock(tokens: &Metadata, lock: &File) {
    let _ = copy_owner(tokens, lock);
    let _ = lock.set_permissions(Permissions::from_mode(tokens.mode() & 0o666 | 0o600));
}

/// Gives `file` the owner, group and mode of the token file, in this order: a change of owner
/// clears mode bits.
pub fn copy_protection(_tokens: &Path, metadata: &Metadata, file: &File) -> io::Result<()> {
    copy_owner(metadata, file)?;
    if metadata.mode() & 0o7777 != 0o600 {
        retrying(|| file.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777)))?;
    }
    Ok(())
}

/// As [`copy_protection`], as far as this user may. A file that stays another group's is closed to that group.
pub fn copy_protection_if_allowed(_tokens: &Path, metadata: &Metadata, file: &File) -> io::Result<()> {
    let group = || retrying(|| fchown(file, None, Some(metadata.gid())));
    let is_given = copy_owner(metadata, file).or_else(|_| group()).is_ok();
    let mode = metadata.mode() & if is_given { 0o7777 } else { 0o7707 };
    if retrying(|| file.metadata())?.mode() & 0o7777 != mode {
        retrying(|| file.set_permissions(Permissions::from_mode(mode)))?;
    }
    Ok(())
}

/// Lets nobody but its owner open `file`.
pub fn make_private(file: &File) -> io::Result<()> {
    retrying(|| file.set_permissions(Permissions::from_mode(0o600)))
}

/// The owner, for a message.
pub fn owner_of(metadata: &Metadata) -> String {
    format!("{}:{}", metadata.uid(), metadata.gid())
}

/// Gives `file` the owner and group of the token file.
pub fn copy_owner(tokens: &Metadata, file: &File) -> io::Result<()> {
    let own = retrying(|| file.metadata())?;
    let changed = |wanted: u32, own: u32| (wanted != own).then_some(wanted);
    match (changed(tokens.uid(), own.uid()), changed(tokens.gid(), own.gid())) {
        (None, None) => Ok(()),
        (user, group) => retrying(|| fchown(file, user, group)),
    }
}

/// Whether a rename over this name would cut the file's other names off.
pub fn has_hard_links(_tokens: &Path, metadata: &Metadata) -> bool {
    metadata.nlink() > 1
}

/// The attribute that keeps a file from being replaced, as messages name it, and the command that removes it.
pub const IMMUTABLE: &str = "immutable or append-only";
pub const MAKE_MUTABLE: &str = "chattr -i -a";

/// Whether a lock failed for want of the file system's lock service (flock(2): NFS without lockd).
pub fn is_lock_service_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOLCK)
}
