//! A host name, and the API and stage behind each of its paths (DM-01, DM-03).

use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::source::node::{Entry, Node, Text};

/// One domain, as written.
#[derive(Debug, Clone)]
pub struct DomainSpec {
    /// `api.example.com`, `*.example.com` or `*`.
    pub name: Text,
    /// In the order of the document.
    pub mappings: Vec<MappingSpec>,
}

/// One mapping, as written.
#[derive(Debug, Clone)]
pub struct MappingSpec {
    /// `/`, or a base path such as `/orders/v1`.
    pub path: Text,
    /// `api/stage`.
    pub target: Text,
}

/// The fields of a domain.
pub const DOMAIN: Table = Table {
    name: "a domain",
    fields: &[
        Field::new("mappings", Type::Texts, "api/stage by base path"),
        Field::later("tls", "TLS with this certificate and key"),
        Field::later("mutual_tls", "only clients with a certificate"),
        Field::later("routing_rules", "rules on headers and paths"),
    ],
};

impl DomainSpec {
    /// Reads one domain.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &DOMAIN)?;
        let written = object.get("mappings").and_then(|node| reader.entries(node, "`mappings`"));
        if written.is_none_or(<[Entry]>::is_empty) && (object.lacks("mappings") || written.is_some()) {
            reader.faults.error_hint(
                name.place,
                format!("domain `{}` has no mappings", name.text),
                "write `mappings: {/: api/stage}`",
            );
        }
        let mappings = written.unwrap_or_default().iter().filter_map(|Entry { key, value }| {
            let target = reader.text(value, &format!("the mapping of `{}`", key.text))?;
            Some(MappingSpec { path: key.clone(), target })
        });
        let mappings = mappings.collect();
        object.close();
        Some(Self { name: name.clone(), mappings })
    }
}
