//! Who may call an API, by policies.

use policy::iam::Policy;
use serde::{Deserialize, Serialize};

use super::Line;

/// A resource policy, compiled (POL-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// What it says.
    pub policy: Policy,
    /// Where it was written.
    pub line: Line,
}
