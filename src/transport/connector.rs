//! One attempt, as the links of ureq's connector chain see it: how far it came, whom it was talking
//! to, whether the request has left, and every byte that came back.
//!
//! The last link keeps the bytes of the response as they came: where ureq's parser gives up, they can be
//! read otherwise. It also keeps the connection when ureq lets go of it, so that the rest can still be read.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, NextTimeout, RustlsConnector, SocksConnector,
    Transport,
};

use super::dial::dial;
use crate::journal::Journal;
use crate::os::signals;

/// The most that is kept of a response, its head included: more than is read of a body.
pub const MAX_KEPT: usize = (1 << 20) + (256 << 10);

/// How long a server may be silent in a response that is not understood.
const MAX_SILENCE: Duration = Duration::from_secs(3);

/// The deadlines for the steps of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// The first byte of the request leaves by then, or not at all.
    pub send_by: Instant,
    pub respond_by: Instant,
}

/// Whether a signal may end the process while a request is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    Block,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only a Secret takes such requests"))]
    Pass,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Resolving,
    Connecting,
    Handshaking,
    Established,
}

/// Whom an attempt was talking to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Server,
    Proxy,
}

pub struct Attempt {
    target: Uri,
    pub deadlines: Deadlines,
    pub journal: Journal,
    signals: Signals,
    progress: Mutex<Progress>,
}

struct Progress {
    stage: Stage,
    peer: Peer,
    is_sent: bool,
    /// What came from the server after the request was sent.
    received: Vec<u8>,
    /// TLS has said that this is the end (RFC 8446, section 6.1): nothing was cut off.
    is_ended_by_tls: bool,
    /// What the proxy said to CONNECT.
    said_by_proxy: Vec<u8>,
    /// The connection that ureq has let go of.
    connection: Option<Box<dyn Transport>>,
}

impl Attempt {
    pub fn new(target: &Uri, deadlines: Deadlines, journal: Journal, signals: Signals) -> Arc<Self> {
        let progress = Progress {
            stage: Stage::Resolving,
            peer: Peer::Server,
            is_sent: false,
            received: Vec::new(),
            is_ended_by_tls: false,
            said_by_proxy: Vec::new(),
            connection: None,
        };
        Arc::new(Self { target: target.clone(), deadlines, journal, signals, progress: Mutex::new(progress) })
    }

    /// How far this came, and with whom.
    pub fn stage(&self) -> (Stage, Peer) {
        let progress = self.progress();
        (progress.stage, progress.peer)
    }

    /// Whether the first byte of the request has been handed to the connection.
    pub fn is_sent(&self) -> bool {
        self.progress().is_sent
    }

    /// Every byte of the response so far.
    pub fn received(&self) -> Vec<u8> {
        self.progress().received.clone()
    }

    /// Whether TLS has confirmed that nothing more will come.
    pub fn is_ended_by_tls(&self) -> bool {
        self.progress().is_ended_by_tls
    }

    pub fn said_by_proxy(&self) -> Vec<u8> {
        self.progress().said_by_proxy.clone()
    }

    /// Reads on after ureq has given up, until the end, the deadline, or bytes that are `enough`.
    pub fn read_on(&self, enough: &dyn Fn(&[u8]) -> bool) {
        let mut progress = self.progress();
        let Some(mut connection) = progress.connection.take() else { return };
        let mut silence = NextTimeout::default();
        (silence.after, silence.reason) =
            (ureq::unversioned::transport::time::Duration::Exact(MAX_SILENCE), Timeout::RecvBody);
        while progress.received.len() < MAX_KEPT && !enough(&progress.received) {
            let unread = connection.buffers().input().len();
            connection.buffers().input_consume(unread);
            match connection.await_input(silence) {
                Ok(true) => progress.received.extend_from_slice(connection.buffers().input()),
                Ok(false) => {
                    progress.is_ended_by_tls |= connection.is_tls();
                    break;
                }
                Err(_) => break,
            }
        }
        progress.connection = Some(connection);
    }

    /// From here on the request counts as sent, unless it is too late for that.
    fn begin_to_send(&self) -> Result<(), ureq::Error> {
        let mut progress = self.progress();
        if Instant::now() > self.deadlines.send_by {
            progress.stage = Stage::Handshaking;
            return Err(ureq::Error::Timeout(Timeout::SendRequest));
        }
        progress.is_sent = true;
        if self.signals == Signals::Block {
            signals::block();
        }
        self.journal.step(format_args!("sending the request"));
        Ok(())
    }

    fn keep(&self, peer: Peer, bytes: &[u8]) {
        let mut progress = self.progress();
        let kept = match peer {
            Peer::Server => &mut progress.received,
            Peer::Proxy => &mut progress.said_by_proxy,
        };
        let room = MAX_KEPT - kept.len().min(MAX_KEPT);
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub fn mark(&self, stage: Stage, uri: &Uri) {
        let mut progress = self.progress();
        progress.stage = stage;
        progress.peer = self.peer_at(uri);
    }

    fn peer_at(&self, uri: &Uri) -> Peer {
        let is_target = uri.scheme() == self.target.scheme() && uri.authority() == self.target.authority();
        if is_target { Peer::Server } else { Peer::Proxy }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt")
    }
}

/// Makes the connection, link by link, and watches it. In ureq's own chain every link has a type of its own; one type
/// for all makes a smaller program.
#[derive(Debug)]
pub struct Chain {
    attempt: Arc<Attempt>,
    tls: RustlsConnector,
}

type Link = Box<dyn Transport>;

impl Chain {
    pub fn new(attempt: Arc<Attempt>) -> Self {
        Self { attempt, tls: RustlsConnector::default() }
    }
}

impl Connector for Chain {
    type Out = Link;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Link>, ureq::Error> {
        let Self { attempt, tls } = self;
        let proxied = SocksConnector::default().connect(details, None::<Link>)?.map(link);
        let proxied = ConnectProxyConnector::default().connect(details, proxied)?.map(link);
        let connection = match proxied {
            Some(proxied) => proxied,
            None => Box::new(dial(details, attempt.deadlines.respond_by, attempt.journal)?),
        };
        attempt.mark(Stage::Handshaking, details.uri);
        attempt.journal.step(format_args!("connected"));
        let connection = tls.connect(details, Some(connection))?.map(link);
        attempt.mark(Stage::Established, details.uri);
        if details.needs_tls() {
            attempt.journal.step(format_args!("TLS established"));
        }
        let peer = attempt.peer_at(details.uri);
        let watched = |transport| Observed { transport: Some(transport), peer, attempt: attempt.clone() };
        Ok(connection.map(|transport| -> Link { Box::new(watched(transport)) }))
    }
}

fn link(either: Either<Link, impl Transport>) -> Link {
    match either {
        Either::A(link) => link,
        Either::B(transport) => Box::new(transport),
    }
}

/// The end of the chain: knows when the request leaves and what comes back, and keeps the connection.
#[derive(Debug)]
struct Observed {
    /// Present until this is dropped.
    transport: Option<Box<dyn Transport>>,
    peer: Peer,
    attempt: Arc<Attempt>,
}

impl Observed {
    fn open(&mut self) -> Result<&mut Box<dyn Transport>, ureq::Error> {
        self.transport.as_mut().ok_or(ureq::Error::ConnectionFailed)
    }
}

impl Transport for Observed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        match &mut self.transport {
            Some(transport) => transport.buffers(),
            None => unreachable!("a transport is not used while it is dropped"),
        }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.peer == Peer::Server && !self.attempt.is_sent() {
            self.attempt.begin_to_send()?;
        }
        self.open()?.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let attempt = self.attempt.clone();
        let peer = self.peer;
        let transport = self.open()?;
        let known = transport.buffers().input().len();
        // A full buffer takes nothing, which is not an end.
        let has_room = !transport.buffers().input_append_buf().is_empty();
        let is_more = transport.await_input(timeout)?;
        attempt.keep(peer, transport.buffers().input().get(known..).unwrap_or_default());
        if !is_more && has_room && peer == Peer::Server {
            attempt.progress().is_ended_by_tls = transport.is_tls();
        }
        Ok(is_more)
    }

    /// Always false: ureq asks only before it keeps a connection for later, and would read from it to find out.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.is_tls())
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if self.peer == Peer::Server {
            self.attempt.progress().connection = self.transport.take();
        }
    }
}
