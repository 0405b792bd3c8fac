//! The process: configuration, sockets, workers, the desk, signals, and leaving in good order.

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use admin::Desk;
use admin::orders::ChangeReport;
use config::snapshot::{Gateway, Snapshot};
use config::{Input, Loader};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::CpuSet;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};

use crate::background::Resolver;
use crate::bell::Bell;
use crate::deploy::Deployer;
use crate::doors::{Doors, cannot_listen};
use crate::io::{DriverChoice, DriverKind, Sender, channel, pick};
use crate::listener::Order;
use crate::observe::access_log::Sink;
use crate::observe::metrics::{By, Metrics, Setup};
use crate::observe::writer::Writer;
use crate::reload::{self, Parts as ReloadParts, Reloader, Source, destination};
use crate::state::Published;
use crate::upstream::report;
use crate::watch;
use crate::worker::{self, Message, Parts};

/// Exit codes, after sysexits.h.
pub mod exit {
    /// A needed service is missing: an address in use, `io_uring` demanded and not there.
    pub const UNAVAILABLE: u8 = 69;
    /// A system call that should not fail did.
    pub const OS: u8 = 71;
    /// The configuration is bad.
    pub const CONFIG: u8 = 78;
}

/// What to run.
pub struct Options {
    /// The configuration.
    pub source: Source,
    /// `--io-driver`.
    pub io_driver: DriverChoice,
    /// `--workers`; otherwise the document's, otherwise one per usable core.
    pub workers: Option<NonZeroUsize>,
    /// Called once with the addresses that serve, when everything is ready.
    pub on_ready: Box<dyn FnOnce(&Addresses) + Send>,
}

/// Where a running gateway can be reached; ports are those that the kernel chose, if it was asked to.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// `127.0.0.1:8080`, `unix:/run/x.sock`.
    pub listeners: Vec<String>,
    /// The admin port.
    pub admin: Option<SocketAddr>,
    /// The control socket.
    pub control: Option<PathBuf>,
}

/// Why the process cannot start: the message, and the exit code.
struct Failure(String, u8);

/// Runs the gateway until it is told to leave.
pub fn run(options: Options) -> ExitCode {
    start_logging();
    match run_inner(options) {
        Ok(code) => code,
        Err(Failure(message, code)) => {
            eprintln!("tollgate: {message}");
            ExitCode::from(code)
        }
    }
}

fn run_inner(options: Options) -> Result<ExitCode, Failure> {
    raise_file_limit();
    // Huge pages would back ten thousand small slots with whole 2 MiB steps of memory.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "cannot do without huge pages; memory will be counted in steps of 2 MiB");
    }
    let mut loader = Loader::default();
    let (snapshot, files) = load(&options.source, &mut loader)?;
    let (driver, note) =
        pick(options.io_driver).map_err(|why| Failure(format!("no io_uring: {why}"), exit::UNAVAILABLE))?;
    let cores = usable_cores();
    let workers = options.workers.or(snapshot.gateway.workers).map_or(cores.len().max(1), NonZeroUsize::get);
    let gateway = snapshot.gateway.clone();
    let mut doors = Doors::new(workers);
    let plan = doors.plan(&gateway.listen).map_err(|why| Failure(why, exit::UNAVAILABLE))?;
    let metrics = Metrics::new(Setup {
        workers,
        refusals: &policy::refusal::Refusal::NAMES,
        faults: &policy::fault::Fault::NAMES,
        version: env!("CARGO_PKG_VERSION"),
    });
    metrics.set_driver(driver.name(), &note);
    if (options.io_driver, driver) == (DriverChoice::Auto, DriverKind::Epoll) {
        tracing::warn!(workers, "io driver: epoll, because io_uring cannot be had: {note}");
    } else {
        tracing::info!(workers, "io driver: {} ({note})", driver.name());
    }
    let worker_metrics: Vec<_> = (0..workers).map(|index| metrics.worker(index)).collect();
    let (sinks, log) = Writer::start(destination(&gateway.access_log), &worker_metrics, metrics.writer())
        .map_err(|error| Failure(format!("cannot open the access log: {error}"), exit::OS))?;
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGUSR1])
        .map_err(|error| Failure(format!("cannot handle signals: {error}"), exit::OS))?;
    let first = Published::new(snapshot, None, &metrics);
    let (orders, _) = doors.carry_out(plan);
    let crew = Crew::start(driver, &cores, (&first, &metrics), sinks.into_iter().zip(orders), &signals.handle())?;
    let resolver = start_resolver(&crew)?;
    let parts = ReloadParts {
        source: (options.source, loader),
        first,
        files,
        doors,
        log,
        metrics: metrics.clone(),
        workers: crew.inboxes.clone(),
        resolver,
        bell: Bell::new().map_err(|error| Failure(format!("no eventfd: {error}"), exit::OS))?,
    };
    let reloader = Arc::new(Reloader::new(parts));
    let facts = Facts { driver, note, workers };
    let (desk, addresses) = open_desk(&gateway, (&reloader, &metrics, facts))?;
    let threads = |error: io::Error| Failure(format!("cannot start a thread: {error}"), exit::OS);
    let reload = reload::start_thread(reloader.clone(), tell).map_err(threads)?;
    watch::start(reloader.clone(), metrics, tell).map_err(threads)?;
    let announced = announce(&addresses);
    (options.on_ready)(&addresses);
    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&announced)]);
    let told = serve_signals(&mut signals, &reload, &reloader);
    reloader.leave();
    notify(&[sd_notify::NotifyState::Stopping]);
    let clean = crew.leave(reloader.current().snapshot.gateway.limits.drain_time, &mut signals);
    desk.stop();
    if !reloader.end() {
        tracing::warn!("the access log's reader is stalled: its last lines are lost");
    }
    Ok(if told && clean { ExitCode::SUCCESS } else { ExitCode::from(exit::OS) })
}

fn load(source: &Source, loader: &mut Loader) -> Result<(Snapshot, Vec<Input>), Failure> {
    let loaded = source.load(loader, |_| {});
    let rendered = loaded.diagnostics.render(io::stderr().is_terminal());
    if !rendered.is_empty() {
        eprintln!("{}", rendered.trim_end());
    }
    let snapshot = loaded.snapshot;
    let failure = || Failure("the configuration has errors: nothing was started".into(), exit::CONFIG);
    Ok((snapshot.ok_or_else(failure)?, loaded.files))
}

fn start_logging() {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_env("TOLLGATE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,hickory_resolver=error,hickory_proto=error"));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A second call in one process (tests) keeps the first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).try_init();
}

/// The soft limit of open files is a courtesy to programs that use select(2); we do not.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
}

fn usable_cores() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        Err(_) => vec![0],
    }
}

/// The worker threads and the way to tell them things.
struct Crew {
    threads: Vec<JoinHandle<io::Result<()>>>,
    inboxes: Vec<Sender<Message>>,
    leaving: Arc<AtomicBool>,
}

impl Crew {
    fn start(
        driver: DriverKind,
        cores: &[usize],
        (published, metrics): (&Arc<Published>, &Arc<Metrics>),
        workers: impl Iterator<Item = (Sink, Vec<Order>)>,
        signals: &Handle,
    ) -> Result<Crew, Failure> {
        let mut crew = Crew { threads: Vec::new(), inboxes: Vec::new(), leaving: Arc::default() };
        let (up, ready) = mpsc::channel();
        for (index, (log, doors)) in workers.enumerate() {
            let (inbox, receiver) = channel();
            let parts = Parts {
                index,
                published: published.clone(),
                metrics: metrics.worker(index),
                log,
                inbox: receiver,
                doors,
            };
            let core = cores.get(index % cores.len().max(1)).copied();
            let (up, signals, leaving) = (up.clone(), signals.clone(), crew.leaving.clone());
            let body = move || {
                pin(core);
                let outcome = worker::run_here(driver, parts, up);
                if !leaving.load(Ordering::Acquire) {
                    // A worker that ends unasked ends the process: whoever supervises it starts it anew.
                    signals.close();
                }
                outcome
            };
            let spawned = thread::Builder::new().name(format!("worker-{index}")).spawn(body);
            crew.threads.push(spawned.map_err(|error| Failure(format!("cannot start a worker: {error}"), exit::OS))?);
            crew.inboxes.push(inbox);
        }
        drop(up);
        if ready.iter().take(crew.threads.len()).count() < crew.threads.len() {
            return Err(Failure(crew.why_dead(), exit::OS));
        }
        Ok(crew)
    }

    fn why_dead(self) -> String {
        for thread in self.threads.into_iter().filter(JoinHandle::is_finished) {
            match thread.join() {
                Ok(Err(error)) => return format!("a worker could not start: {error}"),
                Ok(Ok(())) => {}
                Err(_) => return "a worker panicked at its start".into(),
            }
        }
        "a worker could not start".into()
    }

    /// Lets every worker finish what it has; false if one had failed or a second signal cut the wait short.
    fn leave(self, time: Duration, signals: &mut Signals) -> bool {
        self.leaving.store(true, Ordering::Release);
        tracing::info!(?time, "draining: no new connections, requests under way are finished");
        self.inboxes.iter().for_each(|inbox| inbox.send(Message::Drain(time)));
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if signals.pending().any(|signal| matches!(signal, SIGTERM | SIGINT)) {
                tracing::warn!("a second signal: leaving at once");
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.threads.into_iter().all(|thread| match thread.join() {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "a worker failed");
                false
            }
            Err(_) => false,
        })
    }
}

fn pin(core: Option<usize>) {
    let Some(core) = core else { return };
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(%error, core, "cannot pin a worker to its core");
    }
}

fn start_resolver(crew: &Crew) -> Result<Resolver, Failure> {
    let inboxes = crew.inboxes.clone();
    Resolver::start(move |table| inboxes.iter().for_each(|inbox| inbox.send(Message::Names(table.clone()))))
        .map_err(|error| Failure(format!("cannot start the resolver: {error}"), exit::OS))
}

/// Where commands are taken: as configured, or in the directory that the service manager made.
pub fn control_path(gateway: &Gateway) -> Option<PathBuf> {
    let runtime = || std::env::var_os("RUNTIME_DIRECTORY").map(|folder| PathBuf::from(folder).join("control.sock"));
    gateway.control.clone().or_else(runtime)
}

/// What does not change while the process lives.
struct Facts {
    driver: DriverKind,
    note: String,
    workers: usize,
}

fn open_desk(
    gateway: &Gateway,
    (reloader, metrics, facts): (&Arc<Reloader>, &Arc<Metrics>, Facts),
) -> Result<(admin::Running, Addresses), Failure> {
    let mut addresses = Addresses { listeners: reloader.listeners(), ..Addresses::default() };
    let unavailable = |what: &str, error: &io::Error| Failure(cannot_listen(what, error), exit::UNAVAILABLE);
    let admin = match gateway.admin {
        Some(address) => {
            let bound = TcpListener::bind(address).map_err(|error| unavailable(&format!("admin {address}"), &error))?;
            addresses.admin = bound.local_addr().ok();
            Some(bound)
        }
        None => None,
    };
    addresses.control = control_path(gateway);
    let control = match &addresses.control {
        Some(path) => {
            let shown = format!("control socket {}", path.display());
            Some(admin::control::bind(path).map_err(|error| unavailable(&shown, &error))?)
        }
        None => None,
    };
    let shown = addresses.clone();
    let (for_status, for_metrics, for_reload, for_ready) =
        (reloader.clone(), reloader.clone(), reloader.clone(), reloader.clone());
    let deployer = Arc::new(Deployer::new(reloader.clone()));
    let (for_deploy, for_rollback, for_canary, for_list) =
        (deployer.clone(), deployer.clone(), deployer.clone(), deployer);
    let (status_metrics, render) = (metrics.clone(), metrics.clone());
    let desk = Desk {
        status: Box::new(move || status(&for_status, &status_metrics, &shown, &facts)),
        metrics: Box::new(move || {
            render.render(|page| {
                let published = for_metrics.current();
                report::render(&published.snapshot.upstreams, &published.upstreams, page);
            })
        }),
        // The desk opens after the workers serve; while they drain, no new work should be sent here.
        ready: Box::new(move || !for_ready.is_leaving()),
        reload: Box::new(move || {
            let report = for_reload.reload(By::Command);
            tell(&report);
            report
        }),
        deploy: Box::new(move |order| tell_of(for_deploy.deploy(order))),
        rollback: Box::new(move |order| tell_of(for_rollback.rollback(order))),
        canary: Box::new(move |order| tell_of(for_canary.canary(order))),
        deployments: Box::new(move |api| for_list.list(api)),
    };
    let running = admin::start(desk, admin, control);
    Ok((running.map_err(|error| Failure(format!("cannot open the desk: {error}"), exit::OS))?, addresses))
}

fn status(reloader: &Reloader, metrics: &Metrics, addresses: &Addresses, facts: &Facts) -> serde_json::Value {
    let published = reloader.current();
    let snapshot = &published.snapshot;
    let uptime = metrics.started().elapsed().unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "generation": published.generation,
        "uptimeSeconds": uptime.as_secs(),
        "workers": facts.workers,
        "io": {"driver": facts.driver.name(), "note": facts.note},
        "listeners": reloader.listeners(),
        "admin": addresses.admin.map(|address| address.to_string()),
        "apis": snapshot.apis.len(),
        "stages": snapshot.stages.len(),
        "routes": snapshot.methods(),
        "connections": {
            "open": metrics.total(|worker| &worker.connections_open),
            "idle": metrics.total(|worker| &worker.connections_idle),
            "accepted": metrics.total(|worker| &worker.connections_accepted),
        },
        "upstream": {
            "open": metrics.total(|worker| &worker.upstream_connections_open),
            "idle": metrics.total(|worker| &worker.upstream_idle),
            "connects": metrics.total(|worker| &worker.upstream_connects),
            "reuses": metrics.total(|worker| &worker.upstream_reuses),
            "retries": metrics.total(|worker| &worker.upstream_retries),
            "inFlight": metrics.total(|worker| &worker.upstream_in_flight),
        },
        "upstreams": report::status(&published.snapshot.upstreams, &published.upstreams),
        "requests": metrics.total(|worker| &worker.requests),
        "buffersHeld": metrics.total(|worker| &worker.buffers_held),
        "tasks": metrics.total(|worker| &worker.tasks),
        "panics": metrics.total(|worker| &worker.panics),
    })
}

/// One line per address, for people and for the service manager's status.
fn announce(addresses: &Addresses) -> String {
    for listener in &addresses.listeners {
        tracing::info!(address = %listener, "listening");
    }
    if let Some(admin) = addresses.admin {
        tracing::info!(address = %admin, "admin");
    }
    if let Some(path) = &addresses.control {
        tracing::info!(path = %path.display(), "control socket");
    } else {
        tracing::info!("no control socket: set gateway.control to use `tollgate reload` and `tollgate status`");
    }
    format!("serving on {}", addresses.listeners.join(", "))
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot reach the service manager");
    }
}

/// Serves signals until one says to leave (true) or a worker died (false).
fn serve_signals(signals: &mut Signals, reload: &mpsc::Sender<By>, reloader: &Reloader) -> bool {
    for signal in signals.forever() {
        match signal {
            // The thread lives as long as this handle.
            SIGHUP => reload.send(By::Signal).unwrap_or_default(),
            SIGUSR1 => reloader.reopen_log(),
            _ => return true,
        }
    }
    tracing::error!("a worker ended unasked: leaving, so that the service manager starts anew");
    false
}

fn tell_of(report: ChangeReport) -> ChangeReport {
    if let Some(reload) = &report.reload {
        tell(reload);
    }
    report
}

fn tell(report: &admin::ReloadReport) {
    let status = if report.ok {
        tracing::info!(generation = report.generation, took = ?report.took, changes = ?report.changes, "reloaded");
        format!("serving generation {}", report.generation)
    } else {
        tracing::error!(
            "reload refused, generation {} goes on serving:\n{}",
            report.generation,
            report.faults.trim_end()
        );
        format!("reload refused; serving generation {}", report.generation)
    };
    notify(&[sd_notify::NotifyState::Status(&status)]);
}
