//! Policies: reading one ends, and the engine says of a request what its slow twin says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::policy_document(bytes));
