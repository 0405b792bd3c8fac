//! Sections 6.1 to 6.8: each kind of frame, and each way to get it wrong.

use crate::frames::{
    Frame, data, flag, frame, frame_ack, goaway, headers, kind, ping, priority, reset, setting, settings, window_update,
};
use crate::hpack::Block;
use crate::play::{Case, Play, case};

/// A request whose body is this one frame.
fn body(play: &mut Play, data: Frame) -> Result<(), String> {
    let post = play.post(1);
    play.send([post, data])
}

/// A frame alone.
fn alone(play: &mut Play, kind: u8, stream: u32, length: usize) -> Result<(), String> {
    play.send([frame(kind, 0, stream, vec![0; length])])
}

/// A request with padding and priority as these bytes say.
fn head(play: &mut Play, flags: u8, ahead: &[u8], behind: &[u8]) -> Result<(), String> {
    let block = Block::new().raw(ahead).raw(&play.block("GET").0).raw(behind);
    play.send([headers(1, flag::WHOLE | flags, &block)])
}

/// A setting alone.
fn one_setting(play: &mut Play, name: u16, value: u32) -> Result<(), String> {
    play.send([settings(&[(name, value)])])
}

/// Sends `PUSH_PROMISE` on a stream that is open.
fn push(play: &mut Play) -> Result<(), String> {
    let post = play.post(1);
    let payload = [&2_u32.to_be_bytes()[..], &play.block("GET").0].concat();
    play.send([post, frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, payload)])
}

pub const CASES: &[Case] = &[
    // 6.1 DATA.
    case("data_on_stream_0", |play| play.send([data(0, flag::END_STREAM, "x")])),
    case("data_padded", |play| body(play, data(1, flag::END_STREAM, "padded").padded(255))),
    case("data_of_padding_alone", |play| body(play, data(1, flag::END_STREAM, "").padded(10))),
    case("data_with_as_much_padding_as_payload", |play| {
        body(play, frame(kind::DATA, flag::END_STREAM | flag::PADDED, 1, [5, 0, 0, 0, 0]))
    }),
    case("data_with_more_padding_than_payload", |play| {
        body(play, frame(kind::DATA, flag::END_STREAM | flag::PADDED, 1, [255, 0, 0, 0, 0]))
    }),
    case("data_padded_without_a_length", |play| body(play, frame(kind::DATA, flag::END_STREAM | flag::PADDED, 1, []))),
    case("data_with_padding_of_ones", |play| {
        body(play, frame(kind::DATA, flag::END_STREAM | flag::PADDED, 1, [2, b'x', 1, 1]))
    }),
    case("data_empty_at_the_end", |play| {
        let post = play.post(1);
        play.send([post, data(1, 0, "x"), data(1, flag::END_STREAM, "")])
    }),
    case("data_in_many_frames", |play| {
        let post = play.post(1);
        play.send([post])?;
        play.send((0..20).map(|at| data(1, if at == 19 { flag::END_STREAM } else { 0 }, [b'd'; 1_000])))
    }),
    // 6.2 HEADERS.
    case("headers_padded", |play| head(play, flag::PADDED, &[8], &[0; 8])),
    case("headers_with_priority", |play| head(play, flag::PRIORITY, &[0, 0, 0, 0, 15], &[])),
    case("headers_padded_with_priority", |play| {
        head(play, flag::PADDED | flag::PRIORITY, &[3, 0x80, 0, 0, 0, 15], &[0; 3])
    }),
    case("headers_with_more_padding_than_payload", |play| head(play, flag::PADDED, &[255], &[])),
    case("headers_with_as_much_padding_as_payload", |play| {
        play.send([frame(kind::HEADERS, flag::WHOLE | flag::PADDED, 1, [4, 0, 0, 0])])
    }),
    case("headers_padded_without_a_length", |play| {
        play.send([frame(kind::HEADERS, flag::WHOLE | flag::PADDED, 1, [])])
    }),
    case("headers_with_half_a_priority", |play| {
        play.send([frame(kind::HEADERS, flag::WHOLE | flag::PRIORITY, 1, [0; 3])])
    }),
    // 6.3 PRIORITY.
    case("priority_on_stream_0", |play| play.send([priority(0, 1, 1)])),
    case("priority_of_four_octets", |play| {
        let post = play.post(1);
        play.send([post, frame(kind::PRIORITY, 0, 1, [0; 4])])
    }),
    // 6.4 RST_STREAM.
    case("reset_on_stream_0", |play| play.send([reset(0, 8)])),
    case("reset_of_three_octets", |play| body(play, frame(kind::RST_STREAM, 0, 1, [0; 3]))),
    case("reset_of_five_octets", |play| body(play, frame(kind::RST_STREAM, 0, 1, [0; 5]))),
    case("reset_of_an_open_stream", |play| {
        play.stream = 0;
        body(play, reset(1, 8))
    }),
    // 6.5 SETTINGS.
    case("settings_acknowledgement_with_payload", |play| {
        play.send([Frame { flags: flag::ACK, ..settings(&[(setting::ENABLE_PUSH, 0)]) }])
    }),
    case("settings_on_stream_1", |play| play.send([Frame { stream: 1, ..settings(&[]) }])),
    case("settings_of_three_octets", |play| alone(play, kind::SETTINGS, 0, 3)),
    case("settings_of_seven_octets", |play| alone(play, kind::SETTINGS, 0, 7)),
    case("settings_that_are_empty", |play| play.set(&[])),
    case("settings_acknowledgement_that_nobody_waits_for", |play| play.send([frame_ack()])),
    case("push_of_2", |play| one_setting(play, setting::ENABLE_PUSH, 2)),
    case("push_of_1", |play| play.set(&[(setting::ENABLE_PUSH, 1)])),
    case("window_of_too_much", |play| one_setting(play, setting::INITIAL_WINDOW_SIZE, 1 << 31)),
    case("window_of_as_much_as_may_be", |play| play.set(&[(setting::INITIAL_WINDOW_SIZE, (1 << 31) - 1)])),
    case("frame_size_too_small", |play| one_setting(play, setting::MAX_FRAME_SIZE, 16_383)),
    case("frame_size_too_large", |play| one_setting(play, setting::MAX_FRAME_SIZE, 1 << 24)),
    case("frame_size_as_large_as_may_be", |play| {
        play.set(&[(setting::MAX_FRAME_SIZE, (1 << 24) - 1)])?;
        play.ask(1).map(drop)
    }),
    case("settings_are_acknowledged", |play| play.set(&[(setting::MAX_CONCURRENT_STREAMS, 10)])),
    case("each_settings_is_acknowledged", |play| {
        for _ in 0..3 {
            play.peer.set(&[(setting::MAX_CONCURRENT_STREAMS, 10)]);
        }
        play.peer.until("four acknowledgements", |peer| peer.settings_acks == 4)
    }),
    case("the_last_of_two_values_counts", |play| {
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 0), (setting::INITIAL_WINDOW_SIZE, 1)])?;
        let get = play.get(1);
        play.send([get])?;
        play.peer.until("one octet", |peer| peer.answer(1).body.len() == 1)
    }),
    case("the_servers_settings_are_good", |play| match play.peer.settings.get(&setting::ENABLE_PUSH) {
        Some(1) => Err("a server that would be pushed to".into()),
        _ => Ok(()),
    }),
    // 6.6 PUSH_PROMISE.
    case("promise_of_a_client", push),
    case("promise_on_stream_0", |play| alone(play, kind::PUSH_PROMISE, 0, 4)),
    // 6.7 PING.
    case("ping_is_answered", |play| {
        play.send([ping(*b"tollgate")])?;
        play.peer.until("the same octets", |peer| peer.pongs == [*b"tollgate"])
    }),
    case("pings_are_answered_in_order", |play| {
        let payloads: Vec<[u8; 8]> = (0..5_u64).map(u64::to_be_bytes).collect();
        for payload in &payloads {
            play.send([ping(*payload)])?;
            play.peer.until("its octets", |peer| peer.pongs.last() == Some(payload))?;
        }
        if play.peer.pongs == payloads { Ok(()) } else { Err(format!("{:?}", play.peer.pongs)) }
    }),
    case("ping_acknowledgement_is_not_answered", |play| {
        play.send([Frame { flags: flag::ACK, ..ping(*b"unasked!") }])?;
        play.peer.round_trip()?;
        if play.peer.pongs.len() == 2 { Ok(()) } else { Err(format!("{:?}", play.peer.pongs)) }
    }),
    case("ping_on_stream_1", |play| alone(play, kind::PING, 1, 8)),
    case("ping_of_six_octets", |play| alone(play, kind::PING, 0, 6)),
    case("ping_of_nine_octets", |play| alone(play, kind::PING, 0, 9)),
    // 6.8 GOAWAY.
    case("goaway_on_stream_1", |play| play.send([Frame { stream: 1, ..goaway(0, 0, b"") }])),
    case("goaway_of_seven_octets", |play| alone(play, kind::GOAWAY, 0, 7)),
    case("goaway_leaves_what_is_under_way", |play| {
        play.hold()?;
        play.spent = true;
        play.send([goaway(0, 0, b"that was all"), window_update(1, 1 << 20), window_update(0, 1 << 20)])
    }),
];
