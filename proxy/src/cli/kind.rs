//! Which of API Gateway's rules an OpenAPI document is read by: what the user says, else what the document suggests.

use std::path::Path;

use clap::ValueEnum;
use config::definition::Definition;

/// The kinds of APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// REST API
    Rest,
    /// HTTP API
    Http,
}

impl From<Kind> for router::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Rest => Self::Rest,
            Kind::Http => Self::Http,
        }
    }
}

/// Reads by the rules that were asked for, else first by those of REST APIs and then by those that the document suggests.
pub fn read<P: AsRef<Path>, T>(
    asked: Option<Kind>,
    files: &[P],
    mut read: impl FnMut(router::Kind) -> (Option<Definition>, T),
) -> (Option<Definition>, T) {
    let kind = asked.map_or(router::Kind::Rest, Into::into);
    let (definition, said) = read(kind);
    let suggested = definition.as_ref().filter(|_| asked.is_none()).map(|definition| suggested(definition, files));
    match suggested {
        Some(other) if other != kind => read(other),
        _ => (definition, said),
    }
}

/// HTTP, if a document has what only HTTP APIs have.
fn suggested<P: AsRef<Path>>(definition: &Definition, files: &[P]) -> router::Kind {
    const MARKS: [&str; 3] = ["x-amazon-apigateway-cors", "x-amazon-apigateway-importexport-version", "isDefaultRoute"];
    let marked = files.iter().any(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        MARKS.iter().any(|mark| text.contains(mark))
    });
    let is_http = definition.methods.iter().filter_map(|method| method.integration.as_ref()).any(|integration| {
        integration.payload_format_version.as_deref().is_some_and(|version| version == "2.0")
            || integration.subtype.is_some()
    });
    if marked || is_http { router::Kind::Http } else { router::Kind::Rest }
}
