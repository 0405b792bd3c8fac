//! A host name, and the API and stage behind each of its paths (DM-01, DM-03) or behind rules (DM-05).

use router::limits::{RULE_ALTERNATIVES_MAX, RULE_HEADER_GROUPS_MAX, RULE_PRIORITIES, RULES_MAX};

use crate::diagnostic::Place;
use crate::model::clients::{ClientsSpec, HSTS, HTTPS_REDIRECT, MUTUAL_TLS};
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::tls::{TLS, TlsSpec};
use crate::model::values::At;
use crate::source::node::{Entry, Node, Text, Value};

/// One domain, as written.
#[derive(Debug, Clone)]
pub struct DomainSpec {
    /// `api.example.com`, `*.example.com` or `*`.
    pub name: Text,
    /// In the order of the document.
    pub mappings: Vec<MappingSpec>,
    /// In the order of the document; the lowest priority is asked first.
    pub routing_rules: Vec<RoutingRuleSpec>,
    /// What is asked; `None`: whatever is written, rules before mappings.
    pub routing_mode: Option<At<RoutingModeSpec>>,
    /// What it proves itself with; `None`: the listener's.
    pub tls: Option<TlsSpec>,
    /// What clients have to prove, and how they are told to use TLS.
    pub clients: ClientsSpec,
}

/// One mapping, as written.
#[derive(Debug, Clone)]
pub struct MappingSpec {
    /// `/`, or a base path such as `/orders/v1`.
    pub path: Text,
    /// `api/stage`.
    pub target: Text,
}

/// One routing rule, as written: all of its conditions must hold (DM-05).
#[derive(Debug, Clone)]
pub struct RoutingRuleSpec {
    /// Where it begins.
    pub place: Place,
    /// 1 to 1,000,000; `None`: unreadable, which is a fault already.
    pub priority: Option<At<u32>>,
    /// Each of them needs one matching header field.
    pub headers: Vec<Vec<HeaderMatchSpec>>,
    /// The path must begin with one of them; `None`: any path.
    pub base_paths: Option<Vec<Text>>,
    /// `api/stage`.
    pub target: Option<Text>,
    /// Whether the base path that matched is taken off the path; `None`: no.
    pub strip_base_path: Option<At<bool>>,
}

/// A header field that a rule looks for.
#[derive(Debug, Clone)]
pub struct HeaderMatchSpec {
    /// Case does not matter.
    pub name: Text,
    /// Case matters; `a*`, `*a` and `*a*` are patterns.
    pub value: Text,
}

/// What a domain asks (DM-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingModeSpec {
    /// `mappings` alone.
    MappingsOnly,
    /// `routing_rules` alone.
    RulesOnly,
    /// `routing_rules`, then `mappings`.
    RulesThenMappings,
}

/// The fields of a domain.
pub const DOMAIN: Table = Table {
    name: "a domain",
    fields: &[
        Field::new("mappings", Type::Texts, "api/stage by base path"),
        Field::new(
            "routing_rules",
            Type::List(&ROUTING_RULE),
            "rules on header fields and paths, each to one api/stage",
        ),
        Field::new(
            "routing_mode",
            Type::Word(&MODE_WORDS),
            "what is asked; by default all that is written, rules first",
        )
        .or(&AWS_MODE_WORDS),
        Field::new(
            "tls",
            Type::Object(&TLS),
            "the certificate for clients that ask for this name, at listeners with TLS",
        ),
        MUTUAL_TLS,
        HTTPS_REDIRECT,
        HSTS,
    ],
};

/// The fields of a routing rule.
pub const ROUTING_RULE: Table = Table {
    name: "a routing rule",
    fields: &[
        Field::new("priority", Type::Number, "the lowest is asked first; each number once in a domain").needed(),
        Field::new(
            "headers",
            Type::List(&HEADER_CONDITION),
            "at most two conditions on header fields, all of which must hold",
        ),
        Field::new("base_paths", Type::TextList, "the path must begin with one of them, by whole segments"),
        Field::new("target", Type::Text, "api/stage").needed(),
        Field::new("strip_base_path", Type::Flag, "whether the base path is taken off before the API sees the path"),
    ],
};

/// The fields of a rule's condition on header fields.
pub const HEADER_CONDITION: Table = Table {
    name: "a condition on header fields",
    fields: &[Field::new("any", Type::List(&HEADER_MATCH), "one of these must be there").needed()],
};

/// The fields of a header field that a rule looks for.
pub const HEADER_MATCH: Table = Table {
    name: "a header match",
    fields: &[
        Field::new("name", Type::Text, "the field's name").needed(),
        Field::new("value", Type::Text, "its value; a*, *a and *a* are patterns").needed(),
    ],
};

const MODE_WORDS: [&str; 3] = [MODES[0].0, MODES[1].0, MODES[2].0];
const MODES: [(&str, RoutingModeSpec); 3] = [
    ("mappings_only", RoutingModeSpec::MappingsOnly),
    ("rules_only", RoutingModeSpec::RulesOnly),
    ("rules_then_mappings", RoutingModeSpec::RulesThenMappings),
];
const AWS_MODE_WORDS: [&str; 5] = [AWS_MODES[0].0, AWS_MODES[1].0, AWS_MODES[2].0, AWS_MODES[3].0, AWS_MODES[4].0];
/// AWS's names of the same, old and new.
const AWS_MODES: [(&str, RoutingModeSpec); 5] = [
    ("API_MAPPING_ONLY", RoutingModeSpec::MappingsOnly),
    ("BASE_PATH_MAPPING_ONLY", RoutingModeSpec::MappingsOnly),
    ("ROUTING_RULE_ONLY", RoutingModeSpec::RulesOnly),
    ("ROUTING_RULE_THEN_API_MAPPING", RoutingModeSpec::RulesThenMappings),
    ("ROUTING_RULE_THEN_BASE_PATH_MAPPING", RoutingModeSpec::RulesThenMappings),
];

impl DomainSpec {
    /// Reads one domain.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &DOMAIN)?;
        let written = object.get("mappings").and_then(|node| reader.entries(node, "`mappings`"));
        let rules = object.get("routing_rules").map(|node| reader.list(node)).unwrap_or_default();
        let is_spelt = |field: &str| object.get(field).is_some() || object.lacks(field);
        let has_mappings = !written.is_some_and(<[Entry]>::is_empty) && object.get("mappings").is_some();
        if !has_mappings && rules.is_empty() && is_spelt("mappings") && is_spelt("routing_rules") {
            reader.faults.error_hint(
                name.place,
                format!("domain `{}` has no mappings", name.text),
                "write `mappings: {/: api/stage}`, or `routing_rules`",
            );
        }
        let mappings = written.unwrap_or_default().iter().filter_map(|Entry { key, value }| {
            let target = reader.text(value, &format!("the mapping of `{}`", key.text))?;
            Some(MappingSpec { path: key.clone(), target })
        });
        let mappings = mappings.collect();
        if rules.len() > RULES_MAX {
            reader.faults.error(name.place, format!("more than {RULES_MAX} routing rules"));
        }
        let rules = rules.iter().take(RULES_MAX);
        let routing_rules = rules.filter_map(|node| RoutingRuleSpec::read(node, reader)).collect();
        let routing_mode = object.get("routing_mode").and_then(|node| mode(node, reader));
        let tls = object.get("tls").and_then(|node| TlsSpec::read(node, reader));
        let clients = ClientsSpec::read(&object, reader);
        object.close();
        Some(Self { name: name.clone(), mappings, routing_rules, routing_mode, tls, clients })
    }
}

fn mode(node: &Node, reader: &mut Reader<'_>) -> Option<At<RoutingModeSpec>> {
    if let Value::Scalar(text) = &node.value
        && let Some((_, value)) = AWS_MODES.iter().find(|(word, _)| *word == &*text.text)
    {
        return Some(At { value: *value, place: text.place });
    }
    reader.word(node, "`routing_mode`", &MODES, &[])
}

impl RoutingRuleSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &ROUTING_RULE)?;
        let priority = object.get("priority").and_then(|node| {
            let (least, most) = RULE_PRIORITIES.into_inner();
            let number = reader.number(node, "`priority`", least.into(), most.into())?;
            Some(At { value: number as u32, place: node.place })
        });
        let headers = object.get("headers").map(|node| headers(node, reader)).unwrap_or_default();
        let base_paths = object.get("base_paths").map(|node| base_paths(node, reader));
        let target = object.get("target").and_then(|node| reader.text(node, "`target`"));
        let strip_base_path = object.get("strip_base_path").and_then(|node| {
            let value = reader.flag(node, "`strip_base_path`")?;
            Some(At { value, place: node.place })
        });
        for (field, hint) in [("priority", "write `priority: 100`"), ("target", "write `target: api/stage`")] {
            if object.lacks(field) {
                reader.faults.error_hint(object.place, format!("a routing rule needs a {field}"), hint);
            }
        }
        object.close();
        Some(Self { place: node.place, priority, headers, base_paths, target, strip_base_path })
    }
}

fn headers(node: &Node, reader: &mut Reader<'_>) -> Vec<Vec<HeaderMatchSpec>> {
    let list = reader.list(node);
    let most = RULE_HEADER_GROUPS_MAX;
    if list.len() > most {
        let hint = "all of them must hold; alternatives stand together in one `any`";
        reader.faults.error_hint(node.place, format!("more than {most} conditions on header fields"), hint);
    }
    list.iter().take(most).filter_map(|node| condition(node, reader)).collect()
}

fn condition(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<HeaderMatchSpec>> {
    let object = reader.object(node, &HEADER_CONDITION)?;
    let any = object.get("any").map(|node| reader.list(node)).unwrap_or_default();
    if any.is_empty() && (object.lacks("any") || object.get("any").is_some()) {
        let hint = "write `any: [{name: x-version, value: beta*}]`";
        reader.faults.error_hint(object.place, "a condition on header fields names none", hint);
    }
    check_alternatives(any, object.place, reader);
    object.close();
    Some(any.iter().filter_map(|node| HeaderMatchSpec::read(node, reader)).collect())
}

fn base_paths(node: &Node, reader: &mut Reader<'_>) -> Vec<Text> {
    let list = reader.list(node);
    if list.is_empty() {
        let hint = "write `base_paths: [/orders]`, or leave it out for any path";
        reader.faults.error_hint(node.place, "`base_paths` names no path: the rule would never hold", hint);
    }
    check_alternatives(list, node.place, reader);
    list.iter().filter_map(|node| reader.text(node, "a base path")).collect()
}

fn check_alternatives(list: &[Node], place: Place, reader: &mut Reader<'_>) {
    let most = RULE_ALTERNATIVES_MAX;
    if list.len() > most {
        reader.faults.error(place, format!("more than {most} alternatives in one condition"));
    }
}

impl HeaderMatchSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &HEADER_MATCH)?;
        let name = object.get("name").and_then(|node| reader.text(node, "`name`"));
        let value = object.get("value").and_then(|node| reader.text(node, "`value`"));
        for field in ["name", "value"] {
            if object.lacks(field) {
                let hint = "write `{name: x-version, value: beta*}`";
                reader.faults.error_hint(object.place, format!("a header match needs a {field}"), hint);
            }
        }
        object.close();
        Some(Self { name: name?, value: value? })
    }
}
