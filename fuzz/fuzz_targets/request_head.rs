//! Request heads: split invariance, both readers agree, spans within bounds, rewriting keeps the meaning.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::request_head(bytes));
