//! `tollgate audit`: what is legal in a document, but risky.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use config::audit::{Audit, Choice, Finding, RULES, Risk, audit};
use serde_json::{Value, json};

use super::{bad_document, colours, complain, count, exit, fail, say, stdout_colours};

/// What is asked of the audit.
pub struct Options<'a> {
    /// Print JSON.
    pub json: bool,
    /// Findings that make the command fail.
    pub deny: Option<&'a str>,
    /// Findings that are known and accepted.
    pub allow: &'a str,
}

/// Prints the findings. They change the exit code only if asked.
pub fn print(path: &Path, options: &Options<'_>) -> ExitCode {
    let choices = Choice::parse(options.allow).and_then(|allow| {
        let deny = options.deny.map(Choice::parse).transpose()?;
        Ok((allow, deny))
    });
    let (allow, deny) = match choices {
        Ok(choices) => choices,
        Err(wrong) => return fail(exit::USAGE, &wrong),
    };
    let audit = audit(path);
    let Some(all) = &audit.findings else {
        complain(&audit.diagnostics.render(colours(&io::stderr())));
        return ExitCode::from(bad_document(path));
    };
    let (allowed, shown): (Vec<&Finding>, Vec<&Finding>) = all.iter().partition(|finding| allow.has(finding));
    let printed = if options.json {
        say(&format!("{:#}\n", as_json(&audit, &shown, allowed.len())))
    } else {
        say(&format!("{}{}\n", audit.render(&shown, stdout_colours()), summary(&shown, allowed.len())))
    };
    let denied = deny.is_some_and(|deny| shown.iter().any(|finding| deny.has(finding)));
    if denied { ExitCode::from(exit::CONFIG) } else { printed }
}

/// Prints every rule with its reason and what to do.
pub fn rules(as_json: bool) -> ExitCode {
    if as_json {
        let list = RULES.iter().map(|rule| {
            json!({ "rule": rule.id, "name": rule.name, "risk": rule.risk.as_str(), "why": rule.why, "hint": rule.hint })
        });
        return say(&format!("{:#}\n", list.collect::<Value>()));
    }
    let bold = |text: &str| if stdout_colours() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let mut out = String::new();
    for rule in RULES {
        let _ = writeln!(out, "{} {} ({})", bold(rule.id), rule.name, rule.risk.as_str());
        let _ = writeln!(out, "      {}", rule.why);
        let _ = writeln!(out, "      {}", rule.hint);
    }
    say(&out)
}

fn of_risk(findings: &[&Finding], risk: Risk) -> usize {
    findings.iter().filter(|finding| finding.rule.risk == risk).count()
}

/// `3 findings: 1 high, 2 medium, 0 low`
fn summary(findings: &[&Finding], allowed: usize) -> String {
    let allowed = if allowed == 0 { String::new() } else { format!("; {allowed} allowed") };
    if findings.is_empty() {
        return format!("ok: none of {} rules finds anything{allowed}", RULES.len());
    }
    let [high, medium, low] = [Risk::High, Risk::Medium, Risk::Low].map(|risk| of_risk(findings, risk));
    format!("{}: {high} high, {medium} medium, {low} low{allowed}", count(findings.len(), "finding"))
}

fn as_json(audit: &Audit, findings: &[&Finding], allowed: usize) -> Value {
    json!({
        "ok": findings.is_empty(),
        "high": of_risk(findings, Risk::High),
        "medium": of_risk(findings, Risk::Medium),
        "low": of_risk(findings, Risk::Low),
        "allowed": allowed,
        "findings": audit.to_json(findings),
    })
}
