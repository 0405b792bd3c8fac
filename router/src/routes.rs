//! The routes of one deployment: collected in a [`RoutesBuilder`], frozen in [`Routes`].

use crate::{
    captures::Captures,
    kind::Kind,
    pack::pack,
    template::Template,
    tree::Tree,
    trie::{NONE, RouteFault, Trie},
    verb::Verb,
};

/// Collects the routes of one deployment. Faults are returned one by one, so that a caller can report all of them.
#[derive(Debug)]
pub struct RoutesBuilder(Trie);

impl RoutesBuilder {
    /// No routes yet, for an API of this kind.
    pub fn new(kind: Kind) -> Self {
        Self(Trie::new(kind))
    }

    /// Adds a route; `verb` is `None` for `ANY`. `method` is what [`Routes::find`] returns, and at most `limits::METHOD_MAX`.
    /// A refused route changes nothing.
    pub fn route(&mut self, verb: Option<Verb>, template: &Template, method: u32) -> Result<(), RouteFault> {
        self.0.route(verb, template, method)
    }

    /// Sets the `$default` route of an HTTP API (RT-13).
    pub fn default_route(&mut self, method: u32) -> Result<(), RouteFault> {
        self.0.default_route(method)
    }

    /// Methods that no request can reach, each with one that always answers before it.
    pub fn shadowed(&self) -> Vec<(u32, u32)> {
        self.0.shadowed()
    }

    /// Freezes the routes.
    pub fn build(&self) -> Routes {
        Routes(pack(&self.0))
    }
}

/// The routes of one deployment, frozen. Stages may share them.
#[derive(Clone, Debug)]
pub struct Routes(pub(crate) Tree);

impl Routes {
    /// The method for a verb and the path that begins at `rest` in `path`; an empty one is `/`. Allocates nothing; the work is bounded by the
    /// path's length and the number of routes.
    ///
    /// `captures` belongs to the answer: offsets in the whole `path`, and empty after a miss.
    #[inline]
    pub fn find(&self, path: &[u8], rest: u16, verb: Verb, captures: &mut Captures) -> Option<u32> {
        captures.clear();
        self.0.find(path, rest as usize, verb, captures)
    }

    /// The largest number of a method that [`Routes::find`] can return; `None` without routes.
    pub fn methods_max(&self) -> Option<u32> {
        let methods = self.0.endpoints.iter().flatten().chain([&self.0.default]);
        methods.copied().filter(|&method| method != NONE).max()
    }
}
