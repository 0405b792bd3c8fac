//! A deadline of whoever waits on a stream. A socket has its own in its slot; a stream has none, and borrows a sleep while
//! somebody waits.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::io::{Sleep, now, sleep};
use crate::limits::LOOK_AGAIN_TIME;

/// See the module.
#[derive(Default)]
pub struct Timer {
    until: Cell<Option<Instant>>,
    is_over: Cell<bool>,
    /// What wakes the waiter, and when.
    sleep: RefCell<Option<(Sleep, Instant)>>,
}

impl Timer {
    /// From now on waits end after this time; `None` lifts it. Cheap: what sleeps already is left as it is.
    pub fn set(&self, after: Option<Duration>) {
        self.until.set(after.and_then(|after| now().checked_add(after)));
        self.is_over.set(false);
    }

    /// As `set`, but an earlier end stays.
    pub fn expire_within(&self, after: Duration) {
        let at = now().checked_add(after);
        self.until.set(match (self.until.get(), at) {
            (Some(before), Some(at)) => Some(before.min(at)),
            (before, at) => before.or(at),
        });
        self.is_over.set(false);
    }

    /// Wakes the task soon, for want of anybody else who would.
    pub fn look_again(&self, context: &mut Context<'_>) {
        let at = now() + LOOK_AGAIN_TIME;
        let mut sleeping = self.sleep.borrow_mut();
        // Whoever polls the deadline next finds this one and keeps it, as it ends sooner.
        let (sleep, _) = sleeping.insert((sleep(LOOK_AGAIN_TIME), at));
        if Pin::new(sleep).poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }

    /// Whether the time is over; if not, the task is woken when it is.
    pub fn poll(&self, context: &mut Context<'_>) -> bool {
        let Some(until) = self.until.get() else { return false };
        let mut sleeping = self.sleep.borrow_mut();
        while !self.is_over.get() {
            if now() >= until {
                self.is_over.set(true);
                break;
            }
            // One that ends sooner looks again then.
            let (sleep, _) = match &mut *sleeping {
                Some(known) if known.1 <= until => known,
                other => other.insert((sleep(until - now()), until)),
            };
            if Pin::new(sleep).poll(context).is_pending() {
                return false;
            }
            *sleeping = None;
        }
        true
    }
}
