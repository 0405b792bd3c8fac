//! What a request asks of the allocator once everything has grown to its size: nothing over HTTP/1, whatever guards stand before it; over
//! HTTP/2 what the `h2` library wants, and two more at most.
//!
//! The gateway runs in this process. Its worker's thread is counted, and no other: not the client, not the backend, not the log's writer.

#[path = "../src/io/counting.rs"]
mod counting;
mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use counting::Counting;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Request, Response};
use proxy::io::DriverChoice;
use proxy::reload::Source;
use proxy::supervisor::{self, Options};
use serde_json::json;
use support::gateway::{complete, new_folder};
use support::{Backend, PATIENCE};

#[path = "support/h2_backend.rs"]
mod h2_backend;
#[path = "support/http2.rs"]
mod http2;
#[path = "support/issuer.rs"]
mod issuer;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests before anything is counted, and then in each round.
const REQUESTS: usize = 1_000;

/// Rounds until one needs nothing: batches of the log, which are bounded, are made when the writer is slow for the first time.
const ROUNDS_MAX: usize = 10;

const ORIGIN: &str = "https://app.example.com";
const KEY: &str = "allocations-0123456789-0123456789";
const BODY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Every way that is measured: without guards, with each kind of them, and with all.
fn document(folder: &std::path::Path, backend: &str, h2_backend: &str, key: &issuer::Key) -> String {
    fs::write(folder.join("keys.json"), json!({"keys": [key.jwk()]}).to_string()).expect("the folder is writable");
    fs::write(folder.join("key"), KEY).expect("the folder is writable");
    let ranges: Vec<String> = (0..1_000).map(|n| format!("10.{}.{}.0/24", n / 250, n % 250)).collect();
    let statement = |effect: &str| json!({"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"});
    let mut deny = statement("Deny");
    deny["Condition"] = json!({"IpAddress": {"aws:SourceIp": ranges}});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement("Allow"), deny]});
    fs::write(folder.join("policy.json"), policy.to_string()).expect("the folder is writable");
    let limit = "rate: 1000000, burst: 1000000";
    let guarded = "api_key_required: true, authorizer: login, scopes: [read]";
    let to = |path: &str, upstream: &str, more: &str| {
        format!(r#"      "GET /{path}": {{{more}integration: {{type: http_proxy, uri: "http://{upstream}/x"}}}}"#)
    };
    format!(
        r#"gateway:
  state: {folder}/state
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
upstreams:
  one: {{servers: ["{backend}"]}}
  two: {{servers: ["{h2_backend}"], protocol: http2}}
usage_plans:
  all: {{stages: [guarded/s], throttle: {{{limit}}}, quota: {{limit: 1000000000, period: day}}}}
api_keys:
  joe: {{value: "${{file:{folder}/key}}", plans: [all]}}
apis:
  plain:
    kind: http
    routes:
{plain}
{two}
      "GET /mock": {{integration: {{type: mock, status: 200, body: "ok"}}}}
    stages: {{s: {{}}}}
  guarded:
    kind: http
    cors: {{allow_origins: ["{ORIGIN}"], allow_methods: [GET]}}
    policy: policy.json
    authorizers: {{login: {{type: jwt, issuer: me, audience: [web], jwks: {{file: keys.json}}}}}}
    routes:
{all}
      "GET /mock": {{{guarded}, integration: {{type: mock, status: 200, body: "ok"}}}}
    stages: {{s: {{throttle: {{{limit}}}, throttle_by: [{{address: true, {limit}}}]}}}}
domains:
  "*": {{mappings: {{plain: plain/s, guarded: guarded/s}}}}
"#,
        folder = folder.display(),
        plain = to("get", "one", ""),
        two = to("two", "two", ""),
        all = to("get", "one", &format!("{guarded}, ")),
    )
}

/// A gateway with one worker, a thread of this process; it serves to the end of it. Its address.
fn start(document: &str, folder: &std::path::Path, io_driver: DriverChoice) -> String {
    let file = folder.join("gateway.yaml");
    fs::write(&file, complete(document, folder)).expect("the folder is writable");
    let (told, ready) = mpsc::channel();
    let on_ready = Box::new(move |addresses: &supervisor::Addresses| _ = told.send(addresses.listeners[0].clone()));
    let options = Options { source: Source::File(file), io_driver, workers: NonZeroUsize::new(1), on_ready };
    thread::spawn(move || supervisor::run(options));
    ready.recv_timeout(PATIENCE).expect("it serves")
}

/// A request with everything that the guards ask for.
fn request(path: &str, token: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: allocations\r\nOrigin: {ORIGIN}\r\nX-Api-Key: {KEY}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
}

/// Asks so many times on each of the connections, one request at a time.
fn ask(streams: &mut [TcpStream], request: &str, times: usize) {
    let mut answer = [0; 4_096];
    for at in 0..times {
        let count = streams.len();
        let stream = &mut streams[at % count];
        stream.write_all(request.as_bytes()).expect("it is read");
        let mut length = 0;
        while !is_whole(&answer[..length]) {
            let more = stream.read(&mut answer[length..]).expect("an answer in time");
            assert!(more > 0, "{}", support::shown(&answer[..length]));
            length += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", support::shown(&answer[..length]));
    }
}

fn is_whole(answer: &[u8]) -> bool {
    support::find(answer, b"\r\n\r\n")
        .is_some_and(|end| [BODY, "ok"].iter().any(|body| answer.len() == end + 4 + body.len()))
}

#[test]
fn requests_ask_the_allocator_for_nothing_or_for_what_h2_wants() {
    let backend = Backend::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()));
    let h2_backend = h2_backend::H2Backend::start(|mut call| async move { call.ok(BODY) });
    let drivers = [DriverChoice::Epoll, DriverChoice::Uring];
    let drivers = &drivers[..if proxy::io::probe().is_ok() { 2 } else { 1 }];
    let mut faults = Vec::new();
    for driver in drivers {
        let (folder, key) = (new_folder(), issuer::Key::es256("one"));
        let token =
            key.token(&json!({"iss": "me", "aud": "web", "sub": "joe", "scope": "read", "exp": issuer::now() + 3_600}));
        fs::create_dir(folder.join("state")).expect("the folder is writable");
        let address = start(&document(&folder, backend.address(), &h2_backend.address(), &key), &folder, *driver);
        for path in ["/plain/get", "/plain/mock", "/guarded/get", "/guarded/mock"] {
            let mut streams = [(); 2].map(|()| TcpStream::connect(&address).expect("it listens"));
            for stream in &streams {
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            }
            let request = request(path, &token);
            ask(&mut streams, &request, REQUESTS);
            let mut rounds = (0..ROUNDS_MAX).map(|_| {
                counting::begin();
                ask(&mut streams, &request, REQUESTS);
                let (count, places) = counting::end();
                println!("{driver:?} {path}: {count} in {REQUESTS} requests\n{places}");
                (count, places)
            });
            if !rounds.any(|(count, _)| count == 0) {
                faults.push(format!("{driver:?} {path} asks for memory in each of {ROUNDS_MAX} rounds: see above"));
            }
        }
        for (path, two) in [("/plain/get", false), ("/plain/two", true)] {
            let (each, fields, places) = http2::run(allocations_of(&address, path));
            let asked = two.then(|| h2_backend.take().pop().expect("it was asked").1.headers);
            let bare = bare_server(fields, asked.map(|fields| (h2_backend.address(), fields)));
            let (alone, ..) = http2::run(allocations_of(&bare, path));
            println!("{driver:?} {path} over HTTP/2: {each} a request, of h2 alone {alone}");
            if each > alone + 2 {
                faults.push(format!(
                    "{driver:?} {path} over HTTP/2: {each}, more than h2 alone wants ({alone}) and two\n{places}"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Of a request over HTTP/2, one at a time on one connection; with the fields of its answer, and who asked for memory first.
async fn allocations_of(address: &str, path: &str) -> (u64, HeaderMap, String) {
    let client = http2::Client::connect(address).await;
    let mut fields = HeaderMap::new();
    for count in [false, true] {
        if count {
            counting::begin();
        }
        for _ in 0..REQUESTS {
            let answer = client.get(path).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, BODY));
            fields = answer.headers;
        }
    }
    let (count, places) = counting::end();
    (count / REQUESTS as u64, fields, places)
}

/// What the `h2` library needs for as much, on a thread that is counted: a server that answers with such fields, and a client behind it where
/// somebody else is asked, with others. Its address.
fn bare_server(fields: HeaderMap, behind: Option<(String, HeaderMap)>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let serve = async move {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
        let behind = match behind {
            Some((to, fields)) => Some((connect(&to).await, fields)),
            None => None,
        };
        let (stream, _) = listener.accept().await.expect("a client");
        stream.set_nodelay(true).expect("a socket");
        let mut connection = h2::server::handshake(stream).await.expect("it speaks HTTP/2");
        // One request at a time: nobody else waits for the connection meanwhile.
        while let Some(Ok((asked, mut answer))) = connection.accept().await {
            let body = match &behind {
                Some((backend, fields)) => relay(backend.clone(), asked.uri().clone(), fields).await,
                None => Bytes::from_static(BODY.as_bytes()),
            };
            let mut head = Response::new(());
            copy(&fields, head.headers_mut());
            let mut sending = answer.send_response(head, false).expect("an open stream");
            sending.send_data(body, true).expect("an open stream");
        }
    };
    let name = format!("{}bare", counting::WATCHED);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, serve);
    };
    thread::Builder::new().name(name).spawn(run).expect("a thread");
    address
}

/// Values are made anew, as whoever reads them from a socket has to.
fn copy(fields: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in fields {
        to.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("it was one"));
    }
}

async fn connect(to: &str) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(to).await.expect("a backend");
    stream.set_nodelay(true).expect("a socket");
    let (requests, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    tokio::task::spawn_local(connection);
    requests
}

/// The body of the backend's answer, which is one frame.
async fn relay(mut backend: SendRequest<Bytes>, uri: http::Uri, fields: &HeaderMap) -> Bytes {
    std::future::poll_fn(|context| backend.poll_ready(context)).await.expect("an open connection");
    let (authority, path) = (uri.authority().expect("an authority").as_str(), uri.path());
    let uri = http::Uri::builder().scheme("http").authority(authority).path_and_query(path).build().expect("a URI");
    let mut request = Request::builder().uri(uri).body(()).expect("a request");
    copy(fields, request.headers_mut());
    let (answer, _) = backend.send_request(request, true).expect("an open connection");
    let mut body = answer.await.expect("an answer").into_body();
    let bytes = body.data().await.expect("a body").expect("a body");
    body.flow_control().release_capacity(bytes.len()).expect("it was received");
    bytes
}
