//! From the name of a host to its addresses, within a time limit.
//!
//! The system's resolver is asked first, in a thread, since it may hang; in the usual case that is all.
//! C libraries differ in what they make of a network's faults. musl gives up when a name server
//! responds to one of two questions (IPv4, IPv6) with an error, when a search domain is `.` or has a
//! broken server, when a response does not fit into a datagram (before 1.2.4), and does not see the last
//! line of a hosts file without a newline; glibc waits long for a question that some routers drop. So if
//! there is no address, or no result for some time, further questions follow in the waves of `WAVES`: the likely and
//! quick ones first. The first address ends the search; without one, it waits for all of them, or for the deadline.
//!
//! The absolute name (`host.`, with a dot) is only for the resolver: TLS and HTTP know the host as it was
//! given.

mod hosts_file;
mod name_servers;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::connector::{Attempt, Stage};
use crate::journal::Journal;
use crate::os::names::{self, Family, Unresolved};
use crate::os::signals;
use crate::terminal::reason;

/// How long to wait before the next wave, but at most a quarter of the time that is left.
const PATIENCE: Duration = Duration::from_secs(2);

/// Somewhere to look for a host's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// The system's resolver, as every program asks it.
    Usual,
    HostsFile,
    /// The system's resolver, for one kind of address.
    Alone(Family),
    /// The same, with no search domain.
    AbsoluteAlone(Family),
    NameServers,
}

use Question::{AbsoluteAlone, Alone, HostsFile, NameServers, Usual};

const WAVES: [&[Question]; 4] = [
    &[Usual],
    &[HostsFile],
    &[AbsoluteAlone(Family::V4), Alone(Family::V4)],
    &[AbsoluteAlone(Family::V6), Alone(Family::V6), NameServers],
];

/// Windows' own resolver has none of these faults, and keeps its settings elsewhere.
const WAVES_HERE: &[&[Question]] = if cfg!(windows) { WAVES.split_at(1).0 } else { &WAVES };

const HINT: &str = if cfg!(windows) {
    "check the name, and the name servers of this machine; --verbose lists each question"
} else {
    "check the name, then /etc/hosts, and in /etc/resolv.conf the name servers and search domains; --verbose lists \
     each question"
};

/// A host that has no address, as far as could be found out.
#[derive(Debug)]
pub struct LookUpFault {
    host: String,
    /// None if the time was over.
    why: Option<Unresolved>,
    asked: Vec<String>,
}

impl LookUpFault {
    pub fn hint(&self) -> &'static str {
        HINT
    }
}

impl fmt::Display for LookUpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "cannot look up {}: {why}", self.host)?,
            None => write!(f, "looking up {} took too long", self.host)?,
        }
        write!(f, " (asked: {})", self.asked.join(", "))
    }
}

impl std::error::Error for LookUpFault {}

/// Resolves hosts. A literal address needs no question and no thread.
#[derive(Debug)]
pub struct HostResolver(pub Arc<Attempt>);

impl Resolver for HostResolver {
    fn resolve(&self, uri: &Uri, _config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Self(attempt) = self;
        attempt.mark(Stage::Resolving, uri);
        let host = uri.host().unwrap_or_default();
        let port = port(uri).ok_or(ureq::Error::HostNotFound)?;
        let mut resolved = self.empty();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            resolved.push((address, port).into());
        } else {
            let until = attempt.deadlines.respond_by.min(Instant::now() + *timeout.after);
            let look_up = LookUp { host: host.to_owned(), port, until, journal: attempt.journal };
            let addresses = look_up.addresses().map_err(|fault| ureq::Error::Other(Box::new(fault)))?;
            attempt.journal.step(format_args!("{host} resolves to {addresses:?}"));
            // As many as ureq takes.
            let _ = addresses.into_iter().try_for_each(|address| resolved.try_push(address));
        }
        attempt.mark(Stage::Connecting, uri);
        Ok(resolved)
    }
}

/// A proxy's URL may leave out its port.
fn port(uri: &Uri) -> Option<u16> {
    let whole = DefaultResolver::host_and_port(uri.scheme()?, uri.authority()?)?;
    whole.rsplit(':').next()?.parse().ok()
}

#[derive(Clone)]
struct LookUp {
    host: String,
    port: u16,
    until: Instant,
    journal: Journal,
}

/// The wave of a question, and what it brought.
type Findings = (usize, Result<Vec<SocketAddr>, Unresolved>);

/// From the threads that ask to the one that waits; std's channels are larger.
#[derive(Default)]
struct Inbox {
    findings: Mutex<Vec<Findings>>,
    is_filled: Condvar,
}

impl Inbox {
    fn put(&self, findings: Findings) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(findings);
        self.is_filled.notify_one();
    }

    /// None if nothing comes by then.
    fn take(&self, until: Instant) -> Option<Findings> {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !findings.is_empty() {
                return Some(findings.remove(0));
            }
            if left.is_zero() {
                return None;
            }
            (findings, _) = self.is_filled.wait_timeout(findings, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl LookUp {
    fn addresses(&self) -> Result<Vec<SocketAddr>, LookUpFault> {
        let patience = PATIENCE.min(self.left() / 4);
        let mut fault = LookUpFault { host: self.host.clone(), why: None, asked: Vec::new() };
        let mut pending = [0; WAVES_HERE.len()];
        let mut worst = Unresolved::NoSuchName;
        let inbox = Arc::new(Inbox::default());
        for (wave, questions) in WAVES_HERE.iter().enumerate() {
            for &question in *questions {
                fault.asked.push(self.kind(question));
                self.ask(question, wave, &inbox);
                pending[wave] += 1;
            }
            let is_last = wave + 1 == WAVES_HERE.len();
            let until = if is_last { self.until } else { self.until.min(Instant::now() + patience) };
            while pending[wave] > 0 || is_last && pending.iter().any(|&count| count > 0) {
                match inbox.take(until) {
                    Some((_, Ok(addresses))) => return Ok(addresses),
                    Some((wave, Err(why))) => {
                        pending[wave] -= 1;
                        worst = worst.max(why);
                    }
                    None if !is_last => break,
                    None => return Err(fault),
                }
            }
        }
        fault.why = Some(worst);
        Err(fault)
    }

    /// Asks in a thread of its own. One that hangs ends with the process. A file does not hang, and is read
    /// even if no thread can be started.
    fn ask(&self, question: Question, wave: usize, inbox: &Arc<Inbox>) {
        self.journal.step(format_args!("looking up {}: {}", self.host, self.kind(question)));
        let (look_up, shared) = (self.clone(), inbox.clone());
        let ask = move || {
            let findings = look_up.find(question);
            if let Err(why) = &findings {
                let (host, kind) = (&look_up.host, look_up.kind(question));
                look_up.journal.step(format_args!("looked up {host}: {kind}: {why}"));
            }
            shared.put((wave, findings));
        };
        if question == HostsFile {
            return ask();
        }
        let thread = thread::Builder::new().spawn(move || {
            // It may still hang when the request is sent.
            signals::block_in_this_thread();
            ask();
        });
        if let Err(why) = thread {
            let why = Unresolved::Other(format!("cannot start a thread: {}", reason(&why)));
            inbox.put((wave, Err(why)));
        }
    }

    fn find(&self, question: Question) -> Result<Vec<SocketAddr>, Unresolved> {
        let with_port = |addresses: Vec<IpAddr>| addresses.into_iter().map(|address| (address, self.port).into());
        // Windows asks nothing else; this keeps the rest out of the program.
        match if cfg!(windows) { Usual } else { question } {
            Usual => names::addresses(&self.host, self.port, Family::Any),
            Alone(family) => names::addresses(&self.host, self.port, family),
            AbsoluteAlone(family) => names::addresses(&self.absolute(), self.port, family),
            HostsFile => hosts_file::addresses(&self.host).map(|found| with_port(found).collect()),
            NameServers => {
                name_servers::addresses(&self.host, self.until, self.journal).map(|found| with_port(found).collect())
            }
        }
    }

    fn absolute(&self) -> String {
        format!("{}.", self.host.trim_end_matches('.'))
    }

    /// For a message that names the host.
    fn kind(&self, question: Question) -> String {
        let version = |family| if family == Family::V6 { "IPv6" } else { "IPv4" };
        match question {
            Usual => "any address".to_owned(),
            HostsFile => "/etc/hosts".to_owned(),
            Alone(family) => version(family).to_owned(),
            AbsoluteAlone(family) => format!("{} of {}", version(family), self.absolute()),
            NameServers => "the name servers over TCP".to_owned(),
        }
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}
