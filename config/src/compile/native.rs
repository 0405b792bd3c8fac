//! Routes written in gateway.yaml become methods of a definition.

use router::Verb;

use crate::definition::{
    Authorization, Authorizer, Definition, Integration, IntegrationResponse, IntegrationType, Method, MockAnswer,
    Retry, Word,
};
use crate::diagnostic::Diagnostics;
use crate::model::api::ApiSpec;
use crate::model::authorizers::AuthorizerSpec;
use crate::model::field::nearest;
use crate::model::integration::{HttpSpec, IntegrationSpec, MockSpec};
use crate::model::resilience::RouteRetrySpec;
use crate::model::route::{AccessSpec, ResponseParametersSpec, RouteSpec};
use crate::model::settings::ThrottleSpec;
use crate::source::node::{Style, Text};

/// Adds the authorizers of an API to its definition. One takes the place of an imported scheme with the same name.
pub fn add_authorizers(spec: &ApiSpec, definition: &mut Definition) {
    for AuthorizerSpec { name, spec } in &spec.authorizers {
        let Some(spec) = spec else { continue }; // A fault already.
        let (scheme, rest) = spec.scheme();
        let made = Authorizer {
            scheme: scheme.to_owned(),
            name: None,
            location: None,
            auth_type: None,
            authorizer: Some(spec.to_json()),
            rest,
        };
        let name = Word::from(name);
        definition.authorizers.retain(|(known, _)| *known != name);
        definition.authorizers.push((name, made));
    }
}

/// Adds the routes of an API to its definition. A route takes the place of an imported method with the same key.
pub fn add_routes(spec: &ApiSpec, definition: &mut Definition, faults: &mut Diagnostics) {
    let imported = definition.methods.len();
    for route in &spec.routes {
        let Some((verb, path)) = route_key(&route.key, faults) else { continue };
        let replaced =
            definition.methods[..imported].iter().position(|method| method.verb == verb && method.path == path);
        let mut method = match replaced {
            Some(at) => definition.methods[at].clone(),
            None => Method::new(verb, path, route.key.place),
        };
        method.place = route.key.place.into();
        method.integration = integration(route, faults);
        method.websocket = route.websocket.is_some_and(|websocket| websocket.value);
        restrict(&mut method, &route.access, &definition.authorizers, faults);
        method.throttle = route.throttle.as_ref().and_then(ThrottleSpec::limit);
        method.concurrency = route.concurrency.map(|at| at.value);
        if route.integration.is_none() {
            continue; // A fault already.
        }
        match replaced {
            Some(at) => definition.methods[at] = method,
            None => definition.methods.push(method),
        }
    }
}

/// What a route says of its callers takes the place of what an imported method says; what it does not say stays.
fn restrict(method: &mut Method, access: &AccessSpec, known: &[(Word, Authorizer)], faults: &mut Diagnostics) {
    let AccessSpec { authorizer, iam, scopes, api_key_required } = access;
    if let Some(iam) = iam {
        method.authorization = if iam.value { Authorization::Iam } else { Authorization::None };
    }
    if let Some(name) = authorizer {
        let decides = |(known, scheme): &&(Word, Authorizer)| scheme.authorizer.is_some() && **known == *name.text;
        if !known.iter().any(|entry| decides(&entry)) {
            let names = known.iter().filter(|(_, scheme)| scheme.authorizer.is_some()).map(|(name, _)| name.as_str());
            let near = nearest(&name.text, names).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            let what = format!("the API has no authorizer `{}`{near}", name.text);
            faults.error_hint(name.place, what, "authorizers stand under `authorizers:` of the API");
        }
        let scopes = scopes.iter().map(Word::from).collect();
        method.authorization = Authorization::Authorizer { name: name.into(), scopes };
    }
    if let Some(needed) = api_key_required {
        method.api_key_required = needed.value;
    }
}

/// Verb (`None`: ANY) and path of `GET /pets/{id}` or `$default`.
fn route_key(key: &Text, faults: &mut Diagnostics) -> Option<(Option<Verb>, Word)> {
    if &*key.text == "$default" {
        return Some((None, Word::from(key)));
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
            faults.error_hint(
                key.place,
                format!("`{}` is not a route", key.text),
                "write a verb and a path, such as \"GET /pets/{id}\", or, in an HTTP API, $default",
            );
            return None;
        }
    };
    let path = part(key, verb.len() + 1, path);
    Some((verb_of(verb, key, faults).ok()?, path))
}

/// The end of a text, with a place of its own where the source shows it.
fn part(text: &Text, offset: usize, part: &str) -> Word {
    let place = text.place_at(offset);
    if place == text.place {
        return Word::new(part, place);
    }
    let length = part.chars().count() as u32;
    Word(Text { text: part.into(), place: crate::Place { length, ..place }, style: Style::Plain })
}

/// `None`: ANY. A fault is added beside every `Err`.
pub fn verb_of(verb: &str, text: &Text, faults: &mut Diagnostics) -> Result<Option<Verb>, ()> {
    if verb == "ANY" {
        return Ok(None);
    }
    if let Some(verb) = Verb::parse(verb.as_bytes()) {
        return Ok(Some(verb));
    }
    let known = Verb::ALL.into_iter().map(Verb::as_str).chain(["ANY"]);
    let near = nearest(verb, known).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    let hint = "the verbs are DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, and ANY for all of them";
    faults.error_hint(text.place_at(0), format!("`{verb}` is not a verb{near}"), hint);
    Err(())
}

fn integration(route: &RouteSpec, faults: &mut Diagnostics) -> Option<Integration> {
    let RouteSpec {
        key,
        integration,
        timeout,
        retry,
        request_parameters,
        response_parameters,
        websocket: _,
        access: _,
        throttle: _,
        concurrency: _,
    } = route;
    let ResponseParametersSpec { flat, by_status } = response_parameters;
    let mut made = match integration.as_ref()? {
        IntegrationSpec::Mock(spec) => {
            if let Some(timeout) = timeout {
                faults.error_hint(
                    timeout.place,
                    "`timeout` means nothing in a route with a mock integration",
                    "remove it",
                );
            }
            if let Some(retry) = retry {
                faults.error_hint(retry.place, "`retry` means nothing in a route with a mock integration", "remove it");
            }
            let MockSpec { status, headers, body } = spec;
            let mut made = Integration::new(IntegrationType::Mock, key.place);
            made.mock = Some(MockAnswer {
                status: status.map_or(200, |at| at.value),
                headers: headers.iter().map(|(name, value)| (name.into(), value.into())).collect(),
                body: body.as_ref().map(Word::from),
            });
            made
        }
        IntegrationSpec::Http(spec) => {
            let HttpSpec { proxy, uri, method, timeout: own, place } = spec;
            if let (Some(_), Some(second)) = (timeout, own) {
                faults.error_hint(second.place, "`timeout` stands in the route already", "keep one of them");
            }
            let kind = if *proxy { IntegrationType::HttpProxy } else { IntegrationType::Http };
            let mut made = Integration::new(kind, *place);
            made.uri = Some(uri.into());
            made.http_method = method.as_ref().map(Word::from);
            made.timeout_ms = own.or(*timeout).map(|at| at.value.as_millis() as u32);
            made.retry = retry.map(|RouteRetrySpec { place: _, attempts, try_time }| Retry {
                attempts,
                try_time_ms: try_time.map(|time| time.as_millis() as u32),
            });
            made
        }
    };
    made.request_parameters = pairs(request_parameters);
    made.response_parameters = by_status.iter().map(|(status, list)| (status.into(), pairs(list))).collect();
    if !flat.is_empty() {
        // REST: what every answer gets, whatever its status (IN-16).
        let pattern = Word::new("default", key.place);
        let status = Word::new("", key.place);
        let parameters = pairs(flat);
        made.responses =
            vec![IntegrationResponse { pattern, status, parameters, templates: Vec::new(), content_handling: None }];
    }
    Some(made)
}

fn pairs(texts: &[(Text, Text)]) -> Vec<(Word, Word)> {
    texts.iter().map(|(name, value)| (name.into(), value.into())).collect()
}
