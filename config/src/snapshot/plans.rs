//! What holders of API keys may do, and how often (KP-05, KP-06).

use std::path::PathBuf;

use policy::quota::Quota;
use policy::rules::Line;
use policy::throttle::Limit;
use serde::{Deserialize, Serialize};

use super::secret::SecretRef;
use super::tls::FileRef;

/// A usage plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: Box<str>,
    /// What its keys may call, by stage number, each stage once.
    pub stages: Box<[PlanStage]>,
    /// Requests per second of each key over all of its stages; `None`: any number.
    pub throttle: Option<Limit>,
    /// Requests of each key over all of its stages in a period; `None`: any number.
    pub quota: Option<Quota>,
    /// Where the plan and its quota were written.
    pub lines: [Line; 2],
}

/// A stage of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStage {
    /// Index in [`super::Snapshot::stages`].
    pub stage: u32,
    /// Requests per second of each key for single methods, by the method's key (`GET /pets`) in its order. A stage serves now this
    /// deployment, now that one: names hold for all of them.
    pub methods: Box<[(Box<str>, Limit)]>,
}

impl Plan {
    /// What it says of a stage; `None`: its keys may not call it.
    #[inline]
    pub fn stage(&self, stage: u32) -> Option<&PlanStage> {
        let at = self.stages.binary_search_by_key(&stage, |known| known.stage).ok()?;
        self.stages.get(at)
    }

    /// Whether its stages are in order, and are among so many.
    pub fn fits(&self, stages: usize) -> bool {
        let is_sorted = self.stages.windows(2).all(|pair| pair[0].stage < pair[1].stage);
        is_sorted && self.stages.iter().all(|known| (known.stage as usize) < stages && known.is_sorted())
    }
}

impl PlanStage {
    /// What a method may do that has a throttle of its own.
    #[inline]
    pub fn method(&self, key: &str) -> Option<Limit> {
        let at = self.methods.binary_search_by_key(&key, |(known, _)| known).ok()?;
        self.methods.get(at).map(|(_, limit)| *limit)
    }

    fn is_sorted(&self) -> bool {
        self.methods.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }
}

/// Where the keys are that the document names; the state directory may have more. Never their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySources {
    /// Single ones.
    pub named: Box<[NamedKey]>,
    /// Files of many, in API Gateway's form (KP-02).
    pub files: Box<[FileRef]>,
}

/// A key of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedKey {
    /// Its name.
    pub id: Box<str>,
    /// Where its value is.
    pub value: SecretRef,
    /// Indices in [`super::Snapshot::plans`].
    pub plans: Box<[u16]>,
    /// Whether it opens anything.
    pub enabled: bool,
}

impl KeySources {
    /// Changes every path.
    pub fn rebase(&mut self, change: impl Fn(&mut PathBuf)) {
        let named = self.named.iter_mut().filter_map(|key| match &mut key.value {
            SecretRef::File(file) => Some(file),
            SecretRef::Env(_) => None,
        });
        for file in named.chain(&mut self.files) {
            if let FileRef::Path(path) = file {
                change(path);
            }
        }
    }

    /// The highest number of a plan that a key is in.
    pub fn plans_max(&self) -> Option<u16> {
        self.named.iter().flat_map(|key| &key.plans).copied().max()
    }
}
