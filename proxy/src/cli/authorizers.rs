//! What `tollgate explain` says of who decides on a caller.

use config::snapshot::{AuthorizerRule, BasicRule, JwtRule, KeySource, Program};
use config::{Method, Snapshot};
use policy::authorize::lambda::{Event, LambdaRule};
use policy::authorize::mtls::{MtlsRule, NamePattern};
use policy::authorize::token_source::TokenSource;
use policy::rules::Authorize;

/// Who decides on the callers of a method, what they have to show, and which line says so. `None`: anybody may call.
pub fn decides(snapshot: &Snapshot, program: &Program, method: &Method) -> Option<String> {
    let (authorizer, scopes) = match &method.rules.authorize {
        Authorize::By { authorizer, scopes } => (program.authorizers.get(usize::from(*authorizer))?, scopes),
        Authorize::SigV4 => return Some(signers(snapshot)),
        Authorize::Closed => return Some("none that can be used: nobody passes".to_owned()),
        Authorize::Open => return None,
    };
    let what = match &authorizer.rule {
        AuthorizerRule::Jwt(rule) => token(rule, scopes),
        AuthorizerRule::Lambda(rule) => function(rule),
        AuthorizerRule::Basic(rule) => password(snapshot, rule),
        AuthorizerRule::Mtls(rule) => certificate(rule),
    };
    let line = authorizer.line.show(snapshot).map_or_else(String::new, |line| format!(" ({line})"));
    Some(format!("{}{line}: {what}", authorizer.name))
}

/// Who may sign, and for what.
fn signers(snapshot: &Snapshot) -> String {
    let keys: Vec<&str> = snapshot.gateway.principals.iter().map(|principal| &*principal.access_key).collect();
    let keys = match &keys[..] {
        [] => "but there are no principals: nobody passes".to_owned(),
        [one] => format!("by {one}"),
        [one, rest @ ..] => format!("by {one} or one of {} more", rest.len()),
    };
    format!("AWS_IAM: a signature for execute-api in {}, {keys}", snapshot.gateway.region)
}

/// What the resource policy says before and behind the authorizer of a method, and where it is written.
pub fn policy(snapshot: &Snapshot, program: &Program, method: &Method) -> Option<String> {
    let access = program.policy.as_ref()?;
    let line = access.line.show(snapshot).map_or_else(String::new, |line| format!(" ({line})"));
    let what = match &method.rules.authorize {
        Authorize::Open => "it must allow the request",
        Authorize::Closed => "nobody comes so far",
        Authorize::SigV4 => "it decides with the policy of who signs",
        Authorize::By { authorizer, .. } => {
            match program.authorizers.get(usize::from(*authorizer)).map(|one| &one.rule) {
                Some(AuthorizerRule::Lambda(_)) => {
                    "it must not deny the request, and may allow it where the authorizer is silent"
                }
                _ => "it must allow the request, whoever calls",
            }
        }
    };
    Some(format!("{what}{line}"))
}

/// What is told to whom, and how long it is remembered.
fn function(rule: &LambdaRule) -> String {
    let who = if rule.is_function { "a function" } else { "an endpoint" };
    let what = match rule.event {
        Event::Token => "the token",
        Event::Version1 => "the request (1.0)",
        Event::Version2 => "the request (2.0)",
    };
    let by = rule.sources.names().join(" and ");
    let kept = match (rule.ttl.as_secs(), &*by) {
        (0, "") => "asked every time".to_owned(),
        (0, by) => format!("asked every time, with {by}"),
        (seconds, by) => format!("remembered for {seconds}s by {by}"),
    };
    format!("{who} is told {what} at {}, {kept}", rule.written)
}

/// Whose passwords count, and what becomes of the field.
fn password(snapshot: &Snapshot, rule: &BasicRule) -> String {
    let count = snapshot.user_lists.get(&rule.users).map_or(0, |users| users.len());
    let file = rule.users.file.as_ref().map_or_else(String::new, |file| format!(" in {file}"));
    let users = if count == 1 { "user" } else { "users" };
    let forward = if rule.forward { "the backend gets it as well" } else { "the backend does not get it" };
    format!("a name and a password in Authorization, of {count} {users}{file}; {forward}")
}

/// Which certificates count.
fn certificate(rule: &MtlsRule) -> String {
    let subjects = rule.subjects.iter().map(|subject| format!("of {subject}"));
    let names = rule.names.iter().map(NamePattern::show);
    let prints = (!rule.fingerprints.is_empty()).then(|| format!("one of {} fingerprints", rule.fingerprints.len()));
    let which: Vec<String> = subjects.chain(names).chain(prints).collect();
    let which = match &which[..] {
        [] => "any that the host believes".to_owned(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} or one of {} more", rest.len()),
    };
    format!("the client's certificate: {which}")
}

fn token(rule: &JwtRule, scopes: &[Box<str>]) -> String {
    let place = match &rule.source {
        TokenSource::Header(name) => format!("in {name}"),
        TokenSource::Query(name) => format!("in the query's {name}"),
    };
    let issuer = |(issuer, keys): (&policy::authorize::jwt::Issuer, &KeySource)| {
        let keys_by = keys.authorities();
        let keys = match keys {
            KeySource::Discovery(..) => "keys by discovery".to_owned(),
            KeySource::Url(url, _) => format!("keys from {url}"),
            KeySource::File(file) => format!("keys in {file}"),
        };
        let by = keys_by.map_or(String::new(), |file| format!(", believed by {file}"));
        let audience = match &issuer.audiences[..] {
            [] => "for anybody".to_owned(),
            names => format!("for {}", names.join(" or ")),
        };
        format!("{} {audience}, {keys}{by}", issuer.name)
    };
    let issuers: Vec<String> = rule.rules.issuers.iter().zip(&rule.keys).map(issuer).collect();
    let scopes = if scopes.is_empty() { String::new() } else { format!("; scope {}", scopes.join(" or ")) };
    format!("a token {place} of {}{scopes}", issuers.join("; or of "))
}
