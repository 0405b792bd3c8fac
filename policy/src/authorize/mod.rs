//! Who may call: what authorizers are asked, what their answers mean, and what a token, a password or a certificate proves. Keys and time
//! are passed in.

pub mod basic;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod lambda;
pub mod mtls;
pub mod sigv4;
mod strict;
pub mod token_source;
