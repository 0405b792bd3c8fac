//! `x-amazon-apigateway-documentation` at the root (DOC-01).

use serde_json::Value as Json;

use super::extensions::Fields;
use super::{Source, field};
use crate::definition::Documentation;
use crate::limits;
use crate::source::node::{Node, Value};

/// What a part may be about, and whether it has a name (DOC-01).
const TYPES: [(&str, bool); 12] = [
    ("API", false),
    ("AUTHORIZER", true),
    ("MODEL", true),
    ("RESOURCE", false),
    ("METHOD", false),
    ("PATH_PARAMETER", true),
    ("QUERY_PARAMETER", true),
    ("REQUEST_HEADER", true),
    ("REQUEST_BODY", false),
    ("RESPONSE", false),
    ("RESPONSE_HEADER", true),
    ("RESPONSE_BODY", false),
];

/// The version and the parts. Not called if the documentation is to be passed over.
pub fn documentation(node: &Node, from: &mut Source<'_>) -> Option<Documentation> {
    if !matches!(node.value, Value::Map(_)) {
        from.entries(node, "`x-amazon-apigateway-documentation`");
        return None;
    }
    let fields = Fields::open(node, "`x-amazon-apigateway-documentation`", &["documentationParts", "version"], from);
    let version = fields.text("version", from).map(|version| version.to_string());
    let listed =
        fields.get("documentationParts").map(|node| from.list(node, "`documentationParts`")).unwrap_or_default();
    if let Some(part) = listed.get(limits::DOCUMENTATION_PARTS_MAX) {
        from.warn(
            part.place,
            format!("more than {} documentation parts", limits::DOCUMENTATION_PARTS_MAX),
            "this one and those after it are passed over, AWS takes no more either",
        );
    }
    let listed = &listed[..listed.len().min(limits::DOCUMENTATION_PARTS_MAX)];
    let parts = listed.iter().filter_map(|node| part(node, from)).collect();
    Some(Documentation { version, parts })
}

/// A part as written, if it can be placed.
fn part(node: &Node, from: &mut Source<'_>) -> Option<Json> {
    let entries = from.entries(node, "a documentation part");
    let location = field(entries, "location");
    let location_entries = location.map(|node| from.entries(node, "`location`")).unwrap_or_default();
    let kind = field(location_entries, "type").and_then(|node| from.text(node, "the type of a `location`"));
    let place = location.map_or(node.place, |location| location.place);
    let Some(kind) = kind else {
        from.warn(place, "a documentation part without a type", "it is passed over: `location` needs a `type`");
        return None;
    };
    let upper = kind.to_uppercase();
    let Some((_, is_named)) = TYPES.iter().find(|(name, _)| *name == upper) else {
        let types: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        from.warn(
            kind.place(),
            format!("`{kind}` is no type of documentation part"),
            format!("it is passed over; the types are {}", types.join(", ")),
        );
        return None;
    };
    if *is_named && field(location_entries, "name").is_none() {
        from.warn(place, format!("a documentation part of type {upper} without a name"), "write whose it is: `name`");
    }
    Some(from.json(node))
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::json;

    use super::super::extensions::tests_help::read;
    use super::*;

    #[test]
    fn parts_are_kept_as_written() {
        let text = "version: 1.0.3\ncreatedDate: 2016\ndocumentationParts:\n  - {location: {type: API}, properties: {info: {version: 3}}}\n  \
                    - {location: {type: query_parameter, name: page}, properties: '{\"description\":\"x\"}'}\n";
        let (read, said) = read(Kind::Rest, text, documentation);
        let read = read.unwrap();
        assert_eq!(said, "");
        assert_eq!(read.version.as_deref(), Some("1.0.3"));
        assert_eq!(
            read.parts,
            [
                json!({"location": {"type": "API"}, "properties": {"info": {"version": 3}}}),
                json!({"location": {"type": "query_parameter", "name": "page"}, "properties": "{\"description\":\"x\"}"}),
            ]
        );
    }

    #[test]
    fn parts_without_a_place_are_passed_over() {
        let text = "documentationParts:\n- {location: {type: CITY}}\n- {properties: {}}\n- {location: {type: MODEL}}\n- words\n";
        let (read, said) = read(Kind::Rest, text, documentation);
        assert_eq!(read.unwrap().parts, [json!({"location": {"type": "MODEL"}})]);
        assert_eq!(
            said,
            "warning: `CITY` is no type of documentation part\n\
             warning: a documentation part without a type\n\
             warning: a documentation part of type MODEL without a name\n\
             warning: a documentation part must be a mapping, not a text\n\
             warning: a documentation part without a type\n"
        );
    }

    #[test]
    fn more_parts_than_aws_takes_are_passed_over() {
        let part = "- {location: {type: API}}\n";
        let text = format!("documentationParts:\n{}", part.repeat(limits::DOCUMENTATION_PARTS_MAX + 1));
        let (read, said) = read(Kind::Rest, &text, documentation);
        assert_eq!(read.unwrap().parts.len(), limits::DOCUMENTATION_PARTS_MAX);
        assert_eq!(said, "warning: more than 2000 documentation parts\n");
    }
}
