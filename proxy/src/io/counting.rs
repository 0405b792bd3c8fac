//! An allocator that counts. No part of the gateway: `tests/allocations.rs` alone includes this file, which lies here because an allocator is
//! `unsafe` by its trait, and this is the room for that.
//!
//! Only threads whose name begins with [`WATCHED`] are counted, and only between [`begin`] and [`end`].
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How the names of the threads begin that are counted.
pub const WATCHED: &str = "worker-";

/// Requests for memory whose places are kept, so that who asked can be said.
const PLACES_MAX: u64 = 48;

static IS_ON: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static PLACES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// What counting itself allocates is not counted.
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator.
pub struct Counting;

// SAFETY: the trait is unsafe to implement. Sound: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: as the trait has it. Sound: the caller's promises are handed on.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count("alloc", layout.size());
        // SAFETY: an allocator that only counts has to call another. Sound: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: as the trait has it. Sound: the caller's promises are handed on.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count("alloc_zeroed", layout.size());
        // SAFETY: an allocator that only counts has to call another. Sound: the caller's promises are handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: as the trait has it. Sound: the caller's promises are handed on.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count("realloc", size);
        // SAFETY: an allocator that only counts has to call another. Sound: the caller's promises are handed on.
        unsafe { System.realloc(block, layout, size) }
    }

    // SAFETY: as the trait has it. Sound: the caller's promises are handed on.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: an allocator that only counts has to call another. Sound: the caller's promises are handed on.
        unsafe { System.dealloc(block, layout) }
    }
}

fn count(call: &str, bytes: usize) {
    if !IS_ON.load(SeqCst) || IS_BUSY.replace(true) {
        return;
    }
    if thread::current().name().is_some_and(|name| name.starts_with(WATCHED)) {
        let before = COUNT.fetch_add(1, SeqCst);
        if before < PLACES_MAX {
            let place = format!("{call} of {bytes} bytes:\n{}", Backtrace::force_capture());
            *PLACES.lock().unwrap_or_else(PoisonError::into_inner).entry(place).or_default() += 1;
        }
    }
    IS_BUSY.set(false);
}

/// Counts from now on.
pub fn begin() {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner).clear();
    COUNT.store(0, SeqCst);
    IS_ON.store(true, SeqCst);
}

/// How many times memory was asked for since, and the places of the first.
pub fn end() -> (u64, String) {
    IS_ON.store(false, SeqCst);
    let places = std::mem::take(&mut *PLACES.lock().unwrap_or_else(PoisonError::into_inner));
    let told: Vec<String> = places.iter().map(|(place, times)| format!("{times} times {place}\n")).collect();
    (COUNT.load(SeqCst), told.concat())
}
