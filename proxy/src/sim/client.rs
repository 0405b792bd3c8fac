//! A client: it says what its plan says, reads as fast as its plan allows, and remembers what it saw and when.

use std::time::Duration;

use super::http::{self, Kind, Message};
use super::plan::{ClientPlan, Reading, Request, Step};
use super::token;
use crate::io::sim::{Conn, End, Wire, room};

/// A client waits so long for `100 Continue`.
const CONTINUE_PATIENCE: Duration = Duration::from_millis(300);

/// A client that reads nothing more, or waits for the gateway to close, leaves after this time by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer that a client has read whole.
pub struct Seen {
    /// The answer.
    pub answer: Message,
    /// When its first byte was read.
    pub from: Duration,
    /// When its last byte was read.
    pub at: Duration,
}

/// A client at work.
pub struct Client {
    /// What it is to do.
    pub plan: ClientPlan,
    number: usize,
    stream: Vec<u8>,
    /// Where each request ends in the stream.
    pub ends: Vec<usize>,
    /// None before it has connected, and where nobody listened.
    pub conn: Option<Conn>,
    step: usize,
    until: Option<Duration>,
    /// How much of the stream was taken.
    pub sent: usize,
    /// When the last byte of each request was sent.
    pub sent_at: Vec<Duration>,
    /// When the first byte of each request was sent.
    pub began_at: Vec<Duration>,
    received: Vec<u8>,
    reading_later: bool,
    /// Whole answers, in order.
    pub seen: Vec<Seen>,
    first_at: Option<Duration>,
    interims: usize,
    /// When the gateway took it in.
    pub accepted_at: Option<Duration>,
    /// When the gateway ended its side, which is seen later.
    pub let_go_at: Option<Duration>,
    /// When something was last sent or received.
    pub last: Duration,
    /// What the gateway sent cannot be read.
    pub nonsense: Option<String>,
    /// How the gateway ended the connection, and when that was seen.
    pub ended: Option<(End, Duration)>,
    /// It has nothing more to do.
    pub is_over: bool,
    /// It left before the gateway did, or said that it would not go on.
    pub left: Option<Duration>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(number: usize, plan: ClientPlan, requests: &[Request]) -> Client {
        let (mut stream, mut ends) = (Vec::new(), Vec::new());
        for id in &plan.requests {
            stream.extend_from_slice(&requests[*id].wire);
            ends.push(stream.len());
        }
        Client {
            plan,
            number,
            stream,
            ends,
            conn: None,
            step: 0,
            until: None,
            sent: 0,
            sent_at: Vec::new(),
            began_at: Vec::new(),
            received: Vec::new(),
            reading_later: false,
            seen: Vec::new(),
            first_at: None,
            interims: 0,
            accepted_at: None,
            let_go_at: None,
            last: Duration::ZERO,
            nonsense: None,
            ended: None,
            is_over: false,
            left: None,
        }
    }

    /// A timer of its own.
    pub fn timer(&mut self, wire: &mut Wire, requests: &[Request]) {
        if self.is_over {
            return;
        }
        if self.conn.is_none() {
            let rooms = (room(&mut wire.random), room(&mut wire.random));
            self.conn = wire.dial(self.plan.door, rooms);
            self.last = wire.now();
            wire.note(41, self.number as u64, 0, || {
                format!("client {} begins: {:?} {rooms:?}", self.number, self.conn)
            });
            if self.conn.is_none() {
                self.is_over = true;
                return;
            }
        }
        if matches!(self.plan.reading, Reading::Never(_)) && self.is_past(wire, PATIENCE) {
            self.plan.steps.clear();
            self.plan.steps.push(Step::Close);
            self.step = 0;
        }
        self.go_on(wire, requests);
    }

    /// A timer after which it reads on.
    pub fn read_on(&mut self, wire: &mut Wire, requests: &[Request]) {
        self.reading_later = false;
        self.read(wire, requests, true);
        self.go_on(wire, requests);
    }

    /// Something happened on its connection.
    pub fn heard(&mut self, wire: &mut Wire, requests: &[Request]) {
        if self.is_over {
            return;
        }
        self.read(wire, requests, false);
        self.go_on(wire, requests);
    }

    /// What has arrived of an answer that is not whole; the framing that ends with the connection counts as whole.
    pub fn rest(&self) -> &[u8] {
        &self.received
    }

    fn read(&mut self, wire: &mut Wire, requests: &[Request], is_time: bool) {
        let Some(conn) = self.conn.filter(|_| !self.is_over) else { return };
        let most = match self.plan.reading {
            Reading::Eager => usize::MAX,
            Reading::Slow(count, _) if is_time => count,
            Reading::Slow(_, pause) => {
                if !std::mem::replace(&mut self.reading_later, true) {
                    wire.timer(pause, token::read_on(self.number));
                }
                return;
            }
            Reading::Never(most) => most.saturating_sub(self.received.len()),
        };
        self.accepted_at = wire.accepted_at(conn);
        self.let_go_at = wire.ended_at(conn);
        let bytes = wire.read(conn, most);
        if !bytes.is_empty() {
            self.last = wire.now();
            self.received.extend_from_slice(&bytes);
        }
        let end = wire.end(conn);
        if end != End::Open && self.ended.is_none() {
            self.ended = Some((end, wire.now()));
        }
        self.parse(wire, requests);
        if let (Reading::Slow(_, pause), false, None) = (self.plan.reading, bytes.is_empty(), self.ended) {
            self.reading_later = true;
            wire.timer(pause, token::read_on(self.number));
        }
    }

    fn parse(&mut self, wire: &mut Wire, requests: &[Request]) {
        while self.nonsense.is_none() && !self.received.is_empty() {
            self.first_at.get_or_insert(wire.now());
            let asked = self.plan.requests.get(self.seen.len()).map(|id| &requests[*id]);
            let kind = match asked {
                Some(request) if request.method == "HEAD" => Kind::ToHead,
                _ => Kind::Answer,
            };
            let is_ended = self.ended.is_some_and(|(end, _)| end == End::Finished);
            match http::read(&self.received, kind, is_ended) {
                Ok(Some(part)) if part.is_whole => {
                    self.received.drain(..part.message.length);
                    if part.message.status() < 200 {
                        self.interims += 1;
                        continue;
                    }
                    wire.note(40, self.number as u64, u64::from(part.message.status()), || {
                        format!("client {} has its answer {}: {}", self.number, self.seen.len(), part.message.status())
                    });
                    let from = self.first_at.take().unwrap_or(wire.now());
                    self.seen.push(Seen { answer: part.message, from, at: wire.now() });
                }
                Ok(_) => return,
                Err(what) => self.nonsense = Some(what),
            }
        }
    }

    fn go_on(&mut self, wire: &mut Wire, requests: &[Request]) {
        let Some(conn) = self.conn.filter(|_| !self.is_over) else { return };
        if self.ended.is_some() {
            // Whatever it had left to say, nobody hears it.
            self.leave(wire, conn, Step::Close);
            return;
        }
        while let Some(step) = self.plan.steps.get(self.step).copied() {
            if !self.take(step, wire, conn, requests) {
                return;
            }
            self.step += 1;
        }
    }

    /// True when the step is done.
    fn take(&mut self, step: Step, wire: &mut Wire, conn: Conn, requests: &[Request]) -> bool {
        match step {
            Step::Send(to) => {
                if to > self.sent {
                    let count = wire.write(conn, &self.stream[self.sent..to]);
                    self.note_sent(count, wire.now());
                }
                self.sent >= to
            }
            Step::Pause(time) => self.is_past(wire, time),
            Step::Await(count) => self.seen.len() >= count,
            Step::Continue(count) => {
                if self.seen.len() >= count {
                    // An answer instead: the body is not wanted.
                    let request = &requests[self.plan.requests[count - 1]];
                    self.stream.truncate(self.ends[count - 1] - (request.wire.len() - request.head_length));
                    self.plan.steps.truncate(self.step + 1);
                    self.plan.steps.push(Step::Linger);
                    return true;
                }
                let has_interim = self.interims > 0;
                let is_over = has_interim || self.is_past(wire, CONTINUE_PATIENCE);
                if is_over {
                    (self.interims, self.until) = (0, None);
                }
                is_over
            }
            Step::HalfClose => {
                wire.finish(conn);
                true
            }
            Step::Linger => {
                if self.is_past(wire, PATIENCE) {
                    self.leave(wire, conn, Step::Close);
                }
                false
            }
            Step::Reset | Step::Close => {
                self.leave(wire, conn, step);
                true
            }
        }
    }

    fn note_sent(&mut self, count: usize, now: Duration) {
        if count == 0 {
            return;
        }
        let before = self.sent;
        self.sent += count;
        self.last = now;
        let mut from = 0;
        for end in &self.ends {
            if before <= from && self.sent > from {
                self.began_at.push(now);
            }
            if before < *end && self.sent >= *end {
                self.sent_at.push(now);
            }
            from = *end;
        }
    }

    fn is_past(&mut self, wire: &mut Wire, time: Duration) -> bool {
        let until = *self.until.get_or_insert_with(|| {
            wire.timer(time, token::client(self.number));
            wire.now() + time
        });
        let is_past = wire.now() >= until;
        if is_past {
            self.until = None;
        }
        is_past
    }

    fn leave(&mut self, wire: &mut Wire, conn: Conn, how: Step) {
        self.is_over = true;
        if self.ended.is_none() {
            self.left = Some(wire.now());
        }
        if how == Step::Reset { wire.reset(conn) } else { wire.close(conn) }
    }

    /// It has waited for so long that something is wrong; what it waits for.
    pub fn waits_for(&self) -> String {
        format!("step {} {:?}, {} answers seen", self.step, self.plan.steps.get(self.step), self.seen.len())
    }
}
