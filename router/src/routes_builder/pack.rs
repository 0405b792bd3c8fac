//! From the radix tree to the flat double array: labels cut to a node's size, every set of siblings given a place.

use super::RoutesBuilder;
use crate::{
    limits::{PACK_PROBES_MAX, PACK_WORDS_MAX},
    routes::{
        ANY, BYTE_CODE, BYTES, Endpoint, GREEDY, GREEDY_CODE, LABEL, NONE, Node, Routes, VARIABLE, VARIABLE_CODE,
    },
};
use std::collections::VecDeque;

/// Freezes the routes.
pub(crate) fn pack(from: &RoutesBuilder) -> Routes {
    Routes {
        kind: from.kind,
        nodes: place(from),
        endpoints: from.endpoints.iter().map(fill).collect(),
        default: from.default,
    }
}

/// Writes `ANY` to every verb that has no method of its own (RT-03).
fn fill(endpoint: &Endpoint) -> Endpoint {
    let mut filled = endpoint.map(|method| if method == NONE { endpoint[ANY] } else { method });
    filled[ANY] = NONE;
    filled
}

/// What becomes a node: a branch, or what its label has left after another node.
#[derive(Clone, Copy)]
struct Piece {
    branch: u32,
    /// Bytes of the label that are on the way to this node already.
    passed: u32,
}

/// A piece that has its place.
struct Placed {
    piece: Piece,
    index: u32,
    parent: u32,
}

/// Gives every piece a place in one array, parents before children, each set of siblings at a base where all of them find a free slot.
fn place(from: &RoutesBuilder) -> Box<[Node]> {
    let mut slots = Slots::default();
    let mut queue = VecDeque::from([Placed { piece: Piece { branch: 0, passed: 0 }, index: 0, parent: NONE }]);
    slots.take(0);
    let mut children: Vec<(u32, Option<Piece>)> = Vec::new();
    while let Some(Placed { piece, index, parent }) = queue.pop_front() {
        let mut node = Node { parent, ..shape(from, piece, &mut children) };
        node.base = slots.base(&children);
        for &(code, child) in &children {
            let slot = node.base.wrapping_add(code);
            slots.take(slot);
            if let Some(piece) = child {
                queue.push_back(Placed { piece, index: slot, parent: index });
            } else {
                let endpoint = from.branches[piece.branch as usize].greedy().expect("its code is here");
                slots.nodes[slot as usize] = Node { parent: index, endpoint, ..Node::FREE };
            }
        }
        slots.nodes[index as usize] = node;
    }
    slots.nodes.into()
}

/// A node without its place, and its children by code; a greedy variable's has no piece of its own.
fn shape(from: &RoutesBuilder, piece: Piece, children: &mut Vec<(u32, Option<Piece>)>) -> Node {
    children.clear();
    let code = |byte: u8| BYTE_CODE + u32::from(byte);
    let mut text = [0; LABEL];
    let label = &from.label(piece.branch)[piece.passed as usize..];
    if let Some((part, [byte, ..])) = label.split_at_checked(LABEL) {
        text.copy_from_slice(part);
        let passed = piece.passed + LABEL as u32 + 1;
        children.push((code(*byte), Some(Piece { passed, ..piece })));
        return Node::new(text, LABEL as u8, BYTES, [NONE, 0, NONE]);
    }
    text[..label.len()].copy_from_slice(label);
    let branch = &from.branches[piece.branch as usize];
    let mut flags = 0;
    if let Some(branch) = branch.variable() {
        flags |= VARIABLE;
        // If a literal must follow, no node stands between: its first byte is in the label too.
        let only = match from.branches[branch as usize].children[..] {
            [(_, only)] if from.branches[branch as usize].endpoint == NONE => only,
            _ => branch,
        };
        children.push((VARIABLE_CODE, Some(Piece { branch: only, passed: 0 })));
    }
    if branch.greedy().is_some() {
        flags |= GREEDY;
        children.push((GREEDY_CODE, None));
    }
    if !branch.children.is_empty() {
        flags |= BYTES;
        let pieces = branch.children.iter().map(|&(byte, branch)| (code(byte), Some(Piece { branch, passed: 1 })));
        children.extend(pieces);
    }
    Node::new(text, label.len() as u8, flags, [NONE, 0, branch.endpoint])
}

/// The array while it fills.
#[derive(Default)]
struct Slots {
    nodes: Vec<Node>,
    /// One bit for each slot, set if it is taken.
    taken: Vec<u64>,
    /// Nothing below is free.
    first_free: usize,
    /// Where sets of several siblings are tried first: what is free below is left to only children.
    first_tried: usize,
}

impl Slots {
    fn is_free(&self, slot: usize) -> bool {
        self.taken.get(slot / 64).is_none_or(|word| word >> (slot % 64) & 1 == 0)
    }

    /// The first free slot from `slot` on.
    fn free_from(&self, slot: usize) -> usize {
        let mut at = slot / 64;
        let mut hidden = (1 << (slot % 64)) - 1;
        while let Some(word) = self.taken.get(at) {
            let free = !(word | hidden);
            if free != 0 {
                return at * 64 + free.trailing_zeros() as usize;
            }
            hidden = 0;
            at += 1;
        }
        slot.max(at * 64)
    }

    /// Where the child with code 0 would stand, so that every child's slot is free.
    fn base(&mut self, children: &[(u32, Option<Piece>)]) -> u32 {
        let Some(&(lowest, _)) = children.first() else {
            return 0;
        };
        self.first_free = self.free_from(self.first_free);
        let slot = if children.len() == 1 { self.first_free } else { self.fit(children, lowest) };
        (slot as u32).wrapping_sub(lowest)
    }

    /// The slot of the first of several siblings.
    ///
    /// A search is short, and one that was not found quickly is not made again: the next one begins where it ended. So all of them together
    /// take time in proportion to the array.
    fn fit(&mut self, children: &[(u32, Option<Piece>)], lowest: u32) -> usize {
        let from = self.first_tried.max(self.first_free);
        let mut slot = self.free_from(from);
        for _ in 0..PACK_PROBES_MAX {
            if children.iter().all(|&(code, _)| self.is_free(slot + (code - lowest) as usize)) {
                if (slot - from) / 64 > PACK_WORDS_MAX {
                    self.first_tried = slot;
                }
                return slot;
            }
            slot = self.free_from(slot + 1);
        }
        self.first_tried = slot;
        // Past the end everything fits.
        self.nodes.len().max(slot)
    }

    fn take(&mut self, slot: u32) {
        let at = slot as usize;
        debug_assert!(self.is_free(at));
        if at >= self.nodes.len() {
            self.nodes.resize(at + 1, Node::FREE);
            self.taken.resize(at / 64 + 1, 0);
        }
        self.taken[at / 64] |= 1 << (at % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kind::Kind, template::Template, verb::Verb};

    fn packed(paths: impl IntoIterator<Item = String>) -> Routes {
        let mut builder = RoutesBuilder::new(Kind::Http);
        for (path, method) in paths.into_iter().zip(0..) {
            let template = Template::parse(&path).expect("a template");
            builder.route(Some(Verb::Get), &template, method).expect("a new route");
        }
        builder.build()
    }

    fn used(routes: &Routes) -> usize {
        1 + routes.nodes.iter().filter(|node| node.parent != NONE).count()
    }

    #[test]
    fn an_empty_tree_is_one_node() {
        assert_eq!(packed([]).nodes.len(), 1);
    }

    #[test]
    fn literals_without_a_choice_are_one_label() {
        // The root, and one node for `pets/all` after the byte that led there.
        assert_eq!(used(&packed(["/pets/all".to_owned()])), 2);
        // The root, `orders/`, and what stands after the variable.
        assert_eq!(used(&packed(["/orders/{id}/lines".to_owned()])), 3);
    }

    #[test]
    fn any_fills_the_verbs_without_a_method() {
        let mut endpoint = [NONE; 8];
        endpoint[ANY] = 4;
        endpoint[Verb::Get as usize] = 5;
        assert_eq!(fill(&endpoint), [4, 5, 4, 4, 4, 4, 4, NONE]);
    }

    #[test]
    fn the_array_is_dense_and_children_know_their_parent() {
        let paths =
            (0..60).flat_map(|i| (0..40).map(move |j| format!("/s{i}/{{id}}/{}{j}/x", ["o", "p", "q-"][j % 3])));
        let routes = packed(paths);
        let (used, all) = (used(&routes), routes.nodes.len());
        assert!(used * 4 >= all * 3, "{used} of {all} slots");
        for (index, node) in routes.nodes.iter().enumerate().filter(|(_, node)| node.parent != NONE) {
            let code = (index as u32).wrapping_sub(routes.nodes[node.parent as usize].base);
            assert!(code < BYTE_CODE + 256, "{index}");
        }
    }
}
