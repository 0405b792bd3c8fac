//! Parameter mappings on the way: what is read for them, and what their output becomes part of (aws-features §5).

use codec::head::{Field, Name};
use codec::http1::write;
use config::snapshot::{HttpRule, ResponseShape};
use policy::facts::Facts;
use policy::refusal::Refusal;
use policy::transform::headers::{self, Rule};
use policy::transform::parameters::{AnswerInput, Applied, Bodies, Input, ResponseMapping};
use router::Kind;

use super::http::{Call, facts};
use crate::exchange::Exchange;
use crate::io::{recycle, vector};
use crate::state::{Live, Place};
use crate::trip::Trip;
use crate::upstream::Shaped;

/// Header lines that a request mapping made, and which of its steps did.
#[derive(Default)]
pub struct Mapped {
    /// The steps that took effect.
    pub applied: Applied,
    /// Complete lines, CRLF included.
    pub lines: Vec<u8>,
}

/// Maps a request's parameters to the header fields of a call.
pub fn request(
    call: &mut Call<'_>,
    exchange: &Exchange,
    place: Place,
    trip: &Trip,
    live: &Live,
) -> Result<(), Refusal> {
    let Some(mapping) = &call.rule.request else { return Ok(()) };
    call.mapped.lines = vector();
    let input = Input { facts: facts(exchange, place, trip, live), body: &call.held };
    call.mapped.applied = mapping.write_headers(&input, &mut call.mapped.lines)?;
    Ok(())
}

/// What becomes of one answer.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    mapping: &'a ResponseMapping,
    /// `None`: the backend's.
    status: Option<u16>,
    /// Of an answer that takes the place of the backend's (IN-17); otherwise the backend's fields pass.
    bodies: Option<&'a Bodies>,
}

/// Chooses by the backend's status; `None`: the answer passes as it is.
pub fn choose(rule: &HttpRule, status: u16) -> Result<Option<Choice<'_>>, Refusal> {
    match &rule.response {
        ResponseShape::AsIs => Ok(None),
        ResponseShape::Mapped(mappings) => {
            let found = mappings.iter().find(|(of, _)| of.is_none_or(|of| of == status));
            Ok(found.map(|(_, mapping)| Choice { mapping, status: None, bodies: None }))
        }
        ResponseShape::Selected(rules) => {
            let rule = rules.choose(status).ok_or(Refusal::NoIntegrationResponse)?;
            Ok(Some(Choice { mapping: &rule.mapping, status: rule.status, bodies: Some(&rule.bodies) }))
        }
    }
}

impl<'a> Choice<'a> {
    /// Whether the backend's body is read before the head can be written.
    pub fn needs_body(&self) -> bool {
        self.mapping.needs_body()
    }

    /// The body that takes the place of the backend's (MP-08).
    pub fn constant(&self, exchange: &Exchange) -> Option<&'a [u8]> {
        let head = &exchange.scratch.head;
        let accept = head.fields.get(Name::Accept).map(|field| field.value.of(&exchange.head_bytes));
        self.bodies.and_then(|bodies| bodies.choose(accept))
    }

    /// Makes the head of the answer. `body` is the backend's, if a mapping reads it; `constant` says that another takes its place.
    pub fn shape(
        &self,
        exchange: &Exchange,
        facts: Facts<'_>,
        (head_bytes, body): (&[u8], &[u8]),
        (kind, proxy, constant): (Kind, bool, bool),
    ) -> Result<Shaped, Refusal> {
        let head = &exchange.scratch.answer;
        let input = AnswerInput { facts, head_bytes, head: Some(head), body };
        let mut lines = vector();
        let applied = self.mapping.write_headers(&input, &mut lines)?;
        let own = self.mapping.status(&input, &mut lines)?;
        let status = own.or(self.status).unwrap_or(head.status);
        let mut fields = vector();
        let mut typed = self.mapping.has(applied, Name::ContentType);
        for field in &*head.fields {
            let (name, value) = (field.name.of(head_bytes), field.value.of(head_bytes));
            if self.mapping.replaces(applied, field.known, name) || (constant && is_of_the_body(field)) {
                continue;
            }
            match headers::to_client(kind, proxy, field) {
                Rule::Pass => write::field(&mut fields, name, value),
                Rule::Remap => {
                    let from = fields.len();
                    headers::write_remapped(name, value, &mut fields);
                    let renamed = &fields[from..from + headers::REMAPPED.len() + name.len()];
                    if self.mapping.replaces(applied, Name::of(renamed), renamed) {
                        fields.truncate(from);
                    }
                }
                Rule::Drop => continue,
            }
            typed |= field.known == Name::ContentType;
        }
        fields.extend_from_slice(&lines);
        recycle(lines);
        // Every answer of a non-proxy integration has a type (§0.2).
        if !proxy && !typed {
            write::field(&mut fields, b"Content-Type", b"application/json");
        }
        Ok(Shaped { status, fields })
    }
}

/// Whether a field speaks of the bytes that the backend sent.
fn is_of_the_body(field: &Field) -> bool {
    field.known == Name::ContentEncoding
}
