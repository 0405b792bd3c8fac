//! The slow twin of the firewall: the same questions of plain texts, in the most obvious way. Tests hold the engine against it.

use std::net::{IpAddr, Ipv4Addr};

use super::{Compare, Part, Search, Step, Subject, Test, TextTest, Then, When};
use crate::networks::{Network, Networks};

/// What a rule asks, as a test writes it.
#[derive(Debug, Clone)]
pub enum Ask {
    All(Vec<Ask>),
    Any(Vec<Ask>),
    Not(Box<Ask>),
    /// IPv4 ranges.
    Address(Vec<(u32, u8)>),
    Verb(String),
    Larger(u8, u64),
    /// Which text, whether it is made small before, how it is compared, and with what.
    Text(u8, bool, u8, String),
}

/// A request of plain texts.
#[derive(Debug, Clone)]
pub struct Plain {
    pub ip: u32,
    pub verb: String,
    pub path: String,
    /// The values of the parameter `a`, without anything that has to be decoded.
    pub values: Vec<String>,
    /// Of the field `x-a`.
    pub field: Option<String>,
    pub body: Option<u64>,
}

impl Plain {
    /// The head that a client sends.
    pub fn bytes(&self) -> Vec<u8> {
        let query: Vec<String> = self.values.iter().map(|value| format!("a={value}")).collect();
        let field = self.field.as_ref().map_or(String::new(), |field| format!("X-A: {field}\r\n"));
        format!("{} {}?{} HTTP/1.1\r\nHost: h\r\n{field}\r\n", self.verb, self.path, query.join("&")).into_bytes()
    }
}

impl Ask {
    /// The same for the engine.
    pub fn when(&self, sets: &mut Vec<Networks>) -> When {
        match self {
            Self::All(list) => When::All(list.iter().map(|ask| ask.when(sets)).collect()),
            Self::Any(list) => When::Any(list.iter().map(|ask| ask.when(sets)).collect()),
            Self::Not(ask) => When::Not(Box::new(ask.when(sets))),
            Self::Address(ranges) => {
                let network = |(ip, bits): &(u32, u8)| {
                    let ip = IpAddr::V4(Ipv4Addr::from_bits(*ip));
                    Network::new(ip, *bits).unwrap_or_else(|meant| meant.expect("few bits"))
                };
                sets.push(Networks::new(ranges.iter().map(network), false));
                When::Is(Test::Address(sets.len() as u16 - 1))
            }
            Self::Verb(verb) => When::Is(Test::Method([verb.as_str().into()].into())),
            Self::Larger(part, bytes) => {
                let part = [Part::Path, Part::Query, Part::Body][usize::from(*part)];
                When::Is(Test::Larger(part, *bytes))
            }
            Self::Text(subject, small, how, text) => {
                let subject = [Subject::Path, Subject::Parameter("a".into()), Subject::Header("x-a".into())]
                    [usize::from(*subject)]
                .clone();
                let texts: Box<[Box<str>]> = [text.as_str().into()].into();
                let compare = match how {
                    0 => Compare::Equals(texts),
                    1 => Compare::Prefix(texts),
                    2 => Compare::Suffix(texts),
                    3 => Compare::Finds(Search::of_texts(texts).expect("a text")),
                    _ => Compare::Present,
                };
                let steps = if *small { vec![Step::Lowercase] } else { Vec::new() };
                When::Is(Test::Text(Box::new(TextTest { subject, steps: steps.into(), compare })))
            }
        }
    }

    /// Whether it holds.
    pub fn holds(&self, plain: &Plain) -> bool {
        match self {
            Self::All(list) => !list.iter().any(|ask| !ask.holds(plain)),
            Self::Any(list) => list.iter().filter(|ask| ask.holds(plain)).count() > 0,
            Self::Not(ask) => !ask.holds(plain),
            Self::Address(ranges) => {
                ranges.iter().any(|(ip, bits)| *bits == 0 || (ip ^ plain.ip) >> (32 - u32::from(*bits)) == 0)
            }
            Self::Verb(verb) => *verb == plain.verb,
            Self::Larger(0, bytes) => plain.path.len() as u64 > *bytes,
            Self::Larger(1, bytes) => {
                let all: usize = plain.values.iter().map(|value| value.len() + 3).sum();
                all.saturating_sub(1) as u64 > *bytes
            }
            Self::Larger(_, bytes) => plain.body.is_none_or(|body| body > *bytes),
            Self::Text(subject, small, how, text) => {
                let all: Vec<&String> = match subject {
                    0 => vec![&plain.path],
                    1 => plain.values.iter().collect(),
                    _ => plain.field.iter().collect(),
                };
                all.iter().any(|found| {
                    let found = if *small { found.to_lowercase() } else { (*found).clone() };
                    match how {
                        0 => found == *text,
                        1 => found.len() >= text.len() && found[..text.len()] == **text,
                        2 => found.len() >= text.len() && found[found.len() - text.len()..] == **text,
                        3 => (0..=found.len()).any(|at| found[at..].starts_with(text.as_str())),
                        _ => true,
                    }
                })
            }
        }
    }
}

/// Whether it passes, by which rule, and which rules hold.
pub fn decide(rules: &[(Ask, Then)], blocks: bool, plain: &Plain) -> (bool, Option<usize>, Vec<usize>) {
    let holds: Vec<usize> = (0..rules.len()).filter(|at| rules[*at].0.holds(plain)).collect();
    let first = holds.iter().copied().find(|at| rules[*at].1 != Then::Count);
    let passes = first.map_or(!blocks, |at| rules[at].1 == Then::Allow);
    (passes, first, holds.into_iter().filter(|at| first.is_none_or(|first| *at <= first)).collect())
}
