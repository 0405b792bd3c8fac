//! A document as the operator wrote it: owned, with places, nothing resolved. One file for each kind of part.

pub mod answers;
pub mod api;
pub mod authorizers;
pub mod clients;
pub mod cloud;
pub mod domain;
pub mod field;
pub mod firewall;
pub mod gateway;
pub mod integration;
pub mod keys;
pub mod openapi;
pub mod plans;
pub mod principals;
pub mod reader;
pub mod resilience;
pub mod route;
pub mod settings;
pub mod stage;
pub mod throttle;
pub mod tls;
pub mod trust;
pub mod upstream;
pub mod values;

use self::api::ApiSpec;
use self::domain::DomainSpec;
use self::field::{Field, Table, Type};
use self::gateway::GatewaySpec;
use self::keys::KeysSpec;
use self::plans::PlanSpec;
use self::reader::Reader;
use self::upstream::UpstreamSpec;
use crate::source::node::{Node, Text, Value};

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
    /// What holders of keys may do, by name.
    pub plans: Vec<PlanSpec>,
    /// The keys that the document names.
    pub keys: KeysSpec,
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
        Field::new("usage_plans", Type::Objects(&plans::PLAN), "throttles and quotas for holders of API keys, by name"),
        Field::new(
            "api_keys",
            Type::ObjectsAndFiles(&keys::KEY),
            "API keys, by name; `file: keys.csv` names a file of many, in API Gateway's form",
        ),
    ],
};

impl Document {
    /// Reads a document from its nodes. Goes on after every fault; `None` only if there is nothing to read.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Some(key) = openapi_mark(node) {
            let hint = "`tollgate import FILE -o gateway.yaml` writes a configuration that serves it";
            reader.faults.error_hint(key.place, "this is an OpenAPI document, not a gateway.yaml", hint);
            return None;
        }
        let object = reader.object(node, &DOCUMENT)?;
        let gateway = match object.get("gateway") {
            Some(node) => GatewaySpec::read(node, reader),
            None => GatewaySpec::absent(node.place, reader),
        };
        let upstreams = reader.each(object.get("upstreams"), "upstreams", UpstreamSpec::read);
        let apis = reader.each(object.get("apis"), "APIs", ApiSpec::read);
        let domains = object.get("domains").map(|node| reader.each(Some(node), "domains", DomainSpec::read));
        let plans = reader.each(object.get("usage_plans"), "`usage_plans`", PlanSpec::read);
        let keys = object.get("api_keys").map(|node| KeysSpec::read(node, reader)).unwrap_or_default();
        object.close();
        Some(Self { gateway: gateway?, upstreams, apis, domains, plans, keys })
    }
}

/// The key that says so, if somebody has named an OpenAPI document in place of a configuration.
fn openapi_mark(node: &Node) -> Option<&Text> {
    let Value::Map(entries) = &node.value else { return None };
    let key = |names: [&str; 2]| entries.iter().map(|entry| &entry.key).find(|key| names.contains(&&*key.text));
    key(["openapi", "swagger"]).filter(|_| key(["gateway", "apis"]).is_none())
}
