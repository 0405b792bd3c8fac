//! A new document while the gateway serves: by signal, by the control socket, under load, and with faults.
#![allow(clippy::cast_precision_loss, reason = "what a test counts is small")]

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::process::Signal;
use support::gateway::complete;
use support::{Backend, Gateway, eventually, on_both_drivers};
use wild::Wild;

/// `/mock` and `/x`, and further mock routes.
fn document(backend: &str, pool: &str, more: &[&str]) -> String {
    let mut text = format!(
        r#"
upstreams:
  back: {{servers: ["{backend}"]{pool}}}
apis:
  http:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
"#
    );
    for route in more {
        writeln!(text, "      \"GET /{route}\": {{integration: {{type: mock, status: 200, body: \"{{}}\"}}}}")
            .expect("text");
    }
    text + "    stages: {$default: {}}\n"
}

fn get(path: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn both_doors_serve_the_new_document_on_connections_that_are_open() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = Gateway::start(&document(backend.address(), "", &[]), driver);
        let mut client = gateway.client();
        client.exchange(get("mock")).expect_status(200);
        client.exchange(get("new")).expect_status(404);
        let report = gateway.reload(&document(backend.address(), "", &["new"]));
        assert_eq!((&report["ok"], &report["generation"]), (&true.into(), &2.into()), "{report}");
        assert!(report["changes"].to_string().contains("methods 1 added"), "{report}");
        client.exchange(get("new")).expect_status(200);
        let text = complete(&document(backend.address(), "", &["other"]), gateway.folder());
        std::fs::write(gateway.folder().join("gateway.yaml"), text).expect("the folder is writable");
        gateway.signal(Signal::HUP);
        eventually("the signal's document serves", || gateway.status()["generation"] == 3);
        client.exchange(get("new")).expect_status(404);
        client.exchange(get("other")).expect_status(200);
        assert!((gateway.counter("tollgate_reloads_total", &[("result", "ok")]) - 2.0).abs() < 0.5);
        assert_eq!(gateway.status()["connections"]["accepted"], 1, "the client's connection stayed");
    });
}

#[test]
fn a_document_with_faults_changes_nothing() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let good = document(backend.address(), "", &[]);
        let gateway = Gateway::start(&good, driver);
        let mut client = gateway.client();
        let successful = || gateway.counter("tollgate_last_reload_successful", &[]) > 0.5;
        for (turn, bad) in [
            good.replace("kind: http", "kind: htpp"),
            good.replace("stages:", "stagse:"),
            good.replace("\"ANY /x\"", "\"ANY /{x\""),
            good.replace("apis:", "apis: ["),
        ]
        .iter()
        .enumerate()
        {
            let report = gateway.reload(bad);
            assert_eq!((&report["ok"], &report["generation"]), (&false.into(), &1.into()), "{report}");
            let faults = report["faults"].as_str().expect("text");
            assert!(faults.contains("gateway.yaml:") && faults.contains("error"), "{faults}");
            client.exchange(get("mock")).expect_status(200);
            assert!(!successful());
            let failed = gateway.counter("tollgate_reloads_total", &[("result", "failed")]);
            assert!((failed - turn as f64 - 1.0).abs() < 0.5, "{failed}");
        }
        let failed = || gateway.counter("tollgate_reloads_total", &[("result", "failed")]);
        let before = failed();
        gateway.signal(Signal::HUP);
        eventually("the signal's reload has failed", || failed() > before + 0.5);
        gateway.expect_said("reload refused");
        assert_eq!(gateway.status()["generation"], 1);
        let report = gateway.reload(&good);
        assert_eq!((&report["ok"], &report["generation"]), (&true.into(), &2.into()), "{report}");
        assert!(successful());
    });
}

#[test]
fn a_warning_is_told_once() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let with = |variables: &[&str]| {
            let good = document(backend.address(), "", &[]);
            let route = |name: &&str| {
                format!(
                    "      \"GET /{name}\": {{integration: {{type: http_proxy, uri: \"http://back/${{stageVariables.{name}}}\"}}}}\n"
                )
            };
            let routes: String = variables.iter().map(route).collect();
            good.replace("    stages:", &format!("{routes}    stages:"))
        };
        let gateway = Gateway::start(&with(&["one"]), driver);
        let told = |variables: &[&str]| {
            let report = gateway.reload(&with(variables));
            assert_eq!((&report["ok"], &report["warnings"]), (&true.into(), &variables.len().into()), "{report}");
            report["faults"].as_str().expect("text").to_owned()
        };
        assert!(told(&["one"]).contains("warning: stage variable `one`"), "whoever commands has not seen the start");
        let text = told(&["one"]);
        assert!(text.starts_with("1 warning as before; `tollgate check ") && text.lines().count() == 1, "{text}");
        let text = told(&["one", "two"]);
        assert!(text.contains("warning: stage variable `two`") && !text.contains("variable `one`"), "{text}");
        assert!(told(&["two", "one"]).starts_with("2 warnings as before"), "wherever they stand");
        assert_eq!(told(&[]), "");
        assert!(told(&["two"]).contains("warning: stage variable `two`"), "it has come back");
    });
}

#[test]
fn a_document_that_is_gone_changes_nothing() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = Gateway::start(&document(backend.address(), "", &[]), driver);
        std::fs::remove_file(gateway.folder().join("gateway.yaml")).expect("it is there");
        gateway.signal(Signal::HUP);
        let failed = || gateway.counter("tollgate_reloads_total", &[("result", "failed")]) > 0.5;
        eventually("the reload has failed", failed);
        gateway.client().exchange(get("mock")).expect_status(200);
    });
}

#[test]
fn what_needs_a_restart_is_said() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let text = document(backend.address(), "", &[]);
        let gateway = Gateway::start(&text, driver);
        let report = gateway.reload(&format!("gateway:\n  workers: 3\n{text}"));
        assert_eq!(report["ok"], true, "{report}");
        assert!(report["changes"].to_string().contains("gateway.workers changed"), "{report}");
        assert_eq!(gateway.status()["workers"], 1);
    });
}

/// Reloads in a row, while clients ask without a pause.
const RELOADS: u64 = 200;

#[test]
fn two_hundred_reloads_under_load_fail_nobody() {
    on_both_drivers(|driver| {
        let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let one = document(backend.address(), "", &[]);
        let workers = "gateway:\n  workers: 2\n";
        let gateway = Gateway::start(&format!("{workers}{one}"), driver);
        let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for number in 0..4 {
                let (gateway, over, served) = (&gateway, &over, &served);
                scope.spawn(move || {
                    let mut client = gateway.client();
                    let mut turn = number;
                    while !over.load(Ordering::Acquire) {
                        // A connection of its own now and then: reloads must not disturb the listener either.
                        if turn % 50 == 49 {
                            client = gateway.client();
                        }
                        let path = if turn % 2 == 0 { "mock" } else { "x" };
                        client.exchange(get(path)).expect_status(200);
                        served.fetch_add(1, Ordering::AcqRel);
                        turn += 1;
                    }
                });
            }
            let reloaded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for number in 0..RELOADS {
                    // In turn: the same, a route more, another upstream.
                    let pool = if number % 3 == 2 { ", pool: {idle: 8}" } else { "" };
                    let more: &[&str] = if number % 3 == 1 { &["more"] } else { &[] };
                    let report = gateway.reload(&format!("{workers}{}", document(backend.address(), pool, more)));
                    assert_eq!(report["ok"], true, "{report}");
                    let before = served.load(Ordering::Acquire);
                    eventually("requests go on", || served.load(Ordering::Acquire) > before);
                }
            }));
            over.store(true, Ordering::Release);
            if let Err(panic) = reloaded {
                std::panic::resume_unwind(panic);
            }
        });
        let served = served.load(Ordering::Acquire);
        println!("{}: {RELOADS} reloads, {served} requests, none failed", driver.name());
        assert_eq!(gateway.status()["generation"], RELOADS + 1);
        let refused: f64 = gateway.counter("tollgate_refusals_total", &[]);
        assert!(refused < 0.5, "{refused} refusals");
        assert!((gateway.counter("tollgate_responses_total", &[("class", "2xx")]) - served as f64).abs() < 0.5);
        eventually("only idle connections are left", || {
            gateway.status()["upstream"]["open"] == gateway.status()["upstream"]["idle"]
        });
    });
}

#[test]
fn a_server_keeps_its_connections_as_long_as_it_is_named() {
    on_both_drivers(|driver| {
        let backends = [Backend::echo(), Backend::echo()];
        let [one, two] = backends.each_ref().map(Backend::address);
        let gateway = Gateway::start(&document(one, "", &[]), driver);
        let mut client = gateway.client();
        let both = format!("{one}\", \"{two}");
        // A route more, other settings, another server beside it, another order, another weight.
        for next in [
            document(one, "", &["more"]),
            document(one, ", connect_time: 1s, balance: least_requests", &[]),
            document(one, ", pool: {idle: 3, idle_time: 90s}", &[]),
            document(&both, "", &[]),
            document(&format!("{two}\", \"{one}"), "", &[]),
            document(one, "", &[]).replace(&format!("\"{one}\"]"), &format!("{{address: \"{one}\", weight: 7}}]")),
        ] {
            client.exchange(get("x")).expect_status(200);
            client.exchange(get("x")).expect_status(200);
            let report = gateway.reload(&next);
            assert_eq!(report["ok"], true, "{report}");
        }
        assert_eq!(backends[0].connections(), 1, "one connection through all of it");
        assert_eq!(gateway.reload(&document(&both, "", &[]))["ok"], true);
        for _ in 0..4 {
            client.exchange(get("x")).expect_status(200);
        }
        eventually("one each", || backends.each_ref().map(Backend::open) == [1, 1]);
        // The one that goes is let go; the other is not disturbed.
        let report = gateway.reload(&document(two, "", &[]));
        assert!(report["changes"].to_string().contains("upstream"), "{report}");
        eventually("the connections of the one that went are closed", || backends[0].open() == 0);
        let before = backends[1].connections();
        client.exchange(get("x")).expect_status(200);
        assert_eq!((backends[1].connections(), backends[1].open()), (before, 1));
        assert_eq!(gateway.status()["upstream"]["open"], 1);
        // A pool that shrinks lets go of what it may not keep.
        assert_eq!(gateway.reload(&document(two, ", pool: {idle: 0}", &[]))["ok"], true);
        eventually("nothing is kept", || backends[1].open() == 0 && gateway.status()["upstream"]["open"] == 0);
        client.exchange(get("x")).expect_status(200);
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn a_request_under_way_keeps_its_snapshot() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let with = document(backend.address(), "", &[]);
        let without = with.lines().filter(|line| !line.contains("ANY /x")).collect::<Vec<_>>().join("\n") + "\n";
        // Its upstream stays, changes, and goes.
        let changed = document(backend.address(), ", pool: {idle: 3}", &[]);
        let gone = without.replace("upstreams:\n", "").replace("  back:", "# back:");
        for next in [with.clone(), changed, without, gone] {
            let before = backend.connections();
            let gateway = Gateway::start(&with, driver);
            let mut client = gateway.client();
            client.send(get("x"));
            eventually("the request is with the backend", || backend.connections() == before + 1);
            let report = gateway.reload(&next);
            assert_eq!(report["ok"], true, "{report}");
            go.send(()).expect("the backend waits");
            assert_eq!(client.read_response().expect_status(200).text(), "done", "{next}");
            client.exchange(get("mock")).expect_status(200);
            // Its server is the same, with or without a route to it.
            let kept = u64::from(!next.contains("# back"));
            eventually("nothing of the old upstream is left", || {
                let upstream = &gateway.status()["upstream"];
                upstream["open"] == kept && upstream["idle"] == kept
            });
            if !next.contains("ANY /x") {
                client.exchange(get("x")).expect_status(404);
            }
        }
    });
}
