//! The compiled snapshot: served without any document, refused by name when it is not whole.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::gateway::{complete, new_folder};
use support::{Backend, Driver, Gateway, on_both_drivers};

const CONFIG: &str = r#"
upstreams:
  pets: {servers: ["BACKEND"]}
apis:
  a:
    kind: rest
    openapi: pets.yaml
    routes:
      "GET /told": {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.stage $stageVariables.colour"}}
    stages:
      blue: {variables: {colour: blue}, canary: {percent: 100, variables: {colour: green}}}
      red: {variables: {colour: red}}
  b: {kind: http, routes: {"GET /b": {integration: {type: mock, body: "b"}}}, stages: {$default: {}}, disable_execute_api_endpoint: true}
domains:
  api.test:
    mappings: {/: a/red, /blue: a/blue}
    routing_rules: [{priority: 1, headers: [{any: [{name: x-which, value: "b*"}]}], target: b/$default}]
"#;

const DOCUMENT: &str = r#"
openapi: 3.0.1
info: {title: Pets, version: "1"}
paths:
  /pets/{id}:
    get:
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: "http://pets/v1/{id}"
        requestParameters: {integration.request.path.id: method.request.path.id}
"#;

/// The folder with the compiled file, and nothing that it was made of.
fn compiled(backend: &str) -> (PathBuf, PathBuf) {
    let source = new_folder();
    std::fs::write(source.join("pets.yaml"), DOCUMENT).expect("written");
    let folder = new_folder();
    let text = complete(&CONFIG.replace("BACKEND", backend), &folder);
    std::fs::write(source.join("gateway.yaml"), text).expect("written");
    let file = folder.join("gateway.snapshot");
    let done = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("compile")
        .arg(source.join("gateway.yaml"))
        .arg("-o")
        .arg(&file)
        .output()
        .expect("the binary starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::remove_dir_all(source).expect("removed");
    (folder, file)
}

#[test]
fn a_compiled_snapshot_needs_no_document() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let (folder, file) = compiled(backend.address());
        let gateway = Gateway::start_file(folder, &file, driver, &[]).expect("it starts");
        let mut client = gateway.client();
        let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: api.test\r\n{more}\r\n");
        client.exchange(get("/pets/7?x=y", "")).expect_status(200);
        assert_eq!(backend.only().target, "/v1/7?x=y");
        assert_eq!(client.exchange(get("/told", "")).text(), "red red");
        assert_eq!(client.exchange(get("/blue/told", "")).text(), "blue green");
        assert_eq!(client.exchange(get("/b", "X-Which: beta\r\n")).text(), "b");
        let closed = client.exchange("GET /b HTTP/1.1\r\nHost: b.execute-api.localhost\r\n\r\n");
        closed.expect_status(404);
    });
}

fn refused(file: &Path, says: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_tollgate")).arg("run").arg(file).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(told.contains(says), "{says}: {told}");
    assert_eq!(done.status.code(), Some(78), "{told}");
}

#[test]
fn what_is_not_whole_is_refused_by_name() {
    let (folder, file) = compiled("127.0.0.1:1");
    let bytes = std::fs::read(&file).expect("read");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        std::fs::write(folder.join("changed.snapshot"), bytes).expect("written");
        folder.join("changed.snapshot")
    };
    refused(&with(&|bytes| bytes.truncate(bytes.len() - 1)), "ends too early");
    refused(&with(&|bytes| bytes.truncate(20)), "ends too early");
    refused(&with(&|bytes| bytes.push(0)), "something follows");
    refused(&with(&|bytes| bytes[60] ^= 1), "damaged");
    refused(&with(&|bytes| bytes[8] = 99), "format 99");
    refused(&with(&|bytes| bytes[0] = b'X'), "error");
}

#[test]
fn a_new_snapshot_is_loaded_by_a_reload_and_a_bad_one_changes_nothing() {
    let (folder, file) = compiled("127.0.0.1:1");
    let (_, other) = compiled("127.0.0.1:2");
    let gateway = Gateway::start_file(folder, &file, Driver::Epoll, &[]).expect("it starts");
    let mut client = gateway.client();
    let told = "GET /told HTTP/1.1\r\nHost: api.test\r\n\r\n";
    assert_eq!(client.exchange(told).text(), "red red");
    let whole = std::fs::read(&file).expect("read");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let reload = || admin::control::call(gateway.control(), admin::control::Command::Reload).expect("an answer");
    let report = reload();
    assert_eq!(report["ok"], false, "{report}");
    assert!(report["faults"].as_str().is_some_and(|text| text.contains("ends too early")), "{report}");
    assert_eq!(client.exchange(told).text(), "red red");
    std::fs::copy(other, &file).expect("copied");
    let report = reload();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(client.exchange(told).text(), "red red");
}
