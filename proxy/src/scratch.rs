//! Parsing state that is large, and needed only while a request is in flight.

use codec::head::{RequestHead, ResponseHead, Span};
use codec::websocket::Handshake;
use policy::identity::{Caller, Detail};
use router::Captures;

use crate::crossing::Crossing;
use crate::throttles::{Held, Taken};
use crate::walls::Said;

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
    /// How the request came.
    pub way: Way,
    /// The PROXY header for the backend; empty if it wants none.
    pub introduction: Vec<u8>,
    /// Whether its client has shown a certificate that its host asks for and believes.
    pub proved: bool,
    /// Who calls, as far as that is known.
    pub caller: Caller,
    /// What a refusal says beyond its own words.
    pub detail: Detail,
    /// What browsers are told about origins.
    pub crossing: Crossing,
    /// Which tokens it has taken.
    pub taken: Taken,
    /// The gates that it has passed.
    pub held: Held,
    /// What its client is told of the limits that it has passed: complete field lines.
    pub limits_told: Vec<u8>,
    /// What firewalls have said of it.
    pub wall: Said,
}

impl Scratch {
    /// Nothing is known of the caller of the next request, and nothing is told of origins.
    pub fn forget_caller(&mut self) {
        self.crossing.clear();
        self.proved = false;
        self.caller.clear();
        self.detail.clear();
        self.taken = Taken::default();
        self.held.leave();
        self.limits_told.clear();
        self.wall.clear();
    }
}

/// What backends are told of the way of a request, beside its client's address.
#[derive(Clone, Copy, Default)]
pub struct Way {
    /// The port at which the client was accepted; 0 if there was none.
    pub port: u16,
    /// Whether the client came by TLS.
    pub tls: bool,
    /// A host that a trusted proxy named, in the head's bytes; empty if none did.
    pub host: Span,
    /// Whether a trusted proxy was asked for any of it, and for the client's address.
    pub is_told: bool,
}
