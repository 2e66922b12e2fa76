//! One HTTP request over TLS. Only this module and its parts know ureq and rustls.
//!
//! What matters to a refresh token is whether the request may have reached the server. ureq's
//! errors don't tell, so a link of our own stands at the end of its connector chain (`connector`) and takes
//! note of the first byte of the request that is handed to the connection: before it, a failure is
//! `NotSent`; from then on it is `OutcomeUnknown`. The handshake, a proxy's CONNECT and SOCKS come
//! before, and carry no token.
//!
//! No byte of a response is thrown away: the same link keeps them as they came. Where ureq's parser refuses a
//! head, or its framing leaves a body that says nothing, [`Client::read_on`] takes the rest from the same
//! connection and reads it loosely (`loose`).
//!
//! The client owns the connection, and with it the signals: from the first byte of a request on they are
//! blocked, so that a response is not lost to one, until [`Client::release_signals`]. It also keeps the
//! connection open until it sends again, or the process ends: closing takes system calls, and nothing may stand
//! between the last byte of the response and the draft's fsync.
//!
//! An attempt may take all the time there is once the request has left: hanging up early would make
//! a slow response a lost one. It does not leave too late for a response (`Deadlines`). Connection and
//! handshake have a limit of their own, so that a load balancer which accepts and then says nothing
//! leaves time for its neighbour. `dial` holds the rest to the deadline.
//!
//! No redirects, no cookies, no pool. Certificates are checked against the built-in Mozilla roots, or exactly
//! the given ones. If the built-in ones, and only they, do not know the issuer, the operating system's are
//! asked in one more handshake.

mod connector;
mod dial;
mod failure;
mod inflate;
mod loose;
mod proxy;
mod resolve;
mod tls;

use std::borrow::Cow;
use std::io::Read as _;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
pub use ureq::http::Method;
use ureq::http::{self, Uri};

use crate::journal::Journal;
use crate::os::signals;
use crate::secret::Secret;

pub use connector::Deadlines;
use connector::{Attempt, Chain, Signals};
use failure::{Fault, UsedProxy};
pub use failure::{Reason, TransportFailure};
use inflate::inflated;
use loose::{LooseResponse, has_object};
pub use proxy::ProxyServer;
use resolve::HostResolver;
pub use tls::{Identity, IdentityFault, Roots};

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// The largest head of a response that ureq reads, in bytes: it must fit into its buffer. `loose` reads larger ones.
const MAX_HEAD: usize = 16 << 10;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// How long an attempt may take from the first connection until the request leaves.
const MAX_SET_UP: Duration = Duration::from_secs(10);

/// Sends requests, one after the other.
pub struct Client {
    network: Network,
    journal: Journal,
    signals: Signals,
    /// The last attempt, with its connection. Dropping a client does not close it, because the process ends soon
    /// after, which closes it with a dozen system calls less.
    attempt: ManuallyDrop<Option<Arc<Attempt>>>,
}

/// How requests reach the server: through which proxy, with whose trust and as whom.
pub struct Network {
    pub proxy: Option<ProxyServer>,
    pub roots: Roots,
    /// For mutual TLS.
    pub identity: Option<Identity>,
}

/// What is sent, and where.
pub struct Request<'a> {
    pub method: Method,
    pub uri: &'a Uri,
    /// The value of the `Authorization` field.
    pub authorization: Option<&'a Secret>,
    /// Header fields of the user's own, none of them secret; `User-Agent` replaces ours.
    pub headers: &'a [(String, String)],
    pub content: Option<Content<'a>>,
}

/// The body of a request.
pub struct Content<'a> {
    pub media_type: &'static str,
    pub text: &'a Secret,
}

/// An HTTP response, its body read.
pub struct Response {
    pub status: u16,
    pub location: Option<String>,
    pub retry_after: Option<String>,
    /// How a client is to authenticate (RFC 9110, section 11.6.1).
    pub challenge: Option<String>,
    /// The server's own id for this exchange, for its support.
    pub trace: Option<String>,
    pub body: Vec<u8>,
    pub end: End,
    /// Whether the head and the framing of the body followed the rules of HTTP.
    pub is_framed: bool,
}

/// What is known of the end of a body.
#[derive(Debug)]
pub enum End {
    /// All of it is there, by its length, its last chunk or the end of the TLS session.
    Whole,
    /// The connection ended, and nothing says whether that was meant.
    Unmarked,
    /// The connection ended before the body did.
    CutOff(Reason),
    /// It is larger than `MAX_BODY`.
    TooLarge(Reason),
}

impl Response {
    /// The body without a compression that was not wanted.
    pub fn content(&self) -> Cow<'_, [u8]> {
        inflated(&self.body, MAX_BODY)
    }
}

impl Client {
    pub fn new(network: Network, journal: Journal) -> Self {
        Self { network, journal, signals: Signals::Block, attempt: ManuallyDrop::new(None) }
    }

    /// A client whose requests a signal may end, because nothing is lost.
    #[cfg(target_os = "linux")]
    pub fn interruptible(network: Network, journal: Journal) -> Self {
        Self { signals: Signals::Pass, ..Self::new(network, journal) }
    }

    /// Sends one request, and reads the whole response.
    pub fn send(&mut self, request: &Request<'_>, deadlines: Deadlines) -> Result<Response, TransportFailure> {
        match self.attempt(request, deadlines) {
            Err(TransportFailure::NotSent(Reason { fault: Fault::Tls(fault), .. }))
                if fault.is_unknown_issuer() && self.network.roots.fall_back_to_system(self.journal) =>
            {
                self.attempt(request, deadlines)
            }
            outcome => outcome,
        }
    }

    /// Reads the last response again, leniently, with whatever its connection still brings. None if that yields no
    /// response. `is_whole` says whether a body is complete.
    pub fn read_on(&mut self, is_whole: &dyn Fn(&[u8]) -> bool) -> Option<Response> {
        let attempt = self.attempt.as_ref()?;
        attempt.read_on(&|bytes| {
            let response = LooseResponse::read(bytes);
            response.is_complete() || is_whole(&inflated(&response.body(), MAX_BODY))
        });
        read_loosely(attempt)
    }

    /// Every byte of the last response, as it came.
    pub fn received(&self) -> Vec<u8> {
        self.attempt.as_ref().map_or_else(Vec::new, |attempt| attempt.received())
    }

    /// Lets signals through again, also those that came meanwhile: this may not return. Dropping a client
    /// does not: if tokens could not be stored, the message about them comes first.
    pub fn release_signals(&mut self) {
        signals::unblock();
    }

    fn attempt(&mut self, request: &Request<'_>, deadlines: Deadlines) -> Result<Response, TransportFailure> {
        // Closes the connection of the one before.
        *self.attempt = None;
        let attempt = Attempt::new(request.uri, deadlines, self.journal, self.signals);
        if let Some(proxy) = &self.network.proxy {
            self.journal.step(format_args!("through the proxy {proxy}"));
        }
        let remaining = deadlines.respond_by.saturating_duration_since(Instant::now());
        let agent =
            ureq::Agent::with_parts(self.config(remaining), Chain::new(attempt.clone()), HostResolver(attempt.clone()));
        let outcome = match run(&agent, request) {
            Ok(response) => Ok(self.read(response, &attempt)),
            Err(error) => self.read_what_came(error, &attempt),
        };
        *self.attempt = Some(attempt);
        outcome
    }

    fn read(&self, mut response: http::Response<ureq::Body>, attempt: &Attempt) -> Response {
        let field = |name: &str| Some(String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).into_owned());
        let (location, retry_after) = (field("location"), field("retry-after"));
        let (challenge, trace) = (field("www-authenticate"), trace(field));
        let has_length = field("content-length").or_else(|| field("transfer-encoding")).is_some();
        let mut body = Vec::new();
        let limit = MAX_BODY as u64 + 1;
        let read = response.body_mut().as_reader().take(limit).read_to_end(&mut body);
        let mut is_framed = true;
        let end = match read {
            Ok(_) if body.len() > MAX_BODY => End::TooLarge(self.reason(Fault::BodyTooLarge, attempt)),
            Ok(_) if has_length || attempt.is_ended_by_tls() => End::Whole,
            Ok(_) => End::Unmarked,
            Err(error) => match self.reason(ureq::Error::from(error).into(), attempt) {
                Reason { fault: Fault::NotHttp, .. } => {
                    is_framed = false;
                    End::Unmarked
                }
                reason => End::CutOff(reason),
            },
        };
        body.truncate(MAX_BODY);
        let status = response.status().as_u16();
        Response { status, location, retry_after, challenge, trace, body, end, is_framed }
    }

    /// ureq could not read a response. The bytes that came may still be one.
    fn read_what_came(&self, error: ureq::Error, attempt: &Attempt) -> Result<Response, TransportFailure> {
        let reason = self.reason(error.into(), attempt);
        if !attempt.is_sent() {
            return Err(TransportFailure::NotSent(reason));
        }
        if !attempt.received().is_empty() {
            self.journal
                .step(format_args!("the head of the response is incomplete or malformed; reading it leniently"));
            attempt.read_on(&|bytes| LooseResponse::read(bytes).is_complete());
        }
        // A TLS 1.3 server that wants a client certificate says so after the handshake: the
        // request was sent, and thrown away unread (RFC 8446, section 4.4.2.4).
        let is_unread = matches!(&reason.fault, Fault::Tls(fault) if fault.is_about_our_certificate());
        match read_loosely(attempt) {
            Some(response) => Ok(response),
            None if is_unread => Err(TransportFailure::NotSent(reason)),
            None => Err(TransportFailure::OutcomeUnknown(reason)),
        }
    }

    fn reason(&self, mut fault: Fault, attempt: &Attempt) -> Reason {
        if let Fault::ProxyStatus { schemes, .. } = &mut fault {
            *schemes = LooseResponse::read(&attempt.said_by_proxy()).schemes("proxy-authenticate");
        }
        let (stage, peer) = attempt.stage();
        let used =
            |proxy: &ProxyServer| UsedProxy { name: proxy.to_string(), has_credentials: proxy.has_credentials() };
        Reason { stage, peer, fault, proxy: self.network.proxy.as_ref().map(used) }
    }

    /// `Config::builder` always reads the proxy variables; our own setting overrides them.
    fn config(&self, timeout: Duration) -> Config {
        Config::builder()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(MAX_SET_UP))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(self.network.proxy.as_ref().map(ProxyServer::for_ureq))
            .tls_config(tls::config(&self.network.roots, self.network.identity.as_ref()))
            .user_agent(USER_AGENT)
            .accept("application/json")
            .accept_encoding("identity")
            .input_buffer_size(MAX_HEAD)
            .max_response_header_size(MAX_HEAD)
            .output_buffer_size(8 << 10)
            .max_idle_connections(0)
            .build()
    }
}

#[expect(clippy::disallowed_methods, reason = "the request carries them to the server")]
fn run(agent: &ureq::Agent, request: &Request<'_>) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let mut builder = http::Request::builder().method(request.method.clone()).uri(request.uri);
    if let Some(authorization) = request.authorization {
        builder = builder.header("Authorization", authorization.expose());
    }
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    match &request.content {
        Some(content) => agent.run(builder.header("Content-Type", content.media_type).body(content.text.expose())?),
        None => agent.run(builder.body(())?),
    }
}

/// None if no byte that came belongs to a body. JSON without a status line is a response as in HTTP/0.9: a CGI program may
/// forget the line.
fn read_loosely(attempt: &Attempt) -> Option<Response> {
    let bytes = attempt.received();
    let response = LooseResponse::read(&bytes);
    let mut body = response.body();
    body.truncate(MAX_BODY);
    let has_json = body.trim_ascii_start().starts_with(b"{") || has_object(&body);
    let status = response.status.or(has_json.then_some(200))?;
    if body.trim_ascii().is_empty() && (200..300).contains(&status) {
        return None;
    }
    let field = |name: &str| response.field(name).map(str::to_owned);
    let end = if response.is_complete() || attempt.is_ended_by_tls() { End::Whole } else { End::Unmarked };
    Some(Response {
        status,
        location: field("location"),
        retry_after: field("retry-after"),
        challenge: field("www-authenticate"),
        trace: trace(field),
        body,
        end,
        is_framed: false,
    })
}

/// The field that names the exchange: Docusign's first; the others are what gateways use.
fn trace(field: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["x-docusign-tracetoken", "x-request-id", "x-correlation-id", "x-ms-request-id"].into_iter().find_map(field)
}
