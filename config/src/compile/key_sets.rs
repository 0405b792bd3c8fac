//! Key sets that authorizers name as files: read at each load, and never written into a compiled file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use policy::authorize::jwk::KeySet;
use policy::limits::KEY_SET_BYTES_MAX;

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Place};
use crate::snapshot::{Authorizer, AuthorizerRule, FileRef, KeySets, KeySource, Stage};
use crate::source::certificate::bytes_at_most;

/// Reads every file that an authorizer of these stages names. `place` is that of the authorizer of a name.
pub fn read(stages: &[Stage], base: &Path, place: impl Fn(&Stage, &str) -> Place, faults: &mut Diagnostics) -> KeySets {
    let mut sets: BTreeMap<Box<str>, Option<Arc<KeySet>>> = BTreeMap::new();
    for stage in stages {
        let releases = [stage.release.as_ref(), stage.canary.as_ref().map(|canary| &canary.release)];
        for Authorizer { name, rule, .. } in
            releases.into_iter().flatten().flat_map(|release| &release.program.authorizers)
        {
            for file in keys_of(rule).iter().filter_map(KeySource::file) {
                if !sets.contains_key(file) {
                    sets.insert(file.into(), key_set(file, base, place(stage, name), faults));
                }
            }
        }
    }
    sets.into_iter().filter_map(|(file, set)| Some((file, set?))).collect()
}

fn keys_of(rule: &AuthorizerRule) -> &[KeySource] {
    match rule {
        AuthorizerRule::Jwt(rule) => &rule.keys,
        AuthorizerRule::Lambda(_) => &[],
    }
}

fn key_set(file: &str, base: &Path, place: Place, faults: &mut Diagnostics) -> Option<Arc<KeySet>> {
    let path = FileRef::Path(base.join(file));
    let hint = "name only the keys that tokens are signed with";
    let bytes = match bytes_at_most(&path, (KEY_SET_BYTES_MAX as u64, hint), faults) {
        Ok(bytes) => bytes,
        Err((what, hint)) => {
            faults.error_hint(place, what, hint);
            return None;
        }
    };
    match KeySet::parse(&bytes) {
        Ok(set) => {
            for unfit in &set.unfit {
                let what = format!("a key of {path} is of no use: {}", unfit.says());
                faults.warning(place, what, "tokens that are signed with it are refused");
            }
            Some(Arc::new(set))
        }
        Err(why) => {
            let hint = "it is a JSON Web Key Set: {\"keys\": [{\"kty\": \"EC\", …}]}";
            faults.error_hint(place, format!("{path} cannot be used: {why}"), hint);
            None
        }
    }
}

/// Where the authorizers of the APIs stand in the documents, by the number of the API.
pub fn places(definitions: &[Option<Definition>]) -> impl Fn(u32, &str) -> Place + use<'_> {
    let mut known: BTreeMap<(u32, &str), Place> = BTreeMap::new();
    for (definition, number) in definitions.iter().flatten().zip(0..) {
        for (name, _) in &definition.authorizers {
            known.insert((number, name.as_str()), name.place());
        }
    }
    move |api, name| known.get(&(api, name)).copied().unwrap_or_default()
}
