//! Faults of a document: where, what, and how to mend it. All of them at once, sorted by place.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::input::Input;
use crate::limits;
use crate::masked;

/// Whether a fault keeps the configuration from serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration does not serve.
    Error,
    /// It serves, but probably not as meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A stretch of one line of one source. Lines and columns count from 1, in characters; line 0 means the source as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index in [`Diagnostics::sources`].
    pub source: u16,
    /// From 1; 0: the whole source.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// Characters to underline; at least 1 is drawn.
    pub length: u32,
}

impl Place {
    /// The column behind the last character that is meant; 0 for the source as a whole.
    pub const fn end_column(&self) -> u32 {
        match self.line {
            0 => 0,
            _ if self.length == 0 => self.column + 1,
            _ => self.column + self.length,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A text that places point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the user named it.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// All the faults of a load, sorted by place once [`Diagnostics::finish`] was called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The faults.
    pub list: Vec<Fault>,
    /// The texts that they are about.
    pub sources: Vec<Source>,
    /// The files that were read, or should have been; `source::file::read` notes them.
    pub files: Vec<Input>,
    /// Faults left out because there were more than [`limits::FAULTS_MAX`].
    pub left_out: usize,
    /// Secrets that stand in the sources: they are shown in no line.
    pub(crate) hidden: Vec<Place>,
}

impl Diagnostics {
    /// Adds an error.
    pub fn error(&mut self, place: Place, what: impl Into<String>) {
        self.push(Severity::Error, place, what.into(), None);
    }

    /// Adds an error with a way out.
    pub fn error_hint(&mut self, place: Place, what: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, place, what.into(), Some(hint.into()));
    }

    /// Adds a warning with a way out.
    pub fn warning(&mut self, place: Place, what: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, place, what.into(), Some(hint.into()));
    }

    /// A secret stands there: whatever is said of its line, it is not shown.
    pub fn hide(&mut self, place: Place) {
        if self.hidden.len() < limits::HIDDEN_MAX {
            self.hidden.push(place);
        }
    }

    fn push(&mut self, severity: Severity, place: Place, what: String, hint: Option<String>) {
        let readable = |text: String| cut(masked::text(&text).into_owned());
        let (what, hint) = (readable(what), hint.map(readable));
        // A text that is compiled for several stages fails the same way in each.
        if self.list.iter().any(|known| known.place == place && known.what == what) {
            return;
        }
        let is_needed = severity == Severity::Error && !self.has_errors();
        if self.list.len() >= limits::FAULTS_MAX && !is_needed {
            self.left_out += 1;
            return;
        }
        self.list.push(Fault { severity, place, what, hint });
    }

    /// Takes over faults that were found beside, or at an earlier load of the same text.
    pub fn repeat(&mut self, faults: &[Fault]) {
        for fault in faults {
            self.push(fault.severity, fault.place, fault.what.clone(), fault.hint.clone());
        }
    }

    /// Sorts by place.
    pub fn finish(&mut self) {
        self.list.sort_by(|a, b| (a.place, a.severity, &a.what).cmp(&(b.place, b.severity, &b.what)));
    }

    /// Whether the configuration must not serve.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|fault| fault.severity == Severity::Error)
    }

    /// Errors and warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.list.iter().filter(|fault| fault.severity == Severity::Error).count();
        (errors, self.list.len() - errors)
    }

    /// The faults as text for a terminal or a log; `color` adds ANSI colours. Empty without faults.
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        // Faults are sorted: walking each source's lines once keeps this linear.
        let mut lines = LineCursor::default();
        for fault in &self.list {
            let source = self.sources.get(usize::from(fault.place.source));
            let line = source.and_then(|source| lines.seek(source, fault.place));
            let here = |secret: &&Place| (secret.source, secret.line) == (fault.place.source, fault.place.line);
            let hidden = self.hidden.iter().filter(here).map(|secret| (secret.column, secret.length));
            let line = line.map(|line| masked::line(line, hidden));
            render_fault(&mut out, fault, source.map_or("", |source| &source.name), line.as_deref(), color);
        }
        if self.left_out > 0 {
            let _ = writeln!(out, "… and {} more", self.left_out);
        }
        out
    }

    /// The same for programs: `{"ok", "errors", "warnings", "left_out", "diagnostics": [{file, line, column, end_column, length, severity, message, hint}]}`.
    pub fn to_json(&self) -> Value {
        let (errors, warnings) = self.counts();
        let list: Vec<Value> = self
            .list
            .iter()
            .map(|fault| {
                json!({
                    "file": self.sources.get(usize::from(fault.place.source)).map(|source| &source.name),
                    "line": fault.place.line,
                    "column": fault.place.column,
                    "end_column": fault.place.end_column(),
                    "length": fault.place.length,
                    "severity": fault.severity.as_str(),
                    "message": fault.what,
                    "hint": fault.hint,
                })
            })
            .collect();
        json!({ "ok": errors == 0, "errors": errors, "warnings": warnings, "left_out": self.left_out, "diagnostics": list })
    }
}

/// Finds lines by number, going forward.
#[derive(Default)]
struct LineCursor {
    source: u16,
    line: u32,
    offset: usize,
}

impl LineCursor {
    fn seek<'a>(&mut self, source: &'a Source, place: Place) -> Option<&'a str> {
        if place.line == 0 {
            return None;
        }
        if self.source != place.source || self.line == 0 || self.line > place.line {
            *self = Self { source: place.source, line: 1, offset: 0 };
        }
        while self.line < place.line {
            let (line, end) = first_line(source.text.get(self.offset..)?);
            if end == 0 {
                return None;
            }
            self.offset += line.len() + end;
            self.line += 1;
        }
        Some(first_line(source.text.get(self.offset..)?).0)
    }
}

/// The first line of a text, and how many bytes end it: YAML and JSON know LF, CR LF and CR alone. None where the text ends.
pub(crate) fn first_line(text: &str) -> (&str, usize) {
    let Some(at) = text.find(['\n', '\r']) else { return (text, 0) };
    (&text[..at], if text[at..].starts_with("\r\n") { 2 } else { 1 })
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
/// Begins the margin of a line that is quoted.
pub const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

fn render_fault(out: &mut String, fault: &Fault, name: &str, line: Option<&str>, color: bool) {
    let paint = |code: &'static str| if color { code } else { "" };
    let (bold, blue, reset) = (paint(BOLD), paint(BLUE), paint(RESET));
    let loud = paint(match fault.severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
    });
    let place = fault.place;
    out.push_str(bold);
    push_clean(out, name);
    if place.line > 0 {
        let _ = write!(out, ":{}:{}", place.line, place.column);
    }
    // A file that a command named has no place in any document.
    let after = if name.is_empty() { "" } else { ": " };
    let _ = write!(out, "{after}{reset}{loud}{}{reset}{bold}: ", fault.severity.as_str());
    push_clean(out, &fault.what);
    let _ = writeln!(out, "{reset}");
    if let Some(line) = line {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let (shown, before, length) = window(line, place);
        let _ = writeln!(out, "{blue}{margin} |{reset}");
        let _ = writeln!(out, "{blue}{number} |{reset} {shown}");
        let _ = writeln!(out, "{blue}{margin} |{reset} {}{loud}{}{reset}", " ".repeat(before), "^".repeat(length));
    }
    if let Some(hint) = &fault.hint {
        let _ = write!(out, "{bold}hint:{reset} ");
        push_clean(out, hint);
        out.push('\n');
    }
    out.push('\n');
}

/// The part of a line that is shown, the characters before the caret, and the caret's length.
fn window(line: &str, place: Place) -> (String, usize, usize) {
    let total = line.chars().count();
    let column = (place.column.max(1) as usize - 1).min(total);
    let first =
        if total <= limits::RENDERED_LINE_MAX { 0 } else { column.saturating_sub(limits::RENDERED_LINE_MAX / 2) };
    let mut shown = String::new();
    let mut before = column - first;
    if first > 0 {
        shown.push('…');
        before += 1;
    }
    let visible: String = line.chars().skip(first).take(limits::RENDERED_LINE_MAX).collect();
    let shown_end = first + visible.chars().count();
    push_clean(&mut shown, &visible);
    if shown_end < total {
        shown.push('…');
    }
    let length = (place.length.max(1) as usize).min((shown_end.max(column + 1)) - column);
    (shown, before, length)
}

/// A sentence that can be read.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(limits::FAULT_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Nothing from a document may steer the terminal: control characters become spaces.
fn push_clean(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, line: u32, column: u32, length: u32) -> Diagnostics {
        let mut diagnostics = Diagnostics {
            sources: vec![Source { name: "gateway.yaml".into(), text: text.into() }],
            ..Diagnostics::default()
        };
        diagnostics.error_hint(Place { source: 0, line, column, length }, "something is wrong", "mend it");
        diagnostics.finish();
        diagnostics
    }

    #[test]
    fn a_fault_shows_its_line_and_a_caret() {
        assert_eq!(
            one("a: b\n  cc: dd\n", 2, 3, 2).render(false),
            "gateway.yaml:2:3: error: something is wrong\n  |\n2 |   cc: dd\n  |   ^^\nhint: mend it\n\n"
        );
    }

    #[test]
    fn a_fault_of_the_whole_source_shows_no_line() {
        assert_eq!(one("a", 0, 0, 0).render(false), "gateway.yaml: error: something is wrong\nhint: mend it\n\n");
        // CR alone ends a line as well.
        assert!(one("a\rb: c\r\nd", 2, 1, 1).render(false).contains("2 | b: c\n"));
        assert!(one("a\rb: c\r\nd", 3, 1, 1).render(false).contains("3 | d\n"));
        let mut nowhere = Diagnostics::default();
        nowhere.error_hint(Place::default(), "something is wrong", "mend it");
        assert_eq!(nowhere.render(false), "error: something is wrong\nhint: mend it\n\n");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        assert!(one("a: b", 1, 1, 1).render(true).contains("\x1b["));
        assert!(!one("a: b", 1, 1, 1).render(false).contains('\x1b'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let rendered = one("a: \x1b[31m\tb", 1, 4, 1).render(false);
        assert!(!rendered.contains('\x1b') && !rendered.contains('\t'), "{rendered:?}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("a: {}X{}", "y".repeat(1_000), "z".repeat(1_000));
        let rendered = one(&text, 1, 1_004, 1).render(false);
        assert!(rendered.contains("yX"));
        assert!(rendered.lines().all(|line| line.chars().count() < 200));
        let lines: Vec<&str> = rendered.lines().collect();
        let caret = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().nth(caret), Some('X'));
    }

    #[test]
    fn places_past_the_end_do_not_panic() {
        assert!(one("a", 9, 9, 9).render(false).contains(":9:9: error"));
        assert!(one("a", 1, 99, 99).render(true).contains('^'));
    }

    #[test]
    fn faults_are_sorted_and_said_once() {
        let mut diagnostics = one("a\nb", 2, 1, 1);
        diagnostics.error(Place { source: 0, line: 1, column: 1, length: 1 }, "first");
        diagnostics.error(Place { source: 0, line: 1, column: 1, length: 1 }, "first");
        diagnostics.finish();
        assert_eq!(
            diagnostics.list.iter().map(|fault| fault.what.as_str()).collect::<Vec<_>>(),
            ["first", "something is wrong"]
        );
        assert_eq!(diagnostics.counts(), (2, 0));
    }

    #[test]
    fn an_error_is_kept_even_behind_too_many_warnings() {
        let mut diagnostics = Diagnostics::default();
        for line in 1..=(limits::FAULTS_MAX as u32 + 7) {
            diagnostics.warning(Place { line, ..Place::default() }, "w", "h");
        }
        assert!(!diagnostics.has_errors());
        diagnostics.error(Place::default(), "e");
        assert!(diagnostics.has_errors());
        assert_eq!(diagnostics.left_out, 7);
        assert!(diagnostics.render(false).ends_with("… and 7 more\n"));
    }

    #[test]
    fn a_fault_that_repeats_megabytes_is_cut() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error_hint(Place::default(), "ü".repeat(1 << 20), "x".repeat(1 << 20));
        assert!(diagnostics.render(false).len() < 4 * limits::FAULT_CHARS_MAX);
    }

    #[test]
    fn json_names_every_part() {
        let value = one("a: b", 1, 4, 1).to_json();
        assert_eq!(value["ok"], false);
        assert_eq!(value["diagnostics"][0]["file"], "gateway.yaml");
        assert_eq!(value["diagnostics"][0]["line"], 1);
        assert_eq!(value["diagnostics"][0]["column"], 4);
        assert_eq!(value["diagnostics"][0]["end_column"], 5);
        assert_eq!(value["diagnostics"][0]["message"], "something is wrong");
        assert_eq!(value["diagnostics"][0]["hint"], "mend it");
    }
}
