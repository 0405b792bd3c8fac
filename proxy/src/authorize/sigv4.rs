//! Who signs: the signature is verified against the principal's secret, and then its policy and that of the API decide.
//!
//! A signature is of the body too. So a body is read whole before anything of it goes on, unless the signer has left it out; but only for a
//! signature that could be good but for it.

use std::rc::Rc;

use codec::head::Field;
use policy::authorize::sigv4::{self, Asked, EllipticKey, FieldList, Scope, Wrong};
use policy::iam::{Decision, Who};
use policy::refusal::Refusal;
use router::Kind;

use super::Verdict;
use super::access::{must_allow, policy_of, with_request};
use crate::exchange::Exchange;
use crate::io::vector;
use crate::state::{Live, Place, Worker};
use crate::stop::Stop;
use crate::trip::Trip;

/// The service that requests are signed for.
const SERVICE: &str = "execute-api";

/// What is known of a signature.
enum Known {
    /// It is this principal's.
    Signer(usize),
    /// It may be, by its body.
    Body,
}

/// Verifies what needs no body, or whose body is there.
pub fn start(
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
    worker: &Worker,
) -> Result<Verdict, Stop> {
    let body = exchange.gathered.as_deref().or(exchange.body.is_done().then_some(&[]));
    match check((exchange, place), body, trip, live, worker) {
        Ok(Known::Body) => Ok(Verdict::Ask),
        Ok(Known::Signer(number)) => {
            exchange.scratch.caller.identity = live.published.signers.identity(number);
            Ok(Verdict::Pass)
        }
        Err(wrong) => {
            let message = &mut exchange.scratch.detail.message;
            message.clear();
            wrong.write(message);
            Err(wrong.refusal().into())
        }
    }
}

/// Reads the body, and verifies.
pub async fn ask(
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<(), Stop> {
    let mut body = vector();
    exchange.gather(&live.snapshot().gateway.limits, &mut body).await?;
    exchange.gathered = Some(body);
    start(exchange, place, trip, live, worker).map(|_| ())
}

fn asked(exchange: &Exchange) -> Asked<'_, impl FieldList<'_>> {
    let (head, bytes) = (&exchange.scratch.head, &*exchange.head_bytes);
    let pair = |field: &Field| (field.name.of(bytes), field.value.of(bytes));
    Asked {
        method: head.method.of(bytes),
        path: head.path.of(bytes),
        query: head.query.map_or(&b""[..], |query| query.of(bytes)),
        fields: head.fields.iter().map(pair),
    }
}

fn check(
    (exchange, place): (&Exchange, Place),
    body: Option<&[u8]>,
    trip: &Trip,
    live: &Live,
    worker: &Worker,
) -> Result<Known, Wrong> {
    let (asked, snapshot) = (asked(exchange), live.snapshot());
    let scope = Scope { region: &snapshot.gateway.region, service: SERVICE };
    let work = &mut *worker.desk.work.borrow_mut();
    sigv4::read(&asked, scope, trip.epoch_ms, work)?;
    if work.is_elliptic() && live.kind(place) != Kind::Rest {
        return Err(Wrong::NoSignature);
    }
    let number = live.published.signers.find(work.access_key()).ok_or(Wrong::UnknownKey)?;
    let secret = snapshot.secrets.get(number).ok_or(Wrong::UnknownKey)?;
    let token_is_right = match (&secret.token, work.token()) {
        (None, None) => true,
        (Some(ours), Some(shown)) => sigv4::is_same(ours, shown),
        _ => false,
    };
    if !token_is_right {
        return Err(Wrong::UnknownKey);
    }
    // Nobody's body is held for a signature that is wrong whatever it says.
    let hash = match (body, work.said_hash()) {
        (Some(body), _) => sigv4::hash(body),
        (None, Some(said)) => said,
        (None, None) if work.wants_body() => return Ok(Known::Body),
        (None, None) => [0; 32],
    };
    if work.is_elliptic() {
        let made = || EllipticKey::derive(work.access_key(), &secret.key);
        let key = live.published.signers.elliptic(number, made).ok_or(Wrong::Differs)?;
        return sigv4::verify_elliptic(&asked, key, &hash, work).map(|()| Known::Signer(number));
    }
    let made = |day: &[u8; 8]| sigv4::signing_key(&secret.key, day, scope);
    let (all, generation) = (snapshot.secrets.len(), live.published.generation);
    let verified = worker
        .desk
        .with_key((number, all), generation, work.day(), made, |key| sigv4::verify(&asked, key, &hash, work));
    let is_whole = body.is_some() || !work.wants_body();
    verified.map(|()| if is_whole { Known::Signer(number) } else { Known::Body })
}

/// What the policies of who signed and of the API say (POL-03, tables A and B).
pub fn may(exchange: &mut Exchange, place: Place, trip: &Trip, live: &Live) -> Result<(), Refusal> {
    let snapshot = live.snapshot();
    let iam = exchange.scratch.caller.identity.as_ref().and_then(|identity| identity.iam.as_ref());
    let number = iam.and_then(|iam| live.published.signers.find(iam.access_key.as_bytes()));
    let Some(principal) = number.and_then(|number| snapshot.gateway.principals.get(number)) else {
        return Err(Refusal::UnrecognizedClient);
    };
    let who = Who {
        arn: &principal.arn,
        principal_arn: &principal.principal_arn,
        account: &principal.account,
        kind: &principal.kind,
        user_id: &principal.user_id,
        user_name: principal.user_name.as_deref(),
        tags: &principal.tags,
    };
    let decision = with_request(Some(who), exchange, place, trip, live, |request| {
        let own = principal.policy.decide(request);
        let of_api = policy_of(live, place).map_or(Decision::ImplicitDeny, |access| access.policy.decide(request));
        if principal.account == snapshot.gateway.account_id { own.or(of_api) } else { own.and(of_api) }
    });
    must_allow(decision, Some(&principal.arn), exchange, place, trip, live)
}
