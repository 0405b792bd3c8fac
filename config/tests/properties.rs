//! No input panics the loader, and what it promises holds for all of them.

use proptest::prelude::*;

const GOOD: [&str; 2] = [include_str!("good/full.yaml"), include_str!("documents/useless.yaml")];

/// OpenAPI documents: what the fuzzer begins with.
const OPENAPI: [&str; 7] = [
    include_str!("../../fuzz/corpus/openapi/three"),
    include_str!("../../fuzz/corpus/openapi/two"),
    include_str!("../../fuzz/corpus/openapi/http"),
    include_str!("../../fuzz/corpus/openapi/refs"),
    include_str!("../../fuzz/corpus/openapi/functions"),
    include_str!("../../fuzz/corpus/openapi/template"),
    include_str!("../../fuzz/corpus/openapi/gateway"),
];

/// A good document with a few stretches cut, doubled, or replaced.
fn mutated(good: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        0..usize::MAX,
        0..40_usize,
        prop::sample::select(vec![
            "",
            " ",
            "\t",
            "\n",
            ":",
            "{",
            "}",
            "*",
            "&a",
            "\"",
            "é",
            "\0",
            "$",
            "://",
            "#",
            "$ref: '#/paths'",
            "!Sub ",
        ]),
        any::<bool>(),
    );
    (0..good.len(), prop::collection::vec(change, 1..6)).prop_map(|(which, changes)| {
        let mut bytes = good[which].as_bytes().to_vec();
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
    fn documents_with_slips(bytes in mutated(&GOOD)) {
        config::properties::document(&bytes);
    }

    #[test]
    fn openapi_with_slips(bytes in mutated(&OPENAPI)) {
        config::properties::openapi(&bytes);
    }

    #[test]
    fn any_reference(
        reference in "(#|a.yaml|https://x)?(/(paths|components|schemas|parameters|a|b|0|~1a|%7E1|%2)){0,5}",
        other in "#(/(paths|components|schemas|parameters|a|b|0|~1a)){0,4}",
    ) {
        let text = format!(
            "openapi: 3.0.1\npaths: {{/a: {{get: {{parameters: [{{$ref: '{reference}'}}], responses: {{200: {{$ref: '{other}'}}}}}}}}, /b: {{$ref: '{other}'}}}}\n\
             components: {{schemas: {{a: {{$ref: '{other}'}}, b: {{items: {{$ref: '{reference}'}}}}}}, parameters: {{a: {{$ref: '{reference}'}}, b: {{name: x, in: query}}}}}}\n"
        );
        config::properties::openapi(text.as_bytes());
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
