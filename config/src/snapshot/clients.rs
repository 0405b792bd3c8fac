//! What is asked of clients that prove themselves by certificates (DM-10). The snapshot names files; what was in them is read at each load
//! and never written.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, TrustAnchor};
use serde::{Deserialize, Serialize};
use webpki::CertRevocationList;

use super::tls::FileRef;

/// The part `mutual_tls`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MutualTls {
    /// Whom to trust.
    pub files: TrustFiles,
    /// Whether a client without a certificate may pass. One with a bad one may not.
    pub optional: bool,
    /// Certificates from the client's to the trusted one, both counted.
    pub chain: u8,
}

/// Where trusted and revoked certificates are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrustFiles {
    /// Certificates in PEM.
    pub truststore: FileRef,
    /// Lists of revoked certificates, in PEM or DER. With any, each authority of a chain needs one.
    pub revocation: Vec<FileRef>,
}

/// What was in the files.
#[derive(Default)]
pub struct Truststore {
    /// Whoever was certified by one of them is trusted.
    pub anchors: Vec<TrustAnchor<'static>>,
    /// The same as certificates: who shows one of them itself is trusted as well.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Revoked certificates.
    pub lists: Vec<CertRevocationList<'static>>,
    /// About the certificates, in their order.
    pub trusted: Vec<TrustedFacts>,
    /// About the lists, in their order.
    pub revocation: Vec<RevocationFacts>,
    /// Certificates that cannot be used, by their place in the file, from 1.
    pub unusable: Vec<usize>,
    /// SHA-256 of all the files: two that are the same have the same.
    pub fingerprint: [u8; 32],
}

/// About a trusted certificate.
#[derive(Debug, Clone)]
pub struct TrustedFacts {
    /// Whose it is, as text.
    pub subject: String,
    /// The same in DER, without the outermost tag.
    pub subject_der: Box<[u8]>,
    /// From when it holds, in seconds since 1970.
    pub not_before: i64,
    /// Until when, likewise.
    pub not_after: i64,
}

/// About a list of revoked certificates.
#[derive(Debug, Clone)]
pub struct RevocationFacts {
    /// Which of the files it is in.
    pub file: usize,
    /// Who issued it, as text.
    pub issuer: String,
    /// The same in DER, without the outermost tag.
    pub issuer_der: Box<[u8]>,
    /// From when it is, in seconds since 1970.
    pub this_update: i64,
    /// Until when it counts, likewise.
    pub next_update: Option<i64>,
}

/// How clients are told to use TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// The port that those who come without TLS are sent to; `None`: they are answered.
    pub redirect: Option<u16>,
    /// What answers under TLS tell browsers.
    pub hsts: Option<Hsts>,
}

/// The part `hsts` (RFC 6797).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    /// How long it is remembered.
    pub seconds: u64,
    /// For all names below as well.
    pub include_subdomains: bool,
    /// Whether browsers may have it built in.
    pub preload: bool,
}

impl std::fmt::Debug for Truststore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Truststore")
            .field("trusted", &self.trusted)
            .field("revocation", &self.revocation)
            .finish_non_exhaustive()
    }
}

/// What was in the files, by the files.
pub type Truststores = BTreeMap<TrustFiles, Arc<Truststore>>;
