//! gRPC-Web: what browsers, which see no trailers, make of gRPC. Messages are framed as in gRPC; the trailers come as one more frame
//! at the end of the body, and in the text dialect all of it is base64.

use data_encoding::BASE64;

/// The mark of a frame that holds trailers; the other bits are those of messages.
pub const TRAILERS: u8 = 0x80;

/// What is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBase64;

/// Reads base64 that comes in pieces. Padding may stand within: each piece of the other end may be a text of its own.
#[derive(Debug, Default)]
pub struct TextReader {
    /// The beginning of a group of four.
    group: [u8; 4],
    held: usize,
}

impl TextReader {
    /// Appends to `out` what the text stands for, as far as it is known.
    pub fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        for byte in text {
            self.group[self.held] = *byte;
            self.held += 1;
            if self.held == self.group.len() {
                let mut bytes = [0; 3];
                let count = BASE64.decode_mut(&self.group, &mut bytes).map_err(|_| NotBase64)?;
                out.extend_from_slice(&bytes[..count]);
                self.held = 0;
            }
        }
        Ok(())
    }

    /// Whether nothing is missing at the end.
    pub fn is_whole(&self) -> bool {
        self.held == 0
    }
}

/// Appends bytes as a text of its own: whoever receives it has all of them, and need not wait for the next ones.
pub fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + BASE64.encode_len(bytes.len()), 0);
    BASE64.encode_mut(bytes, &mut out[at..]);
}

/// Appends the frame that holds these trailers. Names are written in lower case; a line end in a value would make another field of it,
/// so such a value is left out.
pub fn write_trailers<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[TRAILERS, 0, 0, 0, 0]);
    for (name, value) in fields {
        if name.iter().chain(value).any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            continue;
        }
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        out.push(b':');
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    let length = u32::try_from(out.len() - at - 5).unwrap_or(u32::MAX);
    out[at + 1..at + 5].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_property_holds(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[A-Za-z0-9+/=]{0,64}") {
            crate::properties::grpc_web(&bytes);
            crate::properties::grpc_web(text.as_bytes());
        }
    }

    fn read(pieces: &[&[u8]]) -> (Result<(), NotBase64>, Vec<u8>, bool) {
        let (mut reader, mut out) = (TextReader::default(), Vec::new());
        let outcome = pieces.iter().try_for_each(|piece| reader.read(piece, &mut out));
        (outcome, out, reader.is_whole())
    }

    #[test]
    fn texts_one_behind_the_other_are_one_body() {
        assert_eq!(read(&[b"AAAAAAA=", b"YWI="]), (Ok(()), b"\0\0\0\0\0ab".to_vec(), true));
        assert_eq!(read(&[b"A", b"AAAA", b"AA=YW", b"I="]), (Ok(()), b"\0\0\0\0\0ab".to_vec(), true));
        assert_eq!(read(&[b"YWI"]), (Ok(()), Vec::new(), false));
        for bad in ["YW I", "=AAA", "Y===", "YWJ=", "AAA\n"] {
            assert_eq!(read(&[bad.as_bytes()]).0, Err(NotBase64), "{bad}");
        }
    }

    #[test]
    fn trailers_are_a_frame() {
        let mut out = b"before".to_vec();
        let fields: [(&[u8], &[u8]); 3] =
            [(b"Grpc-Status", b"0"), (b"x", b"a\r\ngrpc-status:1"), (b"grpc-message", b"")];
        write_trailers(fields.into_iter(), &mut out);
        assert_eq!(out, b"before\x80\0\0\0\x1egrpc-status:0\r\ngrpc-message:\r\n");
    }
}
