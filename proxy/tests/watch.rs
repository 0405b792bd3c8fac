//! `gateway.watch`: documents that change are loaded again by themselves, however they are written.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::gateway::{complete, new_folder};
use support::{Gateway, eventually, on_both_drivers};

/// An API of its own document, whose answer is a number.
fn openapi(number: u32) -> String {
    format!(
        r#"
openapi: 3.0.1
info: {{title: a, version: "1"}}
paths:
  /pets:
    get:
      responses: {{"200": {{description: ok}}}}
      x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: "http://127.0.0.1:9/{number}"}}
"#
    )
}

fn document(number: u32, watch: bool) -> String {
    format!(
        r#"
gateway:
  watch: {watch}
apis:
  http:
    kind: http
    routes:
      "GET /number": {{integration: {{type: mock, status: 200, body: "{number}"}}}}
    stages: {{$default: {{}}}}
"#
    )
}

/// With an OpenAPI document beside it.
fn with_openapi(number: u32) -> String {
    let more = "  rest:\n    kind: rest\n    openapi: pets.yaml\n    stages: {s: {}}\n";
    let domains = "domains:\n  \"*\": {mappings: {/: http/$default, /pets: rest/s}}\n";
    document(number, true) + more + domains
}

#[track_caller]
fn answers(gateway: &Gateway, number: u32) {
    eventually("the new document serves", || {
        let response = gateway.client().exchange("GET /number HTTP/1.1\r\nHost: a\r\n\r\n");
        response.expect_status(200).text() == number.to_string()
    });
}

fn by_watch(gateway: &Gateway, result: &str) -> f64 {
    gateway.counter("tollgate_reloads_total", &[("by", "watch"), ("result", result)])
}

/// Writes beside the file and renames over it, as editors and tools do.
fn rename_over(path: &Path, text: &str) {
    let beside = path.with_extension("tmp");
    fs::write(&beside, text).expect("the folder is writable");
    fs::rename(&beside, path).expect("the folder is writable");
}

#[test]
fn a_document_is_loaded_however_it_is_written() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(1, true), driver);
        let path = gateway.folder().join("gateway.yaml");
        let text = |number| complete(&document(number, true), gateway.folder());
        answers(&gateway, 1);
        fs::write(&path, text(2)).expect("in place");
        answers(&gateway, 2);
        rename_over(&path, &text(3));
        answers(&gateway, 3);
        fs::remove_file(&path).expect("it is there");
        eventually("it is missed", || by_watch(&gateway, "failed") > 0.5);
        answers(&gateway, 3);
        fs::write(&path, text(4)).expect("it comes back");
        answers(&gateway, 4);
        // An editor that moves the old file away and writes a new one.
        fs::rename(&path, path.with_extension("yaml~")).expect("the folder is writable");
        fs::write(&path, text(5)).expect("the folder is writable");
        answers(&gateway, 5);
        assert!((gateway.counter("tollgate_watched_files", &[]) - 1.0).abs() < 0.1);
        gateway.expect_said("documents have changed: loading again");
        gateway.expect_said("reloaded");
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn documents_that_it_names_are_watched_too() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        fs::write(folder.join("pets.yaml"), openapi(1)).expect("the folder is writable");
        let gateway = Gateway::start_in(folder, &with_openapi(1), driver, &[]).expect("it starts");
        let path = gateway.folder().join("pets.yaml");
        rename_over(&path, &openapi(2));
        eventually("it is loaded", || by_watch(&gateway, "ok") > 0.5);
        // Gone, and back.
        fs::remove_file(&path).expect("it is there");
        eventually("it is missed", || by_watch(&gateway, "failed") > 0.5);
        answers(&gateway, 1);
        fs::write(&path, openapi(3)).expect("the folder is writable");
        eventually("it is loaded", || by_watch(&gateway, "ok") > 1.5);
        assert!((gateway.counter("tollgate_watched_files", &[]) - 2.0).abs() < 0.1);
    });
}

/// As Kubernetes mounts a config map: the file is a link into a folder that is a link, and only that one is swapped.
#[test]
fn a_swapped_link_is_a_change() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        let text = |number| complete(&document(number, true), &folder);
        let version = |name: &str, number| {
            fs::create_dir(folder.join(name)).expect("the folder is writable");
            fs::write(folder.join(name).join("gateway.yaml"), text(number)).expect("the folder is writable");
        };
        let swap = |name: &str| {
            symlink(name, folder.join("..data_tmp")).expect("the folder is writable");
            fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("the folder is writable");
        };
        version("..1", 1);
        symlink("..1", folder.join("..data")).expect("the folder is writable");
        symlink("..data/gateway.yaml", folder.join("gateway.yaml")).expect("the folder is writable");
        // The start writes through the link.
        let gateway = Gateway::start_in(folder.clone(), &document(1, true), driver, &[]).expect("it starts");
        for number in 2..5 {
            let name = format!("..{number}");
            version(&name, number);
            swap(&name);
            fs::remove_dir_all(folder.join(format!("..{}", number - 1))).expect("the old version goes");
            answers(&gateway, number);
        }
        assert!(by_watch(&gateway, "failed") < 0.5, "{}", gateway.stderr());
    });
}

#[test]
fn a_document_with_faults_is_tried_once() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(1, true), driver);
        let path = gateway.folder().join("gateway.yaml");
        let looks = || gateway.counter("tollgate_watch_looks_total", &[]);
        let bad = complete(&document(2, true).replace("kind: http", "kind: htpp"), gateway.folder());
        rename_over(&path, &bad);
        eventually("it is refused", || by_watch(&gateway, "failed") > 0.5);
        for _ in 0..3 {
            // The same again: it is looked at, and that is all.
            let before = looks();
            rename_over(&path, &bad);
            eventually("it is looked at", || looks() > before + 0.5);
        }
        assert!((by_watch(&gateway, "failed") - 1.0).abs() < 0.1);
        gateway.expect_said("reload refused");
        assert_eq!(gateway.stderr().matches("reload refused").count(), 1, "{}", gateway.stderr());
        answers(&gateway, 1);
        rename_over(&path, &bad.replace("htpp", "htttp"));
        eventually("another fault is another matter", || by_watch(&gateway, "failed") > 1.5);
        rename_over(&path, &complete(&document(3, true), gateway.folder()));
        answers(&gateway, 3);
        // What was loaded by command is not loaded once more.
        let before = looks();
        assert_eq!(gateway.reload(&document(4, true))["ok"], true);
        eventually("it is looked at", || looks() > before + 0.5);
        let before = looks();
        fs::write(&path, complete(&document(4, true), gateway.folder())).expect("touched");
        eventually("and again", || looks() > before + 0.5);
        assert!((by_watch(&gateway, "ok") - 1.0).abs() < 0.1);
    });
}

#[test]
fn watching_begins_and_ends_with_a_reload() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(1, false), driver);
        let path = gateway.folder().join("gateway.yaml");
        let watched = || gateway.counter("tollgate_watched_files", &[]);
        rename_over(&path, &complete(&document(2, false), gateway.folder()));
        assert!(watched() < 0.5);
        assert_eq!(gateway.reload(&document(3, true))["generation"], 2, "nothing came of itself");
        eventually("it watches", || watched() > 0.5);
        rename_over(&path, &complete(&document(4, true), gateway.folder()));
        answers(&gateway, 4);
        rename_over(&path, &complete(&document(5, false), gateway.folder()));
        answers(&gateway, 5);
        eventually("it does not watch any more", || watched() < 0.5);
        rename_over(&path, &complete(&document(6, true), gateway.folder()));
        assert_eq!(gateway.reload(&document(6, true))["generation"], 5);
    });
}

#[test]
fn a_burst_of_writes_is_loaded_as_one() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(0, true), driver);
        let path = gateway.folder().join("gateway.yaml");
        for number in 1..=100 {
            rename_over(&path, &complete(&document(number, true), gateway.folder()));
        }
        answers(&gateway, 100);
        let reloads = by_watch(&gateway, "ok");
        assert!(reloads < 20.0, "{reloads} reloads");
        assert!(by_watch(&gateway, "failed") < 0.5);
    });
}
