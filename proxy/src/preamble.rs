//! Reads the PROXY header off a connection that begins with one (row P07).

use std::io;

use codec::proxy_protocol::{self, Header};

use crate::body::is_timeout;
use crate::io::{Group, RBuf, Sock};
use crate::observe::metrics::GreetingFailure;

/// The header; what follows it is put back. Bound it with `set_deadline`.
pub async fn read(sock: &Sock) -> Result<Header, GreetingFailure> {
    let mut joined = Vec::new();
    loop {
        let mut bytes = receive(sock).await?;
        let known = joined.len();
        // Nearly always it comes in one piece.
        let parsed = if known == 0 {
            proxy_protocol::parse(&bytes)
        } else {
            joined.extend_from_slice(&bytes);
            proxy_protocol::parse(&joined)
        };
        if let Some(header) = parsed.map_err(GreetingFailure::Header)? {
            bytes.advance(header.length - known);
            sock.put_back(bytes);
            return Ok(header);
        }
        if known == 0 {
            joined.extend_from_slice(&bytes);
        }
    }
}

async fn receive(sock: &Sock) -> Result<RBuf, GreetingFailure> {
    match sock.recv(Group::Small).await {
        Ok(bytes) if bytes.is_empty() => Err(GreetingFailure::Closed),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &io::Error) -> GreetingFailure {
    if is_timeout(error) { GreetingFailure::Timeout } else { GreetingFailure::Closed }
}
