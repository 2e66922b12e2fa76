//! What a token server does with the connections that come to it.
//!
//! A [`Script`] is a queue of [`Step`]s. A step that needs no request (a refusal, a stall before
//! the handshake, …) is taken by the next connection, and ends it. Every other step is taken by
//! the next complete *request*, so that a handshake that fails, or a connection that a client
//! opens and never uses, does not consume a response that was meant for another. Clones of a script
//! share one queue; two listeners can serve one script.

use super::request::Request;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a web server says that was spoken to in TLS on its plain port (the words of nginx'
/// counterpart; the client never gets to read them as HTTP).
pub const PLAIN_HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

type RespondTo = Arc<dyn Fn(&Request) -> Vec<u8> + Send + Sync>;
type OnRequest = Arc<dyn Fn(&Request) + Send + Sync>;

/// What a server does once.
#[derive(Clone)]
pub struct Step(When);

#[derive(Clone)]
enum When {
    BeforeHandshake(BeforeHandshake),
    BeforeRequest,
    AfterRequest(AfterRequest),
}

/// Conduct that takes a connection instead of a handshake.
#[derive(Clone, Copy)]
pub enum BeforeHandshake {
    Close,
    #[cfg(unix)]
    Reset,
    Stall,
    PlainHttp,
}

/// Conduct that takes a complete request.
#[derive(Clone)]
pub struct AfterRequest {
    pub on_request: Option<OnRequest>,
    pub conduct: Conduct,
}

#[derive(Clone)]
pub enum Conduct {
    /// The bytes, then an orderly close.
    Respond(RespondTo),
    /// The bytes, then TCP's FIN without TLS's close_notify.
    Cut(Vec<u8>),
    /// The bytes, then nothing, until the client gives up.
    Stall(Vec<u8>),
    /// The bytes one by one, slowly, then an orderly close.
    Trickle(Vec<u8>),
    /// The way of a proxy: what comes from now on goes there, and back.
    Tunnel(SocketAddr),
    /// The bytes, then a reset.
    #[cfg(unix)]
    Reset(Vec<u8>),
}

impl Step {
    /// These bytes exactly, then an orderly close.
    pub fn response(bytes: impl Into<Vec<u8>>) -> Step {
        let bytes = bytes.into();
        Step::responding(move |_| bytes.clone())
    }

    /// The bytes that `respond` makes of the request, then an orderly close.
    pub fn responding(respond: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Step {
        Step::after_request(Conduct::Respond(Arc::new(respond)))
    }

    /// These bytes, then the end of the connection, as if the server had died.
    pub fn cut(bytes: impl Into<Vec<u8>>) -> Step {
        Step::after_request(Conduct::Cut(bytes.into()))
    }

    /// The request is read, and never responded to.
    pub fn close_after_request() -> Step {
        Step::cut([])
    }

    /// The request is read, and never responded to, and the connection stays open.
    pub fn stall() -> Step {
        Step::stall_after([])
    }

    /// These bytes, and then nothing more, while the connection stays open.
    pub fn stall_after(bytes: impl Into<Vec<u8>>) -> Step {
        Step::after_request(Conduct::Stall(bytes.into()))
    }

    /// These bytes, one by one, ten a second.
    pub fn trickle(bytes: impl Into<Vec<u8>>) -> Step {
        Step::after_request(Conduct::Trickle(bytes.into()))
    }

    /// `200`, and from then on a tunnel to this address: the response of a proxy to CONNECT.
    pub fn tunnel_to(address: SocketAddr) -> Step {
        Step::after_request(Conduct::Tunnel(address))
    }

    /// These bytes, then a reset instead of an end.
    #[cfg(unix)]
    pub fn reset_after(bytes: impl Into<Vec<u8>>) -> Step {
        Step::after_request(Conduct::Reset(bytes.into()))
    }

    /// The connection is closed as soon as it is accepted.
    pub fn close_before_handshake() -> Step {
        Step(When::BeforeHandshake(BeforeHandshake::Close))
    }

    /// The connection is reset as soon as it is accepted.
    #[cfg(unix)]
    pub fn reset_before_handshake() -> Step {
        Step(When::BeforeHandshake(BeforeHandshake::Reset))
    }

    /// The connection is accepted, and no byte ever comes.
    pub fn stall_before_handshake() -> Step {
        Step(When::BeforeHandshake(BeforeHandshake::Stall))
    }

    /// Plain HTTP in response to the client's TLS.
    pub fn plain_http() -> Step {
        Step(When::BeforeHandshake(BeforeHandshake::PlainHttp))
    }

    /// The connection is reset after the handshake, with the request sent but not read.
    pub fn close_before_request() -> Step {
        Step(When::BeforeRequest)
    }

    /// Calls `action` when the whole request has arrived and nothing has been sent back yet.
    pub fn on_request(mut self, action: impl Fn(&Request) + Send + Sync + 'static) -> Step {
        let When::AfterRequest(step) = &mut self.0 else {
            panic!("this step takes no request");
        };
        step.on_request = Some(Arc::new(action));
        self
    }

    fn after_request(conduct: Conduct) -> Step {
        Step(When::AfterRequest(AfterRequest { on_request: None, conduct }))
    }
}

/// A queue of steps. See the module's head.
#[derive(Clone, Default)]
pub struct Script {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    steps: VecDeque<Step>,
    when_empty: Option<Step>,
}

impl Script {
    /// Each step once, in this order; a request after the last one is unexpected.
    pub fn once(steps: impl IntoIterator<Item = Step>) -> Script {
        Script::default().followed_by(steps)
    }

    /// The same step for whatever comes.
    pub fn always(step: Step) -> Script {
        Script::default().then_always(step)
    }

    /// Adds steps at the end of the queue.
    pub fn followed_by(self, steps: impl IntoIterator<Item = Step>) -> Script {
        self.queue().steps.extend(steps);
        self
    }

    /// The step for whatever comes after the end of the queue.
    pub fn then_always(self, step: Step) -> Script {
        self.queue().when_empty = Some(step);
        self
    }

    /// How many steps nobody has taken. A step that is repeated is not counted.
    pub fn remaining(&self) -> usize {
        self.queue().steps.len()
    }

    pub(super) fn take_before_handshake(&self) -> Option<BeforeHandshake> {
        self.take(|when| match when {
            When::BeforeHandshake(conduct) => Some(*conduct),
            _ => None,
        })
    }

    pub(super) fn take_before_request(&self) -> Option<()> {
        self.take(|when| matches!(when, When::BeforeRequest).then_some(()))
    }

    pub(super) fn take_after_request(&self) -> Option<AfterRequest> {
        self.take(|when| match when {
            When::AfterRequest(step) => Some(step.clone()),
            _ => None,
        })
    }

    /// Takes the next step if it is of the kind that `wanted` picks.
    fn take<T>(&self, wanted: impl Fn(&When) -> Option<T>) -> Option<T> {
        let mut queue = self.queue();
        match queue.steps.front() {
            Some(step) => {
                let taken = wanted(&step.0)?;
                queue.steps.pop_front();
                Some(taken)
            }
            None => wanted(&queue.when_empty.as_ref()?.0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A complete response with a JSON body, as most token endpoints send it.
pub fn json_response(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: application/json; charset=utf-8\r\n\
         Cache-Control: no-store\r\n\
         Content-Length: {}\r\n\
         \r\n\
         {body}",
        body.len()
    )
    .into_bytes()
}
