//! The access log of a running gateway: a line of JSON for each request, reopened on USR1, and never waited for.

mod support;

use std::fs::{self, OpenOptions};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers};

fn document(backend: &str) -> String {
    format!(
        r#"
apis:
  pets:
    kind: rest
    routes:
      "ANY /x/{{id}}": {{integration: {{type: http_proxy, uri: "http://{backend}/x"}}}}
      "GET /mock": {{integration: {{type: mock, status: 201, body: "{{}}"}}}}
    stages: {{dev: {{}}}}
  web:
    kind: http
    routes:
      "GET /mock/{{id}}": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{$default: {{}}}}
domains:
  "*": {{mappings: {{/r: pets/dev, /h: web/$default}}}}
"#
    )
}

fn lines(gateway: &Gateway, count: usize) -> Vec<Value> {
    eventually("the lines are written", || gateway.access_log().lines().count() >= count);
    let log = gateway.access_log();
    assert_eq!(log.lines().count(), count, "{log}");
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
}

#[test]
fn each_request_has_its_line() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = Gateway::start(&document(backend.address()), driver);
        let mut client = gateway.client();
        let proxied = client.exchange(
            "POST /r/x/7?secret=1 HTTP/1.1\r\nHost: api.example.com:80\r\nUser-Agent: a \"test\"\r\nAuthorization: Bearer secret\r\n\
             Cookie: secret\r\nContent-Length: 5\r\n\r\nhello",
        );
        proxied.expect_status(200);
        let mock = client.exchange("GET /r/mock HTTP/1.1\r\nHost: a\r\n\r\n");
        let http = client.exchange("GET /h/mock/3 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        client.exchange("GET /r/none HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(403);
        client.exchange("nonsense\r\n\r\n").expect_status(400);
        let lines = lines(&gateway, 5);
        println!("{}", gateway.access_log());
        assert!(!gateway.access_log().contains("secret"), "{}", gateway.access_log());
        let first = &lines[0];
        assert_eq!(first["requestId"].as_str(), proxied.header("x-amzn-RequestId"), "{first}");
        let is = |line: &Value, pairs: &[(&str, Value)]| {
            for (name, value) in pairs {
                assert_eq!(&line[*name], value, "{name} in {line}");
            }
        };
        is(
            first,
            &[
                ("httpMethod", "POST".into()),
                ("path", "/r/x/7".into()),
                ("resourcePath", "/x/{id}".into()),
                ("protocol", "HTTP/1.1".into()),
                ("status", 200.into()),
                ("responseLength", proxied.body.len().into()),
                ("apiId", "pets".into()),
                ("stage", "dev".into()),
                ("domainName", "api.example.com".into()),
                ("userAgent", "a \"test\"".into()),
                ("ip", "127.0.0.1".into()),
            ],
        );
        is(&lines[1], &[("status", 201.into()), ("resourcePath", "/mock".into())]);
        assert_eq!(lines[1]["requestId"].as_str(), mock.header("x-amzn-RequestId"));
        is(
            &lines[2],
            &[("routeKey", "GET /mock/{id}".into()), ("apiId", "web".into()), ("protocol", "HTTP/1.0".into())],
        );
        assert_eq!(lines[2]["requestId"].as_str(), http.header("apigw-requestid"));
        is(&lines[3], &[("status", 403.into()), ("path", "/r/none".into())]);
        is(&lines[4], &[("status", 400.into())]);
        for line in &lines {
            for name in ["requestId", "status", "requestTimeEpoch"] {
                assert!(!line[name].is_null(), "{name} in {line}");
            }
        }
    });
}

#[test]
fn usr1_opens_the_file_anew() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = Gateway::start(&document(backend.address()), driver);
        let mut client = gateway.client();
        let get = "GET /r/mock HTTP/1.1\r\nHost: a\r\n\r\n";
        client.exchange(get).expect_status(201);
        lines(&gateway, 1);
        let (log, old) = (gateway.folder().join("access.log"), gateway.folder().join("access.log.1"));
        fs::rename(&log, &old).expect("the folder is writable");
        gateway.signal(Signal::USR1);
        eventually("there is a new file", || log.exists());
        client.exchange(get).expect_status(201);
        client.exchange(get).expect_status(201);
        lines(&gateway, 2);
        assert_eq!(fs::read_to_string(&old).expect("it is there").lines().count(), 1);
        assert!((gateway.counter("tollgate_access_log_reopened_total", &[]) - 1.0).abs() < 0.5);
    });
}

/// A pipe that nobody reads stands in for a stalled collector behind standard output.
fn stalled(driver: Driver) -> (Gateway, fs::File) {
    let folder = support::gateway::new_folder();
    let pipe = folder.join("log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("coreutils are there").success());
    // Both ends: the gateway can open it, and nothing is ever read.
    let kept = OpenOptions::new().read(true).write(true).open(&pipe).expect("a pipe");
    let config = r#"
gateway:
  access_log: {to: "{{folder}}/log"}
apis:
  web:
    kind: http
    routes:
      "GET /{proxy+}": {integration: {type: mock, status: 200, body: "{}"}}
    stages: {$default: {}}
"#;
    let gateway = Gateway::start_in(folder, config, driver, &[]);
    (gateway.unwrap_or_else(|why| panic!("{why:?}")), kept)
}

#[test]
fn a_stalled_reader_holds_up_nobody() {
    on_both_drivers(|driver| {
        let (gateway, kept) = stalled(driver);
        let before = gateway.rss();
        let mut client = gateway.client();
        // 64 batches of 64 KiB wait at most: lines of 4 KiB fill them soon.
        let get = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(4_000));
        let began = Instant::now();
        let mut slowest = Duration::ZERO;
        for _ in 0..3_000 {
            let sent = Instant::now();
            client.exchange(&get).expect_status(200);
            slowest = slowest.max(sent.elapsed());
        }
        let took = began.elapsed();
        let dropped = gateway.counter("tollgate_access_log_dropped_total", &[]);
        let grown = gateway.rss().saturating_sub(before);
        println!(
            "{}: 3000 requests in {took:?}, the slowest {slowest:?}, {dropped} lines dropped, {} KiB more memory",
            driver.name(),
            grown >> 10
        );
        assert!(dropped > 100.0, "{dropped} lines were dropped");
        assert!(
            dropped + gateway.counter("tollgate_access_log_lines_total", &[]) > 2_999.5,
            "lines are lost uncounted"
        );
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        // 4 MiB of batches, and what the first requests of a life need.
        assert!(grown < 16 << 20, "{grown} bytes more");
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
        drop(kept);
    });
}
