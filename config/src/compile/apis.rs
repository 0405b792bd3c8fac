//! Routes and stages: one tree of routes for each API, and the methods as they are in each stage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use policy::rules::Rules;
use policy::transform::template::TemplateNames;
use router::{Builder, Kind, RouteFault, StageRef, Template, TemplateFault, TemplateProblem, TreeId, Verb};

use crate::compile::mock;
use crate::compile::upstreams::Upstreams;
use crate::compile::uri::{self, Context};
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::model::api::ApiSpec;
use crate::model::field::nearest;
use crate::model::integration::{HttpSpec, IntegrationSpec};
use crate::model::route::RouteSpec;
use crate::model::stage::StageSpec;
use crate::model::values::At;
use crate::snapshot::{Api, HttpRule, Integration, Method, Stage};
use crate::source::node::Text;

/// APIs and stages as the table numbers them.
#[derive(Default)]
pub struct Compiled {
    /// By `ApiId`.
    pub apis: Vec<Api>,
    /// By stage number.
    pub stages: Vec<Stage>,
    refs: HashMap<(Arc<str>, Arc<str>), (StageRef, u32)>,
    /// Position in the document, by tree.
    trees: Vec<(TreeId, usize)>,
}

impl Compiled {
    /// The stage of that name of the API of that id, and its number.
    pub fn stage(&self, api: &str, stage: &str) -> Option<(StageRef, u32)> {
        self.refs.get(&(api.into(), stage.into())).copied()
    }
}

/// Compiles the part `apis`.
pub fn compile(
    specs: &[ApiSpec],
    builder: &mut Builder,
    upstreams: &mut Upstreams,
    faults: &mut Diagnostics,
) -> Compiled {
    let mut compiled = Compiled::default();
    for (position, spec) in specs.iter().enumerate() {
        let ApiSpec { id, kind, openapi: _, disable_execute_api_endpoint: _, routes, stages } = spec;
        let Some(kind) = *kind else { continue };
        let api = builder.api(&id.text, kind);
        let tree = builder.tree(kind);
        compiled.trees.push((tree, position));
        let id: Arc<str> = (*id.text).into();
        compiled.apis.push(Api { id: id.clone(), kind });
        let keys = add_routes(kind, routes, tree, builder, faults);
        let mut methods = Methods { kind, routes, keys: &keys, shared: None, upstreams, faults };
        for StageSpec { name, variables, auto_deploy: _, canary: _, methods: _ } in stages {
            let variables: BTreeMap<String, String> =
                variables.iter().map(|(name, value)| (name.text.to_string(), value.text.to_string())).collect();
            let number = compiled.stages.len() as u32;
            let stage = builder.stage(api, &name.text, tree, number);
            let name: Arc<str> = (*name.text).into();
            compiled.refs.insert((id.clone(), name.clone()), (stage, number));
            let methods = methods.in_stage(&name, &variables);
            compiled.stages.push(Stage { api: api.0, name, variables: Arc::new(variables), methods });
        }
    }
    compiled
}

/// A warning for each route that no request can reach.
pub fn warn_of_shadows(specs: &[ApiSpec], compiled: &Compiled, builder: &Builder, faults: &mut Diagnostics) {
    for shadow in builder.shadowed() {
        let position = compiled.trees.iter().find(|(tree, _)| *tree == shadow.tree).map(|(_, position)| *position);
        let routes = position.map(|position| &specs[position].routes);
        let pair =
            routes.and_then(|routes| Some((routes.get(shadow.method as usize)?, routes.get(shadow.by as usize)?)));
        if let Some((route, by)) = pair {
            faults.warning(
                route.key.place,
                format!("no request reaches `{}`", route.key.text),
                format!("`{}` in line {} and others answer before it", by.key.text, by.key.place.line),
            );
        }
    }
}

/// A route's key taken apart.
struct RouteKey {
    /// `None`: ANY.
    verb: Option<Verb>,
    /// `None`: `$default`.
    template: Option<Template>,
}

impl RouteKey {
    fn variables(&self) -> &[Box<str>] {
        self.template.as_ref().map(Template::variables).unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.template.as_ref().map_or("$default", Template::as_str)
    }
}

/// Adds the routes to the tree. A method's number is the route's position.
fn add_routes(
    kind: Kind,
    routes: &[RouteSpec],
    tree: TreeId,
    builder: &mut Builder,
    faults: &mut Diagnostics,
) -> Vec<Option<RouteKey>> {
    let mut keys = Vec::with_capacity(routes.len());
    for (route, number) in routes.iter().zip(0..) {
        let key = route_key(&route.key, kind, faults);
        let added = match &key {
            None => Ok(()),
            Some(RouteKey { template: None, .. }) => builder.default_route(tree, number),
            Some(RouteKey { template: Some(template), verb }) => builder.route(tree, *verb, template, number),
        };
        if let Err(fault) = added {
            let hint = match &fault {
                RouteFault::Duplicate { of } => {
                    let first = &routes[*of as usize].key;
                    format!(
                        "the first is `{}` in line {}; names of variables make no difference",
                        first.text, first.place.line
                    )
                }
                RouteFault::SecondVariable { sibling } => {
                    format!("write {sibling} here as well: REST APIs allow one name at each place (RT-04)")
                }
                RouteFault::NoDefault => "write \"ANY /{proxy+}\" to catch everything".to_owned(),
            };
            faults.error_hint(route.key.place, format!("route `{}`: {fault}", route.key.text), hint);
        }
        keys.push(key);
    }
    keys
}

fn route_key(key: &Text, kind: Kind, faults: &mut Diagnostics) -> Option<RouteKey> {
    if &*key.text == "$default" {
        return Some(RouteKey { verb: None, template: None });
    }
    let (verb, path) = match key.text.split_once(' ') {
        Some((verb, path)) => (verb, path),
        None if key.text.starts_with('/') => {
            faults.error_hint(
                key.place,
                format!("route `{0}` has no verb", key.text),
                format!("write \"GET {0}\", or \"ANY {0}\"", key.text),
            );
            return None;
        }
        None => {
            let default = if kind == Kind::Http { ", or $default" } else { "" };
            faults.error_hint(
                key.place,
                format!("`{}` is not a route", key.text),
                format!("write a verb and a path, such as \"GET /pets/{{id}}\"{default}"),
            );
            return None;
        }
    };
    let parsed = verb_of(verb, key, faults);
    let template = template_of(path, key, verb.len() + 1, faults);
    Some(RouteKey { verb: parsed.ok()?, template: Some(template?) })
}

/// `None`: ANY. A fault is added beside every `Err`.
fn verb_of(verb: &str, key: &Text, faults: &mut Diagnostics) -> Result<Option<Verb>, ()> {
    if verb == "ANY" {
        return Ok(None);
    }
    if let Some(verb) = Verb::parse(verb.as_bytes()) {
        return Ok(Some(verb));
    }
    bad_verb(verb, key, faults);
    Err(())
}

fn bad_verb(verb: &str, text: &Text, faults: &mut Diagnostics) {
    let known = Verb::ALL.into_iter().map(Verb::as_str).chain(["ANY"]);
    let near = nearest(verb, known).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    let hint = "the verbs are DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, and ANY for all of them";
    faults.error_hint(text.place_at(0), format!("`{verb}` is not a verb{near}"), hint);
}

fn template_of(path: &str, key: &Text, offset: usize, faults: &mut Diagnostics) -> Option<Template> {
    match Template::parse(path) {
        Ok(template) => {
            warn_of_foreign_variables(path, key, offset, faults);
            Some(template)
        }
        Err(TemplateFault { offset: inside, what }) => {
            let hint = match what {
                TemplateProblem::NoLeadingSlash if path.starts_with(' ') => "write one space between verb and path",
                TemplateProblem::UnderGreedy => "`{proxy+}` takes the whole rest of the path: it comes last",
                TemplateProblem::Character => "a query is no part of a route; other characters are percent-encoded",
                _ => "a path is written like /pets/{id} or /files/{proxy+}",
            };
            let fault = TemplateFault { offset: inside, what };
            faults.error_hint(key.place_at(offset + inside), format!("route `{}`: {fault}", key.text), hint);
            None
        }
    }
}

/// `:id` and `*` are variables elsewhere; here they are letters like any other.
fn warn_of_foreign_variables(path: &str, key: &Text, offset: usize, faults: &mut Diagnostics) {
    let mut at = offset;
    for segment in path.split('/') {
        let meant = match segment.strip_prefix(':') {
            Some(name) if !name.is_empty() => format!("{{{name}}}"),
            None if matches!(segment, "*" | "**") => "{proxy+}".to_owned(),
            _ => String::new(),
        };
        if !meant.is_empty() {
            faults.warning(
                key.place_at(at),
                format!("`{segment}` in a path is taken literally"),
                format!("a variable is written {meant}"),
            );
        }
        at += segment.len() + 1;
    }
}

/// The methods of one API.
struct Methods<'a> {
    kind: Kind,
    routes: &'a [RouteSpec],
    keys: &'a [Option<RouteKey>],
    /// Set once compiled, if no route names a stage variable.
    shared: Option<Arc<[Method]>>,
    upstreams: &'a mut Upstreams,
    faults: &'a mut Diagnostics,
}

impl Methods<'_> {
    /// The methods as they are in a stage.
    fn in_stage(&mut self, stage: &str, variables: &BTreeMap<String, String>) -> Arc<[Method]> {
        if let Some(methods) = &self.shared {
            return methods.clone();
        }
        let routes = self.routes.iter().zip(self.keys);
        let methods: Vec<Method> = routes
            .filter_map(|(route, key)| {
                let key = key.as_ref()?;
                let context = Context { stage, stage_variables: variables, path_variables: key.variables() };
                method(self.kind, route, key, &context, self.upstreams, self.faults)
            })
            .collect();
        let methods: Arc<[Method]> = methods.into();
        if !self.routes.iter().any(names_stage_variable) {
            self.shared = Some(methods.clone());
        }
        methods
    }
}

fn names_stage_variable(route: &RouteSpec) -> bool {
    let names = |text: &Text| uri::names_stage_variable(&text.text);
    match &route.integration {
        None => false,
        Some(IntegrationSpec::Http(http)) => names(&http.uri),
        Some(IntegrationSpec::Mock(mock)) => {
            mock.body.as_ref().is_some_and(names) || mock.headers.iter().any(|(_, value)| names(value))
        }
    }
}

fn method(
    kind: Kind,
    route: &RouteSpec,
    key: &RouteKey,
    context: &Context<'_>,
    upstreams: &mut Upstreams,
    faults: &mut Diagnostics,
) -> Option<Method> {
    let RouteSpec { key: written, integration, timeout, request_parameters: _, response_parameters: _ } = route;
    let integration = match integration.as_ref()? {
        IntegrationSpec::Mock(spec) => {
            if let Some(timeout) = timeout {
                faults.error_hint(
                    timeout.place,
                    "`timeout` means nothing in a route with a mock integration",
                    "remove it",
                );
            }
            let names =
                TemplateNames { path_variables: context.path_variables, stage_variables: context.stage_variables };
            Integration::Mock(mock::compile(spec, names, faults)?)
        }
        IntegrationSpec::Http(spec) => {
            let timeout = timeout_of(kind, *timeout, spec.timeout, faults);
            Integration::Http(http(spec, key, timeout, context, upstreams, faults)?)
        }
    };
    Some(Method { key: written.text.clone(), resource_path: key.path().into(), rules: Rules::default(), integration })
}

/// IN-12: 29 s in REST APIs, 30 s in HTTP APIs, unless one is written.
fn timeout_of(
    kind: Kind,
    route: Option<At<Duration>>,
    integration: Option<At<Duration>>,
    faults: &mut Diagnostics,
) -> Duration {
    if let (Some(_), Some(second)) = (route, integration) {
        faults.error_hint(second.place, "`timeout` stands in the route already", "keep one of them");
    }
    let default = if kind == Kind::Http { limits::TIMEOUT_HTTP } else { limits::TIMEOUT_REST };
    integration.or(route).map_or(default, |at| at.value)
}

fn http(
    spec: &HttpSpec,
    key: &RouteKey,
    timeout: Duration,
    context: &Context<'_>,
    upstreams: &mut Upstreams,
    faults: &mut Diagnostics,
) -> Option<HttpRule> {
    let HttpSpec { proxy, uri: written, method, timeout: _, place: _ } = spec;
    let verb = method.as_ref().map_or(Ok(None), |text| verb_of(&text.text, text, faults));
    let target = uri::compile(written, context, upstreams, faults)?;
    // RT-13: behind an HTTP API's `$default`, the client's whole path follows the URI.
    let uri = if key.template.is_none() && *proxy { target.uri.with_client_path() } else { target.uri };
    Some(HttpRule {
        proxy: *proxy,
        upstream: target.upstream,
        host: target.host,
        verb: verb.ok()?,
        uri,
        written: written.text.clone(),
        timeout,
    })
}
