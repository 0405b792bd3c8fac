//! What a policy costs a request: a thousand ranges of addresses, a hundred resources with stars, and a signature beside one hash of the
//! cryptographic library.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use policy::authorize::sigv4::{Asked, Scope, Work, hash, read, signing_key, verify};
use policy::iam::{Action, Form, Policy, Request};

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

criterion_group!(benches, policies, signatures);
criterion_main!(benches);
