//! What hosts prove themselves with: certificates and ticket keys, made for each snapshot.
//!
//! Each host has a configuration of its own, with ticket keys of its own: a session of one host is never continued at another, and
//! certificates that a reload leaves as they are keep their sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::snapshot::{Snapshot, Tls, TlsPolicy};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SupportedProtocolVersion, version};

use crate::limits::CERTIFICATES_TOLD_MAX;
use crate::observe::render::Page;

/// What the hosts of a snapshot prove themselves with.
#[derive(Default)]
pub struct Protected {
    listeners: BTreeMap<Tls, Arc<ServerConfig>>,
    /// By name in lower case; that of `*.example.com` is `*.example.com`.
    hosts: BTreeMap<Box<str>, Arc<ServerConfig>>,
    /// All of them, to be found again by the next snapshot.
    known: BTreeMap<Identity, Arc<ServerConfig>>,
}

/// Two that have the same may share sessions: whose they are (a host, or no host: a listener's), what is spoken, and the certificates.
type Identity = (Box<str>, TlsPolicy, Vec<[u8; 32]>);

impl Protected {
    /// What a snapshot's certificates are used with; as before where nothing of it has changed.
    pub fn new(snapshot: &Snapshot, before: Option<&Protected>) -> Protected {
        let mut made = Protected::default();
        for tls in snapshot.gateway.listen.iter().filter_map(|listener| listener.tls.as_ref()) {
            let config = made.find("", tls, snapshot, before);
            made.listeners.insert(tls.clone(), config);
        }
        for (host, tls) in &snapshot.protected {
            let config = made.find(host, tls, snapshot, before);
            made.hosts.insert(host.clone(), config);
        }
        made
    }

    fn find(&mut self, host: &str, tls: &Tls, snapshot: &Snapshot, before: Option<&Protected>) -> Arc<ServerConfig> {
        let certificates: Vec<_> =
            tls.certificates.iter().filter_map(|files| snapshot.certificates.get(files)).collect();
        let prints = certificates.iter().map(|certificate| certificate.fingerprint).collect();
        let identity = (host.into(), tls.policy, prints);
        let known = self.known.get(&identity).or_else(|| before?.known.get(&identity)).cloned();
        let config = known.unwrap_or_else(|| {
            let keys = certificates.iter().map(|certificate| certificate.certified.clone()).collect();
            Arc::new(server_config(keys, tls.policy))
        });
        self.known.insert(identity, config.clone());
        config
    }

    /// The name itself, then its wildcard, then the listener's own.
    pub fn choose(&self, name: Option<&str>, listener: &Tls) -> Option<Arc<ServerConfig>> {
        let of_host = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let wildcard = || self.hosts.get(&*format!("*.{}", name.split_once('.')?.1));
            self.hosts.get(&*name).or_else(wildcard)
        });
        of_host.or_else(|| self.listeners.get(listener)).cloned()
    }
}

/// Writes when each certificate ends. Those beyond a number are left out.
pub fn render(snapshot: &Snapshot, page: &mut Page) {
    if snapshot.certificates.is_empty() {
        return;
    }
    let name = "tollgate_tls_certificate_end_time_seconds";
    page.family(name, "gauge", "When a certificate that serves ends, Unix time.");
    for (files, read) in snapshot.certificates.iter().take(CERTIFICATES_TOLD_MAX) {
        page.sample(name, &[("certificate", &files.certificate.to_string())], read.not_after);
    }
    let name = "tollgate_tls_certificate_days_left";
    page.family(name, "gauge", "Whole days until a certificate that serves ends.");
    for (files, read) in snapshot.certificates.iter().take(CERTIFICATES_TOLD_MAX) {
        page.sample(name, &[("certificate", &files.certificate.to_string())], read.days_left());
    }
}

fn server_config(keys: Vec<Arc<CertifiedKey>>, policy: TlsPolicy) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider(policy)))
        .with_protocol_versions(versions(policy))
        .expect("the provider has suites of both versions");
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Keys(keys)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Sessions live in tickets alone: nothing is kept for a client that has left.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::error!(%error, "no ticket keys: sessions are not continued"),
    }
    config
}

/// The suites of a policy.
pub fn provider(policy: TlsPolicy) -> CryptoProvider {
    let mut provider = default_provider();
    if policy.only_aes {
        provider.cipher_suites.retain(|suite| !is_chacha(suite.suite()));
    }
    provider
}

/// The versions of a policy.
pub fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    if policy.only_1_3 { &BOTH[..1] } else { &BOTH }
}

fn is_chacha(suite: CipherSuite) -> bool {
    suite.as_str().is_some_and(|name| name.contains("CHACHA20"))
}

/// The keys of one host; a client gets the first that it can read.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let reads = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        // Where there is none, any will do: the handshake fails for want of a suite in common, and says so.
        self.0.iter().find(reads).or(self.0.first()).cloned()
    }
}
