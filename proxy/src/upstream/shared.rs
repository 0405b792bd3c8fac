//! An upstream as all workers see it together: who is well, what is under way, what may be repeated. On a request's way there
//! are atomics alone; the locks are for what changes with a reload, a name, or a failure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use codec::http1::misbehave::Misbehaviour;
use config::snapshot::{Outlier, Upstream};
use policy::fault::Fault;
use rustls::pki_types::ServerName;

use super::retry::Budget;
use crate::io::Protection;
use crate::limits::RAMP_LEAST;

/// Milliseconds since the process began, never 0: what the atomics hold in place of an `Instant`.
pub fn millis(at: Instant) -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    // A worker's clock may be a little behind.
    at.saturating_duration_since(*BEGAN.get_or_init(|| at)).as_millis() as u64 + 1
}

/// An upstream. Kept across reloads by its name, its servers by their addresses.
pub struct Shared {
    /// Its name in the document, or the authority of the URIs that named it.
    pub name: Arc<str>,
    /// Connections of all workers, idle ones included.
    pub connections: Gate,
    /// Requests whose connection is being opened.
    pub pending: Gate,
    /// Requests under way; counted only where they are limited.
    pub requests: Gate,
    /// Requests that were sent again.
    pub budget: Budget,
    /// Requests that were sent again, by whatever cause.
    pub retries: AtomicU64,
    /// Requests that would have been, had the budget allowed it.
    pub retries_denied: AtomicU64,
    /// TLS handshakes that were done: of 1.2 and 1.3, whole ones and those that continued a session.
    pub handshakes: [[AtomicU64; 2]; 2],
    faults: [AtomicU64; Fault::COUNT],
    bad_answers: [AtomicU64; Misbehaviour::ALL.len()],
    workers: usize,
    standings: Mutex<BTreeMap<Arc<str>, Arc<Standing>>>,
}

/// A server of an upstream, as all workers see it.
#[repr(align(64))]
pub struct Standing {
    /// `127.0.0.1:9000`, `unix:/path`; `name:port` until the name is resolved.
    pub address: Arc<str>,
    /// Whom its certificate has to name, if it needs one.
    pub name: Option<ServerName<'static>>,
    /// In a row.
    failures: AtomicU32,
    checked: AtomicU8,
    /// Let alone until then; stays when that time is over. 0: never was.
    ejected_until: AtomicU64,
    /// Since it last did well for a long time.
    ejections: AtomicU32,
    /// Since a check found it well again, or since it was added; 0: from the beginning.
    well_since: AtomicU64,
    /// Requests that failed for its sake.
    pub failures_total: AtomicU64,
    /// Times that it was let alone.
    pub ejections_total: AtomicU64,
    /// Checks that went well, and that did not.
    pub checks: [AtomicU64; 2],
    blocks: Box<[Block]>,
}

/// One worker's counters of a server; it alone writes them.
#[derive(Default)]
#[repr(align(64))]
pub struct Block {
    /// Requests sent.
    pub requests: AtomicU64,
    /// Requests under way (gauge).
    pub in_flight: AtomicU64,
    /// Connections, idle ones included (gauge).
    pub open: AtomicU64,
}

/// What an active check has last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Checked {
    /// Nothing yet: taken for well.
    Unknown,
    /// Well.
    Well,
    /// Ill.
    Ill,
}

/// A server's state in a word, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Used.
    Well,
    /// Its checks fail.
    Ill,
    /// Let alone after failures.
    Ejected,
    /// Both: it is not used before both are over.
    IllAndEjected,
}

/// A count with a limit that holds exactly: never more are in. One that has to leave again at once may keep another out.
#[derive(Default)]
pub struct Gate {
    inside: AtomicU32,
    refused: AtomicU64,
}

impl Gate {
    /// One more, unless `most` are in.
    pub fn enter(&self, most: Option<u32>) -> bool {
        let before = self.inside.fetch_add(1, Relaxed);
        if most.is_none_or(|most| before < most) {
            return true;
        }
        self.inside.fetch_sub(1, Relaxed);
        self.refused.fetch_add(1, Relaxed);
        false
    }

    /// One less.
    pub fn leave(&self) {
        self.inside.fetch_sub(1, Relaxed);
    }

    /// How many are in.
    pub fn inside(&self) -> u32 {
        self.inside.load(Relaxed)
    }

    /// How often nobody was let in.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Nothing is known of it.
    pub fn new(name: Arc<str>, workers: usize) -> Shared {
        Shared {
            name,
            connections: Gate::default(),
            pending: Gate::default(),
            requests: Gate::default(),
            budget: Budget::default(),
            retries: AtomicU64::new(0),
            retries_denied: AtomicU64::new(0),
            handshakes: [const { [const { AtomicU64::new(0) }; 2] }; 2],
            faults: [const { AtomicU64::new(0) }; Fault::COUNT],
            bad_answers: [const { AtomicU64::new(0) }; Misbehaviour::ALL.len()],
            workers,
            standings: Mutex::default(),
        }
    }

    /// The upstreams of a snapshot, by number; those that were known before stay what they were.
    pub fn reconcile(upstreams: &[Upstream], workers: usize, before: &[Arc<Shared>]) -> Box<[Arc<Shared>]> {
        let known: BTreeMap<&str, &Arc<Shared>> = before.iter().map(|shared| (&*shared.name, shared)).collect();
        let find = |upstream: &Upstream| match known.get(&*upstream.name) {
            Some(shared) => (*shared).clone(),
            None => Arc::new(Shared::new(upstream.name.clone(), workers)),
        };
        upstreams.iter().map(find).collect()
    }

    /// The standing of a server. One that joins others gets its share slowly.
    pub fn standing(&self, address: &str, name: Option<ServerName<'static>>, joins: bool, now: u64) -> Arc<Standing> {
        let mut standings = lock(&self.standings);
        standings.retain(|known, standing| **known == *address || Arc::strong_count(standing) > 1);
        if let Some(known) = standings.get(address).filter(|known| known.name == name) {
            return known.clone();
        }
        let address: Arc<str> = address.into();
        let made = Arc::new(Standing::new((address.clone(), name), self.workers, if joins { now } else { 0 }));
        standings.insert(address, made.clone());
        made
    }

    /// The servers that somebody uses.
    pub fn standings(&self) -> Vec<Arc<Standing>> {
        let mut standings = lock(&self.standings);
        standings.retain(|_, standing| Arc::strong_count(standing) > 1);
        standings.values().cloned().collect()
    }

    /// Notes what broke in an attempt, whether or not it is repeated.
    pub fn broke(&self, fault: Fault) {
        self.faults[fault.index()].fetch_add(1, Relaxed);
        if let Fault::BadAnswer(how) = fault
            && let Some(at) = Misbehaviour::ALL.iter().position(|known| *known == how)
        {
            self.bad_answers[at].fetch_add(1, Relaxed);
        }
    }

    /// A TLS handshake is done.
    pub fn shaken(&self, protection: Protection) {
        let version = usize::from(protection.version == "TLSv1.3");
        self.handshakes[version][usize::from(protection.resumed)].fetch_add(1, Relaxed);
    }

    /// What broke so far, and how often: name and count, those that never did left out.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.faults.iter().zip(Fault::NAMES);
        counts.map(|(count, name)| (name, count.load(Relaxed))).filter(|(_, count)| *count > 0)
    }

    /// In which ways answers were bad so far, likewise.
    pub fn bad_answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.bad_answers.iter().zip(Misbehaviour::ALL);
        counts.map(|(count, how)| (how.name(), count.load(Relaxed))).filter(|(_, count)| *count > 0)
    }

    /// Requests under way on all workers.
    pub fn in_flight(&self) -> u64 {
        self.standings().iter().map(|standing| standing.sum(|block| &block.in_flight)).sum()
    }

    /// A server failed a request.
    pub fn failed(&self, standing: &Standing, outlier: Option<&Outlier>, now: u64) {
        standing.failures_total.fetch_add(1, Relaxed);
        let failures = standing.failures.fetch_add(1, Relaxed).saturating_add(1);
        if let Some(outlier) = outlier.filter(|outlier| failures >= outlier.failures)
            && !standing.is_ejected(now)
        {
            self.eject(standing, outlier, now);
        }
    }

    /// Lets a server alone, unless too many are. Under the lock: two workers do not both take the last place.
    fn eject(&self, standing: &Standing, outlier: &Outlier, now: u64) {
        let standings = lock(&self.standings);
        let used = || standings.values().filter(|standing| Arc::strong_count(standing) > 1);
        let ejected = used().filter(|standing| standing.is_ejected(now)).count();
        if standing.is_ejected(now) || (ejected + 1) * 100 > used().count() * usize::from(outlier.share) {
            return;
        }
        let time = standing.eject(outlier, now);
        tracing::warn!(upstream = %self.name, server = %standing.address, milliseconds = time, "a server fails: it is let alone");
    }
}

impl Standing {
    fn new((address, name): (Arc<str>, Option<ServerName<'static>>), workers: usize, well_since: u64) -> Standing {
        Standing {
            address,
            name,
            failures: AtomicU32::new(0),
            checked: AtomicU8::new(Checked::Unknown as u8),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            well_since: AtomicU64::new(well_since),
            failures_total: AtomicU64::new(0),
            ejections_total: AtomicU64::new(0),
            checks: [const { AtomicU64::new(0) }; 2],
            blocks: (0..workers).map(|_| Block::default()).collect(),
        }
    }

    /// A worker's counters.
    pub fn block(&self, worker: usize) -> &Block {
        &self.blocks[worker]
    }

    /// The sum of a counter or a gauge over all workers. One block of a gauge may be below zero for a moment.
    pub fn sum(&self, of: impl Fn(&Block) -> &AtomicU64) -> u64 {
        self.blocks.iter().fold(0u64, |sum, block| sum.wrapping_add(of(block).load(Relaxed)))
    }

    /// A request went well. Writes nothing if the one before did, too.
    #[inline]
    pub fn succeeded(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    #[inline]
    fn is_ejected(&self, now: u64) -> bool {
        now < self.ejected_until.load(Relaxed)
    }

    /// The failures in a row stay: the first one after its time lets it alone again, the first success forgets them.
    fn eject(&self, outlier: &Outlier, now: u64) -> u64 {
        let longest = outlier.time_max.as_millis() as u64;
        let did_well = now.saturating_sub(self.ejected_until.load(Relaxed)) > longest;
        let ejections = if did_well { 0 } else { self.ejections.load(Relaxed) };
        let factor = 1u64.checked_shl(ejections).unwrap_or(u64::MAX);
        let time = (outlier.time.as_millis() as u64).saturating_mul(factor).min(longest);
        self.ejections.store(ejections.saturating_add(1), Relaxed);
        self.ejections_total.fetch_add(1, Relaxed);
        self.ejected_until.store(now.saturating_add(time), Relaxed);
        time
    }

    /// Whether it is to be used.
    #[inline]
    pub fn is_well(&self, is_checked: bool, now: u64) -> bool {
        !self.is_ejected(now) && !self.is_ill(is_checked)
    }

    #[inline]
    fn is_ill(&self, is_checked: bool) -> bool {
        is_checked && self.checked.load(Relaxed) == Checked::Ill as u8
    }

    /// The same for people.
    pub fn health(&self, is_checked: bool, now: u64) -> Health {
        match (self.is_ill(is_checked), self.is_ejected(now)) {
            (false, false) => Health::Well,
            (true, false) => Health::Ill,
            (false, true) => Health::Ejected,
            (true, true) => Health::IllAndEjected,
        }
    }

    /// Percent of its weight: less for a while after it came back or was added.
    #[inline]
    pub fn ramp(&self, slow_start: u64, now: u64) -> u32 {
        if slow_start == 0 {
            return 100;
        }
        let since = self.ejected_until.load(Relaxed).max(self.well_since.load(Relaxed));
        let age = now.saturating_sub(since);
        if since == 0 || age >= slow_start { 100 } else { ((age * 100 / slow_start) as u32).max(RAMP_LEAST) }
    }

    /// What a check has found; true if that is news. A server that is well again starts slowly.
    pub fn check(&self, found: Checked, now: u64) -> bool {
        let before = self.checked.swap(found as u8, Relaxed);
        if before == Checked::Ill as u8 && found == Checked::Well {
            self.well_since.store(now, Relaxed);
        }
        before != found as u8
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OUTLIER: Outlier = Outlier {
        failures: 3,
        time: Duration::from_secs(10),
        time_max: Duration::from_secs(60),
        share: 50,
        answers: false,
    };

    fn upstream(servers: usize) -> (Shared, Vec<Arc<Standing>>) {
        let shared = Shared::new("pets".into(), 1);
        let standings = (0..servers).map(|number| shared.standing(&number.to_string(), None, false, 1)).collect();
        (shared, standings)
    }

    fn fails(shared: &Shared, standing: &Standing, times: usize, now: u64) {
        (0..times).for_each(|_| shared.failed(standing, Some(&OUTLIER), now));
    }

    #[test]
    fn failures_in_a_row_let_a_server_alone_for_longer_each_time() {
        let (shared, all) = upstream(2);
        fails(&shared, &all[0], 2, 1_000);
        all[0].succeeded();
        fails(&shared, &all[0], 2, 1_000);
        assert!(all[0].is_well(false, 1_000), "a success in between forgets them");
        fails(&shared, &all[0], 1, 1_000);
        assert_eq!(all[0].health(false, 10_999), Health::Ejected);
        assert_eq!(all[0].health(false, 11_000), Health::Well);
        fails(&shared, &all[0], 1, 11_000);
        assert!(!all[0].is_well(false, 30_999), "one more failure is enough, and it lasts twice as long");
        assert!(all[0].is_well(false, 31_000));
        for _ in 0..5 {
            fails(&shared, &all[0], 1, 31_000);
        }
        assert!(all[0].is_well(false, 71_000), "four times, once: who is let alone already is not again");
        fails(&shared, &all[0], 1, 71_000);
        assert!(all[0].is_well(false, 131_000), "time_max");
        fails(&shared, &all[0], 1, 131_000 + 60_001);
        assert!(all[0].is_well(false, 131_000 + 70_001), "long ago is forgotten");
    }

    #[test]
    fn no_more_than_a_share_is_let_alone() {
        let (shared, all) = upstream(3);
        for standing in &all {
            fails(&shared, standing, 10, 1);
        }
        let well = all.iter().filter(|standing| standing.is_well(false, 2)).count();
        assert_eq!(well, 2, "half of three is one");
        let (shared, all) = upstream(1);
        fails(&shared, &all[0], 10, 1);
        assert!(all[0].is_well(false, 2), "half of one is none");
    }

    #[test]
    fn who_comes_back_starts_slowly() {
        let (shared, all) = upstream(2);
        assert_eq!(all[0].ramp(1_000, 5), 100, "who was there from the beginning does not");
        fails(&shared, &all[0], 3, 1_000);
        let back = 11_000;
        assert_eq!([0, 50, 500, 999, 1_000].map(|age| all[0].ramp(1_000, back + age)), [10, 10, 50, 99, 100]);
        let added = shared.standing("new", None, true, 20_000);
        assert_eq!(added.ramp(1_000, 20_500), 50);
        all[1].check(Checked::Ill, 30_000);
        assert!(!all[1].is_well(true, 30_000) && all[1].is_well(false, 30_000));
        assert!(all[1].check(Checked::Well, 31_000) && !all[1].check(Checked::Well, 31_500));
        assert_eq!(all[1].ramp(1_000, 31_500), 50);
    }

    #[test]
    fn a_reload_keeps_what_is_known() {
        let (shared, all) = upstream(2);
        fails(&shared, &all[0], 3, 1);
        assert!(!shared.standing("0", None, false, 2).is_well(false, 2));
        drop(all);
        assert!(shared.standings().is_empty());
        assert!(shared.standing("0", None, false, 2).is_well(false, 2), "what nobody uses is forgotten");
    }

    #[test]
    fn a_gate_holds_exactly() {
        let gate = Gate::default();
        assert!(gate.enter(Some(2)) && gate.enter(Some(2)) && !gate.enter(Some(2)));
        gate.leave();
        assert!(gate.enter(Some(2)) && gate.enter(None));
        assert_eq!((gate.inside(), gate.refused()), (3, 1));
    }
}
