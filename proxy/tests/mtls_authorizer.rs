//! Callers who are who their certificate says, on hosts that ask for certificates: over TLS 1.3 and 1.2, over HTTP/2, and in sessions that are
//! continued.
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/http2.rs"]
mod http2;
mod support;
#[path = "support/tls.rs"]
mod tls;

use std::fs;

use data_encoding::HEXLOWER;
use rcgen::SanType;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};
use support::gateway::new_folder;
use support::{Driver, Gateway, Response, on_both_drivers, shown};
use tls::{Authority, Identity, Visitor};

const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// An API behind each of these authorizers, by its path; `api.test` may be visited without a certificate, `door.test` may not.
fn document(listed: &str) -> String {
    format!(
        r#"gateway:
  listen:
    - {{address: "127.0.0.1:0", tls: {{certificate: main.crt, key: main.key}}}}
    - "127.0.0.1:0"
apis:
  h:
    kind: http
    authorizers:
      any: {{type: mtls}}
      subject: {{type: mtls, subjects: ["CN=door 7,O=House\\, Home"]}}
      uri: {{type: mtls, sans: ["spiffe://house/*"], principal: uri}}
      print: {{type: mtls, fingerprints: ["{listed}"]}}
    routes:
      "GET /any": {{authorizer: any, integration: {{type: mock, body: "[$context.authorizer.principalId, $context.authorizer.clientCert.dns, $context.authorizer.clientCert.fingerprint]"}}}}
      "GET /subject": {{authorizer: subject, integration: {{type: mock, body: "[$context.authorizer.principalId]"}}}}
      "GET /uri": {{authorizer: uri, integration: {{type: mock, body: "[$context.authorizer.principalId]"}}}}
      "GET /print": {{authorizer: print, integration: {{type: mock, body: "[$context.authorizer.clientCert.serialNumber]"}}}}
      "GET /open": {{integration: {{type: mock, body: open}}}}
    stages: {{$default: {{}}}}
domains:
  "*": {{mappings: {{/: h/$default}}}}
  api.test: {{tls: {{certificate: api.crt, key: api.key}}, mutual_tls: {{truststore: clients.pem, mode: optional}}, mappings: {{/: h/$default}}}}
"#
    )
}

struct House {
    gateway: Gateway,
    api: Identity,
    /// In every list but that of fingerprints.
    door: Identity,
    /// In none but that one.
    gate: Identity,
}

fn house(driver: Driver) -> House {
    let folder = new_folder();
    let (main, api) = (Identity::new(&["main.test"]), Identity::new(&["api.test"]));
    main.write(&folder, "main");
    api.write(&folder, "api");
    let authority = Authority::new("ca");
    fs::write(folder.join("clients.pem"), &authority.certificate).expect("the folder is writable");
    let name = |text: &str| text.try_into().expect("a name");
    let door = authority.client("door 7", 7, |params| {
        let names = [SanType::DnsName(name("door.test")), SanType::URI(name("spiffe://house/door/7"))];
        params.subject_alt_names = names.into();
    });
    let gate =
        authority.client("gate", 8, |params| params.subject_alt_names = vec![SanType::URI(name("spiffe://hut/gate"))]);
    let text = document(&fingerprint(&gate));
    let gateway = Gateway::start_in(folder, &text, driver, &[]);
    let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
    House { gateway, api, door, gate }
}

fn fingerprint(identity: &Identity) -> String {
    HEXLOWER.encode(&Sha256::digest(identity.der()))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.test\r\n\r\n")
}

/// What the API says of the caller.
#[track_caller]
fn told(response: &Response) -> Vec<String> {
    serde_json::from_str(&response.expect_status(200).text()).expect("a list of texts")
}

#[test]
fn a_certificate_says_who_calls() {
    on_both_drivers(|driver| {
        let house = house(driver);
        for version in VERSIONS {
            let door = Visitor::showing(&[&house.api], &[version], &house.door);
            let gate = Visitor::showing(&[&house.api], &[version], &house.gate);
            for is_resumed in [false, true] {
                let mut client = door.connect(house.gateway.address(), "api.test");
                let any = ["CN=door 7,O=House\\, Home", "door.test", &fingerprint(&house.door)].map(str::to_owned);
                // Twice: found, then remembered with the connection.
                for _ in 0..2 {
                    assert_eq!(told(&client.exchange(get("/any"))), any);
                    assert_eq!(told(&client.exchange(get("/subject"))), any[..1]);
                    assert_eq!(told(&client.exchange(get("/uri"))), ["spiffe://house/door/7"]);
                    let refused = client.exchange(get("/print"));
                    assert_eq!(refused.expect_status(403).text(), "{\"message\":\"Forbidden\"}");
                }
                assert_eq!(client.is_resumed(), is_resumed, "{version:?}");
                let mut client = gate.connect(house.gateway.address(), "api.test");
                assert_eq!(told(&client.exchange(get("/print"))), ["08"]);
                for path in ["/subject", "/uri"] {
                    client.exchange(get(path)).expect_status(403);
                }
                assert_eq!(client.is_resumed(), is_resumed, "{version:?}");
            }
        }
        let refused = house.gateway.counter("tollgate_refusals_total", &[("reason", "access_denied")]);
        assert_eq!(refused, 16.0);
    });
}

#[test]
fn whoever_shows_no_certificate_does_not_pass() {
    on_both_drivers(|driver| {
        let house = house(driver);
        let mut client = Visitor::new(&[&house.api]).connect(house.gateway.address(), "api.test");
        client.exchange(get("/open")).expect_status(200);
        for path in ["/any", "/subject", "/uri", "/print"] {
            let refused = client.exchange(get(path));
            assert_eq!(refused.expect_status(403).text(), "{\"message\":\"Forbidden\"}", "{}", shown(&refused.raw));
            assert_eq!(refused.header("www-authenticate"), None);
        }
        // Without TLS, at a host that asks nobody, and with what a client says of itself.
        let plain = &house.gateway.listeners()[1];
        let mut clear = support::Client::connect(plain);
        clear.exchange("GET /any HTTP/1.1\r\nHost: other.test\r\nX-Client-Cert: CN=door 7\r\n\r\n").expect_status(403);
        let missing = house.gateway.counter("tollgate_refusals_total", &[("reason", "client_certificate_missing")]);
        assert_eq!(missing, 5.0);
    });
}

#[test]
fn a_host_that_asks_no_more_knows_nobody() {
    on_both_drivers(|driver| {
        let house = house(driver);
        let visitor = Visitor::showing(&[&house.api], VERSIONS, &house.door);
        let mut client = visitor.connect(house.gateway.address(), "api.test");
        client.exchange(get("/subject")).expect_status(200);
        let text =
            document(&fingerprint(&house.gate)).replace(", mutual_tls: {truststore: clients.pem, mode: optional}", "");
        house.gateway.reload(&text);
        // The connection is the same, and the certificate too; but it was believed by rules that hold no more.
        client.exchange(get("/subject")).expect_status(403);
        client.exchange(get("/open")).expect_status(200);
        house.gateway.reload(&document(&fingerprint(&house.door)));
        client.exchange(get("/subject")).expect_status(200);
        client.exchange(get("/print")).expect_status(200);
    });
}

#[test]
fn streams_of_one_connection_are_of_one_caller() {
    on_both_drivers(|driver| {
        let house = house(driver);
        let visitor = Visitor::showing(&[&house.api], VERSIONS, &house.door).offering(&["h2"]);
        http2::run(async {
            let connector = tokio_rustls::TlsConnector::from(visitor.config());
            for is_resumed in [false, true] {
                let stream = tokio::net::TcpStream::connect(house.gateway.address()).await.expect("it listens");
                let name = rustls::pki_types::ServerName::try_from("api.test").expect("a name");
                let stream = connector.connect(name, stream).await.expect("a handshake");
                let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                assert_eq!(resumed, is_resumed);
                let client = http2::Client::over(stream, &h2::client::Builder::new(), ("https", "api.test")).await;
                let asked = ["/subject", "/print", "/uri", "/open", "/any"].map(|path| client.get(path));
                let [subject, print, uri, open, any] = asked;
                let (subject, print, uri, open, any) = tokio::join!(subject, print, uri, open, any);
                assert_eq!([subject.status, print.status, open.status, any.status], [200, 403, 200, 200]);
                assert_eq!(uri.text(), "[\"spiffe://house/door/7\"]");
                assert_eq!(print.text(), "{\"message\":\"Forbidden\"}");
            }
        });
    });
}
