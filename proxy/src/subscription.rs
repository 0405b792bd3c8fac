//! Whose key a request shows, by which plan it may call this stage (KP-03 to KP-05), and whether its quota has room (KP-06).

use codec::head::{Fate, Name};
use config::snapshot::{Method, Plan, Snapshot, Tell};
use policy::facts::ShownKey;
use policy::identity::Subscription;
use policy::quota::day_of;
use policy::refusal::Refusal;
use policy::rules::KeyFrom;

use crate::exchange::Exchange;
use crate::state::{Live, Place, Worker};

/// Finds the key and the plan of a request whose method asks for one. Missing, unknown, disabled, in no plan of this stage: all are told the
/// same (KP-04).
#[inline]
pub fn key(exchange: &mut Exchange, place: Place, live: &Live) -> Result<(), Refusal> {
    let Some(from) = live.method(place).and_then(|method| method.rules.api_key) else { return Ok(()) };
    let found = value(exchange, from).and_then(|value| subscription(live.snapshot(), place.stage, value));
    exchange.scratch.caller.subscription = found;
    if found.is_some() { Ok(()) } else { Err(Refusal::InvalidApiKey) }
}

/// The value of the key, where the API looks for it. A field that concerns this connection alone is not seen.
pub fn value(exchange: &Exchange, from: KeyFrom) -> Option<&[u8]> {
    match from {
        KeyFrom::Header => {
            let mut fields = exchange.scratch.head.fields.iter().rev();
            let field = fields.find(|field| field.known == Name::XApiKey && field.fate == Fate::Pass)?;
            Some(field.value.of(&exchange.head_bytes))
        }
        KeyFrom::Authorizer => Some(exchange.scratch.caller.identity.as_ref()?.usage_key.as_ref()?.as_bytes()),
    }
}

fn subscription(snapshot: &Snapshot, stage: u32, value: &[u8]) -> Option<Subscription> {
    let key = snapshot.keys.find(value).filter(|key| key.enabled)?;
    let covers = |plan: u16| snapshot.plans.get(usize::from(plan)).and_then(|plan: &Plan| plan.stage(stage)).is_some();
    let (plan, number) = key.plans().find(|(plan, _)| covers(*plan))?;
    Some(Subscription { key: key.number, plan, number })
}

/// The key that was shown, for templates and backends; `None`: the method asks for none, or it was not looked at yet.
pub fn shown<'a>(exchange: &'a Exchange, method: Option<&Method>, live: &'a Live) -> Option<ShownKey<'a>> {
    let subscription = exchange.scratch.caller.subscription?;
    let value = value(exchange, method?.rules.api_key?)?;
    let key = live.snapshot().keys.key(subscription.key)?;
    Some(ShownKey { id: key.id, value })
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
    if slot.count().take(day_of(seconds), plan.quota).is_ok() {
        return Ok(());
    }
    if let (Some(quota), true) = (plan.quota, live.api(place).tell != Tell::Never) {
        let seconds = itoa::Buffer::new().format(quota.seconds_left(seconds)).to_owned();
        codec::http1::write::field(&mut exchange.scratch.detail.fields, b"Retry-After", seconds.as_bytes());
    }
    Err(Refusal::QuotaExceeded)
}
