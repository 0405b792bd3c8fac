//! What may be ordered of deployments, and what comes back: the words between `tollgate deploy` and the gateway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::ReloadReport;

/// Freeze an API as the document has it now, and let a stage or its canary serve that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeployOrder {
    /// The API's id.
    pub api: String,
    /// The stage's name.
    pub stage: String,
    /// Why, for those who read the list later; may be empty.
    #[serde(default)]
    pub note: String,
    /// For the canary, and what that shall be; `None`: for the stage.
    #[serde(default)]
    pub canary: Option<CanaryOrder>,
}

/// What a canary shall be. What is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CanaryOrder {
    /// Its share of the requests, 0 to 100.
    pub percent: Option<f64>,
    /// Variables to set.
    pub variables: BTreeMap<String, String>,
    /// Variables to remove.
    pub without: Vec<String>,
}

/// Let a stage serve an earlier deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOrder {
    /// The API's id.
    pub api: String,
    /// The stage's name.
    pub stage: String,
    /// Which; `None`: the one before.
    #[serde(default)]
    pub id: Option<String>,
}

/// Forget the stages of an API that the document has no more, and old deployments that nothing refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneOrder {
    /// The API's id.
    pub api: String,
}

/// Do something with a stage's canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanaryActionOrder {
    /// The API's id.
    pub api: String,
    /// The stage's name.
    pub stage: String,
    /// What.
    pub action: CanaryAction,
}

/// What may be done with a canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryAction {
    /// Another share, other variables.
    Change(CanaryOrder),
    /// The stage serves what the canary does; the canary stays, without requests.
    Promote,
    /// The canary ends.
    Drop,
    /// The stage forgets the variables that came from canaries.
    Forget,
}

impl CanaryAction {
    /// In one word, for logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Change(_) => "change",
            Self::Promote => "promote",
            Self::Drop => "drop",
            Self::Forget => "forget",
        }
    }
}

/// Whether an order was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It serves.
    Done,
    /// The document or the state of the stage does not allow it. Nothing has changed.
    Refused,
    /// The state directory could not be used. `told` says what is known.
    Failed,
}

/// How an order went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReport {
    /// In one word.
    pub outcome: Outcome,
    /// What was done, or why not and what to do, a line each, for people.
    pub told: Vec<String>,
    /// The deployment that the stage, or its canary, serves by this order.
    pub deployment: Option<String>,
    /// The diagnostics of the document, if they stopped it; otherwise empty.
    pub faults: String,
    /// The reload that followed, if it came to that.
    pub reload: Option<ReloadReport>,
}

/// What comes of asking for an API's deployments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// These.
    List(DeploymentList),
    /// They cannot be listed.
    NotListed(ChangeReport),
}

/// The deployments of an API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentList {
    /// The API's id.
    pub api: String,
    /// Oldest first.
    pub deployments: Vec<DeploymentLine>,
    /// Those of the document, then those that have a deployment and are in the document no more.
    pub stages: Vec<StageLine>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentLine {
    /// Ten letters and digits.
    pub id: String,
    /// SHA-256 of the frozen definition, in hexadecimal.
    pub hash: String,
    /// When, in seconds since 1970.
    pub created: u64,
    /// Why; may be empty.
    pub note: String,
    /// How many methods it has.
    pub methods: usize,
    /// The stages that serve it.
    pub stages: Vec<String>,
    /// The stages whose canary serves it.
    pub canaries: Vec<String>,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageLine {
    /// Its name.
    pub stage: String,
    /// Whether it serves the document itself; `None`: the document has no such stage.
    pub auto_deploy: Option<bool>,
    /// Whether the document says what the canary is.
    pub canary_declared: bool,
    /// The deployment that the state directory names.
    pub deployment: Option<String>,
    /// The way back: the next step last.
    pub previous: Vec<String>,
    /// Variables that came from canaries.
    pub variables: BTreeMap<String, String>,
    /// The canary that the state directory names.
    pub canary: Option<CanaryLine>,
}

/// A canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanaryLine {
    /// The deployment that it serves.
    pub deployment: String,
    /// Its share of the requests, 0 to 100.
    pub percent: f64,
    /// Variables of its own.
    pub variables: BTreeMap<String, String>,
}

impl ChangeReport {
    /// Nothing was done.
    pub fn not_done(outcome: Outcome, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { outcome, told: vec![why.into(), hint.into()], deployment: None, faults: String::new(), reload: None }
    }
}
