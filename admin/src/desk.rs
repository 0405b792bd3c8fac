//! What the gateway lends to the desk: plain functions.

use std::fmt;

use crate::orders::{CanaryActionOrder, ChangeReport, DeployOrder, Listing, PruneOrder, RollbackOrder};
use crate::report::ReloadReport;
use crate::upgrade::{UpgradeOrder, UpgradeReport};

/// The functions that the gateway hands to the desk. All are called on the desk's own threads, never on a worker.
pub struct Desk {
    /// The state of the gateway, for `/status` and the `status` command. Quick: it answers on the desk's only thread.
    pub status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// The metrics in Prometheus text format 0.0.4, for `/metrics`. Quick, as `status`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Whether new requests are welcome, for `/readyz`. Quick, as `status`.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// Reloads the configuration and says how it went. May block for long: it runs on a thread of its own, and never twice at
    /// the same time from here.
    pub reload: Box<dyn Fn() -> ReloadReport + Send + Sync>,
    /// Freezes an API and lets a stage or its canary serve it. As `reload`, also in its manners.
    pub deploy: Box<dyn Fn(&DeployOrder) -> ChangeReport + Send + Sync>,
    /// Lets a stage serve an earlier deployment. As `reload`.
    pub rollback: Box<dyn Fn(&RollbackOrder) -> ChangeReport + Send + Sync>,
    /// Changes a stage's canary. As `reload`.
    pub canary: Box<dyn Fn(&CanaryActionOrder) -> ChangeReport + Send + Sync>,
    /// Forgets stages and deployments that are of no use any more. As `reload`.
    pub prune: Box<dyn Fn(&PruneOrder) -> ChangeReport + Send + Sync>,
    /// Lists an API's deployments. As `reload`, since it reads files.
    pub deployments: Box<dyn Fn(&str) -> Listing + Send + Sync>,
    /// Lets another executable take over. May block for long: it runs on a thread of its own, and says no by itself to whoever
    /// asks a second time meanwhile.
    pub upgrade: Box<dyn Fn(&UpgradeOrder) -> UpgradeReport + Send + Sync>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}
