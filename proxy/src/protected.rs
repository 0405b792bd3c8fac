//! What hosts prove themselves with: certificates and ticket keys, made for each snapshot.
//!
//! Each host has a configuration of its own, with ticket keys of its own: a session of one host is never continued at another, and
//! certificates that a reload leaves as they are keep their sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::covers;
use config::snapshot::{Certificate, Hsts, Manner, Snapshot, Tls, TlsPolicy};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, version,
};

use crate::guest::Clients;
use crate::host_map::HostMap;
use crate::limits::{
    CERTIFICATES_TOLD_MAX, CLIENT_CERTIFICATE_BYTES_MAX, CLIENT_CHAIN_BYTES_MAX, CLIENT_CHAIN_MAX, HINT_BYTES_MAX,
};
use crate::observe::render::Page;

/// What the hosts of a snapshot prove themselves with.
#[derive(Default)]
pub struct Protected {
    listeners: BTreeMap<Tls, Arc<Terms>>,
    hosts: HostMap<Arc<Terms>>,
    /// All of them, to be found again by the next snapshot.
    known: BTreeMap<Identity, Arc<Terms>>,
    /// Whether any of them asks clients for certificates.
    asks_clients: bool,
    manners: HostMap<Manner>,
}

/// On what terms a connection is made.
pub struct Terms {
    /// Whose they are, in lower case: `api.example.com`, `*.example.com`; empty: a listener's.
    pub host: Box<str>,
    /// What is shown and spoken.
    pub server: Arc<ServerConfig>,
    /// What clients have to prove; `None`: nothing.
    pub clients: Option<Arc<Clients>>,
    certificates: Vec<Arc<Certificate>>,
}

impl Terms {
    /// Whether what is shown is for this host as well: then a client may ask for it by the same connection (RFC 9113 §9.1.1).
    pub fn cover(&self, host: &[u8]) -> bool {
        let host = str::from_utf8(host).unwrap_or_default();
        self.certificates.iter().any(|certificate| covers(certificate, host))
    }
}

/// Two that have the same may share sessions: whose they are (a host, or no host: a listener's), what is spoken, the certificates, and
/// what clients have to prove (nginx CVE-2025-23419).
type Identity = (Box<str>, TlsPolicy, Vec<[u8; 32]>, Option<([u8; 32], bool, u8)>);

impl Protected {
    /// What a snapshot's certificates are used with; as before where nothing of it has changed.
    pub fn new(snapshot: &Snapshot, before: Option<&Protected>) -> Protected {
        let mut made = Protected::default();
        for tls in snapshot.gateway.listen.iter().filter_map(|listener| listener.tls.as_ref()) {
            let terms = made.find("", tls, snapshot, before);
            made.listeners.insert(tls.clone(), terms);
        }
        let of_host = |(host, tls): &(Box<str>, Tls)| (host.clone(), made.find(host, tls, snapshot, before));
        let hosts: Vec<_> = snapshot.protected.iter().map(of_host).collect();
        made.asks_clients = made.known.values().any(|terms| terms.clients.is_some());
        made.hosts = HostMap::new(hosts);
        made.manners = HostMap::new(snapshot.manners.iter().cloned());
        made
    }

    fn find(&mut self, host: &str, tls: &Tls, snapshot: &Snapshot, before: Option<&Protected>) -> Arc<Terms> {
        let certificates: Vec<_> =
            tls.certificates.iter().filter_map(|files| snapshot.certificates.get(files)).collect();
        let prints = certificates.iter().map(|certificate| certificate.fingerprint).collect();
        let asked = tls.clients.as_ref().and_then(|spec| Some((spec, snapshot.truststores.get(&spec.files)?)));
        let of_clients = asked.map(|(spec, store)| (store.fingerprint, spec.optional, spec.chain));
        let identity = (host.into(), tls.policy, prints, of_clients);
        let known = self.known.get(&identity).or_else(|| before?.known.get(&identity)).cloned();
        let terms = known.unwrap_or_else(|| {
            let keys = certificates.iter().map(|certificate| certificate.certified.clone()).collect();
            let clients = asked.map(|(spec, store)| Arc::new(Clients::new(spec, store.clone())));
            let server = Arc::new(server_config(keys, tls.policy, clients.as_ref()));
            let certificates = certificates.into_iter().cloned().collect();
            Arc::new(Terms { host: host.into(), server, clients, certificates })
        });
        self.known.insert(identity, terms.clone());
        terms
    }

    /// The terms for a name, in any case: its own, then those of its pattern, then the listener's.
    pub fn terms(&self, name: &[u8], listener: Option<&Tls>) -> Option<&Arc<Terms>> {
        self.hosts.get(name).or_else(|| self.listeners.get(listener?))
    }

    /// Whether there is any host that asks its clients for certificates.
    pub fn asks_clients(&self) -> bool {
        self.asks_clients
    }

    /// How a host tells its clients to use TLS.
    pub fn manner(&self, host: &[u8]) -> Option<&Manner> {
        if self.manners.is_empty() { None } else { self.manners.get(host) }
    }
}

/// What browsers are to remember (RFC 6797 §6.1).
pub fn write_hsts(hsts: Hsts, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Strict-Transport-Security: max-age=");
    out.extend_from_slice(itoa::Buffer::new().format(hsts.seconds).as_bytes());
    if hsts.include_subdomains {
        out.extend_from_slice(b"; includeSubDomains");
    }
    if hsts.preload {
        out.extend_from_slice(b"; preload");
    }
    out.extend_from_slice(b"\r\n");
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
    let lists = snapshot.truststores.iter().flat_map(|(files, store)| {
        store.revocation.iter().filter_map(|list| Some((files.revocation.get(list.file)?, list)))
    });
    let mut lists = lists.take(CERTIFICATES_TOLD_MAX).peekable();
    let name = "tollgate_tls_revocation_list_end_time_seconds";
    if lists.peek().is_some() {
        page.family(
            name,
            "gauge",
            "When a list of revoked certificates is out of date, Unix time; its clients are refused then.",
        );
    }
    for (file, list) in lists {
        let labels = [("list", &*file.to_string()), ("issuer", &*list.issuer)];
        page.sample(name, &labels, list.next_update.unwrap_or(i64::MAX));
    }
}

fn server_config(keys: Vec<Arc<CertifiedKey>>, policy: TlsPolicy, clients: Option<&Arc<Clients>>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider(policy)))
        .with_protocol_versions(versions(policy))
        .expect("the provider has suites of both versions");
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::new(Introduction::new(clients))),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Keys(keys)));
    if clients.is_some() {
        // It holds all that the client has shown.
        config.send_tls13_tickets = 1;
    }
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

/// Asks a client for its certificate, and has it prove that it has the key. Who it is matters behind the handshake.
struct Introduction {
    clients: Arc<Clients>,
    hints: Vec<DistinguishedName>,
}

impl Introduction {
    fn new(clients: &Arc<Clients>) -> Introduction {
        // Names of authorities help a client to choose; too many are none.
        let hints: Vec<_> =
            clients.store().anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject)).collect();
        let is_short = hints.iter().map(|name| name.as_ref().len() + 2).sum::<usize>() <= HINT_BYTES_MAX;
        Introduction { clients: clients.clone(), hints: if is_short { hints } else { Vec::new() } }
    }
}

impl std::fmt::Debug for Introduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introduction").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Introduction {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    /// What is kept as long as the connection, and in its tickets, has its bounds (row R05).
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = end_entity.len() + intermediates.iter().map(|der| der.len()).sum::<usize>();
        let is_bounded = end_entity.len() <= CLIENT_CERTIFICATE_BYTES_MAX
            && intermediates.len() < CLIENT_CHAIN_MAX
            && bytes <= CLIENT_CHAIN_BYTES_MAX;
        if is_bounded {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::BadEncoding))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.clients.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.clients.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.algorithms().supported_schemes()
    }
}
