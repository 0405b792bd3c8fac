//! The slips that people make in YAML, told apart by what stands at the place, each with the form that was meant.

use crate::diagnostic::{Diagnostics, Place};

/// What the parser said, and where.
pub struct Syntax<'a> {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// In the parser's words.
    pub message: &'a str,
    /// The last unquoted scalar before it.
    pub last_plain: Option<Place>,
}

/// One recognised slip.
struct Slip {
    line: u32,
    column: u32,
    length: u32,
    what: String,
    hint: String,
}

/// Adds the fault that explains a text which is not YAML.
pub fn explain(text: &str, source: u16, syntax: &Syntax<'_>, faults: &mut Diagnostics) {
    let lines = Lines::around(text, syntax.line);
    let found = tab(&lines, syntax)
        .or_else(|| star(&lines, syntax))
        .or_else(|| reserved(&lines, syntax))
        .or_else(|| directive(&lines, syntax))
        .or_else(|| brace_in_flow(&lines, syntax))
        .or_else(|| brace_first(&lines, syntax))
        .or_else(|| missing_space(&lines, syntax))
        .or_else(|| colon_inside(&lines, syntax))
        .or_else(|| text_after_quote(&lines, syntax))
        .or_else(|| escape(&lines, syntax))
        .or_else(|| open_end(&lines, syntax))
        .or_else(|| indentation(&lines, syntax));
    if let Some(slip) = found {
        let place = Place { source, line: slip.line, column: slip.column, length: slip.length };
        faults.error_hint(place, slip.what, slip.hint);
        return;
    }
    let place = Place { source, line: syntax.line, column: syntax.column, length: 1 };
    faults.error(place, format!("not YAML: {}", syntax.message));
}

/// The lines near the fault; a slip is never farther away.
struct Lines<'a> {
    first: u32,
    near: Vec<&'a str>,
}

const LINES_BEFORE: u32 = 20;

impl<'a> Lines<'a> {
    fn around(text: &'a str, line: u32) -> Self {
        let first = line.saturating_sub(LINES_BEFORE).max(1);
        let near = text.lines().skip(first as usize - 1).take(LINES_BEFORE as usize + 3).collect();
        Self { first, near }
    }

    fn get(&self, line: u32) -> &'a str {
        line.checked_sub(self.first).and_then(|at| self.near.get(at as usize)).copied().unwrap_or("")
    }

    /// From a column (from 1) to the end of its line.
    fn from(&self, line: u32, column: u32) -> &'a str {
        let text = self.get(line);
        text.char_indices().nth(column as usize - 1).map_or("", |(at, _)| &text[at..])
    }

    /// The character before a column.
    fn before(&self, line: u32, column: u32) -> Option<char> {
        self.get(line).chars().nth((column as usize).checked_sub(2)?)
    }
}

fn chars(text: &str) -> u32 {
    text.chars().count() as u32
}

/// A text as it should be written: in double quotes, or in single ones if it holds a double quote or a backslash.
pub fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) { format!("'{}'", text.replace('\'', "''")) } else { format!("\"{text}\"") }
}

/// An unquoted text up to where it was meant to end: a comment, `: `, or (in flow style) a comma or bracket that it did not open.
fn token(text: &str, flow: bool) -> &str {
    let mut depth = 0_u32;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        let next = text[at + c.len_utf8()..].chars().next();
        let ends = match c {
            '{' | '[' => {
                depth += 1;
                false
            }
            '}' | ']' if depth > 0 => {
                depth -= 1;
                false
            }
            '}' | ']' | ',' => flow && depth == 0,
            ':' => next.is_none_or(|next| next == ' '),
            '#' => previous == ' ',
            _ => false,
        };
        if ends {
            return text[..at].trim_end();
        }
        previous = c;
    }
    text.trim_end()
}

/// A tab as indentation.
fn tab(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !syntax.message.contains("tab") {
        return None;
    }
    let line = (syntax.line..=syntax.line + 2)
        .find(|&line| lines.get(line).chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t'))?;
    let column = chars(lines.get(line).split('\t').next().unwrap_or("")) + 1;
    Some(Slip {
        line,
        column,
        length: 1,
        what: "a tab is used as indentation".into(),
        hint: "YAML indents with spaces only: replace the tab, two spaces for each level".into(),
    })
}

/// `*` or `&` at the beginning of an unquoted text.
fn star(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    let rest = lines.from(syntax.line, syntax.column);
    let sign = rest.chars().next().filter(|c| matches!(c, '*' | '&'))?;
    if !syntax.message.contains("anchor") {
        return None;
    }
    let meant = token(rest, true);
    let what = if sign == '*' {
        format!("`{meant}` is not quoted: in YAML a leading `*` names an alias, and there is none of that name")
    } else {
        format!("`{meant}` is not quoted: in YAML a leading `&` names an anchor")
    };
    Some(Slip {
        line: syntax.line,
        column: syntax.column,
        length: chars(meant),
        what,
        hint: format!("write {}", quoted(meant)),
    })
}

/// `@`, a backtick or `%` at the beginning of an unquoted text.
fn reserved(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    let rest = lines.from(syntax.line, syntax.column);
    let sign = rest.chars().next().filter(|c| matches!(c, '@' | '`' | '%'))?;
    let meant = token(rest, false);
    Some(Slip {
        line: syntax.line,
        column: syntax.column,
        length: chars(meant),
        what: format!(
            "an unquoted text cannot begin with {}",
            if sign == '`' { "a backtick".into() } else { format!("`{sign}`") }
        ),
        hint: format!("write {}", quoted(meant)),
    })
}

/// `%` in the first column: a directive to YAML.
fn directive(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !syntax.message.contains("<document start>") {
        return None;
    }
    let line = (lines.first..=syntax.line).find(|&line| lines.get(line).starts_with('%'))?;
    let meant = token(lines.get(line), false);
    Some(Slip {
        line,
        column: 1,
        length: chars(meant),
        what: "a line that begins with `%` is a directive to YAML".into(),
        hint: format!("write {}", quoted(meant)),
    })
}

/// `{uri: http://pets/{proxy}}`: the inner brace ends the unquoted text.
fn brace_in_flow(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !syntax.message.contains("flow") || !lines.from(syntax.line, syntax.column).starts_with(['{', '[']) {
        return None;
    }
    let start = syntax.last_plain.filter(|place| place.line == syntax.line && place.column < syntax.column)?;
    let meant = token(lines.from(start.line, start.column), true);
    Some(Slip {
        line: start.line,
        column: start.column,
        length: chars(meant),
        what: format!("`{meant}` is not quoted: inside `{{ … }}` a brace ends an unquoted text"),
        hint: format!("write {}", quoted(meant)),
    })
}

/// `uri: {proxy}/x`: the text is taken for a mapping that then goes on.
fn brace_first(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !matches!(lines.before(syntax.line, syntax.column), Some('}' | ']')) {
        return None;
    }
    let text = lines.get(syntax.line);
    let at = text.find(": {").or_else(|| text.find(": ["))? + 2;
    let meant = text[at..].trim_end();
    if meant.ends_with(['}', ']']) && !meant.contains(": ") && chars(&text[..at]) + chars(meant) < syntax.column {
        return None;
    }
    Some(Slip {
        line: syntax.line,
        column: chars(&text[..at]) + 1,
        length: chars(meant),
        what: "an unquoted value that begins with `{` or `[` is a mapping or a list, and something follows its end"
            .into(),
        hint: format!("if it is a text, write {}", quoted(meant)),
    })
}

/// `listen:127.0.0.1:8080`: no space after the name, so it is one text.
fn missing_space(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !syntax.message.contains("mapping values are not allowed") {
        return None;
    }
    let line = (lines.first..=syntax.line).rev().skip(1).find(|&line| !lines.get(line).trim().is_empty())?;
    let text = lines.get(line);
    let trimmed = text.trim_start();
    let (name, value) = without_space(trimmed)?;
    Some(Slip {
        line,
        column: chars(text) - chars(trimmed) + 1,
        length: chars(name) + 1,
        what: format!("no space after `{name}:`"),
        hint: format!("write `{name}: {}`", value.trim_end()),
    })
}

/// `name:value` taken apart, if the text looks like a field and its value.
pub fn without_space(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'));
    (is_name && name.contains(|c: char| c.is_ascii_alphabetic()) && !value.is_empty() && !value.starts_with([' ', '/']))
        .then_some((name, value))
}

/// `body: hello: you`: a second `: ` in an unquoted value.
fn colon_inside(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !syntax.message.contains("mapping values are not allowed") {
        return None;
    }
    let text = lines.get(syntax.line);
    let (name, value) = text.split_once(": ")?;
    let value_at = chars(name) + 2;
    if syntax.column <= value_at {
        return Some(indented_too_far(lines, syntax));
    }
    let trimmed = value.trim_start();
    let meant = trimmed.split(" #").next().unwrap_or(trimmed).trim_end();
    Some(Slip {
        line: syntax.line,
        column: value_at + chars(value) - chars(trimmed) + 1,
        length: chars(meant),
        what: "`: ` inside an unquoted value".into(),
        hint: format!("write {}", quoted(meant)),
    })
}

fn indented_too_far(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Slip {
    let text = lines.get(syntax.line);
    let trimmed = text.trim_start();
    Slip {
        line: syntax.line,
        column: chars(text) - chars(trimmed) + 1,
        length: 1,
        what: "this line is indented more than the one above, which already has a value".into(),
        hint: "give both lines the same indentation, or remove the value above".into(),
    }
}

/// `"GET /x" and more`.
fn text_after_quote(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    let follows = matches!(lines.before(syntax.line, syntax.column), Some('"' | '\''));
    let is_surplus = follows && syntax.message.contains("did not find");
    if !is_surplus && !syntax.message.contains("trailing content after") {
        return None;
    }
    let rest = lines.from(syntax.line, syntax.column);
    Some(Slip {
        line: syntax.line,
        column: syntax.column,
        length: chars(rest.trim_end()),
        what: "text after the closing quote".into(),
        hint: "put the whole value in quotes; a single quote inside single quotes is written twice".into(),
    })
}

/// `"\d"`.
fn escape(_: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    if !syntax.message.contains("escape") {
        return None;
    }
    Some(Slip {
        line: syntax.line,
        column: syntax.column,
        length: 1,
        what: "a backslash in double quotes begins an escape, and this one is unknown".into(),
        hint: "use single quotes, in which a backslash is only a backslash".into(),
    })
}

/// A quote or bracket that is never closed.
fn open_end(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    let what = if syntax.message.contains("quoted scalar") {
        "this quote is never closed"
    } else if syntax.message.contains("end of stream") || syntax.message.contains("flow") {
        "a `{` or `[` is not closed before this"
    } else if syntax.message.contains("misplaced bracket") {
        "this closes nothing"
    } else if syntax.message.contains("illegal placement of ':'") {
        "a `[` is not closed before this"
    } else {
        return None;
    };
    let column = if lines.get(syntax.line).is_empty() { 1 } else { syntax.column };
    Some(Slip {
        line: syntax.line,
        column,
        length: 1,
        what: what.into(),
        hint: "each `{`, `[` and quote needs its partner".into(),
    })
}

/// A line whose indentation fits nothing above.
fn indentation(lines: &Lines<'_>, syntax: &Syntax<'_>) -> Option<Slip> {
    let text = lines.get(syntax.line);
    let trimmed = text.trim_start();
    let column = chars(text) - chars(trimmed) + 1;
    if syntax.message.contains("block sequence entries are not allowed") {
        return Some(Slip {
            line: syntax.line,
            column: syntax.column,
            length: 1,
            what: "a list cannot begin on the line of its name".into(),
            hint: "put each `- ` on a line of its own, or write `[a, b]`".into(),
        });
    }
    if !syntax.message.contains("did not find expected") || column != syntax.column {
        return None;
    }
    let what = if syntax.message.contains("'-'") {
        "a `name:` stands where the list above goes on"
    } else {
        "the indentation of this line fits no line above"
    };
    Some(Slip {
        line: syntax.line,
        column,
        length: 1,
        what: what.into(),
        hint: "entries of one mapping begin in the same column".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_so_that_they_read_back() {
        assert_eq!(quoted("http://a/{b}"), r#""http://a/{b}""#);
        assert_eq!(quoted(r#"{"a": "it's"}"#), r#"'{"a": "it''s"}'"#);
        assert_eq!(quoted(r"\d"), r"'\d'");
    }

    #[test]
    fn a_text_ends_where_it_was_meant_to() {
        for (text, flow, meant) in [
            ("http://a/{b}, c: d}", true, "http://a/{b}"),
            ("http://a/{b}}}", true, "http://a/{b}"),
            ("GET /a/{id}: {x}", true, "GET /a/{id}"),
            ("a, b", false, "a, b"),
            ("a # b", false, "a"),
            ("a#b", false, "a#b"),
            ("*:", true, "*"),
            ("", true, ""),
        ] {
            assert_eq!(token(text, flow), meant, "{text}");
        }
    }

    #[test]
    fn a_name_and_its_value_without_a_space() {
        assert_eq!(without_space("listen:127.0.0.1:80"), Some(("listen", "127.0.0.1:80")));
        for text in ["http://a", "a: b", "a", ":a", "a b:c", "80:80", "a:"] {
            assert_eq!(without_space(text), None, "{text}");
        }
    }
}
