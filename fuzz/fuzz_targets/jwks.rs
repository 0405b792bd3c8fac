//! Trusted jwks: whatever a client sends, the hop behind it is believed; and what is believed has its form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::jwks(bytes));
