//! A request in memory, from the bytes of its head to the last phase before the integration: without guards, and with a key, its plan's throttle
//! and quota, a remembered token, CORS and a policy of 1,000 ranges. All of them together may cost 1.5 µs more.

use std::hint::black_box;

use benches::Scene;
use criterion::Criterion;
use proxy::io::{DriverKind, run};
use proxy::rehearsal::Rehearsal;

/// Requests have to come from a shard, whose clock stands still meanwhile.
fn admit() {
    let folder = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
    let mut criterion = Criterion::default().configure_from_args();
    let scene = Scene::new(&folder, "127.0.0.1:1");
    let requests = [("none", "/plain/mock"), ("all", "/guarded/mock")].map(|(name, path)| (name, Scene::request(path)));
    let mut rehearsal = Rehearsal::new(scene.snapshot).expect("sockets");
    let mut group = criterion.benchmark_group("admit");
    for (name, request) in &requests {
        assert!(rehearsal.admit(request.as_bytes()), "{name} is let in");
        group.bench_function(*name, |bencher| bencher.iter(|| rehearsal.admit(black_box(request.as_bytes()))));
        assert!(rehearsal.admit(request.as_bytes()), "{name} is still let in");
    }
    group.finish();
    criterion.final_summary();
    // A folder that is left in the place for temporary files does no harm.
    let _ = std::fs::remove_dir_all(folder);
}

fn main() {
    run(DriverKind::Epoll, async { admit() }).expect("epoll");
}
