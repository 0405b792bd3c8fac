//! The routes of one deployment while they are collected: a radix tree that knows what may stand beside what.
//!
//! Slashes are bytes like any other; only variables stand beside the bytes. A set of siblings is never searched as a whole, so routes are
//! added in time that depends on their length alone.

mod pack;

use crate::{
    kind::Kind,
    limits::METHOD_MAX,
    routes::{ANY, Endpoint, NONE, Routes},
    template::{Part, Template},
    verb::Verb,
};
use std::fmt;

/// Why a route cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteFault {
    /// The same verb on the same path; names of variables make no difference.
    Duplicate {
        /// The method that has the place already.
        of: u32,
    },
    /// REST allows one variable among siblings, and one name for it (RT-04).
    SecondVariable {
        /// The variable that is there already, as written: `{id}` or `{proxy+}`.
        sibling: Box<str>,
    },
    /// Only HTTP APIs have a `$default` route.
    NoDefault,
}

impl fmt::Display for RouteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { .. } => f.write_str("this verb and path have a method already"),
            Self::SecondVariable { sibling } => {
                write!(f, "the sibling {sibling} is a variable already, and only one is allowed")
            }
            Self::NoDefault => f.write_str("only HTTP APIs have a `$default` route"),
        }
    }
}

impl std::error::Error for RouteFault {}

/// A run of [`RoutesBuilder::text`].
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// One node. What stands after its label, and what answers if the path ends there.
#[derive(Debug)]
struct Branch {
    label: Span,
    /// By the first byte of their labels, sorted.
    children: Vec<(u8, u32)>,
    /// The variable that may come next, and its name in the first route that used it.
    variable: Option<(Span, u32)>,
    /// The endpoint of the greedy variable that may come next, and its name.
    greedy: Option<(Span, u32)>,
    /// The endpoint of the path that ends here, or `NONE`.
    endpoint: u32,
}

impl Branch {
    fn new(label: Span) -> Self {
        Self { label, children: Vec::new(), variable: None, greedy: None, endpoint: NONE }
    }

    /// Where the child for this byte is, or belongs, among the children.
    fn place(&self, byte: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&byte, |(first, _)| *first)
    }

    fn variable(&self) -> Option<u32> {
        self.variable.map(|(_, next)| next)
    }

    fn greedy(&self) -> Option<u32> {
        self.greedy.map(|(_, endpoint)| endpoint)
    }
}

/// Collects the routes of one deployment. Faults are returned one by one, so that a caller can report all of them.
#[derive(Debug)]
pub struct RoutesBuilder {
    kind: Kind,
    /// The root first.
    branches: Vec<Branch>,
    /// Labels and names of variables.
    text: Vec<u8>,
    endpoints: Vec<Endpoint>,
    /// The method of the HTTP API's `$default` route (RT-13).
    default: u32,
}

impl RoutesBuilder {
    /// No routes yet, for an API of this kind.
    pub fn new(kind: Kind) -> Self {
        let root = Branch::new(Span::default());
        Self { kind, branches: vec![root], text: Vec::new(), endpoints: Vec::new(), default: NONE }
    }

    /// Adds a route; `verb` is `None` for `ANY`. `method` is what [`Routes::find`] returns, and at most `limits::METHOD_MAX`.
    /// A refused route leaves no trace.
    pub fn route(&mut self, verb: Option<Verb>, template: &Template, method: u32) -> Result<(), RouteFault> {
        assert!(method <= METHOD_MAX, "methods are numbered from zero, one by one");
        if self.kind == Kind::Rest {
            self.check_siblings(template)?;
        }
        let place = verb.map_or(ANY, |verb| verb as usize);
        if let Some(endpoint) = self.find(template) {
            let of = self.endpoints[endpoint as usize][place];
            if of != NONE {
                return Err(RouteFault::Duplicate { of });
            }
        }
        let endpoint = self.grow(template);
        self.endpoints[endpoint as usize][place] = method;
        Ok(())
    }

    /// Sets the `$default` route of an HTTP API (RT-13).
    pub fn default_route(&mut self, method: u32) -> Result<(), RouteFault> {
        assert!(method <= METHOD_MAX, "methods are numbered from zero, one by one");
        if self.kind != Kind::Http {
            return Err(RouteFault::NoDefault);
        }
        if self.default != NONE {
            return Err(RouteFault::Duplicate { of: self.default });
        }
        self.default = method;
        Ok(())
    }

    /// Pairs of methods: the first can never be reached because the second always answers before it.
    ///
    /// Two ways lead there: seven verbs beside their `ANY`, and a `$default` beside routes for `/` and `/{greedy+}` that have every verb.
    pub fn shadowed(&self) -> Vec<(u32, u32)> {
        let mut pairs = Vec::new();
        for endpoint in &self.endpoints {
            if endpoint[ANY] != NONE && endpoint[..ANY].iter().all(|&method| method != NONE) {
                pairs.push((endpoint[ANY], endpoint[0]));
            }
        }
        let whole = |endpoint: u32| {
            let endpoint = self.endpoints.get(endpoint as usize)?;
            let whole = endpoint[ANY] != NONE || endpoint[..ANY].iter().all(|&method| method != NONE);
            whole.then(|| if endpoint[ANY] == NONE { endpoint[0] } else { endpoint[ANY] })
        };
        let root = &self.branches[0];
        if self.default != NONE
            && let (Some(_), Some(by)) = (whole(root.endpoint), root.greedy().and_then(whole))
        {
            pairs.push((self.default, by));
        }
        pairs
    }

    /// Freezes the routes.
    pub fn build(&self) -> Routes {
        pack::pack(self)
    }

    /// The bytes that lead to a branch from the one above it.
    fn label(&self, branch: u32) -> &[u8] {
        self.span(self.branches[branch as usize].label)
    }

    fn span(&self, span: Span) -> &[u8] {
        &self.text[span.start as usize..][..span.len as usize]
    }

    /// The endpoint of exactly this path, if it has one.
    fn find(&self, template: &Template) -> Option<u32> {
        let mut at = 0;
        for part in template.parts(self.kind) {
            at = match part {
                Part::Literal(text) => self.follow(at, text)?,
                Part::Variable(_) => self.branches[at as usize].variable()?,
                Part::Greedy(_) => return self.branches[at as usize].greedy(),
            };
        }
        Some(self.branches[at as usize].endpoint).filter(|&endpoint| endpoint != NONE)
    }

    /// The branch that exactly this text leads to.
    fn follow(&self, mut at: u32, text: &str) -> Option<u32> {
        let mut text = text.as_bytes();
        while let Some(&byte) = text.first() {
            let branch = &self.branches[at as usize];
            at = branch.children[branch.place(byte).ok()?].1;
            text = text.strip_prefix(self.label(at))?;
        }
        Some(at)
    }

    /// RT-04: among siblings one variable, under one name.
    fn check_siblings(&self, template: &Template) -> Result<(), RouteFault> {
        let mut at = 0;
        for part in template.parts(self.kind) {
            let next = match part {
                Part::Literal(text) => self.follow(at, text),
                Part::Variable(name) | Part::Greedy(name) => {
                    let branch = &self.branches[at as usize];
                    let greedy = matches!(part, Part::Greedy(_));
                    let known = branch.variable.map(|(known, _)| (known, false));
                    let known = known.or(branch.greedy.map(|(known, _)| (known, true)));
                    if let Some((known, known_greedy)) = known {
                        let known = self.span(known);
                        if known != name.as_bytes() || known_greedy != greedy {
                            let plus = if known_greedy { "+" } else { "" };
                            let sibling = format!("{{{}{plus}}}", String::from_utf8_lossy(known)).into();
                            return Err(RouteFault::SecondVariable { sibling });
                        }
                    }
                    branch.variable()
                }
            };
            match next {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The endpoint of this path, made if it is new.
    fn grow(&mut self, template: &Template) -> u32 {
        let mut at = 0;
        for part in template.parts(self.kind) {
            at = match part {
                Part::Literal(text) => self.grow_literal(at, text.as_bytes()),
                Part::Variable(name) => self.branches[at as usize].variable().unwrap_or_else(|| {
                    let next = self.push(Span::default());
                    self.branches[at as usize].variable = Some((self.store(name.as_bytes()), next));
                    next
                }),
                Part::Greedy(name) => {
                    return self.branches[at as usize].greedy().unwrap_or_else(|| {
                        let endpoint = self.new_endpoint();
                        self.branches[at as usize].greedy = Some((self.store(name.as_bytes()), endpoint));
                        endpoint
                    });
                }
            };
        }
        if self.branches[at as usize].endpoint == NONE {
            self.branches[at as usize].endpoint = self.new_endpoint();
        }
        self.branches[at as usize].endpoint
    }

    /// The branch that this text leads to, made if it is new.
    fn grow_literal(&mut self, mut at: u32, mut text: &[u8]) -> u32 {
        while let Some(&byte) = text.first() {
            let place = match self.branches[at as usize].place(byte) {
                Ok(place) => place,
                Err(place) => {
                    let label = self.store(text);
                    let next = self.push(label);
                    self.branches[at as usize].children.insert(place, (byte, next));
                    return next;
                }
            };
            let child = self.branches[at as usize].children[place].1;
            let label = self.label(child);
            let common = label.iter().zip(text).take_while(|(a, b)| a == b).count();
            text = &text[common..];
            let whole = common == label.len();
            at = if whole { child } else { self.split(at, place, common) };
        }
        at
    }

    /// Cuts a child's label after `len` bytes; the branch between is new.
    fn split(&mut self, parent: u32, place: usize, len: usize) -> u32 {
        let child = self.branches[parent as usize].children[place].1;
        let Span { start, len: whole } = self.branches[child as usize].label;
        let len = len as u32;
        let middle = self.push(Span { start, len });
        self.branches[child as usize].label = Span { start: start + len, len: whole - len };
        let byte = self.label(child)[0];
        self.branches[middle as usize].children.push((byte, child));
        self.branches[parent as usize].children[place].1 = middle;
        middle
    }

    fn push(&mut self, label: Span) -> u32 {
        self.branches.push(Branch::new(label));
        self.branches.len() as u32 - 1
    }

    fn store(&mut self, text: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        Span { start, len: text.len() as u32 }
    }

    fn new_endpoint(&mut self) -> u32 {
        self.endpoints.push([NONE; 8]);
        self.endpoints.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(routes: &mut RoutesBuilder, verb: Option<Verb>, path: &str, method: u32) -> Result<(), RouteFault> {
        routes.route(verb, &Template::parse(path).expect(path), method)
    }

    #[test]
    fn the_same_verb_on_the_same_path_is_a_duplicate() {
        for kind in [Kind::Rest, Kind::Http] {
            let mut routes = RoutesBuilder::new(kind);
            assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id}", 0), Ok(()));
            assert_eq!(add(&mut routes, Some(Verb::Put), "/a/{id}", 1), Ok(()));
            assert_eq!(add(&mut routes, None, "/a/{id}", 2), Ok(()));
            let duplicate = |of| Err(RouteFault::Duplicate { of });
            assert_eq!(add(&mut routes, Some(Verb::Put), "/a/{id}", 3), duplicate(1));
            assert_eq!(add(&mut routes, None, "/a/{id}", 3), duplicate(2));
            assert_eq!(add(&mut routes, None, "/b/{x+}", 4), Ok(()));
            assert_eq!(add(&mut routes, None, "/b/{x+}", 5), duplicate(4));
        }
    }

    #[test]
    fn http_names_make_no_difference_but_may_differ() {
        let mut routes = RoutesBuilder::new(Kind::Http);
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id}", 0), Ok(()));
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{name}", 1), Err(RouteFault::Duplicate { of: 0 }));
        assert_eq!(add(&mut routes, Some(Verb::Put), "/a/{name}", 1), Ok(()));
        assert_eq!(add(&mut routes, Some(Verb::Put), "/a/{rest+}", 2), Ok(()));
    }

    #[test]
    fn rt_04_rest_has_one_variable_among_siblings() {
        let second = |sibling: &str| Err(RouteFault::SecondVariable { sibling: sibling.into() });
        let mut routes = RoutesBuilder::new(Kind::Rest);
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id}/x", 0), Ok(()));
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{name}", 1), second("{id}"));
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id+}", 1), second("{id}"));
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id}", 1), Ok(()));
        assert_eq!(add(&mut routes, Some(Verb::Get), "/b/{proxy+}", 2), Ok(()));
        assert_eq!(add(&mut routes, Some(Verb::Get), "/b/{proxy}/x", 3), second("{proxy+}"));
        assert_eq!(add(&mut routes, Some(Verb::Put), "/b/{rest+}", 3), second("{proxy+}"));
        assert_eq!(add(&mut routes, Some(Verb::Put), "/b/{proxy+}", 3), Ok(()));
        assert_eq!(second("{id}").expect_err("a fault").to_string().matches("{id}").count(), 1);
    }

    #[test]
    fn a_refused_route_leaves_no_trace() {
        let mut routes = RoutesBuilder::new(Kind::Rest);
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id}", 0), Ok(()));
        let before = routes.branches.len();
        assert!(add(&mut routes, Some(Verb::Get), "/a/{name}/b/{c}", 1).is_err());
        assert_eq!(routes.branches.len(), before);
        assert_eq!(add(&mut routes, Some(Verb::Get), "/a/{id}/b/{d}", 1), Ok(()));
    }

    #[test]
    fn rt_08_rest_ignores_a_template_s_trailing_slash_and_http_does_not() {
        let mut rest = RoutesBuilder::new(Kind::Rest);
        assert_eq!(add(&mut rest, Some(Verb::Get), "/a", 0), Ok(()));
        assert_eq!(add(&mut rest, Some(Verb::Get), "/a/", 1), Err(RouteFault::Duplicate { of: 0 }));
        assert_eq!(add(&mut rest, Some(Verb::Get), "/", 1), Ok(()));
        let mut http = RoutesBuilder::new(Kind::Http);
        assert_eq!(add(&mut http, Some(Verb::Get), "/a", 0), Ok(()));
        assert_eq!(add(&mut http, Some(Verb::Get), "/a/", 1), Ok(()));
    }

    #[test]
    fn only_http_has_one_default() {
        for kind in [Kind::Rest, Kind::WebSocket] {
            assert_eq!(RoutesBuilder::new(kind).default_route(0), Err(RouteFault::NoDefault));
        }
        let mut http = RoutesBuilder::new(Kind::Http);
        assert_eq!(http.default_route(5), Ok(()));
        assert_eq!(http.default_route(6), Err(RouteFault::Duplicate { of: 5 }));
    }

    #[test]
    fn shadowed_methods_are_found() {
        let mut routes = RoutesBuilder::new(Kind::Http);
        for (verb, method) in Verb::ALL.into_iter().zip(0..) {
            assert_eq!(routes.shadowed(), []);
            add(&mut routes, Some(verb), "/a", method).expect("new");
            if method == 0 {
                add(&mut routes, None, "/a", 9).expect("new");
            }
        }
        assert_eq!(routes.shadowed(), [(9, 0)]);
        routes.default_route(10).expect("new");
        add(&mut routes, None, "/{p+}", 11).expect("new");
        assert_eq!(routes.shadowed(), [(9, 0)]);
        add(&mut routes, None, "/", 12).expect("new");
        assert_eq!(routes.shadowed(), [(9, 0), (10, 11)]);
    }
}
