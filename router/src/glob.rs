//! What a header's value must look like in a routing rule: `a*`, `*a`, `*a*` or `a` (DM-05).

use crate::limits::GLOB_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A pattern for a whole header value; case counts. `*` stands for any bytes, also none, and may be at either end only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    /// Without the stars.
    text: Box<str>,
    open_start: bool,
    open_end: bool,
}

/// Why a text is no glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobFault {
    /// No text at all.
    Empty,
    /// A `*` that is neither the first nor the last character.
    Star {
        /// Byte offset in the text given to [`Glob::parse`].
        offset: usize,
    },
    /// A character that a header's value cannot have: visible ASCII is allowed, and spaces between it.
    Character {
        /// Byte offset in the text given to [`Glob::parse`].
        offset: usize,
    },
    /// More than `limits::GLOB_BYTES_MAX` bytes.
    TooLong,
}

impl TryFrom<String> for Glob {
    type Error = GlobFault;

    fn try_from(text: String) -> Result<Self, GlobFault> {
        Self::parse(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        let star = |open| if open { "*" } else { "" };
        // A lone star opens at one end only: the other would make it two.
        let end = glob.open_end && !(glob.text.is_empty() && glob.open_start);
        format!("{}{}{}", star(glob.open_start), glob.text, star(end))
    }
}

impl Glob {
    /// Parses `a*`, `*a`, `*a*` or `a`. A lone `*` fits every value.
    pub fn parse(text: &str) -> Result<Self, GlobFault> {
        if text.is_empty() {
            return Err(GlobFault::Empty);
        }
        if text.len() > GLOB_BYTES_MAX {
            return Err(GlobFault::TooLong);
        }
        let last = text.len() - 1;
        let allowed = |at: usize, byte: u8| byte.is_ascii_graphic() || (byte == b' ' && at > 0 && at < last);
        if let Some(offset) = text.bytes().enumerate().position(|(at, byte)| !allowed(at, byte)) {
            return Err(GlobFault::Character { offset });
        }
        let (open_start, inner) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
        let (open_end, inner) = inner.strip_suffix('*').map_or((false, inner), |rest| (true, rest));
        if let Some(at) = inner.find('*') {
            return Err(GlobFault::Star { offset: at + usize::from(open_start) });
        }
        Ok(Self { text: inner.into(), open_start, open_end })
    }

    /// Whether a header's whole value fits; spaces around it are the caller's to trim.
    #[inline]
    pub fn matches(&self, value: &[u8]) -> bool {
        let text = self.text.as_bytes();
        match (self.open_start, self.open_end) {
            (false, false) => value == text,
            (false, true) => value.starts_with(text),
            (true, false) => value.ends_with(text),
            (true, true) => text.is_empty() || value.windows(text.len()).any(|part| part == text),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = |there: bool| if there { "*" } else { "" };
        write!(f, "{}{}{}", star(self.open_start), self.text, star(self.open_end))
    }
}

impl fmt::Display for GlobFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a value to match is not empty",
            Self::Star { .. } => "`*` may be the first or the last character only, as in `a*`, `*a` or `*a*`",
            Self::Character { .. } => "a value to match has visible ASCII characters only",
            Self::TooLong => "a value to match has at most 127 characters",
        })
    }
}

impl std::error::Error for GlobFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dm_05_stars_at_either_end() {
        for (glob, fits, others) in [
            ("alpha", &["alpha"][..], &["Alpha", "alphabet", "an alpha", ""][..]),
            ("al*", &["al", "alpha", "al*"], &["Alpha", "val", "a"]),
            ("*ha", &["ha", "alpha", "*ha"], &["alphas", "hA", "a"]),
            ("*ph*", &["ph", "alpha", "phi", "graph"], &["alPha", "p-h", "p"]),
            ("*", &["", "x"], &[]),
            ("a b", &["a b"], &["ab", "a  b"]),
            ("a?", &["a?"], &["ab"]),
        ] {
            let parsed = Glob::parse(glob).expect(glob);
            assert_eq!(parsed.to_string(), glob);
            for value in fits {
                assert!(parsed.matches(value.as_bytes()), "{glob} {value}");
            }
            for value in others {
                assert!(!parsed.matches(value.as_bytes()), "{glob} {value}");
            }
        }
    }

    #[test]
    fn faults_name_their_place() {
        let long = "a".repeat(GLOB_BYTES_MAX + 1);
        for (text, fault) in [
            ("", GlobFault::Empty),
            ("a*b", GlobFault::Star { offset: 1 }),
            ("*a*b", GlobFault::Star { offset: 2 }),
            ("*a*b*", GlobFault::Star { offset: 2 }),
            ("***", GlobFault::Star { offset: 1 }),
            (" a", GlobFault::Character { offset: 0 }),
            ("a ", GlobFault::Character { offset: 1 }),
            ("a\tb", GlobFault::Character { offset: 1 }),
            ("caf\u{e9}", GlobFault::Character { offset: 3 }),
            (&long, GlobFault::TooLong),
        ] {
            assert_eq!(Glob::parse(text), Err(fault), "{text}");
        }
        assert!(Glob::parse(&long[1..]).is_ok());
    }
}
