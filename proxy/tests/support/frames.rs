//! HTTP/2 (RFC 9113) as tests need it: frames of any shape, and an end of a connection that sends what it is told and watches
//! closely what it gets.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::hpack::{Block, Decoder, Field};
use crate::support::PATIENCE;
use crate::support::shown;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const PRIORITY_UPDATE: u8 = 16;
    /// Nobody has defined it.
    pub const UNKNOWN: u8 = 0xbb;
}

/// Flags of frames.
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
    /// A whole request without a body.
    pub const WHOLE: u8 = END_STREAM | END_HEADERS;
}

/// Settings.
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// Names of error codes (section 7), by their numbers.
pub const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// What a code is called.
pub fn code_name(code: u32) -> String {
    CODES.get(code as usize).map_or_else(|| format!("{code:#x}"), |name| (*name).to_owned())
}

/// Octets of a window or of a frame where no setting says otherwise.
pub const WINDOW: i64 = 65_535;
pub const FRAME_MAX: usize = 16_384;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    /// With the reserved bit.
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame { kind, flags, stream, payload: payload.into() }
}

pub fn data(stream: u32, flags: u8, payload: impl AsRef<[u8]>) -> Frame {
    frame(kind::DATA, flags, stream, payload.as_ref())
}

pub fn headers(stream: u32, flags: u8, block: &Block) -> Frame {
    frame(kind::HEADERS, flags, stream, &*block.0)
}

pub fn continuation(stream: u32, flags: u8, fragment: &[u8]) -> Frame {
    frame(kind::CONTINUATION, flags, stream, fragment)
}

pub fn priority(stream: u32, on: u32, weight: u8) -> Frame {
    frame(kind::PRIORITY, 0, stream, [&on.to_be_bytes()[..], &[weight]].concat())
}

pub fn reset(stream: u32, code: u32) -> Frame {
    frame(kind::RST_STREAM, 0, stream, code.to_be_bytes())
}

pub fn settings(list: &[(u16, u32)]) -> Frame {
    let one = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(kind::SETTINGS, 0, 0, list.iter().flat_map(one).collect::<Vec<u8>>())
}

pub fn ping(payload: [u8; 8]) -> Frame {
    frame(kind::PING, 0, 0, payload)
}

pub fn goaway(last: u32, code: u32, debug: &[u8]) -> Frame {
    frame(kind::GOAWAY, 0, 0, [&last.to_be_bytes()[..], &code.to_be_bytes(), debug].concat())
}

pub fn window_update(stream: u32, by: u32) -> Frame {
    frame(kind::WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

impl Frame {
    /// With padding, of zeros.
    pub fn padded(mut self, length: u8) -> Frame {
        self.flags |= flag::PADDED;
        self.payload.insert(0, length);
        self.payload.extend(vec![0; usize::from(length)]);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes(), &self.payload].concat()
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn number(&self) -> u32 {
        self.payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

/// The frames' bytes, one behind the other.
pub fn bytes_of(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// What carries the bytes.
pub enum Carrier {
    Plain(TcpStream),
    Sealed(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Carrier {
    /// A plain connection.
    pub fn connect(address: &str) -> Carrier {
        let wire = TcpStream::connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        wire.set_nodelay(true).expect("a socket");
        wire.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Carrier::Plain(wire)
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Carrier::Plain(wire) => wire,
            Carrier::Sealed(stream) => &stream.sock,
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Carrier::Plain(wire) => wire.read(room),
            Carrier::Sealed(stream) => stream.read(room),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Carrier::Plain(wire) => wire.write_all(bytes),
            Carrier::Sealed(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// What came of a stream so far.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Interim answers left out.
    pub status: Option<u16>,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    /// `END_STREAM` came.
    pub ended: bool,
    /// `RST_STREAM` came, with this code.
    pub reset: Option<u32>,
    /// Octets of DATA that we have allowed and not got, the connection's left out.
    window: i64,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// The client's end of a connection. It acknowledges settings and pings; windows are left to whoever uses it.
pub struct Peer {
    carrier: Carrier,
    held: Vec<u8>,
    decoder: Decoder,
    /// The answers, by their streams.
    pub answers: BTreeMap<u32, Answer>,
    /// Codes of the GOAWAY frames so far, each with the last stream.
    pub goaways: Vec<(u32, u32)>,
    /// Why reading ended.
    pub closed: Option<String>,
    /// What it sent instead of frames.
    pub foreign: Vec<u8>,
    /// What the other side did that RFC 9113 forbids.
    pub faults: Vec<String>,
    /// The settings of the other side.
    pub settings: BTreeMap<u16, u32>,
    /// Its acknowledgements of our settings.
    pub settings_acks: usize,
    /// Its answers to our pings.
    pub pongs: Vec<[u8; 8]>,
    /// Credit that it has given, by stream.
    pub credit: BTreeMap<u32, u64>,
    /// Frames read so far.
    pub frames: usize,
    /// Whether settings and pings of the other side are answered.
    pub polite: bool,
    /// How long a read waits.
    pub patience: Duration,
    /// What we have allowed.
    initial_window: i64,
    window: i64,
    frame_max: usize,
    next: u32,
}

impl Peer {
    pub fn new(carrier: Carrier) -> Peer {
        Peer {
            carrier,
            held: Vec::new(),
            decoder: Decoder::default(),
            answers: BTreeMap::new(),
            goaways: Vec::new(),
            closed: None,
            foreign: Vec::new(),
            faults: Vec::new(),
            settings: BTreeMap::new(),
            settings_acks: 0,
            pongs: Vec::new(),
            credit: BTreeMap::new(),
            frames: 0,
            polite: true,
            patience: PATIENCE,
            initial_window: WINDOW,
            window: WINDOW,
            frame_max: FRAME_MAX,
            next: 1,
        }
    }

    /// Sends the preface with these settings, and waits until both sides know each other's.
    pub fn greet(&mut self, list: &[(u16, u32)]) -> Result<(), String> {
        self.send_bytes(PREFACE);
        self.set(list);
        self.until("settings and their acknowledgement", |peer| !peer.settings.is_empty() && peer.settings_acks > 0)
    }

    /// Sends settings, and holds the other side to them from now on where they allow less.
    pub fn set(&mut self, list: &[(u16, u32)]) {
        for (name, value) in list {
            match *name {
                setting::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(*value) - self.initial_window;
                    self.initial_window += change;
                    self.answers.values_mut().for_each(|answer| answer.window += change);
                }
                setting::HEADER_TABLE_SIZE => self.decoder.limit = *value as usize,
                setting::MAX_FRAME_SIZE => self.frame_max = *value as usize,
                _ => {}
            }
        }
        self.send([settings(list)]);
    }

    /// Sends frames in one write. Whether anybody takes them is seen at the next read.
    pub fn send(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut bytes = Vec::new();
        for frame in frames {
            let id = frame.stream & 0x7fff_ffff;
            match frame.kind {
                kind::WINDOW_UPDATE if id == 0 => self.window += i64::from(frame.number() & 0x7fff_ffff),
                kind::WINDOW_UPDATE => {
                    if let Some(answer) = self.answers.get_mut(&id) {
                        answer.window += i64::from(frame.number() & 0x7fff_ffff);
                    }
                }
                // What is said of the stream afterwards is an answer to this.
                kind::HEADERS | kind::DATA | kind::RST_STREAM | kind::PRIORITY => {
                    let fresh = Answer { window: self.initial_window, ..Answer::default() };
                    self.answers.entry(id).or_insert(fresh);
                    if frame.kind == kind::HEADERS {
                        self.next = self.next.max(id.saturating_add(2) | 1);
                    }
                }
                _ => {}
            }
            bytes.extend(frame.bytes());
        }
        self.send_bytes(&bytes);
    }

    /// Sends bytes in one write.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        // Where the other side has closed, reading tells why.
        let _ = self.carrier.write(bytes);
    }

    /// FIN.
    pub fn finish(&mut self) {
        if let Carrier::Sealed(stream) = &mut self.carrier {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.carrier.socket().shutdown(Shutdown::Write);
    }

    pub fn socket(&self) -> &TcpStream {
        self.carrier.socket()
    }

    /// The next stream of ours that nobody has used.
    pub fn next_stream(&mut self) -> u32 {
        self.next
    }

    /// Allows a stream to go on where it has little left.
    pub fn open_windows(&mut self, stream: u32) {
        if self.window < WINDOW / 2 {
            self.send([window_update(0, up_to_window(self.window))]);
        }
        let window = self.answers.get(&stream).filter(|answer| !answer.ended).map(|answer| answer.window);
        if let Some(window) = window.filter(|window| *window < WINDOW / 2) {
            self.send([window_update(stream, up_to_window(window))]);
        }
    }

    /// The answer of a stream, as far as it has come.
    pub fn answer(&self, stream: u32) -> Answer {
        self.answers.get(&stream).cloned().unwrap_or_default()
    }

    /// Reads until something is so. An end of the connection before is a failure.
    pub fn until(&mut self, what: &str, is: impl Fn(&Peer) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        while !is(self) {
            if let Some(why) = &self.closed {
                return Err(format!("{why}, goaways {:?}, instead of {what}", self.goaways));
            }
            self.read_frame(deadline).map_err(|why| format!("{why} instead of {what}"))?;
        }
        Ok(())
    }

    /// Takes what has come already; waits for nothing.
    pub fn glance(&mut self) {
        while self.closed.is_none() && self.read_frame(Instant::now() + Duration::from_micros(100)).is_ok() {}
    }

    /// Reads until the connection ends.
    pub fn until_closed(&mut self) -> Result<(), String> {
        self.until("a close", |peer| peer.closed.is_some())
    }

    /// Waits until the other side has gone through everything that was sent.
    pub fn round_trip(&mut self) -> Result<(), String> {
        // The first may come before what a stream has to say, the second may not.
        for turn in 0..2 {
            let payload = [b'r', b't', turn, 0, 0, 0, 0, self.pongs.len() as u8];
            self.send([ping(payload)]);
            self.until("a PING's acknowledgement", |peer| peer.pongs.contains(&payload))?;
        }
        Ok(())
    }

    /// Reads one frame, and takes it to heart. `closed` tells of an end.
    fn read_frame(&mut self, deadline: Instant) -> Result<(), String> {
        let Some(frame) = self.next_frame(deadline)? else { return Ok(()) };
        self.frames += 1;
        if let Err(fault) = self.take(&frame, deadline) {
            self.faults.push(format!("{fault}: {frame:?}"));
        }
        Ok(())
    }

    fn next_frame(&mut self, deadline: Instant) -> Result<Option<Frame>, String> {
        if !self.fill(9, deadline)? {
            return Ok(None);
        }
        let head = &self.held[..9];
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if self.frames == 0 && kind != kind::SETTINGS {
            while self.fill(self.held.len() + 1, deadline)? {}
            self.foreign = std::mem::take(&mut self.held);
            self.closed = Some(format!("closed after `{}`", shown(&self.foreign)));
            return Ok(None);
        }
        if !self.fill(9 + length, deadline)? {
            return Ok(None);
        }
        let payload = self.held[9..9 + length].to_vec();
        self.held.drain(..9 + length);
        Ok(Some(Frame { kind, flags, stream, payload }))
    }

    /// Whether so many bytes are there; if not, the connection has ended.
    fn fill(&mut self, length: usize, deadline: Instant) -> Result<bool, String> {
        let mut room = [0; 16 * 1024];
        while self.held.len() < length {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("silence after {} frames", self.frames));
            }
            self.carrier.socket().set_read_timeout(Some(left)).expect("a socket");
            match self.carrier.read(&mut room) {
                Ok(0) => {
                    self.closed = Some("closed".into());
                    return Ok(false);
                }
                Ok(count) => self.held.extend_from_slice(&room[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => {
                    self.closed = Some(error.to_string());
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn take(&mut self, frame: &Frame, deadline: Instant) -> Result<(), String> {
        let stream = frame.stream;
        let none = [kind::SETTINGS, kind::PING, kind::GOAWAY].contains(&frame.kind);
        if (none && stream != 0) || (!none && stream == 0 && frame.kind != kind::WINDOW_UPDATE) {
            return Err("a frame on a stream where it has no place".into());
        }
        if frame.payload.len() > self.frame_max {
            return Err(format!("{} octets in a frame", frame.payload.len()));
        }
        match frame.kind {
            kind::DATA => self.take_data(frame),
            kind::HEADERS => self.take_headers(frame, deadline),
            kind::RST_STREAM if frame.payload.len() == 4 => match self.answers.get_mut(&stream) {
                Some(answer) => {
                    answer.reset.get_or_insert(frame.number());
                    Ok(())
                }
                None => Err("a reset of a stream that is none".into()),
            },
            kind::SETTINGS => self.take_settings(frame),
            kind::PING if frame.payload.len() == 8 => {
                let payload = *frame.payload.first_chunk().expect("eight octets");
                if frame.is(flag::ACK) {
                    self.pongs.push(payload);
                } else if self.polite {
                    self.send([Frame { flags: flag::ACK, ..ping(payload) }]);
                }
                Ok(())
            }
            kind::GOAWAY if frame.payload.len() >= 8 => {
                let code = Frame { payload: frame.payload[4..].to_vec(), ..frame.clone() }.number();
                if self.goaways.last().is_some_and(|(_, last)| *last < frame.number()) {
                    self.faults.push("the last stream of a GOAWAY has grown".into());
                }
                self.goaways.push((code, frame.number()));
                Ok(())
            }
            kind::WINDOW_UPDATE if frame.payload.len() == 4 && frame.number() > 0 => {
                *self.credit.entry(stream).or_default() += u64::from(frame.number());
                Ok(())
            }
            kind::PRIORITY | kind::RST_STREAM | kind::PING | kind::GOAWAY | kind::WINDOW_UPDATE => {
                Err("malformed".into())
            }
            kind::CONTINUATION | kind::PUSH_PROMISE => Err("a frame that nobody asked for".into()),
            _ => Ok(()),
        }
    }

    fn take_data(&mut self, frame: &Frame) -> Result<(), String> {
        let length = i64::try_from(frame.payload.len()).expect("a frame is short");
        self.window -= length;
        let Some(answer) = self.answers.get_mut(&frame.stream) else { return Err("a stream that is none".into()) };
        let padding = if frame.is(flag::PADDED) { usize::from(*frame.payload.first().unwrap_or(&0)) + 1 } else { 0 };
        let start = usize::from(padding > 0);
        let end = (frame.payload.len() + start).checked_sub(padding).ok_or("more padding than there is")?;
        if answer.status.is_none() || answer.ended || answer.reset.is_some() {
            return Err("DATA where none can be".into());
        }
        answer.window -= length;
        answer.body.extend_from_slice(&frame.payload[start..end]);
        answer.ended = frame.is(flag::END_STREAM);
        if length > 0 && (answer.window < 0 || self.window < 0) {
            return Err(format!("windows of {} and {} are overrun", answer.window, self.window));
        }
        Ok(())
    }

    fn take_headers(&mut self, frame: &Frame, deadline: Instant) -> Result<(), String> {
        let mut payload = &*frame.payload;
        if frame.is(flag::PADDED) {
            let (padding, rest) = payload.split_first().ok_or("no padding's length")?;
            payload = rest.get(..rest.len().wrapping_sub(usize::from(*padding))).ok_or("more padding than there is")?;
        }
        if frame.is(flag::PRIORITY) {
            payload = payload.get(5..).ok_or("no priority")?;
        }
        let mut block = payload.to_vec();
        let mut last = frame.is(flag::END_HEADERS);
        while !last {
            let more = self.next_frame(deadline)?.ok_or("an end within a field block")?;
            if more.kind != kind::CONTINUATION || more.stream != frame.stream {
                return Err(format!("within a field block {more:?}"));
            }
            block.extend(&more.payload);
            last = more.is(flag::END_HEADERS);
        }
        let fields = self.decoder.decode(&block)?;
        let Some(answer) = self.answers.get_mut(&frame.stream) else { return Err("a stream that is none".into()) };
        if answer.ended || answer.reset.is_some() {
            return Err("HEADERS of a stream that has ended".into());
        }
        answer.ended = frame.is(flag::END_STREAM);
        if answer.status.is_some() {
            answer.trailers.clone_from(&fields);
            let fit = answer.ended && fields.iter().all(|(name, _)| !name.starts_with(':'));
            return if fit { well_named(&fields) } else { Err("trailers that are none".into()) };
        }
        let [(name, status), rest @ ..] = &*fields else { return Err("no fields".into()) };
        let status: u16 = if name == ":status" { status.parse().unwrap_or(0) } else { 0 };
        match status {
            100..=199 if !answer.ended && status != 101 => {}
            200..=599 => (answer.status, answer.fields) = (Some(status), rest.to_vec()),
            _ => return Err(format!("no status: {fields:?}")),
        }
        well_named(rest)
    }

    fn take_settings(&mut self, frame: &Frame) -> Result<(), String> {
        if frame.is(flag::ACK) {
            self.settings_acks += 1;
            return if frame.payload.is_empty() { Ok(()) } else { Err("an acknowledgement with a payload".into()) };
        }
        let (list, rest) = frame.payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err("settings of another size".into());
        }
        // Whoever sets nothing has greeted all the same.
        self.settings.entry(0).or_default();
        for [a, b, value @ ..] in list {
            let (name, value) = (u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value));
            let fits = match name {
                setting::ENABLE_PUSH => value == 0,
                setting::INITIAL_WINDOW_SIZE => value < 1 << 31,
                setting::MAX_FRAME_SIZE => (1 << 14..1 << 24).contains(&value),
                setting::ENABLE_CONNECT_PROTOCOL => value <= 1,
                _ => true,
            };
            if !fits {
                return Err(format!("setting {name} = {value}"));
            }
            self.settings.insert(name, value);
        }
        if self.polite {
            self.send([frame_ack()]);
        }
        Ok(())
    }
}

/// The acknowledgement of settings.
pub fn frame_ack() -> Frame {
    frame(kind::SETTINGS, flag::ACK, 0, [])
}

/// What a window wants to be as large as at the beginning.
fn up_to_window(window: i64) -> u32 {
    u32::try_from(WINDOW - window).expect("it is smaller")
}

/// What section 8.2 says of fields.
fn well_named(fields: &[Field]) -> Result<(), String> {
    const HOP: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (name, value) in fields {
        if name.is_empty() || !name.bytes().all(token) || HOP.contains(&&**name) {
            return Err(format!("a field named `{}`", name.escape_debug()));
        }
        if value.contains(['\0', '\r', '\n']) || value.trim_matches([' ', '\t']) != value {
            return Err(format!("{name}: `{}`", value.escape_debug()));
        }
    }
    Ok(())
}
