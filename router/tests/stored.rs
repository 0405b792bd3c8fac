//! Routes as bytes: whole ones come back as they were, and broken ones do no harm.

use proptest::prelude::*;
use router::{Captures, Kind, Routes, RoutesBuilder, Template, Verb, properties};

const VERBS: [Verb; 3] = [Verb::Get, Verb::Post, Verb::Put];

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&["a", "b", "ab", "pets", "petshop", "seventeen-bytes-x"][..]).prop_map(str::to_owned),
        1 => "[a-z0-9.-]{1,40}".prop_filter("canonical", |text| text != "." && text != ".."),
        2 => Just("{v}".to_owned()),
    ]
}

/// `VERB /path` in all shapes; names of variables are made different afterwards.
fn route() -> impl Strategy<Value = (Option<Verb>, String)> {
    let end = prop_oneof![4 => Just(""), 1 => Just("/{rest+}"), 1 => Just("/")];
    let verb = prop_oneof![3 => prop::sample::select(&VERBS[..]).prop_map(Some), 1 => Just(None)];
    (verb, prop::collection::vec(segment(), 0..6), end).prop_map(|(verb, segments, end)| {
        let mut path = String::new();
        for (i, segment) in segments.iter().enumerate() {
            path.extend(["/", &segment.replace("{v}", &format!("{{v{i}}}"))]);
        }
        path += end;
        (verb, if path.is_empty() { "/".to_owned() } else { path })
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[Kind::Rest, Kind::Http, Kind::WebSocket][..])
}

fn build(kind: Kind, routes: &[(Option<Verb>, String)], default: bool) -> Routes {
    let mut builder = RoutesBuilder::new(kind);
    for ((verb, path), method) in routes.iter().zip(0..) {
        let template = Template::parse(path).expect(path);
        // Duplicates and rivals are refused and leave no trace.
        let _ = builder.route(*verb, &template, method);
    }
    if default && kind == Kind::Http {
        builder.default_route(routes.len() as u32).expect("the first");
    }
    builder.build()
}

/// A method and its captures.
type Answer = (Option<u32>, Vec<Option<(u16, u16)>>);

/// Every answer that a list of paths gets.
fn answers(routes: &Routes, paths: &[String]) -> Vec<Answer> {
    let mut captures = Captures::new();
    let mut answers = Vec::new();
    for path in paths {
        for verb in VERBS {
            let found = routes.find(path.as_bytes(), 0, verb, &mut captures);
            answers.push((found, (0..captures.len()).map(|i| captures.parameter(i)).collect()));
        }
    }
    answers
}

/// Paths near the templates: variables filled, slashes added, ends cut off.
fn near(routes: &[(Option<Verb>, String)]) -> Vec<String> {
    let mut paths = vec![String::new(), "/".to_owned(), "//".to_owned(), "/a".repeat(2_000)];
    for (_, template) in routes {
        let path: String = template.split_inclusive('/').map(|part| part.replace(['{', '}', '+'], "")).collect();
        paths.push(format!("{path}/"));
        paths.push(format!("{path}/a/b"));
        paths.push(path[..path.len() - 1].to_owned());
        paths.push(path);
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 10_000 }))]

    #[test]
    fn what_was_stored_answers_the_same(
        kind in kind(),
        list in prop::collection::vec(route(), 0..40),
        default in any::<bool>(),
    ) {
        let routes = build(kind, &list, default);
        let bytes = postcard::to_stdvec(&routes).expect("a tree");
        let back: Routes = postcard::from_bytes(&bytes).expect("just written");
        let paths = near(&list);
        prop_assert_eq!(answers(&back, &paths), answers(&routes, &paths));
        prop_assert_eq!(back.methods_max(), routes.methods_max());
        prop_assert_eq!(postcard::to_stdvec(&back).expect("a tree"), bytes);
    }

    #[test]
    fn broken_bytes_do_no_harm(
        kind in kind(),
        list in prop::collection::vec(route(), 1..30),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = postcard::to_stdvec(&build(kind, &list, true)).expect("a tree");
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(routes) = postcard::from_bytes::<Routes>(&bytes) {
            // Debug builds also assert that no node is entered twice.
            for path in near(&list) {
                properties::routes(&routes, path.as_bytes());
            }
        }
    }

    #[test]
    fn any_bytes_do_no_harm(kind in 0..3_u8, nodes in prop::collection::vec(small(), 0..60), endpoints in 0..3_u8) {
        let nodes = nodes.concat();
        let mut bytes = vec![kind, 0];
        bytes.extend([nodes.len() as u8 | 0x80, (nodes.len() >> 7) as u8]);
        bytes.extend(nodes);
        bytes.push(endpoints * 5);
        bytes.extend([1, 7, 0, 0, 0].repeat(endpoints as usize));
        if let Ok(routes) = postcard::from_bytes::<Routes>(&bytes) {
            for path in ["/", "/a/a/a", &"/b".repeat(500), &"/".repeat(500)] {
                properties::routes(&routes, path.as_bytes());
            }
        }
    }
}

/// One node that is likely to be some node's child.
fn small() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![(0..20_u32), (0..20_u32).prop_map(|low| low.wrapping_sub(2 + u32::from(b'/')))];
    let node = (0..8_u8, prop_oneof![0..20_u32, Just(u32::MAX)], base, prop_oneof![0..3_u32, Just(u32::MAX)]);
    let node = node.prop_map(|(flags, parent, base, endpoint)| {
        let numbers = [parent, base, endpoint].map(u32::to_le_bytes);
        [&[flags << 5][..], numbers.as_flattened()].concat()
    });
    prop_oneof![4 => node, 1 => Just(vec![0xff])]
}

#[test]
fn other_formats_carry_routes_too() {
    let list = [(None, "/a/{v}".to_owned()), (Some(Verb::Get), "/b/{rest+}".to_owned())];
    let routes = build(Kind::Rest, &list, false);
    let text = serde_json::to_string(&routes).expect("a tree");
    let back: Routes = serde_json::from_str(&text).expect("just written");
    let paths = near(&list);
    assert_eq!(answers(&back, &paths), answers(&routes, &paths));
}

#[test]
fn an_empty_tree_is_stored_and_nothing_is_not() {
    let bytes = postcard::to_stdvec(&build(Kind::Rest, &[], false)).expect("a tree");
    let back: Routes = postcard::from_bytes(&bytes).expect("just written");
    assert_eq!(back.methods_max(), None);
    assert_eq!(back.find(b"/", 0, Verb::Get, &mut Captures::new()), None);
    assert!(postcard::from_bytes::<Routes>(&[0, 0, 0, 0]).is_err());
}

/// The fuzz target's corpus: whole, cut short everywhere, and with one byte changed.
#[test]
fn the_corpus_does_no_harm() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/routes");
    let property = |bytes: &[u8]| {
        let read = postcard::take_from_bytes::<Routes>(bytes);
        read.map(|(routes, path)| properties::routes(&routes, path)).is_ok()
    };
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("every target has a corpus") {
        let mut bytes = std::fs::read(entry.expect("a file").path()).expect("a file");
        assert!(property(&bytes));
        for at in 0..bytes.len() {
            property(&bytes[..at]);
            for change in [1, 4, 32, 128, 255] {
                bytes[at] ^= change;
                property(&bytes);
                bytes[at] ^= change;
            }
        }
        inputs += 1;
    }
    assert!(inputs >= 5);
}
