//! Callers who have proved themselves by a certificate (beyond DM-10): which of them may call, and what they are called. That a certificate
//! is good was said before, by the truststore of the host.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::client_certificate::{AltKind, ClientCertificate};
use crate::identity::Identity;

/// Which certificates may call. Without an entry in any list, all that the truststore lets in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MtlsRule {
    /// Subjects, as `$context.identity.clientCert.subjectDN` shows them.
    pub subjects: Box<[Box<str>]>,
    /// Other names.
    pub names: Box<[NamePattern]>,
    /// SHA-256 of whole certificates.
    pub fingerprints: Box<[[u8; 32]]>,
    /// What the caller is called; `None`: its subject.
    pub principal: Option<AltKind>,
}

/// Another name of a certificate, or a pattern of such names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamePattern {
    kind: AltKind,
    text: Box<str>,
}

impl NamePattern {
    /// Reads `dns:`, `uri:`, `email:` or `ip:` and a name; without one of them, what the name looks like. In names of DNS a `*` in front
    /// stands for one label, in URIs one at the end for the rest of the path. `None`: it is none of these.
    pub fn parse(written: &str) -> Option<Self> {
        let kinds = [("dns:", AltKind::Dns), ("uri:", AltKind::Uri), ("email:", AltKind::Email), ("ip:", AltKind::Ip)];
        let is_it = |(start, _): &&(&str, _)| written.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start));
        let (kind, text) = match kinds.iter().find(is_it) {
            Some((start, kind)) => (*kind, written.get(start.len()..)?),
            None => (looks_like(written), written),
        };
        if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let stars = text.matches('*').count();
        let (text, is_pattern) = match kind {
            AltKind::Dns => {
                let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
                let rest = text.strip_prefix("*.");
                let is_pattern = stars == 1 && rest.is_some_and(|rest| rest.contains('.'));
                (text, is_pattern)
            }
            AltKind::Uri => (text.to_owned(), stars == 1 && wild_path(text).is_some()),
            AltKind::Email => (text.to_owned(), false),
            AltKind::Ip => (text.parse::<IpAddr>().ok()?.to_string(), false),
        };
        (stars == 0 || is_pattern).then(|| Self { kind, text: text.into() })
    }

    fn fits(&self, kind: AltKind, name: &str) -> bool {
        if self.kind != kind {
            return false;
        }
        match kind {
            AltKind::Dns => {
                let name = name.strip_suffix('.').unwrap_or(name);
                match self.text.strip_prefix('*') {
                    Some(rest) => {
                        let label = name.split('.').next().unwrap_or_default();
                        !label.is_empty() && name[label.len()..].eq_ignore_ascii_case(rest)
                    }
                    None => name.eq_ignore_ascii_case(&self.text),
                }
            }
            AltKind::Uri => match wild_path(&self.text) {
                Some(start) => name.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && !climbs(rest)),
                None => *name == *self.text,
            },
            // The part before the `@` is its host's matter (RFC 5321 §2.4).
            AltKind::Email => match (name.rsplit_once('@'), self.text.rsplit_once('@')) {
                (Some((a, host)), Some((b, other))) => a == b && host.eq_ignore_ascii_case(other),
                _ => false,
            },
            AltKind::Ip => *name == *self.text,
        }
    }

    /// As people write it.
    pub fn show(&self) -> String {
        let kind = match self.kind {
            AltKind::Dns => "dns",
            AltKind::Uri => "uri",
            AltKind::Email => "email",
            AltKind::Ip => "ip",
        };
        format!("{kind}:{}", self.text)
    }
}

/// What stands before the star of `spiffe://house/*`, which stands for one segment of the path at least.
fn wild_path(text: &str) -> Option<&str> {
    let start = text.strip_suffix('*')?;
    let (_, rest) = start.split_once("://")?;
    (rest.ends_with('/') && rest.len() > 1 && !rest.starts_with('/')).then_some(start)
}

/// Whether a path leads out of where it begins.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| segment == "." || segment == "..")
}

fn looks_like(text: &str) -> AltKind {
    if text.contains("://") || text.starts_with("urn:") {
        AltKind::Uri
    } else if text.contains('@') {
        AltKind::Email
    } else if text.parse::<IpAddr>().is_ok() {
        AltKind::Ip
    } else {
        AltKind::Dns
    }
}

impl MtlsRule {
    /// Who calls by this certificate; `None`: it is in no list, or lacks the name that callers are called by.
    pub fn decide(&self, shown: &ClientCertificate) -> Option<Arc<Identity>> {
        let fingerprint = digest(&SHA256, &shown.der);
        let is_open = self.subjects.is_empty() && self.names.is_empty() && self.fingerprints.is_empty();
        let is_listed = is_open
            || self.subjects.contains(&shown.subject)
            || self.fingerprints.iter().any(|known| known == fingerprint.as_ref())
            || shown.alt_names.iter().any(|(kind, name)| self.is_named(*kind, name));
        let principal = match self.principal {
            None => &shown.subject,
            Some(kind) => self.name_of(kind, shown)?,
        };
        is_listed.then(|| Arc::new(identity(principal, shown, HEXLOWER.encode(fingerprint.as_ref()))))
    }

    fn is_named(&self, kind: AltKind, name: &str) -> bool {
        self.names.iter().any(|pattern| pattern.fits(kind, name))
    }

    /// The first name of this kind; where the list asks for names of it, the first that is listed.
    fn name_of<'a>(&self, kind: AltKind, shown: &'a ClientCertificate) -> Option<&'a str> {
        let mut names = shown.alt_names.iter().filter(|(known, _)| *known == kind).map(|(_, name)| &**name);
        if self.names.iter().any(|pattern| pattern.kind == kind) {
            return names.find(|name| self.is_named(kind, name));
        }
        names.next()
    }
}

fn identity(principal: &str, shown: &ClientCertificate, fingerprint: String) -> Identity {
    let first = |kind: AltKind| shown.alt_names.iter().find(|(known, _)| *known == kind).map(|(_, name)| name.clone());
    let fields = [
        ("principalId", Some(principal.into())),
        ("clientCert.subjectDN", Some(shown.subject.clone())),
        ("clientCert.issuerDN", Some(shown.issuer.clone())),
        ("clientCert.serialNumber", Some(shown.serial_number.clone())),
        ("clientCert.fingerprint", Some(fingerprint.into())),
        ("clientCert.dns", first(AltKind::Dns)),
        ("clientCert.uri", first(AltKind::Uri)),
        ("clientCert.email", first(AltKind::Email)),
        ("clientCert.ip", first(AltKind::Ip)),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
    Identity { principal: principal.into(), fields: fields.collect(), ..Identity::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[(AltKind, &str)]) -> ClientCertificate {
        ClientCertificate {
            der: b"der".as_slice().into(),
            subject: "CN=door".into(),
            issuer: "CN=ca".into(),
            serial_number: "01".into(),
            not_before: "May 28 12:30:02 2019 GMT".into(),
            not_after: "Aug  5 09:36:04 2021 GMT".into(),
            alt_names: names.iter().map(|(kind, name)| (*kind, (*name).into())).collect(),
        }
    }

    fn rule(names: &[&str]) -> MtlsRule {
        let names = names.iter().map(|name| NamePattern::parse(name).expect(name)).collect();
        MtlsRule { names, ..MtlsRule::default() }
    }

    #[test]
    fn without_lists_everybody_passes_by_the_subject() {
        let identity = MtlsRule::default().decide(&certificate(&[])).unwrap();
        assert_eq!(&*identity.principal, "CN=door");
        assert_eq!(identity.field(b"clientCert.issuerDN"), Some("CN=ca"));
        let print = "ed3cc5d9cd1a9b5a6d3f7a3f0d4c1d6e";
        assert_ne!(identity.field(b"clientCert.fingerprint"), Some(print));
        assert_eq!(identity.field(b"clientCert.fingerprint").map(str::len), Some(64));
        assert_eq!(identity.field(b"clientCert.uri"), None);
    }

    #[test]
    fn any_list_lets_in() {
        let subjects = MtlsRule { subjects: ["CN=door".into()].into(), ..MtlsRule::default() };
        assert!(subjects.decide(&certificate(&[])).is_some());
        let others = MtlsRule { subjects: ["CN=Door".into()].into(), ..MtlsRule::default() };
        assert!(others.decide(&certificate(&[])).is_none());
        let print: [u8; 32] = digest(&SHA256, b"der").as_ref().try_into().unwrap();
        let mut prints = MtlsRule { fingerprints: [print].into(), ..others };
        assert!(prints.decide(&certificate(&[])).is_some());
        prints.fingerprints[0][0] ^= 1;
        assert!(prints.decide(&certificate(&[])).is_none());
    }

    #[test]
    fn names_and_patterns() {
        use AltKind::{Dns, Email, Ip, Uri};
        for (pattern, kind, name, fits) in [
            ("api.test", Dns, "API.test", true),
            ("api.test", Dns, "api.test.", true),
            ("api.test", Dns, "x.api.test", false),
            ("*.api.test", Dns, "x.Api.test", true),
            ("*.api.test", Dns, "api.test", false),
            ("*.api.test", Dns, ".api.test", false),
            ("*.api.test", Dns, "x.y.api.test", false),
            ("*.api.test", Uri, "x.api.test", false),
            ("dns:api.test", Dns, "api.test", true),
            ("spiffe://house/door", Uri, "spiffe://house/door", true),
            ("spiffe://house/door", Uri, "spiffe://house/door/2", false),
            ("spiffe://house/*", Uri, "spiffe://house/door/2", true),
            ("spiffe://house/*", Uri, "spiffe://house/", false),
            ("spiffe://house/*", Uri, "spiffe://house.evil/door", false),
            ("spiffe://house/a/*", Uri, "spiffe://house/a/../b", false),
            ("URI:urn:house:door", Uri, "urn:house:door", true),
            ("ann@house.test", Email, "ann@House.test", true),
            ("ann@house.test", Email, "Ann@house.test", false),
            ("ip:2001:db8::1", Ip, "2001:db8::1", true),
            ("10.0.0.1", Ip, "10.0.0.1", true),
            ("10.0.0.1", Dns, "10.0.0.1", false),
        ] {
            assert_eq!(rule(&[pattern]).decide(&certificate(&[(kind, name)])).is_some(), fits, "{pattern} {name}");
        }
        for wrong in [
            "",
            "dns:",
            "*",
            "*.test",
            "a*.api.test",
            "x.*.test",
            "spiffe://*",
            "spiffe://house*",
            "spiffe://house/*/x",
            "ip:house",
            "a b",
            "*@house.test",
            "uri:*",
            "file:///*",
        ] {
            assert_eq!(NamePattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn callers_are_called_by_the_name_that_is_listed() {
        use AltKind::{Dns, Uri};
        let shown = certificate(&[(Uri, "spiffe://other/x"), (Dns, "door.test"), (Uri, "spiffe://house/door")]);
        let called = |rule: &MtlsRule| rule.decide(&shown).map(|identity| identity.principal.to_string());
        let mut by_uri = rule(&["spiffe://house/*"]);
        by_uri.principal = Some(Uri);
        assert_eq!(called(&by_uri).as_deref(), Some("spiffe://house/door"));
        by_uri.names = Box::default();
        assert_eq!(called(&by_uri).as_deref(), Some("spiffe://other/x"), "the first, where none is listed");
        by_uri.principal = Some(AltKind::Email);
        assert_eq!(called(&by_uri), None, "it has no such name");
        let by_dns = MtlsRule { principal: Some(Dns), ..rule(&["spiffe://house/*"]) };
        assert_eq!(called(&by_dns).as_deref(), Some("door.test"));
    }
}
