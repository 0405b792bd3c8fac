//! gRPC on a request's way: who speaks it, how long a call may take, and what a body becomes for those who speak gRPC-Web.

use std::time::Duration;

use codec::grpc::{self, Dialect};
use codec::grpc_web::{self, NotBase64, TextReader};
use codec::head::{Fields, Name, RequestHead};
use codec::http1::write;
use http::HeaderMap;
use http::header::HeaderValue;
use policy::grpc::{message_in, status_of};
use policy::refusal::{Refusal, Reply};

/// What a request speaks, by its content type; `None`: no gRPC.
pub fn dialect(head: &RequestHead, bytes: &[u8]) -> Option<Dialect> {
    Dialect::of(head.fields.get(Name::ContentType)?.value.of(bytes))
}

/// Whether an answer is one of gRPC.
pub fn is_answer(fields: &Fields, bytes: &[u8]) -> bool {
    let typed = fields.get(Name::ContentType).map(|field| field.value.of(bytes));
    typed.and_then(Dialect::of) == Some(Dialect::Grpc)
}

/// How long a call may take in all, if it says so.
pub fn timeout(head: &RequestHead, bytes: &[u8]) -> Option<Duration> {
    let mut named = head.fields.iter().filter(|field| field.name.of(bytes).eq_ignore_ascii_case(b"grpc-timeout"));
    grpc::timeout(named.next()?.value.of(bytes))
}

/// Writes the content type of a message, as the one end has it, for the other.
pub fn write_type(dialect: Dialect, received: &[u8], out: &mut Vec<u8>) {
    let begin: &[u8] = match dialect {
        Dialect::Grpc => b"application/grpc",
        Dialect::Web => b"application/grpc-web",
        Dialect::WebText => b"application/grpc-web-text",
    };
    let mut value = [0; TYPE_BYTES_MAX];
    let behind = grpc::suffix(received);
    let length = begin.len() + behind.len();
    if let Some(room) = value.get_mut(..length) {
        room[..begin.len()].copy_from_slice(begin);
        room[begin.len()..].copy_from_slice(behind);
        write::field(out, b"Content-Type", room);
    } else {
        write::field(out, b"Content-Type", begin);
    }
}

/// Bytes of a content type: what is longer loses what stands behind its name.
const TYPE_BYTES_MAX: usize = 128;

/// The fields of a refusal to a caller that speaks gRPC; there is no body.
pub fn write_refusal(dialect: Dialect, received: &[u8], refusal: Refusal, reply: &Reply, out: &mut Vec<u8>) {
    write_type(dialect, received, out);
    let status = itoa::Buffer::new().format(status_of(refusal, reply.status)).to_owned();
    write::field(out, b"grpc-status", status.as_bytes());
    let mut message = Vec::new();
    grpc::write_message(message_in(reply.body), &mut message);
    write::field(out, b"grpc-message", &message);
}

/// The trailers of a call whose time is over while its answer is on the way.
pub fn deadline_exceeded() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from_static("4"));
    trailers.insert("grpc-message", HeaderValue::from_static("Deadline Exceeded"));
    trailers
}

/// What a body becomes on its way.
pub enum Translation {
    /// A client's base64: messages.
    FromText(TextReader),
    /// A backend's messages and trailers: messages, and a frame that holds the trailers.
    ToWeb,
    /// The same in base64.
    ToText,
}

impl Translation {
    /// Of an answer to whoever speaks this.
    pub fn of_answer(dialect: Dialect) -> Translation {
        if dialect == Dialect::WebText { Translation::ToText } else { Translation::ToWeb }
    }

    /// Some bytes of the body, and its trailers if it has ended with any.
    pub fn turn(&mut self, bytes: Vec<u8>, trailers: Option<Box<HeaderMap>>) -> Result<Vec<u8>, NotBase64> {
        match self {
            Translation::FromText(reader) => {
                let mut out = Vec::with_capacity(bytes.len());
                reader.read(&bytes, &mut out)?;
                Ok(out)
            }
            Translation::ToWeb => Ok(with_trailers(bytes, trailers)),
            Translation::ToText => {
                let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
                let bytes = with_trailers(bytes, trailers);
                if !bytes.is_empty() {
                    grpc_web::write_text(&bytes, &mut out);
                }
                Ok(out)
            }
        }
    }

    /// Whether nothing is missing at the end.
    pub fn is_whole(&self) -> bool {
        !matches!(self, Translation::FromText(reader) if !reader.is_whole())
    }
}

fn with_trailers(mut bytes: Vec<u8>, trailers: Option<Box<HeaderMap>>) -> Vec<u8> {
    if let Some(trailers) = trailers {
        let fields = trailers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        grpc_web::write_trailers(fields, &mut bytes);
    }
    bytes
}
