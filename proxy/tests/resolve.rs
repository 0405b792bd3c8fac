//! Backends by name: resolved off the request's way, all addresses used, and a name without any is a fault of the document.

mod support;

use std::net::{Ipv6Addr, TcpListener};
use std::time::{Duration, Instant};

use support::stage::No;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers};

fn gateway(authority: &str, driver: Driver) -> Gateway {
    // A stage variable cannot hold brackets (ST-02).
    let variable = if authority.starts_with('[') { "localhost:1" } else { authority };
    let config = format!(
        r#"
apis:
  rest:
    kind: rest
    routes:
      "GET /x": {{integration: {{type: http_proxy, uri: "http://{authority}/x"}}}}
      "GET /var": {{integration: {{type: http_proxy, uri: "http://${{stageVariables.host}}/x"}}}}
    stages: {{dev: {{variables: {{host: "{variable}"}}}}}}
  http:
    kind: http
    routes:
      "GET /x": {{integration: {{type: http_proxy, uri: "http://{authority}/x"}}}}
    stages: {{$default: {{}}}}
domains:
  "*": {{mappings: {{/r: rest/dev, /h: http/$default}}}}
"#
    );
    Gateway::start(&config, driver)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_backend_may_have_a_name() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let (_, port) = backend.address().rsplit_once(':').expect("an address has a port");
        let name = format!("localhost:{port}");
        let gateway = gateway(&name, driver);
        // The first request waits for the first answer of the name service, if it has to. Where the name has an address of
        // the other family, too, that one refuses, and the next is tried.
        for _ in 0..5 {
            for path in ["/r/x", "/r/var", "/h/x"] {
                let response = gateway.client().exchange(get(path));
                assert!(
                    response.expect_status(200).text().contains(&format!("\r\nHost: {name}\r\n")),
                    "{}",
                    response.text()
                );
            }
        }
    });
}

#[test]
fn a_name_without_an_address_is_told_at_once() {
    let rest = No { status: 500, message: "Internal server error", error_type: Some("InternalServerErrorException") };
    let http = No { status: 500, message: "Internal Server Error", error_type: None };
    on_both_drivers(|driver| {
        let gateway = gateway("nowhere.invalid:80", driver);
        rest.check(&gateway.client().exchange(get("/r/x")));
        // From now on it is known.
        let began = Instant::now();
        for _ in 0..10 {
            rest.check(&gateway.client().exchange(get("/r/x")));
            http.check(&gateway.client().exchange(get("/h/x")));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}: each waits for the name service", began.elapsed());
        let unresolved = || gateway.counter("tollgate_faults_total", &[("fault", "name_not_resolved")]);
        eventually("the fault is counted", || (unresolved() - 21.0).abs() < 0.5);
    });
}

#[test]
fn a_reload_brings_a_new_name() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let (_, port) = backend.address().rsplit_once(':').expect("an address has a port");
        let document = |authority: &str| {
            format!(
                "apis:\n  rest:\n    kind: rest\n    routes:\n      \"GET /x\": {{integration: {{type: http_proxy, uri: \
                 \"http://{authority}/x\"}}}}\n    stages: {{dev: {{}}}}\n"
            )
        };
        let gateway = Gateway::start(&document(backend.address()), driver);
        let mut client = gateway.client();
        client.exchange(get("/dev/x")).expect_status(200);
        assert_eq!(gateway.reload(&document(&format!("localhost:{port}")))["ok"], true);
        client.exchange(get("/dev/x")).expect_status(200);
    });
}

#[test]
fn an_ipv6_backend_is_reached() {
    let Ok(free) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("left out: this machine has no IPv6 loopback");
        return;
    };
    drop(free);
    on_both_drivers(|driver| {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            while let Ok((mut stream, _)) = listener.accept() {
                let mut room = [0; 4096];
                let _ = stream.read(&mut room);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nsix");
            }
        });
        let gateway = gateway(&address, driver);
        assert_eq!(gateway.client().exchange(get("/r/x")).expect_status(200).text(), "six");
    });
}
