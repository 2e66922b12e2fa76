//! The exchange: one refresh at the token endpoint, with its retries and its deadline.
//!
//! Each attempt ends in a verdict (`verdict`), which says whether the same refresh token may be sent again
//! (`schedule` says when), and an exchange without tokens in a failure with its hints (`diagnosis`):
//!
//! | outcome         | repeated                                                                |
//! |-----------------|-------------------------------------------------------------------------|
//! | not sent        | yes, with backoff, until the deadline: the server saw nothing           |
//! | not now         | yes, when the server says so (425, 429, 503, `Retry-After`), if it fits |
//! | outcome unknown | at once, a few times, within 30 s: if the server did rotate, only a     |
//! |                 | prompt replay can fall into its grace window. Never with `--no-replay`  |
//! | rejected        | no: an error response is final (RFC 6749, section 5.2)                  |
//! | not understood  | no: a successful response that may hold tokens is kept in a file, and   |
//! |                 | any other one that has new tokens beside an error                       |
//! | not OAuth       | no: something else responds there. Only a successful response that      |
//! |                 | can't hold a token is of unknown outcome                                |
//!
//! Nothing is sent so late that its response could not arrive in time; and after the first unknown outcome,
//! nothing is sent once the 30 s are over, whatever happened in between.

mod diagnosis;
mod login_diagnosis;
mod schedule;
mod verdict;

use std::thread;
use std::time::{Duration, Instant};

use crate::endpoint::TokenEndpoint;
use crate::journal::Journal;
use crate::oauth::{Body, NoTokens, TokenRequest, TokenResponse, is_whole_object};
use crate::transport::{Client, Content, End, Method, Request, Response};

pub use diagnosis::Context;
pub use schedule::Replay;
use schedule::Schedule;
pub use verdict::Unsuccessful;
use verdict::{ResponseSummary, Retry, Verdict, judge};

/// The tokens, and the line to write to the journal once they are stored.
pub struct Refreshed {
    pub response: TokenResponse,
    /// Masking takes memory and time, so that waits as well.
    pub summary: ResponseSummary,
}

/// One exchange: the request, where it goes, and how often.
pub struct Exchange<'a> {
    pub endpoint: &'a TokenEndpoint,
    pub request: &'a TokenRequest,
    /// Header fields of the user's own.
    pub headers: &'a [(String, String)],
    pub replay: Replay,
    pub deadline: Instant,
    pub journal: Journal,
}

impl Exchange<'_> {
    /// Runs the exchange, with as many attempts as the table allows.
    pub fn run(&self, client: &mut Client) -> Result<Refreshed, Box<Unsuccessful>> {
        let journal = self.journal;
        let mut schedule = Schedule::until(self.deadline);
        // A response says more than a later failure to connect.
        let mut last_response = None;
        loop {
            let number = schedule.begin_attempt();
            journal.step(format_args!("attempt {number}"));
            let verdict = match self.attempt(client, &schedule) {
                Ok(refreshed) => return Ok(refreshed),
                Err(verdict) => *verdict,
            };
            if let Some(summary) = &verdict.summary {
                journal.step(format_args!("{}", summary.shown(self.request.mask())));
            }
            journal.step(format_args!("attempt {number} failed: {}", verdict.cause));
            let wait = match verdict.retry {
                Retry::After(_) if self.replay == Replay::SendOnce => None,
                Retry::Backoff => schedule.backoff(Duration::ZERO),
                Retry::After(wait) => {
                    // The server sent an error: no tokens can be lost to a signal.
                    client.release_signals();
                    schedule.backoff(wait)
                }
                Retry::Promptly => schedule.replay(self.replay),
                Retry::Never => None,
            };
            let Some(wait) = wait else {
                let last = if verdict.summary.is_none() && verdict.cause.is_not_sent() { last_response } else { None };
                let verdict = last.unwrap_or(verdict);
                return Err(Box::new(verdict.end(&schedule, self.request.mask())));
            };
            if verdict.summary.is_some() {
                last_response = Some(verdict);
            }
            journal.step(format_args!("waiting {} ms", wait.as_millis()));
            thread::sleep(wait);
        }
    }

    fn attempt(&self, client: &mut Client, schedule: &Schedule) -> Result<Refreshed, Box<Verdict>> {
        let form = self.request.form();
        let request = Request {
            method: Method::POST,
            uri: self.endpoint.uri(),
            authorization: self.request.authorization(),
            headers: self.headers,
            content: Some(Content { media_type: "application/x-www-form-urlencoded", text: &form }),
        };
        let response = client.send(&request, schedule.deadlines()).map_err(|failure| Box::new(failure.into()))?;
        let summary = ResponseSummary::of(&response);
        match self.read(client, &response) {
            Ok(response) => Ok(Refreshed { response, summary }),
            Err((no_tokens, kept)) => {
                let mut verdict = judge(response, no_tokens, kept, self.request.mask());
                verdict.summary = Some(summary);
                Err(Box::new(verdict))
            }
        }
    }

    /// The tokens of a response; otherwise the reason, and the bytes to save in case they hold some.
    fn read(&self, client: &mut Client, response: &Response) -> Result<TokenResponse, (NoTokens, Vec<u8>)> {
        let mask = self.request.mask();
        let no_tokens = match TokenResponse::read(response.status, body(&response.content(), &response.end), mask) {
            Ok(tokens) => return Ok(tokens),
            Err(no_tokens) => no_tokens,
        };
        let kept = if response.is_framed { response.body.clone() } else { client.received() };
        // A response of one of these statuses has no body (RFC 9110, sections 15.2 and 15.4.5), but a wrong one may.
        let has_no_body = matches!(response.status, 100..200 | 304);
        let may_go_on = (200..300).contains(&response.status) || has_no_body;
        let is_settled = matches!(no_tokens, NoTokens::Rejected(_)) || !may_go_on;
        // The framing may have hidden a part of the body.
        let Some(whole) = client.read_on(&is_whole_object).filter(|_| !is_settled) else {
            return Err((no_tokens, kept));
        };
        let end =
            if response.is_framed && whole.body.len() <= response.body.len() { &response.end } else { &whole.end };
        match TokenResponse::read(response.status, body(&whole.content(), end), mask) {
            Err(NoTokens::Nothing { .. }) => Err((no_tokens, kept)),
            Err(understood) if whole.body == response.body => Err((understood, kept)),
            outcome => outcome.map_err(|no_tokens| (no_tokens, client.received())),
        }
    }
}

fn body<'a>(content: &'a [u8], end: &End) -> Body<'a> {
    match end {
        End::Whole | End::TooLarge(_) => Body::Whole(content),
        End::Unmarked => Body::Unmarked(content),
        End::CutOff(_) => Body::CutOff(content),
    }
}
