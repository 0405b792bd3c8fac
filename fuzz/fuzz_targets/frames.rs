//! Heads of HTTP/2 frames: split invariance, and the same verdict as the slow twin.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::frames(bytes));
