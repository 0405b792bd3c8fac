//! `tollgate keys`: the API keys of the state directory.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Subcommand;
use config::keys::csv::{self, BadRow};
use config::keys::{Change, Imported, KeysFault, NewKey, Record, Store, Stored};
use indicatif::{ProgressBar, ProgressStyle};
use proxy::first;
use proxy::usage::{self, history::day_text};
use serde_json::{Value, json};

use super::gateway::Named;
use super::{complain, control, count, default_config, exit, fail, say};

/// Where keys are kept, and whose gateway is told of changes.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The state directory; by default what the document says, else $STATE_DIRECTORY, else /var/lib/tollgate
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    #[command(flatten)]
    gateway: Named,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key; its value is printed this once
    #[command(
        after_help = "Examples:\n  tollgate keys create Acme --plan basic --reload\n  tollgate keys create Acme --plan basic --value-from secret.txt --disabled"
    )]
    Create {
        /// For people; need not be its alone
        name: String,
        /// A usage plan that it is in; may be repeated
        #[arg(long = "plan", value_name = "PLAN")]
        plans: Vec<String>,
        /// For people
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        description: String,
        /// Read the value from a file, or from standard input: -; otherwise one is drawn
        #[arg(long, value_name = "FILE")]
        value_from: Option<PathBuf>,
        /// Make a key that opens nothing yet
        #[arg(long)]
        disabled: bool,
        /// Keep the value, encrypted, so that `tollgate keys show --value` can show it again
        #[arg(long)]
        keep_value: bool,
        #[command(flatten)]
        after: After,
    },
    /// List the keys: ids, names, plans, and the first letters of their values
    List {
        /// Only those of this usage plan
        #[arg(long, value_name = "PLAN")]
        plan: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one key
    Show {
        /// Its id, or its name if no other key has that
        key: String,
        /// Print the value as well, if it was kept (--keep-value)
        #[arg(long)]
        value: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a key open the stages of its plans again
    Enable {
        /// Its id, or its name if no other key has that
        key: String,
        #[command(flatten)]
        after: After,
    },
    /// Let a key open nothing
    Disable {
        /// Its id, or its name if no other key has that
        key: String,
        #[command(flatten)]
        after: After,
    },
    /// Remove a key; what it has used is kept
    Delete {
        /// Its id, or its name if no other key has that
        key: String,
        #[command(flatten)]
        after: After,
    },
    /// Take the keys of a CSV file in API Gateway's form; a key with the same value is changed
    #[command(
        after_help = "The first line names the columns, in any order: Name,Key,description,Enabled,UsagePlanIds\n\nExamples:\n  tollgate keys import keys.csv --reload\n  aws apigateway get-api-keys --include-values … | to-csv | tollgate keys import -"
    )]
    Import {
        /// The file; - is standard input
        file: PathBuf,
        /// Keep the values, encrypted
        #[arg(long)]
        keep_value: bool,
        /// Change nothing if a line cannot be a key, or something about it is odd
        #[arg(long)]
        fail_on_warnings: bool,
        #[command(flatten)]
        after: After,
    },
    /// Print all keys as CSV, which `tollgate keys import` takes: id and first letters, and values only where they were kept
    Export {
        /// Print values that were kept
        #[arg(long)]
        values: bool,
    },
}

/// What happens behind a change.
#[derive(Debug, clap::Args)]
pub struct After {
    /// Let the running gateway load the keys
    #[arg(long)]
    reload: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Place {
    /// The document that has the plans.
    fn document(&self) -> Option<PathBuf> {
        self.gateway.document().or_else(|| default_config().filter(|path| path.exists()))
    }

    /// The usage plans of the document, if one is known and in order.
    fn plans(&self) -> Option<Vec<String>> {
        let snapshot = config::load(&self.document()?).snapshot?;
        Some(snapshot.plans.iter().map(|plan| plan.name.to_string()).collect())
    }

    /// The state directory.
    pub fn state(&self) -> Result<PathBuf, ExitCode> {
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let document = self.document();
        let said = match &document {
            Some(path) => config::state_path(path).map_err(|faults| {
                complain(&faults.render(super::colours(&io::stderr())));
                fail(super::bad_document(path), "--state DIR names the place of the keys, too")
            })?,
            None => None,
        };
        Ok(config::deployments::state_folder(said.as_deref()).unwrap_or_else(|| PathBuf::from("/var/lib/tollgate")))
    }

    /// The gateway that a document or a socket names.
    pub fn gateway(&self) -> &Named {
        &self.gateway
    }

    fn store(&self) -> Result<Store, ExitCode> {
        let state = self.state()?;
        if !state.is_dir() {
            let hint = match (&self.state, self.document()) {
                (Some(_), _) => "make it, or name another one",
                (None, Some(_)) => "`tollgate run` or `tollgate keys create` makes it, as the document names it",
                (None, None) => "name it with --state DIR, or its document with --config FILE",
            };
            return Err(fail(exit::NO_INPUT, &format!("there is no state directory {}; {hint}", state.display())));
        }
        Ok(Store::at(&state))
    }

    /// The same for keys that are new: a state directory that the document names is made.
    fn store_or_new(&self) -> Result<Store, ExitCode> {
        if self.state.is_none() && self.document().is_some() {
            let state = self.state()?;
            first::make(&state).map_err(|error| {
                fail(exit::IO, &format!("the state directory {} cannot be made: {error}", state.display()))
            })?;
        }
        self.store()
    }
}

/// Does what was asked.
pub fn keys(place: &Place, what: Keys) -> ExitCode {
    let done = match what {
        Keys::Create { name, plans, description, value_from, disabled, keep_value, after } => {
            let new = NewKey { name, value: None, description, enabled: !disabled, plans, keep_value };
            create(place, new, value_from, &after)
        }
        Keys::List { plan, json } => list(place, plan.as_deref(), json),
        Keys::Show { key, value, json } => show(place, &key, value, json),
        Keys::Enable { key, after } => edit(place, &key, &after, true),
        Keys::Disable { key, after } => edit(place, &key, &after, false),
        Keys::Delete { key, after } => delete(place, &key, &after),
        Keys::Import { file, keep_value, fail_on_warnings, after } => {
            import(place, &file, (keep_value, fail_on_warnings), &after)
        }
        Keys::Export { values } => export(place, values),
    };
    done.unwrap_or_else(|code| code)
}

/// Begins a change; others that are under way are waited for.
fn change(store: &Store) -> Result<Change, KeysFault> {
    let began = Instant::now();
    store.change_once(|| {
        std::thread::sleep(config::limits::KEYS_LOCK_PAUSE);
        began.elapsed() < config::limits::KEYS_LOCK_TIME
    })
}

fn refused(fault: KeysFault) -> ExitCode {
    let KeysFault { what, hint } = fault;
    fail(exit::IO, &format!("{what}; {hint}"))
}

/// Says what has changed, and sees to it that it takes effect, if that was asked for.
fn changed(place: &Place, after: &After, text: &str, report: &Value) -> ExitCode {
    if after.reload && after.json {
        // One document for programs; the key is in it whatever becomes of the reload.
        let (reload, told) = control::reload_in_json(place.gateway());
        let mut report = report.clone();
        report["reload"] = reload;
        let said = say(&format!("{report:#}\n"));
        return if said == ExitCode::SUCCESS { told } else { said };
    }
    let said = if after.json { say(&format!("{report:#}\n")) } else { say(text) };
    if after.reload {
        let told = control::reload(place.gateway(), false);
        return if said == ExitCode::SUCCESS { told } else { said };
    }
    if !after.json {
        complain(&place.gateway().pasteable("It takes effect with `tollgate reload`; --reload does that at once.\n"));
    }
    said
}

fn create(place: &Place, mut new: NewKey, value_from: Option<PathBuf>, after: &After) -> Result<ExitCode, ExitCode> {
    if new.name.len() > config::limits::KEY_NAME_CHARS_MAX || new.description.len() > config::limits::KEY_NAME_CHARS_MAX
    {
        return Err(fail(exit::USAGE, "a name or a description has 1,024 bytes at most"));
    }
    if let Some(file) = value_from {
        let text = String::from_utf8(read(&file)?).map_err(|_| fail(exit::USAGE, "the value is not UTF-8"))?;
        new.value = Some(text.trim_end().to_owned());
    }
    let unknown = unknown_plans(place, &new.plans);
    let mut change = change(&place.store_or_new()?).map_err(refused)?;
    let (key, value) = change.create(new, usage::now()).map_err(refused)?;
    change.commit().map_err(refused)?;
    let Stored { id, name, plans, .. } = &key;
    let mut text = format!("key {id} ({name}) is made. Its value is told this once:\n{value}\n");
    if plans.is_empty() {
        text.push_str("It is in no usage plan, and opens nothing before it is in one.\n");
    }
    for what in &unknown {
        complain(&format!("warning: {what}\n"));
    }
    let mut report = described(&key);
    report["value"] = json!(value);
    report["warnings"] = json!(unknown);
    Ok(changed(place, after, &text, &report))
}

/// What is to be said of plans that the document does not have; nothing where no document is known.
fn unknown_plans<'a>(place: &Place, plans: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut plans = plans.into_iter().peekable();
    let known = plans.peek().and_then(|_| place.plans());
    let Some(known) = known else { return Vec::new() };
    plans.filter(|plan| !known.contains(plan)).map(|plan| no_plan(plan)).collect()
}

fn no_plan(plan: &str) -> String {
    format!("the document has no usage plan `{}`: the key opens nothing by it", plan.escape_debug())
}

fn described(key: &Stored) -> Value {
    let Stored { id, name, description, digest: _, prefix, enabled, plans, created, updated, sealed } = key;
    json!({
        "id": id,
        "name": name,
        "description": description,
        "prefix": prefix,
        "enabled": enabled,
        "plans": plans,
        "created": created,
        "updated": updated,
        "keepsValue": sealed.is_some(),
    })
}

fn all(place: &Place) -> Result<(Store, Vec<Stored>), ExitCode> {
    let store = place.store()?;
    let mut keys = Vec::new();
    store.each(|record: Record<'_>| keys.push(Stored::from(record))).map_err(refused)?;
    Ok((store, keys))
}

fn list(place: &Place, plan: Option<&str>, as_json: bool) -> Result<ExitCode, ExitCode> {
    let (_, mut keys) = all(place)?;
    keys.retain(|key| plan.is_none_or(|plan| key.plans.iter().any(|known| known == plan)));
    if as_json {
        let keys: Vec<Value> = keys.iter().map(described).collect();
        return Ok(say(&format!("{:#}\n", json!({ "keys": keys }))));
    }
    let mut text = format!("{:<12} {:<9} {:<10} {:<24} {}\n", "ID", "VALUE", "ENABLED", "PLANS", "NAME");
    for Stored { id, name, prefix, enabled, plans, .. } in &keys {
        let enabled = if *enabled { "yes" } else { "no" };
        let plans = if plans.is_empty() { "-".to_owned() } else { plans.join(",") };
        let _ =
            writeln!(text, "{id:<12} {:<9} {enabled:<10} {plans:<24} {}", format!("{prefix}…"), name.escape_debug());
    }
    let _ = writeln!(text, "{}", count(keys.len(), "key"));
    Ok(say(&text))
}

fn show(place: &Place, name: &str, with_value: bool, as_json: bool) -> Result<ExitCode, ExitCode> {
    let (store, keys) = all(place)?;
    let by_id = keys.iter().find(|key| key.id == name);
    let mut named = keys.iter().filter(|key| key.name == name);
    let key = match (by_id, named.next(), named.next()) {
        (Some(key), _, _) | (None, Some(key), None) => key,
        (None, None, _) => {
            return Err(fail(exit::CONFIG, &format!("there is no key `{name}`; `tollgate keys list` lists them")));
        }
        (None, Some(one), Some(other)) => {
            let what =
                format!("several keys have the name `{name}`; say which one by its id: {}, {} …", one.id, other.id);
            return Err(fail(exit::CONFIG, &what));
        }
    };
    let mut report = described(key);
    if with_value {
        let sealer = store.sealer().map_err(refused)?;
        let value = key.sealed.as_deref().and_then(|sealed| sealer?.open(&key.id, sealed));
        let Some(value) = value else {
            let what =
                format!("the value of key {} was not kept; only its first letters are known: {}…", key.id, key.prefix);
            return Err(fail(exit::CONFIG, &what));
        };
        report["value"] = json!(value);
    }
    if as_json {
        return Ok(say(&format!("{report:#}\n")));
    }
    let mut text = String::new();
    for (field, value) in report.as_object().into_iter().flatten() {
        let value = match (&**field, value) {
            ("created" | "updated", value) => day_text(policy::quota::day_of(value.as_u64().unwrap_or_default())),
            (_, Value::String(text)) => text.escape_debug().to_string(),
            (_, Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            (_, other) => other.to_string(),
        };
        let _ = writeln!(text, "{field:<12} {value}");
    }
    Ok(say(&text))
}

fn edit(place: &Place, name: &str, after: &After, enabled: bool) -> Result<ExitCode, ExitCode> {
    let mut change = change(&place.store()?).map_err(refused)?;
    let at = change.find(name).map_err(|fault| fail(exit::CONFIG, &format!("{}; {}", fault.what, fault.hint)))?;
    change.edit(at, usage::now(), |key| key.enabled = enabled);
    let key = change.keys()[at].clone();
    change.commit().map_err(refused)?;
    let text =
        format!("key {} ({}) is {}\n", key.id, key.name.escape_debug(), if enabled { "enabled" } else { "disabled" });
    Ok(changed(place, after, &text, &described(&key)))
}

fn delete(place: &Place, name: &str, after: &After) -> Result<ExitCode, ExitCode> {
    let mut change = change(&place.store()?).map_err(refused)?;
    let at = change.find(name).map_err(|fault| fail(exit::CONFIG, &format!("{}; {}", fault.what, fault.hint)))?;
    let key = change.delete(at);
    change.commit().map_err(refused)?;
    let text = format!("key {} ({}) is gone\n", key.id, key.name.escape_debug());
    Ok(changed(place, after, &text, &described(&key)))
}

fn read(file: &std::path::Path) -> Result<Vec<u8>, ExitCode> {
    let mut bytes = Vec::new();
    let most = config::limits::KEYS_FILE_BYTES_MAX;
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| fail(exit::NO_INPUT, &format!("{}: {error}", file.display())))?;
    Ok(bytes)
}

/// Lines of an import that are complained about one by one.
const COMPLAINTS_MAX: usize = 20;

/// What became of the lines of an import.
#[derive(Default)]
struct Sums {
    new: u64,
    changed: u64,
    same: u64,
    /// Lines that cannot be keys.
    left_out: u64,
    /// What is wrong or odd.
    bad: Vec<String>,
    more: u64,
}

impl Sums {
    fn complain(&mut self, line: u64, what: &str) {
        if self.bad.len() < COMPLAINTS_MAX {
            self.bad.push(format!("{line}: {what}"));
        } else {
            self.more += 1;
        }
    }
}

fn import(
    place: &Place,
    file: &std::path::Path,
    (keep_value, fail_on_warnings): (bool, bool),
    after: &After,
) -> Result<ExitCode, ExitCode> {
    let bytes = read(file)?;
    let mut change = change(&place.store_or_new()?).map_err(refused)?;
    let sums = take(&mut change, &bytes, keep_value, place.plans().as_deref())
        .map_err(|what| fail(exit::CONFIG, &format!("{}: {what}", file.display())))?;
    let Sums { new, changed: altered, same, left_out: wrong, bad, more } = &sums;
    let wrong = *wrong;
    for line in bad {
        complain(&format!("{}:{line}\n", file.display()));
    }
    if *more > 0 {
        complain(&format!("… and {more} more\n"));
    }
    if fail_on_warnings && !bad.is_empty() {
        return Err(fail(exit::CONFIG, "nothing was changed (--fail-on-warnings)"));
    }
    change.commit().map_err(refused)?;
    let mut text = format!("{new} new, {altered} changed, {same} as they were");
    if wrong > 0 {
        let _ = write!(text, ", {wrong} left out");
    }
    text.push('\n');
    let report = json!({ "new": new, "changed": altered, "same": same, "leftOut": wrong, "warnings": bad });
    Ok(changed(place, after, &text, &report))
}

fn take(change: &mut Change, bytes: &[u8], keep_value: bool, plans: Option<&[String]>) -> Result<Sums, String> {
    let total = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
    let bar = if io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% of {len} keys, {eta} left") {
        bar.set_style(style);
    }
    let (mut sums, now, mut lines) = (Sums::default(), usage::now(), 0_u64);
    csv::read(bytes, |row| {
        let taken = row.and_then(|row| {
            let line = row.line;
            if let Some(what) = row.oddity() {
                sums.complain(line, what);
            }
            let unknown =
                |plan: &&Cow<'_, str>| plans.is_some_and(|plans| !plans.iter().any(|known| known == &***plan));
            for plan in row.plans.iter().filter(unknown) {
                sums.complain(line, &no_plan(plan));
            }
            change.import(&row, keep_value, now).map_err(|fault| BadRow { line, what: fault.what })
        });
        match taken {
            Ok(Imported::New) => sums.new += 1,
            Ok(Imported::Changed) => sums.changed += 1,
            Ok(Imported::Same) => sums.same += 1,
            Err(BadRow { line, what }) => {
                sums.left_out += 1;
                sums.complain(line, &what);
            }
        }
        lines += 1;
        if lines.is_multiple_of(4_096) {
            bar.set_position(lines);
        }
    })?;
    bar.finish_and_clear();
    Ok(sums)
}

fn export(place: &Place, values: bool) -> Result<ExitCode, ExitCode> {
    let (store, keys) = all(place)?;
    let sealer = if values { store.sealer().map_err(refused)? } else { None };
    let open = |key: &Stored| sealer.as_ref()?.open(&key.id, key.sealed.as_deref()?);
    Ok(say(&csv::write(keys.iter().map(|key| (key, open(key))))))
}
