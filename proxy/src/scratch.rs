//! Parsing state that is large, and needed only while a request is in flight.

use codec::head::{RequestHead, ResponseHead};
use router::Captures;

/// Parsing state that a worker reuses: large, and needed only while a request is in flight.
#[derive(Default)]
pub struct Scratch {
    /// The request's head.
    pub head: RequestHead,
    /// The backend's.
    pub answer: ResponseHead,
    /// The template's variables.
    pub captures: Captures,
    /// The canonical path, where it differs from the received one.
    pub path: Vec<u8>,
}
