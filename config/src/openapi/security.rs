//! Who may call: security schemes, and what `security` asks for (A rows, OA-07, OA-08).

use std::collections::HashMap;

use router::Kind;
use serde_json::{Map, Value as Json};

use super::{Source, authorizer, extensions, field, json};
use crate::definition::{Authorization, Authorizer, Definition, Word};
use crate::diagnostic::Place;
use crate::source::node::{Entry, Node, Text, Value};

/// What an operation gets of `security`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// Who may call.
    pub authorization: Authorization,
    /// Whether an API key is needed.
    pub api_key_required: bool,
    /// The first entry that restricts nothing, if no other does.
    pub unheeded: Option<Place>,
}

/// The schemes that operations may name.
#[derive(Debug, Default)]
pub struct Schemes {
    known: HashMap<Box<str>, Means>,
}

/// What naming a scheme means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// SigV4 (A-12).
    Iam,
    /// An authorizer decides.
    Authorizer,
    /// An API key (OA-08).
    ApiKey,
    /// A certificate of the client's: OpenAPI 3.1 asks methods for it, API Gateway asks domains (DM-10).
    Certificate,
    /// Nothing that anybody could check.
    Nothing,
}

impl Means {
    fn of(scheme: &Authorizer) -> Self {
        let says =
            |value: &Option<String>, word: &str| value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case(word));
        if says(&scheme.auth_type, "awsSigv4") {
            return Self::Iam;
        }
        if scheme.authorizer.is_some() {
            return Self::Authorizer;
        }
        let is_key = says(&scheme.name, "x-api-key") && says(&scheme.location, "header");
        match &*scheme.scheme {
            "apiKey" if is_key => Self::ApiKey,
            "mutualTLS" => Self::Certificate,
            _ => Self::Nothing,
        }
    }
}

/// The authorizers of a document: `components.securitySchemes` or, by 2.0, `securityDefinitions`.
pub fn authorizers<'a>(node: &'a Node, from: &mut Source<'a>) -> Vec<(Word, Authorizer)> {
    let mut list = Vec::new();
    for Entry { key, value } in from.entries(node, "the security schemes") {
        let Some(value) = from.resolve(value) else { continue };
        let entries = from.entries(value, "a security scheme");
        list.push((Word::from(key), scheme(entries, from)));
    }
    list
}

fn scheme<'a>(entries: &'a [Entry], from: &mut Source<'a>) -> Authorizer {
    let mut scheme =
        Authorizer { scheme: String::new(), name: None, location: None, auth_type: None, authorizer: None, rest: None };
    let mut rest = Map::new();
    for Entry { key, value } in entries {
        match &*key.text {
            "type" => scheme.scheme = from.string(value, "`type`").unwrap_or_default(),
            "name" => scheme.name = from.string(value, "`name`"),
            "in" => scheme.location = from.string(value, "`in`"),
            "x-amazon-apigateway-authtype" => scheme.auth_type = authorizer::auth_type(value, from),
            "x-amazon-apigateway-authorizer" => scheme.authorizer = authorizer::authorizer(value, from),
            _ => {
                rest.insert(key.text.to_string(), json::of(value, from));
            }
        }
    }
    scheme.rest = (!rest.is_empty()).then_some(Json::Object(rest));
    scheme
}

impl Schemes {
    /// The schemes of a document, and those of the documents before it.
    pub fn new(own: &[(Word, Authorizer)], before: Option<&Definition>) -> Self {
        let before = before.map(|definition| &definition.authorizers[..]).unwrap_or_default();
        let known = before.iter().chain(own);
        Self { known: known.map(|(name, scheme)| (name.as_str().into(), Means::of(scheme))).collect() }
    }

    /// What a `security` list demands. Of several authorizers the first counts, as in AWS; a key may be needed beside it.
    pub fn demands(&self, node: &Node, from: &mut Source<'_>) -> Demands {
        let (mut demands, mut missing) = (Demands::default(), None);
        let alternatives = match node.value {
            Value::Map(_) => {
                from.warn(node.place, "`security` is a list, not a mapping", "it is taken as a list of this alone");
                std::slice::from_ref(node)
            }
            Value::Scalar(_) | Value::List(_) => from.list(node, "`security`"),
        };
        for alternative in alternatives {
            if matches!(alternative.value, Value::List(_)) || alternative.is_null() {
                missing = missing.or(Some(extensions::closed(alternative, "an entry of `security`", from)));
                continue;
            }
            for (key, scopes) in schemes_of(alternative, from) {
                let Some(means) = self.known.get(&key.text) else {
                    missing = missing.or(unknown(key, from));
                    continue;
                };
                let restricts_nothing = matches!(means, Means::Nothing | Means::Certificate)
                    || *means == Means::ApiKey && from.options.kind == Kind::Http;
                if restricts_nothing {
                    demands.unheeded = demands.unheeded.or(Some(key.place));
                }
                match means {
                    Means::ApiKey if restricts_nothing => from.warn(
                        key.place,
                        format!("`{}` restricts nothing: HTTP APIs have no API keys", key.text),
                        "make it a REST API, or add an authorizer",
                    ),
                    Means::ApiKey => demands.api_key_required = true,
                    Means::Certificate => from.warn(
                        key.place,
                        format!(
                            "`{}` restricts nothing here: certificates are asked of the clients of a host",
                            key.text
                        ),
                        "set `mutual_tls` at the domain that leads to this API; then no other way leads to it",
                    ),
                    Means::Nothing => from.warn(
                        key.place,
                        format!("`{}` restricts nothing: the scheme has no authorizer", key.text),
                        "add `x-amazon-apigateway-authorizer`; API Gateway passes over schemes without it",
                    ),
                    Means::Iam | Means::Authorizer if demands.authorization != Authorization::None => {}
                    Means::Iam => demands.authorization = Authorization::Iam,
                    Means::Authorizer => {
                        let scopes = scopes.map(|node| from.list(node, "scopes")).unwrap_or_default().iter();
                        let scopes = scopes.filter_map(|scope| from.text(scope, "a scope")).collect();
                        demands.authorization = Authorization::Authorizer { name: Word::from(key), scopes };
                    }
                }
            }
        }
        if let (Authorization::None, Some(missing)) = (&demands.authorization, missing) {
            demands.authorization = missing;
        }
        if demands.authorization != Authorization::None || demands.api_key_required {
            demands.unheeded = None;
        }
        demands
    }
}

/// The schemes of one alternative with their scopes. A bare name is taken for one without scopes: passed over, it would open.
fn schemes_of<'n>(node: &'n Node, from: &mut Source<'_>) -> Vec<(&'n Text, Option<&'n Node>)> {
    match &node.value {
        Value::Scalar(text) if !node.is_null() => {
            from.warn(node.place, "an entry of `security` is a mapping", format!("write `{}: []`", text.text));
            vec![(text, None)]
        }
        _ => {
            from.entries(node, "an entry of `security`").iter().map(|entry| (&entry.key, Some(&entry.value))).collect()
        }
    }
}

/// A scheme that nobody has defined. AWS seems to pass over it, and then the method is open; here nobody passes. `NONE` is SAM's word for
/// nothing.
fn unknown(key: &Text, from: &mut Source<'_>) -> Option<Authorization> {
    if key.text.eq_ignore_ascii_case("NONE") {
        return None;
    }
    from.warn(
        key.place,
        format!("there is no security scheme `{}`, nobody passes", key.text),
        "schemes stand under `components: {securitySchemes: …}`, in Swagger 2.0 under `securityDefinitions`",
    );
    Some(Authorization::Authorizer { name: Word::from(key), scopes: Vec::new() })
}

/// The root's `security`: what operations without one of their own get, and where it stands if it restricts nothing. It counts in HTTP
/// APIs alone (OA-07).
pub fn of_root<'a>(root: &'a [Entry], from: &mut Source<'_>) -> (Option<&'a Node>, Option<Place>) {
    let Some(node) = field(root, "security") else { return (None, None) };
    let has_any = !from.list(node, "`security`").is_empty();
    if from.options.kind == Kind::Http {
        return (Some(node), None);
    }
    if has_any {
        from.warn(
            node.place,
            "`security` of the whole document restricts nothing in a REST API",
            "API Gateway passes over it (OA-07): write it into each operation",
        );
    }
    (None, has_any.then_some(node.place))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, with_faults};
    use super::*;
    use crate::openapi::ImportOptions;

    const SCHEMES: &str = "
openapi: 3.0.1
components:
  securitySchemes:
    key: {type: apiKey, name: X-Api-Key, in: header}
    cert: {type: mutualTLS}
    other: {type: apiKey, name: token, in: header, description: not checked}
    iam: {type: apiKey, name: Authorization, in: header, x-amazon-apigateway-authtype: awsSigv4}
    own:
      type: apiKey
      name: Authorization
      in: header
      x-amazon-apigateway-authtype: custom
      x-amazon-apigateway-authorizer: {type: token, authorizerUri: 'arn:aws:apigateway:eu-west-1:lambda:path/x'}
    jwt:
      type: oauth2
      flows: {}
      x-amazon-apigateway-authorizer:
        type: jwt
        identitySource: $request.header.Authorization
        jwtConfiguration: {issuer: 'https://id.example', audience: [web]}
";

    fn demands(kind: Kind, security: &str) -> (Demands, String) {
        let text = format!("{SCHEMES}paths: {{/a: {{get: {{{security}}}}}}}\n");
        let (definition, faults) = with_faults(&ImportOptions::new(kind), &text);
        let method = definition.unwrap().methods.remove(0);
        (
            Demands {
                authorization: method.authorization,
                api_key_required: method.api_key_required,
                unheeded: (method.unheeded.line > 0).then_some(*method.unheeded),
            },
            faults,
        )
    }

    fn by(name: &str, scopes: &[&str]) -> Authorization {
        Authorization::Authorizer { name: name.into(), scopes: scopes.iter().map(|scope| (*scope).into()).collect() }
    }

    #[test]
    fn what_schemes_mean() {
        let none = Authorization::None;
        for (security, authorization, key) in [
            ("security: []", none.clone(), false),
            ("security: [{}]", none.clone(), false),
            ("security: [{key: []}]", none.clone(), true),
            ("security: [{iam: []}]", Authorization::Iam, false),
            ("security: [{own: []}]", by("own", &[]), false),
            ("security: [{own: [], key: []}]", by("own", &[]), true),
            ("security: [{key: []}, {own: []}]", by("own", &[]), true),
            ("security: [{own: [a]}, {iam: []}, {jwt: [b]}]", by("own", &["a"]), false),
            ("security: [{iam: []}, {own: []}]", Authorization::Iam, false),
            ("security: [{own: []}], x-amazon-apigateway-auth: {type: AWS_IAM}", Authorization::Iam, false),
        ] {
            let expected = Demands { authorization, api_key_required: key, unheeded: None };
            assert_eq!(demands(Kind::Rest, security), (expected, String::new()), "{security}");
        }
        assert_eq!(demands(Kind::Http, "security: [{jwt: [r, w]}]").0.authorization, by("jwt", &["r", "w"]));
    }

    #[test]
    fn what_restricts_nothing_is_said() {
        let at = |(found, faults): (Demands, String)| {
            let Demands { authorization, api_key_required, unheeded } = found;
            assert!(authorization == Authorization::None && !api_key_required);
            (unheeded.map(|place| place.column), faults)
        };
        let (found, faults) = at(demands(Kind::Rest, "security: [{other: []}]"));
        assert_eq!(found, Some(32));
        assert_eq!(faults, "a.yaml:22:32: warning: `other` restricts nothing: the scheme has no authorizer");
        let (found, faults) = at(demands(Kind::Http, "security: [{cert: []}]"));
        assert_eq!(found, Some(32));
        let said = "warning: `cert` restricts nothing here: certificates are asked of the clients of a host";
        assert_eq!(faults, format!("a.yaml:22:32: {said}"));
        let (found, faults) = at(demands(Kind::Http, "security: [{key: []}]"));
        assert_eq!(found, Some(32));
        assert_eq!(faults, "a.yaml:22:32: warning: `key` restricts nothing: HTTP APIs have no API keys");
    }

    #[test]
    fn what_nobody_has_defined_closes() {
        for security in ["[[nobody]]", "[null]", "[{open: []}, [x]]"] {
            let (found, faults) = demands(Kind::Rest, &format!("security: {security}"));
            assert!(matches!(found.authorization, Authorization::Authorizer { .. }), "{security}");
            assert!(faults.contains("an entry of `security` cannot be read: nobody passes"), "{faults}");
        }
        for security in ["[{nobody: []}]", "{nobody: []}", "[nobody]", "nobody", "[{nobody: []}, {other: []}]"] {
            let (found, faults) = demands(Kind::Rest, &format!("security: {security}"));
            assert_eq!(found.authorization, by("nobody", &[]), "{security}");
            assert!(faults.contains("warning: there is no security scheme `nobody`, nobody passes"), "{faults}");
            assert!(!faults.contains("error"), "{faults}");
        }
        let (found, _) = demands(Kind::Rest, "security: [{nobody: []}, {own: [a]}]");
        assert_eq!(found.authorization, by("own", &["a"]), "what is defined counts");
        let (found, faults) = demands(Kind::Rest, "security: [{NONE: []}]");
        assert_eq!((found, faults.as_str()), (Demands::default(), ""), "SAM's word for nothing");
    }

    #[test]
    fn security_of_the_document_counts_in_http_apis_alone() {
        let text = format!("{SCHEMES}security: [{{jwt: []}}]\npaths: {{/a: {{get: {{}}, put: {{security: []}}}}}}\n");
        let methods = good(Kind::Http, &text).methods;
        assert_eq!((&methods[0].authorization, &methods[1].authorization), (&by("jwt", &[]), &Authorization::None));
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), &text);
        let methods = definition.unwrap().methods;
        assert_eq!(methods[0].authorization, Authorization::None);
        assert!(methods[0].unheeded.line > 0 && methods[1].unheeded.line == 0, "`security: []` is meant");
        assert!(
            faults.contains("warning: `security` of the whole document restricts nothing in a REST API"),
            "{faults}"
        );
    }

    #[test]
    fn schemes_are_kept_as_they_are_written() {
        let definition = good(Kind::Rest, &format!("{SCHEMES}paths: {{}}\n"));
        let names: Vec<&str> = definition.authorizers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["key", "cert", "other", "iam", "own", "jwt"]);
        let [_, _, (_, other), (_, iam), (_, own), (_, jwt)] = &definition.authorizers[..] else { panic!() };
        assert_eq!(
            (other.scheme.as_str(), other.name.as_deref(), other.location.as_deref()),
            ("apiKey", Some("token"), Some("header"))
        );
        assert_eq!(other.rest, Some(serde_json::json!({"description": "not checked"})));
        assert_eq!(iam.auth_type.as_deref(), Some("awsSigv4"));
        assert_eq!(own.authorizer.as_ref().unwrap()["type"], "token");
        assert_eq!(jwt.rest, Some(serde_json::json!({"flows": {}})));
        let two = "{swagger: '2.0', paths: {}, securityDefinitions: {b: {type: basic}, r: {$ref: '#/securityDefinitions/b'}}}";
        assert_eq!(good(Kind::Rest, two).authorizers[1].1.scheme, "basic");
    }
}
