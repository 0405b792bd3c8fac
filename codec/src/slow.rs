//! The slow twin of the codec: reads a client's whole conversation in the most obvious way, straight from RFC 9112 and the
//! attack table. Nothing serves with it: properties, fuzz targets and black-box tests hold the codec against it.
//!
//! It shares neither code nor tables with the rest of this crate but the maxima, works on whole lines, and judges a line only
//! when it has ended. So it may still wait where the codec has already refused; it never refuses what the codec takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits;
use crate::proxy_protocol::Told;

/// A request as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As received.
    pub method: Vec<u8>,
    /// The canonical path, and the query with its `?`; `*` for `OPTIONS *`.
    pub target: Vec<u8>,
    /// The host without its port; empty where HTTP/1.0 names none.
    pub host: Vec<u8>,
    /// Decoded.
    pub body: Vec<u8>,
    /// Whether the body came in chunks.
    pub chunked: bool,
    /// Whether the connection goes on after it.
    pub keep_alive: bool,
}

/// How a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After a whole request, or before the first.
    Clean,
    /// Within a request, of which nothing that has been read is wrong.
    Within,
    /// A request said that it was the last; what follows it means nothing.
    Last,
    /// With a head that breaks a rule.
    BadHead,
    /// With a body that breaks a rule.
    BadBody,
}

/// Why a part was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    More,
    Wrong,
}

type Read<T> = Result<T, Stop>;

/// The authority of an absolute target, and its scheme's port.
type Absolute<'a> = Option<(&'a [u8], u16)>;

/// Every request of a conversation, and how it ends.
pub fn conversation(bytes: &[u8]) -> (Vec<Request>, End) {
    let (mut requests, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (mut request, framing, behind) = match head(rest) {
            Ok(read) => read,
            Err(Stop::More) => return (requests, End::Within),
            Err(Stop::Wrong) => return (requests, End::BadHead),
        };
        rest = match body(framing, behind) {
            Ok((body, behind)) => {
                request.body = body;
                behind
            }
            Err(Stop::More) => return (requests, End::Within),
            Err(Stop::Wrong) => return (requests, End::BadBody),
        };
        let last = !request.keep_alive;
        requests.push(request);
        if last {
            return (requests, End::Last);
        }
    }
    (requests, End::Clean)
}

/// How a body is framed.
#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

fn wrong_unless(fine: bool) -> Read<()> {
    if fine { Ok(()) } else { Err(Stop::Wrong) }
}

/// A line without its CRLF, and what is behind it. The line has no other CR or LF, and no NUL.
fn line(bytes: &[u8]) -> Read<(&[u8], &[u8])> {
    let feed = bytes.iter().position(|byte| *byte == b'\n').ok_or(Stop::More)?;
    let line = bytes[..feed].strip_suffix(b"\r").ok_or(Stop::Wrong)?;
    wrong_unless(!line.contains(&b'\r') && !line.contains(&0))?;
    Ok((line, &bytes[feed + 1..]))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Without blanks and TABs at both ends.
fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(start) = text.iter().position(|byte| !blank(byte)) else { return b"" };
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// A field's name in lower case, and its value.
fn field(line: &[u8]) -> Read<(Vec<u8>, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Stop::Wrong)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    wrong_unless(is_token(name))?;
    wrong_unless(value.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f))?;
    Ok((name.to_ascii_lowercase(), trim(value)))
}

/// A head: the request without its body, how the body is framed, and what is behind the head.
fn head(bytes: &[u8]) -> Read<(Request, Framing, &[u8])> {
    let bytes = match bytes {
        [b'\r', b'\n', rest @ ..] => rest,
        _ => bytes,
    };
    if bytes.is_empty() {
        return Err(Stop::More);
    }
    let (start, mut rest) = line(bytes)?;
    let (method, target, http10) = start_line(start)?;
    let (mut fields, mut size) = (Vec::new(), 0);
    loop {
        let (text, behind) = line(rest)?;
        rest = behind;
        if text.is_empty() {
            break;
        }
        size += text.len() + 2;
        wrong_unless(size <= limits::REQUEST_FIELD_BYTES as usize)?;
        wrong_unless(fields.len() < limits::REQUEST_FIELDS as usize)?;
        fields.push(field(text)?);
    }
    let all = |name: &str| -> Vec<&[u8]> {
        fields.iter().filter(|field| field.0 == name.as_bytes()).map(|field| field.1).collect()
    };
    let (target, authority) = split_target(method, target)?;
    let host = host(&all("host"), authority, http10)?;
    wrong_unless(all("authorization").len() <= 1)?;
    let keep_alive = connection(&all("connection"), http10)?;
    let framing = framing(&all("transfer-encoding"), &all("content-length"), http10)?;
    let mut expected = all("expect").into_iter().flat_map(|value| value.split(|byte| *byte == b',')).map(trim);
    wrong_unless(http10 || expected.all(|what| what.is_empty() || what.eq_ignore_ascii_case(b"100-continue")))?;
    let (body, chunked) = (Vec::new(), matches!(framing, Framing::Chunked));
    Ok((Request { method: method.to_vec(), target, host, body, chunked, keep_alive }, framing, rest))
}

/// Method, target, and whether it is HTTP/1.0.
fn start_line(line: &[u8]) -> Read<(&[u8], &[u8], bool)> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { return Err(Stop::Wrong) };
    wrong_unless(is_token(method) && method.len() <= limits::METHOD_MAX)?;
    wrong_unless(!target.is_empty() && target.len() <= limits::REQUEST_TARGET_BYTES as usize)?;
    wrong_unless(target.iter().all(|byte| *byte > b' ' && *byte != 0x7f))?;
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            Ok((method, target, *minor == b'0'))
        }
        _ => Err(Stop::Wrong),
    }
}

/// A target's canonical form, and what an absolute one says of the host.
fn split_target<'a>(method: &[u8], target: &'a [u8]) -> Read<(Vec<u8>, Absolute<'a>)> {
    wrong_unless(!matches!(method, b"CONNECT" | b"TRACE"))?;
    wrong_unless(target.iter().all(|byte| byte.is_ascii() && *byte != b'#'))?;
    if target == b"*" {
        wrong_unless(method == b"OPTIONS")?;
        return Ok((target.to_vec(), None));
    }
    let scheme = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let (start, port) = match () {
        () if target[0] == b'/' => (0, None),
        () if scheme(b"http://") => (7, Some(80)),
        () if scheme(b"https://") => (8, Some(443)),
        () => return Err(Stop::Wrong),
    };
    let end = |text: &[u8], ends: &[u8]| text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len());
    let place = if port.is_some() { end(&target[start..], b"/?") } else { 0 };
    let (authority, rest) = target[start..].split_at(place);
    let (path, query) = rest.split_at(end(rest, b"?"));
    let mut canonical = canonical(path)?;
    canonical.extend_from_slice(query);
    Ok((canonical, port.map(|port| (authority, port))))
}

/// The path without its dot segments (rows P01 to P03).
fn canonical(path: &[u8]) -> Read<Vec<u8>> {
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = path.get(at + 1..at + 3).ok_or(Stop::Wrong)?;
        wrong_unless(digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00")?;
    }
    let lower = path.to_ascii_lowercase();
    wrong_unless(!lower.contains(&b'\\') && !lower.windows(3).any(|three| three == b"%5c"))?;
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    for (number, segment) in segments.iter().enumerate() {
        // What an eager reader takes it for; the slash in it stays escaped.
        let eager = str::from_utf8(segment).map_err(|_| Stop::Wrong)?.to_ascii_lowercase();
        let eager = eager.replace("%2e", ".").replace("%3b", ";");
        wrong_unless(!eager.starts_with(".;") && !eager.starts_with("..;"))?;
        let pieces: Vec<&str> = eager.split("%2f").collect();
        wrong_unless(pieces.len() == 1 || !pieces.iter().any(|piece| *piece == ".." || piece.starts_with("..;")))?;
        let last = number + 1 == segments.len();
        match &*eager {
            "." | ".." => {
                if eager == ".." {
                    kept.pop().ok_or(Stop::Wrong)?;
                }
                if last {
                    kept.push(b"");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut canonical: Vec<u8> = kept.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
    if canonical.is_empty() {
        canonical.push(b'/');
    }
    Ok(canonical)
}

/// A host in lower case and without its last dot, and its port if it has one.
fn authority(text: &[u8]) -> Read<(Vec<u8>, Option<u16>)> {
    let text = str::from_utf8(text).map_err(|_| Stop::Wrong)?;
    let (host, port) = match text.rfind(']') {
        Some(bracket) => text.split_at(bracket + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let sound = if let Some(literal) = host.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or(Stop::Wrong)?;
        literal.parse::<Ipv6Addr>().is_ok()
    } else {
        let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        labels.all(|label| !label.is_empty() && label.bytes().all(letter))
    };
    wrong_unless(sound && host.len() <= limits::HOST_MAX)?;
    let port = match port.strip_prefix(':') {
        None => {
            wrong_unless(port.is_empty())?;
            None
        }
        Some("") => None,
        Some(digits) => {
            wrong_unless(digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some(digits.parse().map_err(|_| Stop::Wrong)?)
        }
    };
    Ok((host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().into_bytes(), port))
}

/// Which host is meant.
fn host(fields: &[&[u8]], absolute: Absolute<'_>, http10: bool) -> Read<Vec<u8>> {
    wrong_unless(fields.len() == 1 || fields.is_empty() && http10)?;
    let asked = fields.first().map(|value| authority(value)).transpose()?;
    let meant = absolute.map(|(text, port)| authority(text).map(|meant| (meant, port))).transpose()?;
    match (asked, meant) {
        (Some((host, port)), Some(((other, other_port), default))) => {
            wrong_unless(host == other && port.unwrap_or(default) == other_port.unwrap_or(default))?;
            Ok(host)
        }
        (Some((host, _)), None) | (None, Some(((host, _), _))) => Ok(host),
        (None, None) => Ok(Vec::new()),
    }
}

/// Whether the connection goes on; Connection may not name what is meant for the other end (row C01).
fn connection(values: &[&[u8]], http10: bool) -> Read<bool> {
    const OWN: &str = "close keep-alive connection http2-settings proxy-authorization proxy-connection te trailer \
        transfer-encoding upgrade";
    const END_TO_END: &str = "authorization content-encoding content-length content-type cookie forwarded host set-cookie \
        x-api-key x-real-ip";
    let options = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let options: Vec<Vec<u8>> =
        options.map(|option| trim(option).to_ascii_lowercase()).filter(|option| !option.is_empty()).collect();
    let mut others = 0;
    for option in &options {
        wrong_unless(is_token(option))?;
        let is_in = |list: &str| list.split(' ').any(|word| word.as_bytes() == option);
        let prefix = ["x-forwarded-", "x-amz-", "x-amzn-"].iter().any(|prefix| option.starts_with(prefix.as_bytes()));
        wrong_unless(!is_in(END_TO_END) && !prefix)?;
        others += usize::from(!is_in(OWN));
    }
    wrong_unless(others <= limits::CONNECTION_OPTIONS_MAX)?;
    let says = |what: &str| options.iter().any(|option| option == what.as_bytes());
    Ok(!says("close") && (!http10 || says("keep-alive")))
}

fn framing(codings: &[&[u8]], lengths: &[&[u8]], http10: bool) -> Read<Framing> {
    match (codings, lengths) {
        ([], []) => Ok(Framing::Length(0)),
        ([], [digits]) => {
            wrong_unless(!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))?;
            let length: u64 = str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(Stop::Wrong)?;
            wrong_unless(length <= limits::BODY_BYTES_MAX)?;
            Ok(Framing::Length(length))
        }
        ([coding], []) if !http10 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        _ => Err(Stop::Wrong),
    }
}

/// The body, decoded, and what is behind it.
fn body(framing: Framing, bytes: &[u8]) -> Read<(Vec<u8>, &[u8])> {
    match framing {
        Framing::Length(length) => {
            let (body, rest) =
                usize::try_from(length).ok().and_then(|at| bytes.split_at_checked(at)).ok_or(Stop::More)?;
            Ok((body.to_vec(), rest))
        }
        Framing::Chunked => chunks(bytes),
    }
}

fn chunks(mut rest: &[u8]) -> Read<(Vec<u8>, &[u8])> {
    let (mut body, mut extensions) = (Vec::new(), 0);
    loop {
        let (text, behind) = line(rest)?;
        let (size, extension) = chunk_size(text)?;
        extensions += extension;
        wrong_unless(extension <= limits::CHUNK_EXTENSION_BYTES as usize)?;
        wrong_unless(extensions <= limits::CHUNK_EXTENSION_BYTES_TOTAL as usize)?;
        if size == 0 {
            return Ok((body, trailers(behind)?));
        }
        let (data, behind) = usize::try_from(size).ok().and_then(|at| behind.split_at_checked(at)).ok_or(Stop::More)?;
        let (end, behind) = behind.split_at_checked(2).ok_or(Stop::More)?;
        wrong_unless(end == b"\r\n")?;
        body.extend_from_slice(data);
        rest = behind;
    }
}

/// The size, and how many bytes of extension stand behind it.
fn chunk_size(line: &[u8]) -> Read<(u64, usize)> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    wrong_unless((1..=limits::CHUNK_SIZE_DIGITS as usize).contains(&digits))?;
    wrong_unless(extension.is_empty() || trim(extension).first() == Some(&b';'))?;
    wrong_unless(extension.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f))?;
    let size = str::from_utf8(size).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Stop::Wrong)?;
    wrong_unless(size <= limits::BODY_BYTES_MAX)?;
    Ok((size, extension.len()))
}

/// What is behind the trailers.
fn trailers(mut rest: &[u8]) -> Read<&[u8]> {
    let (mut count, mut size) = (0, 0);
    loop {
        let (text, behind) = line(rest)?;
        rest = behind;
        if text.is_empty() {
            return Ok(rest);
        }
        field(text)?;
        count += 1;
        size += text.len() + 2;
        wrong_unless(count <= limits::TRAILER_FIELDS && size <= limits::TRAILER_BYTES as usize)?;
    }
}

/// The PROXY header that `bytes` begin with: its length, and whom it speaks of. `None`: it is wrong, or not whole.
pub fn proxy_header(bytes: &[u8]) -> Option<(usize, Told)> {
    if bytes.starts_with(b"PROXY ") {
        return proxy_line(bytes);
    }
    let fixed = bytes.strip_prefix(b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a")?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u128, byte| number * 256 + u128::from(*byte));
    let length = 16 + number(fixed.get(2..4)?) as usize;
    let header = bytes.get(..length).filter(|header| header.len() <= limits::PROXY_HEADER_MAX)?;
    let (command, family, block) = (header[12], header[13], &header[16..]);
    if command == 0x20 || (command, family) == (0x21, 0x00) {
        return Some((length, Told::Nothing));
    }
    let v4 = |at: usize| Some(IpAddr::V4(Ipv4Addr::from_bits(number(block.get(at..at + 4)?) as u32)));
    let v6 = |at: usize| Some(IpAddr::V6(Ipv6Addr::from_bits(number(block.get(at..at + 16)?))));
    let port = |at: usize| Some(number(block.get(at..at + 2)?) as u16);
    let (told, begin) = match (command, family) {
        (0x21, 0x11 | 0x12) => {
            let (source, destination) = (SocketAddr::new(v4(0)?, port(8)?), SocketAddr::new(v4(4)?, port(10)?));
            (Told::Client { source, destination }, 28)
        }
        (0x21, 0x21 | 0x22) => {
            let (source, destination) = (SocketAddr::new(v6(0)?, port(32)?), SocketAddr::new(v6(16)?, port(34)?));
            (Told::Client { source, destination }, 52)
        }
        (0x21, 0x31 | 0x32) => (Told::Unix, 232),
        _ => return None,
    };
    let (mut at, mut checks) = (begin, 0);
    while at != length {
        let end = at + 3 + number(header.get(at + 1..at + 3)?) as usize;
        let value = header.get(at + 3..end)?;
        if header[at] == 3 {
            let zeroed = [&header[..at + 3], &[0; 4][..], &header[end..]].concat();
            checks += 1;
            if checks > 1 || value.len() != 4 || number(value) != u128::from(crc32c(&zeroed)) {
                return None;
            }
        }
        at = end;
    }
    Some((length, told))
}

/// Bit by bit, as a division of polynomials: the first bit is the lowest of the first byte.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |place| byte >> place & 1)) {
        let out = rest & 1 ^ u32::from(bit);
        rest >>= 1;
        if out == 1 {
            // x^32 + x^28 + x^27 + x^26 + x^25 + x^23 + … by their places.
            let places = [28, 27, 26, 25, 23, 22, 20, 19, 18, 14, 13, 11, 10, 9, 8, 6, 0];
            rest ^= places.iter().fold(0, |all, place| all | 1 << (31 - place));
        }
    }
    !rest
}

fn proxy_line(bytes: &[u8]) -> Option<(usize, Told)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let text = &bytes[6..end];
    if end + 2 > limits::PROXY_LINE_MAX || text.contains(&b'\r') || text.contains(&b'\n') {
        return None;
    }
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return Some((end + 2, Told::Nothing));
    }
    let text = str::from_utf8(text).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let [family, from, to, from_port, to_port] = words[..] else { return None };
    let (from_ip, to_ip): (IpAddr, IpAddr) = (from.parse().ok()?, to.parse().ok()?);
    let (source_port, destination_port): (u16, u16) = (from_port.parse().ok()?, to_port.parse().ok()?);
    let is_family = match family {
        "TCP4" => from_ip.is_ipv4() && to_ip.is_ipv4(),
        "TCP6" => from_ip.is_ipv6() && to_ip.is_ipv6(),
        _ => false,
    };
    // Written again by its meaning, it is what it was.
    let again = format!("{family} {from} {to} {source_port} {destination_port}");
    let source = SocketAddr::new(from_ip, source_port);
    let destination = SocketAddr::new(to_ip, destination_port);
    (is_family && again == text).then_some((end + 2, Told::Client { source, destination }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720 §B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    fn targets(bytes: &str) -> (Vec<String>, End) {
        let (requests, end) = conversation(bytes.as_bytes());
        (requests.iter().map(|one| String::from_utf8_lossy(&one.target).into_owned()).collect(), end)
    }

    fn ends(bytes: &str, end: End) {
        assert_eq!(conversation(bytes.as_bytes()).1, end, "{bytes:?}");
    }

    #[test]
    fn a_conversation_is_read_to_its_end() {
        let get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = "POST /b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
        let chunked = "POST http://A.:80/x/../c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2 ;x\r\nab\r\n0\r\nT: u\r\n\r\n";
        let last = "GET /d HTTP/1.0\r\n\r\n";
        let all = [get, post, chunked, last, "whatever"].concat();
        assert_eq!(targets(&all), (vec!["/a".into(), "/b?c".into(), "/c".into(), "/d".into()], End::Last));
        let (requests, _) = conversation(all.as_bytes());
        assert!(requests[1].body == b"ab" && requests[2].body == b"ab" && requests[2].chunked);
        ends(&all[..get.len() + post.len()], End::Clean);
        ends(&all[..get.len() + post.len() - 1], End::Within);
        ends("", End::Clean);
        ends("\r\n", End::Within);
    }

    #[test]
    fn what_breaks_a_rule_ends_it() {
        for head in ["GET /\n\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\nX: y\r\n\r\n", "G T /\r\n"]
        {
            ends(head, End::BadHead);
        }
        let framed = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        for lines in [
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Connection: host\r\n",
            "Expect: x\r\n",
        ] {
            ends(&framed(lines), End::BadHead);
        }
        for body in ["x\r\n", "2\nab", "2\r\nabc\r\n", "0\r\nT u\r\n", "8000000000000000\r\n", "2 \r\n"] {
            ends(&format!("{}{body}", framed("Transfer-Encoding: chunked\r\n")), End::BadBody);
        }
    }

    #[test]
    fn paths_are_canonical() {
        for (path, expected) in [("/a/../b", "/b"), ("/a/.", "/a/"), ("/..a/%2e", "/..a/"), ("//", "//"), ("", "/")] {
            assert_eq!(canonical(path.as_bytes()), Ok(expected.as_bytes().to_vec()), "{path}");
        }
        for path in ["/..", "/a/..;/", "/a%2f..", "/%5c", "/%0", "/%00", "/\\"] {
            assert_eq!(canonical(path.as_bytes()), Err(Stop::Wrong), "{path}");
        }
    }
}
