//! `tollgate deploy`, `deployments`, `rollback` and `canary`: orders to the running gateway, and what it says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use admin::control::{Command, call};
use admin::orders::{
    CanaryAction, CanaryActionOrder, CanaryLine, CanaryOrder, ChangeReport, DeployOrder, DeploymentLine,
    DeploymentList, Listing, Outcome, RollbackOrder, StageLine,
};
use clap::Subcommand;
use serde::de::DeserializeOwned;

use super::control::{no_answer, nonsense, told as told_of_reload};
use super::{complain, exit, fail, say};

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
    #[arg(long, requires = "canary", value_name = "N")]
    percent: Option<f64>,
    /// A stage variable of the canary's own; may be repeated
    #[arg(long = "variable", requires = "canary", value_name = "NAME=VALUE", value_parser = variable)]
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
pub fn deploy(control: &Path, wanted: Wanted) -> ExitCode {
    let Wanted { target: Target { api, stage }, note, canary, percent, variables } = wanted;
    let canary = canary.then(|| CanaryOrder { percent, variables: collected(variables), without: Vec::new() });
    change(control, Command::Deploy(DeployOrder { api, stage, note, canary }))
}

/// Goes back; blocks likewise.
pub fn rollback(control: &Path, target: Target, id: Option<String>) -> ExitCode {
    let Target { api, stage } = target;
    change(control, Command::Rollback(RollbackOrder { api, stage, id }))
}

/// Shows or changes a canary; blocks likewise.
pub fn canary(control: &Path, target: Target, what: Canary) -> ExitCode {
    let Target { api, stage } = target;
    let action = match what {
        Canary::Show { json } => return show(control, &api, &stage, json),
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
    change(control, Command::Canary(CanaryActionOrder { api, stage, action }))
}

/// Lists the deployments of an API.
pub fn deployments(control: &Path, api: String, as_json: bool) -> ExitCode {
    match listing(control, api) {
        Ok(list) if as_json => say(&format!("{:#}\n", serde_json::json!(list))),
        Ok(list) => say(&table(&list)),
        Err(code) => code,
    }
}

fn show(control: &Path, api: &str, stage: &str, as_json: bool) -> ExitCode {
    let list = match listing(control, api.to_owned()) {
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
            let mut text = format!("{deployment} serves {percent} % of the requests to {api}/{stage}\n");
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

fn ask<T: DeserializeOwned>(control: &Path, command: Command) -> Result<T, ExitCode> {
    let answer = call(control, command).map_err(|error| no_answer(&error))?;
    serde_json::from_value(answer).map_err(|_| nonsense())
}

fn listing(control: &Path, api: String) -> Result<DeploymentList, ExitCode> {
    match ask(control, Command::Deployments { api })? {
        Listing::List(list) => Ok(list),
        Listing::NotListed(report) => Err(report_on(&report)),
    }
}

fn change(control: &Path, command: Command) -> ExitCode {
    match ask(control, command) {
        Ok(report) => report_on(&report),
        Err(code) => code,
    }
}

fn report_on(report: &ChangeReport) -> ExitCode {
    complain(&report.faults);
    complain(report.reload.as_ref().map_or("", |reload| &reload.faults));
    let (text, code) = told(report);
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
    let rows: Vec<[String; 5]> = deployments.iter().rev().map(row).collect();
    let heads = ["id", "made", "methods", "serves", "note"].map(str::to_owned);
    let all: Vec<&[String; 5]> = std::iter::once(&heads).chain(&rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    for [id, made, methods, serves, note] in all.into_iter().filter(|_| !rows.is_empty()) {
        let mark = if serves.is_empty() || id == "id" { ' ' } else { '*' };
        let [a, b, c, d] = widths;
        let line = format!("{mark} {id:<a$}  {made:<b$}  {methods:>c$}  {serves:<d$}  {note}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
    let width = stages.iter().map(|line| line.stage.chars().count()).max().unwrap_or_default();
    for line in stages {
        let _ = writeln!(out, "  {:<width$}  {}", line.stage, state_of(line));
    }
    out
}

fn row(line: &DeploymentLine) -> [String; 5] {
    let DeploymentLine { id, hash: _, created, note, methods, stages, canaries } = line;
    let canaries = canaries.iter().map(|stage| format!("canary of {stage}"));
    let serves: Vec<String> = stages.iter().cloned().chain(canaries).collect();
    [id.clone(), date(*created), methods.to_string(), serves.join(", "), note.clone()]
}

fn state_of(line: &StageLine) -> String {
    let StageLine { stage: _, auto_deploy, canary_declared, deployment, previous, variables, canary } = line;
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
            let _ = write!(text, "; canary {}, {} %", canary.deployment, canary.percent);
        }
        None => {}
    }
    if auto_deploy.is_none() {
        text.push_str("; the document has no such stage");
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
        let list = DeploymentList {
            api: "pets".into(),
            deployments: vec![
                made("aaaaaaaaaa", 0, "", ""),
                made("bbbbbbbbbb", 86_400, "prod old", ""),
                made("cccccccccc", 86_401, "", "prod"),
            ],
            stages: vec![
                prod,
                stage("dev", Some(true), None),
                stage("test", Some(false), None),
                stage("old", None, Some("bbbbbbbbbb")),
            ],
        };
        let expected = "  \
  id          made                     methods  serves          note
* cccccccccc  1970-01-02 00:00:01 UTC        3  canary of prod  note of cccccccccc
* bbbbbbbbbb  1970-01-02 00:00:00 UTC        3  prod, old       note of bbbbbbbbbb
  aaaaaaaaaa  1970-01-01 00:00:00 UTC        3                  note of aaaaaaaaaa

  prod  bbbbbbbbbb, before that aaaaaaaaaa; promoted variables: host; canary cccccccccc, 2.5 %
  dev   deploys by itself: it serves what the document says
  test  nothing is deployed here yet
  old   bbbbbbbbbb; the document has no such stage
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
        });
        assert_eq!(told(&report), ("why\nwhat to do\nreloaded: generation 3 serves, after 1.5 ms\n".into(), 0));
    }
}
