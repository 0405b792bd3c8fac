//! How a request came: as its connection shows it, or as a proxy in front says that the operator trusts (row P06).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use codec::head::Span;
use codec::proxy_protocol::{self, Told, Version};
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

/// Writes the header for a backend that wants to know whose connection it gets: of the client as far as it is known, and of where it
/// wanted to go. A client of a Unix socket has no address, and of one that a trusted proxy tells nobody knows the port.
pub fn introduce(exchange: &mut Exchange, version: Option<Version>) {
    let introduction = &mut exchange.scratch.introduction;
    introduction.clear();
    let Some(version) = version else { return };
    let carrier = exchange.sock.carrier();
    let told = exchange.peer.ip().map_or(Told::Unix, |ip| {
        let peer = carrier.peer().filter(|peer| peer.ip().to_canonical() == ip);
        let nowhere = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let here = || carrier.here().unwrap_or(SocketAddr::new(nowhere, exchange.scratch.way.port));
        Told::Client {
            source: peer.unwrap_or(SocketAddr::new(ip, 0)),
            destination: carrier.asked().unwrap_or_else(here),
        }
    });
    proxy_protocol::write(version, &told, introduction);
}

/// Where a piece of the bytes is.
fn place(bytes: &[u8], piece: &[u8]) -> Span {
    let start = piece.as_ptr().addr() - bytes.as_ptr().addr();
    Span::new(start, start + piece.len())
}
