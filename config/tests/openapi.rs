//! OpenAPI documents with the extensions of API Gateway, in the shapes that public documents have: what is made of each, and what is
//! said of it, stands beside it. `BLESS=1` writes that anew; the tables below hold what blessing must not lose.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use config::Diagnostics;
use config::definition::Definition;
use config::openapi::{ImportOptions, import_text};
use router::Kind;
use serde_json::{Map, Value as Json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

/// `rest/name` and `http/name` of every document, with its path.
fn documents() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for kind in ["rest", "http"] {
        for entry in fs::read_dir(folder().join(kind)).expect("the folder is in the repository") {
            let path = entry.expect("a folder can be listed").path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                let name = path.file_stem().and_then(|name| name.to_str()).expect("names are ASCII");
                found.push((format!("{kind}/{name}"), path));
            }
        }
    }
    found.sort();
    found
}

fn options(name: &str) -> ImportOptions {
    let mut options = ImportOptions::new(if name.starts_with("rest/") { Kind::Rest } else { Kind::Http });
    if name == "rest/aws_variables" {
        options.variables.account_id = Some("123456789012".into());
        options.variables.region = Some("eu-west-1".into());
        options.variables.partition = Some("aws".into());
    }
    options
}

fn import(name: &str, path: &Path) -> (Option<Definition>, Diagnostics) {
    let mut faults = Diagnostics::default();
    let file = path.file_name().and_then(|name| name.to_str()).expect("names are ASCII");
    let definition = import_text(file, &fs::read(path).expect("it was listed"), &options(name), &mut faults);
    faults.finish();
    (definition, faults)
}

/// The definition as JSON in which lists of names and values are mappings, and methods are found by their key.
fn readable(definition: &Definition) -> Json {
    let mut json = mappings(serde_json::to_value(definition).expect("a definition is JSON"));
    let Json::Array(methods) = json["methods"].take() else { panic!("methods are a list") };
    let methods: Map<String, Json> =
        definition.methods.iter().zip(methods).map(|(method, json)| (method.key(), json)).collect();
    json["methods"] = Json::Object(methods);
    json
}

fn mappings(json: Json) -> Json {
    let is_pair = |value: &Json| matches!(value, Json::Array(pair) if pair.len() == 2 && pair[0].is_string());
    match json {
        Json::Array(list) if !list.is_empty() && list.iter().all(is_pair) => {
            let pairs = list.into_iter().map(|mut pair| {
                let name = pair[0].as_str().expect("it is a text").to_owned();
                (name, mappings(pair[1].take()))
            });
            Json::Object(pairs.collect())
        }
        Json::Array(list) => Json::Array(list.into_iter().map(mappings).collect()),
        Json::Object(map) => Json::Object(map.into_iter().map(|(name, value)| (name, mappings(value))).collect()),
        scalar => scalar,
    }
}

#[test]
fn documents_become_what_stands_beside_them() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for (name, path) in documents() {
        let (definition, faults) = import(&name, &path);
        let mut said = faults.render(false);
        if let Some(definition) = definition {
            let json = serde_json::to_string_pretty(&readable(&definition)).expect("JSON can be written");
            let _ = writeln!(said, "{json}");
        }
        let beside = path.with_extension("expected");
        if bless {
            fs::write(&beside, said).expect("the folder can be written");
        } else if fs::read_to_string(&beside).unwrap_or_default() != said {
            let _ = writeln!(wrong, "--- {name}\n{said}");
        }
    }
    assert!(wrong.is_empty(), "not as expected (BLESS=1 accepts):\n{wrong}");
}
