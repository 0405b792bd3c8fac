//! Signatures of AWS: whatever a request is made of, it is signed and verified in one form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::sigv4(bytes));
