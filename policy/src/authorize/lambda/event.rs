//! What an authorizer is told of a request (aws-features §4.2, A-04 to A-06): JSON, written into the caller's bytes.
//!
//! What is empty is `{}` in the forms of REST and 1.0, and absent in 2.0. Fields that concern the connection alone are left out, and
//! of those that tell of hops nothing is said but what the gateway knows itself (P06).

use std::collections::HashMap;

use codec::head::{Fate, Name};
use codec::target::{decode_component, query_pairs};
use router::Kind;

use super::Request;
use crate::client_certificate::ClientCertificate;
use crate::escape;
use crate::transform::parameters::{Seen, of_client};
use crate::transform::variable::Variable;

/// `{"type":"TOKEN",…}`.
pub fn token(value: &[u8], method_arn: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    field(out, "type", b"TOKEN");
    field(out, "authorizationToken", value);
    field(out, "methodArn", method_arn);
    out.push(b'}');
}

/// The form of REST and WebSocket APIs, and with `identity`, the values of the identity sources, version 1.0 of HTTP APIs.
pub fn version_1(request: &Request<'_>, method_arn: &[u8], identity: Option<&[Vec<u8>]>, out: &mut Vec<u8>) {
    let facts = &request.facts;
    let is_socket = request.kind == Kind::WebSocket;
    out.push(b'{');
    if identity.is_some() {
        field(out, "version", b"1.0");
    }
    field(out, "type", b"REQUEST");
    field(out, "methodArn", method_arn);
    if let Some(identity) = identity {
        let joined = identity.join(&b',');
        field(out, "identitySource", &joined);
        field(out, "authorizationToken", &joined);
    }
    if !is_socket {
        field(out, "resource", facts.resource_path);
        field(out, "path", facts.api_path());
        field(out, "httpMethod", facts.method());
    }
    let (headers, query) = (headers(request), query(request));
    lasts(out, "headers", &headers);
    lists(out, "multiValueHeaders", &headers);
    lasts(out, "queryStringParameters", &query);
    lists(out, "multiValueQueryStringParameters", &query);
    if !is_socket {
        path_parameters(request, out);
    }
    stage_variables(request, out);
    key(out, "requestContext");
    if is_socket {
        socket_context(request, out);
    } else {
        context_1(request, out);
    }
    out.push(b'}');
}

/// Version 2.0 of HTTP APIs.
pub fn version_2(request: &Request<'_>, route_arn: &[u8], identity: &[Vec<u8>], out: &mut Vec<u8>) {
    let facts = &request.facts;
    out.push(b'{');
    field(out, "version", b"2.0");
    field(out, "type", b"REQUEST");
    field(out, "routeArn", route_arn);
    key(out, "identitySource");
    strings(out, identity);
    field(out, "routeKey", request.route_key);
    field(out, "rawPath", facts.full_path());
    field(out, "rawQueryString", facts.head.query.map_or(&[][..], |query| query.of(facts.head_bytes)));
    let (cookies, headers): (Vec<_>, Vec<_>) =
        headers(request).into_iter().partition(|(name, _)| name.eq_ignore_ascii_case(b"cookie"));
    let cookies: Vec<Vec<u8>> = cookies
        .iter()
        .flat_map(|(_, values)| values)
        .flat_map(|value| value.split(|byte| *byte == b';'))
        .map(|cookie| cookie.trim_ascii().to_vec())
        .filter(|cookie| !cookie.is_empty())
        .collect();
    if !cookies.is_empty() {
        key(out, "cookies");
        strings(out, &cookies);
    }
    let lower = headers.into_iter().map(|(name, values)| (name.to_ascii_lowercase(), values)).collect();
    joined(out, "headers", &lower);
    let query = query(request);
    if !query.is_empty() {
        joined(out, "queryStringParameters", &query);
    }
    key(out, "requestContext");
    context_2(request, out);
    if variables(facts.resource_path).next().is_some() {
        path_parameters(request, out);
    }
    if !request.stage_variables.is_empty() {
        stage_variables(request, out);
    }
    out.push(b'}');
}

/// Names in the order of their first appearance, each with all its values.
type Grouped = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// Groups pairs; `fold` makes of a name what is compared.
fn grouped(pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>, fold: impl Fn(&[u8]) -> Vec<u8>) -> Grouped {
    let (mut groups, mut places): (Grouped, HashMap<Vec<u8>, usize>) = (Vec::new(), HashMap::new());
    for (name, value) in pairs {
        let place = *places.entry(fold(&name)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    groups
}

/// The fields that a backend would see of this client, with what the gateway tells of the way.
fn headers(request: &Request<'_>) -> Grouped {
    let facts = &request.facts;
    let bytes = facts.head_bytes;
    let passes = |name: &[u8]| match Name::of(name) {
        Name::ContentLength | Name::Connection | Name::TransferEncoding => false,
        _ => std::str::from_utf8(name).is_ok_and(|name| of_client(request.kind, name) == Seen::Field),
    };
    let own = facts.head.fields.iter().filter(|field| field.fate == Fate::Pass && passes(field.name.of(bytes)));
    let own = own.map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec()));
    let scheme: &[u8] = if request.tls { b"https" } else { b"http" };
    let port = itoa::Buffer::new().format(request.port).as_bytes().to_vec();
    let way = [
        (b"X-Forwarded-For".to_vec(), facts.source_ip.to_vec()),
        (b"X-Forwarded-Port".to_vec(), port),
        (b"X-Forwarded-Proto".to_vec(), scheme.to_vec()),
    ];
    grouped(own.chain(way), <[u8]>::to_ascii_lowercase)
}

/// The parameters of the query, decoded (RT-09).
fn query(request: &Request<'_>) -> Grouped {
    let facts = &request.facts;
    let query = facts.head.query.map_or(&[][..], |query| query.of(facts.head_bytes));
    let decoded = |raw: &[u8]| {
        let mut out = Vec::with_capacity(raw.len());
        decode_component(raw, true, &mut out);
        out
    };
    grouped(query_pairs(query).map(|(name, value)| (decoded(name), decoded(value))), <[u8]>::to_vec)
}

/// The names of the variables of a path as written, in order, without `+`.
fn variables(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let segments = path.split(|byte| *byte == b'/');
    segments.filter_map(|segment| {
        let name = segment.strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(name.strip_suffix(b"+").unwrap_or(name))
    })
}

fn path_parameters(request: &Request<'_>, out: &mut Vec<u8>) {
    key(out, "pathParameters");
    out.push(b'{');
    for (place, name) in variables(request.facts.resource_path).enumerate() {
        pair(out, name, request.facts.path_variable(place));
    }
    out.push(b'}');
}

fn stage_variables(request: &Request<'_>, out: &mut Vec<u8>) {
    key(out, "stageVariables");
    out.push(b'{');
    for (name, value) in request.stage_variables {
        pair(out, name.as_bytes(), value.as_bytes());
    }
    out.push(b'}');
}

fn context_1(request: &Request<'_>, out: &mut Vec<u8>) {
    let facts = &request.facts;
    out.push(b'{');
    null(out, "resourceId");
    field(out, "resourcePath", facts.resource_path);
    field(out, "httpMethod", facts.method());
    field(out, "extendedRequestId", facts.extended_request_id);
    context(request, Variable::RequestTime, "requestTime", out);
    field(out, "path", facts.full_path());
    field(out, "accountId", request.account_id.as_bytes());
    context(request, Variable::Protocol, "protocol", out);
    field(out, "stage", facts.stage);
    context(request, Variable::DomainPrefix, "domainPrefix", out);
    number(out, "requestTimeEpoch", facts.time_epoch_ms);
    field(out, "requestId", facts.request_id);
    identity(request, out);
    field(out, "domainName", facts.host());
    field(out, "apiId", facts.api_id);
    out.push(b'}');
}

/// Of a client that asks for a WebSocket (WS-04).
fn socket_context(request: &Request<'_>, out: &mut Vec<u8>) {
    let facts = &request.facts;
    out.push(b'{');
    field(out, "routeKey", b"$connect");
    field(out, "eventType", b"CONNECT");
    field(out, "messageDirection", b"IN");
    field(out, "extendedRequestId", facts.extended_request_id);
    context(request, Variable::RequestTime, "requestTime", out);
    field(out, "stage", facts.stage);
    number(out, "requestTimeEpoch", facts.time_epoch_ms);
    identity(request, out);
    field(out, "requestId", facts.request_id);
    field(out, "domainName", facts.host());
    field(out, "apiId", facts.api_id);
    out.push(b'}');
}

fn context_2(request: &Request<'_>, out: &mut Vec<u8>) {
    let facts = &request.facts;
    out.push(b'{');
    field(out, "accountId", request.account_id.as_bytes());
    field(out, "apiId", facts.api_id);
    if let Some(client) = facts.client {
        key(out, "authentication");
        out.push(b'{');
        certificate(client, out);
        out.push(b'}');
    }
    field(out, "domainName", facts.host());
    context(request, Variable::DomainPrefix, "domainPrefix", out);
    key(out, "http");
    out.push(b'{');
    field(out, "method", facts.method());
    field(out, "path", facts.full_path());
    context(request, Variable::Protocol, "protocol", out);
    field(out, "sourceIp", facts.source_ip);
    field(out, "userAgent", facts.header(Name::UserAgent, b"user-agent").unwrap_or_default());
    out.push(b'}');
    field(out, "requestId", facts.request_id);
    field(out, "routeKey", request.route_key);
    field(out, "stage", facts.stage);
    context(request, Variable::RequestTime, "time", out);
    number(out, "timeEpoch", facts.time_epoch_ms);
    out.push(b'}');
}

/// `identity`, with what is not known of a caller who has yet to be let in.
fn identity(request: &Request<'_>, out: &mut Vec<u8>) {
    const UNKNOWN: [&str; 10] = [
        "cognitoIdentityPoolId",
        "accountId",
        "cognitoIdentityId",
        "caller",
        "principalOrgId",
        "accessKey",
        "cognitoAuthenticationType",
        "cognitoAuthenticationProvider",
        "userArn",
        "user",
    ];
    let facts = &request.facts;
    key(out, "identity");
    out.push(b'{');
    for name in UNKNOWN {
        null(out, name);
    }
    field(out, "sourceIp", facts.source_ip);
    match facts.header(Name::UserAgent, b"user-agent") {
        Some(agent) => field(out, "userAgent", agent),
        None => null(out, "userAgent"),
    }
    if let Some(client) = facts.client {
        certificate(client, out);
    }
    out.push(b'}');
}

fn certificate(client: &ClientCertificate, out: &mut Vec<u8>) {
    let mut pem = Vec::new();
    client.write_pem(&mut pem);
    key(out, "clientCert");
    out.push(b'{');
    field(out, "clientCertPem", &pem);
    field(out, "subjectDN", client.subject.as_bytes());
    field(out, "issuerDN", client.issuer.as_bytes());
    field(out, "serialNumber", client.serial_number.as_bytes());
    key(out, "validity");
    out.push(b'{');
    field(out, "notBefore", client.not_before.as_bytes());
    field(out, "notAfter", client.not_after.as_bytes());
    out.extend_from_slice(b"}}");
}

/// The last value of each name.
fn lasts(out: &mut Vec<u8>, name: &str, groups: &Grouped) {
    key(out, name);
    out.push(b'{');
    for (name, values) in groups {
        pair(out, name, values.last().map_or(&[][..], Vec::as_slice));
    }
    out.push(b'}');
}

/// All values of each name, in a list.
fn lists(out: &mut Vec<u8>, name: &str, groups: &Grouped) {
    key(out, name);
    out.push(b'{');
    for (name, values) in groups {
        comma(out);
        string(out, name);
        out.push(b':');
        strings(out, values);
    }
    out.push(b'}');
}

/// All values of each name, with commas between them.
fn joined(out: &mut Vec<u8>, name: &str, groups: &Grouped) {
    key(out, name);
    out.push(b'{');
    for (name, values) in groups {
        pair(out, name, &values.join(&b','));
    }
    out.push(b'}');
}

fn strings(out: &mut Vec<u8>, values: &[Vec<u8>]) {
    out.push(b'[');
    for value in values {
        comma(out);
        string(out, value);
    }
    out.push(b']');
}

/// Behind the first member of an object, or of a list.
fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[') | None) {
        out.push(b',');
    }
}

/// A name of ours, which needs no escape.
fn key(out: &mut Vec<u8>, name: &str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    key(out, name);
    string(out, value);
}

fn pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    comma(out);
    string(out, name);
    out.push(b':');
    string(out, value);
}

fn null(out: &mut Vec<u8>, name: &str) {
    key(out, name);
    out.extend_from_slice(b"null");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A variable as text.
fn context(request: &Request<'_>, variable: Variable, name: &str, out: &mut Vec<u8>) {
    key(out, name);
    out.push(b'"');
    let from = out.len();
    variable.write(&request.facts, out);
    escape::json_string(out, from);
    out.push(b'"');
}

fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let from = out.len();
    out.extend_from_slice(value);
    escape::json_string(out, from);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::Asked;
    use super::*;

    const ARN: &[u8] = b"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/7";
    const FIELDS: &str = "User-Agent: curl/8\r\nX-A: 1\r\nx-a: 2 \"q\"\r\nCookie: a=1; b=2\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
        X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: gopher\r\nContent-Length: 0\r\n";

    fn written(kind: Kind, target: &str, write: impl Fn(&Request<'_>, &mut Vec<u8>)) -> Value {
        let asked = Asked::new(kind, "/pets/{id}", target, FIELDS);
        let mut out = Vec::new();
        write(&asked.request(), &mut out);
        serde_json::from_slice(&out).unwrap_or_else(|fault| panic!("{fault}: {}", out.escape_ascii()))
    }

    fn identity() -> Value {
        json!({"cognitoIdentityPoolId": null, "accountId": null, "cognitoIdentityId": null, "caller": null,
            "principalOrgId": null, "accessKey": null, "cognitoAuthenticationType": null,
            "cognitoAuthenticationProvider": null, "userArn": null, "user": null,
            "sourceIp": "203.0.113.9", "userAgent": "curl/8"})
    }

    #[test]
    fn a_token_alone() {
        let mut out = Vec::new();
        token(b"Bearer \"x\"\xff", b"arn", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"type\":\"TOKEN\",\"authorizationToken\":\"Bearer \\\"x\\\"\u{fffd}\",\"methodArn\":\"arn\"}"
        );
    }

    #[test]
    fn a_rest_request_whole() {
        let found = written(Kind::Rest, "/pets/7?b=1&a=x+y&b=%22", |request, out| version_1(request, ARN, None, out));
        let headers = json!({"Host": "api.example.com", "User-Agent": "curl/8", "X-A": "2 \"q\"", "Cookie": "a=1; b=2",
            "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"});
        let lists = json!({"Host": ["api.example.com"], "User-Agent": ["curl/8"], "X-A": ["1", "2 \"q\""],
            "Cookie": ["a=1; b=2"], "X-Forwarded-For": ["203.0.113.9"], "X-Forwarded-Port": ["8443"],
            "X-Forwarded-Proto": ["https"]});
        let expected = json!({
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/7",
            "resource": "/pets/{id}",
            "path": "/pets/7",
            "httpMethod": "GET",
            "headers": headers,
            "multiValueHeaders": lists,
            "queryStringParameters": {"b": "\"", "a": "x y"},
            "multiValueQueryStringParameters": {"b": ["1", "\""], "a": ["x y"]},
            "pathParameters": {"id": "7"},
            "stageVariables": {"env": "blue"},
            "requestContext": {
                "resourceId": null,
                "resourcePath": "/pets/{id}",
                "httpMethod": "GET",
                "extendedRequestId": "q83vASNFZ4mrze8=",
                "requestTime": "14/Nov/2023:22:13:20 +0000",
                "path": "/pets/7",
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": "prod",
                "domainPrefix": "api",
                "requestTimeEpoch": 1_700_000_000_123_u64,
                "requestId": "01234567-89ab-4def-8123-456789abcdef",
                "identity": identity(),
                "domainName": "api.example.com",
                "apiId": "a1b2c3",
            },
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_1_0_adds() {
        let values = [b"user1".to_vec(), b"123".to_vec()];
        let found = written(Kind::Http, "/pets/7", |request, out| version_1(request, ARN, Some(&values), out));
        assert_eq!(found["version"], "1.0");
        assert_eq!(
            (&found["identitySource"], &found["authorizationToken"]),
            (&json!("user1,123"), &json!("user1,123"))
        );
        assert_eq!(found["queryStringParameters"], json!({}));
    }

    #[test]
    fn a_request_in_2_0_whole() {
        let values = [b"user1".to_vec(), b"123".to_vec()];
        let found =
            written(Kind::Http, "/pets/7?b=1&a=x+y&b=%22", |request, out| version_2(request, ARN, &values, out));
        let expected = json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/7",
            "identitySource": ["user1", "123"],
            "routeKey": "GET /pets/{id}",
            "rawPath": "/pets/7",
            "rawQueryString": "b=1&a=x+y&b=%22",
            "cookies": ["a=1", "b=2"],
            "headers": {"host": "api.example.com", "user-agent": "curl/8", "x-a": "1,2 \"q\"",
                "x-forwarded-for": "203.0.113.9", "x-forwarded-port": "8443", "x-forwarded-proto": "https"},
            "queryStringParameters": {"b": "1,\"", "a": "x y"},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "a1b2c3",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "http": {"method": "GET", "path": "/pets/7", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9",
                    "userAgent": "curl/8"},
                "requestId": "01234567-89ab-4def-8123-456789abcdef",
                "routeKey": "GET /pets/{id}",
                "stage": "prod",
                "time": "14/Nov/2023:22:13:20 +0000",
                "timeEpoch": 1_700_000_000_123_u64,
            },
            "pathParameters": {"id": "7"},
            "stageVariables": {"env": "blue"},
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_there_is_absent_in_2_0() {
        let asked =
            Asked { variables: std::collections::BTreeMap::default(), ..Asked::new(Kind::Http, "/pets", "/pets", "") };
        let mut out = Vec::new();
        version_2(&asked.request(), ARN, &[], &mut out);
        let found: Value = serde_json::from_slice(&out).unwrap();
        for name in ["cookies", "queryStringParameters", "pathParameters", "stageVariables"] {
            assert_eq!(found.get(name), None, "{name}");
        }
        assert_eq!((&found["rawQueryString"], &found["identitySource"]), (&json!(""), &json!([])));
    }

    #[test]
    fn a_web_socket_has_no_path() {
        let found = written(Kind::WebSocket, "/pets/7?a=1", |request, out| version_1(request, ARN, None, out));
        for name in ["resource", "path", "httpMethod", "pathParameters"] {
            assert_eq!(found.get(name), None, "{name}");
        }
        let context = &found["requestContext"];
        assert_eq!((&context["routeKey"], &context["eventType"]), (&json!("$connect"), &json!("CONNECT")));
        assert_eq!(found["queryStringParameters"], json!({"a": "1"}));
    }
}
