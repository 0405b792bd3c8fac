//! Requests and answers as tests see them, read by a small strict parser of its own.

use std::io::{self, Read};

use super::{find, shown};

/// Bytes of a head beyond which something is wrong.
const HEAD_MAX: usize = 256 * 1024;

/// An answer as it arrived.
#[derive(Clone, Debug)]
pub struct Response {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    pub status: u16,
    pub reason: String,
    /// In order, duplicates included, names as spelled.
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub body: Vec<u8>,
    /// Every byte of it.
    pub raw: Vec<u8>,
    /// How its end was told: `length`, `chunked`, `close` or `none`.
    pub framing: &'static str,
}

/// A request as a backend received it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub version: String,
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub body: Vec<u8>,
    /// The head's bytes, the last empty line included.
    pub head: Vec<u8>,
    /// Number of the connection at the backend, from 0.
    pub connection: usize,
    /// Number of the request on its connection, from 0.
    pub turn: usize,
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect()
}

impl Response {
    /// The value of a field that stands there at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = values(&self.headers, name);
        assert!(found.len() <= 1, "{name} stands {} times in\n{}", found.len(), shown(&self.raw));
        found.first().copied()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails with the whole answer unless it has this status.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", shown(&self.raw));
        self
    }
}

impl Request {
    /// The value of a field that stands there at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = values(&self.headers, name);
        assert!(found.len() <= 1, "{name} stands {} times in\n{}", found.len(), shown(&self.head));
        found.first().copied()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// Whether a field is there with exactly this spelling.
    pub fn has_line(&self, line: &str) -> bool {
        find(&self.head, format!("\r\n{line}\r\n").as_bytes()).is_some()
    }
}

/// Received bytes, and what was read beyond the message at hand.
pub struct Inflow<R> {
    pub from: R,
    pub held: Vec<u8>,
}

impl<R: Read> Inflow<R> {
    pub fn new(from: R) -> Self {
        Inflow { from, held: Vec::new() }
    }

    /// One more read; 0 at the end.
    pub fn more(&mut self) -> io::Result<usize> {
        let mut room = [0; 16 * 1024];
        let count = loop {
            match self.from.read(&mut room) {
                // A wait with a time-out is not taken up again by the kernel.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.held.extend_from_slice(&room[..count]);
        Ok(count)
    }

    fn at_least(&mut self, length: usize) -> Result<(), String> {
        while self.held.len() < length {
            match self.more() {
                Ok(0) => {
                    return Err(format!("closed after {} bytes of {length}: {}", self.held.len(), shown(&self.held)));
                }
                Ok(_) => {}
                Err(error) => return Err(format!("{error} after {} bytes: {}", self.held.len(), shown(&self.held))),
            }
        }
        Ok(())
    }

    /// Everything up to and with `end`.
    pub fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, String> {
        let mut seen = 0;
        loop {
            if let Some(at) = find(&self.held[seen..], end) {
                return Ok(self.held.drain(..seen + at + end.len()).collect());
            }
            seen = self.held.len().saturating_sub(end.len() - 1);
            if seen > HEAD_MAX {
                return Err("a head without end".into());
            }
            self.at_least(self.held.len() + 1)?;
        }
    }

    /// Exactly this many bytes.
    pub fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        self.at_least(length)?;
        Ok(self.held.drain(..length).collect())
    }

    /// The rest of the stream.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        loop {
            match self.more() {
                Ok(0) => return Ok(std::mem::take(&mut self.held)),
                Ok(_) => {}
                Err(error) => return Err(format!("{error} after {} bytes", self.held.len())),
            }
        }
    }

    /// A chunked body: (decoded, raw). Strict: lower-case hex without extensions, no trailers.
    fn chunks(&mut self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let (mut body, mut raw) = (Vec::new(), Vec::new());
        loop {
            let line = self.until(b"\r\n")?;
            let digits = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| "a chunk size in no text")?;
            if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("chunk size `{}`", digits.escape_debug()));
            }
            let length = usize::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
            raw.extend_from_slice(&line);
            let piece = self.exactly(length + 2)?;
            if !piece.ends_with(b"\r\n") {
                return Err(format!("a chunk that CRLF does not follow: {}", shown(&piece)));
            }
            body.extend_from_slice(&piece[..length]);
            raw.extend_from_slice(&piece);
            if length == 0 {
                return Ok((body, raw));
            }
        }
    }

    /// One answer; `bodiless` if it is one to HEAD.
    pub fn response(&mut self, bodiless: bool) -> Result<Response, String> {
        let head = self.until(b"\r\n\r\n")?;
        let (first, headers) = split_head(&head)?;
        let (version, rest) = first.split_once(' ').ok_or_else(|| format!("status line `{first}`"))?;
        let (status, reason) = rest.split_once(' ').ok_or_else(|| format!("status line `{first}`"))?;
        let status: u16 = status.parse().map_err(|_| format!("status `{status}`"))?;
        if !version.starts_with("HTTP/1.") {
            return Err(format!("version `{version}`"));
        }
        let none = bodiless || status < 200 || status == 204 || status == 304;
        let mut raw = head;
        let (body, rest, framing) = self.body(&headers, none, true)?;
        raw.extend_from_slice(&rest);
        let (version, reason) = (version.into(), reason.into());
        Ok(Response { version, status, reason, headers, body, raw, framing })
    }

    /// The rest of a request whose head was read.
    pub fn request(&mut self, head: Vec<u8>, place: (usize, usize)) -> Result<Request, String> {
        let (first, headers) = split_head(&head)?;
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, version] = words[..] else { return Err(format!("request line `{first}`")) };
        let (method, target, version) = (method.into(), target.into(), version.into());
        let (body, ..) = self.body(&headers, false, false)?;
        Ok(Request { method, target, version, headers, body, head, connection: place.0, turn: place.1 })
    }

    fn body(
        &mut self,
        headers: &[(String, String)],
        none: bool,
        may_close: bool,
    ) -> Result<(Vec<u8>, Vec<u8>, &'static str), String> {
        let lengths = values(headers, "content-length");
        let codings = values(headers, "transfer-encoding");
        match (&lengths[..], &codings[..]) {
            _ if none => Ok((Vec::new(), Vec::new(), "none")),
            ([], ["chunked"]) => self.chunks().map(|(body, raw)| (body, raw, "chunked")),
            ([length], []) => {
                let length = length.parse().map_err(|_| format!("content-length `{length}`"))?;
                let body = self.exactly(length)?;
                Ok((body.clone(), body, "length"))
            }
            ([], []) if may_close => {
                let body = self.rest()?;
                Ok((body.clone(), body, "close"))
            }
            ([], []) => Ok((Vec::new(), Vec::new(), "none")),
            _ => Err(format!("ambiguous framing: {headers:?}")),
        }
    }
}

/// The first line, and the fields.
type Head = (String, Vec<(String, String)>);

/// Takes a head apart. Bytes beyond ASCII become the characters of the same number.
fn split_head(head: &[u8]) -> Result<Head, String> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let text = text.strip_suffix("\r\n\r\n").ok_or("a head without end")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    for line in std::iter::once(&*first).chain(lines.clone()) {
        if line.contains(['\r', '\n', '\0']) {
            return Err(format!("a control byte in `{}`", line.escape_debug()));
        }
    }
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in `{line}`"))?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(format!("field name `{name}`"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok((first, headers))
}
