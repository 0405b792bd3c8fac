//! Answers that are made here: status, fields and body from templates (IN-10).

use codec::http1::write;
use config::snapshot::MockRule;

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
