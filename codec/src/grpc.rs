//! What gRPC puts into heads and trailers: content types, time-outs, status messages (the protocol description of gRPC over HTTP/2).

use std::time::Duration;

/// What a content type says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `application/grpc`, with or without a suffix.
    Grpc,
    /// `application/grpc-web`: the same messages, trailers in the body.
    Web,
    /// `application/grpc-web-text`: the same in base64.
    WebText,
}

impl Dialect {
    /// Of a content type; `None`: it is no gRPC.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let rest = after(content_type, b"application/grpc")?;
        // The longer ones first: each begins as the next.
        let known = [(&b"-web-text"[..], Self::WebText), (b"-web", Self::Web), (b"", Self::Grpc)];
        known.into_iter().find_map(|(suffix, dialect)| {
            let behind = after(rest, suffix)?;
            matches!(behind.first(), None | Some(b'+' | b';' | b' ' | b'\t')).then_some(dialect)
        })
    }

    /// Whether it is a dialect of gRPC-Web.
    pub const fn is_web(self) -> bool {
        matches!(self, Self::Web | Self::WebText)
    }
}

/// What stands behind the dialect's name in a content type: `+proto`, `+json; charset=utf-8`, or nothing.
pub fn suffix(content_type: &[u8]) -> &[u8] {
    content_type.iter().position(|byte| matches!(byte, b'+' | b';')).map_or(b"", |at| &content_type[at..])
}

fn after<'a>(text: &'a [u8], begin: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(begin.len())?;
    head.eq_ignore_ascii_case(begin).then_some(rest)
}

/// `grpc-timeout`: one to eight digits and a unit; `None` if it is none.
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number: u64, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Reads where the messages of a body begin, in pieces of any size: five bytes before each, of which four say how long it is.
#[derive(Debug, Default, Clone, Copy)]
pub struct Messages {
    prefix: [u8; PREFIX],
    have: u8,
    /// Bytes of the message under way that are still to come.
    left: u32,
    longest: u32,
}

/// Bytes before a message.
const PREFIX: usize = 5;

impl Messages {
    /// The next bytes of the body.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.left as usize);
            bytes = &bytes[skipped..];
            self.left -= skipped as u32;
            let have = usize::from(self.have);
            let count = bytes.len().min(PREFIX - have);
            self.prefix[have..have + count].copy_from_slice(&bytes[..count]);
            self.have += count as u8;
            bytes = &bytes[count..];
            if let (PREFIX, [_, length @ ..]) = (usize::from(self.have), self.prefix) {
                self.have = 0;
                self.left = u32::from_be_bytes(length);
                self.longest = self.longest.max(self.left);
            }
        }
    }

    /// Bytes of the longest message that was announced so far.
    pub const fn longest(&self) -> u32 {
        self.longest
    }
}

/// Writes a text as `grpc-message` has it: printable ASCII as it is, all else and the percent sign as `%XX`.
pub fn write_message(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => out.push(*byte),
            _ => out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_told_apart() {
        for (text, dialect, behind) in [
            ("application/grpc", Some(Dialect::Grpc), ""),
            ("Application/gRPC+proto", Some(Dialect::Grpc), "+proto"),
            ("application/grpc; charset=utf-8", Some(Dialect::Grpc), "; charset=utf-8"),
            ("application/grpc-web", Some(Dialect::Web), ""),
            ("application/grpc-web+json", Some(Dialect::Web), "+json"),
            ("application/grpc-web-text+proto", Some(Dialect::WebText), "+proto"),
            ("application/grpc-web-texts", None, ""),
            ("application/grpcx", None, ""),
            ("application/grpc-webby", None, ""),
            ("application/json", None, ""),
            ("application/gr", None, ""),
            ("", None, ""),
        ] {
            assert_eq!(Dialect::of(text.as_bytes()), dialect, "{text}");
            if dialect.is_some() {
                assert_eq!(suffix(text.as_bytes()), behind.as_bytes(), "{text}");
            }
        }
    }

    #[test]
    fn timeouts_are_read() {
        for (text, millis) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("50m", 50), ("1000u", 1), ("1000000n", 1)]
        {
            assert_eq!(timeout(text.as_bytes()), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(timeout(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for text in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", " 1S", "1S "] {
            assert_eq!(timeout(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn lengths_of_messages_are_read_however_they_are_split() {
        let body = [&[0, 0, 0, 0, 3][..], b"abc", &[1, 0, 0, 0, 0], &[0, 0, 0, 1, 4], &[7; 260], &[0, 0, 0]].concat();
        for size in 1..=body.len() {
            let mut messages = Messages::default();
            body.chunks(size).for_each(|piece| messages.read(piece));
            assert_eq!((messages.longest(), messages.left, messages.have), (260, 0, 3), "pieces of {size}");
        }
        let mut messages = Messages::default();
        messages.read(&[0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(messages.longest(), u32::MAX, "known before a byte of it has come");
    }

    #[test]
    fn messages_are_escaped() {
        let mut out = Vec::new();
        write_message("50% of ü\n".as_bytes(), &mut out);
        assert_eq!(out, b"50%25 of %C3%BC%0A");
    }
}
