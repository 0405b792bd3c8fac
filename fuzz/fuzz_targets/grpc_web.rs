//! gRPC-Web: texts read the same in pieces, what is written is read, and trailers are one frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::properties::grpc_web(bytes));
