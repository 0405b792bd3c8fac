//! The firewall as a whole, against its slow twin and against files that nobody wrote.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::slow::{self, Ask, Plain};
use super::*;
use crate::limits::{FIREWALL_CONDITIONS_MAX, FIREWALL_DEPTH_MAX, FIREWALL_RULES_MAX};
use crate::tests::Scene;

fn rule(name: &str, when: When, then: Then) -> Rule {
    Rule { name: name.into(), when, rate: None, then, line: Line(7) }
}

fn firewall(rules: Vec<Rule>, sets: Vec<Networks>, blocks: bool) -> Firewall {
    Firewall::try_from(Parts { blocks, sets: sets.into(), rules: rules.into(), line: Line(1) }).unwrap()
}

fn request(scene: &Scene, ip: u32, body: Option<u64>) -> Request<'_> {
    let address = Some(IpAddr::V4(Ipv4Addr::from_bits(ip)));
    Request { address, head: &scene.head, head_bytes: &scene.bytes, path: &scene.path, body }
}

fn ask() -> impl Strategy<Value = Ask> {
    let leaf = prop_oneof![
        prop::collection::vec((0..64_u32, 26..=32_u8), 0..6).prop_map(Ask::Address),
        "GET|POST|PUT".prop_map(Ask::Verb),
        (0..3_u8, 0..12_u64).prop_map(|(part, bytes)| Ask::Larger(part, bytes)),
        (0..3_u8, any::<bool>(), 0..5_u8, "[/ab]{1,3}")
            .prop_map(|(of, small, how, text)| Ask::Text(of, small, how, text)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Ask::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Ask::Any),
            inner.prop_map(|ask| Ask::Not(Box::new(ask))),
        ]
    })
}

fn plain() -> impl Strategy<Value = Plain> {
    let parts = (0..64_u32, "GET|POST|PUT", "/[abAB]{0,4}", prop::collection::vec("[abAB]{0,4}", 0..3));
    let more = (prop::option::of("[abAB]{1,4}"), prop::option::of(0..12_u64));
    (parts, more).prop_map(|((ip, verb, path, values), (field, body))| Plain { ip, verb, path, values, field, body })
}

proptest! {
    /// Whatever the rules and the request, the engine says what its twin says, and so does what was written to a file and read again.
    #[test]
    fn pol_04_the_engine_says_what_its_twin_says(
        rules in prop::collection::vec((ask(), 0..3_usize), 0..6),
        blocks: bool,
        plain in plain(),
    ) {
        let thens = [Then::Allow, Then::Block, Then::Count];
        let rules: Vec<(Ask, Then)> = rules.into_iter().map(|(ask, then)| (ask, thens[then])).collect();
        let mut sets = Vec::new();
        let compiled = rules.iter().enumerate().map(|(at, (ask, then))| rule(&format!("r{at}"), ask.when(&mut sets), *then));
        let compiled = compiled.collect();
        let wall = firewall(compiled, sets, blocks);
        let scene = Scene::new(router::Kind::Http, "/", "$default", &plain.bytes());
        let request = request(&scene, plain.ip, plain.body);
        let text = serde_json::to_string(&wall).unwrap();
        let again: Firewall = serde_json::from_str(&text).unwrap();
        prop_assert!(again == wall && again.says_as(&wall));
        let expected = slow::decide(&rules, blocks, &plain);
        for wall in [&wall, &again] {
            let mut held = Vec::new();
            let verdict = wall.decide(&request, &mut Work::default(), |_| unreachable!("no rates"), |at| held.push(at));
            prop_assert_eq!((verdict.passes, verdict.rule, held), expected.clone());
        }
    }
}

#[test]
fn a_rate_is_asked_of_whom_the_rest_of_its_rule_means() {
    let mut slow = rule("slow", When::Is(Test::Method(["GET".into()].into())), Then::Block);
    slow.rate = Some(Rate { limit: Limit::new(1.0, 1.0), clients: 10 });
    let wall = firewall(vec![rule("all", When::All([].into()), Then::Count), slow], Vec::new(), false);
    let mut asked = Vec::new();
    for (line, fast) in [("GET", true), ("GET", false), ("POST", true)] {
        let scene = Scene::new(
            router::Kind::Http,
            "/",
            "$default",
            format!("{line} /a HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes(),
        );
        let mut held = Vec::new();
        let too_fast = |rule: usize| {
            asked.push(rule);
            fast
        };
        let verdict = wall.decide(&request(&scene, 1, Some(0)), &mut Work::default(), too_fast, |at| held.push(at));
        let blocked = line == "GET" && fast;
        assert_eq!(verdict, Verdict { passes: !blocked, rule: blocked.then_some(1) }, "{line} {fast}");
        assert_eq!(held, if blocked { vec![0, 1] } else { vec![0] });
    }
    assert_eq!(asked, [1, 1], "whoever posts is not counted");
}

#[test]
fn what_is_not_said_of_a_body_is_larger_than_any_size() {
    let large =
        firewall(vec![rule("large", When::Is(Test::Larger(Part::Body, u64::MAX)), Then::Block)], Vec::new(), false);
    let scene = Scene::get("/{proxy+}", "/a", "");
    for (body, passes) in [(Some(u64::MAX), true), (None, false)] {
        let verdict = large.decide(&request(&scene, 1, body), &mut Work::default(), |_| false, |_| {});
        assert_eq!(verdict.passes, passes, "{body:?}");
    }
}

#[test]
fn fields_that_reach_no_backend_are_not_looked_at() {
    let test = |compare| TextTest { subject: Subject::Header("X-A".into()), steps: [].into(), compare };
    let has = |fields: &str, compare: Compare| {
        let wall =
            firewall(vec![rule("a", When::Is(Test::Text(Box::new(test(compare)))), Then::Block)], Vec::new(), false);
        let scene = Scene::get("/{proxy+}", "/a", fields);
        !wall.decide(&request(&scene, 1, None), &mut Work::default(), |_| false, |_| {}).passes
    };
    let equals = |text: &str| Compare::Equals([text.into()].into());
    assert!(has("x-a: 1\r\n", Compare::Present) && !has("x-b: 1\r\n", Compare::Present));
    assert!(has("x-a: 1\r\nX-A: 2\r\n", equals("1")) && has("x-a: 1\r\nX-A: 2\r\n", equals("2")), "any of them");
    assert!(!has("Connection: x-a\r\nX-A: 1\r\n", Compare::Present) && !has("x_a: 1\r\n", Compare::Present));
}

#[test]
fn files_cannot_say_what_documents_cannot() {
    let sound = |rules: Vec<Rule>| {
        Firewall::try_from(Parts { rules: rules.into(), ..Parts::default() }).map_err(|unsound| unsound.to_string())
    };
    let plain = |name: &str| rule(name, When::All([].into()), Then::Block);
    assert!(sound(vec![plain("a-B_1")]).is_ok());
    for name in ["", "a b", "a\n", "default", &"a".repeat(65)] {
        assert!(sound(vec![plain(name)]).is_err(), "{name}");
    }
    assert!(sound((0..=FIREWALL_RULES_MAX).map(|at| plain(&format!("r{at}"))).collect()).is_err());
    assert!(sound(vec![rule("a", When::Is(Test::Address(0)), Then::Block)]).is_err(), "there is no such set");
    let many = When::All((0..=FIREWALL_CONDITIONS_MAX).map(|_| When::All([].into())).collect());
    assert!(sound(vec![rule("a", many, Then::Block)]).is_err());
    // A file of a few bytes must not go deeper than a stack.
    let deep = |depth: usize| format!("[{}{{\"All\":0}}]", "\"Not\",".repeat(depth));
    assert!(serde_json::from_str::<When>(&deep(FIREWALL_DEPTH_MAX)).is_ok());
    for odd in [&*deep(1_000), "[]", "[\"Not\"]", "[{\"All\":2},{\"All\":0}]", "[{\"All\":0},{\"All\":0}]"] {
        assert!(serde_json::from_str::<When>(odd).is_err(), "{}", &odd[..odd.len().min(40)]);
    }
}
