//! Rows of the list of API Gateway's features that concern routes, paths, stages, domains and mappings: the list names the tests
//! of each (`rows.txt`), and here stand those that no other file has. Raw bytes, on both drivers.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::list::faults;
use support::stage::No;
use support::{Reply, Response, Stage, Theatre, shown};

static HOUSE: Theatre = Theatre::new(concat!(
    r#"
apis:
  one:
    kind: rest
    routes:
      "POST /test": &told {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.resourcePath"}}
      "ANY /test/any": *told
      "OPTIONS /{proxy+}": *told
    stages: {stage: {}}
  two:
    kind: rest
    routes: {"GET /part1": *told, "GET /part1/hardcoded-value": *told, "GET /{param+}": *told}
    stages: {stage: {}}
  three:
    kind: rest
    routes: {"GET /existing": *told, "GET /A-z_0.9,x:y": *told}
    stages: {stage: {}}
  four:
    kind: rest
    routes:
      "ANY /{proxy+}": &paths {integration: {type: mock, headers: {Content-Type: text/plain, X-Proxy: $request.path.proxy}, body: "$context.path"}}
      "ANY /hardcoded": {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.path"}}
    stages: {stage: {}}
  five:
    kind: rest
    routes:
      "ANY /pets/{id}": &one {integration: {type: mock, headers: {Content-Type: text/plain, X-Id: $request.path.id}, body: "$context.resourcePath $context.httpMethod"}}
      "GET /parent/{proxy+}": *paths
      "GET /verbs": *told
      "ANY /verbs": {integration: {type: mock, headers: {Content-Type: text/plain}, body: "any $context.httpMethod"}}
    stages: {stage: {}}
  back:
    kind: rest
    routes:
      "ANY /{proxy+}":
        integration: &to {type: http_proxy, uri: "http://{{backend}}/{proxy}"}
        request_parameters:
          integration.request.header.X-Email: method.request.querystring.email
          integration.request.header.X-Plus: method.request.querystring.plus
          integration.request.header.X-Time: method.request.querystring.dateTimeOffset
          integration.request.header.X-Url: method.request.querystring.url
          integration.request.header.X-Blank: method.request.querystring.whitespace
          integration.request.header.X-Category: method.request.querystring.category
          integration.request.header.X-Price: method.request.querystring.price
          integration.request.header.X-Categories: method.request.multivaluequerystring.category
          integration.request.header.X-Prices: method.request.multivaluequerystring.price
          integration.request.header.X-Exact: method.request.header.X-Pet
          integration.request.header.X-Whole: method.request.multivalueheader.X-Pet
      "ANY /overridden": {integration: {type: http_proxy, uri: "http://{{backend}}/o"}, request_parameters: {integration.request.header.X-HTTP-Method-Override: method.request.header.X-HTTP-Method-Override}}
    stages: {stage: {}}
  web:
    kind: http
    routes:
      "GET /pets/dog/1": &routed {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.stage $context.resourcePath"}}
      "GET /pets/dog/{id}": *routed
      "GET /pets/{proxy+}": *routed
      "ANY /{proxy+}": *routed
      "$default": *routed
    stages: {$default: {}, beta: {}}
  few:
    kind: http
    routes:
      "GET /pets/dog/1": *routed
      "GET /{proxy+}":
        integration: *to
        request_parameters:
          "append:header.X-Pets": $request.header.X-Pet
          "append:header.X-Qs": $request.querystring.q
          "append:header.X-Path": $request.path
          "overwrite:header.Host": mapped.example
      "POST /long": {integration: {type: http_proxy, uri: "http://{{backend}}/long"}, request_parameters: {"append:header.X-First": $request.body.first, "append:header.X-Last": $request.body.last}}
    stages: {beta: {}}
  rest_of:
    kind: http
    routes: {$default: {integration: {type: http_proxy, uri: "http://{{backend}}/base"}}}
    stages: {$default: {}}
  templates:
    kind: rest
    openapi: ""#,
    env!("CARGO_MANIFEST_DIR"),
    r#"/tests/rows.yaml"
    stages: {stage: {variables: {backend: "{{backend}}"}}}
domains:
  four.test: {mappings: {/: four/stage, /base: four/stage}}
"#
));

/// The tests of the list, where they stand.
const LIST: &str = include_str!("rows.txt");

/// The list's sections that must be whole: what their ids begin with, and how many there are.
const SECTIONS: &[(&str, usize)] = &[("RT", 18), ("ST", 13), ("DM", 12), ("MP", 21), ("GV-18", 3)];

#[track_caller]
fn ask(stage: &Stage, api: &str, line: &str, fields: &str) -> Response {
    stage.ask(format!("{line} HTTP/1.1\r\nHost: {api}.execute-api.test\r\n{fields}\r\n"))
}

/// Asks, and expects the text that a mock answers.
#[track_caller]
fn says(stage: &Stage, api: &str, line: &str, text: &str) {
    let response = ask(stage, api, line, "");
    assert_eq!((response.status, response.text().as_str()), (200, text), "{api} {line}: {}", shown(&response.raw));
}

/// What the backend receives.
#[track_caller]
fn arrived(stage: &Stage, api: &str, line: &str, fields: &str) -> support::Request {
    ask(stage, api, line, fields).expect_status(200);
    stage.backend.only()
}

fn forbidden() -> No {
    No { status: 403, message: "Missing Authentication Token", error_type: Some("MissingAuthenticationTokenException") }
}

fn not_found() -> No {
    No { status: 404, message: "Not Found", error_type: None }
}

/// What `tollgate check` says of an API of this kind with these routes, and whether it refuses.
fn checked(name: &str, kind: &str, routes: &str, rest: &str) -> (String, bool) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rows-{name}.yaml"));
    let document =
        format!("gateway: {{listen: 127.0.0.1:0}}\napis:\n  a:\n    kind: {kind}\n    routes:\n{routes}\n{rest}\n");
    fs::write(&path, document).expect("the target folder can be written");
    let output =
        Command::new(env!("CARGO_BIN_EXE_tollgate")).arg("check").arg(&path).output().expect("the binary starts");
    (String::from_utf8_lossy(&output.stderr).into_owned(), !output.status.success())
}

const STAGES: &str = "    stages: {s: {}}";
const MOCK: &str = "{integration: {type: mock}}";

/// Expects one refusal, in these words.
#[track_caller]
fn is_refused(name: &str, kind: &str, routes: &str, rest: &str, words: &str) {
    let (said, refused) = checked(name, kind, routes, rest);
    assert!(refused && said.contains(words) && said.matches("error: ").count() == 1, "{words}:\n{said}");
}

#[track_caller]
fn is_accepted(name: &str, kind: &str, routes: &str, rest: &str) {
    let (said, refused) = checked(name, kind, routes, rest);
    assert!(!refused, "{said}");
}

#[test]
fn gv_18_1_rest_routing() {
    HOUSE.play(|stage| {
        for (api, line, resource) in [
            ("one", "OPTIONS /stage/test", "/{proxy+}"),
            ("one", "POST /stage/test", "/test"),
            ("one", "GET /stage/test/any", "/test/any"),
            ("one", "OPTIONS /stage/test/any", "/test/any"),
            ("two", "GET /stage/part1", "/part1"),
            ("two", "GET /stage/part1/hardcoded-value", "/part1/hardcoded-value"),
            ("two", "GET /stage/part1/random-value", "/{param+}"),
        ] {
            says(stage, api, line, resource);
        }
        forbidden().check(&ask(stage, "three", "GET /stage/other", ""));
        forbidden().check(&ask(stage, "three", "POST /stage/existing", ""));
    });
}

#[test]
fn gv_18_2_paths_as_they_were_asked() {
    HOUSE.play(|stage| {
        let long = "/stage/path/test%2Balias@gmail.com/plus/test+alias@gmail.com";
        for (asked, proxy, path) in [
            ("/stage/proxy-value", Some("proxy-value"), "/stage/proxy-value"),
            ("/stage/proxy-value/", Some("proxy-value"), "/stage/proxy-value/"),
            ("/stage/proxy-value//double-slash", Some("proxy-value//double-slash"), "/stage/proxy-value//double-slash"),
            ("//stage/proxy-value", Some("proxy-value"), "/stage/proxy-value"),
            ("/stage//proxy-value", Some("proxy-value"), "/stage//proxy-value"),
            ("/stage//hardcoded", None, "/stage//hardcoded"),
            (long, Some(&long["/stage/".len()..]), long),
        ] {
            let response = ask(stage, "four", &format!("GET {asked}"), "");
            assert_eq!((response.header("X-Proxy"), response.text().as_str()), (proxy, path), "{asked}");
        }
    });
}

#[test]
fn gv_18_3_queries_are_decoded_rt_09() {
    HOUSE.play(|stage| {
        let query = "email=test%2Balias@gmail.com&plus=test+alias@gmail.com\
                     &dateTimeOffset=2023-06-12T18:05:10.123456+00:00&url=https://www.google.com/&whitespace=foo%20bar\
                     &category=electronics&category=books&price=10&price=20&price=30";
        let request = arrived(stage, "back", &format!("GET /stage/q?{query}"), "");
        for (field, value) in [
            ("X-Email", "test+alias@gmail.com"),
            ("X-Plus", "test alias@gmail.com"),
            ("X-Time", "2023-06-12T18:05:10.123456 00:00"),
            ("X-Url", "https://www.google.com/"),
            ("X-Blank", "foo bar"),
            ("X-Category", "books"),
            ("X-Price", "30"),
            ("X-Categories", "electronics,books"),
            ("X-Prices", "10,20,30"),
        ] {
            assert_eq!(request.all(field), [value], "{field}");
        }
        assert_eq!(request.target, format!("/q?{query}"), "and passed on as they came");
    });
}

#[test]
fn rt_01_a_part_of_a_path_has_letters_digits_and_marks() {
    HOUSE.play(|stage| says(stage, "three", "GET /stage/A-z_0.9,x:y", "/A-z_0.9,x:y"));
    is_refused("rt01", "rest", &format!("      \"GET /a?b\": {MOCK}"), STAGES, "this character cannot stand in a path");
}

#[test]
fn rt_01_a_resource_and_method_stand_once() {
    let routes = format!("      \"GET /pets/{{id}}\": {MOCK}\n      \"GET /pets/{{id}}/\": {MOCK}");
    is_refused("rt01-twice", "rest", &routes, STAGES, "this verb and path have a method already");
}

#[test]
fn rt_02_head_is_not_implied_by_get_and_no_verb_is() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.send("HEAD /stage/existing HTTP/1.1\r\nHost: three.execute-api.test\r\n\r\n");
        assert_eq!(client.read_response_to_head().status, 403);
        for verb in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let response = ask(stage, "three", &format!("{verb} /stage/existing"), "Content-Length: 0\r\n");
            assert_eq!(response.status, if verb == "GET" { 200 } else { 403 }, "{verb}");
        }
    });
}

#[test]
fn rt_03_any_is_each_of_the_seven_verbs_that_has_no_method() {
    HOUSE.play(|stage| {
        says(stage, "five", "GET /stage/verbs", "/verbs");
        for verb in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            says(stage, "five", &format!("{verb} /stage/verbs"), &format!("any {verb}"));
        }
        let mut client = stage.client();
        client.send("HEAD /stage/verbs HTTP/1.1\r\nHost: five.execute-api.test\r\n\r\n");
        assert_eq!(client.read_response_to_head().header("Content-Length"), Some("8"), "any HEAD");
        for verb in ["PROPFIND", "get"] {
            forbidden().check(&ask(stage, "five", &format!("{verb} /stage/verbs"), ""));
        }
    });
}

#[test]
fn rt_04_a_variable_is_one_whole_segment_as_received() {
    HOUSE.play(|stage| {
        for (segment, value) in [
            ("7", "7"),
            ("test%2Balias", "test%2Balias"),
            ("a+b", "a+b"),
            ("a%2Fb", "a%2Fb"),
            ("7/", "7"),
            (":@,;=", ":@,;="),
        ] {
            let response = ask(stage, "five", &format!("GET /stage/pets/{segment}"), "");
            assert_eq!((response.status, response.header("X-Id")), (200, Some(value)), "{segment}");
            assert_eq!(response.text(), "/pets/{id} GET");
        }
        for path in ["/stage/pets", "/stage/pets/", "/stage/pets//", "/stage/pets/7/8", "/stage/pets/7//"] {
            forbidden().check(&ask(stage, "five", &format!("GET {path}"), ""));
        }
    });
    is_refused("rt04", "rest", &format!("      \"GET /a{{b}}\": {MOCK}"), STAGES, "a variable must be a whole segment");
}

#[test]
fn rt_04_one_variable_among_siblings() {
    for (first, second) in [("/x/{id}", "/x/{name}"), ("/x/{proxy+}", "/x/{name}"), ("/{a}/x", "/{b}/y")] {
        let routes = format!("      \"GET {first}\": {MOCK}\n      \"PUT {second}\": {MOCK}");
        is_refused("rt04-siblings", "rest", &routes, STAGES, "is a variable already, and only one is allowed");
        is_accepted("rt04-http", "http", &routes, STAGES);
    }
}

#[test]
fn rt_05_a_greedy_variable_is_last_and_drops_one_slash_at_its_end() {
    HOUSE.play(|stage| {
        for (rest, value) in [
            ("proxy-value//x", "proxy-value//x"),
            ("proxy-value/", "proxy-value"),
            ("a/b/c", "a/b/c"),
            ("a%2Fb/c+d", "a%2Fb/c+d"),
        ] {
            let response = ask(stage, "five", &format!("GET /stage/parent/{rest}"), "");
            assert_eq!((response.status, response.header("X-Proxy")), (200, Some(value)), "{rest}");
        }
    });
    let routes = format!("      \"GET /p/{{proxy+}}/child\": {MOCK}");
    is_refused("rt05", "rest", &routes, STAGES, "nothing may follow a greedy variable");
}

/// Assumed: nobody has recorded it.
#[test]
fn rt_05_assumed_a_greedy_variable_needs_a_segment() {
    HOUSE.play(|stage| {
        for path in ["/stage/parent", "/stage/parent/"] {
            forbidden().check(&ask(stage, "five", &format!("GET {path}"), ""));
        }
    });
}

#[test]
fn rt_06_the_most_specific_resource_that_has_the_method() {
    HOUSE.play(|stage| {
        for (line, resource) in [
            ("OPTIONS /stage/test", "/{proxy+}"),
            ("OPTIONS /stage/test/any", "/test/any"),
            ("OPTIONS /stage/test/any/more", "/{proxy+}"),
            ("OPTIONS /stage/tes", "/{proxy+}"),
        ] {
            says(stage, "one", line, resource);
        }
        forbidden().check(&ask(stage, "one", "GET /stage/test", ""));
    });
}

#[test]
fn rt_07_unknown_paths_and_wrong_methods_are_403() {
    HOUSE.play(|stage| {
        for line in
            ["GET /stage/other", "DELETE /stage/existing", "GET /stage/existing/more", "GET /stage", "GET /stage/"]
        {
            forbidden().check(&ask(stage, "three", line, ""));
        }
    });
}

#[test]
fn rt_08_a_slash_at_the_end_is_ignored_and_kept() {
    HOUSE.play(|stage| {
        says(stage, "three", "GET /stage/existing/", "/existing");
        says(stage, "four", "GET /stage/hardcoded/", "/stage/hardcoded/");
        says(stage, "four", "GET /stage//hardcoded", "/stage//hardcoded");
        says(stage, "four", "GET //stage/hardcoded", "/stage/hardcoded");
    });
}

#[test]
fn rt_09_names_have_their_case_and_semicolons_part_parameters() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "back", "GET /stage/q?Email=no&EMAIL=no&plus=a;email=b+c%2Bd;price=7", "");
        assert_eq!((request.header("X-Email"), request.header("X-Plus")), (Some("b c+d"), Some("a")));
        assert_eq!(request.header("X-Price"), Some("7"));
        let request = arrived(stage, "back", "GET /stage/q?url=a%7Cb&email", "");
        assert_eq!((request.header("X-Url"), request.header("X-Email")), (Some("a|b"), Some("")));
    });
}

#[test]
fn rt_10_a_method_override_is_forwarded_by_a_mapping_alone() {
    HOUSE.play(|stage| {
        let fields = "X-HTTP-Method-Override: PUT\r\n";
        assert_eq!(arrived(stage, "back", "GET /stage/q", fields).header("X-HTTP-Method-Override"), None);
        let request = arrived(stage, "back", "GET /stage/overridden", fields);
        assert_eq!((request.header("X-HTTP-Method-Override"), request.method.as_str()), (Some("PUT"), "GET"));
    });
}

#[test]
fn rt_11_route_keys_of_http_apis() {
    let keys = format!("      \"GET /a\": {MOCK}\n      \"ANY /b/{{p+}}\": {MOCK}\n      $default: {MOCK}");
    is_accepted("rt11", "http", &keys, STAGES);
    is_refused(
        "rt11-rest",
        "rest",
        &format!("      $default: {MOCK}"),
        STAGES,
        "only HTTP APIs have a `$default` route",
    );
    is_refused("rt11-verb", "http", &format!("      \"TRACE /a\": {MOCK}"), STAGES, "`TRACE` is not a verb");
}

#[test]
fn rt_12_full_matches_then_greedy_ones_then_default() {
    HOUSE.play(|stage| {
        for (line, resource) in [
            ("GET /pets/dog/1", "/pets/dog/1"),
            ("GET /pets/dog/2", "/pets/dog/{id}"),
            ("GET /pets/cat/2", "/pets/{proxy+}"),
            ("POST /pets/dog/1", "/{proxy+}"),
            ("GET /", "$default"),
        ] {
            says(stage, "web", line, &format!("$default {resource}"));
        }
        for line in ["POST /beta/pets/dog/1", "GET /beta"] {
            not_found().check(&ask(stage, "few", line, ""));
        }
    });
}

#[test]
fn rt_13_the_default_route_appends_the_whole_path() {
    HOUSE.play(|stage| {
        assert_eq!(arrived(stage, "rest_of", "GET /store/checkout?a=b", "").target, "/base/store/checkout?a=b");
    });
}

#[test]
fn rt_14_the_first_segment_may_be_a_stage_of_an_http_api() {
    HOUSE.play(|stage| {
        says(stage, "web", "GET /beta/pets/dog/1", "beta /pets/dog/1");
        says(stage, "web", "GET /beta", "beta $default");
        says(stage, "web", "GET /pets/dog/1", "$default /pets/dog/1");
        says(stage, "web", "GET /betas/x", "$default /{proxy+}");
        // There is no `$default` stage.
        not_found().check(&ask(stage, "few", "GET /pets/dog/1", ""));
        says(stage, "few", "GET /beta/pets/dog/1", "beta /pets/dog/1");
    });
}

#[test]
fn rt_15_parameters_are_forwarded_and_joined_where_they_are_mapped() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "few", "GET /beta/x?q=1&q=a+b&r", "X-Pet: a\r\nx-pet: b\r\n");
        assert_eq!(request.target, "/x?q=1&q=a+b&r");
        assert_eq!((request.header("X-Pets"), request.header("X-Qs")), (Some("a,b"), Some("1,a b")));
        assert_eq!(request.all("X-Pet"), ["a", "b"]);
    });
}

#[test]
fn rt_16_an_http_backend_learns_of_the_client_by_forwarded() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "few", "GET /beta/x", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n");
        assert_eq!(request.header("Forwarded"), Some("for=127.0.0.1;host=\"few.execute-api.test\";proto=http"));
        assert_eq!((request.header("X-Forwarded-For"), request.header("X-Forwarded-Proto")), (None, None));
    });
}

#[test]
fn rt_17_an_apis_own_name_has_no_case_and_needs_the_stage_of_a_rest_api() {
    HOUSE.play(|stage| {
        for host in ["three.execute-api.test", "THREE.Execute-API.eu-west-1.example", "Three.execute-api.test.:443"] {
            let response = stage.ask(format!("GET /stage/existing HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!((response.status, response.text().as_str()), (200, "/existing"), "{host}");
        }
        let no = No { status: 403, message: "Forbidden", error_type: Some("ForbiddenException") };
        no.check(&ask(stage, "three", "GET /existing", ""));
    });
}

/// The part `stages` of an API, in flow style.
fn stages(list: &str) -> String {
    format!("    stages: {{{list}}}")
}

#[test]
fn st_01_names_of_stages() {
    let routes = format!("      \"GET /a\": {MOCK}");
    let long = "s".repeat(128);
    is_accepted("st01", "rest", &routes, &stages(&format!("A-z_09: {{}}, {long}: {{}}")));
    is_accepted("st01-default", "http", &routes, &stages("$default: {}, prod: {}"));
    for (kind, name) in
        [("rest", "$default"), ("rest", "a.b"), ("http", "a b"), ("http", "$other"), ("rest", &*format!("{long}s"))]
    {
        let (said, refused) = checked("st01-no", kind, &routes, &stages(&format!("\"{name}\": {{}}")));
        assert!(refused && said.contains(name), "{kind} {name}: {said}");
    }
}

#[test]
fn st_02_limits_of_stage_variables() {
    let routes = format!("      \"GET /a\": {MOCK}");
    let with = |variables: &str| stages(&format!("s: {{variables: {{{variables}}}}}"));
    let (name, value) = ("n".repeat(64), "v".repeat(512));
    is_accepted("st02", "rest", &routes, &with(&format!("{name}: {value}, A_z0: \"-._~:/?#&=,09azAZ\"")));
    let many = |count: usize| (0..count).map(|at| format!("v{at}: x")).collect::<Vec<_>>().join(", ");
    is_accepted("st02-100", "rest", &routes, &with(&many(100)));
    for (variables, words) in [
        (format!("{name}n: a"), "at most 64 letters, digits and `_`"),
        ("a-b: a".to_owned(), "at most 64 letters, digits and `_`"),
        (format!("a: {value}v"), "512"),
        ("a: \"b c\"".to_owned(), "has a character that is not allowed"),
        ("a: \"{b}\"".to_owned(), "has a character that is not allowed"),
        (many(101), "100"),
    ] {
        is_refused("st02-no", "rest", &routes, &with(&variables), words);
    }
}

#[test]
fn st_07_method_settings_by_resource_and_verb() {
    let routes = format!("      \"GET /a/{{b}}\": {MOCK}");
    for key in ["*/*", "a/{b}/GET", "~1a~1{b}/GET", "GET /a/{b}"] {
        is_accepted("st07", "rest", &routes, &stages(&format!("s: {{methods: {{\"{key}\": {{metrics: true}}}}}}")));
    }
    is_refused("st07-no", "rest", &routes, &stages("s: {methods: {\"a/PUT\": {metrics: true}}}"), "has no route");
}

#[test]
fn st_09_shares_of_a_canary() {
    let routes = format!("      \"GET /a\": {MOCK}");
    let with = |percent: &str| stages(&format!("s: {{canary: {{percent: {percent}, variables: {{a: b}}}}}}"));
    for percent in ["0", "0.0", "12.5", "100", "100.0"] {
        is_accepted("st09", "rest", &routes, &with(percent));
    }
    for percent in ["-1", "100.1", "x"] {
        is_refused("st09-no", "rest", &routes, &with(percent), "a number from 0 to 100");
    }
}

#[test]
fn dm_01_a_wildcard_is_the_first_label() {
    let routes = format!("      \"GET /a\": {MOCK}");
    let with = |host: &str| format!("{STAGES}\ndomains: {{\"{host}\": {{mappings: {{/: a/s}}}}}}");
    is_accepted("dm01", "rest", &routes, &with("*.example.com"));
    for host in ["a.*.com", "*a.example.com", "*.*.com"] {
        let (said, refused) = checked("dm01-no", "rest", &routes, &with(host));
        assert!(refused && said.contains(host), "{said}");
    }
}

#[test]
fn dm_03_keys_of_mappings() {
    let routes = format!("      \"GET /a\": {MOCK}");
    let with = |key: &str| format!("{STAGES}\ndomains: {{a.test: {{mappings: {{\"{key}\": a/s}}}}}}");
    is_accepted("dm03", "rest", &routes, &with("orders/v1/items"));
    is_accepted("dm03-signs", "rest", &routes, &with("a$-_.+!*'()/Z9"));
    is_accepted("dm03-300", "rest", &routes, &with(&"k".repeat(300)));
    for key in ["a?b", "a b", "a%20b", &*"k".repeat(301)] {
        let (said, refused) = checked("dm03-no", "rest", &routes, &with(key));
        assert!(refused, "{key}: {said}");
    }
}

#[test]
fn dm_05_limits_of_routing_rules() {
    let routes = format!("      \"GET /a\": {MOCK}");
    let with = |rules: &str| format!("{STAGES}\ndomains: {{a.test: {{routing_rules: [{rules}]}}}}");
    let many =
        |count: usize| (1..=count).map(|at| format!("{{priority: {at}, target: a/s}}")).collect::<Vec<_>>().join(", ");
    is_accepted("dm05-50", "rest", &routes, &with(&many(50)));
    for rules in [
        many(51),
        "{priority: 1, target: a/s}, {priority: 1, base_paths: [/x], target: a/s}".to_owned(),
        "{priority: 0, target: a/s}".to_owned(),
        "{priority: 1000001, target: a/s}".to_owned(),
        "{priority: 1, headers: [{any: [{name: x, value: \"a*b\"}]}], target: a/s}".to_owned(),
    ] {
        let (said, refused) = checked("dm05-no", "rest", &routes, &with(&rules));
        assert!(refused, "{rules}: {said}");
    }
}

#[test]
fn dm_04_the_context_has_the_base_path_and_the_resource_has_not() {
    HOUSE.play(|stage| {
        for (path, resource) in [("/base/x/y", Some("x/y")), ("/base/hardcoded", None), ("/x", Some("x"))] {
            let response = stage.ask(format!("GET {path} HTTP/1.1\r\nHost: four.test\r\n\r\n"));
            assert_eq!((response.text().as_str(), response.header("X-Proxy")), (path, resource), "{path}");
        }
    });
}

#[test]
fn mp_01_the_case_of_a_header_counts_and_its_last_value_is_taken() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "back", "GET /stage/x", "X-Pet: a\r\nX-Pet: b\r\nx-pet: c\r\n");
        assert_eq!((request.header("X-Exact"), request.header("X-Whole")), (Some("b"), Some("a,b")));
        let request = arrived(stage, "back", "GET /stage/x", "x-pet: c\r\n");
        assert_eq!((request.header("X-Exact"), request.header("X-Whole")), (None, None));
    });
}

/// A proxied route with one mapping.
fn mapped(side: &str, target: &str, source: &str) -> String {
    let entry = format!("\"{target}\": \"{source}\"");
    format!(
        "      \"ANY /a/{{id}}\": {{integration: {{type: http_proxy, uri: \"http://127.0.0.1:9\"}}, {side}: {{{entry}}}}}"
    )
}

#[test]
fn mp_01_names_and_sources() {
    for source in [
        "method.request.path.id",
        "method.request.body",
        "method.request.body.a[0].b",
        "context.stage",
        "stageVariables.x",
        "'x'",
    ] {
        is_accepted(
            "mp01",
            "rest",
            &mapped("request_parameters", "integration.request.header.aZ0._$-", source),
            STAGES,
        );
    }
    for (target, source) in [
        ("integration.request.header.a b", "'x'"),
        ("integration.request.header.a~b", "'x'"),
        ("integration.request.cookie.a", "'x'"),
        ("method.request.header.a", "'x'"),
        ("integration.request.header.a", "x"),
        ("integration.request.header.a", "integration.response.header.x"),
        ("integration.request.header.a", "method.request.path.none"),
    ] {
        let (said, refused) = checked("mp01-no", "rest", &mapped("request_parameters", target, source), STAGES);
        assert!(refused, "{target}: {source}: {said}");
    }
}

#[test]
fn mp_02_a_bad_expression_is_refused() {
    for source in
        ["integration.response.nothing.X", "method.request.header.X", "unquoted", "integration.response.header."]
    {
        let (said, refused) =
            checked("mp02", "rest", &mapped("response_parameters", "method.response.header.X", source), STAGES);
        assert!(refused && said.contains(source), "{said}");
    }
    // An imported method with one answers 500, and whoever reads the document is told.
    HOUSE.play(|stage| {
        let no = No { status: 500, message: "Internal server error", error_type: Some("InternalServerErrorException") };
        no.check(&ask(stage, "templates", "GET /stage/bad-expression", ""));
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn mp_03_what_a_mapping_of_an_http_api_may_say() {
    for (target, source) in [
        ("append:header.a", "$request.body.a.b[0]"),
        ("overwrite:querystring.a", "${context.stage}-${stageVariables.x}"),
        ("overwrite:path", "/x/${request.path.id}"),
        ("remove:querystring.a", "''"),
        ("overwrite:header.Host", "x.example"),
    ] {
        is_accepted("mp03", "http", &mapped("request_parameters", target, source), STAGES);
    }
    for (target, source) in [
        ("append:header.a", "$request.body..a"),
        ("append:header.a", "$request.body.a[?(@.b)]"),
        ("append:path", "/x"),
        ("remove:path", "''"),
        ("set:header.a", "x"),
        ("append:cookie.a", "x"),
        ("append:header.a", "$response.header.x"),
        ("append:header.a", "$request.path.none"),
    ] {
        let (said, refused) = checked("mp03-no", "http", &mapped("request_parameters", target, source), STAGES);
        assert!(refused, "{target}: {source}: {said}");
    }
}

#[test]
fn mp_03_the_path_has_no_stage_and_the_host_can_be_mapped() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "few", "GET /beta/x/y", "");
        assert_eq!((request.header("X-Path"), request.header("Host")), (Some("/x/y"), Some("mapped.example")));
    });
}

#[test]
fn mp_03_a_body_is_read_as_far_as_100_kilobytes() {
    HOUSE.play(|stage| {
        let post = |body: &str| {
            let length = body.len();
            format!("POST /beta/long HTTP/1.1\r\nHost: few.execute-api.test\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        stage.ask(post(r#"{"first": "a", "last": "b"}"#)).expect_status(200);
        let request = stage.backend.only();
        assert_eq!((request.header("X-First"), request.header("X-Last")), (Some("a"), Some("b")));
        let long = format!(r#"{{"first": "a", "pad": "{}", "last": "b"}}"#, "x".repeat(100 * 1024));
        stage.ask(post(&long)).expect_status(200);
        let request = stage.backend.only();
        assert_eq!((request.header("X-Last"), request.body.len()), (None, long.len()), "the whole body goes on");
    });
}

#[test]
fn mp_04_statuses_and_targets_of_answers() {
    let with = |status: &str, target: &str, source: &str| {
        let entry = format!("{status}: {{\"{target}\": \"{source}\"}}");
        format!(
            "      \"ANY /a\": {{integration: {{type: http_proxy, uri: \"http://127.0.0.1:9\"}}, response_parameters: {{{entry}}}}}"
        )
    };
    for (status, target, source) in [
        ("200", "append:header.a", "$response.header.b"),
        ("599", "overwrite:header.a", "$response.body.b"),
        ("404", "overwrite:statuscode", "403"),
        ("500", "remove:header.a", "''"),
    ] {
        is_accepted("mp04", "http", &with(status, target, source), STAGES);
    }
    for (status, target, source) in [
        ("199", "append:header.a", "x"),
        ("600", "append:header.a", "x"),
        ("200", "append:querystring.a", "x"),
        ("200", "overwrite:path", "/x"),
        ("200", "remove:statuscode", "''"),
        ("200", "append:header.a", "$request.header.x"),
    ] {
        let (said, refused) = checked("mp04-no", "http", &with(status, target, source), STAGES);
        assert!(refused, "{status} {target}: {source}: {said}");
    }
}

#[test]
fn mp_05_reserved_headers_of_http_apis() {
    for name in [
        "access-control-allow-origin",
        "Apigw-Anything",
        "Authorization",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "Content-Location",
        "Forwarded",
        "Keep-Alive",
        "Origin",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailers",
        "Transfer-Encoding",
        "Upgrade",
        "X-Amz-Date",
        "x-amzn-trace-id",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Via",
    ] {
        let target = format!("overwrite:header.{name}");
        is_refused(
            "mp05",
            "http",
            &mapped("request_parameters", &target, "x"),
            STAGES,
            "is reserved and cannot be mapped",
        );
    }
}

/// Posts to a method of `rows.yaml`: the status.
fn posted(stage: &Stage, path: &str, fields: &str, body: &str) -> Response {
    let host = "templates.execute-api.test";
    let length = body.len();
    stage.ask(format!("POST /stage/{path} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"))
}

#[test]
fn mp_06_a_request_template_is_chosen_by_the_content_type() {
    HOUSE.play(|stage| {
        for (fields, status) in [
            ("", 201),
            ("Content-Type: application/json\r\n", 201),
            ("Content-Type: application/json; charset=utf-8\r\n", 201),
            ("Content-Type: text/xml\r\n", 202),
            ("Content-Type: text/plain\r\n", 203),
        ] {
            assert_eq!(posted(stage, "selected", fields, "x").status, status, "{fields}");
        }
    });
}

#[test]
fn mp_07_a_body_without_a_template_passes_or_is_415() {
    HOUSE.play(|stage| {
        let (plain, body) = ("Content-Type: text/plain\r\n", "{statusCode: 201}");
        let no = No { status: 415, message: "Unsupported Media Type", error_type: Some("BadRequestException") };
        for path in ["never", "none-at-all", "some-templates"] {
            no.check(&posted(stage, path, plain, body));
        }
        for path in ["no-match", "no-templates"] {
            assert_eq!(posted(stage, path, plain, body).status, 201, "{path}");
        }
        for path in ["never", "no-match", "some-templates"] {
            assert_eq!(posted(stage, path, "", body).status, 200, "{path}: the template of JSON");
        }
        posted(stage, "passed", plain, "as it is").expect_status(200);
        assert_eq!(stage.backend.only().body, b"as it is");
    });
}

#[test]
fn mp_08_an_answers_template_is_chosen_by_the_first_of_accept() {
    HOUSE.play(|stage| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntheirs";
        stage.backend.script(move |_| Reply::Bytes(answer.into()));
        for (path, accept, text) in [
            ("json-first", "", "{}"),
            ("json-first", "text/html", "<p>"),
            ("json-first", "text/html;q=0.1, application/json", "<p>"),
            ("json-first", "image/png, text/html", "{}"),
            ("no-json", "", "<p>"),
            ("no-json", "text/plain", "p"),
            ("no-json", "image/png", "<p>"),
            ("no-template", "text/html", "theirs"),
            ("emptied", "", "theirs"),
        ] {
            let fields = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
            says_with(stage, path, &fields, text);
        }
    });
}

#[track_caller]
fn says_with(stage: &Stage, path: &str, fields: &str, text: &str) {
    let response = ask(stage, "templates", &format!("GET /stage/{path}"), fields);
    assert_eq!((response.status, response.text().as_str()), (200, text), "{path} {fields}");
}

#[test]
fn every_row_of_the_list_has_a_test_that_bears_its_name_or_a_reason() {
    let faults = faults(LIST, SECTIONS);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_list_that_has_rotted_is_seen() {
    let rotten = |line: &str, words: &str| {
        let found = faults(&format!("{LIST}\n{line}\n"), SECTIONS);
        assert!(found.iter().any(|fault| fault.contains(words)), "{line}: {found:?}");
    };
    rotten("RT-01 | [L] x | rows.rs::rt_01_nobody", "there is no test");
    rotten("RT-01 | [L] x | none.rs::rt_01_nobody", "there is no test");
    rotten("RT-01 | [L] x | rows.rs::rt_02_head_is_not_implied_by_get_and_no_verb_is", "does not bear its name");
    rotten("RT-01 | [L] x | later: no", "is no reason");
    let shorter: String =
        LIST.lines().filter(|line| !line.starts_with("DM-07")).fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(faults(&shorter, SECTIONS), ["DM-07 is not in the list"]);
}
