//! What a method carries besides its integration: one field for each policy, filled when the configuration is compiled.

use serde::{Deserialize, Serialize};

use crate::throttle::Limit;

/// The compiled policies of one method. A policy that the document does not name costs one test of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Who may call.
    pub authorize: Authorize,
    /// Where the API key stands without which nobody may call (KP-03, KP-04); `None`: no key is asked for.
    pub api_key: Option<KeyFrom>,
    /// Requests per second in each stage, where its route says so (TH-05).
    pub throttle: Option<Limit>,
    /// Requests at work at once in each stage, likewise.
    pub concurrency: Option<u32>,
    /// Where its route begins.
    pub line: Line,
}

/// A line of gateway.yaml, for people; 0: another document says it. What only moved is the same: it shows no difference.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line(pub u32);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

/// Who may call a method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorize {
    /// Anybody.
    #[default]
    Open,
    /// Nobody: its authorizer is not defined, or cannot be used. API Gateway answers so when an authorizer is broken.
    Closed,
    /// Who signs, if the policies of both let it.
    SigV4,
    /// Whom this authorizer of the program lets pass.
    By {
        /// Index in the program's authorizers.
        authorizer: u16,
        /// The token must hold one of them, if there is any.
        scopes: Box<[Box<str>]>,
    },
}

/// Where a caller's API key stands (KP-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyFrom {
    /// In `X-API-Key`.
    Header,
    /// In what the authorizer says: its `usageIdentifierKey`.
    Authorizer,
}
