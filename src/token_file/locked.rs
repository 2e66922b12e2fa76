//! A token file whose lock this run holds, and the steps that draft and recovery have in common.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};
use crate::os::Directory;
use crate::secret::Secret;
use crate::terminal::reason;
use crate::text::Fault;
use crate::token_file::disk;
use crate::token_file::hint::cannot_write;
use crate::token_file::leftover::Leftover;
use crate::token_file::lock::{Fingerprint, Lock, Note};
use crate::token_file::path::TokenPath;
use crate::token_file::protection::Protection;
use crate::token_set::{self, MAX_SIZE, TokenSet};

pub struct LockedTokenFile {
    pub path: TokenPath,
    pub lock: Lock,
}

/// Why a token file cannot be read as one.
pub enum ReadFailure {
    Unreadable(io::Error),
    NotATokenSet(Fault),
}

/// How a draft replaced TOKENS.
pub enum Placed {
    Renamed,
    /// A rename cannot replace a mount point.
    Overwritten,
    /// Overwritten, but the draft could not be removed.
    OverwrittenDraftLeft(io::Error),
}

/// Reads the token file as it is.
pub fn read(path: &TokenPath) -> Result<TokenSet, ReadFailure> {
    read_by(TokenSet::parse, path)
}

/// Reads the token file as a login does: it need not hold tokens yet.
pub fn read_for_login(path: &TokenPath) -> Result<TokenSet, ReadFailure> {
    read_by(TokenSet::parse_for_login, path)
}

/// As [`read_for_login`], after `before` was read from the file; None if it still holds the same.
pub fn read_for_login_if_changed(path: &TokenPath, before: &TokenSet) -> Result<Option<TokenSet>, ReadFailure> {
    match path.still_holds(before).map_err(ReadFailure::Unreadable)? {
        true => Ok(None),
        false => read_for_login(path).map(Some),
    }
}

fn read_by(parse: fn(&[u8]) -> Result<TokenSet, Fault>, path: &TokenPath) -> Result<TokenSet, ReadFailure> {
    let bytes = path.read(MAX_SIZE + 1).map_err(ReadFailure::Unreadable)?;
    parse(&bytes).map_err(ReadFailure::NotATokenSet)
}

impl ReadFailure {
    /// Whether another run may be about to change this.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreadable(error) => error.kind() == io::ErrorKind::NotFound,
            Self::NotATokenSet(_) => true,
        }
    }

    pub fn failure(&self, path: &TokenPath) -> Failure {
        match self {
            Self::Unreadable(error) => path.unreadable(error),
            Self::NotATokenSet(fault) => {
                let failure = path
                    .failure(Exit::DataErr, format!("not a token file: {fault}"))
                    .hint("it must be one JSON object with a refresh_token, such as a token response");
                hint_of(fault).into_iter().fold(failure, Failure::hint)
            }
        }
    }
}

fn hint_of(fault: &Fault) -> Option<&'static str> {
    match fault.what {
        token_set::MISSING | token_set::EMPTY => Some(
            "run docusign-refresh login to get one; its --scope must ask for it (Docusign: extended; most others: offline_access)",
        ),
        token_set::TOO_LARGE => Some("remove members that nobody reads"),
        _ => None,
    }
}

impl LockedTokenFile {
    /// Reads the token file under the lock.
    pub fn read(&self) -> Result<TokenSet, Failure> {
        read(&self.path).map_err(|unread| unread.failure(&self.path))
    }

    /// The decisive read. Also returns what was seen before the lock, if the file has changed since.
    pub fn read_after(&self, seen: Option<TokenSet>) -> Result<(TokenSet, Option<TokenSet>), Failure> {
        let is_same = seen.as_ref().map_or(Ok(false), |seen| self.path.still_holds(seen));
        match (seen, is_same.map_err(|error| self.path.unreadable(&error))?) {
            (Some(seen), true) => Ok((seen, None)),
            (seen, _) => Ok((self.read()?, seen)),
        }
    }

    /// Reads what a login adds tokens to. A missing file counts as an empty object.
    pub fn read_for_login(&self) -> Result<TokenSet, Failure> {
        match read_for_login(&self.path) {
            Err(ReadFailure::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => Ok(TokenSet::empty()),
            Err(ReadFailure::NotATokenSet(fault)) => Err(self
                .path
                .failure(Exit::DataErr, format!("not a token file: {fault}"))
                .hint("name a file that holds one JSON object, or one that does not exist: a login creates it")),
            stored => stored.map_err(|unread| unread.failure(&self.path)),
        }
    }

    /// Erases the note of a run, but not what it says of a response that nobody has read.
    pub fn clear_note(&self) {
        let _ = match self.responded() {
            Some(sent) => self.lock.note_responded(&sent),
            None => self.lock.erase_note(),
        };
    }

    /// The refresh token of which the note says that it brought a response that was not understood.
    fn responded(&self) -> Option<Fingerprint> {
        match self.lock.note() {
            Ok(Note::Response(Some(sent)) | Note::Responded(sent)) => Some(sent.clone()),
            Ok(Note::Response(None)) => read(&self.path).ok().map(|stored| Fingerprint::of(stored.refresh_token())),
            _ => None,
        }
    }

    /// Where that response is, if it still is. A dry run leaves it in a draft.
    fn unread_response(&self) -> Result<Option<PathBuf>, Failure> {
        let is_draft = |draft: &PathBuf| {
            matches!(self.lock.note(), Ok(Note::Response(_)))
                && !matches!(Leftover::at(draft), Ok(Leftover::Nothing | Leftover::Blank))
        };
        if let Some(draft) = [self.path.second_draft(), self.path.draft()].into_iter().find(is_draft) {
            return Ok(Some(draft));
        }
        let failed = |error| not_prepared(&self.path.draft(), "cannot look for a response in its directory", &error);
        self.path.kept_response().map_err(failed)
    }

    /// Fails while nobody has read the saved response to the stored refresh token: sending that token again would make
    /// a strict server revoke the one in the response (RFC 9700, section 4.14.2).
    pub fn refuse_if_response_unread(&self, stored: &TokenSet) -> Result<(), Failure> {
        if self.responded() != Some(Fingerprint::of(stored.refresh_token())) {
            return Ok(());
        }
        let Some(response) = self.unread_response()? else { return Ok(()) };
        let (tokens, response) = (self.path.given(), response.display());
        Err(self
            .path
            .failure(Exit::IoErr, format!("the refresh token was already sent, and the response is kept in {response}"))
            .hint(format!("nothing was sent; look in {response} for the new refresh token"))
            .hint(format!("store it in {tokens} as refresh_token, or log in again; then delete {response}"))
            .hint(format!("if it holds none, delete {response}: the next run then sends the stored refresh token")))
    }

    /// Lets other runs go on, before this one ends.
    pub fn release(self) {
        self.lock.release();
    }

    pub fn directory(&self) -> io::Result<Directory> {
        Directory::open(self.path.directory())
    }

    /// Creates a file with the protection of TOKENS. Its name is synced before its content, which counts as saved
    /// once it is synced itself.
    pub fn create(&self, path: &Path, tokens: &Protection, directory: &Directory, content: &[u8]) -> io::Result<File> {
        let file = tokens.create(path, self.path.resolved())?;
        tokens.give_if_allowed(&file, self.path.resolved())?;
        let _ = directory.sync_name(&file);
        disk::write_durably(&file, content)?;
        Ok(file)
    }

    /// Replaces TOKENS by a complete draft, which has this content.
    pub fn replace(&self, draft: &Path, content: &Secret) -> io::Result<Placed> {
        match disk::rename(draft, self.path.resolved()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
                self.lock.erase_note_durably()?;
                self.overwrite(content)?;
                Ok(disk::remove(draft).map_or_else(Placed::OverwrittenDraftLeft, |()| Placed::Overwritten))
            }
            renamed => renamed.map(|()| Placed::Renamed),
        }
    }

    /// One write, padded with newlines up to the old length: if it is interrupted, TOKENS holds the old content or
    /// the new one, possibly followed by newlines.
    #[expect(clippy::disallowed_methods, reason = "stored in the token file")]
    fn overwrite(&self, content: &Secret) -> io::Result<()> {
        let mut tokens = OpenOptions::new().write(true).open(self.path.resolved())?;
        let content = content.expose().as_bytes();
        let mut padded = content.to_vec();
        padded.resize(content.len().max(tokens.metadata()?.len().try_into().unwrap_or(0)), b'\n');
        tokens.write_all(&padded)?;
        disk::truncate_durably(&tokens, content.len())
    }
}

/// A step before the request failed on this file.
pub fn not_prepared(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::CantCreat, path.display().to_string(), format!("{what}: {}", reason(error)))
        .hint(cannot_write(error, path))
}
