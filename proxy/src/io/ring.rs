//! The `io_uring` driver: one ring per worker, `DEFER_TASKRUN` with `SINGLE_ISSUER`, provided-buffer rings, plain descriptors.
//!
//! Started operations only fill the submission queue; one `io_uring_enter` per turn of the loop hands them over and
//! collects what completed. Needs Linux 6.1 (`DEFER_TASKRUN`); `probe` says why not, where it cannot be had.

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::buffers::{self, Group};
use super::driver::{Completion, DriverCounts, Expect, Key, Op, Pieces, Receive};
use super::limits::{
    COMPLETION_ENTRIES, LARGE_RING_ENTRIES, RING_ENTRIES, RING_FILL_START, SHORTAGE_PAUSE, SMALL_RING_ENTRIES,
    UNASKED_LARGE_BYTES_MAX, UNASKED_SMALL_BYTES_MAX,
};

/// `IORING_RECVSEND_POLL_FIRST` (Linux 5.19).
const POLL_FIRST: u16 = 1;

/// `IORING_RECV_MULTISHOT` (Linux 6.0).
const MULTISHOT: u16 = 2;

/// What a new ring tries out.
const GOING_ON: Receive = Receive { group: Group::Small, expect: Expect::Now, goes_on: true };

/// What it tries out is answered at once, or never.
const ANSWER_WAIT: Duration = Duration::from_millis(20);

/// Waits for an answer: signals may end some of them early.
const ANSWER_WAITS_MAX: u32 = 5;

pub(super) struct Ring {
    uring: IoUring,
    lent: [Lent; 2],
    wake_count: Box<u64>,
    /// Completions that had to be collected while operations were started.
    early: Vec<Completion>,
    counts: DriverCounts,
    /// Receives can go on, up to a limit.
    receives_go_on: bool,
}

impl Ring {
    /// Sets a ring up for this thread alone.
    pub(super) fn new() -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_clamp()
            .setup_cqsize(COMPLETION_ENTRIES)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(RING_ENTRIES)?;
        let params = ring.params();
        if !params.is_feature_ext_arg() || !params.is_feature_nodrop() || !params.is_feature_fast_poll() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel's io_uring lacks EXT_ARG, NODROP or FAST_POLL",
            ));
        }
        let lent = [Lent::new(Group::Small), Lent::new(Group::Large)];
        for lent in &lent {
            // SAFETY: registering is how a buffer ring is made known. Sound: the entries are page aligned, zeroed, of the
            // registered count, and never freed (`Lent` leaks them), so the kernel may keep the address as long as it likes.
            unsafe {
                ring.submitter().register_buf_ring_with_flags(
                    lent.entries.as_ptr() as u64,
                    lent.capacity,
                    lent.group as u16,
                    0,
                )?;
            }
        }
        let counts = DriverCounts::default();
        let mut ring =
            Ring { uring: ring, lent, wake_count: Box::new(0), early: Vec::new(), counts, receives_go_on: true };
        ring.receives_go_on = ring.knows_limit_of_receive() && ring.tells_the_end();
        Ok(ring)
    }

    /// Whether a receive that goes on may have a limit (Linux 6.17): without one it takes 32 buffers at a time, asked or not. A
    /// kernel that knows it finds fault with the descriptor; others, which have another field there, with the limit.
    fn knows_limit_of_receive(&mut self) -> bool {
        self.recv(Key::SHARD, -1, GOING_ON);
        self.answers(|last| last.result < 0).last() == Some(&-libc::EBADF)
    }

    /// Whether a receive that goes on is told of an end that comes together with the last bytes: some kernels forget it
    /// (axboe/liburing#1549).
    fn tells_the_end(&mut self) -> bool {
        let Ok((ours, mut theirs)) = UnixStream::pair() else { return false };
        // One for the byte; the kernel wants another before it sees that nothing more is there.
        self.lent[Group::Small as usize].fill(2);
        self.recv(Key::SHARD, ours.as_raw_fd(), GOING_ON);
        let has_said = self.enter_only().is_ok() && theirs.write_all(b"x").is_ok();
        drop(theirs);
        let tells = has_said && self.answers(|last| last.result <= 0) == [1, 0];
        if !tells {
            self.cancel(Key::SHARD, Op::Recv);
            self.answers(|last| last.op == Op::Recv && !last.more);
        }
        tells
    }

    /// The results of what was just started, as far as they come within a moment, the last of them included.
    fn answers(&mut self, is_last: impl Fn(&Completion) -> bool) -> Vec<i32> {
        let (mut done, mut results) = (Vec::new(), Vec::new());
        for _ in 0..ANSWER_WAITS_MAX {
            let timespec = Timespec::from(ANSWER_WAIT);
            // What went wrong shows in what does not come.
            let _ = self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec));
            self.collect(&mut done);
            for completion in &done {
                results.push(completion.result);
                if let Some(buffer) = completion.buffer {
                    self.taken(Group::Small);
                    drop(buffers::view(Group::Small, buffer, completion.result.max(0) as u32));
                }
            }
            if done.drain(..).any(|completion| is_last(&completion)) {
                break;
            }
        }
        results
    }

    pub(super) fn recv(&mut self, key: Key, fd: RawFd, receive: Receive) {
        let Receive { group, expect, goes_on } = receive;
        let goes_on = goes_on && self.receives_go_on;
        let (how, most) = match expect {
            // Never with POLL_FIRST: of bytes and a reset that are there already, Linux 6.18 would tell the bytes alone.
            _ if goes_on => (MULTISHOT, 0),
            Expect::Later => (POLL_FIRST, group.buffer_bytes()),
            Expect::Now => (0, group.buffer_bytes()),
        };
        let recv = opcode::Recv::new(Fd(fd), std::ptr::null_mut(), most).buf_group(group as u16);
        let mut entry = recv.ioprio(how).build();
        if goes_on {
            limit(&mut entry, unasked_max(group));
        }
        self.push(&entry.flags(squeue::Flags::BUFFER_SELECT).user_data(key.pack(Op::Recv)));
    }

    pub(super) fn send(&mut self, key: Key, fd: RawFd, pieces: Pieces) {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = if pieces.count == 1 {
            opcode::Send::new(Fd(fd), pieces.first, pieces.first_length as u32).flags(flags).build()
        } else {
            opcode::SendMsg::new(Fd(fd), pieces.header).flags(flags as u32).build()
        };
        self.push(&entry.user_data(key.pack(Op::Send)));
    }

    pub(super) fn connect(&mut self, key: Key, fd: RawFd, address: *const libc::sockaddr, length: libc::socklen_t) {
        let entry = opcode::Connect::new(Fd(fd), address, length).build();
        self.push(&entry.user_data(key.pack(Op::Connect)));
    }

    pub(super) fn accept(&mut self, key: Key, fd: RawFd) {
        let entry = opcode::AcceptMulti::new(Fd(fd)).flags(libc::SOCK_CLOEXEC).build();
        self.push(&entry.user_data(key.pack(Op::Accept)));
    }

    pub(super) fn wake_on(&mut self, fd: RawFd) {
        let entry = opcode::Read::new(Fd(fd), std::ptr::from_mut(&mut *self.wake_count).cast(), 8).build();
        self.push(&entry.user_data(Key::SHARD.pack(Op::Wake)));
    }

    pub(super) fn cancel(&mut self, key: Key, op: Op) {
        let entry = opcode::AsyncCancel::new(key.pack(op)).build();
        self.push(&entry.user_data(key.pack(Op::Cancel)));
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn forget(&mut self, _key: Key, _fd: RawFd) {}

    pub(super) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        self.lend();
        self.counts.enters += 1;
        let timeout = if self.early.is_empty() { timeout } else { Some(Duration::ZERO) };
        done.append(&mut self.early);
        let entered = match timeout {
            None => self.uring.submitter().submit_and_wait(1),
            Some(Duration::ZERO) => self.enter_only(),
            Some(timeout) => {
                let timespec = Timespec::from(timeout);
                self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec))
            }
        };
        match entered {
            Ok(_) => {}
            // Time passed, a signal came, or the completion queue must be drained first: all are answered by going on.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {}
            // The kernel has no memory for it now: what was started stays in the queue, and is handed over with the next turn.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM)) => {
                std::thread::sleep(SHORTAGE_PAUSE);
            }
            Err(error) => return Err(error),
        }
        self.collect(done);
        Ok(())
    }

    pub(super) fn counts(&self) -> DriverCounts {
        self.counts
    }

    /// The end of the ring. Its counter may still be written to by the eventfd's read, so it is leaked.
    pub(super) fn retire(self) {
        Box::leak(self.wake_count);
    }

    /// Hands over and lets deferred completions run, without arming a timer to wait for none.
    fn enter_only(&mut self) -> io::Result<usize> {
        const GETEVENTS: u32 = 1;
        let count = self.uring.submission().len() as u32;
        // SAFETY: the crate's safe calls cannot ask for GETEVENTS with nothing to wait for. Sound: as for `submit`: the
        // entries are complete, `count` is their number, and there is no argument.
        unsafe { self.uring.submitter().enter::<libc::sigset_t>(count, 0, GETEVENTS, None) }
    }

    fn collect(&mut self, done: &mut Vec<Completion>) {
        for entry in &mut self.uring.completion() {
            let (key, op) = Key::unpack(entry.user_data());
            let buffer = cqueue::buffer_select(entry.flags());
            done.push(Completion { key, op, result: entry.result(), buffer, more: cqueue::more(entry.flags()) });
        }
    }

    /// The slot's word on what became of a buffer of this ring: it is the caller's now.
    pub(super) fn taken(&mut self, group: Group) {
        let lent = &mut self.lent[group as usize];
        debug_assert!(lent.out > 0);
        lent.out -= 1;
    }

    /// A receive found the ring empty: lend twice as many from now on, however many receives of this turn found it so.
    pub(super) fn lend_more(&mut self, group: Group) {
        self.counts.starved += 1;
        let lent = &mut self.lent[group as usize];
        lent.target = (lent.filled * 2).min(lent.capacity);
    }

    fn lend(&mut self) {
        for lent in &mut self.lent {
            lent.filled = lent.target;
            lent.fill(lent.target);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        self.counts.operations += 1;
        loop {
            // SAFETY: pushing raw entries is the ring's interface. Sound: everything an entry points to (send pieces,
            // addresses, the wake counter) is boxed and kept until its completion has been collected.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return;
            }
            self.counts.enters += 1;
            // A full queue is handed over early. On an error (EBUSY, EAGAIN) the kernel has no room for more: room is made by
            // collecting what is complete.
            if self.uring.submitter().submit().is_err() {
                let mut early = std::mem::take(&mut self.early);
                self.collect(&mut early);
                self.early = early;
            }
        }
    }
}

fn unasked_max(group: Group) -> u32 {
    match group {
        Group::Small => UNASKED_SMALL_BYTES_MAX,
        Group::Large => UNASKED_LARGE_BYTES_MAX,
    }
}

/// Lets a receive that goes on end after so many bytes.
fn limit(entry: &mut squeue::Entry, bytes: u32) {
    /// Of `optlen` in `struct io_uring_sqe` (`linux/io_uring.h`).
    const AT: usize = 44;
    const _: () = assert!(size_of::<squeue::Entry>() == 64, "an entry is the kernel's structure");
    // SAFETY: the crate has no name for this field of a receive. Sound: the place lies inside the entry, is aligned, and of the
    // field's type; the structure is the kernel's interface, so it cannot change.
    unsafe { std::ptr::from_mut(entry).cast::<u32>().add(AT / size_of::<u32>()).write(bytes) };
}

/// A provided-buffer ring: what of a pool is lent to the kernel.
struct Lent {
    group: Group,
    entries: NonNull<BufRingEntry>,
    capacity: u16,
    target: u16,
    /// The target when it was filled last.
    filled: u16,
    tail: u16,
    out: u16,
}

impl Lent {
    fn new(group: Group) -> Lent {
        let capacity = match group {
            Group::Small => SMALL_RING_ENTRIES,
            Group::Large => LARGE_RING_ENTRIES,
        };
        let bytes = capacity as usize * size_of::<BufRingEntry>();
        // The kernel wants a page; a leaked page-aligned block is simpler than a mapping and as lasting.
        let block = Box::leak(vec![Page([0; 4096]); bytes.div_ceil(4096)].into_boxed_slice());
        let entries = NonNull::from(block).cast::<BufRingEntry>();
        Lent { group, entries, capacity, target: RING_FILL_START, filled: RING_FILL_START, tail: 0, out: 0 }
    }

    fn fill(&mut self, target: u16) {
        if self.out >= target {
            return;
        }
        while self.out < target {
            let Some(buffer) = buffers::take(self.group) else {
                break;
            };
            let index = (self.tail & (self.capacity - 1)) as usize;
            // SAFETY: the ring's entries are shared with the kernel, so they are written in place. Sound: `index` is below
            // the capacity, the kernel does not read entries at or beyond the tail, and the buffer stays allocated for ever.
            let entry = unsafe { self.entries.add(index).as_mut() };
            entry.set_addr(buffers::address(self.group, buffer).as_ptr() as u64);
            entry.set_len(self.group.buffer_bytes());
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            self.out += 1;
        }
        // SAFETY: the tail is a 16-bit word inside the ring, read by the kernel. Sound: the pointer is aligned and valid, and
        // the release store makes the entries written above visible before the new tail is.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

#[derive(Clone)]
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "only its size and alignment matter")] [u8; 4096]);

/// Says what the ring can do, or why it cannot be had (`ENOSYS`, `EPERM`, an old kernel, a container's filter).
pub fn probe() -> Result<String, String> {
    match Ring::new() {
        Ok(ring) => {
            let params = ring.uring.params();
            let mut features = vec!["defer_taskrun", "single_issuer", "buffer_ring", "accept_multishot"];
            if ring.receives_go_on {
                features.push("recv_multishot");
            }
            if params.is_feature_recvsend_bundle() {
                features.push("bundles");
            }
            if params.is_feature_min_timeout() {
                features.push("min_timeout");
            }
            Ok(features.join(","))
        }
        Err(error) => Err(why_not(&error)),
    }
}

fn why_not(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel has no io_uring, or a sandbox hides it (ENOSYS)".into(),
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden (EPERM): see kernel.io_uring_disabled, kernel.io_uring_group and the sandbox's seccomp filter".into()
        }
        Some(libc::EINVAL) => "the kernel is older than 6.1: no DEFER_TASKRUN or no buffer rings (EINVAL)".into(),
        Some(libc::ENOMEM) => "not enough locked memory for a ring (ENOMEM): raise LimitMEMLOCK".into(),
        _ => format!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    const KEY: Key = Key { index: 3, generation: 5 };
    const ONCE: Receive = Receive { group: Group::Small, expect: Expect::Now, goes_on: false };

    /// `None` where the kernel has no ring to test.
    fn ring() -> Option<Ring> {
        Ring::new().inspect_err(|error| eprintln!("not tested: {}", why_not(error))).ok()
    }

    fn pair() -> (OwnedFd, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (ours.into(), theirs)
    }

    fn wait(ring: &mut Ring, timeout: Duration) -> Vec<(Op, i32, bool)> {
        let mut done = Vec::new();
        ring.wait(Some(timeout), &mut done).expect("no error");
        done.into_iter()
            .map(|completion| {
                if let Some(buffer) = completion.buffer {
                    ring.taken(Group::Small);
                    drop(buffers::view(Group::Small, buffer, completion.result.max(0) as u32));
                }
                (completion.op, completion.result, completion.buffer.is_some())
            })
            .collect()
    }

    #[test]
    fn a_wait_without_time_hands_over_and_runs_deferred_completions() {
        let Some(mut ring) = ring() else { return };
        let (ours, mut theirs) = pair();
        ring.recv(KEY, ours.as_raw_fd(), ONCE);
        assert_eq!(wait(&mut ring, Duration::ZERO), []);
        theirs.write_all(b"now").expect("room");
        let began = Instant::now();
        let mut done = Vec::new();
        while done.is_empty() && began.elapsed() < Duration::from_secs(5) {
            done = wait(&mut ring, Duration::ZERO);
        }
        assert_eq!(done, [(Op::Recv, 3, true)]);
    }

    #[test]
    fn a_wait_lasts_its_time_and_no_longer() {
        let Some(mut ring) = ring() else { return };
        let (ours, mut theirs) = pair();
        ring.recv(KEY, ours.as_raw_fd(), ONCE);
        for _ in 0..2 {
            // With and without an entry to submit.
            let began = Instant::now();
            assert_eq!(wait(&mut ring, Duration::from_millis(20)), []);
            assert!(began.elapsed() >= Duration::from_millis(20));
        }
        theirs.write_all(b"early").expect("room");
        let began = Instant::now();
        assert_eq!(wait(&mut ring, Duration::from_secs(30)), [(Op::Recv, 5, true)]);
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_probe_takes_no_buffers() {
        for _ in 0..=super::super::limits::LARGE_BUFFERS_MAX / RING_FILL_START {
            if probe().is_err() {
                return;
            }
        }
        assert!(buffers::take(Group::Large).is_some());
    }

    #[test]
    fn the_count_of_lent_buffers_is_exact() {
        let Some(mut ring) = ring() else { return };
        let second = Duration::from_secs(1);
        // The end, a cancel, an error and bytes: only the last one takes a buffer.
        for _ in 0..RING_FILL_START * 2 {
            let (ours, theirs) = pair();
            ring.recv(KEY, ours.as_raw_fd(), ONCE);
            drop(theirs);
            assert_eq!(wait(&mut ring, second), [(Op::Recv, 0, false)]);
            let (ours, mut theirs) = pair();
            ring.recv(KEY, ours.as_raw_fd(), ONCE);
            assert_eq!(wait(&mut ring, Duration::ZERO), []);
            ring.cancel(KEY, Op::Recv);
            let mut done = wait(&mut ring, second);
            if done.len() < 2 {
                done.extend(wait(&mut ring, second));
            }
            assert!(done.contains(&(Op::Recv, -libc::ECANCELED, false)), "{done:?}");
            ring.recv(KEY, 1_000_000, ONCE);
            assert_eq!(wait(&mut ring, second), [(Op::Recv, -libc::EBADF, false)]);
            ring.recv(KEY, ours.as_raw_fd(), ONCE);
            theirs.write_all(b"bytes").expect("room");
            assert_eq!(wait(&mut ring, second), [(Op::Recv, 5, true)]);
        }
        assert_eq!(ring.lent[0].out, RING_FILL_START - 1);
        assert_eq!(ring.counts().starved, 0);
    }

    #[test]
    fn an_empty_ring_of_buffers_says_so_and_is_filled_more_generously_once_for_all_that_found_it_so() {
        const SHORT: u16 = 3;
        let Some(mut ring) = ring() else { return };
        let mut pairs: Vec<_> = (0..RING_FILL_START + SHORT).map(|_| pair()).collect();
        for (index, (ours, theirs)) in pairs.iter_mut().enumerate() {
            theirs.write_all(b"x").expect("room");
            ring.recv(Key { index: index as u32, generation: 0 }, ours.as_raw_fd(), ONCE);
        }
        let done = wait(&mut ring, Duration::from_secs(1));
        assert_eq!(done.len(), usize::from(RING_FILL_START + SHORT));
        assert!(done.ends_with(&[(Op::Recv, -libc::ENOBUFS, false); SHORT as usize]));
        for lent in [2, 4] {
            (0..SHORT).for_each(|_| ring.lend_more(Group::Small));
            wait(&mut ring, Duration::ZERO);
            assert_eq!(ring.lent[0].out, RING_FILL_START * lent);
        }
    }

    #[test]
    fn a_kernel_that_knows_limits_of_receives_tells_of_their_ends() {
        let Some(mut ring) = ring() else { return };
        let tells = std::mem::replace(&mut ring.receives_go_on, true);
        assert_eq!(tells, ring.knows_limit_of_receive(), "a kernel with a fault, or a trial with one");
    }

    #[test]
    fn a_receive_that_goes_on_ends_at_its_limit() {
        let Some(mut ring) = ring() else { return };
        if !ring.receives_go_on {
            return eprintln!("not tested: the kernel knows no limit of receives");
        }
        let (ours, mut theirs) = pair();
        let (second, more) = (Duration::from_secs(1), Receive { goes_on: true, ..ONCE });
        ring.recv(KEY, ours.as_raw_fd(), more);
        for count in 1..=5 {
            theirs.write_all(&[7; 5][..count]).expect("room");
            assert_eq!(wait(&mut ring, second), [(Op::Recv, count as i32, true)]);
        }
        assert_eq!(ring.counts().operations, 3, "what the kernel knows and tells, and one receive");
        let full = Group::Small.buffer_bytes() as usize;
        let limit = unasked_max(Group::Small) as usize / full;
        theirs.write_all(&vec![7; full * (limit + 1)]).expect("room");
        assert_eq!(wait(&mut ring, second), vec![(Op::Recv, full as i32, true); limit], "the rest is not asked for");
        assert_eq!(wait(&mut ring, Duration::from_millis(20)), []);
        ring.recv(KEY, ours.as_raw_fd(), more);
        assert_eq!(wait(&mut ring, second), [(Op::Recv, full as i32, true)]);
        drop(theirs);
        assert_eq!(wait(&mut ring, second), [(Op::Recv, 0, false)]);
    }

    #[test]
    fn the_end_of_a_stream_is_told_though_it_comes_with_the_last_bytes() {
        use std::net::{TcpListener, TcpStream};

        let Some(mut ring) = ring() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        for _ in 0..20 {
            let mut theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("a queue");
            let (ours, _) = listener.accept().expect("it has connected");
            ring.recv(KEY, ours.as_raw_fd(), Receive { expect: Expect::Later, goes_on: true, ..ONCE });
            wait(&mut ring, Duration::ZERO);
            theirs.write_all(b"last").expect("room");
            drop(theirs);
            let mut told = Vec::new();
            while told.last().is_none_or(|(_, count, _)| *count > 0) {
                let done = wait(&mut ring, Duration::from_secs(5));
                assert!(!done.is_empty(), "the end is not told: {told:?}");
                told.extend(done);
                if !ring.receives_go_on && told.len() == 1 {
                    ring.recv(KEY, ours.as_raw_fd(), ONCE);
                }
            }
            assert_eq!(told, [(Op::Recv, 4, true), (Op::Recv, 0, false)]);
        }
    }

    /// The bytes and the reset are there when the receive is armed: after a limit, or for whoever parks.
    #[test]
    fn a_reset_behind_bytes_is_told() {
        use std::net::{TcpListener, TcpStream};

        let Some(mut ring) = ring() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        for (expect, goes_on) in [(Expect::Later, true), (Expect::Now, true), (Expect::Later, false)] {
            let mut theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("a queue");
            let (ours, _) = listener.accept().expect("it has connected");
            theirs.write_all(b"last").expect("room");
            socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).expect("a socket");
            drop(theirs);
            let mut told = Vec::new();
            let receive = Receive { expect, goes_on, ..ONCE };
            ring.recv(KEY, ours.as_raw_fd(), receive);
            told.extend(wait(&mut ring, Duration::ZERO));
            while told.last().is_none_or(|(_, count, _)| *count > 0) {
                if told.len() == 1 && !(goes_on && ring.receives_go_on) {
                    ring.recv(KEY, ours.as_raw_fd(), receive);
                }
                let done = wait(&mut ring, Duration::from_secs(5));
                assert!(!done.is_empty(), "the reset is not told: {told:?}");
                told.extend(done);
            }
            assert_eq!(told.last(), Some(&(Op::Recv, -libc::ECONNRESET, false)), "{told:?}");
        }
    }

    #[test]
    fn more_completions_than_the_queue_holds_all_arrive() {
        let Some(mut ring) = ring() else { return };
        let count = COMPLETION_ENTRIES as usize * 2;
        for _ in 0..count {
            ring.cancel(KEY, Op::Recv);
        }
        let (began, mut done) = (Instant::now(), 0);
        while done < count && began.elapsed() < Duration::from_secs(10) {
            done += wait(&mut ring, Duration::from_millis(10)).len();
        }
        assert_eq!(done, count);
    }

    #[test]
    fn a_send_that_has_to_wait_completes_once_and_whole() {
        use std::io::Read as _;

        let Some(mut ring) = ring() else { return };
        let (ours, mut theirs) = pair();
        let bytes = vec![7; 1 << 20];
        let mut send = super::super::slot::SendOp::new(super::super::Outgoing::new(bytes));
        ring.send(KEY, ours.as_raw_fd(), send.pieces());
        assert_eq!(wait(&mut ring, Duration::from_millis(20)), [], "the peer does not read yet");
        let peer = std::thread::spawn(move || theirs.read_exact(&mut vec![0; 1 << 20]));
        assert_eq!(wait(&mut ring, Duration::from_secs(5)), [(Op::Send, 1 << 20, false)], "MSG_WAITALL");
        peer.join().expect("the peer").expect("all of it");
    }

    #[test]
    fn a_cancelled_send_tells_what_had_left() {
        let Some(mut ring) = ring() else { return };
        let (ours, _theirs) = pair();
        let mut send = super::super::slot::SendOp::new(super::super::Outgoing::new(vec![7; 1 << 20]));
        ring.send(KEY, ours.as_raw_fd(), send.pieces());
        assert_eq!(wait(&mut ring, Duration::from_millis(20)), []);
        ring.cancel(KEY, Op::Send);
        let mut done = wait(&mut ring, Duration::from_secs(1));
        if done.len() < 2 {
            done.extend(wait(&mut ring, Duration::from_secs(1)));
        }
        let left = done.iter().find(|(op, ..)| *op == Op::Send).expect("it ended").1;
        assert!(left > 0 && left < 1 << 20, "{left}");
    }
}
