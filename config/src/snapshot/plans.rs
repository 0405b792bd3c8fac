//! What holders of API keys may do, and how often (KP-05, KP-06).

use policy::quota::Quota;
use policy::throttle::Limit;
use serde::{Deserialize, Serialize};

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
