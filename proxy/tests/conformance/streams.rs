//! Section 5: the states of a stream, their numbers, errors and extensions.

use crate::frames::{
    continuation, data, flag, frame, goaway, headers, kind, ping, priority, reset, setting, settings, window_update,
};
use crate::hpack::Block;
use crate::play::{Case, Play, case};

/// Stream 1 is half-closed by us; then this.
fn held(play: &mut Play, then: crate::frames::Frame) -> Result<(), String> {
    play.hold()?;
    play.send([then])
}

/// Stream 1 is over; then this.
fn over(play: &mut Play, then: crate::frames::Frame) -> Result<(), String> {
    play.ask(1)?;
    play.stream = 0;
    play.send([then])
}

/// Stream 1 was open, and is reset by us; then this.
fn dropped(play: &mut Play, then: crate::frames::Frame) -> Result<(), String> {
    let post = play.post(1);
    play.stream = 0;
    play.send([post, reset(1, 8)])?;
    play.peer.round_trip()?;
    play.send([then])
}

/// Stream 1 was reset by the other side; then this.
fn refused(play: &mut Play, then: Vec<crate::frames::Frame>) -> Result<(), String> {
    let block = play.altered(":path", None);
    play.send([headers(1, flag::END_HEADERS, &block)])?;
    play.peer.until("a reset or an answer", |peer| peer.answer(1).reset.is_some() || peer.answer(1).ended)?;
    play.stream = 0;
    play.send(then)
}

fn fragment() -> Vec<u8> {
    Block::of(&[("x", "y")]).0
}

/// Opens as many streams as may be, and so many more; each waits for its window.
fn crowd(play: &mut Play, more: u32) -> Result<(), String> {
    play.shut_windows()?;
    let most = *play.peer.settings.get(&setting::MAX_CONCURRENT_STREAMS).ok_or("no limit of streams is told")?;
    for at in 0..most + more {
        let get = play.get(at * 2 + 1);
        play.send([get])?;
    }
    play.stream = (most + more) * 2 - 1;
    Ok(())
}

pub const CASES: &[Case] = &[
    case("idle_data", |play| play.send([data(1, flag::END_STREAM, "x")])),
    case("idle_reset", |play| play.send([reset(1, 8)])),
    case("idle_window_update", |play| play.send([window_update(1, 100)])),
    case("idle_continuation", |play| play.send([continuation(1, flag::END_HEADERS, &fragment())])),
    case("idle_priority", |play| play.send([priority(1, 0, 255)])),
    case("open_all_that_may_be", |play| {
        let post = play.post(1);
        let end = data(1, flag::END_STREAM, "x");
        play.send([post, priority(1, 0, 1), window_update(1, 1), data(1, 0, ""), end])
    }),
    case("half_closed_data", |play| held(play, data(1, flag::END_STREAM, "x"))),
    case("half_closed_headers", |play| {
        let get = play.get(1);
        held(play, get)
    }),
    case("half_closed_continuation", |play| held(play, continuation(1, flag::END_HEADERS, &fragment()))),
    case("half_closed_window_update", |play| held(play, window_update(1, 65_535))),
    case("half_closed_priority", |play| held(play, priority(1, 0, 1))),
    case("half_closed_reset", |play| held(play, reset(1, 8))),
    case("dropped_data", |play| dropped(play, data(1, flag::END_STREAM, "x"))),
    case("dropped_headers", |play| {
        let get = play.get(1);
        dropped(play, get)
    }),
    case("dropped_continuation", |play| dropped(play, continuation(1, flag::END_HEADERS, &fragment()))),
    case("dropped_window_update", |play| dropped(play, window_update(1, 1))),
    case("dropped_reset", |play| dropped(play, reset(1, 8))),
    case("dropped_priority", |play| dropped(play, priority(1, 0, 1))),
    case("refused_data_under_way", |play| refused(play, vec![data(1, 0, "x"), data(1, flag::END_STREAM, "y")])),
    case("refused_trailers_under_way", |play| refused(play, vec![headers(1, flag::WHOLE, &Block::of(&[("x", "y")]))])),
    case("refused_window_update_and_reset_under_way", |play| refused(play, vec![window_update(1, 1), reset(1, 8)])),
    case("closed_data", |play| over(play, data(1, flag::END_STREAM, "x"))),
    case("closed_headers", |play| {
        let get = play.get(1);
        over(play, get)
    }),
    case("closed_continuation", |play| over(play, continuation(1, flag::END_HEADERS, &fragment()))),
    case("closed_window_update", |play| over(play, window_update(1, 1))),
    case("closed_reset", |play| over(play, reset(1, 8))),
    case("closed_priority", |play| over(play, priority(1, 0, 1))),
    case("even_number", |play| {
        play.stream = 2;
        let get = play.get(2);
        play.send([get])
    }),
    case("number_that_goes_back", |play| {
        play.ask(5)?;
        play.stream = 3;
        let get = play.get(3);
        play.send([get])
    }),
    case("numbers_left_out_are_closed", |play| {
        play.ask(5)?;
        play.stream = 3;
        play.send([data(3, flag::END_STREAM, "x")])
    }),
    case("numbers_may_be_left_out", |play| play.ask(101).map(|_| play.stream = 101)),
    case("largest_number", |play| play.ask(0x7fff_ffff).map(|_| play.stream = 0x7fff_ffff)),
    case("headers_on_stream_0", |play| {
        let get = play.get(0);
        play.stream = 0;
        play.send([get])
    }),
    case("one_stream_too_many", |play| {
        play.spent = true;
        crowd(play, 1)
    }),
    case("streams_that_are_over_leave_room", |play| {
        crowd(play, 0)?;
        let last = play.stream;
        play.answered(1)?;
        play.ask(last + 2).map(|_| play.stream = last + 2)
    }),
    case("each_of_two_streams_has_its_own_window", |play| {
        play.hold()?;
        play.ask(3).map(|_| play.stream = 3)
    }),
    case("headers_that_depend_on_themselves", |play| {
        let mut get = play.get(1);
        get.flags |= flag::PRIORITY;
        get.payload.splice(0..0, [0, 0, 0, 1, 255]);
        play.send([get])
    }),
    case("priority_that_depends_on_itself", |play| {
        let post = play.post(1);
        play.send([post, priority(1, 1, 255), data(1, flag::END_STREAM, "x")])
    }),
    case("goaway_tells_the_last_stream", |play| {
        play.ask(1)?;
        play.send([frame(kind::PING, 0, 0, [0; 6])])?;
        // Whoever leaves without a word has nothing to tell.
        let _ = play.peer.until("GOAWAY", |peer| !peer.goaways.is_empty());
        play.stream = 0;
        match play.peer.goaways.last() {
            Some((_, last)) if *last != 1 => Err(format!("stream {last} is told as the last")),
            _ => Ok(()),
        }
    }),
    case("reset_is_not_answered_by_a_reset", |play| {
        let post = play.post(1);
        play.send([post])?;
        play.send([reset(1, 1)])?;
        play.peer.round_trip()?;
        play.stream = 0;
        // Who has answered without the body may well say so.
        match play.peer.answer(1) {
            answer if answer.reset.is_none() || answer.ended => Ok(()),
            answer => Err(format!("a reset with {:?}", answer.reset)),
        }
    }),
    case("unknown_frames_everywhere", |play| {
        let (unknown, post) = (|stream| frame(kind::UNKNOWN, 0xff, stream, [1; 16]), play.post(1));
        play.send([unknown(0), post, unknown(1), data(1, flag::END_STREAM, "x"), unknown(1)])
    }),
    case("unknown_setting", |play| play.set(&[(0xbeef, 0xffff_ffff)])),
    case("priority_update", |play| {
        let get = play.get(1);
        play.send([frame(kind::PRIORITY_UPDATE, 0, 0, *b"\0\0\0\x01u=1,i"), get])
    }),
    case("unknown_code_of_a_reset", |play| {
        let post = play.post(1);
        play.stream = 0;
        play.send([post, reset(1, 0xff)])
    }),
    case("unknown_code_of_goaway", |play| {
        play.ask(1)?;
        play.spent = true;
        play.stream = 0;
        play.send([goaway(0, 0xff, b"")])?;
        play.send([ping(*b"leaving!"), settings(&[])])
    }),
];
