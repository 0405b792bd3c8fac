//! How those who stay to the end of a drain hear that it has come.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Who has to be told, on one worker.
#[derive(Default)]
pub struct LastCall {
    next: Cell<u64>,
    guests: RefCell<BTreeMap<u64, Option<Waker>>>,
}

/// A place in the list, until it is dropped.
pub struct Guest {
    number: u64,
    list: Rc<LastCall>,
}

impl LastCall {
    /// Somebody more to tell.
    pub fn enter(self: &Rc<LastCall>) -> Guest {
        let number = self.next.get();
        self.next.set(number + 1);
        self.guests.borrow_mut().insert(number, None);
        Guest { number, list: self.clone() }
    }

    /// Whether anybody has yet to be told.
    pub fn is_over(&self) -> bool {
        self.guests.borrow().is_empty()
    }

    /// Tells those of whom `is_one` says so.
    pub fn ring(&self, mut is_one: impl FnMut() -> bool) {
        let mut told = Vec::new();
        self.guests.borrow_mut().retain(|_, waker| {
            let is_one = is_one();
            if is_one {
                told.extend(waker.take());
            }
            !is_one
        });
        told.into_iter().for_each(Waker::wake);
    }
}

impl Guest {
    /// Whether it was told. If not, the task is woken when it is.
    pub fn is_told(&self, context: &Context<'_>) -> bool {
        let mut guests = self.list.guests.borrow_mut();
        let Some(waker) = guests.get_mut(&self.number) else { return true };
        if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        false
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let gone = self.list.guests.borrow_mut().remove(&self.number);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_told_once_and_who_has_left_is_not() {
        let list = Rc::new(LastCall::default());
        let (first, second) = (list.enter(), list.enter());
        let context = Context::from_waker(Waker::noop());
        assert!(!first.is_told(&context) && !second.is_told(&context));
        let mut turn = 0;
        list.ring(|| {
            turn += 1;
            turn == 1
        });
        assert!(first.is_told(&context) && !second.is_told(&context));
        drop(second);
        assert!(list.is_over());
        list.ring(|| true);
    }
}
