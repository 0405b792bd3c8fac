//! Patterns of the firewall: texts to look for and regular expressions, compiled ahead. Both are run by automata, whose time grows with the
//! length of what they look at; there is no looking ahead or behind, and no reference back.

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::limits::{FIREWALL_PATTERN_PROGRAM_BYTES_MAX, FIREWALL_TEXT_BYTES_MAX, FIREWALL_TEXTS_MAX};

/// What is looked for. It is stored as its texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "(bool, Box<[Box<str>]>)", into = "(bool, Box<[Box<str>]>)")]
pub struct Search {
    /// Whether the texts are what they are, and no expressions.
    literal: bool,
    texts: Box<[Box<str>]>,
    regex: Regex,
}

/// A text cannot be looked for: which, and what is wrong with it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFault(pub usize, pub Box<str>);

impl std::fmt::Display for SearchFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

impl Search {
    /// Looks for any of these texts.
    pub fn of_texts(texts: Box<[Box<str>]>) -> Result<Self, SearchFault> {
        Self::compile(true, texts)
    }

    /// Looks for any of these expressions. They are of bytes: `.` is any of them, `\w` is of ASCII.
    pub fn of_expressions(texts: Box<[Box<str>]>) -> Result<Self, SearchFault> {
        Self::compile(false, texts)
    }

    fn compile(literal: bool, texts: Box<[Box<str>]>) -> Result<Self, SearchFault> {
        let fault = |at: usize, what: &str| SearchFault(at, what.into());
        if texts.is_empty() || texts.len() > FIREWALL_TEXTS_MAX {
            return Err(fault(0, "there are none, or too many"));
        }
        let mut all = String::new();
        for (at, text) in texts.iter().enumerate() {
            if text.is_empty() || text.len() > FIREWALL_TEXT_BYTES_MAX {
                return Err(fault(at, "it is empty, or too long"));
            }
            if !all.is_empty() {
                all.push('|');
            }
            if literal {
                all.push_str(&regex::escape(text));
            } else {
                // Each by itself first: `a)|(b` is none.
                build(text).map_err(|what| SearchFault(at, what))?;
                all.push_str(&["(?:", text, ")"].concat());
            }
        }
        let regex = build(&all).map_err(|what| SearchFault(0, what))?;
        Ok(Self { literal, texts, regex })
    }

    /// Whether it is found.
    pub fn finds(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

/// An expression of bytes.
pub(super) fn build(text: &str) -> Result<Regex, Box<str>> {
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).dot_matches_new_line(true);
    builder.size_limit(FIREWALL_PATTERN_PROGRAM_BYTES_MAX).dfa_size_limit(FIREWALL_PATTERN_PROGRAM_BYTES_MAX);
    builder.build().map_err(|error| {
        // The last line says what is wrong; those before it draw where.
        let text = error.to_string();
        let what = text.lines().last().unwrap_or_default();
        what.strip_prefix("error: ").unwrap_or(what).into()
    })
}

impl PartialEq for Search {
    fn eq(&self, other: &Self) -> bool {
        self.literal == other.literal && self.texts == other.texts
    }
}

impl Eq for Search {}

impl From<Search> for (bool, Box<[Box<str>]>) {
    fn from(search: Search) -> Self {
        (search.literal, search.texts)
    }
}

impl TryFrom<(bool, Box<[Box<str>]>)> for Search {
    type Error = SearchFault;

    fn try_from((literal, texts): (bool, Box<[Box<str>]>)) -> Result<Self, SearchFault> {
        Self::compile(literal, texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(texts: &[&str]) -> Box<[Box<str>]> {
        texts.iter().map(|text| Box::from(*text)).collect()
    }

    #[test]
    fn texts_are_what_they_are_and_expressions_are_of_bytes() {
        let texts = Search::of_texts(boxed(&["a.b", "(c", "ü"])).unwrap();
        for (text, found) in [("xa.bx", true), ("aab", false), ("(c", true), ("ü", true), ("", false)] {
            assert_eq!(texts.finds(text.as_bytes()), found, "{text}");
        }
        let expressions = Search::of_expressions(boxed(&["^a.c$", "(?i)B{2}", "é"])).unwrap();
        for (text, found) in [
            (&b"abc"[..], true),
            (b"a\nc", true),
            (b"a\xffc", true),
            (b"abcd", false),
            (b"xbBx", true),
            (b"\xc3\xa9", true),
            (b"\xe9", false),
        ] {
            assert_eq!(expressions.finds(text), found, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_told_with_its_number() {
        let long = "a".repeat(FIREWALL_TEXT_BYTES_MAX + 1);
        for (texts, at) in [(vec!["a", "a)|(b"], 1), (vec!["a", "b", "(?=x)"], 2), (vec![""], 0), (vec!["a", &long], 1)]
        {
            let fault = Search::of_expressions(boxed(&texts)).unwrap_err();
            assert!(fault.0 == at && !fault.1.is_empty(), "{texts:?}: {fault}");
        }
        assert!(Search::of_expressions(boxed(&[])).is_err());
        assert!(Search::of_expressions(boxed(&vec!["a"; FIREWALL_TEXTS_MAX + 1])).is_err());
        assert!(Search::of_expressions(boxed(&["(?:a{500}){500}"])).is_err(), "a program is bounded");
    }
}
