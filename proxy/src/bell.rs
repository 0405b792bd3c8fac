//! How one thread wakes another that waits for descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Rings from any thread, and is heard once.
#[derive(Debug)]
pub struct Bell {
    event: OwnedFd,
}

impl Bell {
    /// A bell that did not ring yet.
    pub fn new() -> io::Result<Bell> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Bell { event })
    }

    /// Rings.
    pub fn ring(&self) {
        // A counter that is full has rung as well.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Waits for it to ring, or for `other` to have something to read. Whether it rang.
    pub fn wait(&self, other: Option<&OwnedFd>, longest: Option<Duration>) -> bool {
        let mut both = vec![PollFd::new(&self.event, PollFlags::IN)];
        both.extend(other.map(|other| PollFd::new(other, PollFlags::IN)));
        // Interrupted, it is over early.
        let _ = poll(&mut both, longest.map(timespec).as_ref());
        let mut count = [0; 8];
        rustix::io::read(&self.event, &mut count).is_ok()
    }
}

/// As system calls want it.
pub fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_heard_once() {
        let bell = Bell::new().expect("a descriptor");
        assert!(!bell.wait(None, Some(Duration::ZERO)));
        bell.ring();
        bell.ring();
        assert!(bell.wait(None, None));
        assert!(!bell.wait(None, Some(Duration::ZERO)));
    }
}
