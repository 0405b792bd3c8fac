//! PROXY headers towards backends: each connection begins with the client that it is for, and serves nobody else; in raw bytes, on both
//! drivers (row P07).

mod support;

use std::net::SocketAddr;
use std::sync::Mutex;

use codec::proxy_protocol::{Told, parse};
use support::backend::Conversation;
use support::{Backend, Client, Driver, Gateway, eventually, on_both_drivers};

fn document(backend: &str, gateway: &str, upstream: &str) -> String {
    format!(
        r#"gateway:
{gateway}
upstreams:
  back: {{servers: ["{backend}"]{upstream}}}
apis:
  a:
    kind: rest
    routes: {{"ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}}}
    stages: {{s: {{}}}}
domains:
  "*": {{mappings: {{/: a/s}}}}
"#
    )
}

/// The line in front of a request of which all is read; the answer is that line.
fn echo_of_line(conversation: &mut Conversation) -> Result<(), String> {
    let line = conversation.until(b"\r\n")?;
    while let Some(request) = conversation.request()? {
        let body = [&line[..line.len() - 2], b" ", &request.body].concat();
        conversation
            .send([format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat());
    }
    Ok(())
}

fn start(driver: Driver, gateway: &str, upstream: &str) -> (Gateway, Backend) {
    let backend = Backend::raw(echo_of_line);
    (Gateway::start(&document(backend.address(), gateway, upstream), driver), backend)
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const V1: &str = ", proxy_protocol: v1";

/// Both ends of a client's connection, as a header tells them.
fn ends(client: &Client, gateway: &Gateway) -> String {
    let (here, there) = (client.local_address(), gateway.address().parse::<SocketAddr>().expect("an address"));
    format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {} ", here.port(), there.port())
}

#[test]
fn p07_each_connection_begins_with_its_client() {
    on_both_drivers(|driver| {
        let (gateway, backend) = start(driver, "", V1);
        let (mut one, mut other) = (gateway.client(), gateway.client());
        for turn in 1..=3 {
            for client in [&mut one, &mut other] {
                let post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
                assert_eq!(client.exchange(GET).expect_status(200).text(), ends(client, &gateway));
                assert_eq!(client.exchange(post).expect_status(200).text(), ends(client, &gateway) + "body");
            }
            assert_eq!(backend.connections(), turn * 4, "a connection for each request");
        }
        eventually("none of them is kept", || backend.open() == 0);
        assert!(gateway.counter("tollgate_upstream_reuses_total", &[]) < 0.5);
    });
}

#[test]
fn p07_version_2_behind() {
    on_both_drivers(|driver| {
        let (gateway, backend) = start(driver, "", ", proxy_protocol: v2");
        backend.script_raw(|conversation| {
            let header = conversation.exactly(28)?;
            let told = parse(&header).ok().flatten().expect("a header").told;
            conversation.request()?;
            let Told::Client { source, destination } = told else { return Err(format!("{told:?}")) };
            let body = format!("{source} {destination}");
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            Ok(())
        });
        let mut client = gateway.client();
        let told = client.exchange(GET).expect_status(200).text();
        assert_eq!(told, format!("{} {}", client.local_address(), gateway.address()));
    });
}

#[test]
fn p07_what_is_told_in_front_is_told_behind() {
    on_both_drivers(|driver| {
        let listen = r#"  listen: [{address: "127.0.0.1:0", proxy_protocol: 127.0.0.1}, "unix:door.sock"]
  trusted_proxies: 192.0.2.0/24
"#;
        let (gateway, _backend) = start(driver, listen, V1);
        for (front, lines, behind) in [
            ("PROXY TCP4 203.0.113.9 198.51.100.1 4711 443", "", "PROXY TCP4 203.0.113.9 198.51.100.1 4711 443 "),
            ("PROXY TCP6 2001:db8::9 2001:db8::1 1 2", "", "PROXY TCP6 2001:db8::9 2001:db8::1 1 2 "),
            // Nobody knows the port of whom a trusted proxy tells.
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443",
                "X-Forwarded-For: 203.0.113.9\r\n",
                "PROXY TCP4 203.0.113.9 198.51.100.1 0 443 ",
            ),
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443",
                "X-Forwarded-For: 2001:db8::9\r\n",
                "PROXY TCP6 2001:db8::9 ::ffff:198.51.100.1 0 443 ",
            ),
        ] {
            let mut client = gateway.client();
            client.send(format!("{front}\r\nGET /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
            assert_eq!(client.read_response().expect_status(200).text(), behind);
            // The next request of the connection is somebody else's.
            assert_eq!(
                client.exchange(GET).expect_status(200).text(),
                format!("{front} ").replace("203.0.113.9 0", "x")
            );
        }
        let mut client = Client::connect(&gateway.listeners()[1]);
        assert_eq!(client.exchange(GET).expect_status(200).text(), "PROXY UNKNOWN ");
    });
}

#[test]
fn p07_the_header_stands_before_tls_behind() {
    on_both_drivers(|driver| {
        let backend = Backend::raw(echo_of_line);
        let document = document(backend.address(), "", ", proxy_protocol: v2, tls: {server_name: back.test}");
        let gateway = Gateway::start(&document.replace("http://back", "https://back"), driver);
        let seen: &'static Mutex<Vec<Vec<u8>>> = Box::leak(Box::default());
        backend.script_raw(|conversation| {
            let (header, record) = (conversation.exactly(28)?, conversation.exactly(3)?);
            assert!(matches!(parse(&header), Ok(Some(header)) if header.length == 28));
            seen.lock().expect("no panic").push(record);
            Ok(())
        });
        let request = GET.replace("/x", "/tls");
        let status = gateway.client().exchange(request).status;
        assert!(status >= 500, "nobody speaks TLS there: {status}");
        eventually("a handshake has begun", || !seen.lock().expect("no panic").is_empty());
        assert!(seen.lock().expect("no panic").iter().all(|record| record[..2] == [0x16, 0x03]));
    });
}

#[test]
fn p07_checks_are_nobodys() {
    on_both_drivers(|driver| {
        let check = ", health_check: {path: /health, interval: 100ms}";
        let (gateway, backend) = start(driver, "", &format!("{V1}{check}"));
        let well = || gateway.status()["upstreams"].to_string().contains("well");
        eventually("the server is well", || backend.connections() > 1 && well());
        backend.expect_no_faults();
        let mut client = gateway.client();
        assert_eq!(client.exchange(GET).expect_status(200).text(), ends(&client, &gateway));
    });
}

#[test]
fn p07_a_reload_mixes_no_connections() {
    on_both_drivers(|driver| {
        let (gateway, backend) = start(driver, "", "");
        backend.script_echo();
        gateway.client().exchange(GET).expect_status(200);
        eventually("it is kept", || gateway.counter("tollgate_upstream_connections_idle", &[]) > 0.5);
        backend.script_raw(echo_of_line);
        for _ in 0..2 {
            let report = gateway.reload(&document(backend.address(), "", V1));
            assert_eq!(report["ok"], true, "{report}");
            let mut client = gateway.client();
            assert_eq!(client.exchange(GET).expect_status(200).text(), ends(&client, &gateway));
            let report = gateway.reload(&document(backend.address(), "", ", proxy_protocol: v2"));
            assert_eq!(report["ok"], true, "{report}");
        }
    });
}
