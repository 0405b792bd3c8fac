//! Nodes become JSON: what a plain scalar is, YAML's core schema says.

use serde_json::{Map, Number, Value as Json};

use super::Source;
use crate::limits;
use crate::source::node::{Node, Style, Value};

/// The value as JSON.
pub fn of(node: &Node, from: &mut Source<'_>) -> Json {
    let bytes = match &node.value {
        Value::Scalar(text) => text.text.len(),
        Value::List(_) => 0,
        Value::Map(entries) => entries.iter().map(|entry| entry.key.text.len()).sum(),
    };
    if !from.spend(limits::VALUE_BYTES + bytes) {
        return Json::Null;
    }
    match &node.value {
        Value::Scalar(text) if text.style == Style::Plain => {
            plain(&text.text).unwrap_or_else(|| Json::String(text.text.to_string()))
        }
        Value::Scalar(text) => Json::String(text.text.to_string()),
        Value::List(list) => Json::Array(list.iter().map(|node| of(node, from)).collect()),
        Value::Map(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for entry in entries {
                map.insert(entry.key.text.to_string(), of(&entry.value, from));
            }
            Json::Object(map)
        }
    }
}

/// What a copy counts of [`limits::IMPORT_BYTES_MAX`].
pub fn cost(value: &Json) -> usize {
    let inside = match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(list) => list.iter().map(cost).sum(),
        Json::Object(map) => map.iter().map(|(key, value)| key.len() + cost(value)).sum(),
    };
    limits::VALUE_BYTES + inside
}

/// A plain scalar that is no text.
fn plain(text: &str) -> Option<Json> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Json::Null),
        "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    number(text, unsigned).map(Json::Number)
}

/// The core schema's numbers; what JSON cannot hold (`.inf`, `.nan`) stays a text.
fn number(text: &str, unsigned: &str) -> Option<Number> {
    let radix = |prefix: &str, radix: u32| {
        let digits = unsigned.strip_prefix(prefix).filter(|_| unsigned.len() == text.len())?;
        let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        all.then(|| u64::from_str_radix(digits, radix).ok())?.map(Number::from)
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number);
    }
    let signed = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = signed.parse::<i64>().map(Number::from).or_else(|_| signed.parse::<u64>().map(Number::from));
        if let Ok(number) = whole {
            return Some(number);
        }
    }
    let shaped = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && unsigned.bytes().any(|byte| byte.is_ascii_digit());
    shaped.then(|| signed.parse::<f64>().ok().and_then(Number::from_f64))?
}
