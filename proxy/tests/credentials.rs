//! No credential is ever told: not in a log, at any level, not in a metric, an error's body or field, a status, a diagnostic, a compiled file or
//! what `explain` prints; whether it was good or bad, and however its request ended.

#[path = "support/issuer.rs"]
mod issuer;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use data_encoding::BASE64;
use issuer::{Issuer, Key};
use serde_json::json;
use support::gateway::{complete, new_folder};
use support::{Backend, Driver, Gateway, Reply, eventually, on_both_drivers};

const PASSWORD: &str = "Hello world!";
const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
const API_KEY: &str = "hushkey-0123456789-abcdef";
const SECRET_KEY: &str = "hushprincipal-0123456789-abcdef";
const SESSION: &str = "hushsession-0123456789";
/// A signature of 64 digits that nobody has made.
const SIGNATURE: &str = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7";

/// Every way in, on an API of each kind; what is behind them is not there, or fails.
fn document(backend: &str, issuer: &str) -> String {
    let authorizers = format!(
        r#"
      staff: {{type: basic, users: {{file: users.htpasswd}}}}
      login: {{type: jwt, issuer: "{issuer}", audience: [app]}}
      query: {{type: jwt, issuer: "{issuer}", audience: [app], identity_source: $request.querystring.access_token}}
      door: {{type: lambda, uri: "http://back/door", identity_sources: SOURCE, ttl: 5m}}
      broken: {{type: lambda, uri: "http://127.0.0.1:1/", identity_sources: SOURCE}}"#
    );
    let mock = "integration: {type: mock, body: '{}'}";
    let routes = format!(
        r#"
      "GET /staff": {{authorizer: staff, {mock}}}
      "GET /login": {{authorizer: login, {mock}}}
      "GET /query": {{authorizer: query, {mock}}}
      "GET /door": {{authorizer: door, {mock}}}
      "GET /broken": {{authorizer: broken, {mock}}}
      "GET /signed": {{authorization: AWS_IAM, {mock}}}
      "GET /key": {{api_key_required: true, {mock}}}
      "GET /slow": {{api_key_required: true, throttle: {{rate: 0.001, burst: 1}}, {mock}}}
      "GET /dead": {{integration: {{type: http_proxy, uri: "http://127.0.0.1:1/"}}}}
      "GET /fails": {{integration: {{type: http_proxy, uri: "http://back/fails"}}}}"#
    );
    let of = |kind: &str, source: &str| {
        format!("\n    kind: {kind}\n    authorizers:{}\n    routes:{routes}\n", authorizers.replace("SOURCE", source))
    };
    format!(
        r#"gateway:
  access_log: {{to: access.log, format: json}}
  account_id: "123456789012"
  principals:
    - {{access_key: REX, secret_key: "${{file:secret}}", session_token: "${{file:session}}", policy: {{Statement: [{{Effect: Allow, Action: "*", Resource: "*"}}]}}}}
upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  web:{}    stages: {{$default: {{}}}}
  rest:{}    stages: {{s: {{}}}}
domains:
  web.test: {{mappings: {{/: web/$default}}}}
  rest.test: {{mappings: {{/: rest/s}}}}
usage_plans:
  basic: {{stages: [web/$default, rest/s], throttle: {{rate: 1000, burst: 1000}}}}
api_keys:
  acme: {{value: "${{file:key}}", plans: [basic]}}
"#,
        of("http", "$request.querystring.token"),
        of("rest", "method.request.querystring.token"),
    )
}

fn folder() -> std::path::PathBuf {
    let folder = new_folder();
    for (name, text) in [
        ("users.htpasswd", format!("ann:{HASH}\n")),
        ("secret", SECRET_KEY.to_owned()),
        ("session", SESSION.to_owned()),
        ("key", API_KEY.to_owned()),
    ] {
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
    folder
}

/// What no output may hold.
struct Secrets(Vec<String>);

impl Secrets {
    fn new(tokens: &[&str]) -> Secrets {
        let written = [PASSWORD, HASH, "saltstring", API_KEY, SECRET_KEY, SESSION, SIGNATURE, "hush", "HUSH"];
        let mut all: Vec<String> = written.into_iter().chain(tokens.iter().copied()).map(str::to_owned).collect();
        all.push(BASE64.encode(format!("ann:{PASSWORD}").as_bytes()));
        all.push(BASE64.encode(b"ann:hushwrong"));
        // The signature of a token alone is as good as nothing, but it is nobody's business.
        all.extend(tokens.iter().filter_map(|token| token.rsplit_once('.')).map(|(_, signature)| signature.to_owned()));
        Secrets(all)
    }

    #[track_caller]
    fn are_not_in(&self, what: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for secret in &self.0 {
            assert!(!text.contains(secret.as_str()), "{what} tells `{secret}`:\n{text}");
        }
    }
}

fn signed(field: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=REX/20260101/us-east-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature={SIGNATURE}\r\nX-Amz-Date: 20260101T000000Z\r\nX-Amz-Security-Token: {field}\r\n"
    )
}

/// Targets and fields, with every kind of credential, good and bad.
fn requests(token: &str, bad: &str) -> Vec<(String, String)> {
    let basic =
        |password: &str| format!("Authorization: Basic {}\r\n", BASE64.encode(format!("ann:{password}").as_bytes()));
    let presigned = format!(
        "/signed?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=REX%2F20260101%2Fus-east-1%2Fexecute-api%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token={SESSION}&X-Amz-Signature={SIGNATURE}"
    );
    let key = |value: &str| format!("X-API-Key: {value}\r\nCookie: session=hushcookie\r\n");
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut all = vec![
        ("/staff".to_owned(), basic(PASSWORD)),
        ("/staff".to_owned(), basic("hushwrong")),
        ("/staff".to_owned(), "Authorization: Basic hush hush\r\n".to_owned()),
        ("/login".to_owned(), bearer(token)),
        ("/login".to_owned(), bearer(bad)),
        ("/login".to_owned(), bearer("hush.hush.hush")),
        (format!("/query?access_token={token}"), String::new()),
        (format!("/query?access_token={bad}"), String::new()),
        ("/door?token=hushgood".to_owned(), String::new()),
        ("/door?token=hushbad".to_owned(), String::new()),
        ("/door?token=hushbroken".to_owned(), String::new()),
        ("/broken?token=hushgood".to_owned(), "Cookie: session=hushcookie\r\n".to_owned()),
        ("/signed".to_owned(), signed(SESSION)),
        ("/signed".to_owned(), signed("hushother")),
        ("/signed".to_owned(), "Authorization: AWS4-HMAC-SHA256 hush=hush\r\n".to_owned()),
        (presigned, String::new()),
        ("/key".to_owned(), key(API_KEY)),
        ("/key".to_owned(), key("hushkey-of-nobody-0123456789")),
        ("/slow".to_owned(), key(API_KEY)),
        ("/slow".to_owned(), key(API_KEY)),
    ];
    // Where nothing is asked for: no such path, a backend that is not there or fails, a head that is none.
    for path in ["/nowhere", "/dead", "/fails", "/staff/../../x"] {
        all.push((format!("{path}?key={API_KEY}&token={token}"), format!("{}{}", basic(PASSWORD), key(API_KEY))));
    }
    all.push(("/staff".to_owned(), format!("Authorization : Basic hush\r\n{}", key(API_KEY))));
    all.push(("/staff".to_owned(), format!("Authorization: Basic hush\x01hush\r\n{}", key(API_KEY))));
    all.push(("/login".to_owned(), bearer(&"hush".repeat(5_000))));
    all
}

/// The endpoint that decides: it says in its answers what it was told, as careless ones do.
fn door(request: &support::Request) -> Reply {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    if text.contains("hushbroken") || request.target.contains("fails") {
        let body = format!("{{\"error\": \"hush {}\"}}", "x".repeat(10));
        return Reply::Bytes(format!("HTTP/1.1 500 X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
    }
    let effect = if text.contains("hushgood") { "Allow" } else { "Deny" };
    let statement = json!({"Action": "execute-api:Invoke", "Effect": effect, "Resource": "*"});
    Reply::ok(
        json!({"principalId": "u", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}).to_string(),
    )
}

#[track_caller]
fn start(folder: &Path, text: &str, driver: Driver) -> Gateway {
    let document = folder.join("gateway.yaml");
    fs::write(&document, complete(text, folder)).expect("the folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("run").arg(document).arg(format!("--io-driver={}", driver.name())).env("TOLLGATE_LOG", "trace");
    command.stdout(std::process::Stdio::null());
    let started = Gateway::launch(folder.to_owned(), driver, command);
    started.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr))
}

#[test]
fn no_output_tells_a_credential() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let issuer = Issuer::new(&[&key]);
        let (token, bad) =
            (key.token(&issuer.claims(&json!({"aud": "app"}))), key.token(&issuer.claims(&json!({"aud": "other"}))));
        let secrets = Secrets::new(&[&token, &bad]);
        let backend = Backend::scripted(door);
        let folder = folder();
        let gateway = start(&folder, &document(backend.address(), issuer.name()), driver);
        let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
        let asked = requests(&token, &bad);
        for host in ["web.test", "rest.test"] {
            for (target, fields) in &asked {
                let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
                let response = gateway.client().exchange(request);
                *statuses.entry(response.status).or_default() += 1;
                // What a backend says to its client is its own matter.
                if !target.starts_with("/fails") {
                    secrets.are_not_in("an answer", &response.raw);
                }
            }
        }
        for status in [200, 400, 401, 403, 429, 500, 502, 504] {
            let is_there = statuses.contains_key(&status);
            assert!(is_there || matches!(status, 502 | 504), "no {status}: {statuses:?}");
        }
        eventually("the log is written", || gateway.access_log().lines().count() == 2 * asked.len());
        secrets.are_not_in("the access log", gateway.access_log().as_bytes());
        secrets.are_not_in("the log", gateway.stderr().as_bytes());
        for path in ["/metrics", "/status"] {
            secrets.are_not_in(path, gateway.admin_get(path).as_bytes());
        }
        secrets.are_not_in("status", gateway.status().to_string().as_bytes());
        let reloaded = gateway.reload(&document(backend.address(), issuer.name()));
        secrets.are_not_in("a reload", reloaded.to_string().as_bytes());
        commands_are_silent(&folder, &secrets, &token);
    });
}

/// What the commands print of this folder, and what they write.
#[track_caller]
fn commands_are_silent(folder: &Path, secrets: &Secrets, token: &str) {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let said = command.args(args).current_dir(folder).env("TOLLGATE_LOG", "trace").output().expect("it runs");
        let said = [said.stdout, said.stderr].concat();
        secrets.are_not_in(&args.join(" "), &said);
        String::from_utf8_lossy(&said).into_owned()
    };
    let bearer = format!("Authorization: Bearer {token}");
    let target = format!("http://web.test/login?token={token}&X-Amz-Signature={SIGNATURE}");
    let said = run(&["explain", "gateway.yaml", "GET", &target, "-H", &bearer]);
    assert!(said.contains("login"), "{said}");
    let key = format!("X-API-Key: {API_KEY}");
    run(&["explain", "gateway.yaml", "GET", "http://rest.test/key", "-H", &key, "-H", "Cookie: a=hushcookie"]);
    let said = run(&["explain", "gateway.yaml", "GET", "http://rest.test/staff"]);
    assert!(said.contains("a name and a password in Authorization, of 1 user in users.htpasswd"), "{said}");
    run(&["check", "gateway.yaml"]);
    run(&["check", "gateway.yaml", "--json"]);
    run(&["audit", "gateway.yaml"]);
    run(&["routes", "gateway.yaml"]);
    run(&["status", "--json", "--config", "gateway.yaml"]);
    run(&["export", "gateway.yaml", "--api", "rest", "--extensions"]);
    run(&["compile", "gateway.yaml", "-o", "compiled.snapshot"]);
    let compiled = fs::read(folder.join("compiled.snapshot")).expect("it was written");
    assert!(compiled.len() > 1_000, "{}", compiled.len());
    secrets.are_not_in("a compiled file", &compiled);
    run(&["explain", "compiled.snapshot", "GET", &target]);
}

#[test]
fn check_shows_no_secret_that_stands_in_the_document() {
    let folder = new_folder();
    let secrets = Secrets(vec!["hush".to_owned(), HASH.to_owned(), "5B8vYYiY".to_owned()]);
    let principal = |field: &str| {
        format!("gateway:\n  listen: \"127.0.0.1:1\"\n  principals:\n    - {{access_key: REX, {field}}}\napis: {{}}\n")
    };
    let key = |field: &str| format!("gateway: {{listen: \"127.0.0.1:1\"}}\napi_keys:\n  acme: {{{field}}}\n");
    let users = |users: &str| {
        format!(
            "gateway: {{listen: \"127.0.0.1:1\"}}\napis:\n  a:\n    kind: http\n    authorizers: {{staff: {{type: basic, users: {users}}}}}\n    \
             routes: {{\"GET /\": {{authorizer: staff, integration: {{type: mock}}}}}}\n    stages: {{$default: {{}}}}\n"
        )
    };
    for text in [
        principal("secret_key: hushhushhush"),
        principal("secret_key: \"hush hush\", bogus: 1"),
        principal("secret_key: {hush: hush}"),
        principal("secret_key: [hush]"),
        principal("secret_key:hushhush"),
        principal("secret_key: \"hush"),
        principal("secret_key: '${file:x}', session_token: hushhush"),
        principal("secret_kye: hushhushhush"),
        principal("secret_key: 'hushhush', secret_key: 'hush'"),
        key("value: hushhushhushhushhushhush, plans: [none]"),
        key("value: \"hushhushhushhushhushhush\", enabled: perhaps"),
        key("value: \"hushhushhushhushhushhush"),
        users("{ann: hush}"),
        users("{ann: [hush], bob: {hush: hush}}"),
        users(&format!("{{ann: \"{HASH}\", ann: \"$apr1$hush$hush\"}}")),
        users(&format!("{{ann: \"{HASH}\"}}, bogus: 1")),
        users(&format!("{{ann: \"{HASH}}}")),
    ] {
        fs::write(folder.join("gateway.yaml"), &text).unwrap();
        for more in [&[][..], &["--json"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
            let said = command.args(["check", "gateway.yaml"]).args(more).current_dir(&folder).output().unwrap();
            let said = [said.stdout, said.stderr].concat();
            assert!(!said.is_empty());
            secrets.are_not_in(&text, &said);
        }
    }
    // What is beside a secret is shown as it is.
    fs::write(folder.join("gateway.yaml"), principal("secret_key: hushhush, bogus: here")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let said = command.args(["check", "gateway.yaml"]).current_dir(&folder).output().unwrap();
    let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(said.contains("access_key: REX, secret_key: ********, bogus: here"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}
