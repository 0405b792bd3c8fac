//! A backend's end of one connection: it reads requests the slow way, and answers each as its plan says.

use std::time::Duration;

use super::http::{self, Kind, Message};
use super::plan::{AnswerPlan, Begin, Finish, Request, Shape, body, chunks, with_trailer};
use super::token;
use crate::io::sim::{Conn, End, Wire};

/// What may become of a request by its answer's plan, or by what happened on its way.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// The connections on which a backend saw something of it.
    pub attempts: Vec<Conn>,
    /// Of these, those on which it was whole.
    pub whole: usize,
    /// What it saw of it last: the target's prefix.
    pub prefix: Option<(char, Duration)>,
    /// The backend ended the connection before its answer was.
    pub may_fail: bool,
    /// The backend was too slow.
    pub may_time_out: bool,
    /// The backend broke a rule.
    pub may_be_bad: bool,
    /// The answer may end early.
    pub may_be_cut: bool,
}

/// A connection of the gateway's.
pub struct Backend {
    conn: Conn,
    received: Vec<u8>,
    /// The request that is being read or answered.
    current: Option<Call>,
    out: Vec<u8>,
    written: usize,
    pieces: Vec<usize>,
    pause: Duration,
    finish: Finish,
    /// The answer's head ends here.
    head_end: usize,
    /// When it may write on.
    not_before: Option<Duration>,
    /// It must not be used again.
    poisoned: Option<&'static str>,
    closing: bool,
    /// It has let go.
    pub is_over: bool,
    served: usize,
}

struct Call {
    id: usize,
    attempt: usize,
    is_answering: bool,
    is_whole: bool,
    is_answered: bool,
}

impl Backend {
    /// A connection that nothing was sent on.
    pub fn new(conn: Conn) -> Backend {
        Backend {
            conn,
            received: Vec::new(),
            current: None,
            out: Vec::new(),
            written: 0,
            pieces: Vec::new(),
            pause: Duration::ZERO,
            finish: Finish::Keep,
            head_end: 0,
            not_before: None,
            poisoned: None,
            closing: false,
            is_over: false,
            served: 0,
        }
    }

    /// Something happened, or a timer went off.
    pub fn go_on(&mut self, wire: &mut Wire, requests: &[Request], fates: &mut [Fate]) {
        if self.is_over {
            return;
        }
        let bytes = wire.read(self.conn, usize::MAX);
        self.received.extend_from_slice(&bytes);
        if let (false, Some(why)) = (bytes.is_empty(), self.poisoned)
            && self.current.as_ref().is_none_or(|call| call.is_whole)
        {
            wire.fail(format!("conn {}: used again although {why}", self.conn));
        }
        while !self.is_over && self.step(wire, requests, fates) {}
        if wire.end(self.conn) != End::Open && !self.is_over {
            self.let_go(wire, requests, fates);
        }
    }

    /// True when there may be more to do at once.
    fn step(&mut self, wire: &mut Wire, requests: &[Request], fates: &mut [Fate]) -> bool {
        self.read(wire, requests, fates);
        let Some(call) = &mut self.current else { return false };
        if call.is_whole && call.is_answered {
            self.current = None;
            self.served += 1;
            return true;
        }
        if call.is_answered {
            return false;
        }
        let plan = requests[call.id].answers[call.attempt.min(1)];
        if !call.is_answering {
            if !call.is_whole && plan.begin == Begin::Whole {
                return false;
            }
            call.is_answering = true;
            let (id, attempt) = (call.id, call.attempt);
            self.begin(wire, &requests[id], (id, attempt), &mut fates[id]);
        }
        self.write(wire)
    }

    fn read(&mut self, wire: &mut Wire, requests: &[Request], fates: &mut [Fate]) {
        if self.received.is_empty() || self.current.as_ref().is_some_and(|call| call.is_whole) {
            return;
        }
        if self.current.is_none() {
            let Some(id) = id_of(&self.received) else { return };
            if id >= requests.len() {
                return wire.fail(format!("conn {}: a request that nobody made", self.conn));
            }
            let fate = &mut fates[id];
            let attempt = fate.attempts.len();
            fate.attempts.push(self.conn);
            wire.note(50, id as u64, attempt as u64, || format!("conn {}: request {id}, attempt {attempt}", self.conn));
            self.current = Some(Call { id, attempt, is_answering: false, is_whole: false, is_answered: false });
        }
        let Some(call) = &mut self.current else { return };
        match http::read(&self.received, Kind::Request, false) {
            Ok(Some(part)) => {
                if let Err(what) = check(&requests[call.id], call.id, &part, wire.now(), &mut fates[call.id]) {
                    wire.fail(format!("conn {}: request {}: {what}", self.conn, call.id));
                }
                if part.is_whole {
                    call.is_whole = true;
                    fates[call.id].whole += 1;
                    self.received.drain(..part.message.length);
                }
            }
            Ok(None) => {}
            Err(what) => wire.fail(format!("conn {}: what the gateway sends is no request: {what}", self.conn)),
        }
    }

    fn begin(&mut self, wire: &mut Wire, request: &Request, (id, attempt): (usize, usize), fate: &mut Fate) {
        let mut plan = request.answers[attempt.min(1)];
        let is_head = request.method == "HEAD";
        if is_head && plan.finish == Finish::BadBody {
            plan.finish = Finish::Keep;
        }
        (self.out, self.head_end) = render(&plan, is_head, (id, attempt));
        self.written = 0;
        self.finish = plan.finish;
        let end = foretell(&plan, self.out.len(), self.head_end, fate);
        self.out.truncate(end);
        match plan.finish {
            Finish::Extra => {
                self.out.extend_from_slice(b"and more\r\n");
                wire.keep_together(self.conn);
                self.poisoned = Some("it sent bytes that nobody asked for");
            }
            Finish::Close | Finish::Cut(_) | Finish::Reset(_) | Finish::Stall(_) => {
                self.poisoned = Some("its answer was its last");
            }
            Finish::BadHead(_) | Finish::BadBody => self.poisoned = Some("it broke a rule"),
            Finish::Keep | Finish::CloseLater(_) => {}
        }
        if plan.shape == Shape::UntilClose {
            self.poisoned = Some("its answer ended with the connection");
        }
        let (pieces, pause) = plan.pace;
        let length = self.out.len();
        self.pieces = (1..=pieces).map(|piece| length * piece / pieces).rev().collect();
        self.pause = pause;
        self.wait(wire, plan.delay);
    }

    fn wait(&mut self, wire: &mut Wire, time: Duration) {
        if time.is_zero() {
            self.not_before = None;
            return;
        }
        self.not_before = Some(wire.now() + time);
        wire.timer(time, token::backend(self.conn));
    }

    fn write(&mut self, wire: &mut Wire) -> bool {
        if self.not_before.is_some_and(|at| at > wire.now()) || self.closing {
            return false;
        }
        while let Some(to) = self.pieces.last().copied() {
            if self.written < to {
                self.written += wire.write(self.conn, &self.out[self.written..to]);
            }
            if self.written < to {
                return false;
            }
            self.pieces.pop();
            if !self.pieces.is_empty() {
                self.wait(wire, self.pause);
                if self.not_before.is_some() {
                    return false;
                }
            }
        }
        if let Some(call) = &mut self.current {
            call.is_answered = true;
        }
        let is_last = self.poisoned == Some("its answer ended with the connection");
        match self.finish {
            Finish::Reset(_) => self.end(wire, true),
            Finish::Close if wire.random.bool() => {
                // A moment after its last byte.
                self.closing = true;
                let moment = Duration::from_millis(wire.random.u64(1..60));
                wire.timer(moment, token::closing(self.conn));
                false
            }
            Finish::Close | Finish::Cut(_) => self.end(wire, false),
            Finish::Keep | Finish::CloseLater(_) if is_last => self.end(wire, false),
            Finish::CloseLater(time) => {
                wire.timer(time, token::closing(self.conn));
                true
            }
            Finish::Stall(_) => {
                self.closing = true;
                false
            }
            _ => true,
        }
    }

    /// It ends its side. Whoever still sends to it is told by a reset.
    fn end(&mut self, wire: &mut Wire, is_reset: bool) -> bool {
        self.closing = true;
        if is_reset {
            wire.reset(self.conn);
            self.is_over = true;
        } else {
            wire.finish(self.conn);
        }
        false
    }

    /// The time of an idle connection is over.
    pub fn close(&mut self, wire: &mut Wire, requests: &[Request], fates: &mut [Fate]) {
        if self.finish == Finish::Close && self.closing && !self.is_over {
            self.end(wire, false);
        }
        if self.is_over || self.closing || self.poisoned.is_some() {
            return;
        }
        // Not if it is in use again: then it closes after the next answer, if at all.
        let bytes = wire.read(self.conn, usize::MAX);
        self.received.extend_from_slice(&bytes);
        if self.current.is_none() && self.received.is_empty() {
            wire.close(self.conn);
            self.is_over = true;
        } else {
            self.go_on(wire, requests, fates);
        }
    }

    /// Bytes were sent to it that it will never read.
    pub fn lost(&mut self, bytes: &[u8], fates: &mut [Fate]) {
        let id = self.current.as_ref().map(|call| call.id).or_else(|| id_of(bytes));
        if let Some(fate) = id.and_then(|id| fates.get_mut(id)) {
            fate.may_fail = true;
            fate.may_be_cut = true;
        }
    }

    /// The gateway has ended the connection.
    fn let_go(&mut self, wire: &mut Wire, _requests: &[Request], _fates: &mut [Fate]) {
        self.is_over = true;
        wire.close(self.conn);
    }
}

/// The request whose first bytes these are: `/a/17/…`.
fn id_of(bytes: &[u8]) -> Option<usize> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    if line.len() == bytes.len() {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    text.split(' ').nth(1)?.split('/').nth(2)?.parse().ok()
}

/// What the gateway sends must be what the client said.
fn check(request: &Request, id: usize, part: &http::Part, now: Duration, fate: &mut Fate) -> Result<(), String> {
    let Message { first, body, .. } = &part.message;
    let prefix = first.split('/').nth(1).and_then(|prefix| prefix.chars().next()).unwrap_or('?');
    fate.prefix = Some((prefix, now));
    let expected = format!("{} /{prefix}/{} HTTP/1.1", request.method, request.rest);
    if *first != expected {
        return Err(format!("{first:?} instead of {expected:?}"));
    }
    if part.message.field("x-req") != Some(&id.to_string()) {
        return Err(format!("the fields of another: {:?}", part.message.fields));
    }
    if request.is_mapped && part.message.field("x-body") != Some(&id.to_string()) {
        return Err(format!("not what its body says: {:?}", part.message.fields));
    }
    if !request.payload.starts_with(body) {
        return Err(format!("another body, {} bytes", body.len()));
    }
    if part.is_whole && request.payload.len() != body.len() {
        return Err(format!("{} bytes of a body of {}", body.len(), request.payload.len()));
    }
    Ok(())
}

/// All bytes of an answer, and where its head ends.
fn render(plan: &AnswerPlan, is_head: bool, (id, attempt): (usize, usize)) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    for _ in 0..plan.interim {
        out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    }
    let status = match plan.shape {
        Shape::Bodiless(status) => status,
        _ => 200 + (id % 3) as u16,
    };
    let status_line = match plan.finish {
        Finish::BadHead(0) => "HTTP/1.1 2x0 OK".to_owned(),
        Finish::BadHead(1) => "nonsense".to_owned(),
        Finish::BadHead(2) => "HTTP/1.1 101 Switching Protocols".to_owned(),
        _ => format!("HTTP/1.1 {status} OK"),
    };
    out.extend_from_slice(format!("{status_line}\r\nX-Id: {id}\r\nX-Try: {attempt}\r\n").as_bytes());
    match plan.finish {
        Finish::BadHead(3) => out.extend_from_slice(b"Content-Length: 1\r\nContent-Length: 2\r\n"),
        Finish::BadHead(4) => out.extend_from_slice(b"Content-Length: -1\r\n"),
        Finish::BadHead(_) => out.extend_from_slice(b"no name\r\n"),
        Finish::Close => out.extend_from_slice(b"Connection: close\r\n"),
        _ if plan.shape == Shape::UntilClose && is_head => out.extend_from_slice(b"Connection: close\r\n"),
        _ => {}
    }
    if plan.pad > 0 {
        out.extend_from_slice(format!("X-Pad: {}\r\n", "y".repeat(plan.pad)).as_bytes());
    }
    let payload = answer_body(plan, (id, attempt));
    let framed = match plan.shape {
        Shape::Length => {
            out.extend_from_slice(format!("Content-Length: {}\r\n", payload.len()).as_bytes());
            payload
        }
        Shape::Chunked(size) => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            let mut framed = chunks(&payload, size);
            if plan.finish == Finish::BadBody {
                framed.truncate(framed.len() - 5);
                framed.extend_from_slice(b"zz\r\n");
            } else if plan.has_trailer {
                with_trailer(&mut framed);
            }
            framed
        }
        Shape::UntilClose => payload,
        Shape::Bodiless(_) => Vec::new(),
    };
    out.extend_from_slice(b"\r\n");
    let head_end = out.len();
    if !is_head {
        out.extend_from_slice(&framed);
    }
    (out, head_end)
}

/// The body of an answer.
pub fn answer_body(plan: &AnswerPlan, (id, attempt): (usize, usize)) -> Vec<u8> {
    let length = if matches!(plan.shape, Shape::Bodiless(_)) { 0 } else { plan.length };
    body(id, 1 + attempt, length)
}

/// Where the answer ends, and what that excuses.
fn foretell(plan: &AnswerPlan, length: usize, head_end: usize, fate: &mut Fate) -> usize {
    let at = |thousandths: usize| length * thousandths / 1_000;
    let end = match plan.finish {
        Finish::Cut(share) | Finish::Reset(share) | Finish::Stall(share) => at(share),
        _ => length,
    };
    match plan.finish {
        Finish::Cut(_) if end < head_end => fate.may_fail = true,
        // A reset may overtake what was sent before it.
        Finish::Reset(_) => (fate.may_fail, fate.may_be_cut) = (true, true),
        Finish::Stall(_) if end < head_end => fate.may_time_out = true,
        Finish::Cut(_) | Finish::Stall(_) => fate.may_be_cut = true,
        Finish::BadHead(_) => fate.may_be_bad = true,
        Finish::BadBody => (fate.may_be_bad, fate.may_be_cut) = (true, true),
        Finish::Keep | Finish::Close | Finish::CloseLater(_) | Finish::Extra => {}
    }
    if plan.delay > Duration::from_secs(1) {
        fate.may_time_out = true;
    }
    end
}
