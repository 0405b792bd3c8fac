//! Reading the expressions of mappings: one source in a REST API, text with references in an HTTP API.

use codec::http1::is_token;

use super::value::{Part, Pick, Place, Value};
use super::{FieldName, MappingProblem, fields};
use crate::escape::is_control;
use crate::limits::MAPPING_TEXT_BYTES_MAX;
use crate::transform::json_path::JsonPath;
use crate::transform::template::TemplateNames;
use crate::transform::variable::Variable;
use router::Kind;

/// What expressions may name.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) kind: Kind,
    pub(super) names: TemplateNames<'a>,
    /// Whether an answer is mapped; otherwise a request.
    pub(super) in_answer: bool,
}

/// What is wrong, and at which byte.
type Wrong = (usize, MappingProblem);

impl Reader<'_> {
    /// Compiles an expression for a place.
    pub(super) fn read(&self, text: &str, place: Place) -> Result<Value, Wrong> {
        if text.len() > MAPPING_TEXT_BYTES_MAX {
            return Err((MAPPING_TEXT_BYTES_MAX, MappingProblem::TooLong));
        }
        if let Some(at) = text.bytes().position(is_control) {
            return Err((at, MappingProblem::Control));
        }
        let parts = match self.kind {
            Kind::Http => self.text(text)?,
            Kind::Rest | Kind::WebSocket => vec![self.source(text)?],
        };
        Ok(Value::new(parts, place))
    }

    /// MP-01, MP-02.
    fn source(&self, text: &str) -> Result<Part, Wrong> {
        if let Some(text) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            return Ok(Part::Literal(text.as_bytes().into()));
        }
        let message = if self.in_answer { "integration.response." } else { "method.request." };
        let (root, rest) = text.split_once('.').ok_or((0, MappingProblem::Expression))?;
        let at = text.len() - rest.len();
        match root {
            "stageVariables" if is_rest_name(rest) => Ok(self.stage_variable(rest)),
            "context" => self.context(rest).map_err(|what| (at, what)),
            _ => match text.strip_prefix(message) {
                Some(rest) => self.of_message(rest).map_err(|(offset, what)| (message.len() + offset, what)),
                None => Err((0, MappingProblem::Expression)),
            },
        }
    }

    /// What follows `method.request.` or `integration.response.`
    fn of_message(&self, text: &str) -> Result<Part, Wrong> {
        if let Some(path) = text.strip_prefix("body") {
            return body(path).map_err(|(offset, what)| ("body".len() + offset, what));
        }
        let (location, name) = text.split_once('.').ok_or((0, MappingProblem::Expression))?;
        let at = location.len() + 1;
        if !is_rest_name(name) {
            return Err((at, if name.is_empty() { MappingProblem::Unnamed } else { MappingProblem::Name }));
        }
        match (location, self.in_answer) {
            ("header", _) => Ok(self.header(name, Pick::Last)),
            ("multivalueheader", _) => Ok(self.header(name, Pick::All)),
            ("querystring", false) => Ok(Part::Query(name.as_bytes().into(), Pick::Last)),
            ("multivaluequerystring", false) => Ok(Part::Query(name.as_bytes().into(), Pick::All)),
            ("path", false) => self.path_variable(name).map_err(|what| (at, what)),
            _ => Err((0, MappingProblem::Expression)),
        }
    }

    fn header(&self, name: &str, pick: Pick) -> Part {
        let field = Part::Header(FieldName::new(name), pick);
        if self.in_answer {
            return field;
        }
        match fields::of_client(self.kind, name) {
            fields::Seen::Field => field,
            fields::Seen::Address => Part::Context(Variable::SourceIp),
            fields::Seen::Nothing => Part::Absent,
        }
    }

    fn path_variable(&self, name: &str) -> Result<Part, MappingProblem> {
        let place = self.names.path_variables.iter().position(|variable| **variable == *name);
        place.map(|place| Part::PathVariable(place as u16)).ok_or(MappingProblem::NoSuchPathVariable)
    }

    fn stage_variable(&self, name: &str) -> Part {
        let value = self.names.stage_variables.get(name);
        value.map_or(Part::Absent, |value| Part::Literal(value.bytes().filter(|byte| !is_control(*byte)).collect()))
    }

    fn context(&self, name: &str) -> Result<Part, MappingProblem> {
        if let Some(field) = Variable::of_authorizer(name) {
            return Ok(Part::Authorizer(field.into()));
        }
        match Variable::of(name) {
            Some(variable) => Ok(Part::Context(variable)),
            None if is_absent(self.kind, name) => Ok(Part::Absent),
            None => Err(MappingProblem::UnknownContext),
        }
    }

    /// MP-03, MP-04. A text that is one reference from end to end may have any token for its name; within other text a name ends
    /// where a word does, unless it stands in braces.
    fn text(&self, text: &str) -> Result<Vec<Part>, Wrong> {
        let whole = text.strip_prefix('$').filter(|rest| !rest.contains(['$', '{', '}', ' ', '/', ',']));
        if let Some(part) = whole.filter(|rest| is_ours(rest)).and_then(|rest| self.reference(rest).ok()) {
            return Ok(vec![part]);
        }
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('$') {
            let dollar = at + found;
            literal.extend_from_slice(&text.as_bytes()[at..dollar]);
            let after = &text[dollar + 1..];
            let inner = after.strip_prefix('{').unwrap_or(after);
            if !is_ours(inner) {
                literal.push(b'$');
                at = dollar + 1;
                continue;
            }
            let braced = inner.len() < after.len();
            let length = if braced { inner.find('}').ok_or((dollar, MappingProblem::Unclosed))? } else { run(inner) };
            let start = dollar + 1 + usize::from(braced);
            let part = self.reference(inner[..length].trim_end()).map_err(|(offset, what)| (start + offset, what))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(part);
            at = start + length + usize::from(braced);
        }
        literal.extend_from_slice(&text.as_bytes()[at..]);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(join_literals(parts))
    }

    /// What stands behind the dollar sign.
    fn reference(&self, text: &str) -> Result<Part, Wrong> {
        let (root, rest) = text.split_once('.').ok_or((0, MappingProblem::Expression))?;
        let at = root.len() + 1;
        match (root, self.in_answer) {
            ("stageVariables", _) if !rest.is_empty() => Ok(self.stage_variable(rest)),
            ("context", _) => self.context(rest).map_err(|what| (at, what)),
            ("request", false) | ("response", true) => {
                self.of_http_message(rest).map_err(|(offset, what)| (at + offset, what))
            }
            _ => Err((0, MappingProblem::Expression)),
        }
    }

    /// What follows `request.` or `response.`
    fn of_http_message(&self, text: &str) -> Result<Part, Wrong> {
        if let Some(path) = text.strip_prefix("body") {
            return body(path).map_err(|(offset, what)| ("body".len() + offset, what));
        }
        if text == "path" && !self.in_answer {
            return Ok(Part::ApiPath);
        }
        let (location, name) = text.split_once('.').ok_or((0, MappingProblem::Expression))?;
        let at = location.len() + 1;
        if name.is_empty() {
            return Err((at, MappingProblem::Unnamed));
        }
        match (location, self.in_answer) {
            ("header", _) if is_token(name.as_bytes()) => Ok(self.header(name, Pick::All)),
            ("header", _) => Err((at, MappingProblem::Name)),
            ("querystring", false) => Ok(Part::Query(name.as_bytes().into(), Pick::All)),
            ("path", false) => self.path_variable(name).map_err(|what| (at, what)),
            _ => Err((0, MappingProblem::Expression)),
        }
    }
}

/// What follows `body`: nothing, or a path.
fn body(path: &str) -> Result<Part, Wrong> {
    if path.is_empty() {
        return Ok(Part::Body);
    }
    JsonPath::parse(path).map(Part::Json).map_err(|fault| (fault.offset, MappingProblem::JsonPath(fault.what)))
}

/// Stage variables have become text: it is one piece with what stands around it.
fn join_literals(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Literal(before)), Part::Literal(text)) => *before = [&**before, &*text].concat().into(),
            (_, part) => joined.push(part),
        }
    }
    joined
}

/// Whether a text begins with a root that we know, a dot and a name.
fn is_ours(text: &str) -> bool {
    let named = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    ["request.", "response.", "context.", "stageVariables."]
        .iter()
        .any(|root| text.strip_prefix(root).is_some_and(named))
}

/// How far a reference without braces extends: the dots and dashes at its end belong to the text behind it, and only a JSONPath
/// has brackets, with anything within.
fn run(text: &str) -> usize {
    let of_body = text.starts_with("request.body") || text.starts_with("response.body");
    let mut inside = false;
    let mut goes_on = |letter: char| {
        inside = (inside && letter != ']') || (of_body && letter == '[');
        inside || letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.') || (of_body && letter == ']')
    };
    let length: usize = text.chars().map_while(|letter| goes_on(letter).then(|| letter.len_utf8())).sum();
    text[..length].trim_end_matches(['.', '-']).len()
}

/// `[a-zA-Z0-9._$-]+` (MP-01)
pub(super) fn is_rest_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'-'))
}

/// `$context` variables of AWS that this gateway knows no value for, or none in this version: a mapping from them is skipped, as
/// it is wherever AWS has no value. In an HTTP API those of the access log can be mapped too (§12.1).
pub(in crate::transform) fn is_absent(kind: Kind, name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "accountId",
        "authorizer",
        "awsEndpointRequestId",
        "connectedAt",
        "connectionId",
        "deploymentId",
        "error.message",
        "error.messageString",
        "error.responseType",
        "error.validationErrorString",
        "eventType",
        "isCanaryRequest",
        "resourceId",
        "wafResponseCode",
        "webaclArn",
    ];
    const OF_HTTP: [&str; 9] = [
        "awsEndpointRequestId2",
        "customDomain.basePathMatched",
        "dataProcessed",
        "integrationErrorMessage",
        "integrationLatency",
        "integrationStatus",
        "responseLatency",
        "responseLength",
        "routeKey",
    ];
    let below = |roots: &[&str]| roots.iter().any(|root| name.strip_prefix(root).is_some_and(|rest| !rest.is_empty()));
    NAMES.contains(&name)
        || below(&["authorizer.", "identity.", "requestOverride.", "responseOverride."])
        || (kind == Kind::Http && (OF_HTTP.contains(&name) || name == "status" || below(&["integration."])))
        || (kind == Kind::WebSocket && matches!(name, "messageDirection" | "messageId" | "routeKey"))
}
