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
    /// `tlsVersion` and `cipherSuite`; left out of what came without TLS.
    pub tls: Option<(&'static str, &'static str)>,
    /// `clientCertSubjectDN`, `clientCertIssuerDN` and `clientCertSerialNumber`, believed or not; left out where no certificate was
    /// asked for or shown.
    pub client: Option<[&'a str; 3]>,
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
    /// `wafResponseCode`: whether the firewall let it pass, and `wafRule` (ours): which rule says so, if one does. Left out where
    /// there is none.
    pub waf: Option<(bool, Option<&'a str>)>,
    /// `upstream` (ours): the machine that was called. Left out if none was.
    pub upstream: Option<&'a str>,
}

/// The names of [`Record::client`].
const CLIENT_FIELDS: [&[u8]; 3] =
    [b",\"clientCertSubjectDN\":\"", b",\"clientCertIssuerDN\":\"", b",\"clientCertSerialNumber\":\""];

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
        + record.extended_request_id.map_or(0, <[u8]>::len).min(limits::ID_BYTES)
        + record.ip.len().min(limits::ID_BYTES)
        + record.method.len().min(limits::METHOD_BYTES)
        + record.path.len().min(limits::PATH_BYTES)
        + target
        + record.protocol.len().min(limits::METHOD_BYTES)
        + record.api_id.len().min(limits::NAME_BYTES)
        + record.stage.len().min(limits::NAME_BYTES)
        + record.domain_name.len().min(limits::DOMAIN_BYTES)
        + record.user_agent.len().min(limits::USER_AGENT_BYTES)
        + record.client.iter().flatten().map(|text| text.len().min(limits::CLIENT_BYTES)).sum::<usize>()
        + optional(record.error_type)
        + optional(record.fault)
        + optional(record.upstream)
        + optional(record.waf.and_then(|(_, rule)| rule));
    limits::ESCAPED_BYTES * bytes + limits::LINE_FRAME_BYTES
}

/// Writes one line, with its end, of at most [`bound`] bytes.
pub(super) fn write(out: &mut Vec<u8>, date: &mut Date, record: &Record<'_>) {
    let before = out.len();
    text(out, b"{\"requestId\":\"", record.request_id, limits::ID_BYTES);
    if let Some(id) = record.extended_request_id {
        text(out, b",\"extendedRequestId\":\"", id, limits::ID_BYTES);
    }
    text(out, b",\"ip\":\"", record.ip, limits::ID_BYTES);
    out.extend_from_slice(b",\"requestTime\":\"");
    out.extend_from_slice(date.of(record.epoch_millis / 1_000));
    out.push(b'"');
    number(out, b",\"requestTimeEpoch\":", record.epoch_millis);
    text(out, b",\"httpMethod\":\"", record.method, limits::METHOD_BYTES);
    text(out, b",\"path\":\"", record.path, limits::PATH_BYTES);
    let (name, target): (&[u8], _) = match record.target {
        Target::None => (b",\"resourcePath\":\"", ""),
        Target::ResourcePath(path) => (b",\"resourcePath\":\"", path),
        Target::RouteKey(key) => (b",\"routeKey\":\"", key),
    };
    text(out, name, target.as_bytes(), limits::NAME_BYTES);
    maybe(out, b",\"status\":", (record.status != 0).then_some(u64::from(record.status)));
    text(out, b",\"protocol\":\"", record.protocol.as_bytes(), limits::METHOD_BYTES);
    if let Some((version, suite)) = record.tls {
        text(out, b",\"tlsVersion\":\"", version.as_bytes(), limits::METHOD_BYTES);
        text(out, b",\"cipherSuite\":\"", suite.as_bytes(), limits::NAME_BYTES);
    }
    for (name, value) in CLIENT_FIELDS.iter().zip(record.client.iter().flatten()) {
        text(out, name, value.as_bytes(), limits::CLIENT_BYTES);
    }
    number(out, b",\"responseLength\":", record.response_length);
    number(out, b",\"requestLength\":", record.request_length);
    number(out, b",\"responseLatency\":", record.latency_micros / 1_000);
    number(out, b",\"responseLatencyUs\":", record.latency_micros);
    maybe(out, b",\"integrationLatency\":", record.integration_micros.map(|micros| micros / 1_000));
    maybe(out, b",\"integrationLatencyUs\":", record.integration_micros);
    maybe(out, b",\"integrationStatus\":", record.integration_status.map(u64::from));
    text(out, b",\"apiId\":\"", record.api_id.as_bytes(), limits::NAME_BYTES);
    text(out, b",\"stage\":\"", record.stage.as_bytes(), limits::NAME_BYTES);
    text(out, b",\"domainName\":\"", record.domain_name, limits::DOMAIN_BYTES);
    text(out, b",\"userAgent\":\"", record.user_agent, limits::USER_AGENT_BYTES);
    let waf = record.waf.map(|(passes, _)| if passes { "WAF_ALLOW" } else { "WAF_BLOCK" });
    for (name, value) in [
        (&b",\"wafResponseCode\":\""[..], waf),
        (b",\"wafRule\":\"", record.waf.and_then(|(_, rule)| rule)),
        (b",\"errorType\":\"", record.error_type),
        (b",\"fault\":\"", record.fault),
        (b",\"upstream\":\"", record.upstream),
    ] {
        if let Some(value) = value {
            text(out, name, value.as_bytes(), limits::NAME_BYTES);
        }
    }
    out.extend_from_slice(b"}\n");
    debug_assert!(out.len() - before <= bound(record), "the bound of a line is too low");
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

/// A name that ends with the opening quote, then a JSON string of any bytes, cut after `most` of them.
fn text(out: &mut Vec<u8>, name: &[u8], value: &[u8], most: usize) {
    out.extend_from_slice(name);
    if value.is_empty() {
        out.push(b'-');
    } else if value.len() > most {
        escape(out, &value[..character_start(value, most)]);
        out.extend_from_slice(b"...");
    } else if is_plain(value) {
        out.extend_from_slice(value);
    } else {
        escape(out, value);
    }
    out.push(b'"');
}

/// Whether every byte stands for itself, eight at a time: nearly all texts are so.
fn is_plain(value: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of a byte that is zero; below the first such byte no bit is wrong, which is enough for "any".
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let special = |word: u64| {
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let beyond = (word | word.wrapping_add(ONES)) & HIGH;
        control | beyond | zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64))
    };
    let (words, rest) = value.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | special(u64::from_le_bytes(*word)));
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    found | special(u64::from_le_bytes(last)) == 0
}

/// `at`, or the start of the UTF-8 character that lies across it.
fn character_start(value: &[u8], at: usize) -> usize {
    let continues = |index: usize| value[index] & 0xc0 == 0x80;
    (at.saturating_sub(3)..=at).rev().find(|&index| !continues(index)).unwrap_or(at)
}

fn escape(out: &mut Vec<u8>, mut rest: &[u8]) {
    loop {
        let plain = rest.iter().position(|&byte| !PLAIN[usize::from(byte)]).unwrap_or(rest.len());
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
        out.extend_from_slice(&[HEX[usize::from(rest[0] >> 4)], HEX[usize::from(rest[0] & 15)]]);
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
        Self { second: 0, text: *b"01/Jan/1970:00:00:00 +0000" }
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
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The line of a record: checked for shape, then read as JSON.
    fn written(record: &Record<'_>) -> Value {
        let mut out = b"before".to_vec();
        write(&mut out, &mut Date::new(), record);
        let line = &out[6..];
        assert!(line.len() <= bound(record), "{} bytes, bound {}", line.len(), bound(record));
        assert!(bound(record) <= limits::LINE_BYTES);
        let (end, inner) = line.split_last().unwrap();
        assert_eq!(*end, b'\n');
        assert!(inner.iter().all(|byte| (0x20..0x7f).contains(byte)), "printable ASCII alone");
        serde_json::from_slice(inner).expect("valid JSON")
    }

    fn path(bytes: &[u8]) -> String {
        let value = written(&Record { path: bytes, ..Record::default() });
        value["path"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_rest_request() {
        let value = written(&Record {
            epoch_millis: 1_793_415_671_123,
            request_id: b"c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            extended_request_id: Some(b"Mc7UVioPPHcEKPA="),
            ip: b"192.0.2.7",
            method: b"GET",
            path: b"/prod/pets/7",
            protocol: "HTTP/1.1",
            tls: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
            client: Some(["CN=device \\\"7\\\"", "CN=ca", "0a:1b"]),
            target: Target::ResourcePath("/pets/{id}"),
            status: 200,
            response_length: 42,
            request_length: 0,
            latency_micros: 12_345,
            integration_micros: Some(11_999),
            integration_status: Some(200),
            api_id: "petstore",
            stage: "prod",
            domain_name: b"api.example.com",
            user_agent: b"curl/8",
            error_type: None,
            fault: None,
            waf: Some((true, Some("office"))),
            upstream: Some("127.0.0.1:9000"),
        });
        let wanted = serde_json::json!({
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "extendedRequestId": "Mc7UVioPPHcEKPA=", "ip": "192.0.2.7",
            "requestTime": "31/Oct/2026:03:01:11 +0000", "requestTimeEpoch": 1_793_415_671_123_u64, "httpMethod": "GET",
            "path": "/prod/pets/7", "resourcePath": "/pets/{id}", "status": 200, "protocol": "HTTP/1.1",
            "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "responseLength": 42,
            "clientCertSubjectDN": "CN=device \\\"7\\\"", "clientCertIssuerDN": "CN=ca", "clientCertSerialNumber": "0a:1b",
            "requestLength": 0, "responseLatency": 12, "responseLatencyUs": 12_345, "integrationLatency": 11,
            "integrationLatencyUs": 11_999, "integrationStatus": 200, "apiId": "petstore", "stage": "prod",
            "domainName": "api.example.com", "userAgent": "curl/8", "wafResponseCode": "WAF_ALLOW",
            "wafRule": "office", "upstream": "127.0.0.1:9000",
        });
        assert_eq!(value, wanted);
    }

    #[test]
    fn what_is_missing_keeps_its_type() {
        let value =
            written(&Record { error_type: Some("NO_SUCH_API"), fault: Some("client_gone"), ..Record::default() });
        for text in [
            "requestId",
            "ip",
            "httpMethod",
            "path",
            "resourcePath",
            "protocol",
            "apiId",
            "stage",
            "domainName",
            "userAgent",
        ] {
            assert_eq!(value[text], "-", "{text}");
        }
        for number in ["status", "integrationLatency", "integrationLatencyUs", "integrationStatus"] {
            assert_eq!(value.get(number), Some(&Value::Null), "{number}");
        }
        assert_eq!(value["errorType"], "NO_SUCH_API");
        assert_eq!(value["fault"], "client_gone");
        assert!(
            value.get("extendedRequestId").is_none()
                && value.get("wafResponseCode").is_none()
                && value.get("upstream").is_none()
        );
    }

    #[test]
    fn an_http_request_has_a_route_key() {
        let value = written(&Record { target: Target::RouteKey("GET /pets/{id}"), ..Record::default() });
        assert_eq!(value["routeKey"], "GET /pets/{id}");
        assert!(value.get("resourcePath").is_none());
    }

    #[test]
    fn nothing_moves_a_cursor_or_starts_a_line() {
        for (received, read) in [
            (&b"/a\r\n{\"status\":200}"[..], "/a\r\n{\"status\":200}"),
            (b"\x1b[2J\x07\x00\x7f", "\x1b[2J\x07\0\x7f"),
            ("\u{9b}31m\u{202e}\u{2028}".as_bytes(), "\u{9b}31m\u{202e}\u{2028}"),
            ("\u{1f600}é".as_bytes(), "\u{1f600}é"),
            (b"a\xffb\xc3", "a\\xffb\\xc3"),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
            (b"\xc0\xaf", "\\xc0\\xaf"),
            (b"\"\\\t", "\"\\\t"),
        ] {
            assert_eq!(path(received), read);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let most = limits::PATH_BYTES;
        assert_eq!(path(&vec![b'a'; most]), "a".repeat(most));
        assert_eq!(path(&vec![b'a'; most + 1]), "a".repeat(most) + "...");
        let mut text = "a".repeat(most - 1);
        text.push_str("éé");
        assert_eq!(path(text.as_bytes()), "a".repeat(most - 1) + "...");
        assert!(path(&vec![0x80; most * 2]).ends_with("\\x80..."));
    }

    #[test]
    fn dates_of_all_kinds_of_years() {
        let mut date = Date::new();
        for (second, wanted) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (951_868_800, "01/Mar/2000:00:00:00 +0000"),
            (1_709_164_800, "29/Feb/2024:00:00:00 +0000"),
            (1_735_689_599, "31/Dec/2024:23:59:59 +0000"),
            (1_735_689_600, "01/Jan/2025:00:00:00 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
            (4_107_542_399, "28/Feb/2100:23:59:59 +0000"),
        ] {
            assert_eq!(date.of(second), wanted.as_bytes(), "{second}");
        }
    }

    #[test]
    fn days_follow_each_other_for_two_hundred_years() {
        let lengths = |year: u64| {
            let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let mut days = 0;
        for year in 1970..2170 {
            for (month, length) in (1..).zip(lengths(year)) {
                for day in 1..=length {
                    assert_eq!(civil(days), (year, month, day));
                    days += 1;
                }
            }
        }
    }

    #[test]
    fn the_worst_record_fits_its_bound() {
        let (bytes, name) = (vec![0x7f; 100_000], "\u{7f}".repeat(100_000));
        let all = Some(name.as_str());
        written(&Record {
            epoch_millis: 253_402_300_799_999,
            request_id: &bytes,
            extended_request_id: Some(&bytes),
            ip: &bytes,
            method: &bytes,
            path: &bytes,
            protocol: &name,
            tls: Some(("TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305")),
            client: Some([&name; 3]),
            target: Target::ResourcePath(&name),
            status: u16::MAX,
            response_length: u64::MAX,
            request_length: u64::MAX,
            latency_micros: u64::MAX,
            integration_micros: Some(u64::MAX),
            integration_status: Some(u16::MAX),
            api_id: &name,
            stage: &name,
            domain_name: &bytes,
            user_agent: &bytes,
            error_type: all,
            fault: all,
            waf: Some((false, all)),
            upstream: all,
        });
    }

    #[test]
    fn every_byte_at_every_place_is_judged_alike() {
        for byte in 0..=u8::MAX {
            for length in 1..=17 {
                for place in 0..length {
                    for around in [b'a', b' ', b'~', b'!', b']'] {
                        let mut value = vec![around; length];
                        value[place] = byte;
                        assert_eq!(is_plain(&value), PLAIN[usize::from(byte)], "{byte:#x} at {place} of {length}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_make_valid_json(
            path in proptest::collection::vec(any::<u8>(), 0..6_000),
            agent in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(0x1b), Just(0xc2)], 0..700),
            name in any::<String>(),
            micros in any::<u64>(),
        ) {
            let value = written(&Record {
                path: &path,
                user_agent: &agent,
                method: &agent,
                api_id: &name,
                fault: Some(&name),
                latency_micros: micros,
                ..Record::default()
            });
            prop_assert_eq!(value["responseLatencyUs"].as_u64(), Some(micros));
            if !name.is_empty() && name.len() <= limits::NAME_BYTES {
                prop_assert_eq!(value["apiId"].as_str(), Some(name.as_str()));
            }
        }

        #[test]
        fn text_that_is_text_comes_back_unchanged(text in "\\PC{1,300}|[\\x00-\\x7f]{1,300}") {
            prop_assume!(text.len() <= limits::PATH_BYTES);
            prop_assert_eq!(path(text.as_bytes()), text);
        }
    }
}
