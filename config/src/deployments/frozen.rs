//! A definition as bytes that never change, named by their hash.
//!
//! The form is canonical: compact JSON, the fields in the order of the types, JSON of the documents in its own order. The hash is that of
//! the bytes, so that a later version, whose definitions have more fields, still verifies what this one wrote.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::fault::{FaultKind, StoreFault};
use crate::definition::Definition;
use crate::limits;

/// The form that this version writes. It goes up when an older version must not read what a newer one has written.
const FORMAT: u32 = 1;

/// The SHA-256 of a frozen definition: its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionHash([u8; 32]);

impl DefinitionHash {
    /// The hash of a frozen definition.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DefinitionHash {
    /// 64 digits, `0` to `f`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DefinitionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not 64 digits, `0` to `f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAHash;

impl fmt::Display for NotAHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash has 64 digits, 0 to 9 and a to f")
    }
}

impl FromStr for DefinitionHash {
    type Err = NotAHash;

    /// One spelling only, since it is a file's name.
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotAHash),
        };
        if text.len() != 64 {
            return Err(NotAHash);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for DefinitionHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DefinitionHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Box::<str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A definition that is ready to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Its name.
    pub hash: DefinitionHash,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many methods it has.
    pub methods: usize,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    definition: &'a Definition,
}

#[derive(Deserialize)]
struct Read {
    format: u32,
    definition: Definition,
}

/// Freezes a definition. What is frozen can be thawed.
///
/// # Errors
/// It is larger than [`limits::DEFINITION_BYTES_MAX`], or nested deeper than can be read again.
pub fn freeze(definition: &Definition) -> Result<Frozen, StoreFault> {
    let hint = "make the API's documents smaller: split the API, or its models";
    let bytes = serde_json::to_vec(&Written { format: FORMAT, definition })
        .map_err(|error| StoreFault::new(FaultKind::Corrupt, &format!("the API cannot be frozen: {error}"), hint))?;
    if bytes.len() > limits::DEFINITION_BYTES_MAX {
        let most = limits::DEFINITION_BYTES_MAX / (1024 * 1024);
        return Err(StoreFault::new(FaultKind::Corrupt, &format!("the frozen API is larger than {most} MiB"), hint));
    }
    let hash = DefinitionHash::of(&bytes);
    if let Err(why) = parse(&bytes) {
        return Err(StoreFault::new(
            FaultKind::Corrupt,
            &format!("the frozen API could not be read again: {why}"),
            hint,
        ));
    }
    Ok(Frozen { hash, bytes, methods: definition.methods.len() })
}

/// What is wrong with the bytes of a frozen definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// They are not those that were written.
    Changed,
    /// A newer version has written them; what it says that this one does not know.
    Newer(String),
    /// They are what was written, but this version cannot read them.
    Strange(String),
}

/// Thaws a definition.
pub(super) fn thaw(hash: &DefinitionHash, bytes: &[u8]) -> Result<Definition, Unreadable> {
    if DefinitionHash::of(bytes) != *hash {
        return Err(Unreadable::Changed);
    }
    parse(bytes).map_err(|why| match format_of(bytes) {
        Some(format) if format > FORMAT => Unreadable::Newer(format!("format {format}")),
        _ => match why.strip_prefix(UNKNOWN) {
            Some(field) => Unreadable::Newer(field.to_owned()),
            None => Unreadable::Strange(why),
        },
    })
}

const UNKNOWN: &str = "unknown field ";

/// A field that this version does not know is not passed over: it may be what restricts access.
fn parse(bytes: &[u8]) -> Result<Definition, String> {
    let mut unknown = None;
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let read: Read = serde_ignored::deserialize(&mut text, |field| {
        unknown.get_or_insert_with(|| field.to_string());
    })
    .map_err(|error| error.to_string())?;
    text.end().map_err(|error| error.to_string())?;
    match unknown {
        Some(field) => Err(format!("{UNKNOWN}{field}")),
        None if read.format == FORMAT => Ok(read.definition),
        None => Err(format!("format {}", read.format)),
    }
}

fn format_of(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Probe {
        format: u32,
    }
    serde_json::from_slice::<Probe>(bytes).ok().map(|probe| probe.format)
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::{Value, json};

    use super::*;
    use crate::Place;
    use crate::definition::{Integration, IntegrationType, Method, Model, Word};

    fn definition() -> Definition {
        let mut definition = Definition::new(Kind::Rest);
        let place = Place { line: 3, ..Place::default() };
        let mut method = Method::new(None, Word::new("/a/{b}", place), place);
        method.integration = Some(Integration::new(IntegrationType::HttpProxy, place));
        definition.methods.push(method);
        let schema = json!({"z": 1, "multipleOf": 0.123_456_789_012_345_68, "a": [u64::MAX, -1, 1e300, null]});
        definition.models.push(("Pet".into(), Model { description: None, schema }));
        definition.policy = Some(Value::Null);
        definition
    }

    /// Bytes with another name: those of a document that says the same otherwise.
    fn changed(frozen: &Frozen, from: &str, to: &str) -> (DefinitionHash, Vec<u8>) {
        let text = std::str::from_utf8(&frozen.bytes).unwrap();
        assert!(text.contains(from), "{text}");
        let bytes = text.replacen(from, to, 1).into_bytes();
        (DefinitionHash::of(&bytes), bytes)
    }

    #[test]
    fn the_same_content_has_the_same_name_wherever_it_was_written() {
        let frozen = freeze(&definition()).unwrap();
        let mut elsewhere = definition();
        elsewhere.methods[0].place = Place { line: 99, ..Place::default() }.into();
        elsewhere.methods[0].path = "/a/{b}".into();
        assert_eq!(freeze(&elsewhere).unwrap(), frozen);
        elsewhere.methods[0].deprecated = true;
        assert_ne!(freeze(&elsewhere).unwrap().hash, frozen.hash);
        assert_eq!(frozen.methods, 1);
    }

    #[test]
    fn what_is_thawed_freezes_to_the_same_bytes() {
        let frozen = freeze(&definition()).unwrap();
        let thawed = thaw(&frozen.hash, &frozen.bytes).unwrap();
        assert_eq!(freeze(&thawed).unwrap(), frozen);
        assert_eq!(thawed.methods, definition().methods);
        assert_eq!(thawed.models, definition().models, "numbers keep every digit");
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let frozen = freeze(&definition()).unwrap();
        for at in 0..frozen.bytes.len() {
            let mut bytes = frozen.bytes.clone();
            bytes[at] ^= 1;
            assert_eq!(thaw(&frozen.hash, &bytes), Err(Unreadable::Changed));
            assert_eq!(thaw(&frozen.hash, &frozen.bytes[..at]), Err(Unreadable::Changed));
        }
    }

    #[test]
    fn what_a_newer_version_says_is_not_passed_over() {
        let frozen = freeze(&definition()).unwrap();
        let (hash, bytes) = changed(&frozen, "\"deprecated\":false", "\"deprecated\":false,\"firewall\":{}");
        assert_eq!(thaw(&hash, &bytes), Err(Unreadable::Newer("definition.methods.0.firewall".into())));
        let (hash, bytes) = changed(&frozen, "\"format\":1", "\"format\":2");
        assert_eq!(thaw(&hash, &bytes), Err(Unreadable::Newer("format 2".into())));
        let (hash, bytes) = changed(&frozen, "\"kind\":", "\"kinds\":");
        assert!(matches!(thaw(&hash, &bytes), Err(Unreadable::Strange(_))));
        let (hash, bytes) = changed(&frozen, "\"format\":1", "\"format\":0");
        assert_eq!(thaw(&hash, &bytes), Err(Unreadable::Strange("format 0".into())));
    }

    #[test]
    fn what_could_not_be_read_again_is_not_frozen() {
        let mut deep = Value::Null;
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let mut definition = definition();
        definition.policy = Some(deep);
        assert!(freeze(&definition).unwrap_err().what.contains("recursion"), "named by its reason");
    }

    #[test]
    fn hashes_have_one_spelling() {
        let hash = DefinitionHash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, B.1
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        for bad in [&text[1..], &text.to_uppercase(), &format!("{text}0"), &text.replace('b', "g"), ""] {
            assert_eq!(bad.parse::<DefinitionHash>(), Err(NotAHash), "{bad}");
        }
    }
}
