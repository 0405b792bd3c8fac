//! Whether a request may pass now: the phases that count (TH-01, TH-02), and what a client is told of them.
//!
//! A request has to pass every limit that it meets. If one refuses it, what it has taken of its key, its method, its stage and the
//! gateway goes back: nobody pays for a request that was not served, and one caller's refusals leave the others their share. What it has
//! taken by its address or a header does not: these limits protect what comes behind them, refusals included.

use codec::head::Fate;
use config::snapshot::{By, Tell};
use policy::phase::Phase;
use policy::refusal::Refusal;
use policy::throttle::{Table, Told, Wait, write_concurrency, write_passed, write_refused};

use crate::exchange::Exchange;
use crate::io::now;
use crate::observe::metrics::{THROTTLES, add};
use crate::state::{Live, Place, Worker};
use crate::subscription;
use crate::throttles::{OfClient, OfStage, nanos};

/// Limits of clients that are known by what they send: before anybody is asked anything.
#[inline]
pub fn addresses(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let of_stage = live.published.throttles.stage(place.stage);
    if of_stage.by.is_empty() { Ok(()) } else { clients(exchange, place, (live, of_stage), true, worker) }
}

/// Limits of the caller's key, for the method and for all (TH-02 (1), (2)), and of clients that are known by who they are.
#[inline]
pub fn plan(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    if exchange.scratch.caller.subscription.is_some() {
        of_key(exchange, place, live, worker)?;
    }
    let of_stage = live.published.throttles.stage(place.stage);
    if of_stage.by.is_empty() { Ok(()) } else { clients(exchange, place, (live, of_stage), false, worker) }
}

/// Limits of the method and of the stage (TH-02 (3)).
#[inline]
pub fn stage(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let of_stage = live.published.throttles.stage(place.stage);
    if let Some(method) = of_stage.method(place.method, place.canary).and_then(|method| method.throttle.as_deref()) {
        let at = nanos(now());
        if let Err(wait) = method.take(worker.index, at) {
            let told = method.told("method", at);
            return Err(refuse(exchange, place, live, worker, Phase::ThrottleStage, told, wait));
        }
        exchange.scratch.taken.method = true;
    }
    if let Some(whole) = &of_stage.whole {
        let at = nanos(now());
        if let Err(wait) = whole.take(worker.index, at) {
            let told = whole.told("stage", at);
            return Err(refuse(exchange, place, live, worker, Phase::ThrottleStage, told, wait));
        }
        exchange.scratch.taken.stage = true;
    }
    Ok(())
}

/// The limit of all APIs together (TH-02 (4), TH-03).
#[inline]
pub fn account(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let Some(account) = &live.published.throttles.account else { return Ok(()) };
    let at = nanos(now());
    if let Err(wait) = account.take(worker.index, at) {
        let told = account.told("account", at);
        return Err(refuse(exchange, place, live, worker, Phase::ThrottleAccount, told, wait));
    }
    exchange.scratch.taken.account = true;
    Ok(())
}

/// Limits of requests at work at once. The last of all: whoever passes is at work.
#[inline]
pub fn at_once(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let throttles = &live.published.throttles;
    let of_stage = throttles.stage(place.stage);
    let of_method = of_stage.method(place.method, place.canary).and_then(|method| method.at_once.as_ref());
    for (gate, name) in [(of_method, "method-concurrency"), (of_stage.at_once.as_ref(), "stage-concurrency")] {
        if let Some(gate) = gate
            && !exchange.scratch.held.enter(gate)
        {
            return Err(too_many(exchange, place, live, worker, name, gate.most));
        }
    }
    for of_client in &of_stage.by {
        if let Some((crowd, most)) = &of_client.at_once {
            let client = client_of(of_client, exchange, live);
            if !exchange.scratch.held.join(crowd, client, *most) {
                return Err(too_many(exchange, place, live, worker, &of_client.name, *most));
            }
        }
    }
    if live.api(place).tell == Tell::Always {
        tell(exchange, place, live);
    }
    Ok(())
}

/// The entries of `throttle_by`, those of the one time or of the other.
fn clients(
    exchange: &mut Exchange,
    place: Place,
    (live, of_stage): (&Live, &OfStage),
    early: bool,
    worker: &Worker,
) -> Result<(), Refusal> {
    let at = nanos(now());
    for (number, of_client) in of_stage.by.iter().enumerate().filter(|(_, entry)| entry.by.is_early() == early) {
        let Some(table) = &of_client.throttle else { continue };
        let client = client_of(of_client, exchange, live);
        if let Err(wait) = table.take(client, worker.index, at) {
            let told = table.told(&of_client.name, client, at);
            let phase = if early { Phase::ThrottleAddress } else { Phase::ThrottlePlan };
            return Err(refuse(exchange, place, live, worker, phase, told, wait));
        }
        exchange.scratch.taken.clients |= u16::from(!early) << number;
    }
    Ok(())
}

/// What a request's key may (KP-07).
fn of_key(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let at = nanos(now());
    let client = key_of(exchange, live);
    let (of_method, of_all) = tables(exchange, place, live);
    if let Some(table) = of_method {
        if let Err(wait) = table.take(client, worker.index, at) {
            let told = table.told("plan-method", client, at);
            return Err(refuse(exchange, place, live, worker, Phase::ThrottlePlan, told, wait));
        }
        exchange.scratch.taken.plan_method = true;
    }
    if let Some(table) = of_all {
        if let Err(wait) = table.take(client, worker.index, at) {
            let told = table.told("plan", client, at);
            return Err(refuse(exchange, place, live, worker, Phase::ThrottlePlan, told, wait));
        }
        exchange.scratch.taken.plan = true;
    }
    Ok(())
}

/// The buckets of keys that count for a request: for its method, and for all.
fn tables<'a>(exchange: &Exchange, place: Place, live: &'a Live) -> (Option<&'a Table>, Option<&'a Table>) {
    let Some(subscription) = exchange.scratch.caller.subscription else { return (None, None) };
    let of_plan = live.published.throttles.plan(subscription.plan);
    let plan = live.snapshot().plans.get(usize::from(subscription.plan));
    let (Some(of_plan), Some(plan), Some(method)) = (of_plan, plan, live.method(place)) else { return (None, None) };
    (of_plan.method(plan, place.stage, &method.key), of_plan.throttle.as_deref())
}

/// What the caller's key is known by.
fn key_of(exchange: &Exchange, live: &Live) -> u64 {
    // Its number may be another one after a reload; its id stays.
    let subscription = exchange.scratch.caller.subscription;
    let key = subscription.and_then(|subscription| live.snapshot().keys.key(subscription.key));
    live.published.throttles.client(key.map(|key| key.id))
}

/// What a client is known by. Whoever lacks what tells clients apart is one of those who do.
fn client_of(of_client: &OfClient, exchange: &Exchange, live: &Live) -> u64 {
    let throttles = &live.published.throttles;
    let head = &exchange.scratch.head;
    match &of_client.by {
        By::Address { prefix_v4, prefix_v6 } => throttles.of_address(exchange.peer.ip(), *prefix_v4, *prefix_v6),
        By::Header(name) => {
            let is_it = |field: &&codec::head::Field| {
                field.fate == Fate::Pass
                    && field.known == of_client.known
                    && field.name.of(&exchange.head_bytes).eq_ignore_ascii_case(name.as_bytes())
            };
            let field = head.fields.iter().rev().find(is_it);
            throttles.client(field.map(|field| field.value.of(&exchange.head_bytes)))
        }
        By::Claim(name) => {
            let identity = exchange.scratch.caller.identity.as_deref();
            let said = identity.and_then(|identity| {
                identity.field(of_client.claim.as_bytes()).or_else(|| identity.field(name.as_bytes()))
            });
            throttles.client(said)
        }
        By::ApiKey => key_of(exchange, live),
    }
}

#[cold]
fn refuse(
    exchange: &mut Exchange,
    place: Place,
    live: &Live,
    worker: &Worker,
    phase: Phase,
    told: Told<'_>,
    wait: Wait,
) -> Refusal {
    give_back(exchange, place, live);
    if live.api(place).tell != Tell::Never {
        write_refused(told, wait, &mut exchange.scratch.detail.fields);
    }
    count(phase, worker);
    Refusal::Throttled
}

#[cold]
fn too_many(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker, name: &str, most: u32) -> Refusal {
    give_back(exchange, place, live);
    exchange.scratch.held.leave();
    if live.api(place).tell != Tell::Never {
        write_concurrency(name, most, &mut exchange.scratch.detail.fields);
    }
    count(Phase::Concurrency, worker);
    Refusal::TooManyAtOnce
}

fn count(phase: Phase, worker: &Worker) {
    if let Some(at) = THROTTLES.iter().position(|known| *known == phase) {
        add(&worker.metrics.throttled[at], 1);
    }
}

/// The request is not served: it has cost nothing.
fn give_back(exchange: &mut Exchange, place: Place, live: &Live) {
    let throttles = &live.published.throttles;
    let taken = std::mem::take(&mut exchange.scratch.taken);
    if let Some(day) = taken.quota {
        subscription::give_back(exchange, day, live);
    }
    let (of_method, of_all) = tables(exchange, place, live);
    for table in [of_method.filter(|_| taken.plan_method), of_all.filter(|_| taken.plan)].into_iter().flatten() {
        table.give_back(key_of(exchange, live));
    }
    let of_stage = throttles.stage(place.stage);
    for (number, of_client) in of_stage.by.iter().enumerate() {
        if let Some(table) = of_client.throttle.as_ref().filter(|_| taken.clients >> number & 1 == 1) {
            table.give_back(client_of(of_client, exchange, live));
        }
    }
    let method = of_stage.method(place.method, place.canary).and_then(|method| method.throttle.as_ref());
    let shared = [
        method.filter(|_| taken.method),
        of_stage.whole.as_ref().filter(|_| taken.stage),
        throttles.account.as_ref().filter(|_| taken.account),
    ];
    shared.into_iter().flatten().for_each(|shared| shared.give_back());
}

/// Says what is left of the limit that has the least left, as a share of its burst.
#[cold]
fn tell(exchange: &mut Exchange, place: Place, live: &Live) {
    let (throttles, at) = (&live.published.throttles, nanos(now()));
    let of_stage = throttles.stage(place.stage);
    let (of_method, of_all) = tables(exchange, place, live);
    let key = key_of(exchange, live);
    let keys = [of_method.map(|table| ("plan-method", table)), of_all.map(|table| ("plan", table))];
    let keys = keys.into_iter().flatten().map(|(name, table)| table.told(name, key, at));
    let clients = of_stage.by.iter().filter_map(|of_client| {
        let table = of_client.throttle.as_deref()?;
        Some(table.told(&of_client.name, client_of(of_client, exchange, live), at))
    });
    let method = of_stage.method(place.method, place.canary).and_then(|method| method.throttle.as_ref());
    let shared =
        [(method, "method"), (of_stage.whole.as_ref(), "stage"), (throttles.account.as_ref(), "account")].into_iter();
    let shared = shared.filter_map(|(shared, name)| Some(shared?.told(name, at)));
    // Cross-multiplied: a/b < c/d without a fraction.
    let least = keys.chain(clients).chain(shared).reduce(|least, told| {
        let product = |one: &Told<'_>, other: &Told<'_>| u64::from(one.left) * u64::from(other.limit.burst);
        if product(&told, &least) < product(&least, &told) { told } else { least }
    });
    let mut fields = std::mem::take(&mut exchange.scratch.limits_told);
    if let Some(least) = least {
        write_passed(least, &mut fields);
    }
    exchange.scratch.limits_told = fields;
}
