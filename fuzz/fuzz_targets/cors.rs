//! CORS lists: what browsers are told is whole lines, and only origins that the slow twin of the matching lets in are named.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::cors(bytes));
