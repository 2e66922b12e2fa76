//! The draft of a run: made and proven before the request, completed and committed after the response.
//!
//! A blank draft is removed on drop. Once there is a response, the draft is only ever renamed: to TOKENS, to
//! a rescue file, or to the name of a saved response.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};
use crate::os::{self, Directory};
use crate::secret::Secret;
use crate::shell::quoted_word;
use crate::terminal::reason;
use crate::token_file::disk;
use crate::token_file::leftover::Leftover;
use crate::token_file::lock::Fingerprint;
use crate::token_file::locked::{LockedTokenFile, Placed, ReadFailure, not_prepared, read_for_login_if_changed};
use crate::token_file::mount;
use crate::token_file::protection::Protection;
use crate::token_set::TokenSet;

/// A draft of a locked token file.
pub struct Draft<'a> {
    locked: &'a LockedTokenFile,
    /// Of the token file that it is to replace.
    replaced: Protection,
    path: PathBuf,
    file: File,
    directory: Directory,
    /// The largest response that it has room for.
    max_response: usize,
    state: State,
}

/// What it holds. Only a blank draft is ours to remove.
#[derive(PartialEq)]
enum State {
    /// Proves that there is room, and is worth nothing.
    Blank,
    /// Tokens, or a part of them.
    Tokens,
    /// A response that was not understood, or a part of it.
    Response,
}

/// A commit that succeeded.
pub struct Commit {
    pub stored: TokenSet,
    /// What did not go as usual, though the tokens are safe.
    pub warnings: Vec<Warning>,
}

pub enum Warning {
    /// TOKENS is a mount point and was overwritten in place.
    InPlace,
    /// The rename is done, but the directory could not be synced.
    DirectoryNotSynced(io::Error),
    /// TOKENS is done, but the draft could not be removed.
    DraftNotRemoved(io::Error),
    /// With all members of the response the token file would be too large to be read again.
    MembersLeftOut,
}

impl LockedTokenFile {
    /// Proves, before the refresh token is spent, that `stored` and a response of up to
    /// `max_response` bytes can be saved here.
    pub fn draft(&self, stored: &TokenSet, max_response: usize) -> Result<Draft<'_>, Failure> {
        if !stored.has_room_for_tokens() {
            return Err(self.too_large());
        }
        let tokens = self.path.resolved();
        let replaced = Protection::of(tokens).map_err(|error| self.path.unreadable(&error))?;
        let attributes = replaced.metadata().map(|metadata| os::attributes(tokens, metadata)).transpose();
        let attributes = attributes.map_err(|error| self.path.unreadable(&error))?;
        if attributes.as_ref().is_some_and(|attributes| attributes.is_immutable) {
            return Err(self.immutable());
        }
        let path = self.path.draft();
        let failed = |what| move |error: io::Error| not_prepared(&self.path.draft(), what, &error);
        let directory = self.directory().map_err(failed("cannot open its directory"))?;
        let size = stored.max_length(max_response);
        let is_mount = match (replaced.metadata(), attributes.and_then(|attributes| attributes.is_mount)) {
            (None, _) => false,
            (Some(_), Some(told)) => told,
            (Some(metadata), None) => {
                mount::looks_like_mount(tokens, metadata, &directory).map_err(failed("cannot look at its directory"))?
            }
        };
        if is_mount {
            mount::prove_writable(tokens, size).map_err(|error| self.mount_not_writable(&error))?;
        }
        let file = replaced.create(&path, tokens).map_err(failed("cannot make the draft"))?;
        let draft = Draft { locked: self, replaced, path, file, directory, max_response, state: State::Blank };
        draft.replaced.give(&draft.file, tokens).map_err(|error| draft.ownership_not_copied(&error))?;
        let proven = stored.usual_length().min(size);
        disk::make_room_durably(&draft.file, proven, size).map_err(failed("cannot reserve space in the draft"))?;
        let noted = self.lock.write_fingerprint(&Fingerprint::of(stored.refresh_token()));
        noted.map_err(failed("cannot write the lock file"))?;
        // Otherwise a power cut could lose the draft's name, whatever it holds by then.
        draft.directory.sync_name(&draft.file).map_err(failed("cannot sync its directory"))?;
        Ok(draft)
    }

    fn too_large(&self) -> Failure {
        self.path
            .failure(Exit::DataErr, "no room for new tokens: they could make the token file larger than 4 MiB")
            .hint("nothing was sent; remove members that nobody reads")
    }

    fn immutable(&self) -> Failure {
        self.path.failure(Exit::CantCreat, format!("the token file is {}", os::IMMUTABLE)).hint(format!(
            "nothing was sent; make it replaceable: {} {}",
            os::MAKE_MUTABLE,
            quoted_word(self.path.given())
        ))
    }

    fn mount_not_writable(&self, error: &io::Error) -> Failure {
        self.path
            .failure(Exit::CantCreat, format!("is a single-file bind mount and is not writable: {}", reason(error)))
            .hint(match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "nothing was sent; make room on its volume"
                }
                _ => "nothing was sent; instead of the file, mount its directory, and make it writable",
            })
    }
}

impl Draft<'_> {
    /// Saves what `refreshed` makes of the token set that was sent. Between this call and the
    /// sync of the complete draft there is nothing but a write and a truncation.
    pub fn commit(mut self, sent: &TokenSet, refreshed: &dyn Fn(&TokenSet) -> TokenSet) -> Result<Commit, Failure> {
        self.state = State::Tokens;
        let mut new = refreshed(sent);
        let mut content = new.document(sent.max_length(self.max_response));
        // After a failed sync the content of the file is unknown; a new file may succeed.
        if let Err(error) = self.write(&content) {
            self.write_second(&content).map_err(|_| self.not_written(&error))?;
            self.take_second()?;
        }
        // No other run can have written meanwhile, but an editor or a human can.
        match read_for_login_if_changed(&self.locked.path, sent) {
            Ok(Some(now)) if !now.refresh_token().is_same(sent.refresh_token()) => {
                return Err(self.set_aside());
            }
            Ok(Some(now)) if !now.is_same_document(sent) => {
                new = refreshed(&now);
                content = new.document(now.max_length(self.max_response));
                self.write_second(&content).map_err(|error| self.not_saved("cannot write the draft again", &error))?;
                self.take_second()?;
            }
            Ok(_) => {}
            // Deleted meanwhile: there is nothing of anyone's to keep.
            Err(ReadFailure::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(ReadFailure::Unreadable(error)) => {
                return Err(self.not_saved("cannot read the token file again", &error));
            }
            Err(ReadFailure::NotATokenSet(_)) => return Err(self.set_aside()),
        }
        let placed = self.locked.replace(&self.path, &content);
        let placed = placed.map_err(|error| self.not_saved("cannot replace the token file", &error))?;
        let warnings = self.finish(placed, &new);
        Ok(Commit { stored: new, warnings })
    }

    /// Syncs the new name, and only then erases the note, which tells the next run to sync it.
    fn finish(&self, placed: Placed, new: &TokenSet) -> Vec<Warning> {
        let mut warnings = match placed {
            Placed::Renamed => vec![],
            Placed::Overwritten => vec![Warning::InPlace],
            Placed::OverwrittenDraftLeft(error) => vec![Warning::DraftNotRemoved(error)],
        };
        if new.has_left_members_out() {
            warnings.push(Warning::MembersLeftOut);
        }
        match self.directory.sync_name(&self.file) {
            Ok(()) => drop(self.locked.lock.erase_note()),
            Err(error) => warnings.push(Warning::DirectoryNotSynced(error)),
        }
        warnings
    }

    /// Saves a response in which no tokens could be read, byte for byte, for a human to look at: under a name
    /// of its own, which no run touches, and where only the owner may read it. `sent` is the refresh token that brought
    /// it: most likely it is spent. If no note of that can be written, the next run sends it again, as after a lost
    /// response.
    pub fn keep_response(mut self, body: &[u8], sent: Option<&Secret>) -> Result<PathBuf, Failure> {
        self.state = State::Response;
        let kept = self.locked.path.response();
        let sent = sent.map_or_else(Fingerprint::of_none, Fingerprint::of);
        // If this run is killed, this tells the next one that the draft holds a response.
        let _ = self.locked.lock.note_response(&sent);
        let written = os::make_private(&self.file).and_then(|()| disk::write_durably(&self.file, body));
        // The note is to be on the disk no later than the name.
        let _ = self.locked.lock.sync();
        if let Err(error) = written.and_then(|()| disk::rename(&self.path, &kept)) {
            self.file = self.write_response_again(&kept, body).map_err(|_| self.response_not_kept(&kept, &error))?;
        }
        // Otherwise the next run has to do that first.
        if self.directory.sync_name(&self.file).is_ok() && !disk::exists(&self.path) {
            let _ = self.locked.lock.note_responded(&sent);
        }
        Ok(kept)
    }

    fn write_response_again(&self, kept: &Path, body: &[u8]) -> io::Result<File> {
        let file = self.replaced.create(kept, self.locked.path.resolved())?;
        // It is private from its creation. A wrong owner is better than no file.
        let _ = self.replaced.metadata().map(|metadata| os::copy_owner(metadata, &file));
        disk::write_durably(&file, body)?;
        // The new file holds all that the draft has of the response.
        let _ = disk::remove(&self.path);
        Ok(file)
    }

    #[expect(clippy::disallowed_methods, reason = "stored in the draft")]
    fn write(&self, content: &Secret) -> io::Result<()> {
        disk::write_durably(&self.file, content.expose().as_bytes())
    }

    /// Writes a second draft, complete before it takes the first one's place.
    #[expect(clippy::disallowed_methods, reason = "stored in the draft")]
    fn write_second(&mut self, content: &Secret) -> io::Result<()> {
        let path = self.locked.path.second_draft();
        self.file = self.locked.create(&path, &self.replaced, &self.directory, content.expose().as_bytes())?;
        Ok(())
    }

    fn take_second(&self) -> Result<(), Failure> {
        let second = self.locked.path.second_draft();
        disk::rename(&second, &self.path).map_err(|error| self.saved_in(&second, "cannot rename the draft", &error))
    }

    /// Keeps the other login, and syncs it before the tokens of this run are set aside for it.
    fn set_aside(&self) -> Failure {
        let rescue = self.locked.path.rescue();
        let renamed = self
            .directory
            .sync()
            .and_then(|()| os::sync(self.locked.path.resolved()))
            .and_then(|()| disk::rename(&self.path, &rescue));
        if let Err(error) = renamed {
            return self.not_saved("another login was stored during the run, and the draft cannot be renamed", &error);
        }
        if self.directory.sync_name(&self.file).is_ok() {
            let _ = self.locked.lock.erase_note();
        }
        self.failure_after_request(
            "the new tokens are not saved in place: another login was stored in the token file during the run",
        )
        .hint(format!("the other login was kept; the tokens of this run are in {}", rescue.display()))
        .hint("keep the one that works and delete the other file")
    }

    fn failure_after_request(&self, what: impl Into<String>) -> Failure {
        self.locked.path.failure(Exit::IoErr, what)
    }

    fn not_saved(&self, what: &str, error: &io::Error) -> Failure {
        self.saved_in(&self.path, what, error)
    }

    fn saved_in(&self, draft: &Path, what: &str, error: &io::Error) -> Failure {
        self.failure_after_request(format!("the new tokens are not saved in place: {what}: {}", reason(error)))
            .hint(format!("the new tokens are in {}: copy that file to a safe place now", draft.display()))
            .hint("the old refresh token no longer works; the next run that can write here puts the draft in place")
    }

    fn not_written(&self, error: &io::Error) -> Failure {
        let failure = self.failure_after_request(format!("cannot write the new tokens: {}", reason(error)));
        let failure = match self.keep_parts().as_slice() {
            [] => failure.hint("neither draft could be written: the new tokens are lost"),
            [one] => failure.hint(format!("the new tokens, or a part of them, are in {one}: copy it now")),
            [one, two, ..] => failure.hint(format!("the new tokens may be in {one} or {two}: copy both now")),
        };
        failure.hint("without the new refresh token, log in again: the old one no longer works")
    }

    fn response_not_kept(&self, kept: &Path, error: &io::Error) -> Failure {
        let failure = self
            .failure_after_request(format!("the response was not understood, and cannot be saved: {}", reason(error)));
        let kept = match Leftover::at(kept) {
            Ok(Leftover::Partial(_) | Leftover::Complete(_)) => Some(kept.display().to_string()),
            _ => {
                let _ = disk::remove(kept);
                None
            }
        };
        let parts = [kept.into_iter().collect(), self.keep_parts()].concat();
        let failure = match parts.as_slice() {
            [] => failure,
            parts => failure.hint(format!("the part that was written is in {}", parts.join(" and "))),
        };
        failure.hint("the refresh token may be spent: if the server rejects the next run, log in again")
    }

    /// Renames partial drafts, so that no run uses them, and returns the names. A draft that looks complete stays: the
    /// next run puts it in place, or saves it if it is a response.
    fn keep_parts(&self) -> Vec<String> {
        let drafts = [self.path.clone(), self.locked.path.second_draft()];
        let parts: Vec<PathBuf> = drafts.into_iter().filter_map(|draft| self.keep_part(draft)).collect();
        let _ = self.directory.sync();
        parts.iter().map(|path| path.display().to_string()).collect()
    }

    fn keep_part(&self, draft: PathBuf) -> Option<PathBuf> {
        match Leftover::at(&draft) {
            Ok(Leftover::Nothing) => None,
            Ok(Leftover::Blank) => {
                let _ = disk::remove(&draft);
                None
            }
            Ok(Leftover::Partial(_)) => {
                let path = &self.locked.path;
                let kept = if self.state == State::Response { path.response() } else { path.rescue() };
                if disk::rename(&draft, &kept).is_ok() {
                    return Some(kept);
                }
                // The next run must save it, and must not take it for the remains of a power cut.
                if self.state == State::Tokens {
                    let _ = self.locked.lock.erase_note();
                }
                Some(draft)
            }
            Ok(Leftover::Complete(_)) | Err(_) => Some(draft),
        }
    }

    fn ownership_not_copied(&self, error: &io::Error) -> Failure {
        let what = format!("cannot give the draft the owner and mode of the token file: {}", reason(error));
        Failure::new(Exit::CantCreat, self.path.display().to_string(), what).hint(format!(
            "nothing was sent; run as the owner of the token file ({}), or make this user its owner with chown or chgrp",
            self.replaced.metadata().map(os::owner_of).unwrap_or_default()
        ))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.state == State::Blank {
            // The next run removes a blank draft if this one can't.
            let _ = disk::remove(&self.path);
            self.locked.clear_note();
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace => {
                f.write_str("the token file is a mount point and was overwritten in place; mount its directory instead")
            }
            Self::DirectoryNotSynced(error) => {
                write!(f, "saved, but its directory could not be synced: {}", reason(error))
            }
            Self::DraftNotRemoved(error) => {
                write!(f, "saved in place, but the draft could not be removed: {}", reason(error))
            }
            Self::MembersLeftOut => f.write_str(
                "the token file has no room for every member of the response; the tokens were stored, some other members were left out",
            ),
        }
    }
}
