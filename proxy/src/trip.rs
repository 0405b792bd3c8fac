//! What is remembered of one request while it travels: its ids, its times, and how it ended.

use std::time::Instant;

use policy::context;
use policy::fault::Fault;
use policy::refusal::Refusal;
use router::Kind;

use crate::state::{Place, Worker};

/// The record of one request.
pub struct Trip {
    /// When its head was complete.
    pub began: Instant,
    /// The same, in milliseconds since 1970.
    pub epoch_ms: u64,
    /// The kind of the API, once it is known: decides bodies and id fields.
    pub kind: Option<Kind>,
    /// Where it belongs, once that is known.
    pub place: Option<Place>,
    request_id: [u8; context::REST_REQUEST_ID_LEN],
    request_id_length: usize,
    extended_id: [u8; context::EXTENDED_REQUEST_ID_LEN],
    /// From the call of the backend to its head.
    pub integration_micros: Option<u64>,
    /// The backend's status.
    pub integration_status: Option<u16>,
    /// The upstream that was called.
    pub upstream: Option<u32>,
    /// Bytes of the client's body that were read.
    pub body_received: u64,
    /// Bytes of the answer's body.
    pub body_sent: u64,
    /// What the client was told; 0: nothing.
    pub status: u16,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// What broke.
    pub fault: Option<Fault>,
}

impl Trip {
    /// Begins now.
    pub fn begin(worker: &Worker) -> Trip {
        Trip {
            began: crate::io::now(),
            epoch_ms: worker.epoch_ms(),
            kind: None,
            place: None,
            request_id: [0; context::REST_REQUEST_ID_LEN],
            request_id_length: 0,
            extended_id: [0; context::EXTENDED_REQUEST_ID_LEN],
            integration_micros: None,
            integration_status: None,
            upstream: None,
            body_received: 0,
            body_sent: 0,
            status: 0,
            refusal: None,
            fault: None,
        }
    }

    /// Gives the request its ids, in the form of the API's kind (aws-features §0.2). A REST client may bring its own.
    pub fn name(&mut self, kind: Option<Kind>, own: Option<&[u8]>, worker: &Worker) {
        self.kind = kind;
        if kind == Some(Kind::Http) {
            // One id for both.
            let (id, _) = self.request_id.split_first_chunk_mut().expect("the other kind's id is longer");
            context::http_request_id(worker.random(), id);
            self.request_id_length = id.len();
            return;
        }
        context::extended_request_id(worker.random(), &mut self.extended_id);
        if let Some(own) = own.filter(|own| context::is_uuid(own)) {
            self.request_id.copy_from_slice(own);
        } else {
            context::rest_request_id(worker.random(), &mut self.request_id);
        }
        self.request_id_length = self.request_id.len();
    }

    /// `$context.requestId`.
    pub fn request_id(&self) -> &[u8] {
        &self.request_id[..self.request_id_length]
    }

    /// `$context.extendedRequestId`.
    pub fn extended_id(&self) -> &[u8] {
        if self.kind == Some(Kind::Http) { self.request_id() } else { &self.extended_id }
    }
}
