//! Where a connection came in, and from whom.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use config::snapshot::{Manner, ProxyProtocol, Tls};

use crate::http2::Line;
use crate::limits::PEER_TEXT_BYTES;

/// Tags parked connections whose TLS handshake has not begun, beside their entry.
pub const HANDSHAKE_TAG: u64 = 1 << 62;

/// Tags parked connections that begin with a PROXY header.
pub const GREETING_TAG: u64 = 1 << 61;

/// The entry of a tag.
pub const ENTRY_TAG: u64 = !(HANDSHAKE_TAG | GREETING_TAG);

/// A door of the gateway on one worker, as its connections see it. It outlives its listening socket for as long as there are
/// connections that came in by it.
pub struct Entry {
    /// Tags its parked connections: its index.
    pub tag: u64,
    /// Which door of the gateway it is; the same on every worker.
    pub door: u64,
    /// The port, as backends are told; 0 for a unix socket.
    pub port: u16,
    shared: Cell<bool>,
    execute_api: Cell<bool>,
    h2c: Cell<bool>,
    tls: RefCell<Option<Arc<Tls>>>,
    balancers: RefCell<Option<Arc<ProxyProtocol>>>,
    manner: Cell<Manner>,
    backlog: Cell<u32>,
    phase: Cell<Phase>,
    connections: Cell<u32>,
    acceptor: RefCell<Option<Waker>>,
    /// Connections that go on from request to request, each with its task, by a number that each has for itself.
    guests: RefCell<BTreeMap<u64, (Waker, Rc<Line>)>>,
}

/// How far a door is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Phase {
    Open,
    /// Nobody new comes in, and who is here learns with its next answer that the connection ends.
    Closing,
    /// Who has nothing under way is let go.
    Shut,
}

impl Entry {
    /// Whether `{api}.execute-api.*` answers here.
    pub fn execute_api(&self) -> bool {
        self.execute_api.get()
    }

    /// Connections that the kernel may queue.
    pub fn backlog(&self) -> u32 {
        self.backlog.get()
    }

    /// What connections that come from now on are protected with; `None`: they speak plain HTTP. And how clients are told to.
    pub fn protect(&self, tls: Option<Arc<Tls>>, manner: Manner) {
        *self.tls.borrow_mut() = tls;
        self.manner.set(manner);
    }

    /// How clients are told to use TLS.
    pub fn manner(&self) -> Manner {
        self.manner.get()
    }

    /// See `protect`.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.borrow().clone()
    }

    /// Whether connections without TLS may begin with HTTP/2, from now on.
    pub fn offer_http2(&self, h2c: bool) {
        self.h2c.set(h2c);
    }

    /// See `offer_http2`.
    pub fn offers_http2(&self) -> bool {
        self.h2c.get()
    }

    /// Whether a connection that comes now has to speak TLS.
    pub fn is_protected(&self) -> bool {
        self.tls.borrow().is_some()
    }

    /// Who begins connections that come from now on with a PROXY header; `None`: nobody.
    pub fn expect(&self, balancers: Option<Arc<ProxyProtocol>>) {
        *self.balancers.borrow_mut() = balancers;
    }

    /// See `expect`.
    pub fn balancers(&self) -> Option<Arc<ProxyProtocol>> {
        self.balancers.borrow().clone()
    }

    /// Other settings for the same address.
    pub fn change(&self, execute_api: bool, backlog: u32) {
        self.execute_api.set(execute_api);
        self.backlog.set(backlog);
        self.wake();
    }

    /// Somebody else holds the same socket, and goes on accepting when this door closes: its queue is theirs.
    pub fn share(&self) {
        self.shared.set(true);
    }

    /// See `share`.
    pub fn is_shared(&self) -> bool {
        self.shared.get()
    }

    /// Nobody new is let in: connections end with their next answer.
    pub fn close(&self) {
        self.phase.set(Phase::Closing);
        self.wake();
    }

    /// Whether it was told to close.
    pub fn is_closing(&self) -> bool {
        self.phase.get() >= Phase::Closing
    }

    /// The time for one more request is over.
    pub fn shut(&self) {
        self.phase.set(Phase::Shut);
        self.wake();
    }

    /// Whether idle connections are no longer kept.
    pub fn is_shut(&self) -> bool {
        self.phase.get() == Phase::Shut
    }

    /// Open connections that came in here, idle ones included.
    pub fn connections(&self) -> u32 {
        self.connections.get()
    }

    /// One connection more.
    pub fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// One less.
    pub fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
    }

    /// Wakes this task when something changes: the acceptor's.
    pub fn listen(&self, context: &Context<'_>) {
        let mut acceptor = self.acceptor.borrow_mut();
        if !acceptor.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *acceptor = Some(context.waker().clone());
        }
    }

    /// Wakes this task, too, whenever something changes, until it leaves.
    pub fn admit_guest(&self, number: u64, line: &Rc<Line>, waker: &Waker) {
        self.guests.borrow_mut().insert(number, (waker.clone(), line.clone()));
    }

    /// See `admit_guest`.
    pub fn dismiss_guest(&self, number: u64) {
        self.guests.borrow_mut().remove(&number);
    }

    fn wake(&self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.wake();
        }
        self.guests.borrow().values().for_each(|(waker, _)| waker.wake_by_ref());
    }
}

/// The doors of a worker. A tag is used again only when nobody is left who came in under it.
#[derive(Default)]
pub struct Entries {
    list: RefCell<Vec<Option<Rc<Entry>>>>,
}

impl Entries {
    /// Numbers a door: the tag of its parked connections.
    pub fn enter(&self, door: u64, port: u16, execute_api: bool, backlog: u32) -> Rc<Entry> {
        let mut list = self.list.borrow_mut();
        let free = list.iter().position(Option::is_none).unwrap_or_else(|| {
            list.push(None);
            list.len() - 1
        });
        let entry = Entry {
            tag: free as u64,
            door,
            port,
            shared: Cell::new(false),
            execute_api: Cell::new(execute_api),
            h2c: Cell::new(false),
            tls: RefCell::default(),
            balancers: RefCell::default(),
            manner: Cell::default(),
            backlog: Cell::new(backlog),
            phase: Cell::new(Phase::Open),
            connections: Cell::new(0),
            acceptor: RefCell::default(),
            guests: RefCell::default(),
        };
        list[free].insert(Rc::new(entry)).clone()
    }

    /// The door of a tag, which some connection bears.
    pub fn of(&self, tag: u64) -> Rc<Entry> {
        self.list.borrow()[(tag & ENTRY_TAG) as usize].clone().expect("a tag is kept as long as a connection bears it")
    }

    /// The open entries of the door of this number: one for each of its sockets that this worker accepts from.
    pub fn door(&self, door: u64) -> Vec<Rc<Entry>> {
        let list = self.list.borrow();
        list.iter().flatten().filter(|entry| entry.door == door && !entry.is_closing()).cloned().collect()
    }

    /// Where somebody is let in who came in by the door of this number: also one that is closing.
    pub fn of_door(&self, door: u64) -> Option<Rc<Entry>> {
        self.list.borrow().iter().flatten().find(|entry| entry.door == door).cloned()
    }

    /// Connections of HTTP/2 without streams, and when each of them would end by itself. Walks over all.
    pub fn idle_lines(&self) -> Vec<(Instant, Rc<Entry>, Rc<Line>)> {
        let mut found = Vec::new();
        for entry in self.list.borrow().iter().flatten() {
            let guests = entry.guests.borrow();
            let idle = guests.values().filter_map(|(_, line)| Some((line.idle_until()?, entry.clone(), line.clone())));
            found.extend(idle);
        }
        found
    }

    /// Wakes every acceptor: the worker is about to leave.
    pub fn wake(&self) {
        self.list.borrow().iter().flatten().for_each(|entry| entry.wake());
    }

    /// Nobody bears its tag any more.
    pub fn leave(&self, entry: &Entry) {
        debug_assert_eq!(entry.connections(), 0, "a connection would find somebody else's door");
        self.list.borrow_mut()[entry.tag as usize] = None;
    }
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
                for part in ip.octets() {
                    peer.push_number(part);
                    peer.push_byte(b'.');
                }
                peer.length -= 1;
            }
            Some(IpAddr::V6(ip)) => peer.push(ip.to_string().as_bytes()),
            // The word of RFC 7239 §6 for whoever has no address: a client of a unix socket.
            None => peer.push(b"unknown"),
        }
        peer
    }

    /// The address as a number; `None` for `unknown`.
    pub fn ip(&self) -> Option<IpAddr> {
        str::from_utf8(self.text()).ok()?.parse().ok()
    }

    fn push(&mut self, text: &[u8]) {
        let from = self.length as usize;
        self.text[from..from + text.len()].copy_from_slice(text);
        self.length += text.len() as u8;
    }

    fn push_byte(&mut self, byte: u8) {
        self.text[usize::from(self.length)] = byte;
        self.length += 1;
    }

    fn push_number(&mut self, number: u8) {
        if number >= 100 {
            self.push_byte(b'0' + number / 100);
        }
        if number >= 10 {
            self.push_byte(b'0' + number / 10 % 10);
        }
        self.push_byte(b'0' + number % 10);
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
    fn tags_are_used_again_and_doors_are_not() {
        let entries = Entries::default();
        let (first, second) = (entries.enter(7, 80, true, 10), entries.enter(8, 81, false, 10));
        assert_eq!((first.tag, second.tag), (0, 1));
        first.close();
        assert!(entries.door(7).is_empty(), "a door that closes is told nothing more");
        assert_eq!(entries.of(0).door, 7, "its connections still find it");
        entries.leave(&first);
        let third = entries.enter(9, 82, true, 10);
        assert_eq!((third.tag, entries.of(0).door), (0, 9));
        assert_eq!(entries.door(8).iter().map(|entry| entry.tag).collect::<Vec<_>>(), [1]);
        let fourth = entries.enter(8, 81, false, 10);
        assert_eq!((fourth.tag, entries.door(8).len()), (2, 2), "a door may have several sockets");
    }

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
