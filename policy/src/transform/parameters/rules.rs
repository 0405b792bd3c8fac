//! Which answer of a REST API a backend's status becomes (IN-16, IN-17): patterns in order, first match, else the default.

use std::fmt;

use regex::Regex;
use router::Kind;
use serde::{Deserialize, Serialize, Serializer};

use super::response::status_of;
use super::{MappingFault, ResponseMapping, Written};
use crate::limits::{RESPONSE_RULES_MAX, TEMPLATE_BYTES_MAX};
use crate::transform::constant::{is_constant_template, media_type};
use crate::transform::template::TemplateNames;

/// A status has three digits.
const STATUSES: usize = 1_000;

/// The answers that an integration may give.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenRules")]
pub struct ResponseRules {
    rules: Box<[ResponseRule]>,
    /// By status, the number of its rule; 255 is none. All patterns were tried when it was compiled.
    chosen: Box<[u8]>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRule {
    /// As written; `default` or empty: for every status that no other rule takes.
    pub pattern: Box<str>,
    /// What the client gets: 200 to 599; `None`: the backend's.
    pub status: Option<u16>,
    /// The header fields, and no others (IN-17).
    pub mapping: ResponseMapping,
    /// The body.
    pub bodies: Bodies,
}

/// Constant bodies by media type (MP-08). Without any, the backend's body passes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bodies(Box<[(Box<str>, Box<str>)]>);

/// One answer as written.
#[derive(Debug, Clone, Copy)]
pub struct ResponseSpec<'a> {
    /// A regular expression over the whole status, `default` or nothing.
    pub pattern: &'a str,
    /// The client's status; empty for the backend's, which only our own routes can say.
    pub status: &'a str,
    /// MP-02: target and expression.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Media type and template; only constant ones can be compiled.
    pub templates: &'a [(&'a str, &'a str)],
}

/// A rule that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleFault {
    /// Index of the rule.
    pub rule: usize,
    /// What is wrong with it.
    pub what: RuleProblem,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleProblem {
    /// More rules than [`RESPONSE_RULES_MAX`].
    TooMany,
    /// The pattern is no regular expression, or one with what `regex` does not have (look-around, back references).
    Pattern,
    /// The status is not a number from 200 to 599.
    Status,
    /// A header's mapping.
    Mapping(MappingFault),
    /// The template of this index is a program, or too long.
    Template(usize),
}

impl RuleProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooMany => "an integration has too many responses",
            Self::Pattern => "this selection pattern cannot be used",
            Self::Status => "a status is a number from 200 to 599",
            Self::Mapping(fault) => fault.what.message(),
            Self::Template(_) => "templates with references or directives are not available in this version",
        }
    }
}

impl ResponseRules {
    /// Compiles the answers of a REST or WebSocket integration, in their order. All faults are found.
    pub fn compile(kind: Kind, specs: &[ResponseSpec<'_>], names: TemplateNames<'_>) -> Result<Self, Vec<RuleFault>> {
        let mut faults = Vec::new();
        let mut rules = Vec::with_capacity(specs.len());
        let mut patterns = Vec::with_capacity(specs.len());
        if specs.len() > RESPONSE_RULES_MAX {
            faults.push(RuleFault { rule: RESPONSE_RULES_MAX, what: RuleProblem::TooMany });
        }
        for (rule, spec) in specs.iter().enumerate().take(RESPONSE_RULES_MAX) {
            let mut fault = |what| faults.push(RuleFault { rule, what });
            let pattern = pattern(spec.pattern).map_err(|()| fault(RuleProblem::Pattern));
            let status = status_of(spec.status.as_bytes());
            let is_status = status.is_some() || spec.status.is_empty();
            if !is_status {
                fault(RuleProblem::Status);
            }
            for (place, (_, text)) in spec.templates.iter().enumerate() {
                if text.len() > TEMPLATE_BYTES_MAX || !is_constant_template(text) {
                    fault(RuleProblem::Template(place));
                }
            }
            let mapping = ResponseMapping::compile(kind, spec.parameters, names)
                .map_err(|found| found.into_iter().for_each(|found| fault(RuleProblem::Mapping(found))));
            if let (Ok(pattern), true, Ok(mapping)) = (pattern, is_status, mapping) {
                patterns.push(pattern);
                rules.push(ResponseRule {
                    pattern: spec.pattern.into(),
                    status,
                    mapping,
                    bodies: Bodies(
                        spec.templates.iter().map(|(media, text)| ((*media).into(), (*text).into())).collect(),
                    ),
                });
            }
        }
        if faults.is_empty() { Ok(Self { rules: rules.into(), chosen: choices(&patterns) }) } else { Err(faults) }
    }

    /// The answer for a backend's status; none is a fault of the configuration: 500 (IN-16).
    pub fn choose(&self, status: u16) -> Option<&ResponseRule> {
        self.rules.get(usize::from(*self.chosen.get(usize::from(status))?))
    }

    /// Whether any of them reads the backend's body.
    pub fn needs_body(&self) -> bool {
        self.rules.iter().any(|rule| rule.mapping.needs_body())
    }

    /// All answers, in order.
    pub fn rules(&self) -> &[ResponseRule] {
        &self.rules
    }
}

impl Bodies {
    /// The body for a client that accepts this: by the first type of its `Accept`, else JSON's, else the first. None, or an
    /// empty one: the backend's passes.
    pub fn choose(&self, accept: Option<&[u8]>) -> Option<&[u8]> {
        let of = |wanted: &[u8]| self.0.iter().find(|(media, _)| media.as_bytes().eq_ignore_ascii_case(wanted));
        let chosen = accept.and_then(|accept| of(media_type(accept))).or_else(|| of(b"application/json"));
        chosen.or(self.0.first()).map(|(_, text)| text.as_bytes()).filter(|text| !text.is_empty())
    }
}

/// `None` for the default.
fn pattern(text: &str) -> Result<Option<Regex>, ()> {
    if matches!(text, "" | "default") {
        return Ok(None);
    }
    Regex::new(&["^(?:", text, ")$"].concat()).map(Some).map_err(|_| ())
}

/// The rule of each status.
fn choices(patterns: &[Option<Regex>]) -> Box<[u8]> {
    let default = patterns.iter().position(Option::is_none);
    let choice = |status: usize| {
        let text = status.to_string();
        let matching =
            patterns.iter().position(|pattern| pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text)));
        matching.or(default).map_or(u8::MAX, |rule| rule as u8)
    };
    (0..STATUSES).map(choice).collect()
}

/// The rules as a file keeps them.
#[derive(Serialize, Deserialize)]
struct WrittenRules(Vec<WrittenRule>);

#[derive(Serialize, Deserialize)]
struct WrittenRule {
    pattern: Box<str>,
    status: Option<u16>,
    mapping: Written,
    templates: Box<[(Box<str>, Box<str>)]>,
}

/// The fault of a file's rules.
#[derive(Debug)]
struct RefusedRules(RuleFault);

impl fmt::Display for RefusedRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "response {}: {}", self.0.rule, self.0.what.message())
    }
}

impl TryFrom<WrittenRules> for ResponseRules {
    type Error = RefusedRules;

    fn try_from(WrittenRules(written): WrittenRules) -> Result<Self, RefusedRules> {
        if written.len() > RESPONSE_RULES_MAX {
            return Err(RefusedRules(RuleFault { rule: RESPONSE_RULES_MAX, what: RuleProblem::TooMany }));
        }
        let mut patterns = Vec::new();
        let mut rules = Vec::new();
        for (number, rule) in written.into_iter().enumerate() {
            // Each has stage variables of its own, so each is compiled by itself.
            let parameters = rule.mapping.entries();
            let templates: Vec<(&str, &str)> = rule.templates.iter().map(|(media, text)| (&**media, &**text)).collect();
            let status = rule.status.map_or(String::new(), |status| status.to_string());
            let spec = ResponseSpec {
                pattern: &rule.pattern,
                status: &status,
                parameters: &parameters,
                templates: &templates,
            };
            let one = Self::compile(rule.mapping.kind, &[spec], rule.mapping.names()).map_err(|faults| {
                let what = faults.first().map_or(RuleProblem::TooMany, |fault| fault.what);
                RefusedRules(RuleFault { rule: number, what })
            })?;
            patterns.push(pattern(&rule.pattern).unwrap_or_default());
            rules.extend(one.rules);
        }
        Ok(Self { rules: rules.into(), chosen: choices(&patterns) })
    }
}

impl Serialize for ResponseRules {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let written = self.rules.iter().map(|rule| WrittenRule {
            pattern: rule.pattern.clone(),
            status: rule.status,
            mapping: rule.mapping.written().clone(),
            templates: rule.bodies.0.clone(),
        });
        WrittenRules(written.collect()).serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn compile(specs: &[ResponseSpec<'_>]) -> Result<ResponseRules, Vec<RuleFault>> {
        let stage_variables = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        ResponseRules::compile(
            Kind::Rest,
            specs,
            TemplateNames { path_variables: &[], stage_variables: &stage_variables },
        )
    }

    fn spec<'a>(pattern: &'a str, status: &'a str) -> ResponseSpec<'a> {
        ResponseSpec { pattern, status, parameters: &[], templates: &[] }
    }

    #[test]
    fn the_first_match_wins_or_the_default() {
        // IN-16; that a pattern has to match as a whole is assumed.
        let rules = [
            spec("4\\d{2}", "400"),
            spec("404", "404"),
            spec("default", "200"),
            spec("5", "501"),
            spec("50[23]|5.4", "502"),
        ];
        let rules = compile(&rules).unwrap();
        for (status, expected) in
            [(200, 200), (400, 400), (404, 400), (500, 200), (502, 502), (504, 502), (514, 502), (555, 200), (999, 200)]
        {
            assert_eq!(rules.choose(status).map(|rule| rule.status), Some(Some(expected)), "{status}");
        }
        assert!(rules.choose(1_000).is_none());
        assert_eq!(rules.rules().len(), 5);
        let strict = compile(&[spec("2\\d\\d", "200"), spec("30.", "302")]).unwrap();
        assert_eq!(strict.choose(204).unwrap().status, Some(200));
        assert_eq!(strict.choose(301).unwrap().status, Some(302));
        assert!(strict.choose(404).is_none(), "no match and no default is a fault of the configuration");
        assert!(compile(&[]).unwrap().choose(200).is_none());
        assert_eq!(compile(&[spec("", "201"), spec("default", "202")]).unwrap().choose(200).unwrap().status, Some(201));
        assert_eq!(compile(&[spec("default", "")]).unwrap().choose(200).unwrap().status, None);
    }

    #[test]
    fn bodies_are_chosen_by_accept() {
        // MP-08
        let bodies = |list: &[(&str, &str)]| {
            Bodies(list.iter().map(|(media, text)| ((*media).into(), (*text).into())).collect())
        };
        let some = bodies(&[("text/html", "<p>"), ("application/json", "{}"), ("text/plain", "")]);
        for (accept, expected) in [
            ("text/html", Some("<p>")),
            ("TEXT/html;q=1, application/json", Some("<p>")),
            ("image/png, text/html", Some("{}")),
            ("text/plain", None),
            ("*/*", Some("{}")),
        ] {
            assert_eq!(some.choose(Some(accept.as_bytes())), expected.map(str::as_bytes), "{accept}");
        }
        assert_eq!(some.choose(None), Some(&b"{}"[..]));
        assert_eq!(bodies(&[("text/html", "<p>"), ("text/xml", "<x/>")]).choose(None), Some(&b"<p>"[..]));
        assert_eq!(bodies(&[("application/json", "")]).choose(None), None);
        assert_eq!(bodies(&[]).choose(Some(b"text/html")), None);
    }

    #[test]
    fn all_faults_are_found() {
        let specs = [
            ResponseSpec {
                pattern: "(",
                status: "2xx",
                parameters: &[("method.response.header.a", "x"), ("method.response.header.b", "'x'")],
                templates: &[("text/html", "<p>"), ("application/json", "$input.json('$')")],
            },
            spec("(?!2..).*", "199"),
        ];
        let found: Vec<(usize, &str)> =
            compile(&specs).unwrap_err().iter().map(|fault| (fault.rule, fault.what.message())).collect();
        let expected = [
            (0, RuleProblem::Pattern.message()),
            (0, RuleProblem::Status.message()),
            (0, RuleProblem::Template(1).message()),
            (0, "Invalid mapping expression specified"),
            (1, RuleProblem::Pattern.message()),
            (1, RuleProblem::Status.message()),
        ];
        assert_eq!(found, expected);
        let many = vec![spec("200", "200"); RESPONSE_RULES_MAX + 1];
        assert_eq!(compile(&many).unwrap_err()[0].what, RuleProblem::TooMany);
        assert_eq!(compile(&many[1..]).unwrap().choose(200).unwrap().status, Some(200));
    }

    #[test]
    fn stored_rules_are_the_same_or_refused() {
        let specs = [
            ResponseSpec {
                pattern: "5..",
                status: "502",
                parameters: &[("method.response.header.a", "stageVariables.env")],
                templates: &[("application/json", "{}")],
            },
            spec("default", "200"),
        ];
        let rules = compile(&specs).unwrap();
        let stored = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<ResponseRules>(&stored).unwrap(), rules);
        for (from, to) in [("502", "99"), ("5..", "("), ("{}", "$x"), ("header.a", "header. ")] {
            assert!(serde_json::from_str::<ResponseRules>(&stored.replace(from, to)).is_err(), "{to}");
        }
        let one = serde_json::to_value(&rules).unwrap()[1].clone();
        let many = serde_json::Value::from(vec![one; RESPONSE_RULES_MAX + 1]);
        assert!(serde_json::from_value::<ResponseRules>(many).is_err());
    }
}
