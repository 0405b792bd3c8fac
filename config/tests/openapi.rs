//! OpenAPI documents with the extensions of API Gateway, in the shapes that public documents have: what is made of each, and what is
//! said of it, stands beside it. `BLESS=1` writes that anew; the tables below hold what blessing must not lose.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use config::Diagnostics;
use config::definition::Definition;
use config::openapi::{ImportOptions, import_text};
use router::Kind;
use serde_json::{Map, Value as Json, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

/// `rest/name` and `http/name` of every document, with its path.
fn documents() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for kind in ["rest", "http"] {
        for entry in fs::read_dir(folder().join(kind)).expect("the folder is in the repository") {
            let path = entry.expect("a folder can be listed").path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                let name = path.file_stem().and_then(|name| name.to_str()).expect("names are ASCII");
                found.push((format!("{kind}/{name}"), path));
            }
        }
    }
    found.sort();
    found
}

fn options(name: &str) -> ImportOptions {
    let mut options = ImportOptions::new(if name.starts_with("rest/") { Kind::Rest } else { Kind::Http });
    if name == "rest/aws_variables" {
        options.variables.account_id = Some("123456789012".into());
        options.variables.region = Some("eu-west-1".into());
        options.variables.partition = Some("aws".into());
    }
    options
}

fn import(name: &str, path: &Path) -> (Option<Definition>, Diagnostics) {
    let mut faults = Diagnostics::default();
    let file = path.file_name().and_then(|name| name.to_str()).expect("names are ASCII");
    let definition = import_text(file, &fs::read(path).expect("it was listed"), &options(name), &mut faults);
    faults.finish();
    (definition, faults)
}

/// The definition as JSON in which lists of names and values are mappings, and methods are found by their key.
fn readable(definition: &Definition) -> Json {
    let mut json = mappings(serde_json::to_value(definition).expect("a definition is JSON"));
    let Json::Array(methods) = json["methods"].take() else { panic!("methods are a list") };
    let methods: Map<String, Json> =
        definition.methods.iter().zip(methods).map(|(method, json)| (method.key(), json)).collect();
    json["methods"] = Json::Object(methods);
    json
}

fn mappings(json: Json) -> Json {
    let is_pair = |value: &Json| matches!(value, Json::Array(pair) if pair.len() == 2 && pair[0].is_string());
    match json {
        Json::Array(list) if !list.is_empty() && list.iter().all(is_pair) => {
            let pairs = list.into_iter().map(|mut pair| {
                let name = pair[0].as_str().expect("it is a text").to_owned();
                (name, mappings(pair[1].take()))
            });
            Json::Object(pairs.collect())
        }
        Json::Array(list) => Json::Array(list.into_iter().map(mappings).collect()),
        Json::Object(map) => Json::Object(map.into_iter().map(|(name, value)| (name, mappings(value))).collect()),
        scalar => scalar,
    }
}

#[test]
fn documents_become_what_stands_beside_them() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for (name, path) in documents() {
        let (definition, faults) = import(&name, &path);
        let mut said = faults.render(false);
        if let Some(definition) = definition {
            let json = serde_json::to_string_pretty(&readable(&definition)).expect("JSON can be written");
            let _ = writeln!(said, "{json}");
        }
        let beside = path.with_extension("expected");
        if bless {
            fs::write(&beside, said).expect("the folder can be written");
        } else if fs::read_to_string(&beside).unwrap_or_default() != said {
            let _ = writeln!(wrong, "--- {name}\n{said}");
        }
    }
    assert!(wrong.is_empty(), "not as expected (BLESS=1 accepts):\n{wrong}");
}

/// One fact of a document: what stands at a way through [`readable`], its steps divided by ` > `.
fn check(name: &str, facts: &[(&str, Json)]) {
    let path =
        documents().into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no document {name}")).1;
    let (definition, faults) = import(name, &path);
    assert!(!faults.has_errors(), "{name}\n{}", faults.render(false));
    let json = readable(&definition.expect("there are no errors"));
    for (way, expected) in facts {
        let mut at = &json;
        for step in way.split(" > ") {
            at = match step.parse::<usize>() {
                Ok(number) if at.is_array() => &at[number],
                _ => &at[step],
            };
        }
        assert_eq!(at, expected, "{name}: {way}");
    }
}

/// The integration of a method.
macro_rules! of {
    ($method:literal, $field:literal) => {
        concat!("methods > ", $method, " > integration > ", $field)
    };
}

#[test]
fn backends_over_http() {
    check(
        "rest/greedy_http_proxy",
        &[
            ("kind", json!("rest")),
            ("info > title", json!("Pets, passed on")),
            (of!("GET /", "kind"), json!("http_proxy")),
            (of!("GET /", "passthrough"), json!("WHEN_NO_MATCH")),
            (of!("GET /", "responses > 0 > pattern"), json!("default")),
            (of!("ANY /{proxy+}", "http_method"), json!("ANY")),
            (of!("ANY /{proxy+}", "uri"), json!("http://pets.example.com/{proxy}")),
            (
                of!("ANY /{proxy+}", "request_parameters"),
                json!({
                    "integration.request.path.proxy": "method.request.path.proxy",
                    "integration.request.header.X-Stage": "context.stage",
                }),
            ),
            (of!("ANY /{proxy+}", "cache_namespace"), json!("cache-ns")),
            (of!("ANY /{proxy+}", "cache_key_parameters"), json!(["method.request.path.proxy"])),
            ("methods > ANY /{proxy+} > parameters > 0 > required", json!(true)),
        ],
    );
    check(
        "rest/pets_not_proxied",
        &[
            (of!("GET /pets", "kind"), json!("http")),
            (
                of!("GET /pets", "request_parameters > integration.request.querystring.page"),
                json!("method.request.querystring.page"),
            ),
            (
                of!("GET /pets", "responses > 0 > parameters"),
                json!({"method.response.header.Access-Control-Allow-Origin": "'*'"}),
            ),
            (of!("POST /pets", "passthrough"), json!("NEVER")),
            (of!("POST /pets", "request_templates > application/json"), json!("{\"made\": $input.json('$')}")),
            (of!("POST /pets", "responses > 0 > pattern"), json!("2\\d{2}")),
            (of!("POST /pets", "responses > 0 > templates > application/xml"), json!("<pet/>")),
            (of!("POST /pets", "responses > 1 > status"), json!("400")),
            (of!("OPTIONS /pets", "kind"), json!("mock")),
            (of!("OPTIONS /pets", "http_method"), Json::Null),
            (of!("OPTIONS /pets", "request_templates > application/json"), json!("{\"statusCode\": 200}")),
            (of!("OPTIONS /pets", "responses > 0 > templates > application/json"), json!("")),
            ("methods > POST /pets > body_required", json!(true)),
            ("methods > POST /pets > request_models > application/json > named", json!("NewPet")),
            ("models > NewPet > schema > properties > type > enum", json!(["dog", "cat"])),
        ],
    );
    check(
        "rest/vpc_link",
        &[
            (of!("GET /by_name", "connection_type"), json!("VPC_LINK")),
            (of!("GET /by_name", "insecure_skip_verification"), json!(true)),
            (of!("ANY /by_variable/{proxy+}", "connection_id"), json!("${stageVariables.vpcLinkId}")),
            (
                of!("ANY /by_variable/{proxy+}", "uri"),
                json!("http://${stageVariables.host}:${stageVariables.port}/{proxy}"),
            ),
            (
                of!("GET /by_target", "integration_target"),
                json!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/a/b/c"),
            ),
        ],
    );
    check(
        "rest/stage_variables",
        &[
            (of!("GET /host", "payload_format_version"), json!("1.0")),
            (of!("GET /function", "credentials"), json!("arn:aws:iam::123456789012:role/${stageVariables.role}")),
            (of!("GET /mapped", "request_parameters > integration.request.querystring.fixed"), json!("'a b'")),
            (
                of!("GET /mapped", "responses > 0 > parameters > method.response.header.X-Stage"),
                json!("stageVariables.name"),
            ),
        ],
    );
}

#[test]
fn functions_and_services() {
    check(
        "rest/lambda_proxy",
        &[
            (of!("ANY /", "kind"), json!("aws_proxy")),
            (of!("ANY /", "content_handling"), json!("CONVERT_TO_TEXT")),
            (of!("ANY /", "responses > 0 > status"), json!("200")),
            (of!("ANY /{proxy+}", "kind"), json!("aws_proxy")),
            (of!("ANY /{proxy+}", "timeout_ms"), json!(15_000)),
            (of!("ANY /{proxy+}", "credentials"), json!("arn:aws:iam::*:user/*")),
            ("methods > ANY /{proxy+} > authorization", json!("iam")),
        ],
    );
    check(
        "rest/lambda_mapped",
        &[
            (of!("GET /calc", "kind"), json!("aws")),
            (of!("GET /calc", "responses > 0 > pattern"), json!(".*[Bb]ad.*")),
            (
                of!("GET /calc", "responses > 1 > parameters > method.response.header.sum"),
                json!("integration.response.body.sum"),
            ),
            (
                of!("GET /calc", "request_parameters > integration.request.header.X-Amz-Invocation-Type"),
                json!("'Event'"),
            ),
            (of!("POST /calc", "passthrough"), json!("WHEN_NO_TEMPLATES")),
            ("methods > GET /calc > validator", json!("Query and headers")),
            ("validators > Body", json!({"body": true, "parameters": false})),
        ],
    );
    check(
        "rest/s3_service",
        &[
            (of!("GET /{folder}/{item}", "uri"), json!("arn:aws:apigateway:us-west-2:s3:path/{bucket}/{object}")),
            (of!("GET /{folder}/{item}", "responses > 0 > pattern"), json!("4\\d{2}")),
            (of!("GET /{folder}/{item}", "responses > 1 > pattern"), json!("default")),
            (of!("GET /{folder}/{item}", "responses > 2 > status"), json!("500")),
            (
                of!("GET /{folder}/{item}", "responses > 1 > parameters > method.response.header.content-type"),
                json!("integration.response.header.content-type"),
            ),
            ("methods > GET /{folder}/{item} > authorization", json!("iam")),
        ],
    );
    check(
        "rest/sqs_service",
        &[
            (
                of!("POST /orders", "request_templates > application/json"),
                json!("Action=SendMessage&MessageGroupId=$context.requestId&MessageBody=$util.urlEncode($input.body)"),
            ),
            (
                of!("POST /orders", "request_parameters > integration.request.header.Content-Type"),
                json!("'application/x-www-form-urlencoded'"),
            ),
            (of!("POST /orders", "responses > 0 > status"), json!("202")),
        ],
    );
    check(
        "rest/dynamodb_service",
        &[
            (
                of!("GET /{linkId}", "request_templates > application/json"),
                json!("{\"Key\": {\"id\": {\"S\": \"$input.params().path.linkId\"}}, \"TableName\": \"Links\"}"),
            ),
            (of!("GET /{linkId}", "kind"), json!("aws")),
            (of!("GET /{linkId}", "responses > 0 > status"), json!("301")),
        ],
    );
    check(
        "rest/step_functions_service",
        &[
            (of!("POST /invoke", "http_method"), json!("ANY")),
            (of!("POST /invoke", "credentials"), json!("${role_arn}")),
            (of!("POST /invoke", "uri"), json!("arn:aws:apigateway:${aws_region}:states:action/StartExecution")),
            (
                of!("POST /invoke", "request_templates > application/xml"),
                json!(
                    "#set($body= $input.json('$'))\n#set($inputRoot='{ \"xmlPayload\": ' + $body + ' }')\n{\n    \
                     \"input\": \"$util.escapeJavaScript($inputRoot)\",\n    \"stateMachineArn\": \"${state_machine_arn}\"  \n}"
                ),
            ),
        ],
    );
    check(
        "rest/kinesis_service",
        &[(
            of!("PUT /streams/{stream-name}/records", "request_templates > application/x-amz-json-1.1"),
            json!("$input.json('$')"),
        )],
    );
    check(
        "rest/streaming",
        &[
            (of!("POST /story", "transfer_mode"), json!("STREAM")),
            (of!("POST /story", "timeout_ms"), json!(900_000)),
            (of!("GET /file", "transfer_mode"), json!("BUFFERED")),
            (of!("GET /file", "timeout_ms"), json!(50)),
        ],
    );
}

#[test]
fn callers_and_authorizers() {
    check(
        "rest/cognito",
        &[
            ("methods > ANY /notes/{proxy+} > authorization > authorizer > name", json!("members")),
            ("methods > GET /admin > authorization > authorizer > scopes", json!(["notes/read", "notes/admin"])),
            ("authorizers > members > auth_type", json!("cognito_user_pools")),
            (
                "authorizers > members > authorizer > providerARNs",
                json!(["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI"]),
            ),
        ],
    );
    check(
        "rest/token_authorizer",
        &[
            ("methods > GET /http > authorization > authorizer > name", json!("doorman")),
            ("methods > GET /open > authorization", json!("none")),
            ("authorizers > doorman > authorizer > identityValidationExpression", json!("^x-[a-z]+")),
            ("authorizers > doorman > authorizer > authorizerResultTtlInSeconds", json!(60)),
            ("authorizers > unused > authorizer > authorizerCredentials", json!("")),
        ],
    );
    check(
        "rest/request_authorizer",
        &[
            (
                "authorizers > by_header_and_query > authorizer > identitySource",
                json!("method.request.header.HeaderAuth1, method.request.querystring.QueryString1"),
            ),
            ("authorizers > by_stage > authorizer > authorizerResultTtlInSeconds", json!("0")),
            ("methods > GET /b > authorization > authorizer > name", json!("by_stage")),
            ("methods > GET /c > authorization > authorizer > name", json!("by_header_and_query")),
            ("methods > GET /c > api_key_required", json!(true)),
        ],
    );
    check(
        "rest/iam",
        &[
            ("methods > POST /extension > authorization", json!("iam")),
            ("methods > POST /scheme > authorization", json!("iam")),
            ("methods > POST /with_key > authorization", json!("iam")),
            ("methods > POST /with_key > api_key_required", json!(true)),
        ],
    );
    check(
        "rest/api_keys",
        &[
            ("api_key_source", json!("AUTHORIZER")),
            ("methods > GET /metered > api_key_required", json!(true)),
            ("methods > GET /metered > authorization > authorizer > name", json!("asker")),
            ("methods > GET /free > api_key_required", json!(false)),
        ],
    );
    check(
        "http/jwt_and_cors",
        &[
            (
                "methods > GET /orders > authorization > authorizer",
                json!({"name": "jwt", "scopes": ["orders.read", "orders.all"]}),
            ),
            ("authorizers > jwt > authorizer > jwtConfiguration > audience", json!(["audience1", "audience2"])),
            ("authorizers > jwt > scheme", json!("oauth2")),
        ],
    );
    check(
        "http/openid",
        &[
            ("methods > GET /a > authorization > authorizer > name", json!("found")),
            ("methods > GET /open > authorization", json!("none")),
            (
                "authorizers > found > rest > openIdConnectUrl",
                json!("https://cognito-idp.eu-west-1.amazonaws.com/pool/.well-known/openid-configuration"),
            ),
            (of!("GET /a", "payload_format_version"), json!("1.0")),
        ],
    );
    check(
        "http/lambda_authorizer",
        &[
            ("authorizers > simple > authorizer > enableSimpleResponses", json!(true)),
            ("authorizers > simple > authorizer > authorizerPayloadFormatVersion", json!("2.0")),
            (of!("GET /simple", "http_method"), Json::Null),
            (of!("GET /simple", "payload_format_version"), json!("2.0")),
            ("methods > GET /iam > authorization", json!("iam")),
        ],
    );
}

#[test]
fn settings_of_the_whole_api() {
    check(
        "rest/private",
        &[
            ("endpoint > disable_execute_api", json!(true)),
            ("endpoint > vpc_endpoint_ids", json!(["vpce-0212a4ababd5b8c3e", "vpce-01d622316a7df47f9"])),
            ("policy > Statement > 1 > Effect", json!("Deny")),
            ("policy > Statement > 1 > Condition > NumericLessThan > aws:MultiFactorAuthAge", json!(300)),
        ],
    );
    check(
        "rest/endpoint",
        &[
            ("endpoint > types", json!(["REGIONAL"])),
            ("endpoint > disable_execute_api", json!(true)),
            ("endpoint > ip_address_type", json!("dualstack")),
            ("endpoint > access_mode", json!("STRICT")),
            ("endpoint > security_policy", json!("SecurityPolicy_TLS13_1_3_2025_09")),
            ("policy > Version", json!("2012-10-17")),
            ("policy > Statement > 0 > Condition > Bool > aws:SecureTransport", json!(true)),
        ],
    );
    check(
        "rest/binary",
        &[
            ("binary_media_types", json!(["application/octet-stream", "image/*", "*/*", "image/svg+xml"])),
            ("minimum_compression_size", json!(5_242_880)),
            (of!("GET /picture", "responses > 1 > content_handling"), json!("CONVERT_TO_TEXT")),
            (of!("PUT /picture", "content_handling"), json!("CONVERT_TO_BINARY")),
            (of!("PUT /picture", "passthrough"), json!("NEVER")),
        ],
    );
    check(
        "rest/gateway_responses",
        &[
            ("gateway_responses > DEFAULT_4XX > status", Json::Null),
            (
                "gateway_responses > DEFAULT_4XX > parameters > gatewayresponse.header.x-request-path",
                json!("method.request.path.petId"),
            ),
            (
                "gateway_responses > DEFAULT_4XX > templates > application/xml",
                json!("<error>$context.error.responseType</error>"),
            ),
            ("gateway_responses > DEFAULT_5XX > status", json!("500")),
            ("gateway_responses > MISSING_AUTHENTICATION_TOKEN > status", json!("404")),
            ("gateway_responses > QUOTA_EXCEEDED > status", json!("429")),
            ("gateway_responses > WAF_FILTERED > parameters", json!([])),
        ],
    );
    check(
        "rest/validators",
        &[
            ("validator", json!("params-only")),
            ("validators > all", json!({"body": true, "parameters": true})),
            ("validators > silent", json!({"body": false, "parameters": false})),
            ("methods > POST /validation > validator", json!("all")),
            ("methods > POST /validation > authorization", json!("none")),
            ("methods > POST /validation > api_key_required", json!(true)),
            ("methods > POST /validation > parameters > 0 > name", json!("h1")),
            ("models > Body > schema > properties > price > maximum", json!(500)),
            (of!("POST /validation", "responses > 1 > templates > application/xml"), json!("xml 400")),
        ],
    );
    check(
        "rest/documentation",
        &[
            ("documentation > version", json!("v2.1")),
            ("documentation > parts > 2 > location > name", json!("petId")),
            ("documentation > parts > 3 > properties", json!("{\"description\": \"It went well\"}")),
            ("documentation > parts > 4 > location > type", json!("MODEL")),
        ],
    );
    check(
        "rest/rest_31",
        &[
            ("methods > GET /things/{id} > parameters > 0 > type_name", json!("string")),
            ("models > Thing > schema > properties > name > type", json!(["string", "null"])),
        ],
    );
    check(
        "http/jwt_and_cors",
        &[
            ("kind", json!("http")),
            ("cors > allow_origins", json!(["https://www.example.com", "https://*"])),
            ("cors > allow_methods", json!(["GET", "OPTIONS", "POST"])),
            ("cors > allow_headers", json!(["*"])),
            ("cors > expose_headers", json!(["x-apigateway-header", "content-type"])),
            ("cors > max_age", json!(3_600)),
            ("cors > allow_credentials", json!(true)),
            ("tags > 0 > value", json!("SAM")),
            ("tags > 0 > description", json!("who made it")),
            ("tags > 1 > value", Json::Null),
            (of!("$default", "uri"), json!("https://fallback.example.com/")),
            (of!("GET /orders", "connection_type"), json!("INTERNET")),
        ],
    );
    check(
        "http/cors_by_habit",
        &[
            ("cors > allow_origins", json!(["https://a.example"])),
            ("cors > allow_methods", json!(["GET", "POST"])),
            ("cors > allow_headers", json!(["*"])),
            ("cors > max_age", json!(86_400)),
            ("cors > allow_credentials", json!(true)),
            ("policy", Json::Null),
        ],
    );
    check(
        "http/http_31",
        &[
            ("endpoint > disable_execute_api", json!(true)),
            (of!("ANY /a", "request_parameters > overwrite:path"), json!("$request.path")),
        ],
    );
}

#[test]
fn mappings_of_http_apis() {
    check(
        "http/private_and_mapped",
        &[
            (
                of!("GET /things/{id}", "request_parameters"),
                json!({
                    "append:header.header1": "$context.requestId",
                    "overwrite:path": "/v2/$request.path.id",
                    "remove:querystring.secret": "''",
                    "remove:header.nothing": "",
                }),
            ),
            (
                of!("GET /things/{id}", "response_parameters > 200"),
                json!({"append:header.x": "$response.header.y", "remove:header.server": ""}),
            ),
            (of!("GET /things/{id}", "response_parameters > 500 > overwrite:statuscode"), json!("403")),
            (of!("GET /things/{id}", "response_parameters > 404"), json!([])),
            (of!("GET /things/{id}", "server_name_to_verify"), json!("internal.example.com")),
        ],
    );
    check(
        "http/services",
        &[
            (of!("POST /sqs", "subtype"), json!("SQS-SendMessage")),
            (of!("POST /sqs", "uri"), Json::Null),
            (of!("POST /sqs", "credentials"), json!("${MyHttpApiRole.Arn}")),
            (
                of!("POST /sqs", "request_parameters"),
                json!({"MessageBody": "$request.body.MessageBody", "QueueUrl": "${MyQueue}", "DelaySeconds": "5"}),
            ),
            (of!("POST /eb", "request_parameters > Source"), json!("WebApp")),
            (of!("POST /sfn", "subtype"), json!("StepFunctions-StartSyncExecution")),
        ],
    );
    check(
        "http/shared_integrations",
        &[
            (of!("GET /pets", "passthrough"), json!("WHEN_NO_TEMPLATES")),
            (of!("GET /pets", "payload_format_version"), json!("1.0")),
            (of!("GET /checkout", "uri"), json!("https://two.example.com")),
        ],
    );
}

#[test]
fn what_is_written_loosely() {
    check(
        "rest/object_templates",
        &[
            (of!("GET /loose", "request_templates"), json!({"application/json": "{\"statusCode\":200}"})),
            (
                of!("GET /loose", "responses > 0 > parameters"),
                json!({"method.response.header.X-Count": "5", "method.response.header.X-Flag": "true"}),
            ),
            (
                of!("GET /loose", "responses > 0 > templates > application/json"),
                json!("{\"items\":[1,\"two\",null,{\"three\":true}]}"),
            ),
            (of!("GET /loose", "responses > 0 > templates > text/html"), json!("<p>\n  #if($x)yes#end\n</p>\n")),
            (of!("GET /loose", "responses > 0 > templates > text/plain"), json!("folded text\n")),
        ],
    );
    check(
        "rest/nulls",
        &[
            (of!("GET /a", "credentials"), Json::Null),
            (of!("GET /a", "responses > 0 > templates"), json!([])),
            ("methods > POST /a > integration", Json::Null),
            ("policy", Json::Null),
            ("binary_media_types", json!([])),
        ],
    );
    check(
        "rest/terraform",
        &[
            ("info > title", json!("${api_title}")),
            (of!("POST /login", "uri"), json!("${login_invoke_arn}")),
            (of!("POST /login", "timeout_ms"), Json::Null),
            (of!("ANY /{proxy+}", "connection_id"), json!("${vpc_link_id}")),
            ("endpoint > disable_execute_api", json!(true)),
            ("policy > Statement > 0 > Resource", json!("arn:aws:execute-api:${region}:${account_id}:*/*/*/*")),
        ],
    );
    check(
        "rest/slips",
        &[
            ("cors > allow_origins", json!(["*"])),
            ("gateway_responses", json!({"DEFAULT_4XX": {"status": null, "parameters": [], "templates": []}})),
            (of!("GET /a", "timeout_ms"), json!(50)),
            (of!("GET /a", "passthrough"), Json::Null),
            (of!("GET /a", "http_method"), Json::Null),
            (of!("GET /a", "responses > 0 > status"), json!("404")),
            (of!("POST /a", "http_method"), json!("POST")),
        ],
    );
}

#[test]
fn cloudformation_and_its_variables() {
    check(
        "rest/aws_variables",
        &[
            (
                of!("GET /", "uri"),
                json!(
                    "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:a/invocations"
                ),
            ),
            (of!("GET /", "credentials"), json!("arn:aws:iam::123456789012:role/${AWS::StackName}")),
            ("methods > GET / > description", json!("runs in eu-west-1")),
            ("policy > Statement > 0 > Resource", json!("arn:aws:execute-api:eu-west-1:123456789012:*/*")),
        ],
    );
    check(
        "rest/sam_long",
        &[
            ("info > title", json!("${AppName}")),
            (of!("GET /{linkId}", "credentials"), json!("${ReadRole.Arn}")),
            (
                of!("GET /{linkId}", "responses > 0 > parameters"),
                json!({
                    "method.response.header.Location": "'https://${App.Domain}/?missing=true'",
                    "method.response.header.Access-Control-Allow-Origin": "'*'",
                }),
            ),
            (
                of!("GET /joined", "uri"),
                json!("arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"),
            ),
            (of!("GET /joined", "connection_id"), json!("${ImportValue.Network-Link}")),
            ("authorizers > UserAuthorizer > authorizer > providerARNs", json!(["${UserPool.Arn}"])),
            ("binary_media_types", json!(["image/png", "image/gif"])),
        ],
    );
    check(
        "rest/sam_short",
        &[
            ("info > version", json!("${Version}")),
            (of!("GET /item/{id}", "credentials"), json!("${ApiRole.Arn}")),
            (of!("DELETE /item/{id}", "credentials"), json!("${ApiRole.Arn}")),
            (
                of!("DELETE /item/{id}", "request_templates > application/json"),
                json!(
                    "{\n  \"TableName\": \"${Table}\",\n  \"Key\": {\"id\": {\"S\": \"$input.params('id')\"}},\n  \"Stage\": \"${stageVariables.name}\"\n}\n"
                ),
            ),
            (
                of!("DELETE /item/{id}", "responses > 0 > templates > application/json"),
                json!("{\"table\": \"${Table}\"}"),
            ),
            (of!("POST /joined", "uri"), json!("https://backend.example.com/${ImportValue.Path}")),
            (of!("POST /joined", "connection_type"), json!("VPC_LINK")),
        ],
    );
    check(
        "rest/sam_template",
        &[
            ("authorizers > ByToken > authorizer > identityValidationExpression", json!("^Bearer .+")),
            ("authorizers > ByToken > authorizer > authorizerResultTtlInSeconds", json!(120)),
            (of!("POST /chosen", "uri"), json!("https://one.example.com/${Account}")),
            ("binary_media_types", json!(["image/gif"])),
        ],
    );
    check(
        "rest/cloudformation_template",
        &[
            (
                "authorizers > Asker > authorizer > authorizerUri",
                json!("arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${AuthFn.Arn}/invocations"),
            ),
            ("methods > GET /users > api_key_required", json!(true)),
            (of!("OPTIONS /users", "request_templates > application/json"), json!("{\n  \"statusCode\" : 200\n}\n")),
        ],
    );
    check(
        "http/sam_http_template",
        &[("cors > max_age", json!(600)), (of!("GET /echo", "payload_format_version"), json!("2.0"))],
    );
    check("rest/included", &[(of!("GET /a", "kind"), json!("mock"))]);
}

#[test]
fn habits_of_yaml() {
    check(
        "rest/yaml_habits",
        &[
            ("info > version", json!("2024-01-01")),
            (of!("GET /whole", "kind"), json!("aws_proxy")),
            (of!("GET /merged", "http_method"), json!("POST")),
            (of!("GET /merged", "timeout_ms"), json!(10_000)),
            (of!("POST /merged", "timeout_ms"), json!(5_000)),
            (of!("POST /merged", "responses > 0 > status"), json!("200")),
            (
                of!("POST /merged", "responses > 0 > parameters"),
                json!({"method.response.header.X": "'y'", "method.response.header.Access-Control-Allow-Origin": "'*'"}),
            ),
            (of!("OPTIONS /merged", "responses > 0 > status"), json!("204")),
            ("methods > GET /pattern > parameters > 0 > required", json!(true)),
        ],
    );
}

#[test]
fn names_that_nothing_defines() {
    check(
        "rest/undefined_names",
        &[
            ("validator", Json::Null),
            ("methods > GET /none > authorization", json!("none")),
            ("methods > GET /none > api_key_required", json!(true)),
            ("methods > GET /unknown > authorization > authorizer > name", json!("Nobody")),
            ("methods > GET /mapping > authorization > authorizer > name", json!("Nobody")),
            ("methods > GET /text > authorization > authorizer > name", json!("Nobody")),
            ("methods > GET /text > api_key_required", json!(true)),
            ("methods > POST /models > validator", json!("all")),
        ],
    );
    check(
        "rest/mixed_versions",
        &[
            ("methods > GET /a > authorization > authorizer > name", json!("UserAuthorizer")),
            ("authorizers > UserAuthorizer > auth_type", json!("cognito_user_pools")),
            ("models > Thing > schema > type", json!("object")),
        ],
    );
}

#[test]
fn what_only_a_deployment_or_an_engine_fills_in() {
    check(
        "rest/only_a_deployment_knows",
        &[
            ("methods > GET /validated > validator", json!("${Validator}")),
            ("methods > GET /included > integration", Json::Null),
            ("methods > GET /guarded > authorization > authorizer > name", json!("`x-amazon-apigateway-auth`")),
            ("methods > PUT /guarded > authorization", json!("iam")),
            (of!("GET /a@b", "uri"), json!("https://a.example.com")),
        ],
    );
    check(
        "rest/unrendered",
        &[
            ("info > title", json!("{{ title }}")),
            (of!("GET /b", "uri"), json!("https://${host[\"b\"]}/x")),
            ("methods > GET /b > description", json!("{{ description }}")),
        ],
    );
}

#[test]
fn errors_are_found_all_at_once() {
    for (name, errors) in [("rest/errors", 13), ("rest/template_elsewhere", 1)] {
        let path = documents().into_iter().find(|(known, _)| known == name).expect("it is there").1;
        let (_, faults) = import(name, &path);
        assert_eq!(faults.counts().0, errors, "{name}\n{}", faults.render(false));
    }
}

#[test]
fn every_document_has_its_expectation_and_its_facts() {
    let tests = include_str!("openapi.rs");
    for (name, path) in documents() {
        assert!(path.with_extension("expected").exists(), "{name}");
        assert!(tests.matches(&format!("\"{name}\"")).count() >= 1, "{name} has no facts");
    }
    for kind in ["rest", "http"] {
        for entry in fs::read_dir(folder().join(kind)).expect("the folder is in the repository") {
            let path = entry.expect("a folder can be listed").path();
            let has = |extension| path.with_extension(extension).exists();
            assert!(has("yaml") || has("json"), "{} has no document", path.display());
        }
    }
}
