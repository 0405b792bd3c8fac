//! `tollgate check`: all that is wrong with a document, or how much of it there is.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use config::{Loaded, Snapshot, Stage};
use serde_json::json;

use super::gateway::Named;
use super::{bad_document, colours, complain, count, say};

/// Prints the faults, and a line of counts if there is no error.
pub fn check(path: &Path, as_json: bool) -> ExitCode {
    let Loaded { snapshot, diagnostics, files: _ } = config::load(path);
    let code = if snapshot.is_some() { ExitCode::SUCCESS } else { ExitCode::from(bad_document(path)) };
    if as_json {
        let mut answer = diagnostics.to_json();
        if let Some(snapshot) = &snapshot {
            let (apis, routes, stages) = counts(snapshot);
            answer["apis"] = json!(apis);
            answer["routes"] = json!(routes);
            answer["stages"] = json!(stages);
        }
        say(&format!("{answer:#}\n"));
        return code;
    }
    complain(&Named::by_document(path).pasteable(&diagnostics.render(colours(&io::stderr()))));
    let Some(snapshot) = snapshot else {
        let (errors, warnings) = diagnostics.counts();
        let warnings = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
        complain(&format!("{}{warnings}\n", count(errors, "error")));
        return code;
    };
    let (apis, routes, stages) = counts(&snapshot);
    say(&format!("ok: {}, {}, {}\n", count(apis, "api"), count(routes, "route"), count(stages, "stage")))
}

/// APIs, routes (once for each API: those of the stage that has most), stages.
fn counts(snapshot: &Snapshot) -> (usize, usize, usize) {
    let of_api = |api: usize| snapshot.stages.iter().filter(move |stage| stage.api as usize == api);
    let routes = (0..snapshot.apis.len()).filter_map(|api| of_api(api).map(Stage::methods).max()).sum();
    (snapshot.apis.len(), routes, snapshot.stages.len())
}
