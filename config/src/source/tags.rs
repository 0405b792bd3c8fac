//! What a YAML tag means: nothing, a text, or one of CloudFormation's functions in its short form.

use saphyr_parser::Tag;

/// What becomes of the value behind a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// What it would be without: `!!map`, `!!int`.
    None,
    /// A text, whatever it looks like: `!!str 5`, `! 5`.
    Text,
    /// A mapping with this one name: `!Sub x` is `{"Fn::Sub": x}`.
    Call(Box<str>),
    /// Nobody knows.
    Unknown,
}

/// What the tag means.
pub fn meaning(tag: &Tag) -> Meaning {
    if tag.is_yaml_core_schema() {
        return if tag.suffix == "str" { Meaning::Text } else { Meaning::None };
    }
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Meaning::Text;
    }
    let is_name = tag.suffix.starts_with(|c: char| c.is_ascii_uppercase())
        && tag.suffix.chars().all(|c| c.is_ascii_alphanumeric());
    if tag.handle != "!" || !is_name {
        return Meaning::Unknown;
    }
    match tag.suffix.as_str() {
        "Ref" | "Condition" => Meaning::Call(tag.suffix.as_str().into()),
        name => Meaning::Call(format!("Fn::{name}").into()),
    }
}
