//! Collects APIs, stages, routes and hosts, and freezes them into a table.

use crate::{
    host::{HostPattern, Hosts},
    kind::Kind,
    mapping::{ApiId, MapFault, Site, StageRef, Stages, base_path},
    pack::pack,
    table::{Api, Table},
    template::Template,
    trie::{RouteFault, Trie},
    verb::Verb,
};

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
    /// By host, in the order of `hosts`.
    mappings: Vec<Vec<(Box<[u8]>, StageRef)>>,
    sole: Option<ApiId>,
}

#[derive(Debug)]
struct ApiPlan {
    id: String,
    kind: Kind,
    stages: Vec<(String, StageRef)>,
    execute_api: bool,
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

    /// Lets a host's base path lead to a stage (DM-02, DM-03). Base paths: empty, `/`, `(none)`, `orders` or `/orders/v1`.
    pub fn map(&mut self, host: &HostPattern, base: &str, stage: StageRef) -> Result<(), MapFault> {
        let key = base_path(base)?.as_bytes();
        let known = self.hosts.iter().position(|known| known == host);
        if let Some(at) = known {
            if self.mappings[at].iter().any(|(known, _)| **known == *key) {
                return Err(MapFault::Duplicate);
            }
            let websocket = |stage: &StageRef| self.apis[stage.api.0 as usize].kind == Kind::WebSocket;
            if self.mappings[at].iter().any(|(_, known)| websocket(known) != websocket(&stage)) {
                return Err(MapFault::Mixed);
            }
        }
        let at = known.unwrap_or_else(|| {
            self.hosts.push(host.clone());
            self.mappings.push(Vec::new());
            self.hosts.len() - 1
        });
        self.mappings[at].push((key.into(), stage));
        Ok(())
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
        let open = self.apis.iter().zip(0..).filter(|(api, _)| api.execute_api);
        let open: Vec<(String, u32)> =
            open.filter(|(api, _)| !api.id.is_empty()).map(|(api, i)| (api.id.clone(), i)).collect();
        let hosts = Hosts::new(&self.hosts, &open);
        let apis = &self.apis;
        let site = |mappings: Vec<(Box<[u8]>, StageRef)>| {
            let mut kinds = mappings.iter().map(|(_, stage)| apis[stage.api.0 as usize].kind);
            let first = kinds.next();
            let kind = first.filter(|first| kinds.all(|kind| kind == *first));
            Site::new(mappings, kind)
        };
        Table {
            hosts,
            sites: self.mappings.into_iter().map(site).collect(),
            apis: apis.iter().map(|api| Api { stages: Stages::new(api.kind, &api.stages) }).collect(),
            trees: self.tries.iter().map(pack).collect(),
            sole: self.sole,
        }
    }
}
