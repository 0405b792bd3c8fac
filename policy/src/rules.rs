//! What a method carries besides its integration: one optional field for each policy, filled when the
//! configuration is compiled.

use serde::{Deserialize, Serialize};

/// The compiled policies of one method. A policy that the document does not name is absent and costs one
/// test of a field. This version has no policy yet; each one to come adds its field and its compile line here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {}
