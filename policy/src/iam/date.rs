//! Dates as IAM writes them: ISO 8601, of a day or of a second, or seconds since 1970.

use std::io::{self, Write};

const DAY: i64 = 86_400;

/// Seconds since 1970 of a text; `None` if it is none. A date without a time is its midnight, one without a zone is in UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.len() != 4 {
        return text.parse().ok();
    }
    let (date, time) = text.split_once(['T', 't']).map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4, 0, 9_999)?;
    let month = parts.next().map_or(Some(1), |month| number(month, 2, 1, 12))?;
    let day = parts.next().map_or(Some(1), |day| number(day, 2, 1, last_day(year, month)))?;
    let seconds = time.map_or(Some(0), time_of_day)?;
    Some(days(year, month, day) * DAY + seconds)
}

/// `10:20`, `10:20:30`, `10:20:30.5`, each with `Z`, `+01:00` or nothing behind.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => match text.rfind(['+', '-']) {
            Some(at) => {
                let (hours, minutes) = text[at + 1..].split_once(':')?;
                let seconds = number(hours, 2, 0, 23)? * 3_600 + number(minutes, 2, 0, 59)? * 60;
                (&text[..at], if text.as_bytes()[at] == b'+' { seconds } else { -seconds })
            }
            None => (text, 0),
        },
    };
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2, 0, 23)?, number(parts.next()?, 2, 0, 59)?);
    let second = match parts.next() {
        None => 0,
        Some(second) => {
            let (whole, part) = second.split_once(['.', ',']).unwrap_or((second, "0"));
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            number(whole, 2, 0, 60)?
        }
    };
    Some(hour * 3_600 + minute * 60 + second - offset)
}

fn number(text: &str, digits: usize, least: i64, most: i64) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { text.parse().ok()? } else { return None };
    (least..=most).contains(&number).then_some(number)
}

const fn last_day(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01; years are counted from March, so that the odd day is the last of a year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Writes `2017-07-14T02:40:00Z`.
pub(super) fn write(seconds: u64, out: &mut impl Write) -> io::Result<()> {
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    let since = day + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    write!(out, "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01", Some(0)),
            ("1970", Some(0)),
            ("2013-06-30T00:00:00Z", Some(1_372_550_400)),
            ("2013-06-30T00:00:00.000Z", Some(1_372_550_400)),
            ("2013-06-30T02:00:00+02:00", Some(1_372_550_400)),
            ("2013-06-29T22:30-01:30", Some(1_372_550_400)),
            ("2000-02-29", Some(951_782_400)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("1372550400", Some(1_372_550_400)),
            ("-5", Some(-5)),
            ("1900-02-29", None),
            ("2013-13-01", None),
            ("2013-6-30", None),
            ("2013-06-30T24:00:00Z", None),
            ("2013-06-30T00", None),
            ("2013-06-30T00:00:00.Z", None),
            ("2013-06-30 00:00:00Z", None),
            ("", None),
            ("-", None),
            ("now", None),
            ("9999999999999", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..253_402_300_799_u64) {
            let mut out = Vec::new();
            write(seconds, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(parse(&text), i64::try_from(seconds).ok(), "{}", text);
        }
    }
}
