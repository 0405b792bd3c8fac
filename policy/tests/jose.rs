//! Published vectors: the examples of RFC 7515 to 7520, 7797 and 8037, and Wycheproof's signatures, each through a key of a set.

use data_encoding::BASE64URL_NOPAD;
use policy::authorize::jwk::{KeySet, NoKeys};
use policy::authorize::jws::{Algorithm, Algorithms, Jws};
use policy::authorize::jwt::{Issuer, Rules, Wrong};
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

fn set(key: &Value) -> Option<KeySet> {
    KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).ok()
}

fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The examples: tokens that verify, tokens that are refused and why, keys and why some are of no use.
fn examples(list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("jose/rfc.json")).expect("the file is JSON");
    all[list].as_array().expect("a list").clone()
}

#[test]
fn the_examples_of_the_standards_verify_and_nothing_near_them() {
    let vectors = examples("verified");
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let source = vector["source"].as_str().unwrap();
        let keys = set(&vector["key"]).expect(source);
        let token = vector["token"].as_str().unwrap();
        let jws = Jws::parse(token.as_bytes()).expect(source);
        assert_eq!(Some(jws.head.algorithm.name()), vector["algorithm"].as_str());
        let id = jws.head.key_id.as_deref();
        let verify = |signed: &[u8], signature: &[u8]| keys.verify(id, jws.head.algorithm, signed, signature);
        assert_eq!(verify(jws.signed, &jws.signature), Ok(()), "{source}");
        assert_eq!(verify(&jws.signed[1..], &jws.signature), Err(Wrong::Signature), "{source}");
        for at in 0..jws.signature.len() {
            let mut other = jws.signature.clone();
            other[at] ^= 1;
            assert_eq!(verify(jws.signed, &other), Err(Wrong::Signature), "{source} {at}");
        }
    }
}

#[test]
fn the_examples_that_no_gateway_should_believe_are_refused_by_name() {
    let vectors = examples("refused");
    assert_eq!(vectors.len(), 29);
    for vector in vectors {
        let source = vector["source"].as_str().unwrap();
        let why = Jws::parse(vector["token"].as_str().unwrap().as_bytes()).expect_err(source);
        assert_eq!(Some(&*format!("{why:?}")), vector["why"].as_str(), "{source}");
    }
}

#[test]
fn the_keys_of_the_standards_are_of_use_or_not_for_the_right_reason() {
    let vectors = examples("keys");
    assert_eq!(vectors.len(), 20);
    for vector in &vectors {
        let source = vector["source"].as_str().unwrap();
        let parsed = KeySet::parse(json!({ "keys": [vector["key"]] }).to_string().as_bytes());
        match vector["unfit"].as_str() {
            None => assert!(parsed.expect(source).has(vector["key"]["kid"].as_str()), "{source}"),
            Some(why) => {
                let Err(NoKeys::Useless(Some(unfit))) = parsed else { panic!("{source}: {parsed:?}") };
                assert_eq!(format!("{unfit:?}"), why, "{source}");
            }
        }
    }
    // All in one set: those that are of no use are left out, and spoil nothing.
    let all: Vec<&Value> = vectors.iter().map(|vector| &vector["key"]).collect();
    let set = KeySet::parse(json!({ "keys": all }).to_string().as_bytes()).unwrap();
    let unfit = vectors.iter().filter(|vector| vector.get("unfit").is_some()).count();
    assert_eq!((set.len(), set.unfit.len()), (vectors.len() - unfit, unfit));
}

#[test]
fn the_claims_of_the_standard_are_read() {
    // RFC 7519 §3.1, whose token is an HMAC's, in the signature of RFC 7515 A.2: its payload is the same.
    let vector = &examples("verified")[0];
    let keys = set(&vector["key"]).unwrap();
    let rules = Rules {
        issuers: [Issuer { name: "joe".into(), audiences: Box::default() }].into(),
        algorithms: Algorithms::ALL,
        clock_skew: 0,
        kind: None,
        cognito: false,
        commas: false,
    };
    let token = vector["token"].as_str().unwrap().as_bytes();
    let verify = |now: u64| rules.verify(rules.open(token).unwrap(), &keys, now, false);
    let verified = verify(1_300_819_379).unwrap();
    assert_eq!(verified.expires, 1_300_819_380);
    let fields: Vec<(&str, &str)> = verified.identity.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert!(fields.contains(&("claims.http://example.com/is_root", "true")), "{fields:?}");
    assert_eq!(verify(1_300_819_380).err(), Some(Wrong::Expired));
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
