//! Certificates made for one test, and a client that speaks TLS. No key is ever in the tree.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, StreamOwned};

use crate::support::PATIENCE;
use crate::support::message::{Inflow, Response};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// Its own authority, for these names; ECDSA on P-256.
    pub fn new(names: &[&str]) -> Identity {
        Identity::made(names, &KeyPair::generate().expect("randomness"), |_| {})
    }

    /// One that ended in 2020.
    pub fn expired(names: &[&str]) -> Identity {
        Identity::made(names, &KeyPair::generate().expect("randomness"), |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    /// Its own authority also by what it says of itself, as `openssl req -x509` makes them.
    pub fn own_authority(names: &[&str]) -> Identity {
        Identity::made(names, &KeyPair::generate().expect("randomness"), |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        })
    }

    /// With an RSA key.
    pub fn rsa(names: &[&str]) -> Identity {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("randomness");
        Identity::made(names, &key, |_| {})
    }

    fn made(names: &[&str], key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of hosts");
        change(&mut params);
        let certificate = params.self_signed(key).expect("a key that signs");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes `name.crt` and `name.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.crt")), &self.certificate).expect("the folder is writable");
        fs::write(folder.join(format!("{name}.key")), &self.key).expect("the folder is writable");
    }

    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("it was just made")
    }
}

/// Who issues certificates to others.
pub struct Authority {
    /// Its own certificate, in PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a key that signs").pem();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// One of those that this one certifies.
    pub fn subordinate(&self, name: &str) -> Authority {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.signed_by(&key, &self.issuer).expect("a key that signs").pem();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A client's certificate of this number.
    pub fn client(&self, name: &str, number: u64, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "House, Home");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(number.into());
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2019, 5, 28), date_time_ymd(2099, 8, 5));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a key that signs");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Whom it has revoked, as long as it says so, in DER.
    pub fn revokes(&self, numbers: &[u64], until: i32) -> Vec<u8> {
        let revoked = |number: &u64| rcgen::RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a key that signs").der().to_vec()
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("randomness");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names of hosts");
        let certificate = params.signed_by(&key, &self.issuer).expect("a key that signs");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The same, of a time that has ended in January of this year.
    pub fn issue_until(&self, names: &[&str], year: i32) -> Identity {
        let key = KeyPair::generate().expect("randomness");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of hosts");
        (params.not_before, params.not_after) = (date_time_ymd(year - 1, 1, 1), date_time_ymd(year, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).expect("a key that signs");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The same, shown with its issuer.
    pub fn issue_with_root(&self, names: &[&str]) -> Identity {
        let Identity { certificate, key } = self.issue(names);
        Identity { certificate: certificate + &self.certificate, key }
    }
}

/// What a client believes and speaks. Clients of one visitor share their sessions.
#[derive(Clone)]
pub struct Visitor {
    config: Arc<ClientConfig>,
}

impl Visitor {
    /// Trusts these, and speaks TLS 1.3 and 1.2.
    pub fn new(trusted: &[&Identity]) -> Visitor {
        Visitor::with(trusted, rustls::ALL_VERSIONS)
    }

    pub fn with(trusted: &[&Identity], versions: &[&'static rustls::SupportedProtocolVersion]) -> Visitor {
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots.add(identity.der()).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let config = config.expect("known versions").with_root_certificates(roots).with_no_client_auth();
        Visitor { config: Arc::new(config) }
    }

    /// Trusts these, and reads no other signatures than those of RSA keys.
    pub fn reading_rsa_alone(trusted: &[&Identity]) -> Visitor {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suite.suite().as_str().is_some_and(|name| name.contains("_RSA_")));
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots.add(identity.der()).expect("a certificate");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(provider));
        let config = config.with_protocol_versions(&[&rustls::version::TLS12]).expect("a known version");
        Visitor { config: Arc::new(config.with_root_certificates(roots).with_no_client_auth()) }
    }

    /// The same, and proves itself with these certificates of a client, the first its own.
    pub fn showing(
        trusted: &[&Identity],
        versions: &[&'static rustls::SupportedProtocolVersion],
        own: &Identity,
    ) -> Visitor {
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots.add(identity.der()).expect("a certificate");
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(own.certificate.as_bytes()).collect();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it was just made");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let config = config.expect("known versions").with_root_certificates(roots);
        let config = config.with_client_auth_cert(chain.expect("certificates"), key).expect("a key that fits");
        Visitor { config: Arc::new(config) }
    }

    pub fn offering(&self, protocols: &[&str]) -> Visitor {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Visitor { config: Arc::new(config) }
    }

    /// What it is made of, for other clients.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// Offers sessions of any host to every host.
    pub fn careless(&self) -> Visitor {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(Arc::new(OneDrawer(ClientSessionMemoryCache::new(32))));
        Visitor { config: Arc::new(config) }
    }

    #[track_caller]
    pub fn connect(&self, address: &str, name: &str) -> Secure {
        self.try_connect(address, name).unwrap_or_else(|error| panic!("no handshake with {name} at {address}: {error}"))
    }

    pub fn try_connect(&self, address: &str, name: &str) -> io::Result<Secure> {
        let mut wire = TcpStream::connect(address)?;
        wire.set_nodelay(true)?;
        wire.set_read_timeout(Some(PATIENCE))?;
        wire.set_write_timeout(Some(PATIENCE))?;
        let mut tls = self.hello(name);
        while tls.is_handshaking() {
            tls.complete_io(&mut wire)?;
        }
        Ok(Secure { inflow: Inflow::new(StreamOwned::new(tls, wire)) })
    }

    /// Behind these bytes; fused with them, or in segments of its own.
    #[track_caller]
    pub fn connect_behind(&self, address: &str, name: &str, bytes: &[u8], is_fused: bool) -> Secure {
        let connected = self.try_connect_behind(address, name, bytes, is_fused);
        connected.unwrap_or_else(|error| panic!("no handshake behind {}: {error}", bytes.escape_ascii()))
    }

    pub fn try_connect_behind(&self, address: &str, name: &str, bytes: &[u8], is_fused: bool) -> io::Result<Secure> {
        let mut wire = TcpStream::connect(address)?;
        wire.set_nodelay(true)?;
        wire.set_read_timeout(Some(PATIENCE))?;
        wire.set_write_timeout(Some(PATIENCE))?;
        let (mut tls, mut first) = (self.hello(name), bytes.to_vec());
        if is_fused {
            tls.write_tls(&mut first)?;
        }
        wire.write_all(&first)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut wire)?;
        }
        Ok(Secure { inflow: Inflow::new(StreamOwned::new(tls, wire)) })
    }

    /// The client's side of a connection, not yet on any wire.
    pub fn hello(&self, name: &str) -> ClientConnection {
        let name = ServerName::try_from(name.to_owned()).expect("a name of a host");
        ClientConnection::new(self.config.clone(), name).expect("a good configuration")
    }
}

/// Keeps the sessions of all hosts in one drawer.
#[derive(Debug)]
struct OneDrawer(ClientSessionMemoryCache);

fn label() -> ServerName<'static> {
    ServerName::try_from("drawer").expect("a name")
}

impl ClientSessionStore for OneDrawer {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(label(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&label())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(label(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&label())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&label());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(label(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&label())
    }
}

/// A client whose handshake is done.
pub struct Secure {
    inflow: Inflow<StreamOwned<ClientConnection, TcpStream>>,
}

impl Secure {
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes it");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.inflow.from.write_all(bytes.as_ref())?;
        self.inflow.from.flush()
    }

    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.inflow.response(false).expect("an answer")
    }

    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.read_response()
    }

    /// A head without a body behind it, of this status.
    #[track_caller]
    pub fn read_response_head(&mut self, status: u16) {
        let head = self.inflow.until(b"\r\n\r\n").expect("a head");
        assert!(head.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{}", crate::support::shown(&head));
    }

    #[track_caller]
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        self.inflow.exactly(length).expect("so many bytes")
    }

    /// Everything to the end; an error if that comes without a goodbye.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = std::mem::take(&mut self.inflow.held);
        self.inflow.from.read_to_end(&mut all)?;
        Ok(all)
    }

    /// Says goodbye, and keeps the socket open.
    pub fn say_goodbye(&mut self) {
        self.inflow.from.conn.send_close_notify();
        let _ = self.inflow.from.flush();
    }

    /// What carries the bytes; nothing was read beyond what was asked for.
    pub fn into_stream(self) -> StreamOwned<ClientConnection, TcpStream> {
        assert!(self.inflow.held.is_empty(), "bytes that nobody has looked at");
        self.inflow.from
    }

    pub fn tls(&mut self) -> &mut ClientConnection {
        &mut self.inflow.from.conn
    }

    pub fn wire(&mut self) -> &mut TcpStream {
        &mut self.inflow.from.sock
    }

    /// Closes the socket's side without a goodbye.
    pub fn cut(&mut self) {
        let _ = self.inflow.from.sock.shutdown(Shutdown::Write);
    }

    pub fn is_resumed(&self) -> bool {
        self.inflow.from.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.inflow.from.conn.peer_certificates().expect("a server shows one")[0].clone()
    }
}
