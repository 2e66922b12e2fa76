//! The draft of a run: made and proven before the request, completed and committed after the answer.
//!
//! A `Draft` owns TOKENS.new. While that is blank, it goes with its owner; once the answer is there, it
//! only ever leaves its name for another one: that of TOKENS, or of a rescue copy.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, IoSlice, Write as _};
use std::path::PathBuf;

use super::{DRAFT, Error, LockedTokenFile, SECOND_DRAFT, complete, fingerprint, mount, protection, retried};
use crate::secret::Secret;
use crate::text::reason;
use crate::token_set::TokenSet;

/// What the new content may need beside the old content and the reply: separators and expiry.
const DRAFT_MARGIN: usize = 4096;

/// A blank draft of a locked token file. Dropped uncommitted, it is removed.
pub struct Draft<'a> {
    locked: &'a LockedTokenFile,
    replaced: Metadata,
    path: PathBuf,
    file: File,
    directory: protection::Directory,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Blank,
    /// Holds tokens, or may: not ours to remove.
    Kept,
}

/// A commit that succeeded.
pub struct Commit {
    pub stored: TokenSet,
    /// What did not go as usual, though the tokens are safe.
    pub warning: Option<Warning>,
}

pub enum Warning {
    /// TOKENS is a mount point and was overwritten in place.
    InPlace,
    /// The rename is done, but the directory could not be synced.
    DirectoryNotSynced(io::Error),
    /// TOKENS is done, but the draft could not be removed.
    DraftNotRemoved(io::Error),
}

impl LockedTokenFile {
    /// Proves, before the refresh token is spent, that `stored` and a reply of up to
    /// `largest_reply` bytes can be saved here.
    pub fn draft(&self, stored: &TokenSet, largest_reply: usize) -> Result<Draft<'_>, Error> {
        let path = self.file.beside(DRAFT);
        let tokens = retried(|| fs::metadata(&self.file.path)).map_err(Error::Unreadable)?;
        let is_fixed = retried(|| protection::is_fixed(&self.file.path, &tokens));
        if is_fixed.map_err(Error::Unreadable)? {
            return Err(Error::Fixed(protection::MAKE_REPLACEABLE));
        }
        let directory = protection::Directory::open(self.file.directory())
            .map_err(self.draft_failed("cannot open its directory"))?;
        let size = stored.document_length() + largest_reply + DRAFT_MARGIN;
        if mount::is_mount_point(&self.file.path, &tokens, &directory) {
            let proven = mount::prove_writable(&self.file.path, size);
            proven.map_err(Error::MountNotWritable)?;
        }
        let file = retried(|| protection::create_draft(&path, &self.file.path, &tokens))
            .map_err(self.draft_failed("cannot make the draft"))?;
        let mut draft = Draft { locked: self, replaced: tokens, path, file, directory, state: State::Blank };
        protection::copy(&self.file.path, &draft.replaced, &draft.file)
            .map_err(|why| Error::NotOurs { draft: draft.path.clone(), why })?;
        draft.fill(size).map_err(self.draft_failed("cannot reserve space in the draft"))?;
        let noted = self.note(&fingerprint(stored.refresh_token()));
        noted.map_err(self.draft_failed("cannot note in the lock file which refresh token it replaces"))?;
        // Or else a power cut may forget the draft's name, whatever it holds by then.
        draft.directory.sync(&draft.file).map_err(self.draft_failed("cannot sync its directory"))?;
        Ok(draft)
    }
}

impl Draft<'_> {
    /// By writing: fallocate takes 2 ms less on a disk, but on a thin volume or a server's it proves
    /// nothing.
    fn fill(&mut self, size: usize) -> io::Result<()> {
        // One buffer many times in one system call, not a megabyte of memory.
        let blanks = [b'\n'; 32 << 10];
        let mut slices = vec![IoSlice::new(&blanks); size.div_ceil(blanks.len())];
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match self.file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        retried(|| self.file.sync_all())
    }

    /// Saves what `refreshed` makes of the token set that was sent. Between this call and the
    /// sync of the complete draft there is nothing but a write and a truncation.
    pub fn commit(mut self, sent: &TokenSet, refreshed: impl Fn(&TokenSet) -> TokenSet) -> Result<Commit, Error> {
        self.state = State::Kept;
        let mut new = refreshed(sent);
        let mut content = new.document();
        // After a failed sync nothing is known of a file; a fresh one may fare better.
        if let Err(why) = self.write(&content) {
            self.write_again(&content).map_err(|_| Error::NotWritten { draft: self.path.clone(), why })?;
            self.take_again()?;
        }
        // Nobody who uses the lock wrote meanwhile; an editor or a human may have.
        match self.locked.read() {
            Ok(now) if !now.refresh_token().is_same(sent.refresh_token()) => return Err(self.set_aside()),
            Ok(now) if !now.is_same_document(sent) => {
                new = refreshed(&now);
                content = new.document();
                self.write_again(&content).map_err(self.not_saved("cannot write the draft again"))?;
                self.take_again()?;
            }
            Ok(_) => {}
            // Deleted meanwhile: there is nothing of anyone's to keep.
            Err(Error::Unreadable(why)) if why.kind() == io::ErrorKind::NotFound => {}
            Err(Error::Unreadable(why)) => return Err(self.not_saved("cannot read the token file again")(why)),
            Err(_) => return Err(self.set_aside()),
        }
        let promoted = self.locked.promote(&self.path, &content);
        let mut warning = promoted.map_err(self.not_saved("cannot replace the token file"))?;
        if let Err(why) = self.directory.sync(&self.file) {
            warning.get_or_insert(Warning::DirectoryNotSynced(why));
        }
        let _ = self.locked.forget();
        Ok(Commit { stored: new, warning })
    }

    #[expect(clippy::disallowed_methods, reason = "stored in the draft")]
    fn write(&self, content: &Secret) -> io::Result<()> {
        complete(&self.file, content.expose().as_bytes())
    }

    /// Writes a second draft, complete before it takes the first one's place.
    #[expect(clippy::disallowed_methods, reason = "stored in the draft")]
    fn write_again(&mut self, content: &Secret) -> io::Result<()> {
        self.file = self.locked.write_beside(&self.path_again(), &self.replaced, content.expose().as_bytes())?;
        Ok(())
    }

    fn take_again(&self) -> Result<(), Error> {
        let failed = |why| Error::NotSaved { draft: self.path_again(), doing: "cannot rename the draft", why };
        retried(|| fs::rename(self.path_again(), &self.path)).map_err(failed)
    }

    fn path_again(&self) -> PathBuf {
        self.locked.file.beside(SECOND_DRAFT)
    }

    fn not_saved(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let draft = self.path.clone();
        move |why| Error::NotSaved { draft, doing, why }
    }

    fn set_aside(&self) -> Error {
        let rescue = self.locked.file.rescue_path();
        match retried(|| fs::rename(&self.path, &rescue)) {
            // A rescue copy that the directory forgets in a power cut is still better than none.
            Ok(()) => {
                let _ = self.directory.sync(&self.file);
                let _ = self.locked.forget();
                Error::Superseded(rescue)
            }
            Err(why) => {
                self.not_saved("someone else wrote the token file meanwhile, and the draft cannot be set aside")(why)
            }
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.state == State::Blank {
            // The next run removes a blank draft if this one can't.
            let _ = retried(|| fs::remove_file(&self.path));
            let _ = self.locked.forget();
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace => {
                f.write_str("the token file is a mount point and was overwritten in place; mount its directory instead")
            }
            Self::DirectoryNotSynced(why) => write!(f, "saved, but its directory could not be synced: {}", reason(why)),
            Self::DraftNotRemoved(why) => {
                write!(f, "saved in place, but the draft could not be removed: {}", reason(why))
            }
        }
    }
}
