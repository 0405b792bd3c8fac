//! Sections 3 to 4.2: how a connection begins, and the shape of frames.

use crate::frames::{PREFACE, data, flag, frame, frame_ack, kind, ping, settings, window_update};
use crate::play::{Case, case, raw};

/// The reserved bit of a stream's identifier.
const RESERVED: u32 = 1 << 31;

pub const CASES: &[Case] = &[
    raw("settings_come_first", |play| play.peer.greet(&[])),
    raw("preface_and_request_at_once", |play| {
        let get = play.get(1);
        play.peer.send_bytes(PREFACE);
        play.send([settings(&[]), get])
    }),
    raw("preface_octet_by_octet", |play| {
        for octet in [PREFACE, &settings(&[]).bytes()].concat() {
            play.peer.send_bytes(&[octet]);
        }
        play.stream = 0;
        Ok(())
    }),
    raw("preface_wrong", |play| {
        play.peer.send_bytes(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
        play.send([settings(&[])])
    }),
    raw("preface_wrong_at_its_beginning", |play| {
        play.peer.send_bytes(b"INVALID CONNECTION PREFACE\r\n\r\n");
        play.send([settings(&[])])
    }),
    raw("preface_cut", |play| {
        play.peer.send_bytes(&PREFACE[..10]);
        play.peer.finish();
        Ok(())
    }),
    raw("preface_without_settings", |play| {
        let get = play.get(1);
        play.peer.send_bytes(PREFACE);
        play.send([get])
    }),
    raw("preface_with_ping_before_settings", |play| {
        play.peer.send_bytes(PREFACE);
        play.send([ping(*b"too soon"), settings(&[])])
    }),
    raw("preface_with_acknowledgement_alone", |play| {
        play.peer.send_bytes(PREFACE);
        play.send([frame_ack()])
    }),
    raw("requests_before_the_servers_settings_are_acknowledged", |play| {
        play.peer.polite = false;
        play.peer.greet(&[])?;
        let get = play.get(1);
        play.send([get])
    }),
    case("unknown_frame", |play| play.send([frame(kind::UNKNOWN, 0, 0, [0; 8])])),
    case("undefined_flags_of_ping", |play| {
        play.send([frame(kind::PING, 0x16, 0, *b"flagging")])?;
        play.peer.until("the PING's acknowledgement", |peer| peer.pongs.contains(b"flagging"))
    }),
    case("undefined_flags_of_headers", |play| {
        let mut get = play.get(1);
        get.flags |= 0xc2;
        play.send([get])
    }),
    case("undefined_flags_of_data", |play| {
        let post = play.post(1);
        play.send([post, data(1, 0xf6 & !flag::PADDED, "x"), data(1, flag::END_STREAM | 0x40, "y")])
    }),
    case("reserved_bit_of_ping", |play| {
        play.send([frame(kind::PING, 0, RESERVED, *b"reserved")])?;
        play.peer.until("the PING's acknowledgement", |peer| peer.pongs.contains(b"reserved"))
    }),
    case("reserved_bit_of_headers", |play| {
        let mut get = play.get(1);
        get.stream |= RESERVED;
        play.send([get])
    }),
    case("reserved_bit_of_window_update", |play| play.send([window_update(0, RESERVED | 1)])),
    case("data_as_long_as_may_be", |play| {
        let post = play.post(1);
        play.send([post, data(1, flag::END_STREAM, [b'd'; 16_384])])
    }),
    case("data_too_long", |play| {
        let post = play.post(1);
        play.send([post, data(1, flag::END_STREAM, [b'd'; 16_385])])
    }),
    case("headers_too_long", |play| {
        let block = play.block("GET").field("x-long", "l".repeat(16_385));
        play.send([crate::frames::headers(1, flag::WHOLE, &block)])
    }),
    case("settings_too_long", |play| play.send([settings(&[(0xfafa, 0); 16_386 / 6])])),
    case("unknown_frame_too_long", |play| play.send([frame(kind::UNKNOWN, 0, 0, [0; 16_385])])),
    case("frame_cut_by_the_end", |play| {
        let get = play.get(1).bytes();
        play.peer.send_bytes(&get[..get.len() - 1]);
        play.peer.finish();
        Ok(())
    }),
];
