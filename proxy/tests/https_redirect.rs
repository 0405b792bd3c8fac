//! `https_redirect` and `hsts`: who comes without TLS is sent to the same address under it, and browsers are told to remember; on both
//! drivers (RFC 6797, RFC 9110 §15.4).

mod support;
#[path = "support/tls.rs"]
mod tls;

use support::gateway::new_folder;
use support::{Client, Driver, Gateway, on_both_drivers};
use tls::{Identity, Visitor};

/// Listeners: TLS, plain with a redirection, plain without one.
const DOCUMENT: &str = r#"gateway:
  listen:
    - {address: "127.0.0.1:0", tls: {certificate: main.crt, key: main.key}, hsts: true}
    - {address: "127.0.0.1:0", https_redirect: {port: 443}}
    - {address: "127.0.0.1:0"}
    - {address: "127.0.0.1:0", tls: {certificate: main.crt, key: main.key}}
  trusted_proxies: 127.0.0.2
apis:
  a:
    kind: http
    routes:
      "ANY /x": {integration: {type: mock, status: 200, body: hello}}
      "GET /gone": {integration: {type: http_proxy, uri: "http://127.0.0.1:1/"}}
    stages: {$default: {}}
domains:
  open.test: {mappings: {/: a/$default}}
  main.test: {mappings: {/: a/$default}, https_redirect: {port: 8443}, hsts: {max_age: 24h, include_subdomains: true}}
  "*.main.test": {mappings: {/: a/$default}, hsts: {max_age: 8760h, include_subdomains: true, preload: true}}
"#;

struct House {
    gateway: Gateway,
    main: Identity,
}

impl House {
    fn start(driver: Driver) -> House {
        let folder = new_folder();
        let main = Identity::new(&["main.test", "*.main.test", "open.test"]);
        main.write(&folder, "main");
        let gateway = Gateway::start_in(folder, DOCUMENT, driver, &[]);
        House { gateway: gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr)), main }
    }

    fn plain(&self, listener: usize) -> Client {
        Client::connect(&self.gateway.listeners()[listener])
    }
}

fn request(method: &str, target: &str, host: &str) -> String {
    let length = if method == "POST" { "Content-Length: 2\r\n" } else { "" };
    let body = if method == "POST" { "{}" } else { "" };
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n{body}")
}

#[test]
fn who_comes_without_tls_is_sent_to_it() {
    on_both_drivers(|driver| {
        let house = House::start(driver);
        let mut client = house.plain(1);
        for (method, target, host, status, location) in [
            ("GET", "/x?a=1&b=%20", "open.test", 301, "https://open.test/x?a=1&b=%20"),
            ("HEAD", "/x", "open.test:8080", 301, "https://open.test/x"),
            ("POST", "/x", "open.test", 308, "https://open.test/x"),
            ("DELETE", "//evil.test/%2e%2e", "open.test", 308, "https://open.test//evil.test/%2e%2e"),
            ("GET", "http://open.test/x?", "open.test", 301, "https://open.test/x?"),
            // No route answers, but the host does; and a domain has its own port.
            ("GET", "/none", "Open.Test", 301, "https://Open.Test/none"),
            ("GET", "/x", "main.test", 301, "https://main.test:8443/x"),
        ] {
            client.send(request(method, target, host));
            let answer = if method == "HEAD" { client.read_response_to_head() } else { client.read_response() };
            answer.expect_status(status);
            assert_eq!(answer.header("location"), Some(location), "{method} {target}");
            assert_eq!(answer.header("strict-transport-security"), None, "nobody believes it here");
        }
        // Nobody is sent to where nobody is.
        let answer = client.exchange(request("GET", "/x", "other.test"));
        assert_eq!((answer.expect_status(403).header("location")), None);
        house.plain(1).exchange("GET /x HTTP/1.1\r\n\r\n").expect_status(400);
    });
}

#[test]
fn a_domain_decides_for_itself() {
    on_both_drivers(|driver| {
        let house = House::start(driver);
        let mut client = house.plain(2);
        client.exchange(request("GET", "/x", "open.test")).expect_status(200);
        let answer = client.exchange(request("POST", "/x", "MAIN.test."));
        assert_eq!(answer.expect_status(308).header("location"), Some("https://MAIN.test.:8443/x"));
        client.exchange(request("GET", "/x", "a.main.test")).expect_status(200);
        // A proxy that is not trusted says nothing of the way here.
        let forged = "GET /x HTTP/1.1\r\nHost: main.test\r\nX-Forwarded-Proto: https\r\n\r\n";
        client.exchange(forged).expect_status(301);
    });
}

#[test]
fn every_answer_under_tls_says_it() {
    on_both_drivers(|driver| {
        let house = House::start(driver);
        let year = 365 * 86_400;
        let own = format!("max-age={year}");
        let below = format!("max-age={year}; includeSubDomains; preload");
        let visitor = Visitor::new(&[&house.main]);
        let connect = |listener: usize| visitor.connect(&house.gateway.listeners()[listener], "main.test");
        let mut client = connect(0);
        for (target, host, status, says) in [
            ("/x", "open.test", 200, &*own),
            ("/x", "main.test", 200, "max-age=86400; includeSubDomains"),
            ("/x", "a.main.test", 200, &below),
            ("/none", "main.test", 404, "max-age=86400; includeSubDomains"),
            ("/x", "other.test", 403, &own),
            ("/gone", "open.test", 503, &own),
        ] {
            let answer = client.exchange(request("GET", target, host));
            assert_eq!(answer.expect_status(status).header("strict-transport-security"), Some(says), "{target} {host}");
        }
        let refused = connect(0).exchange("GET /x HTTP/1.1\r\nHost: open.test\r\nbroken\r\n\r\n");
        assert_eq!(refused.expect_status(400).header("strict-transport-security"), Some(&*own));
        // A listener without the setting, and a domain with it.
        let mut client = connect(3);
        assert_eq!(client.exchange(request("GET", "/x", "open.test")).header("strict-transport-security"), None);
        let answer = client.exchange(request("GET", "/x", "main.test"));
        assert_eq!(
            answer.expect_status(200).header("strict-transport-security"),
            Some("max-age=86400; includeSubDomains")
        );
    });
}
