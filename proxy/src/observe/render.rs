//! The metrics as Prometheus text, format 0.0.4: base units, `_total`, and every family with its help and its type.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use codec::http2::frames::Excess;

use super::metrics::{
    BOUNDS, By, CLASSES, Counters, GreetingFailure, HandshakeFailure, Histogram, Http2End, Metrics, StageBlock,
    StageMetrics, THROTTLES, TUNNEL_ENDS, WorkerMetrics, since_epoch,
};
use super::process;

/// Values of the label `class`, by index.
const CLASS_NAMES: [&str; CLASSES] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Name, help and counter of a family with the label `worker`; a name that ends with `_total` is a counter, another a gauge.
type PerWorker = (&'static str, &'static str, fn(&WorkerMetrics) -> &AtomicU64);

const PER_WORKER: &[PerWorker] = &[
    ("tollgate_connections_accepted_total", "Connections of clients accepted.", |w| &w.connections_accepted),
    ("tollgate_connections_handed_over_total", "Connections of clients given to a worker that carries fewer.", |w| {
        &w.connections_handed_over
    }),
    ("tollgate_connections_open", "Connections of clients that are open.", |w| &w.connections_open),
    ("tollgate_connections_idle", "Connections of clients between two requests.", |w| &w.connections_idle),
    ("tollgate_http2_connections_total", "Connections of clients that speak HTTP/2.", |w| &w.http2_connections),
    ("tollgate_http2_streams_total", "Streams that they opened.", |w| &w.http2_streams),
    ("tollgate_http2_streams_taken_back_total", "Streams that clients gave up before they had an answer.", |w| {
        &w.http2_taken_back
    }),
    ("tollgate_requests_total", "Requests received, refused ones included.", |w| &w.requests),
    ("tollgate_received_bytes_total", "Bytes received from clients, heads included.", |w| &w.bytes_received),
    ("tollgate_sent_bytes_total", "Bytes sent to clients, heads included.", |w| &w.bytes_sent),
    ("tollgate_panics_total", "Tasks that ended in a panic.", |w| &w.panics),
    ("tollgate_upstream_connects_total", "Connections made to upstreams.", |w| &w.upstream_connects),
    ("tollgate_upstream_reuses_total", "Requests sent on a pooled upstream connection.", |w| &w.upstream_reuses),
    ("tollgate_upstream_retries_total", "Requests sent to an upstream again.", |w| &w.upstream_retries),
    ("tollgate_authorizer_calls_total", "Times that an authorizer was asked.", |w| &w.authorizer_calls),
    ("tollgate_authorizer_failures_total", "Times that an authorizer gave no answer.", |w| &w.authorizer_failures),
    ("tollgate_authorizer_hits_total", "Requests that a remembered answer decided on.", |w| &w.authorizer_hits),
    ("tollgate_preflights_total", "Preflights of browsers that were answered without a backend.", |w| &w.preflights),
    ("tollgate_passwords_verified_total", "Passwords held against a hash.", |w| &w.passwords_verified),
    ("tollgate_passwords_refused_total", "Passwords that were not, as too many wait.", |w| &w.passwords_refused),
    ("tollgate_upstream_connections_open", "Connections to upstreams that are open.", |w| &w.upstream_connections_open),
    ("tollgate_upstream_connections_idle", "Connections to upstreams in the pool.", |w| &w.upstream_idle),
    ("tollgate_buffers_starved_total", "Times that no receive buffer was free.", |w| &w.buffers_starved),
    ("tollgate_access_log_lines_total", "Access-log lines handed over.", |w| &w.access_log_lines),
    ("tollgate_access_log_dropped_total", "Access-log lines dropped: the log did not keep up.", |w| {
        &w.access_log_dropped
    }),
    ("tollgate_loop_turns_total", "Turns of the worker's loop.", |w| &w.loop_turns),
    ("tollgate_loop_submissions_total", "Operations submitted to the I/O driver.", |w| &w.loop_submissions),
    ("tollgate_loop_enters_total", "System calls that entered the I/O driver.", |w| &w.loop_enters),
    ("tollgate_tasks", "Tasks that live.", |w| &w.tasks),
    ("tollgate_buffers_held", "Receive buffers that hold bytes of somebody.", |w| &w.buffers_held),
    ("tollgate_upstream_requests_in_flight", "Requests that an upstream works on.", |w| &w.upstream_in_flight),
    ("tollgate_fields_underscore_dropped_total", "Header fields dropped for an underscore in their name.", |w| {
        &w.heads_underscore_dropped
    }),
    ("tollgate_tunnels_open", "WebSocket connections that are passed through.", |w| &w.tunnels_open),
    ("tollgate_tunnels_opened_total", "WebSocket connections passed through since the start.", |w| &w.tunnels_opened),
    ("tollgate_tls_handshakes_in_progress", "TLS handshakes under way.", |w| &w.tls_handshaking),
    ("tollgate_trailers_dropped_total", "Trailer fields dropped.", |w| &w.trailers_dropped),
    (
        "tollgate_overload_level",
        "Step of shedding: 0 none, 1 idle connections close, 2 newcomers are told 503, 3 nobody is accepted.",
        |w| &w.overload_level,
    ),
    (
        "tollgate_overload_idle_closed_total",
        "Idle connections of clients closed to make room, the oldest first.",
        |w| &w.overload_idle_closed,
    ),
    ("tollgate_overload_refused_total", "Connections turned away with 503, or closed, for want of room.", |w| {
        &w.overload_refused
    }),
    ("tollgate_overload_connections_ended_total", "Connections ended with an answer, for want of room.", |w| {
        &w.overload_ended
    }),
    ("tollgate_overload_accept_pauses_total", "Times that accepting was stopped for want of room.", |w| {
        &w.overload_pauses
    }),
    (
        "tollgate_connections_refused_per_address_total",
        "Connections turned away by limits.connections_per_address.",
        |w| &w.address_refused,
    ),
    ("tollgate_requests_in_flight", "Requests of clients under way.", |w| &w.requests_at_work),
    ("tollgate_overload_refused_requests_total", "Requests refused by limits.requests.", |w| &w.requests_refused),
    ("tollgate_accept_errors_total", "Failures to accept: no descriptors, no memory.", |w| &w.accept_errors),
    (
        "tollgate_upstream_resources_short_total",
        "Connections to upstreams that failed for want of descriptors, memory or ports.",
        |w| &w.resources_short,
    ),
];

impl Metrics {
    /// All metrics as Prometheus text, format 0.0.4, those that `others` writes behind the rest. Takes a few milliseconds per
    /// thousand stages; never called by a worker.
    pub fn render(&self, others: impl FnOnce(&mut Page)) -> String {
        let mut page = Page { text: String::with_capacity(64 * 1024) };
        self.process(&mut page);
        process::render(&mut page);
        self.all_workers(&mut page);
        let stages = self.stages();
        let stages: Vec<Labelled> = stages.iter().map(|((api, stage), metrics)| (&**api, &**stage, metrics)).collect();
        render_stages(&mut page, &stages);
        self.firewalls(&mut page);
        let methods = self.methods();
        let methods: Vec<(Vec<Label>, &StageMetrics)> = methods
            .iter()
            .map(|([api, stage, method], metrics)| {
                (vec![("api", &**api), ("stage", &**stage), ("method", &**method)], &**metrics)
            })
            .collect();
        render_methods(&mut page, &methods);
        others(&mut page);
        page.text
    }

    fn firewalls(&self, page: &mut Page) {
        let name = "tollgate_firewall_rules_total";
        let help = "Requests for which a rule of a firewall held, by API (none: the gateway) and rule; default: blocked by no rule.";
        page.family(name, "counter", help);
        for ([api, rule], count) in &self.rules() {
            page.sample(name, &[("api", api), ("rule", rule)], count.total());
        }
    }

    fn process(&self, page: &mut Page) {
        let control = self.control();
        page.family("tollgate_build_info", "gauge", "The version of the program.");
        page.sample("tollgate_build_info", &[("version", self.setup.version)], 1);
        let (driver, reason) =
            control.driver.as_ref().map_or(("none", "not started"), |(driver, reason)| (driver, reason));
        page.family(
            "tollgate_io_driver_info",
            "gauge",
            "The driver of the sockets, and why it is not the preferred one.",
        );
        page.sample("tollgate_io_driver_info", &[("driver", driver), ("reason", reason)], 1);
        let mut gauge = |name, help, value: &dyn Display| {
            page.family(name, "gauge", help);
            page.sample(name, &[], value);
        };
        let started = since_epoch(self.started).as_secs_f64();
        // An upgrade makes another process, whose counters begin anew: this is how a scraper knows.
        gauge("process_start_time_seconds", "Start of the process, Unix time.", &started);
        gauge("tollgate_workers", "Workers of the process.", &self.workers.len());
        gauge("tollgate_snapshot_generation", "Number of the snapshot that serves.", &control.generation);
        let good = u8::from(!control.last_reload_failed);
        gauge("tollgate_last_reload_successful", "Whether the last load of the configuration went well.", &good);
        let loaded = control.last_success.as_secs_f64();
        gauge("tollgate_last_reload_success_time_seconds", "When the serving snapshot was loaded, Unix time.", &loaded);
        let last = control.last_reload.as_secs_f64();
        gauge("tollgate_last_reload_time_seconds", "When the last reload ended, Unix time; 0: there was none.", &last);
        let took = control.last_reload_took.as_secs_f64();
        gauge("tollgate_last_reload_duration_seconds", "How long the last reload took, failed or not.", &took);
        gauge("tollgate_watched_files", "Files that are watched for changes (gateway.watch).", &control.watched);
        page.family(
            "tollgate_watch_looks_total",
            "counter",
            "Times that watched files were compared with what was loaded.",
        );
        page.sample("tollgate_watch_looks_total", &[], control.watch_looks);
        page.family("tollgate_reloads_total", "counter", "Reloads of the configuration, by result and by who asked.");
        for (by, [ok, failed]) in By::ALL.iter().zip(control.reloads) {
            page.sample("tollgate_reloads_total", &[("result", "ok"), ("by", by.name())], ok);
            page.sample("tollgate_reloads_total", &[("result", "failed"), ("by", by.name())], failed);
        }
        let mut counter = |name, help, counter: &AtomicU64| {
            page.family(name, "counter", help);
            page.sample(name, &[], counter.load(Relaxed));
        };
        let writer = &self.writer;
        counter("tollgate_access_log_written_bytes_total", "Bytes written to the access log.", &writer.bytes_written);
        counter("tollgate_access_log_errors_total", "Failed writes and reopenings of the access log.", &writer.errors);
        counter("tollgate_access_log_lost_lines_total", "Lines lost in failed writes.", &writer.lines_lost);
        counter("tollgate_access_log_reopened_total", "Times that the access log was reopened.", &writer.reopened);
    }

    fn all_workers(&self, page: &mut Page) {
        let numbers: Vec<String> = (0..self.workers.len()).map(|number| number.to_string()).collect();
        for (name, help, counter) in PER_WORKER {
            let is_counter = name.ends_with("_total");
            page.family(name, if is_counter { "counter" } else { "gauge" }, help);
            for (worker, number) in self.workers.iter().zip(&numbers) {
                let value = counter(worker).load(Relaxed);
                let labels = [("worker", number.as_str())];
                if is_counter {
                    page.sample(name, &labels, value);
                } else {
                    page.sample(name, &labels, value.cast_signed());
                }
            }
        }
        page.family("tollgate_responses_total", "counter", "Answers sent to clients, by class of status.");
        for (worker, number) in self.workers.iter().zip(&numbers) {
            for (class, count) in CLASS_NAMES.iter().zip(&worker.responses) {
                page.sample("tollgate_responses_total", &[("class", class), ("worker", number)], count.load(Relaxed));
            }
        }
        let name = "tollgate_tunnels_ended_total";
        page.family(name, "counter", "WebSocket connections that were passed through, by what ended them.");
        for (index, end) in TUNNEL_ENDS.iter().enumerate() {
            let sum: u64 = self.workers.iter().map(|worker| worker.tunnels_ended[index].load(Relaxed)).sum();
            page.sample(name, &[("by", *end)], sum);
        }
        self.handshakes(page);
        let name = "tollgate_refusals_total";
        page.family(name, "counter", "Refusals by reason.");
        self.named(page, name, "reason", self.setup.refusals, |worker| &worker.refusals);
        let name = "tollgate_faults_total";
        page.family(name, "counter", "Faults by name: what broke on our, the client's or the upstream's side.");
        self.named(page, name, "fault", self.setup.faults, |worker| &worker.faults);
    }

    fn handshakes(&self, page: &mut Page) {
        let sum = |of: &dyn Fn(&WorkerMetrics) -> u64| self.workers.iter().map(|worker| of(worker)).sum::<u64>();
        let name = "tollgate_tls_handshakes_total";
        page.family(name, "counter", "TLS handshakes done, by version and by whether a session was continued.");
        for (version, label) in ["1.2", "1.3"].into_iter().enumerate() {
            for (resumed, is) in ["no", "yes"].into_iter().enumerate() {
                let count = sum(&|worker| worker.tls_handshakes[version][resumed].load(Relaxed));
                page.sample(name, &[("version", label), ("resumed", is)], count);
            }
        }
        let name = "tollgate_throttled_total";
        page.family(
            name,
            "counter",
            "Requests refused with 429 by a throttle or a limit of requests at once, by phase.",
        );
        for (index, phase) in THROTTLES.iter().enumerate() {
            page.sample(name, &[("phase", phase.name())], sum(&|worker| worker.throttled[index].load(Relaxed)));
        }
        let name = "tollgate_http2_connections_ended_total";
        page.family(name, "counter", "Connections of clients that spoke HTTP/2, by what ended them.");
        for (index, cause) in Http2End::NAMES.iter().chain(Excess::NAMES).enumerate() {
            page.sample(name, &[("cause", cause)], sum(&|worker| worker.http2_ended[index].load(Relaxed)));
        }
        let name = "tollgate_tls_handshake_failures_total";
        page.family(name, "counter", "TLS handshakes that came to nothing, by cause.");
        for (index, cause) in HandshakeFailure::NAMES.into_iter().enumerate() {
            page.sample(name, &[("cause", cause)], sum(&|worker| worker.tls_failures[index].load(Relaxed)));
        }
        let name = "tollgate_proxy_headers_total";
        page.family(name, "counter", "PROXY headers of balancers in front, by version.");
        for (index, version) in ["1", "2"].into_iter().enumerate() {
            page.sample(name, &[("version", version)], sum(&|worker| worker.proxy_headers[index].load(Relaxed)));
        }
        let name = "tollgate_proxy_header_failures_total";
        page.family(name, "counter", "Connections closed for want of a good PROXY header, by cause.");
        for (index, cause) in GreetingFailure::names().enumerate() {
            page.sample(name, &[("cause", cause)], sum(&|worker| worker.proxy_failures[index].load(Relaxed)));
        }
    }

    fn named(&self, page: &mut Page, name: &str, label: &str, names: &[&str], of: fn(&WorkerMetrics) -> &Counters) {
        for (index, value) in names.iter().enumerate() {
            let sum: u64 = self.workers.iter().map(|worker| of(worker)[index].load(Relaxed)).sum();
            page.sample(name, &[(label, value)], sum);
        }
    }
}

/// API, stage, and their counters.
type Labelled<'a> = (&'a str, &'a str, &'a Arc<StageMetrics>);
/// Name and value.
type Label<'a> = (&'a str, &'a str);

fn sum(metrics: &StageMetrics, of: impl Fn(&StageBlock) -> &AtomicU64) -> u64 {
    metrics.blocks().iter().map(|block| of(block).load(Relaxed)).sum()
}

/// ST-07: methods whose settings ask for metrics. CloudWatch has the same by `Resource` and `Method`.
fn render_methods(page: &mut Page, methods: &[(Vec<Label<'_>>, &StageMetrics)]) {
    if methods.is_empty() {
        return;
    }
    let name = "tollgate_method_requests_total";
    page.family(name, "counter", "Requests of a method whose settings ask for metrics, by class of status.");
    for (labels, metrics) in methods {
        for (index, class) in CLASS_NAMES.iter().enumerate() {
            let labels = [labels, &[("class", *class)][..]].concat();
            page.sample(name, &labels, sum(metrics, |block| &block.classes[index]));
        }
    }
    let name = "tollgate_method_latency_seconds";
    page.family(name, "histogram", "As of stages, of a method whose settings ask for metrics.");
    for (labels, metrics) in methods {
        page.histogram(name, labels, metrics, |block| &block.latency);
    }
    let name = "tollgate_method_integration_latency_seconds";
    page.family(name, "histogram", "As of stages, of a method whose settings ask for metrics.");
    for (labels, metrics) in methods {
        page.histogram(name, labels, metrics, |block| &block.integration);
    }
}

fn render_stages(page: &mut Page, stages: &[Labelled<'_>]) {
    let name = "tollgate_stage_requests_total";
    page.family(name, "counter", "Requests of a stage, by class of status.");
    for (api, stage, metrics) in stages {
        for (index, class) in CLASS_NAMES.iter().enumerate() {
            let labels = [("api", *api), ("stage", *stage), ("class", *class)];
            page.sample(name, &labels, sum(metrics, |block| &block.classes[index]));
        }
    }
    let name = "tollgate_stage_received_bytes_total";
    page.family(name, "counter", "Bytes received for a stage.");
    for (api, stage, metrics) in stages {
        page.sample(name, &[("api", *api), ("stage", *stage)], sum(metrics, |block| &block.bytes_received));
    }
    let name = "tollgate_stage_sent_bytes_total";
    page.family(name, "counter", "Bytes sent by a stage.");
    for (api, stage, metrics) in stages {
        page.sample(name, &[("api", *api), ("stage", *stage)], sum(metrics, |block| &block.bytes_sent));
    }
    let name = "tollgate_stage_latency_seconds";
    page.family(name, "histogram", "From the first byte of a request to the last of its answer.");
    for (api, stage, metrics) in stages {
        page.histogram(name, &[("api", api), ("stage", stage)], metrics, |block| &block.latency);
    }
    let name = "tollgate_stage_integration_latency_seconds";
    page.family(name, "histogram", "From the call of a backend to the head of its answer.");
    for (api, stage, metrics) in stages {
        page.histogram(name, &[("api", api), ("stage", stage)], metrics, |block| &block.integration);
    }
}

/// The text in the making.
pub struct Page {
    text: String,
}

impl Page {
    /// Opens a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family that is open.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.escaped(value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn escaped(&mut self, value: &str) {
        for letter in value.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                _ => self.text.push(letter),
            }
        }
    }

    /// Buckets made cumulative. The count is their sum, so that it equals `+Inf` though workers go on counting.
    fn histogram(
        &mut self,
        name: &str,
        labels: &[Label<'_>],
        metrics: &StageMetrics,
        of: fn(&StageBlock) -> &Histogram,
    ) {
        let mut counts = [0; BOUNDS.len() + 1];
        let mut micros = 0;
        for block in metrics.blocks() {
            of(block).add_to(&mut counts, &mut micros);
        }
        let mut total = 0;
        let bucket = format!("{name}_bucket");
        for (index, count) in counts.iter().enumerate() {
            total += count;
            let bound = BOUNDS.get(index).map_or_else(|| "+Inf".to_owned(), |&micros| seconds(micros).to_string());
            self.sample(&bucket, &[labels, &[("le", bound.as_str())]].concat(), total);
        }
        self.sample(&format!("{name}_sum"), labels, seconds(micros));
        self.sample(&format!("{name}_count"), labels, total);
    }
}

/// Exact for every bound, and to a microsecond for sums of up to 285 years.
fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::observe::metrics::{Sample, Setup, add, sub};

    /// Name, labels in order, value.
    type Parsed = (String, Vec<(String, String)>, f64);

    /// A strict reader of the text format: every sample must belong to the family that was opened last, families come once,
    /// samples are unique, and label values are escaped. Returns the types and the samples.
    fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Parsed>) {
        let mut types = BTreeMap::new();
        let mut samples: Vec<Parsed> = Vec::new();
        let mut seen = BTreeSet::new();
        let (mut helped, mut open) = (String::new(), (String::new(), String::new()));
        assert!(text.ends_with('\n'), "the last line ends");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("help has text");
                assert!(!words.is_empty());
                name.clone_into(&mut helped);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type has a name");
                assert_eq!(name, helped, "HELP comes before TYPE");
                assert!(["counter", "gauge", "histogram"].contains(&kind));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
                open = (name.to_owned(), kind.to_owned());
            } else {
                let sample = parse_sample(line);
                let family = match open.1.as_str() {
                    "histogram" => {
                        ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.0.strip_suffix(end)).unwrap()
                    }
                    _ => &sample.0,
                };
                assert_eq!(family, open.0, "a sample outside its family");
                assert!(seen.insert((sample.0.clone(), sample.1.clone())), "twice: {line}");
                samples.push(sample);
            }
        }
        (types, samples)
    }

    fn parse_sample(line: &str) -> Parsed {
        let end = line.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap();
        let (name, mut rest) = line.split_at(end);
        assert!(["tollgate_", "process_"].iter().any(|prefix| name.starts_with(prefix)), "{line}");
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                let (label, value) = rest.split_once("=\"").expect("a label has a quoted value");
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
                let (value, after) = parse_value(value);
                labels.push((label.to_owned(), value));
                match after.split_at(1) {
                    (",", more) => rest = more,
                    ("}", more) => {
                        rest = more;
                        break;
                    }
                    _ => panic!("after a label: {after}"),
                }
            }
        }
        let value = rest.strip_prefix(' ').expect("one space before the value");
        (name.to_owned(), labels, value.parse().expect("a number"))
    }

    /// Undoes the escapes up to the closing quote.
    fn parse_value(text: &str) -> (String, &str) {
        let mut value = String::new();
        let mut letters = text.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => return (value, &text[at + 1..]),
                '\\' => value.push(match letters.next().map(|(_, escaped)| escaped) {
                    Some('n') => '\n',
                    Some(escaped @ ('\\' | '"')) => escaped,
                    other => panic!("escape of {other:?}"),
                }),
                _ => value.push(letter),
            }
        }
        panic!("no closing quote: {text}");
    }

    fn value(samples: &[Parsed], name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<_> = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        let found = samples.iter().find(|(n, l, _)| n == name && *l == wanted);
        found.unwrap_or_else(|| panic!("no {name} {labels:?}")).2
    }

    fn metrics() -> Arc<Metrics> {
        Metrics::new(Setup {
            workers: 2,
            refusals: &["no_such_api", "bare_line_feed"],
            faults: &["client_gone"],
            version: "1.2.3",
        })
    }

    #[test]
    fn an_untouched_page_is_whole() {
        let (types, samples) = parse(&metrics().render(|_| {}));
        for (name, _, _) in PER_WORKER {
            assert!(types.contains_key(*name), "{name}");
            assert_eq!(value(&samples, name, &[("worker", "1")]).to_bits(), 0, "{name}");
        }
        assert_eq!(value(&samples, "tollgate_refusals_total", &[("reason", "bare_line_feed")]).to_bits(), 0);
        assert!(value(&samples, "process_start_time_seconds", &[]) > 1.7e9);
    }

    #[test]
    fn every_number_reaches_the_page() {
        let metrics = metrics();
        let (one, two) = (metrics.worker(0), metrics.worker(1));
        for (index, (_, _, counter)) in PER_WORKER.iter().enumerate() {
            add(counter(&one), index as u64 + 1);
        }
        sub(&two.connections_open, 1);
        add(&one.refusals[1], 4);
        add(&two.refusals[1], 5);
        add(&two.faults[0], 6);
        add(&two.responses[4], 7);
        metrics.set_driver("epoll", "kernel.io_uring_disabled=2");
        metrics.loaded(1);
        metrics.reloaded(By::Signal, Some(2), Duration::from_secs(1));
        metrics.reloaded(By::Watch, None, Duration::from_secs(3));
        let (_, samples) = parse(&metrics.render(|_| {}));
        let is = |name, labels: &[(&str, &str)], wanted: i32| {
            let found = value(&samples, name, labels);
            assert!((found - f64::from(wanted)).abs() < 1e-9, "{name} {labels:?} is {found}");
        };
        for (index, (name, _, _)) in PER_WORKER.iter().enumerate() {
            is(name, &[("worker", "0")], i32::try_from(index).unwrap() + 1);
        }
        is("tollgate_connections_open", &[("worker", "1")], -1);
        is("tollgate_refusals_total", &[("reason", "bare_line_feed")], 9);
        is("tollgate_refusals_total", &[("reason", "no_such_api")], 0);
        is("tollgate_faults_total", &[("fault", "client_gone")], 6);
        is("tollgate_responses_total", &[("class", "4xx"), ("worker", "1")], 7);
        is("tollgate_io_driver_info", &[("driver", "epoll"), ("reason", "kernel.io_uring_disabled=2")], 1);
        is("tollgate_build_info", &[("version", "1.2.3")], 1);
        is("tollgate_snapshot_generation", &[], 2);
        is("tollgate_reloads_total", &[("result", "ok"), ("by", "signal")], 1);
        is("tollgate_reloads_total", &[("result", "failed"), ("by", "signal")], 0);
        is("tollgate_reloads_total", &[("result", "failed"), ("by", "watch")], 1);
        is("tollgate_last_reload_duration_seconds", &[], 3);
        is("tollgate_last_reload_successful", &[], 0);
    }

    #[test]
    fn buckets_are_cumulative_and_end_at_the_count() {
        let metrics = metrics();
        let stage = metrics.stage("petstore", "prod");
        for micros in [1, 500, 501, 4_000, 30_000_000, 30_000_001, 99_000_000] {
            let sample =
                Sample { status: 200, latency_micros: micros, integration_micros: Some(700), ..Sample::default() };
            stage.record(usize::from(micros > 4_000), &sample);
        }
        let (_, samples) = parse(&metrics.render(|_| {}));
        let of = [("api", "petstore"), ("stage", "prod")];
        for (name, buckets) in [
            ("tollgate_stage_latency_seconds", [2., 3., 3., 4., 4., 4., 4., 4., 4., 4., 4., 4., 4., 4., 5., 7.]),
            (
                "tollgate_stage_integration_latency_seconds",
                [0., 7., 7., 7., 7., 7., 7., 7., 7., 7., 7., 7., 7., 7., 7., 7.],
            ),
        ] {
            let bucket = format!("{name}_bucket");
            let bounds: Vec<_> =
                samples.iter().filter(|(n, _, _)| *n == bucket).map(|(_, l, v)| (l[2].1.clone(), *v)).collect();
            let les: Vec<_> = bounds.iter().map(|(le, _)| le.as_str()).collect();
            let wanted = "0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 +Inf";
            assert_eq!(les, wanted.split(' ').collect::<Vec<_>>());
            assert_eq!(bounds.iter().map(|(_, v)| *v).collect::<Vec<_>>(), buckets, "{name}");
            assert_eq!(value(&samples, &format!("{name}_count"), &of).to_bits(), buckets[15].to_bits());
        }
        let sum = value(&samples, "tollgate_stage_latency_seconds_sum", &of);
        assert!((sum - 159.005_003).abs() < 1e-6, "{sum}");
        assert!(
            (value(&samples, "tollgate_stage_requests_total", &[of[0], of[1], ("class", "2xx")]) - 7.).abs() < 1e-9
        );
    }

    #[test]
    fn labels_are_escaped() {
        let metrics = metrics();
        let nasty = "a\"b\\c\nd{e}=\"f\",ü";
        metrics.stage(nasty, "$default").record(0, &Sample { status: 404, bytes_sent: 9, ..Sample::default() });
        let (_, samples) = parse(&metrics.render(|_| {}));
        let labels = [("api", nasty), ("stage", "$default")];
        assert!((value(&samples, "tollgate_stage_sent_bytes_total", &labels) - 9.).abs() < 1e-9);
    }
}
