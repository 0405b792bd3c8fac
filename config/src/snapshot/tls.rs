//! What a listener or a domain proves itself with. The snapshot names files; what was in them is read at each load and never written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::clients::MutualTls;

/// The part `tls`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tls {
    /// In the order of preference; never empty.
    pub certificates: Vec<CertificateFiles>,
    /// What is spoken.
    pub policy: TlsPolicy,
    /// What clients have to prove; `None`: nothing.
    pub clients: Option<MutualTls>,
}

/// A security policy (DM-08).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TlsPolicy {
    /// TLS 1.3 alone; otherwise 1.2 as well.
    pub only_1_3: bool,
    /// AES-GCM alone; otherwise ChaCha20-Poly1305 as well.
    pub only_aes: bool,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub certificate: FileRef,
    /// The private key, in PEM.
    pub key: FileRef,
    /// An OCSP answer, in DER.
    pub ocsp: Option<FileRef>,
}

/// A file, or a credential of the service manager.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FileRef {
    /// A path.
    Path(PathBuf),
    /// A name below `$CREDENTIALS_DIRECTORY`.
    Credential(Box<str>),
}

impl FileRef {
    /// Where the file is now; `None`: the service manager gave no credentials.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Path(path) => Some(path.clone()),
            Self::Credential(name) => {
                std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join(&**name))
            }
        }
    }
}

impl std::fmt::Display for FileRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

/// What was in the files.
pub struct Certificate {
    /// The chain and a key that fits it.
    pub certified: Arc<CertifiedKey>,
    /// The hosts that it is for, as it writes them.
    pub names: Vec<String>,
    /// From when it holds, in seconds since 1970.
    pub not_before: i64,
    /// Until when, likewise.
    pub not_after: i64,
    /// SHA-256 of all the files: two that are the same have the same.
    pub fingerprint: [u8; 32],
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// How servers are spoken to by TLS: whom they have to be, and who the gateway is to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UpstreamTls {
    /// Who is believed; `None`: whom the system believes.
    pub authorities: Option<FileRef>,
    /// The name that a certificate must have, also told to the server; `None`: the server's own.
    pub server_name: Option<Box<str>>,
    /// What the gateway proves itself with, to servers that ask (IN-19).
    pub client: Option<CertificateFiles>,
    /// Whoever issued a certificate; its name and its time still count (IN-15).
    pub any_issuer: bool,
    /// What is spoken.
    pub policy: TlsPolicy,
}

impl UpstreamTls {
    /// Every file that it names.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut FileRef> {
        let Self { authorities, client, .. } = self;
        let client = client.iter_mut().flat_map(|CertificateFiles { certificate, key, ocsp }| {
            [Some(certificate), Some(key), ocsp.as_mut()].into_iter().flatten()
        });
        authorities.iter_mut().chain(client)
    }
}

/// Who may have issued a server's certificate.
pub struct Authorities {
    /// Ready for use.
    pub roots: Arc<RootCertStore>,
    /// The same as they stand in the file: a server's own certificate may be among them.
    pub certificates: Vec<CertificateDer<'static>>,
    /// SHA-256 of the file.
    pub fingerprint: [u8; 32],
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorities").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

/// What was in the files, by the files.
pub type Certificates = BTreeMap<CertificateFiles, Arc<Certificate>>;

/// Who is believed, by the files.
pub type Trusted = BTreeMap<FileRef, Arc<Authorities>>;
