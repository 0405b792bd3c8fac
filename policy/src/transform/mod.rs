//! Shaping what passes: header fields on both sides, the upstream's request target, and mock answers.

mod escape;
pub mod headers;
pub mod template;
pub mod uri;
