//! What the operator wants, compiled to an immutable snapshot: source → model → check → compile. Every fault is found at once.
//!
//! [`load`] and [`load_text`] are the only ways in. Neither panics on any input, and a document with an error gives no snapshot.

pub mod audit;
pub mod check;
pub mod compile;
pub mod definition;
pub mod deployments;
pub mod diagnostic;
pub mod diff;
pub mod input;
pub mod keys;
pub mod limits;
pub mod load;
mod masked;
pub mod model;
pub mod openapi;
pub mod properties;
pub mod schema;
pub mod snapshot;
pub mod snapshot_file;
pub mod source;

use std::path::Path;

pub use self::diagnostic::{Diagnostics, Fault, Place, Severity};
pub use self::input::Input;
pub use self::load::{
    DeclaredStage, Defined, Definitions, Loaded, Loader, Part, control_path, definitions, is_compiled, state_path,
};
pub use self::snapshot::{
    AccessLog, Api, Authority, AuthorityTarget, Balance, CallTls, Canary, Gateway, HttpRule, Integration, Limits,
    ListenAddress, Listener, Mapping, Measured, Method, MockRule, Pool, Program, Release, ResponseShape, Rule,
    SelectedMock, Server, ServerAddress, Snapshot, Stage, Upstream,
};
pub use self::source::certificate::{Oddity, covers, oddities};
pub use self::source::{alt_names, truststore, x509};

/// Loads a document from a file, once. Relative paths in it are taken from the file's folder.
pub fn load(path: &Path) -> Loaded {
    Loader::default().load(path, |_| {})
}

/// Loads a document from memory; `name` stands for its file in faults, `base` is the folder of its relative paths.
pub fn load_text(name: &str, text: &str, base: &Path) -> Loaded {
    Loader::default().load_bytes(name, text.as_bytes(), base)
}
