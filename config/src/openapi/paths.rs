//! Paths and their verbs become methods (RT-01 to RT-05, RT-11, RT-13).

use std::collections::{HashMap, HashSet};

use router::{Kind, Template, TemplateFault, TemplateProblem, Verb};

use super::document::Document;
use super::extensions::is_unknown_yet;
use super::operation::{self, Key};
use super::parameters;
use super::{Source, extensions, field};
use crate::definition::{Method, Word};
use crate::limits;
use crate::source::node::{Entry, Node, Text, Value};

/// What `paths` makes.
#[derive(Default)]
pub struct Paths {
    /// In the order of the document; no key twice.
    pub methods: Vec<Method>,
    /// Paths without methods.
    pub resources: Vec<Word>,
}

/// The operations of a path item. `trace` is for a warning.
const VERBS: [(&str, Verb); 7] = [
    ("get", Verb::Get),
    ("put", Verb::Put),
    ("post", Verb::Post),
    ("delete", Verb::Delete),
    ("options", Verb::Options),
    ("head", Verb::Head),
    ("patch", Verb::Patch),
];

const ANY: &str = "x-amazon-apigateway-any-method";

/// The route of an HTTP API that takes what no other takes.
const DEFAULT: &str = "$default";

/// Reads `paths`.
pub fn read<'a>(node: &'a Node, document: &mut Document<'a>, from: &mut Source<'a>) -> Paths {
    let mut paths = Paths::default();
    if !matches!(node.value, Value::Map(_)) && !node.is_null() {
        let hint = "write `/pets: {get: …}` below it, one path on each line; an API without any is written `paths: {}`";
        from.error(node.place, "`paths` must be a mapping of paths, so there is no operation", hint);
        return paths;
    }
    // Positions by key: paths that differ by a slash at the end, or that a document of many parts has twice.
    let mut known: HashMap<String, usize> = HashMap::new();
    for Entry { key, value } in from.entries(node, "`paths`") {
        if key.text.starts_with("x-") {
            continue;
        }
        let Some(path) = path_of(key, document, from) else { continue };
        let Some(item) = from.resolve(value) else { continue };
        let found = item_methods(&path, value, item, document, from);
        if found.is_empty() && from.options.kind != Kind::Http {
            paths.resources.push(path);
        }
        for method in found {
            add(method, &mut paths.methods, &mut known, from);
        }
        if paths.methods.len() > limits::METHODS_MAX {
            let what = format!("an API has at most {} methods", limits::METHODS_MAX);
            from.error(key.place, what, "make several APIs of it");
            break;
        }
    }
    // With a base path that is dropped, or without the slash at its end, a path may be there twice.
    let mut known: HashSet<Box<str>> = paths.methods.iter().map(|method| method.path.as_str().into()).collect();
    paths.resources.retain(|path| known.insert(path.as_str().into()));
    paths
}

fn add(method: Method, methods: &mut Vec<Method>, known: &mut HashMap<String, usize>, from: &mut Source<'_>) {
    let key = method.key();
    let Some(at) = known.get(&key) else {
        known.insert(key, methods.len());
        methods.push(method);
        return;
    };
    let line = methods[*at].place.line;
    let what = format!("`{key}` is written twice");
    from.warn(method.place.0, what, format!("this one counts; the one before it is in line {line}"));
    methods[*at] = method;
}

/// The methods of a path item. Beside a `$ref`, what is written counts before what is referred to.
fn item_methods<'a>(
    path: &Word,
    written: &'a Node,
    item: &'a Node,
    document: &mut Document<'a>,
    from: &mut Source<'a>,
) -> Vec<Method> {
    let referred = from.entries(item, "a path");
    let beside = if std::ptr::eq(written, item) { &[] } else { from.entries(written, "a path") };
    let list = field(beside, "parameters").or_else(|| field(referred, "parameters"));
    let shared = list.map(|node| parameters::read(node, from)).unwrap_or_default();
    let (shared, shared_body) = operation::divided(shared);
    let mut parameters = Vec::new();
    parameters::override_with(&mut parameters, shared);
    let mut methods = Vec::new();
    extensions::warn_of_strange(referred, &["any-method"], "at a path", from);
    if let Some(entry) = referred.iter().find(|entry| &*entry.key.text == "security") {
        let hint = "write it into each operation";
        from.warn(entry.key.place, "`security` of a path restricts nothing", hint);
    }
    let known: HashSet<&str> = beside.iter().map(|entry| &*entry.key.text).collect();
    let referred = referred.iter().filter(|entry| !known.contains(&*entry.key.text));
    for Entry { key, value } in beside.iter().chain(referred) {
        let Ok(verb) = verb_of(key, from) else { continue };
        if value.is_null() {
            continue;
        }
        let Some(value) = from.resolve(value) else { continue };
        let path = if verb.is_none() { route_of_any(path, value, from) } else { path.clone() };
        let key = Key { verb, path, place: key.place, shared: &parameters, shared_body };
        methods.push(operation::read(key, value, document, from));
    }
    methods
}

/// The verb of an entry of a path item, `None` for ANY; an `Err` if it is something else.
fn verb_of(key: &Text, from: &mut Source<'_>) -> Result<Option<Verb>, ()> {
    if &*key.text == ANY {
        return Ok(None);
    }
    if let Some((_, verb)) = VERBS.iter().find(|(name, _)| *name == &*key.text) {
        return Ok(Some(*verb));
    }
    if key.text.eq_ignore_ascii_case("trace") {
        from.warn(key.place, "`trace` is passed over", "API Gateway has no method for it");
    } else if VERBS.iter().any(|(name, _)| name.eq_ignore_ascii_case(&key.text)) {
        let what = format!("`{}` is passed over", key.text);
        from.warn(
            key.place,
            what,
            format!("OpenAPI writes verbs in small letters: `{}`", key.text.to_ascii_lowercase()),
        );
    }
    Err(())
}

/// `isDefaultRoute: true` makes ANY the `$default` route of an HTTP API (RT-13).
fn route_of_any(path: &Word, operation: &Node, from: &mut Source<'_>) -> Word {
    if from.options.kind == Kind::Http {
        let flag = field(from.entries(operation, "an operation"), "isDefaultRoute");
        if flag.and_then(|node| from.flag(node, "`isDefaultRoute`")) == Some(true) {
            return Word::new(DEFAULT, path.place());
        }
    }
    path.clone()
}

/// A path with the base path before it, in the form of the API's kind.
fn path_of(key: &Text, document: &Document<'_>, from: &mut Source<'_>) -> Option<Word> {
    let written = &*key.text;
    let is_http = from.options.kind == Kind::Http;
    if is_http && matches!(written, "/$default" | DEFAULT) {
        return Some(Word::new(DEFAULT, key.place));
    }
    if is_unknown_yet(written) && (!written.starts_with('/') || Template::parse(written).is_err()) {
        from.warn(
            key.place,
            format!("path `{written}` has a part that only a deployment knows"),
            "it is not served: write the part into the document, or import what is deployed",
        );
        return None;
    }
    if !written.starts_with('/') {
        from.error(key.place, format!("path `{written}` does not begin with `/`"), format!("write /{written}"));
        return None;
    }
    let mut path = written;
    // A REST API has no path that ends with a slash; AWS reads it without (assumed).
    if !is_http && path.len() > 1 && path.ends_with('/') && !path.ends_with("//") {
        path = &path[..path.len() - 1];
    }
    let offset = document.base_path.len();
    let whole = match (document.base_path.as_str(), path) {
        ("", path) => path.to_owned(),
        (base, "/") => base.to_owned(),
        (base, path) => format!("{base}{path}"),
    };
    if let Err(fault) = Template::parse(&whole) {
        let place = fault.offset.checked_sub(offset).map_or(key.place, |at| key.place_at(at));
        from.error(place, format!("path `{whole}`: {fault}"), hint(&fault));
        return None;
    }
    if !is_http {
        warn_of_characters(key, from);
    }
    // What stands in the document letter by letter keeps its exact place.
    Some(if whole == *key.text { Word::from(key) } else { Word::new(whole, key.place) })
}

/// RT-01: REST APIs of AWS know fewer characters than paths have. Here they stand for themselves.
fn warn_of_characters(key: &Text, from: &mut Source<'_>) {
    let known = |c: char| c.is_ascii_alphanumeric() || "_-.,:/{}+".contains(c);
    if let Some((at, strange)) = key.text.char_indices().find(|(_, c)| !known(*c)) {
        from.warn(
            key.place_at(at),
            format!("API Gateway refuses `{strange}` in a path of a REST API; here it stands for itself"),
            "AWS takes letters, digits and `_ - . , :` there",
        );
    }
}

fn hint(fault: &TemplateFault) -> &'static str {
    match fault.what {
        TemplateProblem::PartialVariable => {
            "API Gateway matches whole segments: make `{a}.{b}` one variable, and take it apart behind the gateway"
        }
        TemplateProblem::UnderGreedy => "`{proxy+}` takes the whole rest of the path: it comes last",
        TemplateProblem::Character => {
            "a query or a fragment is no part of a path; other characters are percent-encoded"
        }
        TemplateProblem::EmptySegment => "remove one of the slashes",
        _ => "a path is written like /pets/{id} or /files/{proxy+}",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, with_faults};
    use super::*;
    use crate::openapi::{BasePath, ImportOptions};

    fn keys(kind: Kind, text: &str) -> Vec<String> {
        good(kind, text).methods.iter().map(Method::key).collect()
    }

    #[test]
    fn verbs_and_any() {
        let text = "
openapi: 3.0.1
paths:
  x-of-ours: {get: {}}
  /a:
    summary: of the path
    servers: []
    get: {}
    put: {}
    post: {}
    delete: {}
    options: {}
    head: {}
    patch: {}
    x-amazon-apigateway-any-method: {}
  /{proxy+}: {x-amazon-apigateway-any-method: {}}
";
        let all = ["GET /a", "PUT /a", "POST /a", "DELETE /a", "OPTIONS /a", "HEAD /a", "PATCH /a", "ANY /a"];
        for kind in [Kind::Rest, Kind::Http] {
            let keys = keys(kind, text);
            assert_eq!(keys[..8], all);
            assert_eq!(keys[8..], ["ANY /{proxy+}"]);
        }
    }

    #[test]
    fn the_default_route_of_an_http_api() {
        let text = "
openapi: 3.0.1
paths:
  /$default: {x-amazon-apigateway-any-method: {isDefaultRoute: true}}
  /a: {x-amazon-apigateway-any-method: {isDefaultRoute: false}}
";
        assert_eq!(keys(Kind::Http, text), ["$default", "ANY /a"]);
        let (rest, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        let keys_of_rest: Vec<String> = rest.unwrap().methods.iter().map(Method::key).collect();
        assert_eq!(keys_of_rest, ["ANY /$default", "ANY /a"], "REST APIs have no such route");
        assert!(faults.contains("API Gateway refuses `$` in a path of a REST API"), "{faults}");
        let elsewhere = "{openapi: 3.0.1, paths: {/x: {x-amazon-apigateway-any-method: {isDefaultRoute: true}}}}";
        assert_eq!(keys(Kind::Http, elsewhere), ["$default"]);
    }

    #[test]
    fn paths_without_methods_are_resources() {
        let text = "{swagger: '2.0', paths: {/b/: {}, /b: , /a: {parameters: []}, /c/: {}, /c: {get: {}}}}";
        assert_eq!(good(Kind::Rest, text).resources, [Word::from("/b"), Word::from("/a")]);
        assert!(good(Kind::Http, text).resources.is_empty());
    }

    #[test]
    fn a_slash_at_the_end_is_none_of_a_rest_api() {
        let text = "{swagger: '2.0', paths: {/: {get: {}}, /a/: {get: {}}, /a: {put: {}}}}";
        assert_eq!(keys(Kind::Rest, text), ["GET /", "GET /a", "PUT /a"]);
        assert_eq!(keys(Kind::Http, text), ["GET /", "GET /a/", "PUT /a"]);
        let twice = "swagger: '2.0'\npaths:\n  /a/: {get: {operationId: x}}\n  /a: {get: {operationId: y}}\n";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), twice);
        assert_eq!(faults, "a.yaml:4:8: warning: `GET /a` is written twice");
        assert_eq!(definition.unwrap().methods[0].operation_id, Some("y".into()));
    }

    #[test]
    fn path_items_may_stand_elsewhere() {
        let text = "
openapi: 3.1.0
paths:
  /a:
    $ref: '#/components/pathItems/shared'
    get: {operationId: beside}
  /b: {$ref: '#/components/pathItems/shared'}
components:
  pathItems:
    shared:
      parameters: [{name: q, in: query}]
      get: {operationId: shared}
      put: {$ref: '#/components/x-operations/put'}
  x-operations: {put: {operationId: put}}
";
        let methods = good(Kind::Rest, text).methods;
        let seen: Vec<_> = methods.iter().map(|m| (m.key(), m.operation_id.clone().unwrap().to_string())).collect();
        let expected = [("GET /a", "beside"), ("PUT /a", "put"), ("GET /b", "shared"), ("PUT /b", "put")];
        assert_eq!(seen, expected.map(|(key, id)| (key.to_owned(), id.to_owned())));
        assert!(methods.iter().all(|method| method.parameters.len() == 1));
    }

    #[test]
    fn base_paths() {
        let two = "{swagger: '2.0', basePath: /a/b/c/, paths: {/: {get: {}}, /e: {get: {}}, /f: {}}}";
        let three = "{openapi: 3.0.1, servers: [{url: 'https://x.example/a/b/c?d'}], paths: {/: {get: {}}, /e: {get: {}}, /f: {}}}";
        let variable =
            "{openapi: 3.0.1, servers: [{url: 'https://x/{basePath}', variables: {basePath: {default: a/b/c}}}],
            paths: {/: {get: {}}, /e: {get: {}}, /f: {}}}";
        let other = "{openapi: 3.0.1, servers: [{url: '/a/{v}/c', variables: {v: {default: b}}}], paths: {/: {get: {}}, /e: {get: {}}, /f: {}}}";
        for text in [two, three, variable, other] {
            for (mode, root, below, empty) in [
                (BasePath::Ignore, "GET /", "GET /e", "/f"),
                (BasePath::Prepend, "GET /a/b/c", "GET /a/b/c/e", "/a/b/c/f"),
                (BasePath::Split, "GET /b/c", "GET /b/c/e", "/b/c/f"),
            ] {
                let options = ImportOptions { base_path: mode, ..ImportOptions::new(Kind::Rest) };
                let definition = with_faults(&options, text).0.unwrap();
                let keys: Vec<String> = definition.methods.iter().map(Method::key).collect();
                assert_eq!(keys, [root, below], "{mode:?} {text}");
                assert_eq!(definition.resources, [Word::from(empty)]);
            }
        }
        for base in ["", "basePath: /,", "basePath: ,", "basePath: /one,"] {
            let options = ImportOptions { base_path: BasePath::Split, ..ImportOptions::new(Kind::Rest) };
            let text = format!("{{swagger: '2.0', {base} paths: {{/e: {{get: {{}}}}}}}}");
            assert_eq!(with_faults(&options, &text).0.unwrap().methods[0].key(), "GET /e", "{base}");
        }
    }

    #[test]
    fn paths_that_api_gateway_refuses_are_errors() {
        let text = "
openapi: 3.0.1
paths:
  a: {get: {}}
  /a/{b}.json: {get: {}}
  /a//b: {get: {}}
  /{p+}/x: {get: {}}
  /a?b=c: {get: {}}
  /{a}/{a}: {get: {}}
  /ok: {get: {}}
";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        let expected = "\
a.yaml:4:3: error: path `a` does not begin with `/`
a.yaml:5:9: error: path `/a/{b}.json`: a variable must be a whole segment, as in `/{id}/`
a.yaml:6:6: error: path `/a//b`: an empty segment (`//`) cannot be routed
a.yaml:7:8: error: path `/{p+}/x`: nothing may follow a greedy variable
a.yaml:8:5: error: path `/a?b=c`: this character cannot stand in a path
a.yaml:9:9: error: path `/{a}/{a}`: the same variable twice in one path";
        assert_eq!(faults, expected);
        assert_eq!(definition.unwrap().methods.len(), 1, "the rest is read all the same");
    }

    #[test]
    fn verbs_that_are_none() {
        let text = "openapi: 3.0.1\npaths:\n  /a:\n    trace: {}\n    GET: {}\n    Post: {}\n    query: {}\n";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), text);
        let expected = "\
a.yaml:4:5: warning: `trace` is passed over
a.yaml:5:5: warning: `GET` is passed over
a.yaml:6:5: warning: `Post` is passed over";
        assert_eq!(faults, expected);
        assert_eq!(definition.unwrap().resources, [Word::from("/a")]);
    }
}
