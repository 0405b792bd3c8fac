//! Sections 5.2 and 6.9: flow control, both ways.

use crate::frames::{Frame, WINDOW, data, flag, frame, headers, kind, setting, settings, window_update};
use crate::hpack::Block;
use crate::play::{Case, Play, case};

const MOST: u32 = (1 << 31) - 1;

/// Sends a body of this many octets without looking at any window.
fn flood(play: &mut Play, stream: u32, octets: usize) -> Result<(), String> {
    let body = vec![b'f'; octets];
    let frames: Vec<Frame> = body.chunks(16_384).map(|piece| data(stream, 0, piece)).collect();
    play.send(frames)
}

/// The window that the other side gives a new stream.
fn given(play: &Play) -> usize {
    *play.peer.settings.get(&setting::INITIAL_WINDOW_SIZE).unwrap_or(&(WINDOW as u32)) as usize
}

/// Waits for a body's first octets, and makes sure that no more come.
fn exactly(play: &mut Play, octets: usize) -> Result<(), String> {
    play.peer.until(&format!("{octets} octets"), |peer| peer.answer(1).body.len() >= octets)?;
    play.peer.round_trip()?;
    match play.peer.answer(1).body.len() {
        length if length == octets => Ok(()),
        length => Err(format!("{length} octets instead of {octets}")),
    }
}

pub const CASES: &[Case] = &[
    case("window_update_of_nothing_on_stream_0", |play| play.send([window_update(0, 0)])),
    case("window_update_of_nothing_on_a_stream", |play| {
        let post = play.post(1);
        play.send([post, window_update(1, 0)])
    }),
    case("window_update_of_three_octets", |play| play.send([frame(kind::WINDOW_UPDATE, 0, 0, [0; 3])])),
    case("window_update_of_five_octets", |play| play.send([frame(kind::WINDOW_UPDATE, 0, 0, [0, 0, 0, 1, 0])])),
    case("window_of_one", |play| {
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 1)])?;
        let get = play.get(1);
        play.send([get])?;
        exactly(play, 1)
    }),
    case("window_of_nothing_holds_no_heads", |play| {
        play.hold()?;
        exactly(play, 0)
    }),
    case("window_octet_by_octet", |play| {
        play.hold()?;
        for octets in 1..=5 {
            play.send([window_update(1, 1)])?;
            exactly(play, octets)?;
        }
        Ok(())
    }),
    case("window_of_a_stream_beyond_measure", |play| {
        let post = play.post(1);
        play.send([post, window_update(1, MOST), window_update(1, MOST)])
    }),
    case("window_of_the_connection_beyond_measure", |play| play.send([window_update(0, MOST), window_update(0, MOST)])),
    case("window_of_the_connection_as_large_as_may_be", |play| play.send([window_update(0, MOST - WINDOW as u32)])),
    case("window_of_the_connection_holds_all_streams", |play| {
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)])?;
        let get = play.get(1);
        play.send([get])?;
        // Where the page is shorter than the connection's window, nothing is held.
        play.peer.until("a window's octets or an end", |peer| {
            peer.answer(1).body.len() == WINDOW as usize || peer.answer(1).ended
        })?;
        let get = play.get(3);
        play.send([get])?;
        play.peer.until("an answer's head", |peer| peer.answer(3).status.is_some())?;
        play.peer.round_trip()
    }),
    case("settings_change_the_windows_of_open_streams", |play| {
        play.hold()?;
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 3)])?;
        exactly(play, 3)
    }),
    case("window_that_becomes_negative", |play| {
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 3)])?;
        let get = play.get(1);
        play.send([get])?;
        exactly(play, 3)?;
        play.set(&[(setting::INITIAL_WINDOW_SIZE, 2)])?;
        // It is at minus one now: one octet makes it nothing.
        play.send([window_update(1, 1)])?;
        exactly(play, 3)?;
        play.send([window_update(1, 1)])?;
        exactly(play, 4)
    }),
    case("settings_do_not_change_the_connections_window", |play| {
        play.set(&[(setting::INITIAL_WINDOW_SIZE, MOST)])?;
        play.send([window_update(0, MOST - WINDOW as u32)])
    }),
    case("settings_that_make_a_window_too_large", |play| {
        play.hold()?;
        play.send([window_update(1, MOST), settings(&[(setting::INITIAL_WINDOW_SIZE, 1)])])
    }),
    case("body_that_overruns_the_window", |play| {
        let fields = play.fields("POST");
        let block = fields.iter().fold(Block::new(), |block, (name, value)| match *name {
            ":path" => block.field(name, &play.target.stuck),
            _ => block.field(name, value),
        });
        play.send([headers(1, flag::END_HEADERS, &block)])?;
        // More than the sockets on the way can hold.
        flood(play, 1, given(play).max(WINDOW as usize) + (64 << 20))
    }),
    case("body_with_an_empty_frame_where_the_window_is_used_up", |play| {
        let post = play.post(1);
        play.send([post])?;
        let room = given(play).min(WINDOW as usize);
        flood(play, 1, room)?;
        play.send([data(1, flag::END_STREAM, "")])
    }),
    case("credit_is_given_back_for_padding", |play| {
        let post = play.post(1);
        play.send([post])?;
        for _ in 0..100 {
            play.send([data(1, 0, "x").padded(255)])?;
        }
        // Some 25,000 octets of padding: a window that was never given back would be too small in the end.
        for _ in 0..3 {
            let before = play.peer.credit.get(&0).copied().unwrap_or_default();
            play.send((0..100).map(|_| data(1, 0, "x").padded(255)))?;
            play.peer
                .until("credit for the connection", |peer| peer.credit.get(&0).copied().unwrap_or_default() > before)?;
        }
        play.send([data(1, flag::END_STREAM, "")])
    }),
    case("credit_is_given_back_for_a_stream_that_was_reset", |play| {
        // A body of four connections' windows to streams that nobody reads any more.
        for at in 0..4 {
            let stream = at * 2 + 1;
            let block = play.block("POST").field("UPPER", "x");
            play.send([headers(stream, flag::END_HEADERS, &block)])?;
            let before = play.peer.credit.get(&0).copied().unwrap_or_default();
            flood(play, stream, 60_000)?;
            play.peer
                .until("credit for the connection", |peer| peer.credit.get(&0).copied().unwrap_or_default() > before)?;
        }
        play.stream = 0;
        Ok(())
    }),
];
