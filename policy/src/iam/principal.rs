//! Who is meant by `Principal` and `NotPrincipal`.

use serde::{Deserialize, Serialize};

use super::request::Who;

/// Whom a statement means. In a policy of a principal's own nobody is named: it is about its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Principals {
    /// Whether all but these are meant.
    pub negated: bool,
    pub list: Box<[Principal]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Principal {
    /// `*`: whoever comes, anonymous or not.
    Everybody,
    /// Twelve digits, or `arn:aws:iam::123456789012:root`: whoever is of this account.
    Account(Box<str>),
    /// A user, a role, or the session of one.
    Arn(Box<str>),
    /// A service of AWS, an identity provider: nobody who comes here is one.
    Nobody,
}

impl Principals {
    /// Whoever asks.
    pub fn everybody() -> Principals {
        Principals { negated: false, list: Box::new([Principal::Everybody]) }
    }

    pub fn mean(&self, who: Option<&Who<'_>>) -> bool {
        self.list.iter().any(|principal| principal.means(who)) != self.negated
    }
}

impl Principal {
    /// Reads one of `AWS`.
    pub fn parse(text: &str) -> Option<Principal> {
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if text == "*" {
            return Some(Self::Everybody);
        }
        if is_account(text) {
            return Some(Self::Account(text.into()));
        }
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (Some("arn"), Some(_), Some("iam" | "sts"), Some(""), Some(account), Some(name)) =
            (next(), next(), next(), next(), next(), next())
        else {
            return None;
        };
        if !is_account(account) || name.contains(['*', '?']) {
            return None;
        }
        match name {
            "" => None,
            "root" => Some(Self::Account(account.into())),
            _ => Some(Self::Arn(text.into())),
        }
    }

    fn means(&self, who: Option<&Who<'_>>) -> bool {
        match (self, who) {
            (Self::Everybody, _) => true,
            (Self::Account(account), Some(who)) => **account == *who.account,
            (Self::Arn(arn), Some(who)) => **arn == *who.arn || **arn == *who.principal_arn,
            (Self::Nobody, _) | (_, None) => false,
        }
    }
}
