//! Keys from the document, from CSV files and from the store, as one table.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use config::Loaded;
use config::keys::{NewKey, Store};

const DOCUMENT: &str = r#"
gateway: {listen: 127.0.0.1:0, state: state}
apis: {a: {kind: rest, routes: {"GET /": {integration: {type: mock}}}, stages: {s: {}, t: {}}}}
domains: {"*": {mappings: {/: a/s}}}
usage_plans:
  basic: {stages: [a/s]}
  gold: {stages: [a/s, a/t]}
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("state")).expect("the folder for temporary files is writable");
    folder
}

fn load(folder: &Path, keys: &str) -> Loaded {
    config::load_text("gateway.yaml", &format!("{DOCUMENT}{keys}"), folder)
}

fn said(loaded: &Loaded) -> Vec<String> {
    let name =
        |source: u16| loaded.diagnostics.sources[usize::from(source)].name.rsplit('/').next().unwrap_or_default();
    let one = |fault: &config::Fault| format!("{}:{} {}", name(fault.place.source), fault.place.line, fault.what);
    loaded.diagnostics.list.iter().map(one).collect()
}

/// The plans of the key of a value, by name.
fn plans(loaded: &Loaded, value: &str) -> Option<(String, bool, Vec<String>)> {
    let snapshot = loaded.snapshot.as_ref().expect("no errors");
    let key = snapshot.keys.find(value.as_bytes())?;
    let plans = key.plans().map(|(plan, _)| snapshot.plans[usize::from(plan)].name.to_string());
    Some((key.id.to_owned(), key.enabled, plans.collect()))
}

fn found(id: &str, enabled: bool, plans: &[&str]) -> (String, bool, Vec<String>) {
    (id.to_owned(), enabled, plans.iter().map(|plan| (*plan).to_owned()).collect())
}

#[test]
fn three_places_make_one_table() {
    let folder = folder("three");
    fs::write(folder.join("acme"), "acme-value-0123456789\n").unwrap();
    fs::write(
        folder.join("keys.csv"),
        "Name,Key,UsagePlanIds,Enabled\n\
         Acme Inc,csv-value-0000000001,gold,true\n\
         same,csv-value-0000000002,basic,false\n\
         same,csv-value-0000000003,\"basic,nowhere\",true\n\
         acme,acme-value-0123456789,gold,true\n\
         short,short,basic,true\n\
         both,csv-value-0000000004,\"basic,gold\",true\n",
    )
    .unwrap();
    let mut change = Store::at(&folder.join("state")).change().unwrap();
    let value = "store-value-0123456789".to_owned();
    let new = NewKey { value: Some(value.clone()), enabled: true, plans: vec!["basic".into()], ..NewKey::default() };
    let (stored, _) = change.create(new, 1).unwrap();
    change.create(NewKey { plans: vec!["gone".into()], ..NewKey::default() }, 1).unwrap();
    change.commit().unwrap();

    let keys = "api_keys: {acme: {value: \"${file:acme}\", plans: [gold], enabled: true}, file: keys.csv}\n";
    let loaded = load(&folder, keys);
    assert_eq!(
        plans(&loaded, "acme-value-0123456789"),
        Some(found("acme", true, &["gold"])),
        "the document counts first"
    );
    assert_eq!(
        plans(&loaded, "csv-value-0000000001"),
        Some(found("line-2", true, &["gold"])),
        "no id can have a space"
    );
    assert_eq!(plans(&loaded, "csv-value-0000000002"), Some(found("same", false, &["basic"])));
    assert_eq!(plans(&loaded, "csv-value-0000000003"), Some(found("same.2", true, &["basic"])));
    assert_eq!(plans(&loaded, &value), Some(found(&stored.id, true, &["basic"])));
    assert_eq!(plans(&loaded, "csv-value-0000000009"), None);
    let said = said(&loaded);
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said[0].starts_with("gateway.yaml:0 key `") && said[0].ends_with("there is no usage plan `gone`"),
        "{said:?}"
    );
    assert_eq!(
        said[1..],
        [
            "keys.csv:4 this key opens nothing: there is no usage plan `nowhere`",
            "keys.csv:6 this key opens nothing: API Key value should be at least 20 characters",
            "keys.csv:7 this key opens nothing: plans `basic` and `gold` have a stage in common, where the first one counts",
        ]
    );
    let files: Vec<&str> = loaded.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["acme", "keys.csv", "store"], "whoever watches looks after them");
}

#[test]
fn a_compiled_file_has_no_value_and_reads_them_again() {
    let folder = folder("compiled");
    fs::write(folder.join("acme"), "acme-value-0123456789\n").unwrap();
    fs::write(folder.join("keys.csv"), "Name,Key,UsagePlanIds\nx,csv-value-0000000001,basic\n").unwrap();
    let keys = "api_keys: {acme: {value: \"${file:acme}\", plans: [gold]}, file: keys.csv}\n";
    let loaded = load(&folder, keys);
    let bytes = config::snapshot_file::encode(loaded.snapshot.as_ref().unwrap(), &folder);
    let is_in = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(is_in(b"keys.csv") && !is_in(b"acme-value") && !is_in(b"csv-value"));
    fs::write(folder.join("gateway.snapshot"), &bytes).unwrap();
    let again = config::load(&folder.join("gateway.snapshot"));
    assert_eq!(plans(&again, "acme-value-0123456789"), Some(found("acme", true, &["gold"])));
    assert_eq!(plans(&again, "csv-value-0000000001"), Some(found("x", true, &["basic"])));
}

#[test]
fn a_damaged_store_or_a_file_without_columns_is_an_error() {
    let folder = folder("damaged");
    let store = Store::at(&folder.join("state"));
    store.change().unwrap().commit().unwrap();
    fs::write(store.path(), "nothing of ours").unwrap();
    fs::write(folder.join("keys.csv"), "acme,csv-value-0000000001\n").unwrap();
    let loaded = load(&folder, "api_keys: {file: [keys.csv, nowhere.csv]}\n");
    let said = said(&loaded).join("\n");
    assert!(loaded.snapshot.is_none());
    for says in ["store: it ends too early", "keys.csv:0 `acme` is no column", "nowhere.csv cannot be read"] {
        assert!(said.contains(says), "{said}");
    }
}

/// A million keys load in seconds, from a file and from the store, and cost at most 200 bytes each; 50,000 where nobody has time.
#[test]
fn many_keys_load_soon_and_cost_little() {
    let count = if std::env::var_os("TOLLGATE_LONG").is_some() { 1_000_000 } else { 50_000 };
    let folder = folder("many");
    let value = |number: usize| format!("value-{number:010}-abcdefghijklmnopqrst");
    let mut text = String::from("Name,Key,UsagePlanIds,Enabled\n");
    for number in 0..count {
        writeln!(text, "customer{number},{},basic,true", value(number)).unwrap();
    }
    fs::write(folder.join("keys.csv"), &text).unwrap();
    let timed = |what: &str, keys: &str| {
        let began = Instant::now();
        let loaded = load(&folder, keys);
        let took = began.elapsed();
        assert_eq!(said(&loaded), Vec::<String>::new());
        let keys = &loaded.snapshot.as_ref().unwrap().keys;
        let each = keys.bytes() / keys.len();
        println!("{count} keys from {what}: {took:?}, {each} bytes each");
        assert_eq!(keys.len(), count);
        assert!(each <= 200, "{each} bytes");
        for number in [0, 1, count / 2, count - 1] {
            assert!(plans(&loaded, &value(number)).is_some(), "{number}");
        }
        assert_eq!(plans(&loaded, &value(count)), None);
    };
    timed("a CSV file", "api_keys: {file: keys.csv}\n");
    let mut change = Store::at(&folder.join("state")).change().unwrap();
    let began = Instant::now();
    config::keys::csv::read(text.as_bytes(), |row| {
        change.import(&row.unwrap(), false, 1).unwrap();
    })
    .unwrap();
    change.commit().unwrap();
    println!("{count} keys imported in {:?}", began.elapsed());
    timed("the store", "");
}
