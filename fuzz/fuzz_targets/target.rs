//! Targets: canonical paths are canonical, decoding never lengthens, query pairs are pieces of the query.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::target(bytes));
