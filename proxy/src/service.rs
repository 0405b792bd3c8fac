//! What the service manager is told (`sd_notify(3)`), and the watchdog that tells it only the truth.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use admin::Closer;
use sd_notify::NotifyState;

use crate::limits::{EXTENSION, EXTENSION_EVERY, WATCHDOG_PINGS};
use crate::observe::metrics::WorkerMetrics;

/// Serves, in so many words.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Leaves.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Another process is the service from now on.
pub fn main_process_is(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot reach the service manager");
    }
}

/// Asks for more time while a drain goes on.
pub struct Patience {
    asked: Option<Instant>,
}

impl Patience {
    /// Nothing was asked for yet.
    pub fn new() -> Patience {
        Patience { asked: None }
    }

    /// Asks again if it is time to.
    pub fn go_on(&mut self) {
        if self.asked.is_none_or(|asked| asked.elapsed() >= EXTENSION_EVERY) {
            self.asked = Some(Instant::now());
            notify(&[NotifyState::ExtendTimeoutUsec(EXTENSION.as_micros() as u32)]);
        }
    }
}

/// What a worker's thread sets when it has come to its end: it beats no more, and nobody misses it.
pub const ENDED: u64 = u64::MAX;

/// Whether every worker has moved since the last look, or has ended.
struct Pulse {
    seen: Vec<u64>,
}

impl Pulse {
    fn has_moved(&mut self, beats: impl Iterator<Item = u64>) -> bool {
        let mut moved = true;
        for (seen, beat) in self.seen.iter_mut().zip(beats) {
            moved &= beat == ENDED || beat != *seen;
            *seen = beat;
        }
        moved
    }
}

/// Starts the watchdog's thread if the service manager wants to hear from it (`WatchdogSec=`): it does, several times in that
/// time, if every worker's clockwork has moved since and the desk answers.
pub fn start_watchdog(workers: Vec<Arc<WorkerMetrics>>, desk: Closer) -> io::Result<()> {
    let Some(time) = sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) else { return Ok(()) };
    let pause = time / WATCHDOG_PINGS;
    thread::Builder::new().name("watchdog".into()).spawn(move || {
        let beat = |worker: &AtomicU64| worker.load(Ordering::Relaxed);
        let mut pulse = Pulse { seen: vec![0; workers.len()] };
        loop {
            let moved = pulse.has_moved(workers.iter().map(|worker| beat(&worker.heartbeat)));
            let awake = desk.is_awake(pause);
            if moved && awake {
                notify(&[NotifyState::Watchdog]);
            } else {
                tracing::error!(workers_move = moved, desk_answers = awake, "no word to the watchdog");
            }
            thread::sleep(pause);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stands_still_is_noticed_and_one_that_has_ended_is_not() {
        let mut pulse = Pulse { seen: vec![0; 2] };
        assert!(pulse.has_moved([1, 1].into_iter()));
        assert!(!pulse.has_moved([2, 1].into_iter()), "the second one stands still");
        assert!(pulse.has_moved([3, 2].into_iter()));
        assert!(pulse.has_moved([ENDED, 3].into_iter()));
        assert!(pulse.has_moved([ENDED, 4].into_iter()), "the first one has left");
    }
}
