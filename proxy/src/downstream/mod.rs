//! The clients' side of each protocol.

pub mod http1;
