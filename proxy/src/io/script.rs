//! The scripted driver: tests play the kernel, with short sends, late completions, ENOBUFS, cancel races and errors.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::buffers::{self, Group};
use super::driver::{Completion, DriverCounts, Key, Op, Pieces};

/// What the shard asked for, in order, and what the test makes of it.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) asked: Vec<(Op, Key)>,
    pub(super) groups: Vec<(Key, Group)>,
    pub(super) sends: Vec<(Key, Vec<u8>)>,
    pub(super) answers: VecDeque<Vec<Completion>>,
    pub(super) waits: usize,
    /// Called at each wait, before the answers are taken.
    pub(super) plot: Option<Box<dyn FnMut(&mut Stage)>>,
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
}

pub(super) struct Script {
    pub(super) stage: Rc<RefCell<Stage>>,
}

impl Script {
    pub(super) fn recv(&mut self, key: Key, _fd: RawFd, group: Group) {
        let mut stage = self.stage.borrow_mut();
        stage.groups.push((key, group));
        stage.asked.push((Op::Recv, key));
    }

    pub(super) fn send(&mut self, key: Key, _fd: RawFd, pieces: Pieces) {
        let mut bytes = Vec::new();
        // SAFETY: the pieces are read as the kernel would. Sound: they point into the live operation of the slot.
        unsafe {
            let header = &*pieces.header;
            for piece in std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen as usize) {
                bytes.extend_from_slice(std::slice::from_raw_parts(piece.iov_base.cast(), piece.iov_len));
            }
        }
        let mut stage = self.stage.borrow_mut();
        stage.sends.push((key, bytes));
        stage.asked.push((Op::Send, key));
    }

    pub(super) fn connect(&mut self, key: Key, _fd: RawFd, _to: *const libc::sockaddr, _length: libc::socklen_t) {
        self.stage.borrow_mut().asked.push((Op::Connect, key));
    }

    pub(super) fn accept(&mut self, key: Key, _fd: RawFd) {
        self.stage.borrow_mut().asked.push((Op::Accept, key));
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn wake_on(&mut self, _fd: RawFd) {}

    pub(super) fn cancel(&mut self, key: Key, _op: Op) {
        self.stage.borrow_mut().asked.push((Op::Cancel, key));
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn forget(&mut self, _key: Key, _fd: RawFd) {}

    pub(super) fn wait(&mut self, _timeout: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        let plot = self.stage.borrow_mut().plot.take();
        if let Some(mut plot) = plot {
            plot(&mut self.stage.borrow_mut());
            self.stage.borrow_mut().plot = Some(plot);
        }
        let mut stage = self.stage.borrow_mut();
        stage.waits += 1;
        assert!(stage.waits < 10_000, "the script has no answer for what the shard waits for: {:?}", stage.asked);
        if let Some(answers) = stage.answers.pop_front() {
            done.extend(answers);
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "the drivers share one shape")]
    pub(super) fn counts(&self) -> DriverCounts {
        DriverCounts::default()
    }
}
