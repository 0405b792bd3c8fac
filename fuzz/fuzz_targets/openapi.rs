//! OpenAPI documents: whatever the bytes, a definition or faults with places, and never more work than the limits allow.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::properties::openapi(bytes));
