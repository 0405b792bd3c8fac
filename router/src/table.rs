//! The frozen table: host, then base path or stage, then the route.

use crate::{
    captures::Captures,
    host::{Answerer, Hosts},
    kind::Kind,
    mapping::{ApiId, Site, StageRef, Stages},
    tree::Tree,
    verb::Verb,
};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The host as received, without a port; any case, maybe with a trailing dot; empty if there was none.
    pub host: &'a [u8],
    /// The canonical path; it starts with `/`.
    pub path: &'a [u8],
    /// `None` for a method that API Gateway does not know: it matches nothing, not even `ANY` or `$default`.
    pub verb: Option<Verb>,
    /// Whether the listener lets `{api}.execute-api.*` answer.
    pub execute_api: bool,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The API.
    pub api: ApiId,
    /// The stage, as numbered by the caller of `Builder::stage`.
    pub stage: u32,
    /// The method, as numbered by the caller of `Builder::route`.
    pub method: u32,
    /// Where in the path the API's own path begins, after base path or stage. It may be the path's length: the own path is `/` then.
    pub rest: u16,
}

/// Why nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No API answers this host.
    Host,
    /// The API is known, but the path names no stage of it (RT-07, RT-14).
    Stage {
        /// The API.
        api: ApiId,
    },
    /// The host is known, but no base path fits (DM-03).
    Mapping {
        /// The kind of the host's APIs, if they are all of one.
        kind: Option<Kind>,
    },
    /// The stage has no method for this path and verb; the two are not told apart (RT-07, RT-12).
    Route {
        /// The API.
        api: ApiId,
        /// The stage, as numbered by the caller of `Builder::stage`.
        stage: u32,
        /// Where in the path the API's own path begins.
        rest: u16,
    },
}

/// Hosts, mappings, stages and routes, frozen. Made by `Builder::build`.
#[derive(Debug)]
pub struct Table {
    pub(crate) hosts: Hosts,
    pub(crate) sites: Box<[Site]>,
    pub(crate) apis: Box<[Api]>,
    pub(crate) trees: Box<[Tree]>,
    pub(crate) sole: Option<ApiId>,
}

/// What the table knows of one API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) stages: Stages,
}

impl Table {
    /// The method for a request. Allocates nothing; the work is bounded by the path's length and the table's size.
    ///
    /// `captures` belongs to the answer: it is empty after a miss.
    #[inline]
    pub fn find(&self, ask: &Ask<'_>, captures: &mut Captures) -> Result<Found, Miss> {
        captures.clear();
        let (place, rest) = self.stage(ask)?;
        let StageRef { api, stage, tree } = place;
        let found = ask.verb.and_then(|verb| self.trees[tree as usize].find(ask.path, rest, verb, captures));
        // Longer paths than `PATH_BYTES_MAX` match no route; codec refuses them long before.
        let rest = u16::try_from(rest).unwrap_or(u16::MAX);
        match found {
            Some(method) => Ok(Found { api, stage, method, rest }),
            None => Err(Miss::Route { api, stage, rest }),
        }
    }

    /// The stage, and where the API's own path begins.
    #[inline]
    fn stage(&self, ask: &Ask<'_>) -> Result<(StageRef, usize), Miss> {
        let api = match self.hosts.get(ask.host, ask.execute_api) {
            Some(Answerer::Site(site)) => {
                let site = &self.sites[site as usize];
                return site.get(ask.path).ok_or(Miss::Mapping { kind: site.kind });
            }
            Some(Answerer::Api(api)) => ApiId(api),
            None => self.sole.ok_or(Miss::Host)?,
        };
        self.apis[api.0 as usize].stages.get(ask.path).ok_or(Miss::Stage { api })
    }
}
