//! From a tree of segments to the flat double array: split into bytes, compressed, packed.

use crate::{
    limits::PACK_PROBES_MAX,
    tree::{BYTE_CODE, BYTES, GREEDY, GREEDY_CODE, LABEL, Node, Tree, VARIABLE, VARIABLE_CODE},
    trie::{ANY, Endpoint, NONE, Trie, Twig},
};
use std::collections::{BTreeMap, VecDeque};

/// Freezes the routes.
pub(crate) fn pack(trie: &Trie) -> Tree {
    let shapes = Shapes::of(trie);
    Tree {
        kind: trie.kind,
        nodes: place(&shapes.list),
        endpoints: trie.endpoints.iter().map(fill).collect(),
        default: trie.default,
    }
}

/// Writes `ANY` to every verb that has no method of its own (RT-03).
fn fill(endpoint: &Endpoint) -> Endpoint {
    let mut filled = endpoint.map(|method| if method == NONE { endpoint[ANY] } else { method });
    filled[ANY] = NONE;
    filled
}

/// A node before it has a place.
#[derive(Debug, Default)]
struct Shape {
    label: Vec<u8>,
    endpoint: Option<u32>,
    bytes: Vec<(u8, usize)>,
    variable: Option<usize>,
    greedy: Option<u32>,
}

/// What a text of literals leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// The path ends here.
    Endpoint(u32),
    /// A slash was passed: the segments after this twig begin here.
    Children(u32),
}

/// Literal bytes from `at`, and where they lead.
struct Text {
    bytes: Vec<u8>,
    at: usize,
    goal: Goal,
}

impl Text {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }
}

/// All nodes, the root first.
struct Shapes<'a> {
    trie: &'a Trie,
    list: Vec<Shape>,
    /// Shapes still to be filled, and the texts that begin there.
    todo: VecDeque<(usize, Vec<Text>)>,
}

impl<'a> Shapes<'a> {
    fn of(trie: &'a Trie) -> Self {
        let mut shapes = Self { trie, list: vec![Shape::default()], todo: VecDeque::new() };
        let texts = shapes.children(0, 0);
        shapes.branch(0, texts);
        while let Some((shape, texts)) = shapes.todo.pop_front() {
            shapes.fill(shape, texts);
        }
        shapes
    }

    fn twig(&self, twig: u32) -> &'a Twig {
        &self.trie.twigs[twig as usize]
    }

    /// The literals after `twig`, as texts.
    fn texts(&self, twig: u32) -> Vec<Text> {
        let mut texts = Vec::new();
        for (literal, &next) in &self.twig(twig).literals {
            if !literal.is_empty() {
                self.after(literal, next, &mut texts);
            }
        }
        texts
    }

    /// What may follow a segment that is `bytes` long and leads to `twig`: the end, or a slash.
    fn after(&self, segment: &str, twig: u32, texts: &mut Vec<Text>) {
        let mut push = |bytes: String, goal| {
            texts.push(Text { bytes: bytes.into_bytes(), at: 0, goal });
        };
        if let Some(endpoint) = self.twig(twig).endpoint {
            push(segment.to_owned(), Goal::Endpoint(endpoint));
        }
        if self.twig(twig).has_children() {
            push(format!("{segment}/"), Goal::Children(twig));
        }
    }

    /// Gives `shape`, which stands at the beginning of a segment, its variables; returns the literals.
    fn children(&mut self, shape: usize, twig: u32) -> Vec<Text> {
        let from = self.twig(twig);
        let slash = from.literals.get("");
        self.list[shape].endpoint = slash.and_then(|&twig| self.twig(twig).endpoint);
        self.list[shape].greedy = from.greedy.as_ref().map(|(_, endpoint)| *endpoint);
        if let Some((_, variable)) = from.variable {
            let mut texts = Vec::new();
            self.after("", variable, &mut texts);
            self.list[shape].variable = Some(self.new_shape(texts));
        }
        self.texts(twig)
    }

    /// Gives `shape` its label, its endpoint and its children.
    fn fill(&mut self, shape: usize, mut texts: Vec<Text>) {
        let mut label = Vec::new();
        loop {
            let common = common_prefix(&texts);
            label.extend_from_slice(&texts[0].rest()[..common]);
            for text in &mut texts {
                text.at += common;
            }
            match texts[..] {
                // A segment begins, but it has neither variable nor endpoint: the label goes on.
                [Text { ref bytes, at, goal: Goal::Children(twig) }] if at == bytes.len() && self.is_plain(twig) => {
                    texts = self.texts(twig);
                }
                _ => break,
            }
        }
        let shape = self.label(shape, label);
        if let Some(done) = texts.iter().position(|text| text.rest().is_empty()) {
            match texts.swap_remove(done).goal {
                Goal::Endpoint(endpoint) => self.list[shape].endpoint = Some(endpoint),
                Goal::Children(twig) => {
                    debug_assert!(texts.is_empty(), "segments have no slashes");
                    texts = self.children(shape, twig);
                }
            }
        }
        self.branch(shape, texts);
    }

    /// Whether only literals stand after `twig`.
    fn is_plain(&self, twig: u32) -> bool {
        let twig = self.twig(twig);
        twig.variable.is_none() && twig.greedy.is_none() && !twig.literals.contains_key("")
    }

    /// Writes the label, on several nodes if it is long; returns the last of them.
    fn label(&mut self, mut shape: usize, mut label: Vec<u8>) -> usize {
        while label.len() > LABEL {
            let rest = label.split_off(LABEL + 1);
            let byte = label.pop().expect("it is longer than a label");
            let next = self.list.len();
            self.list.push(Shape::default());
            self.list[shape].label = label;
            self.list[shape].bytes.push((byte, next));
            (shape, label) = (next, rest);
        }
        self.list[shape].label = label;
        shape
    }

    /// One child for each first byte.
    fn branch(&mut self, shape: usize, texts: Vec<Text>) {
        let mut groups: BTreeMap<u8, Vec<Text>> = BTreeMap::new();
        for mut text in texts {
            let byte = text.rest()[0];
            text.at += 1;
            groups.entry(byte).or_default().push(text);
        }
        for (byte, texts) in groups {
            let child = self.new_shape(texts);
            self.list[shape].bytes.push((byte, child));
        }
    }

    fn new_shape(&mut self, texts: Vec<Text>) -> usize {
        let shape = self.list.len();
        self.list.push(Shape::default());
        self.todo.push_back((shape, texts));
        shape
    }
}

/// How many bytes all texts share from where they are.
fn common_prefix(texts: &[Text]) -> usize {
    let first = texts[0].rest();
    let shared = |text: &Text| first.iter().zip(text.rest()).take_while(|(a, b)| a == b).count();
    texts.iter().map(shared).min().unwrap_or(0)
}

/// Gives every shape a place in one array, parents before children, each set of siblings at the first base where all of them find a free slot.
fn place(shapes: &[Shape]) -> Box<[Node]> {
    let mut slots = Slots::default();
    let root = slots.take(0);
    let mut queue = VecDeque::from([(0, root, NONE)]);
    while let Some((shape, index, parent)) = queue.pop_front() {
        let shape = &shapes[shape];
        let mut children: Vec<(u32, Option<usize>)> = Vec::new();
        children.extend(shape.variable.map(|child| (VARIABLE_CODE, Some(child))));
        children.extend(shape.greedy.map(|_| (GREEDY_CODE, None)));
        children.extend(shape.bytes.iter().map(|&(byte, child)| (BYTE_CODE + u32::from(byte), Some(child))));
        let base = slots.base(&children);
        for &(code, child) in &children {
            let slot = slots.take(base.wrapping_add(code));
            if let Some(child) = child {
                queue.push_back((child, slot, index));
            } else {
                let endpoint = shape.greedy.expect("its code is here");
                slots.nodes[slot as usize] = Node { parent: index, endpoint, ..Node::FREE };
            }
        }
        slots.nodes[index as usize] = node(shape, parent, base);
    }
    slots.nodes.into()
}

fn node(shape: &Shape, parent: u32, base: u32) -> Node {
    let mut label = [0; LABEL];
    label[..shape.label.len()].copy_from_slice(&shape.label);
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    let flags = flag(!shape.bytes.is_empty(), BYTES)
        | flag(shape.variable.is_some(), VARIABLE)
        | flag(shape.greedy.is_some(), GREEDY);
    Node::new(label, shape.label.len() as u8, flags, [parent, base, shape.endpoint.unwrap_or(NONE)])
}

/// The array while it fills.
#[derive(Default)]
struct Slots {
    nodes: Vec<Node>,
    taken: Vec<bool>,
    /// No slot below is free.
    first_free: usize,
}

impl Slots {
    fn is_free(&self, slot: usize) -> bool {
        self.taken.get(slot).is_none_or(|taken| !taken)
    }

    /// Where the child with code 0 would stand, so that every child's slot is free.
    fn base(&mut self, children: &[(u32, Option<usize>)]) -> u32 {
        let Some(&(lowest, _)) = children.first() else {
            return 0;
        };
        while !self.is_free(self.first_free) {
            self.first_free += 1;
        }
        let free = (self.first_free..).filter(|&slot| self.is_free(slot));
        let fits = |&slot: &usize| children.iter().all(|&(code, _)| self.is_free(slot + (code - lowest) as usize));
        // Past the end everything fits; before it, long searches would only save a few slots.
        let slot = free.take(PACK_PROBES_MAX).find(fits).unwrap_or(self.nodes.len());
        (slot as u32).wrapping_sub(lowest)
    }

    fn take(&mut self, slot: u32) -> u32 {
        let at = slot as usize;
        if at >= self.nodes.len() {
            self.nodes.resize(at + 1, Node::FREE);
            self.taken.resize(at + 1, false);
        }
        debug_assert!(!self.taken[at]);
        self.taken[at] = true;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kind::Kind, template::Template, verb::Verb};

    fn packed(paths: impl IntoIterator<Item = String>) -> Tree {
        let mut trie = Trie::new(Kind::Http);
        for (path, method) in paths.into_iter().zip(0..) {
            let template = Template::parse(&path).expect("a template");
            trie.route(Some(Verb::Get), &template, method).expect("a new route");
        }
        pack(&trie)
    }

    fn used(tree: &Tree) -> usize {
        1 + tree.nodes.iter().filter(|node| node.parent != NONE).count()
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
        let tree = packed(paths);
        let (used, all) = (used(&tree), tree.nodes.len());
        assert!(used * 4 >= all * 3, "{used} of {all} slots");
        for (index, node) in tree.nodes.iter().enumerate().filter(|(_, node)| node.parent != NONE) {
            let code = (index as u32).wrapping_sub(tree.nodes[node.parent as usize].base);
            assert!(code < BYTE_CODE + 256, "{index}");
        }
    }
}
