//! IAM policies: who may do what under which conditions, as API Gateway's resource policies, the principals of SigV4 and the answers of
//! Lambda authorizers say it (A-07, A-12, POL-01 to POL-03).
//!
//! A document is read once ([`Policy::parse`]): what is not understood is refused, for a restriction that nobody applies is none. What is
//! asked about a request ([`Policy::decide`]) costs no allocation: names of actions are compared when the document is read, ranges of
//! addresses are looked up in sorted lists, and patterns never go back further than one star.

mod condition;
mod date;
mod document;
mod key;
mod parse;
mod pattern;
mod principal;
mod request;
pub mod slow;

use serde::{Deserialize, Serialize};

use self::condition::Condition;
pub use self::key::Key;
pub use self::parse::{Fault, Form};
use self::pattern::Pattern;
use self::principal::Principals;
pub use self::request::{Action, Request, Who, write_arn, write_denial};

/// A compiled policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Those that deny stand first, so that the first one that fits decides.
    statements: Box<[Statement]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    /// Its place in the document.
    number: u16,
    denies: bool,
    /// One bit for each [`Action`].
    actions: u8,
    principals: Principals,
    resources: Resources,
    conditions: Box<[Condition]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resources {
    /// Whether all but these are meant.
    negated: bool,
    list: Box<[Resource]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    /// Whether it is about what stands behind the API's ARN, from its first slash on, and not about the whole ARN.
    of_this_api: bool,
    pattern: Pattern,
}

/// What a policy says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allow,
    /// A statement denies it: nothing else counts.
    ExplicitDeny,
    /// No statement speaks of it.
    ImplicitDeny,
}

impl Decision {
    /// What this policy and another one of the same account say together (POL-03, table A): one that allows is enough, one that
    /// denies decides.
    #[must_use]
    pub const fn or(self, other: Decision) -> Decision {
        match (self, other) {
            (Self::ExplicitDeny, _) | (_, Self::ExplicitDeny) => Self::ExplicitDeny,
            (Self::Allow, _) | (_, Self::Allow) => Self::Allow,
            (Self::ImplicitDeny, Self::ImplicitDeny) => Self::ImplicitDeny,
        }
    }

    /// What this policy and one of another account say together (POL-03, table B): both must allow.
    #[must_use]
    pub const fn and(self, other: Decision) -> Decision {
        match (self, other) {
            (Self::ExplicitDeny, _) | (_, Self::ExplicitDeny) => Self::ExplicitDeny,
            (Self::Allow, Self::Allow) => Self::Allow,
            _ => Self::ImplicitDeny,
        }
    }
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing that is not understood or not allowed, and where it stands.
    pub fn parse(json: &[u8], form: Form) -> Result<Policy, Fault> {
        parse::policy(json, form)
    }

    /// One that denies everything to everybody: it stands for a document that cannot be used.
    pub fn nobody() -> Policy {
        let resources = Resources { negated: true, list: Box::default() };
        let (principals, actions) = (Principals::everybody(), u8::MAX);
        let statement =
            Statement { number: 0, denies: true, actions, principals, resources, conditions: Box::default() };
        Policy { statements: Box::new([statement]) }
    }

    /// What it says of a request.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.judge(request).0
    }

    /// The same, with the number of the statement that decides, as the document counts them from nought.
    pub fn judge(&self, request: &Request<'_>) -> (Decision, Option<u16>) {
        let found = self.statements.iter().find(|statement| statement.fits(request));
        let decision = match found {
            Some(statement) if statement.denies => Decision::ExplicitDeny,
            Some(_) => Decision::Allow,
            None => Decision::ImplicitDeny,
        };
        (decision, found.map(|statement| statement.number))
    }

    /// Whether a condition looks at this key: some of them never have a value here.
    pub fn reads(&self, key: &Key) -> bool {
        self.statements.iter().any(|statement| statement.conditions.iter().any(|condition| condition.key == *key))
    }
}

impl Statement {
    fn fits(&self, request: &Request<'_>) -> bool {
        self.actions & request.action.bit() != 0
            && self.principals.mean(request.who.as_ref())
            && self.resources.mean(request)
            && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

impl Resources {
    fn mean(&self, request: &Request<'_>) -> bool {
        let whole = request.resource;
        let below = memchr::memchr(b'/', whole).map_or(&b""[..], |slash| &whole[slash..]);
        let fits = |one: &Resource| one.pattern.matches(if one.of_this_api { below } else { whole }, request);
        self.list.iter().any(fits) != self.negated
    }
}

#[cfg(test)]
mod tests;
