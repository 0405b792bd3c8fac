//! Limits of requests: what cannot be meant (TH rows).

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::gateway::GatewaySpec;
use crate::model::route::RouteSpec;
use crate::model::settings::{MethodSettingsSpec, ThrottleSpec};
use crate::model::stage::StageSpec;
use crate::model::throttle::{AccountSpec, ByClientSpec, BySpec};
use crate::model::values::At;

/// Checks `account`.
pub fn check_gateway(gateway: &GatewaySpec, faults: &mut Diagnostics) {
    let AccountSpec { throttle } = &gateway.account;
    check_all(throttle.as_ref(), faults);
}

/// Checks what a route says.
pub fn check_route(route: &RouteSpec, faults: &mut Diagnostics) {
    check_all(route.throttle.as_ref(), faults);
}

/// Checks what a stage says, of its methods too.
pub fn check_stage(stage: &StageSpec, faults: &mut Diagnostics) {
    check_all(stage.throttle.as_ref(), faults);
    for MethodSettingsSpec { throttle, .. } in &stage.methods {
        check_all(throttle.as_ref(), faults);
    }
    check_by(&stage.throttle_by, faults);
}

fn check_all(throttle: Option<&ThrottleSpec>, faults: &mut Diagnostics) {
    if let Some(throttle) = throttle {
        check_throttle(throttle, faults);
    }
}

/// A rate without a burst, or the other way round, is no limit that anybody could name.
pub fn check_throttle(throttle: &ThrottleSpec, faults: &mut Diagnostics) {
    const HINT: &str = "write `{rate: 5, burst: 10}`: requests per second, and requests at once after a pause";
    let ThrottleSpec { place, rate, burst } = throttle;
    match (rate, burst) {
        (Some(rate), Some(burst)) if (rate.value < 0.0) != (burst.value < 0.0) => {
            faults.error_hint(*place, "only one of `rate` and `burst` is unlimited", HINT);
        }
        (Some(_), Some(_)) => {}
        _ => faults.error_hint(*place, "a throttle needs `rate` and `burst`", HINT),
    }
    let is_odd = |at: &At<f64>| at.value < 0.0 && (at.value + 1.0).abs() > f64::EPSILON;
    for odd in [rate, burst].into_iter().flatten().filter(|at| is_odd(at)) {
        faults.error_hint(odd.place, format!("{} requests are none", odd.value), "write -1 for unlimited");
    }
    if let Some(burst) = burst.filter(|burst| burst.value.fract() != 0.0) {
        faults.error_hint(burst.place, "`burst` is a number of requests", "write a whole number");
    }
    let is_none = |at: &Option<At<f64>>| at.is_some_and(|at| at.value == 0.0);
    // Both are how one shuts a door; one of them may be a slip.
    if is_none(rate) != is_none(burst) {
        faults.warning(*place, "nobody passes here: `rate` or `burst` is 0 (TH-01)", "write -1 for unlimited");
    }
}

fn check_by(all: &[ByClientSpec], faults: &mut Diagnostics) {
    if let Some(one_more) = all.get(limits::THROTTLES_BY_MAX) {
        faults.error(one_more.place, format!("more than {} entries of `throttle_by`", limits::THROTTLES_BY_MAX));
    }
    let mut at_once = all.iter().filter(|spec| spec.concurrency.is_some());
    if let Some(one_more) = at_once.nth(limits::CONCURRENCIES_BY_MAX) {
        let most = limits::CONCURRENCIES_BY_MAX;
        faults.error(one_more.place, format!("more than {most} entries of `throttle_by` with `concurrency`"));
    }
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for spec in all {
        check_client(spec, faults);
        let Some(name) = spec.called() else { continue };
        if let Some(first) = seen.get(&name) {
            let hint = format!("line {} has that name already: give one of them another `name`", first.line);
            faults.error_hint(spec.place, format!("two entries of `throttle_by` are called `{name}`"), hint);
        }
        seen.entry(name).or_insert(spec.place);
    }
}

fn check_client(spec: &ByClientSpec, faults: &mut Diagnostics) {
    let ByClientSpec { place, name, by, throttle, concurrency, clients } = spec;
    if let Some(name) = name {
        let most = limits::THROTTLE_NAME_CHARS_MAX;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.text.is_empty() || name.text.len() > most || !name.text.bytes().all(allowed) {
            let hint = format!("at most {most} letters, digits, `-` and `_`: it is sent in answers");
            faults.error_hint(name.place, format!("`{}` cannot be the name of a throttle", name.text), hint);
        }
    }
    match &by[..] {
        [] => {
            let hint = "write one of `address: true`, `header: X-Tenant`, `claim: sub` and `api_key: true`";
            faults.error_hint(*place, "nothing here tells clients apart", hint);
        }
        [At { value: BySpec::Header(header), place }] => {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if header.text.is_empty() || !header.text.bytes().all(is_token) {
                faults.error(*place, format!("`{}` is not the name of a header field", header.text));
            } else if header.text.contains('_') {
                let hint =
                    "fields with `_` in their names are left out of requests (row S10): all clients would be one";
                faults.error_hint(*place, format!("the field `{}` is never seen", header.text), hint);
            }
        }
        [_] => {}
        [_, second, ..] => {
            let hint = "write an entry for each: a request has to pass all of them";
            faults.error_hint(second.place, "one entry of `throttle_by` tells clients apart by one thing", hint);
        }
    }
    match throttle {
        Some(throttle) => check_throttle(throttle, faults),
        None if concurrency.is_none() => {
            let hint = "write `rate: 5, burst: 10`, or `concurrency: 10`, or both";
            faults.error_hint(*place, "this entry of `throttle_by` limits nothing", hint);
        }
        None if clients.is_some() => {
            faults.warning(*place, "`clients` means something only beside `rate` and `burst`", "remove it");
        }
        None => {}
    }
}
