//! The desk from outside: bytes on its two doors.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the message")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use admin::control::{self, CallError, Command};
use admin::orders::{
    CanaryAction, CanaryActionOrder, CanaryOrder, ChangeReport, DeployOrder, DeploymentList, Listing, Outcome,
    RollbackOrder,
};
use admin::{Desk, ReloadReport, Running, UpgradeReport, limits};
use serde_json::{Value, json};

/// What the desk of a test tells, and what it was asked.
#[derive(Default)]
struct Gateway {
    ready: AtomicBool,
    reloads: AtomicU64,
    reloading: AtomicBool,
    overlapped: AtomicBool,
    /// A reload goes on when it gets this lock.
    hold: Mutex<()>,
    panics: AtomicBool,
}

impl Gateway {
    fn reload(&self) -> ReloadReport {
        assert!(!self.panics.load(SeqCst), "asked to panic");
        if self.reloading.swap(true, SeqCst) {
            self.overlapped.store(true, SeqCst);
        }
        drop(self.hold.lock().unwrap());
        self.reloading.store(false, SeqCst);
        ReloadReport {
            ok: true,
            generation: 1 + self.reloads.fetch_add(1, SeqCst),
            failure: None,
            took: Duration::from_micros(1_500),
            parts: Vec::new(),
            changes: vec!["api petstore: 1 method added".into()],
            faults: String::new(),
            warnings: 0,
        }
    }

    fn wait_for_reload(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.reloading.load(SeqCst) {
            assert!(Instant::now() < deadline, "no reload began");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn desk(self: &Arc<Self>) -> Desk {
        let (ready, reload, deploy) = (self.clone(), self.clone(), self.clone());
        Desk {
            status: Box::new(|| json!({"generation": 7})),
            metrics: Box::new(|| "# TYPE tollgate_x gauge\ntollgate_x 1\n".repeat(2_000)),
            ready: Box::new(move || ready.ready.load(SeqCst)),
            reload: Box::new(move || reload.reload()),
            deploy: Box::new(move |order| ChangeReport {
                outcome: Outcome::Done,
                told: vec![format!("{order:?}")],
                deployment: Some("k3j2h1g0f9".into()),
                faults: String::new(),
                reload: Some(deploy.reload()),
            }),
            rollback: Box::new(|order| ChangeReport::not_done(Outcome::Refused, format!("{order:?}"), "hint")),
            canary: Box::new(|order| ChangeReport::not_done(Outcome::Failed, format!("{order:?}"), "hint")),
            prune: Box::new(|order| ChangeReport::not_done(Outcome::Refused, format!("{order:?}"), "hint")),
            deployments: Box::new(|api| {
                Listing::List(DeploymentList { api: api.into(), deployments: Vec::new(), stages: Vec::new() })
            }),
            upgrade: Box::new(|_| UpgradeReport {
                ok: true,
                pid: 7,
                version: "8".into(),
                took: Duration::from_micros(9),
                failure: None,
                why: String::new(),
            }),
        }
    }
}

struct House {
    gateway: Arc<Gateway>,
    admin: SocketAddr,
    folder: PathBuf,
    running: Option<Running>,
}

impl House {
    fn open() -> Self {
        let gateway = Arc::new(Gateway::default());
        let folder = scratch();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let socket = control::bind(&folder.join("control.sock")).unwrap();
        let running = admin::start(gateway.desk(), Some(listener), Some(socket)).unwrap();
        Self { gateway, admin, folder, running: Some(running) }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// Sends bytes to the admin port and reads until it closes.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn get(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.running.take());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn scratch() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let folder =
        std::env::temp_dir().join(format!("tollgate-desk-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst)));
    fs::create_dir(&folder).unwrap();
    folder
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn has_field(answer: &str, field: &str) -> bool {
    let head = answer.split_once("\r\n\r\n").unwrap().0;
    head.lines().any(|line| line.eq_ignore_ascii_case(field))
}

#[test]
fn four_pages() {
    let house = House::open();
    let answer = house.get("/healthz");
    assert_eq!((status(&answer), body(&answer)), (200, "ok\n"));
    assert_eq!(status(&house.get("/readyz")), 503);
    house.gateway.ready.store(true, SeqCst);
    assert_eq!(status(&house.get("/readyz")), 200);
    let answer = house.get("/status");
    assert!(has_field(&answer, "content-type: application/json"), "{answer}");
    assert_eq!(serde_json::from_str::<Value>(body(&answer)).unwrap(), json!({"generation": 7}));
    let answer = house.get("/metrics");
    assert!(has_field(&answer, "content-type: text/plain; version=0.0.4; charset=utf-8"), "{answer}");
    assert_eq!(body(&answer).len(), "# TYPE tollgate_x gauge\ntollgate_x 1\n".len() * 2_000);
    assert_eq!(status(&house.get("/reload")), 404);
    assert_eq!(house.gateway.reloads.load(SeqCst), 0);
}

#[test]
fn every_answer_is_locked_down() {
    let house = House::open();
    for answer in [
        house.get("/metrics"),
        house.get("/nothing"),
        house.raw("POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        house.raw("GET /status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
    ] {
        assert!(has_field(&answer, "x-content-type-options: nosniff"), "{answer}");
        assert!(has_field(&answer, "cache-control: no-store"), "{answer}");
        assert!(has_field(&answer, "content-security-policy: default-src 'none'; frame-ancestors 'none'"), "{answer}");
    }
}

#[test]
fn it_is_only_read() {
    let house = House::open();
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        for path in ["/status", "/reload"] {
            let answer =
                house.raw(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
            assert_eq!(status(&answer), 405, "{method} {path}");
            assert!(has_field(&answer, "allow: GET"), "{answer}");
        }
    }
}

#[test]
fn r13_a_rebound_name_reads_nothing() {
    let house = House::open();
    let answer = house.raw("GET /status HTTP/1.1\r\nHost: evil.example:9901\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 421);
    assert!(!answer.contains("generation"));
    let answer = house.raw("GET http://evil.example/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 421);
    let answer = house.raw("GET /status HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 400);
    let answer = house.raw(&format!("GET /status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", house.admin));
    assert_eq!(status(&answer), 200);
    assert_eq!(status(&house.raw("GET /healthz HTTP/1.0\r\n\r\n")), 200, "a probe of the old kind");
}

#[test]
fn a_connection_serves_several_requests() {
    let house = House::open();
    let two = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(house.raw(two).matches("200 OK").count(), 2);
}

#[test]
fn a_head_without_end_is_refused() {
    let house = House::open();
    let answer =
        house.raw(&format!("GET /status HTTP/1.1\r\nHost: localhost\r\nX: {}", "a".repeat(limits::ADMIN_HEAD_BYTES)));
    assert_eq!(status(&answer), 431);
}

#[test]
fn silent_connections_make_room_the_oldest_first() {
    let house = House::open();
    let mut silent: Vec<_> = (0..limits::ADMIN_CONNECTIONS * 3)
        .map(|_| {
            let mut stream = TcpStream::connect(house.admin).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let asked = Instant::now();
    let mut late = TcpStream::connect(house.admin).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    late.read_to_string(&mut text).unwrap();
    assert_eq!(status(&text), 200);
    assert!(asked.elapsed() < limits::ADMIN_HEAD_TIME, "it waited until silent ones were given up");
    // The first has gone, the last is still waited for.
    assert!(!matches!(silent[0].read(&mut [0; 64]), Ok(1..)));
    let last = silent.last_mut().unwrap();
    last.write_all(b"st: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    last.read_to_string(&mut text).unwrap();
    assert_eq!(status(&text), 200);
}

#[test]
fn silent_peers_of_the_control_socket_make_room_and_a_command_under_way_does_not() {
    let house = House::open();
    let gateway = house.gateway.clone();
    let hold = gateway.hold.lock().unwrap();
    let socket = house.socket();
    let reload = thread::spawn({
        let socket = socket.clone();
        move || control::call(&socket, Command::Reload).unwrap()
    });
    house.gateway.wait_for_reload();
    let mut silent: Vec<_> = (0..limits::CONTROL_CONNECTIONS * 3)
        .map(|_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(b"{\"command\":").unwrap();
            stream
        })
        .collect();
    let asked = Instant::now();
    assert_eq!(control::call(&socket, Command::Status).unwrap(), json!({"generation": 7}));
    assert!(asked.elapsed() < limits::COMMAND_TIME, "it waited until silent ones were given up");
    // The first has gone, the last is still waited for.
    assert!(!matches!(silent[0].read(&mut [0; 64]), Ok(1..)));
    let last = silent.last_mut().unwrap();
    last.write_all(b"\"status\"}\n").unwrap();
    assert!(matches!(last.read(&mut [0; 64]), Ok(1..)));
    drop(hold);
    assert_eq!(reload.join().unwrap()["ok"], true);
}

#[test]
fn commands_are_answered() {
    let house = House::open();
    assert_eq!(control::call(&house.socket(), Command::Status).unwrap(), json!({"generation": 7}));
    let report = control::call(&house.socket(), Command::Reload).unwrap();
    let report: ReloadReport = serde_json::from_value(report).unwrap();
    assert_eq!((report.ok, report.generation, report.took), (true, 1, Duration::from_micros(1_500)));
}

#[test]
fn orders_arrive_as_they_were_given() {
    let house = House::open();
    let call = |command| control::call(&house.socket(), command).unwrap();
    let report = |command| serde_json::from_value::<ChangeReport>(call(command)).unwrap();
    let canary = CanaryOrder {
        percent: Some(2.5),
        // The longest that may be ordered.
        variables: (0..100).map(|n| (format!("{n:064}"), "v".repeat(512))).collect(),
        without: vec!["old".into()],
    };
    let order = DeployOrder {
        api: "pets".into(),
        stage: "prod".into(),
        note: "\u{1f680}\"".repeat(1_024),
        canary: Some(canary.clone()),
    };
    let done = report(Command::Deploy(order.clone()));
    assert_eq!((done.outcome, done.told), (Outcome::Done, vec![format!("{order:?}")]));
    assert_eq!(done.reload.map(|reload| reload.generation), Some(1));
    let order = RollbackOrder { api: "pets".into(), stage: "prod".into(), id: Some("k3j2h1g0f9".into()) };
    let refused = report(Command::Rollback(order.clone()));
    assert_eq!((refused.outcome, refused.told), (Outcome::Refused, vec![format!("{order:?}"), "hint".into()]));
    let action = CanaryAction::Change(canary);
    let order = CanaryActionOrder { api: "pets".into(), stage: "prod".into(), action };
    let failed = report(Command::Canary(order.clone()));
    assert_eq!((failed.outcome, failed.told), (Outcome::Failed, vec![format!("{order:?}"), "hint".into()]));
    let listing = serde_json::from_value::<Listing>(call(Command::Deployments { api: "pets".into() })).unwrap();
    assert!(matches!(listing, Listing::List(list) if list.api == "pets"));
}

/// Sends bytes to the control socket and reads what comes until it closes, or the lines that are asked for.
fn control_raw(path: &Path, bytes: &[u8], lines: usize) -> Vec<Value> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let reader = BufReader::new(stream);
    reader.lines().take(lines).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[test]
fn a_line_each_way() {
    let house = House::open();
    let talk = b"{\"command\":\"status\"}\n{\"command\":\"fly\"}\nnonsense\n{\"command\":\"reload\"}\n";
    let answers = control_raw(&house.socket(), talk, 4);
    assert_eq!(answers[0], json!({"answer": {"generation": 7}}));
    assert!(answers[1]["error"].as_str().unwrap().contains("fly"), "{}", answers[1]);
    assert!(answers[2]["error"].is_string());
    assert_eq!(answers[3]["answer"]["took_us"], 1_500);
}

#[test]
fn a_line_without_end_is_refused() {
    let house = House::open();
    let answers = control_raw(&house.socket(), &vec![b' '; limits::COMMAND_BYTES], 9);
    assert_eq!(answers.len(), 1, "and the connection is closed");
    assert!(answers[0]["error"].as_str().unwrap().contains("bytes"));
}

/// Takes the limits' own ten seconds, all cases at the same time.
#[test]
fn r01_who_dawdles_is_sent_away() {
    let house = House::open();
    let opened = Instant::now();
    let tcp = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(house.admin).unwrap();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(limits::ADMIN_HEAD_TIME * 3)).unwrap();
        stream
    };
    let silent = tcp(b"");
    let half = tcp(b"GET /status HTTP/1.1\r\nHost: loc");
    let idle = tcp(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut control = UnixStream::connect(house.socket()).unwrap();
    control.set_read_timeout(Some(limits::COMMAND_TIME * 3)).unwrap();
    control.write_all(b"{\"command\":").unwrap();
    for (what, mut stream) in [("silent", silent), ("half", half), ("idle", idle)] {
        stream.read_to_end(&mut Vec::new()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(opened.elapsed() > limits::ADMIN_HEAD_TIME / 2, "{what}: not at once");
    }
    assert_eq!(control.read(&mut [0; 64]).unwrap(), 0);
}

/// Root can become somebody else; in the hands of another user this test has nobody to be.
#[test]
fn a_stranger_commands_nothing() {
    const STRANGER: &str = "TOLLGATE_TEST_STRANGER_CALLS";
    const NOBODY: u32 = 65_534;
    if let Some(socket) = std::env::var_os(STRANGER) {
        match control::call(Path::new(&socket), Command::Reload) {
            Err(CallError::Refused(why)) => assert!(why.contains("65534"), "{why}"),
            other => panic!("{other:?}"),
        }
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let house = House::open();
    // The file's mode is the first lock; taken away here, so that the second one is tried.
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(house.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    // A copy, because the build folder may be closed to strangers.
    let program = house.folder.join("stranger");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut stranger = std::process::Command::new(&program);
    stranger.args(["--exact", "a_stranger_commands_nothing"]).env(STRANGER, house.socket()).current_dir("/");
    let output = stranger.uid(NOBODY).gid(NOBODY).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert_eq!(house.gateway.reloads.load(SeqCst), 0);
}

#[test]
fn reloads_take_turns_and_hold_up_nobody() {
    let house = House::open();
    let gateway = house.gateway.clone();
    let hold = gateway.hold.lock().unwrap();
    let socket = house.socket();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let socket = socket.clone();
            thread::spawn(move || control::call(&socket, Command::Reload).unwrap())
        })
        .collect();
    house.gateway.wait_for_reload();
    assert_eq!(status(&house.get("/healthz")), 200);
    assert_eq!(control::call(&socket, Command::Status).unwrap(), json!({"generation": 7}));
    assert_eq!(house.gateway.reloads.load(SeqCst), 0, "answered while reloads wait");
    drop(hold);
    let mut generations: Vec<_> =
        calls.into_iter().map(|call| call.join().unwrap()["generation"].as_u64().unwrap()).collect();
    generations.sort_unstable();
    assert_eq!(generations, [1, 2, 3]);
    assert!(!house.gateway.overlapped.load(SeqCst));
}

#[test]
fn a_reload_that_panics_is_an_error_and_the_next_one_works() {
    let house = House::open();
    house.gateway.panics.store(true, SeqCst);
    match control::call(&house.socket(), Command::Reload) {
        Err(CallError::Refused(why)) => assert!(why.contains("panicked"), "{why}"),
        other => panic!("{other:?}"),
    }
    house.gateway.panics.store(false, SeqCst);
    assert_eq!(control::call(&house.socket(), Command::Reload).unwrap()["ok"], true);
}

#[test]
fn the_socket_is_for_the_owner_alone() {
    let house = House::open();
    let found = fs::symlink_metadata(house.socket()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let folder = scratch();
    let path = folder.join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the dead leave their name");
    let living = control::bind(&path).unwrap();
    let error = control::bind(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("control.sock"), "{error}");
    UnixStream::connect(&path).expect("the living one was not touched");
    drop(living);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = scratch();
    let path = folder.join("control.sock");
    fs::write(&path, "precious").unwrap();
    assert_eq!(control::bind(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let target = folder.join("target.sock");
    drop(UnixListener::bind(&target).unwrap());
    let link = folder.join("link.sock");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(control::bind(&link).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn one_of_many_that_bind_at_once_wins() {
    let folder = scratch();
    let path = folder.join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    let all: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || control::bind(&path))
        })
        .collect();
    let won: Vec<_> = all.into_iter().filter_map(|bound| bound.join().unwrap().ok()).collect();
    assert_eq!(won.len(), 1);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_is_named() {
    let path = Path::new("/tmp").join("x".repeat(120));
    let error = control::bind(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("107"), "{error}");
}

#[test]
fn a_caller_learns_that_nobody_is_there() {
    let folder = scratch();
    let path = folder.join("control.sock");
    assert!(matches!(control::call(&path, Command::Status), Err(CallError::NotRunning(_))));
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(control::call(&path, Command::Status), Err(CallError::NotRunning(_))));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_caller_is_not_fooled_by_a_strange_answer() {
    let folder = scratch();
    let path = folder.join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let stranger = thread::spawn(move || {
        for answer in ["", "half a li", "no json\n", "{\"other\":1}\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "{\"command\":\"status\"}\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    assert!(matches!(control::call(&path, Command::Status), Err(CallError::Broken(_))));
    assert!(matches!(control::call(&path, Command::Status), Err(CallError::Broken(_))));
    assert!(matches!(control::call(&path, Command::Status), Err(CallError::Garbled(_))));
    assert!(matches!(control::call(&path, Command::Status), Err(CallError::Garbled(_))));
    stranger.join().unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_end_closes_both_doors_and_takes_the_name_away() {
    let mut house = House::open();
    let idle = TcpStream::connect(house.admin).unwrap();
    house.get("/healthz");
    let before = Instant::now();
    house.running.take().unwrap().stop();
    assert!(before.elapsed() < Duration::from_secs(10), "idle connections hold nothing up");
    drop(idle);
    assert!(!house.socket().exists());
    assert!(TcpStream::connect(house.admin).is_err());
}

#[test]
fn the_end_does_not_take_a_successors_name() {
    let mut house = House::open();
    fs::remove_file(house.socket()).unwrap();
    let successor = control::bind(&house.socket()).unwrap();
    house.running.take().unwrap().stop();
    assert!(house.socket().exists());
    drop(successor);
}

#[test]
fn the_end_does_not_wait_for_a_reload() {
    let mut house = House::open();
    let gateway = house.gateway.clone();
    let hold = gateway.hold.lock().unwrap();
    let socket = house.socket();
    let call = thread::spawn(move || control::call(&socket, Command::Reload));
    gateway.wait_for_reload();
    house.running.take().unwrap().stop();
    assert!(gateway.reloading.load(SeqCst), "it is still under way");
    assert!(matches!(call.join().unwrap(), Err(CallError::Broken(_))));
    drop(hold);
}

#[test]
fn either_door_alone() {
    let gateway = Arc::new(Gateway::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    admin::start(gateway.desk(), Some(listener), None).unwrap().stop();
    let folder = scratch();
    let path = folder.join("control.sock");
    let running = admin::start(gateway.desk(), None, Some(control::bind(&path).unwrap())).unwrap();
    assert!(control::call(&path, Command::Status).is_ok());
    running.stop();
    admin::start(gateway.desk(), None, None).unwrap().stop();
    fs::remove_dir_all(folder).unwrap();
}
