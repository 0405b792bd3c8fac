//! What a listener or a domain proves itself with. The snapshot names files; what was in them is read at each load and never written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

/// The part `tls`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tls {
    /// In the order of preference; never empty.
    pub certificates: Vec<CertificateFiles>,
    /// What is spoken.
    pub policy: TlsPolicy,
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

/// What was in the files, by the files.
pub type Certificates = BTreeMap<CertificateFiles, Arc<Certificate>>;
