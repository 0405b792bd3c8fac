//! Which limits a request would meet, in the words of `tollgate explain`: the phase of each, what it allows, and the line that says so.

use config::snapshot::{By, Method, Snapshot, Stage};
use policy::phase::Phase;
use policy::rules::Line;
use policy::throttle::Limit;

/// The limits that a request for this method meets, in their order.
pub fn met(snapshot: &Snapshot, number: u32, stage: &Stage, method: &Method) -> Vec<(Phase, String)> {
    let throttles = &stage.throttles;
    let mut met = Vec::new();
    let clients = |early: bool| -> Vec<String> {
        let entries = throttles.by.iter().filter(|entry| entry.by.is_early() == early);
        entries.filter_map(|entry| Some(said(&rate(entry.limit?), &each(&entry.by), entry.line))).collect()
    };
    let (early, late) = (clients(true), clients(false));
    met.extend(early.into_iter().map(|text| (Phase::ThrottleAddress, text)));
    for plan in &snapshot.plans {
        let Some(of) = plan.stage(number) else { continue };
        let limits = [(of.method(&method.key), "of each key for this method"), (plan.throttle, "of each key")];
        for (limit, whose) in limits {
            let text = limit.map(|limit| format!("{}, {whose}, in usage plan `{}`", rate(limit), plan.name));
            met.extend(text.map(|text| (Phase::ThrottlePlan, text)));
        }
    }
    met.extend(late.into_iter().map(|text| (Phase::ThrottlePlan, text)));
    let (of_method, at_once) = throttles.of_method(&method.key, &method.rules);
    for (limit, whose) in [(of_method, "of this method"), (throttles.whole, "of the stage")] {
        met.extend(limit.map(|limit| (Phase::ThrottleStage, said(&rate(limit.value), whose, limit.line))));
    }
    let account = snapshot.gateway.account.map(|limit| said(&rate(limit.value), "of all APIs", limit.line));
    met.extend(account.map(|text| (Phase::ThrottleAccount, text)));
    let work = |most: u32| format!("{most} at work at once");
    for (limit, whose) in [(at_once, "of this method"), (throttles.concurrency, "of the stage")] {
        met.extend(limit.map(|limit| (Phase::Concurrency, said(&work(limit.value), whose, limit.line))));
    }
    let clients = throttles.by.iter().filter_map(|entry| Some((entry.concurrency?, entry)));
    met.extend(clients.map(|(most, entry)| (Phase::Concurrency, said(&work(most), &each(&entry.by), entry.line))));
    met
}

fn rate(limit: Limit) -> String {
    format!("{} a second, {} at once", limit.rate(), limit.burst)
}

fn each(by: &By) -> String {
    match by {
        By::Address { prefix_v4, prefix_v6 } => format!("of each address (IPv4/{prefix_v4}, IPv6/{prefix_v6})"),
        By::Header(name) => format!("of each value of `{name}`"),
        By::Claim(name) => format!("of each value of the claim `{name}`"),
        By::ApiKey => "of each API key".to_owned(),
    }
}

fn said(what: &str, whose: &str, line: Line) -> String {
    match line {
        Line(0) => format!("{what}, {whose}"),
        Line(line) => format!("{what}, {whose} (line {line})"),
    }
}
