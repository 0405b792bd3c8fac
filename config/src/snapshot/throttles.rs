//! How many requests a stage lets pass, and to whom that counts (TH-01…TH-05). The buckets themselves are the workers'.

use std::collections::BTreeMap;

use policy::rules::{Line, Rules};
use policy::throttle::Limit;
use serde::{Deserialize, Serialize};

use crate::limits;

/// A setting, and what says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said<T> {
    /// What.
    pub value: T,
    /// Where.
    pub line: Line,
}

/// When clients are told of limits in `RateLimit` fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tell {
    /// Never, nor by `Retry-After`: as API Gateway does it (TH-07).
    Never,
    /// When they are refused.
    #[default]
    Refusals,
    /// In every answer to a request that met a limit.
    Always,
}

/// What limits the requests of a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttles {
    /// Of all of its methods together.
    pub whole: Option<Said<Limit>>,
    /// Of all of its methods together, at work at once.
    pub concurrency: Option<Said<u32>>,
    /// `*/*`: of each method that is not named (TH-02).
    pub others: MethodLimits,
    /// By key, such as `GET /pets`.
    pub named: BTreeMap<Box<str>, MethodLimits>,
    /// Of each client.
    pub by: Box<[ByClient]>,
}

/// What the settings of a method say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodLimits {
    /// Requests per second; nothing inside: unlimited, whatever is said of the others.
    pub throttle: Option<Said<Option<Limit>>>,
    /// Requests at work at once.
    pub concurrency: Option<Said<u32>>,
}

/// A limit for each client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByClient {
    /// Letters, digits, `-` and `_`; no other of the stage has it.
    pub name: Box<str>,
    /// What tells clients apart.
    pub by: By,
    /// Requests per second of each.
    pub limit: Option<Limit>,
    /// Requests of each at work at once.
    pub concurrency: Option<u32>,
    /// How many of them are told apart.
    pub clients: u32,
    /// What says it.
    pub line: Line,
}

/// What tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// Their addresses.
    Address {
        /// Bits of an IPv4 address that count.
        prefix_v4: u8,
        /// Bits of an IPv6 address.
        prefix_v6: u8,
    },
    /// A header field, in lower case.
    Header(Box<str>),
    /// What the authorizer says of them.
    Claim(Box<str>),
    /// Their API keys.
    ApiKey,
}

impl By {
    /// Whether it is known before anybody has asked who the caller is.
    pub const fn is_early(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Header(_))
    }
}

impl Throttles {
    /// What holds for a method: what the stage says of it by name, else what its route says, else what the stage says of all.
    pub fn of_method(&self, key: &str, rules: &Rules) -> (Option<Said<Limit>>, Option<Said<u32>>) {
        let own = self.named.get(key).copied().unwrap_or_default();
        let of_route = rules.throttle.map(|limit| Said { value: Some(limit), line: rules.line });
        let throttle = own.throttle.or(of_route).or(self.others.throttle);
        let throttle = throttle.and_then(|said| said.value.map(|value| Said { value, line: said.line }));
        let of_route = rules.concurrency.map(|value| Said { value, line: rules.line });
        (throttle, own.concurrency.or(of_route).or(self.others.concurrency))
    }
}

impl Throttles {
    /// Whether it is as `check` lets it be; for what is read from files.
    pub fn is_sound(&self) -> bool {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.len() <= limits::THROTTLE_NAME_CHARS_MAX
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let is_by = |by: &By| match by {
            By::Address { prefix_v4, prefix_v6 } => *prefix_v4 <= 32 && *prefix_v6 <= 128,
            By::Header(_) | By::Claim(_) | By::ApiKey => true,
        };
        let at_once = self.by.iter().filter(|entry| entry.concurrency.is_some()).count();
        self.by.len() <= limits::THROTTLES_BY_MAX
            && at_once <= limits::CONCURRENCIES_BY_MAX
            && self
                .by
                .iter()
                .all(|entry| is_name(&entry.name) && is_by(&entry.by) && entry.clients <= limits::THROTTLED_CLIENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T>(value: T, line: u32) -> Said<T> {
        Said { value, line: Line(line) }
    }

    #[test]
    fn the_nearest_word_on_a_method_counts() {
        let limit = |burst| Limit { rate_micros: 1, burst };
        let route = Rules { throttle: Some(limit(2)), concurrency: Some(20), line: Line(2), ..Rules::default() };
        let mut throttles = Throttles {
            others: MethodLimits { throttle: Some(said(Some(limit(1)), 1)), concurrency: Some(said(10, 1)) },
            ..Throttles::default()
        };
        let of = |throttles: &Throttles, rules: &Rules| throttles.of_method("GET /a", rules);
        assert_eq!(of(&throttles, &Rules::default()), (Some(said(limit(1), 1)), Some(said(10, 1))), "`*/*`");
        assert_eq!(of(&throttles, &route), (Some(said(limit(2), 2)), Some(said(20, 2))), "its route");
        let own = MethodLimits { throttle: Some(said(Some(limit(3)), 3)), concurrency: None };
        throttles.named.insert("GET /a".into(), own);
        assert_eq!(of(&throttles, &route), (Some(said(limit(3), 3)), Some(said(20, 2))), "the stage, by its name");
        let own = MethodLimits { throttle: Some(said(None, 4)), concurrency: None };
        throttles.named.insert("GET /a".into(), own);
        assert_eq!(of(&throttles, &route).0, None, "unlimited, by its name");
        assert_eq!(throttles.of_method("GET /b", &Rules::default()).0, Some(said(limit(1), 1)));
    }

    #[test]
    fn files_cannot_say_what_documents_cannot() {
        let entry = |name: &str, by: By, concurrency: Option<u32>| ByClient {
            name: name.into(),
            by,
            limit: None,
            concurrency,
            clients: 10,
            line: Line(0),
        };
        let sound = |by: Vec<ByClient>| Throttles { by: by.into(), ..Throttles::default() }.is_sound();
        assert!(sound(vec![entry("a-1_b", By::Address { prefix_v4: 32, prefix_v6: 128 }, None)]));
        assert!(!sound(vec![entry("a\r\nb: c", By::ApiKey, None)]), "it is sent in answers");
        assert!(!sound(vec![entry("", By::ApiKey, None)]) && !sound(vec![entry("a\"b", By::ApiKey, None)]));
        assert!(!sound(vec![entry("a", By::Address { prefix_v4: 33, prefix_v6: 64 }, None)]));
        assert!(!sound(vec![entry("a", By::Address { prefix_v4: 32, prefix_v6: 129 }, None)]));
        assert!(!sound((0..17).map(|_| entry("a", By::ApiKey, None)).collect()));
        assert!(!sound((0..5).map(|_| entry("a", By::ApiKey, Some(1))).collect()));
        let many = ByClient { clients: limits::THROTTLED_CLIENTS_MAX + 1, ..entry("a", By::ApiKey, None) };
        assert!(!sound(vec![many]), "memory is bounded");
    }
}
