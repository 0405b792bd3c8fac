//! Texts with references to the request: the bodies and header values of mock answers (IN-10).
//!
//! | reference | stands for |
//! |---|---|
//! | `$request.path` | the path below the stage, as received |
//! | `$request.path.x` | the method's path variable `{x}`, as received (RT-04) |
//! | `$request.querystring.x` | the last value of a query parameter, decoded (RT-09) |
//! | `$request.header.x` | the last value of a header field, the name in any case |
//! | `$context.x` | one of [`Variable::NAMES`] |
//! | `$stageVariables.x` | a stage variable, put in when the configuration is compiled |
//!
//! `${request.header.x}` says the same and may be followed by a letter. What a request does not have is empty.
//! All other `$` text is left alone.

use std::collections::BTreeMap;

use codec::head::{Name, Version};

use crate::facts::Facts;
use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_REFERENCES_MAX};
use crate::transform::escape;

/// A compiled text. Rendering writes to the given output and allocates nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A `$context` variable that can be read (§12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The API's id.
    ApiId,
    /// The host that the client named, without port.
    DomainName,
    /// Its first label.
    DomainPrefix,
    /// The extended request id.
    ExtendedRequestId,
    /// The verb.
    HttpMethod,
    /// The client's address.
    SourceIp,
    /// The last `User-Agent`.
    UserAgent,
    /// The canonical path with the stage.
    Path,
    /// `HTTP/1.1`, or `HTTP/1.0`.
    Protocol,
    /// The request id.
    RequestId,
    /// `dd/MMM/yyyy:HH:mm:ss +0000`.
    RequestTime,
    /// Milliseconds since 1970.
    RequestTimeEpoch,
    /// The method's path as written.
    ResourcePath,
    /// The stage's name.
    Stage,
}

impl Variable {
    /// Every name behind `$context.` that can be read in this version.
    pub const NAMES: &[(&'static str, Self)] = &[
        ("apiId", Self::ApiId),
        ("domainName", Self::DomainName),
        ("domainPrefix", Self::DomainPrefix),
        ("extendedRequestId", Self::ExtendedRequestId),
        ("httpMethod", Self::HttpMethod),
        ("identity.sourceIp", Self::SourceIp),
        ("identity.userAgent", Self::UserAgent),
        ("path", Self::Path),
        ("protocol", Self::Protocol),
        ("requestId", Self::RequestId),
        ("requestTime", Self::RequestTime),
        ("requestTimeEpoch", Self::RequestTimeEpoch),
        ("resourcePath", Self::ResourcePath),
        ("stage", Self::Stage),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    /// Writes its raw value; false if the request has none.
    fn write(self, facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
        let value: &[u8] = match self {
            Self::ApiId => facts.api_id,
            Self::DomainName => facts.host(),
            Self::DomainPrefix => facts.host().split(|byte| *byte == b'.').next().unwrap_or_default(),
            Self::ExtendedRequestId => facts.extended_request_id,
            Self::HttpMethod => facts.method(),
            Self::SourceIp => facts.source_ip,
            Self::UserAgent => match facts.header(Name::UserAgent, b"user-agent") {
                Some(value) => value,
                None => return false,
            },
            Self::Path => facts.full_path(),
            Self::Protocol => match facts.head.version {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
            },
            Self::RequestId => facts.request_id,
            Self::RequestTime => {
                write_time(facts.time_epoch_ms / 1_000, out);
                return true;
            }
            Self::RequestTimeEpoch => {
                out.extend_from_slice(itoa::Buffer::new().format(facts.time_epoch_ms).as_bytes());
                return true;
            }
            Self::ResourcePath => facts.resource_path,
            Self::Stage => facts.stage,
        };
        out.extend_from_slice(value);
        true
    }
}

/// How substituted values are made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// JSON: escaped within a string, a value of its own outside of one.
    Json,
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
}

/// A place in the text of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// JSON template stays JSON, whatever a client sends. Without `json`, values lose their control
    /// characters.
    pub fn compile(text: &str, names: &TemplateNames<'_>, json: bool) -> Result<Self, TemplateFault> {
        Compiler::new(text, names, if json { Shape::Json } else { Shape::Line }).run()
    }

    /// Compiles a header's value: as a body that is not JSON, and the text itself may not hold control
    /// characters either, so that no rendering can end the field (F30, P11).
    pub fn compile_header(text: &str, names: &TemplateNames<'_>) -> Result<Self, TemplateFault> {
        match text.bytes().position(escape::is_control) {
            Some(offset) => Err(TemplateFault { offset, what: TemplateProblem::Control }),
            None => Self::compile(text, names, false),
        }
    }

    /// Writes the text with a request's values.
    pub fn render(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
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
            Self::Line => escape::one_line(out, from),
        }
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
struct Quotes {
    inside: bool,
    escaped: bool,
}

impl Quotes {
    fn read(&mut self, text: &[u8]) {
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
            at = match self.reference(dollar)? {
                Some((reference, end)) => {
                    self.push(reference, dollar)?;
                    end
                }
                None => {
                    self.literal("$");
                    dollar + 1
                }
            };
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
                let (variable, used) = context(rest, braced).ok_or(TemplateProblem::UnknownContext)?;
                Ok((Reference::Request(Wanted::Context(variable)), at + used))
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
fn context(text: &str, braced: bool) -> Option<(Variable, usize)> {
    if braced {
        return Some((Variable::of(text)?, text.len()));
    }
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')));
    let mut name = &text[..end.unwrap_or(text.len())];
    loop {
        if let Some(variable) = Variable::of(name) {
            return Some((variable, name.len()));
        }
        name = &name[..name.rfind('.')?];
    }
}

/// `dd/MMM/yyyy:HH:mm:ss +0000` (§12.1).
fn write_time(epoch_seconds: u64, out: &mut Vec<u8>) {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let (year, month, day) = date(epoch_seconds / 86_400);
    let second = epoch_seconds % 86_400;
    let two = |number: u64, out: &mut Vec<u8>| {
        out.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
    };
    two(day, out);
    out.push(b'/');
    out.extend_from_slice(MONTHS[month as usize - 1]);
    out.push(b'/');
    two(year / 100, out);
    two(year, out);
    for part in [second / 3_600, second / 60 % 60, second % 60] {
        out.push(b':');
        two(part, out);
    }
    out.extend_from_slice(b" +0000");
}

/// Year, month and day of a day since 1970, by eras of 400 years that begin on 1 March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
