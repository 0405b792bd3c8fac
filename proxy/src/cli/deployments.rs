//! `tollgate deploy`, `deployments`, `rollback` and `canary`: orders to the running gateway, and what it says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use admin::control::Command;
use admin::orders::{
    CanaryAction, CanaryActionOrder, CanaryLine, CanaryOrder, ChangeReport, DeployOrder, DeploymentLine,
    DeploymentList, Listing, Outcome, PruneOrder, RollbackOrder, StageLine,
};
use clap::Subcommand;

use super::control::told as told_of_reload;
use super::gateway::Named;
use super::{complain, count, exit, fail, say, share};

/// An API and one of its stages.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The API's id
    api: String,
    /// The stage's name
    stage: String,
}

/// What and why to deploy.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    #[command(flatten)]
    target: Target,
    /// Why, for those who read the list later
    #[arg(long, default_value = "", value_name = "TEXT")]
    note: String,
    /// Deploy to the stage's canary; the stage keeps what it serves
    #[arg(long)]
    canary: bool,
    /// The canary's share of the requests, 0 to 100; by default what it is, or 0
    #[arg(long, value_name = "N")]
    percent: Option<f64>,
    /// A stage variable of the canary's own; may be repeated
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

/// What to do with a canary.
#[derive(Debug, Subcommand)]
pub enum Canary {
    /// Print what the canary serves, and to how many
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send the canary this share of the requests
    Percent {
        /// 0 to 100
        percent: f64,
    },
    /// Give the canary stage variables of its own
    Variables {
        /// These
        #[arg(value_name = "NAME=VALUE", value_parser = variable)]
        variables: Vec<(String, String)>,
        /// Take this one away; may be repeated
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
    },
    /// Let the stage serve what the canary serves, variables included; the canary stays, without requests
    Promote,
    /// End the canary
    Drop,
    /// Let the stage forget the variables that came from canaries: the document's hold again
    Forget,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Deploys; blocks until it serves, or until it is known why it does not.
pub fn deploy(gateway: &Named, wanted: Wanted) -> ExitCode {
    let Wanted { target: Target { api, stage }, note, canary, percent, variables } = wanted;
    let lost =
        [("--percent", percent.is_some()), ("--variable", !variables.is_empty())].into_iter().find(|(_, is)| *is);
    if let (false, Some((option, _))) = (canary, lost) {
        let hint = "add --canary to deploy to one, or leave it out: a stage serves what it is given to everybody";
        return fail(exit::USAGE, &format!("{option} is of a canary alone; {hint}"));
    }
    let canary = canary.then(|| CanaryOrder { percent, variables: collected(variables), without: Vec::new() });
    change(gateway, Command::Deploy(DeployOrder { api, stage, note, canary }))
}

/// Goes back; blocks likewise.
pub fn rollback(gateway: &Named, target: Target, id: Option<String>) -> ExitCode {
    let Target { api, stage } = target;
    change(gateway, Command::Rollback(RollbackOrder { api, stage, id }))
}

/// Shows or changes a canary; blocks likewise.
pub fn canary(gateway: &Named, target: Target, what: Canary) -> ExitCode {
    let Target { api, stage } = target;
    let action = match what {
        Canary::Show { json } => return show(gateway, &api, &stage, json),
        Canary::Percent { percent } => {
            CanaryAction::Change(CanaryOrder { percent: Some(percent), ..CanaryOrder::default() })
        }
        Canary::Variables { variables, remove } => {
            CanaryAction::Change(CanaryOrder { percent: None, variables: collected(variables), without: remove })
        }
        Canary::Promote => CanaryAction::Promote,
        Canary::Drop => CanaryAction::Drop,
        Canary::Forget => CanaryAction::Forget,
    };
    change(gateway, Command::Canary(CanaryActionOrder { api, stage, action }))
}

/// Forgets what no stage of the document can use.
pub fn prune(gateway: &Named, api: String) -> ExitCode {
    change(gateway, Command::Prune(PruneOrder { api }))
}

/// Lists the deployments of an API.
pub fn deployments(gateway: &Named, api: String, as_json: bool) -> ExitCode {
    match listing(gateway, api) {
        Ok(list) if as_json => say(&format!("{:#}\n", serde_json::json!(list))),
        Ok(list) => say(&gateway.pasteable(&table(&list))),
        Err(code) => code,
    }
}

fn show(gateway: &Named, api: &str, stage: &str, as_json: bool) -> ExitCode {
    let list = match listing(gateway, api.to_owned()) {
        Ok(list) => list,
        Err(code) => return code,
    };
    let Some(line) = list.stages.iter().find(|line| line.stage == stage) else {
        return fail(exit::CONFIG, &format!("API `{api}` has no stage `{stage}`"));
    };
    if as_json {
        return say(&format!("{:#}\n", serde_json::json!(line.canary)));
    }
    let mut text = match &line.canary {
        Some(CanaryLine { deployment, percent, variables }) => {
            let mut text = match *percent {
                0.0 => format!("{deployment} receives nothing: 0 % of the requests to {api}/{stage}\n"),
                percent => format!("{deployment} serves {percent} % of the requests to {api}/{stage}\n"),
            };
            for (name, value) in variables {
                let _ = writeln!(text, "  {name}={value}");
            }
            text
        }
        None => format!("{api}/{stage} has no canary\n"),
    };
    if line.canary_declared {
        text.push_str("the document declares one: that is what serves\n");
    }
    say(&text)
}

fn collected(variables: Vec<(String, String)>) -> BTreeMap<String, String> {
    variables.into_iter().collect()
}

fn listing(gateway: &Named, api: String) -> Result<DeploymentList, ExitCode> {
    match gateway.ask(Command::Deployments { api })? {
        Listing::List(list) => Ok(list),
        Listing::NotListed(report) => Err(report_on(gateway, &report)),
    }
}

fn change(gateway: &Named, command: Command) -> ExitCode {
    match gateway.ask(command) {
        Ok(report) => report_on(gateway, &report),
        Err(code) => code,
    }
}

fn report_on(gateway: &Named, report: &ChangeReport) -> ExitCode {
    complain(&gateway.pasteable(&report.faults));
    match &report.reload {
        // The document's warnings are no news to whoever deploys.
        Some(reload) if reload.ok && reload.warnings > 0 => {
            complain(&format!("{}: {} lists them\n", count(reload.warnings, "warning"), gateway.check()));
        }
        Some(reload) => complain(&gateway.pasteable(&reload.faults)),
        None => {}
    }
    let (text, code) = told(report);
    let text = gateway.pasteable(&text);
    if code == 0 { say(&text) } else { fail(code, text.trim_end()) }
}

fn told(report: &ChangeReport) -> (String, u8) {
    let ChangeReport { outcome, told, deployment: _, faults: _, reload } = report;
    let lines = told.join("\n");
    match outcome {
        Outcome::Done => {
            // A worker that is late is no reason to order it again, but one to look again.
            let (reload, code) = reload.as_ref().map_or((String::new(), 0), told_of_reload);
            (format!("{lines}\n{reload}"), code)
        }
        Outcome::Refused => (format!("not done: {lines}\n"), exit::CONFIG),
        Outcome::Failed => (format!("not done: {lines}\n"), exit::IO),
    }
}

/// The newest first, since that is what people look for.
fn table(list: &DeploymentList) -> String {
    let DeploymentList { api, deployments, stages } = list;
    let mut out = String::new();
    if deployments.is_empty() {
        let _ = writeln!(out, "{api} was never deployed");
    }
    let rows: Vec<[String; 6]> = deployments.iter().rev().map(|line| row(line, stages)).collect();
    let heads = [" ", "id", "made", "methods", "serves", "note"].map(str::to_owned);
    let all: Vec<&[String; 6]> = std::iter::once(&heads).chain(&rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [a, b, c, d] = [width(1), width(2), width(3), width(4)];
    for [mark, id, made, methods, serves, note] in all.into_iter().filter(|_| !rows.is_empty()) {
        let line = format!("{mark} {id:<a$}  {made:<b$}  {methods:>c$}  {serves:<d$}  {note}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
    let width = stages.iter().map(|line| line.stage.chars().count()).max().unwrap_or_default();
    for line in stages {
        let _ = writeln!(out, "  {:<width$}  {}", line.stage, state_of(line, api));
    }
    out
}

/// A star if a request may come to it, and what is known of it.
fn row(line: &DeploymentLine, all: &[StageLine]) -> [String; 6] {
    let DeploymentLine { id, hash: _, created, note, methods, stages, canaries } = line;
    let of = |name: &String| all.iter().find(|line| line.stage == *name);
    let is_gone = |name: &String| of(name).is_none_or(|line| line.auto_deploy.is_none());
    let is_silent =
        |name: &String| of(name).and_then(|line| line.canary.as_ref()).is_some_and(|canary| canary.percent == 0.0);
    let gone = |name: &String| if is_gone(name) { " (gone)" } else { "" };
    let silent = |name: &String| if is_silent(name) { " (0 %)" } else { gone(name) };
    let canary_names = canaries.iter().map(|name| format!("canary of {name}{}", silent(name)));
    let serves: Vec<String> = stages.iter().map(|name| format!("{name}{}", gone(name))).chain(canary_names).collect();
    let is_live = stages.iter().any(|name| !is_gone(name)) || canaries.iter().any(|name| silent(name).is_empty());
    let mark = if is_live { "*" } else { " " };
    [mark.to_owned(), id.clone(), date(*created), methods.to_string(), serves.join(", "), note.clone()]
}

fn state_of(line: &StageLine, api: &str) -> String {
    let StageLine { stage, auto_deploy, canary_declared, deployment, previous, variables, canary } = line;
    if *auto_deploy == Some(true) {
        return "deploys by itself: it serves what the document says".to_owned();
    }
    let Some(deployment) = deployment else { return "nothing is deployed here yet".to_owned() };
    let mut text = deployment.clone();
    if let Some(before) = previous.last() {
        let _ = write!(text, ", before that {before}");
    }
    if !variables.is_empty() {
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        let _ = write!(text, "; promoted variables: {}", names.join(", "));
    }
    match canary {
        _ if *canary_declared => text.push_str("; its canary is declared in the document"),
        Some(canary) => {
            let _ = write!(text, "; canary {}, {}", canary.deployment, share(canary.percent));
        }
        None => {}
    }
    if auto_deploy.is_none() {
        let _ =
            write!(text, "; stage {stage} is no longer configured: `tollgate deployments {api} --prune` forgets it");
    }
    text
}

/// `2026-11-22 06:17:14 UTC`, by the civil calendar.
fn date(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    let (mut year, mut day) = (1970, days);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // A damaged file may name any second.
    if year + days / 365 > 9_999 {
        return "in the far future".to_owned();
    }
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", day + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use admin::ReloadReport;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let rows = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_795_328_234, "2026-11-22 06:17:14 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (u64::MAX, "in the far future"),
        ];
        for (epoch, text) in rows {
            assert_eq!(date(epoch), text);
        }
    }

    #[test]
    fn a_variable_is_a_name_and_a_value() {
        assert_eq!(variable("host=a=b"), Ok(("host".into(), "a=b".into())));
        assert!(variable("host").is_err() && variable("=x").is_err());
    }

    fn stage(name: &str, auto_deploy: Option<bool>, deployment: Option<&str>) -> StageLine {
        StageLine {
            stage: name.into(),
            auto_deploy,
            canary_declared: false,
            deployment: deployment.map(str::to_owned),
            previous: Vec::new(),
            variables: BTreeMap::new(),
            canary: None,
        }
    }

    #[test]
    fn the_list_shows_what_serves_and_the_way_back() {
        let made = |id: &str, created, serves: &str, canary: &str| DeploymentLine {
            id: id.into(),
            hash: String::new(),
            created,
            note: format!("note of {id}"),
            methods: 3,
            stages: serves.split_whitespace().map(str::to_owned).collect(),
            canaries: canary.split_whitespace().map(str::to_owned).collect(),
        };
        let mut prod = stage("prod", Some(false), Some("bbbbbbbbbb"));
        prod.previous = vec!["aaaaaaaaaa".into()];
        prod.variables = [("host".to_owned(), "x".to_owned())].into();
        prod.canary = Some(CanaryLine { deployment: "cccccccccc".into(), percent: 2.5, variables: BTreeMap::new() });
        let mut beta = stage("beta", Some(false), Some("cccccccccc"));
        beta.canary = Some(CanaryLine { deployment: "dddddddddd".into(), percent: 0.0, variables: BTreeMap::new() });
        let list = DeploymentList {
            api: "pets".into(),
            deployments: vec![
                made("aaaaaaaaaa", 0, "", ""),
                made("bbbbbbbbbb", 86_400, "prod old", ""),
                made("cccccccccc", 86_401, "beta", "prod"),
                made("dddddddddd", 86_402, "", "beta"),
            ],
            stages: vec![
                prod,
                stage("dev", Some(true), None),
                stage("test", Some(false), None),
                stage("old", None, Some("bbbbbbbbbb")),
                beta,
            ],
        };
        let expected = "  \
  id          made                     methods  serves                note
  dddddddddd  1970-01-02 00:00:02 UTC        3  canary of beta (0 %)  note of dddddddddd
* cccccccccc  1970-01-02 00:00:01 UTC        3  beta, canary of prod  note of cccccccccc
* bbbbbbbbbb  1970-01-02 00:00:00 UTC        3  prod, old (gone)      note of bbbbbbbbbb
  aaaaaaaaaa  1970-01-01 00:00:00 UTC        3                        note of aaaaaaaaaa

  prod  bbbbbbbbbb, before that aaaaaaaaaa; promoted variables: host; canary cccccccccc, 2.5 %
  dev   deploys by itself: it serves what the document says
  test  nothing is deployed here yet
  old   bbbbbbbbbb; stage old is no longer configured: `tollgate deployments pets --prune` forgets it
  beta  cccccccccc; canary dddddddddd, 0 %, receives nothing
";
        assert_eq!(table(&list), expected);
        let none = DeploymentList { api: "pets".into(), deployments: Vec::new(), stages: Vec::new() };
        assert!(table(&none).starts_with("pets was never deployed\n"));
    }

    #[test]
    fn what_was_not_done_is_a_failure() {
        let mut report = ChangeReport::not_done(Outcome::Refused, "why", "what to do");
        assert_eq!(told(&report), ("not done: why\nwhat to do\n".into(), exit::CONFIG));
        report.outcome = Outcome::Failed;
        assert_eq!(told(&report).1, exit::IO);
        report.outcome = Outcome::Done;
        report.reload = Some(ReloadReport {
            ok: true,
            generation: 3,
            failure: None,
            took: Duration::from_micros(1_500),
            parts: Vec::new(),
            changes: Vec::new(),
            faults: String::new(),
            warnings: 0,
        });
        assert_eq!(told(&report), ("why\nwhat to do\nreloaded: generation 3 serves, after 1.5 ms\n".into(), 0));
    }
}
