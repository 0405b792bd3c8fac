//! GitHub's REST API, every operation of it, as a gateway document: each request reaches the backend as it should.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use support::{Backend, Gateway, Request, on_both_drivers};

/// `VERB path` lines of the npm package `@octokit/openapi`.
const ROUTES: &str = include_str!("../../benches/data/github-routes.txt");

struct Operation {
    verb: &'static str,
    path: &'static str,
}

/// Every operation that a path template can say: a variable is a whole segment (RT-02).
fn operations() -> Vec<Operation> {
    let lines = ROUTES.lines().filter_map(|line| line.split_once(' '));
    let whole = |segment: &str| {
        !segment.contains('{') || (segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1))
    };
    lines.filter(|(_, path)| path.split('/').all(whole)).map(|(verb, path)| Operation { verb, path }).collect()
}

/// An HTTP API: in a REST API, variables of different names at one place are refused (RT-04), and GitHub has some.
fn document(operations: &[Operation], backend: &str) -> String {
    let mut text =
        format!("upstreams:\n  github: {{servers: [\"{backend}\"]}}\napis:\n  github:\n    kind: http\n    routes:\n");
    for Operation { verb, path } in operations {
        writeln!(
            text,
            "      \"{verb} {path}\": {{integration: {{type: http_proxy, uri: \"http://github/api{path}\"}}}}"
        )
        .expect("text");
    }
    text + "    stages: {$default: {}}\n"
}

/// The path with a value for each variable that names it, its place and its operation, some of it percent-encoded.
fn filled(path: &str, number: usize) -> String {
    let segments = path.split('/').enumerate().map(|(place, segment)| match segment.strip_prefix('{') {
        Some(name) => format!("{}-{number}-{place}%20x%2Fy", name.trim_end_matches('}')),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn every_operation_of_github_reaches_its_backend() {
    let operations = operations();
    let left_out = ROUTES.lines().count() - operations.len();
    assert_eq!(left_out, 1, "only compare/{{base}}...{{head}} has two variables in one segment");
    let paths: BTreeSet<&str> = operations.iter().map(|operation| operation.path).collect();
    on_both_drivers(|driver| {
        let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let began = Instant::now();
        let gateway = Gateway::start(&document(&operations, backend.address()), driver);
        let started = began.elapsed();
        assert_eq!(gateway.status()["routes"], operations.len());
        let began = Instant::now();
        let mut clients = [gateway.client(), gateway.client(), gateway.client()];
        for (number, Operation { verb, path }) in operations.iter().enumerate() {
            let target = format!("{}?page={number}&q=a+b%20c&empty", filled(path, number));
            let body = matches!(*verb, "POST" | "PUT" | "PATCH").then(|| format!("{{\"operation\":{number}}}"));
            let length = body.as_ref().map_or(String::new(), |body| format!("Content-Length: {}\r\n", body.len()));
            let request = format!(
                "{verb} {target} HTTP/1.1\r\nHost: api.github.com\r\n{length}\r\n{}",
                body.clone().unwrap_or_default()
            );
            clients[number % 3].exchange(request).expect_status(200);
            let Request { method, target: seen, body: got, .. } = backend.only();
            assert_eq!((&*method, &*seen), (*verb, &*format!("/api{target}")), "{verb} {path}");
            assert_eq!(got, body.unwrap_or_default().into_bytes(), "{verb} {path}");
        }
        backend.expect_no_faults();
        println!(
            "{}: {} operations on {} paths served in {:?} on 3 connections and {} to the backend; ready after {started:?}",
            driver.name(),
            operations.len(),
            paths.len(),
            began.elapsed(),
            backend.connections()
        );
        assert_eq!(backend.connections(), 1);
        assert_eq!(gateway.status()["connections"]["accepted"], 3);
        // What GitHub does not have, the gateway does not invent.
        for (request, status) in
            [("GET /repos/a/b/nothing/like/this", 404), ("DELETE /zen", 404), ("POST /users/x", 404)]
        {
            clients[0].exchange(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).expect_status(status);
        }
        assert_eq!(backend.requests(), 0);
    });
}
