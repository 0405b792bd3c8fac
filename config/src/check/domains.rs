//! Domains: where their mappings and rules lead, and which of them nobody ever asks.

use std::collections::BTreeMap;

use crate::check::clash;
use crate::diagnostic::Diagnostics;
use crate::model::api::ApiSpec;
use crate::model::domain::{DomainSpec, MappingSpec, RoutingModeSpec, RoutingRuleSpec};
use crate::model::field::nearest;
use crate::source::node::Text;

/// Checks the part `domains`.
pub fn check(domains: &[DomainSpec], apis: &[ApiSpec], faults: &mut Diagnostics) {
    let mut seen: BTreeMap<String, &Text> = BTreeMap::new();
    for domain in domains {
        clash(&mut seen, &domain.name, "domain", faults);
        for target in targets(domain) {
            check_target(target, apis, faults);
        }
        check_rules(&domain.routing_rules, faults);
        check_mode(domain, faults);
    }
}

/// The `api/stage` texts of a domain.
pub fn targets(domain: &DomainSpec) -> impl Iterator<Item = &Text> {
    let of_mappings = domain.mappings.iter().map(|mapping| &mapping.target);
    of_mappings.chain(domain.routing_rules.iter().filter_map(|rule| rule.target.as_ref()))
}

pub(super) fn check_target(target: &Text, apis: &[ApiSpec], faults: &mut Diagnostics) {
    let Some((id, stage)) = target.text.split_once('/') else {
        let stage = apis.iter().find(|api| *api.id.text == *target.text).and_then(|api| api.stages.first());
        let hint = format!("write {}/{}", target.text, stage.map_or("prod", |stage| &stage.name.text));
        faults.error_hint(target.place, format!("`{}` is not an API and a stage", target.text), hint);
        return;
    };
    let Some(api) = apis.iter().find(|api| *api.id.text == *id) else {
        let near = nearest(id, apis.iter().map(|api| &*api.id.text));
        let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        faults.error_hint(
            target.place,
            format!("unknown API `{id}`{near}"),
            listed("the APIs are", apis.iter().map(|api| &api.id)),
        );
        return;
    };
    // What could not be read cannot be missed.
    if api.stages.is_empty() || api.stages.iter().any(|known| *known.name.text == *stage) {
        return;
    }
    let near = nearest(stage, api.stages.iter().map(|stage| &*stage.name.text));
    let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    let hint = listed("its stages are", api.stages.iter().map(|stage| &stage.name));
    faults.error_hint(target.place_at(id.len() + 1), format!("API `{id}` has no stage `{stage}`{near}"), hint);
}

fn listed<'a>(what: &str, names: impl Iterator<Item = &'a Text>) -> String {
    let names: Vec<&str> = names.map(|name| &*name.text).collect();
    if names.is_empty() { "there are none".to_owned() } else { format!("{what} {}", names.join(", ")) }
}

/// Warns of rules that no request reaches.
pub fn warn_of_useless_rules(domains: &[DomainSpec], faults: &mut Diagnostics) {
    for domain in domains {
        warn_of_shadowed_rules(&domain.routing_rules, faults);
    }
}

fn warn_of_shadowed_rules(rules: &[RoutingRuleSpec], faults: &mut Diagnostics) {
    // A rule without conditions takes every request.
    let takes_all = |rule: &&RoutingRuleSpec| rule.headers.is_empty() && rule.base_paths.is_none();
    let first = rules.iter().filter(takes_all).filter_map(|rule| rule.priority).min_by_key(|at| at.value);
    let Some(first) = first else { return };
    for priority in rules.iter().filter_map(|rule| rule.priority).filter(|at| at.value > first.value) {
        let what = format!("no request reaches the rule with priority {}", priority.value);
        let hint = format!("priority {} in line {} has no conditions and takes all", first.value, first.place.line);
        faults.warning(priority.place, what, hint);
    }
}

fn check_rules(rules: &[RoutingRuleSpec], faults: &mut Diagnostics) {
    let mut seen = BTreeMap::new();
    for RoutingRuleSpec { place: _, priority, headers: _, base_paths, target: _, strip_base_path } in rules {
        if let Some(priority) = priority {
            let first = *seen.entry(priority.value).or_insert(priority.place);
            if first != priority.place {
                let hint = format!("the first is in line {}; the lowest number is asked first", first.line);
                let what = format!("a rule of this domain has priority {} already", priority.value);
                faults.error_hint(priority.place, what, hint);
            }
        }
        if let Some(strip) = strip_base_path.filter(|strip| strip.value)
            && base_paths.is_none()
        {
            let hint = "write `base_paths` as well: what matched of them is taken off";
            faults.warning(strip.place, "`strip_base_path` without `base_paths` takes nothing off", hint);
        }
    }
}

/// DM-05: a mode that leaves mappings or rules unasked.
fn check_mode(domain: &DomainSpec, faults: &mut Diagnostics) {
    let DomainSpec { name, mappings, routing_rules, routing_mode, tls: _, clients: _ } = domain;
    let Some(mode) = routing_mode else { return };
    let (needed, has_needed, other, unasked) = match mode.value {
        RoutingModeSpec::MappingsOnly => {
            ("mappings", !mappings.is_empty(), "routing_rules", routing_rules.first().map(|rule| rule.place))
        }
        RoutingModeSpec::RulesOnly => (
            "routing_rules",
            !routing_rules.is_empty(),
            "mappings",
            mappings.first().map(|MappingSpec { path, .. }| path.place),
        ),
        RoutingModeSpec::RulesThenMappings => return,
    };
    if let Some(place) = unasked {
        let hint = "write `routing_mode: rules_then_mappings`, or remove them";
        faults.warning(place, format!("the `{other}` of `{}` are never asked", name.text), hint);
    }
    if !has_needed {
        let hint = format!("write `{needed}`, or remove `routing_mode`");
        faults.error_hint(mode.place, format!("domain `{}` has no `{needed}`, and asks nothing else", name.text), hint);
    }
}
