//! The part `apis`: an API with its routes and stages.

use router::Kind;

use crate::definition::ApiKeySource;
use crate::diagnostic::Place;
use crate::model::answers::{self, CorsSpec, GatewayResponseSpec};
use crate::model::authorizers::{self, AuthorizerSpec};
use crate::model::field::{Field, Table, Type};
use crate::model::firewall::{FIREWALL_FIELD, FirewallSpec};
use crate::model::openapi::{self, OpenApiSpec};
use crate::model::reader::{Object, Reader};
use crate::model::route::{self, RouteSpec};
use crate::model::stage::{self, StageSpec};
use crate::model::throttle::{RATE_LIMIT_FIELDS, rate_limit_fields};
use crate::model::values::At;
use crate::snapshot::Tell;
use crate::source::node::{Node, Text, Value};

/// One API, as written.
#[derive(Debug, Clone)]
pub struct ApiSpec {
    /// Its name.
    pub id: Text,
    /// REST or HTTP; `None`: unreadable, which is a fault already.
    pub kind: Option<Kind>,
    /// The OpenAPI documents that it is made of; a route of `routes` takes the place of a method with the same key.
    pub openapi: Option<OpenApiSpec>,
    /// Whether `{api}.execute-api.*` does not answer (RT-17); `None`: what the OpenAPI document says, else it does.
    pub disable_execute_api_endpoint: Option<At<bool>>,
    /// Who decides on callers, by name; one of an OpenAPI document with the same name gives way.
    pub authorizers: Vec<AuthorizerSpec>,
    /// Where a caller's API key is read (KP-03); `None`: what the OpenAPI document says, else in `X-API-Key`.
    pub api_key_source: Option<At<ApiKeySource>>,
    /// Which pages of other origins may call; it takes the place of what the OpenAPI document says.
    pub cors: Option<CorsSpec>,
    /// What is said in the place of refusals, by type; one of an OpenAPI document with the same type gives way.
    pub gateway_responses: Vec<GatewayResponseSpec>,
    /// Whether refusals are problem documents; `None`: what the OpenAPI document says, else they are not.
    pub strict_errors: Option<bool>,
    /// Who may call, from where and when: a resource policy, or the path of one. It takes the place of what the OpenAPI document says.
    pub policy: Option<Node>,
    /// Rules on addresses and requests.
    pub firewall: Option<FirewallSpec>,
    /// In the order of the document.
    pub routes: Vec<RouteSpec>,
    /// In the order of the document.
    pub stages: Vec<StageSpec>,
    /// When its clients are told of limits; `None`: as the gateway says.
    pub rate_limit_fields: Option<Tell>,
}

/// The fields of an API.
pub const API: Table = Table {
    name: "an API",
    fields: &[
        Field::new("kind", Type::Word(&["rest", "http"]), "which rules of API Gateway hold: rest or http").needed(),
        Field::new("openapi", Type::Object(&openapi::OPENAPI), "OpenAPI documents, x-amazon-apigateway-* understood")
            .short(Type::TextList),
        Field::new("routes", Type::Objects(&route::ROUTE), "what is answered, by verb and path"),
        Field::new("stages", Type::Objects(&stage::STAGE), "the stages, by name"),
        Field::new("disable_execute_api_endpoint", Type::Flag, "true: only domains lead to it"),
        RATE_LIMIT_FIELDS,
        Field::new("authorizers", Type::ObjectsByType(authorizers::TABLES), "who decides on callers, by name"),
        Field::new("cors", Type::Object(&answers::CORS), "which pages of other origins may call, on every kind of API"),
        Field::new(
            "gateway_responses",
            Type::Objects(&answers::GATEWAY_RESPONSE),
            "what is said in the place of refusals, by type: THROTTLED, DEFAULT_4XX, …",
        ),
        Field::new(
            "policy",
            Type::Policy,
            "a resource policy as IAM writes it, or the path of one: who may call, from where and when",
        ),
        FIREWALL_FIELD,
        Field::new(
            "strict_errors",
            Type::Flag,
            "true: problem documents (RFC 9457), and 404 and 405 in place of AWS's 403",
        ),
        Field::later("binary_media_types", "media types that are not text"),
        Field::new(
            "api_key_source",
            Type::Word(&["header", "authorizer"]),
            "where a caller's API key is read: in x-api-key, or where its authorizer says; header by default",
        ),
        Field::later("limits", "limits of this API alone"),
        Field::later("quirks", "switches for AWS's peculiarities"),
        Field::later("validators", "checks of parameters and bodies"),
    ],
};

impl ApiSpec {
    /// Reads one API.
    pub fn read(id: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(object) = reader.object(node, &API) else {
            // The name stands, so that what leads to it does not fail a second time.
            return Some(Self {
                id: id.clone(),
                kind: None,
                openapi: None,
                disable_execute_api_endpoint: None,
                authorizers: Vec::new(),
                api_key_source: None,
                cors: None,
                gateway_responses: Vec::new(),
                strict_errors: None,
                policy: None,
                firewall: None,
                routes: Vec::new(),
                stages: Vec::new(),
                rate_limit_fields: None,
            });
        };
        let kind = kind(id, &object, reader);
        let openapi = object.get("openapi").and_then(|node| OpenApiSpec::read(node, reader));
        let disable_execute_api_endpoint = object.get("disable_execute_api_endpoint").and_then(|node| {
            let value = reader.flag(node, "`disable_execute_api_endpoint`")?;
            Some(At { value, place: node.place })
        });
        let authorizers = reader.each(object.get("authorizers"), "`authorizers`", AuthorizerSpec::read);
        let sources = [("header", ApiKeySource::Header), ("authorizer", ApiKeySource::Authorizer)];
        let api_key_source =
            object.get("api_key_source").and_then(|node| reader.word(node, "`api_key_source`", &sources, &[]));
        let cors = object.get("cors").and_then(|node| CorsSpec::read(node, reader));
        let gateway_responses =
            reader.each(object.get("gateway_responses"), "`gateway_responses`", GatewayResponseSpec::read);
        let strict_errors = object.get("strict_errors").and_then(|node| reader.flag(node, "`strict_errors`"));
        let policy = object.get("policy").and_then(|node| policy(node, reader));
        let firewall = object.get("firewall").and_then(|node| FirewallSpec::read(node, reader));
        let routes = object.get("routes").map(|node| read_routes(node, reader)).unwrap_or_default();
        let stages = reader.each(object.get("stages"), "`stages`", StageSpec::read);
        let rate_limit_fields = rate_limit_fields(&object, reader);
        object.close();
        Some(Self {
            id: id.clone(),
            kind,
            openapi,
            disable_execute_api_endpoint,
            authorizers,
            api_key_source,
            cors,
            gateway_responses,
            strict_errors,
            policy,
            firewall,
            routes,
            stages,
            rate_limit_fields,
        })
    }

    /// Where the API begins.
    pub fn place(&self) -> Place {
        self.id.place
    }
}

/// A policy, or the path of a file that has it.
pub fn policy(node: &Node, reader: &mut Reader<'_>) -> Option<Node> {
    let is_path = matches!(&node.value, Value::Scalar(text) if !text.text.is_empty());
    if is_path || matches!(&node.value, Value::Map(_)) {
        return Some(node.clone());
    }
    reader.faults.error_hint(
        node.place,
        "`policy` is neither a policy nor the path of one",
        "write an object with `Statement`, or `policy: policy.json`",
    );
    None
}

fn kind(id: &Text, object: &Object<'_>, reader: &mut Reader<'_>) -> Option<Kind> {
    if let Some(node) = object.get("kind") {
        let words = [("rest", Kind::Rest), ("http", Kind::Http)];
        return reader.word(node, "`kind`", &words, &["websocket"]).map(|at| at.value);
    }
    if object.lacks("kind") {
        let what = format!("API `{}` has no kind", id.text);
        reader.faults.error_hint(id.place, what, "write `kind: http` or `kind: rest`");
    }
    None
}

fn read_routes(node: &Node, reader: &mut Reader<'_>) -> Vec<RouteSpec> {
    if matches!(node.value, Value::List(_)) {
        reader.faults.error_hint(
            node.place,
            "`routes` must be a mapping, not a list",
            "write `\"GET /path\": {integration: …}` without the leading `- `",
        );
        return Vec::new();
    }
    reader.each(Some(node), "`routes`", RouteSpec::read)
}
