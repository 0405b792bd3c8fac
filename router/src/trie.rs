//! The routes of one API while they are collected: a tree of segments that knows what may stand beside what.

use crate::{
    kind::Kind,
    limits::METHOD_MAX,
    template::{Segment, Template},
    verb::Verb,
};
use std::{collections::BTreeMap, fmt};

/// No method, no endpoint.
pub(crate) const NONE: u32 = u32::MAX;

/// Where `ANY` stands in an [`Endpoint`], after the seven verbs.
pub(crate) const ANY: usize = 7;

/// The methods of one path: one place for each verb, the last for `ANY`; `NONE` where there is no method.
pub(crate) type Endpoint = [u32; 8];

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

/// One segment, or the root. What stands after it, and what answers if the path ends with it.
#[derive(Debug, Default)]
pub(crate) struct Twig {
    /// Literal segments after this one; the empty one is a trailing slash (the path `/` under the root).
    pub(crate) literals: BTreeMap<Box<str>, u32>,
    /// The variable after this segment, and its name of the first route that used it.
    pub(crate) variable: Option<(Box<str>, u32)>,
    /// The endpoint of the greedy variable after this segment, and its name.
    pub(crate) greedy: Option<(Box<str>, u32)>,
    /// The endpoint of the path that ends here.
    pub(crate) endpoint: Option<u32>,
}

impl Twig {
    /// Whether anything stands after this segment.
    pub(crate) fn has_children(&self) -> bool {
        !self.literals.is_empty() || self.variable.is_some() || self.greedy.is_some()
    }
}

/// The routes of one API.
#[derive(Debug)]
pub(crate) struct Trie {
    pub(crate) kind: Kind,
    pub(crate) twigs: Vec<Twig>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// The method of the HTTP API's `$default` route (RT-13).
    pub(crate) default: u32,
}

impl Trie {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, twigs: vec![Twig::default()], endpoints: Vec::new(), default: NONE }
    }

    /// Adds a route; `verb` is `None` for `ANY`. A refused route leaves no trace.
    pub(crate) fn route(&mut self, verb: Option<Verb>, template: &Template, method: u32) -> Result<(), RouteFault> {
        assert!(method <= METHOD_MAX, "methods are numbered from zero, one by one");
        let segments = self.segments(template);
        if self.kind == Kind::Rest {
            self.check_siblings(segments, template.variables())?;
        }
        let place = verb.map_or(ANY, |verb| verb as usize);
        if let Some(endpoint) = self.find(segments)
            && self.endpoints[endpoint as usize][place] != NONE
        {
            let of = self.endpoints[endpoint as usize][place];
            return Err(RouteFault::Duplicate { of });
        }
        let endpoint = self.grow(segments, template.variables());
        self.endpoints[endpoint as usize][place] = method;
        Ok(())
    }

    /// Sets the `$default` route.
    pub(crate) fn default_route(&mut self, method: u32) -> Result<(), RouteFault> {
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
    pub(crate) fn shadowed(&self) -> Vec<(u32, u32)> {
        let mut pairs = Vec::new();
        for endpoint in &self.endpoints {
            if endpoint[ANY] != NONE && endpoint[..ANY].iter().all(|&method| method != NONE) {
                pairs.push((endpoint[ANY], endpoint[0]));
            }
        }
        let root = &self.twigs[0];
        let slash = root.literals.get("").and_then(|&twig| self.twigs[twig as usize].endpoint);
        if self.default != NONE
            && let (Some(slash), Some((_, greedy))) = (slash, &root.greedy)
        {
            let whole = |endpoint: u32| {
                let endpoint = &self.endpoints[endpoint as usize];
                let whole = endpoint[ANY] != NONE || endpoint[..ANY].iter().all(|&method| method != NONE);
                whole.then(|| if endpoint[ANY] == NONE { endpoint[0] } else { endpoint[ANY] })
            };
            if let (Some(_), Some(by)) = (whole(slash), whole(*greedy)) {
                pairs.push((self.default, by));
            }
        }
        pairs
    }

    /// The template's segments as this kind sees them: REST has no trailing slash (RT-08).
    fn segments<'a>(&self, template: &'a Template) -> &'a [Segment] {
        match template.segments() {
            [head @ .., Segment::Literal(last)] if self.kind == Kind::Rest && last.is_empty() && !head.is_empty() => {
                head
            }
            whole => whole,
        }
    }

    /// The endpoint of exactly this path, if it has one.
    fn find(&self, segments: &[Segment]) -> Option<u32> {
        let mut twig = &self.twigs[0];
        for segment in segments {
            let next = match segment {
                Segment::Literal(text) => *twig.literals.get(text)?,
                Segment::Variable => twig.variable.as_ref()?.1,
                Segment::Greedy => return Some(twig.greedy.as_ref()?.1),
            };
            twig = &self.twigs[next as usize];
        }
        twig.endpoint
    }

    /// RT-04: among siblings one variable, under one name.
    fn check_siblings(&self, segments: &[Segment], names: &[Box<str>]) -> Result<(), RouteFault> {
        let mut twig = &self.twigs[0];
        let mut names = names.iter();
        for segment in segments {
            let next = match segment {
                Segment::Literal(text) => twig.literals.get(text),
                Segment::Variable | Segment::Greedy => {
                    let name = names.next().expect("a name for each variable");
                    let greedy = *segment == Segment::Greedy;
                    let known = twig.variable.as_ref().map(|(known, _)| (known, false));
                    let known = known.or(twig.greedy.as_ref().map(|(known, _)| (known, true)));
                    if let Some((known, known_greedy)) = known
                        && (known != name || known_greedy != greedy)
                    {
                        let plus = if known_greedy { "+" } else { "" };
                        let sibling = format!("{{{known}{plus}}}").into();
                        return Err(RouteFault::SecondVariable { sibling });
                    }
                    twig.variable.as_ref().map(|(_, next)| next)
                }
            };
            match next {
                Some(&next) => twig = &self.twigs[next as usize],
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The endpoint of this path, made if it is new.
    fn grow(&mut self, segments: &[Segment], names: &[Box<str>]) -> u32 {
        let mut names = names.iter();
        let mut at = 0;
        for segment in segments {
            let new = self.twigs.len() as u32;
            let twig: &mut Twig = &mut self.twigs[at];
            let next = match segment {
                Segment::Literal(text) => *twig.literals.entry(text.clone()).or_insert(new),
                Segment::Variable => {
                    let name = names.next().expect("a name for each variable");
                    twig.variable.get_or_insert_with(|| (name.clone(), new)).1
                }
                Segment::Greedy => {
                    let name = names.next().expect("a name for each variable");
                    let endpoint = self.endpoints.len() as u32;
                    let found = twig.greedy.get_or_insert_with(|| (name.clone(), endpoint)).1;
                    if found == endpoint {
                        self.endpoints.push([NONE; 8]);
                    }
                    return found;
                }
            };
            if next == new {
                self.twigs.push(Twig::default());
            }
            at = next as usize;
        }
        let endpoint = self.endpoints.len() as u32;
        let found = *self.twigs[at].endpoint.get_or_insert(endpoint);
        if found == endpoint {
            self.endpoints.push([NONE; 8]);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(trie: &mut Trie, verb: Option<Verb>, path: &str, method: u32) -> Result<(), RouteFault> {
        trie.route(verb, &Template::parse(path).expect(path), method)
    }

    #[test]
    fn the_same_verb_on_the_same_path_is_a_duplicate() {
        for kind in [Kind::Rest, Kind::Http] {
            let mut trie = Trie::new(kind);
            assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id}", 0), Ok(()));
            assert_eq!(add(&mut trie, Some(Verb::Put), "/a/{id}", 1), Ok(()));
            assert_eq!(add(&mut trie, None, "/a/{id}", 2), Ok(()));
            let duplicate = |of| Err(RouteFault::Duplicate { of });
            assert_eq!(add(&mut trie, Some(Verb::Put), "/a/{id}", 3), duplicate(1));
            assert_eq!(add(&mut trie, None, "/a/{id}", 3), duplicate(2));
            assert_eq!(add(&mut trie, None, "/b/{x+}", 4), Ok(()));
            assert_eq!(add(&mut trie, None, "/b/{x+}", 5), duplicate(4));
        }
    }

    #[test]
    fn http_names_make_no_difference_but_may_differ() {
        let mut trie = Trie::new(Kind::Http);
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id}", 0), Ok(()));
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{name}", 1), Err(RouteFault::Duplicate { of: 0 }));
        assert_eq!(add(&mut trie, Some(Verb::Put), "/a/{name}", 1), Ok(()));
        assert_eq!(add(&mut trie, Some(Verb::Put), "/a/{rest+}", 2), Ok(()));
    }

    #[test]
    fn rt_04_rest_has_one_variable_among_siblings() {
        let second = |sibling: &str| Err(RouteFault::SecondVariable { sibling: sibling.into() });
        let mut trie = Trie::new(Kind::Rest);
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id}/x", 0), Ok(()));
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{name}", 1), second("{id}"));
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id+}", 1), second("{id}"));
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id}", 1), Ok(()));
        assert_eq!(add(&mut trie, Some(Verb::Get), "/b/{proxy+}", 2), Ok(()));
        assert_eq!(add(&mut trie, Some(Verb::Get), "/b/{proxy}/x", 3), second("{proxy+}"));
        assert_eq!(add(&mut trie, Some(Verb::Put), "/b/{rest+}", 3), second("{proxy+}"));
        assert_eq!(add(&mut trie, Some(Verb::Put), "/b/{proxy+}", 3), Ok(()));
        assert_eq!(second("{id}").expect_err("a fault").to_string().matches("{id}").count(), 1);
    }

    #[test]
    fn a_refused_route_leaves_no_trace() {
        let mut trie = Trie::new(Kind::Rest);
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id}", 0), Ok(()));
        let before = trie.twigs.len();
        assert!(add(&mut trie, Some(Verb::Get), "/a/{name}/b/{c}", 1).is_err());
        assert_eq!(trie.twigs.len(), before);
        assert_eq!(add(&mut trie, Some(Verb::Get), "/a/{id}/b/{d}", 1), Ok(()));
    }

    #[test]
    fn rt_08_rest_ignores_a_template_s_trailing_slash_and_http_does_not() {
        let mut rest = Trie::new(Kind::Rest);
        assert_eq!(add(&mut rest, Some(Verb::Get), "/a", 0), Ok(()));
        assert_eq!(add(&mut rest, Some(Verb::Get), "/a/", 1), Err(RouteFault::Duplicate { of: 0 }));
        assert_eq!(add(&mut rest, Some(Verb::Get), "/", 1), Ok(()));
        let mut http = Trie::new(Kind::Http);
        assert_eq!(add(&mut http, Some(Verb::Get), "/a", 0), Ok(()));
        assert_eq!(add(&mut http, Some(Verb::Get), "/a/", 1), Ok(()));
    }

    #[test]
    fn only_http_has_one_default() {
        for kind in [Kind::Rest, Kind::WebSocket] {
            assert_eq!(Trie::new(kind).default_route(0), Err(RouteFault::NoDefault));
        }
        let mut http = Trie::new(Kind::Http);
        assert_eq!(http.default_route(5), Ok(()));
        assert_eq!(http.default_route(6), Err(RouteFault::Duplicate { of: 5 }));
    }

    #[test]
    fn shadowed_methods_are_found() {
        let mut trie = Trie::new(Kind::Http);
        for (verb, method) in Verb::ALL.into_iter().zip(0..) {
            assert_eq!(trie.shadowed(), []);
            add(&mut trie, Some(verb), "/a", method).expect("new");
            if method == 0 {
                add(&mut trie, None, "/a", 9).expect("new");
            }
        }
        assert_eq!(trie.shadowed(), [(9, 0)]);
        trie.default_route(10).expect("new");
        add(&mut trie, None, "/{p+}", 11).expect("new");
        assert_eq!(trie.shadowed(), [(9, 0)]);
        add(&mut trie, None, "/", 12).expect("new");
        assert_eq!(trie.shadowed(), [(9, 0), (10, 11)]);
    }
}
