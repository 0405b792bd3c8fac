//! The received bytes of a message's head: what its spans point into.

use std::ops::Deref;

use crate::io::{RBuf, recycle};

/// The received bytes of a head: a view where it came in one piece, a copy where it did not.
pub enum HeadBytes {
    /// In the receive buffer.
    View(RBuf),
    /// Put together from several.
    Joined(Vec<u8>),
}

impl Deref for HeadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            HeadBytes::View(bytes) => bytes,
            HeadBytes::Joined(bytes) => bytes,
        }
    }
}

impl Drop for HeadBytes {
    fn drop(&mut self) {
        if let HeadBytes::Joined(bytes) = self {
            recycle(std::mem::take(bytes));
        }
    }
}
