//! A route: a verb and a path, and who answers.

use std::time::Duration;

use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::integration::{self, IntegrationSpec};
use crate::model::reader::{Object, Reader};
use crate::model::resilience::{self, RouteRetrySpec};
use crate::model::settings::{THROTTLE, ThrottleSpec};
use crate::model::throttle::{CONCURRENCY, concurrency};
use crate::model::values::At;
use crate::source::node::{Entry, Node, Text, Value};

/// One route, as written.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// `GET /pets/{id}`, `ANY /{proxy+}`, or `$default`.
    pub key: Text,
    /// Who answers; `None`: unreadable, which is a fault already.
    pub integration: Option<IntegrationSpec>,
    /// To the end of the head of the backend's answer.
    pub timeout: Option<At<Duration>>,
    /// When a request is sent again; `None`: as its upstream says.
    pub retry: Option<RouteRetrySpec>,
    /// MP-01, MP-03: target and expression.
    pub request_parameters: Vec<(Text, Text)>,
    /// MP-02, MP-04.
    pub response_parameters: ResponseParametersSpec,
    /// Whether WebSocket connections pass through, where that is said.
    pub websocket: Option<At<bool>>,
    /// Who may call.
    pub access: AccessSpec,
    /// Requests per second (TH-05).
    pub throttle: Option<ThrottleSpec>,
    /// Requests at work at once.
    pub concurrency: Option<At<u32>>,
}

/// Who may call a route, as written.
#[derive(Debug, Clone, Default)]
pub struct AccessSpec {
    /// The name of an authorizer of the API.
    pub authorizer: Option<Text>,
    /// Whether callers sign with SigV4; `None`: what an imported method says.
    pub iam: Option<At<bool>>,
    ///
    pub scopes: Vec<Text>,
    /// KP-04.
    pub api_key_required: Option<At<bool>>,
}

/// Changes of the answer's parameters, as written: REST writes targets, HTTP writes them by status.
#[derive(Debug, Clone, Default)]
pub struct ResponseParametersSpec {
    /// Target and expression (MP-02).
    pub flat: Vec<(Text, Text)>,
    /// Status of the backend's answer, then target and expression (MP-04).
    pub by_status: Vec<(Text, Vec<(Text, Text)>)>,
}

/// The fields of a route.
pub const ROUTE: Table = Table {
    name: "a route",
    fields: &[
        Field::new("integration", Type::Object(&integration::INTEGRATION), "who answers").needed(),
        Field::new("timeout", Type::Time, "to the end of the head of the backend's answer"),
        resilience::ROUTE_RETRY,
        Field::new("request_parameters", Type::Texts, "changes of the request's parameters, by target"),
        Field::new(
            "response_parameters",
            Type::TextsByStatus,
            "changes of the answer's parameters, by target; in HTTP APIs by status and target",
        ),
        Field::new("websocket", Type::Flag, "true: WebSocket connections pass through to the backend"),
        Field::new("authorizer", Type::Text, "which authorizer decides on the caller"),
        Field::new("authorization", Type::Word(&["NONE", "AWS_IAM"]), "AWS_IAM: the caller signs with SigV4"),
        Field::new("scopes", Type::TextList, "the caller's token must hold one of them"),
        Field::new("api_key_required", Type::Flag, "true: only callers with an API key"),
        Field::later("limits", "limits of this route alone"),
        Field::new("throttle", Type::Object(&THROTTLE), "requests per second, in each stage by itself"),
        CONCURRENCY,
        Field::later("validator", "a check of parameters and body"),
    ],
};

impl RouteSpec {
    /// Reads one route.
    pub fn read(key: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &ROUTE)?;
        let integration = match object.get("integration") {
            Some(node) => IntegrationSpec::read(node, reader),
            None if object.lacks("integration") => {
                reader.faults.error_hint(
                    key.place,
                    format!("route `{}` has no integration", key.text),
                    "write `integration: {type: http_proxy, uri: \"http://127.0.0.1:9000/\"}` or `integration: {type: mock}`",
                );
                None
            }
            None => None,
        };
        let timeout = object.get("timeout").and_then(|node| timeout(node, reader));
        let retry = object.get("retry").and_then(|node| RouteRetrySpec::read(node, reader));
        let request_parameters = object
            .get("request_parameters")
            .map(|node| reader.texts(node, "`request_parameters`", "the parameter"))
            .unwrap_or_default();
        let response_parameters = object
            .get("response_parameters")
            .map(|node| ResponseParametersSpec::read(node, reader))
            .unwrap_or_default();
        let flag = |node: &Node| Some(At { value: reader.flag(node, "`websocket`")?, place: node.place });
        let websocket = object.get("websocket").and_then(flag);
        let access = AccessSpec::read(&object, reader);
        let throttle = object.get("throttle").and_then(|node| ThrottleSpec::read(node, reader));
        let concurrency = concurrency(&object, reader);
        object.close();
        Some(Self {
            key: key.clone(),
            integration,
            timeout,
            retry,
            request_parameters,
            response_parameters,
            websocket,
            access,
            throttle,
            concurrency,
        })
    }
}

impl AccessSpec {
    fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Self {
        Self {
            authorizer: object.get("authorizer").and_then(|node| reader.text(node, "`authorizer`")),
            iam: object
                .get("authorization")
                .and_then(|node| reader.word(node, "`authorization`", &[("NONE", false), ("AWS_IAM", true)], &[])),
            scopes: object
                .get("scopes")
                .map(|node| reader.list(node).iter().filter_map(|node| reader.text(node, "a scope")).collect())
                .unwrap_or_default(),
            api_key_required: object
                .get("api_key_required")
                .and_then(|node| Some(At { value: reader.flag(node, "`api_key_required`")?, place: node.place })),
        }
    }
}

impl ResponseParametersSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Self {
        let mut spec = Self::default();
        for Entry { key, value } in reader.entries(node, "`response_parameters`").unwrap_or_default() {
            if matches!(value.value, Value::Map(_)) {
                let what = format!("`response_parameters` of {}", key.text);
                spec.by_status.push((key.clone(), reader.texts(value, &what, "the parameter")));
            } else if let Some(text) = reader.text(value, &format!("the parameter `{}`", key.text)) {
                spec.flat.push((key.clone(), text));
            }
        }
        spec
    }
}

/// A time-out of an integration (IN-12): at least 50 ms, longer than AWS's 29 s if asked.
pub fn timeout(node: &Node, reader: &mut Reader<'_>) -> Option<At<Duration>> {
    let value = reader.time(node, "`timeout`", limits::TIMEOUT_MIN, limits::TIMEOUT_MAX)?;
    Some(At { value, place: node.place })
}
