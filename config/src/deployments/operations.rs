//! Deploying, going back, and the canary: what each does to the state of an API, and when it is refused.
//!
//! Nothing here reads or writes a file, or knows the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use router::Kind;

use super::fault::NotDone;
use super::frozen::DefinitionHash;
use super::pointer::{
    ApiState, CanaryPointer, Deployment, StagePointer, is_note, is_percent, is_stage, is_value, is_variable,
};
use crate::definition::Definition;
use crate::limits;

/// What the document says of a stage: two facts have one owner each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// Whether the stage serves the document itself (ST-05).
    pub auto_deploy: bool,
    /// Whether the document says what the canary is.
    pub canary: bool,
}

/// A deployment that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeployment {
    /// Of the frozen definition.
    pub hash: DefinitionHash,
    /// How many methods it has.
    pub methods: usize,
    /// When, in seconds since 1970.
    pub created: u64,
    /// Why; may be empty.
    pub note: String,
}

/// What is wanted of a canary; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CanaryWish {
    /// Its share of the requests, 0 to 100.
    pub percent: Option<f64>,
    /// Variables that it gets, or gets anew.
    pub variables: BTreeMap<String, String>,
    /// Variables that it loses.
    pub without: Vec<String>,
}

/// What was of no use any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Names of stages.
    pub stages: Vec<String>,
    /// How many deployments.
    pub deployments: usize,
}

/// Whether a definition may be deployed: AWS deploys no REST method without an integration (ST-03).
pub fn deployable(definition: &Definition) -> Result<(), NotDone> {
    let lacking = definition.methods.iter().filter(|method| method.integration.is_none());
    let methods: Vec<String> = lacking.map(crate::definition::Method::key).collect();
    if definition.kind == Kind::Rest && !methods.is_empty() {
        return Err(NotDone::NoIntegration { methods });
    }
    Ok(())
}

impl ApiState {
    /// Makes a deployment, and lets a stage serve it (ST-03). The id.
    ///
    /// # Errors
    /// The stage deploys by itself, or has a canary (ST-12); the note is not one.
    pub fn deploy(&mut self, stage: &str, declared: Declared, new: NewDeployment) -> Result<Arc<str>, NotDone> {
        if declared.auto_deploy {
            return Err(NotDone::AutoDeploys);
        }
        if !is_stage(stage) {
            return Err(NotDone::StageName(stage.to_owned()));
        }
        if self.stages.get(stage).is_some_and(|pointer| pointer.canary.is_some()) {
            return Err(NotDone::CanaryExists);
        }
        let id = self.add(new)?;
        if let Some(pointer) = self.stages.get_mut(stage) {
            pointer.go(id.clone());
        } else {
            self.stages.insert(stage.to_owned(), StagePointer::to(id.clone()));
        }
        Ok(id)
    }

    /// Makes a deployment, and lets a stage's canary serve it (ST-10). A canary that exists keeps what the wish does not name; a new
    /// one gets no requests unless it does.
    ///
    /// # Errors
    /// The stage deploys by itself, serves nothing yet, or has a canary in the document; the wish or the note cannot be.
    pub fn deploy_canary(
        &mut self,
        stage: &str,
        declared: Declared,
        new: NewDeployment,
        wish: &CanaryWish,
    ) -> Result<Arc<str>, NotDone> {
        if stage.is_empty() {
            return Err(NotDone::CanaryWithoutStageName);
        }
        commanded(declared)?;
        let Some(pointer) = self.stages.get(stage) else {
            return Err(NotDone::CanaryWithoutStage { stage: stage.to_owned() });
        };
        let mut canary = pointer.canary.clone().unwrap_or_else(|| CanaryPointer::of(pointer));
        canary.change(wish)?;
        let id = self.add(new)?;
        canary.deployment = id.clone();
        self.stages.get_mut(stage).expect("it was there a moment ago").canary = Some(canary);
        Ok(id)
    }

    /// Lets a stage serve an earlier deployment: the one before, or any that is kept (ST-04). Going back twice goes two steps back. The
    /// id.
    ///
    /// # Errors
    /// The stage deploys by itself; there is no such deployment, or none before.
    pub fn rollback(&mut self, stage: &str, declared: Declared, to: Option<&str>) -> Result<Arc<str>, NotDone> {
        if declared.auto_deploy {
            return Err(NotDone::AutoDeploys);
        }
        let to = match to {
            Some(id) => match self.deployment(id) {
                Some(deployment) => Some(deployment.id.clone()),
                None => return Err(NotDone::UnknownDeployment { id: id.to_owned() }),
            },
            None => None,
        };
        let pointer = self.stages.get_mut(stage).ok_or(NotDone::NothingDeployed)?;
        let Some(to) = to else {
            let before = pointer.previous.pop().ok_or(NotDone::NothingBefore)?;
            pointer.deployment = before.clone();
            return Ok(before);
        };
        if to == pointer.deployment {
            return Err(NotDone::AlreadyServes { id: to.to_string() });
        }
        match pointer.previous.iter().rposition(|id| *id == to) {
            Some(step) => {
                pointer.previous.truncate(step);
                pointer.deployment = to.clone();
            }
            None => pointer.go(to.clone()),
        }
        Ok(to)
    }

    /// Changes the share or the variables of a stage's canary. Without a canary this makes one of the stage's own deployment (ST-10).
    ///
    /// # Errors
    /// The stage deploys by itself, serves nothing yet, or has a canary in the document; the wish cannot be.
    pub fn change_canary(&mut self, stage: &str, declared: Declared, wish: &CanaryWish) -> Result<(), NotDone> {
        commanded(declared)?;
        let pointer = self.stages.get_mut(stage).ok_or(NotDone::NothingDeployed)?;
        let mut canary = pointer.canary.clone().unwrap_or_else(|| CanaryPointer::of(pointer));
        canary.change(wish)?;
        pointer.canary = Some(canary);
        Ok(())
    }

    /// Lets the stage serve what its canary serves, variables included; the canary stays, with no requests (ST-11). The id.
    ///
    /// # Errors
    /// There is no canary; the stage deploys by itself, or has its canary in the document; there would be too many variables.
    pub fn promote(&mut self, stage: &str, declared: Declared) -> Result<Arc<str>, NotDone> {
        commanded(declared)?;
        let pointer = self.stages.get_mut(stage).ok_or(NotDone::NothingToPromote)?;
        let canary = pointer.canary.as_mut().ok_or(NotDone::NothingToPromote)?;
        let mut variables = pointer.variables.clone();
        variables.extend(canary.variables.clone());
        if variables.len() > limits::STAGE_VARIABLES_MAX {
            return Err(NotDone::TooManyVariables);
        }
        canary.percent = 0.0;
        let id = canary.deployment.clone();
        pointer.variables = variables;
        if id != pointer.deployment {
            pointer.go(id.clone());
        }
        Ok(id)
    }

    /// Ends a stage's canary (ST-11).
    ///
    /// # Errors
    /// There is none. It may be ended when the document declares another: then nobody serves it.
    pub fn drop_canary(&mut self, stage: &str) -> Result<(), NotDone> {
        let canary = self.stages.get_mut(stage).and_then(|pointer| pointer.canary.take());
        canary.map(drop).ok_or(NotDone::NoCanary)
    }

    /// Forgets the variables that came from canaries: the document's hold again. Their names.
    ///
    /// # Errors
    /// Nothing is deployed there.
    pub fn forget_variables(&mut self, stage: &str) -> Result<Vec<String>, NotDone> {
        let pointer = self.stages.get_mut(stage).ok_or(NotDone::NothingDeployed)?;
        Ok(std::mem::take(&mut pointer.variables).into_keys().collect())
    }

    /// Forgets every stage but these, and then all but the newest of the deployments that no stage or canary serves or can go back to.
    pub fn forget_all_but(&mut self, stages: &[&str]) -> Forgotten {
        let before = self.deployments.len();
        let gone: Vec<String> = self.stages.keys().filter(|name| !stages.contains(&name.as_str())).cloned().collect();
        self.stages.retain(|name, _| stages.contains(&name.as_str()));
        let newest = self.deployments.len().saturating_sub(limits::DEPLOYMENTS_KEPT_BY_PRUNE);
        let mut kept: BTreeSet<Arc<str>> = self.stages.values().flat_map(StagePointer::ids).cloned().collect();
        kept.extend(self.deployments[newest..].iter().map(|deployment| deployment.id.clone()));
        self.deployments.retain(|deployment| kept.contains(&deployment.id));
        Forgotten { stages: gone, deployments: before - self.deployments.len() }
    }

    fn add(&mut self, new: NewDeployment) -> Result<Arc<str>, NotDone> {
        let NewDeployment { hash, methods, created, note } = new;
        if !is_note(&note) {
            return Err(NotDone::Note);
        }
        self.sequence = self.sequence.saturating_add(1);
        let id = self.next_id(&hash);
        self.deployments.push(Deployment { id: id.clone(), hash, created, note, methods });
        Ok(id)
    }
}

/// Whether the canary of a stage is for commands to change.
fn commanded(declared: Declared) -> Result<(), NotDone> {
    match declared {
        Declared { auto_deploy: true, .. } => Err(NotDone::AutoDeploys),
        Declared { canary: true, .. } => Err(NotDone::CanaryDeclared),
        Declared { .. } => Ok(()),
    }
}

impl StagePointer {
    fn to(deployment: Arc<str>) -> Self {
        Self { deployment, previous: Vec::new(), variables: BTreeMap::new(), canary: None }
    }

    fn go(&mut self, to: Arc<str>) {
        self.previous.push(std::mem::replace(&mut self.deployment, to));
        let excess = self.previous.len().saturating_sub(limits::ROLLBACKS_KEPT);
        self.previous.drain(..excess);
    }
}

impl CanaryPointer {
    /// A canary that is not one yet: of the stage's own deployment, without requests.
    fn of(stage: &StagePointer) -> Self {
        Self { deployment: stage.deployment.clone(), percent: 0.0, variables: BTreeMap::new() }
    }

    fn change(&mut self, wish: &CanaryWish) -> Result<(), NotDone> {
        let CanaryWish { percent, variables, without } = wish;
        if let Some(percent) = *percent {
            if !is_percent(percent) {
                return Err(NotDone::Percent(percent));
            }
            self.percent = percent;
        }
        for name in without {
            self.variables.remove(name).ok_or_else(|| NotDone::UnknownVariable(name.clone()))?;
        }
        for (name, value) in variables {
            if !is_variable(name) {
                return Err(NotDone::VariableName(name.clone()));
            }
            if !is_value(value) {
                return Err(NotDone::VariableValue(name.clone()));
            }
            self.variables.insert(name.clone(), value.clone());
        }
        if self.variables.len() > limits::STAGE_VARIABLES_MAX {
            return Err(NotDone::TooManyVariables);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: Declared = Declared { auto_deploy: false, canary: false };
    const BY_ITSELF: Declared = Declared { auto_deploy: true, canary: false };
    const WRITTEN: Declared = Declared { auto_deploy: false, canary: true };

    fn new(content: &str) -> NewDeployment {
        NewDeployment { hash: DefinitionHash::of(content.as_bytes()), methods: 1, created: 7, note: content.to_owned() }
    }

    /// An API whose `prod` has served each of these.
    fn api(contents: &[&str]) -> (ApiState, Vec<Arc<str>>) {
        let mut api = ApiState::new("pets");
        let ids = contents.iter().map(|content| api.deploy("prod", MANUAL, new(content)).unwrap()).collect();
        (api, ids)
    }

    fn wish(percent: f64, variables: &[(&str, &str)]) -> CanaryWish {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        CanaryWish { percent: Some(percent), variables, without: Vec::new() }
    }

    fn canary(api: &ApiState) -> CanaryPointer {
        api.stages["prod"].canary.clone().unwrap()
    }

    fn variables(of: &BTreeMap<String, String>) -> Vec<String> {
        of.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    type Act = fn(&mut ApiState) -> Result<(), NotDone>;

    /// Whatever was refused has changed nothing; whatever was done can be written and read.
    fn refused(api: &ApiState, act: impl FnOnce(&mut ApiState) -> Result<(), NotDone>) -> NotDone {
        let mut after = api.clone();
        let not_done = act(&mut after).unwrap_err();
        assert_eq!(after, *api, "{not_done}");
        assert!(!not_done.hint("pets", "prod").is_empty());
        not_done
    }

    #[test]
    fn stages_go_their_own_ways() {
        let (mut api, ids) = api(&["a", "b"]);
        let dev = api.deploy("dev", MANUAL, new("c")).unwrap();
        assert_eq!(api.stages["prod"].deployment, ids[1]);
        assert_eq!(api.stages["dev"].deployment, dev);
        assert_eq!(api.deployments.len(), 3);
        assert_eq!(api.deployment(&dev).unwrap().note, "c");
        assert_eq!(ApiState::read("pets", &api.to_text()).unwrap(), api);
    }

    #[test]
    fn what_is_of_no_use_is_forgotten_and_the_rest_is_kept() {
        let names: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut api, ids) = api(&names);
        api.deploy("old", MANUAL, new("old")).unwrap();
        let stays = api.clone().forget_all_but(&["prod", "old"]);
        assert_eq!(stays, Forgotten::default(), "prod can go back to all of them");
        api.deploy_canary("prod", MANUAL, new("canary"), &wish(0.0, &[])).unwrap();
        let pointer = api.stages.get_mut("prod").unwrap();
        pointer.previous.drain(1..);
        assert_eq!(api.forget_all_but(&["prod"]), Forgotten { stages: vec!["old".into()], deployments: 21 });
        let kept: Vec<&Arc<str>> = api.deployments.iter().map(|deployment| &deployment.id).collect();
        assert_eq!(kept[..3], [&ids[0], &ids[22], &ids[23]], "the way back, and the ten newest");
        assert_eq!(api.deployments.len(), 11);
        assert_eq!(ApiState::read("pets", &api.to_text()).unwrap(), api);
        assert_eq!(api.forget_all_but(&["prod"]), Forgotten::default());
    }

    #[test]
    fn going_back_goes_one_step_further_each_time() {
        let (mut api, ids) = api(&["a", "b", "c"]);
        assert_eq!(api.rollback("prod", MANUAL, None).unwrap(), ids[1]);
        assert_eq!(api.rollback("prod", MANUAL, None).unwrap(), ids[0]);
        assert_eq!(refused(&api, |api| api.rollback("prod", MANUAL, None).map(drop)), NotDone::NothingBefore);
        // And forward again, by name; then back.
        assert_eq!(api.rollback("prod", MANUAL, Some(&ids[2])).unwrap(), ids[2]);
        assert_eq!(api.rollback("prod", MANUAL, None).unwrap(), ids[0]);
    }

    #[test]
    fn going_back_by_name_leaves_out_what_lies_between() {
        let (mut api, ids) = api(&["a", "b", "c", "d"]);
        api.rollback("prod", MANUAL, Some(&ids[1])).unwrap();
        assert_eq!(api.stages["prod"].previous, [ids[0].clone()]);
        let again = NotDone::AlreadyServes { id: ids[1].to_string() };
        assert_eq!(refused(&api, |api| api.rollback("prod", MANUAL, Some(&ids[1])).map(drop)), again);
        let unknown = NotDone::UnknownDeployment { id: "x".into() };
        assert_eq!(refused(&api, |api| api.rollback("prod", MANUAL, Some("x")).map(drop)), unknown);
        assert_eq!(refused(&api, |api| api.rollback("dev", MANUAL, None).map(drop)), NotDone::NothingDeployed);
        let dev = api.deploy("dev", MANUAL, new("e")).unwrap();
        api.rollback("dev", MANUAL, Some(&ids[3])).unwrap();
        assert_eq!(api.rollback("dev", MANUAL, None).unwrap(), dev, "any deployment of the API will do");
    }

    #[test]
    fn the_way_back_has_an_end() {
        let (mut api, _) = api(&["a"]);
        for number in 0..=limits::ROLLBACKS_KEPT {
            api.deploy("prod", MANUAL, new(&number.to_string())).unwrap();
        }
        assert_eq!(api.stages["prod"].previous.len(), limits::ROLLBACKS_KEPT);
        ApiState::read("pets", &api.to_text()).unwrap();
    }

    #[test]
    fn a_stage_that_deploys_by_itself_takes_no_commands() {
        let (mut api, _) = api(&["a", "b"]);
        api.change_canary("prod", MANUAL, &wish(5.0, &[])).unwrap();
        let acts: [Act; 5] = [
            |api| api.deploy("prod", BY_ITSELF, new("c")).map(drop),
            |api| api.deploy_canary("prod", BY_ITSELF, new("c"), &CanaryWish::default()).map(drop),
            |api| api.rollback("prod", BY_ITSELF, None).map(drop),
            |api| api.change_canary("prod", BY_ITSELF, &CanaryWish::default()),
            |api| api.promote("prod", BY_ITSELF).map(drop),
        ];
        for act in acts {
            assert_eq!(refused(&api, act), NotDone::AutoDeploys);
        }
        assert!(NotDone::AutoDeploys.hint("pets", "prod").contains("auto_deploy: false"));
    }

    #[test]
    fn a_canary_of_the_document_is_not_for_commands() {
        let (mut api, _) = api(&["a"]);
        let acts: [Act; 3] = [
            |api| api.deploy_canary("prod", WRITTEN, new("c"), &CanaryWish::default()).map(drop),
            |api| api.change_canary("prod", WRITTEN, &CanaryWish::default()),
            |api| api.promote("prod", WRITTEN).map(drop),
        ];
        for act in acts {
            assert_eq!(refused(&api, act), NotDone::CanaryDeclared);
        }
        api.deploy("prod", WRITTEN, new("b")).unwrap();
        api.rollback("prod", WRITTEN, None).unwrap();
    }

    #[test]
    fn st_10_a_canary_stands_beside_the_stage() {
        let (mut api, ids) = api(&["a"]);
        let id = api.deploy_canary("prod", MANUAL, new("b"), &wish(10.0, &[("host", "b")])).unwrap();
        assert_eq!(api.stages["prod"].deployment, ids[0], "the stage stays");
        let CanaryPointer { deployment, percent, variables: own } = canary(&api);
        assert_eq!((deployment, percent.to_string(), variables(&own)), (id, "10".into(), vec!["host=b".into()]));
        // The next canary keeps what is not named.
        let id = api.deploy_canary("prod", MANUAL, new("c"), &CanaryWish::default()).unwrap();
        let CanaryPointer { deployment, percent, variables: own } = canary(&api);
        assert_eq!((deployment, percent.to_string(), variables(&own)), (id, "10".into(), vec!["host=b".into()]));
        assert_eq!(ApiState::read("pets", &api.to_text()).unwrap(), api);
    }

    #[test]
    fn st_10_what_a_canary_needs() {
        let (api, _) = api(&["a"]);
        let none = CanaryWish::default();
        let deploy = |stage: &'static str, wish: &CanaryWish| {
            refused(&api, |api| api.deploy_canary(stage, MANUAL, new("b"), wish).map(drop))
        };
        assert_eq!(deploy("", &none), NotDone::CanaryWithoutStageName);
        assert_eq!(deploy("dev", &none), NotDone::CanaryWithoutStage { stage: "dev".into() });
        assert_eq!(deploy("prod", &wish(100.1, &[])), NotDone::Percent(100.1));
        assert!(matches!(deploy("prod", &wish(f64::NAN, &[])), NotDone::Percent(_)));
        assert_eq!(deploy("prod", &wish(1.0, &[("a b", "c")])), NotDone::VariableName("a b".into()));
        assert_eq!(deploy("prod", &wish(1.0, &[("a", "b c")])), NotDone::VariableValue("a".into()));
        assert_eq!(deploy("prod", &wish(1.0, &[("a", "")])), NotDone::VariableValue("a".into()));
    }

    #[test]
    fn st_10_a_share_alone_is_a_canary_of_the_same_deployment() {
        let (mut api, ids) = api(&["a"]);
        api.change_canary("prod", MANUAL, &wish(2.5, &[])).unwrap();
        assert_eq!(
            canary(&api),
            CanaryPointer { deployment: ids[0].clone(), percent: 2.5, variables: BTreeMap::new() }
        );
        assert_eq!(refused(&api, |api| api.change_canary("dev", MANUAL, &wish(1.0, &[]))), NotDone::NothingDeployed);
    }

    #[test]
    fn variables_of_a_canary_come_and_go() {
        let (mut api, _) = api(&["a"]);
        api.change_canary("prod", MANUAL, &wish(1.0, &[("a", "1"), ("b", "2")])).unwrap();
        let change = CanaryWish { percent: None, without: vec!["a".into()], ..wish(0.0, &[("b", "3"), ("c", "4")]) };
        api.change_canary("prod", MANUAL, &change).unwrap();
        assert_eq!(variables(&canary(&api).variables), ["b=3", "c=4"]);
        assert_eq!(canary(&api).percent.to_string(), "1");
        let unknown = refused(&api, |api| api.change_canary("prod", MANUAL, &change));
        assert_eq!(unknown, NotDone::UnknownVariable("a".into()));
        let names: Vec<String> = (0..limits::STAGE_VARIABLES_MAX).map(|number| format!("v{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
        assert_eq!(
            refused(&api, |api| api.change_canary("prod", MANUAL, &wish(1.0, &many))),
            NotDone::TooManyVariables
        );
    }

    #[test]
    fn st_11_promoting_copies_the_deployment_and_merges_the_variables() {
        let (mut api, ids) = api(&["a"]);
        assert_eq!(refused(&api, |api| api.promote("prod", MANUAL).map(drop)), NotDone::NothingToPromote);
        assert_eq!(refused(&api, |api| api.promote("dev", MANUAL).map(drop)), NotDone::NothingToPromote);
        api.change_canary("prod", MANUAL, &wish(1.0, &[("a", "1"), ("b", "2")])).unwrap();
        api.promote("prod", MANUAL).unwrap();
        assert_eq!(api.stages["prod"].previous, [], "the same deployment is no step");
        let id = api.deploy_canary("prod", MANUAL, new("b"), &wish(50.0, &[("b", "3"), ("c", "4")])).unwrap();
        assert_eq!(api.promote("prod", MANUAL).unwrap(), id);
        assert_eq!(api.stages["prod"].deployment, id);
        assert_eq!(variables(&api.stages["prod"].variables), ["a=1", "b=3", "c=4"]);
        assert_eq!((canary(&api).deployment, canary(&api).percent.to_string()), (id, "0".into()), "it stays, at 0 %");
        assert_eq!(api.rollback("prod", MANUAL, None).unwrap(), ids[0]);
        assert_eq!(api.forget_variables("prod").unwrap(), ["a", "b", "c"]);
        assert_eq!(api.stages["prod"].variables.len(), 0);
    }

    #[test]
    fn st_12_while_there_is_a_canary_only_canaries_are_deployed() {
        let (mut api, ids) = api(&["a", "b"]);
        api.deploy_canary("prod", MANUAL, new("c"), &wish(1.0, &[])).unwrap();
        assert_eq!(refused(&api, |api| api.deploy("prod", MANUAL, new("d")).map(drop)), NotDone::CanaryExists);
        assert_eq!(api.rollback("prod", MANUAL, None).unwrap(), ids[0], "a way back stays open");
        api.deploy("dev", MANUAL, new("d")).unwrap();
        api.drop_canary("prod").unwrap();
        assert_eq!(refused(&api, |api| api.drop_canary("prod")), NotDone::NoCanary);
        api.deploy("prod", MANUAL, new("d")).unwrap();
    }

    #[test]
    fn notes_are_one_line() {
        let (api, _) = api(&["a"]);
        let long = "x".repeat(limits::DEPLOYMENT_NOTE_CHARS_MAX + 1);
        for note in ["a\nb", "\x1b[2J", &long] {
            let new = NewDeployment { note: note.to_owned(), ..new("a") };
            assert_eq!(refused(&api, |api| api.deploy("prod", MANUAL, new).map(drop)), NotDone::Note);
        }
        let stage = refused(&api, |api| api.deploy("a/b", MANUAL, new("a")).map(drop));
        assert_eq!(stage, NotDone::StageName("a/b".into()));
    }

    #[test]
    fn st_03_rest_methods_need_an_integration() {
        // Assumed: AWS's sentence is known, its conditions are not.
        let mut definition = Definition::new(Kind::Rest);
        deployable(&definition).unwrap();
        let method = crate::definition::Method::new(None, "/a".into(), crate::Place::default());
        definition.methods.push(method);
        let not_done = deployable(&definition).unwrap_err();
        assert_eq!(not_done, NotDone::NoIntegration { methods: vec!["ANY /a".into()] });
        assert_eq!(not_done.hint("pets", "prod"), "give an integration to ANY /a");
        definition.kind = Kind::Http;
        deployable(&definition).unwrap();
    }
}
