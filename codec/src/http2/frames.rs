//! Budgets of frames (rows T01 to T05): what a peer may send that costs us work and itself nothing.
//!
//! Reads the nine bytes before each frame as they pass, in pieces of any size; what is in the frames is somebody else's to check.
//! Counts fall by half each second, so that a burst is forgiven and a flood is not.

use crate::limits::{
    BLOCK_BYTES_MAX, BLOCK_CONTINUATIONS_MAX, EMPTY_DATA_MAX, PINGS_MAX, PRIORITIES_MAX, PROVOKED_RESETS_LIFE_MAX,
    PROVOKED_RESETS_MAX, RESETS_MAX, SETTINGS_MAX, UNKNOWN_FRAMES_MAX, WINDOW_UPDATES_FREE_MAX,
};

macro_rules! excesses {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What a peer did too often.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Excess {
            $($(#[$doc])* $variant,)*
        }

        impl Excess {
            /// The labels of metrics, by the variants' numbers.
            pub const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

excesses! {
    /// DATA without a byte of data that does not end its stream, padding alone included (CVE-2019-9518).
    EmptyData = "empty_data";
    /// PRIORITY.
    Priority = "priority";
    /// `RST_STREAM`: streams opened to be taken back (CVE-2023-44487).
    Resets = "resets";
    /// SETTINGS, acknowledgements included (CVE-2019-9515).
    Settings = "settings";
    /// PING (CVE-2019-9512).
    Pings = "pings";
    /// `WINDOW_UPDATE`, beyond what our own DATA explains.
    WindowUpdates = "window_updates";
    /// CONTINUATION of one block (CVE-2024-27316).
    Continuations = "continuations";
    /// Bytes of one block, packed.
    BlockBytes = "block_bytes";
    /// Kinds that nobody knows, and GOAWAY.
    Unknown = "unknown_frames";
    /// Resets that we were made to send (CVE-2025-8671).
    Provoked = "provoked_resets";
    /// The first frame is no SETTINGS (RFC 9113 §3.4).
    NoSettings = "no_settings";
}

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// Bytes that a client says before its first frame.
pub const PREFACE_BYTES: u32 = 24;

/// Reads frame heads out of a stream of bytes.
#[derive(Clone, Debug, Default)]
struct Heads {
    head: [u8; HEAD],
    /// Bytes of the head so far.
    filled: usize,
    /// Bytes of something else that come before the next head.
    skip: u32,
    /// Likewise; of these the first ones of the frame under way are looked at.
    body: u32,
}

/// What is found next.
enum Found {
    /// The head of a frame.
    Head { length: u32, kind: u8, flags: u8 },
    /// A byte of its body: the first four are shown.
    Byte { at: u32, byte: u8 },
}

impl Heads {
    /// The next finding; `None` when the bytes are used up.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Found> {
        let skip = bytes.len().min(self.skip as usize);
        self.skip -= skip as u32;
        *bytes = &bytes[skip..];
        if self.filled == HEAD {
            let at = self.length() - self.body;
            if self.body > 0 && at < SHOWN {
                let (byte, rest) = bytes.split_first()?;
                *bytes = rest;
                self.body -= 1;
                return Some(Found::Byte { at, byte: *byte });
            }
            let skip = bytes.len().min(self.body as usize);
            self.body -= skip as u32;
            *bytes = &bytes[skip..];
            if self.body > 0 {
                return None;
            }
            self.filled = 0;
        }
        while self.filled < HEAD {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            self.head[self.filled] = *byte;
            self.filled += 1;
        }
        self.body = self.length();
        Some(Found::Head { length: self.body, kind: self.head[3], flags: self.head[4] })
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]])
    }
}

/// Bytes at the beginning of a frame's body that are looked at: a reset's code, a padding's length.
const SHOWN: u32 = 4;

/// Counts of one connection. They say nothing of what streams do, only of frames.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    received: Heads,
    sent: Heads,
    /// The second that the counts belong to.
    second: u64,
    empty_data: u32,
    priorities: u32,
    resets: u32,
    settings: u32,
    pings: u32,
    window_updates: u32,
    unknown: u32,
    provoked: u32,
    /// In all.
    provoked_ever: u32,
    /// DATA frames that we sent: each may be answered with window updates.
    data_sent: u32,
    /// CONTINUATION frames and bytes of the block under way.
    continuations: u32,
    block_bytes: u32,
    /// Length and flags of the DATA frame under way.
    data: (u32, u8),
    /// The code of the reset under way that we send.
    code: u32,
    is_reset: bool,
    is_data: bool,
    has_begun: bool,
    is_settled: bool,
}

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;

impl Watch {
    /// For a connection of which `preface` bytes come before the first frame.
    pub fn new(preface: u32) -> Watch {
        Watch { received: Heads { skip: preface, ..Heads::default() }, ..Watch::default() }
    }

    /// Whether the peer has acknowledged our settings.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The peer has sent this. `second` counts seconds from any beginning, and never goes back. The first excess is told, and
    /// what follows it is not looked at.
    pub fn received(&mut self, mut bytes: &[u8], second: u64) -> Result<(), Excess> {
        self.fade(second);
        while let Some(found) = self.received.next(&mut bytes) {
            match found {
                Found::Head { length, kind, flags } => self.frame(length, kind, flags)?,
                Found::Byte { at: 0, byte } if self.is_data && self.data.1 & PADDED != 0 => {
                    // The padding's length, and then nothing but padding.
                    if u32::from(byte) + 1 >= self.data.0 && self.data.1 & END_STREAM == 0 {
                        bump(&mut self.empty_data, EMPTY_DATA_MAX, Excess::EmptyData)?;
                    }
                }
                Found::Byte { .. } => {}
            }
        }
        Ok(())
    }

    fn frame(&mut self, length: u32, kind: u8, flags: u8) -> Result<(), Excess> {
        if !std::mem::replace(&mut self.has_begun, true) && (kind != 4 || flags & ACK != 0) {
            return Err(Excess::NoSettings);
        }
        self.is_data = kind == 0;
        match kind {
            0 => {
                self.data = (length, flags);
                if length == 0 && flags & END_STREAM == 0 {
                    bump(&mut self.empty_data, EMPTY_DATA_MAX, Excess::EmptyData)?;
                }
                Ok(())
            }
            1 => {
                (self.continuations, self.block_bytes) = (0, 0);
                self.block(length)
            }
            2 => bump(&mut self.priorities, PRIORITIES_MAX, Excess::Priority),
            3 => bump(&mut self.resets, RESETS_MAX, Excess::Resets),
            4 => {
                self.is_settled |= flags & ACK != 0;
                bump(&mut self.settings, SETTINGS_MAX, Excess::Settings)
            }
            6 => bump(&mut self.pings, PINGS_MAX, Excess::Pings),
            8 => {
                let most = WINDOW_UPDATES_FREE_MAX.saturating_add(self.data_sent.saturating_mul(2));
                bump(&mut self.window_updates, most, Excess::WindowUpdates)
            }
            9 => {
                bump(&mut self.continuations, BLOCK_CONTINUATIONS_MAX, Excess::Continuations)?;
                self.block(length)
            }
            _ => bump(&mut self.unknown, UNKNOWN_FRAMES_MAX, Excess::Unknown),
        }
    }

    fn block(&mut self, length: u32) -> Result<(), Excess> {
        self.block_bytes = self.block_bytes.saturating_add(length);
        if self.block_bytes > BLOCK_BYTES_MAX { Err(Excess::BlockBytes) } else { Ok(()) }
    }

    /// We have sent this.
    pub fn sent(&mut self, mut bytes: &[u8], second: u64) -> Result<(), Excess> {
        self.fade(second);
        while let Some(found) = self.sent.next(&mut bytes) {
            match found {
                Found::Head { kind, .. } => {
                    (self.is_reset, self.code) = (kind == 3, 0);
                    self.data_sent = self.data_sent.saturating_add(u32::from(kind == 0));
                }
                Found::Byte { at, byte } if self.is_reset => {
                    self.code = self.code << 8 | u32::from(byte);
                    if at == SHOWN - 1 && is_provoked(self.code) {
                        bump(&mut self.provoked_ever, PROVOKED_RESETS_LIFE_MAX, Excess::Provoked)?;
                        bump(&mut self.provoked, PROVOKED_RESETS_MAX, Excess::Provoked)?;
                    }
                }
                Found::Byte { .. } => {}
            }
        }
        Ok(())
    }

    /// Half of everything for each second that has passed.
    fn fade(&mut self, second: u64) {
        let passed = second.saturating_sub(self.second);
        if passed == 0 {
            return;
        }
        self.second = second;
        for count in [
            &mut self.empty_data,
            &mut self.priorities,
            &mut self.resets,
            &mut self.settings,
            &mut self.pings,
            &mut self.window_updates,
            &mut self.unknown,
            &mut self.provoked,
            &mut self.data_sent,
        ] {
            *count = if passed < 32 { *count >> passed } else { 0 };
        }
    }
}

fn bump(count: &mut u32, most: u32, excess: Excess) -> Result<(), Excess> {
    *count = count.saturating_add(1);
    if *count > most { Err(excess) } else { Ok(()) }
}

/// Codes of resets that a peer has earned; not those of an end that was ours (`NO_ERROR`, `INTERNAL_ERROR`, CANCEL).
fn is_provoked(code: u32) -> bool {
    !matches!(code, 0 | 2 | 8)
}

/// The verdict on frames that come whole, one after the other: the same, said more simply. For the tests and the fuzzer.
pub fn slow(frames: &[(u64, Vec<u8>)]) -> Result<(), Excess> {
    let mut counts = [0_u64; 7];
    let (mut at_second, mut block, mut continuations, mut is_first) = (0, 0, 0, true);
    for (second, frame) in frames {
        let passed = second - at_second;
        at_second = *second;
        counts = counts.map(|count| if passed < 32 { count >> passed } else { 0 });
        let length = frame.len() as u64 - 9;
        let (kind, flags) = (frame[3], frame[4]);
        if is_first && (kind != 4 || flags & ACK != 0) {
            return Err(Excess::NoSettings);
        }
        is_first = false;
        let is_empty = length == 0 || (flags & PADDED != 0 && u64::from(frame[9]) + 1 >= length);
        let (place, most, excess) = match kind {
            0 if is_empty && flags & END_STREAM == 0 => (0, EMPTY_DATA_MAX, Excess::EmptyData),
            0 => continue,
            1 | 9 => {
                (block, continuations) = if kind == 1 { (length, 0) } else { (block + length, continuations + 1) };
                if continuations > BLOCK_CONTINUATIONS_MAX {
                    return Err(Excess::Continuations);
                }
                if block > u64::from(BLOCK_BYTES_MAX) {
                    return Err(Excess::BlockBytes);
                }
                continue;
            }
            2 => (1, PRIORITIES_MAX, Excess::Priority),
            3 => (2, RESETS_MAX, Excess::Resets),
            4 => (3, SETTINGS_MAX, Excess::Settings),
            6 => (4, PINGS_MAX, Excess::Pings),
            8 => (5, WINDOW_UPDATES_FREE_MAX, Excess::WindowUpdates),
            _ => (6, UNKNOWN_FRAMES_MAX, Excess::Unknown),
        };
        counts[place] += 1;
        if counts[place] > u64::from(most) {
            return Err(excess);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], body].concat()
    }

    fn begun() -> Watch {
        let mut watch = Watch::new(0);
        watch.received(&frame(4, 0, &[]), 0).expect("settings");
        watch
    }

    /// How many of a frame pass in one second.
    fn passing(one: &[u8]) -> (u32, Excess) {
        let mut watch = begun();
        for count in 0.. {
            if let Err(excess) = watch.received(one, 0) {
                return (count, excess);
            }
        }
        unreachable!("everything is bounded");
    }

    #[test]
    fn t04_t05_each_kind_has_its_budget() {
        assert_eq!(passing(&frame(0, 0, &[])), (EMPTY_DATA_MAX, Excess::EmptyData));
        assert_eq!(passing(&frame(0, PADDED, &[3, 0, 0, 0])), (EMPTY_DATA_MAX, Excess::EmptyData));
        assert_eq!(passing(&frame(2, 0, &[0; 5])), (PRIORITIES_MAX, Excess::Priority));
        assert_eq!(passing(&frame(3, 0, &[0; 4])), (RESETS_MAX, Excess::Resets));
        assert_eq!(passing(&frame(4, 1, &[])), (SETTINGS_MAX - 1, Excess::Settings));
        assert_eq!(passing(&frame(6, 0, &[0; 8])), (PINGS_MAX, Excess::Pings));
        assert_eq!(passing(&frame(8, 0, &[0; 4])), (WINDOW_UPDATES_FREE_MAX, Excess::WindowUpdates));
        assert_eq!(passing(&frame(0xfa, 0, &[])), (UNKNOWN_FRAMES_MAX, Excess::Unknown));
    }

    #[test]
    fn data_and_heads_have_none() {
        let mut watch = begun();
        for _ in 0..10_000 {
            watch.received(&frame(0, 0, b"x"), 0).expect("data");
            watch.received(&frame(0, PADDED, &[1, 7, 0]), 0).expect("padded data");
            watch.received(&frame(0, END_STREAM, &[]), 0).expect("an end");
            watch.received(&frame(1, 4, b"head"), 0).expect("a head");
        }
    }

    #[test]
    fn t03_a_block_is_bounded_in_frames_and_bytes() {
        let mut watch = begun();
        watch.received(&frame(1, 0, b"x"), 0).expect("a head");
        for _ in 0..BLOCK_CONTINUATIONS_MAX {
            watch.received(&frame(9, 0, b"x"), 0).expect("a part");
        }
        assert_eq!(watch.received(&frame(9, 0, b"x"), 0), Err(Excess::Continuations));
        let mut watch = begun();
        watch.received(&frame(1, 0, &[0; 16_384]), 0).expect("a head");
        for _ in 1..BLOCK_BYTES_MAX / 16_384 {
            watch.received(&frame(9, 0, &[0; 16_384]), 0).expect("a part");
        }
        assert_eq!(watch.received(&frame(9, 0, b"x"), 0), Err(Excess::BlockBytes));
    }

    #[test]
    fn a_burst_is_forgiven_and_a_flood_is_not() {
        let ping = frame(6, 0, &[0; 8]);
        let mut watch = begun();
        (0..PINGS_MAX).for_each(|_| watch.received(&ping, 5).expect("a burst"));
        (0..PINGS_MAX / 2).for_each(|_| watch.received(&ping, 6).expect("half is forgiven"));
        assert_eq!(watch.received(&ping, 6), Err(Excess::Pings));
        let mut watch = begun();
        (0..1_000)
            .for_each(|second| (0..PINGS_MAX / 2).for_each(|_| watch.received(&ping, second).expect("a steady rate")));
    }

    #[test]
    fn what_is_sent_pays_for_windows() {
        let update = frame(8, 0, &[0; 4]);
        let mut watch = begun();
        for _ in 0..WINDOW_UPDATES_FREE_MAX * 10 {
            watch.sent(&frame(0, 0, b"data"), 0).expect("our own");
            watch.received(&update, 0).expect("one for the stream");
            watch.received(&update, 0).expect("one for the connection");
        }
    }

    #[test]
    fn t02_resets_that_we_were_made_to_send_count() {
        let (mut watch, provoked) = (begun(), frame(3, 0, &1_u32.to_be_bytes()));
        for code in [0_u32, 2, 8] {
            (0..10_000).for_each(|_| watch.sent(&frame(3, 0, &code.to_be_bytes()), 0).expect("our own end"));
        }
        let sent = (0..1_000).take_while(|_| watch.sent(&provoked, 0).is_ok()).count();
        assert_eq!(sent, PROVOKED_RESETS_MAX as usize);
        let mut watch = begun();
        let sent = (0..10_000).take_while(|turn| watch.sent(&provoked, *turn).is_ok()).count();
        assert_eq!(sent, PROVOKED_RESETS_LIFE_MAX as usize);
    }

    #[test]
    fn the_first_frame_is_settings_behind_the_preface() {
        let mut watch = Watch::new(PREFACE_BYTES);
        watch.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n", 0).expect("the preface");
        watch.received(&[&b"\r\n"[..], &frame(4, 0, &[])].concat(), 0).expect("settings");
        assert!(!watch.is_settled());
        watch.received(&frame(4, 1, &[]), 0).expect("an acknowledgement");
        assert!(watch.is_settled());
        assert_eq!(Watch::new(0).received(&frame(6, 0, &[0; 8]), 0), Err(Excess::NoSettings));
        assert_eq!(Watch::new(0).received(&frame(4, 1, &[]), 0), Err(Excess::NoSettings));
    }
}
