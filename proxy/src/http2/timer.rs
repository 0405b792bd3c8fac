//! A deadline of whoever waits on a stream. A socket has its own in its slot; a stream has none, and borrows a sleep while
//! somebody waits.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::io::{Sleep, now, sleep};
use crate::limits::LOOK_AGAIN_TIME;

/// See the module.
#[derive(Default)]
pub struct Timer {
    until: Cell<Option<Instant>>,
    is_over: Cell<bool>,
    /// Who has waited last: woken also by a deadline that is set behind its back.
    waiter: RefCell<Option<Waker>>,
    /// What wakes the waiter, and when.
    sleep: RefCell<Option<(Sleep, Instant)>>,
}

impl Timer {
    /// From now on waits end after this time; `None` lifts it. Cheap: what sleeps already is left as it is.
    pub fn set(&self, after: Option<Duration>) {
        self.change(after.and_then(|after| now().checked_add(after)));
    }

    /// As `set`, but an earlier end stays.
    pub fn expire_within(&self, after: Duration) {
        let at = now().checked_add(after);
        self.change(match (self.until.get(), at) {
            (Some(before), Some(at)) => Some(before.min(at)),
            (before, at) => before.or(at),
        });
    }

    fn change(&self, until: Option<Instant>) {
        self.until.set(until);
        self.is_over.set(false);
        if let (Some(until), Some(waiter)) = (until, &*self.waiter.borrow()) {
            let context = &mut Context::from_waker(waiter);
            // The first may be one of before that has just ended.
            if !self.sleeps_until(until, context) && !self.sleeps_until(until, context) {
                waiter.wake_by_ref();
            }
        }
    }

    /// Wakes the task soon, for want of anybody else who would.
    pub fn look_again(&self, context: &mut Context<'_>) {
        if !self.sleeps_until(now() + LOOK_AGAIN_TIME, context) {
            context.waker().wake_by_ref();
        }
    }

    /// Whether the time is over; if not, the task is woken when it is.
    pub fn poll(&self, context: &mut Context<'_>) -> bool {
        let mut waiter = self.waiter.borrow_mut();
        if !waiter.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *waiter = Some(context.waker().clone());
        }
        while !self.is_over.get() {
            match self.until.get() {
                None => return false,
                // A deadline that has passed is none: the next one does not have to be earlier.
                Some(until) if now() >= until => {
                    self.until.set(None);
                    self.is_over.set(true);
                }
                Some(until) if self.sleeps_until(until, context) => return false,
                Some(_) => {}
            }
        }
        true
    }

    /// Arms the sleep, unless one ends sooner: then it is looked at again. False if one has just ended.
    fn sleeps_until(&self, until: Instant, context: &mut Context<'_>) -> bool {
        let mut sleeping = self.sleep.borrow_mut();
        let (sleep, _) = match &mut *sleeping {
            Some(known) if known.1 <= until => known,
            other => other.insert((sleep(until.saturating_duration_since(now())), until)),
        };
        let goes_on = Pin::new(sleep).poll(context).is_pending();
        if !goes_on {
            *sleeping = None;
        }
        goes_on
    }
}
