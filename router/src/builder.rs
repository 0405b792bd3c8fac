//! Collects APIs, stages, routes and hosts, and freezes them into a table.

use crate::{
    host::{HostPattern, Hosts},
    kind::Kind,
    mapping::{ApiId, MapFault, Site, StageRef, Stages, base_path},
    pack::pack,
    routing_rules::{RoutingMode, RoutingRule, Rule, RuleFault},
    table::{Api, Table},
    template::Template,
    trie::{NONE, RouteFault, Trie},
    verb::Verb,
};
use std::collections::{HashMap, HashSet, hash_map};

/// One set of routes: one deployment of one API. Stages may share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeId(u32);

/// A method that no request can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The set of routes that both belong to.
    pub tree: TreeId,
    /// The method that is never found.
    pub method: u32,
    /// One that always answers before it.
    pub by: u32,
}

/// Collects what a [`Table`] shall know. Faults are returned one by one, so that a caller can report all of them.
#[derive(Debug, Default)]
pub struct Builder {
    tries: Vec<Trie>,
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

    /// A new set of routes. `kind` is that of the API whose stages will use it.
    pub fn tree(&mut self, kind: Kind) -> TreeId {
        self.tries.push(Trie::new(kind));
        TreeId(self.tries.len() as u32 - 1)
    }

    /// Adds a route; `verb` is `None` for `ANY`. `method` is what [`Table::find`] returns, and at most `limits::METHOD_MAX`.
    /// A refused route changes nothing.
    pub fn route(
        &mut self,
        tree: TreeId,
        verb: Option<Verb>,
        template: &Template,
        method: u32,
    ) -> Result<(), RouteFault> {
        self.tries[tree.0 as usize].route(verb, template, method)
    }

    /// Sets the `$default` route of an HTTP API (RT-13).
    pub fn default_route(&mut self, tree: TreeId, method: u32) -> Result<(), RouteFault> {
        self.tries[tree.0 as usize].default_route(method)
    }

    /// A new API; they are numbered in this order. Ids that differ in case only share an execute-api name, and the first has it.
    pub fn api(&mut self, id: &str, kind: Kind) -> ApiId {
        self.apis.push(ApiPlan { id: id.to_owned(), kind, stages: Vec::new(), execute_api: true });
        ApiId(self.apis.len() as u32 - 1)
    }

    /// A stage of `api` that serves `tree`. `stage` is what [`Table::find`] returns. Of two stages with one name the first answers.
    /// `$default` never stands in a path, so it means something for HTTP APIs and in mappings only.
    pub fn stage(&mut self, api: ApiId, name: &str, tree: TreeId, stage: u32) -> StageRef {
        let plan = &mut self.apis[api.0 as usize];
        debug_assert_eq!(plan.kind, self.tries[tree.0 as usize].kind, "a stage and its routes are of one kind");
        let stage = StageRef { api, stage, tree: tree.0 };
        plan.stages.push((name.to_owned(), stage));
        stage
    }

    /// A stage of `api` whose routes are kept elsewhere, for [`Table::locate`]; `stage` is what it returns. Of two stages with one name the
    /// first answers. `$default` never stands in a path, so it means something for HTTP APIs and in mappings only.
    pub fn stage_without_routes(&mut self, api: ApiId, name: &str, stage: u32) -> StageRef {
        let stage = StageRef { api, stage, tree: NONE };
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

    /// Methods that no request can reach.
    pub fn shadowed(&self) -> Vec<Shadow> {
        let mut shadows = Vec::new();
        for (trie, tree) in self.tries.iter().zip(0..) {
            let tree = TreeId(tree);
            shadows.extend(trie.shadowed().into_iter().map(|(method, by)| Shadow { tree, method, by }));
        }
        shadows
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
            trees: self.tries.iter().map(pack).collect(),
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
        Site::new(self.rules, self.mappings, kind)
    }
}
