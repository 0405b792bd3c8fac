//! Who decides on callers: the part `authorizers` of an API, one file for each type.

pub mod basic;
pub mod jwt;
pub mod lambda;
pub mod mtls;

use serde_json::Value as Json;

use self::basic::BasicSpec;
use self::jwt::JwtSpec;
use self::lambda::LambdaSpec;
use self::mtls::MtlsSpec;
use crate::model::field::{Table, nearest};
use crate::model::reader::Reader;
use crate::source::node::{Node, Text, Value};

/// One authorizer, as written.
#[derive(Debug, Clone)]
pub struct AuthorizerSpec {
    /// As routes name it.
    pub name: Text,
    /// What it does; `None`: unreadable, which is a fault already.
    pub spec: Option<TypeSpec>,
}

/// What an authorizer does, as written.
#[derive(Debug, Clone)]
pub enum TypeSpec {
    /// `type: jwt`
    Jwt(JwtSpec),
    /// `type: lambda`
    Lambda(LambdaSpec),
    /// `type: basic`
    Basic(BasicSpec),
    /// `type: mtls`
    Mtls(MtlsSpec),
}

/// The fields of each type; the first of them is `type`.
pub const TABLES: &[&Table] = &[&jwt::JWT, &lambda::LAMBDA, &basic::BASIC, &mtls::MTLS];

/// Types that are known, but not available in this version.
const LATER: [&str; 5] = ["http", "token", "request", "cognito_user_pools", "iam"];

impl AuthorizerSpec {
    /// Reads one authorizer: its type says which fields it has.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.entries(node, "an authorizer")?;
        let kind = entries.iter().find(|entry| &*entry.key.text == "type" && !entry.value.is_null());
        let words = "jwt, lambda, basic, mtls";
        let Some(kind) = kind else {
            let what = format!("authorizer `{}` has no type", name.text);
            reader.faults.error_hint(name.place, what, format!("write `type: …`, one of {words}"));
            return Some(Self { name: name.clone(), spec: None });
        };
        let spec = match &kind.value.value {
            Value::Scalar(text) => match &*text.text {
                "jwt" => JwtSpec::read(name, node, reader).map(TypeSpec::Jwt),
                "lambda" => LambdaSpec::read(name, node, reader).map(TypeSpec::Lambda),
                "basic" => BasicSpec::read(name, node, reader).map(TypeSpec::Basic),
                "mtls" => MtlsSpec::read(name, node, reader).map(TypeSpec::Mtls),
                _ => unknown(text, words, reader),
            },
            Value::List(_) | Value::Map(_) => {
                reader.faults.error_hint(kind.value.place, "`type` must be a text", format!("one of {words}"));
                None
            }
        };
        Some(Self { name: name.clone(), spec })
    }
}

/// Nobody knows what it would decide.
fn unknown(text: &Text, words: &str, reader: &mut Reader<'_>) -> Option<TypeSpec> {
    let hint = format!("`type` is one of {words}");
    if LATER.iter().any(|word| word.eq_ignore_ascii_case(&text.text)) {
        reader.faults.error_hint(text.place, format!("`{}` is not available in this version", text.text), hint);
        return None;
    }
    let near = nearest(&text.text, words.split(", ")).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    reader.faults.error_hint(text.place, format!("`type` cannot be `{}`{near}", text.text), hint);
    None
}

impl TypeSpec {
    /// The same as `x-amazon-apigateway-authorizer` says it; what AWS has no word for stands under `x-tollgate`.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Jwt(spec) => spec.to_json(),
            Self::Lambda(spec) => spec.to_json(),
            Self::Basic(spec) => spec.to_json(),
            Self::Mtls(spec) => spec.to_json(),
        }
    }

    /// The type of the security scheme that it is written under in OpenAPI, and the rest of that scheme.
    pub fn scheme(&self) -> (&'static str, Option<Json>) {
        match self {
            Self::Jwt(_) => ("oauth2", Some(serde_json::json!({ "flows": {} }))),
            Self::Lambda(spec) => ("apiKey", Some(spec.scheme())),
            Self::Basic(_) => ("http", Some(serde_json::json!({ "scheme": "basic" }))),
            // OpenAPI 3.0 has no word for certificates; this is what AWS writes where nothing fits.
            Self::Mtls(_) => ("apiKey", Some(serde_json::json!({ "name": "Unused", "in": "header" }))),
        }
    }
}

/// The texts of a list; one text stands for a list of one.
fn texts(node: &Node, what: &str, reader: &mut Reader<'_>) -> Vec<Text> {
    reader.list(node).iter().filter_map(|node| reader.text(node, what)).collect()
}

/// The same as JSON.
fn json_list(texts: &[Text]) -> Json {
    texts.iter().map(|text| Json::from(&*text.text)).collect()
}
