//! How many connections each client address has, over all workers, without a lock.
//!
//! Two rows of counters, each address with a place in either by a keyed hash: the smaller of its two counts is an upper bound
//! of its connections. So a limit is never exceeded, and it refuses early only where the connections of others fill both
//! places. With 16,384 places and 100,000 connections of as many other addresses, a place holds six of them on average, and a
//! limit of 20 is reached by them alone in both rows with a probability of less than one in a billion.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::limits::CALLER_PLACES;

/// Whom connections are counted for: an IPv4 address, the upper half of an IPv6 address; nobody behind a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(u64);

impl Caller {
    /// Who is at the other end.
    pub fn of(peer: Option<SocketAddr>) -> Caller {
        /// Marks IPv4; no network begins with it (RFC 4291 reserves `0000::/8`).
        const V4: u64 = 1 << 40;
        Caller(match peer.map(|peer| peer.ip().to_canonical()) {
            None => 0,
            Some(IpAddr::V4(ip)) => V4 | u64::from(ip.to_bits()),
            // `::1` has an empty upper half.
            Some(IpAddr::V6(ip)) => ((ip.to_bits() >> 64) as u64).max(1),
        })
    }
}

/// The counters of the process.
pub struct Callers {
    rows: [Box<[AtomicU32]>; 2],
    key: RandomState,
}

impl Default for Callers {
    fn default() -> Callers {
        let row = || (0..CALLER_PLACES).map(|_| AtomicU32::new(0)).collect();
        Callers { rows: [row(), row()], key: RandomState::new() }
    }
}

impl Callers {
    fn places(&self, caller: Caller) -> [&AtomicU32; 2] {
        let hash = self.key.hash_one(caller.0) as usize;
        [&self.rows[0][hash % CALLER_PLACES], &self.rows[1][(hash >> 32) % CALLER_PLACES]]
    }

    /// One connection more, unless there are `most` already; 0: no limit.
    pub fn enter(&self, caller: Caller, most: u32) -> bool {
        if caller.0 == 0 {
            return true;
        }
        let before = self.places(caller).map(|place| place.fetch_add(1, Relaxed));
        let fits = most == 0 || before[0].min(before[1]) < most;
        if !fits {
            self.leave(caller);
        }
        fits
    }

    /// One less.
    pub fn leave(&self, caller: Caller) {
        if caller.0 != 0 {
            for place in self.places(caller) {
                place.fetch_sub(1, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn caller(ip: &str) -> Caller {
        Caller::of(Some(SocketAddr::new(ip.parse().expect("an address"), 1)))
    }

    #[test]
    fn an_address_is_32_bits_or_64() {
        assert_eq!(caller("10.0.0.1"), caller("::ffff:10.0.0.1"));
        assert_ne!(caller("10.0.0.1"), caller("10.0.0.2"));
        assert_eq!(caller("2001:db8:1:2::1"), caller("2001:db8:1:2:ffff::7"));
        assert_ne!(caller("2001:db8:1:2::1"), caller("2001:db8:1:3::1"));
        assert_ne!(caller("::1"), Caller::of(None));
        assert_ne!(caller("0.0.0.0"), Caller::of(None));
    }

    #[test]
    fn the_limit_holds_over_all_threads_and_room_is_given_back() {
        let callers = Arc::new(Callers::default());
        for _ in 0..3 {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let callers = callers.clone();
                    thread::spawn(move || (0..1_000).filter(|_| callers.enter(caller("192.0.2.1"), 50)).count())
                })
                .collect();
            let let_in: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
            // Whoever is refused stands in the row for a moment: a limit is never exceeded, and may be missed by as many as
            // ask at the same time.
            assert!((47..=50).contains(&let_in), "{let_in}");
            (0..let_in).for_each(|_| callers.leave(caller("192.0.2.1")));
        }
        assert!(callers.rows.iter().flatten().all(|place| place.load(Relaxed) == 0));
    }

    #[test]
    fn others_do_not_count() {
        let callers = Callers::default();
        for number in 0..20_000_u32 {
            let ip = std::net::Ipv4Addr::from_bits(0x0A00_0000 | number);
            assert!(callers.enter(Caller::of(Some(SocketAddr::new(ip.into(), 1))), 20), "{number}");
        }
        assert!((0..100).all(|_| callers.enter(Caller::of(None), 1)), "a unix socket has no addresses");
        assert!((0..100).all(|_| callers.enter(caller("198.51.100.7"), 0)), "0 is no limit");
        assert!(!callers.enter(caller("198.51.100.7"), 100));
    }
}
