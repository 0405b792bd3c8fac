//! Whether what a host shows leads to somebody whom clients know: to a root of this system's store, as the nearest guess of theirs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::snapshot::Certificate;
use config::x509;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::UnixTime;
use webpki::{EndEntityCert, KeyUsage};

/// Where a chain ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// At a root of the system.
    Root,
    /// At an authority that has certified itself, and that the system does not know.
    OwnAuthority,
    /// Nowhere: who has issued the last certificate is neither there nor known.
    Open {
        /// The name of that authority, as the certificate has it.
        issuer: String,
    },
    /// It leads to a root, and is not good for a server all the same: why.
    Unfit(String),
}

/// The roots of the system; `None`: none can be read.
pub fn system() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (added > 0).then_some(roots)
}

/// Where the chain of a certificate ends; `None`: it cannot be read.
pub fn end_of(certificate: &Certificate, roots: &RootCertStore) -> Option<End> {
    let (leaf, between) = certificate.certified.cert.split_first()?;
    let last = x509::facts(between.last().unwrap_or(leaf))?;
    let parsed = EndEntityCert::try_from(leaf).ok()?;
    let algorithms = default_provider().signature_verification_algorithms;
    // Its time is told elsewhere: judged by a moment of it, a chain is no worse for having ended.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let within = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    let within = within.clamp(certificate.not_before, certificate.not_after.max(certificate.not_before));
    let at = UnixTime::since_unix_epoch(Duration::from_secs(within.try_into().unwrap_or(0)));
    let usage = KeyUsage::server_auth();
    let judged = parsed.verify_for_usage(algorithms.all, &roots.roots, between, at, usage, None, None).map(|_| ());
    Some(match judged {
        Ok(()) => End::Root,
        Err(_) if last.issuer == last.subject => End::OwnAuthority,
        Err(webpki::Error::UnknownIssuer) => End::Open { issuer: x509::name(last.issuer)? },
        Err(error) => End::Unfit(format!("{error:?}")),
    })
}
