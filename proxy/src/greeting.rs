//! A balancer in front says whose connection it is: the PROXY header before everything else, TLS included (row P07).
//!
//! Its deadline runs since the connection was accepted. Until the header has come, the connection counts for no address: its own
//! is the balancer's.

use std::rc::Rc;

use codec::proxy_protocol::{Told, Version};

use crate::callers::Caller;
use crate::connection::Open;
use crate::entry::Entry;
use crate::io::Sock;
use crate::observe::metrics::{GreetingFailure, add};
use crate::preamble;
use crate::shed;
use crate::state::Worker;

/// A connection from a balancer has sent its first byte.
pub async fn greet(sock: Sock, entry: Rc<Entry>, worker: Rc<Worker>) {
    let mut open = Open::of(&worker, &entry, &sock);
    let header = match preamble::read(&sock).await {
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
                return shed::turn_away(sock, (shed::Why::Address, false), &entry, &worker);
            }
        }
    }
    open.await_first_byte(sock);
}

/// Counts a connection whose header did not come, or was none.
pub fn failed(why: GreetingFailure, worker: &Worker) {
    add(&worker.metrics.proxy_failures[why.index()], 1);
}
