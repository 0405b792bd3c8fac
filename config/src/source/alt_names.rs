//! The other names of a certificate: `subjectAltName` (RFC 5280 §4.2.1.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use policy::client_certificate::AltKind;
use policy::limits::{ALT_NAME_BYTES_MAX, ALT_NAMES_MAX};

use super::x509::{Facts, element, expect};

const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const SEQUENCE: u8 = 0x30;
/// `extensions [3] EXPLICIT`
const EXTENSIONS: u8 = 0xa3;
/// `id-ce-subjectAltName`
const SUBJECT_ALT_NAME: &[u8] = b"\x55\x1d\x11";

/// Names with their kinds.
pub type Names = Box<[(AltKind, Box<str>)]>;

/// The names, in order; those of other kinds, and those that are not plain text, are left out. `None`: what stands there is no list of names,
/// or a longer one than anybody has.
pub fn of(facts: &Facts<'_>) -> Option<Names> {
    let Some(list) = find(facts.rest)? else { return Some(Box::default()) };
    let (mut rest, after) = expect(list, SEQUENCE)?;
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (tag, value, more) = element(rest)?;
        rest = more;
        if names.len() >= ALT_NAMES_MAX || value.len() > ALT_NAME_BYTES_MAX {
            return None;
        }
        names.extend(name(tag, value));
    }
    after.is_empty().then(|| names.into())
}

/// The list of names in what follows the subject; `Some(None)`: it has none.
#[allow(clippy::option_option, reason = "nothing there, and nothing that can be read, are two things")]
fn find(rest: &[u8]) -> Option<Option<&[u8]>> {
    let (_key, mut rest) = expect(rest, SEQUENCE)?;
    while !rest.is_empty() {
        let (tag, content, more) = element(rest)?;
        rest = more;
        if tag != EXTENSIONS {
            continue;
        }
        let (mut list, _) = expect(content, SEQUENCE)?;
        while !list.is_empty() {
            let (extension, more) = expect(list, SEQUENCE)?;
            list = more;
            let (id, mut value) = expect(extension, OBJECT_ID)?;
            if id != SUBJECT_ALT_NAME {
                continue;
            }
            if let Some((_critical, after)) = expect(value, BOOLEAN) {
                value = after;
            }
            return Some(Some(expect(value, OCTETS)?.0));
        }
    }
    Some(None)
}

fn name(tag: u8, value: &[u8]) -> Option<(AltKind, Box<str>)> {
    let kind = match tag {
        0x81 => AltKind::Email,
        0x82 => AltKind::Dns,
        0x86 => AltKind::Uri,
        0x87 => AltKind::Ip,
        _ => return None,
    };
    let text = match (kind, value.len()) {
        (AltKind::Ip, 4) => Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string(),
        (AltKind::Ip, 16) => Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string(),
        (AltKind::Ip, _) => return None,
        // Neither a space nor a NUL is part of any such name.
        _ => str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))?.to_owned(),
    };
    (!text.is_empty()).then(|| (kind, text.into()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;
    use crate::x509;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_of_all_kinds() {
        let der = certificate(vec![
            SanType::DnsName("door.test".try_into().unwrap()),
            SanType::URI("spiffe://house/door".try_into().unwrap()),
            SanType::Rfc822Name("ann@house.test".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::DnsName("a b".try_into().unwrap()),
        ]);
        let names = of(&x509::facts(&der).unwrap()).unwrap();
        let names: Vec<(AltKind, &str)> = names.iter().map(|(kind, name)| (*kind, &**name)).collect();
        assert_eq!(
            names,
            [
                (AltKind::Dns, "door.test"),
                (AltKind::Uri, "spiffe://house/door"),
                (AltKind::Email, "ann@house.test"),
                (AltKind::Ip, "10.0.0.1"),
                (AltKind::Ip, "2001:db8::1"),
            ]
        );
    }

    #[test]
    fn without_names_and_cut_short() {
        let none = certificate(Vec::new());
        assert_eq!(of(&x509::facts(&none).unwrap()).as_deref(), Some(&[][..]));
        let der = certificate(vec![SanType::DnsName("door.test".try_into().unwrap())]);
        let facts = x509::facts(&der).unwrap();
        for length in 0..facts.rest.len() {
            let cut = Facts { rest: &facts.rest[..length], ..facts.clone() };
            assert!(of(&cut).is_none_or(|names| names.is_empty()), "{length}");
        }
        let many = (0..=ALT_NAMES_MAX).map(|number| SanType::DnsName(format!("n{number}.test").try_into().unwrap()));
        assert_eq!(of(&x509::facts(&certificate(many.collect())).unwrap()), None);
    }
}
