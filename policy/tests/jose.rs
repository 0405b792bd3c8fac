//! Published vectors: the examples of RFC 7515 and RFC 8037, and Wycheproof's signatures, each through a key of a set.

use data_encoding::BASE64URL_NOPAD;
use policy::authorize::jwk::KeySet;
use policy::authorize::jws::{Algorithm, Jws};
use policy::authorize::jwt::Wrong;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

fn set(key: &Value) -> Option<KeySet> {
    KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).ok()
}

fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

#[test]
fn the_examples_of_the_standards_verify_and_nothing_near_them() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("jose/rfc.json")).unwrap();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let source = vector["source"].as_str().unwrap();
        let keys = set(&vector["key"]).expect(source);
        let token = vector["token"].as_str().unwrap();
        let jws = Jws::parse(token.as_bytes()).expect(source);
        assert_eq!(Some(jws.head.algorithm.name()), vector["algorithm"].as_str());
        let verify = |signed: &[u8], signature: &[u8]| keys.verify(None, jws.head.algorithm, signed, signature);
        assert_eq!(verify(jws.signed, &jws.signature), Ok(()), "{source}");
        assert_eq!(verify(&jws.signed[1..], &jws.signature), Err(Wrong::Signature), "{source}");
        for at in 0..jws.signature.len() {
            let mut other = jws.signature.clone();
            other[at] ^= 1;
            assert_eq!(verify(jws.signed, &other), Err(Wrong::Signature), "{source} {at}");
        }
    }
}

/// Wycheproof's judgement against ours; returns how many were valid, and how many were not.
fn judged(name: &str, number: usize, judgement: TestResult, ours: Result<(), Wrong>, counts: &mut (u32, u32)) {
    match judgement {
        TestResult::Valid => {
            assert_eq!(ours, Ok(()), "{name} {number}");
            counts.0 += 1;
        }
        TestResult::Invalid => {
            assert!(ours.is_err(), "{name} {number}");
            counts.1 += 1;
        }
        TestResult::Acceptable => {}
    }
}

#[test]
fn wycheproof_ecdsa() {
    for (name, curve, length, algorithm) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256", 32, Algorithm::Es256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384", 48, Algorithm::Es384),
        (ecdsa::TestName::EcdsaSecp521r1Sha512P1363, "P-521", 66, Algorithm::Es512),
    ] {
        let mut counts = (0, 0);
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point: &[u8] = &group.key.key;
            let (x, y) = (base64(&point[1..=length]), base64(&point[1 + length..]));
            let keys = set(&json!({"kty": "EC", "crv": curve, "x": x, "y": y})).expect("a key");
            for test in group.tests {
                let ours = keys.verify(None, algorithm, &test.msg, &test.sig);
                judged(curve, test.tc_id, test.result, ours, &mut counts);
            }
        }
        assert!(counts.0 > 50 && counts.1 > 50, "{counts:?}");
    }
}

#[test]
fn wycheproof_eddsa() {
    let mut counts = (0, 0);
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let keys = set(&json!({"kty": "OKP", "crv": "Ed25519", "x": base64(&group.key.pk)})).expect("a key");
        for test in group.tests {
            let ours = keys.verify(None, Algorithm::EdDsa, &test.msg, &test.sig);
            judged("Ed25519", test.tc_id, test.result, ours, &mut counts);
        }
    }
    assert!(counts.0 > 50 && counts.1 > 30, "{counts:?}");
}

#[test]
fn wycheproof_rsa() {
    let mut counts = (0, 0);
    for (name, algorithm) in [
        (rsa_pkcs1_verify::TestName::Rsa2048Sha256, Algorithm::Rs256),
        (rsa_pkcs1_verify::TestName::Rsa3072Sha384, Algorithm::Rs384),
        (rsa_pkcs1_verify::TestName::Rsa4096Sha512, Algorithm::Rs512),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let keys =
                set(&json!({"kty": "RSA", "n": base64(&group.key.n), "e": base64(&group.key.e)})).expect("a key");
            for test in group.tests {
                let ours = keys.verify(None, algorithm, &test.msg, &test.sig);
                judged(algorithm.name(), test.tc_id, test.result, ours, &mut counts);
            }
        }
    }
    for (name, algorithm) in [
        (rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (rsa_pss_verify::TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384),
        (rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let keys =
                set(&json!({"kty": "RSA", "n": base64(&group.key.n), "e": base64(&group.key.e)})).expect("a key");
            for test in group.tests {
                let ours = keys.verify(None, algorithm, &test.msg, &test.sig);
                judged(algorithm.name(), test.tc_id, test.result, ours, &mut counts);
            }
        }
    }
    assert!(counts.0 > 50 && counts.1 > 300, "{counts:?}");
    // Salts are as long as the hash (RFC 7518 §3.5).
    for group in
        rsa_pss_verify::TestSet::load(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0).unwrap().test_groups
    {
        let keys = set(&json!({"kty": "RSA", "n": base64(&group.key.n), "e": base64(&group.key.e)})).expect("a key");
        for test in group.tests.into_iter().filter(|test| matches!(test.result, TestResult::Valid)) {
            assert!(keys.verify(None, Algorithm::Ps256, &test.msg, &test.sig).is_err(), "{}", test.tc_id);
        }
    }
}
