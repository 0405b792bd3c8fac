//! Documents that a template engine was to fill in first: Terraform's `${…}` and `%{…}`, `{{…}}`, `{%…%}` and `<%…%>` of others.
//!
//! AWS never sees them so. Most are YAML all the same, and their placeholders are texts; one that is not is read once more with its
//! placeholders hidden, letter by letter, so that places stay. Lines that hold a directive and nothing else are comments then.

use crate::diagnostic::Place;
use crate::limits;
use crate::source::node::{Node, Text, Value};

/// Where hidden ASCII letters begin: private use, which no document has a meaning for.
const HIDDEN: u32 = 0xe000;

/// A text without the marks of its placeholders.
pub struct Hidden {
    /// As many letters as before, in the same places.
    pub text: String,
    /// How many placeholders and directives there are.
    pub count: usize,
    /// The line and column of the first.
    first: (u32, u32),
}

impl Hidden {
    /// Where the first placeholder stands.
    pub fn place(&self, source: u16) -> Place {
        Place { source, line: self.first.0, column: self.first.1, length: 2 }
    }
}

/// The text with its placeholders hidden; `None` if there are none.
pub fn hide(text: &str) -> Option<Hidden> {
    if text.chars().any(|c| hidden_letter(c).is_some()) {
        return None;
    }
    let mut hidden = Hidden { text: String::with_capacity(text.len() + text.len() / 8), count: 0, first: (0, 0) };
    for (number, line) in text.split_inclusive('\n').enumerate() {
        hide_line(line, number as u32 + 1, &mut hidden);
    }
    (hidden.count > 0).then_some(hidden)
}

fn hide_line(line: &str, number: u32, hidden: &mut Hidden) {
    let begin = line.len() - line.trim_start().len();
    let mut rest = line;
    if is_directive(line.trim()) {
        hidden.found(number, begin);
        let (blanks, directive) = line.split_at(begin);
        hidden.text.extend([blanks, "#"]);
        rest = &directive[1..];
        hidden.text.push_str(rest);
        return;
    }
    while let Some((at, length)) = placeholder(rest) {
        hidden.found(number, line[..line.len() - rest.len() + at].chars().count());
        let (before, after) = rest.split_at(at);
        let (mark, after) = after.split_at(length);
        hidden.text.push_str(before);
        hidden.text.extend(mark.chars().map(hide_letter));
        rest = after;
    }
    hidden.text.push_str(rest);
}

impl Hidden {
    fn found(&mut self, line: u32, before: usize) {
        if self.count == 0 {
            self.first = (line, before as u32 + 1);
        }
        self.count += 1;
    }
}

/// Whether a line is for a template engine alone.
fn is_directive(line: &str) -> bool {
    let is =
        |begin: &str, end: &str| line.len() > begin.len() + end.len() && line.starts_with(begin) && line.ends_with(end);
    let alone = |begin: &str, end: &str| is(begin, end) && line.matches(begin).count() == 1;
    alone("%{", "}") || is("{%", "%}") || is("<%", "%>") || is("{#", "#}") || alone("{{", "}}")
}

/// Where the next placeholder begins, and its length.
fn placeholder(line: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = line[from..].find(['$', '%', '{', '<']) {
        let at = from + found;
        let here = &line[at..];
        let length = if here.starts_with("${") || here.starts_with("%{") {
            closing_brace(here)
        } else if here.starts_with("{{") {
            end_of(here, "}}")
        } else if here.starts_with("{%") || here.starts_with("<%") {
            end_of(here, if here.starts_with('<') { "%>" } else { "%}" })
        } else {
            None
        };
        if let Some(length) = length {
            return Some((at, length));
        }
        from = at + 1;
    }
    None
}

/// The length of `${…}`, in which there may be braces.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().take(limits::PLACEHOLDER_CHARS_MAX) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

fn end_of(text: &str, end: &str) -> Option<usize> {
    let most = text.char_indices().nth(limits::PLACEHOLDER_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    text[..most].find(end).map(|at| at + end.len())
}

/// What YAML could take for a mark.
fn hide_letter(c: char) -> char {
    let is_mark = c.is_ascii_punctuation() && !matches!(c, '$' | '_' | '-' | '.');
    if is_mark { char::from_u32(HIDDEN + u32::from(c)).unwrap_or(c) } else { c }
}

fn hidden_letter(c: char) -> Option<char> {
    let code = u32::from(c).checked_sub(HIDDEN).filter(|code| *code < 0x80)?;
    char::from_u32(code)
}

/// Shows again what was hidden.
pub fn show(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(text) => show_text(text),
        Value::List(list) => list.iter_mut().for_each(show),
        Value::Map(entries) => {
            for entry in entries {
                show_text(&mut entry.key);
                show(&mut entry.value);
            }
        }
    }
}

fn show_text(text: &mut Text) {
    if text.text.contains(|c| hidden_letter(c).is_some()) {
        text.text = text.text.chars().map(|c| hidden_letter(c).unwrap_or(c)).collect();
    }
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::tests::with_faults;
    use super::*;
    use crate::openapi::ImportOptions;

    #[test]
    fn every_letter_keeps_its_place() {
        for text in [
            "a: ${b}\n",
            "a: {{ b }} c {{d}}\n",
            "  {% if x %}\n  a: b\n  {% endif %}\n",
            "%{ for x in y ~}\na: ä${join(\",\", [for z in x : \"${z}\"])}ß\n%{ endfor }\n",
            "a: <%= b %>\n",
        ] {
            let hidden = hide(text).expect(text);
            assert_eq!(hidden.text.chars().count(), text.chars().count(), "{text}");
            let shown: String = hidden.text.chars().map(|c| hidden_letter(c).unwrap_or(c)).collect();
            let changed = shown.chars().zip(text.chars()).filter(|(is, was)| is != was);
            assert!(changed.clone().all(|(is, _)| is == '#'), "only the first letter of a directive: {shown}");
        }
        for text in ["a: {b: {c: d}}\n", "a: $b\n", "a: ${b\n", "a: {{b\n", "\u{e041}: ${b}"] {
            assert!(hide(text).is_none(), "{text}");
        }
        let hidden = hide("x: y\n ä: ${a}, {{b}}\n").unwrap();
        assert_eq!((hidden.count, hidden.first), (2, (2, 5)));
    }

    #[test]
    fn what_is_no_yaml_is_read_without_its_placeholders() {
        let text = "{\"openapi\": \"3.0.1\", \"paths\": {\"/a\": {\"get\": {\"x-amazon-apigateway-integration\":\n{\"type\": \
                    \"http_proxy\", \"httpMethod\": \"GET\", \"uri\": ${uri}, \"timeoutInMillis\": ${time}}}}, ${more} }}";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        let method = definition.expect("it is imported").methods.remove(0);
        assert_eq!(method.integration.unwrap().uri.as_deref(), Some("${uri}"));
        let expected = "\
a.yaml:2:52: warning: 3 placeholders of a template engine stand here unfilled, this one first
a.yaml:2:79: warning: `timeoutInMillis` is `${time}`, which only a deployment knows
a.yaml:2:91: warning: path `${more}` has a part that only a deployment knows";
        assert_eq!(faults, expected);
    }

    #[test]
    fn faults_of_their_own_stay() {
        for text in ["openapi: 3.0.1\npaths: {/a: {get: ${b}\n", "openapi: [3.0.1\nx: {{y}}\n", "a: [\"${b}\n"] {
            let (_, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
            assert!(faults.contains("error: ") && !faults.contains("template engine"), "{faults}");
        }
    }
}
