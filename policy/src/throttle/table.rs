//! A bucket for each of many clients, in a bounded table that workers share.
//!
//! A client is a hash of 64 bits with a key that nobody outside knows: so nobody can choose who shares a place with whom, no name is
//! kept, and two clients have one bucket with a probability that nobody will see. A place is a tag and a bucket, eight of them make a
//! row. Who is new gets an empty place, or that of a bucket that is full again, which is forgotten without loss; where all eight are
//! in use, that of the fullest: its client may begin anew, and gains what it had used. A worker that is just using the place then
//! takes one token from the wrong bucket.
//!
//! Rows are made in pieces when they are first used: a table for a million clients of whom ten come costs ten pieces.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use super::ahead::{Ahead, Held};
use super::bucket::{Bucket, Flow, Wait, Word};
use super::{Limit, Told};

/// Places of a row: two lines of a processor's cache.
const ROW: usize = 8;
/// Rows of a piece: 16 KiB.
const PIECE: usize = 128;
/// Tries to get a place before its bucket is used for a client that it does not belong to. Each failure is another client's success.
const TRIES: usize = 4;

/// Buckets of many clients with one limit.
#[derive(Debug)]
pub struct Table<A: Word = AtomicU64> {
    limit: Limit,
    flow: Flow,
    pieces: Box<[OnceLock<Piece<A>>]>,
    ahead: Ahead<A>,
}

type Piece<A> = Box<[Row<A>]>;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Row<A: Word>([Place<A>; ROW]);

#[derive(Debug, Default)]
struct Place<A: Word> {
    /// The client; 0: nobody yet.
    tag: A,
    bucket: Bucket<A>,
}

impl<A: Word> Table<A> {
    /// A table that tells so many clients apart, or a few more, for so many workers; at least one row's.
    pub fn new(limit: Limit, clients: usize, workers: usize) -> Self {
        let pieces = (0..pieces_for(clients)).map(|_| OnceLock::new()).collect();
        let burst = if limit.blocks_all() { 0 } else { limit.burst };
        Self { limit, flow: limit.into(), pieces, ahead: Ahead::new(burst, workers) }
    }

    /// A table that goes on for one with another limit or size: what each client has spent there is spent here. Leases are
    /// as good as spent.
    pub fn instead_of(old: &Self, limit: Limit, clients: usize, workers: usize, now: u64) -> Self {
        let new = Self::new(limit, clients, workers);
        for place in old.pieces.iter().filter_map(OnceLock::get).flatten().flat_map(|row| &row.0) {
            let tag = place.tag.load();
            if tag != 0 && !place.bucket.is_full(old.flow, now) {
                let here = new.place(tag, now);
                here.bucket.copy(&Bucket::instead_of(&place.bucket, old.flow, new.flow, now));
            }
        }
        new
    }

    /// What each of them may.
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// Whether it was made for so many clients. The workers of a process stay as many as they are.
    pub fn is_for(&self, clients: usize) -> bool {
        self.pieces.len() == pieces_for(clients)
    }

    /// Takes one token for a request of this client with this worker, or says how long it is to be waited for.
    #[inline]
    pub fn take(&self, client: u64, worker: usize, now: u64) -> Result<(), Wait> {
        let client = tag_of(client);
        let held = self.ahead.held(worker, client);
        if held.is_some_and(|held| held.take(client)) {
            return Ok(());
        }
        self.take_here(client, held, now)
    }

    /// The worker holds nothing for this client.
    fn take_here(&self, client: u64, held: Option<&Held<A>>, now: u64) -> Result<(), Wait> {
        let bucket = &self.place(client, now).bucket;
        if let Some(held) = held {
            if !held.knows(client, now) {
                held.welcome(client, now, |other, tokens| self.put_back(other, tokens));
            } else if bucket.take(self.flow, self.ahead.lease, now).is_ok() {
                held.keep(client, self.ahead.lease - 1, now);
                return Ok(());
            }
        }
        bucket.take(self.flow, 1, now).or_else(|wait| {
            let tokens = self.ahead.reclaim(client, now).ok_or(wait)?;
            bucket.give_back(tokens - 1);
            Ok(())
        })
    }

    /// A request that took a token was refused for another reason.
    pub fn give_back(&self, client: u64) {
        self.put_back(client, 1);
    }

    fn put_back(&self, client: u64, tokens: u32) {
        if let Some(place) = self.known(client) {
            place.bucket.give_back(tokens);
        }
    }

    /// What a client is told of its bucket.
    pub fn told<'a>(&self, name: &'a str, client: u64, now: u64) -> Told<'a> {
        let left = self.known(client).map_or(self.limit.burst, |place| place.bucket.left(self.flow, now));
        let left = (left + self.ahead.tokens(tag_of(client))).min(self.limit.burst);
        Told { name, limit: self.limit, left }
    }

    /// Bytes of the pieces that were made.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().filter(|piece| piece.get().is_some()).count() * PIECE * size_of::<Row<A>>()
    }

    fn row(&self, tag: u64) -> &Row<A> {
        let at = tag as usize % (self.pieces.len() * PIECE);
        let piece = self.pieces[at / PIECE].get_or_init(|| (0..PIECE).map(|_| Row::default()).collect());
        &piece[at % PIECE]
    }

    fn known(&self, client: u64) -> Option<&Place<A>> {
        let tag = tag_of(client);
        self.row(tag).0.iter().find(|place| place.tag.load() == tag)
    }

    /// The client's place, another's if need be. `client`: its tag.
    #[inline]
    fn place(&self, client: u64, now: u64) -> &Place<A> {
        let row = self.row(client);
        row.0.iter().find(|place| place.tag.load() == client).unwrap_or_else(|| self.settle(row, client, now))
    }

    /// Gets a place for a client that has none.
    #[cold]
    fn settle<'a>(&self, row: &'a Row<A>, tag: u64, now: u64) -> &'a Place<A> {
        let mut place = &row.0[0];
        for _ in 0..TRIES {
            let (mut most, mut before) = (None, 0);
            for next in &row.0 {
                let theirs = next.tag.load();
                if theirs == tag {
                    return next;
                }
                let left = if theirs == 0 { u64::MAX } else { next.bucket.parts(self.flow, now) };
                if most.is_none_or(|most| left > most) {
                    (most, before, place) = (Some(left), theirs, next);
                }
                if theirs == 0 {
                    // Places are taken in their order: whoever looks for the same client finds it before this one, or wants this one.
                    break;
                }
            }
            if before != 0 && !place.bucket.is_full(self.flow, now) {
                place.bucket.fill();
            }
            match place.tag.swap_if(before, tag) {
                Ok(_) => return place,
                Err(other) if other == tag => return place,
                Err(_) => {}
            }
        }
        place
    }
}

/// Twice as many places as clients: rows fill unevenly.
const fn pieces_for(clients: usize) -> usize {
    (2 * clients).div_ceil(PIECE * ROW).next_power_of_two()
}

/// 0 is nobody.
const fn tag_of(client: u64) -> u64 {
    if client == 0 { 1 } else { client }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasher as _, RandomState};

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MILLI: u64 = 1_000_000;

    fn table(rate: f64, burst: f64, clients: usize) -> Table {
        Table::new(Limit::new(rate, burst), clients, 2)
    }

    proptest! {
        /// A table with room does as a bucket for each client.
        #[test]
        fn clients_do_not_disturb_each_other(
            limit in (1_000..100_000_000_u64, 1..20_u32),
            asks in prop::collection::vec((0..200_u64, 0..SECOND), 1..2_000),
        ) {
            let limit = Limit { rate_micros: limit.0, burst: limit.1 };
            let (table, flow) = (Table::<AtomicU64>::new(limit, 1_000, 2), Flow::from(limit));
            let mut twins: HashMap<u64, Bucket<AtomicU64>> = HashMap::new();
            let hash = RandomState::new();
            let mut now = 0;
            for (client, pause) in asks {
                now += pause / 1_000;
                let client = hash.hash_one(client);
                let expected = twins.entry(client).or_default().take(flow, 1, now);
                prop_assert_eq!(table.take(client, 0, now), expected);
            }
        }

        /// Whatever workers take ahead: each client has at most one per cent of the burst over or under, in any span of time.
        #[test]
        fn the_bound_holds_for_each_client(
            workers in 1..5_usize,
            rate in prop_oneof![1..1_000_000_u64, 1_000_000..100_000_000_000_u64],
            burst in prop_oneof![1..50_u32, 100..20_000_u32],
            crowds in prop::collection::vec((0..4_usize, 0..3_usize, 1..2_000_u32, prop_oneof![Just(0), 0..30 * MILLI, 0..3_000 * MILLI]), 1..60),
        ) {
            const TOKEN: i128 = 1_000_000_000_000_000;
            let limit = Limit { rate_micros: rate, burst };
            let table = Table::<AtomicU64>::new(limit, 100, workers);
            let leased = i128::from(burst / 100 / workers as u32) * workers as i128;
            // The last two have one place with each worker.
            let clients = [1 << 60, 2 << 60 | 3, 3 << 60 | 3];
            let mut left = [i128::from(burst) * TOKEN; 3];
            let mut passes: [Vec<(u64, i128)>; 3] = Default::default();
            let mut now = 0;
            for (worker, client, requests, pause) in crowds {
                now += pause;
                let more = |left: &i128| (left + i128::from(pause) * i128::from(rate)).min(i128::from(burst) * TOKEN);
                left = left.each_ref().map(more);
                let mut passed = 0;
                for _ in 0..requests {
                    match table.take(clients[client], worker % workers, now) {
                        Ok(()) => { passed += 1; left[client] -= TOKEN; }
                        Err(_) => prop_assert!(left[client] < TOKEN + leased * TOKEN + TOKEN / 64, "{} were left", left[client]),
                    }
                }
                passes[client].push((now, passed));
            }
            for passes in passes {
                for (from, (start, _)) in passes.iter().enumerate() {
                    let mut sum = 0;
                    for (end, passed) in &passes[from..] {
                        sum += passed;
                        let most = i128::from(burst) * TOKEN + i128::from(end - start) * i128::from(rate);
                        prop_assert!(sum * TOKEN <= most + leased * TOKEN + TOKEN, "{sum} in {} ns", end - start);
                    }
                }
            }
        }
    }

    #[test]
    fn who_is_busy_with_a_worker_is_counted_ahead_and_what_is_not_used_comes_back() {
        let table = Table::<AtomicU64>::new(Limit::new(0.001, 1_000.0), 100, 2);
        let (busy, other) = (7, 1 << 60 | 7);
        let in_bucket = |client| table.known(client).map(|place| place.bucket.left(table.flow, SECOND));
        let pass = |client, worker, now| (0..2_000).filter(|_| table.take(client, worker, now).is_ok()).count();
        assert!(table.take(busy, 0, SECOND).is_ok());
        assert_eq!(in_bucket(busy), Some(999), "once is not busy");
        assert!((0..5).all(|_| table.take(busy, 0, SECOND + 9 * MILLI).is_ok()));
        assert_eq!(in_bucket(busy), Some(994), "five ahead, and all used");
        assert!(table.take(busy, 0, SECOND + 9 * MILLI).is_ok());
        assert_eq!((in_bucket(busy), table.told("", busy, SECOND).left), (Some(989), 993));
        // Of the same place, and of the other worker.
        assert!((0..3).all(|_| table.take(other, 0, SECOND + 9 * MILLI).is_ok()));
        assert_eq!(in_bucket(other), Some(997), "one by one");
        assert_eq!(pass(busy, 1, SECOND + 9 * MILLI), 989);
        assert_eq!(pass(busy, 1, SECOND + 30 * MILLI), 4);
        assert_eq!(pass(busy, 0, SECOND + 30 * MILLI), 0);
        // The place that nobody uses is somebody else's.
        assert!((0..2).all(|_| table.take(other, 0, SECOND + 50 * MILLI).is_ok()));
        assert_eq!((in_bucket(other), table.told("", other, SECOND).left), (Some(991), 995));
    }

    #[test]
    fn what_another_client_did_not_use_goes_back_to_it() {
        let table = Table::<AtomicU64>::new(Limit::new(0.001, 1_000.0), 100, 2);
        let (one, two) = (1 << 60 | 7, 2 << 60 | 7);
        assert!((0..2).all(|_| table.take(one, 0, SECOND).is_ok()));
        let in_bucket = |client| table.known(client).map(|place| place.bucket.left(table.flow, SECOND));
        assert_eq!((in_bucket(one), table.told("", one, SECOND).left), (Some(994), 998));
        assert!(table.take(two, 0, SECOND + 20 * MILLI).is_ok());
        assert_eq!((in_bucket(one), in_bucket(two)), (Some(998), Some(999)));
    }

    #[test]
    fn a_row_forgets_full_buckets_first_and_then_the_fullest() {
        let table = table(0.001, 10.0, 1);
        let rows = (table.pieces.len() * PIECE) as u64;
        // All of one row: client n has used n tokens.
        let client = |number: u64| 5 + number * rows;
        for number in 0..8 {
            (0..number).for_each(|_| assert!(table.take(client(number), 0, SECOND).is_ok()));
        }
        assert!(table.known(client(0)).is_none(), "has taken nothing");
        assert!(table.take(client(20), 0, SECOND).is_ok(), "the eighth place");
        (0..4).for_each(|_| assert!(table.take(client(20), 0, SECOND).is_ok()));
        assert!(table.take(client(30), 0, SECOND).is_ok());
        assert!(table.known(client(1)).is_none(), "the fullest had one token less than it may");
        assert_eq!(table.told("", client(30), SECOND).left, 9);
        for number in 2..8_u64 {
            assert_eq!(u64::from(table.told("", client(number), SECOND).left), 10 - number, "{number}");
        }
        // In a day all are full, and anybody's place may be had.
        let later = 86_400 * SECOND;
        assert!(table.take(client(40), 0, later).is_ok());
        assert_eq!(table.told("", client(7), later).left, 10);
    }

    #[test]
    fn a_million_clients_need_no_more_than_the_table_has() {
        let table = table(0.001, 2.0, 4_096);
        let hash = RandomState::new();
        for number in 0..100_000_u32 {
            assert!(table.take(hash.hash_one(number), 0, SECOND).is_ok(), "who is new may always pass");
        }
        assert!(table.bytes() <= 4_096 * 2 * 16, "{}", table.bytes());
        let few = self::table(0.001, 2.0, 1_000_000);
        assert_eq!(few.bytes(), 0);
        (0..10_u32).for_each(|number| assert!(few.take(hash.hash_one(number), 0, SECOND).is_ok()));
        assert!(few.bytes() <= 10 * PIECE * ROW * 16, "{}", few.bytes());
    }

    #[test]
    fn threads_share_the_bucket_of_a_client() {
        let table = table(0.001, 50.0, 1_000);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let table = &table;
                    scope.spawn(move || {
                        (0..8_000_u64).filter(|number| table.take(1 + number % 80 * 7_919, 0, SECOND).is_ok()).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(passed, 80 * 50);
    }

    #[test]
    fn another_limit_keeps_what_clients_have_spent() {
        let old = table(0.001, 10.0, 100);
        for client in 1..=5 {
            (0..client).for_each(|_| assert!(old.take(client * 7_919, 0, SECOND).is_ok()));
        }
        old.give_back(5 * 7_919);
        let new = Table::instead_of(&old, Limit::new(0.001, 20.0), 1_000, 2, SECOND);
        for (client, left) in [(1, 19), (2, 18), (4, 16), (5, 16), (6, 20)] {
            assert_eq!(new.told("", client * 7_919, SECOND).left, left, "{client}");
        }
        assert!(new.is_for(1_000) && !new.is_for(100) && new.limit().burst == 20);
    }

    #[test]
    fn no_hash_is_nobody() {
        let table = table(0.001, 1.0, 1);
        assert!(table.take(0, 0, SECOND).is_ok() && table.take(0, 0, SECOND).is_err());
    }
}
