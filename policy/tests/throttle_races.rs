//! Buckets, leases and tables under every interleaving of two or three threads, weak memory included.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::thread;
use policy::throttle::{Bucket, Flow, LEASE_NANOS, Limit, Shared, Table, Word};

/// A number whose every use is a point where another thread may go on.
#[derive(Default, Debug)]
struct Watched(AtomicU64);

impl Word for Watched {
    fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn swap_if(&self, seen: u64, value: u64) -> Result<u64, u64> {
        self.0.compare_exchange(seen, value, Relaxed, Relaxed)
    }
}

/// Runs both, and adds what they counted.
fn race(first: impl FnOnce() -> usize + Send + 'static, second: impl FnOnce() -> usize) -> usize {
    let first = thread::spawn(first);
    let of_second = second();
    first.join().expect("no panic") + of_second
}

#[test]
fn a_bucket_never_passes_one_too_many_nor_loses_one() {
    loom::model(|| {
        let flow = Flow::from(Limit::new(0.001, 3.0));
        let bucket = Arc::new(Bucket::<Watched>::default());
        let other = bucket.clone();
        let pass = move |bucket: &Bucket<Watched>, now| (0..2).filter(|_| bucket.take(flow, 1, now).is_ok()).count();
        assert_eq!(race(move || pass(&other, 7_000_000), || pass(&bucket, 5_000_000)), 3);
    });
}

#[test]
fn what_is_given_back_is_not_lost() {
    loom::model(|| {
        let flow = Flow::from(Limit::new(0.001, 2.0));
        let bucket = Arc::new(Bucket::<Watched>::default());
        assert!(bucket.take(flow, 2, 1).is_ok());
        let other = bucket.clone();
        let passed = race(
            move || {
                other.give_back(1);
                0
            },
            || {
                bucket.give_back(1);
                (0..2).filter(|_| bucket.take(flow, 1, 1).is_ok()).count()
            },
        );
        assert_eq!(passed + bucket.left(flow, 1) as usize, 2);
    });
}

/// One worker goes on using its lease while the other finds it old and takes it.
#[test]
fn a_lease_is_used_once() {
    let mut model = loom::model::Builder::new();
    // What empties the bucket first counts as well.
    model.max_branches = 20_000;
    model.check(|| {
        let shared = Arc::new(Shared::<Watched>::new(Limit::new(0.000_001, 400.0), 2));
        assert!(shared.take(0, 0).is_ok(), "one of a lease of two");
        let later = LEASE_NANOS * 2;
        // All but one: the other's leases take the bucket down.
        let mut passed = 1 + (0..397).filter(|_| shared.take(1, later).is_ok()).count();
        let other = shared.clone();
        let pass =
            move |shared: &Shared<Watched>, worker| (0..2).filter(|_| shared.take(worker, later).is_ok()).count();
        passed += race(move || pass(&other, 0), || pass(&shared, 1));
        passed += (0..4).filter(|at| shared.take(at % 2, later * 3).is_ok()).count();
        assert_eq!(passed, 400);
    });
}

#[test]
fn a_new_client_of_two_workers_has_one_bucket() {
    loom::model(|| {
        let table = Arc::new(Table::<Watched>::new(Limit::new(0.001, 2.0), 1, 2));
        assert!(table.take(7, 0, 1).is_ok());
        let other = table.clone();
        // Of the same row: 128 rows make a piece.
        let pass = move |table: &Table<Watched>| (0..2).filter(|_| table.take(7 + 128, 0, 1).is_ok()).count();
        assert_eq!(race(move || pass(&other), || pass(&table)), 2);
        assert!(table.take(7, 0, 1).is_ok() && table.take(7, 0, 1).is_err());
    });
}

/// One worker goes on using what it holds for a client while the other finds it old and takes it.
#[test]
fn what_a_worker_holds_for_a_client_is_used_once() {
    let mut model = loom::model::Builder::new();
    model.max_branches = 20_000;
    model.check(|| {
        let table = Arc::new(Table::<Watched>::new(Limit::new(0.000_001, 400.0), 1, 2));
        // The second one leases two.
        assert!((0..2).all(|_| table.take(7, 0, 0).is_ok()));
        let later = LEASE_NANOS * 2;
        let mut passed = 2 + (0..396).filter(|_| table.take(7, 1, later).is_ok()).count();
        let other = table.clone();
        let pass =
            move |table: &Table<Watched>, worker| (0..2).filter(|_| table.take(7, worker, later).is_ok()).count();
        passed += race(move || pass(&other, 0), || pass(&table, 1));
        passed += (0..4).filter(|at| table.take(7, at % 2, later * 3).is_ok()).count();
        assert_eq!(passed, 400);
    });
}
