//! APIs and their stages: what each stage serves, linked to the upstreams.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use router::{Builder, StageRef};

use crate::compile::program::Setting;
use crate::compile::programs::{Frozen, Programs};
use crate::compile::upstreams::{Names, Upstreams};
use crate::definition::Definition;
use crate::diagnostic::Diagnostics;
use crate::model::api::ApiSpec;
use crate::model::stage::StageSpec;
use crate::snapshot::{Api, Canary, Release, Stage};
use crate::source::node::Text;

/// APIs and stages as the table numbers them.
#[derive(Default)]
pub struct Compiled {
    /// By `ApiId`.
    pub apis: Vec<Api>,
    /// By stage number.
    pub stages: Vec<Stage>,
    refs: HashMap<(Arc<str>, Arc<str>), (StageRef, u32)>,
}

impl Compiled {
    /// The stage of that name of the API of that id, and its number.
    pub fn stage(&self, api: &str, stage: &str) -> Option<(StageRef, u32)> {
        self.refs.get(&(api.into(), stage.into())).copied()
    }
}

/// What the stages are compiled with.
pub struct Parts<'a> {
    /// Collects hosts and stages.
    pub builder: &'a mut Builder,
    /// Whom integrations call.
    pub upstreams: &'a mut Upstreams,
    /// What was compiled before.
    pub programs: &'a mut Programs,
    /// Where faults go.
    pub faults: &'a mut Diagnostics,
}

/// Compiles the part `apis`; `definitions` stand beside the specs, `None` where the kind could not be read.
pub fn compile(specs: &[ApiSpec], definitions: &[Option<Definition>], parts: &mut Parts<'_>) -> Compiled {
    let mut compiled = Compiled::default();
    let names = parts.upstreams.names();
    for (spec, definition) in specs.iter().zip(definitions) {
        let Some(definition) = definition else { continue };
        let number = parts.builder.api(&spec.id.text, definition.kind);
        let id: Arc<str> = (*spec.id.text).into();
        compiled.apis.push(Api { id: id.clone(), kind: definition.kind });
        let current = Frozen::new(definition);
        for stage in &spec.stages {
            let index = compiled.stages.len() as u32;
            let place = parts.builder.stage_without_routes(number, &stage.name.text, index);
            let name: Arc<str> = (*stage.name.text).into();
            compiled.refs.insert((id.clone(), name.clone()), (place, index));
            let (release, canary) = releases(stage, &current, &names, parts);
            compiled.stages.push(Stage { api: number.0, name, release, canary });
        }
    }
    compiled
}

/// What a stage serves, and what its canary does.
fn releases(
    spec: &StageSpec,
    current: &Frozen<'_>,
    names: &Names,
    parts: &mut Parts<'_>,
) -> (Option<Release>, Option<Canary>) {
    let StageSpec { name, variables, auto_deploy: _, canary, methods: _ } = spec;
    let variables = collected(variables);
    let serve =
        |variables: Variables, parts: &mut Parts<'_>| release(current, &name.text, variables.into(), names, parts);
    let canary = canary.as_ref().and_then(|canary| {
        let mut overridden = variables.clone();
        overridden.extend(collected(&canary.variables));
        let percent = canary.percent.map_or(0.0, |at| at.value);
        Some(Canary::new(percent, serve(overridden, parts)))
    });
    (Some(serve(variables, parts)), canary)
}

type Variables = BTreeMap<String, String>;

fn collected(variables: &[(Text, Text)]) -> Variables {
    variables.iter().map(|(name, value)| (name.text.to_string(), value.text.to_string())).collect()
}

fn release(
    definition: &Frozen<'_>,
    stage: &str,
    variables: Arc<Variables>,
    names: &Names,
    parts: &mut Parts<'_>,
) -> Release {
    let setting = Setting { stage, variables: &variables, upstreams: names };
    let program = parts.programs.get(definition, &setting, parts.faults);
    let upstreams = program.authorities.iter().map(|authority| parts.upstreams.link(&authority.target)).collect();
    Release { deployment: None, program, upstreams, variables }
}
