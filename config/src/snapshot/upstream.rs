//! The machines behind a name: which of them serves, and what is done when one fails.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codec::proxy_protocol::Version;
use serde::{Deserialize, Serialize};

use super::tls::UpstreamTls;

/// The machines that answer for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name in the document, or the authority of the URIs that named it.
    pub name: Arc<str>,
    /// Never empty.
    pub servers: Box<[Server]>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// Kept connections.
    pub pool: Pool,
    /// How long a connection may take to open, its handshake included.
    pub connect_time: Duration,
    /// What servers have to prove; `None`: nothing, they are called in clear text.
    pub tls: Option<UpstreamTls>,
    /// What is spoken with servers.
    pub protocol: Protocol,
    /// The header that begins each connection and names the client; `None`: there is none. No connection is kept then.
    pub proxy_protocol: Option<Version>,
    /// All servers are used when fewer than this share of them, in percent, are well; always when none is.
    pub panic: u8,
    /// How long a server that comes back takes to its whole share; zero: it has it at once.
    pub slow_start: Duration,
    /// How servers are asked whether they are well; `None`: not at all.
    pub health_check: Option<HealthCheck>,
    /// When a server that fails is let alone; `None`: never.
    pub outlier: Option<Outlier>,
    /// What the upstream is spared.
    pub breaker: Breaker,
    /// When a request is sent again.
    pub retry: Retry,
}

/// What is spoken with servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed on by TLS, or in clear text with prior knowledge.
    Http2,
    /// What TLS agrees on.
    Auto,
}

/// How a server is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The request target.
    pub path: Box<str>,
    /// From an answer to the next question.
    pub interval: Duration,
    /// From the connect to the end of the answer's head.
    pub timeout: Duration,
    /// Good answers in a row of a server that was ill.
    pub healthy: u32,
    /// Bad answers in a row of a server that was well.
    pub unhealthy: u32,
    /// Good statuses, as ranges with both ends.
    pub statuses: Box<[(u16, u16)]>,
    /// The Host field; `None`: the upstream's name, as requests have it.
    pub host: Option<Box<str>>,
    /// By how many percent an interval is longer or shorter, at random.
    pub jitter: u8,
}

/// When a server that fails its requests is let alone, for all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlier {
    /// Failures in a row.
    pub failures: u32,
    /// How long it is let alone the first time; each further time twice as long.
    pub time: Duration,
    /// The longest time.
    pub time_max: Duration,
    /// The most servers that are let alone at once, in percent, rounded down.
    pub share: u8,
    /// Whether an answer of 500 to 599 is a failure as well.
    pub answers: bool,
}

/// The most of an upstream, for all workers together; `None`: unlimited. Beyond, a request is refused at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// Connections, idle ones included.
    pub connections: Option<u32>,
    /// Requests whose connection is being opened.
    pub pending: Option<u32>,
    /// Requests from their connection to the end of their answer.
    pub requests: Option<u32>,
}

/// When a request is sent again, where that is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Times that a request is sent at most, the first included.
    pub attempts: u8,
    /// Requests that may be sent again at once, in percent of those under way.
    pub budget: u8,
    /// Requests that may be sent again in any second beyond that share.
    pub per_second: u32,
    /// How long one attempt may take to the head of its answer; `None`: as long as the route's time-out.
    pub try_time: Option<Duration>,
}

/// How a server is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// The one with the fewest requests open, by weight.
    LeastRequests,
}

/// Kept connections of an upstream, for each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Connections kept without work.
    pub idle: u32,
    /// How long they are kept.
    pub idle_time: Duration,
    /// Connections open at once.
    pub connections: u32,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Where.
    pub address: ServerAddress,
    /// Its share, 1 to 1,000.
    pub weight: u16,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A name to look up, and a port.
    Name {
        /// The name, in lower case.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}
