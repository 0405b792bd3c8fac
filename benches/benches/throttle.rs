//! What a limit costs a request: one token of a bucket, of a worker's lease, of a client's bucket among many, and a refusal with its fields.

use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use policy::throttle::{Bucket, Flow, Limit, Shared, Table, write_refused};

/// Time goes on by as much as a request takes.
const STEP: u64 = 10_000;

/// So high that nobody is refused.
fn wide() -> Limit {
    Limit::new(10_000_000.0, 10_000_000.0)
}

fn buckets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throttle");
    let (bucket, flow, mut now) = (Bucket::default(), Flow::from(wide()), 0);
    let bucket: &Bucket = &bucket;
    group.bench_function("bucket", |bencher| {
        bencher.iter(|| {
            now += STEP;
            bucket.take(black_box(flow), 1, now)
        });
    });
    let shut = Flow::from(Limit::new(0.001, 1.0));
    let empty: Bucket = Bucket::default();
    let _ = empty.take(shut, 1, 0);
    group.bench_function("bucket_refused", |bencher| bencher.iter(|| empty.take(black_box(shut), 1, 1)));
    // One of two workers; a small burst is not leased.
    for (name, limit) in [("shared_leased", wide()), ("shared_exact", Limit::new(10_000_000.0, 199.0))] {
        let shared: Shared = Shared::new(limit, 2);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now += STEP;
                shared.take(black_box(0), now)
            });
        });
    }
    group.finish();
}

fn clients(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throttle");
    let hash = RandomState::new();
    for count in [1_u64, 100_000] {
        let table: Table = Table::new(wide(), 100_000, 2);
        let clients: Vec<u64> = (0..count).map(|client| hash.hash_one(client)).collect();
        let (mut at, mut now) = (0, 0);
        group.bench_function(format!("client_of_{count}"), |bencher| {
            bencher.iter(|| {
                // A step that meets all of them in no order of memory.
                at = (at + 7_919) % clients.len();
                now += STEP;
                table.take(black_box(clients[at]), 0, now)
            });
        });
    }
    let table: Table = Table::new(Limit::new(0.001, 1.0), 100, 2);
    let _ = table.take(7, 0, 1);
    let mut out = Vec::with_capacity(256);
    group.bench_function("refusal_with_fields", |bencher| {
        bencher.iter(|| {
            out.clear();
            if let Err(wait) = table.take(black_box(7), 0, 2) {
                write_refused(table.told("address", 7, 2), wait, &mut out);
            }
            out.len()
        });
    });
    group.finish();
}

criterion_group!(benches, buckets, clients);
criterion_main!(benches);
