//! `tollgate reload` and `tollgate status`: one command to the running gateway, and what it says.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use admin::ReloadReport;
use admin::control::{CallError, Command, call};
use serde_json::Value;

use super::{complain, exit, fail, say};

/// Reloads; blocks until the new configuration serves, or until it is known why it does not.
pub fn reload(path: &Path) -> ExitCode {
    let answer = match call(path, Command::Reload) {
        Ok(answer) => answer,
        Err(error) => return no_answer(&error),
    };
    let Ok(report) = serde_json::from_value::<ReloadReport>(answer) else {
        return fail(exit::PROTOCOL, "the gateway's answer makes no sense: is it another version?");
    };
    complain(&report.faults);
    let (text, code) = told(&report);
    if code == 0 { say(&text) } else { fail(code, text.trim_end()) }
}

fn told(report: &ReloadReport) -> (String, u8) {
    let ReloadReport { ok, generation, took, changes, faults: _ } = report;
    if !ok {
        return (format!("not reloaded: generation {generation} goes on serving\n"), exit::CONFIG);
    }
    let mut text = format!("reloaded: generation {generation} serves, after {:.1} ms\n", took.as_secs_f64() * 1_000.0);
    for change in changes {
        let _ = writeln!(text, "  {change}");
    }
    (text, 0)
}

/// Prints the state.
pub fn status(path: &Path, as_json: bool) -> ExitCode {
    match call(path, Command::Status) {
        Ok(answer) if as_json => say(&format!("{answer:#}\n")),
        Ok(answer) => {
            let mut out = String::new();
            lines(&mut out, "", &answer);
            say(&out)
        }
        Err(error) => no_answer(&error),
    }
}

fn no_answer(error: &CallError) -> ExitCode {
    let (code, hint) = match error {
        CallError::NotRunning(_) => {
            (exit::UNAVAILABLE, "; name its document, one that has gateway.control, or its socket (--control PATH)")
        }
        CallError::Denied(_) => (exit::NO_PERMISSION, "; try it as that user, or with sudo"),
        CallError::Refused(_) => (exit::NO_PERMISSION, ""),
        CallError::TimedOut(_) => (exit::TRY_AGAIN, "; `tollgate status` shows whether it came through"),
        CallError::Garbled(_) => (exit::PROTOCOL, "; is it another version?"),
        CallError::Broken(_) => (exit::UNAVAILABLE, ""),
    };
    fail(code, &format!("{error}{hint}"))
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
    use std::time::Duration;

    use serde_json::json;

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
            took: Duration::from_micros(1_500),
            changes: vec!["api a: 1 route added".into()],
            faults: String::new(),
        };
        assert_eq!(told(&report).1, exit::CONFIG);
        report.ok = true;
        assert_eq!(told(&report), ("reloaded: generation 3 serves, after 1.5 ms\n  api a: 1 route added\n".into(), 0));
    }
}
