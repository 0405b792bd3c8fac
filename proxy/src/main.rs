//! The binary `tollgate`.

use std::process::ExitCode;

use proxy::io::DriverChoice;
use proxy::reload::Source;
use proxy::supervisor::{self, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let io_driver = match words.iter().find_map(|word| word.strip_prefix("--io-driver=")) {
        Some("uring") => DriverChoice::Uring,
        Some("epoll") => DriverChoice::Epoll,
        _ => DriverChoice::Auto,
    };
    let source = match (words.first().map(String::as_str), words.get(1)) {
        (Some("run"), Some(path)) => Source::File(path.into()),
        _ => proxy::demo::source().expect("a free port on loopback"),
    };
    supervisor::run(Options { source, io_driver, workers: None, on_ready: Box::new(|_| ()) })
}
