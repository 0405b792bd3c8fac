//! An integration's URI in one stage: stage variables filled in, authority resolved, path and query compiled.
//!
//! The operator's words and stage variables may name the host; what a client sends never does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use policy::transform::uri::{UriProblem, UriTemplate};

use crate::compile::tls::is_server_name;
use crate::compile::upstreams::Names;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::field::nearest;
use crate::model::values;
use crate::snapshot::{Authority, AuthorityTarget, CallTls, ServerAddress};
use crate::source::node::Text;

/// Where a URI leads.
pub struct Target {
    /// Whom it names.
    pub authority: Authority,
    /// Path and query.
    pub uri: UriTemplate,
}

/// What a URI is compiled against.
pub struct Context<'a> {
    /// The stage's name, for messages.
    pub stage: &'a str,
    /// Its variables.
    pub stage_variables: &'a BTreeMap<String, String>,
    /// The variables of the route's path.
    pub path_variables: &'a [Box<str>],
    /// The variables that a parameter mapping fills.
    pub mapped: &'a [Box<str>],
    /// The upstreams that a host may name.
    pub upstreams: &'a Names,
    /// What is said of TLS beside the URI.
    pub tls: CallTls,
}

/// Something wrong at a byte of the URI.
struct Wrong {
    spot: Spot,
    what: String,
    hint: String,
}

/// What is wrong with a URI, and where.
pub struct UriWrong {
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// A byte of the URI.
enum Spot {
    /// With its stage variables filled in.
    Filled(usize),
    /// As written.
    Written(usize),
}

fn wrong<T>(offset: usize, what: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { spot: Spot::Filled(offset), what: what.into(), hint: hint.into() })
}

/// Compiles a URI. Warnings go to `faults`; what keeps it from being called is for the caller to report.
pub fn compile(written: &Text, context: &Context<'_>, faults: &mut Diagnostics) -> Result<Target, UriWrong> {
    let filled = Filled::new(&written.text, context.stage_variables);
    for (offset, name) in &filled.undefined {
        if *offset >= authority_end(&written.text) {
            faults.warning(
                written.place_at(*offset),
                format!("stage variable `{name}` is not defined in stage `{}`", context.stage),
                "it is empty there, as in API Gateway",
            );
        }
    }
    let target = resolve(&filled, context).map_err(|Wrong { spot, what, hint }| {
        let offset = match spot {
            Spot::Filled(offset) => filled.origin(offset),
            Spot::Written(offset) => offset,
        };
        UriWrong { place: written.place_at(offset), what, hint }
    })?;
    if let Some((host, near)) = slip(&target.authority, context.upstreams) {
        faults.warning(
            written.place_at(filled.origin(filled.text.find("://").map_or(0, |at| at + 3))),
            format!("`{host}` is no upstream, so it is the name of a machine; did you mean `{near}`?"),
            format!("an upstream is written without a port, such as http://{near}; a machine's whole name has a dot"),
        );
    }
    Ok(target)
}

/// A machine's name that may be a slip of the finger in an upstream's. Containers have short names, so it is a guess.
fn slip<'a>(authority: &'a Authority, upstreams: &'a Names) -> Option<(&'a str, &'a str)> {
    let AuthorityTarget::Server(ServerAddress::Name { host, .. }) = &authority.target else { return None };
    let may_be = !host.contains('.') && &**host != "localhost";
    nearest(host, upstreams.written()).filter(|_| may_be).map(|near| (&**host, near))
}

/// Where the authority of the URI as written ends; stage variables may stand in it.
fn authority_end(text: &str) -> usize {
    let start = text.find("://").map_or(0, |at| at + 3);
    text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at)
}

/// A URI with its stage variables filled in, and the way back to the text as written.
struct Filled<'a> {
    text: String,
    /// Begins of pieces: in the filled text, in the text as written, and whether the piece is a value.
    pieces: Vec<(usize, usize, bool)>,
    undefined: Vec<(usize, &'a str)>,
}

impl<'a> Filled<'a> {
    /// Only `${stageVariables.name}` is filled; any other `${…}` is left alone (ST-02).
    fn new(written: &'a str, variables: &BTreeMap<String, String>) -> Self {
        const OPEN: &str = "${stageVariables.";
        let mut filled =
            Self { text: String::with_capacity(written.len()), pieces: vec![(0, 0, false)], undefined: Vec::new() };
        let mut at = 0;
        while let Some(found) = written[at..].find(OPEN) {
            let open = at + found;
            let name_at = open + OPEN.len();
            let Some(length) = written[name_at..].find('}') else { break };
            let name = &written[name_at..name_at + length];
            filled.text.push_str(&written[at..open]);
            filled.pieces.push((filled.text.len(), open, true));
            match variables.get(name) {
                Some(value) => filled.text.push_str(value),
                None => filled.undefined.push((open, name)),
            }
            at = name_at + length + 1;
            filled.pieces.push((filled.text.len(), at, false));
        }
        filled.text.push_str(&written[at..]);
        filled
    }

    /// The byte as written that a byte of the filled text comes from; of a value, where its variable stands.
    fn origin(&self, offset: usize) -> usize {
        let piece = self.pieces.iter().rev().find(|(start, _, _)| *start <= offset);
        let (start, written, is_value) = piece.copied().unwrap_or_default();
        if is_value { written } else { written + (offset - start) }
    }
}

fn resolve(filled: &Filled<'_>, context: &Context<'_>) -> Result<Target, Wrong> {
    let text = &*filled.text;
    if text.len() > limits::URI_CHARS_MAX {
        return wrong(0, format!("the URI is longer than {} bytes", limits::URI_CHARS_MAX), "shorten it");
    }
    let (start, secure) = scheme(text)?;
    let end = authority_end(text);
    let authority = &text[start..end];
    check_authority(authority, start, filled, context.stage)?;
    let uri = path_and_query(&text[end..], end, context)?;
    let (target, secure) = match context.upstreams.find(authority) {
        Some((name, false)) if secure => {
            let what = format!("upstream `{name}` speaks no TLS");
            return wrong(0, what, format!("write `tls: {{}}` at the upstream, or http://{name}"));
        }
        // Whether TLS is spoken with an upstream is the upstream's to say.
        Some((name, tls)) => (AuthorityTarget::Upstream(name.into()), tls),
        None => (AuthorityTarget::Server(literal(authority, start, secure, context.upstreams)?), secure),
    };
    let tls = secure.then(|| context.tls.clone());
    Ok(Target { authority: Authority { host: authority.as_bytes().into(), target, tls }, uri })
}

/// Where the authority begins, and whether TLS is spoken.
fn scheme(text: &str) -> Result<(usize, bool), Wrong> {
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.starts_with("arn:") {
            return wrong(
                0,
                "an integration with an AWS service is not available in this version",
                "write http://host/path",
            );
        }
        let rest = text.trim_start_matches('/');
        return wrong(0, "a URI begins with http://", format!("write http://{rest}"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((scheme.len() + 3, false)),
        "https" => Ok((scheme.len() + 3, true)),
        "" => wrong(0, "a URI begins with http://", format!("write http://{rest}")),
        _ if scheme.contains('{') => wrong(0, "a client must not choose the scheme", "write http:// and a host"),
        _ => wrong(0, format!("`{scheme}` is not a scheme that can be called"), "write http:// and a host"),
    }
}

fn check_authority(authority: &str, start: usize, filled: &Filled<'_>, stage: &str) -> Result<(), Wrong> {
    let end = filled.origin(start + authority.len());
    if let Some((offset, name)) = filled.undefined.iter().find(|(offset, _)| *offset < end) {
        let what = format!("stage variable `{name}`, which names the host, is not defined in stage `{stage}`");
        let hint = "define it below `variables` of the stage".to_owned();
        return Err(Wrong { spot: Spot::Written(*offset), what, hint });
    }
    if authority.is_empty() {
        return wrong(start, "the URI has no host", "write the name of an upstream, or host:port");
    }
    if let Some(at) = authority.find("${") {
        return wrong(
            start + at,
            "only `${stageVariables.name}` is filled in here",
            "write the host, or a stage variable",
        );
    }
    if let Some(at) = authority.find(['{', '}']) {
        return wrong(
            start + at,
            "a path variable in the host would let clients choose which machine is called",
            "write the host, or a stage variable; path variables belong behind the host",
        );
    }
    if let Some(at) = authority.find('@') {
        return wrong(start + at, "a user name in a URI is not sent to anyone", "remove everything up to the `@`");
    }
    Ok(())
}

fn path_and_query(tail: &str, at: usize, context: &Context<'_>) -> Result<UriTemplate, Wrong> {
    UriTemplate::compile_mapped(tail, context.path_variables, context.mapped).map_err(|fault| {
        let (what, hint) = match fault.what {
            UriProblem::NoSuchVariable => unknown_variable(&tail[fault.offset..], context.path_variables),
            UriProblem::Brace => (fault.what.message().to_owned(), "a variable is written `{name}`".to_owned()),
            UriProblem::Byte => (
                fault.what.message().to_owned(),
                "write it as % and two hex digits, such as %20 for a space".to_owned(),
            ),
            _ => (fault.what.message().to_owned(), "a URI is written like http://pets/{proxy}?a=b".to_owned()),
        };
        Wrong { spot: Spot::Filled(at + fault.offset), what, hint }
    })
}

fn unknown_variable(rest: &str, known: &[Box<str>]) -> (String, String) {
    let name = rest.split('}').next().unwrap_or(rest);
    let greedy = name.strip_suffix('+').filter(|name| known.iter().any(|known| **known == **name));
    if let Some(name) = greedy {
        return (
            format!("`{{{name}+}}` is written `{{{name}}}` in a URI"),
            "the `+` belongs to the route alone".to_owned(),
        );
    }
    let what = match nearest(name, known.iter().map(|name| &**name)) {
        Some(near) => format!("the route has no variable `{name}`, did you mean `{near}`?"),
        None => format!("the route has no variable `{name}`"),
    };
    let hint = if known.is_empty() {
        "the route's path has no variables".to_owned()
    } else {
        let listed: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
        format!("the route's path has {}", listed.join(", "))
    };
    (what, hint)
}

/// The server that an authority means when it is not an upstream's name.
fn literal(authority: &str, start: usize, secure: bool, upstreams: &Names) -> Result<ServerAddress, Wrong> {
    let (scheme, default) = if secure { ("https", 443) } else { ("http", 80) };
    if authority.parse::<Ipv6Addr>().is_ok() {
        let hint = format!("write {scheme}://[{authority}]");
        return wrong(start, "an IPv6 address in a URI stands in brackets", hint);
    }
    let (host, port_text) = split_port(authority);
    let port = match port_text.map(|text| (text, values::number(text))) {
        None => default,
        Some((_, Some(port @ 1..=65_535))) => port as u16,
        Some((text, _)) => {
            return wrong(
                start + host.len() + 1,
                format!("`{text}` is not a port"),
                "a port is a number from 1 to 65535",
            );
        }
    };
    if upstreams.find(host).is_some() {
        return wrong(
            start + host.len(),
            format!("`{host}` is an upstream, whose servers have ports of their own"),
            format!("write {scheme}://{host}"),
        );
    }
    if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>()
        && ip.is_ipv4() != host.starts_with('[')
    {
        return Ok(ServerAddress::Socket(SocketAddr::new(ip, port)));
    }
    if !values::is_host(host) || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return wrong(
            start,
            format!("`{host}` is neither an upstream, a host name, nor an IP address"),
            format!("write {scheme}://host:port/path"),
        );
    }
    if secure && !is_server_name(host) {
        return wrong(start, format!("`{host}` is no name that a certificate can have"), "write a host name");
    }
    if port_text.is_none() && !host.contains('.') && host != "localhost" {
        let near = nearest(host, upstreams.written()).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        return wrong(
            start,
            format!("unknown upstream `{host}`{near}"),
            format!(
                "name it below `upstreams`; a machine of that name is written with its port, such as {scheme}://{host}:{default}"
            ),
        );
    }
    Ok(ServerAddress::Name { host: host.to_ascii_lowercase().into(), port })
}

/// Host and port; the colons of a bracketed IPv6 address are its own.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled<'a>(text: &'a str, variables: &[(&str, &str)]) -> Filled<'a> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Filled::new(text, &variables)
    }

    #[test]
    fn only_stage_variables_are_filled_in() {
        let filled = filled("http://${stageVariables.a}/${b}/${stageVariables.none}x", &[("a", "pets")]);
        assert_eq!(filled.text, "http://pets/${b}/x");
        assert_eq!(filled.undefined, [(32, "none")]);
    }

    #[test]
    fn a_byte_finds_back_to_where_it_was_written() {
        let text = "http://${stageVariables.a}/{x}";
        let filled = filled(text, &[("a", "a-long-name.example")]);
        assert_eq!(filled.origin(0), 0);
        assert_eq!(filled.origin(7), 7);
        assert_eq!(filled.origin(12), 7, "a value stands where its variable does");
        assert_eq!(filled.origin(filled.text.find('{').unwrap()), text.find("{x").unwrap());
    }

    #[test]
    fn a_variable_that_is_not_closed_is_left_alone() {
        assert_eq!(filled("http://${stageVariables.a", &[("a", "b")]).text, "http://${stageVariables.a");
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(split_port("a:1"), ("a", Some("1")));
        assert_eq!(split_port("a"), ("a", None));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("[::1]:80"), ("[::1]", Some("80")));
    }
}
