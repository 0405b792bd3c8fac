//! How connections are spread over the workers of a process: evenly, whatever the kernel's hash does.
#![allow(clippy::cast_precision_loss, reason = "what a test counts is small")]

mod support;

use support::gateway::sum;
use support::{Client, Driver, Gateway, eventually, on_both_drivers};

const CONNECTIONS: usize = 64;

/// Crowds in a row: the hash spreads each of them otherwise.
const CROWDS: usize = 8;

fn gateway(workers: usize, driver: Driver) -> Gateway {
    let config = format!(
        r#"
gateway:
  workers: {workers}
apis:
  http:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "ok"}}}}
    stages: {{$default: {{}}}}
domains: {{"*": {{mappings: {{/: http/$default}}}}}}
"#
    );
    Gateway::start(&config, driver)
}

fn share(gateway: &Gateway, worker: usize) -> f64 {
    gateway.counter("tollgate_connections_open", &[("worker", &worker.to_string())])
}

#[test]
fn sixty_four_connections_are_spread_within_a_fifth() {
    on_both_drivers(|driver| {
        for workers in [2, 4] {
            let gateway = gateway(workers, driver);
            for _ in 0..CROWDS {
                let mut crowd: Vec<Client> = (0..CONNECTIONS).map(|_| gateway.client()).collect();
                for client in &mut crowd {
                    client.exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
                }
                let shares: Vec<f64> = (0..workers).map(|worker| share(&gateway, worker)).collect();
                let most = shares.iter().copied().fold(0.0, f64::max);
                let even = CONNECTIONS as f64 / workers as f64;
                assert!(most <= even * 1.2, "{shares:?}");
                drop(crowd);
                eventually("all have gone", || sum(&gateway.metrics(), "tollgate_connections_open", &[]) < 0.5);
            }
            let handed_over = sum(&gateway.metrics(), "tollgate_connections_handed_over_total", &[]);
            assert!(handed_over > 0.0, "of {CROWDS} crowds none was spread evenly by itself");
        }
    });
}

#[test]
fn a_lone_client_stays_where_it_came_in() {
    on_both_drivers(|driver| {
        let gateway = gateway(2, driver);
        for _ in 0..20 {
            gateway.client().exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
            eventually("it has gone", || sum(&gateway.metrics(), "tollgate_connections_open", &[]) < 0.5);
        }
        assert!(sum(&gateway.metrics(), "tollgate_connections_handed_over_total", &[]) < 0.5);
    });
}
