//! The part `api_keys`: keys that the document names, and files with many (KP-01, KP-02).

use crate::diagnostic::Place;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::values::At;
use crate::source::node::{Entry, Node, Text, Value};

/// All keys of a document, as written.
#[derive(Debug, Clone, Default)]
pub struct KeysSpec {
    /// The single ones.
    pub keys: Vec<KeySpec>,
    /// Files of many.
    pub files: Vec<Text>,
}

/// One key, as written.
#[derive(Debug, Clone)]
pub struct KeySpec {
    /// Its name, which is its id.
    pub id: Text,
    /// Where its value is; `None`: unreadable, which is a fault already.
    pub value: Option<Text>,
    /// The plans that it is in.
    pub plans: Vec<Text>,
    /// Whether it opens anything; `None`: it does.
    pub enabled: Option<At<bool>>,
    /// For readers.
    pub description: Option<Text>,
}

/// The fields of a key.
pub const KEY: Table = Table {
    name: "an API key",
    fields: &[
        Field::new("value", Type::Text, "where its value is: ${file:path}, ${env:NAME} or ${credential:name}").needed(),
        Field::new("plans", Type::TextList, "the usage plans that it is in"),
        Field::new("enabled", Type::Flag, "false: it opens nothing"),
        Field::new("description", Type::Text, "for readers"),
    ],
};

impl KeysSpec {
    /// Reads the part.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Self {
        let mut spec = Self::default();
        for Entry { key, value } in reader.entries(node, "`api_keys`").unwrap_or_default() {
            if &*key.text == "file" && !matches!(value.value, Value::Map(_)) {
                spec.files = reader.list(value).iter().filter_map(|node| reader.text(node, "`file`")).collect();
            } else {
                spec.keys.extend(KeySpec::read(key, value, reader));
            }
        }
        spec
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.files.is_empty()
    }
}

impl KeySpec {
    fn read(id: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &KEY)?;
        let value = object.get("value").and_then(|node| reader.secret(node, "`value`"));
        if object.lacks("value") {
            let hint = format!("write `value: \"${{file:keys/{}}}\"`", id.text);
            reader.faults.error_hint(id.place, format!("API key `{}` has no value", id.text), hint);
        }
        let plans = object.get("plans").map(|node| {
            let list = reader.list(node).iter();
            list.filter_map(|node| reader.text(node, "`plans`")).collect()
        });
        let enabled = object.get("enabled").and_then(|node| {
            let value = reader.flag(node, "`enabled`")?;
            Some(At { value, place: node.place })
        });
        let description = object.get("description").and_then(|node| reader.text(node, "`description`"));
        object.close();
        Some(Self { id: id.clone(), value, plans: plans.unwrap_or_default(), enabled, description })
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.id.place
    }
}
