//! The state directory: frozen definitions, and which of them each stage serves (ST-03 to ST-12).
//!
//! ```text
//! <state>/deployments/.lock            held while something changes
//! <state>/deployments/API/state.json   the deployments of an API, and what its stages serve (ApiState)
//! <state>/deployments/API/HASH.json    a frozen definition, named by the SHA-256 of its bytes
//! <state>/deployments/API/*.tmp        what a crash left behind: never read, removed by the next change
//! ```
//!
//! A file that was written never changes: a new one takes its name, after the disk has its bytes. What `state.json` names is on the
//! disk before it is. So a crash at any moment leaves the old state or the new one. Reading takes no lock.

mod disk;
mod fault;
mod frozen;
mod operations;
mod pointer;
#[cfg(test)]
mod simulated;

use std::io;
use std::path::{Path, PathBuf};

pub use self::disk::{Disk, System};
pub use self::fault::{FaultKind, NotDone, StoreFault};
pub use self::frozen::{DefinitionHash, Frozen, freeze};
use self::frozen::{Unreadable, thaw};
pub use self::operations::{CanaryWish, Declared, Forgotten, NewDeployment, deployable};
pub use self::pointer::{ApiState, CanaryPointer, CanaryState, Deployment, StagePointer, StageState};
use self::pointer::{BadPointer, is_api};
use crate::definition::Definition;
use crate::limits;

const POINTER: &str = "state.json";
const LOCK: &str = ".lock";
const UNFINISHED: &str = ".tmp";

/// The deployments in a state directory.
#[derive(Debug, Clone)]
pub struct Store<D = System> {
    folder: PathBuf,
    disk: D,
}

/// The state directory: `gateway.state`, else the one that the service manager made.
pub fn state_folder(setting: Option<&Path>) -> Option<PathBuf> {
    setting.map(Path::to_path_buf).or_else(|| {
        let folders = std::env::var_os("STATE_DIRECTORY")?;
        // There may be several, between colons.
        std::env::split_paths(&folders).next().filter(|folder| !folder.as_os_str().is_empty())
    })
}

impl Store {
    /// The deployments in a state directory, which need not exist yet. Nothing is written.
    ///
    /// # Errors
    /// Something else stands where they should be, or this user may not see them.
    pub fn open(state: &Path) -> Result<Self, StoreFault> {
        Self::on(System, state)
    }
}

impl<D: Disk> Store<D> {
    fn on(disk: D, state: &Path) -> Result<Self, StoreFault> {
        let folder = state.join("deployments");
        match disk.names(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreFault::io("read", &folder, &error)),
            _ => Ok(Self { folder, disk }),
        }
    }

    /// What is known of an API's deployments; `None`: it was never deployed.
    ///
    /// # Errors
    /// Its file cannot be read. That is no fault of other APIs.
    pub fn api(&self, api: &str) -> Result<Option<ApiState>, StoreFault> {
        Ok(self.pointer(api)?.map(|(state, _)| state))
    }

    /// What a stage serves; `None`: nothing was ever deployed there. Whoever wants several stages asks [`Store::api`] once.
    ///
    /// # Errors
    /// As [`Store::api`].
    pub fn stage(&self, api: &str, stage: &str) -> Result<Option<StageState>, StoreFault> {
        Ok(self.api(api)?.and_then(|state| state.stage(stage)))
    }

    /// A frozen definition, verified. The places in it are empty.
    ///
    /// # Errors
    /// It is not there, is not what was frozen, or is of a newer version.
    pub fn definition(&self, api: &str, hash: &DefinitionHash) -> Result<Definition, StoreFault> {
        let path = self.blob(api, hash);
        let shown = path.display();
        let hint = format!(
            "put the file back from a backup, or let the stage serve another deployment: `tollgate deployments {api}`, \
             `tollgate rollback {api} STAGE ID`"
        );
        let bytes = self.disk.read(&path, limits::DEFINITION_BYTES_MAX).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                StoreFault::new(FaultKind::Missing, &format!("the frozen definition {shown} is not there"), &hint)
            }
            _ => StoreFault::io("read", &path, &error),
        })?;
        thaw(hash, &bytes).map_err(|why| match why {
            Unreadable::Changed => StoreFault::new(
                FaultKind::Corrupt,
                &format!("the frozen definition {shown} is damaged: its SHA-256 is not its name"),
                &hint,
            ),
            Unreadable::Newer(what) => newer(&shown.to_string(), &what),
            Unreadable::Strange(what) => StoreFault::new(
                FaultKind::Corrupt,
                &format!("the frozen definition {shown} cannot be read by this version: {what}"),
                &hint,
            ),
        })
    }

    /// Begins a change of an API's deployments. Nobody else can begin one while it lives.
    ///
    /// # Errors
    /// Another process is about it; the API's file cannot be read; the state directory cannot be written.
    pub fn change(&self, api: &str) -> Result<Change<'_, D>, StoreFault> {
        let folder = self.api_folder(api)?;
        self.make_folders(&self.folder).map_err(|(path, error)| StoreFault::io("make", &path, &error))?;
        let lock = self.folder.join(LOCK);
        let held = self.disk.lock(&lock).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreFault::new(
                FaultKind::Busy,
                &format!("another process is changing the deployments in {}", self.folder.display()),
                "try again; two gateways should not share a state directory",
            ),
            _ => StoreFault::io("lock", &lock, &error),
        })?;
        let (state, before) = match self.pointer(api)? {
            Some((state, text)) => (state, Some(text)),
            None => (ApiState::new(api), None),
        };
        Ok(Change { store: self, folder, state, before, held })
    }

    fn pointer(&self, api: &str) -> Result<Option<(ApiState, Vec<u8>)>, StoreFault> {
        let path = self.api_folder(api)?.join(POINTER);
        let text = match self.disk.read(&path, limits::POINTER_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreFault::io("read", &path, &error)),
        };
        match ApiState::read(api, &text) {
            Ok(state) => Ok(Some((state, text))),
            Err(BadPointer::Newer(format)) => Err(newer(&path.display().to_string(), &format!("format {format}"))),
            Err(BadPointer::Bad(what)) => Err(StoreFault::new(
                FaultKind::Corrupt,
                &format!("{} is damaged: {what}", path.display()),
                "put it back from a backup, or move its folder away and deploy the API again",
            )),
        }
    }

    fn api_folder(&self, api: &str) -> Result<PathBuf, StoreFault> {
        if !is_api(api) {
            let what = format!("`{api}` cannot be the id of an API");
            return Err(StoreFault::new(FaultKind::Missing, &what, "name an API of the document"));
        }
        Ok(self.folder.join(api))
    }

    fn blob(&self, api: &str, hash: &DefinitionHash) -> PathBuf {
        self.folder.join(api).join(format!("{hash}.json"))
    }

    /// Makes a folder and those above it, so that the disk has all of their names.
    fn make_folders(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        if self.disk.names(folder).is_ok() {
            return Ok(());
        }
        let fault = |error| (folder.to_path_buf(), error);
        let Some(parent) = folder.parent() else { return Ok(()) };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        self.make_folders(parent)?;
        self.disk.make_folder(folder).map_err(fault)?;
        self.disk.sync_folder(parent).map_err(fault)
    }

    /// Puts bytes under a name, whole or not at all.
    fn replace(&self, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (unfinished, path) = (folder.join(format!("{name}{UNFINISHED}")), folder.join(name));
        match self.disk.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.write(&unfinished, bytes)?;
        self.disk.rename(&unfinished, &path)?;
        self.disk.sync_folder(folder)
    }

    /// Removes what nothing refers to. What cannot be removed stays: it is litter, not a fault.
    fn sweep(&self, folder: &Path, state: Option<&ApiState>) {
        let kept = state.map(ApiState::hashes).unwrap_or_default();
        for name in self.disk.names(folder).unwrap_or_default() {
            let frozen = name.strip_suffix(".json").and_then(|name| name.parse::<DefinitionHash>().ok());
            if name.ends_with(UNFINISHED) || frozen.is_some_and(|hash| !kept.contains(&hash)) {
                let _ = self.disk.remove(&folder.join(name));
            }
        }
    }
}

/// Takes the bytes for a file of the state directory, of either sort; for tests and fuzzers.
pub(crate) fn must_hold(bytes: &[u8]) {
    if let Ok(state) = ApiState::read("pets", bytes) {
        state.must_hold();
    }
    if let Ok(definition) = thaw(&DefinitionHash::of(bytes), bytes) {
        let frozen = freeze(&definition).expect("what was thawed can be frozen");
        let again = thaw(&frozen.hash, &frozen.bytes).expect("what is frozen can be thawed");
        assert_eq!(again, definition, "nothing is lost");
    }
}

fn newer(shown: &str, what: &str) -> StoreFault {
    StoreFault::new(
        FaultKind::Newer,
        &format!("{shown} was written by a newer version of Tollgate ({what})"),
        "run that version, or one after it",
    )
}

/// A change of an API's deployments that nobody sees yet: work on `state`, then [`Change::commit`].
#[derive(Debug)]
pub struct Change<'a, D: Disk = System> {
    /// What will be written.
    pub state: ApiState,
    store: &'a Store<D>,
    folder: PathBuf,
    before: Option<Vec<u8>>,
    held: D::Lock,
}

impl<'a, D: Disk> Change<'a, D> {
    /// Writes the change, with the definition that it deploys: first that, then what refers to it.
    ///
    /// # Errors
    /// Nothing has changed; or, if the fault's sentence says so, it is not known whether it has.
    pub fn commit(self, frozen: Option<&Frozen>) -> Result<Committed<'a, D>, StoreFault> {
        let Self { mut state, store, folder, before, held } = self;
        state.prune(limits::DEPLOYMENTS_KEPT);
        let text = state.to_text();
        if text.len() > limits::POINTER_BYTES_MAX {
            let what = format!("API `{}` has too many stages and deployments to be kept", state.api);
            return Err(StoreFault::new(FaultKind::Io, &what, "write shorter notes, or fewer stage variables"));
        }
        store.make_folders(&folder).map_err(|(path, error)| StoreFault::io("make", &path, &error))?;
        if let Some(Frozen { hash, bytes, methods: _ }) = frozen {
            let path = store.blob(&state.api, hash);
            let known = store.disk.read(&path, limits::DEFINITION_BYTES_MAX);
            if known.is_ok_and(|known| known == *bytes) {
                // It may be there since a crash, and not be safe yet.
                store.disk.sync_folder(&folder).map_err(|error| StoreFault::io("write", &path, &error))?;
            } else {
                let name = format!("{hash}.json");
                store.replace(&folder, &name, bytes).map_err(|error| StoreFault::io("write", &path, &error))?;
            }
        }
        if let Err(error) = store.replace(&folder, POINTER, &text) {
            let path = folder.join(POINTER);
            let mut fault = StoreFault::io("write", &path, &error);
            let committed = Committed { store, folder, state, before, _held: held };
            if store.disk.read(&path, limits::POINTER_BYTES_MAX).ok() != committed.before && committed.undo().is_err() {
                fault.what.push_str(", and it is not known which state will be there after a restart");
            }
            return Err(fault);
        }
        Ok(Committed { store, folder, state, before, _held: held })
    }
}

/// A change that is written, and can still be taken back. Nobody else changes anything while it lives.
#[derive(Debug)]
pub struct Committed<'a, D: Disk = System> {
    store: &'a Store<D>,
    folder: PathBuf,
    state: ApiState,
    before: Option<Vec<u8>>,
    _held: D::Lock,
}

impl<D: Disk> Committed<'_, D> {
    /// It stays: what nothing refers to any more is removed. The state that was written.
    pub fn keep(self) -> ApiState {
        self.store.sweep(&self.folder, Some(&self.state));
        self.state
    }

    /// Puts back the state from before.
    ///
    /// # Errors
    /// The file system says no: the change stands.
    pub fn undo(self) -> Result<(), StoreFault> {
        let Self { store, folder, state, before, _held } = self;
        let path = folder.join(POINTER);
        let fault = |error: io::Error| StoreFault::io("put back", &path, &error);
        let old = before.as_ref().and_then(|text| ApiState::read(&state.api, text).ok());
        if let Some(text) = &before {
            store.replace(&folder, POINTER, text).map_err(fault)?;
        } else {
            match store.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
                _ => store.disk.sync_folder(&folder).map_err(fault)?,
            }
        }
        store.sweep(&folder, old.as_ref());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use router::Kind;

    use super::simulated::Simulated;
    use super::*;
    use crate::definition::Method;

    const MANUAL: Declared = Declared { auto_deploy: false, canary: false };

    /// An API of so many routes.
    fn definition(routes: usize) -> Definition {
        let mut definition = Definition::new(Kind::Http);
        let method = |number| Method::new(None, (*format!("/{number}")).into(), crate::Place::default());
        definition.methods.extend((0..routes).map(method));
        definition
    }

    fn new(frozen: &Frozen) -> NewDeployment {
        NewDeployment { hash: frozen.hash, methods: frozen.methods, created: 7, note: String::new() }
    }

    /// Deploys to `prod`.
    fn deploy<D: Disk>(store: &Store<D>, api: &str, routes: usize) -> Result<ApiState, StoreFault> {
        let frozen = freeze(&definition(routes)).unwrap();
        let mut change = store.change(api)?;
        change.state.deploy("prod", MANUAL, new(&frozen)).unwrap();
        Ok(change.commit(Some(&frozen))?.keep())
    }

    /// The routes that `prod` serves, through every check of the reader.
    fn served<D: Disk>(store: &Store<D>, api: &str) -> Option<usize> {
        let stage = store.stage(api, "prod").unwrap()?;
        Some(store.definition(api, &stage.hash).unwrap().methods.len())
    }

    fn state() -> &'static Path {
        Path::new("/var/lib/tollgate")
    }

    fn simulated() -> (Simulated, Store<Simulated>) {
        let disk = Simulated::default();
        let store = Store::on(disk.clone(), state()).unwrap();
        (disk, store)
    }

    #[test]
    fn nothing_is_there_before_the_first_deployment() {
        let (disk, store) = simulated();
        assert_eq!(store.api("pets").unwrap(), None);
        assert_eq!(store.stage("pets", "prod").unwrap(), None);
        assert_eq!(disk.paths(), [""; 0]);
    }

    #[test]
    fn the_same_content_is_kept_once_and_deployed_twice() {
        let (disk, store) = simulated();
        deploy(&store, "pets", 1).unwrap();
        let api = deploy(&store, "pets", 1).unwrap();
        assert_eq!(api.deployments.len(), 2);
        assert_ne!(api.deployments[0].id, api.deployments[1].id);
        assert_eq!(api.deployments[0].hash, api.deployments[1].hash);
        let hash = api.deployments[0].hash;
        let folder = "/var/lib/tollgate/deployments/pets";
        assert_eq!(disk.paths(), [format!("{folder}/{hash}.json"), format!("{folder}/state.json")]);
    }

    /// Does something until the power goes, at each step in turn; every disk that may be left must pass.
    fn at_every_step(
        before: impl Fn(&Store<Simulated>),
        what: impl Fn(&Store<Simulated>) -> Result<(), StoreFault>,
        passes: impl Fn(&Store<Simulated>, bool),
    ) -> usize {
        let mut tried = 0;
        for steps in 1.. {
            let (disk, store) = simulated();
            before(&store);
            disk.fail_after(steps);
            let done = what(&store).is_ok();
            for found in disk.after_the_crash() {
                let store = Store::on(found.clone(), state()).unwrap();
                passes(&store, done);
                // Life goes on, and leaves no litter.
                deploy(&store, "pets", 9).unwrap();
                assert_eq!(served(&store, "pets"), Some(9));
                let kept = store.api("pets").unwrap().unwrap();
                let litter = |path: &&String| {
                    let hash = Path::new(path).file_stem().and_then(|name| name.to_str()).unwrap();
                    path.contains("/pets/")
                        && !path.ends_with(POINTER)
                        && hash.parse().map_or(true, |hash| !kept.hashes().contains(&hash))
                };
                assert_eq!(found.paths().iter().filter(litter).count(), 0, "{:?}", found.paths());
                tried += 1;
            }
            if done && !disk.is_dead() {
                println!("{steps} steps, {tried} disks");
                return tried;
            }
        }
        unreachable!("the steps come to an end")
    }

    #[test]
    fn a_crash_leaves_the_old_deployment_or_the_new_one() {
        let before = |store: &Store<Simulated>| drop(deploy(store, "pets", 1).unwrap());
        let tried = at_every_step(
            before,
            |store| deploy(store, "pets", 2).map(drop),
            |store, done| {
                let served = served(store, "pets").unwrap();
                assert!(served == 2 || served == 1 && !done, "{served} routes after {done}");
            },
        );
        assert!(tried > 20, "{tried}");
    }

    #[test]
    fn a_crash_leaves_the_first_deployment_or_none() {
        at_every_step(
            |_| {},
            |store| deploy(store, "pets", 2).map(drop),
            |store, done| {
                let served = served(store, "pets");
                assert!(served == Some(2) || served.is_none() && !done, "{served:?} routes after {done}");
            },
        );
    }

    #[test]
    fn a_crash_while_a_change_is_taken_back_leaves_one_or_the_other() {
        let undo = |store: &Store<Simulated>| {
            let frozen = freeze(&definition(2)).unwrap();
            let mut change = store.change("pets")?;
            change.state.deploy("prod", MANUAL, new(&frozen)).unwrap();
            change.commit(Some(&frozen))?.undo()
        };
        at_every_step(
            |store| drop(deploy(store, "pets", 1).unwrap()),
            undo,
            |store, done| {
                let served = served(store, "pets").unwrap();
                assert!(served == 1 || served == 2 && !done, "{served} routes after {done}");
            },
        );
        at_every_step(
            |_| {},
            undo,
            |store, done| {
                let served = served(store, "pets");
                assert!(served.is_none() || served == Some(2) && !done, "{served:?} routes after {done}");
            },
        );
    }

    #[test]
    fn a_crash_while_old_deployments_are_removed_leaves_one_or_the_other() {
        let forget = |store: &Store<Simulated>| {
            let mut change = store.change("pets")?;
            change.state.stages.get_mut("prod").unwrap().previous.clear();
            change.state.prune(1);
            change.commit(None)?.keep();
            Ok(())
        };
        let before = |store: &Store<Simulated>| (1..=3).for_each(|routes| drop(deploy(store, "pets", routes).unwrap()));
        at_every_step(before, forget, |store, done| {
            assert_eq!(served(store, "pets"), Some(3));
            let api = store.api("pets").unwrap().unwrap();
            assert!(api.deployments.len() == 1 || api.deployments.len() == 3 && !done);
            for deployment in &api.deployments {
                store.definition("pets", &deployment.hash).unwrap();
            }
        });
    }

    #[test]
    fn a_crash_while_stages_are_forgotten_leaves_all_or_what_is_kept() {
        let before = |store: &Store<Simulated>| {
            deploy(store, "pets", 1).unwrap();
            let frozen = freeze(&definition(2)).unwrap();
            let mut change = store.change("pets").unwrap();
            change.state.deploy("old", MANUAL, new(&frozen)).unwrap();
            change.commit(Some(&frozen)).unwrap().keep();
        };
        let forget = |store: &Store<Simulated>| {
            let mut change = store.change("pets")?;
            change.state.forget_all_but(&["prod"]);
            change.commit(None)?.keep();
            Ok(())
        };
        at_every_step(before, forget, |store, done| {
            assert_eq!(served(store, "pets"), Some(1));
            let has_old = store.stage("pets", "old").unwrap().is_some();
            assert!(!has_old || !done, "{has_old} after {done}");
        });
    }

    #[test]
    fn a_change_that_is_taken_back_leaves_no_trace() {
        let (disk, store) = simulated();
        let old = deploy(&store, "pets", 1).unwrap();
        let files = disk.paths();
        let frozen = freeze(&definition(2)).unwrap();
        let mut change = store.change("pets").unwrap();
        change.state.deploy("prod", MANUAL, new(&frozen)).unwrap();
        let committed = change.commit(Some(&frozen)).unwrap();
        assert_eq!(served(&store, "pets"), Some(2));
        committed.undo().unwrap();
        assert_eq!(store.api("pets").unwrap(), Some(old));
        assert_eq!(disk.paths(), files);
        // What was deployed before can still be served when its content comes again.
        let mut change = store.change("pets").unwrap();
        let frozen = freeze(&definition(1)).unwrap();
        change.state.deploy("prod", MANUAL, new(&frozen)).unwrap();
        change.commit(Some(&frozen)).unwrap().undo().unwrap();
        assert_eq!(served(&store, "pets"), Some(1));
    }

    #[test]
    fn a_change_that_is_given_up_leaves_no_trace() {
        let (disk, store) = simulated();
        deploy(&store, "pets", 1).unwrap();
        let files = disk.paths();
        let mut change = store.change("pets").unwrap();
        assert_eq!(store.change("cats").unwrap_err().kind, FaultKind::Busy);
        change.state.stages.clear();
        drop(change);
        assert_eq!((served(&store, "pets"), disk.paths()), (Some(1), files));
        deploy(&store, "cats", 1).unwrap();
    }

    #[test]
    fn damage_is_named_and_other_apis_go_on() {
        let (disk, store) = simulated();
        let hash = deploy(&store, "pets", 1).unwrap().deployments[0].hash;
        deploy(&store, "cats", 2).unwrap();
        let (pointer, blob) = (store.folder.join("pets/state.json"), store.blob("pets", &hash));
        disk.damage(&blob, |bytes| bytes.truncate(10));
        let fault = store.definition("pets", &hash).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Corrupt);
        assert!(fault.what.contains(&blob.display().to_string()), "{fault}");
        assert_eq!(served(&store, "cats"), Some(2));
        // Deploying the same again mends it.
        deploy(&store, "pets", 1).unwrap();
        assert_eq!(served(&store, "pets"), Some(1));
        disk.damage(&pointer, |bytes| bytes.truncate(10));
        for fault in [store.api("pets").unwrap_err(), deploy(&store, "pets", 1).unwrap_err()] {
            assert_eq!(fault.kind, FaultKind::Corrupt);
            assert!(fault.what.contains("/pets/state.json is damaged"), "{fault}");
            assert!(fault.hint.contains("move its folder away"), "{fault}");
        }
        assert_eq!(served(&store, "cats"), Some(2));
        disk.damage(&pointer, |bytes| *bytes = br#"{"format":2}"#.to_vec());
        assert_eq!(store.api("pets").unwrap_err().kind, FaultKind::Newer);
        disk.remove(&blob).unwrap();
        let fault = store.definition("pets", &hash).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Missing);
        assert!(fault.hint.contains("tollgate rollback pets STAGE ID"), "{fault}");
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        let (disk, store) = simulated();
        for api in ["", ".", "..", "../x", "a/b", ".lock", &"a".repeat(64)] {
            assert_eq!(store.api(api).unwrap_err().kind, FaultKind::Missing, "{api}");
            assert_eq!(store.change(api).unwrap_err().kind, FaultKind::Missing, "{api}");
        }
        assert_eq!(disk.paths(), [""; 0]);
    }

    /// A folder on the real disk, gone with the guard.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("tollgate-store-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_real_disk_does_as_the_simulated_one() {
        let scratch = Scratch::new("real");
        let state = scratch.0.join("not/yet/there");
        let store = Store::open(&state).unwrap();
        assert_eq!(store.api("pets").unwrap(), None);
        assert!(!state.exists(), "looking writes nothing");
        deploy(&store, "pets", 1).unwrap();
        let folder = state.join("deployments/pets");
        fs::write(folder.join("state.json.tmp"), "{\"form").unwrap();
        fs::write(folder.join(format!("{}.json.tmp", DefinitionHash::of(b"x"))), "").unwrap();
        fs::write(folder.join("README"), "the operator's own").unwrap();
        deploy(&Store::open(&state).unwrap(), "pets", 2).unwrap();
        assert_eq!(served(&store, "pets"), Some(2));
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        let (one, two) = (Store::open(&state).unwrap(), Store::open(&state).unwrap());
        let change = one.change("pets").unwrap();
        assert_eq!(two.change("pets").unwrap_err().kind, FaultKind::Busy);
        drop(change);
        two.change("pets").unwrap();
    }

    #[test]
    fn what_is_no_folder_is_no_store() {
        let scratch = Scratch::new("file");
        fs::write(scratch.0.join("deployments"), "").unwrap();
        let fault = Store::open(&scratch.0).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Io);
        assert!(fault.what.contains("deployments"), "{fault}");
        fs::remove_file(scratch.0.join("deployments")).unwrap();
        fs::create_dir_all(scratch.0.join("deployments/pets/state.json")).unwrap();
        let fault = Store::open(&scratch.0).unwrap().api("pets").unwrap_err();
        assert!(fault.what.contains("it is not a file"), "{fault}");
    }
}
