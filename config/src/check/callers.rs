//! Whether callers can show what authorizers ask for, and nobody else sees it.

use crate::check::domains::targets;
use crate::definition::{Authorization, Authorizer, Definition, Word};
use crate::diagnostic::Diagnostics;
use crate::model::Document;
use crate::model::api::ApiSpec;
use crate::model::domain::DomainSpec;
use crate::model::gateway::ListenSpec;

/// Checks the authorizers of an API that its methods ask.
pub fn check(api: &ApiSpec, definition: &Definition, document: &Document, faults: &mut Diagnostics) {
    for (name, scheme) in &definition.authorizers {
        let is_asked = |authorization: &Authorization| matches!(authorization, Authorization::Authorizer { name: asked, .. } if asked == name);
        if !definition.methods.iter().any(|method| is_asked(&method.authorization)) {
            continue;
        }
        match kind(scheme) {
            "basic" => warn_of_clear_text(name, document, faults),
            "mtls" => warn_of_unasked(name, api, document, faults),
            _ => {}
        }
    }
}

fn kind(scheme: &Authorizer) -> &'static str {
    let written = scheme.authorizer.as_ref().and_then(|json| json.get("type")).and_then(serde_json::Value::as_str);
    let known = ["basic", "mtls"];
    written.and_then(|written| known.into_iter().find(|known| written.eq_ignore_ascii_case(known))).unwrap_or_default()
}

/// Passwords that everybody on the way can read. One that sends its clients elsewhere asks for none.
fn warn_of_clear_text(name: &Word, document: &Document, faults: &mut Diagnostics) {
    let is_clear = |listener: &&ListenSpec| {
        listener.is_open() && listener.tls.is_none() && listener.clients.https_redirect.is_none()
    };
    if let Some(listener) = document.gateway.listen.iter().find(is_clear) {
        let what = format!(
            "authorizer `{name}`: passwords come in clear text by the listener in line {}",
            listener.place.line
        );
        let hint = "write `tls` at the listener, or let it listen on loopback behind something that ends TLS";
        faults.warning(name.place(), what, hint);
    }
}

/// Ways to the API on which nobody is asked for a certificate: whoever comes by them does not pass.
fn warn_of_unasked(name: &Word, api: &ApiSpec, document: &Document, faults: &mut Diagnostics) {
    let hint = "write `mutual_tls: clients.pem` there; on this way nobody passes";
    let domains = document.domains.as_deref().unwrap_or_default();
    let unasked = document.gateway.listen.iter().find(|listener| listener.clients.mutual_tls.is_none());
    let mut say = |what: String| faults.warning(name.place(), format!("authorizer `{name}`: {what}"), hint);
    if domains.is_empty() {
        if let Some(listener) = unasked {
            say(format!("the listener in line {} asks nobody for a certificate", listener.place.line));
        }
        return;
    }
    let leads_here =
        |domain: &&DomainSpec| targets(domain).any(|target| target.text.split('/').next() == Some(&*api.id.text));
    for domain in domains.iter().filter(leads_here).filter(|domain| domain.clients.mutual_tls.is_none()) {
        // Without a certificate of its own it has the listener's, and its terms.
        if unasked.is_some() || domain.tls.is_some() {
            say(format!("domain `{}` asks nobody for a certificate", domain.name.text));
        }
    }
}
