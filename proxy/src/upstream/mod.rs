//! The machines that we call: their servers, connections, and one call from request to answer's head.

pub mod balance;
pub mod call;
pub mod connect;
pub mod errand;
pub mod health;
pub mod http1;
pub mod http2;
pub mod pool;
pub mod report;
pub mod resolve;
pub mod retry;
pub mod secure;
pub mod server;
pub mod shared;

use std::time::Duration;

use codec::head::{Framing, ResponseHead};
use codec::websocket::Handshake;

use crate::body::BodyReader;
use crate::head_bytes::HeadBytes;
use crate::io::RBuf;
use crate::link::Link;
pub use server::Connection;

/// What a call takes from the client's side while it runs.
pub struct Source<'a> {
    /// The client.
    pub sock: &'a Link,
    /// What was received from it and not yet used.
    pub inflow: &'a mut RBuf,
    /// The request's body.
    pub body: &'a mut BodyReader,
    /// How that body is framed.
    pub framing: Framing,
    /// Whether it is base64 of gRPC-Web, and goes on as what that stands for.
    pub is_text: bool,
    /// Whether the body is held in memory: the head is written with it.
    pub is_held: bool,
    /// Whether the client waits for `100 Continue`.
    pub continue_owed: &'a mut bool,
    /// Whether the request may be repeated (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// Whether the backend is asked with HEAD.
    pub to_head: bool,
    /// What a backend has to agree to, if it is asked for a WebSocket.
    pub upgrade: Option<&'a Handshake>,
    /// What a connection begins with that names its client; empty: nothing.
    pub introduction: &'a [u8],
    /// Where the answer's head is parsed into.
    pub answer: &'a mut ResponseHead,
}

/// What bounds a call.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// From the first attempt to connect to the end of the answer's head; where there is a body, from its last byte.
    pub timeout: Duration,
    /// Times that the request is sent at most.
    pub attempts: u8,
    /// The longest time of one attempt, to the end of the answer's head; `None`: `timeout`.
    pub try_time: Option<Duration>,
    /// Milliseconds of an attempt to the end of the answer's head, its body included; 0: any.
    pub deadline: u32,
    /// The longest pause in a body.
    pub body_idle: Duration,
    /// Bytes a second that the client's body brings at least.
    pub body_rate: u32,
    /// Bytes a second that the client takes at least.
    pub send_rate: u32,
    /// The longest body.
    pub body_max: Option<u64>,
}

impl Bounds {
    /// The longest time of an attempt, its body included.
    pub fn deadline(&self) -> Option<Duration> {
        (self.deadline > 0).then(|| Duration::from_millis(self.deadline.into()))
    }

    /// The longest time of one attempt.
    pub fn one(&self) -> Duration {
        self.try_time.map_or(self.timeout, |most| most.min(self.timeout))
    }
}

/// A backend's final answer: its head was parsed into the source's `answer`, its body is still to come.
pub struct Answer {
    /// Where the body comes from.
    pub connection: Connection,
    /// The bytes that the parsed head speaks of.
    pub head_bytes: HeadBytes,
    /// Whether the integration passes the backend's fields.
    pub proxy: bool,
    /// What a mapping made of the head, in its place.
    pub shaped: Option<Shaped>,
}

/// An answer's head as a mapping made it.
pub struct Shaped {
    /// What the client is told: 200 to 599.
    pub status: u16,
    /// Complete lines, CRLF included; those of the backend that pass are among them.
    pub fields: Vec<u8>,
}
