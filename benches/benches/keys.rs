//! How long a gateway with a million API keys takes to load, from a CSV file; ten thousand where nothing is timed.

use std::fmt::Write as _;
use std::fs;

use criterion::{Criterion, criterion_group, criterion_main};

const DOCUMENT: &str = r#"
gateway: {listen: "127.0.0.1:0"}
usage_plans: {basic: {stages: [a/s], throttle: {rate: 10, burst: 20}}}
api_keys: {file: keys.csv}
apis:
  a:
    kind: rest
    routes: {"GET /a": {api_key_required: true, integration: {type: mock, body: "{}"}}}
    stages: {s: {}}
"#;

fn keys(criterion: &mut Criterion) {
    let count = if std::env::args().any(|argument| argument == "--bench") { 1_000_000 } else { 10_000 };
    let folder = std::env::temp_dir().join(format!("tollgate-keys-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder that can be written");
    let mut text = String::from("Name,Key,UsagePlanIds,Enabled\n");
    for number in 0..count {
        writeln!(text, "customer{number},value-{number:010}-abcdefghijklmnopqrst,basic,true")
            .expect("a text takes everything");
    }
    fs::write(folder.join("keys.csv"), &text).expect("a folder that can be written");
    let mut group = criterion.benchmark_group("keys");
    group.sample_size(10).bench_function("load_a_million", |bencher| {
        bencher.iter(|| {
            let loaded = config::load_text("keys.yaml", DOCUMENT, &folder);
            assert_eq!(loaded.snapshot.map(|snapshot| snapshot.keys.len()), Some(count));
        });
    });
    group.finish();
    // A folder that is left in the place for temporary files does no harm.
    let _ = fs::remove_dir_all(folder);
}

criterion_group!(benches, keys);
criterion_main!(benches);
