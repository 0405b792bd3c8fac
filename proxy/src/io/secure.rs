//! The shard's sockets that speak TLS: where sealed bytes are opened, and sealed ones are handed over.
//!
//! A parked socket opens what comes without a task: a ticket, a key update or a part of a record wakes nobody, and its deadline
//! stays what it was.

use std::io;
use std::task::{Context, Poll};

use super::buffers::{self, Group, RBuf};
use super::driver::Key;
use super::net::{Net, Why};
use super::session::{Protection, Session};
use super::slot::{Inbox, Life, Outgoing, Slot};

fn session(slot: &mut Slot) -> &mut Session {
    slot.session.as_mut().expect("asked for sockets that have one")
}

impl Net {
    /// From now on this socket speaks TLS. `begun`: bytes that came behind the first message.
    pub(super) fn secure(&mut self, key: Key, mut begun: Session, sealed: RBuf) {
        // An error comes out of the handshake.
        let _ = begun.begin();
        let slot = self.slot(key);
        slot.session = Some(Box::new(begun));
        slot.put_back(sealed);
        self.pump(key);
    }

    /// Speaks no TLS any more: what was to be said is on its way, and what comes is read as it is.
    pub(super) fn give_up_session(&mut self, key: Key) {
        self.pump(key);
        self.slot(key).session = None;
    }

    pub(super) fn protection(&mut self, key: Key) -> Option<Protection> {
        self.slot(key).session.as_ref().map(|session| session.protection())
    }

    /// Ready when the handshake is done; its last records may still be on their way.
    pub(super) fn poll_handshake(&mut self, key: Key, context: &Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let slot = self.slot(key);
            if !session(slot).is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if let Some(ending) = session(slot).ending() {
                return Poll::Ready(ending.and(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            match self.poll_sealed(key, Group::Small, context) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
    }

    pub(super) fn poll_opened(&mut self, key: Key, group: Group, context: &Context<'_>) -> Poll<io::Result<RBuf>> {
        loop {
            let slot = self.slot(key);
            if session(slot).has_opened() {
                match session(slot).read(group) {
                    Some(bytes) if bytes.is_empty() => continue,
                    Some(bytes) => return Poll::Ready(Ok(bytes)),
                    None if slot.timed_out => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    None => {
                        slot.reader = Some(context.waker().clone());
                        self.starve(key, group);
                        return Poll::Pending;
                    }
                }
            }
            if let Some(ending) = session(slot).ending() {
                return Poll::Ready(ending);
            }
            match self.poll_sealed(key, group, context) {
                // An alert or a wrong record: the next look at the session tells.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Opens what the socket has, or waits for it.
    fn poll_sealed(&mut self, key: Key, group: Group, context: &Context<'_>) -> Poll<io::Result<()>> {
        let sealed = match self.poll_raw(key, group, context) {
            Poll::Ready(Ok(sealed)) => sealed,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        if sealed.is_empty() {
            session(self.slot(key)).end();
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.open(key, sealed))
    }

    fn open(&mut self, key: Key, mut sealed: RBuf) -> io::Result<()> {
        let slot = self.slot(key);
        let opened = session(slot).open(&mut sealed);
        if opened.is_ok() {
            slot.put_back(sealed);
        }
        self.pump(key);
        opened
    }

    /// There was no buffer for what was received, or for what is opened: it stands in line for one.
    pub(super) fn starve(&mut self, key: Key, group: Group) {
        if !std::mem::replace(&mut self.slot(key).starved, true) {
            self.starved[group as usize].push_back(key);
        }
        self.feeding[group as usize] = false;
    }

    /// What there is to say of a socket that parks, or that is parked and has received something.
    pub(super) fn digest(&mut self, key: Key) -> Option<Why> {
        let mut slot = self.slot(key);
        while matches!(slot.inbox, Inbox::Data(_)) && !session(slot).has_opened() && session(slot).ending().is_none() {
            if let Inbox::Data(sealed) = slot.take() {
                // An error shows in the session.
                let _ = self.open(key, sealed);
            }
            slot = self.slot(key);
        }
        let has_ended = matches!(slot.inbox, Inbox::End | Inbox::Failed(_));
        if session(slot).has_opened() {
            Some(Why::Readable)
        } else if has_ended || session(slot).ending().is_some() {
            Some(Why::Closed)
        } else {
            slot.timed_out.then_some(Why::Expired)
        }
    }

    /// Seals bytes and hands them over, or behind what is being sent.
    pub(super) fn send_sealed(&mut self, key: Key, outgoing: Outgoing) {
        session(self.slot(key)).seal(&outgoing);
        buffers::recycle(outgoing.into_head());
        self.pump(key);
    }

    /// Hands over what the session has to say, unless something is being sent: then it follows.
    pub(super) fn pump(&mut self, key: Key) {
        let slot = self.slot(key);
        if slot.sending.is_some() || slot.send_error != 0 {
            return;
        }
        if let Some(session) = slot.session.as_mut().filter(|session| session.has_records()) {
            let records = session.records();
            self.start_raw(key, Outgoing::new(records));
        }
    }

    /// Says that nothing more will come; the socket itself stays open.
    pub(super) fn say_goodbye(&mut self, key: Key) {
        if let Some(session) = self.slot(key).session.as_mut() {
            session.say_goodbye();
            self.pump(key);
        }
    }

    /// The end of the stream follows the goodbye: whether that has still to leave.
    pub(super) fn ends_later(&mut self, key: Key) -> bool {
        self.say_goodbye(key);
        let slot = self.slot(key);
        let is_sending = slot.sending.is_some();
        slot.session.as_mut().is_some_and(|session| {
            session.ends = is_sending;
            is_sending
        })
    }

    /// A send is through: what is still to be said, or the end of the stream.
    pub(super) fn pump_on(&mut self, key: Key) {
        self.pump(key);
        let slot = self.slot(key);
        let is_through = slot.sending.is_none();
        if let Some(session) = slot.session.as_mut()
            && is_through
            && std::mem::take(&mut session.ends)
        {
            self.shutdown(key, libc::SHUT_WR);
        }
    }

    /// A starved socket's turn has come; false if it waits for bytes of the socket, not for a buffer.
    pub(super) fn feed_opened(&mut self, key: Key) -> bool {
        let slot = self.slot(key);
        if !slot.session.as_ref().is_some_and(|session| session.has_opened()) {
            return false;
        }
        if slot.life == Life::Parked {
            self.event(key, Why::Readable);
        } else if let Some(reader) = slot.reader.take() {
            reader.wake();
        }
        true
    }
}
