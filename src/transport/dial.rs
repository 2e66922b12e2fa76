//! A TCP connection to one of a host's addresses, and the bytes over it, until the deadline.
//!
//! The addresses take turns, of half a second at first and twice as long each round, so that one that does not respond
//! (broken IPv6, one of two load balancers) costs half a second and not the run. An address that refuses is
//! dropped; the last one left gets all the remaining time.
//!
//! Every read and write is bound by the deadline itself: ureq renews a part of its limits while it
//! talks to a proxy.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport};

use crate::journal::Journal;
use crate::terminal::reason;

/// The size of the largest record (RFC 8446, section 5.2).
const TLS_RECORD: usize = (16 << 10) + 256 + 5;

const FIRST_TURN: Duration = Duration::from_millis(500);

/// Connects to a host, or to its proxy.
pub fn dial(details: &ConnectionDetails, respond_by: Instant, journal: Journal) -> Result<Socket, ureq::Error> {
    let by = Instant::now() + left(respond_by, details.timeout)?;
    let stream = connect(details.addrs.to_vec(), by, journal)?;
    stream.set_nodelay(true)?;
    // Below TLS the buffer holds records, else a whole head.
    let input_size = if details.needs_tls() { TLS_RECORD } else { details.config.input_buffer_size() };
    let buffers = LazyBuffers::new(input_size, details.config.output_buffer_size());
    let (writes, reads) = Default::default();
    Ok(Socket { stream, buffers, deadline: respond_by, writes, reads })
}

fn connect(mut addresses: Vec<SocketAddr>, by: Instant, journal: Journal) -> io::Result<TcpStream> {
    let mut turn = FIRST_TURN;
    let mut last_fault = ErrorKind::TimedOut.into();
    while !addresses.is_empty() {
        let mut silent = Vec::new();
        for (at, &address) in addresses.iter().enumerate() {
            let is_last = at + 1 == addresses.len() && silent.is_empty();
            let turn = if is_last { Duration::MAX } else { turn };
            last_fault = match connect_to(address, by, turn, journal) {
                Ok(stream) => return Ok(stream),
                Err(fault) => fault,
            };
            if last_fault.kind() == ErrorKind::TimedOut {
                silent.push(address);
            }
        }
        if by <= Instant::now() {
            break;
        }
        addresses = silent;
        turn *= 2;
    }
    Err(last_fault)
}

fn connect_to(address: SocketAddr, by: Instant, turn: Duration, journal: Journal) -> io::Result<TcpStream> {
    let left = by.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    journal.step(format_args!("connecting to {address}"));
    TcpStream::connect_timeout(&address, left.min(turn)).inspect_err(|fault| {
        journal.step(format_args!("no connection to {address}: {}", reason(fault)));
    })
}

pub struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    deadline: Instant,
    writes: Limit,
    reads: Limit,
}

/// How long the kernel lets a call of one kind take; zero: not set yet.
#[derive(Default)]
struct Limit(Duration);

impl Limit {
    /// A limit that is too long by less than this stays: setting it doubles the system calls.
    const SLACK: Duration = Duration::from_millis(100);

    fn set(&mut self, left: Duration, set: impl FnOnce(Option<Duration>) -> io::Result<()>) -> io::Result<()> {
        if self.0.checked_sub(left).is_some_and(|excess| excess < Self::SLACK) {
            return Ok(());
        }
        self.0 = left;
        set(Some(left))
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let mut output = &self.buffers.output()[..amount];
        while !output.is_empty() {
            self.writes.set(left(self.deadline, timeout)?, |limit| self.stream.set_write_timeout(limit))?;
            match self.stream.write(output) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => output = &output[written..],
                Err(fault) if is_closed(&fault) => return Ok(()),
                Err(fault) => retry_or_fail(fault)?,
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        loop {
            self.reads.set(left(self.deadline, timeout)?, |limit| self.stream.set_read_timeout(limit))?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(fault) => retry_or_fail(fault)?,
            }
        }
    }

    /// Always false: ureq asks only before it keeps a connection for later, and would read from it to find out.
    fn is_open(&mut self) -> bool {
        false
    }
}

/// The time that is left for one step, however much ureq would give it.
fn left(deadline: Instant, timeout: NextTimeout) -> Result<Duration, ureq::Error> {
    match deadline.saturating_duration_since(Instant::now()).min(*timeout.after) {
        Duration::ZERO => Err(ureq::Error::Timeout(timeout.reason)),
        left => Ok(left),
    }
}

/// A peer that closes while we are still writing may have sent a reason first: an alert, an early response.
/// The next read finds it, or fails.
fn is_closed(fault: &io::Error) -> bool {
    matches!(fault.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

/// Whether the call may be made again. A time-out has two names: Unix's and Windows'.
fn retry_or_fail(fault: io::Error) -> Result<(), ureq::Error> {
    match fault.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(ureq::Error::Timeout(Timeout::Global)),
        _ => Err(fault.into()),
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}
