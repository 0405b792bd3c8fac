//! Which header fields a mapping may read and write (aws-features §4.1, MP-05, P06).

use codec::head::Name;
use router::Kind;

use super::MappingProblem;
use crate::transform::headers::REMAPPED;

/// What an HTTP API may not map (MP-05), as a hint.
pub const RESERVED: &str = "remove it; reserved are access-control-*, apigw-*, Authorization, Connection, Content-Encoding, \
    Content-Length, Content-Location, Forwarded, Keep-Alive, Origin, Proxy-Authenticate, Proxy-Authorization, TE, Trailers, \
    Transfer-Encoding, Upgrade, x-amz-*, x-amzn-*, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto and Via";

/// Fields of a request that no REST mapping sees: they are dropped before it (§4.1).
const UNSEEN: &[Name] = &[
    Name::Connection,
    Name::ContentLength,
    Name::ContentMd5,
    Name::Expect,
    Name::MaxForwards,
    Name::ProxyAuthenticate,
    Name::Server,
    Name::Te,
    Name::Trailer,
    Name::TransferEncoding,
    Name::Upgrade,
    Name::WwwAuthenticate,
];

/// Fields that speak of a connection: each side's are written by the gateway. Mapping them has no effect.
const OF_A_CONNECTION: &[Name] =
    &[Name::Connection, Name::Expect, Name::Http2Settings, Name::KeepAlive, Name::ProxyConnection, Name::Te];

/// What may be done with a field.
pub(super) enum Mapped {
    /// It is written under this name.
    As(Box<str>),
    /// AWS takes the mapping and sends nothing.
    Nothing,
}

/// Under which name a request's field is sent to the backend.
pub(super) fn to_backend(kind: Kind, name: &str) -> Result<Mapped, MappingProblem> {
    let known = Name::of(name.as_bytes());
    match kind {
        Kind::Http if is_reserved(name) => return Err(MappingProblem::Reserved),
        Kind::Http if known == Name::Trailer => return Ok(Mapped::Nothing),
        Kind::Http => {}
        Kind::Rest | Kind::WebSocket => match known {
            Name::ContentLength | Name::TransferEncoding | Name::XAmznTraceId | Name::XAmznApigatewayApiId => {
                return Err(MappingProblem::Illegal);
            }
            Name::ProxyAuthenticate | Name::Via => return Ok(Mapped::Nothing),
            _ => {}
        },
    }
    Ok(if OF_A_CONNECTION.contains(&known) { Mapped::Nothing } else { Mapped::As(name.into()) })
}

/// Under which name an answer's field is sent to the client: some REST fields are renamed, as those of a backend are.
#[allow(clippy::match_same_arms, reason = "a table is read by its rows")]
pub(super) fn to_client(kind: Kind, name: &str) -> Result<Mapped, MappingProblem> {
    let known = Name::of(name.as_bytes());
    if kind == Kind::Http {
        return match known {
            _ if is_reserved(name) => Err(MappingProblem::Reserved),
            Name::Date | Name::Trailer => Ok(Mapped::Nothing),
            _ if OF_A_CONNECTION.contains(&known) => Ok(Mapped::Nothing),
            _ => Ok(Mapped::As(name.into())),
        };
    }
    Ok(match known {
        Name::Connection | Name::ContentLength | Name::Date | Name::Server | Name::XAmznRequestid => remapped(name),
        Name::Authorization | Name::ContentMd5 | Name::Expect | Name::Host | Name::MaxForwards => remapped(name),
        Name::ProxyAuthenticate | Name::Trailer | Name::Upgrade | Name::UserAgent => remapped(name),
        Name::WwwAuthenticate => remapped(name),
        Name::TransferEncoding | Name::XAmzApigwId => Mapped::Nothing,
        _ if OF_A_CONNECTION.contains(&known) => Mapped::Nothing,
        _ => Mapped::As(name.into()),
    })
}

fn remapped(name: &str) -> Mapped {
    Mapped::As([REMAPPED, name].concat().into())
}

/// What a mapping that reads a request's field gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The field.
    Field,
    /// Nothing: it is dropped before, or a client's word on it is not believed (P06).
    Nothing,
    /// The client's address, which backends are told under this name.
    Address,
}

/// What a mapping sees of a client's field.
#[allow(clippy::match_same_arms, reason = "a table is read by its rows")]
pub(crate) fn of_client(kind: Kind, name: &str) -> Seen {
    match Name::of(name.as_bytes()) {
        Name::XForwardedFor => Seen::Address,
        Name::XForwardedHost | Name::XForwardedPort | Name::XForwardedProto | Name::XForwardedOther => Seen::Nothing,
        Name::Forwarded | Name::XRealIp | Name::ClientCert | Name::ClientCertChain => Seen::Nothing,
        Name::ToldOfClient | Name::XAmznOther => Seen::Nothing,
        Name::XAmznTraceId | Name::XAmznApigatewayApiId | Name::XAmzApigwId | Name::ApigwRequestid => Seen::Nothing,
        known if kind != Kind::Http && UNSEEN.contains(&known) => Seen::Nothing,
        _ => Seen::Field,
    }
}

/// MP-05.
fn is_reserved(name: &str) -> bool {
    const FAMILIES: [&str; 4] = ["access-control-", "apigw-", "x-amz-", "x-amzn-"];
    let of_family = |family: &str| name.get(..family.len()).is_some_and(|front| front.eq_ignore_ascii_case(family));
    FAMILIES.iter().any(|family| of_family(family))
        || name.eq_ignore_ascii_case("trailers")
        || matches!(
            Name::of(name.as_bytes()),
            Name::Authorization
                | Name::Connection
                | Name::ContentEncoding
                | Name::ContentLength
                | Name::ContentLocation
                | Name::Forwarded
                | Name::KeepAlive
                | Name::Origin
                | Name::ProxyAuthenticate
                | Name::ProxyAuthorization
                | Name::Te
                | Name::TransferEncoding
                | Name::Upgrade
                | Name::XForwardedFor
                | Name::XForwardedHost
                | Name::XForwardedProto
                | Name::Via
        )
}
