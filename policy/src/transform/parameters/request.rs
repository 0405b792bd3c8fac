//! What a backend's request is made of besides what the client sent: header fields, query parameters and path (MP-01, MP-03).

use codec::head::Name;
use codec::http1::{is_token, write};
use codec::target::{canonical_path, query_get};
use router::Kind;
use serde::{Deserialize, Serialize, Serializer};

use super::expression::{Reader, is_rest_name};
use super::fields::{self, Mapped};
use super::value::{Place, Sources, Value, is_unreserved};
use super::{Action, Applied, FieldName, Input, MappingFault, MappingProblem, Refused, Written};
use crate::escape;
use crate::limits::{MAPPED_LINES_BYTES_MAX, MAPPINGS_MAX};
use crate::refusal::Refusal;
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
        for (entry, (target, expression)) in entries.iter().enumerate().take(MAPPINGS_MAX) {
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

    /// Whether this writes a field, whatever else is written; `known` is one that stands for exactly one field.
    pub fn has(&self, applied: Applied, known: Name) -> bool {
        has(&self.headers, applied, known)
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
            Ok(_) | Err(_) => Err(Refusal::MappedPathEscapes),
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

/// Whether a field of this name is written by a step that took effect.
pub(super) fn has(steps: &[HeaderStep], applied: Applied, known: Name) -> bool {
    let writes =
        |(place, step): (usize, &HeaderStep)| applied.has(place) && step.value.is_some() && step.name.known == known;
    applied != Applied::default() && steps.iter().enumerate().any(writes)
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
        Some(("header", name)) if is_token(name.as_bytes()) => Ok((at + 7, Target::Header(action, name))),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use codec::target::{decode_component, query_pairs};
    use proptest::prelude::*;

    use super::*;
    use crate::tests::Scene;
    use crate::transform::json_path::JsonPathProblem;

    const REST: Kind = Kind::Rest;
    const HTTP: Kind = Kind::Http;

    fn stage_variables() -> BTreeMap<String, String> {
        [("env", "prod"), ("odd", "a b\r\n&c"), ("path", "/v 2/x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn variables() -> Vec<Box<str>> {
        ["id", "proxy"].map(Box::from).into()
    }

    fn compile(kind: Kind, entries: &[(&str, &str)]) -> Result<RequestMapping, Vec<MappingFault>> {
        let (path_variables, stage_variables) = (variables(), stage_variables());
        RequestMapping::compile(
            kind,
            entries,
            TemplateNames { path_variables: &path_variables, stage_variables: &stage_variables },
        )
    }

    const BODY: &str = r#" {"id": 7, "name": "Rex\r\nX: y", "first-name": "R", "tags": ["a b", 1], "o": {"k": null}} "#;

    fn scene(kind: Kind) -> Scene {
        let request = "POST /pets/a%2Fb/x/y/?q=1&q=c+d%26&n=7&e=&admin=no HTTP/1.1\r\n\
                       Host: api.example.com\r\nX-Pet: rex\r\nx-pet: tom\r\nX-Pet: last\r\nAccept: text/html\r\n\
                       X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nMax-Forwards: 3\r\nX_Odd: 1\r\nEmpty:\r\n\r\n";
        Scene::new(kind, "/", "/pets/{id}/{proxy+}", request.as_bytes())
    }

    /// The header lines that a mapping makes, joined by `|`.
    fn headers(kind: Kind, entries: &[(&str, &str)], body: &str) -> Result<String, Refusal> {
        let scene = scene(kind);
        let mut lines = Vec::new();
        let input = Input { facts: scene.facts(), body: body.as_bytes() };
        compile(kind, entries).unwrap().write_headers(&input, &mut lines)?;
        Ok(String::from_utf8(lines).unwrap().trim_end().replace("\r\n", "|"))
    }

    fn target(kind: Kind, uri: &str, entries: &[(&str, &str)], client_query: Option<&str>) -> Result<String, Refusal> {
        let scene = scene(kind);
        let mapping = compile(kind, entries).unwrap();
        let uri = UriTemplate::compile_mapped(uri, &variables(), mapping.path_names()).unwrap();
        let mut out = b"GET ".to_vec();
        let input = Input { facts: scene.facts(), body: BODY.as_bytes() };
        mapping.write_target(&uri, &input, client_query.map(str::as_bytes), &mut out)?;
        Ok(String::from_utf8(out).unwrap().strip_prefix("GET ").unwrap().to_owned())
    }

    /// (kind, expression, the value of a header made of it or none, row)
    #[rustfmt::skip]
    const VALUES: &[(Kind, &str, Option<&str>, &str)] = &[
        (REST, "method.request.header.X-Pet", Some("last"), "MP-01: last value"),
        (REST, "method.request.header.x-pet", Some("tom"), "MP-01: case counts"),
        (REST, "method.request.header.x-Pet", None, "MP-01: case counts"),
        (REST, "method.request.header.None", None, "MP-01: missing"),
        (REST, "method.request.header.Empty", Some(""), "MP-01"),
        (REST, "method.request.header.Max-Forwards", None, "HDR: dropped before"),
        (REST, "method.request.header.X_Odd", None, "S10"),
        (REST, "method.request.header.X-Forwarded-For", Some("203.0.113.9"), "P06"),
        (REST, "method.request.header.X-Real-IP", None, "P06"),
        (REST, "method.request.multivalueheader.X-Pet", Some("rex,last"), "MP-01: comma"),
        (REST, "method.request.querystring.q", Some("c d&"), "MP-01: last, decoded"),
        (REST, "method.request.querystring.Q", None, "RT-09"),
        (REST, "method.request.querystring.e", Some(""), "RT-09"),
        (REST, "method.request.multivaluequerystring.q", Some("1,c d&"), "MP-01, assumed"),
        (REST, "method.request.path.id", Some("a%2Fb"), "RT-04"),
        (REST, "method.request.path.proxy", Some("x/y"), "RT-05"),
        (REST, "method.request.body.id", Some("7"), "MP-01"),
        (REST, "method.request.body.name", Some("RexX: y"), "MP-01, F30"),
        (REST, "method.request.body.first-name", Some("R"), "MP-01"),
        (REST, "method.request.body.tags", Some("[\"a b\",1]"), "MP-01"),
        (REST, "method.request.body.tags[0]", Some("a b"), "MP-01"),
        (REST, "method.request.body.o.k", None, "null, assumed"),
        (REST, "method.request.body.none", None, "MP-01"),
        (REST, "stageVariables.env", Some("prod"), "ST-02"),
        (REST, "stageVariables.odd", Some("a b&c"), "F30"),
        (REST, "stageVariables.none", None, "ST-02, assumed"),
        (REST, "context.apiId", Some("a1b2c3"), "§12.1"),
        (REST, "context.identity.sourceIp", Some("203.0.113.9"), "§12.1"),
        (REST, "context.authorizer.claims.sub", None, "§12.1"),
        (REST, "'text $x'", Some("text $x"), "MP-01"),
        (REST, "''", Some(""), "MP-01"),
        (REST, "'  padded '", Some("padded"), "a value has no blanks around it"),
        (HTTP, "$request.header.x-PET", Some("rex,tom,last"), "MP-03: any case, comma"),
        (HTTP, "$request.header.Max-Forwards", Some("3"), "MP-03"),
        (HTTP, "$request.header.none", None, "MP-03, assumed"),
        (HTTP, "$request.header.X-Forwarded-For", Some("203.0.113.9"), "P06"),
        (HTTP, "$request.querystring.q", Some("1,c d&"), "MP-03: comma"),
        (HTTP, "${request.querystring.n}", Some("7"), "MP-03"),
        (HTTP, "$request.path", Some("/pets/a%2Fb/x/y/"), "MP-03"),
        (HTTP, "$request.path.id", Some("a%2Fb"), "MP-03"),
        (HTTP, "$request.body.first-name", Some("R"), "MP-03"),
        (HTTP, "$request.body.tags[1]", Some("1"), "MP-03"),
        (HTTP, "${request.body['first-name']}", Some("R"), "MP-03"),
        (HTTP, "$request.body.none", None, "MP-03"),
        (HTTP, "$context.requestId", Some("01234567-89ab-4def-8123-456789abcdef"), "MP-03"),
        (HTTP, "$context.requestId-$context.httpMethod", Some("01234567-89ab-4def-8123-456789abcdef-POST"), "MP-03"),
        (HTTP, "$context.routeKey", None, "§12.1"),
        (HTTP, "$stageVariables.env", Some("prod"), "MP-03"),
        (HTTP, "text", Some("text"), "MP-03"),
        (HTTP, "'text'", Some("'text'"), "MP-03"),
        (HTTP, "${request.header.accept} and ${request.header.none}!", Some("text/html and !"), "MP-03: several"),
        (HTTP, "a $request.header.accept.", Some("a text/html."), "MP-03: several"),
        (HTTP, "$5 $x ${y} $", Some("$5 $x ${y} $"), "text"),
        (HTTP, "${stageVariables.env}-${context.stage}", Some("prod-prod"), "MP-03: several"),
    ];

    fn header_target(kind: Kind) -> &'static str {
        if kind == HTTP { "overwrite:header.T" } else { "integration.request.header.T" }
    }

    #[test]
    fn values_of_headers() {
        for &(kind, expression, expected, row) in VALUES {
            let lines = headers(kind, &[(header_target(kind), expression)], BODY).unwrap();
            let expected = expected.map_or(String::new(), |value| format!("T: {value}").trim_end().to_owned());
            assert_eq!(lines, expected, "{row}: {expression}");
        }
    }

    #[test]
    fn bodies_that_are_no_json() {
        use Refusal::InvalidJsonBody;
        // (kind, expression, body, outcome, row)
        let cases = [
            (REST, "method.request.body", "{\"a\": 1}\n", Ok("T: {\"a\": 1}"), "MP-01"),
            (REST, "method.request.body", "", Ok("T: {}"), "MP-01"),
            (REST, "method.request.body", "plain\r\ntext", Ok("T: plaintext"), "MP-01: not read as JSON"),
            (REST, "method.request.body", "{broken", Err(InvalidJsonBody), "MP-01"),
            (REST, "method.request.body.a", "{broken", Err(InvalidJsonBody), "MP-01"),
            (REST, "method.request.body.a", "[1,]", Err(InvalidJsonBody), "MP-01"),
            (REST, "method.request.body.a", "'a'", Err(InvalidJsonBody), "MP-01"),
            (REST, "method.request.body.a", "\"a", Err(InvalidJsonBody), "MP-01"),
            (REST, "method.request.body.a", "plain", Ok(""), "MP-01"),
            (REST, "method.request.body.a", "", Ok(""), "MP-01"),
            (HTTP, "$request.body.a", "{broken", Ok(""), "MP-03, assumed"),
            (HTTP, "$request.body.a", "", Ok(""), "MP-03, assumed"),
            (HTTP, "$request.body", "x y", Ok("T: x y"), "MP-03, assumed"),
            (HTTP, "x${request.body.a}", "{broken", Ok("T: x"), "MP-03, assumed"),
        ];
        for (kind, expression, body, expected, row) in cases {
            let found = headers(kind, &[(header_target(kind), expression)], body);
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{row}: {expression} of {body}");
        }
        let long = format!("{{\"a\": 1, \"b\": \"{}\"}}", "x".repeat(100 * 1024));
        assert_eq!(
            headers(HTTP, &[("append:header.T", "$request.body.a")], &long).unwrap(),
            "",
            "MP-03: cut at 100 KB"
        );
        assert_eq!(headers(REST, &[(header_target(REST), "method.request.body.a")], &long).unwrap(), "T: 1");
        let whole = headers(REST, &[(header_target(REST), "method.request.body")], &long);
        assert_eq!(whole, Err(Refusal::MappingFailed), "no header is as long as a body");
    }

    #[test]
    fn actions_of_http_apis() {
        let entries = [
            ("append:header.A", "1"),
            ("overwrite:header.x-pet", "2"),
            ("remove:header.accept", "''"),
            ("overwrite:header.Gone", "$request.header.none"),
            ("append:header.Host", "other.example"),
            ("remove:header.Host", ""),
            ("append:header.Empty", ""),
            ("overwrite:header.TE2", "x"),
            ("append:header.Expect", "100-continue"),
        ];
        let mapping = compile(HTTP, &entries).unwrap();
        let scene = scene(HTTP);
        let mut lines = Vec::new();
        let applied = mapping.write_headers(&Input { facts: scene.facts(), body: b"" }, &mut lines).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap(), "A: 1\r\nx-pet: 2\r\nHost: other.example\r\nTE2: x\r\n");
        let replaces = |name: &str| mapping.replaces(applied, Name::of(name.as_bytes()), name.as_bytes());
        for (name, expected) in
            [("a", false), ("X-Pet", true), ("Accept", true), ("gone", false), ("HOST", true), ("other", false)]
        {
            assert_eq!(replaces(name), expected, "{name}");
        }
        assert!(!mapping.replaces(Applied::default(), Name::Accept, b"accept"));
    }

    #[test]
    fn a_host_is_a_host() {
        let line = |value| headers(REST, &[("integration.request.header.Host", value)], BODY).unwrap();
        assert_eq!(line("method.request.header.Host"), "Host: api.example.com");
        assert_eq!(line("'a.example:80'"), "Host: a.example:80");
        assert_eq!(line("method.request.querystring.q"), "", "c d& is none");
        assert_eq!(line("''"), "");
    }

    /// (kind, URI, entries, client's query, target, row)
    type Case =
        (Kind, &'static str, &'static [(&'static str, &'static str)], Option<&'static str>, &'static str, &'static str);

    #[rustfmt::skip]
    const TARGETS: &[Case] = &[
        (REST, "/v", &[("integration.request.querystring.t", "method.request.querystring.q")], Some("t=1"), "/v?t=1&t=c+d%26", "IN-03: appended"),
        (REST, "/v", &[("integration.request.querystring.t", "method.request.querystring.q")], None, "/v?t=c+d%26", "IN-04: mapped alone"),
        (REST, "/v?k=1", &[("integration.request.querystring.t", "'a b&c=d'")], None, "/v?k=1&t=a%20b%26c%3Dd", "MP-01"),
        (REST, "/v", &[("integration.request.querystring.t", "method.request.multivaluequerystring.q")], None, "/v?t=1&t=c+d%26", "MP-01: as often"),
        (REST, "/v", &[("integration.request.querystring.t", "method.request.querystring.none")], None, "/v", "MP-01: missing"),
        (REST, "/v", &[("integration.request.querystring.t", "method.request.multivaluequerystring.none")], Some("a"), "/v?a", "MP-01: missing"),
        (REST, "/v", &[("integration.request.querystring.t", "method.request.path.id")], None, "/v?t=a%2Fb", "MP-01"),
        (REST, "/v", &[("integration.request.querystring.t", "method.request.body.name")], None, "/v?t=Rex%0D%0AX%3A%20y", "P11"),
        (REST, "/v", &[("integration.request.querystring.a.b$c", "'1'")], None, "/v?a.b%24c=1", "MP-01: names"),
        (REST, "/v/{id}", &[("integration.request.path.id", "method.request.path.id")], None, "/v/a%2Fb", "IN-03"),
        (REST, "/v/{pet}/{id}", &[("integration.request.path.pet", "method.request.querystring.n")], None, "/v/7/a%2Fb", "MP-01, by name"),
        (REST, "/v/{pet}", &[("integration.request.path.pet", "method.request.querystring.q")], None, "/v/c%20d%26", "one segment"),
        (REST, "/v/{pet}/x", &[("integration.request.path.pet", "method.request.header.none")], None, "/v//x", "missing"),
        (REST, "/v/{id}", &[("integration.request.path.id", "method.request.header.none")], None, "/v/a%2Fb", "missing: by name"),
        (REST, "/v/{pet}", &[("integration.request.path.pet", "method.request.header.Accept")], None, "/v/text%2Fhtml", "one segment"),
        (REST, "/v/{pet}", &[("integration.request.path.pet", "stageVariables.path")], None, "/v//v%202/x", "the operator's own"),
        (REST, "/v?x={pet}", &[("integration.request.path.pet", "method.request.querystring.q")], None, "/v?x=c%20d%26", "one value"),
        (REST, "/v?x={pet}", &[("integration.request.path.pet", "'a/b&c=d+e'")], None, "/v?x=a/b%26c%3Dd%2Be", "one value"),
        (REST, "/v/{proxy}", &[("integration.request.path.proxy", "method.request.path.proxy")], Some("z"), "/v/x/y?z", "greedy"),
        (REST, "/v/{p}", &[("integration.request.path.p", "context.path")], None, "/v//pets/a%2Fb/x/y/", "a path stays one"),
        (HTTP, "/v", &[("overwrite:path", "/w/$request.path.id")], Some("a=1"), "/w/a%2Fb?a=1", "MP-03"),
        (HTTP, "/v?k=1", &[("overwrite:path", "$request.path")], None, "/pets/a%2Fb/x/y/?k=1", "MP-03, IN-11"),
        (HTTP, "/v", &[("overwrite:path", "/a%20b c?#/${request.querystring.q}")], None, "/a%20b%20c%3F%23/1%2Cc%20d%26", "one path"),
        (HTTP, "/v", &[("append:querystring.q", "9")], Some("q=1&r"), "/v?q=1&r&q=9", "MP-03"),
        (HTTP, "/v", &[("append:querystring.q", "$request.querystring.q")], Some("r"), "/v?r&q=1,c+d%26", "MP-03"),
        (HTTP, "/v?q=0", &[("overwrite:querystring.q", "9")], Some("q=1&r;q=2&%71=3&qq"), "/v?r&qq&q=9", "MP-03"),
        (HTTP, "/v", &[("overwrite:querystring.q", "$request.header.none")], Some("q=1"), "/v?q=1", "MP-03: missing"),
        (HTTP, "/v", &[("remove:querystring.q", "''")], Some("q=1&a=2&q&b=3"), "/v?a=2&b=3", "MP-03"),
        (HTTP, "/v", &[("remove:querystring.q", "''")], Some("q=1"), "/v", "MP-03"),
        (HTTP, "/v", &[("remove:querystring.q", ""), ("append:querystring.a b", "ä")], Some("q=1"), "/v?a%20b=%C3%A4", "MP-03"),
        (HTTP, "/v", &[("remove:querystring.q", "")], None, "/v", "MP-03"),
    ];

    #[test]
    fn targets() {
        for &(kind, uri, entries, query, expected, row) in TARGETS {
            assert_eq!(target(kind, uri, entries, query).as_deref(), Ok(expected), "{row}: {entries:?}");
        }
    }

    #[test]
    fn no_segment_leads_elsewhere() {
        let request = |value: &str| format!("GET /pets/1/x?q={value} HTTP/1.1\r\nHost: h\r\nX: {value}\r\n\r\n");
        for (value, escapes) in [
            ("..", true),
            (".", true),
            ("%2e%2e", true),
            (".%2e", true),
            ("...", false),
            ("..a", false),
            ("..%2f..%2fadmin", true),
            ("..%5cadmin", true),
            ("a%2f..%2fb", true),
            ("..;a", true),
            ("a%00", false),
        ] {
            let scene = Scene::new(REST, "/", "/pets/{id}/{proxy+}", request(value).as_bytes());
            let mapping = compile(REST, &[("integration.request.path.p", "method.request.querystring.q")]).unwrap();
            let uri = UriTemplate::compile_mapped("/v/{p}/x", &variables(), mapping.path_names()).unwrap();
            let mut out = Vec::new();
            let outcome = mapping.write_target(&uri, &Input { facts: scene.facts(), body: b"" }, None, &mut out);
            let expected = if escapes { Err(Refusal::MappedPathEscapes) } else { Ok(()) };
            assert_eq!(outcome, expected, "{value}: {}", out.escape_ascii());
        }
    }

    #[test]
    fn faults_have_their_place() {
        use MappingProblem as P;
        let long = format!("'{}'", "x".repeat(10_240));
        // (kind, target, expression, in the target, offset, what)
        let cases = [
            (REST, "integration.request.body.x", "'1'", true, 20, P::Target),
            (REST, "integration.response.header.x", "'1'", true, 0, P::Target),
            (REST, "header.x", "'1'", true, 0, P::Target),
            (REST, "integration.request.header", "'1'", true, 20, P::Target),
            (REST, "integration.request.header.", "'1'", true, 27, P::Name),
            (REST, "integration.request.header.a b", "'1'", true, 27, P::Name),
            (REST, "integration.request.querystring.a[]", "'1'", true, 32, P::Name),
            (REST, "integration.request.header.Content-length", "'1'", true, 27, P::Illegal),
            (REST, "integration.request.header.x-amzn-trace-id", "'1'", true, 27, P::Illegal),
            (REST, "integration.request.header.transfer-encoding", "'1'", true, 27, P::Illegal),
            (REST, "integration.request.header.X-Amzn-Apigateway-Api-Id", "'1'", true, 27, P::Illegal),
            (REST, "integration.request.header.x", "text", false, 0, P::Expression),
            (REST, "integration.request.header.x", "'text", false, 0, P::Expression),
            (REST, "integration.request.header.x", "'", false, 0, P::Expression),
            (REST, "integration.request.header.x", "", false, 0, P::Expression),
            (REST, "integration.request.header.x", "$request.header.x", false, 0, P::Expression),
            (REST, "integration.request.header.x", "method.request.cookie.x", false, 15, P::Expression),
            (REST, "integration.request.header.x", "method.request.header.", false, 22, P::Unnamed),
            (REST, "integration.request.header.x", "method.request.header.a b", false, 22, P::Name),
            (REST, "integration.request.header.x", "method.request.path.none", false, 20, P::NoSuchPathVariable),
            (REST, "integration.request.header.x", "context.none", false, 8, P::UnknownContext),
            (REST, "integration.request.header.x", "context.status", false, 8, P::UnknownContext),
            (REST, "integration.request.header.x", "integration.response.header.x", false, 0, P::Expression),
            (
                REST,
                "integration.request.header.x",
                "method.request.body..x",
                false,
                19,
                P::JsonPath(JsonPathProblem::Descent),
            ),
            (REST, "integration.request.header.x", "'a\nb'", false, 2, P::Control),
            (REST, "integration.request.header.x", &long, false, 10_240, P::TooLong),
            (HTTP, "header.x", "1", true, 0, P::Target),
            (HTTP, "set:header.x", "1", true, 0, P::Target),
            (HTTP, "append:cookie.x", "1", true, 7, P::Target),
            (HTTP, "append:path", "/x", true, 7, P::Target),
            (HTTP, "append:header.", "1", true, 14, P::Name),
            (HTTP, "append:header.a b", "1", true, 14, P::Name),
            (HTTP, "append:querystring.", "1", true, 19, P::Name),
            (HTTP, "append:header.authorization", "1", true, 14, P::Reserved),
            (HTTP, "remove:header.X-Amzn-Foo", "", true, 14, P::Reserved),
            (HTTP, "append:header.Access-Control-Allow-Origin", "*", true, 14, P::Reserved),
            (HTTP, "append:header.trailers", "1", true, 14, P::Reserved),
            (HTTP, "append:header.x", "${request.header.x", false, 0, P::Unclosed),
            (HTTP, "append:header.x", "a ${request.none.x}", false, 12, P::Expression),
            (HTTP, "append:header.x", "$request.path.none", false, 14, P::NoSuchPathVariable),
            (HTTP, "append:header.x", "$context.none", false, 9, P::UnknownContext),
            (HTTP, "append:header.x", "$response.header.x", false, 1, P::Expression),
            (HTTP, "append:header.x", "$request.body.a[?(@.b)]", false, 15, P::JsonPath(JsonPathProblem::Program)),
            (HTTP, "overwrite:path", "x", false, 0, P::NoSlash),
            (HTTP, "overwrite:path", "$request.header.x", false, 0, P::NoSlash),
            (HTTP, "overwrite:path", "/a/../$request.path.id", false, 0, P::DotSegment),
        ];
        for (kind, target, expression, in_target, offset, what) in cases {
            let expected = MappingFault { entry: 1, in_target, offset, what };
            let first = (header_target(kind), if kind == HTTP { "1" } else { "'1'" });
            assert_eq!(compile(kind, &[first, (target, expression)]), Err(vec![expected]), "{target} = {expression}");
            assert!(!what.message().is_empty() && !what.hint(kind, false).is_empty());
        }
    }

    #[test]
    fn every_reserved_name_is_refused() {
        // MP-05, as the hint lists it.
        let names = super::super::RESERVED.trim_start_matches("remove it; reserved are ").replace(" and ", ", ");
        let names: Vec<String> = names.split(", ").map(|name| name.replace('*', "x")).collect();
        assert_eq!(names.len(), 22);
        for name in names {
            for action in ["append", "overwrite", "remove"] {
                let faults = compile(HTTP, &[(&format!("{action}:header.{name}"), "x")]).unwrap_err();
                assert_eq!(faults[0].what, MappingProblem::Reserved, "{name}");
            }
        }
    }

    #[test]
    fn one_thing_is_mapped_once() {
        let twice = [
            (REST, "integration.request.header.A", "integration.request.header.a"),
            (REST, "integration.request.path.a", "integration.request.path.a"),
            (REST, "integration.request.querystring.a", "integration.request.querystring.a"),
            (HTTP, "append:header.A", "append:header.a"),
            (HTTP, "append:header.Host", "overwrite:header.host"),
            (HTTP, "overwrite:path", "overwrite:path"),
            (HTTP, "remove:querystring.a", "remove:querystring.a"),
        ];
        for (kind, first, second) in twice {
            let text = if kind == HTTP { "/x" } else { "'x'" };
            let faults = compile(kind, &[(first, text), (second, text)]).unwrap_err();
            assert_eq!((faults[0].entry, faults[0].what), (1, MappingProblem::Duplicate), "{first}");
        }
        let fine = [
            ("append:header.a", "1"),
            ("overwrite:header.a", "2"),
            ("append:querystring.A", "1"),
            ("append:querystring.a", "1"),
        ];
        assert!(compile(HTTP, &fine).is_ok());
        let many: Vec<(String, &str)> = (0..=MAPPINGS_MAX).map(|n| (format!("append:header.h{n}"), "x")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(target, value)| (&**target, *value)).collect();
        assert_eq!(compile(HTTP, &many).unwrap_err()[0].what, MappingProblem::TooMany);
        assert!(compile(HTTP, &many[1..]).is_ok());
    }

    #[test]
    fn bodies_are_read_only_where_one_is_named() {
        for (kind, target, expression, expected) in [
            (REST, "integration.request.header.x", "method.request.body", true),
            (REST, "integration.request.path.x", "method.request.body.a", true),
            (REST, "integration.request.querystring.x", "method.request.body.a", true),
            (REST, "integration.request.header.x", "method.request.header.body", false),
            (HTTP, "overwrite:path", "/${request.body.a}", true),
            (HTTP, "append:header.x", "body", false),
        ] {
            assert_eq!(compile(kind, &[(target, expression)]).unwrap().needs_body(), expected, "{expression}");
        }
    }

    #[test]
    fn a_stored_mapping_is_the_same_or_refused() {
        let entries = [
            ("integration.request.header.a", "stageVariables.env"),
            ("integration.request.querystring.b", "method.request.body.x"),
            ("integration.request.path.c", "method.request.path.id"),
        ];
        let mapping = compile(REST, &entries).unwrap();
        let stored = serde_json::to_string(&mapping).unwrap();
        assert!(!stored.contains("odd"), "only what is named is kept: {stored}");
        assert_eq!(serde_json::from_str::<RequestMapping>(&stored).unwrap(), mapping);
        for broken in ["header.a b", "header.Content-Length", "cookie.a"] {
            assert!(serde_json::from_str::<RequestMapping>(&stored.replace("header.a", broken)).is_err());
        }
    }

    fn encoded(value: &[u8]) -> String {
        let mut out = value.to_vec();
        escape::percent(&mut out, 0, |_| false);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        /// Whatever a client sends, a mapped header is one line.
        #[test]
        fn a_value_stays_on_its_line(value: Vec<u8>, body in ".{0,20}", http: bool) {
            let kind = if http { HTTP } else { REST };
            let encoded = encoded(&value);
            let request = format!("GET /pets/1/x?q={encoded} HTTP/1.1\r\nHost: h\r\n\r\n");
            let scene = Scene::new(kind, "/", "/pets/{id}/{proxy+}", request.as_bytes());
            let (query, json) = if http {
                ("$request.querystring.q", "x$request.body.a")
            } else {
                ("method.request.querystring.q", "method.request.body.a")
            };
            let name = header_target(kind);
            let mapping = compile(kind, &[(name, query), (&name.replace(".T", ".U"), json)]).unwrap();
            let body = serde_json::json!({ "a": body }).to_string();
            let mut lines = Vec::new();
            mapping.write_headers(&Input { facts: scene.facts(), body: body.as_bytes() }, &mut lines).unwrap();
            prop_assert!(lines.ends_with(b"\r\n"));
            let inside = &lines[..lines.len() - 2];
            let split = inside.windows(2).filter(|two| two == b"\r\n").count();
            prop_assert_eq!(split, 1);
            prop_assert!(inside.split(|byte| *byte == b'\n').all(|line| write::value_is_clean(line.strip_suffix(b"\r").unwrap_or(line))));
        }

        /// A mapped query value is one parameter, and means what was sent.
        #[test]
        fn a_value_stays_one_parameter(value: Vec<u8>, from_body: bool) {
            let text = String::from_utf8_lossy(&value).into_owned();
            let encoded = encoded(text.as_bytes());
            let request = format!("GET /pets/1/x?q={encoded} HTTP/1.1\r\nHost: h\r\n\r\n");
            let scene = Scene::new(REST, "/", "/pets/{id}/{proxy+}", request.as_bytes());
            let source = if from_body { "method.request.body.a" } else { "method.request.querystring.q" };
            let mapping = compile(REST, &[("integration.request.querystring.t", source)]).unwrap();
            let uri = UriTemplate::compile("/v?k=1", &[]).unwrap();
            let body = serde_json::json!({ "a": text }).to_string();
            let mut out = Vec::new();
            mapping.write_target(&uri, &Input { facts: scene.facts(), body: body.as_bytes() }, None, &mut out).unwrap();
            let query = out.strip_prefix(b"/v?").unwrap();
            let pairs: Vec<_> = query_pairs(query).collect();
            prop_assert_eq!(pairs.len(), 2);
            prop_assert_eq!(pairs[1].0, b"t");
            let mut decoded = Vec::new();
            decode_component(pairs[1].1, true, &mut decoded);
            prop_assert_eq!(decoded, text.into_bytes());
        }

        /// A mapped segment is one segment, or the request is refused.
        #[test]
        fn a_value_stays_one_segment(value: Vec<u8>) {
            let encoded = encoded(&value);
            let request = format!("GET /pets/1/x?q={encoded} HTTP/1.1\r\nHost: h\r\n\r\n");
            let scene = Scene::new(HTTP, "/", "/pets/{id}/{proxy+}", request.as_bytes());
            let mapping = compile(HTTP, &[("overwrite:path", "/v/$request.querystring.q/x")]).unwrap();
            let uri = UriTemplate::compile("/", &[]).unwrap();
            let mut out = Vec::new();
            match mapping.write_target(&uri, &Input { facts: scene.facts(), body: b"" }, None, &mut out) {
                Ok(()) => {
                    prop_assert_eq!(out.split(|byte| *byte == b'/').count(), 4);
                    prop_assert!(!out.contains(&b'?') && !out.contains(&b'#'));
                    let mut scratch = Vec::new();
                    prop_assert_eq!(canonical_path(&out, &mut scratch).unwrap(), &out[..]);
                }
                Err(refusal) => prop_assert_eq!(refusal, Refusal::MappedPathEscapes),
            }
        }

        #[test]
        fn any_text_compiles_or_has_a_fault(target in ".{0,24}", expression in ".{0,24}", words in "[a-z.$\\{}\\[\\]'*?:]{0,40}") {
            for kind in [REST, HTTP] {
                for expression in [&expression, &words, &format!("$request.{words}"), &format!("method.request.{words}")] {
                    for target in [&*target, header_target(kind), "overwrite:path", "integration.request.path.x"] {
                        if let Err(faults) = compile(kind, &[(target, expression)]) {
                            let text = if faults[0].in_target { target } else { expression };
                            prop_assert!(faults[0].offset <= text.len(), "{faults:?}");
                        }
                    }
                }
            }
        }
    }
}
