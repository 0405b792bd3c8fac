//! Sections 7 and 8: requests, their fields, and what is no request.

use crate::frames::{Frame, data, flag, headers, setting};
use crate::hpack::Block;
use crate::play::{Case, Play, case};

/// A body that promises one length, and has these frames.
fn promised(play: &mut Play, lengths: &[&str], pieces: &[&str]) -> Result<(), String> {
    let block = lengths.iter().fold(play.block("POST"), |block, length| block.field("content-length", length));
    let last = pieces.len();
    let mut frames = vec![headers(1, if last == 0 { flag::WHOLE } else { flag::END_HEADERS }, &block)];
    let end = |at| if at + 1 == last { flag::END_STREAM } else { 0 };
    frames.extend(pieces.iter().enumerate().map(|(at, piece)| data(1, end(at), piece)));
    play.send(frames)
}

/// A request with a pseudo-field of another value, or without it.
fn altered(play: &mut Play, name: &str, value: Option<&str>) -> Result<(), String> {
    let block = play.altered(name, value);
    play.send([headers(1, flag::WHOLE, &block)])
}

/// A request with a body, and these behind it.
fn ended_by(play: &mut Play, flags: u8, trailers: &Block) -> Result<(), String> {
    let post = play.post(1);
    play.send([post, data(1, 0, "x"), headers(1, flags | flag::END_HEADERS, trailers)])
}

/// A request of these fields alone.
fn of(play: &mut Play, fields: &[(&str, &str)]) -> Result<(), String> {
    play.send([headers(1, flag::WHOLE, &Block::of(fields))])
}

/// What a `CONNECT` may look like.
fn connect(play: &mut Play, fields: &[(&str, &str)]) -> Result<(), String> {
    let all = [&[(":method", "CONNECT")], fields].concat();
    let head: Frame = headers(1, flag::END_HEADERS, &Block::of(&all));
    play.send([head])
}

pub const CASES: &[Case] = &[
    // 8.1.
    case("answer_to_get", |play| play.ask(1).map(drop)),
    case("answer_to_head_has_no_body", |play| {
        let block = play.block("HEAD");
        play.send([headers(1, flag::WHOLE, &block)])?;
        let answer = play.answered(1)?;
        if answer.body.is_empty() { Ok(()) } else { Err(format!("a body of {} octets", answer.body.len())) }
    }),
    case("answer_to_post", |play| {
        let post = play.post(1);
        play.send([post, data(1, flag::END_STREAM, "test")])
    }),
    case("answer_as_long_as_it_says", |play| {
        let answer = play.ask(1)?;
        match answer.field("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) if answer.body.len() != length => Err(format!("{} octets", answer.body.len())),
            _ => Ok(()),
        }
    }),
    case("many_requests_on_one_connection", |play| {
        for at in 0..50 {
            play.stream = at * 2 + 1;
            play.ask(play.stream)?;
        }
        Ok(())
    }),
    case("many_requests_at_once", |play| {
        let most = play.peer.settings.get(&setting::MAX_CONCURRENT_STREAMS).map_or(20, |most| (*most).min(20));
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)])?;
        play.send([crate::frames::window_update(0, 1 << 30)])?;
        let gets: Vec<Frame> = (0..most).map(|at| play.get(at * 2 + 1)).collect();
        play.send(gets)?;
        for at in 0..most {
            play.answered(at * 2 + 1)?;
        }
        Ok(())
    }),
    case("trailers", |play| ended_by(play, flag::END_STREAM, &Block::of(&[("x-trailer", "yes")]))),
    case("trailers_that_do_not_end", |play| ended_by(play, 0, &Block::of(&[("x-trailer", "yes")]))),
    case("trailers_with_pseudo_field", |play| ended_by(play, flag::END_STREAM, &Block::of(&[(":method", "GET")]))),
    case("trailers_in_upper_case", |play| ended_by(play, flag::END_STREAM, &Block::of(&[("X-Trailer", "yes")]))),
    case("data_behind_trailers", |play| {
        let post = play.post(1);
        let trailers = headers(1, flag::WHOLE, &Block::of(&[("x-trailer", "yes")]));
        play.send([post, data(1, 0, "x"), trailers, data(1, flag::END_STREAM, "y")])
    }),
    case("trailers_twice", |play| {
        let trailers = || headers(1, flag::WHOLE, &Block::of(&[("x-trailer", "yes")]));
        let post = play.post(1);
        play.send([post, trailers(), trailers()])
    }),
    // 8.1.1.
    case("length_that_fits", |play| promised(play, &["4"], &["te", "st"])),
    case("length_of_nothing", |play| promised(play, &["0"], &[])),
    case("length_of_nothing_with_an_empty_body", |play| promised(play, &["0"], &["", ""])),
    case("length_that_is_longer", |play| promised(play, &["5"], &["test"])),
    case("length_that_is_shorter", |play| promised(play, &["3"], &["test"])),
    case("length_that_is_longer_than_all_frames", |play| promised(play, &["9"], &["te", "st"])),
    case("length_that_is_shorter_than_all_frames", |play| promised(play, &["3"], &["te", "st"])),
    case("length_without_a_body", |play| promised(play, &["4"], &[])),
    case("length_that_is_no_number", |play| promised(play, &["x"], &["test"])),
    case("length_with_a_sign", |play| promised(play, &["+4"], &["test"])),
    case("length_below_nothing", |play| promised(play, &["-4"], &["test"])),
    case("length_beyond_measure", |play| promised(play, &["18446744073709551620"], &["test"])),
    case("two_lengths_that_differ", |play| promised(play, &["4", "5"], &["test"])),
    case("length_that_trailers_do_not_make_up_for", |play| {
        let block = play.block("POST").field("content-length", "5");
        let trailers = headers(1, flag::WHOLE, &Block::of(&[("x-trailer", "yes")]));
        play.send([headers(1, flag::END_HEADERS, &block), data(1, 0, "test"), trailers])
    }),
    // 8.2.1.
    case("name_in_upper_case", |play| play.with("X-TEST", "ok")),
    case("name_with_one_upper_case_letter", |play| play.with("x-tesT", "ok")),
    case("name_with_a_space", |play| play.with("x test", "ok")),
    case("name_with_a_colon", |play| play.with("x:test", "ok")),
    case("name_with_nul", |play| play.with("x\0test", "ok")),
    case("name_with_a_line_break", |play| play.with("x\r\ny", "ok")),
    case("name_with_del", |play| play.with("x\x7f", "ok")),
    case("name_beyond_ascii", |play| play.with(b"x\xe4", "ok")),
    case("name_of_nothing", |play| play.with("", "ok")),
    case("value_with_nul", |play| play.with("x-test", "a\0b")),
    case("value_with_a_line_feed", |play| play.with("x-test", "a\nb")),
    case("value_with_a_carriage_return", |play| play.with("x-test", "a\rb")),
    case("value_with_a_space_before", |play| play.with("x-test", " a")),
    case("value_with_a_tab_behind", |play| play.with("x-test", "a\t")),
    case("value_with_spaces_within", |play| play.with("x-test", "a \t b")),
    case("value_of_nothing", |play| play.with("x-test", "")),
    case("value_beyond_ascii", |play| play.with("x-test", b"\xc3\xa4")),
    // 8.2.2.
    case("connection", |play| play.with("connection", "keep-alive")),
    case("connection_close", |play| play.with("connection", "close")),
    case("keep_alive", |play| play.with("keep-alive", "timeout=5")),
    case("proxy_connection", |play| play.with("proxy-connection", "keep-alive")),
    case("transfer_encoding", |play| play.with("transfer-encoding", "chunked")),
    case("upgrade", |play| play.with("upgrade", "websocket")),
    case("te_of_trailers", |play| play.with("te", "trailers")),
    case("te_of_gzip", |play| play.with("te", "trailers, deflate;q=0.5")),
    // 8.2.3.
    case("cookies_in_crumbs", |play| {
        let block = play.block("GET").field("cookie", "a=1").field("cookie", "b=2").field("cookie", "c=3");
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    // 8.3.
    case("pseudo_field_unknown", |play| play.with(":test", "ok")),
    case("pseudo_field_of_an_answer", |play| play.with(":status", "200")),
    case("pseudo_field_behind_a_field", |play| {
        let fields = play.fields("GET");
        let block = fields[..3].iter().fold(Block::new(), |block, (name, value)| block.field(name, value));
        let block = block.field("x-test", "ok").field(":authority", &fields[3].1);
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("method_twice", |play| play.with(":method", "GET")),
    case("scheme_twice", |play| play.with(":scheme", "http")),
    case("path_twice", |play| play.with(":path", "/")),
    case("authority_twice", |play| play.with(":authority", "other.test")),
    case("method_missing", |play| altered(play, ":method", None)),
    case("scheme_missing", |play| altered(play, ":scheme", None)),
    case("path_missing", |play| altered(play, ":path", None)),
    case("method_of_nothing", |play| altered(play, ":method", Some(""))),
    case("method_that_is_no_token", |play| altered(play, ":method", Some("G ET"))),
    case("scheme_of_nothing", |play| altered(play, ":scheme", Some(""))),
    // 8.3.1.
    case("path_of_nothing", |play| altered(play, ":path", Some(""))),
    case("path_without_a_slash", |play| altered(play, ":path", Some("x"))),
    case("path_with_a_space", |play| altered(play, ":path", Some("/a b"))),
    case("path_with_a_line_break", |play| altered(play, ":path", Some("/a HTTP/1.1\r\nx: y"))),
    case("path_with_a_fragment", |play| altered(play, ":path", Some("/a#b"))),
    case("path_that_is_a_whole_uri", |play| altered(play, ":path", Some("http://other.test/"))),
    case("asterisk_of_get", |play| altered(play, ":path", Some("*"))),
    case("authority_with_userinfo", |play| altered(play, ":authority", Some("user@main.test"))),
    case("authority_that_is_none", |play| altered(play, ":authority", Some("a/b"))),
    case("authority_that_is_not_the_hosts", |play| play.with("host", "other.test")),
    case("host_that_is_the_authority", |play| {
        let authority = play.target.authority.clone();
        play.with("host", authority)
    }),
    case("host_without_authority", |play| {
        let block = play.altered(":authority", None).field("host", &play.target.authority);
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("neither_host_nor_authority", |play| altered(play, ":authority", None)),
    // 8.4 and 8.5.
    case("nothing_is_pushed", |play| {
        play.set(&[(setting::ENABLE_PUSH, 1)])?;
        play.ask(1).map(drop)
    }),
    case("connect", |play| connect(play, &[(":authority", "main.test:443")])),
    case("connect_with_a_path", |play| {
        connect(play, &[(":scheme", "http"), (":path", "/"), (":authority", "main.test:443")])
    }),
    case("connect_without_an_authority", |play| connect(play, &[])),
    case("connect_with_a_protocol_that_nobody_offered", |play| {
        connect(play, &[(":protocol", "echo"), (":scheme", "http"), (":path", "/"), (":authority", "main.test")])
    }),
    case("protocol_without_connect", |play| {
        let fields = [
            (":method", "GET"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "main.test"),
        ];
        of(play, &fields)
    }),
];
