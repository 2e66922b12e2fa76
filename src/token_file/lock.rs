//! The kernel lock of a token file, and the note in the lock file: which refresh token the draft replaces.
//!
//! The lock is on a file of its own: a lock on TOKENS would be on the file that the commit replaces. The kernel
//! releases it when the process ends. The note is written before a request, and erased once everything the run
//! changed is durable. So a note means that an earlier run was interrupted, or ([`Note::Responded`]) that
//! the refresh token it names brought a response that nobody has read yet.
//!
//! A note is the fingerprint of a refresh token and one byte that says what became of it. Any other text is not a
//! run's: someone wrote it, or a power cut left zeros of a note that was not synced yet, before its request, or that
//! was erased. It counts as no note, so that a complete draft is promoted. Bytes behind a note are ignored: it may have
//! been written over such a text.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Exit, Failure};
use crate::os::{self, retrying};
use crate::secret::Secret;
use crate::shell::quoted_word;
use crate::terminal::reason;
use crate::token_file::disk;
use crate::token_file::hint::cannot_write;
use crate::token_file::path::TokenPath;

/// A lock that this run holds until it drops it.
pub struct Lock {
    file: File,
    /// The note that the previous run left.
    found: io::Result<Note>,
}

/// What the lock file says.
#[derive(PartialEq)]
pub enum Note {
    /// No run was interrupted; or one that was overwriting TOKENS in place, whose draft counts.
    Nothing,
    /// The draft replaces this refresh token.
    Replaces(Fingerprint),
    /// The draft holds a response to this refresh token (in older notes, to the stored one): not a token set, even if
    /// it parses as one.
    Response(Option<Fingerprint>),
    /// This refresh token brought a response that was not understood, and was saved.
    Responded(Fingerprint),
}

/// Distinguishes refresh tokens without revealing them (32 bits of FNV-1a).
#[derive(PartialEq, Clone)]
pub struct Fingerprint([u8; FINGERPRINT_LENGTH]);

const FINGERPRINT_LENGTH: usize = 8;
const NOTE_LENGTH: usize = FINGERPRINT_LENGTH + 1;

/// What follows a fingerprint.
const REPLACES: u8 = b'\n';
const RESPONSE: u8 = b'?';
const RESPONDED: u8 = b'!';

/// [`Note::Response`] as it was written before it had a fingerprint.
const OLD_RESPONSE: &[u8] = b"response\n";

impl Fingerprint {
    #[expect(clippy::disallowed_methods, reason = "hashed")]
    pub fn of(token: &Secret) -> Self {
        let hash = token
            .expose()
            .bytes()
            .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self(std::array::from_fn(|place| b"0123456789abcdef"[(hash >> (28 - 4 * place)) as usize & 0xF]))
    }

    /// Of no token: what a login sends and, the first time, replaces.
    pub fn of_none() -> Self {
        Self::of(&Secret::new(""))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.try_into().ok().filter(|text: &[u8; FINGERPRINT_LENGTH]| text.iter().all(is_digit)).map(Self)
    }
}

impl Note {
    /// The note in this lock file, whether or not it is locked.
    pub fn at(lock: &Path) -> io::Result<Self> {
        Ok(disk::read_if_there(lock)?.map_or(Self::Nothing, |text| Self::of(&text)))
    }

    fn read(mut file: &File) -> io::Result<Self> {
        let mut text = [0; NOTE_LENGTH];
        let length = retrying(|| file.read(&mut text))?;
        Ok(Self::of(&text[..length]))
    }

    fn of(text: &[u8]) -> Self {
        let Some((fingerprint, [last, ..])) = text.split_at_checked(FINGERPRINT_LENGTH) else { return Self::Nothing };
        match (Fingerprint::parse(fingerprint), *last) {
            (Some(replaced), REPLACES) => Self::Replaces(replaced),
            (Some(sent), RESPONSE) => Self::Response(Some(sent)),
            (Some(sent), RESPONDED) => Self::Responded(sent),
            _ if text.starts_with(OLD_RESPONSE) => Self::Response(None),
            _ => Self::Nothing,
        }
    }

    /// The note of a login for a token file that is missing or has no refresh token.
    pub fn of_first_login() -> Self {
        Self::Replaces(Fingerprint::of_none())
    }
}

impl Lock {
    /// Waits at most `timeout`, and calls `waiting` once if there is a wait.
    pub fn acquire(path: &TokenPath, timeout: Duration, waiting: &dyn Fn()) -> Result<Self, Failure> {
        let lock = path.lock();
        let file = retrying(|| open(&lock, path.resolved())).and_then(expect_file);
        let file = file.map_err(|error| cannot_lock(&lock, &error))?;
        let started = Instant::now();
        let mut waiting = Some(waiting);
        let mut pause = Duration::from_millis(1);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { found: Note::read(&file), file }),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(cannot_lock(&lock, &error)),
                Err(TryLockError::WouldBlock) => {}
            }
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(still_locked(path, timeout));
            };
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// If that fails, the kernel does it when the file is closed.
    pub fn release(self) {
        let _ = self.file.unlock();
    }

    /// The note that the previous run left.
    pub fn note(&self) -> Result<&Note, &io::Error> {
        self.found.as_ref()
    }

    /// Notes durably which refresh token is about to be sent.
    pub fn write_fingerprint(&self, fingerprint: &Fingerprint) -> io::Result<()> {
        self.write_note(fingerprint, REPLACES)?;
        self.sync()
    }

    /// Notes that the draft is about to hold a response to this refresh token. Not durably: first the response itself is
    /// to be safe.
    pub fn note_response(&self, sent: &Fingerprint) -> io::Result<()> {
        self.write_note(sent, RESPONSE)
    }

    /// Notes durably that this refresh token brought a response that was saved. A login sent none.
    pub fn note_responded(&self, sent: &Fingerprint) -> io::Result<()> {
        if *sent == Fingerprint::of_none() {
            return self.erase_note();
        }
        self.write_note(sent, RESPONDED)?;
        self.sync()
    }

    fn write_note(&self, fingerprint: &Fingerprint, last: u8) -> io::Result<()> {
        os::write_at_start(&self.file, &[&fingerprint.0[..], &[last]].concat())
    }

    /// Makes the note durable.
    pub fn sync(&self) -> io::Result<()> {
        retrying(|| self.file.sync_all())
    }

    /// Erases the note. From then on a draft counts, whatever TOKENS holds.
    pub fn erase_note(&self) -> io::Result<()> {
        retrying(|| self.file.set_len(0))
    }

    /// Erases the note, and makes that durable.
    pub fn erase_note_durably(&self) -> io::Result<()> {
        self.erase_note()?;
        self.sync()
    }
}

fn open(lock: &Path, tokens: &Path) -> io::Result<File> {
    // First without O_CREAT: with it, a sticky directory refuses another user's file.
    match os::lock_options().open(lock) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let lock = os::lock_options().create(true).open(lock)?;
            if let Ok(tokens) = fs::metadata(tokens) {
                os::share_lock(&tokens, &lock);
            }
            Ok(lock)
        }
        opened => opened,
    }
}

/// A pipe can be opened and locked, but a read of it waits for ever. What a device does, nobody knows.
fn expect_file(lock: File) -> io::Result<File> {
    match lock.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(disk::not_a_file()),
        _ => Ok(lock),
    }
}

fn cannot_lock(lock: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(Exit::CantCreat, lock.display().to_string(), format!("cannot lock: {}", reason(error)));
    match error.kind() {
        io::ErrorKind::Unsupported => {
            failure.hint("nothing was sent; this file system does not support locks: move the token file to one that does")
        }
        _ if os::is_lock_service_missing(error) => failure
            .hint("nothing was sent; the lock service of this file system is not running: for NFS, start rpc.statd here and on the server")
            .hint("or move the token file to a file system that needs no lock service"),
        _ => failure.hint(cannot_write(error, lock)),
    }
}

fn still_locked(path: &TokenPath, timeout: Duration) -> Failure {
    let lock = path.lock().display().to_string();
    let waited = humantime::format_duration(timeout);
    let failure = path
        .failure(Exit::TempFail, format!("{lock} is still locked by another run after {waited}"))
        .hint("run again later, or wait longer with --lock-timeout");
    if cfg!(unix) {
        failure.hint(format!("to see which process holds it: lsof {}", quoted_word(&lock)))
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_a_note() {
        // Of the empty string.
        let of_none = Fingerprint::of_none;
        for (text, note) in [
            ("811c9dc5\n", Note::Replaces(of_none())),
            ("811c9dc5?", Note::Response(Some(of_none()))),
            ("811c9dc5!", Note::Responded(of_none())),
            ("response\n", Note::Response(None)),
            ("811c9dc5\n45\n", Note::Replaces(of_none())),
            ("", Note::Nothing),
            ("811c9dc5", Note::Nothing),
            ("811c9dc5\r\n", Note::Nothing),
            ("811C9DC5\n", Note::Nothing),
            ("811c9dc\n", Note::Nothing),
            ("response", Note::Nothing),
            ("response!", Note::Nothing),
            ("12345\n", Note::Nothing),
            ("\0\0\0\0\0\0\0\0\0", Note::Nothing),
        ] {
            assert!(Note::of(text.as_bytes()) == note, "{text:?}");
        }
    }
}
