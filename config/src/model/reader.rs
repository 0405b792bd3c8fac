//! Reads typed values from nodes, collects faults, and goes on. A serde derive would stop at the first fault.

use std::cell::Cell;
use std::time::Duration;

use crate::diagnostic::{Diagnostics, Place};
use crate::model::field::{Table, nearest};
use crate::model::values::{self, At};
use crate::source::node::{Entry, Node, Style, Text, Value};
use crate::source::slips;

/// Where faults go while a document is read.
pub struct Reader<'a> {
    /// The faults so far.
    pub faults: &'a mut Diagnostics,
}

/// Fields that hold secrets: what stands behind a name that may mean one of them is not shown either.
const SECRETS: [&str; 3] = ["secret_key", "session_token", "value"];

/// A mapping whose field names were checked against its table.
pub struct Object<'n> {
    entries: &'n [Entry],
    table: &'static Table,
    /// Where it begins.
    pub place: Place,
    /// Fields asked for, by position in the table: a field that is offered but never read would be ignored without a word.
    asked: Cell<u64>,
    /// Fields that a misspelt name was taken for: they are not missing as well.
    misspelt: Vec<&'static str>,
}

impl<'n> Object<'n> {
    /// The value of a field of the table; `None` also for `field:` with nothing behind it.
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        // Kept for `close`, which looks at it in tests: a table of thirty names is searched thirty times for each of 10,000 routes.
        if cfg!(debug_assertions) {
            let at = self.table.fields.iter().position(|field| field.name == name && field.is_built());
            let at = at.expect("the reader asks only for built fields of the object's table");
            self.asked.set(self.asked.get() | 1 << at);
        }
        self.entries
            .iter()
            .find(|entry| &*entry.key.text == name)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null())
    }

    /// Whether a field is missing, and not merely misspelt.
    pub fn lacks(&self, name: &str) -> bool {
        self.get(name).is_none() && !self.misspelt.contains(&name)
    }

    /// Ends the reading: every built field must have been asked for.
    pub fn close(self) {
        for (at, field) in self.table.fields.iter().enumerate() {
            debug_assert!(
                !field.is_built() || self.asked.get() >> at & 1 == 1,
                "`{}` of {} is in the table, but is not read",
                field.name,
                self.table.name
            );
        }
    }
}

impl Reader<'_> {
    /// Opens a mapping, after a fault for each name that its table does not offer. Nothing written is an empty mapping.
    pub fn object<'n>(&mut self, node: &'n Node, table: &'static Table) -> Option<Object<'n>> {
        let entries = self.entries(node, table.name)?;
        let mut misspelt = Vec::new();
        for Entry { key, value } in entries {
            match table.find(&key.text) {
                Some(field) if field.is_built() => {}
                Some(field) => self.faults.error_hint(
                    key.place,
                    format!("`{}` is not available in this version", field.name),
                    format!("remove it; it would mean: {}", field.doc),
                ),
                None => misspelt.extend(self.unknown(key, value, table)),
            }
        }
        Some(Object { entries, table, place: node.place, asked: Cell::new(0), misspelt })
    }

    /// A fault for a name that the table does not have, and the field that was probably meant.
    fn unknown(&mut self, key: &Text, value: &Node, table: &'static Table) -> Option<&'static str> {
        let name = &key.text;
        if key.style == Style::Plain && value.is_null() {
            let split = slips::without_space(name).and_then(|(name, rest)| Some((table.find(name)?.name, rest)));
            if let Some((field, rest)) = split {
                let hint = format!("write `{field}: {rest}`");
                self.faults.error_hint(key.place, format!("no space after `{field}:`"), hint);
                return Some(field);
            }
        }
        let listed: Vec<&str> = table.fields.iter().filter(|field| field.is_built()).map(|field| field.name).collect();
        let hint = format!("{} has the fields {}", table.name, listed.join(", "));
        let near = table.nearest(name);
        if near.is_some_and(|near| SECRETS.contains(&near)) {
            self.faults.hide(value.place);
        }
        match near {
            Some(near) => {
                self.faults.error_hint(key.place, format!("unknown field `{name}`, did you mean `{near}`?"), hint);
            }
            None => self.faults.error_hint(key.place, format!("unknown field `{name}`"), hint),
        }
        near
    }

    /// The entries of a mapping; `what` names it in messages.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::Scalar(_) if node.is_null() => Some(&[]),
            Value::Scalar(text) => {
                match slips::without_space(&text.text).filter(|_| text.style == Style::Plain) {
                    Some((name, value)) => self.faults.error_hint(
                        text.place,
                        format!("no space after `{name}:`"),
                        format!("write `{name}: {value}`"),
                    ),
                    None => self.faults.error_hint(
                        text.place,
                        format!("{what} must be a mapping, not a text"),
                        "a mapping is written `name: value`, one on each line, or `{name: value}`",
                    ),
                }
                None
            }
            Value::List(_) => {
                self.faults.error_hint(
                    node.place,
                    format!("{what} must be a mapping, not a list"),
                    "a mapping is written `name: value`, without the leading `- `",
                );
                None
            }
        }
    }

    /// Reads each entry of a mapping of named objects.
    pub fn each<T>(
        &mut self,
        node: Option<&Node>,
        what: &str,
        read: impl Fn(&Text, &Node, &mut Self) -> Option<T>,
    ) -> Vec<T> {
        let entries = node.and_then(|node| self.entries(node, what)).unwrap_or_default();
        entries.iter().filter_map(|Entry { key, value }| read(key, value, self)).collect()
    }

    /// The values of a list; a single value stands for a list of one.
    pub fn list<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.value {
            Value::List(list) => list,
            Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
        }
    }

    /// Any text.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<Text> {
        match &node.value {
            Value::Scalar(text) => Some(text.clone()),
            Value::List(_) => {
                self.faults.error(node.place, format!("{what} must be a text, not a list"));
                None
            }
            Value::Map(entries) => {
                self.not_a_mapping(node, entries, what);
                None
            }
        }
    }

    /// A text that is a secret, or says where one is. One that stands there itself is shown in no fault of its line.
    pub fn secret(&mut self, node: &Node, what: &str) -> Option<Text> {
        let Value::Scalar(text) = &node.value else {
            // It may be one that wants quotes.
            self.faults.hide(Place { length: u32::MAX, ..node.place });
            self.faults.error_hint(node.place, format!("{what} must be a text"), "write ${file:path} in quotes");
            return None;
        };
        if !text.text.starts_with("${") {
            self.faults.hide(text.place);
        }
        Some(text.clone())
    }

    /// A text that begins with a brace and was not quoted is the commonest slip of all.
    fn not_a_mapping(&mut self, node: &Node, entries: &[Entry], what: &str) {
        let written = flow_form(entries);
        let hint = match entries {
            [Entry { key, value }] if value.is_null() => {
                format!("an unquoted `{{` begins a mapping: write {}", slips::quoted(&format!("{{{}}}", key.text)))
            }
            _ if written.len() <= 80 => format!("an unquoted `{{` begins a mapping: write {}", slips::quoted(&written)),
            _ => "an unquoted `{` begins a mapping: put the text in single quotes".to_owned(),
        };
        self.faults.error_hint(node.place, format!("{what} must be a text, not a mapping"), hint);
    }

    /// `true` or `false`, as the core schema writes them.
    pub fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        let text = self.text(node, what)?;
        match &*text.text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            other => {
                let hint = match other.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" => "YAML 1.2 writes `true`",
                    "no" | "off" | "n" => "YAML 1.2 writes `false`",
                    _ => "write `true` or `false`",
                };
                self.faults.error_hint(text.place, format!("{what} must be true or false, not `{other}`"), hint);
                None
            }
        }
    }

    /// A whole number of a range.
    pub fn number(&mut self, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(node, what)?;
        match values::number(&text.text) {
            Some(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.faults.error(
                    text.place,
                    format!("{what} must be a whole number from {least} to {most}, not `{}`", text.text),
                );
                None
            }
        }
    }

    /// A number of a range, which may have a fraction.
    pub fn decimal(&mut self, node: &Node, what: &str, least: f64, most: f64) -> Option<At<f64>> {
        let text = self.text(node, what)?;
        match values::decimal(&text.text) {
            Some(value) if (least..=most).contains(&value) => Some(At { value, place: text.place }),
            _ => {
                self.faults
                    .error(text.place, format!("{what} must be a number from {least} to {most}, not `{}`", text.text));
                None
            }
        }
    }

    /// Texts by name.
    pub fn texts(&mut self, node: &Node, what: &str, one: &str) -> Vec<(Text, Text)> {
        let entries = self.entries(node, what).unwrap_or_default();
        entries
            .iter()
            .filter_map(|Entry { key, value }| Some((key.clone(), self.text(value, &format!("{one} `{}`", key.text))?)))
            .collect()
    }

    /// A time of a range.
    pub fn time(&mut self, node: &Node, what: &str, least: Duration, most: Duration) -> Option<Duration> {
        let text = self.text(node, what)?;
        match values::time(&text.text) {
            Ok(time) if (least..=most).contains(&time) => Some(time),
            Ok(_) => {
                let (least, most) = (values::time_text(least), values::time_text(most));
                self.faults.error(text.place, format!("{what} must be from {least} to {most}, not {}", text.text));
                None
            }
            Err(hint) => {
                self.faults.error_hint(text.place, format!("`{}` is not a time", text.text), hint);
                None
            }
        }
    }

    /// A number of bytes of a range.
    pub fn size(&mut self, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(node, what)?;
        match values::size(&text.text) {
            Some(size) if (least..=most).contains(&size) => Some(size),
            Some(_) => {
                self.faults
                    .error(text.place, format!("{what} must be from {least} to {most} bytes, not {}", text.text));
                None
            }
            None => {
                self.faults.error_hint(
                    text.place,
                    format!("`{}` is not a size", text.text),
                    "write a number of bytes, or a number with KB, MB, GB (thousands) or KiB, MiB, GiB (1,024s)",
                );
                None
            }
        }
    }

    /// One word of a closed list; `later` are words that are known, but not available in this version.
    pub fn word<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&'static str, T)],
        later: &[&str],
    ) -> Option<At<T>> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == &*text.text) {
            return Some(At { value: *value, place: text.place });
        }
        let listed: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let hint = format!("{what} is {}", listed.join(" or "));
        if later.iter().any(|word| word.eq_ignore_ascii_case(&text.text)) {
            self.faults.error_hint(text.place, format!("`{}` is not available in this version", text.text), hint);
            return None;
        }
        let near = nearest(&text.text, words.iter().map(|(word, _)| *word));
        let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        self.faults.error_hint(text.place, format!("{what} cannot be `{}`{near}", text.text), hint);
        None
    }
}

/// A mapping written back as one line, as well as its values allow.
fn flow_form(entries: &[Entry]) -> String {
    let mut out = String::from("{");
    for (at, Entry { key, value }) in entries.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        push_scalar(&mut out, key);
        if value.is_null() {
            continue;
        }
        out.push_str(": ");
        push_value(&mut out, value);
    }
    out.push('}');
    out
}

fn push_value(out: &mut String, value: &Node) {
    match &value.value {
        Value::Scalar(text) => push_scalar(out, text),
        Value::Map(entries) => out.push_str(&flow_form(entries)),
        Value::List(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                push_value(out, value);
            }
            out.push(']');
        }
    }
}

fn push_scalar(out: &mut String, text: &Text) {
    let quote = if text.style == Style::Plain { "" } else { "\"" };
    out.push_str(quote);
    out.push_str(&text.text);
    out.push_str(quote);
}
