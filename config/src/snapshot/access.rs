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

/// What requests to Lambda's Invoke API are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSigner {
    /// For which region.
    pub region: Box<str>,
    /// The id of the key.
    pub access_key: AccessKey,
    /// Where its secret is.
    pub secret: SecretRef,
    /// Where the token of its session is.
    pub session_token: Option<SecretRef>,
}

impl CallSigner {
    /// All that is read at each load.
    pub fn secrets_mut(&mut self) -> [Option<&mut SecretRef>; 3] {
        let access_key = match &mut self.access_key {
            AccessKey::Plain(_) => None,
            AccessKey::Read(secret) => Some(secret),
        };
        [access_key, Some(&mut self.secret), self.session_token.as_mut()]
    }
}

/// The id of a key, which is no secret but often stands beside one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKey {
    /// As written.
    Plain(Box<str>),
    /// It is read at each load.
    Read(SecretRef),
}

/// The same, read. A compiled file has none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct CallKeys {
    /// The id of the key.
    pub access_key: Vec<u8>,
    /// What is signed with, and the token of the session.
    pub secret: SignerSecret,
}

impl std::fmt::Debug for CallKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallKeys")
    }
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
