//! What one host leads to: its routing rules, then its base paths (DM-03, DM-05).

use crate::{
    glob::Glob,
    kind::Kind,
    mapping::{Mappings, StageRef},
    routing_rules::Rule,
};

/// The frozen rules and base paths of one host.
#[derive(Debug)]
pub(crate) struct Site {
    /// Sorted by priority, which is the order in which they are tried.
    pub(crate) rules: Box<[Rule]>,
    pub(crate) mappings: Mappings,
    /// The kind of the APIs here, if they are all of one.
    pub(crate) kind: Option<Kind>,
}

impl Site {
    /// The first rule that fits, else the longest mapping by whole segments; and where the API's own path begins.
    #[inline]
    pub(crate) fn get(&self, path: &[u8], mut header: impl FnMut(&str, &Glob) -> bool) -> Option<(StageRef, usize)> {
        for rule in &self.rules {
            if let Some(rest) = rule.fits(path, &mut header) {
                return Some((rule.stage, rest));
            }
        }
        self.mappings.get(path)
    }
}
