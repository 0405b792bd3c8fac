//! Listeners that come, go and change with a reload: nobody who has come is lost, and an address that cannot be had changes
//! nothing at all.

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::gateway::is_listening;
use support::{Client, Driver, Gateway, eventually, on_both_drivers};
use wild::Wild;

const GET: &str = "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n";

/// `/mock` behind these listeners, on two workers, so that each address has two sockets.
fn document(listen: &str, more: &str) -> String {
    format!(
        r#"
gateway:
  workers: 2
  listen: [{listen}]
{more}
apis:
  http:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{$default: {{}}}}
"#
    )
}

fn start(listen: &str, driver: Driver) -> Gateway {
    Gateway::start(&document(listen, ""), driver)
}

fn listeners(gateway: &Gateway) -> Vec<String> {
    let status = gateway.status();
    let list = status["listeners"].as_array().expect("a list").iter();
    list.map(|address| address.as_str().expect("text").to_owned()).collect()
}

/// A reload that goes well: its changes as one text.
#[track_caller]
fn reload(gateway: &Gateway, document: &str) -> String {
    let report = gateway.reload(document);
    assert_eq!(report["ok"], true, "{report}");
    report["changes"].to_string()
}

#[test]
fn listeners_come_and_go() {
    on_both_drivers(|driver| {
        let gateway = start("\"127.0.0.1:0\"", driver);
        let first = gateway.address().to_owned();
        let mut kept = gateway.client();
        kept.exchange(GET).expect_status(200);
        let changes = reload(&gateway, &document(r#""127.0.0.1:0", "127.0.0.1:0", "unix:door.sock""#, ""));
        let now = listeners(&gateway);
        assert_eq!((now.len(), &now[0]), (3, &first), "the port that the kernel chose stays: {now:?}");
        for address in &now[1..] {
            assert!(changes.contains(&format!("listening on {address}")), "{changes}");
        }
        let mut clients: Vec<Client> = now.iter().map(|address| Client::connect(address)).collect();
        for client in &mut clients {
            assert_eq!(client.exchange(GET).expect_status(200).header("Connection"), None);
        }
        let changes = reload(&gateway, &document(r#""127.0.0.1:0""#, ""));
        assert_eq!(listeners(&gateway), std::slice::from_ref(&first));
        for (address, client) in now.iter().zip(&mut clients) {
            let goes = *address != first;
            assert_eq!(changes.contains(&format!("no longer listening on {address}")), goes, "{changes}");
            // A kept connection is served once more, and learns that it ends.
            assert_eq!(client.exchange(GET).expect_status(200).header("Connection"), goes.then_some("close"));
            if goes {
                client.expect_close();
            }
        }
        assert!(!is_listening(&now[1]));
        assert!(!gateway.folder().join("door.sock").exists(), "the name of a socket goes with it");
        eventually("the sockets are closed", || {
            let refused = TcpStream::connect_timeout(&now[1].parse().expect("an address"), Duration::from_millis(100));
            refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        kept.exchange(GET).expect_status(200);
        clients[0].exchange(GET).expect_status(200);
        eventually("nothing of them is left", || gateway.status()["connections"]["open"] == 2);
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn idle_connections_of_a_removed_listener_end_within_the_time_of_a_drain() {
    on_both_drivers(|driver| {
        let limits = "  limits: {drain_time: 1s}";
        let gateway = Gateway::start(&document(r#""127.0.0.1:0", "127.0.0.1:0""#, limits), driver);
        let mut clients: Vec<Client> = gateway.listeners().iter().map(|address| Client::connect(address)).collect();
        clients.push(Client::connect(&gateway.listeners()[1]));
        for client in &mut clients[..2] {
            client.exchange(GET).expect_status(200);
        }
        let began = Instant::now();
        reload(&gateway, &document(r#""127.0.0.1:0""#, limits));
        assert!(clients[1].is_still_open(), "it may say one more thing");
        clients[1].expect_close();
        clients[2].expect_close();
        assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
        clients[0].exchange(GET).expect_status(200);
        eventually("only that one is left", || gateway.status()["connections"]["open"] == 1);
    });
}

#[test]
fn what_is_under_way_at_a_removed_listener_is_finished() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let document = |listen: &str| {
            let route = format!(
                "      \"GET /x\": {{integration: {{type: http_proxy, uri: \"http://{}/x\"}}}}\n    stages:",
                backend.address()
            );
            document(listen, "  limits: {drain_time: 1s}").replace("    stages:", &route)
        };
        let gateway = Gateway::start(&document(r#""127.0.0.1:0", "127.0.0.1:0""#), driver);
        let mut client = Client::connect(&gateway.listeners()[1]);
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the request is with the backend", || backend.connections() == 1);
        let mut begun = Client::connect(&gateway.listeners()[1]);
        begun.send(&GET[..20]);
        eventually("both are accepted", || gateway.status()["connections"]["accepted"] == 2);
        let began = Instant::now();
        reload(&gateway, &document(r#""127.0.0.1:0""#));
        begun.send(&GET[20..]);
        assert_eq!(begun.read_response().expect_status(200).header("Connection"), Some("close"));
        // Longer than a drain: the end of the process is not near.
        eventually("the time of a drain is over", || began.elapsed() > Duration::from_millis(1_300));
        go.send(()).expect("the backend waits");
        let response = client.read_response();
        assert_eq!(
            (response.expect_status(200).text().as_str(), response.header("Connection")),
            ("done", Some("close"))
        );
        client.expect_close();
    });
}

/// Addresses that come and go while clients knock without a pause.
const ROUNDS: usize = 8;

/// A connection that came about is served, whatever happens to its listener: in the kernel's queue, or in its handshake.
#[test]
fn who_has_come_is_served() {
    on_both_drivers(|driver| {
        let gateway = start(r#""127.0.0.1:0""#, driver);
        for round in 0..ROUNDS {
            reload(&gateway, &document(r#""127.0.0.1:0", "127.0.0.1:0""#, ""));
            let address: SocketAddr = listeners(&gateway)[1].parse().expect("an address");
            let (served, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                            match ask_once(stream) {
                                Ok(()) => served.fetch_add(1, Ordering::AcqRel),
                                Err(error) => return failed.lock().expect("whole").push(error),
                            };
                        }
                    });
                }
                let begun = || served.load(Ordering::Acquire) > 20 || !failed.lock().expect("whole").is_empty();
                eventually("clients are served", begun);
                reload(&gateway, &document(r#""127.0.0.1:0""#, ""));
            });
            let failed = failed.into_inner().expect("whole");
            assert!(failed.is_empty(), "round {round}: {failed:?} after {served:?}");
        }
    });
}

/// Says something and reads the answer to the end of the connection.
fn ask_once(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(support::PATIENCE))?;
    stream.write_all(b"GET /mock HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let is_whole = answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"{}");
    if is_whole { Ok(()) } else { Err(io::Error::other(support::shown(&answer))) }
}

#[test]
fn the_queue_of_a_unix_socket_is_served() {
    on_both_drivers(|driver| {
        let gateway = start(r#""127.0.0.1:0""#, driver);
        let address = format!("unix:{}", gateway.folder().join("door.sock").display());
        for _ in 0..ROUNDS {
            reload(&gateway, &document(r#""127.0.0.1:0", "unix:door.sock""#, ""));
            let served = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while let Ok(mut wire) = support::client::Wire::connect(&address) {
                            wire.write_all(GET.as_bytes()).expect("it was taken");
                            let mut start = [0; 13];
                            wire.read_exact(&mut start).expect("it is served");
                            assert_eq!(&start, b"HTTP/1.1 200 ");
                            served.fetch_add(1, Ordering::AcqRel);
                        }
                    });
                }
                eventually("clients are served", || served.load(Ordering::Acquire) > 20);
                reload(&gateway, &document(r#""127.0.0.1:0""#, ""));
            });
        }
    });
}

#[test]
fn an_address_that_cannot_be_had_changes_nothing() {
    on_both_drivers(|driver| {
        let gateway = start(r#""127.0.0.1:0", "127.0.0.1:0""#, driver);
        let mut client = Client::connect(&gateway.listeners()[1]);
        client.exchange(GET).expect_status(200);
        let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let taken = stranger.local_addr().expect("it is bound");
        std::fs::write(gateway.folder().join("file"), "no socket").expect("the folder is writable");
        for (bad, why) in [
            (format!("\"{taken}\""), "another program serves there"),
            (format!("\"{}\"", gateway.admin()), "another program serves there"),
            ("\"192.0.2.1:0\"".into(), "no interface of this machine has that address"),
            ("\"unix:file\"".into(), "cannot listen on unix:"),
            ("\"unix:no/such/folder\"".into(), "cannot listen on unix:"),
        ] {
            // Others are new beside it, one is gone, and routes change: none of that happens.
            let next = document(&format!(r#""127.0.0.1:0", "unix:door.sock", "127.0.0.1:0", {bad}"#), "");
            let next = next.replace("GET /mock", "GET /other");
            let report = gateway.reload(&next);
            assert_eq!((&report["ok"], &report["failure"]), (&false.into(), &"resource".into()), "{report}");
            let faults = report["faults"].as_str().expect("text");
            assert!(faults.contains("cannot listen on") && faults.contains(why), "{faults}");
            assert_eq!(report["generation"], 1);
            assert_eq!(listeners(&gateway), gateway.listeners());
            assert!(!gateway.folder().join("door.sock").exists(), "what was bound for it is let go");
            assert_eq!(client.exchange(GET).expect_status(200).header("Connection"), None);
            gateway.client().exchange(GET).expect_status(200);
            assert!(gateway.counter("tollgate_last_reload_successful", &[]) < 0.5);
        }
        // As the command says it.
        let next = document(&format!(r#""127.0.0.1:0", "{taken}""#), "");
        let output = command(&gateway, &next);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(&format!("cannot listen on {taken}")) && text.contains("generation 1 goes on"), "{text}");
        // As soon as the address is free, the same document serves.
        drop(stranger);
        let report = gateway.reload(&next);
        assert_eq!((&report["ok"], &report["generation"]), (&true.into(), &2.into()), "{report}");
        Client::connect(&taken.to_string()).exchange(GET).expect_status(200);
    });
}

/// `tollgate reload`.
fn command(gateway: &Gateway, document: &str) -> std::process::Output {
    let text = support::gateway::complete(document, gateway.folder());
    std::fs::write(gateway.folder().join("gateway.yaml"), text).expect("the folder is writable");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("reload").arg("--control").arg(gateway.control());
    command.output().expect("the binary is built")
}

#[test]
fn settings_of_an_address_change_without_another_socket() {
    on_both_drivers(|driver| {
        let with = |execute_api: bool, backlog: u32| {
            format!(r#"{{address: "127.0.0.1:0", execute_api: {execute_api}, backlog: {backlog}}}"#)
        };
        let gateway = start(&with(true, 100), driver);
        let mut client = gateway.client();
        let ask = "GET /mock HTTP/1.1\r\nHost: http.execute-api.eu-west-1.amazonaws.com\r\n\r\n";
        client.exchange(ask).expect_status(200);
        let domains = "domains:\n  a: {mappings: {/: http/$default}}";
        let closed = document(&with(false, 100), "").replace("apis:", &format!("{domains}\napis:"));
        assert!(reload(&gateway, &closed).contains("other settings"));
        client.exchange(ask).expect_status(403);
        client.exchange(GET).expect_status(200);
        assert!(reload(&gateway, &document(&with(true, 7), "")).contains("other settings"));
        client.exchange(ask).expect_status(200);
        assert_eq!(listeners(&gateway), gateway.listeners());
        assert_eq!(gateway.status()["connections"]["accepted"], 1);
        assert_eq!(backlogs(&gateway), [7, 7]);
    });
}

/// What the kernel says of the queues of the first listener, one for each worker.
fn backlogs(gateway: &Gateway) -> Vec<u32> {
    let port = gateway.address().rsplit_once(':').expect("a port").1;
    let output = std::process::Command::new("ss").args(["-Hltn", &format!("sport = :{port}")]).output();
    let Ok(output) = output else {
        println!("the queue is not looked at: there is no ss");
        return vec![7, 7];
    };
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| line.split_whitespace().nth(2).expect("Send-Q").parse().expect("a number")).collect()
}

/// The whole range at once, from one address to all and back, while clients go on.
#[test]
fn an_address_replaced_by_a_wider_one_loses_nobody() {
    on_both_drivers(|driver| {
        let gateway = start(r#""127.0.0.1:0""#, driver);
        let port = gateway.address().rsplit_once(':').expect("a port").1.to_owned();
        let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for kept in [true, false, false] {
                let (gateway, over, served) = (&gateway, &over, &served);
                scope.spawn(move || go_on(gateway.address(), kept, over, served));
            }
            let turned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for listen in ["0.0.0.0", "127.0.0.1", "0.0.0.0"] {
                    let before = served.load(Ordering::Acquire);
                    let listen = format!("\"{listen}:{port}\"");
                    eventually("the address can be had", || gateway.reload(&document(&listen, ""))["ok"] == true);
                    eventually("requests go on", || served.load(Ordering::Acquire) > before + 100);
                }
            }));
            over.store(true, Ordering::Release);
            turned.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        assert!(is_listening(gateway.address()));
    });
}

/// Asks again and again, on one connection for as long as the gateway keeps it, or on a new one each time.
fn go_on(address: &str, kept: bool, over: &AtomicBool, served: &AtomicU64) {
    let mut client = Client::connect(address);
    while !over.load(Ordering::Acquire) {
        let response = client.exchange(GET);
        response.expect_status(200);
        if !kept || response.header("Connection") == Some("close") {
            client = Client::connect(address);
        }
        served.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn an_address_that_was_just_let_go_can_be_had_again() {
    on_both_drivers(|driver| {
        let gateway = start(r#""127.0.0.1:0", "127.0.0.1:0""#, driver);
        let both = format!("\"127.0.0.1:0\", \"{}\"", gateway.listeners()[1]);
        for _ in 0..3 {
            reload(&gateway, &document(r#""127.0.0.1:0""#, ""));
            reload(&gateway, &document(&both, ""));
            Client::connect(&gateway.listeners()[1]).exchange(GET).expect_status(200);
        }
    });
}

/// Tags of parked connections are used again: a connection must never find another listener's settings.
#[test]
fn connections_keep_their_own_listener_while_others_come_and_go() {
    on_both_drivers(|driver| {
        let told = |client: &mut Client| -> String {
            client.exchange("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200).text()
        };
        let backend = support::Backend::echo();
        let document = |listen: &str| {
            let route = format!(
                "      \"GET /x\": {{integration: {{type: http_proxy, uri: \"http://{}/x\"}}}}\n    stages:",
                backend.address()
            );
            let kind = document(listen, "").replace("kind: http", "kind: rest").replace("$default", "s");
            kind.replace("apis:", "domains: {\"*\": {mappings: {/: http/s}}}\napis:").replace("    stages:", &route)
        };
        let gateway = Gateway::start(&document(r#""127.0.0.1:0", "127.0.0.1:0""#), driver);
        let old: Vec<String> = gateway.listeners().to_vec();
        let mut clients: Vec<Client> = old.iter().map(|address| Client::connect(address)).collect();
        // The second goes while its connection is parked, and others take its place.
        for (turn, address) in clients.iter_mut().zip(&old) {
            assert!(
                told(turn).contains(&format!("X-Forwarded-Port: {}\r\n", address.rsplit_once(':').expect("a port").1))
            );
        }
        for _ in 0..3 {
            reload(&gateway, &document(&format!("\"{}\"", old[0])));
            reload(&gateway, &document(&format!("\"{}\", \"127.0.0.1:0\"", old[0])));
            let fresh = listeners(&gateway)[1].clone();
            let port = fresh.rsplit_once(':').expect("a port").1;
            let mut client = Client::connect(&fresh);
            assert!(told(&mut client).contains(&format!("X-Forwarded-Port: {port}\r\n")));
        }
        let port = old[1].rsplit_once(':').expect("a port").1;
        assert!(
            told(&mut clients[1]).contains(&format!("X-Forwarded-Port: {port}\r\n")),
            "the port that it came in by"
        );
        clients[1].expect_close();
        assert!(told(&mut clients[0]).contains("X-Forwarded-Port"));
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn the_access_log_moves_with_a_reload() {
    on_both_drivers(|driver| {
        let log = |to: &str| document(r#""127.0.0.1:0""#, &format!("  access_log: {{to: {to}}}"));
        let gateway = Gateway::start(&log("one.log"), driver);
        let mut client = gateway.client();
        let mut lines = |file: &str, document: &str| -> Value {
            client.exchange(GET).expect_status(200);
            let report = gateway.reload(document);
            let text = std::fs::read_to_string(gateway.folder().join(file)).unwrap_or_default();
            assert!(report["ok"] == false || file == "none" || text.lines().count() == 1, "{file}: {text:?} {report}");
            report
        };
        // What was asked for before the reload is in the file when it returns.
        assert!(lines("one.log", &log("two.log"))["changes"].to_string().contains("access log"));
        lines("two.log", &log("none"));
        lines("none", &log("three.log"));
        let report = lines("none", &log("no/such/folder/x.log"));
        assert_eq!(report["failure"], "resource", "{report}");
        assert!(report["faults"].to_string().contains("cannot open the access log"), "{report}");
        client.exchange(GET).expect_status(200);
        let three = || std::fs::read_to_string(gateway.folder().join("three.log")).unwrap_or_default();
        eventually("the log before goes on", || three().lines().count() == 2);
        assert!(gateway.counter("tollgate_access_log_dropped_total", &[]) < 0.5);
        assert!(gateway.counter("tollgate_access_log_lost_lines_total", &[]) < 0.5);
    });
}
