//! Bytes of a body on their way out, counted until the connection has taken them.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::task::Waker;

use bytes::Buf;

use crate::io::{RBuf, recycle};
use crate::limits::ACCOUNTS_KEPT_MAX;

/// What one stream has handed over.
#[derive(Default)]
pub struct Account {
    /// Bytes that wait: for the window, or for the socket.
    queued: Cell<usize>,
    /// Bytes that have left.
    left: Cell<u64>,
    /// Some were dropped before they could leave.
    cut: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Account {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queued.get() == 0
    }

    /// Bytes that have left, in all.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Whether bytes were given up: the stream or its connection is at its end.
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Wakes this task when a piece has left.
    pub fn wait(&self, waker: &Waker) {
        let known = self.waiting.take().filter(|known| known.will_wake(waker));
        self.waiting.set(Some(known.unwrap_or_else(|| waker.clone())));
    }

    fn wake(&self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

/// The account of a stream that is alive. It goes to another one afterwards, unless pieces are still on their way.
pub struct Lent(Rc<Account>);

thread_local! {
    static SPARE: RefCell<Vec<Rc<Account>>> = const { RefCell::new(Vec::new()) };
}

impl Default for Lent {
    fn default() -> Lent {
        Lent(SPARE.with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl Deref for Lent {
    type Target = Rc<Account>;

    fn deref(&self) -> &Rc<Account> {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(account) = Rc::get_mut(&mut self.0) else { return };
        *account = Account::default();
        // At the end of a thread nobody lends any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < ACCOUNTS_KEPT_MAX {
                spare.push(self.0.clone());
            }
        });
    }
}

/// Where the bytes are.
enum Bytes {
    Made(Vec<u8>),
    Received(RBuf),
}

/// Some bytes of a body.
pub struct Piece {
    bytes: Bytes,
    /// Of `Made`: those before were sent otherwise, or have left.
    at: usize,
    account: Rc<Account>,
}

impl Piece {
    /// Those of `bytes` from `at` on.
    pub fn made(bytes: Vec<u8>, at: usize, account: &Rc<Account>) -> Piece {
        Piece::counted(Bytes::Made(bytes), at, account)
    }

    /// What was received, to be forwarded without a copy of ours.
    pub fn received(bytes: RBuf, account: &Rc<Account>) -> Piece {
        Piece::counted(Bytes::Received(bytes), 0, account)
    }

    fn counted(bytes: Bytes, at: usize, account: &Rc<Account>) -> Piece {
        let piece = Piece { bytes, at, account: account.clone() };
        account.queued.set(account.queued.get() + piece.remaining());
        piece
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Made(bytes) => &bytes[self.at..],
            Bytes::Received(bytes) => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match &mut self.bytes {
            Bytes::Made(_) => self.at += count,
            Bytes::Received(bytes) => bytes.advance(count),
        }
        let account = &self.account;
        account.queued.set(account.queued.get() - count);
        account.left.set(account.left.get() + count as u64);
        if account.is_empty() {
            account.wake();
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let rest = self.remaining();
        if rest > 0 {
            self.account.queued.set(self.account.queued.get() - rest);
            self.account.cut.set(true);
            self.account.wake();
        }
        if let Bytes::Made(bytes) = &mut self.bytes {
            recycle(std::mem::take(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_counted_until_it_has_left() {
        let account = Rc::new(Account::default());
        let mut piece = Piece::made(b"head and body".to_vec(), 9, &account);
        assert_eq!((piece.chunk(), account.is_empty()), (&b"body"[..], false));
        piece.advance(3);
        assert_eq!((account.left(), account.is_empty()), (3, false));
        piece.advance(1);
        assert_eq!((account.left(), account.is_empty()), (4, true));
        drop(piece);
        assert!(!account.is_cut());
    }

    #[test]
    fn an_account_is_lent_again_when_nothing_of_it_is_on_its_way() {
        let first = Lent::default();
        let place = Rc::as_ptr(&first);
        drop(Piece::made(b"given up".to_vec(), 0, &first));
        drop(first);
        let second = Lent::default();
        assert!(Rc::as_ptr(&second) == place && !second.is_cut() && second.left() == 0);
        let piece = Piece::made(b"on its way".to_vec(), 0, &second);
        drop(second);
        assert!(Rc::as_ptr(&Lent::default()) != place);
        drop(piece);
    }

    #[test]
    fn a_piece_that_is_given_up_cuts_its_stream() {
        let account = Rc::new(Account::default());
        let mut piece = Piece::made(b"body".to_vec(), 0, &account);
        piece.advance(1);
        drop(piece);
        assert!(account.is_cut() && account.is_empty());
        assert_eq!(account.left(), 1);
    }
}
