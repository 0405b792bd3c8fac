//! Deployments of the running gateway: freeze what the document says, write the state directory, serve it; and back if that fails.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use admin::ReloadReport;
use admin::orders::{
    CanaryAction, CanaryActionOrder, CanaryLine, CanaryOrder, ChangeReport, DeployOrder, DeploymentLine,
    DeploymentList, Listing, Outcome, PruneOrder, RollbackOrder, StageLine,
};
use config::definition::Definition;
use config::deployments::{
    self, ApiState, CanaryPointer, CanaryWish, Change, Committed, Declared, FaultKind, Forgotten, Frozen,
    NewDeployment, NotDone, StagePointer, StageState, Store, StoreFault,
};
use config::snapshot::Snapshot;
use config::{Defined, Definitions};

use crate::limits::{STATE_LOCK_PAUSE, STATE_LOCK_TIME};
use crate::observe::metrics::By;
use crate::reload::Reloader;

/// Carries out orders on deployments, one after the other.
pub struct Deployer {
    reloader: Arc<Reloader>,
}

/// What an order does to the state of an API.
struct Plan {
    /// Written before the state.
    frozen: Option<Frozen>,
    /// That the stage or its canary serves by it.
    deployment: Option<Arc<str>>,
    /// For people.
    told: Vec<String>,
}

/// An order goes no further.
struct Stop(Box<ChangeReport>);

impl Stop {
    fn refused(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Box::new(ChangeReport::not_done(Outcome::Refused, why, hint)))
    }
}

impl From<StoreFault> for Stop {
    fn from(fault: StoreFault) -> Self {
        Self(Box::new(ChangeReport::not_done(Outcome::Failed, fault.what, fault.hint)))
    }
}

/// The API and the stage of an order.
#[derive(Clone, Copy)]
struct Target<'a> {
    api: &'a str,
    stage: &'a str,
    /// Whether the order makes a deployment for a canary.
    new_canary: bool,
}

impl Target<'_> {
    fn not_done(self, why: &NotDone) -> Stop {
        Stop::refused(why.to_string(), why.hint(self.api, self.stage))
    }

    fn shown(self) -> String {
        format!("{}/{}", self.api, self.stage)
    }
}

impl Deployer {
    /// Deploys through this door.
    pub fn new(reloader: Arc<Reloader>) -> Self {
        Self { reloader }
    }

    /// Freezes the API as the document on disk has it, and lets the stage or its canary serve that.
    pub fn deploy(&self, order: &DeployOrder) -> ChangeReport {
        let DeployOrder { api, stage, note, canary } = order;
        let target = Target { api, stage, new_canary: canary.is_some() };
        self.change(target, |state, declared, definition| {
            let not_done = |why| target.not_done(&why);
            deployments::deployable(definition).map_err(not_done)?;
            let frozen = deployments::freeze(definition)?;
            let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
            let new = NewDeployment { hash: frozen.hash, methods: frozen.methods, created, note: note.clone() };
            let id = match canary {
                None => state.deploy(stage, declared, new),
                Some(canary) => state.deploy_canary(stage, declared, new, &wish(canary)),
            };
            let id = id.map_err(not_done)?;
            let told = if canary.is_some() {
                told_of_canary(state, target)
            } else {
                let back = state.stages.get(stage.as_str()).and_then(|pointer| pointer.previous.last());
                let mut told = vec![format!("{} serves deployment {id}, {}", target.shown(), count(frozen.methods))];
                told.extend(back.map(|id| format!("`tollgate rollback {api} {stage}` goes back to {id}")));
                told
            };
            Ok(Plan { frozen: Some(frozen), deployment: Some(id), told })
        })
    }

    /// Lets the stage serve an earlier deployment.
    pub fn rollback(&self, order: &RollbackOrder) -> ChangeReport {
        let RollbackOrder { api, stage, id } = order;
        let target = Target { api, stage, new_canary: false };
        self.change(target, |state, declared, _| {
            let id = state.rollback(stage, declared, id.as_deref()).map_err(|why| target.not_done(&why))?;
            let note = state.deployment(&id).map_or("", |deployment| &deployment.note);
            let note = if note.is_empty() { String::new() } else { format!(": {note}") };
            let told = vec![format!("{} serves deployment {id}{note}", target.shown())];
            Ok(Plan { frozen: None, deployment: Some(id), told })
        })
    }

    /// Changes the stage's canary.
    pub fn canary(&self, order: &CanaryActionOrder) -> ChangeReport {
        let CanaryActionOrder { api, stage, action } = order;
        let target = Target { api, stage, new_canary: false };
        self.change(target, |state, declared, _| {
            let not_done = |why| target.not_done(&why);
            let (deployment, told) = match action {
                CanaryAction::Change(canary) => {
                    state.change_canary(stage, declared, &wish(canary)).map_err(not_done)?;
                    (canary_of(state, stage).map(|canary| canary.deployment.clone()), told_of_canary(state, target))
                }
                CanaryAction::Promote => {
                    let id = state.promote(stage, declared).map_err(not_done)?;
                    let told = vec![
                        format!("{} serves deployment {id}, with the variables of its canary", target.shown()),
                        format!("the canary stays, without requests: `tollgate canary {api} {stage} drop` ends it"),
                    ];
                    (Some(id), told)
                }
                CanaryAction::Drop => {
                    state.drop_canary(stage).map_err(not_done)?;
                    (None, vec![format!("{} has no canary any more", target.shown())])
                }
                CanaryAction::Forget => {
                    let names = state.forget_variables(stage).map_err(not_done)?;
                    (None, vec![format!("{} takes from the document again: {}", target.shown(), listed(&names))])
                }
            };
            Ok(Plan { frozen: None, deployment, told })
        })
    }

    /// Forgets the stages that neither the document nor what serves has any more, and old deployments that nothing refers to.
    pub fn prune(&self, order: &PruneOrder) -> ChangeReport {
        let report = self.try_prune(&order.api).unwrap_or_else(|Stop(report)| *report);
        tracing::info!(api = order.api, outcome = ?report.outcome, "{}", report.told.join("; "));
        report
    }

    fn try_prune(&self, api: &str) -> Result<ChangeReport, Stop> {
        let read = self.read()?;
        if !read.list.iter().any(|defined| defined.id == api) {
            return Err(unknown_api(api, &read));
        }
        let store = open(&read)?;
        let mut change = begin(&store, api)?;
        let serving = self.reloader.current();
        let of_document = read.stages.iter().filter(|stage| stage.api == api).map(|stage| stage.stage.as_str());
        let is_served = |stage: &&config::Stage| *serving.snapshot.apis[stage.api as usize].id == *api;
        let of_snapshot = serving.snapshot.stages.iter().filter(is_served).map(|stage| &*stage.name);
        let stages: Vec<&str> = of_document.chain(of_snapshot).collect();
        let Forgotten { stages: gone, deployments } = change.state.forget_all_but(&stages);
        let mut told = Vec::new();
        if !gone.is_empty() {
            told.push(format!("forgotten, for they are no longer configured: {}", listed(&gone)));
        }
        if deployments > 0 {
            told.push(format!("removed, for nothing refers to them: {deployments} of the deployments of {api}"));
        }
        if told.is_empty() {
            told.push(format!("{api} has nothing that is of no use"));
        } else {
            change.commit(None)?.keep();
        }
        Ok(ChangeReport { outcome: Outcome::Done, told, deployment: None, faults: String::new(), reload: None })
    }

    /// Lists what is kept of an API, also of one that is in the document no more.
    pub fn list(&self, api: &str) -> Listing {
        self.try_list(api).map_or_else(|Stop(report)| Listing::NotListed(*report), Listing::List)
    }

    fn try_list(&self, api: &str) -> Result<DeploymentList, Stop> {
        let mut read = config::definitions(self.document()?);
        if read.diagnostics.has_errors() {
            read.state = deployments::state_folder(self.reloader.current().snapshot.gateway.state.as_deref());
        }
        let state = open(&read)?.api(api)?;
        let is_known = read.stages.iter().any(|stage| stage.api == api);
        match state {
            Some(state) => Ok(list_of(&state, &read)),
            None if is_known => Ok(list_of(&ApiState::new(api), &read)),
            None => Err(unknown_api(api, &read)),
        }
    }

    fn document(&self) -> Result<&Path, Stop> {
        let demo = || Stop::refused("the demo keeps no deployments", "`tollgate run` with a document of your own does");
        let document = self.reloader.document().ok_or_else(demo)?;
        if config::is_compiled(document) {
            let hint = "`tollgate run` the document itself where deployments are made, and compile it again afterwards";
            return Err(Stop::refused("this gateway serves a compiled snapshot, which carries its deployments", hint));
        }
        Ok(document)
    }

    /// The document as it is on disk, without errors.
    fn read(&self) -> Result<Definitions, Stop> {
        let read = config::definitions(self.document()?);
        if read.diagnostics.has_errors() {
            let Stop(mut report) =
                Stop::refused("the document has errors, so nothing was changed", "mend them and try again");
            report.faults = read.diagnostics.render(false);
            return Err(Stop(report));
        }
        Ok(read)
    }

    fn change(
        &self,
        target: Target<'_>,
        act: impl FnOnce(&mut ApiState, Declared, &Definition) -> Result<Plan, Stop>,
    ) -> ChangeReport {
        let report = self.try_change(target, act).unwrap_or_else(|Stop(report)| *report);
        let ChangeReport { outcome, told, deployment, faults: _, reload } = &report;
        let generation = reload.as_ref().map(|reload| reload.generation);
        if *outcome == Outcome::Done {
            tracing::info!(api = target.api, stage = target.stage, deployment, generation, "{}", told.join("; "));
        } else {
            tracing::error!(api = target.api, stage = target.stage, generation, "not deployed: {}", told.join("; "));
        }
        report
    }

    fn try_change(
        &self,
        target: Target<'_>,
        act: impl FnOnce(&mut ApiState, Declared, &Definition) -> Result<Plan, Stop>,
    ) -> Result<ChangeReport, Stop> {
        let read = self.read()?;
        let (definition, declared) = find(target, &read)?;
        let store = open(&read)?;
        let mut change = begin(&store, target.api)?;
        let Plan { frozen, deployment, told } = act(&mut change.state, declared, definition)?;
        let wanted = change.state.stage(target.stage);
        let committed = change.commit(frozen.as_ref())?;
        self.serve(target, declared, wanted.as_ref(), committed).map(|reload| ChangeReport {
            outcome: Outcome::Done,
            told,
            deployment: deployment.map(|id| id.to_string()),
            faults: String::new(),
            reload: Some(reload),
        })
    }

    /// Loads what was written. If it cannot be served, the state directory and what serves are as before.
    fn serve(
        &self,
        target: Target<'_>,
        declared: Declared,
        wanted: Option<&StageState>,
        committed: Committed<'_>,
    ) -> Result<ReloadReport, Stop> {
        let mut alone = self.reloader.alone();
        let before = self.reloader.current().generation;
        let reload = alone.reload(By::Command);
        let now = self.reloader.current();
        let is_new = now.generation > before;
        if is_new && serves(&now.snapshot, target, declared, wanted) {
            committed.keep();
            return Ok(reload);
        }
        let Stop(mut report) = Stop::refused("the gateway cannot serve that", "mend what is said above, and try again");
        match committed.undo() {
            Ok(()) => report.told.push("the state directory is as it was".into()),
            Err(fault) => {
                report.outcome = Outcome::Failed;
                report.told.push(format!("and the state directory could not be put back: {fault}"));
            }
        }
        let mut reload = reload;
        if is_new {
            // What was taken into service is taken out again; the faults are those of the first time.
            reload = ReloadReport { faults: reload.faults, ..alone.reload(By::Command) };
        }
        report.reload = Some(ReloadReport { ok: false, ..reload });
        Err(Stop(report))
    }
}

fn open(read: &Definitions) -> Result<Store, Stop> {
    let Some(folder) = &read.state else {
        let hint = "write `state: tollgate-state` below `gateway:` in the document, or set StateDirectory= in the unit";
        return Err(Stop::refused("there is no state directory to keep deployments in", hint));
    };
    Ok(Store::open(folder)?)
}

/// Waits while another process is about it.
fn begin<'a>(store: &'a Store, api: &str) -> Result<Change<'a>, StoreFault> {
    let deadline = Instant::now() + STATE_LOCK_TIME;
    loop {
        match store.change(api) {
            Err(fault) if fault.kind == FaultKind::Busy && Instant::now() < deadline => {
                thread::sleep(STATE_LOCK_PAUSE);
            }
            begun => return begun,
        }
    }
}

fn find<'a>(target: Target<'_>, read: &'a Definitions) -> Result<(&'a Definition, Declared), Stop> {
    let Some(Defined { definition, .. }) = read.list.iter().find(|defined| defined.id == target.api) else {
        return Err(unknown_api(target.api, read));
    };
    let mut stages = read.stages.iter().filter(|stage| stage.api == target.api);
    let Some(stage) = stages.clone().find(|stage| stage.stage == target.stage) else {
        let names: Vec<&str> = stages.by_ref().map(|stage| &*stage.stage).collect();
        let why = if target.new_canary {
            NotDone::CanaryWithoutStage { stage: target.stage.to_owned() }.to_string()
        } else {
            format!("API `{}` has no stage `{}` in the document", target.api, target.stage)
        };
        return Err(Stop::refused(why, format!("its stages are: {}", listed(&names))));
    };
    Ok((definition, stage.declared))
}

fn unknown_api(api: &str, read: &Definitions) -> Stop {
    let names: Vec<&str> = read.list.iter().map(|defined| &*defined.id).collect();
    Stop::refused(format!("the document has no API `{api}`"), format!("its APIs are: {}", listed(&names)))
}

/// Whether a stage serves what it shall.
fn serves(snapshot: &Snapshot, target: Target<'_>, declared: Declared, wanted: Option<&StageState>) -> bool {
    let is_target =
        |stage: &&config::Stage| &*stage.name == target.stage && &*snapshot.apis[stage.api as usize].id == target.api;
    let Some(stage) = snapshot.stages.iter().find(is_target) else { return false };
    let serving = stage.release.as_ref().map(|release| release.deployment.clone());
    let canary = stage.canary.as_ref().map(|canary| canary.release.deployment.clone());
    let wanted_canary = wanted.and_then(|wanted| wanted.canary.as_ref()).map(|canary| Some(canary.deployment.clone()));
    // A stage that deploys by itself, or whose canary the document declares, heeds no order.
    (declared.auto_deploy || serving == wanted.map(|wanted| Some(wanted.deployment.clone())))
        && (declared.auto_deploy || declared.canary || canary == wanted_canary)
}

fn wish(order: &CanaryOrder) -> CanaryWish {
    let CanaryOrder { percent, variables, without } = order.clone();
    CanaryWish { percent, variables, without }
}

fn canary_of<'a>(state: &'a ApiState, stage: &str) -> Option<&'a CanaryPointer> {
    state.stages.get(stage)?.canary.as_ref()
}

fn told_of_canary(state: &ApiState, target: Target<'_>) -> Vec<String> {
    let Some(CanaryPointer { deployment, percent, variables }) = canary_of(state, target.stage) else {
        return Vec::new();
    };
    let names: Vec<&String> = variables.keys().collect();
    let with = if names.is_empty() { String::new() } else { format!(", with its own {}", listed(&names)) };
    let is_silent = *percent == 0.0;
    let silent = if is_silent { ": it receives nothing yet" } else { "" };
    let what = format!("the canary of {} serves {deployment} to {percent} % of the requests{with}", target.shown());
    let mut told = vec![format!("{what}{silent}")];
    if is_silent {
        told.push(format!("`tollgate canary {} {} percent 10` sends it one request in ten", target.api, target.stage));
    }
    if state.stages.get(target.stage).is_some_and(|stage| stage.deployment == *deployment) && names.is_empty() {
        told.push(
            "that is the stage's own deployment, with the stage's own variables: nobody sees a difference".into(),
        );
    }
    told
}

fn count(methods: usize) -> String {
    format!("{methods} method{}", if methods == 1 { "" } else { "s" })
}

fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", "),
    }
}

fn list_of(state: &ApiState, read: &Definitions) -> DeploymentList {
    let at = |is: &dyn Fn(&StagePointer) -> bool| {
        let stages = state.stages.iter().filter(|(_, pointer)| is(pointer));
        stages.map(|(name, _)| name.clone()).collect()
    };
    let deployments = state.deployments.iter().map(|deployment| DeploymentLine {
        id: deployment.id.to_string(),
        hash: deployment.hash.to_string(),
        created: deployment.created,
        note: deployment.note.clone(),
        methods: deployment.methods,
        stages: at(&|pointer| pointer.deployment == deployment.id),
        canaries: at(&|pointer| pointer.canary.as_ref().is_some_and(|canary| canary.deployment == deployment.id)),
    });
    let declared = read.stages.iter().filter(|stage| stage.api == state.api);
    let mut stages: Vec<StageLine> =
        declared.map(|stage| line_of(&stage.stage, Some(stage.declared), state.stages.get(&stage.stage))).collect();
    for (name, pointer) in &state.stages {
        if !stages.iter().any(|line| line.stage == *name) {
            stages.push(line_of(name, None, Some(pointer)));
        }
    }
    DeploymentList { api: state.api.clone(), deployments: deployments.collect(), stages }
}

fn line_of(name: &str, declared: Option<Declared>, pointer: Option<&StagePointer>) -> StageLine {
    let canary = pointer.and_then(|pointer| pointer.canary.as_ref()).map(|canary| CanaryLine {
        deployment: canary.deployment.to_string(),
        percent: canary.percent,
        variables: canary.variables.clone(),
    });
    StageLine {
        stage: name.to_owned(),
        auto_deploy: declared.map(|declared| declared.auto_deploy),
        canary_declared: declared.is_some_and(|declared| declared.canary),
        deployment: pointer.map(|pointer| pointer.deployment.to_string()),
        previous: pointer.map_or_else(Vec::new, |pointer| pointer.previous.iter().map(ToString::to_string).collect()),
        variables: pointer.map(|pointer| pointer.variables.clone()).unwrap_or_default(),
        canary,
    }
}
