//! Events of the YAML parser become nodes, under budgets for values, aliases and depth.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Span, Tag};

use super::node::{Author, Entry, Node, Style, Text, Value};
use super::tags::{self, Meaning};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;

/// Reading cannot go on; the fault is said.
pub struct Halt;

/// A list or mapping that is not closed yet.
struct Open {
    place: Place,
    anchor: usize,
    nodes: usize,
    /// The name of the mapping that its tag makes of it.
    wrap: Option<Box<str>>,
    shape: Shape,
}

enum Shape {
    List(Vec<Node>),
    Map(Entries),
}

/// A mapping under construction.
struct Entries {
    list: Vec<Entry>,
    /// Positions by name, once there are more than [`SCANNED_MAX`]; a fault for a name twice must not cost a square.
    index: Option<HashMap<Box<str>, usize>>,
    waiting: Waiting,
    /// What stands behind `<<`.
    merged: Vec<Node>,
}

/// Up to so many names are looked through one by one: it costs less than a table for each mapping.
const SCANNED_MAX: usize = 16;

/// What a mapping waits for.
enum Waiting {
    /// The next name.
    Name,
    /// The value of this name.
    Value(Text),
    /// The value of a name that is there already, at this position.
    Again(Text, usize),
    /// The value of a name that cannot be kept.
    Nothing,
}

/// The tree so far.
pub struct Builder<'a> {
    author: Author,
    source: u16,
    faults: &'a mut Diagnostics,
    open: Vec<Open>,
    /// Open ones that a tag wraps: each is a level more.
    wrapped: usize,
    root: Option<Node>,
    /// What an alias stands for, with its number of nodes; long texts count for several.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    aliases: usize,
    documents: usize,
    /// The document before this one, and where this one begins: marks of documents may stand without any behind or before them.
    before: Option<(Option<Node>, Place)>,
    last_plain: Option<Place>,
}

impl<'a> Builder<'a> {
    /// Nothing read yet.
    pub fn new(author: Author, source: u16, faults: &'a mut Diagnostics) -> Self {
        Self {
            author,
            source,
            faults,
            open: Vec::new(),
            wrapped: 0,
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            aliases: 0,
            documents: 0,
            before: None,
            last_plain: None,
        }
    }

    /// The last unquoted scalar.
    pub fn last_plain(&self) -> Option<Place> {
        self.last_plain
    }

    /// Takes the next event.
    pub fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Halt> {
        let place = self.place(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(place),
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => self.tagged_scalar(text, style, anchor, tag, place),
            Event::SequenceStart(anchor, tag) => self.begin(Shape::List(Vec::new()), anchor, tag, place),
            Event::MappingStart(anchor, tag) => self.begin(Shape::Map(Entries::default()), anchor, tag, place),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    /// The tree, if there is one.
    pub fn finish(mut self) -> Option<Node> {
        if let Some((before, place)) = self.before.take() {
            let is_empty = |node: &Option<Node>| node.as_ref().is_none_or(Node::is_null);
            if is_empty(&self.root) {
                self.root = before;
            } else if !is_empty(&before) {
                let _ = self.second(place);
                return None;
            }
        }
        if self.root.is_none() {
            let place = Place { source: self.source, ..Place::default() };
            let hint = match self.author {
                Author::Operator => "`gateway: {listen: 127.0.0.1:8080}` is the least that serves",
                Author::Public => "an OpenAPI document begins with `openapi: 3.0.1`, `info` and `paths`",
            };
            self.faults.error_hint(place, "the document is empty", hint);
        }
        self.root
    }

    fn place(&self, span: Span) -> Place {
        let length = if span.start.line() == span.end.line() { span.len() as u32 } else { 0 };
        Place { source: self.source, line: span.start.line() as u32, column: span.start.col() as u32 + 1, length }
    }

    fn document(&mut self, place: Place) -> Result<(), Halt> {
        self.documents += 1;
        match (self.documents, self.author) {
            (1, _) => Ok(()),
            (2, Author::Public) => {
                self.before = Some((self.root.take(), place));
                Ok(())
            }
            _ => self.second(place),
        }
    }

    fn second(&mut self, place: Place) -> Result<(), Halt> {
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

    fn tag(&mut self, tag: Option<Cow<'_, Tag>>, place: Place) -> Meaning {
        let Some(tag) = tag else { return Meaning::None };
        let meaning = tags::meaning(&tag);
        match (self.author, &meaning) {
            (_, Meaning::None | Meaning::Text) | (Author::Public, Meaning::Call(_)) => return meaning,
            (Author::Public, Meaning::Unknown) => {
                self.faults.warning(
                    place,
                    format!("the tag `{tag}` means nothing here"),
                    "the value is taken without it",
                );
            }
            (Author::Operator, Meaning::Call(_) | Meaning::Unknown) => self.faults.error_hint(
                place,
                format!("the tag `{tag}` means nothing here"),
                "remove it, or quote the text that begins with `!`",
            ),
        }
        Meaning::None
    }

    /// A value or a name.
    pub fn scalar(&mut self, text: Box<str>, style: Style, place: Place) -> Result<(), Halt> {
        self.count(1, place)?;
        let weight = weight(&text);
        self.put(Node { value: Value::Scalar(Text { text, place, style }), place }, 0, weight);
        Ok(())
    }

    /// A list begins.
    pub fn begin_list(&mut self, place: Place) -> Result<(), Halt> {
        self.begin(Shape::List(Vec::new()), 0, None, place)
    }

    /// A mapping begins.
    pub fn begin_map(&mut self, place: Place) -> Result<(), Halt> {
        self.begin(Shape::Map(Entries::default()), 0, None, place)
    }

    fn tagged_scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        place: Place,
    ) -> Result<(), Halt> {
        self.count(1, place)?;
        let meaning = self.tag(tag, place);
        if style == ScalarStyle::Plain && !text.is_empty() {
            self.last_plain = Some(place);
        }
        let style = match style {
            ScalarStyle::Plain if meaning == Meaning::Text => Style::Quoted,
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let mut nodes = weight(&text);
        let mut node = Node { value: Value::Scalar(Text { text: text.into(), place, style }), place };
        if let Meaning::Call(name) = meaning {
            self.count(1, place)?;
            self.check_depth(1, place)?;
            node = wrap(name, node);
            nodes += 1;
        }
        self.put(node, anchor, nodes);
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
        self.check_depth(depth(&node), place)?;
        self.put(node, 0, nodes);
        Ok(())
    }

    /// Whether so many levels more may stand here.
    fn check_depth(&mut self, levels: usize, place: Place) -> Result<(), Halt> {
        let most = match self.author {
            Author::Operator => limits::DEPTH_MAX,
            Author::Public => limits::PUBLIC_DEPTH_MAX,
        };
        if self.open.len() + self.wrapped + levels <= most {
            return Ok(());
        }
        self.faults.error(place, format!("nested more than {most} deep"));
        Err(Halt)
    }

    fn begin(&mut self, shape: Shape, anchor: usize, tag: Option<Cow<'_, Tag>>, place: Place) -> Result<(), Halt> {
        let wrap = match self.tag(tag, place) {
            Meaning::Call(name) => Some(name),
            Meaning::None | Meaning::Text | Meaning::Unknown => None,
        };
        let nodes = 1 + usize::from(wrap.is_some());
        self.count(nodes, place)?;
        self.check_depth(nodes, place)?;
        self.wrapped += usize::from(wrap.is_some());
        self.open.push(Open { place, anchor, nodes, wrap, shape });
        Ok(())
    }

    /// The innermost list or mapping ends.
    pub fn end(&mut self) -> Result<(), Halt> {
        let Open { place, anchor, nodes, wrap: name, shape } = self.open.pop().ok_or(Halt)?;
        let value = match shape {
            Shape::List(list) => Value::List(list),
            Shape::Map(entries) => Value::Map(entries.close()),
        };
        let mut node = Node { value, place };
        if let Some(name) = name {
            self.wrapped -= 1;
            node = wrap(name, node);
        }
        self.put(node, anchor, nodes);
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
            Shape::Map(entries) => entries.put(node, self.author, self.faults),
        }
    }
}

impl Default for Entries {
    fn default() -> Self {
        Self { list: Vec::new(), index: None, waiting: Waiting::Name, merged: Vec::new() }
    }
}

impl Entries {
    fn put(&mut self, node: Node, author: Author, faults: &mut Diagnostics) {
        match std::mem::replace(&mut self.waiting, Waiting::Name) {
            Waiting::Name => self.waiting = self.key(node, author, faults),
            Waiting::Value(key) if author == Author::Public && is_merge(&key, &node) => self.merged.push(node),
            Waiting::Value(key) => self.push(Entry { key, value: node }),
            Waiting::Again(key, at) => self.list[at] = Entry { key, value: node },
            Waiting::Nothing => {}
        }
    }

    fn push(&mut self, entry: Entry) {
        if let Some(index) = &mut self.index {
            index.insert(entry.key.text.clone(), self.list.len());
        }
        self.list.push(entry);
        if self.list.len() == SCANNED_MAX {
            let names = self.list.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at));
            self.index = Some(names.collect());
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(name).copied(),
            None => self.list.iter().position(|entry| &*entry.key.text == name),
        }
    }

    /// What a name makes the mapping wait for.
    fn key(&self, node: Node, author: Author, faults: &mut Diagnostics) -> Waiting {
        let place = node.place;
        let Value::Scalar(key) = node.value else {
            faults.error_hint(
                place,
                "a name cannot be a list or a mapping",
                "quote a name that begins with `{` or `[`",
            );
            return Waiting::Nothing;
        };
        let Some(at) = self.position(&key.text) else {
            return Waiting::Value(key);
        };
        let (what, line) = (format!("`{}` is written twice", key.text), self.list[at].key.place.line);
        match author {
            Author::Operator => {
                let hint = format!("the first is in line {line}; a second one would silently replace it");
                faults.error_hint(place, what, hint);
                Waiting::Nothing
            }
            Author::Public => {
                faults.warning(place, what, format!("this one counts; the one before it is in line {line}"));
                Waiting::Again(key, at)
            }
        }
    }

    /// The entries, followed by those of `<<` that are not among them.
    fn close(mut self) -> Vec<Entry> {
        for node in std::mem::take(&mut self.merged) {
            let maps = match node.value {
                Value::List(list) => list,
                _ => vec![node],
            };
            for map in maps {
                let Value::Map(entries) = map.value else { continue };
                for entry in entries {
                    if self.position(&entry.key.text).is_none() {
                        self.push(entry);
                    }
                }
            }
        }
        self.list
    }
}

/// `<<: *base` or `<<: [*base, *more]`.
fn is_merge(key: &Text, value: &Node) -> bool {
    let is_map = |node: &Node| matches!(node.value, Value::Map(_));
    key.style == Style::Plain
        && &*key.text == "<<"
        && match &value.value {
            Value::List(list) => list.iter().all(is_map),
            Value::Map(_) | Value::Scalar(_) => is_map(value),
        }
}

/// `{name: node}`
fn wrap(name: Box<str>, node: Node) -> Node {
    let place = node.place;
    let key = Text { text: name, place, style: Style::Quoted };
    Node { value: Value::Map(vec![Entry { key, value: node }]), place }
}

/// What a scalar counts where it is copied: a long text is worth many.
fn weight(text: &str) -> usize {
    1 + text.len() / 64
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
    }
}
