//! Lambda authorizers: what is remembered decides at once; otherwise the function or endpoint is asked, once for all who wait.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::head::ResponseHead;
use codec::http1::misbehave::Misbehaviour;
use codec::http1::write;
use config::snapshot::{AuthorizerRule, CallSigner, Snapshot};
use policy::authorize::lambda::{Answer, Denial, LambdaRule, Request, Silence};
use policy::authorize::sigv4::{self, Credentials, Scope, Unsigned};
use policy::fault::Fault;
use policy::identity::Identity;
use policy::limits::AUTHORIZER_ANSWER_BYTES_MAX;
use policy::refusal::Refusal;
use sha2::{Digest, Sha256};

use super::{Verdict, access};
use crate::answers::{Flight, Found, Known, Landing, Outcome, Refused};
use crate::exchange::Exchange;
use crate::integration::http;
use crate::io::{now, recycle, spawn, timeout, vector};
use crate::limits::{AUTHORIZER_ENTRY_WEIGHT, AUTHORIZER_PATIENCE};
use crate::observe::metrics::add;
use crate::remembered::Key;
use crate::state::{Live, Place, Worker};
use crate::stop::Stop;
use crate::trip::Trip;
use crate::upstream::errand::{self, Failure, Heard};

/// The request as authorizers are told of it.
fn request<'a>(exchange: &'a Exchange, place: Place, trip: &'a Trip, live: &'a Live) -> Result<Request<'a>, Refusal> {
    let release = live.release(place).ok_or(Refusal::AuthorizerConfigurationError)?;
    let method = live.method(place).ok_or(Refusal::NoSuchMethod)?;
    let gateway = &live.snapshot().gateway;
    Ok(Request {
        kind: live.kind(place),
        facts: http::facts(exchange, place, trip, live),
        route_key: method.key.as_bytes(),
        stage_variables: &release.variables,
        region: &gateway.region,
        account_id: &gateway.account_id,
        port: exchange.scratch.way.port,
        tls: exchange.scratch.way.tls,
    })
}

/// What the answer is remembered by: the rule, where it holds, and what says who calls. `None`: the request lacks some of that.
fn key(rule: &LambdaRule, request: &Request<'_>) -> Option<Key> {
    let mut hash = Sha256::new();
    hash.update(rule.print);
    for part in [request.facts.api_id, request.facts.stage] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut scratch = vector();
    let is_there = rule.sources.present(request, &mut scratch, |bytes| hash.update(bytes));
    recycle(scratch);
    is_there.then(|| hash.finalize().into())
}

/// What an answer says of this request: who calls. Where it is silent, the API's policy may allow it (POL-03).
fn decide(
    answer: &Answer,
    exchange: &Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<Arc<Identity>, Denied> {
    let request = request(exchange, place, trip, live).map_err(|_| Denied::Forbidden(None))?;
    let mut arn = vector();
    let verdict = if request.write_arn(&mut arn) {
        match answer.decide(&request, &arn) {
            Ok(identity) => Ok(identity.clone()),
            Err(Denial::Implicit) if access::allows(exchange, place, trip, live) => Ok(answer.identity().clone()),
            Err(denial) => Err(Denied::Forbidden(denial.message())),
        }
    } else {
        Err(Denied::TooLong)
    };
    recycle(arn);
    verdict
}

/// Why a caller does not pass.
enum Denied {
    /// The method's ARN would be too long.
    TooLong,
    /// The answer says so; what a REST API says of it.
    Forbidden(Option<&'static str>),
}

/// Notes who calls, or why it may not.
fn settle(verdict: Result<Arc<Identity>, Denied>, exchange: &mut Exchange) -> Result<(), Refusal> {
    match verdict {
        Ok(identity) => {
            exchange.scratch.caller.identity = Some(identity);
            Ok(())
        }
        Err(Denied::TooLong) => Err(Refusal::Misbehaved(Misbehaviour::TargetTooLong)),
        Err(Denied::Forbidden(message)) => {
            exchange.scratch.detail.message.extend_from_slice(message.unwrap_or_default().as_bytes());
            Err(Refusal::AccessDenied)
        }
    }
}

/// What this worker remembers decides; nothing is allocated then.
pub fn start(
    rule: &LambdaRule,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
    worker: &Worker,
) -> Result<Verdict, Stop> {
    let request = request(exchange, place, trip, live)?;
    let key = key(rule, &request).ok_or(Refusal::Unauthorized)?;
    if rule.ttl.is_zero() {
        return Ok(Verdict::Ask);
    }
    let known = worker.authorized.borrow_mut().get(&key, now());
    let Some((answer, _)) = known else { return Ok(Verdict::Ask) };
    add(&worker.metrics.authorizer_hits, 1);
    let verdict = decide(&answer, exchange, place, trip, live);
    settle(verdict, exchange)?;
    Ok(Verdict::Pass)
}

/// Asks, or waits for whoever asks.
pub async fn ask(
    (rule, number): (&LambdaRule, u16),
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<(), Stop> {
    let (key, event) = prepare(rule, exchange, place, trip, live)?;
    let outcome = if rule.ttl.is_zero() {
        ask_now(rule, &event, place, live, worker).await.map(|(answer, _)| (answer, now()))
    } else {
        match live.published.answers.find(&key, now()) {
            Found::Known(known) => {
                add(&worker.metrics.authorizer_hits, 1);
                Ok(known)
            }
            Found::Asked(flight) => wait(&flight, rule).await,
            Found::Nobody(landing) => {
                let flight = landing.flight();
                // A task of its own: others wait for it, whatever becomes of this client.
                spawn(fly(landing, number, event, place, live.clone(), worker.clone()));
                wait(&flight, rule).await
            }
        }
    };
    let (answer, until) = outcome.map_err(refusal)?;
    if !rule.ttl.is_zero() {
        worker.authorized.borrow_mut().put(key, answer.clone(), answer.bytes() + AUTHORIZER_ENTRY_WEIGHT, until);
    }
    let verdict = decide(&answer, exchange, place, trip, live);
    settle(verdict, exchange)?;
    Ok(())
}

async fn wait(flight: &Flight, rule: &LambdaRule) -> Outcome {
    // Whoever asks has this time, and tells us in any case.
    timeout(rule.timeout + AUTHORIZER_PATIENCE, flight.wait()).await.unwrap_or(Err(Refused::Failed))
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Unauthorized => Refusal::Unauthorized,
        Refused::Unusable => Refusal::AuthorizerConfigurationError,
        Refused::Failed => Refusal::AuthorizerFailure,
    }
}

/// What has to be known before anybody is asked: the key of the answer, and what the authorizer is told.
fn prepare(
    rule: &LambdaRule,
    exchange: &Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<(Key, Vec<u8>), Refusal> {
    let request = request(exchange, place, trip, live)?;
    let key = key(rule, &request).ok_or(Refusal::Unauthorized)?;
    if !rule.is_valid(&request) {
        return Err(Refusal::Unauthorized);
    }
    let (mut arn, mut event) = (vector(), Vec::new());
    let fits = request.write_arn(&mut arn);
    if fits {
        rule.write_event(&request, &arn, &mut event);
    }
    recycle(arn);
    if fits { Ok((key, event)) } else { Err(Refusal::Misbehaved(Misbehaviour::TargetTooLong)) }
}

/// Asks for all who wait.
async fn fly(landing: Landing, number: u16, event: Vec<u8>, place: Place, live: Rc<Live>, worker: Rc<Worker>) {
    let Ok(AuthorizerRule::Lambda(rule)) = live.authorizer(place, number).map(|authorizer| &authorizer.rule) else {
        return;
    };
    let heard = ask_now(rule, &event, place, &live, &worker).await;
    let weight = heard.as_ref().map_or(0, |(_, weight)| *weight);
    landing.tell(heard.map(|(answer, _)| remembered(answer, rule.ttl)), weight);
}

fn remembered(answer: Arc<Answer>, ttl: Duration) -> Known {
    let until: Instant = now() + ttl;
    (answer, until)
}

/// Asks the authorizer: its answer, and how much it weighs.
async fn ask_now(
    rule: &LambdaRule,
    event: &[u8],
    place: Place,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<(Arc<Answer>, usize), Refused> {
    add(&worker.metrics.authorizer_calls, 1);
    let called = call(rule, event, place, live, worker).await;
    let heard = match &called {
        Ok(Heard { status, noted, body }) => rule.hear(live.kind(place), (*status, *noted), body),
        Err(failure) => return Err(complain(rule, &Complaint::Call(*failure), worker)),
    };
    match heard {
        Ok(answer) => {
            let weight = answer.bytes() + AUTHORIZER_ENTRY_WEIGHT;
            Ok((Arc::new(answer), weight))
        }
        Err(Silence::Unauthorized) => Err(Refused::Unauthorized),
        Err(silence) => Err(complain(rule, &Complaint::Silence(silence), worker)),
    }
}

async fn call(
    rule: &LambdaRule,
    event: &[u8],
    place: Place,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<Heard<bool>, Failure> {
    let release = live.release(place).ok_or(Failure::Broken(Fault::ConnectFailed))?;
    let authority = rule.authority as usize;
    let (upstream, host) =
        (&live.upstreams[release.upstreams[authority] as usize], &release.program.authorities[authority].host);
    let mut request = Vec::with_capacity(event.len() + rule.target.len() + 512);
    write::request_line(&mut request, b"POST", rule.target.as_bytes());
    let fields: [(&[u8], &[u8]); 3] =
        [(b"Host", host), (b"Content-Type", b"application/json"), (b"X-Amz-Invocation-Type", b"RequestResponse")];
    let fields = &fields[..if rule.is_function { 3 } else { 2 }];
    for (name, value) in fields {
        write::field(&mut request, name, value);
    }
    if rule.is_function {
        let unsigned = Unsigned { method: b"POST", target: rule.target.as_bytes(), fields, body: event };
        sign_call(&unsigned, live.snapshot(), worker.epoch_ms(), &mut request);
    }
    write::content_length(&mut request, event.len() as u64);
    write::end(&mut request);
    request.extend_from_slice(event);
    let bounds = errand::Bounds { time: rule.timeout, bytes: AUTHORIZER_ANSWER_BYTES_MAX };
    Box::pin(errand::run((upstream, &worker.names), &request, bounds, has_failed)).await
}

/// Signs a request to Lambda, where the document says with what. Its own endpoint asks for that; others may not.
fn sign_call(request: &Unsigned<'_>, snapshot: &Snapshot, now_ms: u64, out: &mut Vec<u8>) {
    let (Some(CallSigner { region, .. }), Some(keys)) = (&snapshot.gateway.call_signer, &snapshot.call_keys) else {
        return;
    };
    let who =
        Credentials { access_key: &keys.access_key, secret: &keys.secret.key, token: keys.secret.token.as_deref() };
    sigv4::sign(request, &who, Scope { region, service: "lambda" }, now_ms, out);
}

/// Lambda says in the head that a function has failed, whatever the status.
fn has_failed(head: &ResponseHead, bytes: &[u8]) -> bool {
    head.fields.iter().any(|field| field.name.of(bytes).eq_ignore_ascii_case(b"x-amz-function-error"))
}

/// Why the authorizer's word is of no use.
enum Complaint {
    Call(Failure),
    Silence(Silence),
}

/// Says so in the log, now and then, and what becomes of the request.
fn complain(rule: &LambdaRule, complaint: &Complaint, worker: &Worker) -> Refused {
    add(&worker.metrics.authorizer_failures, 1);
    let why = match complaint {
        Complaint::Call(Failure::Broken(fault)) => format!("it cannot be asked: {}", fault.name()),
        Complaint::Call(Failure::TooLong) => format!("its answer is longer than {AUTHORIZER_ANSWER_BYTES_MAX} bytes"),
        Complaint::Silence(silence) => silence.to_string(),
    };
    if let Some(failures) = worker.authorizers_silent.borrow_mut().say(now()) {
        let uri = &rule.written;
        tracing::warn!(%uri, %why, failures, "an authorizer gives no answer: its callers are told 500");
    }
    match complaint {
        Complaint::Call(Failure::Broken(Fault::AnswerTimedOut | Fault::AnswerStalled))
        | Complaint::Silence(Silence::Function | Silence::Status(_) | Silence::Unauthorized) => Refused::Failed,
        // Who cannot be reached, or answers in no known form, is set up wrongly.
        Complaint::Call(_) | Complaint::Silence(Silence::Answer(_)) => Refused::Unusable,
    }
}
