//! TLS towards backends: whom the servers of each upstream have to be, and what it means when they are not.
//!
//! Each upstream has a configuration of its own, and with it sessions of its own. One whose identity changes (other authorities, another
//! certificate of ours) gets another one: no connection and no session is continued under it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use config::snapshot::{Protocol, ServerAddress, Snapshot, Upstream, UpstreamTls};
use config::source::x509;
use policy::fault::Fault;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use crate::body::is_timeout;
use crate::io::{RBuf, Session, Sock};
use crate::limits::SESSIONS_KEPT;
use crate::protected;

/// How the upstreams of a snapshot are spoken to.
#[derive(Default)]
pub struct Outbound {
    /// By number; `None`: in clear text.
    upstreams: Box<[Option<Arc<ClientConfig>>]>,
    /// All of them, to be found again by the next snapshot.
    known: BTreeMap<Identity, Arc<ClientConfig>>,
}

/// Two that have the same may share sessions: whose servers, what is wanted, and what was in the files.
type Identity = (Arc<str>, UpstreamTls, Protocol, Vec<[u8; 32]>);

impl Outbound {
    /// How a snapshot's upstreams are spoken to; as before where nothing of it has changed. Reads the system's authorities if one of
    /// them needs them.
    pub fn new(snapshot: &Snapshot, before: Option<&Outbound>) -> Outbound {
        let needs_system = |tls: &UpstreamTls| tls.authorities.is_none() && !tls.any_issuer;
        let mut all = snapshot.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref());
        let system = if all.any(needs_system) { system_roots() } else { System::unasked() };
        let mut known = BTreeMap::new();
        let mut find = |upstream: &Upstream| {
            let tls = upstream.tls.as_ref()?;
            let identity = identity(upstream, tls, snapshot, &system);
            let before = before.and_then(|before| before.known.get(&identity)).cloned();
            let config =
                before.unwrap_or_else(|| Arc::new(client_config(tls, upstream.protocol, snapshot, &system.roots)));
            known.insert(identity, config.clone());
            Some(config)
        };
        let upstreams = snapshot.upstreams.iter().map(&mut find).collect();
        Outbound { upstreams, known }
    }

    /// By the numbers of upstreams.
    pub fn all(&self) -> &[Option<Arc<ClientConfig>>] {
        &self.upstreams
    }
}

fn identity(upstream: &Upstream, tls: &UpstreamTls, snapshot: &Snapshot, system: &System) -> Identity {
    let mut prints = vec![match &tls.authorities {
        Some(file) => snapshot.trusted.get(file).map_or([0; 32], |authorities| authorities.fingerprint),
        None if tls.any_issuer => [0; 32],
        None => system.fingerprint,
    }];
    let client = tls.client.as_ref().and_then(|files| snapshot.certificates.get(files));
    prints.extend(client.map(|certificate| certificate.fingerprint));
    (upstream.name.clone(), tls.clone(), upstream.protocol, prints)
}

/// Whom the system believes.
struct System {
    roots: Arc<RootCertStore>,
    fingerprint: [u8; 32],
}

impl System {
    /// Nobody.
    fn unasked() -> System {
        System { roots: Arc::new(RootCertStore::empty()), fingerprint: [0; 32] }
    }
}

fn system_roots() -> System {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let mut digest = Sha256::new();
    found.certs.iter().for_each(|der| digest.update(der));
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::error!(%errors, "the system believes nobody: install its CA certificates, or name `ca` in `tls`");
    }
    System { roots: Arc::new(roots), fingerprint: digest.finalize().into() }
}

fn client_config(
    tls: &UpstreamTls,
    protocol: Protocol,
    snapshot: &Snapshot,
    system: &Arc<RootCertStore>,
) -> ClientConfig {
    let provider = Arc::new(protected::provider(tls.policy));
    let named = tls.authorities.as_ref().and_then(|file| snapshot.trusted.get(file));
    let roots = named.map_or(system, |authorities| &authorities.roots).clone();
    let judge = Judge {
        any_issuer: tls.any_issuer,
        pinned: named.map(|authorities| authorities.certificates.clone()).unwrap_or_default(),
        algorithms: provider.signature_verification_algorithms,
        // Without any root nobody is believed.
        chains: WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().ok(),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(protected::versions(tls.policy))
        .expect("the provider has suites of both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judge));
    let client = tls.client.as_ref().and_then(|files| snapshot.certificates.get(files));
    let mut config = match client {
        Some(certificate) => {
            let shown = Arc::new(rustls::sign::SingleCertAndKey::from(certificate.certified.clone()));
            builder.with_client_cert_resolver(shown)
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS_KEPT);
    let offered: &[&[u8]] = match protocol {
        Protocol::Http1 => &[b"http/1.1"],
        Protocol::Http2 => &[b"h2"],
        Protocol::Auto => &[b"h2", b"http/1.1"],
    };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    config
}

/// Decides whom a certificate makes its server.
#[derive(Debug)]
struct Judge {
    /// Whoever issued it (IN-15): its name, its time and a root in its chain still count.
    any_issuer: bool,
    /// Believed as they are, whatever else they may be.
    pinned: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    chains: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // `openssl req -x509` makes certificates that are their own authority: as such they cannot be a server's as well.
        if self.pinned.contains(certificate) {
            return holds(certificate, &[], name, now);
        }
        if self.any_issuer {
            let is_root =
                |der: &CertificateDer<'_>| x509::facts(der).is_some_and(|facts| facts.issuer == facts.subject);
            if !std::iter::once(certificate).chain(issuers).any(is_root) {
                return Err(CertificateError::UnknownIssuer.into());
            }
            return holds(certificate, issuers, name, now);
        }
        let chains = self.chains.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        chains.verify_server_cert(certificate, issuers, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate has this name, and whether it and its issuers hold now; whoever they are.
fn holds(
    certificate: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    let now = now.as_secs().cast_signed();
    for der in std::iter::once(certificate).chain(issuers) {
        let facts = x509::facts(der).ok_or(CertificateError::BadEncoding)?;
        if now < facts.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > facts.not_after {
            return Err(CertificateError::Expired.into());
        }
    }
    Ok(ServerCertVerified::assertion())
}

/// How one server is spoken to.
#[derive(Clone, Debug)]
pub struct Secure {
    config: Arc<ClientConfig>,
    /// Whom its certificate has to name.
    pub name: ServerName<'static>,
}

impl Secure {
    /// For a server of an upstream, by the address that it was given.
    pub fn new(config: &Arc<ClientConfig>, upstream: &Upstream, address: &ServerAddress) -> Secure {
        let named = upstream.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        let name = match (named, address) {
            (Some(name), _) => ServerName::try_from(name).ok(),
            (None, ServerAddress::Name { host, .. }) => ServerName::try_from(&**host).ok(),
            (None, ServerAddress::Socket(address)) => Some(ServerName::from(address.ip())),
            (None, ServerAddress::Unix(_)) => ServerName::try_from(&*upstream.name).ok(),
        };
        // What no certificate can name is nobody: `check` has said so.
        let name = name.map(|name| name.to_owned());
        let nobody = || ServerName::try_from("invalid").expect("a name");
        Secure { config: config.clone(), name: name.unwrap_or_else(nobody) }
    }

    /// Whether connections of the one may be used for the other.
    pub fn is_same(&self, other: &Secure) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }

    /// The handshake on a new connection.
    pub async fn shake(&self, sock: &Sock, within: Duration) -> Result<(), Fault> {
        let connection = ClientConnection::new(self.config.clone(), self.name.clone());
        // It fails only for what no configuration of ours has.
        let connection = connection.map_err(|error| fault(&error))?;
        sock.set_deadline(Some(within));
        sock.secure(Session::new(connection), RBuf::empty());
        let shaken = sock.handshake().await.map_err(|error| match cause(&error) {
            Some(error) => fault(error),
            None if is_timeout(&error) => Fault::ConnectTimedOut,
            None => Fault::TlsFailed,
        });
        sock.set_deadline(None);
        shaken
    }
}

/// What TLS itself says of an error of a socket.
pub fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What a handshake that fails means.
pub fn fault(error: &rustls::Error) -> Fault {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Fault::TlsNameMismatch,
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                Fault::TlsExpired
            }
            _ => Fault::TlsUntrusted,
        },
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            Fault::TlsRefused
        }
        _ => Fault::TlsFailed,
    }
}

/// Whether an error is the server's word that it does not take our certificate, or wants one. In TLS 1.3 it comes behind a handshake
/// that was done for us: the server has read nothing of what was asked.
pub fn is_refusal(error: &io::Error) -> bool {
    use AlertDescription as Alert;
    let Some(rustls::Error::AlertReceived(alert)) = cause(error) else { return false };
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::HandshakeFailure
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_fault() {
        let name = || ServerName::try_from("a.test").unwrap();
        let bad = |bad: CertificateError| fault(&bad.into());
        assert_eq!(bad(CertificateError::UnknownIssuer), Fault::TlsUntrusted);
        assert_eq!(bad(CertificateError::BadSignature), Fault::TlsUntrusted);
        assert_eq!(bad(CertificateError::Expired), Fault::TlsExpired);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        assert_eq!(bad(CertificateError::NotValidYetContext { time, not_before: time }), Fault::TlsExpired);
        let presented = Vec::new();
        assert_eq!(
            bad(CertificateError::NotValidForNameContext { expected: name(), presented }),
            Fault::TlsNameMismatch
        );
        assert_eq!(fault(&rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)), Fault::TlsRefused);
        assert_eq!(fault(&rustls::Error::HandshakeNotComplete), Fault::TlsFailed);
    }

    #[test]
    fn only_words_about_certificates_are_refusals() {
        let said = |alert| io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
        assert!(is_refusal(&said(AlertDescription::CertificateRequired)));
        assert!(!is_refusal(&said(AlertDescription::InternalError)), "it may have acted");
        assert!(!is_refusal(&io::ErrorKind::InvalidData.into()));
    }
}
