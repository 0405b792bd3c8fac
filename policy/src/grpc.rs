//! What a refusal is to a caller that speaks gRPC: always HTTP 200, and a status of gRPC's own (the protocol's mapping of HTTP statuses,
//! and what is known better than by a number).

use crate::refusal::Refusal;

/// The caller has left.
pub const CANCELLED: u8 = 1;
/// Nobody knows.
pub const UNKNOWN: u8 = 2;
/// The caller asks for what cannot be.
pub const INVALID_ARGUMENT: u8 = 3;
/// The time is over.
pub const DEADLINE_EXCEEDED: u8 = 4;
/// The caller may not.
pub const PERMISSION_DENIED: u8 = 7;
/// Too much.
pub const RESOURCE_EXHAUSTED: u8 = 8;
/// There is no such method.
pub const UNIMPLEMENTED: u8 = 12;
/// Something is broken.
pub const INTERNAL: u8 = 13;
/// It may pass by itself.
pub const UNAVAILABLE: u8 = 14;
/// Nobody knows who calls.
pub const UNAUTHENTICATED: u8 = 16;

/// The status of a refusal, which another caller would see with this HTTP status.
pub const fn status_of(refusal: Refusal, status: u16) -> u8 {
    match refusal {
        Refusal::NoSuchApi | Refusal::NoSuchStage | Refusal::NoSuchMethod | Refusal::NotAvailable => UNIMPLEMENTED,
        Refusal::IntegrationTimeout | Refusal::RequestTimeout => DEADLINE_EXCEEDED,
        Refusal::IntegrationFailure | Refusal::BadAnswer | Refusal::Overloaded => UNAVAILABLE,
        Refusal::RequestTooLarge | Refusal::AnswerTooLarge => RESOURCE_EXHAUSTED,
        Refusal::ClientGone => CANCELLED,
        Refusal::UnsupportedMediaType | Refusal::InvalidJsonBody | Refusal::MappedPathEscapes => INVALID_ARGUMENT,
        _ => of_http(status),
    }
}

/// The status that the protocol gives to an HTTP status.
pub const fn of_http(status: u16) -> u8 {
    match status {
        400 | 500 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 501 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        413 | 431 => RESOURCE_EXHAUSTED,
        _ => UNKNOWN,
    }
}

/// What a body of ours says: the text behind its only key. None of them has a quotation mark in it.
pub fn message_in(body: &[u8]) -> &[u8] {
    if body == b"{\"message\":null}" {
        return b"Internal server error";
    }
    let rest = body.strip_prefix(b"{\"message\":\"").or(body.strip_prefix(b"{\"Message\":\"")).unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_status_and_a_message() {
        for refusal in Refusal::ALL {
            let reply = refusal.reply(None);
            let status = status_of(refusal, reply.status);
            assert!(status != 0 && status <= UNAUTHENTICATED, "{refusal:?}");
            assert!(!message_in(reply.body).is_empty(), "{refusal:?}");
        }
        assert_eq!(message_in(b"{\"message\":\"Forbidden\"}"), b"Forbidden");
        assert_eq!(message_in(b"other"), b"");
    }

    #[test]
    fn http_statuses_are_those_of_the_protocol() {
        let mapped = [400, 401, 403, 404, 429, 502, 503, 504, 418].map(of_http);
        assert_eq!(mapped, [13, 16, 7, 12, 14, 14, 14, 14, 2]);
        let own = |refusal: Refusal| status_of(refusal, refusal.reply(None).status);
        assert_eq!(own(Refusal::IntegrationTimeout), 4);
        assert_eq!(own(Refusal::NoSuchMethod), 12);
        assert_eq!(own(Refusal::Overloaded), 14);
    }
}
