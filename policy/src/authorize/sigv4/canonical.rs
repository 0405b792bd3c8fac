//! The text that is signed: a request in the one form that signer and receiver both come to.

use data_encoding::HEXLOWER;

use super::{Asked, FieldList};

/// How a query is read. Signers differ where a name or a value has bytes that need an escape and has none, or one that needs none. A `;`
/// and a `+` that stand there by themselves mean something else than their escapes (RT-09), so they are not read anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Decoded and encoded anew, as it is documented.
    Anew,
    /// As received: libraries that are given a whole URL sign it so.
    AsReceived,
}

impl Way {
    /// In the order in which they are tried.
    pub const ALL: [Way; 2] = [Way::Anew, Way::AsReceived];
}

/// Room for the text and its parts, used again.
#[derive(Default)]
pub struct Room {
    /// The text.
    pub text: Vec<u8>,
    pairs: Vec<Pair>,
    encoded: Vec<u8>,
    /// The query that was written last.
    query: Vec<u8>,
    before: Vec<u8>,
}

/// Name and value in `encoded`.
#[derive(Clone, Copy)]
struct Pair {
    start: usize,
    name_end: usize,
    end: usize,
}

impl Room {
    /// Writes the text; false if it would be the one that was written before. `body`: the hash, or what stands for it.
    pub fn write<'a, F: FieldList<'a>>(
        &mut self,
        asked: &Asked<'a, F>,
        way: Way,
        in_query: bool,
        signed: &[u8],
        body: Result<&[u8], &[u8]>,
    ) -> bool {
        std::mem::swap(&mut self.query, &mut self.before);
        self.write_query(asked.query, way, in_query);
        let changes = way == Way::Anew && asked.query.iter().any(|byte| matches!(byte, b';' | b'+'));
        if changes || (way != Way::ALL[0] && self.before == self.query) {
            return false;
        }
        self.text.clear();
        self.text.extend_from_slice(asked.method);
        self.text.push(b'\n');
        path(asked.path, &mut self.text);
        self.text.push(b'\n');
        self.text.extend_from_slice(&self.query);
        self.text.push(b'\n');
        for name in signed.split(|byte| *byte == b';') {
            field(asked, name, &mut self.text);
        }
        self.text.push(b'\n');
        self.text.extend_from_slice(signed);
        self.text.push(b'\n');
        match body {
            Ok(hash) => hex(hash, &mut self.text),
            Err(instead) => self.text.extend_from_slice(instead),
        }
        true
    }

    fn write_query(&mut self, query: &[u8], way: Way, in_query: bool) {
        let Self { query: text, pairs, encoded, .. } = self;
        text.clear();
        pairs.clear();
        encoded.clear();
        for (name, value) in pieces(query, way) {
            if in_query && is_named(name, b"X-Amz-Signature") {
                continue;
            }
            let start = encoded.len();
            encode(name, way, encoded);
            let name_end = encoded.len();
            encode(value, way, encoded);
            pairs.push(Pair { start, name_end, end: encoded.len() });
        }
        let key = |pair: &Pair| (&encoded[pair.start..pair.name_end], &encoded[pair.name_end..pair.end]);
        pairs.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
        for (number, pair) in pairs.iter().enumerate() {
            let (name, value) = key(pair);
            if number > 0 {
                text.push(b'&');
            }
            text.extend_from_slice(name);
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
}

/// Names and values of a query, raw. What stands between two `&` without anything is a pair only for those who sign what they see.
fn pieces(query: &[u8], way: Way) -> impl Iterator<Item = (&[u8], &[u8])> {
    let all = query.split(|byte| *byte == b'&');
    let kept = all.filter(move |piece| !piece.is_empty() || (way == Way::AsReceived && !query.is_empty()));
    kept.map(|piece| match piece.iter().position(|byte| *byte == b'=') {
        Some(at) => (&piece[..at], &piece[at + 1..]),
        None => (piece, &piece[..0]),
    })
}

fn is_named(raw: &[u8], name: &[u8]) -> bool {
    decoded(raw).eq(name.iter().copied())
}

/// The raw value of a parameter.
pub fn param<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pieces(query, Way::Anew).find(|(known, _)| is_named(known, name)).map(|(_, value)| value)
}

/// How often a parameter stands there.
pub fn count(query: &[u8], name: &[u8]) -> usize {
    pieces(query, Way::Anew).filter(|(known, _)| is_named(known, name)).count()
}

/// The bytes of a component without its escapes; `+` stays what it is.
pub fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (byte, behind) = match rest {
            [b'%', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), behind)
            }
            [byte, behind @ ..] => (*byte, behind),
            [] => return None,
        };
        rest = behind;
        Some(byte)
    })
}

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

fn encode(raw: &[u8], way: Way, out: &mut Vec<u8>) {
    match way {
        Way::Anew => decoded(raw).for_each(|byte| escape(byte, out)),
        Way::AsReceived => out.extend_from_slice(raw),
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The path without its dot segments and doubled slashes, and encoded once more than it was received: so an escape is encoded twice.
fn path(raw: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    for segment in raw.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                let last = out[from..].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(from + last);
            }
            _ => {
                out.push(b'/');
                for byte in segment {
                    escape(*byte, out);
                }
            }
        }
    }
    if out.len() == from || raw.ends_with(b"/") {
        out.push(b'/');
    }
}

/// All values of a field on one line, blanks within them joined.
fn field<'a, F: FieldList<'a>>(asked: &Asked<'a, F>, name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.push(b':');
    let values = asked.fields.clone().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    for (number, (_, value)) in values.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        for (number, word) in words.enumerate() {
            if number > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
    out.push(b'\n');
}

/// Appends bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + HEXLOWER.encode_len(bytes.len()), 0);
    HEXLOWER.encode_mut(bytes, &mut out[from..]);
}
