//! Host names: exact, `*.example.com`, `{api}.execute-api.*` and `*` (DM-01, RT-17).

use crate::{
    limits::{HOST_BYTES_MAX, LABEL_BYTES_MAX},
    names::Names,
};
use std::fmt;

/// A host that an operator maps to APIs.
///
/// `*.example.com` stands for exactly one label, as in certificates: `a.example.com`, but neither `example.com` nor `a.b.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Exact(Box<str>),
    /// What follows `*.`.
    Wildcard(Box<str>),
    Any,
}

/// Why a text is no host pattern, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFault {
    /// Byte offset in the text given to [`HostPattern::parse`].
    pub offset: usize,
    /// What is wrong there.
    pub what: HostProblem,
}

/// What can be wrong with a host pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostProblem {
    /// No text, or an empty label.
    Empty,
    /// A character that host names may not have: letters, digits, `-` and `_` are allowed. A port is not part of the name.
    Character,
    /// A `*` that is not the whole first label (DM-01).
    Wildcard,
    /// Longer than `limits::HOST_BYTES_MAX`, or a label longer than `limits::LABEL_BYTES_MAX`.
    TooLong,
}

impl HostPattern {
    /// Parses `api.example.com`, `*.example.com`, `*`, `192.0.2.1` or `[2001:db8::1]`. Case and one trailing dot do not matter.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        let fault = |offset, what| Err(HostFault { offset, what });
        if text == "*" {
            return Ok(Self(Shape::Any));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > HOST_BYTES_MAX {
            return fault(HOST_BYTES_MAX, HostProblem::TooLong);
        }
        if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return match inner.bytes().position(|byte| !byte.is_ascii_hexdigit() && byte != b':' && byte != b'.') {
                None if inner.is_empty() => fault(1, HostProblem::Empty),
                None => Ok(Self(Shape::Exact(name.to_ascii_lowercase().into()))),
                Some(at) => fault(1 + at, HostProblem::Character),
            };
        }
        let (base, suffix) = name.strip_prefix("*.").map_or((0, name), |rest| (2, rest));
        let mut at = base;
        for label in suffix.split('.') {
            if label.is_empty() {
                return fault(at, HostProblem::Empty);
            }
            if label.len() > LABEL_BYTES_MAX {
                return fault(at, HostProblem::TooLong);
            }
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if let Some(bad) = label.bytes().position(|byte| !allowed(byte)) {
                let what = if label.as_bytes()[bad] == b'*' { HostProblem::Wildcard } else { HostProblem::Character };
                return fault(at + bad, what);
            }
            at += label.len() + 1;
        }
        let name = suffix.to_ascii_lowercase().into();
        Ok(Self(if base == 0 { Shape::Exact(name) } else { Shape::Wildcard(name) }))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Exact(name) => f.write_str(name),
            Shape::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Shape::Any => f.write_str("*"),
        }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.what {
            HostProblem::Empty => "a host name has no empty label",
            HostProblem::Character => "a host name has letters, digits, `-`, `_` and dots only, and no port",
            HostProblem::Wildcard => "`*` may only be the whole first label, as in `*.example.com`",
            HostProblem::TooLong => "a host name has at most 253 bytes, a label 63",
        })
    }
}

impl std::error::Error for HostFault {}

/// Who answers a host: the number of a site, or an API under its execute-api name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answerer {
    Site(u32),
    Api(u32),
}

/// The frozen hosts.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    exact: Names,
    wildcard: Names,
    apis: Names,
    any: Option<u32>,
}

impl Hosts {
    /// `sites` by number; `apis` by id, whether or not they answer under their execute-api name.
    pub(crate) fn new(sites: &[HostPattern], apis: &[(String, u32)]) -> Self {
        let (mut exact, mut wildcard, mut any) = (Vec::new(), Vec::new(), None);
        for (site, number) in sites.iter().zip(0..) {
            match &site.0 {
                Shape::Exact(name) => exact.push((name.to_string(), number)),
                Shape::Wildcard(suffix) => wildcard.push((suffix.to_string(), number)),
                Shape::Any => any = Some(number),
            }
        }
        Self { exact: Names::new(&exact), wildcard: Names::new(&wildcard), apis: Names::new(apis), any }
    }

    /// Exact name, then wildcard, then `{api}.execute-api.*` if the listener allows it, then `*`. A name that looks like execute-api but
    /// names no API there is like any other host.
    #[inline]
    pub(crate) fn get(&self, host: &[u8], execute_api: bool) -> Option<Answerer> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        if let Some(site) = self.exact.get(host) {
            return Some(Answerer::Site(site));
        }
        if (execute_api || !self.wildcard.is_empty())
            && let Some(dot) = host.iter().position(|&byte| byte == b'.')
        {
            let (label, suffix) = (&host[..dot], &host[dot + 1..]);
            if dot > 0
                && let Some(site) = self.wildcard.get(suffix)
            {
                return Some(Answerer::Site(site));
            }
            if execute_api
                && is_execute_api(suffix)
                && let Some(api) = self.apis.get(label)
            {
                return Some(Answerer::Api(api));
            }
        }
        self.any.map(Answerer::Site)
    }
}

/// The first label of an execute-api name.
pub(crate) fn execute_api_label(host: &[u8]) -> Option<&[u8]> {
    let dot = host.iter().position(|&byte| byte == b'.')?;
    let suffix = host[dot + 1..].strip_suffix(b".").unwrap_or(&host[dot + 1..]);
    is_execute_api(suffix).then_some(&host[..dot])
}

/// Whether what follows the first label is `execute-api.` and something more.
fn is_execute_api(suffix: &[u8]) -> bool {
    const LABEL: &[u8] = b"execute-api.";
    suffix.len() > LABEL.len() && suffix[..LABEL.len()].eq_ignore_ascii_case(LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(sites: &[&str], apis: &[&str]) -> Hosts {
        let sites: Vec<HostPattern> = sites.iter().map(|site| HostPattern::parse(site).expect(site)).collect();
        let apis: Vec<(String, u32)> = apis.iter().zip(0..).map(|(api, i)| ((*api).to_owned(), i)).collect();
        Hosts::new(&sites, &apis)
    }

    #[test]
    fn patterns_read_back_in_lower_case() {
        for (text, shown) in [
            ("API.Example.com.", "api.example.com"),
            ("*.Example.com", "*.example.com"),
            ("*", "*"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("my_host.x", "my_host.x"),
        ] {
            assert_eq!(HostPattern::parse(text).expect(text).to_string(), shown);
        }
    }

    #[test]
    fn faults_name_their_place() {
        use HostProblem as P;
        let label = "a".repeat(LABEL_BYTES_MAX + 1);
        let long = "a.".repeat(HOST_BYTES_MAX / 2) + "abc";
        let table = [
            ("", 0, P::Empty),
            (".", 0, P::Empty),
            ("a..b", 2, P::Empty),
            (".a", 0, P::Empty),
            ("*.", 1, P::Wildcard),
            ("**", 0, P::Wildcard),
            ("a.*.b", 2, P::Wildcard),
            ("*.*.b", 2, P::Wildcard),
            ("a*.b", 1, P::Wildcard),
            ("a.b:80", 3, P::Character),
            ("a/b", 1, P::Character),
            ("[]", 1, P::Empty),
            ("[::g]", 3, P::Character),
            (label.as_str(), 0, P::TooLong),
            (long.as_str(), HOST_BYTES_MAX, P::TooLong),
        ];
        for (text, offset, what) in table {
            let fault = HostPattern::parse(text).expect_err(text);
            // "*." loses its trailing dot first, so the lone star is the first label of an exact name.
            let offset = if text == "*." { 0 } else { offset };
            assert_eq!((fault.offset, fault.what), (offset, what), "{text}");
        }
    }

    #[test]
    fn the_more_specific_name_wins() {
        let hosts = hosts(
            &["*", "*.example.com", "api.example.com", "known.execute-api.test", "*.execute-api.wild"],
            &["known", "other"],
        );
        let table = [
            ("api.example.com", true, Answerer::Site(2)),
            ("API.EXAMPLE.COM.", true, Answerer::Site(2)),
            ("b.example.com", true, Answerer::Site(1)),
            ("B.Example.Com", false, Answerer::Site(1)),
            ("known.execute-api.test", true, Answerer::Site(3)),
            ("other.execute-api.test", true, Answerer::Api(1)),
            ("OTHER.Execute-API.eu-west-1.amazonaws.com", true, Answerer::Api(1)),
            ("other.execute-api.wild", true, Answerer::Site(4)),
            ("other.execute-api.test", false, Answerer::Site(0)),
            ("nobody.execute-api.test", true, Answerer::Site(0)),
            ("other.execute-api", true, Answerer::Site(0)),
            ("other.execute-api.", true, Answerer::Site(0)),
            ("example.com", true, Answerer::Site(0)),
            (".example.com", true, Answerer::Site(0)),
            ("a.b.example.com", true, Answerer::Site(0)),
            ("", true, Answerer::Site(0)),
            (".", true, Answerer::Site(0)),
        ];
        for (host, execute_api, expect) in table {
            assert_eq!(hosts.get(host.as_bytes(), execute_api), Some(expect), "{host} {execute_api}");
        }
    }

    #[test]
    fn without_a_star_other_hosts_have_no_answer() {
        let hosts = hosts(&["api.example.com"], &["known"]);
        assert_eq!(hosts.get(b"example.com", true), None);
        assert_eq!(hosts.get(b"known.execute-api.x", false), None);
        assert_eq!(hosts.get(b"known.execute-api.x", true), Some(Answerer::Api(0)));
    }
}
