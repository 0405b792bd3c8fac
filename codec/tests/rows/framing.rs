//! Table 6.2: how long a request's body is, and every way to be in doubt about it.

use codec::head::Framing;
use codec::http1::misbehave::Misbehaviour;

use crate::{accepted, framing, refused, request, with};

#[test]
fn f01_length_beside_chunked() {
    refused("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Misbehaviour::LengthWithTransferEncoding);
    refused("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Misbehaviour::LengthWithTransferEncoding);
    refused("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", Misbehaviour::LengthWithTransferEncoding);
    refused("Content-Length: x\r\nTransfer-Encoding: xchunked\r\n", Misbehaviour::LengthWithTransferEncoding);
}

#[test]
fn f02_two_lengths_that_differ() {
    refused("Content-Length: 2\r\nContent-Length: 3\r\n", Misbehaviour::LengthsDiffer);
    refused("Content-Length: 2\r\nX: y\r\ncontent-length: 0\r\n", Misbehaviour::LengthsDiffer);
}

#[test]
fn f03_two_lengths_that_agree() {
    refused("Content-Length: 2\r\nContent-Length: 2\r\n", Misbehaviour::LengthTwice);
    refused("Content-Length: 2\r\nContent-Length: 02\r\n", Misbehaviour::LengthTwice);
}

#[test]
fn f04_a_list_of_lengths() {
    for value in ["2, 2", "2,2", "2,", ",2", "2, 3"] {
        refused(&format!("Content-Length: {value}\r\n"), Misbehaviour::LengthList);
    }
}

#[test]
fn f05_lengths_that_are_no_numbers() {
    for value in ["+2", "0x2", "-1", "0_2", "", " ", "2 2", "2.0", "1e3", "two", "2;q=1", "\u{662}", "\"2\""] {
        refused(&format!("Content-Length: {value}\r\n"), Misbehaviour::LengthMalformed);
    }
}

#[test]
fn f06_lengths_beyond_63_bits() {
    refused("Content-Length: 18446744073709551616\r\n", Misbehaviour::LengthOverflow);
    refused("Content-Length: 18446744073709551618\r\n", Misbehaviour::LengthOverflow);
    refused("Content-Length: 99999999999999999999999999\r\n", Misbehaviour::LengthOverflow);
    refused("Content-Length: 18446744073709551615\r\n", Misbehaviour::LengthOverflow);
    refused("Content-Length: 9223372036854775808\r\n", Misbehaviour::LengthOverflow);
    assert_eq!(framing("Content-Length: 9223372036854775807\r\n"), Framing::Length(u64::MAX / 2));
}

#[test]
fn f07_leading_zeros_are_decimal() {
    assert_eq!(framing("Content-Length: 010\r\n"), Framing::Length(10));
    assert_eq!(framing("Content-Length: 00000000000000000000000002\r\n"), Framing::Length(2));
}

#[test]
fn f08_a_get_may_have_a_body() {
    assert_eq!(framing("Content-Length: 3\r\n"), Framing::Length(3));
    assert_eq!(framing("Content-Length: 0\r\n"), Framing::Length(0));
    assert_eq!(framing("Content-Length:   7  \r\n"), Framing::Length(7));
    assert_eq!(framing(""), Framing::None);
}

#[test]
fn f09_codings_that_are_no_tokens() {
    for value in ["\"chunked\"", "chunked;q=1", "chun ked", "chunked\t;", "(chunked)", "\u{a0}chunked"] {
        refused(&format!("Transfer-Encoding: {value}\r\n"), Misbehaviour::CodingMalformed);
    }
    // A lone obs-text byte, which is no UTF-8.
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n";
    assert_eq!(request(head).err(), Some(Misbehaviour::CodingMalformed));
    refused("Transfer-Encoding: \x0bchunked\r\n", Misbehaviour::ControlInValue);
}

#[test]
fn f09_codings_that_are_unknown() {
    for value in ["xchunked", "chunkedx", "identity", "gzip", "gzip, deflate"] {
        refused(&format!("Transfer-Encoding: {value}\r\n"), Misbehaviour::CodingUnknown);
    }
    assert_eq!(Misbehaviour::CodingUnknown.status(), 501);
}

#[test]
fn f10_an_empty_coding() {
    for value in ["", ",chunked", "chunked,", "chunked, ,", ",", " , chunked"] {
        refused(&format!("Transfer-Encoding: {value}\r\n"), Misbehaviour::CodingEmpty);
    }
    refused("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", Misbehaviour::CodingEmpty);
}

#[test]
fn f11_chunked_is_not_last() {
    refused("Transfer-Encoding: chunked, identity\r\n", Misbehaviour::ChunkedNotLast);
    refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", Misbehaviour::ChunkedNotLast);
}

#[test]
fn f12_a_coding_before_chunked() {
    refused("Transfer-Encoding: gzip, chunked\r\n", Misbehaviour::CodingBeforeChunked);
    refused("Transfer-Encoding: identity, chunked\r\n", Misbehaviour::CodingBeforeChunked);
    refused("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Misbehaviour::CodingBeforeChunked);
    assert_eq!(Misbehaviour::CodingBeforeChunked.status(), 501);
}

#[test]
fn f13_chunked_twice() {
    refused("Transfer-Encoding: chunked, chunked\r\n", Misbehaviour::ChunkedTwice);
    refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n", Misbehaviour::ChunkedTwice);
}

#[test]
fn f14_chunked_on_http_1_0() {
    let head = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(head).err(), Some(Misbehaviour::TransferEncodingOnHttp10));
    let head = b"POST / HTTP/1.0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(head).err(), Some(Misbehaviour::TransferEncodingOnHttp10));
}

#[test]
fn f15_chunked_in_any_case() {
    for value in ["chunked", "ChUnKeD", "CHUNKED", " \tchunked\t "] {
        assert_eq!(framing(&format!("transfer-ENCODING: {value}\r\n")), Framing::Chunked);
    }
}

#[test]
fn f16_a_space_before_the_colon() {
    refused("Transfer-Encoding : chunked\r\n", Misbehaviour::SpaceBeforeColon);
    refused("Transfer-Encoding\t: chunked\r\n", Misbehaviour::SpaceBeforeColon);
    refused("X : y\r\n", Misbehaviour::SpaceBeforeColon);
}

#[test]
fn f17_folded_lines() {
    refused("X: a\r\n b\r\n", Misbehaviour::ObsFold);
    refused("X: a\r\n\tb\r\n", Misbehaviour::ObsFold);
    refused("Transfer-Encoding:\r\n chunked\r\n", Misbehaviour::ObsFold);
    refused("X: a\r\n \r\n", Misbehaviour::ObsFold);
}

#[test]
fn f31_a_client_that_waits_for_100() {
    assert!(accepted("Expect: 100-continue\r\nContent-Length: 3\r\n").expect_continue);
    assert!(accepted("expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n").expect_continue);
    assert!(!accepted("Content-Length: 3\r\n").expect_continue);
    // A list, of which the empty elements mean nothing.
    assert!(accepted("Expect: , 100-continue,,100-continue\r\nContent-Length: 3\r\n").expect_continue);
    assert!(!accepted("Expect:\r\nContent-Length: 3\r\n").expect_continue);
    // Nothing to wait for.
    assert!(!accepted("Expect: 100-continue\r\n").expect_continue);
    assert!(!accepted("Expect: 100-continue\r\nContent-Length: 0\r\n").expect_continue);
}

#[test]
fn f31_an_http_1_0_client_waits_for_nothing() {
    for expect in ["100-continue", "foo"] {
        let head = format!("POST / HTTP/1.0\r\nExpect: {expect}\r\nContent-Length: 3\r\n\r\n");
        assert!(!request(head.as_bytes()).expect("1.0 Expect is ignored").expect_continue);
    }
}

#[test]
fn f32_other_expectations() {
    for value in ["foo", "100-continue, foo", "foo,", "100-continue 100-continue", "100-continue;q=1", "200-ok"] {
        refused(&format!("Expect: {value}\r\nContent-Length: 3\r\n"), Misbehaviour::ExpectUnknown);
    }
    refused("Expect: foo\r\nExpect: 100-continue\r\n", Misbehaviour::ExpectUnknown);
    refused("Expect: 100-continue\r\nExpect: foo\r\n", Misbehaviour::ExpectUnknown);
    assert_eq!(Misbehaviour::ExpectUnknown.status(), 417);
}

#[test]
fn aliases_frame_nothing() {
    let head = with("Content_Length: 5\r\nTransfer_Encoding: chunked\r\nX-Content-Length: 7\r\n");
    assert_eq!(head.expect("they are ordinary names").framing, Framing::None);
}
