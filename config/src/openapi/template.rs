//! A document within a template of CloudFormation or SAM. What else the template says of the API is not read, except what restricts
//! callers: that is written into the document, so that nothing is open here that is closed there.

use std::collections::HashMap;

use super::field;
use crate::diagnostic::{Diagnostics, Place};
use crate::source::node::{Entry, Node, Style, Text, Value};

/// A template's first document.
pub struct Template {
    /// The document.
    pub document: Node,
    /// What its resource says of callers: `Auth` and `Policy`.
    pub settings: Node,
    /// The defaults of the template's parameters: what a deployment without further words would take.
    pub defaults: HashMap<Box<str>, Text>,
}

/// The resources that hold a document, the property that does, and where SAM keeps what all of them share.
const HOLDERS: [(&str, &str, &str); 4] = [
    ("AWS::ApiGateway::RestApi", "Body", ""),
    ("AWS::Serverless::Api", "DefinitionBody", "Api"),
    ("AWS::ApiGatewayV2::Api", "Body", ""),
    ("AWS::Serverless::HttpApi", "DefinitionBody", "HttpApi"),
];

/// Whether this is a template of CloudFormation rather than a document.
pub fn is_template(root: &Node) -> bool {
    let entries = entries_of(root);
    let has = |name| field(entries, name).is_some();
    field(entries, "Resources").is_some_and(|node| matches!(node.value, Value::Map(_)))
        && !has("openapi")
        && !has("swagger")
        && !has("paths")
}

/// The first document among the resources of a template; `None` after an error.
pub fn open(root: &Node, faults: &mut Diagnostics) -> Option<Template> {
    let root_entries = entries_of(root);
    let mut found: Option<(&Text, Node, Node)> = None;
    let (mut others, mut without) = (0, None);
    for Entry { key, value } in field(root_entries, "Resources").map(entries_of).unwrap_or_default() {
        let resource = entries_of(value);
        let kind = field(resource, "Type").and_then(text_of);
        let Some((_, body, shared)) = HOLDERS.iter().find(|(holder, ..)| Some(*holder) == kind) else { continue };
        let properties = field(resource, "Properties").map(entries_of).unwrap_or_default();
        match field(properties, body).filter(|body| is_document(body)) {
            Some(_) if found.is_some() => others += 1,
            Some(body) => found = Some((key, body.clone(), settings(properties, root_entries, shared, value.place))),
            None => without = without.or(Some(key)),
        }
    }
    let defaults = defaults_of(root_entries);
    match (found, without) {
        (Some((key, document, settings)), _) => {
            say_what_is_imported(key, others, faults);
            Some(Template { document, settings, defaults })
        }
        (None, Some(key)) => {
            faults.error_hint(
                key.place,
                format!("the OpenAPI document of `{}` is not in this template", key.text),
                "import the file that its DefinitionUri, BodyS3Location or AWS::Include names, or what is deployed: \
                 aws apigateway get-export",
            );
            None
        }
        (None, None) => {
            faults.error_hint(
                root.place,
                "this is a template of CloudFormation without an API",
                "import the OpenAPI document itself, or what is deployed: aws apigateway get-export",
            );
            None
        }
    }
}

fn say_what_is_imported(key: &Text, others: usize, faults: &mut Diagnostics) {
    let more = match others {
        0 => String::new(),
        1 => ", one more API in it is passed over".to_owned(),
        _ => format!(", {others} more APIs in it are passed over"),
    };
    faults.warning(
        key.place,
        format!("this is a template of CloudFormation: the document of `{}` is imported{more}", key.text),
        "what else the template says of the API, such as Cors, Events and BinaryMediaTypes, is not read",
    );
}

/// A mapping that is more than `Fn::Transform`, which names another file.
fn is_document(body: &Node) -> bool {
    matches!(&body.value, Value::Map(entries) if !matches!(&entries[..], [entry] if &*entry.key.text == "Fn::Transform"))
}

/// `Auth` and `Policy` of the resource, and `Auth` of `Globals` behind them.
fn settings(properties: &[Entry], root: &[Entry], shared: &str, place: Place) -> Node {
    let globals = field(root, "Globals").map(entries_of).unwrap_or_default();
    let globals = field(globals, shared).map(entries_of).unwrap_or_default();
    let mut auth = Vec::new();
    for properties in [properties, globals] {
        auth.extend_from_slice(field(properties, "Auth").map(entries_of).unwrap_or_default());
    }
    let policy = properties.iter().filter(|entry| &*entry.key.text == "Policy").cloned();
    let auth = named("Auth", Node { value: Value::Map(auth), place });
    Node { value: Value::Map(std::iter::once(auth).chain(policy).collect()), place }
}

fn defaults_of(root: &[Entry]) -> HashMap<Box<str>, Text> {
    let default = |entry: &Entry| match &field(entries_of(&entry.value), "Default")?.value {
        Value::Scalar(text) => Some((entry.key.text.clone(), text.clone())),
        Value::List(_) | Value::Map(_) => None,
    };
    field(root, "Parameters").map(entries_of).unwrap_or_default().iter().filter_map(default).collect()
}

/// Writes what the resource says of callers into the document. What cannot be said in it closes.
pub fn restrict(document: &mut Node, settings: &Node, faults: &mut Diagnostics) {
    let settings = entries_of(settings);
    let auth = field(settings, "Auth").map(entries_of).unwrap_or_default();
    let Value::Map(root) = &mut document.value else { return };
    policy(root, settings, auth, faults);
    let default = field(auth, "DefaultAuthorizer").filter(|node| text_of(node) != Some("NONE"));
    let needs_key = field(auth, "ApiKeyRequired").filter(|node| text_of(node) != Some("false"));
    if let Some(node) = needs_key {
        add_key_scheme(root, node.place);
    }
    let Some(paths) = root.iter_mut().find(|entry| &*entry.key.text == "paths") else { return };
    for item in entries_of_mut(&mut paths.value) {
        for operation in entries_of_mut(&mut item.value).iter_mut().filter(|entry| is_operation(&entry.key.text)) {
            let Value::Map(operation) = &mut operation.value.value else { continue };
            demand(operation, default, needs_key);
        }
    }
    if let Some(node) = default.or(needs_key) {
        faults.warning(
            node.place,
            "methods without `security` ask what `Auth` of the template asks",
            "authorizers that the template itself defines are not read, and nobody passes them: import what is deployed, \
             aws apigateway get-export",
        );
    }
}

/// What an operation asks of its callers, where it does not say it itself.
fn demand(operation: &mut Vec<Entry>, default: Option<&Node>, needs_key: Option<&Node>) {
    let is_silent = field(operation, "security").is_none() && field(operation, "x-amazon-apigateway-auth").is_none();
    let asks = |name: &str, place: Place| {
        let scheme = named(name, Node { value: Value::List(Vec::new()), place });
        Node { value: Value::Map(vec![scheme]), place }
    };
    let mut demands = Vec::new();
    if let (true, Some(node)) = (is_silent, default) {
        match text_of(node) {
            Some("AWS_IAM") => operation.push(named("x-amazon-apigateway-auth", written("AWS_IAM", node.place))),
            name => demands.push(asks(name.unwrap_or("DefaultAuthorizer"), node.place)),
        }
    }
    demands.extend(needs_key.map(|node| asks("api_key", node.place)));
    let Some(first) = demands.first() else { return };
    let place = first.place;
    match operation.iter_mut().find(|entry| &*entry.key.text == "security").map(|entry| &mut entry.value.value) {
        Some(Value::List(list)) => list.append(&mut demands),
        Some(_) => {}
        None => operation.push(named("security", Node { value: Value::List(demands), place })),
    }
}

/// The policy of the resource. SAM's own way of writing one is not read: then nobody passes.
fn policy(root: &mut Vec<Entry>, settings: &[Entry], auth: &[Entry], faults: &mut Diagnostics) {
    const NAME: &str = "x-amazon-apigateway-policy";
    if let Some(policy) = field(settings, "Policy") {
        root.retain(|entry| &*entry.key.text != NAME);
        root.push(named(NAME, policy.clone()));
    }
    let Some(own) = field(auth, "ResourcePolicy").filter(|node| !entries_of(node).is_empty()) else { return };
    if field(root, NAME).is_none() {
        let version = named("Version", written("2012-10-17", own.place));
        let statement = named("Statement", Node { value: Value::List(Vec::new()), place: own.place });
        root.push(named(NAME, Node { value: Value::Map(vec![version, statement]), place: own.place }));
        faults.warning(
            own.place,
            "`ResourcePolicy` of the template is not read, and nobody passes",
            "write it into the document as `x-amazon-apigateway-policy`, or import what is deployed: aws apigateway get-export",
        );
    }
}

/// `api_key`, which SAM defines by itself.
fn add_key_scheme(root: &mut Vec<Entry>, place: Place) {
    let fields = [("type", "apiKey"), ("name", "x-api-key"), ("in", "header")];
    let scheme = fields.map(|(name, value)| named(name, written(value, place))).to_vec();
    let scheme = named("api_key", Node { value: Value::Map(scheme), place });
    let way: &[&str] =
        if field(root, "openapi").is_some() { &["components", "securitySchemes"] } else { &["securityDefinitions"] };
    let mut at = root;
    for name in way {
        let number = at.iter().position(|entry| &*entry.key.text == *name).unwrap_or_else(|| {
            at.push(named(name, Node { value: Value::Map(Vec::new()), place }));
            at.len() - 1
        });
        let Value::Map(entries) = &mut at[number].value.value else { return };
        at = entries;
    }
    if field(at, "api_key").is_none() {
        at.push(scheme);
    }
}

fn is_operation(name: &str) -> bool {
    let verbs = ["get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"];
    verbs.iter().any(|verb| verb.eq_ignore_ascii_case(name))
}

fn entries_of(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::Scalar(_) | Value::List(_) => &[],
    }
}

fn entries_of_mut(node: &mut Node) -> &mut [Entry] {
    match &mut node.value {
        Value::Map(entries) => entries,
        Value::Scalar(_) | Value::List(_) => &mut [],
    }
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(&text.text),
        Value::List(_) | Value::Map(_) => None,
    }
}

fn named(name: &str, value: Node) -> Entry {
    Entry { key: Text { text: name.into(), place: value.place, style: Style::Plain }, value }
}

fn written(text: &str, place: Place) -> Node {
    Node { value: Value::Scalar(Text { text: text.into(), place, style: Style::Block }), place }
}

#[cfg(test)]
mod tests {
    use super::super::intrinsics::prepare;
    use super::super::{Source, Variables, refs::Files};
    use super::*;
    use crate::openapi::ImportOptions;
    use crate::source::node;
    use serde_json::{Value as Json, json};

    /// The document of a template as JSON, and what is said, one fault on each line.
    fn prepared(text: &str) -> (Option<Json>, String) {
        let mut faults = Diagnostics::default();
        let root = node::parse(text, 0, &mut faults).expect("the template parses");
        let root = prepare(root, &Variables::default(), &mut faults);
        let said: Vec<String> =
            faults.list.iter().map(|one| format!("{}: {}\n", one.severity.as_str(), one.what)).collect();
        let (options, files) = (ImportOptions::new(router::Kind::Rest), Files::new(Variables::default()));
        let mut unused = Diagnostics::default();
        let mut from = Source::new(&mut unused, &options, &files);
        (root.map(|root| from.json(&root)), said.concat())
    }

    fn api(properties: &str) -> (Json, String) {
        let (json, said) =
            prepared(&format!("Resources: {{Api: {{Type: 'AWS::Serverless::Api', Properties: {properties}}}}}"));
        (json.expect(properties), said)
    }

    #[test]
    fn the_first_document_counts_and_parameters_have_their_defaults() {
        let text = "Parameters: {Ttl: {Default: 60}, Open: {}}\nResources:\n  Table: {Type: 'AWS::DynamoDB::Table'}\n  \
                    Api:\n    Type: AWS::Serverless::Api\n    Properties:\n      DefinitionBody: {swagger: '2.0', x: {Ref: Ttl}, y: {Ref: Open}}\n  \
                    Next: {Type: 'AWS::ApiGatewayV2::Api', Properties: {Body: {openapi: 3.0.1}}}\n";
        let (json, said) = prepared(text);
        assert_eq!(json, Some(json!({"swagger": "2.0", "x": 60, "y": "${Open}"})));
        assert_eq!(
            said,
            "warning: this is a template of CloudFormation: the document of `Api` is imported, one more API in it is passed over\n\
             warning: CloudFormation would fill in 2 values, this one first\n"
        );
    }

    #[test]
    fn without_a_document_it_is_an_error() {
        for (resource, what) in [
            ("{Type: 'AWS::DynamoDB::Table'}", "error: this is a template of CloudFormation without an API\n"),
            (
                "{Type: 'AWS::Serverless::Api', Properties: {DefinitionUri: api.yaml}}",
                "error: the OpenAPI document of `X` is not in this template\n",
            ),
            (
                "{Type: 'AWS::Serverless::HttpApi', Properties: {DefinitionBody: {'Fn::Transform': {Name: 'AWS::Include'}}}}",
                "error: the OpenAPI document of `X` is not in this template\n",
            ),
            ("{Type: 'AWS::ApiGateway::RestApi'}", "error: the OpenAPI document of `X` is not in this template\n"),
        ] {
            assert_eq!(prepared(&format!("Resources: {{X: {resource}}}\n")), (None, what.to_owned()));
        }
    }

    #[test]
    fn a_document_with_a_field_of_that_name_is_no_template() {
        let (json, said) = prepared("openapi: 3.0.1\nResources: {X: {}}\n");
        assert_eq!((json, said.as_str()), (Some(json!({"openapi": "3.0.1", "Resources": {"X": {}}})), ""));
    }

    #[test]
    fn a_body_may_be_chosen() {
        let (json, _) = api("{DefinitionBody: {'Fn::If': [A, {openapi: 3.0.1}, {openapi: 3.0.2}]}}");
        assert_eq!(json, json!({"openapi": "3.0.1"}));
    }

    const BODY: &str = "{swagger: '2.0', paths: {/a: {get: {x: 1}, POST: {security: [{Own: []}]}, parameters: []}}}";

    #[test]
    fn a_default_authorizer_reaches_the_methods_that_are_silent() {
        let (json, said) = api(&format!("{{DefinitionBody: {BODY}, Auth: {{DefaultAuthorizer: Mine}}}}"));
        assert_eq!(json["paths"]["/a"]["get"]["security"], json!([{"Mine": []}]));
        assert_eq!(json["paths"]["/a"]["POST"], json!({"security": [{"Own": []}]}));
        assert!(said.contains("warning: methods without `security` ask what `Auth` of the template asks\n"), "{said}");
        let (json, _) = api(&format!("{{DefinitionBody: {BODY}, Auth: {{DefaultAuthorizer: AWS_IAM}}}}"));
        assert_eq!(json["paths"]["/a"]["get"], json!({"x": 1, "x-amazon-apigateway-auth": "AWS_IAM"}));
        for open in ["{}", "{DefaultAuthorizer: NONE}", "{ApiKeyRequired: false}"] {
            let (json, said) = api(&format!("{{DefinitionBody: {BODY}, Auth: {open}}}"));
            assert_eq!(json["paths"]["/a"]["get"], json!({"x": 1}), "{open}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn a_key_is_needed_by_all() {
        let (json, _) = api(&format!("{{DefinitionBody: {BODY}, Auth: {{ApiKeyRequired: true}}}}"));
        assert_eq!(json["paths"]["/a"]["get"]["security"], json!([{"api_key": []}]));
        assert_eq!(json["paths"]["/a"]["POST"]["security"], json!([{"Own": []}, {"api_key": []}]));
        let scheme = json!({"type": "apiKey", "name": "x-api-key", "in": "header"});
        assert_eq!(json["securityDefinitions"]["api_key"], scheme);
        let three = BODY.replace("swagger: '2.0'", "openapi: 3.0.1");
        let (json, _) = api(&format!("{{DefinitionBody: {three}, Auth: {{ApiKeyRequired: true}}}}"));
        assert_eq!(json["components"]["securitySchemes"]["api_key"], scheme);
    }

    #[test]
    fn what_all_apis_share_counts_too() {
        let text = format!(
            "Globals: {{Api: {{Auth: {{DefaultAuthorizer: Shared}}}}}}\n\
             Resources: {{Api: {{Type: 'AWS::Serverless::Api', Properties: {{DefinitionBody: {BODY}}}}}}}"
        );
        assert_eq!(prepared(&text).0.unwrap()["paths"]["/a"]["get"]["security"], json!([{"Shared": []}]));
        let other = text.replace("AWS::Serverless::Api", "AWS::ApiGateway::RestApi").replace("DefinitionBody", "Body");
        assert_eq!(prepared(&other).0.unwrap()["paths"]["/a"]["get"], json!({"x": 1}));
    }

    #[test]
    fn policies_come_along_or_close() {
        let policy = "x-amazon-apigateway-policy";
        let (json, _) = prepared(
            "Resources: {A: {Type: 'AWS::ApiGateway::RestApi', Properties: {Policy: {Statement: [1]}, \
             Body: {x-amazon-apigateway-policy: {Statement: [2]}}}}}",
        );
        assert_eq!(json.unwrap()[policy], json!({"Statement": [1]}));
        let own = "Auth: {ResourcePolicy: {IpRangeWhitelist: ['1.2.3.4']}}";
        let (json, said) = api(&format!("{{DefinitionBody: {BODY}, {own}}}"));
        assert_eq!(json[policy], json!({"Version": "2012-10-17", "Statement": []}));
        assert!(said.contains("warning: `ResourcePolicy` of the template is not read, and nobody passes\n"), "{said}");
        let (json, _) = api(&format!("{{DefinitionBody: {{{policy}: {{Statement: [2]}}, y: 1}}, {own}}}"));
        assert_eq!(json[policy], json!({"Statement": [2]}));
    }
}
