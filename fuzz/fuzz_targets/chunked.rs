//! Chunked bodies: split invariance, no byte lost or made up, encoding again decodes to itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::chunked(bytes));
