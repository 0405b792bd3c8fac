//! One line of the access log: the fields, under the names of API Gateway, and JSON that is safe to show.
//!
//! Lines are pure ASCII. Other characters are written as `\uXXXX`, so that no control sequence, direction mark or look-alike
//! of a line end reaches a terminal (attack row R12); a byte that is no UTF-8 is written as `\\xNN`. What is missing is `"-"`
//! where API Gateway has text, and `null` where it has a number: a column keeps its type. The query string is never
//! logged: keys and tokens travel in it.

use super::limits;

/// What is written about one request (aws-features.md §12.1). Text is borrowed; empty text is missing text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// `requestTime`, `requestTimeEpoch`: when the request began, milliseconds since 1970.
    pub epoch_millis: u64,
    /// `requestId`.
    pub request_id: &'a [u8],
    /// `extendedRequestId`; REST and WebSocket only, otherwise the field is left out.
    pub extended_request_id: Option<&'a [u8]>,
    /// `ip`: the client's address as text.
    pub ip: &'a [u8],
    /// `httpMethod`, as received.
    pub method: &'a [u8],
    /// `path`: the canonical path with base path or stage, without the query.
    pub path: &'a [u8],
    /// `protocol`, such as `HTTP/1.1`.
    pub protocol: &'a str,
    /// Which method or route answered, under the name that the kind has for it.
    pub target: Target<'a>,
    /// `status`: 0 if no answer was sent.
    pub status: u16,
    /// `responseLength`: bytes of the answer's body that were sent.
    pub response_length: u64,
    /// `requestLength` (ours): bytes of the request's body that arrived.
    pub request_length: u64,
    /// `responseLatency` in whole milliseconds, `responseLatencyUs` (ours): first byte of the request to last of the answer.
    pub latency_micros: u64,
    /// `integrationLatency` in whole milliseconds, `integrationLatencyUs` (ours): from the call of the backend to its head.
    pub integration_micros: Option<u64>,
    /// `integrationStatus`: the status of the backend.
    pub integration_status: Option<u16>,
    /// `apiId`.
    pub api_id: &'a str,
    /// `stage`.
    pub stage: &'a str,
    /// `domainName`: the host that the client named, without port.
    pub domain_name: &'a [u8],
    /// `userAgent`.
    pub user_agent: &'a [u8],
    /// `errorType`: the response type of API Gateway, or the name of our refusal. Left out if the request was not refused.
    pub error_type: Option<&'a str>,
    /// `fault` (ours): what broke. Left out if nothing did.
    pub fault: Option<&'a str>,
    /// `upstream` (ours): the machine that was called. Left out if none was.
    pub upstream: Option<&'a str>,
}

/// Which method or route answered.
#[derive(Clone, Copy, Debug, Default)]
pub enum Target<'a> {
    /// None was found: `"resourcePath":"-"`.
    #[default]
    None,
    /// REST: `resourcePath`.
    ResourcePath(&'a str),
    /// HTTP and WebSocket: `routeKey`.
    RouteKey(&'a str),
}

/// Bytes that [`write`] needs at most for this record, itself at most [`limits::LINE_BYTES`].
pub(super) fn bound(record: &Record<'_>) -> usize {
    let optional = |text: Option<&str>| text.map_or(0, str::len).min(limits::NAME_BYTES);
    let target = match record.target {
        Target::None => 0,
        Target::ResourcePath(name) | Target::RouteKey(name) => name.len().min(limits::NAME_BYTES),
    };
    let bytes = record.request_id.len().min(limits::ID_BYTES)
        + record
            .extended_request_id
            .map_or(0, <[u8]>::len)
            .min(limits::ID_BYTES)
        + record.ip.len().min(limits::ID_BYTES)
        + record.method.len().min(limits::METHOD_BYTES)
        + record.path.len().min(limits::PATH_BYTES)
        + target
        + record.protocol.len().min(limits::METHOD_BYTES)
        + record.api_id.len().min(limits::NAME_BYTES)
        + record.stage.len().min(limits::NAME_BYTES)
        + record.domain_name.len().min(limits::DOMAIN_BYTES)
        + record.user_agent.len().min(limits::USER_AGENT_BYTES)
        + optional(record.error_type)
        + optional(record.fault)
        + optional(record.upstream);
    limits::ESCAPED_BYTES * bytes + limits::LINE_FRAME_BYTES
}

/// Writes one line, with its end, of at most [`bound`] bytes.
pub(super) fn write(out: &mut Vec<u8>, date: &mut Date, record: &Record<'_>) {
    let before = out.len();
    out.extend_from_slice(b"{\"requestId\":");
    text(out, record.request_id, limits::ID_BYTES);
    if let Some(id) = record.extended_request_id {
        named_text(out, b",\"extendedRequestId\":", id, limits::ID_BYTES);
    }
    named_text(out, b",\"ip\":", record.ip, limits::ID_BYTES);
    out.extend_from_slice(b",\"requestTime\":\"");
    out.extend_from_slice(date.of(record.epoch_millis / 1_000));
    out.push(b'"');
    number(out, b",\"requestTimeEpoch\":", record.epoch_millis);
    named_text(
        out,
        b",\"httpMethod\":",
        record.method,
        limits::METHOD_BYTES,
    );
    named_text(out, b",\"path\":", record.path, limits::PATH_BYTES);
    let (name, target): (&[u8], _) = match record.target {
        Target::None => (b",\"resourcePath\":", ""),
        Target::ResourcePath(path) => (b",\"resourcePath\":", path),
        Target::RouteKey(key) => (b",\"routeKey\":", key),
    };
    named_text(out, name, target.as_bytes(), limits::NAME_BYTES);
    maybe(
        out,
        b",\"status\":",
        (record.status != 0).then_some(u64::from(record.status)),
    );
    named_text(
        out,
        b",\"protocol\":",
        record.protocol.as_bytes(),
        limits::METHOD_BYTES,
    );
    number(out, b",\"responseLength\":", record.response_length);
    number(out, b",\"requestLength\":", record.request_length);
    number(out, b",\"responseLatency\":", record.latency_micros / 1_000);
    number(out, b",\"responseLatencyUs\":", record.latency_micros);
    maybe(
        out,
        b",\"integrationLatency\":",
        record.integration_micros.map(|micros| micros / 1_000),
    );
    maybe(
        out,
        b",\"integrationLatencyUs\":",
        record.integration_micros,
    );
    maybe(
        out,
        b",\"integrationStatus\":",
        record.integration_status.map(u64::from),
    );
    named_text(
        out,
        b",\"apiId\":",
        record.api_id.as_bytes(),
        limits::NAME_BYTES,
    );
    named_text(
        out,
        b",\"stage\":",
        record.stage.as_bytes(),
        limits::NAME_BYTES,
    );
    named_text(
        out,
        b",\"domainName\":",
        record.domain_name,
        limits::DOMAIN_BYTES,
    );
    named_text(
        out,
        b",\"userAgent\":",
        record.user_agent,
        limits::USER_AGENT_BYTES,
    );
    for (name, value) in [
        (&b",\"errorType\":"[..], record.error_type),
        (b",\"fault\":", record.fault),
        (b",\"upstream\":", record.upstream),
    ] {
        if let Some(value) = value {
            named_text(out, name, value.as_bytes(), limits::NAME_BYTES);
        }
    }
    out.extend_from_slice(b"}\n");
    debug_assert!(
        out.len() - before <= limits::LINE_BYTES,
        "the bound of a line is too low"
    );
}

fn named_text(out: &mut Vec<u8>, name: &[u8], value: &[u8], most: usize) {
    out.extend_from_slice(name);
    text(out, value, most);
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn maybe(out: &mut Vec<u8>, name: &[u8], value: Option<u64>) {
    if let Some(value) = value {
        number(out, name, value);
    } else {
        out.extend_from_slice(name);
        out.extend_from_slice(b"null");
    }
}

/// A JSON string of any bytes, cut after `most` of them.
fn text(out: &mut Vec<u8>, value: &[u8], most: usize) {
    out.push(b'"');
    if value.is_empty() {
        out.push(b'-');
    } else if value.len() <= most {
        escape(out, value);
    } else {
        escape(out, &value[..character_start(value, most)]);
        out.extend_from_slice(b"...");
    }
    out.push(b'"');
}

/// `at`, or the start of the UTF-8 character that lies across it.
fn character_start(value: &[u8], at: usize) -> usize {
    let continues = |index: usize| value[index] & 0xc0 == 0x80;
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|&index| !continues(index))
        .unwrap_or(at)
}

fn escape(out: &mut Vec<u8>, mut rest: &[u8]) {
    loop {
        let plain = rest
            .iter()
            .position(|&byte| !PLAIN[usize::from(byte)])
            .unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(&first) = rest.first() else { return };
        if first.is_ascii() {
            escape_ascii(out, first);
            rest = &rest[1..];
        } else {
            rest = escape_character(out, rest);
        }
    }
}

/// Bytes that stand for themselves: printable ASCII but `"` and `\`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

fn escape_ascii(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => unit(out, u16::from(byte)),
    }
}

/// One character beyond ASCII as `\uXXXX`, or one byte that is none as `\\xNN`. Returns what follows it.
fn escape_character<'a>(out: &mut Vec<u8>, rest: &'a [u8]) -> &'a [u8] {
    let window = &rest[..rest.len().min(4)];
    let valid = match str::from_utf8(window) {
        Ok(valid) => valid,
        Err(error) => str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
    };
    let Some(letter) = valid.chars().next() else {
        out.extend_from_slice(b"\\\\x");
        out.extend_from_slice(&[
            HEX[usize::from(rest[0] >> 4)],
            HEX[usize::from(rest[0] & 15)],
        ]);
        return &rest[1..];
    };
    for &code in letter.encode_utf16(&mut [0; 2]).iter() {
        unit(out, code);
    }
    &rest[letter.len_utf8()..]
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn unit(out: &mut Vec<u8>, code: u16) {
    let digit = |shift: u16| HEX[usize::from(code >> shift & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// The text of the present second, `dd/MMM/yyyy:HH:mm:ss +0000`, made once per second.
#[derive(Debug)]
pub(super) struct Date {
    second: u64,
    text: [u8; 26],
}

impl Date {
    pub(super) fn new() -> Self {
        Self {
            second: 0,
            text: *b"01/Jan/1970:00:00:00 +0000",
        }
    }

    fn of(&mut self, second: u64) -> &[u8; 26] {
        if second != self.second {
            self.second = second;
            self.remake();
        }
        &self.text
    }

    fn remake(&mut self) {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let (year, month, day) = civil(self.second / 86_400);
        let of_day = self.second % 86_400;
        let mut two = |at: usize, value: u64| {
            self.text[at] = b'0' + (value / 10 % 10) as u8;
            self.text[at + 1] = b'0' + (value % 10) as u8;
        };
        two(0, day);
        two(7, year / 100);
        two(9, year % 100);
        two(12, of_day / 3_600);
        two(15, of_day / 60 % 60);
        two(18, of_day % 60);
        let month = (month as usize - 1) * 3;
        self.text[3..6].copy_from_slice(&MONTHS[month..month + 3]);
    }
}

/// Year, month (1–12) and day (1–31) of a day since 1970, by eras of 400 years that begin on the first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
