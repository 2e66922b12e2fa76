//! The token file on disk: lock, read, recover, draft, commit.
//!
//!     TOKENS             symlinks resolved first; the link itself survives
//!     TOKENS.lock        a kernel lock, never deleted, never stolen by age
//!     TOKENS.new         the draft
//!     TOKENS.new.again   a second draft, where the first one fails
//!     TOKENS.rescue-N    tokens, or a part of them, that no run uses or deletes; N is in epoch seconds
//!     TOKENS.answer-N    a response in which no tokens could be read; no run uses or deletes it
//!
//! The calling sequence: `find`, `read_unlocked`, `lock`; then `recover` (a dry run: `examine`), `read`, `draft`, and
//! after the response `commit` or `keep_response`. A draft that is dropped before that is removed.
//!
//! The lock is held from before the read that decides until the commit has ended. It blocks other runs
//! only: readers never lock, and see the old file or the new one.
//!
//! A draft goes through these states, and a run may be interrupted in any of them without harm:
//!
//! * *created*: empty, mode 0600; then it gets the owner, group and mode of TOKENS.
//! * *blank*: form feeds for the usual length of new content, and after them reserved space for the largest content
//!   (form feeds, too, where the file system cannot reserve space). The draft and its name are synced, so a full,
//!   read-only or forbidden disk is found before the refresh token is spent. JSON allows a form feed nowhere: a draft
//!   that is half written, or half on the disk, never parses. The lock file holds a fingerprint of the refresh token
//!   to be sent, until everything is done and on the disk.
//! * *complete*: the new content, written over the form feeds, cut to its length, synced. From here on the
//!   new refresh token is safe. A complete draft is only replaced as a whole.
//! * *committed*: renamed to TOKENS, and the directory synced.
//!
//! If the content cannot be written, or TOKENS was edited meanwhile, a second draft is written. Once complete and
//! synced, it replaces the first one.
//!
//! The next run recovers the drafts of an interrupted one. A blank draft is removed. A complete one is never
//! thrown away: it is promoted, or, if TOKENS by now holds another refresh token
//! than the one that was sent (a human authorized again), saved as TOKENS.rescue-N. If TOKENS by now is not a
//! token file, its content is saved under such a name. A draft that is neither blank nor complete is saved as
//! well, unless the lock file shows that the machine went down while it was written: then its tokens are
//! salvaged if its refresh token is whole; otherwise nothing in it can be used.
//!
//! A login goes through the same states. For a login, TOKENS may also be missing, blank or without tokens: then the
//! draft is private to this user, the note is the fingerprint of no token, and the next run that finds both with a
//! complete draft promotes it. Before the prompt, a login makes a draft as a proof, removes it, and releases the lock.
//!
//! Where a rename cannot replace TOKENS (a single file that is mounted into a container: `EBUSY`), it is
//! overwritten in place and synced. Until that is done, the complete draft is the redo log; the fingerprint is
//! erased first, so that the draft counts whatever part of it TOKENS holds.
//!
//! From before a response is saved unread, the lock file names the refresh token that brought it: no run sends that
//! token again while the response is there, even if the run that saved it was killed.

pub mod disk;
mod draft;
mod hint;
mod leftover;
mod lock;
mod locked;
mod mount;
mod path;
mod plan;
pub mod protection;
mod recovery;

use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::token_set::TokenSet;

pub use draft::Draft;
use leftover::Leftover;
use lock::{Lock, Note};
pub use locked::LockedTokenFile;
use locked::read;
use path::TokenPath;

/// A token file that exists and can be replaced.
pub struct TokenFile {
    path: TokenPath,
}

impl TokenFile {
    /// Resolves symlinks, so that the file is replaced and the links stay.
    pub fn find(given: &Path) -> Result<Self, Failure> {
        match TokenPath::find(given) {
            Ok(path) => Ok(Self { path }),
            Err(failure) => Self::left_by_login(given).ok_or(failure),
        }
    }

    /// Whether this path, without links, is that of the token file or of a file that belongs to it.
    pub fn owns(&self, path: &Path) -> bool {
        self.path.owns(path)
    }

    /// A token file that an interrupted login was about to create: its tokens are in the draft.
    fn left_by_login(given: &Path) -> Option<Self> {
        let path = TokenPath::find_for_login(given).ok().filter(|path| !disk::exists(path.resolved()))?;
        let is_of_login = matches!(Note::at(&path.lock()), Ok(note) if note == Note::of_first_login());
        let is_complete = || matches!(Leftover::at(&path.draft()), Ok(Leftover::Complete(_)));
        (is_of_login && is_complete()).then_some(Self { path })
    }

    /// Finds the token file for a login, which creates it if there is none.
    pub fn find_for_login(given: &Path) -> Result<Self, Failure> {
        TokenPath::find_for_login(given).map(|path| Self { path })
    }

    /// The content before the wait for the lock. None if another run is overwriting the file in place or creating it,
    /// or was interrupted while it did.
    pub fn read_unlocked(&self) -> Result<Option<TokenSet>, Failure> {
        match read(&self.path) {
            Err(unread) if unread.is_transient() && (disk::exists(&self.path.draft()) || read(&self.path).is_ok()) => {
                Ok(None)
            }
            seen => seen.map(Some).map_err(|unread| unread.failure(&self.path)),
        }
    }

    /// Waits for the lock, at most `timeout`, and calls `waiting` once if there is a wait.
    pub fn lock(self, timeout: Duration, waiting: &dyn Fn()) -> Result<LockedTokenFile, Failure> {
        self.path.check_length()?;
        let lock = Lock::acquire(&self.path, timeout, waiting)?;
        Ok(LockedTokenFile { path: self.path, lock })
    }
}
