//! Certificates on disk, and what `check` says of them. Keys are made for each test; none is in the tree.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

const DOCUMENT: &str = r#"gateway:
  listen: [{address: "127.0.0.1:8443", tls: {certificate: a.crt, key: a.key}}]
apis:
  pets: {kind: http, routes: {"GET /": {integration: {type: mock}}}, stages: {$default: {}}}
domains:
  api.test: {tls: {certificate: a.crt, key: a.key}, mappings: {/: pets/$default}}
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    fs::write(folder.join("gateway.yaml"), DOCUMENT).expect("the folder is writable");
    folder
}

/// Writes `a.crt` and `a.key`.
fn write(folder: &Path, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> KeyPair {
    let key = KeyPair::generate().expect("randomness");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names of hosts");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
    change(&mut params);
    let certificate = params.self_signed(&key).expect("a key that signs");
    fs::write(folder.join("a.crt"), certificate.pem()).expect("the folder is writable");
    fs::write(folder.join("a.key"), key.serialize_pem()).expect("the folder is writable");
    key
}

fn said(folder: &Path) -> String {
    let loaded = config::load(&folder.join("gateway.yaml"));
    assert_eq!(loaded.snapshot.is_none(), loaded.diagnostics.has_errors());
    loaded.diagnostics.render(false)
}

#[test]
fn a_good_certificate_has_no_faults_and_is_watched() {
    let folder = folder("good");
    write(&folder, &["api.test"], |_| {});
    let loaded = config::load(&folder.join("gateway.yaml"));
    assert_eq!(loaded.diagnostics.render(false), "");
    let snapshot = loaded.snapshot.expect("a good document");
    let read = snapshot.certificates.values().next().expect("it was read");
    assert_eq!(
        (&read.names[..], read.not_before, read.not_after),
        (&["api.test".to_owned()][..], 1_577_836_800, 4_102_444_800)
    );
    let watched: Vec<_> = loaded.files.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
    assert_eq!(watched, ["gateway.yaml", "a.crt", "a.key"], "each is read once");
    assert!(!loaded.files.iter().any(config::Input::has_changed));
    write(&folder, &["api.test"], |_| {});
    assert_eq!(loaded.files.iter().filter(|file| file.has_changed()).count(), 2);
}

#[test]
fn oddities_are_warnings() {
    let folder = folder("odd");
    let check = |names: &[&str], change: fn(&mut CertificateParams), wanted: &str| {
        write(&folder, names, change);
        let said = said(&folder);
        assert!(said.contains("warning") && said.contains(wanted) && !said.contains("error"), "{wanted}: {said}");
    };
    check(
        &["api.test"],
        |params| params.not_after = date_time_ymd(2021, 1, 1),
        "gateway.yaml:2:59: warning: the certificate has expired",
    );
    check(&["api.test"], |params| params.not_before = date_time_ymd(2099, 1, 1), "does not hold yet");
    check(
        &["other.test", "*.test.test"],
        |_| {},
        "the certificate is not for `api.test`: it names other.test, *.test.test",
    );
    check(&[], |_| {}, "names no host");
}

#[test]
fn a_chain_has_its_order() {
    let folder = folder("chain");
    write(&folder, &["api.test"], |params| params.distinguished_name.push(rcgen::DnType::CommonName, "one"));
    let first = fs::read_to_string(folder.join("a.crt")).expect("it was just written");
    write(&folder, &["api.test"], |params| params.distinguished_name.push(rcgen::DnType::CommonName, "two"));
    let second = fs::read_to_string(folder.join("a.crt")).expect("it was just written");
    fs::write(folder.join("a.crt"), [&*second, &*first].concat()).expect("the folder is writable");
    assert!(said(&folder).contains("the certificates do not follow each other"), "{}", said(&folder));
}

#[test]
fn what_cannot_serve_is_an_error_at_its_place() {
    let folder = folder("bad");
    let key = write(&folder, &["api.test"], |_| {});
    let certificate = fs::read(folder.join("a.crt")).expect("it was just written");
    let check = |file: &str, content: &[u8], wanted: &str| {
        fs::write(folder.join("a.crt"), &certificate).expect("the folder is writable");
        fs::write(folder.join("a.key"), key.serialize_pem()).expect("the folder is writable");
        fs::write(folder.join(file), content).expect("the folder is writable");
        let said = said(&folder);
        let place = if file == "a.crt" { "gateway.yaml:2:59: error: " } else { "gateway.yaml:2:71: error: " };
        assert!(said.contains(place) && said.contains(wanted), "{wanted}: {said}");
        assert_eq!(said.matches(": error: ").count(), 1, "once, though it is written in two places: {said}");
    };
    let other = KeyPair::generate().expect("randomness").serialize_pem();
    check("a.key", other.as_bytes(), "does not belong to the certificate");
    check("a.key", b"", "no private key in");
    check(
        "a.key",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "is encrypted",
    );
    check("a.key", b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "cannot be used");
    check("a.crt", b"", "no certificate in");
    check("a.crt", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "is no PEM");
    check("a.crt", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "cannot be read");
    check("a.crt", &certificate.repeat(11), "more than 10 certificates");
    check("a.crt", &vec![b'\n'; 300_000], "is larger than 256 KiB");
    fs::remove_file(folder.join("a.key")).expect("it is there");
    fs::write(folder.join("a.crt"), &certificate).expect("the folder is writable");
    assert!(said(&folder).contains("a.key cannot be read"));
}

#[test]
fn a_compiled_snapshot_names_files_and_holds_no_key() {
    let folder = folder("compiled");
    let key = write(&folder, &["api.test"], |_| {});
    let snapshot = config::load(&folder.join("gateway.yaml")).snapshot.expect("a good document");
    let file = config::snapshot_file::encode(&snapshot, &folder);
    let has = |bytes: &[u8]| file.windows(bytes.len()).any(|window| window == bytes);
    let certificate = &snapshot.certificates.values().next().expect("it was read").certified.cert[0];
    assert!(has(b"a.key") && !has(&key.serialize_der()[..32]) && !has(&certificate[..32]));
    fs::write(folder.join("compiled"), &file).expect("the folder is writable");
    let loaded = config::load(&folder.join("compiled"));
    assert_eq!(loaded.diagnostics.render(false), "");
    assert_eq!(loaded.snapshot.expect("it is whole").certificates.len(), 1);
    assert_eq!(loaded.files.len(), 3, "the file, the certificate and the key");
    fs::remove_file(folder.join("a.key")).expect("it is there");
    let loaded = config::load(&folder.join("compiled"));
    assert!(loaded.snapshot.is_none() && loaded.diagnostics.render(false).contains("a.key cannot be read"));
}

const GUARDED: &str = r#"gateway:
  listen: [{address: "127.0.0.1:8443", tls: {certificate: a.crt, key: a.key}, mutual_tls: {truststore: clients.pem, revocation: [list.pem]}}]
apis:
  pets: {kind: http, routes: {"GET /": {integration: {type: mock}}}, stages: {$default: {}}}
"#;

/// An authority: its certificate, and what it signs with.
fn authority(name: &str, until: i32) -> (String, rcgen::Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("randomness");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let certificate = params.self_signed(&key).expect("a key that signs").pem();
    (certificate, rcgen::Issuer::new(params, key))
}

fn list(issuer: &rcgen::Issuer<'static, KeyPair>, until: i32) -> rcgen::CertificateRevocationList {
    let list = rcgen::CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).expect("a key that signs")
}

#[test]
fn a_truststore_is_read_and_watched_and_its_oddities_are_warnings() {
    let folder = folder("trust");
    write(&folder, &["api.test"], |_| {});
    fs::write(folder.join("gateway.yaml"), GUARDED).expect("the folder is writable");
    let (one, signs) = authority("one", 2100);
    let put = |file: &str, bytes: &[u8]| fs::write(folder.join(file), bytes).expect("the folder is writable");
    put("clients.pem", one.as_bytes());
    put("list.pem", list(&signs, 2100).pem().expect("it can be written").as_bytes());
    let loaded = config::load(&folder.join("gateway.yaml"));
    assert_eq!(loaded.diagnostics.render(false), "");
    let watched: Vec<_> = loaded.files.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
    assert!(["clients.pem", "list.pem"].iter().all(|file| watched.contains(file)), "{watched:?}");
    // A compiled file names them, and reads them again.
    let snapshot = loaded.snapshot.expect("a good document");
    assert_eq!(snapshot.truststores.values().map(|store| store.lists.len()).collect::<Vec<_>>(), [1]);
    put("compiled", &config::snapshot_file::encode(&snapshot, &folder));
    let loaded = config::load(&folder.join("compiled"));
    assert_eq!(loaded.diagnostics.render(false), "");
    assert_eq!(loaded.snapshot.expect("it is whole").truststores.len(), 1);
    let (two, _) = authority("two", 2021);
    // Twice the same, one that has expired and has no list, one that is none; and a list in DER that is out of date.
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    put("clients.pem", [&*one, &one, &two, broken].concat().as_bytes());
    put("list.pem", list(&signs, 2021).der());
    let said = said(&folder);
    for wanted in [
        "gateway.yaml:2:104: warning: the certificate with the number 4 of the truststore cannot be read",
        "CN=two` has expired",
        "there is no list of those whom `CN=two",
        "warning: the list of `CN=one",
        "is out of date",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn a_truststore_that_trusts_nobody_is_an_error() {
    let folder = folder("distrust");
    write(&folder, &["api.test"], |_| {});
    fs::write(folder.join("gateway.yaml"), GUARDED).expect("the folder is writable");
    let (one, signs) = authority("one", 2100);
    let good = list(&signs, 2100).pem().expect("it can be written");
    let check = |store: &[u8], list: &[u8], wanted: &str| {
        fs::write(folder.join("clients.pem"), store).expect("the folder is writable");
        fs::write(folder.join("list.pem"), list).expect("the folder is writable");
        let said = said(&folder);
        assert!(said.contains("error") && said.contains(wanted), "{wanted}: {said}");
    };
    check(b"", good.as_bytes(), "no certificate in");
    check(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", good.as_bytes(), "that can be used");
    check(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", good.as_bytes(), "is no PEM");
    check(one.repeat(1_001).as_bytes(), good.as_bytes(), "more than 1000 certificates");
    check(&vec![b'\n'; 1_100_000], good.as_bytes(), "is larger than 1024 KiB");
    check(one.as_bytes(), b"no list", "holds what is no list of revoked certificates");
    check(one.as_bytes(), b"-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", "holds what is no list");
    check(one.as_bytes(), one.as_bytes(), "holds what is no list of revoked certificates");
    fs::remove_file(folder.join("list.pem")).expect("it is there");
    assert!(said(&folder).contains("list.pem cannot be read"));
}

#[test]
fn an_api_behind_mutual_tls_has_no_execute_api_name() {
    let folder = folder("closed");
    write(&folder, &["api.test"], |_| {});
    fs::write(folder.join("clients.pem"), authority("one", 2100).0).expect("the folder is writable");
    let guarded = DOCUMENT.replace("mappings:", "mutual_tls: clients.pem, mappings:");
    let open = |text: &str| {
        fs::write(folder.join("gateway.yaml"), text).expect("the folder is writable");
        let loaded = config::load(&folder.join("gateway.yaml"));
        loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false))).apis[0].execute_api
    };
    assert_eq!((open(DOCUMENT), open(&guarded)), (true, false));
}
