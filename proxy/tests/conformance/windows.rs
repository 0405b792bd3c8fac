//! Sections 5.2 and 6.9: flow control, both ways.

use crate::frames::{Frame, Peer, WINDOW, data, flag, frame, headers, kind, setting, settings, window_update};
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

/// Sends pieces until the connection's window was used up so many times, within what is given back of it and of stream 1's. A piece
/// tells how many octets of them it took.
fn spend(play: &mut Play, times: u64, piece: impl Fn(&mut Play, u32) -> Result<u64, String>) -> Result<(), String> {
    let credit = |play: &Play, stream| play.peer.credit.get(&stream).copied().unwrap_or_default();
    let most = WINDOW as u64 + credit(play, 0);
    let (mut spent, mut turn) = (0, 0);
    while spent < times * most {
        spent += piece(play, turn)?;
        turn += 1;
        let (stream, whole) = (given(play) as u64, WINDOW as u64);
        let room = move |peer: &Peer| {
            let of = |stream| peer.credit.get(&stream).copied().unwrap_or_default();
            let stream_has_room = peer.answer(1).reset.is_some() || stream + of(1) > spent + 1_300;
            whole + of(0) > spent + 60_000 && stream_has_room
        };
        play.peer.until("credit", room)?;
    }
    Ok(())
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
        let piece = || data(1, 0, [b'd'; 1_000]).padded(255);
        spend(play, 2, |play, _| play.send([piece()]).map(|()| 1_256))?;
        play.send([data(1, flag::END_STREAM, "")])
    }),
    case("credit_is_given_back_for_a_stream_that_was_reset", |play| {
        play.stream = 0;
        spend(play, 2, |play, turn| {
            let stream = turn * 2 + 1;
            let block = play.altered(":path", None);
            play.send([headers(stream, flag::END_HEADERS, &block)])?;
            // What a stream's window holds, if the server had not reset it.
            flood(play, stream, 60_000)?;
            play.peer.round_trip().map(|()| 60_000)
        })
    }),
];
