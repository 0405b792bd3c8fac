//! Which keys a request needs, and which quotas it meets, in the words of `tollgate explain`.

use config::snapshot::{Method, Plan, Snapshot};
use policy::quota::Quota;
use policy::rules::{KeyFrom, Line};

/// What is asked of the caller's key, each with a name; nothing, if no key is asked for.
pub fn met(snapshot: &Snapshot, stage: u32, method: &Method) -> Vec<(&'static str, String)> {
    let Some(from) = method.rules.api_key else { return Vec::new() };
    let from = match from {
        KeyFrom::Header => "in X-API-Key",
        KeyFrom::Authorizer => "named by the authorizer (usageIdentifierKey)",
    };
    let plans: Vec<&Plan> = snapshot.plans.iter().filter(|plan| plan.stage(stage).is_some()).collect();
    let names: Vec<String> =
        plans.iter().map(|plan| format!("`{}`{}", plan.name, behind(" (line ", plan.lines[0]))).collect();
    let key = if names.is_empty() {
        format!("{from}; but no usage plan has this stage: nobody passes")
    } else {
        format!("{from}, of usage plan {}", names.join(" or "))
    };
    let mut met = vec![("api key", key)];
    for plan in plans {
        let Some(Quota { limit, period, offset }) = plan.quota else { continue };
        let first = if offset > 0 { format!(", {offset} fewer in the first") } else { String::new() };
        let text = format!(
            "{limit} a {}{first}, of each key, in usage plan `{}`{}",
            period.name(),
            plan.name,
            behind(" (line ", plan.lines[1])
        );
        met.push(("quota", text));
    }
    met
}

fn behind(before: &str, line: Line) -> String {
    match line {
        Line(0) => String::new(),
        Line(line) => format!("{before}{line})"),
    }
}
