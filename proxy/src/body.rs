//! The body pump: one for every direction, framing and integration.
//!
//! A body is decoded where it lies (`BodyReader`) and written anew (`Framed`), one send under way at a time: the slower
//! side sets the pace, and memory stays at one buffer received and one being sent, whatever the body's length. Towards a stream of
//! HTTP/2 it is one in all: its client may have shut the windows of a hundred of them.

use std::io;

use codec::grpc::Messages;
use codec::head::Framing;
use codec::http1::framing::{ChunkDecoder, ChunkStep};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::write;
use policy::fault::Fault;

use crate::grpc::Translation;
use crate::http2::{self, Trailers};
use crate::io::{Group, Outgoing, RBuf, is_scarce, recycle, vector};
use crate::limits::COPY_BYTES_MAX;
use crate::link::Link;
use crate::pace::Pace;

/// Where a body's end is, and how much of it was read.
pub struct BodyReader {
    state: State,
    /// Payload bytes so far.
    pub received: u64,
    /// Trailer fields that were read and dropped (rows F24, F25).
    pub trailers_dropped: u16,
    /// What few bodies need: those of streams alone, which are in a box each.
    extra: Option<Box<Extra>>,
}

enum Extra {
    /// Trailer lines of chunks are kept: they go on.
    Lines(Vec<u8>),
    /// They have.
    Trailers(Option<Box<Trailers>>),
    /// Each message of gRPC is bounded, and the body is not.
    Messages(Messages),
}

enum State {
    Done,
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose,
    /// As its stream has it: the end is the stream's. The bytes that were announced and have not come, if any were.
    Stream(Option<u64>),
    /// Likewise, and what was received last is the end of it.
    StreamEnd,
}

/// Decoded payload of one received buffer.
#[derive(Default)]
struct Batch {
    pieces: [Option<RBuf>; PIECES_MAX],
    count: usize,
    /// Instead of pieces, where there were too many of them.
    copied: Vec<u8>,
    length: usize,
}

const PIECES_MAX: usize = 4;

impl BodyReader {
    /// A body of this framing, unread.
    pub fn new(framing: Framing) -> BodyReader {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(ChunkDecoder::new()),
            Framing::UntilClose => State::UntilClose,
        };
        BodyReader { state, received: 0, trailers_dropped: 0, extra: None }
    }

    /// A body that comes from this link: the end of a stream is shown by the stream, whatever its head says.
    pub fn of(framing: Framing, from: &Link) -> BodyReader {
        let announced = match framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked | Framing::UntilClose => None,
        };
        let state = if from.has_ended() { State::Done } else { State::Stream(announced) };
        match (framing, from) {
            (Framing::None, _) | (_, Link::Sock(_)) => BodyReader::new(framing),
            (_, Link::Stream(_)) => BodyReader { state, ..BodyReader::new(Framing::None) },
        }
    }

    /// The same; trailers that come in chunks are kept, if there is somebody who can be told of them.
    pub fn keeping_trailers(mut self, does: bool) -> BodyReader {
        if does && matches!(self.state, State::Chunked(_)) {
            self.extra = Some(Box::new(Extra::Lines(Vec::new())));
        }
        self
    }

    /// From now on the most bytes of the body are those of each of its messages: a stream of gRPC has no end that anybody knows.
    pub fn bound_messages(&mut self) {
        self.extra = Some(Box::new(Extra::Messages(Messages::default())));
    }

    fn has_trailers(&self) -> bool {
        matches!(self.extra.as_deref(), Some(Extra::Trailers(Some(_))))
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        match self.extra.as_deref_mut() {
            Some(Extra::Trailers(trailers)) => trailers.take(),
            _ => None,
        }
    }

    /// The chunks have ended.
    fn end_of_chunks(&mut self, trailers: u16) {
        self.state = State::Done;
        self.trailers_dropped = trailers;
        if let Some(Extra::Lines(lines)) = self.extra.as_deref_mut() {
            let kept = http2::trailers(lines);
            self.trailers_dropped = trailers.saturating_sub(kept.len() as u16);
            self.extra = Some(Box::new(Extra::Trailers(Some(kept).filter(|kept| !kept.is_empty()).map(Box::new))));
        }
    }

    /// Whether it was read to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes that are still to come, where the framing says so.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(length) => Some(length),
            State::Stream(announced) => announced,
            State::Chunked(_) | State::UntilClose | State::StreamEnd => None,
        }
    }

    /// Bytes that were read, and those that the chunk under way has announced: what is too long is known before it has come. Of
    /// messages, those of the longest one.
    fn announced(&self) -> u64 {
        if let Some(Extra::Messages(messages)) = self.extra.as_deref() {
            return messages.longest().into();
        }
        match &self.state {
            State::Chunked(decoder) => self.received.saturating_add(decoder.announced()),
            _ => self.received,
        }
    }

    /// The stream ended: fine only where that is the framing.
    fn end_of_stream(&mut self) -> bool {
        // Whether a stream has brought what it announced is checked where its frames are read.
        let fine = matches!(self.state, State::UntilClose | State::Stream(_) | State::StreamEnd | State::Done);
        if fine {
            self.state = State::Done;
        }
        fine
    }

    /// Takes what belongs to the body out of `inflow`.
    fn decode(&mut self, inflow: &mut RBuf, batch: &mut Batch) -> Result<(), Misbehaviour> {
        match &mut self.state {
            State::Done => {}
            State::UntilClose => batch.push(std::mem::replace(inflow, RBuf::empty())),
            State::Stream(announced) => {
                if let Some(announced) = announced {
                    *announced = announced.saturating_sub(inflow.len() as u64);
                }
                batch.push(std::mem::replace(inflow, RBuf::empty()));
            }
            State::StreamEnd => {
                batch.push(std::mem::replace(inflow, RBuf::empty()));
                self.state = State::Done;
            }
            State::Length(remaining) => {
                let count = inflow.len().min(usize::try_from(*remaining).unwrap_or(usize::MAX));
                *remaining -= count as u64;
                batch.push(inflow.split_to(count));
                if *remaining == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunked(decoder) => {
                let lines = match self.extra.as_deref_mut() {
                    Some(Extra::Lines(lines)) => Some(lines),
                    _ => None,
                };
                if decode_chunks(decoder, lines, inflow, batch)? {
                    let trailers = decoder.trailers_dropped();
                    self.end_of_chunks(trailers);
                }
            }
        }
        if let Some(Extra::Messages(messages)) = self.extra.as_deref_mut() {
            batch.parts().for_each(|part| messages.read(part));
        }
        self.received += batch.length as u64;
        Ok(())
    }

    /// Reads the whole body, or what is left of it, for a rule that looks into it.
    pub async fn gather(
        &mut self,
        (from, inflow): (&Link, &mut RBuf),
        (bytes_max, mut pace): (u64, Pace),
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        loop {
            let mut batch = Batch::default();
            self.decode(inflow, &mut batch).map_err(Broken::SourceMisbehaved)?;
            if self.announced() > bytes_max {
                return Err(Broken::TooLarge);
            }
            batch.copy_to(out);
            if self.is_done() {
                return Ok(());
            }
            self.receive((from, inflow, Group::Large), &mut pace).await?;
        }
    }

    /// Looks over what has arrived of a body that nobody reads, and throws it away: one that breaks its framing, or announces
    /// more than it may, is not answered as if it were whole.
    pub fn look_over(&mut self, inflow: &mut RBuf, bytes_max: Option<u64>) -> Result<(), Broken> {
        if !matches!(self.state, State::Chunked(_)) {
            return Ok(());
        }
        self.decode(inflow, &mut Batch::default()).map_err(Broken::SourceMisbehaved)?;
        if bytes_max.is_some_and(|most| self.announced() > most) { Err(Broken::TooLarge) } else { Ok(()) }
    }

    /// Throws away what has arrived; true if that was the rest.
    pub fn skip_arrived(&mut self, inflow: &mut RBuf) -> bool {
        self.decode(inflow, &mut Batch::default()).is_ok() && self.is_done()
    }

    /// Waits for more of the body.
    async fn receive(
        &mut self,
        (from, inflow, group): (&Link, &mut RBuf, Group),
        pace: &mut Pace,
    ) -> Result<(), Broken> {
        match pace.receive(from, group, self.received).await {
            Ok(bytes) if bytes.is_empty() && !self.end_of_stream() => Err(Broken::SourceClosed),
            Ok(bytes) => {
                *inflow = bytes;
                self.note_end(from);
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(Broken::SourceStalled),
            Err(_) if from.has_excessive_trailers() => Err(Broken::SourceMisbehaved(Misbehaviour::TrailersTooLarge)),
            Err(_) => Err(Broken::SourceClosed),
        }
    }

    /// A stream says with its last bytes that they are the last; a socket does not.
    fn note_end(&mut self, from: &Link) {
        if matches!(self.state, State::Stream(_)) && from.has_ended() {
            self.state = State::StreamEnd;
        }
    }

    /// Reads and throws away at most `bytes_max` bytes; true when the body is at its end.
    pub async fn drain(&mut self, from: &Link, inflow: &mut RBuf, bytes_max: u64) -> bool {
        let limit = self.received.saturating_add(bytes_max);
        loop {
            let mut batch = Batch::default();
            if self.decode(inflow, &mut batch).is_err() || self.announced() > limit {
                return false;
            }
            if self.is_done() {
                return true;
            }
            match from.recv(Group::Large).await {
                Ok(bytes) if !bytes.is_empty() => *inflow = bytes,
                Ok(_) => return self.end_of_stream(),
                Err(_) => return false,
            }
        }
    }
}

/// True at the end of the body.
fn decode_chunks(
    decoder: &mut ChunkDecoder,
    mut lines: Option<&mut Vec<u8>>,
    inflow: &mut RBuf,
    batch: &mut Batch,
) -> Result<bool, Misbehaviour> {
    while !inflow.is_empty() {
        let step = match &mut lines {
            None => decoder.next(inflow)?,
            Some(lines) => decoder.next_with(inflow, |byte| lines.push(byte))?,
        };
        match step {
            ChunkStep::NeedMore => *inflow = RBuf::empty(),
            ChunkStep::Data { start, end } => {
                inflow.advance(start);
                batch.push(inflow.split_to(end - start));
            }
            ChunkStep::End { consumed } => {
                inflow.advance(consumed);
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Batch {
    fn push(&mut self, piece: RBuf) {
        if piece.is_empty() {
            return;
        }
        self.length += piece.len();
        if self.count < PIECES_MAX && self.copied.is_empty() {
            self.pieces[self.count] = Some(piece);
            self.count += 1;
            return;
        }
        // Many small chunks in one buffer: a copy costs less than as many sends.
        if self.copied.is_empty() {
            self.copied = vector();
        }
        for earlier in self.pieces[..self.count].iter_mut().filter_map(Option::take) {
            self.copied.extend_from_slice(&earlier);
        }
        self.count = 0;
        self.copied.extend_from_slice(&piece);
    }

    /// What it is made of, in its order.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let pieces = self.pieces[..self.count].iter().flatten();
        pieces.map(|piece| &**piece).chain(std::iter::once(&*self.copied))
    }

    fn copy_to(&mut self, out: &mut Vec<u8>) {
        self.parts().for_each(|part| out.extend_from_slice(part));
        recycle(std::mem::take(&mut self.copied));
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is: a length was announced, or the end of the connection is its end.
    Plain,
    /// In chunks.
    Chunked,
}

/// How a transfer broke, and on which side.
#[derive(Debug)]
pub enum Broken {
    /// The sender of the body broke its framing.
    SourceMisbehaved(Misbehaviour),
    /// It did so before anything was sent, the head included.
    SourceMisbehavedAtOnce(Misbehaviour),
    /// The sender closed before the end.
    SourceClosed,
    /// The sender paused for too long, or was too slow.
    SourceStalled,
    /// The body is longer than allowed.
    TooLarge,
    /// The receiver closed or reset.
    SinkClosed,
    /// The receiver took nothing for too long, or too little.
    SinkStalled,
}

impl Broken {
    /// The fault of a request's body on its way to a backend.
    pub fn by_client(&self) -> Fault {
        match self {
            Broken::SourceMisbehaved(how) | Broken::SourceMisbehavedAtOnce(how) => Fault::ClientMisbehaved(*how),
            Broken::SourceClosed => Fault::ClientGone,
            Broken::SourceStalled => Fault::ClientStalled,
            Broken::TooLarge => Fault::BodyTooLarge,
            Broken::SinkClosed | Broken::SinkStalled => Fault::ClosedBeforeAnswer,
        }
    }

    /// The fault of an answer's body on its way to a client.
    pub fn by_backend(&self) -> Fault {
        match self {
            Broken::SourceMisbehaved(how) | Broken::SourceMisbehavedAtOnce(how) => Fault::BadAnswer(*how),
            Broken::SourceClosed | Broken::TooLarge => Fault::AnswerCutShort,
            Broken::SourceStalled => Fault::AnswerStalled,
            Broken::SinkClosed => Fault::ClientGone,
            Broken::SinkStalled => Fault::ClientReadsSlowly,
        }
    }
}

/// One transfer: from whom, to whom, in which form.
pub struct Pump<'a> {
    /// Reads the body.
    pub reader: &'a mut BodyReader,
    /// Where it comes from.
    pub from: &'a Link,
    /// What was already received from there.
    pub inflow: &'a mut RBuf,
    /// Where it goes.
    pub to: &'a Link,
    /// How slow the sender may be, and the receiver.
    pub paces: (Pace, Pace),
    /// The most bytes, if there is a limit.
    pub bytes_max: Option<u64>,
}

/// Where a transfer stands. Kept apart from the pump, so that a pump may be dropped and another goes on: a request may be
/// answered while its body is still on the way.
pub struct Transfer {
    head: Option<Vec<u8>>,
    written: Framed,
    pending: Option<Outgoing>,
    /// Nothing follows what is pending.
    is_last: bool,
    ended: bool,
    /// Whether trailers of a stream are written behind the last chunk.
    has_tail: bool,
    /// What the body becomes on its way, if anything.
    translation: Option<Box<Translation>>,
}

impl Transfer {
    /// Sends `head` and then a body in this form.
    pub fn new(head: Vec<u8>, encoding: Encoding) -> Transfer {
        let written = Framed { encoding, owes_line: false };
        let (is_last, ended, has_tail) = (false, false, false);
        Transfer { head: Some(head), written, pending: None, is_last, ended, has_tail, translation: None }
    }

    /// The same, and trailers of a stream go behind the last chunk, if they do: to somebody who has said that trailers are read.
    pub fn with_tail(self, has_tail: bool) -> Transfer {
        Transfer { has_tail, ..self }
    }

    /// The same, with another body in place of the one that comes.
    pub fn translated(self, translation: Option<Translation>) -> Transfer {
        Transfer { translation: translation.map(Box::new), ..self }
    }
}

impl Pump<'_> {
    /// Sends the head and the whole body, or what is left of them. The first send is started with whatever has arrived, so
    /// that a small message leaves in one piece. Dropping the future loses nothing.
    pub async fn run(mut self, transfer: &mut Transfer) -> Result<(), Broken> {
        loop {
            if transfer.pending.is_some() {
                self.sendable().await?;
                match transfer.pending.take() {
                    Some(outgoing) if transfer.is_last => self.to.start_last(outgoing),
                    Some(outgoing) => self.to.start_send(outgoing),
                    None => {}
                }
            }
            if transfer.ended {
                self.to.finish(self.from.take_trailers().or_else(|| self.reader.take_trailers()));
                return Ok(());
            }
            if !self.reader.is_done() && transfer.head.is_none() && self.inflow.is_empty() {
                if self.to.is_stream() {
                    self.sendable().await?;
                }
                self.reader.receive((self.from, self.inflow, self.to.share()), &mut self.paces.0).await?;
            }
            self.fill(transfer)?;
        }
    }

    /// Turns what has arrived into the next send.
    fn fill(&mut self, transfer: &mut Transfer) -> Result<(), Broken> {
        if self.reader.is_done() && transfer.head.is_none() {
            let mut rest = Batch::default();
            self.translate(&mut transfer.translation, &mut rest)?;
            transfer.pending = if rest.length > 0 {
                Some(transfer.written.frame(vector(), rest, true))
            } else {
                let trailers = if transfer.has_tail { self.from.take_trailers() } else { None };
                transfer.written.tail(trailers.as_deref()).map(Outgoing::new)
            };
            transfer.ended = true;
            return Ok(());
        }
        let mut batch = Batch::default();
        self.reader.decode(self.inflow, &mut batch).map_err(|how| match transfer.head {
            Some(_) => Broken::SourceMisbehavedAtOnce(how),
            None => Broken::SourceMisbehaved(how),
        })?;
        if self.bytes_max.is_some_and(|most| self.reader.announced() > most) {
            return Err(Broken::TooLarge);
        }
        let done = self.reader.is_done();
        self.translate(&mut transfer.translation, &mut batch)?;
        if transfer.head.is_some() || batch.length > 0 || done {
            let first = transfer.head.take().unwrap_or_else(vector);
            transfer.pending = Some(transfer.written.frame(first, batch, done)).filter(|outgoing| !outgoing.is_empty());
            transfer.is_last = done && !self.from.has_trailers() && !self.reader.has_trailers();
        }
        Ok(())
    }

    /// Puts what it becomes in place of what has arrived; at the end, with what belongs there.
    fn translate(&self, by: &mut Option<Box<Translation>>, batch: &mut Batch) -> Result<(), Broken> {
        let Some(translation) = by else { return Ok(()) };
        let done = self.reader.is_done();
        let mut bytes = Vec::with_capacity(batch.length);
        batch.copy_to(&mut bytes);
        let trailers = if done { self.from.take_trailers() } else { None };
        let malformed = Broken::SourceMisbehaved(Misbehaviour::TextMalformed);
        let turned = translation.turn(bytes, trailers).ok().filter(|_| !done || translation.is_whole());
        let turned = turned.ok_or(malformed)?;
        *batch = Batch { length: turned.len(), copied: turned, ..Batch::default() };
        if done {
            *by = None;
        }
        Ok(())
    }

    async fn sendable(&mut self) -> Result<(), Broken> {
        if self.to.is_sendable().map_err(|_| Broken::SinkClosed)? {
            return Ok(());
        }
        let outcome = self.paces.1.flush(self.to, self.reader.received).await;
        outcome.map_err(|error| if is_timeout(&error) { Broken::SinkStalled } else { Broken::SinkClosed })
    }
}

/// Whether a wait ended because its deadline passed.
pub fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// Bytes of a last chunk before its trailers.
const LAST_SIZE: usize = b"0\r\n".len();

/// A body being written; remembers the line end that a large chunk still needs.
struct Framed {
    encoding: Encoding,
    owes_line: bool,
}

impl Framed {
    fn frame(&mut self, mut out: Vec<u8>, mut batch: Batch, done: bool) -> Outgoing {
        let chunked = self.encoding == Encoding::Chunked;
        if std::mem::take(&mut self.owes_line) {
            out.extend_from_slice(write::CHUNK_END);
        }
        if chunked && batch.length > 0 {
            write::chunk_head(&mut out, batch.length);
        }
        if batch.length <= COPY_BYTES_MAX || batch.count == 0 || is_scarce(Group::Large) || is_scarce(Group::Small) {
            batch.copy_to(&mut out);
            if chunked && batch.length > 0 {
                out.extend_from_slice(write::CHUNK_END);
            }
            if chunked && done {
                out.extend_from_slice(write::LAST_CHUNK);
                self.encoding = Encoding::Plain;
            }
            return Outgoing::new(out);
        }
        let mut outgoing = Outgoing::new(out);
        for piece in batch.pieces.into_iter().flatten() {
            outgoing.push(piece).expect("a batch has no more pieces than a send");
        }
        self.owes_line = chunked;
        outgoing
    }

    /// What ends a chunked body whose last chunk was large, or had trailers behind it.
    fn tail(&mut self, trailers: Option<&Trailers>) -> Option<Vec<u8>> {
        if self.encoding != Encoding::Chunked {
            return None;
        }
        let mut out = vector();
        if self.owes_line {
            out.extend_from_slice(write::CHUNK_END);
        }
        out.extend_from_slice(&write::LAST_CHUNK[..LAST_SIZE]);
        for (name, value) in trailers.into_iter().flatten() {
            write::field(&mut out, name.as_str().as_bytes(), value.as_bytes());
        }
        write::end(&mut out);
        Some(out)
    }
}
