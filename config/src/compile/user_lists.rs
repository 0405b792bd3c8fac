//! Lists of names and passwords that authorizers hold callers against: read at each load, and never written into a compiled file but for
//! hashes that the document itself has.

use std::path::Path;
use std::sync::Arc;

use policy::authorize::basic::hash::{Hash, Unfit};
use policy::authorize::basic::htpasswd;
use policy::authorize::basic::users::Users;

use crate::compile::key_sets;
use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::snapshot::{Authorizer, AuthorizerRule, FileRef, Stage, UserLists, UsersFrom};
use crate::source::certificate::bytes_at_most;
use crate::source::node::{Style, Text};
use crate::source::{file as source_file, secret};

/// Reads the lists of these stages, whose authorizers stand in these definitions.
pub fn compile(
    stages: &[Stage],
    definitions: &[Option<Definition>],
    base: &Path,
    faults: &mut Diagnostics,
) -> UserLists {
    let place = key_sets::places(definitions);
    read(stages, base, |stage, name| place(stage.api, name), faults)
}

/// Reads every list that an authorizer of these stages names. `place` is that of the authorizer of a name.
pub fn read(
    stages: &[Stage],
    base: &Path,
    place: impl Fn(&Stage, &str) -> Place,
    faults: &mut Diagnostics,
) -> UserLists {
    let mut lists = UserLists::new();
    for stage in stages {
        let releases = [stage.release.as_ref(), stage.canary.as_ref().map(|canary| &canary.release)];
        for Authorizer { name, rule, .. } in
            releases.into_iter().flatten().flat_map(|release| &release.program.authorizers)
        {
            let AuthorizerRule::Basic(rule) = rule else { continue };
            if !lists.contains_key(&rule.users) {
                let users = list((name, &rule.users), base, place(stage, name), faults);
                lists.insert(rule.users.clone(), Arc::new(users));
            }
        }
    }
    lists
}

fn list((name, from): (&str, &UsersFrom), base: &Path, place: Place, faults: &mut Diagnostics) -> Users {
    let (errors, _) = faults.counts();
    let mut users = Users::default();
    for (user, written) in &from.named {
        match hash(written, base, place, faults) {
            Ok(hash) => add(&mut users, (user, hash), place, faults),
            Err(Some(unfit)) => {
                let what = format!("what stands for the password of `{user}` is {}", unfit.says());
                faults.error_hint(place, what, Unfit::HINT);
            }
            Err(None) => {} // A fault already.
        }
    }
    if let Some(file) = &from.file {
        read_file(file, base, place, &mut users, faults);
    }
    if users.is_empty() && faults.counts().0 == errors {
        let hint = "add somebody: `htpasswd -nB -C 12 NAME >> users.htpasswd`";
        faults.warning(place, format!("nobody passes authorizer `{name}`: it has no users"), hint);
    } else if users.quick() > 0 {
        let what = format!("authorizer `{name}`: the passwords of {} of its users are quick to try", users.quick());
        faults.warning(
            place,
            what,
            "whoever gets the hashes tries thousands a second: `htpasswd -B -C 12` makes them slow",
        );
    }
    users
}

/// A hash that stands there, or where it is. `None` as the error: it was reported.
fn hash(written: &str, base: &Path, place: Place, faults: &mut Diagnostics) -> Result<Hash, Option<Unfit>> {
    if !written.starts_with("${") {
        return Hash::parse(written).map_err(Some);
    }
    let text = Text { text: written.into(), place, style: Style::Plain };
    let from = secret::refer(&text, "what stands for a password", base, faults).ok_or(None)?;
    let bytes = secret::read(&from, faults).map_err(|(what, hint)| {
        faults.error_hint(place, what, hint);
        None
    })?;
    let text = str::from_utf8(&bytes).map_err(|_| Some(Unfit::Unknown))?;
    // What `htpasswd -nB NAME` prints has the name in front.
    let text = text.split_once(':').map_or(text, |(_, hash)| hash);
    Hash::parse(text).map_err(Some)
}

fn read_file(file: &str, base: &Path, place: Place, users: &mut Users, faults: &mut Diagnostics) {
    let path = FileRef::Path(base.join(file));
    let bytes = match bytes_at_most(
        &path,
        (limits::USERS_FILE_BYTES_MAX, "keep so many users with an issuer of tokens"),
        faults,
    ) {
        Ok(bytes) => bytes,
        Err((what, hint)) => return faults.error_hint(place, what, hint),
    };
    // Its text is no part of the faults: it has what passwords are found by.
    let source = source_file::push(&path.to_string(), String::new(), faults).unwrap_or_default();
    htpasswd::read(&bytes, |line, row| {
        let place = Place { source, line: line as u32, column: 1, length: 0 };
        match row {
            Ok(user) => add(users, user, place, faults),
            Err(wrong) => faults.error_hint(place, wrong.says(), Unfit::HINT),
        }
    });
}

fn add(users: &mut Users, (name, hash): (&str, Hash), place: Place, faults: &mut Diagnostics) {
    if users.len() >= limits::USERS_MAX {
        let hint = "keep so many users with an issuer of tokens";
        faults.error_hint(Place { line: 0, ..place }, format!("more than {} users", limits::USERS_MAX), hint);
    } else if !users.add(name, hash) {
        faults.error_hint(place, format!("user `{name}` stands there twice"), "a name has one password");
    }
}
