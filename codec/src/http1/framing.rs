//! The chunked coding, decoded where it lies (RFC 9112 §7.1): ranges of payload in the caller's buffer, nothing copied.
//!
//! Sizes are 1 to 16 hex digits of at most 63 bits, lines end in CRLF, extensions are read and ignored, trailers are checked, counted and
//! dropped (rows F18 to F25). The decoder goes byte by byte through the framing and in one step through payload, so
//! how a body was split over reads cannot change what it decodes to.

use super::bytes::{EXTENSION, TOKEN, VALUE};
use super::misbehave::Misbehaviour;
use crate::limits;

/// What one call of `ChunkDecoder::next` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkStep {
    /// All of the input was framing, and is consumed; the body goes on.
    NeedMore,
    /// `input[start..end]` is payload, at least one byte; what lies before it was framing. `input[..end]` is consumed: call
    /// again with `&input[end..]`.
    Data {
        /// The first byte of payload.
        start: usize,
        /// One past the last.
        end: usize,
    },
    /// The body has ended, trailers included; `input[..consumed]` belonged to it. What follows is the next message.
    End {
        /// Bytes of the input that belonged to the body.
        consumed: usize,
    },
}

/// A chunked body being decoded. Twenty-odd bytes, no heap; made anew for each body.
#[derive(Clone, Debug)]
pub struct ChunkDecoder {
    state: State,
    /// Payload bytes of this chunk that are still to come; while a size is read, the size so far.
    remaining: u64,
    /// Digits of the size so far.
    digits: u8,
    extension: u16,
    extensions: u16,
    trailers: u16,
    trailer_bytes: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// In white space after a size: an extension must follow (RFC 9112 §7.1.1).
    SizeSpace,
    Extension,
    /// After the CR of a size line.
    SizeLf,
    Data,
    /// After a chunk's data.
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    /// After the CR of a trailer line.
    TrailerLf,
    /// After the CR of the empty line.
    LastLf,
    Ended,
}

impl State {
    const fn is_of_trailers(self) -> bool {
        matches!(self, State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf)
    }
}

impl ChunkDecoder {
    /// A decoder for a body whose first byte is still to come.
    pub const fn new() -> ChunkDecoder {
        ChunkDecoder {
            state: State::Size,
            remaining: 0,
            digits: 0,
            extension: 0,
            extensions: 0,
            trailers: 0,
            trailer_bytes: 0,
        }
    }

    /// Trailer fields that were read and dropped so far (rows F24, F25).
    pub const fn trailers_dropped(&self) -> u16 {
        self.trailers
    }

    /// Payload bytes of the chunk under way that are still to come.
    pub fn announced(&self) -> u64 {
        if self.state == State::Data { self.remaining } else { 0 }
    }

    /// Whether `End` was reached.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Decodes up to the next piece of payload or the end. After an error the body is lost: do not call again.
    ///
    /// Every call with input makes progress: it consumes all of it (`NeedMore`), or gives payload, or the end. After the
    /// end it says `End` with nothing consumed.
    pub fn next(&mut self, input: &[u8]) -> Result<ChunkStep, Misbehaviour> {
        self.next_with(input, |_| {})
    }

    /// As `next`; `keep` is given the trailer lines, byte by byte, each with its end.
    pub fn next_with(&mut self, input: &[u8], mut keep: impl FnMut(u8)) -> Result<ChunkStep, Misbehaviour> {
        for (at, &byte) in input.iter().enumerate() {
            match self.state {
                State::Data => {
                    let rest = (input.len() - at) as u64;
                    let here = rest.min(self.remaining);
                    self.remaining -= here;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(ChunkStep::Data { start: at, end: at + here as usize });
                }
                State::Ended => return Ok(ChunkStep::End { consumed: at }),
                before => {
                    self.state = self.step(byte)?;
                    if before.is_of_trailers() && self.state != State::LastLf {
                        keep(byte);
                    }
                }
            }
        }
        // The last byte of the input may have been the body's last.
        if self.state == State::Ended {
            return Ok(ChunkStep::End { consumed: input.len() });
        }
        Ok(ChunkStep::NeedMore)
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Misbehaviour> {
        match (self.state, byte) {
            (State::Size, _) => self.size(byte),
            (State::SizeSpace, b' ' | b'\t' | b';') => self.extension(byte),
            (State::SizeSpace, _) => Err(Misbehaviour::ChunkSizeSpace),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) => self.extension(byte),
            (State::SizeLf, b'\n') if self.remaining == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::SizeLf, _) if self.extension > 0 => Err(Misbehaviour::ChunkExtensionMalformed),
            (State::SizeLf, _) => Err(Misbehaviour::ChunkSizeMalformed),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                (self.remaining, self.digits, self.extension) = (0, 0, 0);
                Ok(State::Size)
            }
            (State::DataCr | State::DataLf, _) => Err(Misbehaviour::ChunkDataEnd),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::Ended),
            (State::LastLf, _) => Err(Misbehaviour::BareCr),
            _ => self.trailer(byte),
        }
    }

    fn size(&mut self, byte: u8) -> Result<State, Misbehaviour> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if self.digits == 0 => return Err(Misbehaviour::ChunkSizeMalformed),
            b'\r' => return Ok(State::SizeLf),
            b';' | b' ' | b'\t' => return self.extension(byte),
            b'\n' => return Err(Misbehaviour::ChunkBareLf),
            _ => return Err(Misbehaviour::ChunkSizeMalformed),
        };
        let size = self.remaining << 4 | u64::from(digit);
        if self.digits == limits::CHUNK_SIZE_DIGITS || size > limits::BODY_BYTES_MAX {
            return Err(Misbehaviour::ChunkSizeMalformed);
        }
        self.digits += 1;
        self.remaining = size;
        Ok(State::Size)
    }

    fn extension(&mut self, byte: u8) -> Result<State, Misbehaviour> {
        if !EXTENSION[byte as usize] {
            return Err(Misbehaviour::ChunkExtensionMalformed);
        }
        if self.extension == limits::CHUNK_EXTENSION_BYTES || self.extensions == limits::CHUNK_EXTENSION_BYTES_TOTAL {
            return Err(Misbehaviour::ChunkExtensionTooLong);
        }
        self.extension += 1;
        self.extensions += 1;
        let blank = self.state != State::Extension && matches!(byte, b' ' | b'\t');
        Ok(if blank { State::SizeSpace } else { State::Extension })
    }

    /// One byte of a trailer line: the rules of a head's field lines.
    fn trailer(&mut self, byte: u8) -> Result<State, Misbehaviour> {
        if self.trailer_bytes == limits::TRAILER_BYTES {
            return Err(Misbehaviour::TrailersTooLarge);
        }
        self.trailer_bytes += 1;
        match (self.state, byte) {
            (State::TrailerStart, b' ' | b'\t') if self.trailers == 0 => Err(Misbehaviour::LeadingSpace),
            (State::TrailerStart, b' ' | b'\t') => Err(Misbehaviour::ObsFold),
            (State::TrailerStart, b':') => Err(Misbehaviour::EmptyName),
            (State::TrailerStart, _) if TOKEN[byte as usize] => {
                if self.trailers == limits::TRAILER_FIELDS {
                    return Err(Misbehaviour::TrailersTooLarge);
                }
                self.trailers += 1;
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, b' ' | b'\t') => Err(Misbehaviour::SpaceBeforeColon),
            (State::TrailerName, b'\r') => Err(Misbehaviour::NoColon),
            (State::TrailerName, _) if TOKEN[byte as usize] => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if VALUE[byte as usize] => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::TrailerLf, _) => Err(Misbehaviour::BareCr),
            (_, b'\n') => Err(Misbehaviour::BareLf),
            (State::TrailerValue, b'\0') => Err(Misbehaviour::NulInValue),
            (State::TrailerValue, _) => Err(Misbehaviour::ControlInValue),
            _ => Err(Misbehaviour::NameMalformed),
        }
    }
}

impl Default for ChunkDecoder {
    fn default() -> ChunkDecoder {
        ChunkDecoder::new()
    }
}

const _: () = assert!(size_of::<ChunkDecoder>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f24_trailer_lines_are_kept_however_they_are_split() {
        let body = b"3\r\nabc\r\n0;x=y\r\ngrpc-status: 0\r\nX-Sum:1\r\n\r\nGET /";
        for size in 1..=body.len() {
            let (mut decoder, mut kept, mut payload) = (ChunkDecoder::new(), Vec::new(), Vec::new());
            for piece in body.chunks(size) {
                let mut rest = piece;
                while !rest.is_empty() && !decoder.is_ended() {
                    match decoder.next_with(rest, |byte| kept.push(byte)).expect("a good body") {
                        ChunkStep::NeedMore => rest = b"",
                        ChunkStep::Data { start, end } => {
                            payload.extend_from_slice(&rest[start..end]);
                            rest = &rest[end..];
                        }
                        ChunkStep::End { consumed } => rest = &rest[consumed..],
                    }
                }
            }
            assert_eq!(
                (&kept[..], &payload[..]),
                (&b"grpc-status: 0\r\nX-Sum:1\r\n"[..], &b"abc"[..]),
                "pieces of {size}"
            );
            assert_eq!(decoder.trailers_dropped(), 2);
        }
    }
}
