//! PROXY headers: the same as the slow twin, no sooner and no other in pieces, and told on as they were read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::proxy_header(bytes));
