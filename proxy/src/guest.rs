//! Who a client is, by the certificate that it showed: what is asked of the clients of a host, and what became of it (DM-10).
//!
//! The handshake asks for a certificate, and for a proof that the client has its key; whether it is one to be trusted is judged here,
//! behind the handshake. So a client that may not pass is told 403 rather than an alert, as API Gateway does it, and a session that is
//! continued is judged like a new one: what was revoked meanwhile, or by a reload, does not pass any more.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use config::snapshot::{MutualTls, Truststore};
use config::{alt_names, x509};
use policy::authorize::mtls::MtlsRule;
use policy::client_certificate::{ClientCertificate, Unproven};
use policy::identity::Identity;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use crate::limits::IDENTITIES_OF_GUEST;

/// What is asked of the clients of a host.
pub struct Clients {
    store: Arc<Truststore>,
    optional: bool,
    chain: u8,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// Clients that prove themselves by this truststore.
    pub fn new(spec: &MutualTls, store: Arc<Truststore>) -> Clients {
        let algorithms = default_provider().signature_verification_algorithms;
        Clients { store, optional: spec.optional, chain: spec.chain, algorithms }
    }

    /// Whether a client may do without a certificate.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// Whom the truststore names.
    pub fn store(&self) -> &Truststore {
        &self.store
    }

    /// How signatures are verified.
    pub fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// Judges a certificate, and those that came with it.
    fn judge(&self, leaf: &CertificateDer<'_>, between: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Unproven> {
        let parsed = EndEntityCert::try_from(leaf).map_err(|_| Unproven::Unusable)?;
        if let Some(at) = self.store.certificates.iter().position(|known| known == leaf) {
            return self.judge_known(&parsed, at, now);
        }
        let lists: Vec<&CertRevocationList<'_>> = self.store.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
            let builder = builder.with_depth(RevocationCheckDepth::Chain);
            let builder = builder.with_status_policy(UnknownStatusPolicy::Deny);
            builder.with_expiration_policy(ExpirationPolicy::Enforce).build()
        });
        let is_good = |path: &VerifiedPath<'_>| self.accept(path, now);
        parsed
            .verify_for_usage(
                self.algorithms.all,
                &self.store.anchors,
                between,
                now,
                KeyUsage::client_auth(),
                revocation,
                Some(&is_good),
            )
            .map(|_| ())
            .map_err(|error| unproven(&error))
    }

    /// A certificate that stands in the truststore itself needs nobody to vouch for it.
    fn judge_known(&self, parsed: &EndEntityCert<'_>, at: usize, now: UnixTime) -> Result<(), Unproven> {
        let facts = self.store.trusted.get(at).ok_or(Unproven::Unusable)?;
        let seconds = now.as_secs().cast_signed();
        if seconds > facts.not_after {
            return Err(Unproven::Expired);
        }
        if seconds < facts.not_before {
            return Err(Unproven::NotYetValid);
        }
        let names_it = |list: &CertRevocationList<'_>| {
            list.issuer() == parsed.issuer() && !matches!(list.find_serial(parsed.serial()), Ok(None))
        };
        if self.store.lists.iter().any(names_it) { Err(Unproven::Revoked) } else { Ok(()) }
    }

    /// A chain has its length, and who is trusted has a time as well.
    fn accept(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        if path.intermediate_certificates().count() + 2 > self.chain.into() {
            return Err(webpki::Error::MaximumPathDepthExceeded);
        }
        let same = |anchor: &_| std::ptr::eq(anchor, path.anchor());
        let facts = self.store.anchors.iter().position(same).and_then(|at| self.store.trusted.get(at));
        let seconds = now.as_secs().cast_signed();
        if facts.is_some_and(|facts| (facts.not_before..=facts.not_after).contains(&seconds)) {
            Ok(())
        } else {
            Err(webpki::Error::UnknownIssuer)
        }
    }
}

fn unproven(error: &webpki::Error) -> Unproven {
    use webpki::Error;
    match error {
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::CaUsedAsEndEntity
        | Error::NameConstraintViolation
        | Error::EndEntityUsedAsCa => Unproven::Untrusted,
        Error::CertExpired { .. } | Error::InvalidCertValidity => Unproven::Expired,
        Error::CertNotValidYet { .. } => Unproven::NotYetValid,
        Error::CertRevoked => Unproven::Revoked,
        Error::UnknownRevocationStatus | Error::CrlExpired { .. } | Error::InvalidCrlSignatureForPublicKey => {
            Unproven::StatusUnknown
        }
        _ => Unproven::Unusable,
    }
}

/// The client at the other end of a connection whose host asks for certificates.
pub struct Guest {
    /// Whose terms the handshake had: a host or a pattern of the document; empty: the listener's.
    host: Box<str>,
    /// The name that the client asked for in its handshake, in lower case.
    name: Option<Box<str>>,
    /// What it showed, without its own certificate.
    between: Box<[CertificateDer<'static>]>,
    shown: Shown,
    /// By whom it was judged last, and how.
    judge: RefCell<Arc<Clients>>,
    verdict: Cell<Result<(), Unproven>>,
    /// What authorizers say of it, by the generation of the snapshot and the address of the rule in it.
    identities: RefCell<Vec<Judged>>,
}

/// Generation, address of the rule, and who it says that this is.
type Judged = (u64, usize, Option<Arc<Identity>>);

/// A client's own certificate.
enum Shown {
    Nothing,
    /// What cannot be told to anybody.
    Unreadable,
    Certificate {
        told: ClientCertificate,
        /// In seconds since 1970.
        not_after: i64,
    },
}

impl Guest {
    /// A client that has shown these certificates, its own first, in a handshake with this host.
    pub fn new(
        host: &str,
        name: Option<&str>,
        chain: &[CertificateDer<'static>],
        clients: &Arc<Clients>,
        now: Duration,
    ) -> Guest {
        let (leaf, between) = match chain {
            [leaf, between @ ..] => (Some(leaf), between),
            [] => (None, chain),
        };
        let guest = Guest {
            host: host.into(),
            name: name.map(|name| name.to_ascii_lowercase().into()),
            between: between.into(),
            shown: leaf.map_or(Shown::Nothing, |leaf| told(leaf).unwrap_or(Shown::Unreadable)),
            judge: RefCell::new(clients.clone()),
            verdict: Cell::new(Ok(())),
            identities: RefCell::default(),
        };
        guest.verdict.set(guest.judged(clients, now));
        guest
    }

    /// Whether the connection was made for this host: the pattern that the document has for it, and the name itself (T24).
    pub fn is_for(&self, pattern: &str, host: &[u8]) -> bool {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let is_name = self.name.as_ref().is_none_or(|name| name.as_bytes().eq_ignore_ascii_case(host));
        *self.host == *pattern && is_name
    }

    /// Whether it may pass where this is asked. It is judged again if that is something else than before.
    pub fn prove(&self, clients: &Arc<Clients>, now: Duration) -> Result<(), Unproven> {
        if !Arc::ptr_eq(&self.judge.borrow(), clients) {
            self.verdict.set(self.judged(clients, now));
            *self.judge.borrow_mut() = clients.clone();
        }
        match &self.shown {
            Shown::Nothing if clients.optional => Ok(()),
            // A connection may outlive the certificate that it was made with.
            Shown::Certificate { not_after, .. } if now.as_secs().cast_signed() > *not_after => Err(Unproven::Expired),
            _ => self.verdict.get(),
        }
    }

    fn judged(&self, clients: &Clients, now: Duration) -> Result<(), Unproven> {
        match &self.shown {
            Shown::Nothing => Err(Unproven::Missing),
            Shown::Unreadable => Err(Unproven::Unusable),
            Shown::Certificate { told, .. } => {
                let leaf = CertificateDer::from(&*told.der);
                clients.judge(&leaf, &self.between, UnixTime::since_unix_epoch(now))
            }
        }
    }

    /// What it showed, whether or not it is believed: for the log.
    pub fn shown(&self) -> Option<&ClientCertificate> {
        match &self.shown {
            Shown::Certificate { told, .. } => Some(told),
            Shown::Nothing | Shown::Unreadable => None,
        }
    }

    /// Who it is by the rule of an authorizer: found once for each connection. `None`: nobody who may call.
    pub fn identity(&self, rule: &MtlsRule, generation: u64) -> Option<Arc<Identity>> {
        let name = (generation, std::ptr::from_ref(rule).addr());
        let known = &mut *self.identities.borrow_mut();
        if let Some((_, _, identity)) = known.iter().find(|(made, rule, _)| (*made, *rule) == name) {
            return identity.clone();
        }
        let identity = self.proved().and_then(|shown| rule.decide(shown));
        known.retain(|(made, _, _)| *made == generation);
        known.truncate(IDENTITIES_OF_GUEST - 1);
        known.push((name.0, name.1, identity.clone()));
        identity
    }

    /// What it showed and is believed.
    pub fn proved(&self) -> Option<&ClientCertificate> {
        self.shown().filter(|_| self.verdict.get().is_ok())
    }
}

/// What is told of a certificate.
fn told(der: &CertificateDer<'_>) -> Option<Shown> {
    let facts = x509::facts(der)?;
    let told = ClientCertificate {
        der: der.as_ref().into(),
        subject: x509::name(facts.subject)?.into(),
        issuer: x509::name(facts.issuer)?.into(),
        serial_number: x509::serial_text(facts.serial).into(),
        not_before: x509::time_text(facts.not_before).into(),
        not_after: x509::time_text(facts.not_after).into(),
        alt_names: alt_names::of(&facts)?,
    };
    Some(Shown::Certificate { told, not_after: facts.not_after })
}
