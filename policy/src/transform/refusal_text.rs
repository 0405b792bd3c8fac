//! Texts of gateway responses: no VTL, only references that are replaced (aws-features §7: GR-02, GR-03).
//!
//! | in a template | as a parameter's value | stands for |
//! |---|---|---|
//! | `$context.error.messageString` | `context.error.messageString` | what is said, as a JSON string |
//! | `$context.error.message`, `.responseType`, `.validationErrorString` | likewise | what is said, the type's name, what a validator found |
//! | `$context.NAME` | `context.NAME` | the other variables of §12.1 |
//! | `$stageVariables.NAME` | `stageVariables.NAME` | a stage variable, put in when the configuration is compiled |
//! | `$method.request.{header,querystring,path}.NAME` | the same without `$` | a part of the request |
//! | other text | `'text'` | itself |
//!
//! `${…}` says the same as `$…`. In a template of JSON each value is escaped as the place where it stands needs it, in one of HTML or
//! XML `<`, `>`, `&` and quotes are escaped, and a header's value is one line: nothing that a client sends can change what an operator
//! wrote. What authenticates a client cannot be named (design §9).

use std::collections::BTreeMap;

use codec::head::Name;
use codec::http1::is_token;
use router::Kind;

use crate::escape;
use crate::facts::Facts;
use crate::gateway_type::GatewayType;
use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_REFERENCES_MAX};
use crate::transform::parameters::is_absent;
use crate::transform::template::Quotes;
use crate::transform::variable::Variable;

/// What a refusal says.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// `$context.error.message`; `None`: nothing is said, which is `null` in JSON.
    pub message: Option<&'a [u8]>,
    /// `$context.error.responseType`
    pub kind: GatewayType,
    /// `$context.error.validationErrorString`; `None`: no validator has refused it.
    pub validation: Option<&'a [u8]>,
}

/// What is wrong with a text, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextFault {
    /// Byte in the text.
    pub offset: usize,
    /// What is wrong there.
    pub what: TextProblem,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextProblem {
    /// Longer than [`TEMPLATE_BYTES_MAX`].
    TooLong,
    /// More references than [`TEMPLATE_REFERENCES_MAX`].
    TooManyReferences,
    /// `${…` without its brace.
    Unclosed,
    /// A reference without a name, or with one that cannot be.
    Name,
    /// There is no such `$context` variable.
    UnknownContext,
    /// `$method.request.X`, where X is neither header, querystring nor path.
    UnknownPart,
    /// What authenticates a client is never told (design §9).
    Secret,
    /// A parameter's value that is none of the table's.
    Expression,
    /// A line break or another control character in a header's value.
    Control,
}

impl TextProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooLong => "this text is too long",
            Self::TooManyReferences => "this text refers to the request too often",
            Self::Unclosed => "this reference has no closing brace",
            Self::Name => "this reference lacks a name",
            Self::UnknownContext => "there is no such $context variable",
            Self::UnknownPart => "a request has no such part: header, querystring and path can be read",
            Self::Secret => "what authenticates a client never stands in an answer",
            Self::Expression => "this cannot be the value of a gateway response's header",
            Self::Control => "a header's value may not hold a line break or another control character",
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::TooLong | Self::TooManyReferences => "shorten it",
            Self::Unclosed => "write ${context.requestId}, or $context.requestId",
            Self::Name | Self::UnknownPart => "write method.request.header.name, .querystring.name or .path.name",
            Self::UnknownContext => {
                "such as context.error.message, context.error.messageString, context.error.responseType, context.requestId"
            }
            Self::Secret => "leave the reference out: whoever reads the answer or its log would have it",
            Self::Expression | Self::Control => {
                "write 'text' in quotes, context.name, stageVariables.name or method.request.header.name"
            }
        }
    }
}

/// How values are made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Escaped within a string, a value of their own outside of one.
    Json,
    /// Escaped as HTML and XML need it.
    Markup,
    /// As they are.
    Plain,
    /// On one line.
    Line,
}

impl Shape {
    /// What bodies of a media type need.
    pub fn of_media(media: &str) -> Self {
        let subtype = media.split(';').next().unwrap_or(media).trim().rsplit('/').next().unwrap_or_default();
        let subtype = subtype.to_ascii_lowercase();
        match subtype.rsplit('+').next().unwrap_or_default() {
            "json" => Self::Json,
            "html" | "xml" | "xhtml" | "svg" => Self::Markup,
            _ => Self::Plain,
        }
    }
}

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalText {
    parts: Box<[Part]>,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    /// And whether it stands outside of any JSON string.
    Value(Source, bool),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Header(Name, Box<str>),
    Query(Box<str>),
    Path(Box<str>),
    Context(Variable),
    /// What the authorizer has said of the caller, by name.
    Authorizer(Box<str>),
    Message,
    MessageString,
    ResponseType,
    Validation,
    StageVariable(Box<str>),
    /// What is known, but never there.
    Absent,
}

impl RefusalText {
    /// Compiles a body.
    pub fn template(text: &str, variables: &BTreeMap<String, String>, shape: Shape) -> Result<Self, TextFault> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TextFault { offset: TEMPLATE_BYTES_MAX, what: TextProblem::TooLong });
        }
        let (mut parts, mut literal) = (Vec::new(), Vec::new());
        let (mut quotes, mut references, mut at) = (Quotes::default(), 0, 0);
        while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
            let before = &text.as_bytes()[at..dollar];
            quotes.read(before);
            literal.extend_from_slice(before);
            let after = &text[dollar + 1..];
            let inner = after.strip_prefix('{').unwrap_or(after);
            if !is_ours(inner) {
                literal.push(b'$');
                at = dollar + 1;
                continue;
            }
            references += 1;
            if references > TEMPLATE_REFERENCES_MAX {
                return Err(TextFault { offset: dollar, what: TextProblem::TooManyReferences });
            }
            let braced = inner.len() < after.len();
            let start = dollar + 1 + usize::from(braced);
            let fault = |what| TextFault { offset: dollar, what };
            let name = if braced {
                inner.split_once('}').ok_or(fault(TextProblem::Unclosed))?.0
            } else {
                &inner[..run(inner)]
            };
            let (source, used) = reference(name, !braced).map_err(fault)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Value(source.with(variables), !quotes.is_inside()));
            at = start + used + usize::from(braced);
        }
        literal.extend_from_slice(&text.as_bytes()[at..]);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(Self { parts: parts.into(), shape })
    }

    /// Compiles a header's value.
    pub fn expression(text: &str, variables: &BTreeMap<String, String>) -> Result<Self, TextFault> {
        let text = text.trim();
        if let Some(offset) = text.bytes().position(escape::is_control) {
            return Err(TextFault { offset, what: TextProblem::Control });
        }
        let part = match text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            Some(text) => Part::Literal(text.as_bytes().into()),
            None if is_ours(text) => {
                let (source, _) = reference(text, false).map_err(|what| TextFault { offset: 0, what })?;
                Part::Value(source.with(variables), true)
            }
            None => return Err(TextFault { offset: 0, what: TextProblem::Expression }),
        };
        Ok(Self { parts: [part].into(), shape: Shape::Line })
    }

    /// Writes the text; false, and nothing written, if it is one reference to what is not there.
    pub fn write(&self, facts: &Facts<'_>, said: &Said<'_>, out: &mut Vec<u8>) -> bool {
        for part in &self.parts {
            let from = out.len();
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Value(source, bare) => {
                    let present = source.write(facts, said, out);
                    if !present && self.parts.len() == 1 && self.shape == Shape::Line {
                        return false;
                    }
                    self.fit((source, *bare), present, out, from);
                }
            }
        }
        true
    }

    /// Makes the value `out[from..]` fit.
    fn fit(&self, (source, bare): (&Source, bool), present: bool, out: &mut Vec<u8>, from: usize) {
        // A string brings its own quotes, unless it stands between some already.
        let quoted = *source == Source::MessageString && (self.shape != Shape::Json || bare);
        match (quoted, present) {
            (true, true) => escape::json_quoted(out, from),
            (true, false) => out.extend_from_slice(b"null"),
            _ => {}
        }
        match self.shape {
            Shape::Json if quoted => {}
            Shape::Json if bare => escape::json_value(out, from, present),
            Shape::Json => escape::json_string(out, from),
            Shape::Markup => escape::markup(out, from),
            Shape::Plain => {}
            Shape::Line => escape::one_line(out, from),
        }
    }
}

impl Source {
    fn with(self, variables: &BTreeMap<String, String>) -> Self {
        match self {
            Self::StageVariable(name) => {
                variables.get(&*name).map_or(Self::Absent, |value| Self::StageVariable(value.as_str().into()))
            }
            other => other,
        }
    }

    /// Writes the raw value; false if there is none.
    fn write(&self, facts: &Facts<'_>, said: &Said<'_>, out: &mut Vec<u8>) -> bool {
        let value = match self {
            Self::Header(known, name) => facts.header(*known, name.as_bytes()),
            Self::Query(name) => {
                let value = facts.query(name.as_bytes());
                codec::target::decode_component(value.unwrap_or_default(), true, out);
                return value.is_some();
            }
            Self::Path(name) => path_variable(facts, name),
            Self::Context(variable) => return variable.write(facts, out),
            Self::Authorizer(name) => {
                facts.identity.and_then(|identity| identity.field(name.as_bytes())).map(str::as_bytes)
            }
            Self::Message | Self::MessageString => said.message,
            Self::ResponseType => Some(said.kind.name().as_bytes()),
            Self::Validation => said.validation,
            Self::StageVariable(value) => Some(value.as_bytes()),
            Self::Absent => None,
        };
        out.extend_from_slice(value.unwrap_or_default());
        value.is_some()
    }
}

/// A path variable by its name: a gateway response belongs to no method, so its place is looked for.
fn path_variable<'a>(facts: &Facts<'a>, name: &str) -> Option<&'a [u8]> {
    let variables = facts.resource_path.split(|byte| *byte == b'/').filter_map(|segment| {
        let inner = segment.strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(inner.strip_suffix(b"+").unwrap_or(inner))
    });
    let place = variables.into_iter().position(|variable| variable == name.as_bytes())?;
    Some(facts.path_variable(place))
}

/// Whether a text begins with a root that we know.
fn is_ours(text: &str) -> bool {
    let named = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    ["context.", "stageVariables.", "method.request."].iter().any(|root| text.strip_prefix(root).is_some_and(named))
}

/// How far a reference without braces can extend.
fn run(text: &str) -> usize {
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')));
    text[..end.unwrap_or(text.len())].trim_end_matches(['.', '-']).len()
}

/// What a reference means, and how much of it; all of it, unless it stands `in_text` and may end earlier.
fn reference(text: &str, in_text: bool) -> Result<(Source, usize), TextProblem> {
    let word = |rest: &str, of_header: bool| {
        let inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || (of_header && letter == '-');
        let end = rest.find(|letter| !inside(letter)).filter(|_| in_text).unwrap_or(rest.len());
        rest[..end].trim_end_matches('-').len()
    };
    if let Some(rest) = text.strip_prefix("stageVariables.") {
        let length = word(rest, false);
        return Ok((Source::StageVariable(rest[..length].into()), text.len() - rest.len() + length));
    }
    if let Some(rest) = text.strip_prefix("context.") {
        let at = text.len() - rest.len();
        let mut name = if in_text { rest.split('-').next().unwrap_or_default() } else { rest };
        loop {
            if let Some(source) = context(name) {
                return Ok((source, at + name.len()));
            }
            let shorter = name.rfind('.').filter(|_| in_text).ok_or(TextProblem::UnknownContext)?;
            name = &name[..shorter];
        }
    }
    let rest = text.strip_prefix("method.request.").ok_or(TextProblem::Expression)?;
    let (part, name) = rest.split_once('.').ok_or(TextProblem::UnknownPart)?;
    let length = word(name, part != "path");
    let (at, name) = (text.len() - name.len(), &name[..length]);
    if name.is_empty() {
        return Err(TextProblem::Name);
    }
    let source = match part {
        "header" if !is_token(name.as_bytes()) => return Err(TextProblem::Name),
        "header" if is_secret_header(name) => return Err(TextProblem::Secret),
        "header" => Source::Header(Name::of(name.as_bytes()), name.into()),
        "querystring" if is_secret_parameter(name) => return Err(TextProblem::Secret),
        "querystring" => Source::Query(name.into()),
        "path" => Source::Path(name.into()),
        _ => return Err(TextProblem::UnknownPart),
    };
    Ok((source, at + length))
}

fn context(name: &str) -> Option<Source> {
    Some(match name {
        "error.message" => Source::Message,
        "error.messageString" => Source::MessageString,
        "error.responseType" => Source::ResponseType,
        "error.validationErrorString" => Source::Validation,
        _ => match (Variable::of(name), Variable::of_authorizer(name)) {
            (Some(variable), _) => Source::Context(variable),
            (None, Some(field)) => Source::Authorizer(field.into()),
            (None, None) if is_absent(Kind::Rest, name) => Source::Absent,
            (None, None) => return None,
        },
    })
}

/// Headers that say who a client is.
fn is_secret_header(name: &str) -> bool {
    matches!(
        Name::of(name.as_bytes()),
        Name::Authorization | Name::Cookie | Name::ProxyAuthorization | Name::XApiKey | Name::XAmzSecurityToken
    )
}

/// Parameters of a presigned request (A-12), and what others call such.
fn is_secret_parameter(name: &str) -> bool {
    ["X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "access_token"]
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;
    use codec::http1::write::value_is_clean;
    use proptest::prelude::*;

    fn variables() -> BTreeMap<String, String> {
        [("env", "prod"), ("odd", "a\"<b\r\n")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn scene() -> Scene {
        Scene::get("/pets/{id}/{rest+}", "/pets/7/a/b?q=a%22%3Cb%0D%0A", "X-Pet: rex \"<the>\" dog\r\n")
    }

    const SAID: Said<'_> = Said { message: Some(b"say \"no\" <b>"), kind: GatewayType::Throttled, validation: None };

    fn rendered(text: &RefusalText, said: &Said<'_>) -> Option<String> {
        let mut out = b"x".to_vec();
        let written = text.write(&scene().facts(), said, &mut out);
        written.then(|| String::from_utf8(out).unwrap()[1..].to_owned())
    }

    fn template(text: &str, media: &str) -> String {
        let text = RefusalText::template(text, &variables(), Shape::of_media(media)).unwrap();
        rendered(&text, &SAID).unwrap()
    }

    #[test]
    fn gr_02_json_stays_json() {
        let cases = [
            (r#"{"message":$context.error.messageString}"#, r#"{"message":"say \"no\" <b>"}"#),
            (r#"{"message":"$context.error.messageString"}"#, r#"{"message":"say \"no\" <b>"}"#),
            (r#"{"message":"$context.error.message."}"#, r#"{"message":"say \"no\" <b>."}"#),
            (r#"{"m":$context.error.message}"#, r#"{"m":"say \"no\" <b>"}"#),
            (r#"{"t":"$context.error.responseType"}"#, r#"{"t":"THROTTLED"}"#),
            (r#"{"v":$context.error.validationErrorString}"#, r#"{"v":null}"#),
            (r#"{"v":"$context.error.validationErrorString"}"#, r#"{"v":""}"#),
            (r#"{"s":"$stageVariables.odd","t":$stageVariables.none}"#, r#"{"s":"a\"<b\r\n","t":null}"#),
            (r#"{"h":"$method.request.header.X-Pet!"}"#, r#"{"h":"rex \"<the>\" dog!"}"#),
            (r#"{"q":$method.request.querystring.q}"#, r#"{"q":"a\"<b\r\n"}"#),
            (r#"{"p":$method.request.path.id,"r":"${method.request.path.rest}"}"#, r#"{"p":7,"r":"a/b"}"#),
            (r#"{"n":$method.request.path.none}"#, r#"{"n":null}"#),
            (
                r#"{"i":"$context.requestId-x","a":"$context.authorizer.claims.x"}"#,
                r#"{"i":"01234567-89ab-4def-8123-456789abcdef-x","a":""}"#,
            ),
            ("#set($x = 1) $input.json('$') costs $5 $", "#set($x = 1) $input.json('$') costs $5 $"),
        ];
        for (text, expected) in cases {
            assert_eq!(template(text, "application/json"), expected, "{text}");
        }
        assert_eq!(template("$context.error.messageString", "application/problem+json"), r#""say \"no\" <b>""#);
        let text = RefusalText::template("{\"message\":$context.error.messageString}", &variables(), Shape::Json);
        let nothing = Said { message: None, ..SAID };
        assert_eq!(rendered(&text.unwrap(), &nothing).unwrap(), "{\"message\":null}");
    }

    #[test]
    fn other_types_are_escaped_as_they_need_it() {
        let text = "<p>$context.error.message $method.request.header.X-Pet</p>";
        let escaped = "<p>say &quot;no&quot; &lt;b&gt; rex &quot;&lt;the&gt;&quot; dog</p>";
        for media in ["text/html", "application/xml; charset=utf-8", "image/svg+xml", "TEXT/HTML"] {
            assert_eq!(template(text, media), escaped, "{media}");
        }
        assert_eq!(template("$context.error.messageString", "text/plain"), r#""say \"no\" <b>""#);
        assert_eq!(template("$context.error.message", "text/csv"), "say \"no\" <b>");
    }

    #[test]
    fn gr_03_values_of_headers() {
        let cases = [
            ("'a b'", Some("a b")),
            ("''", Some("")),
            ("context.error.responseType", Some("THROTTLED")),
            ("context.error.message", Some("say \"no\" <b>")),
            ("context.error.validationErrorString", None),
            ("context.requestId", Some("01234567-89ab-4def-8123-456789abcdef")),
            ("stageVariables.env", Some("prod")),
            ("stageVariables.odd", Some("a\"<b")),
            ("stageVariables.none", None),
            ("method.request.header.x-pet", Some("rex \"<the>\" dog")),
            ("method.request.querystring.q", Some("a\"<b")),
            ("method.request.path.rest", Some("a/b")),
            ("method.request.path.none", None),
        ];
        for (text, expected) in cases {
            let compiled = RefusalText::expression(text, &variables()).unwrap();
            assert_eq!(rendered(&compiled, &SAID).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn faults_have_places() {
        let cases = [
            ("a $context.nothing", 2, TextProblem::UnknownContext),
            ("${context.requestId", 0, TextProblem::Unclosed),
            ("$method.request.body", 0, TextProblem::UnknownPart),
            ("$method.request.body.x", 0, TextProblem::UnknownPart),
            ("ab$method.request.header.Authorization", 2, TextProblem::Secret),
            ("$method.request.header.COOKIE", 0, TextProblem::Secret),
            ("${method.request.querystring.x-amz-signature}", 0, TextProblem::Secret),
            ("${method.request.header.a b}", 0, TextProblem::Name),
        ];
        for (text, offset, what) in cases {
            let fault = RefusalText::template(text, &variables(), Shape::Plain).unwrap_err();
            assert_eq!(fault, TextFault { offset, what }, "{text}");
        }
        for (text, what) in [
            ("text", TextProblem::Expression),
            ("$context.requestId", TextProblem::Expression),
            ("'a", TextProblem::Expression),
            ("'a\nb'", TextProblem::Control),
            ("context.requestId.x", TextProblem::UnknownContext),
            ("method.request.header.authorization", TextProblem::Secret),
            ("", TextProblem::Expression),
        ] {
            assert_eq!(RefusalText::expression(text, &variables()).unwrap_err().what, what, "{text}");
        }
        let many = "$context.stage".repeat(TEMPLATE_REFERENCES_MAX + 1);
        let fault = RefusalText::template(&many, &variables(), Shape::Json).unwrap_err();
        assert_eq!(fault.what, TextProblem::TooManyReferences);
        assert!(RefusalText::template(&many[14..], &variables(), Shape::Json).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_breaks_out(message in prop::collection::vec(any::<u8>(), 0..40), text in "[${}a-z.\"\\\\ ]{0,40}") {
            let said = Said { message: Some(&message), kind: GatewayType::Default4xx, validation: Some(&message) };
            let scene = scene();
            let json = RefusalText::template(
                r#"{"a":$context.error.message,"b":"$context.error.message","c":$context.error.messageString,"d":"$context.error.messageString"}"#,
                &variables(), Shape::Json).unwrap();
            let mut out = Vec::new();
            json.write(&scene.facts(), &said, &mut out);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let lossy = String::from_utf8_lossy(&message).into_owned();
            prop_assert_eq!(&value["b"], &serde_json::Value::from(lossy.clone()));
            prop_assert_eq!(&value["c"], &serde_json::Value::from(lossy.clone()));
            prop_assert_eq!(&value["d"], &serde_json::Value::from(lossy));
            for expression in ["context.error.message", "context.error.messageString", "context.error.validationErrorString"] {
                let line = RefusalText::expression(expression, &variables()).unwrap();
                let mut out = Vec::new();
                line.write(&scene.facts(), &said, &mut out);
                prop_assert!(value_is_clean(&out));
            }
            let _ = RefusalText::template(&text, &variables(), Shape::Json);
            let _ = RefusalText::expression(&text, &variables());
        }
    }
}
