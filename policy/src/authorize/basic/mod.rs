//! Callers who show a name and a password (RFC 7617), and the lists of those who may. What is slow about it, [`hash::Hash::fits`], is for a
//! thread that serves nobody.

pub mod hash;
pub mod htpasswd;
pub mod users;

use codec::head::{Fate, Name};
use data_encoding::BASE64;

use crate::facts::Facts;
use crate::limits::BASIC_BYTES_MAX;

/// What a request shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The name before the first colon; never empty.
    pub name: &'a str,
    /// What is behind it; other colons are part of it.
    pub password: &'a str,
}

/// Writes name and password of a request, still with the colon between them, behind what `out` holds; false: it shows none, or what
/// cannot be any.
pub fn find(facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
    let fields = &facts.head.fields;
    let mut fields = fields.iter().filter(|field| field.known == Name::Authorization && field.fate == Fate::Pass);
    match (fields.next(), fields.next()) {
        // Of two nobody knows which the backend would believe.
        (Some(field), None) => decode(field.value.of(facts.head_bytes), out),
        _ => false,
    }
}

/// `Basic`, in any case, at least one space, and base64 with its padding.
fn decode(value: &[u8], out: &mut Vec<u8>) -> bool {
    let Some((scheme, rest)) = value.split_at_checked(b"Basic".len()) else { return false };
    let written = rest.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"Basic") || !rest.starts_with(b" ") || written.len() > BASIC_BYTES_MAX / 3 * 4 {
        return false;
    }
    let Ok(most) = BASE64.decode_len(written.len()) else { return false };
    let from = out.len();
    out.resize(from + most, 0);
    match BASE64.decode_mut(written, &mut out[from..]) {
        Ok(length) => out.truncate(from + length),
        Err(_) => out.truncate(from),
    }
    out.len() > from
}

/// Takes name and password apart: UTF-8, without control characters (RFC 7617 §2).
pub fn split(decoded: &[u8]) -> Option<Shown<'_>> {
    let text = str::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    let is_plain = !text.bytes().any(|byte| byte.is_ascii_control());
    (is_plain && !name.is_empty()).then_some(Shown { name, password })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;

    fn read(value: &str) -> Option<(String, String)> {
        let mut out = b"kept".to_vec();
        if !decode(value.as_bytes(), &mut out) {
            assert_eq!(out, b"kept", "{value}");
            return None;
        }
        split(&out[4..]).map(|shown| (shown.name.to_owned(), shown.password.to_owned()))
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text.as_bytes()))
    }

    #[test]
    fn rfc_7617_examples() {
        let known = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), known("Aladdin", "open sesame"));
        assert_eq!(read("Basic dGVzdDoxMjPCow=="), known("test", "123£"));
        assert_eq!(read("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), known("Aladdin", "open sesame"));
        assert_eq!(read(&basic("a:b:c:")), known("a", "b:c:"), "colons belong to the password");
        assert_eq!(read(&basic("a:")), known("a", ""));
    }

    #[test]
    fn what_cannot_be_a_name_and_a_password() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            "Basic QWxhZGRp bjpvcGVuIHNlc2FtZQ==",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==,",
            "Basic !!!!",
            &basic("nobody"),
            &basic(":secret"),
            &basic("a\0b:c"),
            &basic("a:b\n"),
            &basic("a:\x7f"),
            "Basic YTr/",
            &basic(&format!("a:{}", "b".repeat(BASIC_BYTES_MAX))),
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn no_other_field_counts() {
        let found = |fields: &str| {
            let mut out = Vec::new();
            find(&Scene::get("/", "/", fields).facts(), &mut out)
        };
        let one = format!("Authorization: {}\r\n", basic("a:b"));
        assert!(found(&one));
        assert!(!found("X-Authorization: Basic YTpi\r\n"));
    }
}
