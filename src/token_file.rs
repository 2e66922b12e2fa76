//! The token file on disk: lock, read, draft, commit, recovery.
//!
//!     TOKENS        symlinks resolved first; the link itself survives
//!     TOKENS.lock   a kernel lock, never deleted, never stolen by age
//!     TOKENS.new    the draft
//!
//! The lock is a file of its own, since a lock on TOKENS would be a lock on the file that the
//! commit replaces. It is held from before the read that decides until the commit has ended, and
//! the kernel releases it with the process. It blocks other runs only: readers never lock, and see
//! the old file or the new one.
//!
//! A draft goes through these states, and dies in any of them without harm:
//!
//! * *created*: empty, mode 0600; then it gets the owner, group and mode of TOKENS.
//! * *blank*: as many newlines as the new content can need, synced. So a full, read-only or
//!   forbidden disk is found before the refresh token is spent. A newline can't stand inside a
//!   JSON string: a draft that is half written, or half on disk, never parses. Its name is synced,
//!   too. Until it is gone, the lock file holds a fingerprint of the refresh token to be sent.
//! * *complete*: the new content, written over the blanks, cut to its length, synced. From here on
//!   the new refresh token is safe. A complete draft is only ever replaced as a whole.
//! * *committed*: renamed to TOKENS, and the directory synced.
//!
//! Where the disk does not take the content, or TOKENS says something else by then, a second draft is
//! written, TOKENS.new.again. Once complete and synced, it takes the first one's place.
//!
//! Whoever holds the lock next deals with the draft of a dead run; with the second one, if that is
//! complete. A blank or partial one is removed. A complete one is never thrown away: it is promoted,
//! or, if TOKENS by now holds another refresh token than the one that was sent (a human authorized
//! again), set aside as TOKENS.rescue-EPOCHSECONDS, which no run touches. If TOKENS by now is no token
//! file, what it says is kept under such a name. No clock has a say in this.
//!
//! Where TOKENS can't be renamed over (a single file that is mounted into a container: `EBUSY`), it
//! is overwritten in place and synced. The complete draft is the redo log until that is done, and
//! with the fingerprint taken away first, it counts whatever half of it TOKENS holds.

mod draft;
mod mount;
#[cfg_attr(unix, path = "token_file/protection_unix.rs")]
#[cfg_attr(windows, path = "token_file/protection_windows.rs")]
mod protection;
mod recovery;

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::secret::Secret;
use crate::text::{self, Fault};
use crate::token_set::{LARGEST, TokenSet};

use draft::Warning;
pub use recovery::Recovery;

/// The names beside TOKENS.
const LOCK: &str = ".lock";
const DRAFT: &str = ".new";
const SECOND_DRAFT: &str = ".new.again";

/// A token file that exists and can be replaced.
pub struct TokenFile {
    path: PathBuf,
}

/// A token file whose lock this run holds.
pub struct LockedTokenFile {
    file: TokenFile,
    lock: File,
}

/// Why a step failed. Nothing is spent, but for the last three.
pub enum Error {
    Unreadable(io::Error),
    /// TOKENS is gone; this draft holds the tokens of a run that died.
    OnlyDraft(PathBuf),
    /// Not a file that a rename can replace.
    NotReplaceable(&'static str),
    NotATokenFile(Fault),
    Locked {
        lock: PathBuf,
        waited: Duration,
    },
    LockFailed {
        lock: PathBuf,
        why: io::Error,
    },
    DraftFailed {
        draft: PathBuf,
        doing: &'static str,
        why: io::Error,
    },
    /// This user can't give the draft what protects TOKENS.
    NotOurs {
        draft: PathBuf,
        why: io::Error,
    },
    /// TOKENS has an attribute with which nothing can replace it; this takes it away.
    Fixed(&'static str),
    /// TOKENS is mounted by itself, and can't be written.
    MountNotWritable(io::Error),
    /// The new tokens could not be written; `draft` may hold them.
    NotWritten {
        draft: PathBuf,
        why: io::Error,
    },
    /// The new tokens are safe in `draft`.
    NotSaved {
        draft: PathBuf,
        doing: &'static str,
        why: io::Error,
    },
    /// Someone else wrote something else meanwhile; ours are here.
    Superseded(PathBuf),
}

impl TokenFile {
    /// Resolves symlinks, so that the file is replaced and the links stay.
    pub fn find(given: &Path) -> Result<Self, Error> {
        if protection::is_device(given) {
            return Err(Error::NotReplaceable("a device, not a file that can be replaced"));
        }
        let path = retried(|| protection::resolve(given)).map_err(|why| Self::unresolved(given, why))?;
        let metadata = retried(|| fs::metadata(&path)).map_err(Error::Unreadable)?;
        if metadata.is_dir() {
            return Err(Error::NotReplaceable("a directory, not a file"));
        }
        if !metadata.is_file() {
            return Err(Error::NotReplaceable("not a regular file"));
        }
        if protection::has_other_names(&path, &metadata) {
            return Err(Error::NotReplaceable("a file with other hard links, which a replacement would cut off"));
        }
        Ok(Self { path })
    }

    fn unresolved(given: &Path, why: io::Error) -> Error {
        let draft = Self { path: given.to_owned() }.beside(DRAFT);
        let is_complete = |bytes: &[u8]| TokenSet::parse_of_any_size(without_blanks(bytes)).is_ok();
        match draft_at(&draft) {
            Ok(Some(left)) if why.kind() == io::ErrorKind::NotFound && is_complete(&left) => Error::OnlyDraft(draft),
            _ => Error::Unreadable(why),
        }
    }

    /// Reads without a lock, as any reader may.
    pub fn read(&self) -> Result<TokenSet, Error> {
        let bytes = read_up_to(&self.path, LARGEST + 1).map_err(Error::Unreadable)?;
        TokenSet::parse(&bytes).map_err(Error::NotATokenFile)
    }

    /// What stands here before the wait for the lock; None where a run is overwriting it in place,
    /// or just was, or died at it.
    pub fn glance(&self) -> Result<Option<TokenSet>, Error> {
        match self.read() {
            Err(Error::NotATokenFile(_)) if self.has_draft() || self.read().is_ok() => Ok(None),
            read => read.map(Some),
        }
    }

    fn has_draft(&self) -> bool {
        fs::symlink_metadata(self.beside(DRAFT)).is_ok()
    }

    /// Waits for the lock, at most `timeout`, and calls `waiting` once if there is a wait.
    pub fn lock(self, timeout: Duration, waiting: impl FnOnce()) -> Result<LockedTokenFile, Error> {
        let path = self.beside(LOCK);
        let failed = |why| Error::LockFailed { lock: self.beside(LOCK), why };
        let lock = retried(|| self.open_lock(&path)).map_err(failed)?;
        let started = Instant::now();
        let mut waiting = Some(waiting);
        let mut pause = Duration::from_millis(1);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(LockedTokenFile { file: self, lock }),
                Err(TryLockError::Error(why)) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(why)) => return Err(failed(why)),
                Err(TryLockError::WouldBlock) => {}
            }
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(Error::Locked { lock: path, waited: timeout });
            };
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        // Without O_CREAT first: in a sticky directory that forbids another user's file.
        match protection::lock_options().open(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                let lock = protection::lock_options().create(true).open(path)?;
                if let Ok(tokens) = fs::metadata(&self.path) {
                    protection::share_lock(&tokens, &lock);
                }
                Ok(lock)
            }
            opened => opened,
        }
    }

    /// A path beside the resolved token file, with a suffix to its name.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(suffix);
        name.into()
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// A name for tokens that no run may touch.
    fn rescue_path(&self) -> PathBuf {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let taken = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        let mut candidates = (now..).map(|seconds| self.beside(&format!(".rescue-{seconds}")));
        candidates.find(|path| !taken(path)).unwrap_or_else(|| self.beside(".rescue"))
    }

    /// One write, with blanks up to the old length: whenever this dies, what stands there is the
    /// old content or the new one, if need be with blanks behind it.
    #[expect(clippy::disallowed_methods, reason = "stored in the token file")]
    fn overwrite(&self, content: &Secret) -> io::Result<()> {
        let mut tokens = OpenOptions::new().write(true).open(&self.path)?;
        let content = content.expose().as_bytes();
        let mut padded = content.to_vec();
        padded.resize(content.len().max(tokens.metadata()?.len().try_into().unwrap_or(0)), b'\n');
        tokens.write_all(&padded)?;
        tokens.set_len(content.len() as u64)?;
        tokens.sync_all()
    }
}

impl LockedTokenFile {
    /// The decisive read: under the lock.
    pub fn read(&self) -> Result<TokenSet, Error> {
        self.file.read()
    }

    fn draft_failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |why| Error::DraftFailed { draft: self.file.beside(DRAFT), doing, why }
    }

    /// Makes a file that is protected as TOKENS is, which has this metadata, and completes it.
    fn write_beside(&self, path: &Path, tokens: &Metadata, content: &[u8]) -> io::Result<File> {
        let file = retried(|| protection::create_draft(path, &self.file.path, tokens))?;
        protection::copy(&self.file.path, tokens, &file)?;
        complete(&file, content)?;
        Ok(file)
    }

    /// Puts a complete draft in TOKENS's place.
    fn promote(&self, draft: &Path, content: &Secret) -> io::Result<Option<Warning>> {
        match retried(|| fs::rename(draft, &self.file.path)) {
            Err(why) if matches!(why.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
                self.forget()?;
                retried(|| self.lock.sync_all())?;
                self.file.overwrite(content)?;
                let removed = retried(|| fs::remove_file(draft));
                Ok(Some(removed.map_or_else(Warning::DraftNotRemoved, |()| Warning::InPlace)))
            }
            replaced => replaced.map(|()| None),
        }
    }

    /// Keeps a fingerprint in the lock file until there is no draft any more.
    fn note(&self, fingerprint: &[u8]) -> io::Result<()> {
        protection::write_at_start(&self.lock, fingerprint)?;
        retried(|| self.lock.sync_all())
    }

    /// A draft without a fingerprint counts, whatever TOKENS holds.
    fn forget(&self) -> io::Result<()> {
        retried(|| self.lock.set_len(0))
    }

    fn noted(&self) -> io::Result<Vec<u8>> {
        let mut noted = Vec::new();
        (&self.lock).take(FINGERPRINT_LENGTH).read_to_end(&mut noted)?;
        Ok(noted)
    }
}

/// In bytes.
const FINGERPRINT_LENGTH: u64 = 9;

/// Tells one refresh token from another, without telling the token (32 bits of FNV-1a).
#[expect(clippy::disallowed_methods, reason = "hashed")]
fn fingerprint(token: &Secret) -> Vec<u8> {
    let hash =
        token.expose().bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}\n").into_bytes()
}

/// Makes this the whole content of a file, and durable.
fn complete(file: &File, content: &[u8]) -> io::Result<()> {
    protection::write_at_start(file, content)?;
    retried(|| file.set_len(content.len() as u64))?;
    retried(|| file.sync_all())
}

/// What a run left as a draft, if it did. No link is followed.
fn draft_at(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match retried(|| fs::symlink_metadata(path)) {
        Ok(metadata) if metadata.is_file() => read_up_to(path, usize::MAX).map(Some),
        Ok(_) => Err(io::Error::other("something else has this name")),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

/// Reads a file, but not more than `limit` bytes of it.
fn read_up_to(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    retried(|| text::read_up_to(File::open(path)?, limit))
}

/// A draft's content without the blanks that follow its final newline.
fn without_blanks(bytes: &[u8]) -> &[u8] {
    let end = bytes.trim_ascii_end().len();
    let newline = match bytes[end..] {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    };
    &bytes[..end + newline]
}

/// Repeats what a signal interrupted, where std does not; and, for about two seconds, what fails on
/// Windows because a scanner or an indexer has the file open for a moment.
fn retried<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let end = || Instant::now() + Duration::from_secs(2);
    let mut patience = None;
    loop {
        match operation() {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) if protection::is_passing(&why) && Instant::now() < *patience.get_or_insert_with(end) => {
                thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}
