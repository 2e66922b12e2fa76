//! A stretch of network before a server: it delays what passes, and counts round trips.
//!
//! A round trip is what a client has to wait for: the connection, and then each time that the
//! server speaks after the client has spoken. Who speaks is seen at the client's end of the line.
//! A server that speaks twice on its own adds nothing, nor does a client that speaks in pieces,
//! nor what it says at the end without waiting for a response. Without a delay a server that sends
//! TLS session tickets can get a word in between two pieces of the client's; with a delay, or with a
//! server that sends none ([`Terms::without_tickets`]), the count is exact.
//!
//! [`Terms::without_tickets`]: super::Terms::without_tickets
//!
//! Connecting to a loopback port takes no time, so the first word of a connection is held back for
//! the round trip that connecting would have cost. Dropping the relay closes its port; connections
//! end with their clients and servers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running relay. See the module's head.
pub struct Relay {
    port: u16,
    round_trips: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Who spoke last on one connection, as the client sees it.
struct Line {
    last: Mutex<Side>,
    round_trips: Arc<AtomicUsize>,
}

impl Line {
    fn speaks(&self, side: Side) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if side == Side::Server && *last == Side::Client {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        *last = side;
    }
}

/// Bytes under way, and when they are due. None are the end.
type UnderWay = (Instant, Vec<u8>);

impl Relay {
    /// A relay to a port of this machine, over a network whose round trip takes this long.
    pub fn start(server: u16, round_trip: Duration) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to 127.0.0.1");
        let port = listener.local_addr().expect("the listener has an address").port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let acceptor = {
            let (round_trips, is_over) = (Arc::clone(&round_trips), Arc::clone(&is_over));
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    connect(client, server, round_trip, &round_trips);
                }
            })
        };
        Relay { port, round_trips, is_over, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of all connections so far.
    pub fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Starts the four threads of a connection: each direction has one that listens and one that speaks.
fn connect(client: TcpStream, server: u16, round_trip: Duration, round_trips: &Arc<AtomicUsize>) {
    round_trips.fetch_add(1, Ordering::SeqCst);
    let line = Arc::new(Line { last: Mutex::new(Side::Server), round_trips: Arc::clone(round_trips) });
    // A server that is gone is an end of the connection.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
    let connected = Instant::now() + round_trip;
    for (side, from, to) in [(Side::Client, &client, &server), (Side::Server, &server, &client)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        let (sender, receiver) = mpsc::channel();
        let ends = (Arc::clone(&line), Arc::clone(&line));
        thread::spawn(move || listen(side, from, &ends.0, &sender, connected, round_trip / 2));
        thread::spawn(move || speak(side, to, &ends.1, &receiver));
    }
}

/// Takes what this side says, until its end.
fn listen(
    side: Side,
    mut from: TcpStream,
    line: &Line,
    under_way: &Sender<UnderWay>,
    connected: Instant,
    one_way: Duration,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        if side == Side::Client && length > 0 {
            line.speaks(side);
        }
        let due = connected.max(Instant::now()) + one_way;
        if under_way.send((due, buffer[..length].to_vec())).is_err() || length == 0 {
            return;
        }
    }
}

/// Hands it on to the other side when it is due.
fn speak(side: Side, mut to: TcpStream, line: &Line, under_way: &Receiver<UnderWay>) {
    let _ = to.set_nodelay(true);
    for (due, bytes) in under_way {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if side == Side::Server && !bytes.is_empty() {
            line.speaks(side);
        }
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Says one word after the other to a server that repeats it.
    fn converse(words: &[&[u8]], round_trip: Duration) -> (usize, Duration) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to 127.0.0.1");
        let port = listener.local_addr().expect("an address").port();
        let server = thread::spawn(move || -> io::Result<()> {
            let (mut socket, _) = listener.accept()?;
            let mut byte = [0];
            while socket.read(&mut byte)? > 0 {
                socket.write_all(&byte)?;
            }
            Ok(())
        });
        let relay = Relay::start(port, round_trip);
        let start = Instant::now();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).expect("connect");
        for word in words {
            client.write_all(word).expect("speak");
            client.read_exact(&mut vec![0; word.len()]).expect("hear");
        }
        let time = start.elapsed();
        drop(client);
        server.join().expect("no panic").expect("an echo");
        (relay.round_trips(), time)
    }

    #[test]
    fn each_wait_is_a_round_trip_and_takes_its_time() {
        assert_eq!(converse(&[], Duration::ZERO).0, 1);
        assert_eq!(converse(&[b"a"], Duration::ZERO).0, 2);
        let round_trip = Duration::from_millis(20);
        let (round_trips, time) = converse(&[b"a", b"b", b"c"], round_trip);
        assert_eq!(round_trips, 4);
        assert!(time >= 4 * round_trip, "{time:?}");
    }
}
