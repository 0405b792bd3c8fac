//! Which OpenAPI documents an API is made of, and how they are read (OA-01 to OA-03, OA-06).

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::values::At;
use crate::source::node::{Node, Text, Value};

/// `openapi: petstore.yaml`, a list of files, or the whole form.
#[derive(Debug, Clone)]
pub struct OpenApiSpec {
    /// Where it begins.
    pub place: Place,
    /// Paths relative to the document's folder, in the order in which they are read; empty only after a fault.
    pub files: Vec<Text>,
    /// What a second file does to the first; merge by default.
    pub mode: Option<At<ModeSpec>>,
    /// What becomes of the base path of `servers` or `basePath`; ignored by default.
    pub base_path: Option<At<BasePathSpec>>,
    /// Whether a warning about the documents keeps the API from serving; `None`: no.
    pub fail_on_warnings: Option<bool>,
    /// What `${AWS::AccountId}` and its like stand for.
    pub variables: AwsVariablesSpec,
    /// Whether documentation parts are left out; `None`: no.
    pub ignore_documentation: Option<bool>,
}

/// What a further file does to what was read before it (OA-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeSpec {
    /// It adds, and replaces what has the same name.
    Merge,
    /// It replaces all.
    Overwrite,
}

/// What becomes of a document's base path (OA-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BasePathSpec {
    /// Nothing.
    Ignore,
    /// It stands before every path.
    Prepend,
    /// All but its first segment stands before every path.
    Split,
}

/// The values of AWS's pseudo parameters.
#[derive(Debug, Clone, Default)]
pub struct AwsVariablesSpec {
    /// `${AWS::AccountId}`
    pub account_id: Option<Text>,
    /// `${AWS::Region}`
    pub region: Option<Text>,
    /// `${AWS::Partition}`
    pub partition: Option<Text>,
}

/// The fields of `openapi`.
pub const OPENAPI: Table = Table {
    name: "`openapi`",
    fields: &[
        Field::new("files", Type::TextList, "the documents, relative to this one's folder").needed(),
        Field::new("mode", Type::Word(&["merge", "overwrite"]), "what a further document does to those before it"),
        Field::new("base_path", Type::Word(&["ignore", "prepend", "split"]), "what becomes of the base path"),
        Field::new("fail_on_warnings", Type::Flag, "true: a warning about the documents is an error"),
        Field::new("variables", Type::Object(&VARIABLES), "what ${AWS::AccountId} and its like stand for"),
        Field::new("ignore_documentation", Type::Flag, "true: documentation parts are left out"),
    ],
};

/// The fields of `openapi.variables`.
pub const VARIABLES: Table = Table {
    name: "`variables`",
    fields: &[
        Field::new("account_id", Type::Text, "${AWS::AccountId}"),
        Field::new("region", Type::Text, "${AWS::Region}"),
        Field::new("partition", Type::Text, "${AWS::Partition}"),
    ],
};

const MODES: [(&str, ModeSpec); 2] = [("merge", ModeSpec::Merge), ("overwrite", ModeSpec::Overwrite)];
const BASE_PATHS: [(&str, BasePathSpec); 3] =
    [("ignore", BasePathSpec::Ignore), ("prepend", BasePathSpec::Prepend), ("split", BasePathSpec::Split)];

impl OpenApiSpec {
    /// Reads the field. A text or a list is short for `{files: …}`.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut spec = Self {
            place: node.place,
            files: Vec::new(),
            mode: None,
            base_path: None,
            fail_on_warnings: None,
            variables: AwsVariablesSpec::default(),
            ignore_documentation: None,
        };
        if !matches!(node.value, Value::Map(_)) {
            spec.files = files(node, "`openapi`", reader);
            return Some(spec);
        }
        let object = reader.object(node, &OPENAPI)?;
        spec.files = object.get("files").map(|node| files(node, "`files`", reader)).unwrap_or_default();
        if object.lacks("files") {
            reader.faults.error_hint(object.place, "`openapi` names no file", "write `files: [petstore.yaml]`");
        }
        spec.mode = object.get("mode").and_then(|node| reader.word(node, "`mode`", &MODES, &[]));
        spec.base_path = object.get("base_path").and_then(|node| reader.word(node, "`base_path`", &BASE_PATHS, &[]));
        spec.fail_on_warnings = object.get("fail_on_warnings").and_then(|node| reader.flag(node, "`fail_on_warnings`"));
        spec.variables =
            object.get("variables").and_then(|node| AwsVariablesSpec::read(node, reader)).unwrap_or_default();
        spec.ignore_documentation =
            object.get("ignore_documentation").and_then(|node| reader.flag(node, "`ignore_documentation`"));
        object.close();
        Some(spec)
    }
}

fn files(node: &Node, what: &str, reader: &mut Reader<'_>) -> Vec<Text> {
    let list = reader.list(node);
    if list.is_empty() {
        reader.faults.error_hint(node.place, format!("{what} names no file"), "write `openapi: petstore.yaml`");
    }
    if list.len() > limits::OPENAPI_FILES_MAX {
        reader.faults.error(node.place, format!("more than {} documents of one API", limits::OPENAPI_FILES_MAX));
    }
    let mut files: Vec<Text> = Vec::new();
    for node in list.iter().take(limits::OPENAPI_FILES_MAX) {
        let Some(text) = reader.text(node, "a file of `openapi`") else { continue };
        if text.text.is_empty() {
            reader.faults.error_hint(text.place, "the path of an OpenAPI document is empty", "write a file's path");
        } else if text.text.contains("://") {
            let hint = "documents are never fetched: save it beside this one, and write the file's path";
            reader.faults.error_hint(text.place, format!("`{}` is an address, not a file", text.text), hint);
        } else if let Some(first) = files.iter().find(|known| known.text == text.text) {
            let hint = format!("the first is in line {}", first.place.line);
            reader.faults.error_hint(text.place, format!("`{}` is named twice", text.text), hint);
        } else {
            files.push(text);
        }
    }
    files
}

impl AwsVariablesSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &VARIABLES)?;
        let mut text = |name: &str| object.get(name).and_then(|node| reader.text(node, &format!("`{name}`")));
        let spec = Self { account_id: text("account_id"), region: text("region"), partition: text("partition") };
        object.close();
        Some(spec)
    }
}
