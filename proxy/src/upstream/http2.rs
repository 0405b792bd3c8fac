//! A server's connections that speak HTTP/2: each carries many requests at once, as many as the server allows.
//!
//! A task drives each connection until it has nothing more to carry: idle for too long, said goodbye to by either side, or dead.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use policy::fault::Fault;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http2::{Line, Piece, Stream, Wire};
use crate::io::{RBuf, Sleep, Sock, now, sleep, spawn};
use crate::limits::{
    ANSWER_FIELD_BYTES_MAX, LINE_LOOK_TIME, LINE_WINDOW, PING_AFTER, PING_AGAIN, PING_TIME, STREAM_WINDOW, STREAMS_MAX,
};

/// A server's connections of this kind.
#[derive(Default)]
pub struct Lines {
    all: RefCell<Vec<Rc<Carrier>>>,
    opening: RefCell<Option<Rc<Opening>>>,
}

/// One connection.
pub struct Carrier {
    line: Rc<Line>,
    /// `None`: it takes no more requests.
    requests: RefCell<Option<SendRequest<Piece>>>,
    streams: Cell<u32>,
    /// Something came since the driver has last looked.
    heard: Rc<Cell<bool>>,
    driver: RefCell<Option<Waker>>,
}

/// A request's place on a connection.
pub struct Seat {
    carrier: Rc<Carrier>,
}

/// A connection that is being opened; others wait for it.
#[derive(Default)]
pub struct Opening {
    outcome: Cell<Option<Result<(), Fault>>>,
    waiting: RefCell<Vec<Waker>>,
}

/// Whoever opens a connection. Dropping it lets the others try.
pub struct Opener {
    opening: Rc<Opening>,
}

impl Drop for Opener {
    fn drop(&mut self) {
        if self.opening.outcome.get().is_none() {
            self.opening.outcome.set(Some(Ok(())));
        }
        self.opening.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

impl Opener {
    /// Those who wait fail as well.
    pub fn failed(&self, fault: Fault) {
        self.opening.outcome.set(Some(Err(fault)));
    }
}

impl Opening {
    /// Waits for whoever opens it: a place may be free then.
    pub async fn wait(self: Rc<Self>) -> Result<(), Fault> {
        poll_fn(|context| {
            if let Some(outcome) = self.outcome.get() {
                return Poll::Ready(outcome);
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Lines {
    /// A stream on a connection that has room, and its place there.
    pub fn stream(&self) -> Option<(Box<Stream>, Seat)> {
        let all = self.all.borrow();
        // The one with the most to do that still has room: the others can become idle, and go.
        let fit = all.iter().filter(|carrier| carrier.has_room()).max_by_key(|carrier| carrier.streams.get())?;
        fit.stream()
    }

    /// Somebody opens a connection already.
    pub fn opening(&self) -> Option<Rc<Opening>> {
        self.opening.borrow().clone().filter(|opening| opening.outcome.get().is_none())
    }

    /// From now on until the end of this value, others wait.
    pub fn open(&self) -> Opener {
        let opening = Rc::new(Opening::default());
        *self.opening.borrow_mut() = Some(opening.clone());
        Opener { opening }
    }

    /// One more connection.
    pub fn add(&self, carrier: &Rc<Carrier>) {
        self.all.borrow_mut().push(carrier.clone());
    }

    /// It has ended.
    pub fn forget(&self, carrier: &Rc<Carrier>) {
        self.all.borrow_mut().retain(|known| !Rc::ptr_eq(known, carrier));
    }

    /// No connection takes another request.
    pub fn retire(&self) {
        // Those that go take themselves off the list.
        let all = self.all.borrow().clone();
        for carrier in all {
            carrier.retire();
        }
    }
}

impl Carrier {
    /// Begins to speak HTTP/2 on a connection, and drives it until its end; `over` is called then. `idle`: how long it is kept without
    /// a request.
    pub async fn start(sock: Sock, idle: Duration, over: impl Fn(&Rc<Carrier>) + 'static) -> io::Result<Rc<Carrier>> {
        let line = Line::new(sock);
        let heard = Rc::new(Cell::new(true));
        let ear = Ear { wire: Wire::new(line.clone(), RBuf::empty()), heard: heard.clone() };
        let shaken = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(LINE_WINDOW)
            .max_header_list_size(ANSWER_FIELD_BYTES_MAX)
            .handshake::<Ear, Piece>(ear)
            .await;
        let (requests, mut connection) = shaken.map_err(io::Error::other)?;
        let carrier = Rc::new(Carrier {
            line,
            requests: RefCell::new(Some(requests)),
            streams: Cell::new(0),
            heard,
            driver: RefCell::default(),
        });
        let driven = carrier.clone();
        spawn(async move {
            let pings = connection.ping_pong();
            let mut driver = Driver { carrier: driven, pings, clock: Clock::new(idle) };
            poll_fn(|context| driver.poll(&mut connection, context)).await;
            driver.carrier.retire();
            over(&driver.carrier);
        });
        Ok(carrier)
    }

    fn has_room(&self) -> bool {
        let requests = self.requests.borrow();
        let most = requests.as_ref().map_or(0, SendRequest::current_max_send_streams);
        (self.streams.get() as usize) < most.min(STREAMS_MAX)
    }

    /// A stream, unless the connection is going away.
    pub fn stream(self: &Rc<Carrier>) -> Option<(Box<Stream>, Seat)> {
        let mut requests = self.requests.borrow().clone()?;
        // A clone has no stream that waits: it is ready, or the connection has ended. Nobody is woken by it.
        match requests.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) | Poll::Pending => {
                self.retire();
                return None;
            }
        }
        self.streams.set(self.streams.get() + 1);
        Some((Box::new(Stream::call(&self.line, requests)), Seat { carrier: self.clone() }))
    }

    /// It takes no more requests, and ends with those that it has.
    pub fn retire(&self) {
        drop(self.requests.borrow_mut().take());
        self.wake();
    }

    fn wake(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let streams = &self.carrier.streams;
        streams.set(streams.get() - 1);
        if streams.get() == 0 {
            self.carrier.wake();
        }
    }
}

/// What moves a connection.
struct Driver {
    carrier: Rc<Carrier>,
    pings: Option<PingPong>,
    clock: Clock,
}

impl Driver {
    fn poll(&mut self, connection: &mut h2::client::Connection<Ear, Piece>, context: &mut Context<'_>) -> Poll<()> {
        *self.carrier.driver.borrow_mut() = Some(context.waker().clone());
        loop {
            // It ends when nobody may ask and nobody waits for an answer, or with an error that every stream has seen.
            let ended = Pin::new(&mut *connection).poll(context).is_ready();
            let pushed = self.carrier.line.push(context);
            if ended || matches!(pushed, Poll::Ready(Err(_))) {
                return Poll::Ready(());
            }
            let is_busy = self.carrier.streams.get() > 0;
            match self.clock.look((is_busy, self.carrier.heard.take()), context) {
                Look::Again => {}
                Look::Later => return Poll::Pending,
                Look::Idle => self.carrier.retire(),
                Look::Dead => return Poll::Ready(()),
                Look::Ping => {
                    if let Some(pings) = &mut self.pings {
                        // One that is under way is as good.
                        let _ = pings.send_ping(Ping::opaque());
                    }
                }
            }
            if let Some(pings) = &mut self.pings
                && let Poll::Ready(Ok(_)) = pings.poll_pong(context)
            {
                self.carrier.heard.set(true);
            }
        }
    }
}

/// When a connection was heard last, and what follows from that.
struct Clock {
    idle: Duration,
    /// Since when it has nothing to do.
    rest: Option<Instant>,
    hearing: Hearing,
    retired: bool,
    sleep: Pin<Box<Sleep>>,
}

/// When the other end was heard, and asked.
struct Hearing {
    heard: Instant,
    /// When the last ping was sent; whether nothing came since.
    ping: Option<(Instant, bool)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// The time has come to look once more.
    Again,
    /// There is nothing to do before something happens.
    Later,
    Idle,
    Ping,
    Dead,
}

impl Clock {
    fn new(idle: Duration) -> Clock {
        let tick = idle.min(LINE_LOOK_TIME);
        Clock {
            idle,
            rest: None,
            hearing: Hearing { heard: now(), ping: None },
            retired: false,
            sleep: Box::pin(sleep(tick)),
        }
    }

    /// Whether it works, and was heard, since the last look.
    fn look(&mut self, (is_busy, heard): (bool, bool), context: &mut Context<'_>) -> Look {
        let at = now();
        if heard {
            self.hearing.note(at);
        }
        if is_busy {
            self.rest = None;
        } else {
            let since = *self.rest.get_or_insert(at);
            if at - since >= self.idle && !std::mem::replace(&mut self.retired, true) {
                return Look::Idle;
            }
        }
        if is_busy && let Some(look) = self.hearing.doubts(at) {
            return look;
        }
        if self.sleep.as_mut().poll(context).is_ready() {
            self.sleep.set(sleep(self.idle.min(LINE_LOOK_TIME)));
            return Look::Again;
        }
        Look::Later
    }
}

impl Hearing {
    fn note(&mut self, at: Instant) {
        self.heard = at;
        self.ping = self.ping.map(|(sent, _)| (sent, false));
    }

    /// A server that says nothing for long is asked whether it lives: once soon, and then seldom, for servers count who asks often.
    fn doubts(&mut self, at: Instant) -> Option<Look> {
        match self.ping {
            Some((sent, true)) => (at - sent >= PING_TIME).then_some(Look::Dead),
            Some((sent, false)) if at - sent < PING_AGAIN => None,
            _ if at - self.heard >= PING_AFTER => {
                self.ping = Some((at, true));
                Some(Look::Ping)
            }
            _ => None,
        }
    }
}

/// A wire that notes when it hears something.
struct Ear {
    wire: Wire,
    heard: Rc<Cell<bool>>,
}

impl AsyncRead for Ear {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.wire).poll_read(context, room);
        if polled.is_ready() {
            self.heard.set(true);
        }
        polled
    }
}

impl AsyncWrite for Ear {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_is_asked_and_then_given_up() {
        let began = Instant::now();
        let mut hearing = Hearing { heard: began, ping: None };
        assert_eq!(hearing.doubts(began + PING_AFTER / 2), None);
        let asked = began + PING_AFTER;
        assert_eq!(hearing.doubts(asked), Some(Look::Ping));
        assert_eq!(hearing.doubts(asked + PING_TIME / 2), None, "it has its time");
        assert_eq!(hearing.doubts(asked + PING_TIME), Some(Look::Dead));
    }

    #[test]
    fn who_answers_is_left_alone_for_long() {
        let began = Instant::now();
        let mut hearing = Hearing { heard: began, ping: None };
        let asked = began + PING_AFTER;
        assert_eq!(hearing.doubts(asked), Some(Look::Ping));
        hearing.note(asked + PING_TIME / 2);
        assert_eq!(hearing.doubts(asked + PING_TIME), None);
        assert_eq!(hearing.doubts(asked + PING_AFTER * 2), None, "servers count who asks often");
        assert_eq!(hearing.doubts(asked + PING_AGAIN), Some(Look::Ping));
    }
}
