//! The shard's sockets: slots, their operations, their deadlines, and one turn of the loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::buffers::{self, Group, RBuf};
use super::driver::{Completion, Driver, DriverCounts, GENERATION_MASK, Key, Op};
use super::executor::Remote;
use super::limits::{ACCEPTS_WAITING_MAX, CLOSE_TICKS_MAX, TICK_MS};
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
    now: Tick,
    starved: Vec<(Key, Group)>,
    events: VecDeque<(Key, Why)>,
    events_waker: Option<Waker>,
    spare_sends: Vec<Box<SendOp>>,
    sleeps: Sleeps,
    done: Vec<Completion>,
    due: Vec<u64>,
    remote: Arc<Remote>,
}

/// Wheel keys of sleeps have this bit; those of slots do not.
const SLEEP_BIT: u64 = 1 << 63;

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
    let net = Net {
        driver,
        slots: Vec::new(),
        free: Vec::new(),
        wheel: Wheel::new(),
        started: Instant::now(),
        now: 0,
        starved: Vec::new(),
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

/// What the driver of this thread has done so far.
pub fn driver_counts() -> DriverCounts {
    with(|net| net.driver.counts())
}

/// Connections that have a slot, and how many of them are parked.
pub fn sockets_alive() -> (usize, usize) {
    with(|net| {
        let alive = net.slots.iter().filter(|slot| slot.life != Life::Free).count();
        (alive, net.slots.iter().filter(|slot| slot.life == Life::Parked).count())
    })
}

impl Net {
    pub(super) fn nonblocking(&self) -> bool {
        self.driver.nonblocking()
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
            self.slots.push(Slot::free());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        let generation = slot.generation;
        *slot = Slot { fd: fd.into_raw_fd(), generation, life: Life::Held, ..Slot::free() };
        Key { index, generation }
    }

    pub(super) fn poll_recv(&mut self, key: Key, group: Group, context: &Context<'_>) -> Poll<io::Result<RBuf>> {
        let slot = self.slot(key);
        match std::mem::take(&mut slot.inbox) {
            Inbox::Data(bytes) => return Poll::Ready(Ok(bytes)),
            Inbox::End => {
                slot.inbox = Inbox::End;
                return Poll::Ready(Ok(RBuf::empty()));
            }
            Inbox::Failed(errno) => {
                slot.inbox = Inbox::Failed(errno);
                return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
            }
            Inbox::Empty if slot.timed_out => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Inbox::Empty => slot.reader = Some(context.waker().clone()),
        }
        self.arm(key, group);
        Poll::Pending
    }

    /// Starts a receive unless one is under way.
    fn arm(&mut self, key: Key, group: Group) {
        let slot = &mut self.slots[key.index as usize];
        if slot.receiving.is_none() {
            slot.receiving = Some(group);
            let fd = slot.fd;
            self.driver.recv(key, fd, group);
        }
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
        let mut send = match self.spare_sends.pop() {
            Some(mut send) => {
                send.refill(outgoing);
                send
            }
            None => SendOp::new(outgoing),
        };
        let pieces = send.pieces();
        let slot = &mut self.slots[key.index as usize];
        debug_assert!(slot.sending.is_none(), "one send at a time");
        slot.sending = Some(send);
        let fd = slot.fd;
        self.driver.send(key, fd, pieces);
    }

    pub(super) fn start_connect(&mut self, key: Key, address: super::slot::Address) {
        let address = Box::new(address);
        let (pointer, length) = ((&raw const address.storage).cast(), address.length);
        let slot = self.slot(key);
        slot.connecting = Some(address);
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

    /// Sets or clears the deadline of everything that waits on this socket.
    pub(super) fn set_deadline(&mut self, key: Key, after: Option<Duration>) {
        let now = self.now;
        let slot = &mut self.slots[key.index as usize];
        slot.timed_out = false;
        slot.deadline = after.map_or(0, |after| now + timers::ticks(after));
        self.watch_deadline(key);
    }

    fn watch_deadline(&mut self, key: Key) {
        let slot = &mut self.slots[key.index as usize];
        if slot.deadline != 0 && (slot.wheel_at == 0 || slot.wheel_at > slot.deadline) {
            slot.wheel_at = slot.deadline;
            self.wheel.insert(key.pack(Op::Recv), slot.deadline);
        }
    }

    /// The holder lets go: the socket waits for its first byte, its end or its deadline without a task.
    pub(super) fn park(&mut self, key: Key, tag: u64, group: Group) {
        let slot = self.slot(key);
        slot.life = Life::Parked;
        slot.tag = tag;
        (slot.reader, slot.writer) = (None, None);
        match slot.inbox {
            Inbox::Empty => self.arm(key, group),
            Inbox::Data(_) => self.event(key, Why::Readable),
            Inbox::End | Inbox::Failed(_) => self.event(key, Why::Closed),
        }
    }

    /// Takes a parked socket back; false when its event is already on the way or it is gone.
    pub(super) fn unpark(&mut self, key: Key) -> bool {
        match self.find(key) {
            Some(slot) if slot.life == Life::Parked && matches!(slot.inbox, Inbox::Empty) && !slot.timed_out => {
                slot.life = Life::Held;
                true
            }
            _ => false,
        }
    }

    /// A parked socket whose turn has come: held again by whoever takes the event.
    fn event(&mut self, key: Key, why: Why) {
        self.events.push_back((key, why));
        if let Some(waker) = self.events_waker.take() {
            waker.wake();
        }
    }

    pub(super) fn poll_event(&mut self, context: &Context<'_>) -> Poll<(Key, u64, Why)> {
        while let Some((key, why)) = self.events.pop_front() {
            if let Some(slot) = self.find(key)
                && slot.life == Life::Parked
            {
                slot.life = Life::Held;
                return Poll::Ready((key, slot.tag, why));
            }
        }
        self.events_waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The holder dropped it. What was handed over is still sent, within a limit; then the descriptor is closed.
    pub(super) fn close(&mut self, key: Key) {
        let now = self.now;
        let slot = self.slot(key);
        slot.life = Life::Closing;
        (slot.reader, slot.writer) = (None, None);
        slot.inbox = Inbox::Empty;
        slot.accepted = None;
        let cancels = [
            slot.receiving.is_some().then_some(Op::Recv),
            slot.connecting.is_some().then_some(Op::Connect),
            slot.accepting.then_some(Op::Accept),
        ];
        if slot.sending.is_some() {
            slot.deadline = now + CLOSE_TICKS_MAX;
            self.watch_deadline(key);
        }
        cancels.into_iter().flatten().for_each(|op| self.driver.cancel(key, op));
        self.starved.retain(|(starved, _)| *starved != key);
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
        *slot = Slot { generation: (slot.generation + 1) & GENERATION_MASK, ..Slot::free() };
        self.free.push(key.index);
    }

    // --- one turn of the loop -----------------------------------------------------------------------------------------

    /// Hands over, waits (not at all when `busy`), and wakes whoever is concerned.
    pub(super) fn turn(&mut self, busy: bool) -> io::Result<()> {
        self.feed_starved();
        let timeout = self.sleep_time(busy);
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
        Some(at.saturating_sub(self.started.elapsed()))
    }

    fn look_at_clock(&mut self) {
        let instant = Instant::now();
        NOW.with(|now| now.set(Some(instant)));
        self.now = (instant - self.started).as_millis() as u64 / TICK_MS;
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
                debug_assert!(false, "a slot is freed only after its last completion")
            }
            Op::Recv => self.received(key, result, buffer),
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

    fn received(&mut self, key: Key, result: i32, buffer: Option<u16>) {
        let slot = self.slot(key);
        let Some(group) = slot.receiving.take() else {
            return debug_assert!(false, "a receive nobody started");
        };
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
            (1.., Some(bytes)) => slot.inbox = Inbox::Data(bytes),
            (0, _) => slot.inbox = Inbox::End,
            (error, _) if error == -libc::ENOBUFS => {
                self.driver.lend_more(group);
                self.starved.push((key, group));
                return;
            }
            (error, _) if error == -libc::EINTR || error == -libc::EAGAIN => {
                return self.arm(key, group);
            }
            (error, _) if error == -libc::ECANCELED => return,
            (error, _) => slot.inbox = Inbox::Failed(-error),
        }
        match slot.life {
            Life::Parked if result > 0 => self.event(key, Why::Readable),
            Life::Parked => self.event(key, Why::Closed),
            _ => wake(&mut slot.reader),
        }
    }

    fn sent(&mut self, key: Key, result: i32) {
        let slot = &mut self.slots[key.index as usize];
        let Some(mut send) = slot.sending.take() else {
            return debug_assert!(false, "a send nobody started");
        };
        let again = result == -libc::EINTR || result == -libc::EAGAIN;
        if again || (result > 0 && !send.advance(result as usize)) {
            let pieces = send.pieces();
            slot.sending = Some(send);
            let fd = slot.fd;
            return self.driver.send(key, fd, pieces);
        }
        if result <= 0 {
            slot.send_error = if result == 0 { libc::EPIPE } else { -result };
        }
        wake(&mut slot.writer);
        send.release();
        self.spare_sends.push(send);
    }

    fn accepted(&mut self, key: Key, result: i32, more: bool) {
        // SAFETY: a completion carries the descriptor as a number. Sound: the kernel just made it, and it is owned here only.
        let accepted = if result >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(result) }) } else { Err(-result) };
        let slot = self.slot(key);
        slot.accepting = more;
        if slot.life == Life::Closing || result == -libc::ECANCELED {
            return;
        }
        let waiting = slot.accepted.get_or_insert_default();
        waiting.push_back(accepted);
        let full = waiting.len() >= ACCEPTS_WAITING_MAX;
        wake(&mut slot.reader);
        if full && more {
            self.driver.cancel(key, Op::Accept);
        }
    }

    /// Receives that found no buffer start again as soon as there may be one.
    fn feed_starved(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        let mut starved = std::mem::take(&mut self.starved);
        starved.retain(|&(key, group)| {
            if !buffers::available(group) {
                return true;
            }
            if self.find(key).is_some() {
                self.arm(key, group);
            }
            false
        });
        self.starved = starved;
    }

    fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(self.now, &mut due);
        for packed in due.drain(..) {
            if packed & SLEEP_BIT != 0 {
                self.sleeps.fire(packed & !SLEEP_BIT);
            } else {
                self.look_at_deadline(Key::unpack(packed).0);
            }
        }
        self.due = due;
    }

    fn look_at_deadline(&mut self, key: Key) {
        let now = self.now;
        let Some(slot) = self.find(key) else { return };
        if slot.wheel_at <= now {
            slot.wheel_at = 0;
        }
        if slot.deadline == 0 {
            return;
        }
        if slot.deadline > now {
            return self.watch_deadline(key);
        }
        slot.deadline = 0;
        slot.timed_out = true;
        match slot.life {
            Life::Closing => self.driver.cancel(key, Op::Send),
            Life::Parked => self.event(key, Why::Expired),
            Life::Held | Life::Free => {
                wake(&mut slot.reader);
                wake(&mut slot.writer);
            }
        }
    }

    /// Closes everything and waits until the kernel has given back what it held; leaks it where that takes too long.
    fn tear_down(mut self) {
        let since = Instant::now();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let key = Key { index: index as u32, generation: slot.generation };
            if slot.life != Life::Free && slot.life != Life::Closing {
                self.close(key);
            }
        }
        while self.slots.iter().any(|slot| slot.life != Life::Free) {
            if since.elapsed() > Duration::from_millis(super::limits::TEARDOWN_MS_MAX) {
                std::mem::forget(self);
                return;
            }
            self.cancel_sends(since);
            let mut done = std::mem::take(&mut self.done);
            let _ = self.driver.wait(Some(Duration::from_millis(TICK_MS)), &mut done);
            self.look_at_clock();
            done.drain(..).for_each(|completion| self.complete(completion));
            self.done = done;
        }
        // The eventfd's read may still be under way; the ring's counter box must outlive it.
        if let Driver::Uring(ring) = self.driver {
            ring.retire();
        }
    }

    /// Half of the teardown's time is for sends to finish, the other half for their cancellation.
    fn cancel_sends(&mut self, since: Instant) {
        if since.elapsed() < Duration::from_millis(super::limits::TEARDOWN_MS_MAX / 2) {
            return;
        }
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.sending.is_some() {
                self.driver.cancel(Key { index: index as u32, generation: slot.generation }, Op::Send);
            }
        }
    }

    pub(super) fn sleep_start(&mut self, after: Duration) -> u64 {
        let key = self.sleeps.start();
        self.wheel.insert(key | SLEEP_BIT, self.now + timers::ticks(after));
        key
    }

    pub(super) fn sleep_poll(&mut self, key: u64, context: &Context<'_>) -> Poll<()> {
        self.sleeps.poll(key, context)
    }

    pub(super) fn sleep_end(&mut self, key: u64) {
        self.sleeps.end(key);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Sleeping futures: (generation, index) keys into a slab.
#[derive(Default)]
struct Sleeps {
    slots: Vec<SleepSlot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct SleepSlot {
    generation: u32,
    fired: bool,
    waker: Option<Waker>,
}

impl Sleeps {
    fn start(&mut self) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(SleepSlot::default());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.fired = false;
        u64::from(slot.generation) << 32 | u64::from(index)
    }

    fn find(&mut self, key: u64) -> Option<&mut SleepSlot> {
        self.slots.get_mut(key as u32 as usize).filter(|slot| u64::from(slot.generation) == key >> 32)
    }

    fn fire(&mut self, key: u64) {
        if let Some(slot) = self.find(key) {
            slot.fired = true;
            wake(&mut slot.waker);
        }
    }

    fn poll(&mut self, key: u64, context: &Context<'_>) -> Poll<()> {
        match self.find(key) {
            Some(slot) if !slot.fired => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn end(&mut self, key: u64) {
        if let Some(slot) = self.find(key) {
            slot.generation = (slot.generation + 1) & GENERATION_MASK;
            slot.waker = None;
            self.free.push(key as u32);
        }
    }
}
