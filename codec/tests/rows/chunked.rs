//! Rows F18 to F26: the chunked coding.

use codec::http1::framing::{ChunkDecoder, ChunkStep};
use codec::http1::misbehave::Misbehaviour;
use codec::limits;
use codec::properties;

/// The payload, what lies behind the body, and how many trailers were dropped; or what was wrong.
fn decode(bytes: &[u8]) -> Result<(Vec<u8>, &[u8], u16), Misbehaviour> {
    properties::chunked(bytes);
    let mut decoder = ChunkDecoder::new();
    let mut payload = Vec::new();
    let mut input = bytes;
    loop {
        match decoder.next(input)? {
            ChunkStep::Data { start, end } => {
                payload.extend_from_slice(&input[start..end]);
                input = &input[end..];
            }
            ChunkStep::End { consumed } => return Ok((payload, &input[consumed..], decoder.trailers_dropped())),
            ChunkStep::NeedMore => panic!("not whole: {}", bytes.escape_ascii()),
        }
    }
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    decode(bytes).unwrap_or_else(|why| panic!("{} was refused: {why}", bytes.escape_ascii())).0
}

fn refused(bytes: &[u8], why: Misbehaviour) {
    assert_eq!(decode(bytes).err(), Some(why), "{}", bytes.escape_ascii());
}

#[test]
fn chunks_are_joined() {
    assert_eq!(payload(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), b"hello world");
    assert_eq!(payload(b"0\r\n\r\n"), b"");
    assert_eq!(payload(b"000\r\n\r\n"), b"");
}

#[test]
fn payload_is_given_where_it_lies() {
    let bytes = b"5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut decoder = ChunkDecoder::new();
    assert_eq!(decoder.next(bytes), Ok(ChunkStep::Data { start: 3, end: 8 }));
    assert_eq!(decoder.next(&bytes[8..]), Ok(ChunkStep::Data { start: 5, end: 8 }));
    assert_eq!(decoder.next(&bytes[16..]), Ok(ChunkStep::End { consumed: 7 }));
    assert!(decoder.is_ended());
    assert_eq!(decoder.next(b"more"), Ok(ChunkStep::End { consumed: 0 }));
    assert_eq!(decoder.next(b""), Ok(ChunkStep::End { consumed: 0 }));
}

#[test]
fn a_chunk_may_come_in_pieces() {
    let mut decoder = ChunkDecoder::new();
    assert_eq!(decoder.next(b""), Ok(ChunkStep::NeedMore));
    assert_eq!(decoder.next(b"a"), Ok(ChunkStep::NeedMore));
    assert_eq!(decoder.next(b"\r"), Ok(ChunkStep::NeedMore));
    assert_eq!(decoder.next(b"\n01234"), Ok(ChunkStep::Data { start: 1, end: 6 }));
    assert_eq!(decoder.next(b"567"), Ok(ChunkStep::Data { start: 0, end: 3 }));
    assert_eq!(decoder.next(b"89\r\n0"), Ok(ChunkStep::Data { start: 0, end: 2 }));
    assert_eq!(decoder.next(b"\r\n0"), Ok(ChunkStep::NeedMore));
    assert!(!decoder.is_ended());
    assert_eq!(decoder.next(b"\r\n\r\nnext"), Ok(ChunkStep::End { consumed: 4 }));
}

#[test]
fn f18_sizes_that_are_none() {
    for size in ["0x2", "-1", " 2", "", "+2", "g", "2g", ";a", "_", "\t2", "0x", "2_0", "\u{662}"] {
        refused(format!("{size}\r\nab\r\n0\r\n\r\n").as_bytes(), Misbehaviour::ChunkSizeMalformed);
    }
    refused(b"2\rab\r\n0\r\n\r\n", Misbehaviour::ChunkSizeMalformed);
    refused(b"2\r\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkSizeMalformed);
    refused(b"\nab", Misbehaviour::ChunkSizeMalformed);
}

#[test]
fn f18_sizes_have_sixteen_digits_at_most() {
    assert_eq!(payload(b"0000000000000002\r\nab\r\n0\r\n\r\n"), b"ab");
    assert_eq!(payload(b"2\r\nab\r\n0000000000000000\r\n\r\n"), b"ab");
    refused(b"00000000000000002\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkSizeMalformed);
    refused(b"10000000000000002\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkSizeMalformed);
}

#[test]
fn f18_the_largest_size_is_counted_exactly() {
    let mut decoder = ChunkDecoder::new();
    assert_eq!(decoder.next(b"7fffffffffffffff\r\nabc"), Ok(ChunkStep::Data { start: 18, end: 21 }));
    assert_eq!(decoder.announced(), limits::BODY_BYTES_MAX - 3);
    assert_eq!(decoder.next(b"de"), Ok(ChunkStep::Data { start: 0, end: 2 }));
    // Who counts in signed numbers would find a negative one.
    for size in ["8000000000000000", "ffffffffffffffff", "FFFFFFFFFFFFFFFE"] {
        refused(format!("{size}\r\nab").as_bytes(), Misbehaviour::ChunkSizeMalformed);
    }
}

#[test]
fn f18_what_a_chunk_announces_is_known_before_it_comes() {
    let mut decoder = ChunkDecoder::new();
    assert_eq!((decoder.next(b"100000"), decoder.announced()), (Ok(ChunkStep::NeedMore), 0));
    assert_eq!((decoder.next(b"\r\n"), decoder.announced()), (Ok(ChunkStep::NeedMore), 0x10_0000));
}

#[test]
fn f18_sizes_are_hex_in_any_case() {
    let body = [b'x'; 0xab];
    let bytes = |size: &[u8]| [size, b"\r\n", &body, b"\r\n0\r\n\r\n"].concat();
    for size in [b"ab", b"AB", b"aB"] {
        assert_eq!(payload(&bytes(size)), body);
    }
}

#[test]
fn f19_blanks_after_a_size() {
    for size in ["2 ", "2\t", "2 a", "2 2", "0 ", "2 \t "] {
        refused(format!("{size}\r\nab\r\n0\r\n\r\n").as_bytes(), Misbehaviour::ChunkSizeSpace);
    }
    refused(b"2 \nab\r\n0\r\n\r\n", Misbehaviour::ChunkSizeSpace);
    // Before an extension they are bad white space, which has to be taken (RFC 9112 §7.1.1, RFC 9110 §5.6.3).
    for size in ["2 ;a=b", "2\t;a", "2 \t ; a = b", "2; a"] {
        assert_eq!(payload(format!("{size}\r\nab\r\n0 ;z\r\n\r\n").as_bytes()), b"ab", "{size}");
    }
    let long = format!("2{};a\r\nab\r\n0\r\n\r\n", " ".repeat(257));
    refused(long.as_bytes(), Misbehaviour::ChunkExtensionTooLong);
}

#[test]
fn f20_size_lines_ended_by_a_bare_line_feed() {
    refused(b"2\nab\r\n0\r\n\r\n", Misbehaviour::ChunkBareLf);
    refused(b"2\r\nab\r\n0\n\r\n", Misbehaviour::ChunkBareLf);
    refused(b"2\r\nab\r\n0\r\n\n", Misbehaviour::BareLf);
    refused(b"0\r\nX: y\n\r\n", Misbehaviour::BareLf);
}

#[test]
fn f21_data_that_no_line_end_follows() {
    refused(b"2\r\nabc\r\n0\r\n\r\n", Misbehaviour::ChunkDataEnd);
    refused(b"2\r\nab0\r\n\r\n", Misbehaviour::ChunkDataEnd);
    refused(b"2\r\nab\n0\r\n\r\n", Misbehaviour::ChunkDataEnd);
    refused(b"2\r\nab\r0\r\n\r\n", Misbehaviour::ChunkDataEnd);
    refused(b"2\r\nab\r\r\n0\r\n\r\n", Misbehaviour::ChunkDataEnd);
}

#[test]
fn f22_extensions_are_ignored() {
    for extension in [";a=b", ";a", ";", ";a=\"b c\"", "; a = b", ";a=b;c=d", ";\u{e4}", ";\t"] {
        assert_eq!(payload(format!("2{extension}\r\nab\r\n0{extension}\r\n\r\n").as_bytes()), b"ab");
    }
}

#[test]
fn f22_extensions_are_bounded_per_chunk() {
    let chunk = |bytes: usize| format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(bytes - 1));
    assert_eq!(payload(chunk(256).as_bytes()), b"ab");
    refused(chunk(257).as_bytes(), Misbehaviour::ChunkExtensionTooLong);
}

#[test]
fn f22_extensions_are_bounded_in_all() {
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(255));
    let body = |chunks: usize, last: &str| format!("{}0{last}\r\n\r\n", chunk.repeat(chunks));
    assert_eq!(payload(body(16, "").as_bytes()), b"a".repeat(16));
    refused(body(16, ";").as_bytes(), Misbehaviour::ChunkExtensionTooLong);
    refused(body(17, "").as_bytes(), Misbehaviour::ChunkExtensionTooLong);
}

#[test]
fn f23_controls_in_extensions() {
    refused(b"2;a\rb\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkExtensionMalformed);
    refused(b"2;a\nab\r\n0\r\n\r\n", Misbehaviour::ChunkExtensionMalformed);
    refused(b"2;a\n\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkExtensionMalformed);
    refused(b"2;\0\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkExtensionMalformed);
    refused(b"2;a\r\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkExtensionMalformed);
    refused(b"2;\x7f\r\nab\r\n0\r\n\r\n", Misbehaviour::ChunkExtensionMalformed);
}

#[test]
fn f24_trailers_are_dropped_and_counted() {
    assert_eq!(decode(b"2\r\nab\r\n0\r\nX: y\r\n\r\nnext"), Ok((b"ab".to_vec(), &b"next"[..], 1)));
    assert_eq!(decode(b"0\r\nX: y\r\nZ:\r\nX:\t\r\n\r\n"), Ok((vec![], &b""[..], 3)));
}

#[test]
fn f24_trailers_obey_the_rules_of_heads() {
    for (lines, why) in [
        ("X\r\n", Misbehaviour::NoColon),
        (": y\r\n", Misbehaviour::EmptyName),
        (" X: y\r\n", Misbehaviour::LeadingSpace),
        ("X: y\r\n z\r\n", Misbehaviour::ObsFold),
        ("X : y\r\n", Misbehaviour::SpaceBeforeColon),
        ("X(: y\r\n", Misbehaviour::NameMalformed),
        ("(: y\r\n", Misbehaviour::NameMalformed),
        ("X: \0\r\n", Misbehaviour::NulInValue),
        ("X: \x01\r\n", Misbehaviour::ControlInValue),
        ("X: y\rz\r\n", Misbehaviour::BareCr),
        ("X: y\n", Misbehaviour::BareLf),
        ("X\n", Misbehaviour::BareLf),
        ("X: y\r\n\rz", Misbehaviour::BareCr),
    ] {
        refused(format!("2\r\nab\r\n0\r\n{lines}\r\n").as_bytes(), why);
    }
}

#[test]
fn f24_trailers_are_bounded() {
    let body = |trailers: &str| format!("0\r\n{trailers}\r\n");
    assert_eq!(decode(body(&"X: y\r\n".repeat(32)).as_bytes()).map(|(_, _, dropped)| dropped), Ok(32));
    refused(body(&"X: y\r\n".repeat(33)).as_bytes(), Misbehaviour::TrailersTooLarge);
    let line = |bytes: usize| format!("X:{}\r\n", "y".repeat(bytes - 4));
    assert_eq!(decode(body(&line(4_096)).as_bytes()).map(|(_, _, dropped)| dropped), Ok(1));
    refused(body(&line(4_097)).as_bytes(), Misbehaviour::TrailersTooLarge);
}

#[test]
fn f25_framing_fields_in_trailers_do_nothing() {
    let bytes = b"2\r\nab\r\n0\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: x\r\nTransfer-Encoding: gzip\r\n\r\n";
    assert_eq!(decode(bytes), Ok((b"ab".to_vec(), &b""[..], 4)));
}

#[test]
fn f26_what_follows_the_body_is_left_alone() {
    let (payload, rest, _) = decode(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n").expect("a good body");
    assert_eq!((payload.as_slice(), rest), (&b"a"[..], &b"GET / HTTP/1.1\r\n"[..]));
}
