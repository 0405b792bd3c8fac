//! Strict JSON, read several times faster than by way of YAML, with the same tree and the same places.
//!
//! It has no faults of its own: what is no strict JSON is left to the YAML reader, which knows how to explain it.

use std::fmt::Write as _;

use super::builder::{Builder, Halt};
use super::node::Style;
use crate::diagnostic::Place;

/// Why reading stopped.
pub enum Stop {
    /// It is no strict JSON.
    NotJson,
    /// The fault is said.
    Halt,
}

impl From<Halt> for Stop {
    fn from(_: Halt) -> Self {
        Self::Halt
    }
}

/// Whether a text may be JSON.
pub fn is_likely(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Reads a whole text into the builder.
pub fn read(text: &str, source: u16, builder: &mut Builder<'_>) -> Result<(), Stop> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        source,
        line: 1,
        line_start: 0,
        wide: 0,
        open: Vec::new(),
        is_fresh: false,
    };
    reader.value(builder)?;
    while !reader.open.is_empty() {
        reader.next(builder)?;
    }
    reader.skip();
    if reader.at == reader.bytes.len() { Ok(()) } else { Err(Stop::NotJson) }
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    source: u16,
    line: u32,
    /// Where the line begins.
    line_start: usize,
    /// Bytes of the line so far that begin no character.
    wide: usize,
    /// What is open: true for a mapping.
    open: Vec<bool>,
    /// Whether the innermost one has just been opened.
    is_fresh: bool,
}

impl Reader<'_> {
    /// White space.
    fn skip(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' => self.new_line(1),
                // YAML counts a carriage return as the end of a line, too.
                b'\r' => self.new_line(1 + usize::from(self.bytes.get(self.at + 1) == Some(&b'\n'))),
                _ => return,
            }
        }
    }

    fn new_line(&mut self, bytes: usize) {
        self.at += bytes;
        self.line += 1;
        self.line_start = self.at;
        self.wide = 0;
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip();
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek() == Some(byte) { Ok(()) } else { Err(Stop::NotJson) }
    }

    /// A place that begins here.
    fn place(&self, length: usize) -> Place {
        let column = self.at - self.line_start - self.wide + 1;
        Place { source: self.source, line: self.line, column: column as u32, length: length as u32 }
    }

    /// What follows inside the innermost list or mapping: its beginning, or one of its values, has been read.
    fn next(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        let is_first = std::mem::take(&mut self.is_fresh);
        let is_map = *self.open.last().ok_or(Stop::NotJson)?;
        match self.peek().ok_or(Stop::NotJson)? {
            b'}' if is_map => return self.close(builder),
            b']' if !is_map => return self.close(builder),
            b',' if !is_first => self.at += 1,
            _ if is_first => {}
            _ => return Err(Stop::NotJson),
        }
        if is_map {
            self.expect(b'"')?;
            self.string(builder)?;
            self.expect(b':')?;
            self.at += 1;
        }
        self.value(builder)
    }

    fn close(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        self.at += 1;
        self.open.pop();
        builder.end()?;
        Ok(())
    }

    fn value(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        let is_map = match self.peek().ok_or(Stop::NotJson)? {
            b'{' => true,
            b'[' => false,
            b'"' => return self.string(builder),
            _ => return self.word(builder),
        };
        let place = self.place(1);
        if is_map {
            builder.begin_map(place)?;
        } else {
            builder.begin_list(place)?;
        }
        self.at += 1;
        self.open.push(is_map);
        self.is_fresh = true;
        Ok(())
    }

    /// A text in quotes; the first one is next.
    fn string(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        let begin = self.at + 1;
        let mut end = begin;
        let mut wide = 0;
        let mut has_escapes = false;
        loop {
            match self.bytes.get(end).ok_or(Stop::NotJson)? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    end += 1;
                }
                byte if *byte < b' ' => return Err(Stop::NotJson),
                byte => wide += usize::from(byte & 0xc0 == 0x80),
            }
            end += 1;
        }
        let place = self.place(end + 1 - self.at - wide);
        let written = self.text.get(begin..end).ok_or(Stop::NotJson)?;
        let text = if has_escapes { unescaped(written).ok_or(Stop::NotJson)?.into() } else { written.into() };
        builder.scalar(text, Style::Quoted, place)?;
        self.at = end + 1;
        self.wide += wide;
        Ok(())
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
        let length = length.unwrap_or(rest.len());
        let word = &self.text[self.at..self.at + length];
        if !matches!(word, "true" | "false" | "null") && !is_number(word) {
            return Err(Stop::NotJson);
        }
        builder.scalar(word.into(), Style::Plain, self.place(length))?;
        self.at += length;
        Ok(())
    }
}

/// A number by JSON's grammar.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (word, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && digits(fraction)
        && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

/// A text without its escapes; `None` if one is unknown, or half of a pair.
fn unescaped(written: &str) -> Option<String> {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, length) = match after.as_bytes().first()? {
            b'"' => ('"', 1),
            b'\\' => ('\\', 1),
            b'/' => ('/', 1),
            b'b' => ('\u{8}', 1),
            b'f' => ('\u{c}', 1),
            b'n' => ('\n', 1),
            b'r' => ('\r', 1),
            b't' => ('\t', 1),
            b'u' => escaped_char(after)?,
            _ => return None,
        };
        out.push(c);
        rest = &after[length..];
    }
    out.push_str(rest);
    Some(out)
}

/// The character of `u0041` or of the pair `ud83d\ude00`, and how long that is.
fn escaped_char(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let digits = text.get(1..5).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(text)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, 5));
    }
    let second = text.get(5..)?.strip_prefix('\\').filter(|rest| rest.starts_with('u'))?;
    let c = char::decode_utf16([first, unit(second)?]).next()?.ok()?;
    Some((c, 11))
}

/// For the YAML reader: JSON writes a character beyond the basic plane as two escapes, YAML as one.
pub fn surrogates_joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((character, 11)) = rest[1..].starts_with('u').then(|| escaped_char(&rest[1..])).flatten() {
            let _ = write!(out, "\\U{:08X}", u32::from(character));
            rest = &rest[12..];
            continue;
        }
        // An escape of two characters, so that `\\ud83d` is not taken for one of six.
        let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::source::node::{Author, Node, parse_by, parse_yaml};

    fn strict(text: &str) -> Option<Node> {
        let mut faults = Diagnostics::default();
        let mut builder = Builder::new(Author::Public, 0, &mut faults);
        read(text, 0, &mut builder).ok()?;
        builder.finish()
    }

    fn same_as_yaml(text: &str) {
        let mut faults = Diagnostics::default();
        let yaml = parse_yaml(Author::Public, text, 0, &mut faults);
        assert_eq!(faults.render(false), "");
        assert_eq!(strict(text), yaml, "{text}");
    }

    #[test]
    fn the_tree_is_the_one_of_yaml() {
        for text in [
            r#"{"a": 1, "b": [true, false, null, -0.5e+10, "x"], "c": {}, "d": []}"#,
            "{\n\t\"\u{e4}\": \"\u{1f600} \u{e4}\", \"b\":\"\"\r\n, \"c\":  [\n 1 , 2 ]\n}\n",
            r#"["\u0041\/\\\"\n", {"\t": "\u00e4"}]"#,
            "[]",
            "  {}  ",
            r#"{"a": {"b": {"c": [[1], [[2]]]}}}"#,
        ] {
            same_as_yaml(text);
        }
    }

    #[test]
    fn pairs_are_one_character() {
        let node = strict(r#"["\ud83d\ude00x", "\uD83D\uDE00"]"#).unwrap();
        assert!(format!("{node:?}").contains("\u{1f600}x"));
    }

    #[test]
    fn surrogates_of_json_become_one_escape() {
        for (json, yaml) in [
            (r#""\ud83d\ude00""#, r#""\U0001F600""#),
            (r#""\\ud83d\\ude00""#, r#""\\ud83d\\ude00""#),
            (r#""\ud83d""#, r#""\ud83d""#),
            (r#""a\n\ud83d\ude00b""#, r#""a\n\U0001F600b""#),
            ("\\", "\\"),
            ("\\é", "\\é"),
            ("\\éx", "\\éx"),
        ] {
            assert_eq!(surrogates_joined(json), yaml, "{json}");
        }
    }

    #[test]
    fn what_is_no_strict_json_is_left_alone() {
        for text in [
            "",
            "{",
            "{a: 1}",
            r#"{"a" 1}"#,
            r#"{"a": 1,}"#,
            "[1,]",
            "[1 2]",
            "[,1]",
            "[1}",
            r#"{"a": 1]"#,
            "[01]",
            "[1.]",
            "[.5]",
            "[+1]",
            "[1e]",
            "[nul]",
            "[True]",
            "[0x1F]",
            r#"["\x"]"#,
            r#"["\u12"]"#,
            r#"["\u+123"]"#,
            r#"["\ud83d"]"#,
            r#"["\ud83dx"]"#,
            r#"["\ud83d\n"]"#,
            r#"["\ude00\ud83d"]"#,
            r#"["a"#,
            "[\"a\tb\"]",
            "[\"a\\",
            "[\"a\\\u{e4}\"]",
            "['a']",
            "[1] 2",
            "[1]]",
            "// a\n[1]",
        ] {
            assert!(strict(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_explained_once() {
        let mut faults = Diagnostics::default();
        let text = "{\"a\": 1, \"a\": 2,\n \"b\": [1, 2}\n";
        let source = crate::source::file::add("a.json", text.as_bytes(), &mut faults).unwrap();
        assert_eq!(parse_by(Author::Public, text, source, &mut faults), None);
        assert_eq!(faults.counts(), (1, 1), "{}", faults.render(false));
    }

    proptest! {
        #[test]
        fn any_json_has_the_tree_of_yaml(
            texts in proptest::collection::vec("[ -~\u{e4}\u{1f600}]{0,12}", 0..8),
            nested in any::<bool>(),
        ) {
            let list = serde_json::json!(texts);
            let value = if nested { serde_json::json!({"a": list, "b": {"c": [list, 1.5, null]}}) } else { list };
            same_as_yaml(&value.to_string());
            same_as_yaml(&serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
