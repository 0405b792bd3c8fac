//! Where clients come in and where backends are: IPv4, IPv6, Unix sockets, several of each, several workers, in raw bytes,
//! on both drivers.

mod support;

use std::collections::BTreeSet;

use support::gateway::new_folder;
use support::{Backend, Client, Gateway, on_both_drivers};

const PLAIN: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

/// Both kinds in front of these servers.
fn document(gateway: &str, servers: &[&str]) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    let servers = servers.join(", ");
    format!(
        r#"gateway:
{gateway}
upstreams:
  back: {{servers: [{servers}]}}
apis:
  a:
    kind: rest
    routes: {{"ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}}}
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

/// The answer that the echo gave, as one text.
#[track_caller]
fn echoed(address: &str, request: &str) -> String {
    let response = Client::connect(address).exchange(request);
    response.expect_status(200).text()
}

#[test]
fn several_listeners_of_every_family() {
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let ipv6 = if has_ipv6 { "\"[::1]:0\"" } else { "\"127.0.0.1:0\"" };
        let listen = format!("  listen: [\"127.0.0.1:0\", {ipv6}, \"unix:door.sock\", {{address: \"127.0.0.1:0\"}}]");
        let gateway = Gateway::start(&document(&listen, &[backend.address()]), driver);
        let listeners = gateway.listeners();
        assert_eq!(listeners.len(), 4);
        assert_eq!(listeners.iter().collect::<BTreeSet<_>>().len(), 4, "{listeners:?}");
        for address in listeners {
            let rest = echoed(address, PLAIN);
            let http = echoed(address, "GET /x HTTP/1.1\r\nHost: web.test\r\n\r\n");
            let (ip, port, forwarded) = match address.rsplit_once(':') {
                Some(("[::1]", port)) => ("::1", port, "for=\"[::1]\";"),
                Some(("unix", _)) => ("unknown", "", "for=unknown;"),
                Some((ip, port)) => (ip, port, "for=127.0.0.1;"),
                None => panic!("{address}"),
            };
            assert!(rest.contains(&format!("X-Forwarded-For: {ip}\r\n")), "{rest}");
            assert!(http.contains(&format!("Forwarded: {forwarded}host=\"web.test\";proto=http\r\n")), "{http}");
            let told = rest.contains(&format!("X-Forwarded-Port: {port}\r\n"));
            assert!(told || port.is_empty() && !rest.contains("X-Forwarded-Port"), "a unix socket has no port: {rest}");
            let mut client = Client::connect(address);
            for _ in 0..3 {
                client.exchange(PLAIN).expect_status(200);
            }
        }
        if !has_ipv6 {
            println!("without IPv6: this machine has none");
        }
        gateway.signal(rustix::process::Signal::TERM);
        assert!(gateway.wait_exit().success());
        assert!(!gateway.folder().join("door.sock").exists(), "the socket file goes with its listener");
    });
}

#[test]
fn a_unix_listener_refuses_and_streams_like_any_other() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = Gateway::start(&document("  listen: \"unix:door.sock\"", &[backend.address()]), driver);
        let mut client = gateway.client();
        let body = "y".repeat(300_000);
        let head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n";
        let response = client.exchange(format!("{head}{body}"));
        assert!(response.text().ends_with(&body));
        client.exchange("GET /x HTTP/1.1\r\nHost : a\r\n\r\n").expect_status(400);
        client.expect_close();
        // A client that closes its half.
        let mut client = gateway.client();
        client.send(PLAIN);
        client.finish();
        client.read_response().expect_status(200);
        client.expect_close();
    });
}

#[test]
fn a_backend_at_a_unix_socket() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        let backend = Backend::echo_at(&folder.join("back.sock"));
        let gateway = Gateway::start(&document("  workers: 1", &[backend.address()]), driver);
        let mut client = gateway.client();
        for _ in 0..3 {
            client.exchange(PLAIN).expect_status(200);
            client.exchange("POST /x HTTP/1.1\r\nHost: web.test\r\nContent-Length: 2\r\n\r\nhi").expect_status(200);
        }
        let requests = backend.take();
        assert_eq!((requests.len(), backend.connections()), (6, 1), "one pooled connection");
        assert_eq!(requests[0].header("Host"), Some("back"));
        drop(backend);
        // Nobody is left there.
        std::fs::remove_dir_all(&folder).expect("it is ours");
        client.exchange(PLAIN).expect_status(504);
    });
}

#[test]
fn several_servers_take_turns() {
    on_both_drivers(|driver| {
        let backends = [Backend::echo(), Backend::echo(), Backend::echo()];
        let servers: Vec<&str> = backends.iter().map(Backend::address).collect();
        let gateway = Gateway::start(&document("  workers: 1", &servers), driver);
        let mut client = gateway.client();
        for _ in 0..9 {
            client.exchange(PLAIN).expect_status(200);
        }
        assert_eq!(backends.each_ref().map(Backend::requests), [3, 3, 3]);
        assert_eq!(backends.each_ref().map(Backend::connections), [1, 1, 1]);
    });
}

#[test]
fn several_workers_share_a_listener() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let listen = "  listen: [\"127.0.0.1:0\", \"unix:door.sock\"]\n  workers: 3";
        let gateway = Gateway::start(&document(listen, &[backend.address()]), driver);
        let mut clients: Vec<Client> = (0..60).map(|at| Client::connect(&gateway.listeners()[at % 2])).collect();
        for client in &mut clients {
            client.exchange(PLAIN).expect_status(200);
        }
        let metrics = gateway.metrics();
        let busy = (0..3).filter(|worker| {
            metrics.get(&format!("tollgate_requests_total{{worker=\"{worker}\"}}")).is_some_and(|count| *count > 0.0)
        });
        assert!(busy.count() > 1, "one worker did everything");
        assert!((gateway.counter("tollgate_requests_total", &[]) - 60.0).abs() < 0.5);
        for client in &mut clients {
            client.exchange(PLAIN).expect_status(200);
        }
        assert_eq!(gateway.status()["panics"], 0);
    });
}
