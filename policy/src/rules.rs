//! What a method carries besides its integration: one field for each policy, filled when the configuration is compiled.

use serde::{Deserialize, Serialize};

/// The compiled policies of one method. A policy that the document does not name costs one test of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Who may call.
    pub authorize: Authorize,
    /// Whether only callers with an API key may (KP-04).
    pub api_key_required: bool,
}

/// Who may call a method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorize {
    /// Anybody.
    #[default]
    Open,
    /// Nobody: its authorizer is not defined, or cannot be used. API Gateway answers so when an authorizer is broken.
    Closed,
    /// Whom this authorizer of the program lets pass.
    By {
        /// Index in the program's authorizers.
        authorizer: u16,
        /// The token must hold one of them, if there is any.
        scopes: Box<[Box<str>]>,
    },
}
