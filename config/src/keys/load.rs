//! From wherever keys are kept to the table that serves. No key that is at fault keeps the others from serving.
//!
//! What a key has used is counted under its id, so that an id must stay with its customer whatever else the file says: it is the line's `Id`,
//! or its `Name` where that can be an id and is that of no other value; else it is made of the value, by its keyed digest.
//!
//! A value that stands in several places is one key. Of two lines of one file the last one counts, as in an import (KP-02); otherwise the
//! first place counts (the document, its files, the store), and the key opens nothing if any of them disables it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use policy::api_key::{Added, BadValue, Builder, Full, Hasher, Keys, Settled, check_value};

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
    let secret = store.as_ref().and_then(|store| secret_of(store, whole, faults));
    let builder = Builder::new(Hasher::new(&secret.unwrap_or_else(passing)));
    let ids = Ids::new(Hasher::new(&secret.unwrap_or(*NO_SECRET)));
    let mut loading = Loading { builder, plans: Plans::new(plans), ids, places: Vec::new(), files: 0..0, faults };
    let place = |at: usize| places.get(at).copied().unwrap_or(whole);
    for (at, key) in named.iter().enumerate() {
        loading.named(key, place(at));
    }
    let mut read = Vec::new();
    for (at, file) in files.iter().enumerate() {
        if let Some(path) = file.path() {
            read.extend(loading.read(&path, place(named.len() + at)));
        } else {
            let hint = "$CREDENTIALS_DIRECTORY is not set: write LoadCredential= in the unit";
            loading.faults.error_hint(place(named.len() + at), format!("{file} is not there"), hint);
        }
    }
    loading.rows(&read);
    if let Some(store) = &store {
        loading.store(store, whole);
    }
    loading.finish(store.as_ref())
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

/// Ids of keys are made with it where no store has a secret: they stay the same over restarts. Letters of an id then tell as much of a value
/// as a plain hash does, which for the 20 characters that it has at least is little.
const NO_SECRET: &[u8; 32] = b"ids of keys without a state dir.";

/// Which ids are one key's alone.
struct Ids {
    hasher: Hasher,
    /// Those that are written down as such, with a part of the digest of the value that has them; `None`: several have.
    said: HashMap<String, Option<u64>>,
    /// Names, likewise.
    names: HashMap<String, Option<u64>>,
}

impl Ids {
    fn new(hasher: Hasher) -> Self {
        Self { hasher, said: HashMap::new(), names: HashMap::new() }
    }

    /// What tells values apart.
    fn mark(&self, value: &[u8]) -> u64 {
        let digest = self.hasher.digest(value);
        u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }

    fn say(&mut self, id: &str, mark: u64) {
        note(&mut self.said, id, mark);
    }

    /// Before any id is asked for, every line has been noted.
    fn note(&mut self, row: &Row<'_>) {
        let mark = self.mark(row.value.as_bytes());
        if is_id(&row.id) {
            note(&mut self.said, &row.id, mark);
        } else if is_id(&row.name) {
            note(&mut self.names, &row.name, mark);
        }
    }

    /// The id of a line, and whether it is what the line says, if it says one.
    fn of(&self, row: &Row<'_>) -> (String, bool) {
        let mark = self.mark(row.value.as_bytes());
        let alone = |all: &HashMap<String, Option<u64>>, id: &str| all.get(id).is_none_or(|known| *known == Some(mark));
        if is_id(&row.id) && alone(&self.said, &row.id) {
            return (row.id.to_string(), true);
        }
        let by_name = row.id.is_empty() && is_id(&row.name);
        if by_name && alone(&self.names, &row.name) && alone(&self.said, &row.name) {
            return (row.name.to_string(), true);
        }
        (format!("csv-{mark:016x}"), row.id.is_empty())
    }
}

fn note(all: &mut HashMap<String, Option<u64>>, id: &str, mark: u64) {
    if let Some(known) = all.get_mut(id) {
        *known = known.filter(|known| *known == mark);
    } else {
        all.insert(id.to_owned(), Some(mark));
    }
}

/// The bytes of a file of keys.
struct ReadFile {
    bytes: Vec<u8>,
    source: u16,
}

struct Loading<'a> {
    builder: Builder,
    plans: Plans<'a>,
    /// Those of the document and of its files; the ids of the store are its own matter.
    ids: Ids,
    /// Where each key stands that is in the builder.
    places: Vec<Place>,
    /// Which of them are lines of files.
    files: Range<usize>,
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
        self.ids.say(id, self.ids.mark(&bytes));
        let digest = self.builder.hasher().digest(&bytes);
        match self.builder.add(digest, id, *enabled, plans) {
            Ok(()) => self.places.push(place),
            Err(full) => self.faults.error_hint(place, too_many(full), "tell keys apart by several gateways"),
        }
    }

    fn read(&mut self, path: &Path, place: Place) -> Option<ReadFile> {
        let most = limits::KEYS_FILE_BYTES_MAX + 1;
        let bytes = match bytes_of(path, most) {
            Ok(bytes) if bytes.len() as u64 == most => {
                let what = format!("{} is too long", path.display());
                self.faults.error_hint(place, what, "it is no list of keys");
                return None;
            }
            Ok(bytes) => bytes,
            Err(error) => {
                self.faults.files.push(Input::missing(path));
                let hint = "check the path, which is taken from the document's folder, and who may read it";
                self.faults.error_hint(place, format!("{} cannot be read: {error}", path.display()), hint);
                return None;
            }
        };
        self.faults.files.push(Input::new(path, &bytes, most));
        // Its text is no part of the faults: it has secrets.
        let source = source_file::push(&path.display().to_string(), String::new(), self.faults).unwrap_or_default();
        Some(ReadFile { bytes, source })
    }

    /// Takes the lines of all files.
    fn rows(&mut self, files: &[ReadFile]) {
        let begin = self.places.len();
        for file in files {
            // Whatever is at fault is told below.
            let _ = csv::read(&file.bytes, |row| {
                if let Ok(row) = row {
                    self.ids.note(&row);
                }
            });
        }
        for ReadFile { bytes, source } in files {
            let place = |line: u64| Place { source: *source, line: line as u32, column: 1, length: 0 };
            let read = csv::read(bytes, |row| {
                let row = row.and_then(|row| {
                    let line = row.line;
                    self.row(&row, place(line)).map_err(|what| BadRow { line, what })
                });
                if let Err(BadRow { line, what }) = row {
                    self.faults.warning(place(line), format!("this key opens nothing: {what}"), LINE);
                }
            });
            if let Err(what) = read {
                let place = Place { source: *source, ..Place::default() };
                self.faults.error_hint(place, what, "the columns are those of API Gateway's key files (KP-02)");
            }
        }
        self.files = begin..self.places.len();
    }

    fn row(&mut self, row: &Row<'_>, place: Place) -> Result<(), String> {
        check_value(row.value.as_bytes()).map_err(|bad: BadValue| bad.message().to_owned())?;
        let mut numbers = Vec::new();
        let odd = self.plans.numbers(row.plans.iter().map(|name| &**name), &mut numbers);
        let (id, as_said) = self.ids.of(row);
        let digest = self.builder.hasher().digest(row.value.as_bytes());
        self.builder.add(digest, &id, row.enabled, &numbers).map_err(too_many)?;
        self.places.push(place);
        if let Some(what) = odd.or_else(|| row.oddity().map(str::to_owned)) {
            self.faults.warning(place, what, LINE);
        }
        if !as_said {
            let what =
                format!("`{}` is no id of this key alone: what it uses is counted as `{id}`", row.id.escape_debug());
            self.faults.warning(place, what, "an id has at most 64 letters, digits, `.`, `_` and `-`, and one key");
        }
        Ok(())
    }

    /// The table; values that stand in several places are told.
    fn finish(self, store: Option<&Store>) -> Keys {
        let Self { builder, places, files, faults, .. } = self;
        let mut repeated = 0;
        let keys = builder.settle(|first, later| {
            let [one, other] = [&first, &later].map(|key| places.get(key.number as usize).copied().unwrap_or_default());
            let in_files = [&first, &later].iter().all(|key| files.contains(&(key.number as usize)));
            let settled = if in_files && one.source == other.source { Settled::Later } else { Settled::First };
            repeated += 1;
            if repeated <= limits::KEYS_REPEATED_TOLD_MAX {
                // Those of the store stand in no text.
                let path = store.filter(|_| later.number as usize >= places.len().min(files.end.max(files.start)));
                let within = path.map_or_else(String::new, |store| format!("{}: ", store.path().display()));
                let what = format!("{within}{}", repetition(first, later, settled, &shown(one, faults)));
                faults.warning(other, what, REPEATED);
            }
            settled
        });
        if repeated > limits::KEYS_REPEATED_TOLD_MAX {
            let more = repeated - limits::KEYS_REPEATED_TOLD_MAX;
            faults.warning(Place::default(), format!("{more} more keys have a value that is there already"), REPEATED);
        }
        keys
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
            match self.builder.add(record.digest, &record.id, record.enabled, &numbers) {
                Ok(()) => self.places.push(whole),
                Err(why) => full = Some(why),
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

fn repetition(first: Added<'_>, later: Added<'_>, settled: Settled, place: &str) -> String {
    let counts = match settled {
        Settled::Later if later.enabled => "this line counts, the last of its file",
        Settled::Later => "this line counts, the last of its file, and is disabled",
        Settled::First if first.enabled && later.enabled => "the first one counts",
        Settled::First => "one of them is disabled, so that it opens nothing",
    };
    format!("key `{}` has the value of key `{}` ({place}): {counts}", later.id, first.id)
}

fn shown(place: Place, faults: &Diagnostics) -> String {
    let name = faults.sources.get(usize::from(place.source)).map_or("the document", |source| &*source.name);
    if place.line == 0 { name.to_owned() } else { format!("{name}:{}", place.line) }
}

const REPEATED: &str = "the value of a key is its alone: remove it from one of the places";
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
