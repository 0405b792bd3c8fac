//! What `$ref` names: a part of the same document, or a file in its folder tree. Never the network.
//!
//! Every file is read before anything is resolved, so that nodes can be borrowed for as long as the import lasts. A file that cannot be
//! read is a fault where it is needed, not where it is mentioned: an example may mention anything.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Variables, intrinsics, unrendered};
use crate::diagnostic::{Diagnostics, Place, Severity};
use crate::input::Input;
use crate::limits;
use crate::source::file;
use crate::source::node::{self, Author, Node, Text, Value};

/// The documents of one import.
#[derive(Debug, Default)]
pub struct Files {
    /// What `${AWS::…}` stands for.
    variables: Variables,
    documents: Vec<Document>,
    /// Positions in `documents` by the source of a place.
    by_source: HashMap<u16, usize>,
    /// Positions in `documents` by real path; `None`: read, and not understood.
    by_path: HashMap<PathBuf, Option<usize>>,
    /// What the file part of a reference means, by the document that it stands in.
    links: HashMap<(usize, Box<str>), Link>,
    /// Of all documents.
    bytes: usize,
}

/// One document. Its nodes never move.
#[derive(Debug)]
struct Document {
    root: Box<Node>,
    /// Positions by name in large mappings, by the address of their node.
    large: HashMap<usize, HashMap<Box<str>, usize>>,
    /// Where its relative references begin, and the folder that they may not leave; `None`: it is no file.
    home: Option<Home>,
}

#[derive(Debug, Clone)]
struct Home {
    folder: PathBuf,
    tree: PathBuf,
}

#[derive(Debug)]
enum Link {
    To(usize),
    Broken(Broken),
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// As a sentence.
    pub what: String,
    /// What to do.
    pub hint: &'static str,
}

impl Broken {
    fn new(what: impl Into<String>, hint: &'static str) -> Self {
        Self { what: what.into(), hint }
    }
}

const ON_THE_NETWORK: &str = "nothing is fetched: save it beside the document and name the file";
const IN_THE_TREE: &str = "a file is named by a relative path and lies in the folder of the configuration or below it";

impl Files {
    /// No document yet.
    pub fn new(variables: Variables) -> Self {
        Self { variables, ..Self::default() }
    }

    /// Reads a document and every file that it refers to. `tree` is the folder that references may not leave, its own if `None`.
    pub fn read(&mut self, path: &Path, tree: Option<&Path>, faults: &mut Diagnostics) -> Option<usize> {
        let real = std::fs::canonicalize(path).ok();
        if let Some(known) = real.as_ref().and_then(|real| self.by_path.get(real)) {
            return *known;
        }
        let source = file::read(path, faults)?;
        let real = real?;
        let folder = real.parent().map(Path::to_owned)?;
        // A document that the configuration names from elsewhere has a tree of its own.
        let tree = tree.and_then(|tree| std::fs::canonicalize(tree).ok()).filter(|tree| folder.starts_with(tree));
        let tree = tree.unwrap_or_else(|| folder.clone());
        let number = self.add(source, Some(Home { folder, tree }), faults);
        self.by_path.insert(real, number);
        self.follow(number?, faults);
        number
    }

    /// Adds a document from memory.
    pub fn add_text(&mut self, name: &str, text: &[u8], faults: &mut Diagnostics) -> Option<usize> {
        let source = file::add(name, text, faults)?;
        let number = self.add(source, None, faults)?;
        self.follow(number, faults);
        Some(number)
    }

    /// The root of a document.
    pub fn root(&self, number: usize) -> &Node {
        &self.documents[number].root
    }

    /// Whether a place is in this document.
    pub fn is_in(&self, number: usize, place: Place) -> bool {
        self.by_source.get(&place.source) == Some(&number)
    }

    fn add(&mut self, source: u16, home: Option<Home>, faults: &mut Diagnostics) -> Option<usize> {
        let text = std::mem::take(&mut faults.sources[usize::from(source)].text);
        self.bytes += text.len();
        let root = parse(&text, source, faults);
        faults.sources[usize::from(source)].text = text;
        let root = intrinsics::prepare(root?, &self.variables, faults)?;
        let number = self.documents.len();
        self.documents.push(Document { root: Box::new(root), large: HashMap::new(), home });
        self.by_source.insert(source, number);
        Some(number)
    }

    /// Reads the files that a document refers to, and those that these refer to.
    fn follow(&mut self, first: usize, faults: &mut Diagnostics) {
        let mut next = first;
        while next < self.documents.len() {
            let mut found = Found::default();
            found.walk(&self.documents[next].root);
            self.documents[next].large = found.large;
            for file in found.files {
                let link = self.link(next, &file, faults).map_or_else(Link::Broken, Link::To);
                self.links.insert((next, file), link);
            }
            next += 1;
        }
    }

    /// The document that the file part of a reference names.
    fn link(&mut self, from: usize, file: &str, faults: &mut Diagnostics) -> Result<usize, Broken> {
        if file.contains("://") || file.starts_with("//") {
            return Err(Broken::new("it names a place on the network", ON_THE_NETWORK));
        }
        let Some(Home { folder, tree }) = self.documents[from].home.clone() else {
            return Err(Broken::new(
                "it names a file, and this document is none",
                "put what it names into the document",
            ));
        };
        let path = folder.join(percent_decoded(file));
        let is_document = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
        if !is_document {
            return Err(Broken::new("it names no document", "a file that is named ends in .yaml, .yml or .json"));
        }
        if Path::new(file).is_absolute() {
            return Err(Broken::new("it names an absolute path", IN_THE_TREE));
        }
        let real = std::fs::canonicalize(&path).map_err(|error| {
            faults.files.push(Input::missing(&path));
            Broken::new(
                format!("the file cannot be read: {error}"),
                "check the path: it is taken from the document's folder",
            )
        })?;
        if !real.starts_with(&tree) {
            return Err(Broken::new("it leaves the folder of the configuration", IN_THE_TREE));
        }
        let unread = || Broken::new("the file has faults of its own", "mend them first");
        if let Some(known) = self.by_path.get(&real) {
            return known.ok_or_else(unread);
        }
        if !real.is_file() {
            return Err(Broken::new("it is no file", IN_THE_TREE));
        }
        self.read_more(real, tree, faults)?.ok_or_else(unread)
    }

    /// One file more; `None` after faults in it.
    fn read_more(&mut self, real: PathBuf, tree: PathBuf, faults: &mut Diagnostics) -> Result<Option<usize>, Broken> {
        if self.documents.len() >= limits::REFERRED_FILES_MAX {
            let what = format!("an import reads at most {} files", limits::REFERRED_FILES_MAX);
            return Err(Broken::new(what, "put what belongs together into one file"));
        }
        let more = std::fs::metadata(&real).map_or(0, |metadata| metadata.len());
        if self.bytes as u64 + more > limits::DOCUMENT_BYTES_MAX as u64 {
            let what = format!("the files together are larger than {} MiB", limits::DOCUMENT_BYTES_MAX / (1024 * 1024));
            return Err(Broken::new(what, "leave out what the API does not need, such as examples"));
        }
        let folder = real.parent().map_or_else(PathBuf::new, Path::to_owned);
        let source = file::read(&real, faults);
        let number = source.and_then(|source| self.add(source, Some(Home { folder, tree }), faults));
        self.by_path.insert(real, number);
        Ok(number)
    }

    /// The node itself, or what its `$ref` names, to the end of a chain; `None` after a fault.
    pub fn resolve<'a>(&'a self, node: &'a Node, faults: &mut Diagnostics) -> Option<&'a Node> {
        let mut found = node;
        for _ in 0..limits::REFERENCE_HOPS_MAX {
            let Some(reference) = reference(found) else {
                return Some(found);
            };
            match self.find(reference) {
                Ok(next) => found = next,
                Err(broken) => {
                    let what = format!("`$ref: {}` leads nowhere: {}", reference.text, broken.what);
                    faults.error_hint(reference.place, what, broken.hint);
                    return None;
                }
            }
        }
        let place = reference(node).map_or(node.place, |reference| reference.place);
        let what =
            format!("this `$ref` leads to another one, and so on more than {} times", limits::REFERENCE_HOPS_MAX);
        faults.error_hint(place, what, "they go round in a circle: one of them must name the thing itself");
        None
    }

    /// What a reference names, one step far.
    pub fn find<'a>(&'a self, reference: &Text) -> Result<&'a Node, Broken> {
        let (file, fragment) = reference.text.split_once('#').unwrap_or((&reference.text, ""));
        let home = *self
            .by_source
            .get(&reference.place.source)
            .ok_or_else(|| Broken::new("its document is unknown", "write it into a document"))?;
        let number = if file.is_empty() {
            home
        } else {
            match self.links.get(&(home, file.into())) {
                Some(Link::To(number)) => *number,
                Some(Link::Broken(broken)) => return Err(broken.clone()),
                None => return Err(Broken::new("the file was not read", IN_THE_TREE)),
            }
        };
        let document = &self.documents[number];
        if fragment.is_empty() {
            return Ok(&document.root);
        }
        let pointer = fragment.strip_prefix('/').ok_or_else(|| {
            Broken::new("the part behind `#` does not begin with `/`", "write it like #/components/schemas/Pet")
        })?;
        let mut node = &*document.root;
        for token in pointer.split('/') {
            let token = unescaped(token);
            node = document.child(node, &token).ok_or_else(|| {
                Broken::new(
                    format!("there is no `{token}` on the way"),
                    "check the spelling; `/` in a name is written ~1",
                )
            })?;
        }
        Ok(node)
    }
}

/// Reads a document; one that a template engine was to fill in first, as far as it can be read (see [`unrendered`]).
fn parse(text: &str, source: u16, faults: &mut Diagnostics) -> Option<Node> {
    let known = faults.list.len();
    let has_errors = |faults: &Diagnostics| faults.list[known..].iter().any(|fault| fault.severity == Severity::Error);
    let root = node::parse_by(Author::Public, text, source, faults);
    if !has_errors(faults) {
        return root;
    }
    let Some(hidden) = unrendered::hide(text) else { return root };
    let first = faults.list.split_off(known);
    let again = node::parse_by(Author::Public, &hidden.text, source, faults);
    if let Some(mut again) = again.filter(|_| !has_errors(faults)) {
        unrendered::show(&mut again);
        let what = match hidden.count {
            1 => "a placeholder of a template engine stands here unfilled".to_owned(),
            count => format!("{count} placeholders of a template engine stand here unfilled, this one first"),
        };
        let hint = "they are taken for texts, and lines that are directives are passed over: import what the engine makes of it";
        faults.warning(hidden.place(source), what, hint);
        return Some(again);
    }
    faults.list.truncate(known);
    faults.list.extend(first);
    root
}

impl Document {
    fn child<'a>(&'a self, node: &'a Node, name: &str) -> Option<&'a Node> {
        match &node.value {
            Value::Scalar(_) => None,
            Value::List(list) => list.get(name.parse::<usize>().ok()?),
            Value::Map(entries) => {
                let at = match self.large.get(&address(node)) {
                    Some(index) => index.get(name).copied(),
                    None => entries.iter().position(|entry| &*entry.key.text == name),
                };
                Some(&entries[at?].value)
            }
        }
    }
}

/// What a walk over a document finds.
#[derive(Default)]
struct Found {
    /// In the order of the document: so are the sources.
    files: Vec<Box<str>>,
    known: HashSet<Box<str>>,
    large: HashMap<usize, HashMap<Box<str>, usize>>,
}

/// Mappings with more entries get a table of their names.
const LARGE: usize = 16;

impl Found {
    fn walk(&mut self, node: &Node) {
        if let Some(reference) = reference(node) {
            let (file, _) = reference.text.split_once('#').unwrap_or((&reference.text, ""));
            if !file.is_empty() && self.files.len() < limits::REFERRED_FILES_MAX && self.known.insert(file.into()) {
                self.files.push(file.into());
            }
        }
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(list) => {
                for node in list {
                    self.walk(node);
                }
            }
            Value::Map(entries) => {
                if entries.len() > LARGE {
                    let names = entries.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at));
                    self.large.insert(address(node), names.collect());
                }
                for entry in entries {
                    self.walk(&entry.value);
                }
            }
        }
    }
}

/// What tells one node from another.
pub fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// The text of `{$ref: text}`.
pub fn reference(node: &Node) -> Option<&Text> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| &*entry.key.text == "$ref").and_then(|entry| match &entry.value.value {
        Value::Scalar(text) => Some(text),
        Value::List(_) | Value::Map(_) => None,
    })
}

/// A part of a pointer without its escapes.
pub fn unescaped(token: &str) -> String {
    percent_decoded(token).replace("~1", "/").replace("~0", "~")
}

/// `%41` is `A`; what is no escape, or would not be UTF-8, stays.
fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::tests::{Folder, good, with_faults};
    use super::*;
    use crate::openapi::{ImportOptions, import};

    fn imported(files: &[(PathBuf, Place)], options: &ImportOptions) -> (String, Diagnostics) {
        let mut faults = Diagnostics::default();
        let definition = import(files, options, &mut faults);
        let found = definition.map_or_else(String::new, |definition| serde_json::to_string(&definition).unwrap());
        (found, faults)
    }

    #[test]
    fn pointers_find_their_way() {
        let text = "
openapi: 3.0.1
paths:
  /a/{b}: {get: {parameters: [{$ref: '#/components/parameters/a~1b'}, {$ref: '#/components/parameters/c%20~0d'}]}}
  /c: {get: {parameters: [{$ref: '#/paths/~1a~1%7Bb%7D/get/parameters/0'}]}}
components: {parameters: {a/b: {name: x, in: query}, c ~d: {name: y, in: query}}}
";
        let methods = good(Kind::Rest, text).methods;
        let names = |at: usize| methods[at].parameters.iter().map(|p| p.name.to_string()).collect::<Vec<_>>();
        assert_eq!((names(0), names(1)), (vec!["x".to_owned(), "y".to_owned()], vec!["x".to_owned()]));
    }

    #[test]
    fn references_that_lead_nowhere_are_errors() {
        for (reference, why) in [
            ("#/components/parameters/none", "there is no `none` on the way"),
            ("#/components/parameters/list/7", "there is no `7` on the way"),
            ("#/openapi/x", "there is no `x` on the way"),
            ("#anchor", "the part behind `#` does not begin with `/`"),
            ("https://example.com/a.yaml#/a", "it names a place on the network"),
            ("//example.com/a.yaml", "it names a place on the network"),
            ("other.yaml", "it names a file, and this document is none"),
        ] {
            let text = format!(
                "openapi: 3.0.1\npaths: {{/a: {{get: {{parameters: [{{$ref: '{reference}'}}]}}}}}}\ncomponents: {{parameters: {{list: []}}}}\n"
            );
            let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), &text);
            assert_eq!(faults, format!("a.yaml:2:40: error: `$ref: {reference}` leads nowhere: {why}"));
            assert!(definition.is_some());
        }
    }

    #[test]
    fn circles_end() {
        let text = "
openapi: 3.0.1
paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}, /c: {$ref: '#/paths/~1c'}}
";
        let (_, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        assert_eq!(faults.lines().count(), 3, "{faults}");
        assert!(faults.lines().all(|line| line.contains("leads to another one")), "{faults}");
    }

    #[test]
    fn files_are_found_beside_and_below() {
        let folder = Folder::new("refs");
        let main = folder.write(
            "api/main.yaml",
            "
openapi: 3.0.1
paths:
  /a: {$ref: 'paths/a.yaml'}
  /b: {$ref: '../shared.json#/b'}
",
        );
        folder.write("api/paths/a.yaml", "get: {parameters: [{$ref: '../../shared.json#/p'}, {$ref: 'a.yaml#/x-own'}]}\nx-own: {name: own, in: query}\n");
        folder.write(
            "shared.json",
            r##"{"p": {"name": "p", "in": "query"}, "b": {"put": {"parameters": [{"$ref": "#/p"}]}}}"##,
        );
        let mut options = ImportOptions { root: Some(folder.path()), ..ImportOptions::new(Kind::Rest) };
        let (found, faults) = imported(std::slice::from_ref(&main), &options);
        assert_eq!(faults.render(false), "");
        assert_eq!(found.matches(r#""name":"p""#).count(), 2, "{found}");
        assert_eq!(found.matches(r#""name":"own""#).count(), 1, "{found}");
        let names: Vec<&str> = faults.sources.iter().map(|source| source.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["main.yaml", "a.yaml", "shared.json"], "each is read once");
        assert_eq!(faults.files.len(), 3, "all are watched");
        options.root = None;
        let (_, faults) = imported(&[main], &options);
        let said = faults.render(false);
        assert!(said.contains("`$ref: ../shared.json#/b` leads nowhere: it leaves the folder"), "{said}");
    }

    #[test]
    fn files_that_must_not_be_read_are_not() {
        let folder = Folder::new("hostile");
        let outside = Folder::new("outside");
        let (secret, _) = outside.write("secret.yaml", "get: {operationId: secret}\n");
        folder.write("secret.key", "get: {}\n");
        std::os::unix::fs::symlink(&secret, folder.path().join("link.yaml")).unwrap();
        std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
        let references = [
            ("link.yaml".to_owned(), "it leaves the folder of the configuration"),
            (secret.display().to_string(), "it names an absolute path"),
            ("../../../../etc/none.yaml".to_owned(), "the file cannot be read"),
            ("secret.key".to_owned(), "it names no document"),
            ("folder.yaml".to_owned(), "it is no file"),
            ("none.yaml".to_owned(), "the file cannot be read"),
            ("file:///etc/passwd".to_owned(), "it names a place on the network"),
        ];
        for (reference, why) in references {
            let main = folder.write("main.yaml", &format!("openapi: 3.0.1\npaths: {{/a: {{$ref: '{reference}'}}}}\n"));
            let (found, faults) = imported(&[main], &ImportOptions::new(Kind::Rest));
            let said = faults.render(false);
            assert!(said.contains(&format!("leads nowhere: {why}")), "{reference}: {said}");
            assert!(!found.contains("secret"), "{reference}");
        }
    }

    #[test]
    fn what_is_only_mentioned_is_no_fault() {
        let folder = Folder::new("mention");
        let text = "{openapi: 3.0.1, paths: {}, x-example: {$ref: none.yaml}, components: {examples: {e: {$ref: 'https://x/y.yaml'}}}}";
        let (_, faults) = imported(&[folder.write("main.yaml", text)], &ImportOptions::new(Kind::Rest));
        assert_eq!(faults.render(false), "");
    }

    #[test]
    fn a_file_with_faults_says_them_once() {
        let folder = Folder::new("faulty");
        let text = "{openapi: 3.0.1, paths: {/a: {$ref: bad.yaml}, /b: {$ref: 'bad.yaml#/b'}}}";
        folder.write("bad.yaml", "get: {\n");
        let (_, faults) = imported(&[folder.write("main.yaml", text)], &ImportOptions::new(Kind::Rest));
        let said = faults.render(false);
        assert_eq!(said.matches("bad.yaml:").count(), 1, "{said}");
        assert_eq!(said.matches("the file has faults of its own").count(), 2, "{said}");
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let folder = Folder::new("many");
        let paths = (0..=limits::REFERRED_FILES_MAX)
            .map(|at| format!("  /p{at}: {{$ref: f{at}.yaml}}\n"))
            .collect::<Vec<_>>()
            .concat();
        for at in 0..=limits::REFERRED_FILES_MAX {
            folder.write(&format!("f{at}.yaml"), "get: {}\n");
        }
        let main = folder.write("main.yaml", &format!("openapi: 3.0.1\npaths:\n{paths}"));
        let (_, faults) = imported(&[main], &ImportOptions::new(Kind::Rest));
        assert!(faults.sources.len() <= limits::REFERRED_FILES_MAX);
        assert!(faults.has_errors());
    }

    #[test]
    fn escapes_that_are_none_stay() {
        for (token, meant) in
            [("a%2", "a%2"), ("a%zz", "a%zz"), ("%C3%A4", "ä"), ("%ff", "%ff"), ("~01", "~1"), ("%7E1", "/")]
        {
            assert_eq!(unescaped(token), meant);
        }
    }
}
