//! The binary's commands that need no running gateway: what they print, and their exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

fn tollgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .env_remove("CONFIGURATION_DIRECTORY")
        .env_remove("RUNTIME_DIRECTORY")
        .output()
        .expect("the binary starts")
}

/// Standard output, standard error, exit code.
fn said(arguments: &[&str]) -> (String, String, i32) {
    let Output { status, stdout, stderr } = tollgate(arguments);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code().expect("no signal"))
}

/// A document of its own for a test; the file lives as long as the process's target folder.
fn document(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the target folder can be written");
    path.to_str().expect("UTF-8").to_owned()
}

const GOOD: &str = r#"
gateway: {listen: 127.0.0.1:0}
apis:
  hello:
    kind: http
    stages: {$default: {}, dev: {}}
    routes:
      "GET /hello/{name}": {integration: {type: mock}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://backend.example/{proxy}"}}
"#;

#[test]
fn check_counts_what_is_good() {
    let path = document("cli-good.yaml", GOOD);
    assert_eq!(said(&["check", &path]), ("ok: 1 api, 2 routes, 2 stages\n".into(), String::new(), 0));
    let (out, _, code) = said(&["check", "--json", &path]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((json["ok"].as_bool(), json["routes"].as_u64(), code), (Some(true), Some(2), 0));
}

#[test]
fn check_tells_a_bad_document_from_a_missing_one() {
    let path = document("cli-bad.yaml", "gateway: {listn: x}\napi: {}\n");
    let (out, err, code) = said(&["check", &path]);
    assert_eq!((out.as_str(), code), ("", 78));
    assert!(err.starts_with(&format!("{path}:1:11: error: unknown field `listn`, did you mean `listen`?\n")), "{err}");
    assert!(err.contains("did you mean `apis`?"), "all faults at once: {err}");
    assert!(!err.contains('\x1b'), "no colours into a pipe");
    let (out, _, code) = said(&["check", "--json", &path]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((json["ok"].as_bool(), json["diagnostics"][0]["column"].as_u64(), code), (Some(false), Some(11), 78));
    assert_eq!(said(&["check", "/nowhere/gateway.yaml"]).2, 66);
    assert_eq!(said(&["routes", "/nowhere/gateway.yaml"]).2, 66);
    assert_eq!(said(&["run", "/nowhere/gateway.yaml"]).2, 66);
    assert_eq!(said(&["routes", &path]).2, 78);
    assert_eq!(said(&["run", &path]).2, 78);
}

#[test]
fn routes_are_a_table() {
    let path = document("cli-routes.yaml", GOOD);
    let (out, _, code) = said(&["routes", &path]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines.len(), code), (5, 0));
    assert_eq!(lines[1], "hello  $default  GET   /hello/{name}  mock         200");
    assert_eq!(lines[2], "hello  $default  ANY   /{proxy+}      http_proxy   http://backend.example/{proxy}");
}

#[test]
fn explain_says_who_answers_and_fails_if_nobody_does() {
    let path = document("cli-explain.yaml", GOOD);
    let (out, _, code) = said(&["explain", &path, "GET", "http://x/hello/bob?a=b"]);
    assert!(out.contains("route      GET /hello/{name}") && out.contains("name = bob"), "{out}");
    assert_eq!(code, 0);
    let (out, _, code) = said(&["explain", &path, "PUT", "/dev/a/b"]);
    assert!(out.contains("stage      dev") && out.contains("http_proxy: PUT http://backend.example/a/b"), "{out}");
    assert_eq!(code, 0);
    let (out, _, code) = said(&["explain", &path, "GET", "/"]);
    assert!(out.contains("refused    404"), "{out}");
    assert_ne!(code, 0);
    assert_eq!(said(&["explain", &path, "GET", "a b"]).2, 64);
}

#[test]
fn explain_says_what_policies_and_signatures_a_request_meets() {
    let path = document(
        "cli-explain-policies.yaml",
        r#"
gateway: {listen: "127.0.0.1:0", region: eu-west-1}
apis:
  a:
    kind: rest
    policy: {Statement: {Effect: Allow, Principal: "*", Action: "*", Resource: "execute-api:/*"}}
    routes:
      "GET /open": {integration: {type: mock}}
      "GET /signed": {authorization: AWS_IAM, integration: {type: mock}}
    stages: {s: {}}
"#,
    );
    let (out, _, _) = said(&["explain", &path, "GET", "/s/open"]);
    assert!(out.contains("policy_before") && !out.contains("policy_after"), "{out}");
    assert!(out.contains("policy     it must allow the request") && out.contains(":6"), "{out}");
    let (out, _, _) = said(&["explain", &path, "GET", "/s/signed"]);
    assert!(out.contains("authorize → policy_after") && !out.contains("policy_before"), "{out}");
    assert!(out.contains("AWS_IAM: a signature for execute-api in eu-west-1, but there are no principals"), "{out}");
}

#[test]
fn explain_names_who_decides_on_a_caller() {
    let text = r#"gateway: {listen: 127.0.0.1:0, lambda: "http://192.0.2.7:9001"}
apis:
  a:
    kind: rest
    authorizers:
      endpoint: {type: lambda, uri: "http://192.0.2.7:9000/ask", identity_sources: [method.request.header.X-Id, method.request.querystring.t, context.stage]}
      function: {type: lambda, mode: token, ttl: 0s, identity_sources: method.request.header.Authorization,
        uri: "arn:aws:lambda:eu-west-1:123456789012:function:door"}
    routes:
      "GET /x": {authorizer: endpoint, integration: {type: mock}}
      "GET /y": {authorizer: function, integration: {type: mock}}
      "GET /z": {integration: {type: mock}}
    stages: {s: {}}
domains:
  "*": {mappings: {/: a/s}}
"#;
    let path = document("cli-authorizers.yaml", text);
    let of = |target: &str| {
        let (out, _, code) = said(&["explain", &path, "GET", target]);
        assert_eq!(code, 0, "{out}");
        let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("authorizer ")).collect();
        let line = lines.join("\n");
        assert_eq!(out.contains("authorize →"), !line.is_empty(), "{out}");
        line
    };
    assert_eq!(
        of("/x"),
        format!(
            "authorizer endpoint ({path}:6): an endpoint is told the request (1.0) at http://192.0.2.7:9000/ask, \
         remembered for 300s by header X-Id and query t and context stage"
        )
    );
    assert_eq!(
        of("/y"),
        format!(
            "authorizer function ({path}:7): a function is told the token at arn:aws:lambda:eu-west-1:123456789012:function:door, \
         asked every time, with header Authorization"
        )
    );
    assert_eq!(of("/z"), "");
}

#[test]
fn explain_names_the_rules_of_firewalls() {
    let text = r#"gateway:
  listen: 127.0.0.1:0
  firewall:
    rules:
      - {name: bad, when: {address: 192.0.2.0/24}, then: block}
apis:
  a:
    kind: http
    firewall:
      default: block
      rules:
        - {name: flood, rate: {limit: 600, window: 5m}, then: count}
        - {name: reads, when: {method: GET}, then: allow}
    cors: {allow_origins: ["*"]}
    routes: {"GET /x": {integration: {type: mock}}}
    stages: {$default: {}}
"#;
    let path = document("cli-firewall.yaml", text);
    let (out, _, code) = said(&["explain", &path, "GET", "/x"]);
    let rules = |out: &str| out.lines().filter(|line| line.starts_with("firewall")).collect::<Vec<_>>().join("\n");
    assert_eq!(
        rules(&out),
        "firewall   block, rule `bad` of the gateway (line 5)
firewall   allow what no rule decides, of the gateway (line 4)
firewall   count whoever sends more than 600 at once and 2.000 a second, rule `flood` of a (line 12)
firewall   allow, rule `reads` of a (line 13)
firewall   block what no rule decides, of a (line 10)"
    );
    assert!(out.contains("phases     firewall → ") && code == 0, "POL-04: {out}");
    let preflight = ["-H", "Origin: https://a.test", "-H", "Access-Control-Request-Method: GET"];
    let (out, _, _) = said(&[&["explain", &path, "OPTIONS", "/x"][..], &preflight].concat());
    assert!(out.contains("phases     firewall → preflight") && rules(&out).lines().count() == 5, "{out}");
}

#[test]
fn explain_names_the_limits_that_a_request_meets() {
    let text = r#"gateway:
  listen: 127.0.0.1:0
  account: {throttle: {rate: 1000, burst: 500}}
apis:
  a:
    kind: http
    routes:
      "GET /x": {throttle: {rate: 0.5, burst: 3}, integration: {type: mock}}
    stages:
      $default:
        concurrency: 7
        throttle_by:
          - {address: true, rate: 5, burst: 10, concurrency: 2}
          - {claim: sub, rate: 1, burst: 1}
usage_plans:
  basic:
    stages: {a/$default: {throttle: {"GET /x": {rate: 1, burst: 2}}}}
    throttle: {rate: 2, burst: 4}
"#;
    let path = document("cli-limits.yaml", text);
    let (out, _, code) = said(&["explain", &path, "GET", "/x"]);
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("limit")).collect();
    let phases = out.lines().find(|line| line.starts_with("phases")).expect("they are named");
    assert!(phases.contains("throttle_plan → throttle_stage → throttle_account → concurrency → "), "{phases}");
    assert!(phases.contains("throttle_address → "), "{phases}");
    assert_eq!(
        lines.join("\n"),
        "limit      throttle_address: 5 a second, 10 at once, of each address (IPv4/32, IPv6/64) (line 13)
limit      throttle_plan: 1 a second, 2 at once, of each key for this method, in usage plan `basic`
limit      throttle_plan: 2 a second, 4 at once, of each key, in usage plan `basic`
limit      throttle_plan: 1 a second, 1 at once, of each value of the claim `sub` (line 14)
limit      throttle_stage: 0.5 a second, 3 at once, of this method (line 8)
limit      throttle_account: 1000 a second, 500 at once, of all APIs (line 3)
limit      concurrency: 7 at work at once, of the stage (line 11)
limit      concurrency: 2 at work at once, of each address (IPv4/32, IPv6/64) (line 13)"
    );
    assert_eq!(code, 0);
}

#[test]
fn doctor_looks_at_the_machine() {
    let (out, _, _) = said(&["doctor"]);
    for word in ["Linux", "io_uring", "core", "open files", "somaxconn"] {
        assert!(out.contains(word), "{word} in {out}");
    }
    let (out, _, code) = said(&["doctor", "/nowhere/gateway.yaml"]);
    assert!(out.contains("fail") && code == 69, "{out}");
    let (out, _, code) = said(&["doctor", "--json", "/nowhere/gateway.yaml"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&out).expect("JSON");
    let failed = findings.iter().find(|finding| finding["mark"] == "fail").expect("one failed");
    assert!(failed["what"].as_str().is_some_and(|what| what.contains("/nowhere")) && code == 69, "{out}");
}

#[test]
fn commands_to_a_gateway_that_does_not_run_fail() {
    for command in
        ["reload", "status", "deploy a s", "rollback a s", "deployments a", "canary a s show", "canary a s drop"]
    {
        let arguments: Vec<&str> = command.split(' ').chain(["--control", "/nowhere/control.sock"]).collect();
        let (out, err, code) = said(&arguments);
        assert_eq!((out.as_str(), code), ("", 69), "{command}");
        assert!(err.contains("no gateway listens at /nowhere/control.sock"), "{err}");
    }
}

#[test]
fn a_document_that_cannot_be_read_is_no_gateway_that_does_not_run() {
    let path = document("cli-torn.yaml", "gateway: {listen: 127.0.0.1:0\napis: {}\n");
    let config = format!("--config={path}");
    for arguments in [
        &["reload", path.as_str()][..],
        &["reload", &config],
        &["status", &path],
        &["deploy", "a", "s", &config],
        &["rollback", "a", "s", &config],
        &["deployments", "a", &config],
        &["canary", "a", "s", &config, "show"],
    ] {
        let (out, err, code) = said(arguments);
        assert_eq!((out.as_str(), code), ("", 78), "{arguments:?}: {err}");
        assert!(err.starts_with(&format!("{path}:2:5: error: ")), "{err}");
        assert!(err.contains("--control SOCKET") && !err.contains("no gateway listens"), "{err}");
    }
    // As the unit has it (`ExecReload=`).
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli-torn");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    std::fs::copy(&path, folder.join("gateway.yaml")).expect("a file");
    let mut unit = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let unit = unit.arg("reload").env("CONFIGURATION_DIRECTORY", &folder).env("RUNTIME_DIRECTORY", &folder);
    let Output { status, stderr, .. } = unit.output().expect("the binary starts");
    let err = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(78) && err.contains("gateway.yaml:2:5: error: "), "{err}");
    let (_, err, code) = said(&["reload", "/nowhere/gateway.yaml"]);
    assert!(code == 66 && err.starts_with("/nowhere/gateway.yaml: error: cannot be read"), "{err}");
    // One that only has errors may still say where.
    let path = document("cli-wrong.yaml", "gateway: {listen: x, control: /nowhere/c.sock}\n");
    let (_, err, code) = said(&["reload", &path]);
    assert!(code == 69 && err.contains("no gateway listens at /nowhere/c.sock"), "{err}");
    let openapi = document("cli-openapi.yaml", "openapi: 3.0.1\npaths: {}\n");
    for command in ["reload", "check", "run"] {
        let (_, err, code) = said(&[command, &openapi]);
        assert!(code == 78 && err.contains("this is an OpenAPI document") && err.contains("tollgate import"), "{err}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    assert_eq!(said(&["frobnicate"]).2, 64);
    assert_eq!(said(&["run"]).2, 64);
    assert_eq!(said(&["run", "--workers", "0", "x"]).2, 64);
    assert_eq!(said(&["run", "--io-driver", "kqueue", "x"]).2, 64);
    assert_eq!(said(&["deploy", "a"]).2, 64);
    assert_eq!(said(&["deploy", "a", "s", "--percent", "5"]).2, 64, "of what?");
    assert_eq!(said(&["deploy", "a", "s", "--canary", "--variable", "x"]).2, 64);
    assert_eq!(said(&["canary", "a", "s"]).2, 64);
    assert_eq!(said(&["canary", "a", "s", "percent", "x"]).2, 64);
    // Not offered before they are built.
    for command in ["compile", "top"] {
        assert_eq!(said(&[command]).2, 64, "{command}");
    }
}

#[test]
fn help_version_and_completions_succeed() {
    let version = format!("tollgate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["version"]), (version.clone(), String::new(), 0));
    assert_eq!(said(&["--version"]), (version, String::new(), 0));
    let json: serde_json::Value = serde_json::from_str(&said(&["version", "--json"]).0).expect("JSON");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["debug"], cfg!(debug_assertions));
    assert!(said(&["help"]).0.contains("explain"));
    for shell in ["bash", "zsh", "fish"] {
        let (script, _, code) = said(&["completions", shell]);
        assert!(script.contains("tollgate") && code == 0, "{shell}");
    }
}
