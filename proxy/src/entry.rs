//! Where a connection came in, and from whom.

use std::net::{IpAddr, SocketAddr};

use crate::limits::PEER_TEXT_BYTES;

/// A door of the gateway, as its connections see it.
pub struct Entry {
    /// Tags its parked connections: its index.
    pub tag: u64,
    /// Whether `{api}.execute-api.*` answers here.
    pub execute_api: bool,
    /// The port, as backends are told; 0 for a unix socket.
    pub port: u16,
}

/// The client's address, as text and as a number.
#[derive(Clone, Copy)]
pub struct Peer {
    text: [u8; PEER_TEXT_BYTES],
    length: u8,
}

impl Peer {
    /// Writes the address. IPv4 goes without the formatting machinery: this runs whenever an idle connection speaks again.
    pub fn of(address: Option<SocketAddr>) -> Peer {
        let mut peer = Peer { text: [0; PEER_TEXT_BYTES], length: 0 };
        match address.map(|address| address.ip().to_canonical()) {
            Some(IpAddr::V4(ip)) => {
                for (place, part) in ip.octets().into_iter().enumerate() {
                    if place > 0 {
                        peer.push(b".");
                    }
                    peer.push(itoa::Buffer::new().format(part).as_bytes());
                }
            }
            Some(IpAddr::V6(ip)) => peer.push(ip.to_string().as_bytes()),
            // The word of RFC 7239 §6 for whoever has no address: a client of a unix socket.
            None => peer.push(b"unknown"),
        }
        peer
    }

    fn push(&mut self, text: &[u8]) {
        let from = self.length as usize;
        self.text[from..from + text.len()].copy_from_slice(text);
        self.length += text.len() as u8;
    }

    /// `127.0.0.1`, `::1`, `unknown`.
    pub fn text(&self) -> &[u8] {
        &self.text[..self.length as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_people_write_them() {
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        for text in ["127.0.0.1", "255.255.255.255", "0.0.0.0", "::1", "2001:db8::1", longest] {
            let address = SocketAddr::new(text.parse().expect("an address"), 1);
            assert_eq!(Peer::of(Some(address)).text(), text.as_bytes());
        }
        let mapped = SocketAddr::new("::ffff:10.0.0.1".parse().expect("an address"), 1);
        assert_eq!(Peer::of(Some(mapped)).text(), b"10.0.0.1", "an IPv4 client of an IPv6 socket");
        assert_eq!(Peer::of(None).text(), b"unknown");
    }
}
