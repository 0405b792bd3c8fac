//! The firewall (POL-04): rules on addresses, heads and sizes, asked before anything else of a stage. Our WAF.
//!
//! Rules stand in an order, and the first one that holds and decides ends it; one that only counts ends nothing. What is asked of a request
//! costs no allocation where nothing has to be decoded, and takes a time that grows with the lengths of the request and of the rules, never
//! with their product squared: ranges of addresses are looked up in sorted lists, and patterns are run by automata.
//!
//! Bodies are not read. Fields that concern the client's connection alone, and names with `_`, reach no backend and are not looked at.

mod condition;
mod expression;
mod managed;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tests;
mod text;

use std::net::IpAddr;
use std::sync::Arc;

use codec::head::RequestHead;
use serde::{Deserialize, Serialize};

pub use self::condition::{Part, Test, When};
pub use self::expression::{Search, SearchFault};
pub use self::managed::{Group, Managed};
pub use self::text::{Compare, Step, Subject, TextTest, Work};
use crate::limits;
use crate::networks::Networks;
use crate::rules::Line;
use crate::throttle::Limit;

/// The rules of an API, or of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Firewall {
    parts: Parts,
}

/// What a firewall is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Whether it blocks what no rule decides.
    pub blocks: bool,
    /// Sets of addresses, by [`Test::Address`].
    pub sets: Arc<[Networks]>,
    /// In their order. A copy has patterns of its own, which no two threads have to lock.
    pub rules: Box<[Rule]>,
    /// Where it is written.
    pub line: Line,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// In metrics and logs: letters, digits, `-` and `_`; no other rule has it.
    pub name: Box<str>,
    /// Of which requests.
    pub when: When,
    /// Of these those whose client is too fast by its address; `None`: all.
    pub rate: Option<Rate>,
    /// What becomes of them.
    pub then: Then,
    /// Where it is written.
    pub line: Line,
}

/// How fast the clients of a rule may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Of each address.
    pub limit: Limit,
    /// How many of them are told apart.
    pub clients: u32,
}

/// What a rule does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// It passes, and no later rule is asked.
    Allow,
    /// It is refused.
    Block,
    /// It is counted, and the next rule is asked.
    Count,
}

impl Then {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::Count => "count",
        }
    }
}

/// What a firewall says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may pass.
    pub passes: bool,
    /// The number of the rule that says so; `None`: no rule decides.
    pub rule: Option<usize>,
}

/// A request as rules see it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The client's; `None`: a peer of a Unix socket.
    pub address: Option<IpAddr>,
    /// The parsed head; its spans are places in `head_bytes`.
    pub head: &'a RequestHead,
    /// The received head.
    pub head_bytes: &'a [u8],
    /// The canonical path: of an API's firewall below stage or base path, of the gateway's the whole.
    pub path: &'a [u8],
    /// Bytes of the body; `None`: its end is not said ahead.
    pub body: Option<u64>,
}

/// A file, or a caller, has a firewall that no document can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsound(pub &'static str);

impl std::fmt::Display for Unsound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl TryFrom<Parts> for Firewall {
    type Error = Unsound;

    fn try_from(parts: Parts) -> Result<Self, Unsound> {
        let Parts { sets, rules, .. } = &parts;
        let conditions = || rules.iter().map(|rule| rule.when.count());
        let patterns = || rules.iter().map(|rule| rule.when.patterns());
        if rules.len() > limits::FIREWALL_RULES_MAX || sets.len() > limits::FIREWALL_NETWORKS_MAX {
            return Err(Unsound("too many rules or sets of a firewall"));
        }
        if conditions().sum::<usize>() > limits::FIREWALL_CONDITIONS_MAX
            || patterns().sum::<usize>() > limits::FIREWALL_PATTERNS_MAX
            || rules.iter().filter(|rule| rule.rate.is_some()).count() > limits::FIREWALL_RATES_MAX
        {
            return Err(Unsound("too many conditions of a firewall"));
        }
        let is_name = |rule: &Rule| is_rule_name(&rule.name) && &*rule.name != DEFAULT;
        if !rules.iter().all(is_name) || !rules.iter().all(|rule| rule.when.knows(sets.len())) {
            return Err(Unsound("a rule of a firewall without a name, or without its set"));
        }
        Ok(Self { parts })
    }
}

impl From<Firewall> for Parts {
    fn from(firewall: Firewall) -> Self {
        firewall.parts
    }
}

/// What stands for a rule's name where no rule decides.
pub const DEFAULT: &str = "default";

/// Whether a rule may be called so: it is a label of metrics, and stands in logs.
pub fn is_rule_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !name.is_empty() && name.len() <= limits::FIREWALL_NAME_BYTES_MAX && name.bytes().all(fits)
}

impl Firewall {
    /// In their order.
    pub fn rules(&self) -> &[Rule] {
        &self.parts.rules
    }

    /// Whether it blocks what no rule decides.
    pub const fn blocks(&self) -> bool {
        self.parts.blocks
    }

    /// Where it is written.
    pub const fn line(&self) -> Line {
        self.parts.line
    }

    /// Whether it says the same, wherever that stands.
    pub fn says_as(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.parts, &other.parts);
        let same =
            |(a, b): (&Rule, &Rule)| a.name == b.name && a.when == b.when && a.rate == b.rate && a.then == b.then;
        ours.blocks == theirs.blocks
            && ours.sets == theirs.sets
            && ours.rules.len() == theirs.rules.len()
            && ours.rules.iter().zip(&*theirs.rules).all(same)
    }

    /// What becomes of a request. `too_fast` is asked of a rule with a rate, by its number, where all else of it holds; `holds` is told
    /// every rule that holds, by its number.
    pub fn decide(
        &self,
        request: &Request<'_>,
        work: &mut Work,
        mut too_fast: impl FnMut(usize) -> bool,
        mut holds: impl FnMut(usize),
    ) -> Verdict {
        for (number, rule) in self.parts.rules.iter().enumerate() {
            if !rule.when.holds(request, &self.parts.sets, work) || (rule.rate.is_some() && !too_fast(number)) {
                continue;
            }
            holds(number);
            match rule.then {
                Then::Count => {}
                Then::Allow => return Verdict { passes: true, rule: Some(number) },
                Then::Block => return Verdict { passes: false, rule: Some(number) },
            }
        }
        Verdict { passes: !self.parts.blocks, rule: None }
    }
}
