//! Balancers in front that say whose connection it is (row P07): headers of both versions before requests and before TLS, whole, in
//! pieces and fused with what follows; everything that is none; in raw bytes, on both drivers.

#[path = "support/http2.rs"]
mod http2;
mod support;
#[path = "support/tls.rs"]
mod tls;

use std::net::{IpAddr, SocketAddr};

use codec::proxy_protocol::{Told, Version, write};
use support::gateway::{new_folder, two_ways};
use support::{Backend, Client, Driver, Gateway, eventually, on_both_drivers};
use tls::{Identity, Visitor};

const LISTEN: &str = r#"  listen:
    - {address: "127.0.0.1:0", proxy_protocol: 127.0.0.1}
    - {address: "127.0.0.1:0", proxy_protocol: {from: [127.0.0.0/8, "::1"]}, tls: {certificate: main.crt, key: main.key}}
    - {address: "127.0.0.1:0", proxy_protocol: {from: 10.0.0.0/8}}
    - {address: "127.0.0.1:0", proxy_protocol: {from: 10.0.0.0/8, others: serve}}
    - {address: "unix:behind.sock", proxy_protocol: unix}
"#;
const PLAIN: usize = 0;
const TLS: usize = 1;
const STRANGERS: usize = 2;
const OPEN: usize = 3;
const UNIX: usize = 4;

struct House {
    gateway: Gateway,
    backend: Backend,
    main: Identity,
}

fn document(listen: &str, gateway: &str, backend: &str) -> String {
    two_ways(&format!("{listen}{gateway}"), backend)
}

impl House {
    fn start(driver: Driver, gateway: &str) -> House {
        let (folder, main, backend) = (new_folder(), Identity::new(&["main.test"]), Backend::echo());
        main.write(&folder, "main");
        let gateway = Gateway::start_in(folder, &document(LISTEN, gateway, backend.address()), driver, &[]);
        House {
            gateway: gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr)),
            backend,
            main,
        }
    }

    fn client(&self, door: usize) -> Client {
        Client::connect(&self.gateway.listeners()[door])
    }

    #[allow(clippy::cast_sign_loss, reason = "counters begin at zero")]
    fn failures(&self, cause: &str) -> u64 {
        self.gateway.counter("tollgate_proxy_header_failures_total", &[("cause", cause)]) as u64
    }

    #[allow(clippy::cast_sign_loss, reason = "counters begin at zero")]
    fn all_failures(&self) -> u64 {
        self.gateway.counter("tollgate_proxy_header_failures_total", &[]) as u64
    }

    /// What the backend was told by the request that has just come.
    #[track_caller]
    fn told(&self) -> (String, String, String) {
        let request = self.backend.only();
        let header = |name| request.header(name).unwrap_or("-").to_owned();
        assert_eq!(request.all("X-Forwarded-For").len(), 1);
        (header("X-Forwarded-For"), header("X-Forwarded-Port"), header("X-Source"))
    }

    fn nobody_is_left(&self) {
        eventually("nobody is left", || self.gateway.counter("tollgate_connections_open", &[]) < 0.5);
    }
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v1(source: &str) -> Vec<u8> {
    let source: SocketAddr = source.parse().expect("an address");
    let (word, to) = if source.is_ipv4() { ("TCP4", "198.51.100.1") } else { ("TCP6", "2001:db8::99") };
    format!("PROXY {word} {} {to} {} 443\r\n", source.ip(), source.port()).into_bytes()
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &(block.len() as u16).to_be_bytes(), block].concat()
}

fn block(source: &str) -> Vec<u8> {
    let source: SocketAddr = source.parse().expect("an address");
    let to: IpAddr =
        if source.is_ipv4() { [198, 51, 100, 1].into() } else { "2001:db8::99".parse().expect("an address") };
    let mut out = Vec::new();
    write(Version::V2, &Told::Client { source, destination: SocketAddr::new(to, 443) }, &mut out);
    out.split_off(16)
}

/// With the checksum (RFC 3720 §B.4) of this very header, worked out by another program.
fn checked() -> Vec<u8> {
    v2(0x21, 0x11, &[&block("192.0.2.7:56324")[..], b"\x03\0\x04", &CHECKSUM].concat())
}
const CHECKSUM: [u8; 4] = 0x548E_28FF_u32.to_be_bytes();

/// A header, the address that is told, and the port; `here`: those of the connection itself.
fn good() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let v4 = block("192.0.2.7:56324");
    let extended = [&v4[..], b"\x01\0\x02h2", b"\x04\0\x03\0\0\0", b"\xe0\0\0"].concat();
    vec![
        (v1("192.0.2.7:56324"), "192.0.2.7", "443"),
        (v1("[2001:db8::7]:1"), "2001:db8::7", "443"),
        (v1("[::ffff:192.0.2.8]:1"), "192.0.2.8", "443"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "here", "here"),
        (b"PROXY UNKNOWN ::1 ::1 1 2\r\n".to_vec(), "here", "here"),
        (v2(0x21, 0x11, &v4), "192.0.2.7", "443"),
        (v2(0x21, 0x12, &v4), "192.0.2.7", "443"),
        (v2(0x21, 0x21, &block("[2001:db8::7]:1")), "2001:db8::7", "443"),
        (v2(0x21, 0x11, &extended), "192.0.2.7", "443"),
        (checked(), "192.0.2.7", "443"),
        (v2(0x21, 0x31, &[b'/'; 216]), "unknown", "here"),
        (v2(0x21, 0x00, b""), "here", "here"),
        (v2(0x20, 0x00, b""), "here", "here"),
        (v2(0x20, 0x11, &v4), "here", "here"),
    ]
}

#[test]
fn p07_a_header_says_whose_connection_it_is() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        let here = house.gateway.address().rsplit_once(':').expect("a port").1.to_owned();
        for (header, ip, port) in good() {
            let mut client = house.client(PLAIN);
            client.exchange([&header, GET.as_bytes()].concat()).expect_status(200);
            let (ip, port) = (if ip == "here" { "127.0.0.1" } else { ip }, if port == "here" { &here } else { port });
            assert_eq!(house.told(), (ip.into(), port.into(), ip.into()), "{}", header.escape_ascii());
            // The next requests are the same client's, with a pause before them and without.
            client.exchange(GET.repeat(2)).expect_status(200);
            client.read_response().expect_status(200);
            eventually("it is idle", || house.gateway.counter("tollgate_connections_idle", &[]) > 0.5);
            client.exchange(GET).expect_status(200);
            let all = house.backend.take();
            assert!(all.len() == 3 && all.iter().all(|request| request.header("X-Forwarded-For") == Some(ip)));
            drop(client);
            house.nobody_is_left();
        }
        let (first, second) = ([("version", "1")], [("version", "2")]);
        let read = |labels: &[(&str, &str)]| house.gateway.counter("tollgate_proxy_headers_total", labels);
        assert!((read(&first) - 5.0).abs() < 0.1 && (read(&second) - 9.0).abs() < 0.1);
        eventually("the log names the client", || house.gateway.access_log().contains("\"ip\":\"192.0.2.7\""));
        assert_eq!(house.all_failures(), 0);
        let mut client = house.client(PLAIN);
        client
            .exchange([&v1("[2001:db8::7]:1")[..], b"GET /x HTTP/1.1\r\nHost: web.test\r\n\r\n"].concat())
            .expect_status(200);
        assert_eq!(
            house.backend.only().header("Forwarded"),
            Some("for=\"[2001:db8::7]\";host=\"web.test\";proto=http")
        );
    });
}

#[test]
fn p07_a_header_may_be_cut_anywhere() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        for header in [v1("192.0.2.7:56324"), v2(0x21, 0x11, &block("192.0.2.7:56324"))] {
            let all = [&header, GET.as_bytes()].concat();
            for cut in 1..=header.len() + 1 {
                let mut client = house.client(PLAIN);
                client.send_apart(&all[..cut]);
                client.exchange(&all[cut..]).expect_status(200);
                assert_eq!(house.told().0, "192.0.2.7", "{cut} of {}", header.len());
            }
            let mut client = house.client(PLAIN);
            for byte in &header {
                client.send([*byte]);
            }
            client.exchange(GET).expect_status(200);
            assert_eq!(house.told().0, "192.0.2.7");
        }
        assert_eq!(house.all_failures(), 0);
    });
}

#[test]
fn p07_a_unix_socket_has_balancers_too() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        house.client(UNIX).exchange([&v1("192.0.2.7:1")[..], GET.as_bytes()].concat()).expect_status(200);
        assert_eq!(house.told(), ("192.0.2.7".into(), "443".into(), "192.0.2.7".into()));
        house.client(UNIX).exchange([b"PROXY UNKNOWN\r\n", GET.as_bytes()].concat()).expect_status(200);
        assert_eq!(house.told(), ("unknown".into(), "-".into(), "unknown".into()));
        house.client(UNIX).send(GET);
        eventually("it is refused", || house.failures("absent") == 1);
    });
}

/// What is no header, and how it is counted.
fn bad() -> Vec<(Vec<u8>, &'static str)> {
    let v4 = block("192.0.2.7:56324");
    let with = |more: &[u8]| v2(0x21, 0x11, &[&v4[..], more].concat());
    let mut broken = checked();
    broken[20] ^= 1;
    vec![
        (GET.as_bytes().to_vec(), "absent"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "absent"),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(), "absent"),
        (b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n".to_vec(), "absent"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n".to_vec(), "line_malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n".to_vec(), "line_malformed"),
        (b"PROXY SCTP 192.0.2.7 198.51.100.1 1 2\r\n".to_vec(), "line_malformed"),
        (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n".to_vec(), "address_malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n".to_vec(), "address_malformed"),
        ([b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat(), "line_too_long"),
        (v2(0x31, 0x11, &v4), "version_unknown"),
        (v2(0x22, 0x11, &v4), "command_unknown"),
        (v2(0x21, 0x13, &v4), "family_unknown"),
        (v2(0x21, 0x41, &v4), "family_unknown"),
        (v2(0x21, 0x11, &v4[..11]), "address_cut"),
        (v2(0x21, 0x21, &v4), "address_cut"),
        (with(b"\x01"), "extension_cut"),
        (with(b"\x01\0\x03h2"), "extension_cut"),
        (with(b"\x01\xff\xff"), "extension_cut"),
        (with(b"\x03\0\x04nope"), "checksum"),
        (with(b"\x03\0\x03abc"), "checksum"),
        (broken, "checksum"),
        ([SIGNATURE, &[0x21, 0x11, 0xFF, 0xFF]].concat(), "too_long"),
    ]
}

#[test]
fn p07_whatever_is_no_header_is_closed_and_counted() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        let mut count = 0;
        for door in [PLAIN, TLS] {
            for (bytes, cause) in bad() {
                let before = house.failures(cause);
                let mut client = house.client(door);
                client.send([&bytes, GET.as_bytes()].concat());
                assert_eq!(client.read_to_end(), b"", "{cause}: nobody is answered");
                count += 1;
                eventually(cause, || house.failures(cause) == before + 1);
                assert_eq!(house.all_failures(), count, "{}", bytes.escape_ascii());
            }
        }
        house.nobody_is_left();
        assert!(house.backend.take().is_empty(), "nothing of it is a request");
        assert!(house.gateway.counter("tollgate_requests_total", &[]) < 0.5);
    });
}

#[test]
fn p07_r01_a_header_has_a_second() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {handshake_time: 1h, header_time: 1h, idle_time: 1h}\n");
        for door in [PLAIN, TLS] {
            let (silent, cause) = (house.failures("silent"), house.failures("timeout"));
            let mut quiet = house.client(door);
            let (mut line, mut binary) = (house.client(door), house.client(door));
            line.send(b"PROXY TCP4 ");
            binary.send(&v2(0x21, 0x11, &block("192.0.2.7:1"))[..20]);
            quiet.expect_close();
            assert_eq!((line.read_to_end(), binary.read_to_end()), (Vec::new(), Vec::new()));
            eventually("they are counted", || {
                house.failures("silent") == silent + 1 && house.failures("timeout") == cause + 2
            });
            let before = house.failures("closed");
            drop(house.client(door));
            let mut half = house.client(door);
            half.send(b"PROXY ");
            half.finish();
            assert_eq!(half.read_to_end(), b"");
            eventually("they are counted", || house.failures("closed") == before + 2);
        }
        house.nobody_is_left();
        // Behind the header the client has its own time.
        let mut client = house.client(PLAIN);
        client.send(v1("192.0.2.7:1"));
        let (mut quiet, failures) = (house.client(PLAIN), house.failures("silent"));
        quiet.expect_close();
        eventually("a second has passed", || house.failures("silent") == failures + 1);
        client.exchange(GET).expect_status(200);
    });
}

#[test]
fn p07_others_are_refused_or_served_without_a_header() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        for (number, bytes) in [GET.as_bytes(), &v1("192.0.2.7:1"), b""].into_iter().enumerate() {
            let mut client = house.client(STRANGERS);
            // It may be closed before it has said anything.
            let _ = client.try_send(bytes);
            assert_eq!(client.read_to_end(), b"");
            eventually("it is counted", || house.failures("untrusted") == number as u64 + 1);
        }
        house.client(OPEN).exchange(GET).expect_status(200);
        assert_eq!(house.told().0, "127.0.0.1");
        for header in [v1("192.0.2.7:1"), v2(0x21, 0x11, &block("192.0.2.7:1"))] {
            let mut client = house.client(OPEN);
            client.send([&header, GET.as_bytes()].concat());
            client.read_response().expect_status(400);
        }
        assert!(house.backend.take().is_empty(), "a stranger's header is a broken request");
        assert_eq!(house.all_failures(), 3);
        house.nobody_is_left();
    });
}

#[test]
fn p07_the_header_stands_before_tls() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        let address = &house.gateway.listeners()[TLS];
        let visitor = Visitor::new(&[&house.main]);
        for (header, ip, _) in good() {
            let ip = if ip == "here" { "127.0.0.1" } else { ip };
            for is_fused in [true, false] {
                let mut client = visitor.connect_behind(address, "main.test", &header, is_fused);
                client.exchange(GET).expect_status(200);
                client.exchange(GET).expect_status(200);
                let all = house.backend.take();
                assert!(all.len() == 2 && all.iter().all(|request| request.header("X-Forwarded-For") == Some(ip)));
                assert!(all.iter().all(|request| request.header("X-Forwarded-Proto") == Some("https")));
            }
        }
        assert_eq!(house.all_failures(), 0);
        // A hello without a header, and a header in the place of the hello.
        assert!(visitor.try_connect(address, "main.test").is_err());
        eventually("it is counted", || house.failures("absent") == 1);
        let mut twice = house.client(TLS);
        twice.send([v1("192.0.2.7:1"), v1("192.0.2.7:1")].concat());
        let told = twice.read_response();
        assert!(told.expect_status(400).text().contains("https://"), "{}", told.text());
        house.nobody_is_left();
    });
}

#[test]
fn p06_p07_every_stream_of_http2_has_its_client() {
    on_both_drivers(|driver| {
        let listen = "  listen: [{address: \"127.0.0.1:0\", h2c: true, proxy_protocol: 127.0.0.1}]\n";
        let trust = "  trusted_proxies: 192.0.2.0/24\n";
        let backend = Backend::echo();
        let gateway = Gateway::start(&document(listen, trust, backend.address()), driver);
        for (source, told) in
            [("192.0.2.7", ["203.0.113.9", "203.0.113.10", "192.0.2.7"]), ("198.51.100.7", ["198.51.100.7"; 3])]
        {
            http2::run(async {
                let mut wire = tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens");
                let header = v1(&format!("{source}:4711"));
                tokio::io::AsyncWriteExt::write_all(&mut wire, &header).await.expect("it reads");
                let client = http2::Client::over(wire, &h2::client::Builder::new(), ("http", "a")).await;
                let mut answers = Vec::new();
                for client_ip in [Some("203.0.113.9"), Some("203.0.113.10"), None] {
                    let mut request = client.request("GET", "/x");
                    if let Some(ip) = client_ip {
                        request.headers_mut().insert("x-forwarded-for", ip.parse().expect("a value"));
                    }
                    answers.push(client.begin(request, true).await.0);
                }
                for answer in answers {
                    assert_eq!(http2::read(answer.await.expect("an answer")).await.expect("whole").status, 200);
                }
            });
            let mut seen: Vec<String> = backend
                .take()
                .iter()
                .map(|request| told_by(request, "X-Forwarded-For") + &told_by(request, "X-Source"))
                .collect();
            seen.sort();
            let mut expected = told.map(|ip| format!("{ip}{ip}")).to_vec();
            expected.sort();
            assert_eq!(seen, expected);
        }
    });
}

fn told_by(request: &support::Request, name: &str) -> String {
    request.header(name).unwrap_or("-").to_owned()
}

#[test]
fn p07_limits_count_the_clients_and_not_the_balancer() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {connections_per_address: 2}\n");
        let visitor = Visitor::new(&[&house.main]);
        let enter = |header: &[u8]| {
            let mut client = house.client(PLAIN);
            client.send([header, GET.as_bytes()].concat());
            client
        };
        let one = v1("192.0.2.7:1");
        let mut crowd: Vec<Client> = (0..2).map(|_| enter(&one)).collect();
        for client in &mut crowd {
            client.read_response().expect_status(200);
        }
        let mut third = enter(&one);
        third.read_response().expect_status(503);
        third.expect_close();
        let mut secure = visitor.connect_behind(&house.gateway.listeners()[TLS], "main.test", &one, true);
        secure.read_response().expect_status(503);
        assert_eq!(house.gateway.status()["overload"]["refusedPerAddress"], 2);
        // Others, and the balancer itself.
        for header in
            [v1("192.0.2.8:1"), v2(0x20, 0, b""), v2(0x20, 0, b""), v2(0x20, 0, b""), v2(0x21, 0x31, &[0; 216])]
        {
            let mut client = enter(&header);
            client.read_response().expect_status(200);
            crowd.push(client);
        }
        assert_eq!(house.gateway.status()["overload"]["refusedPerAddress"], 2);
        // Room is given back.
        drop(crowd);
        house.nobody_is_left();
        let mut crowd: Vec<Client> = (0..2).map(|_| enter(&one)).collect();
        for client in &mut crowd {
            client.read_response().expect_status(200);
        }
        enter(&one).read_response().expect_status(503);
    });
}

#[test]
fn p07_a_full_gateway_says_so_behind_the_header() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {connections: 2}\n");
        let busy: Vec<Client> = (0..2)
            .map(|_| {
                let mut client = house.client(PLAIN);
                client.send([&v1("192.0.2.7:1")[..], b"GET /x HTTP/1.1\r\n"].concat());
                client
            })
            .collect();
        eventually("both are at work", || {
            house.gateway.counter("tollgate_proxy_headers_total", &[]) > 1.5
                && house.gateway.counter("tollgate_connections_idle", &[]) < 0.5
        });
        let visitor = Visitor::new(&[&house.main]);
        for (header, is_fused) in [(v1("192.0.2.8:1"), true), (v2(0x21, 0x11, &block("192.0.2.8:1")), false)] {
            let mut client = visitor.connect_behind(&house.gateway.listeners()[TLS], "main.test", &header, is_fused);
            client.read_response().expect_status(503);
        }
        let mut client = house.client(PLAIN);
        client.read_response().expect_status(503);
        drop(busy);
    });
}

#[test]
fn p07_a_reload_changes_who_has_to_say() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        let header = v1("192.0.2.7:1");
        let mut client = house.client(PLAIN);
        client.exchange([&header, GET.as_bytes()].concat()).expect_status(200);
        let without = LISTEN.replace(", proxy_protocol: 127.0.0.1}", "}");
        let report = house.gateway.reload(&document(&without, "", house.backend.address()));
        assert_eq!(report["ok"], true, "{report}");
        client.exchange(GET).expect_status(200);
        assert!(house.backend.take().iter().all(|request| request.header("X-Forwarded-For") == Some("192.0.2.7")));
        house.client(PLAIN).exchange(GET).expect_status(200);
        assert_eq!(house.told().0, "127.0.0.1");
        let report = house.gateway.reload(&document(LISTEN, "", house.backend.address()));
        assert_eq!(report["ok"], true, "{report}");
        house.client(PLAIN).exchange([&header, GET.as_bytes()].concat()).expect_status(200);
        assert_eq!(house.told().0, "192.0.2.7");
        house.client(PLAIN).send(GET);
        eventually("it is refused", || house.failures("absent") == 1);
    });
}
