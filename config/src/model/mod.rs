//! A document as the operator wrote it: owned, with places, nothing resolved. One file for each kind of part.

pub mod api;
pub mod domain;
pub mod field;
pub mod gateway;
pub mod integration;
pub mod openapi;
pub mod reader;
pub mod route;
pub mod settings;
pub mod stage;
pub mod upstream;
pub mod values;

use self::api::ApiSpec;
use self::domain::DomainSpec;
use self::field::{Field, Table, Type};
use self::gateway::GatewaySpec;
use self::reader::Reader;
use self::upstream::UpstreamSpec;
use crate::source::node::Node;

/// A whole document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Listeners, limits, the process's places.
    pub gateway: GatewaySpec,
    /// The machines that answer, by name.
    pub upstreams: Vec<UpstreamSpec>,
    /// The APIs, by id.
    pub apis: Vec<ApiSpec>,
    /// Host names and what they mean; `None`: not written at all.
    pub domains: Option<Vec<DomainSpec>>,
}

/// The fields of a document.
pub const DOCUMENT: Table = Table {
    name: "the document",
    fields: &[
        Field::new("gateway", Type::Object(&gateway::GATEWAY), "listeners, limits, and the places of the process")
            .needed(),
        Field::new("upstreams", Type::Objects(&upstream::UPSTREAM), "the machines that answer, by name"),
        Field::new("apis", Type::Objects(&api::API), "the APIs, by id"),
        Field::new("domains", Type::Objects(&domain::DOMAIN), "host names, and the API and stage behind each path"),
        Field::later("usage_plans", "throttles and quotas for holders of API keys"),
        Field::later("api_keys", "the keys, by name"),
    ],
};

impl Document {
    /// Reads a document from its nodes. Goes on after every fault; `None` only if there is nothing to read.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &DOCUMENT)?;
        let gateway = match object.get("gateway") {
            Some(node) => GatewaySpec::read(node, reader),
            None => GatewaySpec::absent(node.place, reader),
        };
        let upstreams = reader.each(object.get("upstreams"), "upstreams", UpstreamSpec::read);
        let apis = reader.each(object.get("apis"), "APIs", ApiSpec::read);
        let domains = object.get("domains").map(|node| reader.each(Some(node), "domains", DomainSpec::read));
        object.close();
        Some(Self { gateway: gateway?, upstreams, apis, domains })
    }
}
