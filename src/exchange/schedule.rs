//! When the same request may be sent again.

use std::time::{Duration, Instant, SystemTime};

use crate::transport::Deadlines;

/// How long after a lost response a replay may still fall into a server's grace period: Okta's and WorkOS's last
/// as long, and Docusign's own SDK retries for that time.
const REPLAY_WINDOW: Duration = Duration::from_secs(30);
const MAX_REPLAYS: u32 = 3;
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// No request is sent during the last half second, or the last quarter of a shorter timeout: its response
/// could not arrive in time. The same margin again is kept for connecting.
const MAX_MARGIN: Duration = Duration::from_millis(500);

/// Whether a request that the server may have seen may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    Prompt,
    /// Not if its outcome is unknown.
    Never,
    /// Not even if the server says to try later: an authorization code works once (RFC 6749, section 4.1.2).
    SendOnce,
}

/// The attempts so far, and the time that is left.
pub struct Schedule {
    attempts: u32,
    /// When the outcome of a request first became unknown, and how often that has happened.
    first_unknown: Option<Instant>,
    unknown: u32,
    deadline: Instant,
    margin: Duration,
}

impl Schedule {
    pub fn until(deadline: Instant) -> Self {
        let margin = MAX_MARGIN.min(deadline.saturating_duration_since(Instant::now()) / 4);
        Self { attempts: 0, first_unknown: None, unknown: 0, deadline, margin }
    }

    /// The number of the attempt that begins.
    pub fn begin_attempt(&mut self) -> u32 {
        self.attempts += 1;
        self.attempts
    }

    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub fn is_outcome_unknown(&self) -> bool {
        self.first_unknown.is_some()
    }

    /// How long to wait, if there is time for another attempt. The wait doubles, with jitter, so that many runs
    /// that failed at once do not return at once. The server may require `least`.
    pub fn backoff(&self, least: Duration) -> Option<Duration> {
        let doubled = INITIAL_BACKOFF.saturating_mul(1 << self.attempts.min(8).saturating_sub(1));
        let wait = doubled.min(MAX_BACKOFF);
        let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        let wait = wait / 2 + (wait / 2).mul_f64(f64::from(nanoseconds % 1_000_000) / 1e6);
        self.left().filter(|&left| least <= left).map(|left| wait.max(least).min(left))
    }

    /// The first replay at once; later ones leave a gateway a moment to recover.
    pub fn replay(&mut self, replay: Replay) -> Option<Duration> {
        self.first_unknown.get_or_insert_with(Instant::now);
        self.unknown += 1;
        let wait = INITIAL_BACKOFF * (self.unknown - 1);
        let is_allowed = replay == Replay::Prompt && self.unknown <= MAX_REPLAYS;
        self.left().filter(|&left| is_allowed && wait <= left).map(|_| wait)
    }

    /// A request leaves while there is still time for a response and, if it is a replay, promptly.
    pub fn deadlines(&self) -> Deadlines {
        let send_by = self.deadline.checked_sub(self.margin).unwrap_or(self.deadline);
        let send_by = self.first_unknown.map_or(send_by, |since| send_by.min(since + REPLAY_WINDOW));
        Deadlines { send_by, respond_by: self.deadline }
    }

    /// How long another attempt may wait.
    fn left(&self) -> Option<Duration> {
        self.deadlines().send_by.checked_sub(self.margin)?.checked_duration_since(Instant::now())
    }
}
