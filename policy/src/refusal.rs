//! Every way of saying no, and the answer that says it: status, error type and body of each kind of API
//! (aws-features §7, GR-01, IN-13). Closed: what is not listed cannot be refused.

use codec::http1::misbehave::Misbehaviour;
use router::Kind;

use crate::client_certificate::Unproven;
use crate::escape;
use crate::gateway_type::GatewayType;

/// A "no" that is said to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No API answers at this host, or none at this base path (§0.1 step 4).
    NoSuchApi,
    /// The API is known, the stage is not (RT-07, RT-14).
    NoSuchStage,
    /// The stage is known, but nothing fits path and verb (RT-07, RT-12).
    NoSuchMethod,
    /// The backend did not answer in time (IN-13, `INTEGRATION_TIMEOUT`).
    IntegrationTimeout,
    /// The backend could not be reached, or left before it answered (IN-13, `INTEGRATION_FAILURE`).
    IntegrationFailure,
    /// The backend answered, but not in HTTP that we pass on.
    BadAnswer,
    /// The backend's address cannot be used (IN-13, `API_CONFIGURATION_ERROR`).
    InvalidEndpoint,
    /// The request's body is larger than the limit (`REQUEST_TOO_LARGE`).
    RequestTooLarge,
    /// The request did not come in time.
    RequestTimeout,
    /// The gateway holds all the work that it may.
    Overloaded,
    /// The method needs what this version does not do, or has no integration (`API_CONFIGURATION_ERROR`).
    NotAvailable,
    /// A mapping reads the request's body as JSON, and it is none (MP-01).
    InvalidJsonBody,
    /// A mapped path leads elsewhere by `.` or `..` (P01).
    MappedPathEscapes,
    /// The mapping of a request or an answer fails: a body that is not JSON in an answer (MP-02), a value that is too long.
    MappingFailed,
    /// No answer of the integration is meant for the backend's status (IN-16, `API_CONFIGURATION_ERROR`).
    NoIntegrationResponse,
    /// A mapping reads the backend's answer, and it is larger than that allows.
    AnswerTooLarge,
    /// A mock has no template for the type of the request (MP-07, `UNSUPPORTED_MEDIA_TYPE`).
    UnsupportedMediaType,
    /// A WebSocket handshake that is none: another method than GET, a body, no key, no version (C07, C08).
    HandshakeMalformed,
    /// A WebSocket handshake of another version than 13 (C07).
    HandshakeVersion,
    /// The connection was made for another host, where certificates of clients matter (T24, RFC 9110 §15.5.20).
    Misdirected,
    /// The caller has not shown who it is, or not well enough (`UNAUTHORIZED`; A-02, A-04, A-09).
    Unauthorized,
    /// The caller is known and may not (`ACCESS_DENIED`, A-13).
    AccessDenied,
    /// Nothing is signed where callers sign (`MISSING_AUTHENTICATION_TOKEN`, A-12).
    MissingAuthenticationToken,
    /// The signature is not that of the request (`INVALID_SIGNATURE`, A-12).
    InvalidSignature,
    /// No API key, or none that is good here (`INVALID_API_KEY`, KP-04).
    InvalidApiKey,
    /// Too fast (`THROTTLED`, TH-01).
    Throttled,
    /// Too much in this period (`QUOTA_EXCEEDED`, KP-06).
    QuotaExceeded,
    /// Too many requests at work at once (`THROTTLED`).
    TooManyAtOnce,
    /// The authorizer did not answer, or not in its form (`AUTHORIZER_FAILURE`, A-09).
    AuthorizerFailure,
    /// The authorizer cannot be asked (`AUTHORIZER_CONFIGURATION_ERROR`, A-09).
    AuthorizerConfigurationError,
    /// A rule of the firewall says no (`WAF_FILTERED`, POL-04).
    Filtered,
    /// What should be a signature is none (`INVALID_SIGNATURE`, A-12).
    IncompleteSignature,
    /// Nobody has the key that is said to have signed (`INVALID_SIGNATURE`, A-13).
    UnrecognizedClient,
    /// A client has not proved who it is (DM-10).
    Unproven(Unproven),
    /// The client left first: nothing is sent, the record of the request bears this name.
    ClientGone,
    /// The client broke the protocol, in this way.
    Misbehaved(Misbehaviour),
}

/// What a refusal sends. The content type is always `application/json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// 400 to 599.
    pub status: u16,
    /// The value of `x-amzn-ErrorType`; an HTTP API sends none.
    pub error_type: Option<&'static str>,
    /// The body, a JSON object.
    pub body: &'static [u8],
    /// Whether [`RETRY_AFTER_SECONDS`] is sent as `Retry-After`.
    pub retry_after: bool,
}

impl Reply {
    /// What its body says; `None`: nothing.
    pub fn message(&self) -> Option<&'static [u8]> {
        let rest = self.body.strip_prefix(b"{\"message\":\"").or(self.body.strip_prefix(b"{\"Message\":\""));
        rest?.strip_suffix(b"\"}")
    }

    /// Writes the body. In a REST API `detail` takes the place of the message, if it is not empty; those of an HTTP API are fixed.
    pub fn write_body(&self, detail: &[u8], out: &mut Vec<u8>) {
        if detail.is_empty() || self.error_type.is_none() {
            return out.extend_from_slice(self.body);
        }
        let key: &[u8] = if self.body.starts_with(b"{\"Message") { b"{\"Message\":\"" } else { b"{\"message\":\"" };
        out.extend_from_slice(key);
        let from = out.len();
        out.extend_from_slice(detail);
        escape::json_string(out, from);
        out.extend_from_slice(b"\"}");
    }
}

/// The value of `Retry-After`: long enough to find another machine, short enough not to be felt.
pub const RETRY_AFTER_SECONDS: &str = "1";

/// Variants that are neither [`Refusal::Unproven`] nor [`Refusal::Misbehaved`], in the order of their index.
const PLAIN: [Refusal; 34] = [
    Refusal::NoSuchApi,
    Refusal::NoSuchStage,
    Refusal::NoSuchMethod,
    Refusal::IntegrationTimeout,
    Refusal::IntegrationFailure,
    Refusal::BadAnswer,
    Refusal::InvalidEndpoint,
    Refusal::RequestTooLarge,
    Refusal::RequestTimeout,
    Refusal::Overloaded,
    Refusal::NotAvailable,
    Refusal::InvalidJsonBody,
    Refusal::MappedPathEscapes,
    Refusal::MappingFailed,
    Refusal::NoIntegrationResponse,
    Refusal::AnswerTooLarge,
    Refusal::UnsupportedMediaType,
    Refusal::ClientGone,
    Refusal::HandshakeMalformed,
    Refusal::HandshakeVersion,
    Refusal::Misdirected,
    Refusal::Unauthorized,
    Refusal::AccessDenied,
    Refusal::MissingAuthenticationToken,
    Refusal::InvalidSignature,
    Refusal::InvalidApiKey,
    Refusal::Throttled,
    Refusal::QuotaExceeded,
    Refusal::TooManyAtOnce,
    Refusal::AuthorizerFailure,
    Refusal::AuthorizerConfigurationError,
    Refusal::Filtered,
    Refusal::IncompleteSignature,
    Refusal::UnrecognizedClient,
];
/// Where those begin that are [`Refusal::Misbehaved`].
const MISBEHAVED: usize = PLAIN.len() + Unproven::ALL.len();

impl Refusal {
    /// How many refusals there are, each way of misbehaving counted.
    pub const COUNT: usize = MISBEHAVED + Misbehaviour::ALL.len();

    /// Every refusal, by [`Refusal::index`].
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::NoSuchApi; Self::COUNT];
        let mut place = 0;
        while place < Self::COUNT {
            all[place] = if place < PLAIN.len() {
                PLAIN[place]
            } else if place < MISBEHAVED {
                Self::Unproven(Unproven::ALL[place - PLAIN.len()])
            } else {
                Self::Misbehaved(Misbehaviour::ALL[place - MISBEHAVED])
            };
            place += 1;
        }
        all
    };

    /// The names of [`Refusal::ALL`], so that metrics can register every one at start.
    pub const NAMES: [&'static str; Self::COUNT] = {
        let mut names = [""; Self::COUNT];
        let mut place = 0;
        while place < Self::COUNT {
            names[place] = Self::ALL[place].name();
            place += 1;
        }
        names
    };

    /// A dense number below [`Refusal::COUNT`], for arrays of counters.
    pub const fn index(self) -> usize {
        match self {
            Self::NoSuchApi => 0,
            Self::NoSuchStage => 1,
            Self::NoSuchMethod => 2,
            Self::IntegrationTimeout => 3,
            Self::IntegrationFailure => 4,
            Self::BadAnswer => 5,
            Self::InvalidEndpoint => 6,
            Self::RequestTooLarge => 7,
            Self::RequestTimeout => 8,
            Self::Overloaded => 9,
            Self::NotAvailable => 10,
            Self::InvalidJsonBody => 11,
            Self::MappedPathEscapes => 12,
            Self::MappingFailed => 13,
            Self::NoIntegrationResponse => 14,
            Self::AnswerTooLarge => 15,
            Self::UnsupportedMediaType => 16,
            Self::ClientGone => 17,
            Self::HandshakeMalformed => 18,
            Self::HandshakeVersion => 19,
            Self::Misdirected => 20,
            Self::Unauthorized => 21,
            Self::AccessDenied => 22,
            Self::MissingAuthenticationToken => 23,
            Self::InvalidSignature => 24,
            Self::InvalidApiKey => 25,
            Self::Throttled => 26,
            Self::QuotaExceeded => 27,
            Self::TooManyAtOnce => 28,
            Self::AuthorizerFailure => 29,
            Self::AuthorizerConfigurationError => 30,
            Self::Filtered => 31,
            Self::IncompleteSignature => 32,
            Self::UnrecognizedClient => 33,
            Self::Unproven(why) => PLAIN.len() + why as usize,
            Self::Misbehaved(how) => MISBEHAVED + how as usize,
        }
    }

    /// Its name in logs and metrics; that of the misbehaviour, if it is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSuchApi => "no_such_api",
            Self::NoSuchStage => "no_such_stage",
            Self::NoSuchMethod => "no_such_method",
            Self::IntegrationTimeout => "integration_timeout",
            Self::IntegrationFailure => "integration_failure",
            Self::BadAnswer => "bad_answer",
            Self::InvalidEndpoint => "invalid_endpoint",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::Overloaded => "overloaded",
            Self::NotAvailable => "not_available",
            Self::InvalidJsonBody => "invalid_json_body",
            Self::MappedPathEscapes => "mapped_path_escapes",
            Self::MappingFailed => "mapping_failed",
            Self::NoIntegrationResponse => "no_integration_response",
            Self::AnswerTooLarge => "answer_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::HandshakeMalformed => "handshake_malformed",
            Self::HandshakeVersion => "handshake_version",
            Self::ClientGone => "client_gone",
            Self::Misdirected => "misdirected",
            Self::Unauthorized => "unauthorized",
            Self::AccessDenied => "access_denied",
            Self::MissingAuthenticationToken => "missing_authentication_token",
            Self::InvalidSignature => "invalid_signature",
            Self::InvalidApiKey => "invalid_api_key",
            Self::Throttled => "throttled",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TooManyAtOnce => "too_many_at_once",
            Self::AuthorizerFailure => "authorizer_failure",
            Self::AuthorizerConfigurationError => "authorizer_configuration_error",
            Self::Filtered => "filtered",
            Self::IncompleteSignature => "incomplete_signature",
            Self::UnrecognizedClient => "unrecognized_client",
            Self::Unproven(why) => why.name(),
            Self::Misbehaved(how) => how.name(),
        }
    }

    /// What is sent. `None` is a request of which no API is known yet; it is answered as a REST API would
    /// (§0.1 step 4).
    pub const fn reply(self, kind: Option<Kind>) -> Reply {
        let texts = self.texts();
        match kind {
            Some(Kind::Http) => Reply {
                status: texts.http_status,
                error_type: None,
                body: texts.http_body,
                retry_after: texts.retry_after,
            },
            Some(Kind::Rest | Kind::WebSocket) | None => Reply {
                status: texts.status,
                error_type: Some(texts.error_type),
                body: texts.body,
                retry_after: texts.retry_after,
            },
        }
    }

    /// Its type among the gateway responses of API Gateway (GR-01); `None`: it is said in front of any API, and no API can change it.
    pub const fn gateway_type(self) -> Option<GatewayType> {
        Some(match self {
            Self::NoSuchMethod | Self::MissingAuthenticationToken => GatewayType::MissingAuthenticationToken,
            Self::IntegrationTimeout => GatewayType::IntegrationTimeout,
            Self::IntegrationFailure | Self::BadAnswer | Self::AnswerTooLarge => GatewayType::IntegrationFailure,
            Self::InvalidEndpoint | Self::NotAvailable | Self::MappingFailed | Self::NoIntegrationResponse => {
                GatewayType::ApiConfigurationError
            }
            Self::RequestTooLarge => GatewayType::RequestTooLarge,
            Self::InvalidJsonBody => GatewayType::BadRequestBody,
            Self::MappedPathEscapes | Self::HandshakeMalformed => GatewayType::BadRequestParameters,
            Self::UnsupportedMediaType => GatewayType::UnsupportedMediaType,
            Self::Unauthorized => GatewayType::Unauthorized,
            Self::AccessDenied => GatewayType::AccessDenied,
            Self::InvalidSignature | Self::IncompleteSignature | Self::UnrecognizedClient => {
                GatewayType::InvalidSignature
            }
            Self::InvalidApiKey => GatewayType::InvalidApiKey,
            Self::Throttled | Self::TooManyAtOnce => GatewayType::Throttled,
            Self::QuotaExceeded => GatewayType::QuotaExceeded,
            Self::AuthorizerFailure => GatewayType::AuthorizerFailure,
            Self::AuthorizerConfigurationError => GatewayType::AuthorizerConfigurationError,
            Self::Filtered => GatewayType::WafFiltered,
            Self::NoSuchApi
            | Self::NoSuchStage
            | Self::RequestTimeout
            | Self::Overloaded
            | Self::HandshakeVersion
            | Self::Misdirected
            | Self::Unproven(_)
            | Self::ClientGone
            | Self::Misbehaved(_) => return None,
        })
    }

    const fn texts_of_signatures(self) -> Texts {
        match self {
            Self::MissingAuthenticationToken => {
                Texts::same(403, "MissingAuthenticationTokenException", message!("Missing Authentication Token"))
            }
            Self::IncompleteSignature => Texts::same(
                403,
                "IncompleteSignatureException",
                message!("The request signature does not conform to AWS standards."),
            ),
            Self::UnrecognizedClient => Texts::same(
                403,
                "UnrecognizedClientException",
                message!("The security token included in the request is invalid."),
            ),
            _ => Texts::same(
                403,
                "InvalidSignatureException",
                message!("The request signature we calculated does not match the signature you provided."),
            ),
        }
    }

    /// The row of the table of §7 and, beside it, that of "HTTP API fixed bodies".
    const fn texts(self) -> Texts {
        match self {
            Self::NoSuchApi | Self::NoSuchStage => {
                Texts::same(403, "ForbiddenException", message!("Forbidden")).but_http(404, message!("Not Found"))
            }
            Self::NoSuchMethod => {
                Texts::same(403, "MissingAuthenticationTokenException", message!("Missing Authentication Token"))
                    .but_http(404, message!("Not Found"))
            }
            Self::IntegrationTimeout => Texts::same(504, INTERNAL, message!("Endpoint request timed out"))
                .but_http(503, message!("Service Unavailable")),
            Self::IntegrationFailure => {
                Texts::same(504, INTERNAL, message!("Network error communicating with endpoint"))
                    .but_http(503, message!("Service Unavailable"))
            }
            Self::BadAnswer | Self::AnswerTooLarge => Texts::internal(502),
            Self::InvalidEndpoint | Self::NotAvailable | Self::MappingFailed | Self::NoIntegrationResponse => {
                Texts::internal(500)
            }
            Self::InvalidJsonBody => Texts::same(400, "BadRequestException", message!("Invalid JSON in request body")),
            Self::MappedPathEscapes | Self::HandshakeMalformed => Texts::of_status(400),
            Self::HandshakeVersion => Texts::of_status(426),
            Self::UnsupportedMediaType => Texts::same(415, "BadRequestException", message!("Unsupported Media Type")),
            Self::RequestTooLarge => Texts::of_status(413),
            Self::RequestTimeout => Texts::of_status(408),
            Self::Overloaded => Texts { retry_after: true, ..Texts::of_status(503) },
            Self::ClientGone => Texts::of_status(499),
            Self::Misdirected => Texts::of_status(421),
            Self::Unproven(_) | Self::Filtered | Self::InvalidApiKey => {
                Texts::same(403, "ForbiddenException", message!("Forbidden"))
            }
            Self::Unauthorized => Texts::same(401, "UnauthorizedException", message!("Unauthorized")),
            Self::AccessDenied => Texts::same(
                403,
                "AccessDeniedException",
                b"{\"Message\":\"User is not authorized to access this resource\"}",
            )
            .but_http(403, message!("Forbidden")),
            Self::MissingAuthenticationToken
            | Self::InvalidSignature
            | Self::IncompleteSignature
            | Self::UnrecognizedClient => self.texts_of_signatures().but_http(403, message!("Forbidden")),
            Self::Throttled | Self::TooManyAtOnce => {
                Texts::same(429, "TooManyRequestsException", message!("Too Many Requests"))
            }
            Self::QuotaExceeded => Texts::same(429, "LimitExceededException", message!("Limit Exceeded")),
            Self::AuthorizerFailure | Self::AuthorizerConfigurationError => {
                Texts::same(500, "AuthorizerConfigurationException", b"{\"message\":null}")
                    .but_http(500, message!("Internal Server Error"))
            }
            Self::Misbehaved(how) => Texts::of_status(how.status()),
        }
    }
}

const INTERNAL: &str = "InternalServerErrorException";

/// `{"message":"…"}` (GR-01).
macro_rules! message {
    ($text:literal) => {
        concat!("{\"message\":\"", $text, "\"}").as_bytes()
    };
}
use message;

/// A reply for REST and WebSocket APIs, and where that of an HTTP API differs.
struct Texts {
    status: u16,
    error_type: &'static str,
    body: &'static [u8],
    http_status: u16,
    http_body: &'static [u8],
    retry_after: bool,
}

impl Texts {
    const fn same(status: u16, error_type: &'static str, body: &'static [u8]) -> Self {
        Self { status, error_type, body, http_status: status, http_body: body, retry_after: false }
    }

    const fn but_http(self, http_status: u16, http_body: &'static [u8]) -> Self {
        Self { http_status, http_body, ..self }
    }

    /// The kinds agree on the words, but not on their capitals.
    const fn internal(status: u16) -> Self {
        Self::same(status, INTERNAL, message!("Internal server error"))
            .but_http(status, message!("Internal Server Error"))
    }

    /// Refusals that AWS answers in front of the API, so that no recording shows an error type.
    const fn of_status(status: u16) -> Self {
        match status {
            405 => Self::same(status, "MethodNotAllowedException", message!("Method Not Allowed")),
            408 => Self::same(status, "RequestTimeoutException", message!("Request Timeout")),
            413 => Self::same(status, "RequestTooLargeException", message!("Request Too Long"))
                .but_http(status, message!("Request Entity Too Large")),
            414 => Self::same(status, "BadRequestException", message!("URI Too Long")),
            417 => Self::same(status, "BadRequestException", message!("Expectation Failed")),
            421 => Self::same(status, "BadRequestException", message!("Misdirected Request")),
            426 => Self::same(status, "BadRequestException", message!("Upgrade Required")),
            431 => Self::same(status, "BadRequestException", message!("Request Header Fields Too Large")),
            499 => Self::same(status, "BadRequestException", message!("Client Closed Request")),
            501 => Self::same(status, "NotImplementedException", message!("Not Implemented")),
            503 => Self::same(status, "ServiceUnavailableException", message!("Service Unavailable")),
            505 => Self::same(status, "BadRequestException", message!("HTTP Version Not Supported")),
            500 | 502 => Self::internal(status),
            _ => Self::same(status, "BadRequestException", message!("Bad Request")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Option<Kind> = Some(Kind::Rest);
    const HTTP: Option<Kind> = Some(Kind::Http);

    #[test]
    fn indices_are_dense_and_names_differ() {
        assert_eq!(Refusal::ALL.len(), Refusal::COUNT);
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal.index(), place, "{refusal:?}");
            assert_eq!(Refusal::NAMES[place], refusal.name());
        }
        let mut names = Refusal::NAMES.to_vec();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1], "a name is used twice");
        }
        for how in Misbehaviour::ALL {
            assert_eq!(Refusal::Misbehaved(*how).name(), how.name());
        }
    }

    /// (refusal, REST status, REST error type, REST message, HTTP status, HTTP message, row)
    type Row = (Refusal, u16, &'static str, &'static str, u16, &'static str, &'static str);

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (Refusal::NoSuchApi, 403, "ForbiddenException", "Forbidden", 404, "Not Found", "§0.1 step 4, assumed"),
        (Refusal::NoSuchStage, 403, "ForbiddenException", "Forbidden", 404, "Not Found", "RT-07 assumed, RT-14"),
        (Refusal::NoSuchMethod, 403, "MissingAuthenticationTokenException", "Missing Authentication Token", 404, "Not Found", "RT-07, RT-12"),
        (Refusal::IntegrationTimeout, 504, "InternalServerErrorException", "Endpoint request timed out", 503, "Service Unavailable", "IN-13"),
        (Refusal::IntegrationFailure, 504, "InternalServerErrorException", "Network error communicating with endpoint", 503, "Service Unavailable", "IN-13"),
        (Refusal::BadAnswer, 502, "InternalServerErrorException", "Internal server error", 502, "Internal Server Error", "IN-14 by analogy, assumed"),
        (Refusal::InvalidEndpoint, 500, "InternalServerErrorException", "Internal server error", 500, "Internal Server Error", "IN-13; the type assumed"),
        (Refusal::RequestTooLarge, 413, "RequestTooLargeException", "Request Too Long", 413, "Request Entity Too Large", "REQUEST_TOO_LARGE, assumed"),
        (Refusal::RequestTimeout, 408, "RequestTimeoutException", "Request Timeout", 408, "Request Timeout", "assumed"),
        (Refusal::Overloaded, 503, "ServiceUnavailableException", "Service Unavailable", 503, "Service Unavailable", "HTTP API fixed bodies; REST assumed"),
        (Refusal::NotAvailable, 500, "InternalServerErrorException", "Internal server error", 500, "Internal Server Error", "API_CONFIGURATION_ERROR; the type assumed"),
        (Refusal::InvalidJsonBody, 400, "BadRequestException", "Invalid JSON in request body", 400, "Invalid JSON in request body", "MP-01; HTTP APIs skip the mapping instead"),
        (Refusal::MappedPathEscapes, 400, "BadRequestException", "Bad Request", 400, "Bad Request", "P01, ours"),
        (Refusal::MappingFailed, 500, "InternalServerErrorException", "Internal server error", 500, "Internal Server Error", "MP-02; the type assumed"),
        (Refusal::NoIntegrationResponse, 500, "InternalServerErrorException", "Internal server error", 500, "Internal Server Error", "IN-16; the type assumed"),
        (Refusal::AnswerTooLarge, 502, "InternalServerErrorException", "Internal server error", 502, "Internal Server Error", "ours"),
        (Refusal::UnsupportedMediaType, 415, "BadRequestException", "Unsupported Media Type", 415, "Unsupported Media Type", "MP-07"),
        (Refusal::ClientGone, 499, "BadRequestException", "Client Closed Request", 499, "Client Closed Request", "never sent"),
        (Refusal::HandshakeMalformed, 400, "BadRequestException", "Bad Request", 400, "Bad Request", "C07, C08, ours"),
        (Refusal::Misdirected, 421, "BadRequestException", "Misdirected Request", 421, "Misdirected Request", "T24, ours"),
        (Refusal::HandshakeVersion, 426, "BadRequestException", "Upgrade Required", 426, "Upgrade Required", "C07, ours"),
        (Refusal::Unauthorized, 401, "UnauthorizedException", "Unauthorized", 401, "Unauthorized", "UNAUTHORIZED"),
        (Refusal::MissingAuthenticationToken, 403, "MissingAuthenticationTokenException", "Missing Authentication Token", 403, "Forbidden", "A-12"),
        (Refusal::InvalidSignature, 403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.", 403, "Forbidden", "INVALID_SIGNATURE"),
        (Refusal::IncompleteSignature, 403, "IncompleteSignatureException", "The request signature does not conform to AWS standards.", 403, "Forbidden", "A-12; the message assumed"),
        (Refusal::UnrecognizedClient, 403, "UnrecognizedClientException", "The security token included in the request is invalid.", 403, "Forbidden", "A-13"),
        (Refusal::InvalidApiKey, 403, "ForbiddenException", "Forbidden", 403, "Forbidden", "KP-04"),
        (Refusal::Throttled, 429, "TooManyRequestsException", "Too Many Requests", 429, "Too Many Requests", "TH-01"),
        (Refusal::QuotaExceeded, 429, "LimitExceededException", "Limit Exceeded", 429, "Limit Exceeded", "KP-06; HTTP APIs have none"),
        (Refusal::TooManyAtOnce, 429, "TooManyRequestsException", "Too Many Requests", 429, "Too Many Requests", "ours"),
        (Refusal::Filtered, 403, "ForbiddenException", "Forbidden", 403, "Forbidden", "POL-04; the type assumed"),
    ];

    /// Those whose bodies have another form in REST APIs: (refusal, status, error type, body, body of HTTP APIs, row)
    #[rustfmt::skip]
    const ODD: &[(Refusal, u16, &str, &str, &str, &str)] = &[
        (Refusal::AccessDenied, 403, "AccessDeniedException", r#"{"Message":"User is not authorized to access this resource"}"#, r#"{"message":"Forbidden"}"#, "A-13"),
        (Refusal::AuthorizerFailure, 500, "AuthorizerConfigurationException", r#"{"message":null}"#, r#"{"message":"Internal Server Error"}"#, "A-09; the type assumed"),
        (Refusal::AuthorizerConfigurationError, 500, "AuthorizerConfigurationException", r#"{"message":null}"#, r#"{"message":"Internal Server Error"}"#, "A-09; the type assumed"),
    ];

    #[test]
    fn some_bodies_have_a_form_of_their_own() {
        for &(refusal, status, error_type, body, http_body, row) in ODD {
            let reply = refusal.reply(REST);
            assert_eq!(
                (reply.status, reply.error_type, reply.body),
                (status, Some(error_type), body.as_bytes()),
                "{row}"
            );
            assert_eq!((refusal.reply(HTTP).status, refusal.reply(HTTP).body), (status, http_body.as_bytes()), "{row}");
        }
    }

    #[test]
    fn a_detail_takes_the_place_of_the_message_in_rest_apis() {
        let written = |refusal: Refusal, kind, detail: &str| {
            let mut out = Vec::new();
            refusal.reply(kind).write_body(detail.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Refusal::AccessDenied, REST, "a \"b\""), r#"{"Message":"a \"b\""}"#);
        assert_eq!(written(Refusal::InvalidSignature, REST, "expired"), r#"{"message":"expired"}"#);
        assert_eq!(written(Refusal::Unauthorized, REST, ""), r#"{"message":"Unauthorized"}"#);
        assert_eq!(written(Refusal::InvalidSignature, HTTP, "expired"), r#"{"message":"Forbidden"}"#);
    }

    #[test]
    fn what_an_api_can_change_has_a_type_of_its_class() {
        for refusal in Refusal::ALL {
            let Some(of_type) = refusal.gateway_type() else { continue };
            assert_eq!(of_type.class(), refusal.reply(REST).status / 100, "{refusal:?}");
        }
    }

    #[test]
    fn replies_are_those_of_the_table() {
        assert_eq!(ROWS.len() + ODD.len(), PLAIN.len());
        for &(refusal, status, error_type, message, http_status, http_message, row) in ROWS {
            let body = |text| format!("{{\"message\":\"{text}\"}}");
            for kind in [REST, Some(Kind::WebSocket), None] {
                let reply = refusal.reply(kind);
                assert_eq!(reply.status, status, "{row}");
                assert_eq!(reply.error_type, Some(error_type), "{row}");
                assert_eq!(reply.body, body(message).as_bytes(), "{row}");
            }
            let reply = refusal.reply(HTTP);
            assert_eq!(reply.status, http_status, "{row}");
            assert_eq!(reply.error_type, None, "{row}");
            assert_eq!(reply.body, body(http_message).as_bytes(), "{row}");
        }
    }

    #[test]
    fn whoever_has_not_proved_himself_is_told_the_same() {
        // DM-10: the status is documented, the body assumed.
        for why in Unproven::ALL {
            for kind in [REST, HTTP, None] {
                let reply = Refusal::Unproven(why).reply(kind);
                assert_eq!((reply.status, reply.body), (403, &b"{\"message\":\"Forbidden\"}"[..]), "{}", why.name());
            }
        }
    }

    #[test]
    fn only_what_passes_by_itself_asks_to_come_again() {
        for refusal in Refusal::ALL {
            let again = matches!(refusal, Refusal::Overloaded);
            assert_eq!(refusal.reply(REST).retry_after, again, "{refusal:?}");
            assert_eq!(refusal.reply(HTTP).retry_after, again, "{refusal:?}");
        }
    }

    #[test]
    fn misbehaviour_keeps_its_own_status() {
        for how in Misbehaviour::ALL {
            for kind in [REST, HTTP, None] {
                let reply = Refusal::Misbehaved(*how).reply(kind);
                assert_eq!(reply.status, how.status(), "{}", how.name());
                assert!(reply.body.starts_with(b"{\"message\":\""), "{}", how.name());
            }
        }
    }

    #[test]
    fn each_status_of_a_misbehaviour_has_its_words() {
        // Assumed: AWS answers these in front of the API.
        let cases = [
            (400, "Bad Request"),
            (405, "Method Not Allowed"),
            (408, "Request Timeout"),
            (414, "URI Too Long"),
            (417, "Expectation Failed"),
            (431, "Request Header Fields Too Large"),
            (501, "Not Implemented"),
            (505, "HTTP Version Not Supported"),
        ];
        for (status, words) in cases {
            assert_eq!(Texts::of_status(status).body, format!("{{\"message\":\"{words}\"}}").as_bytes());
        }
    }
}
