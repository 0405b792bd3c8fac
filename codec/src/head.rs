//! Heads of requests and responses: what was received, as spans over the buffer that it was received in.
//!
//! A head holds no bytes and no heap: it is made once per connection and filled again for each message. Spans are valid for
//! the buffer that was parsed, and for a copy of it.

use serde::{Deserialize, Serialize};

use std::ops::{Deref, DerefMut};

use crate::limits;

/// A piece of the received buffer: `start..end`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u16,
    /// One past the last byte.
    pub end: u16,
}

impl Span {
    /// The span `start..end`. Both are below 65,536, since heads are (`limits::HEAD_MAX`).
    pub const fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= u16::MAX as usize);
        Span { start: start as u16, end: end as u16 }
    }

    /// The bytes. Panics if `buf` is shorter than the buffer that was parsed.
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }

    /// Bytes in it.
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether no byte is in it.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The protocol's version; HTTP/1.2 to 1.9 are treated as 1.1 (row S23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1 and what calls itself a later 1.x.
    #[default]
    Http11,
    /// HTTP/2: a head that came as fields, and never as text.
    Http2,
}

macro_rules! names {
    ($($variant:ident = $text:literal,)*) => {
        /// The fields that some rule looks at, so that no rule compares text. Names are ASCII and case-insensitive.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "a variant's documentation is the field's name")]
        pub enum Name {
            /// A field that no rule knows by name.
            #[default]
            Other,
            /// Any `X-Forwarded-…` that has no variant of its own.
            XForwardedOther,
            /// What proxies tell of a client under names of their own: its certificate, its address, who it is (row P06).
            ToldOfClient,
            /// Any `X-Amzn-…` that has no variant of its own.
            XAmznOther,
            /// Any `X-Amz-…` that has no variant of its own.
            XAmzOther,
            $($variant,)*
        }

        impl Name {
            /// Every name that stands for exactly one field.
            pub const KNOWN: &[Name] = &[$(Name::$variant,)*];

            /// The field's usual spelling; for the groups and `Other`, which stand for many, the empty string.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Name::Other
                    | Name::XForwardedOther
                    | Name::ToldOfClient
                    | Name::XAmznOther
                    | Name::XAmzOther => "",
                    $(Name::$variant => $text,)*
                }
            }
        }
    };
}

names! {
    Accept = "Accept",
    AcceptCharset = "Accept-Charset",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AcceptRanges = "Accept-Ranges",
    AccessControlAllowCredentials = "Access-Control-Allow-Credentials",
    AccessControlAllowHeaders = "Access-Control-Allow-Headers",
    AccessControlAllowMethods = "Access-Control-Allow-Methods",
    AccessControlAllowOrigin = "Access-Control-Allow-Origin",
    AccessControlExposeHeaders = "Access-Control-Expose-Headers",
    AccessControlMaxAge = "Access-Control-Max-Age",
    AccessControlRequestHeaders = "Access-Control-Request-Headers",
    AccessControlRequestMethod = "Access-Control-Request-Method",
    Age = "Age",
    Allow = "Allow",
    AltSvc = "Alt-Svc",
    ApigwRequestid = "Apigw-Requestid",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    ClientCert = "Client-Cert",
    ClientCertChain = "Client-Cert-Chain",
    Connection = "Connection",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentLocation = "Content-Location",
    ContentMd5 = "Content-MD5",
    ContentRange = "Content-Range",
    ContentType = "Content-Type",
    Cookie = "Cookie",
    Date = "Date",
    Etag = "ETag",
    Expect = "Expect",
    Expires = "Expires",
    Forwarded = "Forwarded",
    Host = "Host",
    Http2Settings = "HTTP2-Settings",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    KeepAlive = "Keep-Alive",
    LastModified = "Last-Modified",
    Location = "Location",
    MaxForwards = "Max-Forwards",
    Origin = "Origin",
    Pragma = "Pragma",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyConnection = "Proxy-Connection",
    Range = "Range",
    Referer = "Referer",
    RetryAfter = "Retry-After",
    SecWebSocketAccept = "Sec-WebSocket-Accept",
    SecWebSocketExtensions = "Sec-WebSocket-Extensions",
    SecWebSocketKey = "Sec-WebSocket-Key",
    SecWebSocketProtocol = "Sec-WebSocket-Protocol",
    SecWebSocketVersion = "Sec-WebSocket-Version",
    Server = "Server",
    SetCookie = "Set-Cookie",
    Te = "TE",
    Traceparent = "Traceparent",
    Tracestate = "Tracestate",
    Trailer = "Trailer",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    UserAgent = "User-Agent",
    Vary = "Vary",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
    XAmzApigwId = "X-Amz-Apigw-Id",
    XAmzContentSha256 = "X-Amz-Content-Sha256",
    XAmzDate = "X-Amz-Date",
    XAmzInvocationType = "X-Amz-Invocation-Type",
    XAmzSecurityToken = "X-Amz-Security-Token",
    XAmzTarget = "X-Amz-Target",
    XAmznApigatewayApiId = "X-Amzn-Apigateway-Api-Id",
    XAmznErrortype = "X-Amzn-ErrorType",
    XAmznRequestid = "X-Amzn-RequestId",
    XAmznTraceId = "X-Amzn-Trace-Id",
    XApiKey = "X-Api-Key",
    XForwardedFor = "X-Forwarded-For",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedPort = "X-Forwarded-Port",
    XForwardedProto = "X-Forwarded-Proto",
    XHttpMethodOverride = "X-HTTP-Method-Override",
    XRealIp = "X-Real-IP",
}

impl Name {
    /// The name of these bytes, whatever their case: the length picks a few candidates, two masked words one of them.
    pub fn of(name: &[u8]) -> Name {
        if let Some(&(first, past)) = BUCKETS.get(name.len()) {
            let (front, back) = words(name);
            for key in &KEYS[first as usize..past as usize] {
                if front | key.letters.0 == key.words.0
                    && back | key.letters.1 == key.words.1
                    && (name.len() <= 16 || name.eq_ignore_ascii_case(key.name.as_str().as_bytes()))
                {
                    return key.name;
                }
            }
        }
        group(name)
    }
}

/// What tells a name from others of its length: its words in small letters, and where in them letters stand. The words cover
/// all of a name of up to 16 bytes; a longer one is compared in full after them.
#[derive(Clone, Copy)]
struct Key {
    words: (u64, u64),
    /// 0x20 for each letter, which makes it small; nothing elsewhere, so that no other byte passes for a dash or a digit.
    letters: (u64, u64),
    name: Name,
}

const LONGEST: usize = longest();
const KEYS: [Key; Name::KNOWN.len()] = keys();
const BUCKETS: [(u8, u8); LONGEST + 1] = buckets();

const fn longest() -> usize {
    let mut longest = 0;
    let mut at = 0;
    while at < Name::KNOWN.len() {
        let len = Name::KNOWN[at].as_str().len();
        if len > longest {
            longest = len;
        }
        at += 1;
    }
    longest
}

/// All names, the shortest first.
const fn keys() -> [Key; Name::KNOWN.len()] {
    let mut keys = [Key { words: (0, 0), letters: (0, 0), name: Name::Other }; Name::KNOWN.len()];
    let mut filled = 0;
    let mut len = 0;
    while len <= LONGEST {
        let mut at = 0;
        while at < Name::KNOWN.len() {
            let name = Name::KNOWN[at];
            if name.as_str().len() == len {
                keys[filled] = key(name);
                filled += 1;
            }
            at += 1;
        }
        len += 1;
    }
    keys
}

/// For each length, where in `KEYS` its names begin and end.
const fn buckets() -> [(u8, u8); LONGEST + 1] {
    let mut buckets = [(0, 0); LONGEST + 1];
    let mut at = 0;
    while at < KEYS.len() {
        let len = KEYS[at].name.as_str().len();
        if buckets[len].1 == 0 {
            buckets[len].0 = at as u8;
        }
        buckets[len].1 = at as u8 + 1;
        at += 1;
    }
    buckets
}

const fn key(name: Name) -> Key {
    let text = name.as_str().as_bytes();
    let mut letters = [0; LONGEST];
    let mut at = 0;
    while at < text.len() {
        if text[at].is_ascii_alphabetic() {
            letters[at] = 0x20;
        }
        at += 1;
    }
    let (front, back) = words(text);
    let letters = words(letters.split_at(text.len()).0);
    Key { words: (front | letters.0, back | letters.1), letters, name }
}

/// The first and the last eight bytes; of a shorter name four, or two and the last one. They overlap, and leave out nothing
/// of a name of up to 16 bytes.
const fn words(name: &[u8]) -> (u64, u64) {
    if let (Some(front), Some(back)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (u64::from_le_bytes(*front), u64::from_le_bytes(*back))
    } else if let (Some(front), Some(back)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (u32::from_le_bytes(*front) as u64, u32::from_le_bytes(*back) as u64)
    } else if let (Some(front), Some(back)) = (name.first_chunk::<2>(), name.last()) {
        (u16::from_le_bytes(*front) as u64, *back as u64)
    } else if let [only] = name {
        (*only as u64, 0)
    } else {
        (0, 0)
    }
}

/// The group of a name that has no variant of its own.
fn group(name: &[u8]) -> Name {
    let begins = |with: &[u8]| name.len() > with.len() && name[..with.len()].eq_ignore_ascii_case(with);
    match name {
        [b'x' | b'X', b'-', b'a' | b'A', ..] if begins(b"x-amzn-") => Name::XAmznOther,
        [b'x' | b'X', b'-', b'a' | b'A', ..] if begins(b"x-amz-") => Name::XAmzOther,
        [b'x' | b'X', b'-', b'f' | b'F', ..] if begins(b"x-forwarded-") => Name::XForwardedOther,
        [b'x' | b'X' | b's' | b'S' | b'r' | b'R' | b't' | b'T', ..] if is_told_of_client(name) => Name::ToldOfClient,
        _ => Name::Other,
    }
}

/// Row P06: nginx's, Apache's, HAProxy's, Traefik's, Akamai's and oauth2-proxy's names for it.
#[inline(never)]
fn is_told_of_client(name: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] = [b"x-ssl-client-", b"ssl-client-", b"x-client-cert", b"x-auth-request-"];
    const NAMES: [&[u8]; 6] =
        [b"remote-user", b"x-remote-user", b"true-client-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-forwarded"];
    let begins = |with: &&[u8]| name.len() >= with.len() && name[..with.len()].eq_ignore_ascii_case(with);
    BEGINNINGS.iter().any(begins) || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// What becomes of a field on its way through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It may be forwarded, if the API's own rules let it.
    #[default]
    Pass,
    /// It concerns this connection only, by itself or because Connection names it (rows C01, C03, C09). Never forwarded.
    Hop,
    /// A request field with `_` in its name, which some backends read as `-` (row S10). Never forwarded.
    Underscore,
}

/// One field line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The name as received.
    pub name: Span,
    /// The value as received, without the blanks around it; may be empty.
    pub value: Span,
    /// The name, if a rule knows it.
    pub known: Name,
    /// What becomes of it.
    pub fate: Fate,
}

/// The fields of a head in the order received; a fixed array, so that a head needs no heap.
#[derive(Clone)]
pub struct Fields {
    list: [Field; limits::FIELDS_MAX],
    len: u16,
}

impl Fields {
    /// No fields.
    pub const fn new() -> Fields {
        const EMPTY: Field = Field {
            name: Span { start: 0, end: 0 },
            value: Span { start: 0, end: 0 },
            known: Name::Other,
            fate: Fate::Pass,
        };
        Fields { list: [EMPTY; limits::FIELDS_MAX], len: 0 }
    }

    /// Forgets all fields.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The first field of this name. `Name::Other` and the groups find the first of many.
    pub fn get(&self, name: Name) -> Option<&Field> {
        self.iter().find(|field| field.known == name)
    }

    /// Adds a field whose name is still to be classified; false if there is no room.
    pub(crate) fn push(&mut self, name: Span, value: Span, known: Name) -> bool {
        let Some(slot) = self.list.get_mut(self.len as usize) else {
            return false;
        };
        *slot = Field { name, value, known, fate: Fate::Pass };
        self.len += 1;
        true
    }
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::new()
    }
}

impl Deref for Fields {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        &self.list[..self.len as usize]
    }
}

impl DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut [Field] {
        &mut self.list[..self.len as usize]
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        **self == **other
    }
}

impl Eq for Fields {}

/// How long a message's body is, and how its end is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// A body of so many bytes; zero if the peer said so.
    Length(u64),
    /// A chunked body.
    Chunked,
    /// Everything until the connection closes; responses only.
    UntilClose,
}

/// The head of a request. Its contents mean something only after `parse_request` said `Complete`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, a token as received; case matters.
    pub method: Span,
    /// The whole request target as received.
    pub target: Span,
    /// The target's path. Begins with `/`, except that it is `*` if `asterisk`. An absolute target without a path has `/`.
    pub path: Span,
    /// What follows the first `?`, without it.
    pub query: Option<Span>,
    /// The authority of an absolute target, with its port.
    pub authority: Option<Span>,
    /// Whether the target is `*` (OPTIONS only).
    pub asterisk: bool,
    /// The version.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
    /// Bytes of the head in the buffer, an empty line before it and the final CRLF included.
    pub length: usize,
    /// The body; never `UntilClose`.
    pub framing: Framing,
    /// Whether the client wants to keep the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before a body that is announced (row F31).
    pub expect_continue: bool,
    /// The Host without its port, as received; for HTTP/1.0 without Host, that of an absolute target, or empty.
    pub host: Span,
}

impl RequestHead {
    /// An empty head, to be filled by `parse_request`, again and again.
    pub fn new() -> RequestHead {
        RequestHead::default()
    }
}

/// The head of a response. Its contents mean something only after `parse_response` said `Complete`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The reason phrase as received; may be empty; never forwarded.
    pub reason: Span,
    /// The fields.
    pub fields: Fields,
    /// Bytes of the head, the final CRLF included.
    pub length: usize,
    /// The body.
    pub framing: Framing,
    /// Whether the connection may serve again once the body is read.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// An empty head, to be filled by `parse_response`, again and again.
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }
}

/// How large a head may be. `limits::FIELDS_MAX` and `limits::HEAD_MAX` hold whatever is asked for here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLimits {
    /// Field lines.
    pub fields: u16,
    /// Bytes of all field lines, line ends included.
    pub field_bytes: u32,
    /// Bytes of a request's target, or of a response's reason phrase.
    pub target: u32,
    /// Bytes of the whole head.
    pub head: u32,
}

impl HeadLimits {
    /// What a client may send unless the operator says otherwise.
    pub const REQUEST: HeadLimits = HeadLimits {
        fields: limits::REQUEST_FIELDS,
        field_bytes: limits::REQUEST_FIELD_BYTES,
        target: limits::REQUEST_TARGET_BYTES,
        head: limits::REQUEST_HEAD_BYTES,
    };

    /// What an upstream may send.
    pub const RESPONSE: HeadLimits = HeadLimits {
        fields: limits::RESPONSE_FIELDS,
        field_bytes: limits::RESPONSE_FIELD_BYTES,
        target: limits::RESPONSE_REASON_BYTES,
        head: limits::RESPONSE_HEAD_BYTES,
    };

    /// The limits that hold: never more than a head object can describe.
    pub(crate) fn clamped(&self) -> HeadLimits {
        HeadLimits {
            fields: self.fields.min(limits::FIELDS_MAX as u16),
            head: self.head.min(limits::HEAD_MAX as u32),
            ..*self
        }
    }
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits::REQUEST
    }
}

// A head is made per connection and copied never; it must stay small enough to live in a request's cell.
const _: () = assert!(size_of::<Field>() == 10);
const _: () = assert!(size_of::<RequestHead>() <= 1_408);
const _: () = assert!(size_of::<ResponseHead>() <= 1_344);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for &name in Name::KNOWN {
            let text = name.as_str();
            assert_eq!(Name::of(text.as_bytes()), name, "{text}");
            assert_eq!(Name::of(text.to_ascii_lowercase().as_bytes()), name, "{text}");
            assert_eq!(Name::of(text.to_ascii_uppercase().as_bytes()), name, "{text}");
        }
    }

    #[test]
    fn a_name_with_one_byte_changed_is_another() {
        for &name in Name::KNOWN {
            let text = name.as_str().as_bytes();
            for at in 0..text.len() {
                // 0x20 apart is the case of a letter, but not of a dash or a digit.
                for flip in [0x01, 0x20, 0x40, 0x80] {
                    let mut other = text.to_vec();
                    other[at] ^= flip;
                    if !other.eq_ignore_ascii_case(text) {
                        assert_ne!(Name::of(&other), name, "{}", String::from_utf8_lossy(&other));
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_shortened_or_lengthened_is_another() {
        for &name in Name::KNOWN {
            let text = name.as_str().as_bytes();
            assert_ne!(Name::of(&text[1..]), name);
            assert_ne!(Name::of(&text[..text.len() - 1]), name);
            assert_ne!(Name::of(&[text, b"s"].concat()), name);
        }
    }

    #[test]
    fn names_known_are_distinct() {
        let spelled: std::collections::BTreeSet<_> =
            Name::KNOWN.iter().map(|name| name.as_str().to_ascii_lowercase()).collect();
        assert_eq!(spelled.len(), Name::KNOWN.len());
    }

    #[test]
    fn p06_groups_are_found_by_prefix() {
        assert_eq!(Name::of(b"x-forwarded-client-cert"), Name::XForwardedOther);
        assert_eq!(Name::of(b"X-Forwarded-Prefix"), Name::XForwardedOther);
        assert_eq!(Name::of(b"X-AMZN-Remapped-Date"), Name::XAmznOther);
        assert_eq!(Name::of(b"x-amz-meta-colour"), Name::XAmzOther);
        assert_eq!(Name::of(b"x-forwarded-"), Name::Other);
        for name in [
            "X-Forwarded",
            "x-SSL-client-verify",
            "ssl-client-cert",
            "X-Client-Cert-Subject",
            "Remote-User",
            "True-Client-IP",
        ] {
            assert_eq!(Name::of(name.as_bytes()), Name::ToldOfClient, "{name}");
        }
        for name in ["ssl-client", "remote-users", "x-auth-reques", "true", "x"] {
            assert_eq!(Name::of(name.as_bytes()), Name::Other, "{name}");
        }
        assert_eq!(Name::of(b"x-amazon"), Name::Other);
        assert_eq!(Name::of(b"x_forwarded_for"), Name::Other);
    }

    #[test]
    fn no_name_at_all_is_other() {
        assert_eq!(Name::of(b""), Name::Other);
        assert_eq!(Name::of(&[b'a'; 300]), Name::Other);
        assert_eq!(Name::Other.as_str(), "");
    }

    #[test]
    fn fields_hold_their_maximum_and_no_more() {
        let mut fields = Fields::new();
        for at in 0..limits::FIELDS_MAX {
            assert!(fields.push(Span::new(at, at + 1), Span::default(), Name::Other));
        }
        assert!(!fields.push(Span::default(), Span::default(), Name::Host));
        assert_eq!(fields.len(), limits::FIELDS_MAX);
        assert_eq!(fields[limits::FIELDS_MAX - 1].name.start as usize, limits::FIELDS_MAX - 1);
        fields.clear();
        assert!(fields.is_empty());
    }

    #[test]
    fn get_finds_the_first_of_a_name() {
        let mut fields = Fields::new();
        fields.push(Span::new(0, 1), Span::default(), Name::Accept);
        fields.push(Span::new(2, 3), Span::default(), Name::Cookie);
        fields.push(Span::new(4, 5), Span::default(), Name::Cookie);
        assert_eq!(fields.get(Name::Cookie).expect("it was pushed").name.start, 2);
        assert!(fields.get(Name::Host).is_none());
    }

    #[test]
    fn fields_compare_by_what_they_hold() {
        let mut used = Fields::new();
        used.push(Span::new(0, 1), Span::default(), Name::Accept);
        used.clear();
        assert_eq!(used, Fields::new());
        used.push(Span::new(0, 1), Span::default(), Name::Accept);
        assert_ne!(used, Fields::new());
    }

    #[test]
    fn limits_asked_for_are_bounded_by_what_a_head_can_describe() {
        let asked = HeadLimits { fields: u16::MAX, field_bytes: u32::MAX, target: u32::MAX, head: u32::MAX };
        let held = asked.clamped();
        assert_eq!((held.fields as usize, held.head as usize), (limits::FIELDS_MAX, limits::HEAD_MAX));
        assert_eq!(HeadLimits::default().clamped(), HeadLimits::REQUEST);
        assert_eq!(HeadLimits::RESPONSE.clamped(), HeadLimits::RESPONSE);
    }

    #[test]
    fn a_span_knows_its_bytes() {
        let span = Span::new(1, 3);
        assert_eq!(span.of(b"abcd"), b"bc");
        assert_eq!(span.len(), 2);
        assert!(!span.is_empty() && Span::new(2, 2).is_empty());
    }
}
