//! The gateway under the system-call filter of its unit: it starts, serves, reloads and leaves as without.

mod support;
#[path = "support/syscall_filter.rs"]
mod syscall_filter;

use rustix::process::Signal;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers};

/// The life of a gateway in short: everything in it makes system calls of its own.
fn smoke(driver: Driver) {
    let backend = Backend::echo();
    let (_, port) = backend.address().rsplit_once(':').expect("an address has a port");
    let config = |more: &str| {
        format!(
            r#"
upstreams:
  back: {{servers: ["{}"]}}
  named: {{servers: ["localhost:{port}"]}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
      "ANY /named": {{integration: {{type: http_proxy, uri: "http://named/x"}}}}
      "GET /mock{more}": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{dev: {{}}}}
"#,
            backend.address()
        )
    };
    let gateway = Gateway::start(&config(""), driver);
    let process = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("the process lives");
    assert!(process.contains("\nSeccomp:\t2\n"), "no filter is loaded:\n{process}");
    let mut client = gateway.client();
    let get = |path: &str| format!("GET /dev/{path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.exchange(get("mock")).expect_status(200);
    client.exchange(get("named")).expect_status(200);
    let body = "x".repeat(300_000);
    let response = client.exchange(format!("POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{body}"));
    assert!(response.expect_status(200).text().ends_with(&body));
    assert_eq!(gateway.admin_get("/healthz"), "ok\n");
    assert!(gateway.counter("tollgate_requests_total", &[]) > 2.5);
    assert_eq!(gateway.reload(&config("/new"))["ok"], true);
    client.exchange(get("mock/new")).expect_status(200);
    gateway.signal(Signal::HUP);
    eventually("the signal's document serves", || gateway.status()["generation"] == 3);
    gateway.signal(Signal::USR1);
    let reopened = || gateway.counter("tollgate_access_log_reopened_total", &[]) > 0.5;
    eventually("the log is reopened", reopened);
    let report = gateway.upgrade(admin::UpgradeOrder::default());
    assert_eq!(report["ok"], true, "{report}");
    gateway.client().exchange(get("mock/new")).expect_status(200);
    assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    gateway.signal(Signal::TERM);
    Gateway::wait_end(gateway.pid());
    assert_eq!(gateway.access_log().lines().count(), 5);
}

#[test]
fn the_units_filter_leaves_all_that_is_needed() {
    let Some(program) = syscall_filter::program() else { return };
    on_both_drivers(|driver| {
        let program = program.clone();
        // The filter is the thread's and goes down to its children: the gateway is one.
        let filtered = std::thread::spawn(move || {
            seccompiler::apply_filter(&program).expect("the kernel takes the filter");
            smoke(driver);
        });
        if let Err(panic) = filtered.join() {
            std::panic::resume_unwind(panic);
        }
    });
}
