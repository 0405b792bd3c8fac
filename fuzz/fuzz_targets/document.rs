//! Documents: whatever the bytes, a snapshot or faults with places, and nothing that steers a terminal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::properties::document(bytes));
