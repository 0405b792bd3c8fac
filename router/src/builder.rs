//! Collects APIs, stages and hosts, and freezes them into a table.

use crate::{
    host::{HostPattern, Hosts},
    kind::Kind,
    mapping::{ApiId, MapFault, Mappings, StageRef, Stages, base_path},
    routing_rules::{RoutingMode, RoutingRule, Rule, RuleFault},
    site::Site,
    table::{Api, Table},
};
use std::collections::{HashMap, HashSet, hash_map};

/// Collects what a [`Table`] shall know. Faults are returned one by one, so that a caller can report all of them.
#[derive(Debug, Default)]
pub struct Builder {
    apis: Vec<ApiPlan>,
    hosts: Vec<HostPattern>,
    /// In the order of `hosts`.
    sites: Vec<SitePlan>,
    /// Positions in `hosts`.
    known: HashMap<HostPattern, usize>,
    sole: Option<ApiId>,
}

#[derive(Debug)]
struct ApiPlan {
    id: String,
    kind: Kind,
    stages: Vec<(String, StageRef)>,
    execute_api: bool,
}

/// What one host leads to.
#[derive(Debug, Default)]
struct SitePlan {
    mappings: Vec<(Box<[u8]>, StageRef)>,
    /// The base paths of `mappings`.
    keys: HashSet<Box<[u8]>>,
    /// Sorted by priority.
    rules: Vec<Rule>,
    mode: RoutingMode,
    /// Whether the APIs here are WebSocket APIs; unknown before the first.
    websocket: Option<bool>,
}

impl Builder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new API; they are numbered in this order. Ids that differ in case only share an execute-api name, and the first has it.
    pub fn api(&mut self, id: &str, kind: Kind) -> ApiId {
        self.apis.push(ApiPlan { id: id.to_owned(), kind, stages: Vec::new(), execute_api: true });
        ApiId(self.apis.len() as u32 - 1)
    }

    /// A stage of `api`. `stage` is what [`Table::locate`] returns. Of two stages with one name the first answers.
    /// `$default` never stands in a path, so it means something for HTTP APIs, in mappings and in rules only.
    pub fn stage(&mut self, api: ApiId, name: &str, stage: u32) -> StageRef {
        let stage = StageRef { api, stage };
        self.apis[api.0 as usize].stages.push((name.to_owned(), stage));
        stage
    }

    /// Lets a host's base path lead to a stage (DM-02, DM-03). Base paths: empty, `/`, `(none)`, `orders` or `/orders/v1`.
    pub fn map(&mut self, host: &HostPattern, base: &str, stage: StageRef) -> Result<(), MapFault> {
        let key: Box<[u8]> = base_path(base)?.as_bytes().into();
        let websocket = self.is_websocket(stage);
        let site = self.site(host);
        if site.keys.contains(&key) {
            return Err(MapFault::Duplicate);
        }
        if *site.websocket.get_or_insert(websocket) != websocket {
            return Err(MapFault::Mixed);
        }
        site.keys.insert(key.clone());
        site.mappings.push((key, stage));
        Ok(())
    }

    /// Adds a routing rule to a host (DM-05). It is asked only if the host's mode says so. A refused rule changes nothing.
    pub fn rule(&mut self, host: &HostPattern, rule: RoutingRule) -> Result<(), RuleFault> {
        let websocket = self.is_websocket(rule.stage);
        let known = self.known.get(host).map_or(&[][..], |&at| &self.sites[at].rules);
        let (place, rule) = Rule::new(rule, known)?;
        let site = self.site(host);
        if *site.websocket.get_or_insert(websocket) != websocket {
            return Err(RuleFault::Mixed);
        }
        site.rules.insert(place, rule);
        Ok(())
    }

    /// Says which of a host's rules and mappings are asked; mappings alone unless it is said.
    pub fn mode(&mut self, host: &HostPattern, mode: RoutingMode) {
        self.site(host).mode = mode;
    }

    fn is_websocket(&self, stage: StageRef) -> bool {
        self.apis[stage.api.0 as usize].kind == Kind::WebSocket
    }

    /// What is known of a host, made if it is new.
    fn site(&mut self, host: &HostPattern) -> &mut SitePlan {
        let at = match self.known.entry(host.clone()) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(new) => {
                self.hosts.push(host.clone());
                self.sites.push(SitePlan::default());
                *new.insert(self.hosts.len() - 1)
            }
        };
        &mut self.sites[at]
    }

    /// Takes the execute-api name from an API (`disableExecuteApiEndpoint`, or a mutual-TLS domain before it).
    pub fn close_execute_api(&mut self, api: ApiId) {
        self.apis[api.0 as usize].execute_api = false;
    }

    /// This API answers at every host that nothing else answers, as under its execute-api name.
    pub fn sole_api(&mut self, api: ApiId) {
        self.sole = Some(api);
    }

    /// Freezes everything.
    pub fn build(self) -> Table {
        let named = self.apis.iter().zip(0..).filter(|(api, _)| !api.id.is_empty());
        let named: Vec<(String, u32)> = named.map(|(api, number)| (api.id.clone(), number)).collect();
        let hosts = Hosts::new(&self.hosts, &named);
        let apis = &self.apis;
        let api = |plan: &ApiPlan| Api {
            id: plan.id.as_str().into(),
            open: plan.execute_api,
            stages: Stages::new(plan.kind, &plan.stages),
        };
        Table {
            hosts,
            sites: self.sites.into_iter().map(|plan| plan.freeze(apis)).collect(),
            apis: apis.iter().map(api).collect(),
            sole: self.sole,
        }
    }
}

impl SitePlan {
    /// Leaves out what the mode does not ask.
    fn freeze(mut self, apis: &[ApiPlan]) -> Site {
        match self.mode {
            RoutingMode::MappingsOnly => self.rules.clear(),
            RoutingMode::RulesOnly => self.mappings.clear(),
            RoutingMode::RulesThenMappings => {}
        }
        let targets = self.mappings.iter().map(|(_, stage)| stage).chain(self.rules.iter().map(|rule| &rule.stage));
        let mut kinds = targets.map(|stage| apis[stage.api.0 as usize].kind);
        let first = kinds.next();
        let kind = first.filter(|first| kinds.all(|kind| kind == *first));
        Site { rules: self.rules.into(), mappings: Mappings::new(self.mappings), kind }
    }
}
