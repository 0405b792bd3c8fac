//! A route: a verb and a path, and who answers.

use std::time::Duration;

use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::integration::{self, IntegrationSpec};
use crate::model::reader::Reader;
use crate::model::values::At;
use crate::source::node::{Node, Text};

/// One route, as written.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// `GET /pets/{id}`, `ANY /{proxy+}`, or `$default`.
    pub key: Text,
    /// Who answers; `None`: unreadable, which is a fault already.
    pub integration: Option<IntegrationSpec>,
    /// To the end of the head of the backend's answer.
    pub timeout: Option<At<Duration>>,
}

/// The fields of a route.
pub const ROUTE: Table = Table {
    name: "a route",
    fields: &[
        Field::new("integration", Type::Object(&integration::INTEGRATION), "who answers"),
        Field::new("timeout", Type::Time, "to the end of the head of the backend's answer"),
        Field::later("authorizer", "which authorizer decides on the caller"),
        Field::later("authorization", "AWS_IAM: the caller signs with SigV4"),
        Field::later("scopes", "scopes that the caller's token must hold"),
        Field::later("api_key_required", "only callers with an API key"),
        Field::later("request_parameters", "changes of the request's parameters"),
        Field::later("response_parameters", "changes of the answer's parameters"),
        Field::later("retry", "asking again after a failure"),
        Field::later("limits", "limits of this route alone"),
        Field::later("websocket", "passing WebSocket connections through"),
        Field::later("throttle", "requests per second"),
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
        object.close();
        Some(Self { key: key.clone(), integration, timeout })
    }
}

/// A time-out of an integration (IN-12): at least 50 ms, longer than AWS's 29 s if asked.
pub fn timeout(node: &Node, reader: &mut Reader<'_>) -> Option<At<Duration>> {
    let value = reader.time(node, "`timeout`", limits::TIMEOUT_MIN, limits::TIMEOUT_MAX)?;
    Some(At { value, place: node.place })
}
