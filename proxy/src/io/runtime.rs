//! Which driver, and the loop of a shard.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::driver::Driver;
use super::executor::{self, Remote};
use super::limits::POLLS_PER_TURN_MAX;
use super::net;
use super::poll::Poll;
use super::ring::{self, Ring};

/// What the operator asked for (`--io-driver`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// `io_uring` where it can be had, else epoll.
    #[default]
    Auto,
    /// `io_uring` or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// What the workers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// The `io_uring` driver.
    Uring,
    /// The epoll driver.
    Epoll,
}

impl DriverKind {
    /// `io_uring` or `epoll`, as in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Uring => "io_uring",
            DriverKind::Epoll => "epoll",
        }
    }
}

/// Decides the driver: the kind, and its features or the reason why it is not `io_uring`. `Err` when `io_uring` was demanded
/// and cannot be had.
pub fn pick(choice: DriverChoice) -> Result<(DriverKind, String), String> {
    match (choice, ring::probe()) {
        (DriverChoice::Epoll, _) => Ok((DriverKind::Epoll, "asked for with --io-driver=epoll".into())),
        (_, Ok(features)) => Ok((DriverKind::Uring, features)),
        (DriverChoice::Auto, Err(why)) => Ok((DriverKind::Epoll, why)),
        (DriverChoice::Uring, Err(why)) => Err(why),
    }
}

/// Makes this thread a shard, runs `main` and all that it spawns until `main` ends, and takes everything down again.
pub fn run(kind: DriverKind, main: impl Future<Output = ()> + 'static) -> io::Result<()> {
    let driver = match kind {
        DriverKind::Uring => Driver::Uring(Box::new(Ring::new()?)),
        DriverKind::Epoll => Driver::Epoll(Box::new(Poll::new()?)),
    };
    run_on(driver, main)
}

pub(super) fn run_on(driver: Driver, main: impl Future<Output = ()> + 'static) -> io::Result<()> {
    assert!(executor::shard_number() == 0, "a thread is one shard at a time");
    let remote = Remote::register()?;
    net::install(driver, remote);
    let _shard = ShardGuard;
    let ended = Rc::new(Ended(Cell::new(false)));
    let guard = EndGuard(ended.clone());
    executor::spawn(async move {
        // Dropped also when `main` panics: a shard without its main task is over.
        let _guard = guard;
        main.await;
    });
    let mut outcome = Ok(());
    while !ended.0.get() && outcome.is_ok() {
        let busy = executor::run_ready(POLLS_PER_TURN_MAX);
        if ended.0.get() {
            break;
        }
        outcome = net::with(|net| net.turn(busy));
    }
    outcome
}

/// Takes the shard down, also when the loop itself panics: the kernel must give back what it holds before memory is freed.
struct ShardGuard;

impl Drop for ShardGuard {
    fn drop(&mut self) {
        let down = || {
            executor::drop_all_and(Remote::unregister);
            net::uninstall();
        };
        // A second panic here must not end the process; what it left behind is leaked, not freed.
        if std::thread::panicking() {
            let _ = catch_unwind(AssertUnwindSafe(down));
        } else {
            down();
        }
    }
}

struct Ended(Cell<bool>);

struct EndGuard(Rc<Ended>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.0.set(true);
    }
}
