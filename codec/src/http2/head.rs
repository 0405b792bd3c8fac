//! A request that came as fields, made into a head like any other: the same limits, the same rules, and those of RFC 9113 §8.
//!
//! What a library under it has checked already (pseudo-fields, capitals, connection-specific fields) is checked here again where
//! that is cheap: whoever forwards a field to HTTP/1 answers for it (rows T10 to T16).

use crate::head::{Framing, HeadLimits, Name, RequestHead, Span, Version};
use crate::http1::misbehave::Misbehaviour;
use crate::http1::{is_target, is_token, is_value, same_place, settle_request};
use crate::limits;

/// The pseudo-fields of a request, and what its frame says.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:scheme`.
    pub scheme: Option<&'a [u8]>,
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// `:path`; `None`: a CONNECT without one.
    pub path: Option<&'a [u8]>,
    /// `:protocol`, of an extended CONNECT (RFC 8441).
    pub protocol: Option<&'a [u8]>,
    /// Whether the stream ends with the head.
    pub ends: bool,
    /// 24 letters of base64 for the handshake with a backend, if a WebSocket is asked for: HTTP/2 has none.
    pub key: [u8; 24],
}

/// Describes a request in `head`, its bytes in `out`, which has to be empty. Fields of one name come one after the other.
///
/// An extended CONNECT for a WebSocket becomes the handshake of HTTP/1, with a key of ours: all that is checked of one is checked
/// of the other.
pub fn request<'a>(
    asked: &Asked<'_>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    out: &mut Vec<u8>,
    head: &mut RequestHead,
    limits: &HeadLimits,
) -> Result<(), Misbehaviour> {
    let limits = limits.clamped();
    let mut written = Written { out, head, limits, lines: 0 };
    let is_upgrade = written.start(asked)?;
    if let Some(authority) = asked.authority {
        written.field(b"host", authority)?;
    }
    let port = if asked.scheme == Some(b"https") { 443 } else { 80 };
    let mut has_host = false;
    for (name, value) in fields {
        match Name::of(name) {
            Name::Host if asked.authority.is_some() => {
                if std::mem::replace(&mut has_host, true) {
                    return Err(Misbehaviour::HostTwice);
                }
                let host = written.head.fields[0].value;
                if !same_place(host.of(written.out), value, port)? {
                    return Err(Misbehaviour::AuthorityMismatch);
                }
                written.count(name, value)?;
            }
            Name::SecWebSocketKey if is_upgrade => {}
            Name::Cookie if written.adds_crumb() => written.crumb(name, value)?,
            known if is_of_http1(known) => return Err(Misbehaviour::ConnectionSpecific),
            Name::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(Misbehaviour::ConnectionSpecific),
            _ => written.field(name, value)?,
        }
    }
    let out = &*written.out;
    let framing = if asked.ends || is_upgrade { Framing::None } else { Framing::Chunked };
    written.head.length = out.len();
    settle_request(out, written.head, framing)?;
    if !is_upgrade {
        return Ok(());
    }
    if written.head.framing != Framing::None {
        return Err(Misbehaviour::ProtocolUnknown);
    }
    written.limits = HeadLimits { fields: limits::FIELDS_MAX as u16, field_bytes: u32::MAX, ..limits };
    for (name, value) in
        [(&b"connection"[..], &b"Upgrade"[..]), (b"upgrade", b"websocket"), (b"sec-websocket-key", &asked.key)]
    {
        written.field(name, value)?;
    }
    written.head.length = written.out.len();
    settle_request(written.out, written.head, Framing::None)
}

/// Fields that mean something on a connection of HTTP/1 alone.
fn is_of_http1(name: Name) -> bool {
    matches!(name, Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade)
}

/// A head being described.
struct Written<'a> {
    out: &'a mut Vec<u8>,
    head: &'a mut RequestHead,
    limits: HeadLimits,
    /// Fields so far as the client sent them: crumbs of a cookie count each.
    lines: usize,
}

impl Written<'_> {
    /// Method, target and version; whether a WebSocket is asked for.
    fn start(&mut self, asked: &Asked<'_>) -> Result<bool, Misbehaviour> {
        let is_connect = asked.method == b"CONNECT";
        match (is_connect, asked.protocol) {
            (true, None) => return Err(Misbehaviour::ConnectRefused),
            (true, Some(protocol)) if protocol != b"websocket" => return Err(Misbehaviour::ProtocolUnknown),
            (false, Some(_)) => return Err(Misbehaviour::ProtocolUnknown),
            _ => {}
        }
        if asked.scheme.is_some_and(|scheme| scheme != b"http" && scheme != b"https") {
            return Err(Misbehaviour::SchemeUnknown);
        }
        let method = if is_connect { b"GET" } else { asked.method };
        if !is_token(method) {
            return Err(Misbehaviour::MethodMalformed);
        }
        if method.len() > limits::METHOD_MAX {
            return Err(Misbehaviour::MethodTooLong);
        }
        let path = asked.path.unwrap_or_default();
        if path.len() > self.limits.target as usize {
            return Err(Misbehaviour::TargetTooLong);
        }
        if !(path.first() == Some(&b'/') || path == b"*") || !is_target(path) {
            return Err(Misbehaviour::TargetMalformed);
        }
        self.head.fields.clear();
        self.head.version = Version::Http2;
        self.out.extend_from_slice(method);
        self.head.method = Span::new(0, method.len());
        self.out.push(b' ');
        self.head.target = self.append(path);
        self.out.extend_from_slice(b"\r\n");
        Ok(is_connect)
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.out.len();
        self.out.extend_from_slice(bytes);
        Span::new(start, self.out.len())
    }

    /// A field that stands for itself.
    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Misbehaviour> {
        self.count(name, value)?;
        let known = Name::of(name);
        let name = self.append(name);
        self.out.extend_from_slice(b": ");
        let value = self.append(value);
        self.out.extend_from_slice(b"\r\n");
        if self.head.fields.push(name, value, known) { Ok(()) } else { Err(Misbehaviour::TooManyFields) }
    }

    /// Checks a field and counts it as HTTP/1 would: its line, with what stands around name and value.
    fn count(&mut self, name: &[u8], value: &[u8]) -> Result<(), Misbehaviour> {
        self.lines += 1;
        if self.lines > self.limits.fields as usize {
            return Err(Misbehaviour::TooManyFields);
        }
        // The line itself, the method and the target lie before it.
        let line = name.len() + value.len() + 4;
        let before = self.head.target.end as usize + 2;
        if self.out.len() + line - before > self.limits.field_bytes as usize {
            return Err(Misbehaviour::FieldsTooLarge);
        }
        if self.out.len() + line + 2 > self.limits.head as usize {
            return Err(Misbehaviour::HeadTooLarge);
        }
        if !is_token(name) || name.iter().any(u8::is_ascii_uppercase) {
            return Err(Misbehaviour::NameNotLower);
        }
        match value {
            [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => Err(Misbehaviour::SpaceAroundValue),
            value if value.contains(&b'\0') => Err(Misbehaviour::NulInValue),
            value if !is_value(value) => Err(Misbehaviour::ControlInValue),
            _ => Ok(()),
        }
    }

    /// Whether the field before is a cookie, which the next one belongs to (RFC 9113 §8.2.3).
    fn adds_crumb(&self) -> bool {
        self.head.fields.last().is_some_and(|field| field.known == Name::Cookie)
    }

    fn crumb(&mut self, name: &[u8], value: &[u8]) -> Result<(), Misbehaviour> {
        self.count(name, value)?;
        // Over the line's end.
        self.out.truncate(self.out.len() - 2);
        self.out.extend_from_slice(b"; ");
        let end = self.append(value).end;
        self.out.extend_from_slice(b"\r\n");
        if let Some(cookie) = self.head.fields.last_mut() {
            cookie.value.end = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Fate;
    use crate::websocket;

    const GET: Asked<'_> = Asked {
        method: b"GET",
        scheme: Some(b"https"),
        authority: Some(b"a.example"),
        path: Some(b"/pets?x=1"),
        protocol: None,
        ends: true,
        key: *b"dGhlIHNhbXBsZSBub25jZQ==",
    };

    fn read(asked: &Asked<'_>, fields: &[(&str, &str)]) -> Result<(RequestHead, Vec<u8>), Misbehaviour> {
        let (mut head, mut out) = (RequestHead::new(), Vec::new());
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        request(asked, fields, &mut out, &mut head, &HeadLimits::REQUEST).map(|()| (head, out))
    }

    fn refused(asked: &Asked<'_>, fields: &[(&str, &str)]) -> Misbehaviour {
        read(asked, fields).expect_err("it is refused")
    }

    #[test]
    fn a_request_is_a_head_like_any_other() {
        let (head, bytes) = read(&GET, &[("accept", "*/*"), ("x_y", "1"), ("te", "trailers")]).expect("a head");
        assert_eq!((head.method.of(&bytes), head.host.of(&bytes)), (&b"GET"[..], &b"a.example"[..]));
        assert_eq!(
            (head.path.of(&bytes), head.query.map(|query| query.of(&bytes))),
            (&b"/pets"[..], Some(&b"x=1"[..]))
        );
        assert_eq!((head.framing, head.version, head.keep_alive), (Framing::None, Version::Http2, true));
        let fates: Vec<_> = head.fields.iter().map(|field| (field.name.of(&bytes), field.fate)).collect();
        let expected: [(&[u8], _); 4] =
            [(b"host", Fate::Pass), (b"accept", Fate::Pass), (b"x_y", Fate::Underscore), (b"te", Fate::Hop)];
        assert_eq!(fates, expected);
        assert_eq!(head.length, bytes.len());
    }

    #[test]
    fn a_body_is_announced_or_open() {
        let open = Asked { method: b"POST", ends: false, ..GET };
        let framing = |asked, fields| read(asked, fields).expect("a head").0.framing;
        assert_eq!(framing(&open, &[]), Framing::Chunked);
        assert_eq!(framing(&open, &[("content-length", "5")]), Framing::Length(5));
        assert_eq!(framing(&GET, &[("content-length", "0")]), Framing::Length(0));
        let (head, _) = read(&open, &[("expect", "100-continue")]).expect("a head");
        assert!(head.expect_continue);
        assert_eq!(refused(&open, &[("content-length", "2"), ("content-length", "2")]), Misbehaviour::LengthTwice);
    }

    #[test]
    fn crumbs_are_one_cookie_and_count_each() {
        let (head, bytes) = read(&GET, &[("cookie", "a=1"), ("cookie", "b=2"), ("accept", "x")]).expect("a head");
        let values: Vec<_> = head.fields.iter().map(|field| field.value.of(&bytes)).collect();
        assert_eq!(values, [&b"a.example"[..], b"a=1; b=2", b"x"]);
        let crumbs = vec![("cookie", "a"); limits::REQUEST_FIELDS as usize - 1];
        assert!(read(&GET, &crumbs).is_ok());
        let crumbs = vec![("cookie", "a"); limits::REQUEST_FIELDS as usize];
        assert_eq!(refused(&GET, &crumbs), Misbehaviour::TooManyFields);
    }

    #[test]
    fn t08_fields_are_bounded_in_bytes() {
        let long = "x".repeat(5_000);
        assert!(read(&GET, &[("a", &long), ("b", &long)]).is_ok());
        assert_eq!(refused(&GET, &[("a", &long), ("b", &long), ("c", &long)]), Misbehaviour::FieldsTooLarge);
        let path = format!("/{}", "x".repeat(limits::REQUEST_TARGET_BYTES as usize));
        let asked = Asked { path: Some(path.as_bytes()), ..GET };
        assert_eq!(refused(&asked, &[]), Misbehaviour::TargetTooLong);
    }

    #[test]
    fn t10_t16_nothing_that_could_split_a_message_passes() {
        assert_eq!(refused(&GET, &[("Accept", "x")]), Misbehaviour::NameNotLower);
        assert_eq!(refused(&GET, &[("a:b", "x")]), Misbehaviour::NameNotLower);
        assert_eq!(refused(&GET, &[("", "x")]), Misbehaviour::NameNotLower);
        assert_eq!(refused(&GET, &[("a", " x")]), Misbehaviour::SpaceAroundValue);
        assert_eq!(refused(&GET, &[("a", "x\t")]), Misbehaviour::SpaceAroundValue);
        assert_eq!(refused(&GET, &[("a", "x\r\nb: c")]), Misbehaviour::ControlInValue);
        assert_eq!(refused(&GET, &[("a", "x\0")]), Misbehaviour::NulInValue);
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
            assert_eq!(refused(&GET, &[(name, "x")]), Misbehaviour::ConnectionSpecific, "{name}");
        }
        assert_eq!(refused(&GET, &[("te", "gzip")]), Misbehaviour::ConnectionSpecific);
    }

    #[test]
    fn t13_paths_are_absolute_and_clean() {
        for path in ["", "pets", "http://x/", "/a b", "/a\r\n", "?x"] {
            assert_eq!(
                refused(&Asked { path: Some(path.as_bytes()), ..GET }, &[]),
                Misbehaviour::TargetMalformed,
                "{path}"
            );
        }
        assert_eq!(refused(&Asked { path: Some(b"/a#b"), ..GET }, &[]), Misbehaviour::FragmentInTarget);
        assert_eq!(refused(&Asked { path: Some(b"*"), ..GET }, &[]), Misbehaviour::AsteriskNotOptions);
        assert!(read(&Asked { method: b"OPTIONS", path: Some(b"*"), ..GET }, &[]).is_ok());
        assert_eq!(refused(&Asked { method: b"G T", ..GET }, &[]), Misbehaviour::MethodMalformed);
        assert_eq!(refused(&Asked { method: b"TRACE", ..GET }, &[]), Misbehaviour::TraceRefused);
        assert_eq!(refused(&Asked { scheme: Some(b"ftp"), ..GET }, &[]), Misbehaviour::SchemeUnknown);
    }

    #[test]
    fn t14_host_agrees_with_authority() {
        let (head, bytes) = read(&GET, &[("host", "A.example:443"), ("accept", "x")]).expect("the same place");
        assert_eq!((head.fields.len(), head.host.of(&bytes)), (2, &b"a.example"[..]));
        assert_eq!(refused(&GET, &[("host", "b.example")]), Misbehaviour::AuthorityMismatch);
        assert_eq!(refused(&GET, &[("host", "a@b")]), Misbehaviour::HostMalformed);
        assert_eq!(refused(&GET, &[("host", "a.example"), ("host", "a.example")]), Misbehaviour::HostTwice);
        let without = Asked { authority: None, ..GET };
        assert_eq!(refused(&without, &[]), Misbehaviour::HostMissing);
        assert_eq!(refused(&without, &[("host", "a"), ("host", "a")]), Misbehaviour::HostTwice);
        let (head, bytes) = read(&without, &[("host", "b.example")]).expect("a head");
        assert_eq!(head.host.of(&bytes), b"b.example");
    }

    #[test]
    fn t26_an_extended_connect_is_a_handshake() {
        let connect = Asked { method: b"CONNECT", protocol: Some(b"websocket"), ends: false, ..GET };
        let fields = [("sec-websocket-version", "13"), ("sec-websocket-key", "mine"), ("origin", "https://a")];
        let (head, bytes) = read(&connect, &fields).expect("a handshake");
        assert_eq!((head.method.of(&bytes), head.framing), (&b"GET"[..], Framing::None));
        assert!(matches!(websocket::asked(&head, &bytes), websocket::Asked::Handshake(_)));
        assert_eq!(refused(&Asked { protocol: None, ..connect }, &fields), Misbehaviour::ConnectRefused);
        assert_eq!(refused(&Asked { protocol: Some(b"h2c"), ..connect }, &fields), Misbehaviour::ProtocolUnknown);
        assert_eq!(refused(&connect, &[("content-length", "3")]), Misbehaviour::ProtocolUnknown);
        assert_eq!(refused(&connect, &[("upgrade", "websocket")]), Misbehaviour::ConnectionSpecific);
    }
}
