//! A token endpoint on a loopback port.
//!
//! A [`TokenServer`] listens on 127.0.0.1, on a port that the system chooses, and serves each
//! connection on a thread of its own: one TLS handshake (1.2 or 1.3), one request, one response,
//! close. What it responds is a [`Script`]: a queue of [`Step`]s, one for each request, among
//! them all the ways in which a server can let a client down. A [`Rotation`] is the script of a
//! server that behaves: it rotates the refresh token and punishes the reuse of a spent one.
//!
//! Everything that arrives is kept in a [`Record`]. [`TokenServer::finish`] gives it out only
//! after every connection that a client opened has been served to its end, so that a test which
//! has seen its client exit sees all that the client sent, and never needs to sleep. A request
//! for which the script has no step gets status 500 and counted as unexpected.
//!
//! Nothing outlives the server: dropping it closes every socket and joins every thread. A panic
//! in a step's closure comes out of `finish`.

mod authority;
mod authorization;
mod relay;
mod request;
mod rotation;
mod script;
#[cfg(unix)]
mod sockets;

pub use authority::{Authority, ClientCertificates, Leaf, Protection, Terms, Version};
use authorization::AUTHORIZATION_PATH;
pub use authorization::{Authorization, Decision};
pub use relay::Relay;
pub use request::Request;
pub use rotation::{Client, Rotation, access_token as rotated_access_token};
pub use script::{Script, Step, json_response};
#[cfg(unix)]
pub use sockets::BlackHole;

use rustls::{ServerConfig, ServerConnection};
use script::{BeforeHandshake, Conduct};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a trickling server waits after each byte.
const TRICKLE: Duration = Duration::from_millis(100);

/// How long a tunnel looks at one side before it looks at the other.
const TURN: Duration = Duration::from_millis(5);

/// The path at which every token endpoint here is served.
pub const PATH: &str = "/oauth/token";

/// What a server has seen.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// TCP connections, whatever came of them.
    pub connections: usize,
    /// Why a TLS handshake failed, in the order of failing.
    pub failed_handshakes: Vec<String>,
    /// Which host each client that shook hands asked for (SNI).
    pub server_names: Vec<Option<String>>,
    /// Every complete request, in the order of arrival, the unexpected ones included.
    pub requests: Vec<Request>,
    /// Requests for which the script had no step left.
    pub unexpected: usize,
}

/// A running server. See the module's head.
pub struct TokenServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

/// What the threads of one server have in common.
struct Shared {
    protection: Protection,
    script: Script,
    record: Mutex<Record>,
    /// A second handle on each socket that a thread may be blocked on, to wake it up.
    open: Mutex<HashMap<usize, TcpStream>>,
    /// The client's end of the connection by which `stop` wakes the acceptor.
    wake_up: Mutex<Option<SocketAddr>>,
}

impl TokenServer {
    /// Listens, and returns once connections are accepted.
    pub fn start(protection: Protection, script: Script) -> TokenServer {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), protection, script)
    }

    /// The same at another of this machine's addresses.
    pub fn start_at(address: IpAddr, protection: Protection, script: Script) -> TokenServer {
        let listener = TcpListener::bind((address, 0)).expect("bind to an address of this machine");
        let address = listener.local_addr().expect("the listener has an address");
        let shared = Arc::new(Shared {
            protection,
            script,
            record: Mutex::default(),
            open: Mutex::default(),
            wake_up: Mutex::default(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        TokenServer { address, shared, acceptor: Some(acceptor) }
    }

    /// The URL of the token endpoint: `https://localhost:PORT/oauth/token`, or, without TLS,
    /// `http://127.0.0.1:PORT/oauth/token`, because plain HTTP is for literal addresses.
    pub fn endpoint(&self) -> String {
        let port = self.port();
        match self.shared.protection {
            Protection::Tls(_) => format!("https://localhost:{port}{PATH}"),
            Protection::None => format!("http://127.0.0.1:{port}{PATH}"),
        }
    }

    /// The same by the address itself: the client has no name to look up.
    pub fn endpoint_by_address(&self) -> String {
        self.endpoint().replace("localhost", "127.0.0.1")
    }

    /// The URL of the page at which a human logs in.
    pub fn authorization_endpoint(&self) -> String {
        self.endpoint().replace(PATH, AUTHORIZATION_PATH)
    }

    /// The port that the system chose.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What has been seen so far. Only `finish` waits for what is still under way.
    pub fn record(&self) -> Record {
        lock(&self.shared.record).clone()
    }

    /// Serves what has already connected, stops, and tells what was seen.
    pub fn finish(mut self) -> Record {
        self.stop();
        self.record()
    }

    fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        // The listener's queue is first in, first out: whoever connected before this connection
        // is accepted before it. The acceptor can't look at `wake_up` until it is set.
        let wake_up = {
            let mut address = lock(&self.shared.wake_up);
            let socket = TcpStream::connect(self.address).expect("connect to our own listener");
            *address = socket.local_addr().ok();
            socket
        };
        let connections = acceptor.join().expect("the acceptor has nothing to panic about");
        drop(wake_up);

        // What a client has sent already can still be read after this; waiting for more ends.
        for socket in lock(&self.shared.open).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let results: Vec<_> = connections.into_iter().map(JoinHandle::join).collect();
        if let Some(Err(panic)) = results.into_iter().find(Result::is_err)
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A panic in one connection must not hide what the others saw.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts until the server stops. The threads are handed back to be joined.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let mut connections = Vec::new();
    loop {
        let (socket, peer) = listener.accept().expect("accept a connection");
        if *lock(&shared.wake_up) == Some(peer) {
            return connections;
        }
        lock(&shared.record).connections += 1;
        let open = Open::register(&socket, connections.len(), shared);
        let shared = Arc::clone(shared);
        connections.push(thread::spawn(move || {
            // An error here is the client's doing (it went away), and the client tells of it.
            let _ = serve(socket, open, &shared);
        }));
    }
}

/// The second handle on a socket, for as long as its thread may block on it. As long as there is
/// one, closing the socket closes nothing, so it goes even when the thread panics.
struct Open {
    number: usize,
    shared: Arc<Shared>,
}

impl Open {
    fn register(socket: &TcpStream, number: usize, shared: &Arc<Shared>) -> Open {
        let handle = socket.try_clone().expect("a second handle on a socket");
        lock(&shared.open).insert(number, handle);
        Open { number, shared: Arc::clone(shared) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.shared.open).remove(&self.number);
    }
}

/// One connection, from the handshake to the close.
fn serve(mut socket: TcpStream, open: Open, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    match shared.script.take_before_handshake() {
        Some(BeforeHandshake::Close) => return Ok(()),
        #[cfg(unix)]
        Some(BeforeHandshake::Reset) => return sockets::close_by_reset(&socket),
        Some(BeforeHandshake::Stall) => return wait_for_close(&mut socket),
        Some(BeforeHandshake::PlainHttp) => {
            // Not before the client has spoken: a server that talks first is another fault.
            socket.peek(&mut [0])?;
            socket.write_all(script::PLAIN_HTTP_RESPONSE)?;
            socket.shutdown(Shutdown::Write)?;
            return wait_for_close(&mut socket);
        }
        None => {}
    }

    let mut wire = Wire { socket, tls: None };
    if let Protection::Tls(config) = &shared.protection {
        match shake_hands(&mut wire.socket, Arc::clone(config)) {
            Ok(tls) => {
                lock(&shared.record).server_names.push(tls.server_name().map(str::to_owned));
                wire.tls = Some(tls);
            }
            Err(error) => {
                lock(&shared.record).failed_handshakes.push(error.to_string());
                return Err(error);
            }
        }
    }

    if shared.script.take_before_request().is_some() {
        // Closing a socket with bytes unread in it makes the kernel send a reset, which is what
        // a server that was killed looks like. The last handle on the socket has to go.
        wire.socket.peek(&mut [0])?;
        drop(open);
        return Ok(());
    }

    let request = Request::read(&mut wire)?;
    lock(&shared.record).requests.push(request.clone());
    let Some(step) = shared.script.take_after_request() else {
        lock(&shared.record).unexpected += 1;
        wire.write_all(&json_response(
            "500 Internal Server Error",
            r#"{"error":"server_error","error_description":"unexpected request"}"#,
        ))?;
        return wire.close();
    };
    if let Some(on_request) = step.on_request {
        on_request(&request);
    }
    match step.conduct {
        Conduct::Respond(respond) => {
            wire.write_all(&respond(&request))?;
            wire.close()
        }
        Conduct::Cut(bytes) => {
            wire.write_all(&bytes)?;
            wire.flush()?;
            wire.socket.shutdown(Shutdown::Write)
        }
        Conduct::Stall(bytes) => {
            wire.write_all(&bytes)?;
            wire.flush()?;
            wait_for_close(&mut wire.socket)
        }
        Conduct::Trickle(bytes) => trickle(&mut wire, &bytes),
        Conduct::Tunnel(address) => tunnel(&mut wire, address),
        #[cfg(unix)]
        Conduct::Reset(bytes) => {
            wire.write_all(&bytes)?;
            wire.flush()?;
            sockets::close_by_reset(&wire.socket)
        }
    }
}

/// Carries bytes both ways until one side ends. One thread serves both, looking at each in turn.
fn tunnel(wire: &mut Wire, address: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(address)?;
    upstream.set_nodelay(true)?;
    for socket in [&wire.socket, &upstream] {
        socket.set_read_timeout(Some(TURN))?;
    }
    wire.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    wire.flush()?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match read_some(wire, &mut buffer)? {
            Some(0) => return Ok(()),
            Some(length) => upstream.write_all(&buffer[..length])?,
            None => {}
        }
        match read_some(&mut upstream, &mut buffer)? {
            Some(0) => return wire.close(),
            Some(length) => {
                wire.write_all(&buffer[..length])?;
                wire.flush()?;
            }
            None => {}
        }
    }
}

/// None when there is nothing to read for now.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(buffer) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        result => result.map(Some),
    }
}

/// One byte at a time, each when the client has been silent for a while, until it goes away.
fn trickle(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    wire.socket.set_read_timeout(Some(TRICKLE))?;
    for byte in bytes {
        wire.write_all(&[*byte])?;
        wire.flush()?;
        match wire.socket.peek(&mut [0]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            _ => return Ok(()),
        }
    }
    wire.close()
}

/// The TLS handshake, one record at a time, so that none of what the client sends after it is
/// taken from the socket.
fn shake_hands(socket: &mut TcpStream, config: Arc<ServerConfig>) -> io::Result<ServerConnection> {
    let mut tls = ServerConnection::new(config).expect("a sound TLS configuration");
    while tls.is_handshaking() {
        if tls.wants_write() {
            tls.write_tls(socket)?;
            continue;
        }
        // A record is five bytes, of which the last two are the length of the rest.
        let mut record = vec![0; 5];
        socket.read_exact(&mut record)?;
        record.resize(5 + usize::from(u16::from_be_bytes([record[3], record[4]])), 0);
        socket.read_exact(&mut record[5..])?;
        let mut unread = record.as_slice();
        while !unread.is_empty() {
            tls.read_tls(&mut unread)?;
            if let Err(error) = tls.process_new_packets() {
                // The alert that tells the client why.
                let _ = tls.write_tls(socket);
                return Err(io::Error::other(error));
            }
        }
    }
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    Ok(tls)
}

/// Blocks until the other side closes, or this server stops.
fn wait_for_close(socket: &mut TcpStream) -> io::Result<()> {
    io::copy(socket, &mut io::sink())?;
    Ok(())
}

/// A socket with or without TLS on it.
struct Wire {
    socket: TcpStream,
    tls: Option<ServerConnection>,
}

impl Wire {
    /// The orderly end: TLS's close_notify, TCP's FIN, then the client's own end. Waiting for
    /// the latter keeps a reset from overtaking the response.
    fn close(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)?;
        wait_for_close(&mut self.socket)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).read(buffer),
            None => self.socket.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).write(bytes),
            None => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).flush(),
            None => self.socket.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes back for these bytes; the server's end of the connection is its end.
    fn exchange(server: &TokenServer, bytes: &str) -> String {
        let mut socket = connect(server);
        socket.write_all(bytes.as_bytes()).expect("send");
        io::read_to_string(&mut socket).expect("receive")
    }

    fn connect(server: &TokenServer) -> TcpStream {
        TcpStream::connect(server.address).expect("connect")
    }

    const GET: &str = "GET / HTTP/1.1\r\n\r\n";

    #[test]
    fn responses_are_written_as_they_are_in_their_order() {
        let script = Script::once([Step::response("one"), Step::cut("two")]);
        let server = TokenServer::start(Protection::None, script);
        assert_eq!(exchange(&server, GET), "one");
        assert_eq!(exchange(&server, GET), "two");
        assert!(exchange(&server, GET).starts_with("HTTP/1.1 500"));
        let record = server.finish();
        assert_eq!((record.connections, record.requests.len(), record.unexpected), (3, 3, 1));
    }

    #[test]
    fn a_connection_without_a_request_takes_no_response() {
        let script = Script::once([Step::close_before_handshake(), Step::response("one")]);
        let server = TokenServer::start(Protection::None, script.clone());
        assert_eq!(io::read_to_string(connect(&server)).expect("receive"), "");
        drop(connect(&server));
        assert_eq!(exchange(&server, GET), "one");
        let record = server.finish();
        assert_eq!((record.connections, record.requests.len(), record.unexpected), (3, 1, 0));
        assert_eq!(script.remaining(), 0);
    }

    #[test]
    fn a_request_sent_before_the_end_is_recorded() {
        let server = TokenServer::start(Protection::None, Script::once([Step::stall()]));
        let mut socket = connect(&server);
        let request = "POST /x HTTP/1.1\r\ncontent-length: 8\r\nA: 1\r\n\r\na=1+%2b&";
        socket.write_all(request.as_bytes()).expect("send");
        drop(socket);
        let record = server.finish();
        let request = &record.requests[0];
        assert_eq!((request.method(), request.target()), ("POST", "/x"));
        assert_eq!(request.fields, ["content-length: 8", "A: 1"]);
        assert_eq!(request.form(), [("a".to_owned(), "1 +".to_owned())]);
    }

    #[test]
    fn stopping_releases_whoever_waits() {
        let server = TokenServer::start(Protection::None, Script::always(Step::stall()));
        let mut socket = connect(&server);
        socket.write_all(GET.as_bytes()).expect("send");
        drop(server);
        assert_eq!(io::read_to_string(socket).expect("the server's end"), "");
    }

    #[test]
    #[should_panic(expected = "seen by the test")]
    fn a_panic_in_a_step_reaches_the_test() {
        let step = Step::response("one").on_request(|_| panic!("seen by the test"));
        let server = TokenServer::start(Protection::None, Script::once([step]));
        exchange(&server, GET);
        server.finish();
    }
}
