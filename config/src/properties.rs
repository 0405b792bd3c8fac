//! What must hold for any document at all; tests and fuzzers call it with whatever they can think of.

use std::path::Path;

use router::{Captures, Kind, Verb};
use rustls::pki_types::CertificateDer;

use crate::definition::{Definition, ModelRef};
use crate::diagnostic::Diagnostics;
use crate::diagnostic::first_line;
use crate::openapi::{self, BasePath, ImportOptions};
use crate::snapshot::{Release, Snapshot, Stage};
use crate::source::x509;
use crate::{limits, snapshot_file};

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
    can_be_shown(diagnostics);
    if let Some(snapshot) = &loaded.snapshot {
        holds_together(snapshot);
        let file = snapshot_file::encode(snapshot, Path::new("/srv/tollgate"));
        let read = snapshot_file::decode(&file, Path::new("/srv/tollgate")).expect("what is written is read");
        assert_eq!(snapshot_file::encode(&read, Path::new("/srv/tollgate")), file, "nothing is lost");
    }
}

/// Reads the bytes as a certificate, as a list of revoked ones and as a name. Panics if a text has a control character or no bound, or if
/// a certificate is another one than `webpki` takes it for: what people are told of it is what was verified.
pub fn certificate(bytes: &[u8]) {
    let facts = x509::facts(bytes);
    let der = CertificateDer::from(bytes);
    if let (Some(facts), Ok(parsed)) = (&facts, webpki::EndEntityCert::try_from(&der)) {
        assert_eq!(
            facts.serial.strip_prefix(&[0]).unwrap_or(facts.serial),
            parsed.serial().strip_prefix(&[0]).unwrap_or(parsed.serial())
        );
        assert_eq!(
            (facts.issuer, facts.subject),
            (parsed.issuer(), parsed.subject()),
            "one certificate has one reading"
        );
    }
    let list = x509::list_facts(bytes);
    if let (Some(facts), Ok(parsed)) = (&list, webpki::BorrowedCertRevocationList::from_der(bytes)) {
        assert_eq!(facts.issuer, webpki::CertRevocationList::from(parsed).issuer(), "one list has one reading");
    }
    let names = [facts.as_ref().map(|facts| facts.issuer), facts.as_ref().map(|facts| facts.subject)];
    for name in names.into_iter().chain([list.as_ref().map(|list| list.issuer), Some(bytes)]).flatten() {
        let Some(text) = x509::name(name) else { continue };
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() <= limits::DISTINGUISHED_NAME_BYTES_MAX);
    }
    if let Some(facts) = facts {
        assert!(x509::serial_text(facts.serial).bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'));
        for seconds in [facts.not_before, facts.not_after] {
            let text = x509::time_text(seconds);
            // A year may have one digit.
            assert!(text.len() >= 21 && text.is_ascii() && text.ends_with(" GMT"), "{text}");
        }
    }
}

/// Imports the bytes as an OpenAPI document, for both kinds of API. Panics if there is neither a definition nor an error, if a definition
/// without errors names what it does not have, or if it is another one after it was stored.
pub fn openapi(bytes: &[u8]) {
    for (kind, base_path) in [(Kind::Rest, BasePath::Prepend), (Kind::Http, BasePath::Ignore)] {
        let mut faults = Diagnostics::default();
        let options = ImportOptions { base_path, ..ImportOptions::new(kind) };
        let definition = openapi::import_text("api.yaml", bytes, &options, &mut faults);
        faults.finish();
        can_be_shown(&faults);
        assert!(definition.is_some() || faults.has_errors(), "a definition, or an error that says why there is none");
        let Some(definition) = definition else { continue };
        let stored = serde_json::to_vec(&definition).expect("a definition can be written");
        let read: Definition = serde_json::from_slice(&stored).expect("what is written is read");
        assert_eq!(read, definition, "nothing is lost");
        if !faults.has_errors() {
            has_what_it_names(&definition, &faults);
        }
    }
}

/// Panics if a definition has a key twice, or names a validator that it does not have, or a model without a warning.
fn has_what_it_names(definition: &Definition, faults: &Diagnostics) {
    let is_said = |name: &str| {
        let what = format!("there is no model `{name}`");
        faults.left_out > 0 || faults.list.iter().any(|fault| fault.what.starts_with(&what))
    };
    let mut keys: Vec<String> = definition.methods.iter().map(crate::definition::Method::key).collect();
    keys.sort();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "no key twice");
    for method in &definition.methods {
        assert!(!definition.resources.contains(&method.path), "a path with methods is no path without");
        // An authorizer that nothing defines stays named: the method is closed.
        if definition.kind == Kind::Http {
            continue; // nothing is validated there (VA-07)
        }
        let answers = method.responses.iter().flat_map(|(_, response)| &response.models);
        for (_, model) in method.request_models.iter().chain(answers) {
            if let ModelRef::Named(name) = model {
                let exists = definition.models.iter().any(|(known, _)| known == name);
                assert!(exists || is_said(name), "a model exists, or it is said that it does not");
            }
        }
        if let Some(name) = &method.validator {
            assert!(definition.validators.iter().any(|(known, _)| known == name), "a validator exists");
        }
    }
}

/// Panics if faults are unsorted, point out of their text, or would steer a terminal.
fn can_be_shown(diagnostics: &Diagnostics) {
    assert!(diagnostics.list.is_sorted_by_key(|fault| fault.place), "faults are sorted by place");
    for fault in &diagnostics.list {
        let source =
            diagnostics.sources.get(usize::from(fault.place.source)).expect("a fault names a source that exists");
        let lines = lines_of(&source.text);
        assert!(fault.place.line as usize <= lines + 1, "line {} of {lines}: {}", fault.place.line, fault.what);
    }
    let rendered = diagnostics.render(false);
    assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "nothing from a document may steer the terminal");
    assert_eq!(diagnostics.to_json()["errors"], diagnostics.counts().0);
}

fn lines_of(mut text: &str) -> usize {
    let mut lines = 1;
    loop {
        let (line, end) = first_line(text);
        if end == 0 {
            return lines;
        }
        lines += 1;
        text = &text[line.len() + end..];
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
