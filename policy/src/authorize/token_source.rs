//! Where a request has its token: one field of its head, or one parameter of its query.

use codec::head::Name;
use codec::http1::is_token;
use serde::{Deserialize, Serialize};

use super::jwt::bearer;
use crate::facts::Facts;
use crate::limits::AUTHORIZER_SOURCE_BYTES_MAX;

/// Where a request has its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenSource {
    /// A header field, in any case.
    Header(Box<str>),
    /// A query parameter.
    Query(Box<str>),
}

impl TokenSource {
    /// Reads `$request.header.N` or `$request.querystring.N`, in REST APIs `method.request.header.N` and so on. `None`: it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$request.").or_else(|| text.strip_prefix("method.request."))?;
        if rest.len() > AUTHORIZER_SOURCE_BYTES_MAX {
            return None;
        }
        match rest.split_once('.')? {
            ("header", name) => Self::header(name),
            ("querystring", name) if !name.is_empty() => Some(Self::Query(name.into())),
            _ => None,
        }
    }

    /// A header field of that name; `None`: no field can have it.
    pub fn header(name: &str) -> Option<Self> {
        is_token(name.as_bytes()).then(|| Self::Header(name.into()))
    }

    /// The token of a request, without `Bearer `; `None`: it shows none, or several.
    pub fn find<'a>(&self, facts: &Facts<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Header(name) => bearer(facts.only_header(Name::of(name.as_bytes()), name.as_bytes())?),
            Self::Query(name) => bearer(facts.only_query(name.as_bytes())?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;

    #[test]
    fn a_02_the_token_stands_where_the_source_says() {
        let found = |source: &str, target: &str, fields: &str| {
            let scene = Scene::get("/", target, fields);
            let source = TokenSource::parse(source).unwrap();
            source.find(&scene.facts()).map(|token| String::from_utf8(token.to_vec()).unwrap())
        };
        let header = "$request.header.Authorization";
        assert_eq!(found(header, "/", "authorization: Bearer a.b.c\r\n").as_deref(), Some("a.b.c"));
        assert_eq!(found(header, "/", "Authorization: a.b.c\r\n").as_deref(), Some("a.b.c"));
        assert_eq!(found(header, "/", "Authorization:\r\n"), None);
        assert_eq!(found(header, "/", ""), None);
        assert_eq!(found("method.request.header.X-Token", "/", "x-token: a\r\n").as_deref(), Some("a"));
        assert_eq!(found("$request.querystring.t", "/?t=a.b.c", "").as_deref(), Some("a.b.c"));
        assert_eq!(found("$request.querystring.t", "/?T=a", ""), None);
        // A backend could read the other one.
        assert_eq!(found("$request.querystring.t", "/?t=a.b.c&%74=a.b.d", ""), None);
        assert_eq!(found("method.request.header.X-Token", "/", "x-token: a\r\nX-Token: b\r\n"), None);
    }

    #[test]
    fn other_texts_are_no_sources() {
        for text in [
            "",
            "$request.header.",
            "$request.header.a b",
            "$request.querystring.",
            "$request.path.x",
            "header.x",
            "$context.x",
        ] {
            assert_eq!(TokenSource::parse(text), None, "{text}");
        }
        let long = format!("$request.header.{}", "a".repeat(AUTHORIZER_SOURCE_BYTES_MAX));
        assert_eq!(TokenSource::parse(&long), None);
    }
}
