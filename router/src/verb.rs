//! The seven verbs that a route can name (RT-02).

use serde::{Deserialize, Serialize};

/// A request method that API Gateway knows. Others never match, not even `ANY` (RT-03).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `HEAD`; not implied by `GET` (RT-02).
    Head,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Verb {
    /// All seven, in the order of their numbers.
    pub const ALL: [Self; 7] = [Self::Delete, Self::Get, Self::Head, Self::Options, Self::Patch, Self::Post, Self::Put];

    /// The verb of a request line; methods are case-sensitive (RFC 9110 §9.1), so `get` is none.
    #[inline]
    pub fn parse(method: &[u8]) -> Option<Self> {
        match method {
            b"GET" => Some(Self::Get),
            b"POST" => Some(Self::Post),
            b"PUT" => Some(Self::Put),
            b"DELETE" => Some(Self::Delete),
            b"HEAD" => Some(Self::Head),
            b"OPTIONS" => Some(Self::Options),
            b"PATCH" => Some(Self::Patch),
            _ => None,
        }
    }

    /// The verb as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_reads_back() {
        for (number, verb) in Verb::ALL.into_iter().enumerate() {
            assert_eq!(Verb::parse(verb.as_str().as_bytes()), Some(verb));
            assert_eq!(verb as usize, number);
        }
    }

    #[test]
    fn other_methods_are_none() {
        for method in ["get", "Get", "", "GETS", "CONNECT", "TRACE", "ANY", "PROPFIND"] {
            assert_eq!(Verb::parse(method.as_bytes()), None, "{method}");
        }
    }
}
