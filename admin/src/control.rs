//! The control socket: commands for the owner of the process, and the client that `tollgate reload`, `deploy` and others use.
//!
//! A line of JSON each way: `{"command":"reload"}` is answered by `{"answer":…}` or `{"error":"…"}`. Several commands may
//! follow each other on a connection.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::time::{sleep, timeout};

use crate::desk::Desk;
use crate::limits;
use crate::orders::{CanaryActionOrder, DeployOrder, PruneOrder, RollbackOrder};
use crate::seldom::Seldom;
use crate::stage::{OpenDoor, Stage, Stop};
use crate::upgrade::UpgradeOrder;

/// What may be commanded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Load the configuration again. The answer is a [`ReloadReport`](crate::ReloadReport).
    Reload,
    /// The state of the gateway, as at `/status`.
    Status,
    /// Deploy. The answer is a [`ChangeReport`](crate::orders::ChangeReport).
    Deploy(DeployOrder),
    /// Go back. The answer is a [`ChangeReport`](crate::orders::ChangeReport).
    Rollback(RollbackOrder),
    /// Do something with a canary. The answer is a [`ChangeReport`](crate::orders::ChangeReport).
    Canary(CanaryActionOrder),
    /// Forget what is of no use any more. The answer is a [`ChangeReport`](crate::orders::ChangeReport).
    Prune(PruneOrder),
    /// List an API's deployments. The answer is a [`Listing`](crate::orders::Listing).
    Deployments {
        /// The API's id.
        api: String,
    },
    /// Let another executable take over. The answer is an [`UpgradeReport`](crate::UpgradeReport).
    Upgrade(UpgradeOrder),
}

impl Command {
    /// How long a client waits for the answer.
    fn patience(&self) -> Duration {
        match self {
            Command::Upgrade(order) => order.time() + limits::UPGRADE_CALL_MARGIN,
            Command::Status => limits::STATUS_CALL_TIME,
            // All of them load documents, or wait for those that do.
            Command::Reload
            | Command::Deploy(_)
            | Command::Rollback(_)
            | Command::Canary(_)
            | Command::Prune(_)
            | Command::Deployments { .. } => limits::RELOAD_CALL_TIME,
        }
    }
}

/// Why a command has no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody listens at the socket: the gateway does not run, or runs with another socket.
    NotRunning(PathBuf),
    /// The file system forbids it, before the gateway was asked.
    Denied(PathBuf),
    /// The gateway refused the command, and says why.
    Refused(String),
    /// No answer in time. A reload may still be under way.
    TimedOut(Duration),
    /// The answer is not one that this version understands.
    Garbled(String),
    /// The connection broke.
    Broken(io::Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(path) => write!(f, "no gateway listens at {}", path.display()),
            Self::Denied(path) => {
                write!(f, "no permission to use {}: only the gateway's user and root may", path.display())
            }
            Self::Refused(why) => write!(f, "the gateway refused: {why}"),
            Self::TimedOut(time) => write!(f, "no answer within {} s", time.as_secs()),
            Self::Garbled(what) => write!(f, "the answer makes no sense: {what}"),
            Self::Broken(error) => write!(f, "the connection to the gateway broke: {error}"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            _ => None,
        }
    }
}

/// Listens at `path`, mode 0600. The socket that a dead process left there is replaced.
///
/// # Errors
/// `AddrInUse` when a living process listens there; `AlreadyExists` when the path is something else than a socket;
/// `InvalidInput` when the path is too long for a socket (107 bytes); otherwise what the file system says.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let address = SocketAddrUnix::new(path).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: too long for a socket (107 bytes)", path.display()))
    })?;
    // Two processes that find the same dead socket must not take each other's new one away.
    let _lock = lock(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    clear(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Linux gives a new socket file the mode of the socket (less the umask): there is no moment in which it is wider.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, limits::CONTROL_BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Locks the folder against another [`bind`]; the lock goes with the file.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    let deadline = Instant::now() + limits::BIND_LOCK_TIME;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(limits::BIND_LOCK_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes a dead socket at `path`.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let fault = |kind, what: &str| Err(io::Error::new(kind, format!("{}: {what}", path.display())));
    if !found.file_type().is_socket() {
        return fault(io::ErrorKind::AlreadyExists, "exists and is not a socket");
    }
    match UnixStream::connect(path) {
        Ok(_) => fault(io::ErrorKind::AddrInUse, "another process listens here"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The file of a bound socket, remembered so that the end removes this one and no successor's.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Socket {
    /// The file behind a listener; none if it has no name in the file system.
    pub(crate) fn of(listener: &UnixListener) -> Option<Socket> {
        let path = listener.local_addr().ok()?.as_pathname()?.to_path_buf();
        let file = fs::symlink_metadata(&path).ok()?;
        Some(Socket { path, device: file.dev(), inode: file.ino() })
    }

    /// Removes the file if it is still the same.
    pub(crate) fn remove(self) {
        let same = |file: fs::Metadata| file.dev() == self.device && file.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(same)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "control socket not removed");
        }
    }
}

/// Takes commands until the desk is no longer open, then gives those under way [`limits::GRACE_TIME`] after its end.
pub(crate) async fn serve((listener, open): (tokio::net::UnixListener, OpenDoor), desk: Arc<Desk>, mut stop: Stop) {
    let room = Arc::new(Room { desk, turn: Mutex::new(()) });
    let places = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS));
    let mut errors = Seldom::default();
    let mut talks: VecDeque<Arc<Talk>> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stage| *stage > Stage::Open) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                make_room(&places, &mut talks);
                let place = tokio::select! {
                    place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
                    _ = stop.wait_for(|stage| *stage > Stage::Open) => break,
                };
                let talk = Arc::new(Talk::default());
                talks.push_back(talk.clone());
                let (room, mut stop, goes_on) = (room.clone(), stop.clone(), stop.clone());
                tokio::spawn(async move {
                    let given_up = async {
                        let _ = stop.wait_for(|stage| *stage == Stage::Stopped).await;
                        sleep(limits::GRACE_TIME).await;
                    };
                    tokio::select! {
                        () = converse(stream, &talk, &room, goes_on) => {}
                        () = given_up => {}
                    }
                    drop((talk, place));
                });
            }
            Err(error) => {
                if let Some(failures) = errors.say(Instant::now()) {
                    tracing::warn!(%error, failures, "control socket: accept failed");
                }
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, open));
    let _ = stop.wait_for(|stage| *stage == Stage::Stopped).await;
    let all = u32::try_from(limits::CONTROL_CONNECTIONS).expect("a small constant");
    let _ = timeout(limits::GRACE_TIME, places.acquire_many(all)).await;
}

/// A connection, as others see it.
#[derive(Default)]
struct Talk {
    /// A command is under way.
    busy: AtomicBool,
    /// Somebody else needs the place.
    leave: Notify,
}

/// Where all places are taken, whoever has been silent for longest goes: no number of silent peers keeps a command waiting.
fn make_room(places: &Semaphore, talks: &mut VecDeque<Arc<Talk>>) {
    talks.retain(|talk| Arc::strong_count(talk) > 1);
    if places.available_permits() == 0
        && let Some(silent) = talks.iter().position(|talk| !talk.busy.load(Ordering::Relaxed))
        && let Some(silent) = talks.remove(silent)
    {
        silent.leave.notify_one();
    }
}

/// What the connections share.
struct Room {
    desk: Arc<Desk>,
    /// Held while something is changed: the next one waits.
    turn: Mutex<()>,
}

/// Command after command, until the peer or the desk leaves.
async fn converse(stream: tokio::net::UnixStream, talk: &Talk, room: &Room, mut stop: Stop) {
    let stranger = stranger(&stream);
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    loop {
        let line = tokio::select! {
            biased;
            line = next_line(&mut from) => line,
            _ = stop.wait_for(|stage| *stage > Stage::Open) => return,
            () = talk.leave.notified() => return,
        };
        talk.busy.store(true, Ordering::Relaxed);
        let (reply, goes_on) = match (line, &stranger) {
            (Line::End, _) => return,
            (_, Some(why)) => (Err(why.clone()), false),
            (Line::TooLong, None) => (Err(format!("a command has at most {} bytes", limits::COMMAND_BYTES)), false),
            (Line::Whole(line), None) => (perform(&line, room).await, true),
        };
        let mut text = match reply {
            Ok(answer) => json!({ "answer": answer }),
            Err(why) => json!({ "error": why }),
        }
        .to_string();
        text.push('\n');
        let sent = timeout(limits::ANSWER_TIME, to.write_all(text.as_bytes())).await;
        if !goes_on || !matches!(sent, Ok(Ok(()))) {
            return;
        }
        talk.busy.store(false, Ordering::Relaxed);
    }
}

/// Why the peer may not command, if so: only the user of this process and root may.
fn stranger(stream: &tokio::net::UnixStream) -> Option<String> {
    match socket_peercred(stream) {
        Ok(peer) if is_allowed(peer.uid.as_raw(), rustix::process::geteuid().as_raw()) => None,
        Ok(peer) => {
            tracing::warn!(uid = peer.uid.as_raw(), "control socket: command from a stranger refused");
            Some(format!("uid {} is neither the gateway's user nor root", peer.uid.as_raw()))
        }
        Err(error) => Some(format!("no peer credentials: {error}")),
    }
}

const fn is_allowed(peer: u32, ours: u32) -> bool {
    peer == ours || peer == 0
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    /// The peer left, was silent for too long, or its connection broke.
    End,
}

async fn next_line(from: &mut (impl AsyncBufReadExt + Unpin)) -> Line {
    let mut line = Vec::new();
    let mut bounded = from.take(limits::COMMAND_BYTES as u64);
    match timeout(limits::COMMAND_TIME, bounded.read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) if line.ends_with(b"\n") => Line::Whole(line),
        Ok(Ok(length)) if length == limits::COMMAND_BYTES => Line::TooLong,
        _ => Line::End,
    }
}

async fn perform(line: &[u8], room: &Room) -> Result<Value, String> {
    match serde_json::from_slice(line).map_err(|error| format!("not a known command: {error}"))? {
        Command::Status => Ok((room.desk.status)()),
        Command::Reload => {
            let report = in_turn(room, |desk| (desk.reload)()).await?;
            tracing::info!(ok = report.ok, generation = report.generation, "reload commanded");
            told(&report)
        }
        Command::Deploy(order) => {
            tracing::info!(api = order.api, stage = order.stage, canary = order.canary.is_some(), "deploy commanded");
            told(&in_turn(room, move |desk| (desk.deploy)(&order)).await?)
        }
        Command::Rollback(order) => {
            tracing::info!(api = order.api, stage = order.stage, to = order.id, "rollback commanded");
            told(&in_turn(room, move |desk| (desk.rollback)(&order)).await?)
        }
        Command::Canary(order) => {
            tracing::info!(api = order.api, stage = order.stage, action = order.action.as_str(), "canary commanded");
            told(&in_turn(room, move |desk| (desk.canary)(&order)).await?)
        }
        Command::Prune(order) => {
            tracing::info!(api = order.api, "prune commanded");
            told(&in_turn(room, move |desk| (desk.prune)(&order)).await?)
        }
        // Not in turn: whoever asks meanwhile is told so at once.
        Command::Upgrade(order) => {
            tracing::info!(binary = ?order.binary, "upgrade commanded");
            told(&apart(room, move |desk| (desk.upgrade)(&order)).await?)
        }
        Command::Deployments { api } => told(&in_turn(room, move |desk| (desk.deployments)(&api)).await?),
    }
}

/// Does what may take long on a thread of its own, one at a time.
async fn in_turn<T: Send + 'static>(room: &Room, work: impl FnOnce(&Desk) -> T + Send + 'static) -> Result<T, String> {
    let _turn = room.turn.lock().await;
    apart(room, work).await
}

/// Does what may take long on a thread of its own.
async fn apart<T: Send + 'static>(room: &Room, work: impl FnOnce(&Desk) -> T + Send + 'static) -> Result<T, String> {
    let desk = room.desk.clone();
    tokio::task::spawn_blocking(move || work(&desk)).await.map_err(|error| {
        tracing::error!(%error, "a command panicked");
        "the command panicked; the configuration from before it still serves".to_owned()
    })
}

fn told(answer: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// Sends one command to the gateway that listens at `path`, and waits for the answer: 10 s for a status, 120 s for what loads
/// documents, for an upgrade a minute more than it may take. Blocking.
///
/// # Errors
/// See [`CallError`]. A reload that failed is not one of them: it is an answer with `ok: false`.
pub fn call(path: &Path, command: impl Borrow<Command>) -> Result<Value, CallError> {
    let command = command.borrow();
    call_within(path, command, command.patience())
}

fn call_within(path: &Path, command: &Command, patience: Duration) -> Result<Value, CallError> {
    let deadline = Instant::now() + patience;
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::NotRunning(path.to_path_buf()),
        io::ErrorKind::PermissionDenied => CallError::Denied(path.to_path_buf()),
        _ => CallError::Broken(error),
    })?;
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CallError::TimedOut(patience),
        _ => CallError::Broken(error),
    };
    let mut line = serde_json::to_vec(command).expect("a command is plain data");
    line.push(b'\n');
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    stream.write_all(&line).map_err(broken)?;

    let mut answer = Vec::new();
    let mut piece = [0; 8 * 1024];
    while !answer.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(CallError::TimedOut(patience));
        }
        stream.set_read_timeout(Some(left)).map_err(broken)?;
        match stream.read(&mut piece) {
            Ok(0) => return Err(CallError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(length) if answer.len() + length > limits::ANSWER_BYTES => {
                return Err(CallError::Garbled(format!("more than {} bytes", limits::ANSWER_BYTES)));
            }
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
    }
    match serde_json::from_slice(&answer) {
        Ok(Reply::Answer(answer)) => Ok(answer),
        Ok(Reply::Error(why)) => Err(CallError::Refused(why)),
        Err(error) => Err(CallError::Garbled(error.to_string())),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Answer(Value),
    Error(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::CanaryAction;

    #[test]
    fn only_the_owner_and_root_command() {
        assert!(is_allowed(1000, 1000));
        assert!(is_allowed(0, 1000));
        assert!(is_allowed(0, 0));
        assert!(!is_allowed(1000, 0));
        assert!(!is_allowed(1001, 1000));
        assert!(!is_allowed(65_534, 1000));
    }

    #[test]
    fn commands_are_spelled_as_documented() {
        let spelled = |command: Command, text: &str| {
            assert_eq!(serde_json::to_string(&command).unwrap(), text);
            assert_eq!(serde_json::from_str::<Command>(text).unwrap(), command);
        };
        spelled(Command::Reload, r#"{"command":"reload"}"#);
        spelled(Command::Status, r#"{"command":"status"}"#);
        spelled(
            Command::Upgrade(UpgradeOrder { binary: Some("/b".into()), seconds: None }),
            r#"{"command":"upgrade","binary":"/b","seconds":null}"#,
        );
        spelled(Command::Deployments { api: "a".into() }, r#"{"command":"deployments","api":"a"}"#);
        let order = CanaryActionOrder { api: "a".into(), stage: "s".into(), action: CanaryAction::Promote };
        spelled(Command::Canary(order), r#"{"command":"canary","api":"a","stage":"s","action":"promote"}"#);
        let deploy = DeployOrder { api: "a".into(), stage: "s".into(), ..DeployOrder::default() };
        let short = r#"{"command":"deploy","api":"a","stage":"s"}"#;
        assert_eq!(serde_json::from_str::<Command>(short).unwrap(), Command::Deploy(deploy));
        let rollback = RollbackOrder { api: "a".into(), stage: "s".into(), id: None };
        let short = r#"{"command":"rollback","api":"a","stage":"s"}"#;
        assert_eq!(serde_json::from_str::<Command>(short).unwrap(), Command::Rollback(rollback));
    }

    #[test]
    fn a_silent_gateway_is_given_up_in_time() {
        let path = std::env::temp_dir().join(format!("tollgate-silent-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        let silent = UnixListener::bind(&path).unwrap();
        let patience = Duration::from_millis(50);
        let before = Instant::now();
        let answer = call_within(&path, &Command::Status, patience);
        assert!(matches!(answer, Err(CallError::TimedOut(time)) if time == patience), "{answer:?}");
        assert!(before.elapsed() >= patience);
        drop(silent);
        fs::remove_file(&path).unwrap();
    }
}
