//! A snapshot as it serves: numbered, with its counters, and on each worker with its pools.

use std::rc::Rc;
use std::sync::Arc;

use config::snapshot::{Api, Method, Snapshot, Stage};

use crate::observe::metrics::{Metrics, StageMetrics};
use crate::trip::Place;
use crate::upstream::pool::Upstream;

/// What all workers share of a snapshot.
pub struct Published {
    /// Counts reloads, from 1.
    pub generation: u64,
    /// The configuration.
    pub snapshot: Snapshot,
    /// Counters of each stage, by its number.
    pub stage_metrics: Box<[Arc<StageMetrics>]>,
}

impl Published {
    /// Finds each stage its counters; the same ones as before for a stage of the same name.
    pub fn new(generation: u64, snapshot: Snapshot, metrics: &Metrics) -> Arc<Published> {
        let counters = |stage: &Stage| metrics.stage(&snapshot.apis[stage.api as usize].id, &stage.name);
        let stage_metrics = snapshot.stages.iter().map(counters).collect();
        Arc::new(Published { generation, snapshot, stage_metrics })
    }
}

/// What one worker serves. A request keeps the one that it began with.
pub struct Live {
    /// The shared part. The supervisor holds one more reference, so that it is never freed on a worker.
    pub published: Arc<Published>,
    /// This worker's pools, by upstream number.
    pub upstreams: Box<[Rc<Upstream>]>,
}

impl Live {
    /// The configuration.
    pub fn snapshot(&self) -> &Snapshot {
        &self.published.snapshot
    }

    /// The API of a place.
    pub fn api(&self, place: Place) -> &Api {
        &self.snapshot().apis[place.api as usize]
    }

    /// The stage of a place.
    pub fn stage(&self, place: Place) -> &Stage {
        &self.snapshot().stages[place.stage as usize]
    }

    /// The method of a place, if one was found.
    pub fn method(&self, place: Place) -> Option<&Method> {
        Some(&self.stage(place).methods[place.method? as usize])
    }
}
