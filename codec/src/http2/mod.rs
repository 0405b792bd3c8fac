//! HTTP/2 (RFC 9113) as far as it is ours to judge: requests that came as fields. The frames themselves are a library's.

pub mod head;
