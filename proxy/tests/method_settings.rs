//! Settings of single methods in a stage: rows ST-07 and ST-08, as far as this version carries them out: metrics.

mod support;

use support::{Gateway, eventually, on_both_drivers};

const CONFIG: &str = r#"
apis:
  shop:
    kind: rest
    routes:
      "GET /pets/{id}": &told {integration: {type: mock, body: "{}"}}
      "POST /pets": *told
      "ANY /other": *told
    stages:
      one: {methods: {"/pets/{id}/GET": {metrics: true}}}
      all: {methods: {"*/*": {metrics: true}, "POST /pets": {metrics: false}}}
      off: {methods: {"*/*": {metrics: false, logging_level: OFF, data_trace: false}}}
      plain: {}
  web:
    kind: http
    routes: {"GET /a": *told, $default: *told}
    stages: {$default: {methods: {$default: {metrics: true}}}}
domains:
  one.test: {mappings: {/: shop/one}}
  all.test: {mappings: {/: shop/all}}
  off.test: {mappings: {/: shop/off}}
  plain.test: {mappings: {/: shop/plain}}
  web.test: {mappings: {/: web/$default}}
"#;

/// Requests that were counted for a method; 0 also where it has no counters.
fn counted(gateway: &Gateway, api: &str, stage: &str, method: &str) -> f64 {
    gateway.counter("tollgate_method_requests_total", &[("api", api), ("stage", stage), ("method", method)])
}

#[test]
fn st_07_st_08_metrics_of_the_methods_that_ask_for_them() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(CONFIG, driver);
        let mut client = gateway.client();
        let mut requests = 0.0;
        for host in ["one.test", "all.test", "off.test", "plain.test", "web.test"] {
            for line in ["GET /pets/7", "GET /pets/8", "POST /pets", "PUT /other", "GET /a"] {
                client.exchange(format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
                requests += 1.0;
            }
        }
        eventually("every request is recorded", || {
            let now = gateway.counter("tollgate_stage_requests_total", &[]);
            (now - requests).abs() < 0.5
        });
        for (api, stage, method, count) in [
            ("shop", "one", "GET /pets/{id}", 2.0),
            ("shop", "one", "POST /pets", 0.0),
            ("shop", "all", "GET /pets/{id}", 2.0),
            ("shop", "all", "POST /pets", 0.0),
            ("shop", "all", "ANY /other", 1.0),
            ("web", "$default", "$default", 4.0),
            ("web", "$default", "GET /a", 0.0),
        ] {
            let now = counted(&gateway, api, stage, method);
            assert!((now - count).abs() < 0.5, "{api} {stage} {method}: {now} instead of {count}");
        }
        let of_stage = |stage: &str| gateway.counter("tollgate_method_requests_total", &[("stage", stage)]);
        assert!(of_stage("off") < 0.5 && of_stage("plain") < 0.5);
        let latency = gateway.counter("tollgate_method_latency_seconds_count", &[("stage", "one")]);
        assert!((latency - 2.0).abs() < 0.5, "{latency}");
    });
}
