//! HPACK (RFC 7541) as tests need it: blocks of any shape, broken ones included, and a decoder that believes nothing.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::VecDeque;
use std::sync::OnceLock;

/// A name and a value.
pub type Field = (String, String);

/// The static table (appendix A), from index 1.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The first index of the dynamic table.
pub const DYNAMIC: usize = STATIC.len() + 1;

/// Bits of each symbol's Huffman code (appendix B). Codes of one length follow each other in the order of their symbols, and
/// shorter ones come first, so that nothing else has to be known.
#[rustfmt::skip]
const CODE_BITS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The code of each symbol, its bits at the right; 256 is the end of a string, which no string may contain.
fn codes() -> &'static [u32; 257] {
    static CODES: OnceLock<[u32; 257]> = OnceLock::new();
    CODES.get_or_init(|| {
        let mut codes = [0; 257];
        let (mut next, mut length) = (0, 0);
        for bits in 5..=30 {
            for symbol in (0..257).filter(|symbol| CODE_BITS[*symbol] == bits) {
                next <<= bits - length;
                length = bits;
                codes[symbol] = next;
                next += 1;
            }
        }
        codes
    })
}

/// A number in the low `prefix` bits of a first octet and as many more as it needs (section 5.1).
pub fn integer(first: u8, prefix: u32, value: usize) -> Vec<u8> {
    let most = (1 << prefix) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let (mut out, mut rest) = (vec![first | most as u8], value - most);
    while rest >= 128 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// A string as it is (section 5.2).
pub fn plain(text: &[u8]) -> Vec<u8> {
    [integer(0, 7, text.len()), text.to_vec()].concat()
}

/// A string in Huffman's code, padded with ones.
pub fn huffman(text: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in text {
        push_code(&mut bits, usize::from(*byte));
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    coded(&bits)
}

/// A string of these bits, which are a whole number of octets, said to be in Huffman's code.
pub fn coded(bits: &[bool]) -> Vec<u8> {
    let octets = bits.chunks(8).map(|octet| octet.iter().fold(0, |value, bit| value << 1 | u8::from(*bit)));
    let octets: Vec<u8> = octets.collect();
    [integer(0x80, 7, octets.len()), octets].concat()
}

/// Appends a symbol's code: a byte, or 256 for the end of the string.
pub fn push_code(bits: &mut Vec<bool>, symbol: usize) {
    let code = codes()[symbol];
    bits.extend((0..CODE_BITS[symbol]).rev().map(|bit| code >> bit & 1 == 1));
}

fn unhuffman(octets: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(symbol) = (0..257).find(|at| CODE_BITS[*at] == length && codes()[*at] == code) {
            out.push(u8::try_from(symbol).map_err(|_| "the end of a string within it")?);
            (code, length) = (0, 0);
        }
        if length > 30 {
            return Err("no symbol has this code".into());
        }
    }
    if length > 7 || code != (1 << length) - 1 { Err("the padding is none".into()) } else { Ok(out) }
}

/// A field block in the making.
#[derive(Clone, Debug, Default)]
pub struct Block(pub Vec<u8>);

impl Block {
    pub fn new() -> Block {
        Block::default()
    }

    /// These fields, none of them remembered (section 6.2.2), no Huffman's code.
    pub fn of(fields: &[(&str, &str)]) -> Block {
        fields.iter().fold(Block::new(), |block, (name, value)| block.field(name, value))
    }

    pub fn raw(mut self, bytes: &[u8]) -> Block {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A literal that is not remembered.
    pub fn field(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Block {
        self.raw(&[0]).raw(&plain(name.as_ref())).raw(&plain(value.as_ref()))
    }

    /// An entry of a table (section 6.1).
    pub fn indexed(self, index: usize) -> Block {
        self.raw(&integer(0x80, 7, index))
    }

    /// A literal that is remembered (section 6.2.1).
    pub fn remembered(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Block {
        self.raw(&[0x40]).raw(&plain(name.as_ref())).raw(&plain(value.as_ref()))
    }

    /// A literal that nobody may ever remember (section 6.2.3).
    pub fn never(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Block {
        self.raw(&[0x10]).raw(&plain(name.as_ref())).raw(&plain(value.as_ref()))
    }

    /// Another size of the table (section 6.3).
    pub fn resize(self, size: usize) -> Block {
        self.raw(&integer(0x20, 5, size))
    }
}

/// A decoder with the table of one connection.
pub struct Decoder {
    table: VecDeque<Field>,
    size: usize,
    /// What the other side has chosen.
    most: usize,
    /// What it may choose (`SETTINGS_HEADER_TABLE_SIZE`).
    pub limit: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { table: VecDeque::new(), size: 0, most: 4_096, limit: 4_096 }
    }
}

/// What is left of a block.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn octet(&mut self) -> Result<u8, String> {
        let (first, rest) = self.0.split_first().ok_or("a block that ends within a field")?;
        self.0 = rest;
        Ok(*first)
    }

    fn integer(&mut self, first: u8, prefix: u32) -> Result<usize, String> {
        let most = (1 << prefix) - 1;
        let mut value = usize::from(first) & most;
        if value < most {
            return Ok(value);
        }
        for shift in (0..28).step_by(7) {
            let octet = self.octet()?;
            value += usize::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Ok(value);
            }
        }
        Err("a number beyond all measure".into())
    }

    fn string(&mut self) -> Result<String, String> {
        let first = self.octet()?;
        let length = self.integer(first, 7)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or("a string longer than its block")?;
        self.0 = rest;
        let bytes = if first & 0x80 == 0 { string.to_vec() } else { unhuffman(string)? };
        Ok(bytes.into_iter().map(char::from).collect())
    }
}

impl Decoder {
    fn entry(&self, index: usize) -> Result<Field, String> {
        match index {
            0 => Err("index 0".into()),
            1..DYNAMIC => Ok((STATIC[index - 1].0.into(), STATIC[index - 1].1.into())),
            _ => self.table.get(index - DYNAMIC).cloned().ok_or(format!("index {index} is beyond the table")),
        }
    }

    fn shrink(&mut self, most: usize) {
        while self.size > most {
            let (name, value) = self.table.pop_back().expect("what has a size has entries");
            self.size -= name.len() + value.len() + 32;
        }
    }

    fn remember(&mut self, field: &Field) {
        let size = field.0.len() + field.1.len() + 32;
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.table.push_front(field.clone());
            self.size += size;
        }
    }

    /// The fields of a block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, String> {
        let (mut rest, mut fields) = (Rest(block), Vec::new());
        if self.most > self.limit && rest.0.first().is_some_and(|first| first & 0xe0 != 0x20) {
            return Err("a table that had to shrink did not".into());
        }
        while !rest.0.is_empty() {
            let first = rest.octet()?;
            let prefix = match first {
                0x80.. => {
                    fields.push(self.entry(rest.integer(first, 7)?)?);
                    continue;
                }
                0x20..=0x3f => {
                    let size = rest.integer(first, 5)?;
                    if size > self.limit || !fields.is_empty() {
                        return Err(format!("the table's size becomes {size} behind {} fields", fields.len()));
                    }
                    self.most = size;
                    self.shrink(size);
                    continue;
                }
                0x40..=0x7f => 6,
                _ => 4,
            };
            let name = match rest.integer(first, prefix)? {
                0 => rest.string()?,
                index => self.entry(index)?.0,
            };
            let field = (name, rest.string()?);
            if prefix == 6 {
                self.remember(&field);
            }
            fields.push(field);
        }
        Ok(fields)
    }
}
