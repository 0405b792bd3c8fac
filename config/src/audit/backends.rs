//! Risks on the way to backends.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Found, Subject};
use crate::definition::{Integration, Method, Word};
use crate::limits;
use crate::model::upstream::ServerAddressSpec;

/// Integrations with their methods.
fn integrations<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (&'a Method, &'a Integration)> {
    let methods = subject.apis.iter().flat_map(|(_, definition)| &definition.methods);
    methods.filter_map(|method| Some((method, method.integration.as_ref()?)))
}

/// Scheme in lower case and authority of a URI as written.
pub fn parts(uri: &Word) -> Option<(String, &str)> {
    let (scheme, rest) = uri.as_str().split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some((scheme.to_ascii_lowercase(), &rest[..end]))
}

pub fn unverified(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (method, integration) in integrations(subject) {
        if integration.insecure_skip_verification == Some(true) {
            found.add(*integration.place, format!("`{}` does not verify its backend's certificate", method.key()));
        }
    }
    for upstream in &subject.document.upstreams {
        if upstream.tls.as_ref().is_some_and(|tls| tls.any_issuer) {
            let what = format!("upstream `{}` does not verify who issued its certificates", upstream.name.text);
            found.add(upstream.name.place, what);
        }
    }
}

pub fn plain_public(subject: &Subject<'_>, found: &mut Found<'_>) {
    for upstream in subject.document.upstreams.iter().filter(|upstream| upstream.tls.is_none()) {
        for server in &upstream.servers {
            let is_public = match &server.address {
                ServerAddressSpec::Socket(address) => !is_private_ip(address.ip()),
                ServerAddressSpec::Name { host, .. } => is_public_name(host),
                ServerAddressSpec::Unix(_) => false,
            };
            if is_public {
                let what =
                    format!("upstream `{}` is called over plain HTTP across public networks", upstream.name.text);
                found.add(server.place, what);
            }
        }
    }
    let is_upstream = |authority: &str| {
        subject.document.upstreams.iter().any(|upstream| upstream.name.text.eq_ignore_ascii_case(authority))
    };
    for (method, integration) in integrations(subject) {
        let Some(uri) = &integration.uri else { continue };
        let Some((scheme, authority)) = parts(uri) else { continue };
        let known = !authority.contains("${") && !is_upstream(authority);
        if scheme == "http" && known && is_public_host(authority) {
            let what = format!("`{}` calls `{authority}` over plain HTTP across public networks", method.key());
            found.add(uri.place(), what);
        }
    }
}

fn is_public_host(authority: &str) -> bool {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Ok(address) = host.parse::<SocketAddr>() {
        return !is_private_ip(address.ip());
    }
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return !is_private_ip(address);
    }
    is_public_name(host.split(':').next().unwrap_or(host))
}

/// Endings of names that only a network of one's own resolves (RFC 2606, 6761, 6762, 8375, and customs).
const PRIVATE_ENDINGS: [&str; 16] = [
    "arpa",
    "consul",
    "corp",
    "docker",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
    "svc",
    "test",
];

/// A name of one label is one's own; others by their endings.
fn is_public_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.rsplit_once('.') {
        Some((_, ending)) => !PRIVATE_ENDINGS.contains(&ending),
        None => false,
    }
}

fn is_private_ip(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_shared
        }
        IpAddr::V6(ip) => is_private_v6(ip),
    }
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
}

pub fn long_timeout(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (_, definition) in &subject.apis {
        let most = if definition.kind == router::Kind::Http { limits::TIMEOUT_HTTP } else { limits::TIMEOUT_REST };
        for method in &definition.methods {
            let Some(integration) = &method.integration else { continue };
            let Some(millis) = integration.timeout_ms else { continue };
            if u128::from(millis) > most.as_millis() {
                let what = format!("`{}` waits {} s for its backend", method.key(), f64::from(millis) / 1_000.0);
                found.add(*integration.place, what);
            }
        }
    }
}

pub fn host_from_stage_variable(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (method, integration) in integrations(subject) {
        let Some(uri) = &integration.uri else { continue };
        if parts(uri).is_some_and(|(_, authority)| authority.contains("${stageVariables.")) {
            found.add(uri.place(), format!("a stage variable names the host that `{}` calls", method.key()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_ones_own_are_not_public() {
        for host in [
            "10.1.2.3:80",
            "127.0.0.1",
            "192.168.0.1:1",
            "172.16.0.1",
            "100.64.0.1",
            "[::1]:80",
            "[fd00::1]",
            "pets",
            "pets:9000",
            "api.svc",
            "db.internal:80",
            "x.local",
            "localhost:1",
            "169.254.1.1",
        ] {
            assert!(!is_public_host(host), "{host}");
        }
        for host in [
            "8.8.8.8",
            "1.2.3.4:80",
            "example.com",
            "api.example.com:8080",
            "[2001:db8::1]:80",
            "172.32.0.1",
            "a@b.com",
        ] {
            assert!(is_public_host(host), "{host}");
        }
    }
}
