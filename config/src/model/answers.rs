//! What an API says beside the answers of its integrations: the parts `cors` and `gateway_responses`.

use std::time::Duration;

use policy::gateway_type::GatewayType;

use crate::diagnostic::Place;
use crate::model::field::{Field, Table, Type, nearest};
use crate::model::reader::Reader;
use crate::source::node::{Node, Text};

/// Who may call from a page of another origin, as written.
#[derive(Debug, Clone)]
pub struct CorsSpec {
    /// Where it begins.
    pub place: Place,
    /// `https://example.com`, `https://*`, `*`.
    pub allow_origins: Vec<Text>,
    /// Verbs, or `*`.
    pub allow_methods: Vec<Text>,
    /// Header names, or `*`.
    pub allow_headers: Vec<Text>,
    /// Header names, or `*`.
    pub expose_headers: Vec<Text>,
    /// Seconds; -1: `off`.
    pub max_age: Option<i32>,
    /// Whether cookies may be sent.
    pub allow_credentials: Option<bool>,
}

/// The fields of `cors`.
pub const CORS: Table = Table {
    name: "`cors`",
    fields: &[
        Field::new(
            "allow_origins",
            Type::TextList,
            "https://app.example.com, https://*.example.com, https://*, http://localhost:*, or * for all",
        )
        .needed(),
        Field::new("allow_methods", Type::TextList, "verbs, or *"),
        Field::new("allow_headers", Type::TextList, "names of headers that a page may send, or *"),
        Field::new("expose_headers", Type::TextList, "names of headers of answers that a page may read, or *"),
        Field::new("max_age", Type::Time, "how long a browser may remember what it was told; off: not at all")
            .or(&["off"]),
        Field::new("allow_credentials", Type::Flag, "true: with cookies and the like; not with the origin *"),
    ],
};

/// One gateway response, as written.
#[derive(Debug, Clone)]
pub struct GatewayResponseSpec {
    /// Its type, such as `THROTTLED`.
    pub kind: Text,
    /// What is said in the place of the type's own status.
    pub status: Option<Text>,
    /// Target and expression (GR-03).
    pub parameters: Vec<(Text, Text)>,
    /// Media type and template (GR-02).
    pub templates: Vec<(Text, Text)>,
}

/// The fields of a gateway response.
pub const GATEWAY_RESPONSE: Table = Table {
    name: "a gateway response",
    fields: &[
        Field::new("status", Type::Number, "the status, 200 to 599"),
        Field::new("parameters", Type::Texts, "header fields: gatewayresponse.header.NAME, and 'text' or context.NAME"),
        Field::new("templates", Type::Texts, "bodies by media type, with $context.error.messageString and the like"),
    ],
};

impl CorsSpec {
    /// Reads `cors`.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &CORS)?;
        let mut texts = |name: &str| -> Vec<Text> {
            let what = format!("an entry of `{name}`");
            let Some(node) = object.get(name) else { return Vec::new() };
            reader.list(node).iter().filter_map(|node| reader.text(node, &what)).collect()
        };
        let [allow_origins, allow_methods, allow_headers, expose_headers] =
            ["allow_origins", "allow_methods", "allow_headers", "expose_headers"].map(&mut texts);
        let max_age = object.get("max_age").and_then(|node| age(node, reader));
        let allow_credentials = object.get("allow_credentials").and_then(|n| reader.flag(n, "`allow_credentials`"));
        if object.lacks("allow_origins") {
            let hint = "write `allow_origins: [https://app.example.com]`, or `*` for all";
            reader.faults.error_hint(node.place, "`cors` lets in no origin", hint);
        }
        object.close();
        let place = node.place;
        Some(Self { place, allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials })
    }
}

/// CO-01.
fn age(node: &Node, reader: &mut Reader<'_>) -> Option<i32> {
    if matches!(&*reader.text(node, "`max_age`")?.text, "off" | "-1") {
        return Some(-1);
    }
    let most = Duration::from_secs(u64::from(policy::limits::CORS_AGE_MAX.unsigned_abs()));
    reader.time(node, "`max_age`", Duration::ZERO, most).map(|time| time.as_secs() as i32)
}

impl GatewayResponseSpec {
    /// Reads one gateway response.
    pub fn read(kind: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if GatewayType::of(&kind.text).is_none() {
            let near = nearest(&kind.text, GatewayType::NAMES.into_iter());
            let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            let what = format!("`{}` is no type of gateway response{near}", kind.text);
            reader.faults.error_hint(kind.place, what, format!("the types are {}", GatewayType::NAMES.join(", ")));
        }
        let object = reader.object(node, &GATEWAY_RESPONSE)?;
        let status = object.get("status").and_then(|node| {
            reader.number(node, "the status of a gateway response", 200, 599)?;
            reader.text(node, "`status`")
        });
        let mut texts = |name: &str, one: &str| {
            let node = object.get(name);
            node.map(|node| reader.texts(node, &format!("`{name}`"), one)).unwrap_or_default()
        };
        let parameters = texts("parameters", "the parameter");
        let templates = texts("templates", "the template for");
        object.close();
        Some(Self { kind: kind.clone(), status, parameters, templates })
    }
}
