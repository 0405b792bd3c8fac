//! An answer that the gateway makes itself: status, header fields and body, their references compiled (IN-10).

use codec::head::Name;
use codec::http1::is_token;
use policy::transform::template::{Template, TemplateFault, TemplateNames, TemplateProblem};
use policy::transform::variable::Variable;

use crate::definition::{MockAnswer, Word};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::snapshot::MockRule;
use crate::source::node::{Style, Text};

/// Compiles a mock. A body without a `Content-Type` gets `application/json`, as in API Gateway.
pub fn compile(spec: &MockAnswer, names: TemplateNames<'_>, faults: &mut Diagnostics) -> Option<MockRule> {
    let MockAnswer { status, headers, body } = spec;
    if headers.len() > limits::MOCK_HEADERS_MAX {
        faults.error(
            headers[limits::MOCK_HEADERS_MAX].0.place(),
            format!("more than {} header fields", limits::MOCK_HEADERS_MAX),
        );
        return None;
    }
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let is_json = content_type.is_none_or(|(_, value)| is_json(value));
    let mut compiled: Vec<(Box<str>, Template)> = Vec::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        check_name(&name.0, faults);
        let value = Template::compile_header(value, &names).map_err(|fault| report(&value.0, fault, names, faults));
        compiled.push((name.0.text.clone(), value.ok()?));
    }
    let body = match body {
        Some(body) => {
            check_status(*status, body, faults);
            if content_type.is_none() && !body.is_empty() {
                let written = Text { text: "application/json".into(), place: body.place(), style: Style::Block };
                compiled.push(("Content-Type".into(), template(&written, names, false, faults)?));
            }
            template(&body.0, names, is_json, faults)?
        }
        None => {
            template(&Text { text: "".into(), place: Place::default(), style: Style::Block }, names, false, faults)?
        }
    };
    Some(MockRule { status: *status, headers: compiled.into(), body })
}

/// `application/json`, `application/problem+json; charset=utf-8`.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

/// A field that frames the answer is the gateway's to write.
fn check_name(name: &Text, faults: &mut Diagnostics) {
    if !is_token(name.text.as_bytes()) {
        faults.error_hint(
            name.place,
            format!("`{}` cannot be the name of a header field", name.text),
            "names have letters, digits and dashes",
        );
        return;
    }
    let framing = matches!(
        Name::of(name.text.as_bytes()),
        Name::Connection
            | Name::ContentLength
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Te
            | Name::Trailer
            | Name::TransferEncoding
            | Name::Upgrade
    );
    if framing {
        faults.error_hint(name.place, format!("`{}` is written by the gateway alone", name.text), "remove it");
    }
}

/// 204 and 304 have no body.
fn check_status(status: u16, body: &Word, faults: &mut Diagnostics) {
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        faults.error_hint(
            body.place(),
            format!("an answer with status {status} has no body"),
            "remove the body, or change the status",
        );
    }
}

fn template(text: &Text, names: TemplateNames<'_>, json: bool, faults: &mut Diagnostics) -> Option<Template> {
    Template::compile(&text.text, &names, json).map_err(|fault| report(text, fault, names, faults)).ok()
}

fn report(text: &Text, fault: TemplateFault, names: TemplateNames<'_>, faults: &mut Diagnostics) {
    let hint = match fault.what {
        TemplateProblem::UnknownContext => {
            let known: Vec<&str> = Variable::NAMES.iter().map(|(name, _)| *name).collect();
            format!("$context has {}", known.join(", "))
        }
        TemplateProblem::NoSuchPathVariable if names.path_variables.is_empty() => {
            "the route's path has no variables".to_owned()
        }
        TemplateProblem::NoSuchPathVariable => format!("the route's path has {}", names.path_variables.join(", ")),
        _ => {
            "write $request.path.name, $request.querystring.name, $request.header.name or $context.requestId".to_owned()
        }
    };
    faults.error_hint(text.place_at(fault.offset), fault.what.message(), hint);
}
