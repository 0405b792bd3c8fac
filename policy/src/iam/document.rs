//! JSON as policies need it: with every key, for of two `Condition`s the one that is dropped may be the one that restricts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value with its keys in order, none twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    /// A text, or what JSON writes without quotes, as text: `"5"` and `5` mean the same in a policy.
    Text(Box<str>),
    Bare(Box<str>),
    List(Vec<Json>),
    Map(Vec<(Box<str>, Json)>),
}

impl Json {
    /// What people call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "a text",
            Self::Bare(_) => "a number or a flag",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bare(if flag { "true" } else { "false" }.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Bare(number.to_string().into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Bare(number.to_string().into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json, E> {
        // As JSON writes it: `1.0` stays that.
        let number = serde_json::Number::from_f64(number).ok_or_else(|| E::custom("this is no number"))?;
        Ok(Json::Bare(number.to_string().into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut map = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = access.next_key::<Box<str>>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("`{key}` stands there twice")));
            }
            map.push((key, access.next_value()?));
        }
        Ok(Json::Map(map))
    }
}
