//! Texts with `*`, `?` and variables. A `?` is one byte: what is compared here is ASCII, but for names that people give.
//!
//! A star may stand for anything, a colon and a slash included, as in the last part of an ARN. Between two stars the first place that
//! fits is taken and never given up: so the effort is at most the product of the lengths, whatever the stars.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::request::{Buffer, Request};

/// A compiled pattern: what stands between its stars, so always one piece at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pattern {
    pieces: Box<[Box<[Part]>]>,
}

/// A part of a piece. Literal text is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Text(Box<[u8]>),
    /// `?`
    One,
    /// `${aws:username}`, or what stands for it if it has no value.
    Variable(Key, Option<Box<[u8]>>),
}

/// What a document's text is made of, star by star.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Byte(u8),
    Star,
    One,
    Variable(Key, Option<Box<[u8]>>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    /// `${` without its `}`.
    Open,
    /// A name that is no key.
    Unknown,
    /// A default that is not in quotes.
    Default,
}

/// The tokens of a text. `wild`: stars and question marks mean something; `variables`: so does `${…}`, which came with version
/// 2012-10-17.
pub(super) fn tokens(text: &str, wild: bool, variables: bool) -> Result<Vec<Token>, Slip> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(byte) = rest.bytes().next() {
        if variables && let Some(inner) = rest.strip_prefix("${") {
            let (name, behind) = inner.split_once('}').ok_or(Slip::Open)?;
            tokens.push(variable(name)?);
            rest = behind;
            continue;
        }
        let width = rest.chars().next().map_or(1, char::len_utf8);
        match byte {
            b'*' if wild => tokens.push(Token::Star),
            b'?' if wild => tokens.push(Token::One),
            _ => tokens.extend(rest.as_bytes()[..width].iter().map(|byte| Token::Byte(*byte))),
        }
        rest = &rest[width..];
    }
    Ok(tokens)
}

/// What stands between `${` and `}`; `*`, `?` and `$` stand for themselves.
fn variable(name: &str) -> Result<Token, Slip> {
    match name {
        "*" | "?" | "$" => return Ok(Token::Byte(name.as_bytes()[0])),
        _ => {}
    }
    let (name, default) = match name.split_once(',') {
        None => (name, None),
        Some((name, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            (name, Some(quoted.ok_or(Slip::Default)?))
        }
    };
    let key = Key::parse(name.trim()).ok_or(Slip::Unknown)?;
    Ok(Token::Variable(key, default.map(|text| text.as_bytes().into())))
}

impl Pattern {
    /// Puts the tokens together.
    pub fn new(tokens: impl IntoIterator<Item = Token>) -> Pattern {
        let (mut pieces, mut piece, mut text): (Vec<Box<[Part]>>, Vec<Part>, Vec<u8>) = Default::default();
        let end_text = |text: &mut Vec<u8>, piece: &mut Vec<Part>| {
            if !text.is_empty() {
                piece.push(Part::Text(std::mem::take(text).into()));
            }
        };
        for token in tokens {
            if let Token::Byte(byte) = token {
                text.push(byte);
                continue;
            }
            end_text(&mut text, &mut piece);
            match token {
                Token::Byte(_) => {}
                Token::One => piece.push(Part::One),
                Token::Variable(key, default) => piece.push(Part::Variable(key, default)),
                Token::Star => pieces.push(std::mem::take(&mut piece).into()),
            }
        }
        end_text(&mut text, &mut piece);
        pieces.push(piece.into());
        Pattern { pieces: pieces.into() }
    }

    /// Whether the whole text fits. A variable without a value fits nothing.
    pub fn matches(&self, text: &[u8], request: &Request<'_>) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some(mut at) = fits(first, text, request) else { return false };
        let Some((last, middle)) = rest.split_last() else { return at == text.len() };
        for piece in middle {
            match find(piece, &text[at..], request) {
                Some(end) => at += end,
                None => return false,
            }
        }
        // The last piece stands at the end, and not before what the others took.
        let Some(length) = length(last, request) else { return false };
        text.len().checked_sub(length).filter(|start| *start >= at).is_some_and(|start| {
            // Its length was just counted: if it fits, it ends where the text does.
            fits(last, &text[start..], request).is_some()
        })
    }

    /// Whether the text is this one but for the case of its ASCII letters. For patterns without stars.
    pub fn equals_in_any_case(&self, text: &[u8], request: &Request<'_>) -> bool {
        let [piece] = &*self.pieces else { return false };
        walk(piece, text, request, <[u8]>::eq_ignore_ascii_case) == Some(text.len())
    }
}

/// Where the piece ends if it stands at the text's beginning.
fn fits(piece: &[Part], text: &[u8], request: &Request<'_>) -> Option<usize> {
    walk(piece, text, request, |a, b| a == b)
}

fn walk(piece: &[Part], text: &[u8], request: &Request<'_>, same: fn(&[u8], &[u8]) -> bool) -> Option<usize> {
    let mut at = 0;
    for part in piece {
        let mut buffer = Buffer::new();
        let expected = match part {
            Part::Text(expected) => expected,
            Part::One => {
                at += 1;
                text.get(at - 1)?;
                continue;
            }
            Part::Variable(key, default) => value(key, default.as_deref(), request, &mut buffer)?,
        };
        let end = at + expected.len();
        if !same(text.get(at..end)?, expected) {
            return None;
        }
        at = end;
    }
    Some(at)
}

/// Where the first place ends at which the piece fits.
fn find(piece: &[Part], text: &[u8], request: &Request<'_>) -> Option<usize> {
    match piece {
        [] => Some(0),
        [Part::Text(only)] => memmem::find(text, only).map(|start| start + only.len()),
        _ => {
            let last = text.len().checked_sub(length(piece, request)?)?;
            (0..=last).find_map(|start| fits(piece, &text[start..], request).map(|end| start + end))
        }
    }
}

/// How many bytes fit the piece.
fn length(piece: &[Part], request: &Request<'_>) -> Option<usize> {
    piece.iter().try_fold(0, |sum, part| {
        let mut buffer = Buffer::new();
        Some(match part {
            Part::Text(text) => sum + text.len(),
            Part::One => sum + 1,
            Part::Variable(key, default) => sum + value(key, default.as_deref(), request, &mut buffer)?.len(),
        })
    })
}

/// What a variable stands for.
fn value<'a>(key: &Key, default: Option<&'a [u8]>, request: &Request<'a>, buffer: &'a mut Buffer) -> Option<&'a [u8]> {
    match request.value(key) {
        Some(value) => Some(value.text(buffer)),
        None => default,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::request::Who;
    use super::super::slow;
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(tokens(text, true, true).expect("a pattern"))
    }

    fn is(text: &str, other: &str) -> bool {
        pattern(text).matches(other.as_bytes(), &Request::default())
    }

    #[test]
    fn stars_and_question_marks() {
        for (text, other, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a:b/c", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bca", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("a*ab", "aab", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "", false),
            ("??*", "ab", true),
            ("*?b?*", "abc", true),
            ("*?b?*", "bcc", false),
            ("**", "", true),
            ("A", "a", false),
            ("arn:aws:execute-api:*:*:api/*/GET/*", "arn:aws:execute-api:r:1:api/s/GET/pets/1", true),
            ("arn:aws:execute-api:*:*:api/*/GET/*", "arn:aws:execute-api:r:1:api/s/POST/pets/1", false),
        ] {
            assert_eq!(is(text, other), fits, "{text} {other}");
        }
    }

    #[test]
    fn variables_stand_for_their_value_and_nothing_else() {
        let tags = [("team".into(), "a*".into())];
        let who = Who { user_name: Some("rex"), tags: &tags, ..Who::default() };
        let request = Request { who: Some(who), ..Request::default() };
        for (text, other, fits) in [
            ("api/${aws:username}/*", "api/rex/x", true),
            ("api/${AWS:UserName}/*", "api/rex/x", true),
            ("api/${aws:username}/*", "api/tom/x", false),
            ("*/${aws:username}/*/b", "a/rex/rex/a/b", true),
            ("*${aws:username}", "xrex", true),
            ("${aws:PrincipalTag/Team}", "a*", true),
            ("${aws:PrincipalTag/Team}", "ab", false),
            ("${aws:PrincipalTag/none}", "", false),
            ("${aws:PrincipalTag/none, 'x'}y", "xy", true),
            ("${*}${?}${$}", "*?$", true),
            ("${*}", "a", false),
        ] {
            assert_eq!(pattern(text).matches(other.as_bytes(), &request), fits, "{text} {other}");
        }
        let any_case = Pattern::new(tokens("A${aws:username}*", false, true).unwrap());
        assert!(any_case.equals_in_any_case(b"aREX*", &request));
        assert!(!any_case.equals_in_any_case(b"aREXx", &request));
        assert_eq!(tokens("${aws:username", true, true), Err(Slip::Open));
        assert_eq!(tokens("${aws:nobody}", true, true), Err(Slip::Unknown));
        assert_eq!(tokens("${aws:username, x}", true, true), Err(Slip::Default));
        assert!(is("$", "$") && Pattern::new(tokens("${a", true, false).unwrap()).matches(b"${a", &request));
    }

    #[test]
    fn a_pattern_of_stars_ends() {
        let (text, other) = ("*a".repeat(500) + "b", "a".repeat(10_000));
        assert!(!is(&text, &other));
        assert!(!is(&("*a?".repeat(300) + "b"), &other));
    }

    proptest! {
        #[test]
        fn the_slow_twin_agrees(text in "[ab*?]{0,10}", other in "[ab]{0,12}") {
            prop_assert_eq!(is(&text, &other), slow::glob(text.as_bytes(), other.as_bytes()), "{} {}", text, other);
        }
    }
}
