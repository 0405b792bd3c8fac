//! Secrets that are written into documents, and tokens that stand where they are kept.

use serde_json::Value as Json;

use super::{Found, Subject, backends};
use crate::definition::{Authorizer, Definition, Integration, Word};
use crate::model::stage::StageSpec;

/// Header fields that carry credentials.
const CREDENTIAL_FIELDS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"];
/// Parts of names whose values are secret, hyphens and case aside.
const SECRET_NAMES: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "apikey",
    "accesskey",
    "privatekey",
    "authtoken",
    "accesstoken",
    "bearertoken",
    "credential",
];
/// How well-known secrets begin, and the characters that follow at least.
const SECRET_FORMS: [(&str, usize); 9] = [
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("sk_live_", 16),
    ("AIza", 35),
];

/// How hashes of passwords begin: whoever reads one tries passwords on it, without anybody noticing.
const HASH_FORMS: [&str; 6] = ["$2a$", "$2b$", "$2y$", "$argon2", "$5$", "$6$"];

/// Whether a name says that its value is secret.
fn is_secret_name(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part)) || matches!(&*name, "token" | "pwd" | "pass" | "jwt")
}

/// Whether a text has the form of a secret: a private key, a JSON Web Token, a key of a well-known service.
fn looks_secret(text: &str) -> bool {
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----") {
        return true;
    }
    if HASH_FORMS.iter().any(|start| text.starts_with(start)) {
        return true;
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.split(|c: char| !is_key(c)).any(|word| {
        let is_jwt = word.starts_with("eyJ") && word.len() > 40 && word.matches('.').count() == 2;
        is_jwt || SECRET_FORMS.iter().any(|(start, rest)| word.starts_with(start) && word.len() >= start.len() + rest)
    })
}

/// The value of a parameter that is the same for every request: REST puts it in quotes, HTTP writes it as it is.
fn fixed(value: &str) -> Option<&str> {
    let value = value.trim();
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.unwrap_or(value);
    let is_fixed = inner.len() < value.len() || !is_reference(inner);
    (is_fixed && !inner.is_empty() && !inner.contains("${") && !inner.contains("$request.")).then_some(inner)
}

/// What takes its value from the request or the stage.
fn is_reference(value: &str) -> bool {
    ["method.", "integration.", "context.", "stageVariables.", "$"].iter().any(|start| value.starts_with(start))
}

pub fn in_document(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (spec, definition) in &subject.apis {
        spec.stages.iter().for_each(|stage| of_stage(stage, found));
        for method in &definition.methods {
            let Some(integration) = &method.integration else { continue };
            of_integration(integration, &method.key(), found);
        }
        of_authorizers(definition, found);
    }
}

fn of_stage(stage: &StageSpec, found: &mut Found<'_>) {
    let of_canary = stage.canary.iter().flat_map(|canary| &canary.variables);
    for (name, value) in stage.variables.iter().chain(of_canary) {
        if is_secret_name(&name.text) || looks_secret(&value.text) {
            found.add_secret(value.place, format!("stage variable `{}` holds a secret", name.text));
        }
    }
}

fn of_integration(integration: &Integration, key: &str, found: &mut Found<'_>) {
    for (target, value) in &integration.request_parameters {
        let target = target.to_ascii_lowercase();
        let name = target.rsplit_once("header.").or_else(|| target.rsplit_once("querystring."));
        let name = name.map_or("", |(_, name)| name);
        let is_credential = CREDENTIAL_FIELDS.contains(&name) || is_secret_name(name);
        let is_secret = fixed(value).is_some_and(|value| is_credential || looks_secret(value));
        if is_secret {
            found.add_secret(value.place(), format!("`{key}` sends a secret that is written here, as `{name}`"));
        }
    }
    let mock = integration.mock.iter();
    let of_mock = mock.flat_map(|mock| mock.headers.iter().map(|(_, value)| value).chain(&mock.body));
    let templates = integration.request_templates.iter();
    let answers =
        integration.responses.iter().flat_map(|response| response.templates.iter().chain(&response.parameters));
    let texts = of_mock.chain(templates.chain(answers).map(|(_, value)| value)).chain(&integration.uri);
    for text in texts.filter(|text| looks_secret(text)) {
        found.add_secret(text.place(), format!("a text of `{key}` has the form of a secret"));
    }
}

/// HS256 and its like share their key with whoever signs.
fn of_authorizers(definition: &Definition, found: &mut Found<'_>) {
    for (name, Authorizer { authorizer, rest, .. }) in &definition.authorizers {
        if authorizer.iter().chain(rest).any(|json| has_secret(json, "", 0)) {
            found.add(
                name.place(),
                format!("authorizer `{name}` holds a secret, or shares its key with signers (HS256)"),
            );
        }
    }
}

/// Levels of a value that are looked at: more than any authorizer has.
const JSON_DEPTH: u32 = 16;

fn has_secret(json: &Json, name: &str, depth: u32) -> bool {
    match json {
        _ if depth > JSON_DEPTH => false,
        Json::String(text) => {
            let is_shared_key = matches!(text.as_str(), "HS256" | "HS384" | "HS512");
            is_shared_key || looks_secret(text) || (is_secret_name(name) && fixed(text).is_some())
        }
        Json::Array(list) => list.iter().any(|value| has_secret(value, name, depth + 1)),
        Json::Object(object) => object.iter().any(|(name, value)| has_secret(value, name, depth + 1)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// A user and password before the host, or a query parameter whose name says that it is secret.
pub fn in_uri(subject: &Subject<'_>, found: &mut Found<'_>) {
    for method in subject.apis.iter().flat_map(|(_, definition)| &definition.methods) {
        let Some(uri) = method.integration.as_ref().and_then(|integration| integration.uri.as_ref()) else { continue };
        if backends::parts(uri).is_some_and(|(_, authority)| authority.contains('@')) {
            found.add_secret(uri.place(), format!("a user name stands in the URI of `{}`", method.key()));
        } else if let Some(name) = secret_in_query(uri) {
            found.add_secret(uri.place(), format!("the URI of `{}` has a fixed `{name}`", method.key()));
        }
    }
}

fn secret_in_query(uri: &Word) -> Option<&str> {
    let (_, query) = uri.as_str().split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let is_fixed = |value: &str| !value.is_empty() && !value.contains('{');
    pairs.filter(|(name, value)| is_secret_name(name) && is_fixed(value)).map(|(name, _)| name).next()
}

pub fn token_in_query(subject: &Subject<'_>, found: &mut Found<'_>) {
    const IN_QUERY: [&str; 2] = ["method.request.querystring.", "$request.querystring."];
    for (name, authorizer) in subject.apis.iter().flat_map(|(_, definition)| &definition.authorizers) {
        let Some(own) = &authorizer.authorizer else { continue };
        let source = match &own["identitySource"] {
            Json::String(text) => text.clone(),
            Json::Array(list) => list.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
            _ => String::new(),
        };
        let scheme_in_query = authorizer.location.as_deref() == Some("query");
        if scheme_in_query || IN_QUERY.iter().any(|start| source.contains(start)) {
            found.add(name.place(), format!("authorizer `{name}` reads its token from the query"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_and_by_form() {
        for name in ["client_secret", "Password", "API-KEY", "api_key", "token", "x-access-token"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["host", "tokens_per_minute", "keyboard", "stage"] {
            assert!(!is_secret_name(name), "{name}");
        }
        let jwt = format!("eyJ{}.eyJ{}.x{}", "a".repeat(20), "b".repeat(20), "c".repeat(20));
        for text in ["AKIAIOSFODNN7EXAMPLE", &format!("Bearer {jwt}"), "x -----BEGIN RSA PRIVATE KEY----- y"] {
            assert!(looks_secret(text), "{text}");
        }
        for text in ["AKIA", "eyJ.a.b", "hello", "-----BEGIN CERTIFICATE-----", "sketch"] {
            assert!(!looks_secret(text), "{text}");
        }
    }

    #[test]
    fn what_comes_from_the_request_is_not_fixed() {
        for value in ["'Bearer x'", "Bearer x", "'x'"] {
            assert!(fixed(value).is_some(), "{value}");
        }
        for value in [
            "method.request.header.a",
            "$request.header.a",
            "stageVariables.a",
            "''",
            "Bearer $request.header.a",
            "x${stageVariables.a}",
            "context.authorizer.a",
        ] {
            assert_eq!(fixed(value), None, "{value}");
        }
    }
}
