//! Mutual TLS: who may pass, what the others are told, what is known of a client, and what no trick gets around; on both drivers
//! (DM-10, rows T24 and R05; nginx CVE-2025-23419).

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::fs;
use std::path::Path;

use rcgen::date_time_ymd;
use rustls::version::{TLS12, TLS13};
use support::gateway::new_folder;
use support::{Backend, Client, Driver, Gateway, Response, eventually, on_both_drivers};
use tls::{Authority, Identity, Secure, Visitor};

const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

fn document(backend: &str, gateway: &str, guarded: &str, domains: &str) -> String {
    format!(
        r#"gateway:
  listen:
    - {{address: "127.0.0.1:0", tls: {{certificate: main.crt, key: main.key}}}}
    - {{address: "127.0.0.1:0"{gateway}}}
upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  http:
    kind: http
    routes:
      "GET /mock":
        integration:
          type: mock
          status: 200
          headers: {{x-pem: "$context.identity.clientCert.clientCertPem"}}
          body: '{{"subject":"$context.identity.clientCert.subjectDN","issuer":"$context.identity.clientCert.issuerDN","serial":"$context.identity.clientCert.serialNumber","from":"$context.identity.clientCert.validity.notBefore","until":"$context.identity.clientCert.validity.notAfter","tls":"$context.tlsVersion","suite":"$context.cipherSuite"}}'
    stages: {{$default: {{}}}}
  rest:
    kind: rest
    routes:
      "GET /back":
        integration:
          type: http
          uri: http://back/
        request_parameters: {{integration.request.header.X-Subject: context.identity.clientCert.subjectDN, integration.request.header.X-Tls: context.tlsVersion}}
    stages: {{prod: {{}}}}
domains:
  "*": {{mappings: {{/: http/$default}}}}
  api.test:
    tls: {{certificate: api.crt, key: api.key}}
    mutual_tls: {guarded}
    mappings: {{/: http/$default, /rest: rest/prod}}
{domains}"#
    )
}

struct House {
    gateway: Gateway,
    backend: Backend,
    main: Identity,
    api: Identity,
    authority: Authority,
}

impl House {
    fn start(driver: Driver, guarded: &str, domains: &str, prepare: impl FnOnce(&Path, &Authority)) -> House {
        let folder = new_folder();
        let (main, api) = (Identity::new(&["main.test", "*.main.test"]), Identity::new(&["api.test"]));
        main.write(&folder, "main");
        api.write(&folder, "api");
        let authority = Authority::new("ca");
        fs::write(folder.join("clients.pem"), &authority.certificate).expect("the folder is writable");
        prepare(&folder, &authority);
        let backend = Backend::echo();
        let text = document(backend.address(), "", guarded, domains);
        let gateway = Gateway::start_in(folder, &text, driver, &[]);
        let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
        House { gateway, backend, main, api, authority }
    }

    fn plain(driver: Driver) -> House {
        House::start(driver, "clients.pem", "", |_, _| {})
    }

    /// With mutual TLS, by any client.
    fn visitor(&self, own: &Identity) -> Visitor {
        Visitor::showing(&[&self.main, &self.api], VERSIONS, own)
    }

    fn connect(&self, own: &Identity) -> Secure {
        self.visitor(own).connect(self.gateway.address(), "api.test")
    }

    fn nobody(&self) -> Visitor {
        Visitor::new(&[&self.main, &self.api])
    }

    #[allow(clippy::cast_sign_loss, reason = "counters begin at zero")]
    fn refusals(&self, name: &str) -> u64 {
        self.gateway.counter("tollgate_refusals_total", &[("reason", name)]) as u64
    }
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// DM-10: the status is documented, the body assumed.
#[track_caller]
fn expect_forbidden(response: &Response) {
    assert_eq!(response.expect_status(403).text(), "{\"message\":\"Forbidden\"}");
    assert_eq!(response.header("connection"), Some("close"));
}

#[test]
fn whoever_is_certified_passes_and_is_known() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let own = house.authority.client("device 7", 0xa1_0b, |_| {});
        for version in VERSIONS {
            let visitor = Visitor::showing(&[&house.api], &[version], &own);
            // Of a session that is continued as much is known.
            for is_resumed in [false, true] {
                let mut client = visitor.connect(house.gateway.address(), "api.test");
                for _ in 0..2 {
                    let answer = client.exchange(get("/mock", "api.test"));
                    let told: serde_json::Value =
                        serde_json::from_str(&answer.expect_status(200).text()).expect("JSON");
                    assert_eq!(told["subject"], "CN=device 7,O=House\\, Home");
                    assert_eq!(told["issuer"].as_str().map(|issuer| issuer.starts_with("CN=ca")), Some(true), "{told}");
                    assert_eq!(told["serial"], "a1:0b");
                    assert_eq!(told["from"], "May 28 00:00:00 2019 GMT");
                    assert_eq!(told["until"], "Aug  5 00:00:00 2099 GMT");
                    let spoken = if **version == TLS13 { "TLSv1.3" } else { "TLSv1.2" };
                    assert_eq!(told["tls"], spoken);
                    assert!(
                        told["suite"].as_str().is_some_and(|suite| suite.contains("AES") || suite.contains("CHACHA"))
                    );
                    // A header's value has one line.
                    let pem: String = own.certificate.lines().collect();
                    assert_eq!(answer.header("x-pem"), Some(&*pem));
                }
                assert_eq!(client.is_resumed(), is_resumed, "{version:?}");
            }
        }
        let told = "\"clientCertSubjectDN\":\"CN=device 7,O=House\\\\, Home\"";
        eventually("the log tells of it", || house.gateway.access_log().matches(told).count() == 8);
    });
}

#[test]
fn a_backend_is_told_who_calls() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let own = house.authority.client("a\r\nX-Evil: 1\0b", 1, |_| {});
        house.connect(&own).exchange(get("/rest/back", "api.test")).expect_status(200);
        let seen = house.backend.only();
        assert_eq!(seen.header("x-subject"), Some("CN=a\\0d\\0aX-Evil: 1\\00b,O=House\\, Home"), "bytes are bytes");
        assert_eq!((seen.header("x-tls"), seen.header("x-evil")), (Some("TLSv1.3"), None));
    });
}

#[test]
fn others_are_told_403_and_counted_by_cause() {
    on_both_drivers(|driver| {
        let prepare = |folder: &Path, authority: &Authority| {
            fs::write(folder.join("revoked.crl"), authority.revokes(&[7], 2099)).expect("the folder is writable");
        };
        let house = House::start(driver, "{truststore: clients.pem, revocation: revoked.crl}", "", prepare);
        let ca = &house.authority;
        let mut client = house.nobody().connect(house.gateway.address(), "api.test");
        expect_forbidden(&client.exchange(get("/mock", "api.test")));
        client.read_to_end().expect("a goodbye");
        let stranger = Authority::new("ca");
        let cases = [
            ("client_certificate_untrusted", stranger.client("a", 1, |_| {})),
            ("client_certificate_untrusted", Identity::new(&["self.test"])),
            ("client_certificate_expired", ca.client("a", 1, |params| params.not_after = date_time_ymd(2020, 1, 1))),
            (
                "client_certificate_not_yet_valid",
                ca.client("a", 1, |params| params.not_before = date_time_ymd(2098, 1, 1)),
            ),
            ("client_certificate_revoked", ca.client("a", 7, |_| {})),
            (
                "client_certificate_unusable",
                ca.client("a", 1, |params| {
                    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
                }),
            ),
        ];
        for (name, own) in &cases {
            let before = house.refusals(name);
            // A REST API and an HTTP API, a path that is nobody's, and the server itself: nothing is told beside it.
            for path in ["/mock", "/rest/back", "/rest/none", "/none"] {
                expect_forbidden(&house.connect(own).exchange(get(path, "api.test")));
            }
            expect_forbidden(&house.connect(own).exchange("OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n"));
            eventually("they are counted", || house.refusals(name) == before + 5);
        }
        assert_eq!(house.refusals("client_certificate_missing"), 1);
        house.connect(&ca.client("a", 1, |_| {})).exchange(get("/mock", "api.test")).expect_status(200);
        assert!(house.backend.take().is_empty(), "nobody got through");
        let told = "\"errorType\":\"client_certificate_revoked\"";
        eventually("the log says why", || house.gateway.access_log().contains(told));
    });
}

#[test]
fn a_list_that_is_out_of_date_lets_nobody_in() {
    on_both_drivers(|driver| {
        let prepare = |folder: &Path, authority: &Authority| {
            fs::write(folder.join("old.crl"), authority.revokes(&[7], 2021)).expect("the folder is writable");
        };
        let house = House::start(driver, "{truststore: clients.pem, revocation: [old.crl]}", "", prepare);
        let own = house.authority.client("a", 1, |_| {});
        expect_forbidden(&house.connect(&own).exchange(get("/mock", "api.test")));
        assert_eq!(house.refusals("client_certificate_status_unknown"), 1);
        let ended = house.gateway.counter("tollgate_tls_revocation_list_end_time_seconds", &[]);
        assert!((ended - 1_609_459_200.0).abs() < 1.0, "{ended}");
        // A reload brings the next one; a connection is judged anew.
        let fresh = house.authority.revokes(&[1], 2099);
        let mut client = house.connect(&house.authority.client("b", 2, |_| {}));
        fs::write(house.gateway.folder().join("old.crl"), fresh).expect("the folder is writable");
        let report = house.gateway.reload(&document(
            house.backend.address(),
            "",
            "{truststore: clients.pem, revocation: [old.crl]}",
            "",
        ));
        assert_eq!(report["ok"], true, "{report}");
        client.exchange(get("/mock", "api.test")).expect_status(200);
        expect_forbidden(&house.connect(&own).exchange(get("/mock", "api.test")));
        assert_eq!(house.refusals("client_certificate_revoked"), 1);
    });
}

#[test]
fn what_a_reload_revokes_ends_with_the_next_request() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let own = house.authority.client("a", 7, |_| {});
        let visitor = house.visitor(&own);
        let mut client = visitor.connect(house.gateway.address(), "api.test");
        client.exchange(get("/mock", "api.test")).expect_status(200);
        fs::write(house.gateway.folder().join("new.crl"), house.authority.revokes(&[7], 2099)).expect("it is writable");
        let guarded = "{truststore: clients.pem, revocation: new.crl}";
        let report = house.gateway.reload(&document(house.backend.address(), "", guarded, ""));
        assert_eq!(report["ok"], true, "{report}");
        expect_forbidden(&client.exchange(get("/mock", "api.test")));
        let mut again = visitor.connect(house.gateway.address(), "api.test");
        assert!(!again.is_resumed(), "what was asked of clients is part of a session");
        expect_forbidden(&again.exchange(get("/mock", "api.test")));
    });
}

#[test]
fn optional_means_none_or_a_good_one() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "{truststore: clients.pem, mode: optional}", "", |_, _| {});
        let answer = house.nobody().connect(house.gateway.address(), "api.test").exchange(get("/mock", "api.test"));
        assert!(answer.expect_status(200).text().contains("\"subject\":\"\""), "{}", answer.text());
        let own = house.authority.client("a", 1, |_| {});
        let answer = house.connect(&own).exchange(get("/mock", "api.test"));
        assert!(answer.expect_status(200).text().contains("CN=a,"), "{}", answer.text());
        expect_forbidden(
            &house.connect(&Authority::new("ca").client("a", 1, |_| {})).exchange(get("/mock", "api.test")),
        );
        Client::connect(&house.gateway.listeners()[1]).exchange(get("/mock", "api.test")).expect_status(200);
    });
}

#[test]
fn chains_have_a_length() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let mut chain = String::new();
        let mut issuers = vec![house.authority.subordinate("one")];
        for length in 2..=4 {
            let last = issuers.last().expect("there is one");
            chain.insert_str(0, &last.certificate);
            let own = last.client("a", 1, |_| {});
            let shown = Identity { certificate: own.certificate.clone() + &chain, key: own.key.clone() };
            let answer = house.connect(&shown).exchange(get("/mock", "api.test"));
            // Its own, those between, and the trusted one: four at most.
            if length < 4 {
                answer.expect_status(200);
            } else {
                expect_forbidden(&answer);
            }
            if length == 2 {
                expect_forbidden(&house.connect(&own).exchange(get("/mock", "api.test")));
            }
            let next = last.subordinate(&format!("number {length}"));
            issuers.push(next);
        }
    });
}

#[test]
fn t24_a_connection_is_for_its_host_alone() {
    on_both_drivers(|driver| {
        let domains = "  b.test:\n    tls: {certificate: b.crt, key: b.key}\n    mutual_tls: other.pem\n    mappings: {/: http/$default}\n  \
                       open.test: {mappings: {/: http/$default}}\n";
        let (b, other) = (Identity::new(&["b.test"]), Authority::new("other"));
        let house = House::start(driver, "clients.pem", domains, |folder, _| {
            b.write(folder, "b");
            fs::write(folder.join("other.pem"), &other.certificate).expect("the folder is writable");
        });
        let own = house.authority.client("a", 1, |_| {});
        // By a connection for api.test.
        let mut client = house.connect(&own);
        for host in ["b.test", "open.test", "main.test", "x.api.test", "127.0.0.1"] {
            client.exchange(get("/mock", host)).expect_status(421);
        }
        client.exchange(get("/mock", "API.test.")).expect_status(200);
        client.exchange(get("/mock", "api.test:443")).expect_status(200);
        // To api.test by a connection for somebody else, whoever asks.
        for visitor in [house.visitor(&own), house.nobody()] {
            let mut client = visitor.connect(house.gateway.address(), "main.test");
            client.exchange(get("/mock", "api.test")).expect_status(421);
            client.exchange(get("/mock", "open.test")).expect_status(200);
        }
        assert_eq!(house.refusals("misdirected"), 7);
        // Without TLS nobody has proved anything.
        let mut plain = Client::connect(&house.gateway.listeners()[1]);
        expect_forbidden(&plain.exchange(get("/mock", "api.test")));
        assert_eq!(house.refusals("client_certificate_missing"), 1);
        // A session of one host, shown to the other.
        let visitor = Visitor::showing(&[&house.api, &b], &[&TLS13], &own).careless();
        for (name, status) in [("api.test", 200), ("api.test", 200), ("b.test", 403), ("b.test", 403)] {
            let mut client = visitor.connect(house.gateway.address(), name);
            client.exchange(get("/mock", name)).expect_status(status);
        }
    });
}

#[test]
fn the_execute_api_name_is_no_way_around() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        for (address, what) in [(&house.gateway.listeners()[1], "plain"), (&house.gateway.listeners()[0], "TLS")] {
            let request = get("/prod/back", "rest.execute-api.localhost");
            let answer = if what == "plain" {
                Client::connect(address).exchange(request)
            } else {
                house.nobody().connect(address, "main.test").exchange(request)
            };
            answer.expect_status(403);
        }
        assert!(house.backend.take().is_empty());
    });
}

#[test]
fn a_listener_may_ask_as_well() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        let main = Identity::new(&["main.test"]);
        main.write(&folder, "main");
        let authority = Authority::new("ca");
        let known = Identity::own_authority(&["known.test"]);
        let both = authority.certificate.clone() + &known.certificate;
        fs::write(folder.join("clients.pem"), both).expect("the folder is writable");
        let text = "gateway:\n  listen: [{address: \"127.0.0.1:0\", tls: {certificate: main.crt, key: main.key}, mutual_tls: clients.pem}]\n\
                    apis:\n  a:\n    kind: http\n    routes: {\"GET /\": {integration: {type: mock, status: 200, body: \"$context.identity.clientCert.subjectDN\"}}}\n    stages: {$default: {}}\n";
        let gateway = Gateway::start_in(folder, text, driver, &[]);
        let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
        let own = authority.client("a", 1, |_| {});
        let connect =
            |own: &Identity| Visitor::showing(&[&main], VERSIONS, own).connect(gateway.address(), "main.test");
        connect(&own).exchange(get("/", "main.test")).expect_status(200);
        connect(&own).exchange(get("/", "other.test")).expect_status(421);
        // Who stands in the truststore itself needs nobody, as `openssl req -x509` makes them.
        connect(&known).exchange(get("/", "main.test")).expect_status(200);
        expect_forbidden(&connect(&Identity::own_authority(&["known.test"])).exchange(get("/", "main.test")));
        let nobody = Visitor::new(&[&main]);
        expect_forbidden(&nobody.connect(gateway.address(), "main.test").exchange(get("/", "main.test")));
    });
}

#[test]
fn r05_what_a_client_shows_has_its_bounds() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let names = |params: &mut rcgen::CertificateParams, count: usize| {
            params.subject_alt_names = (0..count)
                .map(|at| rcgen::SanType::DnsName(format!("{at:0>60}.test").try_into().expect("ASCII")))
                .collect();
        };
        let large = house.authority.client("a", 1, |params| names(params, 90));
        let mut client = house.connect(&large);
        let answer = client.exchange(get("/mock", "api.test"));
        assert!(answer.expect_status(200).header("x-pem").is_some_and(|pem| pem.len() > 6_000));
        let larger = house.authority.client("a", 1, |params| names(params, 120));
        let refused = house.visitor(&larger).try_connect(house.gateway.address(), "api.test");
        let refused = refused.and_then(|mut client| {
            client.try_send(get("/mock", "api.test"))?;
            client.read_to_end()
        });
        assert!(refused.is_err(), "an alert in place of an answer");
        let many = house.authority.client("a", 1, |_| {});
        let many = Identity { certificate: many.certificate.repeat(20), key: many.key };
        let refused = house.visitor(&many).try_connect(house.gateway.address(), "api.test");
        let refused = refused.and_then(|mut client| {
            client.try_send(get("/mock", "api.test"))?;
            client.read_to_end()
        });
        assert!(refused.is_err(), "an alert in place of an answer");
        let failures = || house.gateway.counter("tollgate_tls_handshake_failures_total", &[("cause", "protocol")]);
        eventually("both are counted", || failures() > 1.5);
    });
}

/// One request by HTTP/2 on a connection that has agreed to it; the log tells what became of it.
fn ask_http2(client: &mut Secure, stream: u8, host: &str) {
    const HEADERS: u8 = 1;
    const END: u8 = 0x5;
    let mut block = Vec::new();
    for (name, value) in [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/mock")] {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    let mut frame = vec![0, 0, block.len() as u8, HEADERS, END, 0, 0, 0, stream];
    frame.extend(block);
    client.send(frame);
}

#[test]
fn t24_streams_are_for_the_hosts_of_their_connection() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let own = house.authority.client("a", 1, |_| {});
        let speak = |visitor: &Visitor, name: &str, hosts: &[&str]| {
            let mut client = visitor.offering(&["h2"]).connect(house.gateway.address(), name);
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
            for (host, stream) in hosts.iter().zip((1..).step_by(2)) {
                ask_http2(&mut client, stream, host);
            }
            client
        };
        let told = |status: u16| {
            let log = house.gateway.access_log();
            let is_it = |line: &&str| line.contains("HTTP/2") && line.contains(&format!("\"status\":{status},"));
            log.lines().filter(is_it).count()
        };
        // A host with mutual TLS shares its connections with nobody.
        let _certified = speak(&house.visitor(&own), "api.test", &["api.test", "main.test", "API.test"]);
        eventually("each is answered", || (told(200), told(421)) == (2, 1));
        let _nobody = speak(&house.nobody(), "api.test", &["api.test"]);
        eventually("without a certificate", || told(403) == 1);
        // Others do as far as the certificate goes.
        let hosts = ["main.test", "x.main.test", "api.test", "other.test", "x.y.main.test"];
        let _other = speak(&house.visitor(&own), "main.test", &hosts);
        eventually("each is answered", || (told(200), told(421)) == (4, 4));
    });
}

#[test]
fn the_doctor_looks_at_truststores() {
    let folder = new_folder();
    let (main, authority) = (Identity::new(&["main.test"]), Authority::new("ca"));
    main.write(&folder, "main");
    let other = Authority::new("other");
    fs::write(folder.join("clients.pem"), authority.certificate.clone() + &other.certificate).expect("it is writable");
    fs::write(folder.join("a.crl"), authority.revokes(&[], 2021)).expect("it is writable");
    let text = "gateway: {listen: [{address: \"127.0.0.1:0\", tls: {certificate: main.crt, key: main.key}}]}\n\
                apis: {a: {kind: http, routes: {\"GET /\": {integration: {type: mock}}}, stages: {$default: {}}}}\n\
                domains:\n  other.test: {tls: {certificate: main.crt, key: main.key}, mutual_tls: {truststore: clients.pem, revocation: a.crl}, mappings: {/: a/$default}}\n";
    let document = folder.join("gateway.yaml");
    fs::write(&document, text).expect("it is writable");
    let said = |verb: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate")).arg(verb).arg(&document).output();
        let output = output.expect("the binary runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let told = said("doctor");
    for part in [
        "clients.pem: 2 certificates, 1 lists",
        "is out of date",
        "there is no list of those whom",
        "domain other.test has no certificate for its name",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = said("check");
    for part in ["is out of date", "there is no list of those whom", "warning"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn explain_names_the_truststore_of_a_host() {
    let folder = new_folder();
    let (main, authority) = (Identity::new(&["main.test"]), Authority::new("ca"));
    main.write(&folder, "main");
    fs::write(folder.join("clients.pem"), &authority.certificate).expect("it is writable");
    fs::write(folder.join("a.crl"), authority.revokes(&[], 2099)).expect("it is writable");
    let text = "gateway: {listen: [{address: \"127.0.0.1:0\", tls: {certificate: main.crt, key: main.key}}]}\n\
                apis: {a: {kind: http, routes: {\"GET /\": {integration: {type: mock}}}, stages: {$default: {}}}}\n\
                domains:\n  main.test: {tls: {certificate: main.crt, key: main.key}, mutual_tls: {truststore: clients.pem, revocation: a.crl}, mappings: {/: a/$default}}\n  \
                open.test: {mappings: {/: a/$default}}\n";
    let document = folder.join("gateway.yaml");
    fs::write(&document, text).expect("it is writable");
    let explain = |host: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let output = command.arg("explain").arg(&document).args(["GET", host]).output().expect("the binary runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let told = explain("http://main.test/");
    let lines: Vec<&str> =
        told.lines().filter(|line| line.starts_with("clients") || line.starts_with("revoked")).collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(
        lines[0].contains("show a certificate that leads to one of ") && lines[0].ends_with("clients.pem"),
        "{told}"
    );
    assert!(lines[1].ends_with("a.crl") && told.contains("prove_client"), "{told}");
    let told = explain("http://open.test/");
    assert!(!told.contains("clients.pem") && !told.contains("prove_client"), "{told}");
}
