//! Stages: names and variables, what serves there, and the settings of single methods.

use std::collections::BTreeMap;

use router::Kind;

use crate::check::throttles;
use crate::definition::{Definition, Method};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::api::ApiSpec;
use crate::model::field::nearest;
use crate::model::settings::{CachingSpec, LoggingLevelSpec, MethodSettingsSpec};
use crate::model::stage::{CanarySpec, StageSpec};
use crate::source::node::Text;

/// Checks one stage of an API. `has_state`: there is a folder for what must outlive the process.
pub fn check(stage: &StageSpec, api: &ApiSpec, kind: Kind, has_state: bool, faults: &mut Diagnostics) {
    let StageSpec {
        name,
        variables,
        auto_deploy,
        canary,
        methods,
        client_certificate: _,
        throttle: _,
        throttle_by: _,
        concurrency: _,
    } = stage;
    throttles::check_stage(stage, faults);
    check_name(name, kind, faults);
    check_variables(variables, name.place, faults);
    let deploys_itself = deploys_itself(stage);
    if let Some(at) = auto_deploy
        && !at.value
        && !has_state
    {
        let hint = "write `state: tollgate-state` under `gateway`; as a service, StateDirectory= of the unit names it";
        faults.error_hint(at.place, "`auto_deploy: false`, but there is no folder that keeps deployments", hint);
    }
    if let Some(canary) = canary {
        check_canary(canary, variables, deploys_itself, faults);
    }
    check_settings(methods, deploys_itself, api, kind, faults);
}

fn check_name(name: &Text, kind: Kind, faults: &mut Diagnostics) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if &*name.text == "$default" {
        if kind != Kind::Http {
            let hint = "name the stage, such as `prod`: it is the first segment of the path";
            faults.error_hint(name.place, "only HTTP APIs have a `$default` stage", hint);
        }
    } else if name.text.is_empty() || name.text.len() > limits::STAGE_NAME_CHARS_MAX || !name.text.bytes().all(allowed)
    {
        let hint = format!("at most {} letters, digits, `-` and `_`", limits::STAGE_NAME_CHARS_MAX);
        faults.error_hint(name.place, format!("`{}` cannot be the name of a stage", name.text), hint);
    }
}

/// ST-02.
fn check_variables(variables: &[(Text, Text)], place: Place, faults: &mut Diagnostics) {
    if variables.len() > limits::STAGE_VARIABLES_MAX {
        faults.error(place, format!("more than {} stage variables", limits::STAGE_VARIABLES_MAX));
    }
    for (name, value) in variables {
        check_variable(name, value, faults);
    }
}

fn check_variable(name: &Text, value: &Text, faults: &mut Diagnostics) {
    let is_name = !name.text.is_empty()
        && name.text.len() <= limits::STAGE_VARIABLE_NAME_CHARS_MAX
        && name.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let hint = format!("at most {} letters, digits and `_`", limits::STAGE_VARIABLE_NAME_CHARS_MAX);
        faults.error_hint(name.place, format!("`{}` cannot be the name of a stage variable", name.text), hint);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte);
    let hint = "letters, digits and `-._~:/?#&=,`, as in API Gateway";
    if let Some(offset) = value.text.bytes().position(|byte| !allowed(byte)) {
        let place = if value.text.is_char_boundary(offset) { value.place_at(offset) } else { value.place };
        faults.error_hint(
            place,
            format!("the value of stage variable `{}` has a character that is not allowed", name.text),
            hint,
        );
    } else if value.text.is_empty() || value.text.len() > limits::STAGE_VARIABLE_VALUE_CHARS_MAX {
        let most = limits::STAGE_VARIABLE_VALUE_CHARS_MAX;
        faults.error_hint(
            value.place,
            format!("the value of stage variable `{}` must have 1 to {most} characters", name.text),
            hint,
        );
    }
}

/// ST-09. A canary that the document writes serves what its stage serves: only its variables can differ.
fn check_canary(canary: &CanarySpec, of_stage: &[(Text, Text)], deploys_itself: bool, faults: &mut Diagnostics) {
    let CanarySpec { place, percent, variables } = canary;
    check_variables(variables, *place, faults);
    let differs = variables.iter().any(|(name, value)| {
        let of_stage = of_stage.iter().find(|(known, _)| known.text == name.text);
        of_stage.is_none_or(|(_, known)| known.text != value.text)
    });
    if !differs && percent.is_some_and(|at| at.value > 0.0) {
        let hint = if deploys_itself {
            "give it `variables` of its own; with `auto_deploy: false`, `tollgate deploy --canary` gives it another deployment"
        } else {
            "give it `variables` of its own, or remove it: `tollgate deploy --canary` makes one with another deployment"
        };
        faults.warning(*place, "this canary answers as the stage does", hint);
    }
}

/// ST-07, ST-08.
fn check_settings(
    settings: &[MethodSettingsSpec],
    deploys_itself: bool,
    api: &ApiSpec,
    kind: Kind,
    faults: &mut Diagnostics,
) {
    let mut seen: BTreeMap<Option<&str>, &Text> = BTreeMap::new();
    for spec in settings {
        let MethodSettingsSpec {
            key,
            method,
            metrics: _,
            data_trace,
            logging_level,
            throttle: _,
            concurrency: _,
            caching,
        } = spec;
        let first = seen.entry(method.as_deref()).or_insert(key);
        if first.place != key.place {
            let hint = format!("`{}` in line {} means the same", first.text, first.place.line);
            faults.error_hint(key.place, format!("the settings of `{}` are written twice", key.text), hint);
        }
        if let Some(method) = method {
            check_method(method, key, deploys_itself, api, faults);
        }
        let refused = Refused { kind, faults: &mut *faults };
        refused.check(data_trace.map(|at| (at.place, at.value)), *logging_level, caching.as_ref());
    }
}

/// What is in an OpenAPI document is known only to whoever has read it: see [`check_imported`].
fn check_method(method: &str, key: &Text, deploys_itself: bool, api: &ApiSpec, faults: &mut Diagnostics) {
    // What could not be read cannot be missed.
    if api.openapi.is_some() || api.routes.is_empty() {
        return;
    }
    let known: Vec<&str> = api.routes.iter().map(|route| &*route.key.text).collect();
    miss(method, key, deploys_itself, &known, api, faults);
}

/// Checks the settings of APIs with OpenAPI documents against the methods that were read.
pub fn check_imported(api: &ApiSpec, definition: &Definition, faults: &mut Diagnostics) {
    if api.openapi.is_none() || definition.methods.is_empty() {
        return;
    }
    let keys: Vec<String> = definition.methods.iter().map(Method::key).collect();
    let known: Vec<&str> = keys.iter().map(String::as_str).collect();
    for stage in &api.stages {
        for MethodSettingsSpec { key, method, .. } in &stage.methods {
            if let Some(method) = method {
                miss(method, key, deploys_itself(stage), &known, api, faults);
            }
        }
    }
}

/// A deployment may have methods that the document has no more.
pub(super) fn miss(
    method: &str,
    key: &Text,
    deploys_itself: bool,
    known: &[&str],
    api: &ApiSpec,
    faults: &mut Diagnostics,
) {
    if known.contains(&method) {
        return;
    }
    let hint = match nearest(method, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "name a route of the API as it is written there, or \"*/*\" for all".to_owned(),
    };
    let what = format!("API `{}` has no route `{method}`", api.id.text);
    if deploys_itself {
        faults.error_hint(key.place, what, hint);
    } else {
        faults.warning(key.place, what, hint);
    }
}

pub(super) fn deploys_itself(stage: &StageSpec) -> bool {
    stage.auto_deploy.is_none_or(|at| at.value)
}

/// Refuses what a setting asks for and this version does not do. What AWS writes where nothing was asked for is accepted.
struct Refused<'a> {
    kind: Kind,
    faults: &'a mut Diagnostics,
}

impl Refused<'_> {
    fn check(
        self,
        data_trace: Option<(Place, bool)>,
        level: Option<crate::model::values::At<LoggingLevelSpec>>,
        caching: Option<&CachingSpec>,
    ) {
        let Self { kind, faults } = self;
        let mut refuse = |place: Place, what: &str, hint: &str| {
            faults.error_hint(place, format!("{what} is not available in this version"), hint);
        };
        if let Some((place, true)) = data_trace {
            refuse(place, "`data_trace: true`", "write `data_trace: false`, or remove it");
        }
        if let Some(level) = level
            && level.value != LoggingLevelSpec::Off
        {
            refuse(level.place, "an execution log", "write `logging_level: OFF`, or remove it");
        }
        let enabled = caching.and_then(|caching| caching.enabled).filter(|enabled| enabled.value);
        if let Some(enabled) = enabled {
            refuse(enabled.place, "a cache", "write `enabled: false`, or remove `caching`");
        }
        if kind == Kind::Http {
            let places = [
                (data_trace.map(|(place, _)| place), "data_trace"),
                (level.map(|at| at.place), "logging_level"),
                (caching.map(|caching| caching.place), "caching"),
            ];
            for (place, name) in places {
                if let Some(place) = place {
                    let hint = "an HTTP API's routes have `metrics`, `throttle` and `concurrency` (ST-08)";
                    faults.error_hint(place, format!("`{name}` is a setting of REST APIs"), hint);
                }
            }
        }
    }
}
