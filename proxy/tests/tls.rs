//! TLS in front: handshakes, certificates by name, bodies in both directions, sessions, reloads and whoever does not speak it; on both
//! drivers (rows R01, R05; DM-01, DM-08).

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use support::gateway::new_folder;
use support::{Backend, Client, Driver, Gateway, Reply, eventually, on_both_drivers};
use tls::{Identity, Secure, Visitor};

const LISTEN: &str = "  listen: [{address: \"127.0.0.1:0\", tls: {certificate: main.crt, key: main.key}}]\n";

fn document(backend: &str, gateway: &str, domains: &str) -> String {
    let mut text = format!(
        r#"gateway:
{LISTEN}{gateway}
upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  http:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "hello"}}}}
      "GET /ws": {{websocket: true, integration: {{type: http_proxy, uri: "http://back/ws"}}}}
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{$default: {{}}}}
"#
    );
    let mut all = String::from("domains:\n  \"*\": {mappings: {/: http/$default}}\n");
    write!(all, "{domains}").expect("text");
    text.push_str(&all);
    text
}

struct House {
    gateway: Gateway,
    backend: Backend,
    main: Identity,
}

impl House {
    /// A gateway with a certificate for `main.test`, in a folder that `prepare` may write to.
    fn start(driver: Driver, gateway: &str, domains: &str, prepare: impl FnOnce(&Path)) -> House {
        let folder = new_folder();
        let main = Identity::new(&["main.test"]);
        main.write(&folder, "main");
        prepare(&folder);
        let backend = Backend::echo();
        let text = document(backend.address(), gateway, domains);
        let gateway = Gateway::start_in(folder, &text, driver, &[]);
        let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
        House { gateway, backend, main }
    }

    fn plain(driver: Driver) -> House {
        House::start(driver, "", "", |_| {})
    }

    fn client(&self) -> Secure {
        Visitor::new(&[&self.main]).connect(self.gateway.address(), "main.test")
    }

    fn failures(&self, cause: &str) -> u64 {
        self.count("tollgate_tls_handshake_failures_total", &[("cause", cause)])
    }

    #[allow(clippy::cast_sign_loss, reason = "counters begin at zero")]
    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.gateway.counter(name, labels) as u64
    }
}

const GET: &str = "GET /mock HTTP/1.1\r\nHost: main.test\r\n\r\n";

#[test]
fn requests_are_served_one_after_the_other_and_all_at_once() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let mut client = house.client();
        for _ in 0..3 {
            assert_eq!(client.exchange(GET).expect_status(200).text(), "hello");
        }
        client.send(GET.repeat(10));
        for _ in 0..10 {
            assert_eq!(client.read_response().expect_status(200).text(), "hello");
        }
        assert_eq!(house.gateway.status()["connections"]["accepted"], 1);
        assert_eq!(house.count("tollgate_tls_handshakes_total", &[("version", "1.3")]), 1);
        let told = "\"protocol\":\"HTTP/1.1\",\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_";
        eventually("the log tells of it", || house.gateway.access_log().matches(told).count() == 13);
        let left = house.gateway.counter("tollgate_tls_certificate_days_left", &[]);
        assert!(left > 365.0, "{left}: rcgen's certificates are long-lived");
        eventually("the connection is idle", || house.gateway.counter("tollgate_connections_idle", &[]) > 0.5);
        assert_eq!(client.exchange(GET).expect_status(200).text(), "hello");
    });
}

/// Bytes that show when a piece of them is missing or in another place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn a_mebibyte_passes_in_both_directions() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let body = pattern(1 << 20);
        house.backend.script({
            let body = body.clone();
            move |request| Reply::ok(if request.body == body { &body[..] } else { b"not what was sent" })
        });
        let mut client = house.client();
        for _ in 0..2 {
            client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            client.send(&body);
            assert!(client.read_response().expect_status(200).body == body);
        }
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(10_000) {
            client.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        assert!(client.read_response().expect_status(200).body == body);
        assert_eq!(house.backend.take().iter().filter(|request| request.body == body).count(), 3);
    });
}

#[test]
fn a_backend_learns_how_the_client_came() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        house.client().exchange("GET /x HTTP/1.1\r\nHost: main.test\r\n\r\n").expect_status(200);
        let seen = house.backend.only();
        let forwarded = seen.header("forwarded").unwrap_or_default().to_owned();
        let proto = seen.header("x-forwarded-proto").unwrap_or_default();
        assert!(proto == "https" || forwarded.contains("proto=https"), "{proto} {forwarded}");
    });
}

#[test]
fn records_may_be_cut_anywhere() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let mut client = house.client();
        // A record for each byte.
        for byte in GET.as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(client.read_response().expect_status(200).text(), "hello");
        // A head over several records, and records over many segments.
        let head = format!("GET /mock HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "y".repeat(6_000));
        for piece in head.as_bytes().chunks(700) {
            client.send(piece);
        }
        client.read_response().expect_status(200);
        let mut sealed = Vec::new();
        client.tls().writer().write_all(head.as_bytes()).expect("memory");
        while client.tls().wants_write() {
            client.tls().write_tls(&mut sealed).expect("memory");
        }
        for byte in sealed {
            client.wire().write_all(&[byte]).expect("the gateway reads");
        }
        client.read_response().expect_status(200);
    });
}

#[test]
fn a_handshake_may_come_in_single_bytes() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let mut wire = TcpStream::connect(house.gateway.address()).expect("it listens");
        wire.set_nodelay(true).expect("a TCP socket");
        let mut tls = Visitor::new(&[&house.main]).hello("main.test");
        while tls.is_handshaking() || tls.wants_write() {
            let mut out = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut out).expect("memory");
            }
            for byte in out {
                wire.write_all(&[byte]).expect("the gateway reads");
            }
            if tls.is_handshaking() {
                tls.read_tls(&mut wire).expect("the gateway answers");
                tls.process_new_packets().expect("a good handshake");
            }
        }
        eventually("it is counted", || house.count("tollgate_tls_handshakes_total", &[]) == 1);
    });
}

#[test]
fn the_end_is_announced_on_both_sides() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let mut client = house.client();
        client.send("GET /mock HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let all = client.read_to_end().expect("the gateway says goodbye");
        assert!(all.ends_with(b"hello"));
        let mut client = house.client();
        client.exchange(GET).expect_status(200);
        client.say_goodbye();
        assert_eq!(client.read_to_end().expect("a goodbye in return"), b"");
        eventually("both have gone", || house.gateway.counter("tollgate_connections_open", &[]) < 0.5);
    });
}

#[test]
fn a_body_that_is_cut_is_not_whole() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let mut client = house.client();
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nonly this");
        eventually("the backend is called", || house.backend.byte_count() > 0);
        client.cut();
        eventually("both have gone", || house.gateway.counter("tollgate_connections_open", &[]) < 0.5);
        assert!(house.backend.take().is_empty(), "no whole request");
        house.client().exchange(GET).expect_status(200);
    });
}

#[test]
fn r01_a_handshake_has_its_time() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {handshake_time: 1s}\n", "", |_| {});
        let mut silent = Client::connect(house.gateway.address());
        let mut slow = Client::connect(house.gateway.address());
        slow.send(b"\x16\x03\x01");
        slow.expect_close();
        silent.expect_close();
        eventually("both are counted", || house.failures("timeout") == 1 && house.failures("silent") == 1);
        house.client().exchange(GET).expect_status(200);
        eventually("nobody is left", || house.gateway.counter("tollgate_tls_handshakes_in_progress", &[]) < 0.5);
    });
}

#[test]
fn r05_what_is_no_tls_is_refused() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        for (number, garbage) in
            [&b"\x16\x03\x01\x00\x05hello"[..], b"\x80\x2e\x01\x03\x01", b"\x00\x00\x00\x00\x00"].iter().enumerate()
        {
            let mut client = Client::connect(house.gateway.address());
            client.send(garbage);
            let alert = client.read_to_end();
            assert!(alert.is_empty() || alert[0] == 0x15, "an alert or nothing: {alert:?}");
            eventually("it is counted", || house.failures("protocol") == number as u64 + 1);
        }
        let mut client = Client::connect(house.gateway.address());
        client.send(GET);
        let told = client.read_response();
        assert!(told.expect_status(400).text().contains("https://"), "{}", told.text());
        client.expect_close();
        assert_eq!(house.failures("plain_http"), 1);
        let mut closed = Client::connect(house.gateway.address());
        closed.send(b"\x16");
        closed.finish();
        eventually("it is counted", || house.failures("closed") == 1);
    });
}

#[test]
fn a_plain_port_refuses_tls() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = Gateway::start(&document(backend.address(), "", "").replace(LISTEN, ""), driver);
        let main = Identity::new(&["main.test"]);
        let error = Visitor::new(&[&main]).try_connect(gateway.address(), "main.test").err().expect("no TLS here");
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is told, not left waiting");
        eventually("it is counted", || gateway.counter("tollgate_refusals_total", &[]) > 0.5);
    });
}

#[test]
fn the_name_decides_on_the_certificate() {
    on_both_drivers(|driver| {
        let (exact, wild) = (Identity::new(&["a.one.test"]), Identity::new(&["*.one.test"]));
        let domains = "  \"*.one.test\": {tls: {certificate: wild.crt, key: \"${file:wild.key}\"}, mappings: {/: http/$default}}\n  \
                       A.one.test: {tls: {certificates: [{certificate: exact.crt, key: exact.key}]}, mappings: {/: http/$default}}\n";
        let house = House::start(driver, "", domains, |folder| {
            exact.write(folder, "exact");
            wild.write(folder, "wild");
        });
        let visitor = Visitor::new(&[&house.main, &exact, &wild]);
        let shown = |name: &str| visitor.connect(house.gateway.address(), name).certificate();
        assert_eq!(shown("a.one.test"), exact.der());
        assert_eq!(shown("b.one.test"), wild.der());
        assert_eq!(shown("main.test"), house.main.der());
        for unknown in ["other.test", "x.b.one.test", "one.test"] {
            assert!(
                visitor.try_connect(house.gateway.address(), unknown).is_err(),
                "{unknown} is not in any certificate"
            );
        }
        eventually("the clients' alerts are counted", || house.failures("alert") == 3);
        // Without mutual TLS the name of the handshake and the Host need not agree.
        let mut client = visitor.connect(house.gateway.address(), "a.one.test");
        client.exchange("GET /mock HTTP/1.1\r\nHost: main.test\r\n\r\n").expect_status(200);
    });
}

#[test]
fn a_client_gets_the_key_that_it_can_read() {
    on_both_drivers(|driver| {
        let (ecdsa, rsa) = (Identity::new(&["two.test"]), Identity::rsa(&["two.test"]));
        let both = "tls: {certificates: [{certificate: e.crt, key: e.key}, {certificate: r.crt, key: r.key}]}";
        let domains = format!("  two.test: {{{both}, mappings: {{/: http/$default}}}}\n");
        let house = House::start(driver, "", &domains, |folder| {
            ecdsa.write(folder, "e");
            rsa.write(folder, "r");
        });
        let visitor = Visitor::new(&[&ecdsa, &rsa]);
        assert_eq!(visitor.connect(house.gateway.address(), "two.test").certificate(), ecdsa.der());
        let only_rsa = Visitor::reading_rsa_alone(&[&ecdsa, &rsa]);
        assert_eq!(only_rsa.connect(house.gateway.address(), "two.test").certificate(), rsa.der());
        // Whoever can read none is told just that: scanners take any other word for a fault.
        let refused = only_rsa.try_connect(house.gateway.address(), "main.test").err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("received fatal alert: HandshakeFailure"));
    });
}

#[test]
fn sessions_go_on_at_their_own_host_alone() {
    on_both_drivers(|driver| {
        let (one, two) = (Identity::new(&["one.test"]), Identity::new(&["two.test"]));
        let domains = "  one.test: {tls: {certificate: one.crt, key: one.key}, mappings: {/: http/$default}}\n  \
                       two.test: {tls: {certificate: two.crt, key: two.key}, mappings: {/: http/$default}}\n";
        let house = House::start(driver, "", domains, |folder| {
            one.write(folder, "one");
            two.write(folder, "two");
        });
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let visitor = Visitor::with(&[&one, &two], &[version]).careless();
            let visit = |name: &str| {
                let mut client = visitor.connect(house.gateway.address(), name);
                client.exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
                client.is_resumed()
            };
            assert!(!visit("one.test"), "the first is new");
            assert!(visit("one.test"), "{version:?}: a session goes on");
            assert!(!visit("two.test"), "{version:?}: but not at another host");
            assert!(visit("two.test"));
            // Certificates that did not change keep their sessions over a reload.
            let report = house.gateway.reload(&document(house.backend.address(), "", domains));
            assert_eq!(report["ok"], true, "{report}");
            assert!(visit("two.test"), "{version:?}: also after a reload");
        }
        assert!(house.gateway.counter("tollgate_tls_handshakes_total", &[("resumed", "yes")]) > 5.5);
    });
}

#[test]
fn a_reload_changes_certificates_and_ends_nothing() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let text = document(house.backend.address(), "", "");
        let mut client = house.client();
        client.exchange(GET).expect_status(200);
        let second = Identity::new(&["main.test"]);
        second.write(house.gateway.folder(), "main");
        let report = house.gateway.reload(&text);
        assert!(report["ok"] == true && report["changes"].to_string().contains("certificate"), "{report}");
        client.exchange(GET).expect_status(200);
        let visitor = Visitor::new(&[&house.main, &second]);
        assert_eq!(visitor.connect(house.gateway.address(), "main.test").certificate(), second.der());
        // A key of another certificate: the whole reload comes to nothing.
        std::fs::write(house.gateway.folder().join("main.key"), &house.main.key).expect("the folder is writable");
        let report = house.gateway.reload(&text);
        assert!(report["ok"] == false && report["faults"].to_string().contains("does not belong"), "{report}");
        client.exchange(GET).expect_status(200);
        assert_eq!(visitor.connect(house.gateway.address(), "main.test").certificate(), second.der());
        assert_eq!(house.gateway.status()["connections"]["accepted"], 3);
    });
}

#[test]
fn a_listener_takes_up_tls_and_gives_it_up() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let plain =
            document(house.backend.address(), "", "").replace(", tls: {certificate: main.crt, key: main.key}", "");
        let mut secure = house.client();
        secure.exchange(GET).expect_status(200);
        assert_eq!(house.gateway.reload(&plain)["ok"], true);
        let mut client = house.gateway.client();
        client.exchange(GET).expect_status(200);
        secure.exchange(GET).expect_status(200);
        assert_eq!(house.gateway.reload(&document(house.backend.address(), "", ""))["ok"], true);
        client.exchange(GET).expect_status(200);
        house.client().exchange(GET).expect_status(200);
    });
}

#[test]
fn a_policy_and_a_protocol_are_held() {
    on_both_drivers(|driver| {
        let domains = "  new.test: {tls: {certificate: new.crt, key: new.key, policy: SecurityPolicy_TLS13_1_3_2025_09}, \
                       mappings: {/: http/$default}}\n";
        let new = Identity::new(&["new.test"]);
        let house = House::start(driver, "", domains, |folder| new.write(folder, "new"));
        let old = Visitor::with(&[&house.main, &new], &[&rustls::version::TLS12]);
        old.connect(house.gateway.address(), "main.test").exchange(GET).expect_status(200);
        assert!(old.try_connect(house.gateway.address(), "new.test").is_err(), "1.3 alone");
        Visitor::new(&[&new]).connect(house.gateway.address(), "new.test").exchange(GET).expect_status(200);
        let visitor = Visitor::new(&[&house.main]);
        let mut client = visitor.offering(&["h2", "http/1.1"]).connect(house.gateway.address(), "main.test");
        assert_eq!(client.tls().alpn_protocol(), Some(&b"h2"[..]));
        assert!(visitor.offering(&["spdy/3"]).try_connect(house.gateway.address(), "main.test").is_err());
        eventually("both are counted", || house.failures("incompatible") == 2);
        let group = client.tls().negotiated_key_exchange_group().expect("a handshake agrees on one").name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    });
}

#[test]
fn an_idle_connection_has_no_task_whatever_comes() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {idle_time: 2s}\n", "", |_| {});
        let mut client = house.client();
        client.exchange(GET).expect_status(200);
        let idle = || house.gateway.counter("tollgate_connections_idle", &[]) > 0.5;
        eventually("it is idle", idle);
        // A new key, and the beginning of a record.
        client.tls().refresh_traffic_keys().expect("TLS 1.3");
        client.send("");
        client.wire().write_all(b"\x17\x03\x03").expect("it is open");
        let looked = house.gateway.counter("tollgate_loop_enters_total", &[]);
        eventually("it has been looked at", || house.gateway.counter("tollgate_loop_enters_total", &[]) > looked + 5.0);
        assert!(idle(), "nobody waits for the rest");
        assert!(client.read_to_end().is_ok(), "silence ends it, with a goodbye");
    });
}

#[test]
fn what_cannot_serve_is_said_before_anybody_connects() {
    let folder = new_folder();
    let main = Identity::new(&["main.test"]);
    std::fs::write(folder.join("main.crt"), &main.certificate).expect("the folder is writable");
    std::fs::write(folder.join("main.key"), "no key").expect("the folder is writable");
    let failed = Gateway::start_in(folder, &document("127.0.0.1:1", "", ""), Driver::Epoll, &[]);
    let failed = failed.err().expect("no key, no service");
    assert_eq!(failed.status.code(), Some(78));
    assert!(failed.stderr.contains("no private key in"), "{}", failed.stderr);
}

#[test]
fn a_tunnel_is_protected_as_well() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        house.backend.script_raw(|conversation| {
            conversation.head()?;
            conversation.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            );
            for _ in 0..2 {
                let said = conversation.exactly(70_000)?;
                conversation.send(said);
            }
            conversation.finish();
            conversation.closed()
        });
        let mut client = house.client();
        client.send(
            "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        client.read_response_head(101);
        let said = pattern(70_000);
        for _ in 0..2 {
            client.send(&said);
            assert!(client.read_exactly(said.len()) == said);
        }
        assert_eq!(client.read_to_end().expect("the end is announced"), b"");
        house.backend.expect_no_faults();
    });
}

#[test]
fn r05_handshakes_under_way_are_bounded() {
    // A login shell allows 1,024 descriptors.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("up to the maximum");
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {handshake_time: 60s}\n", "", |_| {});
        let begin = || {
            let mut client = Client::connect(house.gateway.address());
            client.send(b"\x16");
            client
        };
        let begun: Vec<Client> = (0..1_024).map(|_| begin()).collect();
        let in_progress = || house.count("tollgate_tls_handshakes_in_progress", &[]);
        eventually("all are under way", || in_progress() == 1_024);
        begin().expect_close();
        eventually("it is counted", || house.failures("busy") == 1);
        drop(begun);
        eventually("they have gone", || in_progress() == 0);
        house.client().exchange(GET).expect_status(200);
    });
}
