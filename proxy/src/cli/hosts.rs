//! Domains in words: which of them a host means, which of its rules and base paths a request fits, and how they read.

use config::{Mapping, Rule, Snapshot};
use router::Glob;

/// The domain that answers a host, as written; `None`: an execute-api name, or nobody.
pub fn domain_of<'a>(snapshot: &'a Snapshot, host: &str, execute_api: bool) -> Option<&'a str> {
    let of_mappings = snapshot.mappings.iter().map(|mapping| &*mapping.domain);
    let names = of_mappings.chain(snapshot.rules.iter().map(|rule| &*rule.domain));
    let fitting = names.filter(|domain| fits(domain, host)).max_by_key(|domain| specificity(domain))?;
    let is_api = snapshot.apis.iter().any(|api| is_execute_api(host, &api.id));
    // `*` is asked after execute-api names, any other domain before them.
    (fitting != "*" || !(execute_api && is_api)).then_some(fitting)
}

/// The names of all domains, each once, in the order of the document.
pub fn domains(snapshot: &Snapshot) -> Vec<&str> {
    let of_mappings = snapshot.mappings.iter().map(|mapping| &*mapping.domain);
    let mut names: Vec<&str> = Vec::new();
    for name in of_mappings.chain(snapshot.rules.iter().map(|rule| &*rule.domain)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The rules of a domain, in the order in which they are asked.
pub fn rules<'a>(snapshot: &'a Snapshot, domain: &str) -> impl Iterator<Item = &'a Rule> {
    snapshot.rules.iter().filter(move |rule| *rule.domain == *domain)
}

/// The mappings of a domain.
pub fn mappings<'a>(snapshot: &'a Snapshot, domain: &str) -> impl Iterator<Item = &'a Mapping> {
    snapshot.mappings.iter().filter(move |mapping| *mapping.domain == *domain)
}

/// Whether a rule takes a request.
pub fn takes(rule: &Rule, path: &[u8], mut has_field: impl FnMut(&str, &Glob) -> bool) -> bool {
    let has_any = |any: &Vec<(String, Glob)>, has: &mut dyn FnMut(&str, &Glob) -> bool| {
        any.iter().any(|(name, glob)| has(name, glob))
    };
    let on_path = rule.base_paths.as_ref().is_none_or(|list| list.iter().any(|base| begins_with(path, base)));
    on_path && rule.headers.iter().all(|any| has_any(any, &mut has_field))
}

/// Whether a path begins with a base path, by whole segments.
fn begins_with(path: &[u8], base: &str) -> bool {
    let base = if base == "(none)" { "" } else { base.trim_matches('/') };
    let rest = path.get(1..).and_then(|path| path.strip_prefix(base.as_bytes()));
    base.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// `x-version: beta* or x-tester: *, and base path /a or /b`; `any request`.
pub fn conditions(rule: &Rule) -> String {
    let mut parts: Vec<String> = Vec::new();
    for any in &rule.headers {
        let any: Vec<String> = any.iter().map(|(name, glob)| format!("{name}: {glob}")).collect();
        parts.push(any.join(" or "));
    }
    if let Some(paths) = &rule.base_paths {
        let taken = if rule.strip_base_path { ", taken off" } else { "" };
        parts.push(format!("base path {}{taken}", paths.join(" or ")));
    }
    if parts.is_empty() { "any request".to_owned() } else { parts.join(", and ") }
}

/// Whether a domain as written stands for a host: `*.example.com` for one label more.
fn fits(domain: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    match domain.strip_prefix("*.") {
        Some(suffix) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix),
        None => domain == "*" || domain == host,
    }
}

fn specificity(domain: &str) -> u8 {
    match domain {
        "*" => 0,
        _ if domain.starts_with("*.") => 1,
        _ => 2,
    }
}

/// Whether a host is `{api}.execute-api.…`.
pub fn is_execute_api(host: &str, api: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.strip_prefix(&api.to_ascii_lowercase()).is_some_and(|rest| rest.starts_with(".execute-api."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_label() {
        assert!(fits("*.a.b", "x.a.b") && fits("*", "x") && fits("A.b", "a.B."));
        assert!(!fits("*.a.b", "a.b") && !fits("*.a.b", "x.y.a.b") && !fits("a.b", "x.a.b"));
    }

    #[test]
    fn base_paths_are_whole_segments() {
        assert!(begins_with(b"/a/b", "/a") && begins_with(b"/a", "a/") && begins_with(b"/x", "(none)"));
        assert!(!begins_with(b"/ab", "/a") && !begins_with(b"/", "/a"));
    }
}
