//! The runtime on the scripted driver: what the kernel may do, and seldom does on a loopback.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::buffers;
use super::driver::{Completion, Driver, Key, Op};
use super::limits::{ACCEPTS_WAITING_MAX, CLOSE_TICKS_MAX, LARGE_BUFFERS_MAX, TEARDOWN_MS_MAX, TICK_MS};
use super::net;
use super::runtime::run_on;
use super::script::{Plot, Script, Stage};
use super::{Group, Listener, Outgoing, RBuf, Sock, Why, next_event, panics, sleep, sockets_alive, spawn, views_alive};

type Shared = Rc<RefCell<Stage>>;

/// Runs `main` on a scripted shard; at the end nothing may be left: no socket, no view, no operation.
fn play<F: Future<Output = ()> + 'static>(main: impl FnOnce(Shared) -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let stage = Shared::default();
        let reached = Rc::new(Cell::new(false));
        let outcome = run_on(script(&stage), {
            let (main, reached) = (main(stage.clone()), reached.clone());
            async move {
                main.await;
                for _ in 0..10_000 {
                    if sockets_alive() == (0, 0) {
                        break;
                    }
                    turn().await;
                }
                assert_eq!(sockets_alive(), (0, 0), "sockets alive at the end");
                reached.set(true);
            }
        });
        assert!(outcome.is_ok() && reached.get() && panics() == 0, "the test's task failed");
        assert_eq!(views_alive(), (0, 0), "views alive at the end");
        assert_eq!(stage.borrow().outstanding, vec![], "operations under way at the end");
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn script(stage: &Shared) -> Driver {
    Driver::Script(Box::new(Script { stage: stage.clone(), since: Instant::now() }))
}

/// Lets the driver have its turn (a tick passes).
async fn turn() {
    sleep(Duration::ZERO).await;
}

fn socket() -> OwnedFd {
    UnixStream::pair().expect("a socket pair").0.into()
}

fn sock() -> Sock {
    Sock::adopt(socket(), None)
}

/// As the first one, but no unix socket: its receives go on.
fn tcp_sock() -> Sock {
    Sock::adopt(socket(), Some(([192, 0, 2, 1], 80).into()))
}

/// Polls once, and forgets the future.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn given(stage: &Shared, sock: &Sock, bytes: &[u8]) -> RBuf {
    assert!(once(sock.recv(Group::Small)).await.is_none());
    let completion = {
        let stage = stage.borrow();
        stage.bytes(stage.last(Op::Recv), bytes)
    };
    stage.borrow_mut().then(completion);
    sock.recv(Group::Small).await.expect("the script gave bytes")
}

fn outgoing(head: &[u8], chunks: impl IntoIterator<Item = RBuf>) -> Outgoing {
    let mut outgoing = Outgoing::new(head.to_vec());
    for chunk in chunks {
        outgoing.push(chunk).expect("room for a piece");
    }
    outgoing
}

// --- sends ------------------------------------------------------------------------------------------------------------

#[test]
fn short_sends_go_on_at_the_right_byte() {
    play(|stage| async move {
        let sock = sock();
        let (first, second) = (given(&stage, &sock, b"defg").await, given(&stage, &sock, b"hij").await);
        sock.send(outgoing(b"abc", [first, second])).await.expect("handed over");
        let key = stage.borrow().last(Op::Send);
        for count in [2, 1, 3, -libc::EAGAIN, 1, -libc::EINTR, 2, 1] {
            stage.borrow_mut().then(Stage::end(key, Op::Send, count));
        }
        sock.flush().await.expect("sent");
        let sent: Vec<Vec<u8>> = stage.borrow().sends.iter().map(|(_, bytes)| bytes.clone()).collect();
        let expected: [&[u8]; 8] = [b"abcdefghij", b"cdefghij", b"defghij", b"ghij", b"ghij", b"hij", b"hij", b"j"];
        assert_eq!(sent, expected);
    });
}

#[test]
fn a_failed_send_comes_out_at_the_next_one_and_stays() {
    play(|stage| async move {
        let sock = sock();
        sock.send(outgoing(b"abc", [])).await.expect("handed over");
        let key = stage.borrow().last(Op::Send);
        stage.borrow_mut().then(Stage::end(key, Op::Send, 2));
        stage.borrow_mut().then(Stage::end(key, Op::Send, -libc::EPIPE));
        for _ in 0..2 {
            let error = sock.flush().await.expect_err("the peer is gone");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
        sock.send(outgoing(b"more", [])).await.expect_err("still gone");
        assert_eq!(stage.borrow().count(Op::Send), 2);
    });
}

#[test]
fn a_dropped_socket_sends_what_it_was_given() {
    play(|stage| async move {
        let sock = sock();
        let chunk = given(&stage, &sock, b"def").await;
        sock.send(outgoing(b"abc", [chunk])).await.expect("handed over");
        let key = stage.borrow().last(Op::Send);
        sock.set_deadline(Some(Duration::from_millis(1)));
        sleep(Duration::from_millis(50)).await;
        drop(sock);
        sleep(Duration::from_millis(CLOSE_TICKS_MAX * TICK_MS / 2)).await;
        assert_eq!(stage.borrow().cancels, vec![], "its time begins when it is dropped");
        stage.borrow_mut().then(Stage::end(key, Op::Send, 5));
        stage.borrow_mut().then(Stage::end(key, Op::Send, 1));
        turn().await;
        turn().await;
        assert_eq!(stage.borrow().sends[1].1, b"f");
        assert_eq!((sockets_alive(), views_alive()), ((0, 0), (0, 0)));
        assert_eq!(stage.borrow().forgotten, vec![key]);
    });
}

#[test]
fn a_dropped_socket_whose_peer_reads_nothing_goes_after_its_time() {
    play(|stage| async move {
        stage.borrow_mut().cancels_by_hand = true;
        let sock = sock();
        sock.send(outgoing(b"abcdef", [])).await.expect("handed over");
        let key = stage.borrow().last(Op::Send);
        drop(sock);
        sleep(Duration::from_millis(CLOSE_TICKS_MAX * TICK_MS + 100)).await;
        assert_eq!(stage.borrow().cancels, vec![(Op::Send, key)]);
        // io_uring reports what had left before the cancel.
        stage.borrow_mut().then(Stage::end(key, Op::Send, 2));
        turn().await;
        assert_eq!(stage.borrow().count(Op::Send), 1, "the rest is not tried again");
        assert_eq!(sockets_alive(), (0, 0));
    });
}

#[test]
fn a_send_that_waits_fails_at_the_deadline() {
    play(|stage| async move {
        let sock = sock();
        sock.send(outgoing(b"abc", [])).await.expect("handed over");
        sock.set_deadline(Some(Duration::from_millis(100)));
        let began = net::now();
        let error = sock.flush().await.expect_err("nobody completes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(net::now() - began >= Duration::from_millis(100));
        let key = stage.borrow().last(Op::Send);
        stage.borrow_mut().then(Stage::end(key, Op::Send, 3));
        sock.set_deadline(None);
        sock.flush().await.expect("late, but sent");
    });
}

// --- receives ---------------------------------------------------------------------------------------------------------

#[test]
fn a_forgotten_receive_loses_no_bytes() {
    play(|stage| async move {
        let sock = sock();
        assert_eq!(&given(&stage, &sock, b"one").await[..], b"one");
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let completion = {
            let stage = stage.borrow();
            stage.bytes(stage.last(Op::Recv), b"two")
        };
        stage.borrow_mut().then(completion);
        turn().await;
        turn().await;
        assert_eq!(&sock.recv(Group::Large).await.expect("kept")[..], b"two");
        assert_eq!(stage.borrow().count(Op::Recv), 2);
    });
}

#[test]
fn bytes_that_arrive_after_the_drop_go_back() {
    play(|stage| async move {
        stage.borrow_mut().cancels_by_hand = true;
        let sock = sock();
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        drop(sock);
        turn().await;
        assert_eq!(sockets_alive(), (1, 0), "the kernel still has the receive");
        assert_eq!(stage.borrow().cancels, vec![(Op::Recv, key)]);
        let completion = stage.borrow().bytes(key, b"late");
        stage.borrow_mut().then(completion);
        turn().await;
        assert_eq!((sockets_alive(), views_alive()), ((0, 0), (0, 0)));
    });
}

#[test]
fn the_end_and_an_error_of_a_receive_stay() {
    play(|stage| async move {
        for (result, empty) in [(0, true), (-libc::ECONNRESET, false)] {
            let sock = sock();
            assert!(once(sock.recv(Group::Small)).await.is_none());
            let key = stage.borrow().last(Op::Recv);
            let asked = stage.borrow().count(Op::Recv);
            stage.borrow_mut().then(Stage::end(key, Op::Recv, result));
            for _ in 0..2 {
                assert_eq!(sock.recv(Group::Small).await.is_ok_and(|bytes| bytes.is_empty()), empty);
            }
            assert_eq!(stage.borrow().count(Op::Recv), asked);
        }
    });
}

#[test]
fn an_interrupted_or_cancelled_receive_starts_again_for_whoever_waits() {
    play(|stage| async move {
        let sock = sock();
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        for errno in [libc::EINTR, libc::EAGAIN, libc::ECANCELED] {
            stage.borrow_mut().then(Stage::end(key, Op::Recv, -errno));
        }
        let got = Rc::new(Cell::new(false));
        spawn({
            let got = got.clone();
            async move {
                assert_eq!(&sock.recv(Group::Small).await.expect("bytes")[..], b"x");
                got.set(true);
            }
        });
        for _ in 0..6 {
            turn().await;
        }
        assert_eq!(stage.borrow().count(Op::Recv), 4);
        let completion = stage.borrow().bytes(key, b"x");
        stage.borrow_mut().then(completion);
        turn().await;
        turn().await;
        assert!(got.get());
    });
}

/// Pieces that come of one receive, in one turn, and whether it goes on after the last.
async fn pieces(stage: &Shared, key: Key, pieces: &[&[u8]], goes_on: bool) {
    let last = pieces.len() - 1;
    let came = pieces.iter().enumerate().map(|(at, piece)| {
        let completion = stage.borrow().bytes(key, piece);
        Completion { more: goes_on || at < last, ..completion }
    });
    let came = came.collect();
    stage.borrow_mut().answers.push_back(came);
    turn().await;
    turn().await;
}

#[test]
fn a_receive_that_goes_on_is_started_once_and_stops_for_a_slow_reader() {
    play(|stage| async move {
        stage.borrow_mut().cancels_by_hand = true;
        let sock = tcp_sock();
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        for piece in [&b"one"[..], b"two", b"three"] {
            pieces(&stage, key, &[piece], true).await;
            assert_eq!(&sock.recv(Group::Small).await.expect("bytes")[..], piece);
        }
        assert_eq!((stage.borrow().count(Op::Recv), stage.borrow().cancels.len()), (1, 0));
        pieces(&stage, key, &[b"four", b"five", b"six"], true).await;
        assert_eq!(stage.borrow().cancels, [(Op::Recv, key)], "once");
        stage.borrow_mut().then(Stage::end(key, Op::Recv, -libc::ECANCELED));
        turn().await;
        turn().await;
        assert_eq!(stage.borrow().count(Op::Recv), 1, "nobody waits");
        assert_eq!(views_alive(), (1, 0), "small pieces share a buffer");
        assert_eq!(&sock.recv(Group::Small).await.expect("kept")[..], b"fourfivesix");
        assert!(once(sock.recv(Group::Small)).await.is_none());
        pieces(&stage, key, &[b"seven"], false).await;
        sock.park(1, Group::Small);
        drop(next_event().await.sock.recv(Group::Small).await.expect("kept"));
        turn().await;
        let going_on: Vec<bool> = stage.borrow().going_on.iter().map(|(_, goes_on)| *goes_on).collect();
        assert_eq!(going_on, [true, false], "piece by piece after that");
    });
}

#[test]
fn whoever_was_ahead_begins_anew_with_the_next_silence() {
    play(|stage| async move {
        let sock = tcp_sock();
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        pieces(&stage, key, &[b"one", b"two"], false).await;
        drop(sock.recv(Group::Small).await.expect("bytes"));
        assert_eq!(stage.borrow().cancels, [], "it has ended by itself");
        sock.park(1, Group::Small);
        turn().await;
        assert_eq!(stage.borrow().going_on, [(key, true), (key, true)]);
        pieces(&stage, key, &[b"three"], true).await;
        let event = next_event().await;
        assert_eq!(
            (event.why, &event.sock.recv(Group::Small).await.expect("bytes")[..]),
            (Why::Readable, &b"three"[..])
        );
    });
}

#[test]
fn a_receive_for_a_slow_reader_ends_with_one_piece_until_the_next_silence() {
    play(|stage| async move {
        let sock = tcp_sock();
        sock.receive_one_by_one(true);
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        pieces(&stage, key, &[b"one"], false).await;
        drop(sock.recv(Group::Small).await.expect("bytes"));
        assert!(once(sock.recv(Group::Small)).await.is_none());
        pieces(&stage, key, &[b"two"], false).await;
        drop(sock.recv(Group::Small).await.expect("bytes"));
        sock.park(1, Group::Small);
        turn().await;
        assert_eq!(stage.borrow().going_on, [(key, false), (key, false), (key, true)]);
        pieces(&stage, key, &[b"three"], true).await;
        assert_eq!(next_event().await.why, Why::Readable);
    });
}

#[test]
fn what_is_put_back_comes_before_what_came_later_and_the_end_comes_last() {
    play(|stage| async move {
        let sock = tcp_sock();
        assert!(once(sock.recv(Group::Small)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        // No buffer has room for both.
        let two = [7; Group::Small.buffer_bytes() as usize];
        pieces(&stage, key, &[b"one", &two], false).await;
        let mut one = sock.recv(Group::Small).await.expect("bytes");
        one.advance(1);
        sock.put_back(one);
        for piece in [&b"ne"[..], &two] {
            assert_eq!(&sock.recv(Group::Small).await.expect("bytes")[..], piece);
        }
        assert!(once(sock.recv(Group::Small)).await.is_none());
        pieces(&stage, key, &[b"three", b"four"], true).await;
        stage.borrow_mut().then(Stage::end(key, Op::Recv, 0));
        turn().await;
        turn().await;
        for piece in [&b"threefour"[..], b"", b""] {
            assert_eq!(&sock.recv(Group::Small).await.expect("bytes")[..], piece);
        }
        assert_eq!(views_alive(), (0, 0));
    });
}

#[test]
fn a_receive_without_a_buffer_starts_again_once() {
    play(|stage| async move {
        let mut held = Vec::new();
        while let Some(buffer) = buffers::take(Group::Large) {
            held.push(buffer);
        }
        assert_eq!(held.len(), LARGE_BUFFERS_MAX as usize);
        let sock = sock();
        assert!(once(sock.recv(Group::Large)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        stage.borrow_mut().then(Stage::end(key, Op::Recv, -libc::ENOBUFS));
        for _ in 0..50 {
            turn().await;
            assert!(once(sock.recv(Group::Large)).await.is_none());
        }
        assert_eq!(stage.borrow().count(Op::Recv), 1, "no buffer, no receive: asking again cannot help");
        held.drain(..).for_each(|buffer| buffers::put_back(Group::Large, buffer));
        turn().await;
        turn().await;
        assert_eq!(stage.borrow().count(Op::Recv), 2, "asked again once, however often it was polled");
        let completion = stage.borrow().bytes(key, b"fed");
        stage.borrow_mut().then(completion);
        assert_eq!(&sock.recv(Group::Large).await.expect("fed")[..], b"fed");
    });
}

#[test]
fn a_starved_socket_that_is_dropped_asks_no_more() {
    play(|stage| async move {
        let mut held = Vec::new();
        while let Some(buffer) = buffers::take(Group::Large) {
            held.push(buffer);
        }
        let sock = sock();
        assert!(once(sock.recv(Group::Large)).await.is_none());
        let key = stage.borrow().last(Op::Recv);
        stage.borrow_mut().then(Stage::end(key, Op::Recv, -libc::ENOBUFS));
        sock.send(outgoing(b"bye", [])).await.expect("handed over");
        turn().await;
        drop(sock);
        held.drain(..).for_each(|buffer| buffers::put_back(Group::Large, buffer));
        turn().await;
        turn().await;
        assert_eq!(stage.borrow().count(Op::Recv), 1);
        stage.borrow_mut().then(Stage::end(key, Op::Send, 3));
        turn().await;
    });
}

#[test]
fn many_starved_sockets_are_fed_in_their_order_and_in_portions() {
    play(|stage| async move {
        let mut held = Vec::new();
        while let Some(buffer) = buffers::take(Group::Large) {
            held.push(buffer);
        }
        let socks: Vec<Sock> = (0..1_000).map(|_| sock()).collect();
        for sock in &socks {
            assert!(once(sock.recv(Group::Large)).await.is_none());
        }
        let ends = stage.borrow().asked.iter().map(|(op, key)| Stage::end(*key, *op, -libc::ENOBUFS)).collect();
        stage.borrow_mut().answers.push_back(ends);
        turn().await;
        turn().await;
        held.drain(..1).for_each(|buffer| buffers::put_back(Group::Large, buffer));
        let before = stage.borrow().waits;
        while stage.borrow().count(Op::Recv) < 2_000 {
            turn().await;
            assert!(stage.borrow().waits < before + 100, "fed to the last one");
        }
        assert!(stage.borrow().waits > before + 2, "not all at once");
        let asked = &stage.borrow().asked;
        assert_eq!(asked[..1_000], asked[1_000..]);
        held.drain(..).for_each(|buffer| buffers::put_back(Group::Large, buffer));
    });
}

// --- connect and accept -----------------------------------------------------------------------------------------------

#[test]
fn a_connect_ends_well_badly_or_late() {
    play(|stage| async move {
        let address = "127.0.0.1:9".parse().expect("an address");
        let second = Duration::from_secs(1);
        for result in [0, -libc::ECONNREFUSED] {
            assert!(once(async { turn().await }).await.is_none());
            stage.borrow_mut().plot = Some(Box::new(move |stage| {
                if let Some(&(op, key)) = stage.outstanding.iter().find(|(op, _)| *op == Op::Connect) {
                    stage.then(Stage::end(key, op, result));
                }
            }));
            let connected = Sock::connect(address, second).await;
            assert_eq!(connected.as_ref().err().and_then(io::Error::raw_os_error), (result != 0).then_some(-result));
        }
        stage.borrow_mut().plot = None;
        let began = net::now();
        let late = Sock::connect(address, second).await.err().expect("nobody answers");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(net::now() - began >= second);
        assert_eq!(stage.borrow().cancels.last().expect("cancelled").0, Op::Connect);
    });
}

#[test]
fn an_accept_that_fails_is_reported_once_and_asked_for_again() {
    play(|stage| async move {
        let listener = Listener::adopt(socket());
        for errno in [libc::EMFILE, libc::ECONNABORTED] {
            assert!(once(listener.accept()).await.is_none());
            let key = stage.borrow().last(Op::Accept);
            stage.borrow_mut().then(Stage::end(key, Op::Accept, -errno));
            let asked = stage.borrow().count(Op::Accept);
            let error = listener.accept().await.expect_err("the script failed it");
            assert_eq!(error.raw_os_error(), Some(errno));
            for _ in 0..5 {
                turn().await;
            }
            assert_eq!(stage.borrow().count(Op::Accept), asked, "not before somebody asks");
        }
    });
}

#[test]
fn a_flood_of_accepts_pauses_the_listener_and_starts_it_again() {
    use std::os::fd::IntoRawFd as _;

    play(|stage| async move {
        let listener = Listener::adopt(socket());
        assert!(once(listener.accept()).await.is_none());
        let key = stage.borrow().last(Op::Accept);
        let flood = (0..ACCEPTS_WAITING_MAX + 10)
            .map(|_| {
                let mut accepted = Stage::end(key, Op::Accept, socket().into_raw_fd());
                accepted.more = true;
                accepted
            })
            .collect();
        stage.borrow_mut().cancels_by_hand = true;
        stage.borrow_mut().answers.push_back(flood);
        turn().await;
        assert_eq!(stage.borrow().cancels, vec![(Op::Accept, key)], "paused once");
        for _ in 0..ACCEPTS_WAITING_MAX + 10 {
            listener.accept().await.expect("accepted");
        }
        let more = Rc::new(Cell::new(false));
        spawn({
            let more = more.clone();
            async move {
                listener.accept().await.expect("accepted");
                more.set(true);
            }
        });
        turn().await;
        stage.borrow_mut().then(Stage::end(key, Op::Accept, -libc::ECANCELED));
        turn().await;
        turn().await;
        assert_eq!(stage.borrow().count(Op::Accept), 2, "the pause ends");
        stage.borrow_mut().cancels_by_hand = false;
        stage.borrow_mut().then(Stage::end(key, Op::Accept, socket().into_raw_fd()));
        turn().await;
        turn().await;
        assert!(more.get());
    });
}

#[test]
fn connections_accepted_after_the_drop_are_closed() {
    use std::io::Read as _;
    use std::os::fd::IntoRawFd as _;

    play(|stage| async move {
        stage.borrow_mut().cancels_by_hand = true;
        let listener = Listener::adopt(socket());
        assert!(once(listener.accept()).await.is_none());
        let key = stage.borrow().last(Op::Accept);
        drop(listener);
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        stage.borrow_mut().then(Stage::end(key, Op::Accept, OwnedFd::from(ours).into_raw_fd()));
        turn().await;
        turn().await;
        assert_eq!(theirs.read(&mut [0; 1]).expect("the end"), 0);
    });
}

// --- parking and deadlines --------------------------------------------------------------------------------------------

#[test]
fn a_receive_fails_at_the_deadline_and_works_again_after_it() {
    play(|stage| async move {
        let sock = sock();
        sock.set_deadline(Some(Duration::from_secs(3)));
        let began = net::now();
        assert_eq!(sock.recv(Group::Small).await.expect_err("late").kind(), io::ErrorKind::TimedOut);
        let took = net::now() - began;
        assert!(took >= Duration::from_secs(3) && took <= Duration::from_millis(3_020), "{took:?}");
        assert_eq!(sock.recv(Group::Small).await.expect_err("still").kind(), io::ErrorKind::TimedOut);
        sock.set_deadline(Some(Duration::from_secs(3)));
        assert_eq!(&given(&stage, &sock, b"in time").await[..], b"in time");
    });
}

#[test]
fn a_deadline_moves_both_ways() {
    play(|_| async move {
        let sock = sock();
        for milliseconds in [60_000, 50, 2_000, 8, 40_000] {
            sock.set_deadline(Some(Duration::from_secs(90)));
            sock.set_deadline(Some(Duration::from_millis(milliseconds)));
            let began = net::now();
            sock.recv(Group::Small).await.expect_err("late");
            let took = (net::now() - began).as_millis() as u64;
            assert!((milliseconds..=milliseconds + 2 * TICK_MS).contains(&took), "{took} for {milliseconds}");
        }
        sock.set_deadline(Some(Duration::from_millis(50)));
        sock.set_deadline(None);
        sleep(Duration::from_secs(1)).await;
        assert!(once(sock.recv(Group::Small)).await.is_none(), "lifted");
    });
}

#[test]
fn a_parked_socket_tells_of_bytes_of_the_end_and_of_its_deadline() {
    play(|stage| async move {
        for (tag, why) in [(1, Why::Readable), (2, Why::Closed), (3, Why::Expired), (4, Why::Closed)] {
            let sock = sock();
            sock.set_deadline(Some(Duration::from_secs(1)));
            let parked = sock.park(tag, Group::Small);
            assert_eq!(sockets_alive(), (1, 1));
            let key = stage.borrow().last(Op::Recv);
            let completion = match tag {
                1 => Some(stage.borrow().bytes(key, b"GET")),
                2 => Some(Stage::end(key, Op::Recv, 0)),
                3 => None,
                _ => Some(Stage::end(key, Op::Recv, -libc::ECONNRESET)),
            };
            if let Some(completion) = completion {
                stage.borrow_mut().then(completion);
            }
            let event = next_event().await;
            assert_eq!((event.tag, event.why, event.parked), (tag, why, parked));
            assert_eq!(sockets_alive(), (1, 0));
            assert!(parked.unpark().is_none(), "held by the event");
            drop(event);
            turn().await;
        }
    });
}

#[test]
fn a_parked_socket_can_be_taken_back_until_something_happens() {
    play(|stage| async move {
        let parked = sock().park(1, Group::Small);
        let sock = parked.unpark().expect("nothing happened");
        assert_eq!(sockets_alive(), (1, 0));
        let parked = sock.park(2, Group::Small);
        let completion = {
            let stage = stage.borrow();
            stage.bytes(stage.last(Op::Recv), b"GET")
        };
        stage.borrow_mut().then(completion);
        turn().await;
        assert!(parked.unpark().is_none(), "its event is on the way");
        let event = next_event().await;
        assert_eq!((event.tag, event.why), (2, Why::Readable));
        assert_eq!(&event.sock.recv(Group::Small).await.expect("bytes")[..], b"GET");
        assert_eq!(stage.borrow().count(Op::Recv), 1, "one receive for all that");
        drop(event.sock);
        turn().await;
        assert!(parked.unpark().is_none(), "gone");
    });
}

#[test]
fn parking_after_the_deadline_tells_at_once() {
    play(|_| async move {
        let sock = sock();
        sock.set_deadline(Some(Duration::from_millis(50)));
        sock.recv(Group::Small).await.expect_err("late");
        let parked = sock.park(9, Group::Small);
        assert!(parked.unpark().is_none(), "its event is on the way");
        let event = super::timeout(Duration::from_secs(5), next_event()).await.expect("an event");
        assert_eq!((event.tag, event.why), (9, Why::Expired));
    });
}

#[test]
fn one_parking_makes_one_event() {
    play(|stage| async move {
        let sock = sock();
        sock.set_deadline(Some(Duration::from_millis(50)));
        let _ = sock.park(1, Group::Small);
        let completion = {
            let stage = stage.borrow();
            stage.bytes(stage.last(Op::Recv), b"GET")
        };
        stage.borrow_mut().then(completion);
        // Bytes came and the deadline passed before anybody looked.
        sleep(Duration::from_millis(200)).await;
        let event = next_event().await;
        assert_eq!(event.why, Why::Readable);
        event.sock.set_deadline(Some(Duration::from_secs(1)));
        assert_eq!(&event.sock.recv(Group::Small).await.expect("bytes")[..], b"GET");
        let parked = event.sock.park(2, Group::Small);
        assert!(once(next_event()).await.is_none(), "nothing happened to it since");
        drop(parked.unpark().expect("parked"));
    });
}

#[test]
fn a_drain_expires_what_is_parked_under_the_tags_it_names() {
    play(|_| async move {
        let (client, upstream) = (sock().park(1, Group::Small), sock().park(1 << 63, Group::Large));
        super::expire_parked(|tag| tag == 1);
        super::expire_parked(|tag| tag == 1);
        assert!(client.unpark().is_none(), "its event is on the way");
        let event = next_event().await;
        assert_eq!((event.parked, event.why), (client, Why::Expired));
        drop(event.sock);
        assert!(once(next_event()).await.is_none(), "one event");
        drop(upstream.unpark().expect("left alone"));
    });
}

#[test]
fn a_stale_name_finds_nobody_in_a_reused_slot() {
    play(|stage| async move {
        let stale = sock().park(1, Group::Small);
        drop(stale.unpark().expect("parked"));
        turn().await;
        assert_eq!(sockets_alive(), (0, 0));
        let old = stage.borrow().last(Op::Recv);
        let fresh = sock().park(2, Group::Small);
        let new = stage.borrow().last(Op::Recv);
        assert_eq!(new.index, old.index, "the slot is used again");
        assert_ne!(new.generation, old.generation);
        assert!(stale.unpark().is_none());
        drop(fresh.unpark().expect("untouched"));
    });
}

#[test]
#[cfg(debug_assertions)]
fn a_second_completion_is_refused() {
    let refused = std::panic::catch_unwind(|| {
        play(|stage| async move {
            let sock = sock();
            assert!(once(sock.recv(Group::Small)).await.is_none());
            let key = stage.borrow().last(Op::Recv);
            stage.borrow_mut().doubles = true;
            stage.borrow_mut().answers.push_back(vec![Stage::end(key, Op::Recv, 0), Stage::end(key, Op::Recv, 0)]);
            turn().await;
        });
    });
    assert!(refused.is_err());
}

// --- time -------------------------------------------------------------------------------------------------------------

#[test]
fn sleeps_end_in_order_and_never_early() {
    play(|_| async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let durations = [900, 3, 70, 8, 0, 2_500, 300, 9];
        for milliseconds in durations {
            let order = order.clone();
            spawn(async move {
                let (began, after) = (net::now(), Duration::from_millis(milliseconds));
                sleep(after).await;
                let took = net::now() - began;
                assert!(took >= after && took <= after + Duration::from_millis(2 * TICK_MS), "{took:?} for {after:?}");
                order.borrow_mut().push(milliseconds);
            });
        }
        sleep(Duration::from_secs(3)).await;
        assert_eq!(order.borrow().len(), durations.len());
        assert!(order.borrow()[3..].is_sorted());
    });
}

#[test]
fn a_sleep_is_not_early_between_two_ticks() {
    play(|stage| async move {
        for offset in 0..8 {
            turn().await;
            // Work between two looks at the clock, into the middle of a tick.
            stage.borrow_mut().clock += Duration::from_micros(offset * 1_000 + 990);
            let began = stage.borrow().clock;
            sleep(Duration::from_millis(1)).await;
            assert!(stage.borrow().clock.checked_sub(began).unwrap() >= Duration::from_millis(1));
        }
    });
}

#[test]
fn the_longest_time_does_not_wrap_around() {
    play(|_| async move {
        for long in [Duration::MAX, Duration::from_secs(1 << 61), Duration::from_secs(1 << 40)] {
            let sock = sock();
            sock.set_deadline(Some(long));
            let mut for_ever = Box::pin(sleep(long));
            sleep(Duration::from_secs(5)).await;
            assert!(once(for_ever.as_mut()).await.is_none());
            assert!(once(sock.recv(Group::Small)).await.is_none());
        }
    });
}

#[test]
fn timers_that_were_dropped_do_not_pile_up() {
    play(|_| async move {
        for _ in 0..10_000 {
            drop(sleep(Duration::from_secs(60)));
            let sock = sock();
            sock.set_deadline(Some(Duration::from_secs(60)));
        }
        let entries = net::with(|net| net.timers());
        assert!(entries <= 4, "{entries} entries in the wheel");
    });
}

// --- the shard --------------------------------------------------------------------------------------------------------

#[test]
fn the_end_of_a_shard_drops_tasks_that_were_spawned_by_drops() {
    struct SpawnsWhenDropped(Rc<Cell<u32>>);
    impl Drop for SpawnsWhenDropped {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if self.0.get() < 4 {
                let again = SpawnsWhenDropped(self.0.clone());
                spawn(async move {
                    let _again = again;
                    std::future::pending::<()>().await;
                });
            }
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let stage = Shared::default();
    let guard = SpawnsWhenDropped(dropped.clone());
    run_on(script(&stage), async move {
        spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        turn().await;
    })
    .expect("a shard");
    assert_eq!((dropped.get(), super::tasks_alive()), (4, 0));
}

#[test]
fn a_panicking_main_ends_the_shard_and_nothing_else() {
    let stage = Shared::default();
    let before = panics();
    run_on(script(&stage), async move {
        let _sock = sock();
        turn().await;
        panic!("on purpose");
    })
    .expect("a shard");
    assert_eq!(panics(), before + 1);
    assert_eq!(stage.borrow().forgotten.len(), 1, "its sockets are closed");
}

#[test]
fn a_driver_that_fails_ends_the_shard_in_good_order() {
    let stage = Shared::default();
    stage.borrow_mut().broken = Some(libc::EBADR);
    let outcome = run_on(script(&stage), async move {
        let sock = sock();
        drop(sock.recv(Group::Small).await);
    });
    assert_eq!(outcome.expect_err("the driver's error").raw_os_error(), Some(libc::EBADR));
    assert_eq!((super::tasks_alive(), stage.borrow().forgotten.len()), (0, 1));
}

#[test]
fn a_kernel_that_gives_nothing_back_costs_memory_and_not_safety() {
    let stage = Shared::default();
    stage.borrow_mut().cancels_by_hand = true;
    let weak = Rc::downgrade(&stage);
    run_on(script(&stage), async move {
        let sock = sock();
        sock.send(outgoing(b"stuck", [])).await.expect("handed over");
        assert!(once(sock.recv(Group::Small)).await.is_none());
    })
    .expect("a shard");
    let cancels = stage.borrow().cancels.iter().map(|(op, _)| *op).collect::<Vec<_>>();
    assert_eq!(cancels, [Op::Recv, Op::Send], "asked once each");
    assert!(stage.borrow().clock >= Duration::from_millis(TEARDOWN_MS_MAX));
    drop(stage);
    assert!(weak.upgrade().is_some(), "the driver and what it points to are leaked");
}

#[test]
fn a_panic_payload_that_panics_when_dropped_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the second, on purpose");
        }
    }
    play_with_panics(|| async {
        spawn(async { std::panic::panic_any(Bomb) });
        turn().await;
        turn().await;
    });
}

fn play_with_panics<F: Future<Output = ()> + 'static>(main: impl FnOnce() -> F) {
    let reached = Rc::new(Cell::new(false));
    run_on(script(&Shared::default()), {
        let (main, reached) = (main(), reached.clone());
        async move {
            main.await;
            reached.set(true);
        }
    })
    .expect("a shard");
    assert!(reached.get());
}

#[test]
fn a_panic_of_the_loop_itself_still_takes_the_shard_down() {
    let stage = Shared::default();
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let waits = Cell::new(0);
        stage.borrow_mut().plot = Some(Box::new(move |_| {
            waits.set(waits.get() + 1);
            assert!(waits.get() != 3, "on purpose");
        }));
        run_on(script(&stage), async move {
            let sock = sock();
            let _ = sock.recv(Group::Small).await;
        })
    }));
    assert!(broken.is_err());
    assert_eq!(super::tasks_alive(), 0);
    assert_eq!(stage.borrow().forgotten.len(), 1, "the socket was closed after its receive was over");
    // The thread can be a shard again.
    play_with_panics(|| async { turn().await });
}

#[test]
#[should_panic(expected = "worker threads")]
fn a_task_needs_a_shard() {
    spawn(async {});
}

#[test]
fn a_handle_of_an_earlier_shard_closes_nothing_in_the_next() {
    thread_local! { static KEPT: RefCell<Option<Sock>> = const { RefCell::new(None) }; }
    play_with_panics(|| async { KEPT.with(|kept| *kept.borrow_mut() = Some(sock())) });
    play_with_panics(|| async {
        let sock = sock();
        assert_eq!(sockets_alive(), (1, 0));
        drop(KEPT.with(|kept| kept.borrow_mut().take()));
        assert_eq!(sockets_alive(), (1, 0), "the other shard's handle is not ours");
        drop(sock);
    });
}

// --- any order --------------------------------------------------------------------------------------------------------

/// What the script's kernel does with a send or a receive, drawn in advance.
#[derive(Clone, Debug)]
enum Fate {
    Nothing,
    Some(usize),
    Again(i32),
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        2 => Just(Fate::Nothing),
        6 => (1_usize..700).prop_map(Fate::Some),
        1 => prop_oneof![Just(libc::EAGAIN), Just(libc::EINTR)].prop_map(Fate::Again),
    ];
    proptest::collection::vec(fate, 1..40)
}

/// Plays the kernel for one socket: `source` comes in by pieces, what goes out is appended to the sink.
fn kernel(source: Vec<u8>, fates: Vec<Fate>, sink: Rc<RefCell<Vec<u8>>>) -> Plot {
    let (mut at, mut fates) = (0, fates.into_iter().cycle());
    Box::new(move |stage| {
        for (op, key) in stage.outstanding.clone() {
            if stage.answers.iter().flatten().any(|answer| (answer.op, answer.key) == (op, key)) {
                continue;
            }
            let completion = match (op, fates.next().expect("an endless cycle")) {
                (_, Fate::Nothing) => continue,
                (_, Fate::Again(errno)) => Stage::end(key, op, -errno),
                (Op::Send, Fate::Some(count)) => {
                    let bytes = &stage.sends.last().expect("a send is under way").1;
                    let count = count.min(bytes.len());
                    sink.borrow_mut().extend_from_slice(&bytes[..count]);
                    Stage::end(key, op, count as i32)
                }
                (_, Fate::Some(count)) => {
                    let count = count.min(source.len() - at);
                    at += count;
                    if count == 0 { Stage::end(key, op, 0) } else { stage.bytes(key, &source[at - count..at]) }
                }
            };
            stage.then(completion);
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is relayed comes out complete and in order: split views, short sends, receives forgotten half-way,
    /// parkings in between.
    #[test]
    fn a_relay_neither_loses_nor_repeats_nor_reorders(
        source in proptest::collection::vec(any::<u8>(), 0..6_000),
        fates in fates().prop_filter("something must happen", |fates| fates.iter().any(|fate| matches!(fate, Fate::Some(_)))),
        moves in proptest::collection::vec(0_u8..6, 1..30),
    ) {
        play(move |stage| async move {
            let sink = Rc::new(RefCell::new(Vec::new()));
            stage.borrow_mut().plot = Some(kernel(source.clone(), fates, sink.clone()));
            let mut expected = Vec::new();
            let mut sock = sock();
            for step in moves.into_iter().cycle() {
                match step {
                    0 => drop(once(sock.flush()).await),
                    1 => turn().await,
                    2 => {
                        if let Some(back) = sock.park(1, Group::Large).unpark() {
                            sock = back;
                        } else {
                            sock = next_event().await.sock;
                        }
                    }
                    _ => {}
                }
                let mut bytes = sock.recv(Group::Small).await.expect("no errors here");
                if bytes.is_empty() {
                    break;
                }
                let head = vec![step; step as usize * 7];
                expected.extend_from_slice(&head);
                expected.extend_from_slice(&bytes);
                let mut out = Outgoing::new(head);
                for cut in [1, step as usize, 50] {
                    out.push(bytes.split_to(cut.min(bytes.len()))).expect("room");
                }
                out.push(bytes).expect("room");
                sock.send(out).await.expect("no errors here");
                if step == 5 {
                    // Interest in the next bytes, forgotten: they must wait for the next reader.
                    sock.flush().await.expect("sent");
                    assert!(once(std::future::pending::<()>()).await.is_none());
                }
            }
            sock.flush().await.expect("sent");
            assert_eq!(*sink.borrow(), expected);
            stage.borrow_mut().plot = None;
        });
    }
}
