//! `firewall` of an API and of the gateway: sets of addresses, and rules in their order (POL-04).

use std::time::Duration;

use policy::firewall::{Group, Part, Step, Then};

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::model::values::At;
use crate::source::node::{Node, Text};

/// A firewall, as written.
#[derive(Debug, Clone)]
pub struct FirewallSpec {
    /// Where it begins.
    pub place: Place,
    /// Whether it blocks what no rule decides.
    pub blocks: bool,
    /// By name.
    pub sets: Vec<SetSpec>,
    /// In their order.
    pub rules: Vec<RuleSpec>,
}

/// A set of addresses, as written.
#[derive(Debug, Clone)]
pub struct SetSpec {
    /// Its name.
    pub name: Text,
    /// Ranges that stand here.
    pub addresses: Vec<Text>,
    /// Files with more of them.
    pub files: Vec<Text>,
}

/// A rule, as written.
#[derive(Debug, Clone)]
pub struct RuleSpec {
    /// Where it begins.
    pub place: Place,
    /// In metrics and logs.
    pub name: Option<Text>,
    /// Of which requests; `None`: of all.
    pub when: Option<WhenSpec>,
    /// Of which of their clients.
    pub rate: Option<RateSpec>,
    /// What becomes of them.
    pub then: Option<Then>,
}

/// How fast clients may be, as written.
#[derive(Debug, Clone, Copy)]
pub struct RateSpec {
    /// Where it begins.
    pub place: Place,
    /// Requests of one address.
    pub limit: Option<u32>,
    /// In which time.
    pub window: Duration,
    /// Addresses that are told apart.
    pub clients: Option<u32>,
}

/// A condition, as written: all of its parts must hold.
#[derive(Debug, Clone)]
pub struct WhenSpec {
    /// Where it begins.
    pub place: Place,
    /// Names of sets, and ranges.
    pub address: Vec<Text>,
    /// Verbs.
    pub method: Vec<Text>,
    /// What is asked of the path.
    pub path: Option<TextSpec>,
    /// What is asked of a header field.
    pub header: Option<TextSpec>,
    /// What is asked of the query.
    pub query: Option<TextSpec>,
    /// Sizes, one of which it has to exceed.
    pub larger: Vec<(Part, u64)>,
    /// Groups of managed rules, one of which it has to look like.
    pub managed: Vec<Group>,
    /// What must not hold.
    pub not: Option<Box<WhenSpec>>,
    /// What must hold.
    pub all: Vec<WhenSpec>,
    /// Of what one must hold; `None`: nothing is written.
    pub any: Option<Vec<WhenSpec>>,
}

/// What is asked of a text, as written.
#[derive(Debug, Clone)]
pub struct TextSpec {
    /// Where it begins.
    pub place: Place,
    /// Of a field or parameter.
    pub name: Option<Text>,
    /// That it is there.
    pub present: Option<At<bool>>,
    /// How it is compared, and with what; exactly one is right, or `present`.
    pub compare: Vec<(How, Vec<Text>, Place)>,
    /// What is made of it before; `None`: what is usual for such a text.
    pub transform: Option<Vec<Step>>,
}

/// A way to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The whole text.
    Equals,
    /// Its beginning.
    Prefix,
    /// Its end.
    Suffix,
    /// Any part.
    Contains,
    /// An expression.
    Regex,
}

const WAYS: [(&str, How); 5] = [
    ("equals", How::Equals),
    ("prefix", How::Prefix),
    ("suffix", How::Suffix),
    ("contains", How::Contains),
    ("regex", How::Regex),
];

const PARTS: [(&str, Part); 4] =
    [("path", Part::Path), ("query", Part::Query), ("headers", Part::Headers), ("body", Part::Body)];

/// `firewall` of the gateway and of APIs.
pub const FIREWALL_FIELD: Field = Field::new(
    "firewall",
    Type::Object(&FIREWALL),
    "rules on addresses and requests, asked first of all; those of the gateway before those of the API",
);

/// The fields of `firewall`.
pub static FIREWALL: Table = Table {
    name: "`firewall`",
    fields: &[
        Field::new(
            "default",
            Type::Word(&["allow", "block"]),
            "what becomes of what no rule decides; allow by default",
        ),
        Field::new("sets", Type::Objects(&SET), "sets of addresses, by name"),
        Field::new(
            "rules",
            Type::List(&RULE),
            "in this order; the first one that holds, and does not only count, decides",
        ),
    ],
};

static SET: Table = Table {
    name: "a set of addresses",
    fields: &[
        Field::new(
            "addresses",
            Type::TextList,
            "addresses and ranges: 192.0.2.7, 10.0.0.0/8, 2001:db8::/32; unix: peers of Unix sockets",
        ),
        Field::new("file", Type::TextList, "files with one of them on each line; # begins what is for people"),
    ],
};

static RULE: Table = Table {
    name: "a rule of the firewall",
    fields: &[
        Field::new("name", Type::Text, "in metrics and logs").needed(),
        Field::new("when", Type::Object(&WHEN), "of which requests; all by default"),
        Field::new("rate", Type::Object(&RATE), "of these those whose address sends more than so many"),
        Field::new(
            "then",
            Type::Word(&["allow", "block", "count"]),
            "allow: it passes, and no later rule is asked; block: 403; count: it is counted, and the next rule is asked",
        )
        .needed(),
    ],
};

static RATE: Table = Table {
    name: "`rate`",
    fields: &[
        Field::new("limit", Type::Number, "requests of one address (IPv6: of one network of 64 bits)").needed(),
        Field::new("window", Type::Time, "in this time; 5m by default"),
        Field::new("clients", Type::Number, "addresses that are told apart at least; 65,536 by default"),
    ],
};

static WHEN: Table = Table {
    name: "`when`",
    fields: &[
        Field::new("address", Type::TextList, "the client is in one of these sets or ranges"),
        Field::new("method", Type::TextList, "it is one of these"),
        Field::new(
            "path",
            Type::Object(&TEXT),
            "of an API below stage and base path, of the gateway the whole; url_decode by default",
        ),
        Field::new("header", Type::Object(&HEADER), "the values of a header field"),
        Field::new(
            "query",
            Type::Object(&QUERY),
            "the whole query, or the values of a parameter; url_decode by default",
        ),
        Field::new("larger", Type::Object(&LARGER), "one of these parts has more bytes"),
        Field::new(
            "managed",
            Type::TextList,
            "it looks like one of these attacks: bad_inputs, sqli, xss, path_traversal, scanners",
        ),
        Field::new("not", Type::Object(&WHEN), "this does not hold"),
        Field::new("all", Type::List(&WHEN), "all of these hold"),
        Field::new("any", Type::List(&WHEN), "one of these holds"),
    ],
};

const EQUALS: Field = Field::new("equals", Type::TextList, "it is one of these");
const PREFIX: Field = Field::new("prefix", Type::TextList, "it begins with one of these");
const SUFFIX: Field = Field::new("suffix", Type::TextList, "it ends with one of these");
const CONTAINS: Field = Field::new("contains", Type::TextList, "it has one of these in it");
const REGEX: Field = Field::new("regex", Type::TextList, "a part of it fits one of these expressions of bytes");
const TRANSFORM: Field = Field::new(
    "transform",
    Type::TextList,
    "what is made of it before, in this order: url_decode, lowercase, compress_white_space, normalize_path; or none",
);
const PRESENT: Field = Field::new("present", Type::Flag, "true: it is there, whatever it is");

static TEXT: Table =
    Table { name: "what is asked of the path", fields: &[EQUALS, PREFIX, SUFFIX, CONTAINS, REGEX, TRANSFORM] };

static HEADER: Table = Table {
    name: "what is asked of a header field",
    fields: &[
        Field::new("name", Type::Text, "the field's name, in any case; any of its values is enough").needed(),
        PRESENT,
        EQUALS,
        PREFIX,
        SUFFIX,
        CONTAINS,
        REGEX,
        TRANSFORM,
    ],
};

static QUERY: Table = Table {
    name: "what is asked of the query",
    fields: &[
        Field::new(
            "name",
            Type::Text,
            "a parameter's name, in its case; any of its values is enough. Without it: the whole query",
        ),
        PRESENT,
        EQUALS,
        PREFIX,
        SUFFIX,
        CONTAINS,
        REGEX,
        TRANSFORM,
    ],
};

static LARGER: Table = Table {
    name: "`larger`",
    fields: &[
        Field::new("path", Type::Size, "bytes of the path"),
        Field::new("query", Type::Size, "bytes of the query"),
        Field::new("headers", Type::Size, "bytes of the names and values of all header fields"),
        Field::new(
            "body",
            Type::Size,
            "bytes of the body as it is announced; one of unknown length is larger than any size",
        ),
    ],
};

impl FirewallSpec {
    /// Reads the part.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &FIREWALL)?;
        let words = [("allow", false), ("block", true)];
        let blocks = object.get("default").and_then(|node| reader.word(node, "`default`", &words, &[]));
        let sets = reader.each(object.get("sets"), "`sets`", SetSpec::read);
        let rules = object.get("rules").map(|node| reader.list(node)).unwrap_or_default();
        let rules = rules.iter().filter_map(|node| RuleSpec::read(node, reader)).collect();
        object.close();
        Some(Self { place: node.place, blocks: blocks.is_some_and(|at| at.value), sets, rules })
    }
}

impl SetSpec {
    fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &SET)?;
        let (addresses, files) = (texts(&object, "addresses", reader), texts(&object, "file", reader));
        object.close();
        Some(Self { name: name.clone(), addresses, files })
    }
}

impl RuleSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &RULE)?;
        let name = object.get("name").and_then(|node| reader.text(node, "`name`"));
        if object.lacks("name") {
            let hint = "write `name: admin-only`: it stands in metrics and logs";
            reader.faults.error_hint(object.place, "a rule of the firewall needs a name", hint);
        }
        let when = object.get("when").and_then(|node| WhenSpec::read(node, 0, reader));
        let rate = object.get("rate").and_then(|node| RateSpec::read(node, reader));
        let words = [("allow", Then::Allow), ("block", Then::Block), ("count", Then::Count)];
        let then = object.get("then").and_then(|node| reader.word(node, "`then`", &words, &["challenge", "captcha"]));
        if object.lacks("then") {
            let hint = "write `then: block`, `then: allow` or `then: count`";
            reader.faults.error_hint(object.place, "a rule of the firewall needs `then`", hint);
        }
        // Nothing of a rule is served whose condition cannot be read: it would hold for more requests.
        object.close();
        Some(Self { place: node.place, name, when, rate, then: then.map(|at| at.value) })
    }
}

impl RateSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &RATE)?;
        let mut number = |name: &str, most: u32| {
            let node = object.get(name)?;
            reader.number(node, &format!("`{name}`"), 1, most.into()).map(|number| number as u32)
        };
        let limit = number("limit", limits::FIREWALL_RATE_MAX);
        let clients = number("clients", limits::THROTTLED_CLIENTS_MAX);
        if object.lacks("limit") {
            let hint = "write `rate: {limit: 2000, window: 5m}`";
            reader.faults.error_hint(object.place, "`rate` needs `limit`", hint);
        }
        let (least, most) = (limits::FIREWALL_WINDOW_MIN, limits::FIREWALL_WINDOW_MAX);
        let window = object.get("window").and_then(|node| reader.time(node, "`window`", least, most));
        object.close();
        Some(Self { place: node.place, limit, window: window.unwrap_or(limits::FIREWALL_WINDOW), clients })
    }
}

impl WhenSpec {
    fn read(node: &Node, depth: usize, reader: &mut Reader<'_>) -> Option<Self> {
        if depth > policy::limits::FIREWALL_DEPTH_MAX {
            let most = policy::limits::FIREWALL_DEPTH_MAX;
            reader
                .faults
                .error(node.place, format!("`not`, `all` and `any` stand in one another more than {most} times"));
            return None;
        }
        let object = reader.object(node, &WHEN)?;
        let (address, method) = (texts(&object, "address", reader), texts(&object, "method", reader));
        let mut text = |name: &str, table| TextSpec::read(object.get(name)?, table, reader);
        let (path, header, query) = (text("path", &TEXT), text("header", &HEADER), text("query", &QUERY));
        let larger = object.get("larger").map(|node| larger(node, reader)).unwrap_or_default();
        let managed = listed(&object, "managed", reader)
            .iter()
            .filter_map(|node| Some(reader.word(node, "`managed`", &Group::ALL, &[])?.value))
            .collect();
        let not = object.get("not").and_then(|node| Self::read(node, depth + 1, reader)).map(Box::new);
        let mut list = |name: &str| -> Option<Vec<Self>> {
            object.get(name)?;
            let nodes = listed(&object, name, reader);
            Some(nodes.iter().filter_map(|node| Self::read(node, depth + 1, reader)).collect())
        };
        let (all, any) = (list("all").unwrap_or_default(), list("any"));
        object.close();
        Some(Self { place: node.place, address, method, path, header, query, larger, managed, not, all, any })
    }
}

fn larger(node: &Node, reader: &mut Reader<'_>) -> Vec<(Part, u64)> {
    let Some(object) = reader.object(node, &LARGER) else { return Vec::new() };
    let mut all = Vec::new();
    for (name, part) in PARTS {
        let size = object.get(name).and_then(|node| reader.size(node, &format!("`{name}`"), 0, u64::MAX));
        all.extend(size.map(|size| (part, size)));
    }
    if all.is_empty() {
        reader.faults.error_hint(node.place, "`larger` names no size", "write `larger: {body: 1MiB}`");
    }
    object.close();
    all
}

impl TextSpec {
    fn read(node: &Node, table: &'static Table, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, table)?;
        let (mut name, mut present) = (None, None);
        if table.find("name").is_some() {
            name = object.get("name").and_then(|node| reader.text(node, "`name`"));
            present = object
                .get("present")
                .and_then(|node| Some(At { value: reader.flag(node, "`present`")?, place: node.place }));
        }
        if std::ptr::eq(table, &raw const HEADER) && object.lacks("name") {
            let hint = "write `header: {name: User-Agent, contains: bot}`";
            reader.faults.error_hint(object.place, "`header` needs `name`", hint);
        }
        let mut compare = Vec::new();
        for (way, how) in WAYS {
            if let Some(node) = object.get(way) {
                compare.push((how, texts(&object, way, reader), node.place));
            }
        }
        let transform = object.get("transform").map(|node| {
            let words = [
                ("none", None),
                ("url_decode", Some(Step::UrlDecode { plus: std::ptr::eq(table, &raw const QUERY) })),
                ("lowercase", Some(Step::Lowercase)),
                ("compress_white_space", Some(Step::CompressWhiteSpace)),
                ("normalize_path", Some(Step::NormalizePath)),
            ];
            let all = reader.list(node).iter();
            let all: Vec<_> = all.filter_map(|node| reader.word(node, "`transform`", &words, &[])).collect();
            if all.len() > policy::limits::FIREWALL_STEPS_MAX {
                let most = policy::limits::FIREWALL_STEPS_MAX;
                reader.faults.error(node.place, format!("`transform` has more than {most} steps"));
            }
            all.into_iter().filter_map(|at| at.value).collect()
        });
        object.close();
        Some(Self { place: node.place, name, present, compare, transform })
    }
}

/// The texts of a list.
fn texts(object: &Object<'_>, name: &str, reader: &mut Reader<'_>) -> Vec<Text> {
    listed(object, name, reader).iter().filter_map(|node| reader.text(node, &format!("`{name}`"))).collect()
}

/// The values of a list. An empty one is a fault: whoever leaves it out asks for something else.
fn listed<'n>(object: &Object<'n>, name: &str, reader: &mut Reader<'_>) -> &'n [Node] {
    let Some(node) = object.get(name) else { return &[] };
    let nodes = reader.list(node);
    if nodes.is_empty() {
        reader.faults.error_hint(node.place, format!("`{name}` names nothing"), "write at least one, or leave it out");
    }
    nodes
}
