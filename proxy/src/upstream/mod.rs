//! The machines that we call: their servers, connections, and one call from request to answer's head.

pub mod balance;
pub mod call;
pub mod connect;
pub mod http1;
pub mod pool;
pub mod resolve;

use std::rc::Rc;

use config::snapshot::HttpRule;

use crate::exchange::HeadBytes;
use crate::state::Live;
use crate::trip::Place;
pub use pool::Connection;

/// What is to be called, and how.
pub struct Call<'a> {
    /// The integration.
    pub rule: &'a HttpRule,
    /// The rendered request target.
    pub target: Vec<u8>,
    /// The method that asks.
    pub place: Place,
    /// The snapshot of the request.
    pub live: &'a Rc<Live>,
}

/// A backend's final answer: its head lies in the exchange's scratch, its body is still to come on the connection.
pub struct Answer {
    /// Where the body comes from.
    pub connection: Connection,
    /// The bytes that the parsed head speaks of.
    pub head_bytes: HeadBytes,
    /// Whether the integration passes the client's fields and the backend's.
    pub proxy: bool,
}
