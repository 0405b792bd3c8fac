//! The runtime on real sockets: every behaviour on `io_uring` and on epoll, because they must not differ.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::buffers;
use super::limits::LARGE_BUFFERS_MAX;
use super::{
    DriverKind, Group, IdleSock, Listener, Outgoing, Parked, RBuf, Session, Sock, Why, channel, driver_counts,
    next_event, panics, probe, run, sleep, sockets_alive, spawn, tasks_alive, timeout, vector, views_alive,
};

const SECOND: Duration = Duration::from_secs(1);
/// No test takes that long; a hang becomes a failure.
const HANG: Duration = Duration::from_secs(20);

/// Runs a test on each driver, in a thread of its own; at the end nothing may be left.
fn on_both<F: Future<Output = ()> + 'static>(test: impl Fn() -> F + Send + Sync + Clone + 'static) {
    raise_descriptor_limit();
    for kind in [DriverKind::Uring, DriverKind::Epoll] {
        if kind == DriverKind::Uring
            && let Err(why) = probe()
        {
            eprintln!("not tested on io_uring: {why}");
            continue;
        }
        let test = test.clone();
        let thread = std::thread::spawn(move || {
            let reached = Rc::new(Cell::new(false));
            run(kind, {
                let (test, reached) = (test(), reached.clone());
                async move {
                    timeout(HANG, test).await.expect("it does not hang");
                    until(|| sockets_alive() == (0, 0)).await;
                    assert_eq!((sockets_alive(), views_alive()), ((0, 0), (0, 0)), "left at the end");
                    reached.set(true);
                }
            })
            .expect("a shard");
            assert!(reached.get(), "the test's task failed on {}", kind.name());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Some tests have thousands of descriptors, and a login shell allows 1,024.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("up to the maximum");
}

async fn until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() && began.elapsed() < HANG {
        sleep(Duration::ZERO).await;
    }
}

fn listen() -> (Listener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (Listener::adopt(listener.into()), address)
}

/// Two ends of one TCP connection, both in this shard.
async fn pair() -> (Sock, Sock) {
    let (listener, address) = listen();
    let near = Sock::connect(address, SECOND).await.expect("connected");
    let far = Sock::adopt(listener.accept().await.expect("accepted"), None);
    (near, far)
}

/// One end in this shard, the other in the hands of `peer` on a thread of its own.
async fn against<T: Send + 'static>(
    peer: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Sock, std::thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let thread = std::thread::spawn(move || peer(listener.accept().expect("accepted").0));
    (Sock::connect(address, SECOND).await.expect("connected"), thread)
}

async fn say(sock: &Sock, bytes: &[u8]) {
    let mut head = vector();
    head.extend_from_slice(bytes);
    sock.send(Outgoing::new(head)).await.expect("handed over");
}

async fn hear(sock: &Sock, count: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let bytes = sock.recv(Group::Small).await.expect("bytes");
        assert!(!bytes.is_empty(), "the end after {} of {count}", heard.len());
        heard.extend_from_slice(&bytes);
    }
    heard
}

async fn hear_all(sock: &Sock, group: Group) -> Vec<u8> {
    let mut heard = Vec::new();
    loop {
        let bytes = sock.recv(group).await.expect("bytes");
        if bytes.is_empty() {
            return heard;
        }
        heard.extend_from_slice(&bytes);
    }
}

/// Bytes whose order shows.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index ^ index >> 8 ^ index >> 16) as u8).collect()
}

// --- bytes ------------------------------------------------------------------------------------------------------------

#[test]
fn an_echo() {
    on_both(|| async {
        let (client, server) = pair().await;
        spawn(async move {
            loop {
                let bytes = server.recv(Group::Small).await.expect("bytes");
                if bytes.is_empty() {
                    break;
                }
                let mut outgoing = Outgoing::new(Vec::new());
                outgoing.push(bytes).expect("room");
                server.send(outgoing).await.expect("handed over");
            }
        });
        for round in 0..100_u8 {
            let said = [round; 33];
            say(&client, &said).await;
            assert_eq!(hear(&client, said.len()).await, said);
        }
        assert!(client.peer().is_some());
        assert_eq!((client.count_request(), client.count_request()), (1, 2));
        drop(client);
        until(|| tasks_alive() == 1).await;
    });
}

#[test]
fn a_mebibyte_both_ways_with_back_pressure() {
    on_both(|| async {
        let (near, far) = pair().await;
        let sent = pattern(1 << 20);
        let (near, far) = (Rc::new(near), Rc::new(far));
        for sock in [near.clone(), far.clone()] {
            let sent = sent.clone();
            spawn(async move {
                for piece in sent.chunks(64 * 1024 - 1) {
                    say(&sock, piece).await;
                }
                sock.flush().await.expect("sent");
                sock.shutdown(Shutdown::Write);
            });
        }
        // Nobody reads: the senders must stop, and not pile up what they have.
        sleep(Duration::from_millis(40)).await;
        assert_eq!(views_alive(), (0, 0), "nothing is received that nobody asked for");
        assert!(hear_all(&near, Group::Large).await == sent);
        assert!(hear_all(&far, Group::Small).await == sent);
        until(|| tasks_alive() == 1).await;
        assert_eq!(tasks_alive(), 1);
    });
}

#[test]
fn received_pieces_are_forwarded_behind_a_head() {
    on_both(|| async {
        let (client, front) = pair().await;
        let (back, server) = pair().await;
        say(&client, b"0123456789").await;
        let mut bytes = front.recv(Group::Small).await.expect("bytes");
        let mut outgoing = Outgoing::new(b"head:".to_vec());
        for _ in 0..3 {
            outgoing.push(bytes.split_to(2)).expect("room");
        }
        bytes.advance(1);
        outgoing.push(bytes).expect("room");
        assert_eq!((outgoing.len(), outgoing.is_empty()), (14, false));
        assert!(outgoing.push(RBuf::empty()).is_ok(), "nothing needs no room");
        back.send(outgoing).await.expect("handed over");
        assert_eq!(hear(&server, 14).await, b"head:012345789");
    });
}

#[test]
fn one_side_may_end_first() {
    on_both(|| async {
        let (near, far) = pair().await;
        say(&near, b"last words").await;
        near.flush().await.expect("sent");
        near.shutdown(Shutdown::Write);
        assert_eq!(hear_all(&far, Group::Small).await, b"last words");
        assert!(far.recv(Group::Small).await.expect("still the end").is_empty());
        say(&far, b"and an answer").await;
        drop(far);
        assert_eq!(hear_all(&near, Group::Small).await, b"and an answer");
    });
}

#[test]
fn a_reset_is_an_error_for_reader_and_writer() {
    on_both(|| async {
        // Not before the connect is through: it would be told of the reset.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (sock, peer) = against(move |peer| {
            wait.recv().expect("it is told to");
            rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).expect("an option");
        })
        .await;
        go.send(()).expect("it waits");
        peer.join().expect("the peer");
        let error = sock.recv(Group::Small).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        say(&sock, b"anybody there?").await;
        assert_eq!(sock.flush().await.expect_err("no").kind(), io::ErrorKind::BrokenPipe);
        assert!(sock.failed_unsent(), "the peer has not seen a byte");
    });
}

#[test]
fn what_was_sent_in_part_is_not_unsent() {
    on_both(|| async {
        let (near, far) = pair().await;
        say(&near, b"the first").await;
        near.flush().await.expect("it has left");
        far.reset_when_closed();
        drop(far);
        near.recv(Group::Small).await.expect_err("reset");
        say(&near, b"the second").await;
        near.flush().await.expect_err("reset");
        assert!(!near.failed_unsent());
    });
}

#[test]
fn a_dropped_socket_delivers_what_it_was_given() {
    on_both(|| async {
        let (sock, peer) = against(|mut peer| {
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).expect("all of it");
            heard
        })
        .await;
        let sent = pattern(8 << 20);
        sock.send(Outgoing::new(sent.clone())).await.expect("handed over");
        drop(sock);
        until(|| sockets_alive() == (0, 0)).await;
        assert!(peer.join().expect("the peer") == sent);
    });
}

#[test]
fn the_end_of_the_shard_delivers_too() {
    for kind in [DriverKind::Uring, DriverKind::Epoll] {
        if kind == DriverKind::Uring && probe().is_err() {
            continue;
        }
        let (give, take) = std::sync::mpsc::channel();
        run(kind, async move {
            let (sock, peer) = against(|mut peer| {
                let mut heard = Vec::new();
                peer.read_to_end(&mut heard).map(|_| heard)
            })
            .await;
            sock.send(Outgoing::new(pattern(8 << 20))).await.expect("handed over");
            give.send(peer).expect("the test waits");
        })
        .expect("a shard");
        let heard = take.recv().expect("a peer").join().expect("the peer").expect("all of it");
        assert!(heard == pattern(8 << 20), "{} on {}", heard.len(), kind.name());
    }
}

#[test]
fn forgotten_receives_lose_no_bytes() {
    on_both(|| async {
        let (near, far) = pair().await;
        let sent = pattern(3_000);
        let said = sent.clone();
        spawn(async move {
            for piece in said.chunks(97) {
                say(&near, piece).await;
                near.flush().await.expect("sent");
                sleep(Duration::ZERO).await;
            }
        });
        let (mut heard, mut forgotten) = (Vec::new(), 0);
        loop {
            match timeout(Duration::ZERO, far.recv(Group::Small)).await {
                Ok(bytes) => {
                    let bytes = bytes.expect("bytes");
                    if bytes.is_empty() {
                        break;
                    }
                    heard.extend_from_slice(&bytes);
                }
                Err(_) => forgotten += 1,
            }
            // Polled once and dropped, most often while a receive is under way.
            let mut once = std::pin::pin!(far.recv(Group::Large));
            let polled = poll_fn(|context| Poll::Ready(once.as_mut().poll(context))).await;
            if let Poll::Ready(bytes) = polled {
                heard.extend_from_slice(&bytes.expect("bytes"));
            }
        }
        assert!(heard == sent);
        assert!(forgotten > 0, "the test did forget");
    });
}

#[test]
fn data_and_the_end_in_one_segment() {
    on_both(|| async {
        for _ in 0..50 {
            let (sock, peer) = against(|mut peer| peer.write_all(b"bye").expect("room")).await;
            peer.join().expect("the peer");
            assert_eq!(hear_all(&sock, Group::Small).await, b"bye");
        }
    });
}

#[test]
fn a_buffer_filled_to_the_brim_is_followed_by_the_rest() {
    on_both(|| async {
        for extra in [0, 1, 4_095, 4_096] {
            let (near, far) = pair().await;
            say(&near, &pattern(4_096 + extra)).await;
            near.flush().await.expect("sent");
            assert!(hear(&far, 4_096 + extra).await == pattern(4_096 + extra));
            let mut none = std::pin::pin!(far.recv(Group::Small));
            assert!(timeout(Duration::ZERO, none.as_mut()).await.is_err());
            say(&near, b"!").await;
            assert_eq!(&none.await.expect("bytes")[..], b"!");
        }
    });
}

#[test]
fn more_views_than_buffers_wait_and_go_on() {
    on_both(|| async {
        // Every large buffer is taken and held; a byte for each of three more sockets must wait, and no turn may spin.
        let mut held = Vec::new();
        let (near, far) = pair().await;
        while held.len() < LARGE_BUFFERS_MAX as usize {
            say(&near, b"x").await;
            near.flush().await.expect("sent");
            match timeout(Duration::from_millis(30), far.recv(Group::Large)).await {
                Ok(bytes) => held.push(bytes.expect("bytes")),
                Err(_) => break,
            }
        }
        assert!(held.len() >= LARGE_BUFFERS_MAX as usize - 64, "{}", held.len());
        drop((near, far));
        let mut waiting = Vec::new();
        let fed = Rc::new(Cell::new(0));
        for _ in 0..100 {
            let (near, far) = UnixStream::pair().expect("a pair");
            (&near).write_all(b"y").expect("room");
            let fed = fed.clone();
            spawn(async move {
                let far = Sock::adopt(far.into(), None);
                assert_eq!(&far.recv(Group::Large).await.expect("bytes")[..], b"y");
                fed.set(fed.get() + 1);
            });
            waiting.push(near);
        }
        sleep(Duration::from_millis(20)).await;
        let before = driver_counts();
        sleep(Duration::from_millis(50)).await;
        let after = driver_counts();
        assert!(after.enters - before.enters < 50, "turns without end: {before:?} {after:?}");
        held.clear();
        until(|| fed.get() == 100).await;
        assert_eq!(fed.get(), 100);
        assert!(driver_counts().starved > 0);
    });
}

// --- connecting and accepting -----------------------------------------------------------------------------------------

#[test]
fn a_refused_connect() {
    on_both(|| async {
        let (listener, address) = listen();
        drop(listener);
        until(|| sockets_alive() == (0, 0)).await;
        let error = Sock::connect(address, SECOND).await.err().expect("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let nowhere = std::env::temp_dir().join("nobody-listens-here.sock");
        let error = Sock::connect_unix(&nowhere, SECOND).await.err().expect("no such file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_connect_that_nobody_answers_ends_in_time() {
    on_both(|| async {
        let fd = TcpListener::bind("127.0.0.1:0").expect("a free port");
        rustix::net::listen(&fd, 0).expect("a backlog of one");
        let address = fd.local_addr().expect("bound");
        let mut connected = Vec::new();
        for _ in 0..16 {
            let began = Instant::now();
            match Sock::connect(address, Duration::from_millis(100)).await {
                Ok(sock) => connected.push(sock),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
                    return;
                }
            }
        }
        panic!("the backlog never filled");
    });
}

#[test]
fn unix_sockets_carry_the_same() {
    on_both(|| async {
        let folder =
            std::env::temp_dir().join(format!("tollgate-io-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("s");
        let listener = Listener::adopt(UnixListener::bind(&path).expect("bound").into());
        let near = Sock::connect_unix(&path, SECOND).await.expect("connected");
        let far = Sock::adopt(listener.accept().await.expect("accepted"), None);
        assert!(near.peer().is_none());
        let sent = pattern(600_000);
        let said = sent.clone();
        spawn(async move { say(&near, &said).await });
        assert!(hear_all(&far, Group::Large).await == sent);
        std::fs::remove_dir_all(&folder).expect("removed");
        let long = folder.join("x".repeat(200));
        assert_eq!(
            Sock::connect_unix(&long, SECOND).await.err().expect("too long").kind(),
            io::ErrorKind::InvalidInput
        );
    });
}

#[test]
fn ipv6_connects() {
    on_both(|| async {
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let address = listener.local_addr().expect("bound");
        let listener = Listener::adopt(listener.into());
        let near = Sock::connect(address, SECOND).await.expect("connected");
        assert_eq!(near.peer(), Some(address));
        let far = Sock::adopt(listener.accept().await.expect("accepted"), Some(address));
        say(&near, b"six").await;
        assert_eq!(hear(&far, 3).await, b"six");
    });
}

#[test]
fn a_flood_of_a_thousand_connections() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        rustix::net::listen(&listener, 2_048).expect("a longer backlog");
        let address = listener.local_addr().expect("bound");
        let listener = Listener::adopt(listener.into());
        let clients = std::thread::spawn(move || -> Vec<TcpStream> {
            (0..1_000).map(|_| TcpStream::connect(address).expect("connected")).collect()
        });
        let mut accepted = Vec::new();
        while accepted.len() < 1_000 {
            accepted.push(Sock::adopt(listener.accept().await.expect("accepted"), None));
            if accepted.len() == 1 {
                // Let them pile up beyond what may wait.
                until(|| clients.is_finished()).await;
            }
        }
        let mut clients = clients.join().expect("the clients");
        for client in &mut clients {
            client.write_all(b"hi").expect("room");
        }
        for sock in &accepted {
            assert_eq!(hear(sock, 2).await, b"hi");
        }
        assert_eq!(sockets_alive(), (1_001, 0));
    });
}

#[test]
fn more_operations_in_a_turn_than_the_queue_holds() {
    on_both(|| async {
        let mut peers = Vec::new();
        let (said, heard) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        for _ in 0..1_200 {
            let (near, far) = UnixStream::pair().expect("a pair");
            peers.push(near);
            let (said, heard) = (said.clone(), heard.clone());
            spawn(async move {
                let far = Sock::adopt(far.into(), None);
                say(&far, b"hello").await;
                said.set(said.get() + 1);
                assert_eq!(hear(&far, 1).await, b"!");
                heard.set(heard.get() + 1);
            });
        }
        until(|| said.get() == 1_200).await;
        // Handed over by the turns that this takes.
        sleep(Duration::from_millis(20)).await;
        for peer in &mut peers {
            let mut hello = [0; 5];
            peer.read_exact(&mut hello).expect("it was sent");
            peer.write_all(b"!").expect("room");
        }
        until(|| heard.get() == 1_200).await;
        assert_eq!(heard.get(), 1_200);
    });
}

#[test]
fn a_listener_in_either_mode_waits_without_spinning() {
    on_both(|| async {
        for nonblocking in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.set_nonblocking(nonblocking).expect("a flag");
            let address = listener.local_addr().expect("bound");
            let listener = Listener::adopt(listener.into());
            assert!(timeout(Duration::from_millis(20), listener.accept()).await.is_err(), "nobody came");
            let before = driver_counts();
            sleep(Duration::from_millis(40)).await;
            assert!(driver_counts().operations - before.operations < 20);
            let _client = TcpStream::connect(address).expect("connected");
            listener.accept().await.expect("accepted");
        }
    });
}

#[test]
fn a_descriptor_in_either_mode_waits_without_spinning() {
    on_both(|| async {
        for nonblocking in [true, false] {
            let (ours, mut theirs) = UnixStream::pair().expect("a pair");
            ours.set_nonblocking(nonblocking).expect("a flag");
            let sock = Sock::adopt(ours.into(), None);
            assert!(timeout(Duration::from_millis(20), sock.recv(Group::Small)).await.is_err());
            let before = driver_counts();
            sleep(Duration::from_millis(40)).await;
            let after = driver_counts();
            assert!(after.operations - before.operations < 20, "{before:?} {after:?}");
            // More than the peer's buffer holds, so that the send has to wait.
            say(&sock, &pattern(1 << 20)).await;
            assert!(timeout(Duration::from_millis(20), sock.flush()).await.is_err());
            let peer = std::thread::spawn(move || {
                let mut heard = vec![0; 1 << 20];
                theirs.read_exact(&mut heard).expect("all of it");
                theirs.write_all(b"thanks").expect("room");
                heard
            });
            sock.flush().await.expect("sent");
            assert_eq!(hear(&sock, 6).await, b"thanks");
            assert!(peer.join().expect("the peer") == pattern(1 << 20));
        }
    });
}

#[test]
fn what_is_no_socket_fails_at_once() {
    on_both(|| async {
        let file = std::fs::File::open("/proc/self/exe").expect("a file");
        let sock = Sock::adopt(OwnedFd::from(file), None);
        assert!(timeout(SECOND, sock.recv(Group::Large)).await.expect("at once").is_err());
        say(&sock, b"x").await;
        assert!(timeout(SECOND, sock.flush()).await.expect("at once").is_err());
    });
}

#[test]
fn a_listener_whose_descriptor_is_shared_can_be_adopted_again() {
    on_both(|| async {
        let original = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = original.local_addr().expect("bound");
        for _ in 0..3 {
            let listener = Listener::adopt(original.try_clone().expect("a copy").into());
            assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
            let _client = TcpStream::connect(address).expect("connected");
            timeout(SECOND, listener.accept()).await.expect("in time").expect("accepted");
            drop(listener);
            until(|| sockets_alive() == (0, 0)).await;
        }
    });
}

#[test]
fn a_process_without_descriptors_reports_it_and_goes_on() {
    // The limit is the process's, so a child has it.
    let name = format!("{}::out_of_descriptors", module_path!().split_once("::").expect("inside a crate").1);
    let child = Command::new(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

#[test]
#[ignore = "runs as a child of the test above"]
fn out_of_descriptors() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let listener = Listener::adopt(listener.into());
        let clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).expect("connected")).collect();
        let limit = getrlimit(Resource::Nofile);
        let open = std::fs::read_dir("/proc/self/fd").expect("a listing").count() as u64 - 1;
        setrlimit(Resource::Nofile, Rlimit { current: Some(open + 3), maximum: limit.maximum }).expect("lowered");
        let mut accepted = Vec::new();
        let error = loop {
            match listener.accept().await {
                Ok(fd) => accepted.push(fd),
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        assert!(accepted.len() <= 4, "{}", accepted.len());
        let before = driver_counts();
        sleep(Duration::from_millis(100)).await;
        let after = driver_counts();
        assert!(after.enters - before.enters < 20, "turns without end: {before:?} {after:?}");
        assert_eq!(listener.accept().await.expect_err("still none").raw_os_error(), Some(libc::EMFILE));
        setrlimit(Resource::Nofile, limit).expect("restored");
        while accepted.len() < clients.len() {
            accepted.push(listener.accept().await.expect("descriptors again"));
        }
    });
}

// --- parking, time ----------------------------------------------------------------------------------------------------

#[test]
fn parked_sockets_tell_what_happens_to_them() {
    on_both(|| async {
        for (tag, why) in [(1, Why::Readable), (2, Why::Closed), (3, Why::Closed), (4, Why::Expired)] {
            let (near, far) = pair().await;
            far.set_deadline(Some(if why == Why::Expired { Duration::from_millis(30) } else { SECOND }));
            let parked = far.park(tag, Group::Small);
            assert_eq!(sockets_alive().1, 1);
            match tag {
                1 => say(&near, b"GET").await,
                2 => near.shutdown(Shutdown::Write),
                3 => drop(near),
                _ => {}
            }
            let event = next_event().await;
            assert_eq!((event.tag, event.why, event.parked), (tag, why, parked));
            if tag == 1 {
                assert_eq!(hear(&event.sock, 3).await, b"GET");
            }
        }
    });
}

#[test]
fn who_has_just_spoken_is_not_idle() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let mut server = Sock::adopt(listener.accept().expect("accepted").0.into(), None);
        // Written, and not received: asked for its place, expired, and expired a moment before it is received.
        for turn in 0..3 {
            server.set_deadline(Some(SECOND));
            server.park(1, Group::Small);
            sleep(Duration::ZERO).await;
            let idle = IdleSock::find(1, |tag| tag == 1);
            if turn == 2 {
                super::expire_parked(|tag| tag == 1);
            }
            client.write_all(b"GET").expect("room");
            match turn {
                0 => assert!(idle[0].unpark().is_none(), "it spoke"),
                1 => super::expire_parked(|tag| tag == 1),
                _ => sleep(Duration::from_millis(20)).await,
            }
            let event = next_event().await;
            assert_eq!((event.tag, event.why), (1, Why::Readable), "{turn}");
            event.sock.set_deadline(None);
            assert_eq!(hear(&event.sock, 3).await, b"GET");
            server = event.sock;
        }
        server.set_deadline(Some(SECOND));
        server.park(1, Group::Small);
        let idle = IdleSock::find(1, |tag| tag == 1);
        assert!(idle[0].unpark().is_some(), "it was silent");
    });
}

#[test]
fn taking_back_races_with_what_happens() {
    on_both(|| async {
        let (client, server) = pair().await;
        let mut server = Some(server);
        let (mut taken, mut told) = (0, 0);
        for round in 0..200_u32 {
            let parked: Parked = server.take().expect("held").park(7, Group::Small);
            say(&client, b"x").await;
            if round % 2 == 0 {
                client.flush().await.expect("sent");
                sleep(Duration::ZERO).await;
            }
            let sock = if let Some(sock) = parked.unpark() {
                taken += 1;
                sock
            } else {
                told += 1;
                next_event().await.sock
            };
            assert_eq!(hear(&sock, 1).await, b"x", "neither lost nor twice");
            server = Some(sock);
        }
        assert!(taken > 0 && told > 0, "{taken} {told}");
    });
}

#[test]
fn waits_end_at_their_deadline() {
    on_both(|| async {
        let (near, far) = pair().await;
        for milliseconds in [10, 50] {
            let after = Duration::from_millis(milliseconds);
            sleep(Duration::ZERO).await;
            let began = Instant::now();
            near.set_deadline(Some(after));
            assert_eq!(near.recv(Group::Small).await.expect_err("late").kind(), io::ErrorKind::TimedOut);
            // Counted from the beginning of the turn.
            assert!(began.elapsed() + Duration::from_millis(2) >= after, "{:?}", began.elapsed());
            let began = Instant::now();
            assert!(timeout(after, far.recv(Group::Small)).await.is_err());
            assert!(began.elapsed() >= after, "never early: {:?}", began.elapsed());
        }
        near.set_deadline(None);
        say(&far, b"after all").await;
        assert_eq!(hear(&near, 9).await, b"after all");
    });
}

#[test]
fn sleeps_end_in_order() {
    on_both(|| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for milliseconds in [90, 10, 50, 0, 30, 70] {
            let order = order.clone();
            spawn(async move {
                let began = Instant::now();
                sleep(Duration::from_millis(milliseconds)).await;
                assert!(began.elapsed() >= Duration::from_millis(milliseconds));
                order.borrow_mut().push(milliseconds);
            });
        }
        until(|| order.borrow().len() == 6).await;
        assert_eq!(*order.borrow(), [0, 10, 30, 50, 70, 90]);
    });
}

// --- tasks and threads ------------------------------------------------------------------------------------------------

#[test]
fn another_thread_wakes_an_idle_shard() {
    on_both(|| async {
        let (sender, receiver) = channel();
        let (back, replies) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for number in 0..200 {
                sender.send(number);
                // The next one only when the shard has seen this one and is idle again.
                replies.recv().expect("an answer");
            }
            let sender = sender.clone();
            (0..200).for_each(|number| sender.send(number));
        });
        for number in 0..200 {
            assert_eq!(receiver.recv().await, number);
            back.send(()).expect("the thread waits");
        }
        for number in 0..200 {
            assert_eq!(receiver.recv().await, number);
        }
    });
}

#[test]
fn a_channel_without_a_receiver_keeps_nothing() {
    on_both(|| async {
        let (sender, receiver) = channel();
        let item = std::sync::Arc::new(());
        sender.send(item.clone());
        drop(receiver);
        sender.send(item.clone());
        assert_eq!(std::sync::Arc::strong_count(&item), 1);
    });
}

#[test]
fn a_panicking_task_ends_alone() {
    on_both(|| async {
        let (near, far) = pair().await;
        spawn(async move {
            let _held = far.recv(Group::Small).await.expect("bytes");
            panic!("on purpose");
        });
        let others = Rc::new(Cell::new(0));
        for _ in 0..10 {
            let others = others.clone();
            spawn(async move {
                sleep(Duration::from_millis(20)).await;
                others.set(others.get() + 1);
            });
        }
        say(&near, b"boom").await;
        assert!(hear_all(&near, Group::Small).await.is_empty(), "its socket was closed");
        until(|| others.get() == 10).await;
        assert_eq!((others.get(), panics()), (10, 1));
    });
}

#[test]
fn busy_tasks_do_not_starve_the_sockets() {
    on_both(|| async {
        let stop = Rc::new(Cell::new(false));
        for _ in 0..3 {
            let stop = stop.clone();
            spawn(poll_fn(move |context| {
                context.waker().wake_by_ref();
                if stop.get() { Poll::Ready(()) } else { Poll::Pending }
            }));
        }
        let (near, far) = pair().await;
        for _ in 0..20 {
            say(&near, b"ping").await;
            assert_eq!(hear(&far, 4).await, b"ping");
        }
        // A clock that stands still would be starvation too.
        sleep(Duration::from_millis(10)).await;
        stop.set(true);
    });
}

#[test]
fn sockets_left_open_are_closed_at_the_end() {
    for kind in [DriverKind::Uring, DriverKind::Epoll] {
        if kind == DriverKind::Uring && probe().is_err() {
            continue;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shard = std::thread::spawn(move || {
            let began = Instant::now();
            run(kind, async move {
                let sock = Sock::connect(address, SECOND).await.expect("connected");
                let parked = Sock::connect(address, SECOND).await.expect("connected");
                let _ = parked.park(1, Group::Small);
                let (listener, _) = listen();
                spawn(async move { drop(listener.accept().await) });
                spawn(async move { drop(sock.recv(Group::Small).await) });
                sleep(Duration::from_millis(10)).await;
            })
            .expect("a shard");
            assert!(began.elapsed() < SECOND, "nothing has to be waited for");
            assert_eq!((tasks_alive(), views_alive()), (0, (0, 0)));
        });
        for _ in 0..2 {
            let (mut peer, _) = listener.accept().expect("a connection");
            assert_eq!(peer.read(&mut [0; 8]).expect("the end"), 0);
        }
        shard.join().expect("the shard");
    }
}

/// Two ends of one connection that speak TLS.
async fn secure_pair() -> (Sock, Sock) {
    let made = rcgen::generate_simple_self_signed(["here".to_owned()]).expect("randomness");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let server = server.expect("versions").with_no_client_auth();
    let server = server.with_single_cert(vec![made.cert.der().clone()], key.into()).expect("a key that fits");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("here").expect("a name");
    let client = rustls::ClientConnection::new(client.into(), name).expect("a configuration");
    let server = rustls::ServerConnection::new(server.into()).expect("a configuration");
    let (near, far) = pair().await;
    far.secure(Session::new(server), RBuf::empty());
    near.secure(Session::new(client), RBuf::empty());
    let shaken = Rc::new(Cell::new(false));
    let done = shaken.clone();
    let far = Rc::new(far);
    let other = far.clone();
    spawn(async move {
        other.handshake().await.expect("a good client");
        drop(other);
        done.set(true);
    });
    near.handshake().await.expect("a good server");
    until(|| shaken.get()).await;
    let far = Rc::try_unwrap(far).ok().expect("the task has ended");
    (near, far)
}

#[test]
fn sealed_bytes_arrive_and_their_end_behind_them() {
    on_both(|| async {
        let (near, far) = secure_pair().await;
        let sent = pattern(300_000);
        near.start_send(Outgoing::new(sent.clone()));
        // Handed over while the send is under way: the goodbye, and the end of the stream behind it.
        near.shutdown(Shutdown::Write);
        assert!(hear_all(&far, Group::Small).await == sent);
        say(&far, b"and an answer").await;
        drop(far);
        assert_eq!(hear_all(&near, Group::Large).await, b"and an answer", "a closed socket says goodbye as well");
    });
}

#[test]
fn a_sealed_stream_that_is_cut_is_an_error() {
    on_both(|| async {
        let (near, far) = secure_pair().await;
        say(&near, b"half").await;
        near.flush().await.expect("it left");
        assert_eq!(hear(&far, 4).await, b"half");
        near.give_up_session();
        near.shutdown(Shutdown::Write);
        let error = far.recv(Group::Small).await.expect_err("no goodbye");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        // What is no record at all fails as well, and again when asked again.
        let (near, far) = secure_pair().await;
        near.give_up_session();
        say(&near, b"GET / HTTP/1.1\r\n\r\n").await;
        for _ in 0..2 {
            let error = far.recv(Group::Small).await.expect_err("no record");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    });
}

#[test]
fn what_is_opened_waits_for_a_buffer() {
    on_both(|| async {
        let (near, far) = secure_pair().await;
        let sent = pattern(16 * 1024);
        near.start_send(Outgoing::new(sent.clone()));
        let first = far.recv(Group::Small).await.expect("half of the record");
        assert_eq!(first.len(), 8 * 1024);
        let mut held = Vec::new();
        while let Some(buffer) = buffers::take(Group::Small) {
            held.push(buffer);
        }
        assert!(timeout(Duration::from_millis(50), far.recv(Group::Small)).await.is_err(), "there is no buffer");
        for buffer in held {
            buffers::put_back(Group::Small, buffer);
        }
        let rest = far.recv(Group::Small).await.expect("the other half");
        assert!([&first[..], &rest[..]].concat() == sent);
    });
}
