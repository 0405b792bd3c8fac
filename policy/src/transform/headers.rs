//! Which header fields pass, in each direction, for each kind of API; and the fields that are our own
//! (aws-features §0.2, §4.1; attack row P06).
//!
//! Where we leave AWS: `Content-Encoding` passes both ways. AWS unpacks compressed bodies and so drops it; we
//! stream bodies as they are, and without the field they could not be read.

use codec::head::{Fate, Field, Name};
use codec::http1::write;
use router::{Kind, Verb};

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// It is written as it came.
    Pass,
    /// It is left out.
    Drop,
    /// It is written with [`REMAPPED`] before its name; towards clients only.
    Remap,
}

/// What precedes the name of a remapped field.
pub const REMAPPED: &str = "x-amzn-Remapped-";

/// Where a request came from, as the backend is told.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The client's address as text, without brackets.
    pub client_ip: &'a [u8],
    /// The host that the client named, without port; may be empty.
    pub host: &'a [u8],
    /// The port at which the client was accepted.
    pub port: u16,
    /// Whether the client came by TLS.
    pub tls: bool,
    /// The API's id.
    pub api_id: &'a [u8],
    /// `Root=1-…`.
    pub trace_id: &'a [u8],
}

/// What becomes of a client's field on its way to a backend. `proxy` is false for the integration type
/// `http`, to which only mapped fields go (IN-04); its `Content-Type` passes unless the verb is one of those
/// that [`copies_content_type`] refuses. `head_bytes` are the bytes that the field's spans are places in.
pub fn to_backend(kind: Kind, proxy: bool, field: &Field, head_bytes: &[u8]) -> Rule {
    match field.fate {
        Fate::Hop | Fate::Underscore => return Rule::Drop,
        Fate::Pass => {}
    }
    if !proxy {
        return match field.known {
            Name::ContentType | Name::ContentEncoding => Rule::Pass,
            _ => Rule::Drop,
        };
    }
    match field.known {
        // Written anew for the backend's connection: its own host, its own framing.
        Name::Host | Name::Connection | Name::ContentLength | Name::TransferEncoding | Name::Trailer => Rule::Drop,
        Name::Te | Name::Upgrade | Name::KeepAlive | Name::ProxyConnection | Name::Http2Settings => Rule::Drop,
        Name::ProxyAuthorization | Name::Expect => Rule::Drop,
        // Ours to say, whoever asks (P06).
        Name::Forwarded | Name::XRealIp | Name::ClientCert | Name::ClientCertChain => Rule::Drop,
        Name::XForwardedFor | Name::XForwardedHost | Name::XForwardedPort | Name::XForwardedProto => Rule::Drop,
        Name::XForwardedOther | Name::XAmznOther | Name::XAmznTraceId | Name::XAmznRequestid => Rule::Drop,
        Name::XAmznApigatewayApiId | Name::XAmznErrortype | Name::XAmzApigwId | Name::ApigwRequestid => Rule::Drop,
        _ => match kind {
            Kind::Rest | Kind::WebSocket => rest_to_backend(field, head_bytes),
            Kind::Http => Rule::Pass,
        },
    }
}

/// The rest of §4.1's list for a proxy integration, and RT-10.
fn rest_to_backend(field: &Field, head_bytes: &[u8]) -> Rule {
    match field.known {
        Name::ContentMd5 | Name::MaxForwards | Name::ProxyAuthenticate | Name::Server => Rule::Drop,
        Name::WwwAuthenticate | Name::Via | Name::XHttpMethodOverride => Rule::Drop,
        Name::Authorization if is_sigv4(field.value.of(head_bytes)) => Rule::Drop,
        _ => Rule::Pass,
    }
}

/// Whether an `Authorization` holds a SigV4 signature, which is meant for us (§4.1). SigV4a has a scheme of
/// its own.
fn is_sigv4(value: &[u8]) -> bool {
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"AWS4-HMAC-SHA256") || scheme.eq_ignore_ascii_case(b"AWS4-ECDSA-P256-SHA256")
}

/// What becomes of a backend's field on its way to the client. The client's framing, `Date` and ids are ours.
/// Of a non-proxy integration only mapped fields return, and this version maps none (IN-17).
pub fn to_client(kind: Kind, proxy: bool, field: &Field) -> Rule {
    if !proxy {
        return match field.known {
            Name::ContentEncoding if field.fate == Fate::Pass => Rule::Pass,
            _ => Rule::Drop,
        };
    }
    match kind {
        Kind::Rest | Kind::WebSocket => rest_to_client(field),
        Kind::Http => http_to_client(field),
    }
}

/// The column `HTTP_PROXY` of §4.1; what it does not cover follows the column of mapped values.
fn rest_to_client(field: &Field) -> Rule {
    match (field.known, field.fate) {
        (Name::Connection, _) => Rule::Remap,
        (_, Fate::Hop) | (Name::TransferEncoding | Name::Trailer | Name::Upgrade | Name::Te, _) => Rule::Drop,
        (Name::ContentLength | Name::Date | Name::Server, _) => Rule::Remap,
        (Name::XAmznRequestid | Name::WwwAuthenticate, _) => Rule::Remap,
        (Name::Authorization | Name::ContentMd5 | Name::Expect | Name::Host, _) => Rule::Remap,
        (Name::MaxForwards | Name::ProxyAuthenticate | Name::UserAgent, _) => Rule::Remap,
        (Name::Via | Name::XAmzApigwId, _) => Rule::Drop,
        _ => Rule::Pass,
    }
}

/// All but what concerns one connection, the framing, and what we say ourselves (§0.2).
fn http_to_client(field: &Field) -> Rule {
    match (field.known, field.fate) {
        (_, Fate::Hop) => Rule::Drop,
        (Name::Connection | Name::TransferEncoding | Name::Trailer | Name::Upgrade | Name::Te, _) => Rule::Drop,
        (Name::ContentLength | Name::KeepAlive | Name::ProxyConnection, _) => Rule::Drop,
        (Name::Date | Name::ApigwRequestid, _) => Rule::Drop,
        _ => Rule::Pass,
    }
}

/// Whether a non-proxy call of this verb takes the client's `Content-Type` along (IN-04).
pub const fn copies_content_type(verb: Verb) -> bool {
    !matches!(verb, Verb::Get | Verb::Head | Verb::Options)
}

/// Writes what every backend is told of the client and the call (§4.1, IN-21, RT-16): `X-Amzn-Trace-Id`, and
/// for a REST API `X-Amzn-Apigateway-Api-Id` and `X-Forwarded-*`, for an HTTP API `Forwarded`.
pub fn write_origin(kind: Kind, origin: &Origin<'_>, out: &mut Vec<u8>) {
    write::field(out, b"X-Amzn-Trace-Id", origin.trace_id);
    match kind {
        Kind::Rest | Kind::WebSocket => {
            write::field(out, b"X-Amzn-Apigateway-Api-Id", origin.api_id);
            write::field(out, b"X-Forwarded-For", origin.client_ip);
            write::field(out, b"X-Forwarded-Port", itoa::Buffer::new().format(origin.port).as_bytes());
            write::field(out, b"X-Forwarded-Proto", origin.scheme());
        }
        Kind::Http => write_forwarded(origin, out),
    }
}

/// `Forwarded: for=…;host=…;proto=…` (RFC 7239). What is no token stands in quotes; nothing that a host or an
/// address may contain needs an escape there.
fn write_forwarded(origin: &Origin<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Forwarded: for=");
    let v6 = origin.client_ip.contains(&b':');
    out.extend_from_slice(if v6 { b"\"[" } else { b"" });
    out.extend_from_slice(origin.client_ip);
    out.extend_from_slice(if v6 { b"]\"" } else { b"" });
    if is_quotable(origin.host) {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(origin.host);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(origin.scheme());
    out.extend_from_slice(b"\r\n");
}

/// Whether a host is there and can stand in quotes; one that the codec let pass always can.
fn is_quotable(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

impl Origin<'_> {
    const fn scheme(&self) -> &'static [u8] {
        if self.tls { b"https" } else { b"http" }
    }
}

/// Writes the fields that a non-proxy call has by itself (IN-04).
pub fn write_call_defaults(api_id: &[u8], out: &mut Vec<u8>) {
    write::field(out, b"Accept", b"application/json");
    out.extend_from_slice(b"User-Agent: AmazonAPIGateway_");
    out.extend_from_slice(api_id);
    out.extend_from_slice(b"\r\n");
}

/// Writes the ids that every answer bears, refusals included (§0.2). `None`: no API is known; it is answered
/// as a REST API would.
pub fn write_ids(kind: Option<Kind>, request_id: &[u8], extended_request_id: &[u8], out: &mut Vec<u8>) {
    match kind {
        Some(Kind::Rest | Kind::WebSocket) | None => {
            write::field(out, b"x-amzn-RequestId", request_id);
            write::field(out, b"x-amz-apigw-id", extended_request_id);
        }
        Some(Kind::Http) => write::field(out, b"Apigw-Requestid", request_id),
    }
}

/// Writes a backend's field under its remapped name (§4.1).
pub fn write_remapped(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(REMAPPED.as_bytes());
    write::field(out, name, value);
}
