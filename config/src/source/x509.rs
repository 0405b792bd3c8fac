//! What a certificate says of itself, as far as people want to know it before it is used: its time, and who issued it. Whether it is to be
//! trusted is for others.

/// Facts of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// In seconds since 1970.
    pub not_before: i64,
    /// Likewise.
    pub not_after: i64,
    /// The issuer's name, in DER.
    pub issuer: &'a [u8],
    /// Its own name, in DER.
    pub subject: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The facts of a certificate in DER; `None` if it is none (RFC 5280 §4.1).
pub fn facts(der: &[u8]) -> Option<Facts<'_>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    let (_serial, _, rest) = element(rest)?;
    let (_algorithm, rest) = expect(rest, SEQUENCE)?;
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let (validity, rest) = expect(rest, SEQUENCE)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    let (tag, from, until) = element(validity)?;
    let (until_tag, until, _) = element(until)?;
    Some(Facts { not_before: time(tag, from)?, not_after: time(until_tag, until)?, issuer, subject })
}

/// An element of that tag: its content, and what follows it.
fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// An element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
