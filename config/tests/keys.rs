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
    for (value, enabled, plan) in [("01", true, "gold"), ("02", false, "basic"), ("03", true, "basic")] {
        let (id, open, plans) = plans(&loaded, &format!("csv-value-00000000{value}")).unwrap();
        assert!(id.starts_with("csv-") && id.len() == 20, "no id can have a space or be that of two: {id}");
        assert_eq!((open, plans), (enabled, vec![plan.to_owned()]));
    }
    assert_eq!(plans(&loaded, &value), Some(found(&stored.id, true, &["basic"])));
    assert_eq!(plans(&loaded, "csv-value-0000000009"), None);
    let said = said(&loaded);
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(
        said[0].starts_with("gateway.yaml:0 key `") && said[0].ends_with("there is no usage plan `gone`"),
        "{said:?}"
    );
    assert_eq!(
        said[1..],
        [
            "keys.csv:4 there is no usage plan `nowhere`",
            "keys.csv:5 key `acme` has the value of key `acme` (gateway.yaml:8): the first one counts",
            "keys.csv:6 this key opens nothing: API Key value should be at least 20 characters",
            "keys.csv:7 plans `basic` and `gold` have a stage in common, where the first one counts",
        ]
    );
    let files: Vec<&str> = loaded.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["acme", "keys.csv", "store"], "whoever watches looks after them");
}

/// What a key has used is counted under its id: no line above it may move that to another customer, nor may a restart.
#[test]
fn ids_stay_with_their_keys_however_the_file_is_written() {
    let folder = folder("stay");
    let lines = [
        "Acme Corp,csv-value-0000000001,basic",
        "Beta Corp,csv-value-0000000002,basic",
        ",csv-value-0000000003,basic",
        "same,csv-value-0000000004,basic",
        "same,csv-value-0000000005,basic",
        "alone,csv-value-0000000006,basic",
    ];
    let ids = |lines: &[&str]| {
        fs::write(folder.join("keys.csv"), format!("Name,Key,UsagePlanIds\n{}\n", lines.join("\n"))).unwrap();
        let loaded = load(&folder, "api_keys: {file: keys.csv}\n");
        let id = |number| plans(&loaded, &format!("csv-value-000000000{number}")).unwrap().0;
        [1, 2, 3, 4, 5, 6].map(id)
    };
    let before = ids(&lines);
    let mut turned = vec!["New Corp,csv-value-0000000007,basic"];
    turned.extend(lines.iter().rev());
    assert_eq!(ids(&turned), before);
    let mut sorted = before.clone();
    sorted.sort();
    assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]), "{before:?}");
    assert_eq!(before[5], "alone", "a name that can be an id is one");
    // With a secret nobody can try values against an id.
    Store::at(&folder.join("state")).change().unwrap().commit().unwrap();
    let keyed = ids(&lines);
    assert_ne!(keyed[0], before[0]);
    assert_eq!(ids(&turned), keyed);
    assert!(!keyed.iter().any(|id| id.contains("value")));
}

/// Somebody who closes a key in one of its places means it.
#[test]
fn a_value_in_two_places_is_told_and_opens_nothing_if_one_is_disabled() {
    let folder = folder("twice");
    let value = "rev-value-0000000000001";
    let read = |rows: &[&str], keys: &str| {
        fs::write(folder.join("keys.csv"), format!("Name,Key,UsagePlanIds,Enabled\n{}\n", rows.join("\n"))).unwrap();
        let loaded = load(&folder, keys);
        (plans(&loaded, value).unwrap(), said(&loaded).join("\n"))
    };
    let (open, closed) = (&*format!("rev,{value},basic,true"), &*format!("other,{value},gold,false"));
    let file = "api_keys: {file: keys.csv}\n";
    // KP-02: the last line counts.
    let (key, told) = read(&[open, closed], file);
    assert_eq!(key, found("other", false, &["gold"]));
    assert_eq!(
        told,
        format!(
            "keys.csv:3 key `other` has the value of key `rev` ({}:2): this line counts, the last of its file, and is disabled",
            folder.join("keys.csv").display()
        )
    );
    let (key, told) = read(&[closed, open], file);
    assert_eq!(key, found("rev", true, &["basic"]));
    assert!(told.contains("this line counts, the last of its file"), "{told}");
    // The document counts before the file, but what the file disables stays closed.
    let both = "api_keys: {doc: {value: \"${file:doc}\", plans: [gold]}, file: keys.csv}\n";
    fs::write(folder.join("doc"), value).unwrap();
    let (key, told) = read(&[closed], both);
    assert_eq!(key, found("doc", false, &["gold"]));
    assert!(
        told.contains("keys.csv:2 key `other` has the value of key `doc` (gateway.yaml:8): one of them is disabled")
    );
    // The same for a key of the store.
    let mut change = Store::at(&folder.join("state")).change().unwrap();
    let new =
        NewKey { value: Some(value.to_owned()), enabled: false, plans: vec!["basic".into()], ..NewKey::default() };
    let (stored, _) = change.create(new, 1).unwrap();
    change.commit().unwrap();
    let (key, told) = read(&[open], file);
    assert_eq!(key, found("rev", false, &["basic"]));
    let says = format!("state/keys/store: key `{}` has the value of key `rev`", stored.id);
    assert!(told.contains(&says) && told.contains("keys.csv:2): one of them is disabled"), "{told}");
}

#[test]
fn a_secret_that_is_gone_is_an_error_while_there_are_keys() {
    let folder = folder("secret");
    let mut change = Store::at(&folder.join("state")).change().unwrap();
    change.create(NewKey { enabled: true, plans: vec!["basic".into()], ..NewKey::default() }, 1).unwrap();
    change.commit().unwrap();
    assert_eq!(said(&load(&folder, "")), Vec::<String>::new());
    fs::remove_file(folder.join("state/keys/secret")).unwrap();
    let loaded = load(&folder, "");
    assert!(loaded.snapshot.is_none());
    assert!(said(&loaded)[0].ends_with("state/keys/secret is gone"), "{:?}", said(&loaded));
}

#[test]
fn an_odd_file_is_told() {
    let folder = folder("odd");
    let text = "Key,UsagePlanIds\ncsv-value-0000000001,basic,gold\n";
    fs::write(folder.join("keys.csv"), text).unwrap();
    let keys = "api_keys: {file: keys.csv}\n";
    let said_of = |loaded: &Loaded| said(loaded).join("\n");
    assert!(said_of(&load(&folder, keys)).starts_with("keys.csv:2 it has more fields than there are columns"));
    fs::write(folder.join("keys.csv"), format!("{text}csv-value-0000000002,\"basic\n")).unwrap();
    let loaded = load(&folder, keys);
    assert!(loaded.snapshot.is_none());
    assert!(said_of(&loaded).contains("line 3: a quotation mark is not closed"), "{}", said_of(&loaded));
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
