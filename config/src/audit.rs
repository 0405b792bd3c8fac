//! What is legal but risky: rules with stable ids over the document and the definitions of its APIs. Nothing here keeps anything from
//! serving.

mod answers;
mod backends;
mod exposure;
mod gateway;
mod secrets;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Fault, Place, Severity};
use crate::model::Document;
use crate::model::api::ApiSpec;
use crate::model::field::nearest;
use crate::{check, limits, load, source};

/// How bad it may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Worth knowing.
    Low,
    /// It needs a second mistake, or an attacker with luck.
    Medium,
    /// Whoever finds it can use it.
    High,
}

impl Risk {
    /// `low`, `medium`, `high`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One rule. Its id is never given to another.
#[derive(Debug)]
pub struct Rule {
    /// `TG001`
    pub id: &'static str,
    /// In words: `no-throttle`.
    pub name: &'static str,
    /// How bad.
    pub risk: Risk,
    /// What may happen.
    pub why: &'static str,
    /// What to do about it.
    pub hint: &'static str,
    look: fn(&Subject<'_>, &mut Found<'_>),
}

/// Every rule, by id.
pub const RULES: &[Rule] = &[
    Rule {
        id: "TG001",
        name: "no-throttle",
        risk: Risk::Medium,
        why: "one client can take all of the gateway's and the backend's capacity",
        hint: "write `throttle: {rate: 1000, burst: 2000}` at the stage, `throttle_by` for each client, or `account` under `gateway`",
        look: exposure::no_throttle,
    },
    Rule {
        id: "TG002",
        name: "plain-listener",
        risk: Risk::High,
        why: "everybody on the way reads and changes requests, tokens and cookies",
        hint: "write `tls` at the listener, or listen on loopback behind something on this machine that ends TLS",
        look: gateway::plain_listener,
    },
    Rule {
        id: "TG003",
        name: "cors-any-origin-with-credentials",
        risk: Risk::High,
        why: "any site that a signed-in user visits may read what is answered to that user",
        hint: "name the origins, or do not allow credentials",
        look: answers::any_origin_with_credentials,
    },
    Rule {
        id: "TG004",
        name: "cors-any-origin-behind-authorization",
        risk: Risk::Medium,
        why: "scripts of any site may use a token that they got hold of, straight from a user's browser",
        hint: "name the origins that are meant to call it",
        look: answers::any_origin_behind_authorization,
    },
    Rule {
        id: "TG005",
        name: "secret-in-document",
        risk: Risk::High,
        why: "documents are read by many, kept in repositories and backups, and exported",
        hint: "keep it at the backend, or let a sidecar add it; change it if the document was shared",
        look: secrets::in_document,
    },
    Rule {
        id: "TG006",
        name: "token-in-query",
        risk: Risk::Medium,
        why: "query strings stay in logs, histories and Referer fields",
        hint: "read the token from a header field",
        look: secrets::token_in_query,
    },
    Rule {
        id: "TG007",
        name: "open-admin",
        risk: Risk::High,
        why: "metrics and status tell strangers of APIs, backends and load",
        hint: "write `admin: 127.0.0.1:9901`",
        look: gateway::open_admin,
    },
    Rule {
        id: "TG008",
        name: "no-access-log",
        risk: Risk::Low,
        why: "after an attack nobody knows who did what",
        hint: "write `access_log: stdout`, or a file",
        look: gateway::no_access_log,
    },
    Rule {
        id: "TG009",
        name: "open-execute-api",
        risk: Risk::Medium,
        why: "whoever sends `Host: API.execute-api.x` reaches every stage, past the domains and what stands before them",
        hint: "remove `execute_api: true`, or write `disable_execute_api_endpoint: true` at the APIs",
        look: gateway::open_execute_api,
    },
    Rule {
        id: "TG010",
        name: "unverified-backend",
        risk: Risk::High,
        why: "anybody on the way to the backend can stand in for it",
        hint: "give the backend a certificate that can be verified",
        look: backends::unverified,
    },
    Rule {
        id: "TG011",
        name: "credentials-in-uri",
        risk: Risk::High,
        why: "URIs are shown by `routes`, by exports and in the backend's logs",
        hint: "send the credential in a header field, added at the backend's side",
        look: secrets::in_uri,
    },
    Rule {
        id: "TG012",
        name: "writes-at-any-host",
        risk: Risk::Medium,
        why: "pages of other sites, and scanners that know only the address, can change things: no name has to be known",
        hint: "map the domains by name, or ask for authorization",
        look: exposure::writes_at_any_host,
    },
    Rule {
        id: "TG013",
        name: "mock-sets-cookie",
        risk: Risk::Low,
        why: "a cookie in a document is the same for everybody: whoever knows it shares the session",
        hint: "let the backend set cookies",
        look: answers::mock_sets_cookie,
    },
    Rule {
        id: "TG014",
        name: "plain-public-backend",
        risk: Risk::Medium,
        why: "requests cross other people's networks where everybody on the way reads and changes them",
        hint: "call it over a tunnel or a TLS proxy on this machine",
        look: backends::plain_public,
    },
    Rule {
        id: "TG015",
        name: "long-timeout",
        risk: Risk::Low,
        why: "slow answers pile up: each holds a connection to the backend, and AWS would have given up",
        hint: "write at most 29s for REST and 30s for HTTP APIs, and let long work answer 202",
        look: backends::long_timeout,
    },
    Rule {
        id: "TG016",
        name: "shared-folder",
        risk: Risk::High,
        why: "other users of the machine can put a deployment or a socket of their own in its place",
        hint: "use a folder that only the gateway's user may write to",
        look: gateway::shared_folder,
    },
    Rule {
        id: "TG017",
        name: "unlimited-body",
        risk: Risk::Medium,
        why: "a single request can keep a backend busy for ever or fill its disk",
        hint: "write the largest body that is meant, such as `body: 1GB`",
        look: gateway::unlimited_body,
    },
    Rule {
        id: "TG018",
        name: "host-from-stage-variable",
        risk: Risk::Low,
        why: "whoever may change a variable of the stage chooses the machine that receives requests, tokens included",
        hint: "name an upstream in the URI, or look after who deploys",
        look: backends::host_from_stage_variable,
    },
    Rule {
        id: "TG019",
        name: "greedy-backend",
        risk: Risk::Medium,
        why: "everything that the backend answers is public, also what nobody thought of: consoles, metrics, old versions",
        hint: "list the paths that are meant, or ask for authorization",
        look: exposure::greedy_backend,
    },
    Rule {
        id: "TG020",
        name: "policy-for-anyone",
        risk: Risk::Medium,
        why: "a resource policy that allows everybody, everywhere restricts nothing",
        hint: "name principals, add a Condition, or a Deny with one",
        look: exposure::policy_for_anyone,
    },
    Rule {
        id: "TG021",
        name: "telling-refusal",
        risk: Risk::Medium,
        why: "callers who were refused learn from it how authorizers, schemas and backends work",
        hint: "answer `$context.error.message` and `$context.requestId`",
        look: answers::telling_refusal,
    },
    Rule {
        id: "TG022",
        name: "cached-without-identity",
        risk: Risk::High,
        why: "what was decided for one caller is used for the next, whoever that is",
        hint: "name what identifies a caller in `identitySource`, or write `authorizerResultTtlInSeconds: 0`",
        look: exposure::cached_without_identity,
    },
    Rule {
        id: "TG023",
        name: "writable-document",
        risk: Risk::High,
        why: "every user of the machine can change what the gateway does at its next load",
        hint: "take the right to write from others: chmod o-w",
        look: gateway::writable_document,
    },
    Rule {
        id: "TG024",
        name: "unheeded-security",
        risk: Risk::High,
        why: "the document reads as if callers were checked, and anybody may call: API Gateway passes over schemes without an authorizer",
        hint: "give the scheme `x-amazon-apigateway-authorizer`, or write `security: []` where everybody may call",
        look: exposure::unheeded_security,
    },
    Rule {
        id: "TG025",
        name: "around-mutual-tls",
        risk: Risk::High,
        why: "who has no certificate reaches the same stage by another domain",
        hint: "write the same `mutual_tls` at that domain, or map another stage there",
        look: exposure::around_mutual_tls,
    },
];

/// What rules look at.
struct Subject<'a> {
    document: &'a Document,
    /// In the order of the document; those whose kind could not be read are missing.
    apis: Vec<(&'a ApiSpec, &'a Definition)>,
    /// The folder of relative paths.
    base: &'a Path,
    /// Every file that was read, and its number among the sources.
    files: Vec<(PathBuf, u16)>,
}

/// Something risky.
#[derive(Debug, Clone)]
pub struct Finding {
    /// By which rule.
    pub rule: &'static Rule,
    /// Where.
    pub place: Place,
    /// What is there, in one sentence without a full stop.
    pub what: String,
    /// Whether a secret stands at the place: it is not shown again.
    pub is_secret: bool,
}

/// Collects what a rule finds.
struct Found<'a> {
    rule: &'static Rule,
    list: &'a mut Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, place: Place, what: impl Into<String>) {
        self.push(place, what.into(), false);
    }

    /// What stands at the place is a secret.
    fn add_secret(&mut self, place: Place, what: impl Into<String>) {
        self.push(place, what.into(), true);
    }

    fn push(&mut self, place: Place, what: String, is_secret: bool) {
        if !self.list.iter().any(|known| known.place == place && known.rule.id == self.rule.id) {
            self.list.push(Finding { rule: self.rule, place, what, is_secret });
        }
    }
}

/// What came of an audit.
#[derive(Debug)]
pub struct Audit {
    /// By place, then by rule; `None` if the document has errors.
    pub findings: Option<Vec<Finding>>,
    /// Errors and warnings of the documents, and their texts.
    pub diagnostics: Diagnostics,
}

/// Looks at a document and its OpenAPI documents.
pub fn audit(path: &Path) -> Audit {
    let mut faults = Diagnostics::default();
    let base = path.parent().unwrap_or(Path::new(""));
    let source = source::file::read(path, &mut faults);
    let read = source.and_then(|source| load::understand(source, base, &mut faults));
    let findings = read.and_then(|(document, definitions)| {
        check::check(&document, &mut faults);
        let pairs = document.apis.iter().zip(&definitions);
        let apis = pairs.filter_map(|(spec, definition)| Some((spec, definition.as_ref()?))).collect();
        let subject = Subject { document: &document, apis, base, files: files(&faults) };
        (!faults.has_errors()).then(|| look(&subject))
    });
    faults.finish();
    Audit { findings, diagnostics: faults }
}

fn files(faults: &Diagnostics) -> Vec<(PathBuf, u16)> {
    let number = |path: &Path| {
        let name = path.display().to_string();
        let found = faults.sources.iter().position(|source| source.name == name)?;
        u16::try_from(found).ok()
    };
    faults.files.iter().filter_map(|file| Some((file.path.clone(), number(&file.path)?))).collect()
}

fn look(subject: &Subject<'_>) -> Vec<Finding> {
    let mut list = Vec::new();
    for rule in RULES {
        (rule.look)(subject, &mut Found { rule, list: &mut list });
    }
    list.sort_by(|a, b| (a.place, a.rule.id).cmp(&(b.place, b.rule.id)));
    list.truncate(limits::FINDINGS_MAX);
    list
}

impl Audit {
    /// The findings as text, with their lines, stars in place of secrets; `color` adds ANSI colours. Empty without findings.
    pub fn render(&self, findings: &[&Finding], color: bool) -> String {
        let fault = |finding: &&Finding| Fault {
            severity: Severity::Warning,
            place: finding.place,
            what: format!("{} ({}): {}", finding.rule.id, finding.rule.risk.as_str(), finding.what),
            hint: Some(format!("{}; {}", finding.rule.why, finding.rule.hint)),
        };
        let list = findings.iter().map(fault).collect();
        let mut sources = self.diagnostics.sources.clone();
        for finding in self.findings.iter().flatten().filter(|finding| finding.is_secret) {
            if let Some(source) = sources.get_mut(usize::from(finding.place.source)) {
                source.text = masked(&source.text, finding.place);
            }
        }
        let hidden = self.diagnostics.hidden.clone();
        Diagnostics { list, sources, hidden, ..Diagnostics::default() }.render(color)
    }

    /// The same for programs: `[{rule, name, risk, file, line, column, end_column, length, message, why, hint}]`.
    pub fn to_json(&self, findings: &[&Finding]) -> Value {
        let list = findings.iter().map(|Finding { rule, place, what, is_secret: _ }| {
            json!({
                "rule": rule.id,
                "name": rule.name,
                "risk": rule.risk.as_str(),
                "file": self.diagnostics.sources.get(usize::from(place.source)).map(|source| &source.name),
                "line": place.line,
                "column": place.column,
                "end_column": place.end_column(),
                "length": place.length,
                "message": what,
                "why": rule.why,
                "hint": rule.hint,
            })
        });
        list.collect()
    }
}

/// A text with stars in place of what stands at a place; of a text that goes on in further lines, all of its first line.
fn masked(text: &str, place: Place) -> String {
    let mut out = String::with_capacity(text.len());
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if number != place.line {
            out.push_str(line);
            continue;
        }
        let from = place.column.saturating_sub(1) as usize;
        let to = from + place.length.max(1) as usize;
        // A place of one character is that of something larger.
        let to = if place.length <= 1 { usize::MAX } else { to };
        let hide = |(at, c): (usize, char)| if (from..to).contains(&at) && c != '\n' { '*' } else { c };
        out.extend(line.chars().enumerate().map(hide));
    }
    out
}

/// Which findings are meant: rules by id or name, or everything at least that bad.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    rules: Vec<&'static str>,
    least: Option<Risk>,
}

impl Choice {
    /// `all`, `high`, `TG001,TG002`, `no-throttle`; otherwise what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut choice = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let risk = match word {
                "all" | "low" => Some(Risk::Low),
                "medium" => Some(Risk::Medium),
                "high" => Some(Risk::High),
                _ => None,
            };
            if let Some(risk) = risk {
                choice.least = Some(choice.least.map_or(risk, |known| known.min(risk)));
                continue;
            }
            let named = |rule: &&Rule| rule.id.eq_ignore_ascii_case(word) || rule.name == word;
            let Some(rule) = RULES.iter().find(named) else {
                let names = RULES.iter().flat_map(|rule| [rule.id, rule.name]).chain(["all", "high", "medium", "low"]);
                let near = nearest(word, names).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
                return Err(format!("`{word}` is no rule{near}; `tollgate audit --rules` lists them"));
            };
            choice.rules.push(rule.id);
        }
        Ok(choice)
    }

    /// Whether a finding is meant.
    pub fn has(&self, finding: &Finding) -> bool {
        self.rules.contains(&finding.rule.id) || self.least.is_some_and(|least| finding.rule.risk >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_every_rule_is_explained() {
        for (rule, number) in RULES.iter().zip(1..) {
            assert_eq!(rule.id, format!("TG{number:03}"));
            let is_sentence = |text: &str| text.len() > 20 && !text.ends_with('.');
            assert!(is_sentence(rule.why) && is_sentence(rule.hint), "{}", rule.id);
            assert!(rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.id);
        }
    }

    #[test]
    fn secrets_are_masked_where_they_stand() {
        let place = |line, column, length| Place { source: 0, line, column, length };
        assert_eq!(masked("a: b\nc: sécret x\nd", place(2, 4, 6)), "a: b\nc: ****** x\nd");
        assert_eq!(masked("a: |\n  key", place(1, 4, 1)), "a: *\n  key");
        assert_eq!(masked("a", place(9, 9, 9)), "a");
    }

    #[test]
    fn rules_are_chosen_by_id_name_or_risk() {
        let of = |id: &str| {
            let rule = RULES.iter().find(|rule| rule.id == id).unwrap();
            Finding { rule, place: Place::default(), what: String::new(), is_secret: false }
        };
        let chosen = |text: &str, id: &str| Choice::parse(text).unwrap().has(&of(id));
        assert!(chosen("all", "TG008") && chosen("TG008, TG001", "TG001") && chosen("no-access-log", "TG008"));
        assert!(chosen("high", "TG002") && !chosen("high", "TG001") && chosen("medium", "TG001"));
        assert!(!chosen("", "TG002") && !chosen("TG001", "TG002"));
        assert!(Choice::parse("TG099").unwrap_err().contains("no rule"));
        assert!(Choice::parse("open-admn").unwrap_err().contains("open-admin"));
    }
}
