//! From a document to a policy. What is not understood is refused, with its place.

use std::fmt;
use std::net::IpAddr;

use super::condition::{Comparison, Condition, Number, Test};
use super::date;
use super::document::Json;
use super::key::{Key, Nature};
use super::pattern::{Pattern, Slip, Token, tokens};
use super::principal::{Principal, Principals};
use super::request::{Action, Request};
use super::{Policy, Resource, Resources, Statement};
use crate::limits::{POLICY_BYTES_MAX, POLICY_PATTERN_BYTES_MAX, POLICY_STATEMENTS_MAX};
use crate::networks::{Network, Networks};

/// Where a policy belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// To who asks: of a principal, or in an authorizer's answer. It names no principals.
    Identity,
    /// To the API that is asked. It names principals, and `execute-api:/…` means this API, whatever its ARN.
    Resource,
}

/// Why a document is no policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `Statement[0].Condition.IpAddress`; empty for the document as a whole.
    pub place: Box<str>,
    /// What is wrong there.
    pub what: Box<str>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.place, self.what) }
    }
}

type Read<T> = Result<T, Fault>;

fn fault<T>(place: impl Into<String>, what: impl Into<String>) -> Read<T> {
    Err(Fault { place: place.into().into(), what: what.into().into() })
}

/// Reads a document.
pub(super) fn policy(json: &[u8], form: Form) -> Read<Policy> {
    if json.len() > POLICY_BYTES_MAX {
        return fault("", format!("a policy has at most {POLICY_BYTES_MAX} bytes"));
    }
    let document: Json = match serde_json::from_slice(json) {
        Ok(document) => document,
        Err(error) => return fault("", format!("this is no JSON: {error}")),
    };
    let fields = Fields::open("", &document, &["Version", "Id", "Statement"])?;
    let variables = match fields.get("Version") {
        None => false,
        Some(Json::Text(text)) if **text == *"2012-10-17" => true,
        Some(Json::Text(text)) if **text == *"2008-10-17" => false,
        Some(_) => return fault("Version", "the versions are 2012-10-17 and 2008-10-17"),
    };
    let Some(written) = fields.get("Statement") else { return fault("", "a policy has a `Statement`") };
    let reader = Reader { form, variables };
    let mut statements = Vec::new();
    match written {
        Json::List(list) if list.len() > POLICY_STATEMENTS_MAX => {
            return fault("Statement", format!("a policy has at most {POLICY_STATEMENTS_MAX} statements"));
        }
        Json::List(list) => {
            for (number, written) in list.iter().enumerate() {
                statements.push(reader.statement(&format!("Statement[{number}]"), number as u16, written)?);
            }
        }
        single => statements.push(reader.statement("Statement", 0, single)?),
    }
    // What is about other services is read, but never asked about.
    statements.retain(|statement| statement.actions != 0);
    statements.sort_by_key(|statement| !statement.denies);
    Ok(Policy { statements: statements.into() })
}

/// An object whose keys are known. `null` is as good as nothing: serializers of authorizers write it.
struct Fields<'a> {
    map: &'a [(Box<str>, Json)],
}

impl<'a> Fields<'a> {
    fn open(place: &str, json: &'a Json, known: &[&str]) -> Read<Fields<'a>> {
        let Json::Map(map) = json else {
            return fault(place, format!("this is {}, not an object", json.name()));
        };
        for (key, _) in map {
            if known.contains(&&**key) {
                continue;
            }
            let near = known.iter().find(|known| known.eq_ignore_ascii_case(key));
            let hint = near
                .map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("it is written `{near}`"));
            return fault(below(place, key), format!("`{key}` is no element of a policy here: {hint}"));
        }
        Ok(Fields { map })
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        let found = self.map.iter().find(|(key, _)| **key == *name);
        found.map(|(_, value)| value).filter(|value| **value != Json::Null)
    }

    /// One of two elements that exclude each other, and whether it is the second.
    fn either(&self, place: &str, names: [&'static str; 2]) -> Read<(String, &'a Json, bool)> {
        let [yes, no] = names;
        match (self.get(yes), self.get(no)) {
            (Some(_), Some(_)) => fault(place, format!("`{yes}` and `{no}` exclude each other")),
            (Some(json), None) => Ok((below(place, yes), json, false)),
            (None, Some(json)) => Ok((below(place, no), json, true)),
            (None, None) => fault(place, format!("a statement has a `{yes}` or a `{no}`")),
        }
    }
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// The texts of a list, or a single one. `bare`: numbers and flags without quotes are texts too.
fn texts<'a>(place: &str, json: &'a Json, bare: bool) -> Read<Vec<&'a str>> {
    let one = |json: &'a Json| match json {
        Json::Text(text) => Ok(&**text),
        Json::Bare(text) if bare => Ok(&**text),
        other => fault(place, format!("this is {}, not a text", other.name())),
    };
    match json {
        Json::List(list) if list.is_empty() => fault(place, "the list is empty"),
        Json::List(list) => list.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

struct Reader {
    form: Form,
    /// Whether `${…}` means something.
    variables: bool,
}

impl Reader {
    fn statement(&self, place: &str, number: u16, json: &Json) -> Read<Statement> {
        const KNOWN: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        let fields = Fields::open(place, json, &KNOWN)?;
        let denies = match fields.get("Effect") {
            Some(Json::Text(text)) if **text == *"Deny" => true,
            Some(Json::Text(text)) if **text == *"Allow" => false,
            _ => return fault(below(place, "Effect"), "a statement has the effect `Allow` or `Deny`"),
        };
        Ok(Statement {
            number,
            denies,
            principals: self.principals(place, &fields)?,
            actions: actions(place, &fields)?,
            resources: self.resources(place, &fields)?,
            conditions: match fields.get("Condition") {
                Some(json) => self.conditions(&below(place, "Condition"), json)?,
                None => Box::default(),
            },
        })
    }

    fn principals(&self, place: &str, fields: &Fields<'_>) -> Read<Principals> {
        let names = ["Principal", "NotPrincipal"];
        if self.form == Form::Identity {
            return match names.into_iter().find(|name| fields.get(name).is_some()) {
                Some(name) => fault(below(place, name), "a policy of a principal's own names no principals"),
                None => Ok(Principals::everybody()),
            };
        }
        let (place, json, negated) = fields.either(place, names)?;
        let mut list = Vec::new();
        match json {
            Json::Text(text) if **text == *"*" => list.push(Principal::Everybody),
            Json::Map(map) if !map.is_empty() => {
                for (kind, names) in map {
                    let place = below(&place, kind);
                    let names = texts(&place, names, true)?;
                    match &**kind {
                        "AWS" => {
                            for name in names {
                                let what = "is no account, no ARN of a user or a role, and not `*`";
                                let Some(one) = Principal::parse(name) else {
                                    return fault(place, format!("`{name}` {what}"));
                                };
                                list.push(one);
                            }
                        }
                        "Service" | "Federated" | "CanonicalUser" => list.push(Principal::Nobody),
                        _ => return fault(place, "the kinds are AWS, Service, Federated and CanonicalUser"),
                    }
                }
            }
            _ => return fault(place, "a principal is `*` or an object like {\"AWS\": …}"),
        }
        Ok(Principals { negated, list: list.into() })
    }

    fn resources(&self, place: &str, fields: &Fields<'_>) -> Read<Resources> {
        let (place, json, negated) = fields.either(place, ["Resource", "NotResource"])?;
        let texts = texts(&place, json, false)?;
        let list = texts.into_iter().map(|text| self.resource(&place, text)).collect::<Read<_>>()?;
        Ok(Resources { negated, list })
    }

    fn resource(&self, place: &str, text: &str) -> Read<Resource> {
        if self.form == Form::Resource && text.starts_with("execute-api:/") {
            let path = &text["execute-api:".len()..];
            return Ok(Resource { of_this_api: true, pattern: Pattern::new(self.tokens(place, path, true)?) });
        }
        if text != "*" && !text.starts_with("arn:") {
            let short = if self.form == Form::Identity { "" } else { ", nor begins it with `execute-api:/`" };
            return fault(place, format!("`{text}` is no ARN and not `*`{short}"));
        }
        let mut tokens = self.tokens(place, text, true)?;
        if text != "*" {
            // Parts that are left out are stars.
            for _ in parts(&tokens).len()..6 {
                tokens.extend([Token::Byte(b':'), Token::Star]);
            }
        }
        Ok(Resource { of_this_api: false, pattern: Pattern::new(tokens) })
    }

    fn tokens(&self, place: &str, text: &str, wild: bool) -> Read<Vec<Token>> {
        if text.len() > POLICY_PATTERN_BYTES_MAX {
            return fault(place, format!("a text has at most {POLICY_PATTERN_BYTES_MAX} bytes here"));
        }
        tokens(text, wild, self.variables).or_else(|slip| {
            let what = match slip {
                Slip::Open => "has a `${` without its `}`",
                Slip::Unknown => "has a variable that is no known key",
                Slip::Default => "has a default that is not in single quotes",
            };
            fault(place, format!("`{text}` {what}"))
        })
    }

    fn conditions(&self, place: &str, json: &Json) -> Read<Box<[Condition]>> {
        let Json::Map(operators) = json else {
            return fault(place, format!("this is {}, not an object", json.name()));
        };
        let mut conditions = Vec::new();
        for (name, keys) in operators {
            let place = below(place, name);
            let Some(operator) = Operator::parse(name) else {
                return fault(place, format!("`{name}` is no known operator"));
            };
            let Json::Map(keys) = keys else {
                return fault(place, format!("this is {}, not an object of keys", keys.name()));
            };
            if keys.is_empty() {
                return fault(place, "no key stands here");
            }
            for (name, values) in keys {
                let place = below(&place, name);
                let Some(key) = Key::parse(name) else {
                    return fault(place, format!("`{name}` is no key that is known here"));
                };
                conditions.push(self.condition(&place, operator, key, &texts(&place, values, true)?)?);
            }
        }
        Ok(conditions.into())
    }

    fn condition(&self, place: &str, operator: Operator, key: Key, values: &[&str]) -> Read<Condition> {
        if !operator.family.suits(key.nature()) {
            return fault(place, "this operator cannot look at this key: their types differ");
        }
        let Operator { family, negated, without, .. } = operator;
        let pattern = |text: &&str, wild| Ok::<_, Fault>(Pattern::new(self.tokens(place, text, wild)?));
        let patterns = |wild| values.iter().map(|text| pattern(text, wild)).collect::<Read<Box<_>>>();
        let no = |text: &str, what: &str| Fault { place: place.into(), what: format!("`{text}` is no {what}").into() };
        let test = match family {
            Family::String => Test::Text(patterns(false)?),
            Family::Like => Test::Text(patterns(true)?),
            Family::AnyCase => Test::TextInAnyCase(patterns(false)?),
            Family::Arn => Test::Arn(values.iter().map(|text| self.arn(place, text)).collect::<Read<_>>()?),
            Family::Ip => {
                let networks = values.iter().map(|text| network(text).ok_or_else(|| no(text, "range of addresses")));
                Test::Networks(Networks::new(networks.collect::<Read<Vec<_>>>()?, false))
            }
            Family::Date(how) => {
                let dates = values.iter().map(|text| date::parse(text).ok_or_else(|| no(text, "date")));
                Test::Date(how, dates.collect::<Read<_>>()?)
            }
            Family::Numeric(how) => {
                let numbers = values.iter().map(|text| Number::parse(text).ok_or_else(|| no(text, "decimal number")));
                Test::Number(how, numbers.collect::<Read<_>>()?)
            }
            Family::Bool | Family::Null => {
                let (mut yes, mut no_flag) = (false, false);
                for text in values {
                    match () {
                        () if text.eq_ignore_ascii_case("true") => yes = true,
                        () if text.eq_ignore_ascii_case("false") => no_flag = true,
                        () => return Err(no(text, "flag")),
                    }
                }
                if family == Family::Bool { Test::Flag(yes, no_flag) } else { Test::Null(yes, no_flag) }
            }
        };
        Ok(Condition { key, test, negated, without })
    }

    fn arn(&self, place: &str, text: &str) -> Read<[Pattern; 6]> {
        let tokens = self.tokens(place, text, true)?;
        let parts = parts(&tokens);
        if text != "*" && !text.starts_with("arn:") {
            return fault(place, format!("`{text}` is no ARN and not `*`"));
        }
        let part = |at: usize| match parts.get(at) {
            Some(part) => Pattern::new(part.iter().cloned()),
            None => Pattern::new([Token::Star]),
        };
        Ok(std::array::from_fn(part))
    }
}

/// The parts of an ARN, of which the sixth may have colons.
fn parts(tokens: &[Token]) -> Vec<&[Token]> {
    tokens.splitn(6, |token| *token == Token::Byte(b':')).collect()
}

/// The actions that are meant, as bits.
fn actions(place: &str, fields: &Fields<'_>) -> Read<u8> {
    let (place, json, negated) = fields.either(place, ["Action", "NotAction"])?;
    let mut bits = 0;
    for text in texts(&place, json, false)? {
        let has_service = text.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        if (text != "*" && !has_service) || text.len() > POLICY_PATTERN_BYTES_MAX {
            return fault(place, format!("`{text}` is no action: one is `execute-api:Invoke`, all are `*`"));
        }
        let Ok(tokens) = tokens(&text.to_ascii_lowercase(), true, false) else { continue };
        let pattern = Pattern::new(tokens);
        let fits = |name: &str| pattern.matches(name.as_bytes(), &Request::default());
        bits |= Action::ALL.iter().filter(|(_, name)| fits(name)).fold(0, |bits, (action, _)| bits | action.bit());
    }
    let all = Action::ALL.iter().fold(0, |bits, (action, _)| bits | action.bit());
    Ok(if negated { all & !bits } else { bits })
}

/// An address, or a range of them; bits behind its prefix do not count.
fn network(text: &str) -> Option<Network> {
    let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => most,
        Some(digits) if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    Network::new(ip, prefix).map_or_else(|meant| meant, Some)
}

/// An operator with its prefix and suffix.
#[derive(Clone, Copy)]
struct Operator {
    family: Family,
    negated: bool,
    /// Whether it holds if the key has no value.
    without: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    String,
    AnyCase,
    Like,
    Arn,
    Ip,
    Date(Comparison),
    Numeric(Comparison),
    Bool,
    Null,
}

impl Family {
    const fn suits(self, nature: Nature) -> bool {
        matches!(
            (self, nature),
            (Self::Null | Self::String | Self::AnyCase | Self::Like, _)
                | (_, Nature::Any)
                | (Self::Arn, Nature::Text)
                | (Self::Ip, Nature::Address)
                | (Self::Bool, Nature::Flag)
                | (Self::Date(_) | Self::Numeric(_), Nature::Time)
                | (Self::Numeric(_), Nature::Number)
        )
    }
}

impl Operator {
    fn parse(name: &str) -> Option<Operator> {
        // Every key has one value here, so that one of them is all of them; they differ where there is none.
        let (set, rest) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAllValues", rest)) => (Some(true), rest),
            Some(("ForAnyValue", rest)) => (Some(false), rest),
            Some(_) => return None,
        };
        let (base, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |base| (base, true));
        let (family, negated) = Self::base(base)?;
        if family == Family::Null && (if_exists || set.is_some()) {
            return None;
        }
        let without = if_exists || set.unwrap_or(negated);
        Some(Operator { family, negated, without })
    }

    fn base(name: &str) -> Option<(Family, bool)> {
        let compared = |rest: &str| {
            Some(match rest {
                "Equals" => (Comparison::Equal, false),
                "NotEquals" => (Comparison::Equal, true),
                "LessThan" => (Comparison::Less, false),
                "LessThanEquals" => (Comparison::LessOrEqual, false),
                "GreaterThan" => (Comparison::Greater, false),
                "GreaterThanEquals" => (Comparison::GreaterOrEqual, false),
                _ => return None,
            })
        };
        if let Some(rest) = name.strip_prefix("Date") {
            return compared(rest).map(|(how, negated)| (Family::Date(how), negated));
        }
        if let Some(rest) = name.strip_prefix("Numeric") {
            return compared(rest).map(|(how, negated)| (Family::Numeric(how), negated));
        }
        Some(match name {
            "StringEquals" => (Family::String, false),
            "StringNotEquals" => (Family::String, true),
            "StringEqualsIgnoreCase" => (Family::AnyCase, false),
            "StringNotEqualsIgnoreCase" => (Family::AnyCase, true),
            "StringLike" => (Family::Like, false),
            "StringNotLike" => (Family::Like, true),
            "ArnEquals" | "ArnLike" => (Family::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Family::Arn, true),
            "IpAddress" => (Family::Ip, false),
            "NotIpAddress" => (Family::Ip, true),
            "Bool" => (Family::Bool, false),
            "Null" => (Family::Null, false),
            _ => return None,
        })
    }
}
