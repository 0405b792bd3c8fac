//! What must hold for any bytes: called by the fuzz targets, and by the tests that replay their corpus with stable Rust.
//!
//! Each function panics if the property does not hold; there is nothing to return. They allocate freely.

use crate::grpc::Messages;
use crate::grpc_web::{self, TextReader};
use crate::head::{Fate, Fields, Framing, HeadLimits, Name, RequestHead, ResponseHead, Span, Version};
use crate::http1::framing::{ChunkDecoder, ChunkStep};
use crate::http1::misbehave::Misbehaviour;
use crate::http1::parse::{Progress, parse_request, parse_response};
use crate::http1::{Outcome, read_request, read_response, write};
use crate::http2::frames::{self, Watch};
use crate::limits;
use crate::proxy_protocol::{self, Told};
use crate::slow::{self, End};
use crate::target::{canonical_path, decode_component, query_get, query_pairs};
use crate::websocket::{self, Asked};

/// Limits so small that short inputs reach all of them.
const TIGHT: HeadLimits = HeadLimits { fields: 3, field_bytes: 48, target: 12, head: 80 };

/// At most so many places at which an input is cut, so that the work stays linear in practice; Miri is slow.
const CUTS: usize = if cfg!(miri) { 8 } else { 192 };

/// A request head reads the same however it is split and whichever path reads it; what it describes is within bounds; and
/// written anew it means the same.
pub fn request_head(bytes: &[u8]) {
    for limits in [HeadLimits::REQUEST, TIGHT] {
        let read = |bytes: &[u8], fast| {
            let mut head = RequestHead::new();
            let outcome = read_request(bytes, &mut head, &limits, fast);
            (outcome, head)
        };
        if let Some(head) = agrees(bytes, read) {
            request_is_sound(bytes, &head, &limits);
            request_survives_rewriting(bytes, &head, &limits);
        }
    }
}

/// As `request_head`, for a response; also to a HEAD request.
pub fn response_head(bytes: &[u8]) {
    for (limits, to_head) in [(HeadLimits::RESPONSE, false), (HeadLimits::RESPONSE, true), (TIGHT, false)] {
        let read = |bytes: &[u8], fast| {
            let mut head = ResponseHead::new();
            let outcome = read_response(bytes, &mut head, to_head, &limits, fast);
            (outcome, head)
        };
        if let Some(head) = agrees(bytes, read) {
            response_is_sound(bytes, &head, to_head, &limits);
        }
    }
}

/// Heads of HTTP/2 frames are counted the same however they are split, and as the slow twin counts them.
pub fn frames(bytes: &[u8]) {
    let mut whole = Vec::new();
    let mut rest = bytes;
    while let Some(length) = rest.get(..3) {
        let length = 9 + u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        let Some((frame, behind)) = rest.split_at_checked(length) else { break };
        whole.push((0, frame.to_vec()));
        rest = behind;
    }
    let bytes = &bytes[..bytes.len() - rest.len()];
    let expected = frames::slow(&whole);
    for size in [bytes.len().max(1), 1, 2, 5, 9, 64] {
        let mut watch = Watch::new(0);
        let verdict = bytes.chunks(size).try_for_each(|piece| watch.received(piece, 0));
        assert_eq!(verdict, expected, "fed {size} bytes at a time");
    }
    // What we send is of the same form.
    let _ = Watch::new(0).sent(bytes, 0);
}

/// A chunked body decodes to the same payload, end and trailer count however it is split; no byte is lost or made up; and
/// what is decoded and encoded again decodes to itself.
pub fn chunked(bytes: &[u8]) {
    let whole = Decoded::of(bytes, bytes.len().max(1));
    assert!(whole.consumed <= bytes.len() && whole.payload.len() <= whole.consumed);
    assert!(whole.trailers <= limits::TRAILER_FIELDS && whole.lines.len() <= usize::from(limits::TRAILER_BYTES));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(Decoded::of(bytes, size), whole, "fed {size} bytes at a time");
    }
    if whole.result == Ok(true) {
        let ends = whole.lines.windows(2).filter(|two| two == b"\r\n").count();
        assert_eq!((ends, whole.lines.is_empty() || whole.lines.ends_with(b"\r\n")), (whole.trailers.into(), true));
        // Nothing behind the end was looked at.
        assert_eq!(Decoded::of(&bytes[..whole.consumed], bytes.len().max(1)), whole);
    }
    let mut again = Vec::new();
    for piece in whole.payload.chunks(100) {
        write::chunk_head(&mut again, piece.len());
        again.extend_from_slice(piece);
        again.extend_from_slice(write::CHUNK_END);
    }
    again.extend_from_slice(write::LAST_CHUNK);
    let again = Decoded::of(&again, again.len());
    assert_eq!((again.result, again.payload, again.trailers), (Ok(true), whole.payload, 0));
}

/// A text of gRPC-Web reads the same however it is split, up to the same fault; what was read and is written in any pieces reads as
/// itself again; and a frame of trailers holds as many bytes as it says, in lines.
pub fn grpc_web(bytes: &[u8]) {
    let read = |text: &[u8], size: usize| {
        let (mut reader, mut out) = (TextReader::default(), Vec::new());
        let outcome = text.chunks(size.max(1)).try_for_each(|piece| reader.read(piece, &mut out));
        (outcome, out, outcome.is_ok() && reader.is_whole())
    };
    let whole = read(bytes, bytes.len());
    assert!(whole.1.len() <= bytes.len() / 4 * 3);
    for size in [1, 2, 3, 5, 64] {
        assert_eq!(read(bytes, size), whole, "fed {size} bytes at a time");
    }
    let longest = |size: usize| {
        let mut messages = Messages::default();
        bytes.chunks(size).for_each(|piece| messages.read(piece));
        messages.longest()
    };
    assert!([1, 2, 5, 64].into_iter().all(|size| longest(size) == longest(bytes.len().max(1))), "lengths of messages");
    for size in [1, 4, 100] {
        let mut text = Vec::new();
        bytes.chunks(size).for_each(|piece| grpc_web::write_text(piece, &mut text));
        assert_eq!(read(&text, 7), (Ok(()), bytes.to_vec(), true));
    }
    let mut frame = Vec::new();
    let fields = bytes.split(|byte| *byte == b';').map(|field| field.split_at(field.len() / 2));
    grpc_web::write_trailers(fields, &mut frame);
    let (begin, lines) = frame.split_at(5);
    assert_eq!(begin[0], grpc_web::TRAILERS);
    assert_eq!(lines.len(), u32::from_be_bytes([begin[1], begin[2], begin[3], begin[4]]) as usize);
    assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
    let ends = lines.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
    assert_eq!(ends, 2 * lines.windows(2).filter(|two| two == b"\r\n").count(), "nothing ends a line but its end");
}

/// A canonical path has no dot segment, no backslash, begins with `/`, is no longer than what was received, and is
/// canonical itself; query pairs are pieces of the query, and decoding never lengthens.
pub fn target(bytes: &[u8]) {
    let mut scratch = Vec::new();
    if let Ok(path) = canonical_path(bytes, &mut scratch) {
        assert!(path.first() == Some(&b'/') && path.len() <= bytes.len().max(1));
        assert!(!path.contains(&b'\\'));
        for segment in path.split(|byte| *byte == b'/') {
            let mut plain = Vec::new();
            decode_component(segment, false, &mut plain);
            assert!(plain != b"." && plain != b"..", "dot segment left in {}", path.escape_ascii());
        }
        let mut again = Vec::new();
        assert_eq!(canonical_path(path, &mut again), Ok(path), "canonical twice is canonical once");
        assert_eq!(again.capacity(), 0, "a canonical path is borrowed");
    }
    for (name, value) in query_pairs(bytes) {
        assert!(!name.contains(&b'=') && name.len() + value.len() <= bytes.len());
        let mut plain = Vec::new();
        decode_component(name, true, &mut plain);
        assert!(plain.len() <= name.len());
        assert!(query_get(bytes, &plain).is_some(), "a pair that is there is found");
    }
    request_head(&[b"GET ", bytes, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
}

/// A client's whole conversation is read as its slow twin reads it, however it is split: the same requests, the same bodies, and
/// the same end. Only where the twin still waits for the end of a line may it already be refused.
pub fn exchange(bytes: &[u8]) {
    let (requests, end) = slow::conversation(bytes);
    for size in [bytes.len().max(1), 1, 5] {
        let (read, how) = conversation(bytes, size);
        let early = end == End::Within && matches!(how, End::BadHead | End::BadBody);
        assert!(how == end || early, "{how:?} instead of {end:?}, {size} bytes at a time: {}", bytes.escape_ascii());
        assert_eq!(read, requests, "{size} bytes at a time: {}", bytes.escape_ascii());
        if size == 1 && bytes.len() > CUTS {
            // Each byte looks at the whole head again.
            break;
        }
    }
}

/// A PROXY header is what its slow twin says; nothing behind it is looked at, what comes of it in pieces is judged no sooner and no
/// other than as a whole, and whoever it speaks of can be told on.
pub fn proxy_header(bytes: &[u8]) {
    let whole = proxy_protocol::parse(bytes);
    let twin = slow::proxy_header(bytes);
    assert_eq!(whole.ok().flatten().map(|header| (header.length, header.told)), twin, "{}", bytes.escape_ascii());
    for cut in cuts(bytes.len()) {
        let part = proxy_protocol::parse(&bytes[..cut]);
        match whole {
            Ok(Some(header)) if cut >= header.length => assert_eq!(part, whole, "{cut} bytes"),
            Err(fault) => assert!(part == Ok(None) || part == Err(fault), "{part:?} of {cut} bytes, then {fault:?}"),
            Ok(_) => assert_eq!(part, Ok(None), "{cut} bytes"),
        }
    }
    let Ok(Some(header)) = whole else { return };
    assert_eq!(proxy_protocol::parse(&[bytes, b"GET /"].concat()), whole, "what follows is not its own");
    for version in [proxy_protocol::Version::V1, proxy_protocol::Version::V2] {
        let mut again = Vec::new();
        proxy_protocol::write(version, &header.told, &mut again);
        let read = proxy_protocol::parse(&again).ok().flatten().expect("what is written is whole");
        assert_eq!((read.length, read.version), (again.len(), version));
        match (header.told, read.told) {
            (Told::Client { source: a, destination: b }, Told::Client { source: c, destination: d }) => {
                let plain = |told: [std::net::SocketAddr; 2]| told.map(|told| (told.ip().to_canonical(), told.port()));
                assert_eq!(plain([a, b]), plain([c, d]));
            }
            (Told::Client { .. }, _) | (_, Told::Client { .. } | Told::Unix) => panic!("{again:?} is of {header:?}"),
            (_, Told::Nothing) => {}
        }
    }
}

/// Two blocks of field lines with a NUL between them, a client's and a backend's: what counts as a handshake says so in words, an
/// answer that repeats what was offered agrees to it, and one that agrees names nothing else.
pub fn websocket(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0);
    let (asking, answering) = at.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 1..]));
    let asking = [b"GET / HTTP/1.1\r\nHost: a\r\n", asking, b"\r\n"].concat();
    let mut head = RequestHead::new();
    if parse_request(&asking, &mut head, &HeadLimits::REQUEST) != Ok(Progress::Complete) {
        return;
    }
    let Asked::Handshake(handshake) = websocket::asked(&head, &asking) else { return };
    let asked = asking[..head.length].to_ascii_lowercase();
    let says = |text: &[u8], what: &[u8]| text.windows(what.len().max(1)).any(|window| window == what);
    assert!(says(&asked, b"websocket") && says(&asked, b"upgrade") && says(&asked, b"13"));
    let agrees = |fields: &[u8]| {
        let answer = [b"HTTP/1.1 101 Switching Protocols\r\n", fields, b"\r\n"].concat();
        let mut head = ResponseHead::new();
        let is_whole = parse_response(&answer, &mut head, false, &HeadLimits::RESPONSE) == Ok(Progress::Complete);
        (is_whole && websocket::agrees(&head, &answer, &handshake)).then(|| answer[..head.length].to_ascii_lowercase())
    };
    let proof =
        [b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ", handshake.accept.as_bytes(), b"\r\n"]
            .concat();
    assert!(agrees(&proof).is_some(), "nothing is chosen, and that is refused");
    for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"] {
        // What a client says has no such word, so it has not offered it.
        if !says(&asked, b"unheard-of") {
            let chosen = [&proof, name.as_bytes(), b": unheard-of\r\n"].concat();
            assert!(agrees(&chosen).is_none(), "{name} names what was not offered, and that is agreed to");
        }
    }
    for answer in [agrees(answering), agrees(&[&proof, answering].concat())].into_iter().flatten() {
        assert!(says(&answer, &handshake.accept.as_bytes().to_ascii_lowercase()));
        for field in [&b"\r\nsec-websocket-protocol:"[..], b"\r\nsec-websocket-extensions:"] {
            let chosen = answer.windows(field.len()).position(|window| window == field);
            let Some(value) = chosen.map(|at| &answer[at + field.len()..]) else { continue };
            let first = value.split(|byte| b",;\r\n".contains(byte)).next().unwrap_or_default().trim_ascii();
            assert!(says(&asked, first) || first.is_empty(), "{} was not offered", first.escape_ascii());
        }
    }
}

/// What the codec makes of a conversation that comes in pieces of `size` bytes.
fn conversation(bytes: &[u8], size: usize) -> (Vec<slow::Request>, End) {
    let (mut requests, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let mut head = RequestHead::new();
        let ends = (size..rest.len()).step_by(size).chain([rest.len()]);
        let mut read = ends.map(|end| read_request(&rest[..end], &mut head, &HeadLimits::REQUEST, true));
        match read.find(|outcome| *outcome != Ok(Progress::Incomplete)) {
            None => return (requests, End::Within),
            Some(Err(_)) => return (requests, End::BadHead),
            Some(Ok(_)) => {}
        }
        drop(read);
        let Some(mut request) = described(rest, &head) else { return (requests, End::BadHead) };
        let body = &rest[head.length..];
        let length = match head.framing {
            Framing::None | Framing::UntilClose => 0,
            Framing::Length(length) if length > body.len() as u64 => return (requests, End::Within),
            Framing::Length(length) => {
                request.body = body[..length as usize].to_vec();
                length as usize
            }
            Framing::Chunked => {
                let decoded = Decoded::of(body, size);
                match decoded.result {
                    Err(_) => return (requests, End::BadBody),
                    Ok(false) => return (requests, End::Within),
                    Ok(true) => request.body = decoded.payload,
                }
                decoded.consumed
            }
        };
        rest = &body[length..];
        requests.push(request);
        if !head.keep_alive {
            return (requests, End::Last);
        }
    }
    (requests, End::Clean)
}

/// A request as its twin describes it; none if its path is refused.
fn described(bytes: &[u8], head: &RequestHead) -> Option<slow::Request> {
    let mut scratch = Vec::new();
    let path = head.path.of(bytes);
    let mut target = if head.asterisk { path } else { canonical_path(path, &mut scratch).ok()? }.to_vec();
    if let Some(query) = head.query {
        target.push(b'?');
        target.extend_from_slice(query.of(bytes));
    }
    let host = head.host.of(bytes);
    Some(slow::Request {
        method: head.method.of(bytes).to_vec(),
        target,
        host: host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase(),
        body: Vec::new(),
        chunked: head.framing == Framing::Chunked,
        keep_alive: head.keep_alive,
    })
}

/// Reads the whole, every way there is, and all that it may be cut down to; gives the head if it is complete.
fn agrees<H: PartialEq + std::fmt::Debug>(bytes: &[u8], read: impl Fn(&[u8], bool) -> (Outcome, H)) -> Option<H> {
    let (outcome, head) = read(bytes, true);
    let (slow_outcome, slow_head) = read(bytes, false);
    assert_eq!(outcome, slow_outcome, "the fast path and the scan disagree on {}", bytes.escape_ascii());
    let complete = outcome == Ok(Progress::Complete);
    if complete {
        assert_eq!(head, slow_head, "the fast path and the scan describe different heads");
    }
    for cut in cuts(bytes.len()) {
        let (early, early_head) = read(&bytes[..cut], true);
        if early != Ok(Progress::Incomplete) {
            assert_eq!(early, outcome, "cut at {cut}: {}", bytes.escape_ascii());
            assert!(!complete || early_head == head, "cut at {cut}, the head is another");
        }
    }
    complete.then_some(head)
}

/// Where to cut an input of so many bytes: everywhere if it is short, else evenly.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(len / CUTS + 1)
}

fn request_is_sound(bytes: &[u8], head: &RequestHead, limits: &HeadLimits) {
    assert!(head.length <= bytes.len() && head.length <= limits.head as usize + 2);
    let block = &bytes[..head.length];
    assert!(block.ends_with(b"\r\n\r\n"));
    let (method, target) = (head.method.of(block), head.target.of(block));
    assert!(!method.is_empty() && method.len() <= limits::METHOD_MAX);
    assert!(!target.is_empty() && target.len() <= limits.target as usize);
    assert!(target.iter().all(|byte| (b'!'..=b'~').contains(byte) && *byte != b'#'));
    let path = head.path.of(block);
    if head.asterisk {
        assert_eq!((method, path), (&b"OPTIONS"[..], &b"*"[..]));
    } else {
        assert!(path.first() == Some(&b'/') && !path.contains(&b'?'));
    }
    for span in [Some(head.path), head.query, head.authority].into_iter().flatten() {
        assert!(head.target.start <= span.start && span.end <= head.target.end);
    }
    let host = head.host.of(block);
    assert!(!host.is_empty() || head.version == Version::Http10);
    assert!(!host.iter().any(|byte| matches!(byte, b',' | b'@' | b'/' | b' ')));
    assert!(head.framing != Framing::UntilClose);
    assert!(!head.expect_continue || matches!(head.framing, Framing::Length(1..) | Framing::Chunked));
    fields_are_sound(block, &head.fields, limits);
    framing_is_sound(block, &head.fields, head.framing, head.version);
    for field in &*head.fields {
        let underscored = field.name.of(block).contains(&b'_');
        assert!(!underscored || field.fate != Fate::Pass, "an underscore passed");
    }
}

fn response_is_sound(bytes: &[u8], head: &ResponseHead, to_head: bool, limits: &HeadLimits) {
    assert!(head.length <= bytes.len() && head.length <= limits.head as usize);
    let block = &bytes[..head.length];
    assert!(block.ends_with(b"\r\n\r\n"));
    assert!((100..=599).contains(&head.status));
    assert!(head.reason.len() <= limits.target as usize && write::value_is_clean(head.reason.of(block)));
    fields_are_sound(block, &head.fields, limits);
    if to_head || matches!(head.status, 100..=199 | 204 | 304) {
        assert_eq!(head.framing, Framing::None);
    } else if head.framing == Framing::UntilClose {
        assert!(!head.keep_alive);
        assert!(head.fields.get(Name::ContentLength).is_none());
    } else {
        framing_is_sound(block, &head.fields, head.framing, head.version);
    }
}

fn fields_are_sound(block: &[u8], fields: &Fields, limits: &HeadLimits) {
    assert!(fields.len() <= limits.fields as usize);
    let bytes: usize = fields.iter().map(|field| field.name.len() + field.value.len() + 3).sum();
    assert!(bytes <= limits.field_bytes as usize);
    let mut last = 0;
    for field in fields {
        let Span { start, end } = field.name;
        assert!(last < start && start < end && end < field.value.start, "fields lie one behind the other");
        last = field.value.end;
        let (name, value) = (field.name.of(block), field.value.of(block));
        assert!(name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':'));
        assert!(write::value_is_clean(value));
        assert!(!matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']), "blanks around a value");
        assert_eq!(Name::of(name), field.known);
        let hop = matches!(field.known, Name::Connection | Name::TransferEncoding | Name::Upgrade | Name::Te);
        assert!(!hop || field.fate == Fate::Hop);
    }
}

/// The framing is what the fields say, and they say one thing only.
fn framing_is_sound(block: &[u8], fields: &Fields, framing: Framing, version: Version) {
    let count = |name| fields.iter().filter(|field| field.known == name).count();
    let (lengths, codings) = (count(Name::ContentLength), count(Name::TransferEncoding));
    match framing {
        Framing::None | Framing::UntilClose => assert_eq!((lengths, codings), (0, 0)),
        Framing::Length(length) => {
            assert_eq!((lengths, codings), (1, 0));
            let text = fields.get(Name::ContentLength).expect("it was counted").value.of(block);
            assert_eq!(str::from_utf8(text).ok().and_then(|text| text.parse().ok()), Some(length));
        }
        Framing::Chunked => {
            assert_eq!((lengths, codings, version), (0, 1, Version::Http11));
            let text = fields.get(Name::TransferEncoding).expect("it was counted").value.of(block);
            assert!(text.eq_ignore_ascii_case(b"chunked"));
        }
    }
}

/// A head that is written anew, all fields as they came, is read as the same request.
fn request_survives_rewriting(bytes: &[u8], head: &RequestHead, limits: &HeadLimits) {
    if head.version == Version::Http10 {
        return;
    }
    let mut anew = Vec::new();
    write::request_line(&mut anew, head.method.of(bytes), head.target.of(bytes));
    for field in &*head.fields {
        write::field(&mut anew, field.name.of(bytes), field.value.of(bytes));
    }
    write::end(&mut anew);
    // The canonical spelling may be longer than what came: `a:b` is written `a: b`.
    let limits = HeadLimits { field_bytes: u32::MAX, head: u32::MAX, ..*limits };
    let mut again = RequestHead::new();
    assert_eq!(read_request(&anew, &mut again, &limits, true), Ok(Progress::Complete));
    assert_eq!(again.length, anew.len());
    assert_eq!(again.path.of(&anew), head.path.of(bytes));
    assert_eq!(again.query.map(|query| query.of(&anew)), head.query.map(|query| query.of(bytes)));
    assert_eq!(again.host.of(&anew), head.host.of(bytes));
    assert_eq!(
        (again.framing, again.keep_alive, again.expect_continue),
        (head.framing, head.keep_alive, head.expect_continue)
    );
    assert_eq!(again.fields.len(), head.fields.len());
    for (new, old) in again.fields.iter().zip(&*head.fields) {
        assert_eq!((new.name.of(&anew), new.value.of(&anew)), (old.name.of(bytes), old.value.of(bytes)));
        assert_eq!((new.known, new.fate), (old.known, old.fate));
    }
}

/// What a chunked body came to.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    payload: Vec<u8>,
    /// Whether it ended, or what was wrong.
    result: Result<bool, Misbehaviour>,
    /// Bytes that belonged to it; all of them if it did not end; unknown (zero) if it was wrong.
    consumed: usize,
    trailers: u16,
    /// The trailer lines.
    lines: Vec<u8>,
}

impl Decoded {
    /// Feeds a body in pieces of `size` bytes.
    fn of(bytes: &[u8], size: usize) -> Decoded {
        let mut decoder = ChunkDecoder::new();
        let mut decoded =
            Decoded { payload: Vec::new(), result: Ok(false), consumed: 0, trailers: 0, lines: Vec::new() };
        for piece in bytes.chunks(size) {
            if let Err(why) = decoded.feed(&mut decoder, piece) {
                decoded.result = Err(why);
                decoded.consumed = bytes.len();
            }
            if decoded.result != Ok(false) {
                break;
            }
        }
        decoded.trailers = decoder.trailers_dropped();
        decoded
    }

    fn feed(&mut self, decoder: &mut ChunkDecoder, mut input: &[u8]) -> Result<(), Misbehaviour> {
        loop {
            match decoder.next_with(input, |byte| self.lines.push(byte))? {
                ChunkStep::NeedMore => {
                    self.consumed += input.len();
                    return Ok(());
                }
                ChunkStep::Data { start, end } => {
                    assert!(start < end && end <= input.len());
                    self.payload.extend_from_slice(&input[start..end]);
                    self.consumed += end;
                    input = &input[end..];
                }
                ChunkStep::End { consumed } => {
                    assert!(consumed <= input.len() && decoder.is_ended());
                    assert_eq!(decoder.next(b"next"), Ok(ChunkStep::End { consumed: 0 }));
                    self.consumed += consumed;
                    self.result = Ok(true);
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_everywhere_in_short_inputs_and_bounded_in_long_ones() {
        assert_eq!(cuts(0).count(), 0);
        assert_eq!(cuts(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(cuts(1_000_000).count() <= CUTS);
    }

    #[test]
    fn the_properties_hold_for_nothing() {
        request_head(b"");
        response_head(b"");
        chunked(b"");
        target(b"");
        exchange(b"");
        proxy_header(b"");
        grpc_web(b"");
    }

    #[test]
    #[should_panic(expected = "one behind the other")]
    fn a_field_out_of_place_is_noticed() {
        let mut fields = Fields::new();
        fields.push(Span::new(4, 5), Span::new(2, 3), Name::Other);
        fields_are_sound(b"a: b: c", &fields, &HeadLimits::REQUEST);
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_framing_that_the_fields_do_not_say_is_noticed() {
        framing_is_sound(b"", &Fields::new(), Framing::Length(3), Version::Http11);
    }
}
