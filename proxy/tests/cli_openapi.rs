//! The commands about schemas and OpenAPI documents: what they print and write, and their exit codes.

use std::process::{Command, Output};

/// Standard output, standard error, exit code.
fn said(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .env_remove("CONFIGURATION_DIRECTORY")
        .env_remove("RUNTIME_DIRECTORY")
        .output()
        .expect("the binary starts");
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code().expect("no signal"))
}

#[test]
fn the_schema_is_json_and_names_its_dialect() {
    let (out, err, code) = said(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["$defs"]["document"]["required"], serde_json::json!(["gateway"]));
    assert_eq!((err.as_str(), code), ("", 0));
}
