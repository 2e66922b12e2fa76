//! One POST over TLS. The only file that knows ureq and rustls.
//!
//! What matters to a refresh token is whether the request may have reached the server. ureq's
//! errors don't tell, so a connector of our own stands at the end of its chain and takes note of
//! the first byte of the request that is handed to the connection: before it, a failure is
//! `NotSent`; from then on it is `OutcomeUnknown`. The handshake, a proxy's CONNECT and SOCKS come
//! before, and carry no token.
//!
//! The same connector keeps the connection open until the response is dropped: closing takes
//! system calls, and nothing may stand between the reply's last byte and the draft's fsync.
//!
//! From that first byte on, signals are held back (`signals`): the answer must not be lost to one.
//!
//! No redirects, no cookies, no compression, no pool. Certificates are checked against the
//! built-in Mozilla roots, or exactly the given ones. If the built-in ones, and only they, do not
//! know the issuer, the operating system's are asked in one more handshake.

mod tls;

use std::fmt;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::{AutoHeaderValue, Config};
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector, SocksConnector,
    TcpConnector, Transport,
};

use crate::endpoint::TokenEndpoint;
use crate::journal::Journal;
use crate::secret::Secret;
use crate::signals;
use crate::text::reason;

use tls::TlsFault;
pub use tls::{Identity, IdentityFault, Roots};

/// The largest body that is read, in bytes.
pub const LARGEST_BODY: usize = 1 << 20;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Sends requests to one token endpoint.
pub struct HttpClient {
    uri: Uri,
    proxy: Option<ProxyServer>,
    roots: Roots,
    identity: Option<Identity>,
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
}

/// An HTTP response, its body read.
pub struct Response {
    pub status: u16,
    pub location: Option<String>,
    pub retry_after: Option<String>,
    /// The server's own id for this exchange, for its support.
    pub trace: Option<String>,
    pub body: Vec<u8>,
    /// Why the body ended before its end, if it did.
    pub cut_short: Option<Reason>,
    pub connection: OpenConnection,
}

/// The connection of a response. Dropping it closes the connection.
pub struct OpenConnection(#[expect(dead_code, reason = "held to be dropped")] Arc<Record>);

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
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    TimedOut,
    Io(io::Error),
    Tls(TlsFault),
    /// The proxy's answer to CONNECT, as ureq words it.
    Proxy(String),
    NotHttp,
    BodyTooLarge,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Resolving,
    Connecting,
    Handshaking,
    Established,
}

impl Reason {
    /// The operator must act: no later attempt will fare better.
    pub fn is_configuration(&self) -> bool {
        matches!(self.fault, Fault::Tls(_))
    }

    /// The next step, where one is known.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.fault {
            Fault::Tls(fault) => Some(fault.hint()),
            Fault::Proxy(_) => Some("check --proxy, HTTPS_PROXY and ALL_PROXY; --proxy none goes without one"),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.fault, self.stage) {
            (Fault::Tls(fault), _) => write!(f, "{fault}"),
            (Fault::Proxy(answer), _) => write!(f, "the proxy refused: {answer}"),
            (Fault::NotHttp, _) => f.write_str("the answer is not HTTP"),
            (Fault::BodyTooLarge, _) => f.write_str("the answer is larger than 1 MiB"),
            (Fault::TimedOut, Stage::Resolving) => f.write_str("looking up the host's address took too long"),
            (Fault::TimedOut, Stage::Connecting) => f.write_str("connecting took too long"),
            (Fault::TimedOut, Stage::Handshaking) => f.write_str("the TLS handshake took too long"),
            (Fault::TimedOut, Stage::Established) => f.write_str("no answer in time"),
            (Fault::Io(error), Stage::Resolving) => write!(f, "the host was not found: {}", reason(error)),
            (Fault::Io(error), Stage::Connecting) => write!(f, "cannot connect: {}", reason(error)),
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
        matches!(proxy.protocol(), Http | Https | Socks5 | Socks5h).then_some(Self(proxy))
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.0.protocol(), self.0.host(), self.0.port())
    }
}

impl HttpClient {
    pub fn new(endpoint: &TokenEndpoint, network: Network, journal: Journal) -> Self {
        let Network { proxy, roots, identity } = network;
        Self { uri: endpoint.uri().clone(), proxy, roots, identity, journal }
    }

    /// Sends one form, and reads the whole answer, until `deadline`.
    pub fn post(
        &mut self,
        authorization: Option<&Secret>,
        form: &Secret,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        match self.attempt(authorization, form, deadline) {
            Err(Failure::NotSent(Reason { fault: Fault::Tls(fault), .. }))
                if fault.is_unknown_issuer() && self.roots.give_way_to_system(self.journal) =>
            {
                self.attempt(authorization, form, deadline)
            }
            outcome => outcome,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the request to the token endpoint carries them")]
    fn attempt(&self, authorization: Option<&Secret>, form: &Secret, deadline: Instant) -> Result<Response, Failure> {
        let record = Arc::new(Record::new(&self.uri, self.journal));
        let remaining = deadline.saturating_duration_since(Instant::now());
        let agent = ureq::Agent::with_parts(self.config(remaining), record.chain(), record.resolver());
        let mut request = agent.post(&self.uri).content_type("application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization.expose());
        }
        match request.send(form.expose()) {
            Ok(response) => Ok(read(response, record)),
            Err(error) => Err(record.failure(error)),
        }
    }

    fn config(&self, timeout: Duration) -> Config {
        ureq::config::Config::builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(self.proxy.as_ref().map(|proxy| proxy.0.clone()))
            .tls_config(tls::config(&self.roots, self.identity.as_ref()))
            .user_agent(USER_AGENT)
            .accept("application/json")
            .accept_encoding(AutoHeaderValue::None)
            .input_buffer_size(16 << 10)
            .output_buffer_size(8 << 10)
            .max_idle_connections(0)
            .build()
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>, record: Arc<Record>) -> Response {
    let field = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let (location, retry_after) = (field("location"), field("retry-after"));
    // Docusign's first; the others are what gateways use.
    let trace =
        ["x-docusign-tracetoken", "x-request-id", "x-correlation-id", "x-ms-request-id"].into_iter().find_map(field);
    let mut body = Vec::new();
    let limit = LARGEST_BODY as u64 + 1;
    let end = response.body_mut().as_reader().take(limit).read_to_end(&mut body);
    let cut_short = match end {
        Ok(_) if body.len() > LARGEST_BODY => Some(Reason { stage: Stage::Established, fault: Fault::BodyTooLarge }),
        Ok(_) => None,
        Err(error) => Some(record.reason(error.into())),
    };
    let status = response.status().as_u16();
    record.journal.step(format_args!("HTTP {status}, {} bytes", body.len()));
    drop(response);
    Response { status, location, retry_after, trace, body, cut_short, connection: OpenConnection(record) }
}

/// One attempt, as the parts of the connector chain see it.
struct Record {
    target: Uri,
    stage: AtomicU8,
    is_sent: AtomicBool,
    journal: Journal,
    /// Where the connection waits to be closed.
    parked: Mutex<Option<Box<dyn Transport>>>,
}

impl Record {
    fn new(target: &Uri, journal: Journal) -> Self {
        Self {
            target: target.clone(),
            stage: AtomicU8::new(Stage::Resolving as u8),
            is_sent: AtomicBool::new(false),
            journal,
            parked: Mutex::new(None),
        }
    }

    fn chain(self: &Arc<Self>) -> impl Connector {
        let milestone = |stage| Milestone { stage, record: self.clone() };
        ().chain(milestone(Stage::Connecting))
            .chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(milestone(Stage::Handshaking))
            .chain(RustlsConnector::default())
            .chain(milestone(Stage::Established))
            .chain(Witness(self.clone()))
    }

    fn resolver(self: &Arc<Self>) -> impl Resolver {
        LiteralFirst { names: DefaultResolver::default(), record: self.clone() }
    }

    fn reach(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        [Stage::Resolving, Stage::Connecting, Stage::Handshaking, Stage::Established]
            .into_iter()
            .find(|&stage| stage as u8 == self.stage.load(Ordering::Relaxed))
            .unwrap_or(Stage::Established)
    }

    fn failure(&self, error: ureq::Error) -> Failure {
        let reason = self.reason(error);
        self.journal.step(format_args!("failed: {reason}"));
        // A TLS 1.3 server that wants a client certificate says so after the handshake: the
        // request was sent, and thrown away unread (RFC 8446, section 4.4.2.4).
        let is_unread = matches!(&reason.fault, Fault::Tls(fault) if fault.is_alert());
        match self.is_sent.load(Ordering::Relaxed) && !is_unread {
            true => Failure::OutcomeUnknown(reason),
            false => Failure::NotSent(reason),
        }
    }

    fn reason(&self, error: ureq::Error) -> Reason {
        let fault = match error {
            ureq::Error::Timeout(_) => Fault::TimedOut,
            ureq::Error::Io(error) => match TlsFault::within(&error) {
                Some(fault) => Fault::Tls(fault),
                None => Fault::Io(error),
            },
            ureq::Error::Rustls(error) => Fault::Tls(TlsFault::new(&error)),
            ureq::Error::ConnectProxyFailed(answer) => Fault::Proxy(answer),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => Fault::NotHttp,
            ureq::Error::HostNotFound => Fault::Io(io::Error::other("it has no address")),
            other => Fault::Io(io::Error::other(other.to_string())),
        };
        Reason { stage: self.stage(), fault }
    }

    /// Whether this connection leads to the token endpoint, and not to a proxy.
    fn is_target(&self, uri: &Uri) -> bool {
        uri.scheme() == self.target.scheme() && uri.authority() == self.target.authority()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record")
    }
}

/// A link of the chain that only takes note that it was reached.
#[derive(Debug)]
struct Milestone {
    stage: Stage,
    record: Arc<Record>,
}

impl<In: Transport> Connector<In> for Milestone {
    type Out = In;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        self.record.reach(self.stage);
        let journal = self.record.journal;
        match self.stage {
            Stage::Handshaking => journal.step(format_args!("connected")),
            Stage::Established if details.needs_tls() => journal.step(format_args!("TLS established")),
            _ => {}
        }
        Ok(chained)
    }
}

/// Looks names up with a time limit, which takes a thread, and literal addresses without one.
#[derive(Debug)]
struct LiteralFirst {
    names: DefaultResolver,
    record: Arc<Record>,
}

impl Resolver for LiteralFirst {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.record.reach(Stage::Resolving);
        let host = uri.host().unwrap_or_default();
        let addresses = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => {
                let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
                let mut addresses = self.empty();
                addresses.push((address, uri.port_u16().unwrap_or(default_port)).into());
                addresses
            }
            Err(_) => self.names.resolve(uri, config, timeout)?,
        };
        self.record.journal.step(format_args!("{host} has {:?}", &addresses[..]));
        self.record.reach(Stage::Connecting);
        Ok(addresses)
    }
}

/// The end of the chain: knows when the request leaves, and keeps the connection from closing.
#[derive(Debug)]
struct Witness(Arc<Record>);

impl<In: Transport> Connector<In> for Witness {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|transport| -> Box<dyn Transport> {
            if self.0.is_target(details.uri) {
                Box::new(Witnessed { transport: Some(Box::new(transport)), record: self.0.clone() })
            } else {
                Box::new(transport)
            }
        }))
    }
}

#[derive(Debug)]
struct Witnessed {
    /// Present until this is dropped.
    transport: Option<Box<dyn Transport>>,
    record: Arc<Record>,
}

impl Witnessed {
    fn open(&mut self) -> Result<&mut Box<dyn Transport>, ureq::Error> {
        self.transport.as_mut().ok_or(ureq::Error::ConnectionFailed)
    }
}

impl Transport for Witnessed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        match &mut self.transport {
            Some(transport) => transport.buffers(),
            None => unreachable!("a transport is not used while it is dropped"),
        }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if !self.record.is_sent.swap(true, Ordering::Relaxed) {
            signals::hold_back();
            self.record.journal.step(format_args!("sending the request"));
        }
        self.open()?.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.open()?.await_input(timeout)
    }

    /// Never: ureq asks in order to keep a connection for later, by reading from it.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.is_tls())
    }
}

impl Drop for Witnessed {
    fn drop(&mut self) {
        *self.record.parked.lock().unwrap_or_else(PoisonError::into_inner) = self.transport.take();
    }
}
