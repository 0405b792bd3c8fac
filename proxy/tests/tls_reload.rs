//! Certificates that change while clients come and stay: by `gateway.watch`, by SIGHUP, a hundred times under load, and while another
//! executable takes over; on both drivers.

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use admin::UpgradeOrder;
use rustix::process::Signal;
use support::gateway::new_folder;
use support::{Driver, Gateway, eventually, on_both_drivers};
use tls::{Authority, Identity, Visitor};

const GET: &str = "GET /mock HTTP/1.1\r\nHost: main.test\r\n\r\n";

fn document(gateway: &str) -> String {
    format!(
        "gateway:\n  listen: [{{address: \"127.0.0.1:0\", tls: {{certificate: main.crt, key: main.key}}}}]\n{gateway}apis:\n  http:\n    \
         kind: http\n    routes: {{\"GET /mock\": {{integration: {{type: mock, status: 200, body: hello}}}}}}\n    stages: {{$default: {{}}}}\n"
    )
}

struct House {
    gateway: Gateway,
    authority: Authority,
    visitor: Visitor,
}

impl House {
    fn start(driver: Driver, gateway: &str) -> House {
        let folder = new_folder();
        let authority = Authority::new("ca");
        authority.issue(&["main.test"]).write(&folder, "main");
        let gateway = Gateway::start_in(folder, &document(gateway), driver, &[]);
        let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
        let root = Identity { certificate: authority.certificate.clone(), key: String::new() };
        House { gateway, authority, visitor: Visitor::new(&[&root]) }
    }

    /// Writes another certificate.
    fn renew(&self) -> Identity {
        let next = self.authority.issue(&["main.test"]);
        next.write(self.gateway.folder(), "main");
        next
    }

    fn shows(&self, identity: &Identity) -> bool {
        let mut client = self.visitor.connect(self.gateway.address(), "main.test");
        client.exchange(GET).expect_status(200);
        client.certificate() == identity.der()
    }
}

#[test]
fn files_that_change_are_taken_over() {
    on_both_drivers(|driver| {
        for (gateway, by) in [("  watch: true\n", "watch"), ("", "signal")] {
            let house = House::start(driver, gateway);
            let mut stays = house.visitor.connect(house.gateway.address(), "main.test");
            stays.exchange(GET).expect_status(200);
            let next = house.renew();
            if by == "signal" {
                house.gateway.signal(Signal::HUP);
            }
            eventually("the next certificate is shown", || house.shows(&next));
            stays.exchange(GET).expect_status(200);
            // The workers show it before the reload is over.
            let counted = || house.gateway.counter("tollgate_reloads_total", &[("by", by), ("result", "ok")]) > 0.5;
            eventually("it is counted", counted);
            // What does not fit changes nothing.
            std::fs::write(house.gateway.folder().join("main.key"), "no key").expect("the folder is writable");
            if by == "signal" {
                house.gateway.signal(Signal::HUP);
            }
            let failed = || house.gateway.counter("tollgate_reloads_total", &[("by", by), ("result", "failed")]) > 0.5;
            eventually("it is refused", failed);
            assert!(house.shows(&next));
        }
    });
}

/// Handshakes and requests until it is told to stop; none may fail.
fn load(house: &House, stop: &AtomicBool, served: &AtomicU64) {
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    let mut client = house.visitor.connect(house.gateway.address(), "main.test");
                    client.exchange(GET).expect_status(200);
                    served.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
    });
}

/// Does something while clients come without a pause.
fn under_load(house: &House, act: impl FnOnce(&AtomicU64)) {
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients = scope.spawn(|| load(house, &stop, &served));
        let begun = served.load(Ordering::Acquire);
        eventually("clients come", || served.load(Ordering::Acquire) > begun);
        act(&served);
        let ended = served.load(Ordering::Acquire);
        eventually("they still come", || served.load(Ordering::Acquire) > ended + 10);
        stop.store(true, Ordering::Release);
        clients.join().expect("none has failed");
    });
}

#[test]
fn a_hundred_certificates_under_load() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "");
        under_load(&house, |_| {
            for _ in 0..100 {
                let next = house.renew();
                let report = house.gateway.reload(&document(""));
                assert_eq!(report["ok"], true, "{report}");
                assert!(house.shows(&next));
            }
        });
        let failures = house.gateway.counter("tollgate_tls_handshake_failures_total", &[]);
        assert!(failures < 0.5, "{failures} handshakes failed");
    });
}

#[test]
fn another_executable_takes_over_under_load() {
    on_both_drivers(|driver| {
        let house = House::start(driver, "  limits: {drain_time: 10s}\n");
        let next = house.renew();
        under_load(&house, |_| {
            let report = house.gateway.upgrade(UpgradeOrder::default());
            assert_eq!(report["ok"], true, "{report}\n{}", house.gateway.stderr());
            eventually("the next one serves", || house.shows(&next));
        });
    });
}
