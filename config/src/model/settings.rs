//! Settings of single methods in a stage (ST-07, ST-08).

use policy::throttle::Limit;
use router::Verb;

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type, nearest};
use crate::model::reader::Reader;
use crate::model::throttle::{CONCURRENCY, concurrency};
use crate::model::values::At;
use crate::source::node::{Node, Text};

/// The settings of one method, or of all.
#[derive(Debug, Clone)]
pub struct MethodSettingsSpec {
    /// As written.
    pub key: Text,
    /// `GET /pets/{id}`, `ANY /{proxy+}` or `$default`, whatever the spelling; `None`: `*/*`, all methods.
    pub method: Option<Box<str>>,
    /// Metrics of this method by itself; `None`: no.
    pub metrics: Option<bool>,
    /// Requests and answers in the execution log, whole; REST.
    pub data_trace: Option<At<bool>>,
    /// What the execution log says; REST.
    pub logging_level: Option<At<LoggingLevelSpec>>,
    /// Requests per second.
    pub throttle: Option<ThrottleSpec>,
    /// Requests at work at once.
    pub concurrency: Option<At<u32>>,
    /// Kept answers; REST.
    pub caching: Option<CachingSpec>,
}

/// How much the execution log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggingLevelSpec {
    /// Nothing.
    Off,
    /// Failures.
    Error,
    /// All.
    Info,
}

/// A rate and a burst, as written.
#[derive(Debug, Clone)]
pub struct ThrottleSpec {
    /// Where it begins.
    pub place: Place,
    /// Requests per second; -1: unlimited.
    pub rate: Option<At<f64>>,
    /// Requests at once; -1: unlimited.
    pub burst: Option<At<f64>>,
}

/// Kept answers of one method, as written.
#[derive(Debug, Clone)]
pub struct CachingSpec {
    /// Where it begins.
    pub place: Place,
    /// Whether answers are kept.
    pub enabled: Option<At<bool>>,
    /// Seconds.
    pub ttl: Option<u32>,
    /// Whether they are kept encrypted.
    pub encrypted: Option<bool>,
    /// Whether only some callers may ask for a fresh answer.
    pub require_authorization: Option<bool>,
    /// What the others get who ask.
    pub unauthorized_strategy: Option<UnauthorizedStrategySpec>,
}

/// What a caller gets who asks for a fresh answer, but may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnauthorizedStrategySpec {
    /// 403.
    FailWith403,
    /// The kept answer with a warning in its head.
    SucceedWithResponseHeader,
    /// The kept answer.
    SucceedWithoutResponseHeader,
}

/// The fields of a method's settings.
pub const SETTINGS: Table = Table {
    name: "a setting of methods",
    fields: &[
        Field::new("metrics", Type::Flag, "metrics of this method by itself"),
        Field::new("data_trace", Type::Flag, "whole requests and answers in the execution log; false in this version"),
        Field::new("logging_level", Type::Word(&["OFF", "ERROR", "INFO"]), "the execution log; OFF in this version"),
        Field::new("throttle", Type::Object(&THROTTLE), "requests per second; of \"*/*\": of each method by itself"),
        CONCURRENCY,
        Field::new("caching", Type::Object(&CACHING), "kept answers; not enabled in this version"),
    ],
};

/// The fields of `throttle`.
pub const THROTTLE: Table = Table {
    name: "`throttle`",
    fields: &[
        Field::new("rate", Type::Decimal, "requests per second; -1: unlimited"),
        Field::new("burst", Type::Decimal, "requests at once, after a pause; -1: unlimited"),
    ],
};

/// The fields of `caching`.
pub const CACHING: Table = Table {
    name: "`caching`",
    fields: &[
        Field::new("enabled", Type::Flag, "whether answers are kept"),
        Field::new("ttl", Type::Number, "for how many seconds"),
        Field::new("encrypted", Type::Flag, "whether they are kept encrypted"),
        Field::new("require_authorization", Type::Flag, "whether only some callers may ask for a fresh answer"),
        Field::new("unauthorized_strategy", Type::Word(&STRATEGY_WORDS), "what the others get who ask"),
    ],
};

const LEVELS: [(&str, LoggingLevelSpec); 3] =
    [("OFF", LoggingLevelSpec::Off), ("ERROR", LoggingLevelSpec::Error), ("INFO", LoggingLevelSpec::Info)];
const STRATEGY_WORDS: [&str; 3] = [STRATEGIES[0].0, STRATEGIES[1].0, STRATEGIES[2].0];
const STRATEGIES: [(&str, UnauthorizedStrategySpec); 3] = [
    ("FAIL_WITH_403", UnauthorizedStrategySpec::FailWith403),
    ("SUCCEED_WITH_RESPONSE_HEADER", UnauthorizedStrategySpec::SucceedWithResponseHeader),
    ("SUCCEED_WITHOUT_RESPONSE_HEADER", UnauthorizedStrategySpec::SucceedWithoutResponseHeader),
];

impl MethodSettingsSpec {
    /// Reads one entry of `methods`.
    pub fn read(key: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &SETTINGS)?;
        let metrics = object.get("metrics").and_then(|node| reader.flag(node, "`metrics`"));
        let data_trace = object.get("data_trace").and_then(|node| {
            let value = reader.flag(node, "`data_trace`")?;
            Some(At { value, place: node.place })
        });
        let logging_level =
            object.get("logging_level").and_then(|node| reader.word(node, "`logging_level`", &LEVELS, &[]));
        let throttle = object.get("throttle").and_then(|node| ThrottleSpec::read(node, reader));
        let concurrency = concurrency(&object, reader);
        let caching = object.get("caching").and_then(|node| CachingSpec::read(node, reader));
        object.close();
        let method = match method_key(&key.text) {
            Ok(method) => method,
            Err((what, hint)) => {
                reader.faults.error_hint(key.place, what, hint);
                return None;
            }
        };
        Some(Self { key: key.clone(), method, metrics, data_trace, logging_level, throttle, concurrency, caching })
    }
}

impl ThrottleSpec {
    /// What may pass; `None`: anything, which is -1 in AWS's words. What is at fault limits nothing: `check` says so.
    pub fn limit(&self) -> Option<Limit> {
        let Self { place: _, rate, burst } = self;
        let (rate, burst) = (rate.as_ref()?.value, burst.as_ref()?.value);
        (rate >= 0.0 && burst >= 0.0).then(|| Limit::new(rate, burst))
    }

    /// Reads a rate and a burst.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &THROTTLE)?;
        let mut number = |name: &str| {
            let node = object.get(name)?;
            reader.decimal(node, &format!("`{name}`"), -1.0, limits::THROTTLE_MAX)
        };
        let (rate, burst) = (number("rate"), number("burst"));
        object.close();
        Some(Self { place: node.place, rate, burst })
    }
}

impl CachingSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &CACHING)?;
        let enabled = object.get("enabled").and_then(|node| {
            let value = reader.flag(node, "`enabled`")?;
            Some(At { value, place: node.place })
        });
        let ttl = object.get("ttl").and_then(|node| reader.number(node, "`ttl`", 0, limits::CACHE_TTL_SECONDS_MAX));
        let mut flag = |name: &str| object.get(name).and_then(|node| reader.flag(node, &format!("`{name}`")));
        let (encrypted, require_authorization) = (flag("encrypted"), flag("require_authorization"));
        let strategy = object
            .get("unauthorized_strategy")
            .and_then(|node| reader.word(node, "`unauthorized_strategy`", &STRATEGIES, &[]));
        object.close();
        Some(Self {
            place: node.place,
            enabled,
            ttl: ttl.map(|seconds| seconds as u32),
            encrypted,
            require_authorization,
            unauthorized_strategy: strategy.map(|at| at.value),
        })
    }
}

/// The method that a key of `methods` means: `GET /pets` as routes are written, or REST's `/pets/GET`, `pets/GET` and `~1pets/GET`.
/// `Ok(None)` is `*/*`; `Err` says what is wrong, and what to write.
pub fn method_key(key: &str) -> Result<Option<Box<str>>, (String, String)> {
    const HINT: &str = "write \"GET /pets\" for one method, or \"*/*\" for all";
    let wrong = |hint: &str| Err((format!("`{key}` names no method"), hint.to_owned()));
    match key {
        "*/*" => return Ok(None),
        "$default" => return Ok(Some(key.into())),
        "*" | "/*/*" | "* *" | "ANY *" => return wrong("write \"*/*\" for all methods"),
        _ => {}
    }
    let (verb, path) = if let Some((verb, path)) = key.split_once(' ') {
        (verb, path.to_owned())
    } else {
        // A patch path begins with a slash of its own.
        let pointer = if key.starts_with("/~1") { &key[1..] } else { key };
        let unescaped = pointer.replace("~1", "/").replace("~0", "~");
        let Some((path, verb)) = unescaped.rsplit_once('/') else { return wrong(HINT) };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (&*verb.to_owned(), path)
    };
    if path.is_empty() || !path.starts_with('/') {
        return wrong(HINT);
    }
    if verb != "ANY" && Verb::parse(verb.as_bytes()).is_none() {
        let known = Verb::ALL.into_iter().map(Verb::as_str).chain(["ANY"]);
        let near = nearest(verb, known).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        return Err((format!("`{verb}` is not a verb{near}"), HINT.to_owned()));
    }
    Ok(Some(format!("{verb} {path}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_both_worlds_mean_the_same() {
        assert_eq!(method_key("*/*"), Ok(None));
        for (key, method) in [
            ("GET /pets", "GET /pets"),
            ("/pets/GET", "GET /pets"),
            ("pets/GET", "GET /pets"),
            ("~1pets/GET", "GET /pets"),
            ("/~1pets~1{id}/GET", "GET /pets/{id}"),
            ("~1pets~1{id}/ANY", "ANY /pets/{id}"),
            ("/GET", "GET /"),
            ("//GET", "GET /"),
            ("~1/GET", "GET /"),
            ("~0user/GET", "GET /~user"),
            ("$default", "$default"),
        ] {
            assert_eq!(method_key(key).as_ref().map(Option::as_deref), Ok(Some(method)), "{key}");
        }
        for (key, hint) in [("*", "*/*"), ("pets", "GET /pets"), ("GET pets", "GET /pets"), ("/pets/get", "GET /pets")]
        {
            assert!(method_key(key).unwrap_err().1.contains(hint), "{key}");
        }
        assert!(method_key("GTE /pets").unwrap_err().0.contains("did you mean `GET`"));
    }
}
