//! Version 4a: the same request, signed for several regions at once with a key on P-256 that both sides derive from the secret (A-12; REST
//! APIs take it).

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};

use super::{Asked, FieldList, Work, Wrong, judge};

/// The name of the algorithm.
pub const ALGORITHM: &[u8] = b"AWS4-ECDSA-P256-SHA256";

/// The order of the curve, less two, as the derivation compares with it.
const MOST: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// What verifies whom a secret belongs to.
pub struct EllipticKey(ParsedPublicKey);

impl std::fmt::Debug for EllipticKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EllipticKey")
    }
}

impl EllipticKey {
    /// The key of a secret: the first number that the key derivation of NIST SP 800-108 (counter mode, HMAC-SHA256) gives and that the
    /// curve has, and one. `None`: it gives none, which is as likely as 254 misses of one in 2^32.
    pub fn derive(access_key: &[u8], secret: &[u8]) -> Option<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[b"AWS4A", secret].concat());
        (1..=254_u8).find_map(|counter| {
            let input = [&[0, 0, 0, 1], ALGORITHM, &[0], access_key, &[counter], &[0, 0, 1, 0]].concat();
            let mut scalar = [0; 32];
            scalar.copy_from_slice(hmac::sign(&key, &input).as_ref());
            if scalar > MOST {
                return None;
            }
            for byte in scalar.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
            let public = PrivateKey::from_private_key(&ECDH_P256, &scalar).ok()?.compute_public_key().ok()?;
            ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public.as_ref()).ok().map(Self)
        })
    }
}

/// Whether this key has signed this request. As [`super::verify`], of requests that are [`Work::is_elliptic`].
pub fn verify_elliptic<'a, F: FieldList<'a>>(
    asked: &Asked<'a, F>,
    key: &EllipticKey,
    body: &[u8; 32],
    work: &mut Work,
) -> Result<(), Wrong> {
    if !work.is_elliptic() {
        return Err(Wrong::Differs);
    }
    judge(asked, body, work, |message, signature| key.0.verify_sig(message, signature).is_ok())
}

/// Whether a set of regions has this one: `us-east-1,eu-*`.
pub fn has_region(set: &[u8], region: &[u8]) -> bool {
    set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|pattern| match pattern.split_last() {
        Some((b'*', start)) => region.starts_with(start),
        _ => pattern == region,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Scope, hash, read};
    use super::*;

    const ID: &[u8] = b"AKISORANDOMAASORANDOM";
    const SECRET: &[u8] = b"q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom";
    const NOW: u64 = 1_440_938_160_000;
    const OURS: Scope<'_> = Scope { region: "us-east-1", service: "execute-api" };

    #[test]
    fn a12_the_key_is_the_one_that_aws_derives() {
        // The published vector of aws-c-auth.
        let point = "0415d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb\
                     0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0";
        let expected = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap();
        assert_eq!(EllipticKey::derive(ID, SECRET).unwrap().0.as_ref(), expected);
    }

    /// A request: its target, its fields, its body.
    type Shown<'a> = (&'a str, Vec<(&'a str, String)>, &'a str);

    fn judged((target, fields, body): &Shown<'_>, scope: Scope<'_>, secret: &[u8]) -> Result<(), Wrong> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let method = if body.is_empty() { &b"GET"[..] } else { b"POST" };
        let asked = Asked { method, path: path.as_bytes(), query: query.as_bytes(), fields };
        let mut work = Work::default();
        read(&asked, scope, NOW, &mut work)?;
        assert!(work.is_elliptic() && work.access_key() == ID);
        let key = EllipticKey::derive(ID, secret).unwrap();
        verify_elliptic(&asked, &key, &hash(body.as_bytes()), &mut work)
    }

    /// Two requests that AWS's library (awscrt) has signed: in a field, and in the query.
    fn signed() -> [Shown<'static>; 2] {
        let authorization = "AWS4-ECDSA-P256-SHA256 Credential=AKISORANDOMAASORANDOM/20150830/execute-api/aws4_request, \
            SignedHeaders=host;x-amz-date;x-amz-meta;x-amz-region-set, Signature=3046022100eceba3d7b09cba3f871ede858e169ba74\
            b78834957dbcaf829b4b9fc9699afa2022100dbe4b220563e406649a1fdc4b80c3216d84ed6d12b48c7e6c73ba44ca2d0dcf1";
        let field = vec![
            ("Host", "api.test".to_owned()),
            ("X-Amz-Meta", "a  b".to_owned()),
            ("X-Amz-Date", "20150830T123600Z".to_owned()),
            ("X-Amz-Region-Set", "us-east-1,eu-*".to_owned()),
            ("Authorization", authorization.to_owned()),
        ];
        let query = "/a?b=1&X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential=AKISORANDOMAASORANDOM%2F20150830%2F\
            execute-api%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host%3Bx-amz-meta&X-Amz-Expires=600&\
            X-Amz-Region-Set=%2A&X-Amz-Signature=3045022100e564dd14632b4474c9050e3ecfe77a8740366a196b19ea924f6864b5175f2733022\
            0321090c2629ed2f9acf41bd3f7f38e955ad00748d24383925b1c3cc6bf9205f0";
        let plain = vec![("Host", "api.test".to_owned()), ("X-Amz-Meta", "a  b".to_owned())];
        [("/a%20b/x?b=1&a=%7E", field, "hello"), (query, plain, "")]
    }

    #[test]
    fn a12_what_aws_has_signed_for_several_regions_is_verified() {
        let eu = Scope { region: "eu-west-3", ..OURS };
        for request in signed() {
            for scope in [OURS, eu] {
                assert_eq!(judged(&request, scope, SECRET), Ok(()));
            }
            assert_eq!(judged(&request, OURS, b"another"), Err(Wrong::Differs));
            assert_eq!(judged(&request, Scope { service: "s3", ..OURS }, SECRET), Err(Wrong::Service));
            let (target, fields, body) = request;
            let other = format!("{}x", if body.is_empty() { "" } else { body });
            assert_eq!(judged(&(target, fields.clone(), &other), OURS, SECRET), Err(Wrong::Differs));
            let elsewhere = target.replace("/a", "/b");
            assert_eq!(judged(&(&elsewhere, fields, body), OURS, SECRET), Err(Wrong::Differs));
        }
        let [field, query] = signed();
        assert_eq!(judged(&field, Scope { region: "us-west-2", ..OURS }, SECRET), Err(Wrong::Region));
        let without = query.0.replace("X-Amz-Region-Set=%2A&", "");
        assert_eq!(judged(&(&without, query.1.clone(), ""), OURS, SECRET), Err(Wrong::NoRegionSet));
        let wider = |from: &str, to: &str| {
            let change = |(name, value): &(&'static str, String)| (*name, value.replace(from, to));
            (field.0, field.1.iter().map(change).collect::<Vec<_>>(), field.2)
        };
        assert_eq!(judged(&wider("us-east-1,eu-*", "*"), OURS, SECRET), Err(Wrong::Differs), "the set is signed");
        assert_eq!(judged(&wider(";x-amz-region-set", ""), OURS, SECRET), Err(Wrong::FieldNotSigned));
        assert_eq!(judged(&wider("Signature=3046", "Signature=3045"), OURS, SECRET), Err(Wrong::Differs));
        assert_eq!(judged(&wider("Signature=3046", "Signature=x"), OURS, SECRET), Err(Wrong::Differs));
        assert_eq!(judged(&wider("/execute-api/", "/us-east-1/execute-api/"), OURS, SECRET), Err(Wrong::NoCredential));
    }

    #[test]
    fn regions_of_a_set() {
        for (set, is_in) in [
            ("us-east-1", true),
            ("*", true),
            ("us-*", true),
            ("eu-*, us-east-1", true),
            ("eu-*", false),
            ("", false),
            ("us-east-11", false),
            ("us-east", false),
        ] {
            assert_eq!(has_region(set.as_bytes(), b"us-east-1"), is_in, "{set}");
        }
    }
}
