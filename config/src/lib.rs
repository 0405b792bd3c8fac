//! What the operator wants, compiled to an immutable snapshot: source → model → check → compile. Every fault is found at once.
//!
//! [`load`] and [`load_text`] are the only ways in. Neither panics on any input, and a document with an error gives no snapshot.

pub mod check;
pub mod compile;
pub mod definition;
pub mod diagnostic;
pub mod limits;
pub mod model;
pub mod properties;
pub mod snapshot;
pub mod source;

use std::path::{Path, PathBuf};

pub use self::diagnostic::{Diagnostics, Fault, Place, Severity};
pub use self::snapshot::{
    AccessLog, Api, Balance, Gateway, HttpRule, Integration, Limits, ListenAddress, Listener, Mapping, Method,
    MockRule, Pool, Server, ServerAddress, Snapshot, Stage, Upstream,
};
use crate::model::Document;
use crate::model::reader::Reader;

/// What came of a document.
#[derive(Debug)]
pub struct Loaded {
    /// `None` if there is any error.
    pub snapshot: Option<Snapshot>,
    /// Errors and warnings, sorted by place.
    pub diagnostics: Diagnostics,
}

/// Loads a document from a file. Relative paths in it are taken from the file's folder.
pub fn load(path: &Path) -> Loaded {
    let mut faults = Diagnostics::default();
    let source = source::file::read(path, &mut faults);
    let base = path.parent().unwrap_or(Path::new(""));
    finish(source, base, faults)
}

/// Loads a document from memory; `name` stands for its file in faults, `base` is the folder of its relative paths.
pub fn load_text(name: &str, text: &str, base: &Path) -> Loaded {
    load_bytes(name, text.as_bytes(), base)
}

/// Where the document wants its control socket, also when it has errors: a running gateway is asked to reload just then.
pub fn control_path(path: &Path) -> Option<PathBuf> {
    let mut faults = Diagnostics::default();
    let source = source::file::read(path, &mut faults)?;
    let text = std::mem::take(&mut faults.sources[usize::from(source)].text);
    let node = source::node::parse(&text, source, &mut faults)?;
    let document = Document::read(&node, &mut Reader { faults: &mut faults })?;
    let control = document.gateway.control?;
    Some(path.parent().unwrap_or(Path::new("")).join(&*control.text))
}

pub(crate) fn load_bytes(name: &str, bytes: &[u8], base: &Path) -> Loaded {
    let mut faults = Diagnostics::default();
    let source = source::file::add(name, bytes, &mut faults);
    finish(source, base, faults)
}

fn finish(source: Option<u16>, base: &Path, mut faults: Diagnostics) -> Loaded {
    let snapshot = source.and_then(|source| snapshot_of(source, base, &mut faults));
    faults.finish();
    let snapshot = snapshot.filter(|_| !faults.has_errors());
    Loaded { snapshot, diagnostics: faults }
}

fn snapshot_of(source: u16, base: &Path, faults: &mut Diagnostics) -> Option<Snapshot> {
    let text = std::mem::take(&mut faults.sources[usize::from(source)].text);
    let node = source::node::parse(&text, source, faults);
    faults.sources[usize::from(source)].text = text;
    let document = Document::read(&node?, &mut Reader { faults })?;
    check::check(&document, faults);
    compile::compile(document, base, faults)
}
