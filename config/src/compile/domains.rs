//! Which host, base path and header fields lead to which stage.

use std::collections::BTreeSet;
use std::path::Path;

use router::{Builder, Glob, GlobFault, HostPattern, MapFault, RoutingMode, RoutingRule, RuleFault};

use crate::check::domains::targets;
use crate::compile::apis::Compiled;
use crate::compile::clients::{Vault, hsts};
use crate::compile::tls::Shelf;
use crate::diagnostic::{Diagnostics, Place};
use crate::model::clients::ClientsSpec;
use crate::model::domain::{DomainSpec, HeaderMatchSpec, MappingSpec, RoutingModeSpec, RoutingRuleSpec};
use crate::snapshot::{Api, Manner, Mapping, Rule, Tls};
use crate::source::node::Text;

/// What the table knows of hosts, for people who ask why.
#[derive(Default)]
pub struct Listed {
    /// Mappings that are asked.
    pub mappings: Vec<Mapping>,
    /// Rules that are asked, of each domain by priority.
    pub rules: Vec<Rule>,
    /// All domains, and what is asked of them.
    pub domains: Vec<(Box<str>, RoutingMode)>,
}

/// Compiles the part `domains`, and lists what it leads to. Without it, an only API answers at every host.
pub fn compile(specs: &[DomainSpec], compiled: &Compiled, builder: &mut Builder, faults: &mut Diagnostics) -> Listed {
    let mut listed = Listed::default();
    if specs.is_empty() && compiled.apis.len() == 1 {
        builder.sole_api(router::ApiId(0));
    }
    for spec in specs {
        let DomainSpec { name, mappings, routing_rules, routing_mode: _, tls: _, clients: _ } = spec;
        let pattern = match HostPattern::parse(&name.text) {
            Ok(pattern) => pattern,
            Err(fault) => {
                let hint = "write a name such as api.example.com, *.example.com, or * for any other host";
                faults.error_hint(name.place_at(fault.offset), format!("domain `{}`: {fault}", name.text), hint);
                continue;
            }
        };
        let mode = mode(spec);
        builder.mode(&pattern, mode);
        listed.domains.push((name.text.clone(), mode));
        let mut domain = Domain { name, pattern, compiled, builder, faults };
        let mappings: Vec<Mapping> = mappings.iter().filter_map(|mapping| domain.map(mapping)).collect();
        let mut rules: Vec<Rule> = routing_rules.iter().filter_map(|rule| domain.rule(rule)).collect();
        rules.sort_by_key(|rule| rule.priority);
        if mode != RoutingMode::RulesOnly {
            listed.mappings.extend(mappings);
        }
        if mode != RoutingMode::MappingsOnly {
            listed.rules.extend(rules);
        }
    }
    listed
}

/// What the domains prove themselves with, what their clients have to prove, and how these are told to use TLS; by names in lower case.
#[derive(Default)]
pub struct Protected {
    /// Those with certificates of their own.
    pub tls: Vec<(Box<str>, Tls)>,
    /// All of them, if any has something to tell.
    pub manners: Vec<(Box<str>, Manner)>,
}

/// Compiles what the domains say of TLS.
pub fn protect(
    specs: Vec<DomainSpec>,
    base: &Path,
    (shelf, vault): (&mut Shelf, &mut Vault),
    faults: &mut Diagnostics,
) -> Protected {
    let mut protected = Protected::default();
    for DomainSpec { name, tls, clients, .. } in specs {
        let ClientsSpec { mutual_tls, https_redirect, hsts: strict } = clients;
        let host: Box<str> = name.text.strip_suffix('.').unwrap_or(&name.text).to_ascii_lowercase().into();
        let manner = Manner {
            redirect: https_redirect.and_then(|spec| vault.redirect(&spec, false, faults)),
            hsts: strict.and_then(|spec| hsts(&spec, true, faults)),
        };
        protected.manners.push((host.clone(), manner));
        if &*host == "*" {
            let hint = "write it at the listener: what that has is for all the other names";
            for (what, place) in [("tls", tls.map(|tls| tls.place)), ("mutual_tls", mutual_tls.map(|spec| spec.place))]
            {
                if let Some(place) = place {
                    faults.error_hint(place, format!("`{what}` means nothing at `*`"), hint);
                }
            }
            continue;
        }
        let mutual = mutual_tls.and_then(|spec| vault.mutual(spec, tls.is_some(), base, faults));
        let Some(tls) = tls else { continue };
        let compiled = shelf.compile(tls, Some(&host), base, faults);
        protected.tls.push((host, Tls { clients: mutual, ..compiled }));
    }
    if protected.manners.iter().all(|(_, manner)| *manner == Manner::default()) {
        protected.manners.clear();
    }
    protected
}

/// APIs whose execute-api name does not answer: those that say so (RT-17), and those behind a domain with mutual TLS, which would be
/// a way around it.
pub fn close(specs: &[DomainSpec], apis: &mut [Api], builder: &mut Builder) {
    let guarded: BTreeSet<&str> = specs
        .iter()
        .filter(|domain| domain.clients.mutual_tls.is_some())
        .flat_map(targets)
        .filter_map(|target| target.text.split_once('/').map(|(api, _)| api))
        .collect();
    for (api, number) in apis.iter_mut().zip(0..) {
        api.execute_api &= !guarded.contains(&*api.id);
        if !api.execute_api {
            builder.close_execute_api(router::ApiId(number));
        }
    }
}

/// What is written, or whatever there is to ask, rules first.
fn mode(spec: &DomainSpec) -> RoutingMode {
    let asked = spec.routing_mode.map_or_else(
        || match (spec.routing_rules.is_empty(), spec.mappings.is_empty()) {
            (true, _) => RoutingModeSpec::MappingsOnly,
            (false, true) => RoutingModeSpec::RulesOnly,
            (false, false) => RoutingModeSpec::RulesThenMappings,
        },
        |at| at.value,
    );
    match asked {
        RoutingModeSpec::MappingsOnly => RoutingMode::MappingsOnly,
        RoutingModeSpec::RulesOnly => RoutingMode::RulesOnly,
        RoutingModeSpec::RulesThenMappings => RoutingMode::RulesThenMappings,
    }
}

/// One domain, while it is compiled.
struct Domain<'a> {
    name: &'a Text,
    pattern: HostPattern,
    compiled: &'a Compiled,
    builder: &'a mut Builder,
    faults: &'a mut Diagnostics,
}

impl Domain<'_> {
    fn map(&mut self, spec: &MappingSpec) -> Option<Mapping> {
        let MappingSpec { path, target } = spec;
        // A target that does not exist is `check`'s to report.
        let (api, stage) = target.text.split_once('/')?;
        let (stage, number) = self.compiled.stage(api, stage)?;
        if let Err(fault) = self.builder.map(&self.pattern, &path.text, stage) {
            let hint = "a mapping is written `/: api/stage` or `/orders/v1: api/stage`";
            let place = place_of(&fault, path);
            self.faults.error_hint(place, format!("base path `{}`: {fault}", path.text), hint);
        }
        Some(Mapping { domain: self.name.text.clone(), base_path: path.text.clone(), stage: number })
    }

    fn rule(&mut self, spec: &RoutingRuleSpec) -> Option<Rule> {
        let RoutingRuleSpec { place, priority, headers, base_paths, target, strip_base_path } = spec;
        let headers: Vec<Vec<(String, Glob)>> =
            headers.iter().map(|any| any.iter().filter_map(|header| self.header(header)).collect()).collect();
        // What is missing here is a fault already, `check`'s or the reader's.
        let priority = priority.as_ref()?;
        let (api, stage) = target.as_ref()?.text.split_once('/')?;
        let (stage, number) = self.compiled.stage(api, stage)?;
        let base_paths: Option<Vec<String>> =
            base_paths.as_ref().map(|list| list.iter().map(|text| text.text.to_string()).collect());
        let strip_base_path = strip_base_path.is_some_and(|at| at.value);
        let listed = Rule {
            domain: self.name.text.clone(),
            priority: priority.value,
            headers: headers.clone(),
            base_paths: base_paths.clone(),
            strip_base_path,
            stage: number,
        };
        let rule = RoutingRule { priority: priority.value, headers, base_paths, stage, strip_base_path };
        if let Err(fault) = self.builder.rule(&self.pattern, rule) {
            self.refused(&fault, spec, *place);
        }
        Some(listed)
    }

    fn header(&mut self, spec: &HeaderMatchSpec) -> Option<(String, Glob)> {
        let HeaderMatchSpec { name, value } = spec;
        let glob = Glob::parse(&value.text).or_else(|fault| {
            let place = match fault {
                GlobFault::Star { offset } | GlobFault::Character { offset } => value.place_at(offset),
                GlobFault::Empty | GlobFault::TooLong => value.place,
            };
            let hint = "write the value, or `beta*`, `*beta` or `*beta*`; `*` alone fits every value";
            self.faults.error_hint(place, format!("pattern `{}`: {fault}", value.text), hint);
            // Places of other faults of the rule are counted by position.
            Glob::parse("*")
        });
        Some((name.text.to_ascii_lowercase(), glob.ok()?))
    }

    /// What the router says of a rule, unless the reader or `check` has said it.
    fn refused(&mut self, fault: &RuleFault, spec: &RoutingRuleSpec, place: Place) {
        let what = format!("routing rule: {fault}");
        match fault {
            RuleFault::HeaderName { group, at } => {
                let name = spec.headers.get(*group).and_then(|any| any.get(*at)).map(|header| &header.name);
                let hint = "write the name of a header field, such as x-version";
                self.faults.error_hint(name.map_or(place, |name| name.place), what, hint);
            }
            RuleFault::BasePath { at, fault } => {
                let path = spec.base_paths.as_ref().and_then(|list| list.get(*at));
                let place = path.map_or(place, |path| place_of(fault, path));
                self.faults.error_hint(place, what, "a base path is written `/orders` or `/orders/v1`");
            }
            RuleFault::Mixed => self.faults.error(place, what),
            RuleFault::Priority
            | RuleFault::SamePriority
            | RuleFault::TooManyRules
            | RuleFault::TooManyGroups
            | RuleFault::TooManyAlternatives
            | RuleFault::NoAlternative => debug_assert!(self.faults.has_errors(), "{what}"),
        }
    }
}

/// Where a base path is wrong.
fn place_of(fault: &MapFault, path: &Text) -> Place {
    match fault {
        MapFault::Character { offset } | MapFault::Segment { offset } => path.place_at(*offset),
        MapFault::Duplicate | MapFault::TooLong | MapFault::Mixed => path.place,
    }
}
