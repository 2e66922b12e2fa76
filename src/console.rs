//! The only module that writes to standard output and standard error.
//!
//! Standard output carries what `--print`, `--help` and `--version` show, and nothing else. Standard error carries
//! one line for the outcome, warnings, a failure with its hints, and with `--verbose` each step. `--quiet` leaves
//! out only the outcome: a warning names a file that somebody must look at, and a login needs its prompt.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::Verbosity;
use crate::failure::{Exit, Failure};
use crate::journal::Journal;
use crate::secret::Secret;
use crate::terminal::{escape_control, reason};

/// Writes the messages of one run, about one token file.
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

    /// Where modules report their steps, which only `--verbose` shows.
    pub fn journal(&self) -> Journal {
        match self.verbosity {
            Verbosity::Verbose => Journal::new(self.began, write_step),
            Verbosity::Normal | Verbosity::Quiet => Journal::silent(),
        }
    }

    pub fn warn(&self, warning: impl fmt::Display) {
        self.write_line(format_args!("warning: {warning}"));
    }

    /// Warns of what looks like a mistake in the client id, its secret or the refresh token.
    pub fn warn_of_oddities(&self, oddities: &[String]) {
        for oddity in oddities {
            self.warn(format_args!("{oddity}; it is sent unchanged"));
        }
    }

    /// Shows how the run ended, unless `--quiet` was given.
    pub fn show_outcome(&self, outcome: impl fmt::Display) {
        if self.verbosity != Verbosity::Quiet {
            self.write_line(format_args!("{outcome}"));
        }
    }

    /// Prompts for a login, also with `--quiet`. The address is on a line of its own, so that it can be copied; it
    /// is shown with the state in it. `within` is how long the code is valid, if that is known.
    #[expect(clippy::disallowed_methods, reason = "printed to be opened in a browser")]
    pub fn ask_to_log_in(&self, address: &Secret, redirect_uri: &str, within: &str) {
        self.write_line(format_args!("to log in, open this address in a browser:\n\n{}\n", address.expose()));
        // The page itself shows the code: urn:ietf:wg:oauth:2.0:oob.
        if redirect_uri.starts_with("urn:") {
            return self.write_line(format_args!("paste the code that the page shows{within}, and press Enter:"));
        }
        self.write_line(format_args!(
            "after the login, the browser goes to {redirect_uri} with a code; an error page there does no harm"
        ));
        self.write_line(format_args!("paste the whole address of that page here{within}, and press Enter:"));
    }

    fn write_line(&self, line: fmt::Arguments<'_>) {
        write_error(format_args!("docusign-refresh: {}: {line}\n", self.subject));
    }
}

/// Writes what `--print` names to standard output. A reader that is gone has not received it.
pub fn print(text: &str) -> Result<(), Failure> {
    write_output(text).map_err(|error| not_printed(&reason(&error)))
}

/// Writes a page to standard output. A closed pipe is not a failure: the reader has all it wants
/// (`docusign-refresh --help | head -1`).
pub fn print_page(text: &str) -> Result<(), Failure> {
    match write_output(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(not_printed(&reason(&error))),
        _ => Ok(()),
    }
}

/// The failure of an output that cannot be written.
pub fn not_printed(why: &str) -> Failure {
    Failure::new(Exit::TempFail, "standard output", format!("cannot write: {why}"))
}

fn write_output(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Writes a failure with its hints to standard error.
pub fn show_failure(failure: &Failure) {
    write_error(format_args!("{failure}"));
}

fn write_step(elapsed: Duration, step: fmt::Arguments<'_>) {
    write_error(format_args!("docusign-refresh: {:>5} ms: {step}\n", elapsed.as_millis()));
}

/// In one call, so that the lines of simultaneous runs do not mix. If it fails, there is no other place to say so.
fn write_error(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
}
