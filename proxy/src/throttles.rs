//! The buckets and gates of the process: what limits requests, kept across reloads by its name.
//!
//! A limit that stays as it was keeps its bucket; one that is changed keeps what was spent. Another process begins with full buckets:
//! an upgrade lets a burst pass once more.

mod crowd;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use codec::head::Name;
use config::snapshot::{By, ByClient, Plan, Release, Snapshot, Stage};
use policy::firewall::{Firewall, Rule};
use policy::quota::Day;
use policy::throttle::{Limit, Shared, Table};

pub use self::crowd::Crowd;
use crate::limits::{THROTTLED_AT_ONCE_MAX, THROTTLED_KEYS};
use crate::upstream::shared::Gate;
use crate::walls;

/// Nanoseconds since the process began: what buckets count by.
pub fn nanos(at: Instant) -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    // A worker's clock may be a little behind.
    at.saturating_duration_since(*BEGAN.get_or_init(|| at)).as_nanos() as u64
}

/// All limits of a snapshot.
#[derive(Default)]
pub struct Throttles {
    /// Of all APIs together.
    pub account: Option<Arc<Shared>>,
    stages: Box<[OfStage]>,
    plans: Box<[OfPlan]>,
    /// Of the rules of firewalls, by the numbers of both; `None`: a rule without a rate.
    firewalls: Box<[OfFirewall]>,
    named: Named,
    /// Clients are known by hashes that nobody outside can foresee.
    hash: RandomState,
}

/// Those of the rules of a firewall, by their number.
type OfFirewall = Box<[Option<Arc<Table>>]>;

/// The limits of a stage.
#[derive(Default)]
pub struct OfStage {
    /// Of all methods together.
    pub whole: Option<Arc<Shared>>,
    /// Of all methods together, at work at once.
    pub at_once: Option<AtOnce>,
    /// Of each client, in the order of the document.
    pub by: Box<[OfClient]>,
    /// By method number: of the stage's release, then of its canary's. Empty: none has a limit.
    methods: [Box<[OfMethod]>; 2],
}

/// The limits of a method in a stage.
#[derive(Default)]
pub struct OfMethod {
    /// Requests per second.
    pub throttle: Option<Arc<Shared>>,
    /// Requests at work at once.
    pub at_once: Option<AtOnce>,
}

/// How many may be at work at once.
pub struct AtOnce {
    /// Who is.
    pub gate: Arc<Gate>,
    /// How many may be.
    pub most: u32,
}

/// The limits of each client.
pub struct OfClient {
    /// Its name in fields of answers.
    pub name: Box<str>,
    /// What tells clients apart.
    pub by: By,
    /// Of a header field: what the parser calls it.
    pub known: Name,
    /// Of a claim: its whole name among what the authorizer said.
    pub claim: Box<str>,
    /// Requests per second.
    pub throttle: Option<Arc<Table>>,
    /// Requests at work at once, and how many may be.
    pub at_once: Option<(Arc<Crowd>, u32)>,
}

/// The limits of the keys of a plan.
pub struct OfPlan {
    /// Over all of its stages.
    pub throttle: Option<Arc<Table>>,
    /// By stage and by method, as the plan has them.
    methods: Box<[Box<[Arc<Table>]>]>,
}

/// Everything that remembers, by the name that it is kept by.
#[derive(Default)]
struct Named {
    shared: BTreeMap<String, Arc<Shared>>,
    tables: BTreeMap<String, Arc<Table>>,
    gates: BTreeMap<String, Arc<Gate>>,
    crowds: BTreeMap<String, Arc<Crowd>>,
}

impl Throttles {
    /// The limits of a snapshot: as `before`, where names are the same.
    pub fn new(snapshot: &Snapshot, before: Option<&Throttles>, workers: usize, now: Instant) -> Throttles {
        let empty = Named::default();
        let known = before.map_or(&empty, |before| &before.named);
        let mut maker = Maker { known, named: Named::default(), workers, now: nanos(now) };
        let account = snapshot.gateway.account.map(|said| maker.shared("account".into(), said.value));
        let stages = snapshot.stages.iter().map(|stage| maker.stage(snapshot, stage)).collect();
        let plans = snapshot.plans.iter().map(|plan| maker.plan(snapshot, plan)).collect();
        let names = std::iter::once("").chain(snapshot.apis.iter().map(|api| &*api.id));
        let firewalls = walls::all(snapshot).zip(names).map(|(firewall, api)| maker.firewall(firewall, api)).collect();
        let hash = before.map_or_else(RandomState::new, |before| before.hash.clone());
        Throttles { account, stages, plans, firewalls, named: maker.named, hash }
    }

    /// Those of a stage.
    #[inline]
    pub fn stage(&self, number: u32) -> &OfStage {
        &self.stages[number as usize]
    }

    /// Those of a plan.
    pub fn plan(&self, number: u16) -> Option<&OfPlan> {
        self.plans.get(usize::from(number))
    }

    /// Whether the client of an address has sent more than a rule of a firewall lets it; IPv6 networks of 64 bits are one client.
    pub fn is_too_fast(&self, (firewall, rule): (usize, usize), ip: Option<IpAddr>, worker: usize, now: u64) -> bool {
        let table = self.firewalls.get(firewall).and_then(|rules| rules.get(rule)?.as_deref());
        table.is_some_and(|table| table.take(self.of_address(ip, 32, 64), worker, now).is_err())
    }

    /// What the client of an address is known by, so many bits of it.
    pub fn of_address(&self, ip: Option<IpAddr>, prefix_v4: u8, prefix_v6: u8) -> u64 {
        self.client(match ip {
            None => (0, 0),
            Some(IpAddr::V4(ip)) => (4, u128::from(ip.to_bits()) >> (32 - u32::from(prefix_v4).min(32))),
            Some(IpAddr::V6(ip)) => (6, ip.to_bits().checked_shr(128 - u32::from(prefix_v6).min(128)).unwrap_or(0)),
        })
    }

    /// What a client is known by.
    #[inline]
    pub fn client(&self, of: impl Hash) -> u64 {
        self.hash.hash_one(of)
    }
}

impl OfStage {
    /// Those of a method.
    #[inline]
    pub fn method(&self, number: Option<u32>, canary: bool) -> Option<&OfMethod> {
        self.methods[usize::from(canary)].get(number? as usize)
    }
}

impl OfPlan {
    /// That of a method in a stage, if it has one of its own. `plan`: the one that this was made of.
    pub fn method(&self, plan: &Plan, stage: u32, key: &str) -> Option<&Table> {
        let at = plan.stages.binary_search_by_key(&stage, |known| known.stage).ok()?;
        let method = plan.stages[at].methods.binary_search_by_key(&key, |(known, _)| known).ok()?;
        self.methods.get(at)?.get(method).map(|table| &**table)
    }
}

/// Makes what is new, and finds what was there.
struct Maker<'a> {
    known: &'a Named,
    named: Named,
    workers: usize,
    now: u64,
}

impl Maker<'_> {
    fn shared(&mut self, name: String, limit: Limit) -> Arc<Shared> {
        let (known, workers, now) = (self.known.shared.get(&name), self.workers, self.now);
        let make = || match known {
            Some(known) if known.limit() == limit => known.clone(),
            Some(known) => Arc::new(Shared::instead_of(known, limit, workers, now)),
            None => Arc::new(Shared::new(limit, workers)),
        };
        self.named.shared.entry(name).or_insert_with(make).clone()
    }

    fn table(&mut self, name: String, limit: Limit, clients: usize) -> Arc<Table> {
        let (known, workers, now) = (self.known.tables.get(&name), self.workers, self.now);
        let make = || match known {
            Some(known) if known.limit() == limit && known.is_for(clients) => known.clone(),
            Some(known) => Arc::new(Table::instead_of(known, limit, clients, workers, now)),
            None => Arc::new(Table::new(limit, clients, workers)),
        };
        self.named.tables.entry(name).or_insert_with(make).clone()
    }

    fn gate(&mut self, name: String, most: u32) -> AtOnce {
        let known = self.known.gates.get(&name);
        let gate = self.named.gates.entry(name).or_insert_with(|| known.cloned().unwrap_or_default()).clone();
        AtOnce { gate, most }
    }

    fn crowd(&mut self, name: String) -> Arc<Crowd> {
        let known = self.known.crowds.get(&name);
        self.named.crowds.entry(name).or_insert_with(|| known.cloned().unwrap_or_default()).clone()
    }

    fn stage(&mut self, snapshot: &Snapshot, stage: &Stage) -> OfStage {
        let name = format!("{}/{}", snapshot.apis[stage.api as usize].id, stage.name);
        let throttles = &stage.throttles;
        let releases = [stage.release.as_ref(), stage.canary.as_ref().map(|canary| &canary.release)];
        OfStage {
            whole: throttles.whole.map(|said| self.shared(format!("stage {name}"), said.value)),
            at_once: throttles.concurrency.map(|said| self.gate(format!("stage {name}"), said.value)),
            by: throttles.by.iter().map(|entry| self.client(&name, entry)).collect(),
            methods: releases.map(|release| self.methods(&name, stage, release)),
        }
    }

    /// A canary's methods have the buckets of those of the same name: the limit is the stage's.
    fn methods(&mut self, name: &str, stage: &Stage, release: Option<&Release>) -> Box<[OfMethod]> {
        let mut any = false;
        let methods = release.map_or(&[][..], |release| &release.program.methods).iter().map(|method| {
            let (throttle, at_once) = stage.throttles.of_method(&method.key, &method.rules);
            any |= throttle.is_some() || at_once.is_some();
            let whose = || format!("method {name} {}", method.key);
            OfMethod {
                throttle: throttle.map(|said| self.shared(whose(), said.value)),
                at_once: at_once.map(|said| self.gate(whose(), said.value)),
            }
        });
        let methods: Box<[OfMethod]> = methods.collect();
        if any { methods } else { Box::default() }
    }

    fn client(&mut self, name: &str, entry: &ByClient) -> OfClient {
        let ByClient { name: own, by, limit, concurrency, clients, line: _ } = entry;
        // Other clients are other buckets, whatever the name is.
        let whose = || format!("by {name} {own} {by:?}");
        let (known, claim) = match by {
            By::Header(name) => (Name::of(name.as_bytes()), Box::default()),
            By::Claim(name) => (Name::of(b""), format!("claims.{name}").into()),
            By::Address { .. } | By::ApiKey => (Name::of(b""), Box::default()),
        };
        OfClient {
            name: own.clone(),
            by: by.clone(),
            known,
            claim,
            throttle: limit.map(|limit| self.table(whose(), limit, *clients as usize)),
            at_once: concurrency.map(|most| (self.crowd(whose()), most)),
        }
    }

    fn firewall(&mut self, firewall: Option<&Firewall>, api: &str) -> OfFirewall {
        let rules = firewall.map_or(&[][..], Firewall::rules).iter();
        let table = |rule: &Rule| {
            let rate = rule.rate?;
            Some(self.table(format!("firewall {api} {}", rule.name), rate.limit, rate.clients as usize))
        };
        rules.map(table).collect()
    }

    fn plan(&mut self, snapshot: &Snapshot, plan: &Plan) -> OfPlan {
        let throttle = plan.throttle.map(|limit| self.table(format!("plan {}", plan.name), limit, THROTTLED_KEYS));
        let methods = plan.stages.iter().map(|of| {
            let stage = &snapshot.stages[of.stage as usize];
            let api = &snapshot.apis[stage.api as usize].id;
            let tables = of.methods.iter().map(|(key, limit)| {
                let whose = format!("plan {} {api}/{} {key}", plan.name, stage.name);
                self.table(whose, *limit, THROTTLED_KEYS)
            });
            tables.collect()
        });
        OfPlan { throttle, methods: methods.collect() }
    }
}

/// Which tokens a request has taken that go back if a later limit refuses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Of its key, for the method.
    pub plan_method: bool,
    /// Of its key.
    pub plan: bool,
    /// Of its key's quota, on this day.
    pub quota: Option<Day>,
    /// Of late entries of `throttle_by`, by number.
    pub clients: u16,
    /// Of the method.
    pub method: bool,
    /// Of the stage.
    pub stage: bool,
    /// Of the gateway.
    pub account: bool,
}

/// The gates that a request has passed: it leaves them however it ends.
#[derive(Default)]
pub struct Held {
    gates: [Option<Arc<Gate>>; 2],
    crowds: [Option<(Arc<Crowd>, u64)>; THROTTLED_AT_ONCE_MAX],
}

impl Held {
    /// Enters a gate, unless as many are at work as may be.
    pub fn enter(&mut self, at_once: &AtOnce) -> bool {
        let Some(room) = self.gates.iter_mut().find(|held| held.is_none()) else { return false };
        let enters = at_once.gate.enter(Some(at_once.most));
        if enters {
            *room = Some(at_once.gate.clone());
        }
        enters
    }

    /// Enters as this client, unless as many of its requests are at work as may be.
    pub fn join(&mut self, crowd: &Arc<Crowd>, client: u64, most: u32) -> bool {
        let Some(room) = self.crowds.iter_mut().find(|held| held.is_none()) else { return false };
        let enters = crowd.enter(client, most);
        if enters {
            *room = Some((crowd.clone(), client));
        }
        enters
    }

    /// The request is no more at work.
    pub fn leave(&mut self) {
        for gate in self.gates.iter_mut().filter_map(Option::take) {
            gate.leave();
        }
        for (crowd, client) in self.crowds.iter_mut().filter_map(Option::take) {
            crowd.leave(client);
        }
    }
}

/// Also when the client goes away, or a worker panics.
impl Drop for Held {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn snapshot(stage: &str) -> Snapshot {
        let document = format!(
            "gateway: {{listen: 127.0.0.1:0}}\napis:\n  a:\n    kind: http\n    routes: {{\"GET /x\": {{integration: {{type: mock}}}}}}\n    stages: {{$default: {{{stage}}}}}\n"
        );
        let loaded = config::load_text("gateway.yaml", &document, std::path::Path::new("."));
        loaded.snapshot.expect("a good document")
    }

    #[test]
    fn buckets_are_kept_by_their_names() {
        let now = Instant::now();
        let first =
            snapshot("throttle: {rate: 0.001, burst: 10}, throttle_by: [{address: true, rate: 0.001, burst: 5}]");
        let first = Throttles::new(&first, None, 2, now);
        let at = nanos(now);
        let whole = first.stage(0).whole.clone().expect("a limit");
        let client = first.client("somebody");
        let by = first.stage(0).by[0].throttle.clone().expect("a limit");
        assert!((0..4).all(|_| whole.take(0, at).is_ok()) && (0..4).all(|_| by.take(client, 0, at).is_ok()));
        let same =
            snapshot("throttle_by: [{address: true, rate: 0.001, burst: 5}], throttle: {rate: 0.001, burst: 10}");
        let same = Throttles::new(&same, Some(&first), 2, now);
        assert!(Arc::ptr_eq(same.stage(0).whole.as_ref().expect("a limit"), &whole));
        assert!(Arc::ptr_eq(same.stage(0).by[0].throttle.as_ref().expect("a limit"), &by));
        assert_eq!(same.client("somebody"), client);
        let other = snapshot(
            "throttle: {rate: 0.001, burst: 20}, throttle_by: [{name: address, header: x, rate: 0.001, burst: 5}]",
        );
        let other = Throttles::new(&other, Some(&same), 2, now + Duration::from_millis(1));
        assert_eq!(other.stage(0).whole.as_ref().expect("a limit").left(at), 16);
        assert_eq!(other.stage(0).by[0].throttle.as_ref().expect("a limit").told("", client, at).left, 5);
        let gone = Throttles::new(&snapshot(""), Some(&other), 2, now);
        assert!(gone.stage(0).whole.is_none() && gone.named.shared.is_empty() && gone.named.tables.is_empty());
        assert!(gone.stage(0).method(Some(0), false).is_none(), "no limit is no memory");
    }

    #[test]
    fn gates_are_left_when_their_guard_goes() {
        let throttles = snapshot("concurrency: 2, throttle_by: [{header: x, concurrency: 1}]");
        let throttles = Throttles::new(&throttles, None, 1, Instant::now());
        let of_stage = throttles.stage(0);
        let at_once = of_stage.at_once.as_ref().expect("a limit");
        let (crowd, most) = of_stage.by[0].at_once.as_ref().expect("a limit");
        let (mut one, mut two, mut three) = (Held::default(), Held::default(), Held::default());
        assert!(one.enter(at_once) && two.enter(at_once) && !three.enter(at_once));
        assert!(one.join(crowd, 7, *most) && !two.join(crowd, 7, *most) && two.join(crowd, 8, *most));
        one.leave();
        one.leave();
        assert!(three.enter(at_once) && three.join(crowd, 7, *most));
        drop((two, three));
        assert_eq!(at_once.gate.inside(), 0);
        assert!(one.join(crowd, 7, *most) && one.enter(at_once));
    }
}
