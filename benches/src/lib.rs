//! What benches and counts of instructions share: a document with a plain way and one with every guard before it, and a request that passes
//! them.

use std::fs;
use std::path::Path;

use config::snapshot::Snapshot;
use serde_json::json;

const ORIGIN: &str = "https://app.example.com";
const KEY: &str = "bench-0123456789-0123456789-abcdef";

/// Who has signed [`TOKEN`]. Nobody has the other half any more: a key that is made anew needs entropy, and with it another number of
/// instructions each time.
const ISSUER: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
    "x": "yB5bkvmmTyn3VDUC7PUx1f05xqXJ7TjOGIADEYfdXjQ", "y": "jMY_wm5XyYB9nTv3fP28xSVnQcKYaHd_wbIbTgngbrk"}]}"#;

/// Some ten claims, as issuers write them, with an end in the year 2096.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tLyIsInN1YiI6IjNmMWM5YzNlLTZmM\
    GUtNGM1My05ZDJmLTBkNWQ4ZjRhOGIxMSIsImF1ZCI6WyJ3ZWIiLCJhcHAiXSwiZXhwIjo0MDAwMDAwMDAwLCJpYXQiOjEsImp0aSI6IjViMWY2YTBjLThmN\
    DMtNGQ4ZS1hNWI1LTZmN2ExZDZkMWExMSIsImF6cCI6IndlYiIsInNjb3BlIjoib3BlbmlkIHByb2ZpbGUgcmVhZCIsImVtYWlsIjoiam9lQGV4YW1wbGUuY\
    29tIn0.RbrYkDYdNuKkLuO1SYhs2h6ZiCXegAr3sV66Np39Ut-J2g9XRyXjNjHOMcdT3uPtWjEtrUZ6inKgMP3WECTd3A";

/// A gateway in memory: what it serves, and what is asked.
pub struct Scene {
    /// `/plain/mock`, `/plain/get`, and both below `/guarded`: with a key, its plan's throttle and quota, a token of ES256, CORS, a throttle
    /// of the stage and of addresses, and a policy of 1,000 ranges.
    pub snapshot: Snapshot,
}

impl Scene {
    /// Whose files lie in this folder, which is made; `backend` is an address.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn new(folder: &Path, backend: &str) -> Scene {
        fs::create_dir_all(folder.join("state")).expect("a folder that can be written");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a folder that can be written");
        write("keys.json", ISSUER);
        write("key", KEY);
        write("policy.json", &policy());
        let loaded = config::load_text("bench.yaml", &document(folder, backend), folder);
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
        Scene { snapshot }
    }

    /// A GET of this path, with all that the guards ask for.
    pub fn request(path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\nOrigin: {ORIGIN}\r\n\
             X-Api-Key: {KEY}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        )
    }
}

/// A thousand ranges that nobody comes from.
fn policy() -> String {
    let ranges: Vec<String> = (0..1_000).map(|n| format!("10.{}.{}.0/24", n / 250, n % 250)).collect();
    let rule = |effect: &str| json!({"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"});
    let mut deny = rule("Deny");
    deny["Condition"] = json!({"IpAddress": {"aws:SourceIp": ranges}});
    json!({"Version": "2012-10-17", "Statement": [rule("Allow"), deny]}).to_string()
}

fn document(folder: &Path, backend: &str) -> String {
    // As many as may be: a clock that stands still fills no bucket.
    let limit = "rate: 10000000, burst: 10000000";
    let guards = "api_key_required: true, authorizer: login, scopes: [read]";
    let folder = folder.display();
    format!(
        r#"gateway: {{listen: "127.0.0.1:0", workers: 1, state: {folder}/state, access_log: {{to: none}}}}
upstreams: {{back: {{servers: ["{backend}"]}}}}
usage_plans: {{all: {{stages: [guarded/s], throttle: {{{limit}}}, quota: {{limit: 1000000000, period: day}}}}}}
api_keys: {{joe: {{value: "${{file:{folder}/key}}", plans: [all]}}}}
apis:
  plain:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "ok"}}}}
      "GET /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}
    stages: {{s: {{}}}}
  guarded:
    kind: http
    cors: {{allow_origins: ["{ORIGIN}"], allow_methods: [GET]}}
    policy: policy.json
    authorizers: {{login: {{type: jwt, issuer: "https://id.example.com/", audience: [web], jwks: {{file: keys.json}}}}}}
    routes:
      "GET /mock": {{{guards}, integration: {{type: mock, status: 200, body: "ok"}}}}
      "GET /{{proxy+}}": {{{guards}, integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}
    stages: {{s: {{throttle: {{{limit}}}, throttle_by: [{{address: true, {limit}}}]}}}}
domains: {{"*": {{mappings: {{plain: plain/s, guarded: guarded/s}}}}}}
"#
    )
}
