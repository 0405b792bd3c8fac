//! Public keys of issuers (RFC 7517, 7518, 8037): which of a set may verify what.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::jws::Algorithm;
use super::jwt::Wrong;
use super::strict;
use crate::limits::{
    KEY_ID_BYTES_MAX, KEY_SET_BYTES_MAX, KEY_SET_KEYS_MAX, RSA_BITS_MAX, RSA_BITS_MIN, RSA_EXPONENT_BYTES_MAX,
};

/// The keys of an issuer that are of use.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Why others of the set are of no use.
    pub unfit: Vec<Unfit>,
}

/// A public key that verifies signatures.
struct Key {
    id: Option<Box<str>>,
    /// What it may verify. One key never serves two families (RFC 8725 §3.1).
    fits: Vec<(Algorithm, ParsedPublicKey)>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.fits.iter().map(|(algorithm, _)| algorithm).collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

/// Why a key of a set is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is for something else than signatures, or not for verifying them.
    Use,
    /// A secret that is shared: whoever verifies with it can forge.
    Symmetric,
    /// Its type, its curve or its algorithm is not known here.
    Unknown,
    /// Its members are missing, or not what they should be.
    Malformed,
    /// An RSA key of fewer than 2,048 bits or more than 8,192, with an exponent that nobody should use, or from a chip whose keys can be
    /// factored (CVE-2017-15361).
    Weak,
}

impl Unfit {
    /// In the words of a warning.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Use => "it is not for verifying signatures",
            Self::Symmetric => "it is a shared secret",
            Self::Unknown => "its type, curve or algorithm is not known",
            Self::Malformed => "it is not well made",
            Self::Weak => {
                "it is an RSA key of fewer than 2,048 bits, more than 8,192, with a bad exponent, or of a broken maker"
            }
        }
    }
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKeys {
    /// More than [`KEY_SET_BYTES_MAX`] bytes.
    TooLong,
    /// Not JSON, a name twice in an object, or no list of objects under `keys`.
    Malformed,
    /// More than [`KEY_SET_KEYS_MAX`] keys.
    TooMany,
    /// None that is of use; why the last of them is not.
    Useless(Option<Unfit>),
}

impl fmt::Display for NoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {KEY_SET_BYTES_MAX} bytes"),
            Self::Malformed => f.write_str("it is no JSON Web Key Set"),
            Self::TooMany => write!(f, "it has more than {KEY_SET_KEYS_MAX} keys"),
            Self::Useless(None) => f.write_str("it has no key"),
            Self::Useless(Some(why)) => write!(f, "no key of it is of use: of the last, {}", why.says()),
        }
    }
}

impl KeySet {
    /// Reads a set (RFC 7517 §5). Keys that are of no use are left out, as the standard asks.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoKeys> {
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err(NoKeys::TooLong);
        }
        let members = strict::object(bytes).ok_or(NoKeys::Malformed)?;
        let Some(Value::Array(list)) = members.get("keys") else { return Err(NoKeys::Malformed) };
        if list.len() > KEY_SET_KEYS_MAX {
            return Err(NoKeys::TooMany);
        }
        let mut set = Self::default();
        for key in list {
            let Value::Object(members) = key else { return Err(NoKeys::Malformed) };
            match Key::read(members) {
                Ok(key) => set.keys.push(key),
                Err(unfit) => set.unfit.push(unfit),
            }
        }
        if set.keys.is_empty() { Err(NoKeys::Useless(set.unfit.last().copied())) } else { Ok(set) }
    }

    /// How many are of use.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a token that names this key can be verified.
    pub fn has(&self, id: Option<&str>) -> bool {
        self.named(id).next().is_some()
    }

    /// The keys of that name. A token that names none is for the only key of a set, if that has no name either.
    fn named<'s>(&'s self, id: Option<&'s str>) -> impl Iterator<Item = &'s Key> {
        let only = id.is_some() || self.keys.len() == 1;
        self.keys.iter().filter(move |key| only && key.id.as_deref() == id)
    }

    /// Whether the key of that name has signed this. The first key of the name that is for the algorithm decides.
    pub fn verify(&self, id: Option<&str>, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<(), Wrong> {
        let mut is_known = false;
        for key in self.named(id) {
            is_known = true;
            if let Some((_, key)) = key.fits.iter().find(|(fits, _)| *fits == algorithm) {
                return key.verify_sig(signed, signature).map_err(|_| Wrong::Signature);
            }
        }
        Err(if is_known { Wrong::KeyType } else { Wrong::Key })
    }
}

impl Key {
    fn read(members: &Map<String, Value>) -> Result<Self, Unfit> {
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Unfit::Malformed),
        };
        let kind = text("kty")?.ok_or(Unfit::Malformed)?;
        if kind == "oct" {
            return Err(Unfit::Symmetric);
        }
        if text("use")?.is_some_and(|is_for| is_for != "sig") || !may_verify(members)? {
            return Err(Unfit::Use);
        }
        let only = match text("alg")? {
            Some(name) => Some(Algorithm::parse(name).ok_or(Unfit::Unknown)?),
            None => None,
        };
        let id = text("kid")?;
        if id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(Unfit::Malformed);
        }
        let bytes = |name: &str| -> Result<Vec<u8>, Unfit> {
            let text = text(name)?.ok_or(Unfit::Malformed)?;
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Unfit::Malformed)
        };
        let mut fits = match kind {
            "RSA" => rsa(&bytes("n")?, &bytes("e")?)?,
            "EC" => vec![elliptic(text("crv")?, &bytes("x")?, &bytes("y")?)?],
            "OKP" if text("crv")? == Some("Ed25519") => vec![edwards(&bytes("x")?)?],
            _ => return Err(Unfit::Unknown),
        };
        fits.retain(|(algorithm, _)| only.is_none_or(|only| only == *algorithm));
        if fits.is_empty() { Err(Unfit::Malformed) } else { Ok(Self { id: id.map(Box::from), fits }) }
    }
}

/// `key_ops` (RFC 7517 §4.3).
fn may_verify(members: &Map<String, Value>) -> Result<bool, Unfit> {
    match members.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(list)) => Ok(list.iter().any(|word| word == "verify")),
        Some(_) => Err(Unfit::Malformed),
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Vec<(Algorithm, ParsedPublicKey)>, Unfit> {
    let (n, e) = (without_zeros(modulus), without_zeros(exponent));
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let is_one = e == [1];
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || is_one || !is_odd(e) || e.len() > RSA_EXPONENT_BYTES_MAX {
        return Err(Unfit::Weak);
    }
    if !is_odd(n) {
        return Err(Unfit::Malformed);
    }
    if is_of_broken_maker(n) {
        return Err(Unfit::Weak);
    }
    let components = RsaPublicKeyComponents { n, e };
    let all = [
        (Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
        (Algorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
        (Algorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
    ];
    let parsed = all.into_iter().map(|(algorithm, parameters)| {
        let key = components.to_parsed_public_key(parameters).map_err(|_| Unfit::Malformed)?;
        Ok((algorithm, key))
    });
    parsed.collect()
}

/// Whether a modulus has the mark of chips that made all primes alike (CVE-2017-15361): modulo every small prime it is a power of 65537,
/// which of other moduli one in 2^27 is.
fn is_of_broken_maker(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * (65_537 % prime) % prime;
            power == rest
        })
    })
}

/// RFC 7518 §6.2.1: each coordinate is as long as the curve's numbers, and the point lies on the curve.
fn elliptic(curve: Option<&str>, x: &[u8], y: &[u8]) -> Result<(Algorithm, ParsedPublicKey), Unfit> {
    let (algorithm, parameters, length) = match curve {
        Some("P-256") => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
        Some("P-384") => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
        Some("P-521") => (Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66),
        Some(_) => return Err(Unfit::Unknown),
        None => return Err(Unfit::Malformed),
    };
    if x.len() != length || y.len() != length {
        return Err(Unfit::Malformed);
    }
    let point = [&[4], x, y].concat();
    let key = ParsedPublicKey::new(parameters, point).map_err(|_| Unfit::Malformed)?;
    Ok((algorithm, key))
}

/// RFC 8037 §2.
fn edwards(x: &[u8]) -> Result<(Algorithm, ParsedPublicKey), Unfit> {
    if x.len() != 32 {
        return Err(Unfit::Malformed);
    }
    let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| Unfit::Malformed)?;
    Ok((Algorithm::EdDsa, key))
}
