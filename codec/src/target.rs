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
pub fn canonical_path<'a>(path: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Misbehaviour> {
    match path {
        [] => return Ok(b"/"),
        [b'/', ..] => {}
        _ => return Err(Misbehaviour::TargetMalformed),
    }
    if is_plain(path)? || !has_dot_segments(path)? {
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
                let parent = scratch.iter().rposition(|byte| *byte == b'/').ok_or(Misbehaviour::PathEscapesRoot)?;
                scratch.truncate(parent);
                if last {
                    scratch.push(b'/');
                }
            }
        }
    }
    Ok(scratch)
}

/// Whether one scan shows that there is nothing to do: no segment begins with a dot, and no escape is one that matters.
fn is_plain(path: &[u8]) -> Result<bool, Misbehaviour> {
    let mut plain = true;
    for at in memchr::memchr3_iter(b'.', b'%', b'\\', path) {
        match path[at..] {
            [b'\\', ..] | [b'%', b'5', b'c' | b'C', ..] => return Err(Misbehaviour::Backslash),
            [b'%', b'2', b'e' | b'E' | b'f' | b'F', ..] => plain = false,
            [b'.', ..] if path[at - 1] == b'/' => plain = false,
            _ => {}
        }
    }
    Ok(plain)
}

/// Whether any segment is to be removed; refuses those that only look so.
fn has_dot_segments(path: &[u8]) -> Result<bool, Misbehaviour> {
    let mut any = false;
    for segment in path[1..].split(|byte| *byte == b'/') {
        any |= dots(segment)? > 0;
    }
    Ok(any)
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
        let slash = piece.windows(3).position(|three| matches!(three, [b'%', b'2', b'f' | b'F']));
        encoded |= slash.is_some();
        let (count, rest) = leading_dots(&piece[..slash.unwrap_or(piece.len())]);
        if encoded && count == 2 && matches!(rest, [] | [b';', ..] | [b'%', b'3', b'b' | b'B', ..]) {
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
    let called = |raw: &[u8]| Decoded { raw, plus_is_space: true }.eq(name.iter().copied());
    query_pairs(query).filter(|(raw, _)| called(raw)).last().map(|(_, value)| value)
}

/// As `query_get`, unless there are several of that name.
pub fn query_get_only<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let called = |raw: &[u8]| Decoded { raw, plus_is_space: true }.eq(name.iter().copied());
    let mut all = query_pairs(query).filter(|(raw, _)| called(raw));
    all.next().filter(|_| all.next().is_none()).map(|(_, value)| value)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> Result<String, Misbehaviour> {
        let mut scratch = Vec::new();
        canonical_path(path.as_bytes(), &mut scratch)
            .map(|path| String::from_utf8(path.to_vec()).expect("the tests use ASCII"))
    }

    fn check(path: &str, expected: &str) {
        assert_eq!(canonical(path).as_deref(), Ok(expected), "{path}");
    }

    fn refused(path: &str, why: Misbehaviour) {
        assert_eq!(canonical(path), Err(why), "{path}");
    }

    #[test]
    fn p01_dot_segments_are_removed() {
        check("/a/../b", "/b");
        check("/a/./b", "/a/b");
        check("/a/b/..", "/a/");
        check("/a/b/../", "/a/");
        check("/a/.", "/a/");
        check("/.", "/");
        check("/./", "/");
        check("/a/..", "/");
        check("/a/b/c/./../../g", "/a/g");
        check("/a/../a/../a", "/a");
    }

    #[test]
    fn p01_escaped_dots_are_dots() {
        check("/a/%2e%2e/b", "/b");
        check("/a/%2E./b", "/b");
        check("/a/.%2e/b", "/b");
        check("/a/%2e/b", "/a/b");
        check("/a/%2E", "/a/");
    }

    #[test]
    fn p01_above_the_root_is_refused() {
        for path in ["/..", "/../a", "/a/../..", "/a/../../b", "/%2e%2e", "/./..", "/a/%2e%2E/../b"] {
            refused(path, Misbehaviour::PathEscapesRoot);
        }
    }

    #[test]
    fn p01_dots_beside_an_encoded_slash_are_refused() {
        for path in ["/%2e%2e%2fb", "/..%2fb", "/a/..%2Fb", "/a%2f..", "/a%2F%2e%2e%2fb", "/a%2f..;x", "/..%2f"] {
            refused(path, Misbehaviour::EncodedTraversal);
        }
    }

    #[test]
    fn p01_dots_that_are_no_dot_segment_stay() {
        for path in
            ["/...", "/a..b", "/.hidden", "/..a", "/a.", "/a..", "/v1.0/x.json", "/....", "/%2e%2e%2e", "/a%2f...%2fb"]
        {
            check(path, path);
        }
    }

    #[test]
    fn p01_empty_segments_stay() {
        check("//b", "//b");
        check("/a//b//", "/a//b//");
        check("/a//../b", "/a/b");
        check("//..", "/");
        check("/a//..", "/a/");
        check("///", "///");
    }

    #[test]
    fn p02_encoded_slashes_and_hex_case_stay() {
        check("/a%2fb%2Fc", "/a%2fb%2Fc");
        check("/x/../a%2fb", "/a%2fb");
        check("/%C3%a4", "/%C3%a4");
    }

    #[test]
    fn p02_nothing_is_decoded_twice() {
        check("/a/%252e%252e/b", "/a/%252e%252e/b");
        check("/%25%32%65", "/%25%32%65");
        check("/%c0%ae%c0%ae/", "/%c0%ae%c0%ae/");
        check("/%61dmin", "/%61dmin");
    }

    #[test]
    fn p02_backslashes_are_refused() {
        for path in ["/a\\b", "/\\", "/a%5cb", "/a%5C..", "/..\\..", "/./a%5c", "/a/../b\\", "/a%2fb/%5C"] {
            refused(path, Misbehaviour::Backslash);
        }
    }

    #[test]
    fn p03_parameters_on_dot_segments_are_refused() {
        for path in ["/a/..;/admin", "/.;/", "/..;", "/a/..;x=1", "/%2e%2e;/b", "/..%3b/b", "/.%3Bx", "/a/.%2e;"] {
            refused(path, Misbehaviour::DotSegmentParameter);
        }
    }

    #[test]
    fn p03_other_parameters_stay() {
        check("/admin;x=1", "/admin;x=1");
        check("/a;..", "/a;..");
        check("/...;x", "/...;x");
        check("/.a;x", "/.a;x");
    }

    #[test]
    fn a_path_is_absolute_or_empty() {
        check("", "/");
        check("/", "/");
        refused("a", Misbehaviour::TargetMalformed);
        refused("*", Misbehaviour::TargetMalformed);
        refused("../a", Misbehaviour::TargetMalformed);
    }

    #[test]
    fn a_canonical_path_is_borrowed_and_allocates_nothing() {
        let mut scratch = Vec::new();
        let path = b"/pets/42/photos/cat.jpg%20x";
        let same = canonical_path(path, &mut scratch).expect("it is plain");
        assert_eq!(same.as_ptr(), path.as_ptr());
        for path in ["/.well-known/acme", "/a%2fb", "/a/..b/%2e%2e%2e", "//"] {
            let same = canonical_path(path.as_bytes(), &mut scratch).expect("nothing is to be removed");
            assert_eq!(same.as_ptr(), path.as_ptr(), "{path}");
        }
        assert_eq!(scratch.capacity(), 0);
    }

    #[test]
    fn scratch_is_reused() {
        let mut scratch = Vec::with_capacity(64);
        let before = scratch.as_ptr();
        assert_eq!(canonical_path(b"/a/../b", &mut scratch), Ok(&b"/b"[..]));
        assert_eq!(canonical_path(b"/c/./d", &mut scratch), Ok(&b"/c/d"[..]));
        assert_eq!((scratch.as_ptr(), scratch.capacity()), (before, 64));
    }

    fn decoded(raw: &str, plus_is_space: bool) -> Vec<u8> {
        let mut out = Vec::new();
        decode_component(raw.as_bytes(), plus_is_space, &mut out);
        out
    }

    /// The recorded vectors of RT-09.
    #[test]
    fn query_values_are_decoded_as_recorded() {
        assert_eq!(decoded("test%2Balias@gmail.com", true), b"test+alias@gmail.com");
        assert_eq!(decoded("test+alias@gmail.com", true), b"test alias@gmail.com");
        assert_eq!(decoded("2023-06-12T18:05:10.123456+00:00", true), b"2023-06-12T18:05:10.123456 00:00");
        assert_eq!(decoded("https%3A%2F%2Fwww.google.com/", true), b"https://www.google.com/");
    }

    #[test]
    fn decoding_happens_once_and_leaves_broken_escapes() {
        assert_eq!(decoded("%252e", true), b"%2e");
        assert_eq!(decoded("%zz%4", true), b"%zz%4");
        assert_eq!(decoded("%%41", true), b"%A");
        assert_eq!(decoded("100%", true), b"100%");
        assert_eq!(decoded("a+b", false), b"a+b");
        assert_eq!(decoded("%C3%a4%00", true), b"\xc3\xa4\0");
    }

    #[test]
    fn decoding_appends() {
        let mut out = b"x=".to_vec();
        decode_component(b"%41", true, &mut out);
        assert_eq!(out, b"x=A");
    }

    #[test]
    fn hex_digits_have_their_values() {
        for value in 0..=255_u8 {
            assert_eq!(decoded(&format!("%{value:02x}"), true), [value]);
            assert_eq!(decoded(&format!("%{value:02X}"), true), [value]);
        }
    }

    fn pairs(query: &str) -> Vec<(&str, &str)> {
        let text = |bytes| str::from_utf8(bytes).expect("the tests use ASCII");
        query_pairs(query.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn pairs_keep_their_order_and_repeat() {
        assert_eq!(
            pairs("category=electronics&category=books&price=10"),
            [("category", "electronics"), ("category", "books"), ("price", "10")]
        );
    }

    #[test]
    fn a_semicolon_separates_too() {
        assert_eq!(pairs("a=1;b=2&c"), [("a", "1"), ("b", "2"), ("c", "")]);
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(pairs("a=b=c&=x&y="), [("a", "b=c"), ("", "x"), ("y", "")]);
    }

    #[test]
    fn empty_pieces_are_no_pairs() {
        assert_eq!(pairs(""), []);
        assert_eq!(pairs("&&a=1&&"), [("a", "1")]);
    }

    #[test]
    fn get_finds_the_last_value_by_its_decoded_name() {
        let query = b"price=10&pr%69ce=20&Price=30&a+b=4";
        assert_eq!(query_get(query, b"price"), Some(&b"20"[..]));
        assert_eq!(query_get(query, b"a b"), Some(&b"4"[..]));
        assert_eq!(query_get(query, b"a+b"), None);
        assert_eq!(query_get(query, b"pric"), None);
    }
}
