//! What can be said of a document without compiling it: names that lead nowhere, names that clash, parts that nobody reaches.

mod callers;
pub(crate) mod domains;
mod plans;
mod routes;
mod stages;
mod throttles;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use router::Kind;

use crate::definition::Definition;
use crate::deployments::state_folder;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::Document;
use crate::model::api::ApiSpec;
use crate::model::domain::DomainSpec;
use crate::model::gateway::{AddressSpec, GatewaySpec, ListenSpec};
use crate::model::openapi::OpenApiSpec;
use crate::model::stage::StageSpec;
use crate::model::upstream::UpstreamSpec;
use crate::snapshot::{Others, ProxyProtocol};
use crate::source::node::Text;

/// Checks a whole document.
pub fn check(document: &Document, faults: &mut Diagnostics) {
    let Document { gateway, upstreams, apis, domains, plans, keys } = document;
    let domains = domains.as_deref().unwrap_or_default();
    let has_state = state_folder(gateway.state.as_ref().map(|folder| Path::new(&*folder.text))).is_some();
    check_listeners(gateway, faults);
    throttles::check_gateway(gateway, faults);
    check_upstreams(upstreams, faults);
    check_api_ids(apis, faults);
    for api in apis {
        check_api(api, has_state, faults);
    }
    domains::check(domains, apis, faults);
    plans::check(plans, apis, has_state, faults);
    plans::check_keys(keys, plans, faults);
    // What looks forgotten may only be unreadable: nothing is called useless beside an error.
    if !faults.has_errors() {
        warn_of_empty_apis(apis, faults);
        warn_of_unreachable_apis(gateway, apis, domains, faults);
        domains::warn_of_useless_rules(domains, faults);
        warn_of_idle_certificates(gateway, domains, faults);
    }
}

/// Checks what only whoever has read the OpenAPI documents can know. `definitions` stand beside the document's APIs.
pub fn check_imported(document: &Document, definitions: &[Option<Definition>], faults: &mut Diagnostics) {
    if !faults.has_errors() {
        warn_of_unused_upstreams(document, definitions, faults);
        warn_of_empty_documents(document, definitions, faults);
    }
    for (api, definition) in document.apis.iter().zip(definitions) {
        if let Some(definition) = definition {
            stages::check_imported(api, definition, faults);
            plans::check_methods(api, definition, &document.plans, faults);
            callers::check(api, definition, document, faults);
        }
    }
}

fn warn_of_empty_documents(document: &Document, definitions: &[Option<Definition>], faults: &mut Diagnostics) {
    for (ApiSpec { id, openapi, .. }, definition) in document.apis.iter().zip(definitions) {
        if let (Some(openapi), Some(definition)) = (openapi, definition)
            && definition.methods.is_empty()
        {
            let what = format!("API `{}` has no operation: every request to it is refused", id.text);
            let hint = "its OpenAPI document has none under `paths`: write some there, or `routes` beside it";
            faults.warning(openapi.place, what, hint);
        }
    }
}

fn check_listeners(gateway: &GatewaySpec, faults: &mut Diagnostics) {
    let mut seen: Vec<(&AddressSpec, Place)> = Vec::new();
    for listener in &gateway.listen {
        if let Some((_, first)) = seen.iter().find(|(address, _)| **address == listener.address) {
            let hint = format!("the first is in line {}", first.line);
            faults.error_hint(listener.place, "a listener with this address exists already", hint);
        }
        if !matches!(&listener.address, AddressSpec::Tcp(address) if address.port() == 0) {
            seen.push((&listener.address, listener.place));
        }
        check_balancers(listener, faults);
    }
    if let Some(admin) = &gateway.admin
        && seen.iter().any(|(address, _)| **address == AddressSpec::Tcp(admin.value))
    {
        let hint = "clients must not reach it: give `admin` a port of its own";
        faults.error_hint(admin.place, "`admin` has the address of a listener", hint);
    }
}

/// Balancers that cannot be at the other end of such a socket.
fn check_balancers(listener: &ListenSpec, faults: &mut Diagnostics) {
    let Some(ProxyProtocol { from, others: Others::Refused }) = &listener.proxy_protocol else { return };
    let (nobody, hint) = match &listener.address {
        AddressSpec::Unix(_) => {
            (from.has_addresses() && !from.has_unix(), "peers of a Unix socket have none: write `from: unix`")
        }
        AddressSpec::Tcp(_) => {
            (from.has_unix() && !from.has_addresses(), "`unix` means the peers of Unix sockets: write addresses")
        }
    };
    if nobody {
        faults.error_hint(listener.place, "nobody who connects here has an address that `proxy_protocol` names", hint);
    }
}

/// Certificates of domains mean something only where TLS is spoken.
fn warn_of_idle_certificates(gateway: &GatewaySpec, domains: &[DomainSpec], faults: &mut Diagnostics) {
    if gateway.listen.iter().any(|listener| listener.tls.is_some()) {
        return;
    }
    for tls in domains.iter().filter_map(|domain| domain.tls.as_ref()) {
        let hint = "write `tls` at a listener, too: its certificate is for all the other names";
        faults.warning(tls.place, "no listener speaks TLS: this certificate is never shown", hint);
    }
}

fn check_upstreams(upstreams: &[UpstreamSpec], faults: &mut Diagnostics) {
    let mut seen: BTreeMap<String, &Text> = BTreeMap::new();
    for UpstreamSpec { name, .. } in upstreams {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_number = name.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if name.text.is_empty()
            || name.text.len() > limits::UPSTREAM_NAME_CHARS_MAX
            || !name.text.bytes().all(allowed)
            || is_number
        {
            let hint = "letters, digits, `.`, `_` and `-`; it stands where a URI has its host, so it must not look like an address";
            faults.error_hint(name.place, format!("`{}` cannot be the name of an upstream", name.text), hint);
        }
        if name.text.eq_ignore_ascii_case("localhost") {
            faults.error_hint(name.place, "`localhost` already means this machine", "give the upstream another name");
        }
        clash(&mut seen, name, "upstream", faults);
    }
}

/// Hosts know no upper case: names that differ in case only mean the same.
fn clash<'a>(seen: &mut BTreeMap<String, &'a Text>, name: &'a Text, what: &str, faults: &mut Diagnostics) {
    let first = seen.entry(name.text.to_ascii_lowercase()).or_insert(name);
    if first.place != name.place {
        let hint =
            format!("`{}` in line {} is the same: case does not matter in host names", first.text, first.place.line);
        faults.error_hint(name.place, format!("{what} `{}` exists already", name.text), hint);
    }
}

/// An upstream whose name stands in no URI and in no stage variable.
fn warn_of_unused_upstreams(document: &Document, definitions: &[Option<Definition>], faults: &mut Diagnostics) {
    let methods = definitions.iter().flatten().flat_map(|definition| &definition.methods);
    let uris = methods.filter_map(|method| method.integration.as_ref()?.uri.as_deref());
    let schemes = definitions.iter().flatten().flat_map(|definition| &definition.authorizers);
    let asked = schemes.filter_map(|(_, scheme)| scheme.authorizer.as_ref()?.get("authorizerUri")?.as_str());
    let functions = document.gateway.cloud.lambda.as_ref().map(|text| &*text.text);
    let uris: Vec<&str> = uris.chain(asked).chain(functions).collect();
    let stages = document.apis.iter().flat_map(|api| &api.stages);
    // `http://${stageVariables.colour}-pets/` builds a name from pieces, and what is deployed may call others than the document.
    let is_open = stages.clone().any(|stage| stage.auto_deploy.is_some_and(|at| !at.value))
        || uris.iter().any(|uri| uri.contains('$') && uri.contains("${stageVariables."));
    if is_open {
        return;
    }
    let mut unused: HashSet<String> = document.upstreams.iter().map(|one| one.name.text.to_ascii_lowercase()).collect();
    let texts = uris.into_iter().chain(stages.flat_map(variables).map(|(_, value)| &*value.text));
    for piece in texts.flat_map(|text| text.split(['/', ':', '?', '#'])) {
        if unused.is_empty() {
            return;
        }
        unused.remove(&piece.to_ascii_lowercase());
    }
    for UpstreamSpec { name, .. } in &document.upstreams {
        if unused.contains(&name.text.to_ascii_lowercase()) {
            let hint = format!("a route calls it with uri: \"http://{}/…\"", name.text);
            faults.warning(name.place, format!("upstream `{}` is not used", name.text), hint);
        }
    }
}

/// The variables of a stage and of its canary.
fn variables(stage: &StageSpec) -> impl Iterator<Item = &(Text, Text)> {
    stage.variables.iter().chain(stage.canary.iter().flat_map(|canary| &canary.variables))
}

fn check_api_ids(apis: &[ApiSpec], faults: &mut Diagnostics) {
    let mut seen: BTreeMap<String, &Text> = BTreeMap::new();
    for ApiSpec { id, .. } in apis {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if id.text.is_empty() || id.text.len() > limits::API_ID_CHARS_MAX || !id.text.bytes().all(allowed) {
            let hint = format!(
                "it is the first label of {{api}}.execute-api.*: at most {} letters, digits, `-` and `_`",
                limits::API_ID_CHARS_MAX
            );
            faults.error_hint(id.place, format!("`{}` cannot be the id of an API", id.text), hint);
        }
        clash(&mut seen, id, "API", faults);
    }
}

fn check_api(api: &ApiSpec, has_state: bool, faults: &mut Diagnostics) {
    let ApiSpec {
        id,
        kind,
        openapi,
        disable_execute_api_endpoint: _,
        authorizers: _,
        api_key_source: _,
        cors: _,
        gateway_responses: _,
        strict_errors: _,
        policy: _,
        firewall: _,
        routes,
        stages,
        rate_limit_fields: _,
    } = api;
    let Some(kind) = *kind else { return };
    if stages.is_empty() {
        let hint = if kind == Kind::Http { "write `stages: {$default: {}}`" } else { "write `stages: {prod: {}}`" };
        faults.error_hint(id.place, format!("API `{}` has no stages, so nothing of it is served", id.text), hint);
    }
    if let Some(OpenApiSpec { files, mode: Some(mode), .. }) = openapi
        && files.len() == 1
    {
        faults.warning(
            mode.place,
            "`mode` means nothing with one document",
            "it says what a second one does; remove it",
        );
    }
    for route in routes {
        routes::check(route, kind, faults);
    }
    for stage in stages {
        stages::check(stage, api, kind, has_state, faults);
    }
}

fn warn_of_empty_apis(apis: &[ApiSpec], faults: &mut Diagnostics) {
    for ApiSpec { id, routes, openapi, .. } in apis {
        if routes.is_empty() && openapi.is_none() {
            let hint = "write `routes: {\"GET /\": {integration: {type: mock}}}`";
            faults.warning(id.place, format!("API `{}` has no routes", id.text), hint);
        }
    }
}

fn warn_of_unreachable_apis(gateway: &GatewaySpec, apis: &[ApiSpec], domains: &[DomainSpec], faults: &mut Diagnostics) {
    let served: Vec<&ApiSpec> = apis.iter().filter(|api| api.kind.is_some() && !api.stages.is_empty()).collect();
    let open = gateway.listen.iter().any(|listener| {
        let local = match &listener.address {
            AddressSpec::Tcp(address) => address.ip().is_loopback(),
            AddressSpec::Unix(_) => true,
        };
        listener.execute_api.unwrap_or(local)
    });
    let Some(first) = served.first() else {
        if apis.is_empty() {
            let place = gateway.listen.first().map(|listener| listener.place).unwrap_or_default();
            faults.warning(place, "no APIs: every request is refused", "add `apis:`");
        }
        return;
    };
    let by_name = format!("{}.execute-api.localhost", first.id.text);
    let example = first.stages.first().map_or("prod", |stage| &stage.name.text);
    let domain = format!("add `domains: {{\"*\": {{mappings: {{/: {}/{example}}}}}}}`", first.id.text);
    if domains.is_empty() && served.len() > 1 {
        let what = if open {
            format!(
                "{} APIs and no domains: each answers by its execute-api name only, such as {by_name}",
                served.len()
            )
        } else {
            format!(
                "{} APIs, no domains, and no listener with `execute_api: true`: every request is refused",
                served.len()
            )
        };
        faults.warning(first.id.place, what, domain);
    }
    let mapped: BTreeSet<&str> = domains
        .iter()
        .flat_map(domains::targets)
        .filter_map(|target| target.text.split_once('/').map(|(api, _)| api))
        .collect();
    let answers_everywhere = domains.is_empty() && served.len() == 1;
    for api in served.iter().filter(|api| !mapped.contains(&*api.id.text)) {
        match api.disable_execute_api_endpoint.filter(|at| at.value) {
            Some(closed) if !answers_everywhere => {
                let what = format!("no domain leads to API `{}`, and its execute-api name is closed", api.id.text);
                faults.warning(closed.place, what, "map a domain to it, or remove this");
            }
            None if !domains.is_empty() && !open => {
                let hint = "map a domain to it, or set `execute_api: true` at a listener";
                faults.warning(api.id.place, format!("no domain leads to API `{}`", api.id.text), hint);
            }
            _ => {}
        }
    }
}
