//! Issuers of one's own: keys come over TLS from whoever an authority of the operator's has signed, at addresses that a name server of his
//! knows (A-02, P10).

#[path = "support/dns.rs"]
mod dns;
#[path = "support/issuer.rs"]
mod issuer;
mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_backend.rs"]
mod tls_backend;

use std::fs;

use dns::Dns;
use issuer::Key;
use serde_json::json;
use support::gateway::new_folder;
use support::{Driver, Gateway, Response, eventually, on_both_drivers};
use tls::Authority;
use tls_backend::{Act, Manner, TlsBackend};

/// Serves the discovery document of `https://id.test:PORT`, and its keys.
fn issuer_of(key: &Key, authority: &Authority) -> TlsBackend {
    let keys = json!({"keys": [key.jwk()]}).to_string();
    TlsBackend::acting(&Manner::new(&authority.issue(&["id.test"])), move |call| {
        let host = call.request.header("host").unwrap_or_default();
        if call.request.target == "/keys" {
            return Act::ok(&keys);
        }
        Act::ok(json!({"issuer": format!("https://{host}"), "jwks_uri": format!("https://{host}/keys")}).to_string())
    })
}

fn document(dns: &Dns, login: &str) -> String {
    format!(
        r#"gateway:
  resolvers: ["{}"]
apis:
  h:
    kind: http
    authorizers: {{login: {login}}}
    routes: {{"GET /x": {{authorizer: login, integration: {{type: mock, body: ok}}}}}}
    stages: {{$default: {{}}}}
"#,
        dns.address()
    )
}

fn started(driver: Driver, dns: &Dns, login: &str, authority: &Authority) -> Gateway {
    let folder = new_folder();
    fs::write(folder.join("ours.pem"), &authority.certificate).expect("the folder is writable");
    let gateway = Gateway::start_in(folder, &document(dns, login), driver, &[]);
    gateway.unwrap_or_else(|why| panic!("{}", why.stderr))
}

fn ask(gateway: &Gateway, token: &str) -> Response {
    gateway.client().exchange(format!("GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\r\n"))
}

#[test]
fn a_02_an_issuer_may_have_an_authority_and_a_name_server_of_its_own() {
    on_both_drivers(|driver| {
        let (key, ours, dns) = (Key::es256("k"), Authority::new("ours"), Dns::new());
        dns.set("id.test", &["127.0.0.1"]);
        let issuer = issuer_of(&key, &ours);
        let name = format!("https://id.test:{}", issuer.port());
        let claims = json!({"iss": name, "aud": "web", "exp": issuer::now() + 600});
        let token = key.token(&claims);
        for jwks in ["{ca: ours.pem}".to_owned(), format!("{{url: \"{name}/keys\", ca: ours.pem}}")] {
            let login = format!("{{type: jwt, issuer: \"{name}\", audience: web, jwks: {jwks}}}");
            let gateway = started(driver, &dns, &login, &ours);
            ask(&gateway, &token).expect_status(200);
        }
        assert!(dns.asked() > 0);
        // Others are not believed: whoever is on the way cannot put in his own keys.
        let login = format!("{{type: jwt, issuer: \"{name}\", audience: web, jwks: {{ca: ours.pem}}}}");
        for (login, authority) in
            [(login.replace(", jwks: {ca: ours.pem}", ""), &ours), (login, &Authority::new("others"))]
        {
            let _ = issuer.take();
            let gateway = started(driver, &dns, &login, authority);
            assert_eq!(ask(&gateway, &token).status, 401);
            eventually("it is said", || gateway.stderr().contains("cannot fetch the keys of an issuer"));
            assert_eq!(issuer.take().len(), 0, "nothing was asked of a stranger");
        }
    });
}

#[test]
fn a_02_another_authority_is_taken_over_by_a_reload() {
    let (key, ours, others, dns) = (Key::es256("k"), Authority::new("ours"), Authority::new("others"), Dns::new());
    dns.set("id.test", &["127.0.0.1"]);
    let issuer = issuer_of(&key, &ours);
    let name = format!("https://id.test:{}", issuer.port());
    let token = key.token(&json!({"iss": name, "aud": "web", "exp": issuer::now() + 600}));
    let login = format!("{{type: jwt, issuer: \"{name}\", audience: web, keys_stale: 0s, jwks: {{ca: ours.pem}}}}");
    let gateway = started(Driver::Epoll, &dns, &login, &others);
    assert_eq!(ask(&gateway, &token).status, 401);
    fs::write(gateway.folder().join("ours.pem"), &ours.certificate).expect("the folder is writable");
    assert_eq!(gateway.reload(&document(&dns, &login))["ok"], true);
    eventually("the issuer is believed", || ask(&gateway, &token).status == 200);
}
