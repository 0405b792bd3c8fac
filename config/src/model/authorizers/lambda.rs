//! `type: lambda`: a function, or any HTTP endpoint, decides on callers (A-04 to A-10).

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::texts;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::values::At;
use crate::source::node::{Node, Text};

/// An authorizer that is asked, as written.
#[derive(Debug, Clone)]
pub struct LambdaSpec {
    /// Whether it is told the token alone, or the request.
    pub mode: Option<At<ModeSpec>>,
    /// Whom it is; `None`: unreadable, which is a fault already.
    pub uri: Option<Text>,
    /// The version of what it is told.
    pub payload: Option<Text>,
    /// Whether it answers `isAuthorized`.
    pub simple_responses: Option<bool>,
    /// What says who calls.
    pub identity_sources: Vec<Text>,
    /// What a token must look like.
    pub validation: Option<Text>,
    /// How long an answer is remembered.
    pub ttl: Option<Duration>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What an authorizer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeSpec {
    /// The token alone.
    Token,
    /// The request.
    Request,
}

/// The fields of an authorizer that is asked.
pub const LAMBDA: Table = Table {
    name: "a lambda authorizer",
    fields: &[
        Field::new("type", Type::Word(&["lambda"]), "lambda: a function, or an HTTP endpoint, decides").needed(),
        Field::new("mode", Type::Word(&["token", "request"]), "what it is told; request by default"),
        Field::new("uri", Type::Text, "http://…, an upstream's name as the host, or the ARN of a function").needed(),
        Field::new("payload", Type::Word(&["1.0", "2.0"]), "the version of what it is told, in HTTP APIs"),
        Field::new("simple_responses", Type::Flag, "true: it answers {\"isAuthorized\": …}; with payload 2.0"),
        Field::new("identity_sources", Type::TextList, "what says who calls; a request without one of them is 401"),
        Field::new("validation", Type::Text, "a regular expression that a token has to match"),
        Field::new("ttl", Type::Time, "how long an answer is remembered, up to 1h; 300s in REST, 0s in HTTP APIs"),
        Field::new("timeout", Type::Time, "how long it may take to answer; 10s by default, and at most"),
    ],
};

impl LambdaSpec {
    /// Reads one of them.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &LAMBDA)?;
        // Whoever calls has read it.
        let _ = object.get("type");
        let words = [("token", ModeSpec::Token), ("request", ModeSpec::Request)];
        let mode = object.get("mode").and_then(|node| reader.word(node, "`mode`", &words, &[]));
        let uri = object.get("uri").and_then(|node| reader.text(node, "`uri`"));
        if object.lacks("uri") {
            let what = format!("authorizer `{}` has no uri", name.text);
            reader.faults.error_hint(name.place, what, "write `uri: http://127.0.0.1:9000/authorize`");
        }
        let payload = object.get("payload").and_then(|node| {
            let text = reader.text(node, "`payload`")?;
            reader.word(node, "`payload`", &[("1.0", ()), ("2.0", ())], &[]).map(|_| text)
        });
        let simple_responses = object.get("simple_responses").and_then(|node| reader.flag(node, "`simple_responses`"));
        let identity_sources =
            object.get("identity_sources").map(|node| texts(node, "an identity source", reader)).unwrap_or_default();
        let validation = object.get("validation").and_then(|node| reader.text(node, "`validation`"));
        let ttl =
            object.get("ttl").and_then(|node| reader.time(node, "`ttl`", Duration::ZERO, limits::AUTHORIZER_TTL_MAX));
        let timeout = object.get("timeout").and_then(|node| {
            reader.time(node, "`timeout`", limits::AUTHORIZER_TIMEOUT_MIN, limits::AUTHORIZER_TIMEOUT)
        });
        object.close();
        Some(Self { mode, uri, payload, simple_responses, identity_sources, validation, ttl, timeout })
    }

    /// As `x-amazon-apigateway-authorizer` says it.
    pub fn to_json(&self) -> Json {
        let mut json = Map::new();
        let mode = match self.mode() {
            ModeSpec::Token => "token",
            ModeSpec::Request => "request",
        };
        json.insert("type".into(), mode.into());
        let text = |text: &Text| Json::from(&*text.text);
        json.insert("authorizerUri".into(), self.uri.as_ref().map_or(Json::Null, text));
        if !self.identity_sources.is_empty() {
            let sources: Vec<&str> = self.identity_sources.iter().map(|source| &*source.text).collect();
            json.insert("identitySource".into(), sources.join(", ").into());
        }
        let optional = [
            ("identityValidationExpression", self.validation.as_ref().map(text)),
            ("authorizerPayloadFormatVersion", self.payload.as_ref().map(text)),
            ("enableSimpleResponses", self.simple_responses.map(Json::from)),
            // Whole seconds, as AWS has them.
            ("authorizerResultTtlInSeconds", self.ttl.map(|ttl| (ttl.as_millis().div_ceil(1_000) as u64).into())),
            ("x-tollgate", self.timeout.map(|time| json!({ "timeoutInMillis": time.as_millis() as u64 }))),
        ];
        json.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Json::Object(json)
    }

    /// The rest of the security scheme: a token's header, or the word that AWS writes where there is none.
    pub fn scheme(&self) -> Json {
        let header = |source: &Text| {
            let name = source.text.rsplit_once("request.header.")?.1;
            Some(name.to_owned())
        };
        let token = (self.mode() == ModeSpec::Token).then(|| self.identity_sources.first().and_then(header));
        json!({ "name": token.flatten().unwrap_or_else(|| "Unused".to_owned()), "in": "header" })
    }

    fn mode(&self) -> ModeSpec {
        self.mode.map_or(ModeSpec::Request, |at| at.value)
    }
}
