//! What a policy costs a request: a thousand ranges of addresses, a hundred resources with stars, a firewall of twenty rules, and a signature beside one hash of the
//! cryptographic library.

use std::hint::black_box;
use std::net::IpAddr;

use codec::head::{HeadLimits, RequestHead};
use codec::http1::parse::{Progress, parse_request};
use criterion::{Criterion, criterion_group, criterion_main};
use policy::authorize::sigv4::{Asked, Scope, Work, hash, read, signing_key, verify};
use policy::iam::{Action, Form, Policy, Request};
use policy::networks::{Network, Networks};
use policy::rules::Line;

const GET: &[u8] = b"arn:aws:execute-api:eu-west-1:123456789012:pets/prod/GET/pets/7";

fn request() -> Request<'static> {
    Request {
        action: Action::Invoke,
        resource: GET,
        source_ip: Some(IpAddr::from([10, 3, 7, 200])),
        time_epoch_ms: 1_500_000_000_000,
        ..Request::default()
    }
}

fn policies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    let ranges: Vec<String> = (0..1_000).map(|at| format!("\"10.{}.{}.0/25\"", at / 256, at % 256)).collect();
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}},
        {{"Effect":"Deny","Principal":"*","Action":"*","Resource":"execute-api:/*","Condition":{{"IpAddress":{{"aws:SourceIp":[{}]}}}}}}]}}"#,
        ranges.join(",")
    );
    let thousand = Policy::parse(document.as_bytes(), Form::Resource).expect("a policy");
    group.bench_function("thousand_ranges", |bencher| bencher.iter(|| thousand.decide(black_box(&request()))));
    let resources: Vec<String> =
        (0..100).map(|at| format!("\"arn:aws:execute-api:*:*:pets/*/GET/pets/{at}/*\"")).collect();
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"execute-api:Invoke","Resource":[{}]}}}}"#,
        resources.join(",")
    );
    let hundred = Policy::parse(document.as_bytes(), Form::Identity).expect("a policy");
    group.bench_function("hundred_resources", |bencher| bencher.iter(|| hundred.decide(black_box(&request()))));
    group.finish();
}

/// Twenty rules of the usual kinds, two sets of 10,000 ranges, and all managed groups, for a request of a browser that all of them let pass.
fn firewalls(criterion: &mut Criterion) {
    use policy::firewall::{
        Compare, Firewall, Group, Managed, Parts, Request, Rule, Search, Step, Subject, Test, TextTest, Then, When,
        Work,
    };
    let bytes = b"GET /prod/pets/7?limit=10&sort=-name&q=rock+and+roll HTTP/1.1\r\nHost: api.example.com\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n\
        Accept: application/json\r\nCookie: session=0123456789abcdef; theme=dark\r\nReferer: https://www.example.com/pets\r\n\r\n";
    let mut head = RequestHead::new();
    let read = parse_request(bytes, &mut head, &HeadLimits::REQUEST);
    assert!(matches!(read, Ok(Progress::Complete)));
    let path = head.path.of(bytes);
    let request =
        Request { address: Some(IpAddr::from([203, 0, 113, 7])), head: &head, head_bytes: bytes, path, body: Some(0) };
    let set = |first: u8| {
        let range = |at: u32| Network::new(IpAddr::from([first, (at >> 8) as u8, at as u8, 0]), 25).expect("a range");
        Networks::new((0..10_000).map(range), false)
    };
    let boxed = |text: &str| -> Box<[Box<str>]> { [text.into()].into() };
    let text = |subject: Subject, compare: Compare| {
        let steps = [Step::UrlDecode { plus: false }, Step::Lowercase];
        When::Is(Test::Text(Box::new(TextTest { subject, steps: steps.into(), compare })))
    };
    let rules = |managed: bool| {
        let mut all = vec![When::Is(Test::Address(0)), When::Is(Test::Address(1))];
        for at in 0..6 {
            let (path, agent) = (format!("/admin{at}"), format!("bad{at}bot"));
            all.push(text(Subject::Path, Compare::Prefix(boxed(&path))));
            let search = Search::of_texts(boxed(&agent)).expect("a text");
            all.push(text(Subject::Header("user-agent".into()), Compare::Finds(search)));
            all.push(text(Subject::Parameter("debug".into()), Compare::Equals(boxed("1"))));
        }
        if managed {
            all.push(When::Is(Test::Managed(Box::new(Managed::new(Group::ALL.map(|(_, group)| group))))));
        }
        let rule = |(at, when): (usize, When)| Rule {
            name: format!("r{at}").into(),
            when,
            rate: None,
            then: Then::Block,
            line: Line(0),
        };
        let rules = all.into_iter().enumerate().map(rule).collect();
        let parts = Parts { blocks: false, sets: [set(10), set(11)].into(), rules, line: Line(0) };
        Firewall::try_from(parts).expect("few rules")
    };
    let mut group = criterion.benchmark_group("firewall");
    for (name, firewall) in [("twenty_rules", rules(false)), ("and_managed", rules(true))] {
        let mut work = Work::default();
        let mut decide = || firewall.decide(black_box(&request), &mut work, |_| false, |_| {});
        assert!(decide().passes);
        group.bench_function(name, |bencher| bencher.iter(&mut decide));
    }
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sigv4");
    let scope = Scope { region: "us-east-1", service: "service" };
    // `get-vanilla` of the published suite.
    let authorization = b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, \
        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let fields: [(&[u8], &[u8]); 3] =
        [(b"Host", b"example.amazonaws.com"), (b"X-Amz-Date", b"20150830T123600Z"), (b"Authorization", authorization)];
    let asked = Asked { method: b"GET", path: b"/", query: b"", fields: fields.into_iter() };
    let key = signing_key(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", b"20150830", scope);
    let (mut work, body) = (Work::default(), hash(b""));
    let mut check = || {
        read(black_box(&asked), scope, 1_440_938_160_000, &mut work)
            .and_then(|()| verify(&asked, &key, &body, &mut work))
    };
    check().expect("the suite's signature is good");
    group.bench_function("verify", |bencher| bencher.iter(&mut check));
    group.bench_function("hash_of_its_length", |bencher| bencher.iter(|| hash(black_box(&[b'a'; 256]))));
    group.finish();
}

criterion_group!(benches, policies, firewalls, signatures);
criterion_main!(benches);
