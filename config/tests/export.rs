//! What is exported is imported again without a difference, in both languages and both forms, for definitions of every shape.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use config::definition::{
    ApiKeySource, Authorization, Authorizer, ConnectionType, ContentHandling, Cors, Definition, Documentation,
    Endpoint, GatewayResponse, Info, Integration, IntegrationResponse, IntegrationType, Location, Method,
    MethodResponse, MockAnswer, Model, ModelRef, Parameter, Passthrough, Tag, TransferMode, Validator, Word,
};
use config::openapi::export::{self, ExportOptions, Format};
use config::openapi::{ImportOptions, import, import_text};
use config::{Diagnostics, Place};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use router::{Kind, Verb};
use serde_json::{Value, json};
use support::files;

fn written(definition: &Definition, format: Format) -> Value {
    export::export(definition, &ExportOptions::new(format))
}

fn read(name: &str, text: &str, kind: Kind) -> Definition {
    let mut faults = Diagnostics::default();
    let definition = import_text(name, text.as_bytes(), &ImportOptions::new(kind), &mut faults);
    assert!(!faults.has_errors(), "{}{text}", faults.render(false));
    definition.expect("a definition beside no error")
}

/// Both forms of a document say the same, and saying it again changes nothing. Returns what was read.
fn again(definition: &Definition, format: Format) -> Definition {
    let document = written(definition, format);
    let json = export::json(&document);
    let from_json = read("x.json", &json, definition.kind);
    let from_yaml = read("x.yaml", &export::yaml(&document), definition.kind);
    assert_eq!(from_yaml, from_json, "{json}");
    assert_eq!(export::json(&written(&from_json, format)), json);
    from_json
}

// ── the pieces ──

/// What a generator must not write, because the language cannot say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sayable {
    In(Format),
    /// Anything: an export loses something, but only once.
    All,
}

impl Sayable {
    fn is(self, format: Format) -> bool {
        self == Self::In(format)
    }
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9_-]{0,5}"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z $.{}\"':#\\\\\n-]{0,16}",
        1 => "\\PC{0,8}",
        1 => select(vec!["null", "true", "12", "1.0", "", "~", "2024-01-01", "0x1F", "yes", "- a", "a: b"]).prop_map(str::to_owned),
    ]
}

fn filled() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("x{text}"))
}

fn word(text: impl Strategy<Value = String>) -> impl Strategy<Value = Word> {
    text.prop_map(|text| Word::from(text.as_str()))
}

fn pairs() -> impl Strategy<Value = Vec<(Word, Word)>> {
    btree_map(name(), text(), 0..3)
        .prop_map(|map| map.iter().map(|(a, b)| (a.as_str().into(), b.as_str().into())).collect())
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    vec(word(filled()), 0..3)
}

/// One of a list, or nothing from an empty one.
fn pick<T: Clone>(list: &[T], index: Index) -> Option<T> {
    (!list.is_empty()).then(|| index.get(list).clone())
}

const MODELS: [&str; 4] = ["Pet", "Owner", "list.of-pets_1", "Error"];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A schema that speaks of models, and is no mere reference itself.
fn schema(models: Vec<String>) -> impl Strategy<Value = Value> {
    let reference = option::of(any::<Index>()).prop_map(move |index| {
        let name = index.and_then(|index| pick(&models, index))?;
        Some(json!({ "$ref": format!("#/components/schemas/{name}") }))
    });
    (reference, option::of(text()), option::of(value()), name()).prop_map(|(reference, description, default, name)| {
        let mut schema = json!({ "type": "object" });
        if let Some(description) = description {
            schema["description"] = description.into();
        }
        if let Some(default) = default {
            schema["default"] = default;
        }
        if let Some(reference) = reference {
            schema["properties"] = json!({ name: reference.clone(), "$ref": { "type": "array", "items": reference } });
        }
        schema
    })
}

fn models() -> impl Strategy<Value = Vec<(Word, Model)>> {
    subsequence(MODELS.to_vec(), 0..=MODELS.len()).prop_flat_map(|names| {
        let all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let schemas = vec(schema(all), names.len());
        schemas.prop_map(move |schemas| {
            let model =
                |schema: Value| Model { description: schema["description"].as_str().map(str::to_owned), schema };
            names.iter().zip(schemas).map(|(name, schema)| (Word::from(*name), model(schema))).collect()
        })
    })
}

fn model_ref(models: Vec<String>) -> impl Strategy<Value = ModelRef> {
    let inline = schema(models.clone());
    (any::<Index>(), any::<bool>(), inline).prop_map(move |(index, named, inline)| {
        match pick(&models, index).filter(|_| named) {
            Some(name) => ModelRef::Named(name.as_str().into()),
            None => ModelRef::Inline(inline),
        }
    })
}

const MEDIA_TYPES: [&str; 3] = ["application/json", "text/plain; charset=utf-8", "*/*"];

/// Models of a body; in Swagger 2.0 one for all media types.
fn body_models(models: Vec<String>, sayable: Sayable) -> impl Strategy<Value = Vec<(Word, ModelRef)>> {
    let types = subsequence(MEDIA_TYPES.to_vec(), 0..=3);
    (types, vec(model_ref(models), 3)).prop_map(move |(types, models)| {
        let one = sayable.is(Format::Swagger20);
        types.iter().enumerate().map(|(at, kind)| ((*kind).into(), models[if one { 0 } else { at }].clone())).collect()
    })
}

fn type_name(sayable: Sayable) -> impl Strategy<Value = Option<String>> {
    let known = select(vec!["string", "integer", "number", "boolean", "array", "object"]);
    option::of(known).prop_map(move |name| match name {
        Some("object") if sayable.is(Format::Swagger20) => Some("string".to_owned()),
        name => name.map(str::to_owned),
    })
}

fn parameters(sayable: Sayable) -> impl Strategy<Value = Vec<Parameter>> {
    use Location::{Cookie, Form, Header, Path, Query};
    let locations = match sayable {
        Sayable::In(Format::OpenApi30) => vec![Path, Query, Header, Cookie],
        Sayable::In(Format::Swagger20) => vec![Path, Query, Header, Form],
        Sayable::All => vec![Path, Query, Header, Cookie, Form],
    };
    let one = (any::<bool>(), type_name(sayable), option::of(text()));
    btree_map((name(), select(locations)), one, 0..4).prop_map(|map| {
        let made = map.into_iter().map(|((name, location), (required, type_name, description))| Parameter {
            name: name.as_str().into(),
            location,
            required: required || location == Path,
            type_name,
            description,
        });
        made.collect()
    })
}

fn responses(models: Vec<String>, sayable: Sayable) -> impl Strategy<Value = Vec<(Word, MethodResponse)>> {
    let headers = btree_map(name(), type_name(sayable), 0..3);
    let one = (option::of(text()), headers, body_models(models, sayable));
    let status = select(vec!["200", "201", "404", "default"]);
    btree_map(status, one, 0..3).prop_map(move |map| {
        let mut types: Option<Vec<Word>> = None;
        let made = map.into_iter().map(|(status, (description, headers, mut models))| {
            if sayable.is(Format::Swagger20) && !models.is_empty() {
                // `produces` is one list for all answers.
                let types = types.get_or_insert_with(|| models.iter().map(|(kind, _)| kind.clone()).collect());
                let model = models[0].1.clone();
                models = types.iter().map(|kind| (kind.clone(), model.clone())).collect();
            }
            let headers = headers.into_iter().map(|(name, kind)| (name.as_str().into(), kind)).collect();
            (status.into(), MethodResponse { description, headers, models })
        });
        made.collect()
    })
}

fn integration(kind: Kind) -> impl Strategy<Value = Integration> {
    use IntegrationType::{Aws, AwsProxy, Http, HttpProxy, Mock};
    let manner = (
        select(vec![HttpProxy, Http, Mock, AwsProxy, Aws]),
        filled(),
        option::of(select(vec!["ANY", "GET", "POST"])),
        option::of(word(text())),
        option::of(word(filled())),
        option::of(select(vec![ConnectionType::Internet, ConnectionType::VpcLink])),
    );
    let shape = (
        option::of(50_u32..=900_000),
        option::of(select(vec![Passthrough::WhenNoMatch, Passthrough::WhenNoTemplates, Passthrough::Never])),
        handling(),
        option::of(select(vec!["1.0", "2.0"])),
        option::of(any::<bool>()),
        option::of(select(vec![TransferMode::Buffered, TransferMode::Stream])),
        words(),
    );
    let maps =
        (pairs(), pairs(), integration_responses(), btree_map("[1-5][0-9]{2}", pairs(), 0..2), option::of(mock()));
    (manner, shape, maps, vec(option::of(word(text())), 4)).prop_map(move |(manner, shape, maps, mut others)| {
        let (manner, uri, verb, subtype, credentials, connection_type) = manner;
        let (timeout_ms, passthrough, content_handling, version, skip, transfer_mode, keys) = shape;
        let (request_parameters, request_templates, responses, by_status, mock) = maps;
        let mut made = Integration::new(manner, Place::default());
        made.uri = (manner != Mock).then(|| uri.as_str().into());
        // A REST API asks for it.
        made.http_method = verb.or((manner != Mock && kind == Kind::Rest).then_some("POST")).map(Word::from);
        made.subtype = subtype;
        made.credentials = credentials;
        made.connection_type = connection_type;
        made.connection_id = others.pop().flatten();
        made.integration_target = others.pop().flatten();
        made.cache_namespace = others.pop().flatten();
        made.server_name_to_verify = others.pop().flatten();
        made.timeout_ms = timeout_ms;
        made.passthrough = passthrough;
        made.content_handling = content_handling;
        made.payload_format_version = version.map(Word::from);
        made.insecure_skip_verification = skip;
        made.transfer_mode = transfer_mode;
        made.cache_key_parameters = keys;
        made.request_parameters = request_parameters;
        made.request_templates = request_templates;
        made.responses = responses;
        made.response_parameters =
            by_status.into_iter().map(|(status, pairs)| (status.as_str().into(), pairs)).collect();
        made.mock = mock;
        made
    })
}

fn handling() -> impl Strategy<Value = Option<ContentHandling>> {
    option::of(select(vec![ContentHandling::ConvertToBinary, ContentHandling::ConvertToText]))
}

fn integration_responses() -> impl Strategy<Value = Vec<IntegrationResponse>> {
    btree_map("default|[1-5][0-9]{2}|[45]..|.*Error.*", ("[1-5][0-9]{2}", pairs(), pairs(), handling()), 0..3).prop_map(
        |map| {
            let made = map.into_iter().map(|(pattern, (status, parameters, templates, content_handling))| {
                IntegrationResponse {
                    pattern: pattern.as_str().into(),
                    status: status.as_str().into(),
                    parameters,
                    templates,
                    content_handling,
                }
            });
            made.collect()
        },
    )
}

fn mock() -> impl Strategy<Value = MockAnswer> {
    (200_u16..600, pairs(), option::of(word(text()))).prop_map(|(status, headers, body)| MockAnswer {
        status,
        headers,
        body,
    })
}

fn scheme(scheme: &str, rest: Option<Value>) -> Authorizer {
    Authorizer { scheme: scheme.into(), name: None, location: None, auth_type: None, authorizer: None, rest }
}

fn key_scheme(name: &str) -> Authorizer {
    Authorizer { name: Some(name.into()), location: Some("header".into()), ..scheme("apiKey", None) }
}

/// Schemes by name. `iam`, `key` and those with an authorizer are known to methods.
fn schemes(sayable: Sayable) -> Vec<(&'static str, Authorizer)> {
    let with = |mut scheme: Authorizer, kind: &str, auth_type: Option<&str>| {
        scheme.authorizer = Some(json!({ "type": kind, "authorizerResultTtlInSeconds": 60, "identitySource": "a" }));
        scheme.auth_type = auth_type.map(str::to_owned);
        scheme
    };
    let mut all = vec![
        ("iam", Authorizer { auth_type: Some("awsSigv4".into()), ..key_scheme("Authorization") }),
        ("key", Authorizer { auth_type: Some("custom".into()), ..key_scheme("X-Api-Key") }),
        ("token", with(key_scheme("Authorization"), "token", Some("custom"))),
        ("pool", with(key_scheme("Authorization"), "cognito_user_pools", Some("cognito_user_pools"))),
        ("bare", with(scheme("oauth2", None), "jwt", None)),
        ("other", Authorizer { rest: Some(json!({ "description": "x: y" })), ..key_scheme("x-token") }),
    ];
    let flow = json!({ "flow": "accessCode", "authorizationUrl": "https://a/", "tokenUrl": "https://b/", "scopes": { "a": "" } });
    let flows = json!({ "flows": { "authorizationCode": { "authorizationUrl": "https://a/", "tokenUrl": "https://b/", "scopes": {} },
        "implicit": { "authorizationUrl": "https://a/", "scopes": { "b": "" } } } });
    if !sayable.is(Format::OpenApi30) {
        all.extend([("basic", scheme("basic", None)), ("flow", with(scheme("oauth2", Some(flow)), "jwt", None))]);
    }
    if !sayable.is(Format::Swagger20) {
        let url = json!({ "openIdConnectUrl": "https://a/" });
        let bearer = json!({ "scheme": "bearer", "bearerFormat": "JWT" });
        all.extend([
            ("flows", with(scheme("oauth2", Some(flows)), "jwt", None)),
            ("oidc", scheme("openIdConnect", Some(url))),
            ("bearer", with(scheme("http", Some(bearer)), "jwt", None)),
        ]);
    }
    all
}

fn authorizers(sayable: Sayable) -> impl Strategy<Value = Vec<(Word, Authorizer)>> {
    let all = schemes(sayable);
    let most = all.len();
    subsequence(all, 0..=most).prop_map(|list| list.into_iter().map(|(name, scheme)| (name.into(), scheme)).collect())
}

/// What the methods of a definition may name.
#[derive(Debug, Clone)]
struct Known {
    kind: Kind,
    sayable: Sayable,
    models: Vec<String>,
    authorizers: Vec<Word>,
    has_key: bool,
    validators: Vec<Word>,
}

fn method(known: &Known) -> impl Strategy<Value = Method> + use<> {
    let Known { kind, sayable, models, authorizers, has_key, validators } = known.clone();
    let about = (option::of(word(text())), option::of(text()), option::of(text()), vec(text(), 0..3), any::<bool>());
    let request = (parameters(sayable), body_models(models.clone(), sayable), any::<bool>());
    let callers = (0..3_u8, any::<Index>(), words(), any::<bool>(), option::of(any::<Index>()));
    (about, request, responses(models, sayable), callers, option::of(integration(kind))).prop_map(
        move |(about, request, responses, callers, integration)| {
            let mut made = Method::new(None, "/".into(), Place::default());
            (made.operation_id, made.summary, made.description, made.tags, made.deprecated) = about;
            (made.parameters, made.request_models, made.body_required) = request;
            made.body_required &= !made.request_models.is_empty() || !sayable.is(Format::Swagger20);
            made.responses = responses;
            let (who, index, scopes, key, validator) = callers;
            made.authorization = match (who, pick(&authorizers, index)) {
                (1, _) => Authorization::Iam,
                (2, Some(name)) => Authorization::Authorizer { name, scopes },
                _ => Authorization::None,
            };
            made.api_key_required = key && (has_key || sayable == Sayable::All) && kind == Kind::Rest;
            made.validator = validator.and_then(|index| pick(&validators, index));
            made.integration = integration;
            made
        },
    )
}

fn methods(known: Known) -> impl Strategy<Value = Vec<Method>> {
    let tail = select(vec!["", "", "/{id}", "/{proxy+}"]);
    let path =
        (vec("[a-z][a-z0-9._~-]{0,3}", 0..3), tail).prop_map(|(segments, tail)| match (segments.join("/"), tail) {
            (segments, "") => format!("/{segments}"),
            (segments, tail) if segments.is_empty() => tail.to_owned(),
            (segments, tail) => format!("/{segments}{tail}"),
        });
    let verbs = btree_set(select(Verb::ALL.into_iter().map(Some).chain([None]).collect::<Vec<_>>()), 1..4);
    btree_map(path, verbs, 0..4).prop_flat_map(move |mut paths| {
        if known.kind == Kind::Http && paths.len() > 2 {
            paths.insert("$default".into(), [None].into());
        }
        let keys: Vec<(String, Option<Verb>)> = paths
            .into_iter()
            .flat_map(|(path, verbs)| verbs.into_iter().map(move |verb| (path.clone(), verb)))
            .collect();
        vec(method(&known), keys.len()).prop_map(move |mut methods| {
            for (method, (path, verb)) in methods.iter_mut().zip(&keys) {
                (method.path, method.verb) = (path.as_str().into(), *verb);
            }
            methods
        })
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let types = subsequence(vec!["EDGE", "REGIONAL", "PRIVATE"], 0..=2);
    let modes = (
        option::of(select(vec!["ipv4", "dualstack"])),
        option::of(select(vec!["BASIC", "STRICT"])),
        option::of(select(vec!["TLS_1_2", "SecurityPolicy_TLS13_1_3_2025_09"])),
    );
    (option::of(any::<bool>()), types, words(), modes).prop_map(
        |(disable_execute_api, types, vpc_endpoint_ids, modes)| {
            let (ip_address_type, access_mode, security_policy) = modes;
            Endpoint {
                disable_execute_api,
                types: types.into_iter().map(Word::from).collect(),
                vpc_endpoint_ids,
                ip_address_type: ip_address_type.map(Word::from),
                access_mode: access_mode.map(Word::from),
                security_policy: security_policy.map(Word::from),
            }
        },
    )
}

fn documentation() -> impl Strategy<Value = Documentation> {
    let part = (value(), select(vec!["API", "METHOD", "RESPONSE"]))
        .prop_map(|(properties, kind)| json!({ "location": { "type": kind, "path": "/a" }, "properties": properties }));
    (option::of(text()), vec(part, 0..3)).prop_map(|(version, parts)| Documentation { version, parts })
}

fn gateway_responses() -> impl Strategy<Value = Vec<(Word, GatewayResponse)>> {
    let kinds = select(vec!["DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED", "ACCESS_DENIED"]);
    let one = (option::of("[1-5][0-9]{2}"), pairs(), pairs());
    btree_map(kinds, one, 0..3).prop_map(|map| {
        let made = map.into_iter().map(|(kind, (status, parameters, templates))| {
            let status = status.as_deref().map(Word::from);
            (kind.into(), GatewayResponse { status, parameters, templates })
        });
        made.collect()
    })
}

fn cors() -> impl Strategy<Value = Cors> {
    let list = || vec(word(name()), 0..3);
    (list(), list(), list(), list(), option::of(-1..=86_400), option::of(any::<bool>())).prop_map(
        |(allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials)| Cors {
            place: Place::default().into(),
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
            allow_credentials,
        },
    )
}

/// What only one kind of API has, and what all have.
fn settings(kind: Kind) -> impl Strategy<Value = Definition> {
    let tag = (text(), option::of(text()), option::of(text())).prop_map(|(name, description, value)| Tag {
        name,
        description,
        value,
    });
    let validators = btree_map(name(), (any::<bool>(), any::<bool>()), 0..3);
    let rest = (
        validators,
        any::<Index>(),
        any::<bool>(),
        gateway_responses(),
        option::of(select(vec![ApiKeySource::Header, ApiKeySource::Authorizer])),
    );
    let policy = option::of(btree_map("[A-Z][a-z]{1,4}", value(), 1..3));
    let both = (words(), option::of(0..=10_485_760_u32), endpoint(), vec(tag, 0..3), option::of(documentation()));
    (rest, policy, option::of(cors()), both, (text(), text(), option::of(text()))).prop_map(
        move |(rest, policy, cors, both, info)| {
            let mut made = Definition::new(kind);
            made.info = Info { title: Some(info.0), version: Some(info.1), description: info.2 };
            (made.binary_media_types, made.minimum_compression_size, made.endpoint, made.tags, made.documentation) =
                both;
            let (validators, index, has_default, gateway_responses, api_key_source) = rest;
            // Of either kind: AWS has the one in HTTP APIs alone, and the other in REST APIs.
            (made.cors, made.gateway_responses, made.strict_errors) = (cors, gateway_responses, has_default);
            if kind == Kind::Http {
                return made;
            }
            let validator =
                |(name, (body, parameters)): (String, _)| (Word::from(name.as_str()), Validator { body, parameters });
            made.validators = validators.into_iter().map(validator).collect();
            made.validator = pick(&made.validators, index).map(|(name, _)| name).filter(|_| has_default);
            made.api_key_source = api_key_source;
            made.policy = policy.map(|map: BTreeMap<String, Value>| Value::Object(map.into_iter().collect()));
            made
        },
    )
}

fn definition(sayable: Sayable) -> impl Strategy<Value = Definition> {
    let parts = select(vec![Kind::Rest, Kind::Http])
        .prop_flat_map(move |kind| (settings(kind), models(), authorizers(sayable)));
    parts.prop_flat_map(move |(settings, models, authorizers)| {
        let known = Known {
            kind: settings.kind,
            sayable,
            models: models.iter().map(|(name, _)| name.to_string()).collect(),
            authorizers: authorizers
                .iter()
                .filter(|(_, scheme)| scheme.authorizer.is_some())
                .map(|(name, _)| name.clone())
                .collect(),
            has_key: authorizers.iter().any(|(name, _)| &**name == "key"),
            validators: settings.validators.iter().map(|(name, _)| name.clone()).collect(),
        };
        let is_rest = settings.kind == Kind::Rest;
        (methods(known), btree_set("/[A-Z]{1,3}", 0..2)).prop_map(move |(methods, resources)| {
            let mut made = settings.clone();
            (made.models, made.authorizers, made.methods) = (models.clone(), authorizers.clone(), methods);
            made.resources = resources.iter().filter(|_| is_rest).map(|path| path.as_str().into()).collect();
            made
        })
    })
}

proptest! {
    // A definition is large: fewer of them, and none kept in a file.
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_open_api_can_say_is_read_again(definition in definition(Sayable::In(Format::OpenApi30))) {
        prop_assert_eq!(again(&definition, Format::OpenApi30), definition);
    }

    #[test]
    fn what_swagger_can_say_is_read_again(definition in definition(Sayable::In(Format::Swagger20))) {
        prop_assert_eq!(again(&definition, Format::Swagger20), definition);
    }

    #[test]
    fn what_is_lost_is_lost_once(definition in definition(Sayable::All)) {
        again(&definition, Format::OpenApi30);
        again(&definition, Format::Swagger20);
    }
}

/// `None`: it is no description, or has faults of its own.
fn description(path: &Path, kind: Kind) -> Option<(Definition, Format)> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut faults = Diagnostics::default();
    let files = [(path.to_owned(), Place::default())];
    let mut definition = import(&files, &ImportOptions::new(kind), &mut faults)?;
    let is_two =
        text.lines().take(40).any(|line| line.trim_start_matches(['"', '{', ' ', '\t']).starts_with("swagger"));
    let format = if is_two { Format::Swagger20 } else { Format::OpenApi30 };
    definition.info.title.get_or_insert("API".into());
    definition.info.version.get_or_insert("1.0".into());
    (!faults.has_errors() && !definition.methods.is_empty()).then_some((definition, format))
}

/// Written in its own language, nothing of a document is lost; in the other one, it is lost once.
#[test]
fn documents_with_extensions_are_read_again() {
    let mut read = 0;
    for (folder, kind) in [("rest", Kind::Rest), ("http", Kind::Http)] {
        for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(folder)) {
            let Some((definition, format)) = description(&path, kind) else { continue };
            read += 1;
            assert_eq!(again(&definition, format), definition, "{}", path.display());
            again(&definition, if format == Format::OpenApi30 { Format::Swagger20 } else { Format::OpenApi30 });
        }
    }
    assert!(read > 20, "{read}");
}

/// Descriptions of real APIs (`.ci/descriptions` fetches them): written in their own language, nothing of them is lost.
#[test]
fn descriptions_are_read_again() {
    let Some(folder) = std::env::var_os("TOLLGATE_DESCRIPTIONS") else {
        println!("skipped: TOLLGATE_DESCRIPTIONS names no folder");
        return;
    };
    let (mut read, mut lost) = (0, Vec::new());
    for path in files(Path::new(&folder)) {
        let Some((definition, format)) = description(&path, Kind::Rest) else { continue };
        read += 1;
        let same = std::panic::catch_unwind(|| again(&definition, format) == definition);
        if !same.unwrap_or(false) {
            lost.push(path.display().to_string());
        }
    }
    println!("{read} descriptions, {} of them with a loss", lost.len());
    assert!(read > 0 && lost.is_empty(), "{lost:#?}");
}
