//! TLS in front: the handshake. What follows is the socket's own business: whoever reads and writes sees plain bytes.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::{Accepted, AcceptedAlert, Acceptor};

use crate::connection::{self, Away, Open};
use crate::entry::Entry;
use crate::guest::Guest;
use crate::io::{Group, Outgoing, RBuf, Session, Sock, vector};
use crate::limits::{HANDSHAKES_MAX, LINGER_TIME};
use crate::link::Link;
use crate::observe::metrics::{HandshakeFailure, add, sub};
use crate::preamble;
use crate::state::Worker;

/// A handshake under way, counted.
struct Turn {
    worker: Rc<Worker>,
}

impl Turn {
    /// `None`: there are as many as may be.
    fn take(worker: &Rc<Worker>) -> Option<Turn> {
        if worker.handshakes.get() >= HANDSHAKES_MAX {
            return None;
        }
        worker.handshakes.set(worker.handshakes.get() + 1);
        add(&worker.metrics.tls_handshaking, 1);
        Some(Turn { worker: worker.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.worker.handshakes.set(self.worker.handshakes.get() - 1);
        sub(&self.worker.metrics.tls_handshaking, 1);
    }
}

/// A connection has sent its first byte to a listener with TLS. Its deadline runs since it was accepted.
pub async fn welcome(sock: Sock, entry: Rc<Entry>, worker: Rc<Worker>) {
    let mut open = Open::of(&worker, &entry, &sock);
    let shaken = match Turn::take(&worker) {
        Some(_turn) => shake(&sock, &entry, &worker, false).await,
        None => Err(HandshakeFailure::Busy),
    };
    if let Err(why) = shaken {
        failed(why, &worker);
        sock.give_up_session();
        if !matches!(why, HandshakeFailure::Busy | HandshakeFailure::Closed) {
            connection::linger(&Link::Sock(sock), RBuf::empty(), open).await;
        }
        return;
    }
    if let Some(protection) = sock.protection() {
        let version = usize::from(protection.version == "TLSv1.3");
        add(&worker.metrics.tls_handshakes[version][usize::from(protection.resumed)], 1);
    }
    if sock.protection().is_some_and(|protection| protection.http2) {
        return connection::speak_http2(sock, RBuf::empty(), open);
    }
    open.park(sock);
}

/// Somebody who is turned away hears why, if that can be said soon: in HTTP/1.1, which needs no more than a handshake, or, where
/// HTTP/2 alone is offered, by a GOAWAY that says that nothing was done.
pub async fn turn_away(sock: Sock, is_balancer: bool, entry: Rc<Entry>, words: Vec<u8>, away: Away) {
    let worker = away.worker().clone();
    sock.set_deadline(Some(LINGER_TIME));
    if is_balancer && preamble::read(&sock).await.is_err() {
        return;
    }
    let shaken = match Turn::take(&worker) {
        Some(_turn) => shake(&sock, &entry, &worker, true).await,
        None => Err(HandshakeFailure::Busy),
    };
    match shaken {
        Ok(()) => {
            let is_http2 = sock.protection().is_some_and(|protection| protection.http2);
            sock.start_send(Outgoing::new(if is_http2 { NO_ROOM.to_vec() } else { words }));
        }
        Err(why) => {
            failed(why, &worker);
            sock.give_up_session();
        }
    }
    connection::see_away(sock, away).await;
}

/// Counts a handshake that came to nothing.
pub fn failed(why: HandshakeFailure, worker: &Worker) {
    add(&worker.metrics.tls_failures[why as usize], 1);
}

async fn shake(sock: &Sock, entry: &Entry, worker: &Worker, is_brief: bool) -> Result<(), HandshakeFailure> {
    let (accepted, rest) = hello(sock).await?;
    let (terms, name) = {
        let name = accepted.client_hello().server_name().map(str::to_owned);
        let tls = entry.tls().ok_or(HandshakeFailure::Closed)?;
        let live = worker.live();
        let terms = live.published.protected.terms(name.as_deref().unwrap_or_default().as_bytes(), Some(&tls));
        (terms.ok_or(HandshakeFailure::Protocol)?.clone(), name)
    };
    let mut config = terms.server.clone();
    if is_brief {
        // A session of its own would never be continued.
        let brief = Arc::make_mut(&mut config);
        if accepted.client_hello().alpn().is_none_or(|mut offered| offered.any(|name| name == b"http/1.1")) {
            brief.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        brief.send_tls13_tickets = 0;
    }
    match accepted.into_connection(config) {
        Ok(connection) => sock.secure(Session::new(connection), rest),
        Err((error, alert)) => return Err(refuse(sock, &error, alert)),
    }
    sock.handshake().await.map_err(|error| cause(&error))?;
    if let Some(clients) = &terms.clients {
        let now = Duration::from_millis(worker.epoch_ms());
        sock.remember(|chain| Guest::new(&terms.host, name.as_deref(), chain, clients, now));
    }
    Ok(())
}

/// SETTINGS that set nothing, and GOAWAY: no stream was looked at, `ENHANCE_YOUR_CALM`.
const NO_ROOM: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b";

/// The client's first message, and what came behind it.
async fn hello(sock: &Sock) -> Result<(Accepted, RBuf), HandshakeFailure> {
    let mut acceptor = Acceptor::default();
    let mut is_first = true;
    loop {
        let mut bytes = sock.recv(Group::Small).await.map_err(|error| cause(&error))?;
        if bytes.is_empty() {
            return Err(HandshakeFailure::Closed);
        }
        // Every method of HTTP begins with a letter; no record of TLS does.
        if std::mem::replace(&mut is_first, false) && bytes[0].is_ascii_alphabetic() {
            sock.start_send(Outgoing::new(PLAIN_HTTP.to_vec()));
            return Err(HandshakeFailure::PlainHttp);
        }
        while !bytes.is_empty() {
            let mut rest = &bytes[..];
            let taken = acceptor.read_tls(&mut rest).map_err(|_| HandshakeFailure::Protocol)?;
            bytes.advance(taken);
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Ok((accepted, bytes)),
                Err((error, alert)) => return Err(refuse(sock, &error, alert)),
            }
        }
    }
}

/// Tells the client what is wrong with its hello.
fn refuse(sock: &Sock, error: &rustls::Error, mut alert: AcceptedAlert) -> HandshakeFailure {
    let mut bytes = vector();
    // A vector takes everything.
    let _ = alert.write_all(&mut bytes);
    sock.start_send(Outgoing::new(bytes));
    why(error)
}

/// What a client hears that speaks plain HTTP where TLS is spoken.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\
    Connection: close\r\n\r\n{\"message\":\"This port speaks TLS: use https://\"}\n";

fn cause(error: &io::Error) -> HandshakeFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => why(error),
        None if error.kind() == io::ErrorKind::TimedOut => HandshakeFailure::Timeout,
        None if error.kind() == io::ErrorKind::InvalidData => HandshakeFailure::Protocol,
        None => HandshakeFailure::Closed,
    }
}

fn why(error: &rustls::Error) -> HandshakeFailure {
    match error {
        rustls::Error::AlertReceived(_) => HandshakeFailure::Alert,
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol | rustls::Error::General(_) => {
            HandshakeFailure::Incompatible
        }
        _ => HandshakeFailure::Protocol,
    }
}
