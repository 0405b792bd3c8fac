//! What a policy is asked about.

use std::io::Write as _;
use std::net::IpAddr;

use router::Kind;

use super::date;
use super::key::Key;
use crate::facts::Facts;

/// What someone wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(u8)]
pub enum Action {
    /// `execute-api:Invoke`: call a method.
    #[default]
    Invoke,
    /// `execute-api:InvalidateCache`: have a method answered anew.
    InvalidateCache,
    /// `execute-api:ManageConnections`: send to a WebSocket.
    ManageConnections,
}

impl Action {
    /// Every action, with its name in lower case.
    pub(super) const ALL: [(Self, &'static str); 3] = [
        (Self::Invoke, "execute-api:invoke"),
        (Self::InvalidateCache, "execute-api:invalidatecache"),
        (Self::ManageConnections, "execute-api:manageconnections"),
    ];

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A request as policies see it; all of it is borrowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// What is to be done.
    pub action: Action,
    /// To what: `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{VERB}/{path}`.
    pub resource: &'a [u8],
    /// `aws:CurrentTime` and `aws:EpochTime`, in milliseconds since 1970.
    pub time_epoch_ms: u64,
    /// `aws:SourceIp`; `None`: a peer of a Unix socket.
    pub source_ip: Option<IpAddr>,
    /// `aws:SecureTransport`: whether it came by TLS.
    pub tls: bool,
    /// `aws:Referer`
    pub referer: Option<&'a [u8]>,
    /// `aws:UserAgent`
    pub user_agent: Option<&'a [u8]>,
    /// Who signed it; `None`: anonymous.
    pub who: Option<Who<'a>>,
}

/// Who asks, in the words of IAM.
#[derive(Debug, Clone, Copy, Default)]
pub struct Who<'a> {
    /// The ARN of the caller: `arn:aws:iam::123456789012:user/rex`, or of the session of a role.
    pub arn: &'a str,
    /// `aws:PrincipalArn`: for a session the ARN of its role, otherwise as `arn`.
    pub principal_arn: &'a str,
    /// `aws:PrincipalAccount`: twelve digits.
    pub account: &'a str,
    /// `aws:PrincipalType`: `User`, `AssumedRole` …
    pub kind: &'a str,
    /// `aws:userid`
    pub user_id: &'a str,
    /// `aws:username`; only users have one.
    pub user_name: Option<&'a str>,
    /// `aws:PrincipalTag/NAME`
    pub tags: &'a [(Box<str>, Box<str>)],
}

/// Writes `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{VERB}/{path}`, of a WebSocket `…/{stage}/$connect`. The path is the
/// canonical one, without slashes at its end, and nothing escaped in it that needs no escape.
pub fn write_arn(facts: &Facts<'_>, kind: Kind, region: &str, account: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"arn:aws:execute-api:");
    out.extend_from_slice(region.as_bytes());
    out.push(b':');
    out.extend_from_slice(account);
    out.push(b':');
    out.extend_from_slice(facts.api_id);
    out.push(b'/');
    out.extend_from_slice(facts.stage);
    out.push(b'/');
    if kind == Kind::WebSocket {
        out.extend_from_slice(b"$connect");
        return;
    }
    out.extend_from_slice(facts.method());
    out.push(b'/');
    write_path(facts.api_path(), out);
}

/// The path in the one form in which a policy can name it: escapes of unreserved bytes mean the bytes (RFC 3986 §6.2.2.2), and as routing
/// passes over slashes at the end, so do policies. Otherwise `/admin/` or `/%61dmin` would be what no statement denies.
fn write_path(path: &[u8], out: &mut Vec<u8>) {
    let mut rest = path.strip_prefix(b"/").unwrap_or(path);
    while let Some(shorter) = rest.strip_suffix(b"/") {
        rest = shorter;
    }
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => (*high as char).to_digit(16).zip((*low as char).to_digit(16)),
            _ => None,
        };
        let byte = escaped.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        let plain = byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        out.push(plain.unwrap_or(first));
        rest = if plain.is_some() { &rest[3..] } else { behind };
    }
}

/// Writes that a caller may not (A-13): of the account its last four digits.
pub fn write_denial(
    facts: &Facts<'_>,
    kind: Kind,
    (region, account): (&str, &str),
    who: Option<&str>,
    is_explicit: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"User: ");
    out.extend_from_slice(who.unwrap_or("anonymous").as_bytes());
    out.extend_from_slice(b" is not authorized to perform: execute-api:Invoke on resource: ");
    let mut masked = *b"********0000";
    let last = account.as_bytes();
    masked[8..].copy_from_slice(last.last_chunk::<4>().unwrap_or(b"0000"));
    write_arn(facts, kind, region, &masked, out);
    if is_explicit {
        out.extend_from_slice(b" with an explicit deny");
    }
}

/// Room for a value as text: the longest is an address of IPv6 in its longest form.
pub(super) struct Buffer([u8; 46]);

impl Buffer {
    pub const fn new() -> Self {
        Self([0; 46])
    }
}

/// What a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    Address(IpAddr),
    /// Milliseconds since 1970, shown as a date.
    Date(u64),
    /// The same, shown as a number of seconds.
    Epoch(u64),
    Flag(bool),
}

impl<'a> Request<'a> {
    pub(super) fn value(&self, key: &Key) -> Option<Value<'a>> {
        let text = |text: &'a str| Some(Value::Text(text.as_bytes()));
        let of = self.who.as_ref();
        match key {
            Key::CurrentTime => Some(Value::Date(self.time_epoch_ms)),
            Key::EpochTime => Some(Value::Epoch(self.time_epoch_ms)),
            Key::SourceIp => self.source_ip.map(|ip| Value::Address(ip.to_canonical())),
            Key::SecureTransport => Some(Value::Flag(self.tls)),
            Key::Referer => self.referer.map(Value::Text),
            Key::UserAgent => self.user_agent.map(Value::Text),
            Key::PrincipalAccount => text(of?.account),
            Key::PrincipalArn => text(of?.principal_arn),
            Key::PrincipalType => text(of.map_or("Anonymous", |who| who.kind)),
            Key::UserId => text(of.map_or("anonymous", |who| who.user_id)),
            Key::UserName => text(of?.user_name?),
            Key::PrincipalTag(name) => {
                let tag = of?.tags.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(name));
                tag.and_then(|(_, value)| text(value))
            }
            Key::SourceArn
            | Key::SourceVpc
            | Key::SourceVpce
            | Key::VpcSourceIp
            | Key::TokenIssueTime
            | Key::MultiFactorAuthPresent
            | Key::MultiFactorAuthAge
            | Key::PrincipalOrgId
            | Key::PrincipalOrgPaths => None,
        }
    }
}

impl<'a> Value<'a> {
    /// As text, in the buffer where it is none.
    pub fn text(self, buffer: &'a mut Buffer) -> &'a [u8] {
        let room = buffer.0.len();
        let mut out = &mut buffer.0[..];
        let fits = match self {
            Self::Text(text) => return text,
            Self::Flag(true) => return b"true",
            Self::Flag(false) => return b"false",
            Self::Address(ip) => write!(out, "{ip}"),
            Self::Date(ms) => date::write(ms / 1_000, &mut out),
            Self::Epoch(ms) => write!(out, "{}", ms / 1_000),
        };
        debug_assert!(fits.is_ok(), "the buffer has room for each of them");
        let left = out.len();
        &buffer.0[..room - left]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a13_denials_mask_the_account() {
        let scene = crate::tests::Scene::get("/{proxy+}", "/%61/b%20c/", "");
        let said = |who, explicit| {
            let mut out = Vec::new();
            write_denial(&scene.facts(), Kind::Rest, ("r", "123456789012"), who, explicit, &mut out);
            String::from_utf8(out).expect("text")
        };
        let (api, stage) = (scene.facts().api_id, scene.facts().stage);
        let (api, stage) = (str::from_utf8(api).expect("text"), str::from_utf8(stage).expect("text"));
        let on =
            format!("execute-api:Invoke on resource: arn:aws:execute-api:r:********9012:{api}/{stage}/GET/a/b%20c");
        assert_eq!(said(None, false), format!("User: anonymous is not authorized to perform: {on}"));
        let rex = format!("User: arn:rex is not authorized to perform: {on} with an explicit deny");
        assert_eq!(said(Some("arn:rex"), true), rex);
    }

    #[test]
    fn values_have_room_as_text() {
        let far = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".parse().expect("an address");
        for (value, text) in [
            (Value::Address(far), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            (Value::Date(1_500_000_000_123), "2017-07-14T02:40:00Z"),
            (Value::Epoch(1_500_000_000_123), "1500000000"),
            (Value::Epoch(u64::MAX), "18446744073709551"),
            (Value::Flag(true), "true"),
            (Value::Text(b"x"), "x"),
        ] {
            assert_eq!(value.text(&mut Buffer::new()).escape_ascii().to_string(), text);
        }
        assert!(!Value::Date(u64::MAX).text(&mut Buffer::new()).is_empty());
    }
}
