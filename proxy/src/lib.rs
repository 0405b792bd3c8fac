//! The running gateway: workers, the request's way, and what the binary `tollgate` is made of.

pub mod io;
pub mod observe;
