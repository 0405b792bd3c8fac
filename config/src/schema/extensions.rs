//! The JSON Schema (2020-12) of API Gateway's extensions in an OpenAPI document (aws-features §14.1), for editors. The rest of the document
//! is left to the schemas of OpenAPI; slips inside the extensions, which AWS passes over without a word, are underlined.

use serde_json::{Map, Value, json};

use super::DIALECT;

/// The schema of a document's extensions, in OpenAPI 3.x and in Swagger 2.0.
pub fn extensions() -> Value {
    json!({
        "$schema": DIALECT,
        "title": format!("x-amazon-apigateway-* as Tollgate {} reads them", env!("CARGO_PKG_VERSION")),
        "type": "object",
        "properties": root(),
        "$defs": {
            "text": text(),
            "texts": { "type": ["object", "null"], "additionalProperties": { "anyOf": [reference("text"), { "type": ["object", "array", "null"] }] } },
            "list": { "anyOf": [{ "type": "array", "items": reference("text") }, reference("text")] },
            "flag": { "anyOf": [{ "type": ["boolean", "null"] }, { "enum": ["true", "false"] }, reference("function")] },
            "number": { "anyOf": [{ "type": ["number", "null"] }, { "type": "string", "pattern": "^(-?[0-9.]+|.*\\$\\{.*)$" }, reference("function")] },
            "function": function(),
            "parts": { "type": ["array", "null"], "items": { "type": "object", "required": ["location"] } },
            "path": path(),
            "operation": operation(),
            "integration": integration(),
            "scheme": scheme(),
            "server": { "type": "object", "properties": { "x-amazon-apigateway-endpoint-configuration": reference("endpoint") } },
            "endpoint": closed(&[
                ("disableExecuteApiEndpoint", "flag", "true: only domains lead to it"),
                ("types", "list", "EDGE, REGIONAL, PRIVATE"),
                ("vpcEndpointIds", "list", "the endpoints of a PRIVATE API"),
                ("ipAddressType", "text", "ipv4 or dualstack"),
            ]),
        },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// An object of these fields: name, definition of the value, one line for a reader. Further extensions may stand in it.
fn closed(fields: &[(&str, &str, &str)]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(name, kind, doc)| ((*name).to_owned(), json!({ "description": doc, "$ref": format!("#/$defs/{kind}") })))
        .collect();
    json!({
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    })
}

/// A text, or what CloudFormation makes one of.
fn text() -> Value {
    json!({ "anyOf": [{ "type": ["string", "number", "boolean", "null"] }, reference("function")] })
}

/// `{"Ref": …}`, `{"Fn::Sub": …}`.
fn function() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "patternProperties": { "^(Ref|Fn::[A-Za-z0-9]+)$": {} },
        "additionalProperties": false,
    })
}

/// One of these words, in small letters or capitals, or what is filled in later.
fn word(doc: &str, words: &[&str]) -> Value {
    let both: Vec<String> = words.iter().flat_map(|word| [(*word).to_owned(), other_case(word)]).collect();
    json!({
        "description": doc,
        "anyOf": [{ "enum": both }, { "type": "string", "pattern": "\\$\\{|\\{\\{" }, { "type": "null" }, reference("function")],
    })
}

fn other_case(word: &str) -> String {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        word.to_ascii_lowercase()
    } else {
        word.to_ascii_uppercase()
    }
}

fn root() -> Value {
    let validator = closed(&[
        ("validateRequestBody", "flag", "the body against its model"),
        ("validateRequestParameters", "flag", "whether the required parameters are there"),
    ]);
    let answer = closed(&[
        ("statusCode", "text", "another status"),
        ("responseParameters", "texts", "gatewayresponse.header.NAME: an expression"),
        ("responseTemplates", "texts", "the body, by media type"),
    ]);
    json!({
        "paths": { "type": ["object", "null"], "additionalProperties": reference("path") },
        "components": {
            "type": ["object", "null"],
            "properties": {
                "securitySchemes": { "type": ["object", "null"], "additionalProperties": reference("scheme") },
                "x-amazon-apigateway-integrations": { "type": "object", "additionalProperties": reference("integration") },
            },
        },
        "securityDefinitions": { "type": ["object", "null"], "additionalProperties": reference("scheme") },
        "servers": { "type": ["array", "null"], "items": reference("server") },
        "tags": { "type": ["array", "null"], "items": { "type": "object", "properties": { "x-amazon-apigateway-tag-value": reference("text") } } },
        "x-amazon-apigateway-api-key-source": word("where a caller's API key is read; REST", &["HEADER", "AUTHORIZER"]),
        "x-amazon-apigateway-binary-media-types": { "description": "media types that are not text", "$ref": "#/$defs/list" },
        "x-amazon-apigateway-cors": closed(&[
            ("allowOrigins", "list", "https://example.com, https://*, *"),
            ("allowMethods", "list", "verbs, or *"),
            ("allowHeaders", "list", "header names, or *"),
            ("exposeHeaders", "list", "header names, or *"),
            ("maxAge", "number", "seconds, -1 to 86400"),
            ("allowCredentials", "flag", "whether cookies may be sent"),
        ]),
        "x-amazon-apigateway-documentation": closed(&[
            ("version", "text", "of the parts"),
            ("documentationParts", "parts", "texts by location"),
            ("createdDate", "text", "written by AWS's exports"),
            ("documentationVersion", "text", "written by AWS's exports"),
        ]),
        "x-amazon-apigateway-endpoint-access-mode": word("", &["BASIC", "STRICT"]),
        "x-amazon-apigateway-endpoint-configuration": reference("endpoint"),
        "x-amazon-apigateway-gateway-responses": { "type": ["object", "null"], "additionalProperties": answer },
        "x-amazon-apigateway-importexport-version": reference("text"),
        "x-amazon-apigateway-minimum-compression-size": { "description": "bytes", "$ref": "#/$defs/number" },
        "x-amazon-apigateway-policy": { "type": ["object", "string", "null"] },
        "x-amazon-apigateway-request-validator": { "description": "the validator of methods that name none", "$ref": "#/$defs/text" },
        "x-amazon-apigateway-request-validators": { "type": ["object", "null"], "additionalProperties": validator },
        "x-amazon-apigateway-security-policy": reference("text"),
        "x-tollgate-strict-errors": { "description": "problem documents, and 404 and 405 in place of AWS's 403", "$ref": "#/$defs/flag" },
    })
}

/// A path with its verbs.
fn path() -> Value {
    const VERBS: [&str; 8] =
        ["get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"];
    let verbs: Map<String, Value> = VERBS.iter().map(|verb| ((*verb).to_owned(), reference("operation"))).collect();
    json!({ "type": ["object", "null"], "properties": verbs })
}

fn operation() -> Value {
    json!({
        "type": ["object", "null"],
        "properties": {
            "isDefaultRoute": { "type": "boolean" },
            "x-amazon-apigateway-auth": {
                "anyOf": [
                    { "type": ["object", "null"], "properties": { "type": word("NONE or AWS_IAM", &["NONE", "AWS_IAM"]) } },
                    word("", &["NONE", "AWS_IAM"]),
                ],
            },
            "x-amazon-apigateway-integration": reference("integration"),
            "x-amazon-apigateway-request-validator": { "description": "the name of a request validator", "$ref": "#/$defs/text" },
        },
    })
}

/// Who answers.
fn integration() -> Value {
    let response = closed(&[
        ("statusCode", "text", "the status that the client gets"),
        ("responseParameters", "texts", "method.response.header.NAME: an expression"),
        ("responseTemplates", "texts", "the body, by media type"),
        ("contentHandling", "text", "CONVERT_TO_BINARY or CONVERT_TO_TEXT"),
    ]);
    let mut schema = closed(&[
        ("cacheKeyParameters", "list", "what the key of a kept answer is made of"),
        ("cacheNamespace", "text", "kept answers of one name are shared"),
        ("connectionId", "text", "the VPC link"),
        ("credentials", "text", "a role, or the caller's"),
        ("httpMethod", "text", "the verb towards the backend, or ANY"),
        ("integrationSubtype", "text", "SQS-SendMessage and its kin; HTTP"),
        ("integrationTarget", "text", "the listener behind the VPC link"),
        ("payloadFormatVersion", "text", "1.0 or 2.0"),
        ("requestParameters", "texts", "targets and expressions"),
        ("requestTemplates", "texts", "the body, by media type; REST"),
        ("responseParameters", "texts", "by status, targets and expressions; HTTP"),
        ("timeoutInMillis", "number", "to the end of the head of the backend's answer"),
        ("uri", "text", "the backend"),
    ]);
    let rest = json!({
        "$ref": { "type": "string" },
        "connectionType": word("the way to the backend", &["INTERNET", "VPC_LINK"]),
        "contentHandling": word("what happens to the request's body", &["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"]),
        "passthroughBehavior":
            word("what happens to bodies without a template", &["when_no_match", "when_no_templates", "never"]),
        "responseTransferMode": word("how the answer travels", &["BUFFERED", "STREAM"]),
        "responses": { "description": "by a pattern of the status or of Lambda's error; REST", "type": ["object", "null"], "additionalProperties": response },
        "tlsConfig": closed(&[
            ("insecureSkipVerification", "flag", "any certificate will do"),
            ("serverNameToVerify", "text", "the name in the backend's certificate"),
        ]),
        "type": word("who answers", &["http_proxy", "http", "mock", "aws_proxy", "aws"]),
        "x-tollgate-retry": closed(&[
            ("attempts", "number", "times that a request is sent at most, the first included"),
            ("tryTimeInMillis", "number", "how long one attempt may take"),
        ]),
        "x-tollgate-mock": closed(&[
            ("status", "number", "200 to 599"),
            ("headers", "texts", "name and value"),
            ("body", "text", "the body; $request and $context are filled in"),
        ]),
    });
    if let (Some(properties), Value::Object(rest)) = (schema["properties"].as_object_mut(), rest) {
        properties.extend(rest);
    }
    schema
}

fn scheme() -> Value {
    let mut authorizer = closed(&[
        ("authorizerCredentials", "text", "a role"),
        ("authorizerPayloadFormatVersion", "text", "1.0 or 2.0"),
        ("authorizerResultTtlInSeconds", "number", "how long a decision is remembered"),
        ("authorizerUri", "text", "the function that decides"),
        ("authorizationScopes", "list", "scopes that a token must hold"),
        ("enableSimpleResponses", "flag", "the function answers isAuthorized"),
        ("identitySource", "text", "what the decision is made by"),
        ("identityValidationExpression", "text", "what a token must look like"),
        ("name", "text", "for readers"),
        ("providerARNs", "list", "user pools"),
        ("providerArns", "list", "user pools"),
    ]);
    authorizer["properties"]["jwtConfiguration"] =
        closed(&[("issuer", "text", "who signs"), ("audience", "list", "for whom")]);
    authorizer["properties"]["identitySource"] = json!({ "anyOf": [reference("list"), reference("text")] });
    authorizer["properties"]["type"] = word("how it decides", &["token", "request", "jwt", "cognito_user_pools"]);
    json!({
        "type": ["object", "null"],
        "properties": {
            "x-amazon-apigateway-authtype": { "description": "awsSigv4 means IAM", "$ref": "#/$defs/text" },
            "x-amazon-apigateway-authorizer": authorizer,
        },
    })
}
