//! HTTP/2 (RFC 9113) as far as it is ours to judge: requests that came as fields, and how many frames of which kind a peer may
//! send. What is in the frames is a library's to read.

pub mod frames;
pub mod head;
