//! The frozen table: host, then base path or stage, then the route.

use crate::{
    glob::Glob,
    host::{Answerer, Hosts, execute_api_label},
    kind::Kind,
    mapping::{ApiId, StageRef, Stages},
    site::Site,
};

/// Whose stage answers; which of its methods is for the stage's own routes to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The API.
    pub api: ApiId,
    /// The stage, as numbered by the caller of `Builder::stage`.
    pub stage: u32,
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
    /// The host is the execute-api name of an API that does not answer there (`disableExecuteApiEndpoint`, RT-17).
    Closed {
        /// The API.
        api: ApiId,
    },
    /// The host is known, but no base path and no routing rule fits (DM-03, DM-05).
    Mapping {
        /// The kind of the host's APIs, if they are all of one.
        kind: Option<Kind>,
    },
}

/// Hosts, routing rules, mappings and stages, frozen. Made by `Builder::build`.
#[derive(Debug)]
pub struct Table {
    pub(crate) hosts: Hosts,
    pub(crate) sites: Box<[Site]>,
    pub(crate) apis: Box<[Api]>,
    pub(crate) sole: Option<ApiId>,
}

/// What the table knows of one API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) id: Box<str>,
    /// Whether the execute-api name answers.
    pub(crate) open: bool,
    pub(crate) stages: Stages,
}

impl Table {
    /// The API and stage for a request. Allocates nothing; the work is bounded by the path's length and the host's rules.
    ///
    /// - `host` as received, without a port; any case, maybe with a trailing dot; empty if there was none.
    /// - `path` in canonical form; it starts with `/`.
    /// - `execute_api`: whether the listener lets `{api}.execute-api.*` answer.
    /// - `header`: whether the request has a field of this name, given in lower case, whose value fits (DM-05).
    #[inline]
    pub fn locate(
        &self,
        host: &[u8],
        path: &[u8],
        execute_api: bool,
        header: impl FnMut(&str, &Glob) -> bool,
    ) -> Result<Located, Miss> {
        let (StageRef { api, stage }, rest) = self.stage(host, path, execute_api, header)?;
        // Longer paths than `PATH_BYTES_MAX` match no route; codec refuses them long before.
        Ok(Located { api, stage, rest: u16::try_from(rest).unwrap_or(u16::MAX) })
    }

    /// The stage, and where the API's own path begins.
    #[inline]
    fn stage(
        &self,
        host: &[u8],
        path: &[u8],
        execute_api: bool,
        header: impl FnMut(&str, &Glob) -> bool,
    ) -> Result<(StageRef, usize), Miss> {
        let id = match self.hosts.get(host, execute_api) {
            Some(Answerer::Site(site)) => {
                let site = &self.sites[site as usize];
                return site.get(path, header).ok_or(Miss::Mapping { kind: site.kind });
            }
            Some(Answerer::Api(api)) if !self.apis[api as usize].open => return Err(Miss::Closed { api: ApiId(api) }),
            Some(Answerer::Api(api)) => ApiId(api),
            None => self.sole(host)?,
        };
        self.apis[id.0 as usize].stages.get(path).ok_or(Miss::Stage { api: id })
    }

    /// The API for hosts that nothing else answers. A closed name is closed also where the listener knows no execute-api names.
    fn sole(&self, host: &[u8]) -> Result<ApiId, Miss> {
        let sole = self.sole.ok_or(Miss::Host)?;
        let api = &self.apis[sole.0 as usize];
        let is_own = |label: &[u8]| label.eq_ignore_ascii_case(api.id.as_bytes());
        if !api.open && execute_api_label(host).is_some_and(is_own) {
            return Err(Miss::Closed { api: sole });
        }
        Ok(sole)
    }
}
