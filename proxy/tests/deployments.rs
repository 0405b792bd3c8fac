//! Deployments: frozen versions at several stages, the way back, canaries by command, restarts, and a process that is killed
//! (ST-03 to ST-12). Through the binary's own commands.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use admin::control::{self, Command as Control};
use admin::orders::{ChangeReport, DeployOrder, DeploymentLine, DeploymentList, Outcome};
use rustix::process::Signal;
use support::gateway::{complete, new_folder};
use support::{Client, Driver, Gateway, eventually, on_both_drivers};

/// A folder for what outlives a gateway.
struct State(PathBuf);

impl State {
    fn new() -> State {
        State(new_folder())
    }

    /// The document of a version: `GET /v` answers with it, and with the stage's colour. `dev` deploys by itself.
    fn document(&self, version: &str) -> String {
        self.with_stages(
            version,
            "{dev: {variables: {colour: blue}}, prod: {auto_deploy: false, variables: {colour: blue}}, \
             test: {auto_deploy: false, variables: {colour: red}}}",
        )
    }

    fn with_stages(&self, version: &str, stages: &str) -> String {
        let body = format!("{version} $stageVariables.colour");
        format!(
            r#"
gateway:
  state: {}
apis:
  a:
    kind: rest
    routes:
      "GET /v": {{integration: {{type: mock, headers: {{Content-Type: text/plain}}, body: "{body}"}}}}
    stages: {stages}
"#,
            self.0.display()
        )
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Puts another document in its place, and tells nobody.
fn write(gateway: &Gateway, document: &str) {
    let text = complete(document, gateway.folder());
    fs::write(gateway.folder().join("gateway.yaml"), text).expect("the folder is writable");
}

/// Standard output, standard error, exit code of a command to the gateway.
fn said(gateway: &Gateway, arguments: &str) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments.split(' ')).arg("--control").arg(gateway.control());
    let output = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("no signal"))
}

#[track_caller]
fn done(gateway: &Gateway, arguments: &str) -> String {
    let (out, err, code) = said(gateway, arguments);
    assert_eq!(code, 0, "{arguments}: {err}");
    out
}

/// Fails with this code, says these words, and changes nothing.
#[track_caller]
fn refused(gateway: &Gateway, arguments: &str, code: i32, words: &[&str]) {
    let before = list(gateway);
    let serving = gateway.status()["generation"].clone();
    let (out, err, found) = said(gateway, arguments);
    assert_eq!((out.as_str(), found), ("", code), "{arguments}: {err}");
    for word in words {
        assert!(err.contains(word), "{arguments}: {word} in {err}");
    }
    assert_eq!(list(gateway), before, "{arguments}");
    assert_eq!(gateway.status()["generation"], serving, "{arguments}");
}

#[track_caller]
fn list(gateway: &Gateway) -> DeploymentList {
    serde_json::from_str(&done(gateway, "deployments a --json")).expect("a list")
}

/// The newest deployment.
#[track_caller]
fn newest(gateway: &Gateway) -> DeploymentLine {
    list(gateway).deployments.pop().expect("a deployment")
}

/// What a stage answers to `GET /v`; the status where that is not 200.
#[track_caller]
fn at(client: &mut Client, stage: &str) -> String {
    let response = client.exchange(format!("GET /{stage}/v HTTP/1.1\r\nHost: a.execute-api.localhost\r\n\r\n"));
    if response.status == 200 { response.text() } else { response.status.to_string() }
}

fn start(document: &str, driver: Driver) -> Gateway {
    Gateway::start(document, driver)
}

#[test]
fn st_03_stages_serve_what_was_frozen() {
    on_both_drivers(|driver| {
        let state = State::new();
        let gateway = start(&state.document("one"), driver);
        let mut client = gateway.client();
        let all = |client: &mut Client| ["dev", "prod", "test"].map(|stage| at(client, stage));
        assert_eq!(all(&mut client), ["one blue", "403", "403"], "nothing is deployed yet");
        let out = done(&gateway, "deploy a prod --note first");
        let one = newest(&gateway);
        assert_eq!(
            (one.note.as_str(), one.methods, one.stages.as_slice()),
            ("first", 1, ["prod".to_owned()].as_slice())
        );
        assert!(out.contains(&format!("a/prod serves deployment {}, 1 method", one.id)), "{out}");
        assert!(out.contains("generation 2 serves"), "{out}");
        assert_eq!(all(&mut client), ["one blue", "one blue", "403"]);
        // A new version: the document serves at `dev` after the reload, `prod` stays.
        gateway.reload(&state.document("two"));
        assert_eq!(all(&mut client), ["two blue", "one blue", "403"]);
        // What is deployed is the document as it is on the disk now.
        write(&gateway, &state.document("three"));
        let out = done(&gateway, "deploy a test");
        assert_eq!(all(&mut client), ["three blue", "one blue", "three red"], "{out}");
        done(&gateway, "deploy a prod");
        assert_eq!(all(&mut client), ["three blue", "three blue", "three red"]);
        let deployments = list(&gateway).deployments;
        assert_eq!(deployments[1].hash, deployments[2].hash, "the same content");
        assert_ne!(deployments[1].id, deployments[2].id);
        let text = done(&gateway, "deployments a");
        assert!(
            text.contains(&format!("* {}", deployments[2].id)) && text.contains(&format!("  {}", one.id)),
            "{text}"
        );
        assert!(text.contains("dev   deploys by itself"), "{text}");
        assert_eq!(gateway.status()["connections"]["accepted"], 1, "the client's connection stayed");
    });
}

#[test]
fn st_04_the_way_back_and_forward() {
    on_both_drivers(|driver| {
        let state = State::new();
        let gateway = start(&state.document("one"), driver);
        let mut client = gateway.client();
        for version in ["one", "two", "three"] {
            write(&gateway, &state.document(version));
            done(&gateway, &format!("deploy a prod --note {version}"));
            assert_eq!(at(&mut client, "prod"), format!("{version} blue"));
        }
        let three = newest(&gateway).id;
        let out = done(&gateway, "rollback a prod");
        assert!(out.contains("a/prod serves deployment") && out.contains(": two"), "{out}");
        assert_eq!(at(&mut client, "prod"), "two blue");
        done(&gateway, "rollback a prod");
        assert_eq!(at(&mut client, "prod"), "one blue");
        refused(&gateway, "rollback a prod", 78, &["no earlier deployment", "tollgate deployments a"]);
        done(&gateway, &format!("rollback a prod {three}"));
        assert_eq!(at(&mut client, "prod"), "three blue");
        refused(&gateway, &format!("rollback a prod {three}"), 78, &["serves deployment", "already"]);
        refused(&gateway, "rollback a prod nonsense", 78, &["Deployment id does not exist"]);
        refused(&gateway, "rollback a test", 78, &["nothing is deployed", "tollgate deploy a test"]);
        // The documents that it was made of are not needed.
        gateway.reload(&state.document("four"));
        assert_eq!(at(&mut client, "prod"), "three blue");
    });
}

#[test]
fn a_restart_keeps_what_was_deployed() {
    on_both_drivers(|driver| {
        let state = State::new();
        {
            let gateway = start(&state.document("one"), driver);
            done(&gateway, "deploy a prod");
            write(&gateway, &state.document("two"));
            done(&gateway, "deploy a prod");
            done(&gateway, "deploy a test");
            done(&gateway, "rollback a prod");
            gateway.signal(Signal::TERM);
            assert!(gateway.wait_exit().success());
        }
        let gateway = start(&state.document("three"), driver);
        let mut client = gateway.client();
        assert_eq!(["dev", "prod", "test"].map(|stage| at(&mut client, stage)), ["three blue", "one blue", "two red"]);
        done(&gateway, "deploy a prod");
        done(&gateway, "rollback a prod");
        assert_eq!(at(&mut client, "prod"), "one blue", "the way back is kept too");
    });
}

#[test]
fn st_05_a_stage_that_deploys_by_itself_refuses() {
    let state = State::new();
    let gateway = start(&state.document("one"), Driver::Epoll);
    let words = ["deploys by itself", "auto_deploy: false"];
    refused(&gateway, "deploy a dev", 78, &words);
    refused(&gateway, "deploy a dev --canary", 78, &words);
    refused(&gateway, "rollback a dev", 78, &words);
    refused(&gateway, "canary a dev percent 5", 78, &words);
    refused(&gateway, "canary a dev promote", 78, &words);
    // The hint holds: the document is changed, and the same command again does it without a moment of nothing.
    write(&gateway, &state.with_stages("one", "{dev: {auto_deploy: false}}"));
    done(&gateway, "deploy a dev");
    assert_eq!(at(&mut gateway.client(), "dev"), "one ");
}

#[test]
fn what_cannot_be_deployed_changes_nothing() {
    let state = State::new();
    let gateway = start(&state.document("one"), Driver::Epoll);
    done(&gateway, "deploy a prod");
    let mut client = gateway.client();
    refused(&gateway, "deploy b prod", 78, &["no API `b`", "its APIs are: a"]);
    refused(&gateway, "deploy a beta", 78, &["no stage `beta`", "dev, prod, test"]);
    let (_, err, code) = said(&gateway, "deployments b");
    assert!(code == 78 && err.contains("no API `b`"), "{err}");
    // Faults of the document, found before anything is written.
    write(&gateway, &state.document("two").replace("kind: rest", "kind: rset"));
    refused(&gateway, "deploy a prod", 78, &["gateway.yaml:", "`rset`", "the document has errors"]);
    assert_eq!(at(&mut client, "prod"), "one blue");
    // Faults that only serving finds: the state directory is put back.
    write(&gateway, &state.document("two").replace("GET /v", "GET v"));
    refused(&gateway, "deploy a prod", 78, &["`GET v`", "cannot serve", "the state directory is as it was"]);
    let unserved = state.document("two") + "domains: {\"*\": {mappings: {/: a/nowhere}}}\n";
    write(&gateway, &unserved);
    refused(&gateway, "deploy a prod", 78, &["nowhere", "cannot serve", "the state directory is as it was"]);
    refused(&gateway, "deploy a test", 78, &["nowhere", "cannot serve", "the state directory is as it was"]);
    assert_eq!(["prod", "test"].map(|stage| at(&mut client, stage)), ["one blue", "403"]);
    gateway.reload(&state.document("three"));
    assert_eq!(["prod", "test"].map(|stage| at(&mut client, stage)), ["one blue", "403"]);
    // ST-03 with AWS's sentence.
    let more =
        state.document("two") + "  b:\n    kind: rest\n    openapi: b.yaml\n    stages: {s: {auto_deploy: false}}\n";
    let bare = "openapi: 3.0.1\ninfo: {title: b, version: '1'}\npaths: {/x: {get: {responses: {}}}}\n";
    fs::write(gateway.folder().join("b.yaml"), bare).expect("the folder is writable");
    write(&gateway, &more);
    refused(&gateway, "deploy b s", 78, &["No integration defined for method", "GET /x"]);
}

#[test]
fn without_a_place_for_state_nothing_is_deployed() {
    let state = State::new();
    let document = state.with_stages("one", "{dev: {variables: {colour: blue}}}");
    let document = document.lines().filter(|line| !line.contains("state:")).collect::<Vec<_>>().join("\n");
    let gateway = start(&document, Driver::Epoll);
    let (_, err, code) = said(&gateway, "deploy a dev");
    assert!(code == 78 && err.contains("no state directory") && err.contains("state: tollgate-state"), "{err}");
    assert_eq!(at(&mut gateway.client(), "dev"), "one blue");
}

#[test]
fn damaged_state_is_named_and_what_serves_goes_on() {
    let state = State::new();
    let gateway = start(&state.document("one"), Driver::Epoll);
    done(&gateway, "deploy a prod");
    let pointer = state.0.join("deployments/a/state.json");
    let whole = fs::read(&pointer).expect("it was written");
    fs::write(&pointer, &whole[..whole.len() / 2]).expect("it is ours");
    for command in ["deploy a prod", "rollback a prod", "deployments a"] {
        let (out, err, code) = said(&gateway, command);
        assert_eq!((out.as_str(), code), ("", 74), "{command}: {err}");
        assert!(err.contains("deployments/a/state.json is damaged") && err.contains("move its folder away"), "{err}");
    }
    assert_eq!(at(&mut gateway.client(), "prod"), "one blue");
    fs::write(&pointer, &whole).expect("it is ours");
    done(&gateway, "deploy a prod");
    // What a crash leaves is not read, and goes.
    let torn = state.0.join("deployments/a/state.json.tmp");
    fs::write(&torn, "{\"form").expect("it is ours");
    done(&gateway, "deploy a prod");
    assert!(!torn.exists());
}

#[test]
fn a_start_with_damaged_state_serves_the_other_stages_and_a_reload_changes_nothing() {
    let state = State::new();
    let document = state.document("one");
    let gateway = start(&document, Driver::Epoll);
    done(&gateway, "deploy a prod");
    let pointer = state.0.join("deployments/a/state.json");
    let whole = fs::read(&pointer).expect("it was written");
    fs::write(&pointer, &whole[..whole.len() / 2]).expect("it is ours");
    assert_eq!(gateway.reload(&document)["ok"], false);
    assert_eq!(at(&mut gateway.client(), "prod"), "one blue", "what served goes on");
    drop(gateway);
    let gateway = start(&document, Driver::Epoll);
    gateway.expect_said("deployments/a/state.json is damaged");
    let mut client = gateway.client();
    assert_eq!(["dev", "prod"].map(|stage| at(&mut client, stage)), ["one blue", "403"]);
    fs::write(&pointer, &whole).expect("it is ours");
    assert_eq!(gateway.reload(&document)["ok"], true);
    assert_eq!(at(&mut client, "prod"), "one blue");
}

/// The output of a command that is told of the gateway by these options.
fn told(arguments: &str, options: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.args(arguments.split(' ')).args(options).output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("no signal"))
}

#[test]
fn every_command_takes_the_configuration_in_the_same_way_and_hints_repeat_it() {
    let state = State::new();
    let gateway = start(&state.document("one"), Driver::Epoll);
    let document = gateway.folder().join("gateway.yaml").display().to_string();
    let by_config = ["--config", document.as_str()];
    for command in
        ["reload", "status", "deploy a prod", "deployments a", "canary a prod percent 5", "canary a prod drop"]
    {
        let (_, err, code) = told(command, &by_config);
        assert_eq!(code, 0, "{command}: {err}");
    }
    for command in ["reload", "status"] {
        let (_, err, code) = told(command, &[&document]);
        assert_eq!(code, 0, "{command}: {err}");
        assert_eq!(told(command, &[&document, "--config", &document]).2, 64, "{command}: which?");
    }
    let (out, _, code) = told("deploy a prod", &by_config);
    assert!(
        code == 0 && out.contains(&format!("`tollgate rollback a prod --config {document}` goes back to")),
        "{out}"
    );
    let (_, err, code) = told("canary a prod promote", &by_config);
    let hint = format!("`tollgate deploy a prod --canary --percent 10 --config {document}` makes one");
    assert!(code == 78 && err.contains(&hint), "{err}");
    let (_, err, _) = said(&gateway, "rollback a test");
    assert!(err.contains(&format!("`tollgate deploy a test --control {}`", gateway.control().display())), "{err}");
    let (_, err, _) = told("check", &[&document]);
    assert!(err.contains(&format!("`tollgate deploy a test --config {document}`")), "{err}");
}

/// A document with many warnings is no reason to repeat them with each deployment.
#[test]
fn warnings_of_the_document_are_counted() {
    let state = State::new();
    let stages = "{prod: {auto_deploy: false}, test: {auto_deploy: false}}";
    let gateway = start(&state.with_stages("one", stages), Driver::Epoll);
    let path = gateway.folder().join("gateway.yaml").display().to_string();
    let (out, err, code) = told("deploy a prod", &["--config", &path]);
    assert_eq!((err, code), (format!("1 warning: `tollgate check {path}` lists them\n"), 0), "{out}");
    let (_, err, _) = told("deploy a test", &["--config", &path]);
    assert_eq!(err, "");
}

#[test]
fn a_canary_without_requests_is_not_shown_as_live() {
    let state = State::new();
    let gateway = start(&state.document("one"), Driver::Epoll);
    done(&gateway, "deploy a prod");
    let (_, err, code) = said(&gateway, "deploy a prod --percent 5");
    assert!(code == 64 && err.contains("--percent is of a canary alone; add --canary"), "{err}");
    let out = done(&gateway, "deploy a prod --canary");
    assert!(out.contains("0 % of the requests: it receives nothing yet"), "{out}");
    let canary = newest(&gateway).id;
    let out = done(&gateway, "deployments a");
    assert!(out.contains(&format!("\n  {canary}  ")) && out.contains("canary of prod (0 %)"), "{out}");
    assert!(out.contains(&format!("canary {canary}, 0 %, receives nothing")), "{out}");
    assert!(done(&gateway, "canary a prod show").starts_with(&format!("{canary} receives nothing")));
    done(&gateway, "canary a prod percent 10");
    let out = done(&gateway, "deployments a");
    assert!(out.contains(&format!("* {canary}")) && out.contains("10 %"), "{out}");
}

#[test]
fn stages_that_are_gone_are_said_and_forgotten() {
    let state = State::new();
    let gateway = start(&state.document("one"), Driver::Epoll);
    done(&gateway, "deploy a prod");
    done(&gateway, "deploy a test");
    let out = done(&gateway, "deployments a --prune");
    assert_eq!(out, "a has nothing that is of no use\n");
    let less = state.with_stages("two", "{prod: {auto_deploy: false}}");
    write(&gateway, &less);
    assert_eq!(done(&gateway, "deployments a --prune"), "a has nothing that is of no use\n", "it serves still");
    assert_eq!(gateway.reload(&less)["ok"], true);
    let out = done(&gateway, "deployments a");
    assert!(out.contains("stage test is no longer configured: `tollgate deployments a --prune --control"), "{out}");
    // Twelve more, of which prod can go back to none: the ten newest stay.
    for _ in 0..12 {
        done(&gateway, "deploy a prod");
        let first = list(&gateway).deployments[0].id.clone();
        done(&gateway, &format!("rollback a prod {first}"));
    }
    let mut before = list(&gateway);
    write(&gateway, &less.replace("kind: rest", "kind: rset"));
    let (_, err, code) = said(&gateway, "deployments a --prune");
    assert!(code == 78 && err.contains("the document has errors"), "{err}");
    write(&gateway, &less);
    let out = done(&gateway, "deployments a --prune");
    assert!(out.contains("no longer configured: test") && out.contains("nothing refers to them: 3 of"), "{out}");
    before.stages.retain(|line| line.stage != "test");
    let after = list(&gateway);
    assert_eq!((after.stages, after.deployments.len()), (before.stages, 11));
    assert_eq!(at(&mut gateway.client(), "prod"), "one ");
    assert_eq!(gateway.reload(&less)["ok"], true);
    assert_eq!(at(&mut gateway.client(), "prod"), "one ");
}

/// A deployment keeps the rules of its kind: each stage changes when it is deployed, none of them before.
#[test]
fn an_api_becomes_one_of_another_kind_stage_by_stage() {
    on_both_drivers(|driver| {
        let state = State::new();
        let stages = "{prod: {auto_deploy: false}, test: {auto_deploy: false}}";
        let (rest, http) = (state.with_stages("one", stages), state.with_stages("two", stages));
        let http = http.replace("kind: rest", "kind: http");
        let gateway = start(&rest, driver);
        done(&gateway, "deploy a prod");
        done(&gateway, "deploy a test");
        let mut client = gateway.client();
        // REST APIs refuse what they do not know with 403, HTTP APIs with 404.
        let mut all = || {
            let mut status = |stage: &str| {
                let head = format!("GET /{stage}/none HTTP/1.1\r\nHost: a.execute-api.localhost\r\n\r\n");
                client.exchange(head).status
            };
            ["prod", "test"].map(|stage| (status(stage), at(&mut gateway.client(), stage)))
        };
        let (old, new) = ((403, "one ".to_owned()), (404, "two ".to_owned()));
        assert_eq!(all(), [old.clone(), old.clone()]);
        assert_eq!(gateway.reload(&http)["ok"], true);
        assert_eq!(all(), [old.clone(), old.clone()], "nothing is deployed by a reload");
        done(&gateway, "deploy a prod");
        assert_eq!(all(), [new.clone(), old.clone()]);
        done(&gateway, "deploy a test");
        assert_eq!(all(), [new.clone(), new.clone()]);
        done(&gateway, "rollback a prod");
        assert_eq!(all(), [old, new]);
    });
}

#[test]
fn st_10_st_11_st_12_the_life_of_a_canary() {
    on_both_drivers(|driver| {
        let state = State::new();
        let gateway = start(&state.document("one"), driver);
        let mut client = gateway.client();
        let mut always = |expected: &str| {
            for _ in 0..50 {
                assert_eq!(at(&mut client, "prod"), expected);
            }
        };
        refused(&gateway, "deploy a prod --canary", 78, &["Stage prod must already be created before making a canary"]);
        refused(&gateway, "deploy a beta --canary", 78, &["Stage beta must already be created before making a canary"]);
        refused(&gateway, "canary a prod promote", 78, &["Promotion not available. Canary does not exist."]);
        refused(&gateway, "canary a prod drop", 78, &["no canary"]);
        done(&gateway, "deploy a prod");
        write(&gateway, &state.document("two"));
        let out = done(&gateway, "deploy a prod --canary --note try");
        assert!(out.contains("to 0 % of the requests") && out.contains("tollgate canary a prod percent 10"), "{out}");
        always("one blue");
        done(&gateway, "canary a prod percent 100");
        always("two blue");
        done(&gateway, "canary a prod variables colour=green");
        always("two green");
        let shown = done(&gateway, "canary a prod show");
        let id = newest(&gateway).id;
        assert!(
            shown.starts_with(&format!("{id} serves 100 % of the requests to a/prod\n  colour=green\n")),
            "{shown}"
        );
        refused(&gateway, "deploy a prod", 78, &["has a canary", "tollgate canary a prod promote"]);
        refused(&gateway, "canary a prod percent 101", 78, &["between 0 and 100"]);
        refused(&gateway, "canary a prod variables a-b=c", 78, &["`a-b`"]);
        refused(&gateway, "canary a prod variables --remove none", 78, &["no variable `none`"]);
        done(&gateway, "canary a prod percent 0");
        always("one blue");
        let out = done(&gateway, "canary a prod promote");
        assert!(out.contains(&format!("a/prod serves deployment {id}")), "{out}");
        always("two green");
        assert!(done(&gateway, "canary a prod show").contains(" 0 %"), "it stays");
        done(&gateway, "canary a prod drop");
        always("two green");
        // The promoted variable wins over the document's until it is forgotten.
        gateway.reload(&state.document("three"));
        always("two green");
        done(&gateway, "canary a prod forget");
        always("two blue");
        done(&gateway, "rollback a prod");
        always("one blue");
        write(&gateway, &state.document("four"));
        done(&gateway, "deploy a prod --canary --percent 100 --variable colour=red");
        always("four red");
        let before = gateway.status()["generation"].as_u64();
        gateway.signal(Signal::HUP);
        eventually("the reload is over", || gateway.status()["generation"].as_u64() > before);
        always("four red");
        done(&gateway, "canary a prod drop");
        always("one blue");
    });
}

#[test]
fn a_canary_of_the_document_is_changed_there() {
    let state = State::new();
    let stages =
        "{prod: {auto_deploy: false, variables: {colour: blue}, canary: {percent: 100, variables: {colour: green}}}}";
    let gateway = start(&state.with_stages("one", stages), Driver::Epoll);
    let mut client = gateway.client();
    done(&gateway, "deploy a prod");
    assert_eq!(at(&mut client, "prod"), "one green", "the document's canary serves the stage's deployment");
    let words = ["declared in the document", "`canary:`"];
    refused(&gateway, "deploy a prod --canary", 78, &words);
    refused(&gateway, "canary a prod percent 5", 78, &words);
    refused(&gateway, "canary a prod promote", 78, &words);
    assert!(done(&gateway, "canary a prod show").contains("the document declares one"));
    write(&gateway, &state.with_stages("two", stages));
    done(&gateway, "deploy a prod");
    assert_eq!(at(&mut client, "prod"), "two green");
}

/// A version of an API of many routes: each answers with the number of the version.
fn many(state: &Path, version: usize) -> String {
    let mut text = format!("gateway:\n  state: {}\napis:\n  a:\n    kind: rest\n    routes:\n", state.display());
    let padding = "x".repeat(512);
    for route in 0..ROUTES {
        let body = format!("{version} {route} {padding}");
        writeln!(text, "      \"GET /{route}\": {{integration: {{type: mock, body: \"{body}\"}}}}").expect("text");
    }
    text + "    stages: {prod: {auto_deploy: false}}\n"
}

const ROUTES: usize = 40;
const KILLS: usize = 12;

/// The version that all the routes of `prod` agree on; 0 if nothing is deployed.
fn version(gateway: &Gateway) -> usize {
    let mut client = gateway.client();
    let mut versions: Vec<usize> = (0..ROUTES)
        .map(|route| {
            let response =
                client.exchange(format!("GET /prod/{route} HTTP/1.1\r\nHost: a.execute-api.localhost\r\n\r\n"));
            if response.status == 403 {
                return 0;
            }
            let text = response.expect_status(200).text();
            let mut words = text.split(' ');
            let version = words.next().and_then(|word| word.parse().ok()).expect("a number");
            assert_eq!(words.next(), Some(&*route.to_string()));
            version
        })
        .collect();
    versions.dedup();
    assert_eq!(versions.len(), 1, "all of one version: {versions:?}");
    versions[0]
}

fn order(note: &str) -> Control {
    Control::Deploy(DeployOrder { api: "a".into(), stage: "prod".into(), note: note.into(), canary: None })
}

#[test]
fn a_process_killed_while_it_deploys_has_deployed_wholly_or_not() {
    let state = State::new();
    let mut serving = 0;
    let mut landed = 0;
    for round in 0..KILLS {
        let gateway = Gateway::start(&many(&state.0, 999_999), Driver::Epoll);
        assert_eq!(version(&gateway), serving, "as it was seen before");
        let (acknowledged, killed) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let deploys = scope.spawn(|| {
                for next in serving + 1.. {
                    write(&gateway, &many(&state.0, next));
                    let Ok(answer) = control::call(gateway.control(), order("")) else {
                        assert!(killed.load(Ordering::Acquire), "it answers while it lives");
                        return;
                    };
                    let report: ChangeReport = serde_json::from_value(answer).expect("a report");
                    assert_eq!(report.outcome, Outcome::Done, "{report:?}");
                    acknowledged.store(next, Ordering::Release);
                }
            });
            let enough = serving + 1 + round % 3;
            eventually("deployments are made", || acknowledged.load(Ordering::Acquire) >= enough);
            // Somewhere in the next deployment, which takes some milliseconds.
            let until = Instant::now() + Duration::from_micros(700 * round as u64);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            killed.store(true, Ordering::Release);
            gateway.signal(Signal::KILL);
            deploys.join().expect("the orders went well");
        });
        gateway.wait_exit();
        let acknowledged = acknowledged.load(Ordering::Acquire);
        drop(gateway);
        let gateway = Gateway::start(&many(&state.0, 999_999), Driver::Epoll);
        serving = version(&gateway);
        assert!(serving == acknowledged || serving == acknowledged + 1, "{serving} after {acknowledged}");
        landed += usize::from(serving == acknowledged + 1);
        // And the list is whole: every deployment can be gone back to.
        for DeploymentLine { id, stages, .. } in list(&gateway).deployments.iter().rev().take(3) {
            if stages.is_empty() {
                done(&gateway, &format!("rollback a prod {id}"));
                version(&gateway);
            }
        }
        let now = list(&gateway).deployments.pop().expect("at least one");
        if now.stages.is_empty() {
            done(&gateway, &format!("rollback a prod {}", now.id));
        }
        assert_eq!(version(&gateway), serving);
    }
    println!("{KILLS} kills, {landed} deployments landed without an answer");
}

#[test]
fn two_gateways_with_one_state_directory_take_turns() {
    const EACH: usize = 10;
    let state = State::new();
    let gateways = [(); 2].map(|()| Gateway::start(&state.document("one"), Driver::Epoll));
    thread::scope(|scope| {
        for (number, gateway) in gateways.iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..EACH {
                    let answer =
                        control::call(gateway.control(), order(&format!("{number} {turn}"))).expect("an answer");
                    let report: ChangeReport = serde_json::from_value(answer).expect("a report");
                    assert_eq!(report.outcome, Outcome::Done, "{report:?}");
                }
            });
        }
    });
    let both = gateways.each_ref().map(list);
    assert_eq!(both[0], both[1]);
    let mut notes: Vec<String> = both[0].deployments.iter().map(|line| line.note.clone()).collect();
    notes.sort();
    notes.dedup();
    assert_eq!(notes.len(), 2 * EACH, "no deployment was lost: {notes:?}");
}
