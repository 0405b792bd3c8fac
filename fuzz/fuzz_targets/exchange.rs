//! Whole conversations: the codec reads the requests, bodies and end that its slow twin reads, however they are split.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::exchange(bytes));
