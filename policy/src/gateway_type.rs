//! The types of gateway responses: what a refusal is to those who change its words (aws-features §7, GR-01).

use serde::{Deserialize, Serialize};

/// A type of gateway response. Closed: these are all that API Gateway knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[allow(missing_docs, reason = "a variant's documentation is its name")]
pub enum GatewayType {
    AccessDenied,
    ApiConfigurationError,
    AuthorizerConfigurationError,
    AuthorizerFailure,
    BadRequestBody,
    BadRequestParameters,
    Default4xx,
    Default5xx,
    ExpiredToken,
    IntegrationFailure,
    IntegrationTimeout,
    InvalidApiKey,
    InvalidSignature,
    MissingAuthenticationToken,
    QuotaExceeded,
    RequestTooLarge,
    ResourceNotFound,
    Throttled,
    Unauthorized,
    UnsupportedMediaType,
    WafFiltered,
}

impl GatewayType {
    /// How many there are.
    pub const COUNT: usize = 21;

    /// All of them, in the order of their names.
    pub const ALL: [Self; Self::COUNT] = [
        Self::AccessDenied,
        Self::ApiConfigurationError,
        Self::AuthorizerConfigurationError,
        Self::AuthorizerFailure,
        Self::BadRequestBody,
        Self::BadRequestParameters,
        Self::Default4xx,
        Self::Default5xx,
        Self::ExpiredToken,
        Self::IntegrationFailure,
        Self::IntegrationTimeout,
        Self::InvalidApiKey,
        Self::InvalidSignature,
        Self::MissingAuthenticationToken,
        Self::QuotaExceeded,
        Self::RequestTooLarge,
        Self::ResourceNotFound,
        Self::Throttled,
        Self::Unauthorized,
        Self::UnsupportedMediaType,
        Self::WafFiltered,
    ];

    /// The names of [`GatewayType::ALL`].
    pub const NAMES: [&'static str; Self::COUNT] = {
        let mut names = [""; Self::COUNT];
        let mut place = 0;
        while place < Self::COUNT {
            names[place] = Self::ALL[place].name();
            place += 1;
        }
        names
    };

    /// As documents and `$context.error.responseType` write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "ACCESS_DENIED",
            Self::ApiConfigurationError => "API_CONFIGURATION_ERROR",
            Self::AuthorizerConfigurationError => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::AuthorizerFailure => "AUTHORIZER_FAILURE",
            Self::BadRequestBody => "BAD_REQUEST_BODY",
            Self::BadRequestParameters => "BAD_REQUEST_PARAMETERS",
            Self::Default4xx => "DEFAULT_4XX",
            Self::Default5xx => "DEFAULT_5XX",
            Self::ExpiredToken => "EXPIRED_TOKEN",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
            Self::InvalidApiKey => "INVALID_API_KEY",
            Self::InvalidSignature => "INVALID_SIGNATURE",
            Self::MissingAuthenticationToken => "MISSING_AUTHENTICATION_TOKEN",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::ResourceNotFound => "RESOURCE_NOT_FOUND",
            Self::Throttled => "THROTTLED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::WafFiltered => "WAF_FILTERED",
        }
    }

    /// The type of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The status that API Gateway gives it; `None`: the two defaults have none of their own. A refusal may have another one
    /// (IN-13: 502 of a backend's bad answer).
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Default4xx | Self::Default5xx => None,
            Self::BadRequestBody | Self::BadRequestParameters => Some(400),
            Self::Unauthorized => Some(401),
            Self::AccessDenied
            | Self::ExpiredToken
            | Self::InvalidApiKey
            | Self::InvalidSignature
            | Self::MissingAuthenticationToken
            | Self::WafFiltered => Some(403),
            Self::ResourceNotFound => Some(404),
            Self::RequestTooLarge => Some(413),
            Self::UnsupportedMediaType => Some(415),
            Self::QuotaExceeded | Self::Throttled => Some(429),
            Self::ApiConfigurationError | Self::AuthorizerConfigurationError | Self::AuthorizerFailure => Some(500),
            Self::IntegrationFailure | Self::IntegrationTimeout => Some(504),
        }
    }

    /// 4 or 5: the class whose default stands in for it (GR-04).
    pub const fn class(self) -> u16 {
        match self {
            Self::ApiConfigurationError
            | Self::AuthorizerConfigurationError
            | Self::AuthorizerFailure
            | Self::Default5xx
            | Self::IntegrationFailure
            | Self::IntegrationTimeout => 5,
            _ => 4,
        }
    }

    /// The default of its class.
    #[must_use]
    pub const fn default(self) -> Self {
        match self.class() {
            4 => Self::Default4xx,
            _ => Self::Default5xx,
        }
    }

    /// Whether an API may change it (GR-05).
    pub const fn is_customisable(self) -> bool {
        !matches!(self, Self::RequestTooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gr_01_names_and_statuses() {
        assert!(GatewayType::NAMES.is_sorted());
        for (place, kind) in GatewayType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(GatewayType::of(kind.name()), Some(kind));
            if let Some(status) = kind.status() {
                assert_eq!(kind.class(), status / 100, "{}", kind.name());
            }
        }
        assert_eq!(GatewayType::of("TEAPOT"), None);
        assert_eq!(GatewayType::of("default_4xx"), None);
    }

    #[test]
    fn gr_04_each_has_the_default_of_its_class() {
        assert_eq!(GatewayType::Unauthorized.default(), GatewayType::Default4xx);
        assert_eq!(GatewayType::AuthorizerFailure.default(), GatewayType::Default5xx);
        for kind in [GatewayType::Default4xx, GatewayType::Default5xx] {
            assert_eq!(kind.default(), kind);
            assert_eq!(kind.status(), None);
        }
    }

    #[test]
    fn gr_05_one_cannot_be_changed() {
        let fixed: Vec<_> = GatewayType::ALL.into_iter().filter(|kind| !kind.is_customisable()).collect();
        assert_eq!(fixed, [GatewayType::RequestTooLarge]);
    }
}
