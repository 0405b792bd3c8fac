//! The fuzz targets' corpus, replayed through the same properties with stable Rust.

use std::fs;
use std::path::Path;

use codec::properties;

/// Runs one property over a target's inputs, each also cut short and with one byte changed, which costs little here.
fn replay(target: &str, property: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("every target has a corpus") {
        let path = entry.expect("the folder can be read").path();
        let bytes = fs::read(&path).expect("an input can be read");
        println!("{}", path.display());
        property(&bytes);
        neighbours(&bytes, &property);
        inputs += 1;
    }
    assert!(inputs >= 10, "{target} has {inputs} inputs only");
}

/// The bytes that most often decide.
const PIVOTS: &[u8] = b"\r\n\0 \t:,;%/.?#*0aA_\x7f\x80\xff";

fn neighbours(bytes: &[u8], property: impl Fn(&[u8])) {
    // Long inputs are about lengths; their neighbours would take minutes.
    if bytes.len() > 256 {
        return;
    }
    let mut other = bytes.to_vec();
    for at in 0..bytes.len() {
        property(&bytes[..at]);
        let pivot = PIVOTS[at % PIVOTS.len()];
        other[at] = pivot;
        property(&other);
        other[at] = bytes[at];
    }
}

#[test]
fn request_heads() {
    replay("request_head", properties::request_head);
}

#[test]
fn response_heads() {
    replay("response_head", properties::response_head);
}

#[test]
fn exchanges() {
    replay("exchange", properties::exchange);
}

#[test]
fn texts_of_grpc_web() {
    replay("grpc_web", properties::grpc_web);
}

#[test]
fn chunked_bodies() {
    replay("chunked", properties::chunked);
}

#[test]
fn frames() {
    replay("frames", properties::frames);
}

#[test]
fn hops() {
    replay("hops", policy::properties::hops);
}

#[test]
fn requests_at_the_firewall() {
    replay("firewall", policy::properties::firewall);
}

#[test]
fn cors_lists() {
    replay("cors", policy::properties::cors);
}

#[test]
fn signed_requests() {
    replay("sigv4", policy::properties::sigv4);
}

#[test]
fn policy_documents() {
    replay("policy_document", policy::properties::policy_document);
}

#[test]
fn tokens() {
    replay("jwt", policy::properties::jwt);
}

#[test]
fn names_and_passwords() {
    replay("basic", policy::properties::basic);
}

#[test]
fn key_sets() {
    replay("jwks", policy::properties::jwks);
}

#[test]
fn answers_of_authorizers() {
    replay("authorizer_answer", policy::properties::authorizer_answer);
}

#[test]
fn proxy_headers() {
    replay("proxy_header", properties::proxy_header);
}

#[test]
fn snapshots() {
    replay("snapshot", config::properties::snapshot_body);
}

#[test]
fn documents() {
    replay("document", config::properties::document);
}

#[test]
fn deployments() {
    replay("deployments", config::properties::deployments);
}

#[test]
fn openapi_documents() {
    replay("openapi", config::properties::openapi);
}

#[test]
fn websockets() {
    replay("websocket", properties::websocket);
}

#[test]
fn targets() {
    replay("target", properties::target);
}

#[test]
fn certificates() {
    replay("certificate", config::properties::certificate);
}
