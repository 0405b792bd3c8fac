//! What is slow to find out is found out once: whoever comes first does it, and all who come meanwhile wait for what comes of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::remembered::{Key, Remembered};

/// Takes a lock behind which everything is whole after every statement: what a panic left is as good as before.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody finds out, and others wait for the outcome.
#[derive(Debug)]
pub struct Flight<T> {
    state: Mutex<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    outcome: Option<T>,
    wakers: Vec<Waker>,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self { state: Mutex::new(Waiting { outcome: None, wakers: Vec::new() }) }
    }
}

impl<T: Clone> Flight<T> {
    /// Waits for what comes of it.
    pub fn wait(&self) -> impl Future<Output = T> {
        poll_fn(|context| {
            let mut waiting = lock(&self.state);
            if let Some(outcome) = &waiting.outcome {
                return Poll::Ready(outcome.clone());
            }
            if !waiting.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Tells all who wait, and whoever comes late.
    pub fn land(&self, outcome: T) {
        let wakers = {
            let mut waiting = lock(&self.state);
            waiting.outcome = Some(outcome);
            std::mem::take(&mut waiting.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What is remembered, and what is on its way.
#[derive(Debug)]
pub struct Flights<V, T> {
    known: Remembered<V>,
    flying: HashMap<Key, Arc<Flight<T>>>,
}

/// What is known of a key.
pub enum Seen<V, T> {
    /// What was found out, and until when it holds.
    Known((V, Instant)),
    /// It is on its way.
    Asked(Arc<Flight<T>>),
    /// It was not, until now: whoever gets this has to find out and to say so.
    Nobody(Arc<Flight<T>>),
}

impl<V: Clone, T> Flights<V, T> {
    /// Nothing is on its way.
    pub fn new(known: Remembered<V>) -> Self {
        Self { known, flying: HashMap::new() }
    }

    /// What is known of a key, or who finds out.
    pub fn find(&mut self, key: &Key, now: Instant) -> Seen<V, T> {
        if let Some(known) = self.known.get(key, now) {
            return Seen::Known(known);
        }
        match self.flying.entry(*key) {
            Entry::Occupied(flight) => Seen::Asked(flight.get().clone()),
            Entry::Vacant(place) => Seen::Nobody(place.insert(Arc::default()).clone()),
        }
    }

    /// It is over: whoever comes from now on finds what is remembered, with its weight, or finds out anew.
    pub fn end(&mut self, key: Key, found: Option<(V, usize, Instant)>) {
        if let Some((value, weight, until)) = found {
            self.known.put(key, value, weight, until);
        }
        self.flying.remove(&key);
    }
}
