//! Sections 4.3 and 6.10, and RFC 7541: field blocks, how they are cut, and how they are compressed.

use crate::frames::{
    Frame, continuation, data, flag, frame, headers, kind, ping, priority, reset, setting, settings, window_update,
};
use crate::hpack::{Block, DYNAMIC, coded, huffman, integer, plain, push_code};
use crate::play::{Case, Play, case};

/// A request's block behind these bytes.
fn behind(play: &mut Play, bytes: &[u8]) -> Result<(), String> {
    let block = Block::new().raw(bytes).raw(&play.block("GET").0);
    play.send([headers(1, flag::WHOLE, &block)])
}

/// A request with these bytes behind its fields.
fn ahead(play: &mut Play, bytes: &[u8]) -> Result<(), String> {
    let block = play.block("GET").raw(bytes);
    play.send([headers(1, flag::WHOLE, &block)])
}

/// A block that is not finished, another frame, and the rest.
fn within(play: &mut Play, other: Frame) -> Result<(), String> {
    let block = play.block("GET");
    let (first, rest) = block.0.split_at(10);
    play.send([headers(1, flag::END_STREAM, &Block(first.to_vec())), other, continuation(1, flag::END_HEADERS, rest)])
}

/// A request in as many frames as there are pieces.
fn in_pieces<'a>(play: &mut Play, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(), String> {
    let mut pieces = pieces.into_iter();
    let first = pieces.next().expect("at least one");
    let mut frames = vec![headers(1, flag::END_STREAM, &Block(first.to_vec()))];
    frames.extend(pieces.map(|piece| continuation(1, 0, piece)));
    frames.last_mut().expect("at least one").flags |= flag::END_HEADERS;
    play.send(frames)
}

/// A string of Huffman's code: `a` with these bits behind it.
fn padded(bits: &[bool]) -> Vec<u8> {
    let mut all = Vec::new();
    push_code(&mut all, usize::from(b'a'));
    all.extend(bits);
    [&[0, 1, b'x'][..], &coded(&all)].concat()
}

pub const CASES: &[Case] = &[
    case("block_that_is_none", |play| play.send([headers(1, flag::WHOLE, &Block(vec![0xff; 8]))])),
    case("block_cut_within_a_field", |play| {
        let mut block = play.block("GET");
        block.0.pop();
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("priority_within_a_block", |play| within(play, priority(1, 0, 255))),
    case("data_within_a_block", |play| within(play, data(1, 0, "x"))),
    case("headers_within_a_block", |play| {
        let get = play.get(3);
        within(play, get)
    }),
    case("reset_within_a_block", |play| within(play, reset(1, 8))),
    case("settings_within_a_block", |play| within(play, settings(&[]))),
    case("ping_within_a_block", |play| within(play, ping([0; 8]))),
    case("window_update_within_a_block", |play| within(play, window_update(1, 1))),
    case("unknown_frame_within_a_block", |play| within(play, frame(kind::UNKNOWN, 0, 0, [0; 8]))),
    case("continuation_of_another_stream", |play| within(play, continuation(3, 0, &[]))),
    case("block_of_a_stream_that_is_reset_is_remembered", |play| {
        let bad = play.altered(":path", None).remembered("x-kept", "yes");
        play.send([headers(1, flag::WHOLE, &bad)])?;
        let next = play.block("GET").indexed(DYNAMIC);
        play.stream = 3;
        play.send([headers(3, flag::WHOLE, &next)])
    }),
    case("continuations", |play| {
        let block = play.block("GET");
        in_pieces(play, block.0.chunks(block.0.len().div_ceil(6)))
    }),
    case("continuation_that_is_empty", |play| {
        let block = play.block("GET");
        in_pieces(play, [&block.0[..], &[]])
    }),
    case("headers_that_are_empty_with_a_continuation", |play| {
        let block = play.block("GET");
        in_pieces(play, [&[][..], &block.0])
    }),
    case("continuation_behind_a_whole_block", |play| {
        let post = play.post(1);
        play.send([post, continuation(1, flag::END_HEADERS, &Block::of(&[("x", "y")]).0)])
    }),
    case("continuation_on_stream_0", |play| within(play, continuation(0, 0, &[]))),
    case("continuation_behind_a_continuation_that_ends", |play| {
        let block = play.block("POST");
        let (first, rest) = block.0.split_at(10);
        let first = headers(1, 0, &Block(first.to_vec()));
        play.send([first, continuation(1, flag::END_HEADERS, rest), continuation(1, flag::END_HEADERS, &[])])
    }),
    case("continuation_behind_data", |play| {
        let post = play.post(1);
        play.send([post, data(1, 0, "x"), continuation(1, flag::END_HEADERS, &[])])
    }),
    case("index_0", |play| ahead(play, &[0x80])),
    case("index_beyond_the_tables", |play| ahead(play, &integer(0x80, 7, DYNAMIC))),
    case("index_of_a_name_beyond_the_tables", |play| {
        ahead(play, &[&integer(0x40, 6, DYNAMIC)[..], &plain(b"x")].concat())
    }),
    case("index_of_the_newest_and_of_the_oldest", |play| {
        let block = play.block("GET").remembered("x-old", "1").remembered("x-new", "2");
        let block = block.indexed(DYNAMIC).indexed(DYNAMIC + 1);
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("each_representation", |play| {
        let block = play.block("GET").remembered("x-a", "1").never("x-b", "2").field("x-c", "3");
        // Names from the tables: `accept`, and `x-a`.
        let block =
            block.raw(&integer(0x40, 6, 19)).raw(&huffman(b"*/*")).raw(&integer(0, 4, DYNAMIC + 1)).raw(&huffman(b"4"));
        let block = block.raw(&[0x10]).raw(&huffman(b"x-d")).raw(&plain(b""));
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("indexed_pseudo_fields", |play| {
        let fields = play.fields("GET");
        let scheme = if fields[1].1 == "http" { 6 } else { 7 };
        let block = Block::new().indexed(2).indexed(scheme).field(":path", &fields[2].1);
        let block = block.raw(&[0x41]).raw(&huffman(fields[3].1.as_bytes()));
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("table_that_shrinks_forgets_the_oldest", |play| {
        let block = play.block("GET").remembered("x-old", "1").remembered("x-new", "2");
        play.send([headers(1, flag::WHOLE, &block)])?;
        play.answered(1)?;
        // Room for one of them: each takes 38 octets.
        let next = Block::new().resize(40).raw(&play.block("GET").0).indexed(DYNAMIC);
        play.send([headers(3, flag::WHOLE, &next)])?;
        play.answered(3)?;
        let last = play.block("GET").indexed(DYNAMIC + 1);
        play.stream = 5;
        play.send([headers(5, flag::WHOLE, &last)])
    }),
    case("entry_larger_than_the_table_empties_it", |play| {
        let block =
            play.block("GET").remembered("x-old", "1").remembered("x-large", "l".repeat(4_096)).indexed(DYNAMIC);
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("resize_at_the_beginning", |play| behind(play, &integer(0x20, 5, 1_024))),
    case("resize_twice_at_the_beginning", |play| {
        behind(play, &[integer(0x20, 5, 0), integer(0x20, 5, 4_096)].concat())
    }),
    case("resize_to_nothing_forgets_all", |play| {
        let block = play.block("GET").remembered("x-old", "1");
        play.send([headers(1, flag::WHOLE, &block)])?;
        play.answered(1)?;
        let next = Block::new().resize(0).resize(4_096).raw(&play.block("GET").0).indexed(DYNAMIC);
        play.stream = 3;
        play.send([headers(3, flag::WHOLE, &next)])
    }),
    case("resize_at_the_end", |play| ahead(play, &integer(0x20, 5, 1_024))),
    case("resize_beyond_the_setting", |play| {
        let most = *play.peer.settings.get(&setting::HEADER_TABLE_SIZE).unwrap_or(&4_096) as usize;
        behind(play, &integer(0x20, 5, most + 1))
    }),
    case("number_in_more_octets_than_it_needs", |play| {
        ahead(play, &[0, 1, b'x', 0x7f, 0x81, 0x00].into_iter().chain([b'v'; 128]).collect::<Vec<u8>>())
    }),
    case("number_beyond_all_measure", |play| ahead(play, &[0xff; 12])),
    case("number_without_end", |play| ahead(play, &[0xff, 0x80])),
    case("string_longer_than_its_block", |play| ahead(play, &[0, 1, b'x', 100, b'y'])),
    case("huffman_padded_with_seven_ones", |play| {
        // Five symbols of five bits.
        let block = play.block("GET").raw(&[0, 1, b'x']).raw(&huffman(b"aaaaa"));
        play.send([headers(1, flag::WHOLE, &block)])
    }),
    case("huffman_padded_with_zeros", |play| ahead(play, &padded(&[false; 3]))),
    case("huffman_padded_with_eight_ones", |play| ahead(play, &padded(&[true; 11]))),
    case("huffman_with_an_end_within", |play| {
        let mut bits = Vec::new();
        push_code(&mut bits, 256);
        bits.resize(32, true);
        ahead(play, &[&[0, 1, b'x'][..], &coded(&bits)].concat())
    }),
    case("huffman_of_every_visible_character", |play| {
        let all: Vec<u8> = (0x21..0x7f).collect();
        ahead(play, &[&[0, 1, b'x'][..], &huffman(&all)].concat())
    }),
    case("answers_without_a_table", |play| {
        play.set(&[(setting::HEADER_TABLE_SIZE, 0)])?;
        play.ask(1)?;
        play.ask(3)?;
        play.ask(5).map(|_| play.stream = 5)
    }),
    case("answers_with_a_table_that_comes_and_goes", |play| {
        for (turn, size) in [4_096, 0, 100, 65_536, 50].into_iter().enumerate() {
            play.set(&[(setting::HEADER_TABLE_SIZE, size)])?;
            play.stream = turn as u32 * 2 + 1;
            play.ask(play.stream)?;
        }
        Ok(())
    }),
];
