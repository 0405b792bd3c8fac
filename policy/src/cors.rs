//! CORS: pages of which origins may call an API, and what their browsers are told (aws-features §8; Fetch §3.2).
//!
//! | an origin as written | stands for |
//! |---|---|
//! | `*` | every origin, `null` too |
//! | `https://app.example.com`, `capacitor://localhost`, `null` | itself |
//! | `https://*` | every origin of this scheme (CO-01) |
//! | `https://*.example.com` | every host below this one; ours |
//! | `http://localhost:*` | every port of this host; ours |
//!
//! What is told of a preflight is what is configured, whatever it asks for: the browser compares (CO-02; assumed). With
//! credentials a browser takes `*` for a name, so there the names that it asked for are told back. All of it is decided in one pass
//! over the list and over the origin, and nothing is allocated but the output.

use std::fmt;

use codec::head::{Name, RequestHead};
use codec::http1::is_token;
use codec::http1::write;
use serde::{Deserialize, Serialize};

use crate::limits::{CORS_AGE_MAX, CORS_ASKED_NAMES_MAX, CORS_ENTRIES_MAX, CORS_LIST_BYTES_MAX, ORIGIN_BYTES_MAX};

/// The configuration as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spec {
    /// See the table above.
    pub allow_origins: Vec<Box<str>>,
    /// Verbs, or `*`.
    pub allow_methods: Vec<Box<str>>,
    /// Names of request headers, or `*`.
    pub allow_headers: Vec<Box<str>>,
    /// Names of answer headers, or `*`.
    pub expose_headers: Vec<Box<str>>,
    /// Seconds for which a browser may remember a preflight's answer: -1 (not at all) to 86400.
    pub max_age: Option<i32>,
    /// Whether cookies and the like may be sent.
    pub allow_credentials: bool,
}

/// A part of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `allow_origins`
    Origins,
    /// `allow_methods`
    Methods,
    /// `allow_headers`
    Headers,
    /// `expose_headers`
    Exposed,
    /// `max_age`
    MaxAge,
}

/// What cannot be used, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The part.
    pub part: Part,
    /// Which of its entries.
    pub entry: usize,
    /// What is wrong with it.
    pub what: Problem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// More entries than [`CORS_ENTRIES_MAX`].
    TooMany,
    /// The list as a header field is longer than [`CORS_LIST_BYTES_MAX`], or an origin longer than [`ORIGIN_BYTES_MAX`].
    TooLong,
    /// No scheme and host.
    Origin,
    /// Something behind host and port.
    Path,
    /// The port that browsers leave out.
    DefaultPort,
    /// A `*` elsewhere than in the table.
    Star,
    /// `*` beside `allow_credentials` (CO-05).
    Credentials,
    /// No name of a verb or a header.
    Name,
    /// Not from -1 to 86400.
    Age,
}

impl Problem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooMany => "this CORS list has too many entries",
            Self::TooLong => "this is too long for a CORS list",
            Self::Origin => "this is no origin",
            Self::Path => "an origin ends with its host or port",
            Self::DefaultPort => "browsers leave this port out of an origin: nothing matches it",
            Self::Star => "a `*` cannot stand here in an origin",
            Self::Credentials => "the origin `*` and credentials exclude each other",
            Self::Name => "this is no name for a CORS list",
            Self::Age => "this age is none that browsers take",
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::TooMany => "100 are allowed; `https://*.example.com` stands for all hosts below one",
            Self::TooLong => "an origin has 512 bytes at most, a list of names 8,192",
            Self::Origin | Self::Star => {
                "write https://app.example.com, https://*.example.com, https://*, http://localhost:*, null or *"
            }
            Self::Path => "write it without path, query and slash at its end",
            Self::DefaultPort => "leave the port out",
            Self::Credentials => "browsers take no cookies from everywhere, and AWS refuses it: name the origins",
            Self::Name => "write verbs such as GET, names of headers such as x-request-id, or *",
            Self::Age => "it is a number of seconds from -1 to 86400",
        }
    }
}

/// What a request asks for, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// An answer.
    Actual,
    /// Whether it may ask (Fetch §3.2.2).
    Preflight {
        /// `Access-Control-Request-Method`
        method: &'a [u8],
        /// `Access-Control-Request-Headers`
        headers: Option<&'a [u8]>,
    },
}

/// The origin that a request names, if it names one, and what it asks for. More than one `Origin` is nobody's.
pub fn asked<'a>(head: &RequestHead, bytes: &'a [u8]) -> (Option<&'a [u8]>, Asked<'a>) {
    let mut origins = head.fields.iter().filter(|field| field.known == Name::Origin);
    let origin = origins.next().filter(|_| origins.next().is_none()).map(|field| field.value.of(bytes));
    let value = |name| head.fields.get(name).map(|field| field.value.of(bytes));
    let is_options = || head.method.of(bytes) == b"OPTIONS";
    let asked = match origin.filter(|_| is_options()).and_then(|_| value(Name::AccessControlRequestMethod)) {
        Some(method) => Asked::Preflight { method, headers: value(Name::AccessControlRequestHeaders) },
        None => Asked::Actual,
    };
    (origin, asked)
}

/// The compiled configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Spec")]
pub struct Cors {
    spec: Spec,
    /// `*`
    any: bool,
    /// In small letters.
    exact: Box<[Box<[u8]>]>,
    patterns: Box<[Pattern]>,
    /// Complete lines of every answer to an origin that is let in, behind that origin.
    always: Box<[u8]>,
    /// And of one that is no preflight's.
    actual: Box<[u8]>,
    /// And of a preflight's.
    preflight: Box<[u8]>,
    /// Whether the verb, and the names, that a preflight asks for are told back.
    echoes: (bool, bool),
}

/// An origin with a star in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    before: Box<[u8]>,
    after: Box<[u8]>,
    star: Star,
}

/// What a star stands for; never for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Star {
    /// Host and port.
    Authority,
    /// The front of a host.
    Labels,
    /// Digits.
    Port,
}

impl Star {
    fn takes(self, text: &[u8]) -> bool {
        let of_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !text.is_empty()
            && match self {
                Self::Authority => text.iter().all(|byte| of_host(byte) || matches!(byte, b':' | b'[' | b']')),
                Self::Labels => text.iter().all(of_host),
                Self::Port => text.iter().all(u8::is_ascii_digit),
            }
    }
}

impl Pattern {
    fn takes(&self, origin: &[u8]) -> bool {
        let middle = origin.strip_prefix(&*self.before).and_then(|rest| rest.strip_suffix(&*self.after));
        middle.is_some_and(|middle| self.star.takes(middle))
    }
}

/// An origin that was read.
enum Origin {
    Any,
    Exact(Box<[u8]>),
    Pattern(Pattern),
}

impl Cors {
    /// Compiles a configuration; all faults are found.
    pub fn compile(spec: Spec) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let (mut any, mut exact, mut patterns) = (false, Vec::new(), Vec::new());
        for (entry, text) in spec.allow_origins.iter().enumerate().take(CORS_ENTRIES_MAX) {
            match origin(text) {
                Ok(Origin::Any) if spec.allow_credentials => {
                    faults.push(Fault { part: Part::Origins, entry, what: Problem::Credentials });
                }
                Ok(Origin::Any) => any = true,
                Ok(Origin::Exact(origin)) => exact.push(origin),
                Ok(Origin::Pattern(pattern)) => patterns.push(pattern),
                Err(what) => faults.push(Fault { part: Part::Origins, entry, what }),
            }
        }
        if spec.allow_origins.len() > CORS_ENTRIES_MAX {
            faults.push(Fault { part: Part::Origins, entry: CORS_ENTRIES_MAX, what: Problem::TooMany });
        }
        let mut joined = |part, list: &[Box<str>]| names(part, list, &mut faults);
        let methods = joined(Part::Methods, &spec.allow_methods);
        let headers = joined(Part::Headers, &spec.allow_headers);
        let exposed = joined(Part::Exposed, &spec.expose_headers);
        if spec.max_age.is_some_and(|age| !(-1..=CORS_AGE_MAX).contains(&age)) {
            faults.push(Fault { part: Part::MaxAge, entry: 0, what: Problem::Age });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let has_star = |list: &[Box<str>]| list.iter().any(|name| &**name == "*");
        let echoes = |list: &[Box<str>]| spec.allow_credentials && has_star(list);
        let echoes = (echoes(&spec.allow_methods), echoes(&spec.allow_headers));
        let (mut always, mut actual, mut preflight) = (Vec::new(), Vec::new(), Vec::new());
        if spec.allow_credentials {
            write::field(&mut always, b"access-control-allow-credentials", b"true");
        }
        line(b"access-control-expose-headers", &exposed, &mut actual);
        if !echoes.0 {
            line(b"access-control-allow-methods", &methods, &mut preflight);
        }
        if !echoes.1 {
            line(b"access-control-allow-headers", &headers, &mut preflight);
        }
        if let Some(age) = spec.max_age {
            write::field(&mut preflight, b"access-control-max-age", age.to_string().as_bytes());
        }
        let (always, actual, preflight) = (always.into(), actual.into(), preflight.into());
        Ok(Self { spec, any, exact: exact.into(), patterns: patterns.into(), always, actual, preflight, echoes })
    }

    /// As it was written.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Whether pages of this origin may call. What is no origin by its letters is let in by `*` alone, which tells it nothing back.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.any
            || origin.len() <= ORIGIN_BYTES_MAX
                && (self.exact.iter().any(|known| **known == *origin)
                    || self.patterns.iter().any(|pattern| pattern.takes(origin)))
    }

    /// Writes what a browser is told: complete lines, CRLF included. Without an `Origin`, or for one that is not let in, that is
    /// only that the answer depends on it (CO-02, CO-03).
    pub fn write(&self, origin: Option<&[u8]>, asked: Asked<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Vary: Origin\r\n");
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else { return };
        write::field(out, b"access-control-allow-origin", if self.any { b"*" } else { origin });
        out.extend_from_slice(&self.always);
        match asked {
            Asked::Actual => out.extend_from_slice(&self.actual),
            Asked::Preflight { method, headers } => {
                out.extend_from_slice(&self.preflight);
                if self.echoes.0 && is_token(method) {
                    write::field(out, b"access-control-allow-methods", method);
                }
                if let Some(headers) = headers.filter(|_| self.echoes.1) {
                    echo(headers, out);
                }
            }
        }
    }
}

/// Writes the names that a preflight asks for, if all of them are names.
fn echo(asked: &[u8], out: &mut Vec<u8>) {
    if asked_names(asked).is_none() {
        return;
    }
    out.extend_from_slice(b"access-control-allow-headers: ");
    let start = out.len();
    for name in elements(asked) {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(name);
    }
    out.extend_from_slice(b"\r\n");
}

/// How many names a list has, blanks and empty elements apart (RFC 9110 §5.6.1); `None` for one with anything else in it, with no
/// name, or with more than [`CORS_ASKED_NAMES_MAX`].
pub fn asked_names(list: &[u8]) -> Option<usize> {
    let mut count = 0;
    for name in elements(list) {
        count += 1;
        if !is_token(name) || count > CORS_ASKED_NAMES_MAX {
            return None;
        }
    }
    (count > 0).then_some(count)
}

fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        write::field(out, name, value);
    }
}

/// Reads an origin.
fn origin(text: &str) -> Result<Origin, Problem> {
    let text = text.to_ascii_lowercase();
    match &*text {
        "*" => return Ok(Origin::Any),
        "null" => return Ok(Origin::Exact(text.into_bytes().into())),
        _ if text.len() > ORIGIN_BYTES_MAX => return Err(Problem::TooLong),
        _ => {}
    }
    let (scheme, authority) = text.split_once("://").ok_or(Problem::Origin)?;
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme || authority.is_empty() {
        return Err(if scheme.contains('*') { Problem::Star } else { Problem::Origin });
    }
    if authority.contains(['/', '?', '#']) {
        return Err(Problem::Path);
    }
    if matches!((scheme, port(authority)), ("https", Some("443")) | ("http", Some("80"))) {
        return Err(Problem::DefaultPort);
    }
    match authority.matches('*').count() {
        0 if is_authority(authority) => Ok(Origin::Exact(text.into_bytes().into())),
        0 => Err(Problem::Origin),
        1 => pattern(&text, authority).map(Origin::Pattern),
        _ => Err(Problem::Star),
    }
}

/// An origin with one star.
fn pattern(text: &str, authority: &str) -> Result<Pattern, Problem> {
    let (before, after) = text.split_once('*').ok_or(Problem::Star)?;
    let star = if let Some(host) = authority.strip_suffix(":*") {
        if !is_authority(host) || port(host).is_some() {
            return Err(Problem::Star);
        }
        Star::Port
    } else if authority == "*" {
        Star::Authority
    } else {
        let host = authority.strip_prefix("*.").ok_or(Problem::Star)?;
        if !is_authority(host) || host.starts_with('[') {
            return Err(Problem::Star);
        }
        Star::Labels
    };
    Ok(Pattern { before: before.as_bytes().into(), after: after.as_bytes().into(), star })
}

/// What follows the colon of a port.
fn port(authority: &str) -> Option<&str> {
    let behind = authority.rsplit_once(']').map_or(authority, |(_, behind)| behind);
    behind.rsplit_once(':').map(|(_, port)| port)
}

/// A host with or without a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match port(text) {
        Some(port) => (&text[..text.len() - port.len() - 1], Some(port)),
        None => (text, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    let is_host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host.split('.').all(|label| !label.is_empty())
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        }
    };
    is_host && port.is_none_or(is_port)
}

/// The names of a list with commas between them; a verb in small letters is that verb.
fn names(part: Part, list: &[Box<str>], faults: &mut Vec<Fault>) -> Vec<u8> {
    let mut joined = Vec::new();
    for (entry, name) in list.iter().enumerate().take(CORS_ENTRIES_MAX) {
        let upper = name.to_ascii_uppercase();
        let is_verb = part == Part::Methods && router::Verb::parse(upper.as_bytes()).is_some();
        let name = if is_verb { upper.as_bytes() } else { name.as_bytes() };
        if !is_token(name) {
            faults.push(Fault { part, entry, what: Problem::Name });
            continue;
        }
        if !joined.is_empty() {
            joined.push(b',');
        }
        joined.extend_from_slice(name);
    }
    if list.len() > CORS_ENTRIES_MAX {
        faults.push(Fault { part, entry: CORS_ENTRIES_MAX, what: Problem::TooMany });
    }
    if joined.len() > CORS_LIST_BYTES_MAX {
        faults.push(Fault { part, entry: 0, what: Problem::TooLong });
    }
    joined
}

/// A file holds what no document can say.
#[derive(Debug)]
pub struct Unusable(Option<Fault>);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or("a stored CORS configuration is none", |fault| fault.what.message()))
    }
}

impl TryFrom<Spec> for Cors {
    type Error = Unusable;

    fn try_from(spec: Spec) -> Result<Self, Unusable> {
        Self::compile(spec).map_err(|faults| Unusable(faults.into_iter().next()))
    }
}

impl Serialize for Cors {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.spec.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    fn spec(origins: &[&str]) -> Spec {
        Spec { allow_origins: list(origins), ..Spec::default() }
    }

    fn cors(origins: &[&str]) -> Cors {
        Cors::compile(spec(origins)).unwrap()
    }

    fn told(cors: &Cors, origin: &str, asked: Asked<'_>) -> String {
        let mut out = Vec::new();
        cors.write((!origin.is_empty()).then_some(origin.as_bytes()), asked, &mut out);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn co_01_origins_match() {
        // (written, origin, whether it is let in)
        let cases = [
            ("https://a.example", "https://a.example", true),
            ("HTTPS://A.Example", "https://a.example", true),
            ("https://a.example", "https://A.example", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example.evil", false),
            ("https://a.example", "https://xa.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example:8443", "https://a.example:8443", true),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("null", "null", true),
            ("null", "https://null", false),
            ("*", "null", true),
            ("*", "https://a.example", true),
            ("https://*", "https://a.example:1", true),
            ("https://*", "https://", false),
            ("https://*", "http://a.example", false),
            ("https://*", "https://a.example/x", false),
            ("https://*", "https://u@a.example", false),
            ("https://*", "null", false),
            ("http://*", "http://[::1]:80", true),
            ("https://*.a.example", "https://x.a.example", true),
            ("https://*.a.example", "https://x.y.a.example", true),
            ("https://*.a.example", "https://a.example", false),
            ("https://*.a.example", "https://.a.example", false),
            ("https://*.a.example", "https://xa.example", false),
            ("https://*.a.example", "https://evil.test:80.a.example", false),
            ("https://*.a.example", "https://evil.test/.a.example", false),
            ("https://*.a.example:8443", "https://x.a.example:8443", true),
            ("http://localhost:*", "http://localhost:5173", true),
            ("http://localhost:*", "http://localhost", false),
            ("http://localhost:*", "http://localhost:", false),
            ("http://localhost:*", "http://localhost:1.evil.test", false),
        ];
        for (written, origin, allowed) in cases {
            assert_eq!(cors(&[written]).allows(origin.as_bytes()), allowed, "{written} {origin}");
            // Where it stands in the list makes no difference.
            let among = cors(&["https://other.example", written, "ftp://*"]);
            assert_eq!(among.allows(origin.as_bytes()), allowed, "{written} {origin}");
        }
        assert!(!cors(&[]).allows(b"https://a.example"));
        let long = format!("https://{}", "a".repeat(ORIGIN_BYTES_MAX));
        assert!(!cors(&["https://*"]).allows(long.as_bytes()));
    }

    #[test]
    fn co_01_what_is_no_origin_is_a_fault() {
        for (written, what) in [
            ("", Problem::Origin),
            ("a.example", Problem::Origin),
            ("https://", Problem::Origin),
            ("://a", Problem::Origin),
            ("https://a b", Problem::Origin),
            ("https://a..b", Problem::Origin),
            ("https://a:", Problem::Origin),
            ("https://a:99999", Problem::Origin),
            ("https://a:080", Problem::Origin),
            ("https://[::1", Problem::Origin),
            ("https://ä.example", Problem::Origin),
            ("https://a\r\nx", Problem::Origin),
            ("https://a.example/", Problem::Path),
            ("https://a.example/x", Problem::Path),
            ("https://a.example:443", Problem::DefaultPort),
            ("http://[::1]:80", Problem::DefaultPort),
            ("*://a", Problem::Star),
            ("https://a*", Problem::Star),
            ("https://*a.example", Problem::Star),
            ("https://x.*.example", Problem::Star),
            ("https://*.*", Problem::Star),
            ("https://*:*", Problem::Star),
            ("https://*.", Problem::Star),
            ("https://a:1:*", Problem::Star),
            ("https://*.[::1]", Problem::Star),
        ] {
            let faults = Cors::compile(spec(&["https://fine.example", written])).unwrap_err();
            assert_eq!(faults, [Fault { part: Part::Origins, entry: 1, what }], "{written}");
        }
        let many: Vec<String> = (0..=CORS_ENTRIES_MAX).map(|number| format!("https://a{number}.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(Cors::compile(spec(&many)).unwrap_err()[0].what, Problem::TooMany);
        assert!(Cors::compile(spec(&many[1..])).is_ok());
        let long = format!("https://{}", "a".repeat(ORIGIN_BYTES_MAX));
        assert_eq!(Cors::compile(spec(&[&long])).unwrap_err()[0].what, Problem::TooLong);
    }

    #[test]
    fn co_02_what_a_preflight_is_told() {
        let mut full = spec(&["https://a.example"]);
        full.allow_methods = list(&["GET", "post"]);
        full.allow_headers = list(&["x-a", "Authorization"]);
        full.expose_headers = list(&["x-b"]);
        full.max_age = Some(600);
        let cors = Cors::compile(full.clone()).unwrap();
        let asked = Asked::Preflight { method: b"PUT", headers: Some(b"x-z") };
        assert_eq!(
            told(&cors, "https://a.example", asked),
            "Vary: Origin|access-control-allow-origin: https://a.example|access-control-allow-methods: GET,POST|\
             access-control-allow-headers: x-a,Authorization|access-control-max-age: 600|"
        );
        assert_eq!(told(&cors, "https://b.example", asked), "Vary: Origin|");
        assert_eq!(told(&cors, "", asked), "Vary: Origin|");
        full.allow_origins = list(&["*"]);
        full.max_age = Some(-1);
        let cors = Cors::compile(full).unwrap();
        assert!(told(&cors, "null", asked).contains("access-control-allow-origin: *|"));
        assert!(told(&cors, "null", asked).ends_with("access-control-max-age: -1|"));
        assert_eq!(told(&Cors::compile(Spec::default()).unwrap(), "https://a.example", asked), "Vary: Origin|");
    }

    #[test]
    fn co_03_what_an_actual_request_is_told() {
        let mut full = spec(&["https://a.example", "null"]);
        full.expose_headers = list(&["x-b", "x-c"]);
        full.allow_methods = list(&["GET"]);
        full.allow_credentials = true;
        let cors = Cors::compile(full).unwrap();
        assert_eq!(
            told(&cors, "null", Asked::Actual),
            "Vary: Origin|access-control-allow-origin: null|access-control-allow-credentials: true|\
             access-control-expose-headers: x-b,x-c|"
        );
        assert_eq!(told(&cors, "https://c.example", Asked::Actual), "Vary: Origin|");
    }

    #[test]
    fn co_05_credentials_and_every_origin_exclude_each_other() {
        let mut bad = spec(&["https://a.example", "*"]);
        bad.allow_credentials = true;
        let faults = Cors::compile(bad).unwrap_err();
        assert_eq!(faults, [Fault { part: Part::Origins, entry: 1, what: Problem::Credentials }]);
    }

    #[test]
    fn with_credentials_stars_are_told_back_as_names() {
        let mut full = spec(&["https://*"]);
        (full.allow_methods, full.allow_headers) = (list(&["*"]), list(&["*"]));
        let preflight = |method, headers| Asked::Preflight { method, headers };
        let cors = Cors::compile(full.clone()).unwrap();
        let asked = told(&cors, "https://a.example", preflight(b"PUT", Some(b"x-a")));
        assert!(asked.ends_with("access-control-allow-methods: *|access-control-allow-headers: *|"), "{asked}");
        full.allow_credentials = true;
        let cors = Cors::compile(full).unwrap();
        let asked = told(&cors, "https://a.example", preflight(b"PUT", Some(b"x-a, ,X-B ")));
        assert!(asked.ends_with("access-control-allow-methods: PUT|access-control-allow-headers: x-a,X-B|"), "{asked}");
        let asked = told(&cors, "https://a.example", preflight(b"P UT", Some(b"x-a, x\x01")));
        assert!(asked.ends_with("access-control-allow-credentials: true|"), "{asked}");
        let many = vec!["x"; CORS_ASKED_NAMES_MAX + 1].join(",");
        assert_eq!(asked_names(many.as_bytes()), None);
        assert_eq!(asked_names(&many.as_bytes()[2..]), Some(CORS_ASKED_NAMES_MAX));
        assert_eq!((asked_names(b""), asked_names(b" , ,"), asked_names(b"a b")), (None, None, None));
    }

    #[test]
    fn lists_have_names_and_bounds() {
        let mut bad = spec(&[]);
        bad.allow_methods = list(&["GET", "G ET"]);
        bad.allow_headers = list(&["x-a, x-b"]);
        bad.expose_headers = list(&[""]);
        bad.max_age = Some(86_401);
        let found: Vec<(Part, usize, Problem)> =
            Cors::compile(bad).unwrap_err().iter().map(|fault| (fault.part, fault.entry, fault.what)).collect();
        let expected = [
            (Part::Methods, 1, Problem::Name),
            (Part::Headers, 0, Problem::Name),
            (Part::Exposed, 0, Problem::Name),
            (Part::MaxAge, 0, Problem::Age),
        ];
        assert_eq!(found, expected);
        let mut long = spec(&[]);
        long.allow_headers = vec!["a".repeat(100).into(); CORS_ENTRIES_MAX];
        assert_eq!(Cors::compile(long).unwrap_err()[0].what, Problem::TooLong);
    }

    #[test]
    fn a_stored_configuration_is_the_same_or_refused() {
        let cors = cors(&["https://*.a.example", "null"]);
        let stored = serde_json::to_string(&cors).unwrap();
        assert_eq!(serde_json::from_str::<Cors>(&stored).unwrap(), cors);
        assert!(serde_json::from_str::<Cors>(&stored.replace("\"null\"", "\"nil\"")).is_err());
        assert!(serde_json::from_str::<Cors>(&stored.replace("https", "ht tps")).is_err());
    }

    proptest! {
        #[test]
        fn the_property_holds(bytes in "(https?://[a-z*.:0-9]{0,12}|[*]|null|[ -~]{0,8})(\n(https?://[a-z*.:0-9]{0,12}|[*]|null|x-[a-z], ?[a-z]{1,3})){0,5}") {
            crate::properties::cors(bytes.as_bytes());
        }
    }
}
