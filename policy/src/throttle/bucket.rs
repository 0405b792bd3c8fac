//! A token bucket in one number.
//!
//! The number says how far its users have come on a line that rises with time: the line stands at the burst when time begins and
//! rises by the rate; what lies between the number and the line is in the bucket, but never more than the burst. So nothing is
//! rounded from request to request, a bucket that was never used is 0, and one that is full again needs no memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Limit;

/// Parts of a token that are told apart: 2^10. With 10 million tokens a second the line reaches the end of its numbers after 28
/// years, and stays there.
const TOKEN_BITS: u32 = 10;
/// Binary digits of the rate behind its point: a millionth of a token a second has 16 of them, 10 million leave the product with
/// the time below 128 bits.
const RATE_BITS: u32 = 56;
/// Where the line ends: a cost more is still a number.
const LINE_MAX: u64 = u64::MAX / 2;
/// How far the clocks of two workers may be apart: each looks once in a turn of its loop.
const CLOCKS_APART_NANOS: u64 = 10_000_000;

/// A number that threads share. Buckets are made of nothing else, so that a checker of interleavings can take its place.
pub trait Word: Default {
    /// Its value.
    fn load(&self) -> u64;
    /// Sets it.
    fn store(&self, value: u64);
    /// Sets it if it is still `seen`; else what it is. May fail for no reason.
    fn swap_if(&self, seen: u64, value: u64) -> Result<u64, u64>;
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Relaxed)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.store(value, Relaxed);
    }

    #[inline]
    fn swap_if(&self, seen: u64, value: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(seen, value, Relaxed, Relaxed)
    }
}

/// How long it takes until what was asked for is there, in nanoseconds; [`Wait::NEVER`]: nobody passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub u64);

impl Wait {
    /// It will never be there.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whole seconds, at least one; `None`: never.
    pub const fn seconds(self) -> Option<u64> {
        match self.0 {
            u64::MAX => None,
            nanos if nanos < 1_000_000_000 => Some(1),
            nanos => Some(nanos.div_ceil(1_000_000_000)),
        }
    }
}

/// A [`Limit`] for calculating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Parts of tokens per nanosecond, in parts of 2^56.
    per_nano: u64,
    /// Parts of tokens; 0: nobody passes.
    burst: u64,
    /// What may be lacking. A worker whose clock is behind sees less in the bucket than there is: it may take what is there 10 ms
    /// later, but never as much as another token.
    slack: u64,
}

impl From<Limit> for Flow {
    fn from(limit: Limit) -> Self {
        if limit.blocks_all() {
            return Self { per_nano: 0, burst: 0, slack: 0 };
        }
        let per_second = (u128::from(limit.rate_micros) << (TOKEN_BITS + RATE_BITS)) / 1_000_000;
        let per_nano = u64::try_from(per_second / 1_000_000_000).unwrap_or(u64::MAX);
        let of_clocks = risen(per_nano, CLOCKS_APART_NANOS) + 1;
        Self { per_nano, burst: u64::from(limit.burst) << TOKEN_BITS, slack: of_clocks.min(1 << (TOKEN_BITS - 1)) }
    }
}

/// By how much a line rises in so many nanoseconds.
#[inline]
fn risen(per_nano: u64, nanos: u64) -> u64 {
    u64::try_from((u128::from(per_nano) * u128::from(nanos)) >> RATE_BITS).unwrap_or(LINE_MAX)
}

impl Flow {
    /// Where the line stands.
    #[inline]
    fn line(self, now: u64) -> u64 {
        risen(self.per_nano, now).saturating_add(self.burst).min(LINE_MAX)
    }

    /// How long it takes to rise by so much.
    fn time(self, parts: u64) -> Wait {
        if self.per_nano == 0 {
            return Wait::NEVER;
        }
        let nanos = (u128::from(parts) << RATE_BITS).div_ceil(u128::from(self.per_nano));
        // A wait that no clock can count is as good as for ever.
        Wait(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A token bucket, full at first. All of its calls must name the same flow.
#[derive(Debug, Default)]
pub struct Bucket<A: Word = AtomicU64> {
    spent: A,
}

impl<A: Word> Bucket<A> {
    /// A bucket that goes on for one with another limit: what was spent there is spent here.
    pub fn instead_of(old: &Self, before: Flow, flow: Flow, now: u64) -> Self {
        let lacking = before.burst.saturating_sub(old.parts(before, now)).min(flow.burst);
        let bucket = Self::default();
        if lacking > 0 {
            bucket.spent.store(flow.line(now) - flow.burst + lacking);
        }
        bucket
    }

    /// Takes so many tokens, or none and says how long they are to be waited for.
    #[inline]
    pub fn take(&self, flow: Flow, tokens: u32, now: u64) -> Result<(), Wait> {
        let line = flow.line(now);
        let (full, cost) = (line - flow.burst, u64::from(tokens) << TOKEN_BITS);
        let mut seen = self.spent.load();
        loop {
            let after = seen.max(full).saturating_add(cost);
            if after > line + flow.slack {
                return Err(flow.time(after - line - flow.slack));
            }
            match self.spent.swap_if(seen, after) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }

    /// Puts so many tokens back. What does not fit is lost.
    pub fn give_back(&self, tokens: u32) {
        let mut seen = self.spent.load();
        while let Err(other) = self.spent.swap_if(seen, seen.saturating_sub(u64::from(tokens) << TOKEN_BITS)) {
            seen = other;
        }
    }

    /// Becomes as the other one is.
    pub(super) fn copy(&self, other: &Self) {
        self.spent.store(other.spent.load());
    }

    /// Fills it.
    pub(super) fn fill(&self) {
        self.spent.store(0);
    }

    /// Whether it is full, and can be forgotten without loss.
    pub fn is_full(&self, flow: Flow, now: u64) -> bool {
        self.parts(flow, now) >= flow.burst
    }

    /// Whole tokens that are there.
    pub fn left(&self, flow: Flow, now: u64) -> u32 {
        ((self.parts(flow, now) + flow.slack).min(flow.burst) >> TOKEN_BITS) as u32
    }

    /// Parts of tokens that are there.
    pub(super) fn parts(&self, flow: Flow, now: u64) -> u64 {
        flow.line(now).saturating_sub(self.spent.load()).min(flow.burst)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn flow(rate: f64, burst: f64) -> Flow {
        Limit::new(rate, burst).into()
    }

    /// The same slowly, in whole numbers: parts of tokens of 10^-15, so that nothing is ever rounded.
    struct Twin {
        left: i128,
        at: u64,
        limit: Limit,
    }

    impl Twin {
        const TOKEN: i128 = 1_000_000_000_000_000;

        fn new(limit: Limit) -> Self {
            Self { left: i128::from(limit.burst) * Self::TOKEN, at: 0, limit }
        }

        fn at(&mut self, now: u64) -> i128 {
            let more = i128::from(now.saturating_sub(self.at)) * i128::from(self.limit.rate_micros);
            self.at = self.at.max(now);
            self.left = (self.left + more).min(i128::from(self.limit.burst) * Self::TOKEN);
            self.left
        }
    }

    fn limits() -> impl Strategy<Value = Limit> {
        let rate = prop_oneof![1..=1_000_u64, 1_000..=1_000_000_000_u64, 1_000_000_000..=10_000_000_000_000_u64];
        (rate, prop_oneof![1..=3_u32, 1..=10_000_000_u32]).prop_map(|(rate_micros, burst)| Limit { rate_micros, burst })
    }

    /// Steps of time of all sizes.
    fn steps() -> impl Strategy<Value = Vec<(u64, u32)>> {
        let step = prop_oneof![Just(0_u64), 1..1_000_u64, 1_000..2_000_000_u64, 1..SECOND, SECOND..10_000 * SECOND];
        prop::collection::vec((step, prop_oneof![Just(1_u32), 1..5_u32, 1..100_000_u32]), 1..200)
    }

    proptest! {
        #[test]
        fn it_does_as_its_slow_twin(limit in limits(), steps in steps()) {
            let (bucket, flow) = (Bucket::<AtomicU64>::default(), Flow::from(limit));
            let mut twin = Twin::new(limit);
            let mut now = 0;
            for (step, tokens) in steps {
                now += step;
                let (left, cost) = (twin.at(now), i128::from(tokens) * Twin::TOKEN);
                // Half a token of slack, a part of a token where the line is cut, and the rate's last digit.
                let wrong = i128::from(now) * i128::from(limit.rate_micros) / (1 << 14) + Twin::TOKEN / 512;
                match bucket.take(flow, tokens, now) {
                    Ok(()) => {
                        prop_assert!(left + Twin::TOKEN / 2 + wrong >= cost, "{left} for {cost}");
                        twin.left -= cost;
                    }
                    Err(wait) => {
                        prop_assert!(left < cost + wrong, "{left} for {cost}");
                        let after = now.saturating_add(wait.0);
                        if tokens <= limit.burst && after < 1 << 55 {
                            let before = Bucket::<AtomicU64> { spent: AtomicU64::new(bucket.spent.load(Relaxed)) };
                            prop_assert!(before.take(flow, tokens, after).is_ok(), "{wait:?} is long enough");
                        }
                    }
                }
                prop_assert!(i128::from(bucket.left(flow, now)) * Twin::TOKEN <= twin.left.max(0) + Twin::TOKEN / 2 + wrong);
            }
        }

        /// Whatever the clock does, no more passes than its furthest moment allows.
        #[test]
        fn a_clock_that_goes_backwards_gives_nothing_away(
            limit in limits(),
            times in prop::collection::vec(prop_oneof![0..SECOND, 0..u64::MAX], 1..200),
        ) {
            let (bucket, flow) = (Bucket::<AtomicU64>::default(), Flow::from(limit));
            let mut passed = 0_u128;
            let mut furthest = 0;
            for now in times {
                furthest = furthest.max(now);
                passed += u128::from(bucket.take(flow, 1, now).is_ok());
                let most = u128::from(limit.burst) + u128::from(furthest) * u128::from(limit.rate_micros) / 1_000_000_000_000_000;
                prop_assert!(passed <= most + 1);
            }
        }

        #[test]
        fn no_numbers_are_too_large(rate in any::<u64>(), burst in any::<u32>(), tokens in any::<u32>(), now in any::<u64>()) {
            let limit = Limit { rate_micros: rate.min(10_000_000_000_000), burst: burst.min(10_000_000) };
            let (bucket, flow) = (Bucket::<AtomicU64>::default(), Flow::from(limit));
            let _ = bucket.take(flow, tokens, now);
            bucket.give_back(tokens);
            let _ = bucket.take(flow, tokens, u64::MAX - now);
            prop_assert!(bucket.left(flow, now) <= limit.burst);
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (bucket, flow) = (Bucket::<AtomicU64>::default(), flow(10.0, 5.0));
        let pass = |now| (0..100).filter(|_| bucket.take(flow, 1, now).is_ok()).count();
        assert_eq!(pass(7 * SECOND), 5, "TH-01: the burst");
        assert_eq!(bucket.take(flow, 1, 7 * SECOND).unwrap_err().seconds(), Some(1));
        assert_eq!(pass(7 * SECOND + SECOND / 10), 1);
        assert_eq!(pass(8 * SECOND), 5, "nine tenths of a second bring nine, of which five fit");
        assert_eq!(pass(3_600 * SECOND), 5, "never more than the burst");
    }

    #[test]
    fn nothing_passes_where_rate_or_burst_is_0() {
        for flow in [flow(0.0, 5.0), flow(5.0, 0.0), flow(0.0, 0.0)] {
            let bucket = Bucket::<AtomicU64>::default();
            for now in [0, 1, SECOND, u64::MAX] {
                assert_eq!(bucket.take(flow, 1, now), Err(Wait::NEVER), "TH-01");
            }
            assert_eq!((bucket.left(flow, SECOND), Wait::NEVER.seconds()), (0, None));
        }
    }

    #[test]
    fn the_last_token_is_there_for_a_clock_that_is_behind() {
        let (bucket, flow) = (Bucket::<AtomicU64>::default(), flow(0.001, 3.0));
        let passed = [9, 9, 8, 8, 9].map(|millis| bucket.take(flow, 1, 5_000 * SECOND + millis * 1_000_000).is_ok());
        assert_eq!(passed, [true, true, true, false, false]);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (bucket, flow) = (Bucket::<AtomicU64>::default(), flow(0.001, 3.0));
        bucket.give_back(7);
        assert_eq!(bucket.left(flow, SECOND), 3, "a full bucket stays full");
        assert!(bucket.take(flow, 3, SECOND).is_ok());
        bucket.give_back(2);
        assert_eq!(bucket.left(flow, SECOND), 2);
        assert!(bucket.take(flow, 3, SECOND).is_err() && bucket.take(flow, 2, SECOND).is_ok());
        bucket.give_back(50);
        assert_eq!(bucket.left(flow, SECOND), 3);
    }

    #[test]
    fn another_limit_keeps_what_was_spent() {
        let now = 1_000 * SECOND;
        // (burst before, taken, burst after, left)
        for (before, taken, after, left) in [
            (10, 4, 20, 16),
            (10, 10, 20, 10),
            (20, 4, 10, 6),
            (20, 15, 10, 0),
            (10, 0, 5, 5),
            (10, 0, 50, 50),
            (10, 3, 0, 0),
        ] {
            let old = Bucket::<AtomicU64>::default();
            let (was, is) = (flow(0.001, f64::from(before)), flow(0.002, f64::from(after)));
            assert!(taken == 0 || old.take(was, taken, now).is_ok());
            let new = Bucket::instead_of(&old, was, is, now);
            assert_eq!(new.left(is, now), left, "{before} {taken} {after}");
        }
    }
}
