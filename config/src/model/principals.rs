//! The part `gateway.principals`: who may sign requests with AWS Signature Version 4.

use crate::diagnostic::Place;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::source::node::{Node, Text};

/// One principal, as written.
#[derive(Debug, Clone)]
pub struct PrincipalSpec {
    /// Where it begins.
    pub place: Place,
    /// The id of its key.
    pub access_key: Option<Text>,
    /// Where its secret is.
    pub secret_key: Option<Text>,
    /// Where the token of its session is.
    pub session_token: Option<Text>,
    /// What people call it.
    pub name: Option<Text>,
    /// `arn:aws:iam::123456789012:user/ci`
    pub arn: Option<Text>,
    /// Twelve digits.
    pub account: Option<Text>,
    /// `aws:userid`
    pub user_id: Option<Text>,
    /// `aws:PrincipalTag/NAME`
    pub tags: Vec<(Text, Text)>,
    /// What it may do.
    pub policy: Option<Node>,
}

/// The fields of a principal.
pub const PRINCIPAL: Table = Table {
    name: "a principal",
    fields: &[
        Field::new("access_key", Type::Text, "the id of its key, which its requests name").needed(),
        Field::new("secret_key", Type::Text, "where its secret is: ${file:path}, ${env:NAME} or ${credential:name}")
            .needed(),
        Field::new("session_token", Type::Text, "where the token of its session is, which its requests must show"),
        Field::new("name", Type::Text, "the user's name; the access key by default"),
        Field::new("arn", Type::Text, "its ARN; arn:aws:iam::{account}:user/{name} by default"),
        Field::new("account", Type::Text, "twelve digits; the gateway's account_id by default"),
        Field::new("user_id", Type::Text, "aws:userid; the access key by default"),
        Field::new("tags", Type::Texts, "aws:PrincipalTag/…, by name"),
        Field::new(
            "policy",
            Type::Policy,
            "what it may do, as IAM writes it, or the path of that; without one, what resource policies let it",
        ),
    ],
};

impl PrincipalSpec {
    /// Reads one.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &PRINCIPAL)?;
        for field in ["access_key", "secret_key"] {
            if object.lacks(field) {
                let hint = "write `{access_key: AKIDEXAMPLE, secret_key: \"${file:keys/ci}\", policy: …}`";
                reader.faults.error_hint(object.place, format!("a principal has no `{field}`"), hint);
            }
        }
        let mut secret = |name: &str| object.get(name).and_then(|node| reader.secret(node, &format!("`{name}`")));
        let (secret_key, session_token) = (secret("secret_key"), secret("session_token"));
        let mut text = |name: &str| object.get(name).and_then(|node| reader.text(node, &format!("`{name}`")));
        let access_key = text("access_key");
        let (name, arn, account, user_id) = (text("name"), text("arn"), text("account"), text("user_id"));
        let tags = object.get("tags").map(|node| reader.texts(node, "`tags`", "a tag")).unwrap_or_default();
        let policy = object.get("policy").and_then(|node| super::api::policy(node, reader));
        let place = object.place;
        object.close();
        Some(Self { place, access_key, secret_key, session_token, name, arn, account, user_id, tags, policy })
    }
}
