//! Writes the access token to a file of its own, for readers that must not see the refresh token.
//!
//!     FILE          symlinks resolved first; the link itself survives
//!     FILE.new      the draft, with the owner, group and mode of FILE before it holds a token
//!
//! A reader sees the old content or the new one, whole: the draft is synced, renamed to FILE, and then the
//! directory is synced. If FILE holds the same already, nothing is written. A FILE that is not there is
//! created with mode 0640, less the umask, in a directory that exists.
//!
//! All this is done under the lock of the token file, so a slower run cannot replace a newer access token by an
//! older one. The next run removes a draft that an interrupted one left.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::access_token::AccessToken;
use crate::config::{AccessTokenFile, AccessTokenFormat, DRAFT};
use crate::failure::{Exit, Failure};
use crate::os::{self, retrying};
use crate::report::Published;
use crate::secret::Secret;
use crate::sibling::sibling;
use crate::terminal::reason;
use crate::token_file::{TokenFile, disk};

/// The variable that `EnvironmentFile=` sets, in the format `env`.
const VARIABLE: &str = "DOCUSIGN_ACCESS_TOKEN";

/// How many symlinks in a row are followed: as many as Linux follows.
const MAX_LINKS: usize = 40;

/// A file that can be replaced, or created.
pub struct Target {
    given: PathBuf,
    resolved: PathBuf,
    format: AccessTokenFormat,
}

impl Target {
    /// Refuses, before anything is sent, a file that cannot be replaced, or that belongs to the token file.
    pub fn find(file: AccessTokenFile, token_file: &TokenFile) -> Result<Self, Failure> {
        let AccessTokenFile { path: given, format } = file;
        let refused = |what: &str| {
            let what = format!("cannot be used as the access token file: it {what}");
            Failure::new(Exit::CantCreat, given.display().to_string(), what)
                .hint("nothing was sent; name a regular file, or a new one in a directory that exists")
        };
        if os::is_device(&given) {
            return Err(refused("is a device"));
        }
        let resolved = resolve(&given).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refused("is in a directory that does not exist"),
            _ => refused(&format!("cannot be looked up: {}", reason(&error))),
        })?;
        let draft = sibling(&resolved, DRAFT);
        if token_file.owns(&resolved) || token_file.owns(&draft) {
            let what = "would overwrite the token file, or a file that belongs to it";
            return Err(Failure::usage("--access-token-file", what, "name a file of its own for the access token"));
        }
        match retrying(|| fs::symlink_metadata(&draft)) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                return Err(refused("has a name too long for its draft"));
            }
            Ok(metadata) if metadata.is_dir() => {
                let what = "cannot be used as the draft of the access token file: it is a directory";
                return Err(Failure::new(Exit::CantCreat, draft.display().to_string(), what)
                    .hint("nothing was sent; remove or rename this directory"));
            }
            _ => {}
        }
        match retrying(|| fs::metadata(&resolved)) {
            Ok(metadata) if metadata.is_dir() => Err(refused("is a directory")),
            Ok(metadata) if !metadata.is_file() => Err(refused("is not a regular file")),
            Ok(metadata) if os::has_hard_links(&resolved, &metadata) => {
                Err(refused("has other hard links, which replacing it would break"))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(refused(&format!("cannot be looked up: {}", reason(&error))))
            }
            _ => Ok(Self { given, resolved, format }),
        }
    }

    pub fn given(&self) -> &Path {
        &self.given
    }

    /// Replaces the file if what is in it differs.
    pub fn publish(&self, ours: &AccessToken<'_>) -> Result<Published, Failure> {
        let content = content(self.format, ours.token).map_err(|what| self.failure(what))?;
        if self.holds(&content) {
            return Ok(Published::Unchanged);
        }
        let written = self.replace(&content);
        written.map(|()| Published::Written).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                    "it is a single-file bind mount and cannot be replaced: mount its directory instead".to_owned()
                }
                _ => format!("this user must be able to replace it in {}", self.directory().display()),
            };
            self.failure(reason(&error)).hint(hint)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "compared")]
    fn holds(&self, content: &Secret) -> bool {
        let content = content.expose().as_bytes();
        disk::read_prefix(&self.resolved, content.len() + 1).is_ok_and(|found| found == content)
    }

    #[expect(clippy::disallowed_methods, reason = "stored in the access token file")]
    fn replace(&self, content: &Secret) -> io::Result<()> {
        let draft = sibling(&self.resolved, DRAFT);
        match disk::remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let directory = os::Directory::open(self.directory())?;
        let written = self.create(&draft).and_then(|file| {
            disk::write_durably(&file, content.expose().as_bytes())?;
            disk::rename(&draft, &self.resolved)?;
            directory.sync_name(&file)
        });
        if written.is_err() {
            let _ = disk::remove(&draft);
        }
        written
    }

    fn create(&self, draft: &Path) -> io::Result<File> {
        match retrying(|| fs::metadata(&self.resolved)) {
            Ok(metadata) => {
                let file = retrying(|| os::create_draft(draft, &self.resolved, &metadata))?;
                os::copy_protection(&self.resolved, &metadata, &file)?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => retrying(|| os::create_for_readers(draft)),
            Err(error) => Err(error),
        }
    }

    fn directory(&self) -> &Path {
        self.resolved.parent().unwrap_or(Path::new("/"))
    }

    fn failure(&self, why: impl fmt::Display) -> Failure {
        let what = format!("the access token was not published: {why}; the token file is safe");
        Failure::new(Exit::TempFail, self.given.display().to_string(), what)
    }
}

/// The path with its links resolved. The file may be missing; its directory must exist.
fn resolve(given: &Path) -> io::Result<PathBuf> {
    let mut path = given.to_owned();
    for _ in 0..MAX_LINKS {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match retrying(|| fs::symlink_metadata(&path)) {
            Ok(metadata) if metadata.is_symlink() => path = directory.join(retrying(|| fs::read_link(&path))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                return Ok(retrying(|| os::resolve(directory))?.join(name));
            }
            Ok(_) => return retrying(|| os::resolve(&path)),
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The content of the file. A line cannot hold every character.
#[expect(clippy::disallowed_methods, reason = "stored in the access token file")]
fn content(format: AccessTokenFormat, token: &Secret) -> Result<Secret, &'static str> {
    if format != AccessTokenFormat::Token && !token.is_one_line() {
        return Err("it has characters that cannot be on one line; --access-token-format token writes it unchanged");
    }
    let token = token.expose();
    Ok(Secret::new(match format {
        AccessTokenFormat::Token => token.to_owned(),
        AccessTokenFormat::Header => format!("Authorization: Bearer {token}\n"),
        AccessTokenFormat::Env => format!("{VARIABLE}={}\n", quoted(token)),
    }))
}

/// As systemd.exec(5) and a shell read it. The usual token needs no quotes, which other readers would take for a
/// part of it.
fn quoted(token: &str) -> String {
    if token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=:@%,".contains(&byte)) {
        return token.to_owned();
    }
    let mut text = String::from("\"");
    for character in token.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(character);
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "compared")]
    fn what_each_format_writes() {
        use AccessTokenFormat::{Env, Header, Token};
        for (format, token, wanted) in [
            (Token, "eyJ.a-_~+/=", Some("eyJ.a-_~+/=")),
            (Token, "a\nb", Some("a\nb")),
            (Header, "a b", Some("Authorization: Bearer a b\n")),
            (Header, "a\r\nX: y", None),
            (Header, "é", None),
            (Env, "eyJ.a-_~+/=", Some("DOCUSIGN_ACCESS_TOKEN=eyJ.a-_~+/=\n")),
            (Env, "a\"$b`\\ '#", Some("DOCUSIGN_ACCESS_TOKEN=\"a\\\"\\$b\\`\\\\ '#\"\n")),
            (Env, "a\nb", None),
        ] {
            let written = content(format, &Secret::new(token)).ok();
            assert_eq!(written.as_ref().map(Secret::expose), wanted, "{format:?} {token:?}");
        }
    }
}
