//! What ARNs name (`region`, `account_id`), and who runs functions (`lambda`): settings of the gateway as a whole.

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::source::node::{Node, Text, Value};

/// The region that ARNs name.
pub const REGION: Field = Field::new("region", Type::Text, "what ARNs name as the region; us-east-1 by default");
/// The account that ARNs name.
pub const ACCOUNT_ID: Field =
    Field::new("account_id", Type::Text, "twelve digits that ARNs name as the account; 000000000000 by default");
/// Who runs functions.
pub const LAMBDA: Field =
    Field::new("lambda", Type::Object(&LAMBDA_TABLE), "who runs the functions that ARNs name").short(Type::Text);

/// The fields of `lambda`.
pub const LAMBDA_TABLE: Table = Table {
    name: "`lambda`",
    fields: &[
        Field::new("endpoint", Type::Text, "where Lambda's Invoke API is, without a path: http://127.0.0.1:9001")
            .needed(),
        Field::new("region", Type::Text, "the region that requests to it are signed for; the gateway's by default"),
        Field::new("access_key", Type::Text, "the id of the key that they are signed with; not signed without one"),
        Field::new("secret_key", Type::Text, "where its secret is: ${file:path}, ${env:NAME} or ${credential:name}"),
        Field::new("session_token", Type::Text, "where the token of its session is, in the same way"),
    ],
};

/// What requests to Lambda are signed with, as written.
#[derive(Debug, Clone)]
pub struct SignerSpec {
    /// Where it begins.
    pub place: Place,
    /// For which region.
    pub region: Option<Text>,
    /// The id of the key, or a reference to it.
    pub access_key: Text,
    /// Where its secret is.
    pub secret_key: Text,
    /// Where the token of its session is.
    pub session_token: Option<Text>,
}

/// These settings, as written.
#[derive(Debug, Clone, Default)]
pub struct CloudSpec {
    /// `eu-central-1`
    pub region: Option<Text>,
    /// Twelve digits.
    pub account_id: Option<Text>,
    /// The address of Lambda's Invoke API.
    pub lambda: Option<Text>,
    /// What requests to it are signed with; `None`: they are not.
    pub signer: Option<SignerSpec>,
}

impl CloudSpec {
    /// Reads them from the part `gateway`.
    pub fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Self {
        let region = region(object, reader);
        let account_id = object.get("account_id").and_then(|node| reader.text(node, "`account_id`")).filter(|text| {
            let fits = text.text.len() == 12 && text.text.bytes().all(|byte| byte.is_ascii_digit());
            if !fits {
                let what = format!("`{}` is no account id", text.text);
                reader.faults.error_hint(text.place, what, "write twelve digits: \"123456789012\"");
            }
            fits
        });
        let (lambda, signer) = object.get("lambda").map(|node| functions(node, reader)).unwrap_or_default();
        Self { region, account_id, lambda, signer }
    }
}

fn region(object: &Object<'_>, reader: &mut Reader<'_>) -> Option<Text> {
    object.get("region").and_then(|node| reader.text(node, "`region`")).filter(|text| {
        let fits = is_region(&text.text);
        if !fits {
            let what = format!("`{}` is no region", text.text);
            reader.faults.error_hint(text.place, what, "write lower-case letters, digits and -: eu-central-1");
        }
        fits
    })
}

fn is_region(text: &str) -> bool {
    (1..=limits::REGION_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

const HINT: &str = "write `lambda: {endpoint: \"http://127.0.0.1:9001\"}`";

/// Where functions run, and what requests to that are signed with.
fn functions(node: &Node, reader: &mut Reader<'_>) -> (Option<Text>, Option<SignerSpec>) {
    if !matches!(node.value, Value::Map(_)) {
        return (reader.text(node, "`lambda`").and_then(|text| endpoint(text, reader)), None);
    }
    let Some(object) = reader.object(node, &LAMBDA_TABLE) else { return (None, None) };
    if object.lacks("endpoint") {
        reader.faults.error_hint(object.place, "`lambda` has no `endpoint`", HINT);
    }
    let text = object.get("endpoint").and_then(|node| reader.text(node, "`endpoint`"));
    let signer = signer(&object, reader);
    object.close();
    (text.and_then(|text| endpoint(text, reader)), signer)
}

fn signer(object: &Object<'_>, reader: &mut Reader<'_>) -> Option<SignerSpec> {
    let region = region(object, reader);
    let mut text = |name: &str| object.get(name).and_then(|node| reader.text(node, &format!("`{name}`")));
    let (access_key, secret_key, session_token) = (text("access_key"), text("secret_key"), text("session_token"));
    let place = object.place;
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => {
            return Some(SignerSpec { place, region, access_key, secret_key, session_token });
        }
        (None, None) => {
            let stray = region.as_ref().or(session_token.as_ref());
            if let Some(stray) = stray.filter(|_| object.lacks("access_key") && object.lacks("secret_key")) {
                let what = "nothing is signed for this: there is no `access_key`";
                reader.faults.error_hint(stray.place, what, "write `access_key` and `secret_key`, or remove it");
            }
        }
        (access_key, _) => {
            let lacking = if access_key.is_none() { "access_key" } else { "secret_key" };
            if object.lacks(lacking) {
                let hint = "write `access_key: AKIDEXAMPLE` and `secret_key: \"${file:keys/lambda}\"`";
                reader.faults.error_hint(place, format!("`lambda` has no `{lacking}` beside the other"), hint);
            }
        }
    }
    None
}

fn endpoint(text: Text, reader: &mut Reader<'_>) -> Option<Text> {
    let rest = text.text.strip_prefix("http://").or_else(|| text.text.strip_prefix("https://"));
    let fits = rest.is_some_and(|rest| {
        let host = rest.strip_suffix('/').unwrap_or(rest);
        !host.is_empty() && !host.contains(['/', '?', '#', '{', '}', '$'])
    });
    if !fits {
        let what = format!("`{}` is not where Lambda's Invoke API could be", text.text);
        reader.faults.error_hint(text.place, what, HINT);
    }
    fits.then_some(text)
}
