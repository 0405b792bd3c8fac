//! Who answers a route: the gateway itself, or a backend over HTTP.

use std::time::Duration;

use crate::diagnostic::Place;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::model::route;
use crate::model::values::At;
use crate::source::node::{Entry, Node, Text};

/// An integration, as written.
#[derive(Debug, Clone)]
pub enum IntegrationSpec {
    /// `type: mock`
    Mock(MockSpec),
    /// `type: http_proxy` and `type: http`
    Http(HttpSpec),
}

/// An answer made by the gateway, as written.
#[derive(Debug, Clone)]
pub struct MockSpec {
    /// 200 by default.
    pub status: Option<At<u16>>,
    /// Name and value.
    pub headers: Vec<(Text, Text)>,
    /// The body.
    pub body: Option<Text>,
}

/// An answer fetched from a backend, as written.
#[derive(Debug, Clone)]
pub struct HttpSpec {
    /// `http_proxy`.
    pub proxy: bool,
    /// Where; stage variables and path variables not filled in.
    pub uri: Text,
    /// The verb towards the backend.
    pub method: Option<Text>,
    /// To the end of the head of the backend's answer.
    pub timeout: Option<At<Duration>>,
    /// Where the integration begins.
    pub place: Place,
}

/// The fields of an integration.
pub const INTEGRATION: Table = Table {
    name: "an integration",
    fields: &[
        Field::new("type", Type::Word(&["mock", "http_proxy", "http"]), "who answers: mock, http_proxy or http")
            .needed(),
        Field::new("status", Type::Number, "mock: the status, 200 by default"),
        Field::new("headers", Type::Texts, "mock: header fields by name"),
        Field::new("body", Type::Text, "mock: the body"),
        Field::new("uri", Type::Text, "http: where, such as http://pets/{proxy}"),
        Field::new(
            "method",
            Type::Word(&["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]),
            "http: the verb, the client's by default",
        ),
        Field::new("timeout", Type::Time, "http: to the end of the head of the backend's answer"),
    ],
};

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Mock,
    HttpProxy,
    Http,
}

const MANNERS: [(&str, Manner); 3] =
    [("mock", Manner::Mock), ("http_proxy", Manner::HttpProxy), ("http", Manner::Http)];
const LATER: [&str; 7] = ["aws", "aws_proxy", "lambda", "lambda_proxy", "service", "private", "vpc_link"];

impl IntegrationSpec {
    /// Reads an integration.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &INTEGRATION)?;
        let manner = match object.get("type") {
            Some(node) => reader.word(node, "`type`", &MANNERS, &LATER),
            None if object.lacks("type") => {
                reader.faults.error_hint(
                    object.place,
                    "an integration needs a type",
                    "write `type: http_proxy`, `type: http` or `type: mock`",
                );
                None
            }
            None => None,
        };
        let mock = MockSpec::read(&object, reader);
        let http = HttpSpec::read(&object, reader, manner.map(|at| at.value));
        let read = manner.and_then(|manner| {
            foreign_fields(&object, manner.value, reader);
            if manner.value == Manner::Mock { Some(Self::Mock(mock)) } else { http.map(Self::Http) }
        });
        object.close();
        read
    }
}

/// A field of the other kind of integration would be ignored.
fn foreign_fields(object: &Object<'_>, manner: Manner, reader: &mut Reader<'_>) {
    let (foreign, name): (&[&str], &str) = match manner {
        Manner::Mock => (&["uri", "method", "timeout"], "mock"),
        Manner::HttpProxy => (&["status", "headers", "body"], "http_proxy"),
        Manner::Http => (&["status", "headers", "body"], "http"),
    };
    for field in foreign {
        if let Some(node) = object.get(field) {
            reader.faults.error_hint(
                node.place,
                format!("`{field}` means nothing in an integration of type {name}"),
                if manner == Manner::Mock {
                    "a mock answers by itself: `status`, `headers`, `body`"
                } else {
                    "the backend answers: `uri`, `method`, `timeout`"
                },
            );
        }
    }
}

impl MockSpec {
    fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Self {
        let status = object.get("status").and_then(|node| {
            let number = reader.number(node, "`status`", 200, 599)?;
            Some(At { value: number as u16, place: node.place })
        });
        let headers = object.get("headers").and_then(|node| reader.entries(node, "`headers`")).unwrap_or_default();
        let headers = headers
            .iter()
            .filter_map(|Entry { key, value }| {
                Some((key.clone(), reader.text(value, &format!("header `{}`", key.text))?))
            })
            .collect();
        let body = object.get("body").and_then(|node| reader.text(node, "`body`"));
        Self { status, headers, body }
    }
}

impl HttpSpec {
    fn read(object: &Object<'_>, reader: &mut Reader<'_>, manner: Option<Manner>) -> Option<Self> {
        let uri = object.get("uri").and_then(|node| reader.text(node, "`uri`"));
        if object.lacks("uri") && matches!(manner, Some(Manner::HttpProxy | Manner::Http)) {
            reader.faults.error_hint(
                object.place,
                "an HTTP integration needs a uri",
                "write `uri: \"http://127.0.0.1:9000/\"`",
            );
        }
        let method = object.get("method").and_then(|node| reader.text(node, "`method`"));
        let timeout = object.get("timeout").and_then(|node| route::timeout(node, reader));
        Some(Self { proxy: manner == Some(Manner::HttpProxy), uri: uri?, method, timeout, place: object.place })
    }
}
