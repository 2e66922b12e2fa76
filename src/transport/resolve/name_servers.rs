//! The name servers of `/etc/resolv.conf`, asked over TCP (RFC 1035, section 4.2.2), which every one of them
//! serves (RFC 7766): for responses that do not fit into a datagram, and for a `resolv.conf` that the C library can't
//! read, such as one with long lines or with Windows' line ends.
//!
//! The absolute name is looked up first, then the name in each search domain; IPv4 first, then IPv6.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::journal::Journal;
use crate::os::names::Unresolved;
use crate::terminal::reason;

const PATH: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

/// A server that takes longer over one step is passed over.
const MAX_STEP: Duration = Duration::from_secs(2);

/// What a record holds (RFC 1035, section 3.2.2; RFC 3596, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Record {
    A = 1,
    Aaaa = 28,
}

const INTERNET: u16 = 1;
const NXDOMAIN: u8 = 3;

pub fn addresses(host: &str, until: Instant, journal: Journal) -> Result<Vec<IpAddr>, Unresolved> {
    let text = fs::read(PATH).unwrap_or_default();
    let configuration = Configuration::parse(&String::from_utf8_lossy(&text));
    let names = configuration.names(host);
    let mut worst = Unresolved::NoSuchName;
    for server in configuration.servers {
        match Server::connect(server, until, journal).and_then(|mut server| server.addresses(&names)) {
            Ok(Ok(addresses)) => return Ok(addresses),
            Ok(Err(why)) => worst = worst.max(why),
            Err(why) => {
                journal.step(format_args!("the name server {server} over TCP: {}", reason(&why)));
                worst = Unresolved::NoResponse;
            }
        }
    }
    Err(worst)
}

/// The part of resolv.conf(5) that is used here.
#[derive(Debug, PartialEq, Eq)]
struct Configuration {
    servers: Vec<IpAddr>,
    search: Vec<String>,
}

impl Configuration {
    fn parse(text: &str) -> Self {
        let mut configuration = Self { servers: Vec::new(), search: Vec::new() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    configuration.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                Some("search" | "domain") => configuration.search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        if configuration.servers.is_empty() {
            configuration.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        configuration
    }

    /// The absolute names that a host's may stand for.
    fn names(&self, host: &str) -> Vec<String> {
        let domains = self.search.iter().map(|domain| domain.trim_matches('.')).filter(|domain| !domain.is_empty());
        match host.strip_suffix('.') {
            Some(host) => vec![host.to_owned()],
            None => [host.to_owned()].into_iter().chain(domains.map(|domain| format!("{host}.{domain}"))).collect(),
        }
    }
}

/// A connection to a name server.
struct Server {
    address: IpAddr,
    stream: TcpStream,
    until: Instant,
    journal: Journal,
}

impl Server {
    fn connect(address: IpAddr, until: Instant, journal: Journal) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::new(address, PORT), step_until(until)?)?;
        Ok(Self { address, stream, until, journal })
    }

    /// The addresses of the first name that has any.
    fn addresses(&mut self, names: &[String]) -> io::Result<Result<Vec<IpAddr>, Unresolved>> {
        let mut worst = Unresolved::NoSuchName;
        for record in [Record::A, Record::Aaaa] {
            for name in names {
                self.journal.step(format_args!("asking {} over TCP for {record:?} of {name}.", self.address));
                let Some(question) = question(name, record) else { continue };
                match found(&self.exchange(&question)?, record) {
                    Ok(addresses) => return Ok(Ok(addresses)),
                    Err(why) => worst = worst.max(why),
                }
            }
        }
        Ok(Err(worst))
    }

    fn exchange(&mut self, question: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        self.stream.set_write_timeout(Some(step_until(self.until)?))?;
        self.stream.write_all(&[&length.to_be_bytes(), question].concat())?;
        self.stream.set_read_timeout(Some(step_until(self.until)?))?;
        let mut length = [0; 2];
        self.stream.read_exact(&mut length)?;
        let mut response = vec![0; u16::from_be_bytes(length).into()];
        self.stream.read_exact(&mut response)?;
        Ok(response)
    }
}

fn step_until(until: Instant) -> io::Result<Duration> {
    match until.saturating_duration_since(Instant::now()).min(MAX_STEP) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// A message with one question; None if DNS cannot hold the name. Every question has the same id, because a
/// connection asks one at a time.
fn question(name: &str, record: Record) -> Option<Vec<u8>> {
    const RECURSION_DESIRED: [u8; 2] = [1, 0];
    const ONE_QUESTION: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];
    let mut message = [[0, 1].as_slice(), &RECURSION_DESIRED, &ONE_QUESTION].concat();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend((record as u16).to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    (name.len() <= 253).then_some(message)
}

/// The addresses in a response. A recursive server follows aliases (CNAME) by itself.
fn found(response: &[u8], record: Record) -> Result<Vec<IpAddr>, Unresolved> {
    let mut message = Message { rest: response };
    let head = message.take(12).ok_or(Unresolved::NoResponse)?;
    let addresses = match head[3] & 0x0f {
        0 => message.addresses(head, record).ok_or(Unresolved::NoResponse)?,
        NXDOMAIN => return Err(Unresolved::NoSuchName),
        _ => return Err(Unresolved::NoResponse),
    };
    if addresses.is_empty() { Err(Unresolved::NoAddress) } else { Ok(addresses) }
}

/// What is still to be read of a message.
struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Labels up to an empty one, or to a pointer to an earlier place (RFC 1035, section 4.1.4).
    fn pass_name(&mut self) -> Option<()> {
        loop {
            match self.take(1)?[0] {
                0 => return Some(()),
                length @ 1..64 => self.take(length.into())?,
                192.. => return self.take(1).map(|_| ()),
                _ => return None,
            };
        }
    }

    fn addresses(&mut self, head: &[u8], wanted: Record) -> Option<Vec<IpAddr>> {
        let count = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        for _ in 0..count(4) {
            self.pass_name()?;
            self.take(4)?;
        }
        let mut addresses = Vec::new();
        for _ in 0..count(6) {
            self.pass_name()?;
            let (kind, class) = (self.number()?, self.number()?);
            let _time_to_live = self.take(4)?;
            let length = self.number()?;
            let data = self.take(length.into())?;
            if (kind, class) == (wanted as u16, INTERNET) {
                addresses.push(match wanted {
                    Record::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
                    Record::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
                });
            }
        }
        Some(addresses)
    }
}
