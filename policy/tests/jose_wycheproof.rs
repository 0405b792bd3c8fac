//! Wycheproof's sets for JSON Web Signatures, Keys and Encryption: what it calls valid passes and what it calls invalid does not, but for
//! what stands in [`DIFFER`], with its reason.

use policy::authorize::jwk::KeySet;
use policy::authorize::jws::Jws;
use serde_json::{Value, json};
use wycheproof_ng_kdf_jose::json_web::TestName;

/// Why a token that it calls valid is refused here, and which these are. (None passes here that it calls invalid.)
const DIFFER: &[(&str, IsOne)] = &[
    ("encrypted tokens are of no use to a gateway without a secret", |case| case.set == TestName::JsonWebEncryption),
    ("the same, in the set of all kinds", |case| case.is_encrypted()),
    ("who may verify an HMAC may forge it", |case| case.key_types().iter().all(|kind| kind == "oct")),
    ("RFC 7520's key has no `alg`: that of the vector is none that there is (ES521)", |case| {
        case.key()["alg"] == "ES521" && [347, 351].contains(&case.number())
    }),
    ("RFC 7520's key has no `alg`: that of the vector (PS256) is not what has signed (PS384)", |case| {
        case.key()["alg"] == "PS256" && [346, 350].contains(&case.number())
    }),
];

/// Whether it is one of these.
type IsOne = fn(&Case<'_>) -> bool;

/// A test of a set.
struct Case<'a> {
    set: TestName,
    group: &'a Value,
    test: &'a Value,
}

impl Case<'_> {
    fn number(&self) -> u64 {
        self.test["tcId"].as_u64().expect("a number")
    }

    fn is_encrypted(&self) -> bool {
        self.key()["use"] == "enc" && self.group["comment"].as_str().expect("a text").starts_with("jwe")
    }

    fn key(&self) -> &Value {
        self.group.get("public").unwrap_or(&self.group["private"])
    }

    fn keys(&self) -> Vec<&Value> {
        self.key().get("keys").and_then(Value::as_array).map_or_else(|| vec![self.key()], |keys| keys.iter().collect())
    }

    /// Of the keys that the token may be for.
    fn key_types(&self) -> Vec<Value> {
        self.keys().into_iter().map(|key| key["kty"].clone()).collect()
    }

    fn text(&self) -> String {
        let text = self.test.get("jws").or(self.test.get("jwe")).expect("a token");
        text.as_str().map_or_else(|| text.to_string(), str::to_owned)
    }

    /// Whether the token is believed by whoever trusts these keys.
    fn passes(&self) -> bool {
        let set = json!({ "keys": self.keys() });
        let Ok(keys) = KeySet::parse(set.to_string().as_bytes()) else { return false };
        let text = self.text();
        let Ok(jws) = Jws::parse(text.as_bytes()) else { return false };
        let head = &jws.head;
        keys.verify(head.key_id.as_deref(), head.algorithm, jws.signed, &jws.signature).is_ok()
    }
}

/// How many of a set pass, how many are refused as they should be, and how many differ, by reason.
fn judge(set: TestName) -> (usize, usize, Vec<usize>) {
    let all: Value = serde_json::from_str(set.json_data()).expect("the set is JSON");
    let (mut passed, mut refused, mut differing) = (0, 0, vec![0; DIFFER.len()]);
    for group in all["testGroups"].as_array().expect("a list") {
        for test in group["tests"].as_array().expect("a list") {
            let case = Case { set, group, test };
            let (passes, is_valid) = (case.passes(), test["result"] == "valid");
            assert!(is_valid || test["result"] == "invalid", "{set:?} {}", case.number());
            assert!(is_valid || !passes, "{set:?} {}: {} passes", case.number(), test["comment"]);
            match (passes, is_valid) {
                (true, _) => passed += 1,
                (false, false) => refused += 1,
                (false, true) => {
                    let reason = DIFFER.iter().position(|(_, is_one)| is_one(&case));
                    let reason = reason.unwrap_or_else(|| panic!("{set:?} {}: {test} is refused", case.number()));
                    differing[reason] += 1;
                }
            }
        }
    }
    (passed, refused, differing)
}

#[test]
fn json_web_signatures() {
    assert_eq!(judge(TestName::JsonWebSignature), (32, 355, vec![0, 0, 10, 2, 2]));
}

#[test]
fn json_web_keys() {
    assert_eq!(judge(TestName::JsonWebKey), (1, 21, vec![0, 0, 4, 0, 0]));
}

#[test]
fn json_web_signatures_and_encryption_with_keys_of_all_kinds() {
    assert_eq!(judge(TestName::JsonWebCrypto), (2, 77, vec![0, 2, 2, 0, 0]));
}

#[test]
fn json_web_encryption_is_refused() {
    let (passed, _, differing) = judge(TestName::JsonWebEncryption);
    assert_eq!((passed, &differing[1..]), (0, &[0, 0, 0, 0][..]));
}
