//! What a client's answer is made of besides what the backend sent: header fields and status (MP-02, MP-04).

use codec::head::Name;
use codec::http1::is_token;
use router::Kind;
use serde::{Deserialize, Serialize, Serializer};

use super::expression::{Reader, is_rest_name};
use super::fields;
use super::request::{HeaderStep, has, header_step, http_action, is_twice, replaces, write_steps};
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
        for (entry, (target, expression)) in entries.iter().enumerate().take(MAPPINGS_MAX) {
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

    /// Whether this writes a field, whatever else is written; `known` is one that stands for exactly one field.
    pub fn has(&self, applied: Applied, known: Name) -> bool {
        has(&self.headers, applied, known)
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
    let fits = if reader.kind == Kind::Http { is_token(name.as_bytes()) } else { is_rest_name(name) };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use codec::head::{HeadLimits, ResponseHead};
    use codec::http1::parse::parse_response;
    use proptest::prelude::*;

    use super::*;
    use crate::tests::Scene;

    const REST: Kind = Kind::Rest;
    const HTTP: Kind = Kind::Http;

    fn compile(kind: Kind, entries: &[(&str, &str)]) -> Result<ResponseMapping, Vec<MappingFault>> {
        let stage_variables =
            BTreeMap::from([("env".to_owned(), "prod".to_owned()), ("code".to_owned(), "418".to_owned())]);
        ResponseMapping::compile(
            kind,
            entries,
            TemplateNames { path_variables: &[], stage_variables: &stage_variables },
        )
    }

    const BODY: &str = r#"{"type": "Error", "code": 404, "list": [1, 2]}"#;

    /// Calls `with` with an answer of a backend.
    fn answered<T>(kind: Kind, body: &str, with: impl FnOnce(&AnswerInput<'_>) -> T) -> T {
        let scene = Scene::new(kind, "/", "/pets", b"GET /pets HTTP/1.1\r\nHost: h\r\nX-Client: 1\r\n\r\n");
        let bytes = b"HTTP/1.1 500 Oops\r\nX-Pet: rex\r\nx-pet: tom\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n";
        let mut head = ResponseHead::new();
        parse_response(bytes, &mut head, false, &HeadLimits::RESPONSE).unwrap();
        with(&AnswerInput { facts: scene.facts(), head_bytes: bytes, head: Some(&head), body: body.as_bytes() })
    }

    fn lines(kind: Kind, entries: &[(&str, &str)], body: &str) -> Result<String, Refusal> {
        let mapping = compile(kind, entries).unwrap();
        let mut lines = Vec::new();
        answered(kind, body, |input| mapping.write_headers(input, &mut lines))?;
        Ok(String::from_utf8(lines).unwrap().trim_end().replace("\r\n", "|"))
    }

    #[rustfmt::skip]
    const VALUES: &[(Kind, &str, Option<&str>, &str)] = &[
        (REST, "integration.response.header.X-Pet", Some("rex"), "MP-02: case counts"),
        (REST, "integration.response.header.X-PET", None, "MP-02: case counts"),
        (REST, "integration.response.header.X-Hop", None, "C01"),
        (REST, "integration.response.header.X-Client", None, "the answer's alone"),
        (REST, "integration.response.multivalueheader.x-pet", Some("tom"), "MP-02"),
        (REST, "integration.response.body", Some(BODY), "MP-02"),
        (REST, "integration.response.body.type", Some("Error"), "MP-02"),
        (REST, "integration.response.body.list[1]", Some("2"), "MP-02"),
        (REST, "integration.response.body.none", None, "MP-02"),
        (REST, "stageVariables.env", Some("prod"), "MP-02"),
        (REST, "context.stage", Some("prod"), "MP-02"),
        (REST, "'*'", Some("*"), "MP-02"),
        (HTTP, "$response.header.x-PET", Some("rex,tom"), "MP-04"),
        (HTTP, "$response.header.x-hop", None, "C01"),
        (HTTP, "$response.body.code", Some("404"), "MP-04"),
        (HTTP, "$context.apiId", Some("a1b2c3"), "MP-04"),
        (HTTP, "$stageVariables.env", Some("prod"), "MP-04"),
        (HTTP, "${response.body.type}: ${response.header.none}.", Some("Error: ."), "MP-04"),
    ];

    #[test]
    fn values() {
        for &(kind, expression, expected, row) in VALUES {
            let target = if kind == HTTP { "append:header.T" } else { "method.response.header.T" };
            let expected = expected.map_or(String::new(), |value| format!("T: {value}"));
            assert_eq!(lines(kind, &[(target, expression)], BODY).unwrap(), expected, "{row}: {expression}");
        }
    }

    #[test]
    fn bodies_that_are_no_json() {
        let target = "method.response.header.T";
        let failed = Err(Refusal::MappingFailed);
        assert_eq!(lines(REST, &[(target, "integration.response.body.a")], "{broken"), failed, "MP-02");
        assert_eq!(lines(REST, &[(target, "integration.response.body")], "{broken"), failed, "MP-02");
        assert_eq!(lines(REST, &[(target, "integration.response.body")], "<html>").unwrap(), "T: <html>", "MP-02");
        assert_eq!(lines(HTTP, &[("append:header.T", "$response.body.a")], "{broken").unwrap(), "", "MP-04, assumed");
    }

    #[test]
    fn some_names_are_changed() {
        // §4.1, the column of mapped values.
        for name in [
            "Connection",
            "Content-Length",
            "Date",
            "Server",
            "Authorization",
            "Content-MD5",
            "Expect",
            "Host",
            "Max-Forwards",
            "Proxy-Authenticate",
            "Trailer",
            "Upgrade",
            "User-Agent",
            "WWW-Authenticate",
            "x-amzn-RequestId",
        ] {
            let line = lines(REST, &[(&format!("method.response.header.{name}"), "'x'")], BODY).unwrap();
            assert_eq!(line, format!("x-amzn-Remapped-{name}: x"));
        }
        for name in ["Transfer-Encoding", "Keep-Alive", "x-amz-apigw-id", "TE"] {
            assert_eq!(lines(REST, &[(&format!("method.response.header.{name}"), "'x'")], BODY).unwrap(), "", "{name}");
        }
        for name in ["Content-Encoding", "Via", "Access-Control-Allow-Origin", "Set-Cookie", "Content-Type"] {
            let line = lines(REST, &[(&format!("method.response.header.{name}"), "'x'")], BODY).unwrap();
            assert_eq!(line, format!("{name}: x"));
        }
        assert_eq!(
            lines(HTTP, &[("overwrite:header.Date", "x"), ("overwrite:header.Server", "y")], BODY).unwrap(),
            "Server: y"
        );
    }

    #[test]
    fn statuses() {
        // MP-04
        let cases = [
            ("403", Some(403)),
            ("$response.body.code", Some(404)),
            ("$stageVariables.code", Some(418)),
            ("4${stageVariables.none}04", Some(404)),
            ("$response.body.type", None),
            ("$response.header.none", None),
        ];
        for (expression, expected) in cases {
            let mapping = compile(HTTP, &[("overwrite:statuscode", expression)]).unwrap();
            let mut scratch = b"kept".to_vec();
            let status = answered(HTTP, BODY, |input| mapping.status(input, &mut scratch)).unwrap();
            assert_eq!(status, expected, "{expression}");
            assert_eq!(scratch, b"kept");
        }
        for bad in ["200 OK", "20", "100", "600", "0x1f4", "+40"] {
            let fault = MappingFault { entry: 0, in_target: false, offset: 0, what: MappingProblem::Status };
            assert_eq!(compile(HTTP, &[("overwrite:statuscode", bad)]), Err(vec![fault]), "{bad}");
        }
    }

    #[test]
    fn what_gives_way() {
        let entries = [("remove:header.Server", ""), ("append:header.X-Pet", "2"), ("overwrite:header.A", "3")];
        let mapping = compile(HTTP, &entries).unwrap();
        let mut lines = Vec::new();
        let applied = answered(HTTP, BODY, |input| mapping.write_headers(input, &mut lines)).unwrap();
        for (name, expected) in [("server", true), ("x-pet", false), ("a", true), ("b", false)] {
            assert_eq!(mapping.replaces(applied, Name::of(name.as_bytes()), name.as_bytes()), expected, "{name}");
        }
        assert!(!mapping.has(applied, Name::Server), "a removal writes nothing");
        let typed = compile(REST, &[("method.response.header.content-type", "'text/html'")]).unwrap();
        let applied = answered(REST, BODY, |input| typed.write_headers(input, &mut lines)).unwrap();
        assert!(typed.has(applied, Name::ContentType));
    }

    #[test]
    fn faults_have_their_place() {
        use MappingProblem as P;
        let cases = [
            (REST, "integration.response.header.x", "'1'", true, 0, P::Target),
            (REST, "method.response.body", "'1'", true, 16, P::Target),
            (REST, "method.response.header.", "'1'", true, 23, P::Name),
            (REST, "method.response.header.x", "method.request.header.x", false, 0, P::Expression),
            (REST, "method.response.header.x", "integration.response.querystring.x", false, 21, P::Expression),
            (HTTP, "append:querystring.x", "1", true, 7, P::Target),
            (HTTP, "append:statuscode", "403", true, 7, P::Target),
            (HTTP, "append:header.via", "1", true, 14, P::Reserved),
            (HTTP, "append:header.x", "$request.header.x", false, 1, P::Expression),
        ];
        for (kind, target, expression, in_target, offset, what) in cases {
            let expected = MappingFault { entry: 0, in_target, offset, what };
            assert_eq!(compile(kind, &[(target, expression)]), Err(vec![expected]), "{target} = {expression}");
            assert!(!what.hint(kind, true).is_empty());
        }
        let twice = compile(HTTP, &[("overwrite:statuscode", "403"), ("overwrite:statuscode", "404")]).unwrap_err();
        assert_eq!(twice[0].what, P::Duplicate);
    }

    #[test]
    fn a_stored_mapping_is_the_same_or_refused() {
        let mapping =
            compile(HTTP, &[("overwrite:statuscode", "403"), ("append:header.a", "$stageVariables.env")]).unwrap();
        let stored = serde_json::to_string(&mapping).unwrap();
        assert_eq!(serde_json::from_str::<ResponseMapping>(&stored).unwrap(), mapping);
        assert!(serde_json::from_str::<ResponseMapping>(&stored.replace("header.a", "header.via")).is_err());
    }

    proptest! {
        /// Whatever a backend says in its body, a mapped header is one line (F30).
        #[test]
        fn a_value_stays_on_its_line(value in "(.|[\r\n\0]){0,12}") {
            let body = serde_json::json!({ "a": value, "b": [value] }).to_string();
            let entries = [("append:header.T", "$response.body.a"), ("append:header.U", "$response.body.b"), ("append:header.V", "x$response.body")];
            let mapping = compile(HTTP, &entries).unwrap();
            let mut lines = Vec::new();
            answered(HTTP, &body, |input| mapping.write_headers(input, &mut lines)).unwrap();
            let text = String::from_utf8(lines).unwrap();
            let split: Vec<&str> = text.split_terminator("\r\n").collect();
            prop_assert_eq!(split.len(), 3);
            prop_assert!(split.iter().all(|line| codec::http1::write::value_is_clean(line.as_bytes())));
        }
    }
}
