//! What the operator wants, compiled to an immutable snapshot: source → model → check → compile. Every fault is found at once.
//!
//! [`load`] and [`load_text`] are the only ways in. Neither panics on any input, and a document with an error gives no snapshot.

pub mod check;
pub mod compile;
pub mod definition;
pub mod diagnostic;
pub mod limits;
pub mod model;
pub mod openapi;
pub mod properties;
pub mod schema;
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
    /// Every file that was read, and every one that should have been: whoever watches them knows when to load again.
    pub files: Vec<PathBuf>,
}

/// A part of a load that is over: for callers with a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The documents are read and understood.
    Read,
    /// The snapshot is made, or it is known why it cannot be.
    Compile,
}

/// Loads a document from a file. Relative paths in it are taken from the file's folder.
pub fn load(path: &Path) -> Loaded {
    load_by_parts(path, |_| {})
}

/// As [`load`]; says when a part of it is over. A part that could not begin is not spoken of.
pub fn load_by_parts(path: &Path, mut is_over: impl FnMut(Part)) -> Loaded {
    let mut faults = Diagnostics::default();
    let source = source::file::read(path, &mut faults);
    let base = path.parent().unwrap_or(Path::new(""));
    finish(source, base, faults, &mut is_over)
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
    finish(source, base, faults, &mut |_| {})
}

fn finish(source: Option<u16>, base: &Path, mut faults: Diagnostics, is_over: &mut dyn FnMut(Part)) -> Loaded {
    let snapshot = source.and_then(|source| snapshot_of(source, base, &mut faults, is_over));
    faults.finish();
    let snapshot = snapshot.filter(|_| !faults.has_errors());
    let files = std::mem::take(&mut faults.files);
    Loaded { snapshot, diagnostics: faults, files }
}

fn snapshot_of(source: u16, base: &Path, faults: &mut Diagnostics, is_over: &mut dyn FnMut(Part)) -> Option<Snapshot> {
    let text = std::mem::take(&mut faults.sources[usize::from(source)].text);
    let node = source::node::parse(&text, source, faults);
    faults.sources[usize::from(source)].text = text;
    let document = Document::read(&node?, &mut Reader { faults })?;
    is_over(Part::Read);
    check::check(&document, faults);
    let snapshot = compile::compile(document, base, faults);
    is_over(Part::Compile);
    snapshot
}
