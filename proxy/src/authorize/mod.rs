//! Whether a caller may: the authorizer of a method is asked, and says who calls (phase `Authorize`).

pub mod access;
mod basic;
mod jwt;
mod lambda;
mod mtls;
pub mod sigv4;

use std::rc::Rc;

use config::snapshot::AuthorizerRule;
use policy::refusal::Refusal;
use policy::rules::Authorize;

use crate::exchange::Exchange;
use crate::state::{Live, Place, Worker};
use crate::stop::Stop;
use crate::trip::Trip;

/// What is known without waiting.
pub enum Verdict {
    /// The caller may. Who it is stands in `exchange.scratch.caller`, if anybody was asked.
    Pass,
    /// Somebody has to be asked, or a body read: [`ask`].
    Ask,
}

/// What the authorizer says at once: of what was verified or answered before, of what needs no answer. Never waits, and where the caller is
/// remembered nothing is allocated.
pub fn start(
    rule: &Authorize,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<Verdict, Stop> {
    match rule {
        Authorize::Open => Ok(Verdict::Pass),
        Authorize::Closed => Err(Refusal::AuthorizerConfigurationError.into()),
        Authorize::SigV4 => sigv4::start(exchange, place, trip, live, worker),
        Authorize::By { authorizer, scopes } => match &live.authorizer(place, *authorizer)?.rule {
            AuthorizerRule::Jwt(rule) => jwt::start((rule, scopes), exchange, place, trip, live, worker),
            AuthorizerRule::Lambda(rule) => lambda::start(rule, exchange, place, trip, live, worker),
            AuthorizerRule::Basic(rule) => basic::start(rule, exchange, place, trip, live, worker),
            AuthorizerRule::Mtls(rule) => mtls::decide(rule, exchange, live).map(|()| Verdict::Pass),
        },
    }
}

/// Goes on where [`start`] could not decide: on the heap, as it waits for others.
pub async fn ask(
    rule: &Authorize,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<(), Stop> {
    match rule {
        Authorize::Open => Ok(()),
        Authorize::Closed => Err(Refusal::AuthorizerConfigurationError.into()),
        Authorize::SigV4 => sigv4::ask(exchange, place, trip, live, worker).await,
        Authorize::By { authorizer, scopes } => match &live.authorizer(place, *authorizer)?.rule {
            AuthorizerRule::Jwt(rule) => jwt::ask((rule, scopes), exchange, place, trip, live, worker).await,
            AuthorizerRule::Lambda(rule) => lambda::ask((rule, *authorizer), exchange, place, trip, live, worker).await,
            AuthorizerRule::Basic(rule) => basic::ask(rule, exchange, place, trip, live, worker).await,
            AuthorizerRule::Mtls(rule) => mtls::decide(rule, exchange, live),
        },
    }
}
