//! What a backend's request is made of besides what the client sent: header fields, query parameters and path (MP-01, MP-03).

use codec::head::Name;
use codec::http1::write;
use codec::target::{canonical_path, query_get};
use router::Kind;
use serde::{Deserialize, Serialize, Serializer};

use super::expression::{Reader, is_rest_name, is_token};
use super::fields::{self, Mapped};
use super::value::{Place, Sources, Value, is_unreserved};
use super::{Action, Applied, FieldName, Input, MappingFault, MappingProblem, Refused, Written};
use crate::limits::{MAPPED_LINES_BYTES_MAX, MAPPINGS_MAX};
use crate::refusal::Refusal;
use crate::transform::escape;
use crate::transform::template::TemplateNames;
use crate::transform::uri::UriTemplate;

/// The compiled request mapping of one integration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct RequestMapping {
    written: Box<Written>,
    headers: Box<[HeaderStep]>,
    query: Box<[QueryStep]>,
    /// By the place of its name in `fill_names`.
    fills: Box<[Value]>,
    fill_names: Box<[Box<str>]>,
    path: Option<Value>,
    needs_body: bool,
}

/// What becomes of one header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderStep {
    pub(super) action: Action,
    pub(super) name: FieldName,
    /// `None`: the field is removed.
    pub(super) value: Option<Value>,
}

/// What becomes of one query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QueryStep {
    action: Action,
    name: Box<[u8]>,
    encoded: Box<[u8]>,
    /// `None`: the parameter is removed.
    value: Option<Value>,
}

/// What an entry makes.
enum Target<'a> {
    Header(Action, &'a str),
    Query(Action, &'a str),
    /// A variable of the integration's URI.
    Fill(&'a str),
    Path,
}

impl RequestMapping {
    /// Compiles targets and their expressions. All faults are found.
    pub fn compile(kind: Kind, entries: &[(&str, &str)], names: TemplateNames<'_>) -> Result<Self, Vec<MappingFault>> {
        let mut compiler = Compiler {
            reader: Reader { kind, names, in_answer: false },
            faults: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            fills: Vec::new(),
            path: None,
        };
        for (entry, (target, expression)) in entries.iter().enumerate() {
            if let Err((in_target, offset, what)) = compiler.entry(target, expression) {
                compiler.faults.push(MappingFault { entry, in_target, offset, what });
            }
        }
        if entries.len() > MAPPINGS_MAX {
            let what = MappingProblem::TooMany;
            compiler.faults.push(MappingFault { entry: MAPPINGS_MAX, in_target: true, offset: 0, what });
        }
        if compiler.faults.is_empty() {
            Ok(compiler.finish(Written::new(kind, entries, &names)))
        } else {
            Err(compiler.faults)
        }
    }

    /// Whether the request's body has to be read before [`Self::write_headers`] and [`Self::write_target`].
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// The variables of the integration's URI that this fills, for [`UriTemplate::compile_mapped`].
    pub fn path_names(&self) -> &[Box<str>] {
        &self.fill_names
    }

    /// Writes complete header lines, the Host apart, and says which steps took effect.
    pub fn write_headers(&self, input: &Input<'_>, lines: &mut Vec<u8>) -> Result<Applied, Refusal> {
        write_steps(&self.headers, &Sources::of_request(self.written.kind, input), lines)
    }

    /// Whether a field that the client sent, or that the gateway would write by itself, gives way; `known` is `Name::of(name)`.
    pub fn replaces(&self, applied: Applied, known: Name, name: &[u8]) -> bool {
        replaces(&self.headers, applied, known, name)
    }

    /// Writes the backend's request target: the URI with its variables filled in, or the path that is mapped, and the query.
    /// `client_query` is the client's query without its `?`, if it is passed on.
    pub fn write_target(
        &self,
        uri: &UriTemplate,
        input: &Input<'_>,
        client_query: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let sources = Sources::of_request(self.written.kind, input);
        let from = out.len();
        self.write_path(uri, &sources, out)?;
        let question = out.len();
        let facts = sources.facts();
        let mut outcome = Ok(());
        uri.write_query(facts.path, facts.captures, client_query, out, |fill, out| {
            self.fill(fill, &sources, out, &mut outcome)
        });
        outcome?;
        if out.len() == question {
            out.push(b'?');
        }
        let sent = out.len();
        let applied = self.write_parameters(&sources, out)?;
        self.drop_parameters(applied, question + 1, sent, out);
        if out.len() == question + 1 {
            out.truncate(question);
        } else if out[question + 1] == b'&' {
            out.remove(question + 1);
        }
        debug_assert!(write::value_is_clean(&out[from..]), "a target is clean");
        Ok(())
    }

    /// A path with a segment that leads elsewhere goes nowhere (P01).
    fn write_path(&self, uri: &UriTemplate, sources: &Sources<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let from = out.len();
        let mapped = match &self.path {
            Some(path) => path.write(sources, out)?,
            None => false,
        };
        if !mapped {
            let facts = sources.facts();
            let mut outcome = Ok(());
            uri.write_path(facts.path, facts.rest, facts.captures, out, |fill, out| {
                self.fill(fill, sources, out, &mut outcome)
            });
            outcome?;
            if self.fills.is_empty() {
                return Ok(());
            }
        }
        if out[from..].first() != Some(&b'/') {
            out.insert(from, b'/');
        }
        let mut scratch = Vec::new();
        match canonical_path(&out[from..], &mut scratch) {
            Ok(path) if path.len() == out.len() - from => Ok(()),
            Ok(_) => Err(Refusal::MappedPathEscapes),
            Err(_) => Err(Refusal::MappedPathEscapes),
        }
    }

    /// The value of a variable of the URI; false if the message does not have it.
    fn fill(&self, place: u16, sources: &Sources<'_>, out: &mut Vec<u8>, outcome: &mut Result<(), Refusal>) -> bool {
        match self.fills.get(usize::from(place)).map(|value| value.write(sources, out)) {
            Some(Ok(present)) => present,
            Some(Err(refusal)) => {
                *outcome = Err(refusal);
                false
            }
            None => false,
        }
    }

    /// Appends `&name=value` for each parameter.
    fn write_parameters(&self, sources: &Sources<'_>, out: &mut Vec<u8>) -> Result<Applied, Refusal> {
        let mut applied = Applied::default();
        for (place, step) in self.query.iter().enumerate() {
            let Some(value) = &step.value else {
                applied.mark(place);
                continue;
            };
            if let Some(values) = value.repeated(sources) {
                for value in values {
                    begin_parameter(step, out);
                    out.extend_from_slice(value);
                }
                continue;
            }
            let from = out.len();
            begin_parameter(step, out);
            if value.write(sources, out)? {
                applied.mark(place);
            } else {
                out.truncate(from);
            }
        }
        Ok(applied)
    }

    /// Takes the parameters that are removed or replaced out of `out[from..to]`.
    fn drop_parameters(&self, applied: Applied, from: usize, to: usize, out: &mut Vec<u8>) {
        let is_dropped = |piece: &[u8]| {
            self.query.iter().enumerate().any(|(place, step)| {
                step.action != Action::Append && applied.has(place) && query_get(piece, &step.name).is_some()
            })
        };
        if !self.query.iter().any(|step| step.action != Action::Append) {
            return;
        }
        let (mut kept, mut at) = (from, from);
        while at < to {
            let length = out[at..to].iter().position(|byte| matches!(byte, b'&' | b';')).unwrap_or(to - at);
            if !is_dropped(&out[at..at + length]) {
                let separator = usize::from(kept > from);
                if separator == 1 {
                    out[kept] = b'&';
                }
                out.copy_within(at..at + length, kept + separator);
                kept += separator + length;
            }
            at += length + 1;
        }
        out.drain(kept..to);
    }
}

fn begin_parameter(step: &QueryStep, out: &mut Vec<u8>) {
    out.push(b'&');
    out.extend_from_slice(&step.encoded);
    out.push(b'=');
}

/// Writes the lines of all steps that have a value.
pub(super) fn write_steps(
    steps: &[HeaderStep],
    sources: &Sources<'_>,
    lines: &mut Vec<u8>,
) -> Result<Applied, Refusal> {
    let mut applied = Applied::default();
    let start = lines.len();
    for (place, step) in steps.iter().enumerate() {
        let Some(value) = &step.value else {
            applied.mark(place);
            continue;
        };
        let from = lines.len();
        lines.extend_from_slice(step.name.text.as_bytes());
        lines.extend_from_slice(b": ");
        let at = lines.len();
        let usable = value.write(sources, lines)? && (step.name.known != Name::Host || is_host(&lines[at..]));
        if !usable {
            lines.truncate(from);
            continue;
        }
        trim_end(lines, at);
        debug_assert!(write::value_is_clean(&lines[at..]), "a mapped value is clean");
        lines.extend_from_slice(b"\r\n");
        applied.mark(place);
        if lines.len() - start > MAPPED_LINES_BYTES_MAX {
            return Err(Refusal::MappingFailed);
        }
    }
    Ok(applied)
}

/// A field's value does not end with blanks, nor begin with them.
fn trim_end(lines: &mut Vec<u8>, at: usize) {
    while lines.len() > at && matches!(lines.last(), Some(b' ' | b'\t')) {
        lines.pop();
    }
    let blanks = lines[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    lines.drain(at..at + blanks);
}

/// Whether this can be the name of a host, whatever it was mapped from.
fn is_host(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(byte))
}

/// Whether a field gives way to a step that took effect.
pub(super) fn replaces(steps: &[HeaderStep], applied: Applied, known: Name, name: &[u8]) -> bool {
    applied != Applied::default()
        && steps
            .iter()
            .enumerate()
            .any(|(place, step)| step.action != Action::Append && applied.has(place) && step.name.is(known, name))
}

struct Compiler<'a> {
    reader: Reader<'a>,
    faults: Vec<MappingFault>,
    headers: Vec<HeaderStep>,
    query: Vec<QueryStep>,
    fills: Vec<(Box<str>, Value)>,
    path: Option<Value>,
}

/// In the target or not, the byte, what is wrong.
type Wrong = (bool, usize, MappingProblem);

impl Compiler<'_> {
    fn entry(&mut self, target: &str, expression: &str) -> Result<(), Wrong> {
        let (offset, target) = match self.reader.kind {
            Kind::Http => http_target(target),
            Kind::Rest | Kind::WebSocket => rest_target(target),
        }
        .map_err(|(offset, what)| (true, offset, what))?;
        let in_target = |what| (true, offset, what);
        if self.reader.kind == Kind::Http && expression.is_empty() && !target.is_removal() {
            // An empty value takes a mapping back (MP-03).
            return Ok(());
        }
        match target {
            Target::Header(action, name) => {
                let step = header_step(&self.reader, action, name, fields::to_backend, expression)
                    .map_err(|(there, at, what)| (there, if there { offset } else { at }, what))?;
                let Some(step) = step else { return Ok(()) };
                if is_twice(&self.headers, &step) {
                    return Err(in_target(MappingProblem::Duplicate));
                }
                self.headers.push(step);
            }
            Target::Query(action, name) => {
                if self.query.iter().any(|step| step.action == action && *step.name == *name.as_bytes()) {
                    return Err(in_target(MappingProblem::Duplicate));
                }
                let mut encoded = name.as_bytes().to_vec();
                escape::percent(&mut encoded, 0, is_unreserved);
                let value = value_of(&self.reader, action, expression, Place::Query)?;
                self.query.push(QueryStep { action, name: name.as_bytes().into(), encoded: encoded.into(), value });
            }
            Target::Fill(name) => {
                if self.fills.iter().any(|(filled, _)| **filled == *name) {
                    return Err(in_target(MappingProblem::Duplicate));
                }
                let value = self.reader.read(expression, Place::Path).map_err(|(at, what)| (false, at, what))?;
                self.fills.push((name.into(), value));
            }
            Target::Path if self.path.is_some() => return Err(in_target(MappingProblem::Duplicate)),
            Target::Path => {
                let value = self.reader.read(expression, Place::Path).map_err(|(at, what)| (false, at, what))?;
                check_path(&value).map_err(|what| (false, 0, what))?;
                self.path = Some(value);
            }
        }
        Ok(())
    }

    fn finish(self, written: Written) -> RequestMapping {
        let (fill_names, fills): (Vec<_>, Vec<_>) = self.fills.into_iter().unzip();
        let headers = self.headers.iter().filter_map(|step| step.value.as_ref());
        let query = self.query.iter().filter_map(|step| step.value.as_ref());
        let needs_body = headers.chain(query).chain(&fills).chain(&self.path).any(Value::needs_body);
        RequestMapping {
            written: Box::new(written),
            headers: self.headers.into(),
            query: self.query.into(),
            fills: fills.into(),
            fill_names: fill_names.into(),
            path: self.path,
            needs_body,
        }
    }
}

impl Target<'_> {
    fn is_removal(&self) -> bool {
        matches!(self, Self::Header(Action::Remove, _) | Self::Query(Action::Remove, _))
    }
}

/// One step of a request's or an answer's header fields; `None` if it has no effect.
pub(super) fn header_step(
    reader: &Reader<'_>,
    action: Action,
    name: &str,
    mapped: impl Fn(Kind, &str) -> Result<Mapped, MappingProblem>,
    expression: &str,
) -> Result<Option<HeaderStep>, Wrong> {
    let mapped = mapped(reader.kind, name).map_err(|what| (true, 0, what))?;
    let value = value_of(reader, action, expression, Place::Line)?;
    let Mapped::As(name) = mapped else { return Ok(None) };
    let name = FieldName::new(&name);
    // There is exactly one Host.
    let action = match (name.known, action) {
        (Name::Host, Action::Remove) if !reader.in_answer => return Ok(None),
        (Name::Host, Action::Append) if !reader.in_answer => Action::Overwrite,
        _ => action,
    };
    Ok(Some(HeaderStep { action, name, value }))
}

/// Whether a step does again what another does.
pub(super) fn is_twice(steps: &[HeaderStep], step: &HeaderStep) -> bool {
    steps.iter().any(|other| other.action == step.action && other.name.is(step.name.known, step.name.text.as_bytes()))
}

fn value_of(reader: &Reader<'_>, action: Action, expression: &str, place: Place) -> Result<Option<Value>, Wrong> {
    if action == Action::Remove {
        return Ok(None);
    }
    reader.read(expression, place).map(Some).map_err(|(at, what)| (false, at, what))
}

/// The path begins with a slash, and its own segments lead nowhere else.
fn check_path(path: &Value) -> Result<(), MappingProblem> {
    let outline = path.outline(b'x');
    if outline.first() != Some(&b'/') {
        return Err(MappingProblem::NoSlash);
    }
    let mut scratch = Vec::new();
    match canonical_path(&outline, &mut scratch) {
        Ok(path) if path.len() == outline.len() => Ok(()),
        _ => Err(MappingProblem::DotSegment),
    }
}

/// MP-01; the byte at which the name stands.
fn rest_target(text: &str) -> Result<(usize, Target<'_>), (usize, MappingProblem)> {
    const ROOT: &str = "integration.request.";
    let rest = text.strip_prefix(ROOT).ok_or((0, MappingProblem::Target))?;
    let (location, name) = rest.split_once('.').ok_or((ROOT.len(), MappingProblem::Target))?;
    let at = ROOT.len() + location.len() + 1;
    if !is_rest_name(name) {
        return Err((at, MappingProblem::Name));
    }
    match location {
        "header" => Ok((at, Target::Header(Action::Overwrite, name))),
        "querystring" => Ok((at, Target::Query(Action::Append, name))),
        "path" => Ok((at, Target::Fill(name))),
        _ => Err((ROOT.len(), MappingProblem::Target)),
    }
}

/// `append:`, `overwrite:` or `remove:`, and what follows.
pub(super) fn http_action(text: &str) -> Option<(Action, &str)> {
    let (action, rest) = text.split_once(':')?;
    match action {
        "append" => Some((Action::Append, rest)),
        "overwrite" => Some((Action::Overwrite, rest)),
        "remove" => Some((Action::Remove, rest)),
        _ => None,
    }
}

/// MP-03; the byte at which the name stands.
fn http_target(text: &str) -> Result<(usize, Target<'_>), (usize, MappingProblem)> {
    let (action, rest) = http_action(text).ok_or((0, MappingProblem::Target))?;
    let at = text.len() - rest.len();
    match rest.split_once('.') {
        Some(("header", name)) if is_token(name) => Ok((at + 7, Target::Header(action, name))),
        Some(("header", _)) => Err((at + 7, MappingProblem::Name)),
        Some(("querystring", name)) if !name.is_empty() => Ok((at + 12, Target::Query(action, name))),
        Some(("querystring", _)) => Err((at + 12, MappingProblem::Name)),
        None if rest == "path" && action == Action::Overwrite => Ok((at, Target::Path)),
        _ => Err((at, MappingProblem::Target)),
    }
}

impl TryFrom<Written> for RequestMapping {
    type Error = Refused;

    fn try_from(written: Written) -> Result<Self, Refused> {
        Self::compile(written.kind, &written.entries(), written.names()).map_err(Refused::first)
    }
}

impl Serialize for RequestMapping {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(to)
    }
}
