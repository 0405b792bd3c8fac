//! Request targets beyond the head: the canonical path, percent-decoding, and the query's pairs.
//!
//! One rule in one place: dot segments are removed once, nothing is decoded twice, `//`, `%2f` and the case of hex digits
//! stay as received (rows P01 to P03). Router, authorizers, throttles, cache keys, logs and the upstream all get
//! what `canonical_path` returns.

use crate::http1::misbehave::Misbehaviour;

/// The path with its dot segments removed; `path` itself if it has none, which costs one scan.
///
/// A dot may be written `%2e`. Leading above the root is refused, and so is what a backend could read as a dot segment or a
/// slash although we do not: `\` and `%5c` (P02), `..;` and `.;` (P03), `..` beside `%2f` (P01). An empty path is `/`; any
/// other must begin with `/`, as `RequestHead::path` does.
pub fn canonical_path<'a>(
    path: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Misbehaviour> {
    match path {
        [] => return Ok(b"/"),
        [b'/', ..] => {}
        _ => return Err(Misbehaviour::TargetMalformed),
    }
    if is_plain(path)? {
        return Ok(path);
    }
    scratch.clear();
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match dots(segment)? {
            0 => {
                scratch.push(b'/');
                scratch.extend_from_slice(segment);
            }
            1 if last => scratch.push(b'/'),
            1 => {}
            _ => {
                let parent = scratch
                    .iter()
                    .rposition(|byte| *byte == b'/')
                    .ok_or(Misbehaviour::PathEscapesRoot)?;
                scratch.truncate(parent);
                if last {
                    scratch.push(b'/');
                }
            }
        }
    }
    // `/a/..` followed by more leaves nothing behind only if that was all, and then `last` has put the slash.
    Ok(scratch)
}

/// Whether no segment begins with a dot or holds an escape that matters; then the path is canonical as it stands.
fn is_plain(path: &[u8]) -> Result<bool, Misbehaviour> {
    for at in memchr::memchr3_iter(b'.', b'%', b'\\', path) {
        match path[at..] {
            [b'\\', ..] | [b'%', b'5', b'c' | b'C', ..] => return Err(Misbehaviour::Backslash),
            [b'%', b'2', b'e' | b'E' | b'f' | b'F', ..] => return checked(path),
            [b'.', ..] if path[at - 1] == b'/' => return checked(path),
            _ => {}
        }
    }
    Ok(true)
}

/// Not plain; but first, no backslash may follow.
fn checked(path: &[u8]) -> Result<bool, Misbehaviour> {
    for at in memchr::memchr2_iter(b'%', b'\\', path) {
        if let [b'\\', ..] | [b'%', b'5', b'c' | b'C', ..] = path[at..] {
            return Err(Misbehaviour::Backslash);
        }
    }
    Ok(false)
}

/// 1 for `.`, 2 for `..`, 0 for any other segment; refuses what only looks like another one.
fn dots(segment: &[u8]) -> Result<u8, Misbehaviour> {
    let (count, rest) = leading_dots(segment);
    match rest {
        [] if count == 1 || count == 2 => return Ok(count as u8),
        [b';', ..] | [b'%', b'3', b'b' | b'B', ..] if count == 1 || count == 2 => {
            return Err(Misbehaviour::DotSegmentParameter);
        }
        _ => {}
    }
    // Pieces between encoded slashes.
    let mut piece = segment;
    let mut encoded = false;
    loop {
        let slash = piece
            .windows(3)
            .position(|three| matches!(three, [b'%', b'2', b'f' | b'F']));
        encoded |= slash.is_some();
        let (count, rest) = leading_dots(&piece[..slash.unwrap_or(piece.len())]);
        if encoded && count == 2 && matches!(rest, [] | [b';', ..] | [b'%', b'3', b'b' | b'B', ..])
        {
            return Err(Misbehaviour::EncodedTraversal);
        }
        match slash {
            Some(at) => piece = &piece[at + 3..],
            None => return Ok(0),
        }
    }
}

/// How many dots, plain or escaped, a segment begins with, and what follows them.
fn leading_dots(mut segment: &[u8]) -> (usize, &[u8]) {
    let mut count = 0;
    while let [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] = segment {
        count += 1;
        segment = rest;
    }
    (count, segment)
}

/// Appends `raw` to `out` with its escapes decoded once; `+` is a space if `plus_is_space` (RT-09). An escape that is none
/// stays as it is.
pub fn decode_component(raw: &[u8], plus_is_space: bool, out: &mut Vec<u8>) {
    out.extend(Decoded { raw, plus_is_space });
}

/// The pairs of a query in the order received, both halves raw: separated by `&` or `;` (RT-09), split at the first `=`.
/// Empty pieces are skipped; a name without `=` has an empty value.
pub fn query_pairs(query: &[u8]) -> QueryPairs<'_> {
    QueryPairs { rest: query }
}

/// The raw value of the last pair whose decoded name is `name` (RT-09: the last occurrence counts).
pub fn query_get<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let called = |raw: &[u8]| {
        Decoded {
            raw,
            plus_is_space: true,
        }
        .eq(name.iter().copied())
    };
    query_pairs(query)
        .filter(|(raw, _)| called(raw))
        .last()
        .map(|(_, value)| value)
}

/// Iterator of `query_pairs`.
#[derive(Clone, Debug)]
pub struct QueryPairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for QueryPairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        while !self.rest.is_empty() {
            let (pair, rest) = split_at_first(self.rest, |byte| matches!(byte, b'&' | b';'));
            self.rest = rest;
            if !pair.is_empty() {
                return Some(split_at_first(pair, |byte| byte == b'='));
            }
        }
        None
    }
}

/// What stands before and after the first byte that matches; nothing after if none does.
fn split_at_first(text: &[u8], matches: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| matches(*byte)) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// The decoded bytes of a component, one by one, so that comparing needs no buffer.
struct Decoded<'a> {
    raw: &'a [u8],
    plus_is_space: bool,
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.raw {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), rest)
            }
            [b'+', rest @ ..] if self.plus_is_space => (b' ', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        self.raw = rest;
        Some(byte)
    }
}

/// The value of a hex digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
