//! A failure as the user sees it: who must act (the exit code), its subject, what went wrong, and the next steps.
//!
//! Each module makes its own failures, next to their cause. A message reads
//! `SUBJECT: what failed: why`, in lower case, without a full stop. It names options, variables, files
//! and hosts, and never a value that could be a secret: for a file it gives positions, and what a
//! server says it quotes as the server's.

use std::fmt;
use std::io;
use std::path::Path;

use crate::terminal::{escape_control, reason};

/// The exit codes of sysexits.h. 0 means that the token file holds fresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Usage = 64,
    DataErr = 65,
    NoInput = 66,
    CantCreat = 73,
    IoErr = 74,
    TempFail = 75,
    Protocol = 76,
    NoPerm = 77,
    Config = 78,
}

/// The exit codes as `--help` shows them. The manual page and the README have the same, which tests compare.
pub const EXITS: [(Exit, &str, &str); 9] = [
    (Exit::Usage, "USAGE", "bad arguments"),
    (Exit::DataErr, "DATAERR", "the token file is not a JSON object with a refresh token; login: no code was pasted"),
    (Exit::NoInput, "NOINPUT", "a token, secret, CA or key file cannot be read"),
    (
        Exit::CantCreat,
        "CANTCREAT",
        "the lock file, the draft or the access token file cannot be written; nothing was sent",
    ),
    (
        Exit::IoErr,
        "IOERR",
        "new tokens were issued, but not saved in place: act now, the message names the file with them",
    ),
    (
        Exit::TempFail,
        "TEMPFAIL",
        "lock busy, network, rate limit, server trouble, or access token not published: run again",
    ),
    (
        Exit::Protocol,
        "PROTOCOL",
        "a redirect, HTML or no tokens; no access token to print or publish; login: no refresh token",
    ),
    (
        Exit::NoPerm,
        "NOPERM",
        "the server rejected the refresh token: log in again; login: declined, or the code was rejected",
    ),
    (Exit::Config, "CONFIG", "the client, secret, endpoint, certificate or settings are wrong"),
];

#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// The option, file or host.
    subject: String,
    what: String,
    hints: Vec<String>,
}

impl Failure {
    pub fn new(exit: Exit, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { exit, subject: subject.into(), what: what.into(), hints: Vec::new() }
    }

    /// Adds a hint: the next step. The first hint is the first to try.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What failed and why, in one line, as a part of another message.
    pub fn line(&self) -> String {
        format!("{}: {}", escape_control(&self.subject), escape_control(&self.what))
    }

    /// An argument or variable that cannot be understood.
    pub fn usage(subject: &str, what: &str, hint: &str) -> Self {
        Self::new(Exit::Usage, subject, what).hint(hint)
    }

    /// A setting that can be understood, but cannot be used.
    pub fn configuration(subject: &str, what: &str, hint: &str) -> Self {
        Self::new(Exit::Config, subject, what).hint(hint)
    }

    /// A file that cannot be read; `role` is what it was to be used for.
    pub fn unreadable(path: &Path, role: &str, error: &io::Error) -> Self {
        let what = format!("cannot read {role}: {}", reason(error));
        Self::new(Exit::NoInput, path.display().to_string(), what)
            .hint("check the path, and that this user may read it")
    }

    /// A file that was read, but is not what `role` says.
    pub fn unusable(path: &Path, role: &str, why: &str, hint: &str) -> Self {
        Self::new(Exit::NoInput, path.display().to_string(), format!("cannot be used as {role}: {why}")).hint(hint)
    }
}

/// What is wrong with a value, whichever option or variable it came from. The value itself is never quoted: it may
/// be a secret that was typed in the wrong place.
#[derive(Debug, PartialEq)]
pub struct InvalidValue {
    exit: Exit,
    what: String,
    hint: String,
}

impl InvalidValue {
    /// The value cannot be understood.
    pub fn usage(what: &str, hint: &str) -> Self {
        Self { exit: Exit::Usage, what: what.to_owned(), hint: hint.to_owned() }
    }

    /// The value can be understood, but cannot be used.
    pub fn configuration(what: &str, hint: &str) -> Self {
        Self { exit: Exit::Config, ..Self::usage(what, hint) }
    }

    /// The failure of the option or variable that gave the value.
    pub fn of(self, subject: &str) -> Failure {
        Failure::new(self.exit, subject, self.what).hint(self.hint)
    }
}

/// The choice that `text` names.
pub fn choose<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, InvalidValue> {
    match choices.iter().find(|(name, _)| *name == text) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            Err(InvalidValue::usage("unknown choice", &format!("choose one of {}", names.join(", "))))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "docusign-refresh: {}: {}", escape_control(&self.subject), escape_control(&self.what))?;
        self.hints.iter().try_for_each(|hint| writeln!(f, "hint: {}", escape_control(hint)))
    }
}
