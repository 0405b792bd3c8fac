//! What a reload changed, by name: for people who want to see that it was what they meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use policy::firewall::Firewall;

use crate::snapshot::{Answers, Gateway, Integration, Limits, Method, Program, Release, Snapshot, Stage};

/// A line for each thing that is new, gone or changed. Values are not told: they may be secrets.
pub fn diff(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    let apis =
        |snapshot: &Snapshot| snapshot.apis.iter().map(|api| (api.id.to_string(), format!("{:?}", api.kind))).collect();
    compare("api", &apis(before), &apis(after), &mut lines);
    stages(before, after, &mut lines);
    let upstreams = |snapshot: &Snapshot| {
        snapshot.upstreams.iter().map(|upstream| (upstream.name.to_string(), format!("{upstream:?}"))).collect()
    };
    compare("upstream", &upstreams(before), &upstreams(after), &mut lines);
    compare("domain", &domains(before), &domains(after), &mut lines);
    certificates(before, after, &mut lines);
    if limits(&before.gateway) != limits(&after.gateway) {
        lines.push("gateway.limits changed".into());
    }
    if before.gateway.account.map(|said| said.value) != after.gateway.account.map(|said| said.value) {
        lines.push("gateway.account changed".into());
    }
    firewalls(before, after, &mut lines);
    lines
}

/// Firewalls that say something else; those of APIs that are new or gone are told with them.
fn firewalls(before: &Snapshot, after: &Snapshot, lines: &mut Vec<String>) {
    let differ = |was: Option<&Firewall>, is: Option<&Firewall>| match (was, is) {
        (Some(was), Some(is)) => !was.says_as(is),
        (was, is) => was.is_some() != is.is_some(),
    };
    if differ(before.gateway.firewall.as_ref(), after.gateway.firewall.as_ref()) {
        lines.push("gateway.firewall changed".into());
    }
    for api in &after.apis {
        let was = before.apis.iter().find(|was| was.id == api.id);
        if was.is_some_and(|was| differ(was.firewall.as_ref(), api.firewall.as_ref())) {
            lines.push(format!("api {}: the firewall changed", api.id));
        }
    }
}

/// Certificates that were read and are others now.
fn certificates(before: &Snapshot, after: &Snapshot, lines: &mut Vec<String>) {
    let of = |snapshot: &Snapshot| -> Named {
        let all = snapshot.certificates.iter();
        all.map(|(files, read)| (files.certificate.to_string(), format!("{:?}", read.fingerprint))).collect()
    };
    compare("certificate", &of(before), &of(after), lines);
    let hosts = |snapshot: &Snapshot| -> Named {
        snapshot.protected.iter().map(|(host, tls)| (host.to_string(), format!("{tls:?}"))).collect()
    };
    compare("tls of domain", &hosts(before), &hosts(after), lines);
    let stores = |snapshot: &Snapshot| -> Named {
        let all = snapshot.truststores.iter();
        all.map(|(files, read)| (files.truststore.to_string(), format!("{:?}", read.fingerprint))).collect()
    };
    compare("truststore", &stores(before), &stores(after), lines);
    let manners = |snapshot: &Snapshot| -> Named {
        snapshot.manners.iter().map(|(host, manner)| (host.to_string(), format!("{manner:?}"))).collect()
    };
    compare("redirect and hsts of domain", &manners(before), &manners(after), lines);
}

fn limits(gateway: &Gateway) -> &Limits {
    &gateway.limits
}

/// Names with what they stand for.
type Named = BTreeMap<String, String>;

fn compare(what: &str, before: &Named, after: &Named, lines: &mut Vec<String>) {
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        lines.push(format!("{what} {name} is new"));
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        lines.push(format!("{what} {name} is gone"));
    }
    for (name, was) in before {
        if after.get(name).is_some_and(|is| is != was) {
            lines.push(format!("{what} {name} changed"));
        }
    }
}

/// Where each domain leads.
fn domains(snapshot: &Snapshot) -> Named {
    let mut domains = Named::new();
    for mapping in &snapshot.mappings {
        let to = domains.entry(mapping.domain.to_string()).or_default();
        let _ =
            writeln!(to, "{} {}", mapping.base_path, stage_name(snapshot, &snapshot.stages[mapping.stage as usize]));
    }
    for rule in &snapshot.rules {
        let to = domains.entry(rule.domain.to_string()).or_default();
        let target = stage_name(snapshot, &snapshot.stages[rule.stage as usize]);
        let (headers, paths, strips) = (&rule.headers, &rule.base_paths, rule.strip_base_path);
        let _ = writeln!(to, "{} {headers:?} {paths:?} {strips} {target}", rule.priority);
    }
    domains
}

fn stage_name(snapshot: &Snapshot, stage: &Stage) -> String {
    format!("{}/{}", snapshot.apis[stage.api as usize].id, stage.name)
}

fn stages(before: &Snapshot, after: &Snapshot, lines: &mut Vec<String>) {
    let by_name = |snapshot| -> BTreeMap<String, &Stage> { named_stages(snapshot).collect() };
    let (was, is) = (by_name(before), by_name(after));
    for (name, stage) in &is {
        match was.get(name) {
            None => lines.push(format!("stage {name} is new: {} methods", stage.methods())),
            Some(old) => {
                release(&format!("stage {name}"), old.release.as_ref(), stage.release.as_ref(), lines);
                if format!("{:?}", old.throttles) != format!("{:?}", stage.throttles) {
                    lines.push(format!("stage {name}: limits of requests changed"));
                }
                let (old, new) = (old.canary.as_ref(), stage.canary.as_ref());
                let percent = |canary: Option<&crate::snapshot::Canary>| canary.map(|canary| canary.share);
                if percent(old) != percent(new) {
                    let share = new.map_or("none".into(), |canary| format!("{} %", canary.percent));
                    lines.push(format!("stage {name}: canary {share}"));
                }
                if let (Some(old), Some(new)) = (old, new) {
                    release(&format!("canary of stage {name}"), Some(&old.release), Some(&new.release), lines);
                }
            }
        }
    }
    for name in was.keys().filter(|name| !is.contains_key(*name)) {
        lines.push(format!("stage {name} is gone"));
    }
}

fn named_stages(snapshot: &Snapshot) -> impl Iterator<Item = (String, &Stage)> {
    snapshot.stages.iter().map(|stage| (stage_name(snapshot, stage), stage))
}

fn release(whose: &str, before: Option<&Release>, after: Option<&Release>, lines: &mut Vec<String>) {
    let (Some(before), Some(after)) = (before, after) else {
        match (before, after) {
            (None, Some(after)) => lines.push(format!("{whose} serves now: {} methods", after.methods())),
            (Some(_), None) => lines.push(format!("{whose} serves nothing any more")),
            _ => {}
        }
        return;
    };
    if before.deployment != after.deployment {
        lines.push(format!(
            "{whose}: deployment {}",
            after.deployment.as_deref().unwrap_or("none, the document itself")
        ));
    }
    if before.variables != after.variables {
        let names: BTreeSet<&String> = before
            .variables
            .iter()
            .filter(|(name, value)| after.variables.get(*name) != Some(value))
            .chain(after.variables.iter().filter(|(name, _)| !before.variables.contains_key(*name)))
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        lines.push(format!("{whose}: variables {} changed", names.join(", ")));
    }
    if !std::sync::Arc::ptr_eq(&before.program, &after.program) {
        answers(whose, &before.program.answers, &after.program.answers, lines);
        let policy = |program: &Program| program.policy.as_ref().map(|access| access.policy.clone());
        if policy(&before.program) != policy(&after.program) {
            lines.push(format!("{whose}: the resource policy changed"));
        }
        methods(whose, &before.program, &after.program, lines);
    }
}

fn answers(whose: &str, before: &Answers, after: &Answers, lines: &mut Vec<String>) {
    // Where something was written makes it no other thing.
    let Answers { cors, cors_at: _, gateway_responses, lines: _, strict_errors } = after;
    let changed = [
        ("cors", *cors != before.cors),
        ("gateway responses", *gateway_responses != before.gateway_responses),
        ("strict_errors", *strict_errors != before.strict_errors),
    ];
    lines.extend(changed.iter().filter(|(_, is)| *is).map(|(what, _)| format!("{whose}: {what} changed")));
}

fn methods(whose: &str, before: &Program, after: &Program, lines: &mut Vec<String>) {
    let by_key = |program: &Program| -> BTreeMap<String, String> {
        program.methods.iter().map(|method| (method.key.to_string(), described(method, program))).collect()
    };
    let (was, is) = (by_key(before), by_key(after));
    let added = is.keys().filter(|key| !was.contains_key(*key)).count();
    let removed = was.keys().filter(|key| !is.contains_key(*key)).count();
    let changed = was.iter().filter(|(key, was)| is.get(*key).is_some_and(|is| is != *was)).count();
    let counts = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !counts.is_empty() {
        lines.push(format!("{whose}: methods {}", counts.join(", ")));
    }
}

/// All of a method; its authority by name, for numbers shift.
fn described(method: &Method, program: &Program) -> String {
    let mut text = format!("{method:?}");
    if let Integration::Http(rule) = &method.integration {
        text = text.replace(&format!("authority: {},", rule.authority), "");
        let _ = write!(text, "{:?}", program.authorities.get(rule.authority as usize));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BASE: &str = r#"
gateway: {listen: ["127.0.0.1:8080"]}
upstreams:
  back: {servers: ["127.0.0.1:9000"]}
apis:
  a:
    kind: http
    routes:
      "GET /one": {integration: {type: mock, status: 200, body: "1"}}
      "GET /two": {integration: {type: http_proxy, uri: "http://back/two"}}
    stages: {s: {variables: {secret: hush}}}
domains:
  "*": {mappings: {/: a/s}}
"#;

    fn load(text: &str) -> Snapshot {
        let loaded = crate::load_text("gateway.yaml", text, Path::new("."));
        loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)))
    }

    fn changed(from: &str, to: &str) -> Vec<String> {
        let after = BASE.replace(from, to);
        assert_ne!(after, BASE, "{from} is not there");
        diff(&load(BASE), &load(&after))
    }

    #[test]
    fn nothing_changed_says_nothing() {
        assert_eq!(diff(&load(BASE), &load(BASE)), Vec::<String>::new());
    }

    #[test]
    fn methods_are_counted_by_key() {
        assert_eq!(changed("\"1\"", "\"3\""), ["stage a/s: methods 1 changed"]);
        assert_eq!(changed("GET /one", "GET /three"), ["stage a/s: methods 1 added, 1 removed"]);
        let first =
            "      \"GET /zero\": {integration: {type: http_proxy, uri: \"http://127.0.0.1:9/z\"}}\n      \"GET /one\"";
        let lines = changed("      \"GET /one\"", first);
        assert_eq!(lines, ["stage a/s: methods 1 added", "upstream 127.0.0.1:9 is new"], "the others only moved");
    }

    #[test]
    fn things_are_told_by_name_and_values_are_not() {
        let lines = changed("hush", "other");
        assert_eq!(lines, ["stage a/s: variables secret changed"]);
        assert_eq!(changed("9000", "9001"), ["upstream back changed"]);
        assert_eq!(changed("\"*\"", "\"*.example.com\""), ["domain *.example.com is new", "domain * is gone"]);
        assert_eq!(changed("{/: a/s}", "{/x: a/s}"), ["domain * changed"]);
        assert_eq!(changed("8080\"]", "8080\"], limits: {drain_time: 7s}"), ["gateway.limits changed"]);
        let two =
            changed("stages: {s: {variables: {secret: hush}}}", "stages: {s: {variables: {secret: hush}}, t: {}}");
        assert_eq!(two, ["stage a/t is new: 2 methods"]);
    }
}
