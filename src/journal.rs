//! What `--verbose` tells: one line a step, while it happens. Never a secret: a step names hosts,
//! addresses, states and times, and what a server said only as `oauth::printable` lets it through.
//!
//! Modules write to a journal; main decides whether and where it appears.

use std::fmt;

/// A place for steps. Copied freely: the transport needs one below ureq.
#[derive(Clone, Copy)]
pub struct Journal(fn(fmt::Arguments<'_>));

impl Journal {
    pub const SILENT: Self = Self(|_| ());

    pub const fn new(line: fn(fmt::Arguments<'_>)) -> Self {
        Self(line)
    }

    pub fn step(self, line: fmt::Arguments<'_>) {
        (self.0)(line);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}
