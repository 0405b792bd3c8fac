//! The shard's sockets: slots, their operations, their deadlines, and one turn of the loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;

use super::buffers::{self, Group, RBuf};
use super::driver::{Completion, Driver, DriverCounts, Expect, GENERATION_MASK, Key, Op, Receive};
use super::executor::{self, Remote};
use super::limits::{
    ACCEPTS_WAITING_MAX, CLOSE_TICKS_MAX, FED_PER_TURN_MAX, SPARE_SENDS_MAX, TEARDOWN_MS_MAX, TICK_MS,
};
use super::slot::{Inbox, Life, Outgoing, SendOp, Slot};
use super::timers::{self, Tick, Wheel};

thread_local! {
    static NET: RefCell<Option<Net>> = const { RefCell::new(None) };
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Why a parked connection needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Bytes arrived.
    Readable,
    /// The peer closed or reset it.
    Closed,
    /// Its deadline passed.
    Expired,
}

pub(super) struct Net {
    driver: Driver,
    slots: Vec<Slot>,
    free: Vec<u32>,
    wheel: Wheel,
    started: Instant,
    /// Generations of this shard's slots begin here, so that a handle of an earlier shard of the thread finds nothing.
    first_generation: u32,
    /// Since `started`, at the last look at the clock.
    elapsed: Duration,
    now: Tick,
    /// Slots that parked, of those in `slots`.
    parked: usize,
    /// Sockets beyond which none is opened.
    sockets_max: usize,
    /// Receives without a buffer, by group, in their order.
    pub(super) starved: [VecDeque<Key>; 2],
    /// Buffers came back since, and no receive has failed for want of one: the list is being fed.
    pub(super) feeding: [bool; 2],
    events: VecDeque<Key>,
    events_waker: Option<Waker>,
    #[expect(clippy::vec_box, reason = "the kernel knows the addresses; a slot takes the box as it is")]
    spare_sends: Vec<Box<SendOp>>,
    sleeps: Sleeps,
    done: Vec<Completion>,
    due: Vec<u64>,
    remote: Arc<Remote>,
}

/// Wheel keys of sleeps have this bit; those of slots do not.
const SLEEP_BIT: u64 = 1 << 63;

/// The wakers of other runtimes' combinators may be cloned, woken and dropped in here: none of them may touch a socket.
pub(super) fn with<R>(act: impl FnOnce(&mut Net) -> R) -> R {
    NET.with(|net| act(net.borrow_mut().as_mut().expect("sockets live on worker threads")))
}

/// As `with`, for drops that may come after the shard's end.
pub(super) fn with_if_running(act: impl FnOnce(&mut Net)) {
    let _ = NET.try_with(|net| {
        if let Some(net) = net.borrow_mut().as_mut() {
            act(net);
        }
    });
}

pub(super) fn install(driver: Driver, remote: Arc<Remote>) {
    let mut driver = driver;
    driver.wake_on(remote.fd());
    let started = driver.clock();
    let net = Net {
        driver,
        slots: Vec::new(),
        free: Vec::new(),
        wheel: Wheel::new(),
        started,
        first_generation: executor::shard_number().wrapping_mul(0x9E37_79B1) & GENERATION_MASK,
        elapsed: Duration::ZERO,
        now: 0,
        parked: 0,
        sockets_max: usize::MAX,
        starved: [VecDeque::new(), VecDeque::new()],
        feeding: [false; 2],
        events: VecDeque::new(),
        events_waker: None,
        spare_sends: Vec::new(),
        sleeps: Sleeps::default(),
        done: Vec::new(),
        due: Vec::new(),
        remote,
    };
    NOW.with(|now| now.set(Some(net.started)));
    NET.with(|slot| *slot.borrow_mut() = Some(net));
}

pub(super) fn uninstall() {
    let net = NET.with(|slot| slot.borrow_mut().take());
    if let Some(net) = net {
        net.tear_down();
    }
}

/// The time at the beginning of this turn of the loop: exact enough for deadlines, and free.
pub fn now() -> Instant {
    NOW.with(Cell::get).unwrap_or_else(Instant::now)
}

/// From then until this turn. Most of what is asked for has begun in this very turn, and then nothing has to be reckoned.
#[inline]
pub fn since(then: Instant) -> Duration {
    let now = now();
    if now == then { Duration::ZERO } else { now.saturating_duration_since(then) }
}

/// The time of day.
pub fn wall_clock() -> SystemTime {
    with(|net| net.driver.wall_clock())
}

/// Random bits to seed a generator with; not for secrets.
pub fn seed() -> u64 {
    with(|net| net.driver.seed())
}

/// What the driver of this thread has done so far.
pub fn driver_counts() -> DriverCounts {
    with(|net| net.driver.counts())
}

/// Sockets that have a slot (closing ones included), and how many of them are parked.
pub fn sockets_alive() -> (usize, usize) {
    with(|net| (net.slots.len() - net.free.len(), net.parked))
}

/// Lets the deadline of every parked socket pass whose tag is one of these: a drain.
pub fn expire_parked(tags: impl Fn(u64) -> bool) {
    with(|net| net.expire_parked(tags));
}

/// From now on no socket is opened while there are as many; accepted ones count, and are not held back.
pub fn set_sockets_max(most: u32) {
    with(|net| net.sockets_max = most as usize);
}

impl Net {
    fn expire_parked(&mut self, tags: impl Fn(u64) -> bool) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.life == Life::Parked && tags(slot.tag) {
                self.event(Key { index: index as u32, generation: slot.generation }, Why::Expired);
            }
        }
    }

    /// Up to `count` parked sockets with such a tag, those first whose deadline is nearest: with one idle time for all, these
    /// are the ones that parked first. Walks over all slots.
    pub(super) fn next_to_expire(&self, count: usize, tags: impl Fn(u64) -> bool) -> Vec<(Key, Tick)> {
        let is_one = |slot: &Slot| slot.life == Life::Parked && slot.told.is_none() && tags(slot.tag);
        let parked = self.slots.iter().enumerate().filter(|(_, slot)| is_one(slot));
        let mut found: Vec<(Key, Tick)> = parked
            .map(|(index, slot)| (Key { index: index as u32, generation: slot.generation }, slot.deadline))
            .collect();
        if found.len() > count {
            found.select_nth_unstable_by_key(count, |(_, deadline)| *deadline);
            found.truncate(count);
        }
        found.sort_unstable_by_key(|(_, deadline)| *deadline);
        found
    }

    pub(super) fn instant_of(&self, tick: Tick) -> Instant {
        self.started + Duration::from_millis(tick * TICK_MS)
    }

    /// Takes back a socket that has been parked all the time since it was found, and has nothing to say: its tag. Bytes that
    /// have only just arrived will make their event.
    pub(super) fn unpark_since(&mut self, key: Key, deadline: Tick) -> Option<u64> {
        let slot = self.find(key).filter(|slot| slot.deadline == deadline && slot.life == Life::Parked)?;
        let (tag, fd) = (slot.tag, slot.fd);
        (!self.driver.has_unread(fd) && self.unpark(key)).then_some(tag)
    }

    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.wheel.len()
    }

    #[cfg(test)]
    pub(super) fn sleeping(&self) -> usize {
        self.sleeps.slots.len() - self.sleeps.free.len()
    }

    pub(super) fn nonblocking(&self) -> bool {
        self.driver.nonblocking()
    }

    pub(super) fn stream_socket(&mut self, family: libc::c_int) -> io::Result<OwnedFd> {
        if self.slots.len() - self.free.len() >= self.sockets_max {
            // What is left is for the desk.
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        self.driver.stream_socket(family)
    }

    pub(super) fn shutdown(&mut self, key: Key, how: libc::c_int) {
        if how == libc::SHUT_WR && self.ends_later(key) {
            return;
        }
        let fd = self.slot(key).fd;
        self.driver.shutdown(fd, how);
    }

    pub(super) fn bytes_acked(&mut self, key: Key) -> Option<u64> {
        let fd = self.slot(key).fd;
        self.driver.bytes_acked(fd)
    }

    pub(super) fn reset_when_closed(&mut self, key: Key) {
        let slot = self.slot(key);
        let fd = slot.fd;
        if let Some(session) = slot.session.as_mut() {
            session.be_silent();
        }
        self.driver.reset_when_closed(fd);
    }

    pub(super) fn slot(&mut self, key: Key) -> &mut Slot {
        let slot = &mut self.slots[key.index as usize];
        debug_assert_eq!(slot.generation, key.generation, "a handle outlived its slot");
        slot
    }

    fn find(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation && slot.life != Life::Free).then_some(slot)
    }

    /// Gives a descriptor a slot.
    pub(super) fn adopt(&mut self, fd: OwnedFd) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: self.first_generation, ..Slot::free() });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        let (generation, wheel_at) = (slot.generation, slot.wheel_at);
        *slot = Slot { fd: fd.into_raw_fd(), generation, wheel_at, life: Life::Held, ..Slot::free() };
        Key { index, generation }
    }

    pub(super) fn poll_recv(&mut self, key: Key, group: Group, context: &Context<'_>) -> Poll<io::Result<RBuf>> {
        if self.slot(key).session.is_some() {
            return self.poll_opened(key, group, context);
        }
        self.poll_raw(key, group, context)
    }

    /// What the socket itself has.
    pub(super) fn poll_raw(&mut self, key: Key, group: Group, context: &Context<'_>) -> Poll<io::Result<RBuf>> {
        let slot = self.slot(key);
        match slot.take() {
            Inbox::Data(bytes) => return Poll::Ready(Ok(bytes)),
            Inbox::End => return Poll::Ready(Ok(RBuf::empty())),
            Inbox::Failed(errno) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            Inbox::Empty if slot.timed_out => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Inbox::Empty => slot.reader = Some(context.waker().clone()),
        }
        self.arm(key, group, if group == Group::Small { Expect::Later } else { Expect::Now });
        Poll::Pending
    }

    /// From now on receives end with one piece; `at_once`: one that goes on ends, too.
    pub(super) fn receive_one_by_one(&mut self, key: Key, at_once: bool) {
        let slot = self.slot(key);
        slot.one_by_one = true;
        if at_once && slot.receiving.is_some() && !std::mem::replace(&mut slot.ahead, true) {
            // Who waits for bytes starts it anew.
            self.driver.cancel(key, Op::Recv);
        }
    }

    /// What was received last, or the rest of it, waits for the next reader.
    pub(super) fn put_back(&mut self, key: Key, bytes: RBuf) {
        self.slot(key).put_back(bytes);
    }

    /// Starts a receive unless one is under way or waits for a buffer. It goes on by itself unless its peer has been too fast
    /// for its reader, or buffers are scarce: what nobody has asked for would hold them.
    fn arm(&mut self, key: Key, group: Group, expect: Expect) {
        let slot = &mut self.slots[key.index as usize];
        if slot.receiving.is_none() && !slot.starved {
            slot.receiving = Some(group);
            let goes_on = !(slot.ahead || slot.one_by_one || slot.is_unix || buffers::is_scarce(group));
            let fd = slot.fd;
            self.driver.recv(key, fd, Receive { group, expect, goes_on });
        }
    }

    pub(super) fn is_sendable(&mut self, key: Key) -> io::Result<bool> {
        let slot = self.slot(key);
        if slot.send_error != 0 {
            Err(io::Error::from_raw_os_error(slot.send_error))
        } else {
            Ok(slot.sending.is_none())
        }
    }

    /// Whether sending failed before the kernel took the first byte.
    pub(super) fn failed_unsent(&mut self, key: Key) -> bool {
        let slot = self.slot(key);
        slot.send_error != 0 && !slot.sent_some
    }

    /// Ready when nothing is being sent: the next send may be handed over.
    pub(super) fn poll_sendable(&mut self, key: Key, context: &Context<'_>) -> Poll<io::Result<()>> {
        let slot = self.slot(key);
        if slot.send_error != 0 {
            return Poll::Ready(Err(io::Error::from_raw_os_error(slot.send_error)));
        }
        if slot.sending.is_none() {
            return Poll::Ready(Ok(()));
        }
        if slot.timed_out {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        slot.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Hands bytes over; `poll_sendable` said that it may.
    pub(super) fn start_send(&mut self, key: Key, outgoing: Outgoing) {
        if outgoing.is_empty() {
            return;
        }
        if self.slot(key).session.is_some() {
            return self.send_sealed(key, outgoing);
        }
        self.start_raw(key, outgoing);
    }

    /// Hands over bytes without pieces behind them, if nothing is being sent; gives them back otherwise.
    pub(super) fn offer(&mut self, key: Key, bytes: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        if !self.is_sendable(key)? {
            return Ok(Some(bytes));
        }
        if self.slot(key).session.is_some() || self.spare_sends.is_empty() {
            self.start_send(key, Outgoing::new(bytes));
        } else if !bytes.is_empty()
            && let Some(mut send) = self.spare_sends.pop()
        {
            send.refill_head(bytes);
            self.start_op(key, send);
        }
        Ok(None)
    }

    /// Hands over bytes as they are.
    pub(super) fn start_raw(&mut self, key: Key, outgoing: Outgoing) {
        let send = match self.spare_sends.pop() {
            Some(mut send) => {
                send.refill(outgoing);
                send
            }
            None => SendOp::new(outgoing),
        };
        self.start_op(key, send);
    }

    fn start_op(&mut self, key: Key, send: Box<SendOp>) {
        let slot = &mut self.slots[key.index as usize];
        assert!(slot.sending.is_none(), "one send at a time: the kernel still reads the other one");
        let pieces = slot.sending.insert(send).pieces();
        let fd = slot.fd;
        self.driver.send(key, fd, pieces);
    }

    pub(super) fn start_connect(&mut self, key: Key, address: super::slot::Address) {
        let slot = self.slot(key);
        let address = slot.connecting.insert(Box::new(address));
        let (pointer, length) = ((&raw const address.storage).cast(), address.length);
        let fd = slot.fd;
        self.driver.connect(key, fd, pointer, length);
    }

    pub(super) fn poll_connected(&mut self, key: Key, context: &Context<'_>) -> Poll<io::Result<()>> {
        let slot = self.slot(key);
        match slot.connected {
            Some(0) => Poll::Ready(Ok(())),
            Some(errno) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None if slot.timed_out => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            None => {
                slot.writer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_accept(&mut self, key: Key, context: &Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let slot = self.slot(key);
        let waiting = slot.accepted.get_or_insert_default();
        if let Some(accepted) = waiting.pop_front() {
            return Poll::Ready(accepted.map_err(io::Error::from_raw_os_error));
        }
        slot.reader = Some(context.waker().clone());
        if !slot.accepting {
            slot.accepting = true;
            let fd = slot.fd;
            self.driver.accept(key, fd);
        }
        Poll::Pending
    }

    /// Stops accepting and yields who was accepted before, one after the other; `None` when the kernel accepts no more.
    pub(super) fn poll_stopped(&mut self, key: Key, context: &Context<'_>) -> Poll<Option<io::Result<OwnedFd>>> {
        let slot = self.slot(key);
        if let Some(accepted) = slot.accepted.get_or_insert_default().pop_front() {
            return Poll::Ready(Some(accepted.map_err(io::Error::from_raw_os_error)));
        }
        if !slot.accepting {
            return Poll::Ready(None);
        }
        slot.reader = Some(context.waker().clone());
        self.driver.cancel(key, Op::Accept);
        Poll::Pending
    }

    /// Sets or clears the deadline of everything that waits on this socket.
    pub(super) fn set_deadline(&mut self, key: Key, after: Option<Duration>) {
        let elapsed = self.elapsed;
        let slot = self.slot(key);
        slot.timed_out = false;
        slot.deadline = after.map_or(0, |after| timers::tick_after(elapsed.saturating_add(after)));
        self.watch_deadline(key.index);
    }

    /// As `set_deadline`, but an earlier one stays.
    pub(super) fn expire_within(&mut self, key: Key, after: Duration) {
        let elapsed = self.elapsed;
        let slot = self.slot(key);
        let at = timers::tick_after(elapsed.saturating_add(after));
        slot.timed_out = false;
        slot.deadline = if slot.deadline == 0 { at } else { slot.deadline.min(at) };
        self.watch_deadline(key.index);
    }

    fn watch_deadline(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if slot.deadline != 0 && (slot.wheel_at == 0 || slot.wheel_at > slot.deadline) {
            slot.wheel_at = slot.deadline;
            self.wheel.insert(u64::from(index), slot.deadline);
        }
    }

    /// The holder lets go: the socket waits for its first byte, its end or its deadline without a task.
    pub(super) fn park(&mut self, key: Key, tag: u64, group: Group) {
        let slot = self.slot(key);
        slot.life = Life::Parked;
        slot.tag = tag;
        slot.rest();
        (slot.reader, slot.writer) = (None, None);
        let why = match slot.inbox {
            _ if slot.session.is_some() => self.digest(key),
            Inbox::Data(_) => Some(Why::Readable),
            Inbox::End | Inbox::Failed(_) => Some(Why::Closed),
            Inbox::Empty if slot.timed_out => Some(Why::Expired),
            Inbox::Empty => None,
        };
        self.parked += 1;
        match why {
            Some(why) => self.event(key, why),
            None => self.arm(key, group, Expect::Later),
        }
    }

    /// Takes a parked socket back; false when its event is already on the way or it is gone.
    pub(super) fn unpark(&mut self, key: Key) -> bool {
        match self.find(key) {
            Some(slot) if slot.life == Life::Parked && slot.told.is_none() => {
                slot.life = Life::Held;
                slot.sent_some = false;
                // The time of silence is over; its entry in the wheel finds nothing.
                (slot.deadline, slot.timed_out) = (0, false);
                self.parked -= 1;
                true
            }
            _ => false,
        }
    }

    /// A parked socket whose turn has come: held again by whoever takes the event. One parking makes one event; who speaks
    /// before anybody has taken that of its expiry is heard.
    pub(super) fn event(&mut self, key: Key, why: Why) {
        let slot = &mut self.slots[key.index as usize];
        match slot.told {
            None => {
                slot.told = Some(why);
                self.events.push_back(key);
                wake(&mut self.events_waker);
            }
            Some(Why::Expired) => slot.told = Some(why),
            Some(_) => {}
        }
    }

    pub(super) fn poll_event(&mut self, context: &Context<'_>) -> Poll<(Key, u64, Why)> {
        if let Some(key) = self.events.pop_front() {
            let slot = self.slot(key);
            let why = slot.told.take().unwrap_or(Why::Expired);
            let (tag, fd) = (slot.tag, slot.fd);
            slot.life = Life::Held;
            self.parked -= 1;
            let spoke = why == Why::Expired && self.driver.has_unread(fd);
            return Poll::Ready((key, tag, if spoke { Why::Readable } else { why }));
        }
        self.events_waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The holder dropped it. What was handed over is still sent, within a limit; then the descriptor is closed.
    pub(super) fn close(&mut self, key: Key) {
        let now = self.now;
        // A handle of an earlier shard names nothing here.
        let Some(slot) = self.find(key) else { return };
        if slot.session.is_some() {
            self.say_goodbye(key);
        }
        let slot = self.slot(key);
        let was_parked = slot.life == Life::Parked;
        slot.life = Life::Closing;
        (slot.reader, slot.writer) = (None, None);
        slot.forget_received();
        slot.accepted = None;
        slot.timed_out = false;
        slot.deadline = if slot.sending.is_some() { now + CLOSE_TICKS_MAX } else { 0 };
        let cancels = [
            slot.receiving.is_some().then_some(Op::Recv),
            slot.connecting.is_some().then_some(Op::Connect),
            slot.accepting.then_some(Op::Accept),
        ];
        self.parked -= usize::from(was_parked);
        self.watch_deadline(key.index);
        cancels.into_iter().flatten().for_each(|op| self.driver.cancel(key, op));
        self.release_if_done(key);
    }

    fn release_if_done(&mut self, key: Key) {
        let slot = &mut self.slots[key.index as usize];
        if slot.life != Life::Closing || slot.under_way() {
            return;
        }
        self.driver.forget(key, slot.fd);
        // SAFETY: slots keep raw descriptors. Sound: the slot owned this one since `adopt`, and forgets it here.
        drop(unsafe { OwnedFd::from_raw_fd(slot.fd) });
        let (generation, wheel_at) = ((slot.generation + 1) & GENERATION_MASK, slot.wheel_at);
        *slot = Slot { generation, wheel_at, ..Slot::free() };
        self.free.push(key.index);
    }

    // --- one turn of the loop -----------------------------------------------------------------------------------------

    /// Hands over, waits (not at all when `busy`), and wakes whoever is concerned.
    pub(super) fn turn(&mut self, busy: bool) -> io::Result<()> {
        let more = self.feed_starved();
        let timeout = self.sleep_time(busy || more);
        let mut done = std::mem::take(&mut self.done);
        let waited = self.driver.wait(timeout, &mut done);
        self.look_at_clock();
        for completion in done.drain(..) {
            self.complete(completion);
        }
        self.done = done;
        self.expire();
        waited
    }

    fn sleep_time(&self, busy: bool) -> Option<Duration> {
        if busy {
            return Some(Duration::ZERO);
        }
        let next = self.wheel.next()?;
        let at = Duration::from_millis(next * TICK_MS);
        Some(at.saturating_sub(self.driver.clock() - self.started))
    }

    fn look_at_clock(&mut self) {
        let instant = self.driver.clock();
        NOW.with(|now| now.set(Some(instant)));
        self.elapsed = instant - self.started;
        self.now = self.elapsed.as_millis() as u64 / TICK_MS;
    }

    fn complete(&mut self, completion: Completion) {
        let Completion { key, op, result, buffer, more } = completion;
        match op {
            Op::Wake => {
                self.remote.take_woken();
                self.driver.wake_on(self.remote.fd());
            }
            Op::Cancel => {}
            _ if self.find(key).is_none() => {
                debug_assert!(false, "a slot is freed only after its last completion");
            }
            Op::Recv => self.received(key, result, buffer, more),
            Op::Send => self.sent(key, result),
            Op::Connect => {
                let slot = self.slot(key);
                slot.connecting = None;
                slot.connected = Some(-result);
                wake(&mut slot.writer);
            }
            Op::Accept => self.accepted(key, result, more),
        }
        if op != Op::Wake && op != Op::Cancel {
            self.release_if_done(key);
        }
    }

    fn received(&mut self, key: Key, result: i32, buffer: Option<u16>, more: bool) {
        let slot = self.slot(key);
        let Some(group) = slot.receiving else {
            return debug_assert!(false, "a receive nobody started");
        };
        slot.receiving = more.then_some(group);
        let closing = slot.life == Life::Closing;
        let bytes = buffer.map(|buffer| buffers::view(group, buffer, result.max(0) as u32));
        if buffer.is_some() {
            self.driver.taken(group);
        }
        let slot = &mut self.slots[key.index as usize];
        if closing {
            return;
        }
        match (result, bytes) {
            (1.., Some(bytes)) => {
                // From here on the peer waits for the reader: a piece or two more may come before the cancel does.
                let is_ahead = slot.keep(Inbox::Data(bytes)) || more && buffers::is_scarce(group);
                if is_ahead && !std::mem::replace(&mut slot.ahead, true) && more {
                    self.driver.cancel(key, Op::Recv);
                }
            }
            (0, _) => _ = slot.keep(Inbox::End),
            (error, _) if error == -libc::ENOBUFS => {
                self.driver.lend_more(group);
                return self.starve(key, group);
            }
            (error, _) if error == -libc::EAGAIN => {
                set_blocking(slot.fd);
                return self.arm(key, group, Expect::Later);
            }
            // It was ahead of its reader, or the kernel was interrupted.
            (error, _) if error == -libc::EINTR || error == -libc::ECANCELED => {
                if matches!(slot.inbox, Inbox::Empty) {
                    self.arm(key, group, Expect::Now);
                }
                return;
            }
            (error, _) => _ = slot.keep(Inbox::Failed(-error)),
        }
        let slot = &mut self.slots[key.index as usize];
        match slot.life {
            Life::Parked if slot.session.is_some() => self.received_parked(key, group),
            Life::Parked if result > 0 => self.event(key, Why::Readable),
            Life::Parked => self.event(key, Why::Closed),
            _ => wake(&mut slot.reader),
        }
    }

    /// A parked socket that speaks TLS wakes somebody only when there is something to read, or at its end.
    fn received_parked(&mut self, key: Key, group: Group) {
        match self.digest(key) {
            Some(why) => self.event(key, why),
            None => self.arm(key, group, Expect::Later),
        }
    }

    fn sent(&mut self, key: Key, result: i32) {
        let slot = &mut self.slots[key.index as usize];
        let Some(send) = &mut slot.sending else {
            return debug_assert!(false, "a send nobody started");
        };
        slot.sent_some |= result > 0;
        let again = result == -libc::EINTR || result == -libc::EAGAIN;
        let rest = again || (result > 0 && !send.advance(result as usize));
        // The time of a closing socket may be over: then what is left is given up.
        if rest && !(slot.life == Life::Closing && slot.timed_out) {
            if result == -libc::EAGAIN {
                set_blocking(slot.fd);
            }
            let pieces = send.pieces();
            let fd = slot.fd;
            return self.driver.send(key, fd, pieces);
        }
        if result <= 0 {
            slot.send_error = if result == 0 { libc::EPIPE } else { -result };
        }
        wake(&mut slot.writer);
        let Some(mut send) = slot.sending.take() else { return };
        send.release();
        if self.spare_sends.len() < SPARE_SENDS_MAX {
            self.spare_sends.push(send);
        }
        if self.slot(key).session.is_some() {
            self.pump_on(key);
        }
    }

    fn accepted(&mut self, key: Key, result: i32, more: bool) {
        // SAFETY: a completion carries the descriptor as a number. Sound: the kernel just made it, and it is owned here only.
        let accepted = if result >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(result) }) } else { Err(-result) };
        let slot = self.slot(key);
        slot.accepting = more;
        if slot.life == Life::Closing {
            return;
        }
        // A pause is over: whoever waits starts it again.
        wake(&mut slot.reader);
        if result == -libc::ECANCELED {
            return;
        }
        let waiting = slot.accepted.get_or_insert_default();
        waiting.push_back(accepted);
        if more && waiting.len() == ACCEPTS_WAITING_MAX {
            self.driver.cancel(key, Op::Accept);
        }
    }

    /// Receives that found no buffer start again when there may be one, by portions; true when the next portion is due.
    fn feed_starved(&mut self) -> bool {
        let mut more = false;
        for group in [Group::Small, Group::Large] {
            let list = group as usize;
            if self.starved[list].is_empty() {
                continue;
            }
            self.feeding[list] |= buffers::available(group);
            for _ in 0..FED_PER_TURN_MAX {
                if !self.feeding[list] {
                    break;
                }
                let Some(key) = self.starved[list].pop_front() else { break };
                if let Some(slot) = self.find(key)
                    && slot.starved
                {
                    slot.starved = false;
                    if slot.life != Life::Closing && !self.feed_opened(key) {
                        self.arm(key, group, Expect::Now);
                    }
                }
            }
            more |= self.feeding[list] && !self.starved[list].is_empty();
        }
        more
    }

    fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(self.now, &mut due);
        for packed in due.drain(..) {
            if packed & SLEEP_BIT != 0 {
                if let Some(at) = self.sleeps.fire(packed as u32, self.now) {
                    self.wheel.insert(packed, at);
                }
            } else {
                self.look_at_deadline(packed as u32);
            }
        }
        self.due = due;
    }

    fn look_at_deadline(&mut self, index: u32) {
        let now = self.now;
        let slot = &mut self.slots[index as usize];
        if slot.wheel_at <= now {
            slot.wheel_at = 0;
        }
        if slot.deadline == 0 {
            return;
        }
        if slot.deadline > now {
            return self.watch_deadline(index);
        }
        slot.deadline = 0;
        slot.timed_out = true;
        let key = Key { index, generation: slot.generation };
        match slot.life {
            Life::Closing => {
                // What is cut here must not look like an end to whoever reads on.
                self.driver.reset_when_closed(slot.fd);
                self.driver.cancel(key, Op::Send);
            }
            Life::Parked => self.event(key, Why::Expired),
            Life::Held | Life::Free => {
                wake(&mut slot.reader);
                wake(&mut slot.writer);
            }
        }
    }

    /// Closes everything and waits until the kernel has given back what it held; leaks it where that takes too long.
    fn tear_down(self) {
        // Leaked also when a panic comes in between: freeing what the kernel may still write to would be unsound.
        let mut net = ManuallyDrop::new(self);
        if net.drain() {
            let net = ManuallyDrop::into_inner(net);
            // The eventfd's read may still be under way; the ring's counter box must outlive it.
            if let Driver::Uring(ring) = net.driver {
                ring.retire();
            }
        }
    }

    /// True when every slot is free, so that the kernel holds nothing.
    fn drain(&mut self) -> bool {
        let since = self.driver.clock();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let key = Key { index: index as u32, generation: slot.generation };
            if slot.life != Life::Free && slot.life != Life::Closing {
                self.close(key);
            }
        }
        while self.free.len() < self.slots.len() {
            let took = self.driver.clock() - since;
            if took > Duration::from_millis(TEARDOWN_MS_MAX) {
                return false;
            }
            // Half of the time is for sends to finish, the other half for their cancellation.
            if took > Duration::from_millis(TEARDOWN_MS_MAX / 2) {
                self.cancel_sends();
            }
            let mut done = std::mem::take(&mut self.done);
            // An error leaves this loop by its time.
            let _ = self.driver.wait(Some(Duration::from_millis(TICK_MS)), &mut done);
            done.drain(..).for_each(|completion| self.complete(completion));
            self.done = done;
        }
        true
    }

    fn cancel_sends(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.sending.is_some() && !std::mem::replace(&mut slot.timed_out, true) {
                let key = Key { index: index as u32, generation: slot.generation };
                self.driver.cancel(key, Op::Send);
            }
        }
    }

    pub(super) fn sleep_start(&mut self, after: Duration) -> u64 {
        // Not the time of the turn: a long task would make its sleeps too short.
        let elapsed = self.driver.clock() - self.started;
        let (key, insert) = self.sleeps.start(timers::tick_after(elapsed.saturating_add(after)));
        if let Some(at) = insert {
            self.wheel.insert(key & u64::from(u32::MAX) | SLEEP_BIT, at);
        }
        key
    }

    pub(super) fn sleep_poll(&mut self, key: u64, context: &Context<'_>) -> Poll<()> {
        self.sleeps.poll(key, context)
    }

    pub(super) fn sleep_end(&mut self, key: u64) {
        self.sleeps.end(key);
    }
}

/// A kernel that honours `O_NONBLOCK` answers EAGAIN instead of waiting, and asking again would turn in circles. Linux 6.18
/// waits all the same; this keeps older ones from spinning.
fn set_blocking(fd: RawFd) {
    // SAFETY: slots keep raw descriptors. Sound: the slot owns this one, so it is open for the time of the call.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let _ = rustix::fs::fcntl_getfl(fd).and_then(|flags| rustix::fs::fcntl_setfl(fd, flags - OFlags::NONBLOCK));
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Sleeping futures: (generation, index) keys into a slab. The wheel knows indices only, and a slot's entry outlives its
/// sleep for the next one, so that time-outs that are set and dropped all the time cost the wheel nothing.
#[derive(Default)]
struct Sleeps {
    slots: Vec<SleepSlot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct SleepSlot {
    generation: u32,
    /// 0: over, or never begun.
    until: Tick,
    /// The wheel's next entry for this index.
    wheel_at: Tick,
    waker: Option<Waker>,
}

impl SleepSlot {
    /// When the wheel has to have an entry that it has not.
    fn watch(&mut self) -> Option<Tick> {
        let insert = self.until != 0 && (self.wheel_at == 0 || self.wheel_at > self.until);
        insert.then(|| {
            self.wheel_at = self.until;
            self.until
        })
    }
}

impl Sleeps {
    /// The key, and the tick of a new entry in the wheel.
    fn start(&mut self, until: Tick) -> (u64, Option<Tick>) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(SleepSlot::default());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.until = until;
        (u64::from(slot.generation) << 32 | u64::from(index), slot.watch())
    }

    fn find(&mut self, key: u64) -> Option<&mut SleepSlot> {
        self.slots.get_mut(key as u32 as usize).filter(|slot| u64::from(slot.generation) == key >> 32)
    }

    /// An entry of the wheel came up: the sleep ends, or the tick of its next entry comes back.
    fn fire(&mut self, index: u32, now: Tick) -> Option<Tick> {
        let slot = &mut self.slots[index as usize];
        if slot.wheel_at <= now {
            slot.wheel_at = 0;
        }
        if slot.until > now {
            return slot.watch();
        }
        if slot.until != 0 {
            slot.until = 0;
            wake(&mut slot.waker);
        }
        None
    }

    fn poll(&mut self, key: u64, context: &Context<'_>) -> Poll<()> {
        match self.find(key) {
            Some(slot) if slot.until != 0 => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn end(&mut self, key: u64) {
        if let Some(slot) = self.find(key) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.until = 0;
            slot.waker = None;
            self.free.push(key as u32);
        }
    }
}
