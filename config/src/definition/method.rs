//! A method: a verb and a path (in an HTTP API: a route), what it asks of its callers, and who answers.

use policy::throttle::Limit;
use router::Verb;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::integration::Integration;
use super::word::{Origin, Word};
use crate::diagnostic::Place;

/// One method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// Where it begins.
    #[serde(skip)]
    pub place: Origin,
    /// `None`: ANY (RT-03).
    pub verb: Option<Verb>,
    /// `/pets/{id}` or `$default` (RT-11, RT-13).
    pub path: Word,
    /// `operationId`.
    pub operation_id: Option<Word>,
    /// One line for readers.
    pub summary: Option<String>,
    /// Some lines for readers.
    pub description: Option<String>,
    /// Words to sort it by.
    pub tags: Vec<String>,
    /// Whether callers should stop using it.
    pub deprecated: bool,
    /// What it may be asked with, bodies apart (VA-03, OA-07).
    pub parameters: Vec<Parameter>,
    /// Models of the body by media type (VA-04).
    pub request_models: Vec<(Word, ModelRef)>,
    /// OpenAPI's `requestBody.required`.
    pub body_required: bool,
    /// What it may answer, by status or `default`.
    pub responses: Vec<(Word, MethodResponse)>,
    /// Who may call.
    pub authorization: Authorization,
    /// Whether an API key is needed (OA-08).
    pub api_key_required: bool,
    /// Where `security` asks for something that nobody checks, so that anybody may call all the same; line 0: nowhere. For audits: a
    /// definition that was frozen has it no more.
    #[serde(skip)]
    pub unheeded: Origin,
    /// The request validator's name (VA-02); `None`: the API's default.
    pub validator: Option<Word>,
    /// Who answers; `None`: nobody yet, which is answered with 500 (ST-03).
    pub integration: Option<Integration>,
    /// Whether WebSocket connections pass through to the backend; of native routes alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub websocket: bool,
    /// Requests per second in each stage (TH-05); of native routes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Limit>,
    /// Requests at work at once in each stage; of native routes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// Who may call a method (A rows).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    /// Anybody.
    #[default]
    None,
    /// Those who sign with SigV4.
    Iam,
    /// Those whom this authorizer of the definition lets pass.
    Authorizer {
        /// Its name.
        name: Word,
        /// Scopes that the token must hold.
        scopes: Vec<Word>,
    },
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In the head.
    Header,
    /// In a form; read, and of no consequence.
    Form,
    /// In a cookie; read, and of no consequence.
    Cookie,
}

/// A parameter: name, place, whether it must be there, its type (OA-07).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// As callers write it.
    pub name: Word,
    /// Where it stands.
    pub location: Location,
    /// Whether it must be there.
    pub required: bool,
    /// `string`, `integer`, …
    pub type_name: Option<String>,
    /// For readers.
    pub description: Option<String>,
}

/// The schema of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRef {
    /// A model of the definition.
    Named(Word),
    /// A schema of its own.
    Inline(Json),
}

/// What a method may answer with one status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MethodResponse {
    /// For readers.
    pub description: Option<String>,
    /// Declared header fields and their types (IN-17).
    pub headers: Vec<(Word, Option<String>)>,
    /// Models by media type.
    pub models: Vec<(Word, ModelRef)>,
}

impl Method {
    /// A method of which nothing but its key is known.
    pub fn new(verb: Option<Verb>, path: Word, place: Place) -> Self {
        Self {
            place: place.into(),
            verb,
            path,
            operation_id: None,
            summary: None,
            description: None,
            tags: Vec::new(),
            deprecated: false,
            parameters: Vec::new(),
            request_models: Vec::new(),
            body_required: false,
            responses: Vec::new(),
            authorization: Authorization::None,
            api_key_required: false,
            unheeded: Origin::default(),
            validator: None,
            integration: None,
            websocket: false,
            throttle: None,
            concurrency: None,
        }
    }

    /// `GET /pets/{id}`, `ANY /{proxy+}` or `$default`.
    pub fn key(&self) -> String {
        if &*self.path == "$default" {
            return "$default".to_owned();
        }
        format!("{} {}", self.verb.map_or("ANY", Verb::as_str), self.path)
    }
}
