//! Authorizers: whatever one answers is read in peace, and whatever a client sends is told to one as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::authorizer_answer(bytes));
