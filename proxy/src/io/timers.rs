//! A two-level timer wheel: 8 ms ticks for the next two seconds, about one second beyond.
//!
//! Deadlines are lazy: a socket stores its deadline and the wheel holds at most one entry for it; moving a deadline
//! later is one store, and the entry that comes up early is put in again. So a busy connection costs no timer work.

use std::time::Duration;

use super::limits::TICK_MS;

/// Ticks since the shard began; 0 means "none".
pub(super) type Tick = u64;

const FINE: u64 = 256;
const COARSE: u64 = 256;
const TICKS_PER_COARSE: u64 = 128;

/// Room that every bucket has from the beginning: otherwise a quiet worker would ask for memory a little at a time, for seconds.
const BUCKET_ENTRIES: usize = 8;

/// Further away than this is "never" (278 years); keeps sums of ticks far from an overflow.
const TICKS_MAX: Tick = 1 << 40;

/// The first tick that begins no earlier than this time after the shard's beginning; never 0.
pub(super) fn tick_after(time: Duration) -> Tick {
    // In 64 bits: this runs several times per request, and a division of 128 bits is a function call.
    let whole = time.as_secs().saturating_mul(1000 / TICK_MS);
    whole.saturating_add(u64::from(time.subsec_nanos()).div_ceil(TICK_MS * 1_000_000)).clamp(1, TICKS_MAX)
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    at: Tick,
}

/// The wheel; keys are opaque to it.
pub(super) struct Wheel {
    now: Tick,
    count: usize,
    /// No bucket before this tick holds anything.
    soonest: Tick,
    fine: Vec<Vec<Entry>>,
    coarse: Vec<Vec<Entry>>,
    spare: Vec<Entry>,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel {
            now: 0,
            count: 0,
            soonest: Tick::MAX,
            fine: (0..FINE).map(|_| Vec::with_capacity(BUCKET_ENTRIES)).collect(),
            coarse: (0..COARSE).map(|_| Vec::with_capacity(BUCKET_ENTRIES)).collect(),
            spare: Vec::with_capacity(BUCKET_ENTRIES),
        }
    }

    /// Puts a key in; it comes up at the first `advance` that reaches `at`. An `at` in the past comes up next.
    pub(super) fn insert(&mut self, key: u64, at: Tick) {
        self.count += 1;
        let at = at.max(self.now + 1);
        if at - self.now < FINE {
            self.soonest = self.soonest.min(at);
            self.fine[(at % FINE) as usize].push(Entry { key, at });
            return;
        }
        // The last bucket of a turn holds everything further away; it is looked at again when it comes up.
        let bucket = (at / TICKS_PER_COARSE).min(self.now / TICKS_PER_COARSE + COARSE - 1);
        self.soonest = self.soonest.min(bucket * TICKS_PER_COARSE);
        self.coarse[(bucket % COARSE) as usize].push(Entry { key, at });
    }

    /// Moves time to `now` and appends the keys that came up, each once.
    pub(super) fn advance(&mut self, now: Tick, due: &mut Vec<u64>) {
        if now < self.soonest {
            self.now = self.now.max(now);
            return;
        }
        while self.now < now {
            self.now += 1;
            if self.now.is_multiple_of(TICKS_PER_COARSE) {
                self.cascade();
            }
            let bucket = &mut self.fine[(self.now % FINE) as usize];
            self.count -= bucket.len();
            due.extend(bucket.drain(..).map(|entry| entry.key));
            if self.count == 0 {
                self.now = now;
            }
        }
        self.soonest = self.look_for_soonest();
    }

    /// The next tick at which a bucket has to be looked at; `None` when the wheel is empty.
    pub(super) fn next(&self) -> Option<Tick> {
        (self.count > 0).then_some(self.soonest)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn cascade(&mut self) {
        let bucket = ((self.now / TICKS_PER_COARSE) % COARSE) as usize;
        let mut entries = std::mem::replace(&mut self.coarse[bucket], std::mem::take(&mut self.spare));
        self.count -= entries.len();
        for entry in entries.drain(..) {
            if entry.at <= self.now {
                self.count += 1;
                self.fine[(self.now % FINE) as usize].push(entry);
            } else {
                self.insert(entry.key, entry.at);
            }
        }
        self.spare = entries;
    }

    fn look_for_soonest(&self) -> Tick {
        if self.count == 0 {
            return Tick::MAX;
        }
        let fine = (1..FINE).map(|ahead| self.now + ahead).find(|at| !self.fine[(at % FINE) as usize].is_empty());
        let first = self.now / TICKS_PER_COARSE + 1;
        let coarse = (first..first + COARSE)
            .find(|bucket| !self.coarse[(bucket % COARSE) as usize].is_empty())
            .map(|bucket| bucket * TICKS_PER_COARSE);
        fine.unwrap_or(Tick::MAX).min(coarse.unwrap_or(Tick::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn advance(wheel: &mut Wheel, now: Tick) -> Vec<u64> {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        due
    }

    #[test]
    fn a_key_comes_up_at_its_tick_and_not_before() {
        for at in [1, 2, 127, 128, 129, 255, 256, 257, 1_000, 32_767, 32_768, 40_000, 100_000] {
            let mut wheel = Wheel::new();
            wheel.insert(7, at);
            assert_eq!(advance(&mut wheel, at - 1), Vec::<u64>::new(), "before {at}");
            assert_eq!(advance(&mut wheel, at), vec![7], "at {at}");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn the_past_comes_up_next() {
        let mut wheel = Wheel::new();
        wheel.insert(1, 50);
        advance(&mut wheel, 50);
        wheel.insert(2, 3);
        assert_eq!(advance(&mut wheel, 51), vec![2]);
    }

    #[test]
    fn a_tick_is_never_before_its_time() {
        for (micros, tick) in [(0, 1), (1, 1), (8_000, 1), (8_001, 2), (16_000, 2), (16_001, 3)] {
            assert_eq!(tick_after(Duration::from_micros(micros)), tick, "{micros}");
        }
        assert_eq!(tick_after(Duration::MAX), TICKS_MAX);
        assert_eq!(tick_after(Duration::from_secs(1 << 61)), TICKS_MAX);
    }

    proptest! {
        /// Against the obvious twin: a sorted map.
        #[test]
        fn behaves_like_a_sorted_map(steps in proptest::collection::vec((0_u64..70_000, 0_u64..3_000), 1..60)) {
            let mut wheel = Wheel::new();
            let mut twin: BTreeMap<Tick, Vec<u64>> = BTreeMap::new();
            let mut now = 0;
            for (key, (delay, step)) in steps.into_iter().enumerate() {
                wheel.insert(key as u64, now + delay);
                twin.entry((now + delay).max(now + 1)).or_default().push(key as u64);
                if let (Some(next), Some((first, _))) = (wheel.next(), twin.first_key_value()) {
                    prop_assert!(next <= *first, "sleeps past a deadline");
                }
                now += step;
                let mut due = advance(&mut wheel, now);
                let later = twin.split_off(&(now + 1));
                let mut expected: Vec<u64> = std::mem::replace(&mut twin, later).into_values().flatten().collect();
                due.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(due, expected);
            }
        }
    }
}
