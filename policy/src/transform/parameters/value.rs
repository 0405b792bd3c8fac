//! The value of a mapping: what it is read from, and how it is made to fit where it goes.

use codec::head::{Fate, Field, Fields};
use codec::target::{decode_component, query_get, query_pairs};
use router::Kind;
use serde_json::value::RawValue;

use super::{AnswerInput, FieldName, Input};
use crate::escape;
use crate::facts::Facts;
use crate::limits::{MAPPED_BODY_BYTES_HTTP_MAX, MAPPED_VALUE_BYTES_MAX};
use crate::refusal::Refusal;
use crate::transform::json_path::JsonPath;

use crate::transform::uri::encode_separators;
use crate::transform::variable::Variable;

/// A message that values are read from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    kind: Kind,
    facts: Facts<'a>,
    fields: &'a [Field],
    head_bytes: &'a [u8],
    body: &'a [u8],
    /// What is said when the body should be JSON and is not.
    not_json: Refusal,
}

impl<'a> Sources<'a> {
    pub(super) fn of_request(kind: Kind, input: &Input<'a>) -> Self {
        let Input { facts, body } = *input;
        let fields = &*facts.head.fields;
        Self { kind, facts, fields, head_bytes: facts.head_bytes, body, not_json: Refusal::InvalidJsonBody }
    }

    pub(super) fn of_answer(kind: Kind, input: &AnswerInput<'a>) -> Self {
        let AnswerInput { facts, head_bytes, head, body } = *input;
        let fields: &[Field] = head.map_or(&[], |head| &head.fields as &Fields);
        Self { kind, facts, fields, head_bytes, body, not_json: Refusal::MappingFailed }
    }

    pub(super) fn facts(&self) -> &Facts<'a> {
        &self.facts
    }

    fn query(&self) -> &'a [u8] {
        self.facts.head.query.map_or(&[], |query| query.of(self.facts.head_bytes))
    }

    /// The fields of this name. In a REST API the case of its letters counts (§20).
    fn values(&self, name: &FieldName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let any_case = self.kind == Kind::Http;
        let bytes = self.head_bytes;
        self.fields.iter().filter_map(move |field| {
            let text = field.name.of(bytes);
            let is_it = if any_case { name.is(field.known, text) } else { text == name.text.as_bytes() };
            (field.fate == Fate::Pass && is_it).then(|| field.value.of(bytes))
        })
    }

    /// The body as text. REST: without the blanks around it, `{}` if there is none, and refused if it looks like JSON and is not
    /// (MP-01). HTTP: no more than AWS looks at (MP-03).
    fn text(&self) -> Result<Option<&'a [u8]>, Refusal> {
        if self.kind == Kind::Http {
            let text = &self.body[..self.body.len().min(MAPPED_BODY_BYTES_HTTP_MAX)];
            return Ok((!text.is_empty()).then_some(text));
        }
        match self.body.trim_ascii() {
            [] => Ok(Some(b"{}")),
            text if looks_like_json(text) && serde_json::from_slice::<&RawValue>(text).is_err() => Err(self.not_json),
            text => Ok(Some(text)),
        }
    }

    fn json(&self, path: &JsonPath, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let from = out.len();
        if self.kind == Kind::Http {
            let text = &self.body[..self.body.len().min(MAPPED_BODY_BYTES_HTTP_MAX)];
            let found = path.write(text, out);
            if found.is_err() {
                out.truncate(from);
            }
            return Ok(found.unwrap_or(false));
        }
        match self.body.trim_ascii() {
            text if looks_like_json(text) => path.write(text, out).map_err(|_| self.not_json),
            _ => Ok(false),
        }
    }
}

/// What AWS tries to read as JSON.
fn looks_like_json(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'{' | b'[' | b'"' | b'\''))
}

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A header field's value, or a status: one line.
    Line,
    /// A parameter's value in a query.
    Query,
    /// A piece of a path.
    Path,
}

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text, made to fit when it was compiled.
    Literal(Box<[u8]>),
    Header(FieldName, Pick),
    Query(Box<[u8]>, Pick),
    PathVariable(u16),
    ApiPath,
    Body,
    Json(JsonPath),
    Context(Variable),
    /// What the authorizer says under this name.
    Authorizer(Box<str>),
    /// What is known, but never there.
    Absent,
}

/// Which of several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Last,
    /// All, with commas between them.
    All,
}

/// In which form a piece was read.
#[derive(Clone, Copy)]
enum Form {
    /// It fits already.
    Fitted,
    /// Bytes of a path, still encoded.
    Path,
    /// Bytes of a query, still encoded.
    Query,
    /// Anything.
    Plain,
}

/// A value: pieces, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    parts: Box<[Part]>,
    place: Place,
}

impl Value {
    pub(super) fn new(mut parts: Vec<Part>, place: Place) -> Self {
        for part in &mut parts {
            if let Part::Literal(text) = part {
                *text = fit_literal(place, text);
            }
        }
        Self { parts: parts.into(), place }
    }

    pub(super) fn needs_body(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Body | Part::Json(_)))
    }

    /// The text, if nothing of it comes from a message.
    pub(super) fn as_literal(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// With each reference written as this letter.
    pub(super) fn outline(&self, letter: u8) -> Vec<u8> {
        self.parts.iter().fold(Vec::new(), |mut out, part| {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::ApiPath | Part::Context(Variable::Path) => out.extend_from_slice(&[b'/', letter]),
                _ => out.push(letter),
            }
            out
        })
    }

    /// Appends the value; false, and nothing appended, if the message does not have it. Of a value of several pieces those that
    /// are missing are empty.
    pub(super) fn write(&self, from: &Sources<'_>, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let start = out.len();
        for part in &self.parts {
            let at = out.len();
            let present = part.write(from, self.place, out)?;
            if !present && self.parts.len() == 1 {
                out.truncate(start);
                return Ok(false);
            }
            if out.len() - start > MAPPED_VALUE_BYTES_MAX {
                return Err(Refusal::MappingFailed);
            }
            fit(self.place, part.form(), out, at);
        }
        Ok(true)
    }

    /// The values of a query parameter that is passed on as often as it was sent.
    pub(super) fn repeated<'a>(&'a self, from: &Sources<'a>) -> Option<impl Iterator<Item = &'a [u8]>> {
        match &*self.parts {
            [Part::Query(name, Pick::All)] if self.place == Place::Query && from.kind != Kind::Http => {
                Some(named(from.query(), name))
            }
            _ => None,
        }
    }
}

impl Part {
    fn form(&self) -> Form {
        match self {
            Self::Literal(_) => Form::Fitted,
            Self::PathVariable(_) | Self::ApiPath | Self::Context(Variable::Path) => Form::Path,
            Self::Query(..) => Form::Query,
            _ => Form::Plain,
        }
    }

    /// Appends the piece as it is; false if the message does not have it.
    fn write(&self, from: &Sources<'_>, place: Place, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let one = |value: Option<&[u8]>, out: &mut Vec<u8>| {
            out.extend_from_slice(value.unwrap_or_default());
            Ok(value.is_some())
        };
        match self {
            Self::Literal(text) => one(Some(text), out),
            Self::Header(name, Pick::Last) => one(from.values(name).next_back(), out),
            Self::Header(name, Pick::All) => {
                Ok(joined(from.values(name), out, |value, out| out.extend_from_slice(value)))
            }
            Self::Query(name, pick) => {
                let write = |value: &[u8], out: &mut Vec<u8>| match place {
                    Place::Query => out.extend_from_slice(value),
                    Place::Line | Place::Path => decode_component(value, true, out),
                };
                let values = named(from.query(), name);
                match pick {
                    Pick::Last => Ok(joined(values.last().into_iter(), out, write)),
                    Pick::All => Ok(joined(values, out, write)),
                }
            }
            Self::PathVariable(place) => one(Some(from.facts.path_variable(usize::from(*place))), out),
            Self::ApiPath => one(Some(from.facts.api_path()), out),
            Self::Body => one(from.text()?, out),
            Self::Json(path) => from.json(path, out),
            Self::Context(variable) => Ok(variable.write(&from.facts, out)),
            Self::Authorizer(name) => one(from.facts.of_authorizer(name.as_bytes()).map(str::as_bytes), out),
            Self::Absent => Ok(false),
        }
    }
}

/// The raw values of a query parameter.
fn named<'a>(query: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    query_pairs(query).filter(move |(raw, _)| query_get(raw, name).is_some()).map(|(_, value)| value)
}

/// Writes values with commas between them; false if there are none.
fn joined<'a>(values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>, write: impl Fn(&[u8], &mut Vec<u8>)) -> bool {
    let mut any = false;
    for value in values {
        if std::mem::replace(&mut any, true) {
            out.push(b',');
        }
        write(value, out);
    }
    any
}

/// Makes `out[at..]` fit.
fn fit(place: Place, form: Form, out: &mut Vec<u8>, at: usize) {
    match (place, form) {
        (_, Form::Fitted) | (Place::Path, Form::Path) | (Place::Query, Form::Query) => {}
        (Place::Line, _) => escape::one_line(out, at),
        // What is escaped there already stays so.
        (Place::Query, Form::Path) => encode_separators(out, at),
        (Place::Query | Place::Path, _) => escape::percent(out, at, is_unreserved),
    }
}

/// What an operator wrote: a path keeps its slashes and escapes.
fn fit_literal(place: Place, text: &[u8]) -> Box<[u8]> {
    let mut out = text.to_vec();
    match place {
        Place::Line => {}
        Place::Query => escape::percent(&mut out, 0, is_unreserved),
        Place::Path => {
            out.clear();
            for (at, byte) in text.iter().enumerate() {
                let is_escape =
                    matches!(text[at..], [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
                let from = out.len();
                out.push(*byte);
                escape::percent(&mut out, from, |byte| is_of_a_path(byte) || (byte == b'%' && is_escape));
            }
        }
    }
    out.into()
}

/// RFC 3986 §2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §3.3, with the slash.
fn is_of_a_path(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/".contains(&byte)
}
