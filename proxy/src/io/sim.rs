//! The simulated driver: a kernel and a network in memory, with a clock of their own, and all of it drawn from one seed.
//!
//! The gateway's end of a connection is a descriptor that means nothing (`/dev/null`, so that it can be closed); the other
//! end belongs to the `Peers` of a test. Operations complete when the network lets them, late, in another order than they were
//! started in, in part, or not at all: whatever a kernel may do. Time passes only while nothing else can happen.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use super::buffers::{self, Group};
use super::driver::{Completion, Driver, DriverCounts, Key, Op, Pieces, Receive};
use super::runtime::run_on;

/// Turns of the loop in which nothing happens and no time passes, before it counts as spinning.
const IDLE_TURNS_MAX: u32 = 100;

/// Turns of the loop in one life of a worker.
const TURNS_MAX: u64 = 400_000;

/// A connection, from the first SYN to the end of the simulation. Never used again.
pub type Conn = usize;

/// What a backend does when it is connected to.
#[derive(Clone, Copy, Debug)]
pub enum Knock {
    /// It accepts after this time.
    Accept(Duration),
    /// Nobody listens there.
    Refuse(Duration),
    /// The segments are lost.
    Silence,
}

/// The other ends of all connections: clients and backends. Told of everything that happens to them; never asked to wait.
pub trait Peers {
    /// Before the gateway waits: whatever must hold at every turn is looked at here.
    fn turn(&mut self, wire: &mut Wire);
    /// A timer went off that was set with this token.
    fn timer(&mut self, wire: &mut Wire, token: u64);
    /// Bytes, an end, or room to write in: look at the connection.
    fn heard(&mut self, wire: &mut Wire, conn: Conn);
    /// The gateway connects to a backend.
    fn knock(&mut self, wire: &mut Wire, conn: Conn, address: SocketAddr) -> Knock;
    /// The gateway's kernel took bytes for a connection whose other end is gone: nobody will ever read them.
    fn lost(&mut self, conn: Conn, bytes: &[u8]);
}

/// How the gateway's kernel behaves: shares of 100 of the operations that it applies to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Receives that bring less than there is.
    pub short_reads: u8,
    /// Sends that take less than there is room for.
    pub short_writes: u8,
    /// Completions that come late, and thereby in another order.
    pub late: u8,
    /// Receives that find no buffer.
    pub no_buffers: u8,
    /// Operations that are interrupted.
    pub interrupted: u8,
    /// Accepts that find no descriptor.
    pub no_descriptors: u8,
    /// Connections that are reset between their handshake and accept.
    pub aborted: u8,
    /// Multishot accepts that the kernel ends by itself.
    pub short_accepts: u8,
}

/// How the gateway ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not at all yet.
    Open,
    /// In good order: everything that it sent was read.
    Finished,
    /// By a reset: something may be missing.
    Reset,
}

struct Pipe {
    /// The gateway's descriptor while it has one.
    fd: Option<RawFd>,
    /// Towards the gateway: what its kernel holds, and whether the peer has said that this is all.
    up: VecDeque<u8>,
    up_room: usize,
    up_end: bool,
    /// The peer has reset, or answers everything with a reset; a receive is told so once.
    peer_reset: bool,
    reset_told: bool,
    peer_gone: bool,
    /// Towards the peer.
    down: VecDeque<u8>,
    down_room: usize,
    /// What the peer has read so far.
    read: u64,
    down_end: End,
    /// When that began.
    down_ended_at: Option<Duration>,
    gateway_gone: bool,
    linger_zero: bool,
    /// Receives take all that there is.
    together: bool,
    /// A call of `heard` is on its way.
    hearing: bool,
    accepted_at: Option<Duration>,
}

impl Pipe {
    fn end_down(&mut self, end: End, now: Duration) {
        self.down_end = end;
        self.down_ended_at.get_or_insert(now);
    }
}

struct Pending {
    key: Key,
    op: Op,
    fd: RawFd,
    group: Group,
    pieces: Option<Pieces>,
    /// When it completes; not known as long as it cannot.
    ready: Option<Duration>,
    knock: Option<Knock>,
    cancelled: bool,
    /// It may complete with more to come.
    goes_on: bool,
}

struct Door {
    number: usize,
    fd: RawFd,
    queue: VecDeque<Conn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Timer(u64),
    Heard(Conn),
}

/// The network, and what the gateway's kernel knows of it.
pub struct Wire {
    /// Everything that is not decided by the gateway is drawn from here.
    pub random: Rng,
    /// How the kernel behaves.
    pub faults: Faults,
    now: Duration,
    pipes: Vec<Pipe>,
    by_fd: BTreeMap<RawFd, Conn>,
    /// Accepted, and not yet seen in an operation.
    unseen: Vec<(RawFd, Conn)>,
    doors: Vec<Door>,
    pending: Vec<Pending>,
    agenda: BTreeMap<(Duration, u64), Due>,
    sequence: u64,
    turns: u64,
    idle_turns: u32,
    hash: u64,
    is_traced: bool,
    broken: Option<String>,
}

impl Wire {
    /// A network without anybody.
    pub fn new(seed: u64, faults: Faults, is_traced: bool) -> Wire {
        Wire {
            random: Rng::with_seed(seed),
            faults,
            now: Duration::ZERO,
            pipes: Vec::new(),
            by_fd: BTreeMap::new(),
            unseen: Vec::new(),
            doors: Vec::new(),
            pending: Vec::new(),
            agenda: BTreeMap::new(),
            sequence: 0,
            turns: 0,
            idle_turns: 0,
            hash: 0xCBF2_9CE4_8422_2325,
            is_traced,
            broken: None,
        }
    }

    // --- what peers do ----------------------------------------------------------------------------------------------------

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Turns of the gateway's loop so far.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// The simulation has found something: it ends at the next turn.
    pub fn fail(&mut self, what: impl Into<String>) {
        let (what, now) = (what.into(), self.now);
        self.note(99, 0, 0, || format!("FAILED: {what}"));
        self.broken.get_or_insert_with(|| format!("at {now:?}: {what}"));
    }

    /// A line of the trace.
    pub fn note(&mut self, kind: u64, about: u64, value: u64, text: impl FnOnce() -> String) {
        for part in [self.now.as_nanos() as u64, kind, about, value] {
            self.hash = (self.hash ^ part).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
        }
        if self.is_traced {
            println!("{:>12.3} ms  {}", self.now.as_secs_f64() * 1000.0, text());
        }
    }

    /// What distinguishes this run from every other.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// True in so many of 100 cases.
    pub fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.random.u8(0..100) < percent
    }

    /// Calls `timer` later.
    pub fn timer(&mut self, after: Duration, token: u64) {
        let at = self.now + after;
        self.plan(at, Due::Timer(token));
    }

    /// A listening socket of the gateway, under a number.
    pub fn door(&mut self, number: usize) -> OwnedFd {
        let fd = token();
        self.doors.push(Door { number, fd: fd.as_raw_fd(), queue: VecDeque::new() });
        fd
    }

    /// Connects to a door of the gateway; none where nobody listens.
    pub fn dial(&mut self, number: usize, (up_room, down_room): (usize, usize)) -> Option<Conn> {
        let conn = self.pipe((up_room, down_room));
        self.note(1, conn as u64, number as u64, || format!("conn {conn}: a client dials door {number}"));
        let door = self.doors.iter_mut().find(|door| door.number == number)?;
        door.queue.push_back(conn);
        Some(conn)
    }

    /// When the gateway accepted the connection.
    pub fn accepted_at(&self, conn: Conn) -> Option<Duration> {
        self.pipes[conn].accepted_at
    }

    /// Sends; returns how much was taken.
    pub fn write(&mut self, conn: Conn, bytes: &[u8]) -> usize {
        let pipe = &mut self.pipes[conn];
        if pipe.down_end == End::Reset || pipe.peer_reset || pipe.up_end {
            return 0;
        }
        if pipe.gateway_gone {
            // Nobody is there: the answer is a reset, and what was not read may be lost.
            self.reset_down(conn);
            return 0;
        }
        let count = bytes.len().min(pipe.up_room.saturating_sub(pipe.up.len()));
        pipe.up.extend(&bytes[..count]);
        self.note(2, conn as u64, count as u64, || format!("conn {conn}: peer sends {count} bytes"));
        count
    }

    /// Reads at most so much.
    pub fn read(&mut self, conn: Conn, most: usize) -> Vec<u8> {
        let pipe = &mut self.pipes[conn];
        let count = most.min(pipe.down.len());
        pipe.read += count as u64;
        let bytes: Vec<u8> = pipe.down.drain(..count).collect();
        if count > 0 {
            self.note(3, conn as u64, count as u64, || format!("conn {conn}: peer reads {count} bytes"));
        }
        bytes
    }

    /// How the gateway ended its side, once everything was read that it sent.
    pub fn end(&self, conn: Conn) -> End {
        let pipe = &self.pipes[conn];
        if pipe.down.is_empty() { pipe.down_end } else { End::Open }
    }

    /// When the gateway ended its side.
    pub fn ended_at(&self, conn: Conn) -> Option<Duration> {
        self.pipes[conn].down_ended_at
    }

    /// Whether the gateway has let go of the connection altogether.
    pub fn is_gateway_gone(&self, conn: Conn) -> bool {
        self.pipes[conn].gateway_gone
    }

    /// The peer says that no more comes.
    pub fn finish(&mut self, conn: Conn) {
        self.note(4, conn as u64, 0, || format!("conn {conn}: peer ends its side"));
        self.pipes[conn].up_end = true;
    }

    /// What is sent from now on arrives as it was written: bytes that belong together are received together.
    pub fn keep_together(&mut self, conn: Conn) {
        self.pipes[conn].up_room = usize::MAX;
        self.pipes[conn].together = true;
    }

    /// The peer closes. What it has not read makes this a reset.
    pub fn close(&mut self, conn: Conn) {
        let unread = !self.pipes[conn].down.is_empty();
        self.finish(conn);
        self.pipes[conn].peer_gone = true;
        if unread {
            self.reset(conn);
        }
    }

    /// The peer resets the connection. What it sent may be lost with that.
    pub fn reset(&mut self, conn: Conn) {
        self.note(5, conn as u64, 0, || format!("conn {conn}: peer resets"));
        let keep = self.random.bool();
        let pipe = &mut self.pipes[conn];
        pipe.peer_gone = true;
        pipe.peer_reset = true;
        pipe.up_end = true;
        if !keep {
            pipe.up.clear();
        }
        pipe.down.clear();
    }

    /// Connections that the gateway holds a descriptor of.
    pub fn held(&self) -> usize {
        self.pipes.iter().filter(|pipe| pipe.fd.is_some()).count()
    }

    // --- what happens inside ----------------------------------------------------------------------------------------------

    fn pipe(&mut self, (up_room, down_room): (usize, usize)) -> Conn {
        self.pipes.push(Pipe {
            fd: None,
            up: VecDeque::new(),
            up_room,
            up_end: false,
            peer_reset: false,
            reset_told: false,
            peer_gone: false,
            down: VecDeque::new(),
            down_room,
            read: 0,
            down_end: End::Open,
            down_ended_at: None,
            gateway_gone: false,
            linger_zero: false,
            together: false,
            hearing: false,
            accepted_at: None,
        });
        self.pipes.len() - 1
    }

    fn plan(&mut self, at: Duration, due: Due) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), due);
    }

    fn hear(&mut self, conn: Conn) {
        if !std::mem::replace(&mut self.pipes[conn].hearing, true) {
            let at = self.now + Duration::from_micros(self.random.u64(0..150));
            self.plan(at, Due::Heard(conn));
        }
    }

    fn reset_down(&mut self, conn: Conn) {
        let unread = self.pipes[conn].down.len();
        let kept = if unread > 0 { self.random.usize(0..=unread) } else { 0 };
        self.note(6, conn as u64, kept as u64, || format!("conn {conn}: reset, {kept} of {unread} bytes are left"));
        let pipe = &mut self.pipes[conn];
        pipe.down.truncate(kept);
        pipe.end_down(End::Reset, self.now);
        self.hear(conn);
    }

    /// Time until an operation that may complete does.
    fn latency(&mut self) -> Duration {
        let late = self.faults.late;
        let most = match self.chance(late) {
            false => return Duration::ZERO,
            true if self.random.u8(0..10) == 0 => 20_000,
            true => 1_500,
        };
        Duration::from_micros(self.random.u64(0..most))
    }

    fn can_complete(&self, pending: &Pending) -> bool {
        if pending.cancelled {
            return true;
        }
        match pending.op {
            Op::Connect => !matches!(pending.knock, Some(Knock::Silence)),
            Op::Accept => self.doors.iter().any(|door| door.fd == pending.fd && !door.queue.is_empty()),
            Op::Recv => {
                let pipe = &self.pipes[self.by_fd[&pending.fd]];
                !pipe.up.is_empty() || pipe.up_end || pipe.peer_reset
            }
            Op::Send => {
                let pipe = &self.pipes[self.by_fd[&pending.fd]];
                pipe.down.len() < pipe.down_room || pipe.peer_reset || pipe.peer_gone
            }
            Op::Wake | Op::Cancel => false,
        }
    }

    /// Sets when operations complete that may by now.
    fn look_at_pending(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        for one in &mut pending {
            if !self.can_complete(one) {
                one.ready = None;
            } else if one.ready.is_none() {
                let after = match one.knock {
                    Some(Knock::Accept(after) | Knock::Refuse(after)) if !one.cancelled => after,
                    _ => self.latency(),
                };
                one.ready = Some(self.now + after);
            }
        }
        self.pending = pending;
    }

    /// Descriptors that were accepted and closed without ever having been used.
    fn look_for_dropped(&mut self) {
        let mut dropped = Vec::new();
        self.unseen.retain(|(fd, conn)| {
            // SAFETY: asks whether a descriptor is open. Sound: it takes no pointer; an unknown number is an error.
            let is_open = unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
            if !is_open {
                dropped.push((*fd, *conn));
            }
            is_open
        });
        for (fd, conn) in dropped {
            self.let_go(fd, conn);
        }
    }

    fn seen(&mut self, fd: RawFd) {
        self.unseen.retain(|(unseen, _)| *unseen != fd);
    }

    fn let_go(&mut self, fd: RawFd, conn: Conn) {
        self.by_fd.remove(&fd);
        let pipe = &mut self.pipes[conn];
        pipe.fd = None;
        pipe.gateway_gone = true;
        let unread = pipe.up.len();
        let is_reset = pipe.linger_zero || unread > 0;
        self.note(7, conn as u64, unread as u64, || format!("conn {conn}: the gateway closes, {unread} bytes unread"));
        if is_reset {
            self.reset_down(conn);
        } else {
            if self.pipes[conn].down_end == End::Open {
                self.pipes[conn].end_down(End::Finished, self.now);
            }
            self.hear(conn);
        }
    }
}

/// A descriptor that can be closed and is good for nothing else.
fn token() -> OwnedFd {
    File::open("/dev/null").expect("a descriptor for a simulated socket").into()
}

/// The driver.
pub(super) struct Sim {
    wire: Rc<RefCell<Wire>>,
    peers: Box<dyn Peers>,
    since: Instant,
}

impl Sim {
    pub(super) fn clock(&self) -> Instant {
        self.since + self.wire.borrow().now
    }

    /// The first of June 2026, and what has passed since.
    pub(super) fn wall_clock(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_780_272_000) + self.wire.borrow().now
    }

    pub(super) fn seed(&self) -> u64 {
        self.wire.borrow_mut().random.u64(..)
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the drivers share one shape")]
    pub(super) fn stream_socket(&self) -> io::Result<OwnedFd> {
        Ok(token())
    }

    pub(super) fn shutdown(&self, fd: RawFd, how: libc::c_int) {
        let wire = &mut *self.wire.borrow_mut();
        let Some(conn) = wire.by_fd.get(&fd).copied() else { return };
        if how != libc::SHUT_RD && wire.pipes[conn].down_end == End::Open {
            wire.note(8, conn as u64, 0, || format!("conn {conn}: the gateway ends its side"));
            let now = wire.now;
            wire.pipes[conn].end_down(End::Finished, now);
            wire.hear(conn);
        }
    }

    pub(super) fn bytes_acked(&self, fd: RawFd) -> Option<u64> {
        let wire = self.wire.borrow();
        Some(wire.pipes[*wire.by_fd.get(&fd)?].read)
    }

    pub(super) fn has_unread(&self, fd: RawFd) -> bool {
        let wire = self.wire.borrow();
        wire.by_fd.get(&fd).is_some_and(|conn| !wire.pipes[*conn].up.is_empty())
    }

    pub(super) fn reset_when_closed(&self, fd: RawFd) {
        let wire = &mut *self.wire.borrow_mut();
        if let Some(conn) = wire.by_fd.get(&fd) {
            wire.pipes[*conn].linger_zero = true;
        }
    }

    fn start(&self, key: Key, op: Op, fd: RawFd, group: Group, more: (Option<Pieces>, Option<Knock>)) {
        let wire = &mut *self.wire.borrow_mut();
        wire.seen(fd);
        if wire.pending.iter().any(|other| (other.key, other.op) == (key, op)) {
            wire.fail(format!("a second {op:?} while one is under way"));
        }
        let (pieces, knock) = more;
        wire.pending.push(Pending { key, op, fd, group, pieces, ready: None, knock, cancelled: false, goes_on: false });
    }

    pub(super) fn recv(&mut self, key: Key, fd: RawFd, receive: Receive) {
        self.start(key, Op::Recv, fd, receive.group, (None, None));
        if let Some(pending) = self.wire.borrow_mut().pending.last_mut() {
            pending.goes_on = receive.goes_on;
        }
    }

    pub(super) fn send(&mut self, key: Key, fd: RawFd, pieces: Pieces) {
        self.start(key, Op::Send, fd, Group::Small, (Some(pieces), None));
    }

    pub(super) fn connect(&mut self, key: Key, fd: RawFd, to: *const libc::sockaddr, length: libc::socklen_t) {
        let address = address_of(to, length);
        let conn = {
            let wire = &mut *self.wire.borrow_mut();
            let rooms = (room(&mut wire.random), room(&mut wire.random));
            let conn = wire.pipe(rooms);
            wire.pipes[conn].fd = Some(fd);
            if let Some(before) = wire.by_fd.insert(fd, conn) {
                wire.fail(format!("conn {before} was closed without a word"));
            }
            conn
        };
        let knock = self.peers.knock(&mut self.wire.borrow_mut(), conn, address);
        self.wire.borrow_mut().note(9, conn as u64, u64::from(address.port()), || {
            format!("conn {conn}: the gateway connects to {address}: {knock:?}")
        });
        self.start(key, Op::Connect, fd, Group::Small, (None, Some(knock)));
    }

    pub(super) fn accept(&mut self, key: Key, fd: RawFd) {
        self.start(key, Op::Accept, fd, Group::Small, (None, None));
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn wake_on(&mut self, _fd: RawFd) {}

    pub(super) fn cancel(&mut self, key: Key, op: Op) {
        let wire = &mut *self.wire.borrow_mut();
        if let Some(pending) = wire.pending.iter_mut().find(|pending| (pending.key, pending.op) == (key, op)) {
            pending.cancelled = true;
        }
    }

    pub(super) fn forget(&mut self, _key: Key, fd: RawFd) {
        let wire = &mut *self.wire.borrow_mut();
        wire.seen(fd);
        if wire.pending.iter().any(|pending| pending.fd == fd) {
            wire.fail("a descriptor is closed while the kernel has an operation of it");
        }
        if let Some(at) = wire.doors.iter().position(|door| door.fd == fd) {
            wire.note(10, 0, 0, || "the gateway closes a door".into());
            let door = wire.doors.remove(at);
            door.queue.into_iter().for_each(|conn| {
                wire.pipes[conn].gateway_gone = true;
                wire.reset_down(conn);
            });
        } else if let Some(conn) = wire.by_fd.get(&fd).copied() {
            wire.let_go(fd, conn);
        }
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn counts(&self) -> DriverCounts {
        DriverCounts::default()
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        let until = {
            let wire = &mut *self.wire.borrow_mut();
            wire.turns += 1;
            wire.look_for_dropped();
            self.peers.turn(wire);
            if wire.turns > TURNS_MAX {
                wire.fail("the loop turns and turns");
            }
            let until = timeout.map(|timeout| wire.now + timeout);
            // Computing takes time, too.
            wire.now += Duration::from_micros(wire.random.u64(0..100));
            until
        };
        loop {
            self.run_agenda();
            let wire = &mut *self.wire.borrow_mut();
            if let Some(what) = wire.broken.take() {
                panic!("{what}");
            }
            wire.look_at_pending();
            Self::complete_some(wire, &mut self.peers, done);
            if !done.is_empty() {
                wire.idle_turns = 0;
                return Ok(());
            }
            let ready = wire.pending.iter().filter_map(|pending| pending.ready);
            let next = ready.chain(wire.agenda.keys().next().map(|(at, _)| *at)).chain(until).min();
            let Some(next) = next else { panic!("nothing will ever happen again") };
            if until.is_some_and(|until| until <= next) {
                if until.is_some_and(|until| until > wire.now) {
                    wire.idle_turns = 0;
                }
                wire.idle_turns += 1;
                assert!(wire.idle_turns < IDLE_TURNS_MAX, "the loop spins: nothing happens, and no time passes");
                wire.now = wire.now.max(next);
                return Ok(());
            }
            wire.now = wire.now.max(next);
        }
    }

    fn run_agenda(&mut self) {
        loop {
            let wire = &mut *self.wire.borrow_mut();
            let Some(entry) = wire.agenda.first_entry() else { return };
            if entry.key().0 > wire.now {
                return;
            }
            match entry.remove() {
                Due::Timer(token) => self.peers.timer(wire, token),
                Due::Heard(conn) => {
                    wire.pipes[conn].hearing = false;
                    self.peers.heard(wire, conn);
                }
            }
        }
    }

    fn complete_some(wire: &mut Wire, peers: &mut Box<dyn Peers>, done: &mut Vec<Completion>) {
        let mut due: Vec<(Key, Op)> = Vec::new();
        let is_due = |pending: &&Pending| pending.ready.is_some_and(|ready| ready <= wire.now);
        due.extend(wire.pending.iter().filter(is_due).map(|pending| (pending.key, pending.op)));
        if due.is_empty() {
            return;
        }
        wire.random.shuffle(&mut due);
        if wire.random.u8(0..4) == 0 {
            due.truncate(wire.random.usize(1..=due.len()));
        }
        for what in due {
            let at = wire.pending.iter().position(|pending| (pending.key, pending.op) == what).expect("it is due");
            let mut pending = wire.pending.remove(at);
            if !wire.can_complete(&pending) {
                pending.ready = None;
                wire.pending.push(pending);
                continue;
            }
            let completion = wire.complete(&pending, &mut **peers);
            if completion.more {
                pending.ready = None;
                wire.pending.push(pending);
            }
            done.push(completion);
        }
    }
}

impl Wire {
    fn complete(&mut self, pending: &Pending, peers: &mut dyn Peers) -> Completion {
        let conn = self.by_fd.get(&pending.fd).copied();
        let (result, buffer, more) = match pending.op {
            Op::Connect => (self.connected(pending), None, false),
            Op::Accept => {
                let (result, more) = self.accepted(pending);
                (result, None, more)
            }
            Op::Recv => {
                let (result, buffer) = self.received(pending, conn.expect("a connection"));
                // The kernel may end it at any time, too.
                let more = result > 0 && pending.goes_on && !pending.cancelled && self.random.u8(0..8) > 0;
                (result, buffer, more)
            }
            _ => (self.sent(pending, conn.expect("a connection"), peers), None, false),
        };
        let about = conn.map_or(u64::MAX, |conn| conn as u64);
        // A descriptor's number says nothing: the process may have others.
        let value = if pending.op == Op::Accept && result >= 0 { 0 } else { i64::from(result).cast_unsigned() };
        self.note(20 + pending.op as u64, about, value, || {
            let conn = conn.map(|conn| format!("conn {conn}: ")).unwrap_or_default();
            let cancelled = if pending.cancelled { " (cancelled)" } else { "" };
            format!("{conn}{:?} of the gateway ends with {}{cancelled}", pending.op, value.cast_signed())
        });
        Completion { key: pending.key, op: pending.op, result, buffer, more }
    }

    fn connected(&mut self, pending: &Pending) -> i32 {
        let conn = self.by_fd[&pending.fd];
        match pending.knock {
            _ if pending.cancelled => -libc::ECANCELED,
            Some(Knock::Refuse(_)) => -libc::ECONNREFUSED,
            _ => {
                self.hear(conn);
                0
            }
        }
    }

    fn accepted(&mut self, pending: &Pending) -> (i32, bool) {
        let Some(at) = self.doors.iter().position(|door| door.fd == pending.fd) else {
            return (-libc::ECANCELED, false);
        };
        // A cancel may come too late for one more.
        if self.doors[at].queue.is_empty() || (pending.cancelled && self.random.bool()) {
            return (-libc::ECANCELED, false);
        }
        if self.chance(self.faults.no_descriptors) {
            return (-libc::EMFILE, false);
        }
        let conn = self.doors[at].queue.pop_front().expect("somebody waits");
        if self.pipes[conn].peer_reset || self.chance(self.faults.aborted) {
            self.pipes[conn].gateway_gone = true;
            self.reset_down(conn);
            return (-libc::ECONNABORTED, false);
        }
        let fd = token().into_raw_fd();
        self.pipes[conn].fd = Some(fd);
        self.pipes[conn].accepted_at = Some(self.now);
        self.unseen.push((fd, conn));
        if let Some(before) = self.by_fd.insert(fd, conn) {
            self.fail(format!("conn {before} was closed without a word"));
        }
        self.note(11, conn as u64, 0, || format!("conn {conn}: accepted"));
        let more = !self.chance(self.faults.short_accepts);
        (fd, more)
    }

    fn received(&mut self, pending: &Pending, conn: Conn) -> (i32, Option<u16>) {
        if self.pipes[conn].up.is_empty() {
            let pipe = &mut self.pipes[conn];
            // A reset is told once; then the stream is at its end.
            return match (pipe.peer_reset && !pipe.reset_told, pipe.up_end) {
                (true, _) => {
                    pipe.reset_told = true;
                    (-libc::ECONNRESET, None)
                }
                (_, true) => (0, None),
                _ => (-libc::ECANCELED, None),
            };
        }
        if pending.cancelled && self.random.bool() {
            return (-libc::ECANCELED, None);
        }
        if self.chance(self.faults.interrupted) {
            return (-libc::EINTR, None);
        }
        let starved = self.chance(self.faults.no_buffers);
        let Some(buffer) = (!starved).then(|| buffers::take(pending.group)).flatten() else {
            return (-libc::ENOBUFS, None);
        };
        let most = self.pipes[conn].up.len().min(pending.group.buffer_bytes() as usize);
        let is_short = self.chance(self.faults.short_reads) && !self.pipes[conn].together;
        let count = if is_short { self.random.usize(1..=most) } else { most };
        let bytes: Vec<u8> = self.pipes[conn].up.drain(..count).collect();
        // SAFETY: the simulation plays the kernel. Sound: the buffer was just taken, and `count` is at most its size.
        unsafe {
            let to = buffers::address(pending.group, buffer);
            to.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), count);
        }
        // There is room again.
        if !self.pipes[conn].peer_gone {
            self.hear(conn);
        }
        (count as i32, Some(buffer))
    }

    fn sent(&mut self, pending: &Pending, conn: Conn, peers: &mut dyn Peers) -> i32 {
        let pieces = pending.pieces.expect("a send has pieces");
        let mut bytes = Vec::new();
        // SAFETY: the pieces are read as the kernel would, at the end of the operation. Sound: they point into the live operation
        // of the slot, which keeps them until this completion.
        unsafe {
            let header = &*pieces.header;
            for piece in std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen) {
                bytes.extend_from_slice(std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len));
            }
        }
        let pipe = &mut self.pipes[conn];
        if pipe.down_end != End::Open {
            self.fail(format!("conn {conn}: bytes are sent behind the end"));
            return -libc::EPIPE;
        }
        if pipe.peer_reset {
            peers.lost(conn, &bytes);
            return -libc::EPIPE;
        }
        if pipe.peer_gone {
            // The kernel takes them; the answer is a reset.
            pipe.peer_reset = true;
            peers.lost(conn, &bytes);
            return bytes.len() as i32;
        }
        let most = bytes.len().min(pipe.down_room.saturating_sub(pipe.down.len()));
        if pending.cancelled && (most == 0 || self.random.bool()) {
            return -libc::ECANCELED;
        }
        if self.chance(self.faults.interrupted) {
            return -libc::EINTR;
        }
        let count = if self.chance(self.faults.short_writes) { self.random.usize(1..=most) } else { most };
        self.pipes[conn].down.extend(&bytes[..count]);
        self.hear(conn);
        count as i32
    }
}

/// Bytes that a socket's buffer holds: seldom so few that nothing fits at once.
pub fn room(random: &mut Rng) -> usize {
    match random.u8(0..10) {
        0 => random.usize(50..500),
        1..=3 => random.usize(500..5_000),
        _ => 200_000,
    }
}

fn address_of(to: *const libc::sockaddr, length: libc::socklen_t) -> SocketAddr {
    assert_eq!(length as usize, size_of::<libc::sockaddr_in>(), "the simulation knows IPv4 only");
    // SAFETY: the kernel's form is read back. Sound: the length is that of this struct, and the slot keeps it until completion.
    let raw = unsafe { to.cast::<libc::sockaddr_in>().read_unaligned() };
    SocketAddr::from((Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes()), u16::from_be(raw.sin_port)))
}

/// Makes this thread a shard on a simulated driver, and runs `main` on it.
pub fn simulate(
    wire: Rc<RefCell<Wire>>,
    peers: Box<dyn Peers>,
    main: impl Future<Output = ()> + 'static,
) -> io::Result<()> {
    run_on(Driver::Sim(Box::new(Sim { wire, peers, since: epoch() })), main)
}

/// When every simulation begins. The same for all of them: some clocks of the process count from the first look at them.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(|| Instant::now() + Duration::from_secs(1))
}

/// What is left of the shard's timers: sleeps that somebody waits for.
pub fn sleeping() -> usize {
    super::net::with(|net| net.sleeping())
}
