//! The small file of an API: its deployments, and what each of its stages serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frozen::DefinitionHash;
use super::operations::{CanaryWish, Declared, NewDeployment};
use crate::limits;

/// The form that this version writes.
const FORMAT: u32 = 1;

/// Ten letters and digits.
const ID_CHARS: usize = 10;

/// What is known of an API's deployments. Every id in it is that of a deployment in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiState {
    format: u32,
    /// The API's id.
    pub api: String,
    /// Deployments ever made.
    pub sequence: u64,
    /// Those that are kept, oldest first.
    pub deployments: Vec<Deployment>,
    /// By name; a stage without a deployment is not here.
    pub stages: BTreeMap<String, StagePointer>,
}

/// A deployment (ST-03).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Unique in its API.
    pub id: Arc<str>,
    /// Of the frozen definition.
    pub hash: DefinitionHash,
    /// When, in seconds since 1970.
    pub created: u64,
    /// Why, in the words of whoever made it; may be empty.
    pub note: String,
    /// How many methods it has.
    pub methods: usize,
}

/// What a stage serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagePointer {
    /// The deployment.
    pub deployment: Arc<str>,
    /// Those before it, the last one last: the way of `rollback`.
    pub previous: Vec<Arc<str>>,
    /// Variables that came from a canary (ST-11); they win over the document's.
    pub variables: BTreeMap<String, String>,
    /// A share of the requests goes elsewhere (ST-09).
    pub canary: Option<CanaryPointer>,
}

/// What a canary serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryPointer {
    /// The deployment.
    pub deployment: Arc<str>,
    /// Of the stage's requests, 0 to 100.
    pub percent: f64,
    /// They win over the stage's.
    pub variables: BTreeMap<String, String>,
}

/// What a stage serves, with the names of the definitions.
#[derive(Debug, Clone, PartialEq)]
pub struct StageState {
    /// The deployment.
    pub deployment: Arc<str>,
    /// Its definition: [`Store::definition`](super::Store::definition).
    pub hash: DefinitionHash,
    /// Variables that came from a canary; they win over the document's.
    pub variables: BTreeMap<String, String>,
    /// A share of the requests goes elsewhere.
    pub canary: Option<CanaryState>,
}

/// What a canary serves, with the name of its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryState {
    /// The deployment; it may be the stage's own, with other variables.
    pub deployment: Arc<str>,
    /// Its definition.
    pub hash: DefinitionHash,
    /// Of the stage's requests, 0 to 100.
    pub percent: f64,
    /// They win over the stage's own, promoted ones included.
    pub variables: BTreeMap<String, String>,
}

/// Why a pointer file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadPointer {
    /// A newer version has written it.
    Newer(u64),
    /// It is damaged, or was written by hand.
    Bad(String),
}

impl ApiState {
    /// An API that was never deployed.
    pub fn new(api: &str) -> Self {
        Self { format: FORMAT, api: api.to_owned(), sequence: 0, deployments: Vec::new(), stages: BTreeMap::new() }
    }

    /// What a stage serves; `None`: nothing yet.
    pub fn stage(&self, stage: &str) -> Option<StageState> {
        let StagePointer { deployment, previous: _, variables, canary } = self.stages.get(stage)?;
        let canary = match canary {
            Some(CanaryPointer { deployment, percent, variables }) => Some(CanaryState {
                deployment: deployment.clone(),
                hash: self.deployment(deployment)?.hash,
                percent: *percent,
                variables: variables.clone(),
            }),
            None => None,
        };
        let hash = self.deployment(deployment)?.hash;
        Some(StageState { deployment: deployment.clone(), hash, variables: variables.clone(), canary })
    }

    /// A deployment that is kept.
    pub fn deployment(&self, id: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| &*deployment.id == id)
    }

    /// The frozen definitions that must be kept.
    pub(super) fn hashes(&self) -> BTreeSet<DefinitionHash> {
        self.deployments.iter().map(|deployment| deployment.hash).collect()
    }

    /// The next deployment's id: the same for the same content at the same turn.
    pub(super) fn next_id(&self, hash: &DefinitionHash) -> Arc<str> {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut salt = 0u64;
        loop {
            let mut sha = Sha256::new();
            sha.update(self.api.as_bytes());
            sha.update([0]);
            sha.update(self.sequence.to_be_bytes());
            sha.update(salt.to_be_bytes());
            sha.update(hash.as_bytes());
            let digest = sha.finalize();
            let id: String =
                digest.iter().take(ID_CHARS).map(|byte| DIGITS[usize::from(*byte) % DIGITS.len()] as char).collect();
            if self.deployment(&id).is_none() {
                return id.into();
            }
            salt += 1;
        }
    }

    /// Forgets the oldest deployments beyond the limit that nothing refers to.
    pub(super) fn prune(&mut self, most: usize) {
        let mut excess = self.deployments.len().saturating_sub(most);
        if excess == 0 {
            return;
        }
        let used: BTreeSet<Arc<str>> = self.stages.values().flat_map(StagePointer::ids).cloned().collect();
        self.deployments.retain(|deployment| {
            let goes = excess > 0 && !used.contains(&deployment.id);
            excess -= usize::from(goes);
            !goes
        });
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("plain data with text for keys");
        text.push(b'\n');
        text
    }

    /// Panics if a promise of the type does not hold, or does not survive what may be done with it.
    pub(super) fn must_hold(mut self) {
        const MANUAL: Declared = Declared { auto_deploy: false, canary: false };
        let survives = |state: &Self| {
            let read = Self::read(&state.api, &state.to_text()).expect("what is written is read");
            assert_eq!(read, *state, "nothing is lost");
            for name in state.stages.keys() {
                assert!(state.stage(name).is_some(), "a stage has its deployment");
            }
        };
        survives(&self);
        let hash = DefinitionHash::of(b"");
        let new = || NewDeployment { hash, methods: 1, created: u64::MAX, note: String::new() };
        let names: Vec<String> = self.stages.keys().cloned().chain(["new".to_owned()]).collect();
        for name in names {
            // Whatever comes of it.
            let _ = self.promote(&name, MANUAL);
            let _ = self.deploy_canary(&name, MANUAL, new(), &CanaryWish::default());
            let _ = self.drop_canary(&name);
            let _ = self.forget_variables(&name);
            let id = self.deploy(&name, MANUAL, new()).expect("a stage without a canary takes a deployment");
            survives(&self);
            assert_ne!(self.rollback(&name, MANUAL, None).as_ref(), Ok(&id), "back is somewhere else");
        }
        self.prune(0);
        survives(&self);
    }

    /// Reads the file of `api`. Whatever the bytes, what comes out keeps every promise of the type.
    pub(super) fn read(api: &str, text: &[u8]) -> Result<Self, BadPointer> {
        #[derive(Deserialize)]
        struct Probe {
            format: u64,
        }
        let bad = |what: &str| BadPointer::Bad(what.to_owned());
        match serde_json::from_slice::<Probe>(text) {
            Ok(Probe { format }) if format > u64::from(FORMAT) => return Err(BadPointer::Newer(format)),
            Ok(Probe { format }) if format < u64::from(FORMAT) => {
                return Err(bad(&format!("format {format} never was")));
            }
            _ => {}
        }
        let state: Self = serde_json::from_slice(text).map_err(|error| bad(&error.to_string()))?;
        if state.api != api {
            return Err(bad(&format!("it is about API `{}`", state.api)));
        }
        state.check().map_err(|what| bad(&what))?;
        Ok(state)
    }

    fn check(&self) -> Result<(), String> {
        let mut ids = BTreeSet::new();
        for Deployment { id, hash: _, created: _, note, methods: _ } in &self.deployments {
            if !is_id(id) {
                return Err(format!("`{id}` is not the id of a deployment"));
            }
            if !is_note(note) {
                return Err(format!("the note of deployment {id} is too long, or not on one line"));
            }
            if !ids.insert(id) {
                return Err(format!("deployment {id} stands there twice"));
            }
        }
        for (name, pointer) in &self.stages {
            if !is_stage(name) {
                return Err(format!("`{name}` is not the name of a stage"));
            }
            if let Some(id) = pointer.ids().find(|id| !ids.contains(id)) {
                return Err(format!("stage `{name}` refers to deployment {id}, which is not there"));
            }
            if pointer.previous.len() > limits::ROLLBACKS_KEPT {
                return Err(format!("stage `{name}` has more than {} earlier deployments", limits::ROLLBACKS_KEPT));
            }
            let own = Some(&pointer.variables);
            for variables in own.into_iter().chain(pointer.canary.as_ref().map(|canary| &canary.variables)) {
                if variables.len() > limits::STAGE_VARIABLES_MAX {
                    return Err(format!("stage `{name}` has more than {} variables", limits::STAGE_VARIABLES_MAX));
                }
                if let Some((key, _)) = variables.iter().find(|(key, value)| !is_variable(key) || !is_value(value)) {
                    return Err(format!("stage variable `{key}` of stage `{name}` is not one"));
                }
            }
            if pointer.canary.as_ref().is_some_and(|canary| !is_percent(canary.percent)) {
                return Err(format!("the canary of stage `{name}` has no share between 0 and 100"));
            }
        }
        Ok(())
    }
}

impl StagePointer {
    /// Every deployment that the stage refers to.
    pub(super) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        let canary = self.canary.iter().map(|canary| &canary.deployment);
        std::iter::once(&self.deployment).chain(&self.previous).chain(canary)
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// ST-01.
pub(super) fn is_stage(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    text == "$default" || !text.is_empty() && text.len() <= limits::STAGE_NAME_CHARS_MAX && text.bytes().all(allowed)
}

/// An API's id is the name of its folder: no dots, no slashes.
pub(super) fn is_api(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !text.is_empty() && text.len() <= limits::API_ID_CHARS_MAX && text.bytes().all(allowed)
}

/// ST-02.
pub(super) fn is_variable(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.len() <= limits::STAGE_VARIABLE_NAME_CHARS_MAX && name.bytes().all(allowed)
}

/// ST-02.
pub(super) fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte);
    !value.is_empty() && value.len() <= limits::STAGE_VARIABLE_VALUE_CHARS_MAX && value.bytes().all(allowed)
}

/// ST-09.
pub(super) fn is_percent(percent: f64) -> bool {
    (0.0..=100.0).contains(&percent)
}

/// One line, and not a long one.
pub(super) fn is_note(note: &str) -> bool {
    note.chars().count() <= limits::DEPLOYMENT_NOTE_CHARS_MAX && !note.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hash() -> DefinitionHash {
        DefinitionHash::of(b"a")
    }

    fn text(state: &Value) -> Vec<u8> {
        state.to_string().into_bytes()
    }

    /// Two deployments, a stage with history and canary.
    fn good() -> Value {
        let deployment = |id: &str| json!({"id": id, "hash": hash(), "created": 1, "note": "n", "methods": 3});
        json!({
            "format": 1, "api": "pets", "sequence": 2,
            "deployments": [deployment("aaaaaaaaaa"), deployment("bbbbbbbbbb")],
            "stages": {"prod": {
                "deployment": "bbbbbbbbbb", "previous": ["aaaaaaaaaa"], "variables": {"host": "h"},
                "canary": {"deployment": "aaaaaaaaaa", "percent": 2.5, "variables": {"host": "c"}},
            }},
        })
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let state = ApiState::read("pets", &text(&good())).unwrap();
        assert_eq!(ApiState::read("pets", &state.to_text()).unwrap(), state);
        let stage = state.stage("prod").unwrap();
        assert_eq!((&*stage.deployment, stage.hash), ("bbbbbbbbbb", hash()));
        assert_eq!(stage.canary.map(|canary| (canary.deployment, canary.percent)), Some(("aaaaaaaaaa".into(), 2.5)));
        assert_eq!(state.stage("dev"), None);
    }

    #[test]
    fn what_is_not_whole_is_refused_by_name() {
        let edit = |pointer: &str, value: Value| {
            let mut state = good();
            *state.pointer_mut(pointer).unwrap() = value;
            ApiState::read("pets", &text(&state)).unwrap_err()
        };
        let rows = [
            (edit("/api", json!("cats")), "about API `cats`"),
            (edit("/deployments/0/id", json!("../../etc/")), "not the id"),
            (edit("/deployments/0/id", json!("bbbbbbbbbb")), "twice"),
            (edit("/deployments/1/id", json!("cccccccccc")), "refers to deployment bbbbbbbbbb"),
            (edit("/deployments/0/hash", json!("../x")), "64 digits"),
            (edit("/deployments/0/note", json!("a\nb")), "note"),
            (edit("/deployments/0/created", json!(-1)), "invalid value"),
            (edit("/stages/prod/previous", json!(["cccccccccc"])), "refers to deployment cccccccccc"),
            (edit("/stages/prod/previous", json!(vec!["aaaaaaaaaa"; 101])), "more than 100"),
            (edit("/stages/prod/canary/deployment", json!("cccccccccc")), "refers to deployment cccccccccc"),
            (edit("/stages/prod/canary/percent", json!(100.5)), "between 0 and 100"),
            (edit("/stages/prod/canary/percent", json!(-0.5)), "between 0 and 100"),
            (edit("/stages/prod/variables", json!({"a b": "c"})), "`a b`"),
            (edit("/stages/prod/canary/variables", json!({"a": ""})), "`a`"),
            (edit("/stages", json!({"a/b": good()["stages"]["prod"]})), "`a/b`"),
            (edit("/stages/prod/canary", json!({"deployment": "aaaaaaaaaa", "percent": 1})), "missing field"),
            (edit("/sequence", json!({"extra": 1})), "invalid type"),
            (edit("/format", json!(0)), "never was"),
        ];
        for (fault, words) in rows {
            assert!(matches!(&fault, BadPointer::Bad(what) if what.contains(words)), "{fault:?}: {words}");
        }
        let mut more = good();
        more["stages"]["prod"]["firewall"] = json!(1);
        assert!(
            matches!(ApiState::read("pets", &text(&more)), Err(BadPointer::Bad(what)) if what.contains("firewall"))
        );
    }

    #[test]
    fn a_newer_file_is_told_from_a_broken_one() {
        let mut newer = good();
        newer["format"] = json!(2);
        newer["what"] = json!([1]);
        assert_eq!(ApiState::read("pets", &text(&newer)), Err(BadPointer::Newer(2)));
    }

    #[test]
    fn no_beginning_of_a_file_is_a_file() {
        let whole = text(&good());
        for end in 0..whole.len() {
            assert!(matches!(ApiState::read("pets", &whole[..end]), Err(BadPointer::Bad(_))), "{end} bytes");
        }
    }

    #[test]
    fn ids_depend_on_content_and_turn_and_are_unique() {
        let mut state = ApiState::new("pets");
        let first = state.next_id(&hash());
        assert!(is_id(&first), "{first}");
        assert_eq!(state.next_id(&hash()), first);
        assert_ne!(state.next_id(&DefinitionHash::of(b"b")), first);
        assert_ne!(ApiState::new("cats").next_id(&hash()), first);
        let known = Deployment { id: first.clone(), hash: hash(), created: 0, note: String::new(), methods: 0 };
        state.deployments.push(known);
        assert_ne!(state.next_id(&hash()), first, "the same id is not given twice");
        state.sequence += 1;
        assert_ne!(state.next_id(&hash()), first);
    }

    #[test]
    fn the_oldest_go_that_nobody_needs() {
        let mut state = ApiState::read("pets", &text(&good())).unwrap();
        for number in 0..5 {
            let id: Arc<str> = format!("ccccccccc{number}").into();
            state.deployments.push(Deployment { id, hash: hash(), created: 0, note: String::new(), methods: 0 });
        }
        state.prune(4);
        let left: Vec<&str> = state.deployments.iter().map(|deployment| &*deployment.id).collect();
        assert_eq!(left, ["aaaaaaaaaa", "bbbbbbbbbb", "ccccccccc3", "ccccccccc4"]);
        state.prune(1);
        assert_eq!(state.deployments.len(), 2, "what is referred to stays");
    }
}
