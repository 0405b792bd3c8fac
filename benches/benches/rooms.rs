//! Work to be counted, not timed: `rooms NAME TIMES` does one thing so many times, and `perf/rooms` takes the difference of two such runs under
//! callgrind. Without arguments everything is done once.
//!
//! A whole request has a client and a backend on the same shard: they are in its count.

use std::hint::black_box;
use std::net::{IpAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use benches::Scene;
use codec::head::{HeadLimits, RequestHead, ResponseHead};
use codec::http1::parse::{parse_request, parse_response};
use codec::http1::write;
use codec::target::canonical_path;
use policy::cors::{Asked, Cors, Spec};
use policy::iam::{Action, Form, Policy, Request};
use policy::throttle::{Limit, Shared, Table};
use proxy::io::{DriverKind, Group, Listener, Outgoing, Sock, run, spawn};
use proxy::rehearsal::Rehearsal;
use router::{Captures, Kind, RoutesBuilder, Template, Verb};

const REQUEST: &[u8] = b"GET /pets/42?expand=photos HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nX-Api-Key: k-0123456789abcdef\r\nConnection: keep-alive\r\n\r\n";

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nDate: Mon, 02 Feb 2026 10:00:00 GMT\r\nServer: backend\r\nContent-Type: text/plain\r\n\
    Cache-Control: no-store\r\nContent-Length: 5\r\n\r\nhello";

/// Time goes on by as much as a request takes.
const STEP: u64 = 10_000;

type Work = fn(u64);

/// Everything that is counted. The last ones need a shard.
const PURE: [(&str, Work); 8] = [
    ("request_head", request_head),
    ("answer_head", answer_head),
    ("write_head", write_head),
    ("path", path),
    ("router", routes),
    ("throttle", throttle),
    ("policy", policy),
    ("cors", cors),
];
const ADMITTED: [(&str, &str); 2] = [("admit_plain", "/plain/mock"), ("admit_guarded", "/guarded/mock")];
const WHOLE: [(&str, &str); 4] = [
    ("whole_mock", "/plain/mock"),
    ("whole_get", "/plain/get"),
    ("whole_guarded_mock", "/guarded/mock"),
    ("whole_guarded_get", "/guarded/get"),
];

fn request_head(times: u64) {
    let mut head = RequestHead::new();
    for _ in 0..times {
        black_box(parse_request(black_box(REQUEST), &mut head, &HeadLimits::REQUEST)).expect("a head");
    }
}

fn answer_head(times: u64) {
    let mut head = ResponseHead::new();
    for _ in 0..times {
        black_box(parse_response(black_box(ANSWER), &mut head, false, &HeadLimits::RESPONSE)).expect("a head");
    }
}

fn write_head(times: u64) {
    let mut out = Vec::with_capacity(512);
    for _ in 0..times {
        out.clear();
        write::status_line(&mut out, black_box(200));
        write::field(&mut out, b"Content-Type", black_box(b"application/json"));
        write::field(&mut out, b"Date", black_box(b"Mon, 02 Feb 2026 10:00:00 GMT"));
        write::content_length(&mut out, black_box(1_024));
        write::end(&mut out);
        black_box(&out);
    }
}

fn path(times: u64) {
    let mut scratch = Vec::with_capacity(256);
    for _ in 0..times {
        black_box(canonical_path(black_box(b"/v1/pets/42/photos/cat.jpg"), &mut scratch)).expect("a path");
    }
}

/// One of 10,000 parameterised routes.
fn routes(times: u64) {
    let mut builder = RoutesBuilder::new(Kind::Http);
    for number in 0..10_000 {
        let template = Template::parse(&format!("/service-{}/items-{}/{{id}}/view", number / 100, number % 100));
        builder.route(Some(Verb::Get), &template.expect("a template"), number).expect("a new route");
    }
    let (routes, mut captures) = (builder.build(), Captures::new());
    for _ in 0..times {
        let found = routes.find(black_box(b"/service-71/items-23/octocat/view"), 0, Verb::Get, &mut captures);
        assert!(black_box(found).is_some());
    }
}

/// A leased bucket, and a client's among others.
fn throttle(times: u64) {
    let limit = Limit::new(10_000_000.0, 10_000_000.0);
    let (shared, table): (Shared, Table) = (Shared::new(limit, 2), Table::new(limit, 1_000, 2));
    for now in (1..=times).map(|at| at * STEP) {
        black_box(shared.take(black_box(0), now)).expect("a token");
        black_box(table.take(black_box(0x2545_f491_4f6c_dd1d), 0, now)).expect("a token");
    }
}

fn policy(times: u64) {
    let ranges: Vec<String> = (0..1_000).map(|at| format!("\"10.{}.{}.0/25\"", at / 256, at % 256)).collect();
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}},
        {{"Effect":"Deny","Principal":"*","Action":"*","Resource":"execute-api:/*","Condition":{{"IpAddress":{{"aws:SourceIp":[{}]}}}}}}]}}"#,
        ranges.join(",")
    );
    let policy = Policy::parse(document.as_bytes(), Form::Resource).expect("a policy");
    let request = Request {
        action: Action::Invoke,
        resource: b"arn:aws:execute-api:eu-west-1:123456789012:pets/prod/GET/pets/7",
        source_ip: Some(IpAddr::from([10, 3, 7, 200])),
        time_epoch_ms: 1_500_000_000_000,
        ..Request::default()
    };
    for _ in 0..times {
        black_box(policy.decide(black_box(&request)));
    }
}

fn cors(times: u64) {
    let spec = Spec {
        allow_origins: (0..10).map(|n| format!("https://app{n}.example.com").into()).collect(),
        allow_methods: vec!["GET".into()],
        ..Spec::default()
    };
    let cors = Cors::compile(spec).expect("it is complete");
    let mut out = Vec::with_capacity(512);
    for _ in 0..times {
        out.clear();
        cors.write(Some(black_box(b"https://app9.example.com")), Asked::Actual, &mut out);
        black_box(&out);
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("tollgate-rooms-{}", std::process::id()))
}

fn admitted(path: &'static str, times: u64) {
    let scene = Scene::new(&folder(), "127.0.0.1:1");
    let request = Scene::request(path);
    let mut rehearsal = Rehearsal::new(scene.snapshot).expect("sockets");
    // The first one makes what is remembered.
    for _ in 0..=times {
        assert!(rehearsal.admit(black_box(request.as_bytes())), "{path} is let in");
    }
}

/// Answers every request of every connection; heads come whole.
async fn backend(listener: Listener) {
    while let Ok(end) = listener.accept().await {
        spawn(async move {
            let sock = Sock::adopt(end, None);
            while let Ok(received) = sock.recv(Group::Small).await {
                if received.is_empty() {
                    return;
                }
                sock.start_send(outgoing(ANSWER));
                sock.flush().await.expect("the gateway reads");
            }
        });
    }
}

fn outgoing(bytes: &[u8]) -> Outgoing {
    let mut head = proxy::io::vector();
    head.extend_from_slice(bytes);
    Outgoing::new(head)
}

async fn whole(path: &'static str, times: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    spawn(backend(Listener::adopt(listener.into())));
    let scene = Scene::new(&folder(), &address);
    let request = Scene::request(path);
    let rehearsal = Rehearsal::new(scene.snapshot).expect("sockets");
    let ends = UnixStream::pair().expect("sockets");
    for end in [&ends.0, &ends.1] {
        end.set_nonblocking(true).expect("a socket");
    }
    rehearsal.welcome(OwnedFd::from(ends.0));
    let client = Sock::adopt(OwnedFd::from(ends.1), None);
    // The first one connects to the backend, and makes what is remembered.
    for _ in 0..=times {
        client.start_send(outgoing(request.as_bytes()));
        let answer = client.recv(Group::Small).await.expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    }
}

fn perform(name: &str, times: u64) -> bool {
    let path = |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| *known == name).map(|(_, path)| *path);
    if let Some((_, work)) = PURE.iter().find(|(known, _)| *known == name) {
        work(times);
    } else if let Some(path) = path(&ADMITTED) {
        run(DriverKind::Epoll, async move { admitted(path, times) }).expect("epoll");
    } else if let Some(path) = path(&WHOLE) {
        run(DriverKind::Epoll, whole(path, times)).expect("epoll");
    } else {
        return false;
    }
    let _ = std::fs::remove_dir_all(folder());
    true
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let names = PURE.iter().map(|(name, _)| *name).chain(ADMITTED.iter().chain(&WHOLE).map(|(name, _)| *name));
    match arguments.as_slice() {
        [] => assert!(names.into_iter().all(|name| perform(name, 1))),
        [name] if name == "names" => names.for_each(|name| println!("{name}")),
        [name, times] => assert!(perform(name, times.parse().expect("a number")), "there is no room {name}"),
        _ => panic!("rooms [names | NAME TIMES]"),
    }
}
