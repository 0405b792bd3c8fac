//! TLS where it is seldom tried: staples, keys of the service manager, hellos of any size and shape, newcomers that are turned away; on
//! both drivers (rows R01, R05).

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use support::gateway::{complete, new_folder};
use support::{Client, Driver, Gateway, PATIENCE, eventually, on_both_drivers};
use tls::{Authority, Identity, Visitor};

const GET: &str = "GET /mock HTTP/1.1\r\nHost: main.test\r\n\r\n";

fn document(gateway: &str, tls: &str) -> String {
    format!(
        "gateway:\n  listen: [{{address: \"127.0.0.1:0\", tls: {{{tls}}}}}]\n{gateway}apis:\n  http:\n    kind: http\n    \
         routes: {{\"GET /mock\": {{integration: {{type: mock, status: 200, body: hello}}}}}}\n    stages: {{$default: {{}}}}\n"
    )
}

struct House {
    gateway: Gateway,
    main: Identity,
}

impl House {
    fn start(driver: Driver, gateway: &str, tls: &str, prepare: impl FnOnce(&Path)) -> House {
        let folder = new_folder();
        let main = Identity::new(&["main.test"]);
        main.write(&folder, "main");
        prepare(&folder);
        let gateway = Gateway::start_in(folder, &document(gateway, tls), driver, &[]);
        House { gateway: gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr)), main }
    }

    fn plain(driver: Driver) -> House {
        House::start(driver, "", "certificate: main.crt, key: main.key", |_| {})
    }

    fn serves(&self) {
        let mut client = Visitor::new(&[&self.main]).connect(self.gateway.address(), "main.test");
        client.exchange(GET).expect_status(200);
    }

    #[allow(clippy::cast_sign_loss, reason = "counters begin at zero")]
    fn failures(&self, cause: &str) -> u64 {
        self.gateway.counter("tollgate_tls_handshake_failures_total", &[("cause", cause)]) as u64
    }

    fn nobody_is_under_way(&self) {
        let count = || self.gateway.counter("tollgate_tls_handshakes_in_progress", &[]);
        eventually("nobody is under way", || count() < 0.5);
    }
}

/// Believes everybody, and keeps the staple.
#[derive(Debug)]
struct Collector(Mutex<Vec<u8>>);

impl ServerCertVerifier for Collector {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        staple: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().expect("one thread") = staple.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn stapled(address: &str, version: &'static rustls::SupportedProtocolVersion) -> Vec<u8> {
    let collector = Arc::new(Collector(Mutex::default()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("a version");
    let config = config.dangerous().with_custom_certificate_verifier(collector.clone()).with_no_client_auth();
    let name = ServerName::try_from("main.test").expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a good configuration");
    let mut wire = TcpStream::connect(address).expect("it listens");
    wire.set_read_timeout(Some(PATIENCE)).expect("a socket");
    while tls.is_handshaking() {
        tls.complete_io(&mut wire).expect("a good handshake");
    }
    collector.0.lock().expect("one thread").clone()
}

#[test]
fn a_staple_is_delivered_and_reloaded() {
    on_both_drivers(|driver| {
        let tls = "certificate: main.crt, key: main.key, ocsp: main.ocsp";
        let house = House::start(driver, "", tls, |folder| {
            fs::write(folder.join("main.ocsp"), b"the first answer").expect("the folder is writable");
        });
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            assert_eq!(stapled(house.gateway.address(), version), b"the first answer");
        }
        fs::write(house.gateway.folder().join("main.ocsp"), b"the next").expect("the folder is writable");
        assert_eq!(house.gateway.reload(&document("", tls))["ok"], true);
        assert_eq!(stapled(house.gateway.address(), &rustls::version::TLS13), b"the next");
    });
}

#[test]
fn a_key_may_be_a_credential() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        let credentials = folder.join("credentials");
        fs::create_dir(&credentials).expect("the folder is writable");
        let main = Identity::new(&["main.test"]);
        fs::write(folder.join("main.crt"), &main.certificate).expect("the folder is writable");
        fs::write(credentials.join("key"), &main.key).expect("the folder is writable");
        let path = folder.join("gateway.yaml");
        let text = document("", "certificate: main.crt, key: \"${credential:key}\"");
        fs::write(&path, complete(&text, &folder)).expect("the folder is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("run").arg(&path).arg(format!("--io-driver={}", driver.name()));
        command.env("CREDENTIALS_DIRECTORY", &credentials).stdin(Stdio::null()).stdout(Stdio::null());
        let gateway = Gateway::launch(folder, driver, command).unwrap_or_else(|failed| panic!("{}", failed.stderr));
        House { gateway, main }.serves();
    });
}

/// A client's first message, as bytes.
fn hello(visitor: &Visitor) -> Vec<u8> {
    let mut tls = visitor.hello("main.test");
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

#[test]
fn r05_hellos_of_any_size() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let visitor = Visitor::new(&[&house.main]);
        // Over several records, and still a good one.
        let names: Vec<String> = (0..2_000).map(|number| format!("protocol-{number:0>8}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(visitor.offering(&names).try_connect(house.gateway.address(), "main.test").is_err());
        eventually("nothing in common", || house.failures("incompatible") == 1);
        names.push("http/1.1");
        let large = visitor.offering(&names);
        assert!(hello(&large).len() > 32_000);
        large.connect(house.gateway.address(), "main.test").exchange(GET).expect_status(200);
        // One that announces a mebibyte, and goes on.
        let mut client = Client::connect(house.gateway.address());
        let mut record = b"\x16\x03\x01\x40\x00".to_vec();
        record.extend([0; 0x4000]);
        record[5..9].copy_from_slice(b"\x01\x10\x00\x00");
        let _ = client.try_send(&record);
        for _ in 0..16 {
            record[5..9].fill(0);
            if client.try_send(&record).is_err() {
                break;
            }
        }
        eventually("it is refused", || house.failures("protocol") == 1);
        // Sixteen thousand records of one byte.
        let mut client = Client::connect(house.gateway.address());
        let first = hello(&visitor);
        let crumbs: Vec<u8> = first[5..].iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
        let _ = client.try_send(&crumbs);
        drop(client);
        house.nobody_is_under_way();
        house.serves();
    });
}

#[test]
fn r05_names_of_any_shape() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        let first = hello(&Visitor::new(&[&house.main]));
        let at = first.windows(9).position(|window| window == b"main.test").expect("its name is in it");
        for name in [
            b"ma\0n.test",
            b"ma n.test",
            b"MAIN.TEST",
            b".........",
            b"127.0.0.1",
            b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff",
            b"-ain.test",
            b"main.tes.",
        ] {
            let mut other = first.clone();
            other[at..at + 9].copy_from_slice(name);
            let mut wire = TcpStream::connect(house.gateway.address()).expect("it listens");
            wire.set_read_timeout(Some(PATIENCE)).expect("a socket");
            wire.write_all(&other).expect("the gateway reads");
            let mut answer = [0; 5];
            wire.read_exact(&mut answer).expect("a word in return");
            // The next message of a handshake, or an alert.
            assert!(matches!(answer[0], 0x15 | 0x16), "{name:?}: {answer:?}");
        }
        house.nobody_is_under_way();
        house.serves();
        // Cut anywhere, a hello is none.
        for end in [1, 4, 5, 6, 9, 40, 43, 44, at, at + 3, first.len() - 1] {
            let mut client = Client::connect(house.gateway.address());
            client.send(&first[..end]);
            client.finish();
            client.expect_close();
        }
        house.nobody_is_under_way();
        house.serves();
    });
}

#[test]
fn who_is_turned_away_hears_why() {
    on_both_drivers(|driver| {
        let limits = "  limits: {connections_per_address: 1}\n";
        let parts = "certificate: main.crt, key: main.key}, hsts: {max_age: 1h";
        let house = House::start(driver, limits, parts, |_| {});
        let visitor = Visitor::new(&[&house.main]);
        let mut first = visitor.connect(house.gateway.address(), "main.test");
        first.exchange(GET).expect_status(200);
        for offered in [&[][..], &["h2", "http/1.1"]] {
            let mut second = visitor.offering(offered).connect(house.gateway.address(), "main.test");
            let told = second.read_response();
            assert_eq!(told.expect_status(503).header("retry-after"), Some("1"));
            assert_eq!(told.header("strict-transport-security"), Some("max-age=3600"));
            assert_eq!(second.read_to_end().expect("a goodbye"), b"");
            first.exchange(GET).expect_status(200);
        }
        // One that says nothing is not waited for.
        Client::connect(house.gateway.address()).expect_close();
        drop(first);
        eventually("there is room again", || {
            let client = visitor.try_connect(house.gateway.address(), "main.test");
            client.is_ok_and(|mut client| client.exchange(GET).status == 200)
        });
    });
}

#[test]
fn r05_what_was_agreed_on_stays() {
    on_both_drivers(|driver| {
        let house = House::plain(driver);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let visitor = Visitor::with(&[&house.main], &[version]);
            let mut client = visitor.connect(house.gateway.address(), "main.test");
            client.exchange(GET).expect_status(200);
            // Another hello, in the clear: neither a renegotiation nor a request.
            client.wire().write_all(&hello(&visitor)).expect("the gateway reads");
            assert!(client.read_to_end().is_err(), "{version:?}: an alert");
        }
        house.serves();
    });
}

#[test]
fn the_doctor_follows_chains_to_the_roots_of_the_system() {
    let folder = new_folder();
    let root = Authority::new("Root");
    let between = root.subordinate("Between");
    fs::write(folder.join("roots.pem"), &root.certificate).expect("it is writable");
    root.issue(&["direct.test"]).write(&folder, "direct");
    between.issue(&["open.test"]).write(&folder, "open");
    between.issue_with_root(&["whole.test"]).write(&folder, "whole");
    Identity::new(&["own.test"]).write(&folder, "own");
    let other = Authority::new("Other");
    other.issue_with_root(&["private.test"]).write(&folder, "private");
    // It ended long ago, which is told by a line of its own.
    root.issue_until(&["late.test"], 2020).write(&folder, "late");
    let names = ["direct", "open", "whole", "own", "private", "late"];
    let domains = names.map(|name| {
        format!("  {name}.test: {{tls: {{certificate: {name}.crt, key: {name}.key}}, mappings: {{/: a/$default}}}}\n")
    });
    let domains = domains.concat();
    let text = format!(
        "gateway: {{listen: [{{address: \"127.0.0.1:0\", tls: {{certificate: own.crt, key: own.key}}}}]}}\n\
         apis: {{a: {{kind: http, routes: {{\"GET /\": {{integration: {{type: mock}}}}}}, stages: {{$default: {{}}}}}}}}\ndomains:\n{domains}"
    );
    let document = folder.join("gateway.yaml");
    fs::write(&document, text).expect("it is writable");
    let doctor = |roots: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let command = command.arg("doctor").arg(&document).env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        let output = command.output().expect("the binary runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let told = doctor(&folder.join("roots.pem"));
    for (name, mark, end) in [
        ("direct", "ok", "complete, up to a root of this system"),
        ("whole", "ok", "complete, up to a root of this system"),
        ("late", "ok", "complete, up to a root of this system"),
        ("own", "ok", "an authority that this system does not know"),
        ("private", "ok", "an authority that this system does not know"),
        ("open", "warn", "Between`, who issued the last certificate, is neither there nor known"),
    ] {
        let of_name = |line: &&str| line.contains("chain of ") && line.contains(&format!("/{name}.crt: "));
        let line = told.lines().find(of_name).unwrap_or_else(|| panic!("no line of {name}: {told}"));
        assert!(line.starts_with(mark) && line.contains(end), "{line}");
    }
    assert!(!doctor(Path::new("/nowhere/at/all.pem")).contains("chain of "), "without roots nothing is said");
}
