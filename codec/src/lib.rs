//! Bytes to messages and back: HTTP/1 heads, framing, request targets.
//!
//! Sans-IO: no sockets, no clock, no `async`, no `unsafe`, and no heap while heads are reused. What a peer sends is either
//! understood in exactly one way or refused by name (`http1::misbehave::Misbehaviour`); nothing is repaired. Received bytes
//! of the start line, framing fields and chunk headers are never forwarded: what passes is written anew by `http1::write`.

pub mod grpc;
pub mod grpc_web;
pub mod head;
pub mod http1;
pub mod http2;
pub mod limits;
pub mod properties;
pub mod proxy_protocol;
pub mod slow;
pub mod target;
pub mod trailers;
pub mod websocket;
