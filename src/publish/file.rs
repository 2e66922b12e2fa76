//! Writes the access token to a file of its own, for readers that must not see the refresh token.
//!
//!     FILE          symlinks resolved first; the link itself survives
//!     FILE.new      the draft, with the owner, group and mode of FILE before it holds a token
//!
//! A reader sees the old content or the new one, whole: the draft is synced, renamed to FILE, and then the
//! directory is synced. If FILE holds the same already, nothing is written. A FILE that is not there is
//! created with mode 0640, less the umask, in a directory that exists.
//!
//! Before a refresh, a draft with the protection of FILE is made, filled and removed as a proof: without it, a FILE
//! that can never be written would cost a refresh in every run.
//!
//! All this is done under the lock of the token file, so a slower run cannot replace a newer access token by an
//! older one. The next run removes a draft that an interrupted one left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::access_token::AccessToken;
use super::next_step::{AFTER_CORRECTION, NEXT_RUN};
use crate::config::{AccessTokenFile, AccessTokenFormat, DRAFT};
use crate::failure::{Exit, Failure};
use crate::os::{self, retrying};
use crate::report::Published;
use crate::secret::Secret;
use crate::sibling::{is_of_directory, sibling};
use crate::terminal::reason;
use crate::token_file::protection::Protection;
use crate::token_file::{TokenFile, disk};

/// The variable that `EnvironmentFile=` sets, in the format `env`.
const VARIABLE: &str = "DOCUSIGN_ACCESS_TOKEN";

/// How many symlinks in a row are followed: as many as Linux follows.
const MAX_LINKS: usize = 40;

/// How many bytes a draft is proven with: more than an access token usually takes.
const PROVEN: usize = 8 << 10;

/// Why the file cannot be replaced.
struct Obstacle {
    why: String,
    hint: String,
    /// The last hint, if the token file is already safe.
    next: &'static str,
}

/// A file that can be replaced, or created.
pub struct Target {
    given: PathBuf,
    resolved: PathBuf,
    format: AccessTokenFormat,
}

impl Target {
    /// Refuses, before anything is sent, a file that cannot be replaced, or that belongs to the token file.
    pub fn find(file: AccessTokenFile, token_file: &TokenFile) -> Result<Self, Failure> {
        let AccessTokenFile { source, path: given, format } = file;
        let refused = |what: &str| {
            unusable(&given, &format!("it {what}"), "name a regular file, or a new one in a directory that exists")
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
            return Err(Failure::usage(source, what, "name a file of its own for the access token"));
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
        let content = content(self.format, ours.token).map_err(|what| self.failure(what).hint(AFTER_CORRECTION))?;
        if self.holds(&content) {
            return Ok(Published::Unchanged);
        }
        let replaced = self.with_draft(&|draft, file| self.replace(draft, file, &content));
        replaced
            .map(|()| Published::Written)
            .map_err(|Obstacle { why, hint, next }| self.failure(&why).hint(hint).hint(next))
    }

    /// Fails, before anything is sent, if the file cannot be replaced.
    pub fn prove(&self) -> Result<(), Failure> {
        let proven = self.with_draft(&|draft, file| {
            let fill = [disk::FILL; PROVEN];
            os::write_at_start(&file, &fill)?;
            drop(file);
            disk::remove(draft)
        });
        proven.map_err(|Obstacle { why, hint, .. }| unusable(&self.given, &why, &hint))
    }

    #[expect(clippy::disallowed_methods, reason = "compared")]
    fn holds(&self, content: &Secret) -> bool {
        let content = content.expose().as_bytes();
        disk::read_prefix(&self.resolved, content.len() + 1).is_ok_and(|found| found == content)
    }

    #[expect(clippy::disallowed_methods, reason = "stored in the access token file")]
    fn replace(&self, draft: &Path, file: File, content: &Secret) -> io::Result<()> {
        let directory = os::Directory::open(self.directory())?;
        disk::write_durably(&file, content.expose().as_bytes())?;
        disk::rename(draft, &self.resolved)?;
        directory.sync_name(&file)
    }

    /// Makes the draft, in place of one that an interrupted run left, and removes it if `finish` fails, which is to
    /// rename or remove it.
    fn with_draft(&self, finish: &dyn Fn(&Path, File) -> io::Result<()>) -> Result<(), Obstacle> {
        let draft = sibling(&self.resolved, DRAFT);
        match disk::remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.obstacle(&error)),
            _ => {}
        }
        let made = self.create(&draft);
        let finished = made.and_then(|file| finish(&draft, file).map_err(|error| self.obstacle(&error)));
        if finished.is_err() {
            let _ = disk::remove(&draft);
        }
        finished
    }

    /// Creates the draft with the protection that the file has.
    fn create(&self, draft: &Path) -> Result<File, Obstacle> {
        let failed = |error| self.obstacle(&error);
        let protection = Protection::of(&self.resolved).map_err(failed)?;
        let Some(metadata) = protection.metadata() else {
            return retrying(|| os::create_for_readers(draft)).map_err(failed);
        };
        let attributes = os::attributes(&self.resolved, metadata).map_err(failed)?;
        if attributes.is_immutable {
            let hint = format!("make it replaceable: {} \"{}\"", os::MAKE_MUTABLE, self.given.display());
            return Err(Obstacle { why: format!("it is {}", os::IMMUTABLE), hint, next: AFTER_CORRECTION });
        }
        if attributes.is_mount == Some(true) {
            return Err(failed(io::ErrorKind::ResourceBusy.into()));
        }
        let file = protection.create(draft, &self.resolved).map_err(failed)?;
        match protection.give(&file, &self.resolved) {
            Ok(()) => Ok(file),
            Err(error) => Err(Obstacle {
                why: format!("cannot give the draft its owner and mode: {}", reason(&error)),
                hint: format!(
                    "run as its owner ({}), or make this user its owner with chown or chgrp",
                    os::owner_of(metadata)
                ),
                next: AFTER_CORRECTION,
            }),
        }
    }

    fn obstacle(&self, error: &io::Error) -> Obstacle {
        let (hint, next) = match error.kind() {
            io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                ("it is a single-file bind mount and cannot be replaced: instead, mount", AFTER_CORRECTION)
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ("make room in", NEXT_RUN),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ("this user must be able to replace it in", AFTER_CORRECTION)
            }
            _ => ("check the disk of", NEXT_RUN),
        };
        Obstacle { why: reason(error), hint: format!("{hint} {}", self.directory().display()), next }
    }

    fn directory(&self) -> &Path {
        self.resolved.parent().unwrap_or(Path::new("/"))
    }

    fn failure(&self, why: &str) -> Failure {
        let what = format!("the access token was not published: {why}; the token file is safe");
        Failure::new(Exit::TempFail, self.given.display().to_string(), what)
    }
}

/// A file that cannot be the access token file, found before anything is sent.
fn unusable(given: &Path, why: &str, hint: &str) -> Failure {
    let what = format!("cannot be used as the access token file: {why}");
    Failure::new(Exit::CantCreat, given.display().to_string(), what).hint(format!("nothing was sent; {hint}"))
}

/// The path with its links resolved. The file may be missing; its directory must exist.
fn resolve(given: &Path) -> io::Result<PathBuf> {
    let mut path = given.to_owned();
    for _ in 0..MAX_LINKS {
        if is_of_directory(&path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
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
            Ok(_) => break,
            Err(error) => return Err(error),
        }
    }
    // After too many links the system says so.
    retrying(|| os::resolve(&path))
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
