//! A gateway that is full: who makes room, who is turned away and how, and what always answers (rows R01, R02, R03).

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::{Client, Driver, Gateway, Response, eventually, on_both_drivers};
use wild::Wild;

const MOCK: &str = "GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n";
const LATE: &str = "GET /dev/late HTTP/1.1\r\nHost: a\r\n\r\n";

/// `/dev/mock` is answered at once, `/dev/late` when the flag is up.
struct Late {
    backend: Wild,
    up: Arc<AtomicBool>,
}

impl Late {
    fn new() -> Late {
        let up = Arc::new(AtomicBool::new(false));
        let flag = up.clone();
        let backend = Wild::new(move |mut stream, _| {
            while wild::head(&mut stream).is_some() {
                eventually("the test lets it go", || flag.load(Ordering::Acquire));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        Late { backend, up }
    }

    fn document(&self, gateway: &str) -> String {
        format!(
            r#"
gateway:
  {gateway}
apis:
  rest:
    kind: rest
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
      "GET /late": {{integration: {{type: http_proxy, uri: "http://{}/late"}}}}
    stages: {{dev: {{}}}}
"#,
            self.backend.address()
        )
    }

    fn gateway(&self, limits: &str, driver: Driver) -> Gateway {
        Gateway::start(&self.document(&format!("limits: {{{limits}}}")), driver)
    }

    fn let_go(&self) {
        self.up.store(true, Ordering::Release);
    }
}

#[track_caller]
fn is_turned_away(response: &Response) {
    support::shown(&response.raw);
    response.expect_status(503);
    assert_eq!(response.header("Retry-After"), Some("1"));
    assert_eq!(response.header("Connection"), Some("close"));
    assert_eq!(response.text(), r#"{"message":"Service Unavailable"}"#);
}

/// A client whose request a backend is working on.
#[track_caller]
fn busy(gateway: &Gateway) -> Client {
    let before = gateway.status()["upstream"]["inFlight"].as_u64().expect("a number");
    let mut client = gateway.client();
    client.send(LATE);
    eventually("the backend has it", || gateway.status()["upstream"]["inFlight"] == before + 1);
    client
}

#[test]
fn r02_idle_connections_make_room_the_oldest_first() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let gateway = late.gateway("connections: 20", driver);
        let accepted = |all: usize| {
            eventually("all are accepted", || gateway.status()["connections"]["accepted"] == all);
        };
        // Some that never said a word, and some that were served.
        let mut crowd: Vec<Client> = Vec::new();
        for number in 0..100 {
            let mut client = gateway.client();
            if number % 2 == 1 {
                client.exchange(MOCK).expect_status(200);
            }
            crowd.push(client);
            accepted(number + 1);
        }
        let status = gateway.status();
        assert!(status["connections"]["open"].as_u64() <= Some(20), "{status}");
        assert!(status["overload"]["idleClosed"].as_u64() >= Some(30), "{status}");
        assert_eq!(status["overload"]["refused"], 0, "{status}");
        for (number, client) in crowd.iter_mut().enumerate().take(50) {
            assert!(!client.is_still_open(), "{number} is older");
        }
        // A newcomer, and the youngest of those who were silent.
        crowd[98].exchange(MOCK).expect_status(200);
        gateway.client().exchange(MOCK).expect_status(200);
    });
}

#[test]
fn r03_answers_end_their_connections_when_there_is_little_room() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let gateway = late.gateway("connections: 20", driver);
        let _crowd: Vec<Client> = (0..17).map(|_| gateway.client()).collect();
        eventually("they are accepted", || gateway.status()["connections"]["open"] == 17);
        let mut eighteenth = gateway.client();
        assert_eq!(eighteenth.exchange(MOCK).expect_status(200).header("Connection"), None);
        assert_eq!(gateway.status()["overload"]["level"], "calm");
        let mut nineteenth = gateway.client();
        assert_eq!(nineteenth.exchange(MOCK).expect_status(200).header("Connection"), Some("close"));
        nineteenth.expect_close();
        eventually("it is gone", || gateway.status()["connections"]["open"] == 18);
        assert_eq!(gateway.status()["overload"]["ended"], 1);
        assert_eq!(eighteenth.exchange(MOCK).expect_status(200).header("Connection"), None, "there is room again");
    });
}

#[test]
fn r03_a_full_gateway_says_so_at_once() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let gateway = late.gateway("connections: 2", driver);
        let mut at_work = [busy(&gateway), busy(&gateway)];
        for asks in [true, false] {
            let mut third = gateway.client();
            if asks {
                let _ = third.try_send(MOCK);
            }
            is_turned_away(&third.read_response());
            third.expect_close();
        }
        let status = gateway.status();
        assert_eq!(
            (&status["overload"]["refused"], &status["connections"]["open"]),
            (&2.into(), &2.into()),
            "{status}"
        );
        eventually("the level is told", || gateway.status()["overload"]["level"] == "full");
        assert!(gateway.counter("tollgate_refusals_total", &[("reason", "overloaded")]) > 1.5);
        late.let_go();
        let last = at_work
            .iter_mut()
            .map(|client| client.read_response().expect_status(200).header("Connection") == Some("close"));
        assert!(last.fold(false, |any, close| any | close), "the first of them makes room");
        // Who has its last answer takes nobody's place, though it stays.
        eventually("there is room", || gateway.status()["connections"]["open"].as_u64() < Some(2));
        gateway.client().exchange(MOCK).expect_status(200);
    });
}

#[test]
fn r03_where_too_many_are_turned_away_the_others_wait_in_the_kernel() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let gateway = late.gateway("connections: 1", driver);
        let mut at_work = busy(&gateway);
        // They do not go when they are told.
        let stubborn: Vec<Client> = (0..70).map(|_| gateway.client()).collect();
        eventually("nobody is accepted", || gateway.status()["overload"]["level"] == "closed");
        let mut waiting = gateway.client();
        waiting.send(MOCK);
        assert!(gateway.counter("tollgate_overload_accept_pauses_total", &[]) > 0.5);
        late.let_go();
        at_work.read_response().expect_status(200);
        drop(stubborn);
        waiting.read_response().expect_status(200);
        eventually("all is well", || gateway.status()["overload"]["level"] == "calm");
    });
}

#[test]
fn r03_who_waited_in_the_kernel_is_told_as_soon_as_the_others_have_gone() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let gateway = late.gateway("connections: 1", driver);
        let mut at_work = busy(&gateway);
        let _stubborn: Vec<Client> = (0..70).map(|_| gateway.client()).collect();
        eventually("nobody is accepted", || gateway.status()["overload"]["level"] == "closed");
        let mut waiting = gateway.client();
        waiting.send(MOCK);
        // Those who were told and stay are cut off in time, and the place is taken all the while.
        is_turned_away(&waiting.read_response());
        late.let_go();
        at_work.read_response().expect_status(200);
    });
}

#[test]
fn r03_requests_beyond_the_limit_are_refused() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let gateway = late.gateway("requests: 2", driver);
        let mut at_work = [busy(&gateway), busy(&gateway)];
        let mut third = gateway.client();
        let response = third.exchange(MOCK);
        response.expect_status(503);
        assert_eq!(response.header("Retry-After"), Some("1"));
        assert_eq!(gateway.status()["overload"]["refusedRequests"], 1);
        late.let_go();
        for client in &mut at_work {
            client.read_response().expect_status(200);
        }
        third.exchange(MOCK).expect_status(200);
        eventually("none is at work", || gateway.counter("tollgate_requests_in_flight", &[]) < 0.5);
    });
}

fn from(address: &str, gateway: &Gateway) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let here: SocketAddr = format!("{address}:0").parse().expect("an address");
    let there: SocketAddr = gateway.address().parse().expect("an address");
    socket.bind(&here.into()).expect("all of 127.0.0.0/8 is here");
    socket.connect(&there.into()).expect("the gateway listens");
    socket.into()
}

#[test]
fn r01_an_address_has_so_many_connections_over_all_workers() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let document = late.document("workers: 2\n  limits: {connections_per_address: 5}");
        let gateway = Gateway::start(&document, driver);
        let mut crowd: Vec<Client> = (0..5).map(|_| gateway.client()).collect();
        for client in &mut crowd {
            client.exchange(MOCK).expect_status(200);
        }
        for _ in 0..3 {
            let mut sixth = gateway.client();
            is_turned_away(&sixth.read_response());
            sixth.expect_close();
        }
        assert_eq!(gateway.status()["overload"]["refusedPerAddress"], 3);
        assert_eq!(gateway.status()["overload"]["level"], "calm");
        let mut other = from("127.0.0.2", &gateway);
        other.write_all(MOCK.as_bytes()).expect("the gateway reads");
        let mut answer = [0; 12];
        std::io::Read::read_exact(&mut other, &mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
        // Room is given back, by those who were served and those who were not.
        drop(crowd);
        eventually("they are gone", || gateway.status()["connections"]["open"] == 1);
        for _ in 0..5 {
            gateway.client().exchange(MOCK).expect_status(200);
        }
    });
}

#[test]
fn r03_the_desk_answers_when_clients_have_used_up_every_file() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let document = late.document("limits: {header_time: 60s, connections: 40000}");
        let gateway = Gateway::start_with_files(400, &document, driver);
        let most = gateway.status()["connections"]["most"].as_u64().expect("a number");
        assert!((50..300).contains(&most), "{most}");
        let warning = format!("limits.connections is 40000 for each worker, but there are files for {most} only");
        gateway.expect_said(&warning);
        // Half a head: nobody of them is idle.
        let mut crowd = Vec::new();
        for number in 1..=most {
            let mut client = gateway.client();
            client.send("GET /dev/mo");
            crowd.push(client);
            eventually("it is in", || {
                let status = gateway.status();
                status["connections"]["open"] == number && status["connections"]["idle"] == 0
            });
        }
        is_turned_away(&gateway.client().read_response());
        // Many more at once: they are told, closed, or wait.
        let more: Vec<Client> = (0..500).map(|_| gateway.client()).collect();
        for _ in 0..10 {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&gateway.admin_get("/status")).expect("JSON")["panics"],
                0
            );
        }
        assert_eq!(gateway.reload(&late.document("limits: {header_time: 59s}"))["ok"], true);
        drop((crowd, more));
        eventually("there is room", || gateway.status()["overload"]["level"] == "calm");
        gateway.client().exchange(MOCK).expect_status(200);
    });
}

/// Descriptors have lower numbers than this from now on; what is open stays open.
fn allow_files(gateway: &Gateway, most: Option<u64>) {
    let pid = Pid::from_raw(gateway.pid().cast_signed());
    // The gateway has inherited it.
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: most.or(maximum), maximum }).expect("the process is ours");
}

#[test]
fn r03_where_the_kernel_has_no_descriptor_idle_clients_make_room_and_nobody_spins() {
    on_both_drivers(|driver| {
        let late = Late::new();
        let at_rest = {
            let gateway = late.gateway("idle_time: 60s", driver);
            gateway.client().exchange(MOCK).expect_status(200);
            std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("the process lives").count() as u32
        };
        // So few that nothing can be set aside.
        let gateway = Gateway::start_with_files(at_rest + 6, &late.document("limits: {idle_time: 60s}"), driver);
        let mut idle = Vec::new();
        for _ in 0..30 {
            let mut client = gateway.client();
            client.exchange(MOCK).expect_status(200);
            idle.push(client);
        }
        drop(idle);
        eventually("the desk answers again", || {
            let mut client = Client::connect(gateway.admin());
            let asked = client.try_send(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin()));
            asked.is_ok() && client.try_response(false).is_ok_and(|response| response.status == 200)
        });
        let metrics = gateway.metrics();
        let count = |name: &str| support::gateway::sum(&metrics, name, &[]);
        let errors = count("tollgate_accept_errors_total");
        assert!((1.0..40.0).contains(&errors), "{errors}");
        assert!(count("tollgate_overload_idle_closed_total") > 0.5);
        gateway.expect_said("cannot accept connections");
        assert!(gateway.stderr().matches("cannot accept").count() < 20, "{}", gateway.stderr());
    });
}

#[test]
fn r03_a_request_that_gets_no_socket_is_told_503() {
    on_both_drivers(|driver| {
        let late = Late::new();
        late.let_go();
        let gateway = late.gateway("idle_time: 60s", driver);
        let mut client = gateway.client();
        client.exchange(MOCK).expect_status(200);
        eventually("nobody else is here", || gateway.status()["connections"]["open"] == 1);
        allow_files(&gateway, Some(10));
        let response = client.exchange(LATE);
        allow_files(&gateway, None);
        response.expect_status(503);
        assert_eq!(response.header("Retry-After"), Some("1"));
        assert!(gateway.counter("tollgate_faults_total", &[("fault", "resources_short")]) > 0.5);
        assert!(gateway.counter("tollgate_upstream_resources_short_total", &[]) > 0.5);
        // Idle ones make room within a tenth of a second: this may be one.
        eventually("it works again", || {
            let mut client = gateway.client();
            client.try_send(LATE).is_ok() && client.try_response(false).is_ok_and(|response| response.status == 200)
        });
    });
}
