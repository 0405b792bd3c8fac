//! Which host and base path lead to which stage.

use router::{Builder, HostPattern, MapFault};

use crate::compile::apis::Compiled;
use crate::diagnostic::Diagnostics;
use crate::model::domain::{DomainSpec, MappingSpec};
use crate::snapshot::Mapping;

/// Compiles the part `domains`, and lists what it leads to. Without it, an only API answers at every host.
pub fn compile(
    specs: Vec<DomainSpec>,
    compiled: &Compiled,
    builder: &mut Builder,
    faults: &mut Diagnostics,
) -> Vec<Mapping> {
    let mut listed = Vec::new();
    if specs.is_empty() && compiled.apis.len() == 1 {
        builder.sole_api(router::ApiId(0));
    }
    for DomainSpec { name, mappings, routing_rules: _, routing_mode: _ } in specs {
        let pattern = match HostPattern::parse(&name.text) {
            Ok(pattern) => pattern,
            Err(fault) => {
                let hint = "write a name such as api.example.com, *.example.com, or * for any other host";
                faults.error_hint(name.place_at(fault.offset), format!("domain `{}`: {fault}", name.text), hint);
                continue;
            }
        };
        for MappingSpec { path, target } in mappings {
            // A target that does not exist is `check`'s to report.
            let Some((api, stage)) = target.text.split_once('/') else { continue };
            let Some((stage, number)) = compiled.stage(api, stage) else { continue };
            listed.push(Mapping { domain: name.text.clone(), base_path: path.text.clone(), stage: number });
            if let Err(fault) = builder.map(&pattern, &path.text, stage) {
                let place = match fault {
                    MapFault::Character { offset } | MapFault::Segment { offset } => path.place_at(offset),
                    MapFault::Duplicate | MapFault::TooLong | MapFault::Mixed => path.place,
                };
                let hint = "a mapping is written `/: api/stage` or `/orders/v1: api/stage`";
                faults.error_hint(place, format!("base path `{}`: {fault}", path.text), hint);
            }
        }
    }
    listed
}
