//! `tollgate reload`, `tollgate status` and `tollgate upgrade`: one command to the running gateway, and what it says.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use admin::control::Command;
use admin::{Failure, ReloadReport, UpgradeFailure, UpgradeOrder, UpgradeReport};
use serde_json::{Value, json};

use super::gateway::Named;
use super::{complain, exit, fail, say};

/// Reloads; blocks until the new configuration serves, or until it is known why it does not.
pub fn reload(gateway: &Named, as_json: bool) -> ExitCode {
    let report: ReloadReport = match gateway.ask(Command::Reload) {
        Ok(report) => report,
        Err(code) => return code,
    };
    let (text, code) = told(&report);
    if as_json {
        say(&format!("{:#}\n", json!(report)));
        return ExitCode::from(code);
    }
    complain(&gateway.pasteable(&report.faults));
    if code == 0 { say(&text) } else { fail(code, text.trim_end()) }
}

/// The same for a command that prints a document of its own: what there is to tell, and the exit code.
pub fn reload_in_json(gateway: &Named) -> (Value, ExitCode) {
    match gateway.ask::<ReloadReport>(Command::Reload) {
        Ok(report) => (json!(report), ExitCode::from(told(&report).1)),
        Err(code) => (Value::Null, code),
    }
}

/// What a report says to people, and the exit code.
pub(super) fn told(report: &ReloadReport) -> (String, u8) {
    let ReloadReport { ok: _, generation, failure, took, parts, changes, faults: _, warnings: _ } = report;
    let code = match failure {
        None => 0,
        Some(Failure::Document) => exit::CONFIG,
        Some(Failure::Resource | Failure::Leaving) => exit::UNAVAILABLE,
        Some(Failure::SlowWorker) => exit::TRY_AGAIN,
    };
    if code != 0 && *failure != Some(Failure::SlowWorker) {
        return (format!("not reloaded: generation {generation} goes on serving\n"), code);
    }
    let parts: Vec<String> = parts.iter().map(|timing| format!("{} {}", timing.part, millis(timing.took))).collect();
    let mut text = format!("reloaded: generation {generation} serves, after {}", millis(*took));
    let _ = writeln!(text, "{}", if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) });
    for change in changes {
        let _ = writeln!(text, "  {change}");
    }
    (text, code)
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// Lets another executable take over; blocks until it serves, or until it is known why it does not.
pub fn upgrade(gateway: &Named, binary: Option<PathBuf>, seconds: Option<u64>) -> ExitCode {
    // The gateway's folder may be another one.
    let binary = match binary.map(std::path::absolute).transpose() {
        Ok(binary) => binary,
        Err(error) => return fail(exit::NO_INPUT, &format!("--binary: {error}")),
    };
    let report: UpgradeReport = match gateway.ask(Command::Upgrade(UpgradeOrder { binary, seconds })) {
        Ok(report) => report,
        Err(code) => return code,
    };
    let (text, code) = upgraded(&report);
    if code == 0 { say(&text) } else { fail(code, text.trim_end()) }
}

fn upgraded(report: &UpgradeReport) -> (String, u8) {
    let UpgradeReport { ok: _, pid, version, took, failure, why } = report;
    let code = match failure {
        None => {
            let text = format!("upgraded: process {pid}, version {version}, serves, after {}\n", millis(*took));
            return (text, 0);
        }
        Some(UpgradeFailure::Busy | UpgradeFailure::TimedOut) => exit::TRY_AGAIN,
        Some(UpgradeFailure::Document) => exit::CONFIG,
        Some(UpgradeFailure::Leaving | UpgradeFailure::Program | UpgradeFailure::Resource) => exit::UNAVAILABLE,
    };
    (format!("not upgraded, process {pid} goes on serving: {why}\n"), code)
}

/// Prints the state.
pub fn status(gateway: &Named, as_json: bool) -> ExitCode {
    match gateway.ask::<Value>(Command::Status) {
        Ok(answer) if as_json => say(&format!("{answer:#}\n")),
        Ok(answer) => {
            let mut out = String::new();
            lines(&mut out, "", &answer);
            say(&out)
        }
        Err(code) => code,
    }
}

/// One line for each value, `connections.open  3`, names aligned by a fixed column.
fn lines(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                lines(out, &name, value);
            }
        }
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(plain).collect();
            let _ = writeln!(out, "{name:<24} {}", list.join(", "));
        }
        other => {
            let _ = writeln!(out, "{name:<24} {}", plain(other));
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use admin::Timing;

    use super::*;

    #[test]
    fn a_state_is_one_line_for_each_value() {
        let mut out = String::new();
        lines(
            &mut out,
            "",
            &json!({"version": "1", "admin": null, "io": {"driver": "epoll"}, "listeners": ["a", "b"]}),
        );
        let found: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            found,
            [vec!["version", "1"], vec!["admin", "-"], vec!["io.driver", "epoll"], vec!["listeners", "a,", "b"]]
        );
    }

    #[test]
    fn a_failed_reload_is_a_failure() {
        let mut report = ReloadReport {
            ok: false,
            generation: 3,
            failure: Some(Failure::Document),
            took: Duration::from_micros(1_500),
            parts: vec![Timing { part: "read".into(), took: Duration::from_millis(1) }],
            changes: vec!["api a: 1 route added".into()],
            faults: String::new(),
            warnings: 0,
        };
        assert_eq!(told(&report).1, exit::CONFIG);
        report.failure = Some(Failure::Resource);
        assert_eq!(told(&report), ("not reloaded: generation 3 goes on serving\n".into(), exit::UNAVAILABLE));
        (report.ok, report.failure) = (true, None);
        let text = "reloaded: generation 3 serves, after 1.5 ms (read 1.0 ms)\n  api a: 1 route added\n";
        assert_eq!(told(&report), (text.into(), 0));
    }
}
