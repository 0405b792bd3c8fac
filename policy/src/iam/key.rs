//! What conditions and variables may ask of a request (POL-02).

use serde::{Deserialize, Serialize};

/// A condition key. Names have no case, those of tags included.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Key {
    /// `aws:CurrentTime`
    CurrentTime,
    /// `aws:EpochTime`
    EpochTime,
    /// `aws:Referer`
    Referer,
    /// `aws:SecureTransport`
    SecureTransport,
    /// `aws:SourceArn`: never has a value here.
    SourceArn,
    /// `aws:SourceIp`
    SourceIp,
    /// `aws:SourceVpc`: never has a value here.
    SourceVpc,
    /// `aws:SourceVpce`: never has a value here.
    SourceVpce,
    /// `aws:VpcSourceIp`: never has a value here.
    VpcSourceIp,
    /// `aws:UserAgent`
    UserAgent,
    /// `aws:TokenIssueTime`: never has a value here.
    TokenIssueTime,
    /// `aws:MultiFactorAuthPresent`: never has a value here.
    MultiFactorAuthPresent,
    /// `aws:MultiFactorAuthAge`: never has a value here.
    MultiFactorAuthAge,
    /// `aws:PrincipalAccount`
    PrincipalAccount,
    /// `aws:PrincipalArn`
    PrincipalArn,
    /// `aws:PrincipalOrgID`: never has a value here.
    PrincipalOrgId,
    /// `aws:PrincipalOrgPaths`: never has a value here.
    PrincipalOrgPaths,
    /// `aws:PrincipalTag/NAME`
    PrincipalTag(Box<str>),
    /// `aws:PrincipalType`
    PrincipalType,
    /// `aws:userid`
    UserId,
    /// `aws:username`
    UserName,
}

/// What kind of value a key has: which operators may look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Text,
    Address,
    Time,
    Number,
    Flag,
    /// Text that an operator takes for what it wants.
    Any,
}

const TAG: &str = "aws:principaltag/";

impl Key {
    /// Every key with its name; that of tags is followed by the tag's.
    pub const ALL: [(Self, &'static str); 20] = [
        (Self::CurrentTime, "aws:CurrentTime"),
        (Self::EpochTime, "aws:EpochTime"),
        (Self::Referer, "aws:Referer"),
        (Self::SecureTransport, "aws:SecureTransport"),
        (Self::SourceArn, "aws:SourceArn"),
        (Self::SourceIp, "aws:SourceIp"),
        (Self::SourceVpc, "aws:SourceVpc"),
        (Self::SourceVpce, "aws:SourceVpce"),
        (Self::VpcSourceIp, "aws:VpcSourceIp"),
        (Self::UserAgent, "aws:UserAgent"),
        (Self::TokenIssueTime, "aws:TokenIssueTime"),
        (Self::MultiFactorAuthPresent, "aws:MultiFactorAuthPresent"),
        (Self::MultiFactorAuthAge, "aws:MultiFactorAuthAge"),
        (Self::PrincipalAccount, "aws:PrincipalAccount"),
        (Self::PrincipalArn, "aws:PrincipalArn"),
        (Self::PrincipalOrgId, "aws:PrincipalOrgID"),
        (Self::PrincipalOrgPaths, "aws:PrincipalOrgPaths"),
        (Self::PrincipalType, "aws:PrincipalType"),
        (Self::UserId, "aws:userid"),
        (Self::UserName, "aws:username"),
    ];

    /// The key of this name.
    pub fn parse(name: &str) -> Option<Key> {
        if let Some((start, tag)) = name.split_at_checked(TAG.len())
            && start.eq_ignore_ascii_case(TAG)
        {
            return (!tag.is_empty()).then(|| Self::PrincipalTag(tag.into()));
        }
        let known = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        known.map(|(key, _)| key.clone())
    }

    /// Whether no request ever has a value for it: what would give it one is AWS's own (accounts, private links).
    pub const fn has_no_value(&self) -> bool {
        matches!(
            self,
            Self::SourceArn
                | Self::SourceVpc
                | Self::SourceVpce
                | Self::VpcSourceIp
                | Self::TokenIssueTime
                | Self::MultiFactorAuthPresent
                | Self::MultiFactorAuthAge
                | Self::PrincipalOrgId
                | Self::PrincipalOrgPaths
        )
    }

    pub(super) const fn nature(&self) -> Nature {
        match self {
            Self::CurrentTime | Self::EpochTime | Self::TokenIssueTime => Nature::Time,
            Self::SourceIp | Self::VpcSourceIp => Nature::Address,
            Self::SecureTransport | Self::MultiFactorAuthPresent => Nature::Flag,
            Self::MultiFactorAuthAge => Nature::Number,
            Self::PrincipalTag(_) => Nature::Any,
            Self::Referer
            | Self::SourceArn
            | Self::SourceVpc
            | Self::SourceVpce
            | Self::UserAgent
            | Self::PrincipalAccount
            | Self::PrincipalArn
            | Self::PrincipalOrgId
            | Self::PrincipalOrgPaths
            | Self::PrincipalType
            | Self::UserId
            | Self::UserName => Nature::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case() {
        for (key, name) in Key::ALL {
            assert_eq!(Key::parse(&name.to_uppercase()), Some(key.clone()), "{name}");
            assert_eq!(Key::parse(&name.to_lowercase()), Some(key), "{name}");
        }
        assert_eq!(Key::parse("AWS:PrincipalTag/Team"), Some(Key::PrincipalTag("Team".into())));
        for name in
            ["", "aws:", "aws:PrincipalTag/", "aws:PrincipalTag", "SourceIp", "aws:SourceIp ", "aws:RequestedRegion"]
        {
            assert_eq!(Key::parse(name), None, "{name}");
        }
    }
}
