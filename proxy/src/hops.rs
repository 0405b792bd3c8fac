//! How a request came: as its connection shows it, or as a proxy in front says that the operator trusts (row P06).

use std::net::SocketAddr;

use codec::head::Span;
use policy::hops::{Hops, Said};

use crate::entry::Peer;
use crate::exchange::Exchange;
use crate::scratch::Way;

/// Finds out whose request it is. What a proxy said of the one before is forgotten.
pub fn follow(exchange: &mut Exchange, trusted: Option<&Hops>) {
    let port = exchange.sock.carrier().asked().map_or(exchange.entry.port, |asked| asked.port());
    let way = Way { port, tls: exchange.secure, host: Span::default(), is_told: false };
    if std::mem::replace(&mut exchange.scratch.way, way).is_told {
        exchange.peer = Peer::of(exchange.sock.carrier().peer());
    }
    let Some(hops) = trusted else { return };
    if !hops.from.contain(exchange.sock.carrier().peer().map(|peer| peer.ip())) {
        return;
    }
    let bytes = &*exchange.head_bytes;
    let Said { client, tls, host, port } = hops.ask(&exchange.scratch.head.fields, bytes);
    let way = &mut exchange.scratch.way;
    way.is_told = true;
    way.tls = tls.unwrap_or(way.tls);
    way.port = port.unwrap_or(way.port);
    way.host = host.map_or(Span::default(), |host| place(bytes, host));
    if let Some(ip) = client {
        exchange.peer = Peer::of(Some(SocketAddr::new(ip, 0)));
    }
}

/// Where a piece of the bytes is.
fn place(bytes: &[u8], piece: &[u8]) -> Span {
    let start = piece.as_ptr().addr() - bytes.as_ptr().addr();
    Span::new(start, start + piece.len())
}
