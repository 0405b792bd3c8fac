//! Who decides on the callers of an API, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::authorize::basic::users::Users;
use policy::authorize::jwk::KeySet;
use policy::authorize::jwt::Rules;
use policy::authorize::lambda::LambdaRule;
use policy::authorize::mtls::MtlsRule;
use policy::authorize::token_source::TokenSource;
use serde::{Deserialize, Serialize};

use super::answers::Line;
use super::tls::Authorities;

/// An authorizer of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorizer {
    /// Its name in the document: what is remembered of it outlives a reload under this name, beside the API's id.
    pub name: Box<str>,
    /// Where it stands, for people.
    pub line: Line,
    /// How it decides.
    pub rule: AuthorizerRule,
}

/// How an authorizer decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizerRule {
    /// A function, or an HTTP endpoint, is asked.
    Lambda(Box<LambdaRule>),
    /// By a token.
    Jwt(Box<JwtRule>),
    /// By a name and a password.
    Basic(Box<BasicRule>),
    /// By the certificate that the client has proved itself with.
    Mtls(Box<MtlsRule>),
}

/// An authorizer for names and passwords (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicRule {
    /// The field line that asks for them.
    pub challenge: Box<str>,
    /// What browsers show.
    pub realm: Box<str>,
    /// Who may call.
    pub users: UsersFrom,
    /// Whether the backend gets the field as well.
    pub forward: bool,
}

/// Where names and passwords are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsersFrom {
    /// A file of `htpasswd`, as it was written: relative to the document, or to the compiled file.
    pub file: Option<Box<str>>,
    /// Names, each with a hash or where that is, as written.
    pub named: Box<[(Box<str>, Box<str>)]>,
}

impl std::fmt::Debug for UsersFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UsersFrom({:?}, {} named)", self.file, self.named.len())
    }
}

/// Who may call, by where that is written.
pub type UserLists = BTreeMap<UsersFrom, Arc<Users>>;

/// An authorizer for tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwtRule {
    /// Where requests have it.
    pub source: TokenSource,
    /// What it must say.
    pub rules: Rules,
    /// Where the keys of each issuer are.
    pub keys: Box<[KeySource]>,
    /// How long fetched keys are used without asking again.
    pub kept: Duration,
    /// How much longer, while nobody can be asked.
    pub stale: Duration,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeySource {
    /// Where the discovery document of this issuer says; who the issuer is, the authorities of this file say, or those of the system.
    Discovery(Box<str>, Option<Box<str>>),
    /// At this address, likewise.
    Url(Box<str>, Option<Box<str>>),
    /// In this file, as it was written: relative to the document, or to the compiled file.
    File(Box<str>),
}

impl KeySource {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File(file) => Some(file),
            Self::Discovery(..) | Self::Url(..) => None,
        }
    }

    /// The file of the authorities by whom whoever has the keys is believed; `None`: those of the system.
    pub fn authorities(&self) -> Option<&str> {
        match self {
            Self::Discovery(_, file) | Self::Url(_, file) => file.as_deref(),
            Self::File(_) => None,
        }
    }
}

/// What was in the files, by the files as they were written.
pub type KeySets = BTreeMap<Box<str>, Arc<KeySet>>;

/// By whom issuers are believed, by the files as they were written.
pub type KeyAuthorities = BTreeMap<Box<str>, Arc<Authorities>>;
