//! The types of gateway responses: what a "no" is to an API that says it in its own words (GR-01).

use serde::{Deserialize, Serialize};

/// A type of gateway response (GR-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum GatewayType {
    /// `ACCESS_DENIED`
    AccessDenied,
    /// `API_CONFIGURATION_ERROR`
    ApiConfigurationError,
    /// `AUTHORIZER_CONFIGURATION_ERROR`
    AuthorizerConfigurationError,
    /// `AUTHORIZER_FAILURE`
    AuthorizerFailure,
    /// `BAD_REQUEST_BODY`
    BadRequestBody,
    /// `BAD_REQUEST_PARAMETERS`
    BadRequestParameters,
    /// `DEFAULT_4XX`
    Default4xx,
    /// `DEFAULT_5XX`
    Default5xx,
    /// `EXPIRED_TOKEN`
    ExpiredToken,
    /// `INTEGRATION_FAILURE`
    IntegrationFailure,
    /// `INTEGRATION_TIMEOUT`
    IntegrationTimeout,
    /// `INVALID_API_KEY`
    InvalidApiKey,
    /// `INVALID_SIGNATURE`
    InvalidSignature,
    /// `MISSING_AUTHENTICATION_TOKEN`
    MissingAuthenticationToken,
    /// `QUOTA_EXCEEDED`
    QuotaExceeded,
    /// `REQUEST_TOO_LARGE`
    RequestTooLarge,
    /// `RESOURCE_NOT_FOUND`
    ResourceNotFound,
    /// `THROTTLED`
    Throttled,
    /// `UNAUTHORIZED`
    Unauthorized,
    /// `UNSUPPORTED_MEDIA_TYPE`
    UnsupportedMediaType,
    /// `WAF_FILTERED`
    WafFiltered,
}

impl GatewayType {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every type, by its number.
    pub const ALL: [Self; 21] = [
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

    /// As documents write it.
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
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// 4 or 5: the class whose default it follows (GR-04).
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for (place, known) in GatewayType::ALL.into_iter().enumerate() {
            assert_eq!(known as usize, place);
            assert_eq!(GatewayType::of(known.name()), Some(known));
        }
        assert_eq!(GatewayType::of("DEFAULT_4xx"), None);
    }
}
