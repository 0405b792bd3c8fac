//! Who decides on the callers of an API, compiled.

use policy::authorize::lambda::LambdaRule;
use serde::{Deserialize, Serialize};

/// An authorizer of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorizer {
    /// Its name in the document: what is remembered of it outlives a reload under this name, beside the API's id.
    pub name: Box<str>,
    /// How it decides.
    pub rule: AuthorizerRule,
}

/// How an authorizer decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizerRule {
    /// A function, or an HTTP endpoint, is asked.
    Lambda(Box<LambdaRule>),
}
