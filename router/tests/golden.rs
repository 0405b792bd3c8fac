//! The rows of the feature list that concern matching, and the recorded vectors; rows that nobody has checked on AWS are named `assumed`.

use router::{
    ApiId, Builder, Captures, HostPattern, Kind, Located, MapFault, Miss, RouteFault, Routes, RoutesBuilder, StageRef,
    Table, Template, TemplateFault, TemplateProblem, Verb,
};

/// `VERB /path` or `$default`, in the order of their method numbers.
fn routes(kind: Kind, routes: &[&str]) -> Routes {
    let mut builder = RoutesBuilder::new(kind);
    for (route, method) in routes.iter().zip(0..) {
        if *route == "$default" {
            builder.default_route(method).expect(route);
            continue;
        }
        let (verb, path) = route.split_once(' ').expect(route);
        let template = Template::parse(path).expect(path);
        builder.route(Verb::parse(verb.as_bytes()), &template, method).expect(route);
    }
    builder.build()
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).expect(text)
}

/// The stage for a request without header fields, where execute-api names answer.
fn locate(table: &Table, host: &str, path: &str) -> Result<Located, Miss> {
    table.locate(host.as_bytes(), path.as_bytes(), true, |_, _| false)
}

/// The method for a verb as it stands in a request.
fn find(routes: &Routes, verb: &str, path: &str, rest: u16, captures: &mut Captures) -> Option<u32> {
    routes.find(path.as_bytes(), rest, Verb::parse(verb.as_bytes())?, captures)
}

/// Each request, `VERB /path`, and the route it finds; `-` for none. The order in which routes are added makes no difference.
fn check(kind: Kind, list: &[&str], requests: &[(&str, &str)]) {
    let reversed: Vec<&str> = list.iter().rev().copied().collect();
    let mut captures = Captures::new();
    for list in [list, &reversed] {
        let routes = routes(kind, list);
        for (request, expect) in requests {
            let (verb, path) = request.split_once(' ').expect(request);
            let found = find(&routes, verb, path, 0, &mut captures);
            let got = found.map_or("-", |method| list[method as usize]);
            assert_eq!(got, *expect, "{kind:?} {request}");
        }
    }
}

/// What variable `i` captures and shows for `GET path`.
fn captured(routes: &Routes, path: &str, i: usize) -> (String, String) {
    let mut captures = Captures::new();
    find(routes, "GET", path, 0, &mut captures).expect(path);
    let text = |span: Option<(u16, u16)>| {
        let (start, end) = span.expect(path);
        path[start as usize..end as usize].to_owned()
    };
    (text(captures.get(i)), text(captures.parameter(i)))
}

#[test]
fn rt_01_one_method_for_a_verb_and_a_resource() {
    let template = |path| Template::parse(path).expect("valid");
    let mut builder = RoutesBuilder::new(Kind::Rest);
    assert_eq!(builder.route(Some(Verb::Get), &template("/pets"), 0), Ok(()));
    assert_eq!(builder.route(Some(Verb::Put), &template("/pets/"), 1), Ok(()));
    assert_eq!(builder.route(Some(Verb::Get), &template("/pets"), 2), Err(RouteFault::Duplicate { of: 0 }));
    assert_eq!(builder.route(Some(Verb::Put), &template("/pets"), 2), Err(RouteFault::Duplicate { of: 1 }));
    check(Kind::Rest, &["GET /a_b-c.d,e:f/{g_h-i.j}"], &[("GET /a_b-c.d,e:f/1", "GET /a_b-c.d,e:f/{g_h-i.j}")]);
    // The root is there without any resource; it has methods of its own.
    check(Kind::Rest, &["POST /"], &[("POST /", "POST /"), ("GET /", "-"), ("POST /x", "-")]);
}

#[test]
fn rt_04_rt_05_resources_that_cannot_be() {
    use TemplateProblem as P;
    for (path, offset, what) in
        [("/a{b}", 2, P::PartialVariable), ("/{proxy+}/x", 9, P::UnderGreedy), ("/x/{proxy+}/{id}", 11, P::UnderGreedy)]
    {
        assert_eq!(Template::parse(path), Err(TemplateFault { offset, what }), "{path}");
    }
    let mut builder = RoutesBuilder::new(Kind::Rest);
    assert_eq!(builder.route(None, &Template::parse("/{proxy+}").expect("valid"), 0), Ok(()));
    let sibling = "{proxy+}".into();
    let second = builder.route(None, &Template::parse("/{id}").expect("valid"), 1);
    assert_eq!(second, Err(RouteFault::SecondVariable { sibling }));
}

#[test]
fn rt_11_only_http_apis_have_a_default_route() {
    for (kind, expect) in
        [(Kind::Http, Ok(())), (Kind::Rest, Err(RouteFault::NoDefault)), (Kind::WebSocket, Err(RouteFault::NoDefault))]
    {
        assert_eq!(RoutesBuilder::new(kind).default_route(0), expect, "{kind:?}");
    }
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
    let requests = ["GET /other", "POST /existing", "BREW /existing", "HEAD /existing"].map(|request| (request, "-"));
    check(Kind::Rest, &["GET /existing"], &requests);
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
    let routes = routes(Kind::Rest, &["GET /users/{id}/mail"]);
    assert_eq!(captured(&routes, "/users/test%2Balias@gmail.com/mail", 0).0, "test%2Balias@gmail.com");
    assert_eq!(captured(&routes, "/users/a%2Fb/mail", 0).0, "a%2Fb");
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
        let routes = routes(kind, &["GET /f/{proxy+}"]);
        for (path, whole, parameter) in [
            ("/f/proxy-value", "proxy-value", "proxy-value"),
            ("/f/proxy-value/", "proxy-value/", "proxy-value"),
            ("/f/proxy-value//x", "proxy-value//x", "proxy-value//x"),
            ("/f/a/b/c", "a/b/c", "a/b/c"),
            ("/f//x", "/x", "/x"),
            ("/f/a%2Fb", "a%2Fb", "a%2Fb"),
        ] {
            assert_eq!(captured(&routes, path, 0), (whole.into(), parameter.into()), "{kind:?} {path}");
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
    let routes = routes(Kind::Rest, &["GET /pets/{id}"]);
    assert_eq!(captured(&routes, "/pets/7/", 0), ("7".into(), "7".into()));
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
    let list = ["GET /a/{rest+}", "GET /{x}/b", "GET /{x}/{rest+}", "$default", "PUT /{x}/{y}"];
    check(
        Kind::Http,
        &list,
        &[
            ("GET /a/b", "GET /{x}/b"),
            ("GET /a/c", "GET /a/{rest+}"),
            ("GET /c/c", "GET /{x}/{rest+}"),
            ("PUT /a/b", "PUT /{x}/{y}"),
            ("PUT /a/b/c", "$default"),
            ("GET /a", "$default"),
        ],
    );
    let routes = routes(Kind::Http, &list);
    assert_eq!(captured(&routes, "/a/c", 0).0, "c");
    assert_eq!(captured(&routes, "/xyz/c/d", 0).0, "xyz");
    assert_eq!(captured(&routes, "/xyz/c/d", 1).0, "c/d");
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
    let routes = routes(Kind::Http, &["GET /dev", "GET /x", "GET /"]);
    let mut builder = Builder::new();
    let api = builder.api("Hello", Kind::Http);
    builder.stage(api, "dev", 1);
    builder.stage(api, "$default", 2);
    let table = builder.build();
    let mut captures = Captures::new();
    for (path, stage, method, rest) in [
        ("/dev/x", 1, Some(1), 4),
        ("/x", 2, Some(1), 0),
        ("/", 2, Some(2), 0),
        ("/dev", 1, Some(2), 4),
        ("/dev/", 1, Some(2), 4),
        ("/dev/dev", 1, Some(0), 4),
        ("/dev/y", 1, None, 4),
        ("/devx", 2, None, 0),
    ] {
        let located = locate(&table, "hello.execute-api.local", path);
        assert_eq!(located, Ok(Located { api, stage, rest }), "{path}");
        assert_eq!(find(&routes, "GET", path, rest, &mut captures), method, "{path}");
    }
}

#[test]
fn rt_14_http_without_a_default_stage_needs_a_name() {
    let mut builder = Builder::new();
    let api = builder.api("hello", Kind::Http);
    builder.stage(api, "dev", 1);
    let table = builder.build();
    assert_eq!(locate(&table, "hello.execute-api.local", "/dev/x"), Ok(Located { api, stage: 1, rest: 4 }));
    for path in ["/", "/x", "/Dev/x", "/$default"] {
        assert_eq!(locate(&table, "hello.execute-api.local", path), Err(Miss::Stage { api }), "{path}");
    }
}

#[test]
fn golden_18_2_rest_stage_and_own_path() {
    let routes = routes(Kind::Rest, &["GET /{proxy+}", "GET /hardcoded"]);
    let mut builder = Builder::new();
    let api = builder.api("abc", Kind::Rest);
    builder.stage(api, "stage", 3);
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
        let rest = locate(&table, "anything", path).expect(path).rest;
        assert_eq!(&path[rest as usize..], own, "{path}");
        let method = find(&routes, "GET", path, rest, &mut captures);
        let shown = captures.parameter(0).map(|(start, end)| &path[start as usize..end as usize]);
        assert_eq!(shown, proxy, "{path}");
        assert_eq!(method, Some(u32::from(proxy.is_none())));
    }
    // assumed: an unknown stage is a miss of its own (RT-07).
    for path in ["/", "/other", "/Stage/x"] {
        assert_eq!(locate(&table, "h", path), Err(Miss::Stage { api }), "{path}");
    }
}

/// Three APIs: 0 `shop` (REST), 1 `blog` (HTTP), 2 `chat` (WebSocket), each with one stage `v1` of its own number.
fn three(builder: &mut Builder) -> [StageRef; 3] {
    let kinds = [("shop", Kind::Rest), ("blog", Kind::Http), ("chat", Kind::WebSocket)];
    [0, 1, 2].map(|number| {
        let (id, kind) = kinds[number];
        let api = builder.api(id, kind);
        builder.stage(api, "v1", number as u32)
    })
}

/// The stage's number and where its path begins.
fn place(found: Result<Located, Miss>) -> Result<(u32, u16), Miss> {
    found.map(|found| (found.stage, found.rest))
}

#[test]
fn dm_01_the_more_specific_host_answers() {
    let mut builder = Builder::new();
    let [shop, blog, _] = three(&mut builder);
    builder.map(&host("api.example.com"), "/", shop).expect("new");
    builder.map(&host("*.example.com"), "/", blog).expect("new");
    let table = builder.build();
    for (host, stage) in [
        ("api.example.com", Some(0)),
        ("API.Example.COM.", Some(0)),
        ("b.example.com", Some(1)),
        // One label only, as in certificates.
        ("a.b.example.com", None),
        ("example.com", None),
        ("", None),
    ] {
        assert_eq!(place(locate(&table, host, "/x")), stage.map(|stage| (stage, 0)).ok_or(Miss::Host), "{host}");
    }
}

#[test]
fn rt_17_the_execute_api_name_answers_where_it_may() {
    let mut builder = Builder::new();
    let [_, blog, _] = three(&mut builder);
    builder.map(&host("*"), "/", blog).expect("new");
    let table = builder.build();
    let find = |host: &str, path: &str, execute_api| {
        place(table.locate(host.as_bytes(), path.as_bytes(), execute_api, |_, _| false))
    };
    assert_eq!(find("shop.execute-api.eu-west-1.amazonaws.com", "/v1/x", true), Ok((0, 3)));
    assert_eq!(find("SHOP.execute-api.localhost", "/v1/x", true), Ok((0, 3)));
    assert_eq!(find("shop.execute-api.localhost", "/x", true), Err(Miss::Stage { api: ApiId(0) }));
    assert_eq!(find("chat.execute-api.localhost", "/v1/x", true), Ok((2, 3)));
    // Where the name does not answer, the host is like any other.
    assert_eq!(find("shop.execute-api.localhost", "/x", false), Ok((1, 0)));
    assert_eq!(find("nobody.execute-api.localhost", "/x", true), Ok((1, 0)));
}

#[test]
fn rt_17_a_closed_execute_api_name_answers_no_more() {
    let mut builder = Builder::new();
    let [shop, blog, _] = three(&mut builder);
    let closed = ApiId(0);
    builder.close_execute_api(closed);
    builder.map(&host("*"), "/", blog).expect("new");
    builder.map(&host("shop.example.com"), "/", shop).expect("new");
    builder.map(&host("shop.execute-api.own"), "/", shop).expect("new");
    let table = builder.build();
    let find = |host: &str, execute_api| place(table.locate(host.as_bytes(), b"/v1/x", execute_api, |_, _| false));
    assert_eq!(find("shop.execute-api.localhost", true), Err(Miss::Closed { api: closed }));
    assert_eq!(find("Shop.Execute-API.localhost.", true), Err(Miss::Closed { api: closed }));
    // Its custom domains answer, also one that looks alike, and so do the names of others.
    assert_eq!(find("shop.example.com", true), Ok((0, 0)));
    assert_eq!(find("shop.execute-api.own", true), Ok((0, 0)));
    assert_eq!(find("blog.execute-api.localhost", true), Ok((1, 3)));
    // Where no such names are known it is a host like any other.
    assert_eq!(find("shop.execute-api.localhost", false), Ok((1, 0)));
}

#[test]
fn rt_17_the_sole_api_is_closed_under_its_execute_api_name_alone() {
    let mut builder = Builder::new();
    let api = builder.api("Shop", Kind::Rest);
    builder.stage(api, "v1", 0);
    builder.sole_api(api);
    builder.close_execute_api(api);
    let table = builder.build();
    for (host, expect) in [
        ("shop.execute-api.localhost", Err(Miss::Closed { api })),
        ("SHOP.Execute-Api.localhost.", Err(Miss::Closed { api })),
        ("shop.execute-api", Ok((0, 3))),
        ("other.execute-api.localhost", Ok((0, 3))),
        ("shop.localhost", Ok((0, 3))),
        ("localhost", Ok((0, 3))),
        ("", Ok((0, 3))),
    ] {
        for execute_api in [false, true] {
            let found = table.locate(host.as_bytes(), b"/v1/x", execute_api, |_, _| false);
            assert_eq!(place(found), expect, "{host} {execute_api}");
        }
    }
}

#[test]
fn rt_17_of_two_ids_that_differ_in_case_the_first_has_the_name() {
    let mut builder = Builder::new();
    let first = builder.api("shop", Kind::Rest);
    let second = builder.api("SHOP", Kind::Rest);
    builder.stage(second, "v1", 1);
    builder.close_execute_api(first);
    assert_eq!(locate(&builder.build(), "SHOP.execute-api.x", "/v1"), Err(Miss::Closed { api: first }));
}

#[test]
fn dm_03_the_longest_base_path_answers_and_is_cut_off() {
    let mut builder = Builder::new();
    let [shop, blog, _] = three(&mut builder);
    let domain = host("api.example.com");
    builder.map(&domain, "orders", blog).expect("new");
    builder.map(&domain, "/orders/v1", shop).expect("new");
    let table = builder.build();
    let find = |path| place(locate(&table, "api.example.com", path));
    assert_eq!(find("/orders/x"), Ok((1, 7)));
    assert_eq!(find("/orders/v1/x"), Ok((0, 10)));
    assert_eq!(find("/orders/v1/x/"), Ok((0, 10)));
    // The API's routes are not considered: the longer mapping wins even where the shorter one would have a route.
    assert_eq!(find("/orders/v1"), Ok((0, 10)));
    assert_eq!(find("/orders/v12"), Ok((1, 7)));
    assert_eq!(find("/x"), Err(Miss::Mapping { kind: None }));
}

#[test]
fn dm_03_a_host_of_one_kind_says_so_when_no_base_path_fits() {
    let mut builder = Builder::new();
    let [_, blog, _] = three(&mut builder);
    builder.map(&host("b.example.com"), "a", blog).expect("new");
    builder.map(&host("b.example.com"), "b", blog).expect("new");
    let found = locate(&builder.build(), "b.example.com", "/c");
    assert_eq!(found, Err(Miss::Mapping { kind: Some(Kind::Http) }));
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
fn hosts_come_before_the_sole_api() {
    let mut builder = Builder::new();
    let api = builder.api("a", Kind::Http);
    let blue = builder.stage(api, "blue", 5);
    builder.stage(api, "green", 6);
    builder.map(&host("blue.test"), "", blue).expect("new");
    builder.sole_api(api);
    let table = builder.build();
    let find = |host, path| place(locate(&table, host, path));
    assert_eq!(find("blue.test", "/x"), Ok((5, 0)));
    assert_eq!(find("blue.test", "/green/x"), Ok((5, 0)));
    assert_eq!(find("else.test", "/green/x"), Ok((6, 6)));
    assert_eq!(find("else.test", "/blue/x"), Ok((5, 5)));
    assert_eq!(find("else.test", "/x"), Err(Miss::Stage { api }));
}

#[test]
fn captures_are_offsets_in_the_whole_path_and_empty_after_a_miss() {
    let routes = routes(Kind::Rest, &["GET /pets/{id}/{rest+}", "GET /pets"]);
    let mut captures = Captures::new();
    let path = "/v1/pets/7/a/b/";
    assert_eq!(find(&routes, "GET", path, 3, &mut captures), Some(0));
    assert_eq!(captures.of(0, path.as_bytes()), Some(&b"7"[..]));
    assert_eq!(captures.of(1, path.as_bytes()), Some(&b"a/b/"[..]));
    assert_eq!(find(&routes, "PUT", path, 3, &mut captures), None);
    assert!(captures.is_empty());
}

#[test]
fn a_path_beyond_the_limit_is_a_miss() {
    let routes = routes(Kind::Http, &["GET /{rest+}"]);
    let mut captures = Captures::new();
    let longest = format!("/{}", "a".repeat(router::limits::PATH_BYTES_MAX - 1));
    assert_eq!(find(&routes, "GET", &longest, 0, &mut captures), Some(0));
    assert_eq!(captures.get(0), Some((1, u16::MAX)));
    assert_eq!(find(&routes, "GET", &format!("{longest}a"), 0, &mut captures), None);
}
