//! Parameter mapping: header fields, query parameters, paths and statuses made from parts of a request or an answer
//! (aws-features §5: MP-01 to MP-05, IN-16). Written texts become small programs when the configuration is compiled.
//!
//! | | REST | HTTP |
//! |---|---|---|
//! | request target | `integration.request.{header,querystring,path}.N` | `{append,overwrite,remove}:{header,querystring}.N`, `overwrite:path` |
//! | its value | `method.request.{header,multivalueheader,querystring,multivaluequerystring,path}.N`, `method.request.body[.JSONPath]`, `stageVariables.N`, `context.N`, `'text'` | text with `$request.{header,querystring,path}.N`, `$request.path`, `$request.body[.JSONPath]`, `$stageVariables.N`, `$context.N`, each also as `${…}` |
//! | answer target | `method.response.header.N` | `{append,overwrite,remove}:header.N`, `overwrite:statuscode` |
//! | its value | `integration.response.{header,multivalueheader}.N`, `integration.response.body[.JSONPath]`, and the last three above | text with `$response.header.N`, `$response.body[.JSONPath]`, and the last two above |
//!
//! What a client sent stays what it is: in a header it is one line (F30, P11), in a query one value, in a path one segment
//! unless it was a path already; a rendered path with dot segments is refused (P01).

mod expression;
mod fields;
mod request;
mod response;
mod rules;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use codec::head::{Name, ResponseHead};
use router::Kind;
use serde::{Deserialize, Serialize};

use super::json_path::JsonPathProblem;
use super::template::TemplateNames;
use crate::facts::Facts;
use crate::limits::MAPPINGS_MAX;

pub(super) use expression::is_absent;
pub use fields::RESERVED;
pub(crate) use fields::{Seen, of_client};
pub use request::RequestMapping;
pub use response::ResponseMapping;
pub use rules::{Bodies, ResponseRule, ResponseRules, ResponseSpec, RuleFault, RuleProblem};

/// What a request is mapped from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Head, path and context.
    pub facts: Facts<'a>,
    /// The whole body, if [`RequestMapping::needs_body`]; else empty.
    pub body: &'a [u8],
}

/// What an answer is mapped from.
#[derive(Clone, Copy)]
pub struct AnswerInput<'a> {
    /// The request's, for `$context`.
    pub facts: Facts<'a>,
    /// The bytes that the spans of `head` are places in.
    pub head_bytes: &'a [u8],
    /// The backend's head; `None` where there is no backend.
    pub head: Option<&'a ResponseHead>,
    /// The backend's whole body, if [`ResponseMapping::needs_body`]; else empty.
    pub body: &'a [u8],
}

/// Which steps of a mapping took effect on one message: a step whose source is missing has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied([u64; 2]);

const _: () = assert!(MAPPINGS_MAX <= 2 * u64::BITS as usize, "each step has its bit");

impl Applied {
    fn mark(&mut self, step: usize) {
        self.0[step / 64] |= 1 << (step % 64);
    }

    fn has(self, step: usize) -> bool {
        self.0[step / 64] & (1 << (step % 64)) != 0
    }
}

/// What a mapping does with a field or a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// It stands beside what was sent.
    Append,
    /// It stands instead of what was sent.
    Overwrite,
    /// What was sent goes.
    Remove,
}

/// A mapping that cannot be used, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappingFault {
    /// Index of the entry.
    pub entry: usize,
    /// Whether it is about the target; otherwise about the expression.
    pub in_target: bool,
    /// Byte in that text.
    pub offset: usize,
    /// What is wrong there.
    pub what: MappingProblem,
}

/// What is wrong with a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingProblem {
    /// More entries than [`crate::limits::MAPPINGS_MAX`].
    TooMany,
    /// A text longer than [`crate::limits::MAPPING_TEXT_BYTES_MAX`].
    TooLong,
    /// The target is none of the table's.
    Target,
    /// The name of the target has other characters than it may.
    Name,
    /// Two entries make the same thing.
    Duplicate,
    /// A REST API may not set this header: every request is answered with 500 (§4.1).
    Illegal,
    /// An HTTP API may not map this header (MP-05).
    Reserved,
    /// The expression is none of the table's (MP-02: "Invalid mapping expression specified").
    Expression,
    /// A reference without its closing brace.
    Unclosed,
    /// A reference without a name.
    Unnamed,
    /// The method's path has no such variable.
    NoSuchPathVariable,
    /// There is no such `$context` variable.
    UnknownContext,
    /// A line break or another control character.
    Control,
    /// The JSONPath cannot be used.
    JsonPath(JsonPathProblem),
    /// A path that does not begin with a slash.
    NoSlash,
    /// A path with `.` or `..` as a segment.
    DotSegment,
    /// A status that is not a number from 200 to 599.
    Status,
}

impl MappingProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooMany => "there are too many parameter mappings",
            Self::TooLong => "this mapping is too long",
            Self::Target => "this cannot be mapped",
            Self::Name => "this cannot be the name of a mapped parameter",
            Self::Duplicate => "this is mapped twice",
            Self::Illegal => {
                "this header is the gateway's to write: with this mapping every request is answered with 500"
            }
            Self::Reserved => "this header is reserved and cannot be mapped",
            Self::Expression => "Invalid mapping expression specified",
            Self::Unclosed => "this reference has no closing brace",
            Self::Unnamed => "this reference lacks a name",
            Self::NoSuchPathVariable => "the method's path has no variable of this name",
            Self::UnknownContext => "there is no such $context variable",
            Self::Control => "a mapping may not hold a line break or another control character",
            Self::JsonPath(what) => what.message(),
            Self::NoSlash => "a path begins with a slash",
            Self::DotSegment => "a path may not have `.` or `..` as a segment",
            Self::Status => "a status is a number from 200 to 599",
        }
    }

    /// What to do about it.
    pub const fn hint(self, kind: Kind, in_answer: bool) -> &'static str {
        match (self, kind, in_answer) {
            (Self::TooMany | Self::TooLong, _, _) => "shorten it",
            (Self::Duplicate, _, _) => "keep one of them; the case of a header's name makes no difference",
            (Self::Reserved, _, _) => RESERVED,
            (Self::Illegal, _, _) => {
                "remove it: Content-Length, Transfer-Encoding, X-Amzn-Trace-Id and X-Amzn-Apigateway-Api-Id"
            }
            (Self::Name, _, _) => "names have letters, digits and the marks . _ $ -",
            (Self::Status, _, _) => "write a number such as 403",
            (Self::NoSlash | Self::DotSegment, _, _) => "write /path, or /path/${request.path.name}",
            (Self::JsonPath(_), _, _) => "names, numbers and stars lead through a body: .pets[0].name or .pets[*].name",
            (Self::Target, Kind::Http, false) => {
                "write append:, overwrite: or remove: and header.name or querystring.name, or overwrite:path"
            }
            (Self::Target, Kind::Http, true) => {
                "write append:, overwrite: or remove: and header.name, or overwrite:statuscode"
            }
            (Self::Target, _, false) => "write integration.request.header.name, .querystring.name or .path.name",
            (Self::Target, _, true) => "write method.response.header.name",
            (_, Kind::Http, false) => {
                "write $request.header.name, $request.querystring.name, $request.path.name, $request.body.name, $context.name, $stageVariables.name or text"
            }
            (_, Kind::Http, true) => {
                "write $response.header.name, $response.body.name, $context.name, $stageVariables.name or text"
            }
            (_, _, false) => {
                "write method.request.header.name, .querystring.name, .path.name or .body.name, context.name, stageVariables.name or 'text'"
            }
            (_, _, true) => {
                "write integration.response.header.name or .body.name, context.name, stageVariables.name or 'text'"
            }
        }
    }
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping {}: {}", self.entry, self.what.message())
    }
}

/// The texts that a mapping was compiled from, and all that it was compiled against: what is kept of it in a file. Whoever reads
/// it compiles it again, so that a file can say nothing that a document cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    kind: Kind,
    entries: Box<[(Box<str>, Box<str>)]>,
    path_variables: Box<[Box<str>]>,
    /// Those alone that the entries name.
    stage_variables: BTreeMap<String, String>,
}

impl Written {
    fn new(kind: Kind, entries: &[(&str, &str)], names: &TemplateNames<'_>) -> Self {
        let is_named = |name: &String| entries.iter().any(|(_, expression)| expression.contains(name.as_str()));
        let variables = names.stage_variables.iter().filter(|(name, _)| is_named(name));
        Self {
            kind,
            entries: entries.iter().map(|(target, expression)| ((*target).into(), (*expression).into())).collect(),
            path_variables: names.path_variables.into(),
            stage_variables: variables.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    fn entries(&self) -> Vec<(&str, &str)> {
        self.entries.iter().map(|(target, expression)| (&**target, &**expression)).collect()
    }

    fn names(&self) -> TemplateNames<'_> {
        TemplateNames { path_variables: &self.path_variables, stage_variables: &self.stage_variables }
    }
}

/// The first of the faults that a file's mapping has.
#[derive(Debug)]
struct Refused(MappingFault);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Refused {
    fn first(faults: Vec<MappingFault>) -> Self {
        let none = MappingFault { entry: 0, in_target: true, offset: 0, what: MappingProblem::Target };
        Self(faults.into_iter().next().unwrap_or(none))
    }
}

/// A field's name, known to the rules or not; case makes no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldName {
    known: Name,
    text: Box<str>,
}

impl FieldName {
    fn new(text: &str) -> Self {
        Self { known: Name::of(text.as_bytes()), text: text.into() }
    }

    /// Whether a field has this name; `known` is `Name::of(name)`.
    fn is(&self, known: Name, name: &[u8]) -> bool {
        self.known == known && (!known.as_str().is_empty() || name.eq_ignore_ascii_case(self.text.as_bytes()))
    }
}
