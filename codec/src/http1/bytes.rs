//! Which bytes may stand where (RFC 9110 §5.5, §5.6.2; RFC 9112 §3), as tables.

/// Membership of a byte in a class, by its value.
pub(super) type Class = [bool; 256];

/// Letters, digits and the fifteen marks that make a token.
pub(super) static TOKEN: Class = class(b"!#$%&'*+-.^_`|~", true, false);

/// What a field's value may contain: everything but controls, TAB excepted. Bytes of 0x80 and above are opaque (row S08).
pub(super) static VALUE: Class = value();

/// What the target may contain as far as the start line is concerned; the stricter rules come when the line is whole.
pub(super) static TARGET: Class = target();

/// What stands for itself in a target: all that `TARGET` allows but `#`, `%`, `?` and what is not ASCII.
pub(super) static PLAIN: Class = plain();

/// What a host name may contain.
pub(super) static HOST: Class = class(b".-_", true, false);

/// What a chunk extension may contain.
pub(super) static EXTENSION: Class = value();

/// Whether every byte is a token's, and there is one: a method, the name of a header field (RFC 9110 §5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[*byte as usize])
}

/// Whether every byte may stand in a field's value.
pub(crate) fn is_value(text: &[u8]) -> bool {
    text.iter().all(|byte| VALUE[*byte as usize])
}

/// Whether every byte may stand in a target, as far as the start line is concerned.
pub(crate) fn is_target(text: &[u8]) -> bool {
    text.iter().all(|byte| TARGET[*byte as usize])
}

/// Without the blanks and TABs at both ends; never `\x85` or `\xa0` (row S08).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

const fn class(marks: &[u8], alphanumeric: bool, above: bool) -> Class {
    let mut class = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = (alphanumeric && (byte as u8).is_ascii_alphanumeric()) || (above && byte >= 0x80);
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        class[marks[at] as usize] = true;
        at += 1;
    }
    class
}

const fn value() -> Class {
    let mut class = target();
    class[b' ' as usize] = true;
    class[b'\t' as usize] = true;
    class
}

const fn target() -> Class {
    let mut class = class(b"", false, true);
    let mut byte = b'!';
    while byte <= b'~' {
        class[byte as usize] = true;
        byte += 1;
    }
    class
}

const fn plain() -> Class {
    let mut class = class(b"", false, false);
    let mut byte = b'!';
    while byte <= b'~' {
        class[byte as usize] = !matches!(byte, b'#' | b'%' | b'?');
        byte += 1;
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_grammar_of_rfc_9110() {
        let count = TOKEN.iter().filter(|member| **member).count();
        assert_eq!(count, 26 + 26 + 10 + 15);
        for byte in b"()<>@,;:\\\"/[]?={} \t\r\n\0\x7f\x80\xff" {
            assert!(!TOKEN[*byte as usize], "{byte:#x}");
        }
    }

    #[test]
    fn value_is_all_but_controls() {
        for byte in 0..=255_u8 {
            let control = byte < 0x20 && byte != b'\t' || byte == 0x7f;
            assert_eq!(VALUE[byte as usize], !control, "{byte:#x}");
            assert_eq!(EXTENSION[byte as usize], !control, "{byte:#x}");
            assert_eq!(TARGET[byte as usize], !control && byte != b' ' && byte != b'\t', "{byte:#x}");
        }
    }

    #[test]
    fn plain_is_what_needs_no_look_in_a_target() {
        for byte in 0..=255_u8 {
            let special = matches!(byte, b'#' | b'%' | b'?') || !byte.is_ascii_graphic();
            assert_eq!(PLAIN[byte as usize], !special, "{byte:#x}");
            let host = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            assert_eq!(HOST[byte as usize], host, "{byte:#x}");
        }
    }

    #[test]
    fn s08_trim_takes_blanks_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b"\xa0a\x85"), b"\xa0a\x85");
        assert_eq!(trim(b" \t"), b"");
        assert_eq!(trim(b""), b"");
    }

    #[test]
    fn empty_is_no_token() {
        assert!(!is_token(b""));
        assert!(is_token(b"100-continue"));
        assert!(!is_token(b"a b"));
    }
}
