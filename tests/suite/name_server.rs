//! A name server of the test's own (RFC 1035), over UDP and TCP.
//!
//! A rule says what it responds to each question; every question is recorded. It serves until the process
//! ends, which is one that a network namespace was made for (see `namespace`).

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// Kinds of records.
pub const A: u16 = 1;
const CNAME: u16 = 5;
pub const AAAA: u16 = 28;

/// Response codes.
pub const FORMERR: u8 = 1;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const NOTIMP: u8 = 4;
pub const REFUSED: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Udp,
    Tcp,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the dot at its end.
    pub name: String,
    pub kind: u16,
    pub over: Over,
}

#[derive(Clone, Debug)]
pub enum Data {
    Address(IpAddr),
    Alias(String),
}

pub enum Response {
    /// Each with the name that it belongs to.
    Records(Vec<(String, Data)>),
    /// These, and a sign that more would not fit.
    Truncated(Vec<(String, Data)>),
    Code(u8),
    Silence,
}

pub type Rule = Box<dyn Fn(&Question) -> Response + Send + Sync>;

/// A running name server.
pub struct NameServer {
    questions: Arc<Mutex<Vec<Question>>>,
}

impl NameServer {
    /// Listens at port 53 of this address, and returns once it does.
    pub fn start(address: IpAddr, rule: Rule) -> NameServer {
        let datagrams = UdpSocket::bind((address, 53)).expect("bind to port 53 for UDP");
        let connections = TcpListener::bind((address, 53)).expect("bind to port 53 for TCP");
        let questions = Arc::default();
        let zone = Arc::new(Zone { rule, questions: Arc::clone(&questions) });
        let other = Arc::clone(&zone);
        thread::spawn(move || other.serve_datagrams(&datagrams));
        thread::spawn(move || zone.serve_connections(&connections));
        NameServer { questions }
    }

    /// The questions so far.
    pub fn questions(&self) -> Vec<Question> {
        self.questions.lock().expect("no thread panicked").clone()
    }
}

struct Zone {
    rule: Rule,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl Zone {
    fn serve_datagrams(&self, socket: &UdpSocket) {
        let mut buffer = [0; 1024];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if let Some(response) = self.response(&buffer[..length], Over::Udp) {
                let _ = socket.send_to(&response, client);
            }
        }
    }

    fn serve_connections(self: &Arc<Self>, listener: &TcpListener) {
        for connection in listener.incoming().flatten() {
            let zone = Arc::clone(self);
            thread::spawn(move || zone.serve_connection(connection));
        }
    }

    /// Each message has its length before it. A client that goes away ends it.
    fn serve_connection(&self, mut connection: TcpStream) -> io::Result<()> {
        loop {
            let mut length = [0; 2];
            connection.read_exact(&mut length)?;
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            connection.read_exact(&mut message)?;
            if let Some(response) = self.response(&message, Over::Tcp) {
                let length = u16::try_from(response.len()).expect("a response of a test");
                connection.write_all(&[&length.to_be_bytes(), response.as_slice()].concat())?;
            }
        }
    }

    fn response(&self, message: &[u8], over: Over) -> Option<Vec<u8>> {
        let Some((question, end)) = read(message, over) else {
            // What name servers respond to a question that they can't read, such as one for `name..`.
            return Some([message.get(..2)?, &[0x81, 0x80 | FORMERR, 0, 0, 0, 0, 0, 0, 0, 0]].concat());
        };
        let response = (self.rule)(&question);
        self.questions.lock().expect("no thread panicked").push(question.clone());
        let (flags, records) = match response {
            Response::Silence => return None,
            Response::Code(code) => ([0x81, 0x80 | code], Vec::new()),
            Response::Records(records) => ([0x81, 0x80], records),
            Response::Truncated(records) => ([0x83, 0x80], records),
        };
        let count = u16::try_from(records.len()).expect("a response of a test").to_be_bytes();
        let mut bytes = [&message[..2], &flags, &[0, 1], &count, &[0; 4], &message[12..end]].concat();
        for (owner, data) in records {
            // A pointer to the question's name, as every name server writes it.
            bytes.extend(if owner == question.name { vec![0xc0, 12] } else { name(&owner) });
            let (kind, data) = match data {
                Data::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
                Data::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
                Data::Alias(target) => (CNAME, name(&target)),
            };
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 60]);
            bytes.extend(u16::try_from(data.len()).expect("a record of a test").to_be_bytes());
            bytes.extend(data);
        }
        Some(bytes)
    }
}

/// The question, and where it ends.
fn read(message: &[u8], over: Over) -> Option<(Question, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    let is_whole = !labels.is_empty() && message.len() >= at + 4;
    is_whole.then(|| (Question { name: labels.join("."), kind, over }, at + 4))
}

fn name(text: &str) -> Vec<u8> {
    let label = |label: &str| {
        let length = u8::try_from(label.len()).expect("a label of a test");
        [&[length], label.as_bytes()].concat()
    };
    text.split('.').map(label).chain([vec![0]]).collect::<Vec<_>>().concat()
}
