//! Stored routes: whatever the bytes, a fault or routes whose lookups end and stay in bounds. What follows the routes is the path.
#![no_main]

use router::{Routes, properties};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((routes, path)) = postcard::take_from_bytes::<Routes>(bytes) {
        properties::routes(&routes, path);
    }
});
