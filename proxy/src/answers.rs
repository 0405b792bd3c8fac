//! What authorizers have answered, for all workers: one keeper for each key, so that whatever the number of clients and workers an authorizer
//! is asked once. Workers look here only for what they do not remember themselves.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use policy::authorize::lambda::Answer;

use crate::flight::{self, Flights, Seen, lock};
use crate::limits::{AUTHORIZER_ANSWERS_MAX, AUTHORIZER_ANSWERS_WEIGHT_MAX, AUTHORIZER_SHARDS};
use crate::remembered::{Key, Remembered};

/// Why there is no answer. Nobody remembers it; it is for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The authorizer knows nobody by what was shown.
    Unauthorized,
    /// It cannot be asked, or what it says is no answer.
    Unusable,
    /// It failed, or took too long.
    Failed,
}

/// An answer, and until when it is remembered.
pub type Known = (Arc<Answer>, Instant);

/// What came of asking.
pub type Outcome = Result<Known, Refused>;

/// See the module.
#[derive(Debug)]
pub struct Answers {
    shards: [Mutex<Shard>; AUTHORIZER_SHARDS],
}

/// Somebody asks, and others wait for what they hear.
pub type Flight = flight::Flight<Outcome>;

type Shard = Flights<Arc<Answer>, Outcome>;

/// What is known of a key.
pub enum Found {
    /// The answer.
    Known(Known),
    /// Somebody asks.
    Asked(Arc<Flight>),
    /// Nobody does: whoever gets this has to, for all who wait.
    Nobody(Landing),
}

/// The duty to tell those who wait. Whoever drops it without a word tells them that asking has failed.
pub struct Landing {
    answers: Arc<Answers>,
    key: Key,
    flight: Arc<Flight>,
    told: bool,
}

impl Default for Answers {
    fn default() -> Self {
        let shard = || {
            let known = Remembered::new(
                AUTHORIZER_ANSWERS_MAX / AUTHORIZER_SHARDS,
                AUTHORIZER_ANSWERS_WEIGHT_MAX / AUTHORIZER_SHARDS,
            );
            Mutex::new(Shard::new(known))
        };
        Self { shards: std::array::from_fn(|_| shard()) }
    }
}

impl Answers {
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key[0]) % AUTHORIZER_SHARDS])
    }

    /// The answer, or who asks for it.
    pub fn find(self: &Arc<Self>, key: &Key, now: Instant) -> Found {
        match self.shard(key).find(key, now) {
            Seen::Known(known) => Found::Known(known),
            Seen::Asked(flight) => Found::Asked(flight),
            Seen::Nobody(flight) => Found::Nobody(Landing { answers: self.clone(), key: *key, flight, told: false }),
        }
    }
}

impl Landing {
    /// Whom the others wait for.
    pub fn flight(&self) -> Arc<Flight> {
        self.flight.clone()
    }

    /// Tells everybody. An answer is remembered, with its weight.
    pub fn tell(mut self, outcome: Outcome, weight: usize) {
        self.end(outcome, weight);
    }

    fn end(&mut self, outcome: Outcome, weight: usize) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let found = outcome.as_ref().ok().map(|(answer, until)| (answer.clone(), weight, *until));
        self.answers.shard(&self.key).end(self.key, found);
        self.flight.land(outcome);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.end(Err(Refused::Failed), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn answer() -> Arc<Answer> {
        Arc::new(Answer::denied())
    }

    fn landing(answers: &Arc<Answers>, key: &Key, now: Instant) -> Landing {
        match answers.find(key, now) {
            Found::Nobody(landing) => landing,
            Found::Known(_) | Found::Asked(_) => panic!("somebody else asks"),
        }
    }

    #[test]
    fn one_asks_and_all_hear() {
        let (answers, now) = (Arc::<Answers>::default(), Instant::now());
        let landing = landing(&answers, &[1; 32], now);
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let Found::Asked(flight) = answers.find(&[1; 32], now) else { panic!("nobody asks") };
        let mut waits = std::pin::pin!(flight.wait());
        for _ in 0..2 {
            assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let until = now + Duration::from_secs(1);
        landing.tell(Ok((answer(), until)), 1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert!(matches!(answers.find(&[1; 32], now), Found::Known((_, at)) if at == until));
        assert!(matches!(answers.find(&[1; 32], until), Found::Nobody(_)), "its time is over");
        assert!(matches!(answers.find(&[2; 32], now), Found::Nobody(_)));
    }

    #[test]
    fn who_asks_and_leaves_has_failed_for_all() {
        let (answers, now) = (Arc::<Answers>::default(), Instant::now());
        let landing = landing(&answers, &[1; 32], now);
        let flight = landing.flight();
        drop(landing);
        let mut waits = std::pin::pin!(flight.wait());
        let waker = Waker::from(Arc::<Woken>::default());
        let Poll::Ready(outcome) = waits.as_mut().poll(&mut Context::from_waker(&waker)) else { panic!("it waits") };
        assert_eq!(outcome.unwrap_err(), Refused::Failed);
        assert!(matches!(answers.find(&[1; 32], now), Found::Nobody(_)), "a failure is not remembered");
    }

    #[test]
    fn of_many_threads_one_asks() {
        let (answers, now) = (Arc::<Answers>::default(), Instant::now());
        let asked = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    if let Found::Nobody(landing) = answers.find(&[1; 32], now) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        landing.tell(Ok((answer(), now + Duration::from_secs(9))), 1);
                    }
                });
            }
        });
        assert_eq!(asked.into_inner(), 1);
    }
}
