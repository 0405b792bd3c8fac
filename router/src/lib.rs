//! Which API, stage and method answers a request: host, rule, base path or stage; then a compiled radix tree of path templates.
//!
//! The crate is pure: no sockets, no clock, no `async`. Two things are collected, checked and frozen apart from each other, since a deployment
//! is not bound to a host: a [`Builder`] becomes the gateway's [`Table`], whose [`Table::locate`] finds API and stage; a [`RoutesBuilder`] becomes
//! the [`Routes`] of one deployment, whose [`Routes::find`] finds the method. Neither lookup allocates, and both are bounded.
//!
//! Priorities, from the outside in:
//!
//! 1. Host: exact name, then `*.example.com` (one label), then `{api}.execute-api.*`, then `*`.
//! 2. Routing rules, if the host's mode asks them: the lowest number that fits (DM-05).
//! 3. Base path: the longest mapping by whole segments (DM-03). Behind `execute-api` the first segment names the stage (RT-14, RT-17).
//! 4. Path, REST (RT-06): at each segment static, then `{variable}`, then `{greedy+}`; the first match that has the method wins.
//!    Path, HTTP (RT-12): the same order, but every match without a greedy variable comes before every match with one; `$default` is last.
//! 5. Verb: the verb itself, then `ANY` (RT-03).
//!
//! ```
//! use router::{Builder, Captures, Kind, RoutesBuilder, Template, Verb};
//!
//! let mut routes = RoutesBuilder::new(Kind::Rest);
//! routes.route(Some(Verb::Get), &Template::parse("/pets/{id}")?, 0)?;
//! let routes = routes.build();
//! let mut builder = Builder::new();
//! let api = builder.api("petstore", Kind::Rest);
//! builder.stage(api, "prod", 0);
//! builder.sole_api(api);
//! let table = builder.build();
//!
//! let path = b"/prod/pets/7";
//! let located = table.locate(b"localhost", path, true, |_, _| false).expect("there is such a stage");
//! assert_eq!((located.stage, located.rest), (0, 5));
//! let mut captures = Captures::new();
//! assert_eq!(routes.find(path, located.rest, Verb::Get, &mut captures), Some(0));
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
pub mod properties;
mod routes;
mod routes_builder;
mod routing_rules;
mod site;
mod stored;
mod table;
mod template;
mod verb;

pub use builder::Builder;
pub use captures::Captures;
pub use glob::{Glob, GlobFault};
pub use host::{HostFault, HostPattern, HostProblem};
pub use kind::Kind;
pub use mapping::{ApiId, MapFault, StageRef};
pub use routes::Routes;
pub use routes_builder::{RouteFault, RoutesBuilder};
pub use routing_rules::{RoutingMode, RoutingRule, RuleFault};
pub use table::{Located, Miss, Table};
pub use template::{Template, TemplateFault, TemplateProblem};
pub use verb::Verb;
