//! From the model to the snapshot. Each spec is taken apart by naming all of its fields: a new field does not build until its meaning is decided.

mod answers;
mod apis;
mod authorizers;
pub mod clients;
mod domains;
mod firewall;
pub mod functions;
mod gateway;
pub mod key_sets;
mod mock;
mod native;
mod needs;
mod parameters;
mod plans;
mod policies;
pub mod principals;
mod program;
mod programs;
pub mod throttles;
pub mod tls;
mod upstreams;
mod uri;
pub mod user_lists;

use std::path::Path;
use std::sync::Arc;

use router::{Builder, Kind};

pub use self::programs::Programs;
use crate::definition::Definition;
use crate::deployments::{Store, state_folder};
use crate::diagnostic::{Diagnostics, Place};
use crate::keys;
use crate::model::Document;
use crate::model::api::ApiSpec;
use crate::model::cloud::SignerSpec;
use crate::model::openapi::{AwsVariablesSpec, BasePathSpec, ModeSpec, OpenApiSpec};
use crate::model::principals::PrincipalSpec;
use crate::model::values::At;
use crate::openapi::{self, BasePath, ImportOptions, Mode, Variables};
use crate::snapshot::{Gateway, Snapshot};
use crate::source::node::Text;

/// What each API is, its routes and its OpenAPI documents put together; `None` where its kind could not be read.
pub fn definitions(document: &Document, base: &Path, faults: &mut Diagnostics) -> Vec<Option<Definition>> {
    document.apis.iter().map(|api| definition(api, base, faults)).collect()
}

fn definition(api: &ApiSpec, base: &Path, faults: &mut Diagnostics) -> Option<Definition> {
    let kind = api.kind?;
    let imported = api.openapi.as_ref().and_then(|spec| imported(spec, kind, base, faults));
    let mut definition = imported.unwrap_or_else(|| Definition::new(kind));
    native::add_authorizers(api, &mut definition);
    native::add_routes(api, &mut definition, faults);
    if let Some(At { value, .. }) = api.disable_execute_api_endpoint {
        definition.endpoint.disable_execute_api = Some(value);
    }
    if let Some(At { value, .. }) = api.api_key_source {
        definition.api_key_source = Some(value);
    }
    answers::add(api, &mut definition);
    policies::add(api, &mut definition, base, faults);
    Some(definition)
}

fn imported(spec: &OpenApiSpec, kind: Kind, base: &Path, faults: &mut Diagnostics) -> Option<Definition> {
    let OpenApiSpec { place: _, files, mode, base_path, fail_on_warnings, variables, ignore_documentation } = spec;
    let AwsVariablesSpec { account_id, region, partition } = variables;
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.text.to_string());
    let options = ImportOptions {
        kind,
        mode: match mode.map_or(ModeSpec::Merge, |at| at.value) {
            ModeSpec::Merge => Mode::Merge,
            ModeSpec::Overwrite => Mode::Overwrite,
        },
        base_path: match base_path.map_or(BasePathSpec::Ignore, |at| at.value) {
            BasePathSpec::Ignore => BasePath::Ignore,
            BasePathSpec::Prepend => BasePath::Prepend,
            BasePathSpec::Split => BasePath::Split,
        },
        fail_on_warnings: fail_on_warnings.unwrap_or(false),
        variables: Variables { account_id: text(account_id), region: text(region), partition: text(partition) },
        ignore_documentation: ignore_documentation.unwrap_or(false),
        root: Some(base.to_owned()),
    };
    let files: Vec<_> = files.iter().map(|file| (base.join(&*file.text), file.place)).collect();
    openapi::import(&files, &options, faults)
}

/// The deployments, if any stage serves one.
fn store(gateway: &Gateway, apis: &[ApiSpec], faults: &mut Diagnostics) -> Option<Store> {
    let mut stages = apis.iter().flat_map(|api| &api.stages);
    let asks = stages.find(|stage| stage.auto_deploy.is_some_and(|at| !at.value))?;
    match Store::open(&state_folder(gateway.state.as_deref())?) {
        Ok(store) => Some(store),
        Err(fault) => {
            faults.error_hint(asks.name.place, fault.what, fault.hint);
            None
        }
    }
}

/// Compiles a document. Faults go to `faults`; the snapshot means something only if none of them is an error.
pub fn compile(
    document: Document,
    definitions: &[Option<Definition>],
    base: &Path,
    programs: &mut Programs,
    faults: &mut Diagnostics,
) -> Option<Snapshot> {
    let Document { mut gateway, upstreams, apis, domains, plans, keys } = document;
    let tell = gateway.rate_limit_fields.unwrap_or_default();
    let (mut shelf, mut vault) = (tls::Shelf::default(), clients::Vault::new(&gateway));
    let lambda = gateway.cloud.lambda.clone();
    let (signers, caller) = (std::mem::take(&mut gateway.principals), gateway.cloud.signer.take());
    let mut gateway = gateway::compile(gateway, base, (&mut shelf, &mut vault), faults);
    let signers = sign(&mut gateway, &signers, caller.as_ref(), base, faults);
    let mut upstreams = upstreams::Upstreams::compile(upstreams, base, &mut shelf, faults);
    let mut builder = Builder::new();
    let store = store(&gateway, &apis, faults);
    let mut parts = apis::Parts {
        builder: &mut builder,
        upstreams: &mut upstreams,
        programs,
        store: store.as_ref(),
        shelf: &mut shelf,
        lambda: lambda.as_ref(),
        base,
        faults,
        tell,
    };
    let mut compiled = apis::compile(&apis, definitions, &mut parts);
    let plans = plans::compile(&plans, &apis, &compiled, faults);
    let (keys_from, places) = plans::sources(&keys, &plans, base, faults);
    let domains = domains.unwrap_or_default();
    let listed = domains::compile(&domains, &compiled, &mut builder, faults);
    domains::close(&domains, &mut compiled.apis, &mut builder);
    let protected = domains::protect(domains, base, (&mut shelf, &mut vault), faults);
    let (key_sets, key_authorities) = key_sets::compile(&compiled.stages, definitions, base, faults);
    if faults.has_errors() {
        return None;
    }
    let (certificates, trusted) = shelf.finish();
    let mut snapshot = Snapshot {
        gateway,
        table: builder.build(),
        apis: compiled.apis.into(),
        user_lists: user_lists::compile(&compiled.stages, definitions, base, faults),
        stages: compiled.stages.into(),
        upstreams: upstreams.finish(),
        mappings: listed.mappings.into(),
        rules: listed.rules.into(),
        domains: listed.domains.into(),
        protected: protected.tls.into(),
        certificates,
        trusted,
        truststores: vault.finish(),
        key_sets,
        key_authorities,
        manners: protected.manners.into(),
        plans,
        sources: faults.sources.iter().map(|source| source.name.as_str().into()).collect(),
        keys_from,
        secrets: Box::default(),
        call_keys: None,
        keys: Arc::default(),
    };
    load_secrets(&mut snapshot, &places, &signers, faults);
    Some(snapshot)
}

/// Reads what no compiled file has: keys and secrets.
fn load_secrets(
    snapshot: &mut Snapshot,
    keys: &[Place],
    (principals, caller): &(Vec<Place>, Place),
    faults: &mut Diagnostics,
) {
    keys::load::load(snapshot, keys, Place::default(), faults);
    principals::load(snapshot, principals, Place::default(), faults);
    functions::load(snapshot, *caller, faults);
}

/// Who may sign requests, and what we sign our own with; returns where each of them stands.
fn sign(
    gateway: &mut Gateway,
    principals: &[PrincipalSpec],
    caller: Option<&SignerSpec>,
    base: &Path,
    faults: &mut Diagnostics,
) -> (Vec<Place>, Place) {
    let (list, places) = principals::compile(principals, &gateway.account_id, base, faults);
    gateway.principals = list;
    gateway.call_signer = caller.and_then(|spec| functions::compile(spec, &gateway.region, base, faults));
    (places, caller.map_or_else(Place::default, |spec| spec.place))
}
