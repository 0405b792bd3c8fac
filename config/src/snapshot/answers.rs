//! What an API says beside the answers of its integrations, compiled; and where it was written.

use policy::cors::Cors;
use policy::gateway_response::GatewayResponses;
use policy::gateway_type::GatewayType;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Place;
use crate::snapshot::Snapshot;

/// What an API says to browsers of other origins, and in the place of refusals.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answers {
    /// Which pages of other origins may call (CO-01); `None`: nothing is said of it.
    pub cors: Option<Cors>,
    /// Where that was written.
    pub cors_at: Line,
    /// What is said in the place of refusals (GR-01).
    pub gateway_responses: GatewayResponses,
    /// Where each type was written.
    pub lines: Box<[(GatewayType, Line)]>,
    /// Whether refusals are problem documents, and 404 and 405 say what is not there (§20).
    pub strict_errors: bool,
}

/// A line of a document; for people who ask why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Index in [`Snapshot::sources`].
    pub source: u16,
    /// From 1; 0: it stands in no document, but in a deployment.
    pub line: u32,
}

impl Line {
    /// Of a place.
    pub const fn of(place: Place) -> Self {
        Self { source: place.source, line: place.line }
    }

    /// `gateway.yaml:7`; `None`: it stands in no document.
    pub fn show(self, snapshot: &Snapshot) -> Option<String> {
        let source = snapshot.sources.get(usize::from(self.source)).filter(|_| self.line > 0)?;
        Some(format!("{source}:{}", self.line))
    }
}

impl Answers {
    /// Where the gateway response of this type was written.
    pub fn line(&self, kind: GatewayType) -> Line {
        self.lines.iter().find(|(known, _)| *known == kind).map(|(_, line)| *line).unwrap_or_default()
    }
}
