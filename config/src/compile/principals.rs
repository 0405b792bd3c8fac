//! Who may sign requests: names, policies, and where the secrets are. The secrets are read at each load.

use std::path::Path;

use policy::iam::Policy;

use crate::compile::policies;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::principals::PrincipalSpec;
use crate::snapshot::{Principal, SignerSecret, Snapshot};
use crate::source::node::Text;
use crate::source::secret;

/// Compiles all of them; the places are theirs.
pub fn compile(
    specs: &[PrincipalSpec],
    account: &str,
    base: &Path,
    faults: &mut Diagnostics,
) -> (Box<[Principal]>, Vec<Place>) {
    if let Some(spec) = specs.get(limits::PRINCIPALS_MAX) {
        faults.error(spec.place, format!("there are at most {} principals", limits::PRINCIPALS_MAX));
    }
    let mut list: Vec<Principal> = Vec::new();
    let mut places = Vec::new();
    for spec in specs {
        let Some(principal) = one(spec, account, base, faults) else { continue };
        if list.iter().any(|known| known.access_key == principal.access_key) {
            let what = format!("the access key `{}` stands there twice", principal.access_key);
            faults.error_hint(spec.place, what, "a request is of one principal");
            continue;
        }
        list.push(principal);
        places.push(spec.place);
    }
    (list.into(), places)
}

fn one(spec: &PrincipalSpec, ours: &str, base: &Path, faults: &mut Diagnostics) -> Option<Principal> {
    let PrincipalSpec { place, access_key, secret_key, session_token, name, arn, account, user_id, tags, policy } =
        spec;
    let (access_key, secret_key) = (access_key.as_ref()?, secret_key.as_ref()?);
    let is_plain = |text: &Text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        (1..=128).contains(&text.text.len()) && text.text.bytes().all(fits)
    };
    if !is_plain(access_key) {
        // Whoever mixes the two up should not find the secret in a log.
        faults.error_hint(access_key.place, "this cannot be an access key", "write letters and digits: AKIDEXAMPLE");
        return None;
    }
    let secret = secret::refer(secret_key, "`secret_key`", base, faults)?;
    let session_token = match session_token {
        Some(text) => Some(secret::refer(text, "`session_token`", base, faults)?),
        None => None,
    };
    let said = |text: &Option<Text>| text.as_ref().map(|text| text.text.clone());
    let name = said(name).unwrap_or_else(|| access_key.text.clone());
    let account = said(account).or_else(|| arn.as_ref().and_then(|arn| account_of(&arn.text).map(Into::into)));
    let account = account.unwrap_or_else(|| ours.into());
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        faults.error_hint(*place, format!("`{account}` is no account id"), "write twelve digits: \"123456789012\"");
        return None;
    }
    let arn = said(arn).unwrap_or_else(|| format!("arn:aws:iam::{account}:user/{name}").into());
    if account_of(&arn) != Some(&account) {
        let hint = "write arn:aws:iam::123456789012:user/name, with the account of the principal";
        faults.error_hint(*place, format!("`{arn}` is no ARN of a principal of this account"), hint);
        return None;
    }
    let policy = match policy {
        Some(node) => policies::of_principal(node, base, faults)?,
        None => Policy::default(),
    };
    let session = arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split_once('/'));
    let (kind, principal_arn, user_name) = match session {
        Some((role, _)) => ("AssumedRole", format!("arn:aws:iam::{account}:role/{role}").into(), None),
        None if arn.ends_with(":root") => ("Account", arn.clone(), None),
        None => ("User", arn.clone(), Some(name)),
    };
    Some(Principal {
        access_key: access_key.text.clone(),
        secret,
        session_token,
        kind: kind.into(),
        principal_arn,
        user_name,
        user_id: said(user_id).unwrap_or_else(|| access_key.text.clone()),
        arn,
        account,
        tags: tags.iter().map(|(name, value)| (name.text.clone(), value.text.clone())).collect(),
        policy,
    })
}

fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_ours = parts.next() == Some("arn") && parts.next().is_some() && matches!(parts.next()?, "iam" | "sts");
    let account = parts.nth(1)?;
    (is_ours && parts.next().is_some_and(|name| !name.is_empty())).then_some(account)
}

/// Reads the secrets of a snapshot's principals.
pub fn load(snapshot: &mut Snapshot, places: &[Place], whole: Place, faults: &mut Diagnostics) {
    let mut secrets = Vec::with_capacity(snapshot.gateway.principals.len());
    for (at, principal) in snapshot.gateway.principals.iter().enumerate() {
        let place = places.get(at).copied().unwrap_or(whole);
        let mut read = |from| {
            secret::read(from, faults).unwrap_or_else(|(what, hint)| {
                faults.error_hint(place, what, hint);
                Vec::new()
            })
        };
        let key = read(&principal.secret);
        let token = principal.session_token.as_ref().map(read);
        secrets.push(SignerSecret { key, token });
    }
    snapshot.secrets = secrets.into();
}
