//! What ARNs name (`region`, `account_id`), and who runs functions (`lambda`): settings of the gateway as a whole.

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
    fields: &[Field::new(
        "endpoint",
        Type::Text,
        "where Lambda's Invoke API is, without a path: http://127.0.0.1:9001",
    )
    .needed()],
};

/// These settings, as written.
#[derive(Debug, Clone, Default)]
pub struct CloudSpec {
    /// `eu-central-1`
    pub region: Option<Text>,
    /// Twelve digits.
    pub account_id: Option<Text>,
    /// The address of Lambda's Invoke API.
    pub lambda: Option<Text>,
}

impl CloudSpec {
    /// Reads them from the part `gateway`.
    pub fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Self {
        let region = object.get("region").and_then(|node| reader.text(node, "`region`")).filter(|text| {
            let fits = is_region(&text.text);
            if !fits {
                let what = format!("`{}` is no region", text.text);
                reader.faults.error_hint(text.place, what, "write lower-case letters, digits and -: eu-central-1");
            }
            fits
        });
        let account_id = object.get("account_id").and_then(|node| reader.text(node, "`account_id`")).filter(|text| {
            let fits = text.text.len() == 12 && text.text.bytes().all(|byte| byte.is_ascii_digit());
            if !fits {
                let what = format!("`{}` is no account id", text.text);
                reader.faults.error_hint(text.place, what, "write twelve digits: \"123456789012\"");
            }
            fits
        });
        let lambda = object.get("lambda").and_then(|node| endpoint(node, reader));
        Self { region, account_id, lambda }
    }
}

fn is_region(text: &str) -> bool {
    (1..=limits::REGION_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn endpoint(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    const HINT: &str = "write `lambda: {endpoint: \"http://127.0.0.1:9001\"}`";
    let text = if matches!(node.value, Value::Map(_)) {
        let object = reader.object(node, &LAMBDA_TABLE)?;
        if object.lacks("endpoint") {
            reader.faults.error_hint(object.place, "`lambda` has no `endpoint`", HINT);
        }
        let text = object.get("endpoint").and_then(|node| reader.text(node, "`endpoint`"));
        object.close();
        text?
    } else {
        reader.text(node, "`lambda`")?
    };
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
