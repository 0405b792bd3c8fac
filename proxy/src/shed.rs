//! What a worker does when it is full: idle clients are let go, newcomers are turned away.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use codec::http1::write;
use config::snapshot::Hsts;
use policy::refusal::Refusal;
use policy::transform::headers;

use crate::connection::{self, Away, Open, see_away};
use crate::entry::Entry;
use crate::io::{IdleSock, Outgoing, Sock, spawn, vector};
use crate::limits::{CLOSED_FOR_NEWCOMER, CLOSED_IN_NEED};
use crate::observe::metrics::{add, sub};
use crate::overload::{Idle, Level};
use crate::protected::write_hsts;
use crate::state::Worker;
use crate::tls;
use crate::trip::Trip;
use crate::upstream::server::UPSTREAM_TAG;
use crate::words::refusal_fields;

/// Why somebody is turned away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The worker has as many connections as it may.
    Full,
    /// The client's address has.
    Address,
}

/// Makes room for one connection: from the first step on, idle ones are closed for it. False if there is none.
pub fn make_room(worker: &Rc<Worker>) -> bool {
    for _ in 0..CLOSED_FOR_NEWCOMER {
        if !worker.load.has_little_room() || !close_oldest(worker) {
            break;
        }
    }
    worker.load.level() < Level::Full
}

/// The kernel has no descriptor or no memory left: some of those who have nothing to say make room. The younger half stays:
/// who took the last descriptor is about to ask something.
pub fn make_room_in_need(worker: &Rc<Worker>) {
    let idle = worker.metrics.connections_idle.load(Relaxed);
    for _ in 0..(idle / 2).min(CLOSED_IN_NEED) {
        if !close_oldest(worker) {
            return;
        }
    }
}

/// Nobody is accepted, and it shall become better: idle connections go until the first step is over.
pub fn shrink(worker: &Rc<Worker>) {
    while worker.load.has_little_room() && close_oldest(worker) {}
}

/// Closes the connection that has been idle for longest. It may have spoken since it was found, or this very moment: then it is
/// not idle, and the next one is. Who has spoken is found again until its turn has come: one search, not two.
fn close_oldest(worker: &Rc<Worker>) -> bool {
    for searches in 0..2 {
        if searches == 1 {
            worker.load.find_oldest(|count| find_oldest(count, worker));
        }
        while let Some(idle) = worker.load.oldest() {
            if close(idle, worker) {
                add(&worker.metrics.overload_idle_closed, 1);
                return true;
            }
        }
    }
    false
}

/// Those that have been idle for longest, whatever they speak, in their order.
fn find_oldest(count: usize, worker: &Worker) -> Vec<Idle> {
    let socks = IdleSock::find(count, |tag| tag & UPSTREAM_TAG == 0);
    let mut found: Vec<(Instant, Idle)> = socks.into_iter().map(|sock| (sock.until(), Idle::Sock(sock))).collect();
    let lines = worker.entries.idle_lines();
    found.extend(lines.into_iter().map(|(until, entry, line)| (until, Idle::Line(entry, line))));
    found.sort_by_key(|(until, _)| *until);
    found.truncate(count);
    found.into_iter().map(|(_, idle)| idle).collect()
}

/// False if it is not idle any more.
fn close(idle: Idle, worker: &Rc<Worker>) -> bool {
    match idle {
        Idle::Sock(idle) => {
            let unparked = idle.unpark();
            unparked.map(|(sock, tag)| connection::forget(sock, &worker.entries.of(tag), worker)).is_some()
        }
        Idle::Line(entry, line) => {
            let is_closed = line.shed();
            if is_closed {
                sub(&worker.metrics.connections_idle, 1);
                // Its room is free from now on.
                drop(Open::of(worker, &entry, &line.sock));
            }
            is_closed
        }
    }
}

/// Tells a newcomer 503 at once, and gives it the time to read that; beyond [`crate::limits::AWAY_MAX`] of them there is no
/// time for that, and nobody is accepted until half of them have gone.
/// Who has to shake hands first does so within that time, behind what a balancer says in front of it: `is_balancer`.
pub fn turn_away(sock: Sock, (why, is_balancer): (Why, bool), entry: &Entry, worker: &Rc<Worker>) {
    let counter = match why {
        Why::Full => &worker.metrics.overload_refused,
        Why::Address => &worker.metrics.address_refused,
    };
    add(counter, 1);
    add(&worker.metrics.refusals[Refusal::Overloaded.index()], 1);
    if !entry.is_protected() {
        sock.start_send(Outgoing::new(farewell(worker, None)));
    }
    let Some(away) = Away::begin(worker) else {
        if why == Why::Full {
            worker.load.close();
        }
        return;
    };
    if entry.is_protected() {
        let words = farewell(worker, entry.manner().hsts);
        spawn(tls::turn_away(sock, is_balancer, worker.entries.of(entry.tag), words, away));
    } else {
        spawn(see_away(sock, away));
    }
}

/// The refusal of a connection that has not asked anything yet.
fn farewell(worker: &Worker, hsts: Option<Hsts>) -> Vec<u8> {
    let mut trip = Trip::begin(worker);
    trip.name(None, None, worker);
    let reply = Refusal::Overloaded.reply(None);
    let mut out = vector();
    write::status_line(&mut out, reply.status);
    worker.write_date(&mut out);
    headers::write_ids(None, trip.request_id(), trip.extended_id(), &mut out);
    if let Some(hsts) = hsts {
        write_hsts(hsts, &mut out);
    }
    write::field(&mut out, b"Connection", b"close");
    refusal_fields(&reply, &mut out);
    write::content_length(&mut out, reply.body.len() as u64);
    write::end(&mut out);
    out.extend_from_slice(reply.body);
    out
}
