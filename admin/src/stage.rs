//! How far a desk is on its way out, as its doors hear of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// How far a desk is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Stage {
    Open,
    /// Another process stands at the doors: nobody new is let in, answers under way are finished.
    HandedOver,
    Stopped,
}

/// What waits for the desk's end.
pub(crate) type Stop = watch::Receiver<Stage>;

/// Counts a door as open until it is dropped.
pub(crate) struct OpenDoor(Arc<AtomicUsize>);

impl OpenDoor {
    /// One more.
    pub(crate) fn new(doors: &Arc<AtomicUsize>) -> OpenDoor {
        doors.fetch_add(1, Ordering::AcqRel);
        OpenDoor(doors.clone())
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
