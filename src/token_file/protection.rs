//! Who may open the draft: those who may open TOKENS; or only this user, if there is no TOKENS yet.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use crate::os::{self, retrying};

pub enum Protection {
    OfTokens(Metadata),
    Private,
}

impl Protection {
    /// The protection of TOKENS as it is, or as a new file.
    pub fn of(tokens: &Path) -> io::Result<Self> {
        match retrying(|| fs::metadata(tokens)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Private),
            metadata => metadata.map(Self::OfTokens),
        }
    }

    pub fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::OfTokens(metadata) => Some(metadata),
            Self::Private => None,
        }
    }

    /// Creates a file, and nothing else: an existing file or link is an error. Only its owner may open it until
    /// [`Self::give`].
    pub fn create(&self, path: &Path, tokens: &Path) -> io::Result<File> {
        retrying(|| match self {
            Self::OfTokens(metadata) => os::create_draft(path, tokens, metadata),
            Self::Private => os::create_private(path),
        })
    }

    /// Gives this protection to a file that [`Self::create`] made.
    pub fn give(&self, file: &File, tokens: &Path) -> io::Result<()> {
        self.metadata().map_or(Ok(()), |metadata| os::copy_protection(tokens, metadata, file))
    }

    /// Gives a file that holds tokens already as much of this protection as this user may give, and never lets
    /// anybody open it who may not open TOKENS: a wrong owner is better than no tokens.
    pub fn give_if_allowed(&self, file: &File, tokens: &Path) -> io::Result<()> {
        match self {
            Self::OfTokens(metadata) => os::copy_protection_if_allowed(tokens, metadata, file),
            Self::Private => os::make_private(file),
        }
    }
}
