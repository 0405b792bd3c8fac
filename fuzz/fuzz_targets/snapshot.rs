//! Compiled snapshots: whatever the body says, it is refused or holds together.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::properties::snapshot_body(bytes));
