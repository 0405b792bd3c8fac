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

/// A folder with `pets.yaml`, which has `GET /pets` and calls the upstream `pets`.
fn folder_with_pets(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    let operation = "{responses: {default: {description: d}}, x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: \"http://pets/\"}}";
    let openapi =
        format!("openapi: 3.0.1\ninfo: {{title: t, version: \"1\"}}\npaths: {{/pets: {{get: {operation}}}}}\n");
    fs::write(folder.join("pets.yaml"), openapi).expect("the folder for temporary files is writable");
    folder
}

#[test]
fn upstreams_that_no_openapi_document_calls_are_not_used() {
    let folder = folder_with_pets("upstreams");
    let text = r#"
gateway: {listen: 127.0.0.1:0, state: state}
upstreams: {pets: {servers: ["127.0.0.1:9000"]}, idle: {servers: ["127.0.0.1:9001"]}}
apis: {a: {kind: rest, openapi: pets.yaml, stages: {prod: STAGE}}}
"#;
    let said = |stage: &str| {
        let loaded = config::load_text("gateway.yaml", &text.replace("STAGE", stage), &folder);
        loaded.diagnostics.list.iter().map(|fault| fault.what.clone()).collect::<Vec<String>>()
    };
    assert_eq!(said("{}"), ["upstream `idle` is not used"]);
    // What is deployed may call others than the document.
    assert!(!said("{auto_deploy: false}").iter().any(|what| what.contains("not used")));
}

#[test]
fn settings_name_methods_of_the_openapi_document() {
    let folder = folder_with_pets("settings");
    let text = r#"
gateway: {listen: 127.0.0.1:0, state: state}
upstreams: {pets: {servers: ["127.0.0.1:9000"]}}
apis:
  a:
    kind: rest
    openapi: pets.yaml
    stages:
      now: {methods: {/pets/GET: {}, "GET /pet": {}, "*/*": {metrics: true}}}
      frozen: {auto_deploy: false, methods: {"POST /pets": {metrics: true}}}
"#;
    let loaded = config::load_text("gateway.yaml", text, &folder);
    let said: Vec<(config::Severity, &str)> =
        loaded.diagnostics.list.iter().map(|fault| (fault.severity, fault.what.as_str())).collect();
    assert!(said.contains(&(config::Severity::Error, "API `a` has no route `GET /pet`")), "{said:?}");
    // What is deployed may have methods that the document has no more.
    assert!(said.contains(&(config::Severity::Warning, "API `a` has no route `POST /pets`")), "{said:?}");
    assert_eq!(said.iter().filter(|(severity, _)| *severity == config::Severity::Error).count(), 1, "{said:?}");
}

#[test]
fn an_openapi_document_without_operations_is_warned_of() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty");
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    fs::write(folder.join("empty.yaml"), "openapi: 3.0.1\ninfo: {title: t, version: '1'}\npaths: {/a: {}}\n")
        .expect("the folder for temporary files is writable");
    let text = "gateway: {listen: 127.0.0.1:0}\napis: {a: {kind: rest, openapi: empty.yaml, stages: {prod: {}}}}\n";
    let loaded = config::load_text("gateway.yaml", text, &folder);
    let said = loaded.diagnostics.render(false);
    assert!(
        said.starts_with("gateway.yaml:2:33: warning: API `a` has no operation: every request to it is refused\n"),
        "{said}"
    );
    assert!(loaded.snapshot.is_some());
    let text = text.replace("stages", "routes: {\"GET /\": {integration: {type: mock}}}, stages");
    assert_eq!(config::load_text("gateway.yaml", &text, &folder).diagnostics.render(false), "");
}

#[test]
fn a_damaged_state_is_said_once_and_truly() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("damaged");
    fs::create_dir_all(folder.join("state/deployments/a")).expect("the folder for temporary files is writable");
    fs::write(folder.join("state/deployments/a/state.json"), "{").expect("the folder for temporary files is writable");
    let text = r#"
gateway: {listen: 127.0.0.1:0, state: state}
apis:
  a:
    kind: rest
    routes: {"GET /": {integration: {type: mock}}}
    stages: {prod: {auto_deploy: false}, test: {auto_deploy: false}, dev: {}}
"#;
    let loaded = config::load_text("gateway.yaml", text, &folder);
    let said: Vec<&str> = loaded.diagnostics.list.iter().map(|fault| fault.what.as_str()).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("state.json is damaged") && said[0].ends_with("stages `prod`, `test` are refused"),
        "{said:?}"
    );
}
