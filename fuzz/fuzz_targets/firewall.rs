//! The firewall: whatever a request is made of, rules together say what each of them says alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::firewall(bytes));
