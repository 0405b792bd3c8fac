//! Response heads: split invariance, both readers agree, framing is what the fields say.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::response_head(bytes));
