//! The only module that writes to standard output and standard error.
//!
//! Standard output carries what `--print`, `--help` and `--version` ask for, and nothing else. Standard
//! error carries one line for the outcome, warnings, a failure with its hints, and with `--verbose` each
//! step. `--quiet` leaves out the outcome alone: a warning names a file that somebody must look at, and a login
//! can't do without its question.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::Verbosity;
use crate::failure::{Exit, Failure};
use crate::journal::Journal;
use crate::secret::Secret;
use crate::terminal::{escape_control, reason};

/// Where a run speaks, and about which token file.
pub struct Console {
    verbosity: Verbosity,
    /// The token file's name, as given.
    subject: String,
    began: Instant,
}

impl Console {
    pub fn new(verbosity: Verbosity, token_file: &Path) -> Self {
        Self { verbosity, subject: escape_control(&token_file.to_string_lossy()), began: Instant::now() }
    }

    /// Where modules report their steps; nobody listens without `--verbose`.
    pub fn journal(&self) -> Journal {
        match self.verbosity {
            Verbosity::Verbose => Journal::new(self.began, write_step),
            Verbosity::Normal | Verbosity::Quiet => Journal::silent(),
        }
    }

    pub fn warn(&self, warning: impl fmt::Display) {
        self.write_line(format_args!("warning: {warning}"));
    }

    /// Tells what about client id and secret was hardly meant.
    pub fn warn_of_client(&self, oddities: &[String]) {
        for oddity in oddities {
            self.warn(format_args!("{oddity}; it is sent unchanged"));
        }
    }

    /// Tells how the run ended, unless `--quiet` was given.
    pub fn show_outcome(&self, outcome: impl fmt::Display) {
        if self.verbosity != Verbosity::Quiet {
            self.write_line(format_args!("{outcome}"));
        }
    }

    /// Asks a human for a login, also with `--quiet`. The address stands on a line of its own, so that it can be
    /// copied as a whole; it is meant to be seen, with the state in it.
    #[expect(clippy::disallowed_methods, reason = "printed to be opened in a browser")]
    pub fn ask_to_log_in(&self, address: &Secret, redirect_uri: &str) {
        self.write_line(format_args!("to log in, open this address in a browser:\n\n{}\n", address.expose()));
        self.write_line(format_args!(
            "the browser is then sent to {redirect_uri} with a code; an error page there does no harm"
        ));
        self.write_line(format_args!("paste the whole address of that page here within two minutes, and press Enter:"));
    }

    fn write_line(&self, line: fmt::Arguments<'_>) {
        write_error(format_args!("docusign-refresh: {}: {line}\n", self.subject));
    }
}

/// Writes to standard output. A reader that has closed the pipe has all it wants: that is no failure
/// (`docusign-refresh --help | head -1`).
pub fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::TempFail, "standard output", format!("cannot write: {}", reason(&error))))
        }
        _ => Ok(()),
    }
}

/// Writes a failure with its hints to standard error.
pub fn show_failure(failure: &Failure) {
    write_error(format_args!("{failure}"));
}

fn write_step(elapsed: Duration, step: fmt::Arguments<'_>) {
    write_error(format_args!("docusign-refresh: {:>5} ms: {step}\n", elapsed.as_millis()));
}

/// In one call, so that lines of runs at the same time do not mix. Where it fails there is nobody left to tell.
fn write_error(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
}
