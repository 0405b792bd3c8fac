//! A balancer in front says whose connection it is: the PROXY header before everything else, TLS included (row P07).
//!
//! Its deadline runs since the connection was accepted. Until the header has come, the connection counts for no address: its own
//! is the balancer's.

use std::io;
use std::rc::Rc;

use codec::proxy_protocol::{self, Header, Told, Version};

use crate::body::is_timeout;
use crate::callers::Caller;
use crate::connection::Open;
use crate::entry::Entry;
use crate::io::{Group, RBuf, Sock};
use crate::observe::metrics::{GreetingFailure, add};
use crate::shed;
use crate::state::Worker;

/// A connection from a balancer has sent its first byte.
pub async fn greet(sock: Sock, entry: Rc<Entry>, worker: Rc<Worker>) {
    let mut open = Open::of(&worker, &entry, &sock);
    let header = match read(&sock).await {
        Ok(header) => header,
        // It speaks something else, and would not understand what is wrong.
        Err(why) => return failed(why, &worker),
    };
    add(&worker.metrics.proxy_headers[usize::from(header.version == Version::V2)], 1);
    match header.told {
        // A check of the balancer's own: it counts for nobody.
        Told::Nothing => {}
        Told::Unix => sock.introduce(None, None),
        Told::Client { source, destination } => {
            sock.introduce(Some(source), Some(destination));
            let is_hop = worker.live().is_hop(Some(source.ip()));
            if !is_hop && !open.count_for(Caller::of(Some(source)), &sock) {
                drop(open);
                return shed::turn_away(sock, shed::Why::Address, &entry, &worker);
            }
        }
    }
    open.await_first_byte(sock);
}

/// Counts a connection whose header did not come, or was none.
pub fn failed(why: GreetingFailure, worker: &Worker) {
    add(&worker.metrics.proxy_failures[why.index()], 1);
}

/// The header; what follows it is put back.
async fn read(sock: &Sock) -> Result<Header, GreetingFailure> {
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
