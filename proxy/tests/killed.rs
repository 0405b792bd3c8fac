//! Backends that die under load: of three processes one is killed every so often, and nobody who may ask again is told.
//! `TOLLGATE_LONG=1` kills for two minutes.

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Driver, Gateway, on_both_drivers};

const CLIENTS: usize = 8;
/// Requests before each kill, and between it and the restart.
const BETWEEN: usize = 300;

/// A backend in a process of its own: a gateway that answers by itself. Addresses of their own, so that no connect of
/// anybody takes a port between a death and the next life.
struct Backend {
    address: String,
    process: Option<Gateway>,
}

impl Backend {
    fn new(number: usize) -> Backend {
        let process = Backend::serve(&format!("127.0.0.{}:0", number + 11));
        Backend { address: process.address().to_owned(), process: Some(process) }
    }

    fn serve(address: &str) -> Gateway {
        let config = format!(
            r#"gateway:
  listen: "{address}"
  access_log: none
apis:
  a:
    kind: http
    routes:
      $default: {{integration: {{type: mock, body: "whole"}}}}
    stages: {{$default: {{}}}}
domains:
  "*": {{mappings: {{/: a/$default}}}}
"#
        );
        Gateway::start(&config, Driver::Epoll)
    }

    fn kill(&mut self) {
        let process = self.process.take().expect("it lives");
        process.signal(Signal::KILL);
        process.wait_exit();
    }

    fn live(&mut self) {
        self.process = Some(Backend::serve(&self.address));
    }
}

fn gateway(backends: &[Backend], driver: Driver) -> Gateway {
    let servers: Vec<String> = backends.iter().map(|backend| format!("\"{}\"", backend.address)).collect();
    let config = format!(
        r#"gateway:
  workers: 2
upstreams:
  back: {{servers: [{}], outlier: {{time: 100ms, time_max: 400ms}}}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {{timeout: 10s, integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{dev: {{}}}}
"#,
        servers.join(", ")
    );
    Gateway::start(&config, driver)
}

/// Asks until it is told to stop. What went wrong, if anything did.
fn load(gateway: &Gateway, number: usize, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let verbs = ["GET", "PUT", "DELETE", "OPTIONS"];
    let mut client = gateway.client();
    let mut wrong = Vec::new();
    for turn in number.. {
        if stop.load(Ordering::Acquire) || wrong.len() > 10 {
            break;
        }
        let verb = verbs[turn % verbs.len()];
        let response = client.exchange(format!("{verb} /dev/x HTTP/1.1\r\nHost: a\r\n\r\n"));
        if (response.status, response.text().as_str()) != (200, "whole") {
            wrong.push(format!("{verb}: {}", support::shown(&response.raw)));
        }
        served.fetch_add(1, Ordering::AcqRel);
    }
    wrong
}

#[test]
fn one_of_three_dies_again_and_again_and_no_safe_request_fails() {
    on_both_drivers(|driver| {
        let mut backends: Vec<Backend> = (0..3).map(Backend::new).collect();
        let gateway = gateway(&backends, driver);
        let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        let began = Instant::now();
        let (least, time) = if wild::long() { (30, Duration::from_secs(120)) } else { (4, Duration::ZERO) };
        let mut kills = 0;
        let wrong: Vec<String> = thread::scope(|scope| {
            let loads: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (gateway, stop, served) = (&gateway, &stop, &served);
                    scope.spawn(move || load(gateway, number, stop, served))
                })
                .collect();
            let more_are_served = || {
                let enough = served.load(Ordering::Acquire) + BETWEEN;
                let idle = || loads.iter().all(thread::ScopedJoinHandle::is_finished);
                support::eventually("requests are served", || served.load(Ordering::Acquire) >= enough || idle());
            };
            while kills < least || began.elapsed() < time {
                let victim = &mut backends[kills % 3];
                more_are_served();
                victim.kill();
                more_are_served();
                victim.live();
                kills += 1;
            }
            more_are_served();
            stop.store(true, Ordering::Release);
            loads.into_iter().flat_map(|load| load.join().expect("a client that did not panic")).collect()
        });
        let back = gateway.status()["upstreams"]["back"].clone();
        println!("{}: {kills} kills, {} requests: {back:#}", driver.name(), served.load(Ordering::Acquire));
        assert!(wrong.is_empty(), "{} of {} failed: {wrong:#?}", wrong.len(), served.load(Ordering::Acquire));
        assert!(back["retries"].as_u64() > Some(0), "nobody was in the way of a kill: {back:#}");
        let all = back["servers"].as_object().expect("servers");
        assert!(all.values().all(|server| server["failures"].as_u64() > Some(0)), "each was killed: {back:#}");
    });
}
