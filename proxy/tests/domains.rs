//! Custom domains, mappings, routing rules and closed execute-api names: rows DM-01 to DM-05 and RT-17, in raw bytes, on both drivers.

mod support;

use support::stage::No;
use support::{Response, Stage, Theatre, shown};

static HOUSE: Theatre = Theatre::new(
    r#"
apis:
  rest:
    kind: rest
    routes:
      "ANY /": &told {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.apiId $context.stage $context.resourcePath"}}
      "ANY /a": *told
      "ANY /b/a": *told
      "ANY /orders/{id}": *told
      "ANY /path": {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.path"}}
      "ANY /through/{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/seen/{proxy}"}}
    stages: {prod: {}, beta: {}}
  web:
    kind: http
    routes:
      "ANY /a": *told
      "ANY /b/a": *told
      $default: {integration: {type: http_proxy, uri: "http://{{backend}}/all"}}
    stages: {$default: {}, beta: {}}
  shut:
    kind: rest
    disable_execute_api_endpoint: true
    routes: {"ANY /a": *told}
    stages: {prod: {}}
  shutweb:
    kind: http
    disable_execute_api_endpoint: true
    routes: {"ANY /a": *told}
    stages: {$default: {}, prod: {}}
  open:
    kind: rest
    disable_execute_api_endpoint: false
    routes: {"ANY /a": *told}
    stages: {prod: {}}
domains:
  api.test: {mappings: {/: rest/prod}}
  "*.api.test": {mappings: {/: rest/beta}}
  one.api.test: {mappings: {(none): web/$default}}
  v1.test: {mappings: {(none): rest/prod, beta: rest/beta, web: web/$default, with-dash_2.x: rest/beta}}
  v2.test: {mappings: {/orders: rest/beta, /orders/v1: rest/prod, /orders/v1/items: web/$default, "/$-_.+!*'()": rest/prod}}
  web.test: {mappings: {/w: web/$default, /w2: web/beta}}
  none.test: {mappings: {/x: web/$default}}
  both.test: {mappings: {/x: web/$default, /y: rest/prod}}
  shut.test: {mappings: {/: shut/prod, /w: shutweb/$default}}
  rules.test:
    mappings: {/: rest/prod, /m: web/$default}
    routing_rules:
      - {priority: 30, headers: [{any: [{name: X-Version, value: "beta*"}]}], target: rest/beta}
      - {priority: 5, headers: [{any: [{name: x-first, value: "*"}]}], base_paths: [/b], strip_base_path: true, target: rest/beta}
      - {priority: 10, headers: [{any: [{name: x-first, value: "*"}]}], base_paths: [/b, /b/long], target: rest/beta}
      - {priority: 40, headers: [{any: [{name: x-a, value: one}, {name: x-b, value: "*two"}]}, {any: [{name: x-c, value: "*mid*"}]}], target: web/beta}
      - {priority: 50, base_paths: [/strip, /strip/more, deep/er], strip_base_path: true, target: web/$default}
  only.test:
    routing_mode: rules_only
    mappings: {/: rest/prod}
    routing_rules: [{priority: 1, base_paths: [/a], target: rest/beta}]
  off.test:
    routing_mode: API_MAPPING_ONLY
    mappings: {/: rest/prod}
    routing_rules: [{priority: 1, target: rest/beta}]
  all.test:
    routing_rules:
      - {priority: 1000000, target: rest/prod}
      - {priority: 1, headers: [{any: [{name: x-version, value: beta}]}], target: rest/beta}
  web-rules.test:
    routing_rules: [{priority: 1, base_paths: [/x], target: web/$default}]
"#,
);

const PROD: &str = "rest prod /a";
const BETA: &str = "rest beta /a";

#[track_caller]
fn ask(stage: &Stage, host: &str, path: &str, fields: &[&str]) -> Response {
    let fields = fields.iter().fold(String::new(), |all, field| all + field + "\r\n");
    stage.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

/// Asks, and expects the API, stage and route that answered.
#[track_caller]
fn leads(stage: &Stage, host: &str, path: &str, fields: &[&str], to: &str) {
    let response = ask(stage, host, path, fields);
    assert_eq!(response.text(), to, "{host} {path} {fields:?}: {}", shown(&response.raw));
    response.expect_status(200);
}

/// Asks, and expects what the backend receives.
#[track_caller]
fn arrives(stage: &Stage, host: &str, path: &str, target: &str) {
    ask(stage, host, path, &[]).expect_status(200);
    assert_eq!(stage.backend.only().target, target, "{host} {path}");
}

#[track_caller]
fn leads_nowhere(stage: &Stage, host: &str, path: &str, fields: &[&str], no: &No) {
    println!("{host} {path} {fields:?}");
    no.check(&ask(stage, host, path, fields));
}

fn forbidden() -> No {
    No { status: 403, message: "Forbidden", error_type: Some("ForbiddenException") }
}

fn not_found() -> No {
    No { status: 404, message: "Not Found", error_type: None }
}

fn no_such_method() -> No {
    No { status: 403, message: "Missing Authentication Token", error_type: Some("MissingAuthenticationTokenException") }
}

#[test]
fn dm_01_a_domain_points_at_a_stage_and_the_more_specific_one_wins() {
    HOUSE.play(|stage| {
        leads(stage, "api.test", "/a", &[], PROD);
        leads(stage, "API.Test.:8443", "/a", &[], PROD);
        leads(stage, "any.api.test", "/a", &[], BETA);
        leads(stage, "one.api.test", "/a", &[], "web $default /a");
        // No stage segment: it would be a path of the API.
        leads_nowhere(stage, "api.test", "/prod/a", &[], &no_such_method());
    });
}

#[test]
fn dm_02_a_base_path_is_one_segment_or_none() {
    HOUSE.play(|stage| {
        leads(stage, "v1.test", "/a", &[], PROD);
        leads(stage, "v1.test", "/beta/a", &[], BETA);
        leads(stage, "v1.test", "/web/a", &[], "web $default /a");
        leads(stage, "v1.test", "/with-dash_2.x/a", &[], BETA);
        leads(stage, "v1.test", "/", &[], "rest prod /");
        leads(stage, "v1.test", "/beta", &[], "rest beta /");
        // Case counts, and only whole segments do.
        leads_nowhere(stage, "v1.test", "/Beta/a", &[], &no_such_method());
        leads_nowhere(stage, "v1.test", "/betas/a", &[], &no_such_method());
    });
}

#[test]
fn dm_03_the_longest_mapping_by_segment_is_taken_whatever_its_routes() {
    HOUSE.play(|stage| {
        leads(stage, "v2.test", "/orders/a", &[], BETA);
        leads(stage, "v2.test", "/orders/v1/a", &[], PROD);
        leads(stage, "v2.test", "/orders/v1/items/a", &[], "web $default /a");
        leads(stage, "v2.test", "/$-_.+!*'()/a", &[], PROD);
        // `/orders/{id}` of the shorter mapping is not considered.
        leads(stage, "v2.test", "/orders/orders/7", &[], "rest beta /orders/{id}");
        leads_nowhere(stage, "v2.test", "/orders/v1/orders", &[], &no_such_method());
    });
}

/// Assumed: the documents of AWS do not say which words a domain without a fitting mapping uses.
#[test]
fn dm_03_assumed_no_mapping_fits() {
    HOUSE.play(|stage| {
        leads_nowhere(stage, "v2.test", "/a", &[], &forbidden());
        leads_nowhere(stage, "none.test", "/a", &[], &not_found());
        leads_nowhere(stage, "both.test", "/a", &[], &forbidden());
    });
}

#[test]
fn dm_04_the_api_sees_the_path_without_its_base_path() {
    HOUSE.play(|stage| {
        arrives(stage, "v1.test", "/through/x/y?q=1", "/seen/x/y?q=1");
        arrives(stage, "v1.test", "/beta/through/x//y", "/seen/x//y");
        arrives(stage, "v2.test", "/orders/v1/through/x%2Fy", "/seen/x%2Fy");
        // What the API is told of the request's path has its base path.
        leads(stage, "v1.test", "/beta/path", &[], "/beta/path");
        // The whole own path follows the URI of `$default`, the base path does not (RT-13).
        arrives(stage, "web.test", "/w/store/checkout", "/all/store/checkout");
        arrives(stage, "web.test", "/w2/", "/all/");
        arrives(stage, "web.test", "/w2", "/all/");
    });
}

#[test]
fn dm_05_header_fields_decide_by_name_in_any_case_and_value_in_its_own() {
    HOUSE.play(|stage| {
        let host = "rules.test";
        for field in
            ["x-version: beta", "X-VERSION: beta2", "x-version:beta-x  ", "x-version: beta\r\nx-version: other"]
        {
            leads(stage, host, "/a", &[field], BETA);
        }
        leads(stage, host, "/a", &["x-version: old", "x-version: beta"], BETA);
        for field in
            ["x-version: Beta", "x-version: abeta", "x-version: bet", "x-version:", "x-versions: beta", "y: beta"]
        {
            leads(stage, host, "/a", &[field], PROD);
        }
        // A field that concerns this connection alone is never forwarded, and fits nothing.
        leads(stage, host, "/a", &["Connection: x-version", "x-version: beta"], PROD);
    });
}

#[test]
fn dm_05_all_conditions_must_hold_and_one_alternative_of_each() {
    HOUSE.play(|stage| {
        let host = "rules.test";
        let to = "web beta /a";
        leads(stage, host, "/a", &["x-a: one", "x-c: amidst"], to);
        leads(stage, host, "/a", &["x-b: no two", "x-c: mid"], to);
        leads(stage, host, "/a", &["x-a: one", "x-b: two", "x-c: mid"], to);
        for fields in [
            &["x-a: one"][..],
            &["x-c: mid"],
            &["x-a: ones", "x-c: mid"],
            &["x-b: two!", "x-c: mid"],
            &["x-a: one", "x-c: mi-d"],
        ] {
            leads(stage, host, "/a", fields, PROD);
        }
    });
}

#[test]
fn dm_05_the_lowest_priority_is_first_and_mappings_come_last() {
    HOUSE.play(|stage| {
        let host = "rules.test";
        leads(stage, host, "/b/a", &["x-first: 1"], BETA);
        leads(stage, host, "/b/a", &["x-first: 1", "x-version: beta"], BETA);
        leads(stage, host, "/b/a", &["x-version: beta"], "rest beta /b/a");
        leads(stage, host, "/b/a", &[], "rest prod /b/a");
        leads(stage, host, "/m/a", &[], "web $default /a");
        leads(stage, "all.test", "/a", &["x-version: beta"], BETA);
        leads(stage, "all.test", "/a", &[], PROD);
        leads_nowhere(stage, "all.test", "/none", &[], &no_such_method());
    });
}

#[test]
fn dm_05_base_paths_are_stripped_if_asked() {
    HOUSE.play(|stage| {
        let host = "rules.test";
        leads(stage, host, "/strip/a", &[], "web $default /a");
        leads(stage, host, "/strip/more/a", &[], "web $default /a");
        leads(stage, host, "/deep/er/a", &[], "web $default /a");
        arrives(stage, host, "/strip/x?y=z", "/all/x?y=z");
        arrives(stage, host, "/strip", "/all/");
        leads_nowhere(stage, host, "/Strip/a", &[], &no_such_method());
        leads_nowhere(stage, host, "/stripe", &[], &no_such_method());
        // Not stripped: `/b` is a part of the API's own path.
        leads(stage, "only.test", "/a", &[], BETA);
    });
}

#[test]
fn dm_05_the_mode_says_what_is_asked() {
    HOUSE.play(|stage| {
        leads(stage, "only.test", "/a", &[], BETA);
        leads_nowhere(stage, "only.test", "/b/a", &[], &forbidden());
        leads(stage, "off.test", "/a", &[], PROD);
        leads_nowhere(stage, "web-rules.test", "/a", &[], &not_found());
    });
}

#[test]
fn rt_17_every_api_answers_by_its_own_name() {
    HOUSE.play(|stage| {
        leads(stage, "rest.execute-api.local", "/prod/a", &[], PROD);
        leads(stage, "REST.execute-api.eu-west-1.amazonaws.com", "/beta/a", &[], BETA);
        leads(stage, "web.execute-api.local", "/a", &[], "web $default /a");
        leads(stage, "open.execute-api.local", "/prod/a", &[], "open prod /a");
        leads_nowhere(stage, "rest.execute-api.local", "/none/a", &[], &forbidden());
    });
}

/// Assumed: which words a closed name uses is not in AWS's documents.
#[test]
fn rt_17_assumed_a_closed_name_is_refused_and_domains_are_not() {
    HOUSE.play(|stage| {
        leads_nowhere(stage, "shut.execute-api.local", "/prod/a", &[], &forbidden());
        leads_nowhere(stage, "shut.execute-api.local", "/", &[], &forbidden());
        leads_nowhere(stage, "SHUT.EXECUTE-API.local.:80", "/prod/a", &[], &forbidden());
        leads_nowhere(stage, "shutweb.execute-api.local", "/a", &[], &not_found());
        leads_nowhere(stage, "shutweb.execute-api.local", "/prod/a", &[], &not_found());
        leads(stage, "shut.test", "/a", &[], "shut prod /a");
        leads(stage, "shut.test", "/w/a", &[], "shutweb $default /a");
    });
}
