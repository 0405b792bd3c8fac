//! Where a secret is. What it is stands in no snapshot and in no compiled file.

use serde::{Deserialize, Serialize};

use super::tls::FileRef;

/// A file, a credential of the service manager, or a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretRef {
    /// `${file:path}`, `${credential:name}`
    File(FileRef),
    /// `${env:NAME}`
    Env(Box<str>),
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}
