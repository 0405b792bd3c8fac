//! YAML and JSON become one tree of values with places. Scalars keep their text and style: what they mean is for the field to say.

use saphyr_parser::Parser;

use super::builder::Builder;
use super::json;
use super::slips::{self, Syntax};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What.
    pub value: Value,
    /// Where; of a list or mapping, its beginning.
    pub place: Place,
}

/// The three shapes of YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a number, a truth: the field knows.
    Scalar(Text),
    /// Values in order.
    List(Vec<Node>),
    /// Names and values in order; no name twice.
    Map(Vec<Entry>),
}

/// A scalar or a name as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Quotes, escapes and folding undone.
    pub text: Box<str>,
    /// Where it stands, quotes included.
    pub place: Place,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// `|` or `>`.
    Block,
}

/// One line of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub key: Text,
    /// What it stands for.
    pub value: Node,
}

impl Text {
    /// The place of the character at a byte offset of the text, where the source shows it; else the whole place.
    pub fn place_at(&self, offset: usize) -> Place {
        let Some(before) = self.text.get(..offset).map(|part| part.chars().count() as u32) else {
            return self.place;
        };
        let length = self.text.chars().count() as u32;
        let quote = match self.style {
            Style::Plain => 0,
            Style::Quoted => 1,
            Style::Block => return self.place,
        };
        // Columns can be counted only where no escape, folding or anchor makes the written form longer than the text.
        if self.place.length != length + 2 * quote || before > length {
            return self.place;
        }
        Place { column: self.place.column + quote + before, length: 1, ..self.place }
    }
}

impl Node {
    /// Whether nothing was written: `field:` or `field: null` (core schema: `null`, `Null`, `NULL`, `~`, nothing).
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar)
            if scalar.style == Style::Plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Who wrote a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The operator, for us: a tag or a name that is written twice is an error.
    Operator,
    /// The public, for many programs: CloudFormation's tags become mappings (`!Sub x` is `{"Fn::Sub": x}`), other tags mean nothing, of a
    /// name that is written twice the last one counts, and `<<` merges as YAML 1.1 has it.
    Public,
}

/// Reads a document of the operator. Faults go to `faults`; `None` when there is no tree to go on with.
pub fn parse(text: &str, source: u16, faults: &mut Diagnostics) -> Option<Node> {
    parse_by(Author::Operator, text, source, faults)
}

/// Reads a document.
pub fn parse_by(author: Author, text: &str, source: u16, faults: &mut Diagnostics) -> Option<Node> {
    if !text_is_fit(author, text, source, faults) {
        return None;
    }
    if json::is_likely(text) {
        let known = faults.list.len();
        let mut builder = Builder::new(author, source, faults);
        match json::read(text, source, &mut builder) {
            Ok(()) => return builder.finish(),
            Err(json::Stop::Halt) => return None,
            // What it found is found again.
            Err(json::Stop::NotJson) => faults.list.truncate(known),
        }
        return parse_yaml(author, &json::surrogates_joined(text), source, faults);
    }
    parse_yaml(author, text, source, faults)
}

/// Reads a text that is fit.
pub(super) fn parse_yaml(author: Author, text: &str, source: u16, faults: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder::new(author, source, faults);
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => {
                if builder.take(event, span).is_err() {
                    return None;
                }
            }
            Err(error) => {
                let last = builder.last_plain();
                let syntax = Syntax {
                    line: error.marker().line() as u32,
                    column: error.marker().col() as u32 + 1,
                    message: error.info(),
                    last_plain: last,
                };
                slips::explain(text, source, &syntax, faults);
                return None;
            }
        }
    }
    builder.finish()
}

/// What the parser must not see: too much, or a NUL, at which it would stop reading without a word.
fn text_is_fit(author: Author, text: &str, source: u16, faults: &mut Diagnostics) -> bool {
    let whole = Place { source, ..Place::default() };
    if text.len() > limits::DOCUMENT_BYTES_MAX {
        faults.error_hint(
            whole,
            format!("the document is larger than {} MiB", limits::DOCUMENT_BYTES_MAX / (1024 * 1024)),
            "leave out what the gateway does not need, such as examples, or make several documents of it",
        );
        return false;
    }
    let Some(offset) = unfit(author, text) else {
        return true;
    };
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let place = Place {
        source,
        line: before.matches('\n').count() as u32 + 1,
        column: before[line_start..].chars().count() as u32 + 1,
        length: 1,
    };
    let code = text[offset..].chars().next().map_or(0, u32::from);
    faults.error_hint(
        place,
        format!("control character U+{code:04X}"),
        "control characters cannot stand in a document; in double quotes they can be written as escapes",
    );
    false
}

/// Where the first character stands that cannot be in a document.
fn unfit(author: Author, text: &str) -> Option<usize> {
    let is_unfit = |c: char| match author {
        Author::Operator => {
            (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, '\u{fffe}' | '\u{ffff}')
        }
        // Descriptions hold what was pasted into them, and JSON allows it.
        Author::Public => c < ' ' && !matches!(c, '\t' | '\n' | '\r'),
    };
    // Bytes tell faster than characters: these are unfit, or may begin what is.
    let is_suspect =
        |byte: u8| (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || matches!(byte, 0x7f | 0xc2 | 0xef);
    let mut from = 0;
    loop {
        let at = from + text.as_bytes()[from..].iter().position(|byte| is_suspect(*byte))?;
        if text[at..].starts_with(is_unfit) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    fn read(text: &str) -> (Option<Node>, Diagnostics) {
        let mut faults = Diagnostics::default();
        faults.sources.push(Source { name: "x.yaml".into(), text: text.into() });
        let node = parse(text, 0, &mut faults);
        (node, faults)
    }

    fn good(text: &str) -> Node {
        let (node, faults) = read(text);
        assert_eq!(faults.render(false), "", "{text}");
        node.unwrap()
    }

    fn entries(node: &Node) -> &[Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn scalar(node: &Node) -> &Text {
        match &node.value {
            Value::Scalar(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_text() {
        for text in ["no", "on", "0x1F", "8080:80", "1e3", "010", "null", "2001-01-01", "$default", "GET /a/{id}", "~"]
        {
            let node = good(&format!("a: {text}\n"));
            assert_eq!(&*scalar(&entries(&node)[0].value).text, text);
        }
    }

    #[test]
    fn nothing_is_only_null_when_it_is_plain() {
        let node = good("{a: , b: null, c: ~, d: 'null', e: \"\", f: nil}");
        let nulls: Vec<bool> = entries(&node).iter().map(|entry| entry.value.is_null()).collect();
        assert_eq!(nulls, [true, true, true, false, false, false]);
    }

    #[test]
    fn places_reach_into_scalars_that_show_their_columns() {
        let node = good("a: plain\nb: \"quoted\"\nc: \"es\\u0041caped\"\nd: |\n  block\né: 'ü-ü'\n");
        let place = |at: usize, offset: usize| {
            let place = scalar(&entries(&node)[at].value).place_at(offset);
            (place.line, place.column, place.length)
        };
        assert_eq!(place(0, 2), (1, 6, 1));
        assert_eq!(place(1, 0), (2, 5, 1));
        assert_eq!(place(1, 6), (2, 11, 1));
        assert_eq!(place(2, 3), (3, 4, 15), "an escape hides the columns");
        assert_eq!(place(3, 1).0, 5);
        assert_eq!(place(4, 2), (6, 6, 1), "columns are characters, offsets are bytes");
        assert_eq!(place(4, 1), (6, 4, 5), "an offset within a character is no place");
        assert_eq!(place(0, 99), (1, 4, 5));
    }

    #[test]
    fn aliases_stand_for_copies() {
        let node = good("a: &x {b: c}\nd: *x\n");
        assert_eq!(entries(&entries(&node)[1].value)[0].key.text, "b".into());
    }

    #[test]
    fn json_is_read() {
        let node = good("{\n\t\"a\": [1, true, null, \"x\\n\\u0041\"]\n}\n");
        let Value::List(list) = &entries(&node)[0].value.value else { panic!() };
        assert_eq!(&*scalar(&list[3]).text, "x\nA");
    }

    #[test]
    fn marks_of_documents_without_any_behind_them_are_the_publics_habit() {
        for (text, is_good) in [
            ("a: b\n---\n", true),
            ("---\na: b\n---\n...\n", true),
            ("---\n---\na: b\n", true),
            ("a: b\n---\nc: d\n", false),
            ("a: b\n---\n---\n", false),
        ] {
            let mut faults = Diagnostics::default();
            faults.sources.push(Source { name: "x.yaml".into(), text: text.into() });
            let node = parse_by(Author::Public, text, 0, &mut faults);
            assert_eq!(node.is_some(), is_good, "{text}");
            assert_eq!(faults.render(false).contains("a second document begins here"), !is_good, "{text}");
        }
        let (node, faults) = read("a: b\n---\n");
        assert!(node.is_none() && faults.has_errors(), "the operator writes one");
    }

    #[test]
    fn a_document_that_grows_by_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        let level =
            |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
        text.extend((1..20).map(level));
        let (node, faults) = read(&text);
        assert_eq!(node, None);
        assert!(faults.render(false).contains("values, aliases expanded"));
    }

    #[test]
    fn too_many_aliases_are_refused() {
        let text = format!("a: &a x\nb: [{}]\n", "*a, ".repeat(limits::ALIASES_MAX + 1));
        assert!(read(&text).1.render(false).contains("aliases"));
    }

    #[test]
    fn depth_is_bounded_also_through_aliases() {
        let deep = format!("{}{}", "[".repeat(limits::DEPTH_MAX + 1), "]".repeat(limits::DEPTH_MAX + 1));
        assert!(read(&deep).1.render(false).contains("deep"));
        let half = limits::DEPTH_MAX / 2 + 1;
        let (open, close) = ("[".repeat(half), "]".repeat(half));
        let by_alias = format!("a: &a {open}x{close}\nb: {open}*a{close}\n");
        assert!(read(&by_alias).1.render(false).contains("deep"));
    }

    #[test]
    fn control_characters_are_pointed_at() {
        for (text, place) in [("a: b\nc: \0d\n", "x.yaml:2:4"), ("\u{7}", "x.yaml:1:1"), ("a: \u{ffff}", "x.yaml:1:4")]
        {
            let (node, faults) = read(text);
            assert_eq!(node, None);
            assert!(faults.render(false).starts_with(place), "{}", faults.render(false));
        }
    }

    #[test]
    fn names_must_be_texts() {
        let (_, faults) = read("{[a]: b}");
        assert!(faults.render(false).contains("cannot be a list or a mapping"));
    }

    #[test]
    fn the_public_may_paste() {
        for text in ["a: 'x\u{80}\u{7f}\u{ffff}'\n", "{\"a\": \"x\u{80}\u{7f}\u{ffff}\"}"] {
            let (node, faults) = public(text);
            assert_eq!((flat(&node).as_str(), faults.as_str()), ("{a:x\u{80}\u{7f}\u{ffff}}", ""));
            assert!(read(text).1.has_errors(), "the operator did not mean it");
        }
        let mut faults = Diagnostics::default();
        assert_eq!(parse_by(Author::Public, "a: \u{1b}[0m", 0, &mut faults), None);
    }

    fn public(text: &str) -> (Node, String) {
        let mut faults = Diagnostics::default();
        faults.sources.push(Source { name: "x.yaml".into(), text: text.into() });
        let node = parse_by(Author::Public, text, 0, &mut faults);
        (node.expect(text), faults.render(false))
    }

    fn flat(node: &Node) -> String {
        match &node.value {
            Value::Scalar(text) => text.text.to_string(),
            Value::List(list) => format!("[{}]", list.iter().map(flat).collect::<Vec<_>>().join(",")),
            Value::Map(entries) => {
                let entries = entries.iter().map(|entry| format!("{}:{}", entry.key.text, flat(&entry.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn tags_of_the_public_become_functions() {
        for (text, meant) in [
            ("a: !Sub x-${y}", "{a:{Fn::Sub:x-${y}}}"),
            ("a: !Ref Api", "{a:{Ref:Api}}"),
            ("a: !GetAtt F.Arn", "{a:{Fn::GetAtt:F.Arn}}"),
            ("a: !Join\n  - ':'\n  - [b, !Ref C]\n", "{a:{Fn::Join:[:,[b,{Ref:C}]]}}"),
            ("a: !Sub {b: c}", "{a:{Fn::Sub:{b:c}}}"),
            ("a: &x !Ref B\nc: *x\n", "{a:{Ref:B},c:{Ref:B}}"),
        ] {
            let (node, faults) = public(text);
            assert_eq!((flat(&node).as_str(), faults.as_str()), (meant, ""), "{text}");
        }
        let (node, faults) = public("a: !ruby/object x");
        assert_eq!(flat(&node), "{a:x}");
        assert!(faults.contains("x.yaml:1:4: warning: the tag `!ruby/object` means nothing here"), "{faults}");
        assert!(read("a: !Sub x").1.has_errors(), "a tag of the operator's is a slip");
    }

    #[test]
    fn a_tag_can_say_that_a_scalar_is_a_text() {
        for text in ["a: !!str null", "a: ! null"] {
            assert!(!entries(&good(text))[0].value.is_null(), "{text}");
        }
        assert!(entries(&good("a: !!null null"))[0].value.is_null());
    }

    #[test]
    fn of_a_name_written_twice_by_the_public_the_last_counts() {
        let (node, faults) = public("a: 1\nb: 2\na: 3\n");
        assert_eq!(flat(&node), "{a:3,b:2}");
        assert!(faults.contains("x.yaml:3:1: warning: `a` is written twice"), "{faults}");
    }

    #[test]
    fn names_are_found_also_in_large_mappings() {
        let names = (0..100).map(|at| format!("n{at}: {at}\n")).collect::<Vec<_>>().concat();
        for at in [0, 15, 16, 17, 99] {
            let text = format!("{names}n{at}: again\n");
            assert!(read(&text).1.render(false).contains(&format!("the first is in line {}", at + 1)), "n{at}");
            assert_eq!(&*scalar(&entries(&public(&text).0)[at].value).text, "again");
        }
    }

    #[test]
    fn the_public_may_merge() {
        let text = "x: &x {a: 1, b: 2}\ny: &y {c: 3, b: 4}\nz: {b: 0, <<: [*x, *y]}\nw: {<<: *x}\nv: {<<: text}\n";
        let (node, faults) = public(text);
        assert_eq!(faults, "");
        assert_eq!(flat(&node), "{x:{a:1,b:2},y:{c:3,b:4},z:{b:0,a:1,c:3},w:{a:1,b:2},v:{<<:text}}");
    }

    #[test]
    fn tags_count_against_the_depth() {
        let deep = |levels: usize| format!("{}x{}", "!Sub [".repeat(levels), "]".repeat(levels));
        assert!(public(&deep(limits::PUBLIC_DEPTH_MAX / 2)).1.is_empty());
        let mut faults = Diagnostics::default();
        assert_eq!(parse_by(Author::Public, &deep(limits::PUBLIC_DEPTH_MAX / 2 + 1), 0, &mut faults), None);
        assert!(faults.list[0].what.contains("deep"));
    }
}
