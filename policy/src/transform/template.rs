//! Texts with references to the request: the bodies and header values of mock answers (IN-10).
//!
//! | reference | stands for |
//! |---|---|
//! | `$request.path` | the path below the stage, as received |
//! | `$request.path.x` | the method's path variable `{x}`, as received (RT-04) |
//! | `$request.querystring.x` | the last value of a query parameter, decoded (RT-09) |
//! | `$request.header.x` | the last value of a header field, the name in any case |
//! | `$context.x` | one of [`Variable::NAMES`] |
//! | `$context.authorizer.x` | what the authorizer says of the caller |
//! | `$stageVariables.x` | a stage variable, put in when the configuration is compiled |
//!
//! `${request.header.x}` says the same and may be followed by a letter. What a request does not have is empty.
//! All other `$` text is left alone.

use std::collections::BTreeMap;
use std::fmt;

use codec::head::Name;
use serde::{Deserialize, Serialize, Serializer};

use crate::escape;
use crate::facts::Facts;
use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_REFERENCES_MAX};
use crate::transform::variable::Variable;

/// A compiled text. Rendering writes to the given output and allocates nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Template {
    parts: Box<[Part]>,
    /// Literals and names, one after the other; parts are places in it.
    text: Box<[u8]>,
    shape: Shape,
}

/// The names that a template may use beside those that every request has.
#[derive(Debug, Clone, Copy)]
pub struct TemplateNames<'a> {
    /// The variables of the method's path, in order, without `+`.
    pub path_variables: &'a [Box<str>],
    /// The stage's variables; one that is not defined is empty.
    pub stage_variables: &'a BTreeMap<String, String>,
}

/// Why a text is no template, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateFault {
    /// Byte in the text.
    pub offset: usize,
    /// What is wrong there.
    pub what: TemplateProblem,
}

/// What is wrong with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateProblem {
    /// Longer than [`TEMPLATE_BYTES_MAX`].
    TooLong,
    /// More references than [`TEMPLATE_REFERENCES_MAX`].
    TooManyReferences,
    /// `${request.…` without its `}`.
    Unclosed,
    /// `$request.header` or `$request.querystring` without a name.
    Unnamed,
    /// `$request.x` where x is neither path, querystring nor header.
    UnknownPart,
    /// `$request.path.x`, where the method's path has no `{x}` or `{x+}`.
    NoSuchPathVariable,
    /// `$context.x`, where x is not one of [`Variable::NAMES`].
    UnknownContext,
    /// A line break or another control character in a header's value.
    Control,
}

impl TemplateProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooLong => "the template is too long",
            Self::TooManyReferences => "the template refers to the request too often",
            Self::Unclosed => "this reference has no closing brace",
            Self::Unnamed => "this reference lacks a name",
            Self::UnknownPart => "a request has no such part: path, querystring and header can be read",
            Self::NoSuchPathVariable => "the method's path has no variable of this name",
            Self::UnknownContext => "there is no such $context variable in this version",
            Self::Control => "a header's value may not hold a line break or another control character",
        }
    }
}

/// How substituted values are made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Shape {
    /// JSON: escaped within a string, a value of its own outside of one.
    Json,
    /// As they are.
    Text,
    /// On one line: no control characters.
    Line,
}

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    source: Source,
    /// In JSON, whether it stands outside of any string.
    bare: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Literal(Place),
    ApiPath,
    PathVariable(u16),
    Query(Place),
    Header(Name, Place),
    Context(Variable),
    Authorizer(Place),
}

/// A place in the text of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    start: u32,
    end: u32,
}

impl Place {
    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

impl Template {
    /// Compiles a body. With `json`, values are escaped within a JSON string; outside of one a number, `true`,
    /// `false` and `null` stand as they are, all else becomes a string, and what is absent becomes `null`: a
    /// JSON template stays JSON, whatever a client sends. Without `json`, values stay as they are: such a text
    /// is not fit for a header, and in HTML it is the operator who decides what a client may put there.
    pub fn compile(text: &str, names: &TemplateNames<'_>, json: bool) -> Result<Self, TemplateFault> {
        Compiler::new(text, names, if json { Shape::Json } else { Shape::Text }).run()
    }

    /// Compiles a header's value: values lose their control characters, and the text itself may not hold any,
    /// so that no rendering can end the field (F30, P11).
    pub fn compile_header(text: &str, names: &TemplateNames<'_>) -> Result<Self, TemplateFault> {
        match text.bytes().position(escape::is_control) {
            Some(offset) => Err(TemplateFault { offset, what: TemplateProblem::Control }),
            None => Compiler::new(text, names, Shape::Line).run(),
        }
    }

    /// Writes the text with a request's values.
    pub fn render(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        if let Some(text) = self.as_literal() {
            return out.extend_from_slice(text);
        }
        for part in &self.parts {
            if let Source::Literal(place) = part.source {
                out.extend_from_slice(place.of(&self.text));
                continue;
            }
            let from = out.len();
            let present = self.write_raw(part.source, facts, out);
            self.shape.fit(part.bare, present, out, from);
        }
    }

    /// The whole text, if it has no reference to a request.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match *self.parts {
            [] => Some(b""),
            [Part { source: Source::Literal(place), .. }] => Some(place.of(&self.text)),
            _ => None,
        }
    }

    /// Writes a value as it is; false if the request has none.
    fn write_raw(&self, source: Source, facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
        let value = match source {
            Source::Literal(place) => Some(place.of(&self.text)),
            Source::ApiPath => Some(facts.api_path()),
            Source::PathVariable(place) => Some(facts.path_variable(usize::from(place))),
            Source::Header(known, name) => facts.header(known, name.of(&self.text)),
            Source::Query(name) => {
                let value = facts.query(name.of(&self.text));
                codec::target::decode_component(value.unwrap_or_default(), true, out);
                return value.is_some();
            }
            Source::Context(variable) => return variable.write(facts, out),
            Source::Authorizer(name) => facts.of_authorizer(name.of(&self.text)).map(str::as_bytes),
        };
        out.extend_from_slice(value.unwrap_or_default());
        value.is_some()
    }
}

impl Shape {
    /// Makes the value `out[from..]` fit.
    fn fit(self, bare: bool, present: bool, out: &mut Vec<u8>, from: usize) {
        match self {
            Self::Json if bare => escape::json_value(out, from, present),
            Self::Json => escape::json_string(out, from),
            Self::Text => {}
            Self::Line => escape::one_line(out, from),
        }
    }
}

/// A template as a file holds it: the same parts, not yet believed.
#[derive(Serialize, Deserialize)]
struct Stored {
    parts: Vec<(StoredSource, bool)>,
    text: Box<[u8]>,
    shape: Shape,
}

/// A [`Source`] without what follows from its text.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum StoredSource {
    Literal(Place),
    ApiPath,
    PathVariable(u16),
    Query(Place),
    Header(Place),
    Context(Variable),
    Authorizer(Place),
}

/// A file holds what no text can be compiled to.
#[derive(Debug)]
struct Unusable;

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored template is none")
    }
}

impl TryFrom<Stored> for Template {
    type Error = Unusable;

    /// Places stand in the text, in order and apart from each other; a header's text has no control character.
    fn try_from(Stored { parts, text, shape }: Stored) -> Result<Self, Unusable> {
        let mut end = 0;
        let mut references = 0;
        let mut checked = Vec::with_capacity(parts.len());
        for (stored, bare) in parts {
            let place = match stored {
                StoredSource::Literal(place)
                | StoredSource::Query(place)
                | StoredSource::Header(place)
                | StoredSource::Authorizer(place) => Some(place),
                StoredSource::ApiPath | StoredSource::PathVariable(_) | StoredSource::Context(_) => None,
            };
            if let Some(Place { start, end: past }) = place {
                if start < end || past < start || past as usize > text.len() {
                    return Err(Unusable);
                }
                end = past;
            }
            references += usize::from(!matches!(stored, StoredSource::Literal(_)));
            let source = match stored {
                StoredSource::Literal(place) => Source::Literal(place),
                StoredSource::ApiPath => Source::ApiPath,
                StoredSource::PathVariable(place) => Source::PathVariable(place),
                StoredSource::Query(place) => Source::Query(place),
                StoredSource::Header(place) => Source::Header(Name::of(place.of(&text)), place),
                StoredSource::Context(variable) => Source::Context(variable),
                StoredSource::Authorizer(place) => Source::Authorizer(place),
            };
            checked.push(Part { source, bare });
        }
        let is_clean = shape != Shape::Line || !text.iter().any(|byte| escape::is_control(*byte));
        if references > TEMPLATE_REFERENCES_MAX || !is_clean {
            return Err(Unusable);
        }
        Ok(Self { parts: checked.into(), text, shape })
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let stored = |part: &Part| {
            let source = match part.source {
                Source::Literal(place) => StoredSource::Literal(place),
                Source::ApiPath => StoredSource::ApiPath,
                Source::PathVariable(place) => StoredSource::PathVariable(place),
                Source::Query(place) => StoredSource::Query(place),
                Source::Header(_, place) => StoredSource::Header(place),
                Source::Context(variable) => StoredSource::Context(variable),
                Source::Authorizer(place) => StoredSource::Authorizer(place),
            };
            (source, part.bare)
        };
        Stored { parts: self.parts.iter().map(stored).collect(), text: self.text.clone(), shape: self.shape }
            .serialize(to)
    }
}

/// Reads a text once, from front to end.
struct Compiler<'a> {
    source: &'a str,
    names: &'a TemplateNames<'a>,
    shape: Shape,
    parts: Vec<Part>,
    text: Vec<u8>,
    /// Where in `text` the literal begins that is being read.
    literal: usize,
    references: usize,
    quotes: Quotes,
}

/// Whether the end of what was read is within a JSON string.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quotes {
    inside: bool,
    escaped: bool,
}

impl Quotes {
    pub(super) fn is_inside(self) -> bool {
        self.inside
    }

    pub(super) fn read(&mut self, text: &[u8]) {
        for byte in text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.inside => self.escaped = true,
                b'"' => self.inside = !self.inside,
                _ => {}
            }
        }
    }
}

/// A reference that was read.
enum Reference<'a> {
    Request(Wanted<'a>),
    StageVariable(&'a str),
}

/// What of a request it names.
enum Wanted<'a> {
    ApiPath,
    PathVariable(u16),
    Query(&'a str),
    Header(&'a str),
    Context(Variable),
    Authorizer(&'a str),
}

impl<'a> Compiler<'a> {
    fn new(source: &'a str, names: &'a TemplateNames<'a>, shape: Shape) -> Self {
        Self {
            source,
            names,
            shape,
            parts: Vec::new(),
            text: Vec::new(),
            literal: 0,
            references: 0,
            quotes: Quotes::default(),
        }
    }

    fn run(mut self) -> Result<Template, TemplateFault> {
        if self.source.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateFault { offset: TEMPLATE_BYTES_MAX, what: TemplateProblem::TooLong });
        }
        let mut at = 0;
        while let Some(found) = self.source[at..].find('$') {
            let dollar = at + found;
            self.literal(&self.source[at..dollar]);
            if let Some((reference, end)) = self.reference(dollar)? {
                self.push(reference, dollar)?;
                at = end;
            } else {
                self.literal("$");
                at = dollar + 1;
            }
        }
        self.literal(&self.source[at..]);
        self.end_literal();
        Ok(Template { parts: self.parts.into(), text: self.text.into(), shape: self.shape })
    }

    fn literal(&mut self, text: &str) {
        self.quotes.read(text.as_bytes());
        self.text.extend_from_slice(text.as_bytes());
    }

    fn end_literal(&mut self) {
        let place = Place { start: self.literal as u32, end: self.text.len() as u32 };
        if place.start < place.end {
            self.parts.push(Part { source: Source::Literal(place), bare: false });
        }
        self.literal = self.text.len();
    }

    fn push(&mut self, reference: Reference<'_>, offset: usize) -> Result<(), TemplateFault> {
        let bare = !self.quotes.inside;
        let wanted = match reference {
            Reference::StageVariable(name) => {
                let value = self.names.stage_variables.get(name);
                let from = self.text.len();
                self.text.extend_from_slice(value.map_or("", String::as_str).as_bytes());
                self.shape.fit(bare, value.is_some(), &mut self.text, from);
                return Ok(());
            }
            Reference::Request(wanted) => wanted,
        };
        self.references += 1;
        if self.references > TEMPLATE_REFERENCES_MAX {
            return Err(TemplateFault { offset, what: TemplateProblem::TooManyReferences });
        }
        self.end_literal();
        let source = match wanted {
            Wanted::ApiPath => Source::ApiPath,
            Wanted::PathVariable(place) => Source::PathVariable(place),
            Wanted::Query(name) => Source::Query(self.name(name)),
            Wanted::Header(name) => Source::Header(Name::of(name.as_bytes()), self.name(name)),
            Wanted::Context(variable) => Source::Context(variable),
            Wanted::Authorizer(name) => Source::Authorizer(self.name(name)),
        };
        self.parts.push(Part { source, bare });
        Ok(())
    }

    /// Keeps a name beside the literals.
    fn name(&mut self, name: &str) -> Place {
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        self.literal = self.text.len();
        Place { start: start as u32, end: self.text.len() as u32 }
    }

    /// The reference that begins with the dollar sign at `dollar`, and where it ends; `None` if it is text.
    fn reference(&self, dollar: usize) -> Result<Option<(Reference<'a>, usize)>, TemplateFault> {
        let fault = |what| TemplateFault { offset: dollar, what };
        let after = &self.source[dollar + 1..];
        let braced = after.starts_with('{');
        let start = dollar + 1 + usize::from(braced);
        let inner = &self.source[start..];
        if !is_ours(inner) {
            return Ok(None);
        }
        let expression = if braced {
            let end = inner.find('}').ok_or(fault(TemplateProblem::Unclosed))?;
            &inner[..end]
        } else {
            run(inner)
        };
        let (reference, used) = self.resolve(expression, braced).map_err(fault)?;
        Ok(Some((reference, start + used + usize::from(braced))))
    }

    /// What an expression means, and how much of it: all, if it was in braces.
    fn resolve(&self, expression: &'a str, braced: bool) -> Result<(Reference<'a>, usize), TemplateProblem> {
        let (root, rest) = expression.split_once('.').unwrap_or((expression, ""));
        let at = expression.len() - rest.len();
        match root {
            "stageVariables" => {
                let name = if braced { rest } else { word(rest, false) };
                Ok((Reference::StageVariable(name), at + name.len()))
            }
            "context" => {
                let (wanted, used) = context(rest, braced).ok_or(TemplateProblem::UnknownContext)?;
                Ok((Reference::Request(wanted), at + used))
            }
            _ => {
                let (wanted, used) = self.request(rest, braced)?;
                Ok((Reference::Request(wanted), at + used))
            }
        }
    }

    /// What follows `request.`.
    fn request(&self, text: &'a str, braced: bool) -> Result<(Wanted<'a>, usize), TemplateProblem> {
        let part = word(text, false);
        let name = text[part.len()..].strip_prefix('.').filter(|name| !name.is_empty());
        if braced && name.is_none() && part.len() < text.len() {
            return Err(TemplateProblem::UnknownPart);
        }
        let at = part.len() + 1;
        match (part, name) {
            ("path", None) => Ok((Wanted::ApiPath, part.len())),
            ("path", Some(name)) => {
                let (place, used) = self.path_variable(name, braced).ok_or(TemplateProblem::NoSuchPathVariable)?;
                Ok((Wanted::PathVariable(place), at + used))
            }
            ("querystring" | "header", None) => Err(TemplateProblem::Unnamed),
            ("querystring" | "header", Some(name)) => {
                let name = if braced { name } else { word(name, true) };
                match (part, name) {
                    (_, "") => Err(TemplateProblem::Unnamed),
                    ("header", _) => Ok((Wanted::Header(name), at + name.len())),
                    _ => Ok((Wanted::Query(name), at + name.len())),
                }
            }
            _ => Err(TemplateProblem::UnknownPart),
        }
    }

    /// The longest path variable that the text begins with; all of the text, if it was in braces.
    fn path_variable(&self, text: &str, braced: bool) -> Option<(u16, usize)> {
        let fits = |name: &str| match text.strip_prefix(name) {
            Some(after) if braced => after.is_empty(),
            Some(after) => word(after, false).is_empty(),
            None => false,
        };
        let named = self.names.path_variables.iter().enumerate();
        let (place, name) = named.filter(|(_, name)| fits(name)).max_by_key(|(_, name)| name.len())?;
        Some((place as u16, name.len()))
    }
}

/// Whether a text begins with a root that we know, a dot and a name.
fn is_ours(text: &str) -> bool {
    let named = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    ["request.", "context.", "stageVariables."].iter().any(|root| text.strip_prefix(root).is_some_and(named))
}

/// The front of a text that a reference without braces can extend over: the dots, dashes and colons at its
/// end belong to the sentence.
fn run(text: &str) -> &str {
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | ':')));
    text[..end.unwrap_or(text.len())].trim_end_matches(['.', '-', ':'])
}

/// The letters, digits and underscores at the front; with `dashes`, also dashes between them.
fn word(text: &str, dashes: bool) -> &str {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || (dashes && letter == '-');
    text[..text.find(|letter| !inside(letter)).unwrap_or(text.len())].trim_end_matches('-')
}

/// The context variable with the longest name that the text begins with, by whole words; all of the text, if
/// it was in braces.
fn context(text: &str, braced: bool) -> Option<(Wanted<'_>, usize)> {
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')));
    let run = if braced { text } else { text[..end.unwrap_or(text.len())].trim_end_matches('.') };
    if let Some(name) = Variable::of_authorizer(run) {
        return Some((Wanted::Authorizer(name), run.len()));
    }
    let mut name = run;
    loop {
        if let Some(variable) = Variable::of(name) {
            return Some((Wanted::Context(variable), name.len()));
        }
        name = &name[..name.rfind('.').filter(|_| !braced)?];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;
    use codec::http1::write::value_is_clean;
    use proptest::prelude::*;
    use router::Kind;

    fn stage_variables() -> BTreeMap<String, String> {
        let pairs = [("host", "pets.example"), ("port", "80"), ("odd", "a\"b\r\n")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn compile(text: &str, variables: &[&str], json: bool) -> Result<Template, TemplateFault> {
        let path_variables: Vec<Box<str>> = variables.iter().map(|name| Box::from(*name)).collect();
        let stage_variables = stage_variables();
        let names = TemplateNames { path_variables: &path_variables, stage_variables: &stage_variables };
        Template::compile(text, &names, json)
    }

    fn compile_header(text: &str, variables: &[&str]) -> Result<Template, TemplateFault> {
        let path_variables: Vec<Box<str>> = variables.iter().map(|name| Box::from(*name)).collect();
        let stage_variables = stage_variables();
        let names = TemplateNames { path_variables: &path_variables, stage_variables: &stage_variables };
        Template::compile_header(text, &names)
    }

    fn render(template: &Template, scene: &Scene) -> String {
        let mut out = b"before".to_vec();
        template.render(&scene.facts(), &mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    /// The request that the tables below are rendered with.
    fn scene() -> Scene {
        let request = "GET /v1/pets/a%2Fb/toys/x/y/?q=a%22b&q=c+d%2B%0A&n=7&e= HTTP/1.0\r\n\
                       Host: api.example.com\r\nX-Pet: rex \"the\" dog\r\nUser-Agent: curl/8\r\n\r\n";
        Scene::new(Kind::Rest, "/v1", "/pets/{id}/toys/{proxy+}", request.as_bytes())
    }

    #[rustfmt::skip]
    const LINES: &[(&str, &str, &str)] = &[
        ("", "", "nothing"),
        ("plain", "plain", "no reference"),
        ("id=$request.path.id", "id=a%2Fb", "RT-04: as received"),
        ("$request.path.proxy", "x/y", "RT-05: no trailing slash"),
        ("${request.path.id}x", "a%2Fbx", "braces"),
        ("$request.path.id.", "a%2Fb.", "end of a sentence"),
        ("$request.path.id-$request.path.id", "a%2Fb-a%2Fb", "a dash between"),
        ("$request.path", "/pets/a%2Fb/toys/x/y/", "the API's own path"),
        ("${request.path}!", "/pets/a%2Fb/toys/x/y/!", "the API's own path"),
        ("$request.querystring.q", "c d+", "RT-09: last, decoded; no line break"),
        ("$request.querystring.Q", "", "RT-09: case counts"),
        ("$request.querystring.none", "", "absent"),
        ("$request.header.x-pet", "rex \"the\" dog", "any case"),
        ("$request.header.X-Pet-", "rex \"the\" dog-", "a dash at the end"),
        ("${request.header.X-Pet}s", "rex \"the\" dogs", "braces"),
        ("$request.header.none", "", "absent"),
        ("$context.requestId", "01234567-89ab-4def-8123-456789abcdef", "§12.1"),
        ("$context.extendedRequestId", "q83vASNFZ4mrze8=", "§12.1"),
        ("$context.apiId/$context.stage", "a1b2c3/prod", "§12.1"),
        ("$context.httpMethod", "GET", "§12.1"),
        ("$context.path", "/v1/pets/a%2Fb/toys/x/y/", "§18.2"),
        ("$context.resourcePath", "/pets/{id}/toys/{proxy+}", "§12.1"),
        ("$context.protocol", "HTTP/1.0", "§12.1"),
        ("$context.domainName $context.domainPrefix", "api.example.com api", "§12.1"),
        ("$context.identity.sourceIp", "203.0.113.9", "§12.1"),
        ("$context.identity.userAgent", "curl/8", "§12.1"),
        ("$context.requestTime", "14/Nov/2023:22:13:20 +0000", "§12.1"),
        ("$context.requestTimeEpoch", "1700000000123", "§12.1"),
        ("$context.stage.json", "prod.json", "the longest name"),
        ("${context.stage}s", "prods", "braces"),
        ("http://$stageVariables.host:$stageVariables.port/", "http://pets.example:80/", "ST-02"),
        ("${stageVariables.host}x", "pets.examplex", "ST-02"),
        ("[$stageVariables.none]", "[]", "undefined"),
        ("$stageVariables.odd", "a\"b", "no line break"),
        ("$5 $$ $ ${ $} ${x} $input.body $requests", "$5 $$ $ ${ $} ${x} $input.body $requests", "left alone"),
        ("$request. $context. $request", "$request. $context. $request", "no name"),
        ("$$context.stage", "$prod", "a dollar before"),
        ("é$context.stage$context.stage€", "éprodprod€", "not ASCII"),
    ];

    #[test]
    fn what_tls_knows_of_a_client_can_be_read() {
        let names = TemplateNames { path_variables: &[], stage_variables: &BTreeMap::new() };
        let client = crate::client_certificate::ClientCertificate {
            der: b"abc".as_slice().into(),
            subject: "CN=device 7".into(),
            issuer: "CN=ca".into(),
            serial_number: "0a:1b".into(),
            not_before: "May 28 12:30:02 2019 GMT".into(),
            not_after: "Aug  5 09:36:04 2021 GMT".into(),
            alt_names: Box::default(),
        };
        let scene = Scene::get("/", "/", "");
        let open = scene.facts();
        let known = Facts { tls: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")), client: Some(&client), ..open };
        let rendered = |name: &str, facts: &Facts<'_>| {
            let mut out = Vec::new();
            Template::compile(&format!("$context.{name}"), &names, false).unwrap().render(facts, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (name, value) in [
            ("tlsVersion", "TLSv1.3"),
            ("cipherSuite", "TLS_AES_128_GCM_SHA256"),
            ("identity.clientCert.subjectDN", "CN=device 7"),
            ("identity.clientCert.issuerDN", "CN=ca"),
            ("identity.clientCert.serialNumber", "0a:1b"),
            ("identity.clientCert.validity.notBefore", "May 28 12:30:02 2019 GMT"),
            ("identity.clientCert.validity.notAfter", "Aug  5 09:36:04 2021 GMT"),
            ("identity.clientCert.clientCertPem", "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----"),
        ] {
            assert_eq!(rendered(name, &known), value, "{name}");
            assert_eq!(rendered(name, &open), "", "{name}");
        }
        let header = Template::compile_header("$context.identity.clientCert.clientCertPem", &names).unwrap();
        let mut out = Vec::new();
        header.render(&known, &mut out);
        assert!(!out.contains(&b'\n'), "a header's value has one line");
    }

    #[test]
    fn lines() {
        let scene = scene();
        for &(text, expected, row) in LINES {
            let template = compile_header(text, &["id", "proxy"]).unwrap();
            assert_eq!(render(&template, &scene), expected, "{row}: {text}");
        }
    }

    #[test]
    fn a_text_keeps_its_lines_and_its_values() {
        let text = "a\n$request.querystring.q\n$stageVariables.odd";
        assert_eq!(render(&compile(text, &[], false).unwrap(), &scene()), "a\nc d+\n\na\"b\r\n");
    }

    #[rustfmt::skip]
    const JSON: &[(&str, &str, &str)] = &[
        (r#"{"a":"$request.header.x-pet"}"#, r#"{"a":"rex \"the\" dog"}"#, "escaped"),
        (r#"{"a":$request.header.x-pet}"#, r#"{"a":"rex \"the\" dog"}"#, "becomes a string"),
        (r#"{"a":"$request.querystring.q"}"#, r#"{"a":"c d+\n"}"#, "escaped"),
        (r#"{"a":$request.querystring.n}"#, r#"{"a":7}"#, "a number stays"),
        (r#"{"a":"$request.querystring.n"}"#, r#"{"a":"7"}"#, "in a string already"),
        (r#"{"a":$request.querystring.e,"b":$request.querystring.none}"#, r#"{"a":"","b":null}"#, "empty, absent"),
        (r#"{"a":"$request.querystring.none"}"#, r#"{"a":""}"#, "absent"),
        (r#"{"$request.path.id":1}"#, r#"{"a%2Fb":1}"#, "a key"),
        (r#"{"\"":$context.stage}"#, r#"{"\"":"prod"}"#, "an escaped quote opens nothing"),
        (r#"{"\\":$context.requestTimeEpoch}"#, r#"{"\\":1700000000123}"#, "nor does a backslash hide one"),
        (r#"{"a":"$stageVariables.odd","b":$stageVariables.port}"#, r#"{"a":"a\"b\r\n","b":80}"#, "ST-02"),
        ("[$stageVariables.host,$stageVariables.none]", r#"["pets.example",null]"#, "ST-02"),
        (r#"{"a":"$stageVariables.odd$context.stage"}"#, r#"{"a":"a\"b\r\nprod"}"#, "still within the string"),
    ];

    #[test]
    fn json() {
        let scene = scene();
        for &(text, expected, row) in JSON {
            let template = compile(text, &["id", "proxy"], true).unwrap();
            assert_eq!(render(&template, &scene), expected, "{row}: {text}");
        }
    }

    #[test]
    fn invalid_utf8_does_not_break_json() {
        let request = b"GET /?q=%ff%22 HTTP/1.1\r\nHost: h\r\nX-Pet: \xe2\x82\r\n\r\n";
        let scene = Scene::new(Kind::Rest, "/", "/", request);
        let template = compile(r#"["$request.querystring.q",$request.header.x-pet]"#, &[], true).unwrap();
        assert_eq!(render(&template, &scene), "[\"\u{fffd}\\\"\",\"\u{fffd}\"]");
    }

    #[test]
    fn the_longest_path_variable_is_meant() {
        let scene = Scene::get("/{a}/{a-b}/{a.c}", "/1/2/3", "");
        for (text, expected) in [
            ("$request.path.a", "1"),
            ("$request.path.a-b", "2"),
            ("$request.path.a.c", "3"),
            ("$request.path.a-x", "1-x"),
            ("${request.path.a-b}c", "2c"),
        ] {
            let template = compile(text, &["a", "a-b", "a.c"], false).unwrap();
            assert_eq!(render(&template, &scene), expected, "{text}");
        }
    }

    #[test]
    fn faults_have_their_place() {
        use TemplateProblem as P;
        let long = "x".repeat(TEMPLATE_BYTES_MAX + 1);
        let many = "$context.stage ".repeat(TEMPLATE_REFERENCES_MAX + 1);
        let cases = [
            ("ab $request.path.no", 3, P::NoSuchPathVariable),
            ("$request.path.idx", 0, P::NoSuchPathVariable),
            ("${request.path.id.x}", 0, P::NoSuchPathVariable),
            ("é${request.path.id", 2, P::Unclosed),
            ("$request.body", 0, P::UnknownPart),
            ("$request.Path.id", 0, P::UnknownPart),
            ("${request.path-x}", 0, P::UnknownPart),
            ("$request.header", 0, P::Unnamed),
            ("$request.header. x", 0, P::Unnamed),
            ("${request.header.}", 0, P::UnknownPart),
            ("$request.querystring", 0, P::Unnamed),
            ("$context.no", 0, P::UnknownContext),
            ("$context.identity.cognitoIdentityId", 0, P::UnknownContext),
            ("${context.stage.x}", 0, P::UnknownContext),
            (&long, TEMPLATE_BYTES_MAX, P::TooLong),
            (&many, 15 * TEMPLATE_REFERENCES_MAX, P::TooManyReferences),
        ];
        for (text, offset, what) in cases {
            let fault = compile(text, &["id"], true).unwrap_err();
            assert_eq!(fault, TemplateFault { offset, what }, "{}", &text[..text.len().min(40)]);
            assert!(!what.message().is_empty());
        }
    }

    #[test]
    fn header_values_hold_no_controls() {
        for (text, offset) in [("a\r\nb", 1), ("\0", 0), ("a\x7f", 1), ("$context.stage\n", 14)] {
            let fault = compile_header(text, &[]).unwrap_err();
            assert_eq!(fault, TemplateFault { offset, what: TemplateProblem::Control });
        }
        let template = compile_header("a\t$stageVariables.odd;$request.querystring.q", &[]).unwrap();
        let scene = Scene::get("/", "/?q=%0d%0aSet-Cookie:%20x=1%00%09%7f", "");
        assert_eq!(render(&template, &scene), "a\ta\"b;Set-Cookie: x=1\t", "F30, P11");
    }

    #[test]
    fn a_stored_template_is_the_same_or_refused() {
        for (text, _, _) in LINES {
            for json in [false, true] {
                let template = compile(text, &["id", "proxy"], json).unwrap();
                let stored = serde_json::to_string(&template).unwrap();
                assert_eq!(serde_json::from_str::<Template>(&stored).unwrap(), template, "{stored}");
            }
        }
        let stored = |parts: &str, text: &str, shape: &str| {
            format!("{{\"parts\":[{parts}],\"text\":{:?},\"shape\":\"{shape}\"}}", text.as_bytes())
        };
        let part = |what: &str, start, end| format!("[{{\"{what}\":{{\"start\":{start},\"end\":{end}}}}},false]");
        let read = |text: String| serde_json::from_str::<Template>(&text);
        assert!(read(stored(&[part("Literal", 0, 2), part("Header", 2, 3)].join(","), "abc", "Line")).is_ok());
        let many = vec!["[\"ApiPath\",false]"; TEMPLATE_REFERENCES_MAX + 1].join(",");
        for (parts, text, shape) in [
            (part("Literal", 0, 4), "abc", "Text"),
            (part("Literal", 2, 1), "abc", "Text"),
            (part("Header", 4_000_000_000_u32, 4_294_967_295_u32), "abc", "Text"),
            ([part("Literal", 0, 3), part("Literal", 0, 3)].join(","), "abc", "Text"),
            (part("Literal", 0, 3), "a\r\n", "Line"),
            (many, "", "Text"),
        ] {
            assert!(read(stored(&parts, text, shape)).is_err(), "{parts}");
        }
    }

    #[test]
    fn literals_are_seen() {
        for (text, expected) in [
            ("", Some("")),
            ("plain $5", Some("plain $5")),
            ("$stageVariables.host!", Some("pets.example!")),
            ("$context.stage", None),
            ("x$context.stage", None),
        ] {
            let template = compile(text, &[], false).unwrap();
            assert_eq!(template.as_literal(), expected.map(str::as_bytes), "{text}");
        }
    }

    fn encoded(value: &[u8]) -> String {
        use std::fmt::Write;
        value.iter().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02X}").unwrap();
            text
        })
    }

    proptest! {
        /// The slow twin: text replacement.
        #[test]
        fn a_line_is_its_text_with_the_references_replaced(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["$request.path.id ", "${context.stage}", "$", "{}", "x", "é", "$$ "]),
                0..12,
            ),
        ) {
            let text = pieces.concat();
            let scene = Scene::get("/{id}", "/7", "");
            let expected = text.replace("$request.path.id", "7").replace("${context.stage}", "prod");
            prop_assert_eq!(render(&compile(&text, &["id"], false).unwrap(), &scene), expected);
        }

        /// Whatever a client sends, it comes back as the one string that it is.
        #[test]
        fn json_stays_json(value in prop::collection::vec(any::<u8>(), 1..40)) {
            let scene = Scene::get("/", &format!("/?q={}", encoded(&value)), "");
            let template = compile(r#"["$request.querystring.q",1]"#, &[], true).unwrap();
            let text = render(&template, &scene);
            let inside = text.strip_prefix("[\"").unwrap().strip_suffix("\",1]").unwrap();
            let mut bytes = inside.bytes();
            while let Some(byte) = bytes.next() {
                prop_assert!(byte >= b' ' && byte != b'"');
                if byte == b'\\' {
                    prop_assert!(b"\"\\bfnrtu".contains(&bytes.next().unwrap()));
                }
            }
        }

        #[test]
        fn nothing_ends_a_header(value: Vec<u8>) {
            let scene = Scene::get("/", &format!("/?q={}", encoded(&value)), "");
            let mut out = Vec::new();
            compile_header("a $request.querystring.q", &[]).unwrap().render(&scene.facts(), &mut out);
            prop_assert!(value_is_clean(&out));
        }

        /// No text makes the compiler fail otherwise than by a fault, and what it takes can be rendered.
        #[test]
        fn any_text_compiles_or_has_a_fault(text in "[${}.a-z\"é]{0,20}|(\\$\\{?(request|context|stageVariables)[.a-z{}-]{0,12}){0,3}") {
            for json in [true, false] {
                match compile(&text, &["id"], json) {
                    Ok(template) => { render(&template, &scene()); }
                    Err(fault) => prop_assert!(text.is_char_boundary(fault.offset)),
                }
            }
        }
    }
}
