//! Parsing state that is large, and needed only while a request is in flight.

use codec::head::{RequestHead, ResponseHead};
use codec::websocket::Handshake;
use router::Captures;

/// Parsing state that a worker reuses: large, and needed only while a request is in flight.
#[derive(Default)]
pub struct Scratch {
    /// The request's head.
    pub head: RequestHead,
    /// The backend's.
    pub answer: ResponseHead,
    /// What the backend has to agree to, if the client asks for a WebSocket and may have one.
    pub upgrade: Option<Handshake>,
    /// The template's variables.
    pub captures: Captures,
    /// The canonical path, where it differs from the received one.
    pub path: Vec<u8>,
}
