//! Whose key a request shows, by which plan it may call this stage (KP-03 to KP-05), and whether its quota has room (KP-06).

use config::snapshot::{Plan, Snapshot, Tell};
use policy::identity::Subscription;
use policy::quota::{Day, day_of};
use policy::refusal::Refusal;

use crate::exchange::Exchange;
use crate::state::{Live, Place, Worker};

/// Finds the key and the plan of a request whose method asks for one. Missing, unknown, disabled, in no plan of this stage: all are told the
/// same (KP-04).
#[inline]
pub fn key(exchange: &mut Exchange, place: Place, live: &Live) -> Result<(), Refusal> {
    let Some(from) = live.method(place).and_then(|method| method.rules.api_key) else { return Ok(()) };
    let found = exchange.key_value(from).and_then(|value| subscription(live.snapshot(), place.stage, value));
    exchange.scratch.caller.subscription = found;
    if found.is_some() { Ok(()) } else { Err(Refusal::InvalidApiKey) }
}

fn subscription(snapshot: &Snapshot, stage: u32, value: &[u8]) -> Option<Subscription> {
    let key = snapshot.keys.find(value).filter(|key| key.enabled)?;
    let covers = |plan: u16| snapshot.plans.get(usize::from(plan)).and_then(|plan: &Plan| plan.stage(stage)).is_some();
    let (plan, number) = key.plans().find(|(plan, _)| covers(*plan))?;
    Some(Subscription { key: key.number, plan, number })
}

/// The request is not served, for a limit that comes later: its key is not billed.
#[cold]
pub fn give_back(exchange: &Exchange, day: Day, live: &Live) {
    let Some(Subscription { plan, number, .. }) = exchange.scratch.caller.subscription else { return };
    let Some(plan) = live.snapshot().plans.get(usize::from(plan)) else { return };
    if let Some(slot) = live.published.counts.known(number) {
        slot.count().give_back(day, plan.quota);
    }
}

/// Counts the request for its key, unless the quota of its plan is used up.
#[inline]
pub fn quota(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let Some(Subscription { key, plan, number }) = exchange.scratch.caller.subscription else { return Ok(()) };
    let snapshot = live.snapshot();
    let Some(plan) = snapshot.plans.get(usize::from(plan)) else { return Ok(()) };
    let names = || (&*plan.name, snapshot.keys.key(key).map_or("", |key| key.id));
    // There is a count for every key, in memory if the disk is full; beyond the most of those, nobody is kept out for it.
    let Some(slot) = live.published.counts.of(number, names) else { return Ok(()) };
    let seconds = worker.epoch_ms() / 1_000;
    let day = day_of(seconds);
    if slot.count().take(day, plan.quota).is_ok() {
        exchange.scratch.taken.quota = Some(day);
        return Ok(());
    }
    if let (Some(quota), true) = (plan.quota, live.api(place).tell != Tell::Never) {
        let seconds = itoa::Buffer::new().format(quota.seconds_left(seconds)).to_owned();
        codec::http1::write::field(&mut exchange.scratch.detail.fields, b"Retry-After", seconds.as_bytes());
    }
    Err(Refusal::QuotaExceeded)
}
