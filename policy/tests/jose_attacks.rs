//! Attacks on verifiers of tokens (RFC 8725, R09) beside those of `jwt.rs`: each with the name by which it is refused.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use policy::authorize::jwk::KeySet;
use policy::authorize::jws::{Algorithms, Jws};
use policy::authorize::jwt::{Issuer, Rules, Wrong};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn claims() -> Value {
    json!({"iss": "https://id.example.com", "sub": "joe", "exp": NOW + 60})
}

/// What a token's signature is of.
fn signed(head: &Value, body: &[u8]) -> String {
    format!("{}.{}", base64(head.to_string().as_bytes()), base64(body))
}

/// Why the whole way of a token ends, if it does.
fn refused(token: &str, keys: &KeySet) -> Option<Wrong> {
    let rules = Rules {
        issuers: [Issuer { name: "https://id.example.com".into(), audiences: Box::default() }].into(),
        algorithms: Algorithms::ALL,
        clock_skew: 0,
        kind: None,
        cognito: false,
        commas: false,
    };
    rules.open(token.as_bytes()).and_then(|opened| rules.verify(opened, keys, NOW, false)).err()
}

struct Elliptic {
    key: EcdsaKeyPair,
    curve: &'static str,
}

impl Elliptic {
    fn new(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Self {
        Self { key: EcdsaKeyPair::generate(algorithm).expect("a key"), curve }
    }

    fn keys(&self) -> KeySet {
        let point = &self.key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": self.curve, "kid": "k", "x": base64(x), "y": base64(y)});
        KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a set")
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        self.key.sign(&SystemRandom::new(), text.as_bytes()).expect("signed").as_ref().to_vec()
    }
}

#[test]
fn r_09_a_signature_of_nothing_is_no_signature() {
    // Verifiers that forgot to look for 0 took it for everybody's (CVE-2022-21449); so did some for the order of the curve.
    let signer = Elliptic::new(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
    let keys = signer.keys();
    let text = signed(&json!({"alg": "ES256", "kid": "k"}), claims().to_string().as_bytes());
    let order = data_encoding::HEXLOWER
        .decode(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        .expect("hex");
    let (zero, one) = ([0; 32].to_vec(), [[0; 31].to_vec(), vec![1]].concat());
    for r in [&zero, &order, &one] {
        for s in [&zero, &order, &one] {
            let token = format!("{text}.{}", base64(&[&r[..], s].concat()));
            assert_eq!(refused(&token, &keys), Some(Wrong::Signature), "{r:?} {s:?}");
        }
    }
    assert_eq!(refused(&format!("{text}.{}", base64(&signer.sign(&text))), &keys), None);
}

#[test]
fn r_09_ecdsa_has_one_form_of_one_length() {
    let text = |algorithm: &str| signed(&json!({"alg": algorithm, "kid": "k"}), claims().to_string().as_bytes());
    let asn1 = Elliptic::new(&ECDSA_P256_SHA256_ASN1_SIGNING, "P-256");
    let es256 = text("ES256");
    let token = format!("{es256}.{}", base64(&asn1.sign(&es256)));
    assert_eq!(refused(&token, &asn1.keys()), Some(Wrong::Signature), "ASN.1, as X.509 has it");
    for (algorithm, curve, name) in
        [(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", "ES256"), (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", "ES384")]
    {
        let signer = Elliptic::new(algorithm, curve);
        let text = text(name);
        let right = signer.sign(&text);
        let half = right.len() / 2;
        let (r, s) = right.split_at(half);
        for (other, what) in [
            (right[..right.len() - 1].to_vec(), "short"),
            ([&right[..], &[0]].concat(), "long"),
            ([&[0][..], r, &[0], s].concat(), "padded"),
            ([s, r].concat(), "swapped"),
            (right[half..].to_vec(), "half"),
            ([&right[..], &right].concat(), "twice"),
        ] {
            let token = format!("{text}.{}", base64(&other));
            assert_eq!(refused(&token, &signer.keys()), Some(Wrong::Signature), "{name} {what}");
        }
        assert_eq!(refused(&format!("{text}.{}", base64(&right)), &signer.keys()), None);
    }
}

#[test]
fn r_09_the_public_key_is_no_secret_in_whatever_form() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = pair.public_key();
    let n = public.modulus().big_endian_without_leading_zero().to_vec();
    let e = base64(public.exponent().big_endian_without_leading_zero());
    let jwk = json!({"kty": "RSA", "kid": "k", "n": base64(&n), "e": e});
    let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a set");
    let der = public.as_ref().to_vec();
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", BASE64.encode(&der));
    for secret in [&der[..], pem.as_bytes(), pem.trim_end().as_bytes(), &n, jwk.to_string().as_bytes(), b""] {
        for (name, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let text = signed(&json!({"alg": name, "kid": "k"}), claims().to_string().as_bytes());
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
            assert_eq!(refused(&format!("{text}.{}", base64(tag.as_ref())), &keys), Some(Wrong::Algorithm), "{name}");
        }
    }
    // A signature is as long as the modulus, whatever its value.
    let text = signed(&json!({"alg": "RS256", "kid": "k"}), claims().to_string().as_bytes());
    let mut right = vec![0; n.len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut right).expect("signed");
    for other in [[&[0][..], &right].concat(), right[1..].to_vec(), [&right[..], &[0]].concat(), vec![0; n.len()], n] {
        assert_eq!(refused(&format!("{text}.{}", base64(&other)), &keys), Some(Wrong::Signature));
    }
    assert_eq!(refused(&format!("{text}.{}", base64(&right)), &keys), None);
}

#[test]
fn r_09_what_a_head_asks_for_is_not_done() {
    let signer = Elliptic::new(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
    let keys = signer.keys();
    let body = claims().to_string();
    let of = |head: Value| {
        let text = signed(&head, body.as_bytes());
        format!("{text}.{}", base64(&signer.sign(&text)))
    };
    // Members that mean something in encrypted tokens alone: nothing is unpacked, nothing computed, nothing fetched.
    for more in [
        json!({"zip": "DEF"}),
        json!({"p2c": u32::MAX, "p2s": "AAAA"}),
        json!({"b64": false}),
        json!({"jku": "http://169.254.169.254/", "x5u": "file:///etc/passwd", "x5c": ["AAAA"], "x5t": "AAAA"}),
        json!({"cty": "JWT"}),
    ] {
        let mut head = json!({"alg": "ES256", "kid": "k"});
        for (name, value) in more.as_object().expect("an object") {
            head[name] = value.clone();
        }
        assert_eq!(refused(&of(head.clone()), &keys), None, "{more} means nothing here");
        let names: Vec<&String> = more.as_object().expect("an object").keys().collect();
        head["crit"] = json!(names);
        assert_eq!(refused(&of(head), &keys), Some(Wrong::Critical), "{more}");
    }
    for algorithm in ["PBES2-HS256+A128KW", "dir", "RSA-OAEP", "RSA1_5", "ECDH-ES", "A256GCMKW", "ML-DSA-44", "ESB256"]
    {
        let token = of(json!({"alg": algorithm, "enc": "A256GCM", "p2c": u32::MAX, "kid": "k"}));
        assert_eq!(refused(&token, &keys), Some(Wrong::Algorithm), "{algorithm}");
        let parts = format!("{}.AAAA.AAAA.AAAA.AAAA", token.split('.').next().expect("a head"));
        assert_eq!(refused(&parts, &keys), Some(Wrong::Parts), "{algorithm}");
    }
}

#[test]
fn r_09_a_token_in_a_token_is_no_claim() {
    let signer = Elliptic::new(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
    let head = json!({"alg": "ES256", "kid": "k", "cty": "JWT"});
    let wrap = |body: &str| {
        let text = signed(&head, body.as_bytes());
        format!("{text}.{}", base64(&signer.sign(&text)))
    };
    let inner = wrap(&claims().to_string());
    assert_eq!(refused(&inner, &signer.keys()), None);
    assert_eq!(refused(&wrap(&inner), &signer.keys()), Some(Wrong::Claims));
    let json = json!({"payload": "e30", "protected": "e30", "signature": "AAAA"}).to_string();
    assert_eq!(refused(&json, &signer.keys()), Some(Wrong::Parts));
    // A part in front, behind or between.
    for token in [format!(".{inner}"), format!("{inner}."), inner.replacen('.', "..", 1)] {
        assert_eq!(Jws::parse(token.as_bytes()).err(), Some(Wrong::Parts));
    }
}
