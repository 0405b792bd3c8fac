//! What templates and policies may read of a request: views of received bytes and of what was found, never
//! copies.

use codec::head::{Fate, Field, Name, RequestHead};
use router::Captures;

/// A request as the rules see it. All byte strings are borrowed; nothing here is decoded, except where a
/// function says so.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The received head; the spans of `head` are places in it.
    pub head_bytes: &'a [u8],
    /// The parsed head.
    pub head: &'a RequestHead,
    /// The canonical path: the one that was routed. The captures are places in it.
    pub path: &'a [u8],
    /// Where in `path` the API's own path begins, after base path or stage.
    pub rest: u16,
    /// The values of the method's path variables.
    pub captures: &'a Captures,
    /// The API's id.
    pub api_id: &'a [u8],
    /// The stage's name.
    pub stage: &'a [u8],
    /// The path of the method as written: `/pets/{id}`, or `$default`.
    pub resource_path: &'a [u8],
    /// `$context.requestId`.
    pub request_id: &'a [u8],
    /// `$context.extendedRequestId`; the same as the request id in an HTTP API (§12.1).
    pub extended_request_id: &'a [u8],
    /// The client's address as text, made once for each connection.
    pub source_ip: &'a [u8],
    /// When the request began, in milliseconds since 1970.
    pub time_epoch_ms: u64,
}

impl<'a> Facts<'a> {
    /// A path variable by its place in the method's template, as received: never decoded, a greedy one
    /// without its trailing slash (RT-04, RT-05). Empty if there is none.
    pub fn path_variable(&self, place: usize) -> &'a [u8] {
        let span = self.captures.parameter(place);
        span.and_then(|(start, end)| self.path.get(usize::from(start)..usize::from(end))).unwrap_or_default()
    }

    /// The path below the stage or base path, with one slash at its front (RT-08).
    pub fn api_path(&self) -> &'a [u8] {
        one_slash(self.path.get(usize::from(self.rest)..).unwrap_or_default())
    }

    /// The last field of this name that the client sent for the end of the line: fields that concern this
    /// connection alone, and names with an underscore, are not seen (C01, S10). `known` is `Name::of(name)`,
    /// made once; the text is compared only if no rule knows the name by itself.
    pub fn header(&self, known: Name, name: &[u8]) -> Option<&'a [u8]> {
        let is_it = |field: &&Field| {
            field.fate == Fate::Pass
                && field.known == known
                && (!known.as_str().is_empty() || field.name.of(self.head_bytes).eq_ignore_ascii_case(name))
        };
        let field = self.head.fields.iter().rev().find(is_it)?;
        Some(field.value.of(self.head_bytes))
    }

    /// The last value of a query parameter, still encoded (RT-09). The name is compared after decoding, and
    /// case counts. A parameter without `=` has an empty value.
    pub fn query(&self, name: &[u8]) -> Option<&'a [u8]> {
        let query = self.head.query?.of(self.head_bytes);
        let mut found = None;
        for pair in query.split(|byte| matches!(byte, b'&' | b';')) {
            let equals = memchr::memchr(b'=', pair);
            let (key, value) = equals.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
            if !pair.is_empty() && decodes_to(key, name) {
                found = Some(value);
            }
        }
        found
    }

    /// The request's verb.
    pub fn method(&self) -> &'a [u8] {
        self.head.method.of(self.head_bytes)
    }

    /// The host that the client named, without port.
    pub fn host(&self) -> &'a [u8] {
        self.head.host.of(self.head_bytes)
    }

    /// The canonical path from the root, stage or base path included, as `$context.path` shows it (§18.2).
    pub fn full_path(&self) -> &'a [u8] {
        one_slash(self.path)
    }
}

/// A path without what precedes the last of its leading slashes.
fn one_slash(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    if slashes == 0 { path } else { &path[slashes - 1..] }
}

/// Whether an encoded text, decoded as a part of a query, is this one.
fn decodes_to(encoded: &[u8], plain: &[u8]) -> bool {
    let mut rest = encoded;
    for expected in plain {
        let (byte, taken) = match rest {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), 3)
            }
            [b'+', ..] => (b' ', 1),
            [byte, ..] => (*byte, 1),
            [] => return false,
        };
        if byte != *expected {
            return false;
        }
        rest = &rest[taken..];
    }
    rest.is_empty()
}

/// The value of a hexadecimal digit.
const fn digit(letter: u8) -> u8 {
    match letter {
        b'0'..=b'9' => letter - b'0',
        _ => (letter | 0x20) - b'a' + 10,
    }
}
