//! Secrets are shown to nobody: not in the line that a fault points at, nor in a sentence that quotes it.

use std::borrow::Cow;
use std::ops::Range;

/// Names behind which a secret stands, whoever wrote them.
const NAMES: [&str; 9] = [
    "secret_key",
    "session_token",
    "client_secret",
    "access_token",
    "private_key",
    "password",
    "passwd",
    "secret",
    "value",
];
/// How hashes of passwords begin.
const HASHES: [&str; 9] = ["$2a$", "$2b$", "$2y$", "$argon2", "$5$", "$6$", "$apr1$", "{SHA}", "{SSHA}"];
/// Letters of a text behind `value`, at least, that may be an API key (KP-01).
const KEY_LETTERS: usize = 20;

/// A line as it may be shown: what is hidden (from this column, from 1, so many letters), and what looks secret, is stars.
pub fn line(line: &str, hidden: impl Iterator<Item = (u32, u32)>) -> Cow<'_, str> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let at = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    for (column, length) in hidden {
        let first = column.max(1) as usize - 1;
        spans.push(at(first)..at(first.saturating_add(length.max(1) as usize)));
    }
    spans.extend(secrets(line));
    stars(line, &spans)
}

/// A sentence as it may be shown.
pub fn text(text: &str) -> Cow<'_, str> {
    let spans: Vec<Range<usize>> = secrets(text).collect();
    stars(text, &spans)
}

/// One star for each letter, so that what is beside it stays in its column.
fn stars<'a>(text: &'a str, spans: &[Range<usize>]) -> Cow<'a, str> {
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let is_secret = |at: usize| spans.iter().any(|span| span.contains(&at));
    text.char_indices().map(|(at, letter)| if is_secret(at) { '*' } else { letter }).collect()
}

/// Where something stands that looks secret.
fn secrets(text: &str) -> impl Iterator<Item = Range<usize>> {
    let behind = text.match_indices(':').filter_map(move |(colon, _)| {
        let name = text[..colon].trim_end_matches(['"', '\'', ' ']);
        let from = name.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).map_or(0, |at| at + 1);
        let name = name.get(from..)?.replace('-', "_").to_ascii_lowercase();
        let known = NAMES.iter().find(|known| **known == name)?;
        let span = value(text, colon + 1)?;
        let is_key = *known != "value" || text[span.clone()].trim_matches(['"', '\'']).len() >= KEY_LETTERS;
        is_key.then_some(span)
    });
    let hashes = HASHES.iter().flat_map(move |start| text.match_indices(start)).map(move |(from, _)| {
        let end = text[from..].find(|c: char| c.is_whitespace() || "\"'`,}".contains(c) && c != ',');
        from..end.map_or(text.len(), |length| from + length)
    });
    behind.chain(hashes)
}

/// What stands behind a colon; `None`: nothing, or only where it is.
fn value(text: &str, from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let start = from + (rest.len() - rest.trim_start().len());
    let rest = &text[start..];
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = quote.map_or(rest, |_| &rest[1..]);
    // A reference, or a part of the document.
    if inner.is_empty()
        || inner.starts_with("${")
        || quote.is_none() && inner.starts_with(['{', '[', '&', '|', '>', '`'])
    {
        return None;
    }
    let end = match quote {
        Some(quote) => inner.find(quote).map_or(text.len(), |at| start + at + 2),
        None => inner.find([',', '}', '`']).map_or(text.len(), |at| start + at),
    };
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_secret_is_stars() {
        for (written, shown) in [
            ("secret_key: hush", "secret_key: ****"),
            ("{access_key: A, secret_key: \"hu sh\", policy: p}", "{access_key: A, secret_key: *******, policy: p}"),
            ("\"client-secret\" : 'x'", "\"client-secret\" : ***"),
            ("password: hüsh # note", "password: ***********"),
            ("password: \"half", "password: *****"),
            ("secret_key:hush", "secret_key:****"),
            ("write `secret_key: hush`", "write `secret_key: ****`"),
            ("value: 0123456789abcdefghij", "value: ********************"),
            ("{value: short, name: x}", "{value: short, name: x}"),
            ("ann: $2y$05$abc, bob: x", "ann: *********** bob: x"),
        ] {
            assert_eq!(text(written), shown, "{written}");
        }
        for open in [
            "secret_key: \"${file:keys/ci}\"",
            "secret_key: ${env:CI}",
            "secret_key:",
            "the_password_policy: strict",
            "secrets: {a: b}",
            "secret: {name: x}",
            "name: value",
            "https://a.test/secret",
        ] {
            assert_eq!(text(open), open);
        }
    }

    #[test]
    fn hidden_places_are_stars() {
        let hidden = [(4, 2), (8, u32::MAX), (100, 1)];
        assert_eq!(line("a: übc d e", hidden.into_iter()), "a: **c ***");
        assert_eq!(line("a: b", std::iter::empty()), "a: b");
    }
}
