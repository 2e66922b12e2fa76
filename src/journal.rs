//! The steps that `--verbose` shows, one line each, as they happen. Never a secret: a step names hosts, addresses,
//! states and times, and quotes a server only through the request's mask.
//!
//! Modules write to a journal; `console` decides whether and where it appears.

use std::fmt;
use std::time::{Duration, Instant};

/// A place for steps. `Copy`, because the transport needs one below ureq.
#[derive(Clone, Copy)]
pub struct Journal(Option<Listener>);

#[derive(Clone, Copy)]
struct Listener {
    began: Instant,
    write: fn(Duration, fmt::Arguments<'_>),
}

impl Journal {
    /// A journal that nobody reads.
    pub const fn silent() -> Self {
        Self(None)
    }

    /// `write` is called with the time since `began` and the step.
    pub const fn new(began: Instant, write: fn(Duration, fmt::Arguments<'_>)) -> Self {
        Self(Some(Listener { began, write }))
    }

    pub fn step(self, step: fmt::Arguments<'_>) {
        if let Some(Listener { began, write }) = self.0 {
            write(began.elapsed(), step);
        }
    }
}
