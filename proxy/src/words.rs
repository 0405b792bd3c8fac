//! The words of a refusal: API Gateway's own, or what the API says in their place (aws-features §7), or a problem document.

use codec::head::Name;
use codec::http1::write;
use config::snapshot::Program;
use policy::facts::Facts;
use policy::gateway_response::{GatewayResponse, Said};
use policy::gateway_type::GatewayType;
use policy::identity::Detail;
use policy::problem;
use policy::refusal::{RETRY_AFTER_SECONDS, Refusal, Reply};
use router::{Captures, Kind, Verb};

use crate::io::{recycle, vector};

/// An answer that says no.
pub struct Words {
    /// 200 to 599.
    pub status: u16,
    /// Complete lines, CRLF included.
    pub fields: Vec<u8>,
    /// May be empty.
    pub body: Vec<u8>,
}

/// What is known of the API that refuses.
pub struct Place<'a> {
    /// What serves there.
    pub program: &'a Program,
    /// The request.
    pub facts: Facts<'a>,
}

/// The fields of a refusal that say what it is, but for its type.
fn write_own_fields(reply: &Reply, out: &mut Vec<u8>) {
    if let Some(error_type) = reply.error_type {
        write::field(out, b"x-amzn-ErrorType", error_type.as_bytes());
    }
    if reply.retry_after {
        write::field(out, b"Retry-After", RETRY_AFTER_SECONDS.as_bytes());
    }
    if reply.status == 426 {
        write::field(out, b"Connection", b"Upgrade");
        write::field(out, b"Upgrade", b"websocket");
        write::field(out, b"Sec-WebSocket-Version", codec::websocket::VERSION);
    }
}

/// The fields of a refusal in front of any API.
pub fn refusal_fields(reply: &Reply, out: &mut Vec<u8>) {
    write_own_fields(reply, out);
    if reply.status == 405 {
        write::field(out, b"Allow", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    }
    write::field(out, b"Content-Type", b"application/json");
}

/// What is said; `place` is `None` where no API is known.
pub fn of(refusal: Refusal, kind: Option<Kind>, detail: &Detail, place: Option<&Place<'_>>) -> Words {
    let reply = refusal.reply(kind);
    match place {
        Some(place) if place.program.answers.strict_errors => strict(refusal, reply, detail, place),
        Some(place) => {
            let changed =
                refusal.gateway_type().and_then(|of| Some((of, place.program.answers.gateway_responses.choose(of)?)));
            match changed {
                Some((of, response)) => {
                    let own = Own { status: reply.status, allow: None, reply: &reply, problem: None };
                    changed_by(response, &own, (of, detail), place)
                }
                None => plain(&reply, detail),
            }
        }
        None => plain(&reply, detail),
    }
}

fn plain(reply: &Reply, detail: &Detail) -> Words {
    let (mut fields, mut body) = (vector(), vector());
    refusal_fields(reply, &mut fields);
    fields.extend_from_slice(&detail.fields);
    reply.write_body(&detail.message, &mut body);
    Words { status: reply.status, fields, body }
}

/// What is said where nothing is changed.
struct Own<'a> {
    status: u16,
    /// The verbs that the path has.
    allow: Option<&'a [u8]>,
    reply: &'a Reply,
    /// The detail of a problem document; `None`: the reply's own body.
    problem: Option<&'a [u8]>,
}

impl Own<'_> {
    fn write_fields(&self, media: &[u8], detail: &Detail, out: &mut Vec<u8>) {
        write_own_fields(self.reply, out);
        if let Some(allow) = self.allow {
            write::field(out, b"Allow", allow);
        }
        write::field(out, b"Content-Type", media);
        out.extend_from_slice(&detail.fields);
    }

    fn media(&self) -> &'static str {
        if self.problem.is_some() { problem::MEDIA_TYPE } else { "application/json" }
    }

    fn write_body(&self, status: u16, (detail, facts): (&Detail, &Facts<'_>), out: &mut Vec<u8>) {
        match self.problem {
            Some(detail) => problem::write(status, Some(detail), facts.request_id, out),
            None => self.reply.write_body(&detail.message, out),
        }
    }
}

/// GR-01 to GR-04.
fn changed_by(
    response: &GatewayResponse,
    own: &Own<'_>,
    (kind, detail): (GatewayType, &Detail),
    place: &Place<'_>,
) -> Words {
    let facts = &place.facts;
    let message = if detail.message.is_empty() { own.reply.message() } else { Some(&*detail.message) };
    let said = Said { message, kind, validation: None };
    let status = response.status.unwrap_or(own.status);
    let accept = facts.head.fields.iter().filter(|field| field.known == Name::Accept);
    let chosen = response.body(accept.map(|field| field.value.of(facts.head_bytes)));
    let (mut lines, mut fields, mut body) = (vector(), vector(), vector());
    own.write_fields(chosen.map_or(own.media(), |chosen| &*chosen.media).as_bytes(), detail, &mut lines);
    copy_lines(&lines, |known, name| response.replaces(known, name), &mut fields);
    lines.clear();
    response.write_fields(facts, &said, &mut lines, &mut fields);
    recycle(lines);
    match chosen {
        Some(chosen) => chosen.write(facts, &said, &mut body),
        None => own.write_body(status, (detail, facts), &mut body),
    }
    Words { status, fields, body }
}

/// `strict_errors`: problem documents, and what a path lacks is 404 or 405 (§20).
fn strict(refusal: Refusal, reply: Reply, detail: &Detail, place: &Place<'_>) -> Words {
    let mut allow = vector();
    let (reply, kind) = if refusal == Refusal::NoSuchMethod {
        write_verbs(place, &mut allow);
        let (status, error_type, body, kind): (_, _, &[u8], _) = if allow.is_empty() {
            (404, "NotFoundException", b"{\"message\":\"Nothing has this path\"}", GatewayType::ResourceNotFound)
        } else {
            (
                405,
                "MethodNotAllowedException",
                b"{\"message\":\"This path has no such method\"}",
                GatewayType::Default4xx,
            )
        };
        (Reply { status, error_type: reply.error_type.map(|_| error_type), body, ..reply }, Some(kind))
    } else {
        (reply, refusal.gateway_type())
    };
    let problem = if detail.message.is_empty() { reply.message().unwrap_or_default() } else { &*detail.message };
    let verbs = (!allow.is_empty()).then_some(&*allow);
    let own = Own { status: reply.status, allow: verbs, reply: &reply, problem: Some(problem) };
    let changed = kind.and_then(|kind| Some((kind, place.program.answers.gateway_responses.choose(kind)?)));
    let words = if let Some((kind, response)) = changed {
        changed_by(response, &own, (kind, detail), place)
    } else {
        let (mut fields, mut body) = (vector(), vector());
        own.write_fields(own.media().as_bytes(), detail, &mut fields);
        own.write_body(own.status, (detail, &place.facts), &mut body);
        Words { status: own.status, fields, body }
    };
    recycle(allow);
    words
}

/// The verbs that a path has.
fn write_verbs(place: &Place<'_>, out: &mut Vec<u8>) {
    let mut captures = Captures::default();
    for verb in Verb::ALL {
        if place.program.routes.find(place.facts.path, place.facts.rest, verb, &mut captures).is_some() {
            out.extend_from_slice(if out.is_empty() { b"" } else { b", " });
            out.extend_from_slice(verb.as_str().as_bytes());
        }
    }
}

/// Copies field lines but for those that give way.
pub fn copy_lines(lines: &[u8], gives_way: impl Fn(Name, &[u8]) -> bool, out: &mut Vec<u8>) {
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let name = &line[..line.iter().position(|byte| *byte == b':').unwrap_or(0)];
        if !gives_way(Name::of(name), name) {
            out.extend_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_give_way_by_name() {
        let mut out = Vec::new();
        let lines = b"A: 1\r\nVary: x: y\r\nb:\r\nvary: z\r\n";
        copy_lines(lines, |known, name| known == Name::Vary || name == b"b", &mut out);
        assert_eq!(out, b"A: 1\r\n");
        out.clear();
        copy_lines(lines, |_, _| false, &mut out);
        assert_eq!(out, lines);
        copy_lines(b"", |_, _| true, &mut out);
        assert_eq!(out, lines);
    }
}
