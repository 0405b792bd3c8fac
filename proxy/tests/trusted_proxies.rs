//! Proxies in front that the operator trusts, and everybody else who says to be one (row P06): whose request it is, what backends are
//! told of it, and what is never believed; in raw bytes, on both drivers. The walk itself has its table in `policy/src/hops.txt`.

mod support;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};
use support::gateway::two_ways;
use support::message::Inflow;
use support::{Backend, Client, Driver, Gateway, Request, eventually, on_both_drivers};

struct House {
    gateway: Gateway,
    backend: Backend,
}

const TRUST: &str = "  trusted_proxies: [127.0.0.1, 10.0.0.0/8]\n";

impl House {
    fn start(driver: Driver, gateway: &str) -> House {
        let backend = Backend::echo();
        House { gateway: Gateway::start(&two_ways(gateway, backend.address()), driver), backend }
    }

    /// What the backend gets of a request with these lines, on a connection of its own from 127.0.0.1.
    #[track_caller]
    fn arrived(&self, host: &str, lines: &str) -> Request {
        self.next(&mut self.gateway.client(), host, lines)
    }

    #[track_caller]
    fn next(&self, client: &mut Client, host: &str, lines: &str) -> Request {
        client.exchange(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).expect_status(200);
        self.backend.only()
    }

    fn port(&self) -> &str {
        self.gateway.address().rsplit_once(':').expect("a port").1
    }
}

/// One request from another address of this machine.
fn from(ip: &str, gateway: &Gateway, request: &str) -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let address: SocketAddr = format!("{ip}:0").parse().expect("an address");
    socket.bind(&address.into()).expect("loopback has many addresses");
    let to: SocketAddr = gateway.address().parse().expect("an address");
    socket.connect(&to.into()).expect("it listens");
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("the gateway reads");
    Inflow::new(stream).response(false).expect("an answer").status
}

/// The fields of this name, together.
fn told(request: &Request, names: [&str; 4]) -> [String; 4] {
    names.map(|name| request.all(name).join(" | "))
}

const FIELDS: [&str; 4] = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Source"];

#[test]
fn p06_a_trusted_proxy_says_whose_request_it_is() {
    on_both_drivers(|driver| {
        let house = House::start(driver, TRUST);
        let here = house.port();
        let mut client = house.gateway.client();
        let walk = "X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.1\r\n";
        for (lines, expected) in [
            (walk.to_owned(), ["203.0.113.9", "http", here, "203.0.113.9"]),
            (format!("{walk}X-Forwarded-Proto: https\r\n"), ["203.0.113.9", "https", "443", "203.0.113.9"]),
            // What was said of the request before is forgotten.
            (String::new(), ["127.0.0.1", "http", here, "127.0.0.1"]),
            ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n".into(),
                ["1.1.1.1", "https", "8443", "1.1.1.1"]),
            ("X-Forwarded-For: 2001:db8::1\r\n".into(), ["2001:db8::1", "http", here, "2001:db8::1"]),
            ("X-Forwarded-For: unknown, nonsense\r\nX-Forwarded-Proto: gopher\r\n".into(), ["127.0.0.1", "http", here, "127.0.0.1"]),
            ("Forwarded: for=1.1.1.1;proto=https\r\n".into(), ["127.0.0.1", "http", here, "127.0.0.1"]),
        ] {
            assert_eq!(told(&house.next(&mut client, "a", &lines), FIELDS), expected, "{lines}");
        }
        let request = house.next(&mut client, "web.test", &format!("{walk}X-Forwarded-Proto: https\r\n"));
        assert_eq!(request.all("Forwarded"), ["for=203.0.113.9;host=\"web.test\";proto=https"]);
        assert_eq!(request.header("X-Forwarded-For"), None);
        eventually("the log names the clients", || {
            let log = house.gateway.access_log();
            ["203.0.113.9", "127.0.0.1", "1.1.1.1", "2001:db8::1"]
                .iter()
                .all(|ip| log.contains(&format!("\"ip\":\"{ip}\"")))
        });
        // A request that cannot be read is whoever's connection it is.
        client
            .exchange(format!("GET /x HTTP/1.1\r\nHost: a\r\n{walk}\r\nGET / HTTP/1.1\r\nX : y\r\n\r\n"))
            .expect_status(200);
        client.read_response().expect_status(400);
        eventually("the log names the proxy", || {
            house
                .gateway
                .access_log()
                .lines()
                .any(|line| line.contains("\"status\":400") && line.contains("\"ip\":\"127.0.0.1\""))
        });
    });
}

const SPOOFED: &str = "X-Forwarded-For: 6.6.6.6, 10.0.0.1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Port: 666\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Client-Cert: evil\r\nX-Forwarded-Prefix: /evil\r\n\
    Forwarded: for=6.6.6.6;host=evil\r\nX-Real-IP: 6.6.6.6\r\nClient-Cert: evil\r\nX_Forwarded_For: 6.6.6.6\r\n\
    X_Forwarded-Host: evil\r\nX-Amzn-Oidc-Identity: evil\r\n";

#[test]
fn p06_nobody_else_is_believed() {
    on_both_drivers(|driver| {
        let house =
            House::start(driver, "  trusted_proxies: {from: [127.0.0.1, 10.0.0.0/8], believe: [proto, host, port]}\n");
        for host in ["a", "web.test"] {
            let status =
                from("127.0.0.2", &house.gateway, &format!("GET /x HTTP/1.1\r\nHost: {host}\r\n{SPOOFED}\r\n"));
            assert_eq!(status, 200);
            let request = house.backend.only();
            let head = String::from_utf8_lossy(&request.head).into_owned();
            for part in ["6.6.6.6", "evil", "https", "666", "10.0.0.1"] {
                assert!(!head.contains(part), "{part}: {head}");
            }
            assert!(head.contains("127.0.0.2"), "{head}");
        }
    });
}

#[test]
fn p06_a_trusted_proxy_is_believed_in_nothing_else() {
    on_both_drivers(|driver| {
        let house = House::start(driver, TRUST);
        for host in ["a", "web.test"] {
            let lines = SPOOFED.replace("6.6.6.6\r\nX-Forwarded-Proto", "203.0.113.9\r\nX-Forwarded-Proto");
            let request = house.arrived(host, &lines);
            let head = String::from_utf8_lossy(&request.head).into_owned();
            for part in ["6.6.6.6", "evil", "10.0.0.1"] {
                assert!(!head.contains(part), "{part}: {head}");
            }
            assert!(head.contains("203.0.113.9") && head.contains("https"), "{head}");
        }
        // In trailers nothing is believed, whoever sends them.
        let mut client = house.gateway.client();
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        client.read_response().expect_status(200);
        assert_eq!(told(&house.backend.only(), FIELDS)[0], "127.0.0.1");
    });
}

#[test]
fn p06_forwarded_in_the_place_of_x_forwarded_for() {
    on_both_drivers(|driver| {
        let trust = "  trusted_proxies: {from: [127.0.0.1, 10.0.0.0/8], header: forwarded, believe: [proto, host]}\n";
        let house = House::start(driver, trust);
        let lines = "Forwarded: for=\"1.1.1.1, for=\"[2001:db8::1]:4711\";proto=https;host=\"api.test:8443\", for=10.0.0.1;host=x\r\n\
            X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n";
        let request = house.arrived("a", lines);
        let names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Host"];
        assert_eq!(told(&request, names), ["2001:db8::1", "https", house.port(), "api.test:8443"]);
        let request = house.arrived("web.test", lines);
        assert_eq!(request.all("Forwarded"), ["for=\"[2001:db8::1]\";host=\"api.test:8443\";proto=https"]);
        // The host is for the backend; which API answers is a matter of Host alone.
        assert_eq!(request.header("X-Forwarded-Host"), None);
        assert_eq!(told(&house.arrived("a", "Forwarded: for=_hidden;host=web.test\r\n"), names)[0], "127.0.0.1");
    });
}

#[test]
fn p06_the_host_that_a_proxy_names_is_not_routed_by() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  trusted_proxies: {from: 127.0.0.1, believe: host}\n");
        let request =
            house.arrived("a", "X-Forwarded-Host: web.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n");
        let names = ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-For"];
        assert_eq!(told(&request, names), ["web.test", "http", house.port(), "127.0.0.1"]);
        for host in ["a b", "a/b", "a\"b", "a, b", "user@a", "[::1"] {
            let request = house.arrived("a", &format!("X-Forwarded-Host: {host}\r\n"));
            assert_eq!(request.header("X-Forwarded-Host"), None, "{host}");
        }
    });
}

#[test]
fn p06_p07_the_client_of_a_proxy_header_is_the_hop() {
    on_both_drivers(|driver| {
        let listen = "  listen: [{address: \"127.0.0.1:0\", proxy_protocol: 127.0.0.1}]\n";
        let house = House::start(driver, &format!("{listen}  trusted_proxies: 192.0.2.0/24\n"));
        for (source, expected) in [("192.0.2.7", "203.0.113.9"), ("198.51.100.7", "198.51.100.7")] {
            let mut client = house.gateway.client();
            client.send(format!("PROXY TCP4 {source} 192.0.2.1 1 443\r\n"));
            let request = house.next(&mut client, "a", "X-Forwarded-For: 203.0.113.9\r\n");
            assert_eq!(told(&request, FIELDS), [expected, "http", "443", expected]);
        }
    });
}

#[test]
fn p06_a_trusted_proxy_has_any_number_of_connections() {
    on_both_drivers(|driver| {
        let limits = "  limits: {connections_per_address: 2}\n";
        let house = House::start(driver, &format!("{TRUST}{limits}"));
        let crowd: Vec<Client> = (0..5)
            .map(|_| {
                let mut client = house.gateway.client();
                house.next(&mut client, "a", "X-Forwarded-For: 203.0.113.9\r\n");
                client
            })
            .collect();
        // Whom a reload takes from the list counts from the next connection on.
        let report = house.gateway.reload(&two_ways(limits, house.backend.address()));
        assert_eq!(report["ok"], true, "{report}");
        let mut later = vec![house.gateway.client(), house.gateway.client()];
        for client in &mut later {
            assert_eq!(told(&house.next(client, "a", "X-Forwarded-For: 203.0.113.9\r\n"), FIELDS)[0], "127.0.0.1");
        }
        house.gateway.client().read_response().expect_status(503);
        drop(crowd);
        eventually("they have left", || house.gateway.status()["connections"]["open"] == 2);
        // They had not counted, so nothing is given back.
        house.gateway.client().read_response().expect_status(503);
        drop(later);
        eventually("all have left", || house.gateway.status()["connections"]["open"] == 0);
        house.arrived("a", "");
    });
}

#[test]
fn p06_a_reload_takes_trust_away_from_open_connections() {
    on_both_drivers(|driver| {
        let house = House::start(driver, TRUST);
        let mut client = house.gateway.client();
        let lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(told(&house.next(&mut client, "a", lines), FIELDS)[..2], ["203.0.113.9", "https"]);
        let report = house.gateway.reload(&two_ways("", house.backend.address()));
        assert_eq!(report["ok"], true, "{report}");
        assert_eq!(told(&house.next(&mut client, "a", lines), FIELDS)[..2], ["127.0.0.1", "http"]);
    });
}
