//! Named upstreams, and one for each literal authority that a URI names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use crate::compile::gateway::socket_path;
use crate::compile::tls::{Shelf, is_server_name};
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::model::resilience::{HealthCheckSpec, OutlierSpec, ResilienceSpec, RetrySpec};
use crate::model::upstream::{BalanceSpec, PoolSpec, ServerAddressSpec, ServerSpec, UpstreamSpec};
use crate::snapshot::{
    Authority, AuthorityTarget, Balance, CallTls, CertificateFiles, HealthCheck, Outlier, Pool, Protocol, Retry,
    Server, ServerAddress, Upstream, UpstreamTls,
};

/// The names that a URI's host may have to mean an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// By the name in lower case: as written, and whether TLS is spoken there.
    names: BTreeMap<String, (Box<str>, bool)>,
}

impl Names {
    /// The upstream of that name as it was written, whatever the case, and whether TLS is spoken there.
    pub fn find(&self, name: &str) -> Option<(&str, bool)> {
        self.names.get(&name.to_ascii_lowercase()).map(|(name, tls)| (&**name, *tls))
    }

    /// All that programs are made with.
    pub fn all(&self) -> impl Iterator<Item = (&str, bool)> {
        self.names.values().map(|(name, tls)| (&**name, *tls))
    }

    /// The names as written.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(|(name, _)| &**name)
    }
}

/// The upstreams so far.
pub struct Upstreams {
    list: Vec<Upstream>,
    /// Names in lower case, and authorities with their port.
    by_name: HashMap<String, u32>,
    /// Those with names of their own.
    names: Names,
    /// Others of the same servers, called with another identity: by whose servers, and how they are called.
    variants: BTreeMap<(u32, UpstreamTls), u32>,
}

impl Upstreams {
    /// Compiles the part `upstreams`.
    pub fn compile(specs: Vec<UpstreamSpec>, base: &Path, shelf: &mut Shelf, faults: &mut Diagnostics) -> Self {
        let list: Vec<Upstream> = specs.into_iter().map(|spec| upstream(spec, base, shelf, faults)).collect();
        let by_name =
            list.iter().zip(0..).map(|(upstream, index)| (upstream.name.to_ascii_lowercase(), index)).collect();
        let named = |upstream: &Upstream| {
            (upstream.name.to_ascii_lowercase(), ((*upstream.name).into(), upstream.tls.is_some()))
        };
        let names = Names { names: list.iter().map(named).collect() };
        Self { list, by_name, names, variants: BTreeMap::new() }
    }

    /// What a URI may name.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// The index of whom a URI names; a machine that no upstream stands for becomes an upstream of its own.
    /// `client`: what the stage proves itself with. Servers that are called with different identities are upstreams of their own:
    /// no connection is ever used for the other one.
    pub fn link(&mut self, authority: &Authority, client: Option<&CertificateFiles>) -> u32 {
        let number = self.plain(authority);
        let Some(own) = &self.list[number as usize].tls else { return number };
        let CallTls { any_issuer, server_name } = authority.tls.clone().unwrap_or_default();
        let wanted = UpstreamTls {
            any_issuer: any_issuer || own.any_issuer,
            server_name: server_name.or_else(|| own.server_name.clone()),
            client: client.or(own.client.as_ref()).cloned(),
            ..own.clone()
        };
        if wanted == *own {
            return number;
        }
        if let Some(known) = self.variants.get(&(number, wanted.clone())) {
            return *known;
        }
        let added = self.list.len() as u32;
        let base = &self.list[number as usize];
        let name = format!("{} ({})", base.name, difference(own, &wanted)).into();
        let variant = Upstream { name, tls: Some(wanted.clone()), ..base.clone() };
        self.list.push(variant);
        self.variants.insert((number, wanted), added);
        added
    }

    /// As the upstream itself says, or nobody.
    fn plain(&mut self, authority: &Authority) -> u32 {
        let secure = authority.tls.is_some();
        let (name, address) = match &authority.target {
            AuthorityTarget::Upstream(name) => (name.to_ascii_lowercase(), None),
            AuthorityTarget::Server(address) if secure => (format!("https://{}", shown(address)), Some(address)),
            AuthorityTarget::Server(address) => (shown(address), Some(address)),
        };
        if let Some(index) = self.by_name.get(&name) {
            return *index;
        }
        let index = self.list.len() as u32;
        let servers = address.map(|address| Server { address: address.clone(), weight: 1 });
        let plain = (PoolSpec::default(), ResilienceSpec::default());
        let tls = (secure && address.is_some()).then(UpstreamTls::default);
        self.list.push(made(&name, servers.into_iter().collect(), (Balance::RoundRobin, None), tls, &plain));
        self.by_name.insert(name, index);
        index
    }

    /// What is spoken with one of them.
    pub fn protocol(&self, number: u32) -> Protocol {
        self.list[number as usize].protocol
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

/// In what the second differs, as people write it.
fn difference(own: &UpstreamTls, other: &UpstreamTls) -> String {
    let mut said = Vec::new();
    if own.any_issuer != other.any_issuer {
        said.push("any issuer".to_owned());
    }
    if let Some(name) = other.server_name.as_ref().filter(|name| own.server_name.as_ref() != Some(name)) {
        said.push(format!("as {name}"));
    }
    if let Some(client) = other.client.as_ref().filter(|client| own.client.as_ref() != Some(client)) {
        said.push(format!("with {}", client.certificate));
    }
    said.join(", ")
}

fn upstream(spec: UpstreamSpec, base: &Path, shelf: &mut Shelf, faults: &mut Diagnostics) -> Upstream {
    let UpstreamSpec { name, servers, balance, pool, connect_time, tls, protocol, proxy_protocol, resilience } = spec;
    let tls = tls.map(|tls| shelf.upstream(tls, base, faults));
    let needs_names = tls.as_ref().is_some_and(|tls| tls.server_name.is_none());
    for ServerSpec { address, place, .. } in servers.iter().filter(|_| needs_names) {
        if let ServerAddressSpec::Name { host, .. } = address
            && !is_server_name(host)
        {
            let what = format!("`{host}` is no name that a certificate can have");
            faults.error_hint(*place, what, "write `server_name` in `tls`: what the certificate says");
        }
    }
    let servers = servers.into_iter().map(|spec| server(spec, base, faults)).collect();
    let balance = match balance {
        None | Some(BalanceSpec::RoundRobin) => Balance::RoundRobin,
        Some(BalanceSpec::LeastRequests) => Balance::LeastRequests,
    };
    let made = made(&name.text, servers, (balance, connect_time), tls, &(pool, resilience));
    // A connection that names its client is of no use for another one's requests.
    let pool = if proxy_protocol.is_some() { Pool { idle: 0, ..made.pool } } else { made.pool };
    let protocol = protocol.map_or_else(Protocol::default, |at| at.value);
    Upstream { pool, protocol, proxy_protocol, ..made }
}

fn made(
    name: &str,
    servers: Box<[Server]>,
    (balance, connect_time): (Balance, Option<Duration>),
    tls: Option<UpstreamTls>,
    (kept, resilience): &(PoolSpec, ResilienceSpec),
) -> Upstream {
    let ResilienceSpec { panic, slow_start, health_check, outlier, breaker, retry } = resilience;
    Upstream {
        name: name.into(),
        servers,
        balance,
        pool: pool(kept),
        connect_time: connect_time.unwrap_or(limits::CONNECT_TIME),
        tls,
        protocol: Protocol::default(),
        proxy_protocol: None,
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
