//! Routing rules: a host's requests go to stages by header and base path, lowest priority number first (DM-05).

use crate::{
    glob::Glob,
    limits::{RULE_ALTERNATIVES_MAX, RULE_HEADER_GROUPS_MAX, RULE_HEADER_NAME_BYTES_MAX, RULE_PRIORITIES, RULES_MAX},
    mapping::{MapFault, StageRef, base_path},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One rule as an operator writes it. All conditions must hold; a rule without any takes every request.
#[derive(Clone, Debug)]
pub struct RoutingRule {
    /// One of `limits::RULE_PRIORITIES`, each once for a host; the lowest number is tried first.
    pub priority: u32,
    /// Groups, at most `limits::RULE_HEADER_GROUPS_MAX`; of each, one pair must fit: a header's name in lower case, and its value.
    pub headers: Vec<Vec<(String, Glob)>>,
    /// One of them must be the front of the path, by whole segments; case counts. Written as for `Builder::map`.
    pub base_paths: Option<Vec<String>>,
    /// Where the request goes; the stage does not stand in the path.
    pub stage: StageRef,
    /// Whether the base path is cut off before the API sees the path.
    pub strip_base_path: bool,
}

/// Which of a host's rules and mappings are asked (DM-05).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutingMode {
    /// Mappings alone; rules wait.
    #[default]
    MappingsOnly,
    /// Rules alone; mappings wait.
    RulesOnly,
    /// Rules, and mappings if none fits.
    RulesThenMappings,
}

/// Why a rule cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleFault {
    /// Its priority is none of `limits::RULE_PRIORITIES`.
    Priority,
    /// A rule of this host has this priority.
    SamePriority,
    /// The host has `limits::RULES_MAX` rules already.
    TooManyRules,
    /// More than `limits::RULE_HEADER_GROUPS_MAX` groups of headers.
    TooManyGroups,
    /// More than `limits::RULE_ALTERNATIVES_MAX` headers in a group, or base paths.
    TooManyAlternatives,
    /// A group without headers, or no base path in the list: nothing could fit it.
    NoAlternative,
    /// A header's name that no request can have: a token in lower case is needed, of `limits::RULE_HEADER_NAME_BYTES_MAX` bytes at most.
    HeaderName {
        /// The group, from zero.
        group: usize,
        /// The pair in the group, from zero.
        at: usize,
    },
    /// A base path that cannot be.
    BasePath {
        /// The base path, from zero.
        at: usize,
        /// What is wrong with it.
        fault: MapFault,
    },
    /// WebSocket APIs cannot share a host with REST and HTTP APIs (DM-03).
    Mixed,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Priority => "a priority is a number from 1 to 1,000,000",
            Self::SamePriority => "a rule of this host has this priority already",
            Self::TooManyRules => "a host has at most 50 rules",
            Self::TooManyGroups => "a rule has at most two groups of headers",
            Self::TooManyAlternatives => "a condition has at most 32 alternatives",
            Self::NoAlternative => "a condition without alternatives fits nothing",
            Self::HeaderName { .. } => "a header's name has letters, digits and `!#$%&'*+-.^_`|~` only, at most 39",
            Self::BasePath { fault, .. } => return fault.fmt(f),
            Self::Mixed => return MapFault::Mixed.fmt(f),
        })
    }
}

impl std::error::Error for RuleFault {}

/// Headers by name in lower case; one must fit.
type Group = Box<[(Box<str>, Glob)]>;

/// A frozen rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) priority: u32,
    headers: Box<[Group]>,
    /// Longest first, so that the longest one that fits is cut off.
    base_paths: Option<Box<[Box<[u8]>]>>,
    pub(crate) stage: StageRef,
    strip_base_path: bool,
}

impl Rule {
    /// Checks a rule that stands beside `known`, sorted by priority; also says where it belongs among them.
    pub(crate) fn new(rule: RoutingRule, known: &[Self]) -> Result<(usize, Self), RuleFault> {
        let RoutingRule { priority, headers, base_paths, stage, strip_base_path } = rule;
        if !RULE_PRIORITIES.contains(&priority) {
            return Err(RuleFault::Priority);
        }
        let Err(place) = known.binary_search_by_key(&priority, |rule| rule.priority) else {
            return Err(RuleFault::SamePriority);
        };
        if known.len() >= RULES_MAX {
            return Err(RuleFault::TooManyRules);
        }
        if headers.len() > RULE_HEADER_GROUPS_MAX {
            return Err(RuleFault::TooManyGroups);
        }
        let lens = headers.iter().map(Vec::len).chain(base_paths.iter().map(Vec::len));
        for len in lens {
            if len == 0 {
                return Err(RuleFault::NoAlternative);
            }
            if len > RULE_ALTERNATIVES_MAX {
                return Err(RuleFault::TooManyAlternatives);
            }
        }
        for (group, pairs) in headers.iter().enumerate() {
            if let Some(at) = pairs.iter().position(|(name, _)| !is_name(name)) {
                return Err(RuleFault::HeaderName { group, at });
            }
        }
        let base_paths = base_paths.map(|list| sorted(&list)).transpose()?;
        let group = |pairs: Vec<(String, Glob)>| pairs.into_iter().map(|(name, glob)| (name.into(), glob)).collect();
        let headers = headers.into_iter().map(group).collect();
        Ok((place, Self { priority, headers, base_paths, stage, strip_base_path }))
    }

    /// Where the API's own path begins, if the rule takes the request.
    #[inline]
    pub(crate) fn fits(&self, path: &[u8], header: &mut impl FnMut(&str, &Glob) -> bool) -> Option<usize> {
        let mut rest = 0;
        if let Some(base_paths) = &self.base_paths {
            rest = base_paths.iter().find_map(|base| front(path, base))?;
        }
        let fits = self.headers.iter().all(|group| group.iter().any(|(name, glob)| header(name, glob)));
        fits.then_some(if self.strip_base_path { rest } else { 0 })
    }
}

/// Where `base` ends at the front of `path`, if it stands there in whole segments.
fn front(path: &[u8], base: &[u8]) -> Option<usize> {
    if base.is_empty() {
        return Some(0);
    }
    let end = 1 + base.len();
    let fits = path.get(1..end) == Some(base) && path.get(end).is_none_or(|&byte| byte == b'/');
    fits.then_some(end)
}

/// The base paths without their outer slashes, the longest first.
fn sorted(list: &[String]) -> Result<Box<[Box<[u8]>]>, RuleFault> {
    let mut keys: Vec<Box<[u8]>> = Vec::with_capacity(list.len());
    for (at, text) in list.iter().enumerate() {
        let key = base_path(text).map_err(|fault| RuleFault::BasePath { at, fault })?;
        keys.push(key.as_bytes().into());
    }
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    Ok(keys.into())
}

/// A field name (RFC 9110 §5.1) in lower case, not too long.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= RULE_HEADER_NAME_BYTES_MAX && name.bytes().all(allowed)
}
