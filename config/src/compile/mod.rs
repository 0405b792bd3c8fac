//! From the model to the snapshot. Each spec is taken apart by naming all of its fields: a new field does not build until its meaning is decided.

mod apis;
mod domains;
mod gateway;
mod mock;
mod upstreams;
mod uri;

use std::path::Path;

use router::Builder;

use crate::diagnostic::Diagnostics;
use crate::model::Document;
use crate::snapshot::Snapshot;

/// Compiles a document. Faults go to `faults`; the snapshot means something only if none of them is an error.
pub fn compile(document: Document, base: &Path, faults: &mut Diagnostics) -> Option<Snapshot> {
    let Document { gateway, upstreams, apis, domains } = document;
    let gateway = gateway::compile(gateway, base, faults);
    let mut upstreams = upstreams::Upstreams::compile(upstreams, base, faults);
    let mut builder = Builder::new();
    let compiled = apis::compile(&apis, &mut builder, &mut upstreams, faults);
    let mappings = domains::compile(domains.unwrap_or_default(), &compiled, &mut builder, faults);
    apis::warn_of_shadows(&apis, &compiled, &builder, faults);
    if faults.has_errors() {
        return None;
    }
    Some(Snapshot {
        gateway,
        table: builder.build(),
        apis: compiled.apis.into(),
        stages: compiled.stages.into(),
        upstreams: upstreams.finish(),
        mappings: mappings.into(),
    })
}
