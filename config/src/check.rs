//! What can be said of a document without compiling it: names that lead nowhere, names that clash, parts that nobody reaches.

use std::collections::{BTreeMap, BTreeSet};

use router::Kind;

use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::Document;
use crate::model::api::ApiSpec;
use crate::model::domain::{DomainSpec, MappingSpec};
use crate::model::field::nearest;
use crate::model::gateway::{AddressSpec, GatewaySpec};
use crate::model::integration::IntegrationSpec;
use crate::model::stage::StageSpec;
use crate::model::upstream::UpstreamSpec;
use crate::source::node::Text;

/// Checks a whole document.
pub fn check(document: &Document, faults: &mut Diagnostics) {
    let Document { gateway, upstreams, apis, domains } = document;
    let domains = domains.as_deref().unwrap_or_default();
    check_listeners(gateway, faults);
    check_upstreams(upstreams, faults);
    check_api_ids(apis, faults);
    for api in apis {
        check_api(api, faults);
    }
    check_domains(domains, apis, faults);
    // What looks forgotten may only be unreadable: nothing is called useless beside an error.
    if !faults.has_errors() {
        warn_of_unused_upstreams(upstreams, apis, faults);
        warn_of_empty_apis(apis, faults);
        warn_of_unreachable_apis(gateway, apis, domains, faults);
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
    }
    if let Some(admin) = &gateway.admin
        && seen.iter().any(|(address, _)| **address == AddressSpec::Tcp(admin.value))
    {
        let hint = "clients must not reach it: give `admin` a port of its own";
        faults.error_hint(admin.place, "`admin` has the address of a listener", hint);
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
fn warn_of_unused_upstreams(upstreams: &[UpstreamSpec], apis: &[ApiSpec], faults: &mut Diagnostics) {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut note = |text: &str| {
        used.extend(text.split(['/', ':', '?', '#']).map(str::to_ascii_lowercase));
    };
    for api in apis {
        for route in &api.routes {
            if let Some(IntegrationSpec::Http(http)) = &route.integration {
                note(&http.uri.text);
            }
        }
        for (_, value) in api.stages.iter().flat_map(|stage| &stage.variables) {
            note(&value.text);
        }
    }
    let composed = apis.iter().flat_map(|api| &api.routes).any(|route| {
        // `http://${stageVariables.colour}-pets/` builds a name from pieces.
        matches!(&route.integration, Some(IntegrationSpec::Http(http)) if http.uri.text.contains("${stageVariables."))
    });
    for UpstreamSpec { name, .. } in upstreams {
        if !composed && !used.contains(&name.text.to_ascii_lowercase()) {
            let hint = format!("a route calls it with uri: \"http://{}/…\"", name.text);
            faults.warning(name.place, format!("upstream `{}` is not used", name.text), hint);
        }
    }
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

fn check_api(api: &ApiSpec, faults: &mut Diagnostics) {
    let ApiSpec { id, kind, openapi: _, disable_execute_api_endpoint: _, routes: _, stages } = api;
    let Some(kind) = *kind else { return };
    if stages.is_empty() {
        let hint = if kind == Kind::Http { "write `stages: {$default: {}}`" } else { "write `stages: {prod: {}}`" };
        faults.error_hint(id.place, format!("API `{}` has no stages, so nothing of it is served", id.text), hint);
    }
    for stage in stages {
        check_stage(stage, kind, faults);
    }
}

fn warn_of_empty_apis(apis: &[ApiSpec], faults: &mut Diagnostics) {
    for ApiSpec { id, routes, .. } in apis {
        if routes.is_empty() {
            let hint = "write `routes: {\"GET /\": {integration: {type: mock}}}`";
            faults.warning(id.place, format!("API `{}` has no routes", id.text), hint);
        }
    }
}

fn check_stage(stage: &StageSpec, kind: Kind, faults: &mut Diagnostics) {
    let StageSpec { name, variables, auto_deploy: _, canary: _, methods: _ } = stage;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if &*name.text == "$default" {
        if kind != Kind::Http {
            let hint = "name the stage, such as `prod`: it is the first segment of the path";
            faults.error_hint(name.place, "only HTTP APIs have a `$default` stage", hint);
        }
    } else if name.text.is_empty() || name.text.len() > limits::STAGE_NAME_CHARS_MAX || !name.text.bytes().all(allowed)
    {
        let hint = format!("at most {} letters, digits, `-` and `_`", limits::STAGE_NAME_CHARS_MAX);
        faults.error_hint(name.place, format!("`{}` cannot be the name of a stage", name.text), hint);
    }
    if variables.len() > limits::STAGE_VARIABLES_MAX {
        faults.error(name.place, format!("more than {} stage variables", limits::STAGE_VARIABLES_MAX));
    }
    for (name, value) in variables {
        check_stage_variable(name, value, faults);
    }
}

/// ST-02.
fn check_stage_variable(name: &Text, value: &Text, faults: &mut Diagnostics) {
    let is_name = !name.text.is_empty()
        && name.text.len() <= limits::STAGE_VARIABLE_NAME_CHARS_MAX
        && name.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let hint = format!("at most {} letters, digits and `_`", limits::STAGE_VARIABLE_NAME_CHARS_MAX);
        faults.error_hint(name.place, format!("`{}` cannot be the name of a stage variable", name.text), hint);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte);
    let hint = "letters, digits and `-._~:/?#&=,`, as in API Gateway";
    if let Some(offset) = value.text.bytes().position(|byte| !allowed(byte)) {
        let place = if value.text.is_char_boundary(offset) { value.place_at(offset) } else { value.place };
        faults.error_hint(
            place,
            format!("the value of stage variable `{}` has a character that is not allowed", name.text),
            hint,
        );
    } else if value.text.is_empty() || value.text.len() > limits::STAGE_VARIABLE_VALUE_CHARS_MAX {
        let most = limits::STAGE_VARIABLE_VALUE_CHARS_MAX;
        faults.error_hint(
            value.place,
            format!("the value of stage variable `{}` must have 1 to {most} characters", name.text),
            hint,
        );
    }
}

fn check_domains(domains: &[DomainSpec], apis: &[ApiSpec], faults: &mut Diagnostics) {
    let mut seen: BTreeMap<String, &Text> = BTreeMap::new();
    for DomainSpec { name, mappings, .. } in domains {
        clash(&mut seen, name, "domain", faults);
        for MappingSpec { target, .. } in mappings {
            check_mapping(target, apis, faults);
        }
    }
}

fn check_mapping(target: &Text, apis: &[ApiSpec], faults: &mut Diagnostics) {
    let Some((id, stage)) = target.text.split_once('/') else {
        let stage = apis.iter().find(|api| *api.id.text == *target.text).and_then(|api| api.stages.first());
        let hint = format!("write {}/{}", target.text, stage.map_or("prod", |stage| &stage.name.text));
        faults.error_hint(target.place, format!("`{}` is not an API and a stage", target.text), hint);
        return;
    };
    let Some(api) = apis.iter().find(|api| *api.id.text == *id) else {
        let near = nearest(id, apis.iter().map(|api| &*api.id.text));
        let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        faults.error_hint(
            target.place,
            format!("unknown API `{id}`{near}"),
            listed("the APIs are", apis.iter().map(|api| &api.id)),
        );
        return;
    };
    // What could not be read cannot be missed.
    if api.stages.is_empty() || api.stages.iter().any(|known| *known.name.text == *stage) {
        return;
    }
    let near = nearest(stage, api.stages.iter().map(|stage| &*stage.name.text));
    let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    let hint = listed("its stages are", api.stages.iter().map(|stage| &stage.name));
    faults.error_hint(target.place_at(id.len() + 1), format!("API `{id}` has no stage `{stage}`{near}"), hint);
}

fn listed<'a>(what: &str, names: impl Iterator<Item = &'a Text>) -> String {
    let names: Vec<&str> = names.map(|name| &*name.text).collect();
    if names.is_empty() { "there are none".to_owned() } else { format!("{what} {}", names.join(", ")) }
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
    if !domains.is_empty() && !open {
        let mapped: BTreeSet<&str> = domains
            .iter()
            .flat_map(|domain| &domain.mappings)
            .filter_map(|mapping| mapping.target.text.split_once('/').map(|(api, _)| api))
            .collect();
        for api in served.iter().filter(|api| !mapped.contains(&*api.id.text)) {
            let hint = "map a domain to it, or set `execute_api: true` at a listener";
            faults.warning(api.id.place, format!("no domain leads to API `{}`", api.id.text), hint);
        }
    }
}
