//! Risks of what answers say: CORS, cookies, and refusals that tell too much.

use super::{Found, Subject};
use crate::definition::{Authorization, Definition, Method, Word};
use crate::diagnostic::Place;

/// The header fields that one answer is given.
struct Answer<'a> {
    place: Place,
    /// The method; `None`: a gateway response.
    method: Option<&'a Method>,
    /// Name in lower case, and value: a text or an expression.
    headers: Vec<(String, &'a Word)>,
}

impl Answer<'_> {
    fn value(&self, name: &str) -> Option<&Word> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The value without the quotes that static values have.
    fn is(&self, name: &str, value: &str) -> bool {
        self.value(name).is_some_and(|word| word.trim_matches(['\'', '"', ' ']).eq_ignore_ascii_case(value))
    }

    /// Whether any origin is allowed: all of them, or the one that asks.
    fn allows_any_origin(&self) -> bool {
        let reflects = |word: &Word| {
            let expression = word.to_ascii_lowercase();
            expression.contains("request.header.origin") || expression.contains("$request.header.origin")
        };
        self.is(ALLOW_ORIGIN, "*") || self.value(ALLOW_ORIGIN).is_some_and(reflects)
    }
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";

/// Every answer whose header fields the document writes.
fn answers(definition: &Definition) -> Vec<Answer<'_>> {
    let mut list = Vec::new();
    for method in &definition.methods {
        let Some(integration) = &method.integration else { continue };
        let of_method = |place: Place, headers| Answer { place, method: Some(method), headers };
        let responses = integration.responses.iter();
        list.extend(responses.map(|response| of_method(response.pattern.place(), named(&response.parameters))));
        let by_status = integration.response_parameters.iter();
        list.extend(by_status.map(|(status, parameters)| of_method(status.place(), named(parameters))));
        list.extend(integration.mock.iter().map(|mock| {
            let headers = mock.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
            of_method(*integration.place, headers.collect())
        }));
    }
    let of_gateway = definition.gateway_responses.iter();
    list.extend(of_gateway.map(|(name, response)| Answer {
        place: name.place(),
        method: None,
        headers: named(&response.parameters),
    }));
    list
}

/// The parameters whose target is a header field: `method.response.header.x`, `gatewayresponse.header.x`, `overwrite:header.x`.
fn named(parameters: &[(Word, Word)]) -> Vec<(String, &Word)> {
    let name = |target: &Word| {
        let target = target.to_ascii_lowercase();
        target.rsplit_once("header.").map(|(_, name)| name.to_owned())
    };
    parameters.iter().filter_map(|(target, value)| Some((name(target)?, value))).collect()
}

fn is_any(origin: &Word) -> bool {
    matches!(origin.as_str(), "*" | "http://*" | "https://*")
}

pub fn any_origin_with_credentials(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (_, definition) in &subject.apis {
        if let Some(cors) = &definition.cors
            && cors.allow_credentials == Some(true)
            && let Some(origin) = cors.allow_origins.iter().find(|origin| is_any(origin))
        {
            found.add(origin.place(), format!("`{origin}` is allowed as origin, and credentials are as well"));
        }
        for answer in answers(definition) {
            if answer.allows_any_origin() && answer.is(ALLOW_CREDENTIALS, "true") {
                found.add(answer.place, "this answer allows any origin, and credentials as well");
            }
        }
    }
}

pub fn any_origin_behind_authorization(subject: &Subject<'_>, found: &mut Found<'_>) {
    let asks = |method: &&Method| method.authorization != Authorization::None;
    for (_, definition) in &subject.apis {
        let origin = definition.cors.iter().flat_map(|cors| &cors.allow_origins).find(|origin| is_any(origin));
        if let Some(origin) = origin
            && let Some(method) = definition.methods.iter().find(asks)
        {
            let what = format!("`{origin}` is allowed as origin, and `{}` asks for authorization", method.key());
            found.add(origin.place(), what);
        }
        for answer in answers(definition) {
            if let Some(method) = answer.method.filter(asks)
                && answer.is(ALLOW_ORIGIN, "*")
            {
                let what = format!("`{}` asks for authorization, and answers to any origin", method.key());
                found.add(answer.place, what);
            }
        }
    }
}

pub fn mock_sets_cookie(subject: &Subject<'_>, found: &mut Found<'_>) {
    for method in subject.apis.iter().flat_map(|(_, definition)| &definition.methods) {
        let Some(integration) = &method.integration else { continue };
        if integration.kind != crate::definition::IntegrationType::Mock {
            continue;
        }
        let of_mock = integration.mock.iter().flat_map(|mock| &mock.headers);
        let written = of_mock.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(name, _)| name.place());
        let parameters = integration.responses.iter().flat_map(|response| &response.parameters);
        let mapped = parameters
            .filter(|(target, _)| target.to_ascii_lowercase().ends_with("header.set-cookie"))
            .map(|(target, _)| target.place());
        for place in written.chain(mapped) {
            found.add(place, format!("`{}` sets a cookie without asking anybody", method.key()));
        }
    }
}

/// What refusals should not repeat. `$context.error.message` is AWS's own, and harmless.
const TELLING: [&str; 5] = [
    "$context.authorizer",
    "$context.integrationErrorMessage",
    "$context.integration.error",
    "$context.error.validationErrorString",
    "$context.integration.latency",
];

pub fn telling_refusal(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (name, response) in subject.apis.iter().flat_map(|(_, definition)| &definition.gateway_responses) {
        for (_, value) in response.templates.iter().chain(&response.parameters) {
            let expression = value.strip_prefix("context.").map(|rest| format!("$context.{rest}"));
            let text = expression.as_deref().unwrap_or(value);
            if let Some(telling) = TELLING.iter().find(|needle| text.contains(**needle)) {
                found.add(value.place(), format!("`{telling}` is sent to callers who get {name}"));
            }
        }
    }
}
