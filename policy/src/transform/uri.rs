//! The upstream's request target: the path and query of an integration's URI, compiled once, filled with a
//! request's path variables.
//!
//! Only path and query are made here. The authority comes from the configuration alone, so nothing that a
//! client sent can choose the machine that is called.

use std::fmt;

use codec::target::canonical_path;
use router::Captures;
use serde::{Deserialize, Serialize};

use crate::escape;
use crate::limits::{URI_BYTES_MAX, URI_VARIABLES_MAX};

/// The path and query of an integration's URI, ready to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct UriTemplate {
    /// The path, always with a slash at its front unless the client's path follows.
    path: Box<[Part]>,
    /// The query without its `?`; empty if the URI has none.
    query: Box<[Part]>,
    /// Whether the client's own path follows the path (RT-13).
    appends_path: bool,
}

/// A piece of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    /// As written in the configuration.
    Literal(Box<[u8]>),
    /// A path variable, by its place in the method's template.
    Variable(u16),
    /// What a parameter mapping fills in, by its place in the mapping; where it has no value, the path variable of this name.
    Mapped(u16, Option<u16>),
}

/// Why a URI cannot be used, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriFault {
    /// Byte in the text that was given.
    pub offset: usize,
    /// What is wrong there.
    pub what: UriProblem,
}

/// What is wrong with a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriProblem {
    /// Longer than [`URI_BYTES_MAX`].
    TooLong,
    /// More variables than [`URI_VARIABLES_MAX`].
    TooManyVariables,
    /// The path does not begin with a slash.
    NoSlash,
    /// A `{` without its `}`, or the other way round.
    Brace,
    /// `{x}`, where the method's path has no `{x}` or `{x+}`.
    NoSuchVariable,
    /// A byte that must be percent-encoded in a URI: a space, a control, a quote, a backslash, not ASCII.
    Byte,
    /// A fragment (`#`), which is never sent.
    Fragment,
    /// `.` or `..` as a segment of a path that a mapping fills: then nobody could tell them from a value's.
    DotSegment,
}

impl UriProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooLong => "the URI is too long",
            Self::TooManyVariables => "the URI has too many variables",
            Self::NoSlash => "the path of a URI begins with a slash",
            Self::Brace => "a brace has no partner",
            Self::NoSuchVariable => "the method's path has no variable of this name",
            Self::Byte => "this character must be percent-encoded in a URI",
            Self::Fragment => "a fragment is never sent to a backend",
            Self::DotSegment => "a path that a mapping fills may not have `.` or `..` as a segment",
        }
    }
}

impl UriTemplate {
    /// Reads what follows the authority of an integration's URI: a path, a query, both or nothing.
    /// `variables` are the names in the method's path, in order and without `+`; `{x}` is filled by name in
    /// REST and HTTP APIs alike.
    pub fn compile(path_and_query: &str, variables: &[Box<str>]) -> Result<Self, UriFault> {
        Self::compile_mapped(path_and_query, variables, &[])
    }

    /// The same, where a parameter mapping fills some variables:
    /// [`RequestMapping::path_names`](crate::transform::parameters::RequestMapping::path_names).
    pub fn compile_mapped(path_and_query: &str, variables: &[Box<str>], mapped: &[Box<str>]) -> Result<Self, UriFault> {
        let text = path_and_query.as_bytes();
        if text.len() > URI_BYTES_MAX {
            return Err(UriFault { offset: URI_BYTES_MAX, what: UriProblem::TooLong });
        }
        let question = memchr::memchr(b'?', text);
        let path_end = question.unwrap_or(text.len());
        if !matches!(text[..path_end].first(), None | Some(b'/')) {
            return Err(UriFault { offset: 0, what: UriProblem::NoSlash });
        }
        if let Some(offset) = variable_too_many(text) {
            return Err(UriFault { offset, what: UriProblem::TooManyVariables });
        }
        let names = Names { variables, mapped };
        let mut path = parts(path_and_query, 0, path_end, names)?;
        if path.is_empty() {
            path.push(Part::Literal(Box::from(&b"/"[..])));
        }
        let query = match question {
            Some(at) => parts(path_and_query, at + 1, text.len(), names)?,
            None => Vec::new(),
        };
        if path.iter().any(|part| matches!(part, Part::Mapped(..))) && !is_canonical(&path) {
            return Err(UriFault { offset: 0, what: UriProblem::DotSegment });
        }
        Ok(Self { path: path.into(), query: query.into(), appends_path: false })
    }

    /// The same URI with the client's whole path behind its own, as an HTTP API's `$default` route sends it:
    /// `/store/checkout` → `{uri}/store/checkout` (RT-13).
    #[must_use]
    pub fn with_client_path(mut self) -> Self {
        self.appends_path = true;
        let mut parts = self.path.into_vec();
        // The client's path brings its own slash.
        if let Some(Part::Literal(text)) = parts.last_mut() {
            *text = Box::from(text.strip_suffix(b"/").unwrap_or(text));
        }
        self.path = parts.into();
        self
    }

    /// Writes the request target for the upstream.
    ///
    /// `path` is the canonical path, `rest` where the API's own path begins in it, and `captures` are places
    /// in it: variables are filled with its bytes as they are, never decoded. The canonical path holds
    /// neither `?` nor `#`, so a variable cannot leave the path; one that stands in the query has its
    /// separators encoded, so it cannot add a parameter. `client_query` is the client's query without its
    /// `?`, or `None` if it is not to be passed (IN-04); it follows the URI's own.
    pub fn render_target(
        &self,
        path: &[u8],
        rest: u16,
        captures: &Captures,
        client_query: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        self.write_path(path, rest, captures, out, |_, _| false);
        self.write_query(path, captures, client_query, out, |_, _| false);
    }

    /// Writes the path. `fill` appends the value of a mapped variable, or says that it has none.
    pub(super) fn write_path(
        &self,
        path: &[u8],
        rest: u16,
        captures: &Captures,
        out: &mut Vec<u8>,
        mut fill: impl FnMut(u16, &mut Vec<u8>) -> bool,
    ) {
        debug_assert!(!path.iter().any(|byte| matches!(byte, b'?' | b'#' | 0..=b' ')), "not a canonical path");
        for part in &self.path {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Variable(place) => out.extend_from_slice(captured(path, captures, *place)),
                Part::Mapped(mapped, place) => {
                    if !fill(*mapped, out) {
                        out.extend_from_slice(place.map_or(&[], |place| captured(path, captures, place)));
                    }
                }
            }
        }
        if self.appends_path {
            let own = path.get(usize::from(rest)..).unwrap_or_default();
            if own.first() != Some(&b'/') {
                out.push(b'/');
            }
            out.extend_from_slice(own);
        }
    }

    /// Writes the query with its `?`, if there is one.
    pub(super) fn write_query(
        &self,
        path: &[u8],
        captures: &Captures,
        client_query: Option<&[u8]>,
        out: &mut Vec<u8>,
        mut fill: impl FnMut(u16, &mut Vec<u8>) -> bool,
    ) {
        let mut separator = b'?';
        if !self.query.is_empty() {
            out.push(separator);
            separator = b'&';
        }
        for part in &self.query {
            let from = out.len();
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Variable(place) => out.extend_from_slice(captured(path, captures, *place)),
                Part::Mapped(mapped, place) => {
                    if !fill(*mapped, out) {
                        out.extend_from_slice(place.map_or(&[], |place| captured(path, captures, place)));
                    }
                }
            }
            if !matches!(part, Part::Literal(_)) {
                encode_separators(out, from);
            }
        }
        if let Some(query) = client_query.filter(|query| !query.is_empty()) {
            out.push(separator);
            out.extend_from_slice(query);
        }
    }
}

/// The bytes of a variable as received; a greedy one keeps its trailing slash (design: only `pathParameters`
/// lose it).
fn captured<'a>(path: &'a [u8], captures: &Captures, place: u16) -> &'a [u8] {
    captures.of(usize::from(place), path).unwrap_or_default()
}

/// Makes a part of a path one value of a query: what separates parameters there is encoded, what was encoded stays.
pub(super) fn encode_separators(out: &mut Vec<u8>, from: usize) {
    escape::percent(out, from, |byte| !matches!(byte, b'&' | b'+' | b';' | b'='));
}

/// What a variable of a URI may be called.
#[derive(Clone, Copy)]
struct Names<'a> {
    variables: &'a [Box<str>],
    mapped: &'a [Box<str>],
}

impl Names<'_> {
    fn part(&self, name: &str) -> Option<Part> {
        let place_in = |names: &[Box<str>]| names.iter().position(|known| **known == *name).map(|place| place as u16);
        match (place_in(self.mapped), place_in(self.variables)) {
            (Some(mapped), variable) => Some(Part::Mapped(mapped, variable)),
            (None, variable) => variable.map(Part::Variable),
        }
    }
}

/// Whether a path has no dot segments of its own.
fn is_canonical(path: &[Part]) -> bool {
    let outline = path.iter().fold(Vec::new(), |mut outline, part| {
        match part {
            Part::Literal(text) => outline.extend_from_slice(text),
            Part::Variable(_) | Part::Mapped(..) => outline.push(b'x'),
        }
        outline
    });
    let mut scratch = Vec::new();
    canonical_path(&outline, &mut scratch).is_ok_and(|path| path.len() == outline.len())
}

/// Where the first variable above the limit stands.
fn variable_too_many(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'{', text).nth(URI_VARIABLES_MAX)
}

/// The pieces of `text[from..to]`.
fn parts(text: &str, from: usize, to: usize, names: Names<'_>) -> Result<Vec<Part>, UriFault> {
    let fault = |offset, what| Err(UriFault { offset, what });
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut literal = from;
    let mut at = from;
    while at < to {
        match bytes[at] {
            b'{' => {
                let Some(length) = memchr::memchr(b'}', &bytes[at..to]) else {
                    return fault(at, UriProblem::Brace);
                };
                let name = &text[at + 1..at + length];
                let Some(variable) = names.part(name) else {
                    return fault(at + 1, UriProblem::NoSuchVariable);
                };
                push_literal(&mut found, &bytes[literal..at]);
                found.push(variable);
                at += length + 1;
                literal = at;
            }
            b'}' => return fault(at, UriProblem::Brace),
            b'#' => return fault(at, UriProblem::Fragment),
            byte if is_foreign(byte) => return fault(at, UriProblem::Byte),
            _ => at += 1,
        }
    }
    push_literal(&mut found, &bytes[literal..to]);
    Ok(found)
}

/// What must be percent-encoded wherever it stands in a URI.
const fn is_foreign(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|' | 0x7f..)
}

fn push_literal(parts: &mut Vec<Part>, text: &[u8]) {
    if !text.is_empty() {
        parts.push(Part::Literal(Box::from(text)));
    }
}

/// A template as a file holds it: the same parts, not yet believed.
#[derive(Deserialize)]
struct Stored {
    path: Box<[Part]>,
    query: Box<[Part]>,
    appends_path: bool,
}

/// A file holds what no URI can be compiled to.
#[derive(Debug)]
struct Unusable;

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored URI is none")
    }
}

impl TryFrom<Stored> for UriTemplate {
    type Error = Unusable;

    fn try_from(Stored { path, query, appends_path }: Stored) -> Result<Self, Unusable> {
        let literals =
            |parts: &[Part]| parts.iter().map(Part::literal).fold(Vec::new(), |all, text| [&all, text].concat());
        let (in_path, in_query) = (literals(&path), literals(&query));
        let variables = path.iter().chain(&query).filter(|part| !matches!(part, Part::Literal(_))).count();
        let is_clean = |text: &[u8]| !text.iter().any(|byte| is_foreign(*byte) || matches!(byte, b'#' | b'{' | b'}'));
        let begins = match path.first() {
            Some(Part::Literal(text)) => text.first().map_or(appends_path && path.len() == 1, |byte| *byte == b'/'),
            _ => false,
        };
        let fits = in_path.len() + in_query.len() <= URI_BYTES_MAX && variables <= URI_VARIABLES_MAX;
        let is_one = begins && is_clean(&in_path) && is_clean(&in_query) && !in_path.contains(&b'?');
        if fits && is_one { Ok(Self { path, query, appends_path }) } else { Err(Unusable) }
    }
}

impl Part {
    fn literal(&self) -> &[u8] {
        match self {
            Self::Literal(text) => text,
            Self::Variable(_) | Self::Mapped(..) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;
    use proptest::prelude::*;
    use router::Kind;

    fn variables(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    fn render(uri: &UriTemplate, scene: &Scene, query: Option<&[u8]>) -> String {
        let mut out = b"GET ".to_vec();
        uri.render_target(&scene.path, scene.rest, &scene.captures, query, &mut out);
        String::from_utf8(out).unwrap().strip_prefix("GET ").unwrap().to_owned()
    }

    /// (path template, path, URI, client's query, target, row)
    type Case = (&'static str, &'static str, &'static str, Option<&'static str>, &'static str, &'static str);

    #[rustfmt::skip]
    const CASES: &[Case] = &[
        ("/pets", "/pets", "", None, "/", "no path"),
        ("/pets", "/pets", "/", None, "/", "root"),
        ("/pets", "/pets", "?a=1", None, "/?a=1", "query without a path"),
        ("/pets", "/pets", "/me", Some("a=1&b=%20"), "/me?a=1&b=%20", "IN-03, RT-15"),
        ("/pets", "/pets", "/me", Some(""), "/me", "an empty query"),
        ("/pets", "/pets", "/me?a=1", Some("a=2"), "/me?a=1&a=2", "IN-03: appended"),
        ("/pets", "/pets", "/me?a=1", None, "/me?a=1", "IN-04"),
        ("/pets/{id}", "/pets/7", "/v2/{id}/x", None, "/v2/7/x", "IN-03"),
        ("/pets/{id}", "/pets/7", "/{id}{id}", None, "/77", "twice"),
        ("/{a}/{b}", "/1/2", "/{b}/{a}", None, "/2/1", "by name"),
        ("/{a}", "/a%2fb%3Fc%23d", "/x/{a}", None, "/x/a%2fb%3Fc%23d", "P02: never decoded"),
        ("/{a}", "/test%2Balias+b@c", "/{a}", None, "/test%2Balias+b@c", "RT-04"),
        ("/{proxy+}", "/a//b/", "/{proxy}", None, "/a//b/", "canonical bytes, slash kept"),
        ("/f/{proxy+}", "/f/a/../b", "/{proxy}", None, "/b", "P01"),
        ("/{a}", "/1&admin=true", "/x?id={a}", Some("y=1"), "/x?id=1%26admin%3Dtrue&y=1", "one value"),
        ("/{a}", "/1;b+c%26", "/x?id={a}&z", None, "/x?id=1%3Bb%2Bc%26&z", "one value"),
        ("/{a}", "/@evil.example:80", "/{a}", None, "/@evil.example:80", "P10: within the path"),
    ];

    #[test]
    fn targets() {
        for &(template, path, uri, query, expected, row) in CASES {
            let scene = Scene::get(template, path, "");
            let uri = UriTemplate::compile(uri, &scene.variables).unwrap();
            assert_eq!(render(&uri, &scene, query.map(str::as_bytes)), expected, "{row}");
        }
    }

    #[test]
    fn the_clients_path_follows() {
        // (base path, path, URI, target): RT-13
        let cases = [
            ("/", "/store/checkout", "", "/store/checkout"),
            ("/", "/store/checkout", "/", "/store/checkout"),
            ("/", "/store/checkout", "/base", "/base/store/checkout"),
            ("/", "/store/checkout", "/base/", "/base/store/checkout"),
            ("/", "/store//x/", "/base?k=1", "/base/store//x/?k=1&q=2"),
            ("/v1", "/v1/store", "/base", "/base/store"),
            ("/v1", "/v1", "/base", "/base/"),
            ("/", "/", "", "/"),
        ];
        for (base, path, uri, expected) in cases {
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
            let scene = Scene::new(Kind::Http, base, "$default", request.as_bytes());
            let query = expected.contains("q=2").then_some(&b"q=2"[..]);
            let uri = UriTemplate::compile(uri, &[]).unwrap().with_client_path();
            assert_eq!(render(&uri, &scene, query), expected, "{base} {path}");
        }
    }

    #[test]
    fn faults_have_their_place() {
        let many = "{a}".repeat(URI_VARIABLES_MAX + 1);
        let long = "x".repeat(URI_BYTES_MAX);
        let cases = [
            ("pets", 0, UriProblem::NoSlash),
            ("{a}", 0, UriProblem::NoSlash),
            ("/{b}", 2, UriProblem::NoSuchVariable),
            ("/{a+}", 2, UriProblem::NoSuchVariable),
            ("/{A}", 2, UriProblem::NoSuchVariable),
            ("/x{a", 2, UriProblem::Brace),
            ("/x{a?}", 2, UriProblem::Brace),
            ("/x}", 2, UriProblem::Brace),
            ("/x?{a", 3, UriProblem::Brace),
            ("/x#y", 2, UriProblem::Fragment),
            ("/x y", 2, UriProblem::Byte),
            ("/x?a=\r\n", 5, UriProblem::Byte),
            ("/x\\y", 2, UriProblem::Byte),
            ("/ä", 1, UriProblem::Byte),
            (&format!("/{many}"), 1 + 3 * URI_VARIABLES_MAX, UriProblem::TooManyVariables),
            (&format!("/{long}"), URI_BYTES_MAX, UriProblem::TooLong),
        ];
        for (uri, offset, what) in cases {
            let fault = UriTemplate::compile(uri, &variables(&["a"])).unwrap_err();
            assert_eq!(fault, UriFault { offset, what }, "{uri}");
            assert!(!what.message().is_empty());
        }
    }

    #[test]
    fn a_mapped_path_has_no_dot_segments_of_its_own() {
        for (uri, fine) in
            [("/a/../{b}", false), ("/./{b}", false), ("/a/.{b}", true), ("/a/..?x={b}", true), ("/{b}/.", false)]
        {
            let fault = UriFault { offset: 0, what: UriProblem::DotSegment };
            let compiled = UriTemplate::compile_mapped(uri, &[], &variables(&["b"]));
            assert_eq!(compiled.map(|_| ()), if fine { Ok(()) } else { Err(fault) }, "{uri}");
        }
        assert!(UriTemplate::compile("/a/../{b}", &variables(&["b"])).is_ok(), "as the operator wrote it");
    }

    #[test]
    fn a_stored_uri_is_the_same_or_refused() {
        for uri in ["", "/", "/v2/{a}/x?k={a}&z", "?a=1"] {
            for appends in [false, true] {
                let mut compiled = UriTemplate::compile_mapped(uri, &variables(&["a"]), &variables(&["b"])).unwrap();
                if appends {
                    compiled = compiled.with_client_path();
                }
                let text = serde_json::to_string(&compiled).unwrap();
                assert_eq!(serde_json::from_str::<UriTemplate>(&text).unwrap(), compiled, "{text}");
            }
        }
        let literal = |text: &str| format!("{{\"Literal\":{:?}}}", text.as_bytes());
        let stored =
            |path: &str, query: &str| format!("{{\"path\":[{path}],\"query\":[{query}],\"appends_path\":false}}");
        let long = literal(&format!("/{}", "x".repeat(URI_BYTES_MAX)));
        let many = vec!["{\"Variable\":0}"; URI_VARIABLES_MAX + 1].join(",");
        let slash = literal("/");
        assert!(serde_json::from_str::<UriTemplate>(&stored(&slash, &literal("a=1"))).is_ok());
        for (path, query) in [
            ("", ""),
            ("{\"Variable\":0}", ""),
            (&literal(""), ""),
            (&literal("x"), ""),
            (&literal("/ HTTP/1.1\r\nX: y"), ""),
            (&literal("/?"), ""),
            (&literal("/{"), ""),
            (&slash, &literal("a=\n")),
            (&slash, &literal("#")),
            (&long, ""),
            (&format!("{slash},{many}"), ""),
        ] {
            assert!(serde_json::from_str::<UriTemplate>(&stored(path, query)).is_err(), "{path} {query}");
        }
    }

    proptest! {
        /// The slow twin: text replacement.
        #[test]
        fn a_target_is_the_uri_with_its_names_replaced(
            pieces in prop::collection::vec(prop::sample::select(vec!["{a}", "{b}", "/", "x", "-%20", "1"]), 0..12),
            a in "[a-z0-9+@:;=&~-]{1,9}",
            b in "[a-z0-9]{1,9}",
        ) {
            let uri = format!("/{}", pieces.concat());
            let scene = Scene::get("/{a}/{b}", &format!("/{a}/{b}"), "");
            let compiled = UriTemplate::compile(&uri, &scene.variables).unwrap();
            let expected = uri.replace("{a}", "\0").replace("{b}", &b).replace('\0', &a);
            prop_assert_eq!(render(&compiled, &scene, None), expected);
        }

        /// What a client sent stays one piece of the path, or one value of the query.
        #[test]
        fn no_value_leaves_its_place(a in "[!$&'()*+,:;=@a-z0-9~-]{1,20}") {
            let scene = Scene::get("/{a}", &format!("/{a}"), "");
            let uri = UriTemplate::compile("/p/{a}?q={a}&r=1", &scene.variables).unwrap();
            let target = render(&uri, &scene, None);
            let (path, query) = target.split_once('?').unwrap();
            prop_assert_eq!(path, format!("/p/{a}"));
            prop_assert_eq!(codec::target::query_pairs(query.as_bytes()).count(), 2);
            let mut decoded = Vec::new();
            let value = codec::target::query_get(query.as_bytes(), b"q").unwrap();
            codec::target::decode_component(value, true, &mut decoded);
            prop_assert_eq!(decoded, a.into_bytes());
        }
    }
}
