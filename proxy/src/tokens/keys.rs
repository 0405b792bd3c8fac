//! Keys of issuers as a worker sees them: published whole, asked for by none per request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use config::snapshot::KeySource;
use policy::authorize::jwk::KeySet;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::is_same;
use crate::io::{now, timeout};

/// What is known of one source of keys, after an attempt to fetch them.
#[derive(Clone, Debug)]
pub struct Known {
    /// The keys; `None`: they could never be had, or for too long a time not again.
    pub set: Option<Arc<KeySet>>,
    /// How many attempts there were.
    pub attempts: u64,
    /// Before this nobody is asked again, whatever a token says.
    pub again: Instant,
}

/// What is known, published whole. A source of which nothing was heard yet is not in it.
pub type KeyTable = Arc<BTreeMap<KeySource, Known>>;

/// Asks for a fetch. From a worker, and never waits.
#[derive(Clone, Default)]
pub struct Asker(pub Option<UnboundedSender<KeySource>>);

/// How workers ask, and where it is heard.
pub fn channel() -> (Asker, UnboundedReceiver<KeySource>) {
    let (asker, asked) = unbounded_channel();
    (Asker(Some(asker)), asked)
}

/// A worker's copy of what is known.
pub struct Keys {
    known: RefCell<KeyTable>,
    waiting: RefCell<Vec<Waker>>,
    asker: Asker,
}

impl Keys {
    /// Nothing is known.
    pub fn new(asker: Asker) -> Keys {
        Keys { known: RefCell::default(), waiting: RefCell::default(), asker }
    }

    /// Whether any keys in it are others than those that are known.
    pub fn differ(&self, table: &KeyTable) -> bool {
        let known = self.known.borrow();
        let has_other = |(source, new): (&KeySource, &Known)| {
            !is_same(known.get(source).and_then(|known| known.set.as_ref()), new.set.as_ref())
        };
        table.iter().any(has_other) || known.keys().any(|source| !table.contains_key(source))
    }

    /// The thread has published.
    pub fn publish(&self, table: KeyTable) {
        *self.known.borrow_mut() = table;
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// What is known of a source; waits for the first attempt, within `within`.
    pub async fn first(&self, source: &KeySource, within: Duration) -> Option<Known> {
        match self.get(source) {
            Some(known) => Some(known),
            None => self.after(source, 0, within).await,
        }
    }

    /// What is known once somebody has asked again for keys that `known` lacks. `None`: it is too early for that, or it takes too long.
    pub async fn again(&self, source: &KeySource, known: &Known, within: Duration) -> Option<Known> {
        if now() < known.again {
            return None;
        }
        if let Asker(Some(asker)) = &self.asker {
            // The thread lives as long as the workers; it does not ask for the same twice.
            let _ = asker.send(source.clone());
        }
        self.after(source, known.attempts, within).await
    }

    /// What is known behind so many attempts.
    async fn after(&self, source: &KeySource, attempts: u64, within: Duration) -> Option<Known> {
        let arrived = poll_fn(|context| {
            let known = self.get(source).filter(|known| known.attempts > attempts);
            let mut waiting = self.waiting.borrow_mut();
            if known.is_none() && !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            known.map_or(Poll::Pending, Poll::Ready)
        });
        timeout(within, arrived).await.ok()
    }

    fn get(&self, source: &KeySource) -> Option<Known> {
        self.known.borrow().get(source).cloned()
    }
}
