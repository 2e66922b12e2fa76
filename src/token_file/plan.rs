//! Decides what to do about the drafts of an interrupted run, and changes nothing.
//!
//! Three things count: what the drafts hold, whether TOKENS still holds the refresh token of which the lock
//! file keeps a fingerprint, and whether TOKENS has the draft's tokens already. No clock is involved.

use std::io;
use std::path::Path;

use crate::failure::Failure;
use crate::token_file::leftover::{Complete, Leftover};
use crate::token_file::lock::{Fingerprint, Note};
use crate::token_file::locked::{LockedTokenFile, ReadFailure, not_prepared, read};
use crate::token_set::TokenSet;

/// What to do about an interrupted run.
pub struct Plan {
    /// What becomes of the second draft, then of the first one.
    pub second: Step,
    pub first: Step,
    /// Whether there is a note to erase, and names to sync.
    pub is_interrupted: bool,
}

/// What becomes of one draft.
pub enum Step {
    Nothing,
    /// It is blank.
    Remove,
    /// TOKENS has its tokens.
    RemoveCopy,
    /// The machine went down while it was written, before it held a refresh token; or the other draft has the
    /// whole of it.
    RemovePart,
    /// The second draft takes the first one's place.
    BecomeFirst,
    /// It is incomplete, and may hold tokens.
    SavePart,
    SaveResponse,
    /// TOKENS holds another login.
    SetAside(Complete),
    Promote(Complete),
    /// Promote what was salvaged from an incomplete draft.
    Salvage(Complete),
    /// Save the content of TOKENS, which is not a token file; then promote.
    Replace(Complete),
}

impl LockedTokenFile {
    /// The plan for what an interrupted run left. Changes nothing.
    pub fn examine(&self) -> Result<Plan, Failure> {
        let lock = self.path.lock();
        let note = self.lock.note().map_err(|error| not_prepared(&lock, "cannot read the lock file", error))?;
        // A saved response says nothing about a draft.
        let note = if let Note::Responded(_) = note { &Note::Nothing } else { note };
        let step = |path: &Path| {
            let leftover = Leftover::at(path);
            let failed = |error| not_prepared(path, "cannot read the draft of an interrupted run", &error);
            self.step_for(leftover.map_err(failed)?, note)
        };
        let (second, first) = match (step(&self.path.second_draft())?, step(&self.path.draft())?) {
            (Step::Salvage(whole), Step::Nothing | Step::Remove | Step::RemovePart) => {
                (Step::BecomeFirst, Step::Salvage(whole))
            }
            (Step::Salvage(_), first) => (Step::RemovePart, first),
            (
                second @ (Step::Nothing | Step::Remove | Step::RemovePart | Step::SavePart | Step::SaveResponse),
                first,
            ) => (second, first),
            // The second draft, once complete, holds what the first one was to hold.
            (second, _) => (Step::BecomeFirst, second),
        };
        Ok(Plan { second, first, is_interrupted: *note != Note::Nothing })
    }

    fn step_for(&self, draft: Leftover, note: &Note) -> Result<Step, Failure> {
        match draft {
            Leftover::Nothing => Ok(Step::Nothing),
            Leftover::Blank => Ok(Step::Remove),
            _ if matches!(note, Note::Response(_)) => Ok(Step::SaveResponse),
            Leftover::Partial(part) => Ok(self.step_for_part(&part, note)),
            Leftover::Complete(draft) => self.step_for_complete(draft, note),
        }
    }

    /// If the note of its run is still there, the machine went down while the part was written: a run that fails by
    /// itself renames the part.
    fn step_for_part(&self, part: &[u8], note: &Note) -> Step {
        match read(&self.path) {
            Ok(stored) if note.is_about(&stored) => match stored.salvaged(part) {
                Some(salvaged) => Step::Salvage(salvaged.into()),
                None => Step::RemovePart,
            },
            _ => Step::SavePart,
        }
    }

    fn step_for_complete(&self, draft: Complete, note: &Note) -> Result<Step, Failure> {
        match read(&self.path) {
            Ok(stored) if stored.has_tokens_of(&draft.tokens) => Ok(Step::RemoveCopy),
            Ok(stored) if *note != Note::Nothing && !note.is_about(&stored) => Ok(Step::SetAside(draft)),
            // What a login found there, and added its tokens to.
            Err(ReadFailure::NotATokenSet(_)) if *note == Note::of_first_login() => Ok(Step::Promote(draft)),
            Err(ReadFailure::NotATokenSet(_)) if *note != Note::Nothing => Ok(Step::Replace(draft)),
            Err(ReadFailure::Unreadable(error)) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.path.unreadable(&error))
            }
            _ => Ok(Step::Promote(draft)),
        }
    }
}

impl Note {
    /// Whether the interrupted run sent the refresh token that is stored.
    fn is_about(&self, stored: &TokenSet) -> bool {
        matches!(self, Self::Replaces(fingerprint) if *fingerprint == Fingerprint::of(stored.refresh_token()))
    }
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        !self.has_drafts() && !self.is_interrupted
    }

    /// Whether a draft is there already, under a name that this run would need.
    pub fn has_drafts(&self) -> bool {
        !matches!((&self.second, &self.first), (Step::Nothing, Step::Nothing))
    }

    /// The token set that TOKENS holds once this plan is carried out, if that changes it.
    pub fn promoted(self) -> Option<TokenSet> {
        match self.first {
            Step::Promote(draft) | Step::Salvage(draft) | Step::Replace(draft) => Some(draft.tokens),
            _ => None,
        }
    }

    /// What a run would do, a line each.
    pub fn lines(&self) -> Vec<&'static str> {
        [&self.second, &self.first].into_iter().filter_map(Step::line).collect()
    }
}

impl Step {
    fn line(&self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Remove | Self::RemoveCopy | Self::BecomeFirst => None,
            Self::RemovePart => Some("would remove an incomplete draft of an interrupted run"),
            Self::SavePart => Some("would save an incomplete draft of an interrupted run"),
            Self::SaveResponse => Some("would save a response that an interrupted run could not read"),
            Self::SetAside(_) => {
                Some("would save the tokens of an interrupted run, and keep the token file, which holds another login")
            }
            Self::Promote(_) => Some("would recover the tokens of an interrupted run"),
            Self::Salvage(_) => Some("would recover the tokens of an interrupted run from an incomplete draft"),
            Self::Replace(_) => Some(
                "would recover the tokens of an interrupted run, and save the current content, which is not a token file",
            ),
        }
    }

    /// The message if this step fails.
    pub fn failure(&self) -> &'static str {
        match self {
            Self::Nothing | Self::Remove | Self::RemoveCopy | Self::RemovePart => {
                "cannot remove the draft of an interrupted run"
            }
            Self::BecomeFirst => "cannot rename the second draft of an interrupted run",
            Self::SavePart | Self::SaveResponse | Self::SetAside(_) => "cannot save the draft of an interrupted run",
            Self::Promote(_) | Self::Salvage(_) => "cannot recover the draft of an interrupted run",
            Self::Replace(_) => "cannot save the token file's content, or recover the draft of an interrupted run",
        }
    }
}
