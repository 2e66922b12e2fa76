//! Where a token file is, and the names next to it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::{Exit, Failure};
use crate::os::{self, retrying};
use crate::sibling::{is_of_directory, sibling};
use crate::terminal::reason;
use crate::token_file::disk;
use crate::token_file::leftover::Leftover;
use crate::token_set::TokenSet;

const LOCK: &str = ".lock";
const DRAFT: &str = ".new";
const SECOND_DRAFT: &str = ".new.again";
/// Tokens, or what may be some, that no run touches.
const RESCUE: &str = ".rescue-";
/// A response without tokens that this program could read.
const RESPONSE: &str = ".answer-";

/// Every file system allows a name of this many bytes (eCryptfs allows the fewest).
const SHORT_NAME: usize = 143;

/// The path of a token file that can be replaced, as given and without links.
pub struct TokenPath {
    given: String,
    resolved: PathBuf,
    /// Of the file in bytes, when it was last looked at.
    length: Cell<usize>,
}

impl TokenPath {
    /// Resolves symlinks, so that the file is replaced and the links stay.
    pub fn find(given: &Path) -> Result<Self, Failure> {
        let path = Self::unresolved_yet(given);
        if os::is_device(given) {
            return Err(path.not_replaceable("is a device"));
        }
        let resolved = retrying(|| os::resolve(given)).map_err(|error| path.unresolved(&error))?;
        let path = Self { resolved, ..path };
        let metadata = retrying(|| fs::metadata(&path.resolved)).map_err(|error| path.unreadable(&error))?;
        if metadata.is_dir() {
            return Err(path.not_replaceable("is a directory"));
        }
        if !metadata.is_file() {
            return Err(path.not_replaceable("is not a regular file"));
        }
        if os::has_hard_links(&path.resolved, &metadata) {
            return Err(path.not_replaceable("has other hard links, which replacing it would break"));
        }
        path.length.set(usize::try_from(metadata.len()).unwrap_or(usize::MAX));
        Ok(path)
    }

    fn unresolved_yet(given: &Path) -> Self {
        Self { given: given.display().to_string(), resolved: given.to_owned(), length: Cell::default() }
    }

    /// Reads the file, but not more than `limit` bytes of it.
    pub fn read(&self, limit: usize) -> io::Result<Vec<u8>> {
        let content = disk::read_expecting(&self.resolved, limit, self.length.get())?;
        self.length.set(content.len());
        Ok(content)
    }

    /// Whether the file still holds the text that `tokens` was read from.
    pub fn still_holds(&self, tokens: &TokenSet) -> io::Result<bool> {
        retrying(|| tokens.is_read_from(File::open(&self.resolved)?))
    }

    /// Finds the token file for a login, which creates it if there is none.
    pub fn find_for_login(given: &Path) -> Result<Self, Failure> {
        let path = Self::unresolved_yet(given);
        match retrying(|| fs::symlink_metadata(given)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                path.in_its_directory(given)
            }
            Err(error) => Err(path.unreadable(&error)),
            Ok(_) => Self::find(given),
        }
    }

    /// The path of a file that is not there yet.
    fn in_its_directory(self, given: &Path) -> Result<Self, Failure> {
        let Some(name) = given.file_name().filter(|_| !os::is_device(given) && !is_of_directory(given)) else {
            return Err(self.not_replaceable("is not a file name"));
        };
        let directory = given.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match retrying(|| os::resolve(directory)) {
            Ok(directory) => Ok(Self { resolved: directory.join(name), ..self }),
            Err(error) => Err(self
                .failure(Exit::CantCreat, format!("cannot create the token file: its directory: {}", reason(&error)))
                .hint("nothing was sent; check the path, and create the directory first")),
        }
    }

    /// Fails if the file system allows the token file's name, but not the longer ones that a failure or a recovery
    /// needs. The longest suffix decides.
    pub fn check_length(&self) -> Result<(), Failure> {
        let longest = self.sibling(&format!("{RESCUE}{}", now()));
        if longest.as_os_str().len() <= SHORT_NAME {
            return Ok(());
        }
        match retrying(|| fs::symlink_metadata(&longest)) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                let suffix = longest.as_os_str().len() - self.resolved.as_os_str().len();
                let what = "the name is too long: no room for the names of the draft and of saved tokens";
                Err(self.failure(Exit::CantCreat, what).hint(format!(
                    "nothing was sent; use a name or path that is at least {suffix} bytes shorter than the limit"
                )))
            }
            _ => Ok(()),
        }
    }

    pub fn given(&self) -> &str {
        &self.given
    }

    pub fn resolved(&self) -> &Path {
        &self.resolved
    }

    pub fn directory(&self) -> &Path {
        self.resolved.parent().unwrap_or(Path::new("/"))
    }

    /// Whether this is the path of the token file, or of one of those next to it.
    pub fn owns(&self, path: &Path) -> bool {
        // On Windows and macOS, case does not distinguish names.
        let name = |path: &Path| match cfg!(any(windows, target_os = "macos")) {
            true => path.to_string_lossy().to_lowercase(),
            false => path.to_string_lossy().into_owned(),
        };
        let path = name(path);
        path.strip_prefix(&name(&self.resolved)).is_some_and(|suffix| {
            ["", LOCK, DRAFT, SECOND_DRAFT].contains(&suffix)
                || [RESCUE, RESPONSE].iter().any(|kept| suffix.starts_with(kept))
        })
    }

    pub fn lock(&self) -> PathBuf {
        self.sibling(LOCK)
    }

    pub fn draft(&self) -> PathBuf {
        self.sibling(DRAFT)
    }

    pub fn second_draft(&self) -> PathBuf {
        self.sibling(SECOND_DRAFT)
    }

    /// A free name for tokens, or what may be some.
    pub fn rescue(&self) -> PathBuf {
        self.free_sibling(RESCUE)
    }

    /// A free name for a response.
    pub fn response(&self) -> PathBuf {
        self.free_sibling(RESPONSE)
    }

    /// A response that an earlier run saved, if there is one.
    pub fn kept_response(&self) -> io::Result<Option<PathBuf>> {
        let prefix = self.sibling(RESPONSE);
        let prefix = prefix.file_name().unwrap_or_default().as_encoded_bytes();
        for entry in retrying(|| fs::read_dir(self.directory()))? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(prefix) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    fn free_sibling(&self, suffix: &str) -> PathBuf {
        let mut candidates = (now()..).map(|seconds| self.sibling(&format!("{suffix}{seconds}")));
        candidates.find(|path| !disk::exists(path)).unwrap_or_else(|| self.sibling(suffix))
    }

    /// A path in the same directory, with a suffix to the name.
    fn sibling(&self, suffix: &str) -> PathBuf {
        sibling(&self.resolved, suffix)
    }

    /// A failure about the token file, under the name that the user gave.
    pub fn failure(&self, exit: Exit, what: impl Into<String>) -> Failure {
        Failure::new(exit, &self.given, what)
    }

    pub fn unreadable(&self, error: &io::Error) -> Failure {
        self.failure(Exit::NoInput, format!("cannot read the token file: {}", reason(error))).hint(match error.kind() {
            io::ErrorKind::PermissionDenied => "run as a user who may read it",
            io::ErrorKind::NotFound if self.resolved.is_symlink() => {
                "the link points to a missing file: create that file, or remove the link"
            }
            _ => {
                "pass the token file as an argument or set DOCUSIGN_TOKEN_FILE; to create it, run docusign-refresh login"
            }
        })
    }

    fn unresolved(&self, error: &io::Error) -> Failure {
        match Leftover::at(&self.draft()) {
            Ok(Leftover::Complete(_)) if error.kind() == io::ErrorKind::NotFound => self
                .failure(Exit::NoInput, "the token file is missing, but an interrupted run left a complete draft")
                .hint(format!("to use it, rename {} to {}", self.draft().display(), self.given)),
            _ => self.unreadable(error),
        }
    }

    fn not_replaceable(&self, what: &str) -> Failure {
        self.failure(Exit::NoInput, format!("cannot be used as the token file: it {what}"))
            .hint("use a regular file: each run replaces it as a whole")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
