//! How full a worker is, and in which step of shedding: numbers alone; who is let go, and how, is `shed`'s business.
//!
//! 1. From 95 % of its connections on, idle ones are closed for newcomers, the oldest first, and answers end their connections.
//! 2. At 100 % newcomers are told 503 at once.
//! 3. Where even those who are told so become too many, nobody is accepted until half of them have gone: the kernel's queue
//!    holds the others back, who are told then.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use config::snapshot::Limits;

use crate::entry::Entry;
use crate::http2::Line;
use crate::io::{IdleSock, now};
use crate::limits::{AWAY_MAX, NO_IDLE_PAUSE, OLDEST_FOUND_MIN, SHED_PERCENT};

/// The step of shedding that a worker has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is room.
    Calm,
    /// Idle connections are closed for newcomers; answers end their connections.
    Shedding,
    /// Newcomers are told 503.
    Full,
    /// Nobody is accepted.
    Closed,
}

impl Level {
    /// Names in `/status`, by the metric's number.
    pub const NAMES: [&'static str; 4] = ["calm", "shedding", "full", "closed"];
}

/// A connection that was idle when somebody looked.
pub enum Idle {
    /// Between two requests, or before the first one.
    Sock(IdleSock),
    /// Of HTTP/2, without streams; where it came in.
    Line(Rc<Entry>, Rc<Line>),
}

/// What a worker carries, and what it may.
pub struct Load {
    /// Clients' connections, idle ones included.
    open: Cell<u32>,
    /// Connections that are being turned away.
    away: Cell<u32>,
    requests: Cell<u32>,
    most: Cell<Most>,
    /// Connections for which there are files, whatever the document says.
    files: u32,
    closed: Cell<bool>,
    /// The oldest idle connections, in their order, as they were at the last look.
    oldest: RefCell<VecDeque<Idle>>,
    /// Nobody was idle: when it is worth another look.
    look_again: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, Default)]
struct Most {
    connections: u32,
    /// The first step begins here.
    shed_at: u32,
    /// Requests at once; 0: no limit.
    requests: u32,
    /// Connections of one address; 0: no limit.
    per_address: u32,
}

impl Most {
    fn of(limits: &Limits, files: u32) -> Most {
        let connections = limits.connections.min(files);
        let share = u64::from(connections) * u64::from(SHED_PERCENT);
        Most {
            connections,
            shed_at: share.div_ceil(100) as u32,
            requests: limits.requests,
            per_address: limits.connections_per_address,
        }
    }
}

/// A request at work.
pub struct Working<'a>(&'a Load);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
    }
}

impl Load {
    /// Nothing yet. `files`: connections for which there are descriptors.
    pub fn new(limits: &Limits, files: u32) -> Load {
        Load {
            open: Cell::new(0),
            away: Cell::new(0),
            requests: Cell::new(0),
            most: Cell::new(Most::of(limits, files)),
            files,
            closed: Cell::new(false),
            oldest: RefCell::default(),
            look_again: Cell::new(None),
        }
    }

    /// Other limits.
    pub fn adopt(&self, limits: &Limits) {
        self.most.set(Most::of(limits, self.files));
    }

    /// The step that it has come to.
    pub fn level(&self) -> Level {
        let (open, most) = (self.open.get(), self.most.get());
        if self.closed.get() {
            Level::Closed
        } else if open >= most.connections {
            Level::Full
        } else if open >= most.shed_at {
            Level::Shedding
        } else {
            Level::Calm
        }
    }

    /// Whether the first step has begun.
    pub fn has_little_room(&self) -> bool {
        self.open.get() >= self.most.get().shed_at
    }

    /// Clients' connections, idle ones included.
    pub fn open(&self) -> u32 {
        self.open.get()
    }

    /// One connection more.
    pub fn opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// One less.
    pub fn left(&self) {
        self.open.set(self.open.get() - 1);
    }

    /// Connections of one address; 0: no limit.
    pub fn per_address(&self) -> u32 {
        self.most.get().per_address
    }

    /// One more is being turned away; false if there are too many already.
    pub fn turn_away(&self) -> bool {
        let room = self.away.get() < AWAY_MAX;
        if room {
            self.away.set(self.away.get() + 1);
        }
        room
    }

    /// It has gone.
    pub fn went_away(&self) {
        self.away.set(self.away.get() - 1);
    }

    /// Nobody is accepted from now on.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// Whether newcomers may be accepted: after a third step, when there is time to tell them that there is no room. Waiting for
    /// room itself could take as long as a head may, and whoever waits would not know of it.
    pub fn is_accepting(&self) -> bool {
        if self.closed.get() && self.away.get() < AWAY_MAX / 2 {
            self.closed.set(false);
        }
        !self.closed.get()
    }

    /// Requests at work.
    pub fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// Counts a request until the guard goes.
    pub fn begin_request(&self) -> Working<'_> {
        self.requests.set(self.requests.get() + 1);
        Working(self)
    }

    /// Whether there are more requests at work than there may.
    pub fn has_too_many_requests(&self) -> bool {
        let most = self.most.get().requests;
        most != 0 && self.requests.get() > most
    }

    /// The connection that has been idle for longest, of those that were found last.
    pub fn oldest(&self) -> Option<Idle> {
        self.oldest.borrow_mut().pop_front()
    }

    /// Finds the oldest ones anew. `look` finds a portion of them, in their order: it walks over all, so it is asked once for
    /// many, and after it found none not again for a while.
    pub fn find_oldest(&self, look: impl Fn(usize) -> Vec<Idle>) {
        if self.look_again.get().is_none_or(|at| now() >= at) {
            // One in a hundred: as many newcomers pay for one look.
            let portion = (self.most.get().connections / 100).max(OLDEST_FOUND_MIN);
            let found = look(portion as usize);
            self.look_again.set(found.is_empty().then(|| now() + NO_IDLE_PAUSE));
            *self.oldest.borrow_mut() = found.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(connections: u32) -> Load {
        let document = format!("gateway: {{listen: 127.0.0.1:0, limits: {{connections: {connections}, requests: 2}}}}");
        let document = format!("{document}\napis: {{a: {{kind: http, routes: {{}}, stages: {{$default: {{}}}}}}}}\n");
        let loaded = config::load_text("gateway.yaml", &document, std::path::Path::new("."));
        Load::new(&loaded.snapshot.expect("a good document").gateway.limits, 500)
    }

    fn levels(load: &Load, most: u32) -> Vec<(u32, Level)> {
        let mut changes = vec![(0, load.level())];
        for open in 1..=most {
            load.opened();
            if load.level() != changes[changes.len() - 1].1 {
                changes.push((open, load.level()));
            }
        }
        changes
    }

    #[test]
    fn steps_begin_at_their_shares() {
        use Level::{Calm, Full, Shedding};
        assert_eq!(levels(&load(1), 1), [(0, Calm), (1, Full)]);
        assert_eq!(levels(&load(20), 30), [(0, Calm), (19, Shedding), (20, Full)]);
        assert_eq!(levels(&load(21), 30), [(0, Calm), (20, Shedding), (21, Full)]);
        assert_eq!(levels(&load(1_000), 600), [(0, Calm), (475, Shedding), (500, Full)], "there are 500 files");
    }

    #[test]
    fn once_closed_it_opens_when_half_of_those_who_were_told_have_gone() {
        let load = load(20);
        (0..20).for_each(|_| load.opened());
        assert!(load.is_accepting());
        load.close();
        (0..AWAY_MAX).for_each(|_| assert!(load.turn_away()));
        for _ in 0..AWAY_MAX / 2 {
            assert!(!load.is_accepting());
            assert_eq!(load.level(), Level::Closed);
            load.went_away();
        }
        assert!(!load.is_accepting(), "half are still here");
        load.went_away();
        assert!(load.is_accepting());
        assert_eq!(load.level(), Level::Full, "there is time to say so, and no room");
    }

    #[test]
    fn only_so_many_are_turned_away_at_once() {
        let load = load(20);
        assert_eq!((0..1_000).filter(|_| load.turn_away()).count(), AWAY_MAX as usize);
        load.went_away();
        assert!(load.turn_away() && !load.turn_away());
    }

    #[test]
    fn requests_are_counted_while_they_last() {
        let load = load(20);
        let first = load.begin_request();
        let second = load.begin_request();
        assert!(!load.has_too_many_requests());
        let third = load.begin_request();
        assert!(load.has_too_many_requests());
        drop(first);
        assert!(!load.has_too_many_requests());
        drop((second, third));
        assert_eq!(load.requests(), 0);
    }
}
