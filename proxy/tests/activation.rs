//! Sockets that the service manager passes (`LISTEN_FDS`), and what it is told: time, watchdog.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::Signal;
use support::gateway::{complete, new_folder};
use support::{Backend, Client, Driver, Gateway, PATIENCE, eventually, on_both_drivers};

const GET: &str = "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n";

fn document(listen: &str, workers: usize) -> String {
    format!(
        r#"
gateway:
  listen: [{listen}]
  workers: {workers}
apis:
  http:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{$default: {{}}}}
"#
    )
}

/// Starts a gateway with these descriptors as 3 and 4. The shell moves them there from its standard input and output, and
/// becomes the gateway: so its number is the one that the variables speak of.
fn activate(document: &str, driver: Driver, sockets: [OwnedFd; 2], variables: &str) -> Gateway {
    let folder = new_folder();
    let path = folder.join("gateway.yaml");
    fs::write(&path, complete(document, &folder)).expect("the folder is writable");
    let [third, fourth] = sockets;
    let mut shell = Command::new("/bin/sh");
    let script = format!("exec 3<&0 4<&1 </dev/null >/dev/null\n{variables} exec \"$@\"");
    shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_tollgate"), "run"]);
    shell.arg(&path).arg(format!("--io-driver={}", driver.name()));
    shell.stdin(Stdio::from(third)).stdout(Stdio::from(fourth));
    match Gateway::launch(folder, driver, shell) {
        Ok(gateway) => gateway,
        Err(failed) => panic!("tollgate did not start: {failed:?}"),
    }
}

const BOTH: &str = "LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=web:other";

fn copy(socket: &impl AsFd) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().expect("a descriptor")
}

#[test]
fn a_listener_takes_the_socket_of_its_address() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        let (web, door) = (TcpListener::bind("127.0.0.1:0").expect("a port"), folder.join("door.sock"));
        let unix = UnixListener::bind(&door).expect("the folder is writable");
        let address = web.local_addr().expect("bound").to_string();
        let listen = format!("\"{address}\", \"unix:{}\"", door.display());
        let gateway = activate(&document(&listen, 2), driver, [copy(&web), copy(&unix)], BOTH);
        assert_eq!(gateway.listeners(), [address.clone(), format!("unix:{}", door.display())]);
        let mut kept = gateway.client();
        for address in gateway.listeners() {
            // Both workers accept from the one socket.
            for _ in 0..8 {
                Client::connect(address).exchange(GET).expect_status(200);
            }
        }
        kept.exchange(GET).expect_status(200);
        // A reload takes the listener away and brings it back: the socket was kept.
        assert_eq!(gateway.reload(&document(&format!("\"unix:{}\"", door.display()), 2))["ok"], true);
        let report = gateway.reload(&document(&listen, 2));
        assert_eq!(report["ok"], true, "{report}");
        gateway.client().exchange(GET).expect_status(200);
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        assert!(door.exists(), "the name of the socket is the service manager's");
        fs::remove_dir_all(&folder).expect("it is ours");
    });
}

#[test]
fn who_comes_between_two_lives_is_served_by_the_second() {
    on_both_drivers(|driver| {
        let web = TcpListener::bind("127.0.0.1:0").expect("a port");
        let null = || OwnedFd::from(fs::File::open("/dev/null").expect("it is there"));
        let address = web.local_addr().expect("bound");
        let text = document(&format!("\"{address}\""), 1);
        let one = "LISTEN_FDS=1 LISTEN_PID=$$";
        let gateway = activate(&text, driver, [copy(&web), null()], one);
        gateway.client().exchange(GET).expect_status(200);
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        let mut waiting: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect_timeout(&address, PATIENCE).expect("nobody is refused")).collect();
        let gateway = activate(&text, driver, [copy(&web), null()], one);
        for stream in &mut waiting {
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            stream.write_all(GET.as_bytes()).expect("it was let in");
            let mut start = [0; 13];
            stream.read_exact(&mut start).expect("it is served");
            assert_eq!(&start, b"HTTP/1.1 200 ");
        }
        // And by whoever takes over from that one: the socket is passed on.
        let report = gateway.upgrade(admin::UpgradeOrder::default());
        assert_eq!(report["ok"], true, "{report}\n{}", gateway.stderr());
        gateway.client().exchange(GET).expect_status(200);
        gateway.signal(Signal::TERM);
        Gateway::wait_end(gateway.pid());
        TcpStream::connect_timeout(&address, PATIENCE).expect("nobody is refused");
    });
}

#[test]
fn several_sockets_of_one_address_are_spread_over_the_workers() {
    on_both_drivers(|driver| {
        let bind = |address: std::net::SocketAddr| {
            let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
            let socket = socket.expect("a socket");
            sockopt::set_socket_reuseport(&socket, true).expect("an option");
            rustix::net::bind(&socket, &address).expect("a port");
            rustix::net::listen(&socket, 64).expect("it listens");
            socket
        };
        let first = bind("127.0.0.1:0".parse().expect("an address"));
        let address = rustix::net::getsockname(&first).expect("bound").try_into().expect("IP");
        let second = bind(address);
        for workers in [1, 2, 3] {
            let text = document(&format!("\"{address}\""), workers);
            let gateway = activate(&text, driver, [copy(&first), copy(&second)], "LISTEN_FDS=2 LISTEN_PID=$$");
            // The kernel spreads connections over both: a socket that nobody accepts from would keep half of them.
            for _ in 0..32 {
                gateway.client().exchange(GET).expect_status(200);
            }
        }
    });
}

#[test]
fn what_nobody_listens_at_is_said() {
    on_both_drivers(|driver| {
        let spare = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = spare.local_addr().expect("bound");
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let gateway = activate(&document("\"127.0.0.1:0\"", 1), driver, [copy(&spare), copy(&datagram)], BOTH);
        gateway.client().exchange(GET).expect_status(200);
        gateway.expect_said(&format!("whoever comes is not answered address={address}"));
        gateway.expect_said("`other`, is left alone: it is no stream socket (ListenStream=)");
    });
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    on_both_drivers(|driver| {
        let spare = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = spare.local_addr().expect("bound").to_string();
        let text = document("\"127.0.0.1:0\"", 1);
        let gateway = activate(&text, driver, [copy(&spare), copy(&spare)], "LISTEN_FDS=2 LISTEN_PID=1");
        assert_ne!(gateway.address(), address);
        assert!(!gateway.stderr().contains("service manager"), "{}", gateway.stderr());
    });
}

/// A gateway with variables of the service manager's.
fn start_with(variable: &str, value: &str, text: &str, driver: Driver) -> Gateway {
    let folder = new_folder();
    let path = folder.join("gateway.yaml");
    fs::write(&path, complete(text, &folder)).expect("the folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("run").arg(&path).arg(format!("--io-driver={}", driver.name())).env(variable, value);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Gateway::launch(folder, driver, command).expect("it starts")
}

#[test]
fn the_watchdog_hears_from_a_gateway_that_moves_also_after_an_upgrade() {
    on_both_drivers(|driver| {
        let gateway = start_with("WATCHDOG_USEC", "600000", &document("\"127.0.0.1:0\"", 2), driver);
        let words = || gateway.told().matches("WATCHDOG=1\n").count();
        eventually("it speaks again and again", || words() >= 3);
        assert_eq!(gateway.upgrade(admin::UpgradeOrder::default())["ok"], true);
        assert!(gateway.wait_exit().success());
        let before = words();
        eventually("the new one speaks", || words() >= before + 3);
    });
}

#[test]
fn a_worker_that_stands_still_is_kept_from_nobody() {
    on_both_drivers(|driver| {
        let gateway = start_with("WATCHDOG_USEC", "600000", &document("\"127.0.0.1:0\"", 1), driver);
        let words = || gateway.told().matches("WATCHDOG=1\n").count();
        let silences =
            || gateway.stderr().matches("no word to the watchdog workers_move=false desk_answers=true").count();
        eventually("it speaks", || words() >= 1);
        let mut client = gateway.client();
        client.send(GET.replace("\r\n\r\n", "\r\nX-Drill: stall\r\n\r\n"));
        eventually("it has nothing good to say", || silences() >= 1);
        let before = words();
        eventually("nor a moment later", || silences() >= 3);
        assert_eq!(words(), before, "a stalled worker was passed over in silence");
        client.read_response().expect_status(200);
        eventually("it moves again", || words() > before);
    });
}

#[test]
fn a_drain_asks_for_more_time() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let text = format!(
            "apis:\n  http:\n    kind: http\n    routes: {{\"ANY /x\": {{integration: {{type: http_proxy, uri: \"http://{}/x\"}}}}}}\n    stages: {{$default: {{}}}}\n",
            backend.address()
        );
        let gateway = Gateway::start(&text, driver);
        let mut client = gateway.client();
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
        eventually("the request is with the backend", || backend.connections() == 1);
        gateway.signal(Signal::TERM);
        eventually("it asks", || gateway.told().contains("EXTEND_TIMEOUT_USEC="));
        client.send("2");
        client.read_response().expect_status(200);
        assert_eq!(gateway.wait_exit().code(), Some(0));
        let told = gateway.told();
        assert!(told.find("STOPPING=1\n") < told.find("EXTEND_TIMEOUT_USEC="), "{told}");
    });
}
