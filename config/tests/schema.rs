//! The schema of gateway.yaml beside the reader: what the reader takes, the schema takes; slips in a document's shape it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use config::Diagnostics;
use config::openapi::ImportOptions;
use config::source::node::{self, Node, Style, Value as Shape};
use jsonschema::Validator;
use router::Kind;
use serde_json::{Value, json};

fn schema() -> Validator {
    let schema = config::schema::gateway();
    jsonschema::meta::validate(&schema).expect("the schema is one");
    jsonschema::draft202012::new(&schema).expect("the schema compiles")
}

/// YAML as an editor sees it: plain scalars by the core schema.
fn json_of(node: &Node) -> Value {
    match &node.value {
        Shape::Scalar(text) if text.style == Style::Plain => match &*text.text {
            "" | "~" | "null" => Value::Null,
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            other => other.parse().map_or_else(|_| other.into(), |number: i64| json!(number)),
        },
        Shape::Scalar(text) => (*text.text).into(),
        Shape::List(list) => list.iter().map(json_of).collect(),
        Shape::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.text.to_string(), json_of(&entry.value))).collect())
        }
    }
}

fn parse(text: &str) -> Value {
    let node = node::parse(text, 0, &mut Diagnostics::default());
    json_of(&node.unwrap_or_else(|| panic!("not YAML: {text}")))
}

fn faults(schema: &Validator, document: &Value) -> Vec<String> {
    schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every document of the repository that is meant to be good.
fn good() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(repository().join("config/tests/good"))
        .expect("the folder is in the repository")
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "json"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a file can be read")))
        .collect();
    let demo = fs::read_to_string(repository().join("proxy/src/demo.yaml")).expect("the demo's document");
    let demo = demo.replace("LISTEN", "127.0.0.1:1").replace("ADMIN", "127.0.0.1:2").replace("BACKEND", "127.0.0.1:3");
    found.push(("the demo".into(), demo));
    let readme = fs::read_to_string(repository().join("README.md")).expect("the readme");
    let blocks = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned());
    // A part of a document stands for a whole one.
    let whole = |block: String| {
        if block.contains("gateway:\n") { block } else { format!("gateway: {{listen: 127.0.0.1:1}}\n{block}") }
    };
    found.extend(blocks.map(|block| ("the readme".to_owned(), whole(block))));
    assert!(found.len() > 2);
    found
}

#[test]
fn good_documents_are_valid() {
    let schema = schema();
    for (name, text) in good() {
        assert_eq!(faults(&schema, &parse(&text)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn slips_are_refused() {
    let schema = schema();
    let document = |part: &str| parse(&format!("gateway: {{listen: 127.0.0.1:1}}\n{part}"));
    let route = |route: &str| document(&format!("apis: {{a: {{kind: http, routes: {{GET /: {route}}}}}}}"));
    assert_eq!(faults(&schema, &document("")), Vec::<String>::new());
    assert_eq!(faults(&schema, &route("{integration: {type: mock}, timeout: 2s}")), Vec::<String>::new());
    for faulty in [
        parse("{}"),
        parse("gateway: {}"),
        parse("- a"),
        parse("gateway: {listen: 8080}"),
        parse("gateway: {listen: 127.0.0.1}"),
        parse("gateway: {listen: {backlog: 5}}"),
        parse("gateway: {listen: 127.0.0.1:1, workers: many}"),
        parse("gateway: {listen: 127.0.0.1:1, workers: -1}"),
        parse("gateway: {listen: 127.0.0.1:1, limits: {body: 10 megabytes}}"),
        parse("gateway: {listen: 127.0.0.1:1, limits: {idle_time: 5}}"),
        parse("gateway: {listn: 127.0.0.1:1}"),
        parse("gateway: {listen: {address: 127.0.0.1:1, execute_api: yes}}"),
        document("api: {}"),
        document("apis: [a]"),
        document("apis: {a: {}}"),
        document("apis: {a: {kind: soap}}"),
        document("apis: {a: {kind: REST}}"),
        document("apis: {a: {kind: rest, stages: {dev: {variables: [x]}}}}"),
        document("upstreams: {a: {servers: [{weight: 2}]}}"),
        document("upstreams: {a: {servers: ['a:1'], balance: best}}"),
        document("domains: {x: {mappings: /}}"),
        route("{}"),
        route("{integration: mock}"),
        route("{integration: {type: mok}}"),
        route("{integration: {type: mock, statsu: 200}}"),
        route("{integration: {type: mock}, timeout: 2 minutes}"),
        route("{integration: {type: mock}, timeout: 2}"),
    ] {
        assert_ne!(faults(&schema, &faulty), Vec::<String>::new(), "{faulty}");
        let loaded = config::load_text("x.json", &faulty.to_string(), Path::new("/srv"));
        assert!(loaded.diagnostics.has_errors(), "the reader refuses it as well: {faulty}");
    }
}

/// Every object and every value of a document changed, one at a time.
fn changes(document: &Value) -> Vec<Value> {
    fn walk(value: &Value, path: &mut Vec<String>, out: &mut Vec<(Vec<String>, Option<Value>)>) {
        out.push((path.clone(), None));
        for other in
            [json!("x"), json!("1s"), json!(1), json!(true), json!([]), json!(["a:1"]), json!({}), json!({"a": "b"})]
        {
            out.push((path.clone(), Some(other)));
        }
        let children: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (name, child) in children {
            path.push(name);
            walk(child, path, out);
            path.pop();
        }
    }
    let mut edits = Vec::new();
    walk(document, &mut Vec::new(), &mut edits);
    edits.into_iter().filter_map(|(path, new)| changed(document, &path, new)).collect()
}

fn changed(document: &Value, path: &[String], new: Option<Value>) -> Option<Value> {
    let mut document = document.clone();
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(&mut document, |at, name| match at {
        Value::Object(map) => map.get_mut(name),
        Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    })?;
    match (parent, new) {
        (Value::Object(map), Some(new)) => drop(map.insert(last.clone(), new)),
        (Value::Object(map), None) => drop(map.remove(last)),
        (Value::Array(list), Some(new)) => list[last.parse::<usize>().ok()?] = new,
        (Value::Array(list), None) => drop(list.remove(last.parse::<usize>().ok()?)),
        _ => return None,
    }
    Some(document)
}

/// No false alarm in an editor: what the reader takes without an error is valid.
#[test]
fn what_the_reader_takes_is_valid() {
    let schema = schema();
    let (mut taken, mut refused) = (0, 0);
    for (name, text) in good() {
        for document in changes(&parse(&text)) {
            let loaded = config::load_text("x.json", &document.to_string(), Path::new("/srv"));
            if loaded.diagnostics.has_errors() {
                refused += usize::from(!schema.is_valid(&document));
                continue;
            }
            taken += 1;
            assert_eq!(faults(&schema, &document), Vec::<String>::new(), "{name} changed to {document}");
        }
    }
    assert!(taken > 50 && refused > 200, "{taken} taken, {refused} refused by both");
}

/// The documents of a folder of `openapi/` whose import finds nothing to say.
fn imported(folder: &str, kind: Kind) -> Vec<(String, Value)> {
    let folder = repository().join("config/tests/openapi").join(folder);
    let paths =
        fs::read_dir(folder).expect("the folder is in the repository").map(|entry| entry.expect("a file").path());
    let mut found = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "json")) {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).expect("a file can be read"));
        let mut faults = Diagnostics::default();
        config::openapi::import_text(&name, text.as_bytes(), &ImportOptions::new(kind), &mut faults);
        // Habits that only the reader of public documents knows are not an editor's either.
        let plain = node::parse(&text, 0, &mut Diagnostics::default());
        if let (true, Some(node)) = (faults.list.is_empty(), plain) {
            found.push((name, json_of(&node)));
        }
    }
    found
}

fn extensions() -> Validator {
    let schema = config::schema::extensions();
    jsonschema::meta::validate(&schema).expect("the schema is one");
    jsonschema::draft202012::new(&schema).expect("the schema compiles")
}

#[test]
fn extensions_that_are_imported_without_a_word_are_valid() {
    let schema = extensions();
    let all = [imported("rest", Kind::Rest), imported("http", Kind::Http)].concat();
    assert!(all.len() > 10, "{}", all.len());
    for (name, document) in all {
        assert_eq!(faults(&schema, &document), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn slips_in_extensions_are_refused() {
    let schema = extensions();
    let integration =
        |text: &str| parse(&format!("paths: {{/a: {{get: {{x-amazon-apigateway-integration: {text}}}}}}}"));
    for good in [
        integration("{type: AWS_PROXY, uri: {Fn::Sub: 'arn:${x}'}, timeoutInMillis: '${time}', $ref: '#/x'}"),
        integration("{type: mock, requestTemplates: {application/json: {statusCode: 200}}, x-own: 1}"),
        parse("x-other: 1\npaths: {}\ncomponents: {schemas: {a: {x-amazon-apigateway-integration: 5}}}"),
    ] {
        assert_eq!(faults(&schema, &good), Vec::<String>::new(), "{good}");
    }
    for faulty in [
        integration("{type: proxy}"),
        integration("{type: mock, httpmethod: GET}"),
        integration("{type: mock, requestParameters: [a]}"),
        integration("{type: mock, timeoutInMillis: soon}"),
        integration("{type: mock, responses: {default: {status: 200}}}"),
        integration("{type: mock, passthroughBehavior: sometimes}"),
        integration("mock"),
        parse("x-amazon-apigateway-cors: {allowOrigin: ['*']}"),
        parse("x-amazon-apigateway-api-key-source: COOKIE"),
        parse("x-amazon-apigateway-request-validators: {all: {validateBody: true}}"),
        parse("x-amazon-apigateway-gateway-responses: {THROTTLED: {status: 429}}"),
        parse("paths: {/a: {get: {x-amazon-apigateway-auth: {type: JWT}}}}"),
        parse("securityDefinitions: {a: {x-amazon-apigateway-authorizer: {type: lambda}}}"),
        parse("components: {securitySchemes: {a: {x-amazon-apigateway-authorizer: {uri: x}}}}"),
        parse("servers: [{x-amazon-apigateway-endpoint-configuration: {disabled: true}}]"),
    ] {
        assert_ne!(faults(&schema, &faulty), Vec::<String>::new(), "{faulty}");
    }
}
