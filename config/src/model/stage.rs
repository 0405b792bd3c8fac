//! A deployment stage of an API.

use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::source::node::{Entry, Node, Text};

/// One stage, as written.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// Its name.
    pub name: Text,
    /// Name and value (ST-02).
    pub variables: Vec<(Text, Text)>,
}

/// The fields of a stage.
pub const STAGE: Table = Table {
    name: "a stage",
    fields: &[
        Field::new("variables", Type::Texts, "stage variables, ${stageVariables.name} in a uri"),
        Field::later("throttle", "requests per second"),
        Field::later("auto_deploy", "false: serve a frozen deployment"),
        Field::later("methods", "settings of single methods"),
        Field::later("canary", "a share of the requests for another deployment"),
        Field::later("client_certificate", "the certificate shown to backends"),
        Field::later("access_log", "an access log of this stage"),
        Field::later("cache", "kept answers"),
    ],
};

impl StageSpec {
    /// Reads one stage.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(object) = reader.object(node, &STAGE) else {
            // The name stands, so that what leads to it does not fail a second time.
            return Some(Self { name: name.clone(), variables: Vec::new() });
        };
        let variables =
            object.get("variables").and_then(|node| reader.entries(node, "`variables`")).unwrap_or_default();
        let variables = variables
            .iter()
            .filter_map(|Entry { key, value }| {
                Some((key.clone(), reader.text(value, &format!("stage variable `{}`", key.text))?))
            })
            .collect();
        object.close();
        Some(Self { name: name.clone(), variables })
    }
}
