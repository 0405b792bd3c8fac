//! Named upstreams, and one for each literal authority that a URI names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use crate::compile::gateway::socket_path;
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::model::resilience::{HealthCheckSpec, OutlierSpec, ResilienceSpec, RetrySpec};
use crate::model::upstream::{BalanceSpec, PoolSpec, ServerAddressSpec, ServerSpec, UpstreamSpec};
use crate::snapshot::{AuthorityTarget, Balance, HealthCheck, Outlier, Pool, Retry, Server, ServerAddress, Upstream};

/// The names that a URI's host may have to mean an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// By the name in lower case, as written.
    names: BTreeMap<String, Box<str>>,
}

impl Names {
    /// The upstream of that name as it was written, whatever the case.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.names.get(&name.to_ascii_lowercase()).map(|name| &**name)
    }

    /// The names as written.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(|name| &**name)
    }
}

/// The upstreams so far.
pub struct Upstreams {
    list: Vec<Upstream>,
    /// Names in lower case, and authorities with their port.
    by_name: HashMap<String, u32>,
    /// Those with names of their own.
    names: Names,
}

impl Upstreams {
    /// Compiles the part `upstreams`.
    pub fn compile(specs: Vec<UpstreamSpec>, base: &Path, faults: &mut Diagnostics) -> Self {
        let list: Vec<Upstream> = specs.into_iter().map(|spec| upstream(spec, base, faults)).collect();
        let by_name =
            list.iter().zip(0..).map(|(upstream, index)| (upstream.name.to_ascii_lowercase(), index)).collect();
        let names = list.iter().map(|upstream| (upstream.name.to_ascii_lowercase(), (*upstream.name).into())).collect();
        Self { list, by_name, names: Names { names } }
    }

    /// What a URI may name.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// The index of whom a URI names; a machine that no upstream stands for becomes an upstream of its own.
    pub fn link(&mut self, target: &AuthorityTarget) -> u32 {
        let (name, address) = match target {
            AuthorityTarget::Upstream(name) => (name.to_ascii_lowercase(), None),
            AuthorityTarget::Server(address) => (shown(address), Some(address)),
        };
        if let Some(index) = self.by_name.get(&name) {
            return *index;
        }
        let index = self.list.len() as u32;
        let servers = address.map(|address| Server { address: address.clone(), weight: 1 });
        let plain = (PoolSpec::default(), ResilienceSpec::default());
        self.list.push(made(&name, servers.into_iter().collect(), Balance::RoundRobin, None, &plain));
        self.by_name.insert(name, index);
        index
    }

    /// All of them, in the order of their indices.
    pub fn finish(self) -> Box<[Upstream]> {
        self.list.into()
    }
}

fn shown(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Socket(address) => address.to_string(),
        ServerAddress::Name { host, port } => format!("{host}:{port}"),
        ServerAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn upstream(spec: UpstreamSpec, base: &Path, faults: &mut Diagnostics) -> Upstream {
    let UpstreamSpec { name, servers, balance, pool, connect_time, resilience } = spec;
    let servers = servers.into_iter().map(|spec| server(spec, base, faults)).collect();
    let balance = match balance {
        None | Some(BalanceSpec::RoundRobin) => Balance::RoundRobin,
        Some(BalanceSpec::LeastRequests) => Balance::LeastRequests,
    };
    made(&name.text, servers, balance, connect_time, &(pool, resilience))
}

fn made(
    name: &str,
    servers: Box<[Server]>,
    balance: Balance,
    connect_time: Option<Duration>,
    (kept, resilience): &(PoolSpec, ResilienceSpec),
) -> Upstream {
    let ResilienceSpec { panic, slow_start, health_check, outlier, breaker, retry } = resilience;
    Upstream {
        name: name.into(),
        servers,
        balance,
        pool: pool(kept),
        connect_time: connect_time.unwrap_or(limits::CONNECT_TIME),
        panic: panic.unwrap_or(0),
        slow_start: slow_start.unwrap_or_default(),
        health_check: health_check.as_ref().map(self::health_check),
        outlier: (!outlier.is_off).then(|| self::outlier(outlier)),
        breaker: *breaker,
        retry: self::retry(retry),
    }
}

fn health_check(spec: &HealthCheckSpec) -> HealthCheck {
    let HealthCheckSpec { path, interval, timeout, healthy, unhealthy, statuses, host, jitter } = spec;
    HealthCheck {
        path: path.clone(),
        interval: interval.unwrap_or(limits::CHECK_INTERVAL),
        timeout: timeout.unwrap_or(limits::CHECK_TIMEOUT),
        healthy: healthy.unwrap_or(limits::CHECK_HEALTHY),
        unhealthy: unhealthy.unwrap_or(limits::CHECK_UNHEALTHY),
        statuses: if statuses.is_empty() { [(200, 299)].into() } else { statuses.clone().into() },
        host: host.clone(),
        jitter: jitter.unwrap_or(limits::CHECK_JITTER),
    }
}

fn outlier(spec: &OutlierSpec) -> Outlier {
    let OutlierSpec { is_off: _, failures, time, time_max, share, answers } = *spec;
    let time = time.unwrap_or(limits::OUTLIER_TIME);
    Outlier {
        failures: failures.unwrap_or(limits::OUTLIER_FAILURES),
        time,
        time_max: time_max.unwrap_or(limits::OUTLIER_TIME_MAX).max(time),
        share: share.unwrap_or(limits::OUTLIER_SHARE),
        answers: answers.unwrap_or(false),
    }
}

/// With what was not written by default.
fn retry(spec: &RetrySpec) -> Retry {
    let RetrySpec { attempts, budget, per_second, try_time } = *spec;
    Retry {
        attempts: attempts.unwrap_or(limits::RETRY_ATTEMPTS),
        budget: budget.unwrap_or(limits::RETRY_BUDGET),
        per_second: per_second.unwrap_or(limits::RETRY_PER_SECOND),
        try_time,
    }
}

fn pool(spec: &PoolSpec) -> Pool {
    let PoolSpec { idle, idle_time, connections } = *spec;
    Pool {
        idle: idle.unwrap_or(limits::POOL_IDLE),
        idle_time: idle_time.unwrap_or(limits::POOL_IDLE_TIME),
        connections: connections.unwrap_or(limits::POOL_CONNECTIONS),
    }
}

fn server(spec: ServerSpec, base: &Path, faults: &mut Diagnostics) -> Server {
    let ServerSpec { address, place, weight } = spec;
    let address = match address {
        ServerAddressSpec::Socket(address) => ServerAddress::Socket(address),
        ServerAddressSpec::Name { host, port } => ServerAddress::Name { host, port },
        ServerAddressSpec::Unix(path) => ServerAddress::Unix(socket_path(base.join(&*path), place, faults)),
    };
    Server { address, weight: weight.unwrap_or(1) }
}
