//! The run: who asks when, and what comes of it.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::net::sockopt::set_tcp_congestion;
use rustix::time::{ClockId, clock_gettime};

use crate::framing::{Fed, Framer, Progress, Wanted};
use crate::options::Options;
use crate::ring::{Buffer, Event, Ring, What};
use crate::schedule::Schedule;

/// How long answers are waited for after the end, and how long one may take in a closed loop.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that is closed is opened again; not for longer than this.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Where so much goes wrong nothing is measured.
const ERRORS_MAX: u64 = 10_000;
/// Latencies are told apart down to 100 ns, and up to a minute.
const NANOSECONDS: (u64, u64) = (100, 60_000_000_000);

/// What was measured.
pub struct Outcome {
    /// Answers within the window.
    pub answers: u64,
    /// How long the window was.
    pub wall: Duration,
    /// CPU time of this thread in it, the kernel's share included.
    pub cpu: Duration,
    /// Nanoseconds from when a request was due (open loop) or sent (closed loop) to its answer.
    pub latency: Histogram<u64>,
    /// Nanoseconds from when a request was due to when it was sent: this program's own delay, and the wait for the answer
    /// before it. Empty for a closed loop.
    pub late: Histogram<u64>,
    /// What went wrong, from the beginning to the end.
    pub errors: Errors,
}

/// What went wrong.
#[derive(Default)]
pub struct Errors {
    /// Connections that the other end closed or reset.
    pub closed: u64,
    /// Connections that could not be opened again.
    pub refused: u64,
    /// Answers of another status or size.
    pub wrong: u64,
    /// Answers that could not be framed.
    pub framing: u64,
    /// The first of these.
    pub fault: Option<&'static str>,
    /// Requests without an answer.
    pub unanswered: u64,
}

impl Errors {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.closed + self.refused + self.wrong + self.framing + self.unanswered
    }
}

struct Connection {
    /// Keeps the descriptor; the ring has its own hold on the socket.
    stream: Option<TcpStream>,
    life: u32,
    progress: Progress,
    /// When the request was due (open loop) or sent (closed loop) whose answer is awaited.
    asked: Option<u64>,
}

struct Run<'a> {
    options: &'a Options,
    ring: Ring,
    framer: Framer,
    connections: Vec<Connection>,
    requests: Vec<&'static [u8]>,
    next_request: usize,
    schedule: Option<Schedule>,
    /// Nanoseconds since the beginning, as all times here.
    window: (u64, u64),
    outcome: Outcome,
}

/// Connects, asks, and measures.
pub fn run(options: &Options) -> io::Result<Outcome> {
    let streams: Vec<TcpStream> = (0..options.connections).map(|_| connect(options)).collect::<io::Result<_>>()?;
    let sockets: Vec<_> = streams.iter().map(AsRawFd::as_raw_fd).collect();
    let new = |stream| Connection { stream: Some(stream), life: 0, progress: Progress::default(), asked: None };
    let histogram = || Histogram::new_with_bounds(NANOSECONDS.0, NANOSECONDS.1, 3).expect("bounds in order");
    let begin = nanoseconds(options.warm_up);
    let run = Run {
        options,
        ring: Ring::new(&sockets)?,
        framer: Framer::new(Wanted { status: options.status, size: options.size }),
        connections: streams.into_iter().map(new).collect(),
        requests: options.requests(),
        next_request: 0,
        schedule: options.rate.map(|rate| Schedule::new(rate, options.connections)),
        window: (begin, begin + nanoseconds(options.duration)),
        outcome: Outcome {
            answers: 0,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            latency: histogram(),
            late: histogram(),
            errors: Errors::default(),
        },
    };
    run.until_the_end()
}

impl Run<'_> {
    fn until_the_end(mut self) -> io::Result<Outcome> {
        let begun = Instant::now();
        let mut events = Vec::new();
        let (mut now, mut window_began, mut window_ended) = (0, None, None);
        for connection in 0..self.connections.len() {
            self.ring.receive(connection, 0);
            if self.schedule.is_none() {
                self.send(connection, 0);
            }
        }
        loop {
            if now >= self.window.0 && window_began.is_none() {
                window_began = Some((now, thread_time()));
            }
            if now >= self.window.1 && window_ended.is_none() {
                window_ended = Some((now, thread_time()));
            }
            self.send_due(now);
            if self.is_over(now) {
                break;
            }
            self.ring.wait(Duration::from_nanos(self.time_to_wait(now)), &mut events)?;
            now = nanoseconds(begun.elapsed());
            for event in events.drain(..) {
                self.take(event, now);
            }
        }
        self.count_unanswered(now);
        if let (Some(from), Some(to)) = (window_began, window_ended) {
            (self.outcome.wall, self.outcome.cpu) = (Duration::from_nanos(to.0 - from.0), to.1.saturating_sub(from.1));
        }
        Ok(self.outcome)
    }

    fn is_over(&self, now: u64) -> bool {
        let is_waited_for = self.schedule.is_some()
            && now < self.window.1 + nanoseconds(PATIENCE)
            && self.connections.iter().any(|one| one.asked.is_some());
        self.outcome.errors.sum() > ERRORS_MAX || (now >= self.window.1 && !is_waited_for)
    }

    /// Until the next request is due, or a part of the run ends.
    fn time_to_wait(&self, now: u64) -> u64 {
        let parts = [self.window.0, self.window.1, self.window.1 + nanoseconds(PATIENCE)];
        let part = parts.into_iter().find(|at| *at > now).unwrap_or(now);
        let due = self.schedule.as_ref().map(Schedule::next_at).filter(|at| *at < self.window.1);
        due.map_or(part, |due| due.min(part)).saturating_sub(now)
    }

    /// Sends what is due by the clock.
    fn send_due(&mut self, now: u64) {
        let last = now.min(self.window.1 - 1);
        loop {
            let connections = &self.connections;
            let is_free = |at: usize| connections[at].asked.is_none() && connections[at].stream.is_some();
            let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.pop(last, is_free)) else { break };
            self.send_late(due.connection, due.at, now);
        }
    }

    /// The next request of a connection that has its answer, or was opened again.
    fn go_on(&mut self, connection: usize, now: u64) {
        let last = now.min(self.window.1 - 1);
        match &mut self.schedule {
            None if now < self.window.1 => self.send(connection, now),
            None => {}
            Some(schedule) => {
                if let Some(due) = schedule.after_answer(connection, last) {
                    self.send_late(connection, due.at, now);
                }
            }
        }
    }

    fn send_late(&mut self, connection: usize, due: u64, now: u64) {
        if due >= self.window.0 {
            self.outcome.late.saturating_record(now - due);
        }
        self.send(connection, due);
    }

    fn send(&mut self, connection: usize, asked: u64) {
        let request = self.requests[self.next_request];
        self.next_request += 1;
        if self.next_request == self.requests.len() {
            self.next_request = 0;
        }
        let one = &mut self.connections[connection];
        one.asked = Some(asked);
        self.ring.send(connection, one.life, request);
    }

    fn take(&mut self, event: Event, now: u64) {
        let connection = event.connection;
        let one = &self.connections[connection];
        let is_current = one.life == event.life && one.stream.is_some();
        match event.what {
            What::Received(buffer) if is_current => self.received(connection, buffer, now),
            What::Received(buffer) => self.ring.give_back(buffer),
            What::Disarmed if is_current => self.ring.receive(connection, event.life),
            What::Closed if is_current => {
                self.outcome.errors.closed += 1;
                self.open_again(connection, now);
            }
            What::Disarmed | What::Closed => {}
        }
    }

    fn received(&mut self, connection: usize, buffer: Buffer, now: u64) {
        let one = &mut self.connections[connection];
        if !buffer.armed {
            self.ring.receive(connection, one.life);
        }
        let fed = match one.asked {
            Some(_) => self.framer.feed(&mut one.progress, self.ring.bytes(&buffer)),
            None => Err("bytes that nobody asked for"),
        };
        self.ring.give_back(buffer);
        match fed {
            Ok(Fed::More) => {}
            Ok(Fed::Done(is_right)) => self.answered(connection, is_right, now),
            Err(fault) => {
                self.outcome.errors.framing += 1;
                self.outcome.errors.fault.get_or_insert(fault);
                self.ring.cancel(connection, self.connections[connection].life);
                self.open_again(connection, now);
            }
        }
    }

    fn answered(&mut self, connection: usize, is_right: bool, now: u64) {
        let Some(asked) = self.connections[connection].asked.take() else { return };
        self.outcome.errors.wrong += u64::from(!is_right);
        let window = self.window.0..self.window.1;
        self.outcome.answers += u64::from(window.contains(&now));
        // In an open loop every request counts that was due within the window, however late its answer.
        if window.contains(if self.schedule.is_some() { &asked } else { &now }) {
            self.outcome.latency.saturating_record(now - asked);
        }
        self.go_on(connection, now);
    }

    fn open_again(&mut self, connection: usize, now: u64) {
        let stream = connect(self.options).ok();
        let one = &mut self.connections[connection];
        // The request that was under way has gone with its connection, and was counted with it.
        (one.asked, one.progress, one.life) = (None, Progress::default(), one.life + 1);
        one.stream = stream.filter(|new| self.ring.replace(connection, new.as_raw_fd()).is_ok());
        if one.stream.is_none() {
            self.outcome.errors.refused += 1;
            return;
        }
        self.ring.receive(connection, one.life);
        self.go_on(connection, now);
    }

    /// Requests that should have had an answer by now are as late as they are, at least.
    fn count_unanswered(&mut self, now: u64) {
        let end = self.window.1;
        let waiting = self.connections.iter().filter_map(|one| one.asked);
        let is_stuck = |asked: &u64| self.outcome.answers == 0 || now - asked > nanoseconds(PATIENCE);
        let unanswered: Vec<u64> = if let Some(schedule) = &self.schedule {
            waiting.chain(schedule.missed(end)).collect()
        } else {
            waiting.filter(is_stuck).collect()
        };
        self.outcome.errors.unanswered += unanswered.len() as u64;
        for asked in unanswered.into_iter().filter(|asked| *asked >= self.window.0) {
            self.outcome.latency.saturating_record(now.saturating_sub(asked));
        }
    }
}

fn connect(options: &Options) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&options.address, CONNECT_PATIENCE)?;
    stream.set_nodelay(true)?;
    // The plainest that every kernel has: nothing is congested here, and others pace what they send with timers.
    let _ = set_tcp_congestion(&stream, "reno");
    Ok(stream)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}
