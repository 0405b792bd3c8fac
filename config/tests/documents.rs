//! Every document below `documents/` against the faults written beside it. `BLESS=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

fn documents(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is in the repository")
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "json"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn faults_are_said_as_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for path in documents("documents") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let loaded = config::load_text(name, &text, Path::new("/srv/tollgate"));
        let said = loaded.diagnostics.render(false);
        assert_eq!(loaded.snapshot.is_none(), loaded.diagnostics.has_errors(), "{name}");
        assert!(!said.is_empty(), "{name} has no fault: it belongs into good/");
        let beside = path.with_extension("expected");
        if bless {
            fs::write(&beside, said).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != said {
            wrong.push(format!("--- {name}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "not as expected (BLESS=1 accepts):\n{}", wrong.join("\n"));
}

#[test]
fn every_expectation_has_its_document() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents")).unwrap() {
        let path = entry.unwrap().path();
        let has = |extension| path.with_extension(extension).exists();
        assert!(has("yaml") || has("json"), "{} has no document", path.display());
    }
}

#[test]
fn good_documents_have_no_faults() {
    for path in documents("good") {
        let loaded = config::load(&path);
        assert_eq!(loaded.diagnostics.render(false), "", "{}", path.display());
        assert!(loaded.snapshot.is_some());
    }
}
