//! What firewalls keep: the rules of a worker, and the counters of the process. A firewall is known by a number: 0 is the gateway's, those
//! of APIs follow in their order.

use std::sync::Arc;

use config::snapshot::Snapshot;
use policy::firewall::{DEFAULT, Firewall, Work};

use crate::observe::metrics::{Metrics, RuleMetrics};

/// The number of the gateway's firewall.
pub const OF_GATEWAY: usize = 0;

/// The number of the firewall of an API.
pub const fn of_api(api: u32) -> usize {
    1 + api as usize
}

/// Every firewall, by its number.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = Option<&Firewall>> {
    std::iter::once(snapshot.gateway.firewall.as_ref()).chain(snapshot.apis.iter().map(|api| api.firewall.as_ref()))
}

/// The firewalls as one worker asks them: patterns keep what they learn while they run, and what workers shared of that they would have to
/// lock.
#[derive(Default)]
pub struct Walls(Box<[Option<Firewall>]>);

impl Walls {
    /// Those of a snapshot; none at all, if there is none.
    pub fn new(snapshot: &Snapshot) -> Walls {
        if all(snapshot).all(|firewall| firewall.is_none()) {
            return Walls::default();
        }
        Walls(all(snapshot).map(Option::<&Firewall>::cloned).collect())
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of a number, if there is one.
    pub fn get(&self, number: usize) -> Option<&Firewall> {
        self.0.get(number)?.as_ref()
    }
}

/// How often rules held, by the number of their firewall, then by theirs; behind them, how often none decided and a request was blocked.
pub struct Tallies(Box<[Box<[Arc<RuleMetrics>]>]>);

impl Tallies {
    /// The counters of a snapshot: as they are, for rules of the same name.
    pub fn new(snapshot: &Snapshot, metrics: &Metrics) -> Tallies {
        let names = std::iter::once("").chain(snapshot.apis.iter().map(|api| &*api.id));
        let of = |(firewall, api): (Option<&Firewall>, &str)| {
            let rules = firewall.map_or(&[][..], Firewall::rules).iter().map(|rule| metrics.rule(api, &rule.name));
            let default = firewall.filter(|firewall| firewall.blocks()).map(|_| metrics.rule(api, DEFAULT));
            rules.chain(default).collect()
        };
        Tallies(all(snapshot).zip(names).map(of).collect())
    }

    /// Counts a request of a worker for which a rule held; `None`: it was blocked by none.
    pub fn count(&self, number: usize, rule: Option<usize>, worker: usize) {
        let Some(rules) = self.0.get(number) else { return };
        let at = rule.unwrap_or(rules.len().saturating_sub(1));
        if let Some(rule) = rules.get(at) {
            rule.count(worker);
        }
    }
}

/// What firewalls have said of a request, and room for what they look at. Kept for the next one.
#[derive(Default)]
pub struct Said {
    /// Whether it passed; `None`: none was asked.
    pub passes: Option<bool>,
    /// The firewall and the rule that decided, by their numbers; `None`: no rule did.
    pub by: Option<(usize, usize)>,
    /// The room.
    pub work: Work,
}

impl Said {
    /// Nothing is said of the next request.
    pub fn clear(&mut self) {
        (self.passes, self.by) = (None, None);
    }
}
