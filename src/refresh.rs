//! The exchange: one refresh at the token endpoint, with its retries and its deadline.
//!
//! Each attempt ends in one of five ways, and the way decides whether the same refresh token may
//! be sent again:
//!
//! | outcome       | repeated                                                                  |
//! |---------------|---------------------------------------------------------------------------|
//! | not sent      | yes, with backoff, until the deadline: the server saw nothing             |
//! | not now       | yes, when the server says so (429, 503, `Retry-After`), if it fits        |
//! | fate unknown  | at once, a few times, within 30 s: if the server did rotate, only a       |
//! |               | prompt replay can fall into its grace window. Never with `--no-replay`    |
//! | refused       | no: the server has judged (RFC 6749, section 5.2)                         |
//! | no OAuth      | no: something else answers there. Only an unreadable success is of        |
//! |               | unknown fate                                                              |
//!
//! Nothing is sent that could not be answered in time, and after the first unknown fate nothing is
//! sent once the 30 s are over, whatever came in between.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::http::{Failure, HttpClient, OpenConnection, Reason, Response, Times};
use crate::journal::Journal;
use crate::oauth::{Body, ErrorResponse, RefreshRequest, TokenResponse, Unanswered, Verdict};
use crate::os::signals;

/// How long after a lost reply a replay may still fall into a grace window (facts 2.2: Okta,
/// WorkOS; Docusign's own SDK retries as long).
const REPLAY_WINDOW: Duration = Duration::from_secs(30);
const MOST_REPLAYS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A request that leaves just before the deadline would only make an unknown fate: so long before it,
/// or of a short time-out a quarter, none leaves any more. As long again is for the connection.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);

/// Whether a request whose fate is unknown may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    Prompt,
    Never,
}

/// The tokens, and what has to wait until they are stored: the end of the connection they came by,
/// and to speak of the answer.
pub struct Refreshed {
    pub response: TokenResponse,
    pub connection: OpenConnection,
    pub answer: Answer,
}

/// What may be told of an answer.
pub struct Answer {
    status: u16,
    /// Of the body, in bytes.
    length: usize,
    /// The server's own id for the exchange.
    trace: Option<String>,
}

/// Why there are no tokens.
pub struct Unrefreshed {
    pub cause: Cause,
    /// An attempt may have reached the server without its answer reaching us.
    pub may_be_spent: bool,
    pub attempts: u32,
    /// The server's own id for the last exchange.
    pub trace: Option<String>,
}

impl Unrefreshed {
    /// The server holds the refresh token for dead, or never issued.
    pub fn is_dead_token(&self) -> bool {
        matches!(&self.cause, Cause::Refused(error) if error.verdict == Verdict::Reauthorize)
    }
}

pub enum Cause {
    /// The request never left.
    NotSent(Reason),
    /// The server put us off, or did not answer in full: HTTP status, what it said.
    PutOff {
        status: u16,
        said: Option<ErrorResponse>,
        retry_after: Option<Duration>,
    },
    /// The connection failed after the request was sent.
    NoAnswer(Reason),
    /// No repetition will help: TLS, certificate, proxy settings.
    Misconfigured(Reason),
    Refused(ErrorResponse),
    Redirected {
        status: u16,
        to: String,
    },
    NotOauth {
        status: u16,
        body: &'static str,
    },
}

/// How an attempt ended that brought no tokens.
enum Shortfall {
    NotSent(Reason),
    NotNow { status: u16, said: Option<ErrorResponse>, retry_after: Option<Duration> },
    FateUnknown(Cause),
    Final(Cause),
}

/// Refreshes once, whatever number of attempts that takes, and ends by `deadline`.
pub fn refresh(
    client: &mut HttpClient,
    request: &RefreshRequest,
    replay: Replay,
    deadline: Instant,
    journal: Journal,
) -> Result<Refreshed, Box<Unrefreshed>> {
    let shortest_wait = SHORTEST_WAIT.min(deadline.saturating_duration_since(Instant::now()) / 4);
    let mut course = Course { attempts: 0, first_unknown: None, unknown: 0, deadline, shortest_wait };
    // What a server says tells more than that it could not be reached again.
    let mut last_word = None;
    loop {
        course.attempts += 1;
        journal.step(format_args!("attempt {}", course.attempts));
        let (shortfall, answer) = match attempt(client, request, course.times()) {
            Ok(refreshed) => return Ok(refreshed),
            Err(without_tokens) => *without_tokens,
        };
        if let Some(answer) = &answer {
            journal.step(format_args!("{answer}"));
        }
        let (cause, wait) = match shortfall {
            Shortfall::NotSent(reason) => (Cause::NotSent(reason), course.backoff(Duration::ZERO)),
            Shortfall::NotNow { status, said, retry_after } => {
                signals::let_through();
                (Cause::PutOff { status, said, retry_after }, course.backoff(retry_after.unwrap_or_default()))
            }
            Shortfall::FateUnknown(cause) => (cause, course.replay(replay)),
            Shortfall::Final(cause) => (cause, None),
        };
        journal.step(format_args!("attempt {} failed: {cause}", course.attempts));
        let Some(wait) = wait else {
            let may_be_spent = course.first_unknown.is_some();
            let (cause, answer) = match (cause, last_word) {
                (Cause::NotSent(_), Some(last_word)) => last_word,
                (cause, _) => (cause, answer),
            };
            let trace = answer.and_then(|answer| answer.trace);
            return Err(Box::new(Unrefreshed { cause, may_be_spent, attempts: course.attempts, trace }));
        };
        if answer.is_some() {
            last_word = Some((cause, answer));
        }
        journal.step(format_args!("waiting {} ms", wait.as_millis()));
        thread::sleep(wait);
    }
}

/// Where the exchange stands.
struct Course {
    attempts: u32,
    /// When the fate of a request first became unknown, and how often that has happened.
    first_unknown: Option<Instant>,
    unknown: u32,
    deadline: Instant,
    shortest_wait: Duration,
}

impl Course {
    /// Doubling, with jitter: a crowd that failed together must not come back together. The last
    /// attempt comes early enough for an answer. The server may ask for `least`.
    fn backoff(&self, least: Duration) -> Option<Duration> {
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.attempts.min(8).saturating_sub(1));
        let wait = doubled.min(LONGEST_BACKOFF);
        let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        let wait = wait / 2 + (wait / 2).mul_f64(f64::from(nanoseconds % 1_000_000) / 1e6);
        self.left().filter(|&left| least <= left).map(|left| wait.max(least).min(left))
    }

    /// The first replay at once; later ones leave a gateway a moment to recover.
    fn replay(&mut self, replay: Replay) -> Option<Duration> {
        self.first_unknown.get_or_insert_with(Instant::now);
        self.unknown += 1;
        let wait = FIRST_BACKOFF * (self.unknown - 1);
        let is_allowed = replay == Replay::Prompt && self.unknown <= MOST_REPLAYS;
        self.left().filter(|&left| is_allowed && wait <= left).map(|_| wait)
    }

    /// How long another attempt may be put off.
    fn left(&self) -> Option<Duration> {
        self.times().send_by.checked_sub(self.shortest_wait)?.checked_duration_since(Instant::now())
    }

    /// A request leaves while there is still time for an answer and, if it is a replay, promptly.
    fn times(&self) -> Times {
        let send_by = self.deadline.checked_sub(self.shortest_wait).unwrap_or(self.deadline);
        let send_by = self.first_unknown.map_or(send_by, |since| send_by.min(since + REPLAY_WINDOW));
        Times { send_by, answer_by: self.deadline }
    }
}

fn attempt(
    client: &mut HttpClient,
    request: &RefreshRequest,
    times: Times,
) -> Result<Refreshed, Box<(Shortfall, Option<Answer>)>> {
    let response = client.post(request.authorization(), request.form(), times).map_err(|failure| {
        let shortfall = match failure {
            Failure::NotSent(reason) if reason.is_configuration() => Shortfall::Final(Cause::Misconfigured(reason)),
            Failure::NotSent(reason) => Shortfall::NotSent(reason),
            Failure::OutcomeUnknown(reason) => Shortfall::FateUnknown(Cause::NoAnswer(reason)),
        };
        Box::new((shortfall, None))
    })?;
    let trace = response.trace.as_deref().map(|trace| request.printable(trace));
    let answer = Answer { status: response.status, length: response.body.len(), trace };
    match judge(request, response) {
        Ok((response, connection)) => Ok(Refreshed { response, connection, answer }),
        Err(shortfall) => Err(Box::new((shortfall, Some(answer)))),
    }
}

fn judge(request: &RefreshRequest, response: Response) -> Result<(TokenResponse, OpenConnection), Shortfall> {
    let status = response.status;
    if let 300..400 = status {
        let to = request.printable(&target_host(response.location.as_deref()));
        return Err(Shortfall::Final(Cause::Redirected { status, to }));
    }
    let body = if response.is_whole { Body::Whole(&response.body) } else { Body::MaybeCut(&response.body) };
    let said = match request.read(status, body) {
        Ok(tokens) => return Ok((tokens, response.connection)),
        Err(said) => said,
    };
    // "Retry-After: 0" is no invitation to hammer.
    let retry_after = response.retry_after.as_deref().and_then(read_retry_after).filter(|wait| !wait.is_zero());
    Err(match (status, said, response.cut_short) {
        (429 | 503, said, _) => Shortfall::NotNow { status, said: error_response(said), retry_after },
        (_, Unanswered::Refused(error), _) if error.verdict == Verdict::NotNow => {
            Shortfall::NotNow { status, said: Some(error), retry_after }
        }
        (408 | 500.., Unanswered::Refused(error), _) if error.verdict != Verdict::Reauthorize => {
            Shortfall::FateUnknown(Cause::PutOff { status, said: Some(error), retry_after: None })
        }
        (_, Unanswered::Refused(error), _) => Shortfall::Final(Cause::Refused(error)),
        (_, Unanswered::NotOauth(_), Some(reason)) => Shortfall::FateUnknown(Cause::NoAnswer(reason)),
        (408 | 500.., ..) => Shortfall::FateUnknown(Cause::PutOff { status, said: None, retry_after: None }),
        (200..300, Unanswered::NotOauth(body), None) => Shortfall::FateUnknown(Cause::NotOauth { status, body }),
        (_, Unanswered::NotOauth(body), None) => Shortfall::Final(Cause::NotOauth { status, body }),
    })
}

fn error_response(said: Unanswered) -> Option<ErrorResponse> {
    match said {
        Unanswered::Refused(error) => Some(error),
        Unanswered::NotOauth(_) => None,
    }
}

/// Seconds or an HTTP date (RFC 9110, section 10.2.3).
fn read_retry_after(text: &str) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let left = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now());
            Some(left.map_or(Duration::ZERO, |left| Duration::from_secs(left.as_secs() + 1)))
        }
    }
}

/// The host of a Location, which may be relative (server-replies: django-oauth-toolkit).
fn target_host(location: Option<&str>) -> String {
    let Some(location) = location else { return "nowhere (no Location)".to_owned() };
    match location.split_once("//") {
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            authority.rsplit('@').next().unwrap_or(authority).to_owned()
        }
        None => format!("another path of the same host, {}", location.split(['?', '#']).next().unwrap_or("")),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}, {} bytes", self.status, self.length)?;
        self.trace.as_ref().map_or(Ok(()), |trace| write!(f, "; the server's id for this: {trace}"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(reason) | Self::NoAnswer(reason) | Self::Misconfigured(reason) => write!(f, "{reason}"),
            Self::PutOff { status, said, .. } => {
                write!(f, "HTTP status {status}")?;
                said.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            Self::Refused(error) => write!(f, "{error}"),
            Self::Redirected { status, to } => write!(f, "HTTP status {status}: a redirect to {to}"),
            Self::NotOauth { status, body } => write!(f, "HTTP status {status} with {body}: not an OAuth answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after() {
        assert_eq!(read_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(read_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read_retry_after("soon"), None);
    }

    #[test]
    fn names_a_redirect_s_host_only() {
        for (location, host) in [
            (Some("https://user:pass@login.example.org/x?token=1"), "login.example.org"),
            (Some("//example.org"), "example.org"),
            (Some("/o/token/?a=b"), "another path of the same host, /o/token/"),
            (None, "nowhere (no Location)"),
        ] {
            assert_eq!(target_host(location), host);
        }
    }
}
