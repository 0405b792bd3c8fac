//! APIs and their stages: what each stage serves, linked to the upstreams.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use router::{Builder, StageRef};

use crate::compile::firewall;
use crate::compile::program::Setting;
use crate::compile::programs::{Print, Programs};
use crate::compile::throttles;
use crate::compile::tls::Shelf;
use crate::compile::upstreams::{Names, Upstreams};
use crate::definition::Definition;
use crate::deployments::{ApiState, DefinitionHash, StageState, Store, StoreFault};
use crate::diagnostic::{Diagnostics, Fault, Place};
use crate::model::api::ApiSpec;
use crate::model::settings::MethodSettingsSpec;
use crate::model::stage::StageSpec;
use crate::model::tls::CertificateSpec;
use crate::snapshot::{Api, Canary, Integration, Measured, Program, Protocol, Release, Stage, Tell};
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
    /// Deployments; `None`: there is no state directory.
    pub store: Option<&'a Store>,
    /// Certificates.
    pub shelf: &'a mut Shelf,
    /// Where Lambda's Invoke API is.
    pub lambda: Option<&'a Text>,
    /// The folder that paths are taken from.
    pub base: &'a Path,
    /// Where faults go.
    pub faults: &'a mut Diagnostics,
    /// When clients are told of limits, where an API says nothing.
    pub tell: Tell,
}

/// Compiles the part `apis`; `definitions` stand beside the specs, `None` where the kind could not be read.
pub fn compile(specs: &[ApiSpec], definitions: &[Option<Definition>], parts: &mut Parts<'_>) -> Compiled {
    let mut compiled = Compiled::default();
    let names = parts.upstreams.names();
    for (spec, definition) in specs.iter().zip(definitions) {
        let Some(definition) = definition else { continue };
        let number = parts.builder.api(&spec.id.text, definition.kind);
        let id: Arc<str> = (*spec.id.text).into();
        let execute_api = definition.endpoint.disable_execute_api != Some(true);
        let tell = spec.rate_limit_fields.unwrap_or(parts.tell);
        let firewall = firewall::compile(spec.firewall.as_ref(), parts.base, parts.faults);
        compiled.apis.push(Api { id: id.clone(), kind: definition.kind, execute_api, tell, firewall });
        let deployed = deployed(spec, parts);
        let api = Work { id: &id, print: Print::of(definition), definition, deployed, names: &names };
        for stage in &spec.stages {
            let index = compiled.stages.len() as u32;
            let place = parts.builder.stage(number, &stage.name.text, index);
            let name: Arc<str> = (*stage.name.text).into();
            compiled.refs.insert((id.clone(), name.clone()), (place, index));
            let (mut release, mut canary) = api.releases(stage, parts);
            for release in [release.as_ref(), canary.as_ref().map(|canary| &canary.release)].into_iter().flatten() {
                warn_of_web_sockets(release, stage.name.place, parts);
            }
            if let Some(client) = &stage.client_certificate {
                let releases = [release.as_mut(), canary.as_mut().map(|canary| &mut canary.release)];
                prove(client, releases.into_iter().flatten().collect(), parts);
            }
            let (measured, throttles) = (measured(&stage.methods), throttles::of_stage(stage));
            compiled.stages.push(Stage { api: number.0, name, release, canary, measured, throttles });
        }
    }
    compiled
}

/// IN-19: a stage's calls prove themselves with its certificate, where TLS is spoken.
fn prove(spec: &CertificateSpec, releases: Vec<&mut Release>, parts: &mut Parts<'_>) {
    let Some(client) = parts.shelf.client(spec, parts.base, parts.faults) else { return };
    let mut is_shown = releases.is_empty();
    for release in releases {
        let Release { program, upstreams, .. } = release;
        *upstreams =
            program.authorities.iter().map(|authority| parts.upstreams.link(authority, Some(&client))).collect();
        is_shown |= program.authorities.iter().any(|authority| authority.tls.is_some());
    }
    if !is_shown {
        let what = "`client_certificate` is shown to nobody: the stage calls no backend by TLS";
        parts.faults.warning(spec.certificate.place, what, "write https:// in a URI, or `tls: {}` at its upstream");
    }
}

/// What the state directory knows of an API.
enum Deployed {
    /// These deployments, if any; asked only if a stage serves one.
    Known(Option<ApiState>),
    /// Nobody can tell, which is said already.
    Unreadable,
}

fn deployed(spec: &ApiSpec, parts: &mut Parts<'_>) -> Deployed {
    let asking: Vec<&Text> =
        spec.stages.iter().filter(|stage| !deploys_itself(stage)).map(|stage| &stage.name).collect();
    let (false, Some(store)) = (asking.is_empty(), parts.store) else { return Deployed::Known(None) };
    match store.api(&spec.id.text) {
        Ok(state) => Deployed::Known(state),
        Err(fault) => {
            refuse(&asking, &fault, parts);
            Deployed::Unreadable
        }
    }
}

fn deploys_itself(stage: &StageSpec) -> bool {
    stage.auto_deploy.is_none_or(|at| at.value)
}

/// A reload whose deployments cannot be read changes nothing. A start goes on without them: the other stages are not to blame.
fn refuse(stages: &[&Text], fault: &StoreFault, parts: &mut Parts<'_>) {
    let Some(at) = stages.first() else { return };
    if parts.programs.is_first() {
        let names: Vec<String> = stages.iter().map(|name| format!("`{}`", name.text)).collect();
        let (word, names) = (if names.len() == 1 { "stage" } else { "stages" }, names.join(", "));
        let what = format!("{}; requests to {word} {names} are refused", fault.what);
        parts.faults.warning(at.place, what, fault.hint.clone());
    } else {
        parts.faults.error_hint(at.place, fault.what.clone(), fault.hint.clone());
    }
}

/// ST-07, ST-08: settings lie over whatever a stage serves; they are no part of a deployment.
fn measured(settings: &[MethodSettingsSpec]) -> Measured {
    let mut measured = Measured::default();
    for spec in settings {
        let MethodSettingsSpec {
            key: _,
            method,
            metrics,
            data_trace: _,
            logging_level: _,
            throttle: _,
            concurrency: _,
            caching: _,
        } = spec;
        match (method, metrics) {
            (None, Some(metrics)) => measured.others = *metrics,
            (Some(method), Some(metrics)) => {
                measured.named.insert(method.clone(), *metrics);
            }
            (_, None) => {}
        }
    }
    measured
}

type Variables = BTreeMap<String, String>;

fn collected(variables: &[(Text, Text)]) -> Variables {
    variables.iter().map(|(name, value)| (name.text.to_string(), value.text.to_string())).collect()
}

/// `over` wins.
fn joined(under: &Variables, over: &Variables) -> Variables {
    under.iter().chain(over).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An API whose stages are made.
struct Work<'a> {
    id: &'a str,
    print: Print,
    /// The document's.
    definition: &'a Definition,
    deployed: Deployed,
    names: &'a Names,
}

impl Work<'_> {
    /// What a stage serves, and what its canary does.
    fn releases(&self, spec: &StageSpec, parts: &mut Parts<'_>) -> (Option<Release>, Option<Canary>) {
        if deploys_itself(spec) {
            return self.of_document(spec, parts);
        }
        let Deployed::Known(state) = &self.deployed else { return (None, None) };
        let Some(state) = state.as_ref().and_then(|state| state.stage(&spec.name.text)) else {
            if !parts.faults.has_errors() {
                parts.faults.warning(
                    spec.name.place,
                    format!("nothing is deployed to stage `{}`: its requests are refused", spec.name.text),
                    format!("`tollgate deploy {} {}` deploys the document as it is now", self.id, spec.name.text),
                );
            }
            return (None, None);
        };
        self.of_state(spec, &state, parts)
    }

    /// ST-05: the document is what serves.
    fn of_document(&self, spec: &StageSpec, parts: &mut Parts<'_>) -> (Option<Release>, Option<Canary>) {
        let variables = collected(&spec.variables);
        let serve = |variables: Variables, parts: &mut Parts<'_>| {
            let setting =
                Setting { stage: &spec.name.text, variables: &variables, upstreams: self.names, lambda: parts.lambda };
            let known = parts.programs.find(self.print, &setting, parts.faults);
            let program =
                known.unwrap_or_else(|| parts.programs.make((self.print, self.definition), &setting, parts.faults));
            linked(None, program, variables, parts)
        };
        let canary = spec.canary.as_ref().map(|canary| {
            let variables = joined(&variables, &collected(&canary.variables));
            Canary::new(canary.percent.map_or(0.0, |at| at.value), serve(variables, parts))
        });
        (Some(serve(variables, parts)), canary)
    }

    /// ST-03, ST-09: what was deployed serves.
    fn of_state(
        &self,
        spec: &StageSpec,
        state: &StageState,
        parts: &mut Parts<'_>,
    ) -> (Option<Release>, Option<Canary>) {
        let variables = joined(&collected(&spec.variables), &state.variables);
        let declared = spec.canary.as_ref().map(|canary| {
            (&state.deployment, &state.hash, canary.percent.map_or(0.0, |at| at.value), collected(&canary.variables))
        });
        let stored = state
            .canary
            .as_ref()
            .map(|canary| (&canary.deployment, &canary.hash, canary.percent, canary.variables.clone()));
        let canary = declared.or(stored).and_then(|(deployment, hash, percent, over)| {
            let release = self.of_deployment(spec, (deployment, hash), joined(&variables, &over), parts)?;
            Some(Canary::new(percent, release))
        });
        (self.of_deployment(spec, (&state.deployment, &state.hash), variables, parts), canary)
    }

    fn of_deployment(
        &self,
        spec: &StageSpec,
        (deployment, hash): (&Arc<str>, &DefinitionHash),
        variables: Variables,
        parts: &mut Parts<'_>,
    ) -> Option<Release> {
        let setting =
            Setting { stage: &spec.name.text, variables: &variables, upstreams: self.names, lambda: parts.lambda };
        let mut own = Diagnostics::default();
        let print = parts.programs.print(hash);
        let known = print.and_then(|print| parts.programs.find(print, &setting, &mut own));
        let program = match known {
            Some(program) => program,
            None => match parts.store?.definition(self.id, hash) {
                Ok(definition) => {
                    let print = Print::of(&definition);
                    parts.programs.remember(*hash, print);
                    parts.programs.make((print, &definition), &setting, &mut own)
                }
                Err(fault) => {
                    refuse(&[&spec.name], &fault, parts);
                    return None;
                }
            },
        };
        if program.kind != self.definition.kind {
            let what = format!("deployment {deployment} is of another kind of API, and goes on serving as that");
            let hint = format!("`tollgate deploy {} {}` deploys the document as it is now", self.id, spec.name.text);
            parts.faults.warning(spec.name.place, what, hint);
        }
        // A frozen definition has no places: its faults stand at the stage.
        let placed = |fault: Fault| Fault {
            place: spec.name.place,
            what: format!("deployment {deployment}: {}", fault.what),
            ..fault
        };
        parts.faults.repeat(&own.list.into_iter().map(placed).collect::<Vec<_>>());
        Some(linked(Some(deployment.clone()), program, variables, parts))
    }
}

/// A WebSocket needs a connection of its own, which HTTP/2 has none of.
fn warn_of_web_sockets(release: &Release, place: Place, parts: &mut Parts<'_>) {
    for method in &release.program.methods {
        let Integration::Http(rule) = &method.integration else { continue };
        let number = release.upstreams[rule.authority as usize];
        if rule.websocket && parts.upstreams.protocol(number) != Protocol::Http1 {
            let what = format!("`{}` passes no WebSocket: its upstream may speak HTTP/2", method.key);
            parts.faults.warning(place, what, "give it an upstream of its own, with `protocol: http1`");
        }
    }
}

fn linked(deployment: Option<Arc<str>>, program: Arc<Program>, variables: Variables, parts: &mut Parts<'_>) -> Release {
    let upstreams = program.authorities.iter().map(|authority| parts.upstreams.link(authority, None)).collect();
    Release { deployment, program, upstreams, variables: Arc::new(variables) }
}
