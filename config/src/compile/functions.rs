//! What requests to Lambda's Invoke API are signed with: where it is, and at each load what it is.

use std::path::Path;

use crate::diagnostic::{Diagnostics, Place};
use crate::model::cloud::SignerSpec;
use crate::snapshot::{AccessKey, CallKeys, CallSigner, SecretRef, SignerSecret, Snapshot};
use crate::source::secret;

/// Compiles it. `ours`: the gateway's own region.
pub fn compile(spec: &SignerSpec, ours: &str, base: &Path, faults: &mut Diagnostics) -> Option<CallSigner> {
    let SignerSpec { place: _, region, access_key, secret_key, session_token } = spec;
    let access_key = if access_key.text.starts_with("${") {
        secret::refer(access_key, "`access_key`", base, faults).map(AccessKey::Read)
    } else if is_access_key(access_key.text.as_bytes()) {
        Some(AccessKey::Plain(access_key.text.clone()))
    } else {
        // Whoever mixes the two up should not find the secret in a log.
        faults.error_hint(access_key.place, "this cannot be an access key", "write letters and digits: AKIDEXAMPLE");
        None
    };
    let secret = secret::refer(secret_key, "`secret_key`", base, faults);
    let session_token = match session_token {
        Some(text) => Some(secret::refer(text, "`session_token`", base, faults)?),
        None => None,
    };
    let (access_key, secret) = (access_key?, secret?);
    let region = region.as_ref().map_or(ours, |text| &text.text).into();
    Some(CallSigner { region, access_key, secret, session_token })
}

fn is_access_key(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
}

/// Reads what requests are signed with.
pub fn load(snapshot: &mut Snapshot, place: Place, faults: &mut Diagnostics) {
    let Some(signer) = &snapshot.gateway.call_signer else { return };
    let mut read = |from: &SecretRef| {
        secret::read(from, faults).unwrap_or_else(|(what, hint)| {
            faults.error_hint(place, what, hint);
            Vec::new()
        })
    };
    let key = read(&signer.secret);
    let token = signer.session_token.as_ref().map(&mut read);
    let access_key = match &signer.access_key {
        AccessKey::Plain(text) => text.as_bytes().to_vec(),
        AccessKey::Read(from) => read(from),
    };
    // Both are sent in a head.
    let (is_id, is_line) =
        (is_access_key(&access_key), token.iter().flatten().all(|byte| byte.is_ascii_graphic() || *byte == b' '));
    if !is_id && !access_key.is_empty() {
        faults.error_hint(
            place,
            "what `access_key` leads to is no access key",
            "it is letters and digits: AKIDEXAMPLE",
        );
    }
    if !is_line {
        faults.error_hint(place, "what `session_token` leads to is no token", "write the token there, on one line");
    }
    snapshot.call_keys = Some(CallKeys { access_key, secret: SignerSecret { key, token } });
}
