//! Whether a request is sent again: only where that is safe, and only as often as the upstream can bear.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use config::snapshot::Retry;
use policy::fault::{self, Fault};

/// What is known of an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What broke.
    pub fault: Fault,
    /// Whether the connection had served before: then it may merely have been stale.
    pub reused: bool,
    /// Whether its first byte could not be sent: the peer had reset the connection.
    pub unsent: bool,
    /// Whether nothing of the request's body was taken from the client, or all of it is held.
    pub replayable: bool,
    /// Whether the whole request was there: no body, or one that is held.
    pub whole: bool,
    /// Whether the request may be repeated (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// Whether it ended by the time of one attempt, not by that of the request.
    pub by_try_time: bool,
}

/// Where a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Nowhere.
    No,
    /// Anywhere: nothing of it has reached a backend.
    Free,
    /// Anywhere; a backend may have begun with it, so it counts against the budget.
    Anywhere,
    /// At another server alone: this one would fail it again.
    Elsewhere,
}

/// Again only where nothing was sent, or where a repetition does no harm and the request is still there as a whole (row C12).
pub fn again(attempt: Attempt) -> Again {
    let Attempt { fault, reused, unsent, replayable, whole, idempotent, by_try_time } = attempt;
    let harmless = replayable && whole && idempotent;
    match fault.retry() {
        fault::Retry::Always if replayable => Again::Free,
        fault::Retry::IfIdempotent if unsent && replayable => Again::Free,
        fault::Retry::IfIdempotent if harmless && reused => Again::Anywhere,
        fault::Retry::IfIdempotent if harmless => Again::Elsewhere,
        fault::Retry::Never if by_try_time && harmless && fault == Fault::AnswerTimedOut => Again::Anywhere,
        fault::Retry::Always | fault::Retry::IfIdempotent | fault::Retry::Never => Again::No,
    }
}

/// How many requests are being repeated, of all workers.
#[derive(Default)]
pub struct Budget {
    active: AtomicU32,
    /// The second, and what was taken in it beyond the share.
    second: AtomicU64,
}

/// A repetition under way.
pub struct Repeat<'a>(&'a Budget);

impl Drop for Repeat<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

impl Budget {
    /// One more repetition, while `in_flight` requests are under way; `now` in milliseconds.
    pub fn begin(&self, retry: &Retry, in_flight: u64, now: u64) -> Option<Repeat<'_>> {
        let active = self.active.fetch_add(1, Relaxed) + 1;
        let repeat = Repeat(self);
        let within = u64::from(active) * 100 <= in_flight * u64::from(retry.budget);
        (within || self.take(retry.per_second, now / 1_000)).then_some(repeat)
    }

    fn take(&self, most: u32, second: u64) -> bool {
        let taken = |state: u64| {
            let used = if state >> 32 == second { state as u32 } else { 0 };
            (used < most).then(|| second << 32 | u64::from(used + 1))
        };
        self.second.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Attempt = Attempt {
        fault: Fault::ClosedBeforeAnswer,
        reused: true,
        unsent: false,
        replayable: true,
        whole: true,
        idempotent: true,
        by_try_time: false,
    };

    #[test]
    fn only_what_does_no_harm_is_repeated() {
        assert_eq!(again(GET), Again::Anywhere);
        assert_eq!(again(Attempt { reused: false, ..GET }), Again::Elsewhere);
        assert_eq!(again(Attempt { idempotent: false, ..GET }), Again::No);
        assert_eq!(again(Attempt { whole: false, ..GET }), Again::No);
        assert_eq!(again(Attempt { fault: Fault::AnswerTimedOut, ..GET }), Again::No);
        assert_eq!(again(Attempt { fault: Fault::AnswerTimedOut, by_try_time: true, ..GET }), Again::Anywhere);
        assert_eq!(again(Attempt { fault: Fault::AnswerCutShort, by_try_time: true, ..GET }), Again::No);
        let post = Attempt { fault: Fault::ConnectFailed, idempotent: false, whole: false, ..GET };
        assert_eq!(again(post), Again::Free);
        assert_eq!(again(Attempt { replayable: false, ..post }), Again::No);
        let post = Attempt { fault: Fault::ClosedBeforeAnswer, unsent: true, ..post };
        assert_eq!(again(post), Again::Free, "the backend has not seen a byte of it");
        assert_eq!(again(Attempt { replayable: false, ..post }), Again::No, "its body is half gone");
    }

    #[test]
    fn a_share_and_a_few_a_second() {
        let retry = Retry { attempts: 3, budget: 20, per_second: 2, try_time: None };
        let budget = Budget::default();
        let held: Vec<_> = (0..6).map_while(|_| budget.begin(&retry, 20, 5_000)).collect();
        assert_eq!(held.len(), 6, "four of twenty, and two beyond");
        assert!(budget.begin(&retry, 20, 5_999).is_none());
        assert!(budget.begin(&retry, 20, 6_000).is_some(), "the next second has its own");
        drop(held);
        assert!((0..100).all(|_| budget.begin(&retry, 20, 6_000).is_some()), "those that ended do not count");
    }
}
