//! Files of the state directory: whatever the bytes, a refusal, or a state that survives every operation.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::properties::deployments(bytes));
