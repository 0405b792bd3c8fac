//! A deployment stage of an API.

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::settings::{self, MethodSettingsSpec, ThrottleSpec};
use crate::model::throttle::{self, ByClientSpec, CONCURRENCY};
use crate::model::tls::{CLIENT_CERTIFICATE, CertificateSpec};
use crate::model::values::At;
use crate::source::node::{Node, Text};

/// One stage, as written.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// Its name.
    pub name: Text,
    /// Name and value (ST-02).
    pub variables: Vec<(Text, Text)>,
    /// Whether the document is what serves (ST-05); `None`: yes. Otherwise the deployment serves that the state directory names.
    pub auto_deploy: Option<At<bool>>,
    /// A share of the requests for another deployment (ST-09).
    pub canary: Option<CanarySpec>,
    /// Settings of single methods (ST-07, ST-08).
    pub methods: Vec<MethodSettingsSpec>,
    /// What the gateway proves itself with to backends (IN-19).
    pub client_certificate: Option<CertificateSpec>,
    /// Requests per second of the stage as a whole.
    pub throttle: Option<ThrottleSpec>,
    /// Requests per second of each client.
    pub throttle_by: Vec<ByClientSpec>,
    /// Requests at work at once.
    pub concurrency: Option<At<u32>>,
}

/// A canary, as written.
#[derive(Debug, Clone)]
pub struct CanarySpec {
    /// Where it begins.
    pub place: Place,
    /// Of the requests, 0 to 100; `None`: unreadable, which is a fault already.
    pub percent: Option<At<f64>>,
    /// These win over the stage's own.
    pub variables: Vec<(Text, Text)>,
}

/// The fields of a stage.
pub const STAGE: Table = Table {
    name: "a stage",
    fields: &[
        Field::new("variables", Type::Texts, "stage variables, ${stageVariables.name} in a uri"),
        Field::new("auto_deploy", Type::Flag, "false: serve the deployment that `tollgate deploy` froze"),
        Field::new("canary", Type::Object(&CANARY), "a share of the requests for another deployment"),
        Field::new(
            "methods",
            Type::Objects(&settings::SETTINGS),
            "settings by method: \"GET /pets\", or \"*/*\" for all",
        ),
        Field::new("throttle", Type::Object(&settings::THROTTLE), "requests per second of all methods together"),
        Field::new("throttle_by", Type::List(&throttle::BY_CLIENT), "requests per second of each client"),
        CONCURRENCY,
        Field::new(
            "client_certificate",
            Type::Object(&CLIENT_CERTIFICATE),
            "what the gateway proves itself with to backends",
        ),
        Field::later("access_log", "an access log of this stage"),
        Field::later("cache", "kept answers"),
    ],
};

/// The fields of `canary`.
pub const CANARY: Table = Table {
    name: "`canary`",
    fields: &[
        Field::new("percent", Type::Decimal, "its share of the requests, 0 to 100").needed(),
        Field::new("variables", Type::Texts, "stage variables of the canary alone; they win over the stage's"),
    ],
};

impl StageSpec {
    /// Reads one stage.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut spec = Self {
            name: name.clone(),
            variables: Vec::new(),
            auto_deploy: None,
            canary: None,
            methods: Vec::new(),
            client_certificate: None,
            throttle: None,
            throttle_by: Vec::new(),
            concurrency: None,
        };
        let Some(object) = reader.object(node, &STAGE) else {
            // The name stands, so that what leads to it does not fail a second time.
            return Some(spec);
        };
        if let Some(node) = object.get("variables") {
            spec.variables = reader.texts(node, "`variables`", "stage variable");
        }
        spec.auto_deploy = object.get("auto_deploy").and_then(|node| {
            let value = reader.flag(node, "`auto_deploy`")?;
            Some(At { value, place: node.place })
        });
        spec.canary = object.get("canary").and_then(|node| CanarySpec::read(node, reader));
        spec.methods = reader.each(object.get("methods"), "`methods`", MethodSettingsSpec::read);
        if spec.methods.len() > limits::METHOD_SETTINGS_MAX {
            reader.faults.error(name.place, format!("more than {} `methods`", limits::METHOD_SETTINGS_MAX));
        }
        spec.client_certificate =
            object.get("client_certificate").and_then(|node| CertificateSpec::read_client(node, reader));
        spec.throttle = object.get("throttle").and_then(|node| ThrottleSpec::read(node, reader));
        if let Some(node) = object.get("throttle_by") {
            spec.throttle_by = reader.list(node).iter().filter_map(|node| ByClientSpec::read(node, reader)).collect();
        }
        spec.concurrency = throttle::concurrency(&object, reader);
        object.close();
        Some(spec)
    }
}

impl CanarySpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &CANARY)?;
        let percent = object.get("percent").and_then(|node| reader.decimal(node, "`percent`", 0.0, 100.0));
        if object.lacks("percent") {
            reader.faults.error_hint(
                object.place,
                "a canary needs its share of the requests",
                "write `percent: 10`; 0 is a canary that nobody meets",
            );
        }
        let variables =
            object.get("variables").map(|node| reader.texts(node, "`variables`", "stage variable")).unwrap_or_default();
        object.close();
        Some(Self { place: node.place, percent, variables })
    }
}
