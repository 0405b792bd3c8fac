//! What a client is told of the limits that it met: the fields of draft-ietf-httpapi-ratelimit-headers-10, and `Retry-After`.
//!
//! A policy is a bucket: `q` requests at once, and `w` the seconds in which that many come anew. `r` is what is left of it, and `t`
//! the seconds until there is more.

use codec::http1::write;

use super::{Limit, Wait};

/// What is told of one limit.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The policy's name: letters, digits, `-` and `_`.
    pub name: &'a str,
    /// What may pass.
    pub limit: Limit,
    /// What is left of it.
    pub left: u32,
}

/// The fields of a request that this limit refused.
pub fn write_refused(told: Told<'_>, wait: Wait, out: &mut Vec<u8>) {
    policy(told, out);
    begin(b"RateLimit: ", told.name, out);
    number(b";r=", 0, out);
    if let Some(seconds) = wait.seconds() {
        number(b";t=", seconds, out);
        out.extend_from_slice(b"\r\n");
        write::field(out, b"Retry-After", itoa::Buffer::new().format(seconds).as_bytes());
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

/// The fields of a request that passed, of the limit that has the least left.
pub fn write_passed(told: Told<'_>, out: &mut Vec<u8>) {
    policy(told, out);
    begin(b"RateLimit: ", told.name, out);
    number(b";r=", told.left.into(), out);
    out.extend_from_slice(b"\r\n");
}

/// The fields of a request that came while so many were at work as may be.
pub fn write_concurrency(name: &str, most: u32, out: &mut Vec<u8>) {
    begin(b"RateLimit-Policy: ", name, out);
    number(b";q=", most.into(), out);
    out.extend_from_slice(b";qu=\"concurrent-requests\"\r\n");
    begin(b"RateLimit: ", name, out);
    out.extend_from_slice(b";r=0\r\n");
}

fn policy(told: Told<'_>, out: &mut Vec<u8>) {
    begin(b"RateLimit-Policy: ", told.name, out);
    number(b";q=", told.limit.burst.into(), out);
    if let Some(seconds) = told.limit.seconds_to_fill() {
        number(b";w=", seconds, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn begin(field: &[u8], name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(field);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

fn number(parameter: &[u8], value: u64, out: &mut Vec<u8>) {
    /// The largest integer of a structured field (RFC 9651 §3.3.1).
    const LARGEST: u64 = 999_999_999_999_999;
    out.extend_from_slice(parameter);
    out.extend_from_slice(itoa::Buffer::new().format(value.min(LARGEST)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_fields_are_those_of_the_draft() {
        let told = Told { name: "stage", limit: Limit::new(10.0, 25.0), left: 7 };
        assert_eq!(
            text(|out| write_refused(told, Wait(1_500_000_000), out)),
            "RateLimit-Policy: \"stage\";q=25;w=3\r\nRateLimit: \"stage\";r=0;t=2\r\nRetry-After: 2\r\n"
        );
        assert_eq!(
            text(|out| write_passed(told, out)),
            "RateLimit-Policy: \"stage\";q=25;w=3\r\nRateLimit: \"stage\";r=7\r\n"
        );
        let closed = Told { limit: Limit::new(0.0, 25.0), ..told };
        assert_eq!(
            text(|out| write_refused(closed, Wait::NEVER, out)),
            "RateLimit-Policy: \"stage\";q=25\r\nRateLimit: \"stage\";r=0\r\n"
        );
        assert_eq!(
            text(|out| write_concurrency("stage-concurrency", 3, out)),
            "RateLimit-Policy: \"stage-concurrency\";q=3;qu=\"concurrent-requests\"\r\nRateLimit: \"stage-concurrency\";r=0\r\n"
        );
    }

    #[test]
    fn no_number_is_larger_than_the_field_may_hold() {
        let told = Told { name: "a", limit: Limit { rate_micros: 1, burst: 10_000_000 }, left: 0 };
        let fields = text(|out| write_refused(told, Wait(u64::MAX - 1), out));
        assert_eq!(
            fields,
            "RateLimit-Policy: \"a\";q=10000000;w=10000000000000\r\nRateLimit: \"a\";r=0;t=18446744074\r\nRetry-After: 18446744074\r\n"
        );
    }
}
