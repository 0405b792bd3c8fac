//! No input panics the loader, and what it promises holds for all of them.

use proptest::prelude::*;

const GOOD: [&str; 2] = [include_str!("good/full.yaml"), include_str!("documents/useless.yaml")];

/// A good document with a few stretches cut, doubled, or replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        0..usize::MAX,
        0..40_usize,
        prop::sample::select(vec!["", " ", "\t", "\n", ":", "{", "}", "*", "&a", "\"", "é", "\0", "$", "://", "#"]),
        any::<bool>(),
    );
    (0..GOOD.len(), prop::collection::vec(change, 1..6)).prop_map(|(which, changes)| {
        let mut bytes = GOOD[which].as_bytes().to_vec();
        for (at, length, insert, double) in changes {
            let from = at % bytes.len().max(1);
            let to = (from + length).min(bytes.len());
            let mut put = insert.as_bytes().to_vec();
            if double {
                put.extend_from_slice(&bytes[from..to].repeat(2));
            }
            bytes.splice(from..to, put);
        }
        bytes
    })
}

/// Text made of the pieces that documents are made of.
fn pieces() -> impl Strategy<Value = String> {
    let words = vec![
        "gateway",
        "listen",
        "apis",
        "routes",
        "stages",
        "integration",
        "uri",
        "body",
        "type",
        "mock",
        "http",
        "kind",
        "$default",
        "GET /x",
        "http://${stageVariables.a}/{x}",
        "127.0.0.1:80",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        "\"",
        "*",
        "&a ",
        "*a",
        "!x ",
        "|",
        ">",
        "#",
        "\t",
        "é",
        "%",
    ];
    prop::collection::vec(prop::sample::select(words), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        config::properties::document(&bytes);
    }

    #[test]
    fn texts(text in "\\PC{0,200}") {
        config::properties::document(text.as_bytes());
    }

    #[test]
    fn documents_with_slips(bytes in mutated()) {
        config::properties::document(&bytes);
    }

    #[test]
    fn words_of_the_language(text in pieces()) {
        config::properties::document(text.as_bytes());
    }

    #[test]
    fn any_uri(uri in "(http://)?[a-z.:@{}$/?#\\[\\]é*%0-9]{0,40}", path in "(/[a-z{}+:*]{0,8}){0,4}") {
        let text = format!(
            "gateway: {{listen: 127.0.0.1:1}}\nupstreams: {{a: {{servers: ['a:1']}}}}\napis: {{a: {{kind: http, stages: {{$default: }}, routes: {{'GET {path}': {{integration: {{type: http_proxy, uri: '{uri}'}}}}}}}}}}\n"
        );
        config::properties::document(text.as_bytes());
    }

    #[test]
    fn any_mock(body in "[a-z$.{}\" requestpathcontext]{0,40}") {
        let body = body.replace('\'', "''");
        let text = format!(
            "gateway: {{listen: 127.0.0.1:1}}\napis: {{a: {{kind: http, stages: {{$default: }}, routes: {{'GET /{{x}}': {{integration: {{type: mock, body: '{body}', headers: {{a: '{body}'}}}}}}}}}}}}\n"
        );
        config::properties::document(text.as_bytes());
    }
}
