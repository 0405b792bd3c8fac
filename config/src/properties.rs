//! What must hold for any document at all; tests and fuzzers call it with whatever they can think of.

use std::path::Path;

use router::{Captures, Verb};

use crate::snapshot::{Release, Snapshot, Stage};
use crate::snapshot_file;

/// Loads the bytes as a document. Panics only if a promise of the crate is broken: a snapshot beside an error, neither a snapshot nor a
/// fault, a place outside of its text, or a listener missing.
pub fn document(bytes: &[u8]) {
    let loaded = crate::Loader::default().load_bytes("gateway.yaml", bytes, Path::new("/srv/tollgate"));
    let diagnostics = &loaded.diagnostics;
    assert_eq!(
        loaded.snapshot.is_none(),
        diagnostics.has_errors(),
        "a snapshot, or an error that says why there is none"
    );
    assert!(diagnostics.list.is_sorted_by_key(|fault| fault.place), "faults are sorted by place");
    for fault in &diagnostics.list {
        let source =
            diagnostics.sources.get(usize::from(fault.place.source)).expect("a fault names a source that exists");
        let lines = source.text.matches('\n').count() + 1;
        assert!(fault.place.line as usize <= lines + 1, "line {} of {lines}: {}", fault.place.line, fault.what);
    }
    let rendered = diagnostics.render(false);
    assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "nothing from a document may steer the terminal");
    assert_eq!(diagnostics.to_json()["errors"], diagnostics.counts().0);
    if let Some(snapshot) = &loaded.snapshot {
        holds_together(snapshot);
        let file = snapshot_file::encode(snapshot, Path::new("/srv/tollgate"));
        let read = snapshot_file::decode(&file, Path::new("/srv/tollgate")).expect("what is written is read");
        assert_eq!(snapshot_file::encode(&read, Path::new("/srv/tollgate")), file, "nothing is lost");
    }
}

/// Reads the bytes as a file of the state directory. Panics if one that is taken for good does not keep what it promises.
pub fn deployments(bytes: &[u8]) {
    crate::deployments::must_hold(bytes);
}

/// Reads the bytes as the body of a compiled snapshot, whose checksum anybody can forge.
pub fn snapshot_body(bytes: &[u8]) {
    if let Ok(snapshot) = snapshot_file::decode_body(bytes, Path::new("/srv/tollgate")) {
        holds_together(&snapshot);
        for path in ["/", "/pets/7", "/prod/a/b/c/", "//x"] {
            let _ = snapshot.table.locate(b"api.example.com", path.as_bytes(), true, |_, _| true);
            for release in snapshot.stages.iter().flat_map(releases) {
                for verb in Verb::ALL {
                    let found = release.program.routes.find(path.as_bytes(), 0, verb, &mut Captures::default());
                    assert!(found.is_none_or(|method| (method as usize) < release.program.methods.len()));
                }
            }
        }
    }
}

fn releases(stage: &Stage) -> impl Iterator<Item = &Release> {
    stage.release.iter().chain(stage.canary.as_ref().map(|canary| &canary.release))
}

/// What a snapshot promises to whoever serves it. Panics where it does not hold.
pub fn holds_together(snapshot: &Snapshot) {
    assert!(!snapshot.gateway.listen.is_empty(), "a gateway listens");
    for stage in &snapshot.stages {
        assert!((stage.api as usize) < snapshot.apis.len(), "a stage has its API");
        for release in releases(stage) {
            assert_eq!(release.upstreams.len(), release.program.authorities.len(), "each authority has its upstream");
            for method in &release.program.methods {
                if let crate::Integration::Http(rule) = &method.integration {
                    let upstream = release.upstreams[rule.authority as usize];
                    assert!((upstream as usize) < snapshot.upstreams.len(), "an integration has its upstream");
                }
            }
        }
    }
    assert!(snapshot.upstreams.iter().all(|upstream| !upstream.servers.is_empty()), "an upstream has servers");
}
