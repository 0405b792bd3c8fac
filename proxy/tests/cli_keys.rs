//! `tollgate keys` and `tollgate usage`: rows KP-01, KP-02, KP-08 and KP-09 as far as they are no management API.

#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::gateway::new_folder;
use support::{Client, Driver, Gateway, eventually};

/// What a command printed, and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    #[track_caller]
    fn ok(self) -> Said {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

fn tollgate(args: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(args).env_remove("STATE_DIRECTORY").env_remove("CONFIGURATION_DIRECTORY");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tollgate starts");
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn state() -> (PathBuf, String) {
    let state = new_folder();
    let text = state.display().to_string();
    (state, text)
}

const VALUE: &str = "a-value-of-mine-0123456789";

#[test]
fn kp_01_a_key_is_made_shown_changed_and_deleted() {
    let (_, state) = state();
    let keys = |args: &[&str], input: &str| tollgate(&[&["keys"], args, &["--state", &state]].concat(), input);
    let made = keys(&["create", "Acme", "--plan", "basic", "--plan", "gold", "--json"], "").ok().json();
    let (id, value) = (made["id"].as_str().unwrap(), made["value"].as_str().unwrap());
    assert_eq!((id.len(), value.len(), made["enabled"].as_bool()), (10, 40, Some(true)), "{made}");
    let other =
        keys(&["create", "Other", "--value-from", "-", "--disabled", "--keep-value"], &format!("{VALUE}\n")).ok();
    assert!(other.out.contains(VALUE) && other.out.contains("no usage plan") && other.err.contains("tollgate reload"));
    let again = keys(&["create", "Again", "--value-from", "-"], VALUE);
    assert!(again.code != 0 && again.err.contains("has this value already") && !again.err.contains(VALUE));
    let short = keys(&["create", "Short", "--value-from", "-"], "short");
    assert!(short.code != 0 && short.err.contains("API Key value should be at least 20 characters"), "{}", short.err);

    let list = keys(&["list"], "").ok().out;
    assert!(
        list.contains("basic,gold") && list.contains("2 keys") && !list.contains(value) && !list.contains(VALUE),
        "{list}"
    );
    let of_plan = keys(&["list", "--plan", "gold", "--json"], "").ok().json();
    assert_eq!(of_plan["keys"].as_array().unwrap().len(), 1);
    assert!(keys(&["show", "Acme", "--value"], "").err.contains("was not kept"));
    assert_eq!(keys(&["show", "Other", "--value", "--json"], "").ok().json()["value"], VALUE);
    assert_eq!(keys(&["enable", "Other", "--json"], "").ok().json()["enabled"], true);
    assert_eq!(keys(&["disable", id, "--json"], "").ok().json()["enabled"], false);
    assert_eq!(keys(&["delete", id, "--json"], "").ok().json()["id"], id);
    assert!(keys(&["show", id], "").err.contains("there is no key"));
    assert_eq!(tollgate(&["keys", "list", "--state", "/nowhere/at/all"], "").code, 66);
}

/// What is exported can be imported: with values where they were kept, else onto the keys that are there.
#[test]
fn kp_02_a_file_is_imported_and_exported() {
    let (_, state) = state();
    let keys = |args: &[&str], input: &str| tollgate(&[&["keys"], args, &["--state", &state]].concat(), input);
    let text =
        format!("Key,name,UsagePlanIds\n{VALUE},\"Acme, Inc\",\"basic,gold\"\n{VALUE}-2,B,basic\nshort,C,basic\n");
    let refused = keys(&["import", "-", "--fail-on-warnings"], &text);
    assert!(refused.code != 0 && refused.err.contains("4: API Key value should be at least 20"), "{}", refused.err);
    assert!(keys(&["list"], "").ok().out.contains("0 keys"));
    let taken = keys(&["import", "-", "--keep-value", "--json"], &text).ok().json();
    assert_eq!((&taken["new"], &taken["leftOut"]), (&2.into(), &1.into()));
    let plain = keys(&["export"], "").ok().out;
    assert!(!plain.contains(VALUE) && plain.contains("\"Acme, Inc\"") && plain.contains("\"basic,gold\""), "{plain}");
    assert_eq!(keys(&["import", "-", "--json"], &plain).ok().json()["same"], 2);
    let edited = plain.replace(",true,basic", ",false,basic");
    assert_eq!(keys(&["import", "-", "--json"], &edited).ok().json()["changed"], 1);
    let whole = keys(&["export", "--values"], "").ok().out;
    assert!(whole.contains(VALUE));
    let (_, elsewhere) = self::state();
    let taken = tollgate(&["keys", "import", "-", "--json", "--state", &elsewhere], &whole).ok().json();
    assert_eq!(taken["new"], 2);
    assert!(keys(&["import", "-"], "Name,Colour\n").err.contains("`colour` is no column"));
}

fn document(state: &str) -> String {
    format!(
        r#"
gateway:
  state: {state}
apis:
  a:
    kind: rest
    routes:
      "GET /mine": {{api_key_required: true, integration: {{type: mock}}}}
    stages: {{dev: {{}}}}
usage_plans:
  basic: {{stages: [a/dev], quota: {{limit: 3, period: month}}}}
"#
    )
}

fn passed(client: &mut Client, value: &str, of: usize) -> usize {
    let request = format!("GET /dev/mine HTTP/1.1\r\nHost: a\r\nX-API-Key: {value}\r\n\r\n");
    (0..of).filter(|_| client.exchange(&request).status == 200).count()
}

/// Rows KP-08 and KP-09.
#[test]
fn kp_08_usage_is_told_by_day_and_a_quota_extended() {
    let (folder, state) = state();
    let gateway = Gateway::start(&document(&state), Driver::Epoll);
    let document = gateway.folder().join("gateway.yaml").display().to_string();
    let with = |args: &[&str]| tollgate(&[args, &["--config", &document]].concat(), "");
    let made = with(&["keys", "create", "Acme", "--plan", "basic", "--reload"]).ok();
    assert!(made.out.contains("reloaded: generation 2"), "{}", made.out);
    let value = made.out.lines().nth(1).expect("the value has a line of its own").to_owned();
    let id = with(&["keys", "show", "Acme", "--json"]).ok().json()["id"].as_str().unwrap().to_owned();
    let mut client = gateway.client();
    assert_eq!(passed(&mut client, &value, 5), 3);

    let csv = with(&["usage", "--format", "csv"]).ok().out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "day,plan,key,used"), "{csv}");
    assert!(lines[1].ends_with(&format!(",basic,{id},3")), "{csv}");
    let json = with(&["usage", "--format", "json", "--key", &id]).ok().json();
    let quota = &json["quotas"][0];
    assert_eq!((&quota["used"], &quota["allowed"], &quota["remaining"]), (&3.into(), &3.into(), &0.into()), "{json}");
    assert_eq!(with(&["usage", "--plan", "other", "--format", "csv"]).ok().out.lines().count(), 1);
    assert_eq!(
        with(&["usage", "--from", "2020-01-01", "--to", "2020-02-01", "--format", "csv"]).ok().out.lines().count(),
        1
    );

    let extended = with(&["usage", "extend", &id, "--plan", "basic", "--remaining", "2"]).ok().out;
    assert!(extended.contains("has used 3 of 5"), "{extended}");
    assert_eq!(passed(&mut client, &value, 5), 2, "the running gateway knows at once");
    for (args, says) in [
        (["extend", "nobody", "--plan", "basic"], "no key `nobody`"),
        (["extend", &id, "--plan", "none"], "no usage plan `none`"),
    ] {
        let refused = with(&[&["usage"], &args[..], &["--remaining", "1"]].concat());
        assert!(refused.code != 0 && refused.err.contains(says), "{}", refused.err);
    }
    // Days that are over come from their file.
    fs::write(folder.join("usage/2020-01.csv"), format!("2020-01-31,basic,{id},7\n")).unwrap();
    let january = with(&["usage", "--from", "2020-01-01", "--to", "2020-02-01"]).ok().out;
    assert!(january.contains("2020-01-31") && january.contains("7 requests in 1 line"), "{january}");
    eventually("it is still served", || passed(&mut client, &value, 1) == 0);
}

/// The state directory that a document names need not be made by hand.
#[test]
fn a_state_directory_that_is_not_there_is_made() {
    let folder = new_folder();
    let (one, two) = (folder.join("one"), folder.join("two"));
    let path = folder.join("gateway.yaml");
    let text = document(&one.display().to_string()).replace("gateway:\n", "gateway:\n  listen: 127.0.0.1:0\n");
    fs::write(&path, text).unwrap();
    let named = path.to_str().unwrap();
    let doctor = tollgate(&["doctor", named], "").out;
    assert!(doctor.contains("is not there yet"), "{doctor}");
    assert_eq!(tollgate(&["check", named], "").ok().err, "");
    let listed = tollgate(&["keys", "list", "--config", named], "");
    assert!(
        listed.code == 66 && listed.err.contains("`tollgate run` or `tollgate keys create` makes it"),
        "{}",
        listed.err
    );
    assert!(!one.exists(), "who only looks makes nothing");
    tollgate(&["keys", "create", "Acme", "--plan", "basic", "--config", named], "").ok();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&one), 0o700);
    let gateway = Gateway::start(&document(&two.display().to_string()), Driver::Epoll);
    assert_eq!(mode(&two), 0o700);
    assert!(two.join("usage/counts").exists(), "it is opened before any key comes");
    assert_eq!(gateway.counter("tollgate_usage_in_memory", &[]), 0.0);
    assert_eq!(gateway.status()["usageInMemory"], 0);
}

/// A program reads one document, and is told of plans that nobody has.
#[test]
fn a_key_is_told_in_one_document_with_its_reload_and_its_warnings() {
    let (_, state) = state();
    let gateway = Gateway::start(&document(&state), Driver::Epoll);
    let document = gateway.folder().join("gateway.yaml").display().to_string();
    let with = |args: &[&str], input: &str| tollgate(&[args, &["--config", &document]].concat(), input);
    let made = with(&["keys", "create", "Acme", "--plan", "basic", "--plan", "nope", "--reload", "--json"], "").ok();
    assert!(made.err.contains("the document has no usage plan `nope`"), "{}", made.err);
    let made = made.json();
    assert_eq!((&made["reload"]["ok"], made["warnings"].as_array().unwrap().len()), (&true.into(), 1), "{made}");
    assert_eq!(passed(&mut gateway.client(), made["value"].as_str().unwrap(), 1), 1);
    let text = format!("Key,UsagePlanIds\n{VALUE},nope\n{VALUE}-2,basic,gold\n");
    let taken = with(&["keys", "import", "-", "--json"], &text).ok().json();
    assert_eq!((&taken["new"], &taken["leftOut"]), (&2.into(), &0.into()));
    let warnings = taken["warnings"].to_string();
    assert!(
        warnings.contains("2: the document has no usage plan `nope`") && warnings.contains("3: it has more fields")
    );
    let open = with(&["keys", "import", "-"], "Key\n\"unfinished-0123456789\n");
    assert!(open.code != 0 && open.err.contains("line 2: a quotation mark is not closed"), "{}", open.err);
}

/// What a request with a key would meet, with the lines that say so.
#[test]
fn explain_tells_of_keys_plans_and_quotas() {
    let (folder, state) = state();
    let path = folder.join("gateway.yaml");
    let text = document(&state).replace("gateway:\n", "gateway:\n  listen: 127.0.0.1:0\n");
    fs::write(&path, &text).unwrap();
    let explain = |url: &str| tollgate(&["explain", path.to_str().unwrap(), "GET", url], "").ok().out;
    let said = explain("/dev/mine");
    let at = |what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
    let line = at("basic:");
    assert!(said.contains("api_key → quota"), "{said}");
    assert!(said.contains(&format!("in X-API-Key, of usage plan `basic` (line {line})")), "{said}");
    assert!(said.contains(&format!("3 a month, of each key, in usage plan `basic` (line {line})")), "{said}");
    fs::write(&path, text.replace("api_key_required: true, ", "")).unwrap();
    let said = explain("/dev/mine");
    assert!(!said.contains("api_key") && !said.contains("quota") && !said.contains("X-API-Key"), "{said}");
}
