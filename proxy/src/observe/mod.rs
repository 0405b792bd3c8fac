//! What the gateway tells about itself: counters for scrapers, lines for the access log.
//!
//! Workers only add to memory of their own; formatting, locks and files belong to the desk's and the writer's threads.

pub mod access_log;
pub mod limits;
pub mod line;
pub mod metrics;
pub mod process;
pub mod render;
pub mod writer;
