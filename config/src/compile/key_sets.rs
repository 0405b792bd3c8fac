//! Key sets that authorizers name as files, and authorities of their issuers: read at each load, and never written into a compiled file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use policy::authorize::jwk::KeySet;
use policy::limits::KEY_SET_BYTES_MAX;

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Place};
use crate::snapshot::{Authorizer, AuthorizerRule, FileRef, KeyAuthorities, KeySets, KeySource, Stage};
use crate::source::authorities;
use crate::source::certificate::bytes_at_most;

/// Keys in files, and by whom issuers are believed; faults stand where the authorizers do.
pub fn compile(
    stages: &[Stage],
    definitions: &[Option<Definition>],
    base: &Path,
    faults: &mut Diagnostics,
) -> (KeySets, KeyAuthorities) {
    let place = places(definitions);
    let place = |stage: &Stage, name: &str| place(stage.api, name);
    (read(stages, base, place, faults), trust(stages, base, place, faults))
}

/// Reads every file of keys that an authorizer of these stages names. `place` is that of the authorizer of a name.
pub fn read(stages: &[Stage], base: &Path, place: impl Fn(&Stage, &str) -> Place, faults: &mut Diagnostics) -> KeySets {
    each(stages, KeySource::file, |file, stage, name| key_set(file, base, place(stage, name), faults))
}

/// The same of the authorities by whom issuers are believed.
pub fn trust(
    stages: &[Stage],
    base: &Path,
    place: impl Fn(&Stage, &str) -> Place,
    faults: &mut Diagnostics,
) -> KeyAuthorities {
    each(stages, KeySource::authorities, |file, stage, name| {
        let place = place(stage, name);
        match authorities::read(&FileRef::Path(base.join(file)), faults) {
            Ok((read, odd)) => {
                for what in odd {
                    faults.warning(place, what, "an issuer with a certificate of this is not believed");
                }
                Some(Arc::new(read))
            }
            Err((what, hint)) => {
                faults.error_hint(place, what, hint);
                None
            }
        }
    })
}

/// What is in the files that the sources of keys name, each read once.
fn each<T>(
    stages: &[Stage],
    file: impl Fn(&KeySource) -> Option<&str>,
    mut read: impl FnMut(&str, &Stage, &str) -> Option<T>,
) -> BTreeMap<Box<str>, T> {
    let mut all: BTreeMap<Box<str>, Option<T>> = BTreeMap::new();
    for stage in stages {
        let releases = [stage.release.as_ref(), stage.canary.as_ref().map(|canary| &canary.release)];
        for Authorizer { name, rule, .. } in
            releases.into_iter().flatten().flat_map(|release| &release.program.authorizers)
        {
            for file in keys_of(rule).iter().filter_map(&file) {
                if !all.contains_key(file) {
                    all.insert(file.into(), read(file, stage, name));
                }
            }
        }
    }
    all.into_iter().filter_map(|(file, found)| Some((file, found?))).collect()
}

fn keys_of(rule: &AuthorizerRule) -> &[KeySource] {
    match rule {
        AuthorizerRule::Jwt(rule) => &rule.keys,
        AuthorizerRule::Lambda(_) | AuthorizerRule::Basic(_) | AuthorizerRule::Mtls(_) => &[],
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
pub(super) fn places(definitions: &[Option<Definition>]) -> impl Fn(u32, &str) -> Place + use<'_> {
    let mut known: BTreeMap<(u32, &str), Place> = BTreeMap::new();
    for (definition, number) in definitions.iter().flatten().zip(0..) {
        for (name, _) in &definition.authorizers {
            known.insert((number, name.as_str()), name.place());
        }
    }
    move |api, name| known.get(&(api, name)).copied().unwrap_or_default()
}
