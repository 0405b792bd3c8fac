//! Usage plans and keys: where they lead, and what cannot be meant (KP-01, KP-05, KP-06).

use std::collections::BTreeMap;

use crate::check::domains::check_target;
use crate::check::stages;
use crate::check::throttles::check_throttle;
use crate::definition::{Definition, Method};
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::model::api::ApiSpec;
use crate::model::field::nearest;
use crate::model::keys::{KeySpec, KeysSpec};
use crate::model::plans::{PlanMethodSpec, PlanSpec, PlanStageSpec, QuotaSpec};
use crate::source::node::Text;

/// Checks the part `usage_plans`. `has_state`: there is a folder for what must outlive the process.
pub fn check(plans: &[PlanSpec], apis: &[ApiSpec], has_state: bool, faults: &mut Diagnostics) {
    if let Some(one_more) = plans.get(limits::PLANS_MAX) {
        faults.error(one_more.name.place, format!("more than {} usage plans", limits::PLANS_MAX));
    }
    for PlanSpec { name, stages, throttle, quota, description: _ } in plans {
        check_id(name, "usage plan", faults);
        let mut seen: BTreeMap<&str, &Text> = BTreeMap::new();
        for PlanStageSpec { target, methods } in stages {
            let first = seen.entry(&target.text).or_insert(target);
            if first.place == target.place {
                check_target(target, apis, faults);
            } else {
                let hint = format!("it stands in line {} already", first.place.line);
                faults.error_hint(target.place, format!("stage `{}` is in the plan twice", target.text), hint);
            }
            check_method_throttles(methods, faults);
        }
        if stages.is_empty() {
            let hint = "write `stages: [api/stage]`";
            faults.warning(name.place, format!("the keys of usage plan `{}` open no stage", name.text), hint);
        }
        if let Some(throttle) = throttle {
            check_throttle(throttle, faults);
        }
        if let Some(quota) = quota {
            check_quota(quota, has_state, faults);
        }
    }
}

/// Names that stand in files, in metrics and on the command line.
fn check_id(name: &Text, what: &str, faults: &mut Diagnostics) {
    let most = limits::PLAN_NAME_CHARS_MAX;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.text.is_empty() || name.text.len() > most || !name.text.bytes().all(allowed) {
        let hint = format!("at most {most} letters, digits, `.`, `_` and `-`; a `description` may say anything");
        faults.error_hint(name.place, format!("`{}` cannot be the name of a {what}", name.text), hint);
    }
}

fn check_method_throttles(methods: &[PlanMethodSpec], faults: &mut Diagnostics) {
    let mut seen: BTreeMap<&str, &Text> = BTreeMap::new();
    for PlanMethodSpec { key, method, throttle } in methods {
        let first = seen.entry(method).or_insert(key);
        if first.place != key.place {
            let hint = format!("`{}` in line {} means the same", first.text, first.place.line);
            faults.error_hint(key.place, format!("the throttle of `{}` is written twice", key.text), hint);
        }
        check_throttle(throttle, faults);
    }
}

/// `offset` is missing from the limit of the first period (KP-06): it cannot be more than that.
fn check_quota(quota: &QuotaSpec, has_state: bool, faults: &mut Diagnostics) {
    let QuotaSpec { place, limit, period: _, offset } = quota;
    if let (Some(limit), Some(offset)) = (limit, offset)
        && offset.value > limit.value
    {
        let hint = "it is how many requests are missing from the limit in a key's first period";
        faults.error_hint(offset.place, "`offset` is more than `limit`", hint);
    }
    if !has_state {
        let hint = "write `state: tollgate-state` under `gateway`; as a service, StateDirectory= of the unit names it";
        faults.warning(*place, "there is no folder that keeps counts: quotas begin anew with each start", hint);
    }
}

/// Checks the throttles of methods against the methods that an API has. `definition` has both the document's and the imported ones.
pub fn check_methods(api: &ApiSpec, definition: &Definition, plans: &[PlanSpec], faults: &mut Diagnostics) {
    let keys: Vec<String> = definition.methods.iter().map(Method::key).collect();
    if keys.is_empty() {
        return;
    }
    let known: Vec<&str> = keys.iter().map(String::as_str).collect();
    for PlanStageSpec { target, methods } in plans.iter().flat_map(|plan| &plan.stages) {
        let Some((_, name)) = target.text.split_once('/').filter(|(id, _)| *id == &*api.id.text) else { continue };
        let Some(stage) = api.stages.iter().find(|stage| &*stage.name.text == name) else { continue };
        for PlanMethodSpec { key, method, throttle: _ } in methods {
            stages::miss(method, key, stages::deploys_itself(stage), &known, api, faults);
        }
    }
}

/// Checks the part `api_keys`.
pub fn check_keys(keys: &KeysSpec, plans: &[PlanSpec], faults: &mut Diagnostics) {
    let KeysSpec { keys, files: _ } = keys;
    for key in keys {
        let KeySpec { id, value: _, plans: named, enabled: _, description: _ } = key;
        check_id(id, "key", faults);
        if named.len() > limits::PLANS_PER_KEY_MAX {
            faults.error(id.place, format!("more than {} plans of one key", limits::PLANS_PER_KEY_MAX));
        }
        if named.is_empty() {
            let hint = "write `plans: [NAME]`: a key opens the stages of its plans, and nothing else";
            faults.warning(id.place, format!("API key `{}` is in no plan and opens nothing", id.text), hint);
        }
        let mut taken: BTreeMap<&str, &Text> = BTreeMap::new();
        for name in named {
            let Some(plan) = plans.iter().find(|plan| plan.name.text == name.text) else {
                unknown_plan(name, plans, faults);
                continue;
            };
            check_stages_of(name, plan, &mut taken, faults);
        }
    }
}

fn unknown_plan(name: &Text, plans: &[PlanSpec], faults: &mut Diagnostics) {
    let near = nearest(&name.text, plans.iter().map(|plan| &*plan.name.text));
    let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    let names: Vec<&str> = plans.iter().map(|plan| &*plan.name.text).collect();
    let hint = match names[..] {
        [] => "there are no `usage_plans`".to_owned(),
        _ => format!("the usage plans are {}", names.join(", ")),
    };
    faults.error_hint(name.place, format!("unknown usage plan `{}`{near}", name.text), hint);
}

/// KP-05: a key is in one plan at most for each stage.
fn check_stages_of<'a>(
    name: &'a Text,
    plan: &'a PlanSpec,
    taken: &mut BTreeMap<&'a str, &'a Text>,
    faults: &mut Diagnostics,
) {
    for PlanStageSpec { target, methods: _ } in &plan.stages {
        match taken.insert(&target.text, name) {
            // The plan itself has it twice, which is said there.
            Some(other) if other.place == name.place => {}
            Some(other) if other.text == name.text => {
                faults.error_hint(name.place, format!("plan `{}` is written twice", name.text), "remove one of them");
                return;
            }
            Some(other) => {
                let what = format!("both `{}` and `{}` have the stage `{}`", other.text, name.text, target.text);
                faults.error_hint(name.place, what, "a key is in one plan at most for each stage: which one counts?");
            }
            None => {}
        }
    }
}
