//! The draft of a run that died: promoted, set aside or removed by whoever holds the lock next.
//!
//! Two things decide: whether it says a token set, and whether TOKENS still holds the refresh token of
//! which the lock file keeps a fingerprint. Whatever fails here leaves the draft to the run after this.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{
    DRAFT, Error, LockedTokenFile, SECOND_DRAFT, draft_at, fingerprint, protection, read_up_to, retried, without_blanks,
};
use crate::secret::Secret;
use crate::token_set::TokenSet;

/// What the draft of an earlier, dead run was, and what became of it.
pub enum Recovery {
    /// It held newer tokens than TOKENS and is now TOKENS.
    Promoted,
    /// The same; TOKENS was no token file, and what it said stays at this path.
    Replaced(PathBuf),
    /// TOKENS holds those of another login; it stays at this path.
    SetAside(PathBuf),
}

impl LockedTokenFile {
    /// Deals with the draft that a dead run left.
    pub fn recover(&self) -> Result<Option<Recovery>, Error> {
        let path = self.file.beside(DRAFT);
        self.take_second().map_err(self.draft_failed("cannot take the second draft of an earlier run"))?;
        let Some(draft) = draft_at(&path).map_err(self.draft_failed("cannot read the draft of an earlier run"))? else {
            return Ok(None);
        };
        let recovery = self.recover_from(without_blanks(&draft))?;
        // Without a draft it says nothing.
        let _ = self.forget();
        Ok(recovery)
    }

    /// The second draft of a run that wrote one, if complete, takes the first one's place.
    fn take_second(&self) -> io::Result<()> {
        let path = self.file.beside(SECOND_DRAFT);
        let Some(bytes) = draft_at(&path)? else { return Ok(()) };
        if TokenSet::parse_of_any_size(&bytes).is_err() {
            return retried(|| fs::remove_file(&path));
        }
        // The run may have died before it synced this one; the first one may be on the disk.
        retried(|| protection::sync(&path))?;
        retried(|| fs::rename(&path, self.file.beside(DRAFT)))
    }

    fn recover_from(&self, content: &[u8]) -> Result<Option<Recovery>, Error> {
        let path = self.file.beside(DRAFT);
        let remove = || {
            retried(|| fs::remove_file(&path)).map_err(self.draft_failed("cannot remove the draft of an earlier run"))
        };
        let Ok(drafted) = TokenSet::parse_of_any_size(content) else {
            return remove().map(|()| None);
        };
        let noted = self.noted().map_err(self.draft_failed("cannot tell which token file it replaces"))?;
        let promote = || {
            let promoted = self.promote_recovered(&path, content);
            promoted.map_err(self.draft_failed("cannot promote the draft of an earlier run"))
        };
        match self.file.read() {
            Ok(stored) if stored.has_tokens_of(&drafted) => remove().map(|()| None),
            Ok(stored) if !noted.is_empty() && noted != fingerprint(stored.refresh_token()) => {
                let rescue = self.file.rescue_path();
                let moved = retried(|| fs::rename(&path, &rescue));
                moved.map_err(self.draft_failed("cannot set aside the draft of an earlier run"))?;
                Ok(Some(Recovery::SetAside(rescue)))
            }
            Err(Error::NotATokenFile(_)) if !noted.is_empty() => {
                let rescue =
                    self.keep_text().map_err(self.draft_failed("cannot keep what the token file says beside it"))?;
                promote().map(|()| Some(Recovery::Replaced(rescue)))
            }
            Err(Error::Unreadable(why)) if why.kind() != io::ErrorKind::NotFound => Err(Error::Unreadable(why)),
            _ => promote().map(|()| Some(Recovery::Promoted)),
        }
    }

    /// Copies what stands in TOKENS and is no token file, but someone's.
    fn keep_text(&self) -> io::Result<PathBuf> {
        let (tokens, rescue) = (&self.file.path, self.file.rescue_path());
        self.write_beside(&rescue, &fs::metadata(tokens)?, &read_up_to(tokens, usize::MAX)?)?;
        Ok(rescue)
    }

    fn promote_recovered(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let file = match self.cut(path, content.len()) {
            // It has the mode of TOKENS, which may let nobody write, not even its owner.
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                let again = self.file.beside(SECOND_DRAFT);
                let file = self.write_beside(&again, &fs::metadata(&self.file.path)?, content)?;
                retried(|| fs::rename(&again, path))?;
                file
            }
            cut => cut?,
        };
        let directory = protection::Directory::open(self.file.directory())?;
        self.promote(path, &Secret::new(String::from_utf8_lossy(content)))?;
        // Who forgets the new name in a power cut still has the draft's.
        let _ = directory.sync(&file);
        Ok(())
    }

    /// What a run did not come to that died after it had written its draft.
    fn cut(&self, draft: &Path, length: usize) -> io::Result<File> {
        let file = retried(|| OpenOptions::new().write(true).open(draft))?;
        retried(|| file.set_len(length as u64))?;
        retried(|| file.sync_all())?;
        Ok(file)
    }
}
