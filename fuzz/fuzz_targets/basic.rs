//! Whatever a client shows as its name and password, and whatever a file of users holds: taking it apart ends, and what is taken has its form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::properties::basic(bytes));
