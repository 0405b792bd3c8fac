//! The workers of a process as they see one another: a newcomer goes to one that carries clearly fewer connections.
//!
//! The kernel spreads connections over the workers' listeners by a hash, evenly only in the long run: of 64 connections one of two
//! workers often has 40, and who keeps its connection stays where it is. Nothing here is touched by a request.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::io::{Receiver, Sender, channel};
use crate::limits::{COLLEAGUES_LOOKED_AT, HANDED_OVER_FROM, HANDED_OVER_SHARE};
use crate::observe::metrics::WorkerMetrics;

/// A connection that another worker has accepted.
pub struct Newcomer {
    /// The door that it came in by.
    pub door: u64,
    /// The connection.
    pub fd: OwnedFd,
}

/// Where one worker gets its newcomers.
pub struct Seat {
    metrics: Arc<WorkerMetrics>,
    newcomers: Sender<Newcomer>,
    /// Newcomers on their way to it.
    coming: AtomicU32,
}

impl Seat {
    /// A worker's place, and the end that the worker reads.
    pub fn new(metrics: Arc<WorkerMetrics>) -> (Seat, Receiver<Newcomer>) {
        let (newcomers, receiver) = channel();
        (Seat { metrics, newcomers, coming: AtomicU32::new(0) }, receiver)
    }

    /// Connections that it has, and those that will be there at once.
    fn carries(&self) -> u64 {
        let open = self.metrics.connections_open.load(Relaxed);
        open.saturating_add(self.coming.load(Relaxed).into())
    }

    /// Sends it a connection.
    pub fn hand_over(&self, newcomer: Newcomer) {
        self.coming.fetch_add(1, Relaxed);
        self.newcomers.send(newcomer);
    }
}

/// All workers of a process, from one of them.
#[derive(Clone, Default)]
pub struct Colleagues {
    seats: Arc<[Seat]>,
    own: usize,
}

impl Colleagues {
    /// The worker of this number among all.
    pub fn new(seats: Arc<[Seat]>, own: usize) -> Colleagues {
        Colleagues { seats, own }
    }

    /// Who should take the next connection in our place: the lightest of a few, from a place chosen by `random` on. `None`: we.
    pub fn lighter(&self, random: impl FnOnce() -> u64) -> Option<&Seat> {
        let own = self.seats.get(self.own)?.carries();
        let others = self.seats.len() - 1;
        if own < HANDED_OVER_FROM || others == 0 {
            return None;
        }
        let first = random() as usize % others;
        let looked_at =
            (0..others.min(COLLEAGUES_LOOKED_AT)).map(|at| (self.own + 1 + (first + at) % others) % self.seats.len());
        let (load, lightest) =
            looked_at.map(|at| (self.seats[at].carries(), &self.seats[at])).min_by_key(|(load, _)| *load)?;
        let room = (load / HANDED_OVER_SHARE).max(HANDED_OVER_FROM - 1);
        (own > load + room).then_some(lightest)
    }

    /// A newcomer of ours is here: it is on its way until this is dropped, when it has been let in or turned away.
    pub fn arriving(&self) -> Arriving<'_> {
        Arriving(self.seats.get(self.own))
    }

    /// Whether newcomers of ours are on their way.
    pub fn are_coming(&self) -> bool {
        self.seats.get(self.own).is_some_and(|seat| seat.coming.load(Relaxed) > 0)
    }
}

/// See `Colleagues::arriving`.
pub struct Arriving<'a>(Option<&'a Seat>);

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.0 {
            seat.coming.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::metrics::{Metrics, Setup, add};

    use super::*;

    fn crew(loads: &[u64]) -> (Arc<[Seat]>, Vec<Receiver<Newcomer>>) {
        let metrics = Metrics::new(Setup { workers: loads.len(), refusals: &[], faults: &[], version: "0" });
        let seat = |(at, load): (usize, &u64)| {
            add(&metrics.worker(at).connections_open, *load);
            Seat::new(metrics.worker(at))
        };
        let (seats, receivers): (Vec<_>, Vec<_>) = loads.iter().enumerate().map(seat).unzip();
        (seats.into(), receivers)
    }

    /// The number of whoever takes the next connection of the first worker.
    fn taker(loads: &[u64], random: u64) -> Option<usize> {
        let (seats, _receivers) = crew(loads);
        let lighter = Colleagues::new(seats.clone(), 0).lighter(|| random).map(std::ptr::from_ref);
        lighter.map(|found| seats.iter().position(|seat| std::ptr::eq(seat, found)).expect("one of them"))
    }

    #[test]
    fn who_carries_clearly_fewer_takes_the_next_one() {
        for (loads, expected) in [
            (&[0, 0][..], None),
            (&[1, 0], None),
            (&[2, 0], Some(1)),
            (&[3, 2], None),
            (&[32, 32], None),
            (&[34, 31], None),
            (&[35, 31], Some(1)),
            (&[1100, 1000], None),
            (&[1126, 1000], Some(1)),
            (&[9, 5, 3, 4], Some(2)),
            (&[9], None),
        ] {
            for random in 0..4 {
                assert_eq!(taker(loads, random), expected, "{loads:?}");
            }
        }
    }

    #[test]
    fn of_many_a_few_are_looked_at_and_never_oneself() {
        let loads: Vec<u64> = std::iter::once(50).chain(std::iter::repeat_n(1, 63)).collect();
        let found: std::collections::BTreeSet<_> = (0..63).map(|random| taker(&loads, random)).collect();
        assert_eq!(found.len(), 63);
        assert!(!found.contains(&None) && !found.contains(&Some(0)));
    }

    #[test]
    fn those_on_their_way_count() {
        let (seats, receivers) = crew(&[4, 0]);
        let (one, two) = (Colleagues::new(seats.clone(), 0), Colleagues::new(seats.clone(), 1));
        for _ in 0..3 {
            let seat = one.lighter(|| 0).expect("it is lighter");
            seat.hand_over(Newcomer {
                door: 1,
                fd: std::net::TcpListener::bind("127.0.0.1:0").expect("a port").into(),
            });
        }
        assert!(two.are_coming() && one.lighter(|| 0).is_none(), "three are on their way, and one may be more");
        (0..3).for_each(|_| drop(two.arriving()));
        assert!(!two.are_coming());
        drop(receivers);
    }
}
