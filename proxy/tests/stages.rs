//! Stages: variables, several at once, canaries (ST-02, ST-06, ST-09), and methods that are kept but not executed, in raw bytes.

mod support;

use std::collections::BTreeMap;

use support::gateway::new_folder;
use support::{Backend, Driver, Gateway, on_both_drivers};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.execute-api.localhost\r\n\r\n")
}

#[test]
fn st_02_stage_variables_in_hosts_paths_and_queries() {
    on_both_drivers(|driver| {
        let (one, two) = (Backend::echo(), Backend::echo());
        let gateway = Gateway::start(
            &format!(
                r#"
upstreams:
  one: {{servers: ["{}"]}}
  two: {{servers: ["{}"]}}
apis:
  a:
    kind: rest
    routes:
      "GET /x": {{integration: {{type: http_proxy, uri: "http://${{stageVariables.host}}/${{stageVariables.path}}/x?v=${{stageVariables.v}}&none=${{stageVariables.none}}&other=$%7Bother%7D"}}}}
    stages:
      dev: {{variables: {{host: one, path: a/b, v: "1"}}}}
      prod: {{variables: {{host: two, path: c, v: "2"}}}}
"#,
                one.address(),
                two.address()
            ),
            driver,
        );
        let mut client = gateway.client();
        client.exchange(get("/dev/x")).expect_status(200);
        client.exchange(get("/prod/x")).expect_status(200);
        // Undefined is empty; only `${stageVariables.…}` is filled in.
        assert_eq!(one.only().target, "/a/b/x?v=1&none=&other=$%7Bother%7D");
        assert_eq!(two.only().target, "/c/x?v=2&none=&other=$%7Bother%7D");
    });
}

const COLOURS: &str = r#"
apis:
  a:
    kind: rest
    routes:
      "GET /colour": {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$stageVariables.colour $stageVariables.added"}}
    stages:
      blue: {variables: {colour: blue}}
      third: {variables: {colour: blue}, canary: {percent: 30, variables: {colour: green, added: more}}}
      all: {variables: {colour: blue}, canary: {percent: 100, variables: {colour: green}}}
      none: {variables: {colour: blue}, canary: {percent: 0, variables: {colour: green}}}
      half: {variables: {colour: blue}, canary: {percent: 0.5}}
"#;

#[test]
fn st_06_stages_are_live_side_by_side_and_st_09_canaries_override_variables() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(COLOURS, driver);
        let mut client = gateway.client();
        for _ in 0..50 {
            assert_eq!(client.exchange(get("/blue/colour")).text(), "blue ");
            assert_eq!(client.exchange(get("/all/colour")).text(), "green ", "all requests are the canary's");
            assert_eq!(client.exchange(get("/none/colour")).text(), "blue ", "no request is the canary's");
            assert_eq!(client.exchange(get("/half/colour")).text(), "blue ", "without overrides the variables stay");
        }
    });
}

/// Over 100,000 requests one percentage point is seven standard deviations.
#[test]
fn st_09_the_share_is_right_within_a_point() {
    const REQUESTS: usize = 100_000;
    const AT_ONCE: usize = 100;
    let gateway = Gateway::start(COLOURS, Driver::Epoll);
    let mut client = gateway.client();
    let batch = get("/third/colour").repeat(AT_ONCE);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..REQUESTS / AT_ONCE {
        client.send(&batch);
        for _ in 0..AT_ONCE {
            *seen.entry(client.read_response().text()).or_default() += 1;
        }
    }
    assert_eq!(seen.values().sum::<usize>(), REQUESTS);
    assert_eq!(seen.len(), 2, "{seen:?}");
    let canary = seen["green more"];
    assert!((REQUESTS * 29 / 100..=REQUESTS * 31 / 100).contains(&canary), "{canary} of {REQUESTS}");
}

/// A document as people deploy it, with methods that need what is not executed.
const DOCUMENT: &str = r##"
openapi: 3.0.1
info: {title: Orders, version: "1"}
paths:
  /works:
    get:
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: "http://BACKEND/works"}
  /function:
    get:
      x-amazon-apigateway-integration:
        type: aws_proxy
        httpMethod: POST
        uri: arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:f/invocations
  /guarded:
    get:
      security: [{login: []}]
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: "http://BACKEND/guarded"}
  /templated:
    post:
      x-amazon-apigateway-integration:
        type: http
        httpMethod: POST
        uri: "http://BACKEND/templated"
        requestTemplates: {application/json: "#set($x = $input.json('$.a')) $x"}
        responses: {default: {statusCode: "200"}}
components:
  securitySchemes:
    login:
      type: apiKey
      name: Authorization
      in: header
      x-amazon-apigateway-authtype: custom
      x-amazon-apigateway-authorizer:
        type: token
        authorizerUri: arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:a/invocations
"##;

#[test]
fn not_available_is_500_with_a_counter_and_never_half_served() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let folder = new_folder();
        std::fs::write(folder.join("orders.yaml"), DOCUMENT.replace("BACKEND", backend.address())).expect("written");
        let config = "apis: {a: {kind: rest, openapi: orders.yaml, stages: {prod: {}}}}";
        let gateway = Gateway::start_in(folder, config, driver, &[]).expect("it starts");
        let mut client = gateway.client();
        client.exchange(get("/prod/works")).expect_status(200);
        assert_eq!(backend.take().len(), 1);
        let response = client.exchange(get("/prod/function"));
        response.expect_status(500);
        assert_eq!(response.text(), r#"{"message":"Internal server error"}"#);
        assert_eq!(response.header("x-amzn-ErrorType"), Some("InternalServerErrorException"));
        // Nobody is known who runs the function of its authorizer.
        let response = client.exchange(get("/prod/guarded"));
        response.expect_status(500);
        assert_eq!(response.text(), r#"{"message":null}"#);
        let post = "POST /prod/templated HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
        client.exchange(post).expect_status(500);
        assert!(backend.take().is_empty(), "nothing reached the backend");
        for (reason, count) in [("not_available", 2), ("authorizer_configuration_error", 1)] {
            let counted = gateway.counter("tollgate_refusals_total", &[("reason", reason)]);
            assert!((counted - f64::from(count)).abs() < 0.5, "{reason}: {counted}");
        }
    });
}
