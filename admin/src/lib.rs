//! The desk: what an operator, a probe or a scraper may ask of the running gateway.
//!
//! Nothing here is on a request's way. One thread named `desk` runs a small runtime with two doors:
//!
//! - **admin** (TCP): `GET` of `/healthz`, `/readyz`, `/status` and `/metrics`. It only reads, and takes no
//!   commands: whoever reaches the port can change nothing.
//! - **control** ([`control`], a Unix socket): commands, for the owner of the process and for root alone.
//!
//! The gateway hands in a [`Desk`] of plain functions; this crate knows no worker, no snapshot and no metric by name.

pub mod control;
mod desk;
mod http;
pub mod limits;
pub mod orders;
mod report;
mod running;
mod seldom;
mod stage;
mod upgrade;

pub use desk::Desk;
pub use report::{Failure, ReloadReport, Timing};
pub use running::{Closer, Running, start};
pub use seldom::Seldom;
pub use upgrade::{UpgradeFailure, UpgradeOrder, UpgradeReport};
