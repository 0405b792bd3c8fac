//! Another executable takes over: nobody is refused, nothing under way is lost, and one that fails changes nothing.

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use admin::UpgradeOrder;
use rustix::process::Signal;
use serde_json::Value;
use support::gateway::complete;
use support::{Client, Driver, Gateway, eventually, on_both_drivers};
use wild::{Wild, long};

const GET: &str = "GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n";

/// Two kinds of listeners, so that both ways of sharing sockets are on the way.
fn document(workers: usize, backend: &str, more: &str) -> String {
    format!(
        r#"
gateway:
  listen: ["127.0.0.1:0", "127.0.0.1:0", "unix:door.sock"]
  workers: {workers}
  limits: {{drain_time: 10s}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://{backend}/x"}}}}
      "GET /mock{more}": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{dev: {{}}}}
"#
    )
}

fn start(workers: usize, driver: Driver) -> Gateway {
    Gateway::start(&document(workers, "127.0.0.1:1", ""), driver)
}

#[track_caller]
fn upgrade(gateway: &Gateway) -> u32 {
    let before = gateway.pid();
    let report = gateway.upgrade(UpgradeOrder::default());
    assert_eq!(report["ok"], true, "{report}\n{}", gateway.stderr());
    let after = gateway.pid();
    assert_ne!(before, after);
    assert_eq!(gateway.status()["pid"], after, "the control socket has moved");
    assert!(gateway.admin_get("/status").contains(&format!("\"pid\":{after},")), "the admin port has moved");
    after
}

/// Clients of every manner, until they are told to stop: none may be refused, reset, or left without an answer.
fn load(gateway: &Gateway, stop: &AtomicBool, served: &AtomicU64) {
    thread::scope(|scope| {
        for (number, address) in gateway.listeners().iter().cycle().take(6).enumerate() {
            scope.spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    let mut client = Client::connect(address);
                    if number < 3 {
                        client.exchange(GET).expect_status(200);
                        served.fetch_add(1, Ordering::AcqRel);
                    } else {
                        keep_alive(&mut client, stop, served);
                    }
                }
            });
        }
    });
}

/// Request after request on one connection, until it is told that it ends. A client that pauses may find it closed: that is
/// what every server does to an idle connection.
fn keep_alive(client: &mut Client, stop: &AtomicBool, served: &AtomicU64) {
    let mut last = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let paused = last.elapsed() > Duration::from_millis(150);
        if paused && !client.is_still_open() {
            return;
        }
        let response = client.exchange(GET);
        response.expect_status(200);
        last = Instant::now();
        served.fetch_add(1, Ordering::AcqRel);
        if response.header("Connection") == Some("close") {
            return;
        }
    }
}

#[test]
fn counters_begin_anew_and_a_scraper_can_tell() {
    on_both_drivers(|driver| {
        let gateway = start(1, driver);
        let requests = || gateway.counter("tollgate_requests_total", &[]);
        gateway.client().exchange(GET).expect_status(200);
        let before = gateway.counter("process_start_time_seconds", &[]);
        assert!(requests() > 0.5 && before > 1.7e9);
        upgrade(&gateway);
        assert!(gateway.counter("process_start_time_seconds", &[]) > before, "what a scraper knows a reset by");
        assert!(requests() < 0.5);
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
            assert!(gateway.counter(name, &[]) > 0.0, "{name}");
        }
        assert!(gateway.metrics().contains_key("process_cpu_seconds_total"));
        gateway.client().exchange(GET).expect_status(200);
        assert!((requests() - 1.0).abs() < 0.5);
    });
}

#[test]
fn under_load_nobody_notices() {
    on_both_drivers(|driver| {
        let gateway = start(2, driver);
        let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut pids = vec![gateway.pid()];
        thread::scope(|scope| {
            let clients = scope.spawn(|| load(&gateway, &stop, &served));
            for _ in 0..if long() { 50 } else { 10 } {
                let before = served.load(Ordering::Acquire);
                eventually("clients are served", || served.load(Ordering::Acquire) > before + 100);
                pids.push(upgrade(&gateway));
            }
            let before = served.load(Ordering::Acquire);
            eventually("clients are served", || served.load(Ordering::Acquire) > before + 100);
            stop.store(true, Ordering::Release);
            clients.join().expect("no client has failed");
        });
        println!("{}: {} requests, none lost", driver.name(), served.load(Ordering::Acquire));
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        let last = pids.pop().expect("a process");
        pids.iter().skip(1).for_each(|pid| Gateway::wait_end(*pid));
        let door = gateway.folder().join("door.sock");
        assert!(door.exists(), "nobody has taken the name of the socket away");
        gateway.signal(Signal::TERM);
        Gateway::wait_end(last);
        assert!(!door.exists() && !gateway.control().exists(), "the last one takes the names along");
    });
}

#[test]
fn what_is_under_way_is_finished_by_the_old_one() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let gateway = Gateway::start(&document(1, backend.address(), ""), driver);
        let mut idle = gateway.client();
        idle.exchange(GET).expect_status(200);
        let mut busy = gateway.client();
        busy.send("GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the request is with the backend", || backend.connections() == 1);
        let pid = upgrade(&gateway);
        gateway.client().exchange(GET).expect_status(200);
        idle.expect_close();
        assert!(busy.is_still_open());
        go.send(()).expect("the backend waits");
        let response = busy.read_response();
        assert_eq!(response.expect_status(200).text(), "done");
        assert_eq!(response.header("Connection"), Some("close"));
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        let told = gateway.told();
        let (main, ready) = (told.find(&format!("MAINPID={pid}\n")), told.find("READY=1\n"));
        assert!(main.is_some() && main < ready, "systemd first hears whom to believe: {told}");
        assert!(!told.contains("STOPPING=1"), "{told}");
    });
}

#[test]
fn a_signal_upgrades_as_well() {
    on_both_drivers(|driver| {
        let gateway = start(1, driver);
        let before = gateway.pid();
        gateway.signal(Signal::USR2);
        let pid = || gateway.status()["pid"].as_u64().expect("a number") as u32;
        eventually("another process serves", || pid() != before);
        gateway.follow(pid());
        gateway.client().exchange(GET).expect_status(200);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    });
}

#[test]
fn the_new_one_reads_the_document_anew_with_more_or_fewer_workers() {
    on_both_drivers(|driver| {
        let gateway = start(2, driver);
        let listeners = gateway.listeners().to_vec();
        let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let clients = scope.spawn(|| load(&gateway, &stop, &served));
            for (round, workers) in [3, 1, 2].into_iter().enumerate() {
                let changed = document(workers, "127.0.0.1:1", "").replace("/x\":", &format!("/x{round}\":"));
                fs::write(gateway.folder().join("gateway.yaml"), complete(&changed, gateway.folder()))
                    .expect("writable");
                upgrade(&gateway);
                let status = gateway.status();
                assert_eq!(status["workers"], workers);
                assert_eq!(status["listeners"], Value::from(listeners.clone()), "ports that the kernel chose stay");
                let before = served.load(Ordering::Acquire);
                eventually("clients are served", || served.load(Ordering::Acquire) > before + 100);
            }
            stop.store(true, Ordering::Release);
            clients.join().expect("no client has failed");
        });
        gateway.signal(Signal::TERM);
        Gateway::wait_end(gateway.pid());
    });
}

#[test]
fn a_listener_that_the_new_one_does_not_want_is_closed_as_by_a_reload() {
    on_both_drivers(|driver| {
        let gateway = start(1, driver);
        let other = document(1, "127.0.0.1:1", "")
            .replace(r#""127.0.0.1:0", "127.0.0.1:0", "unix:door.sock""#, r#""127.0.0.1:0", "unix:new.sock""#);
        fs::write(gateway.folder().join("gateway.yaml"), complete(&other, gateway.folder())).expect("writable");
        let mut kept = Client::connect(&gateway.listeners()[1]);
        upgrade(&gateway);
        kept.exchange(GET).expect_status(200);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        let listeners = gateway.status()["listeners"].clone();
        assert_eq!(listeners[0], gateway.address());
        let new = format!("unix:{}", gateway.folder().join("new.sock").display());
        assert_eq!(listeners[1], Value::from(new.clone()));
        Client::connect(&new).exchange(GET).expect_status(200);
        assert!(!gateway.folder().join("door.sock").exists(), "its name went with it");
        gateway.client().exchange(GET).expect_status(200);
    });
}

/// A program that is no gateway.
fn script(gateway: &Gateway, name: &str, text: &str) -> PathBuf {
    let path = gateway.folder().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the folder is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

fn order(binary: PathBuf) -> UpgradeOrder {
    UpgradeOrder { binary: Some(binary), seconds: Some(1) }
}

/// Orders again while the pause after the last failure lasts.
fn fail(gateway: &Gateway, order: &UpgradeOrder) -> (String, String) {
    let mut report = Value::Null;
    eventually("the pause is over", || {
        report = gateway.upgrade(order.clone());
        report["failure"] != "busy"
    });
    assert_eq!((&report["ok"], &report["pid"]), (&Value::from(false), &Value::from(gateway.pid())), "{report}");
    let text = |field: &str| report[field].as_str().expect("text").to_owned();
    (text("failure"), text("why"))
}

/// The two drivers want their sockets in different manners, and these are the same sockets.
#[test]
fn the_new_one_may_have_another_driver() {
    on_both_drivers(|driver| {
        let gateway = start(2, driver);
        let other = if driver == Driver::Uring { "epoll" } else { "auto" };
        let text = format!("exec {} \"$1\" \"$2\" --io-driver={other}", env!("CARGO_BIN_EXE_tollgate"));
        let binary = Some(script(&gateway, "other", &text));
        let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let clients = scope.spawn(|| load(&gateway, &stop, &served));
            // There, and from there to the first one's again.
            for binary in [binary, Some(env!("CARGO_BIN_EXE_tollgate").into())] {
                let report = gateway.upgrade(UpgradeOrder { binary, seconds: None });
                assert_eq!(report["ok"], true, "{report}\n{}", gateway.stderr());
                let before = served.load(Ordering::Acquire);
                eventually("clients are served", || served.load(Ordering::Acquire) > before + 100);
            }
            stop.store(true, Ordering::Release);
            clients.join().expect("no client has failed");
        });
    });
}

#[test]
fn one_that_fails_leaves_the_old_one_serving() {
    on_both_drivers(|driver| {
        let gateway = start(1, driver);
        let mut client = gateway.client();
        let mut check = |(failure, why): (String, String), wanted: (&str, &str)| {
            assert!(failure == wanted.0 && why.contains(wanted.1), "{failure}: {why}");
            assert_eq!(client.exchange(GET).expect_status(200).header("Connection"), None);
            gateway.client().exchange(GET).expect_status(200);
            assert_eq!(gateway.status()["pid"], gateway.pid());
        };
        check(fail(&gateway, &order("/nowhere/tollgate".into())), ("program", "cannot start /nowhere/tollgate"));
        let crash = script(&gateway, "crash", "kill -SEGV $$");
        check(fail(&gateway, &order(crash)), ("program", "signal: 11"));
        let quits = script(&gateway, "quits", "exit 3");
        check(fail(&gateway, &order(quits)), ("program", "exit status: 3"));
        let hang = script(&gateway, "hang", "exec sleep 1000");
        check(fail(&gateway, &order(hang)), ("timed_out", "not ready within 1 s"));
        let document = gateway.folder().join("gateway.yaml");
        let good = fs::read_to_string(&document).expect("it is there");
        fs::write(&document, good.replace("kind: rest", "kind: west")).expect("writable");
        check(fail(&gateway, &UpgradeOrder::default()), ("document", "west"));
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("bound");
        let blocked = good.replace("\"unix:door.sock\"", &format!("\"unix:door.sock\", \"{port}\""));
        fs::write(&document, blocked).expect("writable");
        check(fail(&gateway, &UpgradeOrder::default()), ("resource", "another program serves there"));
        assert!(gateway.folder().join("door.sock").exists(), "it did not take the name of the socket away");
        // And then it goes well.
        fs::write(&document, good).expect("writable");
        eventually("the pause is over", || gateway.upgrade(UpgradeOrder::default())["ok"] == true);
        gateway.client().exchange(GET).expect_status(200);
    });
}

#[test]
fn one_that_dies_when_it_should_serve_changes_nothing() {
    on_both_drivers(|driver| {
        let gateway = start(2, driver);
        // It says that it is ready, as a gateway would, and leaves when it is told to serve.
        let message = |json: &str| format!("printf '\\{:03o}\\000\\000\\000{json}' >&0", json.len());
        let ready = message(r#"{"Ready":{"in_use":[0,1,2],"version":"9"}}"#);
        let dies = script(&gateway, "dies", &format!("{ready}\nsleep 0.5"));
        let mut client = gateway.client();
        let (failure, why) = fail(&gateway, &order(dies));
        assert_eq!(failure, "program", "{why}");
        assert!(why.contains("ended before it served (exit status: 0)"), "{why}");
        for address in gateway.listeners() {
            Client::connect(address).exchange(GET).expect_status(200);
        }
        assert_eq!(client.exchange(GET).expect_status(200).header("Connection"), None);
        assert_eq!(gateway.status()["pid"], gateway.pid());
    });
}

#[test]
fn there_is_one_upgrade_at_a_time_and_term_ends_it() {
    on_both_drivers(|driver| {
        let gateway = start(1, driver);
        let hang = script(
            &gateway,
            "hang",
            "echo $$ > started\nexec sleep 1000"
                .replace("started", &gateway.folder().join("started").display().to_string())
                .as_str(),
        );
        thread::scope(|scope| {
            let control = gateway.control();
            let slow = UpgradeOrder { binary: Some(hang), seconds: Some(600) };
            let slow = scope.spawn(move || admin::control::call(control, admin::control::Command::Upgrade(slow)));
            let started = || fs::read_to_string(gateway.folder().join("started")).unwrap_or_default();
            eventually("the first one has begun", || started().ends_with('\n'));
            let report = gateway.upgrade(UpgradeOrder::default());
            assert_eq!(report["failure"], "busy", "{report}");
            gateway.client().exchange(GET).expect_status(200);
            gateway.signal(Signal::TERM);
            assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
            let hanging: u32 = started().trim().parse().expect("a number");
            gateway.follow(hanging);
            slow.join().expect("it ends").expect_err("the gateway has left");
        });
    });
}

#[test]
fn the_command_says_how_it_went() {
    on_both_drivers(|driver| {
        let gateway = start(1, driver);
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
            let output = command.arg("upgrade").arg("--control").arg(gateway.control()).args(arguments).output();
            let output = output.expect("the binary is built");
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            (output.status.code(), text)
        };
        let (code, text) = run(&["--binary", "/bin/false"]);
        assert_eq!(code, Some(69), "{text}");
        assert!(text.contains("goes on serving: the new process ended before it served (exit status: 1)"), "{text}");
        let (code, text) = run(&[]);
        assert_eq!(code, Some(75), "{text}");
        assert!(text.contains("less than a second ago"), "{text}");
        eventually("it goes well", || run(&[]).0 == Some(0));
        gateway.follow(gateway.status()["pid"].as_u64().expect("a number") as u32);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    });
}
