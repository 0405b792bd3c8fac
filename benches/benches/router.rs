//! Our table beside matchit, path-tree and wayfind: 130 and 808 paths of GitHub's REST API, and 10,000 generated ones.
//!
//! Ours answers `verb + path` and fills the captures; the peers know paths only, so each of them gets one router of paths. All are asked for the
//! same shuffled list of concrete paths, and must agree on every one before anything is measured.
//!
//! `data/github-routes.txt` lists the operations of `api.github.com.json` in the npm package `@octokit/openapi` 23.0.2.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use router::{Builder, Captures, Kind, Routes, RoutesBuilder, Table, Template, Verb};
use std::{collections::BTreeMap, fmt::Write as _, hint::black_box};

const GITHUB: &str = include_str!("../data/github-routes.txt");

/// One path template and the verbs that it has.
struct Path {
    template: String,
    verbs: Vec<Verb>,
}

/// A request that ours answers with method `path`; for the peers only `text` and `path` count.
struct Request {
    text: String,
    verb: Verb,
    path: usize,
}

/// GitHub's paths, one of `step`, at most `count`. Variables are renamed by position: some peers want one name among siblings.
fn github(step: usize, count: usize) -> Vec<Path> {
    let mut paths: BTreeMap<String, Vec<Verb>> = BTreeMap::new();
    for line in GITHUB.lines() {
        let (verb, path) = line.split_once(' ').expect("VERB path");
        let verb = Verb::parse(verb.as_bytes()).expect("one of seven");
        let mut template = String::new();
        for (i, segment) in path[1..].split('/').enumerate() {
            if segment.starts_with('{') {
                write!(template, "/{{p{i}}}").expect("strings take all");
            } else {
                write!(template, "/{segment}").expect("strings take all");
            }
        }
        let verbs = paths.entry(template).or_default();
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    let paths = paths.into_iter().map(|(template, verbs)| Path { template, verbs });
    paths.step_by(step).take(count).collect()
}

/// 250 services of ten resources of four paths.
fn generated() -> Vec<Path> {
    const NOUNS: [&str; 10] = [
        "orders",
        "order-items",
        "customers",
        "invoices",
        "payments",
        "shipments",
        "products",
        "prices",
        "reviews",
        "carts",
    ];
    let mut paths = Vec::new();
    for service in 0..250 {
        for noun in NOUNS {
            let base = format!("/service-{service}/v1/{noun}");
            for (tail, verbs) in [
                ("", [Verb::Get, Verb::Post]),
                ("/{p3}", [Verb::Get, Verb::Delete]),
                ("/{p3}/history", [Verb::Get, Verb::Head]),
                ("/{p3}/notes/{p5}", [Verb::Put, Verb::Patch]),
            ] {
                paths.push(Path { template: format!("{base}{tail}"), verbs: verbs.to_vec() });
            }
        }
    }
    paths
}

/// A small generator, so that every run asks for the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// One request for each path and verb in turn, shuffled.
fn requests(paths: &[Path]) -> Vec<Request> {
    const VALUES: [&str; 8] =
        ["42", "octocat", "hello-world", "1234567", "main", "8f14e45fceea167a", "x", "release-2.0.1"];
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut list: Vec<Request> = Vec::new();
    for (path, known) in paths.iter().enumerate() {
        let mut text = String::new();
        for segment in known.template[1..].split('/') {
            let value = if segment.starts_with('{') { VALUES[dice.roll(VALUES.len())] } else { segment };
            write!(text, "/{value}").expect("strings take all");
        }
        let verb = known.verbs[dice.roll(known.verbs.len())];
        list.push(Request { text, verb, path });
    }
    for i in (1..list.len()).rev() {
        list.swap(i, dice.roll(i + 1));
    }
    list
}

/// An HTTP API with `$default` as its only stage, answering at every host.
struct Ours {
    table: Table,
    routes: Routes,
}

impl Ours {
    fn new(paths: &[Path]) -> Self {
        let mut builder = Builder::new();
        let api = builder.api("bench", Kind::Http);
        builder.stage(api, "$default", 0);
        builder.sole_api(api);
        Self { table: builder.build(), routes: collect(paths).build() }
    }

    /// The method for a request, stage included.
    fn find(&self, request: &Request, captures: &mut Captures) -> Option<u32> {
        let path = request.text.as_bytes();
        let located = self.table.locate(b"bench.example.com", path, false, |_, _| false).ok()?;
        self.routes.find(path, located.rest, request.verb, captures)
    }
}

fn collect(paths: &[Path]) -> RoutesBuilder {
    let mut builder = RoutesBuilder::new(Kind::Http);
    for (number, path) in paths.iter().enumerate() {
        let template = Template::parse(&path.template).expect("a template");
        for &verb in &path.verbs {
            builder.route(Some(verb), &template, number as u32).expect("a new route");
        }
    }
    builder
}

/// The peers, each in its own syntax.
struct Peers {
    matchit: matchit::Router<usize>,
    path_tree: path_tree::PathTree<usize>,
    wayfind: wayfind::Router<usize>,
}

impl Peers {
    fn new(paths: &[Path]) -> Self {
        let mut matchit = matchit::Router::new();
        let mut path_tree = path_tree::PathTree::new();
        let mut wayfind = wayfind::RouterBuilder::new();
        for (number, Path { template, .. }) in paths.iter().enumerate() {
            matchit.insert(template.clone(), number).expect("matchit takes it");
            let _ = path_tree.insert(&template.replace('{', ":").replace('}', ""), number);
            let angled = template.replace('{', "<").replace('}', ">");
            wayfind.insert(&angled, number).expect("wayfind takes it");
        }
        Self { matchit, path_tree, wayfind: wayfind.build() }
    }
}

fn hits(criterion: &mut Criterion) {
    for (name, paths) in [("130", github(6, 130)), ("808", github(1, 1_000)), ("10000", generated())] {
        let (ours, peers, requests) = (Ours::new(&paths), Peers::new(&paths), requests(&paths));
        assert_eq!(paths.len().to_string(), name);
        let mut captures = Captures::new();
        for request in &requests {
            let method = ours.find(request, &mut captures).expect("ours finds it");
            assert_eq!(method as usize, request.path, "{}", request.text);
            assert_eq!(*peers.matchit.at(&request.text).expect("matchit finds it").value, request.path);
            assert_eq!(*peers.path_tree.find(&request.text).expect("path-tree finds it").0, request.path);
            assert_eq!(*peers.wayfind.search(&request.text).expect("wayfind finds it").data(), request.path);
        }
        let mut group = criterion.benchmark_group("hits");
        group.throughput(Throughput::Elements(requests.len() as u64));
        group.bench_function(BenchmarkId::new("ours", name), |bencher| {
            bencher.iter(|| {
                for request in &requests {
                    black_box(ours.find(black_box(request), &mut captures));
                    black_box(&captures);
                }
            });
        });
        group.bench_function(BenchmarkId::new("matchit", name), |bencher| {
            bencher.iter(|| {
                for request in &requests {
                    let _ = black_box(peers.matchit.at(black_box(&request.text)));
                }
            });
        });
        group.bench_function(BenchmarkId::new("path-tree", name), |bencher| {
            bencher.iter(|| {
                for request in &requests {
                    black_box(peers.path_tree.find(black_box(&request.text)));
                }
            });
        });
        group.bench_function(BenchmarkId::new("wayfind", name), |bencher| {
            bencher.iter(|| {
                for request in &requests {
                    black_box(peers.wayfind.search(black_box(&request.text)));
                }
            });
        });
        group.finish();
    }
}

/// Ours alone: paths that nothing matches, and paths that lack the verb.
fn misses(criterion: &mut Criterion) {
    let paths = github(1, 1_000);
    let ours = Ours::new(&paths);
    let mut unknown = requests(&paths);
    for request in &mut unknown {
        request.text.push_str("/no/such/path");
    }
    let mut wrong = requests(&paths);
    wrong.retain_mut(|request| {
        let verbs = &paths[request.path].verbs;
        let Some(&verb) = Verb::ALL.iter().find(|verb| !verbs.contains(verb)) else {
            return false;
        };
        request.verb = verb;
        // A path such as `/gists/public` is `/gists/{id}` too, which may have that verb.
        ours.find(request, &mut Captures::new()).is_none()
    });
    let mut group = criterion.benchmark_group("misses");
    let mut captures = Captures::new();
    for (name, requests) in [("unknown-path", &unknown), ("wrong-verb", &wrong)] {
        assert!(requests.iter().all(|request| ours.find(request, &mut captures).is_none()), "{name}");
        group.throughput(Throughput::Elements(requests.len() as u64));
        group.bench_function(BenchmarkId::new("ours", name), |bencher| {
            bencher.iter(|| {
                for request in requests {
                    black_box(ours.find(black_box(request), &mut captures));
                }
            });
        });
    }
    group.finish();
}

/// `count` paths that share all but a number.
fn flat(count: usize) -> Vec<Path> {
    let path = |i| Path { template: format!("/r{i}/{{id}}"), verbs: vec![Verb::Get] };
    (0..count).map(path).collect()
}

/// `count` paths of twelve literals and four variables, which part on the way.
fn deep(count: usize) -> Vec<Path> {
    let path = |i: usize| {
        let mut template = String::new();
        for level in 0..12 {
            write!(template, "/s{}", i >> (2 * level) & 3).expect("strings take all");
            if level % 3 == 2 {
                write!(template, "/{{v{level}}}").expect("strings take all");
            }
        }
        Path { template, verbs: vec![Verb::Get] }
    };
    (0..count).map(path).collect()
}

/// Ours alone: from routes to the frozen form, and from bytes to the same; prints what a route takes.
fn builds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("builds");
    group.sample_size(10);
    let shapes = [("flat", flat(10_000)), ("flat", flat(100_000)), ("deep", deep(10_000)), ("services", generated())];
    for (name, paths) in shapes {
        let routes = collect(&paths).build();
        let bytes = postcard::to_stdvec(&routes).expect("a tree");
        let per = |bytes: usize| bytes / paths.len();
        println!(
            "{name} {}: {} bytes a path in memory, {} stored",
            paths.len(),
            per(routes.heap_bytes()),
            per(bytes.len())
        );
        group.throughput(Throughput::Elements(paths.len() as u64));
        group.bench_function(BenchmarkId::new(format!("collect-and-freeze/{name}"), paths.len()), |bencher| {
            bencher.iter(|| black_box(collect(&paths).build()));
        });
        group.bench_function(BenchmarkId::new(format!("load/{name}"), paths.len()), |bencher| {
            bencher.iter(|| postcard::from_bytes::<Routes>(black_box(&bytes)).expect("just written"));
        });
    }
    group.finish();
}

criterion_group!(benches, hits, misses, builds);
criterion_main!(benches);
