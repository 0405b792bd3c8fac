//! Where a message ends: the rows F01 to F32 of the attack table, in raw bytes, on both drivers.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use support::stage::{BOTH_KINDS, No};
use support::{Reply, Stage, Theatre, eventually, shown};

static HOUSE: Theatre = Theatre::new(BOTH_KINDS);

/// A POST with these field lines and this body.
fn post(lines: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
/// What an attacker wants to be taken for a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const PLAIN: &str = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn f01_content_length_with_transfer_encoding() {
    HOUSE.play(|stage| {
        let reason = "length_with_transfer_encoding";
        let body = format!("0\r\n\r\n{SMUGGLED}");
        stage.refuses(post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", &body), 400, reason);
        stage.refuses(post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", &body), 400, reason);
        stage.refuses(post("Content-Length: 0\r\ntransfer-encoding: CHUNKED\r\n", &body), 400, reason);
        stage.refuses(post("Content-Length: x\r\nTransfer-Encoding: chunked\r\n", &body), 400, reason);
        stage.refuses(post("Content-Length: 3\r\nTransfer-Encoding: identity\r\n", "abc"), 400, reason);
    });
}

#[test]
fn f02_two_lengths_that_differ() {
    HOUSE.play(|stage| {
        let request = post("Content-Length: 0\r\nContent-Length: 36\r\n", SMUGGLED);
        stage.refuses(request, 400, "lengths_differ");
    });
}

#[test]
fn f03_two_lengths_that_agree() {
    HOUSE.play(|stage| {
        stage.refuses(post("Content-Length: 2\r\nX: y\r\ncontent-length: 2\r\n", "ab"), 400, "length_twice");
    });
}

#[test]
fn f04_a_list_of_lengths() {
    HOUSE.play(|stage| {
        for list in ["2, 2", "2,2", "2, 3", "2,"] {
            stage.refuses(post(&format!("Content-Length: {list}\r\n"), "ab"), 400, "length_list");
        }
    });
}

#[test]
fn f05_a_length_that_is_not_digits() {
    HOUSE.play(|stage| {
        for length in ["+2", "0x2", "-1", "0_2", "", "2 2", "2.0", "1e1", "\u{0661}"] {
            stage.refuses(post(&format!("Content-Length: {length}\r\n"), "ab"), 400, "length_malformed");
        }
    });
}

#[test]
fn f06_a_length_beyond_64_bits() {
    HOUSE.play(|stage| {
        for length in ["18446744073709551618", "18446744073709551616", "999999999999999999999999999999"] {
            stage.refuses(post(&format!("Content-Length: {length}\r\n"), "ab"), 400, "length_overflow");
        }
    });
}

#[test]
fn f07_a_length_with_a_leading_zero_is_decimal() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.send(post("Content-Length: 010\r\n", &format!("0123456789{PLAIN}")));
        client.read_response().expect_status(200);
        client.read_response().expect_status(200);
        let requests = stage.backend.take();
        assert_eq!(requests[0].body, b"0123456789");
        assert!(requests[0].has_line("Content-Length: 10"), "{}", shown(&requests[0].head));
        assert_eq!(requests[1].target, "/plain");
        stage.backend.expect_no_faults();
    });
}

#[test]
fn f08_get_with_a_body_is_relayed_whole() {
    HOUSE.play(|stage| {
        stage.ask("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").expect_status(200);
        let request = stage.backend.only();
        assert_eq!((&*request.method, &*request.body), ("GET", &b"hello"[..]));
        assert_eq!(request.header("Content-Length"), Some("5"));
    });
}

#[test]
fn f09_a_coding_that_is_no_token_or_unknown() {
    HOUSE.play(|stage| {
        let coded = |value: &[u8]| {
            let mut bytes = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ".to_vec();
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n\r\n0\r\n\r\n");
            bytes
        };
        stage.refuses(coded(b"xchunked"), 501, "coding_unknown");
        stage.refuses(coded(b"gzip"), 501, "coding_unknown");
        stage.refuses(coded(b"identity"), 501, "coding_unknown");
        stage.refuses(coded(b"\"chunked\""), 400, "coding_malformed");
        stage.refuses(coded(b"\xa0chunked"), 400, "coding_malformed");
        stage.refuses(coded(b"chunked\x85"), 400, "coding_malformed");
        stage.refuses(coded(b"chunked;q=1"), 400, "coding_malformed");
        stage.refuses(coded(b"chunked chunked"), 400, "coding_malformed");
        stage.refuses(coded(b"\x0bchunked"), 400, "control_in_value");
    });
}

#[test]
fn f10_an_empty_coding() {
    HOUSE.play(|stage| {
        for value in [",chunked", "chunked,", "chunked, ,", "", ","] {
            stage.refuses(post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"), 400, "coding_empty");
        }
    });
}

#[test]
fn f11_chunked_is_not_the_last_coding() {
    HOUSE.play(|stage| {
        for value in ["chunked, identity", "chunked, gzip"] {
            stage.refuses(post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"), 400, "chunked_not_last");
        }
        let two = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
        stage.refuses(post(two, "0\r\n\r\n"), 400, "chunked_not_last");
    });
}

#[test]
fn f12_another_coding_before_chunked() {
    HOUSE.play(|stage| {
        for value in ["gzip, chunked", "identity, chunked", "x,chunked"] {
            stage.refuses(post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"), 501, "coding_before_chunked");
        }
    });
}

#[test]
fn f13_chunked_twice() {
    HOUSE.play(|stage| {
        let two = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        stage.refuses(post(two, "0\r\n\r\n"), 400, "chunked_twice");
        stage.refuses(post("Transfer-Encoding: chunked, Chunked\r\n", "0\r\n\r\n"), 400, "chunked_twice");
    });
}

#[test]
fn f14_transfer_encoding_on_http10() {
    HOUSE.play(|stage| {
        let request = format!("POST /x HTTP/1.0\r\nHost: a\r\n{CHUNKED}\r\n0\r\n\r\n{SMUGGLED}");
        stage.refuses(request, 400, "transfer_encoding_on_http10");
    });
}

#[test]
fn f15_chunked_in_any_case_is_written_anew() {
    HOUSE.play(|stage| {
        stage.ask(post("tRANSFER-eNCODING: ChUnKeD\r\n", "5\r\nhello\r\n0\r\n\r\n")).expect_status(200);
        let request = stage.backend.only();
        assert!(request.has_line("Transfer-Encoding: chunked"), "{}", shown(&request.head));
        assert_eq!(request.body, b"hello");
        stage.backend.expect_no_faults();
    });
}

#[test]
fn f16_space_before_the_colon() {
    HOUSE.play(|stage| {
        for line in ["Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", "Content-Length : 5", "X : y"] {
            stage.refuses(post(&format!("{line}\r\n"), "0\r\n\r\n"), 400, "space_before_colon");
        }
    });
}

#[test]
fn f17_a_folded_field() {
    HOUSE.play(|stage| {
        for lines in ["X: a\r\n b\r\n", "X: a\r\n\tb\r\n", "Transfer-Encoding:\r\n chunked\r\n", "X: a\r\n \r\n"] {
            stage.refuses(post(lines, "0\r\n\r\n"), 400, "obs_fold");
        }
    });
}

#[test]
fn f18_a_chunk_that_announces_too_much_is_refused_before_it_comes() {
    HOUSE.play(|stage| {
        let no = No { status: 413, message: "Request Too Long", error_type: Some("RequestTooLargeException") };
        for size in ["A00001", "100000000", "7fffffffffffffff"] {
            stage.refuses_body(post(CHUNKED, &format!("{size}\r\nab")), &no, "request_too_large");
            // Also behind a good chunk.
            stage.refuses_body(post(CHUNKED, &format!("2\r\nab\r\n{size}\r\n")), &no, "request_too_large");
        }
        for size in ["8000000000000000", "ffffffffffffffff", "FFFFFFFFFFFFFFF2"] {
            refuses_chunks(stage, &format!("{size}\r\nab\r\n0\r\n\r\n"), 400, "chunk_size_malformed");
        }
    });
}

#[test]
fn f19_white_space_before_an_extension_is_taken() {
    HOUSE.play(|stage| {
        for size in ["2 ;a=b", "2\t;a", "2 \t; a = \"b\""] {
            stage.ask(post(CHUNKED, &format!("{size}\r\nab\r\n0\r\n\r\n"))).expect_status(200);
            let request = stage.backend.only();
            assert_eq!((&*request.body, request.header("Transfer-Encoding")), (&b"ab"[..], Some("chunked")));
        }
    });
}

#[test]
fn f28_a_body_that_nobody_reads_is_judged_as_far_as_it_has_come() {
    HOUSE.play(|stage| {
        let mock = |body: &str| format!("POST /mock HTTP/1.1\r\nHost: a\r\n{CHUNKED}\r\n{body}");
        stage.refuses_body(mock("2\nab\r\n0\r\n\r\n"), &No::of_status(400), "chunk_bare_lf");
        stage.refuses_body(mock("-2\r\nab\r\n0\r\n\r\n"), &No::of_status(400), "chunk_size_malformed");
        stage.refuses_body(mock("ffffffffff\r\nab"), &No::of_status(413), "request_too_large");
        assert_eq!(stage.ask(mock("2\r\nab\r\n0\r\n\r\n")).text(), "{}");
    });
}

/// A chunked body that breaks a rule, in the words of each kind.
fn refuses_chunks(stage: &Stage, body: &str, status: u16, reason: &str) {
    let no = No::of_status(status);
    stage.refuses_body(post(CHUNKED, body), &no, reason);
    let request = format!("POST /x HTTP/1.1\r\nHost: web.test\r\n{CHUNKED}\r\n{body}");
    stage.refuses_body(request, &No { error_type: None, ..no }, reason);
}

#[test]
fn f18_a_chunk_size_that_is_not_hex() {
    HOUSE.play(|stage| {
        for size in ["0x2", "-1", "+2", " 2", "", ";a", "g", "2g", "00000000000000002", "\u{ff12}"] {
            refuses_chunks(stage, &format!("{size}\r\nab\r\n0\r\n\r\n"), 400, "chunk_size_malformed");
        }
        refuses_chunks(stage, "2\rab\r\n0\r\n\r\n", 400, "chunk_size_malformed");
    });
}

#[test]
fn f19_space_after_a_chunk_size() {
    HOUSE.play(|stage| {
        for size in ["2 ", "2\t", "2 a"] {
            refuses_chunks(stage, &format!("{size}\r\nab\r\n0\r\n\r\n"), 400, "chunk_size_space");
        }
    });
}

#[test]
fn f20_chunk_lines_that_end_in_a_bare_line_feed() {
    HOUSE.play(|stage| {
        refuses_chunks(stage, "2\nab\n0\n\n", 400, "chunk_bare_lf");
        refuses_chunks(stage, "2\r\nab\r\n0\n\r\n", 400, "chunk_bare_lf");
        refuses_chunks(stage, "2\r\nab\r\n0\r\n\n", 400, "bare_lf");
    });
}

#[test]
fn f21_chunk_data_without_its_line_end() {
    HOUSE.play(|stage| {
        for body in ["2\r\nabc\r\n0\r\n\r\n", "2\r\nab\n0\r\n\r\n", "2\r\nab\r0\r\n\r\n", "3\r\nab\r\n0\r\n\r\n"] {
            refuses_chunks(stage, body, 400, "chunk_data_end");
        }
    });
}

#[test]
fn f22_chunk_extensions_are_ignored_within_limits() {
    HOUSE.play(|stage| {
        let body = "2;a=b\r\nab\r\n3;quoted=\"x y\";c\r\ncde\r\n0;last\r\n\r\n";
        stage.ask(post(CHUNKED, body)).expect_status(200);
        let received = stage.backend.received().concat();
        assert_eq!(stage.backend.only().body, b"abcde");
        for part in [&b";a"[..], b"quoted", b";last"] {
            assert!(support::find(&received, part).is_none(), "{}", shown(&received));
        }
        let long = "x".repeat(255);
        stage.ask(post(CHUNKED, &format!("2;{long}\r\nab\r\n0\r\n\r\n"))).expect_status(200);
        let body = format!("2;{long}y\r\nab\r\n0\r\n\r\n");
        refuses_chunks(stage, &body, 400, "chunk_extension_too_long");
        // Each within its limit, but too many of them.
        let body = format!("1;{}\r\na\r\n", "x".repeat(200)).repeat(21) + "0\r\n\r\n";
        refuses_chunks(stage, &body, 400, "chunk_extension_too_long");
    });
}

#[test]
fn f23_a_control_byte_in_a_chunk_extension() {
    HOUSE.play(|stage| {
        for size in ["2;a\n", "2;a\rb", "2;a\0b", "2;\x01"] {
            refuses_chunks(stage, &format!("{size}\r\nab\r\n0\r\n\r\n"), 400, "chunk_extension_malformed");
        }
    });
}

#[test]
fn f24_trailers_are_dropped_and_counted() {
    HOUSE.play(|stage| {
        let before = stage.counter("tollgate_trailers_dropped_total", &[]);
        let mut client = stage.client();
        client.send(post(CHUNKED, &format!("2\r\nab\r\n0\r\nX-Late: y\r\nX-Later: z\r\n\r\n{PLAIN}")));
        client.read_response().expect_status(200);
        client.read_response().expect_status(200);
        let requests = stage.backend.take();
        assert_eq!((&*requests[0].body, &*requests[1].target), (&b"ab"[..], "/plain"));
        let received = stage.backend.received().concat();
        assert!(support::find(&received, b"Late").is_none(), "{}", shown(&received));
        stage.backend.expect_no_faults();
        eventually("two trailers are counted", || {
            let now = stage.counter("tollgate_trailers_dropped_total", &[]);
            (now - before - 2.0).abs() < 0.5
        });
    });
}

#[test]
fn f24_trailers_too_large() {
    HOUSE.play(|stage| {
        let many = "A: b\r\n".repeat(33);
        refuses_chunks(stage, &format!("0\r\n{many}\r\n"), 431, "trailers_too_large");
        refuses_chunks(stage, &format!("0\r\nA: {}\r\n\r\n", "b".repeat(5_000)), 431, "trailers_too_large");
    });
}

#[test]
fn f24_trailers_obey_the_rules_of_field_lines() {
    HOUSE.play(|stage| {
        for (line, reason) in [
            (" A: b", "leading_space"),
            ("A: b\r\n c", "obs_fold"),
            (": b", "empty_name"),
            ("A : b", "space_before_colon"),
            ("A", "no_colon"),
            ("A(: b", "name_malformed"),
            ("A: \0", "nul_in_value"),
            ("A: \x01", "control_in_value"),
            ("A: b\rc", "bare_cr"),
            ("A: b\n", "bare_lf"),
        ] {
            refuses_chunks(stage, &format!("0\r\n{line}\r\n\r\n"), 400, reason);
        }
    });
}

#[test]
fn f25_trailers_that_frame_route_or_authorize_are_dropped() {
    HOUSE.play(|stage| {
        let trailers = "Content-Length: 5\r\nHost: evil\r\nAuthorization: Basic x\r\nTransfer-Encoding: x\r\nX-Forwarded-For: 9.9.9.9\r\n";
        stage.ask(post(CHUNKED, &format!("2\r\nab\r\n0\r\n{trailers}\r\n"))).expect_status(200);
        let request = stage.backend.only();
        assert_eq!(request.body, b"ab");
        assert_eq!(request.header("Authorization"), None);
        assert_eq!(request.header("Content-Length"), None);
        let received = stage.backend.received().concat();
        for part in [&b"evil"[..], b"Basic", b"9.9.9.9"] {
            assert!(support::find(&received, part).is_none(), "{}", shown(&received));
        }
        stage.backend.expect_no_faults();
    });
}

#[test]
fn f26_bytes_behind_a_body_are_the_next_request() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.send(post("Content-Length: 2\r\n", &format!("ab{PLAIN}")));
        client.read_response().expect_status(200);
        client.read_response().expect_status(200);
        let targets: Vec<_> = stage.backend.take().into_iter().map(|request| request.target).collect();
        assert_eq!(targets, ["/x", "/plain"]);
        // What is no request is refused as one.
        let mut client = stage.client();
        client.send(post("Content-Length: 2\r\n", "abc\r\n\r\n"));
        client.read_response().expect_status(200);
        No::of_status(400).check(&client.read_response());
        client.expect_close();
    });
}

#[test]
fn f27_an_answer_before_the_body_has_ended() {
    HOUSE.play(|stage| {
        stage.backend.script_raw(|conversation| {
            conversation.head()?.ok_or("no head")?;
            conversation.send("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno");
            conversation.until(b"never").map_or(Ok(()), |_| Err("the rest came after the answer".into()))
        });
        let mut client = stage.client();
        client.send(post("Content-Length: 1000000\r\n", "some"));
        let response = client.read_response();
        assert_eq!((response.status, &*response.text()), (409, "no"));
        assert_eq!(response.header("Connection"), Some("close"));
        client.expect_close();
        stage.all_closed();
        // Nothing of the unsent body is taken for a request, and nobody gets the connection.
        stage.backend.script_echo();
        stage.ask(PLAIN).expect_status(200);
        assert_eq!(stage.backend.only().connection, stage.backend.connections() - 1);
    });
}

#[test]
fn f27_an_early_answer_to_a_chunked_body_that_goes_on() {
    HOUSE.play(|stage| {
        stage.backend.script_raw(|conversation| {
            conversation.head()?.ok_or("no head")?;
            conversation.until(b"some\r\n")?;
            conversation.send("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno");
            conversation.until(b"never").map_or(Ok(()), |_| Err("the rest came after the answer".into()))
        });
        let mut client = stage.client();
        client.send(post(CHUNKED, "4\r\nsome\r\n"));
        let response = client.read_response();
        assert_eq!((response.status, &*response.text()), (409, "no"));
        stage.all_closed();
        stage.backend.script_echo();
        // The rest of the body is the rest of the body, whatever it looks like; behind it comes the next request.
        let rest = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n{PLAIN}", SMUGGLED.len());
        if client.try_send(rest).is_ok() && response.header("Connection").is_none() {
            client.read_response().expect_status(200);
        }
        assert!(stage.backend.take().iter().all(|request| request.target == "/plain"));
    });
}

#[test]
fn f28_a_short_unread_body_is_read_away_and_a_long_one_ends_the_connection() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        let body = "z".repeat(64 * 1024);
        client.send(format!("POST /mock HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{body}{PLAIN}"));
        let response = client.read_response();
        assert_eq!((response.status, response.header("Connection")), (200, None));
        client.read_response().expect_status(200);
        assert_eq!(stage.backend.only().target, "/plain");

        let mut client = stage.client();
        client.send(format!("POST /mock HTTP/1.1\r\nHost: a\r\n{CHUNKED}\r\n3\r\nabc\r\n0\r\n\r\n{PLAIN}"));
        assert_eq!(client.read_response().header("Connection"), None);
        client.read_response().expect_status(200);
        assert_eq!(stage.backend.only().target, "/plain");

        let mut client = stage.client();
        client.send(format!("POST /mock HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n{SMUGGLED}"));
        let response = client.read_response();
        assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
        client.expect_close();
        assert_eq!(stage.backend.requests(), 0);

        // A chunked body whose framing breaks cannot be read away.
        let mut client = stage.client();
        client.send(format!("POST /mock HTTP/1.1\r\nHost: a\r\n{CHUNKED}\r\n2\r\na"));
        client.read_response().expect_status(200);
        client.send(format!("bnonsense\r\n{SMUGGLED}"));
        client.expect_close();
        assert_eq!(stage.backend.requests(), 0);
    });
}

/// The words of both kinds for an answer that cannot be passed on, and a backend's connection that nobody gets again.
fn is_bad_answer(stage: &Stage, method: &str, answer: impl AsRef<[u8]>) {
    let answer = answer.as_ref().to_vec();
    println!("{}: {}", stage.gateway.driver.name(), shown(&answer));
    for (host, no) in [
        ("a", No::of_status(502)),
        ("web.test", No { status: 502, message: "Internal Server Error", error_type: None }),
    ] {
        stage.backend.script({
            let answer = answer.clone();
            move |_| Reply::Bytes(answer.clone())
        });
        let refusals = stage.refusals();
        let faults = stage.faults("bad_answer");
        let mut client = stage.client();
        client.send(format!("{method} /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = client.read_response();
        no.check(&response);
        stage.one_refusal_more(&refusals, "bad_answer");
        stage.fault_reaches("bad_answer", faults + 1.0);
        stage.all_closed();
        // The client did nothing wrong: its connection goes on.
        stage.backend.script_echo();
        client.exchange(format!("GET /plain HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect_status(200);
        let requests = stage.backend.take();
        assert_eq!(requests.len(), 2);
        assert_ne!(requests[0].connection, requests[1].connection);
    }
}

#[test]
fn f29_an_answer_with_broken_framing() {
    HOUSE.play(|stage| {
        let framed = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n0\r\n\r\n");
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551621\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding : chunked\r\n",
        ] {
            is_bad_answer(stage, "GET", framed(lines));
        }
        is_bad_answer(stage, "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    });
}

#[test]
fn f29_a_status_line_that_is_none() {
    HOUSE.play(|stage| {
        for line in [
            "HTTP/2.0 200 OK",
            "http/1.1 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 2x0 OK",
            "HTTP/1.1 099 Low",
            "HTTP/1.1 600 High",
            "HTTP/1.1 000 None",
            "ICY 200 OK",
            "<html>",
            "HTTP/1.1 200 \x01",
        ] {
            is_bad_answer(stage, "GET", format!("{line}\r\nContent-Length: 0\r\n\r\n"));
        }
        is_bad_answer(stage, "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n");
    });
}

#[test]
fn f29_field_lines_that_are_none() {
    HOUSE.play(|stage| {
        for line in ["no colon", ": no name", " X: y", "X : y", "X(: y", "X: y\r\n folded", "X: y\nZ: z"] {
            is_bad_answer(stage, "GET", format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n"));
        }
        let many = "X: y\r\n".repeat(129);
        is_bad_answer(stage, "GET", format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n"));
        let large = "y".repeat(40_000);
        is_bad_answer(stage, "GET", format!("HTTP/1.1 200 OK\r\nX: {large}\r\nContent-Length: 0\r\n\r\n"));
    });
}

#[test]
fn f29_a_body_on_an_answer_that_can_have_none() {
    HOUSE.play(|stage| {
        is_bad_answer(stage, "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello");
        is_bad_answer(stage, "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        is_bad_answer(stage, "GET", "HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\nhello");
    });
}

#[test]
fn f29_interim_answers_are_counted_and_101_was_not_asked_for() {
    HOUSE.play(|stage| {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
        is_bad_answer(stage, "GET", interim.repeat(9) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        is_bad_answer(stage, "GET", interim.repeat(10_000));
        is_bad_answer(stage, "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
        let eight = interim.repeat(8) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stage.backend.script(move |_| Reply::Bytes(eight.clone().into_bytes()));
        let response = stage.ask(PLAIN);
        assert_eq!((response.status, &*response.text()), (200, "ok"));
        assert_eq!(response.header("Link"), None);
    });
}

/// An answer whose head was passed on before it broke: the client sees that the end is missing, and nobody gets the
/// backend's connection.
fn is_cut_short(stage: &Stage, head: &str, body: &str, fault: &str) {
    println!("{}: {head}{body}", stage.gateway.driver.name());
    let faults = stage.faults(fault);
    let (head, body) = (head.as_bytes().to_vec(), body.as_bytes().to_vec());
    let (proceed, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    stage.backend.script_raw(move |conversation| {
        conversation.request()?;
        conversation.send(&head);
        wait.lock().map_err(|why| why.to_string())?.recv().map_err(|why| why.to_string())?;
        conversation.send(&body);
        Ok(())
    });
    let mut client = stage.client();
    client.send(PLAIN);
    let received = client.read_until(b"\r\n\r\n");
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", shown(&received));
    proceed.send(()).expect("the backend waits");
    let rest = client.read_to_end();
    assert!(support::find(&rest, b"0\r\n\r\n").is_none(), "an end that never came: {}", shown(&rest));
    assert!(support::find(&rest, b"HTTP/1.1").is_none(), "a second answer: {}", shown(&rest));
    stage.fault_reaches(fault, faults + 1.0);
    stage.all_closed();
    stage.backend.script_echo();
    stage.ask(PLAIN).expect_status(200);
}

#[test]
fn f29_an_answer_that_breaks_after_its_head() {
    HOUSE.play(|stage| {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["5\r\nhello\r\nnonsense\r\n", "5\r\nhelloo\r\n", "0x5\r\nhello\r\n", "5\nhello\n", "-1\r\n"] {
            is_cut_short(stage, chunked, body, "bad_answer");
        }
        is_cut_short(stage, chunked, "5\r\nhello\r\n", "answer_cut_short");
        is_cut_short(stage, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "hello", "answer_cut_short");
    });
}

#[test]
fn f29_a_body_that_breaks_together_with_its_head() {
    HOUSE.play(|stage| {
        is_bad_answer(stage, "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    });
}

#[test]
fn f29_bytes_behind_a_whole_answer_end_the_backends_connection() {
    HOUSE.play(|stage| {
        let injected = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        for (method, answer) in [
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 39\r\n\r\n"),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n"),
        ] {
            println!("{}: {method} {answer}", stage.gateway.driver.name());
            let bytes = format!("{answer}{injected}").into_bytes();
            let turn = AtomicUsize::new(0);
            stage.backend.forget();
            stage.backend.script(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::Bytes(bytes.clone()),
                _ => Reply::ok("good"),
            });
            let mut client = stage.client();
            client.send(format!("{method} /x HTTP/1.1\r\nHost: a\r\n\r\n"));
            let first = client.try_response(method == "HEAD").expect("an answer");
            assert!(matches!(first.status, 200 | 204 | 304));
            assert_eq!(client.exchange(PLAIN).text(), "good");
            let requests = stage.backend.take();
            assert_ne!(requests[0].connection, requests[1].connection, "{method} {answer}");
            stage.empty_pool();
        }
    });
}

#[test]
fn f30_control_bytes_in_a_backends_field() {
    HOUSE.play(|stage| {
        for value in ["a\rb", "a\0b", "a\x01b", "a\x7fb", "a\rSet-Cookie: evil=1", "a\x0bb"] {
            is_bad_answer(stage, "GET", format!("HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
}

#[test]
fn f31_we_say_100_continue_ourselves_and_neither_half_is_forwarded() {
    HOUSE.play(|stage| {
        stage.backend.script(|request| {
            let mut bytes = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
            let Reply::Bytes(ok) = Reply::ok(&request.body) else { return Reply::Close };
            bytes.extend(ok);
            Reply::Bytes(bytes)
        });
        for framing in ["Content-Length: 5\r\n", CHUNKED] {
            let mut client = stage.client();
            client.send(post(&format!("Expect: 100-continue\r\n{framing}"), ""));
            // The promise comes while the body is awaited: that is its order.
            assert_eq!(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
            client.send(if framing == CHUNKED { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" });
            let response = client.read_response();
            assert_eq!((response.status, &*response.text()), (200, "hello"));
            let request = stage.backend.only();
            assert_eq!(request.header("Expect"), None);
            client.exchange(PLAIN).expect_status(200);
            stage.backend.forget();
        }
        // A body that is already here needs no promise; and there is none to wait for where none is announced.
        let mut client = stage.client();
        client.exchange(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello")).expect_status(200);
        client.exchange(post("Expect: 100-Continue\r\nContent-Length: 0\r\n", "")).expect_status(200);
        client.exchange("GET /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").expect_status(200);
    });
}

#[test]
fn f31_no_promise_before_a_no_and_none_on_http10() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        let response = client.read_response();
        assert_eq!((response.status, response.header("Connection")), (403, Some("close")));
        client.expect_close();
        let mut client = stage.client();
        client.send("POST /mock HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        let response = client.read_response();
        assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
        client.expect_close();
        let mut client = stage.client();
        client.send("POST /x HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        client.send("hello");
        client.read_response().expect_status(200);
        assert_eq!(stage.backend.only().body, b"hello");
    });
}

#[test]
fn f32_another_expectation() {
    HOUSE.play(|stage| {
        for value in ["foo", "100-continue, foo", "foo,", "200-ok"] {
            stage.refuses(post(&format!("Expect: {value}\r\nContent-Length: 0\r\n"), ""), 417, "expect_unknown");
        }
        // A list of nothing expects nothing.
        stage.ask(post("Expect:\r\nExpect: ,\r\nContent-Length: 0\r\n", "")).expect_status(200);
        let ask = "GET /x HTTP/1.0\r\nHost: a\r\nExpect: foo\r\n\r\n";
        stage.ask(ask).expect_status(200);
    });
}
