//! The admin port of a running gateway: four pages, GET only, and nobody else's host name (R13).

mod support;

use support::{Client, Gateway, eventually, on_both_drivers};

const API: &str = r#"
apis:
  rest:
    kind: rest
    routes:
      "GET /mock": {integration: {type: mock, status: 200, body: "{}"}}
    stages: {dev: {}}
"#;

#[test]
fn four_pages_tell_of_the_gateway() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(API, driver);
        assert_eq!(gateway.admin_get("/healthz"), "ok\n");
        assert_eq!(gateway.admin_get("/readyz"), "ready\n");
        let mut client = gateway.client();
        for _ in 0..3 {
            client.exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        }
        client.exchange("GET /dev/nothing HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(403);
        let status: serde_json::Value = serde_json::from_str(&gateway.admin_get("/status")).expect("JSON");
        assert_eq!(status["pid"], gateway.pid());
        assert_eq!(status["requests"], 4);
        assert_eq!(status["connections"]["open"], 1);
        assert_eq!(status["io"]["driver"], driver.told());
        let page = gateway.admin_get("/metrics");
        for line in page.lines() {
            let sample = line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok());
            assert!(line.starts_with("# HELP ") || line.starts_with("# TYPE ") || sample, "{line}");
        }
        let is = |name: &str, labels: &[(&str, &str)], value: f64| {
            let now = gateway.counter(name, labels);
            assert!((now - value).abs() < 0.5, "{name} {labels:?}: {now} instead of {value}");
        };
        is("tollgate_requests_total", &[], 4.0);
        is("tollgate_responses_total", &[("class", "2xx")], 3.0);
        is("tollgate_responses_total", &[("class", "4xx")], 1.0);
        is("tollgate_refusals_total", &[("reason", "no_such_method")], 1.0);
        is("tollgate_refusals_total", &[], 1.0);
        is("tollgate_faults_total", &[], 0.0);
        is("tollgate_connections_accepted_total", &[], 1.0);
        is("tollgate_stage_requests_total", &[("api", "rest"), ("stage", "dev"), ("class", "2xx")], 3.0);
        is("tollgate_stage_latency_seconds_count", &[("stage", "dev")], 4.0);
        is("tollgate_io_driver_info", &[("driver", driver.told())], 1.0);
        is("tollgate_workers", &[], 1.0);
        is("tollgate_snapshot_generation", &[], 1.0);
    });
}

#[test]
fn a_head_that_is_refused_is_a_request_too() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(API, driver);
        gateway.client().exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\nno name\r\n\r\n").expect_status(400);
        let count = |name: &str| gateway.counter(name, &[]);
        eventually("it is recorded", || (count("tollgate_responses_total") - 1.0).abs() < 0.5);
        assert!((count("tollgate_requests_total") - 1.0).abs() < 0.5, "{}", count("tollgate_requests_total"));
    });
}

#[test]
fn it_is_read_only_and_local() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(API, driver);
        let ask = |request: String| {
            let mut client = Client::connect(gateway.admin());
            client.send(request);
            client.read_response()
        };
        let local = gateway.admin();
        for verb in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let response = ask(format!("{verb} /status HTTP/1.1\r\nHost: {local}\r\nConnection: close\r\n\r\n"));
            assert_eq!(response.expect_status(405).header("Allow"), Some("GET"));
        }
        for host in ["evil.example", "evil.example:1", "localhost.evil.example", "127.0.0.1.evil.example"] {
            ask(format!("GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).expect_status(421);
        }
        for host in ["localhost", "127.0.0.1", "[::1]:1", local] {
            ask(format!("GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).expect_status(200);
        }
        ask(format!("GET /dev/mock HTTP/1.1\r\nHost: {local}\r\nConnection: close\r\n\r\n")).expect_status(404);
        // And the pages are not among what the gateway serves.
        let response = gateway.client().exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        response.expect_status(403);
    });
}

#[test]
fn a_crowd_at_the_admin_port_holds_up_no_request() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(API, driver);
        let crowd: Vec<Client> = (0..100).map(|_| Client::connect(gateway.admin())).collect();
        gateway.client().exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        drop(crowd);
        eventually("it answers again", || gateway.admin_get("/healthz") == "ok\n");
    });
}
