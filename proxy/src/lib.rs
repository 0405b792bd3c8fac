//! The running gateway: workers, the request's way, and what the binary `tollgate` is made of.

mod background;
mod bell;
mod body;
mod connection;
pub mod demo;
mod deploy;
mod doors;
mod downstream;
mod drill;
mod entry;
mod exchange;
mod handover;
mod head_bytes;
mod inherit;
mod integration;
pub mod io;
mod limits;
mod listener;
pub mod observe;
mod pace;
mod panics;
mod record;
pub mod reload;
mod request;
mod scratch;
mod service;
#[cfg(test)]
mod sim;
mod state;
pub mod supervisor;
mod trip;
mod upgrade;
mod upstream;
mod watch;
mod worker;
