//! Who may call an API, by policies.

use policy::iam::Policy;
use serde::{Deserialize, Serialize};

use super::{Line, SecretRef};

/// A resource policy, compiled (POL-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// What it says.
    pub policy: Policy,
    /// Where it was written.
    pub line: Line,
}

/// Who may sign requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The id of its key.
    pub access_key: Box<str>,
    /// Where its secret is.
    pub secret: SecretRef,
    /// Where the token of its session is; `None`: it has none, and may show none.
    pub session_token: Option<SecretRef>,
    /// `arn:aws:iam::123456789012:user/ci`, or of the session of a role.
    pub arn: Box<str>,
    /// Of a session that of its role.
    pub principal_arn: Box<str>,
    /// Twelve digits.
    pub account: Box<str>,
    /// `User`, `AssumedRole`, `Account`
    pub kind: Box<str>,
    /// `aws:userid`
    pub user_id: Box<str>,
    /// `aws:username`; only users have one.
    pub user_name: Option<Box<str>>,
    /// `aws:PrincipalTag/NAME`
    pub tags: Box<[(Box<str>, Box<str>)]>,
    /// What it may do.
    pub policy: Policy,
}

/// What a principal signs with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SignerSecret {
    /// The secret.
    pub key: Vec<u8>,
    /// The token of its session.
    pub token: Option<Vec<u8>>,
}

impl std::fmt::Debug for SignerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignerSecret")
    }
}
