//! Why the program does not begin: an argument, a variable, or a file that one of them names.
//!
//! A refusal names the option, variable or file, and never the value: a secret that was typed in
//! the wrong place must not come out again.

use std::io;
use std::path::Path;

use crate::text::reason;

#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub subject: String,
    pub what: String,
    /// The next step.
    pub hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// It can't be understood.
    Usage,
    /// A file can't be read, or is not what it should be.
    Unreadable,
    /// It can be understood, but not be done.
    Configuration,
}

impl Refusal {
    pub fn usage(subject: &str, what: &str, hint: &str) -> Self {
        Self { kind: RefusalKind::Usage, subject: subject.to_owned(), what: what.to_owned(), hint: hint.to_owned() }
    }

    pub fn configuration(subject: &str, what: &str, hint: &str) -> Self {
        Self { kind: RefusalKind::Configuration, ..Self::usage(subject, what, hint) }
    }

    /// `what` is what it was to be used for.
    pub fn unreadable(path: &Path, what: &str, why: &io::Error) -> Self {
        let what = format!("cannot read {what}: {}", reason(why));
        let subject = path.display().to_string();
        Self {
            kind: RefusalKind::Unreadable,
            ..Self::usage(&subject, &what, "check the path, and that this user may read it")
        }
    }

    /// It was read, and is no `what`.
    pub fn unusable(path: &Path, what: &str, why: &str) -> Self {
        let what = format!("cannot use it as {what}: {why}");
        Self { kind: RefusalKind::Unreadable, ..Self::usage(&path.display().to_string(), &what, "name another file") }
    }
}
