//! Documents and what they say; and that the slow twin says the same.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use super::*;

const RESOURCE: Form = Form::Resource;
const GET: &[u8] = b"arn:aws:execute-api:eu-west-1:123456789012:pets/prod/GET/pets/7";

fn request() -> Request<'static> {
    Request {
        action: Action::Invoke,
        resource: GET,
        time_epoch_ms: 1_500_000_000_000,
        source_ip: Some([192, 0, 2, 7].into()),
        tls: true,
        referer: None,
        user_agent: Some(b"curl/8"),
        who: None,
    }
}

fn rex() -> Who<'static> {
    Who {
        arn: "arn:aws:iam::123456789012:user/rex",
        principal_arn: "arn:aws:iam::123456789012:user/rex",
        account: "123456789012",
        kind: "User",
        user_id: "AIDAREX",
        user_name: Some("rex"),
        tags: &[],
    }
}

fn policy(json: &Json, form: Form) -> Policy {
    Policy::parse(json.to_string().as_bytes(), form).unwrap_or_else(|fault| panic!("{fault}: {json}"))
}

/// What a policy with this one statement says, and the slow twin with it.
fn says(statement: &Json, form: Form, request: &Request<'_>) -> Decision {
    let document = json!({"Version": "2012-10-17", "Statement": statement});
    let decision = policy(&document, form).decide(request);
    assert_eq!(decision, slow::decide(&document, form, request), "{document}");
    decision
}

fn allow(resource: &Json) -> Json {
    json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource})
}

#[test]
fn actions_and_resources() {
    use Decision::{Allow, ImplicitDeny};
    for (action, decision) in [
        (json!("execute-api:Invoke"), Allow),
        (json!("EXECUTE-API:invoke"), Allow),
        (json!("execute-api:I*"), Allow),
        (json!("execute-api:?nvoke"), Allow),
        (json!("execute-api:InvalidateCache"), ImplicitDeny),
        (json!(["s3:GetObject", "execute-api:*"]), Allow),
        (json!("*"), Allow),
        (json!("s3:*"), ImplicitDeny),
    ] {
        let mut statement = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
        assert_eq!(says(&statement, Form::Identity, &request()), decision, "{statement}");
        statement["NotAction"] = statement.as_object_mut().unwrap().remove("Action").unwrap();
        let other = if decision == Allow { ImplicitDeny } else { Allow };
        assert_eq!(says(&statement, Form::Identity, &request()), other, "{statement}");
    }
    for (resource, decision) in [
        (json!("*"), Allow),
        (json!("arn:aws:execute-api:*:*:*"), Allow),
        (json!("arn:aws:execute-api:*"), Allow),
        (json!("arn:aws:execute-api"), Allow),
        (json!("arn:aws:execute-api:eu-west-1:123456789012:pets/*/GET/*"), Allow),
        (json!("arn:aws:execute-api:eu-west-1:123456789012:pets/prod/GET/pets/?"), Allow),
        (json!("arn:aws:execute-api:eu-west-1:123456789012:pets/prod/GET/pets"), ImplicitDeny),
        (json!("arn:aws:execute-api:eu-west-1:123456789012:PETS/*"), ImplicitDeny),
        (json!("arn:aws:execute-api:eu-west-1:123456789012:pets/prod/POST/*"), ImplicitDeny),
        (json!(["arn:aws:s3:::x", "arn:aws:execute-api:*:*:pets/*"]), Allow),
    ] {
        let mut statement = allow(&resource);
        assert_eq!(says(&statement, Form::Identity, &request()), decision, "{statement}");
        statement["NotResource"] = statement.as_object_mut().unwrap().remove("Resource").unwrap();
        let other = if decision == Allow { ImplicitDeny } else { Allow };
        assert_eq!(says(&statement, Form::Identity, &request()), other, "{statement}");
    }
}

#[test]
fn the_short_form_means_this_api() {
    for (resource, decision) in [
        ("execute-api:/*", Decision::Allow),
        ("execute-api:/prod/*", Decision::Allow),
        ("execute-api:/*/GET/pets/*", Decision::Allow),
        ("execute-api:/dev/*", Decision::ImplicitDeny),
    ] {
        let mut statement = allow(&json!(resource));
        statement["Principal"] = json!("*");
        assert_eq!(says(&statement, RESOURCE, &request()), decision, "{resource}");
    }
    // It begins at the stage: a path that looks like one is none.
    let other = Request { resource: b"arn:aws:execute-api:eu-west-1:123456789012:pets/dev/GET/prod/x", ..request() };
    let mut statement = allow(&json!("execute-api:/prod/*"));
    statement["Principal"] = json!("*");
    assert_eq!(says(&statement, RESOURCE, &other), Decision::ImplicitDeny);
}

#[test]
fn principals() {
    let session = Who {
        arn: "arn:aws:sts::123456789012:assumed-role/keeper/rex",
        principal_arn: "arn:aws:iam::123456789012:role/keeper",
        kind: "AssumedRole",
        user_name: None,
        ..rex()
    };
    // (principal, anonymous, user, session)
    for (principal, anonymous, user, of_role) in [
        (json!("*"), true, true, true),
        (json!({"AWS": "*"}), true, true, true),
        (json!({"AWS": "123456789012"}), false, true, true),
        (json!({"AWS": "arn:aws:iam::123456789012:root"}), false, true, true),
        (json!({"AWS": "210987654321"}), false, false, false),
        (json!({"AWS": ["210987654321", "arn:aws:iam::123456789012:user/rex"]}), false, true, false),
        (json!({"AWS": "arn:aws:iam::123456789012:user/tom"}), false, false, false),
        (json!({"AWS": "arn:aws:iam::123456789012:role/keeper"}), false, false, true),
        (json!({"AWS": "arn:aws:sts::123456789012:assumed-role/keeper/rex"}), false, false, true),
        (json!({"Service": "apigateway.amazonaws.com"}), false, false, false),
        (json!({"Service": "x", "AWS": "*"}), true, true, true),
    ] {
        let mut statement = allow(&json!("*"));
        statement["Principal"] = principal;
        for (who, means) in [(None, anonymous), (Some(rex()), user), (Some(session), of_role)] {
            let request = Request { who, ..request() };
            let decision = if means { Decision::Allow } else { Decision::ImplicitDeny };
            assert_eq!(says(&statement, RESOURCE, &request), decision, "{statement} {who:?}");
            let mut negated = statement.clone();
            negated["NotPrincipal"] = negated.as_object_mut().unwrap().remove("Principal").unwrap();
            assert_eq!(says(&negated, RESOURCE, &request) == Decision::Allow, !means, "{negated} {who:?}");
        }
    }
}

/// Whether a condition holds, of a request that rex signed.
fn holds(operator: &str, key: &str, values: &Json) -> bool {
    let tags = [("Team".into(), "cats".into()), ("Age".into(), "7.5".into())];
    let who = Who { tags: &tags, ..rex() };
    let mut statement = allow(&json!("*"));
    statement["Condition"] = json!({operator: {key: values}});
    says(&statement, Form::Identity, &Request { who: Some(who), ..request() }) == Decision::Allow
}

#[test]
fn conditions_about_texts() {
    for (operator, key, values, expected) in [
        ("StringEquals", "aws:username", json!("rex"), true),
        ("StringEquals", "aws:username", json!("Rex"), false),
        ("StringEquals", "AWS:USERNAME", json!(["tom", "rex"]), true),
        ("StringEquals", "aws:username", json!("r*"), false),
        ("StringEquals", "aws:userid", json!("AIDAREX"), true),
        ("StringEquals", "aws:PrincipalType", json!("User"), true),
        ("StringEquals", "aws:PrincipalAccount", json!(123_456_789_012_u64), true),
        ("StringEquals", "aws:PrincipalTag/team", json!("cats"), true),
        ("StringEquals", "aws:SecureTransport", json!(true), true),
        ("StringEquals", "aws:SourceIp", json!("192.0.2.7"), true),
        ("StringNotEquals", "aws:username", json!("tom"), true),
        ("StringNotEquals", "aws:username", json!(["tom", "rex"]), false),
        ("StringEqualsIgnoreCase", "aws:username", json!("REX"), true),
        ("StringNotEqualsIgnoreCase", "aws:username", json!("REX"), false),
        ("StringLike", "aws:username", json!("r?x"), true),
        ("StringLike", "aws:UserAgent", json!(["wget*", "curl/*"]), true),
        ("StringLike", "aws:CurrentTime", json!("2017-07-14T*"), true),
        ("StringNotLike", "aws:UserAgent", json!("curl/*"), false),
        ("StringLike", "aws:PrincipalArn", json!("arn:aws:iam::*:user/${aws:username}"), true),
        ("ArnEquals", "aws:PrincipalArn", json!("arn:aws:iam::*:user/*"), true),
        ("ArnLike", "aws:PrincipalArn", json!("arn:aws:iam::*:user/r*"), true),
        ("ArnLike", "aws:PrincipalArn", json!("arn:*:user/rex"), false),
        ("ArnLike", "aws:PrincipalArn", json!("*"), true),
        ("ArnNotLike", "aws:PrincipalArn", json!("arn:aws:iam::*:user/r*"), false),
        ("ArnNotEquals", "aws:PrincipalArn", json!("arn:aws:iam::*:role/*"), true),
        ("ArnLike", "aws:username", json!("*"), false), // no ARN
    ] {
        assert_eq!(holds(operator, key, &values), expected, "{operator} {key} {values}");
    }
}

#[test]
fn conditions_about_addresses_times_and_numbers() {
    for (operator, key, values, expected) in [
        ("IpAddress", "aws:SourceIp", json!("192.0.2.0/24"), true),
        ("IpAddress", "aws:SourceIp", json!("192.0.2.9/24"), true),
        ("IpAddress", "aws:SourceIp", json!("192.0.2.7"), true),
        ("IpAddress", "aws:SourceIp", json!(["2001:db8::/32", "198.51.100.0/24"]), false),
        ("IpAddress", "aws:SourceIp", json!("::/0"), false),
        ("NotIpAddress", "aws:SourceIp", json!(["2001:db8::/32", "192.0.2.0/24"]), false),
        ("NotIpAddress", "aws:SourceIp", json!("198.51.100.0/24"), true),
        ("DateGreaterThan", "aws:CurrentTime", json!("2017-07-14T02:39:59Z"), true),
        ("DateGreaterThan", "aws:CurrentTime", json!("2017-07-14T02:40:00Z"), false),
        ("DateGreaterThanEquals", "aws:CurrentTime", json!("2017-07-14T02:40:00Z"), true),
        ("DateLessThan", "aws:CurrentTime", json!("2020-01-01"), true),
        ("DateLessThanEquals", "aws:EpochTime", json!(1_500_000_000), true),
        ("DateEquals", "aws:EpochTime", json!("2017-07-14T02:40:00Z"), true),
        ("DateNotEquals", "aws:CurrentTime", json!("2017-07-14T02:40:00Z"), false),
        ("NumericLessThan", "aws:EpochTime", json!("1500000000.5"), true),
        ("NumericGreaterThan", "aws:PrincipalTag/Age", json!(7), true),
        ("NumericLessThanEquals", "aws:PrincipalTag/Age", json!(7.5), true),
        ("NumericEquals", "aws:PrincipalTag/Age", json!("7.50"), true),
        ("NumericNotEquals", "aws:PrincipalTag/Age", json!("7.50"), false),
        ("NumericEquals", "aws:PrincipalTag/Team", json!(1), false),
        ("Bool", "aws:SecureTransport", json!("true"), true),
        ("Bool", "aws:SecureTransport", json!("TRUE"), true),
        ("Bool", "aws:SecureTransport", json!(false), false),
        ("Bool", "aws:SecureTransport", json!(["true", "false"]), true),
    ] {
        assert_eq!(holds(operator, key, &values), expected, "{operator} {key} {values}");
    }
}

#[test]
fn conditions_about_what_is_not_there() {
    for (operator, key, values, expected) in [
        ("StringEquals", "aws:Referer", json!("x"), false),
        ("StringNotEquals", "aws:Referer", json!("x"), true),
        ("StringLike", "aws:SourceVpce", json!("*"), false),
        ("StringNotEquals", "aws:SourceVpc", json!("vpc-1"), true),
        ("StringEqualsIfExists", "aws:Referer", json!("x"), true),
        ("StringEqualsIfExists", "aws:username", json!("x"), false),
        ("StringNotEqualsIfExists", "aws:Referer", json!("x"), true),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", json!("false"), true),
        ("Bool", "aws:MultiFactorAuthPresent", json!("false"), false),
        ("IpAddress", "aws:VpcSourceIp", json!("0.0.0.0/0"), false),
        ("NotIpAddress", "aws:VpcSourceIp", json!("0.0.0.0/0"), true),
        ("ForAllValues:StringEquals", "aws:PrincipalOrgPaths", json!("x"), true),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", json!("*"), false),
        ("ForAnyValue:StringNotLike", "aws:PrincipalOrgPaths", json!("x"), false),
        ("ForAnyValue:StringLikeIfExists", "aws:PrincipalOrgPaths", json!("x"), true),
        ("ForAnyValue:StringLike", "aws:username", json!(["x", "r*"]), true),
        ("ForAllValues:StringLike", "aws:username", json!("x"), false),
        ("ForAllValues:StringNotLike", "aws:username", json!(["x", "rex"]), false),
        ("Null", "aws:Referer", json!("true"), true),
        ("Null", "aws:Referer", json!(false), false),
        ("Null", "aws:username", json!("true"), false),
        ("Null", "aws:username", json!("false"), true),
        ("StringEquals", "aws:username", json!("${aws:Referer}"), false),
        ("StringEquals", "aws:username", json!("${aws:Referer, 'rex'}"), true),
    ] {
        assert_eq!(holds(operator, key, &values), expected, "{operator} {key} {values}");
    }
}

#[test]
fn one_that_denies_decides_and_its_number_is_told() {
    let document = json!({"Version": "2012-10-17", "Id": "x", "Statement": [
        {"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}},
    ]});
    let policy = policy(&document, Form::Identity);
    assert_eq!(policy.judge(&request()), (Decision::Allow, Some(0)));
    let far = Request { source_ip: Some([198, 51, 100, 1].into()), ..request() };
    assert_eq!(policy.judge(&far), (Decision::ExplicitDeny, Some(2)));
    let unix = Request { source_ip: None, ..request() };
    assert_eq!(policy.judge(&unix), (Decision::ExplicitDeny, Some(2)), "who has no address is not in the range");
    assert!(policy.reads(&Key::SourceIp) && !policy.reads(&Key::SourceVpc));
    assert_eq!(Policy::default().judge(&request()), (Decision::ImplicitDeny, None));
    assert_eq!(Policy::nobody().decide(&Request { action: Action::ManageConnections, ..far }), Decision::ExplicitDeny);
}

#[test]
fn tables_of_two_policies() {
    use Decision::{Allow, ExplicitDeny, ImplicitDeny};
    for (one, other, same, cross) in [
        (Allow, Allow, Allow, Allow),
        (Allow, ImplicitDeny, Allow, ImplicitDeny),
        (Allow, ExplicitDeny, ExplicitDeny, ExplicitDeny),
        (ImplicitDeny, Allow, Allow, ImplicitDeny),
        (ImplicitDeny, ImplicitDeny, ImplicitDeny, ImplicitDeny),
        (ImplicitDeny, ExplicitDeny, ExplicitDeny, ExplicitDeny),
        (ExplicitDeny, Allow, ExplicitDeny, ExplicitDeny),
        (ExplicitDeny, ImplicitDeny, ExplicitDeny, ExplicitDeny),
        (ExplicitDeny, ExplicitDeny, ExplicitDeny, ExplicitDeny),
    ] {
        assert_eq!((one.or(other), one.and(other)), (same, cross), "{one:?} {other:?}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let whole = |more: &str| format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*"{more}}}"#);
    let statement = |text: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{text}]}}"#);
    let condition = |text: &str| statement(&whole(&format!(r#","Condition":{text}"#)));
    for (document, says) in [
        (String::new(), "this is no JSON"),
        ("[]".to_owned(), "this is a list, not an object"),
        ("{}".to_owned(), "a policy has a `Statement`"),
        (r#"{"Version":"2012-10-18","Statement":[]}"#.to_owned(), "Version: the versions are"),
        (
            r#"{"statement":[]}"#.to_owned(),
            "statement: `statement` is no element of a policy here: it is written `Statement`",
        ),
        (r#"{"Statement":[],"Statement":[]}"#.to_owned(), "`Statement` stands there twice"),
        (statement("5"), "Statement[0]: this is a number or a flag, not an object"),
        (statement(r#"{"Action":"*","Resource":"*"}"#), "Statement[0].Effect: a statement has the effect"),
        (statement(r#"{"Effect":"allow","Action":"*","Resource":"*"}"#), "Statement[0].Effect"),
        (
            statement(r#"{"Effect":"Allow","Resource":"*"}"#),
            "Statement[0]: a statement has a `Action` or a `NotAction`",
        ),
        (statement(r#"{"Effect":"Allow","Action":"Invoke","Resource":"*"}"#), "`Invoke` is no action"),
        (statement(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#), "the list is empty"),
        (statement(r#"{"Effect":"Allow","Action":"*","Resource":"pets"}"#), "`pets` is no ARN and not `*`"),
        (
            statement(r#"{"Effect":"Allow","Action":"*","Resource":"execute-api:/*"}"#),
            "`execute-api:/*` is no ARN and not `*`",
        ),
        (statement(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${x"}"#), "has a `${` without its `}`"),
        (statement(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${x}"}"#), "has a variable that is no known key"),
        (statement(&whole(r#","NotAction":"*""#)), "`Action` and `NotAction` exclude each other"),
        (statement(&whole(r#","Principal":"*""#)), "Statement[0].Principal: a policy of a principal's own"),
        (statement(&whole(r#","Max":1"#)), "Statement[0].Max: `Max` is no element"),
        (condition("[]"), "Statement[0].Condition: this is a list, not an object"),
        (condition(r#"{"BinaryEquals":{"aws:username":"x"}}"#), "`BinaryEquals` is no known operator"),
        (condition(r#"{"NullIfExists":{"aws:username":"true"}}"#), "`NullIfExists` is no known operator"),
        (condition(r#"{"ForSomeValue:Bool":{"aws:username":"true"}}"#), "is no known operator"),
        (condition(r#"{"StringEquals":{}}"#), "no key stands here"),
        (
            condition(r#"{"StringEquals":{"aws:RequestedRegion":"x"}}"#),
            "`aws:RequestedRegion` is no key that is known here",
        ),
        (condition(r#"{"StringEquals":{"aws:username":[]}}"#), "the list is empty"),
        (
            condition(r#"{"StringEquals":{"aws:username":"a"},"StringEquals":{"aws:username":"b"}}"#),
            "stands there twice",
        ),
        (condition(r#"{"IpAddress":{"aws:username":"10.0.0.0/8"}}"#), "this operator cannot look at this key"),
        (condition(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#), "`10.0.0.0/33` is no range of addresses"),
        (condition(r#"{"DateLessThan":{"aws:CurrentTime":"soon"}}"#), "`soon` is no date"),
        (condition(r#"{"NumericLessThan":{"aws:EpochTime":"1e9"}}"#), "`1e9` is no decimal number"),
        (condition(r#"{"Bool":{"aws:SecureTransport":"yes"}}"#), "`yes` is no flag"),
        (condition(r#"{"ArnLike":{"aws:PrincipalArn":"rex"}}"#), "`rex` is no ARN"),
    ] {
        let fault = Policy::parse(document.as_bytes(), Form::Identity).expect_err(&document).to_string();
        assert!(fault.contains(says), "{document}\n{fault}\n{says}");
    }
    for (principal, says) in [
        (r#""rex""#, "a principal is `*` or an object"),
        ("{}", "a principal is `*` or an object"),
        (r#"{"AWS":"rex"}"#, "`rex` is no account"),
        (r#"{"AWS":"arn:aws:iam::123456789012:user/*"}"#, "is no account"),
        (r#"{"Aws":"*"}"#, "the kinds are AWS"),
        ("null", "a statement has a `Principal` or a `NotPrincipal`"),
    ] {
        let document = statement(&whole(&format!(r#","Principal":{principal}"#)));
        let fault = Policy::parse(document.as_bytes(), RESOURCE).expect_err(&document).to_string();
        assert!(fault.contains(says), "{document}\n{fault}");
    }
}

#[test]
fn documents_have_maxima() {
    use crate::limits::{POLICY_BYTES_MAX, POLICY_PATTERN_BYTES_MAX, POLICY_STATEMENTS_MAX};
    let parse =
        |json: &Json| Policy::parse(json.to_string().as_bytes(), Form::Identity).map_err(|fault| fault.to_string());
    let many = |count| json!({"Statement": vec![allow(&json!("*")); count]});
    assert!(parse(&many(POLICY_STATEMENTS_MAX)).is_ok());
    assert!(parse(&many(POLICY_STATEMENTS_MAX + 1)).unwrap_err().contains("at most 1000 statements"));
    let long = |length: usize| json!({"Statement": allow(&json!("arn:".to_owned() + &"x".repeat(length - 4)))});
    assert!(parse(&long(POLICY_PATTERN_BYTES_MAX)).is_ok());
    assert!(parse(&long(POLICY_PATTERN_BYTES_MAX + 1)).unwrap_err().contains("at most 2048 bytes"));
    let large = vec![b' '; POLICY_BYTES_MAX + 1];
    assert!(Policy::parse(&large, Form::Identity).unwrap_err().what.contains("at most 262144 bytes"));
    let deep = "[".repeat(100_000);
    assert!(Policy::parse(deep.as_bytes(), Form::Identity).is_err());
}

#[test]
fn old_documents_have_no_variables_and_nothing_is_null() {
    let document = br#"{"Id":null,"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:x:::${a","Principal":null,"Condition":null}}"#;
    let policy = Policy::parse(document, Form::Identity).unwrap();
    assert_eq!(policy.decide(&Request { resource: b"arn:aws:x:::${a", ..request() }), Decision::Allow);
}

#[test]
fn a_policy_can_be_kept() {
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": {"AWS": "123456789012"}, "NotAction": "s3:*",
        "Resource": "execute-api:/${aws:username}/*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "NumericLessThan": {"aws:EpochTime": 5}}}});
    let policy = policy(&document, RESOURCE);
    let kept = serde_json::to_vec(&policy).unwrap();
    assert_eq!(serde_json::from_slice::<Policy>(&kept).unwrap(), policy);
}

/// Parts of documents that meet each other often.
fn statements() -> impl Strategy<Value = Json> {
    let resource = prop::collection::vec(
        select(vec!["*", "?", "a", "b", ":", "/", "${aws:username}", "${aws:Referer, 'a'}"]),
        0..6,
    );
    let conditions = prop::collection::vec(
        (0..OPERATORS.len(), any::<bool>(), 0..3_u8, prop::collection::vec(0..4_usize, 1..3)),
        0..3,
    );
    (any::<[bool; 4]>(), resource, conditions, 0..4_usize).prop_map(
        |([deny, not_action, not_resource, not_principal], resource, conditions, principal)| {
            let either = |not: bool, name: &str| if not { format!("Not{name}") } else { name.to_owned() };
            let mut statement = json!({"Effect": if deny { "Deny" } else { "Allow" }});
            statement[either(not_action, "Action")] = json!(if not_action { "s3:*" } else { "execute-api:*" });
            statement[either(not_resource, "Resource")] =
                json!(format!("{}{}", if not_principal { "execute-api:/" } else { "arn:" }, resource.concat()));
            let names =
                [json!("*"), json!({"AWS": "123456789012"}), json!({"AWS": "210987654321"}), json!({"Service": "x"})];
            statement[either(not_principal, "Principal")] = names[principal].clone();
            for (operator, exists, set, values) in conditions {
                let (name, key, choices) = OPERATORS[operator];
                let name = match set {
                    0 => name.to_owned(),
                    1 => format!("ForAnyValue:{name}"),
                    _ => format!("ForAllValues:{name}"),
                };
                let name = if exists { name + "IfExists" } else { name };
                let values: Vec<&str> = values.iter().map(|place| choices[*place]).collect();
                statement["Condition"][name] = json!({key: values});
            }
            statement
        },
    )
}

const OPERATORS: [(&str, &str, [&str; 4]); 10] = [
    ("StringEquals", "aws:username", ["a", "b", "A", "*"]),
    ("StringNotEqualsIgnoreCase", "aws:username", ["a", "B", "A", "ab"]),
    ("StringLike", "aws:Referer", ["a*", "*b", "?", "${aws:username}"]),
    ("StringNotLike", "aws:Referer", ["a*", "*b", "?", ""]),
    ("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "10.0.0.1", "::/0", "0.0.0.0/1"]),
    ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32", "11.0.0.0/8"]),
    ("DateLessThan", "aws:CurrentTime", ["1970-01-01T00:00:01Z", "2", "3", "1970-01-01"]),
    ("NumericGreaterThanEquals", "aws:EpochTime", ["1", "1.5", "2", "-1"]),
    ("Bool", "aws:SecureTransport", ["true", "false", "True", "FALSE"]),
    (
        "ArnLike",
        "aws:PrincipalArn",
        ["arn:aws:iam::*:user/a", "arn:*", "*", "arn:aws:iam::123456789012:user/${aws:username}"],
    ),
];

proptest! {
    #[test]
    fn the_slow_twin_says_the_same(
        list in prop::collection::vec(statements(), 1..4),
        resource in "arn:[ab:/]{0,8}",
        (name, referer) in (prop::option::of("[abA]{1,2}"), prop::option::of("[ab]{0,2}")),
        ip in select(vec![Some("10.0.0.1"), Some("10.200.0.1"), Some("2001:db8::1"), Some("::ffff:10.0.0.1"), None]),
        (tls, millis) in (any::<bool>(), 0..4_000_u64),
    ) {
        let arn = format!("arn:aws:iam::123456789012:user/{}", name.as_deref().unwrap_or_default());
        let who = name.as_deref().map(|name| Who { arn: &arn, principal_arn: &arn, user_name: Some(name), ..rex() });
        let request = Request {
            resource: resource.as_bytes(),
            source_ip: ip.map(|ip| ip.parse().expect("an address")),
            tls,
            time_epoch_ms: millis,
            referer: referer.as_deref().map(str::as_bytes),
            who,
            ..request()
        };
        let document = json!({"Version": "2012-10-17", "Statement": list});
        let policy = policy(&document, RESOURCE);
        prop_assert_eq!(policy.decide(&request), slow::decide(&document, RESOURCE, &request), "{}", document);
    }
}
