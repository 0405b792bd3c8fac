//! `tollgate audit` and the places that `check --json` gives to editors: what they print, and their exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Standard output, standard error, exit code.
fn said(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate")).args(arguments).output().expect("the binary starts");
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code().expect("no signal"))
}

/// A file of its own for a test.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the target folder can be written");
    path.to_str().expect("UTF-8").to_owned()
}

const RISKY: &str = r#"gateway: {listen: 127.0.0.1:0}
apis:
  shop:
    kind: rest
    routes:
      "GET /a":
        integration: {type: http_proxy, uri: "http://backend.example/a"}
        request_parameters: {integration.request.header.Authorization: "'Basic dXNlcjpwYXNz'"}
    stages: {prod: {}}
"#;

#[test]
fn findings_are_shown_without_the_secrets_and_do_not_fail() {
    let path = file("audit-risky.yaml", RISKY);
    let (out, err, code) = said(&["audit", &path]);
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains(&format!("{path}:8:72: warning: TG005 (high): `GET /a` sends a secret")), "{out}");
    assert!(out.contains("warning: TG008 (low)"), "{out}");
    assert!(out.ends_with("2 findings: 1 high, 0 medium, 1 low\n"), "{out}");
    assert!(!out.contains("dXNlcjpwYXNz"), "a secret is not repeated: {out}");
}

#[test]
fn what_is_denied_fails_and_what_is_allowed_is_left_out() {
    let path = file("audit-denied.yaml", RISKY);
    for (arguments, code) in [
        (&["--deny"][..], 78),
        (&["--deny=high"], 78),
        (&["--deny=TG008"], 78),
        (&["--deny=TG007"], 0),
        (&["--deny=all", "--allow", "TG005,no-access-log"], 0),
        (&["--deny=high", "--allow=TG005"], 0),
        (&["--deny=TG999"], 64),
        (&["--allow=nothing-like-it"], 64),
    ] {
        let arguments = [&["audit", &path], arguments].concat();
        let (out, err, ended) = said(&arguments);
        assert_eq!(ended, code, "{arguments:?}\n{out}{err}");
    }
    let (out, _, _) = said(&["audit", &path, "--allow=TG005,TG008"]);
    assert_eq!(out, "ok: none of 25 rules finds anything; 2 allowed\n");
}

#[test]
fn findings_are_json_and_rules_are_listed() {
    let path = file("audit-json.yaml", RISKY);
    let (out, _, code) = said(&["audit", "--json", &path]);
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((json["ok"].as_bool(), json["high"].as_u64(), code), (Some(false), Some(1), 0));
    let first = &json["findings"][1];
    assert_eq!(first["rule"], "TG005");
    assert_eq!(
        (first["line"].as_u64(), first["column"].as_u64(), first["end_column"].as_u64()),
        (Some(8), Some(72), Some(94))
    );
    let (out, _, code) = said(&["audit", "--rules"]);
    assert!(out.starts_with("TG001 no-throttle (medium)\n") && out.contains("TG024 "), "{out}");
    assert_eq!(code, 0);
    let (out, _, _) = said(&["audit", "--rules", "--json"]);
    let rules: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(rules[23]["rule"], "TG024");
}

#[test]
fn a_document_with_errors_is_not_audited() {
    let path = file("audit-bad.yaml", "gateway: {listn: x}\n");
    let (out, err, code) = said(&["audit", &path]);
    assert_eq!((out.as_str(), code), ("", 78));
    assert!(err.contains("did you mean `listen`?"), "{err}");
    assert_eq!(said(&["audit", "/nowhere/gateway.yaml"]).2, 66);
    assert_eq!(said(&["audit"]).2, 64);
}

/// Faults of a document and of its OpenAPI document, each with its own file, all at once and in order.
#[test]
fn editors_are_told_the_file_and_the_range_of_every_fault() {
    let openapi = file(
        "check-openapi.yaml",
        "openapi: 3.0.1\ninfo: {title: t, version: \"1\"}\npaths:\n  /a:\n    get:\n      responses: {default: {description: d}}\n      x-amazon-apigateway-integration: {type: htp_proxy, uri: \"http://x/\"}\n",
    );
    let path = file(
        "check-places.yaml",
        "gateway: {listen: 127.0.0.1:0, watch: si}\napis:\n  a: {kind: rest, openapi: check-openapi.yaml, stages: {prod: {}}}\n  b: {kind: soap, stages: {prod: {}}}\n",
    );
    let (out, err, code) = said(&["check", "--json", &path]);
    assert_eq!((err.as_str(), code), ("", 78));
    let json: Value = serde_json::from_str(&out).expect("JSON");
    let list = json["diagnostics"].as_array().expect("a list");
    let errors: Vec<(&Path, u64, u64, u64)> = list
        .iter()
        .filter(|fault| fault["severity"] == "error")
        .map(|fault| {
            let number = |name: &str| fault[name].as_u64().expect("a number");
            let length = number("end_column") - number("column");
            assert_eq!(length, number("length").max(1), "{fault}");
            assert!(fault["message"].is_string() && (fault["hint"].is_string() || fault["hint"].is_null()), "{fault}");
            (Path::new(fault["file"].as_str().expect("a file")), number("line"), number("column"), number("end_column"))
        })
        .collect();
    let (own, other) = (Path::new(&path), Path::new(&openapi));
    assert_eq!(errors, [(own, 1, 39, 41), (own, 4, 13, 17), (other, 7, 47, 56)], "{out}");
}
