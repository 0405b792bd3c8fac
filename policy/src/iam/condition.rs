//! The conditions of a statement: one for each operator and key, all of which must hold.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::date;
use super::key::Key;
use super::pattern::Pattern;
use super::request::{Buffer, Request, Value};
use crate::networks::Networks;

/// What one operator says of one key. Of several values any one is enough; where it is negated, none may fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condition {
    pub key: Key,
    pub test: Test,
    pub negated: bool,
    /// Whether it holds if the key has no value.
    pub without: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Test {
    /// `StringEquals`, `StringLike`
    Text(Box<[Pattern]>),
    /// `StringEqualsIgnoreCase`
    TextInAnyCase(Box<[Pattern]>),
    /// `ArnEquals`, `ArnLike`: the six parts, each for itself.
    Arn(Box<[[Pattern; 6]]>),
    /// `IpAddress`
    Networks(Networks),
    /// `DateEquals` …, in seconds since 1970.
    Date(Comparison, Box<[i64]>),
    /// `NumericEquals` …
    Number(Comparison, Box<[Number]>),
    /// `Bool`: whether true is meant, and whether false is.
    Flag(bool, bool),
    /// `Null`: whether a key without a value is meant, and whether one with a value is.
    Null(bool, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A decimal number, exactly: in parts of [`Number::PARTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Number(i128);

impl Condition {
    pub fn holds(&self, request: &Request<'_>) -> bool {
        let value = request.value(&self.key);
        match (&self.test, value) {
            (Test::Null(without, with), value) => *(if value.is_none() { without } else { with }),
            (_, None) => self.without,
            (test, Some(value)) => test.fits(value, request) != self.negated,
        }
    }
}

impl Test {
    fn fits(&self, value: Value<'_>, request: &Request<'_>) -> bool {
        match self {
            Self::Text(patterns) => {
                let mut buffer = Buffer::new();
                let text = value.text(&mut buffer);
                patterns.iter().any(|pattern| pattern.matches(text, request))
            }
            Self::TextInAnyCase(patterns) => {
                let mut buffer = Buffer::new();
                let text = value.text(&mut buffer);
                patterns.iter().any(|pattern| pattern.equals_in_any_case(text, request))
            }
            Self::Arn(arns) => {
                let mut buffer = Buffer::new();
                let text = value.text(&mut buffer);
                let Some(parts) = arn_parts(text) else { return false };
                let mut arns = arns.iter();
                arns.any(|arn| arn.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, request)))
            }
            Self::Networks(networks) => address(value).is_some_and(|ip| networks.contain(Some(ip))),
            Self::Date(how, dates) => {
                seconds(value).is_some_and(|time| dates.iter().any(|date| how.holds(&time, date)))
            }
            Self::Number(how, numbers) => {
                number(value).is_some_and(|number| numbers.iter().any(|other| how.holds(&number, other)))
            }
            Self::Flag(yes, no) => flag(value).is_some_and(|flag| if flag { *yes } else { *no }),
            // Decided by whoever knows whether there is a value.
            Self::Null(_, with) => *with,
        }
    }
}

impl Comparison {
    fn holds<T: Ord>(self, one: &T, other: &T) -> bool {
        match self {
            Self::Equal => one == other,
            Self::Less => one < other,
            Self::LessOrEqual => one <= other,
            Self::Greater => one > other,
            Self::GreaterOrEqual => one >= other,
        }
    }
}

impl Number {
    /// Parts of one: nine digits behind the point.
    const PARTS: i128 = 1_000_000_000;
    const DIGITS: usize = 9;

    /// `-12.5`; at most 18 digits before the point and nine behind it.
    pub fn parse(text: &str) -> Option<Number> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits =
            |text: &str, most| !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole, 18) || !all_digits(part, Self::DIGITS) {
            return None;
        }
        let scale = 10_i128.pow((Self::DIGITS - part.len()) as u32);
        let parts = whole.parse::<i128>().ok()? * Self::PARTS + part.parse::<i128>().ok()? * scale;
        Some(Number(if negative { -parts } else { parts }))
    }
}

/// The six parts of an ARN; the last may have colons.
fn arn_parts(text: &[u8]) -> Option<[&[u8]; 6]> {
    let mut parts = text.splitn(6, |byte| *byte == b':');
    let mut next = || parts.next();
    Some([next()?, next()?, next()?, next()?, next()?, next()?])
}

fn address(value: Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Address(ip) => Some(ip),
        Value::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        Value::Date(_) | Value::Epoch(_) | Value::Flag(_) => None,
    }
}

fn seconds(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Date(ms) | Value::Epoch(ms) => i64::try_from(ms / 1_000).ok(),
        Value::Text(text) => date::parse(std::str::from_utf8(text).ok()?),
        Value::Address(_) | Value::Flag(_) => None,
    }
}

fn number(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Date(ms) | Value::Epoch(ms) => Some(Number(i128::from(ms / 1_000) * Number::PARTS)),
        Value::Text(text) => Number::parse(std::str::from_utf8(text).ok()?),
        Value::Address(_) | Value::Flag(_) => None,
    }
}

fn flag(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Flag(flag) => Some(flag),
        Value::Text(text) if text.eq_ignore_ascii_case(b"true") => Some(true),
        Value::Text(text) if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        let of = |text| Number::parse(text);
        assert_eq!(of("1.50"), of("1.5"));
        assert_eq!(of("007"), of("7"));
        assert!(of("0.1") < of("0.100000001") && of("-1") < of("-0.5") && of("-0") == of("0"));
        for text in ["", "-", ".5", "1.", "1e5", "+1", "1 ", "0x1", "1234567890123456789", "0.1234567890"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
