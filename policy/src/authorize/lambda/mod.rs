//! Lambda authorizers (A-04 to A-10): a function, or any HTTP endpoint, is told of a request and says who calls and what the caller may.
//! Its answer is remembered by the identity sources.
//!
//! What an HTTP endpoint says with its status: any of 200 to 299 means that the body is the answer, 401 that nobody is known by what was
//! shown (as a function that fails with `Unauthorized`), 403 that the caller may not (as a policy that denies everything). Anything else
//! is a failure.

mod answer;
mod event;
mod identity_source;
mod validation;

use std::collections::BTreeMap;
use std::time::Duration;

use router::Kind;
use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, AnswerFault, Denial};
pub use self::identity_source::{IdentitySources, SourceProblem, split};
pub use self::validation::Validation;
use crate::facts::Facts;
use crate::iam;
use crate::limits::METHOD_ARN_BYTES_MAX;

/// A compiled authorizer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LambdaRule {
    /// Another one for whatever is remembered of it: of its name, and of all that was written.
    pub print: [u8; 32],
    /// What it is told.
    pub event: Event,
    /// What says who calls.
    pub sources: IdentitySources,
    /// What the token must look like, before anybody is asked (A-04).
    pub validation: Option<Validation>,
    /// Whether it answers `isAuthorized` (A-08).
    pub simple: bool,
    /// How long an answer is remembered; zero: it is asked every time.
    pub ttl: Duration,
    /// From the call to the end of its answer.
    pub timeout: Duration,
    /// Whom it is asked at: the number of an authority of the program.
    pub authority: u32,
    /// The path and query that it is asked at.
    pub target: Box<str>,
    /// Whether that is Lambda's Invoke API, whose answers say in a field of the head that the function failed.
    pub is_function: bool,
    /// The URI as written, for people.
    pub written: Box<str>,
}

/// What an authorizer is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The token alone (A-04).
    Token,
    /// The request, as REST APIs tell it, or version 1.0 of HTTP APIs (A-05, A-06).
    #[default]
    Version1,
    /// The request, in version 2.0 (A-06).
    Version2,
}

/// A request as authorizers are told of it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Whose rules hold.
    pub kind: Kind,
    /// Head, path and context.
    pub facts: Facts<'a>,
    /// `GET /pets/{id}`, `ANY /x` or `$default`.
    pub route_key: &'a [u8],
    /// Of the stage.
    pub stage_variables: &'a BTreeMap<String, String>,
    /// `eu-central-1`
    pub region: &'a str,
    /// Twelve digits.
    pub account_id: &'a str,
    /// The port at which the client came in; 0: none.
    pub port: u16,
    /// Whether the client came by TLS.
    pub tls: bool,
}

/// Why an authorizer has given no answer that could be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Silence {
    /// It knows nobody by what was shown (A-09).
    Unauthorized,
    /// It answered with this status.
    Status(u16),
    /// The function failed.
    Function,
    /// What it said is no answer.
    Answer(AnswerFault),
}

impl Request<'_> {
    /// `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{VERB}/{path}`, of a WebSocket `…/{stage}/$connect`. The path is the canonical
    /// one, as it was received. False, and nothing written, if it is longer than [`METHOD_ARN_BYTES_MAX`] (A-07).
    pub fn write_arn(&self, out: &mut Vec<u8>) -> bool {
        let from = out.len();
        iam::write_arn(&self.facts, self.kind, self.region, self.account_id.as_bytes(), out);
        let fits = out.len() - from <= METHOD_ARN_BYTES_MAX;
        if !fits {
            out.truncate(from);
        }
        fits
    }
}

impl LambdaRule {
    /// Whether a request shows a token of the form that is asked for; anything, if none is.
    pub fn is_valid(&self, request: &Request<'_>) -> bool {
        let fits = |form: &Validation| self.sources.values(request).first().is_some_and(|token| form.fits(token));
        self.validation.as_ref().is_none_or(fits)
    }

    /// Writes what the authorizer is told.
    pub fn write_event(&self, request: &Request<'_>, arn: &[u8], out: &mut Vec<u8>) {
        let values = self.sources.values(request);
        match self.event {
            Event::Token => event::token(values.first().map_or(&[][..], Vec::as_slice), arn, out),
            Event::Version1 => {
                event::version_1(request, arn, (request.kind == Kind::Http).then_some(&values[..]), out);
            }
            Event::Version2 => event::version_2(request, arn, &values, out),
        }
    }

    /// What the authorizer's answer means. `has_failed`: the head said that the function did.
    pub fn hear(&self, kind: Kind, (status, has_failed): (u16, bool), body: &[u8]) -> Result<Answer, Silence> {
        match (self.is_function, status) {
            (true, 200..=299) if has_failed => Err(answer::of_failed_function(body)),
            (_, 200..=299) => {
                let nests = kind == Kind::Http && self.event == Event::Version2;
                Answer::read(body, self.simple, nests).map_err(Silence::Answer)
            }
            (false, 401) => Err(Silence::Unauthorized),
            (false, 403) => Ok(Answer::denied()),
            _ => Err(Silence::Status(status)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tests::Scene;

    /// A request that authorizers are told of.
    pub struct Asked {
        pub scene: Scene,
        pub kind: Kind,
        pub key: String,
        pub variables: BTreeMap<String, String>,
    }

    pub fn variables() -> BTreeMap<String, String> {
        BTreeMap::from([("env".to_owned(), "blue".to_owned())])
    }

    impl Asked {
        pub fn new(kind: Kind, template: &str, target: &str, fields: &str) -> Self {
            let text = format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n");
            let scene = Scene::new(Kind::Rest, "/", template, text.as_bytes());
            Self { scene, kind, key: format!("GET {template}"), variables: variables() }
        }

        pub fn request(&self) -> Request<'_> {
            Request {
                kind: self.kind,
                facts: self.scene.facts(),
                route_key: self.key.as_bytes(),
                stage_variables: &self.variables,
                region: "eu-central-1",
                account_id: "123456789012",
                port: 8443,
                tls: true,
            }
        }
    }

    pub fn rule(event: Event, sources: IdentitySources) -> LambdaRule {
        LambdaRule {
            print: [7; 32],
            event,
            sources,
            validation: None,
            simple: false,
            ttl: Duration::ZERO,
            timeout: Duration::from_secs(10),
            authority: 0,
            target: "/".into(),
            is_function: false,
            written: "http://a/".into(),
        }
    }

    #[test]
    fn the_arn_of_a_method() {
        // (kind, target, arn, row)
        let cases = [
            (Kind::Rest, "/pets/7", "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/7", "A-04"),
            (Kind::Rest, "/", "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/", "the root"),
            (
                Kind::Http,
                "/a%20b/./c?x=y",
                "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/a%20b/c",
                "A-06",
            ),
            (Kind::WebSocket, "/x", "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/$connect", "A-05"),
        ];
        for (kind, target, arn, row) in cases {
            let asked = Asked::new(kind, "/{proxy+}", if target == "/" { "/x" } else { target }, "");
            let asked = if target == "/" { Asked::new(kind, "/", target, "") } else { asked };
            let mut out = b"before".to_vec();
            assert!(asked.request().write_arn(&mut out), "{row}");
            assert_eq!(out.escape_ascii().to_string(), format!("before{arn}"), "{row}");
        }
    }

    #[test]
    fn an_arn_has_its_length_at_most() {
        let front = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/".len();
        for (length, fits) in [(METHOD_ARN_BYTES_MAX, true), (METHOD_ARN_BYTES_MAX + 1, false)] {
            let target = format!("/{}", "x".repeat(length - front));
            let asked = Asked::new(Kind::Rest, "/{proxy+}", &target, "");
            let mut out = Vec::new();
            assert_eq!(asked.request().write_arn(&mut out), fits, "A-07");
            assert_eq!(out.len(), if fits { length } else { 0 });
        }
    }

    #[test]
    fn a_token_has_the_form_that_is_asked_for() {
        let sources = IdentitySources::header("Authorization").unwrap();
        let form = Validation::compile("^Bearer [a-z]+$").unwrap();
        let rule = LambdaRule { validation: Some(form), ..rule(Event::Token, sources) };
        for (token, fits) in [("Bearer abc", true), ("Bearer 1", false), ("bearer abc", false)] {
            let asked = Asked::new(Kind::Rest, "/x", "/x", &format!("Authorization: {token}\r\n"));
            assert_eq!(rule.is_valid(&asked.request()), fits, "A-04: {token}");
        }
        let asked = Asked::new(Kind::Rest, "/x", "/x", "Authorization: t\r\n");
        let mut out = Vec::new();
        rule.write_event(&asked.request(), b"arn", &mut out);
        assert_eq!(out, br#"{"type":"TOKEN","authorizationToken":"t","methodArn":"arn"}"#);
    }

    const GOOD: &str = r#"{"principalId":"u","policyDocument":{"Version":"2012-10-17","Statement":[]}}"#;
    const UNKNOWN: &str = r#"{"errorMessage":"Unauthorized","errorType":"Error"}"#;

    #[test]
    fn what_a_status_means() {
        let rule = rule(Event::Version1, IdentitySources::default());
        let function = LambdaRule { is_function: true, ..rule.clone() };
        let heard = |rule: &LambdaRule, status, has_failed, body: &str| match rule.hear(
            Kind::Rest,
            (status, has_failed),
            body.as_bytes(),
        ) {
            Ok(_) => "an answer".to_owned(),
            Err(silence) => format!("{silence:?}"),
        };
        for (rule, status, has_failed, body, expected, row) in [
            (&rule, 401, false, "", "Unauthorized", "A-09"),
            (&rule, 403, false, "", "an answer", "A-09"),
            (&rule, 500, false, "", "Status(500)", "A-09"),
            (&rule, 302, false, "", "Status(302)", "A-09"),
            (&function, 200, true, UNKNOWN, "Unauthorized", "A-09"),
            (&function, 200, true, r#"{"errorMessage":"Unauthorized: no"}"#, "Function", "exactly"),
            (&function, 200, true, GOOD, "Function", "A-09"),
            (&function, 200, true, "not JSON", "Function", "A-09"),
            (&function, 401, false, "", "Status(401)", "it is Lambda that refuses"),
            (&function, 403, false, "", "Status(403)", "it is Lambda that refuses"),
        ] {
            assert_eq!(heard(rule, status, has_failed, body), expected, "{row}: {status} {body}");
        }
        assert_eq!(heard(&rule, 201, true, GOOD), heard(&function, 200, false, GOOD));
    }
}
