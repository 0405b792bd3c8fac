//! Descriptors that the service manager passed at the start: numbers in the environment, taken over once.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// What `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` say is ours, with the names (`sd_listen_fds(3)`). They are closed when
/// a program is started from here. A second call gets nothing.
pub fn activated() -> std::io::Result<Vec<(OwnedFd, String)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    // It has asked each descriptor for its flags: all of them are open.
    let passed = sd_notify::listen_fds_with_names()?;
    // SAFETY: what is passed at the start is known by its number only. Sound: the environment says that these are meant for
    // this process, they are open, and nobody else takes them: this is done once, before anything reads the environment.
    Ok(passed.map(|(fd, name)| (unsafe { OwnedFd::from_raw_fd(fd) }, name)).collect())
}
