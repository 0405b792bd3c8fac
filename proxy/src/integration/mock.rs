//! Answers that are made here: status, fields and body from templates (IN-10).

use codec::head::Name;
use codec::http1::write;
use config::snapshot::{MockRule, SelectedMock};
use policy::refusal::Refusal;
use policy::transform::constant::mock_status;
use policy::transform::parameters::AnswerInput;

use crate::exchange::{Exchange, Reply};
use crate::io::vector;
use crate::state::{Live, Place};
use crate::trip::Trip;

/// Renders the answer. A field value that a client could have broken is clean by the template's own rules (row F30).
pub fn answer(rule: &MockRule, exchange: &Exchange, place: Place, trip: &Trip, live: &Live) -> Reply {
    let facts = super::http::facts(exchange, place, trip, live);
    let mut fields = vector();
    let mut value = vector();
    let mut typed = false;
    for (name, template) in &rule.headers {
        value.clear();
        template.render(&facts, &mut value);
        write::field(&mut fields, name.as_bytes(), &value);
        typed |= name.eq_ignore_ascii_case("content-type");
    }
    crate::io::recycle(value);
    let mut body = vector();
    rule.body.render(&facts, &mut body);
    // Every integration response has a type (§0.2).
    if !typed && !body.is_empty() {
        write::field(&mut fields, b"Content-Type", b"application/json");
    }
    Reply::Whole { status: rule.status, fields, body }
}

/// The status that a request means whose body takes the place of a template (MP-07).
pub fn status_in(body: &[u8]) -> Result<u16, Refusal> {
    std::str::from_utf8(body).ok().and_then(mock_status).ok_or(Refusal::MappingFailed)
}

/// The answer that a status selects: its mapped fields, and its constant body or none (IN-10, IN-16).
pub fn selected(
    rule: &SelectedMock,
    status: u16,
    exchange: &Exchange,
    place: Place,
    (trip, live): (&Trip, &Live),
) -> Result<Reply, Refusal> {
    let chosen = rule.answers.choose(status).ok_or(Refusal::NoIntegrationResponse)?;
    let facts = super::http::facts(exchange, place, trip, live);
    let mut fields = vector();
    let input = AnswerInput { facts, head_bytes: &[], head: None, body: &[] };
    let applied = chosen.mapping.write_headers(&input, &mut fields)?;
    // Every integration response has a type (§0.2).
    if !chosen.mapping.has(applied, Name::ContentType) {
        write::field(&mut fields, b"Content-Type", b"application/json");
    }
    let mut body = vector();
    body.extend_from_slice(chosen.bodies.choose(facts.header(Name::Accept, b"accept")).unwrap_or_default());
    Ok(Reply::Whole { status: chosen.status.unwrap_or(status), fields, body })
}
