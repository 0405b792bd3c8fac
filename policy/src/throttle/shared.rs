//! A bucket of all workers, of which each takes some tokens ahead, so that its requests write to memory of its own.
//!
//! With W workers and a burst of B, a worker leases L = floor(B / (100·W)) tokens at a time. Leased tokens have left the bucket: let
//! `b` be in the bucket, `o` out on leases and `t` in a bucket from which only requests that passed were taken. Then `t ≤ b + o`: a
//! lease moves tokens from `b` to `o`, a pass takes one from `o` and from `t`, time fills `b` at least as far as `t`, and a lease that
//! goes back either fits or finds `b` full. So who is refused, with `b < 1` and no lease of its own, is refused with `t < 1 + o` where
//! o ≤ (W-1)·L; and in any span of time no more passes than leaves the bucket in it, with the W·L that were out before. Both are at
//! most one per cent of the burst. With L < 1 each request takes its token from the bucket, exactly.
//!
//! A lease that its worker does not use goes back when another worker wants it: after 10 ms, whoever finds the bucket empty takes it.

use std::sync::atomic::AtomicU64;

use super::bucket::{Bucket, Flow, Wait, Word};
use super::{Limit, Told};

/// After this time an unused lease goes back: long for a worker with many requests, and too short to be missed.
pub const LEASE_NANOS: u64 = 10_000_000;
/// Leases divide one per cent of the burst.
pub(super) const LEASED_SHARE: u32 = 100;
/// Binary digits of a lease's tokens; the rest is the time, in steps of [`STEP_BITS`] of nanoseconds, for 36 years.
const TOKENS_BITS: u32 = 24;
/// A step is 1.05 ms.
pub(super) const STEP_BITS: u32 = 20;

/// A bucket that workers share.
#[derive(Debug)]
pub struct Shared<A: Word = AtomicU64> {
    limit: Limit,
    flow: Flow,
    bucket: Bucket<A>,
    /// Tokens of a lease; 0: there are none.
    lease: u32,
    /// By worker: tokens that are left of its lease, and when it was taken. Its worker alone raises it; whoever finds it old sets it to 0.
    leases: Box<[Line<A>]>,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line<A>(A);

const fn tokens_of(lease: u64) -> u32 {
    (lease & ((1 << TOKENS_BITS) - 1)) as u32
}

const fn lease_of(tokens: u32, now: u64) -> u64 {
    now >> STEP_BITS << TOKENS_BITS | tokens as u64
}

const fn is_old(lease: u64, now: u64) -> bool {
    (now >> STEP_BITS).saturating_sub(lease >> TOKENS_BITS) > LEASE_NANOS >> STEP_BITS
}

impl<A: Word> Shared<A> {
    /// A full bucket for so many workers.
    pub fn new(limit: Limit, workers: usize) -> Self {
        Self::with(limit, Bucket::default(), workers)
    }

    /// A bucket that goes on for one with another limit: what was spent there is spent here. Leases are as good as spent.
    pub fn instead_of(old: &Self, limit: Limit, workers: usize, now: u64) -> Self {
        Self::with(limit, Bucket::instead_of(&old.bucket, old.flow, limit.into(), now), workers)
    }

    fn with(limit: Limit, bucket: Bucket<A>, workers: usize) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        let lease = if limit.blocks_all() { 0 } else { limit.burst / LEASED_SHARE / workers };
        let lines = if lease == 0 { 0 } else { workers };
        Self { limit, flow: limit.into(), bucket, lease, leases: (0..lines).map(|_| Line::default()).collect() }
    }

    /// What may pass.
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// Takes one token for a request of this worker, or says how long it is to be waited for.
    #[inline]
    pub fn take(&self, worker: usize, now: u64) -> Result<(), Wait> {
        let Some(Line(own)) = self.leases.get(worker) else {
            return self.bucket.take(self.flow, 1, now);
        };
        let mut seen = own.load();
        while tokens_of(seen) > 0 {
            match own.swap_if(seen, seen - 1) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
        self.lease(own, now)
    }

    /// The worker has nothing left.
    fn lease(&self, own: &A, now: u64) -> Result<(), Wait> {
        if self.lease > 1 && self.bucket.take(self.flow, self.lease, now).is_ok() {
            // Nobody else writes to a lease without tokens.
            own.store(lease_of(self.lease - 1, now));
            return Ok(());
        }
        self.bucket.take(self.flow, 1, now).or_else(|wait| if self.reclaim(now) { Ok(()) } else { Err(wait) })
    }

    /// Takes an old lease, one token of it for the caller; whether there was one.
    fn reclaim(&self, now: u64) -> bool {
        for Line(lease) in &self.leases {
            let mut seen = lease.load();
            while tokens_of(seen) > 0 && is_old(seen, now) {
                match lease.swap_if(seen, 0) {
                    Ok(_) => {
                        self.bucket.give_back(tokens_of(seen) - 1);
                        return true;
                    }
                    Err(other) => seen = other,
                }
            }
        }
        false
    }

    /// A request that took a token was refused for another reason.
    pub fn give_back(&self) {
        self.bucket.give_back(1);
    }

    /// Whole tokens that are there, those of leases included.
    pub fn left(&self, now: u64) -> u32 {
        let leased: u32 = self.leases.iter().map(|Line(lease)| tokens_of(lease.load())).sum();
        (self.bucket.left(self.flow, now) + leased).min(self.limit.burst)
    }

    /// What a client is told of it.
    pub fn told<'a>(&self, name: &'a str, now: u64) -> Told<'a> {
        Told { name, limit: self.limit, left: self.left(now) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: u64 = 1_000_000;

    /// Tokens as a bucket without leases would hold them, in parts of 10^-15.
    struct Twin {
        left: i128,
        at: u64,
    }

    const TOKEN: i128 = 1_000_000_000_000_000;

    impl Twin {
        fn at(&mut self, limit: Limit, now: u64) -> i128 {
            self.left += i128::from(now - self.at) * i128::from(limit.rate_micros);
            self.left = self.left.min(i128::from(limit.burst) * TOKEN);
            self.at = now;
            self.left
        }
    }

    proptest! {
        /// However requests are spread, at most one per cent of the burst is over or under, in any span of time.
        #[test]
        fn the_bound_holds(
            workers in 1..9_usize,
            rate in prop_oneof![1..1_000_000_u64, 1_000_000..100_000_000_000_u64],
            burst in prop_oneof![1..50_u32, 100..20_000_u32],
            crowds in prop::collection::vec((0..8_usize, 1..3_000_u32, prop_oneof![Just(0), 0..30 * MILLI, 0..3_000 * MILLI]), 1..60),
        ) {
            let limit = Limit { rate_micros: rate, burst };
            let shared = Shared::<AtomicU64>::new(limit, workers);
            let leased = i128::from(burst / 100 / workers as u32) * workers as i128;
            prop_assert!(leased <= i128::from(burst / 100));
            let mut twin = Twin { left: i128::from(burst) * TOKEN, at: 0 };
            let mut passes: Vec<(u64, i128)> = Vec::new();
            let mut now = 0;
            for (worker, requests, pause) in crowds {
                now += pause;
                let mut passed = 0;
                for _ in 0..requests {
                    let left = twin.at(limit, now);
                    match shared.take(worker % workers, now) {
                        Ok(()) => { passed += 1; twin.left -= TOKEN; }
                        Err(_) => prop_assert!(left < TOKEN + leased * TOKEN + TOKEN / 64, "{left} were left"),
                    }
                }
                passes.push((now, passed));
            }
            for (from, (start, _)) in passes.iter().enumerate() {
                let mut sum = 0;
                for (end, passed) in &passes[from..] {
                    sum += passed;
                    let most = i128::from(burst) * TOKEN + i128::from(end - start) * i128::from(rate);
                    prop_assert!(sum * TOKEN <= most + leased * TOKEN + TOKEN, "{sum} in {} ns", end - start);
                }
            }
        }

        /// Where nothing is leased, the count is exact however many workers take part.
        #[test]
        fn small_bursts_are_exact(workers in 2..64_usize, burst in 1..200_u32) {
            prop_assume!(burst < 100 * workers as u32);
            let shared = Shared::<AtomicU64>::new(Limit { rate_micros: 1_000, burst }, workers);
            let passed = (0..2 * burst as usize).filter(|at| shared.take(at % workers, 5 * MILLI).is_ok()).count();
            prop_assert_eq!(passed, burst as usize);
        }
    }

    #[test]
    fn an_unused_lease_goes_back_after_10_ms() {
        let shared = Shared::<AtomicU64>::new(Limit::new(0.001, 1_000.0), 2);
        let pass = |worker, now| (0..2_000).filter(|_| shared.take(worker, now * MILLI).is_ok()).count();
        assert!(shared.take(0, 0).is_ok());
        assert_eq!(pass(1, 5), 1_000 - 5, "five are out on the other's lease");
        assert_eq!(shared.left(5 * MILLI), 4);
        assert_eq!(pass(1, 9), 0);
        assert_eq!(pass(1, 12), 4);
        assert_eq!(pass(0, 13), 0, "its lease is gone");
    }

    #[test]
    fn threads_pass_no_more_than_there_is() {
        let shared = Shared::<AtomicU64>::new(Limit::new(0.001, 10_000.0), 4);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|worker| {
                    let shared = &shared;
                    scope.spawn(move || (0..5_000).filter(|_| shared.take(worker, 3 * MILLI).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert!((9_900..=10_000).contains(&passed), "{passed}");
        let rest = (0..200).filter(|_| shared.take(0, 100 * MILLI).is_ok()).count();
        assert_eq!(passed + rest, 10_000);
    }

    #[test]
    fn another_limit_keeps_what_was_spent() {
        let old = Shared::<AtomicU64>::new(Limit::new(0.001, 10.0), 2);
        (0..4).for_each(|_| assert!(old.take(1, MILLI).is_ok()));
        let new = Shared::instead_of(&old, Limit::new(0.001, 20.0), 2, MILLI);
        assert_eq!((new.left(MILLI), new.limit().burst), (16, 20));
        new.give_back();
        assert_eq!(new.left(MILLI), 17);
    }
}
