//! A worker without a process around it, for benches and for counts of instructions: what it is asked comes from memory, or from a socket whose
//! other end somebody holds.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use config::snapshot::Snapshot;

use crate::callers::Caller;
use crate::colleagues::Colleagues;
use crate::connection::{await_first_byte, next_head};
use crate::entry::{Entry, Peer};
use crate::exchange::Exchange;
use crate::files::Share;
use crate::head_bytes::HeadBytes;
use crate::hops;
use crate::io::{Group, RBuf, Sock, fill, spawn};
use crate::link::Link;
use crate::observe::metrics::{Metrics, Setup};
use crate::observe::writer::{Destination, Writer};
use crate::request;
use crate::state::{Published, Worker};
use crate::tokens::keys::Asker;
use crate::trip::Trip;
use crate::worker;

/// Whom requests from memory come from.
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// Files that it may open.
const FILES: u64 = 1_024;

/// See the module.
pub struct Rehearsal {
    worker: Rc<Worker>,
    entry: Rc<Entry>,
    exchange: Exchange,
    _other_end: UnixStream,
}

impl Rehearsal {
    /// A worker that serves this, on the shard (`io::run`) of the task that calls, without an access log.
    ///
    /// # Errors
    /// If there are no sockets to be had.
    pub fn new(snapshot: Snapshot) -> std::io::Result<Rehearsal> {
        let metrics = Metrics::new(Setup {
            workers: 1,
            refusals: &policy::refusal::Refusal::NAMES,
            faults: &policy::fault::Fault::NAMES,
            version: env!("CARGO_PKG_VERSION"),
        });
        let of_worker = metrics.worker(0);
        let (mut sinks, _) = Writer::start(Destination::None, std::slice::from_ref(&of_worker), metrics.writer())?;
        let published = Published::new(snapshot, None, &metrics);
        let parts = (Share::of(FILES, 1), Arc::default(), Colleagues::default(), Asker::default());
        let worker = Worker::new(0, published, of_worker, sinks.remove(0), parts);
        spawn(worker::take_events(worker.clone()));
        let entry = worker.entries.enter(0, CLIENT.port(), true, 1);
        let (end, other_end) = UnixStream::pair()?;
        end.set_nonblocking(true)?;
        let sock = Link::Sock(Sock::adopt(OwnedFd::from(end), Some(CLIENT)));
        let from = (entry.clone(), Peer::of(Some(CLIENT)), false);
        let exchange = Exchange::new(sock, worker.scratch(), from);
        Ok(Rehearsal { worker, entry, exchange, _other_end: other_end })
    }

    /// From the bytes of a head to the last phase before the integration; false if somebody said no, or has to be waited for. At most as
    /// many bytes as a small buffer has.
    pub fn admit(&mut self, head: &[u8]) -> bool {
        let Rehearsal { worker, exchange, .. } = self;
        let received = fill(Group::Small, |room| {
            room[..head.len()].copy_from_slice(head);
            head.len()
        });
        let Some(inflow) = received else { return false };
        (exchange.inflow, exchange.head_bytes) = (inflow, HeadBytes::View(RBuf::empty()));
        let context = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = pin!(next_head(exchange, worker, false)).poll(context) else { return false };
        let live = worker.live();
        let mut trip = Trip::begin(worker);
        exchange.scratch.forget_caller();
        hops::follow(exchange, live.snapshot().gateway.trusted_proxies.as_ref());
        let Ok(place) = request::find(exchange, &mut trip, &live, worker) else { return false };
        let admitted = pin!(request::admit(exchange, place, &trip, &live, worker)).poll(context);
        let is_in = matches!(admitted, Poll::Ready(Ok(None)));
        self.exchange.scratch.held.leave();
        is_in
    }

    /// Serves the connection whose one end this is, as one that was just accepted. It does not block.
    pub fn welcome(&self, end: OwnedFd) {
        let sock = Sock::adopt(end, Some(CLIENT));
        if self.worker.connection_opened(&self.entry, Caller::of(None)) {
            await_first_byte(sock, &self.entry, &self.worker);
        }
    }
}
