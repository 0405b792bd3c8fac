//! Schemas become models (VA-01). They keep their references, so that recursion costs nothing; what is referred to anywhere else than in
//! the document's own schemas becomes a model as well.

use std::collections::{HashMap, HashSet, VecDeque};

use router::Kind;
use serde_json::{Map, Value as Json};

use super::refs::{address, reference, unescaped};
use super::{Source, field, json};
use crate::definition::{Definition, Model, ModelRef, Word};
use crate::diagnostic::Place;
use crate::limits;
use crate::source::node::{Entry, Node, Text, Value};

/// The models of one document.
#[derive(Debug, Default)]
pub struct Models<'a> {
    /// Which document it is.
    document: usize,
    /// Names by the address of what they stand for.
    names: HashMap<usize, Word>,
    /// Every name that is given away, also by the documents before.
    taken: HashSet<Box<str>>,
    /// The last number behind a name that was taken.
    numbers: HashMap<String, usize>,
    /// Models whose schema is still to be read.
    waiting: VecDeque<(Word, &'a Node)>,
    /// Names that were used and may be no model's.
    used: Vec<Word>,
}

/// The names that references may begin with: 3.x and 2.0.
const HOMES: [&str; 2] = ["/components/schemas/", "/definitions/"];

/// Words of a schema behind which schemas stand by name.
const NAMED: [&str; 5] = ["properties", "patternProperties", "definitions", "$defs", "dependentSchemas"];

/// Words of a schema behind which values stand, whatever they look like.
const VALUES: [&str; 5] = ["example", "examples", "enum", "const", "default"];

/// What the keys of a mapping are.
#[derive(Debug, Clone, Copy)]
enum Keys {
    /// Words of JSON Schema.
    Words,
    /// Names of properties or of schemas.
    Names,
}

/// Models that every API has (VA-01).
const BUILT_IN: [(&str, &str); 2] = [("Empty", "Empty Schema"), ("Error", "Error Schema")];

/// How a reference to a model is written in a definition.
pub fn pointer_to(name: &str) -> String {
    let mut out = String::from("#/components/schemas/");
    for c in name.chars() {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            '%' => out.push_str("%25"),
            c => out.push(c),
        }
    }
    out
}

impl<'a> Models<'a> {
    /// Takes the names of the document's schemas, so that references to them are known.
    pub fn new(document: usize, schemas: &'a [Entry], before: Option<&Definition>, from: &mut Source<'a>) -> Self {
        let mut models = Self { document, ..Self::default() };
        let before = before.map(|definition| &definition.models[..]).unwrap_or_default();
        models.taken.extend(before.iter().map(|(name, _)| name.as_str().into()));
        let schemas = schemas.iter().filter(|entry| !entry.value.is_null());
        // A name with nothing behind it is that of no model: whoever names it is told so.
        models.taken.extend(schemas.clone().map(|entry| entry.key.text.clone()));
        for entry in schemas.clone() {
            models.names.insert(address(&entry.value), Word::from(&entry.key));
        }
        for Entry { key, value } in schemas {
            // A schema that stands elsewhere bears the name that it has here; another name for one of these stays a reference.
            let elsewhere = reference(value).filter(|text| name_of(&text.text, true).is_none());
            let target = elsewhere.and_then(|text| from.files.find(text).ok());
            let target = target.filter(|target| !models.names.contains_key(&address(target)));
            if let Some(target) = target {
                models.names.insert(address(target), Word::from(key));
            }
            models.waiting.push_back((Word::from(key), target.unwrap_or(value)));
        }
        models
    }

    /// The schema of a body: a model, or one of its own.
    pub fn of(&mut self, node: &'a Node, from: &mut Source<'a>) -> Option<ModelRef> {
        match reference(node) {
            Some(reference) => self.named(reference, from).map(ModelRef::Named),
            None if node.is_null() => None,
            None => Some(ModelRef::Inline(self.schema(node, Keys::Words, from))),
        }
    }

    /// The model that a reference names; what is none yet becomes one. `None` after a fault.
    fn named(&mut self, reference: &'a Text, from: &mut Source<'a>) -> Option<Word> {
        let own = from.files.is_in(self.document, reference.place);
        if let Some(name) = name_of(&reference.text, own).or_else(|| Self::bare_name(&reference.text)) {
            let name = Word::new(name, reference.place);
            if !self.taken.contains(name.as_str()) {
                self.used.push(name.clone());
            }
            return Some(name);
        }
        let target = match from.files.find(reference) {
            Ok(target) => target,
            Err(broken) => {
                let what = format!("`$ref: {}` leads nowhere: {}", reference.text, broken.what);
                fault(reference.place, what, broken.hint, from);
                return None;
            }
        };
        if let Some(name) = self.names.get(&address(target)) {
            return Some(Word::new(name.as_str(), reference.place));
        }
        if self.names.len() >= limits::MODELS_MAX {
            let what = format!("an API has at most {} models", limits::MODELS_MAX);
            fault(reference.place, what, "leave out what the API does not need", from);
            return None;
        }
        let name = Word::new(self.free_name(&reference.text), reference.place);
        self.names.insert(address(target), name.clone());
        self.waiting.push_back((name.clone(), target));
        Some(name)
    }

    /// `$ref: Pet`, as the first Swagger wrote it.
    fn bare_name(text: &str) -> Option<String> {
        (!text.is_empty() && !text.contains(['/', '#', '.'])).then(|| text.to_owned())
    }

    /// A name for what a reference names, after its last part.
    fn free_name(&mut self, reference: &str) -> Box<str> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let last = fragment.rsplit('/').next().filter(|token| !token.is_empty());
        let stem = || file.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
        let plain: String = unescaped(last.unwrap_or_else(stem))
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .collect();
        let plain = if plain.is_empty() { "Model".to_owned() } else { plain };
        let mut name: Box<str> = plain.as_str().into();
        while self.taken.contains(&name) {
            let number = self.numbers.entry(plain.clone()).or_insert(1);
            *number += 1;
            name = format!("{plain}{number}").into();
        }
        self.taken.insert(name.clone());
        name
    }

    /// A schema with its references in the one form of definitions.
    fn schema(&mut self, node: &'a Node, keys: Keys, from: &mut Source<'a>) -> Json {
        let entries = match &node.value {
            Value::Scalar(_) => return json::of(node, from),
            Value::List(list) => {
                if !from.spend(limits::VALUE_BYTES) {
                    return Json::Null;
                }
                return Json::Array(list.iter().map(|node| self.schema(node, Keys::Words, from)).collect());
            }
            Value::Map(entries) => entries,
        };
        let names: usize = entries.iter().map(|entry| entry.key.text.len()).sum();
        if !from.spend(limits::VALUE_BYTES + names) {
            return Json::Null;
        }
        let mut map = Map::with_capacity(entries.len());
        for Entry { key, value } in entries {
            let value = match (keys, &*key.text, &value.value) {
                (Keys::Words, "$ref", Value::Scalar(text)) => match self.named(text, from) {
                    Some(name) => Json::String(pointer_to(&name)),
                    None => continue,
                },
                (Keys::Words, word, _) if NAMED.contains(&word) => self.schema(value, Keys::Names, from),
                (Keys::Words, word, _) if VALUES.contains(&word) || word.starts_with("x-") => json::of(value, from),
                (Keys::Words | Keys::Names, ..) => self.schema(value, Keys::Words, from),
            };
            map.insert(key.text.to_string(), value);
        }
        Json::Object(map)
    }

    /// Reads the models, also those that only come up on the way. Built-in ones are added if they are used.
    pub fn finish(mut self, definition: &mut Definition, from: &mut Source<'a>) -> Vec<Word> {
        while let Some((name, node)) = self.waiting.pop_front() {
            let schema = self.schema(node, Keys::Words, from);
            let description = match &node.value {
                Value::Map(entries) => field(entries, "description").and_then(|node| match &node.value {
                    Value::Scalar(_) => from.string(node, "`description`"),
                    Value::List(_) | Value::Map(_) => None,
                }),
                Value::Scalar(_) | Value::List(_) => None,
            };
            definition.models.push((name, Model { description, schema }));
        }
        self.used
    }
}

/// The model that a reference names directly: `#/components/schemas/Pet`, `#/definitions/Pet`, or the URL of a model in AWS.
fn name_of(reference: &str, is_own: bool) -> Option<String> {
    if let Some(rest) = reference.strip_prefix("https://apigateway.") {
        let (_, name) = rest.split_once("/restapis/")?.1.split_once("/models/")?;
        return (!name.is_empty() && !name.contains('/')).then(|| unescaped(name));
    }
    let pointer = reference.strip_prefix('#').filter(|_| is_own)?;
    let name = HOMES.iter().find_map(|home| pointer.strip_prefix(home))?;
    (!name.is_empty() && !name.contains('/')).then(|| unescaped(name))
}

/// References in bodies count in REST APIs; in HTTP APIs nothing is validated (VA-07).
fn fault(place: Place, what: String, hint: &str, from: &mut Source<'_>) {
    if from.options.kind == Kind::Http {
        from.warn(place, what, hint);
    } else {
        from.error(place, what, hint);
    }
}

/// A fault for each name that is no model's; models that every API has are added instead.
pub fn check_names(used: &[Word], definition: &mut Definition, from: &mut Source<'_>) {
    let mut known: HashSet<Box<str>> = definition.models.iter().map(|(name, _)| name.as_str().into()).collect();
    for name in used {
        if !known.insert(name.as_str().into()) {
            continue;
        }
        if let Some((_, title)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name.as_str()) {
            let schema = serde_json::json!({
                "$schema": "http://json-schema.org/draft-04/schema#",
                "title": title,
                "type": "object",
            });
            definition.models.push((name.clone(), Model { description: None, schema }));
            continue;
        }
        // A warning in AWS too: the method is made without it.
        from.warn(
            name.place(),
            format!("there is no model `{name}`, no body is compared with it"),
            "schemas stand under `components: {schemas: …}`, in Swagger 2.0 under `definitions`",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Folder, good, with_faults};
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::openapi::{ImportOptions, import};

    fn models(definition: &Definition) -> Vec<(&str, &Json)> {
        definition.models.iter().map(|(name, model)| (name.as_str(), &model.schema)).collect()
    }

    #[test]
    fn recursive_schemas_keep_their_references() {
        let three = "
openapi: 3.0.1
paths: {}
components:
  schemas:
    Tree:
      description: grows
      type: object
      properties:
        children: {type: array, items: {$ref: '#/components/schemas/Tree'}}
        default: {$ref: '#/components/schemas/Tree'}
        $ref: {type: string}
      example: {$ref: '#/not/a/reference'}
      enum: [{$ref: x}, 1, null, 1.5]
";
        let tree = json!({
            "description": "grows",
            "type": "object",
            "properties": {
                "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                "default": {"$ref": "#/components/schemas/Tree"},
                "$ref": {"type": "string"},
            },
            "example": {"$ref": "#/not/a/reference"},
            "enum": [{"$ref": "x"}, 1, null, 1.5],
        });
        let definition = good(Kind::Rest, three);
        assert_eq!(models(&definition), [("Tree", &tree)]);
        assert_eq!(definition.models[0].1.description.as_deref(), Some("grows"));
        let two = three
            .replace("openapi: 3.0.1", "swagger: '2.0'")
            .replace("#/components/schemas/", "#/definitions/")
            .replace("components:\n  schemas:\n", "definitions:\n");
        assert_eq!(models(&good(Kind::Rest, &two)), [("Tree", &tree)]);
    }

    #[test]
    fn urls_of_models_are_references() {
        let text = "
swagger: '2.0'
paths: {/a: {put: {parameters: [{in: body, schema: {$ref: 'https://apigateway.amazonaws.com/restapis/abc123/models/Pet'}}]}}}
definitions:
  Pet: {properties: {a: {$ref: 'https://apigateway.us-east-1.amazonaws.com/restapis/abc123/models/Pet'}, b: {$ref: Pet}}}
";
        let definition = good(Kind::Rest, text);
        assert_eq!(definition.methods[0].request_models[0].1, ModelRef::Named("Pet".into()));
        let pet = json!({"$ref": "#/components/schemas/Pet"});
        assert_eq!(models(&definition), [("Pet", &json!({"properties": {"a": pet, "b": pet}}))]);
    }

    #[test]
    fn what_stands_elsewhere_becomes_a_model() {
        let folder = Folder::new("schemas");
        let main = folder.write(
            "main.yaml",
            "
openapi: 3.0.1
paths:
  /a:
    put:
      requestBody: {content: {application/json: {schema: {$ref: 'common.yaml#/components/schemas/Pet'}}}}
      responses:
        200: {content: {application/json: {schema: {$ref: '#/x-schemas/inner'}}}}
        201: {content: {application/json: {schema: {$ref: 'whole.json'}}}}
        202: {content: {application/json: {schema: {$ref: 'common.yaml#/components/schemas/Other'}}}}
components: {schemas: {Pet: {type: string}, Whole: {$ref: whole.json}, Alias: {$ref: '#/components/schemas/Pet'}}}
x-schemas: {inner: {items: {$ref: '#/x-schemas/inner'}}}
",
        );
        folder.write(
            "common.yaml",
            "components: {schemas: {Pet: {properties: {o: {$ref: '#/components/schemas/Other'}}}, Other: {type: number}}}\n",
        );
        folder.write("whole.json", r#"{"type": "object"}"#);
        let mut faults = Diagnostics::default();
        let definition = import(&[main], &ImportOptions::new(Kind::Rest), &mut faults).unwrap();
        assert_eq!(faults.render(false), "");
        let method = &definition.methods[0];
        let named = |at: usize| &method.responses[at].1.models[0].1;
        assert_eq!(method.request_models[0].1, ModelRef::Named("Pet2".into()), "`Pet` is another one");
        assert_eq!(named(0), &ModelRef::Named("inner".into()));
        assert_eq!(named(1), &ModelRef::Named("Whole".into()), "it has a name here");
        assert_eq!(named(2), &ModelRef::Named("Other".into()));
        let expected = [
            ("Pet", json!({"type": "string"})),
            ("Whole", json!({"type": "object"})),
            ("Alias", json!({"$ref": "#/components/schemas/Pet"})),
            ("Pet2", json!({"properties": {"o": {"$ref": "#/components/schemas/Other"}}})),
            ("inner", json!({"items": {"$ref": "#/components/schemas/inner"}})),
            ("Other", json!({"type": "number"})),
        ];
        assert_eq!(models(&definition), expected.iter().map(|(name, schema)| (*name, schema)).collect::<Vec<_>>());
    }

    #[test]
    fn models_that_are_not_there() {
        let text = "
openapi: 3.0.1
paths:
  /a:
    put:
      requestBody: {content: {a/b: {schema: {$ref: '#/components/schemas/Gone'}}, c/d: {schema: {$ref: '#/components/schemas/Empty'}}}}
      responses: {500: {content: {a/b: {schema: {$ref: '#/x/y'}}}}}
";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        let expected = "\
a.yaml:6:52: warning: there is no model `Gone`, no body is compared with it
a.yaml:7:56: error: `$ref: #/x/y` leads nowhere: there is no `x` on the way";
        assert_eq!(faults, expected);
        assert_eq!(models(&definition.unwrap())[0].0, "Empty", "every API has it");
        let (_, faults) = with_faults(&ImportOptions::new(Kind::Http), text);
        assert_eq!(faults, expected.replace("error", "warning"), "HTTP APIs validate nothing");
        // A name with nothing behind it is no model either.
        let text = "swagger: '2.0'\npaths:\n  /a: {put: {parameters: [{in: body, name: b, schema: {$ref: '#/definitions/A'}}]}}\ndefinitions: {A: }\n";
        let (_, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        assert!(faults.contains("warning: there is no model `A`"), "{faults}");
    }

    #[test]
    fn names_are_escaped_in_references() {
        let text = "
swagger: '2.0'
paths: {/a: {put: {parameters: [{in: body, schema: {$ref: '#/definitions/a~1b%C2%ABc%C2%BB'}}]}}}
definitions: {a/b«c»: {type: object, properties: {x: {$ref: '#/definitions/a~1b«c»'}}}}
";
        let definition = good(Kind::Rest, text);
        assert_eq!(definition.methods[0].request_models[0].1, ModelRef::Named("a/b«c»".into()));
        assert_eq!(definition.models[0].1.schema["properties"]["x"]["$ref"], "#/components/schemas/a~1b«c»");
        for (name, pointer) in [("a~b", "a~0b"), ("a%b", "a%25b"), ("A.b-c_d", "A.b-c_d")] {
            assert_eq!(pointer_to(name), format!("#/components/schemas/{pointer}"));
            assert_eq!(unescaped(pointer), name);
        }
    }
}
