//! What firewalls ask of a request, in the words of `tollgate explain`: each rule, what it does, and the line that says so.

use config::Snapshot;
use policy::firewall::{Firewall, Rule};
use policy::rules::Line;

/// The rules that a request for this API meets, in their order; nothing if there is no firewall.
pub fn rules(snapshot: &Snapshot, api: usize) -> Vec<String> {
    let mut said = Vec::new();
    let api = &snapshot.apis[api];
    let whose = [
        ("of the gateway".to_owned(), snapshot.gateway.firewall.as_ref()),
        (format!("of {}", api.id), api.firewall.as_ref()),
    ];
    for (whose, firewall) in whose {
        let Some(firewall) = firewall else { continue };
        said.extend(firewall.rules().iter().map(|rule| of(rule, &whose)));
        let last = if firewall.blocks() { "block" } else { "allow" };
        said.push(format!("{last} what no rule decides, {whose}{}", at(Firewall::line(firewall))));
    }
    said
}

fn of(rule: &Rule, whose: &str) -> String {
    let rate = rule.rate.map_or(String::new(), |rate| {
        format!(" whoever sends more than {} at once and {:.3} a second", rate.limit.burst, rate.limit.rate())
    });
    format!("{}{rate}, rule `{}` {whose}{}", rule.then.name(), rule.name, at(rule.line))
}

fn at(line: Line) -> String {
    match line {
        Line(0) => String::new(),
        Line(line) => format!(" (line {line})"),
    }
}
