//! The one door for a new configuration: SIGHUP and `tollgate reload` both come here.
//!
//! The calling thread serves nobody: it reads, checks and compiles. Each worker then swaps its cell between two requests
//! and says so. A document with a fault changes nothing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use admin::ReloadReport;
use config::{Loaded, Loader};

use crate::background::Resolver;
use crate::io::Sender;
use crate::observe::metrics::Metrics;
use crate::state::Published;
use crate::upstream::resolve;
use crate::worker::Message;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A document on disk.
    File(PathBuf),
    /// The embedded demo, with the address of its backend filled in.
    Text(String),
}

impl Source {
    /// Reads, checks and compiles.
    pub fn load(&self, loader: &mut Loader) -> Loaded {
        match self {
            Source::File(path) => loader.load(path, |_| {}),
            Source::Text(text) => loader.load_bytes("demo", text.as_bytes(), std::path::Path::new(".")),
        }
    }
}

/// Longest wait for the workers to swap; one that is in a long computation may need a moment.
const SWAP_TIME_MAX: Duration = Duration::from_secs(5);

const SLOW_WORKER: &str = "a worker has not swapped in 5 s; it serves the old snapshot until it does\n";

/// Publishes snapshots to the workers, one at a time.
pub struct Reloader {
    source: Source,
    metrics: Arc<Metrics>,
    workers: Vec<Sender<Message>>,
    resolver: Resolver,
    generation: AtomicU64,
    leaving: AtomicBool,
    serving: Mutex<Serving>,
}

struct Serving {
    /// Keeps what was compiled: what does not change is not compiled again.
    loader: Loader,
    current: Arc<Published>,
    /// Kept until no worker needs them, so that none of them has to free one.
    retired: Vec<Arc<Published>>,
}

impl Reloader {
    /// Takes over after the first load.
    pub fn new(
        (source, loader): (Source, Loader),
        first: Arc<Published>,
        metrics: Arc<Metrics>,
        workers: Vec<Sender<Message>>,
        resolver: Resolver,
    ) -> Reloader {
        resolver.want(resolve::names_of(&first.snapshot));
        metrics.loaded(first.generation);
        let generation = AtomicU64::new(first.generation);
        let serving = Mutex::new(Serving { loader, current: first, retired: Vec::new() });
        Reloader { source, metrics, workers, resolver, generation, leaving: AtomicBool::new(false), serving }
    }

    /// From now on nothing new is taken: the gateway is about to leave.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether the gateway is about to leave.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The snapshot that serves.
    pub fn current(&self) -> Arc<Published> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Loads the document again and serves it if it is whole. Blocks until every worker has swapped.
    pub fn reload(&self) -> ReloadReport {
        let began = Instant::now();
        if self.leaving.load(Ordering::Acquire) {
            let generation = self.generation.load(Ordering::Relaxed);
            let faults = "the gateway is leaving: it serves what it has to the end\n".into();
            return ReloadReport { ok: false, generation, took: began.elapsed(), changes: Vec::new(), faults };
        }
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.retired.retain(|old| Arc::strong_count(old) > 1);
        let loaded = self.source.load(&mut serving.loader);
        let faults = loaded.diagnostics.render(false);
        let Some(snapshot) = loaded.snapshot else {
            self.metrics.reload_failed();
            let generation = self.generation.load(Ordering::Relaxed);
            return ReloadReport { ok: false, generation, took: began.elapsed(), changes: Vec::new(), faults };
        };
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let published = Published::new(generation, snapshot, &self.metrics);
        self.resolver.want(resolve::names_of(&published.snapshot));
        let changes = changes(&serving.current, &published);
        let swapped = self.publish(&published);
        let old = std::mem::replace(&mut serving.current, published);
        serving.retired.push(old);
        self.metrics.reloaded(generation);
        let faults = if swapped { faults } else { faults + SLOW_WORKER };
        ReloadReport { ok: swapped, generation, took: began.elapsed(), changes, faults }
    }

    /// False if a worker did not swap in time.
    fn publish(&self, published: &Arc<Published>) -> bool {
        let (done, swapped) = mpsc::channel();
        for worker in &self.workers {
            worker.send(Message::Adopt(published.clone(), done.clone()));
        }
        drop(done);
        let until = Instant::now() + SWAP_TIME_MAX;
        for _ in &self.workers {
            if swapped.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                return false;
            }
        }
        true
    }
}

/// What an operator wants to know: what is served now that was not before, and what needs a restart.
fn changes(old: &Published, new: &Published) -> Vec<String> {
    let mut changes = Vec::new();
    let (before, after) = (&old.snapshot, &new.snapshot);
    let stages = |published: &Published| -> Vec<String> {
        let snapshot = &published.snapshot;
        let name = |stage: &config::snapshot::Stage| format!("{}/{}", snapshot.apis[stage.api as usize].id, stage.name);
        snapshot.stages.iter().map(name).collect()
    };
    let (had, has) = (stages(old), stages(new));
    changes.extend(has.iter().filter(|stage| !had.contains(stage)).map(|stage| format!("stage {stage} is new")));
    changes.extend(had.iter().filter(|stage| !has.contains(stage)).map(|stage| format!("stage {stage} is gone")));
    let routes = |published: &Published| {
        published
            .snapshot
            .stages
            .iter()
            .filter_map(|stage| stage.release.as_ref())
            .map(|release| release.program.methods.len())
            .sum::<usize>()
    };
    if routes(old) != routes(new) {
        changes.push(format!("routes: {} before, {} now", routes(old), routes(new)));
    }
    let upstreams = |known: &config::snapshot::Snapshot| known.upstreams.to_vec();
    if upstreams(before) != upstreams(after) {
        changes.push("upstreams changed: their idle connections were closed".into());
    }
    let (was, is) = (&before.gateway, &after.gateway);
    let at_restart = [
        ("gateway.listen", was.listen != is.listen),
        ("gateway.admin", was.admin != is.admin),
        ("gateway.control", was.control != is.control),
        ("gateway.workers", was.workers != is.workers),
        ("gateway.access_log", was.access_log != is.access_log),
    ];
    let changed = at_restart.into_iter().filter(|(_, changed)| *changed);
    changes.extend(changed.map(|(field, _)| format!("{field} changed: it takes effect at the next restart")));
    changes
}
