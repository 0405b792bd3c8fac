//! Who verifies passwords: threads that serve nobody and that the kernel runs last, for hashes are slow on purpose. A name and a password are
//! verified once for all who show them at the same time, and what came of it is remembered under a keyed digest; the password is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use policy::api_key::Hasher;
use policy::authorize::basic::users::Candidate;
use policy::identity::Identity;

use crate::callers::{Caller, Callers};
use crate::flight::{self, Flights, Seen, lock};
use crate::io::now;
use crate::limits::{
    PASSWORD_NICENESS, PASSWORD_REMEMBERED, PASSWORD_THREADS_MAX, PASSWORD_WRONG_REMEMBERED, PASSWORDS_OF_ADDRESS,
    PASSWORDS_REMEMBERED, PASSWORDS_WAITING_MAX,
};
use crate::remembered::{Key, Remembered};

/// Who a name and a password are; `None`: nobody.
pub type Verdict = Option<Arc<Identity>>;

/// A verdict, and until when it holds.
pub type Known = (Verdict, Instant);

/// See the module.
pub struct Passwords {
    hasher: Hasher,
    state: Mutex<Flights<Verdict, Outcome>>,
    /// How many each address has here.
    callers: Callers,
    /// The way to the threads, which start with the first password. `None`: they cannot be started.
    threads: OnceLock<Option<SyncSender<Job>>>,
}

/// What came of it; `None`: nobody has verified it.
pub type Outcome = Option<Known>;

/// A password on its way, and others who wait for what becomes of it.
pub type Flight = flight::Flight<Outcome>;

/// What is known of a name and a password.
pub enum Found {
    /// The verdict.
    Known(Known),
    /// It is on its way.
    Asked(Arc<Flight>),
    /// Nobody has asked: whoever gets this has to.
    Nobody(Landing),
}

/// The duty to tell those who wait; whoever drops it without a word tells them that there is no verdict.
pub struct Landing {
    passwords: Arc<Passwords>,
    key: Key,
    flight: Arc<Flight>,
    caller: Option<Caller>,
    told: bool,
}

struct Job {
    candidate: Candidate,
    password: String,
    landing: Landing,
}

impl Passwords {
    /// Nobody is known, and no thread runs.
    pub fn new() -> Arc<Passwords> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the kernel gives random bytes to every process");
        let known = Remembered::new(PASSWORDS_REMEMBERED, PASSWORDS_REMEMBERED);
        Arc::new(Passwords {
            hasher: Hasher::new(&secret),
            state: Mutex::new(Flights::new(known)),
            callers: Callers::default(),
            threads: OnceLock::new(),
        })
    }

    /// What a verdict is remembered by.
    pub fn digest(&self, terms: &[u8]) -> Key {
        self.hasher.digest(terms)
    }

    /// The verdict, or who waits for it.
    pub fn find(self: &Arc<Self>, key: &Key, now: Instant) -> Found {
        match lock(&self.state).find(key, now) {
            Seen::Known(known) => Found::Known(known),
            Seen::Asked(flight) => Found::Asked(flight),
            Seen::Nobody(flight) => {
                Found::Nobody(Landing { passwords: self.clone(), key: *key, flight, caller: None, told: false })
            }
        }
    }

    /// Hands a password to the threads; false: too many wait, or too many of this address. Those who wait are told in any case.
    pub fn verify(&self, mut landing: Landing, candidate: Candidate, password: String, caller: Caller) -> bool {
        if !self.callers.enter(caller, PASSWORDS_OF_ADDRESS) {
            return false;
        }
        landing.caller = Some(caller);
        let threads = self.threads.get_or_init(start);
        // What comes back is dropped, which tells those who wait.
        threads.as_ref().is_some_and(|threads| threads.try_send(Job { candidate, password, landing }).is_ok())
    }
}

/// Starts the threads. They end when nobody can send them anything any more.
fn start() -> Option<SyncSender<Job>> {
    let (sender, receiver) = sync_channel(PASSWORDS_WAITING_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut running = 0;
    for _ in 0..(cores / 2).clamp(1, PASSWORD_THREADS_MAX) {
        let receiver = receiver.clone();
        let thread = thread::Builder::new().name("passwords".into()).spawn(move || work(&receiver));
        match thread {
            Ok(_) => running += 1,
            Err(why) => tracing::warn!(%why, "cannot start a thread that verifies passwords"),
        }
    }
    (running > 0).then_some(sender)
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    // On Linux this concerns the calling thread alone. Where it is forbidden, the thread is one among others.
    let _ = rustix::process::setpriority_process(None, PASSWORD_NICENESS);
    loop {
        let next = lock(jobs).recv();
        let Ok(Job { candidate: Candidate { hash, identity }, password, landing }) = next else { return };
        // A hash that brings its library down is nobody's.
        let fits = catch_unwind(AssertUnwindSafe(|| hash.fits(&password))).unwrap_or(false);
        landing.tell(identity.filter(|_| fits));
    }
}

impl Landing {
    /// Whom the others wait for.
    pub fn flight(&self) -> Arc<Flight> {
        self.flight.clone()
    }

    /// Tells everybody, and remembers the verdict for a while.
    fn tell(mut self, verdict: Verdict) {
        let time = if verdict.is_some() { PASSWORD_REMEMBERED } else { PASSWORD_WRONG_REMEMBERED };
        self.end(Some((verdict, now() + time)));
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        if let Some(caller) = self.caller {
            self.passwords.callers.leave(caller);
        }
        let found = outcome.as_ref().map(|(verdict, until)| (verdict.clone(), 1, *until));
        lock(&self.passwords.state).end(self.key, found);
        self.flight.land(outcome);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc::channel;
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::Duration;

    use policy::authorize::basic::Shown;
    use policy::authorize::basic::hash::Hash;
    use policy::authorize::basic::users::Users;

    use super::*;

    /// `U*U`, in the tests of `crypt_blowfish`.
    const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    struct Bell(Mutex<std::sync::mpsc::Sender<()>>);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            let _ = lock(&self.0).send(());
        }
    }

    /// What comes of a flight.
    fn landed(flight: &Flight) -> Option<Known> {
        let (sender, receiver) = channel();
        let waker = Waker::from(Arc::new(Bell(Mutex::new(sender))));
        let mut waits = std::pin::pin!(flight.wait());
        loop {
            if let Poll::Ready(outcome) = waits.as_mut().poll(&mut Context::from_waker(&waker)) {
                return outcome;
            }
            receiver.recv_timeout(Duration::from_secs(10)).expect("somebody is told");
        }
    }

    fn users() -> Users {
        let mut users = Users::default();
        users.add("ann", Hash::parse(HASH).expect("a hash"));
        users
    }

    fn caller(last: u8) -> Caller {
        Caller::of(Some(SocketAddr::from(([192, 0, 2, last], 1))))
    }

    fn nobody(found: Found) -> Landing {
        match found {
            Found::Nobody(landing) => landing,
            Found::Known(_) | Found::Asked(_) => panic!("somebody has asked"),
        }
    }

    #[test]
    fn a_password_is_verified_once_and_remembered() {
        let (passwords, users) = (Passwords::new(), users());
        for (name, password, passes) in [("ann", "U*U", true), ("ann", "u*u", false), ("eve", "U*U", false)] {
            let shown = Shown { name, password };
            let mut terms = Vec::new();
            assert!(users.write_terms(shown, &mut terms));
            let key = passwords.digest(&terms);
            let landing = nobody(passwords.find(&key, now()));
            assert!(matches!(passwords.find(&key, now()), Found::Asked(_)), "others wait");
            let flight = landing.flight();
            let candidate = users.candidate(shown).expect("somebody");
            assert!(passwords.verify(landing, candidate, password.to_owned(), caller(1)));
            let (verdict, until) = landed(&flight).expect("a verdict");
            assert_eq!(verdict.is_some(), passes, "{name} {password}");
            assert!(matches!(passwords.find(&key, now()), Found::Known((known, _)) if known.is_some() == passes));
            assert!(matches!(passwords.find(&key, until), Found::Nobody(_)), "its time is over");
        }
    }

    #[test]
    fn an_address_has_so_many_and_no_more() {
        let (passwords, users) = (Passwords::new(), users());
        let candidate = users.candidate(Shown { name: "ann", password: "" }).expect("somebody");
        let landing = |number: u8| nobody(passwords.find(&[number; 32], now()));
        // As many as may wait stand in the row.
        for _ in 0..PASSWORDS_OF_ADDRESS {
            assert!(passwords.callers.enter(caller(1), PASSWORDS_OF_ADDRESS));
        }
        let refused = landing(1);
        let flight = refused.flight();
        assert!(!passwords.verify(refused, candidate.clone(), String::new(), caller(1)));
        assert!(landed(&flight).is_none(), "those who wait are told");
        let other = landing(1);
        let flight = other.flight();
        assert!(passwords.verify(other, candidate, String::new(), caller(2)), "another address is let in");
        assert!(landed(&flight).is_some_and(|(verdict, _)| verdict.is_none()));
    }
}
