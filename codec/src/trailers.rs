//! Which fields may stand behind a body (RFC 9110 §6.5.1): those that nobody has to know before it (rows F24, F25, T23).
//!
//! What frames a message, says where it goes, who sends it, how it is to be read or whether it may be kept has to stand in its head:
//! behind the body it would come too late for whoever decides by it, and be believed by whoever merges the two.

/// Fields that may not; lower case.
const HEAD_ALONE: [&[u8]; 38] = [
    b"accept",
    b"accept-encoding",
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"keep-alive",
    b"location",
    b"max-forwards",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"vary",
    b"via",
    b"www-authenticate",
];

/// How names begin that say who asks, as gateways tell it: nobody else may.
const OF_GATEWAYS: [&[u8]; 2] = [b"x-forwarded-", b"x-amzn-"];

/// Whether a field of this name may stand behind a body.
pub fn may_stand(name: &[u8]) -> bool {
    let begins = |begin: &[u8]| name.get(..begin.len()).is_some_and(|known| known.eq_ignore_ascii_case(begin));
    !HEAD_ALONE.iter().any(|known| name.eq_ignore_ascii_case(known)) && !OF_GATEWAYS.iter().any(|begin| begins(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_t23_what_decides_about_a_message_has_to_stand_before_it() {
        for name in
            ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-sum", "digest", "server-timing", "accepts"]
        {
            assert!(may_stand(name.as_bytes()), "{name}");
        }
        for name in ["Content-Length", "host", "AUTHORIZATION", "te", "X-Forwarded-For", "x-amzn-trace-id", "trailer"] {
            assert!(!may_stand(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(HEAD_ALONE.is_sorted());
        assert!(HEAD_ALONE.iter().all(|name| name.iter().all(|byte| !byte.is_ascii_uppercase())));
    }
}
