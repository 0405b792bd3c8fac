//! Handshakes of WebSocket: an answer that agrees names nothing that was not offered.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::websocket(bytes));
