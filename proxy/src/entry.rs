//! Where a connection came in, and from whom.

use std::net::SocketAddr;

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
    /// Writes the address once per connection task.
    pub fn of(address: Option<SocketAddr>) -> Peer {
        use std::io::Write as _;

        let mut text = [0; PEER_TEXT_BYTES];
        let mut room = &mut text[..];
        // Text of an address always fits; a unix socket has none.
        let _ = match address.map(|address| address.ip().to_canonical()) {
            Some(ip) => write!(room, "{ip}"),
            None => write!(room, "unix"),
        };
        let left = room.len();
        Peer { text, length: (PEER_TEXT_BYTES - left) as u8 }
    }

    /// `127.0.0.1`, `::1`, `unix`.
    pub fn text(&self) -> &[u8] {
        &self.text[..self.length as usize]
    }
}
