//! What a client's answer is made of besides what the backend sent: header fields and status (MP-02, MP-04).

use codec::head::Name;
use router::Kind;
use serde::{Deserialize, Serialize, Serializer};

use super::expression::{Reader, is_rest_name, is_token};
use super::fields;
use super::request::{HeaderStep, header_step, http_action, is_twice, replaces, write_steps};
use super::value::{Place, Sources, Value};
use super::{Action, AnswerInput, Applied, MappingFault, MappingProblem, Refused, Written};
use crate::limits::MAPPINGS_MAX;
use crate::refusal::Refusal;
use crate::transform::template::TemplateNames;

/// The compiled mapping of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ResponseMapping {
    written: Box<Written>,
    headers: Box<[HeaderStep]>,
    status: Option<Value>,
    needs_body: bool,
}

impl ResponseMapping {
    /// Compiles targets and their expressions. All faults are found.
    pub fn compile(kind: Kind, entries: &[(&str, &str)], names: TemplateNames<'_>) -> Result<Self, Vec<MappingFault>> {
        let reader = Reader { kind, names, in_answer: true };
        let (mut headers, mut status, mut faults) = (Vec::new(), None, Vec::new());
        for (entry, (target, expression)) in entries.iter().enumerate() {
            if let Err((in_target, offset, what)) = add(&reader, target, expression, &mut headers, &mut status) {
                faults.push(MappingFault { entry, in_target, offset, what });
            }
        }
        if entries.len() > MAPPINGS_MAX {
            let what = MappingProblem::TooMany;
            faults.push(MappingFault { entry: MAPPINGS_MAX, in_target: true, offset: 0, what });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let values = headers.iter().filter_map(|step: &HeaderStep| step.value.as_ref());
        let needs_body = values.chain(&status).any(Value::needs_body);
        let written = Box::new(Written::new(kind, entries, &names));
        Ok(Self { written, headers: headers.into(), status, needs_body })
    }

    /// Whether the answer's body has to be read before its head can be written.
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// Writes complete header lines, and says which steps took effect.
    pub fn write_headers(&self, input: &AnswerInput<'_>, lines: &mut Vec<u8>) -> Result<Applied, Refusal> {
        write_steps(&self.headers, &Sources::of_answer(self.written.kind, input), lines)
    }

    /// Whether a field of the backend, or one that the gateway would write by itself, gives way; `known` is `Name::of(name)`.
    pub fn replaces(&self, applied: Applied, known: Name, name: &[u8]) -> bool {
        replaces(&self.headers, applied, known, name)
    }

    /// Whether a field is written by this mapping, whatever else is.
    pub fn has(&self, applied: Applied, known: Name) -> bool {
        let writes = |(place, step): (usize, &HeaderStep)| {
            applied.has(place) && step.value.is_some() && step.name.known == known
        };
        self.headers.iter().enumerate().any(writes)
    }

    /// The status that the client gets instead of the backend's (MP-04). What is no number from 200 to 599 changes nothing.
    /// `scratch` is left as it was.
    pub fn status(&self, input: &AnswerInput<'_>, scratch: &mut Vec<u8>) -> Result<Option<u16>, Refusal> {
        let Some(value) = &self.status else { return Ok(None) };
        let from = scratch.len();
        value.write(&Sources::of_answer(self.written.kind, input), scratch)?;
        let status = status_of(&scratch[from..]);
        scratch.truncate(from);
        Ok(status)
    }

    /// What it was compiled from.
    pub(super) fn written(&self) -> &Written {
        &self.written
    }
}

/// 200 to 599.
pub(super) fn status_of(text: &[u8]) -> Option<u16> {
    let status = std::str::from_utf8(text).ok().filter(|text| text.len() == 3)?.parse().ok()?;
    (200..600).contains(&status).then_some(status)
}

/// Adds what one entry makes.
fn add(
    reader: &Reader<'_>,
    target: &str,
    expression: &str,
    headers: &mut Vec<HeaderStep>,
    status: &mut Option<Value>,
) -> Result<(), (bool, usize, MappingProblem)> {
    let (at, action, name) = match reader.kind {
        Kind::Http => {
            let (action, rest) = http_action(target).ok_or((true, 0, MappingProblem::Target))?;
            (target.len() - rest.len(), action, rest)
        }
        Kind::Rest | Kind::WebSocket => {
            let rest = target.strip_prefix("method.response.").ok_or((true, 0, MappingProblem::Target))?;
            ("method.response.".len(), Action::Overwrite, rest)
        }
    };
    if reader.kind == Kind::Http && expression.is_empty() && action != Action::Remove {
        return Ok(());
    }
    if name == "statuscode" && action == Action::Overwrite && reader.kind == Kind::Http {
        if status.is_some() {
            return Err((true, at, MappingProblem::Duplicate));
        }
        let value = reader.read(expression, Place::Line).map_err(|(offset, what)| (false, offset, what))?;
        if value.as_literal().is_some_and(|text| status_of(text).is_none()) {
            return Err((false, 0, MappingProblem::Status));
        }
        *status = Some(value);
        return Ok(());
    }
    let name = name.strip_prefix("header.").ok_or((true, at, MappingProblem::Target))?;
    let at = at + "header.".len();
    let fits = if reader.kind == Kind::Http { is_token(name) } else { is_rest_name(name) };
    if !fits {
        return Err((true, at, MappingProblem::Name));
    }
    let step = header_step(reader, action, name, fields::to_client, expression)
        .map_err(|(there, offset, what)| (there, if there { at } else { offset }, what))?;
    match step {
        Some(step) if is_twice(headers, &step) => Err((true, at, MappingProblem::Duplicate)),
        step => {
            headers.extend(step);
            Ok(())
        }
    }
}

impl TryFrom<Written> for ResponseMapping {
    type Error = Refused;

    fn try_from(written: Written) -> Result<Self, Refused> {
        Self::compile(written.kind, &written.entries(), written.names()).map_err(Refused::first)
    }
}

impl Serialize for ResponseMapping {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(to)
    }
}
