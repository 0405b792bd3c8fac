//! HTTP/2 by the letter: what RFC 9113 and RFC 7541 say of every frame, state and field, in raw frames, on both drivers, with prior
//! knowledge and over TLS.
//!
//! `conformance/cases.txt` has a line for each case and what may come of it, `conformance/skipped.txt` what is left out and why. The same
//! cases are played against another server with
//! `CONFORMANCE_TARGET=http://HOST:PORT/PATH cargo test -p proxy --test conformance -- --nocapture`, or with `https://` and its certificate
//! or authority in `CONFORMANCE_CA`; what is at the path should have some 100 kB.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hpack.rs"]
mod hpack;
mod support;
#[path = "support/tls.rs"]
mod tls;

#[path = "conformance/blocks.rs"]
mod blocks;
#[path = "conformance/judge.rs"]
mod judge;
#[path = "conformance/kinds.rs"]
mod kinds;
#[path = "conformance/messages.rs"]
mod messages;
#[path = "conformance/outline.rs"]
mod outline;
#[path = "conformance/play.rs"]
mod play;
#[path = "conformance/streams.rs"]
mod streams;
#[path = "conformance/windows.rs"]
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Mutex, mpsc};

use judge::Allowed;
use play::{Case, Play, Target};
use support::gateway::new_folder;
use support::{Backend, Gateway, Reply, on_both_drivers};
use tls::{Identity, Visitor};

const CASES: &str = include_str!("conformance/cases.txt");
const SKIPPED: &str = include_str!("conformance/skipped.txt");
/// Cases that come to something else with us, and why.
const KNOWN: &str = include_str!("conformance/known.txt");

/// A line of the table.
struct Line {
    section: &'static str,
    name: &'static str,
    allowed: Vec<Allowed>,
}

fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(" | ").map(str::trim).collect())
}

fn table() -> Vec<Line> {
    let line = |parts: Vec<&'static str>| {
        let &[section, name, _, allowed] = parts.as_slice() else { panic!("{parts:?} are not four parts") };
        Line { section, name, allowed: allowed.split_whitespace().flat_map(judge::allowed).collect() }
    };
    lines(CASES).map(line).collect()
}

fn acts() -> impl Iterator<Item = &'static Case> {
    [outline::CASES, blocks::CASES, streams::CASES, kinds::CASES, windows::CASES, messages::CASES].into_iter().flatten()
}

#[test]
fn every_line_of_the_table_has_its_case_and_every_case_its_line() {
    let (table, mut names, mut faults) = (table(), BTreeSet::new(), Vec::new());
    for line in &table {
        if !names.insert(line.name) {
            faults.push(format!("{} stands twice in the table", line.name));
        }
        if acts().filter(|case| case.name == line.name).count() != 1 {
            faults.push(format!("{} has not one case", line.name));
        }
        if line.allowed.is_empty() {
            faults.push(format!("{} allows nothing", line.name));
        }
    }
    faults.extend(acts().filter(|case| !names.contains(case.name)).map(|case| format!("{} has no line", case.name)));
    for parts in lines(KNOWN) {
        if !matches!(&*parts, [name, _, why] if names.contains(name) && why.len() > 10) {
            faults.push(format!("{parts:?} is no case, what it comes to, and why"));
        }
    }
    for parts in lines(SKIPPED) {
        if !matches!(&*parts, [_, what, why] if what.len() > 10 && why.len() > 10) {
            faults.push(format!("{parts:?} is no section, what is left out, and why"));
        }
    }
    let sections = ["3.4", "4.1", "4.2", "4.3", "5.1", "5.1.1", "5.1.2", "5.2", "5.3.1", "5.4.1", "5.4.2", "5.5"];
    let sections =
        sections.into_iter().chain(["6.1", "6.2", "6.3", "6.4", "6.5", "6.5.2", "6.5.3", "6.6", "6.7", "6.8"]);
    let sections = sections.chain(["6.9", "6.9.1", "6.9.2", "6.10", "7", "8.1", "8.1.1", "8.2.1", "8.2.2", "8.2.3"]);
    let sections = sections.chain(["8.3", "8.3.1", "8.4", "8.5", "HPACK 2.3.3", "HPACK 4.2", "HPACK 4.3", "HPACK 4.4"]);
    for section in sections.chain(["HPACK 5.1", "HPACK 5.2", "HPACK 6.1", "HPACK 6.2", "HPACK 6.3"]) {
        if table.iter().all(|line| line.section != section) {
            faults.push(format!("section {section} has no case"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Plays every case: all that failed.
fn play_all(target: &Target) -> Vec<String> {
    let acts: BTreeMap<&str, &Case> = acts().map(|case| (case.name, case)).collect();
    let known: BTreeMap<&str, &str> = lines(KNOWN).map(|parts| (parts[0], parts[1])).collect();
    let only = std::env::var("CONFORMANCE_ONLY").unwrap_or_default();
    let (mut failed, mut played) = (Vec::new(), 0);
    for line in table().iter().filter(|line| line.name.contains(&only)) {
        played += 1;
        let case = acts[line.name];
        let known = known.get(line.name).filter(|_| target.ours).map(|words| judge::allowed(words));
        // What is known must be so: a list that nobody looks at would only grow.
        let allowed = known.as_ref().unwrap_or(&line.allowed);
        let told = match Play::begin(target, case).and_then(|mut play| judge::judge(&mut play, case, allowed)) {
            Ok(seen) if known.is_some() => format!("known, {seen}"),
            Ok(seen) => format!("ok, {seen}"),
            Err(why) => {
                failed.push(format!("{}: {} {}: {why}", target.name, line.section, line.name));
                format!("FAILED: {why}")
            }
        };
        println!("{}: {} {}: {told}", target.name, line.section, line.name);
    }
    println!("{}: {played} cases, {} failed", target.name, failed.len());
    failed
}

/// `http://HOST:PORT/PATH` of somebody else.
fn stranger(url: &str) -> Target {
    let (scheme, rest) = url.split_once("://").expect("http:// or https://");
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = address.rsplit_once(':').expect("a port").0;
    let visitor = (scheme == "https").then(|| {
        let file = std::env::var("CONFORMANCE_CA").expect("CONFORMANCE_CA is a file");
        let certificate = fs::read_to_string(file).expect("a certificate");
        let visitor = Visitor::new(&[&Identity { certificate, key: String::new() }]).offering(&["h2"]);
        (visitor, host.to_owned())
    });
    let (path, authority) = (format!("/{path}"), host.into());
    Target { name: url.into(), address: address.into(), visitor, authority, stuck: path.clone(), path, ours: false }
}

const DOCUMENT: &str = r#"gateway:
  listen:
    - {address: "127.0.0.1:0", h2c: true}
    - {address: "127.0.0.1:0", tls: {certificate: main.crt, key: main.key}}
apis:
  a:
    kind: http
    routes:
      "ANY /stuck": {integration: {type: http_proxy, uri: "http://{{stuck}}/"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {$default: {}}
domains:
  "*": {mappings: {/: a/$default}}
"#;

#[test]
fn every_case_comes_to_what_its_line_allows() {
    if let Ok(url) = std::env::var("CONFORMANCE_TARGET") {
        let failed = play_all(&stranger(&url));
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        return;
    }
    on_both_drivers(|driver| {
        let large = vec![b'l'; 100_000];
        let backend = Backend::scripted(move |request| match &*request.target {
            "/large" if request.method == "GET" => Reply::ok(&large),
            _ => Reply::ok(format!("{} {} {:?}", request.method, request.target, request.headers)),
        });
        // It reads a head, and nothing more before the test is over.
        let (test, over) = mpsc::channel::<()>();
        let over = Mutex::new(over);
        let stuck = Backend::raw(move |conversation| {
            conversation.head()?;
            let _ = over.lock().map(|over| over.recv());
            Ok(())
        });
        let folder = new_folder();
        let identity = Identity::new(&["main.test"]);
        identity.write(&folder, "main");
        let gateway = Gateway::start_in(
            folder,
            &DOCUMENT.replace("{{backend}}", backend.address()).replace("{{stuck}}", stuck.address()),
            driver,
            &[],
        );
        let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
        let doors = [None, Some((Visitor::new(&[&identity]).offering(&["h2"]), "main.test".to_owned()))];
        let mut failed = Vec::new();
        for (address, visitor) in gateway.listeners().iter().zip(doors) {
            let name = format!("{}, {}", driver.name(), if visitor.is_some() { "TLS" } else { "h2c" });
            let (address, authority) = (address.clone(), "main.test".into());
            let (path, stuck) = ("/large".into(), "/stuck".into());
            failed.extend(play_all(&Target { name, address, visitor, authority, path, stuck, ours: true }));
        }
        assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
        drop(test);
    });
}

/// Examples of RFC 7541, appendix C: what the tests read with is tested as well.
#[test]
fn the_tests_own_codec_knows_the_rfcs_examples() {
    let mut decoder = hpack::Decoder::default();
    let request = [
        &[0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..],
        &[0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf],
    ];
    let host = (":authority".to_owned(), "www.example.com".to_owned());
    let first = decoder.decode(request[0]).expect("a block");
    assert_eq!(first[3], host);
    assert_eq!(hpack::huffman(b"www.example.com"), request[0][4..]);
    let second = decoder.decode(request[1]).expect("a block");
    assert_eq!(second[3..], [host, ("cache-control".into(), "no-cache".into())]);
    assert_eq!(hpack::integer(0, 5, 1337), [31, 154, 10]);
    assert_eq!(hpack::integer(0xe0, 5, 10), [0xea]);
    let every: Vec<u8> = (0..=255).collect();
    let block = hpack::Block::new().raw(&[0x40, 1, b'x']).raw(&hpack::huffman(&every));
    let value: String = every.into_iter().map(char::from).collect();
    assert_eq!(decoder.decode(&block.0), Ok(vec![("x".into(), value)]));
    for broken in [&[0x80][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0xfe], &[0x40, 0x81], &[0x3f, 0xff, 0x7f]] {
        assert!(decoder.decode(broken).is_err(), "{broken:x?}");
    }
}
