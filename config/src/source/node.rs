//! YAML and JSON become one tree of values with places. Scalars keep their text and style: what they mean is for the field to say.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

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

/// Reads one document. Faults go to `faults`; `None` when there is no tree to go on with.
pub fn parse(text: &str, source: u16, faults: &mut Diagnostics) -> Option<Node> {
    if !text_is_fit(text, source, faults) {
        return None;
    }
    let mut builder = Builder::new(source, faults);
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => {
                if builder.take(event, span).is_err() {
                    return None;
                }
            }
            Err(error) => {
                let last = builder.last_plain;
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
fn text_is_fit(text: &str, source: u16, faults: &mut Diagnostics) -> bool {
    let whole = Place { source, ..Place::default() };
    if text.len() > limits::DOCUMENT_BYTES_MAX {
        faults.error(whole, format!("the document is larger than {} MiB", limits::DOCUMENT_BYTES_MAX / (1024 * 1024)));
        return false;
    }
    let unfit = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    let Some(offset) = text.find(unfit) else {
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

/// Reading cannot go on.
struct Halt;

/// A list or mapping that is not closed yet.
struct Open {
    place: Place,
    anchor: usize,
    nodes: usize,
    shape: Shape,
}

enum Shape {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<Box<str>, Place>, key: Waiting },
}

/// What a mapping waits for.
enum Waiting {
    /// The next name.
    Name,
    /// The value of this name.
    Value(Text),
    /// The value of a name that cannot be kept.
    Nothing,
}

struct Builder<'a> {
    source: u16,
    faults: &'a mut Diagnostics,
    open: Vec<Open>,
    root: Option<Node>,
    /// What an alias stands for, with its number of nodes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    aliases: usize,
    documents: usize,
    last_plain: Option<Place>,
}

impl<'a> Builder<'a> {
    fn new(source: u16, faults: &'a mut Diagnostics) -> Self {
        Self {
            source,
            faults,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            aliases: 0,
            documents: 0,
            last_plain: None,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Halt> {
        let place = self.place(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(place),
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag, place),
            Event::SequenceStart(anchor, tag) => self.begin(Shape::List(Vec::new()), anchor, tag, place),
            Event::MappingStart(anchor, tag) => self.begin(
                Shape::Map { entries: Vec::new(), seen: HashMap::new(), key: Waiting::Name },
                anchor,
                tag,
                place,
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn finish(self) -> Option<Node> {
        if self.root.is_none() {
            let place = Place { source: self.source, ..Place::default() };
            self.faults.error_hint(
                place,
                "the document is empty",
                "`gateway: {listen: 127.0.0.1:8080}` is the least that serves",
            );
        }
        self.root
    }

    fn place(&self, span: Span) -> Place {
        let length = if span.start.line() == span.end.line() { span.len() as u32 } else { 0 };
        Place { source: self.source, line: span.start.line() as u32, column: span.start.col() as u32 + 1, length }
    }

    fn document(&mut self, place: Place) -> Result<(), Halt> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        self.faults.error_hint(place, "a second document begins here", "one file holds one document: remove the `---`");
        Err(Halt)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Halt> {
        self.nodes += nodes;
        if self.nodes <= limits::NODES_MAX {
            return Ok(());
        }
        self.faults.error(place, format!("more than {} values, aliases expanded", limits::NODES_MAX));
        Err(Halt)
    }

    fn tag(&mut self, tag: Option<Cow<'_, Tag>>, place: Place) {
        let Some(tag) = tag else { return };
        if tag.is_yaml_core_schema() || (tag.handle.is_empty() && tag.suffix == "!") {
            return;
        }
        self.faults.error_hint(
            place,
            format!("the tag `{tag}` means nothing here"),
            "remove it, or quote the text that begins with `!`",
        );
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        place: Place,
    ) -> Result<(), Halt> {
        self.count(1, place)?;
        self.tag(tag, place);
        if style == ScalarStyle::Plain && !text.is_empty() {
            self.last_plain = Some(place);
        }
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let node = Node { value: Value::Scalar(Text { text: text.into(), place, style }), place };
        self.put(node, anchor, 1);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Halt> {
        self.aliases += 1;
        if self.aliases > limits::ALIASES_MAX {
            self.faults.error(place, format!("more than {} aliases", limits::ALIASES_MAX));
            return Err(Halt);
        }
        let Some(nodes) = self.anchors.get(&anchor).map(|(_, nodes)| *nodes) else {
            self.faults.error(place, "an alias cannot stand inside what it stands for");
            return Err(Halt);
        };
        self.count(nodes, place)?;
        let Some(node) = self.anchors.get(&anchor).map(|(node, _)| node.clone()) else {
            return Err(Halt);
        };
        if self.open.len() + depth(&node) > limits::DEPTH_MAX {
            return self.too_deep(place);
        }
        self.put(node, 0, nodes);
        Ok(())
    }

    fn too_deep(&mut self, place: Place) -> Result<(), Halt> {
        self.faults.error(place, format!("nested more than {} deep", limits::DEPTH_MAX));
        Err(Halt)
    }

    fn begin(&mut self, shape: Shape, anchor: usize, tag: Option<Cow<'_, Tag>>, place: Place) -> Result<(), Halt> {
        self.count(1, place)?;
        self.tag(tag, place);
        if self.open.len() >= limits::DEPTH_MAX {
            return self.too_deep(place);
        }
        self.open.push(Open { place, anchor, nodes: 1, shape });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Halt> {
        let Open { place, anchor, nodes, shape } = self.open.pop().ok_or(Halt)?;
        let value = match shape {
            Shape::List(list) => Value::List(list),
            Shape::Map { entries, .. } => Value::Map(entries),
        };
        self.put(Node { value, place }, anchor, nodes);
        Ok(())
    }

    /// Puts a finished node where it belongs: into the innermost open list or mapping, or at the root.
    fn put(&mut self, node: Node, anchor: usize, nodes: usize) {
        if anchor != 0 {
            self.nodes += nodes; // the copy counts against the budget as well
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        open.nodes += nodes;
        match &mut open.shape {
            Shape::List(list) => list.push(node),
            Shape::Map { entries, seen, key } => match std::mem::replace(key, Waiting::Name) {
                Waiting::Name => *key = key_of(node, seen, self.faults).map_or(Waiting::Nothing, Waiting::Value),
                Waiting::Value(key) => entries.push(Entry { key, value: node }),
                Waiting::Nothing => {}
            },
        }
    }
}

/// A scalar that was not seen in this mapping before.
fn key_of(node: Node, seen: &mut HashMap<Box<str>, Place>, faults: &mut Diagnostics) -> Option<Text> {
    let place = node.place;
    let Value::Scalar(scalar) = node.value else {
        faults.error_hint(place, "a name cannot be a list or a mapping", "quote a name that begins with `{` or `[`");
        return None;
    };
    if let Some(first) = seen.get(&scalar.text) {
        faults.error_hint(
            place,
            format!("`{}` is written twice", scalar.text),
            format!("the first is in line {}; a second one would silently replace it", first.line),
        );
        return None;
    }
    seen.insert(scalar.text.clone(), place);
    Some(scalar)
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
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
}
