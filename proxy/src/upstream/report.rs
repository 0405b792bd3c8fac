//! How upstreams do, for people (`/status`) and for programs (`/metrics`).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use config::snapshot::Upstream;
use serde_json::{Map, Value, json};

use super::shared::{Health, Shared, Standing, millis};
use crate::limits::SERVERS_TOLD_MAX;
use crate::observe::render::Page;

impl Health {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Well => "well",
            Health::Ill => "ill",
            Health::Ejected => "ejected",
            Health::IllAndEjected => "ill, ejected",
        }
    }
}

/// By name: each server, what broke, what was refused and what was repeated.
pub fn status(specs: &[Upstream], upstreams: &[Arc<Shared>]) -> Value {
    let now = millis(Instant::now());
    let one = |(spec, shared): (&Upstream, &Arc<Shared>)| (shared.name.to_string(), of(spec, shared, now));
    Value::Object(specs.iter().zip(upstreams).map(one).collect())
}

fn of(spec: &Upstream, shared: &Shared, now: u64) -> Value {
    let servers: Map<String, Value> =
        shared.standings().iter().map(|server| (server.address.to_string(), of_server(spec, server, now))).collect();
    let counts = |all: &mut dyn Iterator<Item = (&'static str, u64)>| -> Map<String, Value> {
        all.map(|(name, count)| (name.to_owned(), count.into())).collect()
    };
    json!({
        "servers": servers,
        "connections": shared.connections.inside(),
        "retries": shared.retries.load(Relaxed),
        "retriesDenied": shared.retries_denied.load(Relaxed),
        "breaker": {
            "connections": shared.connections.refused(),
            "pending": shared.pending.refused(),
            "requests": shared.requests.refused(),
        },
        "tls": spec.tls.as_ref().map(|_| json!({
            "handshakes": handshakes(shared).filter(|(.., resumed, _)| !resumed).map(|(.., count)| count).sum::<u64>(),
            "resumed": handshakes(shared).filter(|(.., resumed, _)| *resumed).map(|(.., count)| count).sum::<u64>(),
        })),
        "faults": counts(&mut shared.faults()),
        "badAnswers": counts(&mut shared.bad_answers()),
    })
}

/// TLS handshakes that were done: version, whether a session was continued, and how many.
fn handshakes(shared: &Shared) -> impl Iterator<Item = (&'static str, bool, u64)> {
    let versions = ["1.2", "1.3"].into_iter().zip(&shared.handshakes);
    versions.flat_map(|(version, counts)| {
        [false, true].into_iter().zip(counts).map(move |(resumed, count)| (version, resumed, count.load(Relaxed)))
    })
}

fn of_server(spec: &Upstream, server: &Standing, now: u64) -> Value {
    json!({
        "health": server.health(spec.health_check.is_some(), now).name(),
        "requests": server.sum(|block| &block.requests),
        "inFlight": server.sum(|block| &block.in_flight),
        "connections": server.sum(|block| &block.open),
        "failures": server.failures_total.load(Relaxed),
        "ejections": server.ejections_total.load(Relaxed),
        "checks": {"well": server.checks[0].load(Relaxed), "ill": server.checks[1].load(Relaxed)},
    })
}

/// Name, help, and value of a family with the labels `upstream` and `server`.
type PerServer = (&'static str, &'static str, fn(&Standing) -> u64);

const PER_SERVER: &[PerServer] = &[
    ("tollgate_server_requests_total", "Requests sent to a server.", |server| server.sum(|block| &block.requests)),
    ("tollgate_server_requests_in_flight", "Requests that a server works on.", |server| {
        server.sum(|block| &block.in_flight)
    }),
    ("tollgate_server_connections_open", "Connections to a server.", |server| server.sum(|block| &block.open)),
    ("tollgate_server_failures_total", "Requests that a server failed.", |server| server.failures_total.load(Relaxed)),
    ("tollgate_server_ejections_total", "Times that a server was let alone for its failures.", |server| {
        server.ejections_total.load(Relaxed)
    }),
];

/// Name, help, and value of a family with the label `upstream`.
type PerUpstream = (&'static str, &'static str, fn(&Shared) -> u64);

const PER_UPSTREAM: &[PerUpstream] = &[
    ("tollgate_upstream_repeated_total", "Requests of an upstream that were sent again.", |shared| {
        shared.retries.load(Relaxed)
    }),
    ("tollgate_upstream_repeats_denied_total", "Requests that were not, for the budget was spent.", |shared| {
        shared.retries_denied.load(Relaxed)
    }),
];

/// Writes the families of upstreams and their servers. The servers beyond a number are left out of the latter.
pub fn render(specs: &[Upstream], upstreams: &[Arc<Shared>], page: &mut Page) {
    let now = millis(Instant::now());
    for (name, help, value) in PER_UPSTREAM {
        page.family(name, "counter", help);
        for shared in upstreams {
            page.sample(name, &[("upstream", &shared.name)], value(shared));
        }
    }
    let name = "tollgate_upstream_refused_total";
    page.family(name, "counter", "Requests that an upstream's breaker refused, by the limit.");
    for shared in upstreams {
        let gates =
            [("connections", &shared.connections), ("pending", &shared.pending), ("requests", &shared.requests)];
        for (limit, gate) in gates {
            page.sample(name, &[("upstream", &*shared.name), ("limit", limit)], gate.refused());
        }
    }
    let name = "tollgate_upstream_tls_handshakes_total";
    page.family(name, "counter", "TLS handshakes with an upstream's servers that were done.");
    for (_, shared) in specs.iter().zip(upstreams).filter(|(spec, _)| spec.tls.is_some()) {
        for (version, resumed, count) in handshakes(shared) {
            let resumed = if resumed { "true" } else { "false" };
            page.sample(name, &[("upstream", &*shared.name), ("version", version), ("resumed", resumed)], count);
        }
    }
    let name = "tollgate_upstream_faults_total";
    page.family(name, "counter", "What broke at an upstream, whether or not the request was sent again.");
    for shared in upstreams {
        for (fault, count) in shared.faults() {
            page.sample(name, &[("upstream", &*shared.name), ("fault", fault)], count);
        }
    }
    let name = "tollgate_upstream_bad_answers_total";
    page.family(name, "counter", "The ways in which an upstream broke the protocol.");
    for shared in upstreams {
        for (how, count) in shared.bad_answers() {
            page.sample(name, &[("upstream", &*shared.name), ("how", how)], count);
        }
    }
    servers(specs, upstreams, now, page);
}

fn servers(specs: &[Upstream], upstreams: &[Arc<Shared>], now: u64, page: &mut Page) {
    let all = specs
        .iter()
        .zip(upstreams)
        .flat_map(|(spec, shared)| shared.standings().into_iter().map(move |server| (spec, shared, server)));
    let told: Vec<_> = all.take(SERVERS_TOLD_MAX).collect();
    for (name, help, value) in PER_SERVER {
        page.family(name, if name.ends_with("_total") { "counter" } else { "gauge" }, help);
        for (_, shared, server) in &told {
            let labels = [("upstream", &*shared.name), ("server", &*server.address)];
            page.sample(name, &labels, value(server).cast_signed());
        }
    }
    let name = "tollgate_server_checks_total";
    page.family(name, "counter", "Health checks of a server, by what they found.");
    for (_, shared, server) in told.iter().filter(|(spec, ..)| spec.health_check.is_some()) {
        for (found, count) in ["well", "ill"].iter().zip(&server.checks) {
            let labels = [("upstream", &*shared.name), ("server", &*server.address), ("found", found)];
            page.sample(name, &labels, count.load(Relaxed));
        }
    }
    let name = "tollgate_server_well";
    page.family(name, "gauge", "Whether a server is used: its checks go well, and it is not let alone.");
    for (spec, shared, server) in &told {
        let labels = [("upstream", &*shared.name), ("server", &*server.address)];
        page.sample(name, &labels, u8::from(server.is_well(spec.health_check.is_some(), now)));
    }
}
