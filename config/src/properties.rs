//! What must hold for any document at all; tests and fuzzers call it with whatever they can think of.

use std::path::Path;

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
        assert!(!snapshot.gateway.listen.is_empty(), "a gateway listens");
        for stage in &snapshot.stages {
            assert!((stage.api as usize) < snapshot.apis.len(), "a stage has its API");
            let releases = stage.release.iter().chain(stage.canary.as_ref().map(|canary| &canary.release));
            for (release, method) in
                releases.flat_map(|release| release.program.methods.iter().map(move |method| (release, method)))
            {
                if let crate::Integration::Http(rule) = &method.integration {
                    let upstream = release.upstreams[rule.authority as usize];
                    assert!((upstream as usize) < snapshot.upstreams.len(), "an integration has its upstream");
                }
            }
        }
        assert!(snapshot.upstreams.iter().all(|upstream| !upstream.servers.is_empty()), "an upstream has servers");
    }
}
