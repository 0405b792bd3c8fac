//! HTTP/1.0 and HTTP/1.1 (RFC 9112): reading heads and bodies, writing them, and the names of all that is refused.

mod authority;
mod bytes;
pub mod framing;
pub mod misbehave;
pub mod parse;
mod rules;
mod scan;
pub mod write;

pub(crate) use authority::same_place;
pub use bytes::is_token;
pub(crate) use bytes::{is_target, is_value};
pub(crate) use parse::{Outcome, read_request, read_response};
pub(crate) use rules::settle_request;
