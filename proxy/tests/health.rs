//! Servers that are asked whether they are well: who is used, what they are asked, and by how many.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use support::gateway::one_way;
use support::{Backend, Driver, Gateway, Reply, eventually, on_both_drivers};

const GET: &str = "GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n";

/// A backend whose health is a number: the status of `/healthz`.
struct Patient {
    backend: Backend,
    status: Arc<AtomicU16>,
}

impl Patient {
    fn new() -> Patient {
        let status = Arc::new(AtomicU16::new(200));
        let told = status.clone();
        let backend = Backend::scripted(move |request| {
            let status = if request.target == "/healthz" { told.load(Ordering::Acquire) } else { 200 };
            let head = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
            Reply::Bytes(head.into_bytes())
        });
        Patient { backend, status }
    }

    fn is(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    /// Requests that were no checks.
    fn served(&self) -> usize {
        self.backend.take().iter().filter(|request| request.target != "/healthz").count()
    }
}

fn document(patients: &[&Patient], check: &str, more: &str) -> String {
    let servers: Vec<String> = patients.iter().map(|patient| format!("\"{}\"", patient.backend.address())).collect();
    one_way("", &format!("{{servers: [{}], health_check: {check}{more}}}", servers.join(", ")))
}

const CHECK: &str = "{path: /healthz, interval: 100ms, healthy: 2, unhealthy: 2, status: [200-299, 404]}";

fn server(gateway: &Gateway, patient: &Patient) -> Value {
    gateway.status()["upstreams"]["back"]["servers"][patient.backend.address()].clone()
}

fn health_is(gateway: &Gateway, patient: &Patient, health: &str) {
    eventually(&format!("the server is {health}"), || server(gateway, patient)["health"] == health);
}

fn asks(gateway: &Gateway, times: usize) {
    let mut client = gateway.client();
    (0..times).for_each(|_| assert_eq!(client.exchange(GET).status, 200));
}

fn checks(gateway: &Gateway, patient: &Patient, found: &str) -> u64 {
    server(gateway, patient)["checks"][found].as_u64().expect("a number")
}

#[test]
fn an_ill_server_is_not_used_until_it_is_well_again() {
    on_both_drivers(|driver: Driver| {
        let (one, other) = (Patient::new(), Patient::new());
        let gateway = Gateway::start(&document(&[&one, &other], CHECK, ""), driver);
        // Before the first check it counts as well, and afterwards it is.
        asks(&gateway, 4);
        assert_eq!((one.served(), other.served()), (2, 2));
        one.is(500);
        health_is(&gateway, &one, "ill");
        assert!(checks(&gateway, &one, "ill") >= 2);
        one.served();
        asks(&gateway, 6);
        assert_eq!((one.served(), other.served()), (0, 6));
        one.is(404);
        health_is(&gateway, &one, "well");
        asks(&gateway, 6);
        assert_eq!((one.served(), other.served()), (3, 3));
    });
}

#[test]
fn all_are_used_when_none_is_well() {
    on_both_drivers(|driver: Driver| {
        let (one, other) = (Patient::new(), Patient::new());
        let gateway = Gateway::start(&document(&[&one, &other], CHECK, ""), driver);
        for patient in [&one, &other] {
            patient.is(503);
        }
        for patient in [&one, &other] {
            health_is(&gateway, patient, "ill");
            patient.served();
        }
        asks(&gateway, 6);
        assert_eq!((one.served(), other.served()), (3, 3));
    });
}

#[test]
fn one_keeper_asks_for_all_workers_and_says_who_it_is() {
    on_both_drivers(|driver: Driver| {
        let patient = Patient::new();
        let check = "{path: \"/healthz?a=b\", interval: 1h, host: \"pets.test:8080\"}";
        let config = format!("gateway:\n  workers: 3\n{}", document(&[&patient], check, ""));
        let gateway = Gateway::start(&config, driver);
        eventually("the first check is over", || checks(&gateway, &patient, "well") == 1);
        let asked = patient.backend.only();
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/healthz?a=b"));
        let head = String::from_utf8_lossy(&asked.head).into_owned();
        assert!(head.contains("\r\nHost: pets.test:8080\r\n") && head.contains("\r\nConnection: close\r\n"), "{head}");
        // Another document that asks in the same way does not ask anew.
        assert_eq!(gateway.reload(&document(&[&patient], check, ", connect_time: 1s"))["ok"], true);
        // One that asks differently does.
        let other = "{path: /other, interval: 1h}";
        assert_eq!(gateway.reload(&document(&[&patient], other, ", connect_time: 1s"))["ok"], true);
        eventually("the other check is over", || checks(&gateway, &patient, "well") == 2);
        let asked = patient.backend.only();
        assert_eq!(asked.target, "/other");
        assert!(String::from_utf8_lossy(&asked.head).contains("\r\nHost: back\r\n"), "as requests have it");
        // And one without asks nobody: an ill server would stay ill for ever.
        assert_eq!(gateway.reload(&document(&[&patient], CHECK, ""))["ok"], true);
        patient.is(500);
        health_is(&gateway, &patient, "ill");
        let config = document(&[&patient], CHECK, "").replace(&format!(", health_check: {CHECK}"), "");
        assert_eq!(gateway.reload(&config)["ok"], true);
        assert_eq!(server(&gateway, &patient)["health"], "well");
    });
}

#[test]
fn a_server_that_does_not_answer_is_ill() {
    on_both_drivers(|driver: Driver| {
        let (dead, well) = (Patient::new(), Patient::new());
        let check = "{path: /healthz, interval: 100ms, unhealthy: 1}";
        let config = document(&[&dead, &well], check, "");
        let dead_address = dead.backend.address().to_owned();
        drop(dead);
        let gateway = Gateway::start(&config, driver);
        let health = || gateway.status()["upstreams"]["back"]["servers"][&dead_address]["health"].clone();
        eventually("the server is ill", || health() == "ill");
        asks(&gateway, 4);
        assert_eq!(well.served(), 4);
        assert_eq!(gateway.status()["upstreams"]["back"]["retries"], 0, "nobody was sent there");
        let told = gateway.counter("tollgate_server_well", &[("server", &dead_address)]);
        assert!(told < 0.5, "{told}");
    });
}

/// How many of these requests each of the two served.
fn shares(gateway: &Gateway, (one, other): (&Patient, &Patient), requests: usize) -> (usize, usize) {
    for patient in [one, other] {
        patient.served();
    }
    asks(gateway, requests);
    (one.served(), other.served())
}

#[test]
fn a_server_that_is_well_again_gets_its_share_by_and_by() {
    on_both_drivers(|driver: Driver| {
        let (one, other) = (Patient::new(), Patient::new());
        let slowly = |time: &str| document(&[&one, &other], CHECK, &format!(", slow_start: {time}"));
        let gateway = Gateway::start(&slowly("1h"), driver);
        assert_eq!(shares(&gateway, (&one, &other), 10), (5, 5), "nobody begins slowly at the start");
        one.is(500);
        health_is(&gateway, &one, "ill");
        one.is(200);
        health_is(&gateway, &one, "well");
        let (few, most) = shares(&gateway, (&one, &other), 44);
        assert_eq!((few, most), (4, 40), "a tenth of its weight in the first minutes of an hour");
        // In a shorter time it is through.
        assert_eq!(gateway.reload(&slowly("2s"))["ok"], true);
        eventually("it has its share", || shares(&gateway, (&one, &other), 10) == (5, 5));
    });
}

#[test]
fn a_server_that_is_ill_and_let_alone_is_said_to_be_both() {
    on_both_drivers(|driver: Driver| {
        let (failing, well) = (Patient::new(), Patient::new());
        let more = ", outlier: {failures: 1, time: 1h, time_max: 1h}";
        let gateway = Gateway::start(&document(&[&failing, &well], CHECK, more), driver);
        let status = failing.status.clone();
        failing.backend.script(move |request| match (request.target.as_str(), status.load(Ordering::Acquire)) {
            ("/healthz", status) => {
                Reply::Bytes(format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n").into_bytes())
            }
            _ => Reply::Close,
        });
        eventually("a request finds it failing", || {
            gateway.client().exchange(GET).expect_status(200);
            server(&gateway, &failing)["health"] == "ejected"
        });
        failing.is(500);
        health_is(&gateway, &failing, "ill, ejected");
        assert!(gateway.counter("tollgate_server_well", &[("server", failing.backend.address())]) < 0.5);
    });
}
