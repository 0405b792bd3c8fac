//! Shaping what passes: header fields on both sides, the upstream's request target, parameter mappings, and mock answers.

pub mod constant;
pub mod headers;
pub mod json_path;
pub mod parameters;
pub mod refusal_text;
pub mod template;
pub mod uri;
pub mod variable;
