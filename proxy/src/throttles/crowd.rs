//! How many requests of each client are at work, over all workers, without a lock: two rows of counters, as for connections of
//! addresses (`callers`). A client has a place in either, and the smaller of its two counts is an upper bound of its requests: a limit
//! is never exceeded, and refuses early only where others fill both places.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::limits::CROWD_PLACES;

/// The counters of one limit.
pub struct Crowd {
    rows: [Box<[AtomicU32]>; 2],
}

impl Default for Crowd {
    fn default() -> Crowd {
        let row = || (0..CROWD_PLACES).map(|_| AtomicU32::new(0)).collect();
        Crowd { rows: [row(), row()] }
    }
}

impl Crowd {
    /// `client` is a hash that nobody outside can foresee.
    fn places(&self, client: u64) -> [&AtomicU32; 2] {
        let client = client as usize;
        [&self.rows[0][client % CROWD_PLACES], &self.rows[1][(client >> 32) % CROWD_PLACES]]
    }

    /// One request more, unless there are `most` already.
    pub fn enter(&self, client: u64, most: u32) -> bool {
        let before = self.places(client).map(|place| place.fetch_add(1, Relaxed));
        let fits = before[0].min(before[1]) < most;
        if !fits {
            self.leave(client);
        }
        fits
    }

    /// One less.
    pub fn leave(&self, client: u64) {
        for place in self.places(client) {
            place.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn others_do_not_count_and_room_is_given_back() {
        let (crowd, hash) = (Crowd::default(), RandomState::new());
        let clients: Vec<u64> = (0..5_000).map(|client| hash.hash_one(client)).collect();
        for client in &clients {
            assert!((0..20).all(|_| crowd.enter(*client, 1_000)));
        }
        let one = clients[7];
        assert!((0..980).all(|_| crowd.enter(one, 1_000) || crowd.enter(one, 1_100)));
        assert!(!crowd.enter(one, 1_000));
        crowd.leave(one);
        for client in &clients {
            (0..20).for_each(|_| crowd.leave(*client));
        }
        (0..979).for_each(|_| crowd.leave(one));
        assert!(crowd.rows.iter().flatten().all(|place| place.load(Relaxed) == 0));
    }
}
