//! Identity sources: the parts of a request that say who calls. A request that lacks one of them is refused before
//! anybody is asked, and an answer is remembered for those that have the same.
//!
//! | | |
//! |---|---|
//! | REST | `method.request.header.N`, `method.request.querystring.N`, `stageVariables.N`, `context.N` |
//! | HTTP | `$request.header.N`, `$request.querystring.N`, `$stageVariables.N`, `$context.N` |

use std::collections::BTreeMap;

use codec::head::{Fate, Name};
use codec::http1::is_token;
use codec::target::{decode_component, query_pairs};
use router::Kind;
use serde::{Deserialize, Serialize};

use super::Request;
use crate::limits::{AUTHORIZER_SOURCE_BYTES_MAX, AUTHORIZER_SOURCES_MAX};
use crate::transform::parameters::{Seen, of_client};
use crate::transform::variable::Variable;

/// The compiled identity sources of an authorizer, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentitySources(Box<[Source]>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    /// A header field, in any case.
    Header(Box<str>),
    /// A header field that must stand there once: the token of an authorizer that is told nothing else.
    Token(Box<str>),
    /// What a client's word is not believed for: its address instead (P06).
    Address,
    /// A query parameter.
    Query(Box<str>),
    /// A stage variable, put in when the configuration is compiled.
    Stage(Box<str>),
    /// `$context`.
    Context(Variable),
    /// `$context.routeKey`.
    RouteKey,
    /// It is never there.
    Absent,
}

/// Why a text is no identity source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceProblem {
    /// More than [`AUTHORIZER_SOURCES_MAX`].
    TooMany,
    /// Longer than [`AUTHORIZER_SOURCE_BYTES_MAX`].
    TooLong,
    /// None of the forms.
    Form,
    /// No name behind the dot, or none that a header field can have.
    Name,
    /// `$context.x`, where there is no such variable.
    UnknownContext,
    /// A token authorizer reads one header field.
    NoHeader,
}

impl SourceProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooMany => "an authorizer has ten identity sources at most",
            Self::TooLong => "the identity source is too long",
            Self::Form => "this is no identity source",
            Self::Name => "this identity source lacks a name, or no header field can have it",
            Self::UnknownContext => "there is no such $context variable in this version",
            Self::NoHeader => "a token authorizer has one identity source, a header field",
        }
    }

    /// What to write instead.
    pub const fn hint(kind: Kind) -> &'static str {
        match kind {
            Kind::Http => {
                "write $request.header.Authorization, $request.querystring.N, $context.N or $stageVariables.N"
            }
            Kind::Rest | Kind::WebSocket => {
                "write method.request.header.Authorization, method.request.querystring.N, context.N or stageVariables.N"
            }
        }
    }
}

/// The pieces of a list with commas, without the blanks around them, each with its first byte's place.
pub fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(',').filter_map(move |piece| {
        let begin = at + (piece.len() - piece.trim_start().len());
        at += piece.len() + 1;
        let piece = piece.trim();
        (!piece.is_empty()).then_some((begin, piece))
    })
}

impl IdentitySources {
    /// Compiles the sources of an authorizer. A fault says which of them it is.
    pub fn compile(
        kind: Kind,
        texts: &[&str],
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, (usize, SourceProblem)> {
        if texts.len() > AUTHORIZER_SOURCES_MAX {
            return Err((AUTHORIZER_SOURCES_MAX, SourceProblem::TooMany));
        }
        let read = |(place, text): (usize, &&str)| source(kind, text, stage_variables).map_err(|what| (place, what));
        Ok(Self(texts.iter().enumerate().map(read).collect::<Result<_, _>>()?))
    }

    /// As `compile`, for an authorizer that is told a token alone.
    pub fn compile_token(text: &str) -> Result<Self, SourceProblem> {
        match source(Kind::Rest, text, &BTreeMap::new())? {
            Source::Header(name) => Ok(Self([Source::Token(name)].into())),
            _ => Err(SourceProblem::NoHeader),
        }
    }

    /// The header field of a security scheme that names nothing else.
    pub fn header(name: &str) -> Result<Self, SourceProblem> {
        Self::compile_token(&["method.request.header.", name].concat())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they are, for people.
    pub fn names(&self) -> Vec<String> {
        let name = |source: &Source| match source {
            Source::Header(name) | Source::Token(name) => format!("header {name}"),
            Source::Query(name) => format!("query {name}"),
            Source::Address => "the client's address".to_owned(),
            Source::Stage(_) => "a stage variable".to_owned(),
            Source::Context(variable) => {
                let known = Variable::NAMES.iter().find(|(_, known)| known == variable);
                format!("context {}", known.map_or("", |(name, _)| name))
            }
            Source::RouteKey => "context routeKey".to_owned(),
            Source::Absent => "what is never there".to_owned(),
        };
        self.0.iter().map(name).collect()
    }

    /// Whether all of them are there, and not empty. Each value goes to `digest` as it was received, with its length before it, so that
    /// no two requests with different values look the same; of a header field or parameter that stands there more than once, all.
    /// `scratch` is left as it was.
    pub fn present(&self, request: &Request<'_>, scratch: &mut Vec<u8>, mut digest: impl FnMut(&[u8])) -> bool {
        for source in &self.0 {
            let (mut count, mut last, mut any) = (0_u32, false, false);
            let from = scratch.len();
            source.visit(request, scratch, |value| {
                count += 1;
                last = !value.is_empty();
                any |= last;
                digest(&(value.len() as u64).to_le_bytes());
                digest(value);
            });
            scratch.truncate(from);
            digest(&[0xff; 8]);
            digest(&count.to_le_bytes());
            // A REST API takes the last, an HTTP API all of them. Whoever is told a token alone must not judge another than a backend reads.
            let is_there = match source {
                Source::Token(_) => last && count == 1,
                _ if request.kind == Kind::Http => any,
                _ => last,
            };
            if !is_there {
                return false;
            }
        }
        true
    }

    /// The values as an authorizer is told them: in a REST API the last of several, in an HTTP API all with commas between them.
    pub fn values(&self, request: &Request<'_>) -> Vec<Vec<u8>> {
        self.0.iter().map(|source| source.value(request)).collect()
    }
}

impl Source {
    /// Each value as received.
    fn visit(&self, request: &Request<'_>, scratch: &mut Vec<u8>, mut take: impl FnMut(&[u8])) {
        let facts = &request.facts;
        match self {
            Self::Header(name) | Self::Token(name) => {
                let known = Name::of(name.as_bytes());
                for field in &*facts.head.fields {
                    let text = field.name.of(facts.head_bytes);
                    if field.fate == Fate::Pass
                        && field.known == known
                        && (!known.as_str().is_empty() || text.eq_ignore_ascii_case(name.as_bytes()))
                    {
                        take(field.value.of(facts.head_bytes));
                    }
                }
            }
            Self::Query(name) => {
                let query = facts.head.query.map_or(&[][..], |query| query.of(facts.head_bytes));
                let from = scratch.len();
                for (raw, value) in query_pairs(query) {
                    decode_component(raw, true, scratch);
                    if scratch[from..] == *name.as_bytes() {
                        take(value);
                    }
                    scratch.truncate(from);
                }
            }
            Self::Stage(value) => take(value.as_bytes()),
            Self::Address => take(facts.source_ip),
            Self::RouteKey => take(request.route_key),
            Self::Context(variable) => {
                let from = scratch.len();
                if variable.write(facts, scratch) {
                    take(&scratch[from..]);
                }
            }
            Self::Absent => {}
        }
    }

    fn value(&self, request: &Request<'_>) -> Vec<u8> {
        let (mut joined, mut last, mut count) = (Vec::new(), Vec::new(), 0);
        self.visit(request, &mut Vec::new(), |value| {
            last.clear();
            match self {
                Self::Query(_) => decode_component(value, true, &mut last),
                _ => last.extend_from_slice(value),
            }
            if count > 0 {
                joined.push(b',');
            }
            count += 1;
            joined.extend_from_slice(&last);
        });
        if request.kind == Kind::Http { joined } else { last }
    }
}

fn source(kind: Kind, text: &str, stage_variables: &BTreeMap<String, String>) -> Result<Source, SourceProblem> {
    if text.len() > AUTHORIZER_SOURCE_BYTES_MAX {
        return Err(SourceProblem::TooLong);
    }
    let (request, root) = match kind {
        Kind::Http => ("$request.", "$"),
        Kind::Rest | Kind::WebSocket => ("method.request.", ""),
    };
    if let Some(rest) = text.strip_prefix(request) {
        let (part, name) = rest.split_once('.').ok_or(SourceProblem::Form)?;
        return match part {
            "header" if !is_token(name.as_bytes()) => Err(SourceProblem::Name),
            "header" => Ok(match of_client(kind, name) {
                Seen::Field => Source::Header(name.into()),
                Seen::Address => Source::Address,
                Seen::Nothing => Source::Absent,
            }),
            "querystring" if name.is_empty() => Err(SourceProblem::Name),
            "querystring" => Ok(Source::Query(name.into())),
            _ => Err(SourceProblem::Form),
        };
    }
    let (part, name) = text.strip_prefix(root).and_then(|rest| rest.split_once('.')).ok_or(SourceProblem::Form)?;
    match part {
        "stageVariables" if name.is_empty() => Err(SourceProblem::Name),
        "stageVariables" => {
            Ok(stage_variables.get(name).map_or(Source::Absent, |value| Source::Stage(value.as_str().into())))
        }
        "context" if name == "routeKey" => Ok(Source::RouteKey),
        "context" => Variable::of(name).map(Source::Context).ok_or(SourceProblem::UnknownContext),
        _ => Err(SourceProblem::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Asked, variables};
    use super::*;

    fn compile(kind: Kind, text: &str) -> Result<IdentitySources, (usize, SourceProblem)> {
        let texts: Vec<&str> = split(text).map(|(_, text)| text).collect();
        IdentitySources::compile(kind, &texts, &variables())
    }

    fn values(kind: Kind, sources: &str, target: &str, fields: &str) -> Option<Vec<String>> {
        let asked = Asked::new(kind, "/pets/{id}", target, fields);
        let (request, sources) = (asked.request(), compile(kind, sources).unwrap());
        let mut scratch = b"before".to_vec();
        let is_there = sources.present(&request, &mut scratch, |_| {});
        assert_eq!(scratch, b"before");
        is_there.then(|| {
            let values = sources.values(&request);
            values.iter().map(|value| value.escape_ascii().to_string()).collect()
        })
    }

    #[test]
    fn sources_of_both_kinds() {
        // (kind, sources, query, fields, values, row)
        type Case = (Kind, &'static str, &'static str, &'static str, Option<&'static [&'static str]>, &'static str);
        let cases: [Case; 15] = [
            (Kind::Rest, "method.request.header.Authorization", "", "authorization: a b\r\n", Some(&["a b"]), "A-04"),
            (Kind::Rest, "method.request.header.X", "", "X: 1\r\nx: 2\r\n", Some(&["2"]), "the last"),
            (Kind::Rest, "method.request.header.X", "", "X: 1\r\nx:\r\n", None, "the last is empty"),
            (Kind::Rest, "method.request.header.X", "", "", None, "A-05"),
            (
                Kind::Rest,
                "method.request.header.X, method.request.querystring.a%2C, stageVariables.env, context.stage",
                "?a%252C=x+%2By",
                "X: 1\r\n",
                Some(&["1", "x +y", "blue", "prod"]),
                "A-05",
            ),
            (Kind::Rest, "method.request.querystring.q", "?q=", "", None, "A-05"),
            (Kind::Rest, "stageVariables.none", "", "", None, "A-05"),
            (Kind::Rest, "context.identity.userAgent", "", "", None, "A-05"),
            (Kind::Rest, "context.identity.sourceIp", "", "", Some(&["203.0.113.9"]), "A-05"),
            (
                Kind::Rest,
                "method.request.header.X-Forwarded-For",
                "",
                "X-Forwarded-For: 9.9.9.9\r\n",
                Some(&["203.0.113.9"]),
                "P06",
            ),
            (Kind::Rest, "method.request.header.X-Forwarded-Host", "", "X-Forwarded-Host: a\r\n", None, "P06"),
            (Kind::Http, "$request.header.x", "", "X: 1\r\nx: 2\r\n", Some(&["1,2"]), "A-06"),
            (
                Kind::Http,
                "$request.querystring.q,$context.routeKey,$stageVariables.env",
                "?q=a%20b&q=c",
                "",
                Some(&["a b,c", "GET /pets/{id}", "blue"]),
                "A-06",
            ),
            (Kind::Http, "$request.querystring.q", "?q=&q", "", None, "A-06"),
            (Kind::Http, "$request.header.Authorization", "", "Authorization:\r\n", None, "A-06"),
        ];
        for (kind, sources, query, fields, expected, row) in cases {
            let found = values(kind, sources, &format!("/pets/7{query}"), fields);
            let expected = expected.map(|list| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{row}: {sources}");
        }
    }

    #[test]
    fn what_is_no_source() {
        for (kind, text, problem) in [
            (Kind::Rest, "$request.header.X", SourceProblem::Form),
            (Kind::Rest, "method.request.path.id", SourceProblem::Form),
            (Kind::Rest, "method.request.header.", SourceProblem::Name),
            (Kind::Rest, "method.request.header.a b", SourceProblem::Name),
            (Kind::Rest, "method.request.querystring.", SourceProblem::Name),
            (Kind::Rest, "context.weather", SourceProblem::UnknownContext),
            (Kind::Rest, "x", SourceProblem::Form),
            (Kind::Http, "method.request.header.X", SourceProblem::Form),
            (Kind::Http, "$stageVariables.", SourceProblem::Name),
            (Kind::Http, "$context.", SourceProblem::UnknownContext),
        ] {
            assert_eq!(compile(kind, text), Err((0, problem)), "{text}");
        }
        let long = format!("method.request.header.{}", "x".repeat(AUTHORIZER_SOURCE_BYTES_MAX));
        assert_eq!(compile(Kind::Rest, &long), Err((0, SourceProblem::TooLong)));
        let many = ["context.stage"; AUTHORIZER_SOURCES_MAX + 1].join(",");
        assert_eq!(compile(Kind::Rest, &many), Err((AUTHORIZER_SOURCES_MAX, SourceProblem::TooMany)));
        assert_eq!(IdentitySources::compile_token("context.stage"), Err(SourceProblem::NoHeader));
        assert!(IdentitySources::header("Authorization").is_ok());
        assert!(compile(Kind::Rest, " , ").unwrap().is_empty());
    }

    #[test]
    fn a_04_a_token_stands_there_once() {
        let source = IdentitySources::compile_token("method.request.header.X").unwrap();
        for (fields, is_there) in [("X: 1\r\n", true), ("X: 1\r\nx: 1\r\n", false), ("X:\r\n", false), ("", false)] {
            let asked = Asked::new(Kind::Rest, "/pets/{id}", "/pets/7", fields);
            assert_eq!(source.present(&asked.request(), &mut Vec::new(), |_| {}), is_there, "{fields}");
        }
    }

    #[test]
    fn lists_are_split() {
        let pieces: Vec<_> = split(" a, b ,,c").collect();
        assert_eq!(pieces, [(1, "a"), (4, "b"), (8, "c")]);
    }

    /// What is digested of a request.
    fn digest(sources: &str, query: &str, fields: &str) -> Vec<u8> {
        let asked = Asked::new(Kind::Rest, "/pets/{id}", &format!("/pets/7{query}"), fields);
        let mut all = Vec::new();
        let sources = compile(Kind::Rest, sources).unwrap();
        assert!(sources.present(&asked.request(), &mut Vec::new(), |bytes| all.extend_from_slice(bytes)));
        all
    }

    #[test]
    fn different_values_are_never_digested_alike() {
        let two = "method.request.header.A,method.request.header.B";
        assert_eq!(digest(two, "", "A: 1\r\nB: 2\r\n"), digest(two, "?x=y", "b: 2\r\na: 1\r\nC: 3\r\n"));
        let different =
            ["A: 12\r\nB: 3\r\n", "A: 1\r\nB: 23\r\n", "A: 1\r\nA: 12\r\nB: 3\r\n", "A: 12\r\nB: 1\r\nB: 3\r\n"];
        for (place, one) in different.iter().enumerate() {
            for other in &different[place + 1..] {
                assert_ne!(digest(two, "", one), digest(two, "", other), "{one:?} {other:?}");
            }
        }
    }
}
