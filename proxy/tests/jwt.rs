//! Callers who show a token (A-01, A-02, A-03, A-11; R09, P10): in raw bytes, with an issuer that rotates its keys, fails and lies.

#[path = "support/issuer.rs"]
mod issuer;
mod support;

use std::fs;
use std::process::Command;

use issuer::{Issuer, Key, now};
use serde_json::{Value, json};
use support::gateway::new_folder;
use support::{Driver, Gateway, Response, eventually, on_both_drivers, shown};

/// An HTTP API at any host; `authorizer`: what stands behind `login:`.
fn http_api(authorizer: &str) -> String {
    format!(
        r#"apis:
  h:
    kind: http
    authorizers:
      login: {authorizer}
    routes:
      "GET /me":
        authorizer: login
        integration:
          type: mock
          headers: {{X-Sub: $context.authorizer.claims.sub, X-Groups: $context.authorizer.claims.groups}}
          body: "$context.authorizer.principalId"
      "GET /read": {{authorizer: login, scopes: [read, "read:all"], integration: {{type: mock, body: ok}}}}
      "GET /open": {{integration: {{type: mock, body: ok}}}}
    stages: {{$default: {{}}}}
"#
    )
}

fn login(issuer: &Issuer, more: &str) -> String {
    format!("{{type: jwt, issuer: \"{}\", audience: [app, web]{more}}}", issuer.name())
}

#[track_caller]
fn get(gateway: &Gateway, target: &str, token: Option<&str>) -> Response {
    let field = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    gateway.client().exchange(format!("GET {target} HTTP/1.1\r\nHost: h.test\r\n{field}\r\n"))
}

/// What HTTP APIs send whose token proves nothing.
#[track_caller]
fn is_refused(response: &Response, challenge: &str) {
    assert_eq!(response.status, 401, "{}", shown(&response.raw));
    assert_eq!(response.text(), r#"{"message":"Unauthorized"}"#);
    assert_eq!(response.all("www-authenticate"), [challenge], "{}", shown(&response.raw));
}

fn invalid(why: &str) -> String {
    format!("Bearer scope=\"\" error=\"invalid_token\" error_description=\"{why}\"")
}

const NO_KEYS: &str = "the keys of the issuer are not available";

#[test]
fn a_02_a_token_says_who_calls() {
    on_both_drivers(|driver| {
        let keys = [Key::es256("e"), Key::rs256("r"), Key::eddsa("d")];
        let issuer = Issuer::new(&keys.iter().collect::<Vec<_>>());
        let gateway = Gateway::start(&http_api(&login(&issuer, "")), driver);
        for key in &keys {
            let token = key.token(&issuer.claims(&json!({"groups": ["a", "b"], "sub": "joe\r\nX-Evil: 1"})));
            for _ in 0..3 {
                let response = get(&gateway, "/me", Some(&token));
                response.expect_status(200);
                assert_eq!(response.header("X-Groups"), Some("[a b]"));
                assert_eq!(response.header("X-Evil"), None, "a claim never breaks a head");
            }
        }
        assert_eq!(issuer.asked(), (1, 1), "one fetch for all");
        let token = keys[0].token(&issuer.claims(&json!({})));
        let plain = gateway.client().exchange(format!("GET /me HTTP/1.1\r\nHost: h\r\nauthorization: {token}\r\n\r\n"));
        assert_eq!((plain.status, plain.text().as_str(), plain.header("X-Sub")), (200, "\"joe\"", Some("joe")));
        get(&gateway, "/open", None).expect_status(200);
        let log = gateway.access_log();
        assert!(!log.contains(&token) && !gateway.stderr().contains(&token), "a token is no line of a log");
    });
}

#[test]
fn a_02_what_proves_nothing_is_told_why() {
    on_both_drivers(|driver| {
        let (key, other) = (Key::es256("k"), Key::es256("k"));
        let issuer = Issuer::new(&[&key]);
        let gateway = Gateway::start(&http_api(&login(&issuer, "")), driver);
        // What is told where there is no token is assumed.
        is_refused(&get(&gateway, "/me", None), "Bearer");
        is_refused(&get(&gateway, "/me", Some("")), "Bearer");
        let of = |more: Value| key.token(&issuer.claims(&more));
        for (token, why) in [
            (of(json!({"aud": "other"})), "the token does not have a valid audience"),
            (of(json!({"exp": now() - 1})), "the token has expired"),
            (of(json!({"nbf": now() + 100})), "the token is not valid yet"),
            (of(json!({"iat": now() + 100})), "the token is used before it was issued"),
            (of(json!({"iss": "https://evil.test"})), "the token does not have a valid issuer"),
            (of(json!({"iss": format!("{}/", issuer.name())})), "the token does not have a valid issuer"),
            (other.token(&issuer.claims(&json!({}))), "the token does not have a valid signature"),
            (Key::es256("other").token(&issuer.claims(&json!({}))), "the token does not have a valid key id"),
            ("a.b".to_owned(), "the token does not have three parts"),
            ("!.b.c".to_owned(), "the token is not base64url"),
            ("eyJhbGciOiJub25lIn0.e30.".to_owned(), "the token does not have a valid signing method"),
        ] {
            is_refused(&get(&gateway, "/me", Some(&token)), &invalid(why));
        }
        assert!((gateway.counter("tollgate_refusals_total", &[("reason", "unauthorized")]) - 13.0).abs() < 0.5);
        let client = json!({"client_id": "app"});
        let mut claims = issuer.claims(&client);
        claims.as_object_mut().expect("an object").remove("aud");
        get(&gateway, "/me", Some(&key.token(&claims))).expect_status(200);
    });
}

#[test]
fn a_02_a_scope_that_is_missing_is_forbidden() {
    // The fields are assumed.
    on_both_drivers(|driver| {
        let key = Key::eddsa("k");
        let issuer = Issuer::new(&[&key]);
        let gateway = Gateway::start(&http_api(&login(&issuer, "")), driver);
        let of = |more: Value| key.token(&issuer.claims(&more));
        for more in [json!({"scope": "write read"}), json!({"scp": ["read:all"]})] {
            get(&gateway, "/read", Some(&of(more))).expect_status(200);
        }
        for more in [json!({}), json!({"scope": "write"}), json!({"scope": "READ"})] {
            let token = of(more);
            for _ in 0..2 {
                let response = get(&gateway, "/read", Some(&token));
                assert_eq!((response.status, response.text().as_str()), (403, r#"{"message":"Forbidden"}"#));
                let challenge = "Bearer scope=\"read read:all\" error=\"insufficient_scope\"";
                assert_eq!(response.all("www-authenticate"), [challenge]);
            }
            get(&gateway, "/me", Some(&token)).expect_status(200);
        }
        assert!((gateway.counter("tollgate_refusals_total", &[("reason", "access_denied")]) - 6.0).abs() < 0.5);
    });
}

#[test]
fn a_03_a_rest_api_trusts_several_issuers() {
    on_both_drivers(|driver| {
        let (one, two) = (Key::es256("k"), Key::rs256("k"));
        let (first, second) = (Issuer::new(&[&one]), Issuer::new(&[&two]));
        let config = format!(
            r#"apis:
  r:
    kind: rest
    authorizers:
      login:
        type: jwt
        identity_source: $request.querystring.token
        clock_skew: 1m
        issuers: [{{issuer: "{}", audience: web}}, {{issuer: "{}", audience: app, jwks: "{}/keys"}}]
    routes:
      "GET /me": {{authorizer: login, integration: {{type: mock, body: $context.authorizer.claims.groups}}}}
    stages: {{s: {{}}}}
"#,
            first.name(),
            second.name(),
            second.name()
        );
        let gateway = Gateway::start(&config, driver);
        let ask = |token: &str| get(&gateway, &format!("/s/me?token={token}"), None);
        let groups = json!({"groups": ["a", "b"]});
        assert_eq!(ask(&one.token(&first.claims(&groups))).text(), "\"a,b\"", "assumed");
        let mut of_second = second.claims(&groups);
        of_second["aud"] = "app".into();
        ask(&two.token(&of_second)).expect_status(200);
        assert_eq!(second.asked().0, 0, "the document says where its keys are");
        for token in
            [one.token(&of_second), two.token(&first.claims(&json!({}))), two.token(&second.claims(&json!({})))]
        {
            let response = ask(&token);
            assert_eq!((response.status, response.text().as_str()), (401, r#"{"message":"Unauthorized"}"#));
            assert_eq!(response.header("www-authenticate"), None);
            assert_eq!(response.header("x-amzn-errortype"), Some("UnauthorizedException"));
        }
        ask(&one.token(&first.claims(&json!({"exp": now() - 30})))).expect_status(200);
        // The words of an expired token are assumed.
        let expired = ask(&one.token(&first.claims(&json!({"exp": now() - 90}))));
        assert_eq!((expired.status, expired.text().as_str()), (401, r#"{"message":"The incoming token has expired"}"#));
    });
}

#[test]
fn a_11_a_user_pool_gives_identity_tokens_and_for_scopes_access_tokens() {
    on_both_drivers(|driver| {
        let key = Key::rs256("k");
        let pool = Issuer::new(&[&key]);
        let folder = new_folder();
        let integration = "x-amazon-apigateway-integration: {type: mock, requestTemplates: {application/json: '{\"statusCode\": 200}'}, responses: {default: {statusCode: '200'}}}";
        let document = format!(
            r#"openapi: 3.0.1
info: {{title: t, version: "1"}}
components:
  securitySchemes:
    pool:
      type: apiKey
      name: Authorization
      in: header
      x-amazon-apigateway-authtype: cognito_user_pools
      x-amazon-apigateway-authorizer: {{type: cognito_user_pools, providerARNs: ["{}"]}}
paths:
  /me: {{get: {{security: [{{pool: []}}], responses: {{"200": {{description: d}}}}, {integration}}}}}
  /read: {{get: {{security: [{{pool: [read]}}], responses: {{"200": {{description: d}}}}, {integration}}}}}
"#,
            pool.name()
        );
        fs::write(folder.join("pool.yaml"), document).expect("the folder is writable");
        let config = "apis: {r: {kind: rest, openapi: pool.yaml, stages: {s: {}}}}\n";
        let gateway = Gateway::start_in(folder, config, driver, &[]).unwrap_or_else(|why| panic!("{}", why.stderr));
        let of = |more: Value| key.token(&pool.claims(&more));
        let identity = of(json!({"token_use": "id", "aud": "any client of the pool"}));
        let access = of(json!({"token_use": "access", "scope": "read"}));
        get(&gateway, "/s/me", Some(&identity)).expect_status(200);
        get(&gateway, "/s/read", Some(&access)).expect_status(200);
        // Both are remembered now, and still not what the other method asks for.
        for (target, token) in [
            ("/s/me", &access),
            ("/s/read", &identity),
            ("/s/read", &of(json!({"token_use": "access", "scope": "write"}))),
        ] {
            let response = get(&gateway, target, Some(token));
            assert_eq!((response.status, response.text().as_str()), (401, r#"{"message":"Unauthorized"}"#), "{target}");
        }
        assert_eq!(get(&gateway, "/s/me", None).status, 401);
    });
}

#[test]
fn a_02_a_storm_of_unknown_keys_is_no_load_for_the_issuer() {
    on_both_drivers(|driver| {
        let key = Key::eddsa("k");
        let issuer = Issuer::new(&[&key]);
        let gateway = Gateway::start(&http_api(&login(&issuer, "")), driver);
        get(&gateway, "/me", Some(&key.token(&issuer.claims(&json!({}))))).expect_status(200);
        for number in 0..100 {
            let token = Key::eddsa(&format!("unknown-{number}")).token(&issuer.claims(&json!({})));
            is_refused(&get(&gateway, "/me", Some(&token)), &invalid("the token does not have a valid key id"));
        }
        let (discovered, fetched) = issuer.asked();
        assert!(fetched <= 2 && discovered <= 2, "{discovered} {fetched}");
    });
}

#[test]
fn a_02_keys_are_rotated_without_a_reload() {
    on_both_drivers(|driver| {
        let (old, new) = (Key::es256("old"), Key::es256("new"));
        let issuer = Issuer::new(&[&old]);
        let gateway = Gateway::start(&http_api(&login(&issuer, ", keys_kept: 1s")), driver);
        let of_old = old.token(&issuer.claims(&json!({})));
        get(&gateway, "/me", Some(&of_old)).expect_status(200);
        issuer.rotate(&[&old, &new]);
        let of_new = new.token(&issuer.claims(&json!({})));
        eventually("the new key is known", || get(&gateway, "/me", Some(&of_new)).status == 200);
        get(&gateway, "/me", Some(&of_old)).expect_status(200);
        issuer.rotate(&[&new]);
        // What was verified with it is not remembered beyond it.
        eventually("the old key is gone", || get(&gateway, "/me", Some(&of_old)).status == 401);
        get(&gateway, "/me", Some(&of_new)).expect_status(200);
    });
}

#[test]
fn a_02_keys_are_used_on_while_the_issuer_is_down_and_no_longer_than_allowed() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let (kind, strict) = (Issuer::new(&[&key]), Issuer::new(&[&key]));
        let patient = Gateway::start(&http_api(&login(&kind, ", keys_kept: 1s, keys_stale: 1h")), driver);
        let strict_one = Gateway::start(&http_api(&login(&strict, ", keys_kept: 1s, keys_stale: 1s")), driver);
        let numbered = |issuer: &Issuer, number: u32| key.token(&issuer.claims(&json!({"n": number})));
        get(&patient, "/me", Some(&numbered(&kind, 0))).expect_status(200);
        get(&strict_one, "/me", Some(&numbered(&strict, 0))).expect_status(200);
        kind.manner().is_down = true;
        strict.manner().is_down = true;
        let before = kind.asked().0;
        eventually("it was asked in vain, twice", || kind.asked().0 >= before + 2);
        get(&patient, "/me", Some(&numbered(&kind, 1))).expect_status(200);
        eventually("its keys are too old", || {
            let response = get(&strict_one, "/me", Some(&numbered(&strict, 2)));
            response.header("www-authenticate") == Some(&invalid(NO_KEYS))
        });
        strict.manner().is_down = false;
        eventually("it is back", || get(&strict_one, "/me", Some(&numbered(&strict, 3))).status == 200);
    });
}

#[test]
fn p_10_an_issuer_that_lies_has_no_keys() {
    let key = Key::es256("k");
    let check = |change: &dyn Fn(&Issuer)| {
        let issuer = Issuer::new(&[&key]);
        change(&issuer);
        let gateway = Gateway::start(&http_api(&login(&issuer, "")), Driver::Epoll);
        let token = key.token(&issuer.claims(&json!({})));
        is_refused(&get(&gateway, "/me", Some(&token)), &invalid(NO_KEYS));
        gateway.expect_said("cannot fetch the keys of an issuer");
        issuer.asked()
    };
    assert_eq!(check(&|issuer| issuer.manner().says = Some("https://other.test".into())).1, 0, "another issuer");
    check(&|issuer| issuer.manner().says = Some(format!("{}/", issuer.name())));
    let elsewhere = Issuer::new(&[&key]);
    let to = elsewhere.name().to_owned();
    check(&|issuer| issuer.manner().status = Some((302, format!("{to}/.well-known/openid-configuration"))));
    assert_eq!(elsewhere.asked(), (0, 0), "redirections are not followed");
    check(&|issuer| issuer.manner().status = Some((500, String::new())));
    check(&|issuer| issuer.manner().padding = 150_000);
    check(&|issuer| issuer.manner().keys = vec![json!({"kty": "oct", "k": "AAAA", "kid": "k"})]);
    check(&|issuer| issuer.manner().is_down = true);
}

#[test]
fn a_03_a_rest_api_whose_issuer_has_no_keys_fails() {
    // Assumed: authorizer_failure.
    let key = Key::es256("k");
    let issuer = Issuer::new(&[&key]);
    issuer.manner().is_down = true;
    let config = http_api(&login(&issuer, "")).replace("kind: http", "kind: rest").replace("$default: {}", "s: {}");
    let gateway = Gateway::start(&config, Driver::Epoll);
    let response = get(&gateway, "/s/me", Some(&key.token(&issuer.claims(&json!({})))));
    assert_eq!((response.status, response.text().as_str()), (500, r#"{"message":null}"#));
    assert!((gateway.counter("tollgate_refusals_total", &[("reason", "authorizer_failure")]) - 1.0).abs() < 0.5);
}

#[test]
fn a_remembered_token_ends_with_its_time() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let issuer = Issuer::new(&[&key]);
        let gateway = Gateway::start(&http_api(&login(&issuer, "")), driver);
        let token = key.token(&issuer.claims(&json!({"exp": now() + 2})));
        get(&gateway, "/me", Some(&token)).expect_status(200);
        eventually("it has expired", || get(&gateway, "/me", Some(&token)).status == 401);
        is_refused(&get(&gateway, "/me", Some(&token)), &invalid("the token has expired"));
    });
}

fn tollgate(args: &[&str]) -> (String, bool) {
    let ran = Command::new(env!("CARGO_BIN_EXE_tollgate")).args(args).output().expect("the binary is built");
    (String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr), ran.status.success())
}

#[test]
fn keys_of_a_file_are_read_at_each_load_and_never_compiled() {
    let (old, new) = (Key::es256("old"), Key::eddsa("new"));
    let folder = new_folder();
    let keys = folder.join("keys.jwks");
    let write = |key: &Key| fs::write(&keys, json!({"keys": [key.jwk()]}).to_string()).expect("a writable folder");
    write(&old);
    let config = http_api("{type: jwt, issuer: staff, audience: web, jwks: {file: keys.jwks}}");
    let claims = json!({"iss": "staff", "sub": "joe", "aud": "web", "exp": now() + 3_600});
    let gateway = Gateway::start_in(folder.clone(), &config, Driver::Epoll, &[]).expect("it starts");
    get(&gateway, "/me", Some(&old.token(&claims))).expect_status(200);
    is_refused(&get(&gateway, "/me", Some(&new.token(&claims))), &invalid("the token does not have a valid key id"));
    write(&new);
    assert_eq!(gateway.reload(&config)["ok"], true);
    get(&gateway, "/me", Some(&new.token(&claims))).expect_status(200);
    is_refused(&get(&gateway, "/me", Some(&old.token(&claims))), &invalid("the token does not have a valid key id"));
    let (document, compiled) = (folder.join("gateway.yaml"), folder.join("compiled.snapshot"));
    let (said, ok) = tollgate(&["compile", document.to_str().unwrap(), "-o", compiled.to_str().unwrap()]);
    assert!(ok, "{said}");
    let point = new.jwk()["x"].as_str().expect("a text").to_owned();
    let bytes = fs::read(&compiled).expect("it was written");
    assert!(support::find(&bytes, point.as_bytes()).is_none() && support::find(&bytes, b"keys.jwks").is_some());
    // Its files move along: what it names is beside it.
    let elsewhere = new_folder();
    for name in ["compiled.snapshot", "keys.jwks"] {
        fs::copy(folder.join(name), elsewhere.join(name)).expect("a writable folder");
    }
    let compiled = elsewhere.join("compiled.snapshot");
    drop(gateway);
    let from_file = Gateway::start_file(elsewhere, &compiled, Driver::Epoll, &[]).expect("it starts");
    get(&from_file, "/me", Some(&new.token(&claims))).expect_status(200);
}

#[test]
fn a_01_explain_shows_who_decides_and_the_line_that_says_so() {
    let folder = new_folder();
    let document = folder.join("gateway.yaml");
    let config = http_api("{type: jwt, issuer: \"https://id.example.com\", audience: [web]}");
    fs::write(&document, format!("gateway: {{listen: \"127.0.0.1:0\"}}\n{config}")).expect("a writable folder");
    let (said, ok) = tollgate(&["explain", document.to_str().unwrap(), "GET", "http://h/read"]);
    assert!(ok, "{said}");
    let line = said.lines().find(|line| line.starts_with("authorizer")).unwrap_or_else(|| panic!("{said}"));
    for part in [
        "login",
        "gateway.yaml:6)",
        "a token in Authorization of https://id.example.com for web",
        "keys by discovery",
        "scope read or read:all",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(said.contains("authorize"), "{said}");
    let (said, _) = tollgate(&["explain", document.to_str().unwrap(), "GET", "http://h/open"]);
    assert!(!said.contains("authorizer "), "{said}");
}
