//! What may be ordered of an upgrade, and what comes back: the words between `tollgate upgrade` and the gateway.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Let another executable take over, without losing a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeOrder {
    /// Which; `None`: the name under which the running one was started.
    #[serde(default)]
    pub binary: Option<PathBuf>,
    /// Seconds that it has until it is ready; `None`: [`limits::UPGRADE_TIME`](crate::limits::UPGRADE_TIME).
    #[serde(default)]
    pub seconds: Option<u64>,
}

impl UpgradeOrder {
    /// How long it may take until the other process is ready.
    pub fn time(&self) -> Duration {
        self.seconds.map_or(limits::UPGRADE_TIME, |seconds| Duration::from_secs(seconds).min(limits::UPGRADE_TIME_MAX))
    }
}

/// How an upgrade went. In JSON, `took` is the field `took_us`, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeReport {
    /// Whether another process serves from now on.
    pub ok: bool,
    /// The process that serves.
    pub pid: u32,
    /// Its version, if it is another process.
    #[serde(default)]
    pub version: String,
    /// From the order to the other process's first connection, or to the failure.
    #[serde(rename = "took_us", with = "crate::report::microseconds")]
    pub took: Duration,
    /// Why it is not ok: then the process that was asked goes on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<UpgradeFailure>,
    /// The same for people: a sentence, and the diagnostics of the configuration if they are the reason.
    #[serde(default)]
    pub why: String,
}

/// Why an upgrade came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeFailure {
    /// Another upgrade is under way, or failed a moment ago.
    Busy,
    /// The gateway is about to leave.
    Leaving,
    /// The executable cannot be run, ended or misbehaved.
    Program,
    /// It found errors in the configuration.
    Document,
    /// It could not have something that it needs.
    Resource,
    /// It was not ready in time, and was ended.
    TimedOut,
}
