//! The running gateway: workers, the request's way, and what the binary `tollgate` is made of.

mod background;
mod body;
mod connection;
pub mod demo;
mod downstream;
mod exchange;
mod integration;
pub mod io;
mod limits;
mod listener;
pub mod observe;
mod record;
pub mod reload;
mod request;
mod state;
pub mod supervisor;
mod trip;
mod upstream;
mod worker;
