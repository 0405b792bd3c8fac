//! What black-box tests are made of: the real binary ([`Gateway`]), a backend that does as it is told ([`Backend`]), and a
//! client that sends bytes ([`Client`]). Nothing here sleeps, and every port is the kernel's choice.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

pub mod backend;
pub mod client;
pub mod gateway;
pub mod list;
pub mod message;
pub mod oddities;
pub mod queue;
pub mod stage;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use backend::{Backend, Reply};
pub use client::Client;
pub use gateway::{Driver, Gateway};
pub use message::{Request, Response};
pub use stage::{Stage, Theatre};

/// The bound of every wait: whoever reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

static PROBE: OnceLock<Result<String, String>> = OnceLock::new();

/// Runs the body once for each driver, side by side; `io_uring` is left out, with its reason, where the kernel lacks it.
pub fn on_both_drivers(body: impl Fn(Driver) + Sync) {
    std::thread::scope(|scope| {
        // On a thread of its own: a ring that is torn down interrupts the waits of the thread that made it.
        let probe = || std::thread::spawn(proxy::io::probe).join().expect("a probe cannot fail");
        let ring = match PROBE.get_or_init(probe) {
            Ok(_) => Some(scope.spawn(|| body(Driver::Uring))),
            Err(why) => {
                println!("io_uring is left out: {why}");
                None
            }
        };
        body(Driver::Epoll);
        if let Some(Err(panic)) = ring.map(std::thread::ScopedJoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Asks again until the answer is yes; fails after [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(50);
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Bytes as they can be read in a failed assertion.
pub fn shown(bytes: &[u8]) -> String {
    let most = 4_000;
    let text = bytes[..bytes.len().min(most)].escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n");
    if bytes.len() > most { format!("{text} … {} bytes in all", bytes.len()) } else { text }
}

/// The offset of a sequence of bytes.
pub fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes.windows(sought.len()).position(|window| window == sought)
}
