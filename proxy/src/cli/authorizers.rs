//! What `tollgate explain` says of who decides on a caller.

use config::snapshot::{AuthorizerRule, JwtRule, KeySource, Program};
use config::{Method, Snapshot};
use policy::authorize::token_source::TokenSource;
use policy::rules::Authorize;

/// Who decides on the callers of a method, what they have to show, and which line says so. `None`: anybody may call.
pub fn decides(snapshot: &Snapshot, program: &Program, method: &Method) -> Option<String> {
    let (authorizer, scopes) = match &method.rules.authorize {
        Authorize::By { authorizer, scopes } => (program.authorizers.get(usize::from(*authorizer))?, scopes),
        Authorize::Closed => return Some("none that can be used: nobody passes".to_owned()),
        _ => return None,
    };
    let what = match &authorizer.rule {
        AuthorizerRule::Jwt(rule) => token(rule, scopes),
        _ => "it is asked".to_owned(),
    };
    let line = authorizer.line.show(snapshot).map_or_else(String::new, |line| format!(" ({line})"));
    Some(format!("{}{line}: {what}", authorizer.name))
}

fn token(rule: &JwtRule, scopes: &[Box<str>]) -> String {
    let place = match &rule.source {
        TokenSource::Header(name) => format!("in {name}"),
        TokenSource::Query(name) => format!("in the query's {name}"),
    };
    let issuer = |(issuer, keys): (&policy::authorize::jwt::Issuer, &KeySource)| {
        let keys = match keys {
            KeySource::Discovery(_) => "keys by discovery".to_owned(),
            KeySource::Url(url) => format!("keys from {url}"),
            KeySource::File(file) => format!("keys in {file}"),
        };
        let audience = match &issuer.audiences[..] {
            [] => "for anybody".to_owned(),
            names => format!("for {}", names.join(" or ")),
        };
        format!("{} {audience}, {keys}", issuer.name)
    };
    let issuers: Vec<String> = rule.rules.issuers.iter().zip(&rule.keys).map(issuer).collect();
    let scopes = if scopes.is_empty() { String::new() } else { format!("; scope {}", scopes.join(" or ")) };
    format!("a token {place} of {}{scopes}", issuers.join("; or of "))
}
