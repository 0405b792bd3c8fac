//! The one door for a new configuration: SIGHUP, `tollgate reload`, deployments and the watcher of documents all come here.
//!
//! The calling thread serves nobody: it reads, checks, compiles and binds. Each worker then swaps its cell between two
//! requests and says so. Whatever fails before that changes nothing.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{panic, thread};

use admin::{Failure, ReloadReport, Timing};
use config::snapshot::{AccessLog, Snapshot};
use config::{Diagnostics, Fault, Input, Loaded, Loader, Part};

use crate::background::Resolver;
use crate::bell::Bell;
use crate::doors::{Doors, Heirloom, Plan, Summary};
use crate::files::Share;
use crate::io::Sender;
use crate::limits::{LOG_PATIENCE, PAUSE_TIME_MAX, RETIRED_LOOK, SWAP_TIME_MAX};
use crate::observe::access_log::Sink;
use crate::observe::metrics::{By, Metrics};
use crate::observe::writer::{Destination, Writer};
use crate::state::Published;
use crate::tokens;
use crate::tokens::keeper::KeyKeeper;
use crate::upstream::health::Keeper;
use crate::upstream::resolve;
use crate::worker::{Adoption, Drain, Message};

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A document on disk.
    File(PathBuf),
    /// The embedded demo, with the address of its backend filled in.
    Text(String),
}

impl Source {
    /// Reads, checks and compiles; `is_over` hears when a part of it is done.
    pub fn load(&self, loader: &mut Loader, is_over: impl FnMut(Part)) -> Loaded {
        match self {
            Source::File(path) => loader.load(path, is_over),
            Source::Text(text) => loader.load_bytes("demo", text.as_bytes(), Path::new(".")),
        }
    }
}

/// What every reload of a process needs.
pub struct Parts {
    /// Where the configuration comes from, and what has loaded it.
    pub source: (Source, Loader),
    /// What serves.
    pub first: Arc<Published>,
    /// The files that it was made of.
    pub files: Vec<Input>,
    /// Where it serves.
    pub doors: Doors,
    /// The access log's writer.
    pub log: Writer,
    /// The process's counters.
    pub metrics: Arc<Metrics>,
    /// The workers' mailboxes.
    pub workers: Vec<Sender<Message>>,
    /// What each of them may hold.
    pub share: Share,
    /// Who resolves names.
    pub resolver: Resolver,
    /// Who keeps the keys of issuers.
    pub keys: KeyKeeper,
    /// Who asks servers whether they are well.
    pub keeper: Keeper,
    /// Rung after each load.
    pub bell: Bell,
}

/// Publishes snapshots to the workers, one at a time.
pub struct Reloader {
    source: Source,
    metrics: Arc<Metrics>,
    workers: Vec<Sender<Message>>,
    share: Share,
    resolver: Resolver,
    /// Who keeps the keys of issuers.
    pub keys: KeyKeeper,
    keeper: Keeper,
    /// Held for the whole of a reload: the next one waits.
    turn: Mutex<Turn>,
    /// These are held for a moment only.
    doors: Mutex<Doors>,
    serving: Mutex<Serving>,
    log: Mutex<Option<Writer>>,
    /// Held while something is sent to the workers: nothing is sent behind the word to leave.
    leaving: Mutex<()>,
    left: AtomicBool,
    bell: Bell,
}

struct Turn {
    /// Keeps what was compiled: what does not change is not compiled again.
    loader: Loader,
    /// Kept until no worker needs them, so that none of them has to free one.
    retired: Vec<Arc<Published>>,
    /// The warnings of the last reload, each as its document and what it says: they are not said again.
    warned: HashSet<(String, String)>,
}

struct Serving {
    published: Arc<Published>,
    listeners: Vec<String>,
    files: Vec<Input>,
}

/// What a reload made serve.
struct Served {
    published: Arc<Published>,
    changes: Vec<String>,
    /// Whether every worker has swapped.
    swapped: bool,
}

/// Why a reload came to nothing.
struct Stopped(Failure, String);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reloader {
    /// Takes over after the first load.
    pub fn new(parts: Parts) -> Reloader {
        let Parts {
            source: (source, loader),
            first,
            files,
            doors,
            log,
            metrics,
            workers,
            share,
            resolver,
            keys,
            keeper,
            bell,
        } = parts;
        resolver.want(resolve::wanted_by(&first.snapshot));
        keep_keys(&keys, &first.snapshot);
        metrics.loaded(first.generation);
        Reloader {
            source,
            metrics,
            workers,
            share,
            resolver,
            keys,
            keeper,
            turn: Mutex::new(Turn { loader, retired: Vec::new(), warned: HashSet::new() }),
            serving: Mutex::new(Serving { published: first, listeners: doors.addresses(), files }),
            doors: Mutex::new(doors),
            log: Mutex::new(Some(log)),
            leaving: Mutex::new(()),
            left: AtomicBool::new(false),
            bell,
        }
    }

    /// From now on nothing new is taken: the gateway is about to leave. What was sent to the workers before is done first; an
    /// upgrade that is at its last step is waited for.
    pub fn leave(&self) {
        let _sent = lock(&self.leaving);
        self.left.store(true, Ordering::Release);
    }

    /// Whether the gateway is about to leave.
    pub fn is_leaving(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// The right to decide whether the gateway leaves: nobody else does, and nothing else is sent to the workers. None if that is
    /// decided.
    pub fn departure(&self) -> Option<Departure<'_>> {
        let sending = lock(&self.leaving);
        (!self.is_leaving()).then_some(Departure { reloader: self, _sending: sending })
    }

    /// What a process that takes over would get.
    pub fn heirlooms(&self) -> std::io::Result<Vec<Heirloom>> {
        lock(&self.doors).heirlooms()
    }

    /// Tells the workers to finish what is under way and to leave. `handed_over`: these doors have other masters now.
    pub fn drain(&self, handed_over: Arc<[u64]>) {
        lock(&self.doors).let_go();
        let drain = Drain { time: self.current().snapshot.gateway.limits.drain_time, handed_over };
        self.workers.iter().for_each(|worker| worker.send(Message::Drain(drain.clone())));
    }

    /// Addresses at which the service manager listens and nobody answers.
    pub fn unanswered(&self) -> Vec<String> {
        lock(&self.doors).unanswered()
    }

    /// The snapshot that serves. Never waits for a reload.
    pub fn current(&self) -> Arc<Published> {
        lock(&self.serving).published.clone()
    }

    /// Where the gateway listens. Never waits for a reload.
    pub fn listeners(&self) -> Vec<String> {
        lock(&self.serving).listeners.clone()
    }

    /// The files of which the last load was made, or should have been.
    pub fn files(&self) -> Vec<Input> {
        lock(&self.serving).files.clone()
    }

    /// Rung after each load.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Opens the access log again under its name.
    pub fn reopen_log(&self) {
        if let Some(log) = &*lock(&self.log) {
            log.reopen();
        }
    }

    /// After the workers have ended: removes socket files, and ends the access log. False if its last lines are lost.
    pub fn end(&self) -> bool {
        drop(std::mem::replace(&mut *lock(&self.doors), Doors::new(0, Vec::new())));
        lock(&self.log).take().is_none_or(|log| log.stop(LOG_PATIENCE))
    }

    /// The document on disk, if that is what is served.
    pub fn document(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Text(_) => None,
        }
    }

    /// Loads the document again and serves it if it is whole and all of its addresses can be had. Blocks until every worker
    /// has swapped.
    pub fn reload(&self, by: By) -> ReloadReport {
        self.alone().reload(by)
    }

    /// The right to reload: while it is held, nobody else does.
    pub fn alone(&self) -> Alone<'_> {
        Alone { reloader: self, turn: lock(&self.turn) }
    }

    fn reload_in(&self, turn: &mut Turn, by: By) -> ReloadReport {
        turn.sweep();
        let mut watch = Stopwatch::start();
        let mut diagnostics = Diagnostics::default();
        let outcome =
            self.load(turn, &mut watch, &mut diagnostics).and_then(|snapshot| self.serve(snapshot, turn, &mut watch));
        let took = watch.began.elapsed();
        let (_, warnings) = diagnostics.counts();
        let mut faults = match by {
            By::Command => self.said(diagnostics, &mut turn.warned),
            // Nobody reads what went well.
            _ => diagnostics.render(false),
        };
        let (served, failure) = match outcome {
            Ok(served) if served.swapped => (Some(served), None),
            // A worker that is late swaps all the same.
            Ok(served) => {
                faults.push_str(SLOW_WORKER);
                (Some(served), Some(Failure::SlowWorker))
            }
            Err(Stopped(failure, why)) => {
                faults.push_str(&why);
                (None, Some(failure))
            }
        };
        // Counted first: whoever sees the new generation finds it in the metrics as well.
        self.metrics.reloaded(by, served.as_ref().map(|served| served.published.generation), took);
        let changes = served.map(|served| self.settle(served)).unwrap_or_default();
        let generation = self.current().generation;
        self.bell.ring();
        ReloadReport { ok: failure.is_none(), generation, failure, took, parts: watch.parts, changes, faults, warnings }
    }

    /// The faults of a document, without the warnings that were said at the last reload already; of one with errors, all.
    fn said(&self, mut diagnostics: Diagnostics, warned: &mut HashSet<(String, String)>) -> String {
        if diagnostics.has_errors() {
            return diagnostics.render(false);
        }
        let name = |fault: &Fault| diagnostics.sources.get(usize::from(fault.place.source)).map(|source| &*source.name);
        let key = |fault: &Fault| (name(fault).unwrap_or_default().to_owned(), fault.what.clone());
        let keys: Vec<_> = diagnostics.list.iter().map(key).collect();
        let mut are_new = keys.iter().map(|key| !warned.contains(key));
        diagnostics.list.retain(|_| are_new.next().unwrap_or(true));
        drop(are_new);
        let (before, mut text) = (keys.len() - diagnostics.list.len(), diagnostics.render(false));
        *warned = keys.into_iter().collect();
        if before > 0 {
            let s = if before == 1 { "" } else { "s" };
            let document = self.document().map_or_else(String::new, |path| format!(" {}", path.display()));
            let _ = writeln!(text, "{before} warning{s} as before; `tollgate check{document}` lists them");
        }
        text
    }

    /// From now on whoever asks what serves hears of this.
    fn settle(&self, served: Served) -> Vec<String> {
        let listeners = lock(&self.doors).addresses();
        let mut serving = lock(&self.serving);
        serving.published = served.published;
        serving.listeners = listeners;
        served.changes
    }

    fn load(&self, turn: &mut Turn, watch: &mut Stopwatch, faults: &mut Diagnostics) -> Result<Snapshot, Stopped> {
        if self.is_leaving() {
            return Err(leaving());
        }
        let loaded = self.source.load(&mut turn.loader, |part| {
            watch.is_over(match part {
                Part::Read => "read",
                Part::Compile => "compile",
            });
        });
        *faults = loaded.diagnostics;
        lock(&self.serving).files = loaded.files;
        loaded.snapshot.ok_or(Stopped(Failure::Document, String::new()))
    }

    /// Makes a snapshot serve.
    fn serve(&self, snapshot: Snapshot, turn: &mut Turn, watch: &mut Stopwatch) -> Result<Served, Stopped> {
        let resource = |why: String| Stopped(Failure::Resource, format!("error: {why}\n"));
        let before = self.current();
        let plan = lock(&self.doors).plan(&snapshot.gateway.listen).map_err(resource)?;
        let log =
            self.other_log(&before.snapshot.gateway.access_log, &snapshot.gateway.access_log).map_err(resource)?;
        watch.is_over("listen");
        let published = Published::new(snapshot, Some(&before), &self.metrics);
        self.resolver.want(resolve::wanted_by(&published.snapshot));
        keep_keys(&self.keys, &published.snapshot);
        let (sinks, writer) = log.unzip();
        let (summary, swapped) = self.publish(&published, plan, sinks)?;
        let swapped = swapped.wait(self.workers.len());
        if let Err(error) =
            self.keeper.keep(&published.snapshot.upstreams, &published.upstreams, published.outbound.all())
        {
            tracing::error!(%error, "no thread for health checks: servers are taken for well");
        }
        watch.is_over("swap");
        let (was, is) = (&before.snapshot.gateway.limits, &published.snapshot.gateway.limits);
        if was.connections != is.connections {
            self.share.warn(is.connections);
        }
        // The new snapshot serves: what people want to read of it keeps nobody waiting.
        let changes = changes(&before, &published, &summary);
        turn.retired.push(before);
        let old_log = writer.and_then(|writer| lock(&self.log).replace(writer));
        if old_log.is_some_and(|log| !log.stop(LOG_PATIENCE)) {
            tracing::warn!("the reader of the access log before is stalled: its last lines are lost");
        }
        Ok(Served { published, changes, swapped })
    }

    /// Hands the snapshot and its doors to the workers. Nothing fails behind this.
    fn publish(
        &self,
        published: &Arc<Published>,
        plan: Plan,
        sinks: Option<Vec<Sink>>,
    ) -> Result<(Summary, Swapped), Stopped> {
        let _sending = lock(&self.leaving);
        if self.is_leaving() {
            return Err(leaving());
        }
        let mut doors = lock(&self.doors);
        let (orders, summary) = doors.carry_out(plan);
        let mut sinks = sinks.map(Vec::into_iter);
        let (done, swapped) = mpsc::channel();
        for (worker, doors) in self.workers.iter().zip(orders) {
            let log = sinks.as_mut().and_then(Iterator::next);
            worker.send(Message::Adopt(Adoption { published: published.clone(), doors, log, done: done.clone() }));
        }
        Ok((summary, Swapped { swapped, until: Instant::now() + SWAP_TIME_MAX }))
    }

    /// A writer and its sinks, if the log goes elsewhere from now on.
    fn other_log(&self, was: &AccessLog, is: &AccessLog) -> Result<Option<(Vec<Sink>, Writer)>, String> {
        if was == is {
            return Ok(None);
        }
        let workers: Vec<_> = (0..self.workers.len()).map(|index| self.metrics.worker(index)).collect();
        let started = Writer::start(destination(is), &workers, self.metrics.writer());
        started.map(Some).map_err(|error| format!("cannot open the access log: {error}"))
    }

    /// Frees what no worker needs any more, unless a reload is under way.
    fn sweep(&self) -> bool {
        let Ok(mut turn) = self.turn.try_lock() else { return true };
        turn.sweep();
        !turn.retired.is_empty()
    }
}

fn keep_keys(keeper: &KeyKeeper, snapshot: &Snapshot) {
    if let Err(error) = keeper.want(tokens::keeper::wanted_by(snapshot)) {
        tracing::error!(%error, "no thread for the keys of issuers: their tokens are refused");
    }
}

/// The right to decide whether the gateway leaves.
pub struct Departure<'a> {
    reloader: &'a Reloader,
    _sending: MutexGuard<'a, ()>,
}

impl Departure<'_> {
    /// It leaves.
    pub fn is_final(self) {
        self.reloader.left.store(true, Ordering::Release);
    }

    /// Lets every worker stop accepting, until this is dropped.
    pub fn rest(&self) -> Resting<'_> {
        let (done, paused) = mpsc::channel();
        let workers = &self.reloader.workers;
        for worker in workers {
            worker.send(Message::Pause(done.clone()));
        }
        // A worker that does not come to rest drops its own.
        drop(done);
        let until = Instant::now() + 2 * PAUSE_TIME_MAX;
        let quiet = Swapped { swapped: paused, until }.wait(workers.len());
        Resting { reloader: self.reloader, quiet, for_good: false }
    }
}

/// Nobody is let in.
pub struct Resting<'a> {
    reloader: &'a Reloader,
    quiet: bool,
    for_good: bool,
}

impl Resting<'_> {
    /// Whether every worker has stopped accepting.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Another process goes on accepting at these doors; the files of their sockets are its own.
    pub fn for_good(mut self, doors: &[u64]) {
        self.for_good = true;
        lock(&self.reloader.doors).leave_files(doors);
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        if !self.for_good {
            self.reloader.workers.iter().for_each(|worker| worker.send(Message::Resume));
        }
    }
}

/// The right to reload.
pub struct Alone<'a> {
    reloader: &'a Reloader,
    turn: MutexGuard<'a, Turn>,
}

impl Alone<'_> {
    /// As [`Reloader::reload`].
    pub fn reload(&mut self, by: By) -> ReloadReport {
        self.reloader.reload_in(&mut self.turn, by)
    }
}

impl Turn {
    fn sweep(&mut self) {
        self.retired.retain(|old| Arc::strong_count(old) > 1);
    }
}

const SLOW_WORKER: &str = "a worker has not swapped in 5 s; it serves the old snapshot until it does\n";

fn leaving() -> Stopped {
    Stopped(Failure::Leaving, "the gateway is leaving: it serves what it has to the end\n".into())
}

/// The workers' answers.
struct Swapped {
    swapped: mpsc::Receiver<usize>,
    until: Instant,
}

impl Swapped {
    /// False if a worker did not swap in time.
    fn wait(self, workers: usize) -> bool {
        (0..workers).all(|_| self.swapped.recv_timeout(self.until.saturating_duration_since(Instant::now())).is_ok())
    }
}

/// How long each part took.
struct Stopwatch {
    began: Instant,
    last: Instant,
    parts: Vec<Timing>,
}

impl Stopwatch {
    fn start() -> Stopwatch {
        let now = Instant::now();
        Stopwatch { began: now, last: now, parts: Vec::new() }
    }

    fn is_over(&mut self, part: &str) {
        let now = Instant::now();
        self.parts.push(Timing { part: part.into(), took: now - self.last });
        self.last = now;
    }
}

/// Where the lines of an access log go.
pub fn destination(log: &AccessLog) -> Destination {
    match log {
        AccessLog::None => Destination::None,
        AccessLog::Stdout => Destination::Stdout,
        AccessLog::File(path) => Destination::File(path.clone()),
    }
}

/// Carries out a reload and does not panic: a thread that reloads for others goes on. False if it would have.
pub fn attempt(reload: impl FnOnce()) -> bool {
    let went = panic::catch_unwind(panic::AssertUnwindSafe(reload)).is_ok();
    if !went {
        tracing::error!("a reload panicked; what served before still serves");
    }
    went
}

/// Starts the thread that reloads when it is asked to, so that nobody who asks has to wait. It also frees what was retired.
/// `tell` gets each report.
pub fn start_thread(
    reloader: Arc<Reloader>,
    tell: impl Fn(&ReloadReport) + Send + 'static,
) -> std::io::Result<mpsc::Sender<By>> {
    let (ask, asked) = mpsc::channel();
    thread::Builder::new().name("reload".into()).spawn(move || {
        loop {
            match asked.recv_timeout(RETIRED_LOOK) {
                Ok(by) => {
                    // Whoever asked meanwhile is served as well.
                    while asked.try_recv().is_ok() {}
                    attempt(|| tell(&reloader.reload(by)));
                }
                Err(RecvTimeoutError::Timeout) => {
                    reloader.sweep();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok(ask)
}

/// What an operator wants to know: what is served now that was not before, and what needs a restart.
fn changes(old: &Published, new: &Published, doors: &Summary) -> Vec<String> {
    let mut changes = Vec::new();
    let (before, after) = (&old.snapshot, &new.snapshot);
    changes.extend(doors.opened.iter().map(|address| format!("listening on {address}")));
    changes.extend(doors.changed.iter().map(|address| format!("listener {address}: other settings")));
    changes.extend(doors.closed.iter().map(|address| format!("no longer listening on {address}")));
    changes.extend(config::diff::diff(before, after));
    let (was, is) = (&before.gateway, &after.gateway);
    if was.access_log != is.access_log {
        changes.push("the access log goes elsewhere".into());
    }
    let at_restart = [
        ("gateway.admin", was.admin != is.admin),
        ("gateway.control", was.control != is.control),
        ("gateway.workers", was.workers != is.workers),
    ];
    let changed = at_restart.into_iter().filter(|(_, changed)| *changed);
    changes.extend(changed.map(|(field, _)| format!("{field} changed: it takes effect at the next restart")));
    changes
}
