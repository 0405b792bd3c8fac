//! Names with several addresses: each is a server, they come and go without a reload, and one that leads nowhere costs little
//! (RFC 8305, row R15).

#[path = "support/dns.rs"]
mod dns;
mod support;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use dns::Dns;
use serde_json::Value;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers};

const GET: &str = "GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n";

fn gateway(dns: &Dns, port: u16, more: &str, driver: Driver) -> Gateway {
    let config = format!(
        r#"
gateway:
  resolvers: ["{}"]
upstreams:
  back: {{servers: ["pets.test:{port}"]{more}}}
apis:
  rest:
    kind: rest
    routes:
      "GET /x": {{timeout: 5s, integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{dev: {{}}}}
"#,
        dns.address()
    );
    Gateway::start(&config, driver)
}

/// Backends at several loopback addresses and one port.
fn at_one_port(addresses: &[&str]) -> (Vec<Backend>, u16) {
    // Another process may hold the port at one of the addresses: then another port is taken.
    loop {
        let first = TcpListener::bind((addresses[0], 0)).expect("a free port");
        let port = first.local_addr().expect("it is bound").port();
        let others = addresses[1..].iter().map(|address| TcpListener::bind((*address, port)));
        if let Ok(others) = others.collect::<Result<Vec<_>, _>>() {
            let all = std::iter::once(first).chain(others).map(Backend::echo_on);
            return (all.collect(), port);
        }
    }
}

fn servers(gateway: &Gateway) -> Value {
    gateway.status()["upstreams"]["back"]["servers"].clone()
}

fn shown(address: &str, port: u16) -> String {
    SocketAddr::new(address.parse().expect("an IP address"), port).to_string()
}

#[test]
fn r15_addresses_come_and_go_without_a_reload() {
    on_both_drivers(|driver| {
        let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
        let (backends, port) = at_one_port(&addresses);
        let dns = Dns::new();
        dns.set("pets.test", &addresses[..2]);
        let gateway = gateway(&dns, port, "", driver);
        let mut client = gateway.client();
        for _ in 0..6 {
            client.exchange(GET).expect_status(200);
        }
        assert_eq!([0, 1, 2].map(|at| backends[at].requests()), [3, 3, 0], "each address is a server");
        assert_eq!([0, 1].map(|at| backends[at].connections()), [1, 1]);
        dns.set("pets.test", &addresses[1..]);
        let new = shown(addresses[2], port);
        eventually("the new address is known", || !servers(&gateway)[&new].is_null());
        eventually("the connection to the old one is closed", || backends[0].open() == 0);
        backends.iter().for_each(Backend::forget);
        for _ in 0..6 {
            client.exchange(GET).expect_status(200);
        }
        assert_eq!([0, 1, 2].map(|at| backends[at].requests()), [0, 3, 3]);
        assert_eq!(backends[1].connections(), 1, "what stays keeps its connections");
        assert!(servers(&gateway)[shown(addresses[0], port)].is_null(), "{}", servers(&gateway));
    });
}

#[test]
fn r15_an_outage_of_the_name_service_changes_nothing() {
    on_both_drivers(|driver| {
        let (backends, port) = at_one_port(&["127.0.0.2"]);
        let dns = Dns::new();
        dns.set("pets.test", &["127.0.0.2"]);
        let gateway = gateway(&dns, port, "", driver);
        gateway.client().exchange(GET).expect_status(200);
        dns.set("pets.test", &[]);
        let before = dns.asked();
        eventually("it is asked again", || dns.asked() >= before + 4);
        gateway.client().exchange(GET).expect_status(200);
        assert_eq!(backends[0].requests(), 2);
        assert!(dns.asked() < before + 20, "and not all the time");
    });
}

#[test]
fn r15_a_name_has_as_many_servers_as_the_limit_allows() {
    on_both_drivers(|driver| {
        let dns = Dns::new();
        let all: Vec<String> = (1..=40).map(|number| format!("127.0.1.{number}")).collect();
        dns.set("pets.test", &all.iter().map(String::as_str).collect::<Vec<_>>());
        let gateway = gateway(&dns, 9, "", driver);
        gateway.client().exchange(GET).expect_status(504);
        assert_eq!(servers(&gateway).as_object().map(serde_json::Map::len), Some(16));
    });
}

#[test]
fn a_name_that_gets_its_address_late_serves_from_then_on() {
    on_both_drivers(|driver| {
        let (backends, port) = at_one_port(&["127.0.0.2"]);
        let dns = Dns::new();
        let gateway = gateway(&dns, port, "", driver);
        assert_eq!(gateway.client().exchange(GET).status, 500);
        dns.set("pets.test", &["127.0.0.2"]);
        eventually("it serves", || gateway.client().exchange(GET).status == 200);
        assert_eq!(backends[0].connections(), 1);
    });
}

#[test]
fn an_address_that_refuses_costs_nobody_anything() {
    on_both_drivers(|driver| {
        let (backends, port) = at_one_port(&["127.0.0.2"]);
        let dns = Dns::new();
        dns.set("pets.test", &["127.0.0.2", "127.0.0.3"]);
        // No second attempt: the race for one connection is enough.
        let gateway = gateway(&dns, port, ", retry: off, outlier: {failures: 3, time: 1h, time_max: 1h}", driver);
        for _ in 0..10 {
            gateway.client().exchange(GET).expect_status(200);
        }
        assert_eq!(backends[0].requests(), 10);
        let refusing = servers(&gateway)[shown("127.0.0.3", port)].clone();
        assert_eq!((&refusing["health"], &refusing["failures"]), (&"ejected".into(), &3.into()), "{refusing}");
    });
}

/// The other family leads, but its packets vanish: its connect hangs as long as anybody lets it.
#[test]
fn a_family_that_leads_nowhere_costs_a_quarter_of_a_second() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("left out: this machine has no IPv6 loopback");
        return;
    }
    on_both_drivers(|driver| {
        let (backends, port, _full) = dual_stack();
        let dns = Dns::new();
        dns.set("pets.test", &["127.0.0.1", "::1"]);
        let gateway = gateway(&dns, port, ", retry: off, outlier: {failures: 2, time: 1h, time_max: 1h}", driver);
        let began = Instant::now();
        for _ in 0..8 {
            gateway.client().exchange(GET).expect_status(200);
        }
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}: somebody waited for a connect", began.elapsed());
        assert_eq!(backends.requests(), 8);
        let slow = servers(&gateway)[shown("::1", port)].clone();
        assert_eq!(
            (&slow["health"], &slow["failures"]),
            (&"ejected".into(), &2.into()),
            "who is overtaken fails: {slow}"
        );
    });
}

/// A backend at 127.0.0.1 and, at the same port of `::1`, a queue that is full. What is held keeps it so.
fn dual_stack() -> (Backend, u16, Vec<Box<dyn std::any::Any>>) {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let full = socket(AddressFamily::INET6, SocketType::STREAM, None).expect("a socket");
        let address: SocketAddr = format!("[::1]:{port}").parse().expect("an address");
        if bind(&full, &address).is_err() {
            continue;
        }
        listen(&full, 0).expect("a socket can listen");
        let mut held: Vec<Box<dyn std::any::Any>> = vec![Box::new(full)];
        while let Ok(filler) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            held.push(Box::new(filler));
            assert!(held.len() < 64, "a queue of length 0 never fills");
        }
        return (Backend::echo_on(listener), port, held);
    }
}
