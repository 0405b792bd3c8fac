//! Routes as bytes in a compiled snapshot, and back: nothing is believed, so that [`Routes::find`] never panics and always ends.
//!
//! Two flat runs of bytes, numbers in little-endian order. A node: one byte of label length and flags, then parent, base and endpoint, then the
//! label; a free slot is one byte. An endpoint: one byte that says which verbs have a method, then their numbers; if all verbs share one, it
//! stands once.
//!
//! Broken bytes that pass the checks may route to other methods, and whoever reads files keeps a checksum for that; they cannot do more.

use crate::{
    kind::Kind,
    limits::{SEGMENTS_MAX, VARIABLES_MAX},
    routes::{
        ANY, BYTE_CODE, BYTES, Endpoint, GREEDY, GREEDY_CODE, LABEL, NONE, Node, Routes, VARIABLE, VARIABLE_CODE,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// The first byte of a free slot: no label is that long.
const FREE: u8 = 0xff;

/// How many bits of a node's first byte are its label's length; its flags follow.
const LEN_BITS: u32 = 5;

/// In an endpoint's first byte: all seven verbs have one method.
const SAME: u8 = 0x80;

/// Every verb has a method.
const SEVEN: u8 = 0x7f;

#[derive(Serialize, Deserialize)]
#[serde(rename = "Routes")]
struct Stored<'a> {
    kind: Kind,
    default: Option<u32>,
    #[serde(borrow)]
    nodes: Bytes<'a>,
    #[serde(borrow)]
    endpoints: Bytes<'a>,
}

impl Serialize for Routes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut nodes, mut endpoints) = (Vec::new(), Vec::new());
        for (node, index) in self.nodes.iter().zip(0..) {
            put_node(node, index, &mut nodes);
        }
        for endpoint in &self.endpoints {
            put_endpoint(endpoint, &mut endpoints);
        }
        let default = (self.default != NONE).then_some(self.default);
        let (nodes, endpoints) = (Bytes(nodes.into()), Bytes(endpoints.into()));
        Stored { kind: self.kind, default, nodes, endpoints }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { kind, default, nodes, endpoints } = Stored::deserialize(deserializer)?;
        if default.is_some() && (kind != Kind::Http || default == Some(NONE)) {
            return Err(de::Error::custom(Fault::Default));
        }
        let endpoints = get_endpoints(&endpoints.0).map_err(de::Error::custom)?;
        let nodes = get_nodes(&nodes.0).map_err(de::Error::custom)?;
        check(&nodes, endpoints.len()).map_err(de::Error::custom)?;
        let (nodes, endpoints) = (nodes.into(), endpoints.into());
        Ok(Self { kind, nodes, endpoints, default: default.unwrap_or(NONE) })
    }
}

/// Why bytes are no routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// They end in the middle.
    Short,
    /// A label that is too long or has a zero byte.
    Label,
    /// A first byte of an endpoint that is never written.
    Verbs,
    /// A method's number that stands for none.
    Method,
    /// A `$default` where there is none.
    Default,
    /// No root, or more nodes than can be counted.
    Nodes,
    /// A node names an endpoint that is not there.
    Endpoint,
    /// A node and its parent or child do not agree.
    Family,
    /// A node is its own ancestor.
    Circle,
    /// More choices or variables on one way than templates have.
    Deep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken routes: ")?;
        f.write_str(match self {
            Self::Short => "they end too early",
            Self::Label => "a label that cannot be",
            Self::Verbs => "verbs that cannot be",
            Self::Method => "a method without a number",
            Self::Default => "a `$default` that cannot be",
            Self::Nodes => "no root, or too many nodes",
            Self::Endpoint => "an endpoint that is not there",
            Self::Family => "a node and its parent disagree",
            Self::Circle => "a node under itself",
            Self::Deep => "a way with too many choices",
        })
    }
}

fn put_node(node: &Node, index: u32, out: &mut Vec<u8>) {
    if node.parent == NONE && index != 0 {
        out.push(FREE);
        return;
    }
    out.push(node.len | node.flags << LEN_BITS);
    for number in [node.parent, node.base, node.endpoint] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let label = node.label.map(u64::to_le_bytes);
    out.extend_from_slice(&label.as_flattened()[..node.len as usize]);
}

fn get_nodes(mut from: &[u8]) -> Result<Vec<Node>, Fault> {
    // A node with a label of four bytes; most are near that.
    let mut nodes = Vec::with_capacity(from.len() / 17);
    while let [first, rest @ ..] = from {
        if *first == FREE {
            nodes.push(Node::FREE);
            from = rest;
            continue;
        }
        let len = first & ((1 << LEN_BITS) - 1);
        let (parent, rest) = number(rest)?;
        let (base, rest) = number(rest)?;
        let (endpoint, rest) = number(rest)?;
        let (text, rest) = rest.split_at_checked(len as usize).ok_or(Fault::Short)?;
        if text.len() > LABEL || text.contains(&0) {
            return Err(Fault::Label);
        }
        let mut label = [0; LABEL];
        label[..text.len()].copy_from_slice(text);
        nodes.push(Node::new(label, len, first >> LEN_BITS, [parent, base, endpoint]));
        from = rest;
    }
    Ok(nodes)
}

fn put_endpoint(endpoint: &Endpoint, out: &mut Vec<u8>) {
    let verbs = &endpoint[..ANY];
    if verbs[0] != NONE && verbs.iter().all(|method| *method == verbs[0]) {
        out.push(SAME);
        out.extend_from_slice(&verbs[0].to_le_bytes());
        return;
    }
    let bits = verbs.iter().enumerate().map(|(verb, method)| u8::from(*method != NONE) << verb);
    out.push(bits.sum());
    for method in verbs.iter().filter(|method| **method != NONE) {
        out.extend_from_slice(&method.to_le_bytes());
    }
}

fn get_endpoints(mut from: &[u8]) -> Result<Vec<Endpoint>, Fault> {
    // One verb each; few have more.
    let mut endpoints = Vec::with_capacity(from.len() / 5);
    while let [first, rest @ ..] = from {
        let mut endpoint = [NONE; 8];
        from = rest;
        if *first == SAME {
            let method;
            (method, from) = number(from)?;
            endpoint[..ANY].fill(method);
        } else if *first <= SEVEN {
            for (verb, place) in endpoint[..ANY].iter_mut().enumerate() {
                if first >> verb & 1 == 1 {
                    (*place, from) = number(from)?;
                }
            }
        } else {
            return Err(Fault::Verbs);
        }
        let written = if *first == SAME { SEVEN } else { *first };
        if endpoint[..ANY].iter().filter(|method| **method != NONE).count() as u32 != written.count_ones() {
            return Err(Fault::Method);
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn number(from: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let (bytes, rest) = from.split_first_chunk().ok_or(Fault::Short)?;
    Ok((u32::from_le_bytes(*bytes), rest))
}

/// Whether the nodes are one tree, as lookups take for granted.
fn check(nodes: &[Node], endpoints: usize) -> Result<(), Fault> {
    let root = nodes.first().ok_or(Fault::Nodes)?;
    if root.parent != NONE || nodes.len() >= NONE as usize {
        return Err(Fault::Nodes);
    }
    for (node, index) in nodes.iter().zip(0..) {
        if node.endpoint != NONE && node.endpoint as usize >= endpoints {
            return Err(Fault::Endpoint);
        }
        if node.parent != NONE {
            is_child(nodes, node, index)?;
        }
        has_child(nodes, node, index, VARIABLE, VARIABLE_CODE)?;
        has_child(nodes, node, index, GREEDY, GREEDY_CODE)?;
    }
    check_ways(nodes)
}

/// A node stands where its parent has a child of some kind.
fn is_child(nodes: &[Node], node: &Node, index: u32) -> Result<(), Fault> {
    let parent = nodes.get(node.parent as usize).ok_or(Fault::Family)?;
    let (flag, is_leaf) = match index.wrapping_sub(parent.base) {
        VARIABLE_CODE => (VARIABLE, false),
        GREEDY_CODE => (GREEDY, true),
        code if code < BYTE_CODE + 256 => (BYTES, false),
        _ => return Err(Fault::Family),
    };
    let fits = parent.flags & flag != 0 && !(is_leaf && node.flags != 0);
    fits.then_some(()).ok_or(Fault::Family)
}

/// A node that says that it has a child of this kind has one.
fn has_child(nodes: &[Node], node: &Node, index: u32, flag: u8, code: u32) -> Result<(), Fault> {
    let child = nodes.get(node.base.wrapping_add(code) as usize);
    let fits = node.flags & flag == 0 || child.is_some_and(|child| child.parent == index);
    fits.then_some(()).ok_or(Fault::Family)
}

/// What stands on the way from the root to a node, itself included.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Not known yet.
    Unknown,
    /// Its ancestors are being looked at.
    Open,
    /// So many nodes that offer a choice, and so many variables.
    Known { choices: u8, variables: u8 },
}

/// Every node comes from the root, without more choices and variables on its way than a template has segments and variables.
fn check_ways(nodes: &[Node]) -> Result<(), Fault> {
    let mut ways = vec![Way::Unknown; nodes.len()];
    let mut open = Vec::new();
    for start in 0..nodes.len() as u32 {
        let mut at = start;
        if start != 0 && nodes[start as usize].parent == NONE {
            continue;
        }
        while ways[at as usize] == Way::Unknown {
            ways[at as usize] = Way::Open;
            open.push(at);
            if at == 0 {
                break;
            }
            at = nodes[at as usize].parent;
            if at == NONE {
                // A free slot has a child.
                return Err(Fault::Family);
            }
        }
        let mut above = match ways[at as usize] {
            Way::Known { choices, variables } => (choices, variables),
            Way::Open if at == 0 => (0, 0),
            Way::Open | Way::Unknown => return Err(Fault::Circle),
        };
        while let Some(at) = open.pop() {
            above = step(nodes, at, above)?;
            ways[at as usize] = Way::Known { choices: above.0, variables: above.1 };
        }
    }
    Ok(())
}

/// Choices and variables on the way to a node, from those on the way to its parent.
fn step(nodes: &[Node], at: u32, (choices, variables): (u8, u8)) -> Result<(u8, u8), Fault> {
    let node = &nodes[at as usize];
    let parent = nodes.get(node.parent as usize);
    let is_variable = parent.is_some_and(|parent| at.wrapping_sub(parent.base) < BYTE_CODE);
    let way = (choices + u8::from(node.flags & (VARIABLE | GREEDY) != 0), variables + u8::from(is_variable));
    let fits = way.0 as usize <= SEGMENTS_MAX && way.1 as usize <= VARIABLES_MAX;
    fits.then_some(way).ok_or(Fault::Deep)
}

/// Bytes that are copied in one go, and borrowed where the format allows it.
struct Bytes<'a>(Cow<'a, [u8]>);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> de::Visitor<'de> for BytesVisitor {
    type Value = Bytes<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Bytes(bytes.into()))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Bytes(bytes.to_vec().into()))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        Ok(Bytes(bytes.into()))
    }

    /// Formats without bytes write lists of numbers.
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes_builder::RoutesBuilder, template::Template};

    fn tree(paths: &[&str]) -> Routes {
        let mut builder = RoutesBuilder::new(Kind::Http);
        for (path, method) in paths.iter().zip(0..) {
            builder.route(None, &Template::parse(path).expect(path), method).expect(path);
        }
        builder.build()
    }

    /// The fault after a change to the nodes.
    fn broken(paths: &[&str], change: impl FnOnce(&mut Vec<Node>)) -> Option<Fault> {
        let tree = tree(paths);
        let mut nodes = tree.nodes.to_vec();
        assert_eq!(check(&nodes, tree.endpoints.len()), Ok(()));
        change(&mut nodes);
        check(&nodes, tree.endpoints.len()).err()
    }

    /// The only child of a node.
    fn child(nodes: &[Node], parent: u32) -> u32 {
        let found = nodes.iter().position(|node| node.parent == parent);
        found.expect("it has one") as u32
    }

    #[test]
    fn nodes_come_back() {
        let tree = tree(&["/pets/{id}", "/pets/{id}/toys/{rest+}", "/a-label-of-more-than-sixteen", "/"]);
        let mut bytes = Vec::new();
        for (node, index) in tree.nodes.iter().zip(0..) {
            put_node(node, index, &mut bytes);
        }
        let back = get_nodes(&bytes).expect("just written");
        let fields = |node: &Node| (node.label, node.parent, node.base, node.endpoint, node.len, node.flags);
        let of = |nodes: &[Node]| nodes.iter().map(fields).collect::<Vec<_>>();
        assert_eq!(of(&back), of(&tree.nodes));
        for cut in 1..bytes.len() {
            let back = get_nodes(&bytes[..cut]);
            assert!(back.is_err_and(|fault| fault == Fault::Short) || bytes[..cut].ends_with(&[FREE]) || cut > 12);
        }
    }

    #[test]
    fn endpoints_come_back() {
        let mut list = vec![[NONE; 8], [9; 8], [1, NONE, 3, NONE, 5, NONE, 7, NONE], [1, 2, 3, 4, 5, 6, 7, NONE]];
        list[1][ANY] = NONE;
        let mut bytes = Vec::new();
        for endpoint in &list {
            put_endpoint(endpoint, &mut bytes);
        }
        assert_eq!(bytes.len(), 1 + 5 + 17 + 29);
        assert_eq!(get_endpoints(&bytes), Ok(list));
        assert_eq!(get_endpoints(&bytes[..bytes.len() - 1]), Err(Fault::Short));
        assert_eq!(get_endpoints(&[0x81, 0, 0, 0, 0]), Err(Fault::Verbs));
        assert_eq!(get_endpoints(&[1, 255, 255, 255, 255]), Err(Fault::Method));
        assert_eq!(get_endpoints(&[SAME, 255, 255, 255, 255]), Err(Fault::Method));
    }

    #[test]
    fn labels_are_checked() {
        let node = |first: u8, label: &[u8]| [&[first][..], &[0; 12], label].concat();
        assert_eq!(get_nodes(&node(3, b"abc")).map(|nodes| nodes.len()), Ok(1));
        assert_eq!(get_nodes(&node(3, b"a\0c")).err(), Some(Fault::Label));
        assert_eq!(get_nodes(&node(17, b"abcdefghijklmnopq")).err(), Some(Fault::Label));
        assert_eq!(get_nodes(&node(3, b"ab")).err(), Some(Fault::Short));
    }

    #[test]
    fn a_tree_needs_a_root() {
        assert_eq!(check(&[], 0), Err(Fault::Nodes));
        assert_eq!(broken(&["/a"], |nodes| nodes[0].parent = 0), Some(Fault::Nodes));
    }

    #[test]
    fn endpoints_must_be_there() {
        assert_eq!(broken(&["/a"], |nodes| nodes[0].endpoint = 1), Some(Fault::Endpoint));
        assert_eq!(broken(&["/a"], |nodes| nodes[0].endpoint = 0), None);
    }

    #[test]
    fn parents_and_children_must_agree() {
        for change in [
            // A variable, a greedy variable and bytes that are not there.
            |nodes: &mut Vec<Node>| nodes[0].flags |= VARIABLE,
            |nodes: &mut Vec<Node>| nodes[0].flags |= GREEDY,
            |nodes: &mut Vec<Node>| nodes[0].flags = 0,
            |nodes: &mut Vec<Node>| nodes[0].base = 1_000,
            |nodes: &mut Vec<Node>| {
                let child = child(nodes, 0) as usize;
                nodes[child].parent = 1_000_000;
            },
        ] {
            assert_eq!(broken(&["/a"], change), Some(Fault::Family));
        }
        let changed = broken(&["/{rest+}"], |nodes| {
            let greedy = child(nodes, 0) as usize;
            nodes[greedy].flags = BYTES;
        });
        assert_eq!(changed, Some(Fault::Family), "nothing is under a greedy variable");
    }

    /// Two nodes that are each other's child for the byte `a`, away from the root.
    #[test]
    fn circles_are_found() {
        let changed = broken(&["/a"], |nodes| {
            let (one, two) = (nodes.len() as u32 + 300, nodes.len() as u32 + 301);
            nodes.resize(two as usize + 1, Node::FREE);
            let code = BYTE_CODE + u32::from(b'a');
            nodes[one as usize] = Node::new([0; LABEL], 0, BYTES, [two, two - code, NONE]);
            nodes[two as usize] = Node::new([0; LABEL], 0, BYTES, [one, one - code, NONE]);
        });
        assert_eq!(changed, Some(Fault::Circle));
        let changed = broken(&["/a"], |nodes| {
            let index = nodes.len() as u32 + 300;
            nodes.resize(index as usize + 1, Node::FREE);
            nodes[index as usize] = Node::new([0; LABEL], 0, VARIABLE, [index, index, NONE]);
        });
        assert_eq!(changed, Some(Fault::Circle), "its own child");
        let changed = broken(&["/a"], |nodes| {
            nodes.resize(nodes.len() + 400, Node::FREE);
            let (index, free) = (nodes.len() as u32 - 1, nodes.len() as u32 - 2);
            nodes[index as usize] = Node { parent: free, ..Node::FREE };
        });
        assert_eq!(changed, Some(Fault::Family), "a child of nobody");
    }

    /// A chain of variables: each would nest a lookup deeper.
    #[test]
    fn ways_are_no_longer_than_templates() {
        let chain = |len: u32| {
            let mut nodes = vec![Node::new([0; LABEL], 0, VARIABLE, [NONE, 1, NONE])];
            for index in 1..=len {
                let flags = if index == len { 0 } else { VARIABLE };
                nodes.push(Node::new([0; LABEL], 0, flags, [index - 1, index + 1, NONE]));
            }
            check(&nodes, 0)
        };
        assert_eq!(chain(VARIABLES_MAX as u32), Ok(()));
        assert_eq!(chain(VARIABLES_MAX as u32 + 1), Err(Fault::Deep));
        // Greedy variables at every step: choices without variables on the way.
        let ladder = |len: usize| {
            const STEP: u32 = 10 + BYTE_CODE + b'a' as u32;
            let mut nodes = vec![Node::FREE; (len + 1) * STEP as usize];
            for (at, parent) in (0..len as u32).map(|step| (step * STEP, step.checked_sub(1))) {
                let parent = parent.map_or(NONE, |step| step * STEP);
                let flags = if at as usize + STEP as usize == len * STEP as usize { GREEDY } else { GREEDY | BYTES };
                nodes[at as usize] = Node::new([0; LABEL], 0, flags, [parent, at + 10, NONE]);
                nodes[(at + 10 + GREEDY_CODE) as usize].parent = at;
            }
            check(&nodes, 0)
        };
        assert_eq!(ladder(SEGMENTS_MAX), Ok(()));
        assert_eq!(ladder(SEGMENTS_MAX + 1), Err(Fault::Deep));
    }

    #[test]
    fn only_http_has_a_default() {
        let tree = |kind, default| Routes { kind, default, ..tree(&["/a"]) };
        let stored = |kind| postcard::to_stdvec(&tree(kind, 3)).expect("a tree");
        assert!(postcard::from_bytes::<Routes>(&stored(Kind::Http)).is_ok());
        assert!(postcard::from_bytes::<Routes>(&stored(Kind::Rest)).is_err());
    }
}
