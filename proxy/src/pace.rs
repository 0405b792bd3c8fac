//! How slow a peer may be: the longest pause, and the least rate on average, counted over the time that is spent waiting for it.
//!
//! Only waiting counts: a client is not blamed for a slow backend, nor for having nothing to read. Each window of waiting, as
//! long as the longest pause, has to bring the bytes that the rate asks for; then the next one begins.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::io::{Group, RBuf, now};
use crate::limits::FIRST_LOOK_TIME;
use crate::link::Link;

/// One peer's account for one body, in one direction. Small, for it is part of every request's future: times in milliseconds.
#[derive(Debug)]
pub struct Pace {
    /// When the wait under way began.
    since: Option<Instant>,
    /// Bytes at the window's beginning.
    base: u64,
    /// What is left of the window, from `since`.
    left: u32,
    /// The length of a window.
    span: u32,
    /// Bytes a second; 0: any.
    rate: u32,
    /// Whether the peer sends: then each pause shows, and is bounded.
    sends: bool,
    /// Whether `base` is known.
    looked: bool,
}

impl Pace {
    /// A peer that sends: it may pause for `span`, and has to come to `rate` bytes a second.
    pub fn of_sender(rate: u32, span: Duration) -> Pace {
        let span = millis(span);
        Pace { rate, span, since: None, left: span, base: 0, sends: true, looked: true }
    }

    /// A peer that is sent to. What it takes shows only now and then: its longest pause is one window and what is left of another.
    pub fn of_taker(rate: u32, span: Duration) -> Pace {
        // Most waits are short: the kernel is asked what has arrived only where they last.
        let left = millis(span.min(FIRST_LOOK_TIME));
        Pace { rate, span: millis(span), since: None, left, base: 0, sends: false, looked: false }
    }

    /// The next bytes; `TimedOut` when the peer is too slow. `so_far`: what was received of this body before.
    pub fn receive(&mut self, from: &Link, group: Group, so_far: u64) -> impl Future<Output = io::Result<RBuf>> {
        poll_fn(move |context| {
            self.poll(from, context, |context| from.poll_recv(group, context), |pace, at| pace.has_sent(at, so_far))
        })
    }

    /// Waits until what was handed over has left; `TimedOut` when the peer takes too little of it. `so_far`: bytes of this body,
    /// for peers of which the kernel does not tell what has reached them.
    pub fn flush(&mut self, to: &Link, so_far: u64) -> impl Future<Output = io::Result<()>> {
        poll_fn(move |context| {
            let taken = || to.bytes_acked().unwrap_or(so_far);
            self.poll(to, context, |context| to.poll_sendable(context), |pace, at| pace.has_taken(at, taken()))
        })
    }

    /// The socket's deadline is shared by both directions: each looks at its own time whenever it is asked.
    fn poll<T>(
        &mut self,
        link: &Link,
        context: &mut Context<'_>,
        wait: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>>,
        goes_on: impl Fn(&mut Pace, Instant) -> bool,
    ) -> Poll<io::Result<T>> {
        loop {
            let polled = wait(context);
            let at = now();
            let waits = match &polled {
                Poll::Pending => true,
                Poll::Ready(Err(error)) => is_deadline(error),
                Poll::Ready(Ok(_)) => false,
            };
            if !waits {
                self.rest(at);
                link.set_deadline(None);
                return polled;
            }
            if at >= self.until(at) && !goes_on(self, at) {
                link.set_deadline(None);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            link.expire_within(self.until(at) - at);
            if polled.is_pending() {
                return Poll::Pending;
            }
            // A deadline has passed, but not this one: the wait begins again.
        }
    }

    fn until(&mut self, at: Instant) -> Instant {
        let wait = if self.sends { self.left.min(self.span) } else { self.left };
        *self.since.get_or_insert(at) + Duration::from_millis(wait.into())
    }

    fn rest(&mut self, at: Instant) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(millis(at - since));
        }
    }

    /// The window of a peer that sends is over, or its pause: whether it may go on.
    fn has_sent(&mut self, at: Instant, bytes: u64) -> bool {
        let waited = millis(at - *self.since.get_or_insert(at));
        if waited >= self.span || bytes - self.base < self.share() {
            return false;
        }
        self.next_window(waited, bytes);
        true
    }

    /// The window of a peer that takes is over: whether it may go on.
    fn has_taken(&mut self, at: Instant, bytes: u64) -> bool {
        let waited = millis(at - *self.since.get_or_insert(at));
        if self.looked && bytes.saturating_sub(self.base) < self.share().max(1) {
            return false;
        }
        self.next_window(waited, bytes);
        true
    }

    fn next_window(&mut self, waited: u32, bytes: u64) {
        (self.base, self.looked) = (bytes, true);
        self.left = waited.saturating_add(self.span);
    }

    /// Bytes of one window.
    fn share(&self) -> u64 {
        u64::from(self.rate) * u64::from(self.span) / 1_000
    }
}

/// Settings are at most a day.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Whether an error is the socket's deadline, and not the kernel's own.
fn is_deadline(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    fn after(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    /// One wait that ends well.
    fn wait(pace: &mut Pace, from: Instant, to: Instant) {
        assert!(pace.until(from) > to, "its time was over");
        pace.rest(to);
    }

    #[test]
    fn a_pause_is_as_long_as_it_may_be_whatever_came_before() {
        let began = Instant::now();
        let mut pace = Pace::of_sender(100, SPAN);
        wait(&mut pace, began, after(began, 4));
        // Plenty has come, and then nothing: the window ends after six seconds more, the pause after ten.
        assert_eq!(pace.until(after(began, 20)), after(began, 26));
        assert!(pace.has_sent(after(began, 26), 1_000_000));
        assert_eq!(pace.until(after(began, 26)), after(began, 30));
        assert!(!pace.has_sent(after(began, 30), 1_000_000));
    }

    #[test]
    fn only_waiting_counts() {
        let began = Instant::now();
        let mut pace = Pace::of_sender(100, SPAN);
        for turn in 0..9 {
            wait(&mut pace, after(began, turn * 1_000), after(began, turn * 1_000 + 1));
        }
        let last = after(began, 9_000);
        assert_eq!(pace.until(last), last + Duration::from_secs(1));
        assert!(!pace.has_sent(after(last, 1), 999), "100 bytes a second are 1,000");
        assert!(pace.has_sent(after(last, 1), 1_000));
        // The window after it begins here.
        wait(&mut pace, after(last, 1), after(last, 2));
        assert!(!pace.has_sent(after(last, 11), 1_999));
    }

    #[test]
    fn without_a_rate_only_the_pause_is_bounded() {
        let began = Instant::now();
        let mut pace = Pace::of_sender(0, SPAN);
        for turn in 0..100 {
            let at = after(began, turn * 9);
            if at >= pace.until(at) {
                assert!(pace.has_sent(at, 0));
            }
            pace.rest(after(at, 9));
        }
        let at = after(began, 2_000);
        let until = pace.until(at);
        assert!(until <= after(at, 10));
        assert!(!pace.has_sent(after(at, 10), 0));
    }

    #[test]
    fn a_taker_is_looked_at_once_for_the_beginning_and_then_for_each_window() {
        let began = Instant::now();
        let mut pace = Pace::of_taker(100, SPAN);
        assert_eq!(pace.until(began), began + FIRST_LOOK_TIME);
        let first = began + FIRST_LOOK_TIME;
        assert!(pace.has_taken(first, 5_000), "nothing can be said yet");
        assert_eq!(pace.until(first), first + SPAN);
        assert!(pace.has_taken(first + SPAN, 6_000));
        assert_eq!(pace.until(first + SPAN), first + 2 * SPAN);
        assert!(!pace.has_taken(first + 2 * SPAN, 6_999));
        let mut any = Pace::of_taker(0, SPAN);
        any.until(began);
        assert!(any.has_taken(first, 5_000) && any.has_taken(first + SPAN, 5_001));
        assert!(!any.has_taken(first + 2 * SPAN, 5_001), "it takes nothing any more");
    }

    #[test]
    fn a_time_out_of_the_kernel_is_not_ours() {
        assert!(is_deadline(&io::ErrorKind::TimedOut.into()));
        assert!(!is_deadline(&io::Error::from_raw_os_error(libc::ETIMEDOUT)));
        assert!(!is_deadline(&io::ErrorKind::BrokenPipe.into()));
    }
}
