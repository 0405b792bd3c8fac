//! What an upstream's document says of failures: who is let alone, what is refused, what is sent again.

use std::time::Duration;

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::model::values;
use crate::snapshot::Breaker;
use crate::source::node::{Node, Value};

/// All of it, as written.
#[derive(Debug, Clone, Default)]
pub struct ResilienceSpec {
    /// Percent.
    pub panic: Option<u8>,
    /// How long a server that comes back takes to its whole share.
    pub slow_start: Option<Duration>,
    /// How servers are asked whether they are well.
    pub health_check: Option<HealthCheckSpec>,
    /// When a server is let alone.
    pub outlier: OutlierSpec,
    /// The most of the upstream.
    pub breaker: Breaker,
    /// When a request is sent again.
    pub retry: RetrySpec,
}

/// The part `health_check`, as written.
#[derive(Debug, Clone)]
pub struct HealthCheckSpec {
    /// A path, with its query if there is one.
    pub path: Box<str>,
    /// From an answer to the next question.
    pub interval: Option<Duration>,
    /// For one answer.
    pub timeout: Option<Duration>,
    /// Good answers in a row.
    pub healthy: Option<u32>,
    /// Bad answers in a row.
    pub unhealthy: Option<u32>,
    /// Ranges with both ends.
    pub statuses: Vec<(u16, u16)>,
    /// The Host field.
    pub host: Option<Box<str>>,
    /// Percent.
    pub jitter: Option<u8>,
}

/// The part `outlier`, as written.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutlierSpec {
    /// `outlier: off`.
    pub is_off: bool,
    /// Failures in a row.
    pub failures: Option<u32>,
    /// How long the first time.
    pub time: Option<Duration>,
    /// How long at most.
    pub time_max: Option<Duration>,
    /// Percent.
    pub share: Option<u8>,
    /// Whether 5xx answers count.
    pub answers: Option<bool>,
}

/// The part `retry` of an upstream, as written.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetrySpec {
    /// Attempts, the first included; 1: `retry: off`.
    pub attempts: Option<u8>,
    /// Percent.
    pub budget: Option<u8>,
    /// Beyond the percentage.
    pub per_second: Option<u32>,
    /// How long one attempt may take.
    pub try_time: Option<Duration>,
}

/// The part `retry` of a route, as written.
#[derive(Debug, Clone, Copy)]
pub struct RouteRetrySpec {
    /// Where it is written.
    pub place: Place,
    /// Attempts, the first included; 1: `retry: off`.
    pub attempts: Option<u8>,
    /// How long one attempt may take.
    pub try_time: Option<Duration>,
}

/// `panic`
pub const PANIC: Field = Field::new("panic", Type::Number, "percent of well servers below which all are used");
/// `slow_start`
pub const SLOW_START: Field =
    Field::new("slow_start", Type::Time, "how long a server that comes back takes to its whole share");
/// `health_check`
pub const HEALTH_CHECK: Field =
    Field::new("health_check", Type::Object(&HEALTH_CHECK_TABLE), "asking each server whether it is well");
/// `outlier`
pub const OUTLIER: Field =
    Field::new("outlier", Type::Object(&OUTLIER_TABLE), "when a server that fails is let alone").or(&["off"]);
/// `breaker`
pub const BREAKER: Field =
    Field::new("breaker", Type::Object(&BREAKER_TABLE), "the most of the upstream; beyond, requests are refused");
/// `retry`
pub const RETRY: Field =
    Field::new("retry", Type::Object(&RETRY_TABLE), "when a request is sent again, where that is safe").or(&["off"]);

/// `retry` of a route
pub const ROUTE_RETRY: Field =
    Field::new("retry", Type::Object(&ROUTE_RETRY_TABLE), "when a request is sent again; the upstream's by default")
        .or(&["off"]);

const HEALTH_CHECK_TABLE: Table = Table {
    name: "`health_check`",
    fields: &[
        Field::new("path", Type::Text, "what is asked for, with GET: /healthz").needed(),
        Field::new("interval", Type::Time, "from an answer to the next question"),
        Field::new("timeout", Type::Time, "how long an answer may take"),
        Field::new("healthy", Type::Number, "good answers in a row before a server is used again"),
        Field::new("unhealthy", Type::Number, "bad answers in a row before a server is not used"),
        Field::new("status", Type::TextList, "good statuses: 200, or 200-299"),
        Field::new("host", Type::Text, "the Host field; the upstream's name by default"),
        Field::new("jitter", Type::Number, "by how many percent an interval is longer or shorter, at random"),
    ],
};

const OUTLIER_TABLE: Table = Table {
    name: "`outlier`",
    fields: &[
        Field::new("failures", Type::Number, "failures in a row after which a server is let alone"),
        Field::new("time", Type::Time, "how long the first time; each further time twice as long"),
        Field::new("time_max", Type::Time, "how long at most"),
        Field::new("share", Type::Number, "percent of the servers that are let alone at most, rounded down"),
        Field::new("answers", Type::Flag, "whether an answer of 500 to 599 is a failure"),
    ],
};

const BREAKER_TABLE: Table = Table {
    name: "`breaker`",
    fields: &[
        Field::new("connections", Type::Number, "connections of all workers, idle ones included"),
        Field::new("pending", Type::Number, "requests of all workers whose connection is being opened"),
        Field::new("requests", Type::Number, "requests of all workers under way"),
    ],
};

const ATTEMPTS: Field =
    Field::new("attempts", Type::Number, "times that a request is sent at most, the first included");
const TRY_TIME: Field = Field::new("try_time", Type::Time, "how long one attempt may take to the head of its answer");

const ROUTE_RETRY_TABLE: Table = Table { name: "`retry`", fields: &[ATTEMPTS, TRY_TIME] };

const RETRY_TABLE: Table = Table {
    name: "`retry`",
    fields: &[
        ATTEMPTS,
        Field::new("budget", Type::Number, "requests that may be repeated at once, in percent of those under way"),
        Field::new("per_second", Type::Number, "requests that may be repeated in any second beyond that"),
        TRY_TIME,
    ],
};

impl ResilienceSpec {
    /// Reads its fields of an upstream.
    pub fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Self {
        let percent = |node, reader: &mut Reader<'_>| percent(node, "`panic`", reader);
        Self {
            panic: object.get("panic").and_then(|node| percent(node, reader)),
            slow_start: object
                .get("slow_start")
                .and_then(|node| reader.time(node, "`slow_start`", Duration::ZERO, limits::SETTING_TIME_MAX)),
            health_check: object.get("health_check").and_then(|node| HealthCheckSpec::read(node, reader)),
            outlier: object.get("outlier").and_then(|node| OutlierSpec::read(node, reader)).unwrap_or_default(),
            breaker: object.get("breaker").and_then(|node| breaker(node, reader)).unwrap_or_default(),
            retry: object.get("retry").and_then(|node| RetrySpec::read(node, reader)).unwrap_or_default(),
        }
    }
}

fn percent(node: &Node, what: &str, reader: &mut Reader<'_>) -> Option<u8> {
    reader.number(node, what, 0, 100).map(|number| number as u8)
}

/// The word that stands in place of an object.
fn is_off(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(text) if &*text.text == "off")
}

impl HealthCheckSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &HEALTH_CHECK_TABLE)?;
        let path = object.get("path").and_then(|node| path(node, reader));
        if object.lacks("path") {
            reader.faults.error_hint(object.place, "`health_check` needs a path", "write `path: /healthz`");
        }
        let interval = object
            .get("interval")
            .and_then(|node| reader.time(node, "`interval`", limits::CHECK_INTERVAL_MIN, limits::SETTING_TIME_MAX));
        let timeout = object
            .get("timeout")
            .and_then(|node| reader.time(node, "`timeout`", Duration::from_millis(1), limits::TIMEOUT_MAX));
        let mut row = |name: &str, what: &str| {
            let node = object.get(name)?;
            reader.number(node, what, 1, 1_000).map(|number| number as u32)
        };
        let (healthy, unhealthy) = (row("healthy", "`healthy`"), row("unhealthy", "`unhealthy`"));
        let statuses = object.get("status").map(|node| statuses(node, reader)).unwrap_or_default();
        let host = object.get("host").and_then(|node| host(node, reader));
        let jitter = object.get("jitter").and_then(|node| percent(node, "`jitter`", reader));
        object.close();
        Some(Self { path: path?, interval, timeout, healthy, unhealthy, statuses, host, jitter })
    }
}

fn path(node: &Node, reader: &mut Reader<'_>) -> Option<Box<str>> {
    let text = reader.text(node, "`path`")?;
    let fits = text.text.starts_with('/') && text.text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !fits || text.text.len() > limits::URI_CHARS_MAX {
        let hint = "write a path such as /healthz; what is not ASCII is written %C3%A4";
        reader.faults.error_hint(text.place, format!("`{}` is not a path to ask for", text.text), hint);
        return None;
    }
    Some(text.text)
}

fn host(node: &Node, reader: &mut Reader<'_>) -> Option<Box<str>> {
    let text = reader.text(node, "`host`")?;
    let (name, port) = text.text.rsplit_once(':').map_or((&*text.text, None), |(name, port)| (name, Some(port)));
    if !values::is_host(name) || port.is_some_and(|port| !matches!(values::number(port), Some(1..=65_535))) {
        let hint = "write a host name, with a port if backends are asked with one";
        reader.faults.error_hint(text.place, format!("`{}` is not a host", text.text), hint);
        return None;
    }
    Some(text.text)
}

fn statuses(node: &Node, reader: &mut Reader<'_>) -> Vec<(u16, u16)> {
    let listed = reader.list(node);
    if listed.is_empty() || listed.len() > limits::CHECK_STATUSES_MAX {
        let most = limits::CHECK_STATUSES_MAX;
        reader.faults.error(node.place, format!("`status` needs from 1 to {most} statuses"));
        return Vec::new();
    }
    let mut range = |node: &Node| {
        let text = reader.text(node, "`status`")?;
        let (least, most) = text.text.split_once('-').unwrap_or((&text.text, &text.text));
        match (values::number(least.trim()), values::number(most.trim())) {
            (Some(least @ 200..=599), Some(most @ 200..=599)) if least <= most => Some((least as u16, most as u16)),
            _ => {
                let hint = "write a status from 200 to 599, or a range such as 200-299";
                reader.faults.error_hint(text.place, format!("`{}` is not a status", text.text), hint);
                None
            }
        }
    };
    listed.iter().filter_map(&mut range).collect()
}

impl OutlierSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self { is_off: true, ..Self::default() });
        }
        let object = reader.object(node, &OUTLIER_TABLE)?;
        let most = limits::SETTING_TIME_MAX;
        let least = Duration::from_millis(1);
        let failures = object.get("failures").and_then(|node| reader.number(node, "`failures`", 1, 1_000_000));
        let time = object.get("time").and_then(|node| reader.time(node, "`time`", least, most));
        let time_max = object.get("time_max").and_then(|node| {
            let value = reader.time(node, "`time_max`", least, most)?;
            if time.unwrap_or(limits::OUTLIER_TIME) > value {
                let hint = "`time` is how long the first time, `time_max` how long at most";
                reader.faults.error_hint(node.place, "`time_max` is shorter than `time`", hint);
            }
            Some(value)
        });
        let share = object.get("share").and_then(|node| percent(node, "`share`", reader));
        let answers = object.get("answers").and_then(|node| reader.flag(node, "`answers`"));
        object.close();
        Some(Self { is_off: false, failures: failures.map(|number| number as u32), time, time_max, share, answers })
    }
}

fn breaker(node: &Node, reader: &mut Reader<'_>) -> Option<Breaker> {
    let object = reader.object(node, &BREAKER_TABLE)?;
    let mut most = |name: &str, what: &str| {
        let node = object.get(name)?;
        reader.number(node, what, 1, u64::from(limits::CONNECTIONS_MAX)).map(|number| number as u32)
    };
    let connections = most("connections", "`connections`");
    let pending = most("pending", "`pending`");
    let requests = most("requests", "`requests`");
    object.close();
    Some(Breaker { connections, pending, requests })
}

impl RetrySpec {
    /// Reads `retry`.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self { attempts: Some(1), ..Self::default() });
        }
        let object = reader.object(node, &RETRY_TABLE)?;
        let (attempts, try_time) = attempts(&object, reader);
        let budget = object.get("budget").and_then(|node| percent(node, "`budget`", reader));
        let per_second =
            object.get("per_second").and_then(|node| reader.number(node, "`per_second`", 0, limits::PER_SECOND_MAX));
        object.close();
        Some(Self { attempts, budget, per_second: per_second.map(|number| number as u32), try_time })
    }
}

fn attempts(object: &Object<'_>, reader: &mut Reader<'_>) -> (Option<u8>, Option<Duration>) {
    let attempts = object.get("attempts");
    let attempts = attempts.and_then(|node| reader.number(node, "`attempts`", 1, limits::RETRY_ATTEMPTS_MAX));
    let try_time = object.get("try_time");
    let try_time = try_time.and_then(|node| reader.time(node, "`try_time`", limits::TIMEOUT_MIN, limits::TIMEOUT_MAX));
    (attempts.map(|number| number as u8), try_time)
}

impl RouteRetrySpec {
    /// Reads `retry` of a route: the budget is its upstream's.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self { place: node.place, attempts: Some(1), try_time: None });
        }
        let object = reader.object(node, &ROUTE_RETRY_TABLE)?;
        let (attempts, try_time) = attempts(&object, reader);
        object.close();
        Some(Self { place: node.place, attempts, try_time })
    }
}
