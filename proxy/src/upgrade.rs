//! How another executable takes over: started, made ready, given the listening sockets; and all of it undone if it fails.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use admin::{Closer, UpgradeFailure, UpgradeOrder, UpgradeReport};
use config::snapshot::ListenAddress;

use crate::doors::Heirloom;
use crate::handover::{self, Channel, FromHeir, ToHeir};
use crate::inherit::{Inherited, Role};
use crate::limits::{HEIR_LAST_WORDS_TIME, UPGRADE_PAUSE};
use crate::reload::Reloader;

/// Lets another executable take over, once.
pub struct Upgrader {
    reloader: Arc<Reloader>,
    desk: Mutex<Option<DeskDoors>>,
    /// Held while an upgrade is under way; when the last one failed.
    turn: Mutex<Option<Instant>>,
    /// The doors of which another process has the sockets.
    handed_over: OnceLock<Arc<[u64]>>,
}

/// The desk, and copies of its sockets with what the document says of them.
pub struct DeskDoors {
    /// Closes the desk.
    pub closer: Closer,
    /// The admin port.
    pub admin: Option<(SocketAddr, TcpListener)>,
    /// The control socket.
    pub control: Option<(PathBuf, UnixListener)>,
}

/// Why it came to nothing.
struct Undone(UpgradeFailure, String);

impl Undone {
    fn program(what: &str, error: &io::Error) -> Undone {
        Undone(UpgradeFailure::Program, format!("{what}: {error}"))
    }
}

/// A process that is not yet trusted: ended unless it is let go.
struct Trial {
    child: Option<Child>,
    channel: Channel,
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Upgrader {
    /// For the gateway of this reloader.
    pub fn new(reloader: Arc<Reloader>) -> Upgrader {
        Upgrader { reloader, desk: Mutex::new(None), turn: Mutex::new(None), handed_over: OnceLock::new() }
    }

    /// The desk is open.
    pub fn with_desk(&self, desk: DeskDoors) {
        *lock(&self.desk) = Some(desk);
    }

    /// The doors of which another process has the sockets, if one has taken over.
    pub fn handed_over(&self) -> Option<Arc<[u64]>> {
        self.handed_over.get().cloned()
    }

    /// Lets another executable take over. Blocks until it serves, or until it is known why it does not; then nothing has changed.
    pub fn upgrade(&self, order: &UpgradeOrder) -> UpgradeReport {
        let began = Instant::now();
        let (pid, version, failure, why) = match self.attempt(order) {
            Ok((pid, version)) => (pid, version, None, String::new()),
            Err(Undone(failure, why)) => (std::process::id(), String::new(), Some(failure), why),
        };
        UpgradeReport { ok: failure.is_none(), pid, version, took: began.elapsed(), failure, why }
    }

    fn attempt(&self, order: &UpgradeOrder) -> Result<(u32, String), Undone> {
        let mut turn = self.turn()?;
        let outcome = self.hand_over(order);
        *turn = Some(Instant::now());
        outcome
    }

    /// One at a time, and not a thousand times a second.
    fn turn(&self) -> Result<MutexGuard<'_, Option<Instant>>, Undone> {
        let busy = |why: &str| Undone(UpgradeFailure::Busy, why.into());
        let turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(std::sync::TryLockError::WouldBlock) => return Err(busy("another upgrade is under way")),
        };
        if turn.is_some_and(|last| last.elapsed() < UPGRADE_PAUSE) {
            return Err(busy("the one before failed less than a second ago; ask again"));
        }
        Ok(turn)
    }

    fn hand_over(&self, order: &UpgradeOrder) -> Result<(u32, String), Undone> {
        if self.reloader.document().is_none() {
            return Err(Undone(
                UpgradeFailure::Program,
                "a demo cannot be upgraded: its backend is a part of it".into(),
            ));
        }
        // No reload and no deployment meanwhile: the new process reads what this one serves.
        let _alone = self.reloader.alone();
        if self.reloader.is_leaving() {
            return Err(leaving());
        }
        let estate = self.estate().map_err(|error| Undone::program("cannot copy the listening sockets", &error))?;
        let mut trial = start(order)?;
        let until = handover::after(order.time());
        let inherited: Vec<&Inherited> = estate.iter().map(|heirloom| &heirloom.inherited).collect();
        // Whoever does not listen has ended or is no gateway: the answer tells.
        let _ = trial.channel.bequeath(&inherited);
        let (in_use, version) = trial.ready(until, order.time())?;
        let departure = self.reloader.departure().ok_or_else(leaving)?;
        let resting = departure.rest();
        if !resting.is_quiet() {
            return Err(Undone(UpgradeFailure::TimedOut, "a worker did not stop accepting in time".into()));
        }
        trial.serve()?;
        let used = || in_use.iter().filter_map(|at| estate.get(*at));
        let doors: Vec<u64> = used().filter_map(|heirloom| heirloom.door).collect();
        resting.for_good(&doors);
        departure.is_final();
        let pid = trial.let_go();
        if let Some(DeskDoors { closer, .. }) = lock(&self.desk).take() {
            closer.hand_over(used().any(|heirloom| heirloom.inherited.role == Role::Control));
        }
        let _ = self.handed_over.set(doors.into());
        wake_the_supervisor();
        Ok((pid, version))
    }

    fn estate(&self) -> io::Result<Vec<Heirloom>> {
        let mut estate = self.reloader.heirlooms()?;
        let mut add = |role, said, address, socket: OwnedFd| {
            let inherited =
                Inherited { role, said: Some(said), address, activated: false, dual: false, sockets: vec![socket] };
            estate.push(Heirloom { door: None, inherited });
        };
        let desk = lock(&self.desk);
        let Some(desk) = &*desk else { return Ok(estate) };
        if let Some((said, listener)) = &desk.admin {
            let address = ListenAddress::Tcp(listener.local_addr()?);
            add(Role::Admin, ListenAddress::Tcp(*said), address, listener.try_clone()?.into());
        }
        if let Some((path, listener)) = &desk.control {
            let address = ListenAddress::Unix(path.clone());
            add(Role::Control, address.clone(), address, listener.try_clone()?.into());
        }
        Ok(estate)
    }
}

/// The thread that serves signals hears of it as of any signal.
fn wake_the_supervisor() {
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR2) {
        tracing::error!(%error, "cannot end: another process serves");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leaving() -> Undone {
    Undone(UpgradeFailure::Leaving, "the gateway is leaving".into())
}

/// Starts the executable as this process was started; by default under the name under which this one was.
fn start(order: &UpgradeOrder) -> Result<Trial, Undone> {
    let mut words = std::env::args_os();
    let own = words.next().unwrap_or_else(|| OsString::from("tollgate"));
    let program = order.binary.clone().map_or(own, OsString::from);
    let no_channel = |error: io::Error| Undone::program("cannot make a socket pair", &error);
    let (channel, end) = Channel::new().map_err(no_channel)?;
    let mut command = Command::new(&program);
    // They speak of this process, not of that one.
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
    command.args(words).env(handover::VARIABLE, "1").stdin(Stdio::from(end));
    let child = command
        .spawn()
        .map_err(|error| Undone::program(&format!("cannot start {}", program.to_string_lossy()), &error))?;
    Ok(Trial { child: Some(child), channel })
}

impl Trial {
    /// Waits until it could serve.
    fn ready(&mut self, until: Instant, time: Duration) -> Result<(Vec<usize>, String), Undone> {
        match self.channel.receive(until) {
            Ok(FromHeir::Ready { in_use, version }) => Ok((in_use, version)),
            Ok(FromHeir::Failed { failure, why }) => Err(Undone(failure, why)),
            Ok(FromHeir::Serving) => Err(Undone(UpgradeFailure::Program, "the new process serves unasked".into())),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let why = format!("the new process was not ready within {} s, and was ended", time.as_secs());
                Err(Undone(UpgradeFailure::TimedOut, why))
            }
            Err(error) => Err(self.how_it_ended(&error)),
        }
    }

    /// Lets it accept; from here on both must not.
    fn serve(&mut self) -> Result<(), Undone> {
        let heard = self.channel.send(&ToHeir::Serve).and_then(|()| self.channel.receive(handover::step()));
        match heard {
            Ok(FromHeir::Serving) => Ok(()),
            Ok(FromHeir::Failed { failure, why }) => Err(Undone(failure, why)),
            Ok(FromHeir::Ready { .. }) => Err(Undone(UpgradeFailure::Program, "the new process repeats itself".into())),
            Err(error) => Err(self.how_it_ended(&error)),
        }
    }

    /// It is the gateway from now on.
    fn let_go(mut self) -> u32 {
        let pid = self.child.take().map_or(0, |child| child.id());
        crate::service::main_process_is(pid);
        // It goes on without a word as well.
        let _ = self.channel.send(&ToHeir::Reign);
        pid
    }

    /// The channel broke: most likely because the process ended.
    fn how_it_ended(&mut self, error: &io::Error) -> Undone {
        let until = Instant::now() + HEIR_LAST_WORDS_TIME;
        while let Some(child) = &mut self.child
            && Instant::now() < until
        {
            if let Ok(Some(status)) = child.try_wait() {
                let why = format!("the new process ended before it served ({status}); what it said is in the log");
                return Undone(UpgradeFailure::Program, why);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Undone(UpgradeFailure::Program, format!("the new process does not answer: {error}"))
    }
}
