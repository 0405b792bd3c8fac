//! The compiled radix tree: one flat array of nodes, found by addition instead of by search.
//!
//! Nodes lie in a *double array*: the child of a node for byte `b` is at `base + b`, and it is that node's child if its `parent` says so.
//! So one step down is one addition, one load and one comparison, however many children there are. The child for a variable and the one for
//! a greedy variable have codes of their own, below those of the bytes. The bytes that a node consumes after the one that led to it, its
//! *label*, are compared eight at a time.
//!
//! **Bound.** A variable takes exactly one segment and a literal exactly its bytes, so a node can be reached at one offset of the path only;
//! as each node has one parent, a lookup enters each node at most once. The work is therefore at most linear in the number of nodes,
//! never exponential in the length of the path, and in the usual tree it is one way down. The nesting is bounded by `SEGMENTS_MAX`: only a
//! node that offers a choice between a literal, a variable and a greedy variable is left by a call instead of by the loop.

use crate::{captures::Captures, kind::Kind, limits::PATH_BYTES_MAX, verb::Verb};

/// No method, no endpoint.
pub(crate) const NONE: u32 = u32::MAX;

/// Where `ANY` stands in an [`Endpoint`], after the seven verbs.
pub(crate) const ANY: usize = 7;

/// The methods of one path: one place for each verb, the last for `ANY`; `NONE` where there is no method.
pub(crate) type Endpoint = [u32; 8];

/// Bytes of a node's label.
pub(crate) const LABEL: usize = 16;

/// The code of the child that a variable leads to.
pub(crate) const VARIABLE_CODE: u32 = 0;

/// The code of the child that holds a greedy variable's endpoint.
pub(crate) const GREEDY_CODE: u32 = 1;

/// The code of byte 0; the other bytes follow.
pub(crate) const BYTE_CODE: u32 = 2;

/// In [`Node::flags`]: there are children for bytes.
pub(crate) const BYTES: u8 = 1;

/// In [`Node::flags`]: there is a child for a variable.
pub(crate) const VARIABLE: u8 = 2;

/// In [`Node::flags`]: there is a child for a greedy variable.
pub(crate) const GREEDY: u8 = 4;

/// One node: half a cache line, and never across two.
#[repr(align(32))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// The label, padded with zeros.
    pub(crate) label: [u64; 2],
    /// The index of the parent; `NONE` in a free slot and in the root.
    pub(crate) parent: u32,
    /// The index of the child with code 0; wraps, since low codes may be unused.
    pub(crate) base: u32,
    /// The endpoint of a path that ends here, or `NONE`.
    pub(crate) endpoint: u32,
    /// Bytes in the label.
    pub(crate) len: u8,
    /// Which children there are.
    pub(crate) flags: u8,
}

const _: () = assert!(size_of::<Node>() == 32);

impl Node {
    pub(crate) const FREE: Self = Self { label: [0; 2], parent: NONE, base: 0, endpoint: NONE, len: 0, flags: 0 };

    /// `label` is padded with zeros and has `len` bytes; the numbers are parent, base and endpoint.
    pub(crate) fn new(label: [u8; LABEL], len: u8, flags: u8, [parent, base, endpoint]: [u32; 3]) -> Self {
        let (low, high) = label.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of sixteen"));
        Self { label: [word(low), word(high)], parent, base, endpoint, len, flags }
    }

    /// Whether the label stands at `at`. Labels have no zero bytes, so the zeros that [`word`] reads behind the path match none.
    #[inline]
    fn stands_at(&self, path: &[u8], at: usize) -> bool {
        let len = self.len as usize;
        if (word(path, at) ^ self.label[0]) & MASKS[len % MASKS.len()] != 0 {
            return false;
        }
        len <= 8 || (word(path, at + 8) ^ self.label[1]) & MASKS[(len - 8) % MASKS.len()] == 0
    }
}

/// For a label of so many bytes, which bytes of its first word count. A power of two in size: an index is brought in bounds by a mask.
const MASKS: [u64; 32] = {
    let mut masks = [u64::MAX; 32];
    let mut len = 0;
    while len < 8 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// The routes of one deployment, frozen. Stages may share them. Made by `RoutesBuilder::build`.
#[derive(Clone, Debug)]
pub struct Routes {
    /// REST ignores one trailing slash (RT-08); the others keep a greedy match only until a full match is found (RT-12).
    pub(crate) kind: Kind,
    pub(crate) nodes: Box<[Node]>,
    /// For each endpoint and verb the method, `ANY` already filled in.
    pub(crate) endpoints: Box<[Endpoint]>,
    /// The method of `$default`, or `NONE`.
    pub(crate) default: u32,
}

/// What a lookup carries along.
struct Scan<'a> {
    /// The path up to where matching ends; offsets count from the request's path.
    path: &'a [u8],
    /// The path with its trailing slash: a greedy variable takes that too.
    whole: &'a [u8],
    verb: usize,
    captures: &'a mut Captures,
    /// HTTP: the first greedy match, while full matches are still looked for.
    greedy: Option<(u32, Captures)>,
    /// Nodes entered; only counted where assertions are on.
    entered: usize,
}

impl Routes {
    /// The method for a verb and the path that begins at `rest` in `path`; an empty one is `/`. Allocates nothing; the work is bounded by the
    /// path's length and the number of routes.
    ///
    /// `captures` belongs to the answer: offsets in the whole `path`, and empty after a miss.
    #[inline]
    pub fn find(&self, path: &[u8], rest: u16, verb: Verb, captures: &mut Captures) -> Option<u32> {
        captures.clear();
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let mut end = path.len();
        let start = (rest as usize + 1).min(end);
        if self.kind == Kind::Rest && end > start && path[end - 1] == b'/' {
            end -= 1;
        }
        let mut scan =
            Scan { path: &path[..end], whole: path, verb: verb as usize, captures, greedy: None, entered: 0 };
        if let Some(method) = self.walk(&mut scan, 0, start) {
            return Some(method);
        }
        if let Some((method, kept)) = scan.greedy {
            *scan.captures = kept;
            return Some(method);
        }
        scan.captures.clear();
        (self.default != NONE).then_some(self.default)
    }

    /// The largest number of a method that [`Routes::find`] can return; `None` without routes.
    pub fn methods_max(&self) -> Option<u32> {
        let methods = self.endpoints.iter().flatten().chain([&self.default]);
        methods.copied().filter(|&method| method != NONE).max()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.nodes) + size_of_val(&*self.endpoints)
    }

    /// Goes down from node `at`, whose label ends before `offset`. If nothing is found, the captures are the caller's to truncate.
    fn walk(&self, scan: &mut Scan<'_>, mut index: u32, mut offset: usize) -> Option<u32> {
        let path = scan.path;
        let mut node = self.nodes.get(index as usize)?;
        loop {
            if cfg!(debug_assertions) {
                scan.entered += 1;
                assert!(scan.entered <= self.nodes.len(), "a node was entered twice");
            }
            let Some(&byte) = path.get(offset) else {
                return self.method(node.endpoint, scan.verb);
            };
            let choices = node.flags & (VARIABLE | GREEDY);
            if node.flags & BYTES != 0 {
                let next = node.base.wrapping_add(BYTE_CODE + u32::from(byte));
                if let Some(child) = self.nodes.get(next as usize)
                    && child.parent == index
                    && child.stands_at(path, offset + 1)
                {
                    let after = offset + 1 + child.len as usize;
                    if choices == 0 {
                        (node, index, offset) = (child, next, after);
                        continue;
                    }
                    let kept = scan.captures.len();
                    if let Some(method) = self.walk(scan, next, after) {
                        return Some(method);
                    }
                    scan.captures.truncate(kept);
                }
            }
            if choices & VARIABLE != 0 && byte != b'/' {
                let end = segment_end(path, offset);
                let next = node.base.wrapping_add(VARIABLE_CODE);
                if let Some(child) = self.nodes.get(next as usize)
                    && child.stands_at(path, end)
                {
                    let after = end + child.len as usize;
                    let kept = scan.captures.len();
                    scan.captures.push(offset, end);
                    if choices & GREEDY == 0 {
                        (node, index, offset) = (child, next, after);
                        continue;
                    }
                    if let Some(method) = self.walk(scan, next, after) {
                        return Some(method);
                    }
                    scan.captures.truncate(kept);
                }
            }
            if choices & GREEDY != 0 {
                return self.greedy(scan, node, offset);
            }
            return None;
        }
    }

    /// The greedy variable of `node` takes what is left; in an HTTP API that is only remembered.
    #[cold]
    fn greedy(&self, scan: &mut Scan<'_>, node: &Node, offset: usize) -> Option<u32> {
        let child = self.nodes.get(node.base.wrapping_add(GREEDY_CODE) as usize)?;
        let method = self.method(child.endpoint, scan.verb)?;
        if self.kind == Kind::Rest {
            scan.captures.push_greedy(offset, scan.whole);
            return Some(method);
        }
        if scan.greedy.is_none() {
            let mut kept = *scan.captures;
            kept.push_greedy(offset, scan.whole);
            scan.greedy = Some((method, kept));
        }
        None
    }

    #[inline]
    fn method(&self, endpoint: u32, verb: usize) -> Option<u32> {
        let method = self.endpoints.get(endpoint as usize)?[verb & ANY];
        (method != NONE).then_some(method)
    }
}

/// Eight bytes of the path from `at`, in little-endian order; zeros stand behind its end.
#[inline]
fn word(path: &[u8], at: usize) -> u64 {
    match path.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last_word(path, at),
    }
}

/// The same near the end of the path: the last eight bytes, moved.
#[inline]
fn last_word(path: &[u8], at: usize) -> u64 {
    if let Some(bytes) = path.last_chunk() {
        let missing = (at + 8 - path.len()) as u32;
        return u64::from_le_bytes(*bytes).checked_shr(8 * missing).unwrap_or(0);
    }
    short_word(path, at)
}

/// The same in a path of less than eight bytes.
#[cold]
#[inline(never)]
fn short_word(path: &[u8], at: usize) -> u64 {
    let rest = path.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// The next slash from `at`, or the end of the path: eight bytes at a time.
#[inline]
fn segment_end(path: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    loop {
        let zero_at_slash = word(path, at) ^ (ONES * b'/' as u64);
        let found = zero_at_slash.wrapping_sub(ONES) & !zero_at_slash & (ONES << 7);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
        if at >= path.len() {
            return path.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes_builder::RoutesBuilder, template::Template};

    fn routes(kind: Kind, paths: &[String]) -> Routes {
        let mut builder = RoutesBuilder::new(kind);
        for (path, method) in paths.iter().zip(0..) {
            let template = Template::parse(path).expect(path);
            builder.route(Some(Verb::Get), &template, method).expect(path);
        }
        builder.build()
    }

    #[test]
    fn words_end_in_zeros_behind_the_path() {
        for path in ["", "a", "abcdefg", "abcdefgh", "abcdefghijklmnopq"] {
            for at in 0..path.len() + 12 {
                let mut expect = [0; 8];
                for (byte, from) in expect.iter_mut().zip(path.bytes().skip(at)) {
                    *byte = from;
                }
                assert_eq!(word(path.as_bytes(), at), u64::from_le_bytes(expect), "{path} {at}");
            }
        }
    }

    #[test]
    fn a_segment_ends_at_the_first_slash() {
        for path in
            ["", "abc", "/", "a/b", "\x2e\x2f\x2f", "0123456789abcdef/x", "\u{ff}\u{af}./", "01234567/", "0/0./0/"]
        {
            for at in 0..=path.len() {
                let expect = path.bytes().skip(at).position(|byte| byte == b'/').map_or(path.len(), |len| at + len);
                assert_eq!(segment_end(path.as_bytes(), at), expect, "{path} {at}");
            }
        }
    }

    #[test]
    fn labels_of_every_length_match_whole_only() {
        for len in 1..70 {
            let name = "abcdefghijklmnopqrstuvwxyz".repeat(3)[..len].to_owned();
            let routes = routes(Kind::Http, &[format!("/{name}"), format!("/{{v}}/{name}")]);
            let mut captures = Captures::new();
            let mut find = |path: String| routes.find(path.as_bytes(), 0, Verb::Get, &mut captures);
            assert_eq!(find(format!("/{name}")), Some(0));
            assert_eq!(find(format!("/x/{name}")), Some(1));
            assert_eq!(find(format!("/{}", &name[1..])), None);
            assert_eq!(find(format!("/{}", &name[..len - 1])), None);
            assert_eq!(find(format!("/{name}x")), None);
            assert_eq!(find(format!("/{name}\0")), None);
            assert_eq!(find(format!("/x/{}\0", &name[..len - 1])), None);
            assert_eq!(find(format!("/x/{}", &name[..len - 1])), None);
        }
    }

    /// Every segment is both a literal and a variable, so a path of that literal can go either way at every step. The right leaf is the last
    /// that is tried, and the walk asserts that it enters no node twice.
    #[test]
    fn nested_variables_cost_no_more_than_the_nodes_there_are() {
        const DEPTH: usize = 12;
        let mut paths = Vec::new();
        for bits in 0..1_usize << DEPTH {
            let path: String =
                (0..DEPTH).map(|i| if bits >> i & 1 == 0 { "/a".to_owned() } else { format!("/{{v{i}}}") }).collect();
            let end = if bits == (1 << DEPTH) - 1 { "/z" } else { "/y" };
            paths.push(path + end);
        }
        for kind in [Kind::Rest, Kind::Http] {
            let routes = routes(kind, &paths);
            let mut captures = Captures::new();
            let mut find = |path: String| {
                let found = routes.find(path.as_bytes(), 0, Verb::Get, &mut captures);
                found.map(|method| (method, captures.len()))
            };
            assert_eq!(find("/a".repeat(DEPTH) + "/z"), Some(((1 << DEPTH) - 1, DEPTH)));
            assert_eq!(find("/a".repeat(DEPTH) + "/y"), Some((0, 0)));
            assert_eq!(find("/a".repeat(DEPTH) + "/x"), None);
            assert_eq!(find("/a".repeat(DEPTH * 400)), None);
        }
    }

    /// The same with greedy variables on the way: for HTTP every one of them is passed by while a full match is looked for.
    #[test]
    fn nested_greedies_are_looked_at_once_each() {
        const DEPTH: usize = 15;
        let mut paths = Vec::new();
        for depth in 0..DEPTH {
            let path = (0..depth).fold(String::new(), |path, i| path + "/{v" + &i.to_string() + "}");
            paths.push(format!("{path}/a/{{g+}}"));
            paths.push(format!("{path}/{{g+}}"));
        }
        let routes = routes(Kind::Http, &paths);
        let mut captures = Captures::new();
        let path = "/a".repeat(3_000);
        assert_eq!(routes.find(path.as_bytes(), 0, Verb::Get, &mut captures), Some(0));
        assert_eq!(captures.get(0), Some((3, 6_000)));
        // Three variables would end the path, so the greedy one after two of them is the deepest that matches.
        assert_eq!(routes.find(b"/b/b/b", 0, Verb::Get, &mut captures), Some(5));
        assert_eq!(captures.len(), 3);
    }

    #[test]
    fn bytes_that_look_like_codes_lead_nowhere() {
        let routes = routes(Kind::Http, &["/a/{v}".to_owned(), "/b/{g+}".to_owned(), "/a/b".to_owned()]);
        let mut captures = Captures::new();
        for byte in 0..=u8::MAX {
            let method = routes.find(&[b'/', b'a', b'/', byte], 0, Verb::Get, &mut captures);
            let expect = match byte {
                b'/' => None,
                b'b' => Some(2),
                _ => Some(0),
            };
            assert_eq!(method, expect, "{byte}");
            assert_eq!(routes.find(&[b'/', byte], 0, Verb::Get, &mut captures), None, "{byte}");
        }
    }
}
