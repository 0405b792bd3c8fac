//! One document for each rule of the audit, which that rule alone finds fault with, and a clean one. What is said stands beside them;
//! `BLESS=1` writes it anew.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use config::audit::{Finding, RULES, audit};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit")
}

/// The rules that find something, each once, and all that they say.
fn findings(path: &Path) -> (Vec<&'static str>, String) {
    let audit = audit(path);
    let errors = audit.diagnostics.render(false);
    let list = audit.findings.as_ref().unwrap_or_else(|| panic!("{} has errors:\n{errors}", path.display()));
    let list: Vec<&Finding> = list.iter().collect();
    let mut ids: Vec<&str> = list.iter().map(|finding| finding.rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let said = audit.render(&list, false).replace(&format!("{}/", folder().display()), "");
    (ids, said)
}

/// What cannot be had alone: an open listener is plain HTTP in this version, and its stages have no throttle.
fn companions(id: &str) -> &'static [&'static str] {
    match id {
        "TG001" => &["TG002"],
        "TG009" => &["TG001", "TG002"],
        _ => &[],
    }
}

#[test]
fn each_rule_finds_what_it_is_for_and_nothing_else() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    // A file's permissions are nothing that a repository keeps.
    for rule in RULES.iter().filter(|rule| rule.id != "TG023") {
        let path = folder().join(format!("{}.yaml", rule.id));
        let (ids, said) = findings(&path);
        let mut expected = [&[rule.id], companions(rule.id)].concat();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{}\n{said}", rule.id);
        let beside = path.with_extension("expected");
        if bless {
            fs::write(&beside, said).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != said {
            wrong.push(said);
        }
    }
    assert!(wrong.is_empty(), "not as expected (BLESS=1 accepts):\n{}", wrong.join("\n"));
}

#[test]
fn a_clean_document_has_no_findings() {
    assert_eq!(findings(&folder().join("clean.yaml")), (vec![], String::new()));
}

#[test]
fn documents_that_everybody_may_write_to_are_found() {
    let own = std::env::temp_dir().join(format!("tollgate-audit-{}", std::process::id()));
    fs::create_dir_all(&own).unwrap();
    for name in ["TG006.yaml", "TG006.openapi.yaml"] {
        fs::copy(folder().join(name), own.join(name)).unwrap();
        fs::set_permissions(own.join(name), Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(findings(&own.join("TG006.yaml")).0, ["TG006"]);
    fs::set_permissions(own.join("TG006.openapi.yaml"), Permissions::from_mode(0o646)).unwrap();
    let (ids, said) = findings(&own.join("TG006.yaml"));
    assert_eq!(ids, ["TG006", "TG023"]);
    assert!(said.contains("TG006.openapi.yaml: warning: TG023 (high)"), "{said}");
    fs::remove_dir_all(&own).unwrap();
}

#[test]
fn a_document_with_errors_is_not_audited() {
    let audit = audit(&folder().join("../documents/names.yaml"));
    assert!(audit.findings.is_none() && audit.diagnostics.has_errors());
}

#[test]
fn findings_for_programs_have_places() {
    let audit = audit(&folder().join("TG006.yaml"));
    let list: Vec<&Finding> = audit.findings.iter().flatten().collect();
    let json = audit.to_json(&list);
    assert_eq!(json[0]["rule"], "TG006");
    assert_eq!(json[0]["name"], "token-in-query");
    assert_eq!(
        (json[0]["line"].as_u64(), json[0]["column"].as_u64(), json[0]["end_column"].as_u64()),
        (Some(6), Some(5), Some(11))
    );
    assert!(json[0]["file"].as_str().unwrap().ends_with("TG006.openapi.yaml"));
}
