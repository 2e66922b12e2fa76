//! Recovers, saves or removes what an interrupted run left. Called under the lock.
//!
//! No step relies on anything that a power cut may undo: names are synced before the first step, someone else's
//! content before our draft is set aside for it, and everything before the note is erased. If a step fails, the
//! drafts stay for the next run.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::os::{self, Directory, retrying};
use crate::secret::Secret;
use crate::token_file::disk;
use crate::token_file::leftover::Complete;
use crate::token_file::locked::{LockedTokenFile, not_prepared};
use crate::token_file::plan::Step;
use crate::token_file::protection::Protection;

/// What a run has done about an interrupted one.
pub enum Recovery {
    /// The draft held newer tokens than TOKENS, and is TOKENS now.
    Promoted,
    /// The tokens of an incomplete draft are in TOKENS now.
    Salvaged,
    /// The draft is TOKENS now; what TOKENS was, not a token file, is saved here.
    Replaced(PathBuf),
    /// TOKENS holds another login; the draft is saved here.
    SetAside(PathBuf),
    /// An incomplete draft is saved here.
    PartSaved(PathBuf),
    /// An incomplete draft that is of no use is removed.
    PartRemoved,
    /// A response that could not be read is saved here.
    ResponseSaved(PathBuf),
}

/// A step that succeeded.
struct Done {
    recovery: Option<Recovery>,
    /// What is TOKENS now.
    promoted: Option<File>,
}

impl Done {
    fn silent() -> Self {
        Self { recovery: None, promoted: None }
    }

    fn reported(recovery: Recovery) -> Self {
        Self { recovery: Some(recovery), promoted: None }
    }
}

impl LockedTokenFile {
    /// Recovers what an interrupted run left, and reports each step once it is done.
    pub fn recover(&self, report: &mut dyn FnMut(Recovery)) -> Result<(), Failure> {
        let plan = self.examine()?;
        if plan.is_empty() {
            return Ok(());
        }
        let failed = |what| move |error: io::Error| not_prepared(&self.path.draft(), what, &error);
        let directory = self.directory().map_err(failed("cannot open its directory"))?;
        // A run may have been killed between a change of names and their sync.
        directory.sync().map_err(failed("cannot sync its directory"))?;
        let mut renamed = None;
        for (draft, step) in [(self.path.second_draft(), plan.second), (self.path.draft(), plan.first)] {
            let what = step.failure();
            let done = self.take(step, &draft, &directory).map_err(|error| not_prepared(&draft, what, &error))?;
            done.recovery.map(&mut *report);
            renamed = done.promoted.or(renamed);
        }
        let synced = renamed.map_or_else(|| directory.sync(), |file| directory.sync_name(&file));
        synced.map_err(failed("cannot sync its directory"))?;
        if plan.is_interrupted {
            self.clear_note();
        }
        Ok(())
    }

    fn take(&self, step: Step, draft: &Path, directory: &Directory) -> io::Result<Done> {
        match step {
            Step::Nothing => Ok(Done::silent()),
            Step::Remove => disk::remove(draft).map(|()| Done::silent()),
            Step::RemoveCopy => {
                // TOKENS may not be synced: somebody copied the draft, or a run was killed while overwriting.
                os::sync(self.path.resolved())?;
                disk::remove(draft).map(|()| Done::silent())
            }
            Step::RemovePart => disk::remove(draft).map(|()| Done::reported(Recovery::PartRemoved)),
            Step::BecomeFirst => {
                os::sync(draft)?;
                disk::rename(draft, &self.path.draft()).map(|()| Done::silent())
            }
            Step::SavePart => {
                self.save(draft, self.path.rescue()).map(|path| Done::reported(Recovery::PartSaved(path)))
            }
            Step::SaveResponse => {
                self.save(draft, self.path.response()).map(|path| Done::reported(Recovery::ResponseSaved(path)))
            }
            Step::SetAside(whole) => {
                os::sync(self.path.resolved())?;
                self.finish(draft, &whole.content, directory)?;
                self.save(draft, self.path.rescue()).map(|path| Done::reported(Recovery::SetAside(path)))
            }
            Step::Promote(whole) => {
                let file = self.finish(draft, &whole.content, directory)?;
                self.promote(draft, &whole, file, Recovery::Promoted)
            }
            Step::Salvage(whole) => {
                let file = self.rewrite(draft, &whole.content, directory)?;
                self.promote(draft, &whole, file, Recovery::Salvaged)
            }
            Step::Replace(whole) => {
                let rescue = self.copy_tokens(directory)?;
                let file = self.finish(draft, &whole.content, directory)?;
                self.promote(draft, &whole, file, Recovery::Replaced(rescue))
            }
        }
    }

    fn promote(&self, draft: &Path, whole: &Complete, file: File, recovery: Recovery) -> io::Result<Done> {
        self.replace(draft, &Secret::new(String::from_utf8_lossy(&whole.content)))?;
        Ok(Done { recovery: Some(recovery), promoted: Some(file) })
    }

    fn save(&self, draft: &Path, to: PathBuf) -> io::Result<PathBuf> {
        os::sync(draft)?;
        disk::rename(draft, &to)?;
        Ok(to)
    }

    /// Saves a copy of TOKENS, which is not a token file but may matter to somebody.
    fn copy_tokens(&self, directory: &Directory) -> io::Result<PathBuf> {
        let (tokens, rescue) = (self.path.resolved(), self.path.rescue());
        let content = disk::read_prefix(tokens, usize::MAX)?;
        self.create(&rescue, &Protection::of(tokens)?, directory, &content)?;
        Ok(rescue)
    }

    /// Finishes the truncation and the sync that the interrupted run did not reach.
    fn finish(&self, draft: &Path, content: &[u8], directory: &Directory) -> io::Result<File> {
        match self.truncate(draft, content.len()) {
            // It has the mode of TOKENS, which may forbid writing even to its owner. Or it is somebody else's.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.rewrite(draft, content, directory),
            truncated => truncated,
        }
    }

    /// Somebody may have copied the draft or changed its mode, or the mode of TOKENS.
    fn truncate(&self, draft: &Path, length: usize) -> io::Result<File> {
        let file = retrying(|| os::open_draft(draft))?;
        let tokens = self.path.resolved();
        Protection::of(tokens)?.give_if_allowed(&file, tokens)?;
        disk::truncate_durably(&file, length)?;
        Ok(file)
    }

    /// Replaces a draft by one with this content.
    fn rewrite(&self, draft: &Path, content: &[u8], directory: &Directory) -> io::Result<File> {
        let again = self.path.second_draft();
        let file = self.create(&again, &Protection::of(self.path.resolved())?, directory, content)?;
        disk::rename(&again, draft)?;
        Ok(file)
    }
}

impl Recovery {
    /// Whether TOKENS now holds other tokens.
    pub fn has_replaced_tokens(&self) -> bool {
        matches!(self, Self::Promoted | Self::Salvaged | Self::Replaced(_))
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promoted => f.write_str("recovered the tokens of an interrupted run"),
            Self::Salvaged => f.write_str("recovered the tokens of an interrupted run from an incomplete draft"),
            Self::PartRemoved => {
                f.write_str("removed an incomplete draft of an interrupted run; it held no refresh token")
            }
            Self::Replaced(path) => write!(
                f,
                "recovered the tokens of an interrupted run; the previous content was not a token file and was saved as {}",
                path.display()
            ),
            Self::SetAside(path) => write!(
                f,
                "an interrupted run refreshed a login that the token file no longer holds; the tokens of that run were \
                 saved as {}",
                path.display()
            ),
            Self::PartSaved(path) => write!(
                f,
                "an interrupted run left an incomplete draft, which may hold new tokens; it was saved as {}",
                path.display()
            ),
            Self::ResponseSaved(path) => {
                write!(
                    f,
                    "an interrupted run left a response that it could not read; it was saved as {}",
                    path.display()
                )
            }
        }
    }
}
