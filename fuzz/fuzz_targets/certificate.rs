//! Certificates, lists of revoked ones and names: read as webpki reads them, told in texts that can be shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::properties::certificate(bytes));
