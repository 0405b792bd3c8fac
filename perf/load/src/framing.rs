//! Where an answer ends: status line, `Content-Length`, chunks. Nothing else of an answer is looked at.

use memchr::memmem;

/// Bytes of a head beyond which it is a fault.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Fields of a head, likewise.
const FIELDS_MAX: usize = 100;

/// What every answer must be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The status.
    pub status: u16,
    /// Bytes of the body; `None`: any.
    pub size: Option<u64>,
}

/// What received bytes have brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// The answer goes on.
    More,
    /// The answer is over; whether it was the one that was wanted.
    Done(bool),
}

/// Why nothing more can be read of a connection.
pub type Fault = &'static str;

/// Reads answers that mostly have the same head: one that is the last one byte for byte is not parsed again.
pub struct Framer {
    wanted: Wanted,
    last: Vec<u8>,
    last_head: Head,
}

/// What a head says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    status: u16,
    /// `None`: chunks.
    length: Option<u64>,
}

/// The answer that a connection is in.
#[derive(Default)]
pub struct Progress {
    /// The beginning of a head that has not come to its end.
    head: Vec<u8>,
    state: State,
    status: u16,
    size: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes are to come.
    Length(u64),
    Chunked(Chunk),
}

/// Where in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the line of its size: the digits so far, as a number and how many.
    Size(u64, u8),
    /// Behind the digits, up to the end of the line.
    Extension(u64),
    Data(u64),
    /// The line end behind the data.
    End,
    /// In a line of the trailer: bytes in it so far.
    Trailer(u32),
}

impl Framer {
    /// Reads answers that are to be like this.
    pub fn new(wanted: Wanted) -> Framer {
        Framer { wanted, last: Vec::new(), last_head: Head::default() }
    }

    /// Takes what was received. One answer at most is under way: bytes behind its end are a fault.
    pub fn feed(&mut self, progress: &mut Progress, bytes: &[u8]) -> Result<Fed, Fault> {
        let rest = match progress.state {
            State::Head => {
                let Some(length) = self.head(progress, bytes)? else {
                    return Ok(Fed::More);
                };
                &bytes[length..]
            }
            _ => bytes,
        };
        let (rest, over) = body(progress, rest)?;
        if !over {
            return Ok(Fed::More);
        }
        if !rest.is_empty() {
            return Err("bytes behind the end of an answer");
        }
        let right = progress.status == self.wanted.status && self.wanted.size.is_none_or(|size| size == progress.size);
        (progress.state, progress.size) = (State::Head, 0);
        Ok(Fed::Done(right))
    }

    /// The end of the head in `bytes`, once it is there.
    fn head(&mut self, progress: &mut Progress, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        if progress.head.is_empty() && !self.last.is_empty() && bytes.starts_with(&self.last) {
            progress.begin(self.last_head);
            return Ok(Some(self.last.len()));
        }
        let before = progress.head.len();
        progress.head.extend_from_slice(bytes);
        let Some(end) = memmem::find(&progress.head, b"\r\n\r\n").map(|at| at + 4) else {
            return if progress.head.len() > HEAD_BYTES_MAX { Err("an endless head") } else { Ok(None) };
        };
        let head = parse(&progress.head[..end])?;
        progress.head.truncate(end);
        std::mem::swap(&mut self.last, &mut progress.head);
        progress.head.clear();
        self.last_head = head;
        progress.begin(head);
        Ok(Some(end - before))
    }
}

impl Progress {
    fn begin(&mut self, head: Head) {
        self.status = head.status;
        self.state = head.length.map_or(State::Chunked(Chunk::Size(0, 0)), State::Length);
    }
}

fn parse(bytes: &[u8]) -> Result<Head, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|_| "not an answer of HTTP/1.1")?;
    let status = response.code.filter(|_| parsed.is_complete()).ok_or("not an answer of HTTP/1.1")?;
    if status < 200 {
        return Err("an interim answer that nobody asked for");
    }
    let mut length = None;
    for field in response.headers {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            let chunked = field.value.eq_ignore_ascii_case(b"chunked");
            return if chunked { Ok(Head { status, length: None }) } else { Err("an unknown Transfer-Encoding") };
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            length = Some(number(field.value).ok_or("a Content-Length that is no number")?);
        }
    }
    match (length, status) {
        (_, 204 | 304) => Ok(Head { status, length: Some(0) }),
        (Some(_), _) => Ok(Head { status, length }),
        (None, _) => Err("an answer that ends with its connection"),
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Moves through a body: what is behind, and whether it is over.
fn body<'a>(progress: &mut Progress, mut bytes: &'a [u8]) -> Result<(&'a [u8], bool), Fault> {
    loop {
        let chunk = match progress.state {
            State::Head => return Ok((bytes, true)),
            State::Length(left) => {
                let count = left.min(bytes.len() as u64);
                progress.size += count;
                progress.state = State::Length(left - count);
                return Ok((&bytes[count as usize..], left == count));
            }
            State::Chunked(chunk) => chunk,
        };
        let Some((&byte, rest)) = bytes.split_first() else {
            return Ok((bytes, false));
        };
        if let Chunk::Data(left) = chunk {
            let count = left.min(bytes.len() as u64);
            progress.size += count;
            bytes = &bytes[count as usize..];
            progress.state = State::Chunked(if left == count { Chunk::End } else { Chunk::Data(left - count) });
            continue;
        }
        bytes = rest;
        match step(chunk, byte)? {
            Some(next) => progress.state = State::Chunked(next),
            None => return Ok((bytes, true)),
        }
    }
}

/// One byte of what is around the data of chunks; `None` behind the last one.
fn step(chunk: Chunk, byte: u8) -> Result<Option<Chunk>, Fault> {
    let next = match (chunk, byte) {
        (Chunk::Size(size, digits), _) if byte.is_ascii_hexdigit() && digits < 15 => {
            Chunk::Size(size << 4 | u64::from((byte as char).to_digit(16).unwrap_or(0)), digits + 1)
        }
        (Chunk::Size(_, 0), _) => return Err("a chunk without a size"),
        (Chunk::Size(size, _), b'\r' | b';' | b' ') => Chunk::Extension(size),
        (Chunk::Extension(0), b'\n') => Chunk::Trailer(0),
        (Chunk::Extension(size), b'\n') => Chunk::Data(size),
        (Chunk::Extension(_), _) => chunk,
        (Chunk::End, b'\r') => Chunk::End,
        (Chunk::End, b'\n') => Chunk::Size(0, 0),
        (Chunk::Trailer(0), b'\n') => return Ok(None),
        (Chunk::Trailer(_), b'\n') => Chunk::Trailer(0),
        (Chunk::Trailer(count), b'\r') => Chunk::Trailer(count),
        (Chunk::Trailer(count), _) if (count as usize) < HEAD_BYTES_MAX => Chunk::Trailer(count + 1),
        _ => return Err("chunks that are none"),
    };
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Wanted = Wanted { status: 200, size: None };

    /// Every way to cut the bytes in two gives the same: what the last piece brought.
    fn read(wanted: Wanted, bytes: &[u8]) -> Result<Fed, Fault> {
        let whole = Framer::new(wanted).feed(&mut Progress::default(), bytes);
        for cut in 1..bytes.len() {
            let (mut framer, mut progress) = (Framer::new(wanted), Progress::default());
            let outcome = match framer.feed(&mut progress, &bytes[..cut]) {
                Ok(Fed::More) => framer.feed(&mut progress, &bytes[cut..]),
                Ok(Fed::Done(_)) => Err("bytes behind the end of an answer"),
                fault => fault,
            };
            assert_eq!(outcome, whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn answers_end_with_their_length() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
        assert_eq!(read(OK, answer), Ok(Fed::Done(true)));
        assert_eq!(read(OK, &answer[..answer.len() - 1]), Ok(Fed::More));
        assert_eq!(read(OK, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Ok(Fed::Done(true)));
        assert_eq!(
            read(OK, b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"),
            Err("bytes behind the end of an answer")
        );
    }

    #[test]
    fn answers_end_with_the_last_chunk() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let with = |body: &str| read(Wanted { size: Some(19), ..OK }, format!("{head}{body}").as_bytes());
        assert_eq!(with("10;a=b\r\n0123456789abcdef\r\n3\r\nxyz\r\n0\r\n\r\n"), Ok(Fed::Done(true)));
        assert_eq!(with("13\r\n0123456789abcdefxyz\r\n0\r\nA: b\r\nC: d\r\n\r\n"), Ok(Fed::Done(true)));
        assert_eq!(with("3\r\nxyz\r\n0\r\n\r\n"), Ok(Fed::Done(false)));
        assert_eq!(with("3\r\nxyz\r\n0\r\n"), Ok(Fed::More));
        assert_eq!(with("\r\nxyz"), Err("a chunk without a size"));
        assert_eq!(with("3\r\nxyzw\r\n"), Err("chunks that are none"));
        assert_eq!(with("1000000000000000\r\n"), Err("chunks that are none"));
    }

    #[test]
    fn a_wrong_answer_is_told_and_the_next_is_read() {
        let (mut framer, mut progress) = (Framer::new(Wanted { size: Some(2), ..OK }), Progress::default());
        let mut feed = |bytes: &str| framer.feed(&mut progress, bytes.as_bytes());
        assert_eq!(feed("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"), Ok(Fed::Done(false)));
        assert_eq!(feed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"), Ok(Fed::Done(false)));
        assert_eq!(feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Ok(Fed::Done(true)));
        // The same head, known by its bytes; then one that only begins like it.
        assert_eq!(feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Ok(Fed::Done(true)));
        assert_eq!(feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nok"), Ok(Fed::Done(true)));
        assert_eq!(feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Ok(Fed::Done(true)));
    }

    #[test]
    fn answers_without_a_body_have_none() {
        let wanted = Wanted { status: 204, size: Some(0) };
        assert_eq!(read(wanted, b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"), Ok(Fed::Done(true)));
    }

    #[test]
    fn what_cannot_be_framed_is_a_fault() {
        assert!(read(OK, b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(read(OK, b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read(OK, b"HTTP/1.1 100 Continue\r\n\r\n").is_err());
        assert!(read(OK, b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx").is_err());
        assert!(read(OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx").is_err());
        assert!(Framer::new(OK).feed(&mut Progress::default(), &vec![b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }
}
