//! Making a substituted value fit where it stands: within a JSON string, as a JSON value, or on one line.
//!
//! Each function works on the end of the output, where the raw value was just written, so that nothing but
//! the output grows.

/// Two hexadecimal digits for `\u00XX`.
const HEX: &[u8; 16] = b"0123456789abcdef";
/// U+FFFD, what stands for bytes that are not UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Escapes `out[from..]` as the inside of a JSON string (RFC 8259 §7). Bytes that are not UTF-8 become
/// U+FFFD, as many as [`String::from_utf8_lossy`] would write.
pub(crate) fn json_string(out: &mut Vec<u8>, from: usize) {
    let end = out.len();
    let clean = from + clean_until(&out[from..]);
    let mut at = clean;
    while at < end {
        at += escape_one(out, at, end);
        let run = clean_until(&out[at..end]);
        out.extend_from_within(at..at + run);
        at += run;
    }
    if clean < end {
        out.drain(clean..end);
    }
}

/// Makes `out[from..]` a JSON value: a number, `true`, `false` or `null` stays, all else becomes a string. A
/// value that is absent becomes `null`.
pub(crate) fn json_value(out: &mut Vec<u8>, from: usize, present: bool) {
    if !present {
        out.extend_from_slice(b"null");
    } else if !is_scalar(&out[from..]) {
        json_quoted(out, from);
    }
}

/// Makes `out[from..]` a JSON string, quotes included.
pub(crate) fn json_quoted(out: &mut Vec<u8>, from: usize) {
    json_string(out, from);
    out.insert(from, b'"');
    out.push(b'"');
}

/// Escapes what begins or ends a tag, an entity or an attribute's value in `out[from..]`.
pub(crate) fn markup(out: &mut Vec<u8>, from: usize) {
    let end = out.len();
    let is_mark = |byte: &u8| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'');
    let Some(first) = out[from..].iter().position(is_mark).map(|clean| from + clean) else { return };
    for at in first..end {
        match out[at] {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            byte => out.push(byte),
        }
    }
    out.drain(first..end);
}

/// Drops control characters, the tab apart, from `out[from..]`: no value can end a header field (F30, P11).
pub(crate) fn one_line(out: &mut Vec<u8>, from: usize) {
    let mut kept = from;
    for at in from..out.len() {
        let byte = out[at];
        if !is_control(byte) {
            out[kept] = byte;
            kept += 1;
        }
    }
    out.truncate(kept);
}

/// Percent-encodes what of `out[from..]` may not be kept (RFC 3986 §2.1).
pub(crate) fn percent(out: &mut Vec<u8>, from: usize, keep: impl Fn(u8) -> bool) {
    let end = out.len();
    let Some(first) = out[from..].iter().position(|byte| !keep(*byte)).map(|clean| from + clean) else { return };
    for at in first..end {
        match out[at] {
            byte if keep(byte) => out.push(byte),
            byte => out.extend_from_slice(&[b'%', upper(byte >> 4), upper(byte & 0xf)]),
        }
    }
    out.drain(first..end);
}

const fn upper(digit: u8) -> u8 {
    HEX[digit as usize].to_ascii_uppercase()
}

/// What may not stand in a header field's value (RFC 9110 §5.5).
pub(crate) const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// How many bytes at the front need no escape.
fn clean_until(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\\' | 0..b' ' => break,
            0x80.. => match character(&bytes[at..]) {
                Ok(length) => at += length,
                Err(_) => break,
            },
            _ => at += 1,
        }
    }
    at
}

/// Writes the escape of what begins at `at`, and says how many bytes that was.
fn escape_one(out: &mut Vec<u8>, at: usize, end: usize) -> usize {
    let short = match out[at] {
        0x80.. => {
            out.extend_from_slice(REPLACEMENT);
            return character(&out[at..end]).unwrap_or_else(|broken| broken);
        }
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        control => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(control >> 4)]);
            out.push(HEX[usize::from(control & 0xf)]);
            return 1;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
    1
}

/// The length of the character at the front, or of the broken sequence there.
fn character(bytes: &[u8]) -> Result<usize, usize> {
    let window = &bytes[..bytes.len().min(4)];
    match std::str::from_utf8(window) {
        Err(fault) if fault.valid_up_to() == 0 => Err(fault.error_len().unwrap_or(window.len())),
        _ => Ok(match window[0] {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        }),
    }
}

/// Whether this is a JSON number or one of the three words.
fn is_scalar(bytes: &[u8]) -> bool {
    if matches!(bytes, b"true" | b"false" | b"null") {
        return true;
    }
    let digits = |from: &[u8]| from.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let [b'.', fraction @ ..] = rest {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            _ => exponent,
        };
        let length = digits(unsigned);
        return length > 0 && length == unsigned.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(prefix: &[u8], value: &[u8], shape: impl Fn(&mut Vec<u8>, usize)) -> Vec<u8> {
        let mut out = prefix.to_vec();
        out.extend_from_slice(value);
        shape(&mut out, prefix.len());
        out
    }

    /// The slow twin of `json_string`.
    fn naive(value: &[u8]) -> String {
        let mut out = String::new();
        for letter in String::from_utf8_lossy(value).chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' => out.extend(format!("\\u{:04x}", c as u32).chars()),
                c => out.push(c),
            }
        }
        out
    }

    #[test]
    fn inside_of_a_json_string() {
        let cases: [(&[u8], &str); 12] = [
            (b"", ""),
            (b"plain text", "plain text"),
            (b"\"", "\\\""),
            (b"a\\b", "a\\\\b"),
            (b"\r\n\t\x08\x0c", "\\r\\n\\t\\b\\f"),
            (b"\0\x1f\x7f", "\\u0000\\u001f\u{7f}"),
            ("häß€🎈".as_bytes(), "häß€🎈"),
            (b"\xff", "\u{fffd}"),
            (b"a\xe2\x82", "a\u{fffd}"),
            (b"\xe2\x82\"x", "\u{fffd}\\\"x"),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf0\x9f\x8e\x88\xf0\x9f", "🎈\u{fffd}"),
        ];
        for (value, expected) in cases {
            let out = with(b"\"\xff", value, json_string);
            assert_eq!(&out[..2], b"\"\xff", "what stood before is left alone");
            assert_eq!(String::from_utf8_lossy(&out[2..]), expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn as_a_json_value() {
        let cases: [(&[u8], &str); 24] = [
            (b"0", "0"),
            (b"7", "7"),
            (b"-12", "-12"),
            (b"1.50", "1.50"),
            (b"1e9", "1e9"),
            (b"1.5E-3", "1.5E-3"),
            (b"true", "true"),
            (b"false", "false"),
            (b"null", "null"),
            (b"", "\"\""),
            (b"-", "\"-\""),
            (b"007", "\"007\""),
            (b"+1", "\"+1\""),
            (b"1.", "\"1.\""),
            (b".5", "\".5\""),
            (b"1e", "\"1e\""),
            (b"1e+", "\"1e+\""),
            (b"1,2", "\"1,2\""),
            (b"0x10", "\"0x10\""),
            (b"1 ", "\"1 \""),
            (b"True", "\"True\""),
            (b"{\"a\":1}", "\"{\\\"a\\\":1}\""),
            (b"NaN", "\"NaN\""),
            (b"1e5x", "\"1e5x\""),
        ];
        for (value, expected) in cases {
            let out = with(b"[", value, |out, from| json_value(out, from, true));
            assert_eq!(String::from_utf8_lossy(&out), format!("[{expected}"));
        }
        assert_eq!(with(b"[", b"", |out, from| json_value(out, from, false)), b"[null");
    }

    #[test]
    fn on_one_line() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"plain", b"plain"),
            (b"a\r\nSet-Cookie: x=1", b"aSet-Cookie: x=1"),
            (b"\0a\x01b\x7f", b"ab"),
            (b"a\tb", b"a\tb"),
            (b"\xe2\x82\xac\n", b"\xe2\x82\xac"),
        ];
        for (value, expected) in cases {
            let out = with(b"\r\n", value, one_line);
            assert_eq!(out, [b"\r\n", expected].concat(), "{}", value.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn fast_and_slow_escapes_agree(prefix: Vec<u8>, value: Vec<u8>) {
            let out = with(&prefix, &value, json_string);
            prop_assert_eq!(&out[..prefix.len()], &prefix[..]);
            prop_assert_eq!(out[prefix.len()..].to_vec(), naive(&value).into_bytes());
        }

        #[test]
        fn so_do_they_on_text_full_of_oddities(value in "[a\"\\\\\u{0}-\u{1f}é€🎈]{0,40}", cut in 0usize..4) {
            let value = &value.as_bytes()[..value.len().saturating_sub(cut)];
            prop_assert_eq!(with(b"", value, json_string), naive(value).into_bytes());
        }

        #[test]
        fn one_line_is_a_filter(value: Vec<u8>) {
            let expected: Vec<u8> =
                value.iter().copied().filter(|b| !(b.is_ascii_control() && *b != b'\t')).collect();
            prop_assert_eq!(with(b"", &value, one_line), expected);
        }
    }
}
