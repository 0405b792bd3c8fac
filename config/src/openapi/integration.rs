//! `x-amazon-apigateway-integration` of an operation: who answers, in all of its forms (§4, §14.1).

use router::{Kind, Verb};

use super::Source;
use super::extensions::{Fields, is_unknown_yet, pairs};
use crate::definition::{
    ConnectionType, ContentHandling, Integration, IntegrationResponse, IntegrationType, MockAnswer, Passthrough, Retry,
    TransferMode, Word,
};
use crate::diagnostic::Place;
use crate::limits;
use crate::source::node::{Entry, Node, Value};

const WHAT: &str = "`x-amazon-apigateway-integration`";

const FIELDS: [&str; 20] = [
    "cacheKeyParameters",
    "cacheNamespace",
    "connectionId",
    "connectionType",
    "contentHandling",
    "credentials",
    "httpMethod",
    "integrationSubtype",
    "integrationTarget",
    "passthroughBehavior",
    "payloadFormatVersion",
    "requestParameters",
    "requestTemplates",
    "responseParameters",
    "responseTransferMode",
    "responses",
    "timeoutInMillis",
    "tlsConfig",
    "type",
    "uri",
];

const TYPES: [(&str, IntegrationType); 5] = [
    ("HTTP_PROXY", IntegrationType::HttpProxy),
    ("HTTP", IntegrationType::Http),
    ("MOCK", IntegrationType::Mock),
    ("AWS_PROXY", IntegrationType::AwsProxy),
    ("AWS", IntegrationType::Aws),
];

const PASSTHROUGH: [(&str, Option<Passthrough>); 3] = [
    ("WHEN_NO_MATCH", Some(Passthrough::WhenNoMatch)),
    ("WHEN_NO_TEMPLATES", Some(Passthrough::WhenNoTemplates)),
    ("NEVER", Some(Passthrough::Never)),
];

/// `PASSTHROUGH` is what the console calls none of the two.
const HANDLING: [(&str, Option<ContentHandling>); 3] = [
    ("CONVERT_TO_BINARY", Some(ContentHandling::ConvertToBinary)),
    ("CONVERT_TO_TEXT", Some(ContentHandling::ConvertToText)),
    ("PASSTHROUGH", None),
];

const CONNECTIONS: [(&str, ConnectionType); 2] =
    [("INTERNET", ConnectionType::Internet), ("VPC_LINK", ConnectionType::VpcLink)];

const TRANSFER: [(&str, TransferMode); 2] = [("BUFFERED", TransferMode::Buffered), ("STREAM", TransferMode::Stream)];

/// The integration. The node may be `{$ref: …}` to `components/x-amazon-apigateway-integrations`. `None` if there is none, or after an
/// error.
pub fn integration<'a>(node: &'a Node, kind: Kind, from: &mut Source<'a>) -> Option<Integration> {
    let node = from.resolve(node)?;
    if node.is_null() {
        return None;
    }
    let fields = Fields::open(node, WHAT, &FIELDS, from);
    let manner = manner(fields, node, from);
    let mut read = Integration {
        uri: fields.text("uri", from).filter(|uri| !uri.is_empty()),
        http_method: http_method(fields, from),
        subtype: fields.text("integrationSubtype", from),
        credentials: fields.text("credentials", from).filter(|credentials| !credentials.is_empty()),
        connection_type: fields.word("connectionType", &CONNECTIONS, from),
        connection_id: fields.text("connectionId", from),
        integration_target: fields.text("integrationTarget", from),
        timeout_ms: timeout(fields, from),
        passthrough: fields.word("passthroughBehavior", &PASSTHROUGH, from).flatten(),
        content_handling: fields.word("contentHandling", &HANDLING, from).flatten(),
        cache_namespace: fields.text("cacheNamespace", from),
        cache_key_parameters: fields.texts("cacheKeyParameters", from),
        payload_format_version: payload_format_version(fields, from),
        transfer_mode: fields.word("responseTransferMode", &TRANSFER, from),
        request_parameters: request_parameters(fields, from),
        request_templates: fields.pairs("requestTemplates", from),
        responses: responses(fields, from),
        response_parameters: response_parameters(fields, from),
        mock: mock(fields, from),
        retry: retry(fields, from),
        ..Integration::new(manner.unwrap_or(IntegrationType::Mock), node.place)
    };
    tls(fields, &mut read, from);
    read.kind = manner?;
    complete(&mut read, fields, kind, from);
    Some(read)
}

/// IN-01.
fn manner(fields: Fields<'_>, node: &Node, from: &mut Source<'_>) -> Option<IntegrationType> {
    if fields.get("type").is_some() {
        return fields.word("type", &TYPES, from);
    }
    if matches!(node.value, Value::Map(_)) {
        let listed = "`type` is `http_proxy`, `http`, `mock`, `aws_proxy` or `aws`";
        from.error(node.place, format!("{WHAT} has no `type`"), listed);
    }
    None
}

/// What AWS asks for, when it is missing (IN-02). An API imported into the wrong kind must not fail by it: what is meant is plain.
fn complete(read: &mut Integration, fields: Fields<'_>, kind: Kind, from: &mut Source<'_>) {
    let is_lambda = matches!(read.kind, IntegrationType::AwsProxy | IntegrationType::Aws);
    let needs_uri = read.kind != IntegrationType::Mock && read.subtype.is_none() && read.integration_target.is_none();
    if read.uri.is_none() && needs_uri {
        let hint = if is_lambda {
            "write the ARN: `arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function ARN}/invocations`"
        } else {
            "write where the backend is: `uri: \"https://pets.example.com/{proxy}\"`"
        };
        from.warn(*read.place, format!("{WHAT} has no `uri`"), hint);
    }
    if fields.get("httpMethod").is_none() && read.kind != IntegrationType::Mock && kind == Kind::Rest {
        let taken = if is_lambda { "POST is taken, as every call of Lambda is one" } else { "the client's is taken" };
        let hint = format!("{taken}; in a REST API AWS wants `httpMethod` of every integration but a mock");
        from.warn(*read.place, format!("{WHAT} has no `httpMethod`"), hint);
        if is_lambda {
            read.http_method = Some(Word::new("POST", *read.place));
        }
    }
    if read.connection_type == Some(ConnectionType::VpcLink) && read.connection_id.is_none() {
        from.warn(*read.place, "a VPC_LINK without `connectionId`", "name the VPC link, or a stage variable that does");
    }
}

/// The verb towards the backend, in capitals.
fn http_method(fields: Fields<'_>, from: &mut Source<'_>) -> Option<Word> {
    let written = fields.text("httpMethod", from).filter(|method| !method.is_empty())?;
    let verb = written.trim().to_uppercase();
    match &*verb {
        // Both mean the client's verb; the second is what the operation itself is called.
        "ANY" | "X-AMAZON-APIGATEWAY-ANY-METHOD" => Some(Word::new("ANY", written.place())),
        verb if verb == written.as_str() && Verb::parse(verb.as_bytes()).is_some() => Some(written),
        verb if Verb::parse(verb.as_bytes()).is_some() => Some(Word::new(verb, written.place())),
        _ if is_unknown_yet(&written) => {
            from.warn(
                written.place(),
                format!("`httpMethod` is `{written}`, which only a deployment knows"),
                "the client's verb is taken: write the verb into the document",
            );
            None
        }
        _ => {
            from.error(
                written.place(),
                format!("`httpMethod` cannot be `{written}`"),
                "it is DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, or ANY for the client's own",
            );
            None
        }
    }
}

/// IN-12. Longer than AWS's 29 seconds is allowed, as AWS allows it by quota; beyond our own bounds the nearest is taken.
fn timeout(fields: Fields<'_>, from: &mut Source<'_>) -> Option<u32> {
    let written = fields.text("timeoutInMillis", from)?;
    let least = u32::try_from(limits::TIMEOUT_MIN.as_millis()).unwrap_or(u32::MAX);
    let most = u32::try_from(limits::TIMEOUT_MAX.as_millis()).unwrap_or(u32::MAX);
    let Some(millis) = written.trim().replace('_', "").parse::<f64>().ok().filter(|millis| millis.is_finite()) else {
        if is_unknown_yet(&written) {
            from.warn(
                written.place(),
                format!("`timeoutInMillis` is `{written}`, which only a deployment knows"),
                "the default is taken: write the number into the document",
            );
        } else {
            from.error(
                written.place(),
                format!("`timeoutInMillis` cannot be `{written}`"),
                format!("it is a number of milliseconds from {least} to {most}"),
            );
        }
        return None;
    };
    let bounded = millis.clamp(f64::from(least), f64::from(most));
    if (bounded - millis).abs() > f64::EPSILON {
        from.warn(
            written.place(),
            format!("`timeoutInMillis` is {written}, and cannot be"),
            format!("{bounded} is taken: it is from {least} to {most} here, and from 50 to 29000 in AWS"),
        );
    }
    u32::try_from(bounded.round() as i64).ok()
}

/// `1.0` and `2.0`, also as numbers.
fn payload_format_version(fields: Fields<'_>, from: &mut Source<'_>) -> Option<Word> {
    let written = fields.text("payloadFormatVersion", from)?;
    let version = match written.trim() {
        "1.0" | "2.0" => return Some(written),
        "1" => "1.0",
        "2" => "2.0",
        _ => {
            from.warn(
                written.place(),
                format!("`payloadFormatVersion` is `{written}`"),
                "it is passed over: only \"1.0\" and \"2.0\" are known",
            );
            return None;
        }
    };
    Some(Word::new(version, written.place()))
}

fn tls(fields: Fields<'_>, read: &mut Integration, from: &mut Source<'_>) {
    let Some(node) = fields.get("tlsConfig") else { return };
    let fields = Fields::open(node, "`tlsConfig`", &["insecureSkipVerification", "serverNameToVerify"], from);
    read.insecure_skip_verification = fields.flag("insecureSkipVerification", from);
    read.server_name_to_verify = fields.text("serverNameToVerify", from);
}

/// MP-01, MP-03. A `remove:…` may have nothing behind it.
fn request_parameters(fields: Fields<'_>, from: &mut Source<'_>) -> Vec<(Word, Word)> {
    fields.get("requestParameters").map(|node| parameters(node, "`requestParameters`", from)).unwrap_or_default()
}

fn parameters(node: &Node, what: &str, from: &mut Source<'_>) -> Vec<(Word, Word)> {
    let mut read = pairs(node, what, from);
    for Entry { key, value } in from.entries(node, what) {
        if value.is_null() && key.text.starts_with("remove:") {
            read.push((Word::from(key), Word::new("", value.place)));
        }
    }
    read
}

/// IN-16: by selection pattern.
fn responses(fields: Fields<'_>, from: &mut Source<'_>) -> Vec<IntegrationResponse> {
    let Some(node) = fields.get("responses") else { return Vec::new() };
    let entries = from.entries(node, "`responses` of an integration");
    entries.iter().map(|Entry { key, value }| response(Word::from(key), value, from)).collect()
}

fn response(pattern: Word, node: &Node, from: &mut Source<'_>) -> IntegrationResponse {
    let known = ["contentHandling", "responseParameters", "responseTemplates", "statusCode"];
    let fields = Fields::open(node, "a response of an integration", &known, from);
    // An empty pattern is what the console shows for the default.
    let pattern = if pattern.is_empty() { Word::new("default", pattern.place()) } else { pattern };
    let status = fields.text("statusCode", from).unwrap_or_else(|| status_of(&pattern, from));
    IntegrationResponse {
        status,
        parameters: flat(fields, from),
        templates: fields.pairs("responseTemplates", from),
        content_handling: fields.word("contentHandling", &HANDLING, from).flatten(),
        pattern,
    }
}

/// The status of a response that has none: its pattern, if that is one.
fn status_of(pattern: &Word, from: &mut Source<'_>) -> Word {
    let is_status = pattern.len() == 3 && pattern.bytes().all(|byte| byte.is_ascii_digit());
    let status = if is_status { pattern.as_str() } else { "200" };
    from.warn(pattern.place(), format!("the response `{pattern}` has no `statusCode`"), format!("{status} is taken"));
    Word::new(status, pattern.place())
}

/// MP-02: target and expression.
fn flat(fields: Fields<'_>, from: &mut Source<'_>) -> Vec<(Word, Word)> {
    fields.get("responseParameters").map(|node| parameters(node, "`responseParameters`", from)).unwrap_or_default()
}

/// MP-04: by status of the backend.
fn response_parameters(fields: Fields<'_>, from: &mut Source<'_>) -> Vec<(Word, Vec<(Word, Word)>)> {
    let what = "`responseParameters` of an integration";
    let Some(node) = fields.get("responseParameters") else { return Vec::new() };
    let mut read = Vec::new();
    let mut stray: Option<Place> = None;
    for Entry { key, value } in from.entries(node, what) {
        match value.value {
            Value::Map(_) => read.push((Word::from(key), parameters(value, what, from))),
            Value::Scalar(_) if value.is_null() => {}
            Value::Scalar(_) | Value::List(_) => stray = stray.or(Some(key.place)),
        }
    }
    if let Some(place) = stray {
        from.warn(
            place,
            format!("{what} are written by status"),
            "what is not is passed over: HTTP APIs write `\"200\": {\"append:header.x\": \"y\"}`, REST APIs write them below \
             a response in `responses`",
        );
    }
    read
}

/// When a request is sent again, as exports write it. What cannot be read is an error: the upstream's rule may be a laxer one.
fn retry(fields: Fields<'_>, from: &mut Source<'_>) -> Option<Retry> {
    const WHAT: &str = "`x-tollgate-retry`";
    let node = fields.get("x-tollgate-retry")?;
    let fields = Fields::open(node, WHAT, &["attempts", "tryTimeInMillis"], from);
    let mut number = |name: &str, least: u64, most: u64| {
        let written = fields.text(name, from)?;
        let number = written.trim().parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let what = format!("`{name}` of {WHAT} cannot be `{}`", written.as_str());
            from.error(written.place(), what, format!("it is a number from {least} to {most}"));
        }
        number
    };
    let attempts = number("attempts", 1, limits::RETRY_ATTEMPTS_MAX).map(|number| number as u8);
    let [least, most] = [limits::TIMEOUT_MIN, limits::TIMEOUT_MAX].map(|time| time.as_millis() as u64);
    Some(Retry { attempts, try_time_ms: number("tryTimeInMillis", least, most).map(|number| number as u32) })
}

/// Our own native mock, as exports write it. What cannot be read is an error: the default would be another answer.
fn mock(fields: Fields<'_>, from: &mut Source<'_>) -> Option<MockAnswer> {
    const WHAT: &str = "`x-tollgate-mock`";
    let node = fields.get("x-tollgate-mock")?;
    let fields = Fields::open(node, WHAT, &["body", "headers", "status"], from);
    let status = match fields.text("status", from) {
        None => Some(200),
        Some(written) => {
            let status = written.trim().parse().ok().filter(|status| (200..=599).contains(status));
            if status.is_none() {
                let what = format!("the status of {WHAT} cannot be `{written}`");
                from.error(written.place(), what, "it is a number from 200 to 599");
            }
            status
        }
    };
    Some(MockAnswer { status: status?, headers: fields.pairs("headers", from), body: fields.text("body", from) })
}

#[cfg(test)]
mod tests {
    use super::super::extensions::tests_help::read;
    use super::*;

    fn of(kind: Kind, text: &str) -> (Option<Integration>, String) {
        read(kind, text, |node, from| integration(node, kind, from))
    }

    fn good(kind: Kind, text: &str) -> Integration {
        let (integration, said) = of(kind, text);
        assert_eq!(said, "", "{text}");
        integration.expect(text)
    }

    fn texts(pairs: &[(Word, Word)]) -> Vec<(&str, &str)> {
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn types_in_every_habit_of_writing() {
        for (text, is) in [
            ("aws_proxy", IntegrationType::AwsProxy),
            ("'AWS_PROXY'", IntegrationType::AwsProxy),
            ("aws-proxy", IntegrationType::AwsProxy),
            ("AWS", IntegrationType::Aws),
            ("Http_Proxy", IntegrationType::HttpProxy),
            ("http", IntegrationType::Http),
            ("MOCK", IntegrationType::Mock),
        ] {
            assert_eq!(good(Kind::Rest, &format!("{{type: {text}, uri: x, httpMethod: POST}}")).kind, is, "{text}");
        }
        let (none, said) = of(Kind::Rest, "{type: aws_prox, uri: x, httpMethod: POST}");
        assert_eq!(none, None);
        assert_eq!(said, "error: `type` cannot be `aws_prox`, did you mean `AWS_PROXY`?\n");
        let (none, said) = of(Kind::Rest, "{uri: x}");
        assert_eq!((none, said.as_str()), (None, "error: `x-amazon-apigateway-integration` has no `type`\n"));
        let (none, said) = of(Kind::Rest, "{type: '${type}', uri: x}");
        assert_eq!((none, said.as_str()), (None, "warning: `type` is `${type}`, which only a deployment knows\n"));
    }

    #[test]
    fn every_field_of_a_rest_api() {
        let text = r"
type: aws
uri: arn:aws:apigateway:eu-west-1:s3:path/{bucket}/{key}
httpMethod: put
credentials: arn:aws:iam::123456789012:role/r
connectionType: vpc_link
connectionId: ${stageVariables.link}
integrationTarget: arn:aws:elasticloadbalancing:x
timeoutInMillis: '5000'
passthroughBehavior: When-No-Templates
contentHandling: convert_to_binary
cacheNamespace: names
cacheKeyParameters: [method.request.path.id]
responseTransferMode: stream
tlsConfig: {insecureSkipVerification: true, serverNameToVerify: a.example}
requestParameters: {integration.request.path.key: method.request.path.id, integration.request.header.n: 5}
requestTemplates:
  application/json: |
    #set($x = 1)
    {}
  application/xml: null
  text/plain: {a: [1, true, null, 'b']}
responses:
  '2\d{2}': {statusCode: 200, responseParameters: {method.response.header.X: integration.response.header.Y}}
  default: {statusCode: '500', responseTemplates: {application/json: ''}, contentHandling: CONVERT_TO_TEXT}
";
        let read = good(Kind::Rest, text);
        assert_eq!(read.kind, IntegrationType::Aws);
        assert_eq!(read.uri.as_deref(), Some("arn:aws:apigateway:eu-west-1:s3:path/{bucket}/{key}"));
        assert_eq!(read.http_method.as_deref(), Some("PUT"));
        assert_eq!(read.credentials.as_deref(), Some("arn:aws:iam::123456789012:role/r"));
        assert_eq!(read.connection_type, Some(ConnectionType::VpcLink));
        assert_eq!(read.connection_id.as_deref(), Some("${stageVariables.link}"));
        assert_eq!(read.integration_target.as_deref(), Some("arn:aws:elasticloadbalancing:x"));
        assert_eq!(read.timeout_ms, Some(5_000));
        assert_eq!(read.passthrough, Some(Passthrough::WhenNoTemplates));
        assert_eq!(read.content_handling, Some(ContentHandling::ConvertToBinary));
        assert_eq!(read.cache_namespace.as_deref(), Some("names"));
        assert_eq!(read.cache_key_parameters, [Word::from("method.request.path.id")]);
        assert_eq!(read.transfer_mode, Some(TransferMode::Stream));
        assert_eq!(read.insecure_skip_verification, Some(true));
        assert_eq!(read.server_name_to_verify.as_deref(), Some("a.example"));
        assert_eq!(
            texts(&read.request_parameters),
            [("integration.request.path.key", "method.request.path.id"), ("integration.request.header.n", "5")]
        );
        assert_eq!(
            texts(&read.request_templates),
            [("application/json", "#set($x = 1)\n{}\n"), ("text/plain", r#"{"a":[1,true,null,"b"]}"#)]
        );
        let [first, last] = &read.responses[..] else { panic!() };
        assert_eq!((first.pattern.as_str(), first.status.as_str()), (r"2\d{2}", "200"));
        assert_eq!(texts(&first.parameters), [("method.response.header.X", "integration.response.header.Y")]);
        assert_eq!((last.pattern.as_str(), last.status.as_str()), ("default", "500"));
        assert_eq!(texts(&last.templates), [("application/json", "")]);
        assert_eq!(last.content_handling, Some(ContentHandling::ConvertToText));
    }

    #[test]
    fn every_field_of_an_http_api() {
        let text = r"
type: AWS_PROXY
integrationSubtype: SQS-SendMessage
credentials: role
payloadFormatVersion: 1.0
requestParameters: {QueueUrl: url, MessageBody: $request.body.message, 'remove:header.a': , DelaySeconds: 5}
responseParameters:
  '200': {'append:header.a': b, 'remove:header.c': ''}
  500: {'overwrite:statuscode': 403}
";
        let read = good(Kind::Http, text);
        assert_eq!(read.subtype.as_deref(), Some("SQS-SendMessage"));
        assert_eq!(read.payload_format_version.as_deref(), Some("1.0"));
        assert_eq!(read.http_method, None);
        assert_eq!(
            texts(&read.request_parameters),
            [
                ("QueueUrl", "url"),
                ("MessageBody", "$request.body.message"),
                ("DelaySeconds", "5"),
                ("remove:header.a", "")
            ]
        );
        assert_eq!(read.response_parameters[0].0, Word::from("200"));
        assert_eq!(texts(&read.response_parameters[0].1), [("append:header.a", "b"), ("remove:header.c", "")]);
        assert_eq!(texts(&read.response_parameters[1].1), [("overwrite:statuscode", "403")]);
    }

    #[test]
    fn verbs() {
        for (text, is) in [
            ("GET", Some("GET")),
            ("post", Some("POST")),
            ("any", Some("ANY")),
            ("x-amazon-apigateway-any-method", Some("ANY")),
        ] {
            let read = good(Kind::Rest, &format!("{{type: http_proxy, uri: 'http://a', httpMethod: {text}}}"));
            assert_eq!(read.http_method.as_deref(), is, "{text}");
        }
        let (_, said) = of(Kind::Rest, "{type: http_proxy, uri: 'http://a', httpMethod: FETCH}");
        assert_eq!(said, "error: `httpMethod` cannot be `FETCH`\n");
    }

    #[test]
    fn a_missing_verb_is_a_warning_in_a_rest_api_alone() {
        let (read, said) = of(Kind::Rest, "{type: aws_proxy, uri: arn}");
        assert_eq!(read.unwrap().http_method.as_deref(), Some("POST"));
        assert_eq!(said, "warning: `x-amazon-apigateway-integration` has no `httpMethod`\n");
        let (read, said) = of(Kind::Rest, "{type: http_proxy, uri: 'http://a'}");
        assert_eq!(read.unwrap().http_method, None);
        assert_eq!(said, "warning: `x-amazon-apigateway-integration` has no `httpMethod`\n");
        assert_eq!(good(Kind::Rest, "{type: mock}").http_method, None);
        assert_eq!(good(Kind::Http, "{type: aws_proxy, uri: arn}").http_method, None);
    }

    #[test]
    fn a_missing_uri_is_said() {
        for text in ["{type: http, httpMethod: GET}", "{type: aws_proxy, httpMethod: POST, uri: ''}"] {
            let (read, said) = of(Kind::Rest, text);
            assert!(read.is_some());
            assert_eq!(said, "warning: `x-amazon-apigateway-integration` has no `uri`\n");
        }
        good(Kind::Rest, "{type: http_proxy, httpMethod: GET, integrationTarget: arn}");
        let (_, said) =
            of(Kind::Rest, "{type: http_proxy, httpMethod: GET, uri: 'http://a', connectionType: VPC_LINK}");
        assert_eq!(said, "warning: a VPC_LINK without `connectionId`\n");
    }

    #[test]
    fn times() {
        let of = |text: &str| of(Kind::Rest, &format!("{{type: mock, timeoutInMillis: {text}}}"));
        for (text, is) in [("50", 50), ("29000", 29_000), ("29000.0", 29_000), ("60000", 60_000), ("3e4", 30_000)] {
            let (read, said) = of(text);
            assert_eq!((read.unwrap().timeout_ms, said), (Some(is), String::new()), "{text}");
        }
        for (text, is) in [("49", 50), ("0", 50), ("-1", 50), ("900001", 900_000), ("1e300", 900_000)] {
            let (read, said) = of(text);
            assert_eq!(read.unwrap().timeout_ms, Some(is), "{text}");
            assert!(said.starts_with("warning: `timeoutInMillis` is "), "{text}");
        }
        for text in ["soon", "NaN", "inf", "29s"] {
            let (read, said) = of(text);
            assert_eq!(read.unwrap().timeout_ms, None);
            assert_eq!(said, format!("error: `timeoutInMillis` cannot be `{text}`\n"));
        }
        assert!(of("'${timeout}'").1.starts_with("warning: "));
    }

    #[test]
    fn versions_of_payloads() {
        let of = |text: &str| of(Kind::Http, &format!("{{type: aws_proxy, uri: arn, payloadFormatVersion: {text}}}"));
        for (text, is) in [("2.0", "2.0"), ("'2.0'", "2.0"), ("2", "2.0"), ("1", "1.0"), ("\"1.0\"", "1.0")] {
            let (read, said) = of(text);
            assert_eq!((read.unwrap().payload_format_version.as_deref(), said.as_str()), (Some(is), ""), "{text}");
        }
        assert_eq!(of("3.0").1, "warning: `payloadFormatVersion` is `3.0`\n");
    }

    #[test]
    fn nothing_written_is_nothing() {
        assert_eq!(of(Kind::Rest, "null"), (None, String::new()));
        let nothing = "{type: mock, requestTemplates: null, responses: null, requestParameters: , responseTemplates: ~, \
                       credentials: null, contentHandling: null, cacheKeyParameters: []}";
        let read = good(Kind::Rest, nothing);
        assert_eq!(read, Integration::new(IntegrationType::Mock, *read.place));
        let (none, said) = of(Kind::Rest, "words");
        assert_eq!(none, None);
        assert_eq!(said, "warning: `x-amazon-apigateway-integration` must be a mapping, not a text\n");
    }

    #[test]
    fn responses_without_a_status_take_their_pattern() {
        let (read, said) = of(Kind::Rest, "{type: mock, responses: {'404': {}, default: , '': {statusCode: 201}}}");
        let read = read.unwrap();
        let all: Vec<_> = read.responses.iter().map(|one| (one.pattern.as_str(), one.status.as_str())).collect();
        assert_eq!(all, [("404", "404"), ("default", "200"), ("default", "201")]);
        assert_eq!(
            said,
            "warning: the response `404` has no `statusCode`\nwarning: the response `default` has no `statusCode`\n"
        );
    }

    #[test]
    fn response_parameters_in_the_wrong_place_are_a_warning() {
        let text = "{type: http_proxy, uri: 'http://a', responseParameters: {'append:header.a': b, '200': {'append:header.c': d}}}";
        let (read, said) = of(Kind::Http, text);
        assert_eq!(read.unwrap().response_parameters.len(), 1);
        assert_eq!(said, "warning: `responseParameters` of an integration are written by status\n");
    }

    #[test]
    fn a_native_mock() {
        let read = good(Kind::Rest, "{type: mock, x-tollgate-mock: {status: '201', headers: {a: b, c: 5}, body: 'x'}}");
        let mock = read.mock.unwrap();
        assert_eq!((mock.status, mock.body.as_deref()), (201, Some("x")));
        assert_eq!(texts(&mock.headers), [("a", "b"), ("c", "5")]);
        let read = good(Kind::Http, "{type: mock, x-tollgate-mock: {}}");
        assert_eq!(read.mock, Some(MockAnswer { status: 200, headers: Vec::new(), body: None }));
        for status in ["199", "600", "ok"] {
            let (read, said) = of(Kind::Rest, &format!("{{type: mock, x-tollgate-mock: {{status: {status}}}}}"));
            assert_eq!(read.unwrap().mock, None);
            assert_eq!(said, format!("error: the status of `x-tollgate-mock` cannot be `{status}`\n"));
        }
    }

    #[test]
    fn what_is_sent_again_is_read_or_refused() {
        let http = "type: http_proxy, httpMethod: GET, uri: 'http://a/', x-tollgate-retry:";
        let read = good(Kind::Rest, &format!("{{{http} {{attempts: 1, tryTimeInMillis: '500'}}}}"));
        assert_eq!(read.retry, Some(Retry { attempts: Some(1), try_time_ms: Some(500) }));
        for (written, name) in [("attempts: 6", "attempts"), ("tryTimeInMillis: 1", "tryTimeInMillis")] {
            let (_, said) = of(Kind::Rest, &format!("{{{http} {{{written}}}}}"));
            assert!(said.starts_with(&format!("error: `{name}` of `x-tollgate-retry` cannot be")), "{said}");
        }
    }

    #[test]
    fn the_schema_for_editors_has_the_same_fields() {
        let schema = crate::schema::extensions();
        let properties = schema["$defs"]["integration"]["properties"].as_object().unwrap();
        let mut offered: Vec<&str> =
            properties.keys().map(String::as_str).filter(|name| !name.starts_with(['$', 'x'])).collect();
        offered.sort_unstable();
        assert_eq!(offered, FIELDS);
    }

    #[test]
    fn slips_are_warned_of() {
        let text =
            "{type: mock, http_method: GET, passthroughBehaviour: never, requestTemplate: {}, note: x, x-more: y}";
        let (_, said) = of(Kind::Rest, text);
        assert_eq!(said.lines().count(), 3, "{said}");
        for near in ["`httpMethod`?", "`passthroughBehavior`?", "`requestTemplates`?"] {
            assert!(said.contains(near), "{said}");
        }
    }
}
