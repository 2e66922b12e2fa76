//! One attempt, as the links of ureq's connector chain see it: how far it came, whom it was talking
//! to, and whether the request has left.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ureq::Timeout;
use ureq::http::Uri;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector, SocksConnector,
    Transport,
};

use super::Times;
use super::dial::Dialer;
use super::resolve::LiteralFirst;
use crate::journal::Journal;
use crate::os::signals;

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
    pub times: Times,
    pub journal: Journal,
    progress: Mutex<Progress>,
}

struct Progress {
    stage: Stage,
    peer: Peer,
    is_sent: bool,
    /// Where the connection waits to be closed.
    parked: Option<Box<dyn Transport>>,
}

impl Attempt {
    pub fn new(target: &Uri, times: Times, journal: Journal) -> Arc<Self> {
        let progress = Progress { stage: Stage::Resolving, peer: Peer::Server, is_sent: false, parked: None };
        Arc::new(Self { target: target.clone(), times, journal, progress: Mutex::new(progress) })
    }

    pub fn chain(self: &Arc<Self>) -> impl Connector {
        let milestone = |stage| Milestone { stage, attempt: self.clone() };
        ().chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(Dialer(self.clone()))
            .chain(milestone(Stage::Handshaking))
            .chain(RustlsConnector::default())
            .chain(milestone(Stage::Established))
            .chain(Witness(self.clone()))
    }

    pub fn resolver(self: &Arc<Self>) -> impl Resolver {
        LiteralFirst(self.clone())
    }

    pub fn place(&self) -> (Stage, Peer) {
        let progress = self.progress();
        (progress.stage, progress.peer)
    }

    /// Whether the first byte of the request has been handed to the connection.
    pub fn is_sent(&self) -> bool {
        self.progress().is_sent
    }

    /// From here on the request counts as sent, unless it is too late for that.
    fn begin_to_send(&self) -> Result<(), ureq::Error> {
        let mut progress = self.progress();
        if Instant::now() > self.times.send_by {
            progress.stage = Stage::Handshaking;
            return Err(ureq::Error::Timeout(Timeout::SendRequest));
        }
        progress.is_sent = true;
        signals::hold_back();
        self.journal.step(format_args!("sending the request"));
        Ok(())
    }

    pub fn reach(&self, stage: Stage, uri: &Uri) {
        let mut progress = self.progress();
        progress.stage = stage;
        progress.peer = if self.is_target(uri) { Peer::Server } else { Peer::Proxy };
    }

    /// Whether this leads to the token endpoint, and not to a proxy.
    fn is_target(&self, uri: &Uri) -> bool {
        uri.scheme() == self.target.scheme() && uri.authority() == self.target.authority()
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

/// A link of the chain that only takes note that it was reached.
#[derive(Debug)]
struct Milestone {
    stage: Stage,
    attempt: Arc<Attempt>,
}

impl<In: Transport> Connector<In> for Milestone {
    type Out = In;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        self.attempt.reach(self.stage, details.uri);
        let journal = self.attempt.journal;
        match self.stage {
            Stage::Handshaking => journal.step(format_args!("connected")),
            Stage::Established if details.needs_tls() => journal.step(format_args!("TLS established")),
            _ => {}
        }
        Ok(chained)
    }
}

/// The end of the chain: knows when the request leaves, and keeps the connection from closing.
#[derive(Debug)]
struct Witness(Arc<Attempt>);

impl<In: Transport> Connector<In> for Witness {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|transport| -> Box<dyn Transport> {
            if self.0.is_target(details.uri) {
                Box::new(Witnessed { transport: Some(Box::new(transport)), attempt: self.0.clone() })
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
    attempt: Arc<Attempt>,
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
        if !self.attempt.is_sent() {
            self.attempt.begin_to_send()?;
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
        self.attempt.progress().parked = self.transport.take();
    }
}
