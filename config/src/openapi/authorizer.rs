//! The authorizer extensions of a security scheme (A rows).

use serde_json::Value as Json;

use super::Source;
use super::extensions::{Fields, is_unknown_yet, nearest};
use crate::source::node::{Node, Value};

const WHAT: &str = "`x-amazon-apigateway-authorizer`";

const FIELDS: [&str; 14] = [
    "authorizerCredentials",
    "authorizerPayloadFormatVersion",
    "authorizerResultTtlInSeconds",
    "authorizerUri",
    "authorizationScopes",
    "enableSimpleResponses",
    "identitySource",
    "identityValidationExpression",
    "jwtConfiguration",
    "name",
    "providerARNs",
    "providerArns",
    "type",
    "x-tollgate",
];

const TYPES: [&str; 6] = ["token", "request", "jwt", "cognito_user_pools", "basic", "mtls"];

/// `x-amazon-apigateway-authorizer`, as written, after a look at its type and fields. What it cannot be made of is for `compile` to say:
/// its methods are closed then, not open.
pub fn authorizer<'a>(node: &'a Node, from: &mut Source<'a>) -> Option<Json> {
    let node = from.resolve(node)?;
    if !matches!(node.value, Value::Map(_)) {
        from.entries(node, WHAT);
        return None;
    }
    let fields = Fields::open(node, WHAT, &FIELDS, from);
    check_type(fields, from);
    Some(from.json(node))
}

fn check_type(fields: Fields<'_>, from: &mut Source<'_>) {
    let Some(kind) = fields.text("type", from) else { return };
    let lower = kind.to_lowercase().replace('-', "_");
    if TYPES.contains(&&*lower) || is_unknown_yet(&kind) {
        return;
    }
    let near = nearest(&lower, &TYPES).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    from.warn(
        kind.place(),
        format!("`{kind}` is no type of authorizer{near}"),
        "its methods stay closed; the types are token, request, jwt, cognito_user_pools and, here alone, basic and mtls",
    );
}

/// `x-amazon-apigateway-authtype`: `awsSigv4` means IAM; other words are for readers.
pub fn auth_type(node: &Node, from: &mut Source<'_>) -> Option<String> {
    from.string(node, "`x-amazon-apigateway-authtype`")
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::json;

    use super::super::extensions::tests_help::read;
    use super::*;

    fn of(text: &str) -> (Option<Json>, String) {
        read(Kind::Rest, text, authorizer)
    }

    #[test]
    fn an_authorizer_is_kept_as_written() {
        let (json, said) =
            of("{type: REQUEST, identitySource: method.request.header.A, authorizerResultTtlInSeconds: 60}");
        assert_eq!(said, "");
        assert_eq!(
            json,
            Some(
                json!({"type": "REQUEST", "identitySource": "method.request.header.A", "authorizerResultTtlInSeconds": 60})
            )
        );
    }

    #[test]
    fn types_and_fields_are_looked_at() {
        let (json, said) = of("{type: tokens, authoriserUri: x, AuthorizerCredentials: y}");
        assert!(json.is_some());
        for what in ["did you mean `authorizerUri`?", "did you mean `authorizerCredentials`?", "did you mean `token`?"]
        {
            assert!(said.contains(what), "{said}");
        }
        assert!(!said.contains("error"), "{said}");
        assert_eq!(of("{type: cognito-user-pools, providerARNs: []}").1, "");
        assert_eq!(of("{type: '${Type}'}").1, "");
    }

    #[test]
    fn words_for_readers() {
        assert_eq!(read(Kind::Rest, "awsSigv4", auth_type), (Some("awsSigv4".into()), String::new()));
        assert_eq!(read(Kind::Rest, "~", auth_type), (None, String::new()));
    }
}
