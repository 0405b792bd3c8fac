//! What a reload came to, for people and programs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a reload went. In JSON, `took` is the field `took_us`, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Whether the new configuration serves, on every worker.
    pub ok: bool,
    /// The number of the snapshot that serves after the reload.
    pub generation: u64,
    /// Why it is not ok. With any but [`Failure::SlowWorker`] nothing has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// From the start of the reload to the last worker's swap, or to the failure.
    #[serde(rename = "took_us", with = "microseconds")]
    pub took: Duration,
    /// What of it each part took, in their order; those that did not come to their end are missing.
    #[serde(default)]
    pub parts: Vec<Timing>,
    /// What changed, a line each, for people.
    pub changes: Vec<String>,
    /// The diagnostics as rendered text: errors, or the warnings of a reload that went well. Empty if there were none.
    pub faults: String,
    /// How many warnings the documents have.
    #[serde(default)]
    pub warnings: usize,
}

/// Why a reload came to nothing, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The documents have errors.
    Document,
    /// An address or a file cannot be had.
    Resource,
    /// The gateway is about to leave.
    Leaving,
    /// The new configuration serves, but a worker is late.
    SlowWorker,
}

/// How long a part of a reload took. In JSON, `took` is the field `took_us`, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// `read`, `compile`, `listen`, `swap`.
    pub part: String,
    /// How long.
    #[serde(rename = "took_us", with = "microseconds")]
    pub took: Duration,
}

pub(crate) mod microseconds {
    //! A duration as a whole number of microseconds.
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_json() {
        let report = ReloadReport {
            ok: false,
            generation: 7,
            failure: Some(Failure::Document),
            took: Duration::from_micros(1_234_567),
            parts: vec![Timing { part: "read".into(), took: Duration::from_micros(7) }],
            changes: vec!["api petstore: 2 methods added".into()],
            faults: "gateway.yaml:3:5: error: unknown field".into(),
            warnings: 2,
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["took_us"], 1_234_567);
        assert_eq!((&json["failure"], &json["parts"][0]["took_us"]), (&"document".into(), &7.into()));
        assert_eq!(serde_json::from_value::<ReloadReport>(json).unwrap(), report);
    }
}
