//! One end of a conversation, as a request's way sees it: a socket that speaks HTTP/1, or one stream of an HTTP/2 connection.
//!
//! A stream looks like a socket that speaks HTTP/1: what is sent first is a head of HTTP/1, which leaves as a HEADERS frame, then
//! the body as it is, without chunks. What only one of the two knows has a method here that is nothing for the other: `start_last`
//! and `finish` end a stream and leave a socket as it is.

use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::http2::{Stream, Trailers};
use crate::io::{Group, Outgoing, Protection, RBuf, Sock};

/// See the module.
pub enum Link {
    /// A socket, from one request to the next.
    Sock(Sock),
    /// A stream, for one request. In a box: it is several times as large.
    Stream(Box<Stream>),
}

impl Link {
    /// Whether it is a stream.
    pub fn is_stream(&self) -> bool {
        matches!(self, Link::Stream(_))
    }

    /// The buffers in which to receive what is to be sent here: small ones where many streams share a connection, for each of them
    /// holds what it has as long as its window is shut.
    pub fn share(&self) -> Group {
        match self {
            Link::Stream(stream) if stream.is_one_of_many() => Group::Small,
            Link::Stream(_) | Link::Sock(_) => Group::Large,
        }
    }

    /// What is received from here goes to that one: piece by piece, if it is a stream. One of a few costs nothing more where a
    /// receive goes on already.
    pub fn receive_for(&self, reader: &Link) {
        if let (Link::Sock(sock), Link::Stream(stream)) = (self, reader) {
            sock.receive_one_by_one(stream.is_one_of_many());
        }
    }

    /// The next bytes, in a buffer of `group`; empty at the end. `TimedOut` once the deadline has passed.
    pub fn recv(&self, group: Group) -> impl Future<Output = io::Result<RBuf>> {
        poll_fn(move |context| self.poll_recv(group, context))
    }

    /// As `recv`, for callers that wait for several things.
    pub fn poll_recv(&self, group: Group, context: &mut Context<'_>) -> Poll<io::Result<RBuf>> {
        match self {
            Link::Sock(sock) => sock.poll_recv(group, context),
            Link::Stream(stream) => stream.poll_recv(group, context),
        }
    }

    /// What a client says while it waits for an answer to a request that is complete: bytes of its next request, the end of its
    /// side, or an error if it has left. A stream has nothing more to say than the last.
    pub fn poll_word(&self, context: &mut Context<'_>) -> Poll<io::Result<RBuf>> {
        match self {
            Link::Sock(sock) => sock.poll_recv(Group::Small, context),
            Link::Stream(stream) => stream.poll_reset(context).map(Err),
        }
    }

    /// Ready when the other end has given a stream up; a socket tells with the next send.
    pub fn poll_reset(&self, context: &mut Context<'_>) -> Poll<io::Error> {
        match self {
            Link::Sock(_) => Poll::Pending,
            Link::Stream(stream) => stream.poll_reset(context),
        }
    }

    /// Whether all of a stream's body has been received. Of a socket that is never known before an empty receive.
    pub fn has_ended(&self) -> bool {
        match self {
            Link::Sock(_) => false,
            Link::Stream(stream) => stream.has_ended(),
        }
    }

    /// Whether a stream that has ended brought trailers that nobody has taken.
    pub fn has_trailers(&self) -> bool {
        match self {
            Link::Sock(_) => false,
            Link::Stream(stream) => stream.has_trailers(),
        }
    }

    /// Whether a stream was broken by trailers that are more than they may be.
    pub fn has_excessive_trailers(&self) -> bool {
        match self {
            Link::Sock(_) => false,
            Link::Stream(stream) => stream.has_excessive_trailers(),
        }
    }

    /// The trailers of a stream that has ended, once.
    pub fn take_trailers(&self) -> Option<Box<Trailers>> {
        match self {
            Link::Sock(_) => None,
            Link::Stream(stream) => stream.take_trailers(),
        }
    }

    /// Whether nothing is being sent, so that no wait and no deadline is needed. An error of the previous send comes out.
    pub fn is_sendable(&self) -> io::Result<bool> {
        match self {
            Link::Sock(sock) => sock.is_sendable(),
            Link::Stream(stream) => stream.is_sendable(),
        }
    }

    /// Ready when nothing is being sent.
    pub fn poll_sendable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Link::Sock(sock) => sock.poll_sendable(context),
            Link::Stream(stream) => stream.poll_sendable(context),
        }
    }

    /// Waits until all that was handed over has left.
    pub fn flush(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|context| self.poll_sendable(context))
    }

    /// Hands bytes over at once; `is_sendable`, `poll_sendable` or `flush` has just said that nothing is being sent. To a stream
    /// the first bytes are a whole head.
    pub fn start_send(&self, outgoing: Outgoing) {
        match self {
            Link::Sock(sock) => sock.start_send(outgoing),
            Link::Stream(stream) => stream.start_send(outgoing, false),
        }
    }

    /// As `start_send`, and nothing of this message follows.
    pub fn start_last(&self, outgoing: Outgoing) {
        match self {
            Link::Sock(sock) => sock.start_send(outgoing),
            Link::Stream(stream) => stream.start_send(outgoing, true),
        }
    }

    /// Hands the whole of a message over if nothing is being sent, as it nearly always is; gives it back otherwise. An error of the
    /// previous send comes out.
    pub fn offer_last(&self, bytes: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        match self {
            Link::Sock(sock) => sock.offer(bytes),
            Link::Stream(stream) if stream.is_sendable()? => {
                stream.start_send(Outgoing::new(bytes), true);
                Ok(None)
            }
            Link::Stream(_) => Ok(Some(bytes)),
        }
    }

    /// Hands the whole of a message over once the previous send is through.
    pub fn send_last(&self, outgoing: Outgoing) -> impl Future<Output = io::Result<()>> {
        let mut outgoing = Some(outgoing);
        poll_fn(move |context| {
            let polled = self.poll_sendable(context);
            if matches!(polled, Poll::Ready(Ok(())))
                && let Some(outgoing) = outgoing.take()
            {
                self.start_last(outgoing);
            }
            polled
        })
    }

    /// The message is at its end, if that was not said with its last bytes. Trailers go with a stream; a socket has no use for
    /// them.
    pub fn finish(&self, trailers: Option<Box<Trailers>>) {
        if let Link::Stream(stream) = self {
            stream.finish(trailers);
        }
    }

    /// Whether sending failed before the other end can have acted on the first byte.
    pub fn failed_unsent(&self) -> bool {
        match self {
            Link::Sock(sock) => sock.failed_unsent(),
            Link::Stream(stream) => stream.was_refused(),
        }
    }

    /// From now on, waits fail with `TimedOut` after this time; `None` lifts it.
    pub fn set_deadline(&self, after: Option<Duration>) {
        match self {
            Link::Sock(sock) => sock.set_deadline(after),
            Link::Stream(stream) => stream.set_deadline(after),
        }
    }

    /// As `set_deadline`, for one of several that wait: an earlier deadline stays.
    pub fn expire_within(&self, after: Duration) {
        match self {
            Link::Sock(sock) => sock.expire_within(after),
            Link::Stream(stream) => stream.expire_within(after),
        }
    }

    /// Bytes that the other end has taken so far; `None` where nobody tells.
    pub fn bytes_acked(&self) -> Option<u64> {
        match self {
            Link::Sock(sock) => sock.bytes_acked(),
            Link::Stream(stream) => Some(stream.bytes_left()),
        }
    }

    /// Says that no more bytes will come.
    pub fn shutdown(&self, how: Shutdown) {
        match self {
            Link::Sock(sock) => sock.shutdown(how),
            Link::Stream(stream) if how != Shutdown::Read => stream.finish(None),
            Link::Stream(_) => {}
        }
    }

    /// Makes the end a reset, so that nobody takes it for the end of a message that was cut.
    pub fn reset_when_closed(&self) {
        match self {
            Link::Sock(sock) => sock.reset_when_closed(),
            Link::Stream(stream) => stream.reset(),
        }
    }

    /// Tells the other end of a protected connection that nothing more will come.
    pub fn say_goodbye(&self) {
        if let Link::Sock(sock) = self {
            sock.say_goodbye();
        }
    }

    /// How the connection is protected; `None`: it is not.
    pub fn protection(&self) -> Option<Protection> {
        match self {
            Link::Sock(sock) => sock.protection(),
            Link::Stream(stream) => stream.protection(),
        }
    }

    /// The socket that it goes over.
    pub fn carrier(&self) -> &Sock {
        match self {
            Link::Sock(sock) => sock,
            Link::Stream(stream) => stream.carrier(),
        }
    }

    /// Counts one more request on the connection and returns how many there were, this one included.
    pub fn count_request(&self) -> u32 {
        match self {
            Link::Sock(sock) => sock.count_request(),
            Link::Stream(stream) => stream.count_request(),
        }
    }
}
