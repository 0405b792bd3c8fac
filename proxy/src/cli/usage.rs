//! `tollgate usage`: what keys have used by day, and more of it for one of them (KP-08, KP-09).

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use config::Snapshot;
use policy::quota::{Day, Quota, Standing, day_of};
use proxy::usage::history::{self, Line, Uses, day_of_text, day_text};
use proxy::usage::{self, slots::Slots};
use serde_json::{Value, json};

use super::keys::Place;
use super::{count, default_config, exit, fail, say};

/// What of it.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// Only this usage plan
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Only this key, by its id
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The first day, such as 2026-11-01 (UTC); by default 30 days ago
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Day>,
    /// The last day; by default today
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Day>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How to print it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// day,plan,key,used
    Csv,
    /// With where each key stands in its quota, if the document is known
    Json,
}

/// What to do beside printing.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Let a key have so many requests more in this period of its quota; the running gateway knows at once
    #[command(after_help = "Example:\n  tollgate usage extend acme --plan basic --remaining 500 --config gateway.yaml")]
    Extend {
        /// Its id
        key: String,
        /// The usage plan
        #[arg(long, value_name = "PLAN")]
        plan: String,
        /// Requests that it may still have in this day, week or month; 0: none
        #[arg(long, value_name = "N")]
        remaining: u64,
    },
}

fn day(text: &str) -> Result<Day, String> {
    day_of_text(text).ok_or_else(|| "write a day as 2026-11-22".to_owned())
}

/// Prints, or does, what was asked.
pub fn usage(place: &Place, wanted: &Wanted, action: Option<Action>) -> ExitCode {
    let done = match action {
        Some(Action::Extend { key, plan, remaining }) => extend(place, &key, &plan, remaining),
        None => print(place, wanted),
    };
    done.unwrap_or_else(|code| code)
}

fn document(place: &Place) -> Option<PathBuf> {
    place.gateway().document().or_else(|| default_config().filter(|path| path.exists()))
}

fn failed(what: &str, error: &std::io::Error) -> ExitCode {
    fail(exit::IO, &format!("{what}: {error}"))
}

fn print(place: &Place, wanted: &Wanted) -> Result<ExitCode, ExitCode> {
    let state = place.state()?;
    let today = day_of(usage::now());
    let to = wanted.to.unwrap_or(today);
    let from = wanted.from.unwrap_or(to.saturating_sub(30));
    if from > to {
        return Err(fail(exit::USAGE, "--from is behind --to"));
    }
    let mut uses = Uses::new();
    history::read(&state, from, to, &mut uses).map_err(|error| failed("what is over cannot be read", &error))?;
    let mut slots = live(&state)?;
    for (plan, key, slot) in &slots {
        for tally in slot.count().days().filter(|tally| (from..=to).contains(&tally.day)) {
            history::add(&mut uses, Line { day: tally.day, plan: plan.clone(), key: key.clone() }, tally.number);
        }
    }
    let is_wanted = |plan: &str, key: &str| {
        wanted.plan.as_deref().is_none_or(|known| known == plan)
            && wanted.key.as_deref().is_none_or(|known| known == key)
    };
    uses.retain(|line, _| is_wanted(&line.plan, &line.key));
    slots.retain(|(plan, key, _)| is_wanted(plan, key));
    Ok(match wanted.format {
        Format::Table => say(&table(&uses)),
        Format::Csv => say(&lines(&uses)),
        Format::Json => say(&format!("{:#}\n", report(place, (from, to), &uses, &slots, today))),
    })
}

type Live = Vec<(String, String, usage::slots::Slot)>;

/// What is counted just now.
fn live(state: &std::path::Path) -> Result<Live, ExitCode> {
    if !state.join("usage/counts").exists() {
        return Ok(Vec::new());
    }
    let all = Slots::open(state).and_then(|mut slots| slots.all());
    let all = all.map_err(|error| failed("what is counted cannot be read", &error))?;
    Ok(all.into_iter().filter_map(|slot| slot.names().map(|(plan, key)| (plan, key, slot))).collect())
}

fn lines(uses: &Uses) -> String {
    let mut text = String::from("day,plan,key,used\n");
    for (Line { day, plan, key }, used) in uses {
        let _ = writeln!(text, "{},{plan},{key},{used}", day_text(*day));
    }
    text
}

fn table(uses: &Uses) -> String {
    let mut text = format!("{:<12} {:<20} {:<20} {:>12}\n", "DAY", "PLAN", "KEY", "USED");
    for (Line { day, plan, key }, used) in uses {
        let _ = writeln!(text, "{:<12} {plan:<20} {key:<20} {used:>12}", day_text(*day));
    }
    let sum: u64 = uses.values().sum();
    let _ = writeln!(text, "{} in {}", count(sum as usize, "request"), count(uses.len(), "line"));
    text
}

fn report(place: &Place, (from, to): (Day, Day), uses: &Uses, slots: &Live, today: Day) -> Value {
    let uses: Vec<Value> = uses
        .iter()
        .map(|(Line { day, plan, key }, used)| json!({ "day": day_text(*day), "plan": plan, "key": key, "used": used }))
        .collect();
    let mut report = json!({ "from": day_text(from), "to": day_text(to), "uses": uses });
    let snapshot = document(place).and_then(|path| config::load(&path).snapshot);
    if let Some(snapshot) = snapshot {
        let standing = |(plan, key, slot): &(String, String, usage::slots::Slot)| {
            let quota = quota_of(&snapshot, plan)?;
            let Standing { used, allowed } = slot.count().standing(quota, today);
            Some(json!({
                "plan": plan,
                "key": key,
                "period": quota.period.name(),
                "begins": day_text(quota.period.start(today)),
                "used": used,
                "allowed": allowed,
                "remaining": allowed.saturating_sub(used),
            }))
        };
        report["quotas"] = slots.iter().filter_map(standing).collect();
    }
    report
}

fn quota_of(snapshot: &Snapshot, plan: &str) -> Option<Quota> {
    snapshot.plans.iter().find(|known| &*known.name == plan)?.quota
}

fn extend(place: &Place, key: &str, plan: &str, remaining: u64) -> Result<ExitCode, ExitCode> {
    let Some(path) = document(place) else {
        return Err(fail(exit::USAGE, "name the document, which has the plan: --config gateway.yaml"));
    };
    let loaded = config::load(&path);
    let Some(snapshot) = loaded.snapshot else {
        super::complain(&loaded.diagnostics.render(false));
        return Err(ExitCode::from(super::bad_document(&path)));
    };
    let Some(number) = snapshot.plans.iter().position(|known| &*known.name == plan) else {
        return Err(fail(exit::CONFIG, &format!("there is no usage plan `{plan}`")));
    };
    let Some(quota) = snapshot.plans[number].quota else {
        return Err(fail(exit::CONFIG, &format!("usage plan `{plan}` has no quota: nothing has to be extended")));
    };
    let keys = (0..snapshot.keys.len() as u32).filter_map(|number| snapshot.keys.key(number));
    let is_in =
        keys.filter(|known| known.id == key).any(|known| known.plans().any(|(known, _)| usize::from(known) == number));
    if !is_in {
        return Err(fail(exit::CONFIG, &format!("no key `{key}` is in usage plan `{plan}`")));
    }
    let state = place.state()?;
    let slot = Slots::open(&state).and_then(|mut slots| slots.slot(plan, key));
    let slot = slot.map_err(|error| failed("what is counted cannot be changed", &error))?;
    let today = day_of(usage::now());
    slot.count().extend(quota, today, remaining);
    let Standing { used, allowed } = slot.count().standing(quota, today);
    Ok(say(&format!(
        "key {key} has used {used} of {allowed} requests in this {}; from {} on its limit is {} again\n",
        quota.period.name(),
        day_text(quota.period.end(today)),
        quota.limit
    )))
}
