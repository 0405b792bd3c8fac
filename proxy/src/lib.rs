//! The running gateway: workers, the request's way, and what the binary `tollgate` is made of.

mod background;
mod bell;
mod body;
mod connection;
pub mod demo;
mod deploy;
mod doors;
mod downstream;
mod entry;
mod exchange;
mod head_bytes;
mod integration;
pub mod io;
mod limits;
mod listener;
pub mod observe;
mod pace;
mod record;
pub mod reload;
mod request;
mod scratch;
mod state;
pub mod supervisor;
mod trip;
mod upstream;
mod watch;
mod worker;
