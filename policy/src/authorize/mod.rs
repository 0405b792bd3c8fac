//! Who may call: what authorizers are asked, and what their answers mean.

pub mod lambda;
pub mod sigv4;
