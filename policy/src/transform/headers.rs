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
    /// The host that the client named, without port; may be empty. Of a trusted proxy's word, as it was written.
    pub host: &'a [u8],
    /// Whether that is a trusted proxy's word.
    pub host_is_told: bool,
    /// The port at which the client was accepted; 0 if there was none (a unix socket).
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
#[allow(clippy::match_same_arms, reason = "a table is read by its rows")]
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
        Name::Forwarded | Name::XRealIp | Name::ClientCert | Name::ClientCertChain | Name::ToldOfClient => Rule::Drop,
        Name::XForwardedFor | Name::XForwardedHost | Name::XForwardedPort | Name::XForwardedProto => Rule::Drop,
        Name::XForwardedOther | Name::XAmznOther | Name::XAmznTraceId | Name::XAmznRequestid => Rule::Drop,
        Name::XAmznApigatewayApiId | Name::XAmznErrortype | Name::XAmzApigwId | Name::ApigwRequestid => Rule::Drop,
        Name::Traceparent if !is_traceparent(field.value.of(head_bytes)) => Rule::Drop,
        _ => match kind {
            Kind::Rest | Kind::WebSocket => rest_to_backend(field, head_bytes),
            Kind::Http => Rule::Pass,
        },
    }
}

/// How often a request may still be passed on, by its `Max-Forwards` (RFC 9110 §7.6.2); `None` if that is no number. What is
/// beyond 32 bits is taken for their maximum.
pub fn forwards_left(value: &[u8]) -> Option<u32> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u32, digit: &u8| number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    Some(value.iter().fold(0, add))
}

/// Whether a `traceparent` has the form of W3C's Trace Context: of version 00, or of a later one with more behind it. Another is
/// nobody's trace, and may be somebody's attack on whoever collects them (row P12).
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = |text: &[u8]| hex(text) && text.iter().any(|byte| *byte != b'0');
    let Some((trace, more)) = value.split_at_checked(TRACEPARENT_BYTES) else { return false };
    let [version @ .., b'-'] = &trace[..3] else { return false };
    let sound = hex(version) && version != b"ff" && trace[35] == b'-' && trace[52] == b'-' && hex(&trace[53..]);
    sound && id(&trace[3..35]) && id(&trace[36..52]) && (more.is_empty() || version != b"00" && more[0] == b'-')
}

/// Bytes of a `traceparent` of version 00: two digits, 32, 16 and two, with dashes between.
const TRACEPARENT_BYTES: usize = 55;

/// The rest of §4.1's list for a proxy integration, and RT-10.
#[allow(clippy::match_same_arms, reason = "a table is read by its rows")]
fn rest_to_backend(field: &Field, head_bytes: &[u8]) -> Rule {
    match field.known {
        Name::ContentMd5 | Name::MaxForwards | Name::ProxyAuthenticate | Name::Server => Rule::Drop,
        Name::WwwAuthenticate | Name::Via | Name::XHttpMethodOverride => Rule::Drop,
        Name::Authorization if is_sigv4(field.value.of(head_bytes)) => Rule::Drop,
        _ => Rule::Pass,
    }
}

/// Whether an `Authorization` holds a SigV4 signature, which is meant for us (§4.1). Its asymmetric sister has a
/// scheme of its own.
fn is_sigv4(value: &[u8]) -> bool {
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"AWS4-HMAC-SHA256") || scheme.eq_ignore_ascii_case(b"AWS4-ECDSA-P256-SHA256")
}

/// What becomes of a backend's field on its way to the client. The client's framing, `Date` and ids are ours.
/// Of a non-proxy integration only mapped fields return (IN-17); those are not among these.
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
#[allow(clippy::match_same_arms, reason = "a table is read by its rows")]
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
#[allow(clippy::match_same_arms, reason = "a table is read by its rows")]
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
/// for a REST API `X-Amzn-Apigateway-Api-Id` and `X-Forwarded-*`, for an HTTP API `Forwarded`. An operator may have mapped
/// others in the place of `X-Forwarded-*`: `is_mapped`. There is one address in it, the client's: whoever reads the first of a
/// list and whoever reads the last find the same.
pub fn write_origin(kind: Kind, origin: &Origin<'_>, is_mapped: impl Fn(Name) -> bool, out: &mut Vec<u8>) {
    write::field(out, b"X-Amzn-Trace-Id", origin.trace_id);
    match kind {
        Kind::Rest | Kind::WebSocket => {
            write::field(out, b"X-Amzn-Apigateway-Api-Id", origin.api_id);
            if !is_mapped(Name::XForwardedFor) {
                write::field(out, b"X-Forwarded-For", origin.client_ip);
            }
            if origin.host_is_told && !is_mapped(Name::XForwardedHost) {
                write::field(out, b"X-Forwarded-Host", origin.host);
            }
            if origin.port != 0 && !is_mapped(Name::XForwardedPort) {
                write::field(out, b"X-Forwarded-Port", itoa::Buffer::new().format(origin.port).as_bytes());
            }
            if !is_mapped(Name::XForwardedProto) {
                write::field(out, b"X-Forwarded-Proto", origin.scheme());
            }
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

/// Writes the fields that a non-proxy call has by itself, where they are not mapped (IN-04).
pub fn write_call_defaults(api_id: &[u8], is_mapped: impl Fn(Name) -> bool, out: &mut Vec<u8>) {
    if !is_mapped(Name::Accept) {
        write::field(out, b"Accept", b"application/json");
    }
    if !is_mapped(Name::UserAgent) {
        out.extend_from_slice(b"User-Agent: AmazonAPIGateway_");
        out.extend_from_slice(api_id);
        out.extend_from_slice(b"\r\n");
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{request_field, response_field};

    #[test]
    fn p12_a_trace_has_its_form() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good.as_bytes()));
        assert!(is_traceparent(good.replacen("00", "cc", 1).as_bytes()));
        assert!(is_traceparent(format!("{}-more", good.replacen("00", "cc", 1)).as_bytes()));
        for bad in [
            "",
            "00",
            &good[..54],
            &format!("{good}-more"),
            &format!("{good}0"),
            &good.replacen("00", "ff", 1),
            &good.replacen("00", "cc", 1).replace("-01", "-01x"),
            &good.to_uppercase(),
            &good.replace('-', "_"),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good.replace("4b", "g7"),
            &good.replace("-01", "-\u{e4}"),
        ] {
            assert!(!is_traceparent(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn c14_forwards_are_counted_in_decimal() {
        for (value, left) in [
            ("0", Some(0)),
            ("00", Some(0)),
            ("010", Some(10)),
            ("4294967295", Some(u32::MAX)),
            ("99999999999999999999999", Some(u32::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1, 1", None),
            ("0x1", None),
        ] {
            assert_eq!(forwards_left(value.as_bytes()), left, "{value}");
        }
    }

    const P: Rule = Rule::Pass;
    const D: Rule = Rule::Drop;
    const R: Rule = Rule::Remap;

    /// (field, REST proxy, HTTP proxy, REST non-proxy, row)
    #[rustfmt::skip]
    const TO_BACKEND: &[(&str, Rule, Rule, Rule, &str)] = &[
        ("Connection: close", D, D, D, "§4.1"),
        ("Content-Length: 0", D, D, D, "§4.1"),
        ("Content-MD5: x", D, P, D, "§4.1"),
        ("Expect: 100-continue", D, D, D, "§4.1"),
        ("Max-Forwards: 5", D, P, D, "§4.1"),
        ("Proxy-Authenticate: Basic", D, D, D, "§4.1"),
        ("Server: x", D, P, D, "§4.1"),
        ("TE: trailers", D, D, D, "§4.1"),
        ("Transfer-Encoding: chunked", D, D, D, "§4.1"),
        ("Trailer: x", D, D, D, "§4.1"),
        ("Upgrade: h2c", D, D, D, "§4.1, C03"),
        ("HTTP2-Settings: x", D, D, D, "C03"),
        ("WWW-Authenticate: Basic", D, P, D, "§4.1"),
        ("Via: 1.1 x", D, P, D, "§4.1"),
        ("Content-Encoding: gzip", P, P, P, "§4.1 says dropped; bodies stream as they are"),
        ("Authorization: Bearer x", P, P, D, "§4.1"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=x", D, P, D, "§4.1"),
        ("authorization: aws4-ecdsa-p256-sha256 Credential=x", D, P, D, "§4.1, assumed"),
        ("Authorization: AWS4-HMAC-SHA256x y", P, P, D, "§4.1"),
        ("X-HTTP-Method-Override: PUT", D, P, D, "RT-10"),
        ("Keep-Alive: timeout=5", D, D, D, "C09"),
        ("Proxy-Connection: close", D, D, D, "C09"),
        ("Proxy-Authorization: Basic x", D, D, D, "C09"),
        ("X-Forwarded-For: 1.2.3.4", D, D, D, "P06, RT-16"),
        ("X-Forwarded-Host: evil", D, D, D, "P06"),
        ("X-Forwarded-Port: 1", D, D, D, "P06"),
        ("X-Forwarded-Proto: https", D, D, D, "P06"),
        ("X-Forwarded-Client-Cert: x", D, D, D, "P06"),
        ("X-Forwarded-Prefix: /x", D, D, D, "P06"),
        ("X_Forwarded_For: 1.2.3.4", D, D, D, "P06, S10"),
        ("Forwarded: for=1.2.3.4", D, D, D, "P06"),
        ("X-Real-IP: 1.2.3.4", D, D, D, "P06"),
        ("Client-Cert: :x:", D, D, D, "P06"),
        ("Client-Cert-Chain: :x:", D, D, D, "P06"),
        ("X-Amzn-Trace-Id: Root=1-0-0", D, D, D, "P06, §4.1"),
        ("X-Amzn-Apigateway-Api-Id: x", D, D, D, "P06, §4.1"),
        ("x-amzn-oidc-identity: root", D, D, D, "P06"),
        ("x-amzn-RequestId: x", D, D, D, "P06, §0.2"),
        ("x-amz-apigw-id: x", D, D, D, "§0.2"),
        ("Apigw-Requestid: x", D, D, D, "§0.2"),
        ("X-Amz-Date: 20260101T000000Z", P, P, D, "IN-03"),
        ("X-Amz-Meta-A: x", P, P, D, "IN-03"),
        ("Content-Type: text/plain", P, P, P, "IN-03, IN-04"),
        ("Accept: */*", P, P, D, "IN-03, IN-04"),
        ("User-Agent: curl/8", P, P, D, "IN-03, IN-04"),
        ("Referer: /x", P, P, D, "IN-03"),
        ("Cookie: a=b", P, P, D, "IN-03"),
        ("X-Api-Key: x", P, P, D, "IN-03"),
        ("Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", P, P, D, "IN-03"),
        ("Traceparent: 00-x", D, D, D, "P12"),
        ("X-Pet: rex", P, P, D, "IN-03"),
        ("X-Forwarde: x", P, P, D, "IN-03"),
    ];

    #[test]
    fn to_backends() {
        for &(line, rest, http, mapped, row) in TO_BACKEND {
            let (field, bytes) = request_field(line);
            assert_eq!(to_backend(Kind::Rest, true, &field, &bytes), rest, "{row}: {line}");
            assert_eq!(to_backend(Kind::WebSocket, true, &field, &bytes), rest, "{row}: {line}");
            assert_eq!(to_backend(Kind::Http, true, &field, &bytes), http, "{row}: {line}");
            assert_eq!(to_backend(Kind::Rest, false, &field, &bytes), mapped, "{row}: {line}");
        }
    }

    #[test]
    fn the_host_never_passes_by_itself() {
        let text = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        let mut head = codec::head::RequestHead::new();
        codec::http1::parse::parse_request(text, &mut head, &codec::head::HeadLimits::REQUEST).unwrap();
        for kind in [Kind::Rest, Kind::Http, Kind::WebSocket] {
            for proxy in [true, false] {
                assert_eq!(to_backend(kind, proxy, &head.fields[0], text), D, "§4.1, P10");
            }
        }
    }

    #[test]
    fn what_connection_names_goes_no_further() {
        let text = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\r\n";
        let mut head = codec::head::RequestHead::new();
        codec::http1::parse::parse_request(text, &mut head, &codec::head::HeadLimits::REQUEST).unwrap();
        assert_eq!(to_backend(Kind::Http, true, &head.fields[2], text), D, "C01");
    }

    /// (field, REST proxy, HTTP proxy, row)
    #[rustfmt::skip]
    const TO_CLIENT: &[(&str, Rule, Rule, &str)] = &[
        ("Connection: close", R, D, "§4.1"),
        ("Content-Length: 5", R, D, "§4.1"),
        ("Date: x", R, D, "§4.1, §0.2"),
        ("Server: x", R, P, "§4.1"),
        ("x-amzn-RequestId: x", R, P, "§4.1"),
        ("WWW-Authenticate: Basic", R, P, "§4.1"),
        ("Authorization: x", R, P, "§4.1 by the column of mapped values, assumed"),
        ("Content-MD5: x", R, P, "the same, assumed"),
        ("Expect: x", R, P, "the same, assumed"),
        ("Host: x", R, P, "the same, assumed"),
        ("Max-Forwards: 1", R, P, "the same, assumed"),
        ("User-Agent: x", R, P, "the same, assumed"),
        ("Trailer: x", D, D, "§4.1, AWS's own table, assumed"),
        ("Upgrade: h2", D, D, "§4.1, AWS's own table, assumed"),
        ("TE: x", D, D, "§4.1, AWS's own table, assumed"),
        ("Transfer-Encoding: chunked", D, D, "§4.1"),
        ("Keep-Alive: timeout=5", D, D, "C09"),
        ("Proxy-Connection: close", D, D, "C09"),
        ("Via: 1.1 x", D, P, "§4.1"),
        ("Content-Encoding: gzip", P, P, "§4.1 says dropped; bodies stream as they are"),
        ("x-amz-apigw-id: x", D, P, "§0.2"),
        ("Apigw-Requestid: x", P, D, "§0.2"),
        ("X-Amzn-Trace-Id: Root=1-0-0", P, P, "§0.2"),
        ("Access-Control-Allow-Origin: *", P, P, "§4.1"),
        ("Content-Type: text/html", P, P, "§0.2"),
        ("Set-Cookie: a=b", P, P, "§4.1"),
        ("Location: /x", P, P, "§4.1"),
        ("Vary: Accept", P, P, "§4.1"),
        ("X-Pet: rex", P, P, "§4.1"),
        ("x_pet: rex", P, P, "S10 concerns requests"),
    ];

    #[test]
    fn to_clients() {
        for &(line, rest, http, row) in TO_CLIENT {
            let field = response_field(line);
            assert_eq!(to_client(Kind::Rest, true, &field), rest, "{row}: {line}");
            assert_eq!(to_client(Kind::WebSocket, true, &field), rest, "{row}: {line}");
            assert_eq!(to_client(Kind::Http, true, &field), http, "{row}: {line}");
            let mapped = if field.known == Name::ContentEncoding { P } else { D };
            assert_eq!(to_client(Kind::Rest, false, &field), mapped, "IN-17: {line}");
        }
    }

    #[test]
    fn content_types_are_copied_where_a_body_may_be() {
        let copied: Vec<_> = Verb::ALL.into_iter().filter(|verb| copies_content_type(*verb)).collect();
        assert_eq!(copied, [Verb::Delete, Verb::Patch, Verb::Post, Verb::Put], "IN-04");
    }

    fn origin<'a>(client_ip: &'a str, host: &'a str, tls: bool) -> Origin<'a> {
        Origin {
            client_ip: client_ip.as_bytes(),
            host: host.as_bytes(),
            host_is_told: false,
            port: 8443,
            tls,
            api_id: b"a1b2",
            trace_id: b"Root=1-5759e988-bd862e3fe1be46a994272793",
        }
    }

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_backends_are_told() {
        let rest = written(|out| write_origin(Kind::Rest, &origin("203.0.113.9", "h", true), |_| false, out));
        assert_eq!(
            rest,
            "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793\r\n\
             X-Amzn-Apigateway-Api-Id: a1b2\r\n\
             X-Forwarded-For: 203.0.113.9\r\n\
             X-Forwarded-Port: 8443\r\n\
             X-Forwarded-Proto: https\r\n",
            "§4.1, IN-21"
        );
        // RT-16
        let cases = [
            ("203.0.113.9", "h.example", "for=203.0.113.9;host=\"h.example\";proto=http"),
            ("2001:db8::1", "[::1]", "for=\"[2001:db8::1]\";host=\"[::1]\";proto=http"),
            ("203.0.113.9", "", "for=203.0.113.9;proto=http"),
            ("203.0.113.9", "a\"b", "for=203.0.113.9;proto=http"),
        ];
        for (ip, host, forwarded) in cases {
            let http = written(|out| write_origin(Kind::Http, &origin(ip, host, false), |_| false, out));
            let expected =
                format!("X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793\r\nForwarded: {forwarded}\r\n");
            assert_eq!(http, expected, "{host}");
        }
    }

    #[test]
    fn p06_a_trusted_proxys_host_is_passed_on() {
        let origin = Origin { host_is_told: true, ..origin("203.0.113.9", "api.example.com:8443", true) };
        let rest = written(|out| write_origin(Kind::Rest, &origin, |_| false, out));
        assert!(rest.contains("\r\nX-Forwarded-Host: api.example.com:8443\r\n"), "{rest}");
        let mapped = written(|out| write_origin(Kind::Rest, &origin, |name| name == Name::XForwardedHost, out));
        assert!(!mapped.contains("X-Forwarded-Host"), "{mapped}");
        let http = written(|out| write_origin(Kind::Http, &origin, |_| false, out));
        assert!(http.contains("Forwarded: for=203.0.113.9;host=\"api.example.com:8443\";proto=https\r\n"), "{http}");
    }

    #[test]
    fn our_own_fields() {
        let defaults = written(|out| write_call_defaults(b"a1b2", |_| false, out));
        assert_eq!(defaults, "Accept: application/json\r\nUser-Agent: AmazonAPIGateway_a1b2\r\n", "IN-04");
        for kind in [Some(Kind::Rest), Some(Kind::WebSocket), None] {
            let ids = written(|out| write_ids(kind, b"id", b"long=", out));
            assert_eq!(ids, "x-amzn-RequestId: id\r\nx-amz-apigw-id: long=\r\n", "§0.2");
        }
        let ids = written(|out| write_ids(Some(Kind::Http), b"id", b"long=", out));
        assert_eq!(ids, "Apigw-Requestid: id\r\n", "§0.2");
        let remapped = written(|out| write_remapped(b"Server", b"x", out));
        assert_eq!(remapped, "x-amzn-Remapped-Server: x\r\n", "§4.1");
    }
}
