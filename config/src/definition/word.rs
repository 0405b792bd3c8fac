//! A text of a definition, and where it was written. What it says counts, where it stands does not.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::Place;
use crate::source::node::{Style, Text};

/// A text with its place. Comparing, ordering and serializing see the text alone, so that a definition that was frozen and read
/// again is equal to the one that was written.
#[derive(Clone)]
pub struct Word(pub Text);

impl Word {
    /// A text that stands at a place, but is not written there letter by letter.
    pub fn new(text: impl Into<Box<str>>, place: Place) -> Self {
        Self(Text { text: text.into(), place, style: Style::Block })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.0.place
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.text
    }
}

impl From<&Text> for Word {
    fn from(text: &Text) -> Self {
        Self(text.clone())
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::new(text, Place::default())
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word {}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::new(Box::<str>::deserialize(from)?, Place::default()))
    }
}

/// Where a part of a definition begins. All origins are equal: where something stands does not make it another thing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin(pub Place);

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Deref for Origin {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.0
    }
}

impl From<Place> for Origin {
    fn from(place: Place) -> Self {
        Self(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_make_no_difference() {
        let here = Word::new("a", Place { line: 7, ..Place::default() });
        assert_eq!(here, Word::from("a"));
        let next = Word::from("b");
        assert!(here < next);
    }

    #[test]
    fn only_the_text_is_kept() {
        let word = Word::new("x\"y", Place { line: 3, ..Place::default() });
        let json = serde_json::to_string(&word).unwrap();
        assert_eq!(json, r#""x\"y""#);
        assert_eq!(serde_json::from_str::<Word>(&json).unwrap(), word);
    }
}
