//! Documents as text. Whatever a value holds, reading the text again gives the same value.

use std::fmt::Write as _;

use saphyr::{ScalarStyle, Yaml, YamlEmitter};
use serde_json::Value as Json;

/// JSON, indented by two, with a line break at its end.
pub fn json(document: &Json) -> String {
    let mut text = escaped(&format!("{document:#}"));
    text.push('\n');
    text
}

/// YAML in block style; texts of several lines as blocks, and in quotes what any reader, of YAML 1.1 too, might take for something else.
pub fn yaml(document: &Json) -> String {
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline(true);
    emitter.dump(&node(document)).expect("writing to a String cannot fail");
    let mut text = text.strip_prefix("---\n").map_or(text.clone(), str::to_owned);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn node(value: &Json) -> Yaml<'_> {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => plain(value.to_string()),
        Json::String(text) => scalar(text),
        Json::Array(list) => Yaml::Sequence(list.iter().map(node).collect()),
        Json::Object(map) => Yaml::Mapping(map.iter().map(|(name, value)| (scalar(name), node(value))).collect()),
    }
}

fn scalar(text: &str) -> Yaml<'_> {
    if looks_special(text) || text.contains(is_unprintable) {
        return plain(escaped(&Json::from(text).to_string()));
    }
    Yaml::Value(saphyr::Scalar::String(text.into()))
}

/// What is written letter by letter.
fn plain(text: String) -> Yaml<'static> {
    Yaml::Representation(text.into(), ScalarStyle::Plain, None)
}

/// What YAML 1.1 reads as a truth, a date or a number, besides what the emitter knows by itself.
fn looks_special(text: &str) -> bool {
    let is_number = || {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit() || b"_.+-:xobTtZz ".contains(&byte))
    };
    matches!(text, "y" | "Y" | "n" | "N" | "<<" | "=") || is_number()
}

/// Control characters, line breaks of other scripts, and what is no character: escapes say them best.
fn is_unprintable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// JSON, in which such characters can stand in strings only, as escapes.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unprintable(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::openapi::refs::Files;
    use crate::openapi::{ImportOptions, Source};
    use crate::source::{file, node as nodes};

    /// Read again by our own reader.
    fn read(name: &str, text: &str) -> Json {
        let mut faults = Diagnostics::default();
        let source = file::add(name, text.as_bytes(), &mut faults).expect("UTF-8");
        let text = faults.sources[usize::from(source)].text.clone();
        let node = nodes::parse(&text, source, &mut faults);
        assert_eq!(faults.render(false), "");
        let options = ImportOptions::new(router::Kind::Rest);
        let files = Files::default();
        let mut source = Source::new(&mut faults, &options, &files);
        source.json(&node.expect("a document"))
    }

    fn check(value: &Json) {
        assert_eq!(&read("x.json", &json(value)), value, "{}", json(value));
        assert_eq!(&read("x.yaml", &yaml(value)), value, "{}", yaml(value));
    }

    #[test]
    fn what_looks_like_something_else_is_quoted() {
        for text in [
            "yes",
            "no",
            "on",
            "Off",
            "y",
            "N",
            "true",
            "null",
            "~",
            "",
            " ",
            "12",
            "1e3",
            "0x1F",
            "0o7",
            "010",
            "1_000",
            "-1",
            "+1",
            ".5",
            ".inf",
            "2024-01-01",
            "2024-01-01T10:00:00Z",
            "12:30:45",
            "1.0",
            "200",
            "<<",
            "=",
            "- a",
            "a: b",
            "#",
            "a #b",
            "*",
            "&a",
            "!x",
            "%",
            "@",
            "`",
            "{",
            "[a]",
            "'",
            "\"",
            "\\",
            "a\u{85}b",
            "\u{7f}",
            "\u{feff}",
            "\u{2028}",
            "\t",
            "|",
            ">",
            "?",
        ] {
            check(&json!({ "a": text, "b": [text, { text: text }] }));
            let written = yaml(&json!({ "a": text }));
            assert!(written.starts_with("a: \""), "{written}");
        }
    }

    #[test]
    fn documents_are_pleasant_to_read() {
        let document = json!({
            "openapi": "3.0.1",
            "info": { "title": "Pets", "version": "1.0" },
            "paths": { "/pets/{id}": { "get": { "tags": ["a", "b"], "responses": { "200": { "description": "200 response" } } } } },
            "template": "#set($a = 1)\n{\n  \"a\": $a\n}\n",
            "limit": 5, "share": 0.5, "nothing": null, "empty": {}, "none": [],
        });
        let expected = "\
openapi: \"3.0.1\"
info:
  title: Pets
  version: \"1.0\"
paths:
  \"/pets/{id}\":
    get:
      tags:
        - a
        - b
      responses:
        \"200\":
          description: 200 response
template: |
  #set($a = 1)
  {
    \"a\": $a
  }
limit: 5
share: 0.5
nothing: null
empty: {}
none: []
";
        assert_eq!(yaml(&document), expected);
        check(&document);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let text = prop_oneof!["\\PC{0,8}", "[ -~\n\t]{0,20}", any::<String>(), "[0-9eExXo_.:TZ+-]{1,8}"];
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            (-1e6..1e6).prop_map(|number: f64| Json::from(number)),
            text.clone().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::vec((text.clone(), inner), 0..6)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_read_again(value in any_json()) {
            // A document is never a text alone.
            check(&json!({ "document": value }));
        }
    }
}
