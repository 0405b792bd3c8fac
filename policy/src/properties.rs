//! What must hold for any bytes: called by the fuzz targets, and by the tests that replay their corpus with stable Rust.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use codec::head::{HeadLimits, RequestHead};
use codec::http1::parse::{Progress, parse_request};

use crate::authorize::jwk::KeySet;
use crate::authorize::jws::{Algorithm, Algorithms, Jws};
use crate::authorize::jwt::{Issuer, Rules};
use crate::cors::{Asked, Cors, Spec, asked_names};
use crate::firewall::{self, Group, Managed, Test, Then, When};
use crate::hops::{By, Hops, Said};
use crate::iam;
use crate::networks::{Network, Networks};
use crate::rules::Line;

/// Whatever field lines a client sends, the hop that adds its own behind them is the one that is believed; and what is believed has
/// its form, so that it can be written anywhere.
pub fn hops(lines: &[u8]) {
    let trusted = Network::new(Ipv4Addr::new(10, 0, 0, 0).into(), 8).expect("eight bits");
    let client = IpAddr::from([203, 0, 113, 9]);
    for by in [By::XForwardedFor, By::Forwarded] {
        let hops = Hops { from: Networks::new([trusted], true), by, proto: true, host: true, port: true };
        with_head(lines, &[], |head, bytes| has_its_form(&hops.ask(&head.fields, bytes)));
        let added: &[&[u8]] = match by {
            By::XForwardedFor => &[b"X-Forwarded-For: 203.0.113.9\r\n", b"X-Forwarded-For: 203.0.113.9, 10.1.2.3\r\n"],
            By::Forwarded => {
                &[b"Forwarded: for=203.0.113.9;host=h\r\n", b"Forwarded: for=203.0.113.9;host=h, for=10.1.2.3\r\n"]
            }
        };
        for added in added {
            with_head(lines, added, |head, bytes| {
                let said = hops.ask(&head.fields, bytes);
                assert_eq!(said.client, Some(client), "{}", bytes.escape_ascii());
                assert!(by == By::XForwardedFor || said.host == Some(b"h"), "{}", bytes.escape_ascii());
                has_its_form(&said);
            });
        }
    }
}

/// Whatever a request is made of (path, query and body, with a NUL between them), a signature of it is good for it and for no other
/// body; and what is no signature is refused in peace.
pub fn sigv4(bytes: &[u8]) {
    use crate::authorize::sigv4::{Asked, Scope, Work, Wrong, hash, read, signing_key, verify};
    let scope = Scope { region: "r", service: "execute-api" };
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (path, query, body, value) = (next(), next(), next(), next());
    let mut work = Work::default();
    let start = "AWS4-HMAC-SHA256 Credential=K/20150830/r/execute-api/aws4_request, SignedHeaders=a;host;x-amz-date, Signature=";
    let check = |authorization: &[u8], body: &[u8], work: &mut Work| {
        let fields: [(&[u8], &[u8]); 4] =
            [(b"Host", b"h"), (b"A", value), (b"X-Amz-Date", b"20150830T123600Z"), (b"Authorization", authorization)];
        let asked = Asked { method: b"GET", path, query, fields: fields.into_iter() };
        read(&asked, scope, 1_440_938_160_000, work)?;
        verify(&asked, &signing_key(b"secret", &work.day(), scope), &hash(body), work)
    };
    check(value, body, &mut work).expect_err("nobody has signed it");
    let zeros = [start.as_bytes(), &[b'0'; 64]].concat();
    assert_eq!(check(&zeros, body, &mut work), Err(Wrong::Differs), "{}", bytes.escape_ascii());
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let day = "20150830T123600Z\n20150830/r/execute-api/aws4_request";
    let text = format!("AWS4-HMAC-SHA256\n{day}\n{}", hex(&hash(work.canonical())));
    let key = signing_key(b"secret", b"20150830", scope);
    let signed = [start, &hex(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref())].concat();
    assert_eq!(check(signed.as_bytes(), body, &mut work), Ok(()), "{}", bytes.escape_ascii());
    let other = [body, b"x"].concat();
    assert_eq!(check(signed.as_bytes(), &other, &mut work), Err(Wrong::Differs), "{}", bytes.escape_ascii());
    let fields: [(&[u8], &[u8]); 1] = [(b"Host", value)];
    let asked = Asked { method: b"GET", path, query, fields: fields.into_iter() };
    let _ = read(&asked, scope, 1_440_938_160_000, &mut work);
}

/// Whatever a client shows as its name and password, taking it apart ends, and what is taken of it has its form; and a file of users is
/// read to its end, each line once.
pub fn basic(bytes: &[u8]) {
    use crate::authorize::basic::hash::Hash;
    use crate::authorize::basic::{Shown, find, htpasswd, split};
    let is_shown = |shown: Shown<'_>| {
        assert!(!shown.name.is_empty() && !shown.name.contains(':'), "{}", bytes.escape_ascii());
        assert!(htpasswd::is_name(shown.name) || shown.name.len() > crate::limits::USER_NAME_BYTES_MAX);
    };
    split(bytes).into_iter().for_each(is_shown);
    with_head(bytes, &[], |head, bytes| {
        let mut out = Vec::new();
        let is_there = find(&as_told(head, bytes, &BTreeMap::new()).facts, &mut out);
        assert_eq!(is_there, !out.is_empty());
        assert!(out.len() <= crate::limits::BASIC_BYTES_MAX);
        split(&out).into_iter().for_each(is_shown);
    });
    let mut last = 0;
    htpasswd::read(bytes, |line, row| {
        assert!(line > last, "lines come in order");
        last = line;
        if let Ok((name, hash)) = row {
            assert!(htpasswd::is_name(name));
            let written = str::from_utf8(hash.as_bytes()).expect("a hash is text");
            assert_eq!(Hash::parse(written), Ok(hash.clone()));
        }
    });
    let _ = str::from_utf8(bytes).map(Hash::parse);
}

/// Whatever an authorizer answers, reading it ends, and what is taken of it has its form; and whatever field lines a client sends, what
/// authorizers are told of them is JSON.
pub fn authorizer_answer(bytes: &[u8]) {
    use crate::authorize::lambda::Answer;
    use crate::limits::{AUTHORIZER_ANSWER_BYTES_MAX, AUTHORIZER_CONTEXT_MAX};
    with_head(bytes, &[], |head, bytes| events_are_json(&as_told(head, bytes, &BTreeMap::new())));
    with_head(b"", &[], |head, head_bytes| {
        let variables = BTreeMap::new();
        let request = as_told(head, head_bytes, &variables);
        let mut arn = Vec::new();
        assert!(request.write_arn(&mut arn));
        for (simple, nests) in [(false, false), (false, true), (true, true)] {
            let Ok(answer) = Answer::read(bytes, simple, nests) else { continue };
            assert!(
                bytes.len() <= AUTHORIZER_ANSWER_BYTES_MAX
                    && serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
            );
            assert!(nests || Answer::read(bytes, simple, true).is_ok(), "{}", bytes.escape_ascii());
            if let Ok(identity) = answer.decide(&request, &arn) {
                assert!(identity.fields.len() <= AUTHORIZER_CONTEXT_MAX + 1);
                assert!(simple || !identity.principal.is_empty());
                assert!(simple || identity.field(b"principalId").is_some());
            }
        }
    });
}

/// A request of which nothing but the head is of interest.
fn as_told<'a>(
    head: &'a RequestHead,
    head_bytes: &'a [u8],
    stage_variables: &'a BTreeMap<String, String>,
) -> crate::authorize::lambda::Request<'a> {
    static NONE: router::Captures = router::Captures::new();
    let facts = crate::facts::Facts {
        head_bytes,
        head,
        path: b"/",
        rest: 0,
        captures: &NONE,
        api_id: b"a",
        stage: b"s",
        resource_path: b"/",
        request_id: b"r",
        extended_request_id: b"e",
        source_ip: b"203.0.113.9",
        time_epoch_ms: 0,
        tls: None,
        client: None,
        identity: None,
        api_key: None,
        waf: None,
    };
    crate::authorize::lambda::Request {
        kind: router::Kind::Http,
        facts,
        route_key: b"GET /",
        stage_variables,
        region: "r",
        account_id: "123456789012",
        port: 80,
        tls: false,
    }
}

fn events_are_json(request: &crate::authorize::lambda::Request<'_>) {
    use crate::authorize::lambda::{Event, IdentitySources, LambdaRule};
    let sources = ["$request.header.authorization", "$request.header.a", "$context.identity.userAgent"];
    let sources = IdentitySources::compile(request.kind, &sources, request.stage_variables).expect("they are sources");
    let mut scratch = Vec::new();
    sources.present(request, &mut scratch, |_| {});
    assert!(scratch.is_empty());
    for event in [Event::Token, Event::Version1, Event::Version2] {
        let rule = LambdaRule { event, sources: sources.clone(), ..LambdaRule::default() };
        let mut out = Vec::new();
        rule.write_event(request, b"arn", &mut out);
        let read: Result<serde_json::Value, _> = serde_json::from_slice(&out);
        assert!(read.is_ok_and(|event| event.is_object()), "{}", out.escape_ascii());
    }
}

/// Whatever stands in a policy, reading it ends; and what it says of some requests is what its slow twin says.
pub fn policy_document(bytes: &[u8]) {
    for form in [iam::Form::Identity, iam::Form::Resource] {
        let Ok(policy) = iam::Policy::parse(bytes, form) else { continue };
        let document = serde_json::from_slice(bytes).expect("a policy is JSON");
        let tags = [("a".into(), "1.5".into())];
        let who = iam::Who {
            arn: "arn:aws:sts::123456789012:assumed-role/a/b",
            principal_arn: "arn:aws:iam::123456789012:role/a",
            account: "123456789012",
            kind: "AssumedRole",
            user_id: "AROA:b",
            user_name: None,
            tags: &tags,
        };
        let near = iam::Request {
            resource: b"arn:aws:execute-api:r:123456789012:a/s/GET/b",
            time_epoch_ms: 1_500_000_000_500,
            source_ip: Some([10, 0, 0, 1].into()),
            user_agent: Some(b"a*b?"),
            ..iam::Request::default()
        };
        let signed = iam::Request { who: Some(who), tls: true, source_ip: Some(Ipv6Addr::LOCALHOST.into()), ..near };
        for request in [near, signed, iam::Request::default()] {
            let said = policy.decide(&request);
            // The twin's effort is the product of all lengths.
            if bytes.len() < 4_096 {
                assert_eq!(said, iam::slow::decide(&document, form, &request), "{}", bytes.escape_ascii());
            }
        }
    }
}

fn with_head(lines: &[u8], added: &[u8], look: impl FnOnce(&RequestHead, &[u8])) {
    let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, added, b"\r\n"].concat();
    let mut head = RequestHead::new();
    let read = parse_request(&bytes, &mut head, &HeadLimits::REQUEST);
    let are_lines = lines.is_empty() || lines.ends_with(b"\r\n");
    // What ends the head early leaves out what was added.
    if are_lines && matches!(read, Ok(Progress::Complete)) && head.length == bytes.len() {
        look(&head, &bytes);
    }
}

fn has_its_form(said: &Said<'_>) {
    assert!(said.port != Some(0));
    if let Some(host) = said.host {
        assert!(!host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte)));
    }
}

/// Whatever is configured and whatever a browser says, what it is told are whole lines in which nothing can begin another, no
/// origin is named but its own, and that is let in by the slow twin of the matching as well. The first line of the input is the
/// origin, the second what a preflight asks for, the others what is configured.
pub fn cors(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (origin, asked) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    // As the codec lets values through.
    let is_value = |value: &[u8]| value.iter().all(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    if !is_value(origin) || !is_value(asked) {
        return;
    }
    let texts: Vec<Box<str>> = lines.filter_map(|line| Some(std::str::from_utf8(line).ok()?.into())).collect();
    let named: Vec<Box<str>> = texts.iter().filter(|text| !text.contains("://")).cloned().collect();
    let origins: Vec<Box<str>> = texts.into_iter().filter(|text| text.contains("://") || **text == *"*").collect();
    for allow_credentials in [false, true] {
        let spec = Spec {
            allow_origins: origins.clone(),
            allow_methods: named.clone(),
            allow_headers: named.clone(),
            expose_headers: named.clone(),
            max_age: Some(5),
            allow_credentials,
        };
        let Ok(cors) = Cors::compile(spec) else { continue };
        assert!(!allow_credentials || !origins.iter().any(|origin| **origin == *"*"));
        assert_eq!(cors.allows(origin), lets_in(&origins, origin), "{}", origin.escape_ascii());
        for asked in [Asked::Actual, Asked::Preflight { method: asked, headers: Some(asked) }] {
            let mut out = Vec::new();
            cors.write(Some(origin), asked, &mut out);
            let text = out.strip_suffix(b"\r\n").expect("lines end");
            let told = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            for line in told {
                assert!(is_value(line) && line.contains(&b':'), "{}", out.escape_ascii());
                if let Some(named) = line.strip_prefix(b"access-control-allow-origin: ") {
                    assert!(named == origin || named == b"*" && !allow_credentials, "{}", out.escape_ascii());
                }
            }
        }
        if let Some(count) = asked_names(asked) {
            assert!(count <= asked.len().div_ceil(2));
        }
    }
}

/// Whether an origin fits a list: the star tried at every length.
fn lets_in(list: &[Box<str>], origin: &[u8]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return list.iter().any(|one| **one == *"*") };
    let fits = |one: &str| {
        let one = one.to_ascii_lowercase();
        let Some((before, after)) = one.split_once('*') else { return one == origin };
        let of = |byte: u8| match (before, after) {
            _ if before.ends_with(':') => byte.is_ascii_digit(),
            (_, "") => byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte),
            _ => byte.is_ascii_alphanumeric() || b"-._".contains(&byte),
        };
        let rest = origin.strip_prefix(before).unwrap_or_default();
        (1..=rest.len())
            .any(|length| rest.as_bytes()[..length].iter().all(|byte| of(*byte)) && rest.get(length..) == Some(after))
    };
    list.iter().any(|one| **one == *"*" || origin.len() <= crate::limits::ORIGIN_BYTES_MAX && fits(one))
}

/// Whatever a token says, only what one of the set's keys has signed is believed: nobody has the secret of this one. A token that is
/// read was written in its one form.
pub fn jwt(token: &[u8]) {
    let rules = Rules {
        issuers: [Issuer { name: "joe".into(), audiences: Box::default() }].into(),
        algorithms: Algorithms::ALL,
        clock_skew: 0,
        kind: None,
        cognito: false,
        commas: false,
    };
    let Ok(opened) = rules.open(token) else { return };
    let read = Jws::parse(token).expect("it was read a moment ago");
    assert!(Algorithm::ALL.contains(&read.head.algorithm));
    assert_eq!(token.split(|byte| *byte == b'.').count(), 3);
    let payload = data_encoding::BASE64URL_NOPAD.encode(&read.payload);
    assert!(read.signed.ends_with(payload.as_bytes()), "{}", token.escape_ascii());
    let keys = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let keys = KeySet::parse(keys).expect("a key of RFC 8037");
    assert!(rules.verify(opened, &keys, 0, false).is_err(), "{}", token.escape_ascii());
}

/// Whatever an issuer sends is a set of keys that are of use, or none; what is read has as many keys as it says.
pub fn jwks(bytes: &[u8]) {
    let Ok(set) = KeySet::parse(bytes) else { return };
    assert!(!set.is_empty() && set.len() + set.unfit.len() <= crate::limits::KEY_SET_KEYS_MAX);
    for algorithm in Algorithm::ALL {
        assert!(set.verify(None, algorithm, b"a.b", &[0; 64]).is_err());
        assert!(set.verify(Some("k"), algorithm, b"a.b", &[0; 256]).is_err());
    }
}

/// Whatever a request is made of (its target in the first line of the input, field lines in the others): the rules of a firewall say of it
/// what each of them says alone, groups and negations are what they are in logic, and managed groups together find what one of them finds.
pub fn firewall(bytes: &[u8]) {
    static KIT: OnceLock<FirewallKit> = OnceLock::new();
    let kit = KIT.get_or_init(FirewallKit::new);
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (target, fields) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let whole = [b"GET /", target, b" HTTP/1.1\r\nHost: h\r\n", fields, b"\r\n"].concat();
    let mut head = RequestHead::new();
    if !matches!(parse_request(&whole, &mut head, &HeadLimits::REQUEST), Ok(Progress::Complete)) {
        return;
    }
    let path = head.path.of(&whole);
    let address = Some(IpAddr::from(target.first_chunk().copied().unwrap_or([192, 0, 2, 1])));
    let request = firewall::Request { address, head: &head, head_bytes: &whole, path, body: None };
    let mut work = firewall::Work::default();
    let mut holds = |when: &When| when.holds(&request, &kit.sets, &mut work);
    let alone: Vec<bool> = kit.all.iter().map(&mut holds).collect();
    for (not, held) in kit.nots.iter().zip(&alone) {
        assert_ne!(holds(not), *held, "{}", whole.escape_ascii());
    }
    assert_eq!(
        holds(&kit.managed),
        alone[alone.len() - Group::ALL.len()..].contains(&true),
        "{}",
        whole.escape_ascii()
    );
    assert_eq!(holds(&When::All(kit.all.clone().into())), !alone.contains(&false));
    assert_eq!(holds(&When::Any(kit.all.clone().into())), alone.contains(&true));
    for firewall in &kit.firewalls {
        let rules = firewall.rules();
        let first = (0..rules.len()).find(|at| alone[*at] && rules[*at].then != Then::Count);
        let verdict = firewall.decide(&request, &mut work, |_| unreachable!("no rates"), |at| assert!(alone[at]));
        assert_eq!(verdict.rule, first);
        assert_eq!(verdict.passes, first.map_or(!firewall.blocks(), |at| rules[at].then == Then::Allow));
    }
}

/// Conditions that are compiled once.
struct FirewallKit {
    sets: [Networks; 1],
    /// One of each kind, and behind them one for each managed group.
    all: Vec<When>,
    nots: Vec<When>,
    /// All managed groups.
    managed: When,
    firewalls: [firewall::Firewall; 2],
}

impl FirewallKit {
    fn new() -> Self {
        let managed = |groups: &[Group]| When::Is(Test::Managed(Box::new(Managed::new(groups.iter().copied()))));
        let mut all = firewall_tests();
        all.extend(Group::ALL.map(|(_, group)| managed(&[group])));
        let sets = [Networks::new([Network::new(Ipv4Addr::new(128, 0, 0, 0).into(), 1).expect("a bit")], false)];
        let firewalls = [false, true].map(|blocks| {
            let rule = |(at, when): (usize, &When)| firewall::Rule {
                name: format!("r{at}").into(),
                when: when.clone(),
                rate: None,
                then: [Then::Count, Then::Block, Then::Count, Then::Allow][at % 4],
                line: Line(0),
            };
            let rules = all.iter().enumerate().map(rule).collect();
            let parts = firewall::Parts { blocks, sets: sets.clone().into(), rules, line: Line(0) };
            firewall::Firewall::try_from(parts).expect("few rules")
        });
        let nots = all.iter().map(|when| When::Not(Box::new(when.clone()))).collect();
        Self { sets, all, nots, managed: managed(&Group::ALL.map(|(_, group)| group)), firewalls }
    }
}

/// A test of each kind.
fn firewall_tests() -> Vec<When> {
    use crate::firewall::{Compare, Part, Search, Step, Subject, TextTest};
    let boxed = |text: &str| -> Box<[Box<str>]> { [text.into()].into() };
    let text = |subject: Subject, steps: &[Step], compare: Compare| {
        When::Is(Test::Text(Box::new(TextTest { subject, steps: steps.into(), compare })))
    };
    let search = |text: &str| Compare::Finds(Search::of_expressions(boxed(text)).expect("an expression"));
    let (decode, query) = (Step::UrlDecode { plus: false }, Step::UrlDecode { plus: true });
    vec![
        When::Is(Test::Address(0)),
        When::Is(Test::Larger(Part::Path, 8)),
        When::Is(Test::Larger(Part::Query, 8)),
        When::Is(Test::Larger(Part::Headers, 64)),
        text(Subject::Path, &[decode, Step::NormalizePath, Step::Lowercase], Compare::Prefix(boxed("/admin"))),
        text(Subject::Path, &[], Compare::Suffix(boxed(".php"))),
        text(Subject::Query, &[query, Step::CompressWhiteSpace], search("a.?b|[0-9]{3,}$")),
        text(Subject::Parameter("a".into()), &[query], Compare::Equals(boxed("1"))),
        text(Subject::Header("x-a".into()), &[Step::Lowercase], Compare::Present),
        text(Subject::Header("user-agent".into()), &[Step::Lowercase, decode], search("bot|(?:a+)+$")),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_property_holds_for_nothing() {
        super::hops(b"");
        super::cors(b"");
        super::policy_document(b"");
        super::sigv4(b"");
    }
}
