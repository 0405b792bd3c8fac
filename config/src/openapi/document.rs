//! The top level of a document: its version, what it says of itself and of the whole API, and where its parts stand.

use std::collections::HashSet;

use router::Kind;

use super::extensions::is_unknown_yet;
use super::schema::{self, Models};
use super::security::{self, Schemes};
use super::{
    BasePath, Source, cors, declared, documentation, endpoint, extensions, field, gateway_responses, parameters, paths,
};
use crate::definition::{Definition, Endpoint, Info, Tag, Word};
use crate::diagnostic::Place;
use crate::source::node::{Entry, Node, Text, Value};

/// What API Gateway reads at the top of a document (§14.1), without the prefix.
const ROOT_EXTENSIONS: [&str; 14] = [
    "api-key-source",
    "binary-media-types",
    "cors",
    "documentation",
    "endpoint-access-mode",
    "endpoint-configuration",
    "gateway-responses",
    "importexport-version",
    "integrations",
    "minimum-compression-size",
    "policy",
    "request-validator",
    "request-validators",
    "security-policy",
];

/// What all operations of a document share.
pub struct Document<'a> {
    /// What stands before each path: empty, or `/a/b`.
    pub base_path: String,
    /// Media types of bodies (2.0).
    pub consumes: Vec<Word>,
    /// Media types of answers (2.0).
    pub produces: Vec<Word>,
    /// The root's `security`, where it counts.
    pub security: Option<&'a Node>,
    /// Where the root's `security` stands if it counts for nothing.
    pub unheeded: Option<Place>,
    /// What `security` may name.
    pub schemes: Schemes,
    /// The schemas.
    pub models: Models<'a>,
}

/// How the parts of a document are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Swagger 2.0
    Two,
    /// OpenAPI 3.0 and 3.1
    Three,
}

/// A document that was read, and the models that it names without having them.
pub struct Imported {
    /// What it defines.
    pub definition: Definition,
    /// Names of models that may be another document's.
    pub used: Vec<Word>,
}

/// Reads a document. `before` is what the documents before it have made, to which it may refer.
pub fn read(number: usize, before: Option<&Definition>, from: &mut Source<'_>) -> Option<Imported> {
    let node = from.files.root(number);
    let Value::Map(root) = &node.value else {
        from.error(node.place, "this is no OpenAPI document", BEGINNING);
        return None;
    };
    let version = version(root, node, from)?;
    let mut definition = Definition::new(from.options.kind);
    definition.info = info(root, from);
    definition.tags = tags(root, from);
    let components = field(root, "components").map(|node| from.entries(node, "`components`")).unwrap_or_default();
    // Samples have names of the other version, and AWS reads them.
    let either = |two: &str, three: &str| match version {
        Version::Two => field(root, two).or(field(components, three)),
        Version::Three => field(components, three).or(field(root, two)),
    };
    let (schemas, schemes) = (either("definitions", "schemas"), either("securityDefinitions", "securitySchemes"));
    if let Some(node) = schemes {
        definition.authorizers = security::authorizers(node, from);
    }
    extensions_of(root, &mut definition, from);
    extensions::warn_of_strange(root, &ROOT_EXTENSIONS, "at the top of a document", from);
    endpoint_of(root, &mut definition.endpoint, from);
    let schemas = schemas.map(|node| from.entries(node, "the schemas")).unwrap_or_default();
    let (security, unheeded) = security::of_root(root, from);
    let mut document = Document {
        base_path: base_path(root, version, from),
        consumes: media_types(root, "consumes", from),
        produces: media_types(root, "produces", from),
        security,
        unheeded,
        schemes: Schemes::new(&definition.authorizers, before),
        models: Models::new(number, schemas, before, from),
    };
    if let Some(node) = root.iter().find(|entry| &*entry.key.text == "webhooks") {
        from.warn(
            node.key.place,
            "`webhooks` are passed over",
            "the gateway receives requests, it sends none of its own",
        );
    }
    if let Some(entry) = root.iter().find(|entry| &*entry.key.text == "paths") {
        let found = paths::read(&entry.value, &mut document, from);
        definition.methods = found.methods;
        definition.resources = found.resources;
    } else {
        from.error(node.place, "the document has no `paths`", "an API without any is written `paths: {}`");
    }
    let used = document.models.finish(&mut definition, from);
    Some(Imported { definition, used })
}

const BEGINNING: &str = "it begins with `openapi: 3.0.1` or `swagger: \"2.0\"`, and has `info` and `paths`";

fn version(root: &[Entry], node: &Node, from: &mut Source<'_>) -> Option<Version> {
    let number = |text: &str| match text.trim() {
        "2" | "2.0" => Some(Version::Two),
        "3" | "3.0" | "3.1" => Some(Version::Three),
        text if text.starts_with("3.0.") || text.starts_with("3.1.") => Some(Version::Three),
        _ => None,
    };
    for (name, meant) in [("openapi", Version::Three), ("swagger", Version::Two)] {
        let Some(node) = field(root, name) else { continue };
        let written = match &node.value {
            Value::Scalar(text) => Some(&*text.text),
            _ => None,
        };
        if written.is_some_and(|written| number(written) == Some(meant)) {
            return Some(meant);
        }
        let what = match written {
            Some(written) => format!("`{name}: {written}` is no version that is understood"),
            None => format!("`{name}` is no version"),
        };
        from.error(node.place, what, "OpenAPI 3.0 and 3.1 are, and Swagger 2.0");
        return None;
    }
    from.error(node.place, "this is no OpenAPI document: it has neither `openapi` nor `swagger`", BEGINNING);
    None
}

fn info<'a>(root: &'a [Entry], from: &mut Source<'a>) -> Info {
    let Some(node) = field(root, "info").and_then(|node| from.resolve(node)) else {
        return Info::default();
    };
    let entries = from.entries(node, "`info`");
    let mut string = |name: &str| field(entries, name).and_then(|node| from.string(node, &format!("`{name}`")));
    Info { title: string("title"), version: string("version"), description: string("description") }
}

fn tags<'a>(root: &'a [Entry], from: &mut Source<'a>) -> Vec<Tag> {
    let mut tags = Vec::new();
    let Some(list) = field(root, "tags") else { return tags };
    for node in from.list(list, "`tags`") {
        let entries = from.entries(node, "a tag");
        let Some(name) = field(entries, "name").and_then(|node| from.string(node, "`name`")) else { continue };
        let description = field(entries, "description").and_then(|node| from.string(node, "`description`"));
        let value = field(entries, "x-amazon-apigateway-tag-value");
        let value = value.and_then(|node| extensions::tag_value(node, from));
        tags.push(Tag { name, description, value });
    }
    tags
}

fn media_types(root: &[Entry], name: &str, from: &mut Source<'_>) -> Vec<Word> {
    field(root, name).map(|node| parameters::media_types(node, &format!("`{name}`"), from)).unwrap_or_default()
}

/// Extensions that mean nothing in APIs of the other kind, with what they would do.
const REST_ONLY: [(&str, &str); 4] = [
    ("x-amazon-apigateway-policy", "resource policies"),
    ("x-amazon-apigateway-api-key-source", "API keys"),
    ("x-amazon-apigateway-request-validator", "request validators"),
    ("x-amazon-apigateway-request-validators", "request validators"),
];

/// What APIs of every kind have here.
fn warn_of_more_than_aws(more: bool, key: &Text, kind: &str, from: &mut Source<'_>) {
    if more {
        let hint = "it is taken, as it would be in APIs of the other kind";
        from.warn(key.place, format!("AWS passes `{}` over in {kind} APIs", key.text), hint);
    }
}

/// The extensions at the root (§14.1), and our own.
fn extensions_of<'a>(root: &'a [Entry], definition: &mut Definition, from: &mut Source<'a>) {
    let is_http = from.options.kind == Kind::Http;
    for Entry { key, value } in root {
        if &*key.text == "x-tollgate-strict-errors" {
            definition.strict_errors = from.flag(value, "`x-tollgate-strict-errors`").unwrap_or_default();
        }
        let Some(name) = key.text.strip_prefix("x-amazon-apigateway-") else { continue };
        if value.is_null() {
            continue;
        }
        if let Some((_, what)) = REST_ONLY.iter().find(|(known, _)| is_http && *known == &*key.text) {
            from.warn(key.place, format!("`{}` is passed over", key.text), format!("HTTP APIs have no {what}"));
            continue;
        }
        let Some(value) = from.resolve(value) else { continue };
        match name {
            "api-key-source" => definition.api_key_source = extensions::api_key_source(value, from),
            "binary-media-types" => definition.binary_media_types = extensions::binary_media_types(value, from),
            "minimum-compression-size" => {
                definition.minimum_compression_size = extensions::minimum_compression_size(value, from);
            }
            "request-validators" => definition.validators = extensions::request_validators(value, from),
            "request-validator" => definition.validator = extensions::request_validator(value, from),
            "policy" => {
                definition.policy = extensions::policy(value, from);
                definition.policy_at = value.place.into();
            }
            "importexport-version" => extensions::import_export_version(value, from),
            "gateway-responses" => {
                definition.gateway_responses = gateway_responses::gateway_responses(value, from);
                warn_of_more_than_aws(is_http, key, "HTTP", from);
            }
            "cors" => {
                definition.cors = cors::cors(value, from);
                warn_of_more_than_aws(!is_http, key, "REST", from);
            }
            "documentation" if !from.options.ignore_documentation => {
                definition.documentation = documentation::documentation(value, from);
            }
            "endpoint-configuration" => endpoint::configuration(value, &mut definition.endpoint, from),
            "endpoint-access-mode" => definition.endpoint.access_mode = endpoint::access_mode(value, from),
            "security-policy" => definition.endpoint.security_policy = endpoint::security_policy(value, from),
            _ => {}
        }
    }
}

/// The endpoint configuration of the servers (3.x).
fn endpoint_of<'a>(root: &'a [Entry], endpoint: &mut Endpoint, from: &mut Source<'a>) {
    let Some(servers) = field(root, "servers") else { return };
    for server in from.list(servers, "`servers`") {
        let entries = from.entries(server, "a server");
        if let Some(node) = field(entries, "x-amazon-apigateway-endpoint-configuration") {
            endpoint::configuration(node, endpoint, from);
        }
    }
}

/// What stands before each path (OA-03).
fn base_path<'a>(root: &'a [Entry], version: Version, from: &mut Source<'a>) -> String {
    if from.options.base_path == BasePath::Ignore {
        return String::new();
    }
    let written = match version {
        Version::Two => field(root, "basePath").and_then(|node| from.string(node, "`basePath`")),
        Version::Three => base_path_of_servers(root, from),
    };
    let written = written.unwrap_or_default();
    let whole = written.trim_matches('/');
    let kept = match from.options.base_path {
        BasePath::Split => whole.split_once('/').map_or("", |(_, rest)| rest),
        BasePath::Ignore | BasePath::Prepend => whole,
    };
    if kept.is_empty() { String::new() } else { format!("/{}", kept.trim_matches('/')) }
}

/// The variable `basePath` of the first server, or the path of its URL.
fn base_path_of_servers<'a>(root: &'a [Entry], from: &mut Source<'a>) -> Option<String> {
    let server = from.list(field(root, "servers")?, "`servers`").first()?;
    let entries = from.entries(server, "a server");
    let variables = field(entries, "variables").map(|node| from.entries(node, "`variables`")).unwrap_or_default();
    let mut default = |name: &str| {
        let variable = field(variables, name)?;
        field(from.entries(variable, "a variable"), "default").and_then(|node| from.string(node, "`default`"))
    };
    if let Some(base) = default("basePath") {
        return Some(base);
    }
    let defaults: Vec<(String, String)> = variables
        .iter()
        .filter_map(|entry| Some((format!("{{{}}}", entry.key.text), default(&entry.key.text)?)))
        .collect();
    let mut url = from.string(field(entries, "url")?, "`url`")?;
    for (name, value) in defaults {
        url = url.replace(&name, &value);
    }
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let is_relative = rest.len() == url.len();
    let path = if is_relative && url.starts_with('/') { Some(rest) } else { rest.find('/').map(|at| &rest[at..]) };
    path.map(|path| path.split(['?', '#']).next().unwrap_or_default().to_owned())
}

fn is_none(name: &Word) -> bool {
    name.eq_ignore_ascii_case("NONE")
}

/// Whether what methods name is there, now that every document is read.
pub fn check(definition: &mut Definition, used: &[Word], from: &mut Source<'_>) {
    schema::check_names(used, definition, from);
    declared::warn(definition, from);
    let names: HashSet<Box<str>> = definition.validators.iter().map(|(name, _)| name.as_str().into()).collect();
    if !definition.validators.iter().any(|(name, _)| is_none(name)) {
        // What some write for no validator.
        definition.validator.take_if(|name| is_none(name));
        for method in &mut definition.methods {
            method.validator.take_if(|name| is_none(name));
        }
    }
    let named = definition.methods.iter().filter_map(|method| method.validator.as_ref()).chain(&definition.validator);
    for name in named {
        if from.options.kind == Kind::Http || names.contains(name.as_str()) {
            continue;
        }
        if is_unknown_yet(name) {
            let what = format!("`{name}` names a request validator that only a deployment knows");
            from.warn(name.place(), what, "methods that it would look at answer 500: write the name into the document");
            continue;
        }
        from.error(
            name.place(),
            format!("there is no request validator `{name}`"),
            "validators stand under `x-amazon-apigateway-request-validators`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, with_faults};
    use super::*;
    use crate::openapi::ImportOptions;

    #[test]
    fn versions_that_are_understood() {
        for line in [
            "openapi: 3.0.0",
            "openapi: 3.0.4",
            "openapi: '3.0.1'",
            "openapi: 3.0",
            "openapi: 3.1",
            "openapi: 3.1.1",
            "swagger: '2.0'",
            "swagger: 2.0",
            "swagger: 2",
        ] {
            assert_eq!(good(Kind::Rest, &format!("{line}\npaths: {{/a: {{get: {{}}}}}}\n")).methods.len(), 1, "{line}");
        }
        for (text, what) in [
            ("openapi: 2.0\npaths: {}", "a.yaml:1:10: error: `openapi: 2.0` is no version that is understood"),
            ("openapi: {}\npaths: {}", "a.yaml:1:10: error: `openapi` is no version"),
            ("swagger: [2.0]\npaths: {}", "a.yaml:1:10: error: `swagger` is no version"),
            ("openapi: 4.0.0\npaths: {}", "a.yaml:1:10: error: `openapi: 4.0.0` is no version that is understood"),
            ("swagger: 1.2\npaths: {}", "a.yaml:1:10: error: `swagger: 1.2` is no version that is understood"),
            (
                "info: {}\npaths: {}",
                "a.yaml:1:1: error: this is no OpenAPI document: it has neither `openapi` nor `swagger`",
            ),
            ("[openapi]", "a.yaml:1:1: error: this is no OpenAPI document"),
            ("text", "a.yaml:1:1: error: this is no OpenAPI document"),
            ("", "a.yaml: error: the document is empty"),
            ("openapi: 3.0.1\ninfo: {}\n", "a.yaml:1:1: error: the document has no `paths`"),
            (
                "openapi: 3.0.1\npaths: []\n",
                "a.yaml:2:8: error: `paths` must be a mapping of paths, so there is no operation",
            ),
            ("openapi: 3.0.1\npaths: none\n", "a.yaml:2:8: error: `paths` must be a mapping of paths"),
        ] {
            let (_, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
            assert!(faults.starts_with(what) && faults.lines().count() == 1, "{text}: {faults}");
        }
    }

    #[test]
    fn what_a_document_says_of_itself() {
        let text = "
openapi: 3.1.0
jsonSchemaDialect: https://json-schema.org/draft/2020-12/schema
info: {title: Pets, version: 1.0, description: many, license: {name: none}, summary: s}
externalDocs: {url: 'https://x'}
tags: [{name: a, description: d, x-amazon-apigateway-tag-value: v}, {name: b}]
paths: {}
";
        let definition = good(Kind::Rest, text);
        let Info { title, version, description } = definition.info;
        assert_eq!(
            [title.as_deref(), version.as_deref(), description.as_deref()],
            [Some("Pets"), Some("1.0"), Some("many")]
        );
        assert_eq!(definition.tags[0].value.as_deref(), Some("v"));
        assert_eq!(definition.tags[1].name, "b");
    }

    #[test]
    fn webhooks_are_warned_of() {
        let text = "openapi: 3.1.0\npaths: {}\nwebhooks: {x: {post: {}}}\n";
        let (_, faults) = with_faults(&ImportOptions::new(Kind::Http), text);
        assert_eq!(faults, "a.yaml:3:1: warning: `webhooks` are passed over");
    }

    #[test]
    fn extensions_of_the_other_kind_are_warned_of() {
        let text = "
openapi: 3.0.1
x-amazon-apigateway-policy: {Statement: []}
x-amazon-apigateway-cors: {allowOrigins: ['*']}
paths: {}
";
        let (http, faults) = with_faults(&ImportOptions::new(Kind::Http), text);
        assert_eq!(faults, "a.yaml:3:1: warning: `x-amazon-apigateway-policy` is passed over");
        let http = http.unwrap();
        assert!(http.cors.is_some() && http.policy.is_none());
        let (rest, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        assert_eq!(faults, "a.yaml:4:1: warning: AWS passes `x-amazon-apigateway-cors` over in REST APIs");
        let rest = rest.unwrap();
        assert!(rest.cors.is_some() && rest.policy.is_some());
        let text = "openapi: 3.0.1\nx-amazon-apigateway-gateway-responses: {THROTTLED: {}}\nx-tollgate-strict-errors: true\npaths: {}\n";
        let (http, faults) = with_faults(&ImportOptions::new(Kind::Http), text);
        assert_eq!(faults, "a.yaml:2:1: warning: AWS passes `x-amazon-apigateway-gateway-responses` over in HTTP APIs");
        let http = http.unwrap();
        assert!(http.gateway_responses.len() == 1 && http.strict_errors);
    }

    #[test]
    fn validators_that_are_named_are_there() {
        let text = "
openapi: 3.0.1
x-amazon-apigateway-request-validators: {all: {validateRequestBody: true, validateRequestParameters: true}}
x-amazon-apigateway-request-validator: all
paths: {/a: {get: {x-amazon-apigateway-request-validator: other}, put: {x-amazon-apigateway-request-validator: all}}}
";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        assert_eq!(faults, "a.yaml:5:59: error: there is no request validator `other`");
        let definition = definition.unwrap();
        assert_eq!((&definition.validator, definition.validators.len()), (&Some("all".into()), 1));
        let (_, faults) = with_faults(&ImportOptions::new(Kind::Http), text);
        assert!(!faults.contains("error"), "{faults}");
    }

    #[test]
    fn documentation_may_be_passed_over() {
        let text =
            "openapi: 3.0.1\npaths: {}\nx-amazon-apigateway-documentation: {version: '1', documentationParts: []}\n";
        assert!(good(Kind::Rest, text).documentation.is_some());
        let options = ImportOptions { ignore_documentation: true, ..ImportOptions::new(Kind::Rest) };
        assert!(with_faults(&options, text).0.unwrap().documentation.is_none());
    }

    #[test]
    fn servers_configure_the_endpoint() {
        let text = "
openapi: 3.0.1
servers: [{url: 'https://x', x-amazon-apigateway-endpoint-configuration: {disableExecuteApiEndpoint: true}}]
paths: {}
";
        assert_eq!(good(Kind::Http, text).endpoint.disable_execute_api, Some(true));
    }
}
