//! Tokens of issuers that are trusted (A-02, A-03, A-11; RFC 7519 and the rules of RFC 8725): what one must say, and how it is proved.
//!
//! Two steps, because keys may have to be waited for: [`Rules::open`] reads a token and says whose it claims to be, [`Rules::verify`]
//! proves it with the keys of that issuer. Before the second nothing of it is believed but the choice of the keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::jwk::KeySet;
use super::jws::{Algorithms, Head, Jws};
use super::strict;
use crate::identity::Identity;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Wrong {
    /// It, or a part of it, is longer than anything that is believed.
    TooLong,
    /// It has not three parts.
    Parts,
    /// A part is not base64url, or not in its one form.
    Encoding,
    /// Its head is no JSON object, says no algorithm, or says something twice.
    Head,
    /// It has extensions that must be understood.
    Critical,
    /// It is not signed, signed with a secret, or with an algorithm that is not allowed.
    Algorithm,
    /// It is another kind of token.
    Kind,
    /// What it says is no JSON object, says something twice, or says it in a form that it does not have.
    Claims,
    /// Somebody else has issued it.
    Issuer,
    /// No key has the name that it says.
    Key,
    /// The key of that name is not for its algorithm.
    KeyType,
    /// The signature is not that of the key.
    Signature,
    /// Its time is over, or it says no end.
    Expired,
    /// Its time has not begun.
    NotYet,
    /// It was issued in the future.
    Future,
    /// It is meant for somebody else.
    Audience,
    /// It is not the kind of token that is asked for: an access token in place of an identity token, or the other way round.
    Use,
    /// The issuer's keys cannot be had.
    NoKeys,
}

impl Wrong {
    /// Every one, in order.
    pub const ALL: [Self; 18] = [
        Self::TooLong,
        Self::Parts,
        Self::Encoding,
        Self::Head,
        Self::Critical,
        Self::Algorithm,
        Self::Kind,
        Self::Claims,
        Self::Issuer,
        Self::Key,
        Self::KeyType,
        Self::Signature,
        Self::Expired,
        Self::NotYet,
        Self::Future,
        Self::Audience,
        Self::Use,
        Self::NoKeys,
    ];

    /// `error_description` of a challenge. AWS documents the words for the audience; the others are ours (assumed).
    pub const fn description(self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::Parts => "the token does not have three parts",
            Self::Encoding => "the token is not base64url",
            Self::Head => "the token does not have a valid header",
            Self::Critical => "the token has a critical header that is not supported",
            Self::Algorithm => "the token does not have a valid signing method",
            Self::Kind => "the token does not have a valid type",
            Self::Claims => "the token does not have valid claims",
            Self::Issuer => "the token does not have a valid issuer",
            Self::Key => "the token does not have a valid key id",
            Self::KeyType => "the signing method does not fit the key",
            Self::Signature => "the token does not have a valid signature",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::Future => "the token is used before it was issued",
            Self::Audience => "the token does not have a valid audience",
            Self::Use => "the token does not have a valid use",
            Self::NoKeys => "the keys of the issuer are not available",
        }
    }
}

/// An issuer that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// What its tokens say under `iss`, letter by letter.
    pub name: Box<str>,
    /// Whom they may be meant for; empty: anybody.
    pub audiences: Box<[Box<str>]>,
}

/// What tokens must say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Never empty.
    pub issuers: Box<[Issuer]>,
    /// What they may be signed with.
    pub algorithms: Algorithms,
    /// By how many seconds clocks may differ.
    pub clock_skew: u32,
    /// What their head must say under `typ`; `None`: anything.
    pub kind: Option<Box<str>>,
    /// Tokens of a Cognito user pool: an identity token, or, where scopes are asked for, an access token (A-11).
    pub cognito: bool,
    /// How a list is shown in `$context.authorizer.claims.NAME`: `a,b` as in REST APIs, else `[a b]` as in HTTP APIs (assumed).
    pub commas: bool,
}

/// A token that was read. Nothing of it is proved.
#[derive(Debug)]
pub struct Opened<'t> {
    /// Whose it claims to be: a place in [`Rules::issuers`].
    pub issuer: usize,
    jws: Jws<'t>,
    claims: Map<String, Value>,
}

impl Opened<'_> {
    /// Which key it says has signed it.
    pub fn key_id(&self) -> Option<&str> {
        self.jws.head.key_id.as_deref()
    }
}

/// What a token has proved.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Whose it is, and what it says.
    pub identity: Arc<Identity>,
    /// What its bearer may do (`scope` and `scp`).
    pub scopes: Box<[Box<str>]>,
    /// The second since 1970 in which it holds no longer, clock skew included.
    pub expires: u64,
}

impl Rules {
    /// Reads a token: its form, its algorithm, and that its issuer is one of ours.
    pub fn open<'t>(&self, token: &'t [u8]) -> Result<Opened<'t>, Wrong> {
        let jws = Jws::parse(token)?;
        let Head { algorithm, key_id: _, kind } = &jws.head;
        if !self.algorithms.contain(*algorithm) {
            return Err(Wrong::Algorithm);
        }
        if self.kind.as_deref().is_some_and(|wanted| !kind.as_deref().is_some_and(|kind| is_kind(kind, wanted))) {
            return Err(Wrong::Kind);
        }
        let claims = strict::object(&jws.payload).ok_or(Wrong::Claims)?;
        let issuer = match claims.get("iss") {
            Some(Value::String(issuer)) => self.issuers.iter().position(|known| *known.name == **issuer),
            Some(_) => return Err(Wrong::Claims),
            None => None,
        };
        Ok(Opened { issuer: issuer.ok_or(Wrong::Issuer)?, jws, claims })
    }

    /// Proves a token with the keys of its issuer. `now`: seconds since 1970. `scoped`: whether the method asks for scopes; which of
    /// them the token has is for [`Verified::has_any`].
    pub fn verify(&self, opened: Opened<'_>, keys: &KeySet, now: u64, scoped: bool) -> Result<Verified, Wrong> {
        let Opened { issuer, jws, claims } = opened;
        let Jws { head, signed, payload: _, signature } = &jws;
        keys.verify(head.key_id.as_deref(), head.algorithm, signed, signature)?;
        let expires = self.times(&claims, now)?;
        if self.cognito {
            let wanted = if scoped { "access" } else { "id" };
            if claims.get("token_use").and_then(Value::as_str) != Some(wanted) {
                return Err(Wrong::Use);
            }
        }
        audience(&claims, &self.issuers[issuer].audiences)?;
        let scopes = scopes(&claims)?;
        Ok(Verified { identity: Arc::new(identity(&claims, self.commas)), scopes, expires })
    }

    /// `exp`, `nbf` and `iat`. Returns when it ends. A token of this very second is valid: AWS counts finer than tokens do.
    fn times(&self, claims: &Map<String, Value>, now: u64) -> Result<u64, Wrong> {
        let skew = u64::from(self.clock_skew);
        let end = seconds(claims, "exp")?.ok_or(Wrong::Expired)?.saturating_add(skew);
        if end <= now {
            return Err(Wrong::Expired);
        }
        if seconds(claims, "nbf")?.is_some_and(|begin| begin > now.saturating_add(skew)) {
            return Err(Wrong::NotYet);
        }
        if seconds(claims, "iat")?.is_some_and(|issued| issued > now.saturating_add(skew)) {
            return Err(Wrong::Future);
        }
        Ok(end)
    }
}

impl Verified {
    /// Whether its bearer may do any of these; whether they are none (A-02).
    pub fn has_any(&self, wanted: &[Box<str>]) -> bool {
        wanted.is_empty() || wanted.iter().any(|wanted| self.scopes.contains(wanted))
    }
}

/// RFC 7515 §4.1.9: case does not matter, and `application/` may be left out.
fn is_kind(kind: &str, wanted: &str) -> bool {
    let short = |name: &str| {
        let lower = name.to_ascii_lowercase();
        lower.strip_prefix("application/").map_or(lower.clone(), str::to_owned)
    };
    short(kind) == short(wanted)
}

/// A `NumericDate`: whole seconds since 1970, a fraction rounded up. One before 1970 is 0.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Wrong> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            if let Some(whole) = number.as_u64() {
                return Ok(Some(whole));
            }
            let exact = number.as_f64().ok_or(Wrong::Claims)?;
            #[expect(clippy::cast_sign_loss, reason = "negative numbers become 0")]
            Ok(Some(exact.ceil().max(0.0) as u64))
        }
        Some(_) => Err(Wrong::Claims),
    }
}

/// `aud` names one of these; or, only where there is no `aud`, `client_id` does (A-02).
fn audience(claims: &Map<String, Value>, audiences: &[Box<str>]) -> Result<(), Wrong> {
    if audiences.is_empty() {
        return Ok(());
    }
    let is_ours = |value: &Value| match value {
        Value::String(name) => Ok(audiences.iter().any(|known| **known == **name)),
        _ => Err(Wrong::Claims),
    };
    let found = match claims.get("aud") {
        Some(Value::Array(list)) => {
            let mut any = false;
            for one in list {
                any |= is_ours(one)?;
            }
            any
        }
        Some(one) => is_ours(one)?,
        None => match claims.get("client_id") {
            Some(client) => is_ours(client)?,
            None => false,
        },
    };
    if found { Ok(()) } else { Err(Wrong::Audience) }
}

/// `scope`, a text with spaces (RFC 8693 §4.2), and `scp`, a list; issuers write either in both ways.
fn scopes(claims: &Map<String, Value>) -> Result<Box<[Box<str>]>, Wrong> {
    let mut scopes: Vec<Box<str>> = Vec::new();
    for name in ["scope", "scp"] {
        match claims.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => scopes.extend(text.split(' ').filter(|one| !one.is_empty()).map(Box::from)),
            Some(Value::Array(list)) => {
                for one in list {
                    scopes.push(one.as_str().ok_or(Wrong::Claims)?.into());
                }
            }
            Some(_) => return Err(Wrong::Claims),
        }
    }
    Ok(scopes.into())
}

/// What rules, templates and logs see of a token (A-02).
fn identity(claims: &Map<String, Value>, commas: bool) -> Identity {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let mut fields: Vec<(Box<str>, Box<str>)> = vec![("principalId".into(), subject.into())];
    fields.extend(claims.iter().map(|(name, value)| (format!("claims.{name}").into(), shown(value, commas).into())));
    Identity { principal: subject.into(), fields: fields.into(), ..Identity::default() }
}

fn shown(value: &Value, commas: bool) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(|one| shown(one, commas)).collect();
            if commas { parts.join(",") } else { format!("[{}]", parts.join(" ")) }
        }
        other => other.to_string(),
    }
}

/// The token in what a client sent: as it is, or behind `Bearer ` (RFC 6750 §2.1), whatever the case of that. `None`: there is none.
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let token = match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii_start(),
        _ if value.eq_ignore_ascii_case(b"bearer") => b"",
        _ => value,
    };
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaKeyPair,
    };
    use data_encoding::BASE64URL_NOPAD;
    use serde_json::json;

    use super::super::jws::Algorithm;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn base64(bytes: &[u8]) -> String {
        BASE64URL_NOPAD.encode(bytes)
    }

    struct Signer {
        key: EcdsaKeyPair,
    }

    impl Signer {
        fn new() -> Self {
            Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
        }

        fn jwk(&self, id: &str) -> Value {
            let point = self.key.public_key().as_ref();
            json!({"kty": "EC", "crv": "P-256", "kid": id, "x": base64(&point[1..33]), "y": base64(&point[33..])})
        }

        fn keys(&self) -> KeySet {
            set(&[self.jwk("k")])
        }

        fn token(&self, head: &Value, claims: &str) -> String {
            let signed = format!("{}.{}", base64(head.to_string().as_bytes()), base64(claims.as_bytes()));
            let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", base64(signature.as_ref()))
        }

        fn plain(&self, claims: &Value) -> String {
            self.token(&json!({"alg": "ES256", "kid": "k"}), &claims.to_string())
        }
    }

    fn rsa_pkcs1(key: &RsaKeyPair, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
        signature
    }

    fn rsa_pss(key: &RsaKeyPair, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
        signature
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
    }

    fn rules(audiences: &[&str]) -> Rules {
        let audiences: Box<[Box<str>]> = audiences.iter().map(|one| (*one).into()).collect();
        let issuer = |name: &str| Issuer { name: name.into(), audiences: audiences.clone() };
        Rules {
            issuers: [issuer("https://id.example.com"), issuer("https://other.example.com/")].into(),
            algorithms: Algorithms::ALL,
            clock_skew: 0,
            kind: None,
            cognito: false,
            commas: false,
        }
    }

    fn claims(more: &Value) -> Value {
        let mut claims = json!({"iss": "https://id.example.com", "sub": "joe", "exp": NOW + 60});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn prove(rules: &Rules, token: &str, keys: &KeySet, scoped: bool) -> Result<Verified, Wrong> {
        let opened = rules.open(token.as_bytes())?;
        rules.verify(opened, keys, NOW, scoped)
    }

    #[test]
    fn a_02_a_token_of_ours_says_who_calls() {
        let signer = Signer::new();
        let more = json!({"aud": ["web", "app"], "scope": "read  write", "n": 1, "yes": true, "cognito:groups": ["a", "b"],
            "address": {"city": "x"}, "exp": NOW + 60});
        let token = signer.plain(&claims(&more));
        let verified = prove(&rules(&["app"]), &token, &signer.keys(), true).unwrap();
        assert_eq!(verified.expires, NOW + 60);
        assert_eq!(&*verified.identity.principal, "joe");
        for (name, value) in [
            ("principalId", "joe"),
            ("claims.sub", "joe"),
            ("claims.aud", "[web app]"),
            ("claims.n", "1"),
            ("claims.yes", "true"),
            ("claims.exp", "1800000060"),
            ("claims.cognito:groups", "[a b]"),
            ("claims.address", r#"{"city":"x"}"#),
        ] {
            assert_eq!(verified.identity.field(name.as_bytes()), Some(value), "{name}");
        }
        let has = |wanted: &[&str]| {
            let wanted: Vec<Box<str>> = wanted.iter().map(|one| (*one).into()).collect();
            verified.has_any(&wanted)
        };
        assert!(has(&[]) && has(&["read"]) && has(&["x", "write"]));
        assert!(!has(&["x"]) && !has(&["rea"]) && !has(&["read  write"]) && !has(&[""]));
        let rest = Rules { commas: true, ..rules(&[]) };
        let verified = prove(&rest, &token, &signer.keys(), false).unwrap();
        assert_eq!(verified.identity.field(b"claims.cognito:groups"), Some("a,b"), "assumed");
    }

    #[test]
    fn a_02_the_audience_is_ours_and_a_client_counts_only_without_one() {
        let signer = Signer::new();
        let keys = signer.keys();
        for (audiences, more, outcome) in [
            (&["web"][..], json!({"aud": "web"}), None),
            (&["a", "web"], json!({"aud": ["x", "web"]}), None),
            (&["web"], json!({"client_id": "web"}), None),
            (&[], json!({}), None),
            (&["web"], json!({}), Some(Wrong::Audience)),
            (&["web"], json!({"aud": "x", "client_id": "web"}), Some(Wrong::Audience)),
            (&["web"], json!({"aud": [], "client_id": "web"}), Some(Wrong::Audience)),
            (&["web"], json!({"aud": "WEB"}), Some(Wrong::Audience)),
            (&["web"], json!({"aud": "web "}), Some(Wrong::Audience)),
            (&["web"], json!({"aud": "web\u{0}"}), Some(Wrong::Audience)),
            (&["web"], json!({"aud": ["web", 7]}), Some(Wrong::Claims)),
            (&["web"], json!({"aud": {"web": 1}}), Some(Wrong::Claims)),
            (&["web"], json!({"aud": null}), Some(Wrong::Claims)),
        ] {
            let outcome_of = prove(&rules(audiences), &signer.plain(&claims(&more)), &keys, false).err();
            assert_eq!(outcome_of, outcome, "{audiences:?} {more}");
        }
    }

    #[test]
    fn a_02_times_count_with_the_skew_that_is_allowed() {
        let signer = Signer::new();
        let keys = signer.keys();
        let at = |skew: u32, more: &Value| {
            let rules = Rules { clock_skew: skew, ..rules(&[]) };
            prove(&rules, &signer.plain(&claims(more)), &keys, false).map(|verified| verified.expires)
        };
        for (skew, more, outcome) in [
            (0, json!({"exp": NOW + 1}), Ok(NOW + 1)),
            (0, json!({"exp": NOW}), Err(Wrong::Expired)),
            (0, json!({"exp": NOW - 1}), Err(Wrong::Expired)),
            (5, json!({"exp": NOW - 4}), Ok(NOW + 1)),
            (5, json!({"exp": NOW - 5}), Err(Wrong::Expired)),
            (0, json!({"exp": 1_800_000_000.5}), Ok(NOW + 1)),
            (0, json!({"exp": u64::MAX}), Ok(u64::MAX)),
            (0, json!({"exp": 1e300}), Ok(u64::MAX)),
            (0, json!({"exp": -5}), Err(Wrong::Expired)),
            (0, json!({"exp": "1900000000"}), Err(Wrong::Claims)),
            (0, json!({"exp": null}), Err(Wrong::Claims)),
            (0, json!({"nbf": NOW}), Ok(NOW + 60)),
            (0, json!({"nbf": NOW + 1}), Err(Wrong::NotYet)),
            (0, json!({"nbf": 1_800_000_000.5}), Err(Wrong::NotYet)),
            (5, json!({"nbf": NOW + 5}), Ok(NOW + 65)),
            (0, json!({"iat": NOW}), Ok(NOW + 60)),
            (0, json!({"iat": NOW + 1}), Err(Wrong::Future)),
            (0, json!({"iat": []}), Err(Wrong::Claims)),
        ] {
            assert_eq!(at(skew, &more), outcome, "{skew} {more}");
        }
        let without = json!({"iss": "https://id.example.com"});
        assert_eq!(prove(&rules(&[]), &signer.plain(&without), &keys, false).err(), Some(Wrong::Expired));
    }

    #[test]
    fn a_03_of_several_issuers_each_is_compared_letter_by_letter() {
        let signer = Signer::new();
        for (issuer, number) in [
            (json!("https://id.example.com"), Ok(0)),
            (json!("https://other.example.com/"), Ok(1)),
            (json!("https://other.example.com"), Err(Wrong::Issuer)),
            (json!("https://id.example.com/"), Err(Wrong::Issuer)),
            (json!("https://ID.example.com"), Err(Wrong::Issuer)),
            (json!("https://id.example.com\u{0}"), Err(Wrong::Issuer)),
            (json!(["https://id.example.com"]), Err(Wrong::Claims)),
            (json!(null), Err(Wrong::Claims)),
        ] {
            let token = signer.plain(&claims(&json!({"iss": issuer})));
            assert_eq!(rules(&[]).open(token.as_bytes()).map(|opened| opened.issuer), number, "{issuer}");
        }
        let none = signer.plain(&json!({"exp": NOW + 1}));
        assert_eq!(rules(&[]).open(none.as_bytes()).err(), Some(Wrong::Issuer));
    }

    #[test]
    fn a_11_cognito_takes_identity_tokens_and_for_scopes_access_tokens() {
        let signer = Signer::new();
        let rules = Rules { cognito: true, ..rules(&[]) };
        for (token_use, scoped, outcome) in [
            (json!("id"), false, None),
            (json!("access"), true, None),
            (json!("access"), false, Some(Wrong::Use)),
            (json!("id"), true, Some(Wrong::Use)),
            (json!(7), false, Some(Wrong::Use)),
            (json!("ID"), false, Some(Wrong::Use)),
        ] {
            let token = signer.plain(&claims(&json!({"token_use": token_use})));
            assert_eq!(prove(&rules, &token, &signer.keys(), scoped).err(), outcome, "{token_use} {scoped}");
        }
    }

    #[test]
    fn scopes_are_texts_or_lists() {
        let signer = Signer::new();
        for (more, scopes) in [
            (json!({"scope": "a b"}), Ok(vec!["a", "b"])),
            (json!({"scp": ["a", "b c"]}), Ok(vec!["a", "b c"])),
            (json!({"scp": "a b"}), Ok(vec!["a", "b"])),
            (json!({"scope": ["a"], "scp": ["b"]}), Ok(vec!["a", "b"])),
            (json!({"scope": ""}), Ok(vec![])),
            (json!({}), Ok(vec![])),
            (json!({"scope": 7}), Err(Wrong::Claims)),
            (json!({"scp": [7]}), Err(Wrong::Claims)),
        ] {
            let read = prove(&rules(&[]), &signer.plain(&claims(&more)), &signer.keys(), true);
            let expected = scopes.map(|list| list.into_iter().map(Box::<str>::from).collect::<Vec<_>>());
            assert_eq!(read.map(|verified| verified.scopes.to_vec()), expected, "{more}");
        }
    }

    // The attacks of RFC 8725, by their sections.

    #[test]
    fn rfc_8725_2_1_no_signature_is_none_at_all() {
        let body = base64(claims(&json!({})).to_string().as_bytes());
        for algorithm in ["none", "None", "NONE", "nOnE", ""] {
            let head = base64(json!({"alg": algorithm, "kid": "k"}).to_string().as_bytes());
            for token in [format!("{head}.{body}."), format!("{head}.{body}.AAAA")] {
                assert_eq!(rules(&[]).open(token.as_bytes()).err(), Some(Wrong::Algorithm), "{algorithm}");
            }
        }
        let signer = Signer::new();
        let token = signer.plain(&claims(&json!({})));
        let stripped = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(prove(&rules(&[]), &stripped, &signer.keys(), false).err(), Some(Wrong::Signature));
    }

    #[test]
    fn rfc_8725_2_1_a_public_key_is_no_shared_secret() {
        let signer = Signer::new();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, signer.key.public_key().as_ref());
        let head = base64(json!({"alg": "HS256", "kid": "k"}).to_string().as_bytes());
        let signed = format!("{head}.{}", base64(claims(&json!({})).to_string().as_bytes()));
        let token = format!("{signed}.{}", base64(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()));
        assert_eq!(prove(&rules(&[]), &token, &signer.keys(), false).err(), Some(Wrong::Algorithm));
    }

    #[test]
    fn rfc_8725_2_6_a_secret_in_the_set_verifies_nothing() {
        let set = KeySet::parse(br#"{"keys":[{"kty":"oct","k":"AAAA","kid":"k","alg":"HS256"}]}"#);
        assert_eq!(set.map(|_| ()), Err(super::super::jwk::NoKeys::Useless(Some(super::super::jwk::Unfit::Symmetric))));
    }

    #[test]
    fn rfc_8725_3_1_a_key_serves_its_own_algorithms_and_those_allowed() {
        let signer = Signer::new();
        let (keys, body) = (signer.keys(), claims(&json!({})).to_string());
        for algorithm in ["ES384", "ES512", "RS256", "PS256", "EdDSA"] {
            let token = signer.token(&json!({"alg": algorithm, "kid": "k"}), &body);
            assert_eq!(prove(&rules(&[]), &token, &keys, false).err(), Some(Wrong::KeyType), "{algorithm}");
        }
        let only = Rules { algorithms: Algorithms::NONE.with(Algorithm::Rs256), ..rules(&[]) };
        let token = signer.plain(&claims(&json!({})));
        assert_eq!(prove(&only, &token, &keys, false).err(), Some(Wrong::Algorithm));
        let mut jwk = signer.jwk("k");
        jwk["alg"] = "ES384".into();
        assert!(KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).is_err(), "it says what it cannot be");
    }

    #[test]
    fn rfc_8725_3_3_every_bit_is_signed() {
        let signer = Signer::new();
        let (rules, keys) = (rules(&[]), signer.keys());
        let token = signer.plain(&claims(&json!({})));
        assert!(prove(&rules, &token, &keys, false).is_ok());
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let proved = rules.open(&other).and_then(|opened| rules.verify(opened, &keys, NOW, false));
            assert!(proved.is_err(), "letter {at}");
        }
        for length in [0, 1, 63, 65, 72, 128] {
            let signed = token.rsplit_once('.').unwrap().0;
            let other = format!("{signed}.{}", base64(&vec![0; length]));
            assert_eq!(prove(&rules, &other, &keys, false).err(), Some(Wrong::Signature), "{length}");
        }
    }

    #[test]
    fn rfc_8725_3_4_a_point_off_the_curve_is_no_key() {
        let signer = Signer::new();
        for (member, value) in [
            ("x", base64(&[1; 32])),
            ("y", base64(&[0; 32])),
            ("x", base64(&[1; 31])),
            ("y", base64(&[1; 33])),
            ("crv", "P-384".into()),
            ("crv", "secp256k1".into()),
        ] {
            let mut jwk = signer.jwk("k");
            jwk[member] = value.as_str().into();
            assert!(KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).is_err(), "{member} {value}");
        }
    }

    #[test]
    fn rfc_8725_3_5_weak_keys_are_no_keys() {
        let rsa = |bytes: usize, last: u8, e: &[u8]| {
            let mut n = vec![0xa5; bytes];
            n[bytes - 1] = last;
            let jwk = json!({"kty": "RSA", "n": base64(&n), "e": base64(e), "kid": "k"});
            KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).map(|set| set.len())
        };
        let weak = Err(super::super::jwk::NoKeys::Useless(Some(super::super::jwk::Unfit::Weak)));
        assert_eq!(rsa(256, 0xa5, &[1, 0, 1]), Ok(1));
        for (bytes, e) in [
            (128, &[1, 0, 1][..]),
            (255, &[1, 0, 1]),
            (1_025, &[1, 0, 1]),
            (256, &[1]),
            (256, &[2]),
            (256, &[]),
            (256, &[3; 5]),
        ] {
            assert_eq!(rsa(bytes, 0xa5, e), weak, "{bytes} {e:?}");
        }
        assert!(rsa(256, 0xa4, &[1, 0, 1]).is_err(), "an even modulus");
    }

    #[test]
    fn rfc_8725_3_8_and_3_9_the_issuer_and_the_audience_are_checked() {
        let signer = Signer::new();
        let other = signer.plain(&claims(&json!({"iss": "https://evil.example.com"})));
        assert_eq!(prove(&rules(&["web"]), &other, &signer.keys(), false).err(), Some(Wrong::Issuer));
        let other = signer.plain(&claims(&json!({"aud": "another"})));
        assert_eq!(prove(&rules(&["web"]), &other, &signer.keys(), false).err(), Some(Wrong::Audience));
    }

    #[test]
    fn rfc_8725_3_10_what_a_token_says_of_keys_is_not_believed() {
        let (signer, evil) = (Signer::new(), Signer::new());
        let body = claims(&json!({})).to_string();
        let own =
            json!({"alg": "ES256", "kid": "k", "jwk": evil.jwk("k"), "jku": "https://evil", "x5u": "https://evil"});
        let token = evil.token(&own, &body);
        assert_eq!(prove(&rules(&[]), &token, &signer.keys(), false).err(), Some(Wrong::Signature));
        for id in ["../../k", "k' OR '1'='1", "https://evil/k", "K", "", "k\u{0}"] {
            let token = evil.token(&json!({"alg": "ES256", "kid": id}), &body);
            assert_eq!(prove(&rules(&[]), &token, &signer.keys(), false).err(), Some(Wrong::Key), "{id}");
        }
    }

    #[test]
    fn rfc_8725_3_11_a_token_of_another_kind_is_refused_where_one_is_wanted() {
        let signer = Signer::new();
        let body = claims(&json!({})).to_string();
        let wanted = Rules { kind: Some("at+jwt".into()), ..rules(&[]) };
        for (kind, outcome) in [
            (json!("at+jwt"), None),
            (json!("application/AT+JWT"), None),
            (json!("JWT"), Some(Wrong::Kind)),
            (json!(""), Some(Wrong::Kind)),
        ] {
            let token = signer.token(&json!({"alg": "ES256", "kid": "k", "typ": kind}), &body);
            assert_eq!(prove(&wanted, &token, &signer.keys(), false).err(), outcome, "{kind}");
        }
        let without = signer.plain(&claims(&json!({})));
        assert_eq!(prove(&wanted, &without, &signer.keys(), false).err(), Some(Wrong::Kind));
    }

    #[test]
    fn r_09_nothing_is_said_twice() {
        let signer = Signer::new();
        let head = json!({"alg": "ES256", "kid": "k"});
        for body in [
            r#"{"iss":"https://id.example.com","exp":1900000000,"exp":1}"#,
            r#"{"iss":"https://evil","iss":"https://id.example.com","exp":1900000000}"#,
            r#"{"iss":"https://id.example.com","exp":1900000000,"x":{"a":1,"a":2}}"#,
            r#"[{"iss":"https://id.example.com"}]"#,
            "not json",
        ] {
            assert_eq!(
                prove(&rules(&[]), &signer.token(&head, body), &signer.keys(), false).err(),
                Some(Wrong::Claims)
            );
        }
    }

    #[test]
    fn a_token_without_a_key_id_is_for_the_only_key_without_one() {
        let (signer, other) = (Signer::new(), Signer::new());
        let token = signer.token(&json!({"alg": "ES256"}), &claims(&json!({})).to_string());
        let nameless = |signer: &Signer| {
            let mut jwk = signer.jwk("k");
            jwk.as_object_mut().unwrap().remove("kid");
            jwk
        };
        let proved = |set: &KeySet| prove(&rules(&[]), &token, set, false).err();
        assert_eq!(proved(&set(&[nameless(&signer)])), None);
        assert_eq!(proved(&set(&[nameless(&signer), other.jwk("o")])), Some(Wrong::Key));
        assert_eq!(proved(&signer.keys()), Some(Wrong::Key));
    }

    #[test]
    fn keys_of_every_type_verify() {
        let body = claims(&json!({})).to_string();
        let signed = |algorithm: &str| {
            let head = json!({"alg": algorithm, "kid": "k"}).to_string();
            format!("{}.{}", base64(head.as_bytes()), base64(body.as_bytes()))
        };
        let edwards = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": base64(edwards.public_key().as_ref())});
        let text = signed("EdDSA");
        let token = format!("{text}.{}", base64(edwards.sign(text.as_bytes()).as_ref()));
        assert!(prove(&rules(&[]), &token, &set(&[jwk]), false).is_ok());
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = rsa.public_key();
        let jwk = json!({"kty": "RSA", "kid": "k", "key_ops": ["verify"],
            "n": base64(public.modulus().big_endian_without_leading_zero()),
            "e": base64(public.exponent().big_endian_without_leading_zero())});
        let keys = set(&[jwk]);
        for name in ["RS256", "PS256"] {
            let text = signed(name);
            let padding = if name == "RS256" { rsa_pkcs1 } else { rsa_pss };
            let signature = padding(&rsa, text.as_bytes());
            let token = format!("{text}.{}", base64(&signature));
            assert!(prove(&rules(&[]), &token, &keys, false).is_ok(), "{name}");
            let other = if name == "RS256" { "PS256" } else { "RS256" };
            let swapped = format!("{}.{}", signed(other), base64(&signature));
            assert_eq!(prove(&rules(&[]), &swapped, &keys, false).err(), Some(Wrong::Signature), "{name}");
        }
    }

    #[test]
    fn what_is_in_front_of_a_token_may_be_left_out() {
        for (value, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer   a.b.c ", Some("a.b.c")),
            ("BEARER a", Some("a")),
            ("a.b.c", Some("a.b.c")),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
            ("  ", None),
            ("Basic a", Some("Basic a")),
            ("Bearera", Some("Bearera")),
        ] {
            assert_eq!(bearer(value.as_bytes()), token.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn every_reason_has_its_words() {
        for (place, wrong) in Wrong::ALL.into_iter().enumerate() {
            assert_eq!(wrong as usize, place);
            let words = wrong.description();
            assert!(
                words.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ' || b"64".contains(&byte)),
                "{words}"
            );
        }
        assert_eq!(Wrong::Audience.description(), "the token does not have a valid audience", "A-02");
    }
}
