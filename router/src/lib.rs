//! Which API, stage and method answers a request: host, base path or stage, then a compiled radix tree of path templates.
//!
//! The crate is pure: no sockets, no clock, no `async`. A [`Builder`] collects routes and reports what is wrong with them; [`Builder::build`]
//! freezes all of it into a [`Table`] of flat arrays, and [`Table::find`] answers without allocating.
//!
//! Priorities, from the outside in:
//!
//! 1. Host: exact name, then `*.example.com` (one label), then `{api}.execute-api.*`, then `*`.
//! 2. Base path: the longest mapping by whole segments (DM-03). Behind `execute-api` the first segment names the stage (RT-14, RT-17).
//! 3. Path, REST (RT-06): at each segment static, then `{variable}`, then `{greedy+}`; the first match that has the method wins.
//!    Path, HTTP (RT-12): the same order, but every match without a greedy variable comes before every match with one; `$default` is last.
//! 4. Verb: the verb itself, then `ANY` (RT-03).
//!
//! ```
//! use router::{Ask, Builder, Captures, Kind, Template, Verb};
//!
//! let mut builder = Builder::new();
//! let tree = builder.tree(Kind::Rest);
//! builder.route(tree, Some(Verb::Get), &Template::parse("/pets/{id}")?, 0)?;
//! let api = builder.api("petstore", Kind::Rest);
//! builder.stage(api, "prod", tree, 0);
//! builder.sole_api(api);
//! let table = builder.build();
//!
//! let mut captures = Captures::new();
//! let path = b"/prod/pets/7";
//! let ask = Ask { host: b"localhost", path, verb: Some(Verb::Get), execute_api: true };
//! let found = table.find(&ask, &mut captures).expect("there is such a route");
//! assert_eq!((found.method, found.rest), (0, 5));
//! assert_eq!(captures.of(0, path), Some(&b"7"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod captures;
mod glob;
mod host;
mod kind;
pub mod limits;
mod mapping;
mod names;
mod pack;
mod routes;
mod routing_rules;
mod stored;
mod table;
mod template;
mod tree;
mod trie;
mod verb;

pub use builder::{Builder, Shadow, TreeId};
pub use captures::Captures;
pub use glob::{Glob, GlobFault};
pub use host::{HostFault, HostPattern, HostProblem};
pub use kind::Kind;
pub use mapping::{ApiId, MapFault, StageRef};
pub use routes::{Routes, RoutesBuilder};
pub use routing_rules::{RoutingMode, RoutingRule, RuleFault};
pub use table::{Ask, Found, Located, Miss, Table};
pub use template::{Template, TemplateFault, TemplateProblem};
pub use trie::RouteFault;
pub use verb::Verb;
