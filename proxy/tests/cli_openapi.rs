//! The commands about schemas and OpenAPI documents: what they print and write, and their exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

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
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["$defs"]["document"]["required"], json!(["gateway"]));
    assert_eq!((err.as_str(), code), ("", 0));
    let (out, _, code) = said(&["schema", "--openapi-extensions"]);
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    assert!(schema["properties"]["x-amazon-apigateway-policy"].is_object() && code == 0);
}

/// A folder of its own for a test, empty.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the target folder can be written");
    path
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("a folder of its own can be written");
    path.to_str().expect("UTF-8").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("a file that was just written")
}

const GATEWAY: &str = r#"
gateway: {listen: 127.0.0.1:0}
apis:
  pets:
    kind: rest
    stages: {prod: {}, dev: {}}
    routes:
      "GET /pets/{id}": {timeout: 2s, integration: {type: http_proxy, uri: "http://pets.example/{id}", method: POST}}
      "ANY /health": {integration: {type: mock, status: 203, headers: {X-A: "$context.requestId"}, body: "yes\nno\n"}}
  hello:
    kind: http
    stages: {$default: {}}
    routes:
      $default: {integration: {type: http_proxy, uri: "http://pets.example"}}
domains:
  "*": {mappings: {/: pets/prod, /hello: hello/$default}}
"#;

const SWAGGER: &str = r##"{
  "swagger": "2.0", "info": {"title": "Old Pets", "version": "7"}, "basePath": "/v1/x",
  "paths": {"/pets": {
    "get": {"produces": ["application/json"], "responses": {"200": {"description": "all", "schema": {"$ref": "#/definitions/Pets"}}},
      "x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "http://${stageVariables.host}/pets"}},
    "post": {"consumes": ["application/json"], "parameters": [{"in": "body", "name": "pet", "schema": {"type": "object"}}],
      "responses": {}, "security": [{"api_key": []}],
      "x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "POST", "uri": "http://pets.example/pets"}}
  }},
  "definitions": {"Pets": {"type": "array", "items": {"type": "string"}}},
  "securityDefinitions": {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}
}"##;

#[test]
fn native_routes_are_exported() {
    let config = write(&folder("export-native"), "gateway.yaml", GATEWAY);
    let (out, err, code) =
        said(&["export", &config, "--api", "pets", "--stage", "prod", "--host", "a.example", "--json"]);
    assert_eq!((err.as_str(), code), ("", 0));
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&document["openapi"], &document["info"]["title"]), (&json!("3.0.1"), &json!("pets")));
    assert_eq!(
        document["servers"],
        json!([{ "url": "https://a.example/{basePath}", "variables": { "basePath": { "default": "prod" } } }])
    );
    assert_eq!(document["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/pets/{id}", "/health"]);
    assert!(!out.contains("x-amazon-apigateway-integration") && !out.contains("pets.example"), "{out}");
    let (out, _, _) = said(&["export", &config, "--api", "pets", "--extensions", "--json"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(document.get("servers"), None);
    assert_eq!(
        document["paths"]["/pets/{id}"]["get"]["x-amazon-apigateway-integration"],
        json!({ "type": "http_proxy", "httpMethod": "POST", "uri": "http://pets.example/{id}", "timeoutInMillis": 2000 })
    );
    assert_eq!(
        document["paths"]["/health"]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]["x-tollgate-mock"],
        json!({ "status": 203, "headers": { "X-A": "$context.requestId" }, "body": "yes\nno\n" })
    );
    let (out, _, code) = said(&["export", &config, "--api", "hello", "--extensions=integrations"]);
    assert!(out.contains("  /$default:\n    x-amazon-apigateway-any-method:\n      isDefaultRoute: true\n"), "{out}");
    assert_eq!(code, 0);
}

#[test]
fn an_export_serves_like_its_original() {
    let folder = folder("export-again");
    let config = write(&folder, "gateway.yaml", GATEWAY);
    let document = folder.join("pets.yaml").to_str().unwrap().to_owned();
    let format = ["oas30", "swagger20"];
    for format in format {
        let made = said(&["export", &config, "--api", "pets", "--extensions", "--format", format, "-o", &document]);
        assert_eq!(made, (String::new(), String::new(), 0));
        let again = folder.join("again.yaml").to_str().unwrap().to_owned();
        assert_eq!(said(&["import", &document, "-o", &again, "--name", "pets", "--force"]).2, 0);
        let routes = |path: &str| {
            let (out, _, code) = said(&["routes", path]);
            assert_eq!(code, 0);
            out.lines()
                .filter(|line| line.starts_with("pets ") && line.contains(" prod "))
                .map(words)
                .collect::<Vec<_>>()
        };
        assert_eq!(routes(&again), routes(&config), "{format}");
    }
}

/// The words of a line: columns may be wider beside other rows.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn export_says_what_it_cannot_find() {
    let config = write(&folder("export-lost"), "gateway.yaml", GATEWAY);
    let (out, err, code) = said(&["export", &config]);
    assert_eq!((out.as_str(), code), ("", 64));
    assert!(err.contains("name an API with --api") && err.contains("pets, hello"), "{err}");
    let (_, err, code) = said(&["export", &config, "--api", "pet"]);
    assert!(err.contains("there is no API `pet`") && code == 64, "{err}");
    let (_, err, code) = said(&["export", &config, "--api", "pets", "--stage", "test"]);
    assert!(err.contains("no stage `test`; it has: prod, dev") && code == 64, "{err}");
    assert_eq!(said(&["export", "/nowhere/gateway.yaml", "--api", "pets"]).2, 66);
    assert_eq!(said(&["export", &config, "--api", "pets", "--extensions=postman"]).2, 64);
    assert_eq!(said(&["export", &config, "--api", "pets", "-o", "/nowhere/x.yaml"]).2, 73);
    let bad = write(&folder("export-bad"), "gateway.yaml", "gateway: {listen: 127.0.0.1:0}\napis: {a: {kind: soap}}\n");
    let (_, err, code) = said(&["export", &bad]);
    assert!(err.contains("`kind` cannot be `soap`") && code == 78, "{err}");
}

#[test]
fn documents_change_their_language() {
    let folder = folder("convert");
    let old = write(&folder, "old.json", SWAGGER);
    let new = folder.join("new.json").to_str().unwrap().to_owned();
    assert_eq!(said(&["export", &old, "--extensions", "-o", &new]), (String::new(), String::new(), 0));
    let document: Value = serde_json::from_str(&read(&new)).expect("JSON, because the file ends so");
    assert_eq!(document["openapi"], "3.0.1");
    let get = &document["paths"]["/pets"]["get"];
    assert_eq!(
        get["responses"]["200"]["content"]["application/json"]["schema"],
        json!({ "$ref": "#/components/schemas/Pets" })
    );
    assert_eq!(get["x-amazon-apigateway-integration"]["uri"], "http://${stageVariables.host}/pets");
    // And back again: what is written once is written the same ever after.
    let back = folder.join("back.json").to_str().unwrap().to_owned();
    assert_eq!(said(&["export", &new, "--extensions", "--format", "swagger20", "-o", &back]).2, 0);
    let third = folder.join("third.json").to_str().unwrap().to_owned();
    assert_eq!(said(&["export", &back, "--extensions", "-o", &third]).2, 0);
    assert_eq!(read(&third), read(&new));
}

#[test]
fn a_document_becomes_a_gateway() {
    let folder = folder("import");
    let document = write(&folder, "old.json", SWAGGER);
    let config = folder.join("gateway.yaml").to_str().unwrap().to_owned();
    let (out, err, code) = said(&["import", &document, "-o", &config]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("REST API `old-pets` (Old Pets 7): 2 methods on 1 path, 1 model\n"), "{out}");
    assert!(out.contains("     1  a faulty URI or mapping\n"), "{out}");
    assert!(out.contains(&format!("wrote {config}\n")) && out.contains("/prod/pets\n"), "{out}");
    let text = read(&config);
    assert!(text.contains("    openapi: old.json\n    stages:\n      prod:\n"), "{text}");
    assert!(text.contains("        #   host: "), "the stage variable that it uses: {text}");
    assert!(text.contains("# domains:\n#   api.example.com: {mappings: {/: old-pets/prod}}\n"), "{text}");
    assert_eq!(said(&["check", &config]).2, 0);
    // Nothing is written over unasked.
    write(&folder, "gateway.yaml", "mine");
    let (_, err, code) = said(&["import", &document, "-o", &config]);
    assert!(err.contains("--force") && code == 73, "{err}");
    assert_eq!(read(&config), "mine");
    assert_eq!(said(&["import", &document, "-o", &config, "--force", "--base-path", "prepend", "--stage", "v2"]).2, 0);
    assert!(
        read(&config).contains("      files:\n        - old.json\n      base_path: prepend\n    stages:\n      v2:\n")
    );
    assert!(said(&["routes", &config]).0.contains("/v1/x/pets"));
}

#[test]
fn what_an_import_suggests_to_try_is_answered() {
    let folder = folder("import-next");
    let config = folder.join("gateway.yaml").to_str().unwrap().to_owned();
    let http = r#"{"get": {"x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "http://pets.example"}}}"#;
    let lambda = r#"{"get": {"x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:f/invocations"}}}"#;
    let post = http.replace("\"get\"", "\"post\"");
    for (paths, tried) in [
        (format!(r#"{{"/a": {lambda}, "/b/{{id}}": {http}, "/c": {http}}}"#), Some("/prod/c")),
        (format!(r#"{{"/a": {lambda}, "/b/{{id}}/x": {http}}}"#), Some("/prod/b/1/x")),
        (format!(r#"{{"/a": {lambda}, "/b": {post}}}"#), None),
    ] {
        let text = format!(r#"{{"openapi": "3.0.1", "info": {{"title": "x"}}, "paths": {paths}}}"#);
        let document = write(&folder, "next.json", &text);
        let (out, err, code) = said(&["import", &document, "-o", &config, "--force"]);
        assert_eq!(code, 0, "{err}");
        let curl = out.lines().find_map(|line| line.strip_prefix("  curl -i http://"));
        assert_eq!(curl.map(|url| &url[url.find('/').expect("a path")..]), tried, "{out}");
        let Some(path) = tried else { continue };
        let (out, err, code) = said(&["explain", &config, "GET", path]);
        assert!(code == 0 && out.contains("http_proxy: GET http://pets.example"), "{out}{err}");
    }
}

#[test]
fn an_export_says_when_the_stage_serves_something_else() {
    let folder = folder("export-frozen");
    let frozen = GATEWAY
        .replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:0, state: state")
        .replace("prod: {}", "prod: {auto_deploy: false}");
    let config = write(&folder, "gateway.yaml", &frozen);
    let (out, err, code) = said(&["export", &config, "--api", "pets", "--stage", "prod"]);
    assert!(out.contains("/pets/{id}") && code == 0, "{err}");
    assert!(err.contains(&format!("serves nothing until `tollgate deploy pets prod --config {config}`")), "{err}");
    assert_eq!(said(&["export", &config, "--api", "pets", "--stage", "dev"]).1, "");
}

#[test]
fn several_documents_are_several_apis_or_one() {
    let folder = folder("import-several");
    let one = write(&folder, "one.json", SWAGGER);
    let two = "openapi: 3.0.1\ninfo: {title: Old Pets, version: '8'}\nx-amazon-apigateway-cors: {allowOrigins: ['*']}\npaths: {/dogs: {get: {}}}\n";
    let two = write(&folder, "two.yaml", two);
    let config = folder.join("gateway.yaml").to_str().unwrap().to_owned();
    let (out, err, code) = said(&["import", &one, &two, "-o", &config]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("HTTP API `old-pets-2` (Old Pets 8): 1 method on 1 path"), "{out}");
    assert!(read(&config).contains("      /old-pets: old-pets/prod\n      /old-pets-2: old-pets-2/$default\n"));
    assert_eq!(said(&["check", &config]).2, 0);
    assert_eq!(said(&["import", &one, &two, "-o", &config, "--force", "--name", "pets"]).2, 64);
    let merged = said(&["import", &one, &two, "-o", &config, "--force", "--merge", "--name", "pets", "--kind", "rest"]);
    assert!(merged.0.starts_with("REST API `pets`") && merged.0.contains("3 methods on 2 paths"), "{}", merged.0);
    assert!(read(&config).contains("        - one.json\n        - two.yaml\n"));
}

#[test]
fn a_document_from_elsewhere_keeps_its_own_files() {
    let folder = folder("import-elsewhere");
    fs::create_dir_all(folder.join("there")).unwrap();
    fs::create_dir_all(folder.join("here")).unwrap();
    let part =
        "openapi: 3.0.1\npaths: {/a: {get: {$ref: 'part.yaml#/get'}}, /b: {get: {$ref: '../outside.yaml#/get'}}}\n";
    let document = write(&folder, "there/api.yaml", part);
    write(
        &folder,
        "there/part.yaml",
        "get: {x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'http://b.test/'}}\n",
    );
    write(&folder, "outside.yaml", "get: {}\n");
    let config = folder.join("here/gateway.yaml").to_str().unwrap().to_owned();
    let (_, err, code) = said(&["import", &document, "-o", &config]);
    assert_eq!((code, err.matches("leads nowhere").count()), (78, 1), "{err}");
    assert!(err.contains("`$ref: ../outside.yaml#/get` leads nowhere: it leaves the folder"), "{err}");
    write(&folder, "there/api.yaml", &part.replace("../outside", "part"));
    assert_eq!(said(&["import", &document, "-o", &config]).2, 0);
    assert_eq!(said(&["check", &config]).2, 0);
}

#[test]
fn what_is_no_document_is_not_imported() {
    let folder = folder("import-bad");
    let config = folder.join("gateway.yaml").to_str().unwrap().to_owned();
    let bad = write(&folder, "bad.yaml", "openapi: 4.0.0\npaths: {}\n");
    let (out, err, code) = said(&["import", &bad, "-o", &config]);
    assert_eq!((out.as_str(), code), ("", 78));
    assert!(err.contains("bad.yaml:1:10: error: "), "{err}");
    assert!(!folder.join("gateway.yaml").exists());
    // It can be read, and AWS refuses it all the same (RT-04).
    let siblings = "openapi: 3.0.1\npaths: {'/a/{b}': {get: {}}, '/a/{c}': {put: {}}}\n";
    let siblings = write(&folder, "siblings.yaml", siblings);
    let (out, err, code) = said(&["import", &siblings, "-o", &config]);
    assert_eq!((out.as_str(), code), ("", 78));
    assert!(err.contains("siblings.yaml:2:") && err.contains("only one is allowed"), "{err}");
    assert!(!folder.join("gateway.yaml").exists());
    assert_eq!(said(&["import", "/nowhere/x.yaml", "-o", &config]).2, 66);
    assert_eq!(said(&["import", "-o", &config]).2, 64);
}
