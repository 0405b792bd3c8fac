//! Risks of what can be reached, and by whom.

use std::collections::BTreeMap;

use router::Verb;
use serde_json::Value as Json;

use super::{Found, Subject, gateway};
use crate::check::domains::targets;
use crate::definition::{Authorization, Definition, IntegrationType, Method};
use crate::diagnostic::Place;
use crate::model::api::ApiSpec;
use crate::model::domain::DomainSpec;
use crate::model::settings::ThrottleSpec;
use crate::model::stage::StageSpec;
use crate::model::throttle::ByClientSpec;

/// Whether anybody at all may call a method.
fn is_public(method: &Method) -> bool {
    method.authorization == Authorization::None && !method.api_key_required
}

/// Whether a method's answer comes from somewhere else.
fn has_backend(method: &Method) -> bool {
    method.integration.as_ref().is_some_and(|integration| integration.kind != IntegrationType::Mock)
}

fn domains<'a>(subject: &Subject<'a>) -> &'a [DomainSpec] {
    subject.document.domains.as_deref().unwrap_or_default()
}

/// Whether a stage can be reached from other machines.
fn is_reachable(subject: &Subject<'_>, spec: &ApiSpec, definition: &Definition, stage: &StageSpec) -> bool {
    let open: Vec<_> = subject.document.gateway.listen.iter().filter(|listener| gateway::is_open(listener)).collect();
    if open.is_empty() {
        return false;
    }
    let target = format!("{}/{}", spec.id.text, stage.name.text);
    let mapped = domains(subject).iter().flat_map(targets).any(|text| *text.text == *target);
    let alone = domains(subject).is_empty() && subject.apis.len() == 1;
    let by_name = definition.endpoint.disable_execute_api != Some(true)
        && open.iter().any(|listener| listener.execute_api == Some(true));
    mapped || alone || by_name
}

pub fn no_throttle(subject: &Subject<'_>, found: &mut Found<'_>) {
    let limits = |throttle: &ThrottleSpec| throttle.limit().is_some();
    let is_account = subject.document.gateway.account.throttle.as_ref().is_some_and(limits);
    for (spec, definition) in &subject.apis {
        for stage in spec.stages.iter().filter(|stage| is_reachable(subject, spec, definition, stage)) {
            let throttled = |setting: &crate::model::settings::MethodSettingsSpec| {
                setting.method.is_none() && setting.throttle.as_ref().is_some_and(limits)
            };
            let by_client = |spec: &ByClientSpec| spec.throttle.as_ref().is_some_and(limits);
            let whole = is_account || stage.throttle.as_ref().is_some_and(limits);
            if !whole && !stage.methods.iter().any(throttled) && !stage.throttle_by.iter().any(by_client) {
                let what = format!("stage `{}` of `{}` takes any number of requests", stage.name.text, spec.id.text);
                found.add(stage.name.place, what);
            }
        }
    }
}

pub fn writes_at_any_host(subject: &Subject<'_>, found: &mut Found<'_>) {
    let writes = |method: &&Method| {
        let verb = method.verb.is_none_or(|verb| matches!(verb, Verb::Delete | Verb::Patch | Verb::Post | Verb::Put));
        verb && is_public(method) && has_backend(method)
    };
    for target in domains(subject).iter().filter(|domain| &*domain.name.text == "*").flat_map(targets) {
        let id = target.text.split('/').next().unwrap_or_default();
        let api = subject.apis.iter().find(|(spec, _)| *spec.id.text == *id);
        if let Some(method) = api.and_then(|(_, definition)| definition.methods.iter().find(writes)) {
            let what = format!("`*` leads to `{}`, where `{}` asks for no authorization", target.text, method.key());
            found.add(target.place, what);
        }
    }
}

pub fn around_mutual_tls(subject: &Subject<'_>, found: &mut Found<'_>) {
    let demands = |domain: &DomainSpec| domain.clients.mutual_tls.as_ref().is_some_and(|mutual| !mutual.optional);
    // Where a listener asks everybody, and TLS is all that is spoken, no domain is a way around.
    let asked_at_the_door =
        subject.document.gateway.listen.iter().all(|listener| listener.clients.mutual_tls.is_some());
    let guarded: Vec<(&str, &str)> = domains(subject)
        .iter()
        .filter(|domain| demands(domain))
        .flat_map(|domain| targets(domain).map(|target| (&*target.text, &*domain.name.text)))
        .collect();
    for domain in domains(subject).iter().filter(|domain| !demands(domain)) {
        if asked_at_the_door && domain.tls.is_none() {
            continue;
        }
        for target in targets(domain) {
            if let Some((_, by)) = guarded.iter().find(|(text, _)| *text == &*target.text) {
                let what =
                    format!("`{}` leads to `{}`, which asks for certificates at `{by}`", domain.name.text, target.text);
                found.add(target.place, what);
            }
        }
    }
}

pub fn greedy_backend(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (_, definition) in &subject.apis {
        for method in &definition.methods {
            let path = method.path.as_str();
            let takes_all = path == "$default" || (path.starts_with("/{") && path.ends_with("+}"));
            if method.verb.is_none() && takes_all && is_public(method) && has_backend(method) {
                let what = format!("`{}` passes everything to the backend, from anybody", method.key());
                found.add(*method.place, what);
            }
        }
    }
}

pub fn unheeded_security(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (_, definition) in &subject.apis {
        // One `security` may stand for many methods.
        let mut open: BTreeMap<Place, (&Method, usize)> = BTreeMap::new();
        for method in definition.methods.iter().filter(|method| method.unheeded.line > 0) {
            open.entry(*method.unheeded).or_insert((method, 0)).1 += 1;
        }
        for (place, (method, number)) in open {
            let what = match number {
                1 => format!("`{}` is open: nobody checks what its `security` asks for", method.key()),
                _ => format!(
                    "`{}` and {} more are open: nobody checks what `security` asks for",
                    method.key(),
                    number - 1
                ),
            };
            found.add(place, what);
        }
    }
}

pub fn policy_for_anyone(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (spec, definition) in &subject.apis {
        let Some(policy) = &definition.policy else { continue };
        let statements = list(&policy["Statement"]);
        let is = |statement: &Json, effect: &str| {
            statement["Effect"].as_str().is_some_and(|word| word.eq_ignore_ascii_case(effect))
        };
        let conditional =
            |statement: &Json| statement["Condition"].as_object().is_some_and(|condition| !condition.is_empty());
        // AWS's own examples allow everybody, and deny by address.
        let denies = statements.iter().any(|statement| is(statement, "Deny"));
        let allows = statements
            .iter()
            .any(|statement| is(statement, "Allow") && !conditional(statement) && is_anyone(&statement["Principal"]));
        if allows && !denies {
            found.add(place_of(spec), format!("the resource policy of `{}` allows everybody", spec.id.text));
        }
    }
}

/// A list, or one value in place of a list of one.
fn list(value: &Json) -> &[Json] {
    match value {
        Json::Array(list) => list,
        Json::Null => &[],
        other => std::slice::from_ref(other),
    }
}

/// `"*"`, `{"AWS": "*"}`, `{"AWS": ["*"]}`.
fn is_anyone(principal: &Json) -> bool {
    let named = match principal {
        Json::Object(object) => object.get("AWS").map(list).unwrap_or_default(),
        other => list(other),
    };
    named.iter().any(|name| name == "*")
}

/// Where an API's documents are named, or the API itself.
fn place_of(spec: &ApiSpec) -> Place {
    spec.openapi.as_ref().and_then(|openapi| openapi.files.first()).map_or(spec.id.place, |file| file.place)
}

/// Seconds that AWS keeps a decision unless the document says another number (A rows); HTTP APIs keep none.
const DECISION_SECONDS_REST: u64 = 300;

pub fn cached_without_identity(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (_, definition) in &subject.apis {
        let default = if definition.kind == router::Kind::Rest { DECISION_SECONDS_REST } else { 0 };
        for (name, authorizer) in &definition.authorizers {
            let Some(own) = &authorizer.authorizer else { continue };
            let is_request = own["type"].as_str().is_some_and(|word| word.eq_ignore_ascii_case("request"));
            let written = &own["authorizerResultTtlInSeconds"];
            let number = written.as_u64().or_else(|| written.as_str().and_then(|text| text.parse().ok()));
            let seconds = number.unwrap_or(default);
            let has_identity = match &own["identitySource"] {
                Json::String(text) => !text.trim().is_empty(),
                Json::Array(list) => !list.is_empty(),
                _ => false,
            };
            if is_request && seconds > 0 && !has_identity {
                let what = format!("authorizer `{name}` decides once for {seconds} s without knowing whom for");
                found.add(name.place(), what);
            }
        }
    }
}
