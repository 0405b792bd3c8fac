//! What an authorizer answers: an IAM policy or `isAuthorized`, who calls, and what else it says of the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::{Request, Silence};
use crate::iam::{self, Decision, Form, Policy};
use crate::identity::Identity;
use crate::limits::{AUTHORIZER_ANSWER_BYTES_MAX, AUTHORIZER_CONTEXT_MAX, AUTHORIZER_RESOURCE_BYTES_MAX};

/// An answer that can be remembered. What it allows is asked for each method anew.
#[derive(Debug)]
pub struct Answer {
    identity: Arc<Identity>,
    judge: Judge,
    /// What it was read from.
    bytes: usize,
}

#[derive(Debug)]
enum Judge {
    /// Asked about the ARN of the method.
    Policy(Policy),
    /// The same for every method.
    Simple(bool),
}

/// Why a caller who is known may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Something denies it.
    Explicit,
    /// Nothing allows it.
    Implicit,
}

impl Denial {
    /// What a REST API says of it; `None`: what is said anyway.
    pub const fn message(self) -> Option<&'static str> {
        match self {
            Self::Explicit => Some("User is not authorized to access this resource with an explicit deny"),
            Self::Implicit => None,
        }
    }
}

/// Why what an authorizer said is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// Longer than [`AUTHORIZER_ANSWER_BYTES_MAX`].
    TooLong,
    /// Not JSON, no object, or a part of it is of another type than it has to be.
    Form(Box<str>),
    /// No `principalId`, or an empty one.
    NoPrincipal,
    /// No `policyDocument`.
    NoPolicy,
    /// No `isAuthorized`.
    NoVerdict,
    /// The policy is none.
    Policy(iam::Fault),
    /// A resource of the policy is longer than [`AUTHORIZER_RESOURCE_BYTES_MAX`].
    LongResource,
    /// `context` has more than [`AUTHORIZER_CONTEXT_MAX`] values.
    LongContext,
    /// This value of `context` is an object or a list, where neither is allowed.
    NestedContext(Box<str>),
}

impl fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {AUTHORIZER_ANSWER_BYTES_MAX} bytes"),
            Self::Form(what) => f.write_str(what),
            Self::NoPrincipal => f.write_str("it has no principalId"),
            Self::NoPolicy => f.write_str("it has no policyDocument"),
            Self::NoVerdict => f.write_str("it has no isAuthorized, which is asked for by enableSimpleResponses"),
            Self::Policy(fault) => write!(f, "its policyDocument is none: {fault}"),
            Self::LongResource => {
                write!(f, "a Resource of its policy is longer than {AUTHORIZER_RESOURCE_BYTES_MAX} bytes")
            }
            Self::LongContext => write!(f, "its context has more than {AUTHORIZER_CONTEXT_MAX} values"),
            Self::NestedContext(name) => write!(f, "`{name}` of its context is an object or a list"),
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("it knows nobody by what was shown"),
            Self::Status(status) => write!(f, "it answered with status {status}"),
            Self::Function => f.write_str("the function failed"),
            Self::Answer(fault) => write!(f, "its answer cannot be used: {fault}"),
        }
    }
}

/// As it is written; what else there is, is passed over.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(rename = "principalId")]
    principal: Option<Json>,
    #[serde(rename = "policyDocument", borrow)]
    policy: Option<&'a RawValue>,
    #[serde(rename = "isAuthorized")]
    verdict: Option<Json>,
    context: Option<BTreeMap<Box<str>, Json>>,
    #[serde(rename = "usageIdentifierKey")]
    usage_key: Option<Box<str>>,
}

/// The part of a policy that has a length here and none in IAM.
#[derive(Deserialize)]
struct Resources {
    #[serde(rename = "Statement", alias = "statement", default)]
    statements: Json,
}

impl Answer {
    /// Reads an answer. `simple`: `isAuthorized` is what counts. `nests`: values of the context may be objects and lists.
    pub fn read(body: &[u8], simple: bool, nests: bool) -> Result<Self, AnswerFault> {
        if body.len() > AUTHORIZER_ANSWER_BYTES_MAX {
            return Err(AnswerFault::TooLong);
        }
        // What is passed over must be text, too (RFC 8259 §8.1): the parser does not look at it.
        let body_text = str::from_utf8(body).map_err(|error| AnswerFault::Form(error.to_string().into()))?;
        let written: Written<'_> =
            serde_json::from_str(body_text).map_err(|error| AnswerFault::Form(error.to_string().into()))?;
        let Written { principal, policy, verdict, context, usage_key } = written;
        let principal = match principal {
            Some(Json::String(text)) if !text.is_empty() => Some(Box::from(text)),
            _ => None,
        };
        let judge = if simple {
            match verdict {
                Some(Json::Bool(verdict)) => Judge::Simple(verdict),
                _ => return Err(AnswerFault::NoVerdict),
            }
        } else {
            if principal.is_none() {
                return Err(AnswerFault::NoPrincipal);
            }
            let policy = policy.ok_or(AnswerFault::NoPolicy)?.get();
            check_resources(policy)?;
            Judge::Policy(Policy::parse(policy.as_bytes(), Form::Identity).map_err(AnswerFault::Policy)?)
        };
        let principal: Box<str> = principal.unwrap_or_default();
        let fields = fields(&principal, context.unwrap_or_default(), nests)?;
        let identity = Identity { principal, fields, usage_key, ..Identity::default() };
        Ok(Self { identity: Arc::new(identity), judge, bytes: body.len() })
    }

    /// What an endpoint means that answers 403.
    pub fn denied() -> Self {
        Self { identity: Arc::default(), judge: Judge::Simple(false), bytes: 0 }
    }

    /// Its length as it was received: what it has become is two or three times as large.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who calls, whether it may or not.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Who calls, if the method may be called: `arn` is what [`Request::write_arn`] writes.
    pub fn decide(&self, request: &Request<'_>, arn: &[u8]) -> Result<&Arc<Identity>, Denial> {
        match &self.judge {
            Judge::Simple(true) => Ok(&self.identity),
            Judge::Simple(false) => Err(Denial::Explicit),
            Judge::Policy(policy) => match policy.decide(&asked(request, arn)) {
                Decision::Allow => Ok(&self.identity),
                Decision::ExplicitDeny => Err(Denial::Explicit),
                Decision::ImplicitDeny => Err(Denial::Implicit),
            },
        }
    }
}

/// The request as policies see it.
fn asked<'a>(request: &Request<'a>, arn: &'a [u8]) -> iam::Request<'a> {
    use codec::head::Name;
    let facts = &request.facts;
    iam::Request {
        action: iam::Action::Invoke,
        resource: arn,
        time_epoch_ms: facts.time_epoch_ms,
        source_ip: std::str::from_utf8(facts.source_ip).ok().and_then(|text| text.parse().ok()),
        tls: request.tls,
        referer: facts.header(Name::of(b"referer"), b"referer"),
        user_agent: facts.header(Name::UserAgent, b"user-agent"),
        who: None,
    }
}

/// What a function that failed said: `{"errorMessage":"Unauthorized"}`, and exactly this, means that it knows nobody.
pub(super) fn of_failed_function(body: &[u8]) -> Silence {
    #[derive(Deserialize)]
    struct Failed {
        #[serde(rename = "errorMessage")]
        message: Box<str>,
    }
    match serde_json::from_slice::<Failed>(body) {
        Ok(failed) if &*failed.message == "Unauthorized" => Silence::Unauthorized,
        _ => Silence::Function,
    }
}

fn check_resources(policy: &str) -> Result<(), AnswerFault> {
    // What is no policy at all is said by whoever reads it as one.
    let Ok(Resources { statements }) = serde_json::from_str(policy) else { return Ok(()) };
    let list = match &statements {
        Json::Array(list) => &list[..],
        one => std::slice::from_ref(one),
    };
    let is_long = |value: &Json| value.as_str().is_some_and(|text| text.len() > AUTHORIZER_RESOURCE_BYTES_MAX);
    let has_long = |statement: &Json| {
        let resources = ["Resource", "NotResource"].into_iter().filter_map(|name| statement.get(name));
        resources.into_iter().any(|value| match value {
            Json::Array(list) => list.iter().any(is_long),
            one => is_long(one),
        })
    };
    if list.iter().any(has_long) { Err(AnswerFault::LongResource) } else { Ok(()) }
}

/// Names and what is shown under them.
type Fields = Box<[(Box<str>, Box<str>)]>;

/// What `$context.authorizer.NAME` shows: texts as they are, other values as JSON. What is null is not there.
fn fields(principal: &str, context: BTreeMap<Box<str>, Json>, nests: bool) -> Result<Fields, AnswerFault> {
    if context.len() > AUTHORIZER_CONTEXT_MAX {
        return Err(AnswerFault::LongContext);
    }
    let mut fields = Vec::<(Box<str>, Box<str>)>::with_capacity(context.len() + 1);
    if !principal.is_empty() {
        fields.push(("principalId".into(), principal.into()));
    }
    for (name, value) in context {
        let text = match value {
            Json::Null => continue,
            Json::String(text) => text,
            Json::Object(_) | Json::Array(_) if !nests => return Err(AnswerFault::NestedContext(name)),
            value => value.to_string(),
        };
        fields.push((name, text.into()));
    }
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::json;

    use super::super::tests::Asked;
    use super::*;

    const PETS: &str = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/7";

    fn policy(effect: &str, resource: &str) -> Json {
        let statement = json!({"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    }

    fn read(json: &Json) -> Result<Answer, AnswerFault> {
        Answer::read(json.to_string().as_bytes(), false, false)
    }

    fn decision(answer: &Answer, target: &str) -> Result<Box<str>, Denial> {
        let asked = Asked::new(Kind::Rest, "/{proxy+}", target, "");
        let mut arn = Vec::new();
        assert!(asked.request().write_arn(&mut arn));
        answer.decide(&asked.request(), &arn).map(|identity| identity.principal.clone())
    }

    #[test]
    fn a_policy_is_asked_for_each_method() {
        let any = "arn:aws:execute-api:*:*:a1b2c3/prod/GET/pets/*";
        for (effect, resource, pets, cats, row) in [
            ("Allow", PETS, Ok("u".into()), Err(Denial::Implicit), "A-07"),
            ("Allow", any, Ok("u".into()), Err(Denial::Implicit), "A-07"),
            ("Allow", "*", Ok("u".into()), Ok("u".into()), "A-07"),
            ("Deny", any, Err(Denial::Explicit), Err(Denial::Implicit), "A-09"),
        ] {
            let answer = read(&json!({"principalId": "u", "policyDocument": policy(effect, resource)})).unwrap();
            assert_eq!(decision(&answer, "/pets/7"), pets, "{row}: {effect} {resource}");
            assert_eq!(decision(&answer, "/cats/7"), cats, "{row}: {effect} {resource}");
        }
        assert_eq!(decision(&Answer::denied(), "/pets/7"), Err(Denial::Explicit));
    }

    #[test]
    fn what_is_said_of_the_caller() {
        let context = json!({"a": "x", "n": 1.5, "b": true, "none": null});
        let answer = read(&json!({"principalId": "u|7", "policyDocument": policy("Allow", "*"), "context": context,
            "usageIdentifierKey": "k", "more": [1]}))
        .unwrap();
        let identity = &*answer.identity;
        assert_eq!((&*identity.principal, identity.usage_key.as_deref()), ("u|7", Some("k")));
        for (name, value) in
            [("principalId", Some("u|7")), ("a", Some("x")), ("n", Some("1.5")), ("b", Some("true")), ("none", None)]
        {
            assert_eq!(identity.field(name.as_bytes()), value, "A-07: {name}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        let good = policy("Allow", "*");
        let long = "x".repeat(AUTHORIZER_RESOURCE_BYTES_MAX + 1);
        let many: serde_json::Map<String, Json> =
            (0..=AUTHORIZER_CONTEXT_MAX).map(|number| (number.to_string(), json!(1))).collect();
        let form = |json: &Json| match read(json).unwrap_err() {
            AnswerFault::Form(_) => "form".to_owned(),
            AnswerFault::Policy(_) => "policy".to_owned(),
            fault => format!("{fault:?}"),
        };
        for (json, expected) in [
            (json!("Unauthorized"), "form"),
            (json!(null), "form"),
            (json!([]), "form"),
            (json!({}), "NoPrincipal"),
            (json!({"principalId": 7, "policyDocument": good}), "NoPrincipal"),
            (json!({"principalId": "", "policyDocument": good}), "NoPrincipal"),
            (json!({"principalId": "u"}), "NoPolicy"),
            (json!({"principalId": "u", "policyDocument": null}), "NoPolicy"),
            (json!({"principalId": "u", "policyDocument": "{}"}), "policy"),
            (json!({"principalId": "u", "policyDocument": {"Statement": [{"Effect": "Perhaps"}]}}), "policy"),
            (json!({"principalId": "u", "policyDocument": policy("Allow", &long)}), "LongResource"),
            (json!({"principalId": "u", "policyDocument": good, "context": {"o": {}}}), "NestedContext(\"o\")"),
            (json!({"principalId": "u", "policyDocument": good, "context": {"l": []}}), "NestedContext(\"l\")"),
            (json!({"principalId": "u", "policyDocument": good, "context": many}), "LongContext"),
            (json!({"principalId": "u", "policyDocument": good, "context": "x"}), "form"),
            (json!({"principalId": "u", "policyDocument": good, "usageIdentifierKey": 7}), "form"),
        ] {
            assert_eq!(form(&json), expected, "A-07, A-09: {json}");
        }
        assert!(Answer::read(b"{\"principalId\":", false, false).is_err());
        let huge = vec![b' '; AUTHORIZER_ANSWER_BYTES_MAX + 1];
        assert_eq!(Answer::read(&huge, false, false).unwrap_err(), AnswerFault::TooLong);
    }

    #[test]
    fn simple_answers() {
        let read = |json: Json| Answer::read(json.to_string().as_bytes(), true, true);
        let answer = read(json!({"isAuthorized": true, "context": {"o": {"a": [1]}}})).unwrap();
        assert_eq!(answer.identity.field(b"o"), Some("{\"a\":[1]}"), "A-08");
        assert_eq!(decision(&answer, "/any"), Ok("".into()), "A-08");
        let answer = read(json!({"isAuthorized": false})).unwrap();
        assert_eq!(decision(&answer, "/any"), Err(Denial::Explicit), "A-08");
        for json in [json!({}), json!({"isAuthorized": "true"}), json!({"principalId": "u", "policyDocument": {}})] {
            assert_eq!(read(json).unwrap_err(), AnswerFault::NoVerdict, "A-08");
        }
    }
}
