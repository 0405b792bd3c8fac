//! From a base path or a stage name to an API and its stage (DM-02, DM-03, RT-14, RT-17, 18.2).

use crate::{
    kind::Kind,
    limits::{BASE_PATH_BYTES_MAX, BASE_PATH_SEGMENTS_MAX},
};
use std::fmt;

/// The number of an API: APIs are counted in the order of `Builder::api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiId(pub u32);

/// A stage of an API, for `Builder::map` and `Builder::rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageRef {
    pub(crate) api: ApiId,
    pub(crate) stage: u32,
}

/// Why a mapping cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapFault {
    /// This host has this base path already.
    Duplicate,
    /// A character that base paths may not have: letters, digits and `$-_.+!*'()/` are allowed (DM-03).
    Character {
        /// Byte offset in the base path as given.
        offset: usize,
    },
    /// Two slashes in a row, or a `.` or `..` segment: canonical paths could never match it.
    Segment {
        /// Byte offset in the base path as given.
        offset: usize,
    },
    /// More than `limits::BASE_PATH_BYTES_MAX` bytes or `limits::BASE_PATH_SEGMENTS_MAX` segments.
    TooLong,
    /// WebSocket APIs cannot share a host with REST and HTTP APIs (DM-03).
    Mixed,
}

impl fmt::Display for MapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "this host has this base path already",
            Self::Character { .. } => "a base path has letters, digits and `$-_.+!*'()/` only",
            Self::Segment { .. } => "a base path has no empty, `.` or `..` segment",
            Self::TooLong => "a base path has at most 300 bytes and 32 segments",
            Self::Mixed => "a WebSocket API cannot share a host with REST or HTTP APIs",
        })
    }
}

impl std::error::Error for MapFault {}

/// Checks a base path and takes its outer slashes off: `/orders/v1/` → `orders/v1`; `/`, the empty text and `(none)` → empty.
pub(crate) fn base_path(text: &str) -> Result<&str, MapFault> {
    if text == "(none)" {
        return Ok("");
    }
    let start = usize::from(text.starts_with('/'));
    let key = &text[start..];
    let key = key.strip_suffix('/').unwrap_or(key);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_.+!*'()/".contains(&byte);
    if let Some(bad) = key.bytes().position(|byte| !allowed(byte)) {
        return Err(MapFault::Character { offset: start + bad });
    }
    if key.len() > BASE_PATH_BYTES_MAX || key.split('/').count() > BASE_PATH_SEGMENTS_MAX {
        return Err(MapFault::TooLong);
    }
    let mut offset = start;
    for segment in key.split('/') {
        if matches!(segment, "" | "." | "..") && !key.is_empty() {
            return Err(MapFault::Segment { offset });
        }
        offset += segment.len() + 1;
    }
    Ok(key)
}

/// The base paths of one host.
#[derive(Debug)]
pub(crate) struct Mappings {
    /// Sorted by base path.
    list: Box<[(Box<[u8]>, StageRef)]>,
    /// The most segments of any base path.
    depth: usize,
}

impl Mappings {
    pub(crate) fn new(mut mappings: Vec<(Box<[u8]>, StageRef)>) -> Self {
        mappings.sort_by(|a, b| a.0.cmp(&b.0));
        let segments = |key: &[u8]| match key {
            [] => 0,
            _ => key.split(|&byte| byte == b'/').count(),
        };
        let depth = mappings.iter().map(|(key, _)| segments(key)).max().unwrap_or(0);
        Self { list: mappings.into(), depth }
    }

    /// The longest mapping by whole segments, and where the API's own path begins.
    #[inline]
    pub(crate) fn get(&self, path: &[u8]) -> Option<(StageRef, usize)> {
        if self.depth == 0 {
            return self.list.first().map(|(_, stage)| (*stage, 0));
        }
        let mut ends = [0; BASE_PATH_SEGMENTS_MAX];
        let mut count = 0;
        let mut from = 1;
        while count < self.depth && from <= path.len() {
            let end = segment_end(path, from);
            ends[count] = end;
            count += 1;
            from = end + 1;
        }
        for &end in ends[..count].iter().rev() {
            if let Ok(at) = self.list.binary_search_by(|(key, _)| (**key).cmp(&path[1..end])) {
                // An empty first segment is the empty mapping: nothing is cut off.
                return Some((self.list[at].1, if end == 1 { 0 } else { end }));
            }
        }
        match self.list.first() {
            Some((key, stage)) if key.is_empty() => Some((*stage, 0)),
            _ => None,
        }
    }
}

/// The stages of one API, as its execute-api name and the sole API see them.
#[derive(Debug)]
pub(crate) struct Stages {
    kind: Kind,
    /// Sorted by name; without `$default`.
    named: Box<[(Box<[u8]>, StageRef)]>,
    default: Option<StageRef>,
}

impl Stages {
    /// Of two stages with one name, the first wins; `$default` never stands in a path.
    pub(crate) fn new(kind: Kind, stages: &[(String, StageRef)]) -> Self {
        let mut named: Vec<(Box<[u8]>, StageRef)> = Vec::new();
        let mut default = None;
        for (name, stage) in stages {
            if name == "$default" {
                default.get_or_insert(*stage);
            } else {
                named.push((name.as_bytes().into(), *stage));
            }
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named.dedup_by(|later, first| later.0 == first.0);
        Self { kind, named: named.into(), default }
    }

    /// The stage that the first segment names, and where the API's own path begins.
    ///
    /// REST collapses the slashes before and after the stage (18.2): the own path begins with the last of them. An HTTP API whose first
    /// segment names no stage answers with `$default` and the whole path (RT-14).
    #[inline]
    pub(crate) fn get(&self, path: &[u8]) -> Option<(StageRef, usize)> {
        if self.kind == Kind::Http {
            if !self.named.is_empty() {
                let end = segment_end(path, 1);
                if let Some(stage) = self.named(path.get(1..end)?) {
                    return Some((stage, end));
                }
            }
            return self.default.map(|stage| (stage, 0));
        }
        let start = path.iter().position(|&byte| byte != b'/')?;
        let end = segment_end(path, start);
        let stage = self.named(&path[start..end])?;
        let slashes = path[end..].iter().take_while(|&&byte| byte == b'/').count();
        Some((stage, end + slashes.saturating_sub(1)))
    }

    fn named(&self, name: &[u8]) -> Option<StageRef> {
        let at = self.named.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.named[at].1)
    }
}

/// The end of the segment that begins at `from`: the next slash or the end of the path.
fn segment_end(path: &[u8], from: usize) -> usize {
    let len = path.get(from..).and_then(|rest| rest.iter().position(|&byte| byte == b'/'));
    len.map_or(path.len(), |len| from + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(stage: u32) -> StageRef {
        StageRef { api: ApiId(0), stage }
    }

    fn mappings(keys: &[&str]) -> Mappings {
        let mappings = keys.iter().zip(0..).map(|(key, i)| (key.as_bytes().into(), stage(i))).collect();
        Mappings::new(mappings)
    }

    fn stages(kind: Kind, names: &[&str]) -> Stages {
        let names: Vec<(String, StageRef)> =
            names.iter().zip(0..).map(|(name, i)| ((*name).to_owned(), stage(i))).collect();
        Stages::new(kind, &names)
    }

    #[test]
    fn base_paths_lose_their_outer_slashes() {
        for (text, key) in [
            ("", ""),
            ("/", ""),
            ("(none)", ""),
            ("orders", "orders"),
            ("/orders/v1/items/", "orders/v1/items"),
            ("$-_.+!*'()", "$-_.+!*'()"),
        ] {
            assert_eq!(base_path(text), Ok(key), "{text}");
        }
    }

    #[test]
    fn bad_base_paths_are_refused() {
        let long = "a".repeat(BASE_PATH_BYTES_MAX + 1);
        let deep = "a/".repeat(BASE_PATH_SEGMENTS_MAX + 1);
        assert_eq!(base_path("/a b"), Err(MapFault::Character { offset: 2 }));
        assert_eq!(base_path("a%2f"), Err(MapFault::Character { offset: 1 }));
        assert_eq!(base_path("/a//b"), Err(MapFault::Segment { offset: 3 }));
        assert_eq!(base_path("//"), Ok(""));
        assert_eq!(base_path("//a"), Err(MapFault::Segment { offset: 1 }));
        assert_eq!(base_path("a/../b"), Err(MapFault::Segment { offset: 2 }));
        assert_eq!(base_path(&long), Err(MapFault::TooLong));
        assert_eq!(base_path(&deep), Err(MapFault::TooLong));
        assert!(base_path(&long[1..]).is_ok());
        assert!(base_path(&deep[2..]).is_ok());
    }

    #[test]
    fn dm_03_the_longest_mapping_by_segment() {
        let mappings = mappings(&["", "orders", "orders/v1", "orders/v1/items", "o"]);
        for (path, number, rest) in [
            ("/", 0, 0),
            ("/orders", 1, 7),
            ("/orders/", 1, 7),
            ("/orders/v2", 1, 7),
            ("/orders/v1", 2, 10),
            ("/orders/v1/", 2, 10),
            ("/orders/v1/items", 3, 16),
            ("/orders/v1/items/7/x", 3, 16),
            ("/orders/v1/itemsx", 2, 10),
            ("/ordersx", 0, 0),
            ("/Orders", 0, 0),
            ("/o/x", 4, 2),
            ("//orders", 0, 0),
            ("/orders//v1", 1, 7),
        ] {
            assert_eq!(mappings.get(path.as_bytes()), Some((stage(number), rest)), "{path}");
        }
    }

    #[test]
    fn without_an_empty_mapping_a_path_may_have_none() {
        let mappings = mappings(&["orders"]);
        assert_eq!(mappings.get(b"/orders/1"), Some((stage(0), 7)));
        assert_eq!(mappings.get(b"/"), None);
        assert_eq!(mappings.get(b"//"), None);
        assert_eq!(mappings.get(b"/order"), None);
    }

    #[test]
    fn rt_17_rest_needs_a_stage_and_18_2_collapses_around_it() {
        let stages = stages(Kind::Rest, &["stage", "$default", "dev"]);
        for (path, own) in [
            ("/stage", ""),
            ("/stage/", "/"),
            ("/stage/proxy-value", "/proxy-value"),
            ("/stage/proxy-value/", "/proxy-value/"),
            ("/stage/proxy-value//double-slash", "/proxy-value//double-slash"),
            ("//stage/proxy-value", "/proxy-value"),
            ("/stage//proxy-value", "/proxy-value"),
            ("///stage///a//b", "/a//b"),
            ("//stage//", "/"),
        ] {
            let (found, rest) = stages.get(path.as_bytes()).expect(path);
            assert_eq!((found, &path[rest..]), (stage(0), own), "{path}");
        }
        for path in ["/", "//", "/x", "/Stage/x", "/stagex", "/$default/x"] {
            assert_eq!(stages.get(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn rt_14_http_takes_the_named_stage_or_default() {
        let both = stages(Kind::Http, &["dev", "$default"]);
        for (path, number, own) in [
            ("/dev", 0, ""),
            ("/dev/", 0, "/"),
            ("/dev/x", 0, "/x"),
            ("/dev//x", 0, "//x"),
            ("/devx", 1, "/devx"),
            ("/x/dev", 1, "/x/dev"),
            ("//dev/x", 1, "//dev/x"),
            ("/$default/x", 1, "/$default/x"),
            ("/", 1, "/"),
        ] {
            let (found, rest) = both.get(path.as_bytes()).expect(path);
            assert_eq!((found, &path[rest..]), (stage(number), own), "{path}");
        }
        let named = stages(Kind::Http, &["dev"]);
        assert_eq!(named.get(b"/x"), None);
        assert_eq!(named.get(b"/"), None);
        let default = stages(Kind::Http, &["$default"]);
        assert_eq!(default.get(b"/dev/x"), Some((stage(0), 0)));
    }

    #[test]
    fn the_first_of_two_stages_with_one_name_wins() {
        let stages = stages(Kind::Http, &["dev", "dev", "$default", "$default"]);
        assert_eq!(stages.get(b"/dev"), Some((stage(0), 4)));
        assert_eq!(stages.get(b"/x"), Some((stage(2), 0)));
    }
}
