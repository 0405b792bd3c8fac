//! A connection that was given another protocol (101): bytes pass both ways as they are, until somebody ends it.
//!
//! Each direction holds at most one received buffer and one that is being sent: the slower side sets the pace. The end of one
//! direction is passed on as such, a reset as a reset.

use std::future::{Future as _, poll_fn};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use policy::fault::Fault;

use crate::exchange::Exchange;
use crate::head_bytes::HeadBytes;
use crate::io::{Group, Outgoing, RBuf, is_scarce, now, sleep, vector};
use crate::limits::COPY_BYTES_MAX;
use crate::link::Link;
use crate::observe::metrics::{WorkerMetrics, add, sub};
use crate::state::Worker;
use crate::trip::Trip;
use crate::upstream::Connection;

/// Who or what ended a tunnel; the numbers are places in the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed first, in good order.
    Client,
    /// The backend closed first, in good order.
    Backend,
    /// The client's connection broke.
    ClientBroke,
    /// The backend's connection broke.
    BackendBroke,
    /// Nothing passed for too long.
    Idle,
    /// It had lived long enough.
    Lifetime,
    /// The gateway leaves.
    Drain,
}

/// What bounds a tunnel.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// The longest silence in both directions.
    pub idle: Duration,
    /// The longest life.
    pub life: Duration,
}

/// Counts a tunnel as open until it is dropped.
struct Open<'a> {
    metrics: &'a WorkerMetrics,
}

impl<'a> Open<'a> {
    fn new(metrics: &'a WorkerMetrics) -> Open<'a> {
        add(&metrics.tunnels_opened, 1);
        add(&metrics.tunnels_open, 1);
        Open { metrics }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        sub(&self.metrics.tunnels_open, 1);
    }
}

/// Passes bytes between the exchange's client and a backend that has agreed to it. What passed and how it ended is written
/// into the trip and the counters; the client's connection is left to be closed, the backend's is closed.
pub async fn run(
    exchange: &mut Exchange,
    backend: Box<Connection>,
    bounds: Bounds,
    trip: &mut Trip,
    worker: &Rc<Worker>,
) {
    let open = Open::new(&worker.metrics);
    // The head is needed for the record, the buffer that it came in for others.
    exchange.head_bytes = HeadBytes::Joined(exchange.head_bytes.to_vec());
    let Exchange { sock: client, inflow, .. } = &mut *exchange;
    let Connection { sock: server, inflow: from_server, .. } = &mut *{ backend };
    let up = Flow::new((client, inflow, Group::Small), server);
    let down = Flow::new((server, from_server, client.share()), client);
    let (end, bytes_up, bytes_down) = pass(up, down, bounds, worker).await;
    match end {
        End::ClientBroke => server.reset_when_closed(),
        End::BackendBroke => exchange.reset = true,
        End::Client | End::Backend | End::Idle | End::Lifetime | End::Drain => {}
    }
    trip.fault = match end {
        End::ClientBroke => Some(Fault::ClientGone),
        End::BackendBroke => Some(Fault::AnswerCutShort),
        _ => trip.fault,
    };
    (trip.body_received, trip.body_sent) = (bytes_up, bytes_down);
    add(&open.metrics.tunnels_ended[end as usize], 1);
}

async fn pass(mut up: Flow<'_>, mut down: Flow<'_>, bounds: Bounds, worker: &Rc<Worker>) -> (End, u64, u64) {
    let (began, mut moved) = (now(), now());
    let until = began + bounds.life;
    let guest = worker.last_call.enter();
    let mut timer = std::pin::pin!(sleep(bounds.idle.min(bounds.life)));
    let mut first = None;
    let end = poll_fn(|context| {
        match (up.advance(context), down.advance(context)) {
            (Err(broken), _) => return Poll::Ready(broken.end(End::ClientBroke, End::BackendBroke)),
            (_, Err(broken)) => return Poll::Ready(broken.end(End::BackendBroke, End::ClientBroke)),
            (Ok(false), Ok(false)) => {}
            (Ok(_), Ok(_)) => moved = now(),
        }
        if first.is_none() && (up.ended || down.ended) {
            first = Some(if up.ended { End::Client } else { End::Backend });
        }
        if let (Some(first), true, true) = (first, up.ended, down.ended) {
            return Poll::Ready(first);
        }
        if guest.is_told(context) {
            return Poll::Ready(End::Drain);
        }
        while timer.as_mut().poll(context).is_ready() {
            match left(until, moved, bounds.idle) {
                Ok(left) => timer.set(sleep(left)),
                Err(end) => return Poll::Ready(end),
            }
        }
        Poll::Pending
    })
    .await;
    (end, up.bytes, down.bytes)
}

/// The time until something is over, or what is.
fn left(until: Instant, moved: Instant, idle: Duration) -> Result<Duration, End> {
    let now = now();
    if now >= until {
        Err(End::Lifetime)
    } else if now >= moved + idle {
        Err(End::Idle)
    } else {
        Ok(until.min(moved + idle) - now)
    }
}

/// One direction.
struct Flow<'a> {
    from: &'a Link,
    inflow: &'a mut RBuf,
    group: Group,
    to: &'a Link,
    bytes: u64,
    sending: bool,
    /// Its sender has said that no more comes; passed on when everything before it has left.
    finished: bool,
    ended: bool,
}

/// Which side of a direction broke.
enum Broken {
    Sender,
    Receiver,
}

impl Broken {
    fn end(self, sender: End, receiver: End) -> End {
        match self {
            Broken::Sender => sender,
            Broken::Receiver => receiver,
        }
    }
}

impl<'a> Flow<'a> {
    fn new((from, inflow, group): (&'a Link, &'a mut RBuf, Group), to: &'a Link) -> Flow<'a> {
        let bytes = inflow.len() as u64;
        Flow { from, inflow, group, to, bytes, sending: false, finished: false, ended: false }
    }

    /// Does what can be done now; whether anything moved.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = false;
        while !self.ended {
            match self.to.poll_sendable(context) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Err(Broken::Receiver),
                Poll::Ready(Ok(())) => moved |= std::mem::take(&mut self.sending),
            }
            if !self.inflow.is_empty() {
                self.send();
                moved = true;
            } else if self.finished {
                self.to.shutdown(Shutdown::Write);
                self.ended = true;
            } else {
                match self.from.poll_recv(self.group, context) {
                    Poll::Pending => break,
                    Poll::Ready(Err(_)) => return Err(Broken::Sender),
                    Poll::Ready(Ok(bytes)) => self.receive(bytes),
                }
                moved = true;
            }
        }
        Ok(moved)
    }

    fn receive(&mut self, bytes: RBuf) {
        self.finished = bytes.is_empty();
        self.bytes += bytes.len() as u64;
        *self.inflow = bytes;
    }

    /// A small piece is copied, and so is any while buffers are scarce: a slow reader must not keep them from others.
    fn send(&mut self) {
        let bytes = std::mem::replace(self.inflow, RBuf::empty());
        let mut head = vector();
        let outgoing = if bytes.len() <= COPY_BYTES_MAX || is_scarce(self.group) {
            head.extend_from_slice(&bytes);
            Outgoing::new(head)
        } else {
            let mut outgoing = Outgoing::new(head);
            outgoing.push(bytes).expect("a send has room for one piece");
            outgoing
        };
        self.to.start_send(outgoing);
        self.sending = true;
    }
}
