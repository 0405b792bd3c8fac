//! The scripted driver: tests play the kernel, with short sends, late completions, ENOBUFS, cancel races and errors.
//!
//! Its clock is the script's own: a wait that nothing answers jumps to its time-out, so deadlines cost no real time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::buffers::{self, Group};
use super::driver::{Completion, DriverCounts, Key, Op, Pieces, Receive};

/// Waits without an answer before a script counts as stuck.
const WAITS_MAX: usize = 100_000;

/// A kernel played by a closure.
pub(super) type Plot = Box<dyn FnMut(&mut Stage)>;

/// What the shard asked for, in order, and what the test makes of it.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) asked: Vec<(Op, Key)>,
    pub(super) cancels: Vec<(Op, Key)>,
    pub(super) groups: Vec<(Key, Group)>,
    /// Whether each receive may complete many times.
    pub(super) going_on: Vec<(Key, bool)>,
    pub(super) sends: Vec<(Key, Vec<u8>)>,
    pub(super) forgotten: Vec<Key>,
    /// Completions of the coming waits.
    pub(super) answers: VecDeque<Vec<Completion>>,
    /// Started and not ended.
    pub(super) outstanding: Vec<(Op, Key)>,
    /// Cancels are left to the test; otherwise each is answered with ECANCELED.
    pub(super) cancels_by_hand: bool,
    /// The test completes something twice on purpose.
    pub(super) doubles: bool,
    pub(super) waits: usize,
    pub(super) clock: Duration,
    /// Called at each wait, before the answers are taken.
    pub(super) plot: Option<Plot>,
    /// The coming wait fails with this errno.
    pub(super) broken: Option<i32>,
}

impl Stage {
    /// Completes a receive with these bytes.
    pub(super) fn bytes(&self, key: Key, bytes: &[u8]) -> Completion {
        let group = self.groups.iter().rev().find(|(asked, _)| *asked == key).expect("a receive was asked for").1;
        let buffer = buffers::take(group).expect("room in the pool");
        // SAFETY: the test plays the kernel. Sound: the buffer was just taken and is larger than the tests' bytes.
        unsafe { buffers::address(group, buffer).as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Completion { key, op: Op::Recv, result: bytes.len() as i32, buffer: Some(buffer), more: false }
    }

    /// Completes any operation with a number.
    pub(super) fn end(key: Key, op: Op, result: i32) -> Completion {
        Completion { key, op, result, buffer: None, more: false }
    }

    /// The latest slot that asked for `op`.
    pub(super) fn last(&self, op: Op) -> Key {
        self.asked.iter().rev().find(|(asked, _)| *asked == op).expect("it was asked for").1
    }

    pub(super) fn count(&self, op: Op) -> usize {
        self.asked.iter().filter(|(asked, _)| *asked == op).count()
    }

    /// Answers the coming waits in turn.
    pub(super) fn then(&mut self, answer: Completion) {
        self.answers.push_back(vec![answer]);
    }

    fn ask(&mut self, op: Op, key: Key) {
        assert!(!self.outstanding.contains(&(op, key)), "a second {op:?} while one is under way");
        self.asked.push((op, key));
        self.outstanding.push((op, key));
    }

    fn answer(&mut self, completion: &Completion) {
        let what = (completion.op, completion.key);
        let known = self.outstanding.iter().position(|asked| *asked == what);
        assert!(known.is_some() || self.doubles, "the script ends what nobody started: {completion:?}");
        if let (Some(index), false) = (known, completion.more) {
            self.outstanding.remove(index);
        }
    }
}

pub(super) struct Script {
    pub(super) stage: Rc<RefCell<Stage>>,
    pub(super) since: Instant,
}

impl Script {
    pub(super) fn clock(&self) -> Instant {
        self.since + self.stage.borrow().clock
    }

    pub(super) fn recv(&mut self, key: Key, _fd: RawFd, receive: Receive) {
        let mut stage = self.stage.borrow_mut();
        stage.groups.push((key, receive.group));
        stage.going_on.push((key, receive.goes_on));
        stage.ask(Op::Recv, key);
    }

    pub(super) fn send(&mut self, key: Key, _fd: RawFd, pieces: Pieces) {
        let mut bytes = Vec::new();
        // SAFETY: the pieces are read as the kernel would. Sound: they point into the live operation of the slot.
        unsafe {
            let header = &*pieces.header;
            for piece in std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen) {
                bytes.extend_from_slice(std::slice::from_raw_parts(piece.iov_base.cast(), piece.iov_len));
            }
            if pieces.count == 1 {
                assert_eq!(bytes, std::slice::from_raw_parts(pieces.first, pieces.first_length));
            }
        }
        let mut stage = self.stage.borrow_mut();
        stage.sends.push((key, bytes));
        stage.ask(Op::Send, key);
    }

    pub(super) fn connect(&mut self, key: Key, _fd: RawFd, _to: *const libc::sockaddr, _length: libc::socklen_t) {
        self.stage.borrow_mut().ask(Op::Connect, key);
    }

    pub(super) fn accept(&mut self, key: Key, _fd: RawFd) {
        self.stage.borrow_mut().ask(Op::Accept, key);
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn wake_on(&mut self, _fd: RawFd) {}

    pub(super) fn cancel(&mut self, key: Key, op: Op) {
        let mut stage = self.stage.borrow_mut();
        stage.cancels.push((op, key));
        let planned = stage.answers.iter().flatten().any(|answer| (answer.op, answer.key) == (op, key) && !answer.more);
        if !stage.cancels_by_hand && !planned && stage.outstanding.contains(&(op, key)) {
            stage.then(Stage::end(key, op, -libc::ECANCELED));
        }
    }

    pub(super) fn forget(&mut self, key: Key, _fd: RawFd) {
        self.stage.borrow_mut().forgotten.push(key);
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        let plot = self.stage.borrow_mut().plot.take();
        if let Some(mut plot) = plot {
            plot(&mut self.stage.borrow_mut());
            self.stage.borrow_mut().plot = Some(plot);
        }
        let mut stage = self.stage.borrow_mut();
        stage.waits += 1;
        assert!(stage.waits < WAITS_MAX, "the shard turns and turns: {:?}", stage.outstanding);
        if let Some(errno) = stage.broken.take() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        match (stage.answers.pop_front(), timeout) {
            (Some(answers), _) => {
                for answer in &answers {
                    stage.answer(answer);
                }
                done.extend(answers);
            }
            (None, Some(timeout)) => stage.clock += timeout,
            (None, None) => assert!(stage.plot.is_some(), "nobody will answer: {:?}", stage.outstanding),
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn counts(&self) -> DriverCounts {
        DriverCounts::default()
    }
}
