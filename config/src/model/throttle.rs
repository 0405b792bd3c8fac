//! Limits of requests beside those of methods: by client, at work at once, of the whole gateway, and what clients are told of them.

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::model::settings::{THROTTLE, ThrottleSpec};
use crate::model::values::At;
use crate::snapshot::Tell;
use crate::source::node::{Node, Text, Value};

/// One entry of `throttle_by`, as written.
#[derive(Debug, Clone)]
pub struct ByClientSpec {
    /// Where it begins.
    pub place: Place,
    /// In fields of answers, and in metrics; `None`: after what tells clients apart.
    pub name: Option<Text>,
    /// What tells clients apart; exactly one is right.
    pub by: Vec<At<BySpec>>,
    /// Rate and burst, which stand in the entry itself.
    pub throttle: Option<ThrottleSpec>,
    /// Requests of one client at work at once.
    pub concurrency: Option<At<u32>>,
    /// Clients that are told apart.
    pub clients: Option<u32>,
}

/// What tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BySpec {
    /// Their addresses, so many bits of them.
    Address {
        /// Of an IPv4 address.
        prefix_v4: u8,
        /// Of an IPv6 address.
        prefix_v6: u8,
    },
    /// A header field.
    Header(Text),
    /// What the authorizer has said of them.
    Claim(Text),
    /// Their API keys.
    ApiKey,
}

/// The part `account`, as written.
#[derive(Debug, Clone, Default)]
pub struct AccountSpec {
    /// Requests of all APIs together (TH-03).
    pub throttle: Option<ThrottleSpec>,
}

/// `concurrency` of stages, methods and routes.
pub const CONCURRENCY: Field =
    Field::new("concurrency", Type::Number, "requests at work at once, those whose answers are on their way included");

/// `rate_limit_fields` of APIs and of the gateway.
pub const RATE_LIMIT_FIELDS: Field = Field::new(
    "rate_limit_fields",
    Type::Flag,
    "RateLimit, RateLimit-Policy and Retry-After: refusals, the default, in answers 429; true: in all answers; false: never",
)
.or(&["refusals"]);

/// The fields of an entry of `throttle_by`.
pub const BY_CLIENT: Table = Table {
    name: "an entry of `throttle_by`",
    fields: &[
        Field::new("name", Type::Text, "its name in RateLimit fields; by default after what tells clients apart"),
        Field::new(
            "address",
            Type::Object(&ADDRESS),
            "by the client's address; true: IPv4 addresses, and IPv6 networks of 64 bits",
        )
        .short(Type::Flag),
        Field::new("header", Type::Text, "by the value of this header field; requests without it are one client"),
        Field::new(
            "claim",
            Type::Text,
            "by what the authorizer says of a caller, such as sub; requests without it are one client",
        ),
        Field::new("api_key", Type::Flag, "true: by the caller's API key; requests without one are one client"),
        Field::new("rate", Type::Decimal, "requests per second of one client"),
        Field::new("burst", Type::Decimal, "requests at once of one client, after a pause"),
        Field::new("concurrency", Type::Number, "requests of one client at work at once"),
        Field::new("clients", Type::Number, "clients that are told apart at least; 65,536 by default"),
    ],
};

/// The fields of `address`.
pub const ADDRESS: Table = Table {
    name: "`address`",
    fields: &[
        Field::new("prefix_v4", Type::Number, "bits of an IPv4 address; 32 by default"),
        Field::new("prefix_v6", Type::Number, "bits of an IPv6 address; 64 by default, what one customer has"),
    ],
};

/// The fields of `account`.
pub const ACCOUNT: Table = Table {
    name: "`account`",
    fields: &[Field::new(
        "throttle",
        Type::Object(&THROTTLE),
        "requests per second of all APIs together; off by default",
    )],
};

impl ByClientSpec {
    /// Reads one entry.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &BY_CLIENT)?;
        let name = object.get("name").and_then(|node| reader.text(node, "`name`"));
        let by = BySpec::read(&object, reader);
        let mut number = |name: &str| {
            let node = object.get(name)?;
            reader.decimal(node, &format!("`{name}`"), -1.0, limits::THROTTLE_MAX)
        };
        let (rate, burst) = (number("rate"), number("burst"));
        let is_written = object.get("rate").or(object.get("burst")).is_some();
        let throttle = is_written.then_some(ThrottleSpec { place: node.place, rate, burst });
        let concurrency = concurrency(&object, reader);
        let clients = object
            .get("clients")
            .and_then(|node| reader.number(node, "`clients`", 1, limits::THROTTLED_CLIENTS_MAX.into()));
        object.close();
        let clients = clients.map(|number| number as u32);
        Some(Self { place: node.place, name, by, throttle, concurrency, clients })
    }
}

impl ByClientSpec {
    /// What it is called: as written, else after what tells its clients apart.
    pub fn called(&self) -> Option<String> {
        if let Some(name) = &self.name {
            return Some(name.text.to_string());
        }
        Some(match &self.by.first()?.value {
            BySpec::Address { .. } => "address".to_owned(),
            BySpec::Header(name) => format!("header-{}", plain(&name.text)),
            BySpec::Claim(name) => format!("claim-{}", plain(&name.text)),
            BySpec::ApiKey => "api-key".to_owned(),
        })
    }
}

/// In characters that a name may have.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    text.chars().take(40).map(plain).collect()
}

impl BySpec {
    fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Vec<At<Self>> {
        let mut all = Vec::new();
        if let Some(node) = object.get("address")
            && let Some(value) = Self::read_address(node, reader)
        {
            all.push(At { value, place: node.place });
        }
        for (name, of) in [("header", Self::Header as fn(Text) -> Self), ("claim", Self::Claim)] {
            if let Some(node) = object.get(name)
                && let Some(text) = reader.text(node, &format!("`{name}`"))
            {
                all.push(At { value: of(text), place: node.place });
            }
        }
        if let Some(node) = object.get("api_key")
            && reader.flag(node, "`api_key`") == Some(true)
        {
            all.push(At { value: Self::ApiKey, place: node.place });
        }
        all
    }

    fn read_address(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let whole = Self::Address { prefix_v4: 32, prefix_v6: 64 };
        if matches!(node.value, Value::Scalar(_)) && !node.is_null() {
            return reader.flag(node, "`address`").filter(|by| *by).map(|_| whole);
        }
        let object = reader.object(node, &ADDRESS)?;
        let mut bits = |name: &str, most: u8| {
            let node = object.get(name)?;
            reader.number(node, &format!("`{name}`"), 1, most.into()).map(|bits| bits as u8)
        };
        let (v4, v6) = (bits("prefix_v4", 32), bits("prefix_v6", 128));
        object.close();
        Some(Self::Address { prefix_v4: v4.unwrap_or(32), prefix_v6: v6.unwrap_or(64) })
    }
}

impl AccountSpec {
    /// Reads `account`.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &ACCOUNT)?;
        let throttle = object.get("throttle").and_then(|node| ThrottleSpec::read(node, reader));
        object.close();
        Some(Self { throttle })
    }
}

/// Reads `concurrency`.
pub fn concurrency(object: &Object<'_>, reader: &mut Reader<'_>) -> Option<At<u32>> {
    let node = object.get("concurrency")?;
    let value = reader.number(node, "`concurrency`", 1, limits::CONCURRENCY_MAX.into())? as u32;
    Some(At { value, place: node.place })
}

/// Reads `rate_limit_fields`.
pub fn rate_limit_fields(object: &Object<'_>, reader: &mut Reader<'_>) -> Option<Tell> {
    let node = object.get("rate_limit_fields")?;
    if matches!(&node.value, Value::Scalar(text) if &*text.text == "refusals") {
        return Some(Tell::Refusals);
    }
    let always = reader.flag(node, "`rate_limit_fields`, unless it is refusals,")?;
    Some(if always { Tell::Always } else { Tell::Never })
}
