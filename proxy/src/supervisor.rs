//! The process: configuration, sockets, workers, the desk, signals, and leaving in good order.

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use admin::orders::ChangeReport;
use admin::{Desk, UpgradeFailure, UpgradeOrder, UpgradeReport};
use config::snapshot::{Gateway, KeySource, ListenAddress, Snapshot};
use config::{Input, Loader};
use rustix::thread::CpuSet;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::background::Resolver;
use crate::bell::Bell;
use crate::callers::Callers;
use crate::colleagues::{Colleagues, Seat};
use crate::deploy::Deployer;
use crate::doors::{Doors, cannot_listen};
use crate::files::{self, Share};
use crate::first;
use crate::handover::Heir;
use crate::inherit::{self, Inherited, Role};
use crate::io::{DriverChoice, DriverKind, Sender, channel, pick};
use crate::listener::Order;
use crate::observe::access_log::Sink;
use crate::observe::metrics::{By, Metrics, Setup, set};
use crate::observe::writer::Writer;
use crate::overload::Level;
use crate::panics;
use crate::protected;
use crate::reload::{self, Parts as ReloadParts, Reloader, Source, destination};
use crate::service;
use crate::state::Published;
use crate::tokens;
use crate::tokens::keeper::KeyKeeper;
use crate::tokens::keys::Asker;
use crate::upgrade::{DeskDoors, Upgrader};
use crate::upstream::health::Keeper;
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
    panics::tell_in_the_log();
    let mut heir = None;
    match origin(&mut heir).and_then(|inherited| run_inner(options, inherited, &mut heir)) {
        Ok(code) => code,
        Err(Failure(message, code)) => {
            eprintln!("tollgate: {message}");
            if let Some(heir) = heir {
                heir.failed(failure_of(code), message);
            }
            ExitCode::from(code)
        }
    }
}

/// What was made for this process: by the one before, or by the service manager.
fn origin(heir: &mut Option<Heir>) -> Result<Vec<Inherited>, Failure> {
    if let Some((taken, inherited)) = Heir::take_up().map_err(|why| Failure(why, exit::UNAVAILABLE))? {
        *heir = Some(taken);
        return Ok(inherited);
    }
    let bad = |error: io::Error| Failure(format!("the service manager's sockets: {error}"), exit::UNAVAILABLE);
    let (inherited, useless) = inherit::from_service_manager().map_err(bad)?;
    for why in useless {
        tracing::warn!("{why}");
    }
    Ok(inherited)
}

fn failure_of(code: u8) -> UpgradeFailure {
    match code {
        exit::CONFIG => UpgradeFailure::Document,
        exit::UNAVAILABLE => UpgradeFailure::Resource,
        _ => UpgradeFailure::Program,
    }
}

fn run_inner(options: Options, inherited: Vec<Inherited>, heir: &mut Option<Heir>) -> Result<ExitCode, Failure> {
    let open_files = prepare_process();
    let mut loader = Loader::default();
    let (snapshot, files) = load(&options.source, &mut loader, heir.is_some())?;
    let (driver, note) =
        pick(options.io_driver).map_err(|why| Failure(format!("no io_uring: {why}"), exit::UNAVAILABLE))?;
    let cores = usable_cores();
    let workers = options.workers.or(snapshot.gateway.workers).map_or(cores.len().max(1), NonZeroUsize::get);
    let gateway = snapshot.gateway.clone();
    let share = Share::of(open_files, workers);
    share.warn(gateway.limits.connections);
    let mut doors = Doors::new(workers, inherited);
    let plan = doors.plan(&gateway.listen).map_err(|why| Failure(why, exit::UNAVAILABLE))?;
    let metrics = count(workers, options.io_driver, (driver, &note));
    let worker_metrics: Vec<_> = (0..workers).map(|index| metrics.worker(index)).collect();
    let (sinks, log) = Writer::start(destination(&gateway.access_log), &worker_metrics, metrics.writer())
        .map_err(|error| Failure(format!("cannot open the access log: {error}"), exit::OS))?;
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2])
        .map_err(|error| Failure(format!("cannot handle signals: {error}"), exit::OS))?;
    let first = Published::new(snapshot, None, &metrics);
    let (asker, asked) = tokens::keys::channel();
    let crew = Crew::start(driver, (&cores, share), (&first, &metrics), (sinks, asker), &signals.handle())?;
    let (resolver, keys) = (start_resolver(&crew)?, start_key_keeper(&crew, asked));
    let usage = first.counts.usage().clone();
    let (orders, _) = doors.carry_out(plan);
    let desk_sockets = DeskSockets::bind(&gateway, &mut doors)?;
    if let Some(heir) = heir {
        heir.ready(doors.in_use()).map_err(|why| Failure(why, exit::UNAVAILABLE))?;
    }
    doors.take_possession();
    crew.open(orders);
    let keeper = start_keeper(&first)?;
    let parts = ReloadParts {
        source: (options.source, loader),
        first,
        files,
        doors,
        log,
        metrics: metrics.clone(),
        workers: crew.inboxes.clone(),
        share,
        resolver,
        keys,
        keeper,
        bell: Bell::new().map_err(|error| Failure(format!("no eventfd: {error}"), exit::OS))?,
    };
    let reloader = Arc::new(Reloader::new(parts));
    let upgrader = Arc::new(Upgrader::new(reloader.clone()));
    let facts = Facts { driver, note, workers, share };
    let (desk, addresses) = open_desk(desk_sockets, (&reloader, &upgrader, &metrics, facts))?;
    let threads = |error: io::Error| Failure(format!("cannot start a thread: {error}"), exit::OS);
    let reload = reload::start_thread(reloader.clone(), tell).map_err(threads)?;
    watch::start(reloader.clone(), metrics, tell).map_err(threads)?;
    usage.start().map_err(threads)?;
    service::start_watchdog(worker_metrics, desk.closer()).map_err(threads)?;
    if let Some(heir) = heir.take() {
        heir.serving();
    }
    announce(&reloader, &addresses);
    (options.on_ready)(&addresses);
    let told = serve_signals(&mut signals, &reload, &reloader, &upgrader);
    let clean = leave(crew, &reloader, &upgrader, &mut signals);
    desk.stop();
    usage.finish();
    if !reloader.end() {
        tracing::warn!("the access log's reader is stalled: its last lines are lost");
    }
    Ok(if told && clean { ExitCode::SUCCESS } else { ExitCode::from(exit::OS) })
}

/// Returns how many files may be open.
fn prepare_process() -> u64 {
    let open_files = files::raise();
    // Huge pages would back ten thousand small slots with whole 2 MiB steps of memory.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "cannot do without huge pages; memory will be counted in steps of 2 MiB");
    }
    open_files
}

/// The counters, which know the driver; so does the log.
fn count(workers: usize, wanted: DriverChoice, (driver, note): (DriverKind, &str)) -> Arc<Metrics> {
    let metrics = Metrics::new(Setup {
        workers,
        refusals: &policy::refusal::Refusal::NAMES,
        faults: &policy::fault::Fault::NAMES,
        version: env!("CARGO_PKG_VERSION"),
    });
    metrics.set_driver(driver.name(), note);
    if (wanted, driver) == (DriverChoice::Auto, DriverKind::Epoll) {
        tracing::warn!(workers, "io driver: epoll, because io_uring cannot be had: {note}");
    } else {
        tracing::info!(workers, "io driver: {} ({note})", driver.name());
    }
    metrics
}

/// Lets the workers finish what they have: all of it, or what is left when another process serves.
fn leave(crew: Crew, reloader: &Reloader, upgrader: &Upgrader, signals: &mut Signals) -> bool {
    reloader.leave();
    let handed_over = upgrader.handed_over();
    if handed_over.is_none() {
        service::stopping();
    }
    // Whoever stops the service tells all of its processes: for one that was leaving anyway that is no second word.
    let patience = if handed_over.is_some() { 2 } else { 1 };
    crew.leaving.store(true, Ordering::Release);
    tracing::info!(
        handed_over = handed_over.is_some(),
        "draining: no new connections, requests under way are finished"
    );
    reloader.drain(handed_over.unwrap_or_default());
    crew.end(patience, signals)
}

/// `for_heir`: somebody else wants to hear the errors as well.
fn load(source: &Source, loader: &mut Loader, for_heir: bool) -> Result<(Snapshot, Vec<Input>), Failure> {
    let mut loaded = source.load(loader, |_| {});
    if loaded.snapshot.as_ref().is_some_and(first::prepare) {
        loaded = source.load(loader, |_| {});
    }
    let rendered = loaded.diagnostics.render(io::stderr().is_terminal() && !for_heir);
    let Some(snapshot) = loaded.snapshot else {
        let (before, behind) = if for_heir { ("", rendered.trim_end()) } else { (rendered.trim_end(), "") };
        if !before.is_empty() {
            eprintln!("{before}");
        }
        let separator = if behind.is_empty() { "" } else { "\n" };
        let message = format!("the configuration has errors: nothing was started{separator}{behind}");
        return Err(Failure(message, exit::CONFIG));
    };
    if !rendered.is_empty() {
        eprintln!("{}", rendered.trim_end());
    }
    Ok((snapshot, loaded.files))
}

fn start_logging() {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_env("TOLLGATE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,hickory_resolver=error,hickory_proto=error"));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A second call in one process (tests) keeps the first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).try_init();
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
        (cores, share): (&[usize], Share),
        (published, metrics): (&Arc<Published>, &Arc<Metrics>),
        (sinks, asker): (Vec<Sink>, Asker),
        signals: &Handle,
    ) -> Result<Crew, Failure> {
        let callers = Arc::<Callers>::default();
        let mut crew = Crew { threads: Vec::new(), inboxes: Vec::new(), leaving: Arc::default() };
        let (up, ready) = mpsc::channel();
        let (seats, newcomers): (Vec<_>, Vec<_>) =
            (0..sinks.len()).map(|index| Seat::new(metrics.worker(index))).unzip();
        let seats: Arc<[Seat]> = seats.into();
        for (index, (log, newcomers)) in sinks.into_iter().zip(newcomers).enumerate() {
            let (inbox, receiver) = channel();
            let parts = Parts {
                index,
                published: published.clone(),
                metrics: metrics.worker(index),
                log,
                inbox: receiver,
                share,
                callers: callers.clone(),
                colleagues: Colleagues::new(seats.clone(), index),
                newcomers,
                asker: asker.clone(),
            };
            let core = cores.get(index % cores.len().max(1)).copied();
            let (up, signals, leaving) = (up.clone(), signals.clone(), crew.leaving.clone());
            let metrics = metrics.worker(index);
            let body = move || {
                pin(core);
                let outcome = worker::run_here(driver, parts, up);
                set(&metrics.heartbeat, service::ENDED);
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

    /// Lets everybody in.
    fn open(&self, orders: Vec<Vec<Order>>) {
        self.inboxes.iter().zip(orders).for_each(|(inbox, orders)| inbox.send(Message::Open(orders)));
    }

    /// Waits until every worker has finished what it has; false if one had failed or so many signals cut the wait short.
    fn end(self, mut patience: u32, signals: &mut Signals) -> bool {
        let mut extension = service::Patience::new();
        while !self.threads.iter().all(JoinHandle::is_finished) {
            let impatient = signals.pending().filter(|signal| matches!(*signal, SIGTERM | SIGINT)).count();
            patience = patience.saturating_sub(impatient.min(1) as u32);
            if patience == 0 {
                tracing::warn!("a second signal: leaving at once");
                return false;
            }
            extension.go_on();
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

fn start_key_keeper(crew: &Crew, asked: UnboundedReceiver<KeySource>) -> KeyKeeper {
    let inboxes = crew.inboxes.clone();
    KeyKeeper::new(asked, move |table| inboxes.iter().for_each(|inbox| inbox.send(Message::Keys(table.clone()))))
}

fn start_keeper(first: &Published) -> Result<Keeper, Failure> {
    let keeper = Keeper::default();
    let kept = keeper.keep(&first.snapshot.upstreams, &first.upstreams, first.outbound.all());
    kept.map_err(|error| Failure(format!("cannot start the keeper of health: {error}"), exit::OS))?;
    Ok(keeper)
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
    share: Share,
}

/// The desk's sockets and what the document says of them.
struct DeskSockets {
    admin: Option<(SocketAddr, TcpListener)>,
    control: Option<(PathBuf, UnixListener)>,
}

impl DeskSockets {
    /// Inherited, or bound.
    fn bind(gateway: &Gateway, doors: &mut Doors) -> Result<DeskSockets, Failure> {
        let unavailable = |what: &str, error: &io::Error| Failure(cannot_listen(what, error), exit::UNAVAILABLE);
        let admin = match gateway.admin {
            Some(address) => {
                let bind =
                    || TcpListener::bind(address).map_err(|error| unavailable(&format!("admin {address}"), &error));
                let inherited = doors.desk_socket(Role::Admin, &ListenAddress::Tcp(address));
                Some((address, inherited.map_or_else(bind, |socket| Ok(socket.into()))?))
            }
            None => None,
        };
        let control = match control_path(gateway) {
            Some(path) => {
                let shown = || format!("control socket {}", path.display());
                let bind = || admin::control::bind(&path).map_err(|error| unavailable(&shown(), &error));
                let inherited = doors.desk_socket(Role::Control, &ListenAddress::Unix(path.clone()));
                let socket = inherited.map_or_else(bind, |socket| Ok(socket.into()))?;
                Some((path, socket))
            }
            None => None,
        };
        Ok(DeskSockets { admin, control })
    }

    /// A second set, for the process that may follow.
    fn copies(&self) -> io::Result<DeskSockets> {
        let admin = self.admin.as_ref().map(|(said, socket)| Ok::<_, io::Error>((*said, socket.try_clone()?)));
        let control =
            self.control.as_ref().map(|(path, socket)| Ok::<_, io::Error>((path.clone(), socket.try_clone()?)));
        Ok(DeskSockets { admin: admin.transpose()?, control: control.transpose()? })
    }
}

fn open_desk(
    sockets: DeskSockets,
    (reloader, upgrader, metrics, facts): (&Arc<Reloader>, &Arc<Upgrader>, &Arc<Metrics>, Facts),
) -> Result<(admin::Running, Addresses), Failure> {
    let closed = |error: io::Error| Failure(format!("cannot open the desk: {error}"), exit::OS);
    let addresses = Addresses {
        listeners: reloader.listeners(),
        admin: sockets.admin.as_ref().and_then(|(_, socket)| socket.local_addr().ok()),
        control: sockets.control.as_ref().map(|(path, _)| path.clone()),
    };
    let DeskSockets { admin: admin_copy, control: control_copy } = sockets.copies().map_err(closed)?;
    let shown = addresses.clone();
    let (for_status, for_metrics, for_reload, for_ready) =
        (reloader.clone(), reloader.clone(), reloader.clone(), reloader.clone());
    let deployer = Arc::new(Deployer::new(reloader.clone()));
    let (for_deploy, for_rollback, for_canary, for_prune, for_list) =
        (deployer.clone(), deployer.clone(), deployer.clone(), deployer.clone(), deployer);
    let (status_metrics, render, for_upgrade) = (metrics.clone(), metrics.clone(), upgrader.clone());
    let desk = Desk {
        status: Box::new(move || status(&for_status, &status_metrics, &shown, &facts)),
        metrics: Box::new(move || {
            render.render(|page| {
                let published = for_metrics.current();
                report::render(&published.snapshot.upstreams, &published.upstreams, page);
                protected::render(&published.snapshot, page);
                for_metrics.keys.report.render(page);
                published.counts.usage().render(page);
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
        prune: Box::new(move |order| for_prune.prune(order)),
        deployments: Box::new(move |api| for_list.list(api)),
        upgrade: Box::new(move |order| tell_of_upgrade(for_upgrade.upgrade(order))),
    };
    let admin = sockets.admin.map(|(_, socket)| socket);
    let running = admin::start(desk, admin, sockets.control.map(|(_, socket)| socket)).map_err(closed)?;
    upgrader.with_desk(DeskDoors { closer: running.closer(), admin: admin_copy, control: control_copy });
    Ok((running, addresses))
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
            "most": u64::from(snapshot.gateway.limits.connections.min(facts.share.clients)) * facts.workers as u64,
        },
        "overload": {
            "level": Level::NAMES[metrics.most(|worker| &worker.overload_level).min(3) as usize],
            "idleClosed": metrics.total(|worker| &worker.overload_idle_closed),
            "ended": metrics.total(|worker| &worker.overload_ended),
            "refused": metrics.total(|worker| &worker.overload_refused),
            "refusedPerAddress": metrics.total(|worker| &worker.address_refused),
            "refusedRequests": metrics.total(|worker| &worker.requests_refused),
            "acceptPauses": metrics.total(|worker| &worker.overload_pauses),
        },
        "openFiles": facts.share.files,
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
        "usageInMemory": published.counts.usage().in_memory(),
        "tunnels": {
            "open": metrics.total(|worker| &worker.tunnels_open),
            "opened": metrics.total(|worker| &worker.tunnels_opened),
        },
        "buffersHeld": metrics.total(|worker| &worker.buffers_held),
        "tasks": metrics.total(|worker| &worker.tasks),
        "panics": metrics.total(|worker| &worker.panics),
    })
}

/// Says that it serves, and where: a line for each address, and the service manager's status.
fn announce(reloader: &Reloader, addresses: &Addresses) {
    for address in reloader.unanswered() {
        tracing::warn!(
            %address,
            "the service manager listens here, and no listener of the document does: whoever comes is not answered"
        );
    }
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
    service::ready(&format!("serving on {}", addresses.listeners.join(", ")));
}

/// Serves signals until one says to leave (true) or a worker died (false).
fn serve_signals(
    signals: &mut Signals,
    reload: &mpsc::Sender<By>,
    reloader: &Reloader,
    upgrader: &Arc<Upgrader>,
) -> bool {
    for signal in signals.forever() {
        match signal {
            // The thread lives as long as this handle.
            SIGHUP => reload.send(By::Signal).unwrap_or_default(),
            SIGUSR1 => reloader.reopen_log(),
            // Ours: another process serves.
            SIGUSR2 if upgrader.handed_over().is_some() => return true,
            SIGUSR2 => upgrade_apart(upgrader.clone()),
            _ => return true,
        }
    }
    tracing::error!("a worker ended unasked: leaving, so that the service manager starts anew");
    false
}

/// Upgrades without keeping other signals waiting.
fn upgrade_apart(upgrader: Arc<Upgrader>) {
    let upgrade = move || {
        tell_of_upgrade(upgrader.upgrade(&UpgradeOrder::default()));
    };
    if let Err(error) = thread::Builder::new().name("upgrade".into()).spawn(upgrade) {
        tracing::error!(%error, "no upgrade: cannot start a thread");
    }
}

fn tell_of_upgrade(report: UpgradeReport) -> UpgradeReport {
    let UpgradeReport { ok, pid, version, took, failure: _, why } = &report;
    if *ok {
        tracing::info!(pid, version, ?took, "another process serves; this one finishes what it has");
    } else {
        tracing::error!("no upgrade, this process goes on serving: {why}");
    }
    report
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
    service::status(&status);
}
