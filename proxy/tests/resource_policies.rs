//! Resource policies (POL-01 to POL-03): who may call, from where and when; and the words of those who may not (A-13).

mod support;

use support::{Response, Stage, Theatre, shown};

/// A REST API whose policy names an address, a method and an agent; an HTTP API with the same; and one that closes by a file.
static HOUSE: Theatre = Theatre::new(
    r#"
gateway:
  trusted_proxies: [127.0.0.1]
  region: eu-west-1
  account_id: "123456789012"
apis:
  pets:
    kind: rest
    policy: &policy
      Version: 2012-10-17
      Statement:
        - {Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*/GET/*"}
        - Effect: Deny
          Principal: {AWS: "*"}
          Action: "execute-api:*"
          Resource: ["execute-api:/prod/*/secret*", "arn:aws:execute-api:eu-west-1:123456789012:pets/*/GET/hidden"]
          Condition:
            NotIpAddress: {"aws:SourceIp": [192.0.2.0/24, "2001:db8::/32"]}
            StringNotLike: {"aws:UserAgent": "keeper/*"}
    routes: &routes
      "ANY /{proxy+}": {integration: {type: mock, body: "{}"}}
    stages: {prod: {}, dev: {}}
  web:
    kind: http
    policy: *policy
    routes: *routes
    stages: {prod: {}}
  nobody:
    kind: rest
    policy: {Statement: {Effect: Allow, Principal: {AWS: "123456789012"}, Action: "*", Resource: "*"}}
    routes: *routes
    stages: {prod: {}}
domains:
  pets.test: {mappings: {/: pets/prod, /dev: pets/dev}}
  web.test: {mappings: {/: web/prod}}
  nobody.test: {mappings: {/: nobody/prod}}
"#,
);

fn ask(stage: &Stage, host: &str, line: &str, fields: &str) -> Response {
    stage.client().exchange(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

#[track_caller]
fn is_denied(response: &Response, resource: &str, is_explicit: bool) {
    let whole = shown(&response.raw);
    assert_eq!(response.status, 403, "{whole}");
    assert_eq!(response.header("x-amzn-ErrorType"), Some("AccessDeniedException"), "{whole}");
    let deny = if is_explicit { " with an explicit deny" } else { "" };
    let on = format!("arn:aws:execute-api:eu-west-1:********9012:{resource}{deny}");
    let message = format!("User: anonymous is not authorized to perform: execute-api:Invoke on resource: {on}");
    assert_eq!(response.text(), format!("{{\"Message\":\"{message}\"}}"), "{whole}");
}

#[test]
fn pol_01_what_no_statement_allows_is_denied_in_the_words_of_a_13() {
    HOUSE.play(|stage| {
        ask(stage, "pets.test", "GET /cats", "").expect_status(200);
        let before = stage.refusals();
        is_denied(&ask(stage, "pets.test", "POST /cats/7%20", ""), "pets/prod/POST/cats/7%20", false);
        stage.one_refusal_more(&before, "access_denied");
        is_denied(&ask(stage, "pets.test", "DELETE /dev/a//b/", ""), "pets/dev/DELETE/a//b", false);
        // What routing takes for the same is denied as the same.
        is_denied(&ask(stage, "pets.test", "DELETE /dev/%61//b", ""), "pets/dev/DELETE/a//b", false);
        is_denied(&ask(stage, "nobody.test", "GET /x", ""), "nobody/prod/GET/x", false);
    });
}

#[test]
fn pol_02_conditions_look_at_addresses_and_agents() {
    HOUSE.play(|stage| {
        let from = |address: &str, path: &str, more: &str| {
            ask(stage, "pets.test", &format!("GET {path}"), &format!("X-Forwarded-For: {address}\r\n{more}"))
        };
        for (address, path, more, allowed) in [
            ("192.0.2.9", "/secret", "", true),
            ("2001:db8::7", "/secrets/1", "", true),
            ("203.0.113.9", "/secret", "", false),
            ("203.0.113.9", "/hidden", "", false),
            ("203.0.113.9", "/hidden/not", "", true),
            ("203.0.113.9", "/dev/secret", "", true),
            ("203.0.113.9", "/secret", "User-Agent: keeper/2\r\n", true),
            ("203.0.113.9", "/secret", "User-Agent: Keeper/2\r\n", false),
            // Whoever sends it himself is not believed.
            ("192.0.2.9, 203.0.113.9", "/secret", "", false),
        ] {
            let response = from(address, path, more);
            if allowed {
                response.expect_status(200);
            } else {
                is_denied(&response, &format!("pets/prod/GET{path}"), true);
            }
        }
    });
}

#[test]
fn pol_03_http_apis_have_them_too_in_their_own_words() {
    HOUSE.play(|stage| {
        ask(stage, "web.test", "GET /cats", "").expect_status(200);
        let response = ask(stage, "web.test", "POST /cats", "");
        assert_eq!((response.status, response.text().as_str()), (403, "{\"message\":\"Forbidden\"}"));
        assert_eq!(response.header("x-amzn-ErrorType"), None);
    });
}
