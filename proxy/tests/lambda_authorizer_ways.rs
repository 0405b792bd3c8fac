//! How Lambda authorizers are asked and written: over TLS and HTTP/2, slowly and by halves, and from OpenAPI documents (A-04 to A-10, OA-01).
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/h2_backend.rs"]
mod h2_backend;
mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_backend.rs"]
mod tls_backend;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use h2_backend::{Call, H2Backend};
use policy::authorize::sigv4::{self, Asked, Scope, Work, Wrong};
use serde_json::Value;
use support::gateway::new_folder;
use support::{Backend, Driver, Gateway, Reply, Request, eventually, on_both_drivers};
use tls::Authority;
use tls_backend::{Act, Manner, TlsBackend};

const YES: &str = r#"{"isAuthorized": true, "context": {"team": "red"}}"#;
const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: me\r\n\r\n";

/// An HTTP API that asks the upstream `door`.
fn document(server: &str, settings: &str) -> String {
    format!(
        r#"
upstreams:
  door: {{servers: ["{server}"], {settings}}}
apis:
  web:
    kind: http
    authorizers:
      door: {{type: lambda, uri: "http://door/ask?a=b", identity_sources: $request.header.authorization, payload: "2.0", simple_responses: true, timeout: 500ms}}
    routes:
      "GET /x": {{authorizer: door, integration: {{type: mock, body: '{{"team": "$context.authorizer.team"}}'}}}}
    stages: {{$default: {{}}}}
"#
    )
}

fn started(driver: Driver, text: &str, files: &[(&str, &str)]) -> Gateway {
    let folder = new_folder();
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
    let gateway = Gateway::start_in(folder, text, driver, &[]);
    gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}\n{text}", failed.stderr))
}

#[test]
fn authorizers_are_asked_over_http2() {
    on_both_drivers(|driver| {
        let door = H2Backend::start(|mut call: Call| async move {
            let (body, _) = call.body().await;
            let event: Value = serde_json::from_slice(&body).expect("events are JSON");
            assert_eq!(event["version"], "2.0");
            call.ok(YES);
        });
        let gateway = started(driver, &document(&door.address(), "protocol: http2"), &[]);
        let mut client = gateway.client();
        for _ in 0..3 {
            let answer = client.exchange(GET);
            assert_eq!((answer.status, answer.text()), (200, r#"{"team": "red"}"#.to_owned()));
        }
        assert_eq!(door.connections(), 1);
        let (_, request) = &door.take()[0];
        assert_eq!(
            (request.method.as_str(), request.uri.path_and_query().map(http::uri::PathAndQuery::as_str)),
            ("POST", Some("/ask?a=b"))
        );
        // One that has said goodbye is no failure.
        door.hang_up();
        assert_eq!(client.exchange(GET).status, 200);
    });
}

#[test]
fn authorizers_are_asked_over_tls_and_have_to_prove_themselves() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let door = TlsBackend::acting(&Manner::new(&authority.issue(&["door.test"])), |_| Act::ok(YES));
        let files = [("ca.pem", &*authority.certificate)];
        let trusting = document(door.address(), "tls: {ca: ca.pem, server_name: door.test}");
        assert_eq!(started(driver, &trusting, &files).client().exchange(GET).status, 200);
        let asked = door.take().len();
        let other = document(door.address(), "tls: {ca: ca.pem, server_name: other.test}");
        let gateway = started(driver, &other, &files);
        assert_eq!(gateway.client().exchange(GET).status, 500);
        gateway.expect_said("tls_name_mismatch");
        assert_eq!((asked, door.take().len()), (1, 0), "nothing was told to a stranger");
    });
}

#[test]
fn a_09_an_authorizer_that_stops_within_its_answer_is_not_waited_for() {
    on_both_drivers(|driver| {
        for part in [
            "HTTP/1.1 200 O",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"isAuthor",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            let door = Backend::raw(move |conversation| {
                conversation.request()?;
                conversation.send(part);
                conversation.closed()
            });
            let gateway = started(driver, &document(door.address(), "protocol: http1"), &[]);
            let answer = gateway.client().exchange(GET);
            assert_eq!(
                (answer.status, answer.text()),
                (500, r#"{"message":"Internal Server Error"}"#.to_owned()),
                "{part}"
            );
            eventually("its connection is closed", || door.open() == 0);
            door.expect_no_faults();
            let failures = gateway.counter("tollgate_refusals_total", &[("reason", "authorizer_failure")]);
            assert_eq!(failures, 1.0, "{part}");
        }
    });
}

const OPENAPI: &str = r#"
openapi: 3.0.1
info: {title: t, version: "1"}
components:
  securitySchemes:
    token:
      type: apiKey
      name: X-Token
      in: header
      x-amazon-apigateway-authtype: custom
      x-amazon-apigateway-authorizer:
        type: token
        authorizerUri: arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.function}/invocations
        identityValidationExpression: "^[a-z]+$"
        authorizerResultTtlInSeconds: 60
    lost:
      type: apiKey
      name: X-Token
      in: header
      x-amazon-apigateway-authorizer: {type: token, authorizerUri: "", authorizerResultTtlInSeconds: 0}
paths:
  /a:
    get:
      security: [{token: []}]
      x-amazon-apigateway-integration: &mock
        type: mock
        requestTemplates: {application/json: '{"statusCode": 200}'}
        responses: {default: {statusCode: "200"}}
  /b:
    get:
      security: [{lost: []}]
      x-amazon-apigateway-integration: *mock
"#;

#[test]
fn authorizers_of_openapi_documents_decide() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(|request| {
            let event: Value = serde_json::from_slice(&request.body).expect("events are JSON");
            assert_eq!(event["methodArn"], "arn:aws:execute-api:us-east-1:000000000000:pets/dev/GET/a");
            let effect = if event["authorizationToken"] == "good" { "Allow" } else { "Deny" };
            Reply::ok(format!(
                r#"{{"principalId": "u", "policyDocument": {{"Version": "2012-10-17", "Statement": [{{"Action": "execute-api:Invoke", "Effect": "{effect}", "Resource": "*"}}]}}}}"#
            ))
        });
        let text = format!(
            r#"
gateway:
  lambda: {{endpoint: "http://{}"}}
apis:
  pets: {{kind: rest, openapi: pets.yaml, stages: {{dev: {{variables: {{function: door}}}}}}}}
domains:
  "*": {{mappings: {{/: pets/dev}}}}
"#,
            door.address()
        );
        let gateway = started(driver, &text, &[("pets.yaml", OPENAPI)]);
        gateway.expect_said("nobody passes authorizer `lost`: it has no authorizerUri");
        let mut client = gateway.client();
        for (path, token, status) in
            [("/a", "good", 200), ("/a", "good", 200), ("/a", "bad", 403), ("/a", "BAD", 401), ("/b", "good", 500)]
        {
            let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Token: {token}\r\n\r\n"));
            assert_eq!(answer.status, status, "{path} {token}: {}", answer.text());
        }
        assert_eq!(client.exchange("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").status, 401);
        let asked = door.take();
        assert_eq!(asked.len(), 2, "for `good` and `bad`, once each");
        assert!(asked[0].target.ends_with("function%3Adoor/invocations"), "{}", asked[0].target);
    });
}

/// Whether a request that the endpoint got is signed with this secret for Lambda in that region, now.
fn signed(request: &Request, secret: &[u8], region: &str) -> Result<Vec<u8>, Wrong> {
    let scope = Scope { region, service: "lambda" };
    let fields = request.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let asked = Asked { method: request.method.as_bytes(), path: request.target.as_bytes(), query: b"", fields };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let mut work = Work::default();
    sigv4::read(&asked, scope, now, &mut work)?;
    let key = sigv4::signing_key(secret, &work.day(), scope);
    sigv4::verify(&asked, &key, &sigv4::hash(&request.body), &mut work)?;
    Ok(work.access_key().to_vec())
}

/// An HTTP API whose authorizers are a function at `door`, and an endpoint there.
fn of_functions(door: &Backend, lambda: &str) -> String {
    format!(
        r#"
gateway:
  region: eu-central-1
  lambda: {{endpoint: "http://{0}", {lambda}}}
apis:
  web:
    kind: http
    authorizers:
      function: {{type: lambda, uri: "arn:aws:lambda:eu-central-1:123456789012:function:door:live", identity_sources: $request.header.authorization, payload: "2.0", simple_responses: true}}
      endpoint: {{type: lambda, uri: "http://{0}/ask", identity_sources: $request.header.authorization, payload: "2.0", simple_responses: true}}
    routes:
      "GET /x": {{authorizer: function, integration: {{type: mock}}}}
      "GET /y": {{authorizer: endpoint, integration: {{type: mock}}}}
    stages: {{$default: {{}}}}
"#,
        door.address()
    )
}

#[test]
fn a_06_requests_to_lambda_are_signed_as_the_document_says() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(|_| Reply::ok(YES));
        let credentials = r#"access_key: "${file:id}", secret_key: "${file:secret}", session_token: "${file:token}""#;
        let files = [("id", "AKIDEXAMPLE\n"), ("secret", "hush/hush+1\n"), ("token", "session//+==\n")];
        let gateway = started(driver, &of_functions(&door, credentials), &files);
        let mut client = gateway.client();
        assert_eq!(client.exchange(GET).status, 200);
        let request = door.only();
        let path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Adoor%3Alive/invocations";
        assert_eq!(request.target, path);
        assert_eq!(signed(&request, b"hush/hush+1", "eu-central-1"), Ok(b"AKIDEXAMPLE".to_vec()));
        assert_eq!(signed(&request, b"hush", "eu-central-1"), Err(Wrong::Differs));
        assert_eq!(signed(&request, b"hush/hush+1", "us-east-1"), Err(Wrong::Region));
        assert_eq!(request.header("X-Amz-Security-Token"), Some("session//+=="));
        let mut other = request.clone();
        other.body.push(b' ');
        assert_eq!(signed(&other, b"hush/hush+1", "eu-central-1"), Err(Wrong::Differs));
        // Nobody but Lambda gets to see it.
        assert_eq!(client.exchange(GET.replace("/x", "/y")).status, 200);
        let request = &door.take()[0];
        assert_eq!((request.header("Authorization"), request.header("X-Amz-Date")), (None, None));
        // Other credentials are taken over by a reload, and none of them is written anywhere.
        fs::write(gateway.folder().join("secret"), "other").expect("the folder is writable");
        let document =
            of_functions(&door, &credentials.replace(", session_token: \"${file:token}\"", ", region: us-east-1"));
        assert_eq!(gateway.reload(&document)["ok"], true);
        assert_eq!(client.exchange(GET).status, 200);
        let request = door.only();
        assert_eq!(signed(&request, b"other", "us-east-1"), Ok(b"AKIDEXAMPLE".to_vec()));
        assert_eq!(request.header("X-Amz-Security-Token"), None);
        let told = gateway.access_log() + &gateway.stderr() + &gateway.status().to_string();
        assert!(!told.contains("hush") && !told.contains("session//"), "{told}");
    });
}

#[test]
fn a_06_without_credentials_requests_to_lambda_are_not_signed() {
    let door = Backend::scripted(|_| Reply::ok(YES));
    let gateway = started(Driver::Epoll, &of_functions(&door, ""), &[]);
    assert_eq!(gateway.client().exchange(GET).status, 200);
    let request = door.only();
    assert_eq!((request.header("Authorization"), request.header("X-Amz-Date")), (None, None));
}

#[test]
fn pol_03_a_resource_policy_stands_beside_the_authorizer() {
    on_both_drivers(|driver| {
        let answer = |effect: &str, resource: &str| {
            Reply::ok(format!(
                r#"{{"principalId": "u", "policyDocument": {{"Version": "2012-10-17", "Statement": [{{"Action": "execute-api:Invoke", "Effect": "{effect}", "Resource": "{resource}"}}]}}}}"#
            ))
        };
        let door = Backend::scripted(move |request| {
            let event: Value = serde_json::from_slice(&request.body).expect("events are JSON");
            match event["authorizationToken"].as_str() {
                Some("allow") => answer("Allow", "*"),
                Some("deny") => answer("Deny", "*"),
                _ => answer("Allow", "arn:aws:execute-api:*:*:elsewhere/*"),
            }
        });
        let text = format!(
            r#"
apis:
  a:
    kind: rest
    policy:
      Version: 2012-10-17
      Statement:
        - {{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*/GET/open/*"}}
        - {{Effect: Deny, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*/GET/shut/*"}}
    authorizers:
      door: {{type: lambda, mode: token, uri: "http://{}/", identity_sources: method.request.header.Authorization, ttl: 0s}}
    routes:
      "GET /{{proxy+}}": {{authorizer: door, integration: {{type: mock, body: '"$context.authorizer.principalId"'}}}}
    stages: {{s: {{}}}}
domains:
  "*": {{mappings: {{/: a/s}}}}
"#,
            door.address()
        );
        let gateway = started(driver, &text, &[]);
        let mut client = gateway.client();
        // Table A, and the first phase: what the policy denies is asked of nobody.
        for (path, token, status, says, asks) in [
            ("/open/x", "allow", 200, "\"u\"", 1),
            ("/open/x", "silent", 200, "\"u\"", 1),
            ("/open/x", "deny", 403, "with an explicit deny", 1),
            ("/other/x", "allow", 200, "\"u\"", 1),
            ("/other/x", "silent", 403, "User is not authorized to access this resource\"", 1),
            ("/other/x", "deny", 403, "with an explicit deny", 1),
            ("/shut/x", "allow", 403, "with an explicit deny", 0),
        ] {
            let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n"));
            assert_eq!((answer.status, door.take().len()), (status, asks), "{path} {token}: {}", answer.text());
            assert!(answer.text().contains(says), "{path} {token}: {}", answer.text());
        }
    });
}
