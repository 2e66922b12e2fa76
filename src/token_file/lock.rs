//! The kernel lock of a token file, and the note in the lock file: which refresh token the draft replaces.
//!
//! The lock is on a file of its own: a lock on TOKENS would be on the file that the commit replaces. The kernel
//! releases it when the process ends. The note is written before a request, and erased once everything the run
//! changed is durable. So a note means that an earlier run was interrupted, or ([`Note::Responded`]) that
//! the refresh token it names brought a response that nobody has read yet.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Exit, Failure};
use crate::os::{self, retrying};
use crate::secret::Secret;
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
    /// The draft holds a saved response: not a token set, even if it parses as one.
    Response,
    /// This refresh token brought a response that was not understood, and was saved.
    Responded(Fingerprint),
}

/// Distinguishes refresh tokens without revealing them (32 bits of FNV-1a).
#[derive(PartialEq, Clone)]
pub struct Fingerprint(Vec<u8>);

const FINGERPRINT_LENGTH: usize = 9;
const RESPONSE: &[u8; FINGERPRINT_LENGTH] = b"response\n";
/// In place of a fingerprint's last byte.
const RESPONDED: u8 = b'!';

impl Fingerprint {
    #[expect(clippy::disallowed_methods, reason = "hashed")]
    pub fn of(token: &Secret) -> Self {
        let hash = token
            .expose()
            .bytes()
            .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self(format!("{hash:08x}\n").into_bytes())
    }
}

impl Note {
    /// The note in this lock file, whether or not it is locked.
    pub fn at(lock: &Path) -> io::Result<Self> {
        Self::read(&retrying(|| File::open(lock))?)
    }

    fn read(mut file: &File) -> io::Result<Self> {
        let mut bytes = [0; FINGERPRINT_LENGTH];
        let length = retrying(|| file.read(&mut bytes))?;
        Ok(match &bytes[..length] {
            [] => Self::Nothing,
            noted if noted == RESPONSE => Self::Response,
            [hash @ .., RESPONDED] => Self::Responded(Fingerprint([hash, b"\n"].concat())),
            noted => Self::Replaces(Fingerprint(noted.to_vec())),
        })
    }

    /// The note of a login for a token file that is missing or has no refresh token.
    pub fn of_first_login() -> Self {
        Self::Replaces(Fingerprint::of(&Secret::new("")))
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
        os::write_at_start(&self.file, &fingerprint.0)?;
        retrying(|| self.file.sync_all())
    }

    /// Notes that the draft is about to hold a response. Not durably: there is no time for that.
    pub fn note_response(&self) -> io::Result<()> {
        os::write_at_start(&self.file, RESPONSE)
    }

    /// Notes durably that this refresh token brought a response that was saved.
    pub fn note_responded(&self, fingerprint: &Fingerprint) -> io::Result<()> {
        let mut note = fingerprint.0.clone();
        note.pop();
        note.push(RESPONDED);
        os::write_at_start(&self.file, &note)?;
        retrying(|| self.file.sync_all())
    }

    /// Erases the note. From then on a draft counts, whatever TOKENS holds.
    pub fn erase_note(&self) -> io::Result<()> {
        retrying(|| self.file.set_len(0))
    }

    /// Erases the note, and makes that durable.
    pub fn erase_note_durably(&self) -> io::Result<()> {
        self.erase_note()?;
        retrying(|| self.file.sync_all())
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
    if cfg!(unix) { failure.hint(format!("to see which process holds it: lsof {lock}")) } else { failure }
}
