//! Callers who show a name and a password (RFC 7617): what they are told, what their backends are told, what becomes of storms, of a worker
//! that has other things to do, and of a file that changes.
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

mod support;

use std::fs;
use std::process::Command;

use data_encoding::BASE64;
use support::gateway::new_folder;
use support::{Backend, Driver, Gateway, Response, eventually, on_both_drivers, shown};

/// `U*U` and `U*V` of the tests of `crypt_blowfish`; `password` of argon2's; `Hello world!` of SHA-256-crypt's specification.
const USERS: &str = "# staff\n\
    ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n\
    bob:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n\
    jürgen:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5\n";

/// An HTTP API, and a REST API at `rest.test`; `more`: what the authorizer says beside its users.
fn document(backend: &str, more: &str) -> String {
    format!(
        r#"upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  h:
    kind: http
    authorizers:
      staff: {{type: basic, users: {{file: users.htpasswd}}{more}}}
    routes:
      "GET /me": {{authorizer: staff, integration: {{type: mock, body: "$context.authorizer.principalId"}}}}
      "GET /back": {{authorizer: staff, integration: {{type: http_proxy, uri: "http://back/"}}}}
      "GET /open": {{integration: {{type: mock, body: ok}}}}
    stages: {{$default: {{}}}}
  r:
    kind: rest
    authorizers:
      staff: {{type: basic, realm: "the \"back\" door", users: {{ann: "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", eve: "${{file:eve}}"}}}}
    routes:
      "GET /me": {{authorizer: staff, integration: {{type: mock, body: "$context.authorizer.principalId"}}}}
    stages: {{s: {{}}}}
domains:
  "*": {{mappings: {{/: h/$default}}}}
  rest.test: {{mappings: {{/: r/s}}}}
"#
    )
}

fn start(driver: Driver, backend: &Backend, more: &str) -> Gateway {
    let folder = new_folder();
    fs::write(folder.join("users.htpasswd"), USERS).expect("the folder is writable");
    let eve =
        "eve:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1\n";
    fs::write(folder.join("eve"), eve).expect("the folder is writable");
    let started = Gateway::start_in(folder, &document(backend.address(), more), driver, &[]);
    started.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr))
}

fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64.encode(format!("{name}:{password}").as_bytes()))
}

fn request(host: &str, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

#[track_caller]
fn get(gateway: &Gateway, path: &str, fields: &str) -> Response {
    gateway.client().exchange(request("h.test", path, fields))
}

/// What the caller is called, as JSON has it.
#[track_caller]
fn called(response: &Response) -> String {
    serde_json::from_str(&response.expect_status(200).text()).expect("a text")
}

/// RFC 7617 §2; the body is that of every `Unauthorized`.
#[track_caller]
fn is_refused(response: &Response, realm: &str) {
    assert_eq!(response.status, 401, "{}", shown(&response.raw));
    assert_eq!(response.text(), r#"{"message":"Unauthorized"}"#);
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    assert_eq!(response.all("www-authenticate"), [challenge.as_str()], "{}", shown(&response.raw));
}

#[test]
fn a_name_and_its_password_say_who_calls() {
    on_both_drivers(|driver| {
        let gateway = start(driver, &Backend::echo(), "");
        for (name, password) in [("ann", "U*U"), ("bob", "password"), ("jürgen", "Hello world!")] {
            for _ in 0..3 {
                assert_eq!(called(&get(&gateway, "/me", &basic(name, password))), name);
            }
        }
        let mut rest = gateway.client();
        for (name, password) in [("ann", "U*U"), ("eve", "Hello world!")] {
            let answer = rest.exchange(request("rest.test", "/me", &basic(name, password)));
            assert_eq!(called(&answer), name);
        }
        // Of ann's two, the hash is the same: it was verified already.
        assert_eq!(gateway.counter("tollgate_passwords_verified_total", &[]), 4.0);
        assert_eq!(gateway.counter("tollgate_authorizer_hits_total", &[]), 7.0);
        get(&gateway, "/open", "").expect_status(200);
    });
}

#[test]
fn whoever_shows_none_or_a_wrong_one_is_asked() {
    on_both_drivers(|driver| {
        let gateway = start(driver, &Backend::echo(), "");
        for fields in [
            "",
            "Authorization:\r\n",
            "Authorization: Basic\r\n",
            "Authorization: Basic !!!\r\n",
            "Authorization: Basic YW5u\r\n",
            "Authorization: Bearer YW5uOlUqVQ==\r\n",
            "authorization: Basic YW5uOlUqVQ\r\n",
            &basic("ann", "U*V"),
            &basic("ann", ""),
            &basic("", "U*U"),
            &basic("Ann", "U*U"),
            &basic("nobody", "U*U"),
            &basic("jurgen", "Hello world!"),
            &basic("# staff", ""),
            &basic("ann", &"x".repeat(2_000)),
        ] {
            is_refused(&get(&gateway, "/me", fields), "staff");
        }
        assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "unauthorized")]), 15.0);
        let rest = gateway.client().exchange(request("rest.test", "/me", &basic("bob", "password")));
        is_refused(&rest, "the \\\"back\\\" door");
        assert_eq!(rest.header("x-amzn-ErrorType"), Some("UnauthorizedException"));
        get(&gateway, "/me", "authorization: bASIC  YW5uOlUqVQ==\r\n").expect_status(200);
    });
}

#[test]
fn the_password_ends_here_unless_it_is_said() {
    on_both_drivers(|driver| {
        for (more, is_told) in [("", false), (", forward: true", true)] {
            let backend = Backend::echo();
            let gateway = start(driver, &backend, more);
            // Verified, then remembered.
            for _ in 0..2 {
                let fields = format!("{}X-Other: 1\r\n", basic("ann", "U*U"));
                let told = get(&gateway, "/back", &fields).expect_status(200).text();
                assert_eq!(told.contains("YW5uOlUqVQ=="), is_told, "{told}");
                assert!(told.to_ascii_lowercase().contains("x-other"), "{told}");
            }
            let said = [gateway.stderr(), gateway.access_log(), gateway.admin_get("/metrics")].concat();
            assert!(!said.contains("YW5uOlUqVQ==") && !said.contains("U*U"), "{said}");
        }
    });
}

/// Passwords that take a while: bcrypt of cost 12, of a password that nobody knows.
const SLOW: &str = "slow:$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

#[test]
fn slow_passwords_keep_nobody_else_waiting_and_are_few() {
    on_both_drivers(|driver| {
        let gateway = start(driver, &Backend::echo(), "");
        fs::write(gateway.folder().join("users.htpasswd"), format!("{USERS}{SLOW}")).expect("the folder is writable");
        gateway.signal(rustix::process::Signal::HUP);
        eventually("it is read again", || gateway.counter("tollgate_snapshot_generation", &[]) == 2.0);
        let mut waiting: Vec<_> = (0..6)
            .map(|number| {
                let mut client = gateway.client();
                client.send(request("h.test", "/me", &basic("slow", &number.to_string())));
                client
            })
            .collect();
        // The same once more is no other flight.
        let mut same = gateway.client();
        same.send(request("h.test", "/me", &basic("slow", "0")));
        waiting.push(same);
        // The only worker serves on.
        for _ in 0..20 {
            get(&gateway, "/open", "").expect_status(200);
        }
        let mut statuses: Vec<u16> = waiting.iter_mut().map(|client| client.read_response().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [401, 401, 401, 401, 401, 503, 503], "four of one address are verified at once");
        assert_eq!(gateway.counter("tollgate_passwords_refused_total", &[]), 2.0);
        assert_eq!(gateway.counter("tollgate_passwords_verified_total", &[]), 4.0);
        assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "overloaded")]), 2.0);
        // What was wrong is wrong for a while, without being verified again.
        is_refused(&get(&gateway, "/me", &basic("slow", "0")), "staff");
        assert_eq!(gateway.counter("tollgate_passwords_verified_total", &[]), 4.0);
    });
}

#[test]
fn a_reload_reads_the_file_again_and_remembers_who_did_not_change() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = start(driver, &backend, "");
        get(&gateway, "/me", &basic("ann", "U*U")).expect_status(200);
        get(&gateway, "/me", &basic("bob", "password")).expect_status(200);
        let without_bob: String = USERS.split_inclusive('\n').filter(|line| !line.starts_with("bob")).collect();
        fs::write(gateway.folder().join("users.htpasswd"), without_bob).expect("the folder is writable");
        gateway.signal(rustix::process::Signal::HUP);
        eventually("bob is gone", || get(&gateway, "/me", &basic("bob", "password")).status == 401);
        get(&gateway, "/me", &basic("ann", "U*U")).expect_status(200);
        assert_eq!(gateway.counter("tollgate_passwords_verified_total", &[]), 3.0, "ann's is still known");
    });
}

#[test]
fn check_says_what_is_wrong_with_a_file_by_its_lines() {
    let folder = new_folder();
    let rows = "ann:hush\nbob:$apr1$hushhush$hush\n:x\ncat:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";
    fs::write(folder.join("users.htpasswd"), format!("{USERS}{rows}ann:{}\n", &USERS[12..72])).unwrap();
    fs::write(folder.join("eve"), "hush").unwrap();
    let document = format!("gateway: {{listen: \"127.0.0.1:1\"}}\n{}", document("127.0.0.1:2", ""));
    fs::write(folder.join("gateway.yaml"), document).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let said = check.args(["check", "gateway.yaml"]).current_dir(&folder).output().unwrap();
    assert_eq!(said.status.code(), Some(78));
    let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    for line in [
        "users.htpasswd:5:1: error: what stands for the password is no hash of a known kind, or the password itself",
        "users.htpasswd:6:1: error: what stands for the password is MD5",
        "users.htpasswd:7:1: error: it is not `NAME:HASH`",
        "users.htpasswd:8:1: error: what stands for the password is SHA-1",
        "hint: make it with `htpasswd -nB -C 12 NAME` (bcrypt)",
        "what stands for the password of `eve` is no hash of a known kind",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(!said.contains("hush"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}
