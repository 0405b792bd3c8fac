//! The part `usage_plans`: what holders of API keys may do, and how often (KP-05, KP-06).

use policy::quota::Period;

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::settings::{THROTTLE, ThrottleSpec, method_key};
use crate::model::values::At;
use crate::source::node::{Entry, Node, Text, Value};

/// One plan, as written.
#[derive(Debug, Clone)]
pub struct PlanSpec {
    /// Its name.
    pub name: Text,
    /// The stages that its keys may call.
    pub stages: Vec<PlanStageSpec>,
    /// Requests per second of each key.
    pub throttle: Option<ThrottleSpec>,
    /// Requests of each key in a day, a week or a month.
    pub quota: Option<QuotaSpec>,
    /// For readers.
    pub description: Option<Text>,
}

/// A stage of a plan, as written.
#[derive(Debug, Clone)]
pub struct PlanStageSpec {
    /// `api/stage`.
    pub target: Text,
    /// Requests per second of each key for single methods.
    pub methods: Vec<PlanMethodSpec>,
}

/// A method of a plan's stage that has a throttle of its own, as written.
#[derive(Debug, Clone)]
pub struct PlanMethodSpec {
    /// As written.
    pub key: Text,
    /// `GET /pets/{id}`, whatever the spelling.
    pub method: Box<str>,
    /// Requests per second.
    pub throttle: ThrottleSpec,
}

/// A quota, as written.
#[derive(Debug, Clone)]
pub struct QuotaSpec {
    /// Where it begins.
    pub place: Place,
    /// Requests; `None`: unreadable, which is a fault already.
    pub limit: Option<At<u64>>,
    /// In what time; `None` likewise.
    pub period: Option<At<Period>>,
    /// Requests that are missing from the first period.
    pub offset: Option<At<u64>>,
}

/// The fields of a plan.
pub const PLAN: Table = Table {
    name: "a usage plan",
    fields: &[
        Field::new(
            "stages",
            Type::Objects(&PLAN_STAGE),
            "what its keys may call: api/stage, alone or with throttles of single methods",
        )
        .short(Type::TextList),
        Field::new("throttle", Type::Object(&THROTTLE), "requests per second of each key"),
        Field::new("quota", Type::Object(&QUOTA), "requests of each key in a day, a week or a month"),
        Field::new("description", Type::Text, "for readers"),
    ],
};

/// The fields of a plan's stage.
pub const PLAN_STAGE: Table = Table {
    name: "a stage of a usage plan",
    fields: &[Field::new(
        "throttle",
        Type::Objects(&THROTTLE),
        "requests per second of each key for single methods: \"GET /pets\"",
    )],
};

/// The fields of `quota`.
pub const QUOTA: Table = Table {
    name: "`quota`",
    fields: &[
        Field::new("limit", Type::Number, "how many requests").needed(),
        Field::new("period", Type::Word(&["day", "week", "month"]), "in what time; it begins at 00:00 UTC").needed(),
        Field::new("offset", Type::Number, "requests that are missing from the limit in a key's first period"),
    ],
};

impl PlanSpec {
    /// Reads one plan.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut spec = Self { name: name.clone(), stages: Vec::new(), throttle: None, quota: None, description: None };
        let Some(object) = reader.object(node, &PLAN) else {
            // The name stands, so that what leads to it does not fail a second time.
            return Some(spec);
        };
        spec.stages = object.get("stages").map(|node| stages(node, reader)).unwrap_or_default();
        spec.throttle = object.get("throttle").and_then(|node| ThrottleSpec::read(node, reader));
        spec.quota = object.get("quota").and_then(|node| QuotaSpec::read(node, reader));
        spec.description = object.get("description").and_then(|node| reader.text(node, "`description`"));
        object.close();
        Some(spec)
    }
}

fn stages(node: &Node, reader: &mut Reader<'_>) -> Vec<PlanStageSpec> {
    if matches!(node.value, Value::Map(_)) {
        return reader.each(Some(node), "`stages`", PlanStageSpec::read);
    }
    let texts = reader.list(node).iter().filter_map(|node| reader.text(node, "a stage"));
    texts.map(|target| PlanStageSpec { target, methods: Vec::new() }).collect()
}

impl PlanStageSpec {
    fn read(target: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &PLAN_STAGE)?;
        let throttles = object.get("throttle").map(|node| reader.entries(node, "`throttle`").unwrap_or_default());
        let mut methods = Vec::new();
        for Entry { key, value } in throttles.unwrap_or_default() {
            let throttle = ThrottleSpec::read(value, reader);
            match method_key(&key.text) {
                Ok(Some(method)) => {
                    methods.extend(throttle.map(|throttle| PlanMethodSpec { key: key.clone(), method, throttle }));
                }
                Ok(None) => {
                    let hint = "the plan's own `throttle` is for all methods; name one here, such as \"GET /pets\"";
                    reader.faults.error_hint(key.place, format!("`{}` names no single method", key.text), hint);
                }
                Err((what, hint)) => reader.faults.error_hint(key.place, what, hint),
            }
        }
        object.close();
        Some(Self { target: target.clone(), methods })
    }
}

impl QuotaSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        const HINT: &str = "write `quota: {limit: 1000, period: day}`";
        let object = reader.object(node, &QUOTA)?;
        let mut number = |name: &str, least: u64| {
            let node = object.get(name)?;
            let value = reader.number(node, &format!("`{name}`"), least, limits::QUOTA_MAX)?;
            Some(At { value, place: node.place })
        };
        let (limit, offset) = (number("limit", 1), number("offset", 0));
        let words = [("day", Period::Day), ("week", Period::Week), ("month", Period::Month)];
        let period = object.get("period").and_then(|node| reader.word(node, "`period`", &words, &[]));
        for field in ["limit", "period"] {
            if object.lacks(field) {
                reader.faults.error_hint(object.place, format!("a quota needs `{field}`"), HINT);
            }
        }
        object.close();
        Some(Self { place: node.place, limit, period, offset })
    }
}
