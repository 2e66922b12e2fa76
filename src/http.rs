//! One POST over TLS. The only file that knows ureq and rustls.
//!
//! What matters to a refresh token is whether the request may have reached the server. ureq's
//! errors don't tell, so a connector of our own stands at the end of its chain (`attempt`) and takes
//! note of the first byte of the request that is handed to the connection: before it, a failure is
//! `NotSent`; from then on it is `OutcomeUnknown`. The handshake, a proxy's CONNECT and SOCKS come
//! before, and carry no token.
//!
//! The same connector keeps the connection open until the response is dropped: closing takes
//! system calls, and nothing may stand between the reply's last byte and the draft's fsync.
//!
//! An attempt may take all the time there is once the request has left: hanging up early would make
//! a slow answer a lost one. It does not leave too late for an answer (`Times`). Connection and
//! handshake have a limit of their own, so that a load balancer which accepts and then says nothing
//! leaves time for its neighbour. `dial` holds the rest to the deadline.
//!
//! From that first byte on, signals are held back (`signals`): the answer must not be lost to one.
//!
//! No redirects, no cookies, no compression, no pool. Certificates are checked against the
//! built-in Mozilla roots, or exactly the given ones. If the built-in ones, and only they, do not
//! know the issuer, the operating system's are asked in one more handshake.

mod attempt;
mod dial;
mod resolve;
mod tls;

use std::fmt;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;

use crate::endpoint::TokenEndpoint;
use crate::journal::Journal;
use crate::secret::Secret;
use crate::text::reason;

use attempt::{Attempt, Peer, Stage};
use resolve::LookUpFault;
use tls::TlsFault;
pub use tls::{Identity, IdentityFault, Roots};

/// The largest body that is read, in bytes.
pub const LARGEST_BODY: usize = 1 << 20;

/// The largest head of a response, in bytes. ureq reads a head only if it fits into its buffer.
const LARGEST_HEAD: usize = 64 << 10;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// How long an attempt may take from the first connection until the request leaves.
const SET_UP: Duration = Duration::from_secs(10);

/// Sends requests to one token endpoint.
pub struct HttpClient {
    uri: Uri,
    network: Network,
    journal: Journal,
}

/// A proxy that was parsed and that ureq can speak to.
pub struct ProxyServer(ureq::Proxy);

/// What the network needs beside the endpoint.
pub struct Network {
    pub proxy: Option<ProxyServer>,
    pub roots: Roots,
    /// For mutual TLS.
    pub identity: Option<Identity>,
    /// Header fields of the user's own; `User-Agent` replaces ours.
    pub headers: Vec<(String, String)>,
}

/// Until when an attempt may take which step.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The first byte of the request leaves by then, or not at all.
    pub send_by: Instant,
    pub answer_by: Instant,
}

/// An HTTP response, its body read.
pub struct Response {
    pub status: u16,
    pub location: Option<String>,
    pub retry_after: Option<String>,
    /// The server's own id for this exchange, for its support.
    pub trace: Option<String>,
    pub body: Vec<u8>,
    /// Whether that is known to be all of the body.
    pub is_whole: bool,
    /// Why the body ended before its end, if that is known.
    pub cut_short: Option<Reason>,
    pub connection: OpenConnection,
}

/// The connection of a response. Dropping it closes the connection.
pub struct OpenConnection(#[expect(dead_code, reason = "held to be dropped")] Arc<Attempt>);

/// Why there is no response, by what may have become of the request.
#[derive(Debug)]
pub enum Failure {
    /// No byte of the request has left.
    NotSent(Reason),
    /// The server may have acted on it.
    OutcomeUnknown(Reason),
}

/// What went wrong, and where.
#[derive(Debug)]
pub struct Reason {
    stage: Stage,
    peer: Peer,
    fault: Fault,
    /// The proxy, if there is one.
    proxy: Option<String>,
}

#[derive(Debug)]
enum Fault {
    TimedOut,
    Io(io::Error),
    LookUp(LookUpFault),
    Tls(TlsFault),
    /// The proxy's answer to CONNECT.
    ProxyStatus(u16),
    NotHttp,
    BodyTooLarge,
}

/// What ureq says of a SOCKS server that does not let us through.
const SOCKS_REFUSALS: [&str; 3] =
    ["no acceptable auth methods", "password authentication failed", "connection not allowed by ruleset"];

impl Reason {
    /// The operator must act: no later attempt will fare better.
    pub fn is_configuration(&self) -> bool {
        match &self.fault {
            Fault::Tls(fault) => fault.is_lasting(),
            Fault::ProxyStatus(status) => !matches!(status, 408 | 429 | 500..),
            Fault::Io(error) => self.peer == Peer::Proxy && SOCKS_REFUSALS.contains(&error.to_string().as_str()),
            _ => false,
        }
    }

    /// The next step, where one is known.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.fault {
            Fault::Tls(fault) => Some(fault.hint()),
            Fault::LookUp(fault) => Some(fault.hint()),
            Fault::ProxyStatus(407) => {
                Some("give the proxy's user and password in its URL, percent-encoded: http://USER:PASSWORD@HOST:PORT")
            }
            _ if self.peer == Peer::Proxy => Some(
                "check --proxy, HTTPS_PROXY and ALL_PROXY, and what the proxy allows; --proxy none goes without one",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.proxy, self.peer) {
            (Some(proxy), Peer::Proxy) => write!(f, "the proxy {proxy}: ")?,
            (Some(proxy), Peer::Server) => write!(f, "through the proxy {proxy}: ")?,
            (None, _) => {}
        }
        match (&self.fault, self.stage) {
            (Fault::Tls(fault), _) => write!(f, "{fault}"),
            (Fault::LookUp(fault), _) => write!(f, "{fault}"),
            (Fault::ProxyStatus(status), _) => write!(f, "it refuses with HTTP status {status}"),
            (Fault::NotHttp, _) => f.write_str("the answer is not HTTP"),
            (Fault::BodyTooLarge, _) => f.write_str("the answer is larger than 1 MiB"),
            (Fault::TimedOut, Stage::Resolving | Stage::Connecting) => f.write_str("connecting took too long"),
            (Fault::TimedOut, Stage::Handshaking) => f.write_str("the TLS handshake took too long"),
            (Fault::TimedOut, Stage::Established) => f.write_str("no answer in time"),
            (Fault::Io(error), Stage::Resolving | Stage::Connecting) => write!(f, "cannot connect: {}", reason(error)),
            (Fault::Io(error), Stage::Handshaking) => write!(f, "the TLS handshake was cut off: {}", reason(error)),
            (Fault::Io(error), Stage::Established) => write!(f, "the connection broke: {}", reason(error)),
        }
    }
}

impl ProxyServer {
    /// `scheme://[user:password@]host[:port]`: http and https (CONNECT), socks5 and socks5h; http
    /// if the scheme is left out.
    #[expect(clippy::disallowed_methods, reason = "the proxy's user and password go to the proxy")]
    pub fn parse(url: &Secret) -> Option<Self> {
        let proxy = ureq::Proxy::new(url.expose()).ok()?;
        use ureq::ProxyProtocol::{Http, Https, Socks5, Socks5h};
        // Else ureq takes a port that is none for one that was left out.
        let authority = proxy.uri().authority()?;
        let is_port_read = authority.port().is_some() || authority.as_str().ends_with(authority.host());
        let is_spoken = matches!(proxy.protocol(), Http | Https | Socks5 | Socks5h);
        (is_port_read && is_spoken).then_some(Self(proxy))
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.0.uri().scheme_str().unwrap_or("http"), self.0.host(), self.0.port())
    }
}

impl HttpClient {
    pub fn new(endpoint: &TokenEndpoint, network: Network, journal: Journal) -> Self {
        Self { uri: endpoint.uri().clone(), network, journal }
    }

    /// Sends one form, and reads the whole answer.
    pub fn post(&mut self, authorization: Option<&Secret>, form: &Secret, times: Times) -> Result<Response, Failure> {
        match self.attempt(authorization, form, times) {
            Err(Failure::NotSent(Reason { fault: Fault::Tls(fault), .. }))
                if fault.is_unknown_issuer() && self.network.roots.give_way_to_system(self.journal) =>
            {
                self.attempt(authorization, form, times)
            }
            outcome => outcome,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the request to the token endpoint carries them")]
    fn attempt(&self, authorization: Option<&Secret>, form: &Secret, times: Times) -> Result<Response, Failure> {
        let attempt = Attempt::new(&self.uri, times, self.journal);
        if let Some(proxy) = &self.network.proxy {
            self.journal.step(format_args!("through the proxy {proxy}"));
        }
        let remaining = times.answer_by.saturating_duration_since(Instant::now());
        let agent = ureq::Agent::with_parts(self.config(remaining), attempt.chain(), attempt.resolver());
        let mut request = agent.post(&self.uri).content_type("application/x-www-form-urlencoded");
        for (name, value) in &self.network.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization.expose());
        }
        match request.send(form.expose()) {
            Ok(response) => Ok(self.read(response, attempt)),
            Err(error) => Err(self.failure(error, &attempt)),
        }
    }

    fn read(&self, mut response: ureq::http::Response<ureq::Body>, attempt: Arc<Attempt>) -> Response {
        let field = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (location, retry_after) = (field("location"), field("retry-after"));
        // Docusign's first; the others are what gateways use.
        let trace = ["x-docusign-tracetoken", "x-request-id", "x-correlation-id", "x-ms-request-id"];
        let trace = trace.into_iter().find_map(field);
        let is_framed = field("content-length").or_else(|| field("transfer-encoding")).is_some();
        let mut body = Vec::new();
        let limit = LARGEST_BODY as u64 + 1;
        let end = response.body_mut().as_reader().take(limit).read_to_end(&mut body);
        let cut_short = match end {
            Ok(_) if body.len() > LARGEST_BODY => Some(self.reason(Fault::BodyTooLarge, &attempt)),
            Ok(_) => None,
            Err(error) => Some(self.reason(fault(error.into()), &attempt)),
        };
        body.truncate(LARGEST_BODY);
        let is_whole = is_framed && cut_short.is_none();
        let status = response.status().as_u16();
        drop(response);
        let connection = OpenConnection(attempt);
        Response { status, location, retry_after, trace, body, is_whole, cut_short, connection }
    }

    fn failure(&self, error: ureq::Error, attempt: &Attempt) -> Failure {
        let reason = self.reason(fault(error), attempt);
        // A TLS 1.3 server that wants a client certificate says so after the handshake: the
        // request was sent, and thrown away unread (RFC 8446, section 4.4.2.4).
        let is_unread = matches!(&reason.fault, Fault::Tls(fault) if fault.is_about_our_certificate());
        match attempt.is_sent() && !is_unread {
            true => Failure::OutcomeUnknown(reason),
            false => Failure::NotSent(reason),
        }
    }

    fn reason(&self, fault: Fault, attempt: &Attempt) -> Reason {
        let (stage, peer) = attempt.place();
        Reason { stage, peer, fault, proxy: self.network.proxy.as_ref().map(ProxyServer::to_string) }
    }

    /// Where this begins, ureq looks for a proxy in the environment by itself: it can't be told not
    /// to. What it finds is replaced by ours.
    fn config(&self, timeout: Duration) -> Config {
        ureq::config::Config::builder()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(SET_UP))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(self.network.proxy.as_ref().map(|proxy| proxy.0.clone()))
            .tls_config(tls::config(&self.network.roots, self.network.identity.as_ref()))
            .user_agent(USER_AGENT)
            .accept("application/json")
            .accept_encoding("identity")
            .input_buffer_size(LARGEST_HEAD)
            .max_response_header_size(LARGEST_HEAD)
            .output_buffer_size(8 << 10)
            .max_idle_connections(0)
            .build()
    }
}

fn fault(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::Timeout(_) => Fault::TimedOut,
        ureq::Error::Io(error) => match TlsFault::within(&error) {
            Some(fault) => Fault::Tls(fault),
            None if error.kind() == io::ErrorKind::TimedOut => Fault::TimedOut,
            None => Fault::Io(error),
        },
        ureq::Error::Rustls(error) => Fault::Tls(TlsFault::new(&error)),
        // "proxy server responded 407/407", or that it did not.
        ureq::Error::ConnectProxyFailed(answer) => match answer.rsplit('/').next().map(str::parse) {
            Some(Ok(status)) => Fault::ProxyStatus(status),
            _ => Fault::Io(io::ErrorKind::UnexpectedEof.into()),
        },
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => Fault::NotHttp,
        ureq::Error::HostNotFound => Fault::Io(io::Error::other("it has no address")),
        ureq::Error::Other(other) => match other.downcast() {
            Ok(fault) => Fault::LookUp(*fault),
            Err(other) => Fault::Io(io::Error::other(other)),
        },
        other => Fault::Io(io::Error::other(other.to_string())),
    }
}
