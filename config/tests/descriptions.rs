//! Descriptions of real APIs, as registry packages carry them: imported as REST and as HTTP APIs, with no fault that is ours.
//!
//! `.ci/descriptions` fetches them and names their folder in `TOLLGATE_DESCRIPTIONS`; without it this test says that it is skipped.

mod support;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use config::openapi::{ImportOptions, import};
use config::{Diagnostics, Place, Severity};
use router::Kind;
use support::files;

/// What API Gateway would refuse as well, by a part of our sentence: the fault is the document's own.
const THEIRS: &[&str] = &[
    "a variable must be a whole segment",    // RT-04
    "this character cannot stand in a path", // RT-01
    "the same variable twice in one path",   // RT-01
    "an empty segment",                      // RT-01
    "the document is larger than",           // OA-01: AWS takes 6 MB, we take 64 MiB
    "the document has no `paths`",           // OpenAPI 3.0 §4.7.1
];

/// No description may take longer, whatever its size; the largest have 10 MB.
const TIME_MAX: Duration = Duration::from_secs(20);

struct Outcome {
    name: String,
    bytes: u64,
    operations: usize,
    took: Duration,
    ours: Vec<String>,
    theirs: usize,
}

/// Whether it is a description at all: packages carry other files too, not of JSON or YAML alone.
fn is_description(path: &Path) -> bool {
    let ends = |known: &str| path.extension().is_some_and(|ending| ending == known);
    if !["json", "yaml", "yml"].into_iter().any(ends) {
        return false;
    }
    let Ok(bytes) = std::fs::read(path) else { return false };
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]).into_owned();
    let says = |word: &str| {
        head.contains(&format!("\"{word}\":")) || head.lines().any(|line| line.starts_with(&format!("{word}:")))
    };
    (says("openapi") || says("swagger")) && !path.ends_with("package.json")
}

fn outcome(path: &Path, kind: Kind) -> Outcome {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
    let began = Instant::now();
    let imported = catch_unwind(AssertUnwindSafe(|| {
        let mut faults = Diagnostics::default();
        let definition = import(&[(path.to_owned(), Place::default())], &ImportOptions::new(kind), &mut faults);
        (definition, faults)
    }));
    let took = began.elapsed();
    let Ok((definition, faults)) = imported else {
        return Outcome { name, bytes, operations: 0, took, ours: vec!["it panicked".into()], theirs: 0 };
    };
    let errors = faults.list.iter().filter(|fault| fault.severity == Severity::Error);
    let (theirs, ours): (Vec<_>, Vec<_>) =
        errors.partition(|fault| THEIRS.iter().any(|known| fault.what.contains(known)));
    let mut ours: Vec<String> =
        ours.iter().map(|fault| format!("{}:{}: {}", fault.place.line, fault.place.column, fault.what)).collect();
    if took > TIME_MAX {
        ours.push(format!("took {took:?}"));
    }
    if definition.is_none() && theirs.is_empty() {
        ours.push("nothing was imported".into());
    }
    let operations = definition.map_or(0, |definition| definition.methods.len());
    Outcome { name, bytes, operations, took, ours, theirs: theirs.len() }
}

#[test]
fn real_descriptions_are_imported_without_a_fault_of_ours() {
    let Some(folder) = std::env::var_os("TOLLGATE_DESCRIPTIONS") else {
        println!("skipped: TOLLGATE_DESCRIPTIONS names no folder; .ci/descriptions fetches one");
        return;
    };
    let mut paths = files(Path::new(&folder));
    paths.retain(|path| is_description(path));
    assert!(!paths.is_empty(), "no description in {}", Path::new(&folder).display());
    let mut outcomes: Vec<Outcome> =
        paths.iter().flat_map(|path| [Kind::Rest, Kind::Http].map(|kind| outcome(path, kind))).collect();
    let mut wrong = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.ours.is_empty()) {
        let _ = writeln!(wrong, "{}: {}", outcome.name, outcome.ours[..outcome.ours.len().min(3)].join(" | "));
    }
    let operations: usize = outcomes.iter().map(|outcome| outcome.operations).sum();
    let theirs = outcomes.iter().filter(|outcome| outcome.theirs > 0).count();
    println!(
        "{} descriptions, each twice: {operations} operations, {theirs} imports with faults of the document",
        paths.len()
    );
    outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.took));
    for Outcome { name, bytes, operations, took, .. } in outcomes.iter().take(10) {
        println!(
            "{name:<50} {:>6} KB {operations:>5} operations {:>8.1} ms",
            bytes / 1_000,
            took.as_secs_f64() * 1_000.0
        );
    }
    assert!(wrong.is_empty(), "{} imports failed:\n{wrong}", wrong.lines().count());
}
