//! The JSON Schema (2020-12) of gateway.yaml, made of the reader's own tables: an editor offers and checks what `check` reads.
//!
//! It is for people who write: where the reader is lenient (nothing behind the colon of a text, `"true"` in quotes), it asks for the plain
//! form. What `check` refuses for more than its shape (a route that leads nowhere, a limit out of range) is not in it.

mod extensions;

use serde_json::{Map, Value, json};

pub use self::extensions::extensions;
use crate::model::DOCUMENT;
use crate::model::field::{Field, Table, Type};

/// The dialect that the schema is written in.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A time in the words of a document, as `values::time` reads it.
const TIME: &str = r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h)$";
/// A size with a unit, as `values::size` reads it.
const SIZE: &str = "^[0-9]+ *(B|kB|KB|MB|GB|KiB|MiB|GiB)?$";
/// A whole number in quotes.
const NUMBER: &str = "^[0-9]+$";
/// A number in quotes.
const DECIMAL: &str = r"^-?[0-9]+(\.[0-9]+)?$";
/// An address: a port behind a colon, or a path behind `unix:`.
const ADDRESS: &str = "^(unix:.+|.*:[0-9]+)$";

/// The schema of a whole document.
pub fn gateway() -> Value {
    let mut parts = Parts::default();
    let document = parts.name(&DOCUMENT);
    let mut at = 0;
    let mut definitions = Map::new();
    while let Some((table, name)) = parts.tables.get(at) {
        let (table, name) = (*table, name.clone());
        definitions.insert(name, parts.object(table));
        at += 1;
    }
    json!({
        "$schema": DIALECT,
        "title": format!("gateway.yaml of Tollgate {}", env!("CARGO_PKG_VERSION")),
        "$ref": format!("#/$defs/{document}"),
        "$defs": definitions,
    })
}

/// The tables met so far, each with the name of its definition.
#[derive(Default)]
struct Parts {
    tables: Vec<(&'static Table, String)>,
}

impl Parts {
    /// The definition's name of a table, which is written later if it is new.
    fn name(&mut self, table: &'static Table) -> String {
        // By content: a constant that is named twice may stand in memory twice.
        if let Some((_, name)) = self.tables.iter().find(|(known, _)| is_same(known, table)) {
            return name.clone();
        }
        let plain = short_name(table.name);
        let taken = |name: &str| self.tables.iter().any(|(_, known)| known == name);
        let mut name = plain.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{plain}_{number}");
            number += 1;
        }
        self.tables.push((table, name.clone()));
        name
    }

    fn object(&mut self, table: &'static Table) -> Value {
        let built = || table.fields.iter().filter(|field| field.is_built());
        let properties: Map<String, Value> =
            built().map(|field| (field.name.to_owned(), self.described(field))).collect();
        let needed: Vec<&str> = built().filter(|field| field.needed).map(|field| field.name).collect();
        // Nothing behind the colon is an object without fields: a fault only where one is needed.
        let mut schema =
            if needed.is_empty() { json!({ "type": ["object", "null"] }) } else { json!({ "type": "object" }) };
        schema["properties"] = properties.into();
        schema["additionalProperties"] = false.into();
        if !needed.is_empty() {
            schema["required"] = json!(needed);
        }
        schema
    }

    fn described(&mut self, field: &Field) -> Value {
        let mut schema = match self.of(field) {
            Value::Object(schema) => schema,
            other => unreachable!("a type's schema is an object, not {other}"),
        };
        let mut others = Vec::new();
        if !field.words.is_empty() {
            others.push(json!({ "enum": field.words }));
        }
        if let (Some(short), false) = (field.short, matches!(field.is, Type::List(_))) {
            others.push(self.value(short));
        }
        if !others.is_empty() {
            others.insert(0, schema.into());
            schema = Map::from_iter([("anyOf".to_owned(), others.into())]);
        }
        let mut described = Map::from_iter([("description".to_owned(), Value::from(sentence(field.doc)))]);
        described.append(&mut schema);
        described.into()
    }

    fn of(&mut self, field: &Field) -> Value {
        match (field.is, field.short) {
            (Type::List(table), Some(short)) => {
                let one = json!({ "anyOf": [self.reference(table), self.value(short)] });
                list_of(&one)
            }
            (is, _) => self.value(is),
        }
    }

    /// What a value may be.
    fn value(&mut self, is: Type) -> Value {
        match is {
            // A text's type comes from its field, not from its look: `port: 8080` is a text here.
            Type::Text | Type::Path => text(),
            Type::Number => {
                json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": NUMBER }] })
            }
            Type::Decimal => {
                json!({ "anyOf": [{ "type": "number" }, { "type": "string", "pattern": DECIMAL }] })
            }
            Type::Time => json!({ "type": "string", "pattern": TIME }),
            Type::Size => {
                json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": SIZE }] })
            }
            Type::Flag => json!({ "type": "boolean" }),
            Type::Address => json!({ "type": "string", "pattern": ADDRESS }),
            Type::Word(words) => json!({ "enum": words }),
            Type::Object(table) => self.reference(table),
            Type::List(table) => list_of(&self.reference(table)),
            Type::Objects(table) => {
                json!({ "type": ["object", "null"], "additionalProperties": self.reference(table) })
            }
            Type::ObjectsByType(tables) => {
                let one: Vec<Value> = tables.iter().map(|table| self.reference(table)).collect();
                json!({ "type": ["object", "null"], "additionalProperties": { "anyOf": one } })
            }
            Type::ObjectsAndFiles(table) => {
                let one = self.reference(table);
                let file = json!({ "anyOf": [list_of(&text()), one] });
                json!({ "type": ["object", "null"], "properties": { "file": file }, "additionalProperties": one })
            }
            Type::Texts => texts(&text()),
            Type::TextsByStatus => texts(&json!({ "anyOf": [text(), texts(&text())] })),
            Type::TextList => list_of(&text()),
            Type::Policy => json!({ "type": ["object", "string"] }),
            Type::Later => json!(false),
        }
    }

    fn reference(&mut self, table: &'static Table) -> Value {
        json!({ "$ref": format!("#/$defs/{}", self.name(table)) })
    }
}

fn is_same(a: &Table, b: &Table) -> bool {
    a.name == b.name && a.fields.iter().map(|field| field.name).eq(b.fields.iter().map(|field| field.name))
}

fn texts(one: &Value) -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": one })
}

/// One value stands for a list of one.
fn list_of(one: &Value) -> Value {
    json!({ "anyOf": [{ "type": "array", "items": one }, one] })
}

fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

/// `a route` and `` `limits.head` `` as names: `route`, `limits_head`.
fn short_name(name: &str) -> String {
    let name = name.trim_matches('`');
    let name = ["a ", "an ", "the "].iter().find_map(|article| name.strip_prefix(article)).unwrap_or(name);
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A line of the documentation as an editor shows it.
fn sentence(doc: &str) -> String {
    let mut letters = doc.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| walk(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let schema = gateway();
        let mut found = Vec::new();
        walk(&schema, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some_and(Value::is_object), "{reference}");
        }
    }

    #[test]
    fn what_is_not_built_is_not_offered() {
        let schema = gateway();
        let route = &schema["$defs"]["route"];
        assert!(route["properties"]["integration"].is_object());
        assert_eq!(route["properties"].get("validator"), None);
        assert_eq!(route["required"], json!(["integration"]));
        assert_eq!(route["additionalProperties"], false);
    }

    #[test]
    fn fields_are_described() {
        let schema = gateway();
        let timeout = &schema["$defs"]["route"]["properties"]["timeout"];
        assert_eq!(timeout["description"], "To the end of the head of the backend's answer");
        assert_eq!(timeout["pattern"], TIME);
    }

    #[test]
    fn tables_of_one_name_are_two_definitions() {
        const A: Table = Table { name: "a thing", fields: &[] };
        const B: Table = Table { name: "`thing`", fields: &[] };
        let mut parts = Parts::default();
        assert_eq!([parts.name(&A), parts.name(&B), parts.name(&A)], ["thing", "thing_2", "thing"]);
    }
}
