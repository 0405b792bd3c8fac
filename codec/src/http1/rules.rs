//! What the fields of a whole head mean: body, connection, host, and which fields go no further. One pass over the fields.

use super::authority;
use super::bytes::{is_token, trim};
use super::misbehave::Misbehaviour;
use crate::head::{Fate, Field, Fields, Framing, Name, RequestHead, ResponseHead, Span, Version};
use crate::limits;

/// Settles a request whose parts are found.
pub(super) fn finish_request(buf: &[u8], head: &mut RequestHead) -> Result<(), Misbehaviour> {
    settle_request(buf, head, Framing::None)
}

/// As `finish_request`, of whatever version; `framing`: the body of a head that says nothing of it.
pub(crate) fn settle_request(buf: &[u8], head: &mut RequestHead, framing: Framing) -> Result<(), Misbehaviour> {
    authority::split_target(buf, head)?;
    let mut seen = Seen::default();
    let (mut host, mut shows_who) = (None, false);
    for field in head.fields.iter_mut() {
        match field.known {
            Name::Host if host.is_some() => return Err(Misbehaviour::HostTwice),
            Name::Host => host = Some(field.value),
            Name::Authorization if std::mem::replace(&mut shows_who, true) => {
                return Err(Misbehaviour::AuthorizationTwice);
            }
            Name::Authorization => {}
            Name::Expect => seen.expect(field.value.of(buf)),
            Name::ProxyAuthenticate => field.fate = Fate::Hop,
            Name::Other | Name::XForwardedOther | Name::ToldOfClient | Name::XAmznOther | Name::XAmzOther => {
                if field.name.of(buf).contains(&b'_') {
                    field.fate = Fate::Underscore;
                }
            }
            _ => seen.note(buf, field)?,
        }
    }
    if host.is_none() && head.version != Version::Http10 {
        return Err(Misbehaviour::HostMissing);
    }
    authority::settle_host(buf, head, host)?;
    seen.connection.mark(buf, &mut head.fields);
    head.framing = seen.framing(head.version)?.unwrap_or(framing);
    head.keep_alive = seen.connection.keep_alive(head.version);
    // An HTTP/1.0 client does not know of interim answers, so its Expect means nothing (RFC 9110 §10.1.1).
    let expect = if head.version == Version::Http10 { Expect::Nothing } else { seen.expect };
    if expect == Expect::Unknown {
        return Err(Misbehaviour::ExpectUnknown);
    }
    let body_announced = !matches!(head.framing, Framing::None | Framing::Length(0));
    head.expect_continue = expect == Expect::Continue && body_announced;
    Ok(())
}

/// Settles a response whose parts are found.
pub(super) fn finish_response(buf: &[u8], head: &mut ResponseHead, to_head: bool) -> Result<(), Misbehaviour> {
    let mut seen = Seen::default();
    for field in head.fields.iter_mut() {
        seen.note(buf, field)?;
    }
    seen.connection.mark(buf, &mut head.fields);
    let announced = seen.framing(head.version)?;
    head.framing = match head.status {
        100..=199 | 204 => match announced {
            None | Some(Framing::Length(0)) => Framing::None,
            Some(_) => return Err(Misbehaviour::BodyOnBodiless),
        },
        304 => Framing::None,
        _ if to_head => Framing::None,
        _ => announced.unwrap_or(Framing::UntilClose),
    };
    head.keep_alive = head.framing != Framing::UntilClose && seen.connection.keep_alive(head.version);
    Ok(())
}

/// What the fields seen so far say about the body and the connection.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    /// The first thing wrong with Content-Length; it is told only if no Transfer-Encoding is wrong before.
    length_wrong: Option<Misbehaviour>,
    codings: Option<Codings>,
    connection: Connection,
    expect: Expect,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Nothing,
    Continue,
    Unknown,
}

/// The elements of Transfer-Encoding so far.
#[derive(Clone, Copy, Default)]
struct Codings {
    chunked: bool,
    other: bool,
    wrong: Option<Misbehaviour>,
}

impl Seen {
    /// Takes note of a field that concerns every kind of message, and marks it if it goes no further.
    fn note(&mut self, buf: &[u8], field: &mut Field) -> Result<(), Misbehaviour> {
        match field.known {
            Name::ContentLength => self.length(field.value.of(buf)),
            Name::TransferEncoding => {
                field.fate = Fate::Hop;
                self.codings.get_or_insert_default().add(field.value.of(buf));
            }
            Name::Connection => {
                field.fate = Fate::Hop;
                self.connection.add(buf, field.value)?;
            }
            name if is_hop(name) => field.fate = Fate::Hop,
            _ => {}
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) {
        match (content_length(value), self.length) {
            _ if self.length_wrong.is_some() => {}
            (Ok(length), None) => self.length = Some(length),
            (Ok(length), Some(first)) if length == first => self.length_wrong = Some(Misbehaviour::LengthTwice),
            (Ok(_), Some(_)) => self.length_wrong = Some(Misbehaviour::LengthsDiffer),
            (Err(why), _) => self.length_wrong = Some(why),
        }
    }

    /// A list; its empty elements mean nothing (RFC 9110 §5.6.1, §10.1.1).
    fn expect(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty()) {
            let known = element.eq_ignore_ascii_case(b"100-continue") && self.expect != Expect::Unknown;
            self.expect = if known { Expect::Continue } else { Expect::Unknown };
        }
    }

    /// The framing that was announced; None if neither field was there.
    fn framing(&self, version: Version) -> Result<Option<Framing>, Misbehaviour> {
        match (self.codings, self.length, self.length_wrong) {
            (Some(_), _, _) if version == Version::Http10 => Err(Misbehaviour::TransferEncodingOnHttp10),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(Misbehaviour::LengthWithTransferEncoding),
            (Some(codings), None, None) => codings.framing().map(Some),
            (None, _, Some(why)) => Err(why),
            (None, length, None) => Ok(length.map(Framing::Length)),
        }
    }
}

impl Codings {
    fn add(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',') {
            if self.wrong.is_none() {
                self.wrong = self.element(trim(element)).err();
            }
        }
    }

    fn element(&mut self, element: &[u8]) -> Result<(), Misbehaviour> {
        if element.is_empty() {
            Err(Misbehaviour::CodingEmpty)
        } else if element.eq_ignore_ascii_case(b"chunked") {
            if self.chunked {
                return Err(Misbehaviour::ChunkedTwice);
            }
            self.chunked = true;
            Ok(())
        } else if !is_token(element) {
            Err(Misbehaviour::CodingMalformed)
        } else if self.chunked {
            Err(Misbehaviour::ChunkedNotLast)
        } else {
            self.other = true;
            Ok(())
        }
    }

    fn framing(self) -> Result<Framing, Misbehaviour> {
        match self {
            Codings { wrong: Some(why), .. } => Err(why),
            Codings { chunked: true, other: false, .. } => Ok(Framing::Chunked),
            Codings { chunked: true, other: true, .. } => Err(Misbehaviour::CodingBeforeChunked),
            Codings { chunked: false, .. } => Err(Misbehaviour::CodingUnknown),
        }
    }
}

/// Decimal digits only, at least one, up to 63 bits (rows F04 to F07).
fn content_length(value: &[u8]) -> Result<u64, Misbehaviour> {
    if value.contains(&b',') {
        return Err(Misbehaviour::LengthList);
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Misbehaviour::LengthMalformed);
    }
    value
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .filter(|length| *length <= limits::BODY_BYTES_MAX)
        .ok_or(Misbehaviour::LengthOverflow)
}

/// What Connection said.
#[derive(Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
    named: [Span; limits::CONNECTION_OPTIONS_MAX],
    named_len: usize,
}

impl Connection {
    /// Reads one Connection field (row C01). Empty list elements mean nothing (RFC 9110 §5.6.1).
    fn add(&mut self, buf: &[u8], value: Span) -> Result<(), Misbehaviour> {
        // What nearly everybody says, as nearly everybody writes it.
        match value.of(buf) {
            b"keep-alive" => {
                self.keep_alive = true;
                return Ok(());
            }
            b"close" => {
                self.close = true;
                return Ok(());
            }
            _ => {}
        }
        let mut start = value.start as usize;
        for element in value.of(buf).split(|byte| *byte == b',') {
            let option = trim(element);
            let blank = element.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.is_empty() {
                self.name(option, start + blank)?;
            }
            start += element.len() + 1;
        }
        Ok(())
    }

    fn name(&mut self, option: &[u8], at: usize) -> Result<(), Misbehaviour> {
        if !is_token(option) {
            return Err(Misbehaviour::ConnectionMalformed);
        }
        let known = Name::of(option);
        if is_hop(known) {
            return Ok(());
        }
        if is_end_to_end(known) {
            return Err(Misbehaviour::ConnectionNamesEndToEnd);
        }
        let slot = self.named.get_mut(self.named_len).ok_or(Misbehaviour::ConnectionOptionsTooMany)?;
        *slot = Span::new(at, at + option.len());
        self.named_len += 1;
        Ok(())
    }

    /// Marks the fields that Connection named.
    fn mark(&self, buf: &[u8], fields: &mut Fields) {
        for named in &self.named[..self.named_len] {
            let named = named.of(buf);
            for field in fields.iter_mut() {
                if field.name.of(buf).eq_ignore_ascii_case(named) {
                    field.fate = Fate::Hop;
                }
            }
        }
    }

    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version != Version::Http10 || self.keep_alive)
    }
}

/// Fields that concern one connection by themselves (rows C03, C09).
fn is_hop(name: Name) -> bool {
    matches!(
        name,
        Name::Connection
            | Name::Http2Settings
            | Name::KeepAlive
            | Name::ProxyAuthorization
            | Name::ProxyConnection
            | Name::Te
            | Name::Trailer
            | Name::TransferEncoding
            | Name::Upgrade
    )
}

/// Fields that Connection may not name: without them the other end would see another request than we judged (row C01).
fn is_end_to_end(name: Name) -> bool {
    matches!(
        name,
        Name::Authorization
            | Name::ContentEncoding
            | Name::ContentLength
            | Name::ContentType
            | Name::Cookie
            | Name::Forwarded
            | Name::Host
            | Name::SetCookie
            | Name::XAmzApigwId
            | Name::XAmzContentSha256
            | Name::XAmzDate
            | Name::XAmzInvocationType
            | Name::XAmzOther
            | Name::XAmzSecurityToken
            | Name::XAmzTarget
            | Name::XAmznApigatewayApiId
            | Name::XAmznErrortype
            | Name::XAmznOther
            | Name::XAmznRequestid
            | Name::XAmznTraceId
            | Name::XApiKey
            | Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedOther
            | Name::XForwardedPort
            | Name::XForwardedProto
            | Name::XRealIp
    )
}
