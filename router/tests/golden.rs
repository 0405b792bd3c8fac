//! The rows of the feature list that concern matching, and the recorded vectors; rows that nobody has checked on AWS are named `assumed`.

use router::{
    ApiId, Ask, Builder, Captures, Found, HostPattern, Kind, MapFault, Miss, Shadow, StageRef, Table, Template, Verb,
};

const ORDINARY: u32 = 40;

/// `VERB /path` or `$default`, in the order of their method numbers.
fn tree(builder: &mut Builder, kind: Kind, routes: &[&str]) -> router::TreeId {
    let tree = builder.tree(kind);
    for (route, method) in routes.iter().zip(0..) {
        if *route == "$default" {
            builder.default_route(tree, method).expect(route);
            continue;
        }
        let (verb, path) = route.split_once(' ').expect(route);
        let template = Template::parse(path).expect(path);
        builder.route(tree, Verb::parse(verb.as_bytes()), &template, method).expect(route);
    }
    tree
}

/// One API, mapped to every host with its whole path.
fn mapped(kind: Kind, routes: &[&str]) -> Table {
    let mut builder = Builder::new();
    let tree = tree(&mut builder, kind, routes);
    let api = builder.api("api", kind);
    let stage = builder.stage(api, "stage", tree, ORDINARY);
    builder.map(&host("*"), "/", stage).expect("the first");
    builder.build()
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).expect(text)
}

fn ask<'a>(host: &'a str, verb: &str, path: &'a str) -> Ask<'a> {
    Ask { host: host.as_bytes(), path: path.as_bytes(), verb: Verb::parse(verb.as_bytes()), execute_api: true }
}

/// Each request, `VERB /path`, and the route it finds; `-` for none.
fn check(kind: Kind, routes: &[&str], requests: &[(&str, &str)]) {
    let table = mapped(kind, routes);
    let mut captures = Captures::new();
    for (request, expect) in requests {
        let (verb, path) = request.split_once(' ').expect(request);
        let found = table.find(&ask("any.host", verb, path), &mut captures);
        let got = found.map_or("-", |found| routes[found.method as usize]);
        assert_eq!(got, *expect, "{kind:?} {request}");
    }
}

/// What `/{proxy+}` captures and shows for each path.
fn captured(table: &Table, path: &str, i: usize) -> (String, String) {
    let mut captures = Captures::new();
    table.find(&ask("any.host", "GET", path), &mut captures).expect(path);
    let text = |span: Option<(u16, u16)>| {
        let (start, end) = span.expect(path);
        path[start as usize..end as usize].to_owned()
    };
    (text(captures.get(i)), text(captures.parameter(i)))
}

#[test]
fn rt_06_rest_backtracks_on_the_method() {
    let routes = ["POST /test", "ANY /test/any", "OPTIONS /{proxy+}"];
    check(
        Kind::Rest,
        &routes,
        &[
            ("OPTIONS /test", "OPTIONS /{proxy+}"),
            ("POST /test", "POST /test"),
            ("GET /test", "-"),
            ("GET /test/any", "ANY /test/any"),
            ("OPTIONS /test/any", "ANY /test/any"),
            ("OPTIONS /test/other", "OPTIONS /{proxy+}"),
        ],
    );
}

#[test]
fn rt_06_rest_falls_back_to_the_greedy_variable() {
    let routes = ["GET /part1", "GET /part1/hardcoded-value", "GET /{param+}"];
    check(
        Kind::Rest,
        &routes,
        &[
            ("GET /part1", "GET /part1"),
            ("GET /part1/", "GET /part1"),
            ("GET /part1/hardcoded-value", "GET /part1/hardcoded-value"),
            ("GET /part1/random-value", "GET /{param+}"),
            ("GET /part1/hardcoded-value/x", "GET /{param+}"),
            ("GET /", "-"),
        ],
    );
}

#[test]
fn rt_06_rest_prefers_static_then_variable_then_greedy() {
    let routes = ["GET /a/b", "GET /a/{x}", "GET /{p}/b/c", "GET /a/{x}/{rest+}", "PUT /{p}/{q}"];
    check(
        Kind::Rest,
        &routes,
        &[
            ("GET /a/b", "GET /a/b"),
            ("GET /a/z", "GET /a/{x}"),
            ("GET /z/b/c", "GET /{p}/b/c"),
            // A greedy variable under a literal is reached before a literal under a variable.
            ("GET /a/b/c", "GET /a/{x}/{rest+}"),
            ("PUT /a/b", "PUT /{p}/{q}"),
            ("PUT /a/z", "PUT /{p}/{q}"),
        ],
    );
}

#[test]
fn rt_07_unknown_paths_and_verbs_are_one_miss() {
    let table = mapped(Kind::Rest, &["GET /existing"]);
    let mut captures = Captures::new();
    for (verb, path) in [("GET", "/other"), ("POST", "/existing"), ("BREW", "/existing"), ("HEAD", "/existing")] {
        let miss = Miss::Route { api: ApiId(0), stage: ORDINARY, rest: 0 };
        assert_eq!(table.find(&ask("h", verb, path), &mut captures), Err(miss), "{verb} {path}");
    }
}

#[test]
fn rt_02_rt_03_any_takes_the_seven_verbs_that_are_left() {
    for kind in [Kind::Rest, Kind::Http] {
        let routes = ["ANY /a", "GET /a", "ANY /b"];
        let mut requests = vec![("GET /a", "GET /a"), ("get /a", "-"), ("TRACE /a", "-"), ("PURGE /b", "-")];
        let all: Vec<String> = Verb::ALL.iter().map(|verb| format!("{} /b", verb.as_str())).collect();
        requests.extend(all.iter().map(|request| (request.as_str(), "ANY /b")));
        requests.extend([("HEAD /a", "ANY /a"), ("OPTIONS /a", "ANY /a")]);
        check(kind, &routes, &requests);
    }
}

#[test]
fn rt_04_a_variable_is_one_whole_segment_as_received() {
    let table = mapped(Kind::Rest, &["GET /users/{id}/mail"]);
    assert_eq!(captured(&table, "/users/test%2Balias@gmail.com/mail", 0).0, "test%2Balias@gmail.com");
    assert_eq!(captured(&table, "/users/a%2Fb/mail", 0).0, "a%2Fb");
    check(
        Kind::Rest,
        &["GET /users/{id}"],
        &[("GET /users/", "-"), ("GET /users//", "-"), ("GET /users", "-"), ("GET /users/a/b", "-")],
    );
    check(Kind::Http, &["GET /users/{id}"], &[("GET /users/", "-"), ("GET /users/a/b", "-")]);
}

#[test]
fn rt_05_greedy_keeps_inner_slashes_and_drops_the_last() {
    for kind in [Kind::Rest, Kind::Http] {
        let table = mapped(kind, &["GET /f/{proxy+}"]);
        for (path, whole, parameter) in [
            ("/f/proxy-value", "proxy-value", "proxy-value"),
            ("/f/proxy-value/", "proxy-value/", "proxy-value"),
            ("/f/proxy-value//x", "proxy-value//x", "proxy-value//x"),
            ("/f/a/b/c", "a/b/c", "a/b/c"),
            ("/f//x", "/x", "/x"),
            ("/f/a%2Fb", "a%2Fb", "a%2Fb"),
        ] {
            assert_eq!(captured(&table, path, 0), (whole.into(), parameter.into()), "{kind:?} {path}");
        }
    }
}

#[test]
fn rt_05_assumed_greedy_does_not_match_the_bare_parent() {
    for kind in [Kind::Rest, Kind::Http] {
        let requests = [("GET /parent", "-"), ("GET /parent/", "-"), ("GET /parent/x", "GET /parent/{p+}")];
        check(kind, &["GET /parent/{p+}"], &requests);
    }
    check(Kind::Http, &["ANY /{p+}"], &[("GET /", "-")]);
}

#[test]
fn rt_08_rest_ignores_one_trailing_slash() {
    check(
        Kind::Rest,
        &["GET /", "GET /pets", "GET /pets/{id}"],
        &[
            ("GET /", "GET /"),
            ("GET /pets/", "GET /pets"),
            ("GET /pets/7/", "GET /pets/{id}"),
            ("GET /pets//", "-"),
            ("GET //pets", "-"),
            ("GET /pets//7", "-"),
        ],
    );
    let table = mapped(Kind::Rest, &["GET /pets/{id}"]);
    assert_eq!(captured(&table, "/pets/7/", 0), ("7".into(), "7".into()));
}

#[test]
fn rt_12_the_worked_example() {
    let routes = ["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"];
    check(
        Kind::Http,
        &routes,
        &[
            ("GET /pets/dog/1", "GET /pets/dog/1"),
            ("GET /pets/dog/2", "GET /pets/dog/{id}"),
            ("GET /pets/cat/1", "GET /pets/{proxy+}"),
            ("POST /pets/dog/1", "ANY /{proxy+}"),
            ("POST /test/5", "ANY /{proxy+}"),
            ("GET /", "$default"),
        ],
    );
}

#[test]
fn rt_12_full_matches_come_before_every_greedy_one() {
    let routes = ["GET /a/{rest+}", "GET /{x}/b", "GET /{x}/{rest+}", "$default", "PUT /{x}/{y}"];
    check(
        Kind::Http,
        &routes,
        &[
            ("GET /a/b", "GET /{x}/b"),
            ("GET /a/c", "GET /a/{rest+}"),
            ("GET /c/c", "GET /{x}/{rest+}"),
            ("PUT /a/b", "PUT /{x}/{y}"),
            ("PUT /a/b/c", "$default"),
            ("GET /a", "$default"),
        ],
    );
    let table = mapped(Kind::Http, &routes);
    assert_eq!(captured(&table, "/a/c", 0).0, "c");
    assert_eq!(captured(&table, "/xyz/c/d", 0).0, "xyz");
    assert_eq!(captured(&table, "/xyz/c/d", 1).0, "c/d");
}

#[test]
fn rt_12_assumed_a_verb_beats_any_on_the_same_path_only() {
    let routes = ["ANY /pets/{id}", "GET /pets/{id}", "ANY /pets/dog"];
    check(
        Kind::Http,
        &routes,
        &[("GET /pets/1", "GET /pets/{id}"), ("PUT /pets/1", "ANY /pets/{id}"), ("GET /pets/dog", "ANY /pets/dog")],
    );
}

#[test]
fn rt_12_assumed_http_takes_a_trailing_slash_at_its_word() {
    check(
        Kind::Http,
        &["GET /pets", "GET /cats/", "GET /{x}/"],
        &[
            ("GET /pets", "GET /pets"),
            ("GET /pets/", "GET /{x}/"),
            ("GET /cats/", "GET /cats/"),
            ("GET /cats", "-"),
            ("GET /", "-"),
            ("GET //", "-"),
        ],
    );
}

#[test]
fn rt_13_default_takes_what_is_left_but_no_unknown_verb() {
    let requests = [("GET /x/y/z", "$default"), ("PUT /a", "$default"), ("GET /a", "GET /a"), ("PURGE /x", "-")];
    check(Kind::Http, &["GET /a", "$default"], &requests);
}

#[test]
fn rt_14_http_stages_by_first_segment_then_default() {
    let mut builder = Builder::new();
    let routes = tree(&mut builder, Kind::Http, &["GET /dev", "GET /x", "GET /"]);
    let api = builder.api("Hello", Kind::Http);
    builder.stage(api, "dev", routes, 1);
    builder.stage(api, "$default", routes, 2);
    let table = builder.build();
    let mut captures = Captures::new();
    for (path, stage, method, rest) in [
        ("/dev/x", 1, 1, 4),
        ("/x", 2, 1, 0),
        ("/", 2, 2, 0),
        ("/dev", 1, 2, 4),
        ("/dev/", 1, 2, 4),
        ("/dev/dev", 1, 0, 4),
    ] {
        let found = Found { api, stage, method, rest };
        let ask = ask("hello.execute-api.local", "GET", path);
        assert_eq!(table.find(&ask, &mut captures), Ok(found), "{path}");
    }
    let miss = Miss::Route { api, stage: 1, rest: 4 };
    let ask = ask("hello.execute-api.local", "GET", "/dev/y");
    assert_eq!(table.find(&ask, &mut captures), Err(miss));
}

#[test]
fn golden_18_2_rest_stage_and_own_path() {
    let mut builder = Builder::new();
    let routes = tree(&mut builder, Kind::Rest, &["GET /{proxy+}", "GET /hardcoded"]);
    let api = builder.api("abc", Kind::Rest);
    builder.stage(api, "stage", routes, 3);
    builder.sole_api(api);
    let table = builder.build();
    let mut captures = Captures::new();
    for (path, own, proxy) in [
        ("/stage/proxy-value", "/proxy-value", Some("proxy-value")),
        ("/stage/proxy-value/", "/proxy-value/", Some("proxy-value")),
        ("/stage/proxy-value//double-slash", "/proxy-value//double-slash", Some("proxy-value//double-slash")),
        ("//stage/proxy-value", "/proxy-value", Some("proxy-value")),
        ("/stage//proxy-value", "/proxy-value", Some("proxy-value")),
        ("/stage//hardcoded", "/hardcoded", None),
        (
            "/stage/test%2Balias@gmail.com/plus/test+alias@gmail.com",
            "/test%2Balias@gmail.com/plus/test+alias@gmail.com",
            Some("test%2Balias@gmail.com/plus/test+alias@gmail.com"),
        ),
    ] {
        let found = table.find(&ask("anything", "GET", path), &mut captures).expect(path);
        assert_eq!(&path[found.rest as usize..], own, "{path}");
        let shown = captures.parameter(0).map(|(start, end)| &path[start as usize..end as usize]);
        assert_eq!(shown, proxy, "{path}");
        assert_eq!(found.method, u32::from(proxy.is_none()));
    }
    // assumed: an unknown stage is a miss of its own (RT-07).
    for path in ["/", "/other", "/Stage/x"] {
        assert_eq!(table.find(&ask("h", "GET", path), &mut captures), Err(Miss::Stage { api }), "{path}");
    }
}

/// Three APIs: 0 `shop` (REST), 1 `blog` (HTTP), 2 `chat` (WebSocket), each with one stage of its own number.
fn three(builder: &mut Builder) -> [StageRef; 3] {
    let kinds = [("shop", Kind::Rest), ("blog", Kind::Http), ("chat", Kind::WebSocket)];
    [0, 1, 2].map(|number| {
        let (id, kind) = kinds[number];
        let routes = tree(builder, kind, &["ANY /x"]);
        let api = builder.api(id, kind);
        builder.stage(api, "v1", routes, number as u32)
    })
}

#[test]
fn dm_01_the_more_specific_host_answers() {
    let mut builder = Builder::new();
    let [shop, blog, _] = three(&mut builder);
    builder.map(&host("api.example.com"), "/", shop).expect("new");
    builder.map(&host("*.example.com"), "/", blog).expect("new");
    let table = builder.build();
    let mut captures = Captures::new();
    for (host, api) in [
        ("api.example.com", Some(0)),
        ("API.Example.COM.", Some(0)),
        ("b.example.com", Some(1)),
        // One label only, as in certificates.
        ("a.b.example.com", None),
        ("example.com", None),
        ("", None),
    ] {
        let found = table.find(&ask(host, "GET", "/x"), &mut captures);
        let expect = api.ok_or(Miss::Host);
        assert_eq!(found.map(|found| found.api.0), expect, "{host}");
    }
}

#[test]
fn rt_17_the_execute_api_name_answers_where_it_may() {
    let mut builder = Builder::new();
    let [_, blog, chat] = three(&mut builder);
    builder.map(&host("*"), "/", blog).expect("new");
    let closed = builder.api("closed", Kind::Rest);
    builder.close_execute_api(closed);
    let _ = chat;
    let table = builder.build();
    let mut captures = Captures::new();
    let mut api = |host, path, execute_api| {
        let ask = Ask { execute_api, ..ask(host, "GET", path) };
        table.find(&ask, &mut captures).map(|found| (found.api.0, found.rest))
    };
    assert_eq!(api("shop.execute-api.eu-west-1.amazonaws.com", "/v1/x", true), Ok((0, 3)));
    assert_eq!(api("SHOP.execute-api.localhost", "/v1/x", true), Ok((0, 3)));
    assert_eq!(api("shop.execute-api.localhost", "/x", true), Err(Miss::Stage { api: ApiId(0) }));
    assert_eq!(api("chat.execute-api.localhost", "/v1/x", true), Ok((2, 3)));
    // Where the name does not answer, the host is like any other.
    assert_eq!(api("shop.execute-api.localhost", "/x", false), Ok((1, 0)));
    assert_eq!(api("nobody.execute-api.localhost", "/x", true), Ok((1, 0)));
    assert_eq!(api("closed.execute-api.localhost", "/x", true), Err(Miss::Closed { api: closed }));
    assert_eq!(api("Closed.Execute-API.localhost.", "/x", true), Err(Miss::Closed { api: closed }));
    assert_eq!(api("closed.execute-api.localhost", "/x", false), Ok((1, 0)));
}

#[test]
fn dm_03_the_longest_base_path_answers_and_is_cut_off() {
    let mut builder = Builder::new();
    let [shop, blog, _] = three(&mut builder);
    let domain = host("api.example.com");
    builder.map(&domain, "orders", blog).expect("new");
    builder.map(&domain, "/orders/v1", shop).expect("new");
    let table = builder.build();
    let mut captures = Captures::new();
    let mut find = |path| table.find(&ask("api.example.com", "GET", path), &mut captures);
    assert_eq!(find("/orders/x").map(|found| (found.api.0, found.rest)), Ok((1, 7)));
    assert_eq!(find("/orders/v1/x").map(|found| (found.api.0, found.rest)), Ok((0, 10)));
    assert_eq!(find("/orders/v1/x/").map(|found| found.api.0), Ok(0));
    assert_eq!(find("/x"), Err(Miss::Mapping { kind: None }));
    // The API's routes are not considered: the longer mapping wins even where the shorter one would have a route.
    assert!(matches!(find("/orders/v1"), Err(Miss::Route { api: ApiId(0), .. })));
}

#[test]
fn dm_03_a_host_of_one_kind_says_so_when_no_base_path_fits() {
    let mut builder = Builder::new();
    let [_, blog, _] = three(&mut builder);
    builder.map(&host("b.example.com"), "a", blog).expect("new");
    builder.map(&host("b.example.com"), "b", blog).expect("new");
    let kind = Some(Kind::Http);
    let mut captures = Captures::new();
    let found = builder.build().find(&ask("b.example.com", "GET", "/c"), &mut captures);
    assert_eq!(found, Err(Miss::Mapping { kind }));
}

#[test]
fn dm_03_mappings_that_cannot_be_are_refused() {
    let mut builder = Builder::new();
    let [shop, blog, chat] = three(&mut builder);
    let domain = host("a.example.com");
    assert_eq!(builder.map(&domain, "/a", shop), Ok(()));
    assert_eq!(builder.map(&domain, "a/", blog), Err(MapFault::Duplicate));
    assert_eq!(builder.map(&host("A.example.com"), "a", blog), Err(MapFault::Duplicate));
    assert_eq!(builder.map(&domain, "/b", blog), Ok(()));
    assert_eq!(builder.map(&domain, "/c", chat), Err(MapFault::Mixed));
    assert_eq!(builder.map(&host("*"), "/c", chat), Ok(()));
    assert_eq!(builder.map(&host("*"), "/d", shop), Err(MapFault::Mixed));
    assert!(matches!(builder.map(&domain, "/%", shop), Err(MapFault::Character { offset: 1 })));
}

#[test]
fn stages_may_share_routes_and_hosts_come_before_the_sole_api() {
    let mut builder = Builder::new();
    let routes = tree(&mut builder, Kind::Http, &["GET /x"]);
    let api = builder.api("a", Kind::Http);
    let blue = builder.stage(api, "blue", routes, 5);
    builder.stage(api, "green", routes, 6);
    builder.map(&host("blue.test"), "", blue).expect("new");
    builder.sole_api(api);
    let table = builder.build();
    let mut captures = Captures::new();
    let mut stage = |host, path| table.find(&ask(host, "GET", path), &mut captures).map(|found| found.stage);
    assert_eq!(stage("blue.test", "/x"), Ok(5));
    assert_eq!(stage("else.test", "/green/x"), Ok(6));
    assert_eq!(stage("else.test", "/blue/x"), Ok(5));
    assert_eq!(stage("else.test", "/x"), Err(Miss::Stage { api }));
    assert!(stage("blue.test", "/green/x").is_err());
}

#[test]
fn shadowed_methods_name_their_tree() {
    let mut builder = Builder::new();
    tree(&mut builder, Kind::Rest, &["ANY /a"]);
    let routes = ["ANY /a", "DELETE /a", "GET /a", "HEAD /a", "OPTIONS /a", "PATCH /a", "POST /a", "PUT /a"];
    let tree = tree(&mut builder, Kind::Rest, &routes);
    let shadow = Shadow { tree, method: 0, by: 1 };
    assert_eq!(builder.shadowed(), [shadow]);
}

#[test]
fn captures_are_offsets_in_the_whole_path_and_empty_after_a_miss() {
    let mut builder = Builder::new();
    let routes = tree(&mut builder, Kind::Rest, &["GET /pets/{id}/{rest+}", "GET /pets"]);
    let api = builder.api("a", Kind::Rest);
    builder.stage(api, "v1", routes, 0);
    builder.sole_api(api);
    let table = builder.build();
    let mut captures = Captures::new();
    let path = "/v1/pets/7/a/b/";
    table.find(&ask("h", "GET", path), &mut captures).expect("there");
    assert_eq!(captures.of(0, path.as_bytes()), Some(&b"7"[..]));
    assert_eq!(captures.of(1, path.as_bytes()), Some(&b"a/b/"[..]));
    assert!(table.find(&ask("h", "PUT", path), &mut captures).is_err());
    assert!(captures.is_empty());
}

#[test]
fn a_path_beyond_the_limit_is_a_miss() {
    let table = mapped(Kind::Http, &["GET /{rest+}"]);
    let mut captures = Captures::new();
    let longest = format!("/{}", "a".repeat(router::limits::PATH_BYTES_MAX - 1));
    assert!(table.find(&ask("h", "GET", &longest), &mut captures).is_ok());
    assert_eq!(captures.get(0), Some((1, u16::MAX)));
    let longer = format!("{longest}a");
    assert!(matches!(table.find(&ask("h", "GET", &longer), &mut captures), Err(Miss::Route { .. })));
}
