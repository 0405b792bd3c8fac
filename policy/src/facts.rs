//! What templates and policies may read of a request: views of received bytes and of what was found, never
//! copies.

use codec::head::{Fate, Field, Name, RequestHead};
use router::Captures;

use crate::client_certificate::ClientCertificate;
use crate::identity::Identity;

/// A request as the rules see it. All byte strings are borrowed; nothing here is decoded, except where a
/// function says so.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The received head; the spans of `head` are places in it.
    pub head_bytes: &'a [u8],
    /// The parsed head.
    pub head: &'a RequestHead,
    /// The canonical path: the one that was routed. The captures are places in it.
    pub path: &'a [u8],
    /// Where in `path` the API's own path begins, after base path or stage.
    pub rest: u16,
    /// The values of the method's path variables.
    pub captures: &'a Captures,
    /// The API's id.
    pub api_id: &'a [u8],
    /// The stage's name.
    pub stage: &'a [u8],
    /// The path of the method as written: `/pets/{id}`, or `$default`.
    pub resource_path: &'a [u8],
    /// `$context.requestId`.
    pub request_id: &'a [u8],
    /// `$context.extendedRequestId`; the same as the request id in an HTTP API (§12.1).
    pub extended_request_id: &'a [u8],
    /// The client's address as text, made once for each connection.
    pub source_ip: &'a [u8],
    /// When the request began, in milliseconds since 1970.
    pub time_epoch_ms: u64,
    /// `$context.tlsVersion` and `$context.cipherSuite`; `None`: it came without TLS.
    pub tls: Option<(&'static str, &'static str)>,
    /// `$context.identity.clientCert`; `None`: nobody asked for a certificate, or the client showed none.
    pub client: Option<&'a ClientCertificate>,
    /// Who calls, once an authorizer has said so.
    pub identity: Option<&'a Identity>,
    /// Whose API key was shown, and the key itself, where the method asks for one.
    pub api_key: Option<ShownKey<'a>>,
    /// Whether the firewall let it pass (POL-04); `None`: there is none.
    pub waf: Option<bool>,
}

/// An API key that a request has shown and that may call.
#[derive(Clone, Copy, Debug)]
pub struct ShownKey<'a> {
    /// `$context.identity.apiKeyId`
    pub id: &'a str,
    /// `$context.identity.apiKey`: for backends alone; it reaches no log.
    pub value: &'a [u8],
}

impl<'a> Facts<'a> {
    /// A path variable by its place in the method's template, as received: never decoded, a greedy one
    /// without its trailing slash (RT-04, RT-05). Empty if there is none.
    pub fn path_variable(&self, place: usize) -> &'a [u8] {
        let span = self.captures.parameter(place);
        span.and_then(|(start, end)| self.path.get(usize::from(start)..usize::from(end))).unwrap_or_default()
    }

    /// The path below the stage or base path, with one slash at its front (RT-08).
    pub fn api_path(&self) -> &'a [u8] {
        below(self.path, self.rest)
    }

    /// The last field of this name that the client sent for the end of the line: fields that concern this
    /// connection alone, and names with an underscore, are not seen (C01, S10). `known` is `Name::of(name)`,
    /// made once; the text is compared only if no rule knows the name by itself.
    pub fn header(&self, known: Name, name: &[u8]) -> Option<&'a [u8]> {
        self.headers(known, name).next_back()
    }

    fn headers(&self, known: Name, name: &[u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let bytes = self.head_bytes;
        let is_it = move |field: &&Field| {
            field.fate == Fate::Pass
                && field.known == known
                && (!known.as_str().is_empty() || field.name.of(bytes).eq_ignore_ascii_case(name))
        };
        self.head.fields.iter().filter(is_it).map(move |field| field.value.of(bytes))
    }

    /// As `header`, unless there are several: whoever judges a caller by one of them and whoever serves him must see the same.
    pub fn only_header(&self, known: Name, name: &[u8]) -> Option<&'a [u8]> {
        let mut all = self.headers(known, name);
        all.next().filter(|_| all.next().is_none())
    }

    /// As `query`, unless there are several.
    pub fn only_query(&self, name: &[u8]) -> Option<&'a [u8]> {
        codec::target::query_get_only(self.head.query?.of(self.head_bytes), name)
    }

    /// The last value of a query parameter, still encoded (RT-09). The name is compared after decoding, and
    /// case counts. A parameter without `=` has an empty value.
    pub fn query(&self, name: &[u8]) -> Option<&'a [u8]> {
        codec::target::query_get(self.head.query?.of(self.head_bytes), name)
    }

    /// `$context.authorizer.NAME`, as text; `None`: nobody has said it.
    pub fn of_authorizer(&self, name: &[u8]) -> Option<&'a str> {
        self.identity?.field(name)
    }

    /// The request's verb.
    pub fn method(&self) -> &'a [u8] {
        self.head.method.of(self.head_bytes)
    }

    /// The host that the client named, without port.
    pub fn host(&self) -> &'a [u8] {
        self.head.host.of(self.head_bytes)
    }

    /// The canonical path from the root, stage or base path included, as `$context.path` shows it (§18.2).
    pub fn full_path(&self) -> &'a [u8] {
        one_slash(self.path)
    }
}

/// The part of a canonical path that is the API's own, from `rest` on, with one slash at its front (RT-08).
pub fn below(path: &[u8], rest: u16) -> &[u8] {
    one_slash(path.get(usize::from(rest)..).unwrap_or_default())
}

/// A path without what precedes the last of its leading slashes.
fn one_slash(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    if slashes == 0 { path } else { &path[slashes - 1..] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;
    use router::Kind;

    fn text(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn path_variables_stay_as_received() {
        // (template, target, values, row)
        let cases: [(&str, &str, &[&str], &str); 7] = [
            ("/pets/{id}", "/pets/7", &["7"], "RT-04"),
            ("/{a}/{b}", "/x%2By/test+z", &["x%2By", "test+z"], "RT-04"),
            ("/{proxy+}", "/proxy-value/", &["proxy-value"], "RT-05"),
            ("/{proxy+}", "/proxy-value//double-slash", &["proxy-value//double-slash"], "RT-05, §18.2"),
            (
                "/path/{proxy+}",
                "/path/test%2Balias@gmail.com/plus/test+alias@gmail.com",
                &["test%2Balias@gmail.com/plus/test+alias@gmail.com"],
                "§18.2",
            ),
            ("/{a}/{proxy+}", "/x/./y/../z", &["x", "z"], "P01"),
            ("/pets", "/pets", &[""], "none"),
        ];
        for (template, target, values, row) in cases {
            let scene = Scene::get(template, target, "");
            for (place, value) in values.iter().enumerate() {
                assert_eq!(text(scene.facts().path_variable(place)), *value, "{row}: {target}");
            }
            assert_eq!(scene.facts().path_variable(9), b"");
        }
    }

    #[test]
    fn the_last_query_value_counts() {
        // (query, name, value as received, row)
        let cases = [
            ("?category=electronics&category=books", "category", Some("books"), "§18.3"),
            ("?email=test%2Balias@gmail.com", "email", Some("test%2Balias@gmail.com"), "§18.3"),
            ("?a=1;b=2", "b", Some("2"), "RT-09"),
            ("?a=1", "A", None, "RT-09"),
            ("?a", "a", Some(""), "RT-09"),
            ("?a=", "a", Some(""), "RT-09"),
            ("?x%20y=1", "x y", Some("1"), "RT-09"),
            ("?", "a", None, "none"),
            ("", "a", None, "none"),
        ];
        for (query, name, value, row) in cases {
            let scene = Scene::get("/", &format!("/{query}"), "");
            let found = scene.facts().query(name.as_bytes()).map(text);
            assert_eq!(found.as_deref(), value, "{row}: {query}");
        }
    }

    #[test]
    fn the_last_header_counts_and_case_does_not() {
        // (fields, name, value, row)
        let cases = [
            ("X-Pet: rex\r\n", "x-pet", Some("rex"), "known by text"),
            ("x-pet: rex\r\nX-PET: tom\r\n", "X-Pet", Some("tom"), "last"),
            ("User-Agent: curl/8\r\n", "user-AGENT", Some("curl/8"), "known by name"),
            ("X-Amzn-A: 1\r\nX-Amzn-B: 2\r\n", "x-amzn-a", Some("1"), "known by group"),
            ("X-Pet:\r\n", "x-pet", Some(""), "empty"),
            ("X_Pet: rex\r\n", "x_pet", None, "S10"),
            ("Connection: x-pet\r\nX-Pet: rex\r\n", "x-pet", None, "C01"),
            ("Keep-Alive: 5\r\n", "keep-alive", None, "C01"),
            ("", "x-pet", None, "none"),
        ];
        for (fields, name, value, row) in cases {
            let scene = Scene::get("/", "/", fields);
            let found = scene.facts().header(Name::of(name.as_bytes()), name.as_bytes());
            assert_eq!(found.map(text).as_deref(), value, "{row}");
        }
    }

    #[test]
    fn paths_below_and_with_the_base_path() {
        // (base path, target, below, whole)
        let cases = [
            ("/", "/a/b", "/a/b", "/a/b"),
            ("/v1", "/v1/a/b", "/a/b", "/v1/a/b"),
            ("/v1", "/v1/a/b/", "/a/b/", "/v1/a/b/"),
            ("/v1", "/v1//a", "/a", "/v1//a"), // §18.2
        ];
        for (base, target, below, whole) in cases {
            let request = format!("GET {target} HTTP/1.1\r\nHost: h.example\r\n\r\n");
            let scene = Scene::new(Kind::Rest, base, "/{proxy+}", request.as_bytes());
            assert_eq!(text(scene.facts().api_path()), below, "{target}");
            assert_eq!(text(scene.facts().full_path()), whole, "{target}");
            assert_eq!(scene.facts().host(), b"h.example");
            assert_eq!(scene.facts().method(), b"GET");
        }
    }

    #[test]
    fn leading_slashes_become_one() {
        for (path, expected) in [("", ""), ("/", "/"), ("///", "/"), ("//a//b", "/a//b"), ("a/b", "a/b")] {
            assert_eq!(text(one_slash(path.as_bytes())), expected);
        }
    }
}
