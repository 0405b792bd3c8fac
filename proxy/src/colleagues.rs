//! The workers of a process as they see one another: a newcomer goes to one that carries clearly fewer connections.
//!
//! The kernel spreads connections over the workers' listeners by a hash, evenly only in the long run: of 64 connections one of two
//! workers often has 40, and who keeps its connection stays where it is. Nothing here is touched by a request.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::io::{Receiver, Sender, channel};
use crate::limits::{COLLEAGUES_LOOKED_AT, HANDED_OVER_FROM, HANDED_OVER_SHARE, NEWCOMERS_WAITING_MAX};
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
    /// The number after that of the newest door that it knows. Doors are opened in the order of their numbers.
    doors: AtomicU64,
}

impl Seat {
    /// A worker's place, and the end that the worker reads.
    pub fn new(metrics: Arc<WorkerMetrics>) -> (Seat, Receiver<Newcomer>) {
        let (newcomers, receiver) = channel();
        (Seat { metrics, newcomers, coming: AtomicU32::new(0), doors: AtomicU64::new(0) }, receiver)
    }

    /// Connections that it has, and those that will be there at once.
    fn carries(&self) -> u64 {
        let open = self.metrics.connections_open.load(Relaxed);
        open.saturating_add(self.coming.load(Relaxed).into())
    }

    /// Whether it would let somebody in at once who came by this door.
    fn is_free(&self, door: u64) -> bool {
        self.coming.load(Relaxed) < NEWCOMERS_WAITING_MAX && self.doors.load(Relaxed) > door
    }

    /// Sends it a connection, or gives it back if it is leaving.
    pub fn hand_over(&self, newcomer: Newcomer) -> Result<(), Newcomer> {
        self.coming.fetch_add(1, Relaxed);
        self.newcomers.offer(newcomer).inspect_err(|_| {
            self.coming.fetch_sub(1, Relaxed);
        })
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

    /// Who should take the next connection of a door in our place: the lightest of a few, from a place chosen by `random` on.
    /// `None`: we.
    pub fn lighter(&self, door: u64, random: impl FnOnce() -> u64) -> Option<&Seat> {
        let own = self.seats.get(self.own)?.carries();
        let others = self.seats.len() - 1;
        if own < HANDED_OVER_FROM || others == 0 {
            return None;
        }
        let first = random() as usize % others;
        let looked_at =
            (0..others.min(COLLEAGUES_LOOKED_AT)).map(|at| (self.own + 1 + (first + at) % others) % self.seats.len());
        let free = looked_at.map(|at| &self.seats[at]).filter(|seat| seat.is_free(door));
        let (load, lightest) = free.map(|seat| (seat.carries(), seat)).min_by_key(|(load, _)| *load)?;
        let room = (load / HANDED_OVER_SHARE).max(HANDED_OVER_FROM - 1);
        (own > load + room).then_some(lightest)
    }

    /// We let people in by this door from now on.
    pub fn opened(&self, door: u64) {
        if let Some(seat) = self.seats.get(self.own) {
            seat.doors.fetch_max(door + 1, Relaxed);
        }
    }

    /// We take nobody any more who is not on the way already.
    pub fn leave(&self) {
        if let Some(seat) = self.seats.get(self.own) {
            seat.newcomers.close();
        }
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
        let seats: Arc<[Seat]> = seats.into();
        (0..loads.len()).for_each(|own| Colleagues::new(seats.clone(), own).opened(1));
        (seats, receivers)
    }

    fn newcomer() -> Newcomer {
        Newcomer { door: 1, fd: std::net::TcpListener::bind("127.0.0.1:0").expect("a port").into() }
    }

    /// The number of whoever takes the next connection of the first worker.
    fn taker(loads: &[u64], random: u64) -> Option<usize> {
        let (seats, _receivers) = crew(loads);
        let lighter = Colleagues::new(seats.clone(), 0).lighter(1, || random).map(std::ptr::from_ref);
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
            let seat = one.lighter(1, || 0).expect("it is lighter");
            assert!(seat.hand_over(newcomer()).is_ok());
        }
        assert!(two.are_coming() && one.lighter(1, || 0).is_none(), "three are on their way, and one may be more");
        (0..3).for_each(|_| drop(two.arriving()));
        assert!(!two.are_coming());
        drop(receivers);
    }

    #[test]
    fn who_does_not_know_the_door_or_leaves_or_lets_nobody_in_takes_nobody() {
        let (seats, receivers) = crew(&[100, 0]);
        let (one, two) = (Colleagues::new(seats.clone(), 0), Colleagues::new(seats.clone(), 1));
        assert!(one.lighter(2, || 0).is_none(), "a door that only we know");
        two.opened(2);
        assert!([1, 2].iter().all(|door| one.lighter(*door, || 0).is_some()));
        let seat = one.lighter(2, || 0).expect("it is lighter");
        (0..NEWCOMERS_WAITING_MAX).for_each(|_| assert!(seat.hand_over(newcomer()).is_ok()));
        assert!(one.lighter(2, || 0).is_none(), "it hangs");
        drop(two.arriving());
        two.leave();
        let seat = one.lighter(2, || 0).expect("nobody has looked yet");
        assert_eq!(seat.hand_over(newcomer()).map_err(|back| back.door), Err(1));
        assert_eq!(seat.coming.load(Relaxed), NEWCOMERS_WAITING_MAX - 1, "who was on the way is let in");
        drop(receivers);
    }
}
