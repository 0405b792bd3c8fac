//! Routes against a slow twin: a list of templates, tried one after the other in the documented order.

use proptest::prelude::*;
use router::{Captures, Kind, RouteFault, Routes, RoutesBuilder, Template, Verb, properties};

/// What one segment of a template is; the order is the order in which matches are preferred.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Literal(String),
    Variable,
    Greedy,
}

#[derive(Clone, Debug)]
struct Route {
    verb: Option<Verb>,
    parts: Vec<Part>,
}

impl Route {
    fn text(&self) -> String {
        let mut text = String::new();
        for (i, part) in self.parts.iter().enumerate() {
            text.push('/');
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable => text.extend(["{v", &i.to_string(), "}"]),
                Part::Greedy => text.extend(["{v", &i.to_string(), "+}"]),
            }
        }
        text
    }

    /// Captures, if the path's segments match.
    fn matches(&self, path: &str, kind: Kind) -> Option<Vec<(usize, usize)>> {
        let matched = match path.strip_suffix('/') {
            Some(short) if kind == Kind::Rest && path.len() > 1 => short,
            _ => path,
        };
        let mut captures = Vec::new();
        let mut at = 1;
        let mut parts = self.parts.iter();
        for segment in matched[1..].split('/') {
            match parts.next()? {
                Part::Literal(literal) if literal == segment => {}
                Part::Variable if !segment.is_empty() => captures.push((at, at + segment.len())),
                Part::Greedy if at < matched.len() => {
                    captures.push((at, path.len()));
                    return Some(captures);
                }
                _ => return None,
            }
            at += segment.len() + 1;
        }
        parts.next().is_none().then_some(captures)
    }

    /// Smaller is preferred. Literals that match one path are equal, so their text does not count.
    fn rank(&self, kind: Kind) -> (bool, Vec<u8>, bool) {
        let greedy = self.parts.last() == Some(&Part::Greedy);
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(_) => 0,
            Part::Variable => 1,
            Part::Greedy => 2,
        });
        (greedy && kind != Kind::Rest, parts.collect(), self.verb.is_none())
    }
}

/// The twin's answer: the method and its captures.
fn twin(routes: &[Route], kind: Kind, default: bool, verb: Verb, path: &str) -> Option<(u32, Vec<(usize, usize)>)> {
    let mut order: Vec<usize> = (0..routes.len()).collect();
    order.sort_by_key(|&i| routes[i].rank(kind));
    for i in order {
        if routes[i].verb.is_none_or(|own| own == verb)
            && let Some(captures) = routes[i].matches(path, kind)
        {
            return Some((i as u32, captures));
        }
    }
    default.then_some((routes.len() as u32, Vec::new()))
}

const LITERALS: [&str; 12] = [
    "a",
    "b",
    "ab",
    "abc",
    "b-",
    "pets",
    "petshop",
    "a-segment-that-is-longer-than-one-label",
    "a-segment-that-is-longer-than-two-labels-of-sixteen",
    "seventeen-bytes-x",
    "sixteen-bytes-xx",
    "B",
];

const VERBS: [Verb; 3] = [Verb::Get, Verb::Post, Verb::Options];

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&LITERALS[..3]),
        2 => prop::sample::select(&LITERALS[..]),
    ]
    .prop_map(str::to_owned)
}

fn route() -> impl Strategy<Value = Route> {
    let part = prop_oneof![3 => literal().prop_map(Part::Literal), 2 => Just(Part::Variable)];
    let end = prop_oneof![
        4 => Just(None),
        2 => Just(Some(Part::Greedy)),
        1 => Just(Some(Part::Literal(String::new()))),
    ];
    let verb = prop_oneof![3 => prop::sample::select(&VERBS[..]).prop_map(Some), 2 => Just(None)];
    (verb, prop::collection::vec(part, 0..5), end).prop_map(|(verb, mut parts, end)| {
        parts.extend(end);
        if parts.is_empty() {
            parts.push(Part::Literal(String::new()));
        }
        Route { verb, parts }
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        6 => literal(),
        2 => "[a-c]{1,9}",
        1 => "[ -.0-~]{0,24}".prop_map(|text| text.replace(['?', '#'], "-")),
        1 => Just(String::new()),
    ];
    (prop::collection::vec(segment, 0..7), prop::bool::weighted(0.2)).prop_map(|(segments, slash)| {
        let mut path = format!("/{}", segments.join("/"));
        if slash {
            path.push('/');
        }
        path
    })
}

/// Keeps the routes that the builder accepts, and checks that it refuses the others for a reason.
fn build(kind: Kind, routes: Vec<Route>, default: bool) -> (Routes, Vec<Route>) {
    let mut builder = RoutesBuilder::new(kind);
    let mut kept: Vec<Route> = Vec::new();
    for mut route in routes {
        let slash = Part::Literal(String::new());
        if kind == Kind::Rest && route.parts.len() > 1 && route.parts.last() == Some(&slash) {
            route.parts.pop();
        }
        let same = kept.iter().position(|known| known.verb == route.verb && known.parts == route.parts);
        let template = Template::parse(&route.text()).expect("made of valid parts");
        match builder.route(route.verb, &template, kept.len() as u32) {
            Ok(()) => {
                assert_eq!(same, None, "{route:?}");
                kept.push(route);
            }
            Err(RouteFault::Duplicate { of }) => assert_eq!(same, Some(of as usize), "{route:?}"),
            Err(RouteFault::SecondVariable { .. }) => {
                assert_eq!(kind, Kind::Rest);
                assert!(kept.iter().any(|known| has_rival(known, &route)), "{route:?}");
            }
            Err(fault) => panic!("{fault}"),
        }
    }
    if default {
        builder.default_route(kept.len() as u32).expect("the first");
    }
    (builder.build(), kept)
}

/// Whether the two have the same beginning and then a variable against a greedy variable.
fn has_rival(one: &Route, other: &Route) -> bool {
    let differ = one.parts.iter().zip(&other.parts).find(|(one, other)| one != other);
    matches!(differ, Some((Part::Variable, Part::Greedy) | (Part::Greedy, Part::Variable)))
}

fn compare(kind: Kind, routes: Vec<Route>, paths: &[String], default: bool) {
    let default = default && kind == Kind::Http;
    let (frozen, routes) = build(kind, routes, default);
    let mut captures = Captures::new();
    for path in paths {
        for verb in VERBS {
            let found = frozen.find(path.as_bytes(), 0, verb, &mut captures);
            let spans: Vec<(usize, usize)> = (0..captures.len())
                .map(|i| captures.get(i).expect("below len"))
                .map(|(start, end)| (start as usize, end as usize))
                .collect();
            assert!(found.is_some() || captures.is_empty());
            let got = found.map(|method| (method, spans));
            let list: Vec<String> = routes.iter().map(Route::text).collect();
            assert_eq!(got, twin(&routes, kind, default, verb, path), "{kind:?} {verb:?} {path} in {list:?}");
        }
    }
}

/// Paths that follow the routes' own templates, so that matches are many.
fn follow(routes: &[Route], fill: &[String]) -> Vec<String> {
    let mut fill = fill.iter().cycle();
    let mut paths = Vec::new();
    for route in routes {
        let mut path = String::new();
        for part in &route.parts {
            path.push('/');
            match part {
                Part::Literal(literal) => path += literal,
                Part::Variable => path += fill.next().expect("it never ends"),
                Part::Greedy => path.extend([fill.next().expect("endless"), "/", fill.next().expect("endless")]),
            }
        }
        paths.push(format!("{path}/"));
        paths.push(format!("{path}x"));
        paths.push(path);
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 20_000 }))]

    #[test]
    fn routes_agree_with_their_twin(
        routes in prop::collection::vec(route(), 0..40),
        mut paths in prop::collection::vec(path(), 12),
        fill in prop::collection::vec(prop_oneof![literal(), "[a-c/]{1,12}", "[!-.0-~]{1,20}"], 7),
        rest in any::<bool>(),
        default in any::<bool>(),
    ) {
        paths.extend(follow(&routes, &fill));
        compare(if rest { Kind::Rest } else { Kind::Http }, routes, &paths, default);
    }

    #[test]
    fn any_bytes_are_safe(
        routes in prop::collection::vec(route(), 1..20),
        path in prop::collection::vec(any::<u8>(), 0..40),
        rest in any::<bool>(),
    ) {
        let (frozen, _) = build(if rest { Kind::Rest } else { Kind::Http }, routes, false);
        for path in [path.clone(), [b"/", &path[..]].concat(), [b"/a/", &path[..]].concat()] {
            properties::routes(&frozen, &path);
        }
    }
}
