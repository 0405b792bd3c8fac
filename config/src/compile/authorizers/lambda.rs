//! Authorizers that are asked: a function by its ARN, or any HTTP endpoint.

use std::time::Duration;

use policy::authorize::lambda::{Event, IdentitySources, LambdaRule, SourceProblem, Validation, split};
use router::{Captures, Kind};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{Context, Written};
use crate::compile::uri;
use crate::limits;
use crate::snapshot::CallTls;
use crate::source::node::{Style, Text};

/// What is wrong with an authorizer, and what to do about it.
pub type Wrong = (String, String);

fn wrong<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err((what.into(), hint.into()))
}

/// Compiles an authorizer of type `token` or `request`.
pub fn compile(written: &Written<'_>, is_token: bool, context: &mut Context<'_>) -> Result<LambdaRule, Wrong> {
    let (json, kind) = (written.json, context.kind);
    let event = event(json, is_token, kind)?;
    let simple = flag(json, "enableSimpleResponses")?;
    if simple && event != Event::Version2 {
        let hint = "write authorizerPayloadFormatVersion: \"2.0\", in an HTTP API";
        return wrong("simple responses need payload format 2.0", hint);
    }
    let sources = sources(written, is_token, context)?;
    let ttl = ttl(json, kind)?;
    if sources.is_empty() && !ttl.is_zero() {
        let what = format!("its answers are remembered for {} s, and no identity source says for whom", ttl.as_secs());
        return wrong(what, "add identity sources, or write a time of 0");
    }
    let validation = match text(json, "identityValidationExpression")? {
        None => None,
        Some(_) if !is_token => {
            return wrong("an expression is held against a token", "make it a token authorizer, or remove it");
        }
        Some(form) => match Validation::compile(form) {
            Ok(form) => Some(form),
            Err(fault) => {
                let hint = "what looks ahead, behind or back is not available, so that no token can take long";
                return wrong(format!("`{form}` is no expression that can be used: {fault}"), hint);
            }
        },
    };
    let timeout = timeout(json)?;
    let Some(uri) = text(json, "authorizerUri")? else {
        return wrong("it has no authorizerUri", "write http://host/path, or the ARN of a function");
    };
    let (address, is_function) = address(uri, context.setting.lambda)?;
    let (authority, target) = target(&address, context)?;
    let (uri, number) = (uri.into(), context.authorities.number(authority.clone()));
    let mut rule = LambdaRule {
        print: [0; 32],
        event,
        sources,
        validation,
        simple,
        ttl,
        timeout,
        authority: number,
        target,
        is_function,
        written: uri,
    };
    rule.print = print(written.name, &rule, &authority.host);
    Ok(rule)
}

/// What tells what is remembered of it from what is remembered of others, and of itself as it was before a change.
fn print(name: &str, rule: &LambdaRule, host: &[u8]) -> [u8; 32] {
    // Which number the authority has is another matter.
    let own = LambdaRule { authority: 0, ..rule.clone() };
    let mut hash = Sha256::new();
    for part in [name.as_bytes(), host, &serde_json::to_vec(&own).expect("every part of a rule can be written")] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn event(json: &Json, is_token: bool, kind: Kind) -> Result<Event, Wrong> {
    let version = match json.get("authorizerPayloadFormatVersion") {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        None | Some(Json::Null) => None,
        Some(other) => return wrong(format!("`{other}` is no payload format"), "write \"1.0\" or \"2.0\""),
    };
    let version = match version.as_deref() {
        None => None,
        Some("1" | "1.0") => Some(Event::Version1),
        Some("2" | "2.0") => Some(Event::Version2),
        Some(other) => return wrong(format!("`{other}` is no payload format"), "write \"1.0\" or \"2.0\""),
    };
    match (kind, is_token, version) {
        (Kind::Http, true, _) => {
            wrong("HTTP APIs have no token authorizers", "write type: request, with the header as identity source")
        }
        (Kind::Http, false, Some(version)) => Ok(version),
        // Nothing but 2.0 has simple responses.
        (Kind::Http, false, None) => {
            Ok(if flag(json, "enableSimpleResponses")? { Event::Version2 } else { Event::Version1 })
        }
        (Kind::Rest | Kind::WebSocket, _, Some(Event::Version2)) => {
            wrong("payload format 2.0 is of HTTP APIs", "remove it, or make it an HTTP API")
        }
        (Kind::Rest | Kind::WebSocket, true, _) => Ok(Event::Token),
        (Kind::Rest | Kind::WebSocket, false, _) => Ok(Event::Version1),
    }
}

fn sources(written: &Written<'_>, is_token: bool, context: &Context<'_>) -> Result<IdentitySources, Wrong> {
    let kind = context.kind;
    let list = match written.json.get("identitySource") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::String(text)) => split(text).map(|(_, text)| text).collect(),
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        Some(_) => return wrong("identitySource must be a text", SourceProblem::hint(kind)),
    };
    let fault = |text: &str, problem: SourceProblem| {
        (format!("`{text}`: {}", problem.message()), SourceProblem::hint(kind).to_owned())
    };
    if !is_token {
        let compiled = IdentitySources::compile(kind, &list, context.setting.variables);
        return compiled.map_err(|(place, problem)| fault(list.get(place).unwrap_or(&""), problem));
    }
    match (&list[..], written.header) {
        ([text], _) => IdentitySources::compile_token(text).map_err(|problem| fault(text, problem)),
        // The security scheme names the header.
        ([], Some(header)) => IdentitySources::header(header).map_err(|problem| fault(header, problem)),
        ([], None) => wrong("it has no identity source", "write method.request.header.Authorization"),
        ([_, text, ..], _) => Err(fault(text, SourceProblem::NoHeader)),
    }
}

fn ttl(json: &Json, kind: Kind) -> Result<Duration, Wrong> {
    let most = limits::AUTHORIZER_TTL_MAX.as_secs();
    match seconds(json.get("authorizerResultTtlInSeconds")) {
        Ok(Some(seconds)) if seconds <= most => Ok(Duration::from_secs(seconds)),
        Ok(None) if kind == Kind::Http => Ok(Duration::ZERO),
        Ok(None) => Ok(limits::AUTHORIZER_TTL_REST),
        Ok(Some(_)) | Err(()) => {
            wrong(format!("authorizerResultTtlInSeconds must be from 0 to {most}"), "write a number of seconds")
        }
    }
}

fn timeout(json: &Json) -> Result<Duration, Wrong> {
    let (least, most) = (limits::AUTHORIZER_TIMEOUT_MIN, limits::AUTHORIZER_TIMEOUT);
    match seconds(json.get("x-tollgate").and_then(|own| own.get("timeoutInMillis"))) {
        Ok(None) => Ok(most),
        Ok(Some(millis)) if (least..=most).contains(&Duration::from_millis(millis)) => {
            Ok(Duration::from_millis(millis))
        }
        Ok(Some(_)) | Err(()) => wrong(
            format!("timeoutInMillis must be from {} to {}", least.as_millis(), most.as_millis()),
            "write a number of milliseconds",
        ),
    }
}

/// A whole number, also where it is written as a text.
fn seconds(value: Option<&Json>) -> Result<Option<u64>, ()> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) => number.as_u64().map(Some).ok_or(()),
        Some(Json::String(text)) => text.trim().parse().map(Some).map_err(|_| ()),
        Some(_) => Err(()),
    }
}

fn flag(json: &Json, name: &str) -> Result<bool, Wrong> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(Json::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Json::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => wrong(format!("{name} must be true or false"), "write true or false"),
    }
}

/// A text that is not empty.
fn text<'a>(json: &'a Json, name: &str) -> Result<Option<&'a str>, Wrong> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => wrong(format!("{name} must be a text"), "put it in quotes"),
    }
}

/// Where an authorizer is asked, and whether that is Lambda's Invoke API.
fn address(uri: &str, endpoint: Option<&Text>) -> Result<(String, bool), Wrong> {
    if !uri.starts_with("arn:") {
        return Ok((uri.to_owned(), false));
    }
    let path = match uri.split_once(":lambda:path/") {
        Some((_, path)) => Some(format!("/{path}")).filter(|path| {
            let function =
                path.strip_prefix("/2015-03-31/functions/").and_then(|rest| rest.strip_suffix("/invocations"));
            function.is_some_and(|function| !function.is_empty() && !function.contains('/'))
        }),
        None if uri.split(':').nth(2) == Some("lambda") && !uri.contains('/') => {
            Some(format!("/2015-03-31/functions/{uri}/invocations"))
        }
        None => None,
    };
    let Some(path) = path else {
        let hint = "write arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION_ARN/invocations";
        return wrong(format!("`{uri}` is no function's ARN"), hint);
    };
    let Some(endpoint) = endpoint else {
        let hint = "write `gateway: {lambda: {endpoint: \"http://…\"}}`, or an http:// URI in place of the ARN";
        return wrong("nobody is known who runs functions", hint);
    };
    // As every SDK sends it.
    let path = path.replace(':', "%3A");
    Ok((format!("{}{path}", endpoint.text.trim_end_matches('/')), true))
}

fn target(address: &str, context: &mut Context<'_>) -> Result<(crate::snapshot::Authority, Box<str>), Wrong> {
    let setting = context.setting;
    let named = uri::Context {
        stage: setting.stage,
        stage_variables: setting.variables,
        path_variables: &[],
        mapped: &[],
        upstreams: setting.upstreams,
        tls: CallTls::default(),
    };
    let text = Text { text: address.into(), place: context.place, style: Style::Block };
    let target = uri::compile(&text, &named, context.faults).map_err(|wrong| (wrong.what, wrong.hint))?;
    let mut rendered = Vec::new();
    target.uri.render_target(b"", 0, &Captures::new(), None, &mut rendered);
    let rendered = String::from_utf8(rendered).map_err(|_| {
        ("its URI has letters that no URI has".to_owned(), "write them as % and two hex digits".to_owned())
    })?;
    Ok((target.authority, rendered.into()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use policy::rules::Authorize;

    use super::*;
    use crate::snapshot::{AuthorizerRule, Snapshot};

    /// The rule of the authorizer with these lines in an API of this kind, or what is said instead.
    fn of(kind: &str, gateway: &str, lines: &str) -> Result<LambdaRule, String> {
        let text = format!(
            "{{gateway: {{listen: 127.0.0.1:1{gateway}}}, upstreams: {{auth: {{servers: ['127.0.0.1:2']}}}}, apis: {{a: {{kind: {kind}, \
             authorizers: {{door: {{type: lambda, {lines}}}}}, \
             routes: {{'GET /x': {{authorizer: door, integration: {{type: mock}}}}}}, \
             stages: {{s: {{variables: {{env: blue, f: fn}}}}}}}}}}}}"
        );
        let loaded = crate::load_text("gateway.yaml", &text, Path::new("/"));
        match loaded.snapshot {
            Some(snapshot) => Ok(rule(&snapshot)),
            None => Err(loaded.diagnostics.list.iter().map(|fault| &*fault.what).collect::<Vec<_>>().join("\n")),
        }
    }

    fn rule(snapshot: &Snapshot) -> LambdaRule {
        let program = &snapshot.stages[0].release.as_ref().unwrap().program;
        let Authorize::By { authorizer, .. } = program.methods[0].rules.authorize else { panic!("it is open") };
        #[allow(irrefutable_let_patterns, reason = "there are others, or will be")]
        let AuthorizerRule::Lambda(rule) = &program.authorizers[usize::from(authorizer)].rule else {
            panic!("of another type")
        };
        (**rule).clone()
    }

    const ENDPOINT: &str = ", lambda: {endpoint: 'http://127.0.0.1:9/'}";
    const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:fn";

    #[test]
    fn what_is_not_said_is_as_in_aws() {
        let rest = of("rest", "", "uri: 'http://auth/x?y=z', identity_sources: method.request.header.A").unwrap();
        assert_eq!((rest.event, rest.ttl), (Event::Version1, Duration::from_secs(300)), "A-10");
        assert_eq!((rest.timeout, &*rest.target), (Duration::from_secs(10), "/x?y=z"));
        assert!(!rest.is_function && !rest.simple);
        let http = of("http", "", "uri: 'http://127.0.0.1:7'").unwrap();
        assert_eq!((http.event, http.ttl, &*http.target), (Event::Version1, Duration::ZERO, "/"), "A-10, assumed");
        let token = of(
            "rest",
            "",
            "mode: token, uri: 'http://auth', ttl: 0s, timeout: 2s, validation: '^a', \
            identity_sources: method.request.header.A",
        )
        .unwrap();
        assert_eq!((token.event, token.ttl, token.timeout), (Event::Token, Duration::ZERO, Duration::from_secs(2)));
        assert!(token.validation.is_some_and(|form| form.fits(b"ab") && !form.fits(b"ba")));
    }

    #[test]
    fn functions_are_asked_at_the_endpoint() {
        let invoke = format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations");
        let filled = "arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.f}";
        for uri in [FUNCTION, &invoke, filled] {
            let rule = of("http", ENDPOINT, &format!("uri: '{uri}'")).unwrap();
            assert!(rule.is_function, "{uri}");
            let function = FUNCTION.replace(':', "%3A");
            assert_eq!(*rule.target, *format!("/2015-03-31/functions/{function}/invocations"), "{uri}");
            assert_eq!(*rule.written, *uri);
        }
    }

    #[test]
    fn what_is_remembered_is_remembered_of_one_rule() {
        let print = |lines: &str| of("http", "", lines).unwrap().print;
        let one = print("uri: 'http://auth/x'");
        assert_eq!(one, print("uri: 'http://auth/x', ttl: 0s"));
        for other in ["uri: 'http://auth/y'", "uri: 'http://127.0.0.1:7/x'", "uri: 'http://auth/x', payload: '2.0'"] {
            assert_ne!(one, print(other), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_an_authorizer() {
        let long = format!("uri: 'http://auth', identity_sources: [{}]", ["$context.stage"; 11].join(", "));
        for (kind, lines, says) in [
            ("http", "mode: token, uri: 'http://auth'", "HTTP APIs have no token authorizers"),
            ("rest", "payload: '2.0', uri: 'http://auth'", "payload format 2.0 is of HTTP APIs"),
            ("http", "simple_responses: true, payload: '1.0', uri: 'http://auth'", "need payload format 2.0"),
            ("rest", "simple_responses: true, uri: 'http://auth'", "need payload format 2.0"),
            ("rest", "uri: 'http://auth'", "no identity source says for whom"),
            ("http", "uri: 'http://auth', ttl: 1m", "no identity source says for whom"),
            ("rest", "mode: token, uri: 'http://auth', ttl: 0s", "it has no identity source"),
            ("rest", "mode: token, uri: 'http://auth', identity_sources: context.stage", "one identity source"),
            ("http", "uri: 'http://auth', identity_sources: method.request.header.A", "this is no identity source"),
            ("http", &long, "ten identity sources at most"),
            ("http", "uri: 'http://auth', validation: a", "held against a token"),
            (
                "rest",
                "mode: token, uri: 'http://auth', identity_sources: method.request.header.A, validation: '(?=a)'",
                "no expression that can be used: look-around",
            ),
            ("http", "uri: 'http://auht'", "unknown upstream `auht`, did you mean `auth`?"),
            ("http", "uri: 'http://auth/{id}'", "the route has no variable `id`"),
            ("http", "uri: 'ftp://auth/'", "`ftp` is not a scheme"),
            ("http", "uri: 'arn:aws:s3:::bucket'", "is no function's ARN"),
            ("http", "uri: 'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/'", "is no function's ARN"),
        ] {
            let said = of(kind, ENDPOINT, lines).unwrap_err();
            assert!(said.contains(says), "{lines}: {said}");
        }
        let said = of("http", "", &format!("uri: '{FUNCTION}'")).unwrap_err();
        assert!(said.contains("nobody is known who runs functions"), "{said}");
    }

    /// What an imported document with this authorizer is told, and who may call then.
    fn imported(kind: &str, authorizer: &str) -> (Authorize, String) {
        let folder = std::env::temp_dir().join(format!("tollgate-lambda-{}-{:p}", std::process::id(), &kind));
        std::fs::create_dir_all(&folder).unwrap();
        let document = format!(
            "openapi: 3.0.1\ninfo: {{title: t, version: '1'}}\ncomponents:\n  securitySchemes:\n    door: {{type: apiKey, name: Auth, in: header, \
             x-amazon-apigateway-authorizer: {authorizer}}}\npaths:\n  /x:\n    get:\n      security: [{{door: []}}]\n      \
             x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: 'http://b.test/'}}\n"
        );
        std::fs::write(folder.join("x.yaml"), document).unwrap();
        let text = format!(
            "{{gateway: {{listen: 127.0.0.1:1}}, apis: {{a: {{kind: {kind}, openapi: x.yaml, stages: {{s: {{}}}}}}}}}}"
        );
        let loaded = crate::load_text("gateway.yaml", &text, &folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let said: Vec<&str> = loaded.diagnostics.list.iter().map(|fault| &*fault.what).collect();
        let snapshot = loaded.snapshot.expect("no fault of an imported authorizer is an error");
        let program = &snapshot.stages[0].release.as_ref().unwrap().program;
        (program.methods[0].rules.authorize.clone(), said.join("\n"))
    }

    #[test]
    fn an_imported_one_with_a_fault_lets_nobody_pass() {
        let passes = Authorize::By { authorizer: 0, scopes: Box::default() };
        for (kind, authorizer, authorize, says) in [
            ("rest", "{type: token, authorizerUri: 'http://a.test/'}", &passes, ""),
            ("rest", "{type: TOKEN, authorizerUri: 'http://a.test/', authorizerResultTtlInSeconds: '60'}", &passes, ""),
            ("rest", "{type: request, authorizerUri: 'http://a.test/', identitySource: 'context.stage'}", &passes, ""),
            ("rest", "{type: token, authorizerUri: ''}", &Authorize::Closed, "it has no authorizerUri"),
            (
                "rest",
                "{type: token, authorizerUri: 'http://a.test/', authorizerResultTtlInSeconds: 3601}",
                &Authorize::Closed,
                "must be from 0 to 3600",
            ),
            (
                "http",
                "{type: request, authorizerUri: 'http://a.test/', authorizerPayloadFormatVersion: 3}",
                &Authorize::Closed,
                "`3` is no payload format",
            ),
            (
                "rest",
                "{type: token, authorizerUri: 'arn:aws:lambda:us-east-1:123456789012:function:f'}",
                &Authorize::Closed,
                "nobody is known who runs functions",
            ),
        ] {
            let (found, said) = imported(kind, authorizer);
            assert_eq!((&found, said.is_empty()), (authorize, says.is_empty()), "{authorizer}: {said}");
            assert!(said.contains(says), "{authorizer}: {said}");
        }
    }
}
