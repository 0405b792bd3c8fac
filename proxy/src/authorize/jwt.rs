//! Callers who show a token.

use std::rc::Rc;
use std::sync::Arc;

use config::snapshot::{JwtRule, KeySource};
use policy::authorize::jwk::KeySet;
use policy::authorize::jwt::{Verified, Wrong};
use policy::identity::Identity;
use policy::refusal::Refusal;
use router::Kind;

use super::Verdict;
use crate::exchange::Exchange;
use crate::integration::http::facts;
use crate::limits::KEYS_WAIT;
use crate::state::{Live, Place, Worker};
use crate::stop::Stop;
use crate::tokens::keys::Known;
use crate::tokens::verified::{Print, print};
use crate::trip::Trip;

/// What the method asks for, and who asks.
type Asked<'a> = (&'a JwtRule, &'a [Box<str>]);

/// Whether the token was verified before. Without one nobody is asked.
pub fn start(
    (rule, scopes): Asked<'_>,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<Verdict, Stop> {
    let Some(token) = rule.source.find(&facts(exchange, place, trip, live)) else {
        let kind = live.kind(place);
        return Err(challenge(exchange, kind, Challenge::Missing).into());
    };
    let print = print_of(rule, scopes, token);
    match worker.tokens.verified.find(&print, worker.epoch_ms() / 1_000, scopes) {
        Some((identity, has_scope)) => admit((rule, scopes), (identity, has_scope), exchange, live.kind(place)),
        None => Ok(Verdict::Ask),
    }
}

/// Verifies the token; waits for keys that are not known yet.
pub async fn ask(
    (rule, scopes): Asked<'_>,
    exchange: &mut Exchange,
    place: Place,
    trip: &Trip,
    live: &Rc<Live>,
    worker: &Rc<Worker>,
) -> Result<(), Stop> {
    let token = rule.source.find(&facts(exchange, place, trip, live)).unwrap_or_default().to_vec();
    let kind = live.kind(place);
    match verify((rule, scopes), &token, live, worker).await {
        Ok(verified) => {
            let known = (verified.identity.clone(), verified.has_any(scopes));
            worker.tokens.verified.keep(print_of(rule, scopes, &token), verified);
            admit((rule, scopes), known, exchange, kind).map(drop)
        }
        Err(wrong) => Err(challenge(exchange, kind, Challenge::Invalid { wrong, scopes }).into()),
    }
}

/// The rule lives as long as the snapshot, and what is remembered is forgotten with that.
fn print_of(rule: &JwtRule, scopes: &[Box<str>], token: &[u8]) -> Print {
    print(std::ptr::from_ref(rule).addr(), !scopes.is_empty(), token)
}

async fn verify((rule, scopes): Asked<'_>, token: &[u8], live: &Live, worker: &Worker) -> Result<Verified, Wrong> {
    let issuer = rule.rules.open(token)?.issuer;
    let source = &rule.keys[issuer];
    let prove =
        |keys: &KeySet| rule.rules.verify(rule.rules.open(token)?, keys, worker.epoch_ms() / 1_000, !scopes.is_empty());
    let Some(known) = known(source, live, worker).await else { return Err(Wrong::NoKeys) };
    let first = match &known.set {
        Some(keys) => prove(keys),
        None => Err(Wrong::NoKeys),
    };
    if !matches!(first, Err(Wrong::Key | Wrong::NoKeys)) || source.file().is_some() {
        return first;
    }
    // A key of that name may be new: whoever waits gets what one fetch brings.
    match worker.tokens.keys.again(source, &known, KEYS_WAIT).await.and_then(|known| known.set) {
        Some(keys) => prove(&keys),
        None => first,
    }
}

/// What is known of the keys of an issuer, after the first attempt at the latest.
async fn known(source: &KeySource, live: &Live, worker: &Worker) -> Option<Known> {
    match source.file() {
        Some(file) => {
            let set = live.snapshot().key_sets.get(file).cloned();
            Some(Known { set, attempts: 0, again: crate::io::now() })
        }
        None => worker.tokens.keys.first(source, KEYS_WAIT).await,
    }
}

fn admit(
    (rule, scopes): Asked<'_>,
    (identity, has_scope): (Arc<Identity>, bool),
    exchange: &mut Exchange,
    kind: Kind,
) -> Result<Verdict, Stop> {
    if !has_scope {
        // A user pool's token without the scope is none at all (A-11, assumed).
        let is_cognito = rule.rules.cognito;
        return Err(challenge(exchange, kind, Challenge::Scope { scopes, is_cognito }).into());
    }
    exchange.scratch.caller.identity = Some(identity);
    Ok(Verdict::Pass)
}

/// Why somebody is sent away.
#[derive(Clone, Copy)]
enum Challenge<'a> {
    /// There is no token.
    Missing,
    /// It proves nothing.
    Invalid { wrong: Wrong, scopes: &'a [Box<str>] },
    /// It is not for this.
    Scope { scopes: &'a [Box<str>], is_cognito: bool },
}

/// The refusal, and the fields that go with it: HTTP APIs say what is missing (A-02; RFC 6750 §3), REST APIs do not.
fn challenge(exchange: &mut Exchange, kind: Kind, why: Challenge<'_>) -> Refusal {
    let detail = &mut exchange.scratch.detail;
    detail.clear();
    let refusal = match why {
        Challenge::Invalid { wrong: Wrong::NoKeys, .. } if kind != Kind::Http => Refusal::AuthorizerFailure,
        Challenge::Invalid { wrong, .. } => {
            if kind != Kind::Http && wrong == Wrong::Expired {
                detail.message.extend_from_slice(b"The incoming token has expired");
            }
            Refusal::Unauthorized
        }
        Challenge::Missing | Challenge::Scope { is_cognito: true, .. } => Refusal::Unauthorized,
        Challenge::Scope { .. } => Refusal::AccessDenied,
    };
    if kind != Kind::Http {
        return refusal;
    }
    let fields = &mut detail.fields;
    fields.extend_from_slice(b"www-authenticate: Bearer");
    match why {
        Challenge::Missing => {}
        Challenge::Invalid { wrong, scopes } => {
            write_scopes(scopes, fields);
            fields.extend_from_slice(b" error=\"invalid_token\" error_description=\"");
            fields.extend_from_slice(wrong.description().as_bytes());
            fields.push(b'"');
        }
        Challenge::Scope { scopes, .. } => {
            write_scopes(scopes, fields);
            fields.extend_from_slice(b" error=\"insufficient_scope\"");
        }
    }
    fields.extend_from_slice(b"\r\n");
    refusal
}

/// ` scope="read write"`, without bytes that a scope cannot have (RFC 6749 §3.3).
fn write_scopes(scopes: &[Box<str>], out: &mut Vec<u8>) {
    out.extend_from_slice(b" scope=\"");
    for (at, scope) in scopes.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend(scope.bytes().filter(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte)));
    }
    out.push(b'"');
}
