//! Usage plans, their stages by number and their throttles as limits (KP-05).

use std::path::Path;

use policy::quota::Quota;
use policy::throttle::Limit;

use crate::compile::apis::Compiled;
use crate::compile::throttles::line_of;
use crate::compile::tls::file_ref;
use crate::diagnostic::{Diagnostics, Place};
use crate::model::api::ApiSpec;
use crate::model::keys::{KeySpec, KeysSpec};
use crate::model::plans::{PlanMethodSpec, PlanSpec, PlanStageSpec, QuotaSpec};
use crate::model::settings::ThrottleSpec;
use crate::model::values::At;
use crate::snapshot::{KeySources, NamedKey, Plan, PlanStage};
use crate::source::node::Text;
use crate::source::secret;

/// Compiles the part `usage_plans`. What leads nowhere is a fault of `check` and is left out.
pub fn compile(specs: &[PlanSpec], apis: &[ApiSpec], compiled: &Compiled, faults: &mut Diagnostics) -> Box<[Plan]> {
    let mut plans: Vec<Plan> = specs.iter().map(|spec| plan(spec, compiled)).collect();
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    for api in apis {
        for stage in &api.stages {
            warn_of_keys(&plans, (&api.id.text, &stage.name), compiled, faults);
        }
    }
    plans.into()
}

/// A stage that asks for keys and is in no plan lets nobody pass (KP-04).
fn warn_of_keys(plans: &[Plan], (api, stage): (&str, &Text), compiled: &Compiled, faults: &mut Diagnostics) {
    let Some((_, number)) = compiled.stage(api, &stage.text) else { return };
    let release = compiled.stages.get(number as usize).and_then(|stage| stage.release.as_ref());
    let asking =
        release.and_then(|release| release.program.methods.iter().find(|method| method.rules.api_key.is_some()));
    if let Some(method) = asking
        && plans.iter().all(|plan| plan.stage(number).is_none())
    {
        let what = format!(
            "`{}` of stage `{}` needs an API key, and no usage plan has the stage: nobody passes",
            method.key, stage.text
        );
        faults.warning(stage.place, what, format!("add {api}/{} to the stages of a usage plan", stage.text));
    }
}

fn plan(spec: &PlanSpec, compiled: &Compiled) -> Plan {
    let PlanSpec { name, stages, throttle, quota, description: _ } = spec;
    let mut stages: Vec<PlanStage> = stages.iter().filter_map(|spec| stage(spec, compiled)).collect();
    stages.sort_by_key(|stage| stage.stage);
    stages.dedup_by_key(|stage| stage.stage);
    Plan {
        name: name.text.clone(),
        stages: stages.into(),
        throttle: throttle.as_ref().and_then(ThrottleSpec::limit),
        quota: quota.as_ref().and_then(quota_of),
        lines: [name.place, quota.as_ref().map_or(name.place, |quota| quota.place)].map(line_of),
    }
}

fn stage(spec: &PlanStageSpec, compiled: &Compiled) -> Option<PlanStage> {
    let PlanStageSpec { target, methods } = spec;
    let (api, name) = target.text.split_once('/')?;
    let (_, stage) = compiled.stage(api, name)?;
    let limit_of = |spec: &PlanMethodSpec| {
        let PlanMethodSpec { key: _, method, throttle } = spec;
        Some((method.clone(), throttle.limit()?))
    };
    let mut methods: Vec<(Box<str>, Limit)> = methods.iter().filter_map(limit_of).collect();
    methods.sort_by(|(a, _), (b, _)| a.cmp(b));
    methods.dedup_by(|(a, _), (b, _)| a == b);
    Some(PlanStage { stage, methods: methods.into() })
}

fn quota_of(spec: &QuotaSpec) -> Option<Quota> {
    let QuotaSpec { place: _, limit, period, offset } = spec;
    let (At { value: limit, .. }, At { value: period, .. }) = ((*limit)?, (*period)?);
    Some(Quota { limit, period, offset: offset.map_or(0, |at| at.value) })
}

/// Where keys are, and where that is written: the single ones, then the files.
pub fn sources(spec: &KeysSpec, plans: &[Plan], base: &Path, faults: &mut Diagnostics) -> (KeySources, Vec<Place>) {
    let KeysSpec { keys, files } = spec;
    let (mut named, mut listed) = (Vec::new(), Vec::new());
    let (mut places, mut of_files) = (Vec::new(), Vec::new());
    for KeySpec { id, value, plans: names, enabled, description: _ } in keys {
        let value = value.as_ref().and_then(|text| secret::refer(text, "`value`", base, faults));
        let Some(value) = value else { continue };
        // What is not known is a fault of `check`.
        let number = |name: &Text| plans.binary_search_by(|plan| plan.name.cmp(&name.text)).ok();
        let mut plans: Vec<u16> = names.iter().filter_map(number).map(|number| number as u16).collect();
        plans.dedup();
        let enabled = enabled.is_none_or(|at| at.value);
        named.push(NamedKey { id: id.text.clone(), value, plans: plans.into(), enabled });
        places.push(id.place);
    }
    for text in files {
        if let Some(file) = file_ref(text, base, faults) {
            listed.push(file);
            of_files.push(text.place);
        }
    }
    places.append(&mut of_files);
    (KeySources { named: named.into(), files: listed.into() }, places)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use policy::quota::Period;

    use super::*;
    use crate::snapshot::Snapshot;
    use crate::snapshot_file::{decode, encode};

    const TEXT: &str = r#"
gateway: {listen: ["127.0.0.1:8080"], state: state}
apis:
  a: {kind: rest, routes: {"GET /one": {integration: {type: mock}}, "GET /two": {integration: {type: mock}}}, stages: {s: {}, t: {}}}
domains: {"*": {mappings: {/: a/s}}}
usage_plans:
  wide: {stages: [a/t, a/s], quota: {limit: 5, period: week, offset: 2}}
  deep:
    stages: {a/t: {throttle: {/two/GET: {rate: 2, burst: 3}, "GET /one": {rate: 0.5, burst: 1}}}}
    throttle: {rate: 10, burst: 20}
"#;

    fn look(snapshot: &Snapshot) {
        let names: Vec<&str> = snapshot.plans.iter().map(|plan| &*plan.name).collect();
        assert_eq!(names, ["deep", "wide"], "by name, however they are written");
        let [deep, wide] = &*snapshot.plans else { panic!("{names:?}") };
        assert_eq!(wide.quota, Some(Quota { limit: 5, period: Period::Week, offset: 2 }));
        assert_eq!((wide.throttle, wide.stages.len()), (None, 2));
        assert_eq!(deep.throttle, Some(Limit::new(10.0, 20.0)));
        assert!(deep.stage(0).is_none() && wide.stage(0).is_some() && wide.stage(2).is_none());
        let stage = deep.stage(1).expect("a/t is the second stage");
        assert_eq!(stage.method("GET /one"), Some(Limit::new(0.5, 1.0)));
        assert_eq!(stage.method("GET /two"), Some(Limit::new(2.0, 3.0)));
        assert_eq!(stage.method("GET /three"), None);
    }

    #[test]
    fn plans_are_found_by_stage_and_method() {
        let loaded = crate::load_text("gateway.yaml", TEXT, Path::new("/srv"));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
        look(&snapshot);
        let mut read = decode(&encode(&snapshot, Path::new("/srv")), Path::new("/srv")).expect("it was just written");
        look(&read);
        read.plans[1].stages[0].stage = 7;
        let broken = decode(&encode(&read, Path::new("/srv")), Path::new("/srv"));
        assert!(broken.expect_err("stage 7 is not there").to_string().contains("usage plan"));
    }
}
