//! The real binary as a child, and everything that may be asked of it from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use admin::UpgradeOrder;
use admin::control::{self, Command as Control};
use serde_json::Value;

use super::{Client, PATIENCE, eventually};

/// `--io-driver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Uring,
    Epoll,
}

impl Driver {
    /// As `--io-driver` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Uring => "uring",
            Driver::Epoll => "epoll",
        }
    }

    /// As status and metrics call it.
    pub fn told(self) -> &'static str {
        match self {
            Driver::Uring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// The samples of `/metrics`, by their whole name: `tollgate_refusals_total{reason="bare_cr"}`.
pub type Metrics = BTreeMap<String, f64>;

/// A running gateway; killed when dropped, and also when the test process dies without dropping it.
pub struct Gateway {
    pub driver: Driver,
    child: Mutex<Child>,
    watch: Child,
    /// Who serves now: another one after an upgrade.
    pid: AtomicU32,
    /// Processes that took over, each with its watch.
    heirs: Mutex<Vec<(u32, Child)>>,
    told: Arc<Mutex<String>>,
    folder: PathBuf,
    listeners: Vec<String>,
    admin: String,
    control: PathBuf,
    stderr: Arc<Mutex<String>>,
}

/// How a start failed.
#[derive(Debug)]
pub struct NotStarted {
    pub status: ExitStatus,
    pub stderr: String,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A folder of its own for each gateway, short enough for socket paths.
pub fn new_folder() -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tollgate-test-{}-{number}", std::process::id()));
    // What an earlier process of the same number left behind.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    folder
}

/// The document with the parts that every test wants, unless it has them: one listener, one worker, an access log in the
/// folder; the admin port and the control socket are always ours.
pub fn complete(config: &str, folder: &Path) -> String {
    let mut part = String::new();
    let has = |field: &str| config.lines().any(|line| line.trim_start().starts_with(field) && line.starts_with("  "));
    if !has("listen:") {
        part.push_str("  listen: \"127.0.0.1:0\"\n");
    }
    if !has("workers:") {
        part.push_str("  workers: 1\n");
    }
    if !has("access_log:") {
        part.push_str("  access_log: {to: access.log}\n");
    }
    part.push_str("  admin: \"127.0.0.1:0\"\n  control: control.sock\n");
    let config = config.replace("{{folder}}", &folder.display().to_string());
    match config.split_once("gateway:\n") {
        Some((before, after)) => format!("{before}gateway:\n{part}{after}"),
        None => format!("gateway:\n{part}{config}"),
    }
}

/// A document whose one way, `ANY /dev/x`, leads to this upstream, such as `{servers: ["127.0.0.1:1"]}`; `gateway` is a line below
/// `gateway:`, or empty.
pub fn one_way(gateway: &str, upstream: &str) -> String {
    let gateway = if gateway.is_empty() { String::new() } else { format!("gateway:\n  {gateway}\n") };
    format!(
        r#"{gateway}upstreams:
  back: {upstream}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{dev: {{}}}}
"#
    )
}

/// A document whose two kinds of API lead everywhere to this backend: a REST API at any host, which also tells the backend the client's
/// address as it knows it, and an HTTP API at `web.test`. `gateway`: lines below `gateway:`.
pub fn two_ways(gateway: &str, backend: &str) -> String {
    format!(
        r#"gateway:
{gateway}
upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  a:
    kind: rest
    routes:
      "ANY /{{proxy+}}":
        integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}
        request_parameters: {{integration.request.header.X-Source: context.identity.sourceIp}}
    stages: {{s: {{}}}}
  w:
    kind: http
    routes: {{"ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}}}
    stages: {{$default: {{}}}}
domains:
  "*": {{mappings: {{/: a/s}}}}
  web.test: {{mappings: {{/: w/$default}}}}
"#
    )
}

impl Gateway {
    /// Starts the binary and waits until it is ready. `{{folder}}` stands for the temporary folder.
    #[track_caller]
    pub fn start(config: &str, driver: Driver) -> Gateway {
        match Gateway::try_start(config, driver) {
            Ok(gateway) => gateway,
            Err(NotStarted { status, stderr }) => panic!("tollgate did not start ({status}):\n{stderr}\n{config}"),
        }
    }

    /// Starts the binary, or says how it ended.
    pub fn try_start(config: &str, driver: Driver) -> Result<Gateway, NotStarted> {
        let folder = new_folder();
        Gateway::start_in(folder, config, driver, &[])
    }

    /// As [`Gateway::try_start`], in a folder that exists, with further arguments.
    pub fn start_in(folder: PathBuf, config: &str, driver: Driver, args: &[&str]) -> Result<Gateway, NotStarted> {
        let document = folder.join("gateway.yaml");
        fs::write(&document, complete(config, &folder)).expect("the folder is writable");
        Gateway::start_file(folder, &document, driver, args)
    }

    /// Runs a file that exists: a document, or a compiled snapshot. It has what [`complete`] adds.
    pub fn start_file(folder: PathBuf, document: &Path, driver: Driver, args: &[&str]) -> Result<Gateway, NotStarted> {
        Gateway::run(Command::new(env!("CARGO_BIN_EXE_tollgate")), folder, document, (driver, args))
    }

    /// As [`Gateway::start`], with so many open files and not one more.
    #[track_caller]
    pub fn start_with_files(files: u32, config: &str, driver: Driver) -> Gateway {
        let folder = new_folder();
        let document = folder.join("gateway.yaml");
        fs::write(&document, complete(config, &folder)).expect("the folder is writable");
        let mut shell = Command::new("/bin/sh");
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_tollgate")]);
        match Gateway::run(shell, folder, &document, (driver, &[])) {
            Ok(gateway) => gateway,
            Err(NotStarted { status, stderr }) => panic!("tollgate did not start ({status}):\n{stderr}\n{config}"),
        }
    }

    fn run(
        mut command: Command,
        folder: PathBuf,
        document: &Path,
        (driver, args): (Driver, &[&str]),
    ) -> Result<Gateway, NotStarted> {
        command.arg("run").arg(document).arg(format!("--io-driver={}", driver.name())).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Gateway::launch(folder, driver, command)
    }

    /// Runs a command that becomes a gateway in this folder.
    pub fn launch(folder: PathBuf, driver: Driver, mut command: Command) -> Result<Gateway, NotStarted> {
        let notify = folder.join("notify.sock");
        let _ = fs::remove_file(&notify);
        let notify = UnixDatagram::bind(notify).expect("the folder is writable");
        command.env("NOTIFY_SOCKET", folder.join("notify.sock")).env_remove("RUNTIME_DIRECTORY");
        command.stderr(Stdio::piped());
        // Panics for who asks for one (attack row R17), each told in a line.
        command.env("TOLLGATE_DRILL", "1").env_remove("RUST_BACKTRACE");
        let mut child = command.spawn().expect("the binary is built");
        // Sockets that went to the child are its own.
        drop(command);
        let stderr = collect(child.stderr.take().expect("it is piped"));
        let pid = child.id();
        let mut watch = watch(pid, &folder);
        if let Err(status) = await_ready(&notify, &mut child) {
            dismiss(&mut watch);
            eventually_full(&stderr);
            let stderr = stderr.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(NotStarted { status, stderr });
        }
        let control = folder.join("control.sock");
        let status = control::call(&control, Control::Status).expect("a ready gateway tells its status");
        let listeners = status["listeners"].as_array().expect("a list").iter();
        let listeners = listeners.map(|address| address.as_str().expect("text").to_owned()).collect();
        let admin = status["admin"].as_str().expect("an address").to_owned();
        assert_eq!(status["pid"], pid, "somebody else answers");
        assert_eq!(status["io"]["driver"], driver.told());
        let (child, pid, told) = (Mutex::new(child), AtomicU32::new(pid), collect_notes(notify));
        let heirs = Mutex::default();
        Ok(Gateway { driver, child, watch, pid, heirs, told, folder, listeners, admin, control, stderr })
    }

    /// The first listener's address: `127.0.0.1:port`, `[::1]:port` or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.listeners[0]
    }

    /// Every listener's address, in the document's order.
    pub fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// `127.0.0.1:port` of the admin listener.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The control socket.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// The folder of the document, of the access log and of the sockets.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process that serves.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// What the service manager was told since it was ready.
    pub fn told(&self) -> String {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets another executable take over: the gateway's report. Afterwards the other process is meant by everything here, but
    /// for [`Gateway::wait_exit`].
    pub fn upgrade(&self, order: UpgradeOrder) -> Value {
        let report = control::call(&self.control, Control::Upgrade(order)).expect("a running gateway answers");
        if report["ok"] == true {
            self.follow(report["pid"].as_u64().expect("a number") as u32);
        }
        report
    }

    /// Another process serves from now on; it goes with this value as the first one does.
    pub fn follow(&self, pid: u32) {
        let watch = watch(pid, &self.folder);
        self.heirs.lock().unwrap_or_else(PoisonError::into_inner).push((pid, watch));
        self.pid.store(pid, Ordering::Release);
    }

    /// Waits for the end of a process that took over.
    #[track_caller]
    pub fn wait_end(pid: u32) {
        eventually("the process has ended", || {
            // A process without a parent that waits for it stays in the list.
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
        });
    }

    /// A new connection to the first listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// `GET` at the admin listener: the body of a 200.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> String {
        let mut client = Client::connect(&self.admin);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin));
        let response = client.read_response();
        response.expect_status(200).text()
    }

    /// What `/metrics` says now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let page = self.admin_get("/metrics");
        let samples = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        samples.map(sample).collect()
    }

    /// The sum of a metric's samples that bear all of these labels.
    #[track_caller]
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.metrics(), name, labels)
    }

    /// What the control socket says of the state.
    #[track_caller]
    pub fn status(&self) -> Value {
        control::call(&self.control, Control::Status).expect("a running gateway tells its status")
    }

    /// Writes another document and has it loaded: the gateway's report.
    #[track_caller]
    pub fn reload(&self, config: &str) -> Value {
        fs::write(self.folder.join("gateway.yaml"), complete(config, &self.folder)).expect("the folder is writable");
        control::call(&self.control, Control::Reload).expect("a running gateway answers")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).expect("a process has a number");
        rustix::process::kill_process(pid, signal).expect("the process is ours");
    }

    /// Waits for the process to end.
    #[track_caller]
    pub fn wait_exit(&self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the gateway did not leave:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(2)); // a poll until the deadline
        }
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has written this to its standard error: what it does and what it says of it come by two ways.
    #[track_caller]
    pub fn expect_said(&self, text: &str) {
        eventually(&format!("it says `{text}`"), || self.stderr().contains(text));
    }

    /// The access log so far, as it was written.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.folder.join("access.log")).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        self.kilobytes("status", "VmRSS:")
    }

    /// Resident memory of its own in bytes: what the binary's file holds counts for less while another gateway runs it.
    pub fn own_memory(&self) -> u64 {
        self.kilobytes("smaps_rollup", "Anonymous:")
    }

    fn kilobytes(&self, file: &str, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("the process lives");
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

/// The sum of a metric's samples that bear all of these labels.
pub fn sum(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let fits = |sample: &str| {
        let (known, rest) = sample.split_once('{').unwrap_or((sample, ""));
        known == name && labels.iter().all(|label| rest.contains(&**label))
    };
    metrics.iter().filter(|(sample, _)| fits(sample)).map(|(_, value)| value).sum()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The watch goes first: afterwards the number may be another process's.
        dismiss(&mut self.watch);
        for (pid, watch) in self.heirs.get_mut().unwrap_or_else(PoisonError::into_inner) {
            dismiss(watch);
            if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        if thread::panicking() {
            eprintln!("--- {} ({}) said:\n{}", self.driver.name(), self.folder.display(), self.stderr());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Waits for `READY=1`.
fn await_ready(notify: &UnixDatagram, child: &mut Child) -> Result<(), ExitStatus> {
    notify.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket has a time-out");
    let deadline = Instant::now() + 3 * PATIENCE;
    let mut room = [0; 4096];
    loop {
        match notify.recv(&mut room) {
            Ok(count) if room[..count].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => panic!("{error}"),
        }
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Err(status);
        }
        assert!(Instant::now() < deadline, "tollgate is not ready in time");
    }
}

/// Gathers what the service manager would be told: a full queue would hold the gateway up.
fn collect_notes(notify: UnixDatagram) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = text.clone();
    notify.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket has a time-out");
    thread::spawn(move || {
        let mut room = [0; 4096];
        while Arc::strong_count(&into) > 1 {
            if let Ok(count) = notify.recv(&mut room) {
                let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&room[..count]));
                text.push('\n');
            }
        }
    });
    text
}

/// Gathers what a child says; passes it on nowhere.
fn collect(mut pipe: impl io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = text.clone();
    thread::spawn(move || {
        let mut room = [0; 4096];
        while let Ok(count) = pipe.read(&mut room) {
            if count == 0 {
                break;
            }
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&room[..count]));
        }
    });
    text
}

/// The collecting thread holds the text until its pipe has ended.
fn eventually_full(text: &Arc<Mutex<String>>) {
    eventually("the child's words are complete", || Arc::strong_count(text) == 1);
}

/// A shell that outlives a test process by an instant, and takes the gateway and its folder along: shared gateways are
/// never dropped.
fn watch(pid: u32, folder: &Path) -> Child {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read -r _; kill -9 \"$0\"; rm -rf \"$1\"", &pid.to_string()]).arg(folder);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("a shell")
}

/// Ends a watch whose gateway has ended, or will.
fn dismiss(watch: &mut Child) {
    // It may have been killed by somebody else.
    let _ = watch.kill();
    let _ = watch.wait();
}

/// Whether anybody is let in there: a listener that is about to close leaves those who knock without an answer.
pub fn is_listening(address: &str) -> bool {
    let address = address.parse().expect("an address");
    TcpStream::connect_timeout(&address, Duration::from_millis(100))
        .is_ok_and(|mut stream| stream.write_all(b"").is_ok())
}
