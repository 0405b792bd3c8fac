//! The `$context` variables that templates and mappings may read (§12.1).

use codec::head::{Name, Version};
use serde::{Deserialize, Serialize};

use crate::client_certificate::ClientCertificate;
use crate::facts::Facts;
use crate::identity::IamIdentity;

/// A `$context` variable that can be read (§12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variable {
    /// The API's id.
    ApiId,
    /// The host that the client named, without port.
    DomainName,
    /// Its first label.
    DomainPrefix,
    /// The extended request id.
    ExtendedRequestId,
    /// The verb.
    HttpMethod,
    /// The client's address.
    SourceIp,
    /// The last `User-Agent`.
    UserAgent,
    /// The canonical path with the stage.
    Path,
    /// `HTTP/1.1`, or `HTTP/1.0`.
    Protocol,
    /// The request id.
    RequestId,
    /// `dd/MMM/yyyy:HH:mm:ss +0000`.
    RequestTime,
    /// Milliseconds since 1970.
    RequestTimeEpoch,
    /// The method's path as written.
    ResourcePath,
    /// The stage's name.
    Stage,
    /// `TLSv1.3`, `TLSv1.2`.
    TlsVersion,
    /// As OpenSSL calls it.
    CipherSuite,
    /// The client's certificate, in PEM.
    ClientCertPem,
    /// Whose it is.
    ClientCertSubject,
    /// Who issued it.
    ClientCertIssuer,
    /// Its number.
    ClientCertSerialNumber,
    /// From when it holds.
    ClientCertNotBefore,
    /// Until when.
    ClientCertNotAfter,
    /// The account of who signed.
    AccountOfCaller,
    /// The access key of who signed.
    AccessKey,
    /// The caller's API key (KP-03).
    ApiKey,
    /// Its id.
    ApiKeyId,
    /// The id of who signed.
    CallerId,
    /// The name of who signed.
    User,
    /// The ARN of who signed.
    UserArn,
    /// What the firewall says (POL-04): `WAF_ALLOW`, `WAF_BLOCK`.
    WafResponseCode,
    /// The same as a status: 200, 403.
    WafStatus,
    /// How long it took, in milliseconds: none, for nobody is asked.
    WafLatency,
    /// What went wrong: nothing can.
    WafError,
    /// The ARN of a web ACL: rules that stand in the configuration have none.
    WebAclArn,
}

impl Variable {
    /// Every name behind `$context.` that can be read in this version.
    pub const NAMES: &[(&'static str, Self)] = &[
        ("apiId", Self::ApiId),
        ("cipherSuite", Self::CipherSuite),
        ("domainName", Self::DomainName),
        ("domainPrefix", Self::DomainPrefix),
        ("extendedRequestId", Self::ExtendedRequestId),
        ("httpMethod", Self::HttpMethod),
        ("identity.accessKey", Self::AccessKey),
        ("identity.accountId", Self::AccountOfCaller),
        ("identity.apiKey", Self::ApiKey),
        ("identity.apiKeyId", Self::ApiKeyId),
        ("identity.caller", Self::CallerId),
        ("identity.clientCert.clientCertPem", Self::ClientCertPem),
        ("identity.clientCert.issuerDN", Self::ClientCertIssuer),
        ("identity.clientCert.serialNumber", Self::ClientCertSerialNumber),
        ("identity.clientCert.subjectDN", Self::ClientCertSubject),
        ("identity.clientCert.validity.notAfter", Self::ClientCertNotAfter),
        ("identity.clientCert.validity.notBefore", Self::ClientCertNotBefore),
        ("identity.sourceIp", Self::SourceIp),
        ("identity.userAgent", Self::UserAgent),
        ("identity.user", Self::User),
        ("identity.userArn", Self::UserArn),
        ("path", Self::Path),
        ("protocol", Self::Protocol),
        ("requestId", Self::RequestId),
        ("requestTime", Self::RequestTime),
        ("requestTimeEpoch", Self::RequestTimeEpoch),
        ("resourcePath", Self::ResourcePath),
        ("stage", Self::Stage),
        ("tlsVersion", Self::TlsVersion),
        ("waf.error", Self::WafError),
        ("waf.latency", Self::WafLatency),
        ("waf.status", Self::WafStatus),
        ("wafResponseCode", Self::WafResponseCode),
        ("webaclArn", Self::WebAclArn),
    ];

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    /// What of the authorizer's words a name behind `$context.` means: `principalId`, `claims.sub`, or what a function has answered with
    ///
    pub(crate) fn of_authorizer(name: &str) -> Option<&str> {
        let field = name.strip_prefix("authorizer.")?;
        let fits = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte))
        };
        field.split('.').all(fits).then_some(field)
    }

    /// Writes its raw value; false if the request has none.
    pub(crate) fn write(self, facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
        let value: &[u8] = match self {
            Self::ApiId => facts.api_id,
            Self::DomainName => facts.host(),
            Self::DomainPrefix => facts.host().split(|byte| *byte == b'.').next().unwrap_or_default(),
            Self::ExtendedRequestId => facts.extended_request_id,
            Self::HttpMethod => facts.method(),
            Self::SourceIp => facts.source_ip,
            Self::UserAgent => match facts.header(Name::UserAgent, b"user-agent") {
                Some(value) => value,
                None => return false,
            },
            Self::ApiKey | Self::ApiKeyId => match facts.api_key {
                Some(key) if self == Self::ApiKey => key.value,
                Some(key) => key.id.as_bytes(),
                None => return false,
            },
            Self::Path => facts.full_path(),
            Self::Protocol => match facts.head.version {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
                Version::Http2 => b"HTTP/2.0",
            },
            Self::RequestId => facts.request_id,
            Self::RequestTime => {
                write_time(facts.time_epoch_ms / 1_000, out);
                return true;
            }
            Self::RequestTimeEpoch => {
                out.extend_from_slice(itoa::Buffer::new().format(facts.time_epoch_ms).as_bytes());
                return true;
            }
            Self::ResourcePath => facts.resource_path,
            Self::Stage => facts.stage,
            Self::TlsVersion | Self::CipherSuite => match facts.tls {
                Some((version, _)) if self == Self::TlsVersion => version.as_bytes(),
                Some((_, suite)) => suite.as_bytes(),
                None => return false,
            },
            Self::ClientCertPem
            | Self::ClientCertSubject
            | Self::ClientCertIssuer
            | Self::ClientCertSerialNumber
            | Self::ClientCertNotBefore
            | Self::ClientCertNotAfter => return self.write_of_client(facts.client, out),
            Self::AccountOfCaller | Self::AccessKey | Self::CallerId | Self::User | Self::UserArn => {
                match facts.identity.and_then(|identity| identity.iam.as_deref()) {
                    Some(iam) => self.of_signer(iam).as_bytes(),
                    None => return false,
                }
            }
            Self::WafResponseCode | Self::WafStatus | Self::WafLatency | Self::WafError | Self::WebAclArn => {
                match facts.waf.and_then(|passed| self.of_firewall(passed)) {
                    Some(text) => text,
                    None => return false,
                }
            }
        };
        out.extend_from_slice(value);
        true
    }

    const fn of_firewall(self, passed: bool) -> Option<&'static [u8]> {
        Some(match (self, passed) {
            (Self::WafResponseCode, true) => b"WAF_ALLOW",
            (Self::WafResponseCode, false) => b"WAF_BLOCK",
            (Self::WafStatus, true) => b"200",
            (Self::WafStatus, false) => b"403",
            (Self::WafLatency, _) => b"0",
            _ => return None,
        })
    }

    fn of_signer(self, iam: &IamIdentity) -> &str {
        match self {
            Self::AccountOfCaller => &iam.account,
            Self::AccessKey => &iam.access_key,
            Self::User => &iam.user,
            Self::UserArn => &iam.arn,
            _ => &iam.caller,
        }
    }

    /// Writes what is asked of a client's certificate.
    fn write_of_client(self, client: Option<&ClientCertificate>, out: &mut Vec<u8>) -> bool {
        let Some(client) = client else { return false };
        let value = match self {
            Self::ClientCertPem => {
                client.write_pem(out);
                return true;
            }
            Self::ClientCertSubject => &client.subject,
            Self::ClientCertIssuer => &client.issuer,
            Self::ClientCertSerialNumber => &client.serial_number,
            Self::ClientCertNotBefore => &client.not_before,
            Self::ClientCertNotAfter => &client.not_after,
            _ => return false,
        };
        out.extend_from_slice(value.as_bytes());
        true
    }
}

/// `dd/MMM/yyyy:HH:mm:ss +0000` (§12.1).
fn write_time(epoch_seconds: u64, out: &mut Vec<u8>) {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let (year, month, day) = date(epoch_seconds / 86_400);
    let second = epoch_seconds % 86_400;
    let two = |number: u64, out: &mut Vec<u8>| {
        out.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
    };
    two(day, out);
    out.push(b'/');
    out.extend_from_slice(MONTHS[month as usize - 1]);
    out.push(b'/');
    two(year / 100, out);
    two(year, out);
    for part in [second / 3_600, second / 60 % 60, second % 60] {
        out.push(b':');
        two(part, out);
    }
    out.extend_from_slice(b" +0000");
}

/// Year, month and day of a day since 1970, by eras of 400 years that begin on 1 March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, expected) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_199, "29/Feb/2024:23:59:59 +0000"),
            (4_102_444_799, "31/Dec/2099:23:59:59 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            let mut out = Vec::new();
            write_time(seconds, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn dates_follow_one_another() {
        // The slow twin: counting the days of each month.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(date(days), (year, month, day));
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
