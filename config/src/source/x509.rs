//! What a certificate, or a list of those that were revoked, says of itself, as far as people want to know it: time, number and names.
//! Whether it is to be trusted is for others. Names are bytes with a length: a NUL ends none of them.

use std::fmt::Write as _;

use crate::limits::DISTINGUISHED_NAME_BYTES_MAX;

/// Facts of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Its number, big-endian in two's complement.
    pub serial: &'a [u8],
    /// In seconds since 1970.
    pub not_before: i64,
    /// Likewise.
    pub not_after: i64,
    /// The issuer's name, in DER without the outermost tag.
    pub issuer: &'a [u8],
    /// Its own name, likewise.
    pub subject: &'a [u8],
    /// What follows its name: the key, and what was added to the certificate.
    pub rest: &'a [u8],
}

/// Facts of a list of revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFacts<'a> {
    /// Who issued it, in DER without the outermost tag.
    pub issuer: &'a [u8],
    /// From when it is, in seconds since 1970.
    pub this_update: i64,
    /// When the next one is due; `None`: it does not say.
    pub next_update: Option<i64>,
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `NumericString`, `PrintableString`, `IA5String` and `VisibleString`: ASCII.
const ASCII_STRINGS: [u8; 4] = [0x12, 0x13, 0x16, 0x1a];
const UTF8_STRING: u8 = 0x0c;
/// `TeletexString`; everybody writes Latin-1 into it.
const LATIN_STRING: u8 = 0x14;
/// `BMPString`: two bytes for each character.
const WIDE_STRING: u8 = 0x1e;

/// The facts of a certificate in DER; `None` if it is none (RFC 5280 §4.1).
pub fn facts(der: &[u8]) -> Option<Facts<'_>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    let (serial, rest) = expect(rest, INTEGER)?;
    let (_algorithm, rest) = expect(rest, SEQUENCE)?;
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let (validity, rest) = expect(rest, SEQUENCE)?;
    let (subject, rest) = expect(rest, SEQUENCE)?;
    let (tag, from, until) = element(validity)?;
    let (until_tag, until, _) = element(until)?;
    Some(Facts { serial, not_before: time(tag, from)?, not_after: time(until_tag, until)?, issuer, subject, rest })
}

/// The facts of a list of revoked certificates in DER; `None` if it is none (RFC 5280 §5.1).
pub fn list_facts(der: &[u8]) -> Option<ListFacts<'_>> {
    let (list, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(list, SEQUENCE)?;
    if rest.first() == Some(&INTEGER) {
        rest = element(rest)?.2;
    }
    let (_algorithm, rest) = expect(rest, SEQUENCE)?;
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let (tag, this, rest) = element(rest)?;
    let next_update = match element(rest) {
        Some((tag @ (UTC_TIME | GENERALIZED_TIME), next, _)) => Some(time(tag, next)?),
        _ => None,
    };
    Some(ListFacts { issuer, this_update: time(tag, this)?, next_update })
}

/// Names of attributes (RFC 4514 §3, and those that OpenSSL writes), by their object identifier in DER.
const ATTRIBUTES: [(&[u8], &str); 17] = [
    (b"\x55\x04\x03", "CN"),
    (b"\x55\x04\x04", "SN"),
    (b"\x55\x04\x05", "serialNumber"),
    (b"\x55\x04\x06", "C"),
    (b"\x55\x04\x07", "L"),
    (b"\x55\x04\x08", "ST"),
    (b"\x55\x04\x09", "STREET"),
    (b"\x55\x04\x0a", "O"),
    (b"\x55\x04\x0b", "OU"),
    (b"\x55\x04\x0c", "title"),
    (b"\x55\x04\x0f", "businessCategory"),
    (b"\x55\x04\x11", "postalCode"),
    (b"\x55\x04\x2a", "GN"),
    (b"\x55\x04\x61", "organizationIdentifier"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress"),
];

/// A distinguished name as text (RFC 4514): the last part first, commas between them, and an escape for whatever would mean something
/// else, control characters included. `None` if it is no name, or longer than anybody's.
pub fn name(der: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut rest = der;
    while !rest.is_empty() {
        let (part, after) = expect(rest, SET)?;
        parts.push(part);
        rest = after;
    }
    let mut out = String::new();
    for (at, part) in parts.into_iter().rev().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let mut rest = part;
        while !rest.is_empty() {
            if rest.len() < part.len() {
                out.push('+');
            }
            let (attribute, after) = expect(rest, SEQUENCE)?;
            write_attribute(attribute, &mut out)?;
            if out.len() > DISTINGUISHED_NAME_BYTES_MAX {
                return None;
            }
            rest = after;
        }
    }
    Some(out)
}

fn write_attribute(attribute: &[u8], out: &mut String) -> Option<()> {
    let (id, whole) = expect(attribute, OBJECT_ID)?;
    let (tag, value, rest) = element(whole)?;
    if !rest.is_empty() {
        return None;
    }
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == id);
    match known {
        Some((_, name)) => out.push_str(name),
        None => write_object_id(id, out)?,
    }
    out.push('=');
    if let Some(text) = known.and_then(|_| text(tag, value)) {
        escape(&text, out);
    } else {
        // What is no text, or of a kind that nobody knows, is shown as it is (RFC 4514 §2.4).
        out.push('#');
        for byte in whole {
            hex(*byte, out);
        }
    }
    Some(())
}

/// The text of a string; `None` if it is none.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING => str::from_utf8(value).ok().map(str::to_owned),
        LATIN_STRING => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        WIDE_STRING => {
            let (pairs, []) = value.as_chunks::<2>() else { return None };
            String::from_utf16(&pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>()).ok()
        }
        _ if ASCII_STRINGS.contains(&tag) && value.is_ascii() => str::from_utf8(value).ok().map(str::to_owned),
        _ => None,
    }
}

/// RFC 4514 §2.4.
fn escape(text: &str, out: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (at, letter) in text.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', letter]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            // Also the controls of Latin-1, and what turns the direction of a line or ends it.
            _ if letter.is_control()
                || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                    out.push('\\');
                    hex(byte, out);
                }
            }
            _ => out.push(letter),
        }
    }
}

/// Dotted numbers.
fn write_object_id(id: &[u8], out: &mut String) -> Option<()> {
    let mut number = 0_u64;
    let mut is_first = true;
    for (at, byte) in id.iter().enumerate() {
        number = number.checked_mul(128)? + u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            (at + 1 < id.len()).then_some(())?;
            continue;
        }
        // Writing to a string does not fail.
        let _ = if std::mem::take(&mut is_first) {
            let root = (number / 40).min(2);
            write!(out, "{root}.{}", number - root * 40)
        } else {
            write!(out, ".{number}")
        };
        number = 0;
    }
    (!is_first).then_some(())
}

fn hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend([byte >> 4, byte & 0xf].map(|digit| char::from(DIGITS[usize::from(digit)])));
}

/// A serial number in pairs of hexadecimal digits with colons between them.
pub fn serial_text(serial: &[u8]) -> String {
    let serial = match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => serial,
    };
    let mut out = String::with_capacity(serial.len() * 3);
    for (at, byte) in serial.iter().enumerate() {
        if at > 0 {
            out.push(':');
        }
        hex(*byte, &mut out);
    }
    out
}

/// `May 28 12:30:02 2019 GMT`; `Aug  5 …` on a day of one digit (DM-10).
pub fn time_text(seconds: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let month = MONTHS[usize::try_from(month - 1).expect("a month is from 1 to 12")];
    format!("{month} {day:>2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

/// An element of that tag: its content, and what follows it.
pub(super) fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// An element: its tag, its content, and what follows it.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    // A tag of several bytes: nothing that is read here has one.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > 4 {
            return None;
        }
        let (length, rest) = rest.split_at_checked(digits)?;
        (length.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ`, or the same with four digits of the year.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = number(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => number(text, 4)?,
        _ => return None,
    };
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    (rest == b"Z" && is_time).then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let value = std::str::from_utf8(number).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((value.parse().ok()?, rest))
}

/// Days since 1970 of a date of the Gregorian calendar: years begin in March, so that the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of the Gregorian calendar, from days since 1970: the other way round.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An element with a length of any size.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut out = vec![tag];
        match length {
            0..0x80 => out.push(length as u8),
            0x80..0x100 => out.extend([0x81, length as u8]),
            _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        [out, content.to_vec()].concat()
    }

    fn attribute(id: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(SEQUENCE, &[der(OBJECT_ID, id), der(tag, value)].concat())
    }

    fn one(id: &[u8], tag: u8, value: &[u8]) -> Option<String> {
        name(&der(SET, &attribute(id, tag, value)))
    }

    const CN: &[u8] = b"\x55\x04\x03";

    #[test]
    fn names_are_written_from_their_end() {
        let part = |id: &[u8], value: &str| der(SET, &attribute(id, UTF8_STRING, value.as_bytes()));
        let whole =
            [part(b"\x55\x04\x06", "DE"), part(b"\x55\x04\x0a", "Müller, Söhne"), part(CN, "device 7")].concat();
        assert_eq!(name(&whole).as_deref(), Some("CN=device 7,O=Müller\\, Söhne,C=DE"));
        let two = der(SET, &[attribute(CN, UTF8_STRING, b"a"), attribute(b"\x55\x04\x05", 0x13, b"7")].concat());
        assert_eq!(name(&two).as_deref(), Some("CN=a+serialNumber=7"));
        assert_eq!(name(b"").as_deref(), Some(""));
    }

    #[test]
    fn values_keep_what_they_say_and_nothing_else() {
        let cases: [(u8, &[u8], &str); 13] = [
            // Envoy CVE-2025-66220: a NUL is no terminator.
            (UTF8_STRING, b"good.test\0.evil.test", "CN=good.test\\00.evil.test"),
            (UTF8_STRING, b"a\r\nX: y", "CN=a\\0d\\0aX: y"),
            (UTF8_STRING, b" #a ", "CN=\\ #a\\ "),
            (UTF8_STRING, b"#a", "CN=\\#a"),
            (UTF8_STRING, b"a\"+,;<>\\", "CN=a\\\"\\+\\,\\;\\<\\>\\\\"),
            (UTF8_STRING, "a\u{202e}b".as_bytes(), "CN=a\\e2\\80\\aeb"),
            (UTF8_STRING, b"\xff", "CN=#0c01ff"),
            (0x13, b"\xff", "CN=#1301ff"),
            (LATIN_STRING, b"M\xfcller\x85", "CN=Müller\\c2\\85"),
            (WIDE_STRING, b"\0M\0\xfc", "CN=Mü"),
            (WIDE_STRING, b"\0M\0", "CN=#1e03004d00"),
            (WIDE_STRING, b"\xd8\0", "CN=#1e02d800"),
            (INTEGER, b"\x07", "CN=#020107"),
        ];
        for (tag, value, expected) in cases {
            assert_eq!(one(CN, tag, value).as_deref(), Some(expected), "{value:?}");
        }
        assert_eq!(one(b"\x2b\x06\x01\x04\x01\x82\x37", 0x13, b"x").as_deref(), Some("1.3.6.1.4.1.311=#130178"));
        assert_eq!(one(b"\x88\x37\x03", 0x13, b"x").as_deref(), Some("2.999.3=#130178"));
        for id in [&b""[..], b"\x80", b"\x55\x84", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"] {
            assert_eq!(one(id, 0x13, b"x"), None, "{id:?}");
        }
        assert_eq!(one(CN, UTF8_STRING, &vec![b'a'; DISTINGUISHED_NAME_BYTES_MAX]), None, "longer than anybody's");
        assert_eq!(name(b"\x30\0"), None);
        assert_eq!(name(&der(SET, &der(SEQUENCE, &[der(OBJECT_ID, CN), der(0x13, b"a"), vec![0]].concat()))), None);
    }

    #[test]
    fn numbers_and_times_are_written_as_aws_does() {
        for (serial, text) in
            [(&b"\x01"[..], "01"), (b"\0\xa1\x0b", "a1:0b"), (b"\0", "00"), (b"", ""), (b"\0\0\x01", "00:01")]
        {
            assert_eq!(serial_text(serial), text);
        }
        for (seconds, text) in [
            (1_559_046_602, "May 28 12:30:02 2019 GMT"),
            (1_628_156_164, "Aug  5 09:36:04 2021 GMT"),
            (0, "Jan  1 00:00:00 1970 GMT"),
            (-1, "Dec 31 23:59:59 1969 GMT"),
            (951_782_400, "Feb 29 00:00:00 2000 GMT"),
            (253_402_300_799, "Dec 31 23:59:59 9999 GMT"),
        ] {
            assert_eq!(time_text(seconds), text);
        }
    }

    #[test]
    fn lists_have_their_dates() {
        let list = |next: &[u8]| {
            let whole = [
                der(INTEGER, b"\x01"),
                der(SEQUENCE, b""),
                der(SEQUENCE, b"me"),
                der(UTC_TIME, b"700101000000Z"),
                next.to_vec(),
            ];
            der(SEQUENCE, &der(SEQUENCE, &whole.concat()))
        };
        let facts = |next_update| Some(ListFacts { issuer: b"me", this_update: 0, next_update });
        assert_eq!(list_facts(&list(b"")), facts(None));
        assert_eq!(list_facts(&list(&der(GENERALIZED_TIME, b"20500101000000Z"))), facts(Some(2_524_608_000)));
        assert_eq!(list_facts(&list(&der(SEQUENCE, b""))), facts(None));
        assert_eq!(list_facts(&list(&der(UTC_TIME, b"never"))), None);
    }

    /// What an escaped text said.
    fn unescaped(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            let next = rest.next().expect("something is escaped");
            let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
            match digit(next) {
                Some(high) => out.push(high << 4 | digit(rest.next().expect("two digits")).expect("two digits")),
                None => out.push(next),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn days_and_dates_are_each_other(day in -1_000_000_i64..4_000_000) {
            let (year, month, of_month) = date(day);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&of_month));
            prop_assert_eq!(days(year, month, of_month), day);
        }

        #[test]
        fn a_name_can_be_read_back(value in "\\PC{0,40}|[\0- \"#+,;<>\\\\a]{0,40}") {
            let written = one(CN, UTF8_STRING, value.as_bytes()).expect("a name");
            prop_assert!(!written.chars().any(char::is_control), "{}", written);
            let text = written.strip_prefix("CN=").expect("its attribute");
            prop_assert_eq!(unescaped(text), value.as_bytes());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            crate::properties::certificate(&bytes);
        }
    }

    #[test]
    fn times_are_read() {
        assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"261122101500Z"), Some(1_795_342_500));
        assert_eq!(time(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time(GENERALIZED_TIME, b"20000229000000Z"), Some(951_782_400));
        assert_eq!(time(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
        for bad in ["", "7001010000Z", "701301000000Z", "700101000000+0100", "70010100000xZ"] {
            assert_eq!(time(UTC_TIME, bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_cut_or_too_long_is_no_element() {
        assert_eq!(element(b"\x30\x02ab!"), Some((0x30, &b"ab"[..], &b"!"[..])));
        assert_eq!(element(b"\x30\x81\x02ab"), Some((0x30, &b"ab"[..], &b""[..])));
        for bad in
            [&b""[..], b"\x30", b"\x30\x03ab", b"\x30\x80ab", b"\x30\x85\0\0\0\0\x01a", b"\x30\x84\xff\xff\xff\xffa"]
        {
            assert_eq!(element(bad), None, "{bad:?}");
        }
        assert_eq!(facts(b"\x30\x02\x30\x00"), None);
    }
}
