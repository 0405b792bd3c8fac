//! Documents of the public become definitions: OpenAPI 3.0 and 3.1 and Swagger 2.0 with API Gateway's extensions (OA rows).
//!
//! A document that AWS accepts is imported without an error: what AWS passes over is passed over, what it warns of is a warning, and an
//! error says what cannot be meant. What is understood but not yet executed is for `compile` to say.

mod authorizer;
mod cors;
mod declared;
mod document;
mod documentation;
mod endpoint;
pub mod export;
mod extensions;
mod gateway_responses;
mod integration;
mod intrinsics;
mod json;
mod merge;
mod operation;
mod parameters;
mod paths;
mod placeholder;
mod refs;
mod schema;
mod security;
mod template;
mod unrendered;

use std::path::{Path, PathBuf};

use router::Kind;
use serde_json::Value as Json;

pub use self::merge::merge;
use self::refs::Files;
pub use self::schema::pointer_to;
use crate::definition::{Definition, Word};
use crate::diagnostic::{Diagnostics, Place, Severity};
use crate::input::Input;
use crate::limits;
use crate::source::node::{Entry, Node, Value};

/// What is done with an API that is there already, or with the file before (OA-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What the document does not mention stays; where both have something, the document wins.
    #[default]
    Merge,
    /// Nothing of it stays.
    Overwrite,
}

/// What the base path of a document does to its paths (OA-03). With `/a/b/c` and the path `/e`:
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BasePath {
    /// `/e`
    #[default]
    Ignore,
    /// `/a/b/c/e`
    Prepend,
    /// `/b/c/e`: the first segment is left to the domain's mapping.
    Split,
}

/// What `${AWS::…}` stands for (OA-06); `None`: it stays as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// `${AWS::AccountId}`
    pub account_id: Option<String>,
    /// `${AWS::Region}`
    pub region: Option<String>,
    /// `${AWS::Partition}`
    pub partition: Option<String>,
}

/// How documents are imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// Which rules hold.
    pub kind: Kind,
    /// Of several files, from the second on.
    pub mode: Mode,
    /// What the base path does.
    pub base_path: BasePath,
    /// A warning of the import is an error.
    pub fail_on_warnings: bool,
    /// Values of `${AWS::…}`.
    pub variables: Variables,
    /// `x-amazon-apigateway-documentation` is passed over.
    pub ignore_documentation: bool,
    /// The folder that a `$ref` may not leave: that of `gateway.yaml`; `None`: the folder of the document itself.
    pub root: Option<PathBuf>,
}

impl ImportOptions {
    /// The defaults of API Gateway.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            mode: Mode::default(),
            base_path: BasePath::default(),
            fail_on_warnings: false,
            variables: Variables::default(),
            ignore_documentation: false,
            root: None,
        }
    }
}

/// Imports files, each with the place that names it; of several, each changes what those before it made (OA-02).
///
/// `None` if there is nothing to go on with. A definition beside errors holds what could be read, so that the rest can be checked as well;
/// it must not serve.
pub fn import(files: &[(PathBuf, Place)], options: &ImportOptions, faults: &mut Diagnostics) -> Option<Definition> {
    let first_fault = faults.list.len();
    let mut loaded = Files::new(options.variables.clone());
    let mut numbers = Vec::with_capacity(files.len());
    for (path, place) in files {
        if is_there(path, *place, faults) {
            numbers.extend(loaded.read(path, options.root.as_deref(), faults));
        }
    }
    finish(&loaded, &numbers, options, first_fault, faults)
}

/// Imports one document from memory; `name` stands for its file in faults, and its ending says whether it is JSON. A `$ref` to a file
/// is an error.
pub fn import_text(name: &str, text: &[u8], options: &ImportOptions, faults: &mut Diagnostics) -> Option<Definition> {
    let first_fault = faults.list.len();
    let mut loaded = Files::new(options.variables.clone());
    let number = loaded.add_text(name, text, faults);
    finish(&loaded, number.as_slice(), options, first_fault, faults)
}

/// Whether a file can be opened, which is best said where it is named; whoever watches files waits for it.
fn is_there(path: &Path, place: Place, faults: &mut Diagnostics) -> bool {
    let (what, hint) = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => return true,
        Ok(_) => (format!("`{}` is no file", path.display()), "name the OpenAPI document itself"),
        Err(error) => (
            format!("`{}` cannot be read: {error}", path.display()),
            if place == Place::default() {
                "check the path: it is taken from the folder where the command runs"
            } else {
                "check the path: it is taken from the folder of the configuration"
            },
        ),
    };
    faults.files.push(Input::missing(path));
    faults.error_hint(place, what, hint);
    false
}

/// Reads the documents in order, each onto what those before it made.
fn finish(
    files: &Files,
    numbers: &[usize],
    options: &ImportOptions,
    first_fault: usize,
    faults: &mut Diagnostics,
) -> Option<Definition> {
    let mut from = Source::new(faults, options, files);
    let mut whole: Option<Definition> = None;
    let mut used = Vec::new();
    for number in numbers {
        from.document = files.root(*number).place;
        let before = whole.as_ref().filter(|_| options.mode == Mode::Merge);
        let Some(imported) = document::read(*number, before, &mut from) else { continue };
        match &mut whole {
            Some(known) if options.mode == Mode::Merge => merge(known, imported.definition),
            _ => {
                whole = Some(imported.definition);
                used.clear();
            }
        }
        used.extend(imported.used);
    }
    if let Some(whole) = &mut whole {
        document::check(whole, &used, &mut from);
    }
    if options.fail_on_warnings {
        for fault in faults.list.iter_mut().skip(first_fault) {
            fault.severity = Severity::Error;
        }
    }
    whole
}

/// What every reader of a part of a document has at hand: the faults, the options, and what a `$ref` names.
///
/// The readers are lenient: a value of the wrong shape is a warning and is passed over, unless the caller makes more of it.
pub(crate) struct Source<'a> {
    /// The faults so far.
    pub(crate) faults: &'a mut Diagnostics,
    /// How it is imported.
    pub(crate) options: &'a ImportOptions,
    /// Every document that a `$ref` may reach.
    files: &'a Files,
    /// Of [`limits::IMPORT_BYTES_MAX`].
    spent: usize,
    /// Where the document begins that is being read.
    document: Place,
}

impl<'a> Source<'a> {
    /// Nothing read yet.
    pub(crate) fn new(faults: &'a mut Diagnostics, options: &'a ImportOptions, files: &'a Files) -> Self {
        Self { faults, options, files, spent: 0, document: Place::default() }
    }

    /// An error with a way out.
    pub(crate) fn error(&mut self, place: Place, what: impl Into<String>, hint: impl Into<String>) {
        self.faults.error_hint(place, what, hint);
    }

    /// A warning with a way out.
    pub(crate) fn warn(&mut self, place: Place, what: impl Into<String>, hint: impl Into<String>) {
        self.faults.warning(place, what, hint);
    }

    /// The node itself, or if it is `{$ref: …}` what that names, to the end of a chain. `None` after an error.
    pub(crate) fn resolve(&mut self, node: &'a Node) -> Option<&'a Node> {
        if !self.spend(limits::VALUE_BYTES) {
            return None;
        }
        self.files.resolve(node, self.faults)
    }

    /// Counts bytes that are made of the documents; false after an error once there were too many: then everything reads as nothing.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        let before = self.spent;
        self.spent = before.saturating_add(bytes);
        if self.spent <= limits::IMPORT_BYTES_MAX {
            return true;
        }
        if before <= limits::IMPORT_BYTES_MAX {
            let most = limits::IMPORT_BYTES_MAX / (1024 * 1024);
            self.faults.error_hint(
                self.document,
                format!("the import would make more than {most} MiB of its documents"),
                "a `$ref` is used too often for something too large: make several APIs of it",
            );
        }
        false
    }

    /// The entries of a mapping; nothing written is an empty one; anything else a warning that calls it `what`.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) if self.spend(entries.len() * limits::VALUE_BYTES) => entries,
            Value::Map(_) => &[],
            _ if node.is_null() => &[],
            _ => {
                self.misshapen(node, what, "a mapping");
                &[]
            }
        }
    }

    /// The values of a list; nothing written is an empty one; a text stands for a list of one; a mapping is a warning.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(list) if self.spend(list.len() * limits::VALUE_BYTES) => list,
            Value::List(_) => &[],
            _ if node.is_null() => &[],
            Value::Scalar(_) => std::slice::from_ref(node),
            Value::Map(_) => {
                self.misshapen(node, what, "a list");
                &[]
            }
        }
    }

    /// A text; nothing written is `None`, anything else a warning.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<Word> {
        match &node.value {
            Value::Scalar(_) if node.is_null() => None,
            Value::Scalar(text) => self.spend(limits::VALUE_BYTES + text.text.len()).then(|| Word::from(text)),
            Value::List(_) | Value::Map(_) => {
                self.misshapen(node, what, "a text");
                None
            }
        }
    }

    /// The same without its place.
    pub(crate) fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        self.text(node, what).map(|word| word.to_string())
    }

    /// `true` or `false`, also in quotes; anything else is a warning.
    pub(crate) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        let word = self.text(node, what)?;
        match word.as_str() {
            // The last six are YAML 1.1, which AWS reads.
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            other => {
                self.warn(
                    word.place(),
                    format!("{what} must be true or false, not `{other}`"),
                    "it is passed over: write `true` or `false`",
                );
                None
            }
        }
    }

    /// The value as JSON, by YAML's core schema. A `$ref` stays as it is.
    pub(crate) fn json(&mut self, node: &Node) -> Json {
        json::of(node, self)
    }

    fn misshapen(&mut self, node: &Node, what: &str, meant: &str) {
        let is = match &node.value {
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        self.warn(node.place, format!("{what} must be {meant}, not {is}"), "it is passed over");
    }
}

/// The value of a field; `None` also for `field:` with nothing behind it.
pub(crate) fn field<'n>(entries: &'n [Entry], name: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| &*entry.key.text == name).map(|entry| &entry.value).filter(|node| !node.is_null())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Imports a text that has no faults.
    pub fn good(kind: Kind, text: &str) -> Definition {
        let (definition, faults) = with_faults(&ImportOptions::new(kind), text);
        assert_eq!(faults, "", "{text}");
        definition.expect("a document without faults is a definition")
    }

    /// Imports a text; the faults are rendered without their lines: `a.yaml:2:3: error: what`.
    pub fn with_faults(options: &ImportOptions, text: &str) -> (Option<Definition>, String) {
        let mut faults = Diagnostics::default();
        let definition = import_text("a.yaml", text.as_bytes(), options, &mut faults);
        faults.finish();
        let first = |line: &&str| line.contains(": error: ") || line.contains(": warning: ");
        let rendered = faults.render(false).lines().filter(first).collect::<Vec<_>>().join("\n");
        (definition, rendered)
    }

    fn keys(definition: &Definition) -> Vec<String> {
        definition.methods.iter().map(crate::definition::Method::key).collect()
    }

    /// A folder of its own that goes with the value.
    pub struct Folder(PathBuf);

    impl Folder {
        pub fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tollgate-import-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub fn path(&self) -> PathBuf {
            self.0.clone()
        }

        pub fn write(&self, name: &str, text: &str) -> (PathBuf, Place) {
            let path = self.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            (path, Place::default())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const FIRST: &str = "
openapi: 3.0.1
info: {title: first, version: '1'}
x-amazon-apigateway-request-validators: {all: {validateRequestBody: true, validateRequestParameters: true}}
paths:
  /a: {get: {operationId: a1}, post: {operationId: a2}}
  /b: {}
components: {schemas: {A: {type: string}, B: {type: string}}}
";

    const SECOND: &str = "
openapi: 3.0.1
info: {title: second}
paths:
  /a: {get: {operationId: again}}
  /b: {get: {operationId: b, responses: {200: {content: {a/b: {schema: {$ref: '#/components/schemas/A'}}}}}}}
  /c: {put: {x-amazon-apigateway-request-validator: all}}
components: {schemas: {B: {type: integer}}}
";

    #[test]
    fn a_later_document_changes_what_it_mentions() {
        let folder = Folder::new("merge");
        let files = [folder.write("1.yaml", FIRST), folder.write("2.yaml", SECOND)];
        let mut options = ImportOptions::new(Kind::Rest);
        let mut faults = Diagnostics::default();
        let merged = import(&files, &options, &mut faults).unwrap();
        assert_eq!(faults.render(false), "");
        assert_eq!(keys(&merged), ["GET /a", "POST /a", "GET /b", "PUT /c"]);
        assert_eq!(merged.methods[0].operation_id, Some("again".into()));
        assert_eq!((merged.info.title.as_deref(), merged.info.version.as_deref()), (Some("second"), Some("1")));
        assert!(merged.resources.is_empty(), "/b has a method now");
        assert_eq!(merged.models[1].1.schema["type"], "integer");
        assert_eq!(faults.files.len(), 2, "both are watched");
        options.mode = Mode::Overwrite;
        let last = import(&files, &options, &mut faults).unwrap();
        assert_eq!(keys(&last), ["GET /a", "GET /b", "PUT /c"]);
        let said = faults.render(false);
        assert!(
            said.contains("there is no model `A`") && said.contains("there is no request validator `all`"),
            "{said}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_said_where_it_is_named() {
        let folder = Folder::new("missing");
        let place = Place { source: 0, line: 7, column: 3, length: 2 };
        let mut faults = Diagnostics::default();
        faults.sources.push(crate::diagnostic::Source { name: "gateway.yaml".into(), text: String::new() });
        let there = folder.write("1.yaml", FIRST);
        let files = [(folder.0.join("none.yaml"), place), (folder.0.clone(), place), there];
        let definition = import(&files, &ImportOptions::new(Kind::Rest), &mut faults);
        assert!(definition.is_some(), "the rest is read all the same");
        let said = faults.render(false);
        assert!(said.contains("gateway.yaml:7:3: error: `") && said.contains("none.yaml` cannot be read"), "{said}");
        assert!(said.contains("is no file"), "{said}");
        assert!(faults.files.contains(&Input::missing(&folder.0.join("none.yaml"))), "it may come yet");
    }

    #[test]
    fn warnings_fail_the_import_if_asked_to() {
        let text = "swagger: '2.0'\npaths: {/a: {trace: {}}}\n";
        let mut options = ImportOptions::new(Kind::Rest);
        assert_eq!(with_faults(&options, text).1, "a.yaml:2:14: warning: `trace` is passed over");
        options.fail_on_warnings = true;
        assert_eq!(with_faults(&options, text).1, "a.yaml:2:14: error: `trace` is passed over");
    }

    #[test]
    fn what_has_the_wrong_shape_is_passed_over_with_a_warning() {
        let text = "
openapi: 3.0.1
info: [a]
tags: {a: b}
paths:
  /a:
    get: {summary: [a], deprecated: maybe, parameters: {a: b}, responses: 7, security: {a: b}, tags: [[a]]}
";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        assert_eq!(keys(&definition.unwrap()), ["GET /a"]);
        assert!(!faults.contains("error"), "{faults}");
        for what in
            ["`info` must be a mapping, not a list", "`tags` must be a list, not a mapping", "`deprecated` must be"]
        {
            assert!(faults.contains(what), "{what}: {faults}");
        }
        assert_eq!(faults.lines().count(), 9, "{faults}");
    }

    #[test]
    fn references_cannot_make_much_of_little() {
        let responses = (0..2_000)
            .map(|at| format!("        r{at}: {{$ref: '#/components/responses/big'}}\n"))
            .collect::<Vec<_>>()
            .concat();
        let operations = (0..200)
            .map(|at| format!("  /p{at}: {{get: {{$ref: '#/components/x-operation'}}}}\n"))
            .collect::<Vec<_>>()
            .concat();
        let long = "x".repeat(10_000);
        let text = format!(
            "openapi: 3.0.1\npaths:\n{operations}components:\n  x-operation:\n      responses:\n{responses}  responses:\n    big: {{description: {long}}}\n"
        );
        let (_, faults) = with_faults(&ImportOptions::new(Kind::Rest), &text);
        assert_eq!(faults, "a.yaml:1:1: error: the import would make more than 256 MiB of its documents");
    }
}
