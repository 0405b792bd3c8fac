//! An obvious slow reader of HTTP/1: it shares nothing with the gateway's, and takes only what is written in the plainest way.

/// A message that was read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub first: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Bytes that it took.
    pub length: usize,
}

/// The beginning of a message.
pub struct Part {
    /// All but the body, which holds what has arrived of it.
    pub message: Message,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// What the reader knows of an answer beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// The answer to a HEAD.
    ToHead,
    /// Any other answer.
    Answer,
}

impl Message {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// Reads what there is. `None`: not even a head. `is_ended`: nothing more will come.
pub fn read(bytes: &[u8], kind: Kind, is_ended: bool) -> Result<Option<Part>, String> {
    let Some(head_length) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..head_length - 4]).map_err(|_| "a head that is no text".to_owned())?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or(format!("a line without a name: {line:?}"))?;
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut message = Message { first, fields, body: Vec::new(), length: head_length };
    check_first(&message.first, kind)?;
    let is_whole = read_body(&mut message, &bytes[head_length..], kind, is_ended)?;
    Ok(Some(Part { message, is_whole }))
}

fn check_first(first: &str, kind: Kind) -> Result<(), String> {
    let words: Vec<&str> = first.split(' ').collect();
    let is_fine = match kind {
        Kind::Request => words.len() == 3 && words[1].starts_with('/') && words[2] == "HTTP/1.1",
        _ => words.len() >= 2 && words[0] == "HTTP/1.1" && words[1].len() == 3,
    };
    if is_fine { Ok(()) } else { Err(format!("a strange first line: {first:?}")) }
}

fn read_body(message: &mut Message, rest: &[u8], kind: Kind, is_ended: bool) -> Result<bool, String> {
    let bodiless = kind == Kind::ToHead || (kind == Kind::Answer && matches!(message.status(), 100..=199 | 204 | 304));
    let lengths: Vec<String> =
        message.fields.iter().filter(|(name, _)| name == "content-length").map(|(_, value)| value.clone()).collect();
    let chunked = message.field("transfer-encoding").is_some();
    if lengths.len() + usize::from(chunked) > 1 {
        return Err(format!("two framings: {:?}", message.fields));
    }
    if bodiless {
        return Ok(true);
    }
    if chunked {
        return read_chunks(message, rest);
    }
    if let Some(length) = lengths.first() {
        let length: usize = length.parse().map_err(|_| format!("a strange length: {length}"))?;
        let count = length.min(rest.len());
        message.body = rest[..count].to_vec();
        message.length += count;
        return Ok(count == length);
    }
    if kind == Kind::Request {
        return Ok(true);
    }
    message.body = rest.to_vec();
    message.length += rest.len();
    Ok(is_ended)
}

fn read_chunks(message: &mut Message, mut rest: &[u8]) -> Result<bool, String> {
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(false);
        };
        let text = std::str::from_utf8(&rest[..line]).map_err(|_| "a chunk size that is no text".to_owned())?;
        let size = usize::from_str_radix(text, 16).map_err(|_| format!("a strange chunk size: {text:?}"))?;
        rest = &rest[line + 2..];
        let count = size.min(rest.len());
        message.body.extend_from_slice(&rest[..count]);
        let line_end = &rest[count..rest.len().min(count + 2)];
        if count == size && !b"\r\n".starts_with(line_end) {
            return Err("a chunk without its line end".into());
        }
        message.length += line + 2 + count + line_end.len();
        if count < size || line_end.len() < 2 {
            return Ok(false);
        }
        rest = &rest[count + 2..];
        if size == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8], kind: Kind) -> Message {
        let part = read(bytes, kind, false).expect("readable").expect("a head");
        assert!(part.is_whole, "{:?}", part.message);
        part.message
    }

    #[test]
    fn it_reads_every_framing() {
        let answer = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Id: 7\r\n\r\nabcHTTP", Kind::Answer);
        assert_eq!((answer.status(), &answer.body[..], answer.field("x-id")), (200, &b"abc"[..], Some("7")));
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\nH";
        let answer = whole(bytes, Kind::Answer);
        assert_eq!((&answer.body[..], answer.length), (&b"abc0123456789"[..], bytes.len() - 1));
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Kind::ToHead).body, b"");
        let request = whole(b"POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\nab", Kind::Request);
        assert_eq!((&request.first[..], &request.body[..]), ("POST /x HTTP/1.1", &b"a"[..]));
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert!(!read(bytes, Kind::Answer, false).expect("readable").expect("a head").is_whole);
        assert!(read(bytes, Kind::Answer, true).expect("readable").expect("a head").is_whole);
    }

    #[test]
    fn it_says_what_is_missing_and_what_is_wrong() {
        assert!(read(b"HTTP/1.1 200 OK\r\n", Kind::Answer, false).expect("readable").is_none());
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for end in 47..bytes.len() {
            let part = read(&bytes[..end], Kind::Answer, false).expect("readable").expect("a head");
            assert!(!part.is_whole, "{end}");
        }
        for wrong in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            b"nonsense\r\n\r\n",
        ] {
            assert!(read(wrong, Kind::Answer, false).is_err());
        }
    }
}
