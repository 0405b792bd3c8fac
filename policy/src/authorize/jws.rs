//! A signed text of three parts (RFC 7515 §7.1, compact form): what its head says, what is signed, and by what algorithm.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::jwt::Wrong;
use super::strict;
use crate::limits::{KEY_ID_BYTES_MAX, TOKEN_BYTES_MAX, TOKEN_HEAD_BYTES_MAX, TOKEN_SIGNATURE_BYTES_MAX};

/// What a text may be signed with: public keys alone. There is no `none`, and no HMAC: whoever may verify one may forge one (RFC 8725
/// §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// With SHA-384.
    Rs384,
    /// With SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, the salt as long as the hash.
    Ps256,
    /// With SHA-384.
    Ps384,
    /// With SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// On P-384 with SHA-384.
    Es384,
    /// On P-521 with SHA-512.
    Es512,
    /// Ed25519 (RFC 8037); Ed448 is not known here.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// As `alg` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name, letter by letter. `Ed25519` is RFC 9864's name of the one curve of `EdDSA` that is known here.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A set of algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Algorithms(u16);

impl Algorithms {
    /// Every one that is known.
    pub const ALL: Self = Self((1 << Algorithm::ALL.len()) - 1);
    /// None.
    pub const NONE: Self = Self(0);

    /// The same and this one.
    #[must_use]
    pub const fn with(self, algorithm: Algorithm) -> Self {
        Self(self.0 | 1 << algorithm as u8)
    }

    /// Whether it is one of them.
    pub const fn contain(self, algorithm: Algorithm) -> bool {
        self.0 >> algorithm as u8 & 1 == 1
    }
}

/// What the head of a token says, as far as it counts. Keys and addresses of keys that stand in it (`jwk`, `jku`, `x5c`, `x5u`) are not
/// read: whoever forges a token would write his own (RFC 8725 §3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it is signed with.
    pub algorithm: Algorithm,
    /// Which key has signed it.
    pub key_id: Option<Box<str>>,
    /// What kind of token it is.
    pub kind: Option<Box<str>>,
}

/// A token, taken apart. Nothing of it is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jws<'t> {
    /// What its head says.
    pub head: Head,
    /// The bytes that are signed.
    pub signed: &'t [u8],
    /// What it says, decoded.
    pub payload: Vec<u8>,
    /// Decoded.
    pub signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart: three parts in base64url without padding, and a head in which nothing is meant that is not understood.
    pub fn parse(token: &'t [u8]) -> Result<Self, Wrong> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Wrong::TooLong);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(head), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Wrong::Parts);
        };
        if head.len() > TOKEN_HEAD_BYTES_MAX || signature.len() > TOKEN_SIGNATURE_BYTES_MAX {
            return Err(Wrong::TooLong);
        }
        let decode = |part: &[u8]| BASE64URL_NOPAD.decode(part).map_err(|_| Wrong::Encoding);
        let head = strict::object(&decode(head)?).ok_or(Wrong::Head)?;
        Ok(Self {
            head: Head::read(&head)?,
            signed: &token[..token.len() - signature.len() - 1],
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

impl Head {
    fn read(members: &Map<String, Value>) -> Result<Self, Wrong> {
        // No extension is known that would change what is signed, so none may be critical (RFC 7515 §4.1.11).
        if members.contains_key("crit") {
            return Err(Wrong::Critical);
        }
        let algorithm = members.get("alg").and_then(Value::as_str).ok_or(Wrong::Head)?;
        let algorithm = Algorithm::parse(algorithm).ok_or(Wrong::Algorithm)?;
        let key_id = text(members, "kid")?;
        if key_id.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(Wrong::TooLong);
        }
        Ok(Self { algorithm, key_id, kind: text(members, "typ")? })
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<Box<str>>, Wrong> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) => Err(Wrong::Head),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(head: &str) -> Vec<u8> {
        format!("{}.e30.AAAA", BASE64URL_NOPAD.encode(head.as_bytes())).into_bytes()
    }

    fn wrong(token: &[u8]) -> Wrong {
        Jws::parse(token).expect_err(&token.escape_ascii().to_string())
    }

    #[test]
    fn a_token_has_three_parts() {
        let whole = token(r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#);
        let parsed = Jws::parse(&whole).unwrap();
        assert_eq!(parsed.head.algorithm, Algorithm::Es256);
        assert_eq!((parsed.head.key_id.as_deref(), parsed.head.kind.as_deref()), (Some("k"), Some("JWT")));
        assert_eq!((&parsed.payload[..], &parsed.signature[..]), (&b"{}"[..], &[0, 0, 0][..]));
        assert_eq!(parsed.signed, &whole[..whole.len() - 5]);
        for (text, why) in [
            ("", Wrong::Parts),
            ("a.b", Wrong::Parts),
            ("a.b.c.d", Wrong::Parts),
            ("a.b.c.d.e", Wrong::Parts), // An encrypted token (RFC 7516) has five.
            ("..", Wrong::Head),
        ] {
            assert_eq!(wrong(text.as_bytes()), why, "{text}");
        }
    }

    #[test]
    fn base64_has_one_form() {
        // eyJhbGciOiJFUzI1NiJ9 is {"alg":"ES256"}.
        let good = "eyJhbGciOiJFUzI1NiJ9";
        assert!(Jws::parse(format!("{good}.e30.AAAA").as_bytes()).is_ok());
        for text in [
            format!("{good}=.e30.AAAA"),
            format!("{good}.e30=.AAAA"),
            format!("{good}.e31.AAAA"), // Bits behind the last byte.
            format!("{good}.e30.AA+A"),
            format!("{good}.e30.AA/A"),
            format!("{good}.e30.AAAA\n"),
            format!("{good}. e30.AAAA"),
            format!("{good}.e30.AAAAA"),
            format!("{good}.e30.\0AAA"),
        ] {
            assert_eq!(wrong(text.as_bytes()), Wrong::Encoding, "{text}");
        }
    }

    #[test]
    fn a_head_says_only_what_is_understood() {
        for (head, why) in [
            (r#"{"alg":"none"}"#, Wrong::Algorithm),
            (r#"{"alg":"nOnE"}"#, Wrong::Algorithm),
            (r#"{"alg":""}"#, Wrong::Algorithm),
            (r#"{"alg":"HS256"}"#, Wrong::Algorithm),
            (r#"{"alg":"HS512"}"#, Wrong::Algorithm),
            (r#"{"alg":"es256"}"#, Wrong::Algorithm),
            (r#"{"alg":"ES256K"}"#, Wrong::Algorithm),
            (r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, Wrong::Algorithm),
            (r#"{"alg":["ES256"]}"#, Wrong::Head),
            (r#"{"alg":null}"#, Wrong::Head),
            (r#"{"typ":"JWT"}"#, Wrong::Head),
            (r#"{"alg":"ES256","alg":"none"}"#, Wrong::Head),
            (r#"{"alg":"ES256","kid":7}"#, Wrong::Head),
            (r#"{"alg":"ES256","typ":{}}"#, Wrong::Head),
            (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, Wrong::Critical),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, Wrong::Critical),
            (r#"{"alg":"ES256","crit":[]}"#, Wrong::Critical),
            (r#"["ES256"]"#, Wrong::Head),
            ("ES256", Wrong::Head),
        ] {
            assert_eq!(wrong(&token(head)), why, "{head}");
        }
        let ignored =
            r#"{"alg":"EdDSA","jku":"https://evil","x5u":"https://evil","jwk":{"kty":"oct","k":"AA"},"b64":true}"#;
        assert_eq!(Jws::parse(&token(ignored)).unwrap().head.algorithm, Algorithm::EdDsa);
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
    }

    #[test]
    fn lengths_are_bounded() {
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        assert_eq!(wrong(long.as_bytes()), Wrong::TooLong);
        let head = format!(r#"{{"alg":"ES256","x":"{}"}}"#, "a".repeat(TOKEN_HEAD_BYTES_MAX));
        assert_eq!(wrong(&token(&head)), Wrong::TooLong);
        let id = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "a".repeat(KEY_ID_BYTES_MAX + 1));
        assert_eq!(wrong(&token(&id)), Wrong::TooLong);
        let signature = format!("eyJhbGciOiJFUzI1NiJ9.e30.{}", "A".repeat(TOKEN_SIGNATURE_BYTES_MAX + 4));
        assert_eq!(wrong(signature.as_bytes()), Wrong::TooLong);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        for algorithm in Algorithm::ALL {
            assert!(Algorithms::ALL.contain(algorithm) && !Algorithms::NONE.contain(algorithm));
            let one = Algorithms::NONE.with(algorithm);
            assert!(Algorithm::ALL.into_iter().all(|other| one.contain(other) == (other == algorithm)));
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
    }
}
