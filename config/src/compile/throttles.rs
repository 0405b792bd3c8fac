//! Limits of requests, from what was written to what workers count by. What is at fault is left out: `check` has said so.

use policy::limits::THROTTLED_CLIENTS;
use policy::rules::Line;

use crate::compile::needs::is_native;
use crate::diagnostic::Place;
use crate::model::settings::{MethodSettingsSpec, ThrottleSpec};
use crate::model::stage::StageSpec;
use crate::model::throttle::{ByClientSpec, BySpec};
use crate::model::values::At;
use crate::snapshot::{By, ByClient, MethodLimits, Said, Throttles};

/// The line of gateway.yaml; 0 elsewhere.
pub fn line_of(place: Place) -> Line {
    Line(if is_native(place) { place.line } else { 0 })
}

/// What a `throttle` allows; `None`: anything.
pub fn said(spec: Option<&ThrottleSpec>) -> Option<Said<policy::throttle::Limit>> {
    spec.and_then(|spec| Some(Said { value: spec.limit()?, line: line_of(spec.place) }))
}

/// What limits the requests of a stage.
pub fn of_stage(spec: &StageSpec) -> Throttles {
    let mut throttles = Throttles {
        whole: said(spec.throttle.as_ref()),
        concurrency: spec.concurrency.map(at_once),
        by: spec.throttle_by.iter().filter_map(by_client).collect(),
        ..Throttles::default()
    };
    for MethodSettingsSpec { method, throttle, concurrency, .. } in &spec.methods {
        let limits = MethodLimits {
            throttle: throttle.as_ref().map(|spec| Said { value: spec.limit(), line: line_of(spec.place) }),
            concurrency: concurrency.map(at_once),
        };
        match method {
            None => throttles.others = limits,
            Some(_) if limits == MethodLimits::default() => {}
            Some(method) => {
                throttles.named.insert(method.clone(), limits);
            }
        }
    }
    throttles
}

fn at_once(at: At<u32>) -> Said<u32> {
    Said { value: at.value, line: line_of(at.place) }
}

fn by_client(spec: &ByClientSpec) -> Option<ByClient> {
    let ByClientSpec { place, name: _, by, throttle, concurrency, clients } = spec;
    let by_what = match &by.first()?.value {
        BySpec::Address { prefix_v4, prefix_v6 } => By::Address { prefix_v4: *prefix_v4, prefix_v6: *prefix_v6 },
        BySpec::Header(name) => By::Header(name.text.to_ascii_lowercase().into()),
        BySpec::Claim(name) => By::Claim(name.text.clone()),
        BySpec::ApiKey => By::ApiKey,
    };
    Some(ByClient {
        name: spec.called()?.into(),
        by: by_what,
        limit: throttle.as_ref().and_then(ThrottleSpec::limit),
        concurrency: concurrency.map(|at| at.value),
        clients: clients.unwrap_or(THROTTLED_CLIENTS),
        line: line_of(*place),
    })
}
