//! From wherever keys are kept to the table that serves. No key that is at fault keeps the others from serving.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use policy::api_key::{BadValue, Builder, Full, Hasher, Keys, check_value};

use super::csv::{self, BadRow, Row, is_id};
use super::file;
use super::random;
use super::store::{KeysFault, Store};
use crate::deployments::state_folder;
use crate::diagnostic::{Diagnostics, Place};
use crate::input::{Input, bytes_of};
use crate::limits;
use crate::snapshot::{KeySources, NamedKey, Plan, Snapshot};
use crate::source::{file as source_file, secret};

/// Reads the keys that a snapshot names. `places`: where each of them, then each of the files, stands; none in a compiled file, whose faults
/// are those of `whole`.
pub fn load(snapshot: &mut Snapshot, places: &[Place], whole: Place, faults: &mut Diagnostics) {
    let state = state_folder(snapshot.gateway.state.as_deref());
    let keys = table((&snapshot.keys_from, &snapshot.plans), state.as_deref(), (places, whole), faults);
    snapshot.keys = Arc::new(keys);
}

fn table(
    (sources, plans): (&KeySources, &[Plan]),
    state: Option<&Path>,
    (places, whole): (&[Place], Place),
    faults: &mut Diagnostics,
) -> Keys {
    let KeySources { named, files } = sources;
    // A key of no plan opens nothing (KP-04).
    if plans.is_empty() && named.is_empty() && files.is_empty() {
        return Keys::default();
    }
    let store = state.map(Store::at);
    let hasher = Hasher::new(&store.as_ref().and_then(|store| secret_of(store, whole, faults)).unwrap_or_else(passing));
    let mut loading = Loading { builder: Builder::new(hasher), plans: Plans::new(plans), ids: HashSet::new(), faults };
    let place = |at: usize| places.get(at).copied().unwrap_or(whole);
    for (at, key) in named.iter().enumerate() {
        loading.named(key, place(at));
    }
    for (at, file) in files.iter().enumerate() {
        if let Some(path) = file.path() {
            loading.file(&path, place(named.len() + at));
        } else {
            let hint = "$CREDENTIALS_DIRECTORY is not set: write LoadCredential= in the unit";
            loading.faults.error_hint(place(named.len() + at), format!("{file} is not there"), hint);
        }
    }
    if let Some(store) = store {
        loading.store(&store, whole);
    }
    loading.builder.finish()
}

/// The secret of the state directory, if it has a store.
fn secret_of(store: &Store, whole: Place, faults: &mut Diagnostics) -> Option<[u8; 32]> {
    match store.secret() {
        Ok(secret) => secret,
        Err(KeysFault { what, hint }) => {
            faults.error_hint(whole, what, hint);
            None
        }
    }
}

/// The secret of this process, where nothing is kept: values are hashed anew at each load.
fn passing() -> [u8; 32] {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    *SECRET.get_or_init(random::secret)
}

struct Loading<'a> {
    builder: Builder,
    plans: Plans<'a>,
    /// Ids that are taken, but for those of the store, which are its own matter.
    ids: HashSet<String>,
    faults: &'a mut Diagnostics,
}

impl Loading<'_> {
    fn named(&mut self, key: &NamedKey, place: Place) {
        let NamedKey { id, value, plans, enabled } = key;
        let read = secret::read(value, self.faults);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err((what, hint)) => return self.faults.error_hint(place, what, hint),
        };
        if let Err(bad) = check_value(&bytes) {
            return self.faults.error_hint(place, format!("{value}: {}", bad.message()), LENGTH);
        }
        self.ids.insert(id.to_string());
        let digest = self.builder.hasher().digest(&bytes);
        if let Err(full) = self.builder.add(digest, id, *enabled, plans) {
            self.faults.error_hint(place, too_many(full), "tell keys apart by several gateways");
        }
    }

    fn file(&mut self, path: &Path, place: Place) {
        let most = limits::KEYS_FILE_BYTES_MAX + 1;
        let bytes = match bytes_of(path, most) {
            Ok(bytes) if bytes.len() as u64 == most => {
                return self.faults.error_hint(
                    place,
                    format!("{} is too long", path.display()),
                    "it is no list of keys",
                );
            }
            Ok(bytes) => bytes,
            Err(error) => {
                self.faults.files.push(Input::missing(path));
                let hint = "check the path, which is taken from the document's folder, and who may read it";
                return self.faults.error_hint(place, format!("{} cannot be read: {error}", path.display()), hint);
            }
        };
        self.faults.files.push(Input::new(path, &bytes, most));
        // Its text is no part of the faults: it has secrets.
        let source = source_file::push(&path.display().to_string(), String::new(), self.faults).unwrap_or_default();
        let read = csv::read(&bytes, |row| {
            let row = row.and_then(|row| {
                let line = row.line;
                self.row(&row).map_err(|what| BadRow { line, what })
            });
            if let Err(BadRow { line, what }) = row {
                let place = Place { source, line: line as u32, column: 1, length: 0 };
                self.faults.warning(place, format!("this key opens nothing: {what}"), LINE);
            }
        });
        if let Err(what) = read {
            let place = Place { source, ..Place::default() };
            self.faults.error_hint(place, what, "the columns are those of API Gateway's key files (KP-02)");
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), String> {
        check_value(row.value.as_bytes()).map_err(|bad: BadValue| bad.message().to_owned())?;
        let mut numbers = Vec::new();
        let unknown = self.plans.numbers(row.plans.iter().map(|name| &**name), &mut numbers);
        let id = self.id_of(row);
        let digest = self.builder.hasher().digest(row.value.as_bytes());
        self.builder.add(digest, &id, row.enabled, &numbers).map_err(too_many)?;
        unknown.map_or(Ok(()), Err)
    }

    /// What counts are kept under: the line's id, or its name, if that can be one; a name that is taken gets a number.
    fn id_of(&mut self, row: &Row<'_>) -> String {
        let wanted = [&row.id, &row.name].into_iter().find(|text| is_id(text));
        let wanted = wanted.map_or_else(|| format!("line-{}", row.line), ToString::to_string);
        let mut id = wanted.clone();
        let mut number = 2;
        while !self.ids.insert(id.clone()) {
            let short: String = wanted.chars().take(limits::PLAN_NAME_CHARS_MAX - 12).collect();
            id = format!("{short}.{number}");
            number += 1;
        }
        id
    }

    fn store(&mut self, store: &Store, whole: Place) {
        let path = store.path();
        let bytes = match store.bytes() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.faults.files.push(Input::missing(&path)),
            Err(KeysFault { what, hint }) => return self.faults.error_hint(whole, what, hint),
        };
        self.faults.files.push(Input::new(&path, &bytes, limits::KEYS_FILE_BYTES_MAX + 1));
        let mut numbers = Vec::new();
        let (mut lost, mut full) = (0_u64, None);
        let mut first_lost = None;
        let read = file::read(&bytes, |record| {
            numbers.clear();
            if let Some(what) = self.plans.numbers(record.plans.iter().copied(), &mut numbers) {
                lost += 1;
                first_lost.get_or_insert_with(|| format!("key `{}`: {what}", record.id));
            }
            if let Err(why) = self.builder.add(record.digest, &record.id, record.enabled, &numbers) {
                full = Some(why);
            }
        });
        if let Err(why) = read {
            let KeysFault { what, hint } = store.damaged(&why);
            return self.faults.error_hint(whole, what, hint);
        }
        if let Some(why) = full {
            self.faults.error_hint(
                whole,
                format!("{}: {}", path.display(), too_many(why)),
                "tell keys apart by several gateways",
            );
        }
        if let Some(what) = first_lost {
            let others = if lost > 1 { format!(", and {} other keys likewise", lost - 1) } else { String::new() };
            self.faults.warning(whole, format!("{what}{others}"), "`tollgate keys list` shows the plans of keys");
        }
    }
}

const LENGTH: &str = "20 to 128 letters, digits and signs, as in API Gateway (KP-01)";
const LINE: &str = "the other lines are not concerned; mend this one and load again";

fn too_many(full: Full) -> String {
    match full {
        Full::Keys => format!("more than {} keys", policy::limits::KEYS_MAX),
        Full::Record => "its id or its list of plans is too long".to_owned(),
    }
}

/// Plans by name, and which of them go together.
struct Plans<'a> {
    all: &'a [Plan],
    by_name: HashMap<&'a str, u16>,
    /// Lists of plans that were looked at: two plans of one stage, if any are in it.
    clashes: HashMap<Vec<u16>, Option<String>>,
}

impl<'a> Plans<'a> {
    fn new(all: &'a [Plan]) -> Self {
        Self { all, by_name: all.iter().map(|plan| &*plan.name).zip(0..).collect(), clashes: HashMap::new() }
    }

    /// Adds the numbers of the plans of a key. What is said is at fault; the other plans count.
    fn numbers<'n>(&mut self, names: impl Iterator<Item = &'n str>, numbers: &mut Vec<u16>) -> Option<String> {
        let mut unknown = None;
        for name in names {
            match self.by_name.get(name) {
                Some(number) if !numbers.contains(number) => numbers.push(*number),
                Some(_) => {}
                None => {
                    unknown.get_or_insert_with(|| format!("there is no usage plan `{}`", name.escape_debug()));
                }
            }
        }
        if numbers.len() > 1 {
            let all = self.all;
            let clash = self.clashes.entry(numbers.clone()).or_insert_with(|| clash(all, numbers)).clone();
            unknown = unknown.or(clash);
        }
        unknown
    }
}

/// KP-05: a key is in one plan at most for each stage. Otherwise the first one counts there.
fn clash(plans: &[Plan], numbers: &[u16]) -> Option<String> {
    let mut taken: HashMap<u32, &str> = HashMap::new();
    for plan in numbers.iter().filter_map(|number| plans.get(usize::from(*number))) {
        for stage in &plan.stages {
            if let Some(first) = taken.insert(stage.stage, &plan.name) {
                return Some(format!(
                    "plans `{first}` and `{}` have a stage in common, where the first one counts",
                    plan.name
                ));
            }
        }
    }
    None
}
