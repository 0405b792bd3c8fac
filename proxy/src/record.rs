//! The end of each request: counters and one line of the access log.

use codec::head::{Name, Version};
use policy::client_certificate::ClientCertificate;
use router::Kind;

use crate::exchange::Exchange;
use crate::guest::Guest;
use crate::observe::access_log::{Record, Target};
use crate::observe::metrics::{Sample, add, class};
use crate::state::{Live, Worker};
use crate::trip::Trip;

/// Records a request, also when the client left before its answer.
pub fn record(exchange: &Exchange, trip: &Trip, live: &Live, worker: &Worker) {
    let metrics = &worker.metrics;
    let latency_micros = trip.began.elapsed().as_micros() as u64;
    add(&metrics.responses[class(trip.status)], 1);
    add(&metrics.bytes_received, trip.body_received);
    add(&metrics.bytes_sent, trip.body_sent);
    add(&metrics.trailers_dropped, exchange.body.trailers_dropped.into());
    if let Some(fault) = trip.fault {
        add(&metrics.faults[fault.index()], 1);
    }
    if let Some(place) = trip.place {
        let sample = Sample {
            status: trip.status,
            // Behind a 101 hours may follow: the wait was that for the backend.
            latency_micros: trip.integration_micros.filter(|_| trip.status == 101).unwrap_or(latency_micros),
            integration_micros: trip.integration_micros,
            bytes_received: trip.body_received,
            bytes_sent: trip.body_sent,
        };
        live.published.stage_metrics[place.stage as usize].record(worker.index, &sample);
        if let Some(of_method) = live.published.method_metrics(place) {
            of_method.record(worker.index, &sample);
        }
    }
    if worker.has_log() {
        worker.log(&line(exchange, trip, live, latency_micros));
    }
}

/// The rule of a firewall that decided on the request.
fn rule_of<'a>(exchange: &Exchange, live: &'a Live) -> Option<&'a str> {
    let (firewall, rule) = exchange.scratch.wall.by?;
    live.walls.get(firewall)?.rules().get(rule).map(|rule| &*rule.name)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2.0",
    }
}

fn line<'a>(exchange: &'a Exchange, trip: &'a Trip, live: &'a Live, latency_micros: u64) -> Record<'a> {
    let head = &exchange.scratch.head;
    let bytes: &[u8] = &exchange.head_bytes;
    // A head that was refused has no fields to speak of.
    let known = !bytes.is_empty();
    let method = trip.place.and_then(|place| live.method(place));
    let target = match (method, trip.kind) {
        (None, _) => Target::None,
        (Some(method), Some(Kind::Http | Kind::WebSocket)) => Target::RouteKey(&method.key),
        (Some(method), _) => Target::ResourcePath(&method.resource_path),
    };
    let protection = exchange.protection();
    let agent = head.fields.get(Name::UserAgent).filter(|_| known);
    Record {
        epoch_millis: trip.epoch_ms,
        request_id: trip.request_id(),
        extended_request_id: (trip.kind != Some(Kind::Http)).then(|| trip.extended_id()),
        ip: exchange.peer.text(),
        method: if known { head.method.of(bytes) } else { b"" },
        path: if known { exchange.path() } else { b"" },
        protocol: protocol(head.version),
        client: exchange.guest.as_deref().and_then(Guest::shown).map(|client| {
            let ClientCertificate { subject, issuer, serial_number, .. } = client;
            [&**subject, issuer, serial_number]
        }),
        tls: protection.map(|protection| (protection.version, protection.suite)),
        target,
        status: trip.status,
        response_length: trip.body_sent,
        request_length: trip.body_received,
        latency_micros,
        integration_micros: trip.integration_micros,
        integration_status: trip.integration_status,
        api_id: trip.place.map_or("", |place| &live.api(place).id),
        stage: trip.place.map_or("", |place| &live.stage(place).name),
        domain_name: if known { head.host.of(bytes) } else { b"" },
        user_agent: agent.map_or(&b""[..], |field| field.value.of(bytes)),
        error_type: trip.refusal.map(policy::refusal::Refusal::name),
        waf: exchange.scratch.wall.passes.map(|passes| (passes, rule_of(exchange, live))),
        fault: trip.fault.map(policy::fault::Fault::name),
        upstream: trip.upstream.map(|upstream| &*live.snapshot().upstreams[upstream as usize].name),
    }
}
