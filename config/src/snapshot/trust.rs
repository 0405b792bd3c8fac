//! Who is trusted to say where a client is.

use policy::networks::Networks;
use serde::{Deserialize, Serialize};

/// The PROXY protocol in front of a listener (row P07).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyProtocol {
    /// Who begins each connection with a header, and is closed without one.
    pub from: Networks,
    /// What becomes of everybody else.
    pub others: Others,
}

/// What becomes of those that do not come from a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Others {
    /// They are closed at once.
    Refused,
    /// They are served as if nothing had been said of such headers; one from them is no header.
    Served,
}
