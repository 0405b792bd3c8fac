//! What an API is, however it was written: as native routes, as OpenAPI, or frozen in a deployment. Owned, with every reference
//! resolved; places point back to the documents, but do not count when definitions are compared or frozen.
//!
//! OpenAPI import writes it, export reads it, deployments keep it as JSON, and `compile` makes a [`crate::snapshot::Program`] of it.

pub mod integration;
pub mod method;
pub mod word;

use router::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use self::integration::{
    ConnectionType, ContentHandling, Integration, IntegrationResponse, IntegrationType, MockAnswer, Passthrough, Retry,
    TransferMode,
};
pub use self::method::{Authorization, Location, Method, MethodResponse, ModelRef, Parameter};
pub use self::word::{Origin, Word};

/// One API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Which rules of API Gateway hold.
    pub kind: Kind,
    /// Title, version, description.
    pub info: Info,
    /// Verbs and paths, in the order of the document; no key twice.
    pub methods: Vec<Method>,
    /// Paths without any method (REST resources).
    pub resources: Vec<Word>,
    /// JSON Schemas by name (VA-01).
    pub models: Vec<(Word, Model)>,
    /// Authorizers by name, and security schemes that are none.
    pub authorizers: Vec<(Word, Authorizer)>,
    /// Request validators by name (VA-02).
    pub validators: Vec<(Word, Validator)>,
    /// The validator of methods that name none.
    pub validator: Option<Word>,
    /// By type (GR-01).
    pub gateway_responses: Vec<(Word, GatewayResponse)>,
    /// MP-18.
    pub binary_media_types: Vec<Word>,
    /// MP-20, in bytes; `None`: off.
    pub minimum_compression_size: Option<u32>,
    /// KP-03.
    pub api_key_source: Option<ApiKeySource>,
    /// CO-01.
    pub cors: Option<Cors>,
    /// Whether refusals are problem documents, and 404 and 405 say what is not there (§20).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_errors: bool,
    /// A resource policy (POL rows).
    pub policy: Option<Json>,
    /// Where that stands.
    #[serde(skip)]
    pub policy_at: Origin,
    /// DM-06, RT-17.
    pub endpoint: Endpoint,
    /// Tags of the document with their descriptions and AWS values.
    pub tags: Vec<Tag>,
    /// DOC-01.
    pub documentation: Option<Documentation>,
}

/// The `info` of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Info {
    /// The API's name.
    pub title: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// For readers.
    pub description: Option<String>,
}

/// A JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// For readers.
    pub description: Option<String>,
    /// The schema; references to other models are `#/components/schemas/Name`, whatever the document's version.
    pub schema: Json,
}

/// A security scheme; with `x-amazon-apigateway-authorizer` an authorizer (A rows).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorizer {
    /// `apiKey`, `oauth2`, `openIdConnect`, `http`, `basic`.
    pub scheme: String,
    /// The header or query parameter of an `apiKey` scheme.
    pub name: Option<String>,
    /// `header` or `query`.
    pub location: Option<String>,
    /// `x-amazon-apigateway-authtype`.
    pub auth_type: Option<String>,
    /// `x-amazon-apigateway-authorizer`, as written.
    pub authorizer: Option<Json>,
    /// What else the scheme says (flows, scopes, urls), as written.
    pub rest: Option<Json>,
}

/// A request validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// `validateRequestBody`
    pub body: bool,
    /// `validateRequestParameters`
    pub parameters: bool,
}

/// An override of a gateway response.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GatewayResponse {
    /// As written; `None`: the type's own.
    pub status: Option<Word>,
    /// GR-03.
    pub parameters: Vec<(Word, Word)>,
    /// GR-02, by media type.
    pub templates: Vec<(Word, Word)>,
}

/// Where a caller's key is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApiKeySource {
    /// `X-API-Key`
    Header,
    /// The authorizer's `usageIdentifierKey`.
    Authorizer,
}

/// The CORS configuration of an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cors {
    /// Where it begins.
    #[serde(skip)]
    pub place: Origin,
    /// `https://example.com`, `https://*`, `*`.
    pub allow_origins: Vec<Word>,
    /// Verbs, or `*`.
    pub allow_methods: Vec<Word>,
    /// Header names, or `*`.
    pub allow_headers: Vec<Word>,
    /// Header names, or `*`.
    pub expose_headers: Vec<Word>,
    /// Seconds, -1 to 86400.
    pub max_age: Option<i32>,
    /// Whether cookies may be sent.
    pub allow_credentials: Option<bool>,
}

/// The endpoint configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// `disableExecuteApiEndpoint`
    pub disable_execute_api: Option<bool>,
    /// `EDGE`, `REGIONAL`, `PRIVATE`.
    pub types: Vec<Word>,
    /// `vpcEndpointIds`
    pub vpc_endpoint_ids: Vec<Word>,
    /// `ipv4` or `dualstack`.
    pub ip_address_type: Option<Word>,
    /// `x-amazon-apigateway-endpoint-access-mode` (DM-09).
    pub access_mode: Option<Word>,
    /// `x-amazon-apigateway-security-policy` (DM-08).
    pub security_policy: Option<Word>,
}

/// A tag of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// For readers.
    pub description: Option<String>,
    /// `x-amazon-apigateway-tag-value`
    pub value: Option<String>,
}

/// `x-amazon-apigateway-documentation`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Documentation {
    /// Of the parts.
    pub version: Option<String>,
    /// The parts, as written.
    pub parts: Vec<Json>,
}

impl Definition {
    /// An API without anything.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            info: Info::default(),
            methods: Vec::new(),
            resources: Vec::new(),
            models: Vec::new(),
            authorizers: Vec::new(),
            validators: Vec::new(),
            validator: None,
            gateway_responses: Vec::new(),
            binary_media_types: Vec::new(),
            minimum_compression_size: None,
            api_key_source: None,
            cors: None,
            strict_errors: false,
            policy: None,
            policy_at: Origin::default(),
            endpoint: Endpoint::default(),
            tags: Vec::new(),
            documentation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_definition_is_the_same() {
        let mut definition = Definition::new(Kind::Rest);
        let mut method = Method::new(None, "/{proxy+}".into(), crate::Place { line: 4, ..Default::default() });
        method.integration = Some(Integration::new(IntegrationType::HttpProxy, *method.place));
        definition.methods.push(method);
        let json = serde_json::to_string(&definition).unwrap();
        assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), definition);
        assert_eq!(definition.methods[0].key(), "ANY /{proxy+}");
    }
}
