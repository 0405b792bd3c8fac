//! `type: mtls`: callers are who their certificate says (beyond DM-10), on hosts that ask for certificates.

use serde_json::{Map, Value as Json, json};

use super::{json_list, texts};
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::source::node::{Node, Text};

/// An authorizer for certificates, as written.
#[derive(Debug, Clone)]
pub struct MtlsSpec {
    /// Subjects.
    pub subjects: Vec<Text>,
    /// Other names, and patterns of them.
    pub sans: Vec<Text>,
    /// SHA-256 of certificates.
    pub fingerprints: Vec<Text>,
    /// What callers are called.
    pub principal: Option<Text>,
}

/// What callers may be called by.
pub const PRINCIPALS: &[&str] = &["subject", "dns", "uri", "email", "ip"];

/// The fields of an authorizer for certificates.
pub const MTLS: Table = Table {
    name: "an mtls authorizer",
    fields: &[
        Field::new("type", Type::Word(&["mtls"]), "mtls: callers are who their certificate says").needed(),
        Field::new("subjects", Type::TextList, "subjects that may call, as clientCertSubjectDN of the log shows them"),
        Field::new(
            "sans",
            Type::TextList,
            "other names that may call: api.example.com, *.example.com, spiffe://house/*, email:…, ip:…",
        ),
        Field::new("fingerprints", Type::TextList, "SHA-256 of certificates that may call, in hexadecimal digits"),
        Field::new(
            "principal",
            Type::Word(PRINCIPALS),
            "what callers are called in principalId; their subject by default",
        ),
    ],
};

impl MtlsSpec {
    /// Reads one.
    pub fn read(_name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &MTLS)?;
        // Whoever calls has read it.
        let _ = object.get("type");
        let mut list = |name: &str, what: &str| {
            object.get(name).map(|node| {
                let list = texts(node, what, reader);
                if list.is_empty() {
                    let hint = "leave it out to let in all that the truststore does, or name somebody";
                    reader.faults.error_hint(node.place, format!("`{name}` names nobody"), hint);
                }
                list
            })
        };
        let subjects = list("subjects", "a subject").unwrap_or_default();
        let sans = list("sans", "a name").unwrap_or_default();
        let fingerprints = list("fingerprints", "a fingerprint").unwrap_or_default();
        let principal = object.get("principal").and_then(|node| {
            let words = PRINCIPALS.iter().map(|word| (*word, ())).collect::<Vec<_>>();
            reader.word(node, "`principal`", &words, &[])?;
            reader.text(node, "`principal`")
        });
        object.close();
        Some(Self { subjects, sans, fingerprints, principal })
    }

    /// In the form of `x-amazon-apigateway-authorizer`; AWS has nothing like it.
    pub fn to_json(&self) -> Json {
        let mut own = Map::new();
        let lists = [("subjects", &self.subjects), ("sans", &self.sans), ("fingerprints", &self.fingerprints)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        own.extend(lists.map(|(name, list)| (name.to_owned(), json_list(list))));
        own.extend(self.principal.as_ref().map(|word| ("principal".to_owned(), Json::from(&*word.text))));
        json!({ "type": "mtls", "x-tollgate": own })
    }
}
