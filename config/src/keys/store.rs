//! The keys of a state directory, and how they change.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use policy::api_key::{BadValue, Digest, Hasher, check_value};
use rustix::fs::{FlockOperation, flock};

use super::csv::is_id;
use super::file::{self, Record, Writer};
use super::random;
use super::seal::Sealer;
use crate::limits;

const STORE: &str = "store";
const LOCK: &str = ".lock";
const SECRET: &str = "secret";
const SEAL: &str = "seal";
const UNFINISHED: &str = ".tmp";

/// Why keys cannot be read or changed, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysFault {
    /// One sentence without a full stop.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl KeysFault {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }

    fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "do it as the user that runs the gateway, or as root",
            io::ErrorKind::StorageFull => "make room on the disk; nothing has changed",
            _ => "the system could not do it; nothing has changed",
        };
        Self::new(format!("{} cannot be {what}: {error}", path.display()), hint)
    }
}

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Ten letters and digits, or what an import said.
    pub id: String,
    /// For people; need not be its alone.
    pub name: String,
    /// For people.
    pub description: String,
    /// Of its value.
    pub digest: Digest,
    /// The first letters of its value.
    pub prefix: String,
    /// Whether it opens anything.
    pub enabled: bool,
    /// The plans that it is in.
    pub plans: Vec<String>,
    /// In seconds since 1970.
    pub created: u64,
    /// When it changed last, likewise.
    pub updated: u64,
    /// The value itself, encrypted.
    pub sealed: Option<Vec<u8>>,
}

/// A key to be made.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// `None`: one is drawn.
    pub value: Option<String>,
    /// For people.
    pub description: String,
    /// Whether it opens anything.
    pub enabled: bool,
    /// The plans that it is in.
    pub plans: Vec<String>,
    /// Whether the value is kept, sealed, to be shown again.
    pub keep_value: bool,
}

/// A line of an import.
pub type ImportRow<'a> = super::csv::Row<'a>;

/// What an import does with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// A key that was not there.
    New,
    /// A key with the same value, or named by its id: it is as the file says now (KP-02).
    Changed,
    /// It was so already.
    Same,
}

/// The keys of a state directory.
#[derive(Debug, Clone)]
pub struct Store {
    state: PathBuf,
    folder: PathBuf,
}

impl Store {
    /// The keys below a state directory, which need not exist yet. Nothing is read or written.
    pub fn at(state: &Path) -> Self {
        Self { state: state.to_owned(), folder: state.join("keys") }
    }

    /// The file that has them all.
    pub fn path(&self) -> PathBuf {
        self.folder.join(STORE)
    }

    /// The secret that digests are made with; `None`: there is no store.
    ///
    /// # Errors
    /// It cannot be read, is no secret, or is gone though there is a store.
    pub fn secret(&self) -> Result<Option<[u8; 32]>, KeysFault> {
        match self.read_secret(SECRET)? {
            None if self.path().exists() => {
                let what = format!("{} is gone", self.folder.join(SECRET).display());
                let hint = "put it back from a backup: without it no key of the store opens anything";
                Err(KeysFault::new(what, hint))
            }
            secret => Ok(secret),
        }
    }

    fn read_secret(&self, name: &str) -> Result<Option<[u8; 32]>, KeysFault> {
        let path = self.folder.join(name);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(33).read_to_end(&mut bytes)) {
            Ok(_) => match <[u8; 32]>::try_from(bytes) {
                Ok(secret) => Ok(Some(secret)),
                Err(_) => Err(KeysFault::new(
                    format!("{} is no secret of 32 bytes", path.display()),
                    "put the file back from a backup: keys that were made with another secret open nothing",
                )),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeysFault::io("read", &path, &error)),
        }
    }

    /// The bytes of the file; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read, or is too long.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, KeysFault> {
        let path = self.path();
        let mut bytes = Vec::new();
        let most = limits::KEYS_FILE_BYTES_MAX;
        match File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)) {
            Ok(length) if length as u64 > most => {
                Err(KeysFault::new(format!("{} has more than {most} bytes", path.display()), "it is no store of keys"))
            }
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeysFault::io("read", &path, &error)),
        }
    }

    /// Tells of all keys in the order in which they came.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn each(&self, mut each: impl FnMut(Record<'_>)) -> Result<(), KeysFault> {
        let Some(bytes) = self.bytes()? else { return Ok(()) };
        file::read(&bytes, &mut each).map_err(|why| self.damaged(&why))
    }

    /// What a damaged file means.
    pub fn damaged(&self, why: &str) -> KeysFault {
        let hint = "put the file back from a backup, or `tollgate keys import` what was exported";
        KeysFault::new(format!("{}: {why}", self.path().display()), hint)
    }

    /// Opens values that are kept.
    ///
    /// # Errors
    /// The secret cannot be read.
    pub fn sealer(&self) -> Result<Option<Sealer>, KeysFault> {
        Ok(self.read_secret(SEAL)?.map(|secret| Sealer::new(&secret)))
    }

    /// Begins a change: nobody else can until it is dropped. Folder and secrets are made if need be.
    ///
    /// # Errors
    /// Somebody else changes the keys, and does not come to an end; or they cannot be read.
    pub fn change(&self) -> Result<Change, KeysFault> {
        self.change_once(|| false)
    }

    /// The same for somebody who waits: while somebody else changes the keys, `again` waits a little and says whether to try once more.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub fn change_once(&self, again: impl FnMut() -> bool) -> Result<Change, KeysFault> {
        make_folder(&self.folder).map_err(|error| KeysFault::io("made", &self.folder, &error))?;
        self.own(&self.folder);
        let path = self.folder.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(|error| KeysFault::io("opened", &path, &error))?;
        self.own(&path);
        wait_for(&lock, again).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => KeysFault::new("somebody else changes the keys just now", "try it again"),
            error => KeysFault::io("locked", &path, &error.into()),
        })?;
        self.clean();
        let hasher = Hasher::new(&self.secret_or_new(SECRET)?);
        let mut change = Change {
            store: self.clone(),
            _lock: lock,
            hasher,
            sealer: None,
            keys: Vec::new(),
            by_digest: HashMap::new(),
            by_id: HashMap::new(),
        };
        let mut keys = Vec::new();
        self.each(|record| keys.push(Stored::from(record)))?;
        for key in keys {
            change.push(key);
        }
        Ok(change)
    }

    /// What a crash left behind.
    fn clean(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let left = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(UNFINISHED));
        for entry in left {
            let _ = fs::remove_file(entry.path());
        }
    }

    fn secret_or_new(&self, name: &str) -> Result<[u8; 32], KeysFault> {
        let known = if name == SECRET { self.secret()? } else { self.read_secret(name)? };
        if let Some(secret) = known {
            return Ok(secret);
        }
        let secret = random::secret();
        self.replace(name, &secret)?;
        Ok(secret)
    }

    /// Writes a file anew: it is on the disk before it has its name, and its name is when this returns.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), KeysFault> {
        let unfinished = self.folder.join(format!("{name}{UNFINISHED}"));
        let path = self.folder.join(name);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            self.own(&unfinished);
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            KeysFault::io("written", &path, &error)
        })
    }

    /// What root makes belongs to whom the state directory belongs to: the gateway must be able to read it.
    fn own(&self, path: &Path) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        if let Ok(state) = fs::metadata(&self.state) {
            let _ = std::os::unix::fs::chown(path, Some(state.uid()), Some(state.gid()));
        }
    }
}

/// Takes a lock, or gives up: whoever has it may never come to an end.
fn wait_for(lock: &File, mut again: impl FnMut() -> bool) -> rustix::io::Result<()> {
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if again() => {}
            locked => return locked,
        }
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// The keys while they change. What is not committed has never been.
pub struct Change {
    store: Store,
    _lock: File,
    hasher: Hasher,
    sealer: Option<Sealer>,
    keys: Vec<Stored>,
    by_digest: HashMap<Digest, usize>,
    by_id: HashMap<String, usize>,
}

/// Letters of a value by which people know it again: of 20 that a value has at least, these may be known.
const PREFIX: usize = 4;

impl Change {
    /// All keys.
    pub fn keys(&self) -> &[Stored] {
        &self.keys
    }

    fn push(&mut self, key: Stored) {
        let at = self.keys.len();
        self.by_digest.insert(key.digest, at);
        self.by_id.insert(key.id.clone(), at);
        self.keys.push(key);
    }

    /// The key of an id, or of a name that is one key's alone.
    ///
    /// # Errors
    /// There is none, or the name is that of several.
    pub fn find(&self, name: &str) -> Result<usize, KeysFault> {
        if let Some(at) = self.by_id.get(name) {
            return Ok(*at);
        }
        let mut named = self.keys.iter().enumerate().filter(|(_, key)| key.name == name);
        match (named.next(), named.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(KeysFault::new(format!("there is no key `{name}`"), "`tollgate keys list` lists them")),
            (Some((_, one)), Some((_, other))) => Err(KeysFault::new(
                format!("several keys have the name `{name}`"),
                format!("say which one by its id: {}, {} …", one.id, other.id),
            )),
        }
    }

    /// Makes a key; its value is told this once.
    ///
    /// # Errors
    /// The value cannot be one, or is another key's.
    pub fn create(&mut self, new: NewKey, now: u64) -> Result<(Stored, String), KeysFault> {
        let NewKey { name, value, description, enabled, plans, keep_value } = new;
        let value = value.unwrap_or_else(random::value);
        check_value(value.as_bytes()).map_err(bad_value)?;
        let digest = self.hasher.digest(value.as_bytes());
        if let Some(known) = self.by_digest.get(&digest) {
            let what = format!("key `{}` has this value already", self.keys[*known].id);
            return Err(KeysFault::new(what, "the value of a key is its alone: leave it out, and one is drawn"));
        }
        let id = self.new_id();
        let sealed = if keep_value { Some(self.seal(&id, &value)?) } else { None };
        let prefix = value[..PREFIX].to_owned();
        let key = Stored { id, name, description, digest, prefix, enabled, plans, created: now, updated: now, sealed };
        self.push(key.clone());
        Ok((key, value))
    }

    fn new_id(&self) -> String {
        loop {
            let id = random::id();
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    fn seal(&mut self, id: &str, value: &str) -> Result<Vec<u8>, KeysFault> {
        if self.sealer.is_none() {
            self.sealer = Some(Sealer::new(&self.store.secret_or_new(SEAL)?));
        }
        let sealer = self.sealer.as_ref().expect("it was just made");
        Ok(sealer.seal(id, value))
    }

    /// Takes a line of a file: a new key, or one that is known by its value or its id (KP-02).
    ///
    /// # Errors
    /// The line cannot be a key, and why; the value is not quoted.
    pub fn import(&mut self, row: &ImportRow<'_>, keep_value: bool, now: u64) -> Result<Imported, KeysFault> {
        let known = self.known(row)?;
        let plans: Vec<String> = row.plans.iter().map(ToString::to_string).collect();
        let Some(at) = known else {
            let id = if row.id.is_empty() { self.new_id() } else { row.id.to_string() };
            let digest = self.hasher.digest(row.value.as_bytes());
            let sealed = if keep_value { Some(self.seal(&id, &row.value)?) } else { None };
            let (name, description) = (row.name.to_string(), row.description.to_string());
            let prefix = row.value[..PREFIX].to_owned();
            let enabled = row.enabled;
            self.push(Stored {
                id,
                name,
                description,
                digest,
                prefix,
                enabled,
                plans,
                created: now,
                updated: now,
                sealed,
            });
            return Ok(Imported::New);
        };
        let mut key = self.keys[at].clone();
        if !row.value.is_empty() {
            let digest = self.hasher.digest(row.value.as_bytes());
            if digest != key.digest {
                self.by_digest.remove(&key.digest);
                self.by_digest.insert(digest, at);
                (key.digest, key.sealed) = (digest, None);
                row.value[..PREFIX].clone_into(&mut key.prefix);
            }
            if keep_value && key.sealed.is_none() {
                key.sealed = Some(self.seal(&key.id, &row.value)?);
            }
        }
        if !row.name.is_empty() {
            key.name = row.name.to_string();
        }
        key.description = row.description.to_string();
        (key.enabled, key.plans) = (row.enabled, plans);
        if key == self.keys[at] {
            return Ok(Imported::Same);
        }
        key.updated = now;
        self.keys[at] = key;
        Ok(Imported::Changed)
    }

    /// The key that a line means, if it is known.
    fn known(&self, row: &ImportRow<'_>) -> Result<Option<usize>, KeysFault> {
        let by_id = if row.id.is_empty() { None } else { self.by_id.get(&*row.id).copied() };
        if row.value.is_empty() {
            let hint = "a line without a value changes a key that is known by its id";
            return by_id.map(Some).ok_or_else(|| KeysFault::new("it has no key", hint));
        }
        check_value(row.value.as_bytes()).map_err(bad_value)?;
        if !row.id.is_empty() && !is_id(&row.id) {
            let hint = "at most 64 letters, digits, `.`, `_` and `-`";
            return Err(KeysFault::new(format!("`{}` cannot be the id of a key", row.id), hint));
        }
        let by_value = self.by_digest.get(&self.hasher.digest(row.value.as_bytes())).copied();
        match (by_id, by_value) {
            (Some(one), Some(other)) if one != other => {
                let what =
                    format!("it has the id of key `{}` and the value of `{}`", self.keys[one].id, self.keys[other].id);
                Err(KeysFault::new(what, "the value of a key is its alone"))
            }
            (by_id, by_value) => Ok(by_id.or(by_value)),
        }
    }

    /// Changes a key.
    pub fn edit(&mut self, at: usize, now: u64, edit: impl FnOnce(&mut Stored)) {
        let before = self.keys[at].clone();
        edit(&mut self.keys[at]);
        let key = &mut self.keys[at];
        // What tells a key from others is not for editing.
        (key.id, key.digest) = (before.id.clone(), before.digest);
        if *key != before {
            key.updated = now;
        }
    }

    /// Removes a key.
    pub fn delete(&mut self, at: usize) -> Stored {
        let gone = self.keys.remove(at);
        // Those behind it have moved.
        (self.by_digest, self.by_id) = (HashMap::new(), HashMap::new());
        for key in std::mem::take(&mut self.keys) {
            self.push(key);
        }
        gone
    }

    /// Writes all of it. When this returns, the disk has it.
    ///
    /// # Errors
    /// It cannot be written; then nothing has changed.
    pub fn commit(self) -> Result<(), KeysFault> {
        let mut writer = Writer::new();
        for key in &self.keys {
            writer.push(&key.record());
        }
        let bytes = writer.finish();
        if bytes.len() as u64 > limits::KEYS_FILE_BYTES_MAX {
            return Err(KeysFault::new("these are too many keys for one store", "nothing has changed"));
        }
        self.store.replace(STORE, &bytes)
    }
}

fn bad_value(bad: BadValue) -> KeysFault {
    KeysFault::new(bad.message(), "20 to 128 letters, digits and signs, as in API Gateway (KP-01)")
}

impl Stored {
    fn record(&self) -> Record<'_> {
        let Self { id, name, description, digest, prefix, enabled, plans, created, updated, sealed } = self;
        Record {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
            description: Cow::Borrowed(description),
            digest: *digest,
            prefix: Cow::Borrowed(prefix),
            enabled: *enabled,
            plans: plans.iter().map(String::as_str).collect(),
            created: *created,
            updated: *updated,
            sealed: sealed.as_deref(),
        }
    }
}

impl From<Record<'_>> for Stored {
    fn from(record: Record<'_>) -> Self {
        let Record { id, name, description, digest, prefix, enabled, plans, created, updated, sealed } = record;
        Self {
            id: id.into(),
            name: name.into(),
            description: description.into(),
            digest,
            prefix: prefix.into(),
            enabled,
            plans: plans.into_iter().map(str::to_owned).collect(),
            created,
            updated,
            sealed: sealed.map(<[u8]>::to_vec),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::keys::csv;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tollgate-keys-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("the folder for temporary files is writable");
            Self(path)
        }

        fn store(&self) -> Store {
            Store::at(&self.0)
        }

        fn stored(&self) -> Vec<Stored> {
            let mut found = Vec::new();
            self.store().each(|record| found.push(record.into())).expect("a good store");
            found
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn new(name: &str, value: Option<&str>) -> NewKey {
        let value = value.map(str::to_owned);
        NewKey { name: name.into(), value, enabled: true, plans: vec!["basic".into()], ..NewKey::default() }
    }

    const VALUE: &str = "0123456789abcdefghij-one";

    #[test]
    fn a_key_is_told_once_and_kept_as_a_digest() {
        let folder = Folder::new("create");
        let mut change = folder.store().change().expect("an empty folder");
        let (key, value) = change.create(new("Acme", None), 7).expect("a new key");
        assert_eq!((value.len(), key.id.len(), &*key.prefix), (40, 10, &value[..4]));
        assert_eq!(
            change.create(new("again", Some(&value)), 8).unwrap_err().what,
            format!("key `{}` has this value already", key.id)
        );
        assert!(change.create(new("short", Some("short")), 8).unwrap_err().what.contains("at least 20"));
        change.commit().expect("a writable folder");
        assert_eq!(folder.stored(), [key]);
        let bytes = folder.store().bytes().unwrap().unwrap();
        assert!(!bytes.windows(value.len()).any(|window| window == value.as_bytes()), "the value is nowhere");
        for name in [STORE, SECRET, LOCK] {
            let mode = fs::metadata(folder.0.join("keys").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::metadata(folder.0.join("keys")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_is_not_committed_has_never_been() {
        let folder = Folder::new("commit");
        let mut change = folder.store().change().unwrap();
        change.create(new("Acme", None), 7).unwrap();
        let hasty = folder.store().change();
        assert_eq!(hasty.err().unwrap().what, "somebody else changes the keys just now");
        drop(change);
        assert_eq!(folder.stored(), []);
        // A crash between writing and renaming.
        fs::write(folder.0.join("keys/store.tmp"), b"half a fi").unwrap();
        folder.store().change().unwrap().commit().unwrap();
        assert!(!folder.0.join("keys/store.tmp").exists());
        assert_eq!(folder.stored(), []);
    }

    /// Programs that make keys at the same time wait for one another: none of the keys is lost.
    #[test]
    fn changes_at_the_same_time_wait_for_one_another() {
        let folder = Folder::new("queue");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let folder = &folder;
                scope.spawn(move || {
                    let again = || {
                        std::thread::yield_now();
                        true
                    };
                    let mut change = folder.store().change_once(again).expect("the others are quick");
                    change.create(new(&number.to_string(), None), 1).expect("a new key");
                    change.commit().expect("a writable folder");
                });
            }
        });
        assert_eq!(folder.stored().len(), 8);
    }

    #[test]
    fn kept_values_open_again() {
        let folder = Folder::new("keep");
        let mut change = folder.store().change().unwrap();
        let (key, value) = change.create(NewKey { keep_value: true, ..new("Acme", None) }, 7).unwrap();
        change.commit().unwrap();
        let [stored] = &folder.stored()[..] else { panic!("one key") };
        let sealer = folder.store().sealer().unwrap().expect("something is sealed");
        assert_eq!(sealer.open(&key.id, stored.sealed.as_deref().unwrap()), Some(value));
    }

    /// Row KP-02: the same value means the same key.
    #[test]
    fn an_import_changes_what_it_knows() {
        let folder = Folder::new("import");
        let import = |text: &str| {
            let mut change = folder.store().change().unwrap();
            let mut said = Vec::new();
            csv::read(text.as_bytes(), |row| {
                said.push(match change.import(&row.expect("a good line"), false, 9) {
                    Ok(done) => format!("{done:?}"),
                    Err(fault) => fault.what,
                });
            })
            .expect("a good file");
            change.commit().unwrap();
            said
        };
        let text = format!("Name,Key,UsagePlanIds\nA,{VALUE},basic\nB,{VALUE}-2,\"basic,gold\"\nC,short,\nD,,\n");
        assert_eq!(import(&text), ["New", "New", "API Key value should be at least 20 characters", "it has no key"]);
        let [a, b] = &folder.stored()[..] else { panic!("two keys") };
        assert_eq!((&*a.name, &*b.name, b.plans.len()), ("A", "B", 2));
        let text = format!(
            "Name,Key,UsagePlanIds,Id,Enabled\nA2,{VALUE},basic,,true\nB,{VALUE}-2,\"basic,gold\",{},true\nB,,,{},false\nX,{VALUE},,{},true\n",
            b.id, b.id, b.id
        );
        let both = format!("it has the id of key `{}` and the value of `{}`", b.id, a.id);
        assert_eq!(import(&text), ["Changed", "Same", "Changed", &both]);
        let [a, b] = &folder.stored()[..] else { panic!("two keys") };
        assert_eq!((&*a.name, b.enabled, b.plans.len(), b.updated), ("A2", false, 0, 9));
    }

    #[test]
    fn keys_are_found_changed_and_deleted() {
        let folder = Folder::new("edit");
        let mut change = folder.store().change().unwrap();
        for name in ["one", "two", "two", "three"] {
            change.create(new(name, None), 1).unwrap();
        }
        let at = change.find("one").unwrap();
        assert!(change.find("two").unwrap_err().what.contains("several"));
        assert!(change.find("four").unwrap_err().what.contains("no key"));
        change.edit(at, 5, |key| key.enabled = false);
        let id = change.keys()[1].id.clone();
        assert_eq!(change.delete(1).id, id);
        assert_eq!(change.find("two"), Ok(1), "the other one has moved, and is alone now");
        assert_eq!(change.find(&id).ok(), None);
        change.commit().unwrap();
        let stored = folder.stored();
        assert_eq!((stored.len(), stored[0].enabled, stored[0].updated, stored[1].updated), (3, false, 5, 1));
    }

    #[test]
    fn a_lost_secret_or_a_damaged_store_is_said() {
        let folder = Folder::new("damage");
        let mut change = folder.store().change().unwrap();
        change.create(new("one", None), 1).unwrap();
        change.commit().unwrap();
        let secret = folder.0.join("keys/secret");
        let bytes = fs::read(&secret).unwrap();
        fs::remove_file(&secret).unwrap();
        assert!(folder.store().change().err().unwrap().what.contains("is gone"));
        assert!(folder.store().secret().unwrap_err().what.contains("is gone"), "whoever loads keys is told as well");
        fs::write(&secret, b"short").unwrap();
        assert!(folder.store().secret().unwrap_err().what.contains("32 bytes"));
        fs::write(&secret, bytes).unwrap();
        fs::write(folder.0.join("keys/store"), b"TOLLKEYS and nothing else").unwrap();
        assert!(folder.store().change().err().unwrap().what.contains("ends too early"));
    }
}
