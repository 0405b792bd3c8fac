//! Callers who show a name and a password (RFC 7617). A password that was verified lately is known by its digest; to verify one takes as long
//! as its hash was made to take, so others do that.

use std::net::SocketAddr;
use std::rc::Rc;

use codec::head::Fate;
use codec::head::Name;
use config::snapshot::BasicRule;
use policy::authorize::basic::users::{Candidate, Users};
use policy::authorize::basic::{self, Shown};
use policy::refusal::Refusal;

use super::Verdict;
use crate::callers::Caller;
use crate::exchange::Exchange;
use crate::integration::http::facts;
use crate::io::{now, recycle, timeout, vector};
use crate::limits::PASSWORD_PATIENCE;
use crate::observe::metrics::add;
use crate::passwords::{self, Found, Passwords};
use crate::remembered::Key;
use crate::state::{Live, Place, Worker};
use crate::stop::Stop;
use crate::trip::Trip;

/// Whether the password was verified before. Without one nobody is asked, and nothing is allocated for one that is known.
pub fn start(
    rule: &BasicRule,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
    worker: &Worker,
) -> Result<Verdict, Stop> {
    let passwords = &live.published.passwords;
    let Some(key) = shown(rule, exchange, place, trip, live, |users, shown| key(passwords, users, shown)) else {
        return Err(challenge(rule, exchange).into());
    };
    let known = worker.passwords.borrow_mut().get(&key, now());
    let Some((verdict, _)) = known else { return Ok(Verdict::Ask) };
    add(&worker.metrics.authorizer_hits, 1);
    settle(rule, verdict, exchange)?;
    Ok(Verdict::Pass)
}

/// Has the password verified, or waits for whoever has it verified already.
pub async fn ask(
    rule: &BasicRule,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<(), Stop> {
    let passwords = &live.published.passwords;
    let asked = shown(rule, exchange, place, trip, live, |users, shown| {
        let Candidate { hash, identity } = users.candidate(shown)?;
        Some((key(passwords, users, shown)?, Candidate { hash, identity }, shown.password.to_owned()))
    });
    let Some((key, candidate, password)) = asked else { return Err(challenge(rule, exchange).into()) };
    let known = match passwords.find(&key, now()) {
        Found::Known(known) => Some(known),
        Found::Asked(flight) => timeout(PASSWORD_PATIENCE, flight.wait()).await.ok().flatten(),
        Found::Nobody(landing) => {
            let caller = Caller::of(exchange.peer.ip().map(|ip| SocketAddr::new(ip, 0)));
            let flight = landing.flight();
            if passwords.verify(landing, candidate, password, caller) {
                add(&worker.metrics.passwords_verified, 1);
            }
            timeout(PASSWORD_PATIENCE, flight.wait()).await.ok().flatten()
        }
    };
    let Some((verdict, until)) = known else {
        add(&worker.metrics.passwords_refused, 1);
        return Err(Refusal::Overloaded.into());
    };
    worker.passwords.borrow_mut().put(key, verdict.clone(), 1, until);
    settle(rule, verdict, exchange).map_err(Into::into)
}

/// What is made of name and password; `None`: the request shows none, or nobody has any.
fn shown<T>(
    rule: &BasicRule,
    exchange: &Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
    make: impl FnOnce(&Users, Shown<'_>) -> Option<T>,
) -> Option<T> {
    let users = live.snapshot().user_lists.get(&rule.users)?;
    let mut decoded = vector();
    let is_there = basic::find(&facts(exchange, place, trip, live), &mut decoded);
    let made = basic::split(&decoded).filter(|_| is_there).and_then(|shown| make(users, shown));
    recycle(decoded);
    made
}

/// What the verdict is remembered by.
fn key(passwords: &Passwords, users: &Users, shown: Shown<'_>) -> Option<Key> {
    let mut terms = vector();
    let key = users.write_terms(shown, &mut terms).then(|| passwords.digest(&terms));
    recycle(terms);
    key
}

/// Notes who calls. The password goes no further, unless the document says so.
fn settle(rule: &BasicRule, verdict: passwords::Verdict, exchange: &mut Exchange) -> Result<(), Refusal> {
    let Some(identity) = verdict else { return Err(challenge(rule, exchange)) };
    exchange.scratch.caller.identity = Some(identity);
    if !rule.forward {
        for field in exchange.scratch.head.fields.iter_mut().filter(|field| field.known == Name::Authorization) {
            field.fate = Fate::Hop;
        }
    }
    Ok(())
}

/// The refusal, and the field that browsers ask their users by, in APIs of all kinds.
fn challenge(rule: &BasicRule, exchange: &mut Exchange) -> Refusal {
    let detail = &mut exchange.scratch.detail;
    detail.clear();
    detail.fields.extend_from_slice(rule.challenge.as_bytes());
    Refusal::Unauthorized
}
