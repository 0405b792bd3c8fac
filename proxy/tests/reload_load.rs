//! Reloads in a row under load: no request fails, no answer is of two minds, and no memory stays behind.

mod support;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::gateway::complete;
use support::{Client, Driver, Gateway, eventually, on_both_drivers};

/// One gateway at a time: memory is compared under the same load.
static ALONE: Mutex<()> = Mutex::new(());

const GET: &str = "GET /number HTTP/1.1\r\nHost: a\r\n\r\n";

/// Reloads of a short run, and of one with `TOLLGATE_LONG`.
fn reloads() -> u64 {
    if std::env::var_os("TOLLGATE_LONG").is_some() { 1_000 } else { 60 }
}

/// What may stay behind over the last half of the reloads: the noise of the allocator, not a snapshot for each.
const GROWTH_MAX: u64 = 6 << 20;

/// Status, field and body bear the number; routes beside it give a snapshot some weight.
fn document(number: u64) -> String {
    let status = 210 + number % 80;
    let mut text = format!(
        "gateway:\n  workers: 2\napis:\n  http:\n    kind: http\n    routes:\n      \"GET /number\": {{integration: {{type: mock, \
         status: {status}, headers: {{x-number: \"{number}\"}}, body: \"{number}\"}}}}\n"
    );
    for route in 0..400 {
        let answer = format!("{{type: mock, status: 200, body: \"{number}\"}}");
        writeln!(text, "      \"GET /r{route}/{{id}}\": {{integration: {answer}}}").expect("text");
    }
    text + "    stages: {$default: {}}\n"
}

/// One answer, wholly of one document: its number.
#[track_caller]
fn number_of(client: &mut Client) -> u64 {
    let response = client.exchange(GET);
    let number: u64 = response.header("x-number").expect("the field").parse().expect("a number");
    assert_eq!(response.text().trim_matches('"'), number.to_string(), "an answer of two minds");
    response.expect_status(u16::try_from(210 + number % 80).expect("small"));
    number
}

/// Asks on one connection, or on a new one each time; numbers never go back.
fn ask(gateway: &Gateway, kept: bool, over: &AtomicBool, served: &AtomicU64) {
    let mut client = gateway.client();
    let mut last = 0;
    while !over.load(Ordering::Acquire) {
        if !kept {
            client = gateway.client();
        }
        let number = number_of(&mut client);
        assert!(number >= last || !kept, "{number} after {last} on one connection");
        last = number;
        served.fetch_add(1, Ordering::AcqRel);
    }
}

/// Clients while `act` runs: how many requests were served.
fn under_load(gateway: &Gateway, act: impl FnOnce(&AtomicU64)) -> u64 {
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for kept in [true, true, false, false] {
            let (over, served) = (&over, &served);
            scope.spawn(move || ask(gateway, kept, over, served));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| act(&served)));
        over.store(true, Ordering::Release);
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
    });
    served.into_inner()
}

#[test]
fn reloads_under_load_fail_nobody_mix_nothing_and_keep_nothing() {
    on_both_drivers(|driver| {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = Gateway::start(&document(0), driver);
        let mut half = 0;
        let served = under_load(&gateway, |served| {
            for number in 1..=reloads() {
                let report = gateway.reload(&document(number));
                assert_eq!(report["ok"], true, "{report}");
                let before = served.load(Ordering::Acquire);
                eventually("requests go on", || served.load(Ordering::Acquire) > before);
                if number == reloads() / 2 {
                    half = gateway.own_memory();
                }
            }
        });
        assert_eq!(number_of(&mut gateway.client()), reloads());
        eventually("memory is as it was", || gateway.own_memory() < half + GROWTH_MAX);
        let end = gateway.own_memory();
        println!("{}: {} reloads, {served} requests, {half} bytes at half, {end} at the end", driver.name(), reloads());
        assert!(gateway.counter("tollgate_refusals_total", &[]) < 0.5);
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn reloads_that_race_with_each_other_and_with_faults() {
    on_both_drivers(|driver| {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = Gateway::start(&document(0), driver);
        under_load(&gateway, |_| {
            let write = |text: &str| {
                // Whole in one step: somebody else reads.
                let beside = gateway.folder().join("next");
                std::fs::write(&beside, complete(text, gateway.folder())).expect("the folder is writable");
                std::fs::rename(&beside, gateway.folder().join("gateway.yaml")).expect("the folder is writable");
            };
            thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 1..=20 {
                        write(&document(number).replace("kind: http", "kind: htpp"));
                        gateway.signal(Signal::HUP);
                        write(&document(number));
                        gateway.signal(Signal::HUP);
                    }
                });
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            admin::control::call(gateway.control(), admin::control::Command::Reload)
                                .expect("an answer");
                        }
                    });
                }
            });
        });
        let report = gateway.reload(&document(20));
        assert_eq!(report["ok"], true, "{report}");
        assert_eq!(number_of(&mut gateway.client()), 20);
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn leaving_does_not_wait_for_a_reload_and_is_clean() {
    on_both_drivers(leave_while_reloading);
}

/// Less than busy clients of a gateway that leaves have for one more request.
const PAUSE: Duration = Duration::from_millis(200);

fn leave_while_reloading(driver: Driver) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for turn in 0..5 {
        let gateway = Gateway::start(&document(0), driver);
        let (mut client, mut last) = (gateway.client(), Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..=turn * 2 {
                    gateway.signal(Signal::HUP);
                }
                gateway.signal(Signal::TERM);
                gateway.signal(Signal::HUP);
            });
            // Served to the last word.
            loop {
                let answer =
                    client.try_send(GET).map_err(|error| error.to_string()).and_then(|()| client.try_response(false));
                let response = match answer {
                    Ok(response) => response,
                    // A client that this machine let wait is idle to the gateway, which then leaves without a word.
                    Err(_) if last.elapsed() > PAUSE => break,
                    Err(why) => panic!("{why}"),
                };
                last = Instant::now();
                response.expect_status(210);
                if response.header("Connection") == Some("close") {
                    break;
                }
            }
        });
        drop(client);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    }
}
