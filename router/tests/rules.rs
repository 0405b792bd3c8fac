//! Routing rules (DM-05): which rule takes a request, and which rules cannot be.

use router::{
    ApiId, Builder, Glob, HostPattern, Kind, Located, MapFault, Miss, RoutingMode, RoutingRule, RuleFault, StageRef,
    Table, limits,
};

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).expect(text)
}

/// `name: value` for each header of a group.
fn group(headers: &[&str]) -> Vec<(String, Glob)> {
    let pair = |header: &&str| {
        let (name, value) = header.split_once(": ").expect(header);
        (name.to_owned(), Glob::parse(value).expect(header))
    };
    headers.iter().map(pair).collect()
}

/// A rule without conditions that cuts its base path off.
fn rule(priority: u32, stage: StageRef) -> RoutingRule {
    RoutingRule { priority, headers: Vec::new(), base_paths: None, stage, strip_base_path: true }
}

/// A REST API with stages numbered from zero.
fn stages(builder: &mut Builder, count: u32) -> Vec<StageRef> {
    let api = builder.api("shop", Kind::Rest);
    (0..count).map(|stage| builder.stage(api, &format!("s{stage}"), stage)).collect()
}

/// Where a request goes that has these fields, each `Name: value`.
fn locate(table: &Table, path: &str, fields: &[&str]) -> Result<(u32, u16), Miss> {
    let has = |name: &str, glob: &Glob| {
        let mut fields = fields.iter().map(|field| field.split_once(": ").expect(field));
        fields.any(|(known, value)| known.eq_ignore_ascii_case(name) && glob.matches(value.as_bytes()))
    };
    let located = table.locate(b"petstore.example.com", path.as_bytes(), false, has);
    located.map(|Located { stage, rest, .. }| (stage, rest))
}

/// Rules of `petstore.example.com`, which has mappings too: `/` to stage 8 and `/orders` to stage 9.
fn table(mode: RoutingMode, rules: impl FnOnce(&[StageRef]) -> Vec<RoutingRule>) -> Table {
    let mut builder = Builder::new();
    let stages = stages(&mut builder, 10);
    let domain = host("petstore.example.com");
    builder.map(&domain, "/", stages[8]).expect("new");
    builder.map(&domain, "orders", stages[9]).expect("new");
    for rule in rules(&stages) {
        builder.rule(&domain, rule).expect("a good rule");
    }
    builder.mode(&domain, mode);
    builder.build()
}

#[test]
fn dm_05_the_worked_example() {
    let table = table(RoutingMode::RulesOnly, |stages| {
        vec![
            rule(100, stages[3]),
            RoutingRule {
                headers: vec![group(&["accept: image/webp"]), group(&["pet: Dog-*"])],
                base_paths: Some(vec!["PetStoreShopper".into()]),
                ..rule(50, stages[2])
            },
            RoutingRule { headers: vec![group(&["hello: World"])], ..rule(10, stages[1]) },
        ]
    });
    for (path, fields, stage) in [
        ("/", &["Hello: World"][..], 1),
        ("/PetStoreShopper", &["Hello: World", "Pet: Dog-Bella", "Accept: image/webp"], 1),
        ("/PetStoreShopper", &["Pet: Dog-Bella", "Accept: image/webp"], 2),
        ("/PetStoreShopper", &["Pet: Dog-Bella"], 3),
        ("/PetStoreShopper", &["Pet: dog-Bella", "Accept: image/webp"], 3),
        ("/petstoreshopper", &["Pet: Dog-Bella", "Accept: image/webp"], 3),
        ("/PetStoreShopper2", &["Pet: Dog-Bella", "Accept: image/webp"], 3),
        ("/x/PetStoreShopper", &["Pet: Dog-Bella", "Accept: image/webp"], 3),
        ("/", &[], 3),
    ] {
        assert_eq!(locate(&table, path, fields).map(|(stage, _)| stage), Ok(stage), "{path} {fields:?}");
    }
}

#[test]
fn dm_05_one_of_a_group_is_enough_and_every_group_counts() {
    let table = table(RoutingMode::RulesOnly, |stages| {
        vec![RoutingRule {
            headers: vec![group(&["x-version: a*", "x-version: *beta*"]), group(&["x-tier: gold", "x-staff: *"])],
            ..rule(1, stages[1])
        }]
    });
    for (fields, fits) in [
        (&["X-Version: alpha", "X-Tier: gold"][..], true),
        (&["x-version: a-beta-2", "X-STAFF: "], true),
        (&["X-Version: gamma", "X-Version: beta", "X-Staff: me"], true),
        (&["X-Version: alpha"], false),
        (&["X-Tier: gold"], false),
        (&["X-Version: gamma", "X-Tier: gold"], false),
        (&["X-Version: alpha", "X-Tier: golden"], false),
    ] {
        let expect = if fits { Ok((1, 0)) } else { Err(Miss::Mapping { kind: Some(Kind::Rest) }) };
        assert_eq!(locate(&table, "/", fields), expect, "{fields:?}");
    }
}

#[test]
fn dm_05_base_paths_are_whole_segments_and_are_cut_off_if_asked() {
    let bases = || Some(vec!["users".to_owned(), "/users/profile/".to_owned(), "v1".to_owned()]);
    for (strip_base_path, rests) in [(true, [6, 6, 6, 14, 14, 3]), (false, [0; 6])] {
        let table = table(RoutingMode::RulesThenMappings, |stages| {
            vec![RoutingRule { base_paths: bases(), strip_base_path, ..rule(1, stages[1]) }]
        });
        let paths = ["/users", "/users/", "/users/7", "/users/profile", "/users/profile/x", "/v1/users"];
        for (path, rest) in paths.into_iter().zip(rests) {
            assert_eq!(locate(&table, path, &[]), Ok((1, rest)), "{path} {strip_base_path}");
        }
        // assumed: of several base paths that fit, the longest is cut off.
        for (path, stage, rest) in
            [("/usersx", 8, 0), ("/Users", 8, 0), ("/", 8, 0), ("//users", 8, 0), ("/orders/1", 9, 7)]
        {
            assert_eq!(locate(&table, path, &[]), Ok((stage, rest)), "{path}");
        }
    }
}

#[test]
fn dm_05_the_mode_says_who_is_asked() {
    let rules = |stages: &[StageRef]| vec![RoutingRule { headers: vec![group(&["x: y"])], ..rule(7, stages[1]) }];
    for (mode, with, without) in [
        (RoutingMode::MappingsOnly, Ok((9, 7)), Ok((9, 7))),
        (RoutingMode::RulesThenMappings, Ok((1, 0)), Ok((9, 7))),
        (RoutingMode::RulesOnly, Ok((1, 0)), Err(Miss::Mapping { kind: Some(Kind::Rest) })),
    ] {
        let table = table(mode, rules);
        assert_eq!(locate(&table, "/orders/1", &["X: y"]), with, "{mode:?}");
        assert_eq!(locate(&table, "/orders/1", &[]), without, "{mode:?}");
    }
    assert_eq!(RoutingMode::default(), RoutingMode::MappingsOnly);
}

#[test]
fn dm_05_a_rule_without_conditions_takes_all() {
    let table = table(RoutingMode::RulesThenMappings, |stages| {
        vec![rule(1_000_000, stages[2]), RoutingRule { base_paths: Some(vec!["a".into()]), ..rule(999_999, stages[1]) }]
    });
    assert_eq!(locate(&table, "/a", &[]), Ok((1, 2)));
    assert_eq!(locate(&table, "/orders/1", &[]), Ok((2, 0)));
}

#[test]
fn dm_05_a_host_may_have_rules_and_no_mapping() {
    let mut builder = Builder::new();
    let stages = stages(&mut builder, 1);
    let domain = host("*.example.com");
    let only = RoutingRule { base_paths: Some(vec!["a".into()]), ..rule(1, stages[0]) };
    builder.rule(&domain, only).expect("new");
    builder.mode(&domain, RoutingMode::RulesThenMappings);
    let table = builder.build();
    assert_eq!(locate(&table, "/a/b", &[]), Ok((0, 2)));
    assert_eq!(locate(&table, "/b", &[]), Err(Miss::Mapping { kind: Some(Kind::Rest) }));
    assert_eq!(table.locate(b"example.com", b"/a", false, |_, _| true), Err(Miss::Host));
}

#[test]
fn dm_05_rules_that_cannot_be_are_refused_and_change_nothing() {
    let mut builder = Builder::new();
    let stage = stages(&mut builder, 1)[0];
    let domain = host("petstore.example.com");
    let headers = |headers| RoutingRule { headers, ..rule(5, stage) };
    let bases = |list: &[&str]| {
        let base_paths = Some(list.iter().map(|&base| base.to_owned()).collect());
        RoutingRule { base_paths, ..rule(5, stage) }
    };
    let long = "x".repeat(limits::RULE_HEADER_NAME_BYTES_MAX + 1);
    let many = vec!["a"; limits::RULE_ALTERNATIVES_MAX + 1];
    for (rule, fault) in [
        (rule(0, stage), RuleFault::Priority),
        (rule(1_000_001, stage), RuleFault::Priority),
        (headers(vec![group(&["a: b"]); 3]), RuleFault::TooManyGroups),
        (headers(vec![group(&["a: b"]), Vec::new()]), RuleFault::NoAlternative),
        (headers(vec![group(&vec!["a: b"; many.len()])]), RuleFault::TooManyAlternatives),
        (headers(vec![group(&["a: b"]), group(&["a: b", "A: b"])]), RuleFault::HeaderName { group: 1, at: 1 }),
        (headers(vec![group(&["a b: c"])]), RuleFault::HeaderName { group: 0, at: 0 }),
        (headers(vec![group(&[&format!("{long}: c")])]), RuleFault::HeaderName { group: 0, at: 0 }),
        (bases(&[]), RuleFault::NoAlternative),
        (bases(&many), RuleFault::TooManyAlternatives),
        (bases(&["a", "/b//c"]), RuleFault::BasePath { at: 1, fault: MapFault::Segment { offset: 3 } }),
        (bases(&["a b"]), RuleFault::BasePath { at: 0, fault: MapFault::Character { offset: 1 } }),
    ] {
        assert!(!fault.to_string().is_empty());
        assert_eq!(builder.rule(&domain, rule), Err(fault));
    }
    builder.sole_api(ApiId(0));
    let table = builder.build();
    // The host is still unknown, so the sole API answers there.
    assert_eq!(locate(&table, "/s0/x", &[]), Ok((0, 3)));
}

#[test]
fn dm_05_priorities_are_unique_and_rules_are_counted() {
    let mut builder = Builder::new();
    let stage = stages(&mut builder, 1)[0];
    let domain = host("a.example.com");
    for priority in 1..=limits::RULES_MAX as u32 {
        assert_eq!(builder.rule(&domain, rule(priority, stage)), Ok(()));
    }
    assert_eq!(builder.rule(&domain, rule(3, stage)), Err(RuleFault::SamePriority));
    assert_eq!(builder.rule(&host("A.example.com"), rule(99, stage)), Err(RuleFault::TooManyRules));
    assert_eq!(builder.rule(&host("b.example.com"), rule(3, stage)), Ok(()));
}

#[test]
fn dm_05_websocket_apis_stay_among_themselves() {
    let mut builder = Builder::new();
    let rest = stages(&mut builder, 1)[0];
    let chat = builder.api("chat", Kind::WebSocket);
    let chat = builder.stage(chat, "v1", 1);
    let (one, two) = (host("a.example.com"), host("b.example.com"));
    builder.map(&one, "/", rest).expect("new");
    assert_eq!(builder.rule(&one, rule(1, chat)), Err(RuleFault::Mixed));
    assert_eq!(builder.rule(&two, rule(1, chat)), Ok(()));
    assert_eq!(builder.map(&two, "/", rest), Err(MapFault::Mixed));
}

#[test]
fn dm_05_a_rule_never_looks_beyond_the_path() {
    let table = table(RoutingMode::RulesOnly, |stages| {
        vec![RoutingRule { base_paths: Some(vec!["a/b".into(), String::new()]), ..rule(1, stages[1]) }]
    });
    for path in ["", "/", "/a", "/a/", "/a/b", "/a/b/", "/a/bc"] {
        let rest = if path == "/a/b" || path == "/a/b/" { 4 } else { 0 };
        assert_eq!(locate(&table, path, &[]), Ok((1, rest)), "{path}");
    }
}
