//! The slow twin of the policy engine: reads a document anew for each question, in the most obvious way. Nothing serves with it; properties
//! and fuzz targets hold the engine against it.
//!
//! It shares with the engine what a request has for a key and how a date is read, and nothing beyond that. It takes documents that the engine
//! has read without a fault, and knows nothing of faults itself.

use serde_json::Value as Json;

use super::date;
use super::key::Key;
use super::request::{Buffer, Value};
use super::{Decision, Form, Request};

/// Whether a text fits a pattern of `*` and `?`: by every prefix of both.
pub fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let letters: Vec<Letter> = pattern.iter().map(|byte| Letter::wild(*byte)).collect();
    like(&letters, text)
}

#[derive(Clone, Copy, PartialEq)]
enum Letter {
    Star,
    One,
    Same(u8),
}

impl Letter {
    const fn wild(byte: u8) -> Letter {
        match byte {
            b'*' => Letter::Star,
            b'?' => Letter::One,
            byte => Letter::Same(byte),
        }
    }
}

fn like(letters: &[Letter], text: &[u8]) -> bool {
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for letter in letters {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match letter {
                Letter::Star => fits[at] || (at > 0 && next[at - 1]),
                Letter::One => at > 0 && fits[at - 1],
                Letter::Same(byte) => at > 0 && fits[at - 1] && text[at - 1] == *byte,
            };
        }
        fits = next;
    }
    fits[text.len()]
}

/// What a document says of a request.
pub fn decide(document: &Json, form: Form, request: &Request<'_>) -> Decision {
    let modern = document["Version"] == "2012-10-17";
    let mut allowed = false;
    for statement in each(&document["Statement"]) {
        let asked = Asked { modern, form, request };
        if asked.fits(statement) {
            if statement["Effect"] == "Deny" {
                return Decision::ExplicitDeny;
            }
            allowed = true;
        }
    }
    if allowed { Decision::Allow } else { Decision::ImplicitDeny }
}

fn each(json: &Json) -> Vec<&Json> {
    match json {
        Json::Null => Vec::new(),
        Json::Array(list) => list.iter().collect(),
        single => vec![single],
    }
}

fn texts(json: &Json) -> Vec<String> {
    let text = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    each(json).into_iter().map(text).collect()
}

/// Whether one of an element's texts fits, or none of its negation's.
fn any_of(statement: &Json, name: &str, not: &str, fits: impl Fn(&str) -> bool) -> bool {
    let negated = statement[name].is_null();
    texts(&statement[if negated { not } else { name }]).iter().any(|text| fits(text)) != negated
}

struct Asked<'a> {
    modern: bool,
    form: Form,
    request: &'a Request<'a>,
}

impl Asked<'_> {
    fn fits(&self, statement: &Json) -> bool {
        let action = match self.request.action {
            super::Action::Invoke => "execute-api:Invoke",
            super::Action::InvalidateCache => "execute-api:InvalidateCache",
            super::Action::ManageConnections => "execute-api:ManageConnections",
        };
        let is_action = |text: &str| glob(text.to_lowercase().as_bytes(), action.to_lowercase().as_bytes());
        any_of(statement, "Action", "NotAction", is_action)
            && any_of(statement, "Resource", "NotResource", |text| self.resource(text))
            && self.principal(statement)
            && self.conditions(&statement["Condition"])
    }

    fn resource(&self, text: &str) -> bool {
        let (text, whole) = match (self.form, text.strip_prefix("execute-api:/")) {
            (Form::Resource, Some(rest)) => {
                let slash = self.request.resource.iter().position(|byte| *byte == b'/');
                let Some(slash) = slash else { return false };
                (rest, &self.request.resource[slash + 1..])
            }
            _ => (text, self.request.resource),
        };
        let Some(mut letters) = self.letters(text, true) else { return false };
        if text.starts_with("arn:") {
            let plain = self.without_variables(text);
            for _ in plain.matches(':').count()..5 {
                letters.extend([Letter::Same(b':'), Letter::Star]);
            }
        }
        like(&letters, whole)
    }

    /// A text in which variables are no colons.
    fn without_variables(&self, text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while self.modern
            && let Some((before, behind)) = rest.split_once("${")
        {
            plain.push_str(before);
            rest = behind.split_once('}').map_or("", |(_, behind)| behind);
        }
        plain + rest
    }

    /// `None`: a variable has no value.
    fn letters(&self, text: &str, wild: bool) -> Option<Vec<Letter>> {
        let mut letters = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if self.modern && bytes[at..].starts_with(b"${") {
                let end = at + text[at..].find('}')?;
                letters.extend(self.variable(&text[at + 2..end])?.into_iter().map(Letter::Same));
                at = end + 1;
                continue;
            }
            letters.push(if wild { Letter::wild(bytes[at]) } else { Letter::Same(bytes[at]) });
            at += 1;
        }
        Some(letters)
    }

    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        if ["*", "?", "$"].contains(&name) {
            return Some(name.into());
        }
        let (name, default) = name.split_once(',').map_or((name, None), |(name, default)| (name, Some(default)));
        let value = self.value(name.trim()).map(|(text, _)| text);
        value.or_else(|| default.map(|text| text.trim().trim_matches('\'').as_bytes().to_vec()))
    }

    /// The value of a key, as text and as it is.
    fn value(&self, name: &str) -> Option<(Vec<u8>, Value<'_>)> {
        let value = self.request.value(&Key::parse(name)?)?;
        Some((value.text(&mut Buffer::new()).to_vec(), value))
    }

    fn principal(&self, statement: &Json) -> bool {
        if self.form == Form::Identity {
            return true;
        }
        let (json, negated) = match &statement["Principal"] {
            Json::Null => (&statement["NotPrincipal"], true),
            json => (json, false),
        };
        let names = if json == "*" { vec!["*".to_owned()] } else { texts(&json["AWS"]) };
        let means = |name: &String| {
            let Some(who) = self.request.who else { return name == "*" };
            let root = format!("arn:aws:iam::{}:root", who.account);
            let is_root = name.ends_with(":root") && name.contains(&format!("::{}:", who.account));
            name == "*"
                || name == who.account
                || *name == root
                || is_root
                || name == who.arn
                || name == who.principal_arn
        };
        names.iter().any(means) != negated
    }

    fn conditions(&self, json: &Json) -> bool {
        let Some(operators) = json.as_object() else { return true };
        operators.iter().all(|(operator, keys)| {
            let Some(keys) = keys.as_object() else { return false };
            keys.iter().all(|(key, values)| self.condition(operator, key, &texts(values)))
        })
    }

    fn condition(&self, operator: &str, key: &str, values: &[String]) -> bool {
        let value = self.value(key);
        if operator == "Null" {
            return values.iter().any(|text| text.eq_ignore_ascii_case("true") == value.is_none());
        }
        let (operator, optional) = match operator.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (operator, false),
        };
        let (all, any) = (operator.starts_with("ForAllValues:"), operator.starts_with("ForAnyValue:"));
        let operator = operator.trim_start_matches("ForAllValues:").trim_start_matches("ForAnyValue:");
        let negated = operator.contains("Not");
        let Some((text, value)) = value else { return optional || all || (negated && !any) };
        let operator = operator.replace("Not", "");
        values.iter().any(|wanted| self.compare(&operator, wanted, &text, value)) != negated
    }

    fn compare(&self, operator: &str, wanted: &str, text: &[u8], value: Value<'_>) -> bool {
        let seconds = || match value {
            Value::Date(ms) | Value::Epoch(ms) => i64::try_from(ms / 1_000).ok(),
            _ => std::str::from_utf8(text).ok().and_then(date::parse),
        };
        match operator {
            "StringEquals" => self.letters(wanted, false).is_some_and(|letters| like(&letters, text)),
            "StringLike" => self.letters(wanted, true).is_some_and(|letters| like(&letters, text)),
            "StringEqualsIgnoreCase" => {
                let lower = |letter: &Letter| match letter {
                    Letter::Same(byte) => Letter::Same(byte.to_ascii_lowercase()),
                    letter => *letter,
                };
                let letters = self.letters(wanted, false);
                let letters: Option<Vec<Letter>> = letters.map(|letters| letters.iter().map(lower).collect());
                letters.is_some_and(|letters| like(&letters, &text.to_ascii_lowercase()))
            }
            "ArnEquals" | "ArnLike" => self.arn(wanted, text),
            "IpAddress" => is_in(wanted, text),
            "Bool" => wanted.as_bytes().eq_ignore_ascii_case(text),
            _ => {
                let (one, other) = if operator.starts_with("Date") {
                    (seconds().map(i128::from), date::parse(wanted).map(i128::from))
                } else {
                    let number = match value {
                        Value::Date(_) | Value::Epoch(_) => seconds().map(|number| i128::from(number) * 1_000_000_000),
                        _ => decimal(&String::from_utf8_lossy(text)),
                    };
                    (number, decimal(wanted))
                };
                let (Some(one), Some(other)) = (one, other) else { return false };
                match operator.trim_start_matches("Date").trim_start_matches("Numeric") {
                    "LessThan" => one < other,
                    "LessThanEquals" => one <= other,
                    "GreaterThan" => one > other,
                    "GreaterThanEquals" => one >= other,
                    _ => one == other,
                }
            }
        }
    }

    fn arn(&self, wanted: &str, text: &[u8]) -> bool {
        let parts: Vec<&[u8]> = text.splitn(6, |byte| *byte == b':').collect();
        // Colons within variables are none.
        let (mut pieces, mut within, mut before) = (vec![String::new()], false, ' ');
        for letter in wanted.chars() {
            within = (within && letter != '}') || (self.modern && before == '$' && letter == '{');
            before = letter;
            if letter == ':' && !within && pieces.len() < 6 {
                pieces.push(String::new());
            } else if let Some(piece) = pieces.last_mut() {
                piece.push(letter);
            }
        }
        pieces.resize(6, "*".to_owned());
        let fits =
            |(piece, part): (&String, &&[u8])| self.letters(piece, true).is_some_and(|letters| like(&letters, part));
        parts.len() == 6 && pieces.iter().zip(&parts).all(fits)
    }
}

/// In billionths.
fn decimal(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = whole.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    format!("{whole}{part:0<9}")
        .parse()
        .ok()
        .filter(|_| is_whole && !part.is_empty() && whole != "-" && !whole.is_empty())
}

/// Bit by bit.
fn is_in(range: &str, text: &[u8]) -> bool {
    use std::net::IpAddr;
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (network, prefix) = range.split_once('/').unwrap_or((range, "128"));
    let ip = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let (Some(ip), Ok(network), Ok(prefix)) = (ip, network.parse::<IpAddr>(), prefix.parse::<usize>()) else {
        return false;
    };
    let (one, other) = (bits(ip.to_canonical()), bits(network));
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    one.len() == other.len() && (0..prefix.min(one.len() * 8)).all(|at| bit(&one, at) == bit(&other, at))
}
