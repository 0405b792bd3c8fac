//! Who answers a method: the whole of `x-amazon-apigateway-integration` (aws-features §4, §14.1), and our own native forms.

use serde::{Deserialize, Serialize};

use super::word::{Origin, Word};
use crate::diagnostic::Place;

/// The manner of answering (IN-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationType {
    /// A backend over HTTP, everything passes (IN-03).
    HttpProxy,
    /// A backend over HTTP, only what is mapped passes (IN-04).
    Http,
    /// The gateway itself (IN-10).
    Mock,
    /// Lambda with the whole request as its event (IN-06), or a first-class service of an HTTP API (IN-09).
    AwsProxy,
    /// An AWS service, or Lambda with a mapped event (IN-07, IN-08).
    Aws,
}

/// What happens to a body whose type has no template (MP-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Passthrough {
    /// It passes as it came.
    WhenNoMatch,
    /// It passes only if there is no template at all.
    WhenNoTemplates,
    /// 415.
    Never,
}

/// Bytes or text (MP-19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContentHandling {
    /// Base64 becomes bytes.
    ConvertToBinary,
    /// Bytes become base64.
    ConvertToText,
}

/// How an answer travels (IN-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TransferMode {
    /// Read whole, then sent: AWS's default. We stream wherever nothing reads the body.
    Buffered,
    /// Passed on as it comes.
    Stream,
}

/// Which way leads to the backend (IN-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionType {
    /// The network.
    Internet,
    /// A VPC link.
    VpcLink,
}

/// An integration. Texts are as written: stage variables and path variables are not filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Integration {
    /// Where it begins.
    #[serde(skip)]
    pub place: Origin,
    /// The manner of answering.
    pub kind: IntegrationType,
    /// `http://…`, or `arn:aws:apigateway:…`.
    pub uri: Option<Word>,
    /// The verb towards the backend; `None` or `ANY`: the client's.
    pub http_method: Option<Word>,
    /// `SQS-SendMessage` (IN-09).
    pub subtype: Option<Word>,
    /// A role, or `arn:aws:iam::*:user/*` (IN-20).
    pub credentials: Option<Word>,
    /// The way to the backend.
    pub connection_type: Option<ConnectionType>,
    /// The VPC link.
    pub connection_id: Option<Word>,
    /// The listener behind the VPC link (IN-11).
    pub integration_target: Option<Word>,
    /// Milliseconds to the end of the head of the answer (IN-12).
    pub timeout_ms: Option<u32>,
    /// When a request is sent again; `None`: as its upstream says (`x-tollgate-retry` in exports).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What happens to bodies without a template.
    pub passthrough: Option<Passthrough>,
    /// What happens to the request's body.
    pub content_handling: Option<ContentHandling>,
    /// CA rows.
    pub cache_namespace: Option<Word>,
    /// CA rows.
    pub cache_key_parameters: Vec<Word>,
    /// `1.0` or `2.0` (§4.2).
    pub payload_format_version: Option<Word>,
    /// IN-15.
    pub insecure_skip_verification: Option<bool>,
    /// The name in the certificate of a private backend (IN-11).
    pub server_name_to_verify: Option<Word>,
    /// IN-18.
    pub transfer_mode: Option<TransferMode>,
    /// MP-01 and MP-03: target and expression, in the order of the document.
    pub request_parameters: Vec<(Word, Word)>,
    /// MP-06: media type and template.
    pub request_templates: Vec<(Word, Word)>,
    /// REST: IN-16, by selection pattern, `default` where there is none. HTTP: none; see `response_parameters`.
    pub responses: Vec<IntegrationResponse>,
    /// HTTP (MP-04): by status of the backend, target and expression.
    pub response_parameters: Vec<(Word, Vec<(Word, Word)>)>,
    /// Our own native mock: an answer written out (`x-tollgate-mock` in exports).
    pub mock: Option<MockAnswer>,
}

/// One answer that an integration's answer may become (IN-16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationResponse {
    /// A regular expression over the status or the Lambda's error, or `default`.
    pub pattern: Word,
    /// The status that the client gets, as written.
    pub status: Word,
    /// MP-02: target and expression.
    pub parameters: Vec<(Word, Word)>,
    /// MP-08: media type and template.
    pub templates: Vec<(Word, Word)>,
    /// What happens to the body.
    pub content_handling: Option<ContentHandling>,
}

/// When a request is sent again; what is `None` is as the upstream says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Times that it is sent at most, the first included.
    pub attempts: Option<u8>,
    /// Milliseconds of one attempt.
    pub try_time_ms: Option<u32>,
}

/// An answer written in the configuration. The values are templates of `policy::transform::template`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockAnswer {
    /// 200 to 599.
    pub status: u16,
    /// Name and value.
    pub headers: Vec<(Word, Word)>,
    /// The body.
    pub body: Option<Word>,
}

impl Integration {
    /// An integration of which nothing but its manner is known.
    pub fn new(kind: IntegrationType, place: Place) -> Self {
        Self { place: place.into(), kind, ..Self::default() }
    }
}

impl Default for Integration {
    fn default() -> Self {
        Self {
            place: Origin::default(),
            kind: IntegrationType::Mock,
            uri: None,
            http_method: None,
            subtype: None,
            credentials: None,
            connection_type: None,
            connection_id: None,
            integration_target: None,
            timeout_ms: None,
            retry: None,
            passthrough: None,
            content_handling: None,
            cache_namespace: None,
            cache_key_parameters: Vec::new(),
            payload_format_version: None,
            insecure_skip_verification: None,
            server_name_to_verify: None,
            transfer_mode: None,
            request_parameters: Vec::new(),
            request_templates: Vec::new(),
            responses: Vec::new(),
            response_parameters: Vec::new(),
            mock: None,
        }
    }
}
