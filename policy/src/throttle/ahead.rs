//! What workers have taken ahead from the buckets of a table, so that a busy client's requests write to memory of their worker.
//!
//! It is as [`super::Shared`] has it, lease for lease and bound for bound, but for clients that come and go: each worker has a few
//! places, a client has one of them by its hash, and leases only with its second request within the time of a lease. Who comes less
//! often takes its tokens from the bucket, exactly; so does who finds its place taken by somebody as busy.

use std::sync::OnceLock;

use super::bucket::Word;
use super::shared::{LEASE_NANOS, LEASED_SHARE, STEP_BITS};

/// Places of a worker: 4 KiB, made when the first client comes.
const PLACES: usize = 256;
/// Places of a cache line.
const LINE: usize = 4;

/// Binary digits of a lease's tokens: of 10 million at once, no worker leases more than 100,000.
const TOKENS_BITS: u32 = 17;
/// Those of its time, in steps of [`STEP_BITS`] of nanoseconds; they come round in five hours. The rest are the client's.
const TIME_BITS: u32 = 24;
const TOKENS: u64 = (1 << TOKENS_BITS) - 1;
const TIMES: u64 = (1 << TIME_BITS) - 1;

/// Places of all workers, for one table.
#[derive(Debug)]
pub(super) struct Ahead<A: Word> {
    /// Tokens of a lease; 0: there are none.
    pub(super) lease: u32,
    workers: Box<[OnceLock<Places<A>>]>,
}

type Places<A> = Box<[Line<A>]>;

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line<A: Word>([Held<A>; LINE]);

/// One place of a worker.
#[derive(Debug, Default)]
pub(super) struct Held<A: Word> {
    /// What is held, for whom and since when. Its worker alone puts tokens there; whoever finds them old takes them.
    lease: A,
    /// Whose it is. Its worker alone reads and writes it.
    client: A,
}

/// What a place said when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease(u64);

impl Lease {
    const fn new(client: u64, tokens: u32, now: u64) -> Self {
        Self(
            client >> (TOKENS_BITS + TIME_BITS) << (TOKENS_BITS + TIME_BITS)
                | Self::time(now) << TOKENS_BITS
                | tokens as u64,
        )
    }

    const fn time(now: u64) -> u64 {
        now >> STEP_BITS & TIMES
    }

    const fn tokens(self) -> u32 {
        (self.0 & TOKENS) as u32
    }

    const fn is_of(self, client: u64) -> bool {
        (self.0 ^ client) >> (TOKENS_BITS + TIME_BITS) == 0
    }

    /// The clocks of workers differ: who seems to come from the future does not.
    const fn is_old(self, now: u64) -> bool {
        let age = Self::time(now).wrapping_sub(self.0 >> TOKENS_BITS) & TIMES;
        age > LEASE_NANOS >> STEP_BITS && age <= TIMES / 2
    }
}

impl<A: Word> Ahead<A> {
    /// For a table whose buckets hold so much.
    pub(super) fn new(burst: u32, workers: usize) -> Self {
        let lease = burst / LEASED_SHARE / u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        // One token ahead would save nothing.
        let (lease, workers) = if lease > 1 { (lease, workers) } else { (0, 0) };
        Self { lease, workers: (0..workers).map(|_| OnceLock::new()).collect() }
    }

    /// The client's place with this worker; `None`: nothing is leased.
    #[inline]
    pub(super) fn held(&self, worker: usize, client: u64) -> Option<&Held<A>> {
        let lines = self.workers.get(worker)?.get_or_init(|| (0..PLACES / LINE).map(|_| Line::default()).collect());
        Some(Self::of(lines, client))
    }

    fn of(lines: &[Line<A>], client: u64) -> &Held<A> {
        let at = client as usize % PLACES;
        &lines[at / LINE].0[at % LINE]
    }

    fn all(&self, client: u64) -> impl Iterator<Item = &Held<A>> {
        self.workers.iter().filter_map(OnceLock::get).map(move |lines| Self::of(lines, client))
    }

    /// Tokens of this client that workers hold.
    pub(super) fn tokens(&self, client: u64) -> u32 {
        let leases = self.all(client).map(|held| Lease(held.lease.load()));
        leases.filter(|lease| lease.is_of(client)).map(Lease::tokens).sum()
    }

    /// Takes what a worker holds for this client and has not used for long.
    pub(super) fn reclaim(&self, client: u64, now: u64) -> Option<u32> {
        self.all(client).find_map(|held| held.empty_if(now, |lease| lease.is_of(client)))
    }
}

impl<A: Word> Held<A> {
    /// Takes one token that is held for this client.
    #[inline]
    pub(super) fn take(&self, client: u64) -> bool {
        let mut seen = Lease(self.lease.load());
        while seen.tokens() > 0 && seen.is_of(client) {
            match self.lease.swap_if(seen.0, seen.0 - 1) {
                Ok(_) => return true,
                Err(other) => seen = Lease(other),
            }
        }
        false
    }

    /// Whether this client, which has nothing here, was here a moment ago.
    pub(super) fn knows(&self, client: u64, now: u64) -> bool {
        let seen = Lease(self.lease.load());
        self.client.load() == client && seen.tokens() == 0 && !seen.is_old(now)
    }

    /// Holds so many tokens for the client, whose place it is.
    pub(super) fn keep(&self, client: u64, tokens: u32, now: u64) {
        // Nobody else writes to a place without tokens.
        self.lease.store(Lease::new(client, tokens, now).0);
    }

    /// Gives the place to a client without tokens, unless another one is busy here. What was held and not used goes to `back`.
    pub(super) fn welcome(&self, client: u64, now: u64, back: impl FnOnce(u64, u32)) {
        let last = self.client.load();
        if let Some(tokens) = self.empty_if(now, |_| true) {
            back(last, tokens);
        }
        if Lease(self.lease.load()).tokens() == 0 {
            self.client.store(client);
            self.keep(client, 0, now);
        }
    }

    /// The tokens of an old lease: from now on they are the caller's.
    fn empty_if(&self, now: u64, is_meant: impl Fn(Lease) -> bool) -> Option<u32> {
        let mut seen = Lease(self.lease.load());
        while seen.tokens() > 0 && seen.is_old(now) && is_meant(seen) {
            match self.lease.swap_if(seen.0, seen.0 & !TOKENS) {
                Ok(_) => return Some(seen.tokens()),
                Err(other) => seen = Lease(other),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn a_lease_is_its_clients_and_grows_old_once_in_five_hours() {
        let (client, other) = (0xabcd_ef01_2345_6789, 0x1bcd_ef01_2345_6789);
        for now in [0, 7 * MILLI, 86_400_000 * MILLI, u64::MAX / 4] {
            let lease = Lease::new(client, 100_000, now);
            assert!(lease.is_of(client) && !lease.is_of(other) && lease.tokens() == 100_000);
            for (later, is_old) in [(0, false), (9, false), (12, true), (3_600_000, true), (4 * 3_600_000, false)] {
                assert_eq!(lease.is_old(now + later * MILLI), is_old, "{later}");
            }
            assert!(!lease.is_old(now.saturating_sub(20 * MILLI)), "another worker's clock may be behind");
        }
    }

    #[test]
    fn places_are_made_when_somebody_comes_and_only_where_leases_save_something() {
        let few = Ahead::<AtomicU64>::new(399, 2);
        assert!((few.lease, few.workers.len()) == (0, 0) && few.held(0, 7).is_none());
        let many = Ahead::<AtomicU64>::new(400, 2);
        assert!((many.lease, many.workers.len()) == (2, 2) && many.held(2, 7).is_none() && many.tokens(7) == 0);
        assert!(many.held(1, 7).is_some() && many.workers[0].get().is_none());
    }
}
