//! Why a response is missing or incomplete: whether the request may have arrived, what went wrong where, and what to
//! do about it.

use std::fmt;
use std::io;

use super::connector::{Peer, Stage};
use super::resolve::LookUpFault;
use super::tls::TlsFault;
use crate::terminal::reason;

/// A failed attempt, by what may have become of the request.
#[derive(Debug)]
pub enum TransportFailure {
    /// No byte of the request has left.
    NotSent(Reason),
    /// The server may have acted on it.
    OutcomeUnknown(Reason),
}

impl TransportFailure {
    pub fn reason(&self) -> &Reason {
        let (Self::NotSent(reason) | Self::OutcomeUnknown(reason)) = self;
        reason
    }
}

/// What went wrong, and where.
#[derive(Debug)]
pub struct Reason {
    pub stage: Stage,
    pub peer: Peer,
    pub fault: Fault,
    pub proxy: Option<UsedProxy>,
}

/// The proxy that an attempt went through.
#[derive(Debug)]
pub struct UsedProxy {
    pub name: String,
    pub has_credentials: bool,
}

#[derive(Debug)]
pub enum Fault {
    TimedOut,
    Io(io::Error),
    LookUp(LookUpFault),
    Tls(TlsFault),
    ProxyStatus {
        status: u16,
        /// The ways to authenticate that the proxy offers, in lower case.
        schemes: Vec<String>,
    },
    NotHttp,
    BodyTooLarge,
}

/// What ureq says of a SOCKS server that does not let us through.
const SOCKS_REFUSALS: [&str; 3] =
    ["no acceptable auth methods", "password authentication failed", "connection not allowed by ruleset"];

impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::TimedOut,
            ureq::Error::Io(error) => match TlsFault::within(&error) {
                Some(fault) => Self::Tls(fault),
                None if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
                None => Self::Io(error),
            },
            ureq::Error::Rustls(error) => Self::Tls(TlsFault::new(&error)),
            // "proxy server responded 407/407", or that it did not.
            ureq::Error::ConnectProxyFailed(text) => match text.rsplit('/').next().map(str::parse) {
                Some(Ok(status)) => Self::ProxyStatus { status, schemes: Vec::new() },
                _ => Self::Io(io::ErrorKind::UnexpectedEof.into()),
            },
            ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => Self::NotHttp,
            ureq::Error::HostNotFound => Self::Io(io::Error::other("it has no address")),
            ureq::Error::Other(other) => match other.downcast() {
                Ok(fault) => Self::LookUp(*fault),
                Err(other) => Self::Io(io::Error::other(other)),
            },
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl Reason {
    /// The operator must act: no later attempt will fare better.
    pub fn is_configuration(&self) -> bool {
        match &self.fault {
            Fault::Tls(fault) => fault.is_lasting(),
            Fault::ProxyStatus { status, .. } => !matches!(status, 408 | 429 | 500..),
            Fault::Io(error) => self.peer == Peer::Proxy && SOCKS_REFUSALS.contains(&error.to_string().as_str()),
            _ => false,
        }
    }

    /// The next step, by cause.
    pub fn hint(&self) -> &'static str {
        match (&self.fault, self.peer, self.stage) {
            (Fault::Tls(fault), ..) => fault.hint(),
            (Fault::LookUp(fault), ..) => fault.hint(),
            (Fault::ProxyStatus { status: 407, schemes }, ..) => self.authentication_hint(schemes),
            (Fault::Io(_), Peer::Proxy, _) if self.is_configuration() => {
                "check the user and password in the proxy's URL, percent-encoded, and what the proxy allows"
            }
            (_, Peer::Proxy, _) => {
                "check --proxy, HTTPS_PROXY and ALL_PROXY, and what the proxy allows; --proxy none connects directly"
            }
            (Fault::TimedOut, _, Stage::Connecting) => {
                "check the host and port of the token endpoint, and whether a firewall drops the connection; if this \
                 network requires a proxy, give it with --proxy"
            }
            (_, _, Stage::Resolving | Stage::Connecting) => {
                "check the host and port of the token endpoint, this machine's network, and whether a firewall refuses \
                 the connection; if this network requires a proxy, give it with --proxy"
            }
            (_, _, Stage::Handshaking) => {
                "run again; if it fails again, check whether a firewall or proxy between this machine and the \
                 server interrupts TLS"
            }
            (_, _, Stage::Established) => "run again; --verbose shows each step",
        }
    }

    /// The hint for a proxy that requires authentication (RFC 9110, section 11.7.1).
    fn authentication_hint(&self, schemes: &[String]) -> &'static str {
        if !schemes.is_empty() && !schemes.iter().any(|scheme| scheme == "basic") {
            return "the proxy does not offer Basic authentication, and this program supports only Basic: run a local proxy such as \
                    cntlm or px that authenticates to it, and name that one with --proxy";
        }
        match self.proxy.as_ref().is_some_and(|proxy| proxy.has_credentials) {
            true => {
                "the proxy refused the user and password in its URL: check them, and percent-encode special characters"
            }
            false => "give the proxy's user and password in its URL, percent-encoded: http://USER:PASSWORD@HOST:PORT",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.proxy, self.peer) {
            (Some(proxy), Peer::Proxy) => write!(f, "the proxy {}: ", proxy.name)?,
            (Some(proxy), Peer::Server) => write!(f, "through the proxy {}: ", proxy.name)?,
            (None, _) => {}
        }
        match (&self.fault, self.stage) {
            (Fault::Tls(fault), _) => write!(f, "{fault}"),
            (Fault::LookUp(fault), _) => write!(f, "{fault}"),
            (Fault::ProxyStatus { status, .. }, _) => write!(f, "CONNECT was refused with HTTP status {status}"),
            (Fault::NotHttp, _) => f.write_str("the response is not HTTP"),
            (Fault::BodyTooLarge, _) => f.write_str("the response is larger than 1 MiB"),
            (Fault::TimedOut, Stage::Resolving | Stage::Connecting) => f.write_str("connecting took too long"),
            (Fault::TimedOut, Stage::Handshaking) => f.write_str("the TLS handshake took too long"),
            (Fault::TimedOut, Stage::Established) => f.write_str("no response in time"),
            (Fault::Io(error), Stage::Resolving | Stage::Connecting) => write!(f, "cannot connect: {}", reason(error)),
            (Fault::Io(error), Stage::Handshaking) => write!(f, "the TLS handshake was cut off: {}", reason(error)),
            (Fault::Io(error), Stage::Established) => write!(f, "the connection broke: {}", reason(error)),
        }
    }
}
