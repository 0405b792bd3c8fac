//! The spine: the whole life of a request, top to bottom. Branches and awaits live here; what it calls does neither.

use std::rc::Rc;
use std::time::Duration;

use codec::head::{Fate, Framing, Name};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::write;
use codec::target::canonical_path;
use config::snapshot::{Gateway, HttpRule, Integration, Limits, ResponseShape, Retry, SelectedMock};
use policy::phase::Phase;
use policy::refusal::Refusal;
use policy::rules::Authorize;
use policy::transform::constant::MockStatus;
use policy::transform::headers;
use router::{ApiId, Glob, Located, Miss, Verb};

use crate::authorize::{self, Verdict};
use crate::body::{BodyReader, Broken};
use crate::doorman;
use crate::drill;
use crate::exchange::{Exchange, Reply};
use crate::firewall;
use crate::hops;
use crate::integration::http::Call;
use crate::integration::{http, mapping, mock};
use crate::io::{now, recycle, since, vector};
use crate::limits::ANSWER_HELD_BYTES_MAX;
use crate::observe::metrics::add;
use crate::pace::Pace;
use crate::record;
use crate::scratch::Scratch;
use crate::state::{Live, Place, Worker};
use crate::stop::Stop;
use crate::subscription;
use crate::trip::Trip;
use crate::tunnel;
use crate::turnstile;
use crate::upstream::{self, Answer, Bounds};

/// Answers the request whose head the exchange holds. Afterwards `exchange.keep_alive` says whether another may follow.
pub async fn serve(exchange: &mut Exchange, worker: &Rc<Worker>) {
    let live = worker.live();
    let working = worker.load.begin_request();
    let mut trip = Trip::begin(worker);
    exchange.scratch.forget_caller();
    hops::follow(exchange, live.snapshot().gateway.trusted_proxies.as_ref());
    drill::stall(exchange);
    drill::panic_at("begin", exchange);
    let reply = match answer(exchange, &mut trip, &live, worker).await {
        Ok(reply) => reply,
        Err(Stop::Refused(refusal)) => Reply::Refused(refusal),
        Err(Stop::Broken(fault)) => Reply::Refused(exchange.broken(&mut trip, fault)),
    };
    exchange.send(reply, &mut trip, &live, worker).await;
    // What follows a 101 is no request at work.
    drop(working);
    exchange.scratch.held.leave();
    if let Some(backend) = exchange.tunnel.take() {
        let Limits { tunnel_idle_time: idle, tunnel_time: life, .. } = live.snapshot().gateway.limits;
        // On the heap: it lives for hours, and its size is no matter of other requests.
        Box::pin(tunnel::run(exchange, backend, tunnel::Bounds { idle, life }, &mut trip, worker)).await;
    }
    drill::panic_at("end", exchange);
    record::record(exchange, &trip, &live, worker);
}

/// Refuses a head that could not even be parsed; the connection ends.
pub async fn refuse(exchange: &mut Exchange, refusal: Refusal, worker: &Rc<Worker>) {
    add(&worker.metrics.requests, 1);
    let live = worker.live();
    let mut trip = Trip::begin(worker);
    trip.name(None, None, worker);
    exchange.forget_head();
    hops::follow(exchange, None);
    exchange.keep_alive = false;
    exchange.send(Reply::Refused(refusal), &mut trip, &live, worker).await;
    record::record(exchange, &trip, &live, worker);
}

async fn answer(exchange: &mut Exchange, trip: &mut Trip, live: &Rc<Live>, worker: &Rc<Worker>) -> Result<Reply, Stop> {
    let proved = phase(Phase::ProveClient, doorman::admit(exchange, live, worker));
    if is_for_the_server(exchange) {
        trip.name(None, None, worker);
        return proved.map(|()| options_of_the_server());
    }
    let found = find(exchange, trip, live, worker);
    if let Some(reply) = doorman::redirect(exchange, live).filter(|_| is_known(&found)) {
        return Ok(reply);
    }
    // What is found is nothing for those who may not come in; but the kind of the API makes the refusal.
    proved?;
    let found = found?;
    if worker.load.has_too_many_requests() {
        add(&worker.metrics.requests_refused, 1);
        return Err(Refusal::Overloaded.into());
    }
    if let Some(reply) = admit(exchange, found, trip, live, worker).await? {
        return Ok(reply);
    }
    fulfil(exchange, found, trip, live, worker).await
}

/// Which API, stage and method. A miss names the request too, so that a refusal is of the right kind.
pub fn find(exchange: &mut Exchange, trip: &mut Trip, live: &Live, worker: &Worker) -> Result<Place, Stop> {
    let head = &exchange.scratch.head;
    let received = head.path.of(&exchange.head_bytes);
    let canonical = match canonical_path(received, &mut exchange.scratch.path) {
        Ok(path) => path,
        Err(how) => {
            trip.name(None, None, worker);
            // Nobody who sends this is given another try on the same connection.
            exchange.keep_alive = false;
            return Err(Refusal::Misbehaved(how).into());
        }
    };
    exchange.path_rewritten = !std::ptr::eq(canonical.as_ptr(), received.as_ptr());
    let (bytes, fields) = (&*exchange.head_bytes, &head.fields);
    let has_field = |name: &str, value: &Glob| {
        let mut named = fields.iter().filter(|field| field.fate == Fate::Pass);
        named.any(|field| {
            field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()) && value.matches(field.value.of(bytes))
        })
    };
    let table = &live.snapshot().table;
    let located = table.locate(head.host.of(bytes), canonical, exchange.entry.execute_api(), has_field);
    let kind_of = |api: ApiId| live.snapshot().apis[api.0 as usize].kind;
    let (place, kind, refusal) = match located {
        Ok(Located { api, stage, rest }) => {
            let chosen = live.snapshot().stages[stage as usize].choose(|| worker.random() as u32);
            let verb = Verb::parse(head.method.of(bytes));
            let captures = &mut exchange.scratch.captures;
            captures.clear();
            let method = chosen
                .zip(verb)
                .and_then(|((release, _), verb)| release.program.routes.find(canonical, rest, verb, captures));
            let canary = chosen.is_some_and(|(_, canary)| canary);
            let refusal = chosen.is_none().then_some(Refusal::NoSuchStage);
            let kind = chosen.map_or_else(|| kind_of(api), |(release, _)| release.program.kind);
            (Some(Place { api: api.0, stage, method, canary, rest }), Some(kind), refusal)
        }
        Err(Miss::Stage { api }) => (None, Some(kind_of(api)), Some(Refusal::NoSuchStage)),
        Err(Miss::Closed { api }) => (None, Some(kind_of(api)), Some(Refusal::NoSuchApi)),
        Err(Miss::Mapping { kind }) => (None, kind, Some(Refusal::NoSuchApi)),
        Err(Miss::Host) => (None, None, Some(Refusal::NoSuchApi)),
    };
    let own = exchange.scratch.head.fields.get(Name::XAmznRequestid);
    trip.name(kind, own.map(|field| field.value.of(&exchange.head_bytes)), worker);
    trip.place = place;
    if let Some(cors) = place.and_then(|place| live.release(place)?.program.answers.cors.as_ref()) {
        let Scratch { head, crossing, .. } = &mut *exchange.scratch;
        crossing.decide(cors, head, &exchange.head_bytes);
    }
    match (place, refusal) {
        (Some(place), None) => Ok(place),
        (_, refusal) => Err(refusal.unwrap_or(Refusal::NoSuchApi).into()),
    }
}

/// Each line is one phase, in the order of `policy::phase`. A reply is the answer of a phase itself, and nothing follows it.
pub async fn admit(
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<Option<Reply>, Stop> {
    phase(Phase::Firewall, firewall::ask(exchange, place, live, worker))?;
    phase(Phase::ThrottleAddress, turnstile::addresses(exchange, place, live, worker))?;
    if let Some(reply) = phase(Phase::Preflight, Ok::<_, Refusal>(preflight(exchange, place, live)))? {
        add(&worker.metrics.preflights, 1);
        return Ok(Some(reply));
    }
    phase(Phase::NoSuchMethod, place.method.ok_or(Refusal::NoSuchMethod))?;
    body_fits(exchange, &live.snapshot().gateway)?;
    let rules = &live.method(place).ok_or(Refusal::NoSuchMethod)?.rules;
    phase(Phase::PolicyBefore, authorize::access::before(&rules.authorize, exchange, place, trip, live))?;
    if rules.authorize != Authorize::Open {
        let verdict = authorize::start(&rules.authorize, exchange, place, trip, live, worker);
        if let Verdict::Ask = phase(Phase::Authorize, verdict)? {
            // On the heap: whoever is asked is waited for, and most requests ask nobody.
            Box::pin(authorize::ask(&rules.authorize, exchange, place, trip, live, worker)).await?;
        }
        phase(Phase::PolicyAfter, authorize::access::after(&rules.authorize, exchange, place, trip, live))?;
    }
    phase(Phase::ApiKey, subscription::key(exchange, place, live))?;
    phase(Phase::ThrottlePlan, turnstile::plan(exchange, place, live, worker))?;
    phase(Phase::Quota, subscription::quota(exchange, place, live, worker))?;
    phase(Phase::ThrottleStage, turnstile::stage(exchange, place, live, worker))?;
    phase(Phase::ThrottleAccount, turnstile::account(exchange, place, live, worker))?;
    phase(Phase::Concurrency, turnstile::at_once(exchange, place, live, worker))?;
    Ok(None)
}

async fn fulfil(
    exchange: &mut Exchange,
    place: Place,
    trip: &mut Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<Reply, Stop> {
    let method = live.method(place).ok_or(Refusal::NoSuchMethod)?;
    let may_switch = matches!(&method.integration, Integration::Http(rule) if rule.websocket);
    if exchange.is_extended_connect() && !may_switch {
        return Err(Refusal::Misbehaved(Misbehaviour::ConnectRefused).into());
    }
    match &method.integration {
        Integration::Mock(rule) => {
            exchange.look_over_body(&live.snapshot().gateway.limits)?;
            Ok(mock::answer(rule, exchange, place, trip, live))
        }
        Integration::SelectedMock(rule) => select_mock(rule, exchange, place, trip, live).await,
        Integration::Http(rule) => {
            let gateway = &live.snapshot().gateway;
            http::upgrade(rule, exchange)?;
            let mut call = Call::new(rule);
            // What a signer's body was read for is sent as it is.
            if rule.holds_body || exchange.gathered.is_some() {
                exchange.gather(&gateway.limits, &mut call.held).await?;
            }
            phase(Phase::ShapeCall, http::target(&mut call, exchange, place, trip, live))?;
            phase(Phase::MapRequest, mapping::request(&mut call, exchange, place, trip, live))?;
            let number = live.release(place).map_or(0, |release| release.upstreams[rule.authority as usize]);
            let upstream = &live.upstreams[number as usize];
            trip.upstream = Some(number);
            hops::introduce(exchange, upstream.spec.proxy_protocol);
            let grpc_time = call.meet(exchange, upstream.spec.protocol);
            if call.bounds_messages() {
                exchange.body.bound_messages();
            }
            let trace = http::trace_id(trip, worker);
            let (shape, source) = http::prepare(&call, exchange, live, place, &trace);
            let bounds = bounds(rule, upstream.spec.retry, (call.grpc.is_some(), grpc_time), gateway);
            let began = now();
            let called = upstream::call::call((upstream, &worker.names), source, bounds, |out| shape.write(out)).await;
            trip.integration_micros = Some(since(began).as_micros() as u64);
            call.recycle();
            let (connection, head_bytes) = phase(Phase::Integrate, called)?;
            trip.integration_status = Some(exchange.scratch.answer.status);
            drill::panic_at("call", exchange);
            let answer = Answer { connection, head_bytes, proxy: rule.proxy, shaped: None };
            match rule.response {
                _ if exchange.scratch.answer.status == 101 => Ok(exchange.switch(answer)),
                ResponseShape::AsIs => Ok(exchange.stream(answer)),
                _ => map_answer(rule, answer, exchange, place, trip, live, worker).await,
            }
        }
        Integration::Unavailable(_) => Err(Refusal::NotAvailable.into()),
    }
}

/// From the head of the backend's answer to what the client gets instead.
async fn map_answer(
    rule: &HttpRule,
    mut answer: Answer,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
    worker: &Worker,
) -> Result<Reply, Stop> {
    let (status, framing) = (exchange.scratch.answer.status, exchange.scratch.answer.framing);
    let mut reader = BodyReader::of(framing, &answer.connection.sock);
    let Some(choice) = phase(Phase::MapResponse, mapping::choose(rule, status))? else {
        return Ok(exchange.stream(answer));
    };
    let constant = choice.constant(exchange);
    let mut body = None;
    if choice.needs_body() && !reader.is_done() {
        let limits = &live.snapshot().gateway.limits;
        let bounds = (ANSWER_HELD_BYTES_MAX, Pace::of_sender(limits.answer_rate, limits.body_idle_time));
        let connection = &mut answer.connection;
        let mut held = vector();
        let gathered = reader.gather((&connection.sock, &mut connection.inflow), bounds, &mut held).await;
        gathered.map_err(|broken| match broken {
            Broken::TooLarge => Stop::Refused(Refusal::AnswerTooLarge),
            broken => {
                connection.broke(broken.by_backend());
                Stop::Broken(broken.by_backend())
            }
        })?;
        body = Some(held);
    }
    let facts = http::facts(exchange, place, trip, live);
    let read = (&*answer.head_bytes, body.as_deref().unwrap_or_default());
    let kind = (live.kind(place), rule.proxy, constant.is_some());
    let shaped = phase(Phase::MapResponse, choice.shape(exchange, facts, read, kind))?;
    if constant.is_none() && body.is_none() {
        return Ok(exchange.stream(Answer { shaped: Some(shaped), ..answer }));
    }
    let Answer { mut connection, .. } = answer;
    // A body that nobody reads is not waited for.
    let whole = reader.skip_arrived(&mut connection.inflow) && framing != Framing::UntilClose;
    connection.release(whole && exchange.scratch.answer.keep_alive && !worker.is_draining());
    let mut sent = body.unwrap_or_else(vector);
    if let Some(constant) = constant {
        sent.clear();
        sent.extend_from_slice(constant);
    }
    Ok(Reply::Whole { status: shaped.status, fields: shaped.fields, body: sent })
}

/// A mock as API Gateway does it: a template, or the body without one, names the status that selects the answer.
async fn select_mock(
    rule: &SelectedMock,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<Reply, Stop> {
    let typed = exchange.scratch.head.fields.get(Name::ContentType).map(|field| field.value.of(&exchange.head_bytes));
    let status = match phase(Phase::MapRequest, rule.request.choose(typed))? {
        MockStatus::Known(status) => {
            exchange.look_over_body(&live.snapshot().gateway.limits)?;
            status
        }
        MockStatus::InBody => {
            let mut body = vector();
            exchange.gather(&live.snapshot().gateway.limits, &mut body).await?;
            let status = mock::status_in(&body);
            recycle(body);
            status?
        }
    };
    phase(Phase::MapResponse, mock::selected(rule, status, exchange, place, (trip, live)))
}

fn bounds(rule: &HttpRule, retry: Retry, (is_grpc, deadline): (bool, Option<Duration>), gateway: &Gateway) -> Bounds {
    let attempts = rule.attempts.unwrap_or(retry.attempts);
    let try_time = rule.try_time.or(retry.try_time);
    let Limits { body, body_idle_time, body_rate, send_rate, .. } = gateway.limits;
    // A stream of gRPC is silent for as long as it likes, as a tunnel is.
    let (body_idle, body_rate) =
        if is_grpc { (gateway.limits.tunnel_idle_time, 0) } else { (body_idle_time, body_rate) };
    let millis = |after: Duration| after.as_millis().clamp(1, u32::MAX.into()) as u32;
    let timeout = deadline.map_or(rule.timeout, |deadline| deadline.min(rule.timeout));
    Bounds {
        timeout,
        attempts,
        try_time,
        deadline: deadline.map_or(0, millis),
        body_idle,
        body_rate,
        send_rate,
        body_max: body,
    }
}

/// Names the phase that a line belongs to; costs nothing.
#[inline]
fn phase<T, E: Into<Stop>>(_phase: Phase, verdict: Result<T, E>) -> Result<T, Stop> {
    verdict.map_err(Into::into)
}

/// The answer to a browser that asks whether a page of another origin may call, in an API with a CORS configuration: for every path, and
/// whatever `ANY`, `{proxy+}` or `$default` would take it, so that no authorizer refuses what cannot bear a token (CO-02, CO-04). A
/// route for OPTIONS of its own is asked instead, and its answer tells the same.
fn preflight(exchange: &Exchange, place: Place, live: &Live) -> Option<Reply> {
    let has_own = || live.method(place).is_some_and(|method| method.key.starts_with("OPTIONS "));
    let is_ours = exchange.scratch.crossing.is_preflight && !has_own();
    is_ours.then(|| Reply::Whole { status: 204, fields: vector(), body: vector() })
}

/// A body that announces too much is refused before anything is read (aws-features §17: 413).
fn body_fits(exchange: &Exchange, gateway: &Gateway) -> Result<(), Refusal> {
    match (exchange.body.remaining(), gateway.limits.body) {
        (Some(announced), Some(most)) if announced > most => Err(Refusal::RequestTooLarge),
        _ => Ok(()),
    }
}

/// `OPTIONS *` asks about the server, not about an API (RFC 9110 §9.3.7, row S19); and an OPTIONS that may go no further is
/// ours to answer (§7.6.2, row C14).
fn is_for_the_server(exchange: &Exchange) -> bool {
    let (head, bytes) = (&exchange.scratch.head, &exchange.head_bytes);
    let limits = || head.fields.iter().filter(|field| field.known == Name::MaxForwards);
    let ends_here = || limits().any(|field| headers::forwards_left(field.value.of(bytes)) == Some(0));
    head.asterisk || head.method.of(bytes) == b"OPTIONS" && ends_here()
}

/// Whether somebody answers at this host: others are told nothing of another address.
fn is_known(found: &Result<Place, Stop>) -> bool {
    !matches!(found, Err(Stop::Refused(Refusal::NoSuchApi | Refusal::Misbehaved(_))))
}

/// What the server can do.
fn options_of_the_server() -> Reply {
    let mut fields = vector();
    write::field(&mut fields, b"Allow", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    Reply::Whole { status: 204, fields, body: vector() }
}
