//! Resource policies (POL-03): what they say before anybody is asked who calls, and of who calls.
//!
//! | authorizer | before | after |
//! |---|---|---|
//! | none | must allow | |
//! | Lambda | must not deny | one of the two must allow (table A): where the authorizer is silent, this counts ([`allows`]) |
//! | signature | | with the policy of who signed: of the same account either allows (table A), of another both must (table B) |
//! | any other | | must allow |

use config::snapshot::{AccessPolicy, AuthorizerRule};
use policy::facts::Facts;
use policy::iam::{self, Decision, Who};
use policy::refusal::Refusal;
use policy::rules::Authorize;

use crate::exchange::Exchange;
use crate::integration::http;
use crate::io::{recycle, vector};
use crate::state::{Live, Place};
use crate::trip::Trip;

/// Before anybody is asked.
pub fn before(
    rule: &Authorize,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<(), Refusal> {
    let Some(access) = policy_of(live, place) else { return Ok(()) };
    match rule {
        Authorize::Open => {
            let decision = decide(access, None, exchange, place, trip, live);
            must_allow(decision, None, exchange, place, trip, live)
        }
        Authorize::By { .. } if asks_a_function(rule, place, live) => {
            match decide(access, None, exchange, place, trip, live) {
                Decision::ExplicitDeny => refuse(true, None, exchange, place, trip, live),
                Decision::Allow | Decision::ImplicitDeny => Ok(()),
            }
        }
        Authorize::Closed | Authorize::SigV4 | Authorize::By { .. } => Ok(()),
    }
}

/// After it is known who calls.
pub fn after(rule: &Authorize, exchange: &mut Exchange, place: Place, trip: &Trip, live: &Live) -> Result<(), Refusal> {
    match rule {
        Authorize::Open | Authorize::Closed => Ok(()),
        Authorize::SigV4 => super::sigv4::may(exchange, place, trip, live),
        Authorize::By { .. } if asks_a_function(rule, place, live) => Ok(()),
        Authorize::By { .. } => {
            let Some(access) = policy_of(live, place) else { return Ok(()) };
            let decision = decide(access, None, exchange, place, trip, live);
            must_allow(decision, None, exchange, place, trip, live)
        }
    }
}

/// Whether the policy allows what an authorizer says nothing of.
pub fn allows(exchange: &Exchange, place: Place, trip: &Trip, live: &Live) -> bool {
    policy_of(live, place).is_some_and(|access| decide(access, None, exchange, place, trip, live) == Decision::Allow)
}

/// The policy of the API of a place.
pub fn policy_of(live: &Live, place: Place) -> Option<&AccessPolicy> {
    live.release(place)?.program.policy.as_ref()
}

fn asks_a_function(rule: &Authorize, place: Place, live: &Live) -> bool {
    let Authorize::By { authorizer, .. } = rule else { return false };
    live.authorizer(place, *authorizer).is_ok_and(|found| matches!(found.rule, AuthorizerRule::Lambda(_)))
}

fn decide(
    access: &AccessPolicy,
    who: Option<Who<'_>>,
    exchange: &Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Decision {
    with_request(who, exchange, place, trip, live, |request| access.policy.decide(request))
}

/// The request as policies see it.
pub fn with_request<T>(
    who: Option<Who<'_>>,
    exchange: &Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
    ask: impl FnOnce(&iam::Request<'_>) -> T,
) -> T {
    use codec::head::Name;
    let facts = http::facts(exchange, place, trip, live);
    let gateway = &live.snapshot().gateway;
    let mut arn = vector();
    iam::write_arn(&facts, live.kind(place), &gateway.region, gateway.account_id.as_bytes(), &mut arn);
    let answer = ask(&iam::Request {
        action: iam::Action::Invoke,
        resource: &arn,
        time_epoch_ms: trip.epoch_ms,
        source_ip: exchange.peer.ip(),
        tls: exchange.scratch.way.tls,
        referer: facts.header(Name::of(b"referer"), b"referer"),
        user_agent: facts.header(Name::UserAgent, b"user-agent"),
        who,
    });
    recycle(arn);
    answer
}

/// Says no in the words of A-13, unless it is allowed.
pub fn must_allow(
    decision: Decision,
    who: Option<&str>,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<(), Refusal> {
    match decision {
        Decision::Allow => Ok(()),
        Decision::ExplicitDeny => refuse(true, who, exchange, place, trip, live),
        Decision::ImplicitDeny => refuse(false, who, exchange, place, trip, live),
    }
}

fn refuse(
    is_explicit: bool,
    who: Option<&str>,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<(), Refusal> {
    let mut message = std::mem::take(&mut exchange.scratch.detail.message);
    message.clear();
    let facts: Facts<'_> = http::facts(exchange, place, trip, live);
    let gateway = &live.snapshot().gateway;
    let ours = (&*gateway.region, &*gateway.account_id);
    iam::write_denial(&facts, live.kind(place), ours, who, is_explicit, &mut message);
    exchange.scratch.detail.message = message;
    Err(Refusal::AccessDenied)
}
