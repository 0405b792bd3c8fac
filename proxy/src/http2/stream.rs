//! One stream as a request's way sees it: a socket that speaks HTTP/1, for one request.
//!
//! In front it is made of what the library has accepted: the request's head is the driver's to read, the body is received here,
//! and what is sent first is the answer's head. Behind it is made for a call: what is sent first is the request's head, and what
//! is received first is the answer's, as bytes of HTTP/1. Bodies have no chunks either way; trailers go beside them.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::uri::Scheme;

use super::piece::{Lent, Piece};
use super::timer::Timer;
use super::wire::Line;
use super::{Trailers, head};
use crate::io::{Group, Outgoing, Protection, RBuf, Sock, fill, recycle, vector};
use crate::limits::WIDE_STREAMS_MAX;

/// See the module.
pub struct Stream {
    line: Rc<Line>,
    sending: RefCell<Sending>,
    receiving: RefCell<Receiving>,
    account: Lent,
    timer: Timer,
    /// Sending came to an end that was not ours.
    failed: Cell<bool>,
    /// The other end has said that it did nothing for this stream.
    refused: Cell<bool>,
}

enum Sending {
    /// The head of an answer comes first.
    Answer(SendResponse<Piece>),
    /// The head of a request does.
    Request(SendRequest<Piece>),
    Body(SendStream<Piece>),
    /// The end was said.
    Ended(SendStream<Piece>),
    Nothing,
}

struct Receiving {
    from: From,
    /// Received, and more than the reader's buffer holds.
    rest: Rest,
    /// Bytes that the reader has, or had: given back to the window when it asks for more.
    owed: usize,
    trailers: Option<Box<Trailers>>,
    /// Whether the peer's trailers were more than they may be.
    is_excessive: bool,
}

enum Rest {
    Body(Bytes),
    /// A head of ours, which no window has counted, and how much of it was read.
    Head(Vec<u8>, usize),
}

impl Rest {
    const NONE: Rest = Rest::Body(Bytes::new());

    fn bytes(&self) -> &[u8] {
        match self {
            Rest::Body(bytes) => bytes,
            Rest::Head(bytes, read) => &bytes[*read..],
        }
    }

    /// So many bytes were read; how many of them count for the window.
    fn used(&mut self, count: usize) -> usize {
        match self {
            Rest::Body(bytes) => {
                bytes.advance(count);
                count
            }
            Rest::Head(bytes, read) => {
                *read += count;
                if *read == bytes.len() {
                    recycle(std::mem::take(bytes));
                    *self = Rest::NONE;
                }
                0
            }
        }
    }
}

enum From {
    /// Nothing is asked yet; who waits for the answer.
    Nobody(Option<Waker>),
    Answer(ResponseFuture),
    Body(RecvStream),
    Ended,
}

impl Stream {
    /// A request that a client has sent, past its head.
    pub fn accepted(line: &Rc<Line>, body: RecvStream, answer: SendResponse<Piece>) -> Stream {
        Stream::new(line, Sending::Answer(answer), From::Body(body))
    }

    /// A call that is about to be made; `poll_ready` of `requests` has said that a stream may be opened.
    pub fn call(line: &Rc<Line>, requests: SendRequest<Piece>) -> Stream {
        Stream::new(line, Sending::Request(requests), From::Nobody(None))
    }

    fn new(line: &Rc<Line>, sending: Sending, from: From) -> Stream {
        let receiving = Receiving { from, rest: Rest::NONE, owed: 0, trailers: None, is_excessive: false };
        Stream {
            line: line.clone(),
            sending: RefCell::new(sending),
            receiving: RefCell::new(receiving),
            account: Lent::default(),
            timer: Timer::default(),
            failed: Cell::new(false),
            refused: Cell::new(false),
        }
    }

    /// See `Link::poll_recv`. What was received before is given back to the window: whoever asks for more has used it.
    pub fn poll_recv(&self, group: Group, context: &mut Context<'_>) -> Poll<io::Result<RBuf>> {
        let mut receiving = self.receiving.borrow_mut();
        receiving.give_back();
        let received = loop {
            if !receiving.rest.bytes().is_empty() {
                match receiving.read(group) {
                    Some(bytes) => return Poll::Ready(Ok(bytes)),
                    // Whoever has the buffers gives them back soon; nobody wakes us.
                    None => self.timer.look_again(context),
                }
                break Poll::Pending;
            }
            match receiving.poll(self.line.is_of_client(), context) {
                Poll::Ready(Ok(true)) => {}
                // The stream itself is well: an answer can be told why there is none.
                Poll::Ready(Ok(false)) if receiving.is_excessive => {
                    break Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Poll::Ready(Ok(false)) => break Poll::Ready(Ok(RBuf::empty())),
                Poll::Ready(Err(error)) => break Poll::Ready(Err(self.fail(&error))),
                Poll::Pending => break Poll::Pending,
            }
        };
        if received.is_pending() && self.timer.poll(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        received
    }

    /// Ready when the other end, or the connection, has given the stream up.
    pub fn poll_reset(&self, context: &mut Context<'_>) -> Poll<io::Error> {
        let polled = match &mut *self.sending.borrow_mut() {
            Sending::Answer(answer) => answer.poll_reset(context),
            Sending::Body(body) | Sending::Ended(body) => body.poll_reset(context),
            Sending::Request(_) | Sending::Nothing => return Poll::Pending,
        };
        match polled {
            Poll::Ready(Ok(reason)) => Poll::Ready(self.fail(&reason.into())),
            Poll::Ready(Err(error)) => Poll::Ready(self.fail(&error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// See `Link::has_ended`.
    pub fn has_ended(&self) -> bool {
        let receiving = self.receiving.borrow();
        receiving.rest.bytes().is_empty()
            && match &receiving.from {
                From::Body(body) => body.is_end_stream(),
                From::Ended => true,
                From::Nobody(_) | From::Answer(_) => false,
            }
    }

    /// See `Link::has_trailers`.
    pub fn has_trailers(&self) -> bool {
        self.receiving.borrow().trailers.is_some()
    }

    /// See `Link::has_excessive_trailers`.
    pub fn has_excessive_trailers(&self) -> bool {
        self.receiving.borrow().is_excessive
    }

    /// See `Link::take_trailers`.
    pub fn take_trailers(&self) -> Option<Box<Trailers>> {
        self.receiving.borrow_mut().trailers.take()
    }

    /// See `Link::is_sendable`: nothing that was handed over waits for the window or the socket.
    pub fn is_sendable(&self) -> io::Result<bool> {
        if self.failed.get() || self.account.is_cut() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(self.account.is_empty())
    }

    /// See `Link::poll_sendable`.
    pub fn poll_sendable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.is_sendable() {
            Err(error) => return Poll::Ready(Err(error)),
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => {}
        }
        if let Poll::Ready(error) = self.poll_reset(context) {
            return Poll::Ready(Err(error));
        }
        if self.timer.poll(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.account.wait(context.waker());
        Poll::Pending
    }

    /// Hands over a head, or a part of the body behind it. An error comes out of the next `is_sendable`.
    pub fn start_send(&self, outgoing: Outgoing, is_last: bool) {
        let (front, chunks) = outgoing.into_parts();
        let mut chunks = chunks.peekable();
        let mut at = 0;
        let awaits_head = matches!(*self.sending.borrow(), Sending::Answer(_) | Sending::Request(_));
        if awaits_head {
            at = head::length(&front).unwrap_or(front.len());
            let ends = is_last && at == front.len() && chunks.peek().is_none();
            if !self.send_head(&front[..at], ends) {
                self.failed.set(true);
                return recycle(front);
            }
        }
        if at < front.len() {
            let ends = is_last && chunks.peek().is_none();
            self.send_piece(Piece::made(front, at, &self.account), ends);
        } else {
            recycle(front);
        }
        while let Some(chunk) = chunks.next() {
            let ends = is_last && chunks.peek().is_none();
            self.send_piece(Piece::received(chunk, &self.account), ends);
        }
        if is_last {
            self.finish(None);
        }
    }

    /// See `Link::finish`.
    pub fn finish(&self, trailers: Option<Box<Trailers>>) {
        if !matches!(*self.sending.borrow(), Sending::Body(_)) {
            return;
        }
        match trailers {
            None => self.send_piece(Piece::made(Vec::new(), 0, &self.account), true),
            Some(trailers) => {
                let Sending::Body(mut body) = self.sending.replace(Sending::Nothing) else { return };
                if body.send_trailers(*trailers).is_err() {
                    self.failed.set(true);
                }
                self.sending.replace(Sending::Ended(body));
            }
        }
    }

    /// False if it cannot be sent: it is malformed, or the stream has ended.
    fn send_head(&self, bytes: &[u8], ends: bool) -> bool {
        let mut sending = self.sending.borrow_mut();
        let sent = match &mut *sending {
            Sending::Answer(answer) => match head::answer(bytes) {
                None => None,
                Some(head) if head.status().is_informational() => return answer.send_informational(head).is_ok(),
                Some(head) => answer.send_response(head, ends).ok(),
            },
            Sending::Request(requests) => {
                let scheme = if self.line.protection().is_some() { Scheme::HTTPS } else { Scheme::HTTP };
                let sent = head::request(bytes, scheme).and_then(|head| requests.send_request(head, ends).ok());
                sent.map(|(answer, body)| {
                    self.receiving.borrow_mut().expect(answer);
                    body
                })
            }
            Sending::Body(_) | Sending::Ended(_) | Sending::Nothing => None,
        };
        let is_sent = sent.is_some();
        *sending = match sent {
            Some(body) if ends => Sending::Ended(body),
            Some(body) => Sending::Body(body),
            None => Sending::Nothing,
        };
        is_sent
    }

    fn send_piece(&self, piece: Piece, ends: bool) {
        let mut sending = self.sending.borrow_mut();
        let Sending::Body(body) = &mut *sending else { return self.failed.set(true) };
        if body.send_data(piece, ends).is_err() {
            self.failed.set(true);
        }
        if ends && let Sending::Body(body) = std::mem::replace(&mut *sending, Sending::Nothing) {
            *sending = Sending::Ended(body);
        }
    }

    /// Ends the stream as one whose message was cut.
    pub fn reset(&self) {
        match &mut *self.sending.borrow_mut() {
            Sending::Answer(answer) => answer.send_reset(Reason::INTERNAL_ERROR),
            Sending::Body(body) | Sending::Ended(body) => body.send_reset(Reason::INTERNAL_ERROR),
            Sending::Request(_) | Sending::Nothing => {}
        }
    }

    fn fail(&self, error: &h2::Error) -> io::Error {
        self.failed.set(true);
        let is_refusal = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let is_farewell = error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR);
        self.refused.set(is_refusal || is_farewell);
        io::ErrorKind::ConnectionReset.into()
    }

    /// Whether the other end has said that it did nothing for this stream.
    pub fn was_refused(&self) -> bool {
        self.refused.get()
    }

    /// Whether the other end gave the stream up before it had an answer.
    pub fn was_taken_back(&self) -> bool {
        self.failed.get() && matches!(*self.sending.borrow(), Sending::Answer(_))
    }

    /// Bytes of bodies that have left.
    pub fn bytes_left(&self) -> u64 {
        self.account.left()
    }

    /// See `Link::set_deadline`.
    pub fn set_deadline(&self, after: Option<Duration>) {
        self.timer.set(after);
    }

    /// See `Link::expire_within`.
    pub fn expire_within(&self, after: Duration) {
        self.timer.expire_within(after);
    }

    /// Of the connection.
    pub fn protection(&self) -> Option<Protection> {
        self.line.protection()
    }

    /// See `Link::carrier`.
    pub fn carrier(&self) -> &Sock {
        &self.line.sock
    }

    /// The connection takes no more requests.
    pub fn retire(&self) {
        self.line.retire();
    }

    /// Whether a client's connection has many streams at work.
    pub fn is_one_of_many(&self) -> bool {
        self.line.streams() > WIDE_STREAMS_MAX
    }

    /// Counts one more request of the connection.
    pub fn count_request(&self) -> u32 {
        self.line.count_request()
    }
}

impl Receiving {
    /// The next bytes are in `rest`; false at the end of the stream.
    fn poll(&mut self, of_client: bool, context: &mut Context<'_>) -> Poll<Result<bool, h2::Error>> {
        match &mut self.from {
            From::Nobody(waiting) => {
                *waiting = Some(context.waker().clone());
                Poll::Pending
            }
            From::Answer(answer) => Pin::new(answer).poll(context).map_ok(|answer| {
                let (head, body) = answer.into_parts();
                let mut bytes = vector();
                head::write_answer(&http::Response::from_parts(head, ()), &mut bytes);
                self.rest = Rest::Head(bytes, 0);
                self.from = From::Body(body);
                true
            }),
            From::Body(body) => {
                match body.poll_data(context) {
                    Poll::Ready(Some(Ok(bytes))) => {
                        self.rest = Rest::Body(bytes);
                        return Poll::Ready(Ok(true));
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => {}
                }
                body.poll_trailers(context).map_ok(|mut trailers| {
                    self.from = From::Ended;
                    self.is_excessive =
                        trailers.as_mut().is_some_and(|fields| !head::settle_trailers(fields, of_client));
                    self.trailers = trailers.filter(|fields| !fields.is_empty()).map(Box::new);
                    false
                })
            }
            From::Ended => Poll::Ready(Ok(false)),
        }
    }

    /// A part of `rest` in a buffer; `None` if there is no buffer.
    fn read(&mut self, group: Group) -> Option<RBuf> {
        let rest = self.rest.bytes();
        let bytes = fill(group, |room| {
            let count = rest.len().min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            count
        })?;
        self.owed += self.rest.used(bytes.len());
        Some(bytes)
    }

    fn give_back(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if let (From::Body(body), 1..) = (&mut self.from, owed) {
            // Fails for a stream that is gone.
            let _ = body.flow_control().release_capacity(owed);
        }
    }

    /// The request was sent: this is where its answer comes from.
    fn expect(&mut self, answer: ResponseFuture) {
        if let From::Nobody(Some(waiting)) = std::mem::replace(&mut self.from, From::Answer(answer)) {
            waiting.wake();
        }
    }
}
