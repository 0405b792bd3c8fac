//! The three kinds of API; they differ in matching rules, error bodies and events.

use serde::{Deserialize, Serialize};

/// The kind of an API: it chooses the matching rules here, and the error bodies elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// REST API: one trailing slash is ignored, the stage stands in the path (RT-05 to RT-08).
    Rest,
    /// HTTP API: every byte counts, greedy routes come after full matches, `$default` last (RT-11 to RT-14).
    Http,
    /// WebSocket API: only the upgrade is routed by path; stages are found as for REST, paths are matched as for HTTP.
    WebSocket,
}
