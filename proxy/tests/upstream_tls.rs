//! TLS towards backends: who is believed, who the gateway is to them, sessions, connections that are never mixed, reloads and every way
//! in which a handshake fails; on both drivers (IN-11, IN-15, IN-19).

mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_backend.rs"]
mod tls_backend;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use support::gateway::{complete, new_folder};
use support::{Backend, Client, Driver, Gateway, eventually, on_both_drivers};
use tls::{Authority, Identity};
use tls_backend::{Act, Manner, TlsBackend};

static ONLY_1_2: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

/// An HTTP API whose only route leads to the upstream `back`, which has these settings beside its servers.
fn document(servers: &[&str], settings: &str) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    format!(
        r#"
upstreams:
  back: {{servers: [{}], {settings}}}
apis:
  web:
    kind: http
    routes:
      "GET /ws": {{websocket: true, integration: {{type: http_proxy, uri: "https://back/ws"}}}}
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{$default: {{}}}}
"#,
        servers.join(", ")
    )
}

fn start(driver: Driver, text: &str, prepare: impl FnOnce(&Path)) -> Gateway {
    let folder = new_folder();
    prepare(&folder);
    let gateway = Gateway::start_in(folder, text, driver, &[]);
    gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}\n{text}", failed.stderr))
}

fn ca(folder: &Path, pem: &str) {
    fs::write(folder.join("ca.pem"), pem).expect("the folder is writable");
}

fn fault(gateway: &Gateway, name: &str) -> u64 {
    gateway.status()["upstreams"]["back"]["faults"][name].as_u64().unwrap_or(0)
}

#[test]
fn a_chain_is_believed_its_name_is_asked_for_and_sessions_go_on() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let backend = TlsBackend::start(&Manner::new(&authority.issue(&["back.test"])));
        let text = document(&[backend.address()], "tls: {ca: ca.pem, server_name: back.test}");
        let gateway = start(driver, &text, |folder| ca(folder, &authority.certificate));
        let mut client = gateway.client();
        for _ in 0..3 {
            client.send(GET);
            assert_eq!(client.read_response().expect_status(200).text(), "0", "one connection");
        }
        let calls = backend.take();
        assert!(calls.iter().all(|call| call.name.as_deref() == Some("back.test") && !call.resumed), "{calls:?}");
        assert_eq!(calls[0].request.header("Host"), Some("back"));
        backend.hang_up();
        eventually("the pool is empty", || gateway.counter("tollgate_upstream_connections_idle", &[]) < 0.5);
        client.send(GET);
        assert_eq!(client.read_response().expect_status(200).text(), "1");
        assert!(backend.only().resumed, "the second handshake continues the session");
        let status = gateway.status();
        assert_eq!(status["upstreams"]["back"]["tls"]["handshakes"], 1);
        assert_eq!(status["upstreams"]["back"]["tls"]["resumed"], 1);
        let labels = [("upstream", "back"), ("version", "1.3")];
        assert!(gateway.counter("tollgate_upstream_tls_handshakes_total", &labels) > 1.5);
    });
}

#[test]
fn a_certificate_in_the_file_of_authorities_is_believed_as_it_is() {
    on_both_drivers(|driver| {
        for identity in [Identity::new(&["back.test"]), Identity::own_authority(&["back.test"])] {
            let backend = TlsBackend::start(&Manner::new(&identity));
            let text = document(&[backend.address()], "tls: {ca: ca.pem, server_name: back.test}");
            let gateway = start(driver, &text, |folder| ca(folder, &identity.certificate));
            let mut client = gateway.client();
            client.send(GET);
            client.read_response().expect_status(200);
        }
    });
}

/// The only request is refused with 503, for this fault.
#[track_caller]
fn refused(driver: Driver, text: &str, pem: &str, name: &str) {
    let gateway = start(driver, text, |folder| ca(folder, pem));
    let mut client = gateway.client();
    client.send(GET);
    let response = client.read_response();
    assert_eq!(response.expect_status(503).text(), r#"{"message":"Service Unavailable"}"#);
    assert!(fault(&gateway, name) > 0, "{name}: {}", gateway.status()["upstreams"]["back"]);
    assert!(gateway.counter("tollgate_upstream_faults_total", &[("fault", name)]) > 0.5);
    assert_eq!(gateway.status()["upstreams"]["back"]["connections"], 0, "nothing is kept");
}

#[test]
fn each_way_of_being_somebody_else_is_told_apart() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let verified = "tls: {ca: ca.pem, server_name: back.test}, retry: off";
        let case = |manner: Manner, settings: &str, name: &str| {
            let backend = TlsBackend::start(&manner);
            refused(driver, &document(&[backend.address()], settings), &authority.certificate, name);
            assert!(backend.take().is_empty(), "{name}: nothing was asked");
        };
        let good = authority.issue(&["back.test"]);
        case(Manner::new(&Identity::new(&["back.test"])), verified, "tls_untrusted");
        case(Manner::new(&authority.issue(&["other.test"])), verified, "tls_name_mismatch");
        let by_address = "tls: {ca: ca.pem}, retry: off";
        case(Manner::new(&good), by_address, "tls_name_mismatch");
        let other = Identity::new(&["other.test"]);
        case(Manner::new(&good).asking(&[&other]), verified, "tls_refused");
        case(Manner::new(&good).asking(&[&other]).speaking(&ONLY_1_2), verified, "tls_refused");
        let newest = "tls: {ca: ca.pem, server_name: back.test, policy: TLS_1_3}, retry: off";
        case(Manner::new(&good).speaking(&ONLY_1_2), newest, "tls_refused");
        let expired = Identity::expired(&["back.test"]);
        let backend = TlsBackend::start(&Manner::new(&expired));
        refused(driver, &document(&[backend.address()], verified), &expired.certificate, "tls_expired");
    });
}

#[test]
fn who_speaks_no_tls_or_says_nothing_is_told_apart_as_well() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let settings = "tls: {ca: ca.pem, server_name: back.test}, retry: off, connect_time: 300ms";
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = silent.local_addr().expect("it is bound").to_string();
        refused(driver, &document(&[&address], settings), &authority.certificate, "connect_timed_out");
        let closing = Backend::raw(|conversation| conversation.exactly(5).map(drop));
        refused(driver, &document(&[closing.address()], settings), &authority.certificate, "tls_failed");
        let talking = Backend::raw(|conversation| {
            conversation.exactly(5)?;
            conversation.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            conversation.closed()
        });
        refused(driver, &document(&[talking.address()], settings), &authority.certificate, "tls_failed");
    });
}

#[test]
fn a_server_that_is_somebody_else_is_passed_by() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let good = TlsBackend::start(&Manner::new(&authority.issue(&["back.test"])));
        let bad = TlsBackend::start(&Manner::new(&Identity::new(&["back.test"])));
        let settings = "tls: {ca: ca.pem, server_name: back.test}, outlier: {failures: 2, time: 1h, time_max: 1h}";
        let text = document(&[bad.address(), good.address()], settings);
        let gateway = start(driver, &text, |folder| ca(folder, &authority.certificate));
        let mut client = gateway.client();
        for _ in 0..20 {
            // A body that is on its way has not been touched: it goes to the other one.
            client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
            client.read_response().expect_status(200);
        }
        assert_eq!(good.take().len(), 20);
        let servers = gateway.status()["upstreams"]["back"]["servers"].clone();
        assert_eq!(servers[bad.address()]["health"], "ejected", "{servers}");
        assert_eq!(servers[good.address()]["health"], "well", "{servers}");
    });
}

/// A REST API of an OpenAPI document whose integrations lead to these ports of `localhost`.
fn imported(folder: &Path, ports: &[(&str, u16, &str)]) {
    let mut text = String::from("openapi: 3.0.1\ninfo: {title: t, version: '1'}\npaths:\n");
    for (path, port, config) in ports {
        let integration =
            format!("{{type: http_proxy, httpMethod: GET, uri: 'https://localhost:{port}/', tlsConfig: {config}}}");
        writeln!(text, "  /{path}: {{get: {{x-amazon-apigateway-integration: {integration}}}}}").expect("text");
    }
    fs::write(folder.join("api.yaml"), text).expect("the folder is writable");
}

const IMPORTED: &str = "apis: {a: {kind: rest, openapi: api.yaml, stages: {s: {}}}}\n";

#[test]
fn insecure_skip_verification_skips_the_issuer_alone() {
    on_both_drivers(|driver| {
        let (own, authority) = (Identity::own_authority(&["localhost"]), Authority::new("hidden"));
        let backend = |identity: &Identity| TlsBackend::start(&Manner::new(identity));
        let (good, other) = (backend(&own), backend(&Identity::new(&["other.test"])));
        let (old, rooted) =
            (backend(&Identity::expired(&["localhost"])), backend(&authority.issue_with_root(&["localhost"])));
        let (rootless, named) = (backend(&authority.issue(&["localhost"])), backend(&Identity::new(&["named.test"])));
        let skip = "{insecureSkipVerification: true}";
        let gateway = start(driver, IMPORTED, |folder| {
            imported(
                folder,
                &[
                    ("good", good.port(), skip),
                    ("verified", good.port(), "{insecureSkipVerification: false}"),
                    ("other", other.port(), skip),
                    ("old", old.port(), skip),
                    ("rooted", rooted.port(), skip),
                    ("rootless", rootless.port(), skip),
                    ("named", named.port(), "{insecureSkipVerification: true, serverNameToVerify: named.test}"),
                ],
            );
        });
        let ask = |path: &str| {
            let mut client = gateway.client();
            client.send(format!("GET /s/{path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.read_response()
        };
        for path in ["good", "rooted", "named"] {
            ask(path).expect_status(200);
        }
        for path in ["verified", "other", "old", "rootless"] {
            let response = ask(path);
            assert_eq!(
                response.expect_status(504).text(),
                r#"{"message":"Network error communicating with endpoint"}"#,
                "{path}"
            );
        }
        let fault = |fault| gateway.counter("tollgate_upstream_faults_total", &[("fault", fault)]);
        assert!(fault("tls_name_mismatch") > 0.5 && fault("tls_expired") > 0.5 && fault("tls_untrusted") > 1.5);
        assert_eq!(named.only().name.as_deref(), Some("named.test"));
        assert_eq!(good.take().len(), 1, "nothing was asked where the issuer counts");
    });
}

#[test]
fn the_systems_authorities_are_believed_by_default() {
    on_both_drivers(|driver| {
        let authority = Authority::new("of the system");
        let backend = TlsBackend::start(&Manner::new(&authority.issue(&["localhost"])));
        let folder = new_folder();
        fs::write(folder.join("system.pem"), &authority.certificate).expect("the folder is writable");
        imported(&folder, &[("x", backend.port(), "{}")]);
        let document = folder.join("gateway.yaml");
        fs::write(&document, complete(IMPORTED, &folder)).expect("the folder is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("run").arg(&document).arg(format!("--io-driver={}", driver.name()));
        command.env("SSL_CERT_FILE", folder.join("system.pem")).stdin(Stdio::null()).stdout(Stdio::null());
        let gateway = Gateway::launch(folder, driver, command).unwrap_or_else(|failed| panic!("{}", failed.stderr));
        let mut client = gateway.client();
        client.send("GET /s/x HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_response().expect_status(200);
        assert_eq!(backend.only().name.as_deref(), Some("localhost"));
    });
}

#[test]
fn each_stage_proves_itself_with_its_own_certificate_on_its_own_connections() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let (one, two, own) =
            (Identity::new(&["one.test"]), Identity::new(&["two.test"]), Identity::new(&["own.test"]));
        let manner = Manner::new(&authority.issue(&["back.test"])).asking(&[&one, &two, &own]);
        let backend = TlsBackend::start(&manner);
        let text = format!(
            r#"
upstreams:
  back: {{servers: ["{}"], tls: {{ca: ca.pem, server_name: back.test, certificate: own.crt, key: own.key}}}}
apis:
  rest:
    kind: rest
    routes: {{"GET /x": {{integration: {{type: http_proxy, uri: "https://back/x"}}}}}}
    stages:
      one: {{client_certificate: {{certificate: one.crt, key: one.key}}}}
      two: {{client_certificate: {{certificate: two.crt, key: two.key}}}}
      own: {{}}
"#,
            backend.address()
        );
        let gateway = start(driver, &text, |folder| {
            ca(folder, &authority.certificate);
            one.write(folder, "one");
            two.write(folder, "two");
            own.write(folder, "own");
        });
        let mut client = gateway.client();
        for _ in 0..4 {
            for (stage, identity) in [("one", &one), ("two", &two), ("own", &own)] {
                client.send(format!("GET /{stage}/x HTTP/1.1\r\nHost: a\r\n\r\n"));
                client.read_response().expect_status(200);
                assert_eq!(backend.only().caller, Some(identity.der()), "{stage}");
            }
        }
        assert_eq!(backend.connections(), 3, "each has its own");
    });
}

#[test]
fn bodies_pass_in_both_directions_and_cuts_are_seen() {
    on_both_drivers(|driver| {
        let identity = Identity::new(&["back.test"]);
        let backend = TlsBackend::acting(&Manner::new(&identity), |call| match call.request.header("x-do") {
            Some("cut") => Act::Cut(b"HTTP/1.1 200 OK\r\n\r\nhalf of it".to_vec()),
            Some("last") => Act::Last(b"HTTP/1.1 200 OK\r\n\r\nall of it".to_vec()),
            Some("chunks") => {
                Act::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec())
            }
            _ if call.request.target == "/ws" => {
                let key = call.request.header("Sec-WebSocket-Key").expect("a key");
                assert_eq!(key, "dGhlIHNhbXBsZSBub25jZQ==");
                Act::Echo(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                        .to_vec(),
                )
            }
            _ => Act::ok(&call.request.body),
        });
        let text = document(&[backend.address()], "tls: {ca: ca.pem, server_name: back.test}");
        let gateway = start(driver, &text, |folder| ca(folder, &identity.certificate));
        let body: Vec<u8> = (0..1_048_576u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            client.send(&body);
            assert!(client.read_response().expect_status(200).body == body, "every byte, in its place");
        }
        let ask = |what: &str| format!("GET /x HTTP/1.1\r\nHost: a\r\nx-do: {what}\r\n\r\n");
        client.send(ask("last"));
        assert_eq!(client.read_response().expect_status(200).text(), "all of it");
        client.send(ask("chunks"));
        assert_eq!(client.read_response().expect_status(200).text(), "abc");
        client.send(ask("cut"));
        assert!(client.try_response(false).is_err(), "without a goodbye it is not whole");
        eventually("it is counted", || fault(&gateway, "answer_cut_short") == 1);
        let mut client = gateway.client();
        client.send(
            "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        client.read_response_to_head().expect_status(101);
        for word in ["there", "and back"] {
            client.send(word);
            assert_eq!(client.read_until(word.as_bytes()), word.as_bytes());
        }
    });
}

#[test]
fn unix_sockets_speak_tls_under_the_name_that_is_set() {
    on_both_drivers(|driver| {
        let identity = Identity::new(&["back.test"]);
        let folder = new_folder();
        ca(&folder, &identity.certificate);
        let backend = TlsBackend::at(&folder.join("back.sock"), &Manner::new(&identity));
        let text = document(&["unix:back.sock"], "tls: {ca: ca.pem, server_name: back.test}");
        let gateway =
            Gateway::start_in(folder, &text, driver, &[]).unwrap_or_else(|failed| panic!("{}", failed.stderr));
        let mut client = gateway.client();
        client.send(GET);
        client.read_response().expect_status(200);
        assert_eq!(backend.only().name.as_deref(), Some("back.test"));
    });
}

#[test]
fn health_checks_speak_tls() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let good = TlsBackend::start(&Manner::new(&authority.issue(&["back.test"])));
        let bad = TlsBackend::start(&Manner::new(&Identity::new(&["back.test"])));
        let settings = "tls: {ca: ca.pem, server_name: back.test}, \
                        health_check: {path: /healthz, interval: 100ms, unhealthy: 1}";
        let text = document(&[good.address(), bad.address()], settings);
        let gateway = start(driver, &text, |folder| ca(folder, &authority.certificate));
        let health = |backend: &TlsBackend| {
            let status = gateway.status();
            let server = &status["upstreams"]["back"]["servers"][backend.address()];
            (server["health"].as_str().unwrap_or_default().to_owned(), server["checks"]["well"].as_u64().unwrap_or(0))
        };
        eventually("the one is ill", || health(&bad).0 == "ill");
        eventually("the other is well", || health(&good).1 > 0);
        assert_eq!(health(&good).0, "well");
        assert!(good.take().iter().all(|call| call.name.as_deref() == Some("back.test")));
        bad.become_like(&Manner::new(&authority.issue(&["back.test"])));
        eventually("it gets well", || health(&bad).0 == "well");
    });
}

#[test]
fn a_reload_takes_other_files_and_lets_go_of_old_connections() {
    on_both_drivers(|driver| {
        let (first, second) = (Authority::new("first"), Authority::new("second"));
        let (old, new) = (Identity::new(&["old.test"]), Identity::new(&["new.test"]));
        let manner = |authority: &Authority| Manner::new(&authority.issue(&["back.test"])).asking(&[&old, &new]);
        let backend = TlsBackend::start(&manner(&first));
        let settings = "tls: {ca: ca.pem, server_name: back.test, certificate: our.crt, key: our.key}, retry: off";
        let text = document(&[backend.address()], settings);
        let gateway = start(driver, &text, |folder| {
            ca(folder, &first.certificate);
            old.write(folder, "our");
        });
        let ask = || {
            let mut client = gateway.client();
            client.send(GET);
            client.read_response().status
        };
        assert_eq!(ask(), 200);
        assert_eq!(backend.only().caller, Some(old.der()));
        assert_eq!(gateway.reload(&text)["ok"], true);
        assert_eq!((ask(), backend.only().connection), (200, 0), "nothing has changed: the connection stays");
        new.write(gateway.folder(), "our");
        assert_eq!(gateway.reload(&text)["ok"], true);
        assert_eq!(ask(), 200);
        let call = backend.only();
        assert_eq!((call.connection, call.caller, call.resumed), (1, Some(new.der()), false));
        ca(gateway.folder(), &second.certificate);
        assert_eq!(gateway.reload(&text)["ok"], true);
        assert_eq!(ask(), 503, "who was believed before is not any more");
        backend.become_like(&manner(&second));
        assert_eq!(ask(), 200);
        fs::write(gateway.folder().join("our.key"), "nothing").expect("the folder is writable");
        let report = gateway.reload(&text);
        assert_eq!(report["ok"], false, "{report}");
        assert_eq!(ask(), 200, "what served goes on");
    });
}

#[test]
fn reloads_under_load_fail_nothing() {
    on_both_drivers(|driver| {
        let (one, two) = (Authority::new("one"), Authority::new("two"));
        let backend = TlsBackend::start(&Manner::new(&one.issue(&["back.test"])));
        let text = document(&[backend.address()], "tls: {ca: ca.pem, server_name: back.test}");
        let both = one.certificate.clone() + &two.certificate;
        let turned = two.certificate.clone() + &one.certificate;
        let gateway = start(driver, &text, |folder| ca(folder, &both));
        let over = AtomicBool::new(false);
        let served = thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = Client::connect(gateway.address());
                        let mut count = 0u32;
                        while !over.load(Ordering::Acquire) {
                            client.send(GET);
                            client.read_response().expect_status(200);
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            for turn in 0..20 {
                let issuer = if turn % 2 == 0 { &two } else { &one };
                backend.become_like(&Manner::new(&issuer.issue(&["back.test"])));
                ca(gateway.folder(), if turn % 2 == 0 { &turned } else { &both });
                assert_eq!(gateway.reload(&text)["ok"], true);
            }
            over.store(true, Ordering::Release);
            callers.into_iter().map(|caller| caller.join().expect("every answer is good")).sum::<u32>()
        });
        assert!(served > 20, "{served}");
        assert_eq!(gateway.status()["upstreams"]["back"]["faults"], serde_json::json!({}));
    });
}

#[test]
fn p07_a_handshake_is_completed_behind_a_header() {
    on_both_drivers(|driver| {
        let authority = Authority::new("ours");
        let headers = Arc::new(Mutex::new(Vec::new()));
        let backend = TlsBackend::behind_headers(&Manner::new(&authority.issue(&["back.test"])), &headers);
        let settings = "proxy_protocol: v2, tls: {ca: ca.pem, server_name: back.test}";
        let text = document(&[backend.address()], settings);
        let gateway = start(driver, &text, |folder| ca(folder, &authority.certificate));
        let mut clients = [gateway.client(), gateway.client()];
        for turn in 0..4 {
            let client = &mut clients[turn % 2];
            client.send(GET);
            assert_eq!(
                client.read_response().expect_status(200).text(),
                turn.to_string(),
                "a connection for each request"
            );
            let header = headers.lock().expect("no panic").pop().expect("a header");
            let told = codec::proxy_protocol::parse(&header).ok().flatten().expect("a header of version 2").told;
            let here = gateway.address().parse().expect("an address");
            assert_eq!(told, codec::proxy_protocol::Told::Client { source: client.local_address(), destination: here });
        }
        let calls = backend.take();
        assert!(calls.iter().all(|call| call.name.as_deref() == Some("back.test")), "{calls:?}");
        assert!(calls[1..].iter().all(|call| call.resumed), "sessions go on, whoever the client is");
    });
}
