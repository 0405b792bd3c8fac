//! The runtime: one thread, one driver, one set of buffers. The only room with `unsafe`.
//!
//! Bottom-up: `buffers` and `timers` are plain data; `driver` is what a socket asks of the kernel, carried out by `ring`
//! (`io_uring`) or `poll` (epoll); `slot` is what is remembered of a socket, `session` its TLS; `net` is one turn of the loop,
//! `secure` what it does for TLS; `executor` runs
//! the tasks; `mapping` is a file that processes share as memory; `sock` holds the handles that the data path knows: `Sock`, `RBuf`, `spawn`, `sleep`.
#![allow(unsafe_code)]
// Results of system calls are checked for their sign before they become counts.
#![allow(clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod activated;
mod buffers;
mod driver;
mod executor;
pub mod limits;
mod mapping;
mod net;
mod poll;
mod ring;
mod runtime;
#[cfg(test)]
mod script;
mod secure;
mod session;
#[cfg(test)]
pub mod sim;
mod slot;
mod sock;
#[cfg(test)]
mod tests_loopback;
#[cfg(test)]
mod tests_script;
mod timers;

pub use activated::activated;
pub use buffers::{Group, RBuf, fill, is_scarce, recycle, vector, views_alive};
pub use driver::DriverCounts;
pub use executor::{panics, spawn, spawn_with, tasks_alive};
pub use mapping::Mapping;
pub use net::{Why, driver_counts, expire_parked, now, seed, set_sockets_max, since, sockets_alive, wall_clock};
pub use ring::probe;
pub use runtime::{DriverChoice, DriverKind, pick, run};
pub use session::{Protection, Session};
pub use slot::Outgoing;
pub use sock::{
    Elapsed, Event, IdleSock, Listener, Parked, Receiver, Sender, Sleep, Sock, Speaker, bequeath, channel, is_shortage,
    next_event, sleep, timeout,
};
