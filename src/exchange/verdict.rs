//! What an attempt without tokens means, and whether another one may follow.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::schedule::Schedule;
use crate::oauth::{ErrorResponse, Mask, Meaning, NoTokens};
use crate::transport::{End, Reason, Response, TransportFailure};

/// How an attempt ended that brought no tokens.
pub struct Verdict {
    pub cause: Cause,
    pub retry: Retry,
    /// None if no response came.
    pub summary: Option<ResponseSummary>,
}

/// Whether and when the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// After a growing pause: the server saw nothing.
    Backoff,
    /// When the server allows it.
    After(Duration),
    /// At once: the outcome is unknown, and only a prompt replay can fall into a server's grace period.
    Promptly,
    Never,
}

/// Why there are no tokens.
pub enum Cause {
    /// The request never left.
    NotSent(Reason),
    /// The connection failed after the request was sent.
    Lost(Reason),
    /// No repetition will help: TLS, certificate, proxy settings.
    Misconfigured(Reason),
    /// The server is unavailable, or its response was cut off: HTTP status, and its message.
    Unavailable {
        status: u16,
        said: Option<ErrorResponse>,
        retry_after: Option<Duration>,
    },
    Rejected(ErrorResponse),
    /// 401 without an error response: client authentication failed (RFC 6749, section 5.2).
    Unauthorized {
        challenge: Option<String>,
    },
    Redirected {
        status: u16,
        to: String,
    },
    NotOauth {
        status: u16,
        what: &'static str,
        said: Option<String>,
    },
    /// A response that may hold tokens, with every byte of it.
    NotUnderstood {
        status: u16,
        what: &'static str,
        response: Vec<u8>,
    },
}

/// What the journal may show of a response.
pub struct ResponseSummary {
    status: u16,
    /// Of the body, in bytes.
    length: usize,
    /// The server's own id for the exchange.
    trace: Option<String>,
}

/// The end of an exchange without tokens.
pub struct Unsuccessful {
    pub cause: Cause,
    /// An attempt may have reached the server without its response reaching us.
    pub may_be_spent: bool,
    pub attempts: u32,
    /// The server's own id for the last exchange, printable.
    pub trace: Option<String>,
}

impl Verdict {
    fn new(cause: Cause, retry: Retry) -> Self {
        Self { cause, retry, summary: None }
    }

    pub fn end(self, schedule: &Schedule, mask: &Mask) -> Unsuccessful {
        let trace = self.summary.and_then(|summary| Some(mask.printable(&summary.trace?)));
        let (may_be_spent, attempts) = (schedule.is_outcome_unknown(), schedule.attempts());
        Unsuccessful { cause: self.cause, may_be_spent, attempts, trace }
    }
}

impl From<TransportFailure> for Verdict {
    fn from(failure: TransportFailure) -> Self {
        match failure {
            TransportFailure::NotSent(reason) if reason.is_configuration() => {
                Self::new(Cause::Misconfigured(reason), Retry::Never)
            }
            TransportFailure::NotSent(reason) => Self::new(Cause::NotSent(reason), Retry::Backoff),
            TransportFailure::OutcomeUnknown(reason) => Self::new(Cause::Lost(reason), Retry::Promptly),
        }
    }
}

/// The verdict on a response without tokens. The order of the arms is the rule: new tokens go before everything that
/// says there are none; 429 and 503, which say *when* to try again, 420 and 425 go before the error response; that
/// goes before any other status; and the outcome is unknown only if the response says nothing and cannot hold a token.
/// `kept` is the response as it came.
pub fn judge(response: Response, no_tokens: NoTokens, kept: Vec<u8>, mask: &Mask) -> Verdict {
    let Response { status, location, retry_after, challenge, end, .. } = response;
    // "Retry-After: 0" is not an invitation to hammer.
    let retry_after = retry_after.as_deref().and_then(read_retry_after).filter(|wait| !wait.is_zero());
    let later = |said, retry_after: Option<Duration>| {
        Verdict::new(Cause::Unavailable { status, said, retry_after }, Retry::After(retry_after.unwrap_or_default()))
    };
    match (status, no_tokens, end) {
        (_, NoTokens::Contradictory { what }, _) => {
            Verdict::new(Cause::NotUnderstood { status, what, response: kept }, Retry::Never)
        }
        // 304 leads nowhere (RFC 9110, section 15.4.5).
        (300..=303 | 305..=399, ..) => {
            let to = mask.printable(&target_host(location.as_deref()));
            Verdict::new(Cause::Redirected { status, to }, Retry::Never)
        }
        // 420: Twitter's 429. 425: the server did not act on what may be a repetition (RFC 8470, section 5.2).
        (420 | 425 | 429 | 503, NoTokens::Rejected(error), _) => later(Some(error), retry_after),
        (420 | 425 | 429 | 503, ..) => later(None, retry_after),
        (_, NoTokens::Rejected(error), _) if error.meaning == Meaning::TryLater => later(Some(error), retry_after),
        (_, NoTokens::Rejected(error), _) if error.meaning == Meaning::TooOften => match retry_after {
            Some(_) => later(Some(error), retry_after),
            // Another request would only add to the excess.
            None => Verdict::new(Cause::Rejected(error), Retry::Never),
        },
        (_, NoTokens::Rejected(error), _)
            if error.meaning == Meaning::Failed
                || error.meaning == Meaning::Unknown && matches!(status, 408 | 500..) =>
        {
            Verdict::new(Cause::Unavailable { status, said: Some(error), retry_after: None }, Retry::Promptly)
        }
        (_, NoTokens::Rejected(error), _) => Verdict::new(Cause::Rejected(error), Retry::Never),
        (200..300, NoTokens::NotUnderstood { what, .. }, _) => {
            Verdict::new(Cause::NotUnderstood { status, what, response: kept }, Retry::Never)
        }
        (.., End::CutOff(reason) | End::TooLarge(reason)) => Verdict::new(Cause::Lost(reason), Retry::Promptly),
        (408 | 500.., ..) => {
            Verdict::new(Cause::Unavailable { status, said: None, retry_after: None }, Retry::Promptly)
        }
        (401, ..) => {
            let challenge = challenge.map(|challenge| mask.printable(&challenge));
            Verdict::new(Cause::Unauthorized { challenge }, Retry::Never)
        }
        (_, NoTokens::NotUnderstood { what, said }, _) => {
            Verdict::new(Cause::NotOauth { status, what, said }, Retry::Never)
        }
        (_, NoTokens::Nothing { what }, _) => {
            let retry = if (200..300).contains(&status) { Retry::Promptly } else { Retry::Never };
            Verdict::new(Cause::NotOauth { status, what, said: None }, retry)
        }
    }
}

impl Cause {
    pub fn is_not_sent(&self) -> bool {
        matches!(self, Self::NotSent(_))
    }
}

impl Unsuccessful {
    /// The server rejected the refresh token.
    pub fn is_token_rejected(&self) -> bool {
        matches!(&self.cause, Cause::Rejected(error) if error.meaning == Meaning::Reauthorize)
    }

    /// A response that may hold tokens, byte for byte.
    pub fn response_to_keep(&self) -> Option<&[u8]> {
        match &self.cause {
            Cause::NotUnderstood { response, .. } => Some(response),
            _ => None,
        }
    }
}

impl ResponseSummary {
    pub fn of(response: &Response) -> Self {
        Self { status: response.status, length: response.body.len(), trace: response.trace.clone() }
    }

    /// As a line of the journal.
    pub fn shown(&self, mask: &Mask) -> String {
        let trace = self.trace.as_ref().map(|trace| format!("; request id {}", mask.printable(trace)));
        format!("HTTP {}, {} bytes{}", self.status, self.length, trace.unwrap_or_default())
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

/// The host of a Location, which may be relative (django-oauth-toolkit).
fn target_host(location: Option<&str>) -> String {
    let Some(location) = location else { return "nowhere (no Location)".to_owned() };
    match location.split_once("//") {
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            authority.rsplit('@').next().unwrap_or(authority).to_owned()
        }
        None => format!("another path on the same host, {}", location.split(['?', '#']).next().unwrap_or("")),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) | Self::Misconfigured(reason) => write!(f, "{reason}"),
            Self::Unavailable { status, said, .. } => {
                write!(f, "HTTP status {status}")?;
                said.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            Self::Rejected(error) => write!(f, "{error}"),
            Self::Unauthorized { challenge } => {
                f.write_str("HTTP status 401: client authentication failed")?;
                challenge.as_ref().map_or(Ok(()), |challenge| write!(f, "; the server requires {challenge}"))
            }
            Self::Redirected { status, to } => write!(f, "HTTP status {status}: a redirect to {to}"),
            Self::NotOauth { status, what, said } => {
                write!(f, "HTTP status {status} with {what}: not an OAuth response")?;
                said.as_ref().map_or(Ok(()), |said| write!(f, ": \"{said}\""))
            }
            Self::NotUnderstood { status, what, .. } => write!(f, "HTTP status {status} with {what}"),
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
            (Some("/o/token/?a=b"), "another path on the same host, /o/token/"),
            (None, "nowhere (no Location)"),
        ] {
            assert_eq!(target_host(location), host);
        }
    }
}
